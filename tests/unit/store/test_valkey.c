/* The store in a real redis-server: what the contract says, and what happens when the server stops, dies, is full, or
 * is no longer the master. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../src/store/valkey.h"
#include "redis_server.h"
#include "snowgate/wheel.h"

#define GROUP  "0123456789abcdef0123456789abcdef"
#define MINUTE 60000

static struct {
	struct redis_server server, second;
	struct conf conf;
	const char *urls[3];
	char why[400];
	int health; /* -1: not told */
	char heard[256];
	int told;
} self;

static void on_health(bool ready, const char *why)
{
	self.health = ready;
	assert_true(ready ? why == NULL : *why != '\0');
}

static void on_heard(const char *channel, struct slice value)
{
	self.told++;
	snprintf(self.heard, sizeof self.heard, "%s=%.*s", channel, (int)value.n, value.data);
}

static const struct store_ops ops = {on_health, on_heard};

/* ---- pieces ---- */
static struct store_item get(const char *key)
{
	return (struct store_item){.verb = STORE_GET, .key = key, .out = buf_with_ceiling(1 << 20)};
}

static struct store_item check(const char *key, uint64_t version)
{
	return (struct store_item){.verb = STORE_CHECK, .key = key, .version = version};
}

static struct store_item put(const char *key, const char *value)
{
	return (struct store_item){
	    .verb = STORE_PUT, .key = key, .value = slice_of(value), .ttl_ms = MINUTE, .due_ms = STORE_NO_DUE};
}

static struct store_item put_due(const char *key, int64_t due_ms)
{
	struct store_item item = put(key, key);

	item.due_ms = due_ms;
	return item;
}

static struct store_item del(const char *key)
{
	return (struct store_item){.verb = STORE_DEL, .key = key};
}

static struct store_item append(const char *key, uint64_t number, const char *value)
{
	return (struct store_item){.verb = STORE_APPEND, .key = key, .number = number, .value = slice_of(value)};
}

static struct store_item events(const char *key, uint64_t after, size_t most)
{
	return (struct store_item){.verb = STORE_EVENTS, .key = key, .number = after, .most = most};
}

static struct store_item due(size_t most)
{
	return (struct store_item){.verb = STORE_DUE, .most = most};
}

static struct store_item tell(const char *channel, const char *value)
{
	return (struct store_item){.verb = STORE_TELL, .key = channel, .value = slice_of(value)};
}

static enum store_rc run(struct store *s, struct store_item *items, size_t n)
{
	struct store_work w = {.group = GROUP, .items = items, .n = n, .rc = (enum store_rc) - 1};

	store_valkey.commit(s, &w);
	return w.rc;
}
#define RUN(s, ...)                                                                                                    \
	({                                                                                                             \
		struct store_item items_[] = {__VA_ARGS__};                                                            \
		run((s), items_, ARRAY_LEN(items_));                                                                   \
	})

/* What stands under the key; NULL: nothing. */
static void is(struct store *s, const char *key, const char *value, uint64_t version)
{
	struct store_item item = get(key);

	assert_int_equal(run(s, &item, 1), STORE_OK);
	assert_int_equal(item.rc, value ? STORE_OK : STORE_ABSENT);
	assert_string_equal(buf_text(&item.out), value ? value : "");
	assert_int_equal(item.version, version);
	buf_free(&item.out);
}

/* The log after `after`: "1=a 2=b". */
static void log_is(struct store *s, const char *key, uint64_t after, const char *want)
{
	struct store_item item = events(key, after, STORE_ROWS_MAX);
	struct buf b = buf_with_ceiling(1 << 20);

	assert_int_equal(run(s, &item, 1), STORE_OK);
	for (const struct store_row *r = item.rows; r; r = r->next)
		buf_addf(&b, "%s%d=%s", b.n ? " " : "", (int)r->version, r->value);
	assert_string_equal(buf_text(&b), want);
	buf_free(&b);
	store_rows_free(&item);
}

static void due_is(struct store *s, size_t most, const char *want)
{
	struct store_item item = due(most);
	struct buf b = buf_with_ceiling(1 << 20);

	assert_int_equal(run(s, &item, 1), STORE_OK);
	for (const struct store_row *r = item.rows; r; r = r->next) {
		assert_true(r->due_ms <= 0);
		buf_addf(&b, "%s%s", b.n ? " " : "", r->key);
	}
	assert_string_equal(buf_text(&b), want);
	buf_free(&b);
	store_rows_free(&item);
}

/* ---- stores ---- */
static struct store *opened(enum durability d, usec_t timeout, const char *url, const char *other)
{
	self.urls[0] = url;
	self.urls[1] = other;
	self.conf.store_url = (struct texts){other ? 2 : 1, self.urls};
	self.conf.store_prefix = "snowgate:";
	self.conf.store_user = "snowgate";
	self.conf.store_password = REDIS_PASSWORD;
	self.conf.store_durability = d;
	self.conf.store_timeout = timeout;
	self.health = -1;
	self.told = 0;
	return store_valkey.open(&self.conf, &ops, self.why, sizeof self.why);
}

