/* The toolset cortex: which services a caller has, what is asked of them, and what becomes of their answers. */
#include "help.h"

#include "snowgate/sse.h"

static const char *const columns[] = {"SUBJECT", "BODY"};
static const struct cortex_service services[] = {
    {CORTEX_SEARCH, "tickets", "Support tickets", "SALES", "PUBLIC", "TICKETS", NULL, {2, columns}, 4, NULL},
    {CORTEX_SEARCH, "files", "", "HR", "My s", "F/1", NULL, {0, NULL}, 10, NULL},
    {CORTEX_ANALYST, "revenue", "Revenue by region", "SALES", "PUBLIC", "REVENUE", NULL, {0, NULL}, 0, NULL},
    {CORTEX_ANALYST, "stock", "", "HR", "PUBLIC", "MODELS", "@HR.PUBLIC.MODELS/stock.yaml", {0, NULL}, 0, NULL},
    {CORTEX_AGENT, "helper", "", "SALES", "PUBLIC", "HELPER", NULL, {0, NULL}, 0, NULL},
};
static const char *const all[] = {"tickets", "files", "revenue", "stock", "helper"};
static const char *const sales[] = {"SALES"}, *const hr[] = {"HR"};

static int set_up(void **state)
{
	help_set_up(state);
	policy.toolsets = TOOLSET_CORTEX;
	texts_set(&policy.cortex, ARRAY_LEN(all), all); /* an agent is always named */
	conf.cortex = services;
	conf.cortex_n = ARRAY_LEN(services);
	conf.cortex_timeout = 120 * USEC_PER_S;
	return 0;
}

/* Statement 0 has been answered with this. */
static void answered(struct call *c, const char *json)
{
	c->plan[0].state = STATEMENT_SUCCEEDED;
	c->plan[0].raw = buf_with_ceiling(1 << 20);
	buf_adds(&c->plan[0].raw, json);
}

static void check_text(struct call *c, const char *text)
{
	c->handler->answer(c);
	assert_false(c->answer.is_error);
	assert_string_equal(buf_text(&c->answer.text), text);
	call_free(c);
}

static void check_error(struct call *c, const char *code, const char *says)
{
	assert_true(c->answer.is_error);
	assert_string_equal(json_text_of(json_object_get(c->answer.meta, "snowgate/error"), "code"), code);
	if (!strstr(buf_text(&c->answer.text), says))
		fail_msg("\"%s\" lacks \"%s\"", buf_text(&c->answer.text), says);
	call_free(c);
}

/* ---- who has what ---- */

static json_t *enum_of(const char *tool)
{
	json_t *list = tools_listed(&conf, &policy, false), *found = NULL, *definition;
	size_t i;

	json_array_foreach(list, i, definition)
	{
		json_t *schema = json_object_get(definition, "inputSchema");

		if (strcmp(json_text_of(definition, "name"), tool) == 0)
			found = json_incref(json_object_get(
			    json_object_get(json_object_get(schema, "properties"), "service_name"), "enum"));
	}
	json_decref(list);
	return found;
}

static void check_enum(const char *tool, const char *want)
{
	json_t *found = enum_of(tool);
	struct buf b = buf_with_ceiling(1000);

	if (found)
		json_write(&b, found);
	assert_string_equal(buf_text(&b), want);
	buf_free(&b);
	json_decref(found);
}

static void test_listed(void **state)
{
	static const char *const one[] = {"files"};

	(void)state;
	check_enum("cortex_search", "[\"tickets\",\"files\"]");
	check_enum("cortex_analyst", "[\"revenue\",\"stock\"]");
	check_enum("cortex_agent", "[\"helper\"]");
	texts_set(&policy.databases, 1, hr);
	check_enum("cortex_search", "[\"files\"]");
	check_enum("cortex_analyst", "[\"stock\"]");
	check_enum("cortex_agent", ""); /* not listed */
	texts_set(&policy.databases, 0, NULL);
	texts_set(&policy.cortex, 0, NULL);
	check_enum("cortex_search", "[\"tickets\",\"files\"]");
	check_enum("cortex_agent", "");
	help_refused("cortex_agent", "{\"service_name\":\"helper\",\"query\":\"x\"}", ERR_POLICY, "no service");
	texts_set(&policy.cortex, 1, one);
	check_enum("cortex_search", "[\"files\"]");
	check_enum("cortex_analyst", "");
}

