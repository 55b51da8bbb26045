"""What durability costs: the same calls with store.kind memory, sqlite and valkey, one after another in each round, so that
all see the same machine; medians of the rounds, and of the ratios to `memory` in the same round.

context    set_context: another schema each time, which one statement confirms; on the disk before its answer
wish       set_context: another preference, for which Snowflake is not asked: nothing but the store
stream     execute_query in a legacy session with mcp.stream_after 0s: each call is recorded and its answer kept
write      an INSERT: its intent and its handle are on the disk before and after it is sent
fast       execute_query that ends at once, as JSON, with and without a session; CPU per call of sqlite over that of memory,
           both called at the same time, so that whatever else the machine does is the same for both; the median of the
           runs, with the interval that holds it with 95 %

sqlite     WAL, synchronous=FULL
valkey     a redis-server on a socket of this machine, as deploy/valkey has it (appendfsync always, its users)

Commits, pieces in one commit and the time of one are the gateway's own metrics. What the disk itself can do is told first.
CPU is that of the gateway; the server's is not in it."""

import json
import os
import statistics
import sys
import time
import urllib.request

import harness

sys.path.insert(0, os.path.join(harness.HERE, "..", "e2e"))
import test_replicas  # noqa: E402

KINDS = ("memory", "sqlite", "valkey")
CONFIGURATION = """\
listen: {port: %(port)d}
admin: {port: %(admin)d}
log: {level: warn}
mcp: {stream_after: %(stream_after)s}
session: {max: 200000, max_per_principal: 200000, %(session)s}
store: {kind: %(store)s, %(where)s}
policies: [{name: bench, confirm: never, statements: [read, metadata, dml]}]
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


def tool(name, **arguments):
    return ("tools/call", {"name": name, "arguments": arguments})


# name, session, mcp.stream_after, method and params, a part of the right answer
WORK = [
    ("context", True, "1m", *tool("set_context", schema="S@@@@@@"), '"schema":"S'),
    ("wish", True, "1m", *tool("set_context", preferences={"limit": "NUMBER"}), 'callsLeft'),
    ("stream", True, "0s", *tool("execute_query", query="SELECT 1"), "1 row"),
    ("write", True, "1m", *tool("execute_query", query="INSERT INTO STUB VALUES (1)"), "number of rows inserted"),
]
FAST = [("fast, no session", False), ("fast, in a session", True)]


def redis_start(bench):
    """A server as it is deployed, and the lines of the configuration that lead to it."""
    redis = test_replicas.Redis()
    bench.processes.append(redis.process)
    keys = redis.put("session-keys", os.urandom(32).hex() + "\n")
    return redis, {"session": "key_file: " + keys, "where": "url: unix://%s, user: snowgate, password: %s, durability: aof"
                   % (redis.socket, test_replicas.PASSWORD)}


def gateway_start(bench, name, kind, redis=None, **settings):
    """A gateway with that store; `redis`: what leads to the server."""
    settings = {"stream_after": "1m", **settings, "store": kind}
    if kind == "valkey":
        return bench.start_gateway(name, CONFIGURATION, **{**settings, **redis})
    where = "path: %s" % os.path.join(bench.home, name + ".db")
    return bench.start_gateway(name, CONFIGURATION, **settings, session="idle_ttl: 1h", where=where)


def metrics(gateway, *names):
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % gateway.admin) as answer:
        lines = answer.read().decode().splitlines()
    return [sum(float(line.split()[-1]) for line in lines if line.startswith((name + " ", name + "{"))) for name in names]


def store_metrics(gateway):
    return metrics(gateway, "snowgate_store_commits_total", "snowgate_store_pieces_total",
                   "snowgate_store_commit_seconds_sum")


def disk(folder, seconds=1):
    """Appends of 4 KiB, each made durable, in a second."""
    path, n = os.path.join(folder, "disk"), 0
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        os.write(fd, b"x" * 4096)
        os.fdatasync(fd)
        n += 1
    os.close(fd)
    os.unlink(path)
    return n / seconds


def load_start(bench, gateway, connections, session, method, params, expect):
    message = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).replace('"NUMBER"', "1@@@")
    return bench.load_start(connections, gateway.port, "/mcp", message, [], expect, [gateway.pid], gateway.keys,
                            ["--session"] if session else [])


def measured(bench, gateway, *work):
    """A run, and what the store did for each second of it."""
    before, began = store_metrics(gateway), time.monotonic()
    run = bench.load_end(load_start(bench, gateway, *work))
    commits, pieces, seconds = (now - then for now, then in zip(store_metrics(gateway), before))
    run["commits"] = commits / (time.monotonic() - began)
    run["pieces"] = pieces / max(commits, 1)
    run["commit"] = 1e6 * seconds / max(commits, 1)
    return run


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def ratio(runs, base, key):
    return statistics.median(run[key] / max(b[key], 1e-9) for run, b in zip(runs, base))


def show(name, connections, rounds):
    for kind in KINDS:
        runs, base = rounds[kind], rounds["memory"]
        harness.row(name, str(connections), "`%s`" % kind, "%.0f" % median(runs, "rate"), "%.2f" % ratio(runs, base, "rate"),
                    "%.0f" % median(runs, "p50"), "%.0f" % median(runs, "p99"), "%.2f" % ratio(runs, base, "p99"),
                    "%.0f" % median(runs, "cpu"), "%.0f" % median(runs, "commits"), "%.1f" % median(runs, "pieces"),
                    "%.0f" % median(runs, "commit"), str(sum(run["errors"] for run in runs)))


def compare(bench, gateways, counts, rounds_n):
    harness.head("", "connections", "store", "calls/s", "x memory", "p50 us", "p99 us", "x memory", "CPU us/call",
                 "commits/s", "pieces/commit", "us/commit", "errors")
    for name, session, stream_after, *work in WORK:
        for gateway in gateways.values():
            gateway.change(stream_after=stream_after)
        time.sleep(0.3)
        for n in counts:
            rounds = {kind: [] for kind in KINDS}
            for _ in range(rounds_n):
                for kind, gateway in gateways.items():
                    rounds[kind].append(measured(bench, gateway, n, session, *work))
            show(name, n, rounds)


def interval(values):
    """Of the values in order, those between which the median lies with 95 % (by signs)."""
    values, n = sorted(values), len(values)
    tail, k, ways = 0.0, 0, 0.5 ** n
    while k < n // 2 and tail + ways <= 0.025:
        tail += ways
        k += 1
        ways = ways * (n - k + 1) / k
    k = max(k - 1, 0)
    return values[k], values[n - 1 - k]


def fast_pairs(bench, gateways, session, most):
    """Runs of both until the interval is as narrow as 2 %, or there are so many."""
    pairs, kinds = [], ("memory", "sqlite")
    while len(pairs) < most:
        runs = {kind: load_start(bench, gateways[kind], 16, session, *harness.QUERY) for kind in kinds}
        pairs.append({kind: bench.load_end(run) for kind, run in runs.items()})
        kinds = kinds[::-1]
        low, high = interval([pair["sqlite"]["cpu"] / pair["memory"]["cpu"] for pair in pairs])
        if len(pairs) >= 12 and high - low < 0.02:
            break
    return pairs


def show_fast(bench, gateways, most):
    for gateway in gateways.values():
        gateway.change(stream_after="1m")
    time.sleep(0.3)
    harness.head("sqlite over memory, 16 connections each", "pairs", "CPU/call", "95 %", "calls/s", "95 %",
                 "CPU us/call memory", "sqlite", "commits")
    for name, session in FAST:
        commits, = metrics(gateways["sqlite"], "snowgate_store_commits_total")
        pairs = fast_pairs(bench, gateways, session, most)
        commits = metrics(gateways["sqlite"], "snowgate_store_commits_total")[0] - commits
        ratios = {key: [pair["sqlite"][key] / pair["memory"][key] for pair in pairs] for key in ("cpu", "rate")}
        harness.row(name, str(len(pairs)), "%.3f" % statistics.median(ratios["cpu"]), "%.3f to %.3f" % interval(ratios["cpu"]),
                    "%.3f" % statistics.median(ratios["rate"]), "%.3f to %.3f" % interval(ratios["rate"]),
                    *("%.1f" % statistics.median(pair[kind]["cpu"] for pair in pairs) for kind in ("memory", "sqlite")),
                    "%.0f" % commits)


def measure(bench, quick):
    redis, leads = redis_start(bench)
    try:
        print("The disk: %.0f appends of 4 KiB in a second, each made durable\n" % disk(bench.home))
        gateways = {kind: gateway_start(bench, kind, kind, leads) for kind in KINDS}
        for gateway in gateways.values():
            bench.load_query(gateway, 16)
        compare(bench, gateways, [16] if quick else [1, 16, 64], 1 if quick else 3)
        print()
        show_fast(bench, gateways, 2 if quick else 40)
    finally:
        bench.stop()
        redis.stop()
