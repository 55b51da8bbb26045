"""Faults beside those of test_api.py: resets in the middle, lying lengths, matching, an outage, arrivals, bytes."""

import gzip
import http.client
import json
import socket
import time
import unittest
import uuid
from email.utils import parsedate_to_datetime

from service import PAT, PATH, StubCase

RESETS = (ConnectionResetError, http.client.RemoteDisconnected, http.client.IncompleteRead)


class Middle(StubCase):
    def again(self, query):
        """The retry of a request whose first answer was lost."""
        answer = self.e.submit(query=query + "&retry=true")
        self.assertEqual(answer.status, 200)
        return self.e.stats()

    def test_reset_in_the_request(self):
        query = f"?requestId={uuid.uuid4()}"
        self.e.fault({"reset_in_request": True}, op="submit")
        with self.assertRaises((*RESETS, BrokenPipeError)):
            self.e.submit("SELECT 1 -- " + "x" * 200000, query=query)
        self.assertEqual(self.e.stats()["executions"], 0)
        self.assertEqual(self.again(query)["executions"], 1)

    def test_reset_in_a_request_without_body(self):
        handle = self.e.submit().json["statementHandle"]
        self.e.fault({"reset_in_request": True}, op="poll")
        with self.assertRaises(RESETS):
            self.e.get(handle)
        self.assertEqual(self.e.get(handle).status, 200)

    def test_reset_during_execution(self):
        query = f"?requestId={uuid.uuid4()}"
        self.e.fault({"reset_during": True}, op="submit")
        with self.assertRaises(RESETS):
            self.e.submit("STUB WAIT 300", query=query)
        self.assertEqual(self.e.stats()["running"], 1)
        stats = self.again(query)
        self.assertEqual((stats["executions"], stats["running"], stats["repeated_executions"]), (1, 0, 0))

    def test_reset_in_the_answer(self):
        query = f"?requestId={uuid.uuid4()}"
        self.e.fault({"reset_in_answer": True}, op="submit")
        with self.assertRaises(RESETS):
            self.e.submit("STUB ROWS 10", query=query)
        self.assertEqual(self.again(query)["executions"], 1)

    def test_a_retry_without_the_flag_is_counted(self):
        query = f"?requestId={uuid.uuid4()}"
        self.e.submit(query=query)
        self.e.submit(query=query)
        self.assertEqual(self.e.stats()["repeated_executions"], 1)

    def test_wrong_lengths(self):
        self.e.fault({"length_long": True}, op="submit")
        with self.assertRaises(http.client.IncompleteRead):
            self.e.submit()
        self.e.fault({"length_short": True}, op="submit")
        answer = self.e.submit()
        with self.assertRaises(json.JSONDecodeError):
            _ = answer.json
        self.assertEqual(self.e.stats()["executions"], 2)

    def test_bare_partition(self):
        body = self.e.submit("STUB ROWS 200").json
        wrapped = self.e.get(body["statementHandle"], "?partition=1")
        self.e.fault({"bare_partition": True}, op="fetch")
        bare = self.e.get(body["statementHandle"], "?partition=1")
        self.assertEqual(bare.headers["Content-Encoding"], "gzip")
        self.assertEqual(bare.json, wrapped.json["data"])
        self.assertEqual(self.e.get(body["statementHandle"], "?partition=1").body, wrapped.body)

    def test_retry_after_as_a_date(self):
        self.e.fault({"status": 503, "retry_after_date": 30}, op="submit")
        answer = self.e.submit()
        at = parsedate_to_datetime(answer.headers["Retry-After"]).timestamp()
        self.assertLess(abs(at - time.time() - 30), 5)

    def test_request_id_of_the_service(self):
        first, second = self.e.submit(), self.e.get("00000000-0000-0000-0000-000000000000")
        ids = {a.headers["X-Snowflake-Request-ID"] for a in (first, second)}
        self.assertEqual(len(ids), 2)
        for one in ids:
            uuid.UUID(one)


