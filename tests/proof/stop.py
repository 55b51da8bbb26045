#!/usr/bin/env python3
"""The holder of a write is stopped at one of its steps for twice the lease, another replica takes the write over and
tells its outcome, then the holder goes on: one execution, and one outcome, whoever tells it.

    stop.py [--build FOLDER] [--runs N] [--seed S] [--lanes N] [--steps NAME[:n],...] [--lease SECONDS]

Two replicas on a redis-server. In each run a write goes to replica a, whose test build stops itself by SIGSTOP at a
kill point (include/snowgate/tbl/kill.def), and its client waits there; after a moment it comes to replica b too: by its
idempotency key, or by the last event of its stream. After twice `store.lease` a gets SIGCONT. The steps are taken in
turn, and the writes too: with a key in either era, and in a stream. A build without store.lease is tried as well: b
takes a write over only when its client comes."""

import argparse
import collections
import json
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
import traceback
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
sys.path.insert(0, HERE)
import kill  # noqa: E402
import swarm  # noqa: E402
from gateway import Answer, Client, Cut, Emulator, merge, wait_for  # noqa: E402
from kill import Durable  # noqa: E402

LEASE = 1.0
PATIENCE = 15  # seconds until an outcome must have been told
TABLE = "DEMO.PUBLIC.STOPPED"
KINDS = ("keyed legacy", "keyed modern", "streamed")
# Of a write, and the passages at which each may stop it. Those of the store are passed by every commit, the first of
# which is the one at the start.
STEPS = tuple((name, 1, 1) for name in (
    "intent_before", "claim_before", "intent_after", "claim_after", "post_before", "post_sent", "post_answered",
    "handle_before", "handle_after", "stream_before", "stream_after", "event_before", "event_after", "answer_before",
    "answer_after")) + tuple((name, 2, 8) for name in ("valkey_before", "valkey_sent", "valkey_after"))
BROKEN = (OSError, Cut, AssertionError)
AGAIN = "send it again: "


