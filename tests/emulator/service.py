"""What the tests of the emulator share: keys, a client, one emulator per class. $SNOWGATE_EMULATOR names the program."""

import base64
import gzip
import hashlib
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import tempfile
import time
import unittest

BINARY = os.environ.get("SNOWGATE_EMULATOR", "build/dev/snowgate-emulator")
PATH = "/api/v2/statements"
UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
PAT = "pat-of-demo"


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """An RSA key pair made by the openssl command."""

    def __init__(self, directory, name):
        self.private = os.path.join(directory, name + ".p8")
        self.public = os.path.join(directory, name + ".pub")
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out",
                        self.private], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", self.private, "-pubout", "-out", self.public], check=True)
        der = subprocess.run(["openssl", "pkey", "-in", self.private, "-pubout", "-outform", "DER"], check=True,
                             capture_output=True).stdout
        self.fingerprint = "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()

    def jwt(self, claims=None, header=None, account="EMULATOR", user="ALICE", issued=0, life=3000, fingerprint=None):
        now = int(time.time()) + issued
        payload = {"iss": f"{account}.{user}.{fingerprint or self.fingerprint}", "sub": f"{account}.{user}",
                   "iat": now, "exp": now + life}
        payload.update(claims or {})
        payload = {k: v for k, v in payload.items() if v is not None}
        signed = b64url(json.dumps(header or {"alg": "RS256", "typ": "JWT"}).encode()) + "." + \
            b64url(json.dumps(payload).encode())
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.private], input=signed.encode(),
                                   check=True, capture_output=True).stdout
        return signed + "." + b64url(signature)


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    @property
    def json(self):
        body = gzip.decompress(self.body) if self.headers.get("Content-Encoding") == "gzip" else self.body
        return json.loads(body)

    @property
    def code(self):
        return self.json["code"]


class Emulator:
    def __init__(self, *arguments):
        self.process = subprocess.Popen([BINARY, "--port", "0", *arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            error = self.process.stderr.read().decode()
            self.process.wait()
            self.process.stdout.close()
            self.process.stderr.close()
            raise RuntimeError(error)
        event = json.loads(line)
        assert event["event"] == "listening"
        self.port = event["port"]
        self.tls = "--tls-key" in arguments

    def stop(self):
        """Its standard error, after an orderly end."""
        self.process.send_signal(signal.SIGTERM)
        error = self.process.stderr.read().decode()
        status = self.process.wait(30)
        self.process.stdout.close()
        self.process.stderr.close()
        if status:
            raise AssertionError(f"ended with {status}: {error}")

    def connect(self, timeout=20):
        if self.tls:
            context = ssl._create_unverified_context()
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def call(self, method, path, body=None, headers=None, token=PAT, drop=(), patience=20):
        sent = {"User-Agent": "test/1.0", "Accept": "application/json", "Content-Type": "application/json"}
        if token:
            sent["Authorization"] = "Bearer " + token
        sent.update(headers or {})
        for name in drop:
            sent.pop(name, None)
        connection = self.connect(patience)
        try:
            if body is not None and not isinstance(body, (str, bytes)):
                body = json.dumps(body)
            if isinstance(body, str):
                body = body.encode()
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            if method in ("POST", "PUT"):
                connection.putheader("Content-Length", str(len(body or b"")))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            connection.close()

    def submit(self, sql="SELECT 1", query="", token=PAT, headers=None, patience=20, **members):
        return self.call("POST", PATH + query, {"statement": sql, **members}, headers, token, patience=patience)

    def get(self, handle, query="", token=PAT):
        return self.call("GET", f"{PATH}/{handle}{query}", token=token)

    def cancel(self, handle, token=PAT):
        return self.call("POST", f"{PATH}/{handle}/cancel", "", token=token)

    def control(self, method, path, body=None):
        answer = self.call(method, "/control/" + path, body)
        if answer.status != 200:
            raise AssertionError(answer.body)
        return answer.json

    def fault(self, action, **match):
        self.control("POST", "faults", {"match": match, "action": action})

    def stats(self):
        return self.control("GET", "stats")

    def end_of(self, handle, token=PAT):
        for _ in range(2000):
            answer = self.get(handle, token=token)
            if answer.status != 202:
                return answer
            time.sleep(0.01)
        raise AssertionError("it never ends")


class StubCase(unittest.TestCase):
    """One emulator for all tests of a class, without the engine; every test finds it reset."""

    arguments = ("--stub", "--control", "--partition-bytes", "1000", "--pat", PAT + "=DEMO", "--pat",
                 "narrow=SVC:READER,WRITER", "--oauth-token", "oauth-1=OLGA:ANALYST")

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.key, cls.other = Key(cls.directory.name, "one"), Key(cls.directory.name, "two")
        cls.emulator = Emulator(*cls.arguments, "--public-key", "alice=" + cls.key.public)

    @classmethod
    def tearDownClass(cls):
        cls.emulator.stop()
        cls.directory.cleanup()

    def setUp(self):
        self.e = self.emulator
        self.e.control("POST", "reset")

    def refused(self, answer, status, code):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.code, code)
        return answer.json
