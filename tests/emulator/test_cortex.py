"""Cortex: Search, Analyst and Agents with their fixed answers, streams, errors and records."""

import http.client
import json
import time
import unittest
import uuid

from service import PAT, Emulator, StubCase

SEARCH = "/api/v2/databases/DEMO/schemas/PUBLIC/cortex-search-services/SUPPORT_DOCS:query"
ANALYST = "/api/v2/cortex/analyst/message"
AGENT = "/api/v2/databases/DEMO/schemas/PUBLIC/agents/SALES_AGENT:run"
INLINE = "/api/v2/cortex/agent:run"
VIEW = {"semantic_view": "DEMO.PUBLIC.SALES"}


def asked(text):
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]}


def events_of(body):
    """(name, data) of every event; data is JSON but for [DONE]."""
    found = []
    for block in body.decode().split("\n\n"):
        if not block:
            continue
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        data = lines["data"]
        found.append((lines["event"], data if data == "[DONE]" else json.loads(data)))
    return found


class CortexCase(StubCase):
    arguments = ("--stub", "--control", "--pat", PAT + "=DEMO", "--user", "CARL:ANALYST,PUBLIC", "--pat", "carl=CARL")

    def post(self, path, body, headers=None, token=PAT):
        return self.e.call("POST", path, body, headers, token)

    def error(self, answer, status, code):
        body = answer.json
        self.assertEqual((answer.status, body["code"], body["error_code"]), (status, code, code), body)
        self.assertEqual(body["request_id"], answer.headers["X-Snowflake-Request-ID"])
        self.assertTrue(body["message"])


class Search(CortexCase):
    def results(self, **body):
        answer = self.post(SEARCH, body)
        self.assertEqual(answer.status, 200, answer.body)
        uuid.UUID(answer.json["request_id"])
        return answer.json["results"]

    def ids(self, **body):
        return [r["DOC_ID"] for r in self.results(columns=["DOC_ID"], **body)]

    def test_order_and_limit(self):
        self.assertEqual(self.ids(query="late delivery", limit=2), ["D-001", "D-002"])
        self.assertEqual(len(self.results(query="invoice")), 10)

    def test_columns(self):
        row = self.results(query="account", columns=["DOC_ID", "TAGS", "PRIORITY"], limit=1)[0]
        self.assertEqual({k: v for k, v in row.items() if k != "@scores"},
                         {"DOC_ID": "D-003", "TAGS": ["account"], "PRIORITY": 3})
        self.assertIsInstance(row["@scores"]["cosine_similarity"], float)
        self.assertEqual(set(self.results(query="x", limit=1)[0]), {"DOC", "@scores"})

    def test_filters(self):
        for wanted, expected in [
                ({"@eq": {"REGION": "APAC"}}, {"D-005", "D-009"}),
                ({"@contains": {"TAGS": "refund"}}, {"D-002", "D-006"}),
                ({"@gte": {"TS": "2025-05-01"}}, {"D-008", "D-009"}),
                ({"@lte": {"PRIORITY": 1}}, {"D-002", "D-006", "D-008"}),
                ({"@primarykey": {"DOC_ID": "D-004"}}, {"D-004"}),
                ({"@and": [{"@eq": {"REGION": "EU"}}, {"@gte": {"TS": "2025-02-01"}}]}, {"D-002", "D-007"}),
                ({"@or": [{"@eq": {"REGION": "APAC"}}, {"@primarykey": {"DOC_ID": "D-001"}}]},
                 {"D-001", "D-005", "D-009"}),
                ({"@not": {"@or": [{"@eq": {"REGION": "EU"}}, {"@eq": {"REGION": "US"}}]}}, {"D-005", "D-009"}),
                ({}, {f"D-{i:03}" for i in range(1, 11)})]:
            self.assertEqual(set(self.ids(query="x", filter=wanted)), expected, wanted)

    def test_refusals(self):
        for body in [{}, {"query": 1}, {"query": "x", "limit": 0}, {"query": "x", "limit": 1001},
                     {"query": "x", "columns": ["NO_SUCH"]}, {"query": "x", "columns": "DOC"},
                     {"query": "x", "filter": {"@like": {"DOC": "x"}}}, {"query": "x", "filter": {"@eq": {"NOPE": 1}}},
                     {"query": "x", "filter": {"@and": []}}, {"query": "x", "filter": []}, []]:
            self.error(self.post(SEARCH, body), 400, "390142")
        self.error(self.post(SEARCH.replace("SUPPORT_DOCS", "MISSING"), {"query": "x"}), 404, "002003")
        self.error(self.post(SEARCH, {"query": "x"}, token="wrong"), 401, "390303")
        self.assertEqual(self.e.call("GET", SEARCH).status, 405)
        self.assertEqual(self.post(SEARCH + "x", {"query": "x"}).status, 404)

    def test_further_objects(self):
        self.e.control("POST", "cortex", {"objects": ["SALES.KB.ARTICLES"]})
        path = "/api/v2/databases/sales/schemas/kb/cortex-search-services/articles:query"
        self.assertEqual(self.post(path, {"query": "x"}).status, 200)


