/* Random outages: a Snowflake that refuses, hangs, breaks, is overloaded and comes back, while many clients ask it for
 * things. Each seed is one world; SNOWGATE_SEEDS says how many, SNOWGATE_SEED which one only. Last a whole outage with
 * 200 clients that never give up, and the requests that it gets. */
#include "talk.c"

#include "../../src/snowflake/internal.h"

#include <stdlib.h>

/* Sanitizers take ten times as long. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SEEDS = 100 };
#else
enum { SEEDS = 1000 };
#endif
enum { CALLS = 60, STATEMENTS_MAX = 100000, SECONDS_MAX = 2000, CROWD = 200 };

/* ---- chance ---- */

static uint64_t dice;

static uint64_t chance(uint64_t n)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice % n;
}

/* ---- Snowflake ---- */

enum weather { FAIR, REFUSES, BREAKS, HANGS, IS_503, IS_429, IS_500, IS_401, RUBBISH, WEATHERS };

struct pending_answer {
	struct timer timer;
	struct wire_request *request;
	enum weather weather;
	bool probe;
};
static struct {
	enum weather weather;
	usec_t until; /* of the weather; then another */
	usec_t takes; /* a statement */
	usec_t began;
	int64_t retry_after_s;
	usec_t ends[STATEMENTS_MAX];
	size_t n;
	int probes, submits[SECONDS_MAX], all[SECONDS_MAX];
} snow;

#define HANDLE_OF "01b2c3d4-0000-0001-0000-%012zu"

static void say(struct wire_request *rq, int status, const char *code, size_t statement)
{
	rq->result = WIRE_ANSWERED;
	rq->status = status;
	buf_addf(
	    &rq->answer,
	    "{\"code\":\"%s\",\"sqlState\":\"00000\",\"message\":\"as scripted\",\"statementHandle\":\"" HANDLE_OF
	    "\"%s}",
	    code, statement,
	    status != 200 || rq->op == WIRE_CANCEL
		? ""
		: ",\"resultSetMetaData\":{\"numRows\":1,\"partitionInfo\":[{\"rowCount\":1}],\"rowType\":[" COLUMN(
		      "N") "]},\"data\":[[\"seven\"]]");
}

static void say_nothing_of_it(struct wire_request *rq, int status, const char *text)
{
	rq->result = WIRE_ANSWERED;
	rq->status = status;
	buf_adds(&rq->answer, text);
	if (status == 429 || status == 503)
		rq->retry_after_s = snow.retry_after_s ? snow.retry_after_s : -1;
}

static void answer_fairly(struct wire_request *rq)
{
	const char *at = strstr(rq->path, "01b2c3d4-0000-0001-0000-");
	size_t n = at ? strtoul(at + strlen("01b2c3d4-0000-0001-0000-"), NULL, 10) : 0;

	if (rq->op == WIRE_SUBMIT) {
		assert_true(snow.n < STATEMENTS_MAX);
		snow.ends[snow.n] = clock_now() + snow.takes;
		if (chance(30) == 0)
			say(rq, 422, "001003", snow.n++);
		else
			say(rq, 202, "333334", snow.n++);
	} else if (rq->op == WIRE_CANCEL) {
		say(rq, 200, "000604", n);
	} else {
		say(rq, clock_now() >= snow.ends[n] ? 200 : 202, clock_now() >= snow.ends[n] ? "090001" : "333334", n);
	}
}

static void answer_as(struct wire_request *rq, enum weather weather)
{
	switch (weather) {
	case FAIR:
	case WEATHERS:
		answer_fairly(rq);
		break;
	case REFUSES:
		rq->result = WIRE_REFUSED;
		break;
	case BREAKS:
		rq->result = WIRE_BROKEN;
		break;
	case HANGS:
		rq->result = WIRE_TIMEOUT;
		break;
	case IS_503:
		say_nothing_of_it(rq, 503, "");
		break;
	case IS_500:
		say_nothing_of_it(rq, 500, "<html>");
		break;
	case IS_429:
		say_nothing_of_it(rq, 429, "{\"code\":\"390505\",\"message\":\"Too many requests.\"}");
		break;
	case IS_401:
		say_nothing_of_it(rq, 401, "{\"code\":\"390144\",\"message\":\"JWT token is invalid.\"}");
		break;
	case RUBBISH:
		say_nothing_of_it(rq, 200, "<html>hello</html>");
		break;
	}
}

