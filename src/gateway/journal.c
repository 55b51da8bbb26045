/* Operations as records of the store, and back. */
#include "journal.h"

#include <string.h>

#include "snowgate/crypt.h"

/* This program writes `format`; a record whose `reader` is higher is for newer programs only. */
#define FORMAT 1
#define READER 1

static const char *const states[] = {[STATEMENT_NEW] = "new",         [STATEMENT_SENT] = "sent",
				     [STATEMENT_RUNNING] = "running", [STATEMENT_SUCCEEDED] = "succeeded",
				     [STATEMENT_FAILED] = "failed",   [STATEMENT_CANCELLED] = "cancelled",
				     [STATEMENT_UNKNOWN] = "unknown"};

static const char *const kinds[] = {
    [PRINCIPAL_NONE] = "none", [PRINCIPAL_LOCAL] = "local", [PRINCIPAL_KEY] = "key", [PRINCIPAL_TOKEN] = "token"};

static int index_of(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; name && i < n; i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	return -1;
}

/* ---- sealing ---- */

bool journal_seal(struct buf *b, const struct seal_keys *keys, const char *id, struct slice secret)
{
	return crypt_seal(b, keys->v[0].bytes, slice_of(id), secret);
}

bool journal_open(struct buf *b, const struct seal_keys *keys, const char *id, struct slice sealed)
{
	for (size_t i = 0; i < keys->n; i++)
		if (crypt_open(b, keys->v[i].bytes, slice_of(id), sealed))
			return true;
	return false;
}

/* ---- writing ---- */

static void put_text(json_t *o, const char *key, const char *text)
{
	json_t *value = text && *text ? json_string(text) : NULL;

	if (value)
		json_object_set_new(o, key, value);
}

static json_t *context_whole(const struct context *x)
{
	json_t *o = context_json(x);

	if (x->parameters)
		json_object_set_new(o, "parameters", json_deep_copy(x->parameters));
	return o;
}

/* When the call came, in wall milliseconds: progress is counted from there, whoever goes on with it. */
static json_int_t born_of(const struct call *c)
{
	return (clock_wall_usec() - (clock_now() - c->born)) / USEC_PER_MS;
}

static json_t *secret_of(const struct call *c)
{
	const struct request *rq = c->request;
	json_t *o = json_object();

	if (rq->body.n <= JOURNAL_BODY_MAX)
		json_object_set_new(o, "body", json_stringn(rq->body.data, rq->body.n));
	put_text(o, "accept", rq->accept);
	put_text(o, "base", rq->base);
	put_text(o, "agent", rq->user_agent);
	put_text(o, "traceparent", rq->traceparent);
	put_text(o, "tracestate", rq->tracestate);
	put_text(o, "protocol", rq->mcp.protocol_version);
	put_text(o, "session", rq->mcp.session_id);
	json_object_set_new(o, "context", context_whole(&c->context));
	json_object_set_new(o, "born", json_integer(born_of(c)));
	json_object_set_new(o, "context_version", json_integer((json_int_t)c->context_version));
	if (c->answers)
		json_object_set(o, "answers", c->answers);
	return o;
}

static bool put_sealed(json_t *o, const struct seal_keys *keys, const struct call *c)
{
	struct buf plain = buf_with_ceiling(8 << 20), sealed = buf_with_ceiling(8 << 20),
		   text = buf_with_ceiling(12 << 20);
	json_t *secret = secret_of(c);
	bool fine = json_write(&plain, secret) && journal_seal(&sealed, keys, c->op.id, buf_slice(&plain)) &&
		    base64_encode(&text, sealed.data, sealed.n);

	if (fine)
		json_object_set_new(o, "sealed", json_stringn(text.data, text.n));
	json_decref(secret);
	crypt_wipe(plain.data, plain.n);
	buf_free(&plain);
	buf_free(&sealed);
	buf_free(&text);
	return fine;
}

static json_t *principal_json(const struct principal *p)
{
	json_t *o = json_object();

	put_text(o, "kind", kinds[p->kind]);
	put_text(o, "issuer", p->issuer);
	put_text(o, "subject", p->subject);
	put_text(o, "group", p->group);
	return o;
}

/* When the client's patience ends: nothing is sent for the first time after that. */
static int64_t deadline_of(const struct call *c)
{
	return c->deadline ? clock_wall() + (c->deadline - clock_now()) / USEC_PER_S : 0;
}

static void put_statement(json_t *o, const struct call *c)
{
	const struct statement *s = c->plan_n ? &c->plan[0] : NULL;

	if (!s || s->kind != STATEMENT_RUN || s->metadata)
		return;
	put_text(o, "request", s->request_id);
	put_text(o, "handle", s->handle);
	put_text(o, "state", states[s->state]);
	json_object_set_new(o, "write", json_boolean(s->write));
}

bool journal_write(struct buf *b, const struct seal_keys *keys, const struct call *c)
{
	json_t *o = json_object();
	bool fine;

	json_object_set_new(o, "format", json_integer(FORMAT));
	json_object_set_new(o, "reader", json_integer(READER));
	json_object_set_new(o, "principal", principal_json(&c->request->principal));
	json_object_set_new(o, "created", json_integer(c->op.created));
	json_object_set_new(o, "deadline", json_integer(deadline_of(c)));
	json_object_set_new(o, "elapsed", json_integer(c->elapsed));
	put_text(o, "stream", c->op.stream);
	put_text(o, "digest", c->op.digest);
	put_statement(o, c);
	fine = put_sealed(o, keys, c) && json_write(b, o);
	json_decref(o);
	return fine;
}

/* ---- reading ---- */

