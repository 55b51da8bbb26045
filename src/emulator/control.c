/* The control endpoint. */
#include "control.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "cortex.h"
#include "oauth.h"
#include "reply.h"
#include "snowgate/json.h"
#include "token.h"

#define RECORDS_DEFAULT 100
#define RECORDS_MAX     10000

struct control *control_new(void)
{
	struct control *control = xalloc(sizeof(*control));

	control->faults = faults_new();
	control->arrivals = arrivals_new();
	return control;
}

void control_free(struct control *control)
{
	faults_free(control->faults);
	arrivals_free(control->arrivals);
	free(control);
}

bool control_has_outage(const struct control *control)
{
	return clock_now() < control->outage.until;
}

static json_t *integer(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *operations_json(const uint64_t counts[OPS_N])
{
	json_t *all = json_object();

	for (enum operation i = 0; i < OPS_N; i++)
		json_object_set_new(all, operation_name(i), integer(counts[i]));
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
	json_object_set_new(stats, "repeated_executions", integer(c->repeated));
	json_object_set_new(stats, "executions_by_user", registry_executions(emulator->registry));
	json_object_set_new(stats, "outage_requests", integer(emulator->control->outage_requests));
	json_object_set_new(stats, "ops", operations_json(emulator->control->operations));
	json_object_set_new(stats, "bytes_sent", operations_json(emulator->control->bytes));
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

static json_t *arrivals_of(const struct statement *s)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < s->attempts && i < ARRIVALS_KEPT; i++)
		json_array_append_new(all, json_integer(s->arrivals_ms[i]));
	return all;
}

static json_t *children_of(const struct statement *s)
{
	json_t *all = json_array();

	for (size_t i = 0; i < s->children_n; i++)
		json_array_append_new(all, json_string(s->children[i]->handle));
	return all;
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
	json_object_set_new(record, "arrivals", arrivals_of(s));
	json_object_set_new(record, "cancel_arrived_at", s->cancel_ms ? json_integer(s->cancel_ms) : json_null());
	json_object_set_new(record, "query_tag", text_or_null(u->query_tag));
	json_object_set_new(record, "parent", text_or_null(s->parent ? s->parent->handle : NULL));
	json_object_set_new(record, "children", children_of(s));
	json_object_set_new(record, "user_agent", json_string(u->user_agent));
	return record;
}

static void serve_records(struct emulator *emulator, struct exchange *e)
{
	const char *asked = exchange_query(e, "n"), *request_id = exchange_query(e, "requestId"),
		   *contains = exchange_query(e, "contains");
	json_t *records = json_array();
	int64_t n = RECORDS_DEFAULT;

	if (asked && !parse_int(asked, 1, RECORDS_MAX, &n))
		n = RECORDS_DEFAULT;
	for (struct statement *s = registry_newest(emulator->registry); s && n > 0; s = s->older) {
		if ((request_id && strcmp(request_id, s->submission.request_id)) ||
		    (contains && !strstr(statement_text(s), contains)))
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
		    life ? keyring_clock(emulator->keyring) + life : 0);
	return true;
}

static bool lacks(char *why, size_t size, const char *what)
{
	(void)snprintf(why, size, "%s", what);
	return false;
}

static bool add_user(struct emulator *emulator, const json_t *spec, char *why, size_t size)
{
	const struct user_spec user = {
	    .name = json_text_of(spec, "name"),
	    .login = json_text_of(spec, "login"),
	    .roles = json_text_of(spec, "roles"),
	    .default_role = json_text_of(spec, "default_role"),
	    .default_warehouse = json_text_of(spec, "default_warehouse"),
	    .wif_issuer = json_text_of(spec, "wif_issuer"),
	    .wif_subject = json_text_of(spec, "wif_subject"),
	};

	if (!user.name)
		return lacks(why, size, "name is needed");
	keyring_set_user(emulator->keyring, &user);
	return true;
}

static bool set_key(struct emulator *emulator, const json_t *spec, char *why, size_t size)
{
	const char *user = json_text_of(spec, "user");
	int64_t slot = json_int_of(spec, "slot", 1);

	if (!user || slot < 1 || slot > USER_KEYS)
		return lacks(why, size, "user, and slot 1 or 2 are needed");
	return keyring_set_key(emulator->keyring, user, (size_t)slot - 1, json_text_of(spec, "public_key")) ||
	       lacks(why, size, "public_key is no RSA public key in PEM");
}

static bool add_issuer(struct emulator *emulator, const json_t *spec, char *why, size_t size)
{
	const char *kind = json_text_of(spec, "kind");
	const struct issuer_spec issuer = {
	    .wif = kind && !strcmp(kind, "wif"),
	    .issuer = json_text_of(spec, "issuer"),
	    .audience = json_text_of(spec, "audience"),
	    .claim = json_text_of(spec, "claim"),
	    .pems = {json_text_of(spec, "public_key"), json_text_of(spec, "public_key_2")},
	};

	if (!issuer.issuer || !kind || (!issuer.wif && strcmp(kind, "external_oauth")))
		return lacks(why, size, "issuer, and kind external_oauth or wif are needed");
	return keyring_set_issuer(emulator->keyring, &issuer) ||
	       lacks(why, size, "public_key is no RSA public key in PEM");
}

