#!/usr/bin/env python3
"""The toolsets snowflake-labs, semantic and cortex against the emulator, and the import of the official server's file."""

import json
import os
import subprocess

import gateway
from gateway import Case, program, wait_for

SAMPLE = "SNOWFLAKE_SAMPLE_DATA"
SERVICES = {
    "search": [{"name": "docs", "description": "Support documents", "service": "DEMO.PUBLIC.SUPPORT_DOCS"},
               {"name": "gone", "service": "DEMO.PUBLIC.NOT_THERE"}],
    "analyst": [{"name": "sales", "semantic_view": "DEMO.PUBLIC.SALES"},
                {"name": "file", "semantic_model": "@SNOWFLAKE_SAMPLE_DATA.TPCH_SF1.MODELS/sales.yaml"}],
    "agents": [{"name": "helper", "agent": "DEMO.PUBLIC.SALES_AGENT"}]}
NAMES = [service["name"] for kind in SERVICES.values() for service in kind]
SETS = ["snowflake-labs", "semantic", "cortex"]


class Toolsets(Case):
    keys = ("alice", "narrow", "few", "core", "unnamed", "two")
    conf = {"cortex": SERVICES,
            "policies": [{"name": "two", "match": {"principal": "two"}, "databases": [SAMPLE, "DEMO"], "toolsets": SETS},
                         {"name": "narrow", "match": {"principal": "narrow"}, "databases": [SAMPLE], "toolsets": SETS},
                         {"name": "few", "match": {"principal": "few"}, "cortex": ["sales"], "toolsets": ["cortex"]},
                         {"name": "core", "match": {"principal": "core"}, "toolsets": ["core"]},
                         {"name": "unnamed", "match": {"principal": "unnamed"}, "toolsets": ["cortex"]},
                         {**Case.everything, "toolsets": SETS, "cortex": NAMES}]}

    def setUp(self):
        super().setUp()
        self.emulator.control("POST", "cortex", {"delay_ms": 1, "error_after": 0, "stall_after": 0})

    def tearDown(self):
        wait_for(lambda: self.gateway.metric("snowgate_slots_used") == 0, 10, "every slot to come back")

    def listed(self, key):
        return {tool["name"]: tool for tool in self.client(key, modern=True).rpc("tools/list").result["tools"]}

    def asked(self):
        return self.emulator.control("GET", "cortex")

    def assert_refused(self, answer, code, *texts):
        self.assertTrue(answer.is_error, answer)
        self.assertEqual(answer.meta_error["code"], code, answer.text)
        for text in texts:
            self.assertIn(text, answer.text)


class Labs(Toolsets):
    def test_official_names_and_arguments(self):
        client = self.modern("alice")
        answer = client.tool("run_snowflake_query", statement="SELECT 1 AS A, 'x' AS B")
        self.assertFalse(answer.is_error, answer)
        self.assertIn("A,B\n1,x\n", answer.text)
        answer = client.tool("list_objects", object_type="table", database_name="DEMO", schema_name="PUBLIC",
                             like="cust")
        self.assertIn("CUSTOMERS", answer.text)
        self.assertNotIn("ORDERS", answer.text)
        answer = client.tool("list_objects", object_type="table", database_name="DEMO", starts_with="ORD")
        self.assertIn("ORDERS", answer.text)
        self.assertNotIn("CUSTOMERS", answer.text)
        target = {"name": "CUSTOMERS", "database_name": "DEMO", "schema_name": "PUBLIC"}
        for form in (target, json.dumps(target)):
            answer = client.tool("describe_object", object_type="table", target_object=form)
            self.assertFalse(answer.is_error, answer)
            self.assertIn("DEMO.PUBLIC.CUSTOMERS", answer.text)
        answer = client.tool("describe_object", object_type="warehouse", target_object={"name": "compute_wh"})
        self.assertIn("name: COMPUTE_WH", answer.text)
        answer = client.tool("describe_object", object_type="warehouse", target_object={"name": "COMPUTE%"})
        self.assertTrue(answer.is_error)

    def test_a_write_is_the_policys_to_allow(self):
        self.assert_refused(self.modern("narrow").tool("run_snowflake_query", statement="DROP TABLE X"), "GUARD")

    def test_the_border(self):
        client = self.modern("narrow")
        self.assert_refused(client.tool("list_objects", object_type="table", database_name="DEMO"), "POLICY")
        answer = client.tool("list_objects", object_type="database")
        self.assertIn(SAMPLE, answer.text)
        self.assertNotIn("DEMO", answer.text)
        answer = client.tool("list_objects", object_type="table")
        self.assertIn("CUSTOMER", answer.text)

    def test_what_creates_is_not_there(self):
        error = self.modern("alice").tool("create_object", object_type="table", target_object={"name": "T"}).error
        self.assertEqual(error["code"], -32602)
        self.assertIn("execute_query", error["message"])

    def test_one_name_two_tools(self):
        self.assertIn("object_type", self.listed("alice")["list_objects"]["inputSchema"]["properties"])
        self.assertIn("kind", self.listed("core")["list_objects"]["inputSchema"]["properties"])
        self.assertTrue(self.modern("core").tool("list_objects", object_type="table").is_error)