static struct store *open_default(void)
{
	struct store *s = opened(DURABILITY_AOF, 5 * USEC_PER_S, self.server.url, NULL);

	if (!s)
		fail_msg("%s", self.why);
	return s;
}

static void refused(enum durability d, const char *url, const char *why)
{
	struct store *s = opened(d, 2 * USEC_PER_S, url, NULL);

	if (s)
		fail_msg("opened, but should say \"%s\"; %s", why, ((struct valkey *)s)->why.text);
	if (!strstr(self.why, why))
		fail_msg("\"%s\" does not say \"%s\"", self.why, why);
}

/* Upkeep as often as it wants, until the readiness told is `health`. */
static void upkeep_until(struct store *s, int health)
{
	usec_t end = clock_now() + 10 * USEC_PER_S;

	while (self.health != health && clock_now() < end) {
		usec_t wait = store_valkey.upkeep(s);
		if (self.health != health)
			poll(NULL, 0, (int)(wait / USEC_PER_MS) < 100 ? (int)(wait / USEC_PER_MS) : 100);
	}
	assert_int_equal(self.health, health);
}

static int each_setup(void **state)
{
	(void)state;
	if (!redis_installed())
		return 0;
	if (!self.server.pid)
		redis_begin(&self.server, NULL);
	redis_do(&self.server, "FLUSHALL");
	return 0;
}

static int each_teardown(void **state)
{
	(void)state;
	if (self.second.pid)
		redis_end(&self.second);
	return 0;
}

static int all_teardown(void **state)
{
	(void)state;
	if (self.server.pid)
		redis_end(&self.server);
	return 0;
}

static void server_needed(void)
{
	if (redis_installed())
		return;
	print_message("redis-server is not installed\n");
	skip();
}

/* ---- the contract ---- */
static void test_records(void **state)
{
	(void)state;
	server_needed();
	struct store *s = open_default();

	is(s, "a", NULL, 0);
	assert_int_equal(RUN(s, put("a", "one")), STORE_OK);
	is(s, "a", "one", 1);
	struct store_item twice[] = {put("a", "two"), get("a"), put("a", ""), get("a")};
	assert_int_equal(run(s, twice, 4), STORE_OK);
	assert_int_equal(twice[0].version, 2);
	assert_string_equal(buf_text(&twice[1].out), "two");
	assert_int_equal(twice[2].version, 3);
	assert_int_equal(twice[3].out.n, 0);
	assert_int_equal(twice[3].rc, STORE_OK);
	assert_int_equal(twice[3].due_ms, STORE_NO_DUE);
	buf_free(&twice[1].out);
	buf_free(&twice[3].out);
	assert_int_equal(RUN(s, del("a"), del("never")), STORE_OK);
	is(s, "a", NULL, 0);
	assert_int_equal(RUN(s, put("a", "again")), STORE_OK);
	is(s, "a", "again", 1);
	store_valkey.close(s);
}

static void test_any_bytes(void **state)
{
	(void)state;
	server_needed();
	struct store *s = open_default();
	char bytes[70000];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * 7);
	struct store_item write = put("k:!\"#$%&'()*+,-./;<=>?@[\\]^_`|~", NULL), read = get(write.key);
	write.value = (struct slice){bytes, sizeof bytes};
	assert_int_equal(run(s, &write, 1), STORE_OK);
	assert_int_equal(run(s, &read, 1), STORE_OK);
	assert_int_equal(read.out.n, sizeof bytes);
	assert_memory_equal(read.out.data, bytes, sizeof bytes);
	buf_free(&read.out);
	/* as large as it may be, written and read in one piece, and past what is remembered of a piece */
	struct buf large = buf_with_ceiling(STORE_VALUE_MAX);
	for (size_t i = 0; i < STORE_VALUE_MAX / sizeof bytes; i++)
		buf_add(&large, bytes, sizeof bytes);
	struct store_item both[] = {put("large", NULL), get("large")};
	both[0].value = buf_slice(&large);
	both[1].out = buf_with_ceiling(STORE_VALUE_MAX);
	assert_int_equal(run(s, both, 2), STORE_OK);
	assert_int_equal(both[1].out.n, large.n);
	buf_free(&both[1].out);
	/* a reader with too little room: nothing of the piece happens */
	struct store_item tight[] = {put("other", "x"), get("large")};
	assert_int_equal(run(s, tight, 2), STORE_FULL);
	is(s, "other", NULL, 0);
	assert_int_equal(run(s, tight + 1, 1), STORE_FULL);
	assert_int_equal(tight[1].out.n, 0);
	buf_free(&large);
	store_valkey.close(s);
}

