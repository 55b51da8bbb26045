/* The process dies, or stops, at the kill point that a test has named. */
#include "snowgate/kill.h"

#include "snowgate/base.h"

#ifdef SNOWGATE_KILL_POINTS
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

static const char *const names[] = {
#define KILL(name, where) #name,
#include "snowgate/tbl/kill.def"
#undef KILL
};

/* Read-only once there is more than one thread, but for `left`: the passages until it happens. */
static struct {
	enum kill_point at;
	int signal;
	atomic_llong left;
} armed = {.at = KILL_POINTS};

static enum kill_point point_of(struct slice name)
{
	int at = 0;

	while (at < KILL_POINTS && !slice_is(name, names[at]))
		at++;
	return (enum kill_point)at;
}

/* What stands before the next colon; *rest is what stands behind it, NULL where there is none. */
static struct slice word_take(const char **rest)
{
	struct slice word = {*rest, strcspn(*rest, ":")};

	*rest = word.data[word.n] ? word.data + word.n + 1 : NULL;
	return word;
}

bool kill_arm(const char *text)
{
	const char *rest = text;
	int64_t n = 1;
	char digits[20];
	struct slice word;

	armed.at = KILL_POINTS;
	if (!text)
		return true;
	enum kill_point at = point_of(word_take(&rest));
	word = rest ? word_take(&rest) : (struct slice){0};
	if (word.n && word.data[0] != 's' && word.n < sizeof digits) {
		memcpy(digits, word.data, word.n);
		digits[word.n] = '\0';
		if (!parse_int(digits, 1, 1000000, &n))
			return false;
		word = rest ? word_take(&rest) : (struct slice){0};
	}
	if (at == KILL_POINTS || rest || (word.data && !slice_is(word, "stop")))
		return false;
	armed.signal = word.data ? SIGSTOP : SIGKILL;
	atomic_store(&armed.left, n);
	armed.at = at;
	return true;
}

bool kill_armed(enum kill_point at)
{
	return armed.at == at;
}

/* raise() and not kill(): it is this thread that stops, and stops here. */
void kill_pass(enum kill_point at)
{
	if (armed.at == at && atomic_fetch_sub(&armed.left, 1) == 1)
		(void)raise(armed.signal);
}
#endif