class Semantic(Toolsets):
    """One semantic view of this test's own."""
    VIEW = {"database_name": "DEMO", "schema_name": "PUBLIC", "view_name": "TOOLSETS_SV"}

    def setUp(self):
        super().setUp()
        made = self.modern("alice").tool(
            "run_snowflake_query",
            statement="CREATE OR REPLACE SEMANTIC VIEW DEMO.PUBLIC.TOOLSETS_SV TABLES (o AS DEMO.PUBLIC.ORDERS) "
                      "FACTS (o.value AS o.AMOUNT) DIMENSIONS (o.state AS o.STATUS) "
                      "METRICS (o.total AS SUM(o.AMOUNT), o.n AS COUNT(*))")
        if made.is_error:
            self.skipTest("the emulator has no semantic views: " + made.text[:200])

    def test_what_there_is(self):
        client = self.modern("alice")
        self.assertIn("TOOLSETS_SV", client.tool("list_semantic_views", database_name="DEMO").text)
        self.assertIn("STATE", client.tool("show_semantic_dimensions", **self.VIEW).text)
        self.assertIn("TOTAL", client.tool("show_semantic_metrics", **self.VIEW).text)
        self.assertIn("TOTAL", client.tool("describe_semantic_view", **self.VIEW).text)
        ddl = client.tool("get_semantic_view_ddl", **self.VIEW)
        self.assertIn("semantic view", ddl.text.lower(), ddl)

    def test_query(self):
        client = self.modern("alice")
        state, total = {"table": "o", "name": "state"}, {"table": "o", "name": "total"}
        question = {**self.VIEW, "dimensions": [state], "metrics": [total], "order_by": "state"}
        rows = client.tool("query_semantic_view", format="json", **question).rows
        plain = client.query("SELECT STATUS, SUM(AMOUNT) FROM DEMO.PUBLIC.ORDERS GROUP BY 1 ORDER BY 1").rows
        self.assertEqual(rows, plain)
        for name in ("write_semantic_view_query", "write_semantic_view_tool"):
            text = client.tool(name, **question).text
            self.assertTrue(text.startswith("SELECT * FROM SEMANTIC_VIEW("), text)
            self.assertEqual(client.query(text).rows, plain)
        self.assertEqual(client.tool("query_semantic_view", format="json", **question,
                                     where_clause="state = 'nothing'").rows, [])

    def test_several_databases_and_none_current(self):
        answer = self.modern("two").tool("query_semantic_view", **self.VIEW, format="json",
                                         metrics=[{"table": "o", "name": "n"}])
        self.assertFalse(answer.is_error, answer)
        self.assertEqual(answer.structured["rowCount"], 1)

    def test_clauses_are_guarded(self):
        client = self.modern("alice")
        self.assert_refused(client.tool("query_semantic_view", **self.VIEW, metrics=[{"table": "o", "name": "total"}],
                                        where_clause="1=1; DELETE FROM DEMO.PUBLIC.ORDERS"), "GUARD")
        self.assert_refused(self.modern("narrow").tool(
            "query_semantic_view", **self.VIEW, metrics=[{"table": "o", "name": "total"}]), "POLICY")


