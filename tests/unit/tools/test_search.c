/* search_catalog and "did you mean": what is sent to fill the index, what is answered, and what a policy, a role and a
 * user never see of others. */
#include "help_methods.h"

#define SCHEMAS "[[\"CORE\",\"SALES\",\"\"],[\"PUBLIC\",\"SALES\",\"\"],[\"INFORMATION_SCHEMA\",\"SALES\",\"\"]]"
#define OBJECTS                                                                                                        \
	"[[\"CUSTOMERS\",\"SALES\",\"CORE\",\"TABLE\",\"people, \\\"ours\\\"\"],"                                      \
	"[\"Orders 2024\",\"SALES\",\"CORE\",\"TABLE\",null],"                                                         \
	"[\"CUSTOMER_SUMS\",\"SALES\",\"PUBLIC\",\"MATERIALIZED VIEW\",\"\"],"                                         \
	"[\"COLUMNS\",\"SALES\",\"INFORMATION_SCHEMA\",\"VIEW\",\"\"],"                                                \
	"[\"CUSTOMERS\",\"OPS\",\"CORE\",\"TABLE\",\"not asked for\"]]"
#define COLUMNS                                                                                                        \
	"[[\"CUSTOMERS\",\"CORE\",\"ID\",\"{\\\"type\\\":\\\"FIXED\\\",\\\"precision\\\":38,\\\"scale\\\":0}\",\"\","  \
	"\"SALES\"],"                                                                                                  \
	"[\"CUSTOMERS\",\"CORE\",\"EMAIL\",\"{\\\"type\\\":\\\"TEXT\\\",\\\"length\\\":16777216}\",\"to write to\","   \
	"\"SALES\"],"                                                                                                  \
	"[\"CUSTOMERS\",\"CORE\",\"SINCE\",\"{\\\"type\\\":\\\"DATE\\\"}\",\"\",\"SALES\"],"                           \
	"[\"COLUMNS\",\"INFORMATION_SCHEMA\",\"COLUMN_NAME\",\"{\\\"type\\\":\\\"TEXT\\\",\\\"length\\\":9}\",\"\","   \
	"\"SALES\"]]"

static const char *const sales[] = {"SALES"}, *const two[] = {"SALES", "HR"}, *const hr[] = {"HR"};

static int set_up(void **state)
{
	thread_play(THREAD_NET);
	help_set_up(state);
	texts_set(&policy.databases, 1, sales);
	return 0;
}

static struct call *searching(const char *arguments)
{
	return help_plan("search_catalog", arguments);
}

/* The three SHOWs of SALES are answered, wherever they are in the plan. */
static void sales_shown(struct call *c)
{
	for (size_t i = 0; i < c->plan_n; i++) {
		if (strstr(c->plan[i].sql, "SHOW SCHEMAS IN DATABASE \"SALES\""))
			help_rows_text(c, i, "name,database_name,comment", SCHEMAS);
		else if (strstr(c->plan[i].sql, "SHOW OBJECTS IN DATABASE \"SALES\""))
			help_rows_text(c, i, "name,database_name,schema_name,kind,comment", OBJECTS);
		else if (strstr(c->plan[i].sql, "SHOW COLUMNS IN DATABASE \"SALES\""))
			help_rows_text(c, i, "table_name,schema_name,column_name,data_type,comment,database_name",
				       COLUMNS);
	}
}

/* Its answer as the client gets it. Ends the call. */
static void told(struct call *c, const char *const *has, const char *const *has_not)
{
	const char *text;

	help_answered(c);
	text = buf_text(&c->answer.text);
	for (; has && *has; has++)
		if (!strstr(text, *has))
			fail_msg("\"%s\" lacks \"%s\"", text, *has);
	for (; has_not && *has_not; has_not++)
		if (strstr(text, *has_not))
			fail_msg("\"%s\" has \"%s\"", text, *has_not);
	call_free(c);
}
#define HAS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Without a policy of databases: what there is is listed. */
static void sales_known_and_listed(void)
{
	struct call *c = searching("{\"words\":\"x\"}");

	assert_int_equal(c->plan_n, 4);
	help_rows_text(c, 0, "name,comment", "[[\"SALES\",\"\"]]");
	sales_shown(c);
	help_answered(c);
	assert_false(c->answer.is_error);
	call_free(c);
}

