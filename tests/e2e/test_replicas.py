#!/usr/bin/env python3
"""Two gateways on one Redis server: any of them serves any request, one goes on with what a killed one had begun, and a
server that is gone is told, within bounds, until it is back. Needs redis-server, with the settings and the users of
deploy/valkey."""

import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import gateway
from gateway import LATEST, Emulator, wait_for
from test_ask import ACCEPT, FORM, filled
from test_durable import CONTEXT, KILLED_AT, LASTS, STEADY, TABLE, Durable, Durably, Outlasting
from fault_proxy import FaultProxy

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "proof"))
from fault_proxy import FaultProxy  # noqa: E402

# The check of messages reads one process after the other, and here one answers what another was asked.
os.environ.pop("SNOWGATE_TAP", None)

HERE = os.path.dirname(os.path.abspath(__file__))
DEPLOY = os.path.join(HERE, "..", "..", "deploy", "valkey")
HASH = "SHA-256-OF-ITS-PASSWORD-IN-HEX"
PASSWORD = "of these tests only"
TASKS = "io.modelcontextprotocol/tasks"
TIMEOUT = 1.0  # store.timeout
SPARE = 1.5  # what a busy machine may take beside it
installed = unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed")


class Redis:
    """A redis-server as it is deployed, but on a socket in a folder of its own."""

    def __init__(self, port=0):
        self.folder = tempfile.mkdtemp(prefix="snowgate-redis-")
        self.socket = os.path.join(self.folder, "socket")
        password = hashlib.sha256(PASSWORD.encode()).hexdigest()
        self.put("users.acl", self.deployed("snowgate.acl").replace(HASH, password) +
                 f"user test on #{password} ~* &* +@all\n")
        self.put("conf", self.deployed("valkey.conf") + f"\nport {port}\nunixsocket {self.socket}\ndir {self.folder}\n"
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
        try:
            return self.ask("PING") == "+PONG"
        except OSError:
            return False

    def ask(self, command):
        """The first line of the answer to one command."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(self.socket)
            s.sendall(f'AUTH snowgate "{PASSWORD}"\r\n{command}\r\n'.encode())
            said = b""
            while said.count(b"\r\n") < 2 and (more := s.recv(1000)):
                said += more
        return said.decode(errors="replace").split("\r\n")[1] if said.startswith(b"+OK\r\n") else said.decode()

    def under_way(self):
        """How many operations in it have not come to an end."""
        return int(self.ask("ZRANGE snowgate:due:o 0 -1").removeprefix("*"))

    def conf(self):
        """What gateways on it have in common: the store, and their keys."""
        return {"session": {"key_file": self.put("session-keys", os.urandom(32).hex() + "\n")},
                "auth": {"mode": "required", "api_keys_file": os.path.join(self.folder, "api-keys")},
                "store": {"kind": "valkey", "url": "unix://" + self.socket, "user": "snowgate", "password": PASSWORD,
                          "durability": "aof", "timeout": f"{int(TIMEOUT * 1000)}ms"}}
    def link(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect(self.socket)
        return s, s.makefile("rb")

    @staticmethod
    def words(*words):
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)

    def reply(self, file):
        line = file.readline()
        if line[:1] == b"*":
            return [self.reply(file) for _ in range(int(line[1:]))]
        if line[:1] == b"$":
            return file.read(int(line[1:]) + 2)[:-2]
        return line[1:-2]

    def do(self, *words):
        """One command, by somebody who may do anything."""
        s, file = self.link()
        with s, file:
            s.sendall(self.words(b"AUTH", b"test", PASSWORD.encode()) + self.words(*words))
            self.reply(file)
            return self.reply(file)

    def forget(self, session):
        """The session's record is gone, and nobody is told."""
        key = b"snowgate:*:s:" + hashlib.sha256(session.encode()).hexdigest().encode()
        (found,) = self.do(b"KEYS", key)
        self.do(b"DEL", found)

    def overhear(self):
        """From now on; what it gives is called for the next message that is published: channel, message."""
        s, file = self.link()
        s.sendall(self.words(b"AUTH", b"snowgate", PASSWORD.encode()) + self.words(b"PSUBSCRIBE", b"snowgate:tell:*"))
        for _ in range(2):
            self.reply(file)

        def heard():
            with s, file:
                return tuple(self.reply(file)[2:])
        return heard

    def publish(self, *messages):
        for channel, message in messages:
            self.do(b"PUBLISH", channel, message)

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

    more = {}

    @classmethod
    def setUpClass(cls):
        cls.emulator = Emulator()
        cls.addClassCleanup(cls.emulator.stop)
        cls.redis = Redis()
        cls.addClassCleanup(cls.redis.stop)
        cls.conf = cls.redis.conf()
        cls.conf = {"session": {"key_file": cls.redis.put("session-keys", os.urandom(32).hex() + "\n")},
                    "auth": {"mode": "required", "api_keys_file": os.path.join(cls.redis.folder, "api-keys")},
                    "store": {"kind": "valkey", "url": "unix://" + cls.redis.socket, "user": "snowgate",
                              "password": PASSWORD, "durability": "aof", "timeout": f"{int(TIMEOUT * 1000)}ms"},
                    **cls.more}
        cls.a = cls.replica(("alice", "bob"))
        cls.b = cls.replica()
        cls.b.keys = cls.a.keys
        cls.gateway = cls.a

    @classmethod
    def replica(cls, keys=(), kind=Durable, more=None, **how):
        conf = {}
        for part in (STEADY, cls.conf, more or {}):  # merge() keeps what it is given
            gateway.merge(conf, {name: dict(value) if isinstance(value, dict) else value
                                 for name, value in part.items()})
        g = kind(cls.emulator, conf, keys, **how)
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
class Tasks(Replicated):
    """A task that a works on, asked for at b."""

    def asker(self, g, key="alice"):
        return self.client(key, of=g, modern=True, capabilities={"extensions": {TASKS: {}}})

    def begin(self, seconds):
        sql, name = self.held(seconds)
        told = self.asker(self.a).query(sql).result
        self.assertEqual(told["resultType"], "task", told)
        self.emulator.record(name, "held")
        return told["taskId"], name

    def ask(self, g, method, task, key="alice"):
        return self.asker(g, key).rpc(method, {"taskId": task})

    def done(self, g, task, seconds=15):
        return wait_for(lambda: (t := self.ask(g, "tasks/get", task).result)["status"] != "working" and t, seconds,
                        "the end of the task")

    def test_its_end_is_known_at_both(self):
        task, name = self.begin(2)
        for g in (self.a, self.b):
            told = self.ask(g, "tasks/get", task).result
            self.assertEqual((told["status"], told["taskId"]), ("working", task))
            self.assertEqual(self.ask(g, "tasks/get", task, "bob").error["code"], -32602)
        for g in (self.b, self.a):
            told = self.done(g, task)
            self.assertEqual(told["status"], "completed")
            self.assertEqual(told["result"]["structuredContent"]["rows"], [[name]])
        self.a.kill()
        self.assertEqual(self.done(self.b, task)["result"]["structuredContent"]["rows"], [[name]])
        self.assertEqual(self.executions(name), 1)

    def test_its_end_is_told_at_the_other(self):
        task, name = self.begin(1.5)
        streams = []
        for g, key in ((self.b, "alice"), (self.b, "bob"), (self.a, "alice")):
            client = self.asker(g, key)
            message = client.message("subscriptions/listen", {"notifications": {"taskIds": [task]}})
            stream = self.kept(client.stream(message))
            told = stream.method("notifications/subscriptions/acknowledged", 5)["params"]["notifications"]
            self.assertEqual(told, {"taskIds": [task]} if key == "alice" else {})
            streams.append(stream)
        for stream in (streams[0], streams[2]):
            told = stream.until(lambda m: m.get("method") == "notifications/tasks" and
                                m["params"]["status"] != "working", 10)["params"]
            self.assertEqual((told["taskId"], told["status"]), (task, "completed"))
        self.assertEqual(streams[1].silent(0.2), [])

    def test_cancelled_at_the_other_while_it_waits(self):
        """There is no statement yet that could be cancelled at Snowflake."""
        g = self.replica(more={"limits": {"default": {"running": 1}}})
        g.keys = self.a.keys
        client = self.asker(g)
        first, _ = self.held(20)
        second, name = self.held(20)
        running = client.query(first).result["taskId"]
        waiting = client.query(second).result["taskId"]
        self.assertIn("queued", self.ask(g, "tasks/get", waiting).result["statusMessage"])
        self.ask(self.b, "tasks/cancel", waiting)
        self.assertEqual(self.done(self.b, waiting)["status"], "cancelled")
        self.ask(self.b, "tasks/cancel", running)
        self.assertEqual(self.done(g, running)["status"], "cancelled")
        self.assertEqual(self.emulator.records(name), [])

    def test_it_goes_on_at_the_other(self):
        task, name = self.begin(3)
        self.a.kill()
        self.assertEqual(self.ask(self.b, "tasks/get", task).result["status"], "working")
        told = self.done(self.b, task, 40)
        self.assertEqual(told["status"], "completed", told)
        self.assertEqual(told["result"]["structuredContent"]["rows"], [[name]])
        self.a.start()
        self.assertEqual(self.done(self.a, task)["result"]["structuredContent"]["rows"], [[name]])
        self.assertEqual(self.executions(name), 1)

    def test_cancelled_at_the_other(self):
        task, name = self.begin(30)
        self.assertEqual(self.ask(self.b, "tasks/cancel", task, "bob").error["code"], -32602)
        for _ in range(2):
            self.assertEqual(set(self.ask(self.b, "tasks/cancel", task).result), {"resultType", "_meta"})
        self.emulator.record(name, "cancelled", 8)
        for g in (self.b, self.a):
            self.assertEqual(self.done(g, task)["status"], "cancelled")
        self.assertEqual(self.executions(name), 0)


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


UPDATED = "notifications/resources/updated"
HEARD = 'snowgate_replica_messages_total{outcome="heard"}'
TOLD = 'snowgate_replica_messages_total{outcome="told"}'


@installed
class Told(Replicated):
    """What a client says to one gateway reaches what it is about at the other."""

    more = {"policies": [{**STEADY["policies"][0], "name": "asked", "match": {"principal": "bob"}, "confirm": "ask"},
                         *STEADY["policies"]]}

    def cancels(self, g, cause):
        return g.metric(f'snowgate_cancels_total{{cause="{cause}"}}')

    # ---- cancel ----

    def test_a_cancel_finds_its_call_at_the_other(self):
        here, there = self.both()
        _, stream, _, name = self.begun(20, here)
        self.emulator.record(name, "held")
        self.assertEqual(there.notify("notifications/cancelled", {"requestId": stream.id}).status, 202)
        self.assertEqual(self.emulator.record(name, "cancelled", 5)["executions"], 0)
        self.assertEqual([e for e in stream.rest(5) if e.data and ("result" in e.json or "error" in e.json)], [],
                         "no response follows a cancel")

    def test_a_cancel_finds_a_call_that_is_no_stream_yet(self):
        here, there = self.both()
        sql, name = self.held(20)
        pending = here.stream(here.tool_message("execute_query", {"query": sql}),
                              more={"Accept": "application/json"})
        self.kept(pending)
        self.emulator.record(name, "held")
        self.assertEqual(there.notify("notifications/cancelled", {"requestId": pending.id}).status, 202)
        self.emulator.record(name, "cancelled", 5)
        self.assertEqual(pending.open(5).status, 202)

    def test_a_cancel_is_for_its_session_and_its_request(self):
        here, there = self.both()
        other = self.legacy("alice", of=self.b)
        _, stream, _, name = self.begun(1.5, here)
        before = self.a.metric(HEARD)
        for who, request in ((other, stream.id), (there, stream.id + 1000), (there, str(stream.id))):
            self.assertEqual(who.notify("notifications/cancelled", {"requestId": request}).status, 202)
        wait_for(lambda: self.a.metric(HEARD) == before + 3, 5, "the three messages")
        self.assert_answered([e for e in stream.rest() if e.id and e.data], stream, [[name]])

    # ---- ended ----

    def test_a_delete_ends_what_is_at_the_other(self):
        here, there = self.both()
        own = self.kept(here.listen())
        self.assertEqual(own.open().status, 200)
        _, stream, _, name = self.begun(20, here)
        self.emulator.record(name, "held")
        began = time.monotonic()
        self.assertEqual(there.send("DELETE").status, 200)
        self.emulator.record(name, "cancelled", 5)
        for gone in (stream, own):
            gone.rest(5)
            self.assertTrue(gone.ended)
        self.assertLess(time.monotonic() - began, 5)
        for client in (here, there):
            self.assertEqual(client.query("SELECT 1").status, 404)

    # ---- reply ----

    def asked(self):
        """bob's delete of a table, asked at a: client at a, client at b, stream, question, table."""
        table = "DEMO.PUBLIC.ASKED_" + self.name()[7:12]
        self.assertFalse(self.modern("alice", of=self.b).query(f"CREATE TABLE {table} AS SELECT 1 AS N").is_error)
        here = self.legacy("bob", of=self.a, capabilities=FORM)
        stream = self.call(here, f"DELETE FROM {table}")
        question = stream.method("elicitation/create", 5)
        return here, self.at(self.b, here, "bob"), stream, question, table

    def respond(self, client, question, **member):
        message = {"jsonrpc": "2.0", "id": question["id"], **member}
        return client.send(body=json.dumps(message), headers=client.headers({"method": "", **message}))

    def accept(self, client, question):
        content = filled(question["params"]["requestedSchema"])
        return self.respond(client, question, result={"action": ACCEPT, "content": content})

    def test_an_answer_finds_its_question_at_the_other(self):
        _, there, stream, question, table = self.asked()
        self.assertEqual(self.accept(there, question).status, 202)
        self.assertFalse(stream.answer(5).is_error)
        self.assertEqual(self.modern("alice", of=self.a).query(f"SELECT N FROM {table}").rows, [])
        self.assertEqual(self.executions(f"DELETE FROM {table}"), 1)

    def test_no_and_an_error_find_it_too(self):
        for member in ({"result": {"action": "decline"}}, {"error": {"code": -1, "message": "no"}}):
            with self.subTest(member=member):
                _, there, stream, question, table = self.asked()
                self.assertEqual(self.respond(there, question, **member).status, 202)
                self.assertTrue(stream.answer(5).is_error)
                self.assertEqual(self.executions(f"DELETE FROM {table}"), 0)

    def test_an_answer_of_another_session_is_none(self):
        here, there, stream, question, table = self.asked()
        before = self.a.metric(HEARD)
        other = self.legacy("bob", of=self.b)
        self.assertEqual(self.accept(other, question).status, 202)
        wait_for(lambda: self.a.metric(HEARD) > before, 5, "the message")
        self.assertEqual(self.executions(f"DELETE FROM {table}"), 0)
        self.assertEqual(self.accept(there, question).status, 202)
        self.assertFalse(stream.answer(5).is_error)
        self.assertEqual(self.accept(here, question).status, 202, "it was answered; this one finds no question")
        self.assertEqual(self.executions(f"DELETE FROM {table}"), 1)

    # ---- taken ----

    def test_who_resumes_at_the_other_displaces_the_reader_here(self):
        here, there = self.both()
        _, stream, priming, name = self.begun(2, here)
        self.emulator.record(name, "held")
        cancelled = self.a.metric("snowgate_statements_cancelled_total")
        events = self.resumed(there, priming.id)
        self.assert_answered([e for e in events if e.id], stream, [[name]])
        self.assertEqual([e for e in stream.rest(5) if e.data and ("result" in e.json or "error" in e.json)], [],
                         "answered once, at b")
        self.assertTrue(self.a.log("operation_taken"))
        self.assertEqual(self.executions(name), 1)
        self.assertEqual(self.a.metric("snowgate_statements_cancelled_total"), cancelled)
        self.assertEqual(self.status(here, events[-1].id), 204)
        again = [e for e in self.resumed(here, priming.id) if e.id]
        self.assert_answered(again, stream, [[name]])
        self.assertEqual(again[-1].id, events[-1].id)

    def displacing(self, client, last, before):
        """A reader who comes back, as clients do, where a record that was just written has kept him out."""
        while True:
            reader = self.kept(client.listen(last))
            self.assertEqual(reader.open().status, 200)
            while not reader.ended and not before.ended:
                reader.silent(0.02)
                before.silent(0.02)
            if not reader.ended:
                return reader

    def test_to_and_fro_while_it_runs(self):
        here, there = self.both()
        _, stream, priming, name = self.begun(3, here)
        self.emulator.record(name, "held")
        streams = [stream]
        for n in range(5):
            client = (there, here)[n % 2]
            streams.append(self.displacing(client, priming.id, streams[-1]))
        answers = [[e for e in s.got if e.data and "result" in e.json] for s in streams[:-1]]
        self.assertEqual(answers, [[]] * 5)
        self.assert_answered([e for e in streams[-1].rest() if e.id and e.data], stream, [[name]])
        self.assertEqual(self.executions(name), 1)

    def test_both_at_once(self):
        """Two readers of one stream, at two gateways: the answer is the same event wherever it is told."""
        here, there = self.both()
        _, stream, priming, name = self.begun(1, here)
        stream.leave()
        readers = [self.kept(client.listen(priming.id)) for client in (there, here)]
        seen = {}
        for reader in readers:
            if reader.open().status == 200:
                for e in reader.rest(10):
                    if e.id and e.data:
                        self.assertEqual(seen.setdefault(e.id, e.data), e.data)
        for client in (here, there):
            told = [e for e in self.resumed(client, priming.id) if e.id]
            self.assert_answered(told, stream, [[name]])
            for e in told:
                self.assertEqual(seen.setdefault(e.id, e.data), e.data)
        self.assertEqual(self.executions(name), 1)

    def test_a_write_that_is_taken_over_is_executed_once(self):
        table, name = "DEMO.PUBLIC.TAKEN_" + self.name()[7:12], self.name()
        self.modern("alice", of=self.a).query(f"CREATE TABLE {table} (ID INT)")
        self.emulator.hold(name, 1.5)
        here, there = self.both()
        stream = self.call(here, f"INSERT INTO {table} SELECT 1 WHERE '{name}' <> ''")
        priming = stream.next()
        self.emulator.record(name, "held")
        self.assert_answered([e for e in self.resumed(there, priming.id) if e.id], stream, [["1"]])
        self.assertEqual(self.executions(name), 1)
        self.assertEqual(self.modern("alice", of=self.b).query(f"SELECT COUNT(*) FROM {table}").rows, [["1"]])

    def test_cancelled_here_when_the_other_has_taken_it(self):
        here, there = self.both()
        _, stream, priming, name = self.begun(20, here)
        self.emulator.record(name, "held")
        resumed = self.kept(there.listen(priming.id))
        self.assertEqual(resumed.open().status, 200)
        wait_for(lambda: self.a.log("operation_taken"), 5, "a to hear of it")
        self.assertEqual(here.notify("notifications/cancelled", {"requestId": stream.id}).status, 202)
        self.emulator.record(name, "cancelled", 8)
        resumed.rest(5)
        self.assertTrue(resumed.ended)

    def test_a_question_that_is_taken_over(self):
        """Whoever reads the stream is asked there; what is answered counts, once."""
        here, there, stream, first, table = self.asked()
        priming = next(e for e in stream.got if e.id)
        reader = self.kept(there.listen(priming.id))
        self.assertEqual(reader.open().status, 200)
        asked = [reader.method("elicitation/create", 5)]
        while asked[-1]["id"] == first["id"]:  # what was told is told again; it is another's now
            asked.append(reader.method("elicitation/create", 5))
        self.assertEqual([e for e in stream.rest(5) if e.data and ("result" in e.json or "error" in e.json)], [])
        self.assertEqual(self.executions(f"DELETE FROM {table}"), 0)
        self.assertEqual(self.accept(here, asked[-1]).status, 202)
        answer = reader.answer(5)
        self.assertFalse(answer.is_error, answer)
        self.assertEqual(self.executions(f"DELETE FROM {table}"), 1)
        self.assertEqual(self.a.metric('snowgate_asks_total{outcome="failed"}'), 0)

    def test_every_replica_is_told(self):
        """Three of them: the call is at c, which was started last."""
        c = self.replica()
        c.keys = self.a.keys
        here = self.legacy("alice", of=c)
        for g in (self.a, self.b):
            _, stream, _, name = self.begun(20, here)
            self.emulator.record(name, "held")
            self.assertEqual(self.at(g, here).notify("notifications/cancelled", {"requestId": stream.id}).status, 202)
            self.emulator.record(name, "cancelled", 5)
        _, stream, priming, name = self.begun(1.5, here)
        self.emulator.record(name, "held")
        readers = [self.kept(self.at(self.a, here).listen(priming.id))]
        readers.append(self.displacing(self.at(self.b, here), priming.id, readers[0].open()))
        self.assert_answered([e for e in readers[-1].rest() if e.id and e.data], stream, [[name]])
        self.assertEqual(self.executions(name), 1)
        self.assertEqual(self.at(self.a, here).send("DELETE").status, 200)
        for g in (self.a, self.b, c):
            self.assertEqual(self.at(g, here).query("SELECT 1").status, 404)

    # ---- updated ----

    def table(self):
        name = "HEARD_" + self.name()[7:12]
        self.assertFalse(self.modern("alice", of=self.a).query(f"CREATE TABLE DEMO.PUBLIC.{name} (N INT)").is_error)
        return f"DEMO.PUBLIC.{name}", f"snowflake://DEMO/PUBLIC/{name}"

    def updates(self, stream, seconds=0.4):
        return [m["params"]["uri"] for m in stream.silent(seconds) if m["method"] == UPDATED]

    def test_an_update_is_heard_at_the_other(self):
        table, uri = self.table()
        listener = self.modern("bob", of=self.a)
        message = listener.message("subscriptions/listen", {"notifications": {"resourceSubscriptions": [uri]}})
        modern = self.kept(listener.stream(message))
        self.assertEqual(modern.open().status, 200)
        here, there = self.both()
        self.assertEqual(here.rpc("resources/subscribe", {"uri": uri}).result, {})
        own = self.kept(here.listen())
        own.open().silent(0.3)
        modern.silent(0.1)
        writer = self.modern("alice", of=self.b)
        for sql in (f"INSERT INTO {table} VALUES (1)", f"DELETE FROM {table}"):
            self.assertFalse(writer.query(sql).is_error)
            for stream in (modern, own):
                self.assertEqual(stream.method(UPDATED, 5)["params"]["uri"], uri)
        told = self.a.metric(TOLD)
        for stream in (modern, own):
            self.assertEqual(self.updates(stream), [], "once each")
        self.assertEqual(self.a.metric(TOLD), told, "what was heard is not told on")
        self.assertFalse(there.rpc("ping").status != 200)

    def test_a_subscription_made_at_the_other(self):
        """The session's own stream is at a; it subscribes at b."""
        table, uri = self.table()
        here, there = self.both()
        own = self.kept(here.listen())
        own.open().silent(0.3)
        self.assertEqual(there.rpc("resources/subscribe", {"uri": uri}).result, {})
        writer = self.modern("alice", of=self.b)
        heard = self.a.metric(HEARD)
        self.assertFalse(writer.query(f"INSERT INTO {table} VALUES (1)").is_error)
        wait_for(lambda: self.a.metric(HEARD) > heard, 5, "the update")
        self.assertEqual(own.method(UPDATED, 5)["params"]["uri"], uri)
        self.assertEqual(there.rpc("resources/unsubscribe", {"uri": uri}).result, {})
        self.assertFalse(writer.query(f"INSERT INTO {table} VALUES (2)").is_error)
        self.assertEqual(self.updates(own), [])

    def test_the_session_s_own_stream_goes_on_at_the_other(self):
        """Its last event id is one of another process: it is gone on with, and nothing that happened since is missed."""
        table, uri = self.table()
        here, there = self.both()
        self.assertEqual(here.rpc("resources/subscribe", {"uri": uri}).result, {})
        for one, other in ((here, there), (there, here)):
            own = self.kept(one.listen())
            own.open().silent(0.3)
            last = [e.id for e in own.got if e.id][-1]
            own.leave()
            heard = other.gateway.metric(HEARD)
            self.assertFalse(self.modern("alice", of=one.gateway).query(f"INSERT INTO {table} VALUES (1)").is_error)
            wait_for(lambda other=other, heard=heard: other.gateway.metric(HEARD) > heard, 5, "the update")
            again = self.kept(other.listen(last))
            self.assertEqual(again.open().status, 200)
            self.assertEqual(again.method(UPDATED, 5)["params"]["uri"], uri)
            self.assertEqual(self.updates(again), [], "told once")
            again.leave()

    # ---- who may tell ----

    def test_what_others_publish_is_dropped(self):
        """A message that was taken down and comes again, one that was changed, one on another channel."""
        here, there = self.both()
        published = self.redis.overhear()
        before = {o: self.a.metric(f'snowgate_replica_messages_total{{outcome="{o}"}}')
                  for o in ("heard", "foreign", "again")}
        self.assertEqual(there.notify("notifications/cancelled", {"requestId": "secret-request"}).status, 202)
        channel, message = published()
        self.assertEqual(channel, b"snowgate:tell:cancel")
        self.assertNotIn(b"secret-request", message)
        self.assertNotIn(here.session.encode(), message)
        forged = message[:-1] + bytes([message[-1] ^ 1])
        other = b"x" * 16 + message[16:]  # of a sender that is not a itself
        self.redis.publish((channel, other), (channel, b"x" * 16 + forged[16:]), (b"snowgate:tell:ended", other),
                           (channel, b"x" * 16), (b"snowgate:tell:nonsense", other))
        expected = {"heard": 1, "foreign": 4, "again": 1}
        for outcome, n in expected.items():
            name = f'snowgate_replica_messages_total{{outcome="{outcome}"}}'
            wait_for(lambda name=name, want=before[outcome] + n: self.a.metric(name) == want, 5, outcome)
        self.assertEqual(here.query("SELECT 1").rows, [[1]])


class Ahead(Durable):
    """Its wall clock is so many seconds ahead of the others'."""

    seconds, library = 20, None

    def start(self, *_, **__):
        before = dict(os.environ)
        os.environ.update({"LD_PRELOAD": self.library, "CLOCK_AHEAD": str(self.seconds), "ASAN_OPTIONS": ":".join(
            filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))})
        try:
            return super().start()
        finally:
            os.environ.clear()
            os.environ.update(before)


