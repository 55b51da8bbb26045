#!/usr/bin/env python3
"""How the gateway ends, begins again, and takes over what was changed while it runs."""

import http.client
import json
import os
import shutil
import signal
import threading
import time
import unittest

import gateway
from gateway import Client, Gateway, wait_for

DRAINING = 50302


class Stopping(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.emulator = gateway.Emulator()
        cls.addClassCleanup(cls.emulator.stop)

    def setUp(self):
        self.emulator.reset()

    def gateway(self, *args, **conf):
        g = Gateway(self.emulator, gateway.merge({"listen": {"drain": "8s"}}, conf), *args)
        self.addCleanup(g.stop)
        return g

    def client(self, g, key=None, **how):
        client = Client(g, key, **how)
        self.addCleanup(client.close)
        return client

    def assert_ends(self, g, seconds):
        begin = time.monotonic()
        self.assertEqual(g.process.wait(seconds + 10), 0, g.process.text())
        self.assertLess(time.monotonic() - begin, seconds)
        self.assertTrue(g.log("stopped"), g.process.text())

    def assert_draining(self, answer):
        self.assertEqual(answer.status, 503, answer)
        self.assertEqual(answer.error["code"], DRAINING)
        self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)

    def held_calls(self, g, n, seconds, modern=None):
        self.emulator.hold("of the held", seconds)
        calls = [Client(g, modern=i % 2 == 0 if modern is None else modern)
                 .start("execute_query", query=f"SELECT '{i} of the held'", format="json") for i in range(n)]
        wait_for(lambda: len(self.emulator.records("of the held")) == n, 10, f"{n} held statements")
        return calls


class Stop(Stopping):
    def test_an_idle_gateway_ends_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            g = self.gateway()
            with Client(g, modern=True) as client:
                self.assertEqual(client.query("SELECT 1").rows, [[1]])
                g.process.signal(number)
                self.assert_ends(g, 3)

    def load(self, g, answers, told):
        """Calls on one connection until there is none to be had."""
        client = Client(g, modern=True)
        while True:
            before = not told.is_set()
            try:
                message = client.tool_message("execute_query", {"query": "SELECT 'load'", "format": "json"})
                if client.connection is None:
                    client.connection = http.client.HTTPConnection("127.0.0.1", g.port, timeout=30)
                client.connection.request("POST", "/mcp", json.dumps(message), client.headers(message))
                response = client.connection.getresponse()
                answers.append((before, gateway.Answer(response.status, response.headers, response.read())))
                if response.will_close:
                    client.close()
            except (OSError, http.client.HTTPException) as problem:
                answers.append((before, problem))
                client.close()
                return

    def test_sigterm_under_load_answers_every_call(self):
        g = self.gateway()
        calls = self.held_calls(g, 20, 1.5)
        answers, told = [], threading.Event()
        threads = [threading.Thread(target=self.load, args=(g, answers, told)) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(answers) > 40, 10, "some load")
        begin = time.monotonic()
        told.set()
        g.process.signal(signal.SIGTERM)
        held = [call.answer() for call in calls]
        self.assert_ends(g, 5)
        for thread in threads:
            thread.join(30)
        self.assertLess(time.monotonic() - begin, 8)
        self.assertEqual([a.rows for a in held], [[[f"{i} of the held"]] for i in range(20)])
        for before, answer in answers:
            if isinstance(answer, Exception):
                self.assertFalse(before, f"a call sent before the signal got no answer: {answer!r}")
            elif answer.status == 200:
                self.assertEqual(answer.rows, [["load"]])
            else:
                self.assert_draining(answer)
        self.assertEqual({r["state"] for r in self.emulator.records()}, {"succeeded"})

    def test_while_draining_new_calls_are_refused(self):
        g = self.gateway(listen={"drain": "8s"})
        client, other = self.client(g, modern=True), self.client(g)
        self.assertEqual(client.query("SELECT 1").rows, [[1]])
        other.initialize()
        call = self.held_calls(g, 1, 2)[0]
        g.process.signal(signal.SIGTERM)
        wait_for(lambda: g.log("draining"), 5, "the gateway to drain")
        self.assert_draining(client.query("SELECT 2"))
        self.assert_draining(other.query("SELECT 2"))
        wait_for(lambda: not self.connects(g.port), 5, "the listener to be closed")
        self.assertEqual(call.answer().rows, [["0 of the held"]])
        self.assert_ends(g, 5)
        self.assertEqual(self.emulator.records("SELECT 2"), [])

    def connects(self, port):
        try:
            gateway.connect(port, 2).close()
            return True
        except OSError:
            return False

    def test_a_statement_longer_than_the_drain_is_refused_and_cancelled(self):
        g = self.gateway(listen={"drain": "1s"})
        calls = self.held_calls(g, 6, 60)
        g.process.signal(signal.SIGTERM)
        for call in calls:
            self.assert_draining(call.answer())
        self.assert_ends(g, 6)
        wait_for(lambda: {r["state"] for r in self.emulator.records("of the held")} == {"cancelled"}, 2,
                 "the statements to be cancelled")

    def test_a_second_sigterm_ends_at_once(self):
        g = self.gateway(listen={"drain": "10m"})
        calls = self.held_calls(g, 2, 60)
        g.process.signal(signal.SIGTERM)
        wait_for(lambda: g.log("draining"), 5, "the gateway to drain")
        self.assertIsNone(g.process.process.poll())
        g.process.signal(signal.SIGTERM)
        for call in calls:
            self.assert_draining(call.answer())
        self.assert_ends(g, 6)
        wait_for(lambda: {r["state"] for r in self.emulator.records("of the held")} == {"cancelled"}, 2,
                 "the statements to be cancelled")

    def test_a_queued_call_is_answered_too(self):
        g = self.gateway(listen={"drain": "1s"}, limits={"default": {"running": 1}})
        call = self.held_calls(g, 1, 60)[0]
        queued = Client(g).start("execute_query", query="SELECT 'queued'")
        wait_for(lambda: g.metric("snowgate_queue_depth") == 1, 5, "a queued call")
        g.process.signal(signal.SIGTERM)
        self.assert_draining(call.answer())
        self.assert_draining(queued.answer())
        self.assert_ends(g, 6)
        self.assertEqual(self.emulator.records("'queued'"), [])

    def test_a_client_that_leaves_while_draining(self):
        g = self.gateway(listen={"drain": "8s"})
        calls = self.held_calls(g, 2, 1.5, modern=True)
        g.process.signal(signal.SIGTERM)
        wait_for(lambda: g.log("draining"), 5, "the gateway to drain")
        calls[0].leave()
        self.assertEqual(calls[1].answer().rows, [["1 of the held"]])
        self.assert_ends(g, 5)

    def test_snowflake_does_not_answer_while_draining(self):
        g = self.gateway(listen={"drain": "1s"})
        self.emulator.fault({"hang": True}, sql="never answered", op="submit", times=-1)
        call = Client(g, modern=True).start("execute_query", query="SELECT 'never answered'")
        wait_for(lambda: g.metric("snowgate_upstream_in_flight") == 1, 5, "the submission")
        g.process.signal(signal.SIGTERM)
        self.assert_draining(call.answer())
        self.assert_ends(g, 8)


