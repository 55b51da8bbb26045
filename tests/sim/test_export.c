/* GET /results through the whole gateway: pieces as the client takes them, and the end of every way it can go wrong. */
#include "sim.c"

#define ROWS 20000 /* of 50 bytes: some pieces */
#define LINE "the quick brown fox jumps over the lazy dog"

static struct buf body, want;

static int set_up(void **state)
{
	(void)state;
	body = buf_with_ceiling(4 << 20);
	want = buf_with_ceiling(4 << 20);
	buf_adds(&body, "{\"resultSetMetaData\":{\"numRows\":20000,\"rowType\":[" COLUMN("N") "]},\"data\":[");
	buf_adds(&want, "N\n");
	for (size_t i = 0; i < ROWS; i++) {
		buf_addf(&body, "%s[\"%06zu " LINE "\"]", i ? "," : "", i);
		buf_addf(&want, "%06zu " LINE "\n", i);
	}
	buf_adds(&body, "],\"statementHandle\":\"" HANDLE "\"}");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buf_free(&body);
	buf_free(&want);
	return 0;
}

/* Somebody asks for the result of alice's statement. */
static handle_t ask(const char *who, bool jsonl)
{
	struct principal alice = {.kind = PRINCIPAL_KEY, .subject = "alice"};
	struct request *rq = sim_request(HTTP_GET, "", NULL);
	struct buf handle = buf_with_ceiling(256);
	handle_t exchange = client_new();

	assert_true(handle_seal(&handle, sim_handle_key.bytes, HANDLE, "test", "ANALYST", &alice));
	snprintf(rq->principal.subject, sizeof rq->principal.subject, "%s", who);
	rq->result = arena_strdup(rq->arena, buf_text(&handle));
	rq->jsonl = jsonl;
	buf_free(&handle);
	front_ops.request(NULL, exchange, rq);
	return exchange;
}

static void is_whole(handle_t exchange)
{
	const struct client *c = client_of(exchange);

	assert_int_equal(c->state, CLIENT_DONE);
	assert_int_equal(c->status, 200);
	assert_false(c->broken);
	assert_string_equal(c->content_type, "text/csv; charset=utf-8");
	assert_int_equal(c->raw.n, want.n);
	assert_string_equal(buf_text(&c->raw), buf_text(&want));
}

static void is_refused(handle_t exchange, int status, const char *code)
{
	const struct client *c = client_of(exchange);

	assert_int_equal(c->state, CLIENT_DONE);
	assert_int_equal(c->status, status);
	assert_string_equal(c->content_type, "application/json");
	if (!strstr(c->body, code))
		fail_msg("%s lacks %s", c->body, code);
}

static void test_whole(void **state)
{
	struct script_line lines[] = {{WIRE_POLL, .status = 200, .answer = buf_text(&body)}};
	handle_t a;

	(void)state;
	sim_open(lines, ARRAY_LEN(lines));
	a = ask("alice", false);
	sim_run();
	is_whole(a);
	assert_int_equal(metric_value(METRIC_results_bytes, NULL), want.n);
	sim_close();
}

/* It waits for its client, and holds Snowflake's answer meanwhile. */
static void test_slow_client(void **state)
{
	struct script_line lines[] = {{WIRE_POLL, .status = 200, .answer = buf_text(&body)}};
	handle_t a;

	(void)state;
	clients_new_room = 1;
	sim_open(lines, ARRAY_LEN(lines));
	a = ask("alice", false);
	clients_new_room = SIZE_MAX;
	for (size_t i = 0; i < 20 && client_of(a)->state != CLIENT_DONE; i++) {
		sim_run_for(SECONDS(20)); /* longer than the request itself may take */
		assert_true(client_of(a)->raw.n <= (i + 1) * (PIECE + 64));
		client_room(a, 1);
	}
	sim_run();
	is_whole(a);
	assert_true(script_held() > 0);
	sim_close();
}

/* At whatever moment he goes, nothing is left. */
static void test_client_leaves(void **state)
{
	(void)state;
	for (size_t room = 0; room < 6; room++) {
		struct script_line lines[] = {{WIRE_POLL, .status = 200, .answer = buf_text(&body)}};
		handle_t a;

		clients_new_room = room;
		sim_open(lines, ARRAY_LEN(lines));
		a = ask("alice", false);
		clients_new_room = SIZE_MAX;
		sim_run_for(MS(3 + 7 * (usec_t)room));
		client_leave(a);
		sim_run();
		sim_close();
	}
}

/* A stream that cannot go on has no end; what came before it is right. */
static void test_breaks(void **state)
{
	struct script_line lines[3];
	handle_t a;

	(void)state;
	lines[0] = (struct script_line){WIRE_POLL, .status = 200, .answer = buf_text(&body), .breaks_after = 500000,
					.result = WIRE_BROKEN};
	lines[1] = (struct script_line){WIRE_FETCH, .with = "&partition=0", .status = 503, .answer = ""};
	lines[2] = (struct script_line){WIRE_FETCH, .with = "&partition=0", .status = 503, .answer = ""};
	sim_open(lines, ARRAY_LEN(lines));
	script_conf()->snowflake_retries = 2;
	a = ask("alice", false);
	sim_run();
	assert_true(client_of(a)->broken);
	assert_int_equal(client_of(a)->status, 200);
	assert_int_equal(memcmp(client_of(a)->raw.data, want.data, client_of(a)->raw.n), 0);
	sim_close();
}

