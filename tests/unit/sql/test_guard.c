/* The guard allows what it can decide on and refuses the rest with a reason: a table of both, and properties. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "snowgate/err.h"
#include "snowgate/sql.h"

#define READ (CLASS_READ | CLASS_METADATA)
#define ALL  (READ | CLASS_DML | CLASS_DDL | CLASS_DCL)
#define R    CLASS_READ
#define M    CLASS_METADATA

static struct arena *arena;

static int set_up(void **state)
{
	(void)state;
	arena = arena_new(64 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

/* ---- allowed for a reader ---- */

static const struct {
	const char *sql;
	unsigned class;
} reads[] = {
    {"SELECT 1", R},
    {"select 1;", R},
    {"SELECT 1 ; -- done", R},
    {"-- first\nSELECT 1", R},
    {"/* a ; b */ SELECT /* ; */ 1;", R},
    {"SELECT /*/ 1 */ 2", R},
    {"SELECT 1 // c\n", R},
    {"(SELECT 1)", R},
    {"((SELECT 1))", R},
    {"(SELECT 1) UNION (SELECT 2)", R},
    {"(SELECT 1) UNION ALL SELECT 2 ORDER BY 1", R},
    {"VALUES (1), (2)", R},
    {"SELECT * FROM VALUES (1, '@a'), (2, '@b')", R},
    {"SELECT * FROM (VALUES ('@a'), ('@b')) v", R},
    {"WITH a AS (SELECT 1) SELECT * FROM a", R},
    {"WITH a (x, y) AS (SELECT 1, 2), b AS (SELECT * FROM a) SELECT * FROM b", R},
    {"WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT 1 FROM r) SELECT * FROM r", R},
    {"WITH recursive AS (SELECT 1) SELECT * FROM recursive", R},
    {"WITH a AS (SELECT 1) (SELECT * FROM a)", R},
    {"WITH \"delete\" AS (SELECT 1) SELECT * FROM \"delete\"", R},
    {"WITH a AS (WITH b AS (SELECT 1) SELECT * FROM b) SELECT * FROM a", R},
    {"(WITH a AS (SELECT 1) SELECT * FROM a)", R},
    {"SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a)", R},
    {"SELECT insert('abc', 1, 1, 'z')", R},
    {"SELECT INSERT ('abc', 1, 1, 'z') FROM t", R},
    {"SELECT \"drop\", \"INSERT\" FROM \"delete\"", R},
    {"SELECT \"a;b\"", R},
    {"SELECT ';'", R},
    {"SELECT 1 FROM t WHERE a = '; DROP TABLE t'", R},
    {"SELECT 'it''s'", R},
    {"SELECT 'a\\\\b'", R},
    {"SELECT 'a\\nb'", R},
    {"SELECT '\\\\''; DROP TABLE t --'", R},
    {"SELECT '->>'", R},
    {"SELECT '$$'", R},
    {"SELECT 'CALL p()'", R},
    {"SELECT v:delete::string, v:update.set FROM t", R},
    {"SELECT t.delete, t.\"set\" FROM t", R},
    {"SELECT v:nextval FROM t", R},
    {"SELECT f(v):delete, v[0]:set.alter, $1:update, v:a[0]:grant FROM t", R},
    {"SELECT {'set': 1, 'delete': {'alter': (v:create)}} FROM t WHERE v:into IN (1)", R},
    {"SELECT {'a': insert('abc', 1, 1, 'z'), 'b': x.delete}", R},
    {"SELECT nextval FROM t", R},
    {"SELECT comment, list, get, begin, call, copy FROM t", R},
    {"SELECT count(*) call FROM t", R},
    {"SELECT system$typeof(1)", R},
    {"SELECT SYSTEM$TYPEOF (v) FROM t", R},
    {"SELECT system$ FROM t", R},
    {"SELECT 'system$wait(1)'", R},
    {"SELECT result_scan FROM t", R},
    {"SELECT last_query_id FROM runs", R},
    {"SELECT 'query_history'", R},
    {"SELECT * FROM my_query_history", R},
    {"SELECT * FROM app.sessions", R},
    {"SELECT * FROM sessions", R},
    {"SELECT transactions FROM bank.transactions", R},
    {"SELECT * FROM IDENTIFIER('db.s.t')", R},
    {"SELECT * FROM TABLE('db.s.t')", R},
    {"SELECT identifier FROM t", R},
    {"SELECT * FROM TABLE(my_function(1))", R},
    {"SELECT * FROM TABLE(FLATTEN(input => v))", R},
    {"SELECT * FROM t, LATERAL FLATTEN(input => t.v) f", R},
    {"SELECT $1, t.$2 FROM t", R},
    {"SELECT * FROM t WHERE a = ? AND b = :1", R},
    {"SELECT * FROM t QUALIFY ROW_NUMBER() OVER (PARTITION BY a ORDER BY b) = 1", R},
    {"SELECT a -> b, {'k': 1}, [1, 2], v[0]['x'] FROM t", R},
    {"SELECT transform(a, x -> x + 1)", R},
    {"SELECT * FROM t WHERE mail LIKE '@%'", R},
    {"SELECT * FROM t WHERE mail IN ('@a', '@b')", R},
    {"SELECT split_part(mail, '@', 2) FROM t", R},
    {"SELECT * FROM t WHERE a IS DISTINCT FROM '@x'", R},
    {"SELECT url FROM t WHERE url = 's3://x'", R},
    {"SELECT * FROM t AT (OFFSET => -60)", R},
    {"SELECT a FROM t GROUP BY GROUPING SETS ((a), ())", R},
    {"SELECT * FROM t SAMPLE (10)", R},
    {"SELECT \"AS\" procedure FROM t", R},
    {"SELECT gr\xC3\xB6ne FROM t", R},
    {"SELECT CASE WHEN a THEN 1 ELSE 2 END FROM t", R},
    {"SELECT * FROM information_schema.tables", R},
    {"SELECT * FROM snowflake.account_usage.warehouse_metering_history", R},
    {"SELECT \"async\" FROM t", R},
    {"SELECT t.async FROM t", R},
    {"SHOW TABLES", M},
    {"SHOW TERSE TABLES LIKE 'a%' IN SCHEMA db.s", M},
    {"SHOW TABLES IN SCHEMA sessions", M},
    {"SHOW GRANTS TO ROLE transactions", M},
    {"SHOW SCHEMAS STARTS WITH 'A' LIMIT 10 FROM 'B'", M},
    {"SHOW PARAMETERS", M},
    {"SHOW CREATE", M},
    {"DESC TABLE t", M},
    {"DESCRIBE VIEW a.b", M},
    {"DESC TABLE result", M},
    {"DESC TABLE \"RESULT\"", M},
    {"EXPLAIN SELECT 1", M},
    {"EXPLAIN USING TEXT SELECT 1", M},
    {"EXPLAIN USING JSON WITH a AS (SELECT 1) SELECT * FROM a", M},
    {"EXPLAIN (SELECT 1)", M},
};

static void test_reads(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
		struct guard_verdict v;

		assert_int_equal(guard_check(arena, slice_of(reads[i].sql), READ, &v), ERR_OK);
		if (!v.allowed)
			fail_msg("%s: %s", reads[i].sql, v.reason);
		if (v.class != reads[i].class)
			fail_msg("%s: class %u", reads[i].sql, v.class);
		assert_null(v.reason);
		assert_int_equal(v.effect, EFFECT_NONE);
	}
}

