"""What the end-to-end tests share: the emulator and the gateway as processes of their own on free ports, MCP clients
over http.client and raw sockets, the emulator's control endpoint, the gateway's metrics.

The programs are taken from the folder $SNOWGATE_BUILD, or from --build FOLDER, or from build/dev."""

import base64
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import unittest

MODERN = "2026-07-28"
LEGACY = ("2025-03-26", "2025-06-18", "2025-11-25")
LATEST = LEGACY[-1]
META = "io.modelcontextprotocol/"
TOKEN = "pat-of-demo-0123456789"
START_SECONDS = 30
ACCEPT = "application/json, text/event-stream"
LONG = os.environ.get("SNOWGATE_LONG") == "1"
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri", "tasks/get": "taskId",
         "tasks/update": "taskId", "tasks/cancel": "taskId"}  # what the header Mcp-Name repeats


def build_folder():
    if "--build" in sys.argv[:-1]:
        return sys.argv[sys.argv.index("--build") + 1]
    here = os.path.dirname(os.path.abspath(__file__))
    return os.environ.get("SNOWGATE_BUILD") or os.path.join(here, "..", "..", "build", "dev")


def program(name):
    return os.path.abspath(os.path.join(build_folder(), name))


def wait_for(predicate, seconds=10, what="a condition"):
    """The first true value of predicate(); asks every 10 ms until the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.01)


def tapped(path, env=None):
    """The environment for a program: what the gateway sends is recorded where $SNOWGATE_TAP names a folder (tests/tap)."""
    library = program("snowgate-tap.so")
    if not os.environ.get("SNOWGATE_TAP") or os.path.basename(path) == "snowgate-emulator" or not os.path.exists(library):
        return env
    env = dict(os.environ if env is None else env)
    return {**env, "SNOWGATE_TAP": os.environ["SNOWGATE_TAP"],
            "LD_PRELOAD": " ".join(filter(None, (library, env.get("LD_PRELOAD"))))}


class Process:
    """A child whose lines of one stream are kept; `listening` is the event that tells its ports."""

    def __init__(self, arguments, stream, env=None, cwd=None, pass_fds=()):
        self.lines, self.closed = [], threading.Event()
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE if stream == "stdout" else subprocess.DEVNULL,
                                        stderr=subprocess.PIPE if stream == "stderr" else subprocess.DEVNULL,
                                        stdin=subprocess.DEVNULL, env=tapped(arguments[0], env), cwd=cwd,
                                        pass_fds=pass_fds)
        self.pipe = getattr(self.process, stream)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.pipe:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))
        self.pipe.close()
        self.closed.set()

    def events(self, name):
        found = []
        for line in list(self.lines):
            if line.startswith("{"):
                event = json.loads(line)
                if event.get("event") == name:
                    found.append(event)
        return found

    def listening(self):
        def look():
            return self.events("listening") or self.closed.is_set()
        wait_for(look, START_SECONDS, "the line that tells the ports")
        events = self.events("listening")
        if not events:
            raise RuntimeError(f"did not start (status {self.process.wait()}):\n" + self.text())
        return events[0]

    def text(self):
        return "\n".join(self.lines)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=30):
        status = self.process.wait(seconds)
        self.closed.wait(5)
        return status

    def end(self):
        """SIGTERM, then SIGKILL where that does not help; its status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            return self.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.wait()


