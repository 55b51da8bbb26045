#!/usr/bin/env python3
"""Lists and what is in them: pages and their cursors, resources, prompts, completion, caching hints, the log level."""

import base64

import gateway
from gateway import LEGACY, Case

LISTS = {"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources",
         "resources/templates/list": "resourceTemplates"}
CUSTOMERS = "snowflake://DEMO/PUBLIC/CUSTOMERS"
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


class Lists(Case):
    keys = ("alice", "bob", "narrow")
    conf = {"mcp": {"list_page": 2},
            "policies": [{"name": "narrow", "match": {"principal": "narrow"}, "databases": ["SNOWFLAKE_SAMPLE_DATA"]},
                         {**Case.everything, "toolsets": ["core", "classic"]}]}

    def each(self, key=None):
        return self.legacy(key), self.modern(key)

    def pages(self, client, method):
        """Every page of a list."""
        pages, cursor = [], None
        while True:
            result = client.rpc(method, {"cursor": cursor} if cursor is not None else {}).result
            pages.append(result[LISTS[method]])
            cursor = result.get("nextCursor")
            if cursor is None:
                return pages
            self.assertIsInstance(cursor, str)
            self.assertLess(len(pages), 500, "pages without end")

    def all(self, client, method):
        return [item for page in self.pages(client, method) for item in page]

    def cursor(self, client, method="tools/list"):
        return client.rpc(method).result["nextCursor"]

    def assert_bad_cursor(self, answer):
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.error["code"], -32602, answer)
        self.assertIn("cursor", answer.error["message"])


class Pages(Lists):
    def test_every_item_once_and_in_order(self):
        whole = self.another({"mcp": {"list_page": 1000}, "policies": self.conf["policies"][1:]})
        for method in LISTS:
            for modern in (False, True):
                with self.subTest(method=method, modern=modern):
                    client = self.modern() if modern else self.legacy()
                    of_all = self.modern(of=whole) if modern else self.legacy(of=whole)
                    pages = self.pages(client, method)
                    self.assertTrue(all(len(page) == 2 for page in pages[:-1]), [len(page) for page in pages])
                    self.assertTrue(len(pages[-1]) in (1, 2) or len(pages) == 1)
                    once = self.pages(of_all, method)
                    self.assertEqual(len(once), 1)
                    self.assertEqual([item for page in pages for item in page], once[0])
                    self.assertEqual(self.pages(client, method), pages, "another order the second time")

    def test_prompts_page_too(self):
        single = self.another({"mcp": {"list_page": 1}})
        client = self.modern(of=single)
        pages = self.pages(client, "prompts/list")
        self.assertGreaterEqual(len(pages), 2)
        self.assertEqual([len(page) for page in pages], [1] * len(pages))
        self.assertEqual(len({page[0]["name"] for page in pages}), len(pages))

    def test_a_cursor_is_good_for_another_connection_and_more_than_once(self):
        for modern in (False, True):
            first, second = (self.client("alice", modern=modern) for _ in range(2))
            cursor = self.cursor(first)
            answers = [who.rpc("tools/list", {"cursor": cursor}).result["tools"] for who in (first, second, second)]
            self.assertEqual(answers[0], answers[1])
            self.assertEqual(answers[0], answers[2])

    def test_a_tampered_cursor(self):
        for client in self.each():
            cursor = self.cursor(client)
            at = len(cursor) // 2
            for bad in (cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1:], cursor[:-2], cursor + "A",
                        cursor.swapcase(), cursor[::-1], "x", "0", "2", base64.b64encode(b'{"offset":2}').decode(),
                        "A" * 100000, "é", " ", cursor + "\n", "null"):
                with self.subTest(modern=client.modern, bad=bad[:40]):
                    self.assert_bad_cursor(client.rpc("tools/list", {"cursor": bad}))
            for bad in (5, True, [], {}, 1.5):
                with self.subTest(modern=client.modern, bad=bad):
                    self.assert_bad_cursor(client.rpc("tools/list", {"cursor": bad}))
            self.assertTrue(client.rpc("tools/list", {"cursor": cursor}).result["tools"])

    def test_another_s_cursor(self):
        for modern in (False, True):
            cursor = self.cursor(self.client("alice", modern=modern))
            self.assert_bad_cursor(self.client("bob", modern=modern).rpc("tools/list", {"cursor": cursor}))

    def test_another_list_s_cursor(self):
        for client in self.each():
            cursor = self.cursor(client)
            for method in LISTS:
                if method != "tools/list":
                    self.assert_bad_cursor(client.rpc(method, {"cursor": cursor}))

    def test_a_cursor_tells_nothing(self):
        cursor = self.cursor(self.modern("alice"))
        for text in (cursor, base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("latin-1")):
            self.assertNotIn("alice", text)
            self.assertNotIn("tools", text)

    def test_the_last_page_has_no_cursor(self):
        for client in self.each():
            cursor, last = None, None
            while True:
                last = client.rpc("tools/list", {"cursor": cursor} if cursor else {}).result
                if "nextCursor" not in last:
                    break
                cursor = last["nextCursor"]
            self.assertTrue(last["tools"])