static void snow_fires(struct timer *t)
{
	struct pending_answer *p = container_of(t, struct pending_answer, timer);
	struct wire_request *rq = p->request;

	rq->retry_after_s = -1;
	snprintf(rq->error, sizeof rq->error, "scripted");
	answer_as(rq, p->weather);
	rq->transfer = NULL;
	snow.probes -= p->probe;
	free(p);
	rq->done(rq);
}

static void snow_counts(const struct wire_request *rq)
{
	usec_t second = (clock_now() - snow.began) / USEC_PER_S;

	assert_true(second < SECONDS_MAX);
	snow.all[second]++;
	snow.submits[second] += rq->op == WIRE_SUBMIT;
}

/* While a breaker is open, a submission is a probe, and the only one. */
static bool snow_is_probed(const struct wire_request *rq)
{
	if (rq->op != WIRE_SUBMIT || metric_value(METRIC_breakers_open, NULL) == 0)
		return false;
	assert_int_equal(snow.probes, 0);
	snow.probes++;
	return true;
}

static void snow_send(struct wire *w, struct wire_request *rq)
{
	struct pending_answer *p = xalloc(sizeof *p);

	(void)w;
	snow_counts(rq);
	*p = (struct pending_answer){.timer = {.fire = snow_fires}, .request = rq, .weather = snow.weather};
	p->probe = snow_is_probed(rq);
	rq->transfer = p;
	timer_set(script.wheel, &p->timer,
		  clock_now() + (snow.weather == HANGS ? rq->timeout : (usec_t)chance(MS(100))));
}

static void snow_abort(struct wire *w, struct wire_request *rq)
{
	struct pending_answer *p = rq->transfer;

	(void)w;
	timer_stop(&p->timer);
	rq->transfer = NULL;
	snow.probes -= p->probe;
	free(p);
}

static void snow_open(uint64_t seed)
{
	static struct wire wire = {.send = snow_send, .abort = snow_abort};

	memset(&snow, 0, sizeof snow);
	dice = seed * 0x9E3779B97F4A7C15u + 1;
	for (int i = 0; i < 8; i++)
		(void)chance(2);
	sim_open_with(NULL, 0, STREAMS_BYTES_MAX, &wire);
	snow.began = clock_now();
	snow.takes = MS(100);
	sim.limits.burst = sim.limits.calls_per_minute = 1000000;
	sim.limits.running = sim.limits.queued = 1000;
	sim.limits.streams = 1000;
	script.conf.mcp_stream_after = SECONDS(1000);
	script.conf.snowflake_breaker_failures = 20;
	script.conf.snowflake_breaker_open = SECONDS(5);
}

static void nothing_is_left(void)
{
	assert_int_equal(snow.probes, 0);
	assert_int_equal(metric_value(METRIC_lane_in_flight, NULL), 0);
	assert_int_equal(metric_value(METRIC_lane_waiting, NULL), 0);
	thread_play(THREAD_SNOWFLAKE);
	assert_int_equal(snowflake_busy(), 0);
	thread_play(THREAD_NET);
}

/* ---- random worlds ---- */

static struct {
	handle_t x;
	usec_t latest; /* when it must have its answer */
	bool waived;   /* cancelled: has none, or one */
} asked[CALLS];
static size_t asked_n;

static void change_weather(void)
{
	if (clock_now() < snow.until)
		return;
	snow.weather = chance(2) ? FAIR : (enum weather)chance(WEATHERS);
	snow.until = clock_now() + (usec_t)chance(chance(2) ? SECONDS(3) : SECONDS(40));
	snow.takes = (usec_t)chance(chance(3) ? MS(300) : SECONDS(20));
	snow.retry_after_s = chance(3) ? 0 : (int64_t)chance(70);
}

/* A slot is waited for at most 5 s; then a read is answered within its own time, or ten seconds where that is less,
 * and the second that a request has at least. A write lives as long as its statement, and so long again where it asks
 * for what became of it. */
static void ask_something(const char *session)
{
	static const char *const warehouses[] = {"WH_A", "WH_B", "WH_C"};
	static const char *const people[] = {"alice", "bob", "carol"};
	bool write = chance(6) == 0;
	usec_t wait = (usec_t)chance(30);
	char arguments[200];

	snprintf(arguments, sizeof arguments, "{\"query\":\"%s\",\"warehouse\":\"%s\",\"wait_seconds\":%lld}",
		 write ? "INSERT INTO T VALUES (1)" : "SELECT 7", warehouses[chance(ARRAY_LEN(warehouses))],
		 (long long)wait);
	if (session) {
		asked[asked_n].x = query_with(session, "", arguments);
	} else {
		next_request.subject = people[chance(ARRAY_LEN(people))];
		asked[asked_n].x = modern_query("", arguments);
	}
	asked[asked_n].latest = clock_now() + SECONDS(5) + SECONDS(wait > 10 ? wait : 10) + SECONDS(2);
	if (write)
		asked[asked_n].latest += 2 * script.conf.snowflake_statement_timeout;
	asked[asked_n++].waived = false;
}

