/* The table or view that a statement changes, read off as it is named there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "snowgate/sql.h"

static const struct {
	const char *sql;
	size_t n;
	const char *part[3];
} named[] = {
    {"INSERT INTO t VALUES (1)", 1, {"T"}},
    {"insert into sales.public.t select * from u", 3, {"SALES", "PUBLIC", "T"}},
    {"INSERT OVERWRITE INTO s.t VALUES (1)", 2, {"S", "T"}},
    {"INSERT INTO \"my t\" VALUES (1)", 1, {"my t"}},
    {"INSERT INTO \"d\".s.\"a\"\"b\" VALUES (1)", 3, {"d", "S", "a\"b"}},
    {"UPDATE t SET a = (SELECT max(b) FROM u)", 1, {"T"}},
    {"DELETE FROM t USING u WHERE t.a = u.a", 1, {"T"}},
    {"MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN UPDATE SET b = 1", 1, {"T"}},
    {"TRUNCATE t", 1, {"T"}},
    {"TRUNCATE TABLE IF EXISTS s.t", 2, {"S", "T"}},
    {"CREATE TABLE t (a INT)", 1, {"T"}},
    {"CREATE OR REPLACE TEMPORARY TABLE t AS SELECT * FROM u", 1, {"T"}},
    {"CREATE TABLE IF NOT EXISTS d.s.t (a INT)", 3, {"D", "S", "T"}},
    {"CREATE OR REPLACE VIEW v AS SELECT * FROM t", 1, {"V"}},
    {"ALTER TABLE t ADD COLUMN b INT", 1, {"T"}},
    {"DROP TABLE IF EXISTS t", 1, {"T"}},
    {"DROP VIEW s.v", 2, {"S", "V"}},
    {"UNDROP TABLE t", 1, {"T"}},
    {"COMMENT ON TABLE t IS 'FROM u'", 1, {"T"}},
    {"COPY INTO t FROM @stage", 1, {"T"}},
    {"/* FROM u */ DELETE -- FROM v\nFROM /* x */ t", 1, {"T"}},
};

static const char *const nameless[] = {
    "",
    "DROP SCHEMA s",
    "CREATE DATABASE d",
    "ALTER WAREHOUSE w SUSPEND",
    "INSERT INTO",
    "DROP TABLE",
    "DROP TABLE IF EXISTS",
    "DELETE FROM a.b.c.d",
    "DELETE FROM a.",
    "DELETE FROM .t",
    "INSERT INTO TABLE(f(1))",
    "COPY INTO @stage FROM t",
    "COMMENT ON SCHEMA s IS 'INTO t'",
    "SELECT \"FROM t",
    "DELETE FROM \"t",
    "INSERT INTO 't' VALUES (1)",
};

static void test_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(named); i++) {
		struct arena *a = arena_new(1 << 16);
		struct sql_name name;

		if (!sql_target(a, slice_of(named[i].sql), &name))
			fail_msg("%s", named[i].sql);
		assert_int_equal(name.n, named[i].n);
		for (size_t p = 0; p < name.n; p++)
			assert_string_equal(name.part[p], named[i].part[p]);
		arena_free(a);
	}
}

static void test_nameless(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nameless); i++) {
		struct arena *a = arena_new(1 << 16);
		struct sql_name name;

		if (sql_target(a, slice_of(nameless[i]), &name))
			fail_msg("%s: %s", nameless[i], name.part[0]);
		arena_free(a);
	}
}

/* Each beginning of a statement, in memory of its own length: nothing is read behind it. */
static void test_beginnings(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(named); i++)
		for (size_t n = 0; n <= strlen(named[i].sql); n++) {
			struct arena *a = arena_new(1 << 16);
			char *text = xalloc(n + 1);
			struct sql_name name;

			memcpy(text, named[i].sql, n);
			if (sql_target(a, (struct slice){text, n}, &name))
				assert_in_range(name.n, 1, 3);
			free(text);
			arena_free(a);
		}
}

/* No room for the name: none is given. */
static void test_no_memory(void **state)
{
	struct arena *a = arena_new(0);
	struct sql_name name;

	(void)state;
	assert_false(sql_target(a, slice_of("DELETE FROM t"), &name));
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_named),
	    cmocka_unit_test(test_nameless),
	    cmocka_unit_test(test_beginnings),
	    cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
