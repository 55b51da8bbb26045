"""A restart with many stored sessions, to the first good call on an old one; and what a session takes.

The sessions are made through the gateway: initialize, again and again, on connections of its own. Then the process is ended
(SIGTERM, and SIGKILL in turns) and started again, and from the start of the process on an old id is used until it is
answered: set_context, which tells the context that was set before. Which of the old sessions it is changes each time.

sqlite   bytes of the file and its log, by session; resident memory by live session, once the library's page cache is full
valkey   bytes of memory and of the AOF of the server, by session; resident memory of the gateway by live session

A session has a client's name and version, database, schema, warehouse and role, and no open stream."""

import http.client
import json
import os
import signal
import statistics
import subprocess
import time

import durable
import harness

SESSIONS, QUICK_SESSIONS = 100000, 5000
LIVE, QUICK_LIVE = 10000, 2000
OLD = 16  # sessions that are called again
CONNECTIONS = 32
GOAL_MS, GOAL_KIB = 300, 2
INITIALIZE = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1.0.0"}}})


def resident(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Rss:")) * 1024


class Sessions:
    """The gateway, and some of its sessions: key, id, schema."""

    def __init__(self, bench, kind, leads):
        self.bench, self.kind, self.old = bench, kind, []
        self.gateway = durable.gateway_start(bench, "restart-" + kind, kind, leads)
        self.made = 0

    def post(self, key, message, session=None):
        """Status, session, result; None where it cannot be reached."""
        headers = {"Authorization": "Bearer " + key, "Content-Type": "application/json",
                   "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
        if session:
            headers["Mcp-Session-Id"] = session
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=30)
        try:
            connection.request("POST", "/mcp", message, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Mcp-Session-Id"), answer.read().decode()
        except OSError:
            return None, None, None
        finally:
            connection.close()

    def context(self, key, session, **arguments):
        return self.post(key, json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "set_context", "arguments": arguments}}), session)

    def add_old(self):
        key, schema = self.gateway.keys[len(self.old) % len(self.gateway.keys)], "OLD_%d" % len(self.old)
        session = self.post(key, INITIALIZE)[1]
        self.context(key, session, schema=schema)
        self.old.append((key, session, schema))
        self.made += 1

    def add(self, n):
        """So many more; sessions in a second."""
        self.made += n
        run = subprocess.run(
            [self.bench.loader, "--connections", str(CONNECTIONS), "--seconds", "3600", "--count", str(n), "--port",
             str(self.gateway.port), "--path", "/mcp", "--body", INITIALIZE, "--expect", "protocolVersion"] +
            [word for key in self.gateway.keys for word in ("--token", key)], stdout=subprocess.PIPE, text=True)
        self.bench.failed |= run.returncode != 0
        calls, seconds = (float(word) for word in run.stdout.split()[:2])
        return calls / seconds

    def again(self, how, old):
        """Ends it, starts it; milliseconds to the first good answer, and whether the context is what it was."""
        key, session, schema = self.old[old]
        self.gateway.process.send_signal(how)
        self.gateway.process.wait()
        program = os.path.join(self.bench.build, "snowgate")
        conf = harness.write(self.gateway.path, self.gateway.configuration % {**self.gateway.settings})
        began = time.monotonic()
        self.gateway.process = self.bench.start([program, "-c", conf], "restart-%s.log" % self.kind)
        self.gateway.pid = self.gateway.process.pid
        status = None
        while status is None and time.monotonic() - began < 60:
            status, _, answer = self.context(key, session)
            if status is None:
                time.sleep(0.001)
        took = 1000 * (time.monotonic() - began)
        good = status == 200 and '"schema":"%s"' % schema in answer
        self.bench.failed |= not good
        return took

    def file_bytes(self):
        path = os.path.join(self.bench.home, self.gateway.settings["where"].split(": ")[1])
        return sum(os.path.getsize(path + end) for end in ("", "-wal") if os.path.exists(path + end))


def say(what, text, *values):
    harness.row(what, text % values)


def fill(sessions, n):
    """Old sessions among all the others."""
    rates = []
    for _ in range(OLD):
        sessions.add_old()
        rates.append(sessions.add(max((n - sessions.made) // (OLD - len(sessions.old) + 1), 1)))
    return statistics.median(rates)


def live(sessions, n):
    """Resident memory by live session, KiB."""
    before = resident(sessions.gateway.pid)
    sessions.add(n)
    return (resident(sessions.gateway.pid) - before) / n / 1024


def restarts(sessions, how, rounds):
    return [sessions.again(how, (7 * i + int(how)) % OLD) for i in range(rounds)]


def tell_restarts(sessions, rounds):
    for how, name in ((signal.SIGTERM, "ended"), (signal.SIGKILL, "killed")):
        took = restarts(sessions, how, rounds)
        say("`%s`: %s, to the first good call" % (sessions.kind, name), "%.0f ms, at most %.0f ms (%d restarts; goal %d ms)",
            statistics.median(took), max(took), rounds, GOAL_MS)


def measure_sqlite(bench, n, live_n, rounds):
    s = Sessions(bench, "sqlite", None)
    empty = s.file_bytes()
    rate = fill(s, n)
    say("`sqlite`: made", "%d sessions, %.0f/s", s.made, rate)
    say("`sqlite`: live and idle, by session", "%.2f KiB resident (goal %d KiB)", live(s, live_n), GOAL_KIB)
    tell_restarts(s, rounds)
    s.gateway.process.send_signal(signal.SIGTERM)
    s.gateway.process.wait()
    say("`sqlite`: stored, by session", "%.0f bytes of the file", (s.file_bytes() - empty) / s.made)


def redis_info(redis, name):
    """Of INFO, as the gateway's user may ask."""
    import socket
    with socket.socket(socket.AF_UNIX) as c:
        c.connect(redis.socket)
        c.sendall(('AUTH snowgate "%s"\r\nINFO\r\nPING\r\n' % durable.test_replicas.PASSWORD).encode())
        said = b""
        while not said.endswith(b"+PONG\r\n"):
            said += c.recv(65536)
    return int(next(line for line in said.decode().splitlines() if line.startswith(name + ":")).split(":")[1])


def measure_valkey(bench, n, live_n, rounds):
    redis, leads = durable.redis_start(bench)
    try:
        s = Sessions(bench, "valkey", leads)
        memory, aof = (redis_info(redis, name) for name in ("used_memory", "aof_current_size"))
        say("`valkey`: live and idle, by session", "%.2f KiB resident (goal %d KiB)", live(s, live_n), GOAL_KIB)
        say("`valkey`: made", "%d sessions, %.0f/s", n, fill(s, n))
        tell_restarts(s, rounds)
        say("`valkey`: stored, by session", "%.0f bytes of memory, %.0f of the AOF",
            (redis_info(redis, "used_memory") - memory) / s.made, (redis_info(redis, "aof_current_size") - aof) / s.made)
    finally:
        bench.stop()
        redis.stop()


def measure(bench, quick):
    n, live_n, rounds = (QUICK_SESSIONS, QUICK_LIVE, 2) if quick else (SESSIONS, LIVE, 7)
    harness.head("", "")
    measure_sqlite(bench, n, live_n, rounds)
    bench.stop()
    bench.start_upstream()
    measure_valkey(bench, n, live_n, rounds)
