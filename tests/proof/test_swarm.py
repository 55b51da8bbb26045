#!/usr/bin/env python3
"""The swarm finds what is wrong and nothing else: against a gateway that is sound, through connections that are cut, and
with each of its findings made on purpose. Programs from $SNOWGATE_BUILD or --build FOLDER, as in e2e/."""

import os
import random
import sqlite3
import sys
import tempfile
import time
import unittest

import fault_proxy
import kill
import swarm
from swarm import Context, Session, Swarm, invariants

import gateway  # on the path by swarm
from gateway import Emulator, Event, Gateway

CONF = {"mcp": {"stream_after": "50ms"},
        "policies": [{"statements": ["read", "metadata", "dml", "ddl"], "confirm": "never"}]}


class Sound(unittest.TestCase):
    """One gateway that nobody kills; its store does not matter."""

    @classmethod
    def setUpClass(cls):
        cls.emulator = Emulator()
        cls.addClassCleanup(cls.emulator.stop)
        cls.gateway = Gateway(cls.emulator, CONF, keys=("alice", "bob"))
        cls.addClassCleanup(cls.gateway.stop)

    def herd(self, targets=None, **how):
        return Swarm(targets or [self.gateway.port], self.emulator, 8, 1, self.gateway.keys.values(), **how)

    common = None

    def worked(self, seconds=1.0):
        herd = self.herd()
        herd.start()
        time.sleep(seconds)
        return herd.stop()

    def shared(self):
        """A swarm that has worked, for who leaves it as it was."""
        if not Sound.common:
            Sound.common = self.worked(3)
        return Sound.common

    def test_nothing_is_found_where_nothing_is_wrong(self):
        herd = self.shared()
        self.assertEqual(invariants(herd), [])
        counts = herd.counts()
        for name in ("answers", "events", "changes", "running", "handles", "write", "read held"):
            self.assertGreater(counts[name], 0, counts)

    def test_cut_connections_are_no_faults(self):
        rng = random.Random(3)
        with fault_proxy.FaultProxy(self.gateway.port) as proxy:
            herd = self.herd([proxy.port, self.gateway.port], stragglers=True)
            herd.start()
            begun, met = time.monotonic(), ("broken", "refused", "resumed", "lost")
            while time.monotonic() < begun + (30 if any(not herd.counts()[name] for name in met) else 5):
                deed = rng.randrange(5)
                if deed == 0:
                    proxy.cut()
                elif deed == 1:
                    proxy.set("down", reset_after=rng.randrange(3000))
                elif deed == 2:
                    proxy.refuse()
                elif deed == 3:
                    proxy.set(slice=11)
                else:
                    proxy.set(blackhole=True)
                time.sleep(0.2)
                proxy.clear()
                proxy.accept()
                time.sleep(rng.random() * 0.3)
            herd.stop()
            self.assertEqual(invariants(herd), [])
        counts = herd.counts()
        for name in met:
            self.assertGreater(counts[name], 0, counts)
        self.assertGreater(max(m.gap for m in herd.members), 0)

    # ---- each finding, made on purpose ----

    def assert_found(self, herd, *words):
        faults = invariants(herd)
        self.assertEqual(len(faults), 1, faults)
        for word in words:
            self.assertIn(word, faults[0])

    def a_call(self, herd, kind, outcome="done"):
        return next(c for m in herd.members for c in m.calls if c.kind == kind and c.outcome == outcome)

    def test_a_write_twice_in_the_table(self):
        herd = self.worked()
        row = self.a_call(herd, "write").row
        herd.sql(f"INSERT INTO {herd.table} SELECT {row}")
        self.assert_found(herd, f"row {row} is there 2 times")

    def test_an_acknowledged_write_that_is_not_there(self):
        herd = self.worked()
        call = self.a_call(herd, "write")
        herd.sql(f"DELETE FROM {herd.table} WHERE ID = {call.row}")
        self.assert_found(herd, call.marker, "is not in the table")

    def change(self, thing, member, value):
        """For this test."""
        self.addCleanup(setattr, thing, member, getattr(thing, member))
        setattr(thing, member, value)

    def test_a_failed_write_that_is_there(self):
        herd = self.shared()
        call = self.a_call(herd, "write")
        self.change(call, "outcome", "failed")
        self.assert_found(herd, call.marker, "told to have failed")

    def test_a_write_of_unknown_outcome_may_be_there_or_not(self):
        herd = self.worked()
        call = self.a_call(herd, "write")
        call.outcome = "unknown"
        self.assertEqual(invariants(herd), [])
        herd.sql(f"DELETE FROM {herd.table} WHERE ID = {call.row}")
        self.assertEqual(invariants(herd), [])

    def test_a_statement_executed_twice(self):
        herd = self.worked()
        call = self.a_call(herd, "read")
        call.tags.add(None)
        herd.sql(f"SELECT '{call.marker}' AS SECOND")
        self.assert_found(herd, call.marker, "executed 2 times")

    def test_a_statement_under_another_s_tag(self):
        herd = self.shared()
        call = self.a_call(herd, "read")
        self.change(call, "tags", {"another"})
        self.assert_found(herd, call.marker, "ran under the tag")

    def test_a_session_in_another_context(self):
        herd = self.shared()
        session = herd.members[0].session
        self.change(session, "possible", set(session.possible))
        session.possible = {Context("WH_XS", "DEMO", "PUBLIC", "never set")}
        self.assert_found(herd, "client 0", "never set")

    def test_a_session_that_is_gone(self):
        herd = self.worked()
        member = herd.members[0]
        member.turn()
        member.client.send("DELETE")
        self.assert_found(herd, "client 0", "is gone")

    def test_a_deleted_session_that_lives(self):
        herd = self.shared()
        self.change(herd.members[0].session, "deleted", "done")
        self.assert_found(herd, "client 0", "the deleted session answers 200")

    def test_an_answer_that_never_came_and_one_that_came_twice(self):
        herd = self.shared()
        call = next(c for m in herd.members for c in m.calls if c.stream and c.answers == 1)
        self.change(call, "answers", call.answers)
        self.change(call, "outcome", call.outcome)
        for answers, outcome, text in ((0, "lost", "got no answer"), (2, "done", "answered 2 times")):
            call.answers, call.outcome = answers, outcome
            self.assert_found(herd, call.marker, text)

    def test_bad_events(self):
        member = self.herd().members[0]
        member.session = Session("s", None, False, Context("W", "D", "S", None), False)
        call, _ = member.new_call("read")
        call.rpc_id = 7

        def event(number, text, stream="a" * 13):
            return Event([f"id: {stream}-{number}", f'data: {{"x":"{text}"}}'] if text else [f"id: {stream}-{number}",
                                                                                           "data:"])

        def told(e):
            member.faults.clear()
            member.heard(call, e)
            return " | ".join(member.faults)
        self.assertEqual(told(event(0, "")), "")
        self.assertEqual(told(event(1, call.marker)), "")
        self.assertIn("after number 1", told(event(1, call.marker)), "again")
        self.assertIn("after number 1", told(event(3, "three")), "one was left out")
        self.assertIn("two bodies", told(event(3, "another three")))
        self.assertIn("in the stream", told(event(4, "four", "b" * 13)))
        self.assertIn("belongs to swarm.0.1.2;", told(event(5, "swarm.0.1.2;")))
        progress = '"method":"notifications/progress","params":{"progressToken":"%s","progress":%d}'
        for number, token, text in ((1, call.marker, ""), (1, call.marker, "went from 1"), (2, "else", "of else")):
            found = told(Event(["data: {" + progress % (token, number) + "}"]))
            self.assertIn(text, found)
            self.assertEqual(bool(text), bool(found))

    def test_what_may_differ_when_it_is_rendered_again(self):
        one, two = '{"text":"{\\"elapsedMs\\":5}","elapsedMs":5} failed [r12ab]', \
                   '{"text":"{\\"elapsedMs\\":77}","elapsedMs":8} failed [rff]'
        self.assertEqual(swarm.lasting(one), swarm.lasting(two))
        self.assertNotEqual(swarm.lasting('{"rows":[[5]]}'), swarm.lasting('{"rows":[[6]]}'))