static void test_described(void **state)
{
	json_t *list = tools_listed(&conf, &policy, false), *tool;
	bool found = false;
	size_t i;

	(void)state;
	json_array_foreach(list, i, tool) if (strcmp(json_text_of(tool, "name"), "cortex_search") == 0)
	{
		found = true;
		assert_non_null(
		    strstr(json_text_of(tool, "description"), "Services: tickets (Support tickets), files."));
	}
	assert_true(found);
	json_decref(list);
}

/* However many services there are: as many as fit. */
static void test_many_services(void **state)
{
	static struct cortex_service many[30];
	static char description[1001];
	json_t *list, *tool;
	size_t i;

	(void)state;
	memset(description, 'd', 1000);
	for (i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct cortex_service){CORTEX_SEARCH, all[i % 2], description, "SALES", "P",
						  "T",           NULL,       {0, NULL},   1,       NULL};
	conf.cortex = many;
	conf.cortex_n = ARRAY_LEN(many);
	list = tools_listed(&conf, &policy, false);
	json_array_foreach(list, i, tool) if (strcmp(json_text_of(tool, "name"), "cortex_search") == 0)
	    assert_non_null(strstr(json_text_of(tool, "description"), " and 26 more."));
	json_decref(list);
}

static void test_border(void **state)
{
	(void)state;
	texts_set(&policy.databases, 1, sales);
	help_refused("cortex_search", "{\"service_name\":\"files\",\"query\":\"x\"}", ERR_POLICY,
		     "no service files; there are: tickets");
	help_refused("cortex_analyst", "{\"service_name\":\"stock\",\"query\":\"x\"}", ERR_POLICY,
		     "no service stock; there are: revenue");
	help_refused(
	    "cortex_search",
	    "{\"service_name\":\"tickets\",\"query\":\"x\",\"database_name\":\"HR\",\"schema_name\":\"PUBLIC\"}",
	    ERR_POLICY, "service tickets lies in SALES.PUBLIC");
	texts_set(&policy.cortex, 1, &services[0].name);
	help_refused("cortex_agent", "{\"service_name\":\"helper\",\"query\":\"x\"}", ERR_POLICY,
		     "no service is offered here");
	/* an analyst is no search service */
	help_refused("cortex_search", "{\"service_name\":\"revenue\",\"query\":\"x\"}", ERR_POLICY,
		     "no service revenue");
}

/* ---- search ---- */

static void check_request(const char *tool, const char *arguments, const char *path, const char *body)
{
	struct call *c = help_plan(tool, arguments);
	const struct statement *s = &c->plan[0];

	assert_int_equal(c->plan_n, 1);
	assert_int_equal(s->kind, STATEMENT_REST);
	assert_string_equal(s->path, path);
	assert_string_equal(s->body, body);
	assert_string_equal(s->context.role, "ANALYST");
	assert_false(s->write);
	assert_int_equal(c->deadline, clock_now() + 120 * USEC_PER_S);
	call_free(c);
}

static void test_search_asks(void **state)
{
	(void)state;
	check_request("cortex_search", "{\"service_name\":\"tickets\",\"query\":\"late\\n\\\"x\\\"\"}",
		      "/api/v2/databases/SALES/schemas/PUBLIC/cortex-search-services/TICKETS:query",
		      "{\"query\":\"late\\n\\\"x\\\"\",\"limit\":4,\"columns\":[\"SUBJECT\",\"BODY\"]}");
	check_request("cortex_search",
		      "{\"service_name\":\"files\",\"query\":\"x\",\"columns\":[\"A\"],\"limit\":2,"
		      "\"filter\":{\"@eq\":{\"R\":\"EU\"}}}",
		      "/api/v2/databases/HR/schemas/%22My%20s%22/cortex-search-services/%22F%2F1%22:query",
		      "{\"query\":\"x\",\"limit\":2,\"columns\":[\"A\"],\"filter\":{\"@eq\":{\"R\":\"EU\"}}}");
	/* as the official server has it */
	check_request(
	    "cortex_search",
	    "{\"service_name\":\"files\",\"database_name\":\"hr\",\"schema_name\":\"\\\"My s\\\"\",\"query\":\"x\","
	    "\"columns\":[],\"filter_query\":{\"@eq\":{\"R\":1}},\"limit\":10}",
	    "/api/v2/databases/HR/schemas/%22My%20s%22/cortex-search-services/%22F%2F1%22:query",
	    "{\"query\":\"x\",\"limit\":10,\"filter\":{\"@eq\":{\"R\":1}}}");
}