class Hints(Lists):
    def test_caching_hints_are_the_modern_era_s(self):
        legacy, modern = self.each()
        calls = [(method, {}) for method in LISTS] + [("resources/read", {"uri": CUSTOMERS})]
        for method, params in calls:
            with self.subTest(method=method):
                old, new = legacy.rpc(method, params).result, modern.rpc(method, params).result
                self.assertIs(type(new["ttlMs"]), int)
                self.assertGreaterEqual(new["ttlMs"], 0)
                self.assertEqual(new["cacheScope"], "private")
                self.assertEqual(new["resultType"], "complete")
                for name in ("ttlMs", "cacheScope", "resultType"):
                    self.assertNotIn(name, old)
        tool = modern.query("SELECT 1").result
        for name in ("ttlMs", "cacheScope"):
            self.assertNotIn(name, tool)

    def test_hints_are_on_every_page(self):
        client = self.modern()
        first = client.rpc("tools/list").result
        second = client.rpc("tools/list", {"cursor": first["nextCursor"]}).result
        self.assertEqual((second["cacheScope"], second["ttlMs"]), (first["cacheScope"], first["ttlMs"]))

    def test_what_older_revisions_do_not_know_is_left_out(self):
        for revision in ("2024-11-05",) + LEGACY:
            client = self.legacy(revision=revision)
            tools = self.all(client, "tools/list")
            with self.subTest(revision=revision):
                self.assertEqual(any("annotations" in t for t in tools), revision >= "2025-03-26")
                self.assertTrue(all("title" not in t for t in tools) or revision >= "2025-06-18")
                late = any("icons" in t or "execution" in t for t in tools)
                self.assertTrue(not late or revision >= "2025-11-25")
                self.assertTrue(all(t["description"] and t["inputSchema"]["type"] == "object" for t in tools))

    def test_capabilities(self):
        for revision in ("2024-11-05",) + LEGACY:
            offered = self.client(revision=revision).initialize().result["capabilities"]
            for name in ("tools", "prompts", "resources", "logging"):
                self.assertIn(name, offered)
            self.assertTrue(offered["resources"]["subscribe"])
            self.assertTrue(offered["tools"]["listChanged"])
            self.assertEqual("completions" in offered, revision >= "2025-03-26")