static void test_checks(void **state)
{
	(void)state;
	server_needed();
	struct store *s = open_default();

	assert_int_equal(RUN(s, check("a", 0), put("a", "one"), check("a", 1)), STORE_OK);
	assert_int_equal(RUN(s, check("a", 0), put("a", "x")), STORE_STALE);
	assert_int_equal(RUN(s, put("b", "x"), check("a", 2)), STORE_STALE);
	assert_int_equal(RUN(s, put("b", "x"), check("a", UINT64_MAX)), STORE_STALE);
	is(s, "b", NULL, 0);
	assert_int_equal(RUN(s, check("a", 1), del("a"), check("a", 0), put("a", "two")), STORE_OK);
	is(s, "a", "two", 1);
	/* two of one commit, the second of which reads what the first has written */
	struct store_item first[] = {check("a", 1), put("a", "three")}, second[] = {check("a", 1), put("a", "four")};
	struct store_work two = {.group = GROUP, .items = second, .n = 2};
	struct store_work one = {.group = GROUP, .items = first, .n = 2, .next = &two};
	store_valkey.commit(s, &one);
	assert_int_equal(one.rc, STORE_OK);
	assert_int_equal(two.rc, STORE_STALE);
	is(s, "a", "three", 2);
	store_valkey.close(s);
}

static void test_kinds_are_apart(void **state)
{
	(void)state;
	server_needed();
	struct store *s = open_default();

	for (int k = 0; k < RECORD_KINDS; k++) {
		struct store_item item = put("k", "x");
		item.kind = (enum record_kind)k;
		assert_int_equal(run(s, &item, 1), STORE_OK);
		assert_int_equal(item.version, 1);
		struct store_item event = append("k", 1, "e");
		event.kind = item.kind;
		assert_int_equal(run(s, &event, 1), STORE_OK);
	}
	store_valkey.close(s);
}

static void test_logs(void **state)
{
	(void)state;
	server_needed();
	struct store *s = open_default();

	assert_int_equal(RUN(s, append("a", 1, "x")), STORE_STALE);
	log_is(s, "a", 0, "");
	assert_int_equal(RUN(s, put("a", "r"), append("a", 1, "x"), append("a", 2, "")), STORE_OK);
	assert_int_equal(RUN(s, append("a", 2, "y")), STORE_STALE);
	assert_int_equal(RUN(s, append("a", 4, "y")), STORE_STALE);
	assert_int_equal(RUN(s, append("a", 3, "y"), append("a", 5, "z")), STORE_STALE);
	assert_int_equal(RUN(s, append("a", UINT64_MAX, "y")), STORE_STALE);
	assert_int_equal(RUN(s, append("a", 3, "y"), put("a", "r2")), STORE_OK);
	log_is(s, "a", 0, "1=x 2= 3=y");
	log_is(s, "a", 2, "3=y");
	log_is(s, "a", 3, "");
	log_is(s, "a", UINT64_MAX, "");
	struct store_item some = events("a", 1, 1);
	assert_int_equal(run(s, &some, 1), STORE_OK);
	assert_int_equal(some.rows->version, 2);
	assert_null(some.rows->next);
	store_rows_free(&some);
	/* a log goes with its record */
	assert_int_equal(RUN(s, del("a"), put("a", "new"), append("a", 1, "n")), STORE_OK);
	log_is(s, "a", 0, "1=n");
	assert_int_equal(RUN(s, put("a", "newer"), del("a"), append("a", 1, "n")), STORE_STALE);
	log_is(s, "a", 0, "1=n");
	store_valkey.close(s);
}

static void test_due(void **state)
{
	(void)state;
	server_needed();
	struct store *s = open_default();

	due_is(s, 10, "");
	assert_int_equal(RUN(s, put_due("late", 1), put_due("later", 2), put_due("last", 3), put_due("not", 50000),
			     put("never", "x"), put_due("first", 0)),
			 STORE_OK);
	poll(NULL, 0, 5);
	due_is(s, 10, "first late later last");
	due_is(s, 2, "first late");
	assert_int_equal(RUN(s, put("late", "no longer"), put_due("later", 50000), del("first")), STORE_OK);
	due_is(s, 10, "last");
	struct store_item item = get("not");
	assert_int_equal(run(s, &item, 1), STORE_OK);
	assert_in_range(item.due_ms, 40000, 50000);
	buf_free(&item.out);
	assert_int_equal(redis_number(&self.server, "ZCARD snowgate:due:s"), 3);
	/* members whose record is gone, or is not due any more, are put right */
	redis_do(&self.server, "UNLINK snowgate:{" GROUP "}:s:last");
	redis_do(&self.server, "HSET snowgate:{" GROUP "}:s:later d -1");
	redis_do(&self.server, "ZADD snowgate:due:s 1 " GROUP ":later 1 " GROUP ":not 1 x 1 y:z");
	due_is(s, 1, "");
	assert_int_equal(redis_number(&self.server, "ZCARD snowgate:due:s"), 1);
	store_valkey.close(s);
}

