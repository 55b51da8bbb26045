#!/usr/bin/env python3
"""What is one client's never reaches another: sessions, handles, results, limits, contexts."""

import collections
import hashlib
import itertools
import json
import random
import threading
import time
import unittest

import gateway
from gateway import LONG, Client, wait_for

STATEMENTS = 10000 if LONG else 2000
BATCH = 1000
SESSIONS = 50
CONNECTIONS = 16
ABORT_SECONDS = 3
ABORTS_PER_SECOND = 1000
CAP = 4
CONTEXT = "CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE(), CURRENT_SCHEMA()"


def principal_of(key):
    """How a QUERY_TAG names the owner of this API key: the kind (2: a key), issuer and subject, the texts with their
    lengths before them, hashed."""
    texts = b"".join(len(text).to_bytes(2, "big") + text for text in (b"", key.encode()))
    return hashlib.sha256(b"\x02" + texts).hexdigest()[:16]


def all_ended(threads, test):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
        test.assertFalse(thread.is_alive(), "a thread did not end in time")


class Isolation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.emulator = gateway.Emulator()
        cls.addClassCleanup(cls.emulator.stop)
        roles = ["SYSADMIN", "ANALYST", "LOADER", "PUBLIC"]
        free = {"roles": roles, "statements": ["read", "metadata", "dml", "ddl"]}
        cls.gateway = gateway.Gateway(cls.emulator, {
            "limits": {"few": {"calls_per_minute": 60, "burst": 10},
                       "narrow": {"running": 2, "queued": 2, "queue_wait": "1s"},
                       "capped": {"running": CAP, "queued": 16, "queue_wait": "1s"}},
            "snowflake": {"max_in_flight": 64},
            "policies": [{"name": "flooder", "match": {"principal": "flooder"}, "limits": "few"},
                         {"name": "hoarder", "match": {"principal": "hoarder"}, "limits": "narrow"},
                         {"name": "aborter", "match": {"principal": "aborter*"}, "limits": "capped"},
                         {"name": "all", **free}]},
            keys=("alice", "bob", "flooder", "hoarder", "aborter", "aborter-legacy"))
        cls.addClassCleanup(cls.gateway.stop)

    def setUp(self):
        self.emulator.reset()

    def client(self, key, **how):
        client = Client(self.gateway, self.gateway.keys[key], **how)
        self.addCleanup(client.close)
        return client

    # ---- names of one key, tried by another ----

    def test_a_session_id_is_the_key_s_own(self):
        alice = self.client("alice")
        alice.initialize()
        for method, body in (("POST", "tools/list"), ("POST", "ping"), ("DELETE", None)):
            bob = self.client("bob", session=alice.session)
            answer = bob.rpc(body) if body else bob.send(method)
            self.assertEqual(answer.status, 404, answer)
        self.assertEqual(alice.query("SELECT 1").rows, [[1]])

    def test_a_session_handle_is_the_key_s_own(self):
        handle = self.client("alice", modern=True).tool("set_context", warehouse="WH_XS").structured["session"]
        for name in ("set_context", "execute_query"):
            arguments = {"query": "SELECT 1"} if name == "execute_query" else {"warehouse": "WH_LOAD"}
            answer = self.client("bob", modern=True).tool(name, session=handle, **arguments)
            self.assertTrue(answer.is_error, answer)
            self.assertIn("unknown", answer.text)
        told = self.client("alice", modern=True).tool("set_context", session=handle).structured
        self.assertEqual(told["context"]["warehouse"], "WH_XS")

    def test_a_statement_handle_is_the_key_s_own(self):
        answer = self.client("alice", modern=True).query("SELECT 'of alice'").structured
        handle = answer["statementHandle"]
        before = self.emulator.stats()["requests"]
        forged = (handle, answer["queryId"], answer["queryId"] + "." + "a" * 26, handle[:-1], handle + "a", "x", ".",
                  "é")
        for tool, name in itertools.product(("get_result", "cancel_query"), forged):
            with self.subTest(tool=tool, name=name):
                told = self.client("bob", modern=True).tool(tool, statement_handle=name)
                self.assertTrue(told.is_error, told)
                self.assertIn("unknown", told.text)
                self.assertNotIn("of alice", told.body.decode())
        self.assertEqual(self.emulator.stats()["requests"], before, "a forged handle reached Snowflake")
        own = self.client("alice", modern=True).tool("get_result", statement_handle=handle, format="json")
        self.assertEqual(own.rows, [["of alice"]])

    def test_a_statement_cannot_be_cancelled_by_another_session_s_ids(self):
        alice, bob = self.client("alice"), self.client("bob")
        alice.initialize()
        bob.initialize()
        self.emulator.hold("still mine", 1)
        call = alice.start("execute_query", query="SELECT 'still mine'", format="json")
        self.emulator.record("still mine", "held")
        self.assertEqual(bob.notify("notifications/cancelled", {"requestId": call.id}).status, 202)
        thief = self.client("bob", session=alice.session)
        self.assertEqual(thief.notify("notifications/cancelled", {"requestId": call.id}).status, 404)
        self.assertEqual(call.answer().rows, [["still mine"]])

    # ---- limits of one key ----

    def test_a_flood_is_refused_and_touches_nobody_else(self):
        refused, passed, others, stop = [], [], [], threading.Event()

        def flood():
            with self.client("flooder", modern=True) as client:
                for _ in range(50):
                    answer = client.query("SELECT 1")
                    (refused if answer.status == 429 else passed).append(answer)

        def work():
            with self.client("alice", modern=True) as client:
                while not stop.is_set() or len(others) < 50:
                    others.append(client.query("SELECT 2"))

        other = threading.Thread(target=work)
        other.start()
        all_ended([threading.Thread(target=flood) for _ in range(4)], self)
        stop.set()
        other.join(60)
        self.assertTrue(all(a.status == 200 and a.rows == [[2]] for a in others))
        self.assertGreaterEqual(len(refused), 150)
        self.assertTrue(all(a.status == 200 for a in passed))
        for answer in refused:
            self.assertEqual(answer.error["code"], 42901)
            self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
            self.assertEqual(answer.error["data"]["policy"], "calls_per_minute")
            self.assertGreater(answer.error["data"]["retryAfterMs"], 0)
        self.assertLessEqual(len(passed), 10 + 15, "ten at once, then one a second")

    def test_the_rate_opens_again_when_it_said(self):
        client = self.client("flooder", modern=True)
        answer = client.rpc("tools/list")
        while answer.status == 200:
            answer = client.rpc("tools/list")
        end = time.monotonic() + answer.error["data"]["retryAfterMs"] / 1000
        wait_for(lambda: time.monotonic() > end, 5, "the time that the answer named")
        self.assertEqual(client.rpc("tools/list").status, 200)

    def test_statements_over_the_cap_are_refused(self):
        self.emulator.hold("of the hoarder", 3)
        calls = [self.client("hoarder", modern=True).start("execute_query", query=f"SELECT '{i} of the hoarder'")
                 for i in range(8)]
        wait_for(lambda: len(self.emulator.records("of the hoarder")) == 2, 5, "two in execution")
        self.assertEqual(self.client("alice", modern=True).query("SELECT 1").rows, [[1]])
        answers = [call.answer() for call in calls]
        refused = [a for a in answers if a.status == 429]
        self.assertEqual(len(refused), 6, "two run, two wait in vain, four find no room")
        for answer in refused:
            self.assertEqual(answer.error["code"], 42902)
            self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        self.assertEqual(self.emulator.stats()["by_query_tag"][principal_of("hoarder")]["max_running"], 2)

    def open_and_abort(self, client):
        """Opens, sends a statement and closes: half of the connections at once, half a little later. Their number."""
        message = client.tool_message("execute_query", {"query": "SELECT 'to be aborted'"})
        body = json.dumps(message).encode()
        data = gateway.head("POST", client.headers(message), len(body)) + body
        begin, sent, kept = time.monotonic(), 0, collections.deque()
        while time.monotonic() < begin + ABORT_SECONDS:
            s = gateway.connect(self.gateway.port)
            s.sendall(data)
            sent += 1
            if sent % 2:
                kept.append(s)
            else:
                s.close()
            if len(kept) > 40:
                kept.popleft().close()
            time.sleep(max(0, begin + sent / ABORTS_PER_SECOND - time.monotonic()))
        for s in kept:
            s.close()
        return sent

    def abort_storm(self, key, modern):
        self.emulator.hold("to be aborted", 0.5)
        client = self.client(key, modern=modern)
        others, stop = [], threading.Event()

        def work():
            with self.client("alice", modern=True) as alice:
                while not stop.is_set():
                    others.append(alice.query("SELECT 2"))

        other = threading.Thread(target=work)
        other.start()
        try:
            sent = self.open_and_abort(client)
        finally:
            stop.set()
            other.join(60)
        wait_for(lambda: self.gateway.metric("snowgate_slots_used") == 0, 20, "every slot to come back")
        wait_for(lambda: self.gateway.metric("snowgate_queue_depth") == 0, 20, "an empty queue")
        gauges = self.emulator.stats()["by_query_tag"]
        self.assertGreater(sent, 100 * ABORT_SECONDS, "too slow to prove anything")
        self.assertGreaterEqual(gauges[principal_of(key)]["max_running"], 1)
        self.assertLessEqual(gauges[principal_of(key)]["max_running"], CAP)
        self.assertTrue(others and all(a.status == 200 and a.rows == [[2]] for a in others))

    def test_open_and_abort_never_beats_the_cap(self):
        self.abort_storm("aborter", True)

    def test_open_and_abort_of_a_legacy_client_never_beats_the_cap(self):
        self.abort_storm("aborter-legacy", False)

    # ---- contexts ----

    def make_sessions(self):
        """[(key, modern, id or handle, context)]: no two contexts are alike."""
        maker = self.client("alice")
        for i in range(SESSIONS):
            answer = maker.query(f"CREATE SCHEMA IF NOT EXISTS DEMO.S{i % 25:02}")
            self.assertFalse(answer.is_error, answer)
        schemas = [("DEMO", f"S{i:02}") for i in range(25)]
        schemas += [("DEMO", "PUBLIC"), ("SNOWFLAKE_SAMPLE_DATA", "TPCH_SF1")]
        combinations = [(role, warehouse, *schema) for schema in schemas for role, warehouse in
                        itertools.product(("SYSADMIN", "ANALYST", "LOADER", "PUBLIC"),
                                          ("COMPUTE_WH", "WH_XS", "WH_LOAD"))]
        contexts = random.Random(7).sample(combinations, SESSIONS)
        sessions = []
        for i, context in enumerate(contexts):
            key, modern = ("alice", "bob")[i % 2], i % 4 >= 2
            client = self.client(key, modern=modern)
            if not modern:
                client.initialize()
            role, warehouse, database, schema = context
            answer = client.tool("set_context", role=role, warehouse=warehouse, database=database, schema=schema)
            self.assertFalse(answer.is_error, answer)
            sessions.append((key, modern, answer.structured["session"] if modern else client.session, list(context)))
            client.close()
        self.assertEqual(len({s[2] for s in sessions}), SESSIONS)
        return sessions

    def run_batch(self, sessions, first, connections, crossed):
        """Each connection carries the requests of all sessions and of both keys, one after another."""
        work = list(range(first, first + BATCH))
        random.Random(first).shuffle(work)
        lock = threading.Lock()

        def one(client):
            while True:
                with lock:
                    if not work:
                        return
                    n = work.pop()
                key, modern, name, context = sessions[n % SESSIONS]
                client.key, client.modern, client.session = self.gateway.keys[key], modern, None if modern else name
                arguments = {"session": name} if modern else {}
                answer = client.query(f"SELECT {CONTEXT}, 'number {n} here'", **arguments)
                if answer.rows != [context + [f"number {n} here"]]:
                    crossed.append((n, context, answer))
                shown = answer.structured["context"]
                if [shown[k] for k in ("role", "warehouse", "database", "schema")] != context:
                    crossed.append((n, context, shown))

        all_ended([threading.Thread(target=one, args=(c,)) for c in connections], self)

    def check_records(self, sessions, first, crossed):
        seen, tags = 0, collections.defaultdict(set)
        for record in self.emulator.records(" here'"):
            n = int(record["sql"].split("number ")[1].split()[0])
            key, _, _, context = sessions[n % SESSIONS]
            seen += 1
            if [record[k] for k in ("role", "warehouse", "database", "schema")] != context:
                crossed.append((n, context, record))
            tag = json.loads(record["parameters"]["QUERY_TAG"])
            tags[n % SESSIONS].add(tag["session"])
            if tag["principal"] != principal_of(key) or record["executions"] != 1:
                crossed.append((n, key, record))
        self.assertEqual(seen, BATCH, f"records of the statements from {first}")
        self.assertEqual([len(own) for own in tags.values()], [1] * SESSIONS, "one name for each session")
        self.assertEqual(len(set.union(*tags.values())), SESSIONS, "no two sessions with one name")

    def test_no_context_crosses(self):
        sessions = self.make_sessions()
        connections = [self.client("alice") for _ in range(CONNECTIONS)]
        crossed = []
        for first in range(0, STATEMENTS, BATCH):
            self.emulator.reset()
            self.run_batch(sessions, first, connections, crossed)
            self.check_records(sessions, first, crossed)
        self.assertEqual(crossed, [])


if __name__ == "__main__":
    gateway.main()
