#!/usr/bin/env python3
"""What is wrong gets the right status, the right code and a text that says what to do; the next request is served."""

import http.client
import json
import os
import socket
import subprocess
import time
import unittest

import gateway
from gateway import ACCEPT, LATEST, META, MODERN, Client, Gateway, connect, free_port, head, raw

JSON_HEADERS = {"Content-Type": "application/json", "Accept": ACCEPT}
PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}'


class Case(unittest.TestCase):
    conf, keys = {}, ()

    @classmethod
    def setUpClass(cls):
        cls.emulator = gateway.Emulator()
        cls.addClassCleanup(cls.emulator.stop)
        cls.gateway = Gateway(cls.emulator, cls.conf, cls.keys)
        cls.addClassCleanup(cls.gateway.stop)

    def client(self, key=None, **how):
        client = Client(self.gateway, self.gateway.keys.get(key, key), **how)
        self.addCleanup(client.close)
        return client

    def assert_served(self):
        key = self.gateway.keys.get("alice")
        with Client(self.gateway, key) as client:
            self.assertEqual(client.query("SELECT 1").rows, [[1]])

    def assert_error(self, answer, status, code, *words):
        """A JSON-RPC error with this status and code whose text holds the words and a request id."""
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertEqual(answer.json["jsonrpc"], "2.0")
        self.assertEqual(answer.error["code"], code, answer)
        self.assertTrue(answer.headers["X-Request-Id"])
        self.assertIn(answer.headers["X-Request-Id"], answer.error["message"])
        for word in words:
            self.assertIn(word.lower(), answer.error["message"].lower())

    def assert_tool_error(self, answer, *words):
        self.assertEqual(answer.status, 200, answer)
        self.assertTrue(answer.is_error, answer)
        self.assertIn(answer.headers["X-Request-Id"], answer.text)
        for word in words:
            self.assertIn(word.lower(), answer.text.lower())


class Message(Case):
    def tearDown(self):
        self.assert_served()

    def post(self, body, **how):
        return self.client().send(body=body, headers=JSON_HEADERS, **how)

    def test_malformed_json(self):
        for body in ("", " ", "{", "nonsense", '{"jsonrpc":"2.0","id":1,"method":"ping"', '{"a":1}}', '{"a":01}',
                     "{'a':1}", '{"a":1,}', "\ufeff" + PING, "[", '{"a":NaN}', PING + PING):
            with self.subTest(body=body):
                self.assert_error(self.post(body), 400, -32700, "JSON")

    def test_bytes_that_are_no_text(self):
        for body in (b"\xff\xfe", b'{"a":"\xc3\x28"}', b'{"a":"\x00"}',
                     b'{"jsonrpc":"2.0","id":1,"method":"pi\\u0000ng"}',
                     b'"\\ud800"', b"\x00" * 100, b"\x80"):
            with self.subTest(body=body):
                answer = self.client().send(body=body, headers=JSON_HEADERS)
                self.assertEqual(answer.status, 400, answer)
                self.assertEqual(answer.error["code"], -32700)

    def test_a_member_given_twice(self):
        answer = self.post('{"jsonrpc":"2.0","id":1,"method":"ping","method":"initialize"}')
        self.assert_error(answer, 400, -32700, "twice")

    def test_nesting(self):
        for depth in (65, 10000, 200000):
            with self.subTest(depth=depth):
                self.assert_error(self.post("[" * depth + "]" * depth), 400, -32700, "deep")
                self.assert_error(self.post("[" * depth), 400, -32700)
                nested = '{"a":' * depth + "1" + "}" * depth
                self.assert_error(self.post('{"jsonrpc":"2.0","id":1,"method":"ping","params":' + nested + "}"), 400,
                                  -32700, "deep")

    def test_shapes_that_are_no_json_rpc(self):
        for message, word in (
                ({"id": 1, "method": "ping"}, "jsonrpc"), ({"jsonrpc": "1.0", "id": 1, "method": "ping"}, "jsonrpc"),
                ({"jsonrpc": 2.0, "id": 1, "method": "ping"}, "jsonrpc"),
                ({"jsonrpc": "2.0", "id": None, "method": "ping"}, "null"),
                ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, "integer"),
                ({"jsonrpc": "2.0", "id": True, "method": "ping"}, "integer"),
                ({"jsonrpc": "2.0", "id": {}, "method": "ping"}, "integer"),
                ({"jsonrpc": "2.0", "id": [1], "method": "ping"}, "integer"),
                ({"jsonrpc": "2.0", "id": 1}, "method"), ({"jsonrpc": "2.0"}, "method"), ({}, ""),
                ({"jsonrpc": "2.0", "id": 1, "method": 7}, "method"),
                ({"jsonrpc": "2.0", "id": 1, "method": None}, "method"),
                ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}, "params"),
                ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": "x"}, "params"),
                ({"jsonrpc": "2.0", "id": 1, "method": "ping", "result": {}}, "result"),
                ({"jsonrpc": "2.0", "id": 1, "result": {}, "error": {}}, "both"),
                ([], "batch"), ([1], "object")):
            with self.subTest(message=message):
                self.assert_error(self.post(json.dumps(message)), 400, -32600, word)
        for body in ("1", '"text"', "null", "true"):
            with self.subTest(body=body):
                self.assert_error(self.post(body), 400, -32600, "object")

    def test_ids_come_back_as_they_were(self):
        for raw_id in ("0", "-1", "9007199254740993", '"x"', '""', '"\\u00e9"', "1.0", '"' + "a" * 1000 + '"'):
            answer = self.post('{"jsonrpc":"2.0","id":%s,"method":"ping"}' % raw_id)
            self.assertEqual(answer.status, 200, answer)
            self.assertIn(b'"id":' + raw_id.encode(), answer.body)

    def test_ids_have_a_limit(self):
        for client in (self.client(), self.client(modern=True)):
            for size, status in ((1000, 200), (1023, 400)):
                message = client.message("tools/list")
                message["id"] = "x" * size
                answer = client.send(body=message)
                self.assertEqual(answer.status, status)
                if status == 400:
                    self.assertNotIn("id", answer.json)
                    self.assertEqual(answer.error["code"], -32600)

    def test_unknown_methods(self):
        for client in (self.client(), self.client(modern=True)):
            for method in ("nonsense", "", "tools/Call", "resources/write", "a" * 5000):
                answer = client.rpc(method) if method else client.send(
                    body=client.message("") , more={"Mcp-Method": ""} if client.modern else None)
                if method or not client.modern:
                    self.assert_error(answer, 404 if client.modern else 200, -32601, "method")
        self.assertEqual(self.client().notify("notifications/of_nobody").status, 202)

    def test_initialize_that_lacks_something(self):
        good = {"protocolVersion": LATEST, "capabilities": {}, "clientInfo": {"name": "e2e", "version": "1"}}
        for name, value in (("protocolVersion", None), ("protocolVersion", 5), ("capabilities", None),
                            ("capabilities", []), ("clientInfo", None), ("clientInfo", {}), ("clientInfo", "x"),
                            ("clientInfo", {"name": 1, "version": "1"})):
            params = {k: v for k, v in {**good, name: value}.items() if v is not None}
            with self.subTest(params=params):
                answer = self.client().rpc("initialize", params)
                self.assert_error(answer, 200, -32602, name)
                self.assertIsNone(answer.headers["Mcp-Session-Id"])

    def test_tools_call_of_a_wrong_shape(self):
        for client, status in ((self.client(), 200), (self.client(modern=True), 200)):
            for params, word in (({}, "name"), ({"name": 7}, "name"),
                                 ({"name": "execute_query", "arguments": []}, "arguments"),
                                 ({"name": "execute_query", "arguments": "x"}, "arguments")):
                with self.subTest(params=params, modern=client.modern):
                    message = client.message("tools/call", {"name": "x", **params})
                    headers = client.headers(message)
                    if "name" not in params or params["name"] == 7:
                        headers.pop("Mcp-Name", None)
                    if "name" not in params:
                        del message["params"]["name"]
                    self.assert_error(client.send(body=message, headers=headers), status, -32602, word)
            self.assert_error(client.tool("no_such_tool"), status, -32602, "no_such_tool", "tools/list")
            self.assert_error(client.rpc("tools/list", {"cursor": "x"}), status, -32602, "cursor")


