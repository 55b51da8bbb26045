/* Streams of the server's own: a session's GETs, subscriptions/listen, and who is told of which change; and what a
 * drain and a revoked key do to them. */
#include "talk.c"

#include <unistd.h>

#define URI "snowflake://SALES/PUBLIC/T"

static const char *subscribe(const char *s, const char *uri)
{
	handle_t x = post(
	    s, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"resources/subscribe\",\"params\":{\"uri\":\"%s\"}}", uri);

	while (sim_turn())
		;
	return heard(x);
}

static handle_t listen_for(const char *notifications)
{
	char params[4096];

	snprintf(params, sizeof params, "\"notifications\":%s", notifications);
	return modern("subscriptions/listen", NULL, "", params);
}

/* ---- GET ---- */

static void test_get(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session();
	handle_t a = get(s, NULL);

	HEARD(a, "s:prime");
	assert_int_equal(client_of(a)->status, 200);
	assert_string_equal(client_of(a)->session_id, s);
	assert_int_equal(client_of(a)->events[0].retry_ms, 1000);
	notify_changed(CHANGE_TOOLS);
	sim_run();
	HEARD(a, "s:prime s:tools");
	client_leave(a);
	sim_close();
}

static void test_get_refused(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session();

	next_request.accept = "application/json";
	HEARD(get(s, NULL), "406");
	HEARD(get(NULL, NULL), "405");
	sim.limits.streams = 0;
	HEARD(get(s, NULL), "503");
	/* what is over is over, whether there is room or not */
	HEARD(get(s, "bogus"), "204");
	sim_close();
}

/* One principal takes at most a quarter of all connections, whatever its limit says. */
static void test_share_of_connections(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session();
	handle_t a, b, c;

	script.conf.listen_max_connections = 8;
	a = get(s, NULL);
	b = get(s, NULL);
	HEARD(get(s, NULL), "503");
	next_request.subject = "bob";
	c = listen_for("{\"toolsListChanged\":true}");
	HEARD(c, "acknowledged");
	client_leave(a);
	client_leave(b);
	client_leave(c);
	a = get(s, NULL);
	HEARD(a, "s:prime");
	client_leave(a);
	sim_close();
}

/* Earlier revisions have no priming event; ids there are all the same. */
static void test_get_of_an_earlier_revision(void **state)
{
	BEGIN_WITHOUT;
	handle_t a = get(session_of("2025-03-26", "{}"), NULL);

	HEARD(a, "");
	notify_changed(CHANGE_PROMPTS);
	sim_run();
	HEARD(a, "s:prompts");
	client_leave(a);
	sim_close();
}

/* Up to four of a session, each message on the newest only (design 6). */
static void test_several_gets(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session();
	handle_t x[5];

	for (int i = 0; i < 4; i++)
		x[i] = get(s, NULL);
	x[4] = get(s, NULL);
	HEARD(x[4], "503");
	assert_string_not_equal(client_of(x[4])->retry_after, "");
	notify_changed(CHANGE_TOOLS);
	sim_run();
	for (int i = 0; i < 3; i++)
		HEARD(x[i], "s:prime");
	HEARD(x[3], "s:prime s:tools");
	client_leave(x[3]);
	notify_changed(CHANGE_TOOLS);
	sim_run();
	HEARD(x[2], "s:prime s:tools");
	HEARD(x[1], "s:prime");
	for (int i = 0; i < 4; i++)
		client_leave(x[i]);
	sim_close();
}

/* Changes are state: who was away is told once of each kind, however often it has changed. */
static void test_get_resumed(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session();
	handle_t a = get(s, NULL), b, c;

	notify_changed(CHANGE_TOOLS);
	sim_run();
	HEARD(a, "s:prime s:tools");
	client_leave(a);
	for (int i = 0; i < 10; i++)
		notify_changed(CHANGE_RESOURCES);
	notify_changed(CHANGE_PROMPTS);
	sim_run();
	/* from the end: what he has not heard of */
	b = get(s, last_id(a));
	HEARD(b, "s:prime s:prompts s:resources");
	client_leave(b);
	/* from the beginning: what was told on a connection that was lost is told again */
	c = get(s, id_of(a, 0));
	HEARD(c, "s:prime s:tools s:prompts s:resources");
	assert_int_equal(metric_value(METRIC_resumes, "resumed"), 2);
	client_leave(c);
	sim_close();
}

