/* Tokens that are fetched: one fetch for all who ask, renewal in the background, failures that pass and such that do
 * not, rotated refresh tokens, what never gets into a text. The wire and the clock are the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "snowgate/snowflake.h"

#define WALL 1700000000

static struct {
	struct wire wire;
	struct wheel *wheel;
	struct wire_request *sent; /* under way; NULL: none */
	size_t sends, aborts, news;
	char body[4096], basic[256], url[256];
} test;

static struct connection connection;
static struct identity who = {.connection = &connection, .role = "ANALYST"};

static void on_send(struct wire *w UNUSED, struct wire_request *rq)
{
	assert_null(test.sent);
	assert_int_equal(rq->op, WIRE_TOKEN);
	assert_true(rq->post);
	assert_null(rq->bearer);
	assert_true(rq->timeout > 0 && rq->timeout <= 30 * USEC_PER_S);
	assert_true(rq->answer.ceiling <= 1 << 20);
	/* not the snapshot's: that may end before the fetch */
	assert_ptr_not_equal(rq->connection, &connection);
	assert_string_equal(rq->connection->host, connection.host);
	snprintf(test.body, sizeof test.body, "%s", buf_text(&rq->body));
	snprintf(test.basic, sizeof test.basic, "%s", rq->basic);
	snprintf(test.url, sizeof test.url, "%s", rq->url);
	test.sent = rq;
	test.sends++;
}

static void on_abort(struct wire *w UNUSED, struct wire_request *rq)
{
	assert_ptr_equal(test.sent, rq);
	test.sent = NULL;
	test.aborts++;
}

static void answer(int status, const char *body)
{
	struct wire_request *rq = TAKE(test.sent);

	assert_non_null(rq);
	rq->result = WIRE_ANSWERED;
	rq->status = status;
	assert_true(buf_adds(&rq->answer, body));
	rq->done(rq);
}

static void break_off(enum wire_result result)
{
	struct wire_request *rq = TAKE(test.sent);

	assert_non_null(rq);
	rq->result = result;
	snprintf(rq->error, sizeof rq->error, "the network is gone");
	rq->done(rq);
}

static void pass(usec_t time)
{
	clock_advance(time);
	(void)wheel_run(test.wheel, clock_now());
}

static void on_news(struct token_waiter *w)
{
	assert_null(w->prev);
	test.news++;
}

static enum token_state get(struct token_waiter *w, const char **bearer)
{
	struct token_view view;
	const char *why = NULL;
	enum token_state state;

	if (w)
		w->news = on_news;
	state = token_get(&who, &view, w, &why);
	assert_int_equal(state == TOKEN_READY, view.bearer != NULL);
	if (state == TOKEN_READY)
		assert_string_equal(view.type, "OAUTH");
	*bearer = state == TOKEN_READY ? view.bearer : why;
	return state;
}

static int open_module(void **state UNUSED)
{
	static struct conf conf;
	static const struct snowflake_ops ops;

	clock_set_virtual(1000 * USEC_PER_S, WALL * USEC_PER_S);
	memset(&test, 0, sizeof test);
	test.wire = (struct wire){.send = on_send, .abort = on_abort};
	test.wheel = wheel_new();
	thread_play(THREAD_SNOWFLAKE);
	snowflake_open(&conf, &ops, &test.wire, test.wheel);
	connection = (struct connection){.name = "c",
					 .host = "h.example",
					 .protocol = "https",
					 .port = 443,
					 .auth = CONNECTION_CLIENT_CREDENTIALS,
					 .oauth_client_id = "gate:way +",
					 .oauth_client_secret = "canary-secret",
					 .oauth_token_request_url = "https://login.example/token"};
	connection_identify(&connection);
	who.role = "ANALYST";
	return 0;
}

static int close_module(void **state UNUSED)
{
	(void)token_stop();
	snowflake_close();
	assert_null(test.sent);
	wheel_free(test.wheel);
	thread_play(THREAD_MAIN);
	return 0;
}

