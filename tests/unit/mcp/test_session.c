/* Sessions: ids that cannot be forged, limits that hold, records that come back whole. */
#include "mcp_test.h"

#include "snowgate/session.h"
#include "snowgate/wheel.h"

#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY_B "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" /* bytes 0 to 31 */
#define DAY   ((int64_t)86400)
#define WALL  ((usec_t)1800000000 * USEC_PER_S)

static const struct session_limits roomy = {100, 100, 3600 * USEC_PER_S, 30 * DAY};
static const struct principal alice = {PRINCIPAL_KEY, "", "alice", "g"};
static const struct principal bob = {PRINCIPAL_KEY, "", "bob", "g"};

struct fixture {
	struct session_keys *keys;
	struct session_table *table;
	struct stream_pool *pool;
	struct session_names ended;
};

static void start(struct fixture *f, const char *keys, struct session_limits limits)
{
	const char *why;
	clock_set_virtual(1000 * USEC_PER_S, WALL);
	f->keys = session_keys_new(keys, &why);
	assert_non_null(f->keys);
	f->pool = stream_pool_new(STREAMS_BYTES_MAX);
	f->table = session_table_new(f->keys, limits, f->pool);
}

static void stop(struct fixture *f)
{
	session_table_free(f->table);
	stream_pool_free(f->pool); /* asserts that every stream is gone */
	session_keys_free(f->keys);
}

static struct session *add(struct fixture *f, const struct principal *p)
{
	clock_advance(USEC_PER_MS);
	return session_new(f->table, p, REVISION_2025_11_25, NULL, &f->ended);
}

static void test_both_doors(void **state)
{
	struct fixture f;
	struct context c = {.database = "D", .warehouse = "W"};
	(void)state;
	start(&f, KEY_A, roomy);
	struct session *s = session_new(f.table, &alice, REVISION_2025_06_18, &c, &f.ended);
	assert_non_null(s);
	assert_string_equal(f.ended.id, "");
	assert_string_equal(s->context.database, "D");
	assert_null(s->context.schema);
	assert_int_equal(strlen(s->id), 72);
	assert_int_equal(strspn(s->id, "abcdefghijklmnopqrstuvwxyz234567"), 72);
	assert_int_equal(strlen(s->handle), 12);
	assert_true(session_handle_shaped(s->handle));
	assert_ptr_equal(session_by_id(f.table, s->id, &alice), s);
	assert_ptr_equal(session_by_handle(f.table, s->handle, &alice), s);
	assert_int_equal(session_count(f.table), 1);
	assert_int_equal(s->created, WALL / USEC_PER_S);
	stop(&f);
}

static void test_foreign_and_forged(void **state)
{
	struct fixture f;
	struct principal other = alice, issuer = alice, group = alice;
	(void)state;
	start(&f, KEY_A, roomy);
	struct session *s = add(&f, &alice);
	other.kind = PRINCIPAL_TOKEN;
	snprintf(issuer.issuer, sizeof(issuer.issuer), "https://i");
	snprintf(group.group, sizeof(group.group), "other");
	assert_null(session_by_id(f.table, s->id, &bob));
	assert_null(session_by_id(f.table, s->id, &other));
	assert_null(session_by_id(f.table, s->id, &issuer));
	assert_ptr_equal(session_by_id(f.table, s->id, &group), s); /* the group is no part of who one is */
	assert_null(session_by_handle(f.table, s->handle, &bob));
	/* any character changed: refused, in each position */
	for (size_t i = 0; i < strlen(s->id); i++) {
		char forged[SESSION_ID_SIZE];
		memcpy(forged, s->id, sizeof(forged));
		forged[i] = forged[i] == 'a' ? 'b' : 'a';
		assert_false(session_id_valid(f.table, forged, &alice));
	}
	stop(&f);
}

