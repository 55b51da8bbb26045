#!/usr/bin/env python3
"""Two gateways on one Redis server: any of them serves any request, one goes on with what a killed one had begun, and a
server that is gone is told, within bounds, until it is back. Needs redis-server, with the settings and the users of
deploy/valkey."""

import hashlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import gateway
from gateway import LATEST, Emulator, wait_for
from test_durable import CONTEXT, KILLED_AT, LASTS, STEADY, TABLE, Durable, Durably, Outlasting

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "proof"))
from fault_proxy import FaultProxy  # noqa: E402

# The check of messages reads one process after the other, and here one answers what another was asked.
os.environ.pop("SNOWGATE_TAP", None)

HERE = os.path.dirname(os.path.abspath(__file__))
DEPLOY = os.path.join(HERE, "..", "..", "deploy", "valkey")
HASH = "SHA-256-OF-ITS-PASSWORD-IN-HEX"
PASSWORD = "of these tests only"
TIMEOUT = 1.0  # store.timeout
SPARE = 1.5  # what a busy machine may take beside it
installed = unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed")


class Redis:
    """A redis-server as it is deployed, but on a socket in a folder of its own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="snowgate-redis-")
        self.socket = os.path.join(self.folder, "socket")
        password = hashlib.sha256(PASSWORD.encode()).hexdigest()
        self.put("users.acl", self.deployed("snowgate.acl").replace(HASH, password))
        self.put("conf", self.deployed("valkey.conf") + f"\nport 0\nunixsocket {self.socket}\ndir {self.folder}\n"
                 f"aclfile {self.folder}/users.acl\nlogfile {self.folder}/log\n")
        self.start()

    def deployed(self, name):
        with open(os.path.join(DEPLOY, name), encoding="ascii") as f:
            return f.read()

    def put(self, name, text):
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as f:
            f.write(text)
        return path

    def start(self):
        self.process = subprocess.Popen(["redis-server", os.path.join(self.folder, "conf")], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.answers, 10, "redis-server")

    def answers(self):
        """It has read its data."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            try:
                s.connect(self.socket)
                s.sendall(f'AUTH snowgate "{PASSWORD}"\r\nPING\r\n'.encode())
                said = b""
                while said.count(b"\r\n") < 2 and (more := s.recv(1000)):
                    said += more
            except OSError:
                return False
        return said == b"+OK\r\n+PONG\r\n"

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Replicated(Durably):
    """One emulator, one Redis server, and the gateways a and b, with the same signing keys and API keys."""

    @classmethod
    def setUpClass(cls):
        cls.emulator = Emulator()
        cls.addClassCleanup(cls.emulator.stop)
        cls.redis = Redis()
        cls.addClassCleanup(cls.redis.stop)
        cls.conf = {"session": {"key_file": cls.redis.put("session-keys", os.urandom(32).hex() + "\n")},
                    "auth": {"mode": "required", "api_keys_file": os.path.join(cls.redis.folder, "api-keys")},
                    "store": {"kind": "valkey", "url": "unix://" + cls.redis.socket, "user": "snowgate",
                              "password": PASSWORD, "durability": "aof", "timeout": f"{int(TIMEOUT * 1000)}ms"}}
        cls.a = cls.replica(("alice", "bob"))
        cls.b = cls.replica()
        cls.b.keys = cls.a.keys
        cls.gateway = cls.a

    @classmethod
    def replica(cls, keys=(), **how):
        conf = {}
        for part in (STEADY, cls.conf):  # merge() keeps what it is given
            gateway.merge(conf, {name: dict(value) if isinstance(value, dict) else value
                                 for name, value in part.items()})
        g = Durable(cls.emulator, conf, keys, **how)
        cls.addClassCleanup(g.stop)
        return g

    def setUp(self):
        self.emulator.clear()
        for g in (self.a, self.b):
            if g.process.process.poll() is not None:  # the test before has killed it
                g.start()

    def at(self, g, client, key="alice"):
        """The same session at the gateway g."""
        return self.client(key, of=g, session=client.session)

    def both(self, **how):
        """A session made at a: its client there, and one at b."""
        client = self.legacy("alice", of=self.a, **how)
        return client, self.at(self.b, client)