class Resources(Lists):
    def read(self, client, uri):
        return client.rpc("resources/read", {"uri": uri})

    def assert_not_found(self, client, uri):
        answer = self.read(client, uri)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.error["code"], -32602 if client.modern else -32002, (uri, answer))
        return answer

    def test_templates(self):
        for client in self.each():
            templates = {t["uriTemplate"]: t for t in self.all(client, "resources/templates/list")}
            self.assertLessEqual({"snowflake://{database}/{schema}/{object}", "snowflake://result/{handle}"},
                                 set(templates))
            for template in templates.values():
                self.assertTrue(template["name"])

    def test_listed_resources_can_be_read(self):
        for client in self.each():
            for resource in self.all(client, "resources/list")[:6]:
                self.assertTrue(resource["name"])
                contents = self.read(client, resource["uri"]).result["contents"]
                self.assertTrue(contents)

    def test_a_table(self):
        for client in self.each():
            contents = self.read(client, CUSTOMERS).result["contents"]
            self.assertTrue(contents)
            self.assertTrue(all(c["uri"] == CUSTOMERS for c in contents))
            text = "".join(c["text"] for c in contents)
            for word in ("ID", "NAME"):
                self.assertIn(word, text)
            self.assertNotIn("Acme", text, "a description holds no rows")

    def test_what_is_not_there(self):
        for client in self.each():
            for uri in ("snowflake://DEMO/PUBLIC/NOT_THERE", "snowflake://NOT_THERE/PUBLIC/CUSTOMERS",
                        "snowflake://DEMO/NOT_THERE/CUSTOMERS", "snowflake://result/nonsense",
                        "snowflake://result/01b2c3d4-0000-0000-0000-000000000001.aaaaaaaaaaaaaaaaaaaaaaaaaa"):
                with self.subTest(uri=uri, modern=client.modern):
                    self.assert_not_found(client, uri)

    def test_uris_that_are_none_of_ours(self):
        for client in self.each():
            for uri in ("", "x", "http://example.com/x", "file:///etc/passwd", "snowflake://", "snowflake://DEMO",
                        "snowflake://DEMO/PUBLIC/CUSTOMERS/MORE", "snowflake://DEMO/PUBLIC/A;DROP TABLE B",
                        "snowflake://DEMO/../../x", "snowflake://DEMO//CUSTOMERS", "snowflake://" + "a" * 3000):
                with self.subTest(uri=uri[:60], modern=client.modern):
                    answer = self.read(client, uri)
                    self.assertEqual(answer.status, 200, answer)
                    self.assertIn(answer.error["code"], (-32602,) if client.modern else (-32002, -32602))

    def test_wrong_params(self):
        client = self.legacy()
        for params in ({}, {"uri": 5}, {"uri": None}, {"uri": [CUSTOMERS]}):
            self.assertEqual(client.rpc("resources/read", params).error["code"], -32602)

    def test_a_policy_s_databases_bound_what_can_be_read(self):
        for client in self.each("narrow"):
            answer = self.read(client, CUSTOMERS)
            self.assertIn("error", answer.json, answer)
            self.assertNotIn("NAME", str(answer.error.get("data")))
            uri = "snowflake://SNOWFLAKE_SAMPLE_DATA/TPCH_SF1/NATION"
            self.assertIn("N_NAME", self.read(client, uri).result["contents"][0]["text"])
            self.assertNotIn("DEMO", str(self.all(client, "resources/list")))

    def test_a_result(self):
        for client in self.each("alice"):
            handle = client.query("SELECT 'of alice' AS WHOSE").structured["statementHandle"]
            contents = self.read(client, f"snowflake://result/{handle}").result["contents"]
            self.assertIn("of alice", contents[0]["text"])

    def test_the_result_of_another(self):
        for client in self.each("alice"):
            handle = client.query("SELECT 'of alice' AS WHOSE").structured["statementHandle"]
            before = self.emulator.stats()["requests"]
            for thief in self.each("bob"):
                answer = self.assert_not_found(thief, f"snowflake://result/{handle}")
                self.assertNotIn("of alice", answer.body.decode())
            plain = handle.split(".")[0]
            for name in (plain, plain + "." + "a" * 26, handle[:-1], handle + "a"):
                self.assert_not_found(client, f"snowflake://result/{name}")
            self.assertEqual(self.emulator.stats()["requests"], before, "a forged handle reached Snowflake")

    def test_names_with_special_characters(self):
        writer = self.modern("alice")
        self.assertFalse(writer.query('CREATE TABLE DEMO.PUBLIC."odd name" ("a column" INT)').is_error)
        for client in self.each():
            contents = self.read(client, "snowflake://DEMO/PUBLIC/%22odd%20name%22")
            if "error" in contents.json:
                contents = self.read(client, "snowflake://DEMO/PUBLIC/odd%20name")
            self.assertIn("a column", contents.result["contents"][0]["text"])


class Prompts(Lists):
    FILLED = {"database": "DEMO", "schema": "PUBLIC", "object": "CUSTOMERS", "table": "CUSTOMERS"}

    def arguments(self, prompt):
        names = [a["name"] for a in prompt.get("arguments", ())]
        return {name: self.FILLED.get(name, "which customers are there?") for name in names}

    def test_every_listed_prompt_is_given(self):
        for client in self.each():
            prompts = self.all(client, "prompts/list")
            self.assertGreaterEqual(len(prompts), 2)
            for prompt in prompts:
                self.assertTrue(prompt["description"])
                answer = client.rpc("prompts/get", {"name": prompt["name"], "arguments": self.arguments(prompt)})
                result = answer.result
                self.assertTrue(result["messages"])
                for message in result["messages"]:
                    self.assertIn(message["role"], ("user", "assistant"))
                    self.assertEqual(message["content"]["type"], "text")
                self.assertEqual("resultType" in result, client.modern)
                self.assertNotIn("ttlMs", result)

    def test_missing_and_wrong(self):
        for client in self.each():
            prompts = self.all(client, "prompts/list")
            for prompt in prompts:
                required = [a["name"] for a in prompt.get("arguments", ()) if a.get("required")]
                for name in required:
                    arguments = {k: v for k, v in self.arguments(prompt).items() if k != name}
                    answer = client.rpc("prompts/get", {"name": prompt["name"], "arguments": arguments})
                    self.assertEqual(answer.error["code"], -32602, answer)
                    self.assertIn(name, answer.error["message"])
                if required:
                    answer = client.rpc("prompts/get", {"name": prompt["name"], "arguments": {required[0]: 5}})
                    self.assertEqual(answer.error["code"], -32602, answer)
            for params in ({"name": "no_such_prompt"}, {"name": "no_such_prompt", "arguments": {}},
                           {"name": prompts[0]["name"], "arguments": []},
                           {"name": prompts[0]["name"], "arguments": "x"}):
                self.assertEqual(client.rpc("prompts/get", params).error["code"], -32602, params)
        for params in ({}, {"name": 5}):
            self.assertEqual(self.legacy().rpc("prompts/get", params).error["code"], -32602, params)