class Contexts(unittest.TestCase):
    def session(self, stragglers):
        return Session("s", None, False, Context("A", "D", "S", "0"), stragglers)

    def test_acknowledged_lost_and_observed(self):
        s = self.session(False)
        s.acknowledged({"tag": "1"})
        self.assertEqual({c.tag for c in s.expected()}, {"1"})
        s.lost({"tag": "2"})
        self.assertEqual({c.tag for c in s.expected()}, {"1", "2"})
        self.assertTrue(self.session(False).contradicts({"tag": "2"}))
        self.assertFalse(s.contradicts({"tag": "2"}))
        self.assertTrue(s.contradicts({"tag": "1"}), "it was seen to have happened")

    def test_later_than_a_later_one(self):
        for stragglers in (False, True):
            s = self.session(stragglers)
            s.lost({"warehouse": "B"})
            s.acknowledged({"warehouse": "C", "tag": "9"})
            self.assertEqual({c.warehouse for c in s.expected()}, {"B", "C"} if stragglers else {"C"})


class Killer(unittest.TestCase):
    def test_losses_are_found_without_a_store(self):
        told = []
        failed = kill.run(iterations=1, kills=1, clients=4, conf={"store": {"kind": "memory"}}, out=told.append)
        self.assertEqual(list(failed), [1], told)
        self.assertIn("404", str(failed[1]))
        self.assertIn("--seed 1 --clients 4 --iterations 1", told[0])

    def test_a_torn_page_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("no database", kill.integrity(folder)[0])
            path = os.path.join(folder, "x.db")
            database = sqlite3.connect(path)
            database.execute("CREATE TABLE t (a PRIMARY KEY, b)")
            database.executemany("INSERT INTO t VALUES (?, ?)", [(n, "x" * 100) for n in range(1000)])
            database.commit()
            database.close()
            self.assertEqual(kill.integrity(path), [])
            with open(path, "r+b") as f:
                f.seek(4096 * 5)
                f.write(b"\xff" * 2048)
            self.assertNotEqual(kill.integrity(path), [])

    def test_points_are_read(self):
        with tempfile.NamedTemporaryFile("w", suffix=".def") as f:
            f.write('/* KILL(not_this, "x") */\nKILL(intent_before, "before the intent")\n'
                    'KILL(event_after,  "an event is durable")\n')
            f.flush()
            before, kill.KILL_DEF = kill.KILL_DEF, f.name
            try:
                self.assertEqual(kill.points(), ["intent_before", "event_after"])
            finally:
                kill.KILL_DEF = before


if __name__ == "__main__":
    sys.exit(gateway.main())
