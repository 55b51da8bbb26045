"""nginx with TLS before a gateway that demands keys, as the README wants it to run: its log of requests, and the means to
break every connection at once."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile

import gateway

ASKING = {"name": "all", "statements": ["read", "metadata", "dml", "ddl"], "confirm": "ask"}


def children(pid):
    """nginx's workers."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="latin-1") as f:
                parent = int(f.read().rpartition(") ")[2].split()[1])
        except OSError:  # gone meanwhile
            continue
        if parent == pid:
            found.append(int(name))
    return found


class Front:
    """`gateway` has the key `ann` and listens behind `url`."""

    def __init__(self, emulator, conf=None):
        self.folder = tempfile.mkdtemp(prefix="snowgate-front-")
        self.port = gateway.free_port()
        self.url = f"https://localhost:{self.port}/mcp"
        self.certificate = os.path.join(self.folder, "cert.pem")
        self.gateway = gateway.Gateway(emulator, gateway.merge({
            "listen": {"public_url": self.url, "trusted_proxies": ["127.0.0.1"]},
            "mcp": {"stream_after": "200ms"}, "policies": [ASKING]}, conf or {}), ("ann",))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", os.path.join(self.folder, "key.pem"), "-out", self.certificate],
                       check=True, capture_output=True)
        values = {"folder": self.folder, "port": str(self.port), "upstream": str(self.gateway.port)}
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "front.conf"), encoding="utf-8") as f:
            text = re.sub(r"@(\w+)@", lambda match: values[match[1]], f.read())
        conf = os.path.join(self.folder, "nginx.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(text)
        self.process = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-p", self.folder, "-c", conf],
                                        stderr=subprocess.DEVNULL)
        gateway.wait_for(self.answers, 10, "nginx")

    @property
    def key(self):
        return self.gateway.keys["ann"]

    def answers(self):
        try:
            gateway.connect(self.port).close()
            return True
        except OSError:
            return False

    def requests(self):
        """Those that have been answered to their end, oldest first: {method, status, last, mcp}."""
        with open(os.path.join(self.folder, "access.log"), encoding="utf-8") as f:
            return [json.loads(line) for line in f]

    def cut(self):
        """Breaks every connection, of clients and to the gateway, as a proxy does that dies; a new worker takes over."""
        old = children(self.process.pid)
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        gateway.wait_for(lambda: set(children(self.process.pid)) - set(old), 10, "another worker")

    def streams(self, kind=None):
        """Open at the gateway, of one kind or of all."""
        kinds = [kind] if kind else ["call", "get", "listen", "other"]
        metrics = self.gateway.metrics()
        return sum(metrics[f'snowgate_streams{{kind="{name}"}}'] for name in kinds)

    def resumed(self):
        return self.gateway.metric('snowgate_stream_resumes_total{outcome="resumed"}')

    def cancels(self, cause):
        return self.gateway.metric(f'snowgate_cancels_total{{cause="{cause}"}}')

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.gateway.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
