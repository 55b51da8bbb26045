/* What a call reads from the store and what it must have written there: one batch piece per step, done after the
 * commit. */
#include "gateway_internal.h"

#include <string.h>

/* Keys. A session is found by its id or by its handle; the second leads to the first. Ids are kept as their SHA-256. */
#define KEY_SIZE 200

/* Snowflake keeps results for a day; of a write that has ended nobody asks so long. */
#define OPEN_KEPT_S  (24 * 3600)
#define ENDED_KEPT_S 3600

struct durable {
	struct store_work work;
	struct call *call;
	enum step next;
	int rc;
};

static void key_of_id(char key[KEY_SIZE], const char *id)
{
	struct sha256 hash = crypt_sha256(id, strlen(id));
	struct buf hex = buf_with_ceiling(80);

	hex_encode(&hex, hash.bytes, sizeof hash.bytes);
	snprintf(key, KEY_SIZE, "id:%s", buf_text(&hex));
	buf_free(&hex);
}

static void key_of_handle(char key[KEY_SIZE], const char *handle, const struct principal *p)
{
	struct buf text = buf_with_ceiling(512), hex = buf_with_ceiling(80);
	struct sha256 hash;

	principal_encode(&text, p);
	hash = crypt_sha256(text.data, text.n);
	hex_encode(&hex, hash.bytes, sizeof hash.bytes);
	snprintf(key, KEY_SIZE, "handle:%s:%.12s", buf_text(&hex), handle);
	buf_free(&text);
	buf_free(&hex);
}

/* What was not stored. Before the statement is sent, it is not sent; after, its outcome is told all the same. */
static void durable_failed(struct call *c, enum step next)
{
	log_event(LOG_ERROR, "store_refused", log_text("request", c->request->id), log_text("step", step_name(next)));
	if (next == STEP_sign || c->durable.put || c->durable.forget)
		c->fault = (struct mcp_fault){ERR_OVERLOADED, "the store refused the record; try again", NULL};
	if (next == STEP_sign) {
		c->durable.operation = false;
		c->step = STEP_settle;
	}
}

static void durable_done(struct store_work *w, int commit)
{
	struct durable *d = container_of(w, struct durable, work);
	struct call *c = d->call;
	int rc = d->rc == ERR_OK ? commit : d->rc;

	c->step = d->next;
	if (rc != ERR_OK && d->next == STEP_bind) {
		if (rc != ERR_NOT_FOUND) {
			c->fault = (struct mcp_fault){ERR_OVERLOADED, "the store cannot be read now; try again", NULL};
			c->step = STEP_reply;
		}
	} else if (rc != ERR_OK) {
		durable_failed(c, d->next);
	}
	free(d);
	call_run(c);
}

static enum verdict durable_post(struct call *c, enum step next,
				 void (*work)(struct store_work *, struct store *, const struct store_backend *))
{
	struct durable *d = xalloc(sizeof *d);

	*d = (struct durable){.work = {.work = work, .done = durable_done}, .call = c, .next = next};
	store_post(&d->work);
	return WAIT;
}

/* ---- load: a session that is not in memory ---- */

static void work_load(struct store_work *w, struct store *s, const struct store_backend *backend)
{
	struct durable *d = container_of(w, struct durable, work);
	struct call *c = d->call;
	char key[KEY_SIZE];

	if (c->session_handle) {
		struct buf pointer = buf_with_ceiling(KEY_SIZE);

		key_of_handle(key, c->session_handle, &c->request->principal);
		d->rc = backend->get(s, RECORD_SESSION, key, &pointer);
		snprintf(key, sizeof key, "%s", buf_text(&pointer));
		buf_free(&pointer);
	} else {
		key_of_id(key, c->request->mcp.session_id);
	}
	buf_clear(&c->record);
	if (d->rc == ERR_OK)
		d->rc = backend->get(s, RECORD_SESSION, key, &c->record);
}

enum verdict step_load(struct call *c)
{
	c->loaded = true;
	return durable_post(c, STEP_bind, work_load);
}

