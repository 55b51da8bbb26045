/* Statements under a policy that allows the databases SALES and "My Db" only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "snowgate/sql.h"

static const char *const names[] = {"SALES", "My Db"};
static const struct texts databases = {2, names};

static bool within(const char *sql)
{
	struct arena *a = arena_new(1 << 20);
	struct bounds_verdict v;
	bool yes = sql_within(a, slice_of(sql), databases, &v);

	if (!yes)
		assert_non_null(v.reason);
	arena_free(a);
	return yes;
}

static void inside(void **state)
{
	static const char *const good[] = {
	    "SELECT 1",
	    "SELECT a.b, t.c FROM core.orders t, items a",
	    "select * from sales.core.orders",
	    "SELECT * FROM \"My Db\".PUBLIC.T",
	    "SELECT * FROM sales..orders",
	    "SELECT payload:a.b.c::string FROM t",
	    "SELECT database, schema FROM t",
	    "SELECT * FROM IDENTIFIER('sales.core.orders')",
	    "SELECT * FROM INFORMATION_SCHEMA.TABLES",
	    "SELECT 1.5, 'other.db.t'",
	    "SHOW TABLES IN SCHEMA sales.core",
	    "SHOW TABLES IN DATABASE SALES",
	    "SHOW TABLES LIKE 'x%' IN sales.core",
	    "SHOW SCHEMAS",
	    "DESCRIBE TABLE core.orders",
	    "INSERT INTO core.t SELECT * FROM sales.core.u",
	    "CREATE SCHEMA IF NOT EXISTS sales.fresh",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!within(good[i]))
			fail_msg("refused: %s", good[i]);
}

static void outside(void **state)
{
	static const char *const bad[] = {
	    "SELECT * FROM other.core.orders",
	    "SELECT * FROM \"sales\".core.orders",
	    "SELECT * FROM other..orders",
	    "SELECT * FROM snowflake.account_usage.query_history",
	    "SELECT (SELECT max(x) FROM other.core.t)",
	    "SELECT other.core.f(1)",
	    "SELECT * FROM IDENTIFIER('other.core.orders')",
	    "SELECT * FROM TABLE('other.core.orders')",
	    "SELECT GET_DDL('TABLE', 'other.core.t')",
	    "SELECT \"GET_DDL\"('DATABASE', 'other')",
	    "SHOW TABLES IN ACCOUNT",
	    "SHOW TABLES IN DATABASE other",
	    "SHOW TABLES IN SCHEMA other.core",
	    "SHOW TABLES IN other.core",
	    "DESCRIBE TABLE other.core.t",
	    "DROP DATABASE IF EXISTS other",
	    "CREATE SCHEMA other.fresh",
	    "CREATE TABLE t AS SELECT * FROM other.core.u",
	    "SELECT 'unterminated",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (within(bad[i]))
			fail_msg("let through: %s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(inside), cmocka_unit_test(outside)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