static void test_junk(void **state)
{
	static const char *const junk[] = {"", "x", "784bc5ef-5602-4f20-9ed4-8fd79691e28e", "\xff\xfe", "=?base64?="};
	struct fixture f;
	char text[200];
	(void)state;
	start(&f, KEY_A, roomy);
	struct session *s = add(&f, &alice);
	for (size_t i = 0; i < ARRAY_LEN(junk); i++) {
		assert_false(session_id_valid(f.table, junk[i], &alice));
		assert_false(session_handle_shaped(junk[i]));
		assert_null(session_by_handle(f.table, junk[i], &alice));
	}
	assert_false(session_id_valid(f.table, NULL, &alice));
	assert_false(session_handle_shaped(NULL));
	memset(text, 'a', sizeof(text));
	text[199] = '\0';
	assert_false(session_id_valid(f.table, text, &alice));
	for (size_t i = 0; i < 72; i++) /* upper case is another text */
		text[i] = s->id[i] >= 'a' ? (char)(s->id[i] - 32) : s->id[i];
	text[72] = '\0';
	assert_false(session_id_valid(f.table, text, &alice));
	snprintf(text, sizeof(text), "%sa", s->id);
	assert_false(session_id_valid(f.table, text, &alice));
	assert_false(session_handle_shaped("aaaaaaaaaaa1"));
	assert_false(session_handle_shaped("aaaaaaaaaaaaa"));
	assert_true(session_handle_shaped("aaaaaaaaaa27"));
	stop(&f);
}

static void test_absolute_age(void **state)
{
	struct fixture f;
	(void)state;
	start(&f, KEY_A, roomy);
	struct session *s = add(&f, &alice);
	clock_advance(30 * DAY * USEC_PER_S);
	assert_ptr_equal(session_by_id(f.table, s->id, &alice), s);
	clock_advance(USEC_PER_S);
	assert_false(session_id_valid(f.table, s->id, &alice));
	assert_null(session_by_id(f.table, s->id, &alice));
	assert_null(session_by_handle(f.table, s->handle, &alice));
	stop(&f);
}

static bool valid_under(const char *keys, const char *id)
{
	struct fixture f;
	start(&f, keys, roomy);
	bool valid = session_id_valid(f.table, id, &alice);
	stop(&f);
	return valid;
}

static void test_key_rotation(void **state)
{
	struct fixture f;
	char old[SESSION_ID_SIZE], new[SESSION_ID_SIZE];
	(void)state;
	start(&f, KEY_A "\n", roomy);
	memcpy(old, add(&f, &alice)->id, sizeof(old));
	stop(&f);
	start(&f, "# promoted\r\n  " KEY_B " \r\n\n" KEY_A, roomy);
	memcpy(new, add(&f, &alice)->id, sizeof(new));
	assert_int_equal(session_keys_count(f.keys), 2);
	stop(&f);
	assert_true(valid_under(KEY_A, old));
	assert_true(valid_under(KEY_A "\n" KEY_B "\n", old)); /* appended */
	assert_true(valid_under(KEY_B "\n" KEY_A "\n", old)); /* promoted */
	assert_true(valid_under(KEY_A "\n" KEY_B "\n", new));
	assert_false(valid_under(KEY_B, old)); /* removed */
	assert_false(valid_under(KEY_A, new));
	assert_false(valid_under(NULL, old));
}

static void test_key_files(void **state)
{
	static const char *const bad[] = {
	    "", "# nothing\n\n", "0011\n", "not a key\n", KEY_A "\n" KEY_A "0\n", KEY_A "\nxyz\n",
	};
	const char *why;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_null(session_keys_new(bad[i], &why));
		assert_non_null(why);
	}
	struct buf many = buf_with_ceiling(8192);
	for (int i = 0; i < 17; i++)
		buf_addf(&many, "%02x%s\n", i, KEY_A);
	assert_null(session_keys_new(buf_text(&many), &why));
	buf_free(&many);
}

static void test_derived_keys(void **state)
{
	struct sha256 a, b, c;
	struct fixture f;
	(void)state;
	start(&f, KEY_A "\n" KEY_B, roomy);
	assert_true(session_keys_derive(f.keys, 0, "statement handle", &a));
	assert_true(session_keys_derive(f.keys, 1, "statement handle", &b));
	assert_true(session_keys_derive(f.keys, 0, "another", &c));
	assert_false(session_keys_derive(f.keys, 2, "statement handle", &c));
	assert_memory_not_equal(a.bytes, b.bytes, SHA256_BYTES);
	assert_memory_not_equal(a.bytes, c.bytes, SHA256_BYTES);
	assert_true(session_keys_derive(f.keys, 0, "statement handle", &b));
	assert_memory_equal(a.bytes, b.bytes, SHA256_BYTES);
	stop(&f);
}

