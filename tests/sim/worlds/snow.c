/* Snowflake in a world: takes each request id once, runs what it has taken to its end, and cannot always be reached. */
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define HANDLE_FORMAT "01b2c3d4-0000-0001-0000-%012zu"
#define HANDLE_PREFIX "01b2c3d4-0000-0001-0000-"

/* Snowflake ends a statement at its time limit. */
#define LIMIT SECONDS(120)
/* Nobody is blamed for what a cancel takes on its way. */
#define CANCEL_WITHIN SECONDS(15)

struct statement_run {
	char request[37];
	uint32_t op;
	usec_t begun, ends;
	bool cancelled, failed, write;
	int home; /* the process that sent it */
	unsigned life;
	char subject; /* the first letter of the principal's name is in the QUERY_TAG no more: of its session */
	bool strange; /* something has gone wrong with a request of it: its slot is not counted */
	char schema[16], warehouse[16];
};
struct flight {
	struct timer arrives, answers;
	struct wire_request *request; /* NULL: given up */
	struct replica *replica;
	enum wire_op op;
	char path[1024], *body;
	enum wire_result result;
	int status;
	bool lost; /* the answer */
	struct buf answer;
	struct flight *next, **prev;
};
static struct {
	struct statement_run v[STATEMENTS_MAX];
	size_t n;
	struct flight *flights;
} snow;

void snow_begin(void)
{
	memset(&snow, 0, sizeof snow);
}

static void flight_free(struct flight *f)
{
	timer_stop(&f->arrives);
	timer_stop(&f->answers);
	*f->prev = f->next;
	if (f->next)
		f->next->prev = f->prev;
	buf_free(&f->answer);
	free(f->body);
	free(f);
}

void snow_end(void)
{
	while (snow.flights)
		flight_free(snow.flights);
}

/* ---- statements ---- */

static bool runs(const struct statement_run *s)
{
	return !s->cancelled && clock_now() < s->ends;
}

/* Those of this process that hold a slot there: all of them, and of this principal. */
static void check_slots(const struct statement_run *fresh)
{
	int64_t all = 0, own = 0;

	for (size_t i = 0; i < snow.n; i++) {
		const struct statement_run *s = &snow.v[i];

		if (!runs(s) || s->strange || s->home != fresh->home || s->life != fresh->life)
			continue;
		all++;
		own += s->subject == fresh->subject;
	}
	if (all > world.v[0].host.in_flight)
		violation(fresh->op, "g%d runs %lld statements in %lld slots", fresh->home, (long long)all,
			  (long long)world.v[0].host.in_flight);
	if (own > world.v[0].host.running)
		violation(fresh->op, "g%d runs %lld statements of one principal, who may have %lld", fresh->home,
			  (long long)own, (long long)world.v[0].host.running);
}

static usec_t some_duration(void)
{
	switch (chance(10)) {
	case 0:
		return between(SECONDS(5), SECONDS(60));
	case 1:
	case 2:
	case 3:
		return between(MS(300), SECONDS(6));
	default:
		return between(MS(1), MS(300));
	}
}

static void member(char *out, size_t size, const char *body, const char *key)
{
	const char *at = strstr(body, key);
	size_t n;

	*out = '\0';
	if (!at)
		return;
	at += strlen(key);
	n = strcspn(at, "\"");
	if (n < size)
		snprintf(out, size, "%.*s", (int)n, at);
}

static uint32_t op_of(const char *body)
{
	const char *at = strstr(body, "'q");

	return at ? (uint32_t)strtoul(at + 2, NULL, 10) : 0;
}

static struct statement_run *begin(struct flight *f, const char *request)
{
	struct statement_run *s = &snow.v[snow.n++];

