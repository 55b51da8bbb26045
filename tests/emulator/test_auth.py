"""Who a token is: OAuth, External OAuth, workload identity, a service's token file, two keys per user, granted roles."""

import base64
import json
import os
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import uuid

from service import PAT, PATH, Emulator, Key, StubCase, b64url

OAUTH = {"X-Snowflake-Authorization-Token-Type": "OAUTH"}
WIF = {"X-Snowflake-Authorization-Token-Type": "WORKLOAD_IDENTITY_FEDERATION"}
ISSUER, AUDIENCE = "https://idp.example/", "https://acme-prod.example"
WHO = "SELECT CURRENT_USER(), CURRENT_ROLE()"


def basic(client, secret):
    return {"Authorization": "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()}


def text_of(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def signed(key, claims, algorithm="RS256"):
    text = b64url(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()) + "." + b64url(json.dumps(claims).encode())
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key.private], input=text.encode(), check=True,
                               capture_output=True).stdout
    return text + "." + b64url(signature)


class TokenRequests(StubCase):
    """POST /oauth/token-request as RFC 6749 has it."""

    arguments = ("--stub", "--control", "--pat", PAT + "=DEMO", "--oauth-client", "svc:s3cr=t=OSCAR:ANALYST,LOADER")

    def ask(self, form, headers=None, **more):
        sent = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        body = form if isinstance(form, str) else urllib.parse.urlencode(form)
        return self.e.call("POST", "/oauth/token-request", body, sent, token=None, **more)

    def error(self, answer, status, error):
        self.assertEqual((answer.status, answer.json["error"]), (status, error), answer.body)
        self.assertIn("error_description", answer.json)

    def test_client_credentials(self):
        answer = self.ask({"grant_type": "client_credentials", "scope": "session:role:LOADER"}, basic("svc", "s3cr=t"))
        body = answer.json
        self.assertEqual((answer.status, body["token_type"], body["expires_in"], body["scope"], body["username"]),
                         (200, "Bearer", 600, "session:role:LOADER", "OSCAR"))
        self.assertNotIn("refresh_token", body)
        self.assertEqual(answer.headers["Cache-Control"], "no-store")
        self.assertEqual(self.e.submit(WHO, token=body["access_token"], headers=OAUTH).json["data"],
                         [["OSCAR", "LOADER"]])
        self.refused(self.e.submit(token=body["access_token"], headers=OAUTH, role="ANALYST"), 401, "390317")

    def test_secret_in_the_form(self):
        form = {"grant_type": "client_credentials", "client_id": "svc", "client_secret": "s3cr=t"}
        self.assertEqual(self.ask(form).status, 200)

    def test_errors(self):
        good = {"grant_type": "client_credentials"}
        who = basic("svc", "s3cr=t")
        answer = self.ask(good, basic("svc", "wrong"))
        self.error(answer, 401, "invalid_client")
        self.assertIn("Basic", answer.headers["WWW-Authenticate"])
        self.error(self.ask(good, basic("nobody", "s3cr=t")), 401, "invalid_client")
        self.error(self.ask(good), 401, "invalid_client")
        self.error(self.ask({}, who), 400, "invalid_request")
        self.error(self.ask({"grant_type": "password"}, who), 400, "unsupported_grant_type")
        self.error(self.ask({**good, "scope": "session:role:SYSADMIN"}, who), 400, "invalid_scope")
        self.error(self.ask({"grant_type": "refresh_token"}, who), 400, "invalid_request")
        self.error(self.ask({"grant_type": "refresh_token", "refresh_token": "x"}, who), 400, "invalid_grant")
        self.error(self.ask("grant_type=client_credentials&grant_type=x", who), 400, "invalid_request")
        self.error(self.ask("grant_type=%zz", who), 400, "invalid_request")
        self.error(self.ask(json.dumps(good), {**who, "Content-Type": "application/json"}), 400, "invalid_request")
        self.assertEqual(self.e.call("GET", "/oauth/token-request", token=None).status, 405)

    def client(self, **more):
        self.e.control("POST", "oauth-clients", {"client_id": "c", "client_secret": "s", "user": "RUTH",
                                                 "refresh_token": "r0", **more})

    def refresh(self, token):
        return self.ask({"grant_type": "refresh_token", "refresh_token": token}, basic("c", "s"))

    def test_refresh_token_rotates(self):
        self.client(expires_in=900, refresh_expires_in=3600)
        first = self.refresh("r0")
        self.assertEqual((first.status, first.json["expires_in"], first.json["refresh_token_expires_in"]),
                         (200, 900, 3600))
        self.error(self.refresh("r0"), 400, "invalid_grant")
        second = self.refresh(first.json["refresh_token"])
        self.assertNotEqual(second.json["refresh_token"], first.json["refresh_token"])
        for body in (first.json, second.json):
            self.assertEqual(self.e.submit(WHO, token=body["access_token"]).json["data"], [["RUTH", None]])

    def test_refresh_token_that_stays(self):
        self.client(rotate=False)
        for _ in range(2):
            answer = self.refresh("r0")
            self.assertEqual(answer.status, 200)
            self.assertNotIn("refresh_token", answer.json)

    def test_tokens_expire(self):
        self.client(expires_in=60, refresh_expires_in=120)
        body = self.refresh("r0").json
        self.e.control("POST", "clock", {"ahead_s": 59})
        self.assertEqual(self.e.submit(token=body["access_token"]).status, 200)
        self.e.control("POST", "clock", {"ahead_s": 61})
        self.refused(self.e.submit(token=body["access_token"]), 401, "390318")
        self.e.control("POST", "clock", {"ahead_s": 121})
        self.error(self.refresh(body["refresh_token"]), 400, "invalid_grant")

    def test_faults(self):
        self.e.fault({"status": 503, "body": "html"}, op="oauth")
        self.assertEqual(self.ask({"grant_type": "client_credentials"}, basic("svc", "s3cr=t")).status, 503)
        self.assertEqual(self.e.stats()["ops"]["oauth"], 1)