class Again(Stopping):
    def test_after_a_kill_a_restart_works(self):
        g = self.gateway(listen={"port": gateway.free_port()})
        client = self.client(g)
        client.initialize()
        self.emulator.hold("outlives the gateway", 2)
        handle = client.query("SELECT 'outlives the gateway'", wait_seconds=0).structured["statementHandle"]
        held = self.held_calls(g, 4, 30)
        g.process.signal(signal.SIGKILL)
        self.assertEqual(g.process.wait(), -signal.SIGKILL)
        for call in held:
            with self.assertRaises((OSError, http.client.HTTPException)):
                call.answer()
        g.start()
        client.close()
        answer = client.query("SELECT 1")
        self.assertEqual(answer.status, 404, "sessions of the memory store end with the process")
        client.initialize()
        self.assertEqual(client.query("SELECT 1").rows, [[1]])
        done = client.tool("get_result", statement_handle=handle, format="json", wait_seconds=20)
        self.assertEqual(done.rows, [["outlives the gateway"]])
        g.process.signal(signal.SIGTERM)
        self.assert_ends(g, 5)

    def test_restarts_in_a_row_on_one_port(self):
        g = self.gateway(listen={"port": gateway.free_port()})
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            with Client(g, modern=True) as client:
                self.assertEqual(client.query("SELECT 1").rows, [[1]])
                g.process.signal(number)
                begin = time.monotonic()
                g.process.wait()
                self.assertLess(time.monotonic() - begin, 4)
            g.start()