static void sales_known(void)
{
	struct call *c = searching("{\"words\":\"x\"}");

	assert_int_equal(c->plan_n, 3);
	sales_shown(c);
	help_answered(c);
	assert_false(c->answer.is_error);
	call_free(c);
}

static void test_fills_with_show_and_no_warehouse(void **state)
{
	struct call *c = searching("{\"words\":\"customer\"}");

	(void)state;
	assert_int_equal(c->plan_n, 3);
	assert_string_equal(c->plan[0].sql, "SHOW SCHEMAS IN DATABASE \"SALES\"");
	assert_string_equal(c->plan[1].sql, "SHOW OBJECTS IN DATABASE \"SALES\"");
	assert_string_equal(c->plan[2].sql, "SHOW COLUMNS IN DATABASE \"SALES\"");
	for (size_t i = 0; i < c->plan_n; i++) {
		assert_true(c->plan[i].metadata);
		assert_null(c->plan[i].context.warehouse);
		assert_null(c->plan[i].context.database);
		assert_string_equal(c->plan[i].context.role, "ANALYST");
	}
	sales_shown(c);
	told(c,
	     HAS("2 matches; index: 1 database, 3 tables and views, 3 columns, read 0 s ago; role ANALYST; 0.0 s\n"
		 "kind,name,type,comment\n"
		 "table,SALES.CORE.CUSTOMERS,TABLE,\"people, \"\"ours\"\"\"\n"
		 "view,SALES.PUBLIC.CUSTOMER_SUMS,MATERIALIZED VIEW,\n"),
	     HAS("OPS", "INFORMATION_SCHEMA", "not read"));
}

static void test_names_are_quoted_and_types_are_sql(void **state)
{
	(void)state;
	sales_known();
	told(searching("{\"words\":\"2024\"}"), HAS("table,\"SALES.CORE.\"\"Orders 2024\"\"\",TABLE,\n"), NULL);
	told(searching("{\"words\":\"id\",\"kind\":\"column\"}"),
	     HAS("column,SALES.CORE.CUSTOMERS.ID,\"NUMBER(38,0)\",\n"), NULL);
	told(searching("{\"words\":\"email\"}"), HAS("SALES.CORE.CUSTOMERS.EMAIL,VARCHAR,to write to\n"), NULL);
}

static void test_kinds_limit_and_offset(void **state)
{
	(void)state;
	sales_known();
	told(searching("{\"words\":\"customer\",\"kind\":\"view\"}"), HAS("1 match;", "CUSTOMER_SUMS"), HAS("table,"));
	told(searching("{\"words\":\"customer\",\"limit\":1}"),
	     HAS("1 of 2 matches; next: the same call with offset=1;", "CUSTOMERS"), HAS("CUSTOMER_SUMS"));
	told(searching("{\"words\":\"customer\",\"limit\":1,\"offset\":1}"),
	     HAS("1 of 2 matches from match 1;", "CUSTOMER_SUMS"), HAS("CORE.CUSTOMERS", "next:"));
	told(searching("{\"words\":\"customer\",\"offset\":900}"), HAS("0 of 2 matches from match 900;"), NULL);
	told(searching("{\"words\":\"customers nothing\"}"), HAS("none with all of the words"), NULL);
	told(searching("{\"words\":\"zzz\"}"), HAS("0 matches;"), HAS("none with"));
}

