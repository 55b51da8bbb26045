/* Cortex: paths, records, streams of events, errors. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "cortex_parts.h"
#include "reply.h"
#include "snowgate/wheel.h"

#define RUNS_MAX    1000
#define OBJECTS_MAX 64

/* A record of one request. */
struct cortex_run {
	enum operation op;
	char *path, *user, *role, *warehouse;
	char request_id[37];
	json_t *body;
	unsigned status;
	bool streams, open, disconnected;
	int64_t arrived_ms, ended_ms;
	uint64_t bytes;
	size_t events;
	struct cortex_run *older, *newer;
};

struct cortex {
	struct cortex_script script;
	char *objects[OBJECTS_MAX];
	size_t objects_n;
	struct cortex_run *oldest, *newest;
	size_t runs_n;
};

static const char *const own_objects[] = {"DEMO.PUBLIC.SUPPORT_DOCS", "DEMO.PUBLIC.SALES", "DEMO.PUBLIC.SALES_AGENT"};

struct cortex *cortex_new(void)
{
	struct cortex *cortex = xalloc(sizeof(*cortex));

	cortex->script.delay = CORTEX_DELAY;
	return cortex;
}

static void run_drop(struct cortex *cortex, struct cortex_run *run)
{
	*(run->older ? &run->older->newer : &cortex->oldest) = run->newer;
	*(run->newer ? &run->newer->older : &cortex->newest) = run->older;
	cortex->runs_n--;
	free(run->path);
	free(run->user);
	free(run->role);
	free(run->warehouse);
	json_decref(run->body);
	free(run);
}

static void objects_clear(struct cortex *cortex)
{
	for (size_t i = 0; i < cortex->objects_n; i++)
		free(cortex->objects[i]);
	cortex->objects_n = 0;
}

void cortex_reset(struct cortex *cortex)
{
	for (struct cortex_run *run = cortex->oldest, *next; run; run = next) {
		next = run->newer;
		if (!run->open)
			run_drop(cortex, run);
	}
	objects_clear(cortex);
	cortex->script = (struct cortex_script){.delay = CORTEX_DELAY};
}

void cortex_free(struct cortex *cortex)
{
	objects_clear(cortex);
	while (cortex->oldest)
		run_drop(cortex, cortex->oldest);
	free(cortex);
}

bool cortex_has(const struct cortex *cortex, const char *object)
{
	for (size_t i = 0; i < ARRAY_LEN(own_objects); i++) {
		if (!strcasecmp(own_objects[i], object))
			return true;
	}
	for (size_t i = 0; i < cortex->objects_n; i++) {
		if (!strcasecmp(cortex->objects[i], object))
			return true;
	}
	return false;
}

/* ---- paths ---- */