/* By the server's clock, the log too; nothing else has to come by. */
static void test_expiry(void **state)
{
	(void)state;
	server_needed();
	struct store *s = open_default();
	struct store_item item = put("a", "x"), longer = put("b", "x");

	item.ttl_ms = longer.ttl_ms = 30;
	item.due_ms = 0;
	assert_int_equal(RUN(s, item, append("a", 1, "e"), longer, append("b", 1, "e")), STORE_OK);
	due_is(s, 10, "a");
	assert_int_equal(RUN(s, put("b", "stays")), STORE_OK);
	poll(NULL, 0, 60);
	is(s, "a", NULL, 0);
	log_is(s, "a", 0, "");
	due_is(s, 10, "");
	is(s, "b", "stays", 2);
	log_is(s, "b", 0, "1=e");
	assert_int_equal(RUN(s, check("a", 0), append("b", 2, "f")), STORE_OK);
	/* nothing is left for ever: every key but the due index has an end */
	redisReply *keys = redis_ask(&self.server, "KEYS *");
	for (size_t i = 0; i < keys->elements; i++)
		if (!strstr(keys->element[i]->str, ":due:") && !strstr(keys->element[i]->str, "generation") &&
		    !strstr(keys->element[i]->str, "layout"))
			assert_true(redis_number(&self.server, "PTTL %s", keys->element[i]->str) > 0);
	freeReplyObject(keys);
	store_valkey.close(s);
}

static void test_many_pieces(void **state)
{
	enum { N = 1000 };
	static struct store_work works[N];
	static struct store_item items[N][2];
	char keys[N][16];

	(void)state;
	server_needed();
	struct store *s = open_default();
	for (int i = 0; i < N; i++) {
		snprintf(keys[i], sizeof keys[i], "%d", i / 2);
		items[i][0] = check(keys[i], (uint64_t)(i % 2));
		items[i][1] = put(keys[i], keys[i]);
		works[i] = (struct store_work){.group = GROUP, .items = items[i], .n = 2};
		works[i].next = i + 1 < N ? &works[i + 1] : NULL;
	}
	store_valkey.commit(s, works);
	for (int i = 0; i < N; i++) {
		assert_int_equal(works[i].rc, STORE_OK);
		assert_int_equal(items[i][1].version, i % 2 + 1);
	}
	store_valkey.close(s);
}

static void test_tell(void **state)
{
	(void)state;
	server_needed();
	struct store *a = open_default(), *b = open_default();
	usec_t end = clock_now() + 5 * USEC_PER_S;

	assert_int_equal(store_valkey.descriptor(b), -1);
	store_valkey.upkeep(a);
	store_valkey.upkeep(b);
	assert_int_not_equal(store_valkey.descriptor(b), -1);
	assert_int_equal(RUN(a, put("a", "x"), tell("replica-1", "come and see")), STORE_OK);
	assert_int_equal(RUN(a, check("a", 0), tell("replica-1", "not told")), STORE_STALE);
	while (self.told == 0 && clock_now() < end) {
		struct pollfd p = {.fd = store_valkey.descriptor(b), .events = POLLIN};
		poll(&p, 1, 1000);
		store_valkey.upkeep(b);
	}
	assert_string_equal(self.heard, "replica-1=come and see");
	store_valkey.upkeep(a); /* its own: not heard */
	store_valkey.upkeep(b);
	assert_int_equal(self.told, 1);
	/* a lost subscription comes back */
	redis_do(&self.server, "CLIENT KILL TYPE pubsub");
	store_valkey.upkeep(b);
	store_valkey.upkeep(b);
	assert_int_equal(RUN(a, tell("replica-1", "again")), STORE_OK);
	while (self.told == 1 && clock_now() < end) {
		store_valkey.upkeep(b);
		poll(NULL, 0, 5);
	}
	assert_string_equal(self.heard, "replica-1=again");
	store_valkey.close(a);
	store_valkey.close(b);
}

/* ---- when things go wrong ---- */
static void test_restart(void **state)
{
	(void)state;
	server_needed();
	struct store *s = open_default();

	assert_int_equal(RUN(s, put("a", "x"), append("a", 1, "e")), STORE_OK);
	redis_signal(&self.server, SIGKILL);
	redis_again(&self.server, false);
	/* within its time a commit waits for the server to come back */
	assert_int_equal(RUN(s, append("a", 2, "f")), STORE_OK);
	log_is(s, "a", 0, "1=e 2=f");
	assert_int_equal(self.health, -1);
	store_valkey.close(s);
}

static void test_gone_and_back(void **state)
{
	(void)state;
	server_needed();
	struct store *s = opened(DURABILITY_AOF, 300 * USEC_PER_MS, self.server.url, NULL);
	usec_t begun;

	assert_non_null(s);
	assert_int_equal(RUN(s, put("a", "x")), STORE_OK);
	redis_signal(&self.server, SIGTERM);
	begun = clock_now();
	assert_int_equal(RUN(s, put("a", "y")), STORE_DOWN);
	assert_true(clock_now() - begun < 600 * USEC_PER_MS);
	assert_int_equal(self.health, 0);
	begun = clock_now();
	for (int i = 0; i < 100; i++)
		assert_int_equal(RUN(s, put("a", "y"), get("a")), STORE_DOWN);
	assert_true(clock_now() - begun < 100 * USEC_PER_MS);
	store_valkey.upkeep(s);
	redis_again(&self.server, true);
	upkeep_until(s, 1);
	is(s, "a", "x", 1);
	store_valkey.close(s);
}

