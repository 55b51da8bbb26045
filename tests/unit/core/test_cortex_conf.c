/* Services of Cortex in the configuration: names folded and completed, faults told, borders held, written and read
 * again; and the official server's file in our words. */
#include "conf_help.h"

#define HEAD "snowflake:\n  connections:\n    main: {account: a-b, authenticator: oauth, token: t}\n"

static void services_are_read(void **state UNUSED)
{
	struct conf_faults faults;
	const struct conf *conf =
	    load_good(HEAD "    second: {account: c-d, authenticator: oauth, token: t}\n"
			   "  connection: main\n"
			   "cortex:\n"
			   "  timeout: 30s\n"
			   "  search:\n"
			   "    - name: tickets\n"
			   "      description: Support tickets\n"
			   "      service: sales.public.\"My.S\"\n"
			   "      columns: [A, B]\n"
			   "      limit: 5\n"
			   "    - {name: docs, database: hr, schema: core}\n"
			   "  analyst:\n"
			   "    - {name: revenue, semantic_view: v, database: sales, schema: public}\n"
			   "    - {name: stock, semantic_model: '@hr.core.stage/a/b.yaml'}\n"
			   "  agents:\n"
			   "    - {name: The helper, agent: sales.public.helper}\n"
			   "    - {name: far, agent: sales.public.far, connection: second}\n"
			   "policies:\n"
			   "  - {name: one, databases: [SALES], match: {group: a}}\n"
			   "  - {name: two, cortex: [docs, The helper, far], toolsets: [cortex, semantic]}\n"
			   "  - {name: three, connection: second, cortex: [far]}\n",
		      &faults);
	const struct policy *one = &conf->policies[0], *two = &conf->policies[1];
	const struct cortex_service *s;

	assert_int_equal(conf->cortex_timeout, 30 * USEC_PER_S);
	assert_int_equal(conf->cortex_n, 6);
	s = cortex_find(conf, one, CORTEX_SEARCH, "tickets");
	assert_string_equal(s->database, "SALES");
	assert_string_equal(s->schema, "PUBLIC");
	assert_string_equal(s->object, "My.S");
	assert_string_equal(s->description, "Support tickets");
	assert_int_equal(s->columns.n, 2);
	assert_int_equal(s->limit, 5);
	assert_null(cortex_find(conf, one, CORTEX_SEARCH, "docs"));    /* HR */
	assert_null(cortex_find(conf, two, CORTEX_SEARCH, "tickets")); /* not named */
	s = cortex_find(conf, two, CORTEX_SEARCH, "docs");
	assert_string_equal(s->object, "DOCS");
	assert_int_equal(s->limit, 10);
	assert_string_equal(s->description, "");
	s = cortex_find(conf, one, CORTEX_ANALYST, "revenue");
	assert_string_equal(s->object, "V");
	assert_null(s->model);
	assert_null(cortex_find(conf, one, CORTEX_ANALYST, "stock"));
	assert_null(cortex_find(conf, two, CORTEX_ANALYST, "stock"));
	assert_string_equal(conf->cortex[3].model, "@hr.core.stage/a/b.yaml");
	assert_string_equal(conf->cortex[3].database, "HR");
	assert_non_null(cortex_find(conf, two, CORTEX_AGENT, "The helper"));
	assert_null(cortex_find(conf, one, CORTEX_AGENT, "The helper")); /* agents are always named */
	assert_null(cortex_find(conf, two, CORTEX_AGENT, "far"));        /* through another connection */
	assert_non_null(cortex_find(conf, &conf->policies[2], CORTEX_AGENT, "far"));
	assert_null(cortex_find(conf, two, CORTEX_AGENT, "docs"));
	assert_null(cortex_find(conf, two, CORTEX_AGENT, NULL));
	assert_int_equal(two->toolsets, TOOLSET_CORTEX | TOOLSET_SEMANTIC);
	conf_free(conf);
	conf_faults_free(&faults);
}

static void what_is_written_is_read(void **state UNUSED)
{
	struct conf_faults faults, again;
	const struct conf *from =
	    load_good(HEAD "cortex:\n"
			   "  search: [{name: 'a \"q\"', service: 'D.\"s s\".\"x\"', columns: [A], limit: 7}]\n"
			   "  analyst: [{name: m, semantic_model: '@d.s.st/x.yaml', description: 'D: e'}]\n"
			   "  agents: [{name: g, agent: d.s.g, connection: main}]\n"
			   "policies: [{name: p, cortex: [g], toolsets: [snowflake-labs, cortex]}]\n",
		      &faults);
	struct buf b = buf_with_ceiling(1 << 20);
	char *mask;

	assert_true(conf_write(&b, from));
	while ((mask = strstr(b.data, "********"))) /* the token is not told */
		memcpy(mask, "tokens!!", 8);
	const struct conf *to = load_good(buf_text(&b), &again);
	assert_true(cortex_same(from, to));
	for (size_t i = 0; i < from->cortex_n; i++) {
		assert_string_equal(from->cortex[i].schema, to->cortex[i].schema);
		assert_string_equal(from->cortex[i].object, to->cortex[i].object);
		assert_int_equal(from->cortex[i].model != NULL, to->cortex[i].model != NULL);
		assert_int_equal(from->cortex[i].columns.n, to->cortex[i].columns.n);
	}
	assert_int_equal(to->policies[0].toolsets, TOOLSET_LABS | TOOLSET_CORTEX);
	assert_int_equal(to->policies[0].cortex.n, 1);
	buf_free(&b);
	conf_free(from);
	conf_free(to);
	conf_faults_free(&faults);
	conf_faults_free(&again);
}

