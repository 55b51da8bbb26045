/* Calls that outlast their request, for clients of the tasks extension: what they become, and who asks for them. */
#include "gateway_internal.h"
#include "piece.h"

#include <string.h>

#define RECORD_TICK (100 * USEC_PER_MS) /* until its call was met where it can be recorded */

/* ---- found by id ---- */

static struct ticket **bucket(const char *id)
{
	size_t h = 0;

	for (int i = 0; i < 4; i++) /* every character is 5 random bits */
		h = h << 5 | (id[i] & 31u);
	return &gateway.by_task[h % ARRAY_LEN(gateway.by_task)];
}

static struct ticket *task_any(const char *id)
{
	struct ticket *t = *bucket(id);

	while (t && strcmp(t->task.id, id) != 0)
		t = t->task.by_id;
	return t;
}

static struct ticket *task_here(const char *id, const struct principal *p)
{
	struct ticket *t = task_any(id);

	return t && t->account && principal_equal(&t->account->principal, p) ? t : NULL;
}

static void task_link(struct ticket *t)
{
	struct ticket **at = bucket(t->task.id);

	t->task.told = true;
	t->task.by_id = *at;
	*at = t;
}

void task_forget(struct ticket *t)
{
	struct ticket **at = bucket(t->task.id);

	if (t->task.told) {
		while (*at != t)
			at = &(*at)->task.by_id;
		*at = t->task.by_id;
	}
	t->task.told = false;
	*t->task.id = '\0';
}

void task_take(struct ticket *t, const struct journal *j)
{
	memcpy(t->task.id, j->task, sizeof t->task.id);
	t->task.created = j->created;
	t->task.updated = j->updated;
	task_link(t);
}

/* ---- how it stands ---- */

/* A task as it is told, and the texts that are in it. */
struct shown {
	struct task task;
	struct ask asks[ASKS_MAX];
	char keys[ASKS_MAX][ASK_ID_SIZE];
};

static struct task task_of(const char *id, enum task_status status, int64_t created, int64_t updated)
{
	return (struct task){.id = id,
			     .status = status,
			     .created = created,
			     .updated = updated,
			     .ttl_ms = OPERATION_KEPT_MS,
			     .poll_ms = TASK_POLL_MS};
}

/* Questions bear numbers that no other has in the task's life, also where the same is asked again. */
static void show_asks(struct shown *s, const struct ticket *t)
{
	const struct call *c = t->asking;

	for (size_t i = 0; i < c->asks_n; i++) {
		if (call_answer(c, c->asks[i].key))
			continue;
		ask_id(s->keys[s->task.asks_n], t, i);
		s->asks[s->task.asks_n] = c->asks[i];
		s->asks[s->task.asks_n].key = s->keys[s->task.asks_n];
		s->task.asks_n++;
	}
	s->task.asks = s->asks;
	s->task.status = TASK_INPUT_REQUIRED;
}

static void show(struct shown *s, const struct ticket *t)
{
	*s = (struct shown){.task = task_of(t->task.id, TASK_WORKING, t->task.created, t->task.updated)};
	if (t->asking)
		show_asks(s, t);
	else if (t->cancelled)
		s->task.message = "being cancelled";
	else if (*t->tell.latest.text)
		s->task.message = t->tell.latest.text;
}

/* ---- who listens ---- */

static bool tell_task(struct listener *l, const struct task *task)
{
	struct buf b = buf_with_ceiling(STORE_VALUE_MAX);
	enum stream_sent sent = STREAM_FULL;

	if (task_changed_write(&b, task, l->wanted->id))
		sent = listener_send(l, &(struct sse_event){.data = buf_slice(&b)});
	buf_free(&b);
	return listener_stays(l, sent); /* a reader too slow for it asks for it */
}

static bool names(const struct listener *l, const char *id)
{
	for (size_t i = 0; l->kind == LISTENER_LISTEN && i < l->wanted->listen.tasks_n; i++)
		if (strcmp(l->wanted->listen.tasks[i], id) == 0)
			return true;
	return false;
}