/* Stopped, not dead: it reads what was sent when it goes on, and must not do it then. */
static void test_stopped(void **state)
{
	(void)state;
	server_needed();
	struct store *s = opened(DURABILITY_AOF, 500 * USEC_PER_MS, self.server.url, NULL);

	assert_non_null(s);
	assert_int_equal(RUN(s, put("a", "x"), append("a", 1, "e")), STORE_OK);
	redis_signal(&self.server, SIGSTOP);
	usec_t begun = clock_now();
	assert_int_equal(RUN(s, append("a", 2, "f")), STORE_DOWN);
	assert_true(clock_now() - begun < 900 * USEC_PER_MS);
	assert_int_equal(self.health, 0);
	poll(NULL, 0, (int)(1000 - (clock_now() - begun) / USEC_PER_MS));
	redis_signal(&self.server, SIGCONT);
	upkeep_until(s, 1);
	log_is(s, "a", 0, "1=e");
	assert_int_equal(RUN(s, append("a", 2, "g")), STORE_OK);
	log_is(s, "a", 0, "1=e 2=g");
	store_valkey.close(s);
}

/* The reply is lost, the piece is sent again: it is done once, and answers as it did. */
static void test_done_once(void **state)
{
	(void)state;
	server_needed();
	struct store *s = open_default();
	struct valkey *v = (struct valkey *)s;
	struct store_item items[] = {check("a", 0), put("a", "x"), append("a", 1, "e"), get("a")};
	struct store_work w = {.group = GROUP, .items = items, .n = 4};
	struct piece_frame f = {v->library, v->prefix, "", 0, ++v->sequence, valkey_server_ms(v, clock_now()) + 1000};
	const char *states[] = {"ok", "ok", "late", "late"};

	memcpy(f.sender, v->sender, sizeof f.sender);
	piece_send(&v->link, &f, &w);
	piece_send(&v->link, &f, &w);
	f.sequence--; /* overtaken */
	piece_send(&v->link, &f, &w);
	f.slot++; /* too late */
	f.deadline_ms -= 2000;
	piece_send(&v->link, &f, &w);
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		redisReply *r = link_reply(&v->link, clock_now() + USEC_PER_S, &v->why);
		int64_t now = 0;
		assert_non_null(r);
		assert_int_equal(piece_verdict(r, &now), strcmp(states[i], "ok") == 0 ? VERDICT_OK : VERDICT_LATE);
		if (strcmp(states[i], "ok") == 0) {
			assert_true(piece_take(&w, r, now));
			assert_string_equal(buf_text(&items[3].out), "x");
			buf_clear(&items[3].out);
		}
		freeReplyObject(r);
	}
	buf_free(&items[3].out);
	log_is(s, "a", 0, "1=e");
	is(s, "a", "x", 1);
	store_valkey.close(s);
}

static void test_full(void **state)
{
	(void)state;
	server_needed();
	struct store *s = open_default();

	assert_int_equal(RUN(s, put("a", "x"), put("b", "y")), STORE_OK);
	redis_do(&self.server, "CONFIG SET maxmemory 1");
	assert_int_equal(RUN(s, put("a", "z")), STORE_FULL);
	assert_int_equal(RUN(s, check("b", 1), append("a", 1, "e")), STORE_FULL);
	is(s, "a", "x", 1);
	due_is(s, 10, "");
	assert_int_equal(RUN(s, del("b"), tell("x", "y")), STORE_OK);
	struct store *other = opened(DURABILITY_AOF, USEC_PER_S, self.server.url, NULL);
	assert_non_null(other);
	is(other, "a", "x", 1);
	redis_do(&self.server, "CONFIG SET maxmemory 0");
	assert_int_equal(RUN(s, put("a", "z")), STORE_OK);
	assert_int_equal(self.health, -1);
	store_valkey.close(other);
	store_valkey.close(s);
}

/* The functions are gone, as after FUNCTION FLUSH: they are loaded again. */
static void test_functions_lost(void **state)
{
	(void)state;
	server_needed();
	struct store *s = open_default();

	redis_do(&self.server, "FUNCTION FLUSH");
	assert_int_equal(RUN(s, put("a", "x")), STORE_OK);
	assert_int_equal(self.health, -1);
	/* another version of them stands beside */
	redis_do(&self.server, "FUNCTION LOAD %s",
		 "#!lua name=snowgate_other\nredis.register_function('snowgate_other_take', function() return 1 end)");
	assert_int_equal(RUN(s, put("a", "y")), STORE_OK);
	store_valkey.close(s);
}

