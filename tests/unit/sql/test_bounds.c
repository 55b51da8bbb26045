/* Statements under a policy that allows the databases SALES and "My Db" only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "snowgate/err.h"
#include "snowgate/sql.h"

#define ALL  (CLASS_READ | CLASS_METADATA | CLASS_DML | CLASS_DDL | CLASS_DCL)
#define WRAP 2000 /* brackets; more than are followed */

static const char *const names[] = {"SALES", "My Db"};
static const struct texts databases = {2, names};

static bool within(const char *sql)
{
	struct arena *a = arena_new(1 << 20);
	struct bounds_verdict v;
	bool yes = sql_within(a, slice_of(sql), databases, &v);

	if (!yes)
		assert_non_null(v.reason);
	else
		assert_null(v.reason);
	arena_free(a);
	return yes;
}

static bool passes_guard(const char *sql)
{
	struct arena *a = arena_new(1 << 20);
	struct guard_verdict v;
	bool yes = guard_check(a, slice_of(sql), ALL, &v) == ERR_OK && v.allowed;

	arena_free(a);
	return yes;
}

static const char *const good[] = {
    "SELECT 1",
    "SELECT a.b, t.c FROM core.orders t, items a",
    "select * from sales.core.orders",
    "SELECT * FROM \"My Db\".PUBLIC.T",
    "SELECT * FROM sales..orders",
    "SELECT other.f(1), t.* FROM other.t", /* a schema of the current database */
    "SELECT database, schema, account, share FROM t",
    "SELECT * FROM IDENTIFIER('sales.core.orders')",
    "SELECT * FROM IDENTIFIER('core.orders')",
    "SELECT * FROM TABLE('core.orders')",
    "SELECT * FROM INFORMATION_SCHEMA.TABLES",
    "SELECT 1.5, 'other.db.t'",
    "SELECT * FROM t WHERE EXTRACT(year FROM d) IN (SELECT y FROM core.u)",
    "SELECT * FROM t WHERE host IS DISTINCT FROM 'www.example.com'",
    "SELECT * FROM t AT (TIMESTAMP => '2024-01-01'::timestamp) CHANGES (INFORMATION => DEFAULT)",
    "SELECT * FROM t PIVOT (SUM(a) FOR b IN (ANY ORDER BY b))",
    "SELECT * FROM t MATCH_RECOGNIZE (ORDER BY d MEASURES m.x AS y PATTERN (u+) DEFINE u AS u.x > 1)",
    "SELECT * FROM SEMANTIC_VIEW(sales.s.v METRICS orders.total DIMENSIONS c.region)",
    /* paths and objects */
    "SELECT payload:a.b.c::string FROM t",
    "SELECT t.payload:a.b.c, payload:\"x y\".z.w, payload:a:b.c.d, $1:a.b.c FROM t",
    "SELECT f(x):a.b.c, v[0]:a.b.c, v[0].a.b.c, v:a[1].b.c.d, v:a['other.s.t'].b.c.d FROM t",
    "SELECT * FROM t WHERE v:a.b.c IN (1, 2)",
    "SELECT * FROM t, LATERAL FLATTEN(input => t.x:a.b.c)",
    "SELECT {'a': 1, 'b': t.x, 'c': {'d': v:e.f}, 'g': sales.s.f(1), 'h': 'other.s.t'} FROM t",
    "SELECT {'a': (v:a.b.c.d)}, {* ILIKE 'x%'}, {t.*} FROM t",
    "SELECT OBJECT_CONSTRUCT('other.s.t', 1)",
    /* texts that are no names */
    "SELECT SPLIT_PART(x, 'a.b.c', 1), REPLACE('other.s.t', '.', '') FROM t",
    "SELECT * FROM TABLE(SPLIT_TO_TABLE('a.b.c', '.'))",
    "SELECT * FROM TABLE(FLATTEN(INPUT => SPLIT('a.b.c', '.'), PATH => 'x.y'))",
    "SELECT * FROM TABLE(GENERATOR(ROWCOUNT => 5))",
    "SELECT * FROM t, TABLE(core.explode(t.a || '.b', 'john@example.com', 'a b.c', 5))",
    "SELECT * FROM TABLE(explode('sales.s.t'))",
    "SELECT core.price_history(t.a || 'x') FROM t",
    /* texts that are names */
    "SELECT * FROM TABLE(CORTEX_SEARCH_DATA_SCAN(SERVICE_NAME => 'SALES.S.SVC'))",
    "SELECT * FROM TABLE(CORTEX_SEARCH_DATA_SCAN(SERVICE_NAME => 'SVC'))",
    "SELECT * FROM TABLE(sales.INFORMATION_SCHEMA.TAG_REFERENCES('sales.S.T', 'TABLE'))",
    "SELECT * FROM TABLE(INFORMATION_SCHEMA.TAG_REFERENCES('SALES', 'DATABASE'))",
    "SELECT * FROM TABLE(INFORMATION_SCHEMA.TAG_REFERENCES('\"My Db\".s.t', 'TABLE'))",
    "SELECT * FROM TABLE(INFORMATION_SCHEMA.TASK_HISTORY(TASK_NAME => 'nightly', RESULT_LIMIT => 10, "
    "SCHEDULED_TIME_RANGE_START => DATEADD('hour', -1, CURRENT_TIMESTAMP()), ERROR_ONLY => TRUE))",
    "SELECT * FROM TABLE(INFORMATION_SCHEMA.COPY_HISTORY(TABLE_NAME => 'T', START_TIME => "
    "CURRENT_TIMESTAMP - INTERVAL '1 day', END_TIME => '2024-01-01 00:00:00'::timestamp_ltz(9)))",
    "SELECT * FROM TABLE(INFORMATION_SCHEMA.DATABASE_STORAGE_USAGE_HISTORY('2024-01-01', '2024-01-02', "
    "'SALES'))",
    "SELECT * FROM TABLE(GET_OBJECT_REFERENCES(DATABASE_NAME => 'SALES', SCHEMA_NAME => 'S', OBJECT_NAME => "
    "'V'))",
    "SELECT AI_COMPLETE('llama3.1-70b', 'Say a. ' || t.x), AI_COMPLETE('claude-3-5-sonnet', t.x) FROM t",
    /* SHOW, DESCRIBE */
    "SHOW TABLES",
    "SHOW TABLES IN SCHEMA",
    "SHOW TABLES IN DATABASE",
    "SHOW TABLES IN SCHEMA sales.core",
    "SHOW TABLES IN SCHEMA other",
    "SHOW TABLES IN SCHEMA IDENTIFIER('sales.core')",
    "SHOW TABLES IN DATABASE SALES",
    "SHOW TABLES IN DATABASE IDENTIFIER('sales')",
    "SHOW TABLES LIKE 'x%' IN sales.core STARTS WITH 'A' LIMIT 5 FROM 'b.c'",
    "SHOW SCHEMAS",
    "SHOW SCHEMAS IN \"My Db\"",
    "SHOW COLUMNS IN TABLE core.t",
    "SHOW DATABASE ROLES IN DATABASE sales",
    "SHOW GRANTS ON TABLE core.t",
    "SHOW GRANTS OF DATABASE ROLE sales.reader",
    "SHOW WAREHOUSES",
    "SHOW PARAMETERS",
    "DESCRIBE TABLE core.orders",
    "DESCRIBE DATABASE sales",
    "EXPLAIN SELECT * FROM core.orders WHERE a IN (b, c)",
    "EXPLAIN USING TEXT DELETE FROM core.t",
    /* changes */
    "INSERT INTO core.t SELECT * FROM sales.core.u",
    "INSERT INTO core.t SELECT * FROM core.u WHERE a IN (SELECT b.c FROM b)",
    "UPDATE core.t SET account = 1, database = 'x' WHERE v:a.b.c = 1",
    "DELETE FROM core.t USING core.u WHERE t.a = u.a",
    "CREATE SCHEMA IF NOT EXISTS sales.fresh",
    "CREATE SCHEMA fresh CLONE sales.core",
    "CREATE TABLE core.t (database TEXT, schema TEXT) AS SELECT * FROM core.u",
    "CREATE TABLE t CLONE core.u",
    "CREATE OR REPLACE VIEW v AS SELECT * FROM core.u",
    "CREATE DATABASE IF NOT EXISTS sales DATA_RETENTION_TIME_IN_DAYS = 1 COMMENT = 'other.x'",
    "ALTER DATABASE sales RENAME TO \"My Db\"",
    "ALTER SCHEMA sales.a RENAME TO b",
    "GRANT SELECT ON ALL TABLES IN SCHEMA sales.core TO ROLE r",
    "GRANT DATABASE ROLE sales.reader TO ROLE r",
    "REVOKE SELECT ON TABLE core.t FROM ROLE r",
    "COMMENT IF EXISTS ON SCHEMA sales.core IS 'other.core'",
};