static void test_full_table_displaces_the_longest_idle(void **state)
{
	struct fixture f;
	char first[SESSION_ID_SIZE], second[SESSION_ID_SIZE];
	(void)state;
	start(&f, KEY_A, (struct session_limits){2, 2, 3600 * USEC_PER_S, DAY});
	memcpy(first, add(&f, &alice)->id, sizeof(first));
	memcpy(second, add(&f, &bob)->id, sizeof(second));
	assert_non_null(session_by_id(f.table, first, &alice)); /* now the newer one */
	assert_non_null(add(&f, &alice));
	assert_string_equal(f.ended.id, ""); /* only out of memory */
	assert_int_equal(session_count(f.table), 2);
	assert_null(session_by_id(f.table, second, &bob));
	assert_true(session_id_valid(f.table, second, &bob));
	assert_non_null(session_by_id(f.table, first, &alice));
	stop(&f);
}

static void test_own_limit_ends_the_own_longest_idle(void **state)
{
	struct fixture f;
	char first[SESSION_ID_SIZE];
	(void)state;
	start(&f, KEY_A, (struct session_limits){10, 2, 3600 * USEC_PER_S, DAY});
	struct session *others = add(&f, &bob);
	memcpy(first, add(&f, &alice)->id, sizeof(first));
	struct session *second = add(&f, &alice);
	assert_non_null(add(&f, &alice));
	assert_string_equal(f.ended.id, first);
	assert_null(session_by_id(f.table, first, &alice));
	assert_ptr_equal(session_by_id(f.table, second->id, &alice), second);
	assert_ptr_equal(session_by_id(f.table, others->id, &bob), others);
	assert_int_equal(session_count(f.table), 3);
	stop(&f);
}

static void test_busy_is_never_displaced(void **state)
{
	struct fixture f;
	(void)state;
	start(&f, KEY_A, (struct session_limits){2, 2, 3600 * USEC_PER_S, DAY});
	struct session *a = add(&f, &alice), *b = add(&f, &alice);
	session_call_opened(a);
	session_call_opened(a);
	assert_non_null(add(&f, &alice)); /* displaces b, though a is older */
	assert_string_not_equal(f.ended.id, a->id);
	(void)b;
	session_call_closed(f.table, a);
	assert_int_equal(a->open_calls, 1);
	for (int i = 0; i < 5; i++) {
		assert_non_null(add(&f, &alice));
		assert_ptr_equal(session_by_id(f.table, a->id, &alice), a);
	}
	session_call_opened(add(&f, &alice));
	assert_false(session_has_room(f.table, &alice));
	assert_false(session_has_room(f.table, &bob));
	assert_null(add(&f, &alice));
	assert_null(add(&f, &bob));
	assert_string_equal(f.ended.id, "");
	assert_int_equal(session_count(f.table), 2);
	session_call_closed(f.table, a);
	assert_true(session_has_room(f.table, &bob));
	assert_non_null(add(&f, &bob));
	stop(&f);
}

static void test_expire(void **state)
{
	struct fixture f;
	(void)state;
	start(&f, KEY_A, (struct session_limits){10, 10, 100 * USEC_PER_S, DAY});
	struct session *a = add(&f, &alice), *busy = add(&f, &alice);
	session_call_opened(busy);
	assert_int_equal(session_expire(f.table, clock_now()), 0);
	clock_advance(60 * USEC_PER_S);
	struct session *young = add(&f, &bob);
	char id[SESSION_ID_SIZE];
	memcpy(id, a->id, sizeof(id));
	clock_advance(50 * USEC_PER_S);
	assert_int_equal(session_expire(f.table, clock_now()), 1);
	assert_null(session_by_id(f.table, id, &alice));
	assert_ptr_equal(session_by_id(f.table, busy->id, &alice), busy);
	assert_ptr_equal(session_by_id(f.table, young->id, &bob), young);
	session_call_closed(f.table, busy); /* idle from now on */
	clock_advance(99 * USEC_PER_S);
	assert_int_equal(session_expire(f.table, clock_now()), 0);
	clock_advance(USEC_PER_S);
	assert_int_equal(session_expire(f.table, clock_now()), 2);
	assert_int_equal(session_count(f.table), 0);
	stop(&f);
}