class Matching(StubCase):
    def statuses(self, n, **arguments):
        return [self.e.submit(**arguments).status for _ in range(n)]

    def test_user(self):
        self.e.fault({"status": 503}, op="submit", user="OLGA", times=-1)
        self.assertEqual(self.statuses(2), [200, 200])
        self.assertEqual(self.statuses(2, token="oauth-1"), [503, 503])

    def test_skip_and_times(self):
        self.e.fault({"status": 503}, op="submit", skip=2, times=2)
        self.assertEqual(self.statuses(6), [200, 200, 503, 503, 200, 200])

    def test_list_of_operations(self):
        handle = self.e.submit().json["statementHandle"]
        self.e.fault({"status": 503}, op=["poll", "cancel"], times=-1)
        self.assertEqual((self.e.submit().status, self.e.get(handle).status, self.e.cancel(handle).status),
                         (200, 503, 503))

    def test_probability_is_repeatable(self):
        runs = []
        for seed in (7, 7, 8):
            self.e.control("PUT", "faults", {"match": {"op": "submit", "times": -1, "probability": 0.3, "seed": seed},
                                             "action": {"status": 503}})
            runs.append(self.statuses(60))
        self.assertEqual(runs[0], runs[1])
        self.assertNotEqual(runs[0], runs[2])
        for run in runs:
            self.assertTrue(5 <= run.count(503) <= 35, run)

    def test_put_replaces(self):
        self.e.fault({"status": 503}, op="submit", times=-1)
        self.e.control("PUT", "faults", [{"match": {"op": "submit"}, "action": {"status": 500}}])
        self.assertEqual(self.statuses(2), [500, 200])

    def test_refusals(self):
        for match, action in [({"probability": 2}, {"status": 500}), ({"op": []}, {"status": 500}),
                              ({"op": ["submit", "x"]}, {"status": 500}), ({"skip": -1}, {"status": 500}),
                              ({"seed": "x"}, {"status": 500}), ({"user": 1}, {"status": 500}),
                              ({}, {"reset_during": 1}), ({}, {"retry_after_date": -1})]:
            answer = self.e.call("POST", "/control/faults", {"match": match, "action": action})
            self.assertEqual(answer.status, 400, (match, action))


class Matrix(StubCase):
    """The form of a run of the fault matrix: a fault, a client that tries again, the counter."""

    def run_once(self, action):
        query = f"?requestId={uuid.uuid4()}"
        self.e.control("PUT", "faults", {"match": {"op": "submit"}, "action": action})
        for attempt in range(3):
            try:
                answer = self.e.submit(query=query + ("&retry=true" if attempt else ""))
                if answer.status == 200 and answer.json["data"] == [["1"]]:
                    return
            except (*RESETS, BrokenPipeError, json.JSONDecodeError, gzip.BadGzipFile, EOFError, socket.timeout):
                pass
        raise AssertionError(f"{action} was never answered")

    def test_each_fault_executes_once(self):
        actions = [{"reset_before": True}, {"reset_in_request": True}, {"reset_during": True}, {"reset_after": True},
                   {"reset_in_answer": True}, {"half_body": True}, {"status": 429}, {"status": 500}, {"status": 502},
                   {"status": 503, "after": True}, {"status": 504, "body": "html"}, {"status": 503, "body": "empty"},
                   {"truncate_gzip": True}, {"length_long": True}, {"length_short": True}, {"not_json": True},
                   {"chunked": True}, {"drip": 1}]
        for action in actions:
            for _ in range(5):
                self.run_once(action)
        stats = self.e.stats()
        self.assertEqual((stats["executions"], stats["repeated_executions"]), (len(actions) * 5, 0))


class Outage(StubCase):
    def outage(self, status, seconds, **more):
        self.e.control("POST", "outage", {"status": status, "seconds": seconds, **more})

    def test_status(self):
        self.outage(503, 60, retry_after=7)
        answer = self.e.submit()
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, "7"))
        self.assertEqual(self.e.call("GET", "/nothing").status, 503)
        self.outage(503, 0)
        self.assertEqual(self.e.submit().status, 200)
        stats = self.e.stats()
        self.assertEqual((stats["outage_requests"], stats["executions"]), (2, 1))

    def test_refuse(self):
        self.outage("refuse", 60)
        for _ in range(3):
            with self.assertRaises((*RESETS, BrokenPipeError)):
                self.e.submit()
        self.outage("refuse", 0)
        self.assertEqual(self.e.submit().status, 200)

    def test_it_ends_by_itself(self):
        self.outage(500, 1)
        self.assertEqual(self.e.submit().status, 500)
        end = time.monotonic() + 10
        while self.e.submit().status == 500 and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(self.e.submit().status, 200)

    def test_refusals(self):
        for spec in [{}, {"status": 200, "seconds": 1}, {"status": "x", "seconds": 1}, {"status": 503, "seconds": -1}]:
            self.assertEqual(self.e.call("POST", "/control/outage", spec).status, 400, spec)

    def test_arrivals(self):
        for _ in range(3):
            self.e.submit()
        self.e.get("x")
        self.outage(503, 60)
        self.e.submit()
        seen = self.e.control("GET", "arrivals")
        self.assertEqual(seen["bucket_ms"], 100)
        self.assertLess(abs(seen["from_ms"] / 1000 - time.time()), 30)
        self.assertEqual([sum(seen[k]) for k in ("requests", "submits", "refused")], [5, 4, 1])
        self.assertEqual(len({len(seen[k]) for k in ("requests", "submits", "refused")}), 1)
        self.e.control("POST", "reset")
        self.assertEqual(sum(self.e.control("GET", "arrivals")["requests"]), 0)