def is_stopped(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()[0] in "Tt"


class Pair:
    """A redis-server and the replicas a, which is stopped, and b."""

    def __init__(self, emulator, lease):
        import test_replicas
        self.emulator, self.lease, self.seen = emulator, lease, 0
        self.redis = test_replicas.Redis()
        conf = merge(kill.steady({"mcp": {"stream_after": "50ms"}}), self.redis.conf())
        self.a = Durable(emulator, conf, ["alice"], start=False)
        self.leases = kill.has_leases(self.a)
        self.b = Durable(emulator, conf, start=False)
        for g in (self.a, self.b):
            if self.leases:
                merge(g.conf, {"store": {"lease": f"{int(lease * 1000)}ms"}})
                g.write()
        self.key = self.a.keys["alice"]
        self.b.start()

    def end(self):
        for g in (self.a, self.b):
            if g.process:
                g.signal(signal.SIGCONT) if g.process.process.poll() is None else None
                g.kill()
            g.stop()
        self.redis.stop()


class Heard(threading.Thread):
    """A client that waits at a replica."""

    def __init__(self, what):
        super().__init__(daemon=True)
        self.what, self.problem = what, None
        self.start()

    def run(self):
        try:
            self.what()
        except Exception as problem:
            self.problem = f"{problem!r} {traceback.format_exc(limit=-2)}"


class Run:
    """One write."""

    def __init__(self, pair, seed, number, kind, step):
        self.pair, self.kind, self.step, self.number = pair, kind, step, number
        self.rng = random.Random(seed)
        self.mark = f"stopped.{os.getpid()}.{number};"
        self.held = self.rng.choice(kill.HOLDS[:2])
        self.sql = f"INSERT INTO {TABLE} SELECT {number} WHERE '{self.mark} hold {self.held};' <> ''"
        self.keyed, self.session, self.last = kind.startswith("keyed"), None, None
        self.told, self.faults, self.counts = [], [], collections.Counter()  # told: (by whom, what)

    # ---- the client ----

    def client(self, g):
        return Client(g, self.pair.key, modern=self.kind == "keyed modern", session=self.session, timeout=PATIENCE)

    def write(self, g):
        """The write, sent to g on a socket of its own."""
        client = self.client(g)
        arguments = {"query": self.sql, "format": "json", **({"idempotency_key": self.mark} if self.keyed else {})}
        return client.stream(client.tool_message("execute_query", arguments), timeout=PATIENCE)

    def outcome(self, who, answer):
        """What an answer says was done; None where it says to come back."""
        message = answer.json
        if "error" in message:
            what, back = f"error {message['error']}", answer.status in (429, 503)
        elif message["result"].get("isError"):
            error = message["result"].get("_meta", {}).get("snowgate/error", {})
            what, back = error.get("outcome") or f"failed: {answer.text[:200]}", error.get("retryable")
        else:
            what, back = f"rows {message['result']['structuredContent']['rows']}", False
        if not back:
            self.told.append((who, what))
        elif not self.keyed:
            self.told.append((who, AGAIN + what))
        self.counts["told to come back" if back else "told"] += 1
        return None if back else what

    def read(self, who, stream):
        """To the answer, or to the end without one: None."""
        with stream:
            if not stream.is_stream:
                return self.outcome(who, stream.answer(PATIENCE))
            while (event := stream.next(PATIENCE)) is not None:
                self.last = event.id or self.last
                if event.data and ("result" in event.json or "error" in event.json):
                    return self.outcome(who, Answer(stream.status, stream.headers, event.data.encode()))
        self.counts["streams that ended without an answer"] += 1
        return None

    def at_first(self):
        try:
            self.read("a", self.write(self.pair.a))
        except BROKEN as problem:
            self.counts["broken"] += 1
            if "no event" in str(problem) or "no answer" in str(problem):
                self.faults.append(f"nothing from a: {problem}")

    def again(self, who, g, last):
        """Its client comes to g until it is told the outcome."""
        def ask():
            try:
                if self.keyed:
                    return self.read(who, self.write(g))
                stream = self.client(g).listen(last, timeout=PATIENCE)
                if stream.open(PATIENCE).status == 200:
                    return self.read(who, stream)
                if stream.status in swarm.BUSY:
                    self.counts["told to come back"] += 1
                    return None
                self.faults.append(f"{stream.status} from {who} after {last}")
                return "nothing"
            except BROKEN as problem:
                self.counts["broken"] += 1
                return None
        return wait_for(ask, PATIENCE, f"the outcome at {who}")

    # ---- the holder ----

    def stopped(self, waiting):
        """Whether it has stopped before its answer."""
        pid = self.pair.a.process.process.pid
        while waiting.is_alive():
            if is_stopped(pid):
                return True
            time.sleep(0.005)
        return is_stopped(pid)

    def while_stopped(self, began):
        """Twice the lease, in which its client comes to b."""
        lease, other = self.pair.lease, None
        time.sleep(self.rng.uniform(0, 1.6) * lease)
        last = self.last
        if self.keyed or last:
            other = Heard(lambda: self.again("b", self.pair.b, last))
        time.sleep(max(began + 2 * lease - time.monotonic(), 0))
        return other

    def go(self):
        a, b = self.pair.a, self.pair.b
        if not a.start(self.step + ":stop"):
            raise RuntimeError("it ended at its start")
        if self.kind != "keyed modern":
            with Client(b, self.pair.key) as client:
                client.initialize()
                self.session = client.session
        waiting = Heard(self.at_first)
        if not self.stopped(waiting):
            self.counts["not passed"] += 1
            a.kill()
            return
        self.counts["stopped"] += 1
        other = self.while_stopped(time.monotonic())
        a.signal(signal.SIGCONT)
        for heard in filter(None, (waiting, other)):
            heard.join(2 * PATIENCE)
            if heard.is_alive() or heard.problem:
                self.faults.append(f"a client ended so: {heard.problem or 'it waits for ever'}")
        for who, g in (("a", a), ("b", b)):
            if self.keyed or self.last:
                self.again(who + " at last", g, self.first_id())
        self.check()
        a.kill()

    def first_id(self):
        return self.last and self.last.rsplit("-", 1)[0] + "-0"

    # ---- what must be true then ----

    def check(self):
        if self.told and all(what.startswith(AGAIN) for _, what in self.told):  # refused before it was sent
            self.counts["refused"] += 1
            if self.pair.emulator.records(self.mark):
                self.faults.append(f"it was sent, and told {self.told}")
            return
        records = wait_for(self.ended, PATIENCE, "its end at the emulator")
        executions = sum(r["executions"] for r in records)
        rows = len(sql(self.pair.emulator, f"SELECT ID FROM {TABLE} WHERE ID = {self.number}"))
        if executions != 1 or rows != 1:
            self.faults.append(f"executed {executions} times, {rows} rows; told {self.told}")
        other = {what for _, what in self.told} - {"rows [['1']]"}
        if other == {"unknown"} and not self.keyed and not self.last:
            self.counts["unknown"] += 1  # nobody could come back for it: who took it over has forgotten it
        elif other:
            self.faults.append(f"told {self.told}")
        if (self.keyed or self.last) and not self.told:
            self.faults.append("no outcome was told")
        self.counts["adopted at b"] += any(record.get("event") == "operation_adopted" for record in self.logged())

    def logged(self):
        lines = self.pair.b.process.lines[self.pair.seen:]
        self.pair.seen += len(lines)
        return [json.loads(line) for line in lines if line.startswith("{")]

    def ended(self):
        records = self.pair.emulator.records(self.mark)
        return records if records and not any(r["state"] in swarm.OPEN for r in records) else None


def sql(emulator, statement):
    return swarm.Swarm.sql(argparse.Namespace(emulator=emulator), statement)


def chosen(runs, seed, steps):
    """(step:n, kind) of each run."""
    found, rng = [], random.Random(seed)
    pairs = [(name, first, most, kind) for kind in KINDS for name, first, most in steps if fits(name, kind)]
    rng.shuffle(pairs)
    for n in range(runs):
        name, first, most, kind = pairs[n % len(pairs)]
        found.append((f"{name}:{rng.randint(first, most)}", kind))
    return found


def fits(name, kind):
    return not (name.startswith("claim_") and kind == "streamed") and \
        not (name.startswith("stream_") and kind == "keyed modern")


def lane(runs, port, lease, tell):
    warnings.simplefilter("ignore", ResourceWarning)
    emulator = swarm.Control(port)
    pair = None
    for number, seed, step, kind in runs:
        run = None
        try:
            pair = pair or Pair(emulator, lease)
            run = Run(pair, seed, number, kind, step)
            run.go()
            faults = run.faults
        except Exception as problem:
            faults = [f"{problem!r} {traceback.format_exc(limit=-3)}"] + (run.faults if run else [])
        if faults and run:
            faults = faults + [f"log of {name} (status {g.process.process.poll()}): {line}"
                               for name, g in (("a", pair.a), ("b", pair.b)) for line in g.process.lines[-12:]]
        if faults and pair:
            pair.end()
            pair = None
        tell((number, seed, step, kind, faults, run.counts if run else collections.Counter()))
    if pair:
        pair.end()


def go(runs=200, seed=1, lanes=4, steps=None, lease=LEASE, out=print):
    """The seeds that failed, with what was broken: {} where all is well."""
    table = STEPS
    if steps:
        asked = dict(step.partition(":")[::2] for step in steps)
        table = [(name, int(asked[name] or first), int(asked[name] or most)) for name, first, most in STEPS
                 if name in asked]
    plan = [(n + 1, seed + n, *what) for n, what in enumerate(chosen(runs, seed, table))]
    emulator, failed, counts, steps_met = Emulator(), {}, collections.Counter(), collections.Counter()
    try:
        sql(emulator, f"CREATE TABLE {TABLE} (ID INT)")
        for ms in kill.HOLDS[:2]:
            emulator.hold(f"hold {ms};", ms / 1000)
        fork = multiprocessing.get_context("fork")
        queue = fork.SimpleQueue()
        workers = [fork.Process(target=lane, args=(plan[n::lanes], emulator.port, lease, queue.put), daemon=True)
                   for n in range(min(lanes, runs))]
        for worker in workers:
            worker.start()
        for _ in plan:
            number, its, step, kind, faults, told = queue.get()
            counts.update(told)
            steps_met[step.partition(":")[0]] += told["stopped"]
            if faults:
                failed[its] = faults
                out(f"run {number}, {kind}, stopped at {step}: {len(faults)} broken")
                for fault in faults[:30]:
                    out("  BROKEN: " + fault[:900])
        for worker in workers:
            worker.join()
    finally:
        emulator.stop()
    out(f"{runs} runs, lease {lease} s: " + ", ".join(f"{k} {n}" for k, n in sorted(counts.items())))
    out("stopped at: " + ", ".join(f"{k} {n}" for k, n in sorted(steps_met.items())))
    return failed


def main():
    parser = argparse.ArgumentParser(description="SIGSTOP of the holder of a write; see the head of this file.")
    parser.add_argument("--build", help="folder of snowgate and snowgate-emulator; build/dev")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=4, help="runs side by side")
    parser.add_argument("--lease", type=float, default=LEASE, help="seconds")
    parser.add_argument("--steps", help="names, with :n where it is not to be chosen")
    options = parser.parse_args()
    failed = go(options.runs, options.seed, options.lanes, options.steps and options.steps.split(","), options.lease)
    print(f"failed: {', '.join(map(str, failed)) or 'none'}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