static bool add_client(struct emulator *emulator, const json_t *spec, char *why, size_t size)
{
	const struct oauth_client_spec client = {
	    .id = json_text_of(spec, "client_id"),
	    .secret = json_text_of(spec, "client_secret"),
	    .user = json_text_of(spec, "user"),
	    .roles = json_text_of(spec, "roles"),
	    .refresh_token = json_text_of(spec, "refresh_token"),
	    .access_s = json_int_of(spec, "expires_in", 0),
	    .refresh_s = json_int_of(spec, "refresh_expires_in", 0),
	    .rotates = json_bool_of(spec, "rotate", true),
	};

	if (!client.id || !client.secret || !client.user)
		return lacks(why, size, "client_id, client_secret and user are needed");
	oauth_set_client(emulator->oauth, &client);
	return true;
}

static bool set_outage(struct emulator *emulator, const json_t *spec, char *why, size_t size)
{
	const json_t *status = json_object_get(spec, "status");
	const char *word = json_string_value(status);
	int64_t seconds = json_int_of(spec, "seconds", -1), code = json_integer_value(status);

	if (seconds < 0 || seconds > 86400)
		return lacks(why, size, "seconds from 0 to 86400 are needed");
	if (seconds && !(word && !strcmp(word, "refuse")) && (code < 400 || code > 599))
		return lacks(why, size, "status is refuse, or a number from 400 to 599");
	emulator->control->outage = (struct outage){seconds ? clock_now() + seconds * USEC_PER_S : 0, (unsigned)code,
						    json_int_of(spec, "retry_after", 0)};
	return true;
}

static bool set_clock(struct emulator *emulator, const json_t *spec, char *why, size_t size)
{
	const json_t *ahead = json_object_get(spec, "ahead_s");

	if (!json_is_integer(ahead))
		return lacks(why, size, "ahead_s is needed");
	keyring_set_clock(emulator->keyring, json_integer_value(ahead));
	return true;
}

static bool set_script(struct emulator *emulator, const json_t *spec, char *why, size_t size)
{
	return cortex_script(emulator->cortex, spec, why, size);
}

static bool replace_faults(struct emulator *emulator, const json_t *spec, char *why, size_t size)
{
	faults_clear(emulator->control->faults);
	return add_fault(emulator, spec, why, size);
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
	cortex_reset(emulator->cortex);
	keyring_set_clock(emulator->keyring, 0);
	arrivals_reset(control->arrivals);
	control->outage = (struct outage){0};
	control->requests = control->outage_requests = 0;
	memset(control->bytes, 0, sizeof(control->bytes));
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

/* What is set by a JSON body. */
static bool serve_setter(struct emulator *emulator, struct exchange *e)
{
	static const struct {
		const char *method, *path;
		bool (*set)(struct emulator *, const json_t *, char *, size_t);
	} setters[] = {
	    {"POST", "/control/faults", add_fault},  {"PUT", "/control/faults", replace_faults},
	    {"POST", "/control/tokens", add_token},  {"POST", "/control/users", add_user},
	    {"POST", "/control/keys", set_key},      {"POST", "/control/issuers", add_issuer},
	    {"POST", "/control/outage", set_outage}, {"POST", "/control/oauth-clients", add_client},
	    {"POST", "/control/clock", set_clock},   {"POST", "/control/cortex", set_script},
	};

	for (size_t i = 0; i < ARRAY_LEN(setters); i++) {
		if (!route_is(e, setters[i].method, setters[i].path))
			continue;
		serve_post(emulator, e, setters[i].set);
		return true;
	}
	return false;
}

static bool serve_getter(struct emulator *emulator, struct exchange *e)
{
	if (route_is(e, "GET", "/control/faults"))
		reply_json(e, 200, faults_json(emulator->control->faults));
	else if (route_is(e, "GET", "/control/stats"))
		reply_json(e, 200, stats_json(emulator));
	else if (route_is(e, "GET", "/control/arrivals"))
		reply_json(e, 200, arrivals_json(emulator->control->arrivals));
	else if (route_is(e, "GET", "/control/cortex"))
		reply_json(e, 200, cortex_json(emulator->cortex));
	else if (route_is(e, "GET", "/control/statements"))
		serve_records(emulator, e);
	else if (!strcmp(e->method, "GET") && !strncmp(e->path, "/control/statements/", 20))
		serve_record(emulator, e, e->path + 20);
	else
		return false;
	return true;
}

void control_serve(struct emulator *emulator, struct exchange *e)
{
	if (!from_loopback(e)) {
		reply_error(e, 403, "403", NULL, "only for clients on this machine");
	} else if (route_is(e, "DELETE", "/control/faults")) {
		faults_clear(emulator->control->faults);
		reply_json(e, 200, json_object());
	} else if (route_is(e, "POST", "/control/reset")) {
		control_reset(emulator);
		reply_json(e, 200, json_object());
	} else if (!serve_setter(emulator, e) && !serve_getter(emulator, e)) {
		reply_error(e, 404, "404", NULL, "no such control");
	}
	exchange_answer(e);
}
