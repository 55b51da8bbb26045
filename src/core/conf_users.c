/* How many requests are served under a snapshot. */
#include "snowgate/conf.h"

void conf_use(const struct conf *conf)
{
	++*conf->users;
}

void conf_unuse(const struct conf *conf)
{
	assert(*conf->users > 0);
	--*conf->users;
}

int64_t conf_users(const struct conf *conf)
{
	return *conf->users;
}