/* ---- refused whatever the classes ---- */

static const struct {
	const char *sql, *reason; /* a part of the reason */
} refused[] = {
    /* one statement, that can be read */
    {"", "empty"},
    {"  \n", "empty"},
    {"-- nothing", "empty"},
    {";", "empty"},
    {" ; ; ", "empty"},
    {"SELECT 1;;", "more than one statement"},
    {"SELECT 1; SELECT 2", "more than one statement"},
    {"SELECT 1; DROP TABLE t", "more than one statement"},
    {"SELECT 1; DROP TABLE t;", "more than one statement"},
    {";SELECT 1", "more than one statement"},
    {"SELECT 1 // c\n; DROP TABLE t", "more than one statement"},
    {"SELECT (1; SELECT 2)", "more than one statement"},
    {"BEGIN DROP TABLE t; END", "more than one statement"},
    {"SELECT 'open", "unterminated string"},
    {"SELECT \"open", "unterminated quoted identifier"},
    {"SELECT 1 /* open", "unterminated comment"},
    {"SELECT $$open", "unterminated $$"},
    {"SELECT 'a\\'", "unterminated string"},
    {"SELECT 'a\\'; DROP TABLE t --'", "backslash"},
    {"SELECT 'it\\'s'", "backslash"},
    {"SELECT 1 /* /* */; DROP TABLE t /* */ */", "nested comments"},
    {"SELECT 1 /* /* */ */ 2", "nested comments"},
    {"SELECT 1 /* /* */", "nested comments"},
    {"SELECT 1 -- a\rDROP TABLE t", "carriage return"},
    {"SELECT 1 -- a\xE2\x80\xA9 DROP TABLE t", "line separator"},
    {"SELECT 1 \xE2\x80\xA8; DROP TABLE t", "quotes only"},
    {"SELECT\xC2\xA0"
     "1",
     "quotes only"},
    {"SELECT '\xE2\x80\xAE'", "bidirectional"},
    {"SELECT 1 /* \xE2\x81\xA6 */", "bidirectional"},
    {"SELECT '\xFF'", "UTF-8"},
    {"SELECT '\xC0\x80'", "UTF-8"},
    {"SELECT '\xED\xA0\x80'", "UTF-8"},
    {"SELECT `a`", "no SQL"},
    {"SELECT (1", "not closed"},
    {"SELECT 1)", "closes nothing"},
    {"SELECT (1]", "closes nothing"},
    {"SELECT $$a$$", "$$"},
    {"SELECT 1 ->> SELECT * FROM $1", "flow operator"},
    {"SELECT 1 ->> DROP TABLE t", "flow operator"},
    {"SHOW TABLES ->> SELECT * FROM $1", "flow operator"},
    {"SELECT 1 |> SELECT 2", "flow operator"},
    {"x := 1", "assignment"},
    {"SELECT a := 1", "assignment"},
    /* the first word */
    {"TABLE t", "no statement"},
    {"FROM t SELECT *", "no statement"},
    {"1", "no statement"},
    {"'SELECT 1'", "no statement"},
    {"\"SELECT\" 1", "no statement"},
    {"VACUUM", "no statement"},
    {"SEL\xC4\x96"
     "CT 1",
     "no statement"},
    {"\xC4\xB1nsert INTO t VALUES (1)", "quotes only"},
    {"()", "no statement"},
    {"(DELETE FROM t)", "parentheses"},
    {"(SHOW TABLES)", "parentheses"},
    {"(USE ROLE r)", "parentheses"},
    /* what the SQL API would forget */
    {"BEGIN", "transaction"},
    {"BEGIN TRANSACTION", "transaction"},
    {"START TRANSACTION", "transaction"},
    {"COMMIT", "transactions do not outlive"},
    {"ROLLBACK", "transactions do not outlive"},
    {"SET x = 1", "session variables do not outlive"},
    {"UNSET x", "session variables do not outlive"},
    {"CREATE TEMPORARY TABLE t (a INT)", "do not outlive one request"},
    {"CREATE OR REPLACE TEMP TABLE t (a INT)", "do not outlive one request"},
    {"CREATE VOLATILE TABLE t (a INT)", "do not outlive one request"},
    {"CREATE LOCAL TEMPORARY TABLE t (a INT)", "do not outlive one request"},
    {"CREATE TEMP VIEW v AS SELECT 1", "do not outlive one request"},
    {"ALTER SESSION SET AUTOCOMMIT = FALSE", "AUTOCOMMIT cannot be changed"},
    {"ALTER SESSION SET TIMEZONE = 'UTC', autocommit = true", "AUTOCOMMIT cannot be changed"},
    {"ALTER SESSION SET MULTI_STATEMENT_COUNT = 0", "MULTI_STATEMENT_COUNT cannot be changed"},
    {"ALTER SESSION UNSET AUTOCOMMIT", "AUTOCOMMIT cannot be changed"},
    {"ALTER SESSION SET STATEMENT_TIMEOUT_IN_SECONDS = 1", "is not a parameter"},
    {"ALTER SESSION SET SEARCH_PATH = 'a'", "names would mean others"},
    {"ALTER SESSION SET QUOTED_IDENTIFIERS_IGNORE_CASE = TRUE", "names would mean others"},
    {"ALTER SESSION SET NO_SUCH_THING = 1", "cannot be set through the gateway"},
    {"ALTER SESSION SET WEEK_START = 'x'", "whole number"},
    {"ALTER SESSION SET \"TIMEZONE\" = 'UTC'", "parameter is missing"},
    {"ALTER SESSION SET TIMEZONE", "= is missing"},
    {"ALTER SESSION SET TIMEZONE = ", "value is missing"},
    {"ALTER SESSION SET TIMEZONE = (SELECT 1)", "value is missing"},
    {"ALTER SESSION SET", "parameter is missing"},
    {"ALTER SESSION", "SET or UNSET"},
    {"ALTER SESSION ABORT", "SET or UNSET"},
    {"ALTER SESSION SET QUERY_TAG = 'a\\\\b'", "backslash"},
    {"ALTER SESSION SET ROWS_PER_RESULTSET = 'many'", "whole number"},
    {"ALTER SESSION SET USE_CACHED_RESULT = 'perhaps'", "TRUE or FALSE"},
    /* code */
    {"CALL p()", "CALL"},
    {"EXECUTE IMMEDIATE 'DROP TABLE t'", "EXECUTE"},
    {"execute immediate 'drop table t'", "EXECUTE"},
    {"EXECUTE TASK t", "EXECUTE"},
    {"DECLARE x INT", "scripting"},
    {"LET x INT", "scripting"},
    {"IF (TRUE) THEN SELECT 1", "scripting"},
    {"FOR i IN 1 TO 2 DO SELECT 1", "scripting"},
    {"WHILE (TRUE) DO SELECT 1", "scripting"},
    {"RETURN 1", "scripting"},
    {"ASYNC (SELECT 1)", "scripting"},
    {"AWAIT x", "scripting"},
    {"SELECT async FROM t", "scripting"},
    {"SELECT 1 FROM t AWAIT ALL", "scripting"},
    {"WITH p AS PROCEDURE () RETURNS STRING LANGUAGE SQL AS 'BEGIN DROP TABLE t END' CALL p()", "PROCEDURE"},
    {"WITH p AS PROCEDURE() RETURNS INT LANGUAGE SQL AS $$ BEGIN RETURN 1; END $$ CALL p()", "$$ strings"},
    {"WITH a AS (SELECT 1), p AS PROCEDURE () RETURNS INT AS 'x' CALL p()", "PROCEDURE"},
    {"SELECT * FROM (WITH p AS PROCEDURE () AS 'x' CALL p())", "PROCEDURE"},
    {"SELECT 1 AS procedure", "PROCEDURE"},
    /* changes within a query */
    {"WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", "INSERT cannot follow"},
    {"WITH a AS (SELECT 1) DELETE FROM t", "DELETE cannot follow"},
    {"WITH a AS (SELECT 1) UPDATE t SET x = 1", "UPDATE cannot follow"},
    {"WITH a AS (SELECT 1) MERGE INTO t USING a ON TRUE WHEN MATCHED THEN DELETE", "MERGE cannot follow"},
    {"WITH a AS (SELECT 1) CALL p()", "CALL cannot follow"},
    {"WITH a AS (SELECT 1) (DELETE FROM t)", "cannot follow"},
    {"WITH a AS (SELECT 1)", "cannot follow"},
    {"WITH a AS SELECT 1", "query in parentheses"},
    {"WITH a (SELECT 1)", "AS is missing"},
    {"WITH", "name is missing"},
    {"WITH a AS (SELECT 1), SELECT 1", "AS is missing"},
    {"(WITH a AS (SELECT 1) DELETE FROM t)", "DELETE cannot follow"},
    {"SELECT a INTO t2 FROM t", "INTO has no place"},
    {"SELECT a FROM t FOR UPDATE", "UPDATE has no place"},
    {"SELECT 1 DELETE FROM t", "DELETE has no place"},
    {"SELECT * FROM (DELETE FROM t)", "DELETE has no place"},
    {"SELECT * FROM (INSERT INTO t VALUES (1))", "INSERT has no place"},
    {"SELECT 1 DROP TABLE t", "DROP has no place"},
    {"SELECT 1 GRANT ROLE a TO USER b", "GRANT has no place"},
    {"(SELECT 1) CALL p()", "second statement"},
    {"(SELECT 1) MERGE INTO t", "second statement"},
    {"SELECT s.nextval", "NEXTVAL is refused"},
    {"SELECT db.s.\"NEXTVAL\"", "NEXTVAL"},
    {"SELECT * FROM TABLE(GETNEXTVAL(s))", "GETNEXTVAL"},
    /* functions */
    {"SELECT system$cancel_all_queries(1)", "SYSTEM$CANCEL_ALL_QUERIES is refused"},
    {"SELECT SYSTEM$WAIT(10)", "SYSTEM$WAIT is refused"},
    {"SELECT SYSTEM$WAIT /* c */ (10)", "SYSTEM$WAIT is refused"},
    {"SELECT \"SYSTEM$WAIT\"(10)", "is refused"},
    {"SELECT \"system$wait\"(10)", "is refused"},
    {"SELECT snowflake.core.system$x(10)", "SYSTEM$X is refused"},
    {"SELECT SYSTEM$TYPEOF_(1)", "SYSTEM$TYPEOF_ is refused"},
    {"SHOW TABLES LIKE SYSTEM$WAIT(1)", "SYSTEM$WAIT is refused"},
    {"SELECT IDENTIFIER('SYSTEM$WAIT')(10)", "IDENTIFIER(...)(...)"},
    {"SELECT IDENTIFIER('f') (10)", "IDENTIFIER(...)(...)"},
    {"SELECT * FROM IDENTIFIER($x)", "IDENTIFIER takes"},
    {"SELECT * FROM IDENTIFIER(?)", "IDENTIFIER takes"},
    {"SELECT * FROM IDENTIFIER(:1)", "IDENTIFIER takes"},
    {"SELECT * FROM IDENTIFIER('a' || 'b')", "IDENTIFIER takes"},
    {"SELECT * FROM IDENTIFIER()", "IDENTIFIER takes"},
    {"SELECT * FROM IDENTIFIER('@s/x')", "plain name"},
    {"SELECT * FROM IDENTIFIER('a\\\\x')", "plain name"},
    {"SELECT * FROM IDENTIFIER('snowflake.account_usage.query_history')", "share one Snowflake user"},
    {"SELECT * FROM IDENTIFIER('snowflake.account_usage.\"SESSIONS\"')", "share one Snowflake user"},
    {"SELECT * FROM information_schema.IDENTIFIER('query_history')", "share one Snowflake user"},
    {"SELECT * FROM TABLE('snowflake.account_usage.query_history')", "share one Snowflake user"},
    {"SELECT * FROM TABLE(?)", "comes from elsewhere"},
    {"SELECT * FROM TABLE($x)", "comes from elsewhere"},
    {"SELECT * FROM TABLE(:x)", "comes from elsewhere"},
    {"SELECT * FROM TABLE(TO_QUERY('DROP TABLE t'))", "TO_QUERY"},
    {"SELECT EXECUTE_AI_EVALUATION('START')", "EXECUTE_AI_EVALUATION"},
    {"SELECT SNOWFLAKE.CORTEX.FINETUNE('CREATE', 'm', 'llama3', 'SELECT a FROM t')", "FINETUNE is refused"},
    /* behind the colon of an object, which is no path */
    {"SELECT {'a': SYSTEM$WAIT(1)}", "SYSTEM$WAIT is refused"},
    {"SELECT {'a': \"SYSTEM$WAIT\"(1)}", "is refused"},
    {"SELECT {'a': LAST_QUERY_ID()}", "LAST_QUERY_ID is refused"},
    {"SELECT {'a': RESULT_SCAN('01b')}", "RESULT_SCAN is refused"},
    {"SELECT {'a': (SELECT COUNT(*) FROM TABLE(RESULT_SCAN('01b')))}", "RESULT_SCAN is refused"},
    {"SELECT {'a': s.nextval}", "NEXTVAL is refused"},
    {"SELECT {'a': IDENTIFIER(?)}", "IDENTIFIER takes"},
    {"SELECT v:IDENTIFIER(?) FROM t", "IDENTIFIER takes"},
    {"SELECT {'a': TABLE(?)}", "comes from elsewhere"},
    {"SELECT v:TABLE(?)", "comes from elsewhere"},
    {"SELECT {'a': delete}", "DELETE has no place"},
    {"SELECT {'a': {b: drop}}", "DROP has no place"},
    {"SELECT {\"a\": async}", "scripting"},
    {"SELECT 1:update", "UPDATE has no place"},
    {"SELECT 'a':update", "UPDATE has no place"},
    {"SELECT ?:update", "UPDATE has no place"},
    /* what would cross tenants */
    {"SELECT * FROM TABLE(RESULT_SCAN(LAST_QUERY_ID()))", "RESULT_SCAN is refused"},
    {"SELECT * FROM TABLE(result_scan('01b'))", "RESULT_SCAN is refused"},
    {"SELECT * FROM TABLE(\"RESULT_SCAN\"('01b'))", "is refused"},
    {"SELECT LAST_QUERY_ID()", "LAST_QUERY_ID is refused"},
    {"SELECT LAST_QUERY_ID(-2)", "LAST_QUERY_ID is refused"},
    {"SELECT * FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY())", "QUERY_HISTORY is refused"},
    {"SELECT * FROM TABLE(db.information_schema.query_history_by_session())", "QUERY_HISTORY_BY_SESSION is refused"},
    {"SELECT * FROM TABLE(information_schema.\"QUERY_HISTORY_BY_USER\"())", "is refused"},
    {"SELECT * FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY", "QUERY_HISTORY is refused"},
    {"SELECT * FROM \"SNOWFLAKE\".\"ACCOUNT_USAGE\".\"QUERY_HISTORY\"", "is refused"},
    {"SELECT * FROM \"query_history\"", "is refused"},
    {"SELECT * FROM query_history", "QUERY_HISTORY is refused"},
    {"SELECT * FROM snowflake.account_usage.access_history", "ACCESS_HISTORY is refused"},
    {"SELECT * FROM snowflake.account_usage.sessions", "SESSIONS is refused"},
    {"SELECT * FROM snowflake . account_usage . sessions", "SESSIONS is refused"},
    {"SELECT * FROM TABLE(GET_QUERY_OPERATOR_STATS('01b'))", "GET_QUERY_OPERATOR_STATS is refused"},
    {"DESC RESULT '01b'", "RESULT is refused"},
    {"DESCRIBE RESULT LAST_QUERY_ID()", "RESULT is refused"},
    {"DESC TRANSACTION 1", "TRANSACTION is refused"},
    {"DESC", "needs a kind"},
    {"SHOW TRANSACTIONS", "TRANSACTIONS is refused"},
    {"SHOW transactions IN ACCOUNT", "TRANSACTIONS is refused"},
    {"SHOW TERSE SESSIONS", "SESSIONS is refused"},
    {"SHOW SESSIONS", "SESSIONS is refused"},
    {"SHOW LOCKS IN ACCOUNT", "LOCKS is refused"},
    {"SHOW", "kind of objects"},
    {"SHOW \"SESSIONS\"", "kind of objects"},
    {"SHOW IDENTIFIER('SESSIONS')", "no kind of object"},
    /* stages */
    {"SELECT $1 FROM @stage/file.csv", "stage"},
    {"SELECT $1 FROM @~", "stage"},
    {"SELECT $1 FROM '@stage/file.csv'", "stage"},
    {"SELECT $1 FROM t, '@stage/file.csv'", "stage"},
    {"SELECT $1 FROM t JOIN '@stage' ON TRUE", "stage"},
    {"SELECT $1 FROM ('@stage')", "stage"},
    {"SELECT $1 FROM '\\100stage'", "stage"},
    {"SELECT $1 FROM 's3://bucket/x'", "stage"},
    {"SELECT * FROM DIRECTORY(@s)", "stage"},
    {"SELECT * FROM TABLE(INFER_SCHEMA(LOCATION => '@s', FILE_FORMAT => 'f'))", "INFER_SCHEMA is refused"},
    {"SELECT GET_PRESIGNED_URL('@s', 'x')", "GET_PRESIGNED_URL is refused"},
    {"LIST @s", "stage"},
    {"LIST s", "LIST is refused"},
    {"LS s", "LS is refused"},
    {"PUT file x", "PUT is refused"},
    {"GET s x", "GET is refused"},
    {"COPY INTO t FROM s", "COPY is refused"},
    {"COPY INTO @s FROM t", "stage"},
    {"REMOVE s", "REMOVE is refused"},
    {"RM s", "RM is refused"},
    /* definitions of what runs, moves or grants */
    {"CREATE PROCEDURE p() RETURNS INT LANGUAGE SQL AS 'x'", "PROCEDURE objects are refused"},
    {"CREATE OR REPLACE FUNCTION f() RETURNS INT AS '1'", "FUNCTION objects are refused"},
    {"CREATE SECURE FUNCTION f() RETURNS INT AS '1'", "FUNCTION objects are refused"},
    {"CREATE EXTERNAL FUNCTION f() RETURNS INT AS 'u'", "EXTERNAL objects are refused"},
    {"CREATE EXTERNAL TABLE t", "EXTERNAL objects are refused"},
    {"CREATE TASK t AS SELECT 1", "TASK objects are refused"},
    {"CREATE ALERT a", "ALERT objects are refused"},
    {"CREATE PIPE p AS COPY INTO t FROM x", "PIPE objects are refused"},
    {"CREATE STAGE s", "STAGE objects are refused"},
    {"CREATE OR REPLACE STORAGE INTEGRATION i", "STORAGE objects are refused"},
    {"CREATE SECURITY INTEGRATION i", "SECURITY objects are refused"},
    {"CREATE USER u", "USER objects are refused"},
    {"CREATE ROLE r", "ROLE objects are refused"},
    {"CREATE DATABASE ROLE r", "ROLE objects are refused"},
    {"CREATE NETWORK POLICY p", "NETWORK objects are refused"},
    {"CREATE MASKING POLICY p AS (v INT) RETURNS INT -> 1", "MASKING objects are refused"},
    {"CREATE ROW ACCESS POLICY p", "ROW objects are refused"},
    {"CREATE SHARE s", "SHARE objects are refused"},
    {"CREATE SOMETHING new", "no kind of object"},
    {"CREATE", "no kind of object"},
    {"CREATE OR", "no kind of object"},
    {"CREATE \"TABLE\" t", "no kind of object"},
    {"ALTER ACCOUNT SET x = 1", "ACCOUNT objects are refused"},
    {"ALTER USER u SET PASSWORD = 'x'", "USER objects are refused"},
    {"ALTER TASK t RESUME", "TASK objects are refused"},
    {"ALTER TABLE t MODIFY COLUMN c UNSET MASKING POLICY", "POLICY objects are refused"},
    {"ALTER TABLE t DROP ROW ACCESS POLICY p", "POLICY objects are refused"},
    {"ALTER DATABASE d ENABLE REPLICATION TO ACCOUNTS o.a", "REPLICATION objects are refused"},
    {"DROP USER u", "USER objects are refused"},
    {"DROP STAGE s", "STAGE objects are refused"},
    {"COMMENT ON USER u IS 'x'", "USER objects are refused"},
    {"COMMENT IF EXISTS ON ROLE r IS 'x'", "ROLE objects are refused"},
    {"CREATE TABLE t AS SELECT 1 EXECUTE AS OWNER", "EXECUTE AS"},
    {"CREATE VIEW v AS SELECT * FROM TABLE(RESULT_SCAN('x'))", "RESULT_SCAN is refused"},
    {"CREATE VIEW v AS SELECT SYSTEM$WAIT(1)", "SYSTEM$WAIT is refused"},
    {"INSERT INTO t SELECT * FROM snowflake.account_usage.query_history", "QUERY_HISTORY is refused"},
    {"INSERT INTO t SELECT $1 FROM '@s'", "stage"},
    /* explain */
    {"EXPLAIN", "cannot be explained"},
    {"EXPLAIN EXPLAIN SELECT 1", "cannot be explained"},
    {"EXPLAIN CALL p()", "cannot be explained"},
    {"EXPLAIN USE ROLE r", "cannot be explained"},
    {"EXPLAIN CREATE TABLE t AS SELECT 1", "cannot be explained"},
    {"EXPLAIN USING TEXT WITH a AS (SELECT 1) DELETE FROM t", "DELETE cannot follow"},
    {"EXPLAIN SELECT SYSTEM$WAIT(1)", "SYSTEM$WAIT is refused"},
    /* use */
    {"USE SECONDARY ROLES ALL", "USE SECONDARY ROLES"},
    {"USE", "needs a plain or quoted name"},
    {"USE ROLE a b", "one word too many"},
    {"USE ROLE a.b", "one word too many"},
    {"USE CATALOG x", "one word too many"},
    {"USE a.b.c", "one word too many"},
    {"USE SCHEMA a.", "needs a plain or quoted name"},
    {"USE ROLE IDENTIFIER('x')", "needs a plain or quoted name"},
    {"USE ROLE 'x'", "one word too many"},
    {"USE ROLE \"\"", "empty"},
    {"USE ROLE gr\xC3\xB6n", "character that needs double quotes"},
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct guard_verdict v;

		assert_int_equal(guard_check(arena, slice_of(refused[i].sql), ALL, &v), ERR_OK);
		if (v.allowed)
			fail_msg("%s was allowed", refused[i].sql);
		if (!v.reason || !strstr(v.reason, refused[i].reason))
			fail_msg("%s: %s", refused[i].sql, v.reason);
		assert_int_equal(v.effect, EFFECT_NONE);
		assert_true(guard_check(arena, slice_of(refused[i].sql), READ, &v) == ERR_OK && !v.allowed);
		assert_true(guard_check(arena, slice_of(refused[i].sql), 0, &v) == ERR_OK && !v.allowed);
	}
}