#define GIVEN(token) "{\"access_token\":\"" token "\",\"token_type\":\"Bearer\",\"expires_in\":600}"

/* Who asks while a fetch is under way waits for that one; who no longer waits is not told. */
static void one_fetch_for_all(void **state UNUSED)
{
	struct token_waiter a = {0}, b = {0}, c = {0};
	const char *text;

	assert_int_equal(get(&a, &text), TOKEN_WAIT);
	assert_int_equal(get(&b, &text), TOKEN_WAIT);
	assert_int_equal(get(&c, &text), TOKEN_WAIT);
	assert_int_equal(get(&c, &text), TOKEN_WAIT);
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	assert_int_equal(test.sends, 1);
	assert_string_equal(test.url, "https://login.example/token");
	assert_string_equal(test.basic, "gate%3Away%20%2B:canary-secret");
	assert_string_equal(test.body, "grant_type=client_credentials&scope=session%3Arole%3AANALYST");
	token_unwait(&b);
	token_unwait(&b);
	answer(200, GIVEN("one"));
	assert_int_equal(test.news, 2);
	assert_int_equal(get(&a, &text), TOKEN_READY);
	assert_string_equal(text, "one");
	assert_int_equal(test.sends, 1);
	/* Another role is another token; with a scope of its own the connection has one for all. */
	who.role = "LOADER & more";
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	assert_string_equal(test.body, "grant_type=client_credentials&scope=session%3Arole%3ALOADER%20%26%20more");
	answer(200, GIVEN("two"));
	connection.oauth_scope = "api://x/.default";
	connection_identify(&connection);
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	assert_string_equal(test.body, "grant_type=client_credentials&scope=api%3A%2F%2Fx%2F.default");
	answer(200, GIVEN("three"));
	who.role = "ANALYST";
	assert_int_equal(get(NULL, &text), TOKEN_READY);
	assert_string_equal(text, "three");
}

/* Ahead of its end the token is renewed while it is served; after it nothing is served that has ended. */
static void renewed_in_the_background(void **state UNUSED)
{
	struct token_waiter a = {0};
	const char *text;

	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	answer(200, GIVEN("one"));
	pass(400 * USEC_PER_S);
	assert_int_equal(get(&a, &text), TOKEN_READY);
	assert_int_equal(test.sends, 1);
	pass(100 * USEC_PER_S);
	assert_int_equal(get(&a, &text), TOKEN_READY);
	assert_string_equal(text, "one");
	assert_null(a.prev);
	assert_int_equal(test.sends, 2);
	assert_int_equal(get(&a, &text), TOKEN_READY);
	assert_int_equal(test.sends, 2);
	answer(200, GIVEN("two"));
	assert_int_equal(get(&a, &text), TOKEN_READY);
	assert_string_equal(text, "two");
	/* The endpoint is gone: the old one is served to its end, and no longer. */
	pass(500 * USEC_PER_S);
	assert_int_equal(get(&a, &text), TOKEN_READY);
	answer(400, "{\"error\":\"invalid_scope\"}");
	assert_int_equal(get(&a, &text), TOKEN_READY);
	assert_string_equal(text, "two");
	pass(95 * USEC_PER_S);
	assert_int_equal(get(&a, &text), TOKEN_WAIT);
	answer(400, "{\"error\":\"invalid_scope\"}");
	assert_int_equal(test.news, 1);
	assert_int_equal(get(&a, &text), TOKEN_FAILED);
}

/* A token whose life is shorter than any margin is still served. */
static void short_lives(void **state UNUSED)
{
	static const char *const lives[] = {"1", "\"5\"", "12.5", "-3", "null", "99999999999999999999999999"};
	char body[128];
	const char *text;

	for (size_t i = 0; i < ARRAY_LEN(lives); i++) {
		size_t before = test.sends;
		snprintf(body, sizeof body, "{\"access_token\":\"t%zu\",\"expires_in\":%s}", i, lives[i]);
		assert_int_equal(get(NULL, &text), TOKEN_WAIT);
		answer(200, body);
		if (i + 1 < ARRAY_LEN(lives))
			assert_int_equal(get(NULL, &text), TOKEN_READY);
		assert_int_equal(test.sends, before + 1);
		pass(3600 * USEC_PER_S);
	}
}

