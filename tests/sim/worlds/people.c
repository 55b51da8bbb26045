/* The clients of a world: what they ask for, what they are told, and when they come back for it. */
#include <stdlib.h>
#include <string.h>

#include "people.h"

enum { EXCHANGES_MAX = 40000, CALLS = 100, TRIES_MAX = 400 };

struct op ops[OPS_MAX + 1];
uint32_t ops_n;
struct session_kept sessions[SESSIONS_MAX];
int sessions_n;

static struct {
	struct exchange *v[EXCHANGES_MAX + 1];
	size_t n;
	uint32_t most; /* calls in this world */
} people;

static void act(struct timer *t);

/* ---- exchanges ---- */

struct exchange *exchange_of(handle_t x)
{
	if (x < 1 || x > people.n)
		violation(0, "exchange %llu that there is not", (unsigned long long)x);
	return people.v[x];
}

static bool is_open(const struct exchange *x)
{
	return x->state == X_WAITS || x->state == X_STREAMS;
}

/* On its way; where the process is not there it is refused, where it stands still it waits. */
static void arrives(struct timer *t)
{
	struct exchange *x = container_of(t, struct exchange, timer);
	struct replica *r = x->replica;

	if (x->state != X_WAITS)
		return;
	if (!r->alive) {
		chart(GATEWAY, CLIENT, x->op, "g%d: refused", r->number);
		exchange_ended(x, X_REFUSED);
		return;
	}
	if (r->paused) {
		after(t, MS(20), arrives);
		return;
	}
	x->arrived = true;
	x->life = r->life;
	replica_request(r, x->self, &x->message);
}

struct exchange *exchange_new(enum asks what, int session, uint32_t op, struct replica *r)
{
	struct exchange *x = xalloc(sizeof *x);

	if (people.n >= EXCHANGES_MAX)
		violation(op, "a world of too many requests");
	people.v[++people.n] = x;
	x->self = people.n;
	x->what = what;
	x->session = session;
	x->op = op;
	x->replica = r;
	x->message.method = HTTP_POST;
	x->message.subject = sessions[session].subject;
	return x;
}

void exchange_go(struct exchange *x, const char *what)
{
	chart(CLIENT, GATEWAY, x->op, "g%d: %s", x->replica->number, what);
	after(&x->timer, !world.healed && one_in(20) ? between(MS(1), MS(500)) : between(100, MS(5)), arrives);
}

static void gone(struct timer *t)
{
	struct exchange *x = container_of(t, struct exchange, timer);
	struct replica *r = x->replica;

	if (!x->arrived || !x->untold || !r->alive || r->life != x->life)
		return;
	if (r->paused) {
		after(t, MS(20), gone);
		return;
	}
	x->untold = false;
	replica_gone(r, x->self);
}

static void exchange_leave(struct exchange *x)
{
	if (!is_open(x))
		return;
	chart(CLIENT, CLIENT, x->op, "leaves g%d", x->replica->number);
	x->untold = true;
	exchange_ended(x, X_LEFT);
	after(&x->timer, between(100, MS(50)), gone);
}

void people_broken(int replica)
{
	for (size_t i = 1; i <= people.n; i++) {
		struct exchange *x = people.v[i];

		if (is_open(x) && x->arrived && x->replica->number == replica)
			exchange_ended(x, X_BROKEN);
	}
}

void people_leave(void)
{
	for (size_t i = 1; i <= people.n; i++)
		exchange_leave(people.v[i]);
}

/* ---- what the gateway tells ---- */

static struct replica *of(struct transport *t)
{
	return container_of(t, struct replica, transport);
}

static struct exchange *mine(struct transport *t, handle_t exchange)
{
	static struct exchange nobody = {.state = X_LEFT};
	struct exchange *x = exchange ? exchange_of(exchange) : &nobody;