class Analyst(CortexCase):
    def test_sql(self):
        answer = self.post(ANALYST, {**asked("How many orders are there?"), **VIEW})
        body = answer.json
        self.assertEqual((answer.status, body["message"]["role"], body["warnings"]), (200, "analyst", []))
        self.assertEqual([c["type"] for c in body["message"]["content"]], ["text", "sql"])
        self.assertEqual(body["message"]["content"][1]["statement"],
                         "SELECT COUNT(*) AS ORDERS FROM SNOWFLAKE_SAMPLE_DATA.TPCH_SF1.ORDERS")

    def test_suggestions(self):
        content = self.post(ANALYST, {**asked("Hm?"), "semantic_model_file": "@D.S.STAGE/m.yaml"}).json["message"]["content"]
        self.assertEqual([c["type"] for c in content], ["text", "suggestions"])
        self.assertEqual(len(content[1]["suggestions"]), 3)

    def test_stream_is_the_answer_in_pieces(self):
        for question, kind, member in [("revenue by nation", "sql", "statement"), ("Hm?", "suggestions", None)]:
            whole = self.post(ANALYST, {**asked(question), **VIEW}).json["message"]["content"]
            answer = self.post(ANALYST, {**asked(question), **VIEW, "stream": True})
            self.assertEqual(answer.headers["Content-Type"], "text/event-stream")
            events = events_of(answer.body)
            self.assertEqual((events[0][0], events[-1]), ("status", ("done", "[DONE]")))
            deltas = [d for name, d in events if name == "message.content.delta"]
            text = "".join(d["text_delta"] for d in deltas if d["type"] == "text")
            self.assertEqual(text, whole[0]["text"])
            if member:
                self.assertEqual("".join(d["statement_delta"] for d in deltas if d["type"] == kind), whole[1][member])
            else:
                told = [d["suggestions_delta"]["suggestion_delta"] for d in deltas if d["type"] == kind]
                self.assertEqual(told, whole[1]["suggestions"])
            self.assertIn("response_metadata", [name for name, _ in events])

    def test_refusals(self):
        good = asked("How many orders?")
        for body in [VIEW, good, {**good, **VIEW, "semantic_model": "x"}, {"messages": [], **VIEW},
                     {"messages": [{"role": "analyst", "content": [{"type": "text", "text": "x"}]}], **VIEW}]:
            self.error(self.post(ANALYST, body), 400, "390142")
        self.error(self.post(ANALYST, {**good, "semantic_view": "DEMO.PUBLIC.MISSING"}), 404, "002003")

    def test_the_last_question_counts(self):
        turns = asked("How many orders?")["messages"] + [
            {"role": "analyst", "content": [{"type": "text", "text": "x"}]}] + asked("customers by segment")["messages"]
        content = self.post(ANALYST, {"messages": turns, **VIEW}).json["message"]["content"]
        self.assertIn("C_MKTSEGMENT", content[1]["statement"])


