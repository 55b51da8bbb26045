#!/usr/bin/env python3
"""The fault matrix: every way in which a request to Snowflake can fail, for reads and for writes, many times over, each
time counted at the emulator. A statement is executed at most once; every caller gets its result or a clear error inside
its deadline; a write of unknown fate says so and is not called retryable.

SNOWGATE_LONG=1 makes a thousand calls of each."""

import os
import subprocess
import tempfile
import threading
import time
import unittest

import gateway
from gateway import LONG, Client, Emulator, Gateway

CALLS = 1000 if LONG else 8
THREADS = 48 if LONG else 32
DEADLINE = 40  # results.wait
SLACK = 15  # who waited for others has ten seconds of its own
TABLE = "DEMO.PUBLIC.MATRIX"
STATEMENTS = ["submit", "poll"]
ROWS = 120
# Snowflake's refusals lower what goes to a warehouse at one time: with many of them no call waits for another's.
WAREHOUSES = 64 if LONG else 24

# what: {action}, operations, how probable
FAULTS = {
    "reset before the request is read": ({"reset_in_request": True}, STATEMENTS, .4),
    "reset before execution": ({"reset_before": True}, STATEMENTS, .4),
    "reset during execution": ({"reset_during": True}, "submit", .4),
    "reset after execution": ({"reset_after": True}, STATEMENTS, .4),
    "reset half way through the answer": ({"reset_in_answer": True}, STATEMENTS, .4),
    "timeout": ({"hang": True}, STATEMENTS, .2),
    "timeout after execution": ({"hang": True, "after": True}, STATEMENTS, .2),
    "429 without a handle": ({"status": 429}, "submit", .3),
    "429 with a handle": ({"status": 429}, "poll", .5),
    "429 with Retry-After": ({"status": 429, "retry_after": 1}, "submit", .2),
    "500": ({"status": 500}, STATEMENTS, .3),
    "500 after execution": ({"status": 500, "after": True}, STATEMENTS, .3),
    "502": ({"status": 502, "body": "empty"}, STATEMENTS, .3),
    "503": ({"status": 503}, STATEMENTS, .3),
    "504 after execution": ({"status": 504, "after": True}, STATEMENTS, .3),
    "a proxy's HTML": ({"status": 502, "body": "html"}, STATEMENTS, .3),
    "200 that is no JSON": ({"not_json": True}, STATEMENTS, .3),
    "gzip that is cut": ({"truncate_gzip": True}, STATEMENTS, .3),
    "Content-Length too long": ({"length_long": True}, STATEMENTS, .3),
    "Content-Length too short": ({"length_short": True}, STATEMENTS, .3),
    "half a body": ({"half_body": True}, STATEMENTS, .3),
    "slow drip": ({"drip": 1}, "poll", .3),
}
# One after the other: a token is made anew at most once a second, and all calls have the same one.
TOKEN_FAULTS = {
    "token expired": ({"token_expired": True}, STATEMENTS, None),
    "token not yet valid (clock)": ({"not_yet_valid": True}, STATEMENTS, None),
}
# of partitions: reads only
PARTITION_FAULTS = {
    "reset": {"reset_before": True}, "reset half way": {"reset_in_answer": True}, "429": {"status": 429},
    "500": {"status": 500}, "503": {"status": 503}, "cut gzip": {"truncate_gzip": True},
    "wrong length": {"length_long": True}, "half a body": {"half_body": True}, "no JSON": {"not_json": True},
    "token expired": {"token_expired": True}, "bare array": {"bare_partition": True},
}