static void tell_listeners(const struct principal *p, const struct task *task)
{
	for (struct listener *l = gateway.listeners.oldest, *next; l; l = next) {
		next = l->next;
		if (names(l, task->id) && principal_equal(&l->account->principal, p))
			(void)tell_task(l, task);
	}
}

/* Nobody listens to what is another's. */
static void look_for_listeners(const char *task)
{
	for (const struct listener *l = gateway.listeners.oldest; l; l = l->next)
		if (names(l, task)) {
			task_look(task, &l->account->principal);
			return;
		}
}

void task_changed(struct ticket *t)
{
	struct shown s;

	t->task.updated = clock_wall();
	show(&s, t);
	tell_listeners(&t->account->principal, &s.task);
}

/* ---- a call becomes one ---- */

static void mint(char id[TASK_ID_SIZE])
{
	struct buf text = buf_with_ceiling(TASK_ID_SIZE);
	uint8_t bits[16];

	crypt_random(bits, sizeof bits);
	base32_encode(&text, bits, sizeof bits);
	memcpy(id, buf_text(&text), TASK_ID_SIZE);
	buf_free(&text);
}

void task_due(struct timer *timer)
{
	struct ticket *t = container_of(timer, struct ticket, tell.timer);

	if (t->cancelled || !t->exchange || !t->takes_task || t->task.told)
		return;
	if (!*t->task.id)
		mint(t->task.id);
	ticket_record(t);
	timer_set(gateway.wheel, timer, clock_now() + RECORD_TICK);
}

static void answer_created(struct ticket *t)
{
	struct buf result = buf_with_ceiling(8192);
	handle_t exchange = t->exchange;
	struct answer a;
	struct task task = task_of(t->task.id, TASK_WORKING, t->task.created, t->task.updated);

	answer_init(&a, 200, TYPE_JSON);
	a.body = buf_with_ceiling(16384);
	task_created_write(&result, &task);
	rpc_write_result(&a.body, slice_of(t->request_id), buf_slice(&result));
	buf_free(&result);
	ticket_leave_exchange(t);
	answer_send(exchange, &a);
}

void task_journaled(struct ticket *t, const char *operation, uint64_t version, int64_t created, bool fine)
{
	OWNED_BY(THREAD_NET);
	if (t->task.told)
		return;
	timer_stop(&t->tell.timer);
	if (!t->exchange) /* its client has left, and never heard of it */
		return;
	if (!fine) { /* it is answered when it is over, as if it could be no task */
		log_event(LOG_WARN, "task_not_recorded", log_text("request", t->request_id));
		t->takes_task = false;
		task_forget(t);
		return;
	}
	memcpy(t->operation, operation, sizeof t->operation);
	t->version = version;
	t->task.created = t->task.updated = created;
	task_link(t);
	log_event(LOG_INFO, "task", log_text("operation", operation),
		  log_text("principal", t->account->principal.subject));
	answer_created(t);
}

/* ---- and ends ---- */

/* A cancel came too late. */
static bool has_succeeded(const struct call *c)
{
	for (size_t i = 0; i < c->plan_n; i++)
		if (c->plan[i].kind != STATEMENT_RUN || c->plan[i].metadata || c->plan[i].state != STATEMENT_SUCCEEDED)
			return false;
	return c->plan_n > 0 && !c->change.wanted;
}

/* By whom it may be: another replica that was asked to, for one. */
static bool was_cancelled(const struct call *c)
{
	for (size_t i = 0; i < c->plan_n; i++)
		if (c->plan[i].state == STATEMENT_CANCELLED || c->plan[i].failure.err == ERR_CANCELLED)
			return true;
	return false;
}

