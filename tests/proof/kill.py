#!/usr/bin/env python3
"""The gateway is killed at random moments and at its kill points, while a swarm of clients works with it, and started
again on the same store; after each time, everything that was acknowledged must be true.

    kill.py [--build FOLDER] [--iterations N] [--seed S] [--clients N] [--kills N] [--lanes N] [--stop SECONDS]
            [--moments all|random|NAME[:n],...] [--store sqlite|valkey|memory]

An iteration is one kill, with the invariants after it: those of swarm.py; integrity_check of the database as it was
left; no operation in it that has not come to an end; no slot that is still taken. Rounds of --kills iterations share
store and swarm, all of a lane the emulator, and lanes are processes that work side by side. Round r has the seed S + r,
and what was broken tells how to repeat it alone.

--moments: `random`, or the name of a kill point (include/snowgate/tbl/kill.def), at whose n-th passage the gateway's
test build ends itself by SIGKILL; n is chosen where it is not given. `all`: every other iteration at random, the others
at each point in turn. --stop: SIGSTOP for so long and SIGCONT, every other time that it is random. --store valkey: a
redis-server and two replicas, one of which is killed."""

import argparse
import collections
import multiprocessing
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
sys.path.insert(0, HERE)
import gateway  # noqa: E402
import swarm  # noqa: E402
from gateway import Emulator, Gateway, merge  # noqa: E402

KILL_DEF = os.path.join(HERE, "..", "..", "include", "snowgate", "tbl", "kill.def")
POINT_SECONDS = 4  # a point that is not passed in this time, three times over, is told as such
POINT_TRIES = 3
HOLDS = (80, 250, 600)  # ms that slow statements run: an iteration waits for their ends
SETTLED_SECONDS = 10
STRAGGLE = 5  # seconds after which a change that was recorded as a stream's was taken up again, or never
# The passage at which a point strikes is chosen up to this: what is passed at each start, or by each call, would else
# strike before anything has happened.
PASSAGES = {"sqlite": 60, "valkey": 60, "answer": 30, "append": 4, "event": 6, "stream": 4, "intent": 4, "handle": 6,
            "post": 4, "claim_before": 4, "claim_after": 4, "session_put": 6, "adopt": 3}
# What the swarm does more often for a point to be passed soon.
FAVOURS = {"session_delete": "delete", "session_put": "change", "claim_found": "repeat", "claim_joined": "repeat"}
LEASE = "1s"  # of replicas
GAUGES = ("slots_used", "queue_depth", "lane_in_flight", "lane_waiting")
OPERATION = 2  # its number in enum record_kind of store.h
KILL_AT = "SNOWGATE_KILL_AT"


def steady_port():
    """A free port that no outgoing connection takes while a gateway is down."""
    while True:
        port = random.SystemRandom().randrange(12000, 32000)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Durable(Gateway):
    """A gateway with a store that outlives it: always on the same port, started again as often as one likes."""

    def __init__(self, emulator, conf=None, keys=(), start=True, **how):
        super().__init__(emulator, None, start=False, auth="required" if keys else "none", **how)
        self.store = os.path.join(self.folder, "store")
        os.mkdir(self.store, 0o700)
        del self.conf["session"]["key_file"]  # made beside the store
        if (conf or {}).get("store", {}).get("kind") != "memory":
            self.conf["store"] = {"kind": "sqlite", "path": os.path.join(self.store, "snowgate.db")}
        merge(self.conf, {"listen": {"port": steady_port()},
                          "policies": [{"name": "all", "statements": ["read", "metadata", "dml", "ddl"],
                                        "confirm": "never"}]})
        merge(self.conf, conf or {})
        self.write()
        for name in keys:
            self.key(name)
        if start:
            self.start()

    def start(self, kill_at=None):
        """False where `kill_at` is passed on the way already."""
        self.before = (self.before + self.process.lines)[-200:] if self.process else []
        try:
            super().start({**os.environ, KILL_AT: kill_at} if kill_at else None)
            return True
        except RuntimeError:
            if not kill_at or self.process.wait() != -signal.SIGKILL:
                raise
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


