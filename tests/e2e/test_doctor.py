#!/usr/bin/env python3
"""`snowgate doctor` on set-ups that are broken in one way each: it names the fault, says what to do, and exits with 1; it
tells no secret and starts no warehouse."""

import email.utils
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gateway
from gateway import TOKEN, Emulator, Gateway


def rows(names, data):
    """A ResultSet of texts (snowflake-rest.md A.4)."""
    return {"resultSetMetaData": {"numRows": len(data), "format": "jsonv2",
                                  "partitionInfo": [{"rowCount": len(data), "uncompressedSize": 100}],
                                  "rowType": [{"name": n, "type": "text", "nullable": True} for n in names]},
            "data": data, "code": "090001", "sqlState": "00000", "statementHandle": "01b0-0001", "message": "ok"}


class Account(ThreadingHTTPServer):
    """An account as only its administrator could set it up: what its grants and secondary roles say, and its clock."""

    def __init__(self, grants=(), secondary='{"roles":"","value":""}', skew=0):
        self.grants, self.secondary, self.skew, self.asked = grants, secondary, skew, []
        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def answer(self, sql):
        self.asked.append(sql)
        if "SECONDARY" in sql:
            return rows(["S"], [[self.secondary]])
        if sql.startswith("SHOW GRANTS"):
            return rows(["privilege", "granted_on", "name"], list(self.grants))
        if sql.startswith("SHOW"):
            return rows(["name"], [[sql.split("'")[1]]])
        return rows(["U", "R", "A", "V"], [["DEMO", "SYSADMIN", "ACME", "9.1.0"]])


