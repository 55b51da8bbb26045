#!/usr/bin/env python3
"""JSON-RPC batches: a matter of revision 2025-03-26 and of no other."""

import json
import time

import gateway
from gateway import LEGACY, META, MODERN, Case, wait_for

BATCHED = "2025-03-26"
MOST = 100  # elements of a batch (mcp.h, RPC_BATCH_MAX)


class Batch(Case):
    conf = {"mcp": {"stream_after": "200ms"}}

    def session(self, **how):
        return self.legacy(revision=BATCHED, **how)

    def note(self, client, method="notifications/initialized", params=None):
        return client.message(method, params, notification=True)

    def query(self, client, sql):
        return client.tool_message("execute_query", {"query": sql, "format": "json"})

    def send(self, client, elements, **how):
        return client.stream(elements, drop=("MCP-Protocol-Version",), **how)

    def responses(self, client, elements, seconds=20):
        """{id: response}: of an array, or of a stream that carries responses one by one or together."""
        with self.send(client, elements) as stream:
            self.assertEqual(stream.open().status, 200, stream.headers)
            if stream.is_stream:
                found = []
                for event in stream.rest(seconds):
                    if event.data:
                        found += event.json if isinstance(event.json, list) else [event.json]
            else:
                found = stream.answer(seconds).json
                self.assertIsInstance(found, list)
        found = [m for m in found if "method" not in m]
        ids = [m["id"] for m in found]
        self.assertEqual(len(ids), len(set(map(repr, ids))), f"an id answered twice: {ids}")
        return {m["id"]: m for m in found}

    def assert_refused(self, answer, code=-32600, *words):
        self.assertEqual(answer.status, 400, answer)
        self.assertEqual(answer.error["code"], code, answer)
        for word in words:
            self.assertIn(word, answer.error["message"].lower())

    def test_requests_and_notifications(self):
        client = self.session()
        elements = [client.message("ping"), self.note(client), client.message("tools/list"),
                    self.query(client, "SELECT 'of the batch'"), self.note(client, "notifications/of_nobody")]
        asked = {e["id"] for e in elements if "id" in e}
        found = self.responses(client, elements)
        self.assertEqual(set(found), asked)
        self.assertEqual(found[elements[0]["id"]]["result"], {})
        self.assertTrue(found[elements[2]["id"]]["result"]["tools"])
        self.assertIn("of the batch", found[elements[3]["id"]]["result"]["content"][0]["text"])

    def test_one_request_is_an_array_too(self):
        client = self.session()
        message = client.message("ping")
        with self.send(client, [message]) as stream:
            answer = stream.answer()
        self.assertEqual(answer.json, [{"jsonrpc": "2.0", "id": message["id"], "result": {}}])

    def test_ids_of_every_kind(self):
        client = self.session()
        ids = [0, -1, "0", "", "x", 9007199254740993, "é"]
        found = self.responses(client, [{"jsonrpc": "2.0", "id": i, "method": "ping"} for i in ids])
        self.assertEqual(set(found), set(ids))

    def test_notifications_only(self):
        client = self.session()
        for elements in ([self.note(client)], [self.note(client), self.note(client, "notifications/of_nobody")],
                         [self.note(client, "notifications/cancelled", {"requestId": 99})] * 3):
            with self.send(client, elements) as stream:
                answer = stream.answer()
            self.assertEqual((answer.status, answer.body), (202, b""))

    def test_responses_only(self):
        client = self.session()
        elements = [{"jsonrpc": "2.0", "id": "nobody-asked", "result": {}},
                    {"jsonrpc": "2.0", "id": "nor-this", "error": {"code": -1, "message": "no"}}]
        with self.send(client, elements) as stream:
            self.assertEqual(stream.answer().status, 202)

    def test_empty(self):
        client = self.session()
        with self.send(client, []) as stream:
            self.assert_refused(stream.answer())
        self.assertEqual(client.rpc("ping").result, {})

    def test_initialize_inside(self):
        client = self.session()
        hello = client.message("initialize", {"protocolVersion": BATCHED, "capabilities": {},
                                              "clientInfo": {"name": "e2e", "version": "1"}})
        before = self.gateway.metric("snowgate_sessions_created_total")
        for who in (client, self.client(revision=BATCHED)):
            for elements in ([hello], [client.message("ping"), hello], [hello, client.message("ping")]):
                with self.send(who, elements) as stream:
                    answer = stream.answer()
                self.assertIsNone(answer.headers["Mcp-Session-Id"])
                if answer.status == 400:
                    self.assertEqual(answer.error["code"], -32600)
                else:
                    self.assertIn("error", {m["id"]: m for m in answer.json}[hello["id"]])
        self.assertEqual(self.gateway.metric("snowgate_sessions_created_total"), before)

    def test_other_revisions(self):
        for revision in LEGACY[1:]:
            client = self.legacy(revision=revision)
            for drop in ((), ("MCP-Protocol-Version",)):
                with self.subTest(revision=revision, drop=drop), \
                        client.stream([client.message("ping")], drop=drop) as stream:
                    self.assert_refused(stream.answer(), -32600, "batch")
            self.assertEqual(client.rpc("ping").result, {})

    def test_a_modern_claim_in_an_element(self):
        client, modern = self.session(), self.modern()
        claim = modern.message("tools/list")
        for elements in ([claim], [client.message("ping"), claim], [claim, client.message("ping")]):
            with self.send(client, elements) as stream:
                self.assert_refused(stream.answer())
            with modern.stream(elements, more={"MCP-Protocol-Version": MODERN}) as stream:
                self.assert_refused(stream.answer())
        note = {"jsonrpc": "2.0", "method": "notifications/x", "params": {"_meta": {META + "protocolVersion": MODERN}}}
        with self.send(client, [client.message("ping"), note]) as stream:
            self.assert_refused(stream.answer())

    def test_too_long(self):
        client = self.session()
        self.assertEqual(len(self.responses(client, [client.message("ping") for _ in range(MOST)])), MOST)
        with self.send(client, [client.message("ping") for _ in range(MOST + 1)]) as stream:
            self.assert_refused(stream.answer())
        with self.send(client, [self.note(client)] * 5000) as stream:
            self.assert_refused(stream.answer())

    def test_errors_are_each_element_s_own(self):
        client = self.session()
        elements = [client.message("ping"), client.message("no/such/method"),
                    client.message("tools/call", {"name": "no_such_tool"}), self.query(client, "SELECT 1/0"),
                    self.query(client, "SELECT 5"), client.message("tools/list", {"cursor": "x"}),
                    client.message("logging/setLevel", {"level": "loud"})]
        ids = [e["id"] for e in elements]
        found = self.responses(client, elements)
        self.assertEqual(set(found), set(ids))
        codes = [found[i].get("error", {}).get("code") for i in ids]
        self.assertEqual(codes, [None, -32601, -32602, None, None, -32602, -32602])
        self.assertTrue(found[ids[3]]["result"]["isError"])
        self.assertFalse(found[ids[4]]["result"].get("isError", False))

    def test_elements_of_a_wrong_shape(self):
        client = self.session()
        for bad in (1, "text", None, [], [client.message("ping")], {}, {"jsonrpc": "1.0", "id": 3, "method": "ping"},
                    {"jsonrpc": "2.0", "id": None, "method": "ping"}, {"jsonrpc": "2.0", "id": 4}):
            with self.subTest(bad=bad):
                good = client.message("ping")
                with self.send(client, [good, bad]) as stream:
                    answer = stream.answer()
                if answer.status == 400:
                    self.assertEqual(answer.error["code"], -32600)
                    continue
                self.assertEqual(answer.status, 200)
                by_id = {json.dumps(m.get("id")): m for m in answer.json}
                self.assertIn("result", by_id.pop(json.dumps(good["id"])))
                self.assertEqual([m["error"]["code"] for m in by_id.values()], [-32600])

    def test_slow_queries_run_together(self):
        client = self.session()
        sql, name = self.held(1)
        elements = [self.query(client, sql + f" || ' {n}'") for n in range(8)]
        begin = time.monotonic()
        found = self.responses(client, elements)
        self.assertLess(time.monotonic() - begin, 4, "one after the other")
        self.assertEqual(set(found), {e["id"] for e in elements})
        for n, element in enumerate(elements):
            self.assertIn(f"{name} {n}", found[element["id"]]["result"]["content"][0]["text"])
        self.assertEqual(len(self.emulator.records(name)), 8)
        self.assertEqual({r["executions"] for r in self.emulator.records(name)}, {1})

    def test_quick_and_slow_ones(self):
        client = self.session()
        sql, name = self.held(0.8)
        elements = [client.message("ping"), self.query(client, sql), self.query(client, "SELECT 6")]
        self.assertEqual(set(self.responses(client, elements)), {e["id"] for e in elements})

    def test_a_cancelled_element_has_no_response(self):
        client = self.session()
        long_sql, long_name = self.held(30)
        sql, _ = self.held(1)
        elements = [self.query(client, long_sql), self.query(client, sql), client.message("ping")]
        with self.send(client, elements) as stream:
            self.emulator.record(long_name, "held")
            answer = client.notify("notifications/cancelled", {"requestId": elements[0]["id"]})
            self.assertEqual(answer.status, 202)
            found = stream.messages() if stream.is_stream else stream.answer().json
        found = [m for entry in found for m in (entry if isinstance(entry, list) else [entry])]
        self.assertEqual({m["id"] for m in found if "method" not in m}, {e["id"] for e in elements[1:]})
        self.emulator.record(long_name, "cancelled", 2)

    def test_a_batch_that_is_cancelled_whole(self):
        client = self.session()
        sql, name = self.held(30)
        elements = [self.query(client, sql), self.query(client, sql)]
        with self.send(client, elements) as stream:
            wait_for(lambda: len(self.emulator.records(name)) == 2, 5, "both")
            for element in elements:
                client.notify("notifications/cancelled", {"requestId": element["id"]})
            stream.open()
            found = stream.messages() if stream.is_stream else stream.answer().body
            self.assertIn(found, ([], b"", b"[]"))
        wait_for(lambda: {r["state"] for r in self.emulator.records(name)} == {"cancelled"}, 3, "the cancels")

    def test_a_batch_that_is_left_goes_on(self):
        client = self.session()
        sql, name = self.held(0.8)
        stream = self.send(client, [self.query(client, sql), client.message("ping")])
        self.emulator.record(name, "held")
        stream.leave()
        self.assertEqual(self.emulator.record(name, "succeeded", 5)["executions"], 1)
        self.assertEqual(client.rpc("ping").result, {})

    def test_the_same_id_twice(self):
        client = self.session()
        twice = [{"jsonrpc": "2.0", "id": 5, "method": "ping"}] * 2
        with self.send(client, twice) as stream:
            answer = stream.answer()
        if answer.status == 200:
            self.assertEqual([m["id"] for m in answer.json], [5, 5], "one response for each request")
        else:
            self.assert_refused(answer)

    def test_without_a_session(self):
        client = self.client(revision=BATCHED)
        elements = [client.message("ping"), client.message("tools/list")]
        with self.send(client, elements) as stream:
            answer = stream.answer()
        if answer.status == 200:
            self.assertEqual({m["id"] for m in answer.json}, {e["id"] for e in elements})
        else:
            self.assert_refused(answer)

    def test_the_rate_counts_elements(self):
        g = self.another({"limits": {"default": {"calls_per_minute": 1, "burst": 8}}})
        client = self.session(of=g)
        with self.send(client, [client.message("tools/list") for _ in range(20)]) as stream:
            answer = stream.answer()
        if answer.status == 429:
            self.assertEqual(answer.error["code"], 42901)
            self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        else:
            codes = [m.get("error", {}).get("code") for m in answer.json]
            self.assertEqual(len(codes), 20)
            self.assertTrue(12 <= codes.count(42901) <= 15, codes)
            self.assertEqual(set(codes), {None, 42901})
        self.assertEqual(client.rpc("tools/list").status, 429, "the batch has used up the rate")


if __name__ == "__main__":
    gateway.main()
