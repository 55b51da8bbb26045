"""What idle streams cost: sessions that each hold a standalone stream open, and short calls beside them.

Two gateways of the same configuration: one holds the streams, the other has none, and short calls go to them in turn,
so that both see the same machine. What is told:

memory    resident memory after the streams were opened and had a comment, less that before, by stream; Pss as well
idle      CPU time of the gateway while nobody calls: with the comments of mcp.sse_keepalive (15s), and without
beside    execute_query at 16 connections: p50, p99 and CPU per call with the streams, against without; medians of
          pairs
told      another list of tools after SIGHUP, until the first and the last stream has the notification; again and again
          while short calls go on"""

import json
import os
import resource
import signal
import statistics
import subprocess
import time

import harness

TICKS = os.sysconf("SC_CLK_TCK")
KEEPALIVE = 15  # seconds: mcp.sse_keepalive as it comes
CONNECTIONS = 16
CONFIGURATION = """\
listen: {port: %(port)d, max_connections: %(connections)d}
admin: {port: %(admin)d}
log: {level: warn}
mcp: {sse_keepalive: %(keepalive)ds}
session: {max: %(connections)d, max_per_principal: %(connections)d}
policies: [{name: bench, statements: [read, metadata], toolsets: [%(toolsets)s]}]
snowflake:
  max_in_flight: 1000
  connection: bench
  connections:
    bench: {account: EMULATOR, user: BENCH, host: 127.0.0.1, port: %(upstream)d, protocol: http,
      authenticator: programmatic_access_token, token: %(token)s, warehouse: COMPUTE_WH, role: SYSADMIN,
      database: SNOWFLAKE_SAMPLE_DATA, schema: TPCH_SF1}
limits:
  default: {calls_per_minute: 1000000, burst: 100000, running: 1000, queued: 1000, streams: 100000}
"""


def cpu_ticks(pid):
    """utime + stime of /proc/PID/stat; the second field, in parentheses, may hold blanks."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def memory_kib(pid):
    """Resident, and the share of it that is the process's own."""
    with open("/proc/%d/smaps_rollup" % pid) as f:
        lines = dict(line.split()[:2] for line in f.readlines()[1:])
    return int(lines["Rss:"]), int(lines["Pss:"])


def slow_turns(gateway):
    """Microseconds of the turns of its loop that were too long."""
    with open(gateway.log) as f:
        return [json.loads(line)["usec"] for line in f if '"slow_turn"' in line]