static void test_gone_on_with(void **state)
{
	struct script_line lines[2];
	handle_t a;

	(void)state;
	lines[0] = (struct script_line){WIRE_POLL, .status = 200, .answer = buf_text(&body), .breaks_after = 500000,
					.result = WIRE_BROKEN};
	lines[1] = (struct script_line){WIRE_FETCH, .with = "&partition=0", .status = 200, .answer = buf_text(&body)};
	sim_open(lines, ARRAY_LEN(lines));
	a = ask("alice", false);
	sim_run();
	is_whole(a);
	sim_close();
}

static void test_refusals(void **state)
{
	static const struct script_line lines[] = {
	    {WIRE_POLL, .status = 422, .answer = STATUS("000709", "02000")},
	    {WIRE_POLL, .status = 422, .answer = STATUS("002003", "42S02")},
	    {WIRE_POLL, .status = 422, .answer = STATUS("000604", "57014")},
	    {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = SECONDS(60)},
	};
	handle_t v[5];

	(void)state;
	sim_open(lines, ARRAY_LEN(lines));
	v[0] = ask("bob", false); /* nothing is asked of Snowflake */
	for (size_t i = 1; i < ARRAY_LEN(v); i++) {
		v[i] = ask("alice", false);
		sim_run();
	}
	is_refused(v[0], 404, "NOT_FOUND");
	is_refused(v[1], 404, "NOT_FOUND");
	is_refused(v[2], 422, "SQL");
	is_refused(v[3], 422, "CANCELLED");
	is_refused(v[4], 409, "CONFLICT");
	assert_string_equal(client_of(v[4])->retry_after, "5");
	sim_close();
}

static void test_no_rows(void **state)
{
	static const char empty[] = "{\"resultSetMetaData\":{\"numRows\":0,\"rowType\":[" COLUMN("N") "]},\"data\":[]}";
	static const struct script_line lines[] = {{WIRE_POLL, .status = 200, .answer = empty},
						   {WIRE_POLL, .status = 200, .answer = empty}};
	handle_t csv, jsonl;

	(void)state;
	sim_open(lines, ARRAY_LEN(lines));
	csv = ask("alice", false);
	sim_run();
	jsonl = ask("alice", true);
	sim_run();
	assert_string_equal(buf_text(&client_of(csv)->raw), "N\n");
	assert_int_equal(client_of(jsonl)->status, 200);
	assert_string_equal(client_of(jsonl)->body, "");
	sim_close();
}

/* Downloads count as streams. */
static void test_too_many(void **state)
{
	struct script_line lines[2];
	handle_t a, b;

	(void)state;
	lines[0] = lines[1] = (struct script_line){WIRE_POLL, .status = 200, .answer = buf_text(&body)};
	clients_new_room = 1;
	sim_open(lines, ARRAY_LEN(lines));
	sim.limits.streams = 1;
	a = ask("alice", false);
	sim_run_for(SECONDS(1));
	b = ask("alice", false);
	sim_run_for(SECONDS(1));
	is_refused(b, 503, "OVERLOADED");
	client_room(a, SIZE_MAX);
	clients_new_room = SIZE_MAX;
	sim_run();
	is_whole(a);
	sim_close();
}

/* One row with a cell of this many bytes. */
static struct buf wide_body(size_t n)
{
	struct buf b = buf_with_ceiling(64 << 20);

	buf_adds(&b, "{\"resultSetMetaData\":{\"numRows\":1,\"rowType\":[" COLUMN("N") "]},\"data\":[[\"");
	for (size_t i = 0; i < n; i += 16)
		buf_adds(&b, "0123456789abcdef");
	buf_adds(&b, "\"]],\"statementHandle\":\"" HANDLE "\"}");
	assert_false(buf_failed(&b));
	return b;
}

/* A row that is larger than the transport ever takes goes out in parts; while it waits it counts as held. */
static void test_wide_row(void **state)
{
	struct buf wide = wide_body(8 << 20);
	struct script_line lines[] = {{WIRE_POLL, .status = 200, .answer = buf_text(&wide)}};
	handle_t a;

	(void)state;
	clients_new_room = 1;
	sim_open(lines, ARRAY_LEN(lines));
	a = ask("alice", false);
	clients_new_room = SIZE_MAX;
	sim_run_for(SECONDS(20));
	assert_in_range(client_of(a)->raw.n, 1, 256 << 10);
	assert_false(results_take(RESULTS_CEILING - (8 << 20)));
	client_room(a, 2);
	assert_in_range(client_of(a)->raw.n, 1, 3 * (256 << 10));
	client_room(a, SIZE_MAX);
	sim_run();
	assert_int_equal(client_of(a)->state, CLIENT_DONE);
	assert_false(client_of(a)->broken);
	assert_int_equal(client_of(a)->raw.n, (8 << 20) + strlen("N\n\n"));
	assert_true(results_take(RESULTS_CEILING));
	results_give(RESULTS_CEILING);
	sim_close();
	buf_free(&wide);
}

