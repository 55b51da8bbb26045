#!/usr/bin/env python3
"""Every type of Snowflake, from SQL to what a model reads: random rows come back equal, by pages in both formats and as
files, and no column mixes types. Against the emulator, and against an upstream that has both of Snowflake's encodings.
values.py makes the values and says what is to become of them. SNOWGATE_LONG=1: more seeds."""

import http.server
import json
import threading
import unittest
import urllib.parse

import gateway
import values
from values import Number, Semi, all_kinds, random_rows, read_csv, read_json

SEEDS = range(40) if gateway.LONG else range(2)
ROWS = 24
PAGE = 7
EMULATOR_DECIMALS = 6  # of seconds; DuckDB has no more but for TIMESTAMP_TZ, which is the emulator's own
CONF = {"results": {"max_cell": 1 << 20, "max_bytes": 1 << 20, "max_rows": 100000}}
BINDINGS = 200
# Names that come twice, that are empty or of JSON's signs are the formatter's tests; here is one that needs quotes.
NAMES = "C{} ü"


def type_of(value):
    """The type of a value in JSON, as read_json() reads it."""
    return "boolean" if isinstance(value, bool) else "number" if isinstance(value, Number) else type(value).__name__


class Comparison(unittest.TestCase):
    """Reads a result in every way there is. `ann` is the client."""

    def equal(self, kinds, rows, got, format):
        """`rows` are what went in, `got` what came, as JSON or as fields of CSV."""
        self.assertEqual(len(got), len(rows), format)
        for r, (row, came) in enumerate(zip(rows, got)):
            self.assertEqual(len(came), len(kinds))
            for kind, value, cell in zip(kinds, row, came):
                same = kind.is_csv if format == "csv" else kind.is_json
                if not (cell is None if value is None else same(cell, value)):
                    self.fail(f"{format}, row {r}, {kind.sql}: {cell!r:.300} came of {value!r:.300}")

    def of_one_type(self, kinds, got):
        for i, kind in enumerate(kinds):
            types = {type_of(row[i]) for row in got if row[i] is not None}
            if kind.of_json:
                self.assertLessEqual(len(types), 1, kind.sql)

    def columns(self, kinds, columns):
        self.assertEqual([c["name"] for c in columns], [NAMES.format(i) for i in range(len(kinds))])
        for kind, column in zip(kinds, columns):
            self.assertEqual(column["type"], kind.type, kind.sql)
            for member in ("precision", "scale"):
                if getattr(kind, member) is not None:
                    self.assertEqual(column[member], str(getattr(kind, member)), kind.sql)

    def json_page(self, answer):
        self.assertFalse(answer.is_error, answer.text)
        return read_json(answer.text)

    def read_json_pages(self, kinds, rows, query):
        page = self.json_page(self.ann.tool("execute_query", query=query, format="json", limit=PAGE))
        self.columns(kinds, page["columns"])
        handle, got = page["statementHandle"], []
        while True:
            nulled = sum(cell is None and row[i] is not None
                         for cells, row in zip(page["rows"], rows[len(got):])
                         for i, (cell, kind) in enumerate(zip(cells, kinds)) if not isinstance(kind, Semi))
            self.assertEqual(page.get("note", "0 ").split()[0], str(nulled))
            got += page["rows"]
            if not page["truncated"]:
                break
            page = self.json_page(self.ann.tool("get_result", statement_handle=handle, format="json", limit=PAGE,
                                                offset=int(page["nextOffset"])))
        self.equal(kinds, rows, got, "json")
        self.of_one_type(kinds, got)
        return handle

    def read_csv_pages(self, kinds, rows, handle):
        got = []
        while len(got) < len(rows):
            answer = self.ann.tool("get_result", statement_handle=handle, format="csv", limit=PAGE, offset=len(got))
            self.assertFalse(answer.is_error, answer.text)
            header, *lines = read_csv(answer.text.split("\n", 1)[1])
            self.assertEqual(header, [NAMES.format(i) for i in range(len(kinds))])
            self.assertTrue(lines)
            got += lines
        self.equal(kinds, rows, got, "csv")

    def read_files(self, kinds, rows, handle):
        files = self.ann.tool("get_result", statement_handle=handle, to="file", format="json").structured["files"]
        bodies = {}
        for name, url in files.items():
            answer = self.ann.send("GET", headers={"Authorization": "Bearer " + self.ann.key},
                                   path=urllib.parse.urlsplit(url).path)
            self.assertEqual(answer.status, 200, answer)
            bodies[name] = answer.body.decode()
        lines = [read_json(line) for line in bodies["jsonl"].removesuffix("\n").split("\n")]
        for line in lines:
            self.assertEqual(list(line), [NAMES.format(i) for i in range(len(kinds))])
        self.equal(kinds, rows, [list(line.values()) for line in lines], "jsonl")
        self.of_one_type(kinds, [list(line.values()) for line in lines])
        self.equal(kinds, rows, read_csv(bodies["csv"])[1:], "csv")

    def comes_back(self, kinds, rows, query):
        handle = self.read_json_pages(kinds, rows, query)
        self.read_csv_pages(kinds, rows, handle)
        self.read_files(kinds, rows, handle)