static void test_end_while_busy(void **state)
{
	struct fixture f;
	char id[SESSION_ID_SIZE];
	(void)state;
	start(&f, KEY_A, roomy);
	struct session *s = add(&f, &alice);
	memcpy(id, s->id, sizeof(id));
	session_call_opened(s);
	session_end(f.table, s);
	assert_true(s->ended);
	assert_null(session_by_id(f.table, id, &alice));
	assert_int_equal(session_count(f.table), 0);
	session_call_closed(f.table, s); /* the last: freed, as the address sanitizer would tell */
	s = add(&f, &alice);
	session_end(f.table, s);
	assert_int_equal(session_count(f.table), 0);
	stop(&f);
}

static void test_smaller_limits(void **state)
{
	struct fixture f;
	(void)state;
	start(&f, KEY_A, roomy);
	struct session *busy = add(&f, &alice);
	session_call_opened(busy);
	for (int i = 0; i < 20; i++)
		add(&f, i % 2 ? &alice : &bob);
	session_table_limits(f.table, (struct session_limits){3, 3, USEC_PER_S, DAY});
	assert_int_equal(session_count(f.table), 3);
	assert_ptr_equal(session_by_id(f.table, busy->id, &alice), busy);
	stop(&f);
}

static void test_many(void **state)
{
	enum { N = 3000 };
	static char ids[N][SESSION_ID_SIZE], handles[N][SESSION_HANDLE_SIZE];
	struct fixture f;
	struct principal p = alice;
	(void)state;
	start(&f, KEY_A, (struct session_limits){N, N, 3600 * USEC_PER_S, DAY});
	for (int i = 0; i < N; i++) {
		snprintf(p.subject, sizeof(p.subject), "p%d", i % 7);
		struct session *s = add(&f, &p);
		memcpy(ids[i], s->id, sizeof(ids[i]));
		memcpy(handles[i], s->handle, sizeof(handles[i]));
	}
	for (int i = 0; i < N; i++) {
		snprintf(p.subject, sizeof(p.subject), "p%d", i % 7);
		struct session *s = session_by_id(f.table, ids[i], &p);
		assert_non_null(s);
		assert_ptr_equal(session_by_handle(f.table, handles[i], &p), s);
		if (i % 3 == 0)
			session_end(f.table, s);
	}
	assert_int_equal(session_count(f.table), N - N / 3);
	stop(&f);
}

static void test_small_when_idle(void **state)
{
	(void)state;
	assert_true(sizeof(struct session) <= 896);
}

static void test_watched(void **state)
{
	struct fixture f;
	char uri[SESSION_URI_MAX + 2];
	(void)state;
	start(&f, KEY_A, roomy);
	struct session *s = add(&f, &alice), *other = add(&f, &alice);
	assert_false(session_watches(s, "u:0"));
	session_unwatch(s, "u:0");
	for (int i = 0; i < SESSION_WATCHED_MAX; i++) {
		snprintf(uri, sizeof(uri), "u:%d", i);
		assert_true(session_watch(s, uri, 0));
		assert_true(session_watches(s, uri));
		assert_false(session_watches(other, uri));
	}
	assert_false(session_watch(s, "u:64", 0));
	assert_false(session_watches(s, "u:64"));
	assert_true(session_watch(s, "u:7", 0)); /* it is already */
	assert_int_equal(s->watched.n, SESSION_WATCHED_MAX);
	session_unwatch(s, "u:7");
	session_unwatch(s, "u:7");
	assert_false(session_watches(s, "u:7"));
	assert_true(session_watches(s, "u:6") && session_watches(s, "u:8") && session_watches(s, "u:63"));
	memset(uri, 'u', sizeof(uri) - 1);
	uri[SESSION_URI_MAX + 1] = '\0';
	assert_false(session_watch(s, uri, 0));
	uri[SESSION_URI_MAX] = '\0';
	assert_true(session_watch(s, uri, 0));
	stop(&f);
}