/* As above, by way of commit(): what it sends has been done already, and the reply was lost. */
static void test_reply_lost(void **state)
{
	(void)state;
	server_needed();
	struct store *s = open_default();
	struct valkey *v = (struct valkey *)s;
	struct store_item items[] = {put("a", "x"), append("a", 1, "e")};
	struct store_work w = {.group = GROUP, .items = items, .n = 2};
	struct piece_frame f = {v->library, v->prefix, "", 0, v->sequence + 1, valkey_server_ms(v, clock_now()) + 1000};

	memcpy(f.sender, v->sender, sizeof f.sender);
	piece_send(&v->link, &f, &w);
	freeReplyObject(link_reply(&v->link, clock_now() + USEC_PER_S, &v->why));
	/* this connection is lost too: it looks for the master, then sends */
	redis_do(&self.server, "CLIENT KILL TYPE normal");
	store_valkey.commit(s, &w);
	assert_int_equal(w.rc, STORE_OK);
	assert_int_equal(items[0].version, 1);
	log_is(s, "a", 0, "1=e");
	assert_int_equal(self.health, -1);
	store_valkey.close(s);
}

/* Kills every connection of the server but its own, again and again. */
static pid_t cutter_start(void)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	redisContext *c = redisConnectUnix(self.server.socket);
	freeReplyObject(redisCommand(c, "AUTH admin x"));
	for (int i = 0; i < 150; i++) {
		freeReplyObject(redisCommand(c, "CLIENT KILL TYPE normal"));
		poll(NULL, 0, 1 + i % 5);
	}
	_exit(0);
}

/* Connections are cut at any moment, before a piece has come, after it was done, between two of one commit: each is
 * done once, in order, and acknowledged. */
static void test_connections_cut(void **state)
{
	enum { N = 8 };
	struct store_item items[N][2];
	struct store_work works[N];
	uint64_t number = 0;
	size_t rows = 0;

	(void)state;
	server_needed();
	struct store *s = open_default();
	assert_int_equal(RUN(s, put("a", "r")), STORE_OK);
	pid_t cutter = cutter_start();
	while (waitpid(cutter, NULL, WNOHANG) == 0) {
		for (int i = 0; i < N; i++) {
			items[i][0] = check("a", number + (uint64_t)i + 1);
			items[i][1] = put("a", "r");
			if (i % 2)
				items[i][1].due_ms = MINUTE;
			works[i] = (struct store_work){.group = GROUP, .items = items[i], .n = 2};
			works[i].next = i + 1 < N ? &works[i + 1] : NULL;
		}
		store_valkey.commit(s, works);
		for (int i = 0; i < N; i++, number++) {
			assert_int_equal(works[i].rc, STORE_OK);
			assert_int_equal(items[i][1].version, number + 2);
			assert_int_equal(RUN(s, append("a", number + 1, "e")), STORE_OK);
		}
	}
	redisFree(self.server.admin); /* cut too */
	self.server.admin = NULL;
	is(s, "a", "r", number + 1);
	for (uint64_t after = 0; after < number; after += STORE_ROWS_MAX) {
		struct store_item item = events("a", after, STORE_ROWS_MAX);
		assert_int_equal(run(s, &item, 1), STORE_OK);
		for (const struct store_row *r = item.rows; r; r = r->next)
			assert_int_equal(r->version, ++rows);
		store_rows_free(&item);
	}
	assert_int_equal(rows, number);
	assert_int_equal(self.health, -1);
	store_valkey.close(s);
}

/* ---- replicas ---- */
static void with_replica(void)
{
	redis_begin(&self.second, NULL);
	redis_follow(&self.second, &self.server);
}

static void test_wait(void **state)
{
	(void)state;
	server_needed();
	redis_do(&self.server, "FUNCTION FLUSH"); /* no gateway was here yet */
	refused(DURABILITY_WAIT, self.server.url, "store.durability");
	with_replica();
	struct store *s = opened(DURABILITY_WAIT, USEC_PER_S, self.server.url, NULL);
	assert_non_null(s);
	assert_int_equal(RUN(s, put("a", "x")), STORE_OK);
	assert_int_equal(redis_number(&self.second, "EXISTS snowgate:{" GROUP "}:s:a"), 1);
	/* a replica that takes nothing: not acknowledged; what only reads is */
	redis_signal(&self.second, SIGSTOP);
	is(s, "a", "x", 1);
	assert_int_equal(RUN(s, put("b", "x")), STORE_DOWN);
	assert_int_equal(self.health, 0);
	redis_signal(&self.second, SIGCONT);
	upkeep_until(s, 1);
	assert_int_equal(RUN(s, put("b", "y")), STORE_OK);
	store_valkey.close(s);
}