#define SEARCH "{\"service_name\":\"files\",\"query\":\"x\"}"

static void test_search_answers(void **state)
{
	struct call *c = help_plan("cortex_search", SEARCH);

	(void)state;
	answered(c, "{\"results\":[{\"DOC\":\"late, again\",\"TS\":\"2025-01-01\",\"@scores\":{\"cosine\":0.5}},"
		    "{\"TS\":null,\"DOC\":\"\",\"N\":7,\"TAGS\":[\"a\",\"b\"]}],\"request_id\":\"r\"}");
	check_text(c, "2 results\nDOC,TS,N,TAGS\n\"late, again\",2025-01-01,,\n\"\",,7,\"[\"\"a\"\",\"\"b\"\"]\"\n");
	c = help_plan("cortex_search", SEARCH);
	answered(c, "{\"results\":[]}");
	check_text(c, "0 results. Try other words, or a filter that is less narrow.");
	c = help_plan("cortex_search", "{\"service_name\":\"files\",\"query\":\"x\",\"format\":\"json\"}");
	answered(c, "{\"results\":[{\"A\":\"t\",\"N\":1.5}]}");
	c->handler->answer(c);
	assert_string_equal(buf_text(&c->answer.structured),
			    "{\"columns\":[{\"name\":\"A\",\"type\":\"TEXT\",\"nullable\":true},"
			    "{\"name\":\"N\",\"type\":\"VARIANT\",\"nullable\":true}],\"rows\":[[\"t\",1.5]],"
			    "\"rowCount\":1,\"totalRows\":1,\"truncated\":false}");
	assert_string_equal(buf_text(&c->answer.text), buf_text(&c->answer.structured));
	call_free(c);
}

static void test_search_fits_the_budget(void **state)
{
	struct buf json = buf_with_ceiling(1 << 20);
	struct call *c = help_plan("cortex_search", SEARCH);

	(void)state;
	buf_adds(&json, "{\"results\":[");
	for (int i = 0; i < 100; i++)
		buf_addf(&json, "%s{\"D\":\"%0*d\"}", i ? "," : "", 3000, i);
	buf_adds(&json, "]}");
	answered(c, buf_text(&json));
	buf_free(&json);
	c->handler->answer(c);
	assert_false(c->answer.is_error);
	assert_non_null(strstr(buf_text(&c->answer.text), "100 results, cut at size"));
	assert_non_null(strstr(buf_text(&c->answer.text), "long values cut"));
	assert_true(c->answer.text.n < 48 << 10);
	call_free(c);
}

static void failed(struct call *c, enum err err, const char *code, const char *message)
{
	c->plan[0].state = STATEMENT_FAILED;
	c->plan[0].failure = (struct failure){err, code, NULL, message};
	c->handler->answer(c);
}

static void test_failures(void **state)
{
	static const char *const broken[] = {"", "[]", "{", "<html>"};
	struct call *c = help_plan("cortex_search", SEARCH);

	(void)state;
	failed(c, ERR_SQL, "399111", "no such column");
	check_error(c, "399111", "Cortex Search: 399111: no such column\nCheck that the role");
	c = help_plan("cortex_analyst", "{\"service_name\":\"stock\",\"query\":\"x\"}");
	failed(c, ERR_UPSTREAM, NULL, "gone");
	check_error(c, "UPSTREAM", "Cortex Analyst: gone\nNothing is wrong with the question");
	c = help_plan("cortex_agent", "{\"service_name\":\"helper\",\"query\":\"x\"}");
	failed(c, ERR_TIMEOUT, NULL, "no answer within 120 s");
	check_error(c, "TIMEOUT", "cortex.timeout");
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		c = help_plan("cortex_search", SEARCH);
		answered(c, broken[i]);
		c->handler->answer(c);
		check_error(c, "UPSTREAM_ANSWER", "Cortex Search");
	}
}

/* ---- analyst ---- */