/* ---- classes ---- */

static const struct {
	const char *sql;
	unsigned class;
} changes[] = {
    {"INSERT INTO t VALUES (1)", CLASS_DML},
    {"INSERT INTO t SELECT s.nextval, 1", CLASS_DML},
    {"INSERT INTO t WITH a AS (SELECT 1) SELECT * FROM a", CLASS_DML},
    {"INSERT ALL INTO a INTO b SELECT 1", CLASS_DML},
    {"insert overwrite into t values ('@x')", CLASS_DML},
    {"UPDATE t SET a = 1 WHERE b = 2", CLASS_DML},
    {"DELETE FROM t USING u WHERE t.a = u.a", CLASS_DML},
    {"MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN UPDATE SET b = 1 WHEN NOT MATCHED THEN INSERT (a) VALUES (1)",
     CLASS_DML},
    {"TRUNCATE TABLE t", CLASS_DML},
    {"EXPLAIN DELETE FROM t", CLASS_DML},
    {"EXPLAIN USING JSON INSERT INTO t SELECT 1", CLASS_DML},
    {"CREATE TABLE t (a INT, set_ INT)", CLASS_DDL},
    {"CREATE OR REPLACE TRANSIENT TABLE t AS SELECT 1", CLASS_DDL},
    {"CREATE SECURE VIEW v AS WITH a AS (SELECT 1) SELECT * FROM a", CLASS_DDL},
    {"CREATE MATERIALIZED VIEW v AS SELECT 1", CLASS_DDL},
    {"CREATE SCHEMA s WITH MANAGED ACCESS", CLASS_DDL},
    {"CREATE DATABASE d", CLASS_DDL},
    {"CREATE TABLE temporary_things (a INT)", CLASS_DDL},
    {"CREATE TABLE t (id INT DEFAULT s.nextval)", CLASS_DDL},
    {"CREATE TABLE t (policy TEXT)", CLASS_DDL},
    {"ALTER TABLE t ADD COLUMN b INT", CLASS_DDL},
    {"ALTER WAREHOUSE w RESUME", CLASS_DDL},
    {"DROP TABLE IF EXISTS t", CLASS_DDL},
    {"DROP VIEW v", CLASS_DDL},
    {"UNDROP TABLE t", CLASS_DDL},
    {"COMMENT ON TABLE t IS 'x'", CLASS_DDL},
    {"COMMENT IF EXISTS ON COLUMN t.a IS 'x'", CLASS_DDL},
    {"GRANT SELECT ON TABLE t TO ROLE r", CLASS_DCL},
    {"REVOKE SELECT ON TABLE t FROM ROLE r", CLASS_DCL},
    {"SELECT 1", CLASS_READ},
    {"SHOW TABLES", CLASS_METADATA},
    {"DESC TABLE t", CLASS_METADATA},
    {"EXPLAIN SELECT 1", CLASS_METADATA},
};

