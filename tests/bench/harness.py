"""What the parts of the bench share: the programs under measurement, and the load that is put on them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# Principals: each may make calls_per_minute calls, whose most, 16,667/s, is less than one ping after another makes.
KEYS = 16
TOKEN = "bench-token-0123456789"
# method, params, a part of the right answer
QUERY = ("tools/call", {"name": "execute_query", "arguments": {"query": "SELECT 1"}}, "1 row")
CONFIGURATION = """\
listen: {port: %(port)d}
admin: {port: %(admin)d}
log: {level: warn}
store: {kind: %(store)s, path: snowgate.db}
snowflake:
  max_in_flight: %(in_flight)d
  connection: bench
  connections:
    bench: {account: EMULATOR, user: BENCH, host: 127.0.0.1, port: %(upstream)d, protocol: http,
      authenticator: programmatic_access_token, token: %(token)s, warehouse: COMPUTE_WH, role: SYSADMIN,
      database: SNOWFLAKE_SAMPLE_DATA, schema: TPCH_SF1}
limits:
  default: {calls_per_minute: 1000000, burst: 100000, running: 1000, queued: 1000}
"""


def head(*names):
    """The head of a table of Markdown; all columns but the first are figures."""
    print("| " + " | ".join(names) + " |\n|---" + "|---:" * (len(names) - 1) + "|", flush=True)


def row(*cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_for(port, process):
    end = time.monotonic() + 10
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit("bench: %s does not listen" % process.args[0])


def write(path, text):
    with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as f:
        f.write(text)
    return path


class Gateway:
    """A gateway of its own folder; `settings` are what its configuration leaves open."""

    def __init__(self, bench, name, configuration, settings):
        self.configuration, self.log = configuration, os.path.join(bench.home, name + ".log")
        self.port, self.admin = free_ports(2)
        self.settings = {"upstream": bench.upstream, "in_flight": 1000, "store": "memory", **settings, "port": self.port,
                         "admin": self.admin, "token": TOKEN}
        folder = os.path.join(bench.home, name)
        os.mkdir(folder)
        self.path = write(os.path.join(folder, "snowgate.yaml"), configuration % self.settings)
        program = os.path.join(bench.build, "snowgate")
        self.keys = [subprocess.run([program, "key", "new", "bench-%d" % i, "-c", self.path], check=True, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.strip()
                     for i in range(KEYS)]
        self.process = bench.start([program, "-c", self.path], name + ".log")
        self.pid = self.process.pid
        wait_for(self.port, self.process)

    def change(self, **settings):
        """Has other settings taken over."""
        self.settings.update(settings)
        write(self.path, self.configuration % self.settings)
        self.process.send_signal(signal.SIGHUP)


class Bench:
    """`options` are those of the command line; `failed`: an answer was wrong."""

    def __init__(self, options, home):
        self.build, self.home = os.path.abspath(options.build), home
        self.options, self.seconds = options, options.seconds
        self.processes, self.failed = [], False
        self.loader = self.compile("load")

    def compile(self, name, *libraries):
        out = os.path.join(self.home, name)
        subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-o", out,
                        os.path.join(HERE, name + ".c"), *libraries], check=True)
        return out

    def start(self, command, log, stdin=None):
        with open(os.path.join(self.home, log), "w") as err:
            process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=err, text=True)
        self.processes.append(process)
        return process

    def stop(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []

    def start_emulator(self, log, *options, engine=False):
        kind = ("--scale", "0.001") if engine else ("--stub",)
        emulator = self.start([os.path.join(self.build, "snowgate-emulator"), *kind, "--port", "0",
                               "--pat", TOKEN + "=BENCH", *options], log)
        line = emulator.stdout.readline()
        if not line:
            sys.exit("bench: the emulator does not start; see src/emulator/fetch-duckdb.sh")
        return json.loads(line)["port"]

    def start_upstream(self):
        self.upstream = self.start_emulator("emulator.log")

    def start_gateway(self, name="gateway", configuration=CONFIGURATION, **settings):
        return Gateway(self, name, configuration, settings)

    def load_start(self, connections, port, path, body, headers, expect, pids, tokens=(), more=()):
        command = [self.loader, "--connections", str(connections), "--seconds", str(self.seconds), "--port", str(port),
                   "--path", path, "--body", body, "--expect", expect, *more]
        for header in headers:
            command += ["--header", header]
        for token in tokens:
            command += ["--token", token]
        for pid in pids:
            command += ["--pid", str(pid)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def load_end(self, run):
        """Of one run: calls per second, p50, p99 and CPU per call in microseconds, MiB, errors."""
        printed = run.communicate()[0]
        if not printed:
            sys.exit("bench: the load generator failed")
        calls, took, p50, p99, errors, cpu, kib = (float(word) for word in printed.split())
        self.failed |= run.returncode != 0
        return {"rate": calls / took, "p50": p50, "p99": p99, "cpu": cpu / max(calls, 1), "mib": kib / 1024,
                "errors": int(errors)}

    def gateway_start(self, gateway, connections, method, params, expect, more=()):
        message = {"jsonrpc": "2.0", "id": 1, "method": method}
        if params:
            message["params"] = params
        return self.load_start(connections, gateway.port, "/mcp", json.dumps(message), [], expect, [gateway.pid],
                               gateway.keys, more)

    def query_start(self, gateway, connections):
        """execute_query."""
        return self.gateway_start(gateway, connections, *QUERY)

    def load_query(self, gateway, connections):
        return self.load_end(self.query_start(gateway, connections))