	if (x == &nobody) /* its client has left, and the gateway knows */
		return x;
	if (x->replica != of(t) || x->life != of(t)->life)
		violation(x->op, "an exchange of another process is answered");
	return x;
}

static bool take_answer(struct transport *t, handle_t exchange, struct answer *a)
{
	struct exchange *x = mine(t, exchange);
	bool there = x->state == X_WAITS;

	host_called(of(t));
	if (there) {
		x->status = a->status;
		for (size_t i = 0; i < a->headers_n; i++)
			if (!strcmp(a->headers[i].name, "Mcp-Session-Id") && x->what == ASK_BEGIN && a->status == 200 &&
			    !sessions[x->session].acknowledged) /* asked twice, it stays with its first answer */
				snprintf(sessions[x->session].id, sizeof sessions[x->session].id, "%s",
					 a->headers[i].value);
		chart(GATEWAY, CLIENT, x->op, "g%d: %d %.60s", x->replica->number, a->status,
		      a->body.n > 60 ? buf_text(&a->body) + a->body.n - 60
		      : a->body.n    ? buf_text(&a->body)
				     : "");
		told_answer(x, a->body.n ? buf_text(&a->body) : "");
		if (x->state == X_WAITS)
			exchange_ended(x, X_DONE);
	} else if (x->state != X_LEFT && x->state != X_BROKEN) {
		violation(x->op, "an exchange is answered twice");
	}
	answer_free(a);
	host_called(of(t));
	return there;
}

static bool open_stream(struct transport *t, handle_t exchange, struct answer *head)
{
	struct exchange *x = mine(t, exchange);
	bool there = x->state == X_WAITS;

	host_called(of(t));
	if (there) {
		x->state = X_STREAMS;
		x->status = head->status;
	}
	answer_free(head);
	return there;
}

static enum stream_sent send_event(struct transport *t, handle_t exchange, const struct sse_event *e)
{
	struct exchange *x = mine(t, exchange);
	char *id, *data;

	host_called(of(t));
	if (x->state == X_LEFT || x->state == X_BROKEN)
		return STREAM_GONE;
	if (x->state != X_STREAMS)
		violation(x->op, "an event on what is no stream");
	id = xstrndup(e->id.data ? e->id.data : "", e->id.n);
	data = xstrndup(e->data.data ? e->data.data : "", e->data.n);
	chart(GATEWAY, CLIENT, x->op, "g%d: event %s %.40s", x->replica->number, *id ? strrchr(id, '-') + 1 : "",
	      strstr(data, "\"method\"")   ? strstr(data, "\"method\"")
	      : strstr(data, "\"result\"") ? "result"
					   : data);
	told_event(x, id, data);
	free(id);
	free(data);
	host_called(of(t));
	return STREAM_SENT;
}

static void end_stream(struct transport *t, handle_t exchange)
{
	struct exchange *x = mine(t, exchange);

	host_called(of(t));
	if (x->state == X_STREAMS)
		exchange_ended(x, X_DONE);
}

static enum stream_sent send_raw(struct transport *t, handle_t exchange, struct slice bytes)
{
	(void)bytes;
	violation(mine(t, exchange)->op, "bytes that nobody asked for");
}

static size_t count_open(const struct transport *t)
{
	const struct replica *r = container_of(t, struct replica, transport);
	size_t n = 0;

	for (size_t i = 1; i <= people.n; i++)
		n += is_open(people.v[i]) && people.v[i]->replica == r && people.v[i]->life == r->life;
	return n;
}

static size_t streams_max(const struct transport *t)
{
	(void)t;
	return 10000;
}

static void nothing(struct transport *t)
{
	(void)t;
}

static bool uses(const struct transport *t, const struct conf *conf)
{
	(void)t, (void)conf;
	return false;
}

static void configure(struct transport *t, const struct conf *conf)
{
	(void)t, (void)conf;
}