class Handler(BaseHTTPRequestHandler):
    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(time.time() + self.server.skew, usegmt=True)

    def do_HEAD(self):
        self.send_response(403)
        self.end_headers()

    def do_POST(self):
        statement = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["statement"]
        body = json.dumps(self.server.answer(statement)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Doctor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.emulator = Emulator()

    @classmethod
    def tearDownClass(cls):
        cls.emulator.stop()

    def setUp(self):
        self.emulator.reset()
        self.emulator.clear()

    def doctor(self, connection=None, conf=None, upstream=None, prepare=None):
        base = Gateway(self.emulator, conf, start=False, upstream_port=upstream)
        self.addCleanup(base.stop)
        base.conf["snowflake"]["connections"]["demo"].update(connection or {})
        for key in [k for k, v in (connection or {}).items() if v is None]:
            del base.conf["snowflake"]["connections"]["demo"][key]
        if prepare:
            prepare(base)
        base.write()
        done = base.run("doctor", seconds=60)
        self.assertNotIn(TOKEN, done.stdout + done.stderr)
        return done

    def finds(self, done, step, *words):
        """A line FAIL of this step that holds the words, a remedy below it, and exit status 1."""
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        lines = done.stdout.splitlines()
        at = [i for i, line in enumerate(lines) if line.startswith("FAIL") and line[6:].startswith(step)]
        self.assertEqual(len(at), 1, done.stdout)
        self.assertTrue(lines[at[0] + 1].startswith("      -> "), done.stdout)
        for word in words:
            self.assertIn(word, "\n".join(lines[at[0]:at[0] + 2]))

    def test_sound_set_up_has_no_fault_and_starts_no_warehouse(self):
        done = self.doctor()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("0 faults", done.stdout)
        self.assertEqual({r["warehouse"] for r in self.emulator.records() if r.get("warehouse")}, set())

    # ---- ten and more broken ones ----

    def test_1_host_name_that_has_no_address(self):
        done = self.doctor({"host": "no-such-account.invalid", "protocol": None, "port": None})
        self.finds(done, "name", "no-such-account.invalid", "DNS")

    def test_2_port_that_nobody_listens_on(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.finds(self.doctor({"port": s.getsockname()[1]}), "connection", "firewall")

    def test_3_certificate_that_is_not_trusted(self):
        with tempfile.TemporaryDirectory() as folder:
            key, certificate = os.path.join(folder, "key.pem"), os.path.join(folder, "certificate.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                            "-days", "1", "-subj", "/CN=127.0.0.1"], check=True, capture_output=True)
            emulator = Emulator("--tls-cert", certificate, "--tls-key", key)
        self.addCleanup(emulator.stop)
        self.finds(self.doctor({"protocol": None, "port": emulator.port}), "TLS", "ca_file")

    def test_4_clock_that_is_wrong(self):
        for skew in (-3600, 600):
            account = Account(skew=skew)
            self.addCleanup(account.server_close)
            self.addCleanup(account.shutdown)
            self.finds(self.doctor(upstream=account.port), "clock", str(abs(skew))[:2], "set this machine's clock")

    def test_5_token_that_is_refused(self):
        self.finds(self.doctor({"token": "not-the-token-000000000000"}), "credentials", "394400", "token")

    def test_6_key_that_is_not_the_users(self):
        def with_key(base):
            path = os.path.join(base.folder, "key.p8")
            subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path],
                           check=True, capture_output=True)
            os.chmod(path, 0o600)
            demo = base.conf["snowflake"]["connections"]["demo"]
            demo.update({"authenticator": "snowflake_jwt", "private_key_file": path})
            del demo["token"]
        self.finds(self.doctor(prepare=with_key), "credentials", "390144", "RSA_PUBLIC_KEY_FP")

    def test_7_role_that_is_not_granted(self):
        self.finds(self.doctor({"role": "NO_SUCH_ROLE"}), "role", "NO_SUCH_ROLE", "GRANT ROLE")

    def test_8_warehouse_that_does_not_exist(self):
        self.finds(self.doctor({"warehouse": "NO_SUCH_WH"}), "WAREHOUSE", "NO_SUCH_WH", "GRANT USAGE ON WAREHOUSE")

    def test_9_database_that_does_not_exist(self):
        self.finds(self.doctor(conf={"policies": [{"databases": ["NO_SUCH_DB"]}]}), "DATABASE", "NO_SUCH_DB",
                   "GRANT USAGE ON DATABASE")

    def test_10_network_policy_that_keeps_this_machine_out(self):
        self.emulator.fault({"status": 403, "code": "390422", "message":
                             "Incoming request with IP/Token 203.0.113.7 is not allowed to access Snowflake."},
                            op="submit", times=-1)
        self.finds(self.doctor(), "credentials", "203.0.113.7", "network policy")

    def test_11_token_file_that_others_may_read(self):
        def with_file(base):
            path = base.secret_file("pat", TOKEN + "\n")
            os.chmod(path, 0o644)
            demo = base.conf["snowflake"]["connections"]["demo"]
            demo["token_file"] = path
            del demo["token"]
            self.path = path
        done = self.doctor(prepare=with_file)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"chmod 600 {self.path}", done.stderr)

    def test_12_authenticator_that_needs_a_person(self):
        done = self.doctor({"authenticator": "externalbrowser", "token": None})
        self.assertEqual(done.returncode, 1)
        for word in ("externalbrowser", "snowflake_jwt", "programmatic_access_token"):
            self.assertIn(word, done.stderr)

    def test_13_second_role_of_a_policy(self):
        done = self.doctor(conf={"policies": [{"roles": ["SYSADMIN", "NO_SUCH_ROLE"]}]})
        self.finds(done, "role", "NO_SUCH_ROLE", "GRANT ROLE")

    # ---- what is no fault but worth knowing ----

    def test_secondary_roles_and_writes_are_told_with_their_remedy(self):
        account = Account(grants=[["SELECT", "VIEW", "A.B.C"], ["INSERT", "TABLE", "A.B.T"]],
                          secondary='{"roles":"LOADER","value":"ALL"}')
        self.addCleanup(account.server_close)
        self.addCleanup(account.shutdown)
        done = self.doctor(upstream=account.port)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("DEFAULT_SECONDARY_ROLES = ()", done.stdout)
        self.assertIn("INSERT on TABLE A.B.T", done.stdout)
        self.assertNotIn("SELECT on VIEW", done.stdout)
        self.assertIn("setup.sql", done.stdout)

    def test_grants_of_granted_roles_count(self):
        account = Account(grants=[["USAGE", "ROLE", "LOADER"]])
        self.addCleanup(account.server_close)
        self.addCleanup(account.shutdown)
        self.doctor(upstream=account.port)
        self.assertIn('SHOW GRANTS TO ROLE "LOADER"', account.asked)


if __name__ == "__main__":
    gateway.main()