static void inside(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (!within(good[i]))
			fail_msg("refused: %s", good[i]);
		if (!passes_guard(good[i]))
			fail_msg("the guard refuses: %s", good[i]);
	}
}

/* Each @ is a name in the place of a database. */
static const char *const places[] = {
    "SELECT * FROM @.core.orders",
    "SELECT * FROM @..orders",
    "SELECT * FROM a, b JOIN @.core.orders o ON TRUE",
    "SELECT (SELECT max(x) FROM @.core.t)",
    "SELECT @.core.f(1)",
    "SELECT @.core.t.c, @.core.t.* FROM core.t",
    "SELECT @.core.* FROM t",
    "WITH a AS (SELECT * FROM @.s.t) SELECT * FROM a",
    "SELECT * FROM @.INFORMATION_SCHEMA.TABLES",
    "SELECT * FROM TABLE(@.INFORMATION_SCHEMA.TASK_DEPENDENTS('T'))",
    "SELECT * FROM TABLE(@.s.f(1))",
    "SELECT * FROM TABLE(f(TABLE(@.s.t)))",
    "SELECT * FROM TABLE(@.s.t)",
    "SELECT * FROM t, LATERAL @.s.f(t.a)",
    "SELECT * FROM t, LATERAL (SELECT * FROM @.s.u)",
    "SELECT * FROM SEMANTIC_VIEW(@.s.v METRICS a.b)",
    "SELECT * FROM @.s.t AT (OFFSET => -60)",
    "SELECT * FROM @.s.t CHANGES (INFORMATION => DEFAULT) AT (OFFSET => -60)",
    "SELECT * FROM @.s.t MATCH_RECOGNIZE (ORDER BY d PATTERN (u) DEFINE u AS TRUE)",
    "SELECT * FROM t PIVOT (SUM(a) FOR b IN (SELECT c FROM @.s.u))",
    "SELECT * FROM t PIVOT (SUM(a) FOR b IN (ANY ORDER BY @.s.f(1)))",
    "SELECT * FROM @.s.t UNPIVOT (a FOR b IN (c, d))",
    "SELECT f(a => @.s.g())",
    "SELECT OBJECT_CONSTRUCT('k', @.s.f(1))",
    "SELECT TRANSFORM(a, x -> @.s.f(x))",
    "SELECT @.s.m!PREDICT(1)",
    "SELECT 1::@.s.type",
    /* a colon that is no path */
    "SELECT {'a': @.PUBLIC.SECRET(1)}",
    "SELECT {'a':@.PUBLIC.SECRET(1)}",
    "SELECT {'a': 1, 'b': {'c': @.PUBLIC.SECRET(1)}}",
    "SELECT {'a': @.s.t.c} FROM t",
    "SELECT {a: @.PUBLIC.SECRET(1)}",
    "SELECT {\"a\": @.PUBLIC.SECRET(1)}",
    "SELECT {'a': [@.PUBLIC.SECRET(1)]}",
    "SELECT 1 ORDER BY {'a': @.PUBLIC.SECRET(1)}",
    "SELECT a FROM t WHERE 1=0 UNION ALL SELECT {'a': @.PUBLIC.SECRET(1)}::VARCHAR",
    "SELECT v:@.PUBLIC.SECRET(1) FROM t",
    "SELECT v[0].@.PUBLIC.SECRET(1) FROM t",
    /* as text */
    "SELECT {'a': IDENTIFIER('@.PUBLIC.C')} FROM t",
    "SELECT v:IDENTIFIER('@.PUBLIC.C') FROM t",
    "SELECT * FROM IDENTIFIER('@.core.orders')",
    "SELECT * FROM IDENTIFIER ( ' @.core.orders ' )",
    "SELECT * FROM @.IDENTIFIER('core.orders')",
    "SELECT * FROM @.core.IDENTIFIER('orders')",
    "SELECT * FROM TABLE('@.core.orders')",
    "SELECT * FROM TABLE(my_function('@.core.orders'))",
    "SELECT * FROM TABLE(CORTEX_SEARCH_DATA_SCAN(SERVICE_NAME => '@.S.SVC'))",
    "SELECT * FROM TABLE(INFORMATION_SCHEMA.TAG_REFERENCES('@.S.T', 'TABLE'))",
    "SELECT * FROM TABLE(INFORMATION_SCHEMA.TAG_REFERENCES(' @ . S.T', 'TABLE'))",
    "SELECT * FROM TABLE(INFORMATION_SCHEMA.TAG_REFERENCES('@/**/.S.T', 'TABLE'))",
    "SELECT * FROM TABLE(INFORMATION_SCHEMA.TAG_REFERENCES('@.S', 'SCHEMA'))",
    "SELECT * FROM TABLE(INFORMATION_SCHEMA.TAG_REFERENCES('@', 'DATABASE'))",
    "SELECT * FROM TABLE(TAG_REFERENCES('@.S.T', 'TABLE'))",
    "SELECT * FROM TABLE(INFORMATION_SCHEMA.POLICY_REFERENCES(REF_ENTITY_DOMAIN => 'database', "
    "REF_ENTITY_NAME => '@'))",
    "SELECT * FROM TABLE(INFORMATION_SCHEMA.DYNAMIC_TABLE_REFRESH_HISTORY(NAME=>'@.S.T'))",
    "SELECT * FROM TABLE(INFORMATION_SCHEMA.DYNAMIC_TABLE_REFRESH_HISTORY(NAME_PREFIX=>'@.S.'))",
    "SELECT * FROM TABLE(INFORMATION_SCHEMA.DATABASE_REFRESH_HISTORY('@'))",
    "SELECT * FROM TABLE(INFORMATION_SCHEMA.REPLICATION_USAGE_HISTORY(DATE_RANGE_START => '2024-01-01', "
    "DATABASE_NAME => '@'))",
    "SELECT * FROM TABLE(GET_OBJECT_REFERENCES(DATABASE_NAME => '@', SCHEMA_NAME => 'S', OBJECT_NAME => 'V'))",
    "SELECT * FROM LATERAL INFORMATION_SCHEMA.COPY_HISTORY(TABLE_NAME => '@.S.T', START_TIME => CURRENT_DATE)",
    "SELECT SEARCH_PREVIEW('@.S.SVC', '{\"query\": \"x\"}')",
    "SELECT EXTRACT_SEMANTIC_CATEGORIES('@.S.T')",
    "SELECT AI_COMPLETE('@.S.MODEL', 'hello')",
    "SELECT * FROM '@.S.T'",
    /* lists */
    "SHOW TABLES IN DATABASE @",
    "SHOW TABLES IN DATABASE IDENTIFIER('@')",
    "SHOW TABLES IN SCHEMA @.core",
    "SHOW TABLES IN SCHEMA IDENTIFIER('@.core')",
    "SHOW TABLES IN @.core",
    "SHOW TABLES IN IDENTIFIER('@.core')",
    "SHOW SCHEMAS IN @",
    "SHOW TABLES FROM @",
    "SHOW COLUMNS IN TABLE @.core.t",
    "SHOW COLUMNS IN @.core.t",
    "SHOW PARAMETERS FOR DATABASE @",
    "SHOW GRANTS ON DATABASE @",
    "SHOW GRANTS ON SCHEMA @.core",
    "SHOW GRANTS OF DATABASE ROLE @.reader",
    "SHOW FUTURE GRANTS IN DATABASE @",
    "SHOW SEMANTIC DIMENSIONS IN @.core.v",
    "DESCRIBE TABLE @.core.t",
    "DESCRIBE DATABASE @",
    "DESC SCHEMA @.core",
    "DESC FUNCTION @.core.f(INT)",
    "EXPLAIN SELECT * FROM @.core.t",
    /* changes */
    "INSERT INTO @.core.t VALUES (1)",
    "UPDATE t SET a = (SELECT 1 FROM @.core.u)",
    "MERGE INTO t USING @.core.u ON TRUE WHEN MATCHED THEN DELETE",
    "DROP DATABASE IF EXISTS @",
    "DROP SCHEMA @.s",
    "CREATE SCHEMA @.fresh",
    "CREATE SCHEMA fresh CLONE @.core",
    "CREATE DATABASE sales CLONE @",
    "ALTER DATABASE sales SWAP WITH @",
    "ALTER DATABASE sales RENAME TO @",
    "ALTER SCHEMA core SWAP WITH @.core",
    "CREATE TABLE t AS SELECT * FROM @.core.u",
    "CREATE TABLE t CLONE @.core.u",
    "CREATE VIEW v AS SELECT {'a': @.core.f(1)} AS x",
    "ALTER TABLE t RENAME TO @.core.t",
    "GRANT USAGE ON DATABASE @ TO ROLE r",
    "GRANT SELECT ON ALL TABLES IN SCHEMA @.s TO ROLE r",
    "COMMENT ON DATABASE @ IS 'x'",
};