class Search(Toolsets):
    def test_passages_are_rows(self):
        client = self.modern("alice")
        answer = client.tool("cortex_search", service_name="docs", query="late delivery", columns=["DOC_ID", "TITLE"],
                             limit=2)
        self.assertFalse(answer.is_error, answer)
        self.assertTrue(answer.text.startswith("2 results\nDOC_ID,TITLE\n"), answer.text)
        self.assertIn("D-001,Late delivery to Berlin", answer.text)
        answer = client.tool("cortex_search", service_name="docs", query="delivery", columns=["DOC_ID"],
                             filter={"@eq": {"REGION": "APAC"}}, format="json")
        self.assertEqual(sorted(answer.structured["rows"]), [["D-005"], ["D-009"]])

    def test_the_context_travels(self):
        client = self.legacy("alice")
        client.tool("set_context", warehouse="COMPUTE_WH")
        client.tool("cortex_search", service_name="docs", query="x")
        record = self.asked()[0]
        self.assertEqual((record["role"], record["warehouse"]), ("SYSADMIN", "COMPUTE_WH"), record)

    def test_errors_say_what_to_do(self):
        client = self.modern("alice")
        answer = client.tool("cortex_search", service_name="gone", query="x")
        self.assert_refused(answer, "002003", "Cortex Search", "section cortex")
        answer = client.tool("cortex_search", service_name="nothing", query="x")
        self.assertTrue(answer.is_error)
        self.assertIn("docs", answer.text)

    def test_a_service_outside_the_policy(self):
        self.assertEqual(self.listed("narrow")["cortex_analyst"]["inputSchema"]["properties"]["service_name"]["enum"],
                         ["file"])
        self.assertNotIn("cortex_search", self.listed("narrow"))
        self.assertNotIn("cortex_agent", self.listed("narrow"))
        self.assertEqual(set(self.listed("few")), {"cortex_analyst", "get_result", "cancel_query"})
        before = len(self.asked())
        for key, tool, name in (("narrow", "cortex_search", "docs"), ("narrow", "cortex_agent", "helper"),
                                ("narrow", "cortex_analyst", "sales"), ("few", "cortex_search", "docs")):
            self.assert_refused(self.modern(key).tool(tool, service_name=name, query="x"), "POLICY")
        self.assertEqual(len(self.asked()), before)
        # an agent may do more than read: it is there only for who has it named
        self.assertEqual(set(self.listed("unnamed")) & {"cortex_search", "cortex_analyst", "cortex_agent"},
                         {"cortex_search", "cortex_analyst"})
        self.assert_refused(self.modern("unnamed").tool("cortex_agent", service_name="helper", query="x"), "POLICY")
        self.assertEqual(len(self.asked()), before)
        error = self.modern("core").tool("cortex_search", service_name="docs", query="x").error
        self.assertIn("unknown tool", error["message"])


