#!/usr/bin/env python3
"""Statements that are left, cancelled and waited for, looked at from the emulator's side."""

import http.client
import resource
import threading
import time
import unittest

import gateway
from gateway import LONG, Client, wait_for

MANY = 500 if LONG else 50
HELD_SECONDS = 30 if LONG else 5


class Cancel(unittest.TestCase):
    names = 0

    @classmethod
    def setUpClass(cls):
        cls.emulator = gateway.Emulator()
        cls.addClassCleanup(cls.emulator.stop)
        cls.gateway = gateway.Gateway(cls.emulator, {
            "policies": [{"name": "all", "statements": ["read", "metadata", "dml", "ddl"]}]})
        cls.addClassCleanup(cls.gateway.stop)

    def setUp(self):
        self.emulator.clear()

    def tearDown(self):
        self.emulator.clear()
        self.assertEqual(self.client(modern=True).query("SELECT 1").rows, [[1]])
        wait_for(lambda: self.gateway.metric("snowgate_slots_used") == 0, 10, "every slot to come back")

    def client(self, **how):
        client = Client(self.gateway, **how)
        self.addCleanup(client.close)
        return client

    def legacy(self):
        client = self.client()
        client.initialize()
        return client

    def held(self, seconds=30):
        """A statement that runs so long: its text, and what names it."""
        Cancel.names += 1
        name = f"statement {Cancel.names} of the test"
        self.emulator.hold(name, seconds)
        return f"SELECT '{name}'", name

    def assert_cancelled(self, name, seconds=1.0):
        self.assertEqual(self.emulator.record(name, "cancelled", seconds)["executions"], 0)

    def test_a_modern_client_that_leaves_cancels(self):
        sql, name = self.held()
        call = self.client(modern=True).start("execute_query", query=sql)
        self.emulator.record(name, "held")
        before = self.gateway.metric("snowgate_statements_cancelled_total")
        call.leave()
        self.assert_cancelled(name)
        wait_for(lambda: self.gateway.metric("snowgate_statements_cancelled_total") > before, 2, "the count")

    def test_a_modern_client_that_leaves_before_the_handle_is_known(self):
        sql, name = self.held()
        self.emulator.clear()
        self.emulator.fault({"delay_ms": 700, "hold_ms": 30000}, sql=name, op="submit")
        call = self.client(modern=True).start("execute_query", query=sql)
        self.emulator.record(name, "held")
        call.leave()
        self.assert_cancelled(name, 0.7 + 1.0)

    def test_a_modern_client_that_leaves_the_queue_never_runs(self):
        narrow = gateway.Gateway(self.emulator, {"limits": {"default": {"running": 1, "queued": 4}}})
        self.addCleanup(narrow.stop)
        sql, name = self.held()
        first = Client(narrow, modern=True).start("execute_query", query=sql)
        self.emulator.record(name, "held")
        second = Client(narrow, modern=True).start("execute_query", query="SELECT 'never to be run'")
        wait_for(lambda: narrow.metric("snowgate_queue_depth") == 1, 5, "the second to wait")
        second.leave()
        wait_for(lambda: narrow.metric("snowgate_queue_depth") == 0, 2, "the queue to be left")
        first.leave()
        self.assert_cancelled(name)
        with Client(narrow, modern=True) as client:
            self.assertEqual(client.query("SELECT 1").rows, [[1]])
        self.assertEqual(self.emulator.records("never to be run"), [])

    def test_a_legacy_client_that_leaves_does_not_cancel(self):
        sql, name = self.held(1.5)
        client = self.legacy()
        call = client.start("execute_query", query=sql)
        self.emulator.record(name, "held")
        departed = self.gateway.metric("snowgate_http_departed_total")
        call.leave()
        wait_for(lambda: self.gateway.metric("snowgate_http_departed_total") > departed, 2, "the departure")
        self.assertEqual(self.emulator.record(name, "succeeded", 5)["executions"], 1)
        self.assertEqual(client.query("SELECT 1").rows, [[1]])

    def test_notifications_cancelled(self):
        client = self.legacy()
        sql, name = self.held()
        call = client.start("execute_query", query=sql)
        self.emulator.record(name, "held")
        answer = client.notify("notifications/cancelled", {"requestId": call.id, "reason": "enough"})
        self.assertEqual(answer.status, 202)
        self.assert_cancelled(name)
        self.assertEqual(call.answer().body, b"")

    def test_notifications_cancelled_before_the_handle_is_known(self):
        client = self.legacy()
        _, name = self.held()
        self.emulator.clear()
        self.emulator.fault({"delay_ms": 700, "hold_ms": 30000}, sql=name, op="submit")
        call = client.start("execute_query", query=f"SELECT '{name}'")
        self.emulator.record(name, "held")
        self.assertEqual(client.notify("notifications/cancelled", {"requestId": call.id}).status, 202)
        self.assert_cancelled(name, 0.7 + 1.0)
        self.assertEqual(call.answer().body, b"")

    def test_notifications_cancelled_of_another_session_or_id_does_nothing(self):
        client, other = self.legacy(), self.legacy()
        sql, name = self.held(1.5)
        call = client.start("execute_query", query=sql)
        self.emulator.record(name, "held")
        self.assertEqual(other.notify("notifications/cancelled", {"requestId": call.id}).status, 202)
        self.assertEqual(client.notify("notifications/cancelled", {"requestId": str(call.id)}).status, 202)
        self.assertEqual(client.notify("notifications/cancelled", {"requestId": call.id + 1000}).status, 202)
        self.assertEqual(client.notify("notifications/cancelled", {}).status, 202)
        self.assertEqual(client.notify("notifications/cancelled").status, 202)
        self.assertFalse(call.answer().is_error)
        self.assertEqual(self.emulator.record(name)["state"], "succeeded")

    def test_delete_of_the_session_cancels(self):
        client, other = self.legacy(), self.legacy()
        sql, name = self.held()
        kept_sql, kept = self.held(2)
        call, kept_call = client.start("execute_query", query=sql), other.start("execute_query", query=kept_sql)
        self.emulator.record(name, "held")
        self.emulator.record(kept, "held")
        self.assertEqual(client.send("DELETE").status, 200)
        self.assert_cancelled(name)
        call.answer()
        self.assertFalse(kept_call.answer().is_error)

    def test_running_then_cancel_query(self):
        for client in (self.client(modern=True), self.legacy()):
            sql, name = self.held()
            answer = client.tool("execute_query", query=sql, wait_seconds=0)
            self.assertFalse(answer.is_error)
            self.assertIn("running", answer.text)
            self.assertIn("get_result", answer.text)
            handle = answer.text.split('get_result("')[1].split('"')[0]
            cancelled = client.tool("cancel_query", statement_handle=handle)
            self.assertFalse(cancelled.is_error, cancelled)
            self.assert_cancelled(name)
            again = client.tool("get_result", statement_handle=handle)
            self.assertTrue(again.is_error)
            self.assertIn("cancelled", again.text)

    def test_running_then_the_rows(self):
        for client in (self.client(modern=True), self.legacy()):
            sql, name = self.held(1.5)
            answer = client.query(sql, wait_seconds=0).structured
            self.assertEqual(answer["status"], "running")
            self.assertNotIn("rows", answer)
            again = client.tool("get_result", statement_handle=answer["statementHandle"], format="json",
                                wait_seconds=0).structured
            self.assertEqual(again["status"], "running")
            self.assertEqual(again["statementHandle"], answer["statementHandle"])
            done = client.tool("get_result", statement_handle=answer["statementHandle"], format="json", wait_seconds=30)
            self.assertEqual(done.structured["status"], "complete")
            self.assertEqual(done.rows, [[name]])
            self.assertEqual(self.emulator.record(name)["executions"], 1)

    def test_cancel_query_leaves_an_ended_statement_as_it_is(self):
        client = self.client(modern=True)
        handle = client.query("SELECT 3").structured["statementHandle"]
        answer = client.tool("cancel_query", statement_handle=handle)
        self.assertFalse(answer.is_error, answer)
        self.assertIn("ended", answer.text)
        self.assertEqual(client.tool("get_result", statement_handle=handle, format="json").rows, [[3]])

    def test_cancel_of_a_statement_cancelled_behind_the_gateway(self):
        client = self.client(modern=True)
        sql, name = self.held()
        answer = client.query(sql, wait_seconds=0).structured
        with_upstream = http.client.HTTPConnection("127.0.0.1", self.emulator.port, timeout=10)
        with_upstream.request("POST", f"/api/v2/statements/{answer['queryId']}/cancel", headers={
            "Authorization": "Bearer " + gateway.TOKEN, "User-Agent": "e2e/1", "Accept": "application/json",
            "X-Snowflake-Authorization-Token-Type": "PROGRAMMATIC_ACCESS_TOKEN"})
        self.assertEqual(with_upstream.getresponse().status, 200)
        with_upstream.close()
        self.assert_cancelled(name)
        told = client.tool("get_result", statement_handle=answer["statementHandle"])
        self.assertTrue(told.is_error)
        self.assertIn("000604", told.text)

    def test_the_statement_s_time_limit(self):
        sql, name = self.held()
        answer = self.client(modern=True).query(sql, timeout_seconds=1)
        self.assertTrue(answer.is_error)
        self.assertIn("timeout_seconds", answer.text)
        self.assertEqual(self.emulator.record(name)["timeout"], 1)

    def test_the_answer_of_a_cancel_may_fail_and_is_tried_again(self):
        sql, name = self.held()
        self.emulator.fault({"status": 503}, op="cancel")
        self.emulator.fault({"reset_before": True}, op="cancel")
        call = self.client(modern=True).start("execute_query", query=sql)
        self.emulator.record(name, "held")
        call.leave()
        self.assert_cancelled(name, 3)

    def test_a_write_whose_answer_is_lost_runs_once(self):
        self.assertFalse(self.client().query("CREATE OR REPLACE TABLE DEMO.PUBLIC.LEFT_ALONE (N INT)").is_error)
        name = "INSERT INTO DEMO.PUBLIC.LEFT_ALONE"
        self.emulator.fault({"reset_after": True}, sql=name, op="submit")
        answer = self.client(modern=True).query(name + " VALUES (1)")
        self.assertFalse(answer.is_error, answer)
        self.assertEqual([r["executions"] for r in self.emulator.records(name)], [1])
        self.assertEqual(self.client().query("SELECT N FROM DEMO.PUBLIC.LEFT_ALONE").rows, [["1"]])