	if (snow.n > STATEMENTS_MAX)
		violation(0, "too many statements for a world");
	*s = (struct statement_run){.op = op_of(f->body),
				    .begun = clock_now(),
				    .home = f->replica->number,
				    .life = f->replica->life,
				    .write = strstr(f->body, "INSERT") != NULL};
	snprintf(s->request, sizeof s->request, "%s", request);
	member(s->schema, sizeof s->schema, f->body, "\"schema\":\"");
	member(s->warehouse, sizeof s->warehouse, f->body, "\"warehouse\":\"");
	s->ends = clock_now() + (s->op ? some_duration() : MS(1));
	s->failed = s->op && !chance(25);
	if (charting)
		chart_sent(request, s->op);
	if (!s->op) {
		s->strange = true;
		return s;
	}
	if (s->op > ops_n)
		violation(0, "a statement that nobody asked for");
	s->subject = sessions[ops[s->op].session].subject[0];
	/* what is taken up by another process had its slot in the first one */
	s->strange = ops[s->op].home != s->home || ops[s->op].home_life != s->life || ops[s->op].moved;
	chart(SNOWFLAKE, SNOWFLAKE, s->op, "executes q%u for %lld ms", s->op, (long long)((s->ends - s->begun) / 1000));
	people_executed(s->op, s->schema, s->warehouse);
	if (!s->strange)
		check_slots(s);
	return s;
}

static struct statement_run *known(const char *request)
{
	for (size_t i = snow.n; i-- > 0;)
		if (!strcmp(snow.v[i].request, request))
			return &snow.v[i];
	return NULL;
}

/* ---- answers ---- */

static void status(struct flight *f, int code, const char *text, const struct statement_run *s)
{
	f->status = code;
	buf_addf(&f->answer, "{\"code\":\"%s\",\"sqlState\":\"00000\",\"message\":\"as simulated\"", text);
	if (s)
		buf_addf(&f->answer, ",\"statementHandle\":\"" HANDLE_FORMAT "\"", (size_t)(s - snow.v));
	buf_addc(&f->answer, '}');
}

#define COLUMN(name) "{\"name\":\"" name "\",\"type\":\"text\",\"nullable\":true}"

static void rows(struct flight *f, const struct statement_run *s)
{
	f->status = 200;
	buf_addf(&f->answer,
		 "{\"code\":\"090001\",\"sqlState\":\"00000\",\"message\":\"done\",\"statementHandle\":\"" HANDLE_FORMAT
		 "\",",
		 (size_t)(s - snow.v));
	if (!s->op)
		buf_addf(
		    &f->answer,
		    "\"resultSetMetaData\":{\"numRows\":1,\"partitionInfo\":[{\"rowCount\":1}],\"rowType\":[" COLUMN(
			"R") "," COLUMN("W") "," COLUMN("D") "," COLUMN("S") "]},\"data\":[[\"ANALYST\",\"%s\","
									     "\"SALES\",\"%s\"]]}",
		    s->warehouse, s->schema);
	else if (s->write)
		buf_addf(&f->answer,
			 "\"stats\":{\"numRowsInserted\":1},\"resultSetMetaData\":{\"numRows\":1,\"partitionInfo\":"
			 "[{\"rowCount\":1}],\"rowType\":[" COLUMN("number of rows inserted") "]},\"data\":[[\"1\"]]}");
	else
		buf_addf(
		    &f->answer,
		    "\"resultSetMetaData\":{\"numRows\":1,\"partitionInfo\":[{\"rowCount\":1}],\"rowType\":[" COLUMN(
			"N") "]},\"data\":[[\"row of q%u.\"]]}",
		    s->op);
}

static void tell(struct flight *f, const struct statement_run *s)
{
	if (s->cancelled)
		status(f, 422, "000604", s);
	else if (clock_now() < s->ends)
		status(f, 202, "333334", s);
	else if (s->failed)
		status(f, 422, "001003", s);
	else if (s->ends - s->begun > LIMIT)
		status(f, 422, "000630", s);
	else
		rows(f, s);
}

