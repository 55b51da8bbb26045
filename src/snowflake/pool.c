/* Who may ask Snowflake for something, and when: one lane for each warehouse, a breaker and a budget for each endpoint.
 */
#include "internal.h"

#include "snowgate/log.h"

#include <stdio.h>
#include <string.h>

enum {
	CAP_MOST = 10000,    /* where nothing is configured */
	TURN_MOST = 32,      /* calls that one turn lets go */
	WAYS_KEPT = 1024,    /* lanes with a lowered cap that are remembered though nobody is there */
	ENDPOINTS_KEPT = 64, /* without a job */
	LOGINS_KEPT = 64     /* of one endpoint */
};
#define WAY_REMEMBERED (60 * USEC_PER_S)
#define LANE_PATIENCE  (30 * USEC_PER_S) /* of a call without a deadline */
#define FULL_COME_BACK (2 * USEC_PER_S)
#define LOG_GAP        (10 * USEC_PER_S) /* between two lines about one endpoint's caps */

/* A lane and where it leads. */
struct way {
	struct lane lane;
	struct endpoint *endpoint;
	char *warehouse;    /* "": none */
	bool rest;          /* other endpoints than that of statements: agents take minutes */
	struct timer timer; /* lets go who has room; so that no job's end runs another's step */
	bool turning;       /* the timer's work is under way */
	usec_t rested;      /* when somebody last left it */
	struct lane told;   /* what the metrics know */
	struct way *next;
};
struct login {
	uint8_t id[32]; /* connection's */
	struct breaker breaker;
	struct login *next;
};
struct endpoint {
	char *host;
	int64_t port;
	size_t users; /* jobs and ways */
	struct breaker breaker;
	struct budget budget;
	char last[120]; /* what failed last; nothing of a user's */
	struct way *ways;
	struct login *logins; /* newest first */
	usec_t cap_logged;
	struct endpoint *next;
};
static struct endpoint *endpoints; /* owner: SNOWFLAKE; newest first */
static size_t ways_n;              /* owner: SNOWFLAKE */

static struct job *job_of(struct place *p)
{
	return container_of(p, struct job, pooled.place);
}

static struct breaker_settings settings_of(const struct call *c)
{
	return (struct breaker_settings){call_conf(c)->snowflake_breaker_failures,
					 call_conf(c)->snowflake_breaker_open};
}

/* ---- endpoints ---- */

static void endpoint_free(struct endpoint *e)
{
	while (e->logins) {
		struct login *l = e->logins;
		e->logins = l->next;
		free(l);
	}
	free(e->host);
	free(e);
}

/* What nobody uses and has nothing to remember goes, the oldest first to be looked at. */
static void endpoints_trim(void)
{
	size_t n = 0;

	for (struct endpoint **at = &endpoints; *at;) {
		struct endpoint *e = *at;
		if (++n <= ENDPOINTS_KEPT || e->users || e->breaker.state != BREAKER_CLOSED) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		endpoint_free(e);
	}
}

static struct endpoint *endpoint_of(const struct connection *connection)
{
	struct endpoint *e;

	for (e = endpoints; e; e = e->next)
		if (e->port == connection->port && !strcmp(e->host, connection->host))
			return e;
	e = xalloc(sizeof *e);
	e->host = xstrdup(connection->host);
	e->port = connection->port;
	e->next = endpoints;
	endpoints = e;
	endpoints_trim();
	return e;
}

/* The breaker of these credentials, newest first; one that is asked for moves to the front, the last one is forgotten.
 */
static struct breaker *login_of(struct endpoint *e, const struct connection *connection)
{
	struct login **at = &e->logins, *l;
	size_t n = 0;

	while (*at && memcmp((*at)->id, connection->id, sizeof connection->id) != 0 &&
	       !(++n >= LOGINS_KEPT && !(*at)->next))
		at = &(*at)->next;
	l = *at ? *at : xalloc(sizeof *l);
	if (*at)
		*at = l->next;
	if (memcmp(l->id, connection->id, sizeof l->id) != 0) {
		metric_add(METRIC_breakers_open, NULL, l->breaker.state == BREAKER_CLOSED ? 0 : -1);
		memset(l, 0, sizeof *l);
		memcpy(l->id, connection->id, sizeof l->id);
	}
	l->next = e->logins;
	e->logins = l;
	return &l->breaker;
}