/* An id that is none leaves the session as it was: it will still be told what it has not heard of. */
static void test_trimmed_state_id(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session();
	handle_t a = get(s, NULL), b;
	char id[64];

	client_leave(a);
	notify_changed(CHANGE_TOOLS);
	sim_run();
	snprintf(id, sizeof id, "l.%llu.x", (unsigned long long)gateway.listeners.now[CHANGE_TOOLS]);
	HEARD(get(s, id), "204");
	snprintf(id, sizeof id, "l.%llu.0.0.0", (unsigned long long)gateway.listeners.now[CHANGE_TOOLS] + 1);
	HEARD(get(s, id), "204");
	HEARD(get(s, "l.99999999999999999999999.0.0.0"), "204");
	HEARD(get(s, "l.0.0.0.0.0"), "204");
	b = get(s, NULL);
	HEARD(b, "s:prime s:tools");
	client_leave(b);
	sim_close();
}

/* A session that was made after a change is not told of it. */
static void test_a_new_session_is_up_to_date(void **state)
{
	BEGIN_WITHOUT;
	notify_changed(CHANGE_TOOLS);
	notify_updated(&script.connection, URI);
	sim_run();
	handle_t a = get(session(), NULL);

	sim_run();
	HEARD(a, "s:prime");
	client_leave(a);
	sim_close();
}

/* The same name in another account is another table. */
static void test_updates_stay_within_their_connection(void **state)
{
	static const struct connection other = {.name = "other"};

	BEGIN_WITHOUT;
	const char *s = session();
	handle_t a;

	subscribe(s, URI);
	a = get(s, NULL);
	notify_updated(&other, URI);
	sim_run();
	HEARD(a, "s:prime");
	notify_updated(&script.connection, URI);
	sim_run();
	HEARD(a, "s:prime s:updated");
	client_leave(a);
	sim_close();
}

/* What a policy no longer allows to be seen is not told, though it was subscribed to before. */
static void test_updates_obey_the_policy_of_today(void **state)
{
	static const char *const databases[] = {"ELSEWHERE"};

	BEGIN_WITHOUT;
	const char *s = session();
	handle_t a;

	subscribe(s, URI);
	a = get(s, NULL);
	script.policy.databases = (struct texts){1, databases};
	notify_updated(&script.connection, URI);
	sim_run();
	HEARD(a, "s:prime");
	script.policy.databases = (struct texts){0, NULL};
	client_leave(a);
	sim_close();
}

static void test_slow_listener(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session();
	handle_t a;

	subscribe(s, URI);
	a = get(s, NULL);
	client_room(a, 0);
	for (int i = 0; i < 3; i++)
		notify_changed(CHANGE_TOOLS);
	notify_updated(&script.connection, URI);
	notify_updated(&script.connection, URI);
	sim_run();
	HEARD(a, "s:prime");
	client_room(a, 1);
	HEARD(a, "s:prime s:tools");
	client_room(a, 5);
	/* it is state, not history */
	HEARD(a, "s:prime s:tools s:updated");
	client_leave(a);
	sim_close();
}

/* What the newest was too slow to be told, the one before it is told when that is gone. */
static void test_slow_newest_leaves(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session();
	handle_t a = get(s, NULL), b = get(s, NULL);

	client_room(b, 0);
	notify_changed(CHANGE_TOOLS);
	sim_run();
	HEARD(a, "s:prime");
	client_leave(b);
	sim_run();
	HEARD(b, "s:prime");
	HEARD(a, "s:prime s:tools");
	client_leave(a);
	sim_close();
}