static void take_submit(struct flight *f)
{
	struct statement_run *s = NULL;
	char request[37];

	member(request, sizeof request, f->path, "requestId=");
	snprintf(request, sizeof request, "%.36s", strstr(f->path, "requestId=") + strlen("requestId="));
	if (strstr(f->path, "retry=true"))
		s = known(request);
	if (!s)
		s = begin(f, request);
	s->strange |= f->lost;
	if (s->op || clock_now() >= s->ends)
		tell(f, s);
	else
		rows(f, s); /* the gateway's own short ones are waited for */
}

static void take_other(struct flight *f)
{
	const char *at = strstr(f->path, HANDLE_PREFIX);
	size_t n = at ? strtoul(at + strlen(HANDLE_PREFIX), NULL, 10) : STATEMENTS_MAX;
	struct statement_run *s = n < snow.n ? &snow.v[n] : NULL;

	if (!s)
		violation(0, "a handle that was never given: %.100s", f->path);
	s->strange |= f->lost;
	if (f->op != WIRE_CANCEL) {
		tell(f, s);
		return;
	}
	if (clock_now() >= s->ends && !s->cancelled) {
		status(f, 422, "000605", s);
		return;
	}
	s->cancelled = true;
	chart(SNOWFLAKE, SNOWFLAKE, s->op, "q%u is cancelled", s->op);
	status(f, 200, "000604", s);
}

/* ---- on the way ---- */

static uint32_t op_of_flight(const struct flight *f)
{
	const char *at = strstr(f->path, HANDLE_PREFIX);
	size_t n = at ? strtoul(at + strlen(HANDLE_PREFIX), NULL, 10) : STATEMENTS_MAX;

	return f->op == WIRE_SUBMIT ? op_of(f->body) : n < snow.n ? snow.v[n].op : 0;
}

static void mark_strange(const struct flight *f)
{
	uint32_t op = op_of_flight(f);

	world.last_fault = clock_now();
	for (size_t i = 0; i < snow.n; i++)
		snow.v[i].strange |= op && snow.v[i].op == op;
}

static const char *const names[] = {"submit", "poll", "fetch", "cancel", "rest", "token"};

static void answers(struct timer *t)
{
	struct flight *f = container_of(t, struct flight, answers);
	struct wire_request *rq = f->request;
	struct replica *r = f->replica;

	if (rq && (r->paused || !r->alive)) { /* it finds it when it goes on */
		after(&f->answers, MS(20), answers);
		return;
	}
	if (rq) {
		rq->retry_after_s = f->status == 429 && chance(2) ? 1 + (int64_t)chance(3) : -1;
		rq->result = f->lost ? f->result : WIRE_ANSWERED;
		rq->status = f->lost ? 0 : f->status;
		snprintf(rq->error, sizeof rq->error, "simulated");
		if (!f->lost)
			buf_add(&rq->answer, f->answer.data, f->answer.n);
		rq->transfer = NULL;
		chart(SNOWFLAKE, GATEWAY, op_of_flight(f), "g%d: %d%s", r->number, f->lost ? 0 : f->status,
		      f->lost ? " (lost)" : "");
	}
	flight_free(f);
	if (rq)
		replica_wire_done(r, rq);
}

static void arrives(struct timer *t)
{
	struct flight *f = container_of(t, struct flight, arrives);
	usec_t back = between(MS(1), MS(40));

	if (!f->status) {
		if (f->op == WIRE_SUBMIT)
			take_submit(f);
		else
			take_other(f);
	}
	if (f->result == WIRE_TIMEOUT && f->lost)
		back = SECONDS(60);
	else if (!world.healed && one_in(40))
		back = between(MS(100), SECONDS(4));
	after(&f->answers, back, answers);
}

