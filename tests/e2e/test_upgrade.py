#!/usr/bin/env python3
"""Two versions side by side: this one, and one whose records have a member more (snowgate-next,
include/snowgate/format.h). Sessions, streams and writes go to and fro between them."""

import os
import random
import sys
import time

import gateway
from gateway import LONG
from test_durable import TABLE, Durable, Durably
from test_handover import Handed, steady
from test_replicas import Replicated, installed

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "proof"))
import swarm  # noqa: E402

WAREHOUSES = ("WH_XS", "WH_LOAD", "COMPUTE_WH")
STRICT = "RECORDS_OF_NEXT_ONLY"
FOR_NEXT = "RECORDS_FOR_NEXT_ONLY"
ROUNDS = 4 if LONG else 1
CLIENTS = 16


class Next(Durable):
    binary = "snowgate-next"


class Versions:
    """`a` is the next version, `b` this one. Every session and operation begins at a, which takes none back whose member
    has been lost."""

    @classmethod
    def setUpClass(cls):
        os.environ[STRICT] = "1"
        cls.addClassCleanup(os.environ.pop, STRICT)
        super().setUpClass()

    def test_a_session_goes_to_and_fro(self):
        client = self.legacy("alice", of=self.a)
        for n in range(6):
            one, other = (self.b, self.a) if n % 2 else (self.a, self.b)
            answer = self.at(one, client).tool("set_context", warehouse=WAREHOUSES[n % 3],
                                               parameters={"QUERY_TAG": f"change {n}"})
            self.assertFalse(answer.is_error, answer)
            told = self.at(other, client).tool("set_context").structured
            self.assertEqual((told["context"]["warehouse"], told["parameters"]["QUERY_TAG"]),
                             (WAREHOUSES[n % 3], f"change {n}"))

    def test_a_handle_goes_to_and_fro(self):
        handle = self.client(of=self.a, modern=True).tool("set_context", warehouse="WH_XS").structured["session"]
        for n in range(4):
            g = (self.b, self.a)[n % 2]
            client = self.client(of=g, modern=True)
            self.assertEqual(self.context(client, session=handle)[1], WAREHOUSES[n % 3])
            self.assertFalse(client.tool("execute_query", query=f"USE WAREHOUSE {WAREHOUSES[(n + 1) % 3]}",
                                         session=handle).is_error)

    def test_a_stream_goes_to_and_fro(self):
        """Begun by the next version, finished by this one, told again by the next."""
        client, stream, priming, name = self.begun(2.5, self.legacy("alice", of=self.a))
        self.leave(self.a)
        there = self.at(self.b, client)
        events = self.resumed(there, priming.id)
        self.assert_answered(events, stream, [[name]])
        self.come(self.a)
        again = self.resumed(self.at(self.a, client), priming.id)
        self.assertEqual([e.id for e in again], [e.id for e in events])
        self.assert_answered(again, stream, [[name]])
        self.assertEqual(self.executions(name), 1)

    def test_a_write_goes_to_and_fro(self):
        name, key = self.name(), "key " + self.name()
        self.emulator.hold(name, 1.5)
        sql = f"INSERT INTO {TABLE} SELECT 1 WHERE '{name}' <> ''"
        pending = self.client(of=self.a, modern=True).start("execute_query", query=sql, format="json",
                                                           idempotency_key=key)
        self.emulator.record(name, "held")
        self.leave(self.a)
        pending.leave()
        for g in (self.b, self.a, self.b):
            if g is self.a:
                self.come(g)
            self.assertEqual(self.by_key(self.client(of=g, modern=True), sql, key).rows, [["1"]])
        self.assertEqual(self.executions(name), 1)
        self.assertEqual(len({r["requestId"] for r in self.emulator.records(name)}), 1)

    def by_key(self, client, sql, key):
        def ask():
            answer = client.query(sql, idempotency_key=key)
            back = "result" in answer.json and answer.is_error and answer.meta_error.get("retryable")
            return None if back else answer
        return gateway.wait_for(ask, 30, "the outcome by its key")

    def table(self):
        with self.client(of=self.a, modern=True) as client:
            client.query(f"CREATE OR REPLACE TABLE {TABLE} (ID INT)")