/* ---- event: what the answer acknowledges ---- */

static void operation_record(struct buf *b, const struct call *c, const struct statement *st)
{
	static const char *const states[] = {"new", "sent", "running", "succeeded", "failed", "cancelled", "unknown"};
	json_t *record =
	    json_pack("{s:i, s:i, s:s, s:s, s:s, s:s}", "format", 1, "reader", 1, "requestId", st->request_id, "handle",
		      st->handle, "state", states[st->state], "principal", c->request->principal.subject);

	json_write(b, record);
	json_decref(record);
}

static int put_operation(const struct call *c, struct store *s, const struct store_backend *backend)
{
	const struct statement *st = &c->plan[0];
	struct buf b = buf_with_ceiling(4096);
	char key[KEY_SIZE];
	int64_t kept = st->state >= STATEMENT_SUCCEEDED && st->state != STATEMENT_UNKNOWN ? ENDED_KEPT_S : OPEN_KEPT_S;
	int rc;

	snprintf(key, sizeof key, "operation:%s", st->request_id);
	operation_record(&b, c, st);
	rc = backend->put(s, RECORD_OPERATION, key, buf_slice(&b), clock_wall() + kept);
	buf_free(&b);
	return rc;
}

static int put_session(const struct call *c, struct store *s, const struct store_backend *backend)
{
	int64_t expires = clock_wall() + c->request->conf->session_absolute_ttl / USEC_PER_S;
	char key[KEY_SIZE], pointer[KEY_SIZE];
	int rc;

	key_of_id(key, c->session_id);
	rc = backend->put(s, RECORD_SESSION, key, buf_slice(&c->record), expires);
	if (rc != ERR_OK || !*c->durable.handle)
		return rc;
	key_of_handle(pointer, c->durable.handle, &c->request->principal);
	return backend->put(s, RECORD_SESSION, pointer, slice_of(key), expires);
}

static int forget_session(const struct call *c, struct store *s, const struct store_backend *backend)
{
	char key[KEY_SIZE];
	int rc;

	key_of_id(key, c->session_id);
	rc = backend->del(s, RECORD_SESSION, key);
	key_of_handle(key, c->durable.handle, &c->request->principal);
	if (backend->del(s, RECORD_SESSION, key) == ERR_INTERNAL)
		rc = ERR_INTERNAL;
	return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

static void forget_ended(const struct call *c, struct store *s, const struct store_backend *backend)
{
	char key[KEY_SIZE];

	key_of_id(key, c->durable.ended.id);
	(void)backend->del(s, RECORD_SESSION, key);
	key_of_handle(key, c->durable.ended.handle, &c->request->principal);
	(void)backend->del(s, RECORD_SESSION, key);
}

static void work_event(struct store_work *w, struct store *s, const struct store_backend *backend)
{
	struct durable *d = container_of(w, struct durable, work);
	const struct call *c = d->call;

	if (c->durable.put)
		d->rc = put_session(c, s, backend);
	if (c->durable.forget)
		d->rc = forget_session(c, s, backend);
	if (*c->durable.ended.id)
		forget_ended(c, s, backend);
	if (c->durable.operation && d->rc == ERR_OK)
		d->rc = put_operation(c, s, backend);
}

enum verdict step_event(struct call *c)
{
	return durable_post(c, STEP_reply, work_event);
}

/* ---- intent and handle: a write is noted before it is sent, and again when its handle is known ---- */

static void work_operation(struct store_work *w, struct store *s, const struct store_backend *backend)
{
	struct durable *d = container_of(w, struct durable, work);

	d->rc = put_operation(d->call, s, backend);
}

enum verdict step_intent(struct call *c)
{
	struct statement *st = call_statement(c);

	if (!*st->request_id)
		crypt_uuid(st->request_id);
	c->durable.operation = true;
	return durable_post(c, STEP_sign, work_operation);
}

enum verdict step_handle(struct call *c)
{
	return durable_post(c, STEP_poll, work_operation);
}