static void faults_are_told(void **state UNUSED)
{
	static const struct {
		const char *yaml, *key, *reason;
		int line;
	} cases[] = {
	    {"cortex: {serch: []}\n", "cortex.serch", "did you mean search", 4},
	    {"cortex:\n  search: {name: a}\n", "cortex.search", "must be a list", 5},
	    {"cortex:\n  search: [{service: a.b.c}]\n", "cortex.search.1", "needs a name", 5},
	    {"cortex:\n  search:\n    - {name: a, servce: a.b.c}\n", "cortex.search.1.servce", "did you mean service",
	     6},
	    {"cortex:\n  search:\n    - {name: a, service: b.c}\n", "cortex.search.1.service", "DATABASE.SCHEMA.NAME",
	     6},
	    {"cortex:\n  search:\n    - {name: a b, database: d, schema: s}\n", "cortex.search.1.service",
	     "is no plain name", 6},
	    {"cortex:\n  search:\n    - {name: a, service: a.b.c.d}\n", "cortex.search.1.service",
	     "at most three parts", 6},
	    {"cortex:\n  search:\n    - {name: a, service: a..c}\n", "cortex.search.1.service", "must be a name", 6},
	    {"cortex:\n  search:\n    - {name: a, service: a.b.c, limit: 1001}\n", "cortex.search.1.limit", "1 to 1000",
	     6},
	    {"cortex:\n  agents:\n    - {name: a, agent: a.b.c}\n    - {name: a, agent: a.b.d}\n", "cortex.agents.2",
	     "another service has the name a", 7},
	    {"cortex:\n  search:\n    - {name: a, service: a.b.c}\n  agents:\n    - {name: a, agent: a.b.d}\n",
	     "cortex.agents.1", "another service has the name a", 8},
	    {"cortex:\n  agents:\n    - {name: a, agent: a.b.c, connection: x}\n", "cortex.agents.1.connection",
	     "no connection has the name x", 6},
	    {"cortex:\n  analyst:\n    - {name: a, semantic_model: '@t/f', database: d, schema: s}\n",
	     "cortex.analyst.1.semantic_model", "all of @DATABASE.SCHEMA.STAGE", 6},
	    {"cortex:\n  analyst:\n    - {name: a}\n", "cortex.analyst.1", "one of semantic_view and semantic_model",
	     6},
	    {"cortex:\n  analyst:\n    - {name: a, semantic_view: d.s.v, semantic_model: '@d.s.t/f'}\n",
	     "cortex.analyst.1", "one of semantic_view and semantic_model", 6},
	    {"cortex:\n  analyst:\n    - {name: a, semantic_model: d.s.t/f}\n", "cortex.analyst.1.semantic_model",
	     "a file on a stage", 6},
	    {"policies:\n  - {name: p, cortex: [tickts]}\n", "policies.p.cortex", "no service", 5},
	    {"cortex:\n  search: [{name: tickets, service: d.s.t}]\npolicies:\n  - {name: p, cortex: [tickts]}\n",
	     "policies.p.cortex", "did you mean tickets", 7},
	    {"policies:\n  - {name: p, toolsets: [labs]}\n", "policies.p.toolsets", "snowflake-labs", 5},
	    {"cortex: {timeout: 16m}\n", "cortex.timeout", "1s to 15m", 4},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf_faults faults;
		struct buf yaml = buf_with_ceiling(10000);
		bool found = false;

		buf_addf(&yaml, HEAD "%s", cases[i].yaml);
		if (conf_load(write_file("conf.yaml", buf_text(&yaml)), &faults))
			fail_msg("case %zu is taken", i);
		for (size_t k = 0; k < faults.n; k++)
			found =
			    found || (strcmp(faults.v[k].key, cases[i].key) == 0 &&
				      strstr(faults.v[k].reason, cases[i].reason) && faults.v[k].line == cases[i].line);
		if (!found)
			fail_msg("case %zu: %d %s: %s", i, faults.n ? faults.v[0].line : 0,
				 faults.n ? faults.v[0].key : "", faults.n ? faults.v[0].reason : "no fault");
		buf_free(&yaml);
		conf_faults_free(&faults);
	}
}