@installed
class Sessions(Replicated):
    def test_made_at_one_and_used_at_the_other(self):
        for one, other in ((self.a, self.b), (self.b, self.a)):
            client = self.legacy("alice", of=one)
            for g in (other, one, other):
                self.assertEqual(self.at(g, client).query("SELECT 1").rows, [[1]])

    def test_a_change_is_seen_by_the_next_request(self):
        here, there = self.both()
        self.assertEqual(self.context(there)[1], "COMPUTE_WH")  # both have the session in memory from here on
        for n in range(3):
            for one, other, warehouse in ((here, there, "WH_XS"), (there, here, "WH_LOAD")):
                answer = one.tool("set_context", warehouse=warehouse, parameters={"QUERY_TAG": f"{n} {warehouse}"})
                self.assertFalse(answer.is_error, answer)
                self.assertEqual(self.context(other)[1], warehouse)
                self.assertEqual(other.tool("set_context").structured["parameters"], {"QUERY_TAG": f"{n} {warehouse}"})

    def test_use_is_seen_by_the_next_request(self):
        here, there = self.both()
        for one, other, schema in ((here, there, "SNOWFLAKE_SAMPLE_DATA.TPCH_SF1"), (there, here, "DEMO.PUBLIC")):
            self.assertFalse(one.tool("execute_query", query="USE SCHEMA " + schema).is_error)
            self.assertEqual(".".join(self.context(other)[2:]), schema)

    def test_each_keeps_what_the_other_changed(self):
        here, there = self.both()
        self.assertFalse(here.tool("set_context", warehouse="WH_XS").is_error)
        self.assertFalse(there.tool("set_context", role="ANALYST").is_error)
        self.assertFalse(here.tool("set_context", preferences={"limit": 2}).is_error)
        for client in (here, there):
            self.assertEqual(self.context(client)[:2], ["ANALYST", "WH_XS"])
            self.assertEqual(len(client.query("SELECT NAME FROM DEMO.PUBLIC.CUSTOMERS").rows), 2)

    def test_delete_at_one_is_404_at_the_other(self):
        here, there = self.both()
        self.assertEqual(there.query("SELECT 1").rows, [[1]])
        self.assertEqual(here.send("DELETE").status, 200)
        for client in (there, here):
            self.assertEqual(client.query("SELECT 1").status, 404)
            self.assertEqual(client.send("DELETE").status, 404)
            self.assertEqual(self.status(client, None), 404)

    def test_a_handle_works_at_both(self):
        here, there = (self.modern("alice", of=g) for g in (self.a, self.b))
        handle = here.tool("set_context", database="SNOWFLAKE_SAMPLE_DATA", schema="TPCH_SF1").structured["session"]
        self.assertEqual(self.context(there, session=handle)[2:], ["SNOWFLAKE_SAMPLE_DATA", "TPCH_SF1"])
        self.assertFalse(there.tool("set_context", warehouse="WH_XS", session=handle).is_error)
        self.assertEqual(self.context(here, session=handle)[1:], ["WH_XS", "SNOWFLAKE_SAMPLE_DATA", "TPCH_SF1"])
        answer = self.modern("bob", of=self.b).query("SELECT 1", session=handle)
        self.assertTrue(answer.is_error, "another principal's handle")

    def test_a_foreign_principal_is_not_found(self):
        here, there = self.both()
        for client in (self.at(self.b, here, "bob"), self.at(self.a, here, "bob")):
            self.assertEqual(client.query("SELECT 1").status, 404)
            self.assertEqual(client.send("DELETE").status, 404)
            self.assertEqual(self.status(client, None), 404)
        self.assertEqual(there.query("SELECT 1").rows, [[1]])

    def test_a_session_outlives_both(self):
        here, there = self.both()
        self.assertFalse(there.tool("set_context", warehouse="WH_XS").is_error)
        self.a.kill()
        self.b.kill()
        self.a.start()
        self.b.start()
        for client in (here, there):
            self.assertEqual(self.context(client)[1], "WH_XS")