class ExternalOAuth(StubCase):
    @classmethod
    def setUpClass(cls):
        cls.keys = tempfile.TemporaryDirectory()
        cls.idp, cls.stranger = Key(cls.keys.name, "idp"), Key(cls.keys.name, "stranger")
        cls.arguments = ("--stub", "--control", "--pat", PAT + "=DEMO", "--user", "ALICE:ANALYST,SALES_EU", "--user",
                         "BOB:SALES_US", "--external-oauth", f"{ISSUER},{AUDIENCE}={cls.idp.public}")
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.keys.cleanup()

    def token(self, key=None, algorithm="RS256", **changes):
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 300,
                  "scp": "session:role:SALES_EU", "jti": str(uuid.uuid4()), **changes}
        return signed(key or self.idp, {k: v for k, v in claims.items() if v is not None}, algorithm)

    def who(self, token, **members):
        answer = self.e.submit(WHO, token=token, headers=OAUTH, **members)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json["data"][0]

    def test_two_users(self):
        self.assertEqual(self.who(self.token()), ["ALICE", "SALES_EU"])
        self.assertEqual(self.who(self.token(sub="BOB", scp="session:role:SALES_US")), ["BOB", "SALES_US"])
        self.assertEqual(self.e.stats()["executions_by_user"], {"ALICE": 1, "BOB": 1})
        records = self.e.control("GET", "statements")
        self.assertEqual([(r["user"], r["role"]) for r in records], [("BOB", "SALES_US"), ("ALICE", "SALES_EU")])

    def test_scopes(self):
        any_role = self.token(scp="openid session:role-any")
        self.assertEqual(self.who(any_role), ["ALICE", "ANALYST"])
        self.assertEqual(self.who(any_role, role="SALES_EU"), ["ALICE", "SALES_EU"])
        self.assertEqual(self.who(self.token(scp=["session:role:analyst"])), ["ALICE", "ANALYST"])
        self.refused(self.e.submit(token=self.token(), headers=OAUTH, role="ANALYST"), 401, "390317")
        self.refused(self.e.submit(token=any_role, headers=OAUTH, role="SALES_US"), 422, "390189")
        self.refused(self.e.submit(token=self.token(scp="session:role:SALES_US"), headers=OAUTH), 422, "390189")
        self.refused(self.e.submit(token=self.token(scp=None), headers=OAUTH), 401, "390317")

    def test_refusals(self):
        now = int(time.time())
        for name, token, code in [
                ("another issuer", self.token(iss="https://other.example/"), "390303"),
                ("another audience", self.token(aud="https://other.example"), "390303"),
                ("no audience", self.token(aud=None), "390303"),
                ("another key", self.token(key=self.stranger), "390303"),
                ("an unknown user", self.token(sub="CAROL"), "390303"),
                ("not yet valid", self.token(nbf=now + 300), "390303"),
                ("issued in the future", self.token(iat=now + 300), "390303"),
                ("no expiry", self.token(exp=None), "390303"),
                ("expired", self.token(exp=now - 1), "390318"),
                ("no algorithm", self.token(algorithm="none"), "390303"),
                ("cut", self.token()[:-20], "390303")]:
            with self.subTest(name):
                answer = self.e.submit(token=token, headers=OAUTH)
                self.refused(answer, 401, code)
                self.assertRegex(answer.json["message"], r"\[[0-9a-f-]{36}\]")
        self.assertEqual(self.e.stats()["executions"], 0)

    def test_audience_in_a_list(self):
        self.assertEqual(self.who(self.token(aud=["https://x.example", AUDIENCE])), ["ALICE", "SALES_EU"])

    def test_type_is_inferred(self):
        self.assertEqual(self.e.submit(WHO, token=self.token()).json["data"], [["ALICE", "SALES_EU"]])

    def test_expiry_mid_flight(self):
        token = self.token()
        handle = self.e.submit(token=token, query="?async=true").json["statementHandle"]
        self.e.fault({"token_expired": True}, op="poll")
        self.refused(self.e.get(handle, token=token), 401, "390318")
        self.refused(self.e.get(handle, token=token), 401, "390318")
        self.assertEqual(self.e.get(handle, token=self.token()).status, 200)

    def test_control_registers(self):
        self.e.control("POST", "issuers", {"kind": "external_oauth", "issuer": "https://two.example", "claim": "email",
                                           "audience": "a,b", "public_key": text_of(self.stranger.public)})
        self.e.control("POST", "users", {"name": "dora", "login": "dora@example.com", "roles": "R1,R2",
                                         "default_role": "R2", "default_warehouse": "WH_D"})
        token = self.token(key=self.stranger, iss="https://two.example", aud="b", sub="x", email="Dora@example.com",
                           scp="session:role-any")
        self.assertEqual(self.e.submit("SELECT CURRENT_USER(), CURRENT_ROLE(), CURRENT_WAREHOUSE()", token=token,
                                       headers=OAUTH).json["data"], [["DORA", "R2", "WH_D"]])