static bool warned(const struct conf_faults *f, int line, const char *key, const char *says)
{
	for (size_t i = 0; i < f->warnings_n; i++)
		if (f->warnings[i].line == line && strcmp(f->warnings[i].key, key) == 0 &&
		    strstr(f->warnings[i].reason, says))
			return true;
	for (size_t i = 0; i < f->warnings_n; i++)
		print_error("%d: %s: %s\n", f->warnings[i].line, f->warnings[i].key, f->warnings[i].reason);
	return false;
}

static void an_agent_without_a_policy_is_told(void **state UNUSED)
{
	struct conf_faults faults;
	const struct conf *conf = load_good(HEAD "cortex:\n"
						 "  search: [{name: docs, service: d.s.t}]\n"
						 "  agents:\n"
						 "    - {name: g, agent: d.s.g}\n"
						 "    - {name: h, agent: d.s.h}\n"
						 "policies: [{name: p, cortex: [g]}]\n",
					    &faults);

	assert_int_equal(faults.warnings_n, 1);
	assert_true(warned(&faults, 8, "cortex.agents.2", "nobody can use it"));
	conf_free(conf);
	conf_faults_free(&faults);
}

/* ---- import ---- */

static const char official[] = "agent_services:\n"
			       "  - service_name: helper\n"
			       "    description: >\n"
			       "      Helps\n"
			       "    database_name: MYDB\n"
			       "    schema_name: CORE\n"
			       "search_services:\n"
			       "  - service_name: \"docs\"\n"
			       "    description: \"Search service: docs\"\n"
			       "    database_name: \"mydb\"\n"
			       "    schema_name: \"core\"\n"
			       "    columns: [A, \"B\"]\n"
			       "    limit: 5\n"
			       "analyst_services:\n"
			       "  - service_name: rev\n"
			       "    semantic_model: \"MYDB.CORE.REV\"\n"
			       "    description: d\n"
			       "  - service_name: stock\n"
			       "    semantic_model: \"@MYDB.CORE.ST/stock.yaml\"\n"
			       "    colour: blue\n"
			       "other_services:\n"
			       "  object_manager: True\n"
			       "  query_manager: True\n"
			       "  semantic_manager: False\n"
			       "sql_statement_permissions:\n"
			       "  - Select: True\n"
			       "  - Describe: True\n"
			       "  - Use: True\n"
			       "  - Insert: True\n"
			       "  - Create: True\n"
			       "  - Drop: False\n"
			       "  - Commit: True\n"
			       "  - Unknown: False\n"
			       "extra: 1\n";

static void the_official_file_is_read(void **state UNUSED)
{
	struct conf_faults faults, again;
	struct buf out = buf_with_ceiling(1 << 20);

	assert_true(conf_import(write_file("conf.yaml", official), &out, &faults));
	assert_non_null(strstr(buf_text(&out), "    statements: [read, metadata, dml]\n"));
	assert_non_null(strstr(buf_text(&out), "    toolsets: [snowflake-labs, cortex]\n"));
	assert_true(warned(&faults, 20, "analyst_services.2.colour", "left out"));
	assert_true(warned(&faults, 22, "other_services.object_manager", "CREATE and DROP"));
	assert_true(warned(&faults, 25, "sql_statement_permissions", "Create allowed and Drop denied"));
	assert_true(warned(&faults, 25, "sql_statement_permissions",
			   "Insert allowed, so the class dml is; it also allows Update, Delete, Merge, TruncateTable"));
	assert_true(warned(&faults, 32, "sql_statement_permissions.Commit", "transaction"));
	assert_true(warned(&faults, 34, "extra", "left out"));
	assert_int_equal(faults.warnings_n, 6);
	conf_faults_free(&faults);

	/* it is ours */
	buf_adds(&out, HEAD);
	const struct conf *conf = load_good(buf_text(&out), &again);
	assert_int_equal(conf->cortex_n, 4);
	assert_string_equal(conf->cortex[0].object, "DOCS");
	assert_string_equal(conf->cortex[0].database, "MYDB");
	assert_int_equal(conf->cortex[0].limit, 5);
	assert_string_equal(conf->cortex[1].object, "REV");
	assert_string_equal(conf->cortex[2].model, "@MYDB.CORE.ST/stock.yaml");
	assert_string_equal(conf->cortex[3].description, "Helps");
	assert_non_null(cortex_find(conf, &conf->policies[0], CORTEX_AGENT, "helper"));
	assert_int_equal(conf->policies[0].statements, CLASS_READ | CLASS_METADATA | CLASS_DML);
	conf_free(conf);
	conf_faults_free(&again);
	buf_free(&out);
}