/* Writes the place's text with `name` for each @; `gap` behind each token that is none in quotes. */
static const char *filled(struct buf *b, const char *place, const char *name, const char *gap)
{
	bool text = false;

	buf_clear(b);
	for (const char *p = place; *p; p++) {
		text ^= *p == '\'';
		if (*p == '@')
			buf_adds(b, name);
		else
			buf_addc(b, *p);
		if (!text && strchr("@.(,", *p))
			buf_adds(b, gap);
	}
	return buf_text(b);
}

/* Wherever a database can be named, the allowed ones may and others may not, however they are written. */
static void every_place(void **state)
{
	static const char *const allowed[] = {"SALES", "sales", "\"SALES\"", "\"My Db\""};
	static const char *const others[] = {"OTHER",      "other",     "\"OTHER\"",     "\"sales\"",
					     "\"SALES \"", "SNOWFLAKE", "\"SALES\"\"\"", "\"SALES.X\""};
	static const char *const gaps[] = {"", " ", " /* SALES. */ ", " -- sales.\n"};
	struct buf b = buf_with_ceiling(4000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		for (size_t g = 0; g < ARRAY_LEN(gaps); g++) {
			for (size_t k = 0; k < ARRAY_LEN(allowed); k++)
				if (!within(filled(&b, places[i], allowed[k], gaps[g])))
					fail_msg("refused: %s", buf_text(&b));
			for (size_t k = 0; k < ARRAY_LEN(others); k++)
				if (within(filled(&b, places[i], others[k], gaps[g])))
					fail_msg("let through: %s", buf_text(&b));
		}
	}
	buf_free(&b);
}