static void test_json_has_the_shape_of_rows(void **state)
{
	struct call *c;
	json_t *out;

	(void)state;
	sales_known();
	c = searching("{\"words\":\"customer\",\"limit\":1,\"format\":\"json\"}");
	help_answered(c);
	assert_int_equal(json_parse(buf_slice(&c->answer.structured), JSON_DEPTH_MAX, &out, NULL, 0), JSON_OK);
	assert_string_equal(buf_text(&c->answer.text), buf_text(&c->answer.structured));
	assert_int_equal(json_array_size(json_object_get(out, "columns")), 4);
	assert_int_equal(json_array_size(json_array_get(json_object_get(out, "rows"), 0)), 4);
	assert_int_equal(json_int_of(out, "rowCount", 0), 1);
	assert_int_equal(json_int_of(out, "totalRows", 0), 2);
	assert_int_equal(json_int_of(out, "nextOffset", 0), 1);
	assert_true(json_bool_of(out, "truncated", false));
	assert_true(json_bool_of(json_object_get(out, "index"), "complete", false));
	assert_string_equal(json_text_of(json_object_get(out, "context"), "role"), "ANALYST");
	json_decref(out);
	call_free(c);
}

/* ---- when it is read ---- */

static void test_it_is_read_once(void **state)
{
	struct call *c, *other;

	(void)state;
	sales_known();
	clock_advance(599 * USEC_PER_S);
	c = searching("{\"words\":\"email\"}");
	assert_int_equal(c->plan_n, 0);
	told(c, HAS("read 9 min ago"), NULL);
	clock_advance(USEC_PER_S);
	c = searching("{\"words\":\"email\"}");
	assert_int_equal(c->plan_n, 3);
	/* meanwhile others take what there is */
	other = searching("{\"words\":\"email\"}");
	assert_int_equal(other->plan_n, 0);
	told(other, HAS("1 match;", "read 10 min ago"), NULL);
	sales_shown(c);
	told(c, HAS("1 match;", "read 0 s ago"), NULL);
}

static void test_what_is_not_there_yet_is_said(void **state)
{
	struct call *c, *other;

	(void)state;
	texts_set(&policy.databases, 2, two);
	c = searching("{\"words\":\"customer\"}");
	assert_int_equal(c->plan_n, 6);
	other = searching("{\"words\":\"customer\"}");
	assert_int_equal(other->plan_n, 0);
	told(other,
	     HAS("0 matches; index: 2 databases, 0 tables and views, 0 columns, nothing read yet; not read to the end: "
		 "SALES and 1 more (another call is reading)"),
	     NULL);
	sales_shown(c); /* and the rest was never executed */
	told(c, HAS("2 matches;", "not read to the end: HR (the same search again reads on)"), NULL);
	c = searching("{\"words\":\"customer\",\"database\":\"HR\"}");
	assert_int_equal(c->plan_n, 3);
	assert_string_equal(c->plan[0].sql, "SHOW SCHEMAS IN DATABASE \"HR\"");
	for (size_t i = 0; i < 3; i++)
		help_rows_text(c, i, "name,schema_name,column_name", "[]");
	told(c, HAS("0 matches; index: 1 database, 0 tables"), HAS("SALES", "not read"));
}

/* What one SHOW does not hold is read schema by schema, and objects page by page. */
static void test_more_than_one_show_gives(void **state)
{
	struct call *c = searching("{\"words\":\"t00007\"}");
	json_t *rows = json_array();

	(void)state;
	for (int i = 0; i < 10000; i++)
		json_array_append_new(rows, json_pack("[o,s,s]", json_sprintf("T%05d", i), "CORE", "TABLE"));
	help_rows_text(c, 0, "name", "[[\"CORE\"],[\"PUBLIC\"]]");
	help_rows_text(c, 2, "column_name,table_name,schema_name", "[]");
	help_rows(c, 1, "name,schema_name,kind", json_incref(rows));
	told(c, HAS("table,SALES.CORE.T00007,TABLE", "not read to the end: SALES (the same search again reads on)"),
	     NULL);
	c = searching("{\"words\":\"t00007\"}");
	assert_int_equal(c->plan_n, 2);
	assert_string_equal(c->plan[0].sql, "SHOW OBJECTS IN SCHEMA \"SALES\".\"CORE\" LIMIT 10000");
	assert_string_equal(c->plan[1].sql, "SHOW OBJECTS IN SCHEMA \"SALES\".\"PUBLIC\" LIMIT 10000");
	help_rows(c, 0, "name,schema_name,kind", rows);
	help_rows_text(c, 1, "name,schema_name,kind", "[[\"P\",\"PUBLIC\",\"TABLE\"]]");
	told(c, HAS("1 match;", "not read to the end"), NULL);
	c = searching("{\"words\":\"t10001\"}");
	assert_int_equal(c->plan_n, 1);
	assert_string_equal(c->plan[0].sql, "SHOW OBJECTS IN SCHEMA \"SALES\".\"CORE\" LIMIT 10000 FROM 'T09999'");
	help_rows_text(c, 0, "name,schema_name,kind", "[[\"T10001\",\"CORE\",\"TABLE\"]]");
	told(c, HAS("table,SALES.CORE.T10001,TABLE"), NULL);
	c = searching("{\"words\":\"x\"}");
	assert_int_equal(c->plan_n, 1);
	assert_string_equal(c->plan[0].sql, "SHOW OBJECTS IN SCHEMA \"SALES\".\"PUBLIC\" LIMIT 10000");
	help_rows_text(c, 0, "name,schema_name,kind", "[[\"P\",\"PUBLIC\",\"TABLE\"]]");
	told(c, HAS("index: 1 database, 10002 tables and views"), HAS("not read"));
}

