#!/usr/bin/env python3
"""The transport by hand: what may be asked for and how, what a stream looks like, both eras side by side, and what it
means when a client leaves or does not read."""

import json
import socket
import struct
import time

import gateway
from gateway import ACCEPT, LATEST, LEGACY, META, MODERN, Case, Cut, Stream, head, raw, wait_for

SOON = {"mcp": {"stream_after": "100ms"}}
CONTEXT = "SELECT CURRENT_WAREHOUSE()"
PASSING = (None, "*/*", ACCEPT, "text/event-stream, application/json", "application/json", "application/*",
           "Application/JSON , TEXT/Event-Stream", "application/json;q=0.1, text/event-stream;q=0.9",
           "application/json; charset=utf-8, text/event-stream", "text/html, */*;q=0.1", "application/json;q=1.000")
EXCLUDING = ("text/html", "text/html, application/xml;q=0.9", "*/*;q=0", "application/json;q=0",
             "application/json;q=0.000, text/html", "application/jsonp", "image/*")
STREAM_ONLY = ("text/event-stream", "application/json;q=0, text/event-stream", "application/json;q=0, */*", "text/*")


class Accept(Case):
    conf = SOON

    def ask(self, client, message, accept):
        headers = {k: v for k, v in client.headers(message).items() if k != "Accept"}
        if accept is not None:
            headers["Accept"] = accept
        body = json.dumps(message).encode()
        return Stream(self.gateway.port, head("POST", headers, len(body)) + body)

    def each(self):
        return self.legacy(), self.client(), self.modern()

    def test_what_lets_json_pass(self):
        for client in self.each():
            for accept in PASSING:
                with self.subTest(accept=accept, modern=client.modern), \
                        self.ask(client, client.message("tools/list"), accept) as stream:
                    answer = stream.answer()
                    self.assertEqual(answer.status, 200, answer)
                    self.assertEqual(answer.headers["Content-Type"], "application/json")
                    self.assertIn("tools", answer.result)

    def test_what_excludes_every_answer(self):
        for client in self.each():
            for accept in EXCLUDING:
                with self.subTest(accept=accept, modern=client.modern), \
                        self.ask(client, client.message("tools/list"), accept) as stream:
                    answer = stream.answer()
                    self.assertEqual(answer.status, 406, answer)
                    self.assertEqual(answer.error["code"], -32600)
                    self.assertIn("application/json", answer.error["message"])

    def test_json_is_never_sent_to_who_excludes_it(self):
        for client in self.each():
            for accept in STREAM_ONLY:
                with self.subTest(accept=accept, modern=client.modern), \
                        self.ask(client, client.message("tools/list"), accept) as stream:
                    if stream.open().status != 406:
                        self.assertEqual(stream.status, 200)
                        self.assertTrue(stream.is_stream, stream.headers)
                        self.assertIn("tools", stream.answer().result)

    def test_a_long_call_stays_json_for_who_takes_no_stream(self):
        sql, name = self.held(0.6)
        streams = []
        for client in self.each():
            message = client.tool_message("execute_query", {"query": sql, "format": "json"}, {"progressToken": 1})
            for accept in ("application/json", "application/json, text/event-stream;q=0"):
                streams.append((client.modern, accept, self.kept(self.ask(client, message, accept))))
        for modern, accept, stream in streams:
            with self.subTest(accept=accept, modern=modern):
                answer = stream.answer()
                self.assertEqual(answer.headers["Content-Type"], "application/json")
                self.assertEqual(answer.rows, [[name]])

    def test_get(self):
        client = self.legacy()
        for accept in ("text/event-stream", None, "*/*", "text/*", "application/json, text/event-stream;q=0.5",
                       "TEXT/event-stream; q=1"):
            with self.subTest(accept=accept):
                how = {"drop": ("Accept",)} if accept is None else {"more": {"Accept": accept}}
                with client.listen(**how) as stream:
                    self.assertEqual(stream.open().status, 200)
                    self.assertTrue(stream.is_stream)
        for accept in ("application/json", "text/event-stream;q=0", "text/plain", "*/*;q=0", "text/event-streams"):
            with self.subTest(accept=accept), client.listen(more={"Accept": accept}) as stream:
                self.assertEqual(stream.open().status, 406)
        self.assertEqual(client.rpc("ping").result, {})

    def test_delete_does_not_ask_for_it(self):
        for accept in ("*/*", "text/html", "application/json", None):
            client = self.legacy()
            headers = {k: v for k, v in client.headers().items() if k not in ("Accept", "Content-Type")}
            if accept:
                headers["Accept"] = accept
            self.assertEqual(client.send("DELETE", None, headers).status, 200, accept)

    def test_a_subscription_needs_a_stream(self):
        client = self.modern()
        message = client.message("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        with self.ask(client, message, "application/json") as stream:
            self.assertEqual(stream.open().status, 406)

    def test_content_type(self):
        for client in self.each():
            message = client.message("tools/list")
            for value in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/json;charset=UTF-8;x=y",
                          " application/json "):
                with self.subTest(value=value):
                    self.assertEqual(client.send(body=message, more={"Content-Type": value}).status, 200)
            for value in ("text/plain", "application/json-rpc", "text/event-stream", "application", "json", "*/*",
                          "application/vnd.api+json", "text/plain; x=application/json"):
                with self.subTest(value=value):
                    answer = client.send(body=message, more={"Content-Type": value})
                    self.assertEqual(answer.status, 415, answer)
            answer = client.send(body=json.dumps(message), headers=client.headers(message), drop=("Content-Type",))
            self.assertEqual(answer.status, 415)


