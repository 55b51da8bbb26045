#!/usr/bin/env python3
"""The modern era: subscriptions, the ladder of checks, discover, arguments repeated in headers."""

import signal
import time

import gateway
from gateway import META, MODERN, Case, wait_for

SUBSCRIPTION = META + "subscriptionId"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
TOOLS = "notifications/tools/list_changed"
UPDATED = "notifications/resources/updated"
CORE, BOTH = ["core"], ["core", "classic"]


class Listen(Case):
    keys = ("alice", "bob", "few")
    conf = {"limits": {"default": {"calls_per_minute": 1000000, "burst": 100000, "running": 100, "queued": 1000},
                       "few": {"streams": 2, "calls_per_minute": 1000000, "burst": 100000}},
            "policies": [{"name": "few", "match": {"principal": "few"}, "limits": "few"}, Case.everything]}

    def listen(self, client, notifications, request_id=None, **how):
        message = client.message("subscriptions/listen", {"notifications": notifications})
        if request_id is not None:
            message["id"] = request_id
        return self.kept(client.stream(message, **how))

    def acknowledged(self, stream):
        """What is honoured; the acknowledgement comes first."""
        self.assertEqual(stream.open().status, 200)
        first = stream.next(2)
        self.assertIsNone(first.id)
        self.assertIsNone(first.retry)
        self.assertEqual(first.json["method"], ACKNOWLEDGED)
        self.assertNotIn("id", first.json)
        self.assertEqual(first.json["params"]["_meta"][SUBSCRIPTION], stream.id)
        self.assertIs(type(first.json["params"]["_meta"][SUBSCRIPTION]), type(stream.id))
        return first.json["params"]["notifications"]

    def change_tools(self, g=None):
        g = g or self.gateway
        policies = [dict(p) for p in g.conf["policies"]]
        policies[-1]["toolsets"] = CORE if policies[-1].get("toolsets") == BOTH else BOTH
        g.reload(policies=policies)

    def table(self, client):
        name = "HEARD_" + self.name()[7:12]
        self.assertFalse(client.query(f"CREATE TABLE DEMO.PUBLIC.{name} (N INT)").is_error)
        return f"DEMO.PUBLIC.{name}", f"snowflake://DEMO/PUBLIC/{name}"

    def test_the_acknowledgement_comes_first_and_at_once(self):
        client = self.modern()
        stream = self.listen(client, {"toolsListChanged": True})
        self.assertEqual(self.acknowledged(stream), {"toolsListChanged": True})
        self.assertLess(time.monotonic() - stream.sent, 0.8)

    def test_what_is_honoured(self):
        client = self.modern()
        uri = "snowflake://DEMO/PUBLIC/CUSTOMERS"
        everything = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True,
                      "resourceSubscriptions": [uri]}
        offered = client.rpc("server/discover").result["capabilities"]
        self.assertTrue(offered["tools"]["listChanged"])
        for asked, honoured in ((everything, everything), ({"toolsListChanged": True}, {"toolsListChanged": True}),
                                ({**everything, "taskIds": ["x"], "nonsense": True}, everything),
                                ({"resourceSubscriptions": [uri, uri + "_2"]},
                                 {"resourceSubscriptions": [uri, uri + "_2"]})):
            with self.subTest(asked=asked):
                told = self.acknowledged(self.listen(client, asked))
                self.assertEqual({k: v for k, v in told.items() if v}, honoured)
        for asked in ({}, {"nonsense": True}, {"toolsListChanged": False}):
            with self.subTest(asked=asked):
                told = self.acknowledged(self.listen(client, asked))
                self.assertEqual({k: v for k, v in told.items() if v}, {})

    def test_the_id_keeps_its_type(self):
        client = self.modern()
        ids = (0, 7, -3, "7", "", "å-ü", "9007199254740993", 2 ** 53)
        streams = [self.listen(client, {"toolsListChanged": True}, request_id=i) for i in ids]
        for stream in streams:
            self.acknowledged(stream)
        self.change_tools()
        for request_id, stream in zip(ids, streams):
            told = stream.method(TOOLS, 3)["params"]["_meta"][SUBSCRIPTION]
            self.assertEqual((told, type(told)), (request_id, type(request_id)))

    def test_the_id_of_a_large_number_is_kept_to_the_digit(self):
        client = self.modern()
        stream = self.listen(client, {"toolsListChanged": True}, request_id=9007199254740993)
        self.acknowledged(stream)
        self.assertIn("9007199254740993", stream.got[0].data)

    def test_the_same_id_of_two_clients(self):
        one, two = self.modern("alice"), self.modern("bob")
        streams = [self.listen(who, {"toolsListChanged": True}, request_id=1) for who in (one, one, two)]
        for stream in streams:
            self.acknowledged(stream)
        self.change_tools()
        for stream in streams:
            stream.method(TOOLS, 3)
            self.assertEqual(stream.silent(0.1), [])

    def test_a_changed_list_is_told_once(self):
        client = self.modern()
        names = {t["name"] for t in client.rpc("tools/list").result["tools"]}
        stream = self.listen(client, {"toolsListChanged": True})
        self.acknowledged(stream)
        self.change_tools()
        message = stream.method(TOOLS, 3)
        self.assertEqual(message["params"]["_meta"], {SUBSCRIPTION: stream.id})
        self.assertNotIn("id", message)
        self.assertNotEqual({t["name"] for t in client.rpc("tools/list").result["tools"]}, names)
        self.assertEqual(stream.silent(0.3), [])
        self.change_tools()
        stream.method(TOOLS, 3)

    def test_only_what_was_asked_for(self):
        client = self.modern()
        table, uri = self.table(client)
        resources = self.listen(client, {"resourceSubscriptions": [uri + "_OTHER"]})
        nothing = self.listen(client, {"toolsListChanged": False})
        tools = self.listen(client, {"toolsListChanged": True})
        for stream in (resources, nothing, tools):
            self.acknowledged(stream)
        self.change_tools()
        self.assertFalse(client.query(f"INSERT INTO {table} VALUES (1)").is_error)
        tools.method(TOOLS, 3)
        for stream in (resources, nothing, tools):
            self.assertEqual([m["method"] for m in stream.silent(0.2)], [])
            self.assertFalse(stream.ended)

    def test_a_list_that_is_as_it_was_is_not_told(self):
        client = self.modern()
        prompts = client.rpc("prompts/list").result["prompts"]
        stream = self.listen(client, {"promptsListChanged": True})
        self.acknowledged(stream)
        self.change_tools()
        self.assertEqual(client.rpc("prompts/list").result["prompts"], prompts)
        self.assertEqual(stream.silent(0.3), [])

    def test_updates_of_resources(self):
        client, writer = self.modern("alice"), self.modern("bob")
        table, uri = self.table(client)
        stream = self.listen(client, {"resourceSubscriptions": [uri]})
        self.assertEqual(self.acknowledged(stream), {"resourceSubscriptions": [uri]})
        for sql in (f"INSERT INTO {table} VALUES (1), (2)", f"UPDATE {table} SET N = 3", f"DELETE FROM {table}",
                    f"ALTER TABLE {table} ADD COLUMN M INT", f"TRUNCATE TABLE {table}", f"DROP TABLE {table}"):
            with self.subTest(sql=sql):
                self.assertFalse(writer.query(sql).is_error, sql)
                message = stream.method(UPDATED, 3)
                self.assertEqual(message["params"], {"uri": uri, "_meta": {SUBSCRIPTION: stream.id}})
                self.assertEqual(stream.silent(0.1), [])

    def test_names_are_resolved_in_the_statement_s_context(self):
        client = self.modern()
        table, uri = self.table(client)
        stream = self.listen(client, {"resourceSubscriptions": [uri]})
        self.acknowledged(stream)
        short = table.split(".")[-1]
        for sql in (f"INSERT INTO {short.lower()} VALUES (1)", f'INSERT INTO "PUBLIC"."{short}" VALUES (1)'):
            self.assertFalse(client.query(sql).is_error)
            stream.method(UPDATED, 3)

    def test_a_statement_that_fails_or_only_reads_updates_nothing(self):
        client = self.modern()
        table, uri = self.table(client)
        stream = self.listen(client, {"resourceSubscriptions": [uri]})
        self.acknowledged(stream)
        self.assertTrue(client.query(f"INSERT INTO {table} VALUES ('no number')").is_error)
        self.assertFalse(client.query(f"SELECT * FROM {table}").is_error)
        self.assertFalse(client.query(f"INSERT INTO {table} VALUES (1)", dry_run=True).is_error)
        self.assertEqual(stream.silent(0.4), [])

    def test_wrong_params(self):
        client = self.modern()
        for params in ({}, {"notifications": None}, {"notifications": []}, {"notifications": True},
                       {"notifications": {"toolsListChanged": "yes"}},
                       {"notifications": {"resourceSubscriptions": "x"}},
                       {"notifications": {"resourceSubscriptions": [1]}}):
            with self.subTest(params=params):
                answer = client.rpc("subscriptions/listen", params)
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.error["code"], -32602, answer)

    def test_the_legacy_era_does_not_know_it(self):
        answer = self.legacy().rpc("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        self.assertEqual((answer.status, answer.error["code"]), (200, -32601))

    def test_too_many_resources(self):
        client = self.modern()
        uris = [f"snowflake://DEMO/PUBLIC/T{n}" for n in range(1000)]
        with self.listen(client, {"resourceSubscriptions": uris}) as stream:
            if stream.open().headers["Content-Type"] == "application/json":
                self.assertEqual(stream.answer().error["code"], -32602)
            else:
                self.assertTrue(set(self.acknowledged(stream)["resourceSubscriptions"]) < set(uris))

    def test_a_client_that_leaves_frees_its_place(self):
        client = self.modern("few")
        for _ in range(3):
            streams = [self.listen(client, {"toolsListChanged": True}) for _ in range(2)]
            for stream in streams:
                self.acknowledged(stream)
            third = self.listen(client, {"toolsListChanged": True})
            third.open()
            self.assertEqual(third.status, 503, third.answer())
            self.assertEqual(third.answer().error["code"], 50301)
            self.assertGreaterEqual(int(third.headers["Retry-After"]), 1)
            self.acknowledged(self.listen(self.modern("alice"), {"toolsListChanged": True}))
            self.assertEqual(client.query("SELECT 1").rows, [[1]])
            for stream in streams:
                stream.leave()
            wait_for(lambda: self.opened(client), 5, "a free place")
            time.sleep(0.1)

    def opened(self, client):
        with self.listen(client, {"toolsListChanged": True}) as stream:
            return stream.open().status == 200

    def test_the_limit_counts_all_kinds_of_streams(self):
        legacy, modern = self.legacy("few"), self.modern("few")
        self.kept(legacy.listen()).open()
        self.acknowledged(self.listen(modern, {"toolsListChanged": True}))
        self.assertEqual(self.listen(modern, {"toolsListChanged": True}).open().status, 503)
        with legacy.listen() as stream:
            self.assertEqual(stream.open().status, 503)
        self.assertEqual(legacy.query("SELECT 1").rows, [[1]])

    def test_a_stop_ends_it_with_a_result(self):
        g = self.another()
        client = self.modern(of=g)
        streams = [self.listen(client, {"toolsListChanged": True}, request_id=i) for i in (5, "five")]
        for stream in streams:
            self.acknowledged(stream)
        g.process.signal(signal.SIGTERM)
        for stream in streams:
            answer = stream.answer(5)
            self.assertEqual(answer.json["id"], stream.id)
            self.assertEqual(answer.result["resultType"], "complete")
            self.assertEqual(answer.result["_meta"][SUBSCRIPTION], stream.id)
            self.assertEqual(stream.rest(3), [])
            self.assertTrue(stream.ended)
        self.assertEqual(g.process.wait(10), 0)


class Modern(Case):
    """What each request of the modern era must say, and what it is told."""

    def send(self, method="tools/list", params=None, meta=None, **how):
        client = self.modern()
        message = client.message(method, params)
        if meta is not None:
            message["params"]["_meta"] = meta
        return client.send(body=message, headers=client.headers(message), **how)

    def test_discover(self):
        result = self.modern().rpc("server/discover").result
        self.assertEqual(result["resultType"], "complete")
        self.assertEqual(result["supportedVersions"], [MODERN])
        self.assertNotIn("serverInfo", result)
        self.assertEqual(result["_meta"][META + "serverInfo"]["name"], "snowgate")
        self.assertTrue(isinstance(result["ttlMs"], int) and result["ttlMs"] >= 0)
        self.assertEqual(result["cacheScope"], "private")
        self.assertLessEqual(len(result["instructions"]), 1536)
        for capability in ("tools", "prompts", "resources", "completions"):
            self.assertIn(capability, result["capabilities"])
        self.assertNotIn("tasks", result["capabilities"])

    def test_removed_methods(self):
        for method, params in (("initialize", {}), ("ping", {}), ("logging/setLevel", {"level": "info"}),
                               ("resources/subscribe", {"uri": "snowflake://DEMO/PUBLIC/CUSTOMERS"}),
                               ("resources/unsubscribe", {"uri": "snowflake://DEMO/PUBLIC/CUSTOMERS"}),
                               ("tasks/list", {}), ("tasks/result", {"taskId": "x"}), ("sampling/createMessage", {})):
            with self.subTest(method=method):
                answer = self.send(method, params)
                self.assertEqual((answer.status, answer.error["code"]), (404, -32601), answer)
                self.assertIn("id", answer.json)

    def test_client_info_is_not_needed(self):
        meta = {META + "protocolVersion": MODERN, META + "clientCapabilities": {}}
        self.assertEqual(self.send(meta=meta).status, 200)
        meta[META + "clientInfo"] = {"name": "x", "version": "1", "title": "X"}
        self.assertEqual(self.send(meta=meta).status, 200)

    def test_versions(self):
        good = {META + "clientCapabilities": {}}
        for body, header, code in ((MODERN, "2025-11-25", -32020), ("v999", MODERN, -32020), ("v999", "v999", -32022),
                                   ("1900-01-01", "1900-01-01", -32022), ("2025-11-25", "2025-11-25", -32022)):
            with self.subTest(body=body, header=header):
                answer = self.send(meta={META + "protocolVersion": body, **good}, more={"MCP-Protocol-Version": header})
                self.assertEqual((answer.status, answer.error["code"]), (400, code), answer)
                self.assertIn("id", answer.json)
                if code == -32022:
                    self.assertEqual(answer.error["data"], {"supported": [MODERN], "requested": body})

    def test_missing_headers(self):
        client = self.modern()
        message = client.tool_message("execute_query", {"query": "SELECT 1"})
        for name in ("MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"):
            answer = client.send(body=message, headers=client.headers(message), drop=(name,))
            self.assertEqual((answer.status, answer.error["code"]), (400, -32020), (name, answer))
        for name, value in (("Mcp-Method", "TOOLS/CALL"), ("Mcp-Name", "Execute_Query"), ("Mcp-Name", "execute_query2"),
                            ("Mcp-Name", "=?base64?ZXhlY3V0ZV9xdWVyeQ?="), ("Mcp-Name", "=?base64?%%%%?="),
                            ("Mcp-Name", "=?BASE64?ZXhlY3V0ZV9xdWVyeQ==?=")):
            answer = client.send(body=message, more={name: value})
            self.assertEqual((answer.status, answer.error["code"]), (400, -32020), (value, answer))
        answer = client.send(body=message, more={"Mcp-Name": "=?base64?ZXhlY3V0ZV9xdWVyeQ==?="})
        self.assertEqual(answer.status, 200, answer)

    def test_arguments_are_repeated_in_headers(self):
        client = self.modern()
        sql = "SELECT CURRENT_WAREHOUSE()"
        tools = {t["name"]: t for t in client.rpc("tools/list").result["tools"]}
        marked = {k: v["x-mcp-header"] for k, v in tools["execute_query"]["inputSchema"]["properties"].items()
                  if "x-mcp-header" in v}
        self.assertNotIn("query", marked, "SQL text is never mirrored")
        self.assertNotIn("session", marked)
        if "warehouse" not in marked:
            self.skipTest("the warehouse is not marked")
        header = "Mcp-Param-" + marked["warehouse"]
        message = client.tool_message("execute_query", {"query": sql, "format": "json", "warehouse": "WH_XS"})
        base = {k: v for k, v in client.headers(message).items() if not k.startswith("Mcp-Param")}
        for good in ("WH_XS", " WH_XS \t", "=?base64?V0hfWFM=?="):
            self.assertEqual(client.send(body=message, headers={**base, header: good}).rows, [["WH_XS"]], good)
            self.assertEqual(client.send(body=message, headers={**base, header.upper(): good}).rows, [["WH_XS"]])
        for bad in ("WH_LOAD", "wh_xs", "", "=?base64?V0hfWFM?=", "=?base64?V0hf_FM=?=", "=?BASE64?V0hfWFM=?=",
                    "=?base64?/////w==?="):
            answer = client.send(body=message, headers={**base, header: bad})
            self.assertEqual((answer.status, answer.error["code"]), (400, -32020), (bad, answer))
        answer = client.send(body=message, headers=base)
        self.assertEqual((answer.status, answer.error["code"]), (400, -32020), answer)
        message["params"]["arguments"].pop("warehouse")
        self.assertEqual(client.send(body=message, headers=base).rows, [["COMPUTE_WH"]])

    def test_unknown_param_headers_are_ignored(self):
        client = self.modern()
        message = client.tool_message("execute_query", {"query": "SELECT 1", "format": "json"})
        self.assertEqual(client.send(body=message, more={"Mcp-Param-Of-Nobody": "x"}).rows, [[1]])

    def test_a_bad_log_level(self):
        for level in ("loud", 5, "", None, "INFO"):
            meta = {META + "protocolVersion": MODERN, META + "clientCapabilities": {}, META + "logLevel": level}
            answer = self.send(meta=meta)
            self.assertEqual(answer.error["code"], -32602, (level, answer))

    def test_notifications(self):
        client = self.modern()
        for method in ("notifications/cancelled", "notifications/of_nobody", "notifications/initialized"):
            answer = client.notify(method, {"requestId": 5})
            self.assertEqual((answer.status, answer.body), (202, b""), method)

    def test_nothing_is_remembered_between_requests(self):
        client = self.modern()
        self.assertEqual(client.send(body=client.message("tools/list", meta={META + "logLevel": "debug"})).status, 200)
        sql, _ = self.held(0.8)
        message = client.tool_message("execute_query", {"query": sql}, {"progressToken": 1})
        with client.stream(message) as stream:
            self.assertNotIn("notifications/message", {m.get("method") for m in stream.messages()})

    def test_every_result_says_who_and_that_it_is_complete(self):
        client = self.modern()
        for method, params in (("tools/list", None), ("prompts/list", None), ("resources/list", None),
                               ("resources/templates/list", None), ("server/discover", None),
                               ("tools/call", {"name": "set_context", "arguments": {}}),
                               ("tools/call", {"name": "execute_query", "arguments": {"query": "SELECT 1/0"}})):
            result = client.rpc(method, params).result
            self.assertEqual(result["resultType"], "complete", method)
            self.assertEqual(result["_meta"][META + "serverInfo"]["name"], "snowgate", method)


if __name__ == "__main__":
    gateway.main()