/* More listeners than one turn tells, some of whom leave meanwhile. */
static void test_many_are_told_in_turns(void **state)
{
	BEGIN_WITHOUT;
	enum { N = 90 };
	handle_t x[N];

	sim.limits.streams = 1000;
	sim.limits.burst = sim.limits.calls_per_minute = 1000;
	for (int i = 0; i < N; i++)
		x[i] = listen_for("{\"toolsListChanged\":true}");
	notify_changed(CHANGE_TOOLS);
	client_leave(x[0]);
	client_leave(x[N - 1]);
	sim_run();
	for (int i = 1; i < N - 1; i++)
		HEARD(x[i], "acknowledged tools");
	notify_changed(CHANGE_TOOLS);
	for (int i = 1; i < N - 1; i++)
		client_leave(x[i]);
	sim_run();
	sim_close();
}

/* ---- resources ---- */

static void test_updates_go_to_subscribers(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session(), *other = session();
	handle_t a, b, u;

	assert_string_equal(subscribe(s, URI), "200");
	assert_string_equal(subscribe(s, "file:///etc/passwd"), "200");
	a = get(s, NULL);
	b = get(other, NULL);
	notify_updated(&script.connection, URI);
	notify_updated(&script.connection, "snowflake://SALES/PUBLIC/ELSE");
	sim_run();
	HEARD(a, "s:prime s:updated");
	assert_true(hears(a, "\"uri\":\"" URI "\""));
	HEARD(b, "s:prime");
	u = post(s, "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"resources/unsubscribe\",\"params\":{\"uri\":\"" URI
		    "\"}}");
	sim_run();
	HEARD(u, "200");
	notify_updated(&script.connection, URI);
	sim_run();
	HEARD(a, "s:prime s:updated");
	client_leave(a);
	client_leave(b);
	sim_close();
}

/* A write tells who watches its table. */
static void test_a_write_is_an_update(void **state)
{
	BEGIN(SLOW(MS(100)));
	const char *s = session(), *watcher = session();
	handle_t a, w;

	subscribe(watcher, URI);
	a = get(watcher, NULL);
	w = query_with(s, "", "{\"query\":\"INSERT INTO T VALUES (1)\"}");
	sim_run();
	HEARD(w, "200");
	HEARD(a, "s:prime s:updated");
	client_leave(a);
	sim_close();
}

/* So does the end of a statement that was announced as running, which its result names. */
static void test_a_result_is_an_update(void **state)
{
	BEGIN(SLOW(SECONDS(3)));
	const char *s = session();
	handle_t a = query_with(s, "", "{\"query\":\"SELECT 7\",\"wait_seconds\":1,\"format\":\"json\"}"), g;
	const char *at;
	char uri[200];

	sim_run_for(SECONDS(2));
	at = strstr(told_of(a), "\"statementHandle\":\"");
	assert_non_null(at);
	at += strlen("\"statementHandle\":\"");
	snprintf(uri, sizeof uri, "snowflake://result/%.*s", (int)strcspn(at, "\""), at);
	assert_string_equal(subscribe(s, uri), "200");
	g = get(s, NULL);
	sim_run();
	HEARD(g, "s:prime s:updated");
	assert_true(hears(g, uri));
	client_leave(g);
	sim_close();
}

/* Who was away for longer than updates are remembered starts with what is. */
static void test_more_updates_than_are_kept(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session();
	handle_t a;

	subscribe(s, URI);
	for (size_t i = 0; i < ARRAY_LEN(gateway.listeners.updated) + 100; i++)
		notify_updated(&script.connection, "snowflake://SALES/PUBLIC/ELSE");
	notify_updated(&script.connection, URI);
	sim_run();
	a = get(s, NULL);
	HEARD(a, "s:prime s:updated");
	client_leave(a);
	sim_close();
}

/* ---- subscriptions/listen ---- */