@installed
class Deaths(Replicated):
    """The gateway a is killed with work under way; b goes on with it."""

    def test_a_stream_goes_on_at_the_other(self):
        here, there = self.both()
        _, stream, priming, name = self.begun(2, here)
        self.emulator.record(name, "held")
        self.a.kill()
        events = self.resumed(there, priming.id)
        self.assert_answered([e for e in events if e.id], stream, [[name]])
        self.assertEqual(self.executions(name), 1)
        self.assertEqual(self.status(there, events[-1].id), 204, "nothing is after the answer")
        self.a.start()
        again = [e for e in self.resumed(here, priming.id) if e.id]
        self.assert_answered(again, stream, [[name]])
        self.assertEqual(again[-1].id, events[-1].id)
        self.assertEqual(self.executions(name), 1)

    def test_ended_before_anybody_came(self):
        here, there = self.both()
        _, stream, priming, name = self.begun(0.6, here)
        self.a.kill()
        self.emulator.record(name, "succeeded")
        self.assert_answered(self.resumed(there, priming.id), stream, [[name]])
        self.assertEqual(self.executions(name), 1)

    def test_answered_at_one_and_rendered_again_at_the_other(self):
        here, there = self.both()
        _, stream, priming, name = self.begun(0.3, here)
        first = stream.rest()[-1]
        self.assertEqual(self.status(there, first.id), 204, "nothing is after the answer")
        for _ in range(2):
            events = self.resumed(there, priming.id)
            self.assert_answered(events, stream, [[name]])
            self.assertEqual(events[-1].id, first.id)
            self.a.kill()
        self.assertEqual(self.executions(name), 1)

    def test_resumed_at_the_other_while_its_holder_lives(self):
        here, there = self.both()
        _, stream, priming, name = self.begun(2, here)
        self.emulator.record(name, "held")
        stream.leave()
        self.assert_answered([e for e in self.resumed(there, priming.id) if e.id], stream, [[name]])
        self.assertEqual(self.executions(name), 1)

    def test_a_foreign_stream_is_not_had_at_the_other(self):
        here, there = self.both()
        _, stream, priming, name = self.begun(1, here)
        second, bob = (self.legacy(key, of=self.b) for key in ("alice", "bob"))
        self.a.kill()
        for who in (second, bob):
            self.assertEqual(self.status(who, priming.id), 204)
        self.assert_answered(self.resumed(there, priming.id), stream, [[name]])

    def test_a_read_that_is_on_its_way_to_snowflake(self):
        """Recorded, and sent by the other as well, before it has arrived: executed once."""
        with FaultProxy(self.emulator.port) as proxy:
            far = self.replica(upstream_port=proxy.port)
            far.keys = self.a.keys
            here = self.legacy("alice", of=far)
            self.assertEqual(here.query("SELECT 1").rows, [[1]])
            proxy.set("up", latency=2.0)
            name = self.name()
            stream = self.call(here, f"SELECT '{name}'")
            priming = stream.next()
            stream.leave()
            events = self.resumed(self.at(self.b, here), priming.id)
            self.assert_answered([e for e in events if e.id], stream, [[name]])
            wait_for(lambda: sum(len(r["arrivals"]) for r in self.emulator.records(name)) > 1, 8, "the late one")
            self.assertEqual(self.executions(name), 1)

    def test_a_change_goes_on_at_the_other(self):
        here, there = self.both()
        self.emulator.hold("CURRENT_WAREHOUSE", 1.5)
        stream = self.call(here, "USE WAREHOUSE WH_XS")
        priming = stream.next()
        self.a.kill()
        self.emulator.clear()
        answer = [e.json for e in self.resumed(there, priming.id) if e.id][-1]
        self.assertNotIn("isError", answer["result"], answer)
        self.assertEqual(self.context(there)[1], "WH_XS")

    def test_a_change_is_not_made_after_a_newer_one(self):
        """Minutes later, when somebody goes on with it, the session is not as it was then."""
        here, there = self.both()
        self.emulator.hold("CURRENT_WAREHOUSE", 1.5)
        stream = self.call(here, "USE WAREHOUSE WH_XS")
        priming = stream.next()
        self.a.kill()
        self.emulator.clear()
        newer = there.tool("set_context", warehouse="WH_LOAD", parameters={"QUERY_TAG": "newer"})
        self.assertFalse(newer.is_error, newer)
        answer = [e.json for e in self.resumed(there, priming.id) if e.id][-1]
        self.assertTrue(answer["result"]["isError"], answer)
        self.assertTrue(answer["result"]["_meta"]["snowgate/error"]["retryable"], answer)
        told = there.tool("set_context").structured
        self.assertEqual((told["context"]["warehouse"], told["parameters"]), ("WH_LOAD", {"QUERY_TAG": "newer"}))

    def test_cancelled_at_the_other_after_a_death(self):
        here, there = self.both()
        _, stream, priming, name = self.begun(20, here)
        self.emulator.record(name, "held")
        self.a.kill()
        polls = self.b.metric('snowgate_upstream_requests_total{op="poll"}')
        self.assertEqual(self.kept(there.listen(priming.id)).open().status, 200)
        wait_for(lambda: self.b.metric('snowgate_upstream_requests_total{op="poll"}') > polls, 5, "its first poll")
        self.assertEqual(there.notify("notifications/cancelled", {"requestId": stream.id}).status, 202)
        self.assertEqual(self.emulator.record(name, "cancelled", 8)["executions"], 0)

    def test_deleted_at_the_other_after_a_death(self):
        here, there = self.both()
        _, _, priming, name = self.begun(20, here)
        self.emulator.record(name, "held")
        self.a.kill()
        polls = self.b.metric('snowgate_upstream_requests_total{op="poll"}')
        self.assertEqual(self.kept(there.listen(priming.id)).open().status, 200)
        wait_for(lambda: self.b.metric('snowgate_upstream_requests_total{op="poll"}') > polls, 5, "its first poll")
        self.assertEqual(there.send("DELETE").status, 200)
        self.assertEqual(self.emulator.record(name, "cancelled", 8)["executions"], 0)

    # ---- writes ----

    def insert(self, seconds=0):
        """The statement, its name, a key."""
        name = self.name()
        self.modern("alice", of=self.b).query(f"CREATE TABLE IF NOT EXISTS {TABLE} (ID INT)")
        if seconds:
            self.emulator.hold(name, seconds)
        return f"INSERT INTO {TABLE} SELECT 1 WHERE '{name}' <> ''", name, "key " + name

    def by_key(self, client, sql, key, seconds=20):
        """The outcome; while it is told to come back for it, it does."""
        def ask():
            answer = client.query(sql, idempotency_key=key)
            back = "result" in answer.json and answer.is_error and answer.meta_error.get("retryable")
            return None if back else answer
        return wait_for(ask, seconds, "the outcome by its key")

    def assert_once(self, name):
        self.assertEqual(self.executions(name), 1)
        self.assertEqual(len({r["requestId"] for r in self.emulator.records(name)}), 1)

    def test_the_same_key_at_the_other_after_a_death(self):
        for modern in (True, False):
            with self.subTest(modern=modern):
                self.setUp()
                sql, name, key = self.insert(1.5)
                here, there = (self.modern("alice", of=g) for g in (self.a, self.b)) if modern else self.both()
                pending = here.start("execute_query", query=sql, format="json", idempotency_key=key)
                self.emulator.record(name, "held")
                self.a.kill()
                pending.leave()
                for _ in range(2):
                    self.assertEqual(self.by_key(there, sql, key).rows, [["1"]])
                    self.assert_once(name)

    def test_the_same_key_at_the_other_when_it_was_done_and_not_said(self):
        sql, name, key = self.insert()
        self.emulator.fault({"hang": True, "after": True}, sql=name, op="submit")
        pending = self.modern("alice", of=self.a).start("execute_query", query=sql, format="json", idempotency_key=key)
        self.emulator.record(name, "succeeded")
        self.a.kill()
        pending.leave()
        self.assertEqual(self.by_key(self.modern("alice", of=self.b), sql, key).rows, [["1"]])
        self.assert_once(name)

    def test_the_same_key_at_the_other_when_snowflake_never_had_it(self):
        """The intent was durable, nothing had been executed: submitted again under the same request id."""
        sql, name, key = self.insert()
        self.emulator.fault({"hang": True}, sql=name, op="submit")
        before = self.a.metric("snowgate_upstream_in_flight")
        pending = self.modern("alice", of=self.a).start("execute_query", query=sql, format="json", idempotency_key=key)
        wait_for(lambda: self.a.metric("snowgate_upstream_in_flight") > before, 5, "the submission")
        self.a.kill()
        pending.leave()
        self.assertEqual(self.by_key(self.modern("alice", of=self.b), sql, key).rows, [["1"]])
        self.assert_once(name)

    def test_the_same_key_at_the_other_while_its_holder_sleeps(self):
        """Woken up, it tells the same outcome."""
        sql, name, key = self.insert(1)
        here, there = (self.modern("alice", of=g) for g in (self.a, self.b))
        pending = here.start("execute_query", query=sql, format="json", idempotency_key=key)
        self.emulator.record(name, "held")
        self.a.signal(signal.SIGSTOP)
        try:
            told = self.by_key(there, sql, key)
        finally:
            self.a.signal(signal.SIGCONT)
        slept = pending.answer()
        self.assertEqual((told.rows, slept.rows), ([["1"]], [["1"]]))
        self.assertEqual(told.structured["queryId"], slept.structured["queryId"])
        self.assert_once(name)

    def test_the_same_key_of_somebody_else_at_the_other(self):
        one, two = self.insert(), self.insert()
        self.assertEqual(self.legacy("alice", of=self.a).query(one[0], idempotency_key=one[2]).rows, [["1"]])
        self.assertEqual(self.legacy("bob", of=self.b).query(two[0], idempotency_key=one[2]).rows, [["1"]])
        self.assert_once(one[1])
        self.assert_once(two[1])

    def test_the_same_key_at_both(self):
        (sql, name, key), told = self.insert(), []
        for g in (self.a, self.b, self.a):
            answer = self.modern("alice", of=g).query(sql, idempotency_key=key)
            self.assertEqual(answer.rows, [["1"]])
            told.append(answer.structured["queryId"])
        self.assertEqual(len(set(told)), 1)
        self.assert_once(name)

    def test_the_same_key_at_both_at_once(self):
        sql, name, key = self.insert(1)
        calls = [self.modern("alice", of=g).start("execute_query", query=sql, format="json", idempotency_key=key)
                 for g in (self.a, self.b, self.a, self.b)]
        answers = [call.answer() for call in calls]
        for answer in answers:
            if answer.is_error:
                self.assertTrue(answer.meta_error["retryable"], answer)
            elif answer.structured["status"] != "running":
                self.assertEqual(answer.rows, [["1"]])
        for g in (self.a, self.b):
            self.assertEqual(self.by_key(self.modern("alice", of=g), sql, key).rows, [["1"]])
        self.assert_once(name)

    def test_a_statement_handle_of_one_works_at_the_other(self):
        here, there = self.both()
        sql, name = self.held(1)
        running = here.query(sql, wait_seconds=0).structured
        self.a.kill()
        done = there.tool("get_result", statement_handle=running["statementHandle"], format="json", wait_seconds=15)
        self.assertEqual(done.rows, [[name]])
        self.assertEqual(self.executions(name), 1)