/* NULL where the login is the principal's own. */
static struct breaker *shared_login(struct endpoint *e, const struct call *c)
{
	const struct connection *connection = c->request->policy->connection;

	return connection_is_per_user(connection) ? NULL : login_of(e, connection);
}

/* ---- ways ---- */

/* The metrics are sums over the lanes there are. */
static void way_tell(struct way *w)
{
	metric_add(METRIC_lane_cap, NULL, (int64_t)w->lane.cap - (int64_t)w->told.cap);
	metric_add(METRIC_lane_in_flight, NULL, (int64_t)w->lane.inside - (int64_t)w->told.inside);
	metric_add(METRIC_lane_waiting, NULL, (int64_t)w->lane.waiting - (int64_t)w->told.waiting);
	w->told = w->lane;
}

static void way_free(struct way **at)
{
	struct way *w = *at;

	*at = w->next;
	timer_stop(&w->timer);
	w->lane.cap = 0;
	way_tell(w);
	w->endpoint->users--;
	ways_n--;
	free(w->warehouse);
	free(w);
}

/* What was learnt before an outage is of use after it. */
static bool way_is_forgotten(const struct way *w, usec_t now)
{
	if (w->lane.inside || w->lane.waiting || w->turning)
		return false;
	if (w->lane.cap == w->lane.most || ways_n > WAYS_KEPT)
		return true;
	return w->endpoint->breaker.state == BREAKER_CLOSED && now - w->rested >= WAY_REMEMBERED;
}

static void way_rest(struct way *w)
{
	struct way **at = &w->endpoint->ways;

	way_tell(w);
	w->rested = clock_now();
	if (!way_is_forgotten(w, w->rested))
		return;
	while (*at != w)
		at = &(*at)->next;
	way_free(at);
}

static void on_turn(struct timer *t);

static struct way *way_new(struct endpoint *e, const char *warehouse, bool rest)
{
	struct way *w = xalloc(sizeof *w);

	w->endpoint = e;
	w->warehouse = xstrdup(warehouse);
	w->rest = rest;
	w->timer.fire = on_turn;
	w->next = e->ways;
	e->ways = w;
	e->users++;
	ways_n++;
	return w;
}

static struct way *way_of(struct endpoint *e, const char *warehouse, bool rest)
{
	struct way **at = &e->ways, *found = NULL;
	usec_t now = clock_now();

	while (*at) {
		if ((*at)->rest == rest && !strcmp((*at)->warehouse, warehouse))
			found = *at;
		else if (way_is_forgotten(*at, now)) {
			way_free(at);
			continue;
		}
		at = &(*at)->next;
	}
	if (found && found->lane.cap < found->lane.most && way_is_forgotten(found, now))
		found->lane.cap = found->lane.most;
	return found ? found : way_new(e, warehouse, rest);
}

/* Whoever has room now goes in the loop's next turn. */
static void way_kick(struct way *w)
{
	bool may = w->lane.inside < w->lane.cap || breaker_ask(&w->endpoint->breaker, clock_now()) == BREAKER_REFUSE;

	if (may && w->lane.waiting && !w->turning && !timer_pending(&w->timer))
		timer_set(snowflake.wheel, &w->timer, clock_now());
}

/* While the breaker is open nobody waits behind what may take long to end: all are told. */
static struct place *way_next(struct way *w)
{
	struct place *p = lane_next(&w->lane);

	if (p || breaker_ask(&w->endpoint->breaker, clock_now()) != BREAKER_REFUSE)
		return p;
	p = lane_first(&w->lane);
	if (p)
		lane_leave(&w->lane, p);
	return p;
}

static void on_turn(struct timer *t)
{
	struct way *w = container_of(t, struct way, timer);
	struct place *p = NULL;

	w->turning = true;
	for (int n = 0; n < TURN_MOST && (p = way_next(w)); n++) {
		struct job *j = job_of(p);

		timer_stop(&j->call->timer);
		call_run(j->call);
	}
	w->turning = false;
	if (p)
		way_kick(w);
	way_rest(w);
}