static void test_classes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		struct guard_verdict v;

		for (unsigned classes = 0; classes <= ALL; classes++) {
			bool wanted = classes & changes[i].class;

			assert_int_equal(guard_check(arena, slice_of(changes[i].sql), classes, &v), ERR_OK);
			if (v.allowed != wanted)
				fail_msg("%s, classes %u: %s", changes[i].sql, classes,
					 v.reason ? v.reason : "allowed");
			assert_int_equal(v.class, changes[i].class);
			if (!wanted)
				assert_non_null(strstr(v.reason, "of class"));
		}
	}
}

/* ---- destructive: what was there may be gone afterwards ---- */

static const struct {
	const char *sql;
	bool destructive;
} losses[] = {
    {"DELETE FROM t", true},
    {"delete from t where a = 1;", true},
    {"/* INSERT */ DELETE /* x */ FROM t -- y", true},
    {"-- SELECT 1\nUPDATE t SET a = 1", true},
    {"UPDATE t SET a = (WITH b AS (SELECT 1) SELECT * FROM b)", true},
    {"MERGE INTO t USING u ON t.a = u.a WHEN NOT MATCHED THEN INSERT (a) VALUES (1)", true},
    {"TRUNCATE TABLE IF EXISTS t", true},
    {"TRUNCATE t", true},
    {"DROP TABLE t", true},
    {"DROP VIEW IF EXISTS \"v\"", true},
    {"Drop Database d CASCADE", true},
    {"REVOKE SELECT ON TABLE t FROM ROLE r", true},
    {"INSERT OVERWRITE INTO t SELECT 1", true},
    {"insert /* INTO */ overwrite into t values (1)", true},
    {"INSERT OVERWRITE ALL INTO a INTO b SELECT 1", true},
    {"CREATE OR REPLACE TABLE t (a INT)", true},
    {"create or\nreplace /* */ view v as select 1", true},
    {"CREATE OR REPLACE TRANSIENT SCHEMA s", true},
    {"CREATE OR REPLACE DATABASE d", true},
    {"CREATE OR REPLACE WAREHOUSE w", true},
    {"CREATE OR REPLACE SEQUENCE s", true},
    {"CREATE OR ALTER TABLE t (a INT)", true}, /* drops the columns that it does not list */
    {"ALTER TABLE t DROP COLUMN a", true},
    {"ALTER TABLE t DROP a, b", true},
    {"alter table if exists t add column b int, drop column c", true},
    {"ALTER TABLE t ALTER COLUMN a DROP NOT NULL", true},
    {"ALTER TABLE \"DROP\" DROP PRIMARY KEY", true},
    {"GRANT OWNERSHIP ON TABLE t TO ROLE r REVOKE CURRENT GRANTS", true},
    {"ALTER TABLE t SET DATA_RETENTION_TIME_IN_DAYS = 0", true}, /* what it was before cannot be had back */
    {"alter schema s set comment = 'x' data_retention_time_in_days=1", true},
    {"ALTER DATABASE d UNSET DATA_RETENTION_TIME_IN_DAYS", true},
    {"ALTER TABLE t SET COMMENT = 'DATA_RETENTION_TIME_IN_DAYS'", false},
    {"CREATE TABLE t (a INT) DATA_RETENTION_TIME_IN_DAYS = 0", false},
    {"INSERT INTO t VALUES (1)", false},
    {"INSERT INTO overwrite VALUES (1)", false},
    {"INSERT INTO \"OVERWRITE\" VALUES ('OVERWRITE')", false},
    {"INSERT ALL INTO a INTO b SELECT 1", false},
    {"INSERT INTO t WITH a AS (SELECT 'DELETE') SELECT * FROM a", false},
    {"CREATE TABLE t (a INT)", false},
    {"CREATE TABLE IF NOT EXISTS t (a INT)", false},
    {"CREATE TABLE t AS SELECT * FROM u WHERE a = 1 OR REPLACE(b, 'x') = 'y'", false},
    {"CREATE VIEW \"OR REPLACE\" AS SELECT 1", false},
    {"CREATE /* OR REPLACE */ TABLE t (a INT)", false},
    {"CREATE TABLE t (a INT) COMMENT = 'OR REPLACE'", false},
    {"ALTER TABLE t ADD COLUMN b INT", false},
    {"ALTER TABLE t RENAME TO u", false},
    {"ALTER TABLE t RENAME COLUMN a TO b", false},
    {"ALTER TABLE t RENAME COLUMN a TO \"drop\"", false},
    {"ALTER TABLE t SET COMMENT = 'DROP TABLE t'", false},
    {"ALTER TABLE t SWAP WITH u /* DROP */", false},
    {"ALTER WAREHOUSE w SUSPEND", false},
    {"UNDROP TABLE t", false},
    {"COMMENT ON TABLE t IS 'DROP'", false},
    {"GRANT SELECT ON TABLE t TO ROLE r", false},
    {"GRANT SELECT ON TABLE \"REVOKE\" TO ROLE r", false},
    {"SELECT 1", false},
    {"SELECT \"DELETE\" FROM \"DROP\"", false},
    {"SELECT 'DELETE FROM t'", false},
    {"WITH \"delete\" AS (SELECT 1) SELECT * FROM \"delete\"", false},
    {"SHOW TABLES", false},
    {"EXPLAIN DELETE FROM t", true}, /* runs it where the clause is misread */
    {"EXPLAIN USING TEXT UPDATE t SET a = 1", true},
    {"explain using json merge into t using u on t.a = u.a when matched then delete", true},
    {"EXPLAIN INSERT OVERWRITE INTO t SELECT 1", true},
    {"EXPLAIN INSERT INTO t SELECT 1", false},
    {"EXPLAIN USING TABULAR INSERT INTO overwrite SELECT 1", false},
    {"EXPLAIN SELECT 1", false},
    {"EXPLAIN USING TEXT WITH \"delete\" AS (SELECT 1) SELECT * FROM \"delete\"", false},
    {"EXPLAIN (SELECT 'DELETE')", false},
    {"USE DATABASE d", false},
    {"ALTER SESSION SET QUERY_TAG = 'DROP'", false},
};