static void go_wrong(struct flight *f)
{
	static const int busy[] = {429, 503, 500, 504};

	mark_strange(f);
	switch (chance(6)) {
	case 0: /* nothing was sent */
		f->lost = true;
		f->result = WIRE_REFUSED;
		after(&f->answers, between(MS(1), MS(50)), answers);
		return;
	case 1: /* reset before it came */
		f->lost = true;
		f->result = WIRE_BROKEN;
		after(&f->answers, between(MS(1), MS(50)), answers);
		return;
	case 2: /* or after */
		f->lost = true;
		f->result = WIRE_BROKEN;
		break;
	case 3:
		f->lost = true;
		f->result = WIRE_TIMEOUT;
		break;
	default:
		f->status = busy[chance(ARRAY_LEN(busy))];
		buf_addf(&f->answer, "{\"code\":\"000000\",\"message\":\"not now\"}");
	}
	after(&f->arrives, between(MS(1), MS(60)), arrives);
}

static void send(struct wire *w, struct wire_request *rq)
{
	struct replica *r = container_of(w, struct replica, wire);
	struct flight *f;

	host_called(r);
	f = xalloc(sizeof *f);
	f->request = rq;
	f->replica = r;
	f->op = rq->op;
	snprintf(f->path, sizeof f->path, "%s", rq->path);
	f->body = xstrndup(rq->body.n ? rq->body.data : "", rq->body.n);
	f->answer = buf_with_ceiling(1 << 16);
	f->next = snow.flights;
	f->prev = &snow.flights;
	if (f->next)
		f->next->prev = &f->next;
	snow.flights = f;
	rq->transfer = f;
	chart(GATEWAY, SNOWFLAKE, op_of_flight(f), "g%d: %s%s", r->number, names[f->op],
	      strstr(f->path, "retry=true") ? " retry" : "");
	if (!world.healed && one_in(world.wire_faults))
		go_wrong(f);
	else
		after(&f->arrives, !world.healed && one_in(60) ? between(MS(100), SECONDS(3)) : between(MS(1), MS(40)),
		      arrives);
	host_called(r);
}

/* What was sent may still arrive. */
static void give_up(struct wire *w, struct wire_request *rq)
{
	struct flight *f = rq->transfer;

	(void)w;
	if (f->op == WIRE_SUBMIT)
		mark_strange(f);
	f->request = NULL;
	f->lost = true;
	rq->transfer = NULL;
	if (!timer_pending(&f->arrives))
		after(&f->answers, 1, answers);
}

static void resume(struct wire *w, struct wire_request *rq)
{
	(void)w, (void)rq;
}

static void move(struct wire *w, struct wire_request *from, struct wire_request *to)
{
	(void)w;
	((struct flight *)to->transfer)->request = to;
	from->transfer = NULL;
}

void snow_wire(struct replica *r)
{
	r->wire = (struct wire){.send = send, .abort = give_up, .resume = resume, .move = move};
	for (struct flight *f = snow.flights; f; f = f->next)
		if (f->replica == r) {
			f->request = NULL; /* a new process: nobody waits for these */
			f->lost = true;
		}
}

/* ---- what must hold at the end ---- */

/* Who cancelled in time, with nothing wrong on the way, had it cancelled. */
static void check_cancelled(const struct statement_run *s, const struct op *o)
{
	const struct replica *r = &world.v[o->home];
	usec_t from = o->cancelled > s->begun ? o->cancelled : s->begun;

	if (!o->cancelled || s->cancelled || s->strange || o->moved || o->keyed)
		return;
	if (o->cancel_home != o->home || o->cancel_life != o->home_life || s->home != o->home ||
	    s->life != o->home_life)
		return;
	if (r->life != s->life || r->disturbed > o->asked || s->ends < from + CANCEL_WITHIN)
		return;
	violation(s->op, "the cancel of q%u was acknowledged %lld ms before its statement ended by itself", s->op,
		  (long long)((s->ends - o->cancelled) / USEC_PER_MS));
}

void snow_check(void)
{
	for (size_t i = 0; i < snow.n; i++)
		if (snow.v[i].op)
			check_cancelled(&snow.v[i], &ops[snow.v[i].op]);
}
