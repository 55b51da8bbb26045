#!/usr/bin/env python3
"""One process takes over from another on the same host, with the listening sockets and the store: no client is refused,
none loses its session, and each event comes once. SNOWGATE_LONG=1: more of it."""

import json
import os
import random
import re
import signal
import socket
import sys
import threading
import time

import gateway
from gateway import LONG, Client, Emulator, Process, program, wait_for
from test_durable import CONTEXT, STEADY, TABLE, Durable, Durably

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "proof"))
import kill  # noqa: E402
import swarm  # noqa: E402

DEPLOY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "systemd")
HANDOVERS = 20 if LONG else 5
CLIENTS = 32


def steady(*confs):
    """A configuration of its own."""
    made = json.loads(json.dumps(STEADY))
    for conf in confs:
        gateway.merge(made, conf or {})
    return made


class Handed(Durable):
    """A gateway that another process may take over from."""

    def __init__(self, emulator, conf=None, keys=(), **how):
        super().__init__(emulator, conf, keys, start=False, **how)
        self.conf["listen"]["handover"] = os.path.join(self.folder, "handover")
        self.write()
        self.start()

    def take_over(self):
        """Another process, in place of the one that runs; the old one's status, and the seconds until it served."""
        old, began = self.process, time.monotonic()
        self.process = Process([program(self.binary), "--take-over", "-c", self.file], "stderr", cwd=self.folder)
        try:
            event = self.process.listening()
        except RuntimeError:
            self.process = old
            raise
        self.admin_port = event["admin_port"]
        if event["port"] != self.port:
            raise AssertionError(f"it listens at {event['port']} instead of {self.port}")
        return old.wait(20), time.monotonic() - began