class Headers(Case):
    keys = ("alice",)

    def lines(self, client, message=None):
        return [f"{k}: {v}" for k, v in client.headers(message).items()]

    def exchange(self, method, lines, body=b""):
        lines = [f"{method} /mcp HTTP/1.1", "Host: 127.0.0.1"] + lines + [f"Content-Length: {len(body)}"]
        return raw(self.gateway, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def test_a_bad_origin_alone(self):
        client, modern = self.legacy(), self.modern()
        for origin in ("https://evil.example", "null", f"http://127.0.0.1.evil.example:{self.gateway.port}"):
            bad = {"Origin": origin}
            with self.subTest(origin=origin):
                for answer in (client.rpc("ping", more=bad), modern.rpc("tools/list", more=bad),
                               client.send("GET", more={**bad, "Accept": "text/event-stream"}),
                               client.send("DELETE", more=bad)):
                    self.assertEqual(answer.status, 403, answer)
                    self.assertNotIn("id", answer.json)
                    self.assertIsNone(answer.headers["Access-Control-Allow-Origin"])
        self.assertEqual(client.rpc("ping").result, {})

    def test_an_own_origin_gets_streams(self):
        origin = f"http://localhost:{self.gateway.port}"
        with self.legacy().listen(more={"Origin": origin}) as stream:
            self.assertEqual(stream.open().status, 200)
            self.assertEqual(stream.headers["Access-Control-Allow-Origin"], origin)

    def test_headers_given_twice(self):
        legacy, modern = self.legacy(), self.modern()
        call = modern.tool_message("execute_query", {"query": "SELECT 1"})
        ping = legacy.message("ping")
        for client, message, lines in (
                (modern, call, ["Mcp-Method: tools/call"]), (modern, call, ["Mcp-Name: execute_query"]),
                (modern, call, ["Mcp-Param-Warehouse: A", "Mcp-Param-Warehouse: A"]),
                (modern, call, [f"MCP-Protocol-Version: {MODERN}"]),
                (legacy, ping, [f"MCP-Protocol-Version: {LATEST}"]),
                (legacy, ping, [f"Mcp-Session-Id: {legacy.session}"]), (legacy, ping, ["mcp-session-id: other"]),
                (modern, call, ["Mcp-Session-Id: a", "Mcp-Session-Id: a"]),
                (legacy, ping, [f"Authorization: Bearer {legacy.key}"]),
                (legacy, ping, ["AUTHORIZATION: Bearer nonsense"]),
                (legacy, ping, ["Last-Event-ID: a-1", "Last-Event-ID: a-1"])):
            with self.subTest(lines=lines, modern=client.modern):
                answer = self.exchange("POST", self.lines(client, message) + lines, json.dumps(message).encode())
                self.assertEqual(answer.status, 400, answer)
                self.assertEqual(answer.error["code"], -32600)
        for method, lines in (("GET", ["Last-Event-ID: a-1", "Last-Event-ID: b-1"]),
                              ("GET", [f"Mcp-Session-Id: {legacy.session}"]),
                              ("DELETE", [f"Mcp-Session-Id: {legacy.session}"])):
            with self.subTest(lines=lines, method=method):
                self.assertEqual(self.exchange(method, self.lines(legacy) + lines).status, 400)
        self.assertEqual(legacy.rpc("ping").result, {})
        self.assertEqual(modern.query("SELECT 1").rows, [[1]])

    def test_blanks_around_values_do_not_count(self):
        client, modern = self.legacy(), self.modern()
        message = client.message("ping")
        padded = [line.replace(": ", ":  \t", 1) + " \t " for line in self.lines(client, message)]
        self.assertEqual(self.exchange("POST", padded, json.dumps(message).encode()).result, {})
        message = modern.tool_message("execute_query", {"query": "SELECT 1", "format": "json"})
        padded = [line.replace(": ", ":  \t", 1) + " \t " for line in self.lines(modern, message)]
        self.assertEqual(self.exchange("POST", padded, json.dumps(message).encode()).rows, [[1]])

    def test_names_of_headers_have_no_case_and_values_have(self):
        modern = self.modern()
        message = modern.tool_message("execute_query", {"query": "SELECT 1", "format": "json"})
        lower = [line.split(":")[0].lower() + ":" + line.split(":", 1)[1] for line in self.lines(modern, message)]
        self.assertEqual(self.exchange("POST", lower, json.dumps(message).encode()).rows, [[1]])
        for name in ("Mcp-Method", "Mcp-Name"):
            answer = modern.send(body=message, more={name: modern.headers(message)[name].upper()})
            self.assertEqual((answer.status, answer.error["code"]), (400, -32020), answer)

    def test_other_methods(self):
        client = self.legacy()
        for method in ("PUT", "PATCH", "HEAD", "TRACE", "NONSENSE"):
            answer = client.send(method, None)
            self.assertEqual(answer.status, 405, answer)
            allowed = {name.strip() for name in answer.headers["Allow"].split(",")}
            self.assertLessEqual({"GET", "POST", "DELETE"}, allowed)
            self.assertNotIn(method, allowed)

    def test_allow_names_what_the_era_has(self):
        modern = {"MCP-Protocol-Version": MODERN}
        for method in ("GET", "DELETE"):
            answer = self.legacy().send(method, None, more=modern)
            self.assertEqual(answer.status, 405)
            self.assertEqual(answer.headers["Allow"], "POST, OPTIONS")

    def test_get_without_a_session(self):
        for client in (self.client(), self.modern()):
            with client.listen() as stream:
                self.assertEqual(stream.open().status, 405)
                self.assertIn("POST", stream.headers["Allow"])

    def test_every_request_is_authenticated(self):
        client = self.legacy()
        for drop, more in ((("Authorization",), None), ((), {"Authorization": "Bearer " + "x" * 43})):
            for answer in (client.rpc("ping", drop=drop, more=more), client.send("DELETE", drop=drop, more=more)):
                self.assertEqual(answer.status, 401, answer)
            for last in (None, "a" * 13 + "-0"):
                with client.listen(last, drop=drop, more=more) as stream:
                    self.assertEqual(stream.open().status, 401)
        self.assertEqual(client.rpc("ping").result, {})

    def test_the_modern_era_has_no_get(self):
        with self.legacy().listen(more={"MCP-Protocol-Version": MODERN}) as stream:
            self.assertIn(stream.open().status, (400, 405))

    def test_the_page_for_a_browser(self):
        answer = self.client().send("GET", None, {
            "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"})
        self.assertEqual(answer.status, 200, answer)
        self.assertTrue(answer.headers["Content-Type"].startswith("text/html"))
        for secret in (self.gateway.keys["alice"], gateway.TOKEN):
            self.assertNotIn(secret, answer.body.decode())


class Versions(Case):
    conf = SOON

    def test_an_unsupported_version_in_the_header(self):
        client = self.legacy()
        for version in ("1.0", "2099-01-01", "2024-10-07", "2025-11-25x", "2025-11-25, 2025-06-18", "latest"):
            more = {"MCP-Protocol-Version": version}
            with self.subTest(version=version):
                answer = client.rpc("ping", more=more)
                self.assertEqual((answer.status, answer.error["code"]), (400, -32022), answer)
                self.assertEqual(answer.error["data"]["requested"], version)
                self.assertIn(LATEST, answer.error["data"]["supported"])
                message = client.message("notifications/initialized", notification=True)
                self.assertEqual(client.send(body=message, more=more).status, 400)
                with client.listen(more=more) as stream:
                    self.assertEqual(stream.open().status, 400)
                self.assertEqual(client.send("DELETE", more=more).status, 400)
        self.assertEqual(client.rpc("ping").result, {})

    def test_another_supported_version_in_the_header(self):
        client = self.legacy(revision="2025-06-18")
        for version in LEGACY:
            self.assertEqual(client.rpc("ping", more={"MCP-Protocol-Version": version}).result, {})

    def test_every_legacy_revision_gets_its_streams(self):
        sql, name = self.held(0.5)
        for revision in ("2024-11-05",) + LEGACY:
            with self.subTest(revision=revision):
                client = self.client(revision=revision)
                self.assertEqual(client.initialize().result["protocolVersion"], revision)
                drop = () if revision >= "2025-06-18" else ("MCP-Protocol-Version",)
                with client.stream(client.tool_message("execute_query", {"query": sql}), drop=drop) as stream:
                    events = stream.rest()
                self.assertEqual(stream.status, 200)
                if revision == LATEST:
                    self.assertEqual((events[0].data, events[0].retry), ("", 1000), "the priming event")
                    self.assertTrue(events[0].id)
                    events = events[1:]
                self.assertTrue(all(event.data for event in events), f"an event without data: {events}")
                self.assertEqual(len([e for e in events if "result" in e.json]), 1)
                self.assertIn(name, events[-1].json["result"]["content"][0]["text"])
                self.assertTrue(events[-1].id)
                self.assertNotIn("resultType", events[-1].json["result"])

    def test_an_unknown_revision_is_served_as_the_latest(self):
        sql, _ = self.held(0.4)
        for revision in ("2023-01-01", "2027-01-01", MODERN, "nonsense"):
            client = self.client()
            self.assertEqual(client.initialize(revision).result["protocolVersion"], LATEST)
            with client.stream(client.tool_message("execute_query", {"query": sql})) as stream:
                self.assertEqual(stream.next().data, "")

    def test_the_session_s_revision_decides_where_the_header_is_missing(self):
        sql, _ = self.held(0.4)
        for revision in ("2025-06-18", LATEST):
            client = self.legacy(revision=revision)
            message = client.tool_message("execute_query", {"query": sql, "format": "json"})
            with client.stream(message, drop=("MCP-Protocol-Version",)) as stream:
                self.assertIn("structuredContent", stream.answer().result)
                self.assertEqual(stream.got[0].data == "", revision == LATEST)

    def test_eras_on_one_connection(self):
        client, modern = self.legacy(), self.modern()
        client.tool("set_context", warehouse="WH_XS")
        handle = modern.tool("set_context", warehouse="WH_LOAD").structured["session"]
        modern.close()
        stranger = self.client()
        local = client.connection.sock.getsockname()
        for _ in range(3):
            for who, arguments, expected in ((client, {}, "WH_XS"), (modern, {}, "COMPUTE_WH"),
                                             (modern, {"session": handle}, "WH_LOAD"), (stranger, {}, "COMPUTE_WH")):
                who.connection, answer = client.connection, None
                answer = who.query(CONTEXT, **arguments)
                self.assertEqual(answer.rows, [[expected]])
                self.assertEqual("resultType" in answer.result, who.modern)
                self.assertEqual(who.connection.sock.getsockname(), local)
            self.assertEqual(client.rpc("ping").result, {})
            modern.connection = client.connection
            self.assertEqual(modern.rpc("ping").status, 404)
            self.assertEqual(client.connection.sock.getsockname(), local)
        modern.connection = stranger.connection = None

    def test_a_modern_claim_with_a_session_header(self):
        session, modern = self.legacy(), self.modern()
        session.tool("set_context", warehouse="WH_XS")
        message = modern.tool_message("execute_query", {"query": CONTEXT, "format": "json"})
        for value in (session.session, "bogus", "x" * 128):
            for body in (message, modern.message("tools/list"), modern.message("server/discover")):
                answer = modern.send(body=body, more={"Mcp-Session-Id": value})
                self.assertEqual(answer.status, 200, answer)
                self.assertIsNone(answer.headers["Mcp-Session-Id"])
                self.assertEqual(answer.result["resultType"], "complete")
            self.assertEqual(modern.send(body=message, more={"Mcp-Session-Id": value}).rows, [["COMPUTE_WH"]])
        sql, _ = self.held(0.4)
        message = modern.tool_message("execute_query", {"query": sql}, {"progressToken": "t"})
        with modern.stream(message, more={"Mcp-Session-Id": session.session}) as stream:
            self.assertIsNone(stream.open().headers["Mcp-Session-Id"])
            self.assertTrue(all(event.id is None for event in stream.rest()))
        self.assertEqual(session.query(CONTEXT).rows, [["WH_XS"]])

    def test_a_claim_that_names_a_legacy_revision(self):
        client = self.client()
        for version in LEGACY:
            message = client.message("tools/list", {"_meta": {META + "protocolVersion": version,
                                                              META + "clientCapabilities": {}}})
            answer = client.send(body=message, more={"MCP-Protocol-Version": version, "Mcp-Method": "tools/list"})
            self.assertEqual((answer.status, answer.error["code"]), (400, -32022), answer)

    def test_other_meta_is_no_claim(self):
        client = self.legacy()
        for meta in ({"progressToken": 1}, {META + "clientInfo": {"name": "x", "version": "1"}}, {"x/y": 1}, {}):
            answer = client.send(body=client.message("tools/list", {"_meta": meta}))
            self.assertEqual(answer.status, 200, answer)
            self.assertNotIn("resultType", answer.result)


class Streams(Case):
    """What every stream looks like on the wire."""

    conf = SOON

    def each(self, hold=0.6, g=None):
        """A call's stream, a session's own, a modern call's, a subscription."""
        sql, _ = self.held(hold)
        legacy, modern = self.legacy(of=g), self.modern(of=g)
        call = {"query": sql}
        yield "call", self.kept(legacy.stream(legacy.tool_message("execute_query", call)))
        yield "get", self.kept(legacy.listen())
        yield "modern", self.kept(modern.stream(modern.tool_message("execute_query", call, {"progressToken": 1})))
        yield "listen", self.kept(modern.stream(modern.message("subscriptions/listen",
                                                               {"notifications": {"toolsListChanged": True}})))

    def test_headers(self):
        for name, stream in self.each():
            with self.subTest(stream=name):
                self.assertEqual(stream.open().status, 200)
                self.assertTrue(stream.headers["Content-Type"].startswith("text/event-stream"))
                cache = {part.strip() for part in stream.headers["Cache-Control"].split(",")}
                self.assertLessEqual({"no-cache", "no-transform"}, cache)
                self.assertEqual(stream.headers["X-Accel-Buffering"], "no")
                self.assertEqual(stream.headers["Transfer-Encoding"], "chunked")
                self.assertIsNone(stream.headers["Content-Length"])
                self.assertTrue(stream.headers["X-Request-Id"])

    def test_the_first_byte_comes_at_once(self):
        for name, stream in self.each(hold=3):
            with self.subTest(stream=name):
                wait_for(lambda: stream.silent(0.02) or stream.first_byte, 2, "the first byte of the body")
                self.assertLess(stream.first_byte - stream.sent, 0.8)
                stream.leave()

    def test_a_quick_call_is_json(self):
        g = self.another({"mcp": {"stream_after": "10s"}})
        for client in (self.legacy(of=g), self.modern(of=g)):
            message = client.tool_message("execute_query", {"query": "SELECT 1"}, {"progressToken": 1})
            with client.stream(message) as stream:
                self.assertEqual(stream.open().headers["Content-Type"], "application/json")
                self.assertIn("result", stream.answer().json)

    def test_a_call_becomes_a_stream_after_its_time(self):
        late = self.another({"mcp": {"stream_after": "600ms"}})
        sql, name = self.held(1.2)
        client = self.legacy(of=late)
        with client.stream(client.tool_message("execute_query", {"query": sql})) as stream:
            stream.open()
            self.assertTrue(0.55 < time.monotonic() - stream.sent < 1.1, time.monotonic() - stream.sent)
            self.assertTrue(stream.is_stream)
            self.assertIn(name, stream.answer().text)

    def test_a_modern_call_without_token_or_level_is_json(self):
        sql, name = self.held(0.6)
        client = self.modern()
        with client.stream(client.tool_message("execute_query", {"query": sql, "format": "json"})) as stream:
            self.assertEqual(stream.open().headers["Content-Type"], "application/json")
            self.assertEqual(stream.answer().rows, [[name]])

    def test_a_modern_stream_has_no_ids(self):
        sql, name = self.held(1)
        client = self.modern()
        for meta, method in (({"progressToken": "tök"}, "notifications/progress"),
                             ({META + "logLevel": "debug"}, "notifications/message")):
            with client.stream(client.tool_message("execute_query", {"query": sql, "format": "json"}, meta)) as stream:
                events = stream.rest()
            self.assertTrue(all(e.id is None and e.retry is None and e.data for e in events), events)
            messages = [e.json for e in events]
            self.assertEqual(messages[-1]["id"], stream.id)
            self.assertEqual(messages[-1]["result"]["resultType"], "complete")
            self.assertTrue(messages[:-1], "nothing was told")
            self.assertEqual({m["method"] for m in messages[:-1]}, {method})

    def test_progress(self):
        sql, _ = self.held(1.5)
        streams = [(client, token, self.kept(client.stream(client.tool_message("execute_query", {"query": sql},
                                                                               {"progressToken": token}))))
                   for client in (self.legacy(), self.modern(), self.legacy(revision="2024-11-05"))
                   for token in ("p-1", 7, 0, "")]
        for client, token, stream in streams:
            with self.subTest(modern=client.modern, revision=client.revision, token=token):
                events = [e for e in stream.rest() if e.data]
                told = [e.json for e in events if e.json.get("method") == "notifications/progress"]
                self.assertTrue(told)
                self.assertLess(len(told), 12, "at most a few per second")
                self.assertEqual([type(m["params"]["progressToken"]) for m in told], [type(token)] * len(told))
                self.assertEqual({m["params"]["progressToken"] for m in told}, {token})
                values = [m["params"]["progress"] for m in told]
                self.assertEqual(values, sorted(set(values)), "progress increases")
                self.assertTrue(all("id" not in m for m in told))
                self.assertTrue(all(e.id is None for e in events if "method" in e.json), "progress bears no id")
                self.assertIn("result", events[-1].json)
                if client.revision == "2024-11-05":
                    self.assertTrue(all("message" not in m["params"] for m in told))

    def test_without_a_session_there_is_nothing_to_resume(self):
        sql, name = self.held(0.6)
        client = self.client()
        with client.stream(client.tool_message("execute_query", {"query": sql}, {"progressToken": 1})) as stream:
            self.assertIn(name, stream.answer().text)
            self.assertTrue(all(e.id is None and e.data for e in stream.got), stream.got)

    def test_http_1_0(self):
        sql, name = self.held(0.4)
        client = self.legacy()
        message = client.tool_message("execute_query", {"query": sql})
        body = json.dumps(message).encode()
        request = head("POST", client.headers(message), len(body)).replace(b"HTTP/1.1", b"HTTP/1.0")
        with gateway.connect(self.gateway.port) as s:
            s.sendall(request + body)
            got = b""
            while more := s.recv(65536):
                got += more
        self.assertNotIn(b"chunked", got)
        self.assertIn(name.encode(), got.split(b"\r\n\r\n", 1)[1])

    def test_a_request_behind_a_stream(self):
        sql, name = self.held(0.4)
        client = self.legacy()
        requests = b""
        for message in (client.tool_message("execute_query", {"query": sql}), client.message("ping")):
            body = json.dumps(message).encode()
            requests += head("POST", client.headers(message), len(body)) + body
        with Stream(self.gateway.port, requests) as stream:
            self.assertIn(name, stream.answer().text)
            self.assertEqual(stream.rest(2), [])
            if stream.headers["Connection"] != "close":
                rest, stream.headers, stream.ended = stream.raw, None, False
                stream.raw = rest
                stream._digest()
                self.assertEqual(stream.answer(5).result, {})

    def test_keep_alive(self):
        g = self.another({"mcp": {"stream_after": "50ms", "sse_keepalive": "400ms"}})
        streams = list(self.each(hold=4, g=g))
        end = time.monotonic() + 2.6
        while time.monotonic() < end:
            for _, stream in streams:
                stream.silent(0.01)
        for name, stream in streams:
            with self.subTest(stream=name):
                times = [at for at, _ in stream.comments]
                self.assertTrue(3 <= len(times) <= 8, f"{len(times)} comments")
                gaps = [b - a for a, b in zip(times, times[1:])]
                if name in ("get", "listen"):
                    self.assertTrue(all(0.25 < gap < 0.75 for gap in gaps), gaps)

    def test_no_keep_alive(self):
        g = self.another({"mcp": {"sse_keepalive": "0s"}})
        with self.legacy(of=g).listen() as stream:
            stream.silent(1)
            self.assertLessEqual(len(stream.comments), 1, "more than the first byte")


class Leaving(Case):
    conf = SOON

    def cancels(self):
        return self.gateway.metric('snowgate_cancels_total{cause="disconnect"}')

    def left_stream(self, client, sql, meta=None):
        """A call that has become a stream and is left; what came of it."""
        stream = client.stream(client.tool_message("execute_query", {"query": sql, "format": "json"}, meta))
        event = stream.next() if not client.modern else stream.open() and None
        stream.leave()
        return stream, event

    def test_a_legacy_call_goes_on_and_its_answer_is_kept(self):
        sql, name = self.held(0.8)
        client, before = self.legacy(), self.cancels()
        stream, priming = self.left_stream(client, sql)
        self.assertEqual(priming.data, "")
        self.emulator.record(name, "succeeded", 5)
        time.sleep(0.2)
        with client.listen(last=priming.id) as again:
            self.assertEqual(again.open().status, 200)
            messages = again.messages()
        self.assertEqual([m["id"] for m in messages if "result" in m], [stream.id])
        self.assertEqual(messages[-1]["result"]["structuredContent"]["rows"], [[name]])
        self.assertEqual(self.emulator.record(name)["executions"], 1)
        self.assertEqual(self.cancels(), before)

    def test_a_legacy_call_is_met_while_it_runs(self):
        sql, name = self.held(1.5)
        client = self.legacy()
        stream, priming = self.left_stream(client, sql)
        with client.listen(last=priming.id) as again:
            self.assertEqual(self.emulator.record(name)["state"], "held")
            answer = again.answer()
            self.assertEqual((answer.json["id"], answer.rows), (stream.id, [[name]]))
            self.assertEqual(again.rest(), [])

    def test_a_modern_call_is_cancelled_upstream(self):
        for meta in (None, {"progressToken": 1}):
            with self.subTest(meta=meta):
                sql, name = self.held(30)
                client, before = self.modern(), self.cancels()
                cancelled = self.emulator.stats()["cancelled"]
                stream = client.stream(client.tool_message("execute_query", {"query": sql}, meta))
                self.emulator.record(name, "held")
                if meta:
                    self.assertTrue(stream.open().is_stream)
                stream.leave()
                self.emulator.record(name, "cancelled", 2)
                wait_for(lambda: self.cancels() == before + 1, 2, "the count")
                self.assertEqual(self.emulator.stats()["cancelled"], cancelled + 1)
                wait_for(lambda: self.gateway.metric("snowgate_slots_used") == 0, 5, "the slot")

    def test_every_way_to_leave_cancels(self):
        client = self.modern()
        half = b"POST /mcp HTTP/1.1\r\n"

        def reset(s):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
        for meta in (None, {"progressToken": 1}):
            for way, leave, extra in (("FIN", lambda s: s.close(), b""), ("RST", reset, b""),
                                      ("unread bytes", lambda s: s.close(), half),
                                      ("half-closed", lambda s: s.shutdown(socket.SHUT_WR), b"")):
                with self.subTest(meta=meta, way=way):
                    sql, name = self.held(30)
                    stream = self.kept(client.stream(client.tool_message("execute_query", {"query": sql}, meta)))
                    stream.socket.sendall(extra)
                    self.emulator.record(name, "held")
                    if meta:
                        stream.open()
                    leave(stream.socket)
                    self.emulator.record(name, "cancelled", 2)

    def test_a_subscription_that_is_left(self):
        client = self.modern()
        message = client.message("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        for _ in range(10):
            client.stream(message).leave()
            stream = client.stream(message)
            stream.open().leave()
        wait_for(lambda: self.gateway.metric('snowgate_streams{kind="listen"}') == 0, 5, "the streams to be gone")

    def test_a_modern_cancelled_notification_does_nothing(self):
        sql, name = self.held(0.8)
        client = self.modern()
        stream = client.stream(client.tool_message("execute_query", {"query": sql, "format": "json"}))
        self.emulator.record(name, "held")
        message = client.message("notifications/cancelled", {"requestId": stream.id}, notification=True)
        self.assertEqual(client.send(body=message).status, 202)
        self.assertEqual(stream.answer().rows, [[name]])

    def test_a_standalone_stream_that_is_left(self):
        client = self.legacy()
        for _ in range(20):
            client.listen().leave()
            client.listen().open().leave()
        wait_for(lambda: self.gateway.metric('snowgate_streams{kind="get"}') == 0, 5, "the streams to be gone")
        self.assertEqual(client.rpc("ping").result, {})

    def test_a_cancelled_legacy_stream_ends_without_a_response(self):
        sql, name = self.held(30)
        client = self.legacy()
        stream = self.kept(client.stream(client.tool_message("execute_query", {"query": sql})))
        priming = stream.next()
        self.emulator.record(name, "held")
        self.assertEqual(client.notify("notifications/cancelled", {"requestId": stream.id}).status, 202)
        self.assertEqual([m for m in stream.messages() if "result" in m or "error" in m], [])
        self.emulator.record(name, "cancelled", 2)
        with client.listen(last=priming.id) as again:
            self.assertIn(again.open().status, (200, 204))
            self.assertEqual([m for m in again.messages() if "id" in m] if again.status == 200 else [], [])


class Slow(Case):
    """A reader who does not read."""

    conf = {"mcp": {"stream_after": "100ms", "write_timeout": "1s", "sse_keepalive": "200ms"},
            "results": {"max_bytes": "1MiB", "max_cell": "16KiB", "default_rows": 1000}}
    SQL = "SELECT REPEAT('\"', 4000) AS Q, '{}' AS NAME FROM TABLE(GENERATOR(ROWCOUNT => 120))"

    def big(self):
        """A statement of some MiB of answer that takes its time."""
        _, name = self.held(0.4)
        return self.SQL.format(name)

    def stalled(self):
        return self.gateway.metric("snowgate_streams_stalled_total")

    def call(self, client, **how):
        meta = {"progressToken": 1} if client.modern else None
        message = client.tool_message("execute_query", {"query": self.big(), "format": "json"}, meta)
        return self.kept(client.stream(message, **how))

    def test_is_cut_off(self):
        for client in (self.modern(), self.legacy()):
            before = self.stalled()
            stream = self.call(client, buffer=4096)
            stream.open()
            wait_for(lambda: self.stalled() == before + 1, 8, "the stream to be cut off")
            with self.assertRaises(Cut):
                stream.rest(20)
            wait_for(lambda: self.gateway.metric('snowgate_streams{kind="call"}') == 0, 5, "the stream to be gone")

    def test_gets_the_rest_when_it_comes_back(self):
        client = self.legacy()
        before = self.stalled()
        stream = self.call(client, buffer=4096)
        priming = stream.next()
        wait_for(lambda: self.stalled() == before + 1, 8, "the stream to be cut off")
        stream.leave()
        with client.listen(last=priming.id) as again:
            answer = again.answer()
        self.assertEqual(len(answer.rows), 120)
        self.assertEqual(answer.rows[0][0], '"' * 4000)

    def test_who_reads_slowly_but_reads_is_served(self):
        g = self.another({**self.conf, "mcp": {"stream_after": "100ms", "write_timeout": "2s"}})
        streams = [self.call(client, buffer=65536) for client in (self.modern(of=g), self.legacy(of=g))]
        begin = time.monotonic()
        while not all(stream.ended for stream in streams):
            for stream in streams:
                if not stream.ended:
                    stream._receive(time.monotonic() + 5, 32768)
            time.sleep(0.05)
        self.assertGreater(time.monotonic() - begin, 3)
        self.assertEqual([len(stream.answer().rows) for stream in streams], [120, 120])
        self.assertEqual(g.metric("snowgate_streams_stalled_total"), 0)


if __name__ == "__main__":
    gateway.main()
