#!/usr/bin/env python3
"""Tasks, the extension io.modelcontextprotocol/tasks: what a call becomes that outlasts its request, and that it outlives
kill -9; on one node, with sqlite. SNOWGATE_LONG=1: more kills."""

import http.client
import random
import threading
import time

import gateway
from gateway import LONG, META, Case, Process, program, wait_for
from test_durable import STEADY, TABLE, Durably

TASKS = "io.modelcontextprotocol/tasks"
KILLS = 50 if LONG else 6
ENDED = ("completed", "failed", "cancelled")


class Tasking(Durably):
    """One client that declares the extension."""

    def setUp(self):
        super().setUp()
        self.asker = self.declaring("alice")
        extensions = self.asker.rpc("server/discover").result["capabilities"].get("extensions", {})
        self.assertIn(TASKS, extensions)

    def declaring(self, key="", of=None, **capabilities):
        return self.client(key, of=of, modern=True, capabilities={"extensions": {TASKS: {}}, **capabilities})

    def begin(self, seconds, client=None, **arguments):
        client, (sql, name) = client or self.asker, self.held(seconds)
        told = client.query(sql, **arguments).result
        self.assertEqual(told["resultType"], "task", told)
        self.assertEqual(told["status"], "working")
        self.assertGreaterEqual(len(told["taskId"]), 16)
        for member in ("result", "error", "inputRequests", "requestState", "task"):
            self.assertNotIn(member, told)
        return told["taskId"], name

    def ask(self, method, task, client=None):
        client = client or self.asker
        return client.rpc(method, {"taskId": task}, more={"Mcp-Name": task})

    def get(self, task):
        answer = self.ask("tasks/get", task).result
        self.assertEqual((answer["resultType"], answer["taskId"]), ("complete", task))
        return answer

    def done(self, task, seconds=15):
        def look():
            told = self.get(task)
            return told if told["status"] != "working" else None
        return wait_for(look, seconds, "the end of the task")


class Tasks(Tasking):
    def test_a_task_survives(self):
        task, name = self.begin(2)
        self.assertEqual(self.get(task)["status"], "working")
        self.again()
        self.assertEqual(self.get(task)["status"], "working")
        for _ in range(2):
            told = self.done(task)
            self.assertEqual(told["status"], "completed")
            self.assertEqual(told["result"]["structuredContent"]["rows"], [[name]])
            self.again()
        self.assertEqual(self.executions(name), 1)

    def test_a_write_as_a_task(self):
        name, sql = self.name(), f"CREATE TABLE IF NOT EXISTS {TABLE}_TASK (ID INT)"
        self.assertFalse(self.modern("alice").query(sql).is_error)
        self.emulator.hold(name, 2)
        told = self.asker.query(f"INSERT INTO {TABLE}_TASK SELECT 1 WHERE '{name}' <> ''").result
        self.again()
        self.assertEqual(self.done(told["taskId"])["result"]["structuredContent"]["rows"], [["1"]])
        self.assertEqual(self.executions(name), 1)

    def test_a_failed_statement_is_a_completed_task(self):
        _, name = self.held(1)
        told = self.asker.query(f"SELECT 1/0, '{name}'").result
        self.again()
        done = self.done(told["taskId"])
        self.assertEqual(done["status"], "completed")
        self.assertTrue(done["result"]["isError"])

    def test_somebody_else_s_and_unknown_ones(self):
        task, _ = self.begin(1.5)
        bob = self.declaring("bob")
        for _ in range(2):
            for method in ("tasks/get", "tasks/cancel"):
                self.assertEqual(self.ask(method, task, bob).error["code"], -32602)
                self.assertEqual(self.ask(method, task[:-1] + ("a" if task[-1] != "a" else "b")).error["code"], -32602)
            answer = self.ask("tasks/get", task, self.modern("alice"))
            self.assertEqual((answer.status, answer.error["code"]), (400, -32021))
            self.again()
        self.assertEqual(self.done(task)["status"], "completed")

    def test_cancelled_after_the_restart(self):
        task, name = self.begin(30)
        self.emulator.record(name, "held")
        self.again()
        for _ in range(2):
            self.assertEqual(self.ask("tasks/cancel", task).result["resultType"], "complete")
        self.assertEqual(self.emulator.record(name, "cancelled", 8)["executions"], 0)
        self.assertEqual(self.done(task)["status"], "cancelled")
        self.again()
        self.assertEqual(self.get(task)["status"], "cancelled")

    def test_who_leaves_does_not_cancel_a_task(self):
        task, name = self.begin(1.5)
        self.asker.close()
        self.assertEqual(self.done(task)["result"]["structuredContent"]["rows"], [[name]])

    def test_a_client_without_the_extension_gets_none(self):
        sql, name = self.held(1)
        self.assertEqual(self.modern("alice").query(sql).rows, [[name]])

    def test_its_end_is_told_on_a_listen_stream(self):
        task, _ = self.begin(2)
        self.again()
        message = self.asker.message("subscriptions/listen", {"notifications": {"taskIds": [task]}})
        with self.asker.stream(message) as stream:
            stream.method("notifications/subscriptions/acknowledged", 5)
            told = stream.until(lambda m: m.get("method") == "notifications/tasks" and
                                m["params"].get("status") != "working", 10)
        self.assertEqual((told["params"]["taskId"], told["params"]["status"]), (task, "completed"))
        self.assertEqual(told["params"]["_meta"][META + "subscriptionId"], message["id"])