class Case(Comparison):
    EVERYTHING = {"name": "all", "statements": ["read", "metadata", "dml", "ddl"], "confirm": "never"}

    def setUp(self):
        self.ann = gateway.Client(self.gateway, key=self.gateway.keys["ann"])
        self.ann.initialize()
        self.addCleanup(self.ann.close)


class ThroughTheEmulator(Case):
    TABLE = "DEMO.PUBLIC.OF_EVERY_TYPE"

    @classmethod
    def setUpClass(cls):
        cls.emulator = gateway.Emulator("--partition-bytes", "8000")
        cls.addClassCleanup(cls.emulator.stop)
        cls.gateway = gateway.Gateway(cls.emulator, {"policies": [cls.EVERYTHING], **CONF}, keys=("ann",))
        cls.addClassCleanup(cls.gateway.stop)

    def run_sql(self, sql, **how):
        answer = self.ann.query(sql, **how)
        self.assertFalse(answer.is_error, answer.text)
        return answer

    def columns_of(self, kinds):
        return ", ".join(f'"{NAMES.format(i)}"' for i in range(len(kinds)))

    def create(self, kinds):
        columns = ", ".join(f'"{NAMES.format(i)}" {kind.sql}' for i, kind in enumerate(kinds))
        self.run_sql(f"CREATE OR REPLACE TABLE {self.TABLE} (N INT, {columns})")

    def stored(self, kinds):
        return f"SELECT {self.columns_of(kinds)} FROM {self.TABLE} ORDER BY N"

    def insert_literals(self, kinds, rows):
        selects = [f"SELECT {n}, " + ", ".join(k.literal(v) for k, v in zip(kinds, row)) for n, row in enumerate(rows)]
        self.run_sql(f"INSERT INTO {self.TABLE} " + " UNION ALL ".join(selects))

    def insert_bindings(self, kinds, rows):
        at_once = BINDINGS // len(kinds)
        for first in range(0, len(rows), at_once):
            some = rows[first:first + at_once]
            places = ", ".join(kind.placeholder() for kind in kinds)
            selects = [f"SELECT {first + n}, {places}" for n in range(len(some))]
            bindings = [kind.binding(v) for row in some for kind, v in zip(kinds, row)]
            self.run_sql(f"INSERT INTO {self.TABLE} " + " UNION ALL ".join(selects), bindings=bindings)

    def test_literals_through_a_table(self):
        kinds = all_kinds(EMULATOR_DECIMALS)
        for seed in SEEDS:
            with self.subTest(seed=seed):
                rows = random_rows(seed, kinds, ROWS)
                self.create(kinds)
                self.insert_literals(kinds, rows)
                self.comes_back(kinds, rows, self.stored(kinds))

    def test_bindings_through_a_table(self):
        kinds = all_kinds(EMULATOR_DECIMALS)
        for seed in SEEDS:
            with self.subTest(seed=seed):
                rows = random_rows(1000 + seed, kinds, ROWS)
                self.create(kinds)
                self.insert_bindings(kinds, rows)
                self.comes_back(kinds, rows, self.stored(kinds))

    def test_literals_of_a_query(self):
        kinds = all_kinds(EMULATOR_DECIMALS)
        for seed in SEEDS:
            row, = rows = random_rows(2000 + seed, kinds, 1, nulls=0)
            items = [f'{k.literal(v)} AS "{NAMES.format(i)}"' for i, (k, v) in enumerate(zip(kinds, row))]
            with self.subTest(seed=seed):
                self.comes_back(kinds, rows, "SELECT " + ", ".join(items))

    def test_columns_of_nulls_only(self):
        kinds = all_kinds(EMULATOR_DECIMALS)
        self.create(kinds)
        rows = [[None] * len(kinds)] * 3
        self.insert_literals(kinds, rows)
        self.comes_back(kinds, rows, self.stored(kinds))


