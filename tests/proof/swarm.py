#!/usr/bin/env python3
"""A swarm of clients of both eras that hold the gateway to its word: each records every acknowledgement that it got
(sessions, contexts, events, answers, writes, handles, tasks), goes on through broken connections as the protocol says,
and invariants() then asks gateway and emulator whether all of it is true.

    swarm.py --url http://127.0.0.1:8080/mcp [--url ...] --emulator PORT [--key KEY ...] [--clients N] [--seconds S]
             [--seed N]

Several URLs are used in turn, request by request. Ends with a report and status 1 where something was broken."""

import argparse
import collections
import http.client
import json
import os
import random
import re
import sys
import threading
import time
import traceback
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from gateway import LATEST, TOKEN, Answer, Client, Cut, Emulator, Stream, head  # noqa: E402

TASKS = "io.modelcontextprotocol/tasks"
PATIENCE = 60  # seconds until a call that should have been answered is given up, and that is a fault
READ_SECONDS = 20  # of silence until a connection is left for a new one
STRAGGLE_SECONDS = 60  # a change that was sent and not answered may still happen so long
HOLDS = (100, 400, 1500)  # ms that slow statements run
WAREHOUSES = ("COMPUTE_WH", "WH_XS", "WH_LOAD")
SCHEMAS = (("DEMO", "PUBLIC"), ("SNOWFLAKE_SAMPLE_DATA", "TPCH_SF1"))
MARK = re.compile(r"swarm\.[0-9a-z]+\.\d+\.\d+;")
BROKEN = (OSError, Cut, AssertionError)  # a Stream that got no answer in time says so by an AssertionError
OPEN = ("held", "queued", "running")  # states of a statement at the emulator
BUSY = (429, 502, 503, 504)
CANCELLED = "000604"  # Snowflake's code
BACK = (42901, 42902, 50301, 50302)  # errors that say: come back
# Of an answer that was rendered again: the time it took, the request that asked.
PASSING = (re.compile(r'(\\*"elapsedMs\\*":)\d+'), re.compile(r"( \[)r[0-9a-f]+(?=\])"))


class Lost(Exception):
    """Sent, and nobody knows what became of it."""


class Refused(Exception):
    """An answer that cannot be what was asked for; told as a fault already."""


def lasting(body):
    """The body without what may differ when it is rendered again."""
    for pattern in PASSING:
        body = pattern.sub(r"\1", body)
    return body


class Target:
    def __init__(self, url):
        self.port = urllib.parse.urlsplit(url).port if isinstance(url, str) else getattr(url, "port", url)


class Control(Emulator):
    """An emulator that runs already."""

    def __init__(self, port):
        self.port = port


Context = collections.namedtuple("Context", "warehouse database schema tag")


class Session:
    """What a session was told to be: every context that it may have by now."""

    def __init__(self, name, key, by_handle, told, stragglers):
        self.name, self.key, self.by_handle = name, key, by_handle
        self.straggle = STRAGGLE_SECONDS if stragglers is True else stragglers
        self.possible, self.unanswered = {told}, []
        self.deleted = None  # then "sent" or "done"
        self.events = {}  # id -> body

    def expected(self):
        """What it may be: a change without an answer may have happened, and where stragglers count may happen yet."""
        end = time.monotonic() - self.straggle
        while self.unanswered and self.unanswered[0][0] <= end:  # it will not happen any more, and may have
            change = self.unanswered.pop(0)[1]
            self.possible |= {c._replace(**change) for c in self.possible}
        found, more = set(), set(self.possible)
        while more:
            found |= more
            more = {c._replace(**change) for c in more for _, change in self.unanswered} - found
        return found

    def acknowledged(self, change):
        self.possible = {c._replace(**change) for c in self.expected()}

    def lost(self, change):
        self.unanswered.append((time.monotonic(), change))

    def contradicts(self, told):
        """Narrows down; where it may not be so, what it may be, for a person. `told` may lack members."""
        expected = self.expected()
        fits = {c for c in expected if all(getattr(c, k) == v for k, v in told.items())}
        self.possible = fits or {c._replace(**told) for c in self.possible}
        return None if fits else " or ".join(sorted(str(c) for c in expected)[:4])


class Call:
    """One statement and all that was heard of it."""

    def __init__(self, marker, kind, session, row=None, key=None):
        self.marker, self.kind, self.session, self.row, self.key = marker, kind, session, row, key
        self.rpc_id = self.stream = self.last = self.first = self.handle = self.task = None
        self.number, self.progress, self.breaks, self.answers = 0, -1, 0, 0
        self.outcome = "sent"  # then done, failed, unknown, lost, cancelled, broken
        self.cancelled = False
        self.tags = None  # the QUERY_TAGs that it may have run under
        self.sql, self.overtaken = None, False
        self.bodies = []  # (event id, body) in order