class HandOver(Durably):
    @classmethod
    def setUpClass(cls):
        cls.emulator = Emulator()
        cls.addClassCleanup(cls.emulator.stop)
        cls.gateway = Handed(cls.emulator, steady({"listen": {"drain": "30s", "handover_drain": "2s"}}),
                             ("alice", "bob"))
        cls.addClassCleanup(cls.gateway.stop)

    def take_over(self, within=10):
        status, seconds = self.gateway.take_over()
        self.assertEqual(status, 0)
        self.assertLess(seconds, within)
        return seconds

    def test_sessions_go_on(self):
        client, modern = self.legacy("alice"), self.modern("bob")
        client.tool("set_context", warehouse="WH_XS")
        handle = modern.tool("set_context", warehouse="WH_LOAD").structured["session"]
        for _ in range(2):
            self.take_over()
            self.assertEqual(self.context(client)[1], "WH_XS")
            self.assertEqual(self.context(modern, session=handle)[1], "WH_LOAD")

    def test_a_stream_is_ended_and_goes_on(self):
        client, stream, priming, name = self.begun(3)
        took = self.take_over()
        self.assertLess(took, 2, "it does not wait for what is recorded")
        self.assertEqual([e for e in stream.rest(1) if e.data], [], "ended without an answer")
        self.assert_answered(self.resumed(client, priming.id), stream, [[name]])
        self.assertEqual(self.executions(name), 1)

    def test_a_call_that_could_be_a_stream_becomes_one(self):
        g = self.handed({"mcp": {"stream_after": "20s", "retry": "50ms"}})
        client, (sql, name) = self.legacy(of=g), self.held(2.5)
        stream = self.call(client, sql)
        self.emulator.record(name, "held")
        self.assertEqual(g.take_over()[0], 0)
        priming = stream.next()
        self.assertTrue(priming.id)
        self.assert_answered(self.resumed(client, priming.id), stream, [[name]])
        self.assertEqual(self.executions(name), 1)

    def test_a_short_call_is_answered_by_the_old_one(self):
        client, (sql, name) = self.modern("alice"), self.held(0.8)
        stream = self.call(client, sql)
        self.emulator.record(name, "held")
        self.take_over()
        self.assertEqual(stream.answer(5).rows, [[name]])
        self.assertEqual(self.executions(name), 1)

    def test_a_call_that_nobody_can_go_on_with_is_told(self):
        client, (sql, name) = self.modern("alice"), self.held(20)
        stream = self.call(client, sql)
        self.emulator.record(name, "held")
        self.take_over(within=8)
        answer = stream.answer(5)
        self.assertEqual(answer.error["code"], 50302)
        self.assertEqual(answer.status, 503)
        self.assertTrue(answer.headers["Retry-After"])

    def test_nobody_is_refused_while_it_waits_for_the_store(self):
        """The old one waits for a call; those who come meanwhile wait in the listen queue, and are answered."""
        client, (sql, name) = self.modern("alice"), self.held(1.2)
        stream, answers = self.call(client, sql), []
        self.emulator.record(name, "held")

        def ask(n):
            with Client(self.gateway, self.gateway.keys["bob"], modern=True) as c:
                answers.append((n, c.query("SELECT 1").rows))

        taking = threading.Thread(target=self.take_over)
        taking.start()
        askers = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
        for asker in askers:
            asker.start()
            time.sleep(0.05)
        for asker in askers:
            asker.join(20)
        taking.join(20)
        self.assertEqual(sorted(answers), [(n, [[1]]) for n in range(20)])
        self.assertEqual(stream.answer(5).rows, [[name]])
        self.assertTrue(self.gateway.log("store_waits"))

    def test_kept_connections_are_told_to_close(self):
        client = self.modern("alice")
        self.assertEqual(client.query("SELECT 1").rows, [[1]])
        slow, (sql, name) = self.modern("alice"), self.held(1.2)
        stream = self.call(slow, sql)
        self.emulator.record(name, "held")
        old = self.gateway.process
        taking = threading.Thread(target=self.take_over)
        taking.start()
        wait_for(lambda: old.events("draining"), 5, "the old one to end")
        answer = client.query("SELECT 1")
        self.assertEqual(answer.rows, [[1]], "served, on a connection that it had")
        self.assertEqual(answer.headers["Connection"], "close")
        taking.join(20)
        self.assertEqual(stream.answer(5).rows, [[name]])

    def handed(self, conf=None):
        g = Handed(self.emulator, steady({"listen": {"drain": "30s"}}, conf), ("alice",))
        self.addCleanup(g.stop)
        return g

    def test_where_nobody_is_it_just_starts(self):
        g = self.handed()
        client = self.legacy(of=g)
        g.kill()
        g.process = Process([program("snowgate"), "--take-over", "-c", g.file], "stderr", cwd=g.folder)
        g.admin_port = g.process.listening()["admin_port"]
        self.assertIn("nobody is there", g.process.text())
        self.assertEqual(client.query("SELECT 1").rows, [[1]])
        self.assertEqual(g.take_over()[0], 0)
        self.assertEqual(client.query("SELECT 1").rows, [[1]])

    def test_another_address_is_not_taken_over(self):
        g = self.handed()
        client = self.legacy(of=g)
        port = g.conf["listen"]["port"]
        g.conf["listen"]["port"] = gateway.free_port()
        g.write()
        with self.assertRaises(RuntimeError) as refused:
            g.take_over()
        self.assertIn("listens elsewhere", str(refused.exception))
        g.conf["listen"]["port"] = port
        g.write()
        self.assertEqual(client.query("SELECT 1").rows, [[1]], "the one that ran goes on")
        self.assertEqual(g.take_over()[0], 0)
        self.assertEqual(client.query("SELECT 1").rows, [[1]])

    def test_who_asks_and_goes_away_changes_nothing(self):
        for said in (b"", b"?"):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(self.gateway.conf["listen"]["handover"])
                _, fds, _, _ = socket.recv_fds(s, 1, 8)
                self.assertGreaterEqual(len(fds), 2)
                for fd in fds:
                    os.close(fd)
                s.sendall(said)
            self.assertEqual(self.legacy("alice").query("SELECT 1").rows, [[1]])
        self.assertEqual(os.stat(self.gateway.conf["listen"]["handover"]).st_mode & 0o777, 0o600)

    def test_without_the_setting_it_is_refused(self):
        g = self.another(keys=("alice",))
        second = Process([program("snowgate"), "--take-over", "-c", g.file], "stderr", cwd=g.folder)
        self.assertGreater(second.wait(10), 0)
        self.assertIn("listen.handover", second.text())
        self.assertEqual(self.legacy(of=g).query("SELECT 1").rows, [[1]])

    def test_an_orderly_end_takes_its_socket_along(self):
        g = self.handed()
        path = g.conf["listen"]["handover"]
        self.assertTrue(os.path.exists(path))
        g.take_over()
        self.assertTrue(os.path.exists(path), "it is the new one's")
        self.assertEqual(g.end(), 0)
        self.assertFalse(os.path.exists(path))