/* Where much is held, what is large is refused for now; what is not goes on. What is too long is, for good. */
static void test_too_large(void **state)
{
	struct buf wide = wide_body(8 << 20), longest = wide_body(33 << 20);
	struct script_line lines[3];
	handle_t v[3];

	(void)state;
	lines[0] = lines[1] = (struct script_line){WIRE_POLL, .status = 200, .answer = buf_text(&wide)};
	lines[1].answer = buf_text(&body);
	lines[2] = (struct script_line){WIRE_POLL, .status = 200, .answer = buf_text(&longest)};
	sim_open(lines, ARRAY_LEN(lines));
	assert_true(results_take(RESULTS_CEILING / 2));
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		v[i] = ask("alice", false);
		sim_run();
		if (i == 1)
			results_give(RESULTS_CEILING / 2);
	}
	is_refused(v[0], 503, "OVERLOADED");
	assert_string_equal(client_of(v[0])->retry_after, "1");
	is_whole(v[1]);
	is_refused(v[2], 422, "NOMEM");
	assert_string_equal(client_of(v[2])->retry_after, "");
	assert_true(results_take(RESULTS_CEILING));
	results_give(RESULTS_CEILING);
	sim_close();
	buf_free(&wide);
	buf_free(&longest);
}

/* One principal has an eighth of the connections to Snowflake, and no longer than an hour. */
static void test_share(void **state)
{
	struct script_line lines[4];
	handle_t v[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		lines[i] = (struct script_line){WIRE_POLL, .status = 200, .answer = buf_text(&body)};
	clients_new_room = 1;
	sim_open(lines, ARRAY_LEN(lines));
	script_conf()->snowflake_max_connections = 24;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		v[i] = ask("alice", false);
		sim_run_for(SECONDS(1));
	}
	clients_new_room = SIZE_MAX;
	assert_int_equal(gateway.listeners.n, 3);
	is_refused(v[3], 503, "too many downloads");
	sim_run_for(SECONDS(3590));
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(client_of(v[i])->state, CLIENT_STREAMS);
		client_room(v[i], 1);
	}
	sim_run_for(SECONDS(15));
	for (size_t i = 0; i < 3; i++)
		assert_true(client_of(v[i])->broken);
	sim_run();
	sim_close();
}

/* Whom no key lets in any more is sent nothing more. */
static void test_revoked(void **state)
{
	struct script_line lines[2];
	handle_t a, b;

	(void)state;
	lines[0] = (struct script_line){WIRE_POLL, .status = 200, .answer = buf_text(&body)};
	lines[1] = (struct script_line){WIRE_POLL, .status = 200, .answer = buf_text(&body), .takes = SECONDS(5)};
	clients_new_room = 1;
	sim_open(lines, ARRAY_LEN(lines));
	a = ask("alice", false);
	sim_run_for(SECONDS(1));
	b = ask("alice", false); /* Snowflake has not answered it */
	sim_run_for(SECONDS(1));
	clients_new_room = SIZE_MAX;
	keyring_free(gateway.keys);
	gateway.keys = NULL; /* alice is in none any more */
	reload_listeners();
	sim_run();
	assert_true(client_of(a)->broken);
	is_refused(b, 401, "UNAUTHORIZED");
	sim_close();
}

/* Who comes too late, and who is not served in time, are told so in the form of all that have no result. */
static void test_drain(void **state)
{
	static const char form[] = "{\"error\":{\"code\":\"DRAINING\",\"message\":";
	static const struct script_line lines[] = {
	    {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = SECONDS(20)},
	};
	handle_t v[2];

	(void)state;
	sim_open(lines, ARRAY_LEN(lines));
	script_conf()->listen_drain = SECONDS(2);
	v[0] = ask("alice", false);
	sim_run_for(SECONDS(1));
	gateway_drain();
	sim_run_for(MS(10));
	v[1] = ask("alice", false);
	sim_run_for(SECONDS(3));
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		is_refused(v[i], 503, "DRAINING");
		assert_int_equal(strncmp(client_of(v[i])->body, form, strlen(form)), 0);
		assert_non_null(strstr(client_of(v[i])->body, "\"request\":\"r"));
	}
	sim_run();
	sim_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole),     cmocka_unit_test(test_slow_client),  cmocka_unit_test(test_client_leaves),
	    cmocka_unit_test(test_breaks),    cmocka_unit_test(test_gone_on_with), cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_no_rows),   cmocka_unit_test(test_too_many),     cmocka_unit_test(test_wide_row),
	    cmocka_unit_test(test_too_large), cmocka_unit_test(test_share),        cmocka_unit_test(test_revoked),
	    cmocka_unit_test(test_drain),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