static void test_analyst_asks(void **state)
{
	(void)state;
	check_request("cortex_analyst", "{\"service_name\":\"revenue\",\"query\":\"how much?\"}",
		      "/api/v2/cortex/analyst/message",
		      "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"how much?\"}]}],"
		      "\"semantic_view\":\"SALES.PUBLIC.REVENUE\",\"stream\":false}");
	check_request(
	    "cortex_analyst",
	    "{\"service_name\":\"stock\",\"query\":\"q\",\"semantic_model\":\"@HR.PUBLIC.MODELS/stock.yaml\"}",
	    "/api/v2/cortex/analyst/message",
	    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"q\"}]}],"
	    "\"semantic_model_file\":\"@HR.PUBLIC.MODELS/stock.yaml\",\"stream\":false}");
}

#define ASK           "{\"service_name\":\"revenue\",\"query\":\"q\",\"limit\":3}"
#define ANALYSIS(sql) "{\"message\":{\"role\":\"analyst\",\"content\":[{\"type\":\"text\",\"text\":\"So:\"}," sql "]}}"
#define SQL(text)     "{\"type\":\"sql\",\"statement\":\"" text "\"}"

static void test_analyst_runs_its_sql(void **state)
{
	struct call *c = help_plan("cortex_analyst", ASK);

	(void)state;
	answered(c, ANALYSIS(SQL("SELECT 1 -- Generated by Cortex Analyst\\n;")));
	assert_int_equal(c->handler->more(c), ERR_OK);
	assert_int_equal(c->plan_n, 2);
	assert_int_equal(c->plan[1].kind, STATEMENT_RUN);
	assert_string_equal(c->plan[1].sql, "SELECT 1 -- Generated by Cortex Analyst");
	assert_string_equal(c->plan[1].context.warehouse, "WH_XS");
	assert_int_equal(c->plan[1].rows, 3);
	assert_false(c->plan[1].metadata || c->plan[1].write);
	assert_int_equal(c->deadline, clock_now() + 40 * USEC_PER_S);
	/* asked again at its end, there is nothing more */
	c->plan[1].state = STATEMENT_SUCCEEDED;
	assert_int_equal(c->handler->more(c), ERR_OK);
	assert_int_equal(c->plan_n, 2);
	c->handler->answer(c);
	assert_memory_equal(buf_text(&c->answer.text), "So:\nSQL: SELECT 1 -- Gen", 24);
	call_free(c);
}

/* The policy may allow writes: what Analyst wrote is a read, or it is not run. */
static void test_analyst_only_reads(void **state)
{
	static const char *const refused[] = {
	    ANALYSIS(SQL("DELETE FROM T")), ANALYSIS(SQL("SELECT 1; DELETE FROM T")), ANALYSIS(SQL("CALL P()")),
	    ANALYSIS(SQL("BEGIN")),         ANALYSIS(SQL("USE ROLE ACCOUNTADMIN")),   ANALYSIS(SQL("gibberish")),
	};

	(void)state;
	policy.statements = ~0u;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct call *c = help_plan("cortex_analyst", ASK);

		answered(c, refused[i]);
		assert_int_not_equal(c->handler->more(c), ERR_OK);
		assert_int_equal(c->plan_n, 1);
		check_error(c, "GUARD", "Cortex Analyst wrote this, and it was not run:\n");
	}
}

static void test_analyst_stays_within(void **state)
{
	struct call *c;

	(void)state;
	texts_set(&policy.databases, 1, sales);
	c = help_plan("cortex_analyst", ASK);
	answered(c, ANALYSIS(SQL("SELECT * FROM HR.PUBLIC.PAY")));
	assert_int_not_equal(c->handler->more(c), ERR_OK);
	assert_int_equal(c->plan_n, 1);
	check_error(c, "POLICY", "it was not run");
}

static void test_analyst_without_sql(void **state)
{
	struct call *c = help_plan("cortex_analyst", ASK);

	(void)state;
	answered(c,
		 "{\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"Unclear.\"},{\"type\":\"suggestions\","
		 "\"suggestions\":[\"A?\",\"B?\"]},{\"type\":\"new\"}]},\"warnings\":[{\"message\":\"old model\"}]}");
	assert_int_equal(c->handler->more(c), ERR_OK);
	assert_int_equal(c->plan_n, 1);
	check_text(c, "Unclear.\nBetter ask one of these:\n- A?\n- B?\n\nWarning: old model");
}