class Analyst(Toolsets):
    def test_its_sql_runs_here(self):
        answer = self.modern("alice").tool("cortex_analyst", service_name="sales", query="How many orders are there?")
        self.assertFalse(answer.is_error, answer)
        self.assertIn("number of orders", answer.text)
        self.assertIn("SQL: SELECT COUNT(*)", answer.text)
        self.assertIn("1 row", answer.text)
        record = self.emulator.record("SELECT COUNT(*) AS ORDERS")
        self.assertEqual(record["executions"], 1)

    def test_rows_within_the_budget(self):
        answer = self.modern("alice").tool("cortex_analyst", service_name="sales", query="revenue by nation", limit=2,
                                           format="json")
        self.assertEqual(answer.structured["rowCount"], 2)
        self.assertTrue(answer.structured["truncated"])
        self.assertIn("SELECT", answer.structured["sql"])
        more = self.modern("alice").tool("get_result", statement_handle=answer.structured["statementHandle"], offset=2,
                                         limit=1, format="json")
        self.assertEqual(more.structured["rowCount"], 1)

    def test_a_write_is_not_run(self):
        before = len(self.emulator.records("DELETE FROM"))
        answer = self.modern("alice").tool("cortex_analyst", service_name="sales", query="delete the open orders")
        self.assert_refused(answer, "GUARD", "it was not run", "DELETE FROM DEMO.PUBLIC.ORDERS")
        self.assertEqual(len(self.emulator.records("DELETE FROM")), before)

    def test_suggestions(self):
        answer = self.modern("alice").tool("cortex_analyst", service_name="sales", query="hm?")
        self.assertFalse(answer.is_error, answer)
        self.assertIn("- What is the revenue by nation?", answer.text)

    def test_sql_that_fails_is_told(self):
        answer = self.modern("alice").tool("cortex_analyst", service_name="sales", query="something broken")
        self.assertTrue(answer.is_error, answer)
        self.assertIn("GONE", answer.text)
        self.assertIn("SQL: SELECT", answer.text)

    def test_its_sql_stays_within_the_databases(self):
        answer = self.modern("narrow").tool("cortex_analyst", service_name="file", query="revenue by nation")
        self.assertTrue(answer.is_error or "NATION" in answer.text, answer)
        self.assert_refused(self.modern("narrow").tool("cortex_analyst", service_name="file", query="delete it"), "GUARD")


    def test_sql_that_takes_long_is_answered_running(self):
        client = self.modern("alice")
        self.emulator.hold("COUNT(*) AS ORDERS", 1, times=1)
        answer = client.tool("cortex_analyst", service_name="sales", query="How many orders?", wait_seconds=0,
                             format="json")
        self.assertEqual(answer.structured["status"], "running", answer)
        self.assertIn("COUNT(*)", answer.structured["sql"])
        done = client.tool("get_result", statement_handle=answer.structured["statementHandle"], format="json")
        self.assertEqual(done.structured["rowCount"], 1, done)

    def test_who_leaves_cancels_its_sql(self):
        before = len(self.emulator.records("COUNT(*) AS ORDERS"))
        self.emulator.hold("COUNT(*) AS ORDERS", 30, times=1)
        call = self.modern("alice").start("cortex_analyst", service_name="sales", query="How many orders?")
        wait_for(lambda: len(self.emulator.records("COUNT(*) AS ORDERS")) > before, 5, "the SQL")
        call.leave()
        self.emulator.record("COUNT(*) AS ORDERS", "cancelled", 5)


