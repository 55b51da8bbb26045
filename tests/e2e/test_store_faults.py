#!/usr/bin/env python3
"""Faults of the store, seen by clients: a disk that is full, fails, tears a write, or is slow; a server that is slow, or
gone for a while. What is not durable is not acknowledged, what was acknowledged stays, and it is over without a restart
when the fault is. SNOWGATE_LONG=1: gone for a minute."""

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import gateway
from gateway import LATEST, LONG, Emulator, wait_for
from test_durable import STEADY, TABLE, Durable, Durably

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "proof"))
import kill  # noqa: E402
from fault_proxy import FaultProxy  # noqa: E402
from redis_pair import PASSWORD, Node  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
GONE = 60 if LONG else 10  # seconds
TIMEOUT = 1.0  # store.timeout
SPARE = 3.0  # what a busy machine may take beside it


class Faulty(Durably):
    """`fault()` breaks the store of self.gateway, `mend()` ends that."""

    reads_store = False  # does a request that names a session ask the store?
    untold = False  # may what was refused have happened? As after an fsync that failed: it is written, and may last

    def ready(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.admin_port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status
        finally:
            connection.close()

    def initialize(self):
        return self.client("alice").rpc("initialize", {"protocolVersion": LATEST, "capabilities": {},
                                                       "clientInfo": {"name": "e2e", "version": "1"}})

    def assert_refused(self, ask, seconds=TIMEOUT + SPARE):
        """503 with the time to come back, or, where the answer had become a stream, its code; and in time."""
        began = time.monotonic()
        answer = ask()
        self.assertEqual(answer.error["code"], 50301, answer)
        self.assertIn("store", answer.error["message"])
        if not answer.headers["Content-Type"].startswith("text/event-stream"):
            self.assertEqual(answer.status, 503, answer)
            self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        self.assertLess(time.monotonic() - began, seconds)

    def tag(self, client, **arguments):
        return client.tool("set_context", **arguments).structured["parameters"].get("QUERY_TAG")

    def insert(self, number):
        """A write, its name, a key."""
        name = self.name()
        return f"INSERT INTO {TABLE}_FAULTS SELECT {number} WHERE '{name}' <> ''", name, "key " + name

    def rows_of(self, number):
        return int(self.modern("alice").query(f"SELECT COUNT(*) FROM {TABLE}_FAULTS WHERE ID = {number}").rows[0][0])

    def before(self):
        """Acknowledged, all of it: a session by each door with a context, a write by its key, a session to delete."""
        self.modern("alice").query(f"CREATE TABLE IF NOT EXISTS {TABLE}_FAULTS (ID INT)")
        self.client_, self.gone, self.idle = (self.legacy("alice") for _ in range(3))
        self.assertFalse(self.client_.tool("set_context", warehouse="WH_XS", parameters={"QUERY_TAG": "a"}).is_error)
        self.assertEqual(self.gone.query("SELECT 1").rows, [[1]])
        self.handle = self.modern("alice").tool("set_context", parameters={"QUERY_TAG": "m"}).structured["session"]
        self.number = time.time_ns() % 1000000000
        self.write = self.insert(self.number)
        self.assertEqual(self.modern("alice").query(self.write[0], idempotency_key=self.write[2]).rows, [["1"]])

    def during(self):
        """Nothing that would have to be durable is acknowledged, within bounds; what needs no store is served."""
        client, modern = self.client_, self.modern("alice")
        sql, self.refused, key = self.insert(self.number + 1)
        self.assert_refused(lambda: client.tool("set_context", parameters={"QUERY_TAG": "b"}))
        self.assert_refused(lambda: client.tool("execute_query", query="USE WAREHOUSE WH_LOAD"))
        self.assert_refused(lambda: modern.tool("set_context", parameters={"QUERY_TAG": "n"}, session=self.handle))
        self.assert_refused(lambda: modern.tool("set_context", warehouse="WH_LOAD"))
        self.assert_refused(self.initialize)
        self.assert_refused(lambda: self.gone.send("DELETE"))
        self.assert_refused(lambda: modern.query(sql, idempotency_key=key))
        self.assert_refused(lambda: modern.query(sql))
        self.assertEqual(modern.query("SELECT 1").rows, [[1]], "a call without a session")
        if self.reads_store:
            self.assert_refused(lambda: self.idle.query("SELECT 1"))
        else:
            self.assertEqual(self.idle.query("SELECT 1").rows, [[1]], "a session in memory")
        self.assertEqual(self.executions(self.refused), 0)
        self.assertIsNone(self.gateway.process.process.poll())

    def after(self):
        """What was acknowledged is there; what was refused has not happened, or has where the disk did not tell."""
        told = self.client_.tool("set_context").structured
        self.assertIn(told["parameters"]["QUERY_TAG"], ("a", "b") if self.untold else ("a",))
        self.assertIn(told["context"]["warehouse"], ("WH_XS", "WH_LOAD") if self.untold else ("WH_XS",))
        self.assertIn(self.tag(self.modern("alice"), session=self.handle), ("m", "n") if self.untold else ("m",))
        if not self.untold:
            self.assertEqual(self.gone.query("SELECT 1").rows, [[1]], "its DELETE was refused")
        sql, name, key = self.write
        self.assertEqual(self.modern("alice").query(sql, idempotency_key=key).rows, [["1"]])
        self.assertEqual((self.executions(name), self.rows_of(self.number)), (1, 1))
        self.assertEqual((self.executions(self.refused), self.rows_of(self.number + 1)), (0, 0))

    def works(self):
        """As ever: without a restart."""
        client = self.legacy("alice")
        self.assertFalse(client.tool("set_context", parameters={"QUERY_TAG": "new"}).is_error)
        self.assertIn(self.gone.send("DELETE").status, (200, 404) if self.untold else (200,))
        _, stream, priming, name = self.begun(0.3, client)
        answer = stream.rest()[-1]
        self.assertEqual([e for e in self.resumed(client, priming.id) if e.id][-1].id, answer.id)
        return client

    def wait_ready(self):
        wait_for(lambda: self.ready() == 200, 15, "/readyz to say yes")


class Disk(Faulty):
    """sqlite, below it a disk that does what a test says (tests/proof/disk_faults.c)."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="snowgate-faults-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        library, cls.control = os.path.join(cls.folder, "disk_faults.so"), os.path.join(cls.folder, "fault")
        subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library,
                        os.path.join(HERE, "..", "proof", "disk_faults.c"), "-ldl"], check=True)
        cls.mend()
        cls.environment = {"LD_PRELOAD": library, "DISK_FAULTS": cls.control, "DISK_FAULTS_OF": "/store/snowgate.db"}
        cls.emulator = Emulator()
        cls.addClassCleanup(cls.emulator.stop)
        before = {name: os.environ.get(name) for name in cls.environment}
        os.environ.update(cls.environment)  # for each start of the gateway; the controlling programs are not meant
        cls.addClassCleanup(cls.restore, before)
        cls.gateway = Durable(cls.emulator, gateway.merge({"store": {"timeout": f"{int(TIMEOUT * 1000)}ms"}},
                                                          dict(STEADY)), ("alice", "bob"))
        cls.addClassCleanup(cls.gateway.stop)

    @staticmethod
    def restore(before):
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    @classmethod
    def fault(cls, what):
        with open(cls.control + ".new", "w", encoding="ascii") as f:
            f.write(what)
        os.rename(cls.control + ".new", cls.control)

    @classmethod
    def mend(cls):
        cls.fault("none")

    def hits(self):
        try:
            return os.path.getsize(self.control + ".hits")
        except OSError:
            return 0

    def setUp(self):
        self.mend()
        super().setUp()
        self.addCleanup(self.mend)

    def fails(self, what):
        self.untold = what == "sync"
        self.before()
        hits = self.hits()
        self.fault(what)
        self.during()
        self.assertGreater(self.hits(), hits)
        self.assertEqual(self.ready(), 503)
        self.assertIn("store", self.gateway.log("store_not_ready")[-1]["reason"])
        self.mend()
        self.wait_ready()
        self.after()
        self.works()
        self.again()
        self.after_restart()

    def after_restart(self):
        self.assertIn(self.tag(self.client_), ("a", "b") if self.untold else ("a",))
        self.assertIn(self.tag(self.modern("alice"), session=self.handle), ("m", "n") if self.untold else ("m",))
        self.assertEqual(self.gone.query("SELECT 1").status, 404)
        self.gateway.kill()
        self.assertEqual(kill.integrity(self.gateway.store), [])
        self.gateway.start()

    def test_full(self):
        self.fails("full")

    def test_writes_fail(self):
        self.fails("write")

    def test_writes_are_torn(self):
        self.fails("torn")

    def test_fsync_fails(self):
        self.fails("sync")

    def test_killed_while_it_fails(self):
        for what in ("full", "torn", "sync", "write"):
            with self.subTest(what=what):
                self.mend()
                self.untold = what == "sync"
                self.before()
                self.fault(what)
                self.during()
                self.gateway.kill()
                self.mend()
                self.gateway.start()
                self.after()
                self.works()

    def test_a_stream_while_it_fails(self):
        """What runs is answered, though nobody could come back for it; and what came before is still to be had."""
        for what in ("full", "sync", "torn"):
            with self.subTest(what=what):
                client, stream, priming, name = self.begun(1.0)
                self.emulator.record(name, "held")
                self.fault(what)
                events = [e for e in stream.rest() if e.data]
                self.assertEqual([e.json["id"] for e in events if "result" in e.json], [stream.id])
                self.assertEqual(events[-1].json["result"]["structuredContent"]["rows"], [[name]])
                self.assertIsNone(events[-1].id, "an event that is not durable has no id")
                self.mend()
                self.wait_ready()
                self.assert_answered([e for e in self.resumed(client, priming.id) if e.id], stream, [[name]])
                self.assertEqual(self.executions(name), 1)

    def test_a_stream_that_begins_while_it_fails(self):
        for what in ("full", "sync"):
            with self.subTest(what=what):
                client, (sql, name) = self.legacy("alice"), self.held(0.8)
                self.fault(what)
                stream = self.call(client, sql)
                self.assertEqual(stream.answer().rows, [[name]])
                self.assertEqual([e.id for e in stream.got if e.id], [], "nobody can come back for it")
                self.mend()
                self.wait_ready()
                self.assertEqual(self.executions(name), 1)

    def test_slow(self):
        """An fsync takes 2 s: a change takes that long, or, waiting behind another, twice; or is refused, and then has
        not happened. What is in memory is served as ever."""
        self.before()
        clients = [self.legacy("alice") for _ in range(6)]
        for client in clients:
            self.assertFalse(client.tool("set_context", parameters={"QUERY_TAG": "quick"}).is_error)
        self.fault("slow 2000")
        began = time.monotonic()
        self.assertEqual(self.idle.query("SELECT 1").rows, [[1]])
        self.assertEqual(self.modern("alice").query("SELECT 1").rows, [[1]])
        self.assertLess(time.monotonic() - began, 1.0, "a fast call does not touch the store")
        calls, expected = [], {}
        for client in clients:
            calls.append((client, client.start("set_context", parameters={"QUERY_TAG": "slow"})))
            time.sleep(0.3)
        for client, call in calls:
            answer = call.answer()
            if "error" in answer.json:
                self.assertEqual(answer.error["code"], 50301)
            expected[client] = "quick" if "error" in answer.json else "slow"
        self.assertLess(time.monotonic() - began, 3 * 2 + SPARE)
        self.assertIn("slow", expected.values(), "a commit that takes long is one")
        self.mend()
        for _ in range(2):
            for client, tag in expected.items():
                self.assertEqual(self.tag(client), tag)
            self.again()

    def test_a_page_is_damaged_at_rest(self):
        """Told at /readyz and in the log, and nothing is repaired silently; the calls that need no store are served."""
        g = self.another(keys=("alice",))
        clients = [self.legacy(of=g) for _ in range(40)]
        for client in clients:
            client.tool("set_context", parameters={"QUERY_TAG": "x" * 1500})
        self.assertEqual(g.end(), 0)
        path = g.conf["store"]["path"]
        with open(path, "r+b") as f:
            size = os.path.getsize(path)
            for at in range(4096 * 4, size, 4096):  # behind the header and the schema
                f.seek(at)
                f.write(b"\xff" * 1024)
        with open(path + ".lock", "w", encoding="ascii") as f:
            f.write("open\n")  # as after a crash
        g.start()
        self.gateway, kept = g, self.gateway
        try:
            wait_for(lambda: self.ready() == 503, 15, "/readyz to say no")
            self.assertTrue(g.log("store_damaged"))
            self.assertEqual(self.modern(of=g).query("SELECT 1").rows, [[1]])
            for client in clients[:5]:
                self.assertNotEqual(client.query("SELECT 1").status, 500)
            self.assertIsNone(g.process.process.poll())
        finally:
            self.gateway = kept


@unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed")
class Server(Faulty):
    """valkey, over a proxy that does what a test says."""

    reads_store = True
    timeout = TIMEOUT
    limits = {}

    @classmethod
    def setUpClass(cls):
        cls.emulator = Emulator()
        cls.addClassCleanup(cls.emulator.stop)
        cls.redis = Node()
        cls.addClassCleanup(cls.redis.stop)
        cls.proxy = FaultProxy(cls.redis.port)
        cls.addClassCleanup(cls.proxy.close)
        folder = tempfile.mkdtemp(prefix="snowgate-keys-")
        cls.addClassCleanup(shutil.rmtree, folder, True)
        keys = os.path.join(folder, "session-keys")
        with open(os.open(keys, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as f:
            f.write(os.urandom(32).hex() + "\n")
        conf = {"store": {"kind": "valkey", "url": f"redis://127.0.0.1:{cls.proxy.port}", "user": "snowgate",
                          "password": PASSWORD, "durability": "aof", "timeout": f"{int(cls.timeout * 1000)}ms"},
                "session": {"key_file": keys}, "limits": cls.limits}
        cls.gateway = Durable(cls.emulator, gateway.merge(conf, dict(STEADY)), ("alice", "bob"))
        cls.addClassCleanup(cls.gateway.stop)

    def mended(self):
        self.proxy.clear()
        self.proxy.accept()

    def setUp(self):
        self.mended()
        super().setUp()
        self.wait_ready()
        self.addCleanup(self.mended)


class Gone(Server):
    def outage(self, gone, back):
        self.before()
        began = time.monotonic()
        gone()
        try:
            self.during()
            wait_for(lambda: self.ready() == 503, 8, "/readyz to say no")
            while time.monotonic() < began + GONE:
                self.assert_refused(lambda: self.client_.query("SELECT 1"))
                self.assertEqual(self.modern("alice").query("SELECT 1").rows, [[1]])
                time.sleep(0.5)
        finally:
            back()
        self.wait_ready()
        self.after()
        self.works()

    def test_its_server_is_dead(self):
        self.outage(self.redis.kill, self.redis.start)

    def test_its_server_cannot_be_reached(self):
        def gone():
            self.proxy.refuse()
            self.proxy.cut()
        self.outage(gone, self.mended)

    def test_its_network_is_silent(self):
        self.outage(lambda: self.proxy.set(blackhole=True), self.mended)

    def test_a_stream_while_it_is_gone(self):
        """What runs is answered, without an id; once the server is back, it is to be had by the id from before."""
        client, stream, priming, name = self.begun(1.0)
        self.emulator.record(name, "held")
        self.proxy.set(blackhole=True)
        events = [e for e in stream.rest(15) if e.data]
        self.assertEqual([e.json["id"] for e in events if "result" in e.json], [stream.id])
        self.assertEqual(events[-1].json["result"]["structuredContent"]["rows"], [[name]])
        self.assertIsNone(events[-1].id)
        self.mended()
        self.wait_ready()
        self.assert_answered([e for e in self.resumed(client, priming.id) if e.id], stream, [[name]])
        self.assertEqual(self.executions(name), 1)

    def test_a_change_whose_stream_could_not_be_recorded(self):
        """Its answer had joined the stream when the store refused the stream, and was shown before it was refused
        itself; then the process ended."""
        client = self.legacy("alice")
        self.emulator.hold("CURRENT_WAREHOUSE", 0.6)
        stream = self.kept(client.stream(client.tool_message("set_context", {"warehouse": "WH_LOAD"})))
        wait_for(lambda: self.emulator.records("CURRENT_WAREHOUSE"), 5, "its statement")
        self.proxy.set(blackhole=True)
        answer = stream.answer(15)
        self.assertEqual(answer.json.get("error", {}).get("code"), 50301, answer)
        self.assertIsNone(self.gateway.process.process.poll())
        self.mended()
        self.wait_ready()
        self.assertNotEqual(client.tool("set_context").structured["context"]["warehouse"], "WH_LOAD")


class Queued(Server):
    """One statement at a time: another waits, and its stream is recorded before its intent is."""

    limits = {"default": {"calls_per_minute": 1000000, "burst": 100000, "running": 1, "queued": 100}}

    def test_a_write_whose_intent_is_refused(self):
        """Its stream was recorded; what it is told is not, and bears no id. It bore one, by which nothing was found."""
        self.before()
        client, first, (sql, name, _) = self.legacy("alice"), self.legacy("alice"), self.insert(self.number + 3)
        held, _ = self.held(1.5)
        running = self.kept(first.stream(first.tool_message("execute_query", {"query": held})))
        wait_for(lambda: self.gateway.metric("snowgate_slots_used") == 1, 5, "the first to run")
        stream = self.call(client, sql)
        self.assertTrue(stream.next().id, "its stream is recorded")
        self.proxy.set(blackhole=True)
        events = [e for e in stream.rest(15) if e.data]
        self.assertEqual([(e.id, e.json["error"]["code"]) for e in events], [(None, 50301)])
        running.leave()
        self.mended()
        self.wait_ready()
        self.assertEqual((self.executions(name), self.rows_of(self.number + 3)), (0, 0))


class Slow(Server):
    """The server's answers take 2 s; store.timeout grants 5."""

    timeout = 5.0

    def test_two_seconds(self):
        self.before()
        self.proxy.set("down", latency=2.0)
        began = time.monotonic()
        self.assertEqual(self.modern("alice").query("SELECT 1").rows, [[1]], "a call without a session")
        self.assertLess(time.monotonic() - began, 1.0)
        tags, acknowledged = ["a"], "a"
        for n in range(4):
            began = time.monotonic()
            tags.append(f"slow {n}")
            answer = self.client_.tool("set_context", parameters={"QUERY_TAG": tags[-1]})
            self.assertLess(time.monotonic() - began, 2 * self.timeout + SPARE)
            if answer.status == 200 and "result" in answer.json and not answer.is_error:
                acknowledged = tags[-1]
                tags = tags[-1:]
            else:
                self.assertEqual(answer.error["code"], 50301)
        self.assertNotEqual(acknowledged, "a", "2 s are within store.timeout")
        sql, name, key = self.insert(self.number + 2)
        answer = self.modern("alice").query(sql, idempotency_key=key)
        done = answer.status == 200 and not answer.is_error
        self.mended()
        self.wait_ready()
        self.assertIn(self.tag(self.client_), tags)
        self.assertEqual(self.tag(self.modern("alice"), session=self.handle), "m")
        again = wait_for(lambda: (a := self.modern("alice").query(sql, idempotency_key=key)).status == 200 and a, 10,
                         "the write by its key")
        self.assertEqual((again.rows, self.executions(name), self.rows_of(self.number + 2)), ([["1"]], 1, 1),
                         f"acknowledged before: {done}")
        self.works()


if __name__ == "__main__":
    gateway.main()