static void permissions_become_classes(void **state UNUSED)
{
	static const struct {
		const char *permissions, *statements;
	} cases[] = {
	    {"[{Select: True}]", "[read]"},
	    {"[{select: true}, {Command: yes}]", "[read, metadata]"},
	    {"[{Show: True}]", "[metadata]"},
	    {"[{All: True}]", "[read, metadata, dml, ddl, dcl]"},
	    {"[{All: True}, {Drop: False}]", "[read, metadata, dml, dcl]"},
	    {"[{Drop: False}, {All: True}]", "[read, metadata, dml, dcl]"},
	    {"[{Select: True}, {Alter: True}, {Create: True}, {Drop: True}, {Comment: True}]", "[read, ddl]"},
	    {"[{Merge: True}, {Select: False}]", "[dml]"},
	    {"{Select: True, Describe: True}", "[read, metadata]"},
	    {"[]", "[metadata]"},
	    {"", "[metadata]"},
	    {"[{Unknown: True}, {Nonsense: True}]", "[metadata]"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf_faults faults;
		struct buf yaml = buf_with_ceiling(10000), out = buf_with_ceiling(10000), want = buf_with_ceiling(200);

		buf_addf(&yaml, "sql_statement_permissions: %s\n", cases[i].permissions);
		buf_addf(&want, "statements: %s\n", cases[i].statements);
		assert_true(conf_import(write_file("conf.yaml", buf_text(&yaml)), &out, &faults));
		if (!strstr(buf_text(&out), buf_text(&want)))
			fail_msg("%s: %s", cases[i].permissions, buf_text(&out));
		buf_free(&yaml);
		buf_free(&out);
		buf_free(&want);
		conf_faults_free(&faults);
	}
}

static void what_it_would_not_read_is_a_fault(void **state UNUSED)
{
	static const struct {
		const char *yaml;
		int line;
		const char *key;
	} cases[] = {
	    {"search_services: 5\n", 1, "search_services"},
	    {"search_services:\n  - service_name: a\n    database_name: d\n", 2, "search_services.1"},
	    {"analyst_services:\n  - service_name: a\n", 2, "analyst_services.1"},
	    {"analyst_services:\n  - semantic_model: a.b.c\n", 2, "analyst_services.1"},
	    {"agent_services: [5]\n", 1, "agent_services.1"},
	    {"agent_services:\n  - service_name: a b\n    database_name: d\n    schema_name: s\n", 2,
	     "agent_services.1.service_name"},
	    {"other_services: [a]\n", 1, "other_services"},
	    {"agent_services: [{service_name: a, database_name: d, schema_name: s}]\n"
	     "analyst_services: [{service_name: a, semantic_model: d.s.v}]\n",
	     1, "agent_services.1.service_name"},
	    {"other_services:\n  query_manager: maybe\n", 2, "other_services.query_manager"},
	    {"sql_statement_permissions:\n  - Select: perhaps\n", 2, "sql_statement_permissions.Select"},
	    {"sql_statement_permissions:\n  - Select\n", 2, "sql_statement_permissions"},
	    {"sql_statement_permissions:\n  - - Select\n", 2, "sql_statement_permissions"},
	    {"a: [\n", 2, ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf_faults faults;
		struct buf out = buf_with_ceiling(10000);

		assert_false(conf_import(write_file("conf.yaml", cases[i].yaml), &out, &faults));
		assert_int_equal(out.n, 0);
		if (!faults.n || faults.v[0].line != cases[i].line || strcmp(faults.v[0].key, cases[i].key) != 0)
			fail_msg("case %zu: %d %s %s", i, faults.n ? faults.v[0].line : 0,
				 faults.n ? faults.v[0].key : "", faults.n ? faults.v[0].reason : "");
		conf_faults_free(&faults);
		buf_free(&out);
	}
	struct conf_faults faults;
	struct buf out = buf_with_ceiling(100);
	assert_false(conf_import(in_folder("none.yaml"), &out, &faults));
	assert_int_equal(faults.n, 1);
	conf_faults_free(&faults);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(services_are_read, clean_environment, remove_folder),
	    cmocka_unit_test_setup_teardown(what_is_written_is_read, clean_environment, remove_folder),
	    cmocka_unit_test_setup_teardown(faults_are_told, clean_environment, remove_folder),
	    cmocka_unit_test_setup_teardown(an_agent_without_a_policy_is_told, clean_environment, remove_folder),
	    cmocka_unit_test_setup_teardown(the_official_file_is_read, clean_environment, remove_folder),
	    cmocka_unit_test_setup_teardown(permissions_become_classes, clean_environment, remove_folder),
	    cmocka_unit_test_setup_teardown(what_it_would_not_read_is_a_fault, clean_environment, remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