/* ---- the lane's cap ---- */

static void cap_changed(struct way *w, const char *how, bool worth_a_line)
{
	struct endpoint *e = w->endpoint;
	usec_t now = clock_now();

	metric_count(METRIC_lane_changes, how);
	way_tell(w);
	if (!worth_a_line || (e->cap_logged && now - e->cap_logged < LOG_GAP))
		return;
	e->cap_logged = now;
	log_event(LOG_WARN, "warehouse_cap", log_text("host", e->host),
		  log_text("warehouse", w->rest ? "(Cortex)" : w->warehouse), log_text("change", how),
		  log_number("cap", w->lane.cap), log_number("most", w->lane.most),
		  log_number("waiting", w->lane.waiting));
}

/* A failed probe says what was known. */
static bool is_overload(const struct job *j, const struct reading *r)
{
	return r->meaning == MEANS_BUSY || (j->request.result == WIRE_ANSWERED && j->request.status == 503);
}

/* Snowflake had the time for it. */
static bool is_taken(const struct reading *r)
{
	return r->meaning == MEANS_RESULT || r->meaning == MEANS_RUNNING || r->err == ERR_SQL;
}

static void lane_answered(struct job *j, const struct reading *r)
{
	struct way *w = j->pooled.way;

	if (!w)
		return;
	if (is_overload(j, r) && !j->pooled.probes) {
		if (lane_fall(&w->lane, j->pooled.sent, clock_now()))
			cap_changed(w, "lowered", true);
	} else if (opens_work(j->request.op) && is_taken(r) && lane_grow(&w->lane)) {
		cap_changed(w, "raised", w->lane.cap == w->lane.most);
		way_kick(w);
	}
	if (r->meaning == MEANS_RESULT && (opens_work(j->request.op) || j->request.op == WIRE_POLL))
		pool_step_out(j);
}

/* ---- breakers ---- */

static void endpoint_kick(struct endpoint *e)
{
	for (struct way *w = e->ways; w; w = w->next)
		way_kick(w);
}

/* `connection`: whose credentials the breaker is about; NULL: the endpoint's. */
static void breaker_changed(struct endpoint *e, const struct breaker *b, const char *connection,
			    enum breaker_change change)
{
	static const char *const names[] = {
	    [BREAKER_OPENED] = "opened", [BREAKER_REOPENED] = "reopened", [BREAKER_CLOSES] = "closed"};
	usec_t now = clock_now();

	if (change == BREAKER_SAME)
		return;
	metric_count(METRIC_breaker_changes, names[change]);
	if (change != BREAKER_REOPENED)
		metric_add(METRIC_breakers_open, NULL, change == BREAKER_OPENED ? 1 : -1);
	if (change != BREAKER_CLOSES)
		log_event(LOG_WARN, "breaker_open", log_text("host", e->host), log_number("port", e->port),
			  log_text("connection", connection), log_text("last", connection ? NULL : e->last),
			  log_number("open_ms", (now - b->opened) / USEC_PER_MS),
			  log_number("probe_ms", breaker_wait(b, now) / USEC_PER_MS));
	else
		log_event(LOG_INFO, "breaker_closed", log_text("host", e->host), log_number("port", e->port),
			  log_text("connection", connection), log_number("open_ms", (now - b->opened) / USEC_PER_MS));
	endpoint_kick(e);
}

/* A transport failure or a 5xx; what it was, for others to read. */
static bool is_ill(struct endpoint *e, const struct wire_request *rq)
{
	static const char *const results[] = {[WIRE_TIMEOUT] = "no answer in time",
					      [WIRE_BROKEN] = "the connection broke",
					      [WIRE_TLS] = "its certificate is not trusted"};

	if (rq->result == WIRE_TOO_LARGE || (rq->result == WIRE_ANSWERED && rq->status < 500))
		return false;
	if (rq->result == WIRE_ANSWERED)
		(void)snprintf(e->last, sizeof e->last, "HTTP %d", rq->status);
	else if (rq->result == WIRE_REFUSED)
		(void)snprintf(e->last, sizeof e->last, "no connection: %.100s", rq->error);
	else
		(void)snprintf(e->last, sizeof e->last, "%s", results[rq->result]);
	return true;
}

