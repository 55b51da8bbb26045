#!/usr/bin/env python3
"""The gateway is killed at random moments, or at its kill points, while a swarm of clients works with it, and started
again on the same store; then everything that was acknowledged must be true. Store: sqlite, in a folder of its own.

    kill.py [--build FOLDER] [--iterations N] [--seed S] [--clients N] [--kills N] [--stop SECONDS]
            [--points all|NAME[:n],...]

An iteration is one kill. Rounds of --kills iterations share emulator, store and swarm; each ends with the invariants
and an integrity check of the database. Round r has the seed S + r: `--seed THAT --iterations KILLS` repeats it alone.
--stop: SIGSTOP for so long and SIGCONT, every other time. --points: the gateway's test build stops itself by SIGKILL
when it passes the named point for the n-th time (SNOWGATE_KILL_AT, include/snowgate/tbl/kill.def); all: each one in
turn, as often as --iterations has room for."""

import argparse
import collections
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
sys.path.insert(0, HERE)
import gateway  # noqa: E402
import swarm  # noqa: E402
from gateway import Emulator, Gateway, merge  # noqa: E402

KILL_DEF = os.path.join(HERE, "..", "..", "include", "snowgate", "tbl", "kill.def")
POINT_SECONDS = 8  # a point that is not passed in this time is told as such
KILL_AT = "SNOWGATE_KILL_AT"


class Durable(Gateway):
    """A gateway with a store that outlives it: always on the same port, started again as often as one likes."""

    def __init__(self, emulator, conf=None, keys=(), start=True, **how):
        super().__init__(emulator, None, start=False, auth="required" if keys else "none", **how)
        self.store = os.path.join(self.folder, "store")
        os.mkdir(self.store, 0o700)
        del self.conf["session"]["key_file"]  # made beside the store
        if (conf or {}).get("store", {}).get("kind") != "memory":
            self.conf["store"] = {"kind": "sqlite", "path": os.path.join(self.store, "snowgate.db")}
        merge(self.conf, {"listen": {"port": gateway.free_port()},
                          "policies": [{"name": "all", "statements": ["read", "metadata", "dml", "ddl"],
                                        "confirm": "never"}]})
        merge(self.conf, conf or {})
        self.write()
        for name in keys:
            self.key(name)
        if start:
            self.start()

    def start(self, kill_at=None):
        """False where `kill_at` is passed on the way already: it was started once more, without."""
        if kill_at:
            os.environ[KILL_AT] = kill_at
        try:
            super().start()
            return True
        except RuntimeError:
            if not kill_at or self.process.wait() != -signal.SIGKILL:
                raise
        finally:
            os.environ.pop(KILL_AT, None)
        super().start()
        return False

    def kill(self):
        if self.process.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait()

    def signal(self, number):
        self.process.signal(number)

    def again(self):
        """kill -9, and on the same store again; the seconds from one to the other."""
        began = time.monotonic()
        self.kill()
        self.start()
        return time.monotonic() - began

    def wait_killed(self, seconds):
        """Whether it has killed itself."""
        try:
            return self.process.process.wait(seconds) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            return False


def starts(path):
    with open(path, "rb") as f:
        return f.read(15)


def integrity(path):
    """What SQLite says of a database: of a copy, so that what was left is not touched. [] where all is well."""
    faults, path = [], path if os.path.isdir(path) else os.path.dirname(path)
    with tempfile.TemporaryDirectory(prefix="snowgate-kill-") as folder:
        for name in os.listdir(path):
            if os.path.isfile(os.path.join(path, name)):
                shutil.copy(os.path.join(path, name), folder)
        databases = [name for name in os.listdir(folder) if starts(os.path.join(folder, name)) == b"SQLite format 3"]
        if not databases:
            faults.append(f"no database in {os.listdir(folder)}")
        for name in databases:
            database = sqlite3.connect(os.path.join(folder, name))
            try:
                said = [row[0] for row in database.execute("PRAGMA integrity_check")]
            except sqlite3.DatabaseError as problem:
                said = [str(problem)]
            database.close()
            if said != ["ok"]:
                faults.append(f"integrity_check of {name}: {said[:5]}")
    return faults


def points():
    """The names of all kill points."""
    with open(KILL_DEF) as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    return re.findall(r'^\s*KILL\(\s*(\w+)\s*,\s*"', text, flags=re.M)


class Tally:
    """Over all rounds."""

    def __init__(self):
        self.iterations, self.rounds, self.failed, self.in_flight = 0, 0, [], []
        self.restarts, self.passed, self.missed, self.gaps = [], {}, {}, []
        self.counts = collections.Counter()

    def add(self, herd):
        self.counts.update(herd.counts())
        self.gaps += [m.gap for m in herd.members]

    def text(self):
        lines = [f"{self.iterations} kills in {self.rounds} rounds, calls in flight at a kill "
                 f"{sum(self.in_flight) / max(len(self.in_flight), 1):.1f} on average"]
        if self.restarts:
            lines.append(f"from the kill to the listening line {min(self.restarts):.2f} to {max(self.restarts):.2f} s; "
                         f"longest gap of a client {max(self.gaps, default=0):.2f} s")
        if self.passed or self.missed:
            lines.append("points: " + ", ".join(f"{k} {n}" for k, n in sorted(self.passed.items())) +
                         "; not passed: " + (", ".join(f"{k} {n}" for k, n in sorted(self.missed.items())) or "none"))
        if self.counts:
            lines.append(", ".join(f"{k} {n}" for k, n in sorted(self.counts.items())))
        return "\n".join(lines)