class Mixed(Replicated):
    """On one Redis server."""

    @classmethod
    def replica(cls, keys=()):
        g = (Next if keys else Durable)(cls.emulator, steady(cls.conf), keys)  # a comes first, and makes the keys
        cls.addClassCleanup(g.stop)
        return g


@installed
class SideBySide(Versions, Mixed):
    def setUp(self):
        super().setUp()
        self.table()

    def leave(self, g):
        g.kill()

    def come(self, g):
        g.start()


@installed
class Newer(Mixed):
    """The next version says that this one may not read what it writes: it is told, and nothing is lost."""

    @classmethod
    def setUpClass(cls):
        os.environ[FOR_NEXT] = "1"
        cls.addClassCleanup(os.environ.pop, FOR_NEXT)
        super().setUpClass()

    def assert_told(self, status, headers, error):
        self.assertEqual(status, 503)
        self.assertTrue(headers["Retry-After"])
        self.assertIn("newer version", error["message"])
        self.assertTrue(self.b.log("record_newer"))

    def test_a_session(self):
        client = self.legacy("alice", of=self.a)
        self.assertFalse(client.tool("set_context", warehouse="WH_XS").is_error)
        there = self.at(self.b, client)
        for answer in (there.tool("set_context", warehouse="WH_LOAD"), there.query("SELECT 1"),
                       there.send("DELETE")):
            self.assert_told(answer.status, answer.headers, answer.error)
        self.assertEqual(self.context(client)[1], "WH_XS", "nothing has changed")

    def test_a_stream(self):
        own = self.legacy("alice", of=self.b)
        client, stream, priming, name = self.begun(2, self.legacy("alice", of=self.a))
        with own.listen(priming.id) as other:
            self.assertEqual(other.open().status, 503, "not 204, which says that it is over")
        self.a.kill()
        self.b.again()
        self.a.start()
        self.assert_answered(self.resumed(self.at(self.a, client), priming.id), stream, [[name]])
        self.assertEqual(self.executions(name), 1)


@installed
class Rolling(Mixed):
    """Under load."""

    def replace(self, g, binary):
        if g.binary == binary:
            return
        self.assertEqual(g.end(), 0)
        g.binary = binary
        g.start()

    def test_an_update_and_back(self):
        """Both replicas are replaced, one after the other; then both go back."""
        seed = random.randrange(1 << 20)
        replicas, rng = (self.a, self.b), random.Random(seed)
        self.replace(self.a, "snowgate")  # all of it begins with this version
        herd = swarm.Swarm([self.a, self.b], self.emulator, CLIENTS, seed, list(self.a.keys.values()),
                           stragglers=True)
        herd.start()
        try:
            for binary in ("snowgate-next", "snowgate") * ROUNDS:
                for g in replicas:
                    time.sleep(rng.uniform(0.5, 1.5))
                    self.replace(g, binary)
                    herd.collect()
        finally:
            herd.stop()
        print(f"\nan update and back, {ROUNDS} times, seed {seed}\n{herd.report()}", flush=True)
        self.assertEqual(swarm.invariants(herd), [])


class OneAfterTheOther(Versions, Durably):
    """On one SQLite file, by hand-over: a is the file while the next version has it, b while this one has."""

    class Turn:
        """The one gateway, as one of the versions: whoever is asked takes over."""

        def __init__(self, g, binary):
            self.g, self.binary, self.keys = g, binary, g.keys

        @property
        def port(self):
            if self.g.binary != self.binary:
                self.g.binary = self.binary
                if self.g.process.process.poll() is None:
                    self.g.take_over()
                else:
                    self.g.start()
            return self.g.port

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.handed = Handed(cls.emulator, steady({"listen": {"handover_drain": "1s"}}), ("alice",))
        cls.addClassCleanup(cls.handed.stop)
        cls.a, cls.b = cls.Turn(cls.handed, "snowgate-next"), cls.Turn(cls.handed, "snowgate")

    def setUp(self):
        super().setUp()
        self.table()

    def at(self, g, client):
        return self.client("alice", of=g, session=client.session)

    def leave(self, g):
        self.handed.kill()

    def come(self, g):
        pass


if __name__ == "__main__":
    gateway.main()