class Emulator:
    def __init__(self, *arguments):
        self.process = Process([program("snowgate-emulator"), "--port", "0", "--control", "--scale", "0.001",
                                "--pat", TOKEN + "=DEMO", *arguments], "stdout")
        self.port = self.process.listening()["port"]

    def stop(self):
        return self.process.end()

    def control(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, "/control/" + path, json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            answer = json.loads(response.read())
            if response.status != 200:
                raise AssertionError(f"control {path}: {response.status} {answer}")
            return answer
        finally:
            connection.close()

    def fault(self, action, sql=None, op=None, times=1):
        match = {"times": times}
        if sql:
            match["sql_contains"] = sql
        if op:
            match["op"] = op
        self.control("POST", "faults", {"match": match, "action": action})

    def hold(self, sql, seconds, times=-1):
        """Statements that contain `sql` run so long before they execute."""
        self.fault({"hold_ms": int(seconds * 1000)}, sql=sql, op="submit", times=times)

    def reset(self):
        self.control("POST", "reset")

    def clear(self):
        self.control("DELETE", "faults")

    def stats(self):
        return self.control("GET", "stats")

    def records(self, sql=None, n=10000):
        """Newest first; those whose text contains `sql`."""
        contains = "" if sql is None else "&contains=" + urllib.parse.quote(sql, safe="")
        return self.control("GET", f"statements?n={n}{contains}")

    def record(self, sql, state=None, seconds=10):
        """The newest record of a statement that contains `sql`, waited for, in `state` where one is named."""
        def look():
            found = self.records(sql)
            return found[0] if found and (state is None or found[0]["state"] == state) else None
        return wait_for(look, seconds, f"{sql!r} {state or 'at the emulator'}")


def merge(base, more):
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = value
    return base


class Gateway:
    """The gateway, its folder (configuration, keys) and its process. `conf` is merged into the tests' defaults."""

    binary = "snowgate"

    def __init__(self, emulator, conf=None, keys=(), auth="none", start=True, limits=True, upstream_port=None):
        self.folder = tempfile.mkdtemp(prefix="snowgate-e2e-")
        self.file = os.path.join(self.folder, "snowgate.yaml")
        self.keys, self.process = {}, None
        port = upstream_port or (emulator.port if emulator else 1)
        self.conf = {
            "listen": {"port": 0}, "admin": {"port": 0},
            "auth": {"mode": "required" if keys else auth},
            "session": {"key_file": os.path.join(self.folder, "session-keys")},
            "store": {"kind": "memory", "path": os.path.join(self.folder, "snowgate.db")},
            "snowflake": {"connection": "demo", "connections": {"demo": {
                "account": "EMULATOR", "user": "DEMO", "host": "127.0.0.1", "port": port, "protocol": "http",
                "authenticator": "programmatic_access_token", "token": TOKEN, "warehouse": "COMPUTE_WH",
                "role": "SYSADMIN", "database": "DEMO", "schema": "PUBLIC"}}},
        }
        if limits:
            self.conf["limits"] = {"default": {"calls_per_minute": 1000000, "burst": 100000, "running": 100,
                                               "queued": 1000}}
        merge(self.conf, conf or {})
        self.secret_file("session-keys", os.urandom(32).hex() + "\n")
        self.write()
        for name in keys:
            self.key(name)
        if start:
            self.start()

    def secret_file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(text)
        return path

    def write(self, text=None):
        """JSON is YAML too."""
        self.secret_file("snowgate.yaml", text if text is not None else json.dumps(self.conf, indent=1))

    def run(self, *arguments, seconds=20, env=None):
        return subprocess.run([program("snowgate"), *arguments, "-c", self.file], capture_output=True, text=True,
                              timeout=seconds, cwd=self.folder, env={**os.environ, **(env or {})})

    def key(self, name, *options):
        made = self.run("key", "new", name, *options)
        if made.returncode:
            raise AssertionError(made.stderr)
        self.keys[name] = made.stdout.strip()
        return self.keys[name]

    def start(self, env=None):
        self.process = Process([program(self.binary), "-c", self.file], "stderr", env, cwd=self.folder)
        event = self.process.listening()
        self.port, self.admin_port = event["port"], event["admin_port"]

    def end(self):
        return self.process.end() if self.process else 0

    def stop(self):
        status = self.end()
        shutil.rmtree(self.folder, ignore_errors=True)
        return status

    def log(self, event):
        return self.process.events(event)

    def reload(self, **conf):
        """Merges `conf` into the file and has it taken over."""
        merge(self.conf, conf)
        self.write()
        before = len(self.log("configuration_loaded"))
        self.process.signal(signal.SIGHUP)
        wait_for(lambda: len(self.log("configuration_loaded")) > before, 5, "the new configuration")

    def metrics(self):
        """{"name{label=\"value\"}": number}"""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    def metric(self, name):
        return self.metrics().get(name, 0)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        """The body; of an event stream the response in it."""
        if self.body[:1] in b"{[":
            return json.loads(self.body)
        return next(m for m in self.messages if "result" in m or "error" in m)

    @property
    def messages(self):
        """Every message of an event stream."""
        lines = [line[5:] for line in self.body.decode().splitlines() if line.startswith("data:")]
        return [json.loads(line) for line in lines if line.strip()]

    @property
    def error(self):
        """The JSON-RPC error: {code, message, data?}."""
        return self.json["error"]

    @property
    def result(self):
        answer = self.json
        if "result" not in answer:
            raise AssertionError(f"HTTP {self.status}: {answer}")
        return answer["result"]

    @property
    def is_error(self):
        return self.result.get("isError", False)

    @property
    def text(self):
        return self.result["content"][0]["text"]

    @property
    def structured(self):
        if self.is_error:
            raise AssertionError(self.text)
        return self.result["structuredContent"]

    @property
    def rows(self):
        return self.structured["rows"]

    @property
    def meta_error(self):
        return self.result["_meta"]["snowgate/error"]

    def __repr__(self):
        return f"<{self.status} {self.body[:400]!r}>"


def mirrored(arguments):
    """The headers that repeat arguments which the tools' schemas mark with x-mcp-header; others would be ignored."""
    headers = {}
    for name in ("Database", "Warehouse", "Role"):
        value = arguments.get(name.lower())
        if isinstance(value, str):
            plain = value.isascii() and value.isprintable() and value == value.strip() and not value.startswith("=?")
            encoded = value if plain else f"=?base64?{base64.b64encode(value.encode()).decode()}?="
            headers["Mcp-Param-" + name] = encoded
    return headers


class Client:
    """One connection at a time; modern, or legacy with the session that initialize() gave."""

    def __init__(self, gateway, key=None, modern=False, session=None, revision=LATEST, timeout=60, capabilities=None):
        self.gateway, self.key, self.modern, self.capabilities = gateway, key, modern, capabilities or {}
        self.session, self.revision, self.timeout = session, revision, timeout
        self.connection, self.next_id = None, 1

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def headers(self, message=None):
        headers = {"Content-Type": "application/json", "Accept": ACCEPT}
        if self.key:
            headers["Authorization"] = "Bearer " + self.key
        if self.modern:
            headers["MCP-Protocol-Version"] = MODERN
            if isinstance(message, dict):
                headers["Mcp-Method"] = message["method"]
                member = NAMED.get(message["method"])
                if member in message.get("params", {}):
                    headers["Mcp-Name"] = message["params"][member]
                if message["method"] == "tools/call" and isinstance(message["params"].get("arguments"), dict):
                    headers.update(mirrored(message["params"]["arguments"]))
            return headers
        if self.session:
            headers["Mcp-Session-Id"] = self.session
        if not isinstance(message, dict) or message.get("method") != "initialize":
            headers["MCP-Protocol-Version"] = self.revision
        return headers

    def send(self, method="POST", body=None, headers=None, path="/mcp", drop=(), more=None):
        """One HTTP exchange; the connection is kept. `headers` instead of the usual ones, `more` beside them."""
        if isinstance(body, (dict, list)):
            headers = self.headers(body) if headers is None else headers
            body = json.dumps(body)
        headers = {**(self.headers() if headers is None else headers), **(more or {})}
        headers = {k: v for k, v in headers.items() if k not in drop}
        if isinstance(body, str):
            body = body.encode()
        for attempt in (0, 1):
            fresh = self.connection is None
            if fresh:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=self.timeout)
            try:
                self.connection.request(method, path, body, headers)
                response = self.connection.getresponse()
                break
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.close()
                if fresh or attempt:
                    raise
        answer = Answer(response.status, response.headers, response.read())
        if response.will_close:
            self.close()
        return answer

    def message(self, method, params=None, notification=False, meta=None):
        message = {"jsonrpc": "2.0", "method": method}
        if not notification:
            message["id"] = self.next_id
            self.next_id += 1
        params = dict(params or {})
        if self.modern:
            params["_meta"] = {META + "protocolVersion": MODERN, META + "clientCapabilities": self.capabilities}
        if meta:
            params["_meta"] = {**params.get("_meta", {}), **meta}
        if params:
            message["params"] = params
        return message

    def rpc(self, method, params=None, **how):
        return self.send(body=self.message(method, params), **how)

    def notify(self, method, params=None):
        return self.send(body=self.message(method, params, notification=True))

    def initialize(self, revision=None):
        self.session = None
        answer = self.rpc("initialize", {"protocolVersion": revision or self.revision, "capabilities": self.capabilities,
                                         "clientInfo": {"name": "e2e", "version": "1"}})
        if "result" in answer.json:
            self.session = answer.headers["Mcp-Session-Id"]
            self.revision = answer.result["protocolVersion"]
            self.notify("notifications/initialized")
        return answer

    def tool_message(self, name, arguments, meta=None):
        return self.message("tools/call", {"name": name, "arguments": arguments}, meta=meta)

    def tool(self, name, **arguments):
        return self.send(body=self.tool_message(name, arguments))

    def query(self, sql, **arguments):
        return self.tool("execute_query", query=sql, format="json", **arguments)

    def start(self, name, **arguments):
        """Sends a tool call on a socket of its own and does not wait for the answer."""
        return Pending(self, self.tool_message(name, arguments))

    def stream(self, message, more=None, drop=(), **how):
        """Sends a message (or a list) on a socket of its own; the answer is read as it comes."""
        body = json.dumps(message).encode()
        headers = {k: v for k, v in {**self.headers(message), **(more or {})}.items() if k not in drop}
        stream = Stream(self.gateway.port, head("POST", headers, len(body)) + body, **how)
        stream.id = message.get("id") if isinstance(message, dict) else None
        return stream

    def listen(self, last=None, more=None, drop=(), **how):
        """GET: the session's own stream, or one resumed after the event `last`."""
        headers = {**self.headers(), "Accept": "text/event-stream", **(more or {})}
        del headers["Content-Type"]
        if last is not None:
            headers["Last-Event-ID"] = last
        headers = {k: v for k, v in headers.items() if k not in drop}
        return Stream(self.gateway.port, head("GET", headers), **how)