/* After a failover the new master is alone for a while: who starts then waits, for a gateway has written there. */
static void test_started_while_the_replica_is_away(void **state)
{
	(void)state;
	server_needed();
	with_replica();
	struct store *s = opened(DURABILITY_WAIT, USEC_PER_S, self.server.url, self.second.url);
	assert_non_null(s);
	assert_int_equal(RUN(s, put("a", "x")), STORE_OK);
	store_valkey.close(s);
	redis_signal(&self.server, SIGKILL);
	redis_do(&self.second, "REPLICAOF NO ONE");
	s = opened(DURABILITY_WAIT, USEC_PER_S, self.server.url, self.second.url);
	assert_non_null(s);
	assert_int_equal(RUN(s, put("a", "y")), STORE_DOWN);
	assert_int_equal(self.health, 0);
	redis_again(&self.server, true);
	redis_follow(&self.server, &self.second);
	upkeep_until(s, 1);
	assert_int_equal(RUN(s, put("a", "y")), STORE_OK);
	redis_do(&self.server, "REPLICAOF NO ONE"); /* it serves the tests to come */
	store_valkey.close(s);
}

static void test_failover(void **state)
{
	(void)state;
	server_needed();
	with_replica();
	struct store *s = opened(DURABILITY_AOF, 5 * USEC_PER_S, self.server.tcp_url, self.second.tcp_url);
	assert_non_null(s);
	assert_int_equal(RUN(s, put("a", "x"), append("a", 1, "e")), STORE_OK);
	assert_true(redis_in_step(&self.server, 1000));
	/* the roles are changed: the old master answers READONLY */
	redis_do(&self.second, "REPLICAOF NO ONE");
	redis_follow(&self.server, &self.second);
	assert_int_equal(RUN(s, append("a", 2, "f")), STORE_OK);
	log_is(s, "a", 0, "1=e 2=f");
	assert_int_equal(redis_number(&self.second, "XLEN snowgate:{" GROUP "}:S:a"), 2);
	/* the new one dies, and the first is promoted */
	assert_true(redis_in_step(&self.second, 1000));
	redis_signal(&self.second, SIGKILL);
	redis_do(&self.server, "REPLICAOF NO ONE");
	assert_int_equal(RUN(s, append("a", 3, "g")), STORE_OK);
	log_is(s, "a", 0, "1=e 2=f 3=g");
	assert_int_equal(self.health, -1);
	store_valkey.close(s);
	redis_end(&self.second);
}

/* The old master comes back and has not heard of the new one: neither who saw the change nor who comes anew takes it.
 */
static void test_replaced(void **state)
{
	(void)state;
	server_needed();
	with_replica();
	struct store *s = opened(DURABILITY_AOF, USEC_PER_S, self.server.url, self.second.url);
	assert_non_null(s);
	assert_int_equal(RUN(s, put("a", "x")), STORE_OK);
	assert_true(redis_in_step(&self.server, 1000));
	redis_signal(&self.server, SIGKILL);
	redis_do(&self.second, "REPLICAOF NO ONE");
	assert_int_equal(RUN(s, put("a", "y")), STORE_OK);
	redis_again(&self.server, true);
	struct store *fresh = opened(DURABILITY_AOF, USEC_PER_S, self.server.url, self.second.url);
	assert_non_null(fresh);
	is(fresh, "a", "y", 2);
	store_valkey.close(fresh);
	redis_signal(&self.second, SIGKILL);
	assert_int_equal(RUN(s, put("a", "z")), STORE_DOWN);
	assert_int_equal(self.health, 0);
	redis_again(&self.second, true);
	upkeep_until(s, 1);
	is(s, "a", "y", 2);
	store_valkey.close(s);
}

/* ---- the start ---- */
static void test_not_there_yet(void **state)
{
	(void)state;
	server_needed();
	redis_signal(&self.server, SIGTERM);
	struct store *s = opened(DURABILITY_AOF, 300 * USEC_PER_MS, self.server.url, NULL);
	assert_non_null(s);
	assert_int_equal(RUN(s, get("a")), STORE_DOWN);
	assert_int_equal(self.health, 0);
	redis_again(&self.server, true);
	upkeep_until(s, 1);
	is(s, "a", NULL, 0);
	store_valkey.close(s);
}

static void test_refused(void **state)
{
	(void)state;
	server_needed();
	redis_begin(&self.second, "appendfsync everysec\nmaxmemory 100mb\nmaxmemory-policy allkeys-lru");
	refused(DURABILITY_AOF, self.second.url, "noeviction");
	redis_do(&self.second, "CONFIG SET maxmemory-policy noeviction");
	refused(DURABILITY_AOF, self.second.url, "appendfsync always");
	refused(DURABILITY_BOTH, self.second.url, "replica");
	redis_do(&self.second, "CONFIG SET appendfsync always");
	struct store *s = opened(DURABILITY_AOF, USEC_PER_S, self.second.url, NULL);
	assert_non_null(s);
	store_valkey.close(s);
	redis_do(&self.second, "CONFIG SET appendonly no");
	refused(DURABILITY_AOF, self.second.url, "appendonly yes");
	redis_do(&self.second, "ACL SETUSER snowgate -config|get");
	refused(DURABILITY_AOF, self.second.url, "+config|get");
	s = opened(DURABILITY_NONE, USEC_PER_S, self.second.url, NULL);
	assert_non_null(s);
	store_valkey.close(s);
	redis_do(&self.second, "ACL SETUSER snowgate -xadd");
	refused(DURABILITY_NONE, self.second.url, "snowgate.acl");
	redis_do(&self.second, "ACL SETUSER snowgate +xadd >other");
	redis_do(&self.second, "ACL SETUSER snowgate <%s", REDIS_PASSWORD);
	refused(DURABILITY_NONE, self.second.url, "WRONGPASS");
}

