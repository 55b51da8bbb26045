#!/usr/bin/env python3
"""Sessions by hand, as a script with curl would: ids, contexts, handles, revisions."""

import unittest

import gateway
from gateway import LATEST, LEGACY, MODERN, Client

CONTEXT = "SELECT CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE(), CURRENT_SCHEMA()"


class Session(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.emulator = gateway.Emulator()
        cls.addClassCleanup(cls.emulator.stop)
        cls.gateway = gateway.Gateway(cls.emulator, {
            "auth": {"mode": "required"},
            "policies": [{"name": "all", "roles": ["SYSADMIN", "ANALYST"],
                          "statements": ["read", "metadata", "dml", "ddl"]}]}, keys=("alice", "bob"))
        cls.addClassCleanup(cls.gateway.stop)

    def setUp(self):
        self.emulator.clear()

    def client(self, key="alice", **how):
        client = Client(self.gateway, self.gateway.keys[key], **how)
        self.addCleanup(client.close)
        return client

    def legacy(self, key="alice", **how):
        client = self.client(key, **how)
        client.initialize()
        return client

    def context(self, client, **arguments):
        return client.query(CONTEXT, **arguments).rows[0]

    def assert_gone(self, answer):
        self.assertEqual(answer.status, 404, answer)
        self.assertEqual(answer.error["code"], -32600)
        self.assertIn("initialize", answer.error["message"])

    def test_initialize_gives_an_id(self):
        client = self.client()
        answer = client.initialize()
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.result["protocolVersion"], LATEST)
        self.assertIn("tools", answer.result["capabilities"])
        self.assertEqual(answer.result["serverInfo"]["name"], "snowgate")
        self.assertTrue(answer.result["instructions"])
        self.assertRegex(client.session, r"^[!-~]{16,}$")
        self.assertNotEqual(client.session, self.legacy().session)

    def test_initialize_ignores_an_id_that_it_carries(self):
        client = self.legacy()
        answer = client.rpc("initialize", {"protocolVersion": LATEST, "capabilities": {},
                                           "clientInfo": {"name": "e2e", "version": "1"}})
        self.assertEqual(answer.status, 200)
        self.assertNotEqual(answer.headers["Mcp-Session-Id"], client.session)

    def test_initialized_is_accepted(self):
        client = self.legacy()
        answer = client.notify("notifications/initialized")
        self.assertEqual((answer.status, answer.body), (202, b""))

    def test_the_context_survives_a_new_connection(self):
        client = self.legacy()
        answer = client.tool("set_context", database="SNOWFLAKE_SAMPLE_DATA", schema="TPCH_SF1", warehouse="WH_XS",
                             role="ANALYST")
        self.assertFalse(answer.is_error, answer)
        self.assertNotIn("session", answer.structured)
        client.close()
        again = self.client(session=client.session)
        self.assertEqual(self.context(again), ["ANALYST", "WH_XS", "SNOWFLAKE_SAMPLE_DATA", "TPCH_SF1"])

    def test_two_ids_hold_two_contexts(self):
        one, two = self.legacy(), self.legacy()
        one.tool("set_context", database="SNOWFLAKE_SAMPLE_DATA", schema="TPCH_SF1")
        two.tool("set_context", warehouse="WH_LOAD")
        for _ in range(3):
            self.assertEqual(self.context(one), ["SYSADMIN", "COMPUTE_WH", "SNOWFLAKE_SAMPLE_DATA", "TPCH_SF1"])
            self.assertEqual(self.context(two), ["SYSADMIN", "WH_LOAD", "DEMO", "PUBLIC"])

    def test_use_changes_the_session(self):
        client = self.legacy()
        for statement in ("USE ROLE ANALYST", "USE WAREHOUSE WH_XS", "use schema SNOWFLAKE_SAMPLE_DATA.TPCH_SF1"):
            answer = client.tool("execute_query", query=statement)
            self.assertFalse(answer.is_error, answer)
        self.assertIn("TPCH_SF1", answer.text)
        client.close()
        self.assertEqual(self.context(client), ["ANALYST", "WH_XS", "SNOWFLAKE_SAMPLE_DATA", "TPCH_SF1"])
        self.assertFalse(client.tool("execute_query", query="USE DATABASE DEMO").is_error)
        self.assertEqual(self.context(client)[2:], ["DEMO", "PUBLIC"])

    def test_a_use_that_fails_changes_nothing(self):
        client = self.legacy()
        for statement in ("USE WAREHOUSE NOT_THERE", "USE DATABASE NOT_THERE", "USE ROLE ACCOUNTADMIN"):
            answer = client.tool("execute_query", query=statement)
            self.assertTrue(answer.is_error, (statement, answer))
            self.assertIn(statement.split()[-1], answer.text)
        self.assertEqual(self.context(client), ["SYSADMIN", "COMPUTE_WH", "DEMO", "PUBLIC"])

    def test_alter_session_changes_the_session(self):
        client = self.legacy()
        answer = client.tool("execute_query", query="ALTER SESSION SET TIMEZONE = 'Asia/Tokyo'")
        self.assertFalse(answer.is_error, answer)
        client.query("SELECT 'with the zone'")
        self.assertEqual(self.emulator.record("with the zone")["parameters"]["TIMEZONE"], "Asia/Tokyo")
        self.assertFalse(client.tool("execute_query", query="ALTER SESSION UNSET TIMEZONE").is_error)
        client.query("SELECT 'without a zone'")
        self.assertNotIn("TIMEZONE", self.emulator.record("without a zone")["parameters"])

    def test_a_context_for_one_call_does_not_stay(self):
        client = self.legacy()
        self.assertEqual(self.context(client, warehouse="WH_XS")[1], "WH_XS")
        self.assertEqual(self.context(client)[1], "COMPUTE_WH")

    def test_delete_ends_the_session(self):
        client = self.legacy()
        answer = client.send("DELETE")
        self.assertEqual(answer.status, 200, answer)
        self.assert_gone(client.query("SELECT 1"))
        self.assert_gone(client.send("DELETE"))
        self.assertEqual(self.client().send("DELETE").status, 400)

    def test_forged_foreign_and_garbage_ids_are_not_found(self):
        own, foreign = self.legacy(), self.legacy("bob")
        at = len(own.session) // 2
        changed = own.session[:at] + ("A" if own.session[at] != "A" else "B") + own.session[at + 1:]
        for session in (changed, own.session[:-1], own.session + "A", foreign.session, "x", "0" * 300,
                        "../../etc/passwd", "' OR 1=1 --"):
            with self.subTest(session=session):
                self.assert_gone(self.client(session=session).query("SELECT 1"))
                self.assert_gone(self.client(session=session).rpc("tools/list"))
                self.assert_gone(self.client(session=session).send("DELETE"))
        self.assertEqual(own.query("SELECT 1").rows, [[1]])
        self.assertEqual(foreign.query("SELECT 1").rows, [[1]])

    def test_without_an_id_the_default_context_serves(self):
        client = self.client()
        self.assertEqual(self.context(client), ["SYSADMIN", "COMPUTE_WH", "DEMO", "PUBLIC"])

    def test_modern_without_a_session_and_with_a_handle(self):
        client = self.client(modern=True)
        self.assertEqual(self.context(client), ["SYSADMIN", "COMPUTE_WH", "DEMO", "PUBLIC"])
        told = client.tool("set_context", database="SNOWFLAKE_SAMPLE_DATA", schema="TPCH_SF1", warehouse="WH_XS")
        handle = told.structured["session"]
        self.assertRegex(handle, r"^[A-Za-z0-9]{12}$")
        self.assertIsNone(told.headers["Mcp-Session-Id"])
        client.close()
        self.assertEqual(self.context(client, session=handle),
                         ["SYSADMIN", "WH_XS", "SNOWFLAKE_SAMPLE_DATA", "TPCH_SF1"])
        self.assertEqual(self.context(client), ["SYSADMIN", "COMPUTE_WH", "DEMO", "PUBLIC"])
        answer = client.tool("execute_query", query="USE WAREHOUSE WH_LOAD", session=handle)
        self.assertFalse(answer.is_error, answer)
        self.assertEqual(self.context(client, session=handle)[1], "WH_LOAD")
        self.assertEqual(client.tool("set_context", session=handle).structured["context"]["warehouse"], "WH_LOAD")

    def test_modern_ignores_a_session_header(self):
        client = self.client(modern=True)
        answer = client.send(body=client.tool_message("execute_query", {"query": "SELECT 1"}),
                             more={"Mcp-Session-Id": "garbage"})
        self.assertEqual(answer.status, 200)
        self.assertFalse(answer.is_error, answer)

    def test_foreign_and_forged_handles_are_unknown(self):
        handle = self.client(modern=True).tool("set_context", warehouse="WH_XS").structured["session"]
        changed = ("a" if handle[0] != "a" else "b") + handle[1:]
        for key, name in (("bob", handle), ("alice", changed), ("alice", "x"), ("alice", "0" * 200)):
            with self.subTest(key=key, name=name):
                answer = self.client(key, modern=True).query("SELECT 1", session=name)
                self.assertTrue(answer.is_error)
                self.assertIn("set_context", answer.text)
        self.assertEqual(self.client(modern=True).query("SELECT 1", session=handle).rows, [[1]])

    def test_both_present_and_different_is_an_error(self):
        client = self.legacy()
        handle = self.client(modern=True).tool("set_context", warehouse="WH_XS").structured["session"]
        answer = client.query("SELECT 1", session=handle)
        self.assertEqual(answer.error["code"], -32602, answer)
        self.assertIn("Mcp-Session-Id", answer.error["message"])
        self.assertEqual(client.query("SELECT 1").rows, [[1]])

    def test_use_without_a_session_tells_how_to_get_one(self):
        for modern in (False, True):
            client = self.client(modern=modern)
            for statement in ("USE WAREHOUSE WH_XS", "ALTER SESSION SET TIMEZONE = 'UTC'"):
                answer = client.tool("execute_query", query=statement)
                self.assertTrue(answer.is_error)
                self.assertIn("set_context", answer.text)
            self.assertEqual(self.context(client)[1], "COMPUTE_WH")

    def test_every_legacy_revision_negotiates(self):
        for revision in ("2024-11-05",) + LEGACY:
            with self.subTest(revision=revision):
                client = self.client(revision=revision)
                self.assertEqual(client.initialize().result["protocolVersion"], revision)
                self.assertEqual(client.rpc("ping").result, {})
                answer = client.tool("execute_query", query="SELECT 7 AS N", format="json")
                self.assertIn("7", answer.text)
                self.assertEqual("structuredContent" in answer.result, revision >= "2025-06-18")

    def test_an_unknown_revision_is_offered_the_latest(self):
        for revision in ("1999-01-01", "2030-01-01", MODERN):
            self.assertEqual(self.client().initialize(revision).result["protocolVersion"], LATEST)

    def test_the_modern_revision_has_no_initialize(self):
        client = self.client(modern=True)
        answer = client.rpc("initialize")
        self.assertEqual(answer.status, 404)
        self.assertEqual(answer.error["code"], -32601)
        discovered = client.rpc("server/discover").result
        self.assertEqual(discovered["supportedVersions"], [MODERN])

    def test_a_session_keeps_its_revision_without_the_header(self):
        client = self.legacy(revision="2025-06-18")
        answer = client.send(body=client.tool_message("execute_query", {"query": "SELECT 1", "format": "json"}),
                             drop=("MCP-Protocol-Version",))
        self.assertIn("structuredContent", answer.result)

    def test_the_list_shows_session_only_without_a_session(self):
        def properties(client):
            tools = {t["name"]: t for t in client.rpc("tools/list").result["tools"]}
            return tools["execute_query"]["inputSchema"]["properties"]
        self.assertNotIn("session", properties(self.legacy()))
        self.assertIn("session", properties(self.client()))
        self.assertIn("session", properties(self.client(modern=True)))

    def test_preferences_are_the_session_s(self):
        client = self.legacy()
        client.tool("set_context", preferences={"format": "json", "limit": 2})
        answer = client.tool("execute_query", query="SELECT NAME FROM DEMO.PUBLIC.CUSTOMERS ORDER BY ID")
        self.assertEqual(answer.rows, [["Acme"], ["Bolt"]])
        self.assertEqual(answer.structured["totalRows"], 4)
        rest = client.tool("get_result", statement_handle=answer.structured["statementHandle"],
                           offset=answer.structured["nextOffset"])
        self.assertEqual(rest.rows, [["Crate"], ["Dyn"]])

    def test_required_refuses_what_has_no_session(self):
        strict = gateway.Gateway(self.emulator, {"session": {"required": True}})
        self.addCleanup(strict.stop)
        with Client(strict) as client:
            answer = client.query("SELECT 1")
            self.assertEqual(answer.status, 400)
            self.assertIn("initialize", answer.error["message"])
            client.initialize()
            self.assertEqual(client.query("SELECT 1").rows, [[1]])
        with Client(strict, modern=True) as client:
            self.assertEqual(client.query("SELECT 1").rows, [[1]])


if __name__ == "__main__":
    gateway.main()