class Pending:
    """A request under way on a socket of its own, which may be left at any time."""

    def __init__(self, client, message):
        body = json.dumps(message).encode()
        self.id = message["id"]
        self.socket = connect(client.gateway.port, client.timeout)
        self.socket.sendall(head("POST", client.headers(message), len(body)) + body)

    def answer(self):
        response = http.client.HTTPResponse(self.socket, method="POST")
        try:
            response.begin()
            return Answer(response.status, response.headers, response.read())
        finally:
            response.close()
            self.socket.close()

    def leave(self):
        self.socket.close()


class Event:
    """One block of an event stream; `data` is None where it has no data line."""

    def __init__(self, lines):
        self.id = self.retry = self.data = self.name = None
        for line in lines:
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "data":
                self.data = value if self.data is None else self.data + "\n" + value
            elif field == "retry":
                self.retry = int(value)
            elif field == "id":
                self.id = value
            elif field == "event":
                self.name = value

    @property
    def json(self):
        return json.loads(self.data) if self.data else {}

    def __eq__(self, other):
        return (self.id, self.data) == (other.id, other.data)

    def __hash__(self):
        return hash((self.id, self.data))

    def __repr__(self):
        return f"<{self.id} {(self.data or '')[:300]}>"


class Cut(Exception):
    """The answer ended before its end."""


