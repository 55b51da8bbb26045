"""The end-to-end tests once more, with nginx between the gateway and the emulator: TLS and HTTP/2, and a metric that proves
it. The cases are those of the other files, run against the fronted emulator."""

import os
import shutil
import socket
import subprocess
import tempfile
import unittest

import gateway

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_max_body_size 64m; client_body_buffer_size 16m; proxy_buffers 64 64k;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream emulator {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    http2_max_concurrent_streams 256; keepalive_requests 100000;
    location / {{
      proxy_pass http://emulator; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_read_timeout 120s; proxy_next_upstream off;
    }}
  }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Front:
    """nginx with a certificate of its own before one emulator."""

    def __init__(self, upstream):
        self.folder = tempfile.mkdtemp(prefix="snowgate-front-")
        self.port = free_port()
        self.certificate = os.path.join(self.folder, "cert.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", os.path.join(self.folder, "key.pem"), "-out", self.certificate],
                       check=True, capture_output=True)
        conf = os.path.join(self.folder, "nginx.conf")
        with open(conf, "w") as f:
            f.write(NGINX.format(folder=self.folder, port=self.port, upstream=upstream))
        self.process = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-p", self.folder, "-c", conf],
                                        stderr=subprocess.DEVNULL)
        gateway.wait_for(self.answers, 10, "nginx")

    def answers(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


class FrontedEmulator(gateway.Emulator):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.front = Front(self.port)

    def stop(self):
        self.front.stop()
        return super().stop()


plain_init = gateway.Gateway.__init__


def fronted_init(self, emulator, conf=None, *rest, **how):
    upstream = {}
    if isinstance(emulator, FrontedEmulator):
        upstream = {"snowflake": {"connections": {"demo": {"host": "localhost", "port": emulator.front.port,
                                                           "protocol": "https",
                                                           "ca_file": emulator.front.certificate}}}}
    plain_init(self, emulator, gateway.merge(upstream, conf or {}), *rest, **how)


gateway.Emulator = FrontedEmulator
gateway.Gateway.__init__ = fronted_init

from test_session import *  # noqa: E402,F401,F403
from test_bad_input import *  # noqa: E402,F401,F403
from test_cancel import *  # noqa: E402,F401,F403
from test_isolation import *  # noqa: E402,F401,F403
from test_stop import *  # noqa: E402,F401,F403
from test_results import Flat, Results  # noqa: E402,F401

del Upstream.test_resets  # noqa: F405 (a connection that the emulator resets is a 502 of nginx here)


class Http2(unittest.TestCase):
    def setUp(self):
        self.emulator = FrontedEmulator()
        self.addCleanup(self.emulator.stop)
        self.gateway = gateway.Gateway(self.emulator)
        self.addCleanup(self.gateway.stop)

    def test_the_protocol_is_http2_and_one_connection_carries_many(self):
        client = gateway.Client(self.gateway, modern=True)
        for i in range(20):
            self.assertEqual(client.query(f"SELECT {i} AS N").rows, [[i]])
        self.assertGreaterEqual(self.gateway.metric('snowgate_upstream_protocol_total{version="2"}'), 40)
        self.assertEqual(self.gateway.metric('snowgate_upstream_protocol_total{version="1.1"}'), 0)
        self.assertLessEqual(self.gateway.metric("snowgate_upstream_connections_total"), 2)

    def test_a_certificate_that_is_not_trusted_is_refused(self):
        other = gateway.Gateway(self.emulator, {"snowflake": {"connections": {"demo": {"ca_file": None}}}}, start=False)
        self.addCleanup(other.stop)
        del other.conf["snowflake"]["connections"]["demo"]["ca_file"]
        other.write()
        other.start()
        answer = gateway.Client(other, modern=True).query("SELECT 1")
        self.assertTrue(answer.is_error)
        self.assertIn("certificate", answer.text)


if __name__ == "__main__":
    gateway.main()