@installed
class LongStatements(Replicated, Outlasting):
    """Begun at the gateway a, which is killed while one runs; SNOWGATE_LONG=1: 60 seconds, killed at the tenth."""

    def test_a_read(self):
        here, there = self.both()
        stream, *more = self.lasting(here)
        self.a.kill()
        self.assert_goes_on(there, stream, *more)

    def test_a_write(self):
        here, there = self.both()
        here.query(f"CREATE OR REPLACE TABLE {TABLE}_LONG (T TEXT)")
        stream, last, name, told, began = self.lasting(here, f"INSERT INTO {TABLE}_LONG SELECT '{{}}'")
        self.a.kill()
        self.assert_goes_on(there, stream, last, name, told, began, [["1"]])
        self.emulator.clear()  # the count names it too
        self.assertEqual(there.query(f"SELECT COUNT(*) FROM {TABLE}_LONG WHERE T = '{name}'").rows, [["1"]])

    def test_killed_at_both(self):
        here, there = self.both()
        stream, last, name, told, began = self.lasting(here)
        self.a.kill()
        self.a.start()
        with there.listen(last) as resumed:
            self.assertEqual(resumed.open().status, 200)
            told = told + self.progress(self.read_until(resumed, KILLED_AT))
            self.b.kill()
        self.assert_goes_on(here, stream, last, name, told, began)

    def test_by_its_handle(self):
        """As a client of the revision without streams that can be resumed has it: `running`, then get_result."""
        here, there = (self.modern("alice", of=g) for g in (self.a, self.b))
        sql, name = self.held(LASTS)
        running = here.query(sql, wait_seconds=0).structured
        time.sleep(KILLED_AT)
        self.a.kill()
        message = there.tool_message("get_result", {"statement_handle": running["statementHandle"], "format": "json",
                                                    "wait_seconds": LASTS + 60}, {"progressToken": name})
        with there.stream(message) as stream:
            events = stream.rest(LASTS + 20)
        self.assertGreater(len(self.progress(events)), 1)
        self.assertEqual(events[-1].json["result"]["structuredContent"]["rows"], [[name]])
        self.assertEqual(self.executions(name), 1)

    def test_a_write_by_its_key(self):
        here, there = (self.modern("alice", of=g) for g in (self.a, self.b))
        here.query(f"CREATE OR REPLACE TABLE {TABLE}_LONG (T TEXT)")
        name = self.name()
        self.emulator.hold(name, LASTS)
        arguments = {"query": f"INSERT INTO {TABLE}_LONG SELECT '{name}'", "format": "json", "wait_seconds": LASTS + 60,
                     "idempotency_key": "key " + name}
        pending = here.start("execute_query", **arguments)
        self.emulator.record(name, "held")
        time.sleep(KILLED_AT)
        self.a.kill()
        pending.leave()
        with there.stream(there.tool_message("execute_query", arguments, {"progressToken": name})) as stream:
            events = stream.rest(LASTS + 20)
        self.assertGreater(len(self.progress(events)), 1)
        self.assertEqual(events[-1].json["result"]["structuredContent"]["rows"], [["1"]])
        self.assertEqual(self.executions(name), 1)
        self.assertEqual(len({r["requestId"] for r in self.emulator.records(name)}), 1)