class Agents(Toolsets):
    def test_progress_and_answer(self):
        client = self.legacy("alice")
        self.emulator.control("POST", "cortex", {"delay_ms": 60})
        message = client.tool_message("cortex_agent", {"service_name": "helper", "query": "How many orders?"},
                                      {"progressToken": 7})
        stream = self.kept(client.stream(message))
        answer = stream.answer()
        told = [e.json["params"]["message"] for e in stream.events + [e for e in stream.got if hasattr(e, "json")]
                if e.json.get("method") == "notifications/progress"]
        self.assertTrue(any("Executing SQL" in text or "Forming" in text or "agent uses" in text for text in told), told)
        self.assertFalse(answer.is_error, answer)
        self.assertIn("three orders", answer.text)
        self.assertEqual(answer.text.count("three orders"), 1)

    def test_without_a_stream(self):
        answer = self.modern("alice").tool("cortex_agent", service_name="helper", query="How many orders?", format="json")
        self.assertIn("three orders", answer.structured["text"])
        self.assertEqual(len(answer.structured["tables"]), 1)
        self.assertTrue(answer.structured["tables"][0]["columns"])

    def test_an_error_on_the_way(self):
        self.emulator.control("POST", "cortex", {"delay_ms": 1, "error_after": 5})
        answer = self.modern("alice").tool("cortex_agent", service_name="helper", query="How many orders?")
        self.assertTrue(answer.is_error, answer)
        self.assertIn("Cortex Agent", answer.text)

    def test_who_leaves_cancels(self):
        self.emulator.control("POST", "cortex", {"delay_ms": 1, "stall_after": 4})
        before = len(self.asked())
        call = self.modern("alice").start("cortex_agent", service_name="helper", query="orders")
        wait_for(lambda: len(self.asked()) > before, 5, "the agent to run")
        call.leave()
        wait_for(lambda: self.asked()[0]["outcome"] == "disconnected", 5, "the run to be given up")

    def test_a_notification_cancels(self):
        self.emulator.control("POST", "cortex", {"delay_ms": 1, "stall_after": 4})
        client, before = self.legacy("alice"), len(self.asked())
        call = client.start("cortex_agent", service_name="helper", query="orders")
        wait_for(lambda: len(self.asked()) > before, 5, "the agent to run")
        client.notify("notifications/cancelled", {"requestId": call.id})
        wait_for(lambda: self.asked()[0]["outcome"] == "disconnected", 5, "the run to be given up")
        call.leave()

    def test_its_time_is_limited(self):
        g = self.another({"cortex": {**SERVICES, "timeout": "1s"},
                          "policies": [{**Case.everything, "toolsets": ["cortex"], "cortex": NAMES}]})
        self.emulator.control("POST", "cortex", {"delay_ms": 1, "stall_after": 4})
        answer = self.client(of=g, modern=True).tool("cortex_agent", service_name="helper", query="orders")
        self.assert_refused(answer, "OUTCOME_UNKNOWN", "no answer within 1 s", "cortex.timeout")
        self.assertFalse(answer.meta_error["retryable"])
        self.assertNotIn("try again", answer.text)

    def test_it_has_a_slot(self):
        self.emulator.control("POST", "cortex", {"delay_ms": 1, "stall_after": 4})
        before = len(self.asked())
        call = self.modern("alice").start("cortex_agent", service_name="helper", query="orders")
        wait_for(lambda: len(self.asked()) > before, 5, "the agent to run")
        self.assertEqual(self.gateway.metric("snowgate_slots_used"), 1)
        call.leave()

    def test_a_lost_connection_is_no_cancel(self):
        """What the legacy era says of every request that may change something."""
        self.emulator.control("POST", "cortex", {"delay_ms": 250})
        client, before = self.legacy("alice"), len(self.asked())
        call = client.start("cortex_agent", service_name="helper", query="How many orders?")
        wait_for(lambda: len(self.asked()) > before, 5, "the agent to run")
        call.leave()
        wait_for(lambda: self.asked()[0]["outcome"] != "open", 20, "the agent to end")
        self.assertEqual(self.asked()[0]["outcome"], "answered")


class Import(Toolsets):
    OFFICIAL = """
search_services:
  - service_name: SUPPORT_DOCS
    description: "Support documents"
    database_name: DEMO
    schema_name: PUBLIC
other_services:
  query_manager: True
  semantic_manager: True
sql_statement_permissions:
  - Select: True
  - Describe: True
  - Delete: False
  - Commit: True
"""

    def run_import(self, text):
        path = self.gateway.secret_file("official.yaml", text)
        return subprocess.run([program("snowgate"), "check", "--import", path], capture_output=True, text=True, timeout=20)

    def test_it_serves_as_it_is(self):
        done = self.run_import(self.OFFICIAL)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("official.yaml:14: warning: sql_statement_permissions.Commit", done.stderr)
        self.assertIn("statements: [read, metadata]", done.stdout)
        g = gateway.Gateway(self.emulator, start=False)
        self.addCleanup(g.stop)
        g.secret_file("imported.yaml", done.stdout)
        g.conf["include"] = os.path.join(g.folder, "imported.yaml")
        g.write()
        g.start()
        answer = self.client(of=g, modern=True).tool("cortex_search", service_name="SUPPORT_DOCS", query="late")
        self.assertFalse(answer.is_error, answer)

    def test_faults_have_lines(self):
        done = self.run_import("search_services:\n  - description: x\n")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("official.yaml:2: search_services.1", done.stderr)


if __name__ == "__main__":
    gateway.main()