class LockWait(Durably):
    """store.lock_wait: a second process on the same store."""

    def second(self, g, wait):
        conf = gateway.merge(json.loads(json.dumps(g.conf)), {"listen": {"port": 0}, "admin": {"port": 0},
                                                              "store": {"lock_wait": wait}})
        process = Process([program("snowgate"), "-c", g.secret_file("second.yaml", json.dumps(conf))], "stderr",
                          cwd=g.folder)
        self.addCleanup(process.end)
        return process

    def test_it_comes_when_the_other_one_has_left(self):
        g = self.another(keys=("alice",))
        client = self.legacy(of=g)
        second = self.second(g, "20s")
        wait_for(lambda: second.events("store_waits"), 10, "the line that says for what it waits")
        self.assertEqual(second.events("listening"), [])
        self.assertEqual(client.query("SELECT 1").rows, [[1]])
        self.assertEqual(g.end(), 0)
        g.port = second.listening()["port"]
        client.close()
        self.assertEqual(client.query("SELECT 1").rows, [[1]])

    def test_it_waits_no_longer(self):
        g = self.another(keys=("alice",))
        second = self.second(g, "300ms")
        self.assertGreater(second.wait(10), 0)
        self.assertIn("in use", second.text())

    def test_it_may_be_called_off(self):
        g = self.another(keys=("alice",))
        second = self.second(g, "1h")
        wait_for(lambda: second.events("store_waits"), 10, "the line that says for what it waits")
        second.signal(signal.SIGTERM)
        self.assertGreater(second.wait(5), 0)


class Activation(Durably):
    """Sockets of a service manager: LISTEN_FDS, which outlive each process."""

    def setUp(self):
        super().setUp()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.addCleanup(self.listener.close)
        self.g = Durable(self.emulator, steady({"listen": {
            "port": self.listener.getsockname()[1], "drain": "30s", "handover_drain": "1s"}}), ("alice",), start=False)
        self.addCleanup(self.g.stop)

    def activate(self):
        """As systemd starts it."""
        fd = self.listener.fileno()
        line = f'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=snowgate.socket exec "$0" "$@" 3<&{fd}'
        self.g.process = Process(["/bin/sh", "-c", line, program("snowgate"), "-c", self.g.file], "stderr",
                                 cwd=self.g.folder, pass_fds=(fd,))
        event = self.g.process.listening()
        self.g.port, self.g.admin_port = event["port"], event["admin_port"]

    def test_a_restart_refuses_nobody(self):
        self.activate()
        self.assertEqual(self.g.port, self.listener.getsockname()[1])
        client, stream, priming, name = self.begun(3, self.legacy(of=self.g))
        began = time.monotonic()
        self.assertEqual(self.g.end(), 0)
        self.assertLess(time.monotonic() - began, 2, "what is recorded is left to the next one")
        waiting = self.kept(client.listen(priming.id))  # nobody runs: it waits in the listen queue
        self.activate()
        self.assertEqual(waiting.open().status, 200)
        self.assert_answered([e for e in waiting.rest(15) if e.data], stream, [[name]])
        self.assertEqual(self.executions(name), 1)

    def test_the_unit_has_the_addresses_of_the_defaults(self):
        with open(os.path.join(DEPLOY, "snowgate.socket"), encoding="ascii") as f:
            streams = [line.partition("=")[2].strip() for line in f if line.startswith("ListenStream=")]
        told = self.g.run("config", "--defaults").stdout
        wanted = []
        for section in ("listen", "admin"):
            part = re.search(rf"(?ms)^{section}:$(.*?)(?=^\S|\Z)", told).group(1)
            address, port = (re.search(rf"^\s+{key}:\s*\"?([^\s\"]+)", part, re.M).group(1)
                             for key in ("address", "port"))
            wanted.append(f"{address}:{port}")
        self.assertEqual(streams, wanted)

    def test_a_socket_at_another_address_is_refused(self):
        self.g.conf["listen"]["port"] = gateway.free_port()
        self.g.write()
        with self.assertRaises(RuntimeError) as refused:
            self.activate()
        self.assertIn("ListenStream", str(refused.exception))

    def test_what_is_no_socket_is_refused(self):
        with open(os.devnull, "rb") as null:
            self.listener.close()
            self.listener = null
            with self.assertRaises(RuntimeError) as refused:
                self.activate()
        self.assertIn("LISTEN_FDS", str(refused.exception))