static bool get_text(char *out, size_t size, const json_t *o, const char *key)
{
	const char *text = json_text_of(o, key);

	if (text && strlen(text) >= size)
		return false;
	snprintf(out, size, "%s", text ? text : "");
	return true;
}

static bool get_principal(struct principal *p, const json_t *o)
{
	int kind = index_of(kinds, ARRAY_LEN(kinds), json_text_of(o, "kind"));

	*p = (struct principal){.kind = kind > 0 ? (enum principal_kind)kind : PRINCIPAL_NONE};
	return kind > 0 && get_text(p->issuer, sizeof p->issuer, o, "issuer") &&
	       get_text(p->subject, sizeof p->subject, o, "subject") && get_text(p->group, sizeof p->group, o, "group");
}

static json_t *get_sealed(const json_t *o, const struct seal_keys *keys, const char *id)
{
	struct buf sealed = buf_with_ceiling(8 << 20), plain = buf_with_ceiling(8 << 20);
	const char *text = json_text_of(o, "sealed");
	json_t *secret = NULL;

	if (text && base64_decode(&sealed, slice_of(text)) && journal_open(&plain, keys, id, buf_slice(&sealed)) &&
	    json_parse_trusted(buf_slice(&plain), &secret) != JSON_OK)
		secret = NULL;
	if (plain.n)
		crypt_wipe(plain.data, plain.n);
	buf_free(&sealed);
	buf_free(&plain);
	return secret;
}

static bool get_members(struct journal *j, const json_t *o)
{
	int state = index_of(states, ARRAY_LEN(states), json_text_of(o, "state"));

	j->state = state < 0 ? STATEMENT_NEW : (enum statement_state)state;
	j->write = json_bool_of(o, "write", false);
	j->created = json_int_of(o, "created", 0);
	j->deadline = json_int_of(o, "deadline", 0);
	j->elapsed = json_int_of(o, "elapsed", 0);
	return json_int_of(o, "reader", INT64_MAX) <= FORMAT &&
	       get_principal(&j->principal, json_object_get(o, "principal")) &&
	       get_text(j->stream, sizeof j->stream, o, "stream") &&
	       get_text(j->request_id, sizeof j->request_id, o, "request") &&
	       get_text(j->handle, sizeof j->handle, o, "handle") && get_text(j->digest, sizeof j->digest, o, "digest");
}

bool journal_read(struct journal *j, const struct seal_keys *keys, const char *id, uint64_t version,
		  struct slice record)
{
	json_t *o = NULL;
	bool fine;

	*j = (struct journal){.version = version};
	if (strlen(id) >= sizeof j->id || json_parse_trusted(record, &o) != JSON_OK)
		return false;
	memcpy(j->id, id, strlen(id) + 1);
	fine = json_is_object(o) && get_members(j, o);
	if (fine)
		j->sealed = get_sealed(o, keys, id);
	json_decref(o);
	return fine;
}

void journal_clear(struct journal *j)
{
	json_decref(j->sealed);
	j->sealed = NULL;
}

bool journal_over(const struct journal *j)
{
	return j->state >= STATEMENT_SUCCEEDED;
}

/* ---- the call again ---- */

/* As an HTTP request has it; the message and its headers were that large. */
#define ARENA_MAX ((size_t)64 << 20)

struct request *journal_request(const struct journal *j, const struct conf *conf)
{
	const json_t *body = json_object_get(j->sealed, "body");
	struct request *rq;
	struct arena *a;

	if (!json_is_string(body))
		return NULL;
	rq = request_new(conf, ARENA_MAX);
	a = rq->arena;
	rq->method = HTTP_POST;
	rq->principal = j->principal;
	rq->accept = arena_strdup(a, json_text_of(j->sealed, "accept"));
	rq->base = arena_strdup(a, json_text_of(j->sealed, "base"));
	rq->user_agent = arena_strdup(a, json_text_of(j->sealed, "agent"));
	rq->traceparent = arena_strdup(a, json_text_of(j->sealed, "traceparent"));
	rq->tracestate = arena_strdup(a, json_text_of(j->sealed, "tracestate"));
	rq->mcp.protocol_version = arena_strdup(a, json_text_of(j->sealed, "protocol"));
	rq->mcp.session_id = arena_strdup(a, json_text_of(j->sealed, "session"));
	rq->mcp.none = true;
	if (buf_add(&rq->body, json_string_value(body), json_string_length(body)))
		return rq;
	request_free(rq);
	return NULL;
}

bool journal_restore(struct call *c, json_t *sealed)
{
	const json_t *o = json_object_get(sealed, "context");
	struct context x = {json_text_of(o, "database"), json_text_of(o, "schema"), json_text_of(o, "warehouse"),
			    json_text_of(o, "role"), json_object_get(o, "parameters")};
	json_t *answers = json_object_get(sealed, "answers");

	c->context_version = (uint64_t)json_int_of(sealed, "context_version", (int64_t)c->context_version);
	if (json_is_object(answers)) {
		c->answers = json_incref(answers);
		if (!arena_attach(c->arena, c->answers, json_release))
			return false;
	}
	return context_copy(c->arena, &x, &c->context);
}

/* ---- events ---- */

bool journal_event_write(struct buf *b, const struct seal_keys *keys, const char *id, char kind, struct slice text)
{
	return buf_addc(b, kind) && (text.n == 0 || journal_seal(b, keys, id, text));
}

char journal_event_read(struct buf *text, const struct seal_keys *keys, const char *id, struct slice event)
{
	struct slice sealed = {event.data + 1, event.n - 1};

	if (event.n == 0 || !memchr("elr", event.data[0], 3))
		return 0;
	return event.n == 1 || journal_open(text, keys, id, sealed) ? event.data[0] : 0;
}
