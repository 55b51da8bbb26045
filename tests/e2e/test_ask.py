#!/usr/bin/env python3
"""Questions to the person behind the client before a destructive statement: on the call's stream in the legacy era, as
input_required in the modern one."""

import json
import signal
import time

import gateway
from gateway import LATEST, Case, wait_for

FORM = {"elicitation": {}}
ACCEPT, DECLINE, CANCEL = "accept", "decline", "cancel"


def filled(schema, yes=True):
    """Content that the requested schema allows, in the sense of yes or of no."""
    content = {}
    for name, part in schema.get("properties", {}).items():
        choices = part.get("enum") or [c["const"] for c in part.get("oneOf", ())]
        if part.get("type") == "boolean":
            content[name] = yes
        elif choices:
            content[name] = choices[0]
        elif part.get("type") == "string":
            content[name] = part.get("const", part.get("default", "yes"))
        else:
            raise AssertionError(f"what is to be filled in here? {name}: {part}")
    return content


class Ask(Case):
    keys = ("alice", "bob", "strict", "never")
    conf = {"mcp": {"stream_after": "200ms"},
            "policies": [{**Case.everything, "name": "strict", "match": {"principal": "strict"}, "confirm": "require"},
                         {**Case.everything, "name": "never", "match": {"principal": "never"}, "confirm": "never"},
                         {**Case.everything, "confirm": "ask"}]}

    def setUp(self):
        super().setUp()
        self.table = "DEMO.PUBLIC.ASKED_" + self.name()[7:12]
        answer = self.modern("never").query(f"CREATE TABLE {self.table} AS SELECT 1 AS N")
        self.assertFalse(answer.is_error, answer)
        self.delete = f"DELETE FROM {self.table}"

    def rows(self):
        return len(self.modern("never").query(f"SELECT N FROM {self.table}").rows)

    def assert_ran(self, times=1):
        self.assertEqual(self.rows(), 0)
        self.assertEqual(sum(r["executions"] for r in self.emulator.records(self.delete)), times)

    def assert_did_not_run(self):
        self.assertEqual(self.rows(), 1)
        self.assertEqual(self.emulator.records(self.delete), [])

    def asks(self, outcome):
        return self.gateway.metric(f'snowgate_asks_total{{outcome="{outcome}"}}')

    def assert_question(self, params):
        """The params of an elicitation/create that a person can answer."""
        self.assertIn(params.get("mode", "form"), ("form",))
        self.assertIn("DELETE", params["message"].upper())
        schema = params["requestedSchema"]
        self.assertEqual(schema["type"], "object")
        self.assertIsInstance(schema["properties"], dict)
        for part in schema["properties"].values():
            self.assertIn(part["type"], ("string", "number", "integer", "boolean", "array"))

    def assert_refused(self, answer):
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.is_error, answer)
        self.assertTrue(answer.text)


