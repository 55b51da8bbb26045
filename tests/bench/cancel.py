#!/usr/bin/env python3
"""How soon a cancel reaches Snowflake: from the client's act to the moment that the emulator ends the statement.

    tests/bench/cancel.py [--build FOLDER] [--times N]

Each cause at each stage at which it can come. Before the handle is known, the time counts from the moment that it is.
A call in the queue has nothing at Snowflake: the time is until its place is free again, and nothing may ever be sent.
"""

import argparse
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
sys.dont_write_bytecode = True
from gateway import Client, Emulator, Gateway, wait_for  # noqa: E402

HOLD_MS = 60000
SUBMIT_MS = 150  # how long the answer of a submission takes, where the handle is not to be known yet
LARGE = "SELECT SEQ4() AS N, RPAD('x', 400, 'y') AS T, '{name}' AS M FROM TABLE(GENERATOR(ROWCOUNT => 40000))"


def now_ms():
    """Whole ones, as the emulator tells them."""
    return int(time.time() * 1000)


class Bench:
    def __init__(self):
        self.emulator = Emulator("--partition-bytes", "1048576")
        self.gateway = Gateway(self.emulator, {"limits": {"default": {"running": 64}}, "mcp": {"stream_after": "0s"}})
        self.narrow = Gateway(self.emulator, {"limits": {"default": {"running": 1, "queued": 8}}})
        self.n = 0

    def stop(self):
        for program in (self.gateway, self.narrow, self.emulator):
            program.stop()

    def statement(self, fault=None):
        """The text of a statement that does not end by itself, and what names it."""
        self.n += 1
        name = f"cancel {self.n} of the bench"
        self.emulator.clear()
        self.emulator.fault(fault or {"hold_ms": HOLD_MS}, sql=name, op="submit")
        return f"SELECT '{name}'", name

    def ended(self, name, since):
        record = self.emulator.record(name, "cancelled", 10)
        if record["executions"]:
            raise AssertionError(f"{name} was executed")
        return record["ended_at"] - since

    # ---- while it runs ----

    def legacy(self):
        client = Client(self.gateway)
        client.initialize()
        return client

    def running(self, client, sql, name, **arguments):
        call = client.start("execute_query", query=sql, **arguments)
        self.emulator.record(name, "held")
        return call

    def disconnect(self):
        sql, name = self.statement()
        call = self.running(Client(self.gateway, modern=True), sql, name)
        since = now_ms()
        call.leave()
        return self.ended(name, since)

    def notification(self):
        sql, name = self.statement()
        client = self.legacy()
        call = self.running(client, sql, name)
        since = now_ms()
        client.send(body=client.message("notifications/cancelled", {"requestId": call.id}, notification=True))
        taken = self.ended(name, since)
        call.leave()
        return taken

    def deletion(self):
        sql, name = self.statement()
        client = self.legacy()
        call = self.running(client, sql, name)
        since = now_ms()
        client.send("DELETE")
        taken = self.ended(name, since)
        call.leave()
        return taken

    def cancel_query(self):
        sql, name = self.statement()
        with Client(self.gateway, modern=True) as client:
            handle = client.query(sql, wait_seconds=0).structured["statementHandle"]
            since = now_ms()
            client.tool("cancel_query", statement_handle=handle)
            return self.ended(name, since)

    def deadline(self):
        """timeout_seconds: Snowflake itself ends it."""
        sql, name = self.statement()
        with Client(self.gateway, modern=True) as client:
            client.query(sql, timeout_seconds=1)
        record = self.emulator.record(name)
        return record["ended_at"] - record["submitted_at"] - 1000

    # ---- before the handle is known ----

    def submitting(self):
        sql, name = self.statement({"hold_ms": HOLD_MS, "delay_ms": SUBMIT_MS})
        call = self.running(Client(self.gateway, modern=True), sql, name)
        since = self.emulator.record(name)["submitted_at"] + SUBMIT_MS
        call.leave()
        return self.ended(name, since)

    # ---- queued ----

    def queued(self):
        sql, name = self.statement()
        first = self.running(Client(self.narrow, modern=True), sql, name)
        never = f"SELECT 'never {self.n}'"
        second = Client(self.narrow, modern=True).start("execute_query", query=never)
        wait_for(lambda: self.narrow.metric("snowgate_queue_depth") == 1)
        since = now_ms()
        second.leave()
        wait_for(lambda: self.narrow.metric("snowgate_queue_depth") == 0)
        taken = now_ms() - since
        first.leave()
        self.emulator.record(name, "cancelled", 10)
        if self.emulator.records(never):
            raise AssertionError("a call that had left the queue was sent")
        return taken

    # ---- while rows come ----

    def fetching(self):
        self.n += 1
        name = f"cancel {self.n} of the bench"
        self.emulator.clear()
        self.emulator.fault({"drip": 20}, sql=name, op="poll", times=-1)
        call = Client(self.gateway, modern=True).start("execute_query", query=LARGE.format(name=name), limit=40000)
        self.emulator.record(name, "succeeded")
        wait_for(lambda: self.gateway.metric("snowgate_upstream_in_flight") == 1)
        since = now_ms()
        call.leave()
        wait_for(lambda: self.gateway.metric("snowgate_upstream_in_flight") == 0 and
                 self.gateway.metric("snowgate_slots_used") == 0)
        return now_ms() - since


CASES = [("client leaves (2026-07-28), running", Bench.disconnect),
         ("notifications/cancelled, running", Bench.notification),
         ("session deleted, running", Bench.deletion),
         ("cancel_query, running", Bench.cancel_query),
         ("timeout_seconds, running", Bench.deadline),
         ("client leaves, handle not known yet", Bench.submitting),
         ("client leaves, queued", Bench.queued),
         ("client leaves, rows under way", Bench.fetching)]


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def tell(times):
    bench = Bench()
    print("| cancelled, and seen at Snowflake after ms | p50 | p99 | most |\n|---|---:|---:|---:|")
    try:
        for what, case in CASES:
            taken = [case(bench) for _ in range(times)]
            print(f"| {what} | {quantile(taken, .5):.0f} | {quantile(taken, .99):.0f} | {max(taken):.0f} |", flush=True)
    finally:
        bench.stop()


def measure(bench, quick):
    """The bench's part of it: with programs of its own, of the folder that $SNOWGATE_BUILD names."""
    tell(5 if quick else 100)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build")
    parser.add_argument("--times", type=int, default=100)
    tell(parser.parse_args().times)


if __name__ == "__main__":
    main()