class Many(unittest.TestCase):
    """As many statements as the limits allow, held; short ones are answered meanwhile."""

    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 8 * MANY + 1024
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
        cls.emulator = gateway.Emulator("--threads", "64")
        cls.addClassCleanup(cls.emulator.stop)
        limits = {"running": MANY + 20, "queued": 100, "calls_per_minute": 1000000, "burst": 100000}
        cls.gateway = gateway.Gateway(cls.emulator, {
            "snowflake": {"max_in_flight": MANY + 20, "max_connections": 64},
            "results": {"wait": f"{HELD_SECONDS + 60}s"}, "limits": {"default": limits}})
        cls.addClassCleanup(cls.gateway.stop)

    def test_short_statements_pass_held_ones(self):
        self.emulator.hold("of the held", HELD_SECONDS)
        calls = [Client(self.gateway, modern=i % 2 == 0, timeout=HELD_SECONDS + 120)
                 .start("execute_query", query=f"SELECT '{i} of the held'", format="json") for i in range(MANY)]
        begin = time.monotonic()
        wait_for(lambda: self.emulator.stats()["running"] >= MANY, 20, f"{MANY} statements in execution")
        self.assertEqual(self.gateway.metric("snowgate_slots_used"), MANY)
        slowest = 0
        with Client(self.gateway, modern=True) as client:
            for n in range(40):
                asked = time.monotonic()
                self.assertEqual(client.query(f"SELECT {n}").rows, [[n]])
                slowest = max(slowest, time.monotonic() - asked)
        self.assertLess(slowest, 2, "the slowest of the short statements")
        if time.monotonic() - begin < HELD_SECONDS:
            self.assertGreaterEqual(self.emulator.stats()["max_running"], MANY)
        answers = [call.answer() for call in calls]
        self.assertEqual([a.rows for a in answers], [[[f"{i} of the held"]] for i in range(MANY)])
        self.assertGreaterEqual(time.monotonic() - begin, HELD_SECONDS - 2)
        wait_for(lambda: self.gateway.metric("snowgate_slots_used") == 0, 10, "every slot to come back")

    def test_all_leave_at_once(self):
        self.emulator.reset()
        self.emulator.hold("to be left", 120)
        calls = [Client(self.gateway, modern=True).start("execute_query", query=f"SELECT '{i} to be left'")
                 for i in range(MANY)]
        wait_for(lambda: self.emulator.stats()["running"] >= MANY, 20, f"{MANY} statements in execution")
        leaving = [threading.Thread(target=call.leave) for call in calls]
        for thread in leaving:
            thread.start()
        for thread in leaving:
            thread.join()
        wait_for(lambda: self.emulator.stats()["running"] == 0, 5, "every statement to be cancelled")
        self.assertEqual(self.emulator.stats()["cancelled"], MANY)
        wait_for(lambda: self.gateway.metric("snowgate_slots_used") == 0, 10, "every slot to come back")


if __name__ == "__main__":
    gateway.main()