void task_conclude(struct ticket *t, struct call *c)
{
	if (!t->task.told) { /* who waits for it gets the answer, and never hears of a task */
		t->takes_task = false;
		task_forget(t);
		return;
	}
	c->op.told = true;
	c->op.number = t->task.unwanted ? 2 : 1;
	if (was_cancelled(c) || (t->cancelled && !has_succeeded(c))) {
		c->op.last = 'c';
		answer_init(&c->http, 202, NULL);
	} else if (t->cancelled) {
		c->op.last = 'r';
	} else {
		c->op.last = answer_has_rows(c) ? 'r' : 'l';
		reply_answer(c, t);
	}
	t->task.last = c->op.last;
}

void task_end(struct ticket *t, const struct answer *a)
{
	struct task task = task_of(t->task.id, TASK_COMPLETED, t->task.created, clock_wall());

	if (t->task.last != 'r' || a->body.n) /* too late a cancel leaves no body */
		task.status = task_outcome(buf_slice(&a->body), &task.outcome);
	if (t->recorded && !t->taken)
		tell_listeners(&t->account->principal, &task);
	task_forget(t);
}

/* ---- tasks/get of one that has ended with rows ---- */

void task_got(struct ticket *t, struct call *c)
{
	static const struct mcp_fault unread = {
	    ERR_RESOURCE_READ, "the task has completed, but its rows cannot be read from Snowflake now; ask again",
	    NULL};
	struct task task = task_of(t->get->task, TASK_COMPLETED, t->get->created, t->get->updated);
	struct answer of_call = c->http;
	struct buf result = buf_with_ceiling(STORE_VALUE_MAX);
	bool fine = c->fault.err == ERR_OK && !c->answer.is_error &&
		    task_outcome(buf_slice(&of_call.body), &task.outcome) == TASK_COMPLETED &&
		    task_result_write(&result, &task);

	if (fine) {
		answer_init(&c->http, 200, TYPE_JSON);
		c->http.body = buf_with_ceiling(2 * STORE_VALUE_MAX);
		rpc_write_result(&c->http.body, ticket_request_id(t), buf_slice(&result));
	} else {
		answer_error(&c->http, c->request, ERA_MODERN, ticket_request_id(t), &unread);
	}
	buf_free(&result);
	answer_free(&of_call);
}

static struct task_get *task_get_new(const struct call *c, const struct journal *j)
{
	struct task_get *get = xalloc(sizeof *get + c->rpc.id.n);

	*get = (struct task_get){.created = j->created, .updated = j->updated, .id_n = c->rpc.id.n};
	memcpy(get->task, j->task, sizeof get->task);
	memcpy(get->id, c->rpc.id.data, c->rpc.id.n);
	return get;
}

static enum verdict get_rows(struct call *c, struct journal *j)
{
	struct ticket *t = ticket_of(c);

	if (!t->exchange)
		return call_goto(c, STEP_reply);
	t->get = task_get_new(c, j);
	if (adopt_rows(j, t))
		return call_goto(c, STEP_reply);
	return call_fail(c, ERR_RESOURCE_READ,
			 "the task has completed, but its call cannot be made again to read its rows");
}

/* ---- tasks/get, tasks/update and tasks/cancel ---- */

static enum verdict unknown(struct call *c)
{
	return call_fail(c, ERR_INVALID_PARAMS, "taskId: no task of yours has this id, or it is too old");
}

static enum verdict written(struct call *c, bool fits)
{
	return fits ? call_goto(c, STEP_reply) : call_fail(c, ERR_INTERNAL, "the answer does not fit");
}

static enum verdict acknowledge(struct call *c)
{
	return written(c, empty_result_write(&c->result, c->revision));
}

/* What of its answers belongs to an open question; returns how many. */
static size_t take_answers(const struct call *c, struct ticket *t)
{
	const json_t *given = json_object_get(c->rpc.params, "inputResponses");
	size_t n = 0;

	for (size_t i = 0; t->asking && i < t->asking->asks_n; i++) {
		const json_t *result;
		char id[ASK_ID_SIZE];

		ask_id(id, t, i);
		result = json_object_get(given, id);
		if (!result || call_answer(t->asking, t->asking->asks[i].key))
			continue;
		ask_take(t, i, result);
		n++;
	}
	return n;
}

