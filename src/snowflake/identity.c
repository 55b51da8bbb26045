/* As whom a call's requests go out: its token, or the wait for one, or why there is none. */
#include "internal.h"

static struct identity identity_of(const struct call *c)
{
	return (struct identity){c->request->policy->connection, &c->request->principal,
				 c->plan[c->plan_at].context.role};
}

static void on_news(struct token_waiter *w)
{
	struct job *j = container_of(w, struct job, token);

	CHECK(j, JOB_MAGIC);
	if (j->call && !j->sending)
		call_run(j->call);
}

enum token_state job_token(struct job *j, struct wire_request *rq, const char **message)
{
	struct call *c = j->call;
	struct identity who = identity_of(c);
	const char *name = who.connection->name, *why = NULL;
	struct token_view token;
	enum token_state state;

	j->token.news = on_news;
	state = token_get(&who, &token, &j->token, &why);
	if (state != TOKEN_WAIT) {
		token_unwait(&j->token);
		timer_stop(&c->timer);
	}
	rq->connection = who.connection;
	rq->bearer = token.bearer;
	rq->token_type = token.type;
	rq->token = token.number;
	*message = NULL;
	if (state == TOKEN_FAILED)
		*message = arena_printf(c->arena, "connection %s: %s; check snowflake.connections.%s", name, why, name);
	else if (state == TOKEN_LATER)
		*message =
		    arena_printf(c->arena, "connection %s has no token for Snowflake at the moment: %s", name, why);
	return state;
}

bool job_token_renew(struct job *j, const struct wire_request *rq)
{
	struct identity who = identity_of(j->call);

	return token_renew(&who, rq->token);
}
