"""Whole results: by pages and as a download they are the same rows, each once; nothing is run or fetched twice for it; they
are their owner's alone; a body that breaks is gone on with; who takes nothing is cut off; memory stays flat."""

import csv
import http.client
import io
import json
import os
import signal
import socket
import time
import unittest

import gateway

ROWS = 30000
SQL = ("SELECT N AS ID, 'row ' || N AS NAME, CASE WHEN N % 7 = 0 THEN NULL ELSE N * 1.5 END AS X, "
       "REPEAT('x,\"y', N % 5) AS T FROM (SELECT SEQ4() AS N FROM TABLE(GENERATOR(ROWCOUNT => {rows}))) ORDER BY N")
KEYS = ("ann", "ben")


def row(i):
    return [str(i), f"row {i}", "" if i % 7 == 0 else f"{i * 1.5:.1f}", 'x,"y' * (i % 5)]


def resident(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Case(unittest.TestCase):
    EMULATOR = ("--partition-bytes", "200000")
    CONF = {"results": {"max_rows": 100000, "max_bytes": 1 << 20}}

    @classmethod
    def setUpClass(cls):
        cls.emulator = gateway.Emulator(*cls.EMULATOR)
        cls.gateway = gateway.Gateway(cls.emulator, conf=cls.CONF, keys=KEYS)

    @classmethod
    def tearDownClass(cls):
        cls.gateway.stop()
        cls.emulator.stop()

    def setUp(self):
        self.emulator.clear()
        self.ann = gateway.Client(self.gateway, key=self.gateway.keys["ann"], modern=True)
        self.ben = gateway.Client(self.gateway, key=self.gateway.keys["ben"], modern=True)
        self.addCleanup(self.ann.close)
        self.addCleanup(self.ben.close)

    def upstream(self, op):
        return self.gateway.metric(f'snowgate_upstream_requests_total{{op="{op}"}}')

    def file(self, rows=ROWS, **how):
        """The answer of a statement whose result is to be downloaded."""
        return self.ann.query(SQL.format(rows=rows), to="file", **how).structured

    def path(self, url):
        self.assertTrue(url.startswith(f"http://127.0.0.1:{self.gateway.port}/results/"), url)
        return url.split(f":{self.gateway.port}", 1)[1]

    def get(self, client, path, method="GET", drop=()):
        return client.send(method, headers={"Authorization": "Bearer " + client.key}, path=path, drop=drop)

    def pages(self, first, limit):
        """All rows of a result by get_result, page by page."""
        rows, page = list(first["rows"]), first
        while page["truncated"]:
            page = self.ann.tool("get_result", statement_handle=first["statementHandle"], format="json", limit=limit,
                                 offset=page["nextOffset"]).structured
            rows += page["rows"]
        return rows


class Results(Case):
    def test_pages_and_files_are_the_same_rows(self):
        first = self.ann.query(SQL.format(rows=ROWS), limit=7000).structured
        polls = self.upstream("poll")
        paged = self.pages(first, 7000)
        self.assertEqual(self.upstream("poll"), polls, "a page was polled for: it was not read on")
        self.assertEqual(len(paged), ROWS)
        self.assertEqual([r[0] for r in paged], [str(i) for i in range(ROWS)])
        files = self.file()
        self.assertEqual(files["totalRows"], ROWS)
        self.assertNotIn("rows", files)
        whole = self.get(self.ann, self.path(files["files"]["csv"]))
        self.assertEqual(whole.status, 200)
        self.assertEqual(whole.headers["Content-Type"], "text/csv; charset=utf-8")
        self.assertIn("attachment", whole.headers["Content-Disposition"])
        lines = list(csv.reader(io.StringIO(whole.body.decode())))
        self.assertEqual(lines[0], ["ID", "NAME", "X", "T"])
        self.assertEqual(lines[1:], [row(i) for i in range(ROWS)])
        as_text = [["" if v is None else str(v) for v in r] for r in paged]
        self.assertEqual(as_text, lines[1:])
        lines = self.get(self.ann, self.path(files["files"]["jsonl"])).body.decode().splitlines()
        self.assertEqual(len(lines), ROWS)
        for i, line in enumerate(lines):
            self.assertEqual(["" if v is None else str(v) for v in json.loads(line).values()], row(i))

    def test_every_partition_is_fetched_once(self):
        files = self.file()
        runs, fetches = len(self.emulator.records("REPEAT")), self.upstream("fetch")
        self.assertEqual(self.get(self.ann, self.path(files["files"]["csv"])).body.count(b"\n"), ROWS + 1)
        once = self.upstream("fetch") - fetches
        self.assertGreater(once, 3)
        self.get(self.ann, self.path(files["files"]["jsonl"]))
        self.assertEqual(self.upstream("fetch") - fetches, 2 * once)
        self.assertEqual(len(self.emulator.records("REPEAT")), runs, "a statement ran for a download")

    def test_text_answer(self):
        answer = self.ann.tool("execute_query", query=SQL.format(rows=10), to="file").text
        self.assertIn("10 rows, not shown; 4 columns: ID, NAME, X, T", answer)
        url = answer.splitlines()[-2]
        self.assertTrue(url.endswith(".csv"), answer)
        self.assertEqual(self.get(self.ann, self.path(url)).body.count(b"\n"), 11)

    def test_no_rows(self):
        files = self.ann.query("SELECT 1 AS A WHERE FALSE", to="file").structured["files"]
        self.assertEqual(self.get(self.ann, self.path(files["csv"])).body, b"A\n")
        empty = self.get(self.ann, self.path(files["jsonl"]))
        self.assertEqual((empty.status, empty.body), (200, b""))

    def test_get_result_to_file(self):
        first = self.ann.query(SQL.format(rows=10), limit=1).structured
        again = self.ann.tool("get_result", statement_handle=first["statementHandle"], to="file", format="json").structured
        self.assertEqual(again["totalRows"], 10)
        self.assertIn(first["statementHandle"] + ".csv", again["files"]["csv"])

    def test_whose_it_is(self):
        path = self.path(self.file(10)["files"]["csv"])
        self.assertEqual(self.get(self.ann, path).status, 200)
        foreign = self.get(self.ben, path)
        self.assertEqual(foreign.status, 404)
        self.assertEqual(foreign.json["error"]["code"], "NOT_FOUND")
        stranger = self.ann.send("GET", headers={}, path=path)
        self.assertEqual((stranger.status, stranger.json["error"]["code"]), (401, "UNAUTHORIZED"))
        self.assertEqual(self.ann.send("GET", headers={"Accept": "text/html"}, path=path).status, 401)
        tampered = path.replace(".csv", "a.csv")
        self.assertEqual(self.get(self.ann, tampered).status, 404)
        self.assertEqual(self.get(self.ann, "/results/.csv").status, 404)
        self.assertEqual(self.get(self.ann, path.replace(".csv", ".xml")).status, 404)
        posted = self.get(self.ann, path, "POST")
        self.assertEqual((posted.status, posted.json["error"]["code"]), (405, "METHOD"))
        self.assertEqual(set(posted.json["error"]), {"code", "message", "request"})

    def test_head(self):
        path = self.path(self.file(10)["files"]["csv"])
        answer = self.get(self.ann, path, "HEAD")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.headers["Content-Type"], "text/csv; charset=utf-8")
        self.assertRegex(answer.headers["Content-Disposition"], r'^attachment; filename="[0-9a-zA-Z-]+\.csv"$')
        self.assertIn("no-store", answer.headers["Cache-Control"])

    def test_not_by_http_1_0(self):
        """Where the end of the connection is the end of the answer, one that broke would look whole."""
        path = self.path(self.file(10)["files"]["csv"])
        with socket.create_connection(("127.0.0.1", self.gateway.port)) as s:
            s.settimeout(10)
            s.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{self.gateway.port}\r\n"
                      f"Authorization: Bearer {self.ann.key}\r\n\r\n".encode())
            got = b""
            while part := s.recv(65536):
                got += part
        head, body = got.split(b"\r\n\r\n", 1)
        self.assertIn(b" 505 ", head.split(b"\r\n")[0])
        self.assertEqual(json.loads(body)["error"]["code"], "HTTP_VERSION")
        self.assertIn("proxy_http_version 1.1", json.loads(body)["error"]["message"])

    def test_running_and_failed(self):
        self.gateway.reload(results={"wait": "1s"})
        self.addCleanup(self.gateway.reload, results={"wait": "40s"})
        self.emulator.hold("AS HELD", 3)
        running = self.ann.query("SELECT 1 AS HELD", to="file", wait_seconds=0).structured
        self.assertEqual(running["status"], "running")
        path = f"/results/{running['statementHandle']}.csv"
        answer = self.get(self.ann, path)
        self.assertEqual((answer.status, answer.json["error"]["code"]), (409, "CONFLICT"))
        self.assertTrue(answer.headers["Retry-After"])
        self.ann.tool("cancel_query", statement_handle=running["statementHandle"])
        self.assertEqual(self.get(self.ann, path).status, 422)

    def test_a_body_that_breaks(self):
        """In the middle of a partition, at the poll and at a fetch: rows that were delivered are not told again."""
        files = self.file()["files"]
        for op, times in (("poll", 1), ("fetch", 2)):
            for fault in ({"truncate_gzip": True}, {"half_body": True}, {"length_long": True}, {"length_short": True},
                          {"reset_in_answer": True}, {"not_json": True}, {"bare_partition": True}, {"chunked": True},
                          {"status": 503}, {"status": 429}):
                self.emulator.clear()
                self.emulator.fault(fault, op=op, times=times)
                answer = self.get(self.ann, self.path(files["csv"]))
                lines = list(csv.reader(io.StringIO(answer.body.decode())))
                self.assertEqual(lines[1:], [row(i) for i in range(ROWS)], f"{op} {fault}")

    def test_who_leaves(self):
        """The statement's rows are no longer fetched, and nothing of it is left."""
        path = self.path(self.file(10 * ROWS)["files"]["csv"])
        s = socket.create_connection(("127.0.0.1", self.gateway.port))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.gateway.port}\r\nAuthorization: Bearer {self.ann.key}\r\n\r\n"
                  .encode())
        self.assertIn(b"200 OK", s.recv(4096))
        gateway.wait_for(lambda: self.gateway.metric('snowgate_streams{kind="result"}') == 1)
        s.close()
        gateway.wait_for(lambda: self.gateway.metric('snowgate_streams{kind="result"}') == 0)
        gateway.wait_for(lambda: self.gateway.metric("snowgate_upstream_in_flight") == 0)


