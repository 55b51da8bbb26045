#!/usr/bin/env python3
"""The emulator's HTTP side: what Snowflake's SQL API v2 answers, and the scripted faults.

Needs nothing but Python and openssl; $SNOWGATE_EMULATOR names the program. The tests of the engine class are skipped
where the program cannot open its engine."""

import gzip
import http.client
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

from service import BINARY, PAT, PATH, UUID, Emulator, StubCase


class Gate(StubCase):
    def test_authorization_is_required(self):
        self.refused(self.e.submit(token=None), 401, "390101")
        self.refused(self.e.submit(token=None, headers={"Authorization": "Basic abc"}), 401, "390104")

    def test_pat(self):
        kind = {"X-Snowflake-Authorization-Token-Type": "PROGRAMMATIC_ACCESS_TOKEN"}
        self.assertEqual(self.e.submit(headers=kind).status, 200)
        self.refused(self.e.submit(token="wrong", headers=kind), 401, "394400")
        self.refused(self.e.submit(headers={"X-Snowflake-Authorization-Token-Type": "OAUTH"}), 401, "390303")

    def test_pat_role_restriction(self):
        self.assertEqual(self.e.submit("SELECT CURRENT_ROLE()", token="narrow").json["data"], [["READER"]])
        self.assertEqual(self.e.submit("SELECT CURRENT_ROLE()", token="narrow", role="WRITER").json["data"],
                         [["WRITER"]])
        self.refused(self.e.submit(token="narrow", role="writer"), 403, "390189")

    def test_oauth(self):
        self.assertEqual(self.e.submit(token="oauth-1").status, 200)
        self.refused(self.e.submit(token="oauth-2"), 401, "390303")
        self.e.control("POST", "tokens", {"type": "OAUTH", "token": "oauth-old", "user": "OLGA", "expires_in": -5})
        self.refused(self.e.submit(token="oauth-old"), 401, "390318")

    def test_unknown_token_type(self):
        self.refused(self.e.submit(headers={"X-Snowflake-Authorization-Token-Type": "KERBEROS"}), 401, "390104")

    def test_jwt(self):
        token = self.key.jwt()
        for _ in range(2):
            answer = self.e.submit("SELECT CURRENT_USER()", token=token,
                                   headers={"X-Snowflake-Authorization-Token-Type": "KEYPAIR_JWT"})
            self.assertEqual(answer.json["data"], [["ALICE"]])

    def test_jwt_refusals(self):
        good = self.key.jwt()
        now = int(time.time())
        for name, token, code in [
                ("expired", self.key.jwt(issued=-500, life=100), "394301"),
                ("older than an hour", self.key.jwt(issued=-3700, life=7200), "394301"),
                ("of the future", self.key.jwt(issued=600), "394302"),
                ("without exp", self.key.jwt({"exp": None}), "394303"),
                ("without iat", self.key.jwt({"iat": None}), "394300"),
                ("exp as text", self.key.jwt({"exp": str(now + 50)}), "394303"),
                ("fingerprint of no key", self.key.jwt(fingerprint=self.other.fingerprint), "394304"),
                ("signed by another key", self.other.jwt(fingerprint=self.key.fingerprint), "394300"),
                ("other account", self.key.jwt(account="ELSEWHERE"), "394300"),
                ("account in lower case", self.key.jwt(account="emulator"), "394300"),
                ("unknown user", self.key.jwt(user="BOB"), "394300"),
                ("user in lower case", self.key.jwt(user="alice"), "394300"),
                ("subject differs", self.key.jwt({"sub": "EMULATOR.BOB"}), "394300"),
                ("no subject", self.key.jwt({"sub": None}), "394300"),
                ("algorithm none", self.key.jwt(header={"alg": "none"}), "394305"),
                ("algorithm HS256", self.key.jwt(header={"alg": "HS256"}), "394305"),
                ("no JSON", "a.b.c", "394306"),
                ("changed claims", good.replace(good.split(".")[1], self.key.jwt(life=2999).split(".")[1]), "394300"),
        ]:
            with self.subTest(name):
                kind = {"X-Snowflake-Authorization-Token-Type": "KEYPAIR_JWT"}
                answer = self.refused(self.e.submit(token=token, headers=kind), 401, "390144")
                self.assertIn(code, answer["message"])
                self.assertRegex(answer["message"], r"\[[0-9a-f-]{36}\]")

    def test_user_agent_is_required(self):
        self.assertEqual(self.e.call("POST", PATH, {"statement": "SELECT 1"}, drop=["User-Agent"]).status, 400)

    def test_content_type(self):
        for kind, status in [("application/json", 200), ("application/json; charset=utf-8", 200), ("text/plain", 415),
                             ("application/jsonx", 415), ("application/x-www-form-urlencoded", 415)]:
            self.assertEqual(self.e.submit(headers={"Content-Type": kind}).status, status, kind)
        self.assertEqual(self.e.call("POST", PATH, {"statement": "SELECT 1"}, drop=["Content-Type"]).status, 200)

    def test_accept(self):
        for accept, status in [("*/*", 200), ("application/json", 200), ("text/html, */*;q=0.1", 200),
                               ("text/html", 406)]:
            self.assertEqual(self.e.submit(headers={"Accept": accept}).status, status, accept)
        self.assertEqual(self.e.call("POST", PATH, {"statement": "SELECT 1"}, drop=["Accept"]).status, 200)

    def test_methods_and_paths(self):
        for method, path, status in [("GET", PATH, 405), ("PUT", PATH, 405), ("DELETE", PATH + "/abc", 405),
                                     ("GET", PATH + "/abc/cancel", 405), ("GET", "/", 404),
                                     ("POST", "/api/statements", 404), ("GET", PATH + "/a/b", 404),
                                     ("GET", PATH + "x", 404), ("GET", PATH + "/", 404)]:
            answer = self.e.call(method, path)
            self.assertEqual((answer.status, answer.body), (status, b""), path)

    def test_body_limit(self):
        answer = self.e.submit("SELECT '" + "x" * (9 << 20) + "'")
        self.assertEqual(answer.status, 413)