/* A Cortex service that takes too long, or fails by itself, tells nothing of the account's endpoint. */
static bool is_its_own(const struct endpoint *e, const struct job *j)
{
	const struct wire_request *rq = &j->request;

	return rq->op == WIRE_REST && e->breaker.probe != j &&
	       (rq->result == WIRE_TIMEOUT || (rq->result == WIRE_ANSWERED && rq->status >= 500));
}

static void breaker_answered(struct call *c, struct job *j, const struct reading *r)
{
	struct endpoint *e = j->pooled.endpoint;
	struct breaker *login = shared_login(e, c);
	const char *name = c->request->policy->connection->name;
	usec_t now = clock_now();
	bool ill = is_ill(e, &j->request), unread = r->err == ERR_UPSTREAM_ANSWER;

	if (is_its_own(e, j))
		return;
	if ((ill && call_statement(c)->tries <= 1) || ((ill || unread) && e->breaker.probe == j))
		breaker_changed(e, &e->breaker, NULL, breaker_ill(&e->breaker, j, settings_of(c), now));
	else if (!ill && !unread)
		breaker_changed(e, &e->breaker, NULL, breaker_well(&e->breaker, j, now));
	if (login && !ill && !unread && r->meaning != MEANS_AUTH && r->meaning != MEANS_BUSY &&
	    r->err != ERR_UPSTREAM_AUTH)
		breaker_changed(e, login, name, breaker_well(login, j, now));
}

/* The endpoint of a job is known from its first request or answer. */
static void begin(struct call *c, struct job *j)
{
	const struct connection *connection = c->request->policy->connection;

	if (j->pooled.endpoint)
		return;
	j->pooled.endpoint = endpoint_of(connection);
	j->pooled.endpoint->users++;
}

void pool_answered(struct call *c, struct job *j, const struct reading *r)
{
	begin(c, j);
	breaker_answered(c, j, r);
	lane_answered(j, r);
}

void pool_login_refused(struct call *c, struct job *j)
{
	struct endpoint *e = j->pooled.endpoint;
	struct breaker *login = shared_login(e, c);

	if (login)
		breaker_changed(e, login, c->request->policy->connection->name,
				breaker_ill(login, j, settings_of(c), clock_now()));
}

bool pool_may_retry(struct job *j)
{
	enum wire_op op = j->request.op;

	return op == WIRE_POLL || op == WIRE_CANCEL || !j->pooled.endpoint ||
	       budget_spend(&j->pooled.endpoint->budget, clock_now());
}

/* ---- admission: the breakers ---- */

/* Whose next try tells what became of it. */
static bool waits_for_breaker(const struct call *c, const struct job *j)
{
	const struct statement *s = &c->plan[c->plan_at];

	return j->perhaps && (s->write || j->cancelled);
}

bool pool_bars(struct call *c, struct job *j, usec_t then)
{
	const struct breaker *b = &j->pooled.endpoint->breaker;

	if (!opens_work(j->request.op) || b->state != BREAKER_OPEN || then >= b->until || waits_for_breaker(c, j))
		return false;
	c->retry_after = breaker_wait(b, clock_now());
	return true;
}

static const char *refusal_text(struct call *c, const struct endpoint *e, bool login, usec_t wait)
{
	long long seconds = (wait + USEC_PER_S - 1) / USEC_PER_S;
	const char *name = c->request->policy->connection->name;

	if (login)
		return arena_printf(c->arena,
				    "Snowflake keeps refusing the credentials of connection %s; the next try to log in "
				    "is made in %lld s; check snowflake.connections.%s",
				    name, seconds, name);
	return arena_printf(
	    c->arena,
	    "%s keeps failing (%s), so that nothing is sent to it for now; the next try is made in %lld "
	    "s",
	    e->host, e->last, seconds);
}