static struct session *with_stream(struct fixture *f, const struct principal *p, bool last)
{
	struct session *s = add(f, p);
	struct stream *stream = stream_new(f->pool, &s->streams, 0);
	assert_non_null(stream);
	assert_true(stream_append(f->pool, stream, SLICE("{}"), last, clock_now()));
	return s;
}

/* Whatever takes a session out of memory takes its streams with it; they are nowhere else. */
static void test_streams_leave_with_their_session(void **state)
{
	struct fixture f;
	struct buf record = buf_with_ceiling(OUT_CEILING);
	(void)state;
	start(&f, KEY_A, (struct session_limits){3, 2, 100 * USEC_PER_S, DAY});
	struct session *s = with_stream(&f, &alice, true);
	assert_true(session_record(&record, s));
	session_end(f.table, s); /* deleted */
	assert_int_equal(stream_pool_count(f.pool), 0);
	s = session_restore(f.table, buf_slice(&record), &alice);
	assert_int_equal(s->streams.n, 0);
	session_end(f.table, s);
	s = with_stream(&f, &alice, false); /* deleted while a stream is open: with its last call */
	session_call_opened(s);
	session_end(f.table, s);
	assert_int_equal(stream_pool_count(f.pool), 1);
	session_call_closed(f.table, s);
	assert_int_equal(stream_pool_count(f.pool), 0);
	with_stream(&f, &alice, true); /* idle */
	clock_advance(101 * USEC_PER_S);
	assert_int_equal(session_expire(f.table, clock_now()), 1);
	assert_int_equal(stream_pool_count(f.pool), 0);
	for (int i = 0; i < 3; i++) /* displaced: one for its principal's limit, ... */
		with_stream(&f, &alice, true);
	assert_int_equal(stream_pool_count(f.pool), 2);
	with_stream(&f, &bob, true);
	with_stream(&f, &bob, true); /* ... one for the table's */
	assert_int_equal(stream_pool_count(f.pool), 3);
	session_table_limits(f.table, (struct session_limits){1, 1, USEC_PER_S, DAY});
	assert_int_equal(stream_pool_count(f.pool), 1);
	stop(&f); /* the last one here */
	buf_free(&record);
}

/* ---- records ---- */

static void fill(struct session *s)
{
	struct context c = {.database = "DB", .schema = "S\"1", .role = "R"};
	c.parameters = json_from("{\"TIMEZONE\":\"UTC\"}");
	context_set(&s->context, &c);
	json_decref(c.parameters);
	session_set_client(s, "client \xc3\xa9", "1.2");
	s->version = 7;
	s->preferences.format = xstrdup("json");
	s->preferences.limit = 50;
	s->can = CLIENT_FORM | CLIENT_ROOTS;
	s->log_level = LEVEL_WARNING;
	assert_true(session_watch(s, "snowflake://a/\"b\"", 0));
	assert_true(session_watch(s, "snowflake://a/\xc3\xa9", 0));
	s->counters.requests = 3;
	s->counters.query_usec = 123456789012;
}

static void assert_filled(const struct session *s)
{
	assert_string_equal(s->context.database, "DB");
	assert_string_equal(s->context.schema, "S\"1");
	assert_null(s->context.warehouse);
	assert_string_equal(s->context.role, "R");
	assert_string_equal(json_text_of(s->context.parameters, "TIMEZONE"), "UTC");
	assert_string_equal(s->client_name, "client \xc3\xa9");
	assert_string_equal(s->client_version, "1.2");
	assert_int_equal(s->version, 7);
	assert_string_equal(s->preferences.format, "json");
	assert_int_equal(s->preferences.limit, 50);
	assert_int_equal(s->preferences.wait_seconds, -1);
	assert_int_equal(s->can, CLIENT_FORM | CLIENT_ROOTS);
	assert_int_equal(s->log_level, LEVEL_WARNING);
	assert_int_equal(s->watched.n, 2);
	assert_true(session_watches(s, "snowflake://a/\"b\""));
	assert_true(session_watches(s, "snowflake://a/\xc3\xa9"));
	assert_int_equal(s->counters.requests, 3);
	assert_int_equal(s->counters.query_usec, 123456789012);
	assert_int_equal(s->revision, REVISION_2025_11_25);
}