class Payload(StubCase):
    def test_refusals(self):
        good = {"statement": "SELECT 1"}
        for body in ["", "{", "[]", "1", '{"statement":"SELECT 1","statement":"SELECT 2"}', {}, {"statement": 1},
                     {**good, "unknown": 1}, {**good, "timeout": "60"}, {**good, "timeout": -1},
                     {**good, "timeout": 604801}, {**good, "database": 5}, {**good, "parameters": []},
                     {**good, "parameters": {"AUTOCOMMIT": "true"}}, {**good, "parameters": {"query_tag": {}}},
                     {**good, "parameters": {"rows_per_resultset": "many"}}, {**good, "bindings": []},
                     {**good, "bindings": {"2": {"type": "TEXT", "value": "x"}}},
                     {**good, "bindings": {"1": {"type": "text", "value": "x"}}},
                     {**good, "bindings": {"1": {"type": "FIXED", "value": 1}}},
                     {**good, "bindings": {"1": {"type": "FIXED", "value": "1", "fmt": ""}}},
                     {**good, "parameters": {"MULTI_STATEMENT_COUNT": "2"},
                      "bindings": {"1": {"type": "TEXT", "value": "x"}}}]:
            with self.subTest(body=body):
                self.refused(self.e.call("POST", PATH, body), 400, "390142")

    def test_query_parameters(self):
        for query in ["?requestId=7", "?async=yes", "?nullable=1", "?retry=x"]:
            self.refused(self.e.submit(query=query), 400, "390142")
        self.refused(self.e.get("abc", "?partition=-1"), 400, "390142")
        self.refused(self.e.get("abc", "?partition=x"), 400, "390142")

    def test_accepted(self):
        answer = self.e.submit(timeout=0, database="D", schema="S", warehouse="W", role="R",
                               bindings={"1": {"type": "FIXED", "value": "1"}, "2": {"type": "TEXT", "value": None}},
                               parameters={"Query_Tag": "t", "MULTI_STATEMENT_COUNT": 1, "timezone": "UTC",
                                           "USE_CACHED_RESULT": False, "rows_per_resultset": 10})
        self.assertEqual(answer.status, 200, answer.body)