static void test_databases_are_listed_without_a_policy_of_them(void **state)
{
	struct call *c;

	(void)state;
	policy.databases = (struct texts){0};
	c = searching("{\"words\":\"customer\"}");
	assert_int_equal(c->plan_n, 4);
	assert_string_equal(c->plan[0].sql, "SHOW DATABASES");
	assert_string_equal(c->plan[1].sql, "SHOW SCHEMAS IN DATABASE \"SALES\"");
	help_rows_text(c, 0, "name,comment", "[[\"SALES\",\"\"],[\"HR\",\"\"]]");
	sales_shown(c);
	told(c, HAS("2 matches;", "index: 2 databases", "not read to the end: HR"), NULL);
}

static void test_failures(void **state)
{
	struct call *c = searching("{\"words\":\"customer\"}");

	(void)state;
	help_failed(c, 0, ERR_UPSTREAM, NULL, "connection refused");
	help_answered(c);
	assert_true(c->answer.is_error);
	assert_non_null(strstr(buf_text(&c->answer.text), "connection refused"));
	call_free(c);
	/* what could not be asked is asked again; what was refused is not, and the rest serves */
	texts_set(&policy.databases, 2, two);
	c = searching("{\"words\":\"customer\"}");
	assert_int_equal(c->plan_n, 6);
	sales_shown(c);
	help_failed(c, 3, ERR_SQL, "002043", "not authorized");
	told(c, HAS("2 matches;", "refused by Snowflake (002043): HR"), NULL);
	c = searching("{\"words\":\"customer\"}");
	assert_int_equal(c->plan_n, 2); /* objects and columns of HR were not tried */
	call_free(c);
}

static void test_a_call_that_never_ran_leaves_nothing_behind(void **state)
{
	struct call *c = searching("{\"words\":\"customer\"}");

	(void)state;
	c->fault = (struct mcp_fault){ERR_CONCURRENCY, "too many", NULL};
	c->handler->settle(c);
	assert_int_equal(c->answer.text.n, 0);
	call_free(c);
	sales_known();
	/* nor one whose index is gone when it comes home */
	clock_advance(600 * USEC_PER_S);
	c = searching("{\"words\":\"customer\"}");
	sales_shown(c);
	c->handler->answer(c);
	tools_reloaded();
	c->handler->settle(c);
	assert_non_null(strstr(buf_text(&c->answer.text), "nothing read yet"));
	call_free(c);
	sales_known();
}

/* ---- borders ---- */

static void test_the_policy_is_the_border(void **state)
{
	(void)state;
	texts_set(&policy.databases, 2, two);
	help_refused("search_catalog", "{\"words\":\"x\",\"database\":\"OPS\"}", ERR_POLICY, "OPS");
	help_refused("search_catalog", "{\"words\":\"x\",\"database\":\"a b\"}", ERR_INVALID_PARAMS, "identifier");
}