class Matrix(unittest.TestCase):
    """One gateway with a key pair, so that a token that was refused can be made anew."""

    names = 0
    lock = threading.Lock()

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="snowgate-faults-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        key, public = os.path.join(cls.folder, "key.p8"), os.path.join(cls.folder, "key.pub")
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key],
                       check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)
        os.chmod(key, 0o600)
        cls.emulator = Emulator("--public-key", "DEMO=" + public, "--partition-bytes", "4096")
        cls.addClassCleanup(cls.emulator.stop)
        cls.key = key
        cls.gateway = cls.make_gateway({"host": "127.0.0.1"})
        cls.addClassCleanup(cls.gateway.stop)
        with Client(cls.gateway, modern=True) as client:
            client.query(f"CREATE OR REPLACE TABLE {TABLE} (ID INT)")
            for i in range(WAREHOUSES):
                client.query(f"CREATE WAREHOUSE MATRIX_{i} WITH WAREHOUSE_SIZE = XSMALL")

    @classmethod
    def make_gateway(cls, connection, env=None):
        """Faults are met one by one: neither the breaker nor the retry budget, which have tests of their own, may step
        in between."""
        made = Gateway(cls.emulator, {
            "log": {"level": "debug"},
            "snowflake": {"request_timeout": "1s", "connect_timeout": "1s", "retries": 8, "max_in_flight": 200,
                          "retry_budget": 1000, "breaker_failures": 0},
            "policies": [{"statements": ["read", "metadata", "dml", "ddl"], "confirm": "never"}]}, start=False)
        demo = made.conf["snowflake"]["connections"]["demo"]
        del demo["token"]
        demo.update({"authenticator": "snowflake_jwt", "private_key_file": cls.key, **connection})
        made.write()
        os.environ.update(env or {})
        try:
            made.start()
        finally:
            for name in env or {}:
                del os.environ[name]
        return made

    def tearDown(self):
        self.emulator.clear()

    # ---- one call ----

    def name(self):
        with Matrix.lock:
            Matrix.names += 1
            return Matrix.names

    def executed(self, marker):
        return sum(r["executions"] for r in self.emulator.records(marker))

    def timed(self, client, sql, **arguments):
        """The outcome; a statement that outlasts the deadline is answered `running`, and waited for by its handle."""
        began = time.monotonic()
        answer = client.query(sql, warehouse=f"MATRIX_{Matrix.names % WAREHOUSES}", **arguments)
        while not answer.is_error and answer.structured.get("status") == "running":
            self.assertLess(time.monotonic() - began, DEADLINE + SLACK, sql)
            began = time.monotonic()
            answer = client.tool("get_result", statement_handle=answer.structured["statementHandle"], format="json",
                                 limit=arguments.get("limit", 100))
        self.assertLess(time.monotonic() - began, DEADLINE + SLACK, sql)
        return answer

    def clear_error(self, answer):
        """Of a read: says what happened, and that another try is worth it."""
        self.assertGreater(len(answer.text), 20)
        self.assertIn("retryable", answer.meta_error)
        self.assertNotIn("private_key", answer.text)
        return "error"

    def read(self, client, tag):
        n = self.name()
        answer = self.timed(client, f"SELECT {n} AS N, '{tag}' AS T")
        if answer.is_error:
            return n, self.clear_error(answer)
        self.assertEqual(answer.rows, [[n, tag]])
        return n, "result"

    def write(self, client, tag):
        n = self.name()
        answer = self.timed(client, f"INSERT INTO {TABLE} SELECT {n} WHERE '{tag}' <> ''")
        if not answer.is_error:
            self.assertEqual(int(answer.rows[0][0]), 1)
            return n, "result"
        if answer.meta_error.get("outcome") == "unknown":
            self.assertFalse(answer.meta_error["retryable"])
            self.assertTrue(answer.meta_error["operation"])
            return n, "unknown"
        return n, self.clear_error(answer)

    def partitions(self, client, tag):
        n = self.name()
        sql = f"SELECT SEQ4() AS N, RPAD('{tag} {n}', 90, '.') AS T FROM TABLE(GENERATOR(ROWCOUNT => {ROWS})) ORDER BY 1"
        answer = self.timed(client, sql, limit=ROWS)
        if answer.is_error:
            return n, self.clear_error(answer)
        self.assertEqual([int(r[0]) for r in answer.rows], list(range(ROWS)))
        return n, "result"

    # ---- many of them ----

    def many(self, what, tags):
        """{tag: {name: outcome}} of CALLS calls of each, all of them over THREADS clients; the first problem is raised."""
        outcomes, problems, left = {tag: {} for tag in tags}, [], list(tags) * CALLS

        def work():
            with Client(self.gateway, modern=True, timeout=DEADLINE + 30) as client:
                while not problems:
                    with Matrix.lock:
                        if not left:
                            return
                        tag = left.pop()
                    try:
                        n, outcome = what(client, tag)
                        outcomes[tag][n] = outcome
                    except BaseException as problem:  # noqa: B902: the main thread shall see it
                        problems.append(problem)

        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if problems:
            raise problems[0]
        return outcomes

    def ids(self, client):
        """Every ID that is in the table."""
        found, answer = set(), client.query(f"SELECT ID FROM {TABLE} ORDER BY 1", limit=10000)
        while True:
            found.update(int(row[0]) for row in answer.rows)
            if not answer.structured["truncated"]:
                return found
            answer = client.tool("get_result", statement_handle=answer.structured["statementHandle"], format="json",
                                 offset=answer.structured["nextOffset"], limit=10000)

    def check_writes(self, outcomes):
        with Client(self.gateway, modern=True) as client:
            twice = client.query(f"SELECT ID, COUNT(*) FROM {TABLE} GROUP BY 1 HAVING COUNT(*) > 1")
            self.assertEqual(twice.rows, [], "executed twice")
            there = self.ids(client)
        for n, outcome in outcomes.items():
            if outcome == "result":
                self.assertIn(n, there, "a write that was told as done is not there")
            elif outcome == "error":
                self.assertNotIn(n, there, "a write that may be sent again has happened")

    def check_executions(self, tag, results):
        """Each statement at most once, whatever was sent how often; and each that was told as a result."""
        records, by_sql = self.emulator.records(tag), {}
        self.assertGreaterEqual(len(records), results)
        for record in records:
            self.assertLessEqual(record["executions"], 1, record["sql"])
            by_sql[record["sql"]] = by_sql.get(record["sql"], 0) + record["executions"]
        self.assertEqual({sql: n for sql, n in by_sql.items() if n > 1}, {})

    def matrix(self, what, faults):
        self.emulator.reset()
        self.emulator.clear()
        tags = {f"tag of {name.replace(chr(39), '')};": name for name in faults}
        for tag, name in tags.items():
            action, op, probability = faults[name]
            often = {"times": -1, "probability": probability, "seed": 7} if probability else {"times": 1, "skip": 5}
            self.emulator.control("POST", "faults", {"match": {"op": op, "sql_contains": tag, **often}, "action": action})
        told = self.many(what, tags)
        self.emulator.clear()
        self.assertEqual(self.emulator.stats()["repeated_executions"], 0)
        if LONG:
            turns = [t["ms"] for t in self.gateway.log("slow_turn") if t["thread"].lower().endswith("snowflake")]
            print(f"{what.__name__}: turns of the upstream's loop over 20 ms: {turns}", flush=True)
        for tag, outcomes in told.items():
            with self.subTest(tags[tag]):
                self.assertEqual(len(outcomes), CALLS, "a call was lost")
                self.check_executions(tag, list(outcomes.values()).count("result"))
                if what == self.write:
                    self.check_writes(outcomes)
                kinds = {k: list(outcomes.values()).count(k) for k in ("result", "error", "unknown")}
                self.assertGreater(kinds["result"], 0, kinds)
                if LONG:
                    print(f"{what.__name__}, {tags[tag]}: {kinds}", flush=True)

    def test_reads(self):
        self.matrix(self.read, FAULTS)

    def test_writes(self):
        self.matrix(self.write, FAULTS)

    def test_tokens(self):
        for name, fault in TOKEN_FAULTS.items():
            for what in (self.read, self.write):
                self.matrix(what, {name: fault})
                time.sleep(1)  # the next token may be made

    def test_partitions(self):
        self.matrix(self.partitions, {name: (action, "fetch", None if name == "token expired" else .2)
                                      for name, action in PARTITION_FAULTS.items()})

    # ---- names ----

    def test_names_gone_and_hanging(self):
        library, switch = os.path.join(self.folder, "lookup.so"), os.path.join(self.folder, "switch")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lookup.c")
        subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)

        def turn(to):
            with open(switch, "w") as f:
                f.write(to)

        for state in ("gone", "hang"):
            with self.subTest(state):
                turn(state)
                server = self.switched(library, switch)
                try:
                    with Client(server, modern=True, timeout=90) as client:
                        began = time.monotonic()
                        answer = client.query("SELECT 1")
                        self.assertLess(time.monotonic() - began, DEADLINE + SLACK)
                        self.assertTrue(answer.is_error)
                        self.assertIn("switched.example", answer.text)
                        self.assertTrue(answer.meta_error["retryable"])
                finally:
                    server.stop()

    def switched(self, library, switch):
        """A gateway whose upstream is found by a name that this test decides about."""
        return self.make_gateway({"host": "switched.example", "protocol": "https"},
                                 {"LD_PRELOAD": library, "LOOKUP_SWITCH": switch})


if __name__ == "__main__":
    gateway.main()
