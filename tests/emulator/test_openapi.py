"""What Snowflake's OpenAPI description of the SQL API says, pinned without the file; and the checker that reads it."""

import json
import os
import tempfile
import time
import unittest

from openapi_check import Checker, Description
from service import PAT, PATH, UUID, StubCase


class Facts(StubCase):
    def failure(self, answer, status=422):
        """QueryFailureStatus: message and statementHandle are required."""
        body = answer.json
        self.assertEqual(answer.status, status, body)
        self.assertRegex(body["statementHandle"], UUID)
        self.assertIsInstance(body["message"], str)
        self.assertIsInstance(body["code"], str)
        return body

    def test_every_422_has_a_handle(self):
        self.failure(self.e.submit("STUB ERROR"))
        unknown = "00000000-0000-0000-0000-000000000000"
        self.assertEqual(self.failure(self.e.get(unknown))["statementHandle"], unknown)
        self.assertEqual(self.failure(self.e.cancel(unknown))["statementHandle"], unknown)
        self.e.control("POST", "users", {"name": "FAY", "roles": "R"})
        self.e.control("POST", "tokens", {"type": "OAUTH", "token": "fay", "user": "FAY"})
        self.failure(self.e.submit(token="fay", role="OTHER"))

    def test_status_has_a_handle(self):
        body = self.failure(self.e.submit("STUB WAIT 60000", "?async=true"), 202)
        self.assertIsInstance(body["createdOn"], int)
        self.failure(self.e.get(body["statementHandle"]), 202)
        self.failure(self.e.cancel(body["statementHandle"]), 200)
        self.failure(self.e.submit("STUB WAIT 60000", timeout=1), 408)

    def test_result_set(self):
        body = self.e.submit("STUB ROWS 200").json
        meta = body["resultSetMetaData"]
        self.assertEqual(meta["format"], "jsonv2")
        self.assertEqual(sum(p["rowCount"] for p in meta["partitionInfo"]), meta["numRows"])
        for partition in meta["partitionInfo"]:
            self.assertGreater(partition["uncompressedSize"], 0)
        for row in body["data"]:
            for cell in row:
                self.assertTrue(cell is None or isinstance(cell, str))
        self.assertTrue(body["statementStatusUrl"].startswith(f"{PATH}/{body['statementHandle']}"))
        self.assertLess(abs(body["createdOn"] / 1000 - time.time()), 60)

    def test_links(self):
        body = self.e.submit("STUB ROWS 200")
        handle = body.json["statementHandle"]
        self.assertRegex(body.headers["Link"], r'^<[^>]+partition=0>; rel="first", .*rel="next", <[^>]+>; rel="last"$')
        self.assertIn('rel="prev"', self.e.get(handle, "?partition=1").headers["Link"])

    def test_no_content_type_is_json(self):
        self.assertEqual(self.e.call("POST", PATH, {"statement": "SELECT 1"}, drop=["Content-Type"]).status, 200)
        self.assertEqual(self.e.submit(headers={"Content-Type": "text/xml"}).status, 415)


class Record(unittest.TestCase):
    def test_lines(self):
        from service import Emulator
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "record")
            e = Emulator("--stub", "--control", "--pat", PAT + "=DEMO", "--partition-bytes", "1000", "--record", path)
            try:
                body = e.submit("STUB ROWS 200", "?async=false").json
                e.get(body["statementHandle"], "?partition=1")
                e.call("POST", "/oauth/token-request", "x=1", token=None)
            finally:
                e.stop()
            with open(path, encoding="utf-8") as file:
                text = file.read()
        self.assertNotIn(PAT, text)
        first, second = [json.loads(line) for line in text.splitlines()]
        self.assertEqual((first["method"], first["path"], first["query"], first["status"], first["gzip"]),
                         ("POST", PATH, {"async": "false"}, 200, False))
        self.assertEqual(json.loads(first["body"]), {"statement": "STUB ROWS 200"})
        self.assertEqual(json.loads(first["answer"]), body)
        self.assertFalse(first["spoiled"])
        self.assertEqual((second["gzip"], set(json.loads(second["answer"]))), (True, {"data"}))


TREE = {
    "paths": {"/s/{h}": {"parameters": [{"$ref": "#/p/agent"}, {"name": "n", "in": "query", "schema": {"type": "integer",
                                                                                                "minimum": 0}}],
                         "post": {"requestBody": {"content": {"application/json": {"schema": {
                             "type": "object", "properties": {"a": {"type": "string"}}}}}},
                             "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/o"}}}},
                                           "401": {"description": "x"}}}}},
    "p": {"agent": {"name": "User-Agent", "in": "header", "required": True, "schema": {"type": "string"}}},
    "o": {"type": "object", "required": ["h"], "properties": {
        "h": {"type": "string", "format": "uuid"}, "d": {"type": "array", "minItems": 1, "items": {
            "type": "string", "nullable": True}}, "f": {"type": "string", "enum": ["x"]}}},
}
GOOD = "01234567-89ab-cdef-0123-456789abcdef"


class TheChecker(unittest.TestCase):
    def findings(self, answer=None, **changes):
        record = {"method": "POST", "path": "/s/1", "query": {"n": "1"}, "headers": {"User-Agent": "t"}, "body": '{"a":"b"}',
                  "status": 200, "type": "application/json", "link": None, "gzip": False, "allow": None,
                  "answer": json.dumps({"h": GOOD, "d": [None, "x"], "f": "x"} if answer is None else answer), **changes}
        checker = Checker(Description(TREE))
        checker.record(record)
        return [f"{where}: {what}" for where, what in checker.findings]

    def test_what_fits(self):
        self.assertEqual(self.findings(), [])
        self.assertEqual(self.findings(link='</s>;rel="last", </t>; rel="next"'), [])
        self.assertEqual(self.findings(status=401, answer=""), [])
        self.assertEqual(self.findings(answer={}, spoiled=True), [])

    def test_what_does_not(self):
        for expected, arguments in [
                ("answer: h missing", {"answer": {}}), ("answer: h is no UUID", {"answer": {"h": "x"}}),
                ("answer: h type", {"answer": {"h": 1}}), ("answer: h null", {"answer": {"h": None}}),
                ("answer: d too short", {"answer": {"h": GOOD, "d": []}}),
                ("answer: d[] type", {"answer": {"h": GOOD, "d": [1]}}),
                ("answer: f is none of ['x']", {"answer": {"h": GOOD, "f": "y"}}),
                ("answer: z", {"answer": {"h": GOOD, "z": 1}}), ("answer: status 418", {"status": 418}),
                ("answer: type text/html of 200", {"type": "text/html"}),
                ("answer: Link </s>", {"link": "</s>"}), ("request: b", {"body": '{"b":1}'}),
                ("request: query.m", {"query": {"m": "1"}}), ("request: query.n type", {"query": {"n": "x"}}),
                ("request: query.n below its minimum", {"query": {"n": "-1"}}),
                ("request: header User-Agent missing", {"headers": {}}),
                ("request: Content-Type text/plain", {"headers": {"User-Agent": "t", "Content-Type": "text/plain"}})]:
            self.assertEqual(self.findings(**arguments), [expected])


if __name__ == "__main__":
    unittest.main()