/* A large request is planned on another thread than the index's. */
static void test_large_requests_are_refused(void **state)
{
	struct call *c = help_call("search_catalog", "{\"words\":\"x\"}");

	(void)state;
	c->request->body.n = CALL_LARGE + 1;
	assert_int_equal(c->handler->plan(c), ERR_INVALID_PARAMS);
	c->request->body.n = 0;
	c->handler->settle(c);
	assert_non_null(strstr(buf_text(&c->answer.text), "64 KiB"));
	call_free(c);
}

/* Another policy's databases, another role, another Snowflake user, another account: each an index of its own. */
static void test_indexes_are_apart(void **state)
{
	static const char *const roles[] = {"ANALYST", "AUDITOR"};
	static const struct connection_user users[] = {{"alice", "ALICE"}, {"bob", "BOB"}};
	struct connection each = connection;
	struct call *c;

	(void)state;
	texts_set(&policy.roles, 2, roles);
	sales_known();
	c = help_call("search_catalog", "{\"words\":\"customers\"}");
	c->context.role = "AUDITOR";
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_int_equal(c->plan_n, 3);
	assert_string_equal(c->plan[0].context.role, "AUDITOR");
	told(c, NULL, HAS("CUSTOMERS,"));
	texts_set(&policy.databases, 1, hr);
	c = help_call("search_catalog", "{\"words\":\"customers\"}");
	c->context.database = c->context.schema = NULL;
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_int_equal(c->plan_n, 3);
	assert_string_equal(c->plan[0].sql, "SHOW SCHEMAS IN DATABASE \"HR\"");
	for (size_t i = 0; i < 3; i++)
		help_rows_text(c, i, "name,schema_name,column_name", "[]");
	told(c, HAS("index: 1 database, 0 tables"), HAS("SALES."));
	texts_set(&policy.databases, 1, sales);
	each.auth = CONNECTION_EXTERNAL;
	each.users = users;
	each.users_n = ARRAY_LEN(users);
	connection_identify(&each);
	policy.connection = &each;
	sales_known();
	c = help_call("search_catalog", "{\"words\":\"customers\"}");
	snprintf(c->request->principal.subject, sizeof c->request->principal.subject, "bob");
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_int_equal(c->plan_n, 3);
	told(c, NULL, HAS("CUSTOMERS,"));
	policy.connection = &connection;
	c = searching("{\"words\":\"customers\"}");
	assert_int_equal(c->plan_n, 0);
	call_free(c);
}

/* Who has no Snowflake user has no names to look through, and is told so. */
static void test_no_snowflake_user(void **state)
{
	static const struct connection_user users[] = {{"alice", "ALICE"}};
	struct connection each = connection;

	(void)state;
	each.auth = CONNECTION_EXTERNAL;
	each.user = NULL;
	each.users = users;
	each.users_n = ARRAY_LEN(users);
	connection_identify(&each);
	policy.connection = &each;
	for (int token = 0; token < 2; token++) {
		struct call *c = help_call("search_catalog", "{\"words\":\"x\"}");

		c->request->principal.kind = token ? PRINCIPAL_TOKEN : PRINCIPAL_KEY;
		snprintf(c->request->principal.subject, sizeof c->request->principal.subject, "carol");
		assert_int_equal(c->handler->plan(c), ERR_UPSTREAM_AUTH);
		assert_non_null(
		    strstr(buf_text(&c->answer.text), token ? "issuer" : "carol has no Snowflake user there"));
		assert_null(strstr(buf_text(&c->answer.text), "too large"));
		call_free(c);
	}
	policy.connection = &connection;
}

/* ---- statements that change ---- */

static struct call *executed(const char *sql, unsigned class)
{
	struct buf arguments = buf_with_ceiling(2048);
	struct call *c;

	policy.statements |= class;
	policy.confirm = CONFIRM_NEVER;
	buf_adds(&arguments, "{\"query\":");
	json_write_string(&arguments, sql, strlen(sql));
	buf_addc(&arguments, '}');
	c = help_plan("execute_query", buf_text(&arguments));
	buf_free(&arguments);
	return c;
}

