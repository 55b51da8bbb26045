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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole),   cmocka_unit_test(test_slow_client),  cmocka_unit_test(test_client_leaves),
	    cmocka_unit_test(test_breaks),  cmocka_unit_test(test_gone_on_with), cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_no_rows), cmocka_unit_test(test_too_many),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
