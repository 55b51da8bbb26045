"""What a large result costs: 1 000 000 rows, 100 MB of CSV and more, in partitions of 64 MB, downloaded and read by pages,
and short calls of other principals beside the download.

The upstream of the result is the emulator with its engine, asked once; that of the short calls is the one without, by the
same gateway. What is told:

download   MB/s of CSV, CPU time of the gateway for each MB, growth of its resident memory
pages      the same by get_result, 10 000 rows and 1 MiB in each answer; bytes that the upstream sent, over those that
           the whole result has (as the download got them)
beside     execute_query at 2 connections while downloads follow each other, against without: medians of pairs
turns      turns of a loop longer than 20 ms meanwhile"""

import http.client
import json
import os
import statistics
import threading
import time

import outage

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
ROWS, QUICK_ROWS = 1000000, 200000
CONNECTIONS = 2
SQL = ("SELECT N AS ID, REPEAT('x', 60) || MD5(N::VARCHAR) AS T "
       "FROM (SELECT SEQ4() AS N FROM TABLE(GENERATOR(ROWCOUNT => %d))) ORDER BY N")
CONFIGURATION = """\
listen: {port: %(port)d}
admin: {port: %(admin)d}
log: {level: warn}
results: {max_rows: 10000, max_bytes: 1MiB}
policies:
  - {name: large, match: {principal: bench-0}, statements: [read, metadata], connection: large}
  - {name: short, statements: [read, metadata], connection: bench}
snowflake:
  max_in_flight: 1000
  connection: bench
  connections:
    bench: {account: EMULATOR, user: BENCH, host: 127.0.0.1, port: %(upstream)d, protocol: http,
      authenticator: programmatic_access_token, token: %(token)s, warehouse: COMPUTE_WH, role: SYSADMIN,
      database: SNOWFLAKE_SAMPLE_DATA, schema: TPCH_SF1}
    large: {account: EMULATOR, user: BENCH, host: 127.0.0.1, port: %(engine)d, protocol: http,
      authenticator: programmatic_access_token, token: %(token)s, warehouse: COMPUTE_WH, role: SYSADMIN,
      database: SNOWFLAKE_SAMPLE_DATA, schema: TPCH_SF1}
limits:
  default: {calls_per_minute: 1000000, burst: 100000, running: 1000, queued: 1000}
"""


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid):
    with open("/proc/%d/statm" % pid) as f:
        return int(f.read().split()[1]) * PAGE


class Watch:
    """Most resident memory and the CPU time of a process while it works."""

    def __init__(self, pid):
        self.pid, self.over = pid, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.over.wait(0.005):
            self.most = max(self.most, resident(self.pid))

    def __enter__(self):
        self.before = self.most = resident(self.pid)
        self.cpu, self.time = cpu_seconds(self.pid), time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.cpu, self.time = cpu_seconds(self.pid) - self.cpu, time.monotonic() - self.time

    @property
    def grown(self):
        return (self.most - self.before) / (1 << 20)


class Results:
    def __init__(self, bench, rows):
        self.rows = rows
        self.engine = bench.start_emulator("results-emulator.log", "--control", "--partition-bytes", str(64 << 20),
                                           engine=True)
        self.gateway = bench.start_gateway("results", CONFIGURATION, engine=self.engine)
        self.key = self.gateway.keys.pop(0)

    def sent(self):
        """Bytes that the upstream has sent."""
        return sum(outage.control(self.engine, "GET", "stats")["bytes_sent"].values())

    def metric(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.admin, timeout=20)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def tool(self, connection, name, **arguments):
        connection.request("POST", "/mcp", json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
             "params": {"name": name, "arguments": {"format": "json", **arguments}}}), {
            "Authorization": "Bearer " + self.key, "Content-Type": "application/json", "Accept": "application/json",
            "MCP-Protocol-Version": "2025-11-25"})
        answer = json.loads(connection.getresponse().read())["result"]
        if answer.get("isError"):
            raise RuntimeError(answer["content"][0]["text"])
        return answer["structuredContent"]

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=600)

    def make(self):
        """The result, and a first short call so that all of the gateway is warm."""
        connection = self.connect()
        self.tool(connection, "execute_query", query="SELECT 1")
        made = self.tool(connection, "execute_query", query=SQL % self.rows, to="file", wait_seconds=600)
        self.handle = made["statementHandle"]
        connection.close()

    def download(self):
        """Bytes of the whole result as CSV."""
        connection, n, room = self.connect(), 0, bytearray(1 << 20)
        connection.request("GET", "/results/%s.csv" % self.handle, headers={"Authorization": "Bearer " + self.key})
        response = connection.getresponse()
        while got := response.readinto(room):
            n += got
        connection.close()
        return n

    def pages(self):
        """Rows, by pages to the end."""
        connection, offset, n = self.connect(), 0, 0
        while offset is not None:
            page = self.tool(connection, "get_result", statement_handle=self.handle, limit=10000, offset=offset)
            n += page["rowCount"]
            offset = page.get("nextOffset")
        connection.close()
        return n


def beside(bench, r):
    """One pair: short calls without and with downloads."""
    without = bench.load_query(r.gateway, CONNECTIONS)
    run = bench.query_start(r.gateway, CONNECTIONS)
    n = 0
    while run.poll() is None:
        r.download()
        n += 1
    return without, bench.load_end(run), n


def tell_read(what, megabytes, watch, more=""):
    print("%-58s %.1f MB/s, %.2f ms CPU/MB, resident memory +%.1f MiB%s"
          % (what, megabytes / watch.time, 1000 * watch.cpu / megabytes, watch.grown, more))


def measure(bench, quick):
    r = Results(bench, QUICK_ROWS if quick else ROWS)
    r.make()
    before = r.sent()
    with Watch(r.gateway.pid) as watch:
        n = r.download()
    whole = r.sent() - before
    print()
    tell_read("result of %d rows, download of %.0f MB" % (r.rows, n / 1e6), n / 1e6, watch)
    before = r.sent()
    with Watch(r.gateway.pid) as watch:
        rows = r.pages()
    bench.failed |= rows != r.rows
    tell_read("the same by pages", n / 1e6, watch, ", upstream sent %.2f of the result" % ((r.sent() - before) / whole))
    pairs = [beside(bench, r) for _ in range(1 if quick else 3)]
    for name, key, form in (("calls/s", "rate", "%.0f"), ("p50 us", "p50", "%.0f"), ("p99 us", "p99", "%.0f")):
        without, within = (statistics.median(pair[i][key] for pair in pairs) for i in (0, 1))
        print(("%-58s " + form + " beside downloads, " + form + " without (medians); %.2f times")
              % ("execute_query, %d connections, %s" % (CONNECTIONS, name), within, without, within / max(without, 1e-9)))
    print("%-58s %d" % ("turns over 20 ms", r.metric("snowgate_slow_turns_total")))