class SlowReader(Case):
    CONF = {**Case.CONF, "mcp": {"write_timeout": "1s"}}

    def test_cut_off(self):
        path = self.path(self.file(10 * ROWS)["files"]["csv"])
        with socket.create_connection(("127.0.0.1", self.gateway.port)) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.gateway.port}\r\n"
                      f"Authorization: Bearer {self.ann.key}\r\n\r\n".encode())
            gateway.wait_for(lambda: self.gateway.metric("snowgate_streams_stalled_total") == 1, 15)
            gateway.wait_for(lambda: self.gateway.metric('snowgate_streams{kind="result"}') == 0)
            got = b""
            s.settimeout(10)
            try:
                while part := s.recv(1 << 20):
                    got += part
            except ConnectionResetError:
                pass
            self.assertFalse(got.endswith(b"0\r\n\r\n"), "the end of an answer that has none")


class LastReader(Case):
    CONF = {**Case.CONF, "listen": {"drain": "60s"}}

    def test_who_leaves_at_the_end(self):
        """The process waits for a download that its client takes, and not for one that nobody does."""
        path = self.path(self.file(10 * ROWS)["files"]["csv"])
        with socket.create_connection(("127.0.0.1", self.gateway.port)) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.gateway.port}\r\n"
                      f"Authorization: Bearer {self.ann.key}\r\n\r\n".encode())
            self.assertIn(b"200 OK", s.recv(4096))
            gateway.wait_for(lambda: self.gateway.metric('snowgate_streams{kind="result"}') == 1)
            self.gateway.process.signal(signal.SIGTERM)
            gateway.wait_for(lambda: self.gateway.log("draining"))
            self.assertIsNone(self.gateway.process.process.poll())
        self.assertEqual(self.gateway.process.wait(10), 0)