static void test_analyst_warns_in_json_too(void **state)
{
	struct call *c =
	    help_plan("cortex_analyst", "{\"service_name\":\"revenue\",\"query\":\"q\",\"format\":\"json\"}");
	struct buf json = buf_with_ceiling(1 << 20);

	(void)state;
	buf_addf(&json,
		 "{\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"%0300000d\"}," SQL(
		     "SELECT 1") "]},"
				 "\"warnings\":[{\"message\":\"old model\"}]}",
		 1);
	answered(c, buf_text(&json));
	buf_free(&json);
	assert_int_equal(c->handler->more(c), ERR_OK);
	c->plan[1].state = STATEMENT_SUCCEEDED;
	c->handler->answer(c);
	assert_false(c->answer.is_error);
	assert_non_null(strstr(buf_text(&c->answer.structured), "\xe2\x80\xa6 (259040 more bytes)\",\"sql\":"));
	assert_non_null(strstr(buf_text(&c->answer.structured), ",\"warnings\":[\""));
	assert_true(c->answer.text.n < 48 << 10);
	call_free(c);
}

/* Without a current database it is the service's. */
static void test_analyst_has_a_database(void **state)
{
	static const char *const two[] = {"SALES", "OPS"};
	struct call *c = help_call("cortex_analyst", ASK);

	(void)state;
	texts_set(&policy.databases, 2, two);
	c->context.database = c->context.schema = NULL;
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_string_equal(c->plan[0].context.database, "SALES");
	assert_string_equal(c->plan[0].context.schema, "PUBLIC");
	answered(c, ANALYSIS(SQL("SELECT * FROM T")));
	assert_int_equal(c->handler->more(c), ERR_OK);
	assert_int_equal(c->plan_n, 2);
	call_free(c);
}

/* ---- agents ---- */

#define TASK "{\"service_name\":\"helper\",\"query\":\"do\"}"

static bool event(struct call *c, const char *type, const char *data, struct notice *n)
{
	struct sse_message m = {type, slice_of(data ? data : ""), !data};

	return c->plan[0].event(c, &m, n);
}

static void quiet(struct call *c, const char *type, const char *data)
{
	struct notice n;

	if (event(c, type, data, &n))
		fail_msg("%s is told: %s", type, n.text);
}

static void told(struct call *c, const char *type, const char *data, const char *text)
{
	struct notice n;

	assert_true(event(c, type, data, &n));
	assert_string_equal(n.text, text);
	assert_true(n.stage && n.progress < 0);
}

static void test_agent_asks(void **state)
{
	(void)state;
	check_request("cortex_agent", TASK, "/api/v2/databases/SALES/schemas/PUBLIC/agents/HELPER:run",
		      "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"do\"}]}],"
		      "\"tool_choice\":{\"type\":\"auto\"},\"stream\":true}");
}

#define TABLE                                                                                                          \
	"{\"content_index\":1,\"title\":\"By region\",\"result_set\":{\"data\":[[\"EU\",\"12.50\"],[null,\"3.00\"]],"  \
	"\"resultSetMetaData\":{\"numRows\":2,\"rowType\":[{\"name\":\"R\",\"type\":\"text\",\"nullable\":true},"      \
	"{\"name\":\"V\",\"type\":\"fixed\",\"precision\":10,\"scale\":2,\"nullable\":true}]}}}"

static void agent_speaks(struct call *c)
{
	told(c, "response.status", "{\"status\":\"planning\",\"message\":\"Planning\\nthe steps\"}",
	     "agent: Planning the steps");
	quiet(c, "response.thinking.delta", "{\"content_index\":0,\"text\":\"hm\"}");
	told(c, "response.tool_use", "{\"name\":\"revenue\",\"type\":\"cortex_analyst_text_to_sql\"}",
	     "agent uses revenue");
	quiet(c, "response.table", TABLE);
	quiet(c, "response.text.delta", "{\"content_index\":2,\"text\":\"Mostly \"}");
	quiet(c, "response.text.delta", "{\"content_index\":2,\"text\":\"EU\"}");
	quiet(c, "response.text", "{\"content_index\":2,\"text\":\"Mostly EU.\"}");
	quiet(c, "response.text", "{\"content_index\":0,\"text\":\"Here:\"}");
	quiet(c, "response.warning", "{\"message\":\"slow\"}");
	quiet(c, "response.new_thing", "{\"x\":1}");
	quiet(c, "response.thinking", "no JSON");
	quiet(c, "response", "{\"content\":[{\"type\":\"text\",\"text\":\"again\"}]}");
	c->plan[0].state = STATEMENT_SUCCEEDED;
}