void people_transport(struct replica *r)
{
	r->transport = (struct transport){.answer = take_answer,
					  .stream_open = open_stream,
					  .stream_send = send_event,
					  .stream_raw = send_raw,
					  .stream_break = end_stream,
					  .stream_end = end_stream,
					  .open = count_open,
					  .streams_max = streams_max,
					  .loop_end = nothing,
					  .listen_off = nothing,
					  .configure = configure,
					  .uses = uses};
}

/* ---- what clients ask for ---- */

static struct op *op_new(enum op_kind kind, int session)
{
	struct op *o = &ops[++ops_n];

	if (ops_n >= OPS_MAX)
		violation(0, "a world of too many calls");
	*o = (struct op){.n = ops_n, .kind = kind, .session = session, .home = -1, .asked = clock_now()};
	world.calls++;
	return o;
}

static void some_query(int session)
{
	struct op *o = op_new(chance(3) ? OP_READ : OP_WRITE, session);

	o->keyed = o->kind == OP_WRITE && chance(2);
	o->waits = chance(4) == 0;
	o->progress = chance(2);
	op_ask(o, some_replica());
}

static void some_change(int session)
{
	struct session_kept *s = &sessions[session];
	struct op *o;

	if (s->schema_n >= CHANGES_MAX - 1 || s->warehouse_n >= CHANGES_MAX - 1)
		return;
	o = op_new(OP_CONTEXT, session);
	o->member = chance(2) ? 's' : 'w';
	o->value = (uint32_t)(o->member == 's' ? ++s->schema_n : ++s->warehouse_n);
	change_of(o)->asked = clock_now();
	change_of(o)->acknowledged = 0;
	op_ask(o, some_replica());
}

/* One of the session's newest calls that fits; NULL: none. */
static struct op *some_op(int session, bool (*fits)(const struct op *))
{
	struct op *found = NULL;
	size_t n = 0;

	for (uint32_t i = ops_n; i > 0 && i + 60 > ops_n; i--)
		if (ops[i].session == session && fits(&ops[i]) && one_in(++n))
			found = &ops[i];
	return found;
}

static bool is_running(const struct op *o)
{
	return o->handle != NULL;
}

static void some_result(int session)
{
	const struct op *of_op = some_op(session, is_running);
	struct op *o;

	if (!of_op)
		return;
	o = op_new(OP_RESULT, session);
	o->of = of_op->n;
	op_ask(o, some_replica());
}

static bool may_be_cancelled(const struct op *o)
{
	return !o->answered && !o->lost && !o->cancel_asked && exchange_of(o->exchange)->arrived;
}

/* By the replica that it was asked of, mostly. */
static void some_cancel(int session)
{
	struct op *o = sessions[session].modern ? NULL : some_op(session, may_be_cancelled);
	struct exchange *x;

	if (!o)
		return;
	o->cancel_asked = clock_now();
	o->waived = true;
	x = exchange_new(ASK_CANCEL, session, o->n, chance(4) && o->home >= 0 ? &world.v[o->home] : some_replica());
	x->message.session = x->texts[0] = xstrdup(sessions[session].id);
	x->message.body = x->texts[1] = xalloc(200);
	snprintf(x->texts[1], 200,
		 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%u}}", o->n);
	exchange_go(x, "cancel");
}

static bool is_waiting(const struct op *o)
{
	return !o->answered && !o->lost && is_open(exchange_of(o->exchange));
}

static void some_leave(int session)
{
	struct op *o = some_op(session, is_waiting);

	if (!o)
		return;
	if (sessions[session].modern) /* which is a cancel */
		o->waived = o->lost = true;
	exchange_leave(exchange_of(o->exchange));
}

static bool may_be_repeated(const struct op *o)
{
	return o->keyed && !is_waiting(o) && !o->waived && o->tries < 5;
}

/* The same key again, though it was answered. */
static void some_repeat(int session)
{
	struct op *o = some_op(session, may_be_repeated);

	if (o) {
		o->answered = 0;
		op_ask(o, some_replica());
	}
}