class Rules(Tasking):
    """What the extension demands of its messages."""

    def listen(self, tasks, client=None):
        client = client or self.asker
        message = client.message("subscriptions/listen", {"notifications": {"taskIds": tasks}})
        return self.kept(client.stream(message)), message["id"]

    def of(self, stream, task, seconds=10):
        """The tasks that a stream tells, up to the end of `task`."""
        told = [stream.method("notifications/tasks", seconds)["params"]]
        while told[-1]["status"] not in ENDED:
            told.append(stream.method("notifications/tasks", seconds)["params"])
        self.assertEqual({t["taskId"] for t in told}, {task})
        return told

    def test_a_task_as_it_is_told(self):
        sql, name = self.held(1)
        told = self.asker.query(sql).result
        self.assertEqual(set(told), {"resultType", "taskId", "status", "createdAt", "lastUpdatedAt", "ttlMs",
                                     "pollIntervalMs", "_meta"})
        for member in ("createdAt", "lastUpdatedAt"):
            self.assertRegex(told[member], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(told["ttlMs"], 24 * 3600 * 1000)
        self.assertGreater(told["pollIntervalMs"], 0)
        self.emulator.record(name, "held")
        working = wait_for(lambda: (t := self.get(told["taskId"])).get("statusMessage") and t, 5, "a message")
        self.assertEqual(working["status"], "working")
        self.assertIn("quer", working["statusMessage"])
        done = self.done(told["taskId"])
        self.assertEqual(done["createdAt"], told["createdAt"])
        self.assertGreaterEqual(done["lastUpdatedAt"], told["lastUpdatedAt"])
        self.assertEqual(done["result"]["resultType"], "complete")
        self.assertNotIn("statusMessage", done)

    def test_ids_are_not_to_be_guessed(self):
        ids = [self.begin(0.3)[0] for _ in range(5)]
        self.assertEqual(len(set(ids)), 5)
        for task in ids:
            self.assertRegex(task, "^[a-z2-7]{26}$")
        shared = [sum(a == b for a, b in zip(ids[0], other)) for other in ids[1:]]
        self.assertLess(max(shared), 10)

    def test_a_quick_call_is_no_task(self):
        for _ in range(20):
            result = self.asker.query("SELECT 1").result
            if result["resultType"] == "task":  # slower than stream_after, on a machine with much to do
                continue
            self.assertEqual(result["structuredContent"]["rows"], [[1]])
            return
        self.fail("every quick call became a task")

    def test_rather_a_task_than_running(self):
        task, name = self.begin(1, wait_seconds=0)
        self.assertEqual(self.done(task)["result"]["structuredContent"]["rows"], [[name]])

    def test_rather_a_task_than_a_stream(self):
        sql, name = self.held(1)
        arguments = {"query": sql, "format": "json"}
        answer = self.asker.send(body=self.asker.tool_message("execute_query", arguments, {
            "progressToken": "p", META + "logLevel": "debug"}))
        self.assertTrue(answer.headers["Content-Type"].startswith("application/json"))
        self.assertEqual(answer.result["resultType"], "task")
        self.assertEqual(self.done(answer.result["taskId"])["result"]["structuredContent"]["rows"], [[name]])

    def test_the_result_is_that_of_the_call(self):
        rows, (_, name) = "FROM TABLE(GENERATOR(ROWCOUNT => 300)) ORDER BY 1", self.held(0.6)
        sql = f"SELECT SEQ4() AS N, '{name}' AS T {rows}"
        task = self.asker.query(sql, limit=200).result["taskId"]
        done = self.done(task)["result"]
        plain = self.modern("alice").query(sql.replace(name, "x" * len(name)), limit=200).result
        for member in ("rowCount", "totalRows", "truncated", "nextOffset", "columns", "context", "status"):
            self.assertEqual(done["structuredContent"].get(member), plain["structuredContent"].get(member), member)
        self.assertEqual(set(done), set(plain))

    def test_many_ask_at_once(self):
        task, name = self.begin(1)
        answers, clients = [], [self.declaring("alice") for _ in range(12)]

        def ask(client):
            while True:
                told = self.ask("tasks/get", task, client).result
                if told["status"] != "working":
                    answers.append(told)
                    return
                time.sleep(0.05)
        threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
        for t in threads:
            t.start()
        for t in threads:
            t.join(30)
        self.assertEqual(len(answers), 12)
        for told in answers:
            self.assertEqual((told["status"], told["taskId"]), ("completed", task))
            self.assertEqual(told["result"]["structuredContent"]["rows"], [[name]])
        self.assertEqual(self.executions(name), 1)

    def test_cancelled(self):
        task, name = self.begin(30)
        self.emulator.record(name, "held")
        answer = self.ask("tasks/cancel", task).result
        self.assertEqual(set(answer), {"resultType", "_meta"})
        self.emulator.record(name, "cancelled", 8)
        told = self.done(task)
        self.assertEqual(told["status"], "cancelled")
        self.assertNotIn("result", told)
        self.assertNotIn("error", told)
        for _ in range(2):
            self.assertEqual(self.ask("tasks/cancel", task).result["resultType"], "complete")
            self.assertEqual(self.get(task)["status"], "cancelled")

    def test_an_acknowledged_cancel_outlives_the_process(self):
        task, name = self.begin(30)
        self.emulator.record(name, "held")
        self.emulator.fault({"hang": True}, sql=name, op="cancel")
        self.assertEqual(self.ask("tasks/cancel", task).result["resultType"], "complete")
        self.gateway.kill()
        self.emulator.clear()
        self.emulator.hold(name, 30)
        self.gateway.start()
        self.emulator.record(name, "cancelled", 8)
        self.assertEqual(self.done(task)["status"], "cancelled")
        self.assertEqual(self.executions(name), 0)

    def test_a_cancel_after_the_end_changes_nothing(self):
        task, name = self.begin(0.4)
        self.done(task)
        self.assertEqual(self.ask("tasks/cancel", task).result["resultType"], "complete")
        self.assertEqual(self.ask("tasks/update", task).error["code"], -32602, "no inputResponses")
        answer = self.asker.rpc("tasks/update", {"taskId": task, "inputResponses": {"none": {}}})
        self.assertEqual(set(answer.result), {"resultType", "_meta"})
        self.assertEqual(self.done(task)["result"]["structuredContent"]["rows"], [[name]])

    def test_what_it_needs(self):
        task, _ = self.begin(0.5)
        plain = self.modern("alice")
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            answer = self.ask(method, task, plain)
            self.assertEqual((answer.status, answer.error["code"]), (400, -32021))
            self.assertEqual(answer.error["data"], {"requiredCapabilities": {"extensions": {TASKS: {}}}})
            answer = self.asker.rpc(method, {"taskId": task, "inputResponses": {}}, more={"Mcp-Name": "other"})
            self.assertEqual((answer.status, answer.error["code"]), (400, -32020))
            for bad in ("", "nothing", "a" * 26, 7, None, "../" * 40, "A" * 26):
                answer = self.asker.rpc(method, {"taskId": bad, "inputResponses": {}},
                                        drop=() if isinstance(bad, str) else ("Mcp-Name",))
                self.assertEqual(answer.error["code"], -32602, bad)
        for method in ("tasks/result", "tasks/list"):
            answer = self.ask(method, task)
            self.assertEqual((answer.status, answer.error["code"]), (404, -32601))
        legacy = self.legacy("alice")
        self.assertEqual(legacy.rpc("tasks/get", {"taskId": task}).error["code"], -32601)

    def test_legacy_sessions_know_no_tasks(self):
        sql, name = self.held(0.5)
        client = self.client("alice")
        client.capabilities = {"extensions": {TASKS: {}}}
        capabilities = client.initialize().result["capabilities"]
        self.assertNotIn("extensions", capabilities)
        message = client.tool_message("execute_query", {"query": sql, "format": "json"})
        message["params"]["task"] = {"ttl": 60000}
        stream = self.kept(client.stream(message))
        self.assertEqual(stream.answer().rows, [[name]])

    def test_notifications(self):
        task, name = self.begin(1.5)
        stream, subscription = self.listen([task, "a" * 26])
        honoured = stream.method("notifications/subscriptions/acknowledged", 5)["params"]["notifications"]
        self.assertEqual(honoured, {"taskIds": [task]})
        told = self.of(stream, task)
        self.assertEqual(told[-1]["status"], "completed")
        self.assertEqual(told[-1]["result"]["structuredContent"]["rows"], [[name]])
        for one in told:
            self.assertEqual(one["_meta"][META + "subscriptionId"], subscription)

    def test_one_that_has_ended_is_told_at_once(self):
        task, _ = self.begin(0.4)
        self.done(task)
        for _ in range(2):
            stream, _ = self.listen([task])
            stream.method("notifications/subscriptions/acknowledged", 5)
            self.assertEqual(self.of(stream, task)[-1]["status"], "completed")
            stream.leave()
            self.again()

    def test_nobody_else_hears_of_it(self):
        task, _ = self.begin(1)
        streams = [self.listen([task], client)[0] for client in (self.declaring("bob"), self.modern("alice"))]
        for stream in streams:
            honoured = stream.method("notifications/subscriptions/acknowledged", 5)["params"]["notifications"]
            self.assertEqual(honoured, {})
        self.done(task)
        for stream in streams:
            self.assertEqual(stream.silent(0.3), [])

    def test_a_confirmed_write(self):
        """The questions of a call come before it is a task, and their answers outlive the process with it."""
        g = self.another({"policies": [{**STEADY["policies"][0], "confirm": "ask"}],
                          "mcp": {"ask_timeout": "2s"}}, keys=("alice",))
        client, name = self.declaring(of=g, elicitation={}), self.name()
        table = f"{TABLE}_{name[7:12]}"
        self.assertFalse(client.query(f"CREATE TABLE {table} AS SELECT '{name}' AS A").is_error)
        arguments = {"query": f"DELETE FROM {table}", "format": "json"}
        self.emulator.hold(arguments["query"], 3)
        asked = client.tool("execute_query", **arguments).result
        self.assertEqual(asked["resultType"], "input_required")
        self.assertNotIn("taskId", asked)
        answers = {key: {"action": "accept", "content": {name: True for name in ask["params"]["requestedSchema"]["properties"]}}
                   for key, ask in asked["inputRequests"].items()}
        message = client.tool_message("execute_query", arguments)
        message["params"].update(requestState=asked["requestState"], inputResponses=answers)
        told = client.send(body=message).result
        self.assertEqual(told["resultType"], "task", told)
        self.assertNotIn("requestState", told)
        time.sleep(2.1)  # what was asked has expired, and is not asked again
        g.again()
        done = wait_for(lambda: (t := self.ask("tasks/get", told["taskId"], client).result)["status"] in ENDED and t,
                        15, "the end")
        self.assertEqual(done["status"], "completed", done)
        self.assertNotIn("isError", done["result"], done)
        self.assertEqual(self.executions(arguments["query"]), 1)

    def test_in_a_session(self):
        handle = self.asker.tool("set_context", database="SNOWFLAKE_SAMPLE_DATA", schema="TPCH_SF1").structured["session"]
        name = self.name()
        self.emulator.hold(name, 1)
        task = self.asker.query(f"SELECT CURRENT_SCHEMA(), '{name}'", session=handle).result["taskId"]
        self.again()
        self.assertEqual(self.done(task)["result"]["structuredContent"]["rows"], [["TPCH_SF1", name]])

    def test_an_orderly_restart(self):
        task, name = self.begin(3)
        self.emulator.record(name, "held")
        self.assertEqual(self.gateway.end(), 0)
        self.gateway.start()
        self.assertEqual(self.done(task)["result"]["structuredContent"]["rows"], [[name]])
        self.assertEqual(self.executions(name), 1)

    def test_who_leaves_before_it_is_told_cancels(self):
        g = self.another({"mcp": {"stream_after": "10s"}}, keys=("alice",))
        client, (sql, name) = self.declaring(of=g), self.held(30)
        pending = self.kept(client.start("execute_query", query=sql))
        self.emulator.record(name, "held")
        pending.leave()
        self.emulator.record(name, "cancelled", 8)


class Input(Case):
    """Questions within a task, of a tool that the product does not have: the gateway of the conformance suite."""

    @classmethod
    def setUpClass(cls):
        cls.gateway = Process([program("snowgate-conformance"), "--port", "0"], "stderr")
        cls.addClassCleanup(cls.gateway.end)
        cls.gateway.port, cls.gateway.keys = cls.gateway.listening()["port"], {}

    def setUp(self):
        self.asker = self.client(modern=True, capabilities={"extensions": {TASKS: {}}, "elicitation": {}})

    def get(self, task):
        return self.asker.rpc("tasks/get", {"taskId": task}).result

    def give(self, task, answers):
        answer = self.asker.rpc("tasks/update", {"taskId": task, "inputResponses": answers}).result
        self.assertEqual(set(answer), {"resultType", "_meta"})

    def begin(self, name, **arguments):
        told = self.asker.tool(name, **arguments).result
        self.assertEqual(told["resultType"], "task")
        self.assertNotIn("inputRequests", told)
        return told["taskId"], self.until(told["taskId"], "input_required")

    def until(self, task, status):
        return wait_for(lambda: (t := self.get(task))["status"] == status and t, 5, status)

    def test_one_by_one(self):
        task, told = self.begin("multi_input")
        self.assertEqual(len(told["inputRequests"]), 2)
        for ask in told["inputRequests"].values():
            self.assertEqual(ask["method"], "elicitation/create")
        first, second = told["inputRequests"]
        yes = {"action": "accept", "content": {"confirm": True}}
        self.give(task, {"other": yes})
        self.assertEqual(set(self.get(task)["inputRequests"]), {first, second})
        self.give(task, {first: yes})
        self.assertEqual(set(self.get(task)["inputRequests"]), {second})
        self.give(task, {first: {"action": "decline"}})
        self.give(task, {second: yes})
        done = self.until(task, "completed")
        self.assertEqual(done["result"]["content"][0]["text"], "Both: true, true")
        self.give(task, {second: yes})

    def test_a_question_that_is_asked_again_has_another_key(self):
        task, told = self.begin("confirm_delete", filename="x")
        seen = set(told["inputRequests"])
        for _ in range(3):
            self.give(task, {key: {"action": "accept", "content": {}} for key in told["inputRequests"]})
            told = self.until(task, "input_required")
            self.assertEqual(seen & set(told["inputRequests"]), set())
            seen |= set(told["inputRequests"])
        self.give(task, {key: {"action": "accept", "content": {"confirm": True}} for key in told["inputRequests"]})
        self.until(task, "completed")

    def test_cancelled_while_it_is_asked(self):
        task, _ = self.begin("confirm_delete", filename="x")
        self.assertEqual(self.asker.rpc("tasks/cancel", {"taskId": task}).result["resultType"], "complete")
        self.until(task, "cancelled")

    def test_who_cannot_be_asked(self):
        client = self.client(modern=True, capabilities={"extensions": {TASKS: {}}})
        answer = client.tool("confirm_delete", filename="x")
        self.assertEqual((answer.status, answer.error["code"]), (400, -32021))
        self.assertEqual(answer.error["data"], {"requiredCapabilities": {"elicitation": {}}})

    def test_a_client_without_tasks_is_asked_before(self):
        client = self.client(modern=True, capabilities={"elicitation": {}})
        self.assertEqual(client.tool("confirm_delete", filename="x").result["resultType"], "input_required")

    def test_each_change_is_told(self):
        task, told = self.begin("confirm_delete", filename="x")
        message = self.asker.message("subscriptions/listen", {"notifications": {"taskIds": [task]}})
        stream = self.kept(self.asker.stream(message))
        stream.method("notifications/subscriptions/acknowledged", 5)
        self.give(task, {key: {"action": "accept", "content": {}} for key in told["inputRequests"]})
        again = stream.until(lambda m: m["params"].get("status") == "input_required", 5)["params"]
        self.give(task, {key: {"action": "accept", "content": {"confirm": True}} for key in again["inputRequests"]})
        done = stream.until(lambda m: m["params"].get("status") == "completed", 5)["params"]
        self.assertEqual(done["result"]["content"][0]["text"], "Deleted x: true")
        self.assertNotIn("inputRequests", done)


class Killed(Tasking):
    def test_at_any_time(self):
        """Every task that was told is there, with its end; none is executed twice."""
        clients, told = [self.declaring("alice") for _ in range(4)], {}

        def run(client, tasks):
            for sql, name in tasks:
                try:
                    result = client.query(sql).json.get("result", {})
                except (OSError, http.client.HTTPException):  # killed meanwhile
                    client.close()
                    continue
                if result.get("resultType") == "task":
                    told[result["taskId"]] = name
        for _ in range(KILLS):
            work = [[self.held(random.uniform(0.1, 0.6)) for _ in range(3)] for _ in clients]
            threads = [threading.Thread(target=run, args=pair) for pair in zip(clients, work)]
            for t in threads:
                t.start()
            time.sleep(random.uniform(0.05, 0.8))
            self.gateway.kill()
            for t in threads:
                t.join(60)
            self.gateway.start()
        self.assertTrue(told)
        for task, name in told.items():
            done = self.done(task, 30)
            self.assertEqual(done["status"], "completed", done)
            self.assertEqual(done["result"]["structuredContent"]["rows"], [[name]])
            self.assertEqual(self.executions(name), 1)


if __name__ == "__main__":
    gateway.main()