static void test_record_round_trip(void **state)
{
	struct fixture f;
	struct buf record = buf_with_ceiling(OUT_CEILING);
	char id[SESSION_ID_SIZE], handle[SESSION_HANDLE_SIZE];
	(void)state;
	start(&f, KEY_A, roomy);
	struct session *s = add(&f, &alice);
	int64_t created = s->created;
	fill(s);
	memcpy(id, s->id, sizeof(id));
	memcpy(handle, s->handle, sizeof(handle));
	assert_true(session_record(&record, s));
	session_end(f.table, s);
	clock_advance(3600 * USEC_PER_S);
	s = session_restore(f.table, buf_slice(&record), &alice);
	assert_non_null(s);
	assert_filled(s);
	assert_string_equal(s->id, id);
	assert_string_equal(s->handle, handle);
	assert_int_equal(s->created, created);
	assert_ptr_equal(session_by_id(f.table, id, &alice), s);
	assert_ptr_equal(session_by_handle(f.table, handle, &alice), s);
	assert_ptr_equal(session_restore(f.table, buf_slice(&record), &alice), s); /* twice: the same one */
	assert_int_equal(session_count(f.table), 1);
	buf_free(&record);
	stop(&f);
}

static void test_newer_record_updates_the_live_one(void **state)
{
	struct fixture f;
	struct buf old = buf_with_ceiling(OUT_CEILING), new = buf_with_ceiling(OUT_CEILING);
	(void)state;
	start(&f, KEY_A, roomy);
	struct session *s = add(&f, &alice);
	assert_true(session_record(&old, s));
	fill(s);
	assert_true(session_record(&new, s));
	assert_ptr_equal(session_restore(f.table, buf_slice(&old), &alice), s);
	assert_filled(s);
	session_end(f.table, s);
	s = session_restore(f.table, buf_slice(&old), &alice);
	assert_null(s->context.database);
	assert_ptr_equal(session_restore(f.table, buf_slice(&new), &alice), s);
	assert_filled(s);
	buf_free(&old);
	buf_free(&new);
	stop(&f);
}

/* Left alone, and told apart from what is no record: a program that may read it will. */
static void test_only_a_higher_reader_is_refused(void **state)
{
	struct fixture f;
	struct buf record = buf_with_ceiling(OUT_CEILING), newer = buf_with_ceiling(OUT_CEILING);
	(void)state;
	start(&f, KEY_A, roomy);
	struct session *s = add(&f, &alice);
	assert_true(session_record(&record, s));
	session_end(f.table, s);
	json_t *json = json_from(buf_text(&record));
	json_object_set_new(json, "reader", json_integer(2));
	json_write(&newer, json);
	json_decref(json);
	assert_null(session_restore(f.table, buf_slice(&newer), &alice));
	assert_true(session_record_newer(buf_slice(&newer)));
	assert_false(session_record_newer(buf_slice(&record)));
	assert_false(session_record_newer(SLICE("{}")));
	assert_non_null(session_restore(f.table, buf_slice(&record), &alice));
	buf_free(&record);
	buf_free(&newer);
	stop(&f);
}