static enum verdict refused(struct call *c, struct job *j, const struct breaker *b)
{
	struct endpoint *e = j->pooled.endpoint;
	usec_t now = clock_now(), wait = breaker_wait(b, now);
	bool login = b != &e->breaker;

	if (waits_for_breaker(c, j) && now + wait <= request_patience(c)) {
		notice(c, LEVEL_WARNING, "%s keeps failing; waiting for it", e->host);
		return statement_wait(c, now + wait + random_between(USEC_PER_MS, wait / 10 + 2 * USEC_PER_MS));
	}
	metric_count(METRIC_lane_refused, "breaker");
	if (!login)
		c->retry_after = wait > USEC_PER_MS ? wait : USEC_PER_MS;
	return statement_fail_with(c, login ? ERR_UPSTREAM_AUTH : ERR_UPSTREAM, refusal_text(c, e, login, wait));
}

static enum breaker_verdict ask(struct breaker *b, const struct job *j)
{
	if (!b || b->probe == j)
		return BREAKER_PASS;
	return breaker_ask(b, clock_now());
}

/* ---- admission: the lane ---- */

static size_t most_of(const struct conf *conf)
{
	int64_t all = conf->snowflake_max_in_flight, most = conf->snowflake_max_per_warehouse;

	if (most == 0 || (all > 0 && most > all))
		most = all;
	return most > 0 ? (size_t)most : CAP_MOST;
}

/* FNV-1a. Two principals of one hash share a line. */
static uint64_t hash_of(const struct principal *p)
{
	const char *const texts[] = {p->issuer, "\n", p->subject};
	uint64_t h = 14695981039346656037u ^ (uint64_t)p->kind;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		for (const char *at = texts[i]; *at; at++)
			h = (h ^ (unsigned char)*at) * 1099511628211u;
	return h;
}

static const char *lane_name(struct call *c, const struct way *w)
{
	const char *text = w->rest         ? arena_printf(c->arena, "Cortex at %s", w->endpoint->host)
			   : *w->warehouse ? arena_printf(c->arena, "warehouse %s", w->warehouse)
					   : w->endpoint->host;

	return text ? text : "the warehouse";
}

static enum verdict lane_is_full(struct call *c, struct job *j, struct way *w)
{
	const char *text =
	    arena_printf(c->arena,
			 "%s takes %zu %s at a time for now, and %zu wait for it already; nothing "
			 "was run",
			 lane_name(c, w), w->lane.cap, w->rest ? "requests" : "statements", w->lane.waiting);

	metric_count(METRIC_lane_refused, "full");
	c->retry_after = FULL_COME_BACK;
	pool_step_out(j);
	return statement_fail_with(c, ERR_UPSTREAM_BUSY, text);
}

static enum verdict lane_is_late(struct call *c, struct job *j, struct way *w)
{
	const char *text = arena_printf(c->arena,
					"%s takes %zu %s at a time for now, and there was no room within the "
					"time of this call; nothing was run",
					lane_name(c, w), w->lane.cap, w->rest ? "requests" : "statements");

	metric_count(METRIC_lane_refused, "late");
	c->retry_after = FULL_COME_BACK;
	pool_step_out(j);
	return statement_fail_with(c, ERR_UPSTREAM_BUSY, text);
}

static enum verdict lane_waits(struct call *c, struct job *j, struct way *w)
{
	if (clock_now() >= j->pooled.until)
		return lane_is_late(c, j, w);
	return statement_wait(c, j->pooled.until);
}

static struct way *way_for(const struct call *c, struct job *j)
{
	const struct statement *s = &c->plan[c->plan_at];
	bool rest = s->kind == STATEMENT_REST, account = s->metadata || rest || !s->context.warehouse;
	struct way *w = way_of(j->pooled.endpoint, account ? "" : s->context.warehouse, rest);

	lane_set_most(&w->lane, most_of(call_conf(c)));
	way_kick(w);
	return w;
}