class Records(StubCase):
    def test_record(self):
        query = f"?requestId={uuid.uuid4()}"
        before = time.time() * 1000
        self.e.fault({"status": 503, "after": True}, op="submit")
        self.e.submit(query=query, warehouse="WH", role="R", parameters={"QUERY_TAG": "t:1", "TIMEZONE": "UTC"})
        self.e.submit(query=query + "&retry=true")
        record, = self.e.control("GET", "statements")
        self.assertEqual([record[k] for k in ("user", "role", "warehouse", "query_tag", "requestId", "executions",
                                              "attempts")],
                         ["DEMO", "R", "WH", "t:1", query.split("=")[1], 1, 2])
        self.assertEqual(record["parameters"]["TIMEZONE"], "UTC")
        self.assertEqual(len(record["arrivals"]), 2)
        self.assertTrue(before - 5 <= record["arrivals"][0] <= record["arrivals"][1] <= time.time() * 1000 + 5)
        self.assertIsNone(record["cancel_arrived_at"])

    def test_cancel_is_recorded(self):
        handle = self.e.submit("STUB WAIT 60000", "?async=true").json["statementHandle"]
        self.e.cancel(handle)
        record = self.e.control("GET", "statements/" + handle)
        self.assertEqual(record["state"], "cancelled")
        self.assertLess(abs(record["cancel_arrived_at"] - time.time() * 1000), 5000)

    def test_bytes(self):
        body = self.e.submit("STUB ROWS 200")
        fetched = [self.e.get(body.json["statementHandle"], f"?partition={i}") for i in (1, 2)]
        sent = self.e.stats()["bytes_sent"]
        self.assertEqual(sent["submit"], len(body.body))
        self.assertEqual(sent["fetch"], sum(len(f.body) for f in fetched))


class Large(StubCase):
    arguments = ("--stub", "--control", "--pat", PAT + "=DEMO", "--partition-bytes", str(4 << 20))

    def memory(self):
        with open(f"/proc/{self.e.process.pid}/status", encoding="ascii") as status:
            return int(status.read().split("VmRSS:")[1].split()[0]) >> 10

    def fetch_all(self, query=""):
        body = self.e.submit("STUB ROWS 200000 BYTES 20000000", query, patience=60).json
        info = body["resultSetMetaData"]["partitionInfo"]
        ids, sizes = [int(row[0]) for row in body["data"]], []
        for i in range(1, len(info)):
            answer = self.e.get(body["statementHandle"], f"?partition={i}")
            self.assertEqual(int(answer.headers["Content-Length"]), info[i]["compressedSize"])
            rows = answer.json["data"]
            self.assertEqual(len(rows), info[i]["rowCount"])
            sizes.append(len(gzip.decompress(answer.body)))
            ids += [int(row[0]) for row in rows]
        self.assertEqual(sizes, [p["uncompressedSize"] for p in info[1:]])
        return ids, sum(p["uncompressedSize"] for p in info)

    def test_every_row_once(self):
        ids, size = self.fetch_all()
        self.assertEqual(ids, list(range(1, 200001)))
        self.assertTrue(18000000 < size < 22000000, size)

    def test_memory_does_not_grow_with_the_requests(self):
        self.fetch_all()
        before = self.memory()
        for _ in range(3):
            self.fetch_all()
        self.assertLess(self.memory() - before, 12)

    def test_chunk_size_is_honoured_without_an_option(self):
        from service import Emulator
        e = Emulator("--stub", "--control", "--pat", PAT + "=DEMO", "--bare-partitions")
        try:
            body = e.submit("STUB ROWS 30000 BYTES 3000000", parameters={"CLIENT_RESULT_CHUNK_SIZE": "1"}).json
            info = body["resultSetMetaData"]["partitionInfo"]
            self.assertEqual(len(info), 3)
            self.assertLess(max(p["uncompressedSize"] for p in info), (1 << 20) + 200)
            rows = e.get(body["statementHandle"], "?partition=2").json
            self.assertIsInstance(rows, list)
            self.assertEqual(len(rows), info[2]["rowCount"])
        finally:
            e.stop()

    def test_wrong_sizes(self):
        for text in ["STUB ROWS 1 BYTES x", "STUB ROWS 1 BYTES 0", "STUB ROWS x BYTES 1", "STUB ROWS 1 BYTES"]:
            self.refused(self.e.submit(text), 422, "001003")


if __name__ == "__main__":
    unittest.main()
