#!/usr/bin/env python3
"""Statements beyond a single query: scripts, session parameters that Snowflake's SQL API does not carry by itself, dry
runs, QUERY_TAG, and contexts that do not exist. Against the real programs."""

import hashlib
import json
import unittest

import gateway
from gateway import Client, Emulator, Gateway

ALL = ["read", "metadata", "dml", "ddl"]
TABLE = "DEMO.PUBLIC.SCRIPTED"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Statements(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.emulator = Emulator()
        policies = [{"match": {"principal": "scripter"}, "statements": ALL + ["script"], "confirm": "never"},
                    {"match": {"principal": "writer"}, "statements": ALL, "confirm": "never"},
                    {"match": {"principal": "demo-only"}, "statements": ["read", "metadata", "script"],
                     "databases": ["DEMO"]}]
        cls.gateway = Gateway(cls.emulator, {"policies": policies}, keys=("scripter", "writer", "demo-only"))

    @classmethod
    def tearDownClass(cls):
        cls.gateway.stop()
        cls.emulator.stop()

    def client(self, name="scripter", **how):
        client = Client(self.gateway, self.gateway.keys[name], **how)
        self.addCleanup(client.close)
        if not how.get("modern"):
            client.initialize()
        return client

    def setUp(self):
        self.emulator.reset()
        self.scripter = self.client()

    # ---- scripts ----

    def test_script_runs_its_statements_in_order_in_one_request(self):
        answer = self.scripter.query(f"CREATE OR REPLACE TABLE {TABLE} (A INT); INSERT INTO {TABLE} VALUES (1), (2); "
                                     f"SELECT SUM(A) AS S FROM {TABLE}")
        self.assertEqual(int(answer.rows[0][0]), 3)
        self.assertEqual(len(answer.structured["statements"]), 3)
        handle = answer.structured["statements"][1]["statementHandle"]
        rows = self.scripter.tool("get_result", statement_handle=handle, format="json").rows
        self.assertEqual(int(rows[0][0]), 2)
        record = self.emulator.record("SELECT SUM(A)")
        self.assertEqual(record["parameters"]["MULTI_STATEMENT_COUNT"], "3")

    def test_transaction_that_is_rolled_back_leaves_nothing(self):
        self.scripter.query(f"CREATE OR REPLACE TABLE {TABLE} (A INT)")
        self.scripter.query(f"BEGIN TRANSACTION; INSERT INTO {TABLE} VALUES (1); ROLLBACK; SELECT 1")
        self.assertEqual(int(self.scripter.query(f"SELECT COUNT(*) FROM {TABLE}").rows[0][0]), 0)
        self.scripter.query(f"BEGIN; INSERT INTO {TABLE} VALUES (1); COMMIT")
        self.assertEqual(int(self.scripter.query(f"SELECT COUNT(*) FROM {TABLE}").rows[0][0]), 1)

    def test_failure_in_the_middle_says_so_and_is_executed_once(self):
        self.scripter.query(f"CREATE OR REPLACE TABLE {TABLE} (A INT)")
        answer = self.scripter.query(f"INSERT INTO {TABLE} VALUES (1); SELECT * FROM NO_SUCH_TABLE_HERE; "
                                     f"INSERT INTO {TABLE} VALUES (2)")
        self.assertTrue(answer.is_error)
        self.assertIn("NO_SUCH_TABLE_HERE", answer.text)
        self.assertEqual(int(self.scripter.query(f"SELECT COUNT(*) FROM {TABLE}").rows[0][0]), 1)

    def test_each_statement_is_judged_before_anything_runs(self):
        client = self.client("demo-only")
        for sql in ("SELECT 1; DROP TABLE DEMO.PUBLIC.CUSTOMERS", "SELECT 1; CALL SYSTEM$WAIT(1)",
                    "USE DATABASE SNOWFLAKE_SAMPLE_DATA; SELECT 1", "SELECT 1; SELECT * FROM SNOWFLAKE_SAMPLE_DATA.X.Y"):
            with self.subTest(sql):
                self.assertTrue(client.query(sql).is_error)
        self.assertEqual(self.emulator.records(), [])

    def test_several_statements_are_refused_without_the_class(self):
        answer = self.client("writer").query("SELECT 1; SELECT 2")
        self.assertTrue(answer.is_error)
        self.assertEqual(self.emulator.records(), [])

    def test_rows_of_a_script_that_was_answered_running(self):
        """get_result follows the handle of the whole to the rows of its last statement, and tells the others."""
        sql = f"CREATE OR REPLACE TABLE {TABLE} (A INT); SELECT 'late script' AS T, 7 AS N"
        self.emulator.hold("late script", 1)
        first = self.scripter.query(sql, wait_seconds=0)
        self.assertEqual(first.structured["status"], "running")
        late = self.scripter.tool("get_result", statement_handle=first.structured["statementHandle"], format="json")
        self.assertEqual([str(v) for v in late.rows[0]], ["late script", "7"])
        self.assertEqual(len(late.structured["statements"]), 2)

    def test_bindings_are_refused_in_a_script(self):
        answer = self.scripter.query("SELECT ?; SELECT 1", bindings=[1])
        self.assertTrue(answer.is_error)
        self.assertIn("bindings", answer.text)

    def test_definition_tells_whether_scripts_are_allowed(self):
        def description(client):
            tools = client.rpc("tools/list").result["tools"]
            return next(t["description"] for t in tools if t["name"] == "execute_query")
        self.assertIn("semicolons", description(self.scripter))
        self.assertIn("One statement per call", description(self.client("writer")))

    # ---- session parameters ----

    def test_parameter_that_needs_alter_session_counts_for_later_statements(self):
        client = self.client("writer")
        self.assertFalse(client.tool("set_context", parameters={"WEEK_START": 1}).is_error)
        first = client.query("SELECT DAYOFWEEK('2026-11-22'::DATE)")
        self.assertFalse(first.is_error, first)
        record = next(r for r in self.emulator.records("DAYOFWEEK") if "ALTER SESSION" in r["sql"])
        self.assertIn("ALTER SESSION SET WEEK_START = 1; SELECT", record["sql"])
        self.assertEqual(record["parameters"]["MULTI_STATEMENT_COUNT"], "2")
        again = client.tool("get_result", statement_handle=first.structured["statementHandle"], format="json")
        self.assertEqual(again.rows, first.rows)

    def test_bindings_beside_such_a_parameter_are_refused_with_a_reason(self):
        client = self.client("writer")
        client.tool("set_context", parameters={"WEEK_START": 1})
        answer = client.query("SELECT ?", bindings=[1])
        self.assertTrue(answer.is_error)
        self.assertIn("WEEK_START", answer.text)

    def test_parameters_that_nothing_can_carry_are_refused(self):
        client = self.client("writer")
        for name in ("SEARCH_PATH", "AUTOCOMMIT", "MULTI_STATEMENT_COUNT", "NO_SUCH_PARAMETER"):
            with self.subTest(name):
                self.assertTrue(client.tool("set_context", parameters={name: "1"}).is_error)

    # ---- context ----

    def test_context_that_does_not_exist_is_refused_when_it_is_set(self):
        client = self.client("writer")
        for member in ("role", "warehouse", "database", "schema"):
            with self.subTest(member):
                answer = client.tool("set_context", **{member: "NO_SUCH_THING"})
                self.assertTrue(answer.is_error, answer)
        context = json.loads(client.tool("set_context").text)["context"]
        self.assertNotIn("NO_SUCH_THING", context.values())

    # ---- dry runs ----

    def test_dry_run_tells_partitions_and_bytes_and_executes_nothing(self):
        sql = "SELECT COUNT(*) FROM SNOWFLAKE_SAMPLE_DATA.TPCH_SF1.LINEITEM"
        told = self.scripter.query(sql, dry_run=True).structured
        self.assertTrue(told["allowed"])
        self.assertEqual(told["class"], "read")
        self.assertGreater(told["partitionsTotal"], 0)
        self.assertGreaterEqual(told["partitionsTotal"], told["partitionsAssigned"])
        self.assertGreater(told["bytesAssigned"], 0)
        self.assertTrue(self.emulator.record("LINEITEM")["sql"].startswith("EXPLAIN USING JSON"))

    def test_dry_run_of_a_write_changes_nothing(self):
        self.scripter.query(f"CREATE OR REPLACE TABLE {TABLE} (A INT)")
        told = self.scripter.query(f"INSERT INTO {TABLE} VALUES (1)", dry_run=True)
        self.assertFalse(told.is_error, told)
        told = self.scripter.query(f"DROP TABLE {TABLE}", dry_run=True).structured
        self.assertTrue(told["destructive"])
        self.assertEqual(int(self.scripter.query(f"SELECT COUNT(*) FROM {TABLE}").rows[0][0]), 0)

    # ---- QUERY_TAG ----

    def test_query_tag_names_principal_session_tool_and_trace_without_telling_who(self):
        client = self.client("writer")
        client.tool("set_context", parameters={"QUERY_TAG": "month end"})
        message = client.tool_message("execute_query", {"query": "SELECT 'tagged'"},
                                      meta={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
        client.send(body=message)
        tag = self.emulator.record("tagged")["parameters"]["QUERY_TAG"]
        read = json.loads(tag)
        self.assertEqual((read["app"], read["tool"], read["trace"], read["tag"]),
                         ("snowgate", "execute_query", TRACE, "month end"))
        self.assertEqual(read["session"], hashlib.sha256(client.session.encode()).hexdigest()[:16])
        self.assertNotIn("writer", tag)
        self.assertNotIn(client.session, tag)
        other = self.client("scripter")
        other.query("SELECT 'other tag'")
        self.assertNotEqual(json.loads(self.emulator.record("other tag")["parameters"]["QUERY_TAG"])["principal"],
                            read["principal"])


if __name__ == "__main__":
    gateway.main()