class Crowd(Case):
    """Clients that ask for whole results and take nothing of them."""
    CONF = {**Case.CONF, "snowflake": {"max_connections": 8}, "listen": {"drain": "1s"}}

    def slow(self, path):
        s = socket.create_connection(("127.0.0.1", self.gateway.port))
        self.addCleanup(s.close)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.gateway.port}\r\n"
                  f"Authorization: Bearer {self.ann.key}\r\n\r\n".encode())
        s.settimeout(20)
        return s

    def test_others_have_connections_and_the_end_comes(self):
        path = self.path(self.file(20 * ROWS)["files"]["csv"])
        crowd = [self.slow(path) for _ in range(8)]
        heads = [s.recv(4096) for s in crowd]
        self.assertGreaterEqual(sum(b" 200 OK" in h for h in heads), 2, heads)
        self.assertGreaterEqual(sum(b" 503 " in h for h in heads), 1, heads)
        for i in range(20):
            self.assertEqual(self.ben.query(f"SELECT {i} AS N").rows, [[i]])
        begun = time.monotonic()
        self.assertEqual(self.gateway.end(), 0, self.gateway.process.text()[-2000:])
        self.assertLess(time.monotonic() - begun, 10)
        ends = [e["outcome"] for e in self.gateway.log("call") if e["method"] == "GET results"]
        self.assertEqual((len(ends), set(ends)), (8, {"cancelled", "rpc_error"}))