@installed
class Clocks(Told):
    """All of it, and what outlives a gateway, where one clock is ahead."""

    @classmethod
    def replica(cls, keys=(), kind=Durable):
        if not keys:
            return super().replica(keys, kind)
        folder = tempfile.mkdtemp(prefix="snowgate-clock-")
        cls.addClassCleanup(shutil.rmtree, folder, True)
        Ahead.library = os.path.join(folder, "clock.so")
        subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", Ahead.library,
                        os.path.join(HERE, "clock.c"), "-ldl"], check=True)
        return super().replica(keys, Ahead)

    test_a_session_of_either = Sessions.test_made_at_one_and_used_at_the_other
    test_a_change = Sessions.test_a_change_is_seen_by_the_next_request
    test_a_stream_goes_on = Deaths.test_a_stream_goes_on_at_the_other
    test_its_end_before_anybody_came = Deaths.test_ended_before_anybody_came

    def test_it_is_ahead(self):
        logged = self.a.log("listening")[-1]["ts"]
        self.assertGreater(logged, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 60 + Ahead.seconds)))

    def test_the_other_way_round(self):
        """A stream of the one ahead; then b dies, whose clock is behind."""
        here, there = self.both()
        _, stream, priming, name = self.begun(2, there)
        self.emulator.record(name, "held")
        self.b.kill()
        self.assert_answered([e for e in self.resumed(here, priming.id) if e.id], stream, [[name]])
        self.assertEqual(self.executions(name), 1)