static void give_back_answers(const struct call *c, struct ticket *t)
{
	for (size_t i = 0; i < t->asking->asks_n; i++) {
		char id[ASK_ID_SIZE];

		ask_id(id, t, i);
		if (json_object_get(json_object_get(c->rpc.params, "inputResponses"), id))
			json_object_del(t->asking->answers, t->asking->asks[i].key);
	}
}

static void update_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);

	if (w->rc != STORE_OK)
		p->call->fault =
		    (struct mcp_fault){ERR_OVERLOADED, "the store refused the answers; send them again", NULL};
	p->call->fed = true;
	piece_call_on(p);
}

/* They are in the store before that is said. */
static enum verdict update(struct call *c, struct ticket *t)
{
	struct piece *p;

	if (take_answers(c, t) == 0)
		return acknowledge(c);
	p = piece_new(c, update_done);
	memcpy(c->op.task, t->task.id, sizeof c->op.task);
	if (piece_put_operation(p, t->asking, lease_of(c->request->conf)))
		return piece_post(p, c, STEP_resumed);
	piece_free(p);
	return call_fail(c, ERR_TOO_LARGE, "the answers are too large to be kept");
}

static enum verdict updated(struct call *c)
{
	struct ticket *t = task_here(c->op.task, &c->request->principal);

	*c->op.task = '\0';
	if (c->fault.err != ERR_OK) {
		if (t && t->asking)
			give_back_answers(c, t);
		return call_goto(c, STEP_reply);
	}
	if (t && t->asking && ask_complete(t->asking))
		ask_over(t);
	else if (t && t->asking)
		task_changed(t);
	return acknowledge(c);
}

static void cancel_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);

	if (w->rc == STORE_OK)
		(void)empty_result_write(&p->call->result, p->call->revision);
	else
		p->call->fault =
		    (struct mcp_fault){ERR_OVERLOADED, "the store refused to note the cancel; try again", NULL};
	piece_call_on(p);
}

static void add_unwanted(struct piece *p, struct ticket *t)
{
	struct store_item *item;

	t->task.unwanted = true;
	if (t->version)
		piece_add(p, STORE_CHECK, RECORD_OPERATION, t->operation)->version = t->version;
	item = piece_add(p, STORE_APPEND, RECORD_OPERATION, t->operation);
	item->number = 1;
	item->value = SLICE("x");
}

/* It is on its way at once, and acknowledged when it cannot be forgotten any more. */
static enum verdict cancel(struct call *c, struct ticket *t)
{
	struct piece *p;

	if (t->task.unwanted || t->task.last)
		return acknowledge(c);
	p = piece_new(c, cancel_done);
	add_unwanted(p, t);
	(void)piece_post(p, c, STEP_reply);
	ticket_cancel(t, "task"); /* whose end is posted after it */
	return WAIT;
}

static void cancel_noted(struct store_work *w)
{
	piece_free(container_of(w, struct piece, work));
}

void task_heard(const char *task, bool unwanted)
{
	struct ticket *t = task_any(task);
	struct piece *p;

	if (!t && !unwanted)
		look_for_listeners(task);
	if (!t || !unwanted || t->task.unwanted || t->task.last)
		return;
	p = piece_alone(&t->account->principal, cancel_noted);
	add_unwanted(p, t);
	store_post(&p->work);
	ticket_cancel(t, "task");
}

static enum verdict with_ticket(struct call *c, struct ticket *t)
{
	struct shown s;

	if (c->method == MCP_TASKS_UPDATE)
		return update(c, t);
	if (c->method == MCP_TASKS_CANCEL)
		return cancel(c, t);
	show(&s, t);
	return written(c, task_result_write(&c->result, &s.task));
}

/* ---- what the store has of it ---- */