static void session_begin(int index);

static void some_delete(int session)
{
	struct session_kept *s = &sessions[session];
	struct exchange *x;

	if (s->modern || sessions_n >= SESSIONS_MAX)
		return;
	s->deleting = true;
	for (uint32_t i = 1; i <= ops_n; i++)
		ops[i].waived |= ops[i].session == session;
	x = exchange_new(ASK_DELETE, session, 0, some_replica());
	x->message.method = HTTP_DELETE;
	x->message.session = x->texts[0] = xstrdup(s->id);
	exchange_go(x, "DELETE of the session");
	session_begin(sessions_n);
}

/* ---- sessions ---- */

static void session_ask(struct session_kept *s)
{
	struct exchange *x = exchange_new(ASK_BEGIN, s->index, 0, some_replica());

	x->message.body = begin_body(s, &x->message);
	exchange_go(x, s->modern ? "set_context for a new session" : "initialize");
}

static void session_begin(int index)
{
	static const char *const subjects[] = {"alice", "bob", "alice"};
	struct session_kept *s = &sessions[index];

	memset(s, 0, sizeof *s);
	s->index = index;
	s->subject = subjects[chance(ARRAY_LEN(subjects))];
	s->modern = chance(4) == 0;
	sessions_n = index + 1;
	after(&s->acts, between(1, MS(300)), act);
}

static void act_once(int session)
{
	uint64_t what = chance(100);

	if (what < 52)
		some_query(session);
	else if (what < 68)
		some_change(session);
	else if (what < 76)
		some_cancel(session);
	else if (what < 86)
		some_leave(session);
	else if (what < 93)
		some_result(session);
	else if (what < 98)
		some_repeat(session);
	else if (chance(4) == 0)
		some_delete(session);
}

static void act(struct timer *t)
{
	struct session_kept *s = container_of(t, struct session_kept, acts);

	world.over |= ops_n >= people.most;
	if (world.over || s->deleting)
		return;
	if (!s->acknowledged)
		session_ask(s);
	else
		act_once(s->index);
	after(t, s->acknowledged ? between(MS(5), chance(3) ? MS(400) : SECONDS(4)) : SECONDS(1), act);
}

void people_begin(void)
{
	int n = 2 + (int)chance(3);

	memset(ops, 0, sizeof ops);
	ops_n = 0;
	sessions_n = 0;
	people.n = 0;
	people.most = CALLS / 2 + (uint32_t)chance(CALLS);
	for (int i = 0; i < n; i++)
		session_begin(i);
}

void people_end(void)
{
	for (size_t i = 1; i <= people.n; i++) {
		for (size_t t = 0; t < ARRAY_LEN(people.v[i]->texts); t++)
			free(people.v[i]->texts[t]);
		free(people.v[i]);
	}
	for (uint32_t i = 1; i <= ops_n; i++) {
		free(ops[i].answer);
		free(ops[i].handle);
		free(ops[i].hash);
	}
}

/* ---- the end ---- */

bool people_wait(void)
{
	for (uint32_t i = 1; i <= ops_n; i++)
		if (!ops[i].answered && !ops[i].lost && (!ops[i].waived || is_open(exchange_of(ops[i].exchange))))
			return true;
	return false;
}

/* All is well again: every session is asked once more, everywhere. */
void people_last(void)
{
	for (int i = 0; i < sessions_n; i++)
		for (int r = 0; sessions[i].acknowledged && r < world.n; r++) {
			struct op *o = op_new(OP_READ, i);

			o->last = true;
			o->waived = sessions[i].deleting;
			op_ask(o, &world.v[r]);
		}
}

void people_check(void)
{
	for (uint32_t i = 1; i <= ops_n; i++) {
		const struct op *o = &ops[i];

		if (!o->answered && !o->lost && !o->waived)
			violation(i, "q%u was never answered", i);
	}
}