static const char *const bad[] = {
    "SELECT * FROM snowflake.account_usage.query_history",
    "SELECT * FROM core.orders.id", /* a name of three parts */
    "SELECT GET_DDL('TABLE', 'other.core.t')",
    "SELECT \"GET_DDL\"('DATABASE', 'other')",
    "SELECT \"get_ddl\"('DATABASE', 'other')",
    "SELECT {'a': GET_DDL('DATABASE','OTHER')}",
    "SELECT v:GET_DDL('DATABASE','OTHER') FROM t",
    "SELECT 1 WHERE 1=0 UNION ALL SELECT {'a': GET_DDL('SCHEMA','OTHER.PUBLIC')}::VARCHAR",
    "SELECT DATA_AGENT_RUN('{}')",
    "SELECT OTHER.S.SEQ.NEXTVAL",
    "SELECT * FROM OTHER\xEF\xBC\x8ES\xEF\xBC\x8ET", /* dots of full width */
    "SELECT * FROM \"OTHER\"\xEF\xBC\x8E\"S\"\xEF\xBC\x8ET",
    "SELECT * FROM IDENTIFIER('OTHER\xEF\xBC\x8ES\xEF\xBC\x8ET')",
    "SELECT * FROM gr\xC3\xBCn.s.t",
    /* names that come from elsewhere */
    "SELECT * FROM IDENTIFIER(?)",
    "SELECT * FROM IDENTIFIER(:1)",
    "SELECT * FROM IDENTIFIER($x)",
    "SELECT * FROM IDENTIFIER('OTHER' || '.S.T')",
    "SELECT * FROM IDENTIFIER('\\x4FTHER.S.T')",
    "SELECT * FROM IDENTIFIER('OTHER..T')",
    "SELECT * FROM IDENTIFIER('other').core.t",
    "SELECT IDENTIFIER('f')(1)",
    "SELECT * FROM TABLE(?)",
    "SELECT * FROM TABLE($x)",
    "SELECT * FROM TABLE(:x)",
    "SELECT * FROM TABLE(TAG_REFERENCES(?, 'TABLE'))",
    "SELECT * FROM TABLE(TAG_REFERENCES(:1, 'TABLE'))",
    "SELECT * FROM TABLE(TAG_REFERENCES($x, 'TABLE'))",
    "SELECT * FROM TABLE(TAG_REFERENCES('OTH' || 'ER.S.T', 'TABLE'))",
    "SELECT * FROM TABLE(TAG_REFERENCES('OTH' 'ER.S.T', 'TABLE'))",
    "SELECT * FROM TABLE(TAG_REFERENCES('\\x4FTHER.S.T', 'TABLE'))",
    "SELECT * FROM TABLE(TAG_REFERENCES(CONCAT('OTHER', '.S.T'), 'TABLE'))",
    "SELECT * FROM TABLE(TAG_REFERENCES((SELECT n FROM u), 'TABLE'))",
    "SELECT * FROM TABLE(TAG_REFERENCES({'a': 'OTHER.S.T'}['a'], 'TABLE'))",
    "SELECT * FROM TABLE(TAG_REFERENCES('OTHER', 'DATABAS\\x45'))",
    "SELECT * FROM u, TABLE(INFORMATION_SCHEMA.TAG_REFERENCES(u.n, 'TABLE'))",
    "SELECT * FROM u, TABLE(INFORMATION_SCHEMA.\"TAG_REFERENCES\"(n, 'TABLE'))",
    "SELECT * FROM u, TABLE(\"INFORMATION_SCHEMA\".NEW_FUNCTION(NAME => UPPER('other.s.t')))",
    "SELECT * FROM TABLE(CORTEX_SEARCH_DATA_SCAN(SERVICE_NAME => '@OTHER.S.SVC'))",
    /* what the guard refuses, too */
    "SELECT * FROM @other.core.stage",
    "SELECT * FROM TABLE(f($$OTHER.S.T$$))",
    "SELECT 'unterminated",
    /* lists that span databases */
    "SHOW TABLES IN ACCOUNT",
    "SHOW OBJECTS IN ACCOUNT",
    "SHOW DATABASES",
    "SHOW TERSE DATABASES LIKE 'O%'",
    "SELECT * FROM INFORMATION_SCHEMA.DATABASES",
    "SELECT * FROM sales.\"INFORMATION_SCHEMA\".databases",
    "SELECT * FROM IDENTIFIER('INFORMATION_SCHEMA.DATABASES')",
    "SHOW APPLICATION PACKAGES",
    "SHOW SHARES",
    "SHOW GRANTS",
    "SHOW GRANTS TO ROLE r",
    "SHOW FUTURE GRANTS TO ROLE r",
    "SHOW GRANTS TO SHARE s",
    "SHOW TABLES IN APPLICATION other",
    "SHOW SCHEMAS IN APPLICATION PACKAGE other",
    "SHOW TABLES IN core", /* schema or database? */
    "SHOW TABLES IN DATABASE IF",
    "SHOW TABLES IN DATABASE 'OTHER'",
    "SHOW TABLES IN DATABASE ?",
    "SHOW TABLES IN DATABASE $x",
    "SHOW TABLES IN SCHEMA :1",
    "DESCRIBE SHARE provider.share",
    "DESC APPLICATION other",
    "CREATE DATABASE sales FROM SHARE provider.share",
};

static void outside(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (within(bad[i]))
			fail_msg("let through: %s", bad[i]);
}

/* Brackets beyond those that are followed, and memory that ends, are refused. */
static void limits(void **state)
{
	struct buf b = buf_with_ceiling(8000);
	struct arena *small = arena_new(64);
	struct bounds_verdict v;

	(void)state;
	buf_adds(&b, "SELECT ");
	for (int i = 0; i < 900; i++)
		buf_addc(&b, '(');
	buf_adds(&b, "1");
	for (int i = 0; i < 900; i++)
		buf_addc(&b, ')');
	assert_true(within(buf_text(&b)));
	buf_clear(&b);
	for (int i = 0; i < WRAP; i++)
		buf_addc(&b, "([{"[i % 3]);
	assert_false(within(buf_text(&b)));
	buf_clear(&b);
	for (int i = 0; i < WRAP; i++)
		buf_addc(&b, '(');
	assert_false(within(buf_text(&b)));
	assert_true(within(")))]}} 1"));
	assert_false(sql_within(small, SLICE("SELECT 1"), databases, &v));
	assert_non_null(v.reason);
	arena_free(small);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(inside), cmocka_unit_test(every_place),
					   cmocka_unit_test(outside), cmocka_unit_test(limits)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