class Agents(CortexCase):
    def setUp(self):
        super().setUp()
        self.e.control("POST", "cortex", {"delay_ms": 0})

    def events(self, path=AGENT, **body):
        answer = self.post(path, {**asked("How many orders?"), **body})
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "text/event-stream"))
        return events_of(answer.body)

    def test_events(self):
        for path in (AGENT, INLINE):
            events = self.events(path)
            names = []
            for name, _ in events:
                if not names or names[-1] != name:
                    names.append(name)
            self.assertEqual(names, ["response.status", "response.thinking.delta", "response.thinking",
                                     "response.tool_use", "response.tool_result.status", "response.tool_result",
                                     "response.table", "response.status", "response.text.delta", "response.text",
                                     "response"])

    def test_deltas_come_to_the_whole(self):
        events = self.events()
        for kind in ("thinking", "text"):
            deltas = "".join(d["text"] for name, d in events if name == f"response.{kind}.delta")
            whole, = [d for name, d in events if name == f"response.{kind}"]
            self.assertEqual(deltas, whole["text"])

    def test_table_is_a_result_set(self):
        table, = [d for name, d in self.events() if name == "response.table"]
        meta = table["result_set"]["resultSetMetaData"]
        self.assertEqual((meta["numRows"], meta["format"], len(meta["rowType"])), (3, "jsonv2", 2))
        self.assertEqual(table["result_set"]["data"][2], ["APAC", None])

    def test_final_response(self):
        final = self.events()[-1][1]
        alone = self.post(AGENT, {**asked("How many orders?"), "stream": False}).json
        self.assertEqual([c["type"] for c in final["content"]], ["thinking", "tool_use", "tool_result", "table", "text"])
        self.assertEqual((alone["role"], alone["content"][-1]), (final["role"], final["content"][-1]))
        self.assertIn("run_id", final["metadata"])

    def test_without_sql_no_table(self):
        self.assertNotIn("response.table", [name for name, _ in self.events(messages=asked("Hm?")["messages"])])

    def test_scripted_error(self):
        self.e.control("POST", "cortex", {"error_after": 3})
        events = self.events()
        self.assertEqual(len(events), 4)
        self.assertEqual((events[-1][0], events[-1][1]["code"]), ("error", "399504"))
        self.assertTrue(events[-1][1]["request_id"])

    def test_delays(self):
        self.e.control("POST", "cortex", {"delay_ms": 10})
        start = time.monotonic()
        n = len(self.events())
        self.assertGreaterEqual(time.monotonic() - start, (n - 1) * 0.01)

    def test_disconnect_is_recorded(self):
        self.e.control("POST", "cortex", {"stall_after": 4})
        connection = http.client.HTTPConnection("127.0.0.1", self.e.port, timeout=20)
        connection.request("POST", AGENT, json.dumps(asked("orders")), {
            "Authorization": "Bearer " + PAT, "Content-Type": "application/json", "User-Agent": "test/1.0"})
        response = connection.getresponse()
        for _ in range(4 * 3):
            response.readline()
        self.assertEqual(self.e.control("GET", "cortex")[0]["outcome"], "open")
        left = time.time() * 1000
        response.close()
        connection.close()
        for _ in range(500):
            run = self.e.control("GET", "cortex")[0]
            if run["outcome"] != "open":
                break
            time.sleep(0.01)
        self.assertEqual((run["outcome"], run["events"], run["streams"]), ("disconnected", 4, True))
        self.assertLess(run["ended_at"] - left, 200)

    def test_refusals(self):
        self.error(self.post(AGENT.replace("SALES_AGENT", "NOBODY"), asked("x")), 404, "002003")
        self.error(self.post(INLINE, {"messages": []}), 400, "390142")
        self.error(self.post(INLINE, {**asked("x"), "thread_id": 1}), 400, "390142")
        self.error(self.post(INLINE, "{", {}), 400, "390142")
        self.error(self.post(INLINE, asked("x"), {"Content-Type": "text/plain"}), 415, "390415")

    def test_faults(self):
        self.e.fault({"status": 503}, op="agent")
        self.error(self.post(AGENT, asked("x")), 503, "000000")
        token = str(uuid.uuid4())
        self.e.control("POST", "tokens", {"type": "OAUTH", "token": token, "user": "DEMO"})
        self.e.fault({"token_expired": True}, op="agent")
        for _ in range(2):
            self.error(self.post(AGENT, asked("x"), token=token), 401, "390318")


class Context(CortexCase):
    arguments = (*CortexCase.arguments, "--pat", "narrow=SVC:READER")

    def record(self, headers, token):
        answer = self.post(SEARCH, {"query": "x"}, headers, token)
        self.assertEqual(answer.status, 200, answer.body)
        run = self.e.control("GET", "cortex")[0]
        self.assertEqual((run["op"], run["path"], run["outcome"], run["status"]), ("search", SEARCH, "answered", 200))
        self.assertEqual(run["request_id"], answer.json["request_id"])
        self.assertEqual(run["body"], {"query": "x"})
        return run["user"], run["role"], run["warehouse"]

    def test_headers(self):
        self.assertEqual(self.record({}, "carl"), ("CARL", "ANALYST", None))
        self.assertEqual(self.record({"X-Snowflake-Role": "PUBLIC", "X-Snowflake-Warehouse": "WH"}, "carl"),
                         ("CARL", "PUBLIC", "WH"))
        self.assertEqual(self.record({}, "narrow"), ("SVC", "READER", None))

    def test_roles_that_are_not_granted(self):
        self.error(self.post(SEARCH, {"query": "x"}, {"X-Snowflake-Role": "SYSADMIN"}, "carl"), 422, "390189")
        self.error(self.post(SEARCH, {"query": "x"}, {"X-Snowflake-Role": "OTHER"}, "narrow"), 403, "390189")


class Statements(unittest.TestCase):
    def test_they_run(self):
        """What Analyst answers is SQL that the engine takes."""
        try:
            e = Emulator("--control", "--pat", PAT + "=DEMO")
        except RuntimeError as why:
            raise unittest.SkipTest(f"no engine: {why}")
        try:
            for question, status in [("orders", 200), ("nation", 200), ("segment", 200), ("broken", 422)]:
                content = e.call("POST", ANALYST, {**asked(question), **VIEW}).json["message"]["content"]
                answer = e.submit(content[1]["statement"])
                self.assertEqual(answer.status, status, answer.body)
        finally:
            e.stop()


if __name__ == "__main__":
    unittest.main()
