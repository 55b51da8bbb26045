#!/usr/bin/env python3
"""Replicas of the gateway behind nginx, as deploy/nginx has it, with their store in a Redis server that has a replica,
as deploy/valkey has it, under a swarm of clients, while gateways are killed and started, the server is restarted, and
its replica takes over. Then everything that was acknowledged must be true, and no client may have met more than its kill.

    cluster.py [--build FOLDER] [--replicas 3] [--clients 200] [--seconds 600] [--seed S] [--kill-every SECONDS]
               [--restarts 2] [--failovers 1] [--pace SECONDS] [--report FILE]

Needs redis-server and nginx. Errors that clients may meet: one broken connection or 502 of each call that was under way
when a replica was killed; and what is marked as to be tried again (429 and 503 with Retry-After). The report tells the
longest time that each client was without an answer, from the first failure to the next success."""

import argparse
import collections
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
sys.path.insert(0, HERE)
import gateway  # noqa: E402
import swarm  # noqa: E402
from gateway import Emulator, connect, free_port, merge, wait_for  # noqa: E402
from kill import Durable  # noqa: E402
from redis_pair import PASSWORD, Pair  # noqa: E402

# The check of messages reads one process after the other, and here one answers what another was asked.
os.environ.pop("SNOWGATE_TAP", None)

NGINX = os.path.join(HERE, "..", "..", "deploy", "nginx", "snowgate.conf")
HARD = ("broken", "refused", "502", "504")  # of a connection; anything else says when to come back
AFTERMATH = 5.0  # seconds in which a busy machine's clients hear of a kill
# What was sent and not answered may happen so long: an operation that no client asks for is due after the statement's
# time limit (300 s) and a minute.
swarm.STRAGGLE_SECONDS = 420
RETRYABLE = {"42901", "42902", "42903", "50301", "50302"}