static void test_destructive(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(losses); i++) {
		struct guard_verdict v;

		assert_int_equal(guard_check(arena, slice_of(losses[i].sql), ALL, &v), ERR_OK);
		if (!v.allowed)
			fail_msg("%s: %s", losses[i].sql, v.reason);
		if (v.destructive != losses[i].destructive)
			fail_msg("%s: %s", losses[i].sql, v.destructive ? "destructive" : "not destructive");
		/* what may not be sent at all destroys nothing */
		assert_int_equal(guard_check(arena, slice_of(losses[i].sql), 0, &v), ERR_OK);
		assert_false(v.destructive);
	}
}

/* Forms that would hide the verb are no statements here. */
static void test_hidden_verbs(void **state)
{
	static const char *const hidden[] = {
	    "WITH a AS (SELECT 1) DELETE FROM t",
	    "WITH a AS (DELETE FROM t) SELECT 1",
	    "WITH a AS (SELECT 1) UPDATE t SET b = 1",
	    "WITH a AS (SELECT 1) MERGE INTO t USING a ON TRUE WHEN MATCHED THEN DELETE",
	    "(DELETE FROM t)",
	    "\"DELETE\" FROM t",
	    "SELECT 1; DELETE FROM t",
	    ";DELETE FROM t",
	    "CREATE SECURE OR REPLACE VIEW v AS SELECT 1",
	    "CREATE \"OR\" REPLACE TABLE t (a INT)",
	    "SELECT * FROM (DROP TABLE t)"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
		struct guard_verdict v;

		assert_int_equal(guard_check(arena, slice_of(hidden[i]), ALL, &v), ERR_OK);
		if (v.allowed)
			fail_msg("%s", hidden[i]);
		assert_false(v.destructive);
	}
}