class Reload(Stopping):
    def reload(self, g, event):
        before = len(g.log(event))
        g.process.signal(signal.SIGHUP)
        wait_for(lambda: len(g.log(event)) > before, 5, event)
        return g.log(event)[-1]

    def test_sighup_takes_a_new_rate(self):
        g = self.gateway(limits={"default": {"calls_per_minute": 1, "burst": 2}})
        with Client(g, modern=True) as client:
            self.assertEqual([client.rpc("tools/list").status for _ in range(3)], [200, 200, 429])
            g.conf["limits"]["default"] = {"calls_per_minute": 600000, "burst": 1000}
            g.write()
            self.reload(g, "configuration_loaded")
            wait_for(lambda: client.rpc("tools/list").status == 200, 5, "the new rate")
            self.assertEqual([client.rpc("tools/list").status for _ in range(50)], [200] * 50)
            g.conf["limits"]["default"] = {"calls_per_minute": 1, "burst": 1}
            g.write()
            self.reload(g, "configuration_loaded")
            wait_for(lambda: client.rpc("tools/list").status == 429, 5, "the new rate")

    def test_sighup_takes_a_new_cap(self):
        g = self.gateway()
        with Client(g, modern=True) as client:
            g.conf["limits"]["default"].update(running=1, queued=0)
            g.write()
            self.reload(g, "configuration_loaded")
            wait_for(lambda: client.tool("set_context").structured["limits"]["runningMax"] == 1, 5, "the new cap")
            call = self.held_calls(g, 1, 1)[0]
            answer = client.query("SELECT 1")
            self.assertEqual((answer.status, answer.error["code"]), (429, 42902))
            self.assertEqual(call.answer().rows, [["0 of the held"]])

    def test_sighup_with_a_fault_keeps_what_was(self):
        g = self.gateway()
        with Client(g, modern=True) as client:
            for text in ("listen: {port: 1, nonsense: 2}\n", "listen: [\n", ""):
                g.write(text)
                event = self.reload(g, "configuration_refused")
                self.assertEqual(event["level"], "error")
                self.assertTrue(event["faults"])
                self.assertEqual(client.query("SELECT 1").rows, [[1]])
            g.write()
            self.reload(g, "configuration_loaded")
            self.assertEqual(client.query("SELECT 1").rows, [[1]])

    def test_sighup_tells_what_needs_a_restart(self):
        g = self.gateway()
        g.conf["listen"]["max_connections"] = 100
        g.write()
        self.assertIn("listen.max_connections", self.reload(g, "restart_needed")["settings"])

    def test_sighup_while_calls_run(self):
        g = self.gateway()
        calls = self.held_calls(g, 4, 1)
        for _ in range(5):
            self.reload(g, "configuration_loaded")
        self.assertEqual([call.answer().rows for call in calls], [[[f"{i} of the held"]] for i in range(4)])
        g.process.signal(signal.SIGTERM)
        self.assert_ends(g, 5)

    def test_an_edit_of_the_key_file_is_picked_up(self):
        g = self.gateway(("first",))
        first = self.client(g, g.keys["first"], modern=True)
        self.assertEqual(first.rpc("tools/list").status, 200)
        second = self.client(g, g.key("second"), modern=True)
        wait_for(lambda: second.rpc("tools/list").status == 200, 5, "the new key")
        self.assertEqual(g.run("key", "revoke", "first").returncode, 0)
        wait_for(lambda: first.rpc("tools/list").status == 401, 5, "the revoked key to be refused")
        self.assertEqual(second.rpc("tools/list").status, 200)
        path = os.path.join(g.folder, "api-keys")
        with open(path, "a") as f:
            f.write("this is no key\n")
        wait_for(lambda: g.log("keys_refused"), 5, "the fault to be told")
        self.assertIn("api-keys:", g.log("keys_refused")[0]["reason"])
        self.assertEqual(second.rpc("tools/list").status, 200)
        self.assertEqual(first.rpc("tools/list").status, 401)

    def test_a_revoked_key_loses_its_session_too(self):
        g = self.gateway(("first", "second"))
        client = self.client(g, g.keys["first"])
        client.initialize()
        self.assertEqual(g.run("key", "revoke", "first").returncode, 0)
        wait_for(lambda: client.query("SELECT 1").status == 401, 5, "the revoked key to be refused")

    def test_a_key_file_that_vanishes_keeps_the_keys(self):
        g = self.gateway(("first",))
        path = os.path.join(g.folder, "api-keys")
        with Client(g, g.keys["first"], modern=True) as client:
            shutil.move(path, path + ".away")
            wait_for(lambda: g.log("keys_refused") or g.log("keys_loaded"), 5, "the loss to be noticed")
            shutil.move(path + ".away", path)
            wait_for(lambda: client.rpc("tools/list").status == 200, 5, "the key to be known again")


if __name__ == "__main__":
    gateway.main()
