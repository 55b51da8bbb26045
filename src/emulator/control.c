/* The control endpoint. */
#include "control.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "reply.h"
#include "snowgate/json.h"
#include "token.h"

#define RECORDS_DEFAULT 100
#define RECORDS_MAX     10000

static const char *const operation_names[OPS_N] = {
    [OP_SUBMIT] = "submit", [OP_POLL] = "poll",       [OP_FETCH] = "fetch",
    [OP_CANCEL] = "cancel", [OP_CONTROL] = "control", [OP_OTHER] = "other",
};

struct control *control_new(void)
{
	struct control *control = xalloc(sizeof(*control));

	control->faults = faults_new();
	return control;
}

void control_free(struct control *control)
{
	faults_free(control->faults);
	free(control);
}

static json_t *integer(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *operations_json(const struct control *control)
{
	json_t *all = json_object();

	for (size_t i = 0; i < OPS_N; i++)
		json_object_set_new(all, operation_names[i], integer(control->operations[i]));
	return all;
}

static json_t *statuses_json(const struct control *control)
{
	json_t *all = json_object();
	char name[8];

	for (unsigned i = 0; i < ARRAY_LEN(control->statuses); i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		if (control->statuses[i])
			json_object_set_new(all, name, integer(control->statuses[i]));
	}
	return all;
}

static json_t *stats_json(const struct emulator *emulator)
{
	const struct statement_counts *c = registry_counts(emulator->registry);
	const struct server_counts *s = server_counts(emulator->server);
	json_t *stats = json_object();

	json_object_set_new(stats, "requests", integer(emulator->control->requests));
	json_object_set_new(stats, "submitted", integer(c->submitted));
	json_object_set_new(stats, "executions", integer(c->executions));
	json_object_set_new(stats, "succeeded", integer(c->succeeded));
	json_object_set_new(stats, "failed", integer(c->failed));
	json_object_set_new(stats, "cancelled", integer(c->cancelled));
	json_object_set_new(stats, "timed_out", integer(c->timed_out));
	json_object_set_new(stats, "running", integer(c->running));
	json_object_set_new(stats, "max_running", integer(c->max_running));
	json_object_set_new(stats, "kept", integer(c->kept));
	json_object_set_new(stats, "kept_bytes", integer(c->bytes));
	json_object_set_new(stats, "ops", operations_json(emulator->control));
	json_object_set_new(stats, "statuses", statuses_json(emulator->control));
	json_object_set_new(stats, "by_query_tag", registry_gauges(emulator->registry, true));
	json_object_set_new(stats, "by_user", registry_gauges(emulator->registry, false));
	json_object_set_new(
	    stats, "by_protocol",
	    json_pack("{s:o,s:o}", "HTTP/1.0", integer(s->requests_http10), "HTTP/1.1", integer(s->requests_http11)));
	json_object_set_new(stats, "connections", integer(s->connections_open));
	json_object_set_new(stats, "connections_total", integer(s->connections_total));
	return stats;
}

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *member_of(const struct statement *s, const char *name)
{
	json_t *value = json_object_get(s->submission.body, name);

	return value ? json_incref(value) : json_null();
}

static json_t *record_json(const struct statement *s)
{
	const struct submission *u = &s->submission;
	const struct engine_context *c = &u->context;
	json_t *record = json_object();

	json_object_set_new(record, "handle", json_string(s->handle));
	json_object_set_new(record, "requestId", json_string(u->request_id));
	json_object_set_new(record, "retry", json_boolean(u->retry));
	json_object_set_new(record, "async", json_boolean(u->async));
	json_object_set_new(record, "sql", json_string(statement_text(s)));
	json_object_set_new(record, "user", json_string(u->user));
	json_object_set_new(record, "role", text_or_null(c->role));
	json_object_set_new(record, "warehouse", text_or_null(c->warehouse));
	json_object_set_new(record, "database", text_or_null(c->database));
	json_object_set_new(record, "schema", text_or_null(c->schema));
	json_object_set_new(record, "timeout", json_integer(u->timeout_s));
	json_object_set_new(record, "parameters", member_of(s, "parameters"));
	json_object_set_new(record, "bindings", member_of(s, "bindings"));
	json_object_set_new(record, "state", json_string(statement_state_name(s->state)));
	json_object_set_new(record, "code", s->outcome.code[0] ? json_string(s->outcome.code) : json_null());
	json_object_set_new(record, "submitted_at", json_integer(s->created_ms));
	json_object_set_new(record, "ended_at", s->ended_ms ? json_integer(s->ended_ms) : json_null());
	json_object_set_new(record, "executions", integer(s->executions));
	json_object_set_new(record, "attempts", integer(s->attempts));
	json_object_set_new(record, "user_agent", json_string(u->user_agent));
	return record;
}

static void serve_records(struct emulator *emulator, struct exchange *e)
{
	const char *asked = exchange_query(e, "n"), *request_id = exchange_query(e, "requestId");
	json_t *records = json_array();
	int64_t n = RECORDS_DEFAULT;

	if (asked && !parse_int(asked, 1, RECORDS_MAX, &n))
		n = RECORDS_DEFAULT;
	for (struct statement *s = registry_newest(emulator->registry); s && n > 0; s = s->older) {
		if (request_id && strcmp(request_id, s->submission.request_id))
			continue;
		json_array_append_new(records, record_json(s));
		n--;
	}
	reply_json(e, 200, records);
}

static void serve_record(struct emulator *emulator, struct exchange *e, const char *handle)
{
	struct statement *s = statement_by_handle(emulator->registry, handle, NULL);

	if (s)
		reply_json(e, 200, record_json(s));
	else
		reply_error(e, 404, "404", NULL, "no such statement");
}

static bool add_fault(struct emulator *emulator, const json_t *spec, char *why, size_t size)
{
	size_t i;
	json_t *one;

	if (!json_is_array(spec))
		return faults_add(emulator->control->faults, spec, emulator->tls, why, size);
	json_array_foreach(spec, i, one)
	{
		if (!faults_add(emulator->control->faults, one, emulator->tls, why, size))
			return false;
	}
	return true;
}

static bool add_token(struct emulator *emulator, const json_t *spec, char *why, size_t size)
{
	const char *type = json_text_of(spec, "type"), *token = json_text_of(spec, "token");
	const char *user = json_text_of(spec, "user");
	int64_t life = json_int_of(spec, "expires_in", 0);
	bool oauth = type && !strcmp(type, "OAUTH");

	if (!token || !user || !(oauth || (type && !strcmp(type, "PROGRAMMATIC_ACCESS_TOKEN")))) {
		(void)snprintf(why, size, "type, token and user are needed");
		return false;
	}
	keyring_add(emulator->keyring, oauth ? TOKEN_OAUTH : TOKEN_PAT, token, user, json_text_of(spec, "roles"),
		    life ? clock_wall() + life : 0);
	return true;
}

static void serve_post(struct emulator *emulator, struct exchange *e,
		       bool (*add)(struct emulator *, const json_t *, char *, size_t))
{
	json_t *spec = NULL;
	char why[160] = "the body is not JSON";

	if (json_parse(buf_slice(&e->body), JSON_DEPTH_MAX, &spec, NULL, 0) == JSON_OK &&
	    add(emulator, spec, why, sizeof(why)))
		reply_json(e, 200, json_object());
	else
		reply_error(e, 400, "400", NULL, why);
	json_decref(spec);
}

static void control_reset(struct emulator *emulator)
{
	struct control *control = emulator->control;

	faults_clear(control->faults);
	registry_reset(emulator->registry);
	control->requests = 0;
	memset(control->operations, 0, sizeof(control->operations));
	memset(control->statuses, 0, sizeof(control->statuses));
}

static bool from_loopback(const struct exchange *e)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(e->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *address = info->client_addr;

	if (address->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
	return address->sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static bool route_is(const struct exchange *e, const char *method, const char *path)
{
	return !strcmp(e->method, method) && !strcmp(e->path, path);
}

void control_serve(struct emulator *emulator, struct exchange *e)
{
	if (!from_loopback(e)) {
		reply_error(e, 403, "403", NULL, "only for clients on this machine");
	} else if (route_is(e, "POST", "/control/faults")) {
		serve_post(emulator, e, add_fault);
	} else if (route_is(e, "GET", "/control/faults")) {
		reply_json(e, 200, faults_json(emulator->control->faults));
	} else if (route_is(e, "DELETE", "/control/faults")) {
		faults_clear(emulator->control->faults);
		reply_json(e, 200, json_object());
	} else if (route_is(e, "GET", "/control/stats")) {
		reply_json(e, 200, stats_json(emulator));
	} else if (route_is(e, "GET", "/control/statements")) {
		serve_records(emulator, e);
	} else if (!strcmp(e->method, "GET") && !strncmp(e->path, "/control/statements/", 20)) {
		serve_record(emulator, e, e->path + 20);
	} else if (route_is(e, "POST", "/control/tokens")) {
		serve_post(emulator, e, add_token);
	} else if (route_is(e, "POST", "/control/reset")) {
		control_reset(emulator);
		reply_json(e, 200, json_object());
	} else {
		reply_error(e, 404, "404", NULL, "no such control");
	}
	exchange_answer(e);
}