class Knocker(threading.Thread):
    """One short request after the other, each on a connection of its own: the longest that one took, and what failed."""

    def __init__(self, g):
        super().__init__(daemon=True)
        self.gateway, self.key = g, next(iter(g.keys.values()))
        self.over, self.longest, self.asked, self.failed = threading.Event(), 0.0, 0, []

    def run(self):
        while not self.over.wait(0.01):
            began = time.monotonic()
            try:
                with Client(self.gateway, self.key, modern=True) as client:
                    answer = client.rpc("server/discover")
                if "result" not in answer.json:
                    self.failed.append(str(answer))
            except Exception as problem:
                self.failed.append(repr(problem))
            self.longest = max(self.longest, time.monotonic() - began)
            self.asked += 1

    def stop(self):
        self.over.set()
        self.join(30)


class Swarming(Durably):
    """Clients of both eras, over many hand-overs."""

    def test_idle(self):
        """How long it takes where nothing is under way."""
        g = Handed(self.emulator, steady(), ("alice",))
        self.addCleanup(g.stop)
        knocker = Knocker(g)
        knocker.start()
        took = [g.take_over() for _ in range(HANDOVERS)]
        knocker.stop()
        print(f"\n{HANDOVERS} hand-overs without load in {', '.join(f'{s:.2f}' for _, s in took)} s; "
              f"{knocker.asked} requests meanwhile, the longest {knocker.longest:.2f} s", flush=True)
        self.assertEqual([status for status, _ in took], [0] * HANDOVERS)
        self.assertEqual(knocker.failed, [])
        self.assertLess(knocker.longest, 3)

    def test_hand_overs(self):
        seed = random.randrange(1 << 20)
        g = Handed(self.emulator, steady({"listen": {"drain": "30s", "handover_drain": "3s"},
                                         "limits": {"default": {"streams": 1000}}}),
            [f"client-{n}" for n in range(4)])
        self.addCleanup(g.stop)
        herd = swarm.Swarm([g.port], self.emulator, CLIENTS, seed, list(g.keys.values()), stragglers=True)
        herd.start()
        knocker = Knocker(g)
        knocker.start()
        rng, took = random.Random(seed), []
        try:
            for _ in range(HANDOVERS):
                time.sleep(rng.uniform(0.5, 2))
                status, seconds = g.take_over()
                took.append(seconds)
                self.assertEqual(status, 0)
                herd.collect()
        finally:
            knocker.stop()
            herd.stop()
        faults, counts = swarm.invariants(herd), herd.counts()
        print(f"\n{HANDOVERS} hand-overs in {', '.join(f'{s:.2f}' for s in took)} s; seed {seed}\n{herd.report()}\n"
              f"{knocker.asked} short requests beside them, the longest {knocker.longest:.2f} s", flush=True)
        self.assertEqual(faults, [])
        self.assertEqual(knocker.failed, [])
        self.assertEqual(counts["refused"], 0)
        self.assertEqual(g.end(), 0)
        self.assertEqual(kill.integrity(g.store), [])



if __name__ == "__main__":
    gateway.main()