class Results(StubCase):
    def test_result_set(self):
        request_id = str(uuid.uuid4())
        answer = self.e.submit(query="?requestId=" + request_id)
        body = answer.json
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertEqual((body["code"], body["sqlState"], body["message"]),
                         ("090001", "00000", "Statement executed successfully."))
        self.assertEqual(body["data"], [["1"]])
        self.assertRegex(body["statementHandle"], UUID)
        self.assertEqual(body["statementStatusUrl"], f"{PATH}/{body['statementHandle']}?requestId={request_id}")
        self.assertLess(abs(body["createdOn"] / 1000 - time.time()), 60)
        meta = body["resultSetMetaData"]
        self.assertEqual((meta["numRows"], meta["format"], len(meta["partitionInfo"])), (1, "jsonv2", 1))
        self.assertNotIn("compressedSize", meta["partitionInfo"][0])
        column = meta["rowType"][0]
        self.assertEqual((column["name"], column["type"], column["precision"], column["scale"], column["length"],
                          column["nullable"]), ("1", "fixed", 1, 0, None, False))
        self.assertNotIn("stats", body)
        self.assertEqual(self.e.call("GET", body["statementStatusUrl"]).json["data"], [["1"]])

    def test_partitions(self):
        answer = self.e.submit("STUB ROWS 200")
        body = answer.json
        handle, info = body["statementHandle"], body["resultSetMetaData"]["partitionInfo"]
        self.assertEqual(body["resultSetMetaData"]["numRows"], 200)
        self.assertGreater(len(info), 2)
        self.assertIsNone(answer.headers.get("Content-Encoding"))
        rows, threads, parts = list(body["data"]), [], {}
        self.assertEqual(len(rows), info[0]["rowCount"])
        self.assertEqual(len(json.dumps(rows, separators=(",", ":"))), info[0]["uncompressedSize"])

        def fetch(n):
            parts[n] = self.e.get(handle, f"?requestId={uuid.uuid4()}&partition={n}")
        for n in range(1, len(info)):
            threads.append(threading.Thread(target=fetch, args=(n,)))
            threads[-1].start()
        for n, thread in enumerate(threads, 1):
            thread.join()
            self.assertEqual(parts[n].headers["Content-Encoding"], "gzip")
            self.assertEqual(len(parts[n].body), info[n]["compressedSize"])
            self.assertEqual(len(gzip.decompress(parts[n].body)), info[n]["uncompressedSize"])
            self.assertEqual(list(parts[n].json), ["data"])
            self.assertEqual(len(parts[n].json["data"]), info[n]["rowCount"])
            rows += parts[n].json["data"]
        self.assertEqual(rows, [[str(i), None if i % 10 == 0 else f"row-{i}"] for i in range(1, 201)])
        again = self.e.get(handle, "?partition=0")
        self.assertEqual(again.json["resultSetMetaData"], body["resultSetMetaData"])
        self.assertEqual(self.e.get(handle, f"?partition={len(info)}").status, 400)
        self.assertEqual(self.e.stats()["ops"]["fetch"], len(info))

    def test_links(self):
        answer = self.e.submit("STUB ROWS 200")
        handle, n = answer.json["statementHandle"], len(answer.json["resultSetMetaData"]["partitionInfo"])
        links = dict((r, p) for p, r in re.findall(r'partition=(\d+)>; rel="(\w+)"', answer.headers["Link"]))
        self.assertEqual(links, {"first": "0", "next": "1", "last": str(n - 1)})
        links = dict((r, p) for p, r in re.findall(r'partition=(\d+)>; rel="(\w+)"',
                                                   self.e.get(handle, "?partition=1").headers["Link"]))
        self.assertEqual(links, {"first": "0", "prev": "0", "next": "2", "last": str(n - 1)})

    def test_empty_result(self):
        body = self.e.submit("STUB ROWS 0").json
        self.assertEqual((body["data"], body["resultSetMetaData"]["partitionInfo"][0]["rowCount"]), ([], 0))

    def test_null_as_text(self):
        self.assertEqual(self.e.submit("STUB ROWS 10").json["data"][9], ["10", None])
        self.assertEqual(self.e.submit("STUB ROWS 10", "?nullable=false").json["data"][9], ["10", "null"])

    def test_rows_per_resultset(self):
        body = self.e.submit("STUB ROWS 50", parameters={"rows_per_resultset": "7"}).json
        self.assertEqual((len(body["data"]), body["resultSetMetaData"]["numRows"]), (7, 7))

    def test_failure(self):
        body = self.refused(self.e.submit("STUB ERROR"), 422, "002003")
        self.assertEqual(body["sqlState"], "42S02")
        self.refused(self.e.get(body["statementHandle"]), 422, "002003")
        self.refused(self.e.submit("DELETE FROM T"), 422, "001003")

    def test_context(self):
        sql = "SELECT CURRENT_DATABASE(), CURRENT_SCHEMA(), CURRENT_WAREHOUSE(), CURRENT_ROLE()"
        self.assertEqual(self.e.submit(sql).json["data"], [[None] * 4])
        self.assertEqual(self.e.submit(sql, database="d", schema="S", warehouse="W", role="R").json["data"],
                         [["d", "S", "W", "R"]])

    def test_others_handles_are_unknown(self):
        handle = self.e.submit().json["statementHandle"]
        body = self.refused(self.e.get(handle, token="oauth-1"), 422, "000709")
        self.assertEqual(body["sqlState"], "02000")
        self.refused(self.e.cancel(handle, token="oauth-1"), 422, "000709")


