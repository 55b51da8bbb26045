#!/usr/bin/env python3
"""Streams of a legacy session: what is kept of them, how they are resumed, the session's own ones, and how they end."""

import random
import signal
import threading
import time
import unittest

import gateway
from gateway import LATEST, LEGACY, LONG, Case, Cut, wait_for

CUTS = 1000 if LONG else 100
STANDALONE_MAX = 4
KEPT_MAX = 64  # streams kept of one session (stream.h, STREAM_SET_MAX)
CORE, BOTH = ["core"], ["core", "classic"]


class Streams(Case):
    conf = {"mcp": {"stream_after": "50ms", "sse_keepalive": "500ms"}}
    keys = ("alice", "bob")

    def call(self, client, sql, meta=None, **how):
        message = client.tool_message("execute_query", {"query": sql, "format": "json"}, meta)
        return self.kept(client.stream(message, **how))

    def finished(self, client, seconds=0.15):
        """A stream that has ended: its events."""
        events = self.call(client, self.held(seconds)[0]).rest()
        self.assertIn("result", events[-1].json)
        return events

    def status(self, client, last, **how):
        with client.listen(last, **how) as stream:
            return stream.open().status

    def change_tools(self, g=None):
        """Another list of tools for everybody."""
        g = g or self.gateway
        policy = g.conf["policies"][0]
        g.reload(policies=[{**policy, "toolsets": CORE if policy.get("toolsets") == BOTH else BOTH}])


