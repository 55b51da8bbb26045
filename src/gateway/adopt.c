/* Work that another process, or another call, has begun: its call begins again, and finds its statement where it is. */
#include "gateway_internal.h"

#include <string.h>

/* What was never answered with a handle is sent again only so long after it was recorded (design, 6). */
#define SEND_AGAIN_S 300

/* ---- whose it is ---- */

struct sought {
	const struct principal *principal;
	bool found;
};

static void is_sought(const struct principal *p, void *ctx)
{
	struct sought *s = ctx;

	s->found |= principal_equal(p, s->principal);
}

/* Would it be let in today? */
static bool is_admitted(const struct principal *p)
{
	struct sought s = {.principal = p};

	if (p->kind == PRINCIPAL_LOCAL)
		return gateway.conf->auth_mode == AUTH_NONE;
	keyring_each(gateway.keys, clock_wall(), is_sought, &s);
	return s.found;
}

struct working {
	const char *operation;
	bool found, adopts;
};

static void is_working(handle_t h, void *object, void *ctx)
{
	const struct ticket *t = object;
	struct working *w = ctx;

	(void)h;
	if (strcmp(t->operation, w->operation) != 0)
		return;
	w->found = true;
	w->adopts |= t->adopts;
}

static struct working working_on(const char *operation)
{
	struct working w = {.operation = operation};

	handle_each(gateway.tickets, is_working, &w);
	return w;
}

/* ---- the call again ---- */

static bool is_late(const struct journal *j)
{
	int64_t now = clock_wall();

	return now > j->created + SEND_AGAIN_S || (j->deadline && now > j->deadline);
}

static void give_back(struct call *c, struct journal *j, bool over)
{
	usec_t age = clock_wall_usec() - json_int_of(j->sealed, "born", j->created * 1000) * USEC_PER_MS;

	memcpy(c->op.id, j->id, sizeof c->op.id);
	memcpy(c->op.stream, j->stream, sizeof c->op.stream);
	memcpy(c->op.request_id, j->request_id, sizeof c->op.request_id);
	memcpy(c->op.handle, j->handle, sizeof c->op.handle);
	c->born -= age > 0 ? age : 0;
	c->elapsed = over ? j->elapsed : 0;
	c->op.version = j->version;
	c->op.created = j->created;
	c->op.again = true;
	c->op.over = over;
	c->op.unknown = !*j->handle && is_late(j);
	c->op.digest = *j->digest ? arena_strdup(c->arena, j->digest) : NULL;
	c->op.sealed = arena_attach(c->arena, j->sealed, json_release) ? TAKE(j->sealed) : NULL;
}

/* False: it is left as it is. */
static bool begin(struct journal *j, bool over, uint64_t number)
{
	struct request *rq = is_admitted(&j->principal) ? journal_request(j, gateway.conf) : NULL;
	struct ticket *t = NULL;
	struct call *c;

	if (!rq || !(rq->policy = conf_policy(rq->conf, &rq->principal))) {
		log_event(LOG_WARN, "operation_left", log_text("operation", j->id),
			  log_text("principal", j->principal.subject));
		request_free(rq);
		return false;
	}
	c = call_new(rq);
	t = ticket_open(c, 0);
	if (t)
		ticket_bind_account(t, account_of(gateway.accounts, &rq->principal, clock_now()));
	if (!t || !t->account) {
		if (t)
			ticket_close(t);
		call_free(c);
		return false;
	}
	give_back(c, j, over);
	c->op.number = number;
	memcpy(t->operation, j->id, sizeof t->operation);
	t->adopts = true;
	log_event(LOG_INFO, "operation_adopted", log_text("request", rq->id), log_text("operation", j->id),
		  log_text("query", j->handle), log_text("principal", rq->principal.subject));
	conf_use(rq->conf);
	call_run(c);
	return true;
}

void adopt_left(const char *id, uint64_t version, struct slice record)
{
	struct journal j;

	if (working_on(id).found || !journal_read(&j, &gateway.journal, id, version, record))
		return;
	if (!journal_over(&j))
		(void)begin(&j, false, 0);
	journal_clear(&j);
}

/* ---- its stream ---- */

/* The events that were told, as they were. Returns the letter of the answer; 0: it is not there yet, -1: no memory. */
static int events_restore(struct stream *s, const struct found *f, uint64_t *number)
{
	for (const struct store_row *row = f->events; row; row = row->next) {
		struct buf text = buf_with_ceiling(STORE_VALUE_MAX);
		char kind = journal_event_read(&text, &gateway.journal, f->id, (struct slice){row->value, row->n});
		bool fine = kind && (kind == 'r' ||
				     stream_append(gateway.streams, s, buf_slice(&text), kind == 'l', clock_now()));

		buf_free(&text);
		if (!fine)
			return -1;
		if (kind != 'r')
			stream_commit(s, row->version);
		s->posted = *number = row->version;
		if (kind != 'e')
			return kind;
	}
	return 0;
}

static struct stream *stream_found(struct session *session, const struct found *f, const char *id, int *kind,
				   uint64_t *number)
{
	struct stream *s = stream_restore(gateway.streams, &session->streams, id, 0);

	*number = 0;
	*kind = s ? events_restore(s, f, number) : -1;
	if (s && *kind < 0)
		stream_free(gateway.streams, TAKE(s));
	return s;
}

static bool is_of(const struct journal *j, const struct session *s)
{
	const char *id = json_text_of(j->sealed, "session");

	return *j->stream && principal_equal(&j->principal, &s->principal) && id && strcmp(id, s->id) == 0;
}