def nginx():
    return shutil.which("nginx") or ("/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else None)


class Front:
    """nginx with the settings that are deployed, without TLS, before gateways on these ports."""

    def __init__(self, ports):
        self.folder, self.port = tempfile.mkdtemp(prefix="snowgate-front-"), free_port()
        with open(NGINX, encoding="utf-8") as f:
            site = f.read()
        servers = re.findall(r"\n\tserver [^;{]*;", site)
        options = servers[0].split(None, 2)[2]
        site = site.replace("".join(servers), "".join(f"\n\tserver 127.0.0.1:{port} {options}" for port in ports))
        site = site.replace("listen 443 ssl;", f"listen 127.0.0.1:{self.port};")
        site = re.sub(r"\n\tssl_\w+ [^;]*;", "", site)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        text = (f"daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log warn;\n"
                "events { worker_connections 4096; }\nhttp {\naccess_log off;\n" +
                "".join(f"{kind}_temp_path {self.folder}/{kind};\n" for kind in kinds) + site + "}\n")
        conf = os.path.join(self.folder, "nginx.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(text)
        self.process = subprocess.Popen([nginx(), "-p", self.folder, "-c", conf], stderr=subprocess.DEVNULL)
        wait_for(self.answers, 10, "nginx")

    def answers(self):
        try:
            connect(self.port).close()
            return True
        except OSError:
            return False

    def errors(self):
        """What its log says beside the replicas that were not there."""
        with open(os.path.join(self.folder, "error.log"), encoding="utf-8", errors="replace") as f:
            return [line for line in f if not re.search(
                r"refused|prematurely closed|reset by peer|disabled while|no live|Broken pipe", line)]

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


class Cluster:
    """Everything but the clients. `port` is the front's."""

    def __init__(self, replicas=3, keys=("alice", "bob"), conf=None):
        self.parts, self.kills = [], []  # kills: when
        try:
            self.emulator = self.part(Emulator())
            self.pair = self.part(Pair())
            self.folder = tempfile.mkdtemp(prefix="snowgate-cluster-")
            session_keys = self.secret("session-keys", os.urandom(32).hex() + "\n")
            self.conf = merge({
                "session": {"key_file": session_keys, "max_per_principal": 100000},
                "auth": {"mode": "required", "api_keys_file": os.path.join(self.folder, "api-keys")},
                "store": {"kind": "valkey", "url": self.pair.urls, "user": "snowgate", "password": PASSWORD,
                          "durability": "both"},
                "mcp": {"stream_after": "50ms", "sse_keepalive": "1s", "retry": "100ms"},
                "listen": {"drain": "5s", "trusted_proxies": ["127.0.0.1"]}}, conf or {})
            self.gateways = []
            for n in range(replicas):
                self.gateways.append(self.part(self.replica(keys if n == 0 else ())))
            self.keys, self.logs = self.gateways[0].keys, [[] for _ in self.gateways]
            self.front = self.part(Front([g.port for g in self.gateways]))
            self.port = self.front.port
        except BaseException:
            self.stop()
            raise

    def part(self, thing):
        self.parts.append(thing)
        return thing

    def secret(self, name, text):
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as f:
            f.write(text)
        return path

    def replica(self, keys):
        conf = {name: dict(value) if isinstance(value, dict) else value for name, value in self.conf.items()}
        return Durable(self.emulator, conf, keys)

    def keep_log(self, g):
        self.logs[self.gateways.index(g)] += g.process.lines

    def kill(self, g):
        self.kills.append(time.monotonic())
        g.kill()
        self.keep_log(g)

    def stop(self):
        for part in reversed(self.parts):
            if isinstance(part, Durable):
                part.kill()
            part.stop()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)


class Faults(threading.Thread):
    """What goes wrong while the clients work: kills at random, the store's events at their time."""

    def __init__(self, cluster, herd, options, rng):
        super().__init__(daemon=True)
        self.cluster, self.herd, self.options, self.rng = cluster, herd, options, rng
        self.in_flight, self.store_events, self.restarts, self.died, self.problem = [], [], [], [], None
        self.refused = []  # starts
        self.begun = time.monotonic()

    def plan(self):
        """[(seconds from the start, what)] of the store."""
        n = self.options.restarts + self.options.failovers
        what = ["restart"] * self.options.restarts
        for _ in range(self.options.failovers):
            what.insert((len(what) + 1) // 2, "failover")
        return [((i + 1) * self.options.seconds / (n + 1), what[i]) for i in range(n)]

    def store(self):
        try:
            for at, what in self.plan():
                if self.herd.over.wait(max(self.begun + at - time.monotonic(), 0)):
                    return
                began = time.monotonic()
                if what == "restart":
                    self.cluster.pair.restart(self.rng.uniform(0.2, 1.0))
                else:
                    what = self.rng.choice(("failover", "failover of one that lives"))
                    self.cluster.pair.fail_over(self.rng.uniform(0.3, 1.5), what == "failover")
                self.store_events.append(f"{what} at {began - self.begun:.0f} s, {time.monotonic() - began:.1f} s")
        except Exception as problem:
            self.problem = problem

    def check(self):
        """A gateway that is down and was not killed."""
        for g in self.cluster.gateways:
            status = g.process.process.poll()
            if status not in (None, -9):
                self.died.append(f"a gateway ended with status {status}: {g.process.text()[-500:]}")
                self.cluster.keep_log(g)
                g.start()

    def strike(self):
        cluster, victims = self.cluster, self.rng.sample(self.cluster.gateways, 2 if self.rng.random() < 0.2 else 1)
        self.in_flight.append(self.herd.in_flight())
        for g in victims:
            cluster.kill(g)
        self.herd.over.wait(self.rng.uniform(0.2, min(3.0, self.options.kill_every)))
        for g in victims:
            self.start_again(g)

    def start_again(self, g):
        """As a supervisor does it: a start that is refused is tried again."""
        began = time.monotonic()
        while True:
            try:
                g.start()
                break
            except RuntimeError as problem:
                self.refused.append(str(problem)[:600])
                if time.monotonic() > began + 60:
                    raise
                time.sleep(0.5)
        self.restarts.append(time.monotonic() - began)

    def run(self):
        store = threading.Thread(target=self.store, daemon=True)
        store.start()
        try:
            due = time.monotonic()
            while not self.herd.over.is_set():
                due += self.rng.uniform(0.5, 1.5) * self.options.kill_every
                while time.monotonic() < due and not self.herd.over.wait(0.2):
                    self.check()
                if not self.herd.over.is_set():
                    self.strike()
            self.check()
        except Exception as problem:
            self.problem = problem
        store.join(60)
        if self.options.kills_n and len(self.cluster.kills) < self.options.kills_n:
            self.strike()


def hard_errors(herd, kills):
    """Each broken connection and 502 belongs to one kill, and of a call no two to the same one."""
    faults, by_kill = [], collections.Counter()
    for member in herd.members:
        taken = set()
        for at, call, why in member.errors:
            if why not in HARD:
                continue
            fits = [k for k in kills if k - 0.05 <= at <= k + AFTERMATH]
            free = [k for k in fits if (call, k) not in taken]
            if free:
                taken.add((call, free[-1]))
                by_kill[free[-1]] += 1
            else:
                since = f"{at - max(k for k in kills if k <= at):.2f} s after a kill" if any(
                    k <= at for k in kills) else "before any kill"
                faults.append(f"client {member.n}: {why} {since}" + (", its second of that kill" if fits else "") +
                              f": {[(round(t - at, 2), c - call, w) for t, c, w in member.errors if abs(t - at) < 6]}")
    return faults, by_kill


def error_codes(herd):
    """JSON-RPC errors that a client is not told to repeat."""
    counts = herd.counts()
    return [f"{n} answers with the error {name.split()[1]}" for name, n in counts.items()
            if name.startswith("error ") and name.split()[1] not in RETRYABLE]


def gaps(herd):
    longest = sorted((m.gap for m in herd.members), reverse=True)
    rows = [longest[i:i + 25] for i in range(0, len(longest), 25)]
    return (f"longest gap: {longest[0]:.2f} s at most, {longest[len(longest) // 2]:.2f} s the median client; "
            "of each client, in seconds:\n" + "\n".join("  " + " ".join(f"{g:.2f}" for g in row) for row in rows))


def report(options, cluster, herd, faults, by_kill, seconds):
    counts, hard = herd.counts(), sum(by_kill.values())
    calls = sum(len(m.calls) for m in herd.members)
    soft = collections.Counter(w for m in herd.members for _, _, w in m.errors if w not in HARD)
    return "\n".join([
        f"{options.replicas} replicas, {options.clients} clients, {seconds:.0f} s, seed {options.seed}",
        f"{calls} statements ({calls / seconds:.0f}/s), {counts['sessions']} sessions, {counts['changes']} changes of "
        f"context, {counts['events']} events, {counts['resumed']} streams resumed, {counts['replays']} replayed, "
        f"{counts['sent again by key']} writes sent again by their key",
        f"{len(cluster.kills)} kills, {sum(faults.in_flight)} calls in flight at them; {hard} broken connections and "
        f"502, at most {max(by_kill.values(), default=0)} of one kill; told to come back: "
        f"{dict(soft) or 'never'}",
        f"up again in {min(faults.restarts, default=0):.2f} to {max(faults.restarts, default=0):.2f} s, "
        f"{len(faults.refused)} starts were refused; the store: " + ("; ".join(faults.store_events) or "nothing"),
        gaps(herd), herd.report()])


def save_logs(folder, cluster, herd):
    """What the gateways have logged and what Snowflake was asked to do, for a person."""
    os.makedirs(folder, exist_ok=True)
    for n, lines in enumerate(cluster.logs):
        with open(os.path.join(folder, f"gateway-{n}.log"), "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
    with open(os.path.join(folder, "statements.json"), "w", encoding="utf-8") as f:
        f.write("\n".join(json.dumps(record) for record in herd.records.values()) + "\n")


def run(options, out=print, conf=None):
    """What was not as promised, as sentences."""
    rng = random.Random(options.seed)
    keys = [f"client-{n}" for n in range(max(options.clients // 8, 2))]
    cluster = Cluster(options.replicas, keys, conf)
    herd = None
    try:
        herd = swarm.Swarm([cluster.port], cluster.emulator, options.clients, options.seed, cluster.keys.values(),
                           stragglers=True, pace=options.pace)
        began = time.monotonic()
        herd.start()
        faults = Faults(cluster, herd, options, rng)
        faults.start()
        while time.monotonic() < began + options.seconds:
            time.sleep(2)
            herd.collect()
        herd.over.set()
        faults.join(120)
        seconds = time.monotonic() - began
        herd.stop()
        broken = list(faults.died)
        if faults.problem:
            broken.append(f"the store or a gateway could not be had: {faults.problem!r}")
        more, by_kill = hard_errors(herd, cluster.kills)
        broken += more + error_codes(herd) + swarm.invariants(herd)
        broken += [f"nginx: {line.strip()[:300]}" for line in cluster.front.errors()]
        for g in cluster.gateways:
            cluster.keep_log(g)
            if g.end() != 0:
                broken.append(f"a gateway ended with {g.process.process.returncode}: {g.process.text()[-1000:]}")
        if options.logs:
            save_logs(options.logs, cluster, herd)
        out(report(options, cluster, herd, faults, by_kill, seconds))
        for text in broken[:40]:
            out("BROKEN: " + text[:900])
        out(f"seed {options.seed}: {len(broken)} broken")
        return broken
    finally:
        if herd:
            herd.over.set()
            herd.settling.set()
        cluster.stop()


def arguments(*given):
    parser = argparse.ArgumentParser(description="Replicas that are killed under load; see the head of this file.")
    parser.add_argument("--build", help="folder of snowgate and snowgate-emulator; build/dev")
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kill-every", type=float, default=10, metavar="SECONDS", help="on average")
    parser.add_argument("--kills-n", type=int, default=1, metavar="N", help="at least")
    parser.add_argument("--restarts", type=int, default=2, help="of the store's master")
    parser.add_argument("--failovers", type=int, default=1)
    parser.add_argument("--pace", type=float, default=0.0, help="seconds between two calls of a client")
    parser.add_argument("--logs", metavar="FOLDER", help="where the gateways' logs go")
    parser.add_argument("--report", metavar="FILE", help="where the report goes, besides standard output")
    return parser.parse_args(given or None)


def main():
    options = arguments()
    lines = []

    def out(text):
        print(text, flush=True)
        lines.append(text)
    broken = run(options, out)
    if options.report:
        with open(options.report, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