class Upstream(http.server.ThreadingHTTPServer):
    """A Snowflake that knows one result, in the encoding that the request's parameters ask for."""
    HANDLE = "01b2c3d4-0000-0001-0000-0000000000{:02x}"

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Exchange)
        self.port, self.kinds, self.rows, self.parameters, self.n = self.server_address[1], [], [], {}, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """The gateway has left in the middle, as it may."""

    def hold(self, kinds, rows):
        self.kinds, self.rows, self.n = kinds, rows, self.n + 1

    def row_type(self):
        return [{"name": NAMES.format(i), "type": kind.type.lower(), "nullable": True, "precision": kind.precision,
                 "scale": kind.scale, "length": None, "byteLength": None} for i, kind in enumerate(self.kinds)]

    def cells(self):
        return [[None if v is None else kind.wire(v) for kind, v in zip(self.kinds, row)] for row in self.rows]

    def result(self, partition):
        half = len(self.rows) // 2
        data = self.cells()[half:] if partition else self.cells()[:half]
        if partition:
            return {"data": data}
        info = [{"rowCount": half}, {"rowCount": len(self.rows) - half}]
        return {"resultSetMetaData": {"numRows": len(self.rows), "format": "jsonv2", "rowType": self.row_type(),
                                      "partitionInfo": info}, "data": data, "code": "090001",
                "statementHandle": self.HANDLE.format(self.n), "sqlState": "00000", "message": "done"}