/* {db}, {schema} and {name} of /api/v2/databases/{db}/schemas/{schema}/KIND/{name}ACTION as "DB.SCHEMA.NAME". */
static bool path_object(const char *path, const char *kind, const char *action, char object[CORTEX_OBJECT_MAX])
{
	static const char databases[] = "/api/v2/databases/", schemas[] = "/schemas/";
	const char *db, *schema, *name, *end;
	int n;

	if (strncmp(path, databases, strlen(databases)))
		return false;
	db = path + strlen(databases);
	schema = strstr(db, schemas);
	name = schema ? strstr(schema + strlen(schemas), kind) : NULL;
	if (!name)
		return false;
	schema += strlen(schemas);
	end = name + strlen(name) - strlen(action);
	name += strlen(kind);
	if (end <= name || strcmp(end, action) || memchr(name, '/', (size_t)(end - name)))
		return false;
	n = snprintf(object, CORTEX_OBJECT_MAX, "%.*s.%.*s.%.*s", (int)(schema - strlen(schemas) - db), db,
		     (int)(name - strlen(kind) - schema), schema, (int)(end - name), name);
	for (char *c = object; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	return n > 0 && n < CORTEX_OBJECT_MAX && !strchr(object, '/');
}

static enum operation path_read(const char *path, char object[CORTEX_OBJECT_MAX])
{
	*object = 0;
	if (!strcmp(path, "/api/v2/cortex/analyst/message"))
		return OP_ANALYST;
	if (!strcmp(path, "/api/v2/cortex/agent:run"))
		return OP_AGENT;
	if (path_object(path, "/cortex-search-services/", ":query", object))
		return OP_SEARCH;
	if (path_object(path, "/agents/", ":run", object))
		return OP_AGENT;
	return OP_OTHER;
}

enum operation cortex_route(const char *path)
{
	char object[CORTEX_OBJECT_MAX];

	return path_read(path, object);
}

/* ---- answers ---- */

void cortex_error(struct exchange *e, unsigned status, const char *code, const char *message, const char *request_id)
{
	reply_json(e, status,
		   json_pack("{s:s,s:s,s:s,s:s}", "message", message, "code", code, "error_code", code, "request_id",
			     request_id));
}

void cortex_bad(const struct cortex_call *call, const char *why)
{
	cortex_error(call->exchange, 400, "390142", why, call->request_id);
}

void cortex_missing(const struct cortex_call *call, const char *kind, const char *object)
{
	char message[CORTEX_OBJECT_MAX + 64];

	(void)snprintf(message, sizeof(message), "%s '%s' does not exist or not authorized.", kind, object);
	cortex_error(call->exchange, 404, "002003", message, call->request_id);
}

bool cortex_mentions(const char *text, const char *word)
{
	return strcasestr(text, word) != NULL;
}

const char *cortex_question(const json_t *body)
{
	const json_t *messages = json_object_get(body, "messages");

	for (size_t i = json_array_size(messages); i > 0; i--) {
		const json_t *message = json_array_get(messages, i - 1), *content = json_object_get(message, "content");
		const char *role = json_text_of(message, "role");

		if (!role || strcmp(role, "user"))
			continue;
		for (size_t k = 0; k < json_array_size(content); k++) {
			const char *text = json_text_of(json_array_get(content, k), "text");

			if (text)
				return text;
		}
	}
	return NULL;
}

/* ---- streams ---- */

void stream_open(struct cortex_stream *s, const struct cortex_call *call)
{
	*s = (struct cortex_stream){.call = call, .text = buf_with_ceiling(CORTEX_TEXT_MAX)};
}

static void stream_add(struct cortex_stream *s, const char *name, const char *data)
{
	const struct cortex_script *script = s->call->script;
	bool stalled = script->stall_after && (int64_t)s->n >= script->stall_after;

	buf_adds(&s->text, "event: ");
	buf_adds(&s->text, name);
	buf_adds(&s->text, "\ndata: ");
	buf_adds(&s->text, data);
	buf_adds(&s->text, "\n\n");
	s->pieces = xrealloc(s->pieces, (s->n + 1) * sizeof(*s->pieces));
	s->pieces[s->n] = (struct answer_piece){s->text.n, (usec_t)s->n * script->delay + (stalled ? CORTEX_STALL : 0)};
	s->n++;
}

void stream_text(struct cortex_stream *s, const char *name, const char *data)
{
	struct buf error = buf_with_ceiling(4096);
	json_t *body;

	if (!s->ended && s->call->script->error_after && (int64_t)s->n >= s->call->script->error_after) {
		body = json_pack("{s:s,s:s,s:s,s:s}", "message", "Agent execution error.", "code", "399504",
				 "error_code", "399504", "request_id", s->call->request_id);
		json_write(&error, body);
		stream_add(s, "error", buf_text(&error));
		json_decref(body);
		s->ended = true;
	}
	buf_free(&error);
	if (!s->ended)
		stream_add(s, name, data);
}

void stream_event(struct cortex_stream *s, const char *name, json_t *data)
{
	struct buf text = buf_with_ceiling(CORTEX_TEXT_MAX);

	json_write(&text, data);
	stream_text(s, name, buf_text(&text));
	buf_free(&text);
	json_decref(data);
}

void stream_answer(struct cortex_stream *s)
{
	struct answer *a = &s->call->exchange->answer;

	reply_empty(s->call->exchange, 200);
	a->body = buf_take(&s->text, &a->n);
	a->type = "text/event-stream";
	a->shape = ANSWER_STREAM;
	a->pieces = s->pieces;
	a->pieces_n = s->n;
}

/* ---- requests ---- */

static struct cortex_run *run_add(struct cortex *cortex, enum operation op, const struct caller *caller,
				  const char *role, const char *warehouse, const struct cortex_call *call)
{
	struct cortex_run *run = xalloc(sizeof(*run));

	run->op = op;
	run->path = xstrdup(call->exchange->path);
	run->user = xstrdup(caller->user);
	run->role = role ? xstrdup(role) : NULL;
	run->warehouse = warehouse ? xstrdup(warehouse) : NULL;
	(void)snprintf(run->request_id, sizeof(run->request_id), "%s", call->request_id);
	run->body = json_incref((json_t *)call->body);
	run->arrived_ms = clock_wall_usec() / 1000;
	run->open = true;
	run->older = cortex->newest;
	*(cortex->newest ? &cortex->newest->newer : &cortex->oldest) = run;
	cortex->newest = run;
	if (++cortex->runs_n > RUNS_MAX && !cortex->oldest->open)
		run_drop(cortex, cortex->oldest);
	return run;
}

struct cortex_run *cortex_serve(struct cortex *cortex, struct exchange *e, enum operation op,
				const struct caller *caller, const char *role, const char *warehouse,
				const char *request_id)
{
	struct cortex_call call = {
	    .cortex = cortex, .exchange = e, .script = &cortex->script, .request_id = request_id};
	struct cortex_run *run;
	json_t *body = NULL;

	(void)path_read(e->path, call.object);
	if (json_parse(buf_slice(&e->body), JSON_DEPTH_MAX, &body, NULL, 0) != JSON_OK)
		body = NULL;
	call.body = body;
	run = run_add(cortex, op, caller, role, warehouse, &call);
	if (!json_is_object(body))
		cortex_bad(&call, "The body is not a JSON object.");
	else if (op == OP_SEARCH)
		search_serve(&call);
	else if (op == OP_ANALYST)
		analyst_serve(&call);
	else
		agent_serve(&call);
	run->streams = e->answer.shape == ANSWER_STREAM;
	json_decref(body);
	return run;
}

void cortex_left(struct cortex *cortex, struct cortex_run *run, const struct exchange *e)
{
	(void)cortex;
	run->open = false;
	run->status = e->answer.status;
	run->ended_ms = clock_wall_usec() / 1000;
	run->bytes = e->put;
	run->disconnected = e->put < answer_size(&e->answer) || e->phase < EXCHANGE_QUEUED;
	while (run->events < e->answer.pieces_n && e->answer.pieces[run->events].end <= e->put)
		run->events++;
}

/* ---- control ---- */

static bool script_objects(struct cortex *cortex, const json_t *list)
{
	size_t i;
	json_t *one;

	if (!json_is_array(list) || json_array_size(list) > OBJECTS_MAX)
		return false;
	objects_clear(cortex);
	json_array_foreach(list, i, one)
	{
		if (!json_is_string(one))
			return false;
		cortex->objects[cortex->objects_n++] = xstrdup(json_string_value(one));
	}
	return true;
}

bool cortex_script(struct cortex *cortex, const json_t *spec, char *why, size_t size)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)spec, name, value)
	{
		int64_t n = json_integer_value(value);
		bool number = json_is_integer(value) && n >= 0 && n <= 86400000;

		if (number && !strcmp(name, "delay_ms"))
			cortex->script.delay = n * USEC_PER_MS;
		else if (number && !strcmp(name, "error_after"))
			cortex->script.error_after = n;
		else if (number && !strcmp(name, "stall_after"))
			cortex->script.stall_after = n;
		else if (strcmp(name, "objects") || !script_objects(cortex, value)) {
			(void)snprintf(why, size, "%.64s is not understood", name);
			return false;
		}
	}
	return true;
}

static json_t *run_json(const struct cortex_run *run)
{
	const char *outcome = run->open ? "open" : run->disconnected ? "disconnected" : "answered";
	json_t *one =
	    json_pack("{s:s,s:s,s:s,s:s?,s:s?,s:s,s:s,s:b,s:I,s:I,s:I,s:I,s:i}", "op", operation_name(run->op), "path",
		      run->path, "user", run->user, "role", run->role, "warehouse", run->warehouse, "request_id",
		      run->request_id, "outcome", outcome, "streams", run->streams, "arrived_at",
		      (json_int_t)run->arrived_ms, "ended_at", (json_int_t)run->ended_ms, "bytes",
		      (json_int_t)run->bytes, "events", (json_int_t)run->events, "status", (int)run->status);

	json_object_set(one, "body", run->body ? run->body : json_null());
	return one;
}

json_t *cortex_json(const struct cortex *cortex)
{
	json_t *all = json_array();

	for (const struct cortex_run *run = cortex->newest; run; run = run->older)
		json_array_append_new(all, run_json(run));
	return all;
}