/* A refusal is told with what the endpoint says, is not repeated within a second, and then tried again. */
static void refusals(void **state UNUSED)
{
	static const struct {
		int status;
		const char *body, *says;
	} cases[] = {
	    {401, "{\"error\":\"invalid_client\",\"error_description\":\"no such client\"}",
	     "HTTP 401 invalid_client: no such client; oauth_client_id or oauth_client_secret is wrong"},
	    {400, "{\"error\":\"invalid_scope\"}", "HTTP 400 invalid_scope; check"},
	    {200, "{\"token_type\":\"Bearer\"}", "HTTP 200; check"},
	    {200, "<html>sign in</html>", "HTTP 200; check"},
	    {404, "", "HTTP 404; check"},
	    {200, "{\"access_token\":\"two words\"}", "HTTP 200; check"},
	    {200, "{\"access_token\":\"a\\r\\nX-Evil: 1\"}", "HTTP 200; check"},
	    {302, "{\"access_token\":\"redirected\"}", "HTTP 302; check"},
	    {403, "{\"code\":\"390303\",\"message\":\"Invalid OAuth access token.\"}", "Invalid OAuth access token."},
	};
	const char *text;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t before = test.sends;
		assert_int_equal(get(NULL, &text), TOKEN_WAIT);
		answer(cases[i].status, cases[i].body);
		for (int n = 0; n < 5; n++) {
			assert_int_equal(get(NULL, &text), TOKEN_FAILED);
			if (!strstr(text, cases[i].says))
				fail_msg("%s", text);
			assert_non_null(strstr(text, "https://login.example/token"));
			pass(100 * USEC_PER_MS);
		}
		assert_int_equal(test.sends, before + 1);
		pass(USEC_PER_S);
	}
}

/* What the endpoint repeats of secrets is not repeated further, also where its text was cut within one. */
static void secrets_stay(void **state UNUSED)
{
	char body[1024], filler[256];
	const char *text;

	for (size_t n = 0; n < 256; n++) {
		memset(filler, 'x', n);
		filler[n < 255 ? n : 255] = '\0';
		snprintf(body, sizeof body,
			 "{\"error\":\"invalid_client\",\"error_description\":\"%scanary-secret of canary-secret\"}",
			 filler);
		assert_int_equal(get(NULL, &text), TOKEN_WAIT);
		answer(401, body);
		assert_int_equal(get(NULL, &text), TOKEN_FAILED);
		if (strstr(text, "canary"))
			fail_msg("%zu: %s", n, text);
		pass(2 * USEC_PER_S);
	}
}

/* A secret that is itself what secrets are replaced by. */
static void secrets_of_asterisks(void **state UNUSED)
{
	const char *text;

	connection.oauth_client_secret = "****";
	connection_identify(&connection);
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	answer(401, "{\"error\":\"invalid_client\",\"error_description\":\"**** and *********\"}");
	assert_int_equal(get(NULL, &text), TOKEN_FAILED);
	assert_non_null(strstr(text, "invalid_client"));
}

/* What may pass is tried three times within a few seconds, by itself. */
static void what_passes(void **state UNUSED)
{
	struct token_waiter a = {0};
	const char *text;

	assert_int_equal(get(&a, &text), TOKEN_WAIT);
	break_off(WIRE_REFUSED);
	assert_null(test.sent);
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	pass(2 * USEC_PER_S);
	answer(503, "<html>");
	pass(2 * USEC_PER_S);
	answer(200, GIVEN("at last"));
	assert_int_equal(test.news, 1);
	assert_int_equal(get(NULL, &text), TOKEN_FAILED); /* it holds a blank */
	pass(3600 * USEC_PER_S);
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	for (int i = 0; i < 3; i++) {
		break_off(WIRE_TIMEOUT);
		assert_int_equal(get(NULL, &text), i < 2 ? TOKEN_WAIT : TOKEN_LATER);
		pass(2 * USEC_PER_S);
	}
	assert_null(test.sent);
	/* A certificate that is not trusted does not become so by waiting. */
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	break_off(WIRE_TLS);
	assert_null(test.sent);
	assert_int_equal(get(NULL, &text), TOKEN_LATER);
	assert_non_null(strstr(text, "cannot be reached (the network is gone)"));
}