class Flat(Case):
    """100 MB in partitions of 64 MB; a small variant where time matters."""
    EMULATOR = ("--partition-bytes", str(64 << 20 if gateway.LONG else 8 << 20))
    COUNT = 1000000 if gateway.LONG else 200000
    WIDE = ("SELECT N AS ID, REPEAT('x', 60) || MD5(N::VARCHAR) AS T "
            "FROM (SELECT SEQ4() AS N FROM TABLE(GENERATOR(ROWCOUNT => {rows}))) ORDER BY N")

    def peak_of(self, work):
        pid, peak = self.gateway.process.process.pid, [0]
        done = [False]

        def watch():
            while not done[0]:
                peak[0] = max(peak[0], resident(pid))
                time.sleep(0.005)
        import threading
        thread = threading.Thread(target=watch)
        before = resident(pid)
        thread.start()
        try:
            work()
        finally:
            done[0] = True
            thread.join()
        return peak[0] - before

    def test_memory(self):
        self.ann.query("SELECT 1")
        files = self.ann.query(self.WIDE.format(rows=self.COUNT), to="file").structured
        self.assertEqual(files["totalRows"], self.COUNT)

        def download():
            connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=120)
            connection.request("GET", self.path(files["files"]["csv"]), headers={"Authorization": "Bearer " + self.ann.key})
            response, seen, last = connection.getresponse(), 0, b""
            while part := response.read(1 << 20):
                lines = (last + part).split(b"\n")
                last = lines.pop()
                for line in lines:
                    if seen:
                        self.assertEqual(int(line.split(b",", 1)[0]), seen - 1)
                    seen += 1
            connection.close()
            self.assertEqual(seen, self.COUNT + 1)

        def page():
            first = self.ann.tool("get_result", statement_handle=files["statementHandle"], format="json",
                                  limit=10000).structured
            self.assertEqual([r[0] for r in self.pages(first, 10000)], [str(i) for i in range(self.COUNT)])

        self.assertLessEqual(self.peak_of(download), 16 << 20)
        polls = self.upstream("poll")
        self.assertLessEqual(self.peak_of(page), 16 << 20)
        self.assertEqual(self.upstream("poll"), polls + 1)


if __name__ == "__main__":
    gateway.main()