static void test_unknown_members_survive(void **state)
{
	struct fixture f;
	struct buf record = buf_with_ceiling(OUT_CEILING), newer = buf_with_ceiling(OUT_CEILING);
	(void)state;
	start(&f, KEY_A, roomy);
	struct session *s = add(&f, &alice);
	fill(s);
	assert_true(session_record(&record, s));
	assert_null(s->unknown);
	json_t *json = json_from(buf_text(&record));
	json_object_set_new(json, "format", json_integer(2));
	json_object_set_new(json, "future", json_pack("{s:[i,i]}", "a", 1, 2));
	json_object_set_new(json_object_get(json, "context"), "secondary_roles", json_string("ALL"));
	json_write(&newer, json);
	session_end(f.table, s);
	s = session_restore(f.table, buf_slice(&newer), &alice);
	assert_non_null(s);
	assert_filled(s);
	s->counters.requests++;
	struct context changed = {.database = "OTHER"};
	context_set(&s->context, &changed);
	buf_clear(&record);
	assert_true(session_record(&record, s));
	json_t *written = json_from(buf_text(&record));
	assert_true(json_equal(json_object_get(written, "future"), json_object_get(json, "future")));
	const json_t *context = json_object_get(written, "context");
	assert_string_equal(json_text_of(context, "secondary_roles"), "ALL");
	assert_string_equal(json_text_of(context, "database"), "OTHER");
	assert_null(json_text_of(context, "role"));
	assert_null(json_object_get(context, "parameters"));
	assert_int_equal(json_int_of(json_object_get(written, "counters"), "requests", 0), 4);
	assert_int_equal(json_int_of(written, "format", 0), 1);
	json_decref(written);
	json_decref(json);
	buf_free(&record);
	buf_free(&newer);
	stop(&f);
}

/* Restores the record with `key` changed (NULL: left out). */
static struct session *restore_changed(struct fixture *f, const char *record, const char *key, json_t *value)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	json_t *json = json_from(record);
	if (value)
		json_object_set_new(json, key, value);
	else
		json_object_del(json, key);
	json_write(&b, json);
	struct session *s = session_restore(f->table, buf_slice(&b), &alice);
	json_decref(json);
	buf_free(&b);
	return s;
}

/* Records that an older program wrote lack the members; what a broken one wrote reads as if it lacked them. */
static void test_records_without_wishes(void **state)
{
	struct fixture f;
	struct buf record = buf_with_ceiling(OUT_CEILING);
	(void)state;
	start(&f, KEY_A, roomy);
	struct session *s = add(&f, &alice);
	assert_int_equal(s->can, 0);
	assert_int_equal(s->log_level, -1);
	fill(s);
	assert_true(session_record(&record, s));
	session_end(f.table, s);
	json_t *const levels[] = {NULL, json_integer(8), json_integer(-2), json_string("info"), json_null()};
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		s = restore_changed(&f, buf_text(&record), "log_level", levels[i]);
		assert_int_equal(s->log_level, -1);
		assert_null(s->unknown);
		session_end(f.table, s);
	}
	json_t *const bits[] = {NULL, json_integer(-1), json_integer(1LL << 32), json_true()};
	for (size_t i = 0; i < ARRAY_LEN(bits); i++) {
		s = restore_changed(&f, buf_text(&record), "can", bits[i]);
		assert_int_equal(s->can, 0);
		session_end(f.table, s);
	}
	s = restore_changed(&f, buf_text(&record), "can", json_integer(1 << 20 | CLIENT_URL));
	assert_int_equal(s->can, 1 << 20 | CLIENT_URL); /* a newer program's bit stays */
	session_end(f.table, s);
	json_t *const lists[] = {NULL, json_object(), json_pack("[i,n,[s]]", 1, "x"), json_string("x")};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		s = restore_changed(&f, buf_text(&record), "watched", lists[i]);
		assert_int_equal(s->watched.n, 0);
		session_end(f.table, s);
	}
	s = restore_changed(&f, buf_text(&record), "watched", json_pack("[s,i,s,s]", "u", 1, "v", "u"));
	assert_int_equal(s->watched.n, 2);
	buf_free(&record);
	stop(&f);
}

static void refuse_changed(struct fixture *f, const char *record, const char *key, json_t *value)
{
	assert_null(restore_changed(f, record, key, value));
}