class Legacy(Ask):
    def asker(self, key="alice", capabilities=FORM, **how):
        return self.legacy(key, capabilities=capabilities, **how)

    def call(self, client, sql=None, **how):
        message = client.tool_message("execute_query", {"query": sql or self.delete})
        return self.kept(client.stream(message, **how))

    def question(self, stream):
        message = stream.method("elicitation/create", 5)
        self.assertEqual(message["jsonrpc"], "2.0")
        self.assertIsInstance(message["id"], (str, int))
        self.assert_question(message["params"])
        return message

    def respond(self, client, question, result=None, error=None):
        message = {"jsonrpc": "2.0", "id": question["id"]}
        if error is not None:
            message["error"] = error
        else:
            message["result"] = result
        return client.send(body=json.dumps(message), headers=client.headers({"method": "", **message}))

    def accept(self, client, question):
        content = filled(question["params"]["requestedSchema"])
        return self.respond(client, question, {"action": ACCEPT, "content": content})

    def test_accept(self):
        for revision in ("2025-06-18", LATEST):
            self.setUp()
            client, before = self.asker(revision=revision), self.asks("accepted")
            stream = self.call(client)
            question = self.question(stream)
            self.assert_did_not_run()
            answer = self.accept(client, question)
            self.assertEqual((answer.status, answer.body), (202, b""))
            self.assertFalse(stream.answer().is_error)
            self.assert_ran()
            self.assertEqual(self.asks("accepted"), before + 1)

    def test_questions_that_wait_have_a_ceiling(self):
        """A call that waits for its user holds memory, also when its client has left."""
        g = self.another({"limits": {"default": {"streams": 3}}})
        client = self.asker(None, of=g)
        waiting = [self.call(client) for _ in range(3)]
        questions = [self.question(stream) for stream in waiting]
        waiting[2].leave()
        wait_for(lambda: g.metrics().get('snowgate_streams{kind="call"}') == 2, 5, "its place among the streams")
        with client.stream(client.tool_message("execute_query", {"query": self.delete})) as refused:
            self.assertEqual(refused.open().status, 429)
            self.assertEqual(refused.answer().error["code"], 42902)
        self.respond(client, questions[0], {"action": "decline"})
        self.assertTrue(waiting[0].answer().is_error)
        self.question(self.call(client))
        self.assertEqual(client.send("DELETE", None).status, 200)
        for stream in waiting[1:2]:
            self.assertNotIn("result", [key for m in stream.rest(5) for key in (m.json if m.data else {})])

    def test_the_question_comes_before_stream_after(self):
        g = self.another({"mcp": {"stream_after": "10m"}})
        client = self.legacy(of=g, capabilities=FORM)
        stream = self.call(client)
        question = self.question(stream)
        self.assertLess(time.monotonic() - stream.sent, 2)
        self.assertEqual(self.accept(client, question).status, 202)
        self.assertFalse(stream.answer().is_error)
        self.assert_ran()

    def test_decline_and_cancel(self):
        for action in (DECLINE, CANCEL):
            client, before = self.asker(), self.asks("declined")
            stream = self.call(client)
            self.assertEqual(self.respond(client, self.question(stream), {"action": action}).status, 202)
            self.assert_refused(stream.answer())
            self.assert_did_not_run()
            self.assertEqual(self.asks("declined"), before + 1)
            self.assertEqual(stream.rest(2), [])

    def test_a_no_in_the_form(self):
        client = self.asker()
        stream = self.call(client)
        question = self.question(stream)
        schema = question["params"]["requestedSchema"]
        if not any(part.get("type") == "boolean" for part in schema["properties"].values()):
            self.skipTest("the form has no box")
        self.respond(client, question, {"action": ACCEPT, "content": filled(schema, yes=False)})
        self.assert_refused(stream.answer())
        self.assert_did_not_run()

    def test_wrong_content(self):
        for result in ({}, {"action": "yes"}, {"action": None}, {"action": ["accept"]}, {"content": {}}, [], "accept",
                       None, {"action": ACCEPT, "content": "yes"}, {"action": ACCEPT, "content": [True]},
                       {"action": "ACCEPT", "content": {}}):
            with self.subTest(result=result):
                client = self.asker()
                stream = self.call(client)
                question = self.question(stream)
                self.assertIn(self.respond(client, question, result).status, (202, 400))
                self.finish_unconfirmed(client, stream)

    def finish_unconfirmed(self, client, stream):
        """A call whose answer was no good: refused, or asked again, or still waiting; never run."""
        try:
            message = stream.until(lambda m: "id" in m, 1.5)
        except AssertionError:
            message = None
        self.assert_did_not_run()
        if message and "result" in message:
            self.assertTrue(message["result"]["isError"])
        elif message and "error" in message:
            pass
        else:
            self.assertEqual(client.notify("notifications/cancelled", {"requestId": stream.id}).status, 202)
            self.assert_did_not_run()

    def test_content_that_breaks_the_schema(self):
        client = self.asker()
        stream = self.call(client)
        question = self.question(stream)
        schema = question["params"]["requestedSchema"]
        if not schema.get("required"):
            self.skipTest("the form asks for nothing")
        for content in ({}, None, {name: {"x": 1} for name in schema["properties"]}):
            with self.subTest(content=content):
                client = self.asker()
                stream = self.call(client)
                self.respond(client, self.question(stream), {"action": ACCEPT, "content": content})
                self.finish_unconfirmed(client, stream)

    def test_a_response_with_an_error(self):
        client, before = self.asker(), self.asks("failed")
        stream = self.call(client)
        question = self.question(stream)
        answer = self.respond(client, question, error={"code": -32601, "message": "no elicitation here"})
        self.assertEqual(answer.status, 202)
        self.assert_refused(stream.answer())
        self.assert_did_not_run()
        self.assertEqual(self.asks("failed"), before + 1)

    def test_the_response_of_another_is_not_taken(self):
        client = self.asker()
        stream = self.call(client)
        question = self.question(stream)
        for thief in (self.asker("alice"), self.asker("bob")):
            self.assertIn(self.accept(thief, question).status, (202, 400))
        foreign = self.client("bob", session=client.session)
        self.assertEqual(self.accept(foreign, question).status, 404)
        self.assertEqual(self.accept(self.client("alice"), question).status, 400, "a response needs a session")
        self.assertEqual([m for m in stream.silent(0.3) if "result" in m], [])
        self.assert_did_not_run()
        self.assertEqual(self.accept(client, question).status, 202)
        self.assertFalse(stream.answer().is_error)
        self.assert_ran()

    def test_unknown_ids(self):
        client = self.asker()
        stream = self.call(client)
        question = self.question(stream)
        for other in ("nobody", "", 0, 5, -1, str(question["id"]) + "x", "x" * 5000):
            if other != question["id"]:
                self.assertIn(self.accept(client, {**question, "id": other}).status, (202, 400))
        if isinstance(question["id"], str):
            for other in (stream.id, str(stream.id)):
                self.assertIn(self.accept(client, {**question, "id": other}).status, (202, 400))
        self.assert_did_not_run()
        self.assertEqual(self.accept(client, question).status, 202)
        self.assertFalse(stream.answer().is_error)
        self.assertIn(self.accept(client, question).status, (202, 400), "the second answer is one too many")
        self.assert_ran()

    def test_two_questions_at_once(self):
        client = self.asker()
        keep = self.call(client)
        first = self.question(keep)
        run = self.call(client)
        second = self.question(run)
        self.assertNotEqual(first["id"], second["id"])
        self.respond(client, first, {"action": DECLINE})
        self.assert_refused(keep.answer())
        self.assert_did_not_run()
        self.accept(client, second)
        self.assertFalse(run.answer().is_error)
        self.assert_ran()

    def test_a_client_that_cannot_be_asked(self):
        for capabilities in ({}, {"sampling": {}, "roots": {}}, {"elicitation": {"url": {}}}):
            with self.subTest(capabilities=capabilities):
                self.setUp()
                client = self.asker(capabilities=capabilities)
                self.assertFalse(client.query(self.delete).is_error)
                self.assert_ran()
                self.setUp()
                self.assert_refused(self.asker("strict", capabilities).query(self.delete))
                self.assert_did_not_run()

    def test_without_a_session_nobody_can_be_asked(self):
        self.assertFalse(self.client("alice").query(self.delete).is_error)
        self.assert_ran()
        self.setUp()
        self.assert_refused(self.client("strict").query(self.delete))
        self.assert_did_not_run()

    def test_who_takes_no_stream_cannot_be_asked(self):
        stream = self.call(self.asker("strict"), more={"Accept": "application/json"})
        self.assertFalse(stream.is_stream)
        self.assert_refused(stream.answer())
        self.assert_did_not_run()
        stream = self.call(self.asker(), more={"Accept": "application/json"})
        self.assertFalse(stream.answer().is_error)
        self.assert_ran()

    def test_required_and_given(self):
        client = self.asker("strict")
        stream = self.call(client)
        self.accept(client, self.question(stream))
        self.assertFalse(stream.answer().is_error)
        self.assert_ran()

    def test_never(self):
        client = self.asker("never")
        self.assertFalse(client.query(self.delete).is_error)
        self.assert_ran()

    def test_which_statements_are_asked_about(self):
        client = self.asker()
        for sql in (f"UPDATE {self.table} SET N = 2", f"TRUNCATE TABLE {self.table}", f"DROP TABLE {self.table}",
                    f"CREATE OR REPLACE TABLE {self.table} (N INT)", f"ALTER TABLE {self.table} DROP COLUMN N",
                    f"MERGE INTO {self.table} USING (SELECT 1 AS M) S ON N = M WHEN MATCHED THEN DELETE",
                    f"/* a comment */ delete from {self.table}"):
            with self.subTest(sql=sql):
                stream = self.call(client, sql)
                question = stream.method("elicitation/create", 3)
                self.respond(client, question, {"action": DECLINE})
                self.assertTrue(stream.answer().is_error)
        for sql in ("SELECT 1", f"INSERT INTO {self.table} VALUES (5)", f"SELECT 'DELETE FROM {self.table}'",
                    f"CREATE TABLE {self.table}_2 (N INT)", f"SHOW TABLES IN SCHEMA DEMO.PUBLIC"):
            with self.subTest(sql=sql):
                stream = self.call(client, sql)
                self.assertFalse(stream.answer().is_error)
                self.assertNotIn("elicitation/create", [e.json.get("method") for e in stream.got])
        answer = client.query(self.delete, dry_run=True)
        self.assertFalse(answer.is_error, answer)

    def test_a_question_that_is_not_answered(self):
        g = self.another({"mcp": {"ask_timeout": "1s"}})
        client = self.legacy(of=g, capabilities=FORM)
        stream = self.call(client)
        question = self.question(stream)
        answer = stream.answer(6)
        self.assertTrue(0.8 < time.monotonic() - stream.sent < 4)
        self.assert_refused(answer)
        self.assertEqual(g.metric('snowgate_asks_total{outcome="timeout"}'), 1)
        self.assertIn(self.accept(client, question).status, (202, 400))
        self.assert_did_not_run()

    def test_a_question_is_resumed(self):
        client = self.asker()
        stream = self.call(client)
        priming = stream.next()
        self.assertEqual(priming.data, "")
        question = self.question(stream)
        stream.leave()
        with client.listen(priming.id) as again:
            self.assertEqual(self.question(again), question)
            self.accept(client, question)
            answer = again.answer()
        self.assertEqual(answer.json["id"], stream.id)
        self.assertFalse(answer.is_error)
        self.assert_ran()

    def test_answered_while_nobody_reads(self):
        client = self.asker()
        stream = self.call(client)
        priming = stream.next()
        question = self.question(stream)
        stream.leave()
        self.assertEqual(self.accept(client, question).status, 202)
        wait_for(lambda: self.emulator.records(self.delete), 5, "the statement")
        with client.listen(priming.id) as again:
            self.assertFalse(again.answer().is_error)
        self.assert_ran()

    def test_a_question_holds_no_slot(self):
        g = self.another({"limits": {"default": {"running": 1, "queued": 0}}})
        client = self.legacy(of=g, capabilities=FORM)
        stream = self.call(client)
        question = self.question(stream)
        self.assertEqual(client.query("SELECT 1").rows, [[1]])
        self.respond(client, question, {"action": DECLINE})
        self.assert_refused(stream.answer())

    def test_a_stop_while_asked(self):
        g = self.another({"listen": {"drain": "1s"}})
        client = self.legacy(of=g, capabilities=FORM)
        stream = self.call(client)
        self.question(stream)
        g.process.signal(signal.SIGTERM)
        self.assertTrue([m for m in stream.messages(6) if "error" in m or m["result"]["isError"]])
        self.assertEqual(g.process.wait(10), 0)
        self.assert_did_not_run()

    def test_cancelled_while_asked(self):
        client = self.asker()
        stream = self.call(client)
        question = self.question(stream)
        self.assertEqual(client.notify("notifications/cancelled", {"requestId": stream.id}).status, 202)
        self.assertEqual([m for m in stream.messages(3) if "result" in m or "error" in m], [])
        self.accept(client, question)
        self.assert_did_not_run()

    def test_deleted_while_asked(self):
        client = self.asker()
        stream = self.call(client)
        question = self.question(stream)
        self.assertEqual(client.send("DELETE").status, 200)
        self.assertEqual([m for m in stream.messages(3) if "result" in m], [])
        self.assertEqual(self.accept(client, question).status, 404)
        self.assert_did_not_run()