class Copy:
    """What a store has left, copied, so that it is not touched; in a `with`."""

    def __init__(self, path):
        path = path if os.path.isdir(path) else os.path.dirname(path)
        self.folder = tempfile.TemporaryDirectory(prefix="snowgate-kill-")
        for name in os.listdir(path):
            if os.path.isfile(os.path.join(path, name)):
                shutil.copy(os.path.join(path, name), self.folder.name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def databases(self):
        names = os.listdir(self.folder.name)
        return [name for name in names if starts(os.path.join(self.folder.name, name)) == b"SQLite format 3"]

    def ask(self, name, sql):
        database = sqlite3.connect(os.path.join(self.folder.name, name))
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()

    def integrity(self):
        """What SQLite says of it: [] where all is well."""
        faults, names = [], self.databases()
        for name in names:
            try:
                said = [row[0] for row in self.ask(name, "PRAGMA integrity_check")]
            except sqlite3.DatabaseError as problem:
                said = [str(problem)]
            if said != ["ok"]:
                faults.append(f"integrity_check of {name}: {said[:5]}")
        return faults if names else [f"no database in {os.listdir(self.folder.name)}"]


def integrity(path):
    with Copy(path) as copy:
        return copy.integrity()


def under_way(path):
    """How many operations of a store have not come to an end: others may take them over. None: it is being written."""
    with Copy(path) as copy:
        try:
            return sum(copy.ask(name, f"SELECT count(*) FROM record WHERE kind = {OPERATION} AND due IS NOT NULL")[0][0]
                       for name in copy.databases())
        except sqlite3.DatabaseError:
            return None


def points(store="sqlite"):
    """The names of all kill points that can be passed with this store."""
    with open(KILL_DEF) as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    names = re.findall(r'^\s*KILL\(\s*(\w+)\s*,\s*"', text, flags=re.M)
    return [name for name in names if not name.startswith(tuple({"sqlite", "valkey"} - {store}))]


def has_leases(g):
    """Whether this build knows store.lease."""
    return any(line.strip().startswith("lease:") for line in g.run("config", "--defaults").stdout.splitlines())


def passage(point, rng):
    """`point` with its n, of the iteration that `rng` stands for."""
    most = max((n for start, n in PASSAGES.items() if point.startswith(start)), default=1)
    return point if ":" in point or point == "random" else f"{point}:{rng.randint(1, most)}"


class Tally:
    """Over all rounds."""

    def __init__(self):
        self.iterations, self.rounds, self.in_flight = 0, 0, []
        self.restarts, self.gaps = [], []
        self.passed, self.missed, self.counts = collections.Counter(), collections.Counter(), collections.Counter()

    def add(self, herd):
        self.counts.update(herd.counts())
        self.gaps += [m.gap for m in herd.members]

    def join(self, other):
        for name, value in vars(other).items():
            if isinstance(value, collections.Counter):
                getattr(self, name).update(value)
            else:
                setattr(self, name, getattr(self, name) + value)

    def text(self):
        lines = [f"{self.iterations} kills in {self.rounds} rounds, calls in flight at a kill "
                 f"{sum(self.in_flight) / max(len(self.in_flight), 1):.1f} on average"]
        if self.restarts:
            self.restarts.sort()
            lines.append(f"from the kill to the listening line {self.restarts[len(self.restarts) // 2]:.3f} s, at most "
                         f"{self.restarts[-1]:.2f} s; longest gap of a client {max(self.gaps, default=0):.2f} s")
        if self.passed or self.missed:
            lines.append("points: " + ", ".join(f"{k} {n}" for k, n in sorted(self.passed.items())) +
                         "; not passed: " + (", ".join(f"{k} {n}" for k, n in sorted(self.missed.items())) or "none"))
        if self.counts:
            lines.append(", ".join(f"{k} {n}" for k, n in sorted(self.counts.items())))
        return "\n".join(lines)


def steady(conf=None):
    return merge({"mcp": {"stream_after": "50ms", "sse_keepalive": "500ms", "retry": "50ms"},
                  "listen": {"drain": "200ms"}}, conf or {})


class Round:
    """A store, its gateways, and a swarm that works with them."""

    def __init__(self, seed, emulator, options, tally):
        self.rng, self.tally, self.options, self.faults = random.Random(seed), tally, options, []
        self.gateways, self.redis, self.herd, self.leases = [], None, None, False
        try:
            self.build(seed, emulator)
        except BaseException:
            self.end()
            raise

    def build(self, seed, emulator):
        options = self.options
        keys = [f"client-{n}" for n in range(max(options.clients // 8, 2))]
        conf = steady(options.conf)
        if options.store == "valkey":
            import test_replicas  # whose own tests use this file
            self.redis = test_replicas.Redis()
            merge(conf, self.redis.conf())
        self.gateways.append(Durable(emulator, conf, keys, start=False))
        if self.redis:
            self.gateways.append(Durable(emulator, conf, start=False))
            self.leases = has_leases(self.gateways[0])
        for g in self.gateways:
            if self.leases:
                merge(g.conf, {"store": {"lease": LEASE}})
                g.write()
            g.start()
        self.herd = swarm.Swarm([g.port for g in self.gateways], emulator, options.clients, seed,
                                list(self.gateways[0].keys.values()),
                                stragglers=True if options.stop or self.redis else STRAGGLE, holds=HOLDS)
        self.herd.start()

    # ---- a strike ----

    def fell(self, g):
        """It is dead: what it has left."""
        self.tally.in_flight.append(self.herd.in_flight())
        if not self.redis and self.options.store != "memory":
            self.faults += integrity(g.store)

    def start(self, g, kill_at=None):
        began = time.monotonic()
        if g.start(kill_at):
            self.tally.restarts.append(time.monotonic() - began)
            return True
        return False

    def strike_at_random(self, g):
        time.sleep(self.rng.uniform(0.05, self.options.seconds))
        if self.options.stop and self.rng.random() < 0.5:
            g.signal(signal.SIGSTOP)
            time.sleep(self.options.stop)
            g.signal(signal.SIGCONT)
            return
        if self.rng.random() < 0.15:  # twice in a row: on its way up again
            g.kill()
            self.start(g)
            time.sleep(self.rng.uniform(0, 0.05))
        g.kill()
        self.fell(g)
        self.start(g)

    def strike_at_point(self, g, point):
        """The gateway is started with the point, and its end waited for."""
        name = point.partition(":")[0]
        self.herd.favour = next((what for start, what in FAVOURS.items() if name.startswith(start)), None)
        for _ in range(POINT_TRIES):
            time.sleep(self.rng.uniform(0.05, 0.3))
            g.kill()
            passed = not self.start(g, point) or self.passes(g, name)
            g.kill()
            if passed:
                break
        self.herd.favour = None
        (self.tally.passed if passed else self.tally.missed)[name] += 1
        self.fell(g)
        self.start(g)

    def passes(self, g, name):
        if name.startswith("leave"):  # by those that end in order only
            time.sleep(self.rng.uniform(0.1, 0.4))
            g.signal(signal.SIGTERM)
        return g.wait_killed(POINT_SECONDS)

    # ---- what must be true then ----

    def settled(self):
        """What has not come to an end in the store or in a process."""
        names = [f"snowgate_{name}" for name in GAUGES]
        end = time.monotonic() + SETTLED_SECONDS
        while True:
            taken = [{k: v for k, v in g.metrics().items() if k in names and v} for g in self.gateways]
            left = self.left()
            if left == 0 and not any(taken):
                return []
            if time.monotonic() > end:
                return [f"not at rest: {left} operations in the store, {taken}"]
            time.sleep(0.02)

    def left(self):
        """How many operations have not come to an end. Without leases nobody takes a dead replica's over."""
        if self.redis:
            return self.redis.under_way() if self.leases else 0
        return 0 if self.options.store == "memory" else under_way(self.gateways[0].store)

    def strike(self, moment):
        """One iteration; whether all is well after it."""
        g = self.rng.choice(self.gateways)
        if moment == "random":
            self.strike_at_random(g)
        else:
            self.strike_at_point(g, moment)
        self.tally.iterations += 1
        time.sleep(self.rng.uniform(0.02, 0.2))
        self.herd.rest()
        self.faults += swarm.invariants(self.herd) + self.settled()
        self.herd.go_on()
        if self.faults:
            self.faults += ["its log: " + line for line in self.telling()]
        return not self.faults

    def telling(self):
        """Of the logs, what is not about a call that was answered."""
        lines = [line for g in self.gateways for line in g.before + g.process.lines if '"event":"call"' not in line]
        return lines[-35:]

    def finish(self):
        self.herd.stop()
        self.tally.add(self.herd)
        for g in self.gateways:
            if g.end() != 0:
                self.faults.append(f"ended with status {g.process.process.returncode}: {g.process.text()[-600:]}")
        if not self.redis and self.options.store != "memory":
            self.faults += integrity(self.gateways[0].store)
        self.herd.sql(f"DROP TABLE {self.herd.table}")

    def end(self):
        if self.herd:
            self.herd.leave()
        for g in self.gateways:
            g.kill() if g.process else None
            g.stop()
        if self.redis:
            self.redis.stop()


def round_of(seed, moments, emulator, options, tally):
    """One round; what was broken."""
    r, moment = None, None
    try:
        r = Round(seed, emulator, options, tally)
        for moment in moments:
            if not r.strike(moment):
                return [f"after {moment}: {fault}" for fault in r.faults]
        r.finish()
        return r.faults
    except Exception as problem:
        logs = [g.process.text()[-800:] for g in r.gateways if g.process] if r else []
        return (r.faults if r else []) + [f"at {moment}: {problem!r} {traceback.format_exc(limit=-3)} {logs}"]
    finally:
        tally.rounds += 1
        if r:
            r.end()


def lane(rounds, port, options, tell):
    """Its rounds, (seed, moments) each; tells of each what was broken, and its tally."""
    warnings.simplefilter("ignore", ResourceWarning)
    emulator = swarm.Control(port)
    for seed, moments in rounds:
        tally = Tally()
        tell((seed, moments, round_of(seed, moments, emulator, options, tally), tally))


def results(rounds, emulator, options):
    """What the lanes tell, as it comes."""
    fork = multiprocessing.get_context("fork")
    queue = fork.SimpleQueue()
    parts = [rounds[n::options.lanes] for n in range(options.lanes)]
    workers = [fork.Process(target=lane, args=(part, emulator.port, options, queue.put), daemon=True) for part in parts]
    for worker in workers:
        worker.start()
    for _ in rounds:
        yield queue.get()
    for worker in workers:
        worker.join()


def chosen(iterations, seed, names, store):
    """The moments of all iterations. `names`: "all", or moments that are taken in turn."""
    if names == "all":
        which = points(store)
        names = [which[n // 2 % len(which)] if n % 2 else "random" for n in range(2 * len(which))]
    names = [names[n % len(names)] for n in range(iterations)]
    return [passage(name, random.Random(f"{seed} {n}")) for n, name in enumerate(names)]


def run(iterations=10, seed=1, clients=8, kills=5, lanes=1, stop=0.0, seconds=0.6, moments=("random",), conf=None,
        store="sqlite", out=print):
    """The seeds that failed, with what was broken: {} where all is well. Points that were never passed are told."""
    rounds = chosen(iterations, seed, moments, store)
    rounds = [(seed + n // kills, rounds[n:n + kills]) for n in range(0, iterations, kills)]
    options = argparse.Namespace(clients=clients, stop=stop, seconds=seconds, store=store, conf=conf,
                                 lanes=min(lanes, len(rounds)))
    tally, failed, emulator = Tally(), {}, Emulator()
    try:
        for its, about, faults, told in results(rounds, emulator, options):
            tally.join(told)
            if faults:
                failed[its] = faults
                out(f"{len(faults)} broken; again: --seed {its} --clients {clients} --iterations {len(about)} "
                    f"--kills {kills} --moments {','.join(about)} --store {store} --stop {stop}")
                for fault in faults[:40]:
                    out("  BROKEN: " + fault[:900])
            if tally.iterations // 100 > (tally.iterations - told.iterations) // 100:
                out(f"{tally.iterations} of {iterations}")
    finally:
        emulator.stop()
    out(tally.text())
    return failed


def main():
    parser = argparse.ArgumentParser(description="kill -9 under load; see the head of this file.")
    parser.add_argument("--build", help="folder of snowgate and snowgate-emulator; build/dev")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--kills", type=int, default=5, help="iterations of a round")
    parser.add_argument("--lanes", type=int, default=1, help="rounds side by side")
    parser.add_argument("--seconds", type=float, default=0.6, help="longest time until a random kill")
    parser.add_argument("--stop", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--moments", default="random", help="all; or names, with :n where it is not to be chosen")
    parser.add_argument("--store", default="sqlite", choices=("sqlite", "valkey", "memory"),
                        help="memory: shows that losses are found")
    options = vars(parser.parse_args())
    del options["build"]  # gateway.py has read it
    if options["moments"] != "all":
        options["moments"] = options["moments"].split(",")
    if options["store"] == "memory":
        options["conf"] = {"store": {"kind": "memory"}}
    failed = run(**options)
    print(f"failed: {', '.join(f'--seed {s}' for s in failed) or 'none'}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