@installed
class Changes(Replicated):
    """A session is changed at both gateways at once."""

    ROUNDS = 40 if gateway.LONG else 12
    VALUES = {"warehouse": ("WH_XS", "WH_LOAD", "COMPUTE_WH"), "role": ("ANALYST", "SYSADMIN"),
              "schema": ("PUBLIC", "TPCH_SF1")}

    def told(self, client, **arguments):
        answer = client.tool("set_context", **arguments)
        return answer if answer.status == 200 and not answer.is_error else None

    def assert_again(self, answer):
        """A refusal says to try again."""
        if answer.status != 200:
            self.assertEqual(answer.status, 503, answer)
        else:
            self.assertIn("try again", answer.text)

    def many(self, workers):
        failures = []

        def guarded(work):
            try:
                work()
            except BaseException as problem:  # told in the test's own thread
                failures.append(problem)
        threads = [threading.Thread(target=guarded, args=(work,)) for work in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def test_different_members_at_once_are_all_kept(self):
        here, there = self.both()
        clients = {"QUERY_TAG": self.at(self.a, here), "TIMEZONE": self.at(self.b, here),
                   "warehouse": self.at(self.b, here), "role": self.at(self.a, here)}
        zones = ("Asia/Tokyo", "UTC", "Europe/Paris")
        last, refused = {}, []

        def change(member):
            client = clients[member]
            for n in range(self.ROUNDS):
                value = {"QUERY_TAG": f"tag {n}", "TIMEZONE": zones[n % 3],
                         "warehouse": self.VALUES["warehouse"][n % 3], "role": self.VALUES["role"][n % 2]}[member]
                known = member in self.VALUES
                answer = client.tool("set_context", **({member: value} if known else {"parameters": {member: value}}))
                if answer.status == 200 and not answer.is_error:
                    last[member] = value
                else:
                    self.assert_again(answer)
                    refused.append(member)
        self.many([lambda member=member: change(member) for member in clients])
        self.assertEqual(set(last), set(clients), f"{len(refused)} refused")
        for client in (here, there):
            now = client.tool("set_context").structured
            found = {**now["parameters"], "warehouse": now["context"]["warehouse"], "role": now["context"]["role"]}
            self.assertEqual({member: found.get(member) for member in last}, last)

    def test_the_same_member_at_once(self):
        """What it is at the end is what somebody was told, and nobody was told it is something else since."""
        here, there = self.both()
        told, lock = [], threading.Lock()

        def change(client, name):
            for n in range(self.ROUNDS):
                value, began = f"{name} {n}", time.monotonic()
                answer = client.tool("set_context", parameters={"QUERY_TAG": value})
                if answer.status == 200 and not answer.is_error:
                    self.assertEqual(answer.structured["parameters"]["QUERY_TAG"], value)
                    with lock:
                        told.append((began, time.monotonic(), value))
                else:
                    self.assert_again(answer)
        self.many([lambda g=g, name=name: change(self.at(g, here), name)
                   for g, name in ((self.a, "one"), (self.b, "two"), (self.b, "three"))])
        final = {client.tool("set_context").structured["parameters"]["QUERY_TAG"] for client in (here, there)}
        self.assertEqual(len(final), 1)
        (value,) = final
        ends = [end for _, end, v in told if v == value]
        self.assertEqual(len(ends), 1, "acknowledged")
        self.assertFalse([v for began, _, v in told if began > ends[0]], "changed later, acknowledged and lost")

    def test_levels_subscriptions_and_context_at_once(self):
        here, there = self.both()
        uris = [f"snowflake://DEMO/PUBLIC/WATCHED_{n}" for n in range(self.ROUNDS)]
        done = {"subscribed": [], "warehouse": None}

        def subscribe(client, mine):
            for uri in mine:
                answer = client.rpc("resources/subscribe", {"uri": uri})
                if answer.status == 200 and "result" in answer.json:
                    done["subscribed"].append(uri)
                else:
                    self.assertEqual(answer.status, 503, answer)

        def change(client):
            for n in range(self.ROUNDS):
                warehouse = self.VALUES["warehouse"][n % 3]
                if self.told(client, warehouse=warehouse):
                    done["warehouse"] = warehouse
                answer = client.rpc("logging/setLevel", {"level": ("info", "debug")[n % 2]})
                self.assertIn(answer.status, (200, 503), answer)
        self.many([lambda: subscribe(self.at(self.a, here), uris[::2]),
                   lambda: subscribe(self.at(self.b, here), uris[1::2]),
                   lambda: change(self.at(self.b, here)), lambda: change(self.at(self.a, here))])
        self.assertTrue(done["subscribed"])
        record = self.context(there)
        self.assertIn(record[1], self.VALUES["warehouse"])
        own = self.kept(here.listen())
        own.open().silent(0.3)
        writer = self.modern("alice", of=self.b)
        for uri in done["subscribed"]:
            self.assertFalse(writer.query(f"CREATE TABLE DEMO.PUBLIC.{uri.rsplit('/', 1)[1]} (N INT)").is_error)
        heard = {m["params"]["uri"] for m in own.silent(2) if m["method"] == UPDATED}
        for uri in done["subscribed"]:
            writer.query(f"DROP TABLE DEMO.PUBLIC.{uri.rsplit('/', 1)[1]}")
        self.assertEqual(heard, set(done["subscribed"]), "no acknowledged subscription is lost")

    def test_a_delete_at_the_same_time_is_for_good(self):
        for n in range(self.ROUNDS):
            here, there = self.both()
            changer, deleter = self.at(self.a, here), self.at(self.b, here)
            if n % 2:
                changer, deleter = self.at(self.b, here), self.at(self.a, here)
            self.assertFalse(changer.tool("set_context", warehouse="WH_XS").is_error)
            gone = threading.Event()
            after = []

            def change():
                while True:
                    late = gone.is_set()
                    answer = changer.tool("set_context", parameters={"QUERY_TAG": f"{n} {time.monotonic()}"})
                    if late:
                        after.append(answer)
                        return

            def delete():
                time.sleep(0.002 * (n % 7))
                answer = deleter.send("DELETE")
                gone.set()
                self.assertEqual(answer.status, 200)
            self.many([change, delete])
            self.assertEqual([a.status for a in after], [404])
            for client in (here, there):
                self.assertEqual(client.query("SELECT 1").status, 404)
            for g in (self.a, self.b):
                self.assertEqual(self.at(g, here).rpc("logging/setLevel", {"level": "info"}).status, 404)

    def confirming(self, client):
        """A change whose confirmation is under way."""
        name = self.name()
        self.emulator.hold("CURRENT_WAREHOUSE()", 0.7)
        pending = client.start("set_context", warehouse="WH_LOAD", parameters={"QUERY_TAG": name})
        self.emulator.record("CURRENT_WAREHOUSE()", "held")
        return pending

    def test_deleted_at_the_other_while_its_change_is_confirmed(self):
        here, there = self.both()
        pending = self.confirming(here)
        self.assertEqual(there.send("DELETE").status, 200)
        self.assertEqual(pending.answer().status, 202, "cancelled")
        for client in (here, there):
            self.assertEqual(client.query("SELECT 1").status, 404)

    def test_deleted_untold_while_its_change_is_confirmed(self):
        """The message was lost: the record is gone, and is not written again."""
        here, there = self.both()
        pending = self.confirming(here)
        self.redis.forget(here.session)
        answer = pending.answer()
        self.assertTrue(answer.is_error)
        self.assertIn("ended", answer.text)
        for client in (here, there):
            self.assertEqual(client.query("SELECT 1").status, 404)

    def test_deleted_untold_before_a_level_and_a_subscription(self):
        for method, params in (("logging/setLevel", {"level": "info"}),
                               ("resources/subscribe", {"uri": "snowflake://DEMO/PUBLIC/CUSTOMERS"})):
            here, there = self.both()
            self.assertEqual(here.rpc(method, params).result, {})
            self.redis.forget(here.session)
            self.assertEqual(here.rpc(method, params).status, 404)
            self.assertEqual(there.rpc(method, params).status, 404)

    def test_changed_at_the_other_while_a_change_is_confirmed(self):
        """The loser validates again: what the winner has made stays."""
        here, there = self.both()
        self.emulator.hold("CURRENT_WAREHOUSE()", 0.7)
        pending = here.start("set_context", warehouse="WH_LOAD")
        self.emulator.record("CURRENT_WAREHOUSE()", "held")
        for uri in ("A", "B"):
            self.assertEqual(there.rpc("resources/subscribe", {"uri": "snowflake://DEMO/PUBLIC/" + uri}).result, {})
        self.assertFalse(there.tool("set_context", preferences={"limit": 3}).is_error)
        answer = pending.answer()
        self.assertFalse(answer.is_error, answer)
        self.assertEqual(self.context(there)[1], "WH_LOAD")
        for client in (here, there):
            self.assertEqual(len(client.query("SELECT * FROM DEMO.PUBLIC.CUSTOMERS").rows), 3)

    def test_a_stream_whose_change_has_lost(self):
        """Its answer was made already, and is made anew; told once, with what is so."""
        here, there = self.both()
        self.emulator.hold("CURRENT_WAREHOUSE()", 0.7)
        stream = self.kept(here.stream(here.tool_message("execute_query", {"query": "USE WAREHOUSE WH_LOAD"})))
        self.assertTrue(stream.next().id, "its priming event: it is a stream")
        self.assertFalse(there.tool("set_context", preferences={"limit": 3}).is_error)
        answers = [e for e in stream.rest() if e.data and ("result" in e.json or "error" in e.json)]
        self.assertEqual(len(answers), 1)
        self.assertFalse(answers[0].json["result"].get("isError"), answers[0])
        self.assertEqual(self.context(there)[1], "WH_LOAD")
        self.assertEqual(len(here.query("SELECT * FROM DEMO.PUBLIC.CUSTOMERS").rows), 3)
        self.assertEqual([e for e in self.resumed(there, stream.got[0].id) if e.id][-1].data, answers[0].data)


@installed
class Leases(Replicated):
    """What a replica no longer tells of, another one takes over, though nobody asks for it."""

    LEASE = 1.0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.c = cls.replica()
        cls.c.keys = cls.a.keys

    @classmethod
    def replica(cls, keys=()):
        cls.conf["store"]["lease"] = f"{int(cls.LEASE * 1000)}ms"
        return super().replica(keys)

    def adopted(self):
        return sum(g.metric('snowgate_operations_total{outcome="adopted"}') or 0 for g in (self.b, self.c))

    def taken_over(self, before):
        wait_for(lambda: self.adopted() > before, 10 * self.LEASE, "the adoption")

    def test_a_stream(self):
        here, there = self.both()
        before = self.adopted()
        _, stream, priming, name = self.begun(4 * self.LEASE, here)
        self.emulator.record(name, "held")
        self.a.kill()
        self.taken_over(before)
        self.emulator.record(name, "succeeded")
        self.assert_answered([e for e in self.resumed(there, priming.id) if e.id], stream, [[name]])
        self.assertEqual(self.executions(name), 1)
        self.assertEqual(self.adopted(), before + 1, "one of the two")

    def test_cancelled_while_it_is_nobodys(self):
        """Whoever takes it over later has heard of it."""
        here, there = self.both()
        _, stream, _, name = self.begun(30, here)
        self.emulator.record(name, "held")
        self.a.kill()
        self.assertEqual(there.notify("notifications/cancelled", {"requestId": stream.id}).status, 202)
        self.assertEqual(self.emulator.record(name, "cancelled", 10 * self.LEASE)["executions"], 0)

    def test_what_is_renewed_is_left_alone(self):
        here, _ = self.both()
        before = self.adopted()
        _, stream, _, name = self.begun(4 * self.LEASE, here)
        self.assertEqual(stream.rest()[-1].json["id"], stream.id)
        self.assertEqual(self.executions(name), 1)
        self.assertEqual(self.adopted(), before)

    def write(self, seconds=0):
        name = self.name()
        self.modern("alice", of=self.b).query(f"CREATE TABLE IF NOT EXISTS {TABLE} (ID INT)")
        if seconds:
            self.emulator.hold(name, seconds)
        return f"INSERT INTO {TABLE} SELECT 1 WHERE '{name}' <> ''", name, "key " + name

    def test_a_write_that_nobody_waits_for(self):
        """It runs to its end, and its outcome is in its record before its client asks."""
        (sql, name, key), before = self.write(3 * self.LEASE), self.adopted()
        pending = self.modern("alice", of=self.a).start("execute_query", query=sql, format="json", idempotency_key=key)
        self.emulator.record(name, "held")
        self.a.kill()
        pending.leave()
        self.taken_over(before)
        self.emulator.record(name, "succeeded")
        answer = self.modern("alice", of=self.c).query(sql, idempotency_key=key)
        self.assertEqual(answer.rows, [["1"]])
        self.assertEqual(self.executions(name), 1)
        self.assertEqual(self.adopted(), before + 1)

    def test_a_write_that_snowflake_never_had(self):
        """Sent again under the same request id by whoever took it over; its first holder, awake again, sends nothing."""
        (sql, name, _), before = self.write(), self.adopted()
        self.emulator.fault({"hang": True}, sql=name, op="submit")
        in_flight = self.a.metric("snowgate_upstream_in_flight")
        pending = self.modern("alice", of=self.a).start("execute_query", query=sql, format="json")
        wait_for(lambda: self.a.metric("snowgate_upstream_in_flight") > in_flight, 5, "the submission")
        self.a.signal(signal.SIGSTOP)
        try:
            self.taken_over(before)
            self.emulator.record(name, "succeeded")
        finally:
            self.a.signal(signal.SIGCONT)
        pending.leave()
        self.assertEqual(self.executions(name), 1)
        self.assertEqual(len({r["requestId"] for r in self.emulator.records(name)}), 1)

    def test_a_sleeper_awake_again_works(self):
        """It slept before it had the call, and nobody could take that over."""
        (sql, name, _), before = self.write(), self.adopted()
        self.a.signal(signal.SIGSTOP)
        pending = self.modern("alice", of=self.a).start("execute_query", query=sql, format="json")
        self.a.signal(signal.SIGCONT)
        self.assertEqual(pending.answer().rows, [["1"]])
        self.assertEqual(self.executions(name), 1)
        self.assertEqual(self.adopted(), before)

    def test_slept_while_a_stream_ran(self):
        """Another one has taken the stream over and told its answer: the sleeper tells nothing."""
        here, there = self.both()
        before = self.adopted()
        _, stream, priming, name = self.begun(3 * self.LEASE, here)
        self.emulator.record(name, "held")
        self.a.signal(signal.SIGSTOP)
        try:
            self.taken_over(before)
            self.emulator.record(name, "succeeded")
            self.assert_answered([e for e in self.resumed(there, priming.id) if e.id], stream, [[name]])
        finally:
            self.a.signal(signal.SIGCONT)
        wait_for(lambda: self.a.metric('snowgate_operations_total{outcome="lost"}'), 10, "that it is lost")
        self.assertEqual([e.json for e in stream.rest() if e.id and e.data], [], "it is told there")
        self.assertEqual(self.executions(name), 1)


@installed
class Unanswered(Durably):
    """The server has written a record and its answer is lost: what was refused is not sent by another replica."""

    LEASE = 3.0

    def setUp(self):
        self.emulator.clear()

    def test_a_refused_write_is_forgotten(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        redis = Redis(port)
        self.addCleanup(redis.stop)
        proxy = self.enterContext(FaultProxy(port))
        self.conf = {"session": {"key_file": redis.put("session-keys", os.urandom(32).hex() + "\n")},
                     "auth": {"mode": "required", "api_keys_file": os.path.join(redis.folder, "api-keys")},
                     "store": {"kind": "valkey", "user": "snowgate", "password": PASSWORD, "durability": "aof",
                               "timeout": f"{int(TIMEOUT * 1000)}ms", "lease": f"{int(self.LEASE * 1000)}ms"}}
        a = self.replica(proxy.port, ("alice",))
        b = self.replica(port)
        b.keys = a.keys
        name = self.name()
        self.modern("alice", of=b).query(f"CREATE TABLE IF NOT EXISTS {TABLE} (ID INT)")
        before = a.metric('snowgate_store_pieces_total{outcome="down"}')
        proxy.set("down", blackhole=True)
        answer = self.modern("alice", of=a).query(f"INSERT INTO {TABLE} SELECT 1 WHERE '{name}' <> ''")
        self.assertEqual(answer.status, 503, answer)
        self.assertGreater(a.metric('snowgate_store_pieces_total{outcome="down"}'), before)
        proxy.cut()
        proxy.clear()
        time.sleep(3 * self.LEASE)  # what must not happen has no end to wait for
        self.assertEqual(self.executions(name), 0)
        self.assertEqual(b.metric('snowgate_operations_total{outcome="adopted"}'), 0)

    def replica(self, port, keys=()):
        conf = {}
        for part in (STEADY, self.conf, {"store": {"url": f"redis://127.0.0.1:{port}"}}):
            gateway.merge(conf, {name: dict(value) if isinstance(value, dict) else value
                                 for name, value in part.items()})
        g = Durable(self.emulator, conf, keys)
        self.addCleanup(g.stop)
        return g

    @classmethod
    def setUpClass(cls):
        cls.emulator = Emulator()
        cls.addClassCleanup(cls.emulator.stop)



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