/* Snowflake refuses a token: another is fetched, but not one after the other. */
static void refused_tokens(void **state UNUSED)
{
	struct token_view view;
	const char *text, *why;

	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	answer(200, GIVEN("one"));
	assert_int_equal(token_get(&who, &view, NULL, &why), TOKEN_READY);
	assert_true(token_renew(&who, view.number));
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	answer(200, GIVEN("two"));
	assert_true(token_renew(&who, view.number)); /* another call, told late */
	assert_int_equal(token_get(&who, &view, NULL, &why), TOKEN_READY);
	assert_string_equal(view.bearer, "two");
	assert_false(token_renew(&who, view.number));
	assert_int_equal(test.sends, 2);
	pass(10 * USEC_PER_S);
	assert_true(token_renew(&who, view.number));
}

/* The thread stops while a fetch is under way, or waits for its next try. */
static void stopping(void **state UNUSED)
{
	const char *text;

	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	assert_false(token_stop());
	assert_int_equal(test.aborts, 1);
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	break_off(WIRE_BROKEN);
	assert_false(token_stop());
	pass(10 * USEC_PER_S);
	assert_null(test.sent);
}

/* ---- refresh tokens ---- */

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void assert_file(const char *path, const char *text)
{
	char line[256] = "";
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof line, f));
	assert_int_equal(fclose(f), 0);
	assert_string_equal(line, text);
}

#define ROTATED(token, next)                                                                                           \
	"{\"access_token\":\"" token "\",\"expires_in\":600,\"refresh_token\":\"" next "\",\"scope\":\"x\"}"