static void test_ddl_makes_it_stale(void **state)
{
	static const struct {
		const char *sql;
		unsigned class;
		enum statement_state state;
		size_t shows;
	} cases[] = {
	    {"CREATE TABLE t (n INT)", CLASS_DDL, STATEMENT_SUCCEEDED, 3},
	    {"CREATE TABLE t (n INT)", CLASS_DDL, STATEMENT_FAILED, 0},
	    {"DROP TABLE SALES.CORE.CUSTOMERS", CLASS_DDL, STATEMENT_SUCCEEDED, 3},
	    {"DROP TABLE HR.CORE.CUSTOMERS", CLASS_DDL, STATEMENT_SUCCEEDED, 0},
	    {"CREATE TABLE t (n INT)", CLASS_DDL, STATEMENT_UNKNOWN, 3},
	    {"DROP SCHEMA CORE", CLASS_DDL, STATEMENT_SUCCEEDED, 3},
	    {"INSERT INTO CUSTOMERS SELECT 1", CLASS_DML, STATEMENT_SUCCEEDED, 0},
	    {"GRANT SELECT ON TABLE t TO ROLE r", CLASS_DCL, STATEMENT_SUCCEEDED, 3},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct call *c;

		tools_reloaded();
		sales_known();
		texts_set(&policy.databases, 0, NULL);
		c = executed(cases[i].sql, cases[i].class);
		c->plan[0].state = cases[i].state;
		assert_false(tools_settle(c, true));
		call_free(c);
		texts_set(&policy.databases, 1, sales);
		c = searching("{\"words\":\"x\"}");
		if (c->plan_n != cases[i].shows)
			fail_msg("%s: %zu", cases[i].sql, c->plan_n);
		call_free(c);
	}
}

/* ---- did you mean ---- */

static struct call *failing(const char *sql, const char *code, const char *message)
{
	struct call *c = executed(sql, 0);

	help_failed(c, 0, ERR_SQL, code, message);
	c->handler->answer(c);
	assert_true(c->answer.is_error);
	return c;
}

#define MISSING(name) "SQL compilation error:\nObject '" name "' does not exist or not authorized."
#define INVALID(name) "SQL compilation error: error line 1 at position 7\ninvalid identifier '" name "'"

static void test_did_you_mean(void **state)
{
	static const struct {
		const char *sql, *code, *message, *hint; /* NULL: none */
	} cases[] = {
	    {"SELECT * FROM CUSTOMER", "002003", MISSING("CUSTOMER"), "Did you mean SALES.CORE.CUSTOMERS"},
	    {"SELECT * FROM CUSTOMERS", "002003", MISSING("CUSTOMERS"), "Did you mean SALES.CORE.CUSTOMERS"},
	    {"SELECT * FROM PUBLIC.CUSTOMERS", "002003", MISSING("PUBLIC.CUSTOMERS"), "mean SALES.CORE.CUSTOMERS"},
	    {"SELECT * FROM SALES.PUBLIC.CUSTOMRS", "002003", MISSING("SALES.PUBLIC.CUSTOMRS"), "SALES.CORE.CUSTOMERS"},
	    {"SELECT * FROM \"customers\"", "002003", MISSING("\"customers\""), "Did you mean SALES.CORE.CUSTOMERS"},
	    {"SELECT * FROM COER.T", "002003", "Schema 'SALES.COER' does not exist or not authorized.", "SALES.CORE?"},
	    {"SELECT * FROM ZEBRAS", "002003", MISSING("ZEBRAS"), NULL},
	    {"SELECT * FROM COLUMN", "002003", MISSING("COLUMN"), NULL},
	    {"SELECT EMIAL FROM CORE.CUSTOMERS", "000904", INVALID("EMIAL"),
	     "Did you mean EMAIL of SALES.CORE.CUSTOMERS?"},
	    {"SELECT C.EMIAL FROM CORE.CUSTOMERS C", "000904", INVALID("C.EMIAL"), "EMAIL of SALES.CORE.CUSTOMERS?"},
	    {"SELECT EMIAL FROM OTHER", "000904", INVALID("EMIAL"), NULL},
	    {"SELECT 1", "391918", "the database", "Did you mean SALES?"},
	    {"SELECT 1", "001003", "syntax error 'CUSTOMER'", NULL},
	    {"SELECT 1", "002003", "no name here", NULL},
	};

	(void)state;
	sales_known();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct call *c;
		const char *text;

		texts_set(&policy.databases, 1, sales);
		c = failing("SELECT 1", cases[i].code, cases[i].message);
		c->plan[0].sql = cases[i].sql;
		if (strcmp(cases[i].code, "391918") == 0)
			c->plan[0].context.database = "SALE";
		assert_false(tools_settle(c, false));
		text = strstr(buf_text(&c->answer.text), "Did you mean");
		if ((text != NULL) != (cases[i].hint != NULL) || (text && !strstr(text, cases[i].hint)))
			fail_msg("%s: %s", cases[i].message, buf_text(&c->answer.text));
		assert_true(c->answer.is_error);
		call_free(c);
	}
}