class Headers(Case):
    def tearDown(self):
        self.assert_served()

    def exchange(self, lines, body=PING.encode()):
        """A request of these header lines as they are."""
        return raw(self.gateway, b"POST /mcp HTTP/1.1\r\n" + b"".join(line + b"\r\n" for line in lines) +
                   b"Content-Length: %d\r\n\r\n" % len(body) + body)

    BASE = [b"Host: 127.0.0.1", b"Content-Type: application/json", b"Accept: */*"]

    def test_a_clean_request_passes(self):
        self.assertEqual(self.exchange(self.BASE).status, 200)

    def test_characters_that_do_not_belong_in_a_head(self):
        for line in (b"X-A: a\x00b", b"X-A: a\nX-B: b", b"X-A: a\x01", b"X\x00A: b", b"X-A: a\x7f", b"X A: b",
                     b"X-A : b",
                     b": b", b"X-A: a\r\n folded"):
            with self.subTest(line=line):
                answer = self.exchange(self.BASE + [line])
                self.assertEqual(answer.status, 400, answer)

    def test_no_host_or_two(self):
        self.assertEqual(self.exchange(self.BASE[1:]).status, 400)
        self.assertEqual(self.exchange(self.BASE + [b"Host: 127.0.0.1"]).status, 400)
        self.assertEqual(self.exchange([b"Host:"] + self.BASE[1:]).status, 400)

    def test_headers_given_twice(self):
        for line in (b"Content-Type: application/json", b"Authorization: Bearer x", b"Mcp-Session-Id: x",
                     b"MCP-Protocol-Version: 2025-11-25", b"Origin: http://localhost", b"Mcp-Method: ping"):
            with self.subTest(line=line):
                lines = self.BASE + [line, line]
                self.assert_error(self.exchange(lines), 400, -32600, "once")

    def test_two_ways_to_tell_the_length(self):
        for lines in ([b"Transfer-Encoding: chunked"], [b"Content-Length: 5"], [b"Transfer-Encoding: gzip"]):
            with self.subTest(lines=lines):
                self.assertEqual(self.exchange(self.BASE + lines).status, 400)
        for length in (b"-1", b"x", b"1,1", b"0x10", b"+5", b"99999999999999999999999"):
            answer = raw(self.gateway, b"POST /mcp HTTP/1.1\r\n" + b"\r\n".join(self.BASE) +
                         b"\r\nContent-Length: " + length + b"\r\n\r\n")
            self.assertIn(answer.status, (400, 413), (length, answer))

    def test_foreign_origin(self):
        for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example", "http://localhost@evil.example",
                       "file://", "http://localhost:x"):
            for method in ("POST", "OPTIONS", "DELETE"):
                with self.subTest(origin=origin, method=method):
                    answer = self.client().send(method, PING, JSON_HEADERS, more={"Origin": origin})
                    self.assert_error(answer, 403, -32600, "allowed_origins")
                    self.assertIsNone(answer.headers["Access-Control-Allow-Origin"])
        answer = self.client().send("POST", PING, JSON_HEADERS, more={"Origin": "http://localhost:3000"})
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "http://localhost:3000")

    def test_bad_host(self):
        for host in (b"evil.example", b"evil.example:80", b"127.0.0.1.evil.example", b"10.0.0.1", b"[::2]"):
            with self.subTest(host=host):
                self.assert_error(self.exchange([b"Host: " + host] + self.BASE[1:]), 421, -32600, "allowed_hosts")
        for host in (b"localhost", b"127.0.0.1:1", b"[::1]:99", b"LOCALHOST"):
            self.assertEqual(self.exchange([b"Host: " + host] + self.BASE[1:]).status, 200)

    def test_media(self):
        client = self.client()
        for value in ("text/plain", "application/jsonp", "application/x-www-form-urlencoded", "multipart/form-data",
                      ""):
            with self.subTest(value=value):
                answer = client.send("POST", PING, {**JSON_HEADERS, "Content-Type": value})
                self.assert_error(answer, 415, -32600, "application/json")
        self.assert_error(client.send("POST", PING, {"Accept": ACCEPT}), 415, -32600, "Content-Type")
        for value in ("gzip", "deflate", "br", "identity, gzip"):
            answer = client.send("POST", PING, {**JSON_HEADERS, "Content-Encoding": value})
            self.assert_error(answer, 415, -32600, "Content-Encoding")
        answer = client.send("POST", PING, {**JSON_HEADERS, "Content-Type": "Application/JSON; charset=utf-8"})
        self.assertEqual(answer.status, 200)

    def test_accept_that_excludes_every_answer(self):
        answer = self.client().send("POST", PING, {**JSON_HEADERS, "Accept": "text/html"})
        self.assert_error(answer, 406, -32600, "application/json")

    def test_verbs_and_paths(self):
        client = self.client()
        for method in ("GET", "PUT", "PATCH", "HEAD", "TRACE", "NONSENSE"):
            with self.subTest(method=method):
                answer = client.send(method, None, {"Accept": ACCEPT})
                self.assertEqual(answer.status, 405, answer)
                self.assertIn("POST", answer.headers["Allow"])
        for path in ("/", "/mcp/", "/MCP", "/mcp2", "/mcp/../mcp", "/%6dcp", "/metrics", "/favicon.ico",
                     "/" + "a" * 3000):
            with self.subTest(path=path):
                self.assert_error(client.send("POST", PING, JSON_HEADERS, path=path), 404, -32600, "listen.path")
        answer = client.send("POST", PING, JSON_HEADERS, path="/healthz")
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD"))
        self.assertEqual(client.send("GET", None, {}, path="/healthz").status, 200)

    def test_heads_too_large(self):
        for lines in ([b"X-A: " + b"a" * 70000], [b"X-%d: a" % i for i in range(5000)]):
            answer = self.exchange(self.BASE + lines)
            self.assertIn(answer.status, (400, 413, 414, 431))

    def test_no_http_at_all(self):
        short = Gateway(self.emulator, {"listen": {"header_timeout": "1s"}})
        self.addCleanup(short.stop)
        for data in (b"\r\n\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"nonsense\r\n\r\n",
                     b"GET\r\n\r\n",
                     b"POST /mcp HTTP/2.0\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00" * 1000):
            with self.subTest(data=data), connect(short.port) as s:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                s.settimeout(20)
                answer = b""
                try:
                    while more := s.recv(65536):
                        answer += more
                except ConnectionResetError:
                    pass
                self.assertNotIn(b" 200 ", answer[:20])

    def test_body_too_large(self):
        small = Gateway(self.emulator, {"listen": {"max_body": "1KiB"}})
        self.addCleanup(small.stop)
        with Client(small) as client:
            answer = client.send("POST", " " * 2000 + PING, JSON_HEADERS)
            self.assert_error(answer, 413, -32600, "listen.max_body")
            chunks = [b" " * 900] * 3
            client.connection = http.client.HTTPConnection("127.0.0.1", small.port, timeout=20)
            client.connection.request("POST", "/mcp", iter(chunks), JSON_HEADERS, encode_chunked=True)
            self.assertEqual(client.connection.getresponse().status, 413)
            client.close()
            self.assertEqual(client.send("POST", " " * 500 + PING, JSON_HEADERS).status, 200)

    def test_a_body_that_never_comes(self):
        slow = Gateway(self.emulator, {"listen": {"body_timeout": "1s", "header_timeout": "1s"}})
        self.addCleanup(slow.stop)
        begin = time.monotonic()
        for data in (head("POST", JSON_HEADERS, 100) + b"{", b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n"):
            with connect(slow.port) as s:
                s.sendall(data)
                s.settimeout(10)
                try:
                    while s.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
        self.assertLess(time.monotonic() - begin, 8)
        with Client(slow) as client:
            self.assertEqual(client.rpc("ping").status, 200)


class Eras(Case):
    def tearDown(self):
        self.assert_served()

    def modern(self, drop=(), more=None, meta=None, method="tools/list", params=None):
        client = self.client(modern=True)
        message = client.message(method, params)
        if meta is not None:
            message["params"]["_meta"] = meta
        return client.send(body=message, headers=client.headers(message), drop=drop, more=more)

    def test_a_modern_body_with_other_headers(self):
        self.assert_error(self.modern(more={"MCP-Protocol-Version": LATEST}), 400, -32020, "MCP-Protocol-Version")
        self.assert_error(self.modern(drop=("MCP-Protocol-Version",)), 400, -32020, "MCP-Protocol-Version")
        self.assert_error(self.modern(drop=("Mcp-Method",)), 400, -32020, "Mcp-Method")
        self.assert_error(self.modern(more={"Mcp-Method": "tools/call"}), 400, -32020, "Mcp-Method")
        call = {"method": "tools/call", "params": {"name": "set_context", "arguments": {}}}
        self.assert_error(self.modern(drop=("Mcp-Name",), **call), 400, -32020, "Mcp-Name")
        self.assert_error(self.modern(more={"Mcp-Name": "execute_query"}, **call), 400, -32020, "Mcp-Name")
        self.assert_error(self.modern(more={"Mcp-Name": "=?base64?!!?="}, **call), 400, -32020, "Mcp-Name")
        self.assertEqual(self.modern(more={"Mcp-Name": "=?base64?c2V0X2NvbnRleHQ=?="}, **call).status, 200)

    def test_a_modern_header_with_a_legacy_body(self):
        client = self.client()
        for method in ("tools/list", "ping"):
            answer = client.send(body=client.message(method), headers={**JSON_HEADERS, "MCP-Protocol-Version": MODERN})
            self.assert_error(answer, 400, -32602, "_meta")
        answer = client.send(body=client.message("initialize", {"protocolVersion": LATEST, "capabilities": {},
                                                                "clientInfo": {"name": "e2e", "version": "1"}}),
                             headers={**JSON_HEADERS, "MCP-Protocol-Version": MODERN})
        self.assert_error(answer, 400, -32020, "initialize")

    def test_meta_that_lacks_something(self):
        version, capabilities = META + "protocolVersion", META + "clientCapabilities"
        self.assert_error(self.modern(meta={version: MODERN}), 400, -32602, "clientCapabilities")
        self.assert_error(self.modern(meta={version: MODERN, capabilities: []}), 400, -32602, "clientCapabilities")
        self.assert_error(self.modern(meta={version: 5, capabilities: {}}), 400, -32602, "protocolVersion")
        answer = self.modern(meta={version: "2099-01-01", capabilities: {}},
                             more={"MCP-Protocol-Version": "2099-01-01"})
        self.assert_error(answer, 400, -32022, "2099-01-01")
        self.assertEqual(answer.error["data"]["supported"], [MODERN])

    def test_an_unknown_revision_in_the_header(self):
        client = self.client()
        answer = client.send(body=client.message("tools/list"), headers={**JSON_HEADERS, "MCP-Protocol-Version": "1.0"})
        self.assert_error(answer, 400, -32022, "supported")
        self.assertIn(LATEST, answer.error["data"]["supported"])

    def test_methods_of_the_other_era(self):
        self.assert_error(self.client().rpc("server/discover"), 200, -32601, "server/discover")
        self.assert_error(self.client(modern=True).rpc("ping"), 404, -32601, "ping")


class Statements(Case):
    """The tools' own refusals: results with isError, in both eras."""

    def tearDown(self):
        self.assert_served()

    def each(self):
        legacy = self.client()
        legacy.initialize()
        return legacy, self.client(modern=True)

    def test_arguments(self):
        for client in self.each():
            for arguments, words in (
                    ({}, ("query", "required")), ({"query": 5}, ("query", "string")), ({"query": None}, ("query",)),
                    ({"query": ["SELECT 1"]}, ("query", "string")),
                    ({"query": "SELECT 1", "limit": "5"}, ("limit", "integer")),
                    ({"query": "SELECT 1", "limit": 0}, ("limit", "1")),
                    ({"query": "SELECT 1", "limit": 1.5}, ("limit", "integer")),
                    ({"query": "SELECT 1", "limit": 10 ** 12}, ("limit", "1000000")),
                    ({"query": "SELECT 1", "format": "xml"}, ("format", "csv", "json")),
                    ({"query": "SELECT 1", "wait_seconds": -1}, ("wait_seconds",)),
                    ({"query": "SELECT 1", "dry_run": "yes"}, ("dry_run", "boolean")),
                    ({"query": "SELECT ?", "bindings": [{}]}, ("bindings",)),
                    ({"query": "SELECT ?", "bindings": "x"}, ("bindings", "array")),
                    ({"query": "SELECT 1", "databse": "DEMO"}, ("databse", "database")),
                    ({"query": "SELECT 1", "database": "a b"}, ("database", "identifier"))):
                with self.subTest(arguments=arguments, modern=client.modern):
                    self.assert_tool_error(client.tool("execute_query", **arguments), *words)
            self.assert_tool_error(client.tool("get_result"), "statement_handle", "required")
            self.assert_tool_error(client.tool("set_context", parameters={"NONSENSE": 1}), "NONSENSE")
            self.assert_tool_error(client.tool("set_context", preferences={"limit": -1}), "limit")
            self.assert_tool_error(client.tool("describe_object", names=[]), "names")

    def test_names_that_do_not_exist(self):
        for client in self.each():
            self.assert_tool_error(client.query("SELECT 1", database="NOT_THERE"), "NOT_THERE")
            self.assert_tool_error(client.query("SELECT 1", warehouse="NOT_THERE"), "NOT_THERE")
            self.assert_tool_error(client.tool("set_context", database="NOT_THERE"), "NOT_THERE", "list_objects")
            self.assert_tool_error(client.tool("set_context", role="ACCOUNTADMIN"), "role", "not known here")
            self.assert_tool_error(client.tool("set_context", warehouse="NOT_THERE"), "NOT_THERE", "list_objects")
            answer = client.query("SELECT * FROM NOT_THERE")
            self.assert_tool_error(answer, "002003", "NOT_THERE", "list_objects", "DEMO.PUBLIC")
            self.assertEqual(answer.meta_error["code"], "002003")
            self.assertFalse(answer.meta_error["retryable"])
            self.assert_tool_error(client.query("SELECT NOT_THERE FROM CUSTOMERS"), "NOT_THERE")

    def test_sql_errors(self):
        for client in self.each():
            self.assert_tool_error(client.query("SELECT FROM WHERE"), "syntax")
            self.assert_tool_error(client.query("SELECT 1/0"), "zero")
            self.assert_tool_error(client.query("SELECT 'open"), "quot")
            self.assert_tool_error(client.query("SELECT ?"), "")

    def test_statements_that_are_none_or_too_many(self):
        for client in self.each():
            before = self.emulator.stats()["submitted"]
            for sql, word in ((" ", "statement"), (";", "statement"), ("-- nothing", "statement"),
                              ("/* */", "statement"),
                              ("SELECT 1; SELECT 2", "one"), ("SELECT 1; DROP TABLE CUSTOMERS", "one"),
                              ("nonsense", ""), ("DROP TABLE CUSTOMERS", "policy"), ("COMMIT", "transaction"),
                              ("SELECT SYSTEM$CANCEL_ALL_QUERIES(1)", "system"), ("CALL X()", "CALL"),
                              ("SELECT 1 /* open", ""), ("SELECT 1\u0000", "")):
                with self.subTest(sql=sql, modern=client.modern):
                    answer = client.query(sql)
                    if "\u0000" in sql:
                        self.assertEqual(answer.status, 400, answer)
                    else:
                        self.assert_tool_error(answer, word)
            self.assert_tool_error(client.query(""), "query")
            self.assertEqual(self.emulator.stats()["submitted"], before)
            self.assertEqual(client.query("SELECT 1;").rows, [[1]])

    def test_handles_that_are_not_ours(self):
        for client in self.each():
            for handle in ("x", "01b00000-0000-0000-0000-000000000000", "." * 100, "a.b", "../" * 20, "é"):
                for tool in ("get_result", "cancel_query"):
                    self.assert_tool_error(client.tool(tool, statement_handle=handle), "statement_handle", "unknown")
            self.assert_tool_error(client.tool("get_result", statement_handle=""), "statement_handle")
            self.assert_tool_error(client.tool("get_result", statement_handle="a" * 201), "statement_handle")

    def test_a_large_statement(self):
        for client in self.each():
            text = "x" * 200000
            answer = client.query(f"SELECT LENGTH('{text}') AS N")
            self.assertFalse(answer.is_error, answer)
            self.assertEqual([str(v) for v in answer.rows[0]], ["200000"])
            deep = client.query("SELECT " + "(" * 20000 + "1" + ")" * 20000)
            self.assertTrue(deep.is_error)

    def test_sessions_that_are_not_there(self):
        for session in ("x", "A" * 60):
            self.assert_error(self.client(session=session).rpc("tools/list"), 404, -32600, "initialize")
        gone = self.client()
        gone.initialize()
        self.assertEqual(gone.send("DELETE").status, 200)
        self.assert_error(gone.rpc("tools/list"), 404, -32600, "initialize")
        self.assert_error(self.client().send("DELETE"), 400, -32600, "Mcp-Session-Id")


class Auth(Case):
    keys = ("alice", "revoked")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gateway.end()
        cls.gateway.key("expired", "--expires", "1h")
        path = os.path.join(cls.gateway.folder, "api-keys")
        with open(path) as f:
            lines = f.read().splitlines()
        past = [line if not line.startswith("expired ") else line.split(" created=")[0] +
                " created=2020-01-01T00:00:00Z expires=2020-02-01T00:00:00Z" for line in lines]
        cls.gateway.secret_file("api-keys", "\n".join(past) + "\n")
        made = cls.gateway.run("key", "revoke", "revoked")
        assert made.returncode == 0, made.stderr
        cls.gateway.start()

    def refused(self, key, *words, challenge="invalid_token"):
        for client in (Client(self.gateway, key), Client(self.gateway, key, modern=True)):
            with client:
                answer = client.rpc("tools/list")
                self.assert_error(answer, 401, -32600, *words)
                self.assertTrue(answer.headers["WWW-Authenticate"].startswith("Bearer "))
                self.assertEqual("invalid_token" in answer.headers["WWW-Authenticate"], bool(challenge))
                self.assertNotIn(key or "sgk_x", answer.body.decode())
        self.assert_served()

    def test_no_token(self):
        self.refused(None, "Authorization", challenge=None)

    def test_wrong_tokens(self):
        good = self.gateway.keys["alice"]
        other = good[:20] + ("A" if good[20] != "A" else "B") + good[21:]
        for key in ("x", "sgk_x", other, good[:-1], good + "a", good.upper(), "a" * 5000, "sgk_" + "a" * 60):
            with self.subTest(key=key):
                self.refused(key, "key")

    def test_revoked_and_expired(self):
        self.refused(self.gateway.keys["revoked"], "revoked", "new")
        self.refused(self.gateway.keys["expired"], "expired", "new")

    def test_other_schemes(self):
        for value in ("Basic YTpi", "Bearer", "Bearer ", self.gateway.keys["alice"], "", "Bearer a b"):
            answer = self.client().send(body=self.client().message("ping"), more={"Authorization": value})
            self.assertEqual(answer.status, 401, (value, answer))
            self.assertTrue(answer.headers["WWW-Authenticate"])

    def test_every_method_needs_a_token(self):
        for method in ("POST", "GET", "DELETE"):
            answer = self.client().send(method, PING if method == "POST" else None, JSON_HEADERS)
            self.assertEqual(answer.status, 401, answer)
        self.assertEqual(self.client().send("GET", None, {}, path="/healthz").status, 200)

    def test_secrets_are_not_logged(self):
        self.assertNotIn(self.gateway.keys["alice"], self.gateway.process.text())
        self.assertNotIn(gateway.TOKEN, self.gateway.process.text())

    def test_a_principal_without_a_policy(self):
        g = Gateway(self.emulator, {"policies": [{"name": "one", "match": {"principal": "alice"}}]}, ("alice", "bob"))
        self.addCleanup(g.stop)
        with Client(g, g.keys["bob"]) as client:
            self.assert_error(client.rpc("tools/list"), 403, -32600, "policies")
        with Client(g, g.keys["alice"]) as client:
            self.assertEqual(client.rpc("tools/list").status, 200)

    def test_no_authentication_behind_a_proxy(self):
        g = Gateway(self.emulator)
        self.addCleanup(g.stop)
        for name in ("X-Forwarded-For", "Forwarded", "Via", "X-Forwarded-Host"):
            with Client(g) as client:
                answer = client.send(body=client.message("ping"), more={name: "1.2.3.4"})
                self.assert_error(answer, 403, -32600, "auth.mode")


class Upstream(Case):
    """A Snowflake that does not do what it should. A read tries again, so the faults stay until they are cleared."""

    conf = {"snowflake": {"request_timeout": "1s", "connect_timeout": "1s", "retries": 1}}

    def setUp(self):
        self.emulator.reset()

    def tearDown(self):
        self.emulator.clear()
        self.assert_served()

    def broken(self, action, *words, retryable=True, op="submit", client=None, sql="SELECT 'x'", **arguments):
        self.emulator.fault(action, op=op, times=-1)
        for each in (client,) if client else (self.client(), self.client(modern=True)):
            begin = time.monotonic()
            answer = each.query(sql, **arguments)
            self.assert_tool_error(answer, *words)
            self.assertEqual(answer.meta_error["retryable"], retryable, answer)
            self.assertNotIn(gateway.TOKEN, answer.body.decode())
            self.assertLess(time.monotonic() - begin, 10)

    def test_401(self):
        self.broken({"status": 401}, "credentials", "snowflake.connections.demo", "token", retryable=False)

    def test_403(self):
        self.broken({"status": 403}, "network policy", retryable=False)

    def test_429(self):
        self.broken({"status": 429}, "429", "try again")

    def test_5xx(self):
        for status in (500, 502, 503, 504):
            self.emulator.clear()
            self.broken({"status": status}, str(status), "try again")

    def test_html(self):
        self.broken({"status": 200, "body": "html"}, "JSON", "proxy")
        self.emulator.clear()
        self.broken({"status": 503, "body": "html"}, "503", "try again")
        self.emulator.clear()
        self.broken({"status": 200, "body": "empty"}, "JSON")
        self.emulator.clear()
        self.broken({"not_json": True}, "answer")

    def test_half_a_body(self):
        for op in ("submit", "poll"):
            self.emulator.clear()
            self.broken({"half_body": True}, "half an answer", "try again", op=op)

    def test_resets(self):
        self.broken({"reset_before": True}, "connection", "try again")
        self.emulator.clear()
        self.broken({"reset_after": True}, "connection", "try again")

    def test_a_hang(self):
        self.broken({"hang": True}, "did not answer within 1 s", "request_timeout")
        self.emulator.clear()
        self.broken({"hang": True}, "did not answer within 1 s", op="poll")

    def test_one_failure_is_not_seen(self):
        for action in ({"status": 503}, {"reset_before": True}, {"half_body": True}, {"hang": True}, {"status": 429}):
            for op in ("submit", "poll"):
                with self.subTest(action=action, op=op):
                    self.emulator.fault(action, op=op)
                    self.assertEqual(self.client(modern=True).query("SELECT 5").rows, [[5]])

    def test_a_write_whose_fate_is_unknown_says_so(self):
        g = Gateway(self.emulator, {**self.conf, "policies": [{"statements": ["read", "dml", "ddl"]}]})
        self.addCleanup(g.stop)
        with Client(g) as client:
            client.query("CREATE TABLE IF NOT EXISTS DEMO.PUBLIC.FATE (N INT)")
            self.broken({"reset_after": True}, "unknown", retryable=False, client=client,
                        sql="INSERT INTO DEMO.PUBLIC.FATE VALUES (1)")
            self.emulator.clear()
            self.assertEqual(client.query("SELECT N FROM DEMO.PUBLIC.FATE").rows, [["1"]])

    def test_refused_connections(self):
        g = Gateway(None, self.conf, upstream_port=free_port())
        self.addCleanup(g.stop)
        with Client(g) as client:
            self.assert_tool_error(client.query("SELECT 1"), "cannot connect", "127.0.0.1",
                                   "snowflake.connections.demo")
            self.assert_tool_error(client.tool("set_context", warehouse="WH_XS"), "cannot connect")
            self.assertEqual(client.rpc("tools/list").status, 200)
            self.assertEqual(client.initialize().status, 200)

    def test_a_name_that_does_not_resolve(self):
        g = Gateway(self.emulator, gateway.merge(json.loads(json.dumps(self.conf)), {
            "snowflake": {"connections": {"demo": {"host": "no-such-host.localhost.invalid", "protocol": "https"}}}}))
        self.addCleanup(g.stop)
        with Client(g) as client:
            self.assert_tool_error(client.query("SELECT 1"), "no-such-host", "host")

    def test_wrong_credentials(self):
        g = Gateway(self.emulator, {"snowflake": {"connections": {"demo": {"token": "not-the-token"}}}})
        self.addCleanup(g.stop)
        with Client(g) as client:
            answer = client.query("SELECT 1")
            self.assert_tool_error(answer, "credentials", "token")
            self.assertNotIn("not-the-token", answer.body.decode())


class Start(unittest.TestCase):
    """What is wrong before the start is told before the start, by file, line and key."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Gateway(None, start=False)
        cls.addClassCleanup(cls.folder.stop)
        for name, options in (("plain.p8", ["-nocrypt"]),
                              ("locked.p8", ["-passout", "pass:secret", "-v2", "aes-256-cbc"])):
            key = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, check=True).stdout
            pem = subprocess.run(["openssl", "pkcs8", "-topk8", *options], input=key, capture_output=True, check=True)
            cls.folder.secret_file(name, pem.stdout.decode())
        cls.folder.secret_file("empty.p8", "")
        cls.folder.secret_file("rubbish.p8", "nonsense\n")

    def gateway(self, conf=None):
        g = Gateway(None, conf, start=False)
        self.addCleanup(g.stop)
        return g

    def key_pair(self, **fields):
        g = self.gateway()
        demo = g.conf["snowflake"]["connections"]["demo"]
        demo.pop("token")
        demo.update(authenticator="snowflake_jwt", **fields)
        g.write()
        return g

    def assert_refused(self, g, *words):
        """By check and by serve, with the same text."""
        for command in ("check", "serve"):
            done = g.run(command)
            self.assertEqual(done.returncode, 1, (command, done.stdout, done.stderr))
            for word in words:
                self.assertIn(word, done.stderr)
            self.assertNotIn(gateway.TOKEN, done.stderr + done.stdout)

    def path(self, name):
        return os.path.join(self.folder.folder, name)

    def test_a_good_configuration(self):
        done = self.gateway().run("check")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = self.key_pair(private_key_file=self.path("locked.p8"), private_key_passphrase="secret").run("check")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_private_keys(self):
        where = "private_key_file"
        self.assert_refused(self.key_pair(private_key_file=self.path("none.p8")), where, "none.p8", "No such file")
        self.assert_refused(self.key_pair(private_key_file=self.path("empty.p8")), where, "empty")
        self.assert_refused(self.key_pair(private_key_file=self.path("rubbish.p8")), where, "PEM")
        self.assert_refused(self.key_pair(private_key_file=self.folder.folder), where)
        self.assert_refused(self.key_pair(private_key_file=self.path("locked.p8")), "passphrase")
        self.assert_refused(self.key_pair(private_key_file=self.path("locked.p8"), private_key_passphrase="wrong"),
                            "passphrase", "locked.p8")
        self.assert_refused(self.key_pair(), where, "missing")

    def test_a_private_key_that_may_not_be_read(self):
        """Root may read everything, so it lends the program to nobody."""
        g = self.key_pair(private_key_file=self.path("plain.p8"))
        lent = {}
        if os.geteuid() == 0:
            lent = {"user": 65534, "group": 65534, "extra_groups": []}
            for path in (self.folder.folder, g.folder, g.file, os.path.join(g.folder, "session-keys")):
                os.chown(path, 65534, 65534)
        os.chmod(self.path("plain.p8"), 0)
        self.addCleanup(os.chmod, self.path("plain.p8"), 0o600)
        try:
            done = subprocess.run([gateway.program("snowgate"), "check", "-c", g.file], capture_output=True, text=True,
                                  timeout=20, cwd=g.folder, **lent)
        except PermissionError:
            self.skipTest("the program lies where nobody cannot reach it")
        self.assertEqual(done.returncode, 1, done)
        for word in ("private_key_file", "plain.p8", "Permission denied"):
            self.assertIn(word, done.stderr)

    def test_a_port_that_is_taken(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            for section in ("listen", "admin"):
                g = self.gateway({section: {"port": s.getsockname()[1]}})
                done = g.run("serve")
                self.assertEqual(done.returncode, 1)
                for word in (str(s.getsockname()[1]), "taken", section + ".port"):
                    self.assertIn(word, done.stderr)

    def test_unknown_keys(self):
        for conf, words in (({"listen": {"prot": 1}}, ("listen.prot", "unknown key", "port")),
                            ({"lisen": {"port": 1}}, ("lisen", "unknown key", "listen")),
                            ({"limits": {"default": {"runing": 1}}}, ("runing", "running")),
                            ({"policies": [{"rolle": "X"}]}, ("rolle", "role")),
                            ({"snowflake": {"connections": {"demo": {"acount": "x"}}}}, ("acount", "account"))):
            with self.subTest(conf=conf):
                g = self.gateway(conf)
                self.assert_refused(g, *words)
                self.assertRegex(g.run("check").stderr, r"snowgate\.yaml:\d+: ")

    def test_wrong_types_and_bounds(self):
        for conf, words in (({"listen": {"port": "many"}}, ("listen.port", "65535")),
                            ({"listen": {"port": 65536}}, ("listen.port", "65535")),
                            ({"listen": {"port": -1}}, ("listen.port",)), ({"listen": {"port": 1.5}}, ("listen.port",)),
                            ({"listen": {"port": [1]}}, ("listen.port",)), ({"listen": []}, ("listen",)),
                            ({"listen": {"address": "nowhere"}}, ("listen.address",)),
                            ({"listen": {"drain": 5}}, ("listen.drain", "unit")),
                            ({"listen": {"max_body": "1TiB"}}, ("listen.max_body", "64MiB")),
                            ({"listen": {"max_body": "1B"}}, ("listen.max_body", "1KiB")),
                            ({"listen": {"allowed_origins": ["*"]}}, ("listen.allowed_origins",)),
                            ({"auth": {"mode": "perhaps"}}, ("auth.mode", "required, none")),
                            ({"auth": {"mode": "none"}, "listen": {"address": "0.0.0.0"}}, ("auth.mode", "loopback")),
                            ({"session": {"required": "maybe"}}, ("session.required", "true or false")),
                            ({"session": {"key_file": "/nonexistent/keys"}}, ("session.key_file", "No such file")),
                            ({"snowflake": {"max_in_flight": 0}}, ("snowflake.max_in_flight", "1")),
                            ({"snowflake": {"connection": "other"}}, ("other",)),
                            ({"limits": {"default": {"running": 0}}}, ("running", "1")),
                            ({"limits": []}, ("limits",)), ({"policies": []}, ("policies",)),
                            ({"policies": [{"statements": ["everything"]}]}, ("statements", "read")),
                            ({"policies": [{"limits": "none"}]}, ("limits", "none")),
                            ({"log": {"level": "loud"}}, ("log.level", "debug"))):
            with self.subTest(conf=conf):
                self.assert_refused(self.gateway(conf), *words)

    def test_every_fault_is_told(self):
        g = self.gateway({"listen": {"port": -1, "drain": "x"}, "log": {"level": "loud"}, "nonsense": 1})
        done = g.run("check")
        for word in ("listen.port", "listen.drain", "log.level", "nonsense"):
            self.assertIn(word, done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 4)

    def test_files_that_are_no_configuration(self):
        g = self.gateway()
        for text in ("listen: [", "\t- x", "listen: {port: 1}\nlisten: {port: 2}\n", "- a\n", "text",
                     "a: &x 1\nb: *x\n",
                     "listen:\n  port: ${NOT_SET_ANYWHERE}\n", "\x00", "[" * 10000):
            with self.subTest(text=text[:40]):
                g.write(text)
                done = g.run("check")
                self.assertEqual(done.returncode, 1, done)
                self.assertIn("snowgate.yaml", done.stderr)
        os.unlink(g.file)
        self.assert_refused(g, "snowgate.yaml", "No such file")

    def test_the_environment_is_checked_too(self):
        done = self.gateway().run("check", env={"SNOWGATE_LISTEN_PORT": "x"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("SNOWGATE_LISTEN_PORT", done.stderr)

    def test_a_key_file_with_a_fault(self):
        g = self.gateway({"auth": {"mode": "required"}})
        g.secret_file("api-keys", "alice nonsense\n")
        done = g.run("serve")
        self.assertEqual(done.returncode, 1)
        self.assertIn("api-keys:1:", done.stderr)

    def test_commands_that_are_none(self):
        for arguments in (("nonsense",), ("key",), ("key", "new"), ("key", "new", "a b"),
                          ("key", "new", "x", "--expires", "1"),
                          ("key", "revoke", "nobody"), ("check", "more")):
            done = self.gateway().run(*arguments)
            self.assertIn(done.returncode, (1, 2), arguments)
            self.assertTrue(done.stderr, arguments)


if __name__ == "__main__":
    gateway.main()