class Asynchronous(StubCase):
    def test_async(self):
        answer = self.e.submit(query="?async=true")
        body = self.refused(answer, 202, "333334")
        self.assertEqual(self.e.call("GET", body["statementStatusUrl"]).json["data"], [["1"]])

    def test_running(self):
        handle = self.e.submit("STUB WAIT 300", "?async=true").json["statementHandle"]
        self.refused(self.e.get(handle), 202, "333334")
        self.assertEqual(self.e.stats()["running"], 1)
        self.assertEqual(self.e.end_of(handle).json["data"], [["1"]])

    def test_async_failure(self):
        handle = self.e.submit("STUB ERROR", "?async=true").json["statementHandle"]
        self.refused(self.e.end_of(handle), 422, "002003")

    def test_sync_waits(self):
        start = time.monotonic()
        self.assertEqual(self.e.submit("STUB WAIT 300").json["data"], [["1"]])
        self.assertGreaterEqual(time.monotonic() - start, 0.29)

    def test_sync_window(self):
        self.e.fault({"sync_wait_ms": 100}, op="submit")
        handle = self.refused(self.e.submit("STUB WAIT 400"), 202, "333334")["statementHandle"]
        self.assertEqual(self.e.end_of(handle).status, 200)

    def test_cancel(self):
        handle = self.e.submit("STUB WAIT 60000", "?async=true").json["statementHandle"]
        body = self.refused(self.e.cancel(handle), 200, "000604")
        self.assertEqual((body["sqlState"], body["statementHandle"]), ("57014", handle))
        self.refused(self.e.get(handle), 422, "000604")
        self.refused(self.e.cancel(handle), 200, "000604")
        self.assertEqual(self.e.stats()["cancelled"], 1)

    def test_cancel_of_nothing(self):
        body = self.refused(self.e.cancel(str(uuid.uuid4())), 422, "000709")
        self.assertEqual(body["sqlState"], "02000")
        self.refused(self.e.cancel(self.e.submit().json["statementHandle"]), 422, "000605")

    def test_cancel_answers_who_waits(self):
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.e.submit("STUB WAIT 60000")))
        thread.start()
        while not self.e.stats()["running"]:
            time.sleep(0.01)
        self.e.cancel(self.e.control("GET", "statements")[0]["handle"])
        thread.join(10)
        self.refused(answers[0], 422, "000604")

    def test_timeout(self):
        body = self.refused(self.e.submit("STUB WAIT 60000", timeout=1), 408, "000630")
        self.assertIn("timeout of 1 second(s)", body["message"])
        self.refused(self.e.get(body["statementHandle"]), 408, "000630")

    def test_five_hundred_at_once(self):
        connection, handles = self.e.connect(), []
        headers = {"User-Agent": "test/1.0", "Authorization": "Bearer " + PAT, "Content-Type": "application/json"}
        for i in range(500):
            connection.request("POST", PATH + "?async=true", json.dumps(
                {"statement": "STUB WAIT 30000", "parameters": {"QUERY_TAG": f"tag{i % 2}"}}), headers)
            handles.append(json.loads(connection.getresponse().read())["statementHandle"])
        stats = self.e.stats()
        self.assertEqual((stats["running"], stats["max_running"]), (500, 500))
        self.assertEqual(stats["by_query_tag"]["tag1"], {"running": 250, "max_running": 250, "total": 250})
        self.assertEqual(stats["by_user"]["DEMO"]["max_running"], 500)
        with open(f"/proc/{self.e.process.pid}/status", encoding="ascii") as status:
            threads = int(re.search(r"Threads:\s+(\d+)", status.read()).group(1))
        self.assertLess(threads, 10)
        for handle in handles:
            connection.request("POST", f"{PATH}/{handle}/cancel", b"", headers)
            self.assertEqual(connection.getresponse().read()[:17], b'{"code":"000604",')
        connection.close()
        self.assertEqual(self.e.stats()["running"], 0)

    def test_a_query_tag_counts_under_its_principal(self):
        tags = ['{"principal":"one","request":"1"}', '{"request":"2","principal":"one"}', "one", '{"request":"3"}',
                '{"principal":4}', '["principal"]', '{"principal":"two"']
        for tag in tags:
            self.assertEqual(self.e.submit(parameters={"QUERY_TAG": tag}).status, 200)
        totals = {name: gauge["total"] for name, gauge in self.e.stats()["by_query_tag"].items()}
        self.assertEqual(totals, {"one": 3, **{tag: 1 for tag in tags[3:]}})

    def test_many_wait_synchronously(self):
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.e.submit("STUB WAIT 500").status))
                   for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [200] * 100)