/* ---- the session ---- */

static const struct {
	const char *sql;
	enum sql_use use;
	const char *database, *name;
} uses[] = {
    {"USE DATABASE sales", USE_DATABASE, NULL, "SALES"},   {"use sales;", USE_DATABASE, NULL, "SALES"},
    {"USE \"My db\"", USE_DATABASE, NULL, "My db"},        {"USE sales.core", USE_SCHEMA, "SALES", "CORE"},
    {"USE SCHEMA core", USE_SCHEMA, NULL, "CORE"},         {"USE SCHEMA \"s\" . /* c */ core", USE_SCHEMA, "s", "CORE"},
    {"USE WAREHOUSE wh_xs", USE_WAREHOUSE, NULL, "WH_XS"}, {"USE ROLE analyst", USE_ROLE, NULL, "ANALYST"},
    {"USE ROLE \"a\"\"b\"", USE_ROLE, NULL, "a\"b"},       {"USE role", USE_DATABASE, NULL, "ROLE"},
    {"USE \"ROLE\"", USE_DATABASE, NULL, "ROLE"},          {"USE secondary", USE_DATABASE, NULL, "SECONDARY"},
    {"USE schema.role", USE_SCHEMA, "SCHEMA", "ROLE"},
};

static void test_use(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		struct guard_verdict v;

		assert_int_equal(guard_check(arena, slice_of(uses[i].sql), 0, &v), ERR_OK);
		if (!v.allowed)
			fail_msg("%s: %s", uses[i].sql, v.reason);
		assert_int_equal(v.effect, EFFECT_USE);
		assert_int_equal(v.class, 0);
		assert_int_equal(v.use, uses[i].use);
		assert_string_equal(v.use_name, uses[i].name);
		if (uses[i].database)
			assert_string_equal(v.use_database, uses[i].database);
		else
			assert_null(v.use_database);
	}
}

static void test_alter_session(void **state)
{
	struct guard_verdict v;

	(void)state;
	assert_int_equal(guard_check(arena,
				     SLICE("ALTER SESSION SET timezone = 'Europe/Berlin', USE_CACHED_RESULT=false "
					   "ROWS_PER_RESULTSET = 10 QUERY_TAG = 'it''s';"),
				     0, &v),
			 ERR_OK);
	assert_true(v.allowed);
	assert_int_equal(v.effect, EFFECT_ALTER_SESSION);
	assert_int_equal(v.parameters_n, 4);
	assert_string_equal(v.parameters[0].name, "TIMEZONE");
	assert_string_equal(v.parameters[0].value, "Europe/Berlin");
	assert_string_equal(v.parameters[1].value, "false");
	assert_string_equal(v.parameters[2].value, "10");
	assert_string_equal(v.parameters[3].value, "it's");
	assert_int_equal(guard_check(arena, SLICE("ALTER SESSION UNSET TIMEZONE, DATE_OUTPUT_FORMAT"), 0, &v), ERR_OK);
	assert_true(v.allowed);
	assert_int_equal(v.parameters_n, 2);
	assert_string_equal(v.parameters[1].name, "DATE_OUTPUT_FORMAT");
	assert_null(v.parameters[1].value);
}

