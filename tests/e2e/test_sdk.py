#!/usr/bin/env python3
"""The official Python SDK, both generations: over TLS, through nginx, with a key; and with `snowgate stdio`.

Run as it is, this file runs itself once for each kind of client, all at the same time, in the environment that holds it."""

import asyncio
import os
import re
import subprocess
import sys
import threading
import unittest

import gateway
import sdk
from front import ASKING, Front
from gateway import LONG, wait_for

KIND = os.environ.get("SNOWGATE_TEST_SDK")
SETTLE_SECONDS = 5  # a lost stream is tried again twice, a second apart, and that is all it may
QUIET_SECONDS = 60 if LONG else 10
KINDS = {"1.x, sessions": ("1", sdk.First, "legacy"), "2.x, 2026-07-28": ("2", sdk.Second, "auto"),
         "2.x, sessions": ("2", sdk.Second, "legacy")}
QUERY = "SELECT 42"


def agreed(schema):
    """Content that a question's form allows, in the sense of yes."""
    content = {}
    for name, part in schema.get("properties", {}).items():
        choices = part.get("enum") or [c["const"] for c in part.get("oneOf", ())]
        content[name] = True if part["type"] == "boolean" else choices[0] if choices else part.get("default", "yes")
    return content


class Person:
    """Answers every question in one way, and keeps the questions."""

    def __init__(self, action):
        self.action, self.questions = action, []

    def __call__(self, message, schema):
        self.questions.append(message)
        return self.action, agreed(schema) if self.action == "accept" else None


class Exercises:
    """What every client does, whatever lies between it and the gateway."""

    names = 0

    @classmethod
    def setUpClass(cls):
        _, cls.face, cls.mode = KINDS[KIND]
        cls.emulator = gateway.Emulator()
        cls.addClassCleanup(cls.emulator.stop)
        cls.prepare()

    def held(self, seconds):
        """A statement that runs so long: its text, and what names it."""
        Exercises.names += 1
        name = f"number {Exercises.names:05d} of the test"
        self.emulator.hold(name, seconds)
        return f"{QUERY} AS N, '{name}'", name

    def run_with(self, scenario, asked=None):
        async def main():
            async with self.connect(asked) as client:
                await scenario(client)
        asyncio.run(asyncio.wait_for(main(), 60 + SETTLE_SECONDS + QUIET_SECONDS))

    def test_lists(self):
        async def scenario(client):
            self.assertIn("execute_query", await client.tools())
            self.assertTrue(await client.prompts())
            self.assertIsInstance(await client.resources(), list)
            self.assertIn("snowflake://{database}/{schema}/{object}", await client.templates())
            self.assertIn("N_NAME", await client.read("snowflake://SNOWFLAKE_SAMPLE_DATA/TPCH_SF1/NATION"))
        self.run_with(scenario)

    def test_calls(self):
        async def scenario(client):
            self.assertEqual((await client.query("SELECT 7 AS N, 'ä€𝄞' AS T")).rows, [[7, "ä€𝄞"]])
            answers = await asyncio.gather(*[client.query(f"SELECT {i} AS N") for i in range(8)])
            self.assertEqual([a.rows for a in answers], [[[i]] for i in range(8)])
        self.run_with(scenario)

    def test_tool_error(self):
        async def scenario(client):
            answer = await client.query("SELECT * FROM NO_SUCH_TABLE")
            self.assertTrue(answer.is_error)
            self.assertIn("002003", answer.text)
            self.emulator.hold("NO_SUCH_SLOW_TABLE", 0.8)
            answer = await client.query("SELECT * FROM NO_SUCH_SLOW_TABLE")
            self.assertTrue(answer.is_error)
            self.assertIn("NO_SUCH_SLOW_TABLE", answer.text)
        self.run_with(scenario)

    def test_progress(self):
        told = []

        async def progress(value, total, message):
            told.append((value, message))

        async def scenario(client):
            self.assertEqual((await client.query(self.held(1.5)[0], progress)).rows[0][0], 42)
        self.run_with(scenario)
        values = [value for value, _ in told]
        self.assertTrue(told)
        self.assertEqual(values, sorted(set(values)))
        for _, message in told:
            self.assertIsInstance(message, str)

    def test_cancel(self):
        sql, name = self.held(60)

        async def scenario(client):
            await client.abandoned(sql, lambda: self.begun(name))
            await asyncio.to_thread(self.emulator.record, name, "cancelled")
            self.assertEqual((await client.query("SELECT 1 AS N")).rows, [[1]])
        before = self.cancels()
        self.run_with(scenario)
        if before is not None:
            self.assertEqual(self.cancels(), before + 1)

    def begun(self, name):
        self.emulator.record(name)

    def cancels(self):
        return None

    def test_asked_before_a_table_is_emptied(self):
        name = "ASKED"

        async def rows(client):
            return len((await client.query(f"SELECT N FROM {name}")).rows)

        async def make(client):
            self.assertFalse((await client.query(f"CREATE OR REPLACE TABLE {name} AS SELECT 1 AS N")).is_error)

        async def declined(client):
            self.assertTrue((await client.query(f"DELETE FROM {name}")).is_error)
            self.assertEqual(await rows(client), 1)

        async def accepted(client):
            answer = await client.query(f"DELETE FROM {name}")
            self.assertFalse(answer.is_error, answer.text)
            self.assertEqual(await rows(client), 0)

        self.run_with(make)
        for action, scenario in (("decline", declined), ("accept", accepted)):
            person = Person(action)
            self.run_with(scenario, person)
            self.assertEqual(len(person.questions), 1)
            self.assertIn("DELETE", person.questions[0].upper())