class Idempotency(StubCase):
    def test_retry_finds_the_outcome(self):
        query = f"?requestId={uuid.uuid4()}"
        first = self.e.submit("STUB ROWS 3", query).json
        again = self.e.submit("SELECT 1", query + "&retry=true").json
        self.assertEqual((again["statementHandle"], again["data"]), (first["statementHandle"], first["data"]))
        self.assertEqual(self.e.stats()["executions"], 1)
        record = self.e.control("GET", "statements/" + first["statementHandle"])
        self.assertEqual((record["executions"], record["attempts"]), (1, 2))

    def test_without_retry_it_runs_again(self):
        query = f"?requestId={uuid.uuid4()}"
        handles = {self.e.submit(query=query).json["statementHandle"] for _ in range(2)}
        self.assertEqual((len(handles), self.e.stats()["executions"]), (2, 2))

    def test_retry_of_what_never_came_runs(self):
        self.assertEqual(self.e.submit(query=f"?requestId={uuid.uuid4()}&retry=true").status, 200)
        self.assertEqual(self.e.stats()["executions"], 1)

    def test_retry_while_it_runs(self):
        query = f"?requestId={uuid.uuid4()}&async=true"
        first = self.e.submit("STUB WAIT 400", query).json["statementHandle"]
        body = self.refused(self.e.submit("STUB WAIT 400", query + "&retry=true"), 202, "333334")
        self.assertEqual(body["statementHandle"], first)
        sync = self.e.submit("STUB WAIT 400", query.replace("&async=true", "") + "&retry=true")
        self.assertEqual((sync.status, sync.json["statementHandle"]), (200, first))
        self.assertEqual(self.e.stats()["executions"], 1)

    def test_retry_of_a_failure(self):
        query = f"?requestId={uuid.uuid4()}"
        self.refused(self.e.submit("STUB ERROR", query), 422, "002003")
        self.refused(self.e.submit("STUB ERROR", query + "&retry=true"), 422, "002003")
        self.assertEqual(self.e.stats()["executions"], 1)

    def test_request_ids_are_per_user(self):
        query = f"?requestId={uuid.uuid4()}"
        self.e.submit(query=query)
        self.e.submit(query=query + "&retry=true", token="oauth-1")
        self.assertEqual(self.e.stats()["executions"], 2)

    def test_reset_after_execution(self):
        query = f"?requestId={uuid.uuid4()}"
        self.e.fault({"reset_after": True}, op="submit")
        with self.assertRaises(ConnectionResetError):
            self.e.submit(query=query)
        self.assertEqual(self.e.submit(query=query + "&retry=true").status, 200)
        self.assertEqual(self.e.stats()["executions"], 1)

    def test_reset_before_execution(self):
        query = f"?requestId={uuid.uuid4()}"
        self.e.fault({"reset_before": True}, op="submit")
        with self.assertRaises(ConnectionResetError):
            self.e.submit(query=query)
        self.assertEqual(self.e.stats()["executions"], 0)
        self.assertEqual(self.e.submit(query=query + "&retry=true").status, 200)
        self.assertEqual(self.e.stats()["executions"], 1)