static void test_too_many_parameters(void **state)
{
	struct buf b = buf_with_ceiling(4000);
	struct guard_verdict v;

	(void)state;
	buf_adds(&b, "ALTER SESSION SET");
	for (int i = 0; i < 16; i++)
		buf_adds(&b, " TIMEZONE = 'UTC'");
	assert_int_equal(guard_check(arena, buf_slice(&b), 0, &v), ERR_OK);
	assert_true(v.allowed);
	buf_adds(&b, " TIMEZONE = 'UTC'");
	assert_int_equal(guard_check(arena, buf_slice(&b), 0, &v), ERR_OK);
	assert_false(v.allowed);
	buf_free(&b);
}

static void test_parameters(void **state)
{
	const char *reason, *advice;

	(void)state;
	assert_true(sql_parameter_fits("timezone", "UTC", &reason, &advice));
	assert_true(sql_parameter_fits("TIMEZONE", NULL, &reason, &advice));
	assert_true(sql_parameter_fits("USE_CACHED_RESULT", "TRUE", &reason, &advice));
	assert_false(sql_parameter_fits("USE_CACHED_RESULT", "1", &reason, &advice));
	assert_false(sql_parameter_fits("ROWS_PER_RESULTSET", "-1", &reason, &advice));
	assert_false(sql_parameter_fits("QUERY_TAG", "a\nb", &reason, &advice));
	assert_false(sql_parameter_fits("AUTOCOMMIT", NULL, &reason, &advice));
	assert_non_null(advice);
	assert_false(sql_parameter_fits("", "", &reason, &advice));
	assert_non_null(reason);
}

/* ---- limits and places ---- */

static void test_places(void **state)
{
	struct guard_verdict v;

	(void)state;
	assert_int_equal(guard_check(arena, SLICE("SELECT 1;\n  DROP TABLE t"), READ, &v), ERR_OK);
	assert_int_equal(v.line, 1);
	assert_int_equal(v.column, 9);
	assert_string_equal(v.advice, "Send one statement per call.");
	assert_int_equal(guard_check(arena, SLICE("SELECT '\xC3\xA4',\n  SYSTEM$WAIT(1)"), READ, &v), ERR_OK);
	assert_int_equal(v.line, 2);
	assert_int_equal(v.column, 3);
	assert_int_equal(guard_check(arena, SLICE("\n DELETE FROM t"), READ, &v), ERR_OK);
	assert_int_equal(v.line, 2);
	assert_int_equal(v.column, 2);
	assert_string_equal(v.reason, "DELETE is a statement of class dml; this caller may send: read, metadata");
	assert_int_equal(guard_check(arena, SLICE("SELECT 1\n, \0"), READ, &v), ERR_OK);
	assert_false(v.allowed);
	assert_int_equal(v.line, 2);
	assert_int_equal(v.column, 3);
	assert_int_equal(guard_check(arena, (struct slice){NULL, 0}, READ, &v), ERR_OK);
	assert_non_null(strstr(v.reason, "empty"));
}

static struct guard_verdict check_repeated(const char *head, const char *piece, size_t times)
{
	struct buf b = buf_with_ceiling(1 << 20);
	struct guard_verdict v;

	buf_adds(&b, head);
	for (size_t i = 0; i < times; i++)
		buf_adds(&b, piece);
	assert_false(buf_failed(&b));
	assert_int_equal(guard_check(arena, buf_slice(&b), READ, &v), ERR_OK);
	buf_free(&b);
	return v;
}

static void test_limits(void **state)
{
	struct arena *small = arena_new(512);
	struct guard_verdict v;

	(void)state;
	assert_true(check_repeated("SELECT 1", " ", SQL_MAX_BYTES - 8).allowed);
	assert_non_null(strstr(check_repeated("SELECT 1", " ", SQL_MAX_BYTES - 7).reason, "256 KiB"));
	assert_true(check_repeated("SELECT 1", ",1", 49000).allowed);
	assert_non_null(strstr(check_repeated("SELECT 1", ",1", 50001).reason, "100000"));
	assert_non_null(strstr(check_repeated("", "(", 90000).reason, "not closed"));
	assert_false(check_repeated("", "(WITH a AS ", 20000).allowed);
	assert_int_equal(guard_check(small, SLICE("SELECT 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12"), READ, &v),
			 ERR_NOMEM);
	assert_false(v.allowed);
	arena_free(small);
}

/* ---- properties ---- */

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void renew_arena(void)
{
	arena_free(arena);
	arena = arena_new(64 << 20);
}

/* Two statements in one text are never allowed, however they are put together. */
static void test_spliced_statements(void **state)
{
	static const char *const seams[] = {";", " ; ", ";\n", "/**/;", ";--\n", " ->> ", "\n;//\n", ";;"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
		for (size_t k = 0; k < ARRAY_LEN(changes); k++) {
			struct buf b = buf_with_ceiling(4000);
			struct guard_verdict v;

			buf_addf(&b, "%s\n%s%s", reads[i].sql, seams[(i + k) % ARRAY_LEN(seams)], changes[k].sql);
			assert_int_equal(guard_check(arena, buf_slice(&b), ALL, &v), ERR_OK);
			if (v.allowed)
				fail_msg("%s", buf_text(&b));
			buf_free(&b);
		}
		renew_arena();
	}
}

/* Bytes of one statement thrown into another: where the guard allows the result, the plain lexer finds no separator in
 * it but a last one, and no change for a reader. */
static void test_splice_fuzz(void **state)
{
	static const char *const pieces[] = {";",
					     "'",
					     "\"",
					     "--",
					     "/*",
					     "*/",
					     "\\",
					     "$$",
					     "\n",
					     "//",
					     "(",
					     ")",
					     "''",
					     " DELETE FROM t ",
					     ";DROP TABLE t",
					     "->>",
					     "\\'",
					     "/*/",
					     "\r",
					     " SELECT 1 "};
	uint32_t seed = 7;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct buf b = buf_with_ceiling(4000);
		const char *base = reads[random_next(&seed) % ARRAY_LEN(reads)].sql;
		size_t cut = random_next(&seed) % (strlen(base) + 1);
		struct guard_verdict v;

		buf_add(&b, base, cut);
		for (size_t n = 1 + random_next(&seed) % 3; n; n--)
			buf_adds(&b, pieces[random_next(&seed) % ARRAY_LEN(pieces)]);
		buf_adds(&b, base + cut);
		assert_int_equal(guard_check(arena, buf_slice(&b), READ, &v), ERR_OK);
		if (v.allowed) {
			struct sql_lexer lexer;
			struct sql_token t;
			bool over = false;

			sql_lexer_init(&lexer, buf_slice(&b));
			while ((t = sql_next(&lexer)).kind != SQL_END) {
				assert_int_not_equal(t.kind, SQL_BAD);
				assert_false(over);
				over = sql_token_is(&t, ";");
				assert_false(sql_token_is(&t, "DROP"));
				assert_false(sql_token_is(&t, "->>"));
			}
		} else {
			assert_non_null(v.reason);
		}
		buf_free(&b);
		if (round % 1000 == 0)
			renew_arena();
	}
}