/* The letter of its end, the text of which is appended; 0: it has none. */
static char end_of(const struct found *f, struct buf *text)
{
	char letter = 0;

	for (const struct store_row *row = f->events; row; row = row->next)
		letter = journal_event_read(text, &gateway.journal, f->id, (struct slice){row->value, row->n});
	return letter == 'x' ? 0 : letter;
}

void task_read(struct ticket *t, const struct call *c)
{
	const struct found *f = c->found;
	struct slice first = {0};

	if (f && f->events)
		first = (struct slice){f->events->value, f->events->n};
	t->task.unwanted = first.n && *first.data == 'x';
	if (t->task.unwanted)
		ticket_cancel(t, "task");
}

static struct task task_found(const struct journal *j, char end, const struct buf *text)
{
	struct task task = task_of(j->task, TASK_COMPLETED, j->created, j->updated);

	if (end == 'l')
		task.status = task_outcome(buf_slice(text), &task.outcome);
	else if (end == 'c')
		task.status = TASK_CANCELLED;
	return task;
}

static enum verdict with_end(struct call *c, struct journal *j, char end, const struct buf *text)
{
	struct task task = task_found(j, end, text);

	if (c->method != MCP_TASKS_GET)
		return acknowledge(c);
	return end == 'r' ? get_rows(c, j) : written(c, task_result_write(&c->result, &task));
}

/* Its record is of a call that cannot be made again. */
static enum verdict with_nobody(struct call *c, const struct journal *j)
{
	static const char error[] =
	    "{\"code\":-32603,\"message\":\"the gateway was restarted, and the call cannot be gone on with\"}";
	struct task task = task_of(j->task, TASK_FAILED, j->created, j->updated);

	task.outcome = slice_of(error);
	if (c->method != MCP_TASKS_GET)
		return acknowledge(c);
	return written(c, task_result_write(&c->result, &task));
}

static void answer_cancelled(struct call *c)
{
	(void)empty_result_write(&c->result, c->revision);
}

static enum verdict cancel_there(struct call *c, const struct journal *j)
{
	static const struct handler handler = {.answer = answer_cancelled};

	replica_tell(TALE_TASK, json_pack("{s:s, s:b}", "task", j->task, "unwanted", 1));
	if (!*j->handle)
		return acknowledge(c);
	c->plan[0] = (struct statement){.kind = STATEMENT_CANCEL};
	memcpy(c->plan[0].handle, j->handle, sizeof c->plan[0].handle);
	c->plan_n = 1;
	c->handler = &handler;
	return call_goto(c, STEP_sign);
}

/* Another replica works on it. */
static enum verdict with_holder(struct call *c, const struct journal *j)
{
	struct task task = task_of(j->task, TASK_WORKING, j->created, j->updated);
	char message[100];

	if (c->method == MCP_TASKS_CANCEL)
		return cancel_there(c, j);
	if (c->method == MCP_TASKS_UPDATE)
		return call_fail(c, ERR_CONFLICT, "another replica works on this task; send it again");
	(void)snprintf(message, sizeof message, "running, query %s", j->handle);
	task.message = *j->handle ? message : NULL;
	return written(c, task_result_write(&c->result, &task));
}

static enum verdict with_record(struct call *c, struct journal *j)
{
	struct buf text = buf_with_ceiling(STORE_VALUE_MAX);
	const char end = end_of(c->found, &text);
	enum verdict v;

	if (end)
		v = with_end(c, j, end, &text);
	else if (!c->op.repeated) { /* it may have ended since it was read */
		c->op.repeated = true;
		v = call_goto(c, STEP_resume);
	} else if (c->found->due_ms > 0) {
		v = with_holder(c, j);
	} else {
		struct ticket *t =
		    adopt_task(j, buf_slice(&c->found->record)) ? task_here(j->task, &c->request->principal) : NULL;

		v = t ? with_ticket(c, t) : with_nobody(c, j);
	}
	buf_free(&text);
	return v;
}