static void test_refused_records(void **state)
{
	struct fixture f;
	struct buf record = buf_with_ceiling(OUT_CEILING);
	(void)state;
	start(&f, KEY_A, roomy);
	struct session *s = add(&f, &alice);
	assert_true(session_record(&record, s));
	session_end(f.table, s);
	assert_null(session_restore(f.table, buf_slice(&record), &bob));
	assert_null(session_restore(f.table, SLICE("{"), &alice));
	assert_null(session_restore(f.table, SLICE("[]"), &alice));
	assert_null(session_restore(f.table, SLICE("{}"), &alice));
	refuse_changed(&f, buf_text(&record), "reader", json_integer(2));
	refuse_changed(&f, buf_text(&record), "reader", NULL);
	refuse_changed(&f, buf_text(&record), "id", json_string("aaaa"));
	refuse_changed(&f, buf_text(&record), "id", NULL);
	refuse_changed(&f, buf_text(&record), "revision", json_string("2099-01-01"));
	clock_advance(31 * DAY * USEC_PER_S);
	assert_null(session_restore(f.table, buf_slice(&record), &alice));
	assert_int_equal(session_count(f.table), 0);
	buf_free(&record);
	stop(&f);
}

static void test_restore_within_limits(void **state)
{
	struct fixture f;
	struct buf record = buf_with_ceiling(OUT_CEILING);
	(void)state;
	start(&f, KEY_A, (struct session_limits){2, 2, 3600 * USEC_PER_S, DAY});
	struct session *s = add(&f, &alice);
	assert_true(session_record(&record, s));
	session_end(f.table, s);
	struct session *busy = add(&f, &alice);
	session_call_opened(busy);
	add(&f, &alice);
	s = session_restore(f.table, buf_slice(&record), &alice); /* displaces the idle one */
	assert_non_null(s);
	assert_int_equal(session_count(f.table), 2);
	session_end(f.table, s);
	session_call_opened(add(&f, &bob));
	assert_false(session_has_room(f.table, &alice));
	assert_null(session_restore(f.table, buf_slice(&record), &alice));
	buf_free(&record);
	stop(&f);
}

static void test_client_texts_are_cut(void **state)
{
	struct fixture f;
	char text[400];
	(void)state;
	start(&f, KEY_A, roomy);
	struct session *s = add(&f, &alice);
	for (size_t i = 0; i + 1 < sizeof(text); i++)
		text[i] = i % 2 ? "\xc3\xa9"[0] : (i ? "\xc3\xa9"[1] : 'x');
	text[sizeof(text) - 1] = '\0';
	session_set_client(s, text, NULL);
	assert_true(strlen(s->client_name) <= SESSION_CLIENT_MAX);
	json_t *valid = json_string(s->client_name);
	assert_non_null(valid);
	json_decref(valid);
	assert_null(s->client_version);
	session_set_client(s, s->client_name, "1");
	assert_string_equal(s->client_version, "1");
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_both_doors),
	    cmocka_unit_test(test_foreign_and_forged),
	    cmocka_unit_test(test_junk),
	    cmocka_unit_test(test_absolute_age),
	    cmocka_unit_test(test_key_rotation),
	    cmocka_unit_test(test_key_files),
	    cmocka_unit_test(test_derived_keys),
	    cmocka_unit_test(test_full_table_displaces_the_longest_idle),
	    cmocka_unit_test(test_own_limit_ends_the_own_longest_idle),
	    cmocka_unit_test(test_busy_is_never_displaced),
	    cmocka_unit_test(test_expire),
	    cmocka_unit_test(test_end_while_busy),
	    cmocka_unit_test(test_smaller_limits),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_small_when_idle),
	    cmocka_unit_test(test_watched),
	    cmocka_unit_test(test_streams_leave_with_their_session),
	    cmocka_unit_test(test_records_without_wishes),
	    cmocka_unit_test(test_record_round_trip),
	    cmocka_unit_test(test_newer_record_updates_the_live_one),
	    cmocka_unit_test(test_only_a_higher_reader_is_refused),
	    cmocka_unit_test(test_unknown_members_survive),
	    cmocka_unit_test(test_refused_records),
	    cmocka_unit_test(test_restore_within_limits),
	    cmocka_unit_test(test_client_texts_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