class Exchange(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    PROBE = ["SYSADMIN", "COMPUTE_WH", "DEMO", "PUBLIC"]

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "CURRENT_ROLE()" in body["statement"]:
            columns = [{"name": n, "type": "text", "nullable": True} for n in ("R", "W", "D", "S")]
            self.answer(200, {"resultSetMetaData": {"numRows": 1, "format": "jsonv2", "rowType": columns,
                                                    "partitionInfo": [{"rowCount": 1}]}, "data": [self.PROBE],
                              "code": "090001", "statementHandle": Upstream.HANDLE.format(255)})
            return
        self.server.parameters = body.get("parameters", {})
        handle = Upstream.HANDLE.format(self.server.n)
        self.answer(202, {"code": "333334", "message": "in progress", "statementHandle": handle,
                          "statementStatusUrl": "/api/v2/statements/" + handle})

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        self.answer(200, self.server.result(int(query.get("partition", ["0"])[0])))

    def log_message(self, *_):
        pass


class InBothEncodings(Case):
    """What the emulator lacks: nine decimals everywhere, formatted dates and times, and types as others name them."""
    FORMATS = {"DATE": "DD.MM.YYYY", "TIME": "HH24:MI:SS.FF3", "TIMESTAMP_NTZ": "YYYY-MM-DD HH24:MI:SS.FF9",
               "TIMESTAMP_LTZ": "MM/DD/YYYY HH24:MI:SS TZH:TZM", "TIMESTAMP_TZ": "YYYY-MM-DD HH24:MI:SS.FF3 TZH:TZM",
               "BINARY": "BASE64"}
    # Texts that are numbers.
    BARE = {"DATE": "YYYY", "TIME": "SS", "TIMESTAMP_NTZ": "YYYYMMDD", "TIMESTAMP_LTZ": "YYYY",
            "TIMESTAMP_TZ": "YYYYMMDD"}

    @classmethod
    def setUpClass(cls):
        cls.upstream = Upstream()
        cls.addClassCleanup(cls.upstream.stop)
        cls.gateway = gateway.Gateway(None, {"policies": [cls.EVERYTHING], **CONF}, keys=("ann",),
                                      upstream_port=cls.upstream.port)
        cls.addClassCleanup(cls.gateway.stop)

    def kinds(self, formats):
        kinds = all_kinds(9) + [values.Geography("GEOGRAPHY")]
        for kind in kinds:
            kind.template = formats.get(kind.type) if kind.parameter else None
        return kinds

    def set_formats(self, kinds):
        parameters = {kind.parameter: kind.template for kind in kinds if kind.template}
        if parameters:
            answer = self.ann.tool("set_context", parameters=parameters)
            self.assertFalse(answer.is_error, answer.text)
        return parameters

    def test_epochs(self):
        kinds = self.kinds({})
        for seed in SEEDS:
            with self.subTest(seed=seed):
                rows = random_rows(3000 + seed, kinds, ROWS)
                self.upstream.hold(kinds, rows)
                self.comes_back(kinds, rows, "SELECT 1")
                self.assertEqual([p for p in self.upstream.parameters if "FORMAT" in p], [])

    def test_formatted(self):
        kinds = self.kinds(self.FORMATS)
        parameters = self.set_formats(kinds)
        self.assertEqual(len(parameters), len(self.FORMATS))
        for seed in SEEDS:
            with self.subTest(seed=seed):
                rows = random_rows(4000 + seed, kinds, ROWS)
                self.upstream.hold(kinds, rows)
                self.comes_back(kinds, rows, "SELECT 1")
                self.assertLessEqual(parameters.items(), self.upstream.parameters.items())

    def test_formatted_as_bare_numbers(self):
        kinds = self.kinds(self.BARE)
        self.set_formats(kinds)
        for seed in SEEDS:
            rows = random_rows(5000 + seed, kinds, ROWS)
            self.upstream.hold(kinds, rows)
            with self.subTest(seed=seed):
                self.read_json_pages(kinds, rows, "SELECT 1")

    def test_format_set_later_leaves_earlier_results_alone(self):
        kinds = self.kinds({})
        rows = random_rows(6000, kinds, ROWS)
        self.upstream.hold(kinds, rows)
        handle = self.read_json_pages(kinds, rows, "SELECT 1")
        self.set_formats(self.kinds(self.FORMATS))
        self.read_csv_pages(kinds, rows, handle)

    def test_undefined_in_arrays(self):
        kinds = [Semi("ARRAY", list)]
        kinds[0].wire = lambda value: "[\n  undefined,\n  1,\n  undefined\n]"
        self.upstream.hold(kinds, [[([],)]])
        page = self.json_page(self.ann.tool("execute_query", query="SELECT 1", format="json"))
        self.assertEqual(page["rows"], [[[None, "1", None]]])
        self.assertTrue(page["note"].startswith("1 value "), page["note"])
        self.assertIn('"[undefined,1,undefined]"', self.ann.tool("execute_query", query="SELECT 1").text)


if __name__ == "__main__":
    gateway.main()