class Faults(StubCase):
    def test_statuses(self):
        for status in [429, 500, 502, 503, 504, 401, 403]:
            for body in ["json", "html", "empty"]:
                with self.subTest(status=status, body=body):
                    self.e.fault({"status": status, "body": body}, op="submit")
                    answer = self.e.submit()
                    self.assertEqual(answer.status, status)
                    if body == "json":
                        self.assertIn("code", answer.json)
                    elif body == "html":
                        self.assertIn("text/html", answer.headers["Content-Type"])
                    else:
                        self.assertEqual(answer.body, b"")
        stats = self.e.stats()
        self.assertEqual((stats["executions"], stats["statuses"]["429"]), (0, 3))

    def test_too_many_requests(self):
        self.e.fault({"status": 429, "retry_after": 2}, op="submit")
        answer = self.e.submit()
        self.refused(answer, 429, "390505")
        self.assertNotIn("statementHandle", answer.json)
        self.assertEqual(answer.headers["Retry-After"], "2")
        handle = self.e.submit(query="?async=true").json["statementHandle"]
        self.e.fault({"status": 429}, op="poll")
        answer = self.e.get(handle)
        self.assertEqual((answer.status, answer.json["statementHandle"]), (429, handle))
        self.assertEqual(self.e.get(handle).status, 200)

    def test_status_after_execution(self):
        query = f"?requestId={uuid.uuid4()}"
        self.e.fault({"status": 503, "after": True}, op="submit")
        self.assertEqual(self.e.submit(query=query).status, 503)
        self.assertEqual(self.e.submit(query=query + "&retry=true").status, 200)
        self.assertEqual(self.e.stats()["executions"], 1)

    def test_delay(self):
        self.e.fault({"delay_ms": 200}, op="submit", sql_contains="SELECT")
        self.assertEqual(self.e.submit("STUB ROWS 1").status, 200)
        start = time.monotonic()
        self.assertEqual(self.e.submit().status, 200)
        self.assertGreaterEqual(time.monotonic() - start, 0.19)

    def test_hold(self):
        self.e.fault({"hold_ms": 300}, op="submit")
        handle = self.e.submit(query="?async=true").json["statementHandle"]
        self.refused(self.e.get(handle), 202, "333334")
        self.assertEqual(self.e.control("GET", "statements/" + handle)["state"], "held")
        stats = self.e.stats()
        self.assertEqual((stats["executions"], stats["running"]), (0, 1))
        self.assertEqual(self.e.end_of(handle).status, 200)
        self.assertEqual(self.e.stats()["executions"], 1)

    def test_cancel_of_held_does_not_execute(self):
        self.e.fault({"hold_ms": 60000}, op="submit")
        handle = self.e.submit(query="?async=true").json["statementHandle"]
        self.assertEqual(self.e.cancel(handle).status, 200)
        self.assertEqual((self.e.stats()["executions"], self.e.stats()["cancelled"]), (0, 1))

    def test_polls_202(self):
        self.e.fault({"polls_202": 3}, op="submit")
        handle = self.refused(self.e.submit(), 202, "333334")["statementHandle"]
        self.assertEqual([self.e.get(handle).status for _ in range(4)], [202, 202, 202, 200])

    def test_times(self):
        self.e.fault({"status": 500}, op="submit", times=2)
        self.assertEqual([self.e.submit().status for _ in range(3)], [500, 500, 200])
        self.e.fault({"status": 500}, op="any", times=-1)
        self.assertEqual([self.e.submit().status for _ in range(5)], [500] * 5)
        self.assertEqual([f["hits"] for f in self.e.control("GET", "faults")], [2, 5])
        self.e.control("DELETE", "faults")
        self.assertEqual(self.e.submit().status, 200)

    def test_operations(self):
        handle = self.e.submit("STUB ROWS 200").json["statementHandle"]
        self.e.fault({"status": 502}, op="fetch")
        self.e.fault({"status": 503}, op="cancel")
        self.e.fault({"status": 504}, op="poll")
        self.assertEqual(self.e.get(handle, "?partition=1").status, 502)
        self.assertEqual(self.e.get(handle, "?partition=1").status, 200)
        self.assertEqual(self.e.cancel(handle).status, 503)
        self.assertEqual([self.e.get(handle).status, self.e.get(handle).status], [504, 200])

    def test_truncated_gzip(self):
        handle = self.e.submit("STUB ROWS 200").json["statementHandle"]
        self.e.fault({"truncate_gzip": True}, op="fetch")
        answer = self.e.get(handle, "?partition=1")
        self.assertEqual(answer.headers["Content-Encoding"], "gzip")
        with self.assertRaises(EOFError):
            gzip.decompress(answer.body)
        self.assertEqual(self.e.get(handle, "?partition=1").json["data"][0][0].isdigit(), True)

    def test_half_body(self):
        self.e.fault({"half_body": True}, op="submit")
        with self.assertRaises(http.client.IncompleteRead):
            self.e.submit()

    def test_drip_and_chunks(self):
        self.e.fault({"drip": 1}, op="submit")
        start = time.monotonic()
        self.assertEqual(self.e.submit().json["data"], [["1"]])
        self.assertGreater(time.monotonic() - start, 0.1)
        self.e.fault({"chunked": True}, op="submit")
        answer = self.e.submit()
        self.assertEqual((answer.headers["Transfer-Encoding"], answer.json["data"]), ("chunked", [["1"]]))

    def test_not_json(self):
        self.e.fault({"not_json": True}, op="submit")
        answer = self.e.submit()
        self.assertEqual(answer.status, 200)
        with self.assertRaises(ValueError):
            json.loads(answer.body)

    def test_huge_header(self):
        self.e.fault({"huge_header": True}, op="submit")
        with self.assertRaises(http.client.LineTooLong):
            self.e.submit()
        self.assertEqual(self.e.submit().status, 200)

    def test_hang(self):
        self.e.fault({"hang": True}, op="submit")
        with self.assertRaises(socket.timeout):
            self.e.submit(patience=0.5)
        for _ in range(200):
            if self.e.stats()["connections"] == 1:
                break
            time.sleep(0.01)
        self.assertEqual(self.e.stats()["connections"], 1)

    def test_token_expires(self):
        for i, (kind, code) in enumerate([("OAUTH", "390318"), ("PROGRAMMATIC_ACCESS_TOKEN", "394400")]):
            self.e.control("POST", "tokens", {"type": kind, "token": f"short{i}", "user": "OLGA"})
            self.assertEqual(self.e.submit(token=f"short{i}").status, 200)
            self.e.fault({"token_expired": True}, op="submit")
            self.refused(self.e.submit(token=f"short{i}"), 401, code)
            self.refused(self.e.submit(token=f"short{i}"), 401, code)
        token = self.key.jwt()
        self.assertEqual(self.e.submit(token=token).status, 200)
        self.e.fault({"token_expired": True}, op="submit")
        self.assertIn("394301", self.refused(self.e.submit(token=token), 401, "390144")["message"])
        self.refused(self.e.submit(token=token), 401, "390144")
        self.assertEqual(self.e.submit(token=self.key.jwt(life=2900)).status, 200)

    def test_bad_faults(self):
        for spec in [{}, {"action": {}}, {"action": {"nothing": 1}}, {"match": {"op": "x"}, "action": {"hang": True}},
                     {"match": {"times": 0}, "action": {"hang": True}}, {"action": {"status": 99}}]:
            self.assertEqual(self.e.call("POST", "/control/faults", spec).status, 400, spec)