static void test_listen(void **state)
{
	BEGIN_WITHOUT;
	handle_t a = listen_for("{\"toolsListChanged\":true,\"resourceSubscriptions\":[\"" URI "\"]}"),
		 b = listen_for("{\"promptsListChanged\":true}");

	HEARD(a, "acknowledged");
	assert_int_equal(client_of(a)->status, 200);
	for (int i = 0; i < CHANGES_N; i++)
		notify_changed((enum change)i);
	notify_updated(&script.connection, URI);
	sim_run();
	HEARD(a, "acknowledged tools updated");
	HEARD(b, "acknowledged prompts");
	/* each bears the id of its request (number 1) */
	for (size_t i = 0; i < 3; i++)
		assert_non_null(strstr(client_of(a)->events[i].data, "\"io.modelcontextprotocol/subscriptionId\":1"));
	client_leave(a);
	client_leave(b);
	sim_close();
}

static void test_listen_refused(void **state)
{
	BEGIN_WITHOUT;
	next_request.accept = "application/json";
	HEARD(listen_for("{}"), "406");
	HEARD(modern("subscriptions/listen", NULL, "", ""), "200");
	assert_true(hears(clients_last(), "-32602"));
	sim.limits.streams = 0;
	HEARD(listen_for("{\"toolsListChanged\":true}"), "503");
	sim_close();
}

/* Nothing comes before the acknowledgement, also where the process has no room for it. */
static void test_listen_without_room(void **state)
{
	BEGIN_WITHOUT;
	handle_t a;

	clients_new_room = 0;
	a = listen_for("{\"toolsListChanged\":true}");
	clients_new_room = SIZE_MAX;
	HEARD(a, "end");
	notify_changed(CHANGE_TOOLS);
	sim_run();
	sim_close();
}

/* ---- the end of a session, of a key, of the process ---- */

static void test_session_deleted(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session(), *other = session();
	handle_t a = get(s, NULL), b = get(s, NULL), c = get(other, NULL);

	delete_session(s);
	sim_run();
	HEARD(a, "s:prime end");
	HEARD(b, "s:prime end");
	HEARD(c, "s:prime");
	client_leave(c);
	sim_close();
}

/* A session with an open stream is busy: it does not leave memory. */
static void test_open_stream_keeps_its_session(void **state)
{
	BEGIN_WITHOUT;
	handle_t a = get(session(), NULL);

	assert_int_equal(session_expire(gateway.sessions, INT64_MAX), 0);
	client_leave(a);
	assert_int_equal(session_expire(gateway.sessions, INT64_MAX), 1);
	sim_close();
}

/* Who is let in no more hears nothing more. Calls under way go on. */
static void test_revoked(void **state)
{
	BEGIN(SLOW(SECONDS(3)));
	char folder[] = "/tmp/snowgate-sim-XXXXXX", path[100], why[200];
	struct buf secret = buf_with_ceiling(200);
	handle_t a, b, c, other;
	const char *s;
	size_t n;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/keys", folder);
	assert_true(key_new(path, "alice", NULL, NULL, &secret, why, sizeof why));
	assert_true(key_new(path, "bob", NULL, NULL, &secret, why, sizeof why));
	keyring_free(gateway.keys);
	gateway.keys = keyring_load(path, why, sizeof why);
	s = session();
	a = get(s, NULL);
	b = listen_for("{\"toolsListChanged\":true}");
	c = query(s);
	next_request.subject = "bob";
	other = listen_for("{\"toolsListChanged\":true}");
	sim_run_for(SECONDS(1));
	reload_listeners();
	assert_int_equal(gateway.listeners.n, 4);
	assert_true(key_revoke(path, "alice", &n, why, sizeof why));
	keyring_free(gateway.keys);
	gateway.keys = keyring_load(path, why, sizeof why);
	reload_listeners();
	HEARD(a, "s:prime end");
	HEARD(b, "acknowledged end");
	HEARD(other, "acknowledged");
	sim_run();
	HEARD(c, "0:prime 1:response end");
	/* a policy that no longer fits does the same */
	script.conf.policies_n = 0;
	reload_listeners();
	HEARD(other, "acknowledged end");
	buf_free(&secret);
	assert_int_equal(unlink(path), 0);
	(void)rmdir(folder);
	sim_close();
}