static void test_agent_answers(void **state)
{
	struct call *c = help_plan("cortex_agent", TASK);

	(void)state;
	agent_speaks(c);
	check_text(c, "Here:\nBy region: 2 rows\nR,V\nEU,12.50\n,3.00\nMostly EU.\nWarning: slow\n");
	c = help_plan("cortex_agent", "{\"service_name\":\"helper\",\"query\":\"do\",\"format\":\"json\"}");
	agent_speaks(c);
	c->handler->answer(c);
	assert_non_null(
	    strstr(buf_text(&c->answer.structured), "{\"text\":\"Here:\\nMostly EU.\",\"tables\":[{\"title\":"));
	assert_non_null(strstr(buf_text(&c->answer.structured), "\"rows\":[[\"EU\",\"12.50\"],[null,\"3.00\"]]"));
	call_free(c);
	/* nothing but the last event */
	c = help_plan("cortex_agent", TASK);
	quiet(c, "response", "{\"content\":[{\"type\":\"thinking\"},{\"type\":\"text\",\"text\":\"All.\"}]}");
	c->plan[0].state = STATEMENT_SUCCEEDED;
	check_text(c, "All.\n");
}

/* What is missing is said. */
static void test_agent_breaks_off(void **state)
{
	static const struct {
		const char *last, *data, *says;
		bool whole;
	} cases[] = {
	    {"response", "{}", "Half\n", true},
	    {"done", "", "Half\n", true},
	    {"message", "[DONE]", "Half\n", true},
	    {"response", NULL, "Half\n", true}, /* too long: all of it was there before */
	    {"metadata", "{}", "Half\n(What the agent sent broke off before its end: the answer may be incomplete.)\n",
	     false},
	    {"response.text.delta", "{\"content", "broke off before its end", false},
	    {"response.table", NULL, "the rest is left out", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (int json = 0; json < 2; json++) {
			struct call *c =
			    help_plan("cortex_agent", json ? "{\"service_name\":\"helper\",\"query\":\"do\","
							     "\"format\":\"json\"}"
							   : TASK);
			quiet(c, "response.text", "{\"content_index\":0,\"text\":\"Half\"}");
			quiet(c, cases[i].last, cases[i].data);
			c->plan[0].state = STATEMENT_SUCCEEDED;
			c->handler->answer(c);
			assert_false(c->answer.is_error);
			if (json)
				assert_non_null(strstr(buf_text(&c->answer.structured),
						       cases[i].whole ? "\"truncated\":false}"
								      : "\"truncated\":true,\"note\":\"("));
			else if (!strstr(buf_text(&c->answer.text), cases[i].says))
				fail_msg("case %zu: %s", i, buf_text(&c->answer.text));
			call_free(c);
		}
	struct call *c = help_plan("cortex_agent", TASK);
	quiet(c, "response.text", "{\"content_index\":0,\"text\":\"Half\"}");
	quiet(c, "response.text", "rubbish");
	quiet(c, "response", "{}");
	c->plan[0].state = STATEMENT_SUCCEEDED;
	check_text(c, "Half\n(Some of what the agent sent could not be read: the answer may be incomplete.)\n");
}

/* Values that are no strings, as the documentation does not have them. */
static void test_agent_table_of_numbers(void **state)
{
	struct call *c = help_plan("cortex_agent", TASK);

	(void)state;
	quiet(c, "response.table",
	      "{\"content_index\":0,\"result_set\":{\"data\":[[1,true,2.5,null],[-3,false,\"4\",{\"a\":1}]],"
	      "\"resultSetMetaData\":{\"rowType\":[{\"name\":\"I\",\"type\":\"fixed\"},{\"name\":\"B\",\"type\":"
	      "\"boolean\"},"
	      "{\"name\":\"R\",\"type\":\"real\"},{\"name\":\"V\",\"type\":\"variant\"}]}}}");
	quiet(c, "response", "{}");
	c->plan[0].state = STATEMENT_SUCCEEDED;
	check_text(c, "2 rows\nI,B,R,V\n1,true,2.5,\n-3,false,4,\"{\"\"a\"\":1}\"\n");
}

/* All of it together is kept up to a few MiB, its tables among it, and nothing more where memory is short. */
static void test_agent_keeps_within(void **state)
{
	struct call *c = help_plan("cortex_agent", TASK);
	struct buf table = buf_with_ceiling(2 << 20);

	(void)state;
	buf_addf(&table, "{\"content_index\":1,\"title\":\"%01000000d\"}", 1);
	for (int i = 0; i < 6; i++)
		quiet(c, "response.table", buf_text(&table));
	assert_in_range(c->plan[0].collected, 4000000, 4 << 20);
	call_free(c);
	c = help_plan("cortex_agent", TASK);
	quiet(c, "response.text.delta", "{\"content_index\":0,\"text\":\"first\"}");
	c->plan[0].crowded = true;
	quiet(c, "response.text.delta", "{\"content_index\":0,\"text\":\"second\"}");
	quiet(c, "response.table", buf_text(&table));
	buf_free(&table);
	assert_int_equal(c->plan[0].collected, 5);
	quiet(c, "response", "{}");
	c->plan[0].state = STATEMENT_SUCCEEDED;
	check_text(c, "first\n(The agent's answer was longer; the rest is left out.)\n");
}

static void test_agent_fails(void **state)
{
	struct call *c = help_plan("cortex_agent", TASK);

	(void)state;
	quiet(c, "response.text.delta", "{\"content_index\":0,\"text\":\"I looked\"}");
	quiet(c, "error", "{\"code\":\"399504\",\"message\":\"budget exceeded\",\"request_id\":\"r\"}");
	c->plan[0].state = STATEMENT_SUCCEEDED;
	c->handler->answer(c);
	check_error(
	    c, "399504",
	    "Cortex Agent: 399504: budget exceeded\nPut the question differently, or smaller.\nUntil then it had "
	    "said:\nI looked");
	c = help_plan("cortex_agent", TASK);
	quiet(c, "error", "rubbish");
	c->plan[0].state = STATEMENT_SUCCEEDED;
	c->handler->answer(c);
	check_error(c, "SQL", "Cortex Agent: the agent failed");
	c = help_plan("cortex_agent", TASK);
	c->plan[0].state = STATEMENT_SUCCEEDED;
	c->handler->answer(c);
	check_error(c, "OUTCOME_UNKNOWN", "ended without an answer");
	/* it may have acted */
	c = help_plan("cortex_agent", TASK);
	failed(c, ERR_OUTCOME_UNKNOWN, NULL, "whether it did what it was asked is unknown: no answer");
	assert_false(json_is_true(json_object_get(json_object_get(c->answer.meta, "snowgate/error"), "retryable")));
	assert_null(strstr(buf_text(&c->answer.text), "try again"));
	check_error(c, "OUTCOME_UNKNOWN", "before you ask it again");
}

/* However much it says, no more is kept than has a place. */
static void test_agent_talks_too_much(void **state)
{
	struct call *c = help_plan("cortex_agent", TASK);
	struct buf data = buf_with_ceiling(1 << 20);

	(void)state;
	buf_addf(&data, "{\"content_index\":0,\"text\":\"%0*d\"}", 60000, 1);
	for (int i = 0; i < 10; i++)
		quiet(c, "response.text.delta", buf_text(&data));
	for (int i = 0; i < 100; i++) {
		buf_clear(&data);
		buf_addf(&data, "{\"content_index\":%d,\"text\":\"x\"}", i + 1);
		quiet(c, "response.text", buf_text(&data));
	}
	buf_clear(&data);
	buf_addf(&data, "{\"message\":\"%0*d\"}", 300, 1);
	{
		struct notice n;

		assert_true(event(c, "response.status", buf_text(&data), &n));
		assert_true(strlen(n.text) < sizeof n.text);
	}
	buf_free(&data);
	c->plan[0].state = STATEMENT_SUCCEEDED;
	c->handler->answer(c);
	assert_false(c->answer.is_error);
	assert_true(c->answer.text.n < 48 << 10);
	assert_non_null(strstr(buf_text(&c->answer.text), " more bytes)\n"));
	assert_non_null(strstr(buf_text(&c->answer.text), "the rest is left out"));
	call_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_listed, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_described, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_many_services, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_border, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_search_asks, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_search_answers, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_search_fits_the_budget, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_failures, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_analyst_asks, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_analyst_runs_its_sql, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_analyst_only_reads, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_analyst_stays_within, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_analyst_without_sql, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_analyst_warns_in_json_too, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_analyst_has_a_database, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_agent_asks, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_agent_answers, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_agent_breaks_off, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_agent_table_of_numbers, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_agent_keeps_within, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_agent_fails, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_agent_talks_too_much, set_up, help_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