class Completion(Lists):
    TEMPLATE = {"type": "ref/resource", "uri": "snowflake://{database}/{schema}/{object}"}

    def complete(self, client, name, value, ref=None, context=None):
        params = {"ref": ref or self.TEMPLATE, "argument": {"name": name, "value": value}}
        if context:
            params["context"] = {"arguments": context}
        return client.rpc("completion/complete", params)

    def values(self, *args, **how):
        completion = self.complete(*args, **how).result["completion"]
        self.assertLessEqual(len(completion["values"]), 100)
        return completion["values"]

    def test_names(self):
        for client in self.each():
            self.assertIn("DEMO", self.values(client, "database", "DE"))
            self.assertIn("DEMO", self.values(client, "database", "de"))
            self.assertIn("DEMO", self.values(client, "database", ""))
            self.assertNotIn("DEMO", self.values(client, "database", "XYZ"))
            self.assertIn("PUBLIC", self.values(client, "schema", "PU", context={"database": "DEMO"}))
            objects = self.values(client, "object", "CUST", context={"database": "DEMO", "schema": "PUBLIC"})
            self.assertIn("CUSTOMERS", objects)
            self.assertTrue(all(name.startswith("CUST") for name in objects), objects)

    def test_of_a_prompt(self):
        for client in self.each():
            for prompt in self.all(client, "prompts/list"):
                names = {a["name"] for a in prompt.get("arguments", ())}
                if "database" in names:
                    ref = {"type": "ref/prompt", "name": prompt["name"]}
                    self.assertIn("DEMO", self.values(client, "database", "D", ref=ref))
                    return
        self.fail("no prompt about a database")

    def test_a_policy_s_databases_bound_it(self):
        for client in self.each("narrow"):
            self.assertEqual(self.values(client, "database", "DE"), [])
            self.assertIn("SNOWFLAKE_SAMPLE_DATA", self.values(client, "database", ""))
            foreign = {"database": "DEMO", "schema": "PUBLIC"}
            self.assertEqual(self.values(client, "object", "CUST", context=foreign), [])

    def test_what_cannot_be_completed(self):
        for client in self.each():
            for params in ({}, {"ref": self.TEMPLATE},
                           {"ref": {"type": "ref/nothing"}, "argument": {"name": "x", "value": ""}},
                           {"ref": self.TEMPLATE, "argument": {"name": "database"}},
                           {"ref": self.TEMPLATE, "argument": {"name": 5, "value": ""}},
                           {"ref": self.TEMPLATE, "argument": {"name": "database", "value": 5}},
                           {"ref": {"type": "ref/prompt", "name": "no_such"}, "argument": {"name": "a", "value": ""}}):
                with self.subTest(params=params, modern=client.modern):
                    answer = client.rpc("completion/complete", params)
                    self.assertEqual(answer.status, 200)
                    self.assertEqual(answer.error["code"], -32602, answer)

    def test_a_value_that_is_sql(self):
        client = self.modern()
        for value in ("'; DROP TABLE X --", "%", "_", "\\", "é" * 500):
            self.assertEqual(self.values(client, "database", value), [])


class Logging(Lists):
    def test_levels(self):
        client = self.legacy()
        for level in LEVELS:
            self.assertEqual(client.rpc("logging/setLevel", {"level": level}).result, {})
        for params in ({"level": "loud"}, {"level": ""}, {"level": "INFO"}, {"level": 5}, {"level": None}, {}, None):
            answer = client.rpc("logging/setLevel", params)
            self.assertEqual((answer.status, answer.error["code"]), (200, -32602), params)

    def test_the_modern_era_has_none(self):
        answer = self.modern().rpc("logging/setLevel", {"level": "info"})
        self.assertEqual((answer.status, answer.error["code"]), (404, -32601))


if __name__ == "__main__":
    gateway.main()