static void a_refresh_token_rotates(void **state UNUSED)
{
	char path[] = "/tmp/snowgate-refresh-XXXXXX";
	struct stat st;
	const char *text;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	(void)close(fd);
	put(path, "first\n");
	connection.auth = CONNECTION_REFRESH_TOKEN;
	connection.oauth_refresh_token_file = path;
	connection_identify(&connection);
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	assert_string_equal(test.body, "grant_type=refresh_token&refresh_token=first");
	answer(200, ROTATED("one", "second+/="));
	assert_file(path, "second+/=\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	pass(500 * USEC_PER_S);
	assert_int_equal(get(NULL, &text), TOKEN_READY);
	assert_string_equal(test.body, "grant_type=refresh_token&refresh_token=second%2B%2F%3D");
	/* Another gateway was quicker: its refresh token is in the file, ours has ended. */
	put(path, "third-of-another\n");
	answer(400, "{\"error\":\"invalid_grant\"}");
	pass(1);
	assert_string_equal(test.body, "grant_type=refresh_token&refresh_token=third-of-another");
	answer(200, GIVEN("two"));
	assert_int_equal(get(NULL, &text), TOKEN_READY);
	assert_string_equal(text, "two");
	assert_file(path, "third-of-another\n");
	/* It has ended for good. */
	pass(3600 * USEC_PER_S);
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	answer(400, "{\"error\":\"invalid_grant\",\"error_description\":\"third-of-another has ended\"}");
	assert_int_equal(get(NULL, &text), TOKEN_FAILED);
	assert_non_null(strstr(text, "get a new one"));
	assert_null(strstr(text, "third-of-another"));
	assert_int_equal(unlink(path), 0);
}

/* The thread stops while a refresh token is exchanged: the old one may be used up, so that the answer is kept. */
static void stopping_keeps_what_rotates(void **state UNUSED)
{
	char path[] = "/tmp/snowgate-refresh-XXXXXX";
	const char *text;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	(void)close(fd);
	put(path, "first\n");
	connection.auth = CONNECTION_REFRESH_TOKEN;
	connection.oauth_refresh_token_file = path;
	connection_identify(&connection);
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	assert_true(token_stop());
	assert_true(token_stop());
	assert_int_equal(test.aborts, 0);
	answer(200, ROTATED("one", "second"));
	assert_file(path, "second\n");
	assert_false(token_stop());
	/* One that waits for its next try is not waited for. */
	pass(3600 * USEC_PER_S);
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	break_off(WIRE_BROKEN);
	assert_false(token_stop());
	pass(10 * USEC_PER_S);
	assert_null(test.sent);
	/* And no longer than who stops it likes. */
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	assert_true(token_stop());
	token_forget_all();
	assert_int_equal(test.aborts, 1);
	assert_int_equal(unlink(path), 0);
}

/* Others' tokens make room for one another, not a refresh token that is nowhere else. */
static void a_refresh_token_is_not_pushed_out(void **state UNUSED)
{
	struct connection other = {.name = "o", .host = "h", .auth = CONNECTION_PAT, .token = "pat"};
	struct identity somebody = {.connection = &other};
	struct token_view view;
	const char *text;
	char account[32];

	connection.auth = CONNECTION_REFRESH_TOKEN;
	connection.oauth_refresh_token = "given";
	connection_identify(&connection);
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	answer(200, ROTATED("one", "second"));
	other.account = account;
	for (int i = 0; i < 3000; i++) {
		snprintf(account, sizeof account, "account-%d", i);
		connection_identify(&other);
		assert_int_equal(token_get(&somebody, &view, NULL, &text), TOKEN_READY);
	}
	assert_int_equal(get(NULL, &text), TOKEN_READY);
	assert_string_equal(text, "one");
	pass(3600 * USEC_PER_S);
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	assert_string_equal(test.body, "grant_type=refresh_token&refresh_token=second");
	answer(200, GIVEN("two"));
}

static void a_given_refresh_token_rotates_in_memory(void **state UNUSED)
{
	const char *text;

	connection.auth = CONNECTION_REFRESH_TOKEN;
	connection.oauth_refresh_token = "given";
	connection_identify(&connection);
	assert_int_equal(get(NULL, &text), TOKEN_WAIT);
	assert_string_equal(test.body, "grant_type=refresh_token&refresh_token=given");
	answer(200, ROTATED("one", "second"));
	pass(500 * USEC_PER_S);
	assert_int_equal(get(NULL, &text), TOKEN_READY);
	assert_string_equal(test.body, "grant_type=refresh_token&refresh_token=second");
	answer(200, GIVEN("two"));
}

static void a_file_that_cannot_be_read(void **state UNUSED)
{
	const char *text;

	connection.auth = CONNECTION_REFRESH_TOKEN;
	connection.oauth_refresh_token_file = "/nonexistent/refresh";
	connection_identify(&connection);
	assert_int_equal(get(NULL, &text), TOKEN_FAILED);
	assert_non_null(strstr(text, "oauth_refresh_token_file"));
	assert_int_equal(test.sends, 0);
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, open_module, close_module)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ALONE(one_fetch_for_all),
	    ALONE(renewed_in_the_background),
	    ALONE(short_lives),
	    ALONE(refusals),
	    ALONE(secrets_stay),
	    ALONE(secrets_of_asterisks),
	    ALONE(what_passes),
	    ALONE(refused_tokens),
	    ALONE(stopping),
	    ALONE(a_refresh_token_rotates),
	    ALONE(a_given_refresh_token_rotates_in_memory),
	    ALONE(a_file_that_cannot_be_read),
	    ALONE(stopping_keeps_what_rotates),
	    ALONE(a_refresh_token_is_not_pushed_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