static void is_answered(size_t i)
{
	const struct client *c = client_of(asked[i].x);

	if (c->state == CLIENT_WAITS && !asked[i].waived)
		fail_msg("call %llu has no answer in time", (unsigned long long)asked[i].x);
}

static void look_at_all(void)
{
	for (size_t i = 0; i < asked_n; i++)
		if (clock_now() >= asked[i].latest)
			is_answered(i);
}

static void let_time_pass(usec_t time)
{
	while (time > 0) {
		usec_t step = time < SECONDS(1) ? time : SECONDS(1);

		change_weather();
		sim_run_for(step);
		look_at_all();
		time -= step;
	}
}

static void maybe_cancel(const char *session)
{
	size_t i = (size_t)chance(CALLS);

	if (i >= asked_n || chance(3))
		return;
	asked[i].waived = true;
	if (chance(2))
		client_leave(asked[i].x);
	else
		cancel(session, asked[i].x);
}

static void test_worlds(void **state)
{
	const char *one = getenv("SNOWGATE_SEED"), *many = getenv("SNOWGATE_SEEDS");
	uint64_t first = one ? strtoull(one, NULL, 10) : 1, n = one ? 1 : many ? strtoull(many, NULL, 10) : SEEDS;
	int64_t opened = 0, lowered = 0, full = 0;

	(void)state;
	for (uint64_t seed = first; seed < first + n; seed++) {
		const char *alice;

		print_message("seed %llu\r", (unsigned long long)seed);
		fflush(stdout);
		snow_open(seed);
		script.conf.snowflake_breaker_failures = 1 + (int64_t)chance(10);
		script.conf.snowflake_max_per_warehouse = (int64_t)chance(5);
		script.conf.snowflake_max_waiting = (int64_t)chance(12);
		alice = session();
		asked_n = 0;
		while (asked_n < CALLS) {
			ask_something(chance(2) ? alice : NULL);
			maybe_cancel(alice);
			let_time_pass((usec_t)chance(chance(3) ? MS(300) : SECONDS(8)));
		}
		snow.weather = FAIR;
		snow.until = INT64_MAX;
		sim_run();
		for (size_t i = 0; i < asked_n; i++)
			is_answered(i);
		nothing_is_left();
		opened += metric_value(METRIC_breaker_changes, "opened");
		lowered += metric_value(METRIC_lane_changes, "lowered");
		full += metric_value(METRIC_lane_refused, "full") + metric_value(METRIC_lane_refused, "late");
		sim_close();
		assert_int_equal(metric_value(METRIC_breakers_open, NULL), 0);
		assert_int_equal(metric_value(METRIC_lane_cap, NULL), 0);
	}
	/* or nothing was tested */
	if (!one)
		assert_true(opened > 0 && lowered > 0 && full > 0);
}

/* Who waits for a warehouse is told so. */
static void test_waiting_is_told(void **state)
{
	handle_t x;

	(void)state;
	snow_open(1);
	snow.takes = SECONDS(5);
	script.conf.snowflake_max_per_warehouse = 1;
	script.conf.mcp_stream_after = MS(500);
	modern_query("", QUERY);
	sim_run_for(MS(300));
	x = modern_query(TOKEN ",\"io.modelcontextprotocol/logLevel\":\"info\"", QUERY);
	sim_run();
	assert_true(hears(x, "waiting for warehouse WH_XS, place 1"));
	assert_true(hears(x, "seven"));
	nothing_is_left();
	sim_close();
}

/* ---- one outage of a minute, and 200 clients ---- */

/* Each asks again when it is answered; half of them when they are told to. */
static struct {
	handle_t x[CROWD];
	usec_t asked[CROWD], again[CROWD];
	bool open[CROWD]; /* the breaker was when it asked */
	int good[SECONDS_MAX], bad[SECONDS_MAX];
	usec_t slowest; /* of the failures that were asked for while it was open */
} crowd;