class Stream:
    """One request on a socket of its own, its answer read as it comes: events, or a body in one piece."""

    def __init__(self, port, request, timeout=20, buffer=None):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self.timeout, self.sent = timeout, time.monotonic()
        self.raw, self.text, self.lines = b"", b"", []
        self.events, self.comments, self.got = [], [], []  # not taken yet; (time, text); all that ever came
        self.status = self.headers = self.first_byte = self.length = None
        self.ended = False
        self.socket.sendall(request)

    def leave(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    def _receive(self, end, most=65536):
        """Reads what is there, waiting until `end`; how many bytes: 0 at the time limit."""
        self.socket.settimeout(max(end - time.monotonic(), 0.001))
        try:
            data = self.socket.recv(most)
        except TimeoutError:
            return 0
        except OSError as problem:
            raise Cut(str(problem)) from problem
        if not data:
            raise Cut("the connection was closed within the answer")
        self.raw += data
        self._digest()
        return len(data)

    def _digest(self):
        if self.headers is None:
            at = self.raw.find(b"\r\n\r\n")
            if at < 0:
                return
            first, rest = self.raw[:at + 4].split(b"\r\n", 1)
            self.status = int(first.split()[1])
            self.headers = http.client.parse_headers(io.BytesIO(rest))
            self.raw = self.raw[at + 4:]
            self.chunked = self.headers["Transfer-Encoding"] == "chunked"
            self.length = 0 if self.status == 204 else int(self.headers["Content-Length"] or 0)
        if self.raw and self.first_byte is None:
            self.first_byte = time.monotonic()
        while self.chunked and not self.ended:
            size, mark, rest = self.raw.partition(b"\r\n")
            if not mark or len(rest) < int(size, 16) + 2:
                return
            n = int(size, 16)
            self._body(rest[:n])
            self.raw = rest[n + 2:]
            self.ended = n == 0
        if not self.chunked and len(self.raw) >= self.length:
            self.ended = True

    def _body(self, data):
        self.text += data
        *lines, self.text = self.text.split(b"\n")
        for line in lines:
            line = line.decode().removesuffix("\r")
            if line.startswith(":"):
                self.comments.append((time.monotonic(), line))
            elif line:
                self.lines.append(line)
            elif self.lines:
                event = Event(self.lines)
                self.lines = []
                self.events.append(event)
                self.got.append(event)

    def open(self, seconds=10):
        """Waits for the head; the stream itself."""
        end = time.monotonic() + seconds
        while self.headers is None:
            if not self._receive(end):
                raise AssertionError(f"no answer in {seconds} s")
        return self

    @property
    def is_stream(self):
        return (self.open().headers["Content-Type"] or "").startswith("text/event-stream")

    def next(self, seconds=10):
        """The next event; None at the end of the stream."""
        self.open(seconds)
        if not self.is_stream:
            raise AssertionError(f"no stream: {self.answer()}")
        end = time.monotonic() + seconds
        while not self.events:
            if self.ended:
                return None
            if not self._receive(end):
                raise AssertionError(f"no event in {seconds} s after {self.got[-3:]}")
        return self.events.pop(0)

    def until(self, fits, seconds=10):
        """The first message that fits (its JSON)."""
        end = time.monotonic() + seconds
        while True:
            event = self.next(max(end - time.monotonic(), 0.01))
            if event is None:
                raise AssertionError(f"the stream ended; it held {self.got}")
            if event.data and fits(event.json):
                return event.json

    def method(self, name, seconds=10):
        """The first message of this method."""
        return self.until(lambda message: message.get("method") == name, seconds)

    def answer(self, seconds=20):
        """The response, of a stream or in one piece; with status and headers."""
        end = time.monotonic() + seconds
        self.open(seconds)
        if self.is_stream:
            message = self.until(lambda m: "result" in m or "error" in m, seconds)
            return Answer(self.status, self.headers, json.dumps(message).encode())
        while not self.ended:
            if not self._receive(end):
                raise AssertionError(f"the body did not end: {self.raw[:200]}")
        return Answer(self.status, self.headers, self.raw)

    def rest(self, seconds=10):
        """Every event up to the end of the stream."""
        found, end = [], time.monotonic() + seconds
        while (event := self.next(max(end - time.monotonic(), 0.01))) is not None:
            found.append(event)
        return found

    def messages(self, seconds=10):
        return [event.json for event in self.rest(seconds) if event.data]

    def silent(self, seconds):
        """Reads so long; the messages that came meanwhile. Comments and events without data do not count."""
        self.open()
        end = time.monotonic() + seconds
        while not self.ended and self._receive(end):
            pass
        found, self.events = [event.json for event in self.events if event.data], []
        return found

    def read(self, bytes_n, seconds):
        """Reads at most so many bytes, so long: events that are whole count, then the connection is left."""
        end, left = time.monotonic() + seconds, bytes_n
        try:
            while left > 0 and not self.ended and (n := self._receive(end, left)):
                left -= n
        finally:
            self.leave()
        events, self.events = self.events, []
        return events


def connect(port, timeout=20):
    return socket.create_connection(("127.0.0.1", port), timeout)


def head(method, headers, length=None, path="/mcp", host="127.0.0.1"):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"] + [f"{k}: {v}" for k, v in headers.items()]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def raw(gateway, data, timeout=20):
    """Sends bytes as they are on a connection of their own; the first answer."""
    with connect(gateway.port, timeout) as s:
        s.sendall(data)
        response = http.client.HTTPResponse(s)
        response.begin()
        try:
            return Answer(response.status, response.headers, response.read())
        finally:
            response.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Case(unittest.TestCase):
    """One emulator and one gateway for the tests of a class."""

    conf, keys, emulator_arguments = {}, (), ()
    everything = {"name": "all", "statements": ["read", "metadata", "dml", "ddl"]}
    names = 0

    @classmethod
    def setUpClass(cls):
        cls.emulator = Emulator(*cls.emulator_arguments)
        cls.addClassCleanup(cls.emulator.stop)
        cls.gateway = Gateway(cls.emulator, {"policies": [cls.everything], **cls.conf}, cls.keys)
        cls.addClassCleanup(cls.gateway.stop)

    def setUp(self):
        self.emulator.clear()

    def another(self, conf=None, keys=()):
        """A gateway of this test's own."""
        g = Gateway(self.emulator, {"policies": [self.everything], **(conf or {})}, keys)
        self.addCleanup(g.stop)
        return g

    def client(self, key=None, of=None, **how):
        of = of or self.gateway
        client = Client(of, of.keys.get(key) or next(iter(of.keys.values()), None), **how)
        self.addCleanup(client.close)
        return client

    def legacy(self, key=None, **how):
        """A client with a session."""
        client = self.client(key, **how)
        client.initialize()
        self.assertTrue(client.session)
        return client

    def modern(self, key=None, **how):
        return self.client(key, modern=True, **how)

    def kept(self, stream):
        """A stream that is left at the test's end."""
        self.addCleanup(stream.leave)
        return stream

    def name(self):
        Case.names += 1
        return f"number {Case.names:05d} of the test"

    def held(self, seconds):
        """A statement that runs so long: its text, and what names it."""
        name = self.name()
        self.emulator.hold(name, seconds)
        return f"SELECT '{name}'", name


def main():
    """Runs the tests of the calling file (--build FOLDER, -k NAME) and ends with their count."""
    arguments = list(sys.argv)
    if "--build" in arguments[:-1]:
        at = arguments.index("--build")
        del arguments[at:at + 2]
    ran = unittest.main(argv=arguments, exit=False, verbosity=2 if "-v" in arguments else 1).result
    faults = ran.failures + ran.errors + [(test, "") for test in ran.unexpectedSuccesses]
    failed = len({getattr(test, "test_case", test).id() for test, _ in faults})
    print(f"{max(ran.testsRun - failed - len(ran.skipped), 0)} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or not ran.testsRun else 0)
