"""Calls at several numbers of connections: the gateway beside a bare program and beside nginx.

gateway  API keys, limits and the SQL guard on, log level warn, submit async. ping and tools/list stay in the gateway;
         execute_query is SELECT 1, for which it submits (POST) and asks for the result (GET).
probe    libmicrohttpd and curl with nothing between them: the same two upstream requests for each call.
nginx    a reverse proxy with one worker and kept-alive upstream connections; one synchronous POST for each call.

The upstream of all three is snowgate-emulator --stub. CPU is utime + stime of the process measured, nginx's worker
included; resident memory is read while the connections are open."""

import json
import os
import shutil
import signal
import urllib.request

from harness import QUERY, TOKEN, free_ports, head, row, wait_for, write

SQL_API = ["Authorization: Bearer " + TOKEN, "X-Snowflake-Authorization-Token-Type: PROGRAMMATIC_ACCESS_TOKEN"]
STATEMENT = json.dumps({"statement": "SELECT 1", "timeout": 300, "warehouse": "COMPUTE_WH", "role": "SYSADMIN",
                        "database": "SNOWFLAKE_SAMPLE_DATA", "schema": "TPCH_SF1"})
ANSWER = '"data":[["1"]]'
# name, JSON-RPC method, params, a part of the right answer
CALLS = [
    ("`ping`", "ping", None, '"result":{}'),
    ("`tools/list`", "tools/list", None, '"name":"execute_query"'),
    ("`execute_query`, 2 upstream requests", *QUERY),
]
NGINX = """\
daemon off;
worker_processes 1;
pid %(home)s/nginx.pid;
error_log %(home)s/nginx.log error;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %(home)s/body;
	proxy_temp_path %(home)s/proxy;
	fastcgi_temp_path %(home)s/fastcgi;
	uwsgi_temp_path %(home)s/uwsgi;
	scgi_temp_path %(home)s/scgi;
	keepalive_requests 1000000000;
	upstream emulator {
		server 127.0.0.1:%(upstream)d;
		keepalive 64;
		keepalive_requests 1000000000;
	}
	server {
		listen 127.0.0.1:%(port)d;
		location / {
			proxy_pass http://emulator;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
		}
	}
}
"""


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(child) for child in f.read().split()]


def status_kib(pid, key):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith(key))


class Calls:
    def __init__(self, bench):
        self.bench = bench
        self.gateway = bench.start_gateway()
        self.start_probe()
        self.start_nginx()

    def start_probe(self):
        program = self.bench.compile("probe", "-lmicrohttpd", "-lcurl", "-lpthread")
        self.probe = self.bench.start([program, "http://127.0.0.1:%d" % self.bench.upstream, *SQL_API], "probe.log")
        self.probe_port = json.loads(self.probe.stdout.readline())["port"]

    def start_nginx(self):
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        home, self.nginx = self.bench.home, None
        if not program:
            return
        self.nginx_port, = free_ports(1)
        path = write(os.path.join(home, "nginx.conf"), NGINX % {
            "home": home, "port": self.nginx_port, "upstream": self.bench.upstream})
        # Its worker, which may run as another user, keeps temporary files in the directory.
        os.chmod(home, 0o711)
        self.nginx = self.bench.start([program, "-c", path, "-e", os.path.join(home, "nginx.log")], "nginx.out")
        wait_for(self.nginx_port, self.nginx)

    def load_gateway(self, connections, method, params, expect):
        return self.bench.load_end(self.bench.gateway_start(self.gateway, connections, method, params, expect))

    def load_probe(self, connections):
        return self.bench.load_end(self.bench.load_start(connections, self.probe_port, "/", STATEMENT, [], ANSWER,
                                                         [self.probe.pid]))

    def load_nginx(self, connections):
        return self.bench.load_end(self.bench.load_start(
            connections, self.nginx_port, "/api/v2/statements", STATEMENT, SQL_API, ANSWER,
            [self.nginx.pid, *children(self.nginx.pid)]))

    def upstream_requests(self):
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % self.gateway.admin) as answer:
            lines = answer.read().decode().splitlines()
        return [sum(float(line.split()[-1]) for line in lines if line.startswith(name))
                for name in ("snowgate_upstream_requests_total", 'snowgate_calls_total{outcome="ok"}')]


def show(name, connections, m):
    row(name, str(connections), *("%.0f" % m[key] for key in ("rate", "p50", "p99")), "%.1f" % m["cpu"],
        "%.1f" % m["mib"], str(m["errors"]))


def compare(calls, counts):
    """CPU per call of the gateway's execute_query, the probe and nginx, by connections."""
    ratios = {}
    head("", "connections", "calls/s", "p50 us", "p99 us", "CPU us/call", "memory MiB", "errors")
    for n in counts:
        for name, method, params, expect in CALLS:
            query = calls.load_gateway(n, method, params, expect)
            show(name, n, query)
        probe = calls.load_probe(n)
        show("bare program, 2 upstream requests", n, probe)
        proxy = calls.load_nginx(n) if calls.nginx else None
        if proxy:
            show("nginx, 1 upstream request", n, proxy)
        ratios[n] = (query["cpu"], probe["cpu"], proxy["cpu"] if proxy else None)
    return ratios


def tell(calls, ratios):
    print()
    for n, (query, probe, proxy) in ratios.items():
        beside = ", %.2f x nginx" % (query / proxy) if proxy else ""
        print("* `execute_query`, %d connections: CPU per call %.2f x the bare program%s" % (n, query / probe, beside))
    if not calls.nginx:
        print("* nginx is not installed: not measured")
    print("* gateway, most resident memory: %.1f MiB" % (status_kib(calls.gateway.pid, "VmHWM") / 1024))
    before = calls.upstream_requests()
    calls.load_gateway(4, *QUERY)
    requests, done = (after - then for after, then in zip(calls.upstream_requests(), before))
    calls.probe.send_signal(signal.SIGTERM)
    counts = json.loads(calls.probe.stdout.readline())
    print("* upstream requests per call: gateway %.2f, bare program %.2f" % (
        requests / done, (counts["posts"] + counts["gets"]) / counts["calls"]), flush=True)


def measure(bench, quick):
    calls = Calls(bench)
    tell(calls, compare(calls, [int(n) for n in bench.options.connections.split(",")]))