/* False: it waits, or is refused. */
static bool enter(struct call *c, struct job *j, bool probes, enum verdict *v)
{
	struct statement *s = call_statement(c);
	/* What may run already is in flight, room or not: nobody could say that nothing was run. */
	enum lane_how how = probes || j->perhaps ? LANE_FORCED : s->tries ? LANE_FIRST : LANE_LAST;
	struct way *w = j->pooled.way = way_for(c, j);
	enum lane_verdict verdict = lane_enter(&w->lane, &j->pooled.place, hash_of(&c->request->principal), how,
					       (size_t)call_conf(c)->snowflake_max_waiting);

	way_tell(w);
	if (verdict == LANE_FULL) {
		*v = lane_is_full(c, j, w);
	} else if (verdict == LANE_WAITS) {
		j->pooled.until = c->deadline ? request_patience(c) : clock_now() + LANE_PATIENCE;
		notice(c, LEVEL_INFO, "waiting for %s, place %zu", lane_name(c, w), lane_position(&j->pooled.place));
		*v = lane_waits(c, j, w);
	}
	return verdict == LANE_INSIDE;
}

/* Who was let in by the lane's turn has waited: Snowflake's clock begins now, its caller's goes on. */
static bool admit(struct call *c, struct job *j, bool probes, enum verdict *v)
{
	struct statement *s = call_statement(c);

	if (j->pooled.place.state == PLACE_INSIDE) {
		if (j->pooled.until && !j->perhaps) {
			j->pooled.began = s->sent;
			s->sent = clock_now();
		}
		j->pooled.until = 0;
		return true;
	}
	if (j->pooled.place.state == PLACE_WAITS) {
		*v = lane_waits(c, j, j->pooled.way);
		return false;
	}
	j->pooled.way = NULL; /* turned away from the line, or there for the first time */
	return enter(c, j, probes, v);
}

bool pool_admits(struct call *c, struct job *j, enum wire_op op, enum verdict *v)
{
	struct breaker *endpoint, *login;
	enum breaker_verdict of_endpoint, of_login;

	begin(c, j);
	j->pooled.sent = clock_now();
	j->pooled.probes = false;
	if (call_statement(c)->tries == 0)
		budget_fill(&j->pooled.endpoint->budget, call_conf(c)->snowflake_retry_budget, clock_now());
	if (!opens_work(op))
		return true;
	endpoint = &j->pooled.endpoint->breaker;
	login = shared_login(j->pooled.endpoint, c);
	of_endpoint = ask(endpoint, j);
	of_login = ask(login, j);
	if (of_endpoint == BREAKER_REFUSE || of_login == BREAKER_REFUSE) {
		*v = refused(c, j, of_endpoint == BREAKER_REFUSE ? endpoint : login);
		return false;
	}
	if (!admit(c, j, of_endpoint == BREAKER_PROBE || of_login == BREAKER_PROBE, v))
		return false;
	if (of_endpoint == BREAKER_PROBE || endpoint->probe == j)
		breaker_probe(endpoint, j, j->pooled.sent);
	if (of_login == BREAKER_PROBE || (login && login->probe == j))
		breaker_probe(login, j, j->pooled.sent);
	j->pooled.probes = endpoint->probe == j || (login && login->probe == j);
	return true;
}

/* ---- out ---- */

void pool_step_out(struct job *j)
{
	struct way *w = TAKE(j->pooled.way);

	if (!w)
		return;
	lane_leave(&w->lane, &j->pooled.place);
	j->pooled.until = 0;
	way_kick(w);
	way_rest(w);
}

void pool_leave(struct job *j)
{
	struct endpoint *e = TAKE(j->pooled.endpoint);

	pool_step_out(j);
	if (!e)
		return;
	breaker_forgo(&e->breaker, j);
	for (struct login *l = e->logins; l; l = l->next)
		breaker_forgo(&l->breaker, j);
	e->users--;
}

void pool_close(void)
{
	while (endpoints) {
		struct endpoint *e = endpoints;

		endpoints = e->next;
		while (e->ways)
			way_free(&e->ways);
		if (e->breaker.state != BREAKER_CLOSED)
			metric_add(METRIC_breakers_open, NULL, -1);
		for (struct login *l = e->logins; l; l = l->next)
			if (l->breaker.state != BREAKER_CLOSED)
				metric_add(METRIC_breakers_open, NULL, -1);
		assert(e->users == 0);
		endpoint_free(e);
	}
}