class Member(threading.Thread):
    def __init__(self, swarm, n):
        super().__init__(daemon=True)
        self.swarm, self.n = swarm, n
        self.rng = random.Random(f"{swarm.seed}-{n}")
        self.modern = n % 2 == 1
        self.key = swarm.keys[n // 2 % len(swarm.keys)] if swarm.keys else None
        self.client = Client(None, self.key, modern=self.modern,
                             revision=LATEST if n % 4 == 0 else "2025-06-18", timeout=READ_SECONDS)
        self.declared = {"extensions": {TASKS: {}}} if self.modern and swarm.tasks else {}
        self.session, self.sessions, self.calls, self.faults = None, [], [], []
        self.rested = threading.Event()
        self.counts = collections.Counter()
        self.serial, self.turns = 0, n
        self.down_since, self.gap = None, 0.0
        self.asked, self.errors = 0, []  # calls so far; (time, number of the call, what it was)

    # ---- the wire ----

    def fault(self, text, call=None):
        self.faults.append(f"client {self.n}{' ' + call.marker if call else ''}: {text}")

    def turn(self):
        self.turns += 1
        self.client.gateway = self.swarm.targets[self.turns % len(self.swarm.targets)]

    def broken(self, why, call=None, problem=None):
        """Something did not work: counted, and a moment waited."""
        why = "silent" if isinstance(problem, (AssertionError, TimeoutError)) else why
        self.counts[why] += 1
        self.errors.append((time.monotonic(), self.asked, why))
        self.down_since = self.down_since or time.monotonic()
        if call:
            call.breaks += 1
        time.sleep(self.rng.uniform(0.01, 0.08))

    def served(self):
        if self.down_since:
            self.gap = max(self.gap, time.monotonic() - self.down_since)
            self.down_since = None

    def send(self, make, call=None):
        """make() opens a stream; sent again where nothing can have happened. Its head has come and is no refusal that
        passes."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.turn()
            try:
                stream = make()
            except ConnectionRefusedError:
                self.broken("refused", call)
                continue
            except OSError as problem:
                self.broken("broken", call, problem)
                raise Lost(str(problem)) from problem
            try:
                stream.open(READ_SECONDS)
            except BROKEN as problem:
                stream.leave()
                self.broken("broken", call, problem)
                raise Lost(str(problem)) from problem
            if stream.status not in BUSY:
                return stream
            if stream.status in (429, 503) and not stream.headers["Retry-After"]:
                self.fault(f"{stream.status} without Retry-After", call)
            stream.leave()
            self.broken(str(stream.status), call)
            if stream.status in (502, 504):
                raise Lost(f"{stream.status}")
        raise Lost("refused for too long")

    def ask(self, message, more=None):
        """The answer to what may be asked twice."""
        self.asked += 1
        end = time.monotonic() + PATIENCE
        while True:
            try:
                with self.send(lambda: self.client.stream(message, more)) as stream:
                    answer = stream.answer(PATIENCE)
                    self.served()
                    return answer
            except (Lost, *BROKEN) as problem:
                if time.monotonic() > end:
                    self.fault(f"{message.get('method')} was never answered: {problem}")
                    raise Refused from problem
                self.counts["asked again"] += 1

    def tell(self, make):
        """The status of a request without a stream; None where it is not known."""
        self.asked += 1
        try:
            with self.send(make) as stream:
                self.served()
                return stream.status
        except Lost:
            return None

    def tool(self, name, arguments, meta=None):
        if self.modern and self.session:
            arguments = {**arguments, "session": self.session.name}
        return self.client.tool_message(name, arguments, meta)

    def declaring(self, make, *what):
        """A message of a client that takes tasks: only those of statements are."""
        self.client.capabilities = self.declared
        try:
            return make(*what)
        finally:
            self.client.capabilities = {}

    # ---- sessions ----

    def begin(self):
        """A session of its own."""
        self.client.session = self.session = None
        if self.modern:
            told = self.ask(self.client.tool_message("set_context", {"warehouse": WAREHOUSES[0]}))
            name = told.structured["session"]
        else:
            answer = self.ask(self.client.message("initialize", {
                "protocolVersion": self.client.revision, "capabilities": {},
                "clientInfo": {"name": "swarm", "version": "1"}}))
            self.client.session = name = answer.headers["Mcp-Session-Id"]
            if not name:
                self.fault(f"initialize: {answer}")
                raise Refused
            self.tell(lambda: self.client.stream(self.client.message("notifications/initialized", notification=True)))
            if self.n % 4 == 2:  # hears more than the answer, in events
                self.ask(self.client.message("logging/setLevel", {"level": "debug"}))
            told = self.ask(self.client.tool_message("set_context", {}))
        self.session = Session(name, self.key, self.modern, self.context_of(told), self.swarm.stragglers)
        self.sessions.append(self.session)
        self.counts["sessions"] += 1

    def context_of(self, answer):
        told = answer.structured
        context, parameters = told["context"], told.get("parameters", {})
        return Context(context.get("warehouse"), context.get("database"), context.get("schema"),
                       parameters.get("QUERY_TAG"))

    def change(self):
        """Another context, in one of the ways there are."""
        self.serial += 1
        self.asked += 1
        tag, (database, schema) = f"tag {self.n}.{self.serial}", self.rng.choice(SCHEMAS)
        warehouse, way = self.rng.choice(WAREHOUSES), self.rng.randrange(5)
        if way < 2:
            change = {"warehouse": warehouse, "database": database, "schema": schema, "tag": tag}
            message = self.tool("set_context", {"warehouse": warehouse, "database": database, "schema": schema,
                                                "parameters": {"QUERY_TAG": tag}})
        else:
            change, sql = (({"warehouse": warehouse}, f"USE WAREHOUSE {warehouse}"),
                           ({"database": database, "schema": schema}, f"USE SCHEMA {database}.{schema}"),
                           ({"tag": tag}, f"ALTER SESSION SET QUERY_TAG = '{tag}'"))[way - 2]
            message = self.tool("execute_query", {"query": sql})
        session = self.session
        try:
            with self.send(lambda: self.client.stream(message)) as stream:
                if self.gone(stream):
                    return
                answer = stream.answer(READ_SECONDS)
        except (Lost, *BROKEN):
            session.lost(change)
            self.counts["changes without an answer"] += 1
            return
        self.served()
        if "result" not in answer.json or answer.is_error:
            session.lost(change)
            self.counts["changes refused"] += 1
            return
        session.acknowledged(change)
        self.counts["changes"] += 1

    def look(self):
        """What the session says of itself."""
        session, answer = self.session, self.ask(self.tool("set_context", {}))
        if self.session_lost(answer):
            return
        wrong = session.contradicts(self.context_of(answer)._asdict())
        if wrong:
            self.fault(f"the context is {self.context_of(answer)}; it may be {wrong}")
        self.counts["looks"] += 1

    def gone(self, stream):
        """404: an acknowledged session is lost; a fault, and another is begun."""
        if stream.status != 404:
            return False
        self.fault(f"the session {self.session.name[:16]} is gone")
        self.session.deleted = "lost"
        self.begin()
        return True

    def session_lost(self, answer):
        """The same for either door."""
        if answer.status != 404 and not (self.modern and answer.is_error and "call set_context" in answer.text):
            return False
        self.fault(f"the session {self.session.name[:16]} is gone: {answer}")
        self.session.deleted = "lost"
        self.begin()
        return True

    def delete(self):
        if self.modern:
            return
        self.session.deleted = "sent"
        for call in self.calls[-40:]:
            call.cancelled |= call.session is self.session and bool(call.handle)
        status = self.tell(lambda: Stream(self.client.gateway.port, head("DELETE", self.client.headers())))
        if status in (200, 204, 404):
            self.session.deleted = "done"
            self.counts["deleted"] += 1
        elif status is not None:
            self.fault(f"DELETE: {status}")
        self.begin()

    # ---- statements ----

    def new_call(self, kind, hold=None):
        """The call, and the SQL with its marker: what it runs, what it brings."""
        self.serial += 1
        marker = f"swarm.{self.swarm.run}.{self.n}.{self.serial};"
        held = f"hold {hold};" if hold else "at once"
        row = self.n * 1000000 + self.serial if kind == "write" else None
        key = marker if kind == "write" and self.swarm.keyed and self.rng.random() < 0.6 else None
        call = Call(marker, kind, self.session, row, key)
        call.tags = {c.tag for c in self.session.expected()}
        self.calls.append(call)
        if kind == "write":
            return call, f"INSERT INTO {self.swarm.table} SELECT {row} WHERE '{marker} {held}' <> ''"
        return call, f"SELECT '{marker}' AS T, '{held}' AS H"

    def run_statement(self, kind, hold=None, cancel=False, **more):
        self.asked += 1
        call, sql = self.new_call(kind, hold)
        arguments = {"query": sql, "format": "json", **more, **({"idempotency_key": call.key} if call.key else {})}
        call.session, call.sql = self.session, sql
        self.counts[kind + (" held" if hold else "")] += 1
        end = time.monotonic() + PATIENCE
        while True:
            message = self.declaring(self.tool, "execute_query", arguments, {"progressToken": call.marker})
            call.rpc_id, call.stream, call.number, call.last, call.progress = message["id"], None, 0, None, -1
            call.answers, call.first, call.bodies = 0, None, []  # each time it is sent is a stream of its own
            try:
                answer = self.follow(call, self.send(lambda: self.client.stream(message), call), cancel)
                if answer is None:
                    return call
                if not self.again(call, answer):
                    break
            except Lost:
                if not call.key:
                    call.outcome = "lost"
                    self.counts["lost"] += 1
                    return call
                self.counts["sent again by key"] += 1
            except Refused:
                call.outcome = "broken"
                raise
            if time.monotonic() > end:
                self.fault("no answer by its key", call)
                return call
        self.judge(call, answer)
        return call

    def again(self, call, answer):
        """A write with a key that was told to come back."""
        message = answer.json
        if not call.key:
            return False
        if "error" in message:
            if message["error"].get("code") not in BACK:
                return False
        elif not answer.is_error or not answer.meta_error.get("retryable"):
            return False
        time.sleep(0.1)
        return True

    def follow(self, call, stream, cancel=False):
        """To the answer, through all that breaks; None where there will be none."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                answer = self.read(call, stream, cancel)
                if answer:
                    self.served()
                    return answer
            except BROKEN as problem:
                self.broken("broken", call, problem)
                if call.last is None:
                    raise Lost(str(problem)) from problem
            finally:
                stream.leave()
            if call.cancelled:
                call.outcome = "cancelled"
                return None
            if call.last is None:
                self.fault("its stream ended without its answer", call)
                raise Refused
            cancel = False
            stream = self.resume(call, end)

    def resume(self, call, end):
        while time.monotonic() < end:
            self.turn()
            try:
                stream = self.client.listen(call.last, timeout=READ_SECONDS)
                stream.open(READ_SECONDS)
            except BROKEN as problem:
                self.broken("refused", call, problem)
                continue
            if stream.status == 200:
                self.counts["resumed"] += 1
                return stream
            stream.leave()
            if stream.status not in BUSY:
                self.fault(f"resumed after {call.last}: {stream.status} before its answer", call)
                if stream.status == 404:
                    self.session.deleted = "lost"
                    self.begin()
                raise Refused
            self.broken(str(stream.status), call)
        self.fault(f"its stream could not be resumed in {PATIENCE} s", call)
        raise Refused

    def read(self, call, stream, cancel=False):
        """The answer, or None where the connection ended in order without one."""
        if not stream.is_stream:
            if self.gone(stream):
                raise Refused
            answer = stream.answer(READ_SECONDS)
            self.foreign(call, answer.body.decode())
            return self.is_own(call, answer.json) and answer
        while (event := stream.next(READ_SECONDS)) is not None:
            self.heard(call, event)
            message = event.json
            if "result" in message or "error" in message:
                call.answers += 1
                try:
                    if [e for e in stream.rest(READ_SECONDS) if e.data]:
                        self.fault("something came after the answer", call)
                except BROKEN:  # the answer had come
                    self.counts["broken"] += 1
                return self.is_own(call, message) and Answer(stream.status, stream.headers, event.data.encode())
            if cancel and call.last:
                cancel, call.cancelled = False, True
                self.counts["cancelled"] += 1
                self.tell(lambda: self.client.stream(self.client.message(
                    "notifications/cancelled", {"requestId": call.rpc_id}, notification=True)))
        return None

    def is_own(self, call, message):
        if message.get("id") != call.rpc_id:
            self.fault(f"answered with the id {message.get('id')} instead of {call.rpc_id}: {str(message)[:200]}", call)
            raise Refused
        return True

    def foreign(self, call, text):
        for mark in set(MARK.findall(text)) - {call.marker}:
            self.fault(f"got what belongs to {mark}", call)

    def heard(self, call, event):
        """One event of the call's stream, whichever connection it came on."""
        self.foreign(call, event.data or "")
        params = event.json.get("params", {})
        if event.json.get("method") == "notifications/progress":
            if params.get("progressToken") != call.marker:
                self.fault(f"progress of {params.get('progressToken')}", call)
            if params.get("progress", 0) <= call.progress:
                self.fault(f"progress went from {call.progress} to {params.get('progress')}", call)
            call.progress = params.get("progress", 0)
        if event.id is None:
            return
        stream, number = event.id.rsplit("-", 1)
        if call.stream is None:
            call.stream, call.first = stream, event.id
            call.number = int(number) - bool(event.data)
        if stream != call.stream:
            self.fault(f"event {event.id} in the stream {call.stream}", call)
        if event.data:
            if int(number) != call.number + 1:
                self.fault(f"event {event.id} after number {call.number}", call)
            self.remember(call.session, event, call)
            call.bodies.append((event.id, lasting(event.data)))
            self.counts["events"] += 1
        call.number, call.last = max(call.number, int(number)), event.id

    def remember(self, session, event, call):
        body = lasting(event.data)
        if session.events.setdefault(event.id, body) != body:
            self.fault(f"event {event.id} with two bodies: {session.events[event.id][:300]} and {body[:300]}", call)

    def judge(self, call, answer):
        """What the answer says was done, and whether it may say so."""
        message = answer.json
        if "error" in message:
            call.outcome = "failed"
            self.counts[f"error {message['error'].get('code')}"] += 1
            return
        if not self.modern and answer.status == 404:
            return
        result = answer.result
        if result.get("resultType") == "task":
            call.task = result["taskId"]
            self.counts["tasks"] += 1
            self.finish_task(call)
        elif result.get("isError"):
            self.judge_error(call, answer)
        elif result["structuredContent"].get("status") == "running":
            call.handle = result["structuredContent"]["statementHandle"]
            self.counts["running"] += 1
        else:
            self.judge_rows(call, result["structuredContent"])

    def judge_error(self, call, answer):
        error = answer.meta_error if "_meta" in answer.result else {}
        call.outcome = "unknown" if error.get("outcome") == "unknown" else "failed"
        self.counts["outcome unknown" if call.outcome == "unknown" else "failed"] += 1
        if call.outcome == "unknown" and (error.get("retryable") or call.kind != "write"):
            self.fault(f"the outcome is unknown, and: {error}", call)
        if self.modern and "call set_context" in answer.text:
            self.session_lost(answer)
        elif self.modern and call.breaks and error.get("code") == CANCELLED:  # who leaves has cancelled it
            call.outcome = "cancelled"
            self.counts["cancelled"] += 1
        elif call.outcome == "failed" and not error.get("retryable") and not call.cancelled:
            self.fault(f"failed and is not to be tried again: {answer.text[:300]}", call)

    def judge_rows(self, call, told):
        want = [["1"]] if call.kind == "write" else None
        if (told["rows"] != want if want else told["rows"][0][0] != call.marker or len(told["rows"]) != 1):
            self.fault(f"rows {str(told['rows'])[:200]}", call)
        call.outcome = "done"
        self.counts["answers"] += 1
        context = {k: told["context"].get(k) for k in ("warehouse", "database", "schema")}
        if not call.task and not call.handle and not call.key:
            wrong = call.session.contradicts(context)
            if wrong:
                self.fault(f"ran in {context}; it may have been {wrong}", call)

    def finish_handle(self, call):
        """The rows of what was answered `running`."""
        message = self.client.tool_message("get_result", {"statement_handle": call.handle, "format": "json",
                                                          "wait_seconds": 30})
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            answer = self.ask(message)
            if "result" not in answer.json or answer.is_error or answer.structured.get("status") != "running":
                break
        if "result" in answer.json and not answer.is_error and answer.structured.get("status") != "running":
            self.judge_rows(call, answer.structured)
        elif call.cancelled and "result" in answer.json and answer.is_error and "cancelled" in answer.text:
            call.outcome = "cancelled"  # with its session
        elif "result" in answer.json and answer.is_error and answer.meta_error.get("retryable"):
            self.counts["failed"] += 1
            return
        elif "result" in answer.json and answer.is_error and call.session.deleted:  # and its statements with it
            call.outcome = "cancelled"
            return
        else:
            self.fault(f"its handle brought {answer}, and its session is {call.session.deleted or 'there'}", call)
        self.counts["handles"] += 1

    def finish_task(self, call):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            message = self.declaring(self.client.message, "tasks/get", {"taskId": call.task})
            answer = self.ask(message, {"Mcp-Name": call.task})
            if "error" in answer.json:
                self.fault(f"its task is lost: {answer.error}", call)
                return
            told = answer.result
            if told["status"] in ("completed", "failed", "cancelled"):
                break
            time.sleep(min(told.get("pollIntervalMs", 100) / 1000, 0.2))
        if told["status"] != "completed":
            self.fault(f"its task ended so: {told}", call)
        elif told["result"].get("isError"):
            self.judge_error(call, Answer(200, {}, json.dumps({"result": told["result"]}).encode()))
        else:
            self.judge_rows(call, told["result"]["structuredContent"])

    # ---- what a client does besides ----

    def replay(self):
        """An answered stream of this session again, from some event of it, then from its last."""
        found = [c for c in self.calls[-12:] if c.session is self.session and c.answers and c.last and c.bodies]
        if not found:
            return
        self.asked += 1
        call = self.rng.choice(found)
        ids = list(dict.fromkeys([call.first] + [i for i, _ in call.bodies]))  # the priming event has no body
        at = self.rng.randrange(len(ids))
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                with self.send(lambda: self.client.listen(ids[at], timeout=READ_SECONDS)) as stream:
                    if stream.status != (204 if at == len(ids) - 1 else 200):
                        self.fault(f"{stream.status} for the replay after {ids[at]} of {ids[-1]}", call)
                        return
                    got = [] if stream.status == 204 else [e for e in stream.rest(READ_SECONDS) if e.data]
                break
            except (Lost, *BROKEN):
                continue
        else:
            self.fault("no replay", call)
            return
        self.served()
        stored = [(e.id, lasting(e.data)) for e in got if e.id]
        if stored != [(i, body) for i, body in call.bodies if i in ids[at + 1:]]:
            self.fault(f"the replay after {ids[at]} held {[i for i, _ in stored]} of {[i for i, _ in call.bodies]}, or "
                       f"other bodies: {str(stored)[:600]} for {str(call.bodies)[:600]}", call)
        self.counts["replays"] += 1

    def pry(self):
        """The stream of somebody else must not be had by its event id."""
        others = [m for m in self.swarm.members if m is not self and not m.modern and m.calls]
        found = [c for m in others for c in m.calls[-3:] if c.first and c.session is not self.session]
        if not found or self.modern:
            return
        self.asked += 1
        call = self.rng.choice(found)
        try:
            with self.send(lambda: self.client.listen(call.first, timeout=READ_SECONDS)) as stream:
                if stream.status != 204:
                    self.fault(f"{stream.status} for the event {call.first} of another session")
        except Lost:
            return
        self.counts["pries"] += 1

    def fetch(self):
        """Handles that are open."""
        for call in self.calls[-20:]:
            if call.handle and call.outcome == "sent":
                self.finish_handle(call)
                return

    def repeat(self):
        """A write that was answered, by its key again: the same outcome."""
        found = [c for c in self.calls[-20:] if c.key and c.outcome == "done"]
        if not found:
            self.run_statement("write")
            return
        call = self.rng.choice(found)
        answer = self.ask(self.tool("execute_query", {"query": call.sql, "format": "json",
                                                      "idempotency_key": call.key}))
        if self.session_lost(answer):
            return
        if "error" in answer.json or (answer.is_error and answer.meta_error.get("retryable")):
            self.counts["failed"] += 1
        elif answer.is_error or answer.rows != [["1"]]:
            self.fault(f"by its key again: {answer}", call)
        self.counts["repeated"] += 1

    def act(self):
        r, held = self.rng.random(), self.rng.choice(self.swarm.holds)
        favour = self.swarm.favour
        if favour and self.rng.random() < 0.3:
            getattr(self, favour)()
        elif r < 0.12:
            self.run_statement("read")
        elif r < 0.36:
            self.run_statement("read", held)
        elif r < 0.46:
            self.run_statement("write")
        elif r < 0.62:
            self.run_statement("write", held)
        elif r < 0.78:
            self.change()
        elif r < 0.82:
            self.look()
        elif r < 0.87:
            self.run_statement("read", held, wait_seconds=0)
        elif r < 0.91:
            self.fetch()
        elif r < 0.96:
            self.replay()
        elif r < 0.98:
            self.pry()
        elif r < 0.985 and not self.modern:
            self.run_statement("read", held, cancel=True)
        elif r < 0.99:
            self.repeat()
        elif r > 0.995:
            self.delete()

    def safely(self, what):
        try:
            what()
        except Refused:
            return
        except Exception as problem:
            self.fault(f"{problem!r} {traceback.format_exc(limit=-4)}")

    def run(self):
        while not self.session and not self.swarm.over.is_set():
            self.safely(self.begin)
        while not self.swarm.over.is_set():
            if self.swarm.moving.is_set():
                self.safely(self.act)
                if self.swarm.pace:
                    self.swarm.over.wait(self.rng.uniform(0, 2 * self.swarm.pace))
            else:
                self.settle()
                self.rested.set()
                self.swarm.moving.wait()
        self.swarm.settling.wait(PATIENCE)
        self.settle()

    def settle(self):
        for call in self.calls:
            if call.handle and call.outcome == "sent":
                self.safely(lambda call=call: self.finish_handle(call))


class Swarm:
    """`targets`: URLs, ports, or what has a port. `stragglers`: a change that was sent and not answered may happen
    later, True: after a while, as with a gateway that was stopped or one of several; or so many seconds later.
    `holds`: the ms that its slow statements run. `pace`: seconds that each client rests between two calls, on
    average."""

    def __init__(self, targets, emulator, clients=8, seed=1, keys=(), stragglers=False, holds=HOLDS, pace=0.0):
        self.targets, self.emulator, self.seed = [Target(t) for t in targets], emulator, seed
        self.keys, self.stragglers, self.holds, self.pace = list(keys), stragglers, holds, pace
        self.favour = None  # what its members do more often than else: the name of a method
        self.run = f"{seed:x}x{time.time_ns() // 1000:x}"  # in its markers: an emulator may see several swarms
        self.table = f"DEMO.PUBLIC.SWARM_{self.run.upper()}"
        self.over, self.settling, self.moving = threading.Event(), threading.Event(), threading.Event()
        self.moving.set()
        self.records, self.collected = {}, 0.0
        self.prepare()
        self.members = [Member(self, n) for n in range(clients)]

    def prepare(self):
        for ms in set(self.holds) - self.emulator.__dict__.setdefault("holding", set()):
            self.emulator.hold(f"hold {ms};", ms / 1000)
            self.emulator.holding.add(ms)
        self.sql(f"CREATE TABLE {self.table} (ID INT)")
        with Client(self.targets[0], self.keys[0] if self.keys else None, modern=True) as client:
            extensions = client.rpc("server/discover").result["capabilities"].get("extensions", {})
            self.tasks = TASKS in extensions
            tools = {t["name"]: t["inputSchema"]["properties"] for t in client.rpc("tools/list").result["tools"]}
            self.keyed = "idempotency_key" in tools["execute_query"]

    def sql(self, statement):
        """Straight at the emulator: its rows."""
        connection = http.client.HTTPConnection("127.0.0.1", self.emulator.port, timeout=30)
        try:
            connection.request("POST", "/api/v2/statements", json.dumps({"statement": statement, "timeout": 60}), {
                "Authorization": "Bearer " + TOKEN, "Content-Type": "application/json", "Accept": "application/json",
                "X-Snowflake-Authorization-Token-Type": "PROGRAMMATIC_ACCESS_TOKEN", "User-Agent": "swarm"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            if response.status != 200:
                raise RuntimeError(f"{statement}: {response.status} {answer}")
            return answer.get("data", [])
        finally:
            connection.close()

    def start(self):
        for member in self.members:
            member.start()

    def rest(self):
        """No new calls until go_on(); waits for those under way, as far as they have an end. The targets must be up."""
        self.moving.clear()
        for member in self.members:
            if not member.rested.wait(3 * PATIENCE):
                member.fault("does not come to rest")

    def go_on(self):
        for member in self.members:
            member.rested.clear()
        self.moving.set()

    def leave(self):
        """No more of it, whatever is under way."""
        self.over.set()
        self.settling.set()
        self.moving.set()

    def stop(self):
        """No new calls; waits for those under way. The targets must be up."""
        self.leave()
        for member in self.members:
            member.join(3 * PATIENCE)
            if member.is_alive():
                member.fault("does not end")
        return self

    def collect(self, whole=False):
        """The emulator's records of its statements, which it tells the newest 10000 of; fewer where those were seen
        before."""
        for n in (10000,) if whole else (1000, 10000):
            found = self.emulator.records(f"swarm.{self.run}.", n=n)
            known = any(record["handle"] in self.records for record in found[len(found) // 2:])
            for record in found:
                self.records[record["handle"]] = record
            if known or len(found) < n:
                return

    def in_flight(self):
        return sum(bool(m.calls) and m.calls[-1].outcome == "sent" and not m.calls[-1].handle for m in self.members)

    def counts(self):
        counts = sum((m.counts for m in self.members), collections.Counter())
        counts["reads overtaken"] = sum(c.overtaken for m in self.members for c in m.calls)
        return +counts

    def report(self):
        counts = self.counts()
        gaps = sorted((m.gap for m in self.members), reverse=True)
        lines = [", ".join(f"{name} {n}" for name, n in sorted(counts.items()))]
        lines.append(f"{len(self.members)} clients; longest gap of each: " + " ".join(f"{g:.2f}" for g in gaps[:12]) +
                     (" ..." if len(gaps) > 12 else "") + " s")
        breaks = collections.Counter(c.breaks for m in self.members for c in m.calls)
        lines.append("calls by how often they were broken: " +
                     ", ".join(f"{k}: {n}" for k, n in sorted(breaks.items())))
        return "\n".join(lines)


# ---- afterwards ----

def check_sessions(swarm):
    faults = []
    for member in swarm.members:
        for session in member.sessions:
            if session.deleted in ("sent", "lost"):
                continue
            modern = session.by_handle
            client = Client(swarm.targets[0], session.key, modern=modern, session=None if modern else session.name)
            with client:
                answer = client.tool("set_context", **({"session": session.name} if modern else {}))
            if session.deleted == "done":
                if answer.status != 404:
                    faults.append(f"client {member.n}: the deleted session answers {answer.status}")
            elif answer.status != 200 or answer.is_error:
                faults.append(f"client {member.n}: its session {session.name[:16]} is gone: {answer}")
            else:
                told = member.context_of(answer)
                wrong = session.contradicts(told._asdict())
                if wrong:
                    faults.append(f"client {member.n}: its session is in {told}, not in {wrong}")
    return faults


def overtaken(call, records):
    """A read whose first submission arrived after the second, which repeats it with retry=true: the first is sent
    without, as Snowflake wants it, and so is not recognised. Writes bear it from the first on."""
    return call.kind == "read" and len({r["requestId"] for r in records}) == 1 and not all(r["retry"] for r in records)


def check_executions(swarm):
    """At most one each by the emulator's count; one where there is an answer; under a tag that the session may have."""
    swarm.collect(whole=True)
    faults, executions, tags = [], collections.Counter(), {}
    for record in [r for r in swarm.records.values() if r["state"] in OPEN]:  # seen so, and not since
        swarm.records.update({r["handle"]: r for mark in MARK.findall(record["sql"])
                              for r in swarm.emulator.records(mark)})
    for record in swarm.records.values():
        for mark in set(MARK.findall(record["sql"])):
            executions[mark] += record["executions"]
            tags.setdefault(mark, []).append(json.loads(record["query_tag"] or "{}").get("tag"))
            if record["state"] in OPEN:
                faults.append(f"{mark} is still {record['state']} at the emulator")
    for call in (c for m in swarm.members for c in m.calls):
        n = executions[call.marker]
        if n > 1:
            records = [r for r in swarm.records.values() if call.marker in r["sql"]]
            if overtaken(call, records):
                call.overtaken = True
                continue
            faults.append(f"{call.marker} was executed {n} times ({call.kind}, {call.outcome}): " + str([
                {k: r[k] for k in ("requestId", "retry", "state", "executions", "handle") if k in r} for r in records]))
        if call.outcome == "done" and n == 0:
            faults.append(f"{call.marker} has an answer and was never executed")
        odd = set(tags.get(call.marker, ())) - call.tags
        if odd:
            faults.append(f"{call.marker} ran under the tag {odd}, not {call.tags}")
    return faults


def check_table(swarm):
    found, page = collections.Counter(), 2000
    while True:
        rows = swarm.sql(f"SELECT ID FROM {swarm.table} ORDER BY ID LIMIT {page} OFFSET {sum(found.values())}")
        found.update(int(row[0]) for row in rows)
        if len(rows) < page:
            break
    faults = [f"row {row} is there {n} times" for row, n in found.items() if n > 1]
    for call in (c for m in swarm.members for c in m.calls if c.kind == "write"):
        if call.outcome == "done" and not found[call.row]:
            faults.append(f"{call.marker} was acknowledged and is not in the table")
        if call.outcome == "failed" and found[call.row]:
            faults.append(f"{call.marker} was told to have failed and is in the table")
    return faults


def check_streams(swarm):
    """Who had an event id has its answer, once."""
    faults = []
    for call in (c for m in swarm.members for c in m.calls):
        if call.answers > 1:
            faults.append(f"{call.marker} was answered {call.answers} times")
        if call.handle and call.outcome == "sent":
            faults.append(f"{call.marker} was answered with a handle, which brought nothing")
        if call.stream and call.outcome in ("sent", "lost", "broken") and not call.answers:
            faults.append(f"{call.marker} had the stream {call.stream} and got no answer ({call.outcome})")
    return faults


def check_keys(swarm):
    """A write by its key again: the first outcome, and nothing executed."""
    faults, calls = [], [c for m in swarm.members for c in m.calls if c.key and c.outcome == "done"]
    for call in random.Random(swarm.seed).sample(calls, min(len(calls), 10)):
        key = {"session": call.session.name} if call.session.by_handle else {}
        held = next((r["sql"] for r in swarm.records.values() if call.marker in r["sql"]), None)
        if call.session.deleted or not held:
            continue
        with Client(swarm.targets[0], call.session.key, modern=bool(key),
                    session=None if key else call.session.name) as client:
            answer = client.query(held, idempotency_key=call.key, **key)
        if answer.status == 404:  # told as a session that is gone
            continue
        if answer.status == 200 and answer.is_error and answer.meta_error.get("outcome") == "unknown":
            swarm.members[0].counts["keys whose outcome is unknown"] += 1  # the store was away when it was known
            continue
        if answer.status != 200 or answer.is_error or answer.rows != [["1"]]:
            faults.append(f"{call.marker} by its key again: {answer}")
    return faults


def invariants(swarm, emulator=None):
    """What was not as promised, as sentences. After stop() or rest(); the targets must be up."""
    faults = [fault for m in swarm.members for fault in m.faults]
    emulator = emulator or swarm.emulator
    end = time.monotonic() + 10 + max(swarm.holds) / 1000
    while time.monotonic() < end and any(r["state"] in OPEN for r in emulator.records(f"swarm.{swarm.run}.")):
        time.sleep(0.02)
    swarm.collect(whole=True)
    faults += check_sessions(swarm) + check_streams(swarm) + check_keys(swarm) + check_executions(swarm)
    return faults + check_table(swarm)


def main():
    parser = argparse.ArgumentParser(description="Clients that hold the gateway to its word.")
    parser.add_argument("--url", action="append", required=True)
    parser.add_argument("--emulator", type=int, required=True, help="the port of snowgate-emulator --control")
    parser.add_argument("--key", action="append", default=[])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    swarm = Swarm(options.url, Control(options.emulator), options.clients, options.seed, options.key,
                  stragglers=len(options.url) > 1)
    swarm.start()
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        time.sleep(min(2, max(end - time.monotonic(), 0)))
        swarm.collect()
    swarm.stop()
    faults = invariants(swarm)
    print(swarm.report())
    for fault in faults[:50]:
        print("BROKEN: " + fault)
    print(f"seed {options.seed}: {len(faults)} broken")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