/* What a new snapshot changes is told to those whom it concerns. */
static void test_reload(void **state)
{
	BEGIN_WITHOUT;
	handle_t a =
	    listen_for("{\"toolsListChanged\":true,\"promptsListChanged\":true,\"resourcesListChanged\":true}");
	struct policy policy = script.policy;
	struct conf conf = script.conf;

	conf.policies = &policy;
	reload_lists(&script.conf, &conf);
	sim_run();
	HEARD(a, "acknowledged");
	conf.results_max_rows++;
	reload_lists(&script.conf, &conf);
	sim_run();
	HEARD(a, "acknowledged tools");
	policy.databases = (struct texts){1, (const char *const[]){"SALES"}};
	reload_lists(&script.conf, &conf);
	sim_run();
	HEARD(a, "acknowledged tools tools resources");
	client_leave(a);
	sim_close();
}

/* Standalone streams end at once, subscriptions with their result; calls may end until the time is up. */
static void test_drain(void **state)
{
	BEGIN(SLOW(SECONDS(5)));
	const char *s = session();
	handle_t a = get(s, NULL), b = listen_for("{}"), c = query(s), d;

	sim_run_for(SECONDS(1));
	gateway_drain();
	sim_run_for(MS(1));
	HEARD(a, "s:prime end");
	HEARD(b, "acknowledged response end");
	HEARD(c, "0:prime");
	d = query(s);
	HEARD(d, "503");
	assert_false(clients_loop_ended());
	sim_run_for(SECONDS(5));
	HEARD(c, "0:prime 1:response end");
	assert_true(clients_loop_ended());
	timer_stop(&gateway.drain);
	sim_close();
}

/* The time is up: who still waits is told so on his stream, and what runs for him is cancelled. */
static void test_drain_timeout(void **state)
{
	BEGIN(BOTH_CUT);
	const char *s = session();
	handle_t a, b;

	sim.limits.running = 2;
	a = query(s);
	sim_run_for(1);
	b = query(s);
	sim_run_for(SECONDS(1));
	gateway_drain();
	sim_run_for(SECONDS(10));
	/* nobody is told of who leaves now; it is found out */
	client_leave(b);
	sim_run();
	HEARD(a, "0:prime 1:error end");
	assert_true(hears(a, "50302"));
	HEARD(b, "0:prime");
	assert_true(clients_loop_ended());
	assert_int_equal(metric_value(METRIC_cancels, "drain"), 2);
	sim_close();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_get),
	    cmocka_unit_test(test_get_refused),
	    cmocka_unit_test(test_share_of_connections),
	    cmocka_unit_test(test_get_of_an_earlier_revision),
	    cmocka_unit_test(test_several_gets),
	    cmocka_unit_test(test_get_resumed),
	    cmocka_unit_test(test_trimmed_state_id),
	    cmocka_unit_test(test_a_new_session_is_up_to_date),
	    cmocka_unit_test(test_updates_stay_within_their_connection),
	    cmocka_unit_test(test_updates_obey_the_policy_of_today),
	    cmocka_unit_test(test_slow_listener),
	    cmocka_unit_test(test_slow_newest_leaves),
	    cmocka_unit_test(test_many_are_told_in_turns),
	    cmocka_unit_test(test_updates_go_to_subscribers),
	    cmocka_unit_test(test_a_write_is_an_update),
	    cmocka_unit_test(test_a_result_is_an_update),
	    cmocka_unit_test(test_more_updates_than_are_kept),
	    cmocka_unit_test(test_listen),
	    cmocka_unit_test(test_listen_refused),
	    cmocka_unit_test(test_listen_without_room),
	    cmocka_unit_test(test_session_deleted),
	    cmocka_unit_test(test_open_stream_keeps_its_session),
	    cmocka_unit_test(test_revoked),
	    cmocka_unit_test(test_reload),
	    cmocka_unit_test(test_drain),
	    cmocka_unit_test(test_drain_timeout),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