class KeyRotation(StubCase):
    def fingerprint_works(self, key):
        return self.e.submit(token=key.jwt(user="KATE")).status == 200

    def place(self, slot, key):
        pem = text_of(key.public) if key else None
        self.e.control("POST", "keys", {"user": "KATE", "slot": slot, "public_key": pem})

    def test_two_keys(self):
        one, two = self.key, self.other
        self.place(1, one)
        self.assertEqual((self.fingerprint_works(one), self.fingerprint_works(two)), (True, False))
        self.place(2, two)
        self.assertEqual((self.fingerprint_works(one), self.fingerprint_works(two)), (True, True))
        token = one.jwt(user="KATE")
        self.assertEqual(self.e.submit(token=token).status, 200)
        self.place(1, None)
        answer = self.refused(self.e.submit(token=token), 401, "390144")
        self.assertIn("394304", answer["message"])
        self.assertEqual((self.fingerprint_works(one), self.fingerprint_works(two)), (False, True))

    def test_clock_skew(self):
        self.e.control("POST", "clock", {"ahead_s": -300})
        answer = self.e.submit(token=self.key.jwt())
        self.assertIn("394302", self.refused(answer, 401, "390144")["message"])
        told = time.mktime(time.strptime(answer.headers["Date"], "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
        self.assertLess(abs(told - time.time() + 300), 10)
        self.e.control("POST", "clock", {"ahead_s": 0})
        self.e.fault({"not_yet_valid": True}, op="submit")
        self.assertIn("394302", self.refused(self.e.submit(token=self.key.jwt()), 401, "390144")["message"])
        self.assertEqual(self.e.submit(token=self.key.jwt()).status, 200)


class Workloads(StubCase):
    @classmethod
    def setUpClass(cls):
        cls.keys = tempfile.TemporaryDirectory()
        cls.cluster = Key(cls.keys.name, "cluster")
        cls.file = os.path.join(cls.keys.name, "token")
        cls.write("spcs-1")
        subject = "system:serviceaccount:gateway:snowgate"
        cls.arguments = ("--stub", "--control", "--pat", PAT + "=DEMO", "--workload-issuer",
                         f"https://k8s.example={cls.cluster.public}", "--workload-user",
                         f"WILMA=https://k8s.example,{subject}", "--service-token", f"{cls.file}=SPCS_USER:SPCS_ROLE")
        super().setUpClass()
        cls.claims = {"iss": "https://k8s.example", "aud": ["snowflakecomputing.com"], "sub": subject}

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.keys.cleanup()

    @classmethod
    def write(cls, text):
        with open(cls.file, "w", encoding="ascii") as out:
            out.write(text + "\n")

    def token(self, **changes):
        return signed(self.cluster, {**self.claims, "exp": int(time.time()) + 600, **changes})

    def test_workload_identity(self):
        for headers in (WIF, {}):
            answer = self.e.submit(WHO, token="WIF.OIDC." + self.token(), headers=headers)
            self.assertEqual(answer.json["data"], [["WILMA", None]])
        for token, code in [(self.token(aud="else"), "390303"), (self.token(sub="else"), "390303"),
                            (self.token(exp=1), "390318")]:
            self.refused(self.e.submit(token="WIF.OIDC." + token, headers=WIF), 401, code)
        self.refused(self.e.submit(token="WIF.AWS.abc", headers=WIF), 401, "390303")
        self.refused(self.e.submit(token=self.token(), headers=OAUTH), 401, "390303")

    def test_service_token(self):
        self.assertEqual(self.e.submit(WHO, token="spcs-1", headers=OAUTH).json["data"], [["SPCS_USER", "SPCS_ROLE"]])
        self.refused(self.e.submit(token="spcs-2", headers=OAUTH), 401, "390303")
        self.write("spcs-2")
        self.assertEqual(self.e.submit(token="spcs-2", headers=OAUTH).status, 200)
        self.assertEqual(self.e.submit(token="spcs-1", headers=OAUTH).status, 200)
        self.refused(self.e.submit(token="spcs-2"), 401, "390104")
        self.e.control("POST", "clock", {"ahead_s": 3601})
        self.refused(self.e.submit(token="spcs-1", headers=OAUTH), 401, "390318")


class Grants(unittest.TestCase):
    """Roles against the engine: USE ROLE inside a request of several statements knows the grants too."""

    @classmethod
    def setUpClass(cls):
        try:
            cls.e = Emulator("--control", "--user", "GRETA:ANALYST,PUBLIC", "--pat", "g=GRETA")
        except RuntimeError as why:
            raise unittest.SkipTest(f"no engine: {why}")

    @classmethod
    def tearDownClass(cls):
        cls.e.stop()

    def test_roles(self):
        self.assertEqual(self.e.submit("SELECT CURRENT_ROLE()", token="g").json["data"], [["ANALYST"]])
        self.assertEqual(self.e.submit("SELECT CURRENT_ROLE()", token="g", role="PUBLIC").json["data"], [["PUBLIC"]])
        answer = self.e.submit(token="g", role="SYSADMIN")
        self.assertEqual((answer.status, answer.code), (422, "390189"))
        several = {"MULTI_STATEMENT_COUNT": "0"}
        answer = self.e.submit("USE ROLE PUBLIC; SELECT CURRENT_ROLE()", token="g", parameters=several)
        self.assertEqual(self.e.get(answer.json["statementHandles"][1], token="g").json["data"], [["PUBLIC"]])
        records = [self.e.control("GET", "statements/" + h) for h in answer.json["statementHandles"]]
        self.assertEqual([r["role"] for r in records], ["ANALYST", "PUBLIC"])
        answer = self.e.submit("USE ROLE SYSADMIN; SELECT 1", token="g", parameters=several)
        self.assertEqual((answer.status, answer.code), (422, "100132"))
        self.assertIn("SYSADMIN", answer.json["message"])


if __name__ == "__main__":
    unittest.main()