/* The case of words and the white space between tokens decide nothing, where the tokens are the fault. */
static void test_case_and_space(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct buf b;
		struct guard_verdict v;
		struct sql_lexer lexer;
		struct sql_token t;

		if (strstr(refused[i].sql, "/*"))
			continue;
		b = buf_with_ceiling(4000);
		sql_lexer_init(&lexer, slice_of(refused[i].sql));
		while ((t = sql_next(&lexer)).kind != SQL_END) {
			for (size_t k = 0; k < t.text.n; k++) {
				char c = t.text.data[k];
				bool flip = t.kind == SQL_WORD && k % 2 && c >= 'A' && c <= 'Z';

				buf_addc(&b, flip ? (char)(c + 32) : c);
			}
			buf_adds(&b, "\n /* x */ ");
		}
		assert_int_equal(guard_check(arena, buf_slice(&b), ALL, &v), ERR_OK);
		if (v.allowed)
			fail_msg("%s", buf_text(&b));
		buf_free(&b);
	}
}

/* The case of words, comments and white space between tokens do not hide a loss, nor make one. */
static void test_losses_spaced(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(losses); i++) {
		struct buf b = buf_with_ceiling(8000);
		struct guard_verdict v;
		struct sql_lexer lexer;
		struct sql_token t;

		sql_lexer_init(&lexer, slice_of(losses[i].sql));
		while ((t = sql_next(&lexer)).kind != SQL_END) {
			for (size_t k = 0; k < t.text.n; k++) {
				char c = t.text.data[k];
				bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

				buf_addc(&b, t.kind == SQL_WORD && letter && k % 2 ? (char)(c ^ 32) : c);
			}
			buf_adds(&b, "\t/* DROP \"REVOKE\" */\r\n");
		}
		assert_int_equal(guard_check(arena, buf_slice(&b), ALL, &v), ERR_OK);
		assert_true(v.allowed);
		if (v.destructive != losses[i].destructive)
			fail_msg("%s", buf_text(&b));
		buf_free(&b);
	}
}

/* ---- scripts ---- */

static void test_script_split(void **state)
{
	static const struct {
		const char *sql;
		size_t n;
		const char *first, *last;
	} cases[] = {
	    {"SELECT 1", 1, "SELECT 1", "SELECT 1"},
	    {"SELECT 1;", 1, "SELECT 1", "SELECT 1"},
	    {" ; ;SELECT 1 ; -- done\n", 1, "SELECT 1 ", "SELECT 1 "},
	    {"SELECT 1;SELECT 2", 2, "SELECT 1", "SELECT 2"},
	    {"SELECT ';' ; SELECT \";\" -- ;\n", 2, "SELECT ';' ", " SELECT \";\" -- ;\n"},
	    {"SELECT 1 /* ; */; DELETE FROM T;;", 2, "SELECT 1 /* ; */", " DELETE FROM T"},
	    {"SELECT $$a;b$$; SELECT 2; SELECT 3", 3, "SELECT $$a;b$$", " SELECT 3"},
	    {"SELECT 1; SELECT 'open", 1, "SELECT 1; SELECT 'open", "SELECT 1; SELECT 'open"},
	    {"", 0, NULL, NULL},
	    {" -- nothing", 0, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *a = arena_new(1 << 20);
		struct slice *statements;
		size_t n;

		assert_int_equal(sql_script(a, slice_of(cases[i].sql), &statements, &n), ERR_OK);
		assert_int_equal(n, cases[i].n);
		if (n) {
			assert_true(slice_is(statements[0], cases[i].first));
			assert_true(slice_is(statements[n - 1], cases[i].last));
		}
		arena_free(a);
	}
}

static void test_script_ceiling(void **state)
{
	struct buf sql = buf_with_ceiling(4096);
	struct arena *a = arena_new(1 << 20);
	struct slice *statements;
	size_t n;

	(void)state;
	for (int i = 0; i < SQL_SCRIPT_MAX; i++)
		buf_adds(&sql, "SELECT 1;");
	assert_int_equal(sql_script(a, buf_slice(&sql), &statements, &n), ERR_OK);
	assert_int_equal(n, SQL_SCRIPT_MAX);
	buf_adds(&sql, "SELECT 1");
	assert_int_equal(sql_script(a, buf_slice(&sql), &statements, &n), ERR_INVALID_PARAMS);
	buf_free(&sql);
	arena_free(a);
}

/* Transactions count in scripts only, and BEGIN opens no block of scripting. */
static void test_script_transactions(void **state)
{
	static const struct {
		const char *sql;
		bool allowed;
	} cases[] = {
	    {"BEGIN", true},           {"BEGIN TRANSACTION", true}, {"BEGIN WORK", true},  {"START TRANSACTION", true},
	    {"COMMIT", true},          {"COMMIT WORK", true},       {"ROLLBACK", true},    {"START", false},
	    {"BEGIN SELECT 1", false}, {"BEGIN NAME t", false},     {"COMMIT AND", false}, {"BEGIN LET x", false},
	    {"SET a = 1", false},      {"CALL p()", false},         {"DECLARE x", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *a = arena_new(1 << 20);
		struct guard_verdict v;

		assert_int_equal(guard_check(a, slice_of(cases[i].sql), ALL | CLASS_SCRIPT, &v), ERR_OK);
		assert_int_equal(v.allowed, cases[i].allowed);
		assert_int_equal(guard_check(a, slice_of(cases[i].sql), ALL, &v), ERR_OK);
		assert_false(v.allowed);
		arena_free(a);
	}
}

/* Parameters that Snowflake's SQL API does not carry go before the statement; values are quoted, numbers are not. */
static void test_parameters_before(void **state)
{
	struct buf b = buf_with_ceiling(1024);
	json_t *set = json_pack("{s:s, s:s, s:s}", "TIMEZONE", "UTC", "WEEK_START", "1", "DATE_INPUT_FORMAT", "it's");

	(void)state;
	assert_true(sql_parameters_write(&b, set));
	assert_string_equal(buf_text(&b), "ALTER SESSION SET WEEK_START = 1 DATE_INPUT_FORMAT = 'it''s'");
	assert_int_equal(sql_parameter_by("TIMEZONE"), PARAMETER_BY_REQUEST);
	assert_int_equal(sql_parameter_by("lock_timeout"), PARAMETER_BY_STATEMENT);
	json_object_del(set, "WEEK_START");
	json_object_del(set, "DATE_INPUT_FORMAT");
	buf_clear(&b);
	assert_true(sql_parameters_write(&b, set));
	assert_int_equal(b.n, 0);
	json_decref(set);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_classes),
	    cmocka_unit_test(test_use),
	    cmocka_unit_test(test_alter_session),
	    cmocka_unit_test(test_too_many_parameters),
	    cmocka_unit_test(test_parameters),
	    cmocka_unit_test(test_places),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_spliced_statements),
	    cmocka_unit_test(test_splice_fuzz),
	    cmocka_unit_test(test_case_and_space),
	    cmocka_unit_test(test_destructive),
	    cmocka_unit_test(test_hidden_verbs),
	    cmocka_unit_test(test_losses_spaced),
	    cmocka_unit_test(test_script_split),
	    cmocka_unit_test(test_script_ceiling),
	    cmocka_unit_test(test_script_transactions),
	    cmocka_unit_test(test_parameters_before),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