class Call(Streams):
    def test_ids(self):
        client = self.legacy()
        client.rpc("logging/setLevel", {"level": "debug"})
        events = self.call(client, self.held(0.5)[0], {"progressToken": 1}).rest()
        priming = events[0]
        self.assertEqual((priming.data, priming.retry), ("", 1000))
        stream, number = priming.id.rsplit("-", 1)
        self.assertRegex(stream, "^[a-z2-7]{13}$")
        self.assertEqual(number, "0")
        numbered = [e for e in events[1:] if e.id is not None]
        self.assertEqual([e.id for e in numbered], [f"{stream}-{n}" for n in range(1, len(numbered) + 1)])
        self.assertIn("result", events[-1].json)
        self.assertIn("notifications/message", {e.json.get("method") for e in numbered})
        for e in events[1:]:
            self.assertEqual(e.id is None, e.json.get("method") == "notifications/progress", e)

    def test_ids_are_no_two_streams(self):
        client, other = self.legacy(), self.legacy()
        sql, _ = self.held(0.3)
        streams = [self.call(who, sql) for who in (client, client, client, other)]
        ids = [e.id for stream in streams for e in stream.rest() if e.id]
        self.assertEqual(len(ids), len(set(ids)))

    def test_the_log_level_decides(self):
        client = self.legacy()
        sql, _ = self.held(0.3)
        silent = [e.json.get("method") for e in self.call(client, sql).rest() if e.data]
        self.assertEqual(silent, [None], "no level was set")
        self.assertEqual(client.rpc("logging/setLevel", {"level": "debug"}).result, {})
        told = [e.json for e in self.call(client, sql).rest() if e.data]
        self.assertTrue(told[:-1])
        for message in told[:-1]:
            self.assertEqual(message["method"], "notifications/message")
            self.assertIn(message["params"]["level"], ("debug", "info", "notice"))
            self.assertIn("data", message["params"])
        self.assertEqual(client.rpc("logging/setLevel", {"level": "emergency"}).result, {})
        self.assertEqual(len([e for e in self.call(client, sql).rest() if e.data]), 1)
        other = self.legacy()
        self.assertEqual(len([e for e in self.call(other, sql).rest() if e.data]), 1, "the level is a session's own")

    def test_a_finished_stream_is_sent_again(self):
        client = self.legacy()
        client.rpc("logging/setLevel", {"level": "debug"})
        events = [e for e in self.finished(client)]
        for at in range(len(events) - 1):
            for _ in range(2):
                with client.listen(events[at].id) as again:
                    self.assertEqual(again.open().status, 200)
                    self.assertEqual([e for e in again.rest() if e.data], events[at + 1:])
        self.assertEqual(self.status(client, events[-1].id), 204, "nothing is after the last")

    def test_204_has_no_body(self):
        client = self.legacy()
        last = self.finished(client)[-1].id
        with client.listen(last) as stream:
            stream.open()
            self.assertEqual(stream.status, 204)
            self.assertIsNone(stream.headers["Content-Type"])
            self.assertEqual(stream.silent(0.3), [])
            self.assertEqual(stream.raw, b"")

    def test_bogus_ids(self):
        client = self.legacy()
        events = self.finished(client)
        stream = events[0].id.rsplit("-", 1)[0]
        for last in ("nonsense", "-", "-1", "0", stream, stream + "-", stream + "--1", stream + "-01",
                     stream + "-999", stream + "-9223372036854775808", stream + "-99999999999999999999999",
                     stream + "-1x", stream + "-0x1", stream.upper() + "-0", stream[:-1] + "-0", stream + "a-0",
                     "a" * 13 + "-0", "../../etc/passwd", "' OR 1=1 --", "x" * 4000, "l.", "l.x", "l.1.2", "{}"):
            with self.subTest(last=last):
                self.assertEqual(self.status(client, last), 204)
        self.assertEqual(self.status(client, events[0].id), 200)
        self.assertEqual(client.rpc("ping").result, {})

    def test_foreign_ids(self):
        alice, second, bob = self.legacy("alice"), self.legacy("alice"), self.legacy("bob")
        events = self.finished(alice)
        before = self.gateway.metric('snowgate_stream_resumes_total{outcome="unknown"}')
        for who in (second, bob):
            self.assertEqual(self.status(who, events[0].id), 204)
        self.assertEqual(self.gateway.metric('snowgate_stream_resumes_total{outcome="unknown"}'), before + 2)
        thief = self.client("bob", session=alice.session)
        for last in (events[0].id, events[-1].id, None):
            self.assertEqual(self.status(thief, last), 404, "the session of another principal")
        self.assertEqual(self.status(self.client("alice"), events[0].id), 405, "without a session")
        self.assertEqual(self.status(alice, events[0].id), 200)

    def test_a_running_stream_of_another_session(self):
        alice, second = self.legacy("alice"), self.legacy("alice")
        sql, name = self.held(1)
        stream = self.call(alice, sql)
        priming = stream.next()
        self.assertEqual(self.status(second, priming.id), 204)
        self.assertEqual(stream.answer().rows, [[name]])

    def test_many_streams_trim_the_oldest(self):
        client = self.legacy()
        first = self.finished(client, 0.1)
        sql, _ = self.held(0.1)
        for _ in range(KEPT_MAX // 8 + 1):
            for stream in [self.call(client, sql) for _ in range(8)]:
                last = stream.rest()
                stream.leave()
        with client.listen(first[0].id) as again:  # out of memory, and rendered again
            self.assertEqual([e for e in again.rest() if e.data], first[1:])
        with client.listen(last[0].id) as again:
            self.assertEqual([e for e in again.rest() if e.data], last[1:])

    def test_streams_are_kept_for_their_time(self):
        g = self.another({"mcp": {"stream_after": "50ms", "stream_keep": "1s"}})
        client = self.legacy(of=g)
        events = self.call(client, self.held(0.2)[0]).rest()
        self.assertEqual(self.status(client, events[0].id), 200)
        wait_for(lambda: g.metric("snowgate_stream_bytes") == 0, 10, "the stream to leave memory")
        with client.listen(events[0].id) as again:  # it is rendered again
            self.assertEqual([e for e in again.rest() if e.data], events[1:])

    def test_two_readers_of_one_stream(self):
        client = self.legacy()
        own = self.kept(client.listen())
        own.open()
        sql, name = self.held(1.2)
        first = self.call(client, sql)
        priming = first.next()
        readers = [first]
        for _ in range(3):
            reader = self.kept(client.listen(priming.id))
            self.assertEqual(reader.open().status, 200)
            try:
                messages = readers[-1].messages(2)
                self.assertEqual([m for m in messages if "result" in m], [], "the displaced reader got the answer")
            except Cut:
                pass
            readers.append(reader)
        self.assertEqual(readers[-1].answer().rows, [[name]])
        self.assertEqual(own.silent(0.2), [])
        self.assertFalse(own.ended, "the session's own stream was displaced")

    def test_no_event_of_another_stream_is_replayed(self):
        client = self.legacy()
        client.rpc("logging/setLevel", {"level": "debug"})
        sql, _ = self.held(0.4)
        streams = [self.call(client, sql) for _ in range(4)]
        primings = [stream.next().id for stream in streams]
        for stream in streams:
            stream.leave()
        again = [self.kept(client.listen(last)) for last in primings]
        for stream, resumed in zip(streams, again):
            events = [e for e in resumed.rest() if e.id]
            own = primings[streams.index(stream)].split("-")[0]
            self.assertEqual({e.id.rsplit("-", 1)[0] for e in events}, {own})
            self.assertEqual([e.json["id"] for e in events if "result" in e.json], [stream.id])

    def test_an_answer_larger_than_an_outbox(self):
        g = self.another({"mcp": {"stream_after": "50ms"},
                          "results": {"max_bytes": "1MiB", "max_cell": "16KiB", "default_rows": 1000}})
        client = self.legacy(of=g)
        _, name = self.held(0.3)
        sql = f"SELECT REPEAT('\"é', 2000) AS Q, '{name}' AS N FROM TABLE(GENERATOR(ROWCOUNT => 100))"
        stream = self.call(client, sql)
        events = stream.rest(20)
        rows = events[-1].json["result"]["structuredContent"]["rows"]
        self.assertGreater(len(events[-1].data), 1 << 20)
        self.assertEqual(rows, [['"é' * 2000, name]] * 100)
        for cut in (10, 70000, 600000):
            with client.listen(events[0].id) as again:
                self.assertEqual([e for e in again.read(cut, 5) if e.data], [])
        with client.listen(events[0].id) as again:
            self.assertEqual([e for e in again.rest(20) if e.data], events[1:])

    def test_more_calls_than_streams(self):
        client = self.legacy()
        sql, name = self.held(1)
        streams = [self.call(client, f"{sql} || ' {n}'") for n in range(KEPT_MAX + 10)]
        for n, stream in enumerate(streams):
            self.assertEqual(stream.answer().rows, [[f"{name} {n}"]])
        self.assertGreaterEqual(sum(stream.is_stream for stream in streams), 8)

    def test_a_statement_that_outlasts_the_wait(self):
        client = self.legacy()
        sql, name = self.held(2)
        message = client.tool_message("execute_query", {"query": sql, "format": "json", "wait_seconds": 1})
        with client.stream(message) as stream:
            answer = stream.answer()
            self.assertTrue(stream.is_stream)
            self.assertEqual(stream.rest(1), [])
        self.assertEqual(answer.structured["status"], "running")
        self.assertEqual(self.status(client, stream.got[-1].id), 204, "the answer was the end of this stream")
        done = client.tool("get_result", statement_handle=answer.structured["statementHandle"], format="json")
        self.assertEqual(done.rows, [[name]])

    def test_a_response_of_an_error_is_kept_too(self):
        client = self.legacy()
        _, name = self.held(0.3)
        stream = self.call(client, f"SELECT 1/0, '{name}'")
        priming = stream.next()
        stream.leave()
        with client.listen(priming.id) as again:
            self.assertTrue(again.answer().is_error)

    def test_older_revisions_resume_as_well(self):
        for revision in LEGACY[:-1]:
            client = self.legacy(revision=revision)
            client.rpc("logging/setLevel", {"level": "debug"})
            stream = self.call(client, self.held(0.4)[0])
            events = [e for e in stream.rest() if e.id]
            self.assertGreater(len(events), 1)
            with client.listen(events[0].id) as again:
                self.assertEqual(again.open().status, 200)
                self.assertEqual(again.rest(), events[1:])


class Cuts(Streams):
    """Connections cut at any byte: every stored event comes exactly once and in order."""

    def chain(self, client, last, rng, most_seconds):
        """Follows a call from the event `last` through cuts until its response is there: what came, how many cuts."""
        got, cuts = [], 0
        end = time.monotonic() + 30
        while True:
            stream = client.listen(last)
            self.assertLess(time.monotonic(), end, "the response never came")
            budget = rng.choice((rng.randint(1, 600), rng.randint(300, 12000)))
            try:
                events = stream.read(budget, rng.random() * most_seconds)
            except Cut as problem:
                self.fail(f"the gateway cut the connection: {problem}")
            cuts += 1
            for event in events:
                if event.id is not None:
                    last = event.id
                    if event.data:
                        got.append(event)
            if got and "result" in got[-1].json:
                return got, cuts

    def begin(self, client, seconds):
        """A call; its priming event was read."""
        sql, name = self.held(seconds)
        filler = "x" * random.randint(0, 3000)
        return self.call(client, f"{sql}, '{filler}'"), name

    def test_random_cuts(self):
        seed = random.randrange(1 << 32)
        rng, cuts, rounds = random.Random(seed), 0, 0
        client = self.legacy()
        client.rpc("logging/setLevel", {"level": "debug"})
        while cuts < CUTS:
            stream, name = self.begin(client, rng.random() * 0.5)
            priming = stream.next().id
            stream.leave()
            got, n = self.chain(client, priming, rng, 0.1)
            with client.listen(priming) as again:
                uncut = [e for e in again.rest() if e.id and e.data]
            self.assertEqual(got, uncut, f"seed {seed}, round {rounds}")
            prefix = priming.rsplit("-", 1)[0]
            self.assertEqual([e.id for e in uncut], [f"{prefix}-{i + 1}" for i in range(len(uncut))])
            self.assertEqual([m.json["id"] for m in uncut if "result" in m.json], [stream.id])
            self.assertEqual(self.emulator.record(name)["executions"], 1)
            for _ in range(6):
                again, more = self.chain(client, priming, rng, 0.05)
                self.assertEqual(again, uncut, f"seed {seed}, round {rounds}")
                n += more
            cuts, rounds = cuts + n, rounds + 1
        wait_for(lambda: self.gateway.metric('snowgate_streams{kind="call"}') == 0, 5, "no stream to be left over")

    def test_cuts_of_many_at_once(self):
        faults = []

        def follow(n):
            try:
                rng = random.Random(n)
                client = self.legacy()
                client.rpc("logging/setLevel", {"level": "debug"})
                sql = statements[n]
                stream = self.call(client, sql)
                priming = stream.next().id
                stream.leave()
                got, _ = self.chain(client, priming, rng, 0.1)
                with client.listen(priming) as again:
                    uncut = [e for e in again.rest() if e.id and e.data]
                if got != uncut or got[-1].json["id"] != stream.id:
                    faults.append((got, uncut))
                if names[n] not in got[-1].data:
                    faults.append((names[n], got[-1]))
            except Exception as problem:
                faults.append(repr(problem))
        statements, names = zip(*(self.held(0.5 + n % 4 * 0.1) for n in range(12)))
        threads = [threading.Thread(target=follow, args=(n,)) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(faults, [])


class Standalone(Streams):
    """The streams of GET without an event id."""

    def open(self, client, last=None, **how):
        stream = self.kept(client.listen(last, **how))
        self.assertEqual(stream.open().status, 200)
        return stream

    def changed(self, stream, seconds=3):
        return stream.method("notifications/tools/list_changed", seconds)

    def test_a_change_is_told(self):
        client = self.legacy()
        stream = self.open(client)
        self.change_tools()
        message = self.changed(stream)
        self.assertNotIn("id", message)
        self.assertEqual(stream.silent(0.3), [], "told once")

    def test_the_list_has_changed_when_it_is_told(self):
        client = self.legacy()
        stream = self.open(client)
        names = {t["name"] for t in client.rpc("tools/list").result["tools"]}
        self.change_tools()
        self.changed(stream)
        self.assertNotEqual({t["name"] for t in client.rpc("tools/list").result["tools"]}, names)

    def test_no_change_is_not_told(self):
        stream = self.open(self.legacy())
        self.gateway.reload()
        self.gateway.reload(mcp={"retry": "900ms"})
        self.addCleanup(self.gateway.reload, mcp={"retry": "1s"})
        self.assertEqual(stream.silent(0.5), [])

    def test_only_the_newest_is_told(self):
        client, other = self.legacy(), self.legacy("bob")
        others = self.open(other)
        streams = [self.open(client) for _ in range(STANDALONE_MAX)]
        self.change_tools()
        self.changed(streams[-1])
        self.changed(others)
        for stream in streams[:-1]:
            self.assertEqual(stream.silent(0.15), [])
            self.assertFalse(stream.ended, "up to four are kept open")

    def test_the_newest_that_is_left_is_followed_by_the_one_before(self):
        client = self.legacy()
        streams = [self.open(client) for _ in range(3)]
        before = self.gateway.metric('snowgate_streams{kind="get"}')
        streams.pop().leave()
        wait_for(lambda: self.gateway.metric('snowgate_streams{kind="get"}') == before - 1, 3, "the departure")
        self.change_tools()
        self.changed(streams[-1])
        self.assertEqual(streams[0].silent(0.2), [])

    def test_a_fifth(self):
        client = self.legacy()
        streams = [self.open(client) for _ in range(STANDALONE_MAX)]
        fifth = self.kept(client.listen()).open()
        if fifth.status == 200:
            streams.append(fifth)
            wait_for(lambda: streams[0].silent(0.02) or streams[0].ended, 3, "the oldest to give way")
            self.assertEqual([s.silent(0.05) for s in streams[1:]], [[]] * STANDALONE_MAX)
            self.assertEqual([s.ended for s in streams], [True] + [False] * STANDALONE_MAX)
        else:
            self.assertIn(fifth.status, (409, 429, 503))
        self.change_tools()
        self.changed(streams[-1])

    def test_responses_never_come_on_it(self):
        client = self.legacy()
        stream = self.open(client)
        sql, name = self.held(0.4)
        self.assertEqual(self.call(client, sql).answer().rows, [[name]])
        self.assertEqual(client.query("SELECT 1").rows, [[1]])
        self.assertEqual(stream.silent(0.2), [])

    def test_a_stream_that_resumes_behind_is_told_once_per_kind(self):
        client = self.legacy()
        stream = self.open(client)
        priming = stream.next()
        self.assertEqual(priming.data, "")
        self.assertRegex(priming.id, r"^l\.\d+\.\d+\.\d+\.\d+$")
        stream.leave()
        for _ in range(3):
            self.change_tools()
        again = self.open(client, priming.id)
        self.changed(again)
        self.assertEqual([m for m in again.silent(0.3) if m["method"].endswith("tools/list_changed")], [])
        newest = [e.id for e in again.got if e.id][-1]
        self.assertNotEqual(newest, priming.id)
        again.leave()
        current = self.open(client, newest)
        self.assertEqual(current.silent(0.4), [], "nothing has changed since")
        self.change_tools()
        self.changed(current)

    def test_an_event_tells_where_it_stands(self):
        client = self.legacy()
        stream = self.open(client)
        self.change_tools()
        self.changed(stream)
        event = [e for e in stream.got if e.data][-1]
        self.assertRegex(event.id, r"^l\.\d+\.\d+\.\d+\.\d+$")

    def test_a_resumed_one_does_not_displace_the_others(self):
        client = self.legacy()
        first, second = self.open(client), self.open(client)
        resumed = self.open(client, first.next().id)
        self.assertEqual([s.silent(0.2) for s in (first, second, resumed)], [[]] * 3)
        self.assertFalse(first.ended or second.ended or resumed.ended)

    def test_streams_leave_connections_for_calls(self):
        g = self.another({"listen": {"max_connections": 16}, "mcp": {"stream_after": "50ms"}})
        streams = [self.kept(self.legacy(of=g).listen()) for _ in range(5)]
        self.assertEqual([stream.open().status for stream in streams], [200] * 4 + [503], "a quarter for one principal")
        self.assertGreaterEqual(int(streams[-1].headers["Retry-After"]), 1)
        sql, name = self.held(0.4)
        client = self.legacy(of=g)
        self.assertEqual(self.call(client, sql).answer().rows, [[name]], "a call that cannot be a stream is answered")

    @unittest.skipUnless(LONG, "takes half a minute")
    def test_an_open_stream_keeps_its_session(self):
        g = self.another({"session": {"idle_ttl": "10s", "absolute_ttl": "1m", "max_per_principal": 3}})
        client = self.legacy(of=g)
        stream = self.open(client)
        for _ in range(6):
            self.legacy(of=g)
        self.assertEqual(stream.silent(25), [])
        self.assertFalse(stream.ended)
        self.assertEqual(client.rpc("ping").result, {})

    def test_several_revisions(self):
        for revision in LEGACY:
            client = self.legacy(revision=revision)
            stream = self.open(client)
            self.change_tools()
            self.changed(stream)
            if revision != LATEST:
                self.assertTrue(all(e.data != "" for e in stream.got), "an event with empty data")

    def updates(self, stream):
        return [m for m in stream.silent(0.3) if m["method"] == "notifications/resources/updated"]

    def test_subscribed_resources(self):
        client, other = self.legacy(), self.legacy("bob")
        table = "WATCHED_" + self.name()[7:12]
        uri = f"snowflake://DEMO/PUBLIC/{table}"
        self.assertFalse(client.query(f"CREATE TABLE DEMO.PUBLIC.{table} (N INT)").is_error)
        self.assertEqual(client.rpc("resources/subscribe", {"uri": uri}).result, {})
        stream, others = self.open(client), self.open(other)
        stream.silent(0.3)
        self.assertFalse(other.query(f"INSERT INTO DEMO.PUBLIC.{table} VALUES (1)").is_error)
        message = stream.method("notifications/resources/updated", 3)
        self.assertEqual(message["params"], {"uri": uri})
        self.assertFalse(other.query(f"ALTER TABLE DEMO.PUBLIC.{table} ADD COLUMN M INT").is_error)
        stream.method("notifications/resources/updated", 3)
        self.assertFalse(other.query(f"SELECT * FROM DEMO.PUBLIC.{table}").is_error)
        self.assertEqual(self.updates(stream), [], "a read changes nothing")
        self.assertEqual(client.rpc("resources/unsubscribe", {"uri": uri}).result, {})
        self.assertFalse(other.query(f"INSERT INTO DEMO.PUBLIC.{table} (N) VALUES (2)").is_error)
        self.assertEqual(self.updates(stream), [], "unsubscribed")
        self.assertEqual(self.updates(others), [], "never subscribed")

    def test_an_update_while_nobody_listened_is_told(self):
        client = self.legacy()
        table = "WATCHED_" + self.name()[7:12]
        uri = f"snowflake://DEMO/PUBLIC/{table}"
        self.assertFalse(client.query(f"CREATE TABLE DEMO.PUBLIC.{table} (N INT)").is_error)
        client.rpc("resources/subscribe", {"uri": uri})
        stream = self.open(client)
        stream.silent(0.3)
        last = [e.id for e in stream.got if e.id][-1]
        stream.leave()
        for n in range(3):
            self.assertFalse(client.query(f"INSERT INTO DEMO.PUBLIC.{table} VALUES ({n})").is_error)
        again = self.open(client, last)
        self.assertEqual(again.method("notifications/resources/updated", 3)["params"], {"uri": uri})
        self.assertEqual(again.silent(0.3), [], "told once")

    def test_subscriptions_are_checked(self):
        client = self.legacy()
        for params in ({}, {"uri": 5}, {"uri": ""}, {"uri": "http://example.com/x"}, {"uri": "not a uri"}):
            with self.subTest(params=params):
                self.assertIn(client.rpc("resources/subscribe", params).error["code"], (-32602, -32002))
        self.assertEqual(client.rpc("resources/unsubscribe", {"uri": "snowflake://DEMO/PUBLIC/NEVER"}).result, {})


class Handle(Streams):
    """A session by its handle: door 2."""

    def test_a_session_by_handle_keeps_its_id(self):
        """A call that names its session by the argument is answered to nobody's session id."""
        client = self.client()
        handle = client.tool("set_context", database="DEMO").json["result"]["structuredContent"]["session"]
        message = client.tool_message("execute_query", {"query": self.held(0.4)[0], "session": handle}, {"progressToken": 1})
        with client.stream(message) as stream:
            events = stream.rest()
            self.assertIsNone(stream.headers["Mcp-Session-Id"])
        self.assertEqual([e.id for e in events if e.id], [], "nothing to come back for")
        self.assertIn("result", events[-1].json)


class Ends(Streams):
    def test_deleted_sessions_end_their_streams(self):
        client, other = self.legacy(), self.legacy()
        sql, name = self.held(30)
        streams = [client.listen(), client.listen(), self.call(client, sql)]
        for stream in streams:
            self.kept(stream).open()
        kept = self.kept(other.listen()).open()
        priming = streams[-1].next()
        self.emulator.record(name, "held")
        self.assertEqual(client.send("DELETE").status, 200)
        for stream in streams:
            self.assertEqual([m for m in stream.messages(3) if "result" in m], [])
            self.assertTrue(stream.ended, "ended without its last chunk")
        self.emulator.record(name, "cancelled", 2)
        wait_for(lambda: self.gateway.metric('snowgate_cancels_total{cause="session"}') >= 1, 2, "the count")
        for last in (None, priming.id):
            self.assertEqual(self.status(client, last), 404)
        self.assertEqual(kept.silent(0.2), [])
        self.assertFalse(kept.ended)

    def test_a_stop_ends_open_streams(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            g = self.another({"listen": {"drain": "8s"}, "mcp": {"stream_after": "50ms"}})
            client = self.legacy(of=g)
            sql, name = self.held(1)
            streams = [self.kept(client.listen()).open() for _ in range(3)]
            call = self.call(client, sql)
            call.next()
            begin = time.monotonic()
            g.process.signal(number)
            self.assertEqual(call.answer().rows, [[name]], "a running call is drained")
            for stream in streams + [call]:
                self.assertEqual([m for m in stream.messages(6)], [])
                self.assertTrue(stream.ended, "ended without its last chunk")
            self.assertEqual(g.process.wait(10), 0)
            self.assertLess(time.monotonic() - begin, 5)

    def test_a_stop_does_not_wait_for_idle_streams(self):
        g = self.another({"listen": {"drain": "30s"}})
        client, modern = self.legacy(of=g), self.modern(of=g)
        streams = [client.listen(), modern.stream(modern.message("subscriptions/listen",
                                                                 {"notifications": {"toolsListChanged": True}}))]
        for stream in streams:
            self.kept(stream).open()
        begin = time.monotonic()
        g.process.signal(signal.SIGTERM)
        self.assertEqual(g.process.wait(10), 0)
        self.assertLess(time.monotonic() - begin, 4)
        for stream in streams:
            stream.rest(2)

    def test_a_statement_longer_than_the_drain(self):
        g = self.another({"listen": {"drain": "1s"}, "mcp": {"stream_after": "50ms"}})
        client = self.legacy(of=g)
        sql, name = self.held(60)
        stream = self.call(client, sql)
        stream.next()
        self.emulator.record(name, "held")
        g.process.signal(signal.SIGTERM)
        answer = stream.answer(8)
        self.assertEqual(answer.error["code"], 50302, answer)
        self.assertEqual(stream.rest(2), [])
        self.assertEqual(g.process.wait(10), 0)
        self.emulator.record(name, "cancelled", 3)


class Lifetime(Streams):
    """Streams that the gateway closes for their clients to come back (mcp.stream_lifetime)."""

    conf = {"mcp": {"stream_after": "50ms", "stream_lifetime": "700ms", "retry": "60ms"}}

    def test_a_call_is_followed_through_closed_connections(self):
        client = self.legacy()
        client.rpc("logging/setLevel", {"level": "debug"})
        sql, name = self.held(2.2)
        stream, got, closed = self.call(client, sql), [], 0
        priming = last = None
        while True:
            begin = time.monotonic()
            events = stream.rest(5)
            self.assertTrue(stream.ended, "closed without its last chunk")
            priming = priming or events[0]
            got += [e for e in events if e.data and e.id]
            if got and "result" in got[-1].json:
                break
            closed += 1
            self.assertTrue(0.3 < time.monotonic() - begin < 1.6, time.monotonic() - begin)
            self.assertIn(60, [e.retry for e in events], "no retry before closing")
            last = ([last] + [e.id for e in events if e.id])[-1]
            time.sleep(0.06)
            stream = self.kept(client.listen(last))
            self.assertEqual(stream.open().status, 200)
        self.assertGreaterEqual(closed, 2)
        self.assertIn(name, got[-1].data)
        with client.listen(priming.id) as again:
            self.assertEqual([e for e in again.rest() if e.data], got)

    def test_older_revisions_are_not_closed_before_the_response(self):
        for revision in LEGACY[:-1]:
            client = self.legacy(revision=revision)
            sql, name = self.held(1.2)
            stream = self.call(client, sql)
            self.assertIn(name, stream.answer().text)
            self.assertTrue(all(event.data for event in stream.got))

    def test_a_standalone_stream_is_closed_and_comes_back(self):
        client = self.legacy()
        stream = self.kept(client.listen())
        begin = time.monotonic()
        events = stream.rest(5)
        self.assertTrue(0.4 < time.monotonic() - begin < 1.6)
        self.assertTrue(stream.ended)
        self.assertIn(60, [e.retry for e in events])
        last = [e.id for e in events if e.id][-1]
        self.change_tools()
        with client.listen(last) as again:
            again.method("notifications/tools/list_changed", 2)

    def test_a_modern_call_is_not_closed(self):
        client = self.modern()
        sql, name = self.held(1.2)
        self.assertEqual(self.call(client, sql, {"progressToken": 1}).answer().rows, [[name]])
        self.assertEqual(self.emulator.record(name)["state"], "succeeded")


class LifetimeReloaded(Streams):
    def test_a_reload_sets_and_ends_the_lifetime(self):
        g = self.another({"mcp": {"stream_after": "50ms"}})
        client = self.legacy(of=g)
        with client.listen() as stream:
            stream.open()
            self.assertEqual(stream.silent(0.3), [])
            g.reload(mcp={"stream_after": "50ms", "stream_lifetime": "200ms"})
            stream.rest(5)
            self.assertTrue(stream.ended, "the old stream lives by the new time")
        g.reload(mcp={"stream_after": "50ms", "stream_lifetime": "0s"})
        with client.listen() as stream:
            stream.open()
            self.assertEqual(stream.silent(0.6), [])
            self.assertFalse(stream.ended)

    def test_a_call_by_handle_stays_json(self):
        """Nobody could resume it, and nobody asked to be told."""
        client = self.client()
        handle = client.tool("set_context", database="DEMO").json["result"]["structuredContent"]["session"]
        with client.stream(client.tool_message("execute_query", {"query": self.held(0.3)[0], "session": handle})) as answer:
            self.assertFalse(answer.answer().is_error)
            self.assertFalse(answer.is_stream)


class Crowd(Streams):
    """Many clients that do everything at once and leave at any time: none sees another's, nothing is left over."""

    conf = {"mcp": {"stream_after": "20ms", "sse_keepalive": "100ms", "retry": "20ms", "stream_lifetime": "300ms"},
            "limits": {"default": {"calls_per_minute": 1000000, "burst": 100000, "running": 100, "queued": 1000,
                                   "streams": 1000}}}

    def act(self, n, end, faults):
        rng = random.Random(n)
        client = self.client(("alice", "bob")[n % 2], modern=n % 3 == 2, revision=rng.choice(LEGACY))
        if not client.modern:
            client.initialize()
            client.rpc("logging/setLevel", {"level": "debug"})
        while time.monotonic() < end:
            deed = rng.choice((self.run_one, self.run_one, self.leave_one, self.cancel_one, self.stand,
                               self.start_again))
            deed(client, rng, f"{n}-{rng.randrange(1 << 30)}", faults)

    def statement(self, client, name, meta=None):
        sql = f"SELECT 'crowd {name}'"
        return client.stream(client.tool_message("execute_query", {"query": sql}, meta))

    def run_one(self, client, rng, name, faults):
        """To the answer, through whatever closes in between."""
        stream, last = self.statement(client, name, {"progressToken": name}), None
        while True:
            if not stream.is_stream:
                found = stream.answer().body.decode()
                break
            events = stream.rest()
            found = "".join(e.data or "" for e in events)
            if '"result"' in found or '"error"' in found:
                break
            last = ([last] + [e.id for e in events if e.id])[-1]
            stream.leave()
            stream = client.listen(last)
        stream.leave()
        if f"crowd {name}" not in found or found.count("crowd ") != found.count(f"crowd {name}"):
            faults.append((name, found[-500:]))

    def leave_one(self, client, rng, name, faults):
        stream = self.statement(client, name)
        stream.read(rng.randint(1, 900), rng.random() * 0.1)

    def cancel_one(self, client, rng, name, faults):
        with self.statement(client, name) as stream:
            time.sleep(rng.random() * 0.1)
            client.notify("notifications/cancelled", {"requestId": stream.id})
            if rng.random() < 0.5:
                stream.silent(0.05)

    def stand(self, client, rng, name, faults):
        if client.modern:
            message = client.message("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
            stream = client.stream(message)
        else:
            stream = client.listen()
        stream.read(rng.randint(1, 900), rng.random() * 0.2)

    def start_again(self, client, rng, name, faults):
        if not client.modern and rng.random() < 0.3:
            revision = client.revision
            if rng.random() < 0.7:
                client.send("DELETE")
            client.initialize(revision)

    def test_a_crowd(self):
        self.emulator.hold("crowd", 0.08)
        faults, end = [], time.monotonic() + (60 if LONG else 5)

        def act(n):
            try:
                self.act(n, end, faults)
            except Exception as problem:
                faults.append(f"{n}: {problem!r}")
        threads = [threading.Thread(target=act, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        while time.monotonic() < end:
            self.change_tools()
            time.sleep(0.3)
        for thread in threads:
            thread.join(60)
        self.assertEqual(faults, [])
        for name in ("snowgate_slots_used", "snowgate_queue_depth", 'snowgate_streams{kind="call"}',
                     'snowgate_streams{kind="get"}', 'snowgate_streams{kind="listen"}'):
            wait_for(lambda name=name: self.gateway.metric(name) == 0, 10, name)
        self.assertEqual({r["executions"] for r in self.emulator.records("crowd")} - {0, 1}, set())


if __name__ == "__main__":
    gateway.main()