class Modern(Ask):
    def asker(self, key="alice", capabilities=FORM, **how):
        return self.modern(key, capabilities=capabilities, **how)

    def first(self, client, arguments=None):
        """The round that asks: (params of the call, the result)."""
        params = {"name": "execute_query", "arguments": arguments or {"query": self.delete, "format": "json"}}
        answer = client.rpc("tools/call", params)
        self.assertEqual(answer.status, 200, answer)
        result = answer.result
        self.assertEqual(result["resultType"], "input_required", result)
        self.assertTrue(result["inputRequests"])
        self.assertIsInstance(result["requestState"], str)
        for name in ("content", "ttlMs", "cacheScope"):
            self.assertNotIn(name, result)
        for request in result["inputRequests"].values():
            self.assertEqual(request["method"], "elicitation/create")
            self.assert_question(request["params"])
        return params, result

    def answers(self, result, action=ACCEPT, yes=True):
        return {key: {"action": action, "content": filled(request["params"]["requestedSchema"], yes)}
                if action == ACCEPT else {"action": action} for key, request in result["inputRequests"].items()}

    def retry(self, client, params, result, answers=None, **changed):
        more = {"inputResponses": self.answers(result) if answers is None else answers,
                "requestState": result["requestState"], **changed}
        return client.rpc("tools/call", {**params, **{k: v for k, v in more.items() if v is not None}})

    def assert_tampered(self, answer):
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.error["code"], -32602, answer)
        self.assert_did_not_run()

    def test_accept(self):
        client = self.asker()
        params, result = self.first(client)
        self.assert_did_not_run()
        answer = self.retry(client, params, result)
        self.assertFalse(answer.is_error, answer)
        self.assertEqual(answer.result["resultType"], "complete")
        self.assert_ran()

    def test_decline_and_cancel(self):
        for action in (DECLINE, CANCEL):
            client = self.asker()
            params, result = self.first(client)
            self.assert_refused(self.retry(client, params, result, self.answers(result, action)))
            self.assert_did_not_run()

    def test_another_connection_finishes(self):
        params, result = self.first(self.asker())
        self.assertFalse(self.retry(self.asker(), params, result).is_error)
        self.assert_ran()

    def test_another_replica_finishes(self):
        twin = self.another({"session": {"key_file": self.gateway.conf["session"]["key_file"]},
                             "policies": self.conf["policies"], "auth": {
                                 "mode": "required", "api_keys_file": self.gateway.folder + "/api-keys"}})
        params, result = self.first(self.asker())
        client = gateway.Client(twin, self.gateway.keys["alice"], modern=True, capabilities=FORM)
        self.addCleanup(client.close)
        self.assertFalse(self.retry(client, params, result).is_error)
        self.assert_ran()

    def test_a_tampered_state(self):
        client = self.asker()
        params, result = self.first(client)
        state = result["requestState"]
        at = len(state) // 2
        for changed in (state[:at] + ("A" if state[at] != "A" else "B") + state[at + 1:], state[:-2], state + "A", "x",
                        "", "é", state[::-1], "A" * 70000, state.swapcase(), 5, True, {"state": state}, [state]):
            with self.subTest(state=str(changed)[:40]):
                self.assert_tampered(self.retry(client, params, result, requestState=changed))
        self.assertFalse(self.retry(client, params, result).is_error)
        self.assert_ran()

    def test_the_state_is_no_text_of_ours(self):
        _, result = self.first(self.asker())
        for word in ("DELETE", "alice", "accept", self.table):
            self.assertNotIn(word, result["requestState"])

    def test_another_principal(self):
        params, result = self.first(self.asker("alice"))
        self.assert_tampered(self.retry(self.asker("bob"), params, result))

    def test_other_arguments(self):
        client = self.asker()
        params, result = self.first(client)
        for arguments in ({"query": self.delete + " WHERE N = 1", "format": "json"}, {"query": self.delete},
                          {**params["arguments"], "warehouse": "WH_XS"}, {**params["arguments"], "limit": 5}):
            with self.subTest(arguments=arguments):
                self.assert_tampered(self.retry(client, {**params, "arguments": arguments}, result))
        other = {"name": "list_objects", "arguments": {"kind": "table"}}
        self.assert_tampered(self.retry(client, other, result))

    def test_the_order_of_arguments_does_not_matter(self):
        client = self.asker()
        params, result = self.first(client, {"query": self.delete, "format": "json", "limit": 5})
        turned = {"arguments": {"limit": 5, "format": "json", "query": self.delete}, "name": "execute_query"}
        self.assertFalse(self.retry(client, turned, result).is_error)
        self.assert_ran()

    def test_an_expired_state(self):
        g = self.another({"mcp": {"ask_timeout": "1s"}})
        client = self.modern(of=g, capabilities=FORM)
        params, result = self.first(client)
        time.sleep(2.2)
        self.assert_tampered(self.retry(client, params, result))

    def test_a_missing_answer_asks_again(self):
        client = self.asker()
        params, result = self.first(client)
        for answers in ({}, {"other": {"action": ACCEPT, "content": {}}}):
            with self.subTest(answers=answers):
                answer = self.retry(client, params, result, answers)
                self.assertEqual(answer.result["resultType"], "input_required", answer)
                self.assertEqual(set(answer.result["inputRequests"]), set(result["inputRequests"]))
                self.assert_did_not_run()
        again = answer.result
        self.assertFalse(self.retry(client, params, again).is_error)
        self.assert_ran()

    def test_answers_without_a_state(self):
        client = self.asker()
        params, result = self.first(client)
        answer = self.retry(client, params, result, requestState=None)
        if "error" not in answer.json:
            self.assertIn(answer.result["resultType"], ("input_required", "complete"))
        if "result" not in answer.json or answer.result["resultType"] == "input_required":
            self.assert_did_not_run()

    def test_a_state_without_answers_asks_again(self):
        client = self.asker()
        params, result = self.first(client)
        answer = client.rpc("tools/call", {**params, "requestState": result["requestState"]})
        self.assertEqual(answer.result["resultType"], "input_required", answer)
        self.assert_did_not_run()

    def test_extra_keys_are_ignored(self):
        client = self.asker()
        params, result = self.first(client)
        answers = {"extra": {"action": DECLINE}, **self.answers(result),
                   "more": {"action": ACCEPT, "content": {"x": 1}}}
        self.assertFalse(self.retry(client, params, result, answers).is_error)
        self.assert_ran()

    def test_answers_of_a_wrong_shape(self):
        client = self.asker()
        params, result = self.first(client)
        key = next(iter(result["inputRequests"]))
        for answers in ({key: "accept"}, {key: {}}, {key: {"action": "yes"}}, {key: None}, {key: [ACCEPT]}, [], "x", 5,
                        {key: {"action": ACCEPT, "content": "yes"}}):
            with self.subTest(answers=answers):
                answer = self.retry(client, params, result, answers)
                if "error" in answer.json:
                    self.assertEqual(answer.error["code"], -32602)
                elif answer.result["resultType"] == "complete":
                    self.assertTrue(answer.is_error)
                self.assert_did_not_run()

    def test_a_no_in_the_form(self):
        client = self.asker()
        params, result = self.first(client)
        schemas = [r["params"]["requestedSchema"] for r in result["inputRequests"].values()]
        if not any(p.get("type") == "boolean" for s in schemas for p in s["properties"].values()):
            self.skipTest("the form has no box")
        self.assert_refused(self.retry(client, params, result, self.answers(result, yes=False)))
        self.assert_did_not_run()

    def test_a_client_that_cannot_be_asked(self):
        for capabilities in ({}, {"sampling": {}}, {"elicitation": {"url": {}}}):
            with self.subTest(capabilities=capabilities):
                self.setUp()
                self.assertFalse(self.asker(capabilities=capabilities).query(self.delete).is_error)
                self.assert_ran()
                self.setUp()
                answer = self.asker("strict", capabilities).query(self.delete)
                self.assertEqual((answer.status, answer.error["code"]), (400, -32021), answer)
                self.assertIn("elicitation", answer.error["data"]["requiredCapabilities"])
                self.assert_did_not_run()

    def test_the_capability_is_each_request_s_own(self):
        client = self.asker("strict")
        self.first(client)
        client.capabilities = {}
        self.assertEqual(client.query(self.delete).status, 400)
        self.assert_did_not_run()

    def test_required_and_given(self):
        client = self.asker("strict", {"elicitation": {"form": {}}})
        params, result = self.first(client)
        self.assertFalse(self.retry(client, params, result).is_error)
        self.assert_ran()

    def test_never(self):
        self.assertFalse(self.asker("never").query(self.delete).is_error)
        self.assert_ran()

    def test_what_destroys_nothing_is_not_asked_about(self):
        client = self.asker()
        self.assertEqual(client.query("SELECT 1").rows, [[1]])
        self.assertFalse(client.query(f"INSERT INTO {self.table} VALUES (2)").is_error)

    def test_a_slow_statement_after_the_question(self):
        client = self.asker()
        self.emulator.hold(self.delete, 0.8)
        params, result = self.first(client)
        message = client.message("tools/call", {**params, "inputResponses": self.answers(result),
                                                "requestState": result["requestState"]}, meta={"progressToken": 1})
        with client.stream(message) as stream:
            self.assertFalse(stream.answer().is_error)
            self.assertTrue(stream.is_stream)
        self.assert_ran()


if __name__ == "__main__":
    gateway.main()