static usec_t told_to_wait(const char *body)
{
	const char *at = strstr(body, "\"retryAfterMs\":");

	return at ? strtoll(at + strlen("\"retryAfterMs\":"), NULL, 10) * USEC_PER_MS : 0;
}

static void crowd_hears(size_t i)
{
	const struct client *c = client_of(crowd.x[i]);
	size_t second = (size_t)((clock_now() - snow.began) / USEC_PER_S);
	bool good = c->body && strstr(c->body, "seven");

	crowd.good[second] += good;
	crowd.bad[second] += !good;
	if (!good && crowd.open[i] && clock_now() - crowd.asked[i] > crowd.slowest)
		crowd.slowest = clock_now() - crowd.asked[i];
	crowd.again[i] = clock_now() + (good ? MS(100) : SECONDS(2)) + (usec_t)chance(MS(2000));
	if (chance(2) && told_to_wait(c->body))
		crowd.again[i] = clock_now() + told_to_wait(c->body);
	crowd.x[i] = 0;
}

static void crowd_turn(void)
{
	for (size_t i = 0; i < CROWD; i++) {
		if (crowd.x[i] && client_of(crowd.x[i])->state == CLIENT_DONE)
			crowd_hears(i);
		if (crowd.x[i] || clock_now() < crowd.again[i])
			continue;
		next_request.subject = (const char *const[]){"alice", "bob", "carol", "dave"}[i % 4];
		crowd.x[i] = modern_query("", QUERY);
		crowd.asked[i] = clock_now();
		crowd.open[i] = metric_value(METRIC_breakers_open, NULL) > 0;
	}
}

static int most_of(const int *counts, size_t from, size_t to)
{
	int most = 0;

	for (size_t i = from; i < to; i++)
		most = counts[i] > most ? counts[i] : most;
	return most;
}

static int sum_of(const int *counts, size_t from, size_t to)
{
	int sum = 0;

	for (size_t i = from; i < to; i++)
		sum += counts[i];
	return sum;
}

/* So long is good weather, then the outage, then good weather again. */
enum { BEFORE = 10, DURING = 60, AFTER = 90, WHOLE = BEFORE + DURING + AFTER };

static void run_outage(enum weather weather)
{
	memset(&crowd, 0, sizeof crowd);
	snow_open(7);
	script.conf.snowflake_max_in_flight = gateway.queue.max_running = 32;
	script.conf.snowflake_max_waiting = 256;
	snow.takes = SECONDS(2);
	handle_table_free(gateway.tickets);
	gateway.tickets = handle_table_new(2 * CROWD);
	while (clock_now() - snow.began < SECONDS(WHOLE)) {
		usec_t passed = clock_now() - snow.began;

		snow.weather = passed >= SECONDS(BEFORE) && passed < SECONDS(BEFORE + DURING) ? weather : FAIR;
		crowd_turn();
		sim_run_for(MS(50));
	}
}

static void check_outage(const char *name)
{
	int before = most_of(snow.all, 1, BEFORE), recovered = BEFORE + DURING;

	while (recovered < WHOLE && crowd.good[recovered] == 0)
		recovered++;
	print_message(
	    "%s: before %d requests/s at most; during %d in all, %d/s at most after 3 s; recovered %d s after "
	    "the end; then %d/s at most; slowest refusal %lld us\n",
	    name, before, sum_of(snow.all, BEFORE, BEFORE + DURING), most_of(snow.all, BEFORE + 3, BEFORE + DURING),
	    recovered - BEFORE - DURING, most_of(snow.all, BEFORE + DURING, WHOLE), (long long)crowd.slowest);
	/* few requests while it lasts: tries until the breaker opens, then probes */
	assert_true(most_of(snow.submits, BEFORE + 3, BEFORE + DURING) <= 2);
	assert_true(recovered - BEFORE - DURING <= 2 * 33);
	assert_true(crowd.slowest <= SECONDS(1));
	/* and no rush when it is over */
	assert_true(most_of(snow.all, BEFORE + DURING, WHOLE) <= before * 5 / 4);
	assert_true(sum_of(crowd.good, WHOLE - 10, WHOLE) > sum_of(crowd.good, 0, BEFORE) * 3 / 4);
}

static void test_crowd(void **state)
{
	(void)state;
	run_outage(REFUSES);
	check_outage("refused");
	sim_run();
	nothing_is_left();
	sim_close();
	run_outage(IS_503);
	check_outage("503");
	sim_run();
	nothing_is_left();
	sim_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_worlds), cmocka_unit_test(test_waiting_is_told),
					   cmocka_unit_test(test_crowd)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