class Control(StubCase):
    def test_record(self):
        request_id = str(uuid.uuid4())
        members = {"database": "D", "schema": "S", "warehouse": "W", "role": "R",
                   "bindings": {"1": {"type": "FIXED", "value": "1"}}, "parameters": {"QUERY_TAG": "tag"}}
        self.e.submit("SELECT 1", f"?requestId={request_id}&async=true", **members)
        self.e.submit("STUB ERROR")
        records = self.e.control("GET", "statements?n=5")
        self.assertEqual([r["sql"] for r in records], ["STUB ERROR", "SELECT 1"])
        self.assertEqual(self.e.control("GET", "statements?requestId=" + request_id), records[1:])
        record = records[1]
        for name, value in {**members, "user": "DEMO", "requestId": request_id, "retry": False, "async": True,
                            "state": "succeeded", "executions": 1, "user_agent": "test/1.0", "sql": "SELECT 1"}.items():
            self.assertEqual(record[name], value, name)
        self.assertLessEqual(record["submitted_at"], record["ended_at"])
        self.assertEqual(records[0]["state"], "failed")
        self.assertNotIn(PAT, json.dumps(records))

    def test_counts(self):
        handle = self.e.submit().json["statementHandle"]
        self.e.get(handle)
        self.e.cancel(handle)
        self.e.call("GET", "/nowhere")
        stats = self.e.stats()
        self.assertEqual((stats["requests"], stats["submitted"]), (4, 1))
        self.assertEqual([stats["ops"][op] for op in ("submit", "poll", "fetch", "cancel", "other")], [1, 1, 0, 1, 1])
        self.assertGreater(stats["by_protocol"]["HTTP/1.1"], 4)
        self.assertGreater(stats["connections_total"], 4)

    def test_reset_keeps_what_runs(self):
        handle = self.e.submit("STUB WAIT 60000", "?async=true").json["statementHandle"]
        self.e.submit()
        self.e.control("POST", "reset")
        stats = self.e.stats()
        self.assertEqual((stats["running"], stats["executions"], stats["kept"]), (1, 0, 1))
        self.assertEqual(self.e.cancel(handle).status, 200)