/* Where the index has not begun: one SHOW, no more, then the error as it was, with what was found. */
static void test_one_show_for_an_error(void **state)
{
	struct call *c = failing("SELECT * FROM CUSTOMER", "002003", MISSING("CUSTOMER"));
	char before[1000];

	(void)state;
	snprintf(before, sizeof before, "%s", buf_text(&c->answer.text));
	assert_true(tools_settle(c, true));
	assert_int_equal(c->plan_n, 2);
	assert_int_equal(c->plan_at, 1);
	assert_string_equal(c->plan[1].sql, "SHOW OBJECTS IN DATABASE \"SALES\"");
	sales_shown(c);
	c->handler->answer(c);
	assert_false(tools_settle(c, true));
	assert_true(c->answer.is_error);
	assert_memory_equal(buf_text(&c->answer.text), before, strlen(before));
	assert_non_null(strstr(buf_text(&c->answer.text), "\nDid you mean SALES.CORE.CUSTOMERS or SALES.PUBLIC.CUST"));
	call_free(c);
	/* a column's table is another SHOW; where it fails, nothing is lost */
	c = failing("SELECT EMIAL FROM CUSTOMERS", "000904", INVALID("EMIAL"));
	assert_true(tools_settle(c, true));
	assert_string_equal(c->plan[1].sql, "SHOW COLUMNS IN DATABASE \"SALES\"");
	help_failed(c, 1, ERR_UPSTREAM, NULL, "gone");
	c->handler->answer(c);
	assert_false(tools_settle(c, true));
	assert_true(c->answer.is_error);
	assert_null(strstr(buf_text(&c->answer.text), "Did you mean"));
	assert_null(strstr(buf_text(&c->answer.text), "gone"));
	call_free(c);
}

static void test_when_no_show_is_sent(void **state)
{
	struct call *c = failing("SELECT * FROM CUSTOMER", "002003", MISSING("CUSTOMER"));

	(void)state;
	assert_false(tools_settle(c, false)); /* no slot, or nobody waits */
	call_free(c);
	c = failing("SELECT * FROM CUSTOMER", "001003", "syntax error");
	assert_false(tools_settle(c, true));
	call_free(c);
	c = failing("SELECT * FROM CUSTOMER", "002003", MISSING("CUSTOMER"));
	c->plan[0].write = true;
	assert_false(tools_settle(c, true));
	call_free(c);
	c = failing("SELECT * FROM CUSTOMER", "002003", MISSING("CUSTOMER"));
	c->answered = true;
	assert_false(tools_settle(c, true));
	call_free(c);
	c = failing("SELECT * FROM CUSTOMER", "002003", MISSING("CUSTOMER"));
	policy.statements = CLASS_READ;
	assert_false(tools_settle(c, true));
	call_free(c);
}