def strike_at_random(g, rng, herd, options, tally):
    time.sleep(rng.uniform(0.05, options.seconds))
    tally.in_flight.append(herd.in_flight())
    if options.stop and rng.random() < 0.5:
        g.signal(signal.SIGSTOP)
        time.sleep(options.stop)
        g.signal(signal.SIGCONT)
        return
    if rng.random() < 0.15:  # twice in a row: on its way up again
        g.kill()
        g.start()
        time.sleep(rng.uniform(0, 0.05))
    tally.restarts.append(g.again())


def strike_at_point(g, rng, herd, point, tally):
    """The gateway is started with the point, and its end waited for."""
    name = point.partition(":")[0]
    time.sleep(rng.uniform(0.05, 0.3))
    g.kill()
    passed = not g.start(point) or g.wait_killed(POINT_SECONDS)
    tally.in_flight.append(herd.in_flight())
    where = tally.passed if passed else tally.missed
    where[name] = where.get(name, 0) + 1
    g.kill()
    herd.collect()


def round_of(seed, kills, options, conf, tally, which=()):
    """One round; what was broken."""
    rng = random.Random(seed)
    emulator = Emulator()
    g = herd = None
    try:
        keys = [f"client-{n}" for n in range(max(options.clients // 8, 2))]
        g = Durable(emulator, merge({"mcp": {"stream_after": "50ms", "sse_keepalive": "500ms", "retry": "50ms"},
                                     "listen": {"drain": "5s"}}, conf or {}), keys)
        herd = swarm.Swarm([g.port], emulator, options.clients, seed, list(g.keys.values()),
                           stragglers=bool(options.stop))
        herd.start()
        for point in which:
            strike_at_point(g, rng, herd, point, tally)
            tally.iterations += 1
        if which:
            g.start()
        for _ in range(0 if which else kills):
            strike_at_random(g, rng, herd, options, tally)
            tally.iterations += 1
        time.sleep(rng.uniform(0.05, options.seconds))
        herd.stop()
        faults = swarm.invariants(herd)
        tally.add(herd)
        if g.end() != 0:
            faults.append(f"the gateway ended with status {g.process.process.returncode}: {g.process.text()[-600:]}")
        return faults + integrity(g.store)
    except Exception as problem:
        log = g.process.text()[-800:] if g and g.process else ""
        return [f"{problem!r} {log}"]
    finally:
        if herd:
            herd.over.set()
            herd.settling.set()
        if g:
            g.kill() if g.process else None
            g.stop()
        emulator.stop()


def run(iterations=10, seed=1, clients=8, kills=5, stop=0.0, seconds=1.2, which=(), conf=None, out=print):
    """The seeds that failed, with what was broken: {} where all is well."""
    options = argparse.Namespace(clients=clients, stop=stop, seconds=seconds)
    tally, failed = Tally(), {}
    which = [p if ":" in p else f"{p}:{random.Random(f'{seed}{p}{i}').randint(1, 6)}" for i, p in enumerate(which)]
    todo = len(which) or iterations
    for r in range((todo + kills - 1) // kills):
        part = which[r * kills:(r + 1) * kills]
        faults = round_of(seed + r, min(kills, todo - r * kills), options, conf, tally, part)
        tally.rounds += 1
        if faults:
            failed[seed + r] = faults
            how = f"--points {','.join(part)}" if part else f"--iterations {min(kills, todo - r * kills)}"
            out(f"{len(faults)} broken; again: --seed {seed + r} --clients {clients} {how}")
            for fault in faults[:10]:
                out("  BROKEN: " + fault[:700])
    out(tally.text())
    return failed


def main():
    parser = argparse.ArgumentParser(description="kill -9 under load; see the head of this file.")
    parser.add_argument("--build", help="folder of snowgate and snowgate-emulator; build/dev")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--kills", type=int, default=5, help="iterations of a round")
    parser.add_argument("--seconds", type=float, default=1.2, help="longest time between two kills")
    parser.add_argument("--stop", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--points", help="all, or names with :n where it is not to be chosen")
    parser.add_argument("--memory", action="store_true", help="store.kind memory: shows that losses are found")
    options = parser.parse_args()
    which = []
    if options.points:
        names = points() if options.points == "all" else options.points.split(",")
        which = names * max(options.iterations // len(names), 1)
    conf = {"store": {"kind": "memory"}} if options.memory else None
    failed = run(options.iterations, options.seed, options.clients, options.kills, options.stop, options.seconds, which,
                 conf)
    print(f"failed: {', '.join(f'--seed {s}' for s in failed) or 'none'}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
