/* Work that another process, or another call, has begun: its call begins again, and finds its statement where it is. */
#include "gateway_internal.h"

#include <string.h>

#include "snowgate/kill.h"

/* What was never answered with a handle is sent again only so long after it was recorded (design, 6). */
#define SEND_AGAIN_S 300
/* What cannot be begun here is looked at again after so long. */
#define LOOK_AGAIN_MS ((int64_t)60 * 1000)

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
	usec_t age = clock_wall_usec() - j->born;

	memcpy(c->op.id, j->id, sizeof c->op.id);
	memcpy(c->op.stream, j->stream, sizeof c->op.stream);
	memcpy(c->op.task, j->task, sizeof c->op.task);
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
	if (j->unknown && arena_attach(c->arena, j->unknown, json_release))
		c->op.unknown_members = TAKE(j->unknown);
}

/* First of all it becomes this process's. */
static void take_over(struct call *c, struct slice record)
{
	c->record = buf_with_ceiling(STORE_VALUE_MAX);
	buf_add(&c->record, record.data, record.n);
	c->step = STEP_take;
}

/* The call is at hand, and has its ticket. */
static void begin_with(struct call *c, struct ticket *t, struct journal *j, struct ticket *asker)
{
	bool over = c->op.over;
	handle_t exchange = asker ? asker->exchange : 0;

	memcpy(t->operation, j->id, sizeof t->operation);
	t->version = j->version + !over;
	t->journaled = *j->stream != '\0';
	t->adopts = true;
	if (*j->task && !over)
		task_take(t, j);
	if (asker) {
		t->get = TAKE(asker->get);
		ticket_leave_exchange(asker);
	}
	if (exchange)
		ticket_take_exchange(t, exchange);
}

/* `asker`: whose exchange its answer goes to; NULL: none. False: it is left as it is. */
static bool begin(struct journal *j, struct slice record, bool over, uint64_t number, struct ticket *asker)
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
	KILL_POINT(adopt_before);
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
	if (!over)
		take_over(c, record);
	c->op.number = number;
	begin_with(c, t, j, asker);
	conf_use(rq->conf);
	call_run(c);
	return true;
}

static void log_newer(const char *id)
{
	log_event(LOG_ERROR, "record_newer", log_text("what", "operation"), log_text("operation", id));
}

void adopt_left(const char *id, uint64_t version, struct slice record)
{
	struct journal j;

	if (working_on(id).found)
		return;
	if (!journal_read(&j, &gateway.journal, id, version, record)) {
		if (j.newer)
			log_newer(id);
		return;
	}
	if (journal_over(&j))
		lease_set(&j.principal, id, version, STORE_NO_DUE);
	else if (!begin(&j, record, false, 0, NULL)) /* another process may know its principal, or be able to read it */
		lease_set(&j.principal, id, version, LOOK_AGAIN_MS);
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

	if (!journal_read(&j, &gateway.journal, f->id, f->version, buf_slice(&f->record))) {
		if (j.newer) {
			log_newer(f->id);
			c->fault = (struct mcp_fault){ERR_OVERLOADED,
						      "the stream was written by a newer version of the gateway; "
						      "come back for it",
						      NULL};
		}
		return NULL;
	}
	if (is_of(&j, session) && (s = stream_found(session, f, j.stream, &kind, &number))) {
		struct working w = working_on(j.id);
		bool fine = kind == 'l' || w.adopts;

		/* one that is under way here and has left its stream will not come back to it */
		if (!fine && (kind == 'r' || (!w.found && (*j.handle || !journal_over(&j)))))
			fine = begin(&j, buf_slice(&f->record), kind == 'r', kind == 'r' ? number : 0, NULL);
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
	c->answered = s && s->finished; /* with `running`: no other answer follows, and this one is kept */
	if (!s || s->ticket || s->finished)
		return;
	s->ticket = t->self;
	t->stream = s;
	if (s->exchange)
		ticket_take_exchange(t, s->exchange);
}

void adopt_unwanted(const char *session, struct slice request)
{
	struct unwanted *u = &gateway.unwanted[gateway.unwanted_n++ % ARRAY_LEN(gateway.unwanted)];

	OWNED_BY(THREAD_NET);
	*u = (struct unwanted){0};
	if (request.n >= sizeof u->request || strlen(session) >= sizeof u->session)
		return;
	memcpy(u->session, session, strlen(session));
	memcpy(u->request, request.data, request.n);
}

static bool is_unwanted(const struct ticket *t)
{
	for (size_t i = 0; t->session && t->request_id && i < ARRAY_LEN(gateway.unwanted); i++)
		if (strcmp(gateway.unwanted[i].session, t->session->id) == 0 &&
		    strcmp(gateway.unwanted[i].request, t->request_id) == 0)
			return true;
	return false;
}

bool adopt_bound(struct call *c, struct ticket *t)
{
	t->adopts = false;
	if (!c->op.over && is_unwanted(t))
		ticket_cancel(t, "notification");
	if (*c->op.stream && t->session)
		take_stream(c, t);
	if (t->task.told)
		task_read(t, c);
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

/* ---- its task ---- */

bool adopt_task(struct journal *j, struct slice record)
{
	return begin(j, record, false, 0, NULL);
}

bool adopt_rows(struct journal *j, struct ticket *asker)
{
	return begin(j, (struct slice){0}, true, 0, asker);
}

/* ---- its session has ended ---- */

/* Nobody hears of it. */
static void answer_nobody(struct call *c)
{
	(void)c;
}

/* Whether it was sent is not known. Who comes back by its key is told that; nobody else can come back. */
static enum step orphan_end(struct call *c)
{
	struct statement *s = &c->plan[0];

	if (!c->op.version)
		return STEP_reply;
	if (*c->op.task) { /* who asks for it is told the same */
		c->fault = (struct mcp_fault){0};
		tool_error(
		    c, ERR_OUTCOME_UNKNOWN, NULL, NULL,
		    "the session ended before the gateway was restarted; whether the statement ran is not known");
		return STEP_settle;
	}
	if (c->op.digest) {
		*s = (struct statement){.kind = STATEMENT_RUN, .write = true, .state = STATEMENT_UNKNOWN};
		memcpy(s->request_id, c->op.request_id, sizeof s->request_id);
		c->plan_n = 1;
		c->op.claim = c->op.digest; /* which key it was does not matter: the record is kept for one */
	}
	return STEP_event;
}

enum step adopt_orphan(struct call *c)
{
	static const struct handler handler = {.answer = answer_nobody};
	struct statement *s = &c->plan[0];

	if (!c->op.again || c->fault.err != ERR_SESSION || c->op.over)
		return STEP_reply;
	if (!*c->op.handle)
		return orphan_end(c);
	*s = (struct statement){.kind = STATEMENT_CANCEL};
	memcpy(s->handle, c->op.handle, sizeof s->handle);
	c->plan_n = 1;
	c->handler = &handler;
	c->fault = (struct mcp_fault){0};
	ticket_of(c)->cancelled = true;
	return STEP_sign;
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
	same = principal_equal(&j.principal, &c->request->principal) &&
	       strcmp(j.digest, c->op.digest ? c->op.digest : "") == 0;
	c->op.again = true;
	c->op.unknown = !*j.handle && (j.state == STATEMENT_UNKNOWN || (!journal_over(&j) && is_late(&j)));
	c->op.claim = NULL;
	memcpy(c->op.request_id, j.request_id, sizeof c->op.request_id);
	memcpy(c->op.handle, j.handle, sizeof c->op.handle);
	journal_clear(&j);
	return same ? adopt_planned(c) : refuse_other(c);
}