def streams_allowed(wanted):
    """Of `wanted`, as many as the hard limit of open files lets a gateway hold."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return wanted if files == resource.RLIM_INFINITY else min(wanted, (files - 1000) * 2 // 3)


class Streams:
    """The program that holds them."""

    def __init__(self, bench, gateway, n):
        command = [bench.compile("streams"), "--port", str(gateway.port), "--streams", str(n)]
        for key in gateway.keys:
            command += ["--token", key]
        self.process = bench.start(command, "streams.log", stdin=subprocess.PIPE)
        _, _, self.seconds = self.line()

    def line(self):
        words = self.process.stdout.readline().split()
        if not words:
            raise RuntimeError("the program that holds the streams has ended")
        return words

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.line()

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)


def idle(gateway, seconds):
    """Share of one core, and the ticks."""
    before, began = cpu_ticks(gateway.pid), time.monotonic()
    time.sleep(seconds)
    ticks = cpu_ticks(gateway.pid) - before
    return 100 * ticks / TICKS / (time.monotonic() - began), ticks


def row(name, text, *values):
    harness.row(name, text % values)


def show_memory(gateway, n, before):
    rss, pss = (now - then for now, then in zip(memory_kib(gateway.pid), before))
    row("memory per stream", "%.1f KiB resident, %.1f KiB Pss", rss / n, pss / n)


def show_idle(gateway, streams, quick):
    seconds = KEEPALIVE if quick else 2 * KEEPALIVE
    comments = int(streams.ask("count")[3])
    share, ticks = idle(gateway, seconds)
    comments = int(streams.ask("count")[3]) - comments
    row("idle, a comment each %d s" % KEEPALIVE, "%.2f %% of a core (%d ticks in %d s, %d comments)", share, ticks,
        seconds, comments)
    gateway.change(keepalive=0)
    time.sleep(1)
    seconds = 10 if quick else 20
    row("idle, no comments", "%.2f %% of a core (%d ticks in %d s)", *idle(gateway, seconds), seconds)
    gateway.change(keepalive=KEEPALIVE)
    time.sleep(1)


def show_beside(bench, full, empty, pairs):
    with_streams, without = [], []
    for _ in range(pairs):
        without.append(bench.load_query(empty, CONNECTIONS))
        with_streams.append(bench.load_query(full, CONNECTIONS))
    for key, name in (("rate", "calls/s"), ("p50", "p50 us"), ("p99", "p99 us"), ("cpu", "CPU us/call")):
        a, b = (statistics.median(m[key] for m in runs) for runs in (with_streams, without))
        ratio = statistics.median(w[key] / o[key] for w, o in zip(with_streams, without))
        row("execute_query, %d connections, %s" % (CONNECTIONS, name), "%.0f beside them, %.0f without (medians); "
            "%.2f times (median of %d pairs)", a, b, ratio, pairs)


def change_tools(gateway):
    gateway.change(toolsets="core" if gateway.settings["toolsets"] != "core" else "core, classic")


def tell_once(streams, gateway):
    """Microseconds from the signal to the first and to the last; streams told, more than one notification, closed."""
    streams.ask("mark")
    change_tools(gateway)
    words = streams.ask("told 30")
    return {words[i]: int(words[i + 1]) for i in range(0, len(words), 2)}


def row_told(bench, name, told, n):
    whole = sum(t["told"] == n and t["more"] == 0 for t in told)
    first, last = ([t[key] / 1000 for t in told] for key in ("first", "last"))
    row("list change, " + name, "first after %.1f ms, last after %.1f ms (medians), %.1f ms at most; %d of %d came to "
        "each stream once", statistics.median(first), statistics.median(last), max(last), whole, len(told))
    bench.failed |= whole != len(told)


def show_told(bench, streams, gateway, n):
    row_told(bench, "nobody calls", [tell_once(streams, gateway) for _ in range(5)], n)
    slow = len(slow_turns(gateway))
    load = bench.query_start(gateway, CONNECTIONS)
    time.sleep(0.7)  # past its warming up
    told = []
    while load.poll() is None:
        told.append(tell_once(streams, gateway))
    m = bench.load_end(load)
    row_told(bench, "%d connections call, one after another" % CONNECTIONS, told, n)
    row("execute_query meanwhile", "p50 %.0f us, p99 %.0f us, %.0f calls/s", m["p50"], m["p99"], m["rate"])
    turns = slow_turns(gateway)[slow:]
    row("turns of the loop over 20 ms meanwhile", "%d%s", len(turns),
        ", the longest %.0f ms" % (max(turns) / 1000) if turns else "")


def measure(bench, quick):
    wanted = bench.options.streams
    n = streams_allowed(wanted)
    settings = {"connections": n * 4 // 3 + 64, "keepalive": KEEPALIVE, "toolsets": "core"}
    full, empty = (bench.start_gateway(name, CONFIGURATION, **settings) for name in ("full", "empty"))
    if n < wanted:
        print("%d streams only: the limit of open files (ulimit -Hn) is too low for %d" % (n, wanted))
    for gateway in (full, empty):
        bench.load_query(gateway, CONNECTIONS)
    before = memory_kib(full.pid)
    streams = Streams(bench, full, n)
    harness.head("%d sessions with an idle stream each, opened in %s s" % (n, streams.seconds), "")
    time.sleep(KEEPALIVE + 2)  # past the first comments
    show_memory(full, n, before)
    show_idle(full, streams, quick)
    show_beside(bench, full, empty, 3 if quick else 7)
    show_told(bench, streams, full, n)
    streams.close()