static bool read_found(struct journal *j, const struct found *f, const struct principal *p, const char *task)
{
	if (!*f->id || !journal_read(j, &gateway.journal, f->id, f->version, buf_slice(&f->record)))
		return false;
	if (strcmp(j->task, task) == 0 && principal_equal(&j->principal, p))
		return true;
	journal_clear(j);
	return false;
}

/* The extension as an error names it. */
static enum verdict needs_extension(struct call *c)
{
	json_t *data = json_pack("{s:{s:{s:{}}}}", "requiredCapabilities", "extensions", TASKS_EXTENSION);
	enum verdict v = call_fail(c, ERR_CAPABILITY, "%s is for clients that declare the extension " TASKS_EXTENSION,
				   c->rpc.method);

	c->fault.data = arena_attach(c->arena, data, json_release) ? data : NULL;
	return v;
}

static enum verdict sought(struct call *c, const char *id)
{
	enum verdict v;
	struct journal j;

	if (!c->found || !read_found(&j, c->found, &c->request->principal, id))
		return unknown(c);
	v = with_record(c, &j);
	journal_clear(&j);
	return v;
}

enum verdict bind_task(struct call *c)
{
	const char *id = json_text_of(c->rpc.params, "taskId");
	struct ticket *t;

	if (c->fed)
		return updated(c);
	if (!c->meta.tasks)
		return needs_extension(c);
	if (!id)
		return call_fail(c, ERR_INVALID_PARAMS, "taskId: must be there and be a string");
	if (c->method == MCP_TASKS_UPDATE && !json_is_object(json_object_get(c->rpc.params, "inputResponses")))
		return call_fail(c, ERR_INVALID_PARAMS, "inputResponses: must be there and be an object");
	if (!task_id_shaped(id))
		return unknown(c);
	t = task_here(id, &c->request->principal);
	if (t)
		return with_ticket(c, t);
	if (c->sought)
		return sought(c, id);
	memcpy(c->op.task, id, sizeof c->op.task);
	return call_goto(c, STEP_resume);
}

/* ---- subscriptions/listen ---- */

static const struct found *found_of(const struct call *c, const char *task)
{
	const struct found *f = c->found;

	while (f && strcmp(f->task, task) != 0)
		f = f->next;
	return f;
}

/* Those that the client may hear of: it knows tasks, and they are its own. */
bool task_listen(struct call *c, struct listen *l)
{
	const struct principal *p = &c->request->principal;
	size_t n = 0;

	for (size_t i = 0; c->meta.tasks && i < l->tasks_n; i++) {
		const struct found *f = found_of(c, l->tasks[i]);
		struct journal j;

		if (!f && !task_here(l->tasks[i], p)) {
			if (strcmp(c->op.task, l->tasks[i]) == 0) /* no room for what was found */
				continue;
			memcpy(c->op.task, l->tasks[i], sizeof c->op.task);
			return false;
		}
		if (f && !read_found(&j, f, p, l->tasks[i]))
			continue;
		if (f)
			journal_clear(&j);
		l->tasks[n++] = l->tasks[i];
	}
	l->tasks_n = n;
	return true;
}

void task_found_told(const struct found *f, const struct principal *p)
{
	struct buf text = buf_with_ceiling(STORE_VALUE_MAX);
	char end = end_of(f, &text);
	struct journal j;
	struct task task;

	if (end && read_found(&j, f, p, f->task)) {
		task = task_found(&j, end, &text);
		tell_listeners(p, &task);
		journal_clear(&j);
	}
	buf_free(&text);
}

/* Others of the same principal that listen may hear of an end twice. */
void task_listened(const struct call *c, const struct listener *l)
{
	for (size_t i = 0; i < l->wanted->listen.tasks_n; i++)
		if (!task_any(l->wanted->listen.tasks[i]))
			task_look(l->wanted->listen.tasks[i], &c->request->principal);
}