/* Of another version of the gateway: only one that says older ones may not read it is refused, and nothing is touched.
 */
static void test_layout(void **state)
{
	struct store *s;

	(void)state;
	server_needed();
	redis_begin(&self.second, "");
	s = opened(DURABILITY_NONE, USEC_PER_S, self.second.url, NULL);
	assert_non_null(s);
	assert_int_equal(redis_number(&self.second, "HINCRBY %slayout format 0", self.conf.store_prefix), 1);
	assert_int_equal(RUN(s, put("a", "x")), STORE_OK);
	store_valkey.close(s);
	redis_do(&self.second, "HSET %slayout format 7 reader 2 more 1", self.conf.store_prefix);
	refused(DURABILITY_NONE, self.second.url, "newer snowgate");
	redis_do(&self.second, "HSET %slayout reader 1", self.conf.store_prefix);
	s = opened(DURABILITY_NONE, USEC_PER_S, self.second.url, NULL);
	assert_non_null(s);
	is(s, "a", "x", 1);
	assert_int_equal(redis_number(&self.second, "HINCRBY %slayout format 0", self.conf.store_prefix), 7);
	assert_int_equal(redis_number(&self.second, "HINCRBY %slayout more 0", self.conf.store_prefix), 1);
	store_valkey.close(s);
}

static void test_urls(void **state)
{
	static const struct {
		const char *url, *name; /* NULL: refused */
		int db;
	} cases[] = {
	    {"redis://valkey", "valkey:6379", 0},
	    {"valkey://me@valkey:1/3", "valkey:1", 3},
	    {"redis://[::1]:7000/", "[::1]:7000", 0},
	    {"redis://[::1]", "[::1]:6379", 0},
	    {"unix:///run/valkey.sock?db=2", "/run/valkey.sock", 2},
	    {"unix:///run/valkey.sock", "/run/valkey.sock", 0},
	    {"", NULL, 0},
	    {"valkey:6379", NULL, 0},
	    {"redis://", NULL, 0},
	    {"redis://:6379", NULL, 0},
	    {"redis://host:0", NULL, 0},
	    {"redis://host:x", NULL, 0},
	    {"redis://host:", NULL, 0},
	    {"redis://[::1", NULL, 0},
	    {"redis://[::1]x", NULL, 0},
	    {"redis://me:secret@host", NULL, 0},
	    {"redis://host/one", NULL, 0},
	    {"redis://host/1/2", NULL, 0},
	    {"redis://host?db=1", NULL, 0},
	    {"unix://relative", NULL, 0},
	    {"unix:///x?db=", NULL, 0},
	    {"unix:///x#1", NULL, 0},
	    {"rediss://host", NULL, 0},
	    {"valkeys://host", NULL, 0},
	    {"http://host", NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct nodes nodes;
		char why[200] = "";
		bool good = nodes_parse((struct texts){1, &cases[i].url}, "user", &nodes, why, sizeof why);
		if (good != (cases[i].name != NULL))
			fail_msg("%s: %s", cases[i].url, why);
		if (good) {
			assert_string_equal(nodes.v[0].name, cases[i].name);
			assert_int_equal(nodes.v[0].db, cases[i].db);
			assert_string_equal(nodes.v[0].user, strchr(cases[i].url, '@') ? "me" : "user");
		} else {
			assert_non_null(strstr(why, "store.url: "));
			assert_null(strstr(why, "secret"));
		}
		nodes_free(&nodes);
	}
	refused(DURABILITY_NONE, "rediss://host", "TLS");
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, each_setup, each_teardown)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_urls),
	    EACH(test_records),
	    EACH(test_any_bytes),
	    EACH(test_checks),
	    EACH(test_kinds_are_apart),
	    EACH(test_logs),
	    EACH(test_due),
	    EACH(test_expiry),
	    EACH(test_many_pieces),
	    EACH(test_tell),
	    EACH(test_restart),
	    EACH(test_gone_and_back),
	    EACH(test_stopped),
	    EACH(test_done_once),
	    EACH(test_full),
	    EACH(test_functions_lost),
	    EACH(test_reply_lost),
	    EACH(test_connections_cut),
	    EACH(test_wait),
	    EACH(test_started_while_the_replica_is_away),
	    EACH(test_failover),
	    EACH(test_replaced),
	    EACH(test_not_there_yet),
	    EACH(test_refused),
	    EACH(test_layout),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, all_teardown);
}
