#!/usr/bin/env python3
"""As whom the gateway comes to Snowflake, and on which way: every authenticator against the emulator, a Snowflake user
for each principal, keys and tokens that change under way, proxies, certificates, and secrets that appear nowhere."""

import base64
import http.client
import http.server
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time

import gateway
from gateway import Case, Emulator, Gateway, wait_for

WHO = "SELECT CURRENT_USER(), CURRENT_ROLE()"
ISSUER, AUDIENCE = "https://snowgate.example", "https://emulator.example"
OIDC = "https://kubernetes.example"
SPCS_FOLDER = "/snowflake/session"


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def text_of(path):
    with open(path) as f:
        return f.read().strip()


class Key:
    """An RSA key in files of a folder."""

    def __init__(self, folder, name):
        self.file, self.public = os.path.join(folder, name + ".p8"), os.path.join(folder, name + ".pub")
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.file)
        os.chmod(self.file, 0o600)
        openssl("pkey", "-in", self.file, "-pubout", "-out", self.public)
        self.pem = text_of(self.public) + "\n"

    def token(self, **claims):
        text = ".".join(base64url(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
        return text + "." + base64url(openssl("dgst", "-sha256", "-sign", self.file, data=text.encode()))


class Identity(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="snowgate-identity-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.one, cls.two = Key(cls.folder, "one"), Key(cls.folder, "two")
        cls.service_token = os.path.join(cls.folder, "service-token")
        cls.write("service-token", "service-token-1")
        cls.emulator = Emulator("--external-oauth", f"{ISSUER},{AUDIENCE}={cls.one.public}",
                                "--workload-issuer", f"{OIDC}={cls.one.public}",
                                "--workload-user", f"WORKER={OIDC},system:serviceaccount:a:b",
                                "--public-key", f"SIGNER={cls.one.public}", "--public-key", f"SIGNER={cls.two.public}",
                                "--service-token", f"{cls.service_token}=CONTAINER")
        cls.addClassCleanup(cls.emulator.stop)
        cls.control("users", {"name": "ALICE", "login": "alice@example.com", "roles": "SYSADMIN,ANALYST"})
        cls.control("users", {"name": "BOB", "roles": "ANALYST"})

    @classmethod
    def control(cls, path, body):
        cls.emulator.control("POST", path, body)

    @classmethod
    def write(cls, name, text):
        """A file of a secret, replaced as a whole."""
        path = os.path.join(cls.folder, name)
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(text)
        os.rename(path + ".new", path)
        return path

    def connection(self, **fields):
        return {"account": "EMULATOR", "host": "127.0.0.1", "port": self.emulator.port, "protocol": "http",
                "warehouse": "COMPUTE_WH", "role": "SYSADMIN", "database": "DEMO", "schema": "PUBLIC", **fields}

    def gate(self, keys=(), policies=None, **fields):
        """A gateway over a connection with these fields, and the secrets that it must not show."""
        conf = {"snowflake": {"connection": "c", "connections": {"c": self.connection(**fields)}},
                "policies": policies or [self.everything]}
        g = Gateway(self.emulator, conf, keys)
        self.addCleanup(g.stop)
        return g

    def ops(self, name):
        return self.emulator.stats()["ops"].get(name, 0)

    def ask(self, g, sql=WHO, key=None, **arguments):
        return self.client(key, of=g).query(sql, **arguments)

    def assert_hidden(self, g, *secrets):
        """In no log line, metric or printed configuration."""
        shown = g.run("config")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        text = "\n".join([g.process.text(), shown.stdout, shown.stderr, json.dumps(g.metrics())])
        for secret in secrets:
            self.assertNotIn(secret, text)


class Users(Identity):
    def per_user(self, **more):
        return {"authenticator": "external_oauth", "issuer": ISSUER, "audience": AUDIENCE,
                "private_key_file": self.one.file, "users": {"alice": "alice@example.com", "bob": "BOB"}, **more}

    def people(self, **more):
        both = ["read", "metadata"]
        return self.gate(("alice", "bob", "carol"), [
            {"name": "bob", "match": {"principal": "bob"}, "connection": "c", "roles": ["ANALYST", "LOADER"],
             "statements": both},
            {"name": "rest", "connection": "c", "roles": ["SYSADMIN", "ANALYST"], "statements": both}],
            **self.per_user(**more))

    def test_two_users_are_two_users(self):
        g = self.people()
        self.assertEqual(self.ask(g, key="alice").rows, [["ALICE", "SYSADMIN"]])
        self.assertEqual(self.ask(g, key="bob").rows, [["BOB", "ANALYST"]])
        self.assertEqual(self.ask(g, key="alice", role="ANALYST").rows, [["ALICE", "ANALYST"]])
        name = self.name()
        self.ask(g, f"SELECT '{name}'", key="bob")
        record = self.emulator.record(name)
        self.assertEqual((record["user"], record["role"]), ("BOB", "ANALYST"))
        self.assert_hidden(g, "BEGIN PRIVATE KEY", "eyJ")

    def test_a_role_outside_of_the_policy_is_refused_before_it_is_tried(self):
        g = self.people()
        before = self.emulator.stats()["requests"]
        answer = self.ask(g, key="bob", role="SYSADMIN")
        self.assertTrue(answer.is_error)
        self.assertIn("role SYSADMIN is not allowed here; allowed: ANALYST, LOADER", answer.text)
        self.assertEqual(self.emulator.stats()["requests"], before)

    def test_a_role_that_snowflake_did_not_grant_is_refused_there(self):
        g = self.people()
        answer = self.ask(g, key="bob", role="LOADER")
        self.assertTrue(answer.is_error)
        self.assertIn("LOADER", answer.text)
        # and that is nobody else's matter
        self.assertEqual(self.ask(g, key="bob").rows, [["BOB", "ANALYST"]])
        self.assertEqual(self.ask(g, key="alice").rows, [["ALICE", "SYSADMIN"]])

    def test_who_has_no_snowflake_user_is_told_so(self):
        g = self.people()
        before = self.emulator.stats()["submitted"]
        answer = self.ask(g, key="carol")
        self.assertTrue(answer.is_error)
        self.assertIn("carol has no Snowflake user there; name one under users", answer.text)
        self.assertEqual(self.emulator.stats()["submitted"], before)

    def test_the_template_names_everybody_else(self):
        self.control("users", {"name": "CAROL", "login": "carol@example.com", "roles": "SYSADMIN"})
        g = self.people(user="{subject}@example.com")
        self.assertEqual(self.ask(g, key="carol").rows, [["CAROL", "SYSADMIN"]])

    def test_a_handle_is_its_users_alone(self):
        g = self.people()
        name = self.name()
        handle = self.ask(g, f"SELECT '{name}'", key="alice").structured["statementHandle"]
        self.assertTrue(self.client("bob", of=g).tool("get_result", statement_handle=handle).is_error)
        self.assertFalse(self.client("alice", of=g).tool("get_result", statement_handle=handle).is_error)

    def test_the_integrations_second_key(self):
        """The gateway signs with a key that the integration does not know any more, then with its second."""
        g = self.people(private_key_file=self.two.file, private_key_file_2=self.one.file)
        self.assertEqual(self.ask(g, key="alice").rows, [["ALICE", "SYSADMIN"]])
        self.assertEqual(self.ask(g, key="bob").rows, [["BOB", "ANALYST"]])

    def test_an_issuer_that_nobody_knows(self):
        g = self.people(issuer="https://other.example")
        answer = self.ask(g, key="alice")
        self.assertTrue(answer.is_error)
        self.assertIn("deploy/snowflake/external-oauth.sql", answer.text)


class KeyPairs(Identity):
    def keys(self, *pems):
        for slot, pem in enumerate(pems, 1):
            self.control("keys", {"user": "SIGNER", "slot": slot, **({"public_key": pem} if pem else {})})

    def setUp(self):
        super().setUp()
        self.keys(self.one.pem, self.two.pem)

    def signer(self, **more):
        return self.gate(user="SIGNER", authenticator="SNOWFLAKE_JWT", private_key_file=self.one.file, **more)

    def test_rotation(self):
        g = self.signer(private_key_file_2=self.two.file)
        self.assertEqual(self.ask(g).rows, [["SIGNER", "SYSADMIN"]])
        self.keys(None, self.two.pem)
        for _ in range(3):
            self.assertEqual(self.ask(g).rows, [["SIGNER", "SYSADMIN"]])
        self.keys(self.one.pem, None)
        self.assertEqual(self.ask(g).rows, [["SIGNER", "SYSADMIN"]])
        self.keys(None, None)
        answer = self.ask(g)
        self.assertTrue(answer.is_error)
        self.assertIn("RSA_PUBLIC_KEY_FP", answer.text)
        self.assert_hidden(g, "BEGIN PRIVATE KEY", "eyJ")

    def test_a_key_file_that_is_replaced(self):
        path = self.write("changing.p8", text_of(self.one.file) + "\n")
        g = self.gate(user="SIGNER", authenticator="SNOWFLAKE_JWT", private_key_file=path)
        self.assertEqual(self.ask(g).rows, [["SIGNER", "SYSADMIN"]])
        self.write("changing.p8", text_of(self.two.file) + "\n")
        self.keys(None, self.two.pem)
        self.assertEqual(self.ask(g).rows, [["SIGNER", "SYSADMIN"]])

    def test_a_token_that_ends_under_way(self):
        """Refused with the submission, a poll, a fetch: once more with another, executed once."""
        g = self.signer()
        self.ask(g)
        for op in ("submit", "poll", "fetch"):
            name = self.name()
            before = self.emulator.stats()["executions"]
            time.sleep(1.1)  # a JWT of the same second would be the same
            self.emulator.fault({"token_expired": True}, op=op, sql=name)
            answer = self.ask(g, f"SELECT '{name}', SEQ8() FROM TABLE(GENERATOR(ROWCOUNT => 10))")
            self.assertFalse(answer.is_error, answer)
            self.assertEqual(self.emulator.stats()["executions"], before + 1)


class Tokens(Identity):
    def client_credentials(self, secret="client-secret-0123456789", **more):
        return {"authenticator": "oauth_client_credentials", "oauth_client_id": "gateway",
                "oauth_client_secret": secret, **more}

    def set_client(self, **more):
        self.control("oauth-clients", {"client_id": "gateway", "client_secret": "client-secret-0123456789",
                                       "user": "MACHINE", **more})

    def test_client_credentials(self):
        self.set_client()
        g = self.gate(**self.client_credentials())
        before = self.ops("oauth")
        for _ in range(3):
            self.assertEqual(self.ask(g).rows, [["MACHINE", "SYSADMIN"]])
        self.assertEqual(self.ops("oauth"), before + 1)
        # a token is for one role
        self.assertGreater(g.metric('snowgate_upstream_requests_total{op="token"}'), 0)
        self.assert_hidden(g, "client-secret")

    def test_a_wrong_client_secret_is_told_and_not_repeated(self):
        self.set_client()
        g = self.gate(**self.client_credentials(secret="wrong-secret-0123456789"))
        before = self.ops("oauth")
        for _ in range(10):
            answer = self.ask(g)
            self.assertTrue(answer.is_error)
            self.assertIn("invalid_client", answer.text)
            self.assertIn("snowflake.connections.c", answer.text)
            self.assertNotIn("wrong-secret", answer.text)
        self.assertLessEqual(self.ops("oauth") - before, 3)
        self.assert_hidden(g, "wrong-secret")

    def test_an_endpoint_that_fails_for_a_moment(self):
        self.set_client()
        g = self.gate(**self.client_credentials())
        self.emulator.fault({"status": 503}, op="oauth", times=2)
        started = time.monotonic()
        self.assertEqual(self.ask(g).rows, [["MACHINE", "SYSADMIN"]])
        self.assertLess(time.monotonic() - started, 10)

    def test_an_endpoint_that_is_down_is_no_refusal(self):
        self.set_client()
        g = self.gate(**self.client_credentials())
        g.reload(snowflake={"retries": 1})
        self.emulator.fault({"status": 503}, op="oauth", times=6)
        answer = self.ask(g)
        self.assertTrue(answer.is_error)
        self.assertIn("has a problem of its own (HTTP 503)", answer.text)
        self.assertNotIn("check snowflake.connections", answer.text)

    def test_an_endpoint_that_goes_down_while_a_statement_runs(self):
        """The token ends meanwhile; the statement is polled to its end, and was executed once."""
        self.set_client(expires_in=3)
        g = self.gate(**self.client_credentials())
        self.ask(g)
        time.sleep(1)
        name = self.name()
        self.emulator.fault({"hold_ms": 4000}, op="submit", sql=name)
        self.emulator.fault({"status": 503}, op="oauth", times=4)
        before = self.emulator.stats()["executions"]
        self.assertEqual(self.ask(g, f"SELECT '{name}'", wait_seconds=30).rows, [[name]])
        self.assertEqual(self.emulator.stats()["executions"], before + 1)

    def test_an_endpoint_that_hangs_is_not_waited_for_longer_than_the_caller_waits(self):
        self.set_client()
        g = self.gate(**self.client_credentials())
        self.emulator.fault({"hang": True}, op="oauth", times=4)
        started = time.monotonic()
        answer = self.ask(g, wait_seconds=2)
        self.assertLess(time.monotonic() - started, 15)
        self.assertTrue(answer.is_error)
        self.assertIn("has not answered within the time of this call", answer.text)

    def test_a_stop_keeps_a_refresh_token_that_rotates(self):
        first = "refresh-token-of-a-stop-0123"
        self.set_client(refresh_token=first, rotate=True)
        path = self.write("stop-token", first + "\n")
        g = self.gate(authenticator="oauth_refresh_token", oauth_client_id="gateway",
                      oauth_client_secret="client-secret-0123456789", oauth_refresh_token_file=path)
        g.conf["listen"]["drain"] = "1s"
        g.reload()
        self.emulator.fault({"delay_ms": 2500}, op="oauth")
        before = self.ops("oauth")
        pending = self.client(of=g).start("execute_query", query=WHO, format="json")
        wait_for(lambda: self.ops("oauth") > before, 5, "the request for a token")
        self.assertEqual(g.end(), 0)
        self.assertIn(b"50302", pending.answer().body)
        self.assertNotEqual(text_of(path), first)

    def test_many_wait_for_one_fetch(self):
        self.set_client()
        g = self.gate(**self.client_credentials())
        self.emulator.fault({"delay_ms": 700}, op="oauth")
        before = self.ops("oauth")
        pending = [self.client(of=g).start("execute_query", query=WHO, format="json") for _ in range(20)]
        for p in pending:
            self.assertEqual(p.answer().rows, [["MACHINE", "SYSADMIN"]])
        self.assertEqual(self.ops("oauth"), before + 1)

    def test_who_leaves_while_a_token_is_fetched(self):
        self.set_client()
        g = self.gate(**self.client_credentials())
        self.emulator.fault({"delay_ms": 1000}, op="oauth")
        name = self.name()
        pending = self.client(of=g, modern=True).start("execute_query", query=f"SELECT '{name}'")
        time.sleep(0.3)
        pending.leave()
        self.assertEqual(self.ask(g).rows, [["MACHINE", "SYSADMIN"]])
        self.assertEqual(self.emulator.records(name), [])

    def test_a_reload_while_a_token_is_fetched(self):
        self.set_client()
        g = self.gate(**self.client_credentials())
        self.emulator.fault({"delay_ms": 1000}, op="oauth")
        pending = self.client(of=g).start("execute_query", query=WHO, format="json")
        time.sleep(0.3)
        g.reload(snowflake={"connections": {"c": {"oauth_scope": "session:role:ANALYST", "role": "ANALYST"}}})
        self.assertEqual(pending.answer().rows, [["MACHINE", "SYSADMIN"]])
        self.assertEqual(self.ask(g).rows, [["MACHINE", "ANALYST"]])

    def test_a_stop_while_a_token_is_fetched(self):
        self.set_client()
        g = self.gate(**self.client_credentials())
        self.emulator.fault({"hang": True}, op="oauth")
        before = self.ops("oauth")
        pending = self.client(of=g).start("execute_query", query=WHO, format="json")
        wait_for(lambda: self.ops("oauth") > before, 5, "the request for a token")
        g.conf["listen"]["drain"] = "1s"
        g.reload()
        self.assertEqual(g.end(), 0)
        self.assertIn(b"50302", pending.answer().body)

    def test_short_lives_and_expiry_under_way(self):
        self.set_client(expires_in=2)
        g = self.gate(**self.client_credentials())
        end = time.monotonic() + 5
        while time.monotonic() < end:
            self.assertEqual(self.ask(g).rows, [["MACHINE", "SYSADMIN"]])
            time.sleep(0.1)
        self.set_client()
        name = self.name()
        self.emulator.fault({"token_expired": True}, op="submit", sql=name)
        before = self.emulator.stats()["executions"]
        self.assertEqual(self.ask(g, f"SELECT '{name}'").rows, [[name]])
        self.assertEqual(self.emulator.stats()["executions"], before + 1)

    def test_a_refresh_token_that_rotates(self):
        first = "refresh-token-0123456789"
        self.set_client(refresh_token=first, expires_in=2, rotate=True)
        path = self.write("refresh-token", first + "\n")
        fields = {"authenticator": "oauth_refresh_token", "oauth_client_id": "gateway",
                  "oauth_client_secret": "client-secret-0123456789", "oauth_refresh_token_file": path}
        g = self.gate(**fields)
        self.assertEqual(self.ask(g).rows, [["MACHINE", "SYSADMIN"]])
        second = wait_for(lambda: (text := text_of(path)) != first and text, 5, "the new refresh token")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        time.sleep(2.5)
        self.assertEqual(self.ask(g).rows, [["MACHINE", "SYSADMIN"]])
        self.assertNotEqual(text_of(path), second)
        self.assert_hidden(g, first, second)
        g.end()
        self.assertEqual(self.ask(self.gate(**fields)).rows, [["MACHINE", "SYSADMIN"]])

    def test_workload_identity(self):
        claims = {"iss": OIDC, "aud": ["snowflakecomputing.com"], "sub": "system:serviceaccount:a:b"}
        now = int(time.time())
        path = self.write("oidc", self.one.token(**claims, iat=now, exp=now + 600))
        g = self.gate(authenticator="workload_identity", workload_identity_provider="OIDC", token_file=path)
        self.assertEqual(self.ask(g).rows, [["WORKER", "SYSADMIN"]])
        # refused: nothing helps before the platform writes a new one
        name = self.name()
        self.emulator.fault({"token_expired": True}, op="submit", sql=name)
        self.assertIn("token_file (expired?)", self.ask(g, f"SELECT '{name}'").text)
        self.write("oidc", self.one.token(**claims, iat=now, exp=now + 900))
        self.assertEqual(self.ask(g).rows, [["WORKER", "SYSADMIN"]])
        # which it then no longer does; the file is looked at once a second
        self.write("oidc", self.one.token(**claims, iat=now - 7200, exp=now - 3600))
        time.sleep(1.1)
        answer = self.ask(g)
        self.assertTrue(answer.is_error)
        self.assertIn(path + " has expired at", answer.text)
        self.assert_hidden(g, "eyJ")

    def test_container_services(self):
        self.write("service-token", "service-token-1")
        g = self.gate(authenticator="oauth", token_file=self.service_token)
        self.assertEqual(self.ask(g).rows, [["CONTAINER", "SYSADMIN"]])
        self.write("service-token", "service-token-2")
        self.assertEqual(self.ask(g).rows, [["CONTAINER", "SYSADMIN"]])
        self.assert_hidden(g, "service-token-1", "service-token-2")
        # emptied by mistake: the last one is used on
        path = self.write("own-token", "service-token-2")
        g = self.gate(authenticator="oauth", token_file=path)
        self.assertEqual(self.ask(g).rows, [["CONTAINER", "SYSADMIN"]])
        self.write("own-token", "")
        time.sleep(1.1)
        self.assertEqual(self.ask(g).rows, [["CONTAINER", "SYSADMIN"]])

    def test_container_services_without_a_configuration(self):
        if os.path.exists("/snowflake") or os.geteuid() != 0:
            self.skipTest(f"{SPCS_FOLDER} cannot be made here")
        os.makedirs(SPCS_FOLDER)
        self.addCleanup(shutil.rmtree, "/snowflake", ignore_errors=True)
        shutil.copy(self.service_token, SPCS_FOLDER + "/token")
        conf = {"listen": {"port": 0}, "admin": {"port": 0}, "auth": {"mode": "none"},
                "store": {"kind": "memory"}}
        path = self.write("spcs.yaml", json.dumps(conf))
        variables = {"SNOWFLAKE_ACCOUNT": "xy12345", "SNOWFLAKE_HOST": "127.0.0.1", "SNOWFLAKE_PROTOCOL": "http",
                     "SNOWFLAKE_PORT": str(self.emulator.port), "SNOWFLAKE_ROLE": "SYSADMIN", "HOME": self.folder}
        process = gateway.Process([gateway.program("snowgate"), "-c", path], "stderr",
                                  env={"PATH": os.environ["PATH"], **variables}, cwd=self.folder)
        self.addCleanup(process.end)
        process.port, process.keys = process.listening()["port"], {}
        self.assertEqual(self.ask(process).rows, [["CONTAINER", "SYSADMIN"]])


class Proxy(http.server.ThreadingHTTPServer):
    """An HTTP proxy for plain requests, with a password; it keeps what passed."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Relay)
        self.seen, self.credentials = [], "Basic " + base64.b64encode(b"proxy-user:proxy-password-0123").decode()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self):
        self.shutdown()
        self.server_close()


class Relay(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def relay(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        allowed = self.headers["Proxy-Authorization"] == self.server.credentials
        self.server.seen.append((self.path, allowed))
        host, path = self.path.removeprefix("http://").split("/", 1)
        if not allowed:
            self.send_response(407)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        upstream = http.client.HTTPConnection(host, timeout=20)
        dropped = ("proxy-authorization", "proxy-connection", "accept-encoding")
        upstream.request(self.command, "/" + path, body or None,
                         {k: v for k, v in self.headers.items() if k.lower() not in dropped})
        response = upstream.getresponse()
        text = response.read()
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        upstream.close()

    do_GET = do_POST = relay

    def log_message(self, *_):
        pass


class Ways(Identity):
    token = {"authenticator": "programmatic_access_token", "token": gateway.TOKEN}

    def test_a_proxy(self):
        proxy = Proxy()
        self.addCleanup(proxy.end)
        fields = {**self.token, "proxy_host": "127.0.0.1", "proxy_port": proxy.server_port}
        g = self.gate(**fields, proxy_user="proxy-user", proxy_password="proxy-password-0123")
        self.assertEqual(self.ask(g).rows, [["DEMO", "SYSADMIN"]])
        self.assertTrue(proxy.seen and all(allowed for _, allowed in proxy.seen), proxy.seen)
        self.assertTrue(all(f"http://127.0.0.1:{self.emulator.port}/" in path for path, _ in proxy.seen))
        self.assert_hidden(g, "proxy-password-0123")
        seen = len(proxy.seen)
        g = self.gate(**fields, no_proxy="localhost,127.0.0.1")
        self.assertEqual(self.ask(g).rows, [["DEMO", "SYSADMIN"]])
        self.assertEqual(len(proxy.seen), seen)
        answer = self.ask(self.gate(**fields, proxy_user="proxy-user", proxy_password="wrong-password-0123"))
        self.assertTrue(answer.is_error)
        self.assertNotIn("wrong-password", answer.text)

    def test_certificates(self):
        """Of an authority that only ca_file knows; another name, and no ca_file, are refused with what to look at."""
        key, certificate = (os.path.join(self.folder, name) for name in ("tls.key", "tls.pem"))
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
                "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
        emulator = Emulator("--tls-cert", certificate, "--tls-key", key)
        self.addCleanup(emulator.stop)
        fields = {**self.token, "host": "localhost", "port": emulator.port, "protocol": "https"}
        self.assertEqual(self.ask(self.gate(**fields, ca_file=certificate)).rows, [["DEMO", "SYSADMIN"]])
        for wrong in (fields, {**fields, "ca_file": certificate, "host": "127.0.0.1"}):
            answer = self.ask(self.gate(**wrong))
            self.assertTrue(answer.is_error)
            self.assertIn("is not trusted", answer.text)
            self.assertIn("ca_file", answer.text)

    def test_two_accounts_at_once(self):
        other = Emulator("--pat", "pat-of-other-0123456789=OTHER")
        self.addCleanup(other.stop)
        conf = {"snowflake": {"connection": "one", "connections": {
            "one": self.connection(**self.token),
            "two": self.connection(authenticator="programmatic_access_token", token="pat-of-other-0123456789",
                                   port=other.port)}},
                "policies": [{"match": {"principal": "bob"}, "connection": "two"}, {"connection": "one"}]}
        g = Gateway(self.emulator, conf, ("alice", "bob"))
        self.addCleanup(g.stop)
        for _ in range(3):
            self.assertEqual(self.ask(g, key="alice").rows, [["DEMO", "SYSADMIN"]])
            self.assertEqual(self.ask(g, key="bob").rows, [["OTHER", "SYSADMIN"]])


class Refusals(Identity):
    """What cannot work is refused at the start, with what would."""

    def checked(self, **fields):
        g = Gateway(self.emulator, {"snowflake": {"connection": "c", "connections": {"c": self.connection(**fields)}}},
                    start=False)
        self.addCleanup(g.stop)
        shown = g.run("check")
        self.assertNotEqual(shown.returncode, 0)
        return shown.stdout + shown.stderr

    def test_a_person(self):
        for name in ("externalbrowser", "username_password_mfa", "oauth_authorization_code", "https://x.okta.com"):
            text = self.checked(authenticator=name, user="u", password="password-0123456789")
            self.assertIn("snowflake_jwt", text)
            self.assertIn("workload_identity", text)
            self.assertIn("RSA_PUBLIC_KEY", text)
            self.assertNotIn("password-0123", text)

    def test_modes(self):
        path = self.write("open-token", "token-0123456789")
        os.chmod(path, 0o644)
        text = self.checked(authenticator="oauth", token_file=path)
        self.assertIn("run: chmod 600 " + path, text)
        self.assertNotIn("token-0123456789", text)


if __name__ == "__main__":
    gateway.main()