/* A database that somebody asked for, and that Snowflake does not show, is no news for others. */
static void test_refused_questions_stay_with_who_asks(void **state)
{
	struct call *c;

	(void)state;
	policy.databases = (struct texts){0};
	sales_known_and_listed();
	for (int i = 0; i < 2; i++) { /* the second time it is known */
		c = searching("{\"words\":\"customer\",\"database\":\"PROJECT_X\"}");
		if (c->plan_n)
			help_failed(c, 0, ERR_SQL, "002043", "does not exist or not authorized");
		help_answered(c);
		if (i == 0)
			assert_true(c->answer.is_error);
		call_free(c);
		told(searching("{\"words\":\"customer\"}"), HAS("2 matches; index: 1 database"),
		     HAS("PROJECT_X", "refused", "not read"));
	}
	c = failing("SELECT 1", "391918", "the database");
	c->plan[0].context.database = "PROJECT_Y";
	assert_false(tools_settle(c, false));
	assert_null(strstr(buf_text(&c->answer.text), "PROJECT_X"));
	call_free(c);
}

/* Names that another policy has read under the same user, role and databases. */
static void test_no_hint_where_the_policy_forbids_metadata(void **state)
{
	struct call *c;

	(void)state;
	sales_known();
	c = failing("SELECT * FROM CUSTOMER", "002003", MISSING("CUSTOMER"));
	policy.statements = CLASS_READ;
	assert_false(tools_settle(c, true));
	assert_null(strstr(buf_text(&c->answer.text), "Did you mean"));
	call_free(c);
}

/* GET /results, resources and completion are no tools: nothing is sent behind them, whatever they say. */
static void test_only_tools_are_hinted(void **state)
{
	struct call *c;

	(void)state;
	c = failing("SELECT * FROM CUSTOMER", "002003", MISSING("CUSTOMER"));
	c->tool = NULL;
	assert_false(tools_settle(c, true));
	assert_int_equal(c->plan_n, 1);
	call_free(c);
}

static void test_the_show_behind_an_error_is_short(void **state)
{
	struct call *c = failing("SELECT * FROM CUSTOMER", "002003", MISSING("CUSTOMER"));

	(void)state;
	assert_true(tools_settle(c, true));
	assert_true(c->plan[1].metadata);
	assert_int_equal(c->plan[1].timeout_s, 5);
	call_free(c);
}

/* The names of one role are no hint for another. */
static void test_hints_stay_with_the_role(void **state)
{
	static const char *const roles[] = {"ANALYST", "AUDITOR"};
	struct call *c;

	(void)state;
	texts_set(&policy.roles, 2, roles);
	sales_known();
	c = failing("SELECT * FROM CUSTOMER", "002003", MISSING("CUSTOMER"));
	c->plan[0].context.role = "AUDITOR";
	assert_false(tools_settle(c, false));
	assert_null(strstr(buf_text(&c->answer.text), "Did you mean"));
	call_free(c);
	c = failing("SELECT 1", "002003", MISSING("CUSTOMER"));
	texts_set(&policy.databases, 1, hr);
	assert_false(tools_settle(c, false));
	assert_null(strstr(buf_text(&c->answer.text), "Did you mean"));
	call_free(c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, help_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_fills_with_show_and_no_warehouse),
	    TEST(test_names_are_quoted_and_types_are_sql),
	    TEST(test_kinds_limit_and_offset),
	    TEST(test_json_has_the_shape_of_rows),
	    TEST(test_it_is_read_once),
	    TEST(test_what_is_not_there_yet_is_said),
	    TEST(test_more_than_one_show_gives),
	    TEST(test_databases_are_listed_without_a_policy_of_them),
	    TEST(test_failures),
	    TEST(test_a_call_that_never_ran_leaves_nothing_behind),
	    TEST(test_the_policy_is_the_border),
	    TEST(test_large_requests_are_refused),
	    TEST(test_indexes_are_apart),
	    TEST(test_ddl_makes_it_stale),
	    TEST(test_did_you_mean),
	    TEST(test_one_show_for_an_error),
	    TEST(test_when_no_show_is_sent),
	    TEST(test_hints_stay_with_the_role),
	    TEST(test_no_snowflake_user),
	    TEST(test_refused_questions_stay_with_who_asks),
	    TEST(test_no_hint_where_the_policy_forbids_metadata),
	    TEST(test_only_tools_are_hinted),
	    TEST(test_the_show_behind_an_error_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