class Start(unittest.TestCase):
    def test_no_control_by_default(self):
        e = Emulator("--stub", "--pat", PAT + "=DEMO")
        self.assertEqual(e.call("GET", "/control/stats").status, 404)
        e.stop()

    def test_stops_with_statements_and_connections(self):
        e = Emulator("--stub", "--control", "--no-auth")
        e.submit("STUB WAIT 60000", "?async=true")
        thread = threading.Thread(target=self.abandoned, args=(e,))
        thread.start()
        while e.stats()["running"] < 2:
            time.sleep(0.01)
        e.stop()
        thread.join()

    @staticmethod
    def abandoned(e):
        try:
            e.submit("STUB WAIT 60000")
        except (OSError, http.client.HTTPException):
            pass

    def test_no_auth(self):
        e = Emulator("--stub", "--no-auth")
        self.assertEqual(e.submit(token=None).status, 200)
        e.stop()

    def test_refused_command_lines(self):
        for arguments in [["--no-auth", "--address", "0.0.0.0"], ["--port", "x"], ["--unknown"], ["extra"],
                          ["--tls-key", "x"], ["--stub", "--pat", "nobody"], ["--stub", "--public-key", "A=/none"],
                          ["--stub", "--address", "nowhere"], ["--threads", "0"],
                          ["--stub", "--oauth-client", "c=U"], ["--stub", "--external-oauth", "i,a=/none"],
                          ["--stub", "--workload-user", "U=x"], ["--stub", "--record", "/none/x"],
                          ["--stub", "--user", ""]]:
            done = subprocess.run([BINARY, *arguments], capture_output=True, timeout=20)
            self.assertIn(done.returncode, (1, 2), arguments)
            self.assertTrue(done.stderr)
        done = subprocess.run([BINARY, "--help"], capture_output=True, timeout=20)
        self.assertEqual((done.returncode, b"--stub" in done.stdout), (0, True))

    def test_tls(self):
        with tempfile.TemporaryDirectory() as directory:
            cert, key = os.path.join(directory, "c.pem"), os.path.join(directory, "k.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
                            "-keyout", key, "-out", cert, "-days", "2"], check=True, capture_output=True)
            e = Emulator("--stub", "--control", "--pat", PAT + "=DEMO", "--tls-cert", cert, "--tls-key", key)
            self.assertEqual(e.submit("STUB ROWS 1000").status, 200)
            spec = {"action": {"huge_header": True}}
            self.assertEqual(e.call("POST", "/control/faults", spec).status, 400)
            # a handshake that stalls must not keep the server busy
            with socket.create_connection(("127.0.0.1", e.port)) as stalled:
                stalled.sendall(b"\x16\x03\x01")
                time.sleep(0.2)
                before = self.cpu(e)
                time.sleep(1)
                self.assertLess(self.cpu(e) - before, 0.3)
                self.assertEqual(e.submit().status, 200)
            e.stop()

    @staticmethod
    def cpu(e):
        with open(f"/proc/{e.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Engine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            cls.e = Emulator("--control", "--pat", PAT + "=DEMO")
        except RuntimeError as why:
            raise unittest.SkipTest(f"no engine: {why}")

    @classmethod
    def tearDownClass(cls):
        cls.e.stop()

    def setUp(self):
        self.e.control("POST", "reset")

    def refused(self, answer, status, code):
        self.assertEqual((answer.status, answer.code), (status, code), answer.body)
        return answer.json

    def test_select(self):
        self.assertEqual(self.e.submit("SELECT 1").json["data"][0][0], "1")
        self.assertEqual(self.e.submit("SELECT 1;").json["data"][0][0], "1")

    def test_names_in_the_context(self):
        self.refused(self.e.submit(database="NO_SUCH_DB"), 422, "391918")
        self.refused(self.e.submit(warehouse="NO_SUCH_WH"), 422, "391920")
        self.refused(self.e.submit(role="NO_SUCH_ROLE"), 422, "390189")
        self.refused(self.e.submit(database="demo"), 422, "391918")
        self.assertEqual(self.e.submit(database="DEMO").status, 200)
        self.assertEqual(self.e.stats()["executions"], 1)

    def test_output_formats_are_not_ignored(self):
        for name, value, status in [("DATE_OUTPUT_FORMAT", "DD.MM.YYYY", 422), ("date_output_format", "AUTO", 200),
                                    ("BINARY_OUTPUT_FORMAT", "BASE64", 422), ("BINARY_OUTPUT_FORMAT", "hex", 200)]:
            self.assertEqual(self.e.submit(parameters={name: value}).status, status, name)

    def test_count_of_statements(self):
        body = self.refused(self.e.submit("SELECT 1; SELECT 2"), 422, "000008")
        self.assertIn("Actual statement count 2 did not match the desired statement count 1", body["message"])
        self.assertEqual(self.e.stats()["executions"], 0)
        for text in ["SELECT ';'", "SELECT 1 -- ;\n", "SELECT /* ; */ 1", "SELECT 1 ; ; -- end"]:
            self.assertEqual(self.e.submit(text).status, 200, text)

    def test_several_statements(self):
        for count in ["2", "0"]:
            body = self.e.submit("SELECT 1; SELECT 2;", parameters={"MULTI_STATEMENT_COUNT": count}).json
            self.assertEqual(body["data"], [["Multiple statements executed successfully."]])
            self.assertEqual(len(body["statementHandles"]), 2)
            for handle in body["statementHandles"]:
                self.assertEqual(self.e.get(handle).json["code"], "090001")
        self.refused(self.e.submit("SELECT 1; SELECT 2", parameters={"MULTI_STATEMENT_COUNT": "3"}), 422, "000008")
        failing = "SELECT 1; BAD SQL; SELECT 3"
        self.refused(self.e.submit(failing, parameters={"MULTI_STATEMENT_COUNT": "0"}), 422, "100132")

    def test_wait_is_cancelled(self):
        handle = self.e.submit("CALL SYSTEM$WAIT(60)", "?async=true").json["statementHandle"]
        time.sleep(0.1)
        self.assertEqual(self.e.submit("SELECT 1").status, 200)
        self.refused(self.e.cancel(handle), 200, "000604")
        self.refused(self.e.get(handle), 422, "000604")

    def test_wait_times_out(self):
        self.refused(self.e.submit("CALL SYSTEM$WAIT(60)", timeout=1), 408, "000630")

    def test_more_statements_than_workers(self):
        handles = [self.e.submit("CALL SYSTEM$WAIT(600)", "?async=true").json["statementHandle"] for _ in range(70)]
        last = self.e.submit("SELECT 1", "?async=true").json["statementHandle"]
        self.assertEqual((self.e.get(last).status, self.e.stats()["running"]), (202, 71))
        for handle in handles:
            self.assertEqual(self.e.cancel(handle).status, 200)
        self.assertEqual(self.e.end_of(last).json["data"], [["1"]])


def load_tests(loader, tests, _pattern):
    """The other files' tests with these: one program, one count."""
    for name in ("test_auth", "test_faults", "test_multi", "test_cortex", "test_openapi"):
        tests.addTests(loader.loadTestsFromName(name))
    return tests


if __name__ == "__main__":
    unittest.main()