class Tls(Exercises):
    @classmethod
    def prepare(cls):
        cls.front = Front(cls.emulator)
        cls.addClassCleanup(cls.front.stop)

    def connect(self, asked=None, front=None):
        return self.face.http(self.mode, front or self.front, asked)

    def cancels(self):
        return self.front.cancels("disconnect" if self.mode == "auto" else "notification")

    def test_a_connection_that_breaks_within_a_call(self):
        sql, name = self.held(2.5)
        streaming = asyncio.Event()

        async def progress(*_):
            streaming.set()  # after the event that can be resumed from

        async def scenario(client):
            task = asyncio.ensure_future(client.query(sql, progress))
            await streaming.wait()
            await asyncio.to_thread(self.front.cut)
            if self.mode == "legacy":
                self.assertEqual((await task).rows[0][0], 42)
                self.assertEqual(self.emulator.record(name)["executions"], 1)
                self.assertGreater(self.front.resumed(), resumed)
            else:  # this revision cannot resume: who goes, cancels
                with self.assertRaises(Exception):
                    await task
                await asyncio.to_thread(self.emulator.record, name, "cancelled")
            self.assertEqual((await client.query("SELECT 1 AS N")).rows, [[1]])
        resumed = self.front.resumed()
        self.run_with(scenario)

    def test_quiet(self):
        """After failures, ends of streams, what was taken back, and a session that is over."""
        front = Front(self.emulator, {"snowflake": {"retries": 0}, "limits": {"default": {
            "calls_per_minute": 1000000, "burst": 100000, "running": 1, "queued": 10, "queue_wait": "1s"}}})
        self.addCleanup(front.stop)

        async def scenario(client):
            for sql in ("SELECT * FROM NO_SUCH_TABLE", "CALL SYSTEM$WAIT(10)"):
                self.assertTrue((await client.query(sql)).is_error)
            with self.assertRaises(Exception):  # an unknown tool
                answer = await client.call("nonsense", {})
                self.assertFalse(answer.is_error, answer.text)
            self.emulator.fault({"status": 500}, "FAILS_THERE", "submit")
            self.assertTrue((await client.query("SELECT 1 AS FAILS_THERE")).is_error)
            sql, name = self.held(2.5)
            task = asyncio.ensure_future(client.query(sql))
            await asyncio.to_thread(self.begun, name)
            with self.assertRaises(Exception):  # the slot is not free in time: an error at the end of a stream
                answer = await client.query("SELECT 2")
                self.assertFalse(answer.is_error, answer.text)
            self.assertEqual((await task).rows[0][0], 42)
            sql, name = self.held(60)
            await client.abandoned(sql, lambda: self.streaming(front, name))
            await asyncio.to_thread(self.emulator.record, name, "cancelled")
            await asyncio.to_thread(self.assert_quiet, front)
            self.assertEqual((await client.query("SELECT 1 AS N")).rows, [[1]])

        async def main():
            async with self.connect(None, front) as client:
                await scenario(client)
        asyncio.run(main())  # its end is a DELETE
        if self.mode == "legacy":
            self.assertEqual([r["status"] for r in front.requests() if r["method"] == "DELETE"], [200])
        wait_for(lambda: not front.streams(), 5, "the end of its streams")

    def streaming(self, front, name):
        self.begun(name)
        if self.mode == "legacy":
            wait_for(lambda: front.streams("call"), 5, "the stream")

    def assert_quiet(self, front):
        pause = threading.Event()
        pause.wait(SETTLE_SECONDS)
        before, streams = front.requests(), front.streams()
        pause.wait(QUIET_SECONDS)
        self.assertEqual(front.requests()[len(before):], [], before)
        self.assertEqual(front.streams(), streams)
        self.assertEqual(front.streams("call"), 0)


class Stdio(Exercises):
    @classmethod
    def prepare(cls):
        cls.files = gateway.Gateway(cls.emulator, {"mcp": {"stream_after": "200ms"}, "policies": [ASKING]}, start=False)
        cls.addClassCleanup(cls.files.stop)

    def connect(self, asked=None):
        program = gateway.program("snowgate")
        return self.face.stdio(self.mode, program, ["stdio", "-c", self.files.file], gateway.tapped(program, {}), asked)


def run_kind(kind, outcome):
    """(output, passed, failed) of this file in the environment of one kind."""
    try:
        python = sdk.environment(KINDS[kind][0])
    except sdk.Unreachable as why:
        outcome[kind] = (f"skipped: the package index cannot be reached: {why}\n", 0, 0)
        return
    except Exception as why:
        outcome[kind] = (f"{why}\n", 0, 1)
        return
    ran = subprocess.run([python, os.path.abspath(__file__), *sys.argv[1:]], stdout=subprocess.PIPE, text=True,
                         stderr=subprocess.STDOUT, env={**os.environ, "SNOWGATE_TEST_SDK": kind})
    found = re.findall(r"^(\d+) passed, (\d+) failed$", ran.stdout, re.MULTILINE)
    passed, failed = map(int, found[-1]) if found else (0, 1)
    outcome[kind] = (ran.stdout, passed, failed)


def run_all():
    outcome = {}
    threads = [threading.Thread(target=run_kind, args=(kind, outcome)) for kind in KINDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for kind in KINDS:
        print(f"Python SDK {kind}:\n{outcome[kind][0]}")
    passed, failed = (sum(o[i] for o in outcome.values()) for i in (1, 2))
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


class OverTls(Tls, unittest.TestCase):
    pass


class OverStdio(Stdio, unittest.TestCase):
    pass


if __name__ == "__main__" and KIND:
    gateway.main()
elif __name__ == "__main__":
    run_all()