@installed
class Outages(Replicated):
    """The server stops answering, or dies: refused within store.timeout, told at /readyz, and over when it is back."""

    def ready(self, g):
        connection = http.client.HTTPConnection("127.0.0.1", g.admin_port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status
        finally:
            connection.close()

    def assert_refused(self, ask):
        began = time.monotonic()
        answer = ask()
        took = time.monotonic() - began
        self.assertEqual(answer.status, 503, answer)
        self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        self.assertLess(took, TIMEOUT + SPARE)

    def initialize(self, client):
        return client.rpc("initialize", {"protocolVersion": LATEST, "capabilities": {},
                                         "clientInfo": {"name": "e2e", "version": "1"}})

    def outage(self, gone, back):
        here, there = self.both()
        self.assertEqual(there.query("SELECT 1").rows, [[1]])
        self.assertFalse(here.tool("set_context", warehouse="WH_XS").is_error)
        handle = self.modern("alice", of=self.a).tool("set_context", warehouse="WH_LOAD").structured["session"]
        gone()
        try:
            for client in (here, there):
                self.assert_refused(lambda client=client: client.query("SELECT 1"))
                self.assert_refused(lambda client=client: client.tool("set_context", warehouse="WH_LOAD"))
                self.assert_refused(lambda client=client: client.send("DELETE"))
                self.assert_refused(lambda client=client: self.kept(client.listen()).open())
                self.assert_refused(lambda client=client: self.initialize(self.client("alice", of=client.gateway)))
                modern = self.modern("alice", of=client.gateway)
                self.assert_refused(lambda modern=modern: modern.query("SELECT 1", session=handle))
                self.assert_refused(lambda modern=modern: modern.tool("set_context", warehouse="WH_XS"))
            for g in (self.a, self.b):
                wait_for(lambda g=g: self.ready(g) == 503, 8, "/readyz to say no")
                began = time.monotonic()
                self.assertEqual(self.modern("alice", of=g).query("SELECT 1").rows, [[1]], "a call without a session")
                self.assertLess(time.monotonic() - began, TIMEOUT)
        finally:
            back()
        for g, client in ((self.a, here), (self.b, there)):
            wait_for(lambda g=g: self.ready(g) == 200, 10, "/readyz to say yes")
            self.assertEqual(self.context(client)[1], "WH_XS", "what was refused has not happened")
            self.assertFalse(client.tool("set_context", warehouse="WH_XS").is_error)
            self.assertEqual(self.context(self.modern("alice", of=g), session=handle)[1], "WH_LOAD")
            self.assertEqual(self.legacy("alice", of=g).query("SELECT 1").rows, [[1]])
            self.assertIsNone(g.process.process.poll())

    def test_it_is_stopped(self):
        self.outage(lambda: self.redis.signal(signal.SIGSTOP), lambda: self.redis.signal(signal.SIGCONT))

    def test_it_is_killed(self):
        self.outage(self.redis.kill, self.redis.start)

    def test_a_write_is_not_sent_without_its_record(self):
        client, name = self.modern("alice", of=self.a), self.name()
        sql = f"CREATE TABLE DEMO.PUBLIC.NOT_RECORDED AS SELECT '{name}' AS T"
        self.redis.kill()
        try:
            self.assert_refused(lambda: client.query(sql))
            self.assert_refused(lambda: client.query(sql, idempotency_key="key " + name))
        finally:
            self.redis.start()
        wait_for(lambda: self.ready(self.a) == 200, 10, "/readyz to say yes")
        self.assertEqual(self.executions(name), 0)
        self.assertFalse(client.query(sql, idempotency_key="key " + name).is_error)
        self.assertEqual(self.executions(name), 1)

    def test_an_outage_within_a_stream(self):
        """The statement runs on; its answer comes when the server is back."""
        here, there = self.both()
        _, stream, priming, name = self.begun(2.5, here)
        self.emulator.record(name, "held")
        self.redis.kill()
        time.sleep(0.5)
        self.redis.start()
        self.assert_answered([e for e in self.resumed(there, priming.id) if e.id], stream, [[name]])
        self.assertEqual(self.executions(name), 1)


if __name__ == "__main__":
    gateway.main()