struct stream *adopt_stream(struct call *c, struct session *session)
{
	const struct found *f = c->found;
	struct stream *s = NULL;
	struct journal j;
	uint64_t number;
	int kind;

	if (!journal_read(&j, &gateway.journal, f->id, f->version, buf_slice(&f->record)))
		return NULL;
	if (is_of(&j, session) && (s = stream_found(session, f, j.stream, &kind, &number))) {
		struct working w = working_on(j.id);
		bool fine = kind == 'l' || w.adopts;

		/* one that is under way here and has left its stream will not come back to it */
		if (!fine && (kind == 'r' || (!w.found && (*j.handle || !journal_over(&j)))))
			fine = begin(&j, kind == 'r', kind == 'r' ? number : 0);
		if (!fine)
			stream_free(gateway.streams, TAKE(s));
	}
	journal_clear(&j);
	return s;
}

/* It may have come back before its call, with a client that asked for it. */
static void take_stream(struct call *c, struct ticket *t)
{
	struct stream *s = stream_of(&t->session->streams, c->op.stream);
	uint64_t number;
	int kind = 0;

	if (!s && c->found)
		s = stream_found(t->session, c->found, c->op.stream, &kind, &number);
	if (!s || s->ticket || s->finished)
		return;
	s->ticket = t->self;
	t->stream = s;
	if (s->exchange)
		ticket_take_exchange(t, s->exchange);
}

bool adopt_bound(struct call *c, struct ticket *t)
{
	t->adopts = false;
	if (*c->op.stream && t->session)
		take_stream(c, t);
	if (c->op.sealed && journal_restore(c, c->op.sealed))
		return true;
	c->fault = (struct mcp_fault){ERR_NOMEM, "the call is too large to begin again", NULL};
	return false;
}

void adopt_end(const struct call *c, const struct ticket *t)
{
	struct session *session =
	    t->session ? t->session
		       : session_by_id(gateway.sessions, c->request->mcp.session_id, &c->request->principal);
	struct stream *s = session && *c->op.stream && !t->stream ? stream_of(&session->streams, c->op.stream) : NULL;
	struct listener *l;

	if (!s || s->ticket || s->finished)
		return;
	l = s->exchange ? listener_by_exchange(s->exchange) : NULL;
	if (l) {
		l->stream = NULL;
		listener_close(l);
	}
	stream_free(gateway.streams, s);
}

/* ---- its session has ended ---- */

/* Nobody hears of it. */
static void answer_nobody(struct call *c)
{
	(void)c;
}

bool adopt_orphan(struct call *c)
{
	static const struct handler handler = {.answer = answer_nobody};
	struct statement *s = &c->plan[0];

	if (c->fault.err != ERR_SESSION || c->op.over || !*c->op.handle)
		return false;
	*s = (struct statement){.kind = STATEMENT_CANCEL};
	memcpy(s->handle, c->op.handle, sizeof s->handle);
	c->plan_n = 1;
	c->handler = &handler;
	c->fault = (struct mcp_fault){0};
	ticket_of(c)->cancelled = true;
	return true;
}

/* ---- its statement ---- */

static bool refuse_unknown(struct call *c, struct statement *s)
{
	s->state = s->write ? STATEMENT_UNKNOWN : STATEMENT_FAILED;
	s->failure = (struct failure){.err = s->write ? ERR_OUTCOME_UNKNOWN : ERR_UPSTREAM,
				      .message = s->write ? err_info(ERR_OUTCOME_UNKNOWN)->text
							  : "the gateway was restarted before Snowflake was known to "
							    "have the statement; send it again"};
	tool_statement_error(c, s);
	return false;
}

bool adopt_planned(struct call *c)
{
	struct statement *s = c->plan_n ? &c->plan[0] : NULL;

	if (!s || s->kind != STATEMENT_RUN || s->metadata)
		return true;
	memcpy(s->request_id, c->op.request_id, sizeof s->request_id);
	memcpy(s->handle, c->op.handle, sizeof s->handle);
	s->again = *s->request_id != '\0';
	if (c->op.sealed) /* nobody waits for an answer that can be `running` */
		c->deadline = 0;
	return !c->op.unknown || refuse_unknown(c, s);
}

/* ---- the same key again ---- */

static bool refuse_other(struct call *c)
{
	tool_error(c, ERR_INVALID_PARAMS, NULL, NULL,
		   "idempotency_key: it was used for another statement; take a new one for this");
	return false;
}

bool journal_join(struct call *c, const char *id, uint64_t version, struct slice record)
{
	struct journal j;
	bool same;

	if (!journal_read(&j, &gateway.journal, id, version, record)) {
		tool_error(c, ERR_OVERLOADED, NULL, NULL,
			   "idempotency_key: what it was used for cannot be read by this version of the gateway");
		return false;
	}
	same = principal_equal(&j.principal, &c->request->principal) && strcmp(j.digest, c->op.digest) == 0;
	c->op.again = true;
	c->op.unknown = !*j.handle && (j.state == STATEMENT_UNKNOWN || (!journal_over(&j) && is_late(&j)));
	c->op.claim = NULL;
	memcpy(c->op.request_id, j.request_id, sizeof c->op.request_id);
	memcpy(c->op.handle, j.handle, sizeof c->op.handle);
	journal_clear(&j);
	return same ? adopt_planned(c) : refuse_other(c);
}
