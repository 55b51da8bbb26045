"""Requests of several statements: what holds until the end of the request, and no longer."""

import unittest

from service import PAT, Emulator

ANY = {"MULTI_STATEMENT_COUNT": "0"}


class Several(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            cls.e = Emulator("--control", "--pat", PAT + "=DEMO")
        except RuntimeError as why:
            raise unittest.SkipTest(f"no engine: {why}")

    @classmethod
    def tearDownClass(cls):
        cls.e.stop()

    def setUp(self):
        self.e.control("POST", "reset")
        self.single("CREATE OR REPLACE TABLE T (N NUMBER, S VARCHAR)")

    def single(self, sql, **members):
        answer = self.e.submit(sql, database="DEMO", schema="PUBLIC", role="SYSADMIN", **members)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json["data"]

    def submit(self, sql, count="0"):
        return self.e.submit(sql, database="DEMO", schema="PUBLIC", role="SYSADMIN",
                             parameters={"MULTI_STATEMENT_COUNT": count})

    def several(self, sql):
        """The data of every statement."""
        answer = self.submit(sql)
        self.assertEqual(answer.status, 200, answer.body)
        return [self.e.get(h).json["data"] for h in answer.json["statementHandles"]]

    def failed(self, sql, *parts):
        answer = self.submit(sql)
        self.assertEqual((answer.status, answer.code, answer.json["sqlState"]), (422, "100132", "P0000"), answer.body)
        for part in parts:
            self.assertIn(part, answer.json["message"])
        return answer.json

    def rows(self):
        return [int(r[0]) for r in self.single("SELECT N FROM T ORDER BY N")]

    def test_exact_count(self):
        for count, status in [("2", 200), ("0", 200), ("1", 422), ("3", 422)]:
            answer = self.submit("INSERT INTO T VALUES (1, 'a'); SELECT COUNT(*) FROM T", count)
            self.assertEqual(answer.status, status, count)
            if status == 422:
                self.assertEqual(answer.code, "000008")
                self.assertIn(f"Actual statement count 2 did not match the desired statement count {count}",
                              answer.json["message"])
        self.assertEqual(self.rows(), [1, 1])

    def test_one_statement_of_any_number(self):
        answer = self.submit("SELECT 7")
        self.assertEqual(answer.json["data"], [["7"]])
        self.assertNotIn("statementHandles", answer.json)

    def test_children(self):
        body = self.submit("SELECT 1; INSERT INTO T VALUES (1, 'a'), (2, 'b'); SELECT * FROM T ORDER BY N").json
        self.assertEqual(body["resultSetMetaData"]["numRows"], 1)
        first, second, third = [self.e.get(h).json for h in body["statementHandles"]]
        self.assertEqual(second["stats"]["numRowsInserted"], 2)
        self.assertEqual(third["data"], [["1", "a"], ["2", "b"]])
        self.assertEqual(first["code"], "090001")
        parent = self.e.control("GET", "statements/" + body["statementHandle"])
        self.assertEqual(parent["children"], body["statementHandles"])
        child = self.e.control("GET", "statements/" + body["statementHandles"][2])
        self.assertEqual((child["parent"], child["sql"].strip()),
                         (body["statementHandle"], "SELECT * FROM T ORDER BY N"))

    def test_earlier_ones_stay(self):
        body = self.failed("INSERT INTO T VALUES (1, 'a'); SELECT * FROM MISSING; INSERT INTO T VALUES (2, 'b')",
                           "002003", "MISSING")
        self.assertEqual(self.rows(), [1])
        self.assertEqual(len(self.e.control("GET", "statements/" + body["statementHandle"])["children"]), 2)

    def test_no_bindings(self):
        answer = self.e.submit("SELECT ?; SELECT 2", parameters=ANY, bindings={"1": {"type": "FIXED", "value": "1"}})
        self.assertEqual((answer.status, answer.code), (400, "390142"))

    def test_transactions(self):
        self.several("BEGIN; INSERT INTO T VALUES (1, 'a'); ROLLBACK")
        self.assertEqual(self.rows(), [])
        self.assertEqual(self.several("BEGIN TRANSACTION; INSERT INTO T VALUES (2, 'a'); SELECT COUNT(*) FROM T; COMMIT")[2],
                         [["1"]])
        self.assertEqual(self.rows(), [2])
        self.several("START TRANSACTION; INSERT INTO T VALUES (3, 'a')")
        self.assertEqual(self.rows(), [2], "what is open at the end of the request is rolled back")
        self.failed("BEGIN; INSERT INTO T VALUES (4, 'a'); SELECT * FROM MISSING; COMMIT")
        self.assertEqual(self.rows(), [2])

    def test_ddl_commits(self):
        self.several("BEGIN; INSERT INTO T VALUES (1, 'a'); CREATE OR REPLACE TABLE U (N NUMBER); ROLLBACK")
        self.assertEqual(self.rows(), [1])

    def test_a_transaction_is_alone(self):
        """Another request waits for the writer, and sees nothing of what is not committed."""
        handle = self.e.submit("BEGIN; INSERT INTO T VALUES (1, 'a'); CALL SYSTEM$WAIT(1); COMMIT",
                               "?async=true", database="DEMO", schema="PUBLIC", role="SYSADMIN",
                               parameters=ANY).json["statementHandle"]
        self.assertEqual(self.rows(), [])
        self.single("INSERT INTO T VALUES (2, 'b')")
        self.assertEqual(self.e.end_of(handle).status, 200)
        self.assertEqual(self.rows(), [1, 2])

    def test_use(self):
        data = self.several("USE SCHEMA SNOWFLAKE_SAMPLE_DATA.TPCH_SF1; SELECT CURRENT_DATABASE(), CURRENT_SCHEMA(); "
                            "SELECT COUNT(*) FROM REGION")
        self.assertEqual(data[1:], [[["SNOWFLAKE_SAMPLE_DATA", "TPCH_SF1"]], [["5"]]])
        self.assertEqual(self.single("SELECT CURRENT_SCHEMA()"), [["PUBLIC"]])

    def test_variables(self):
        data = self.several("SET X = 5; SET (S, B) = ('o''clock', TRUE); SELECT $X + 1, $S, $B; SET X = $X * 2; SELECT $x")
        self.assertEqual(data[2], [["6", "o'clock", "true"]])
        self.assertEqual(data[4], [["10"]])
        self.assertEqual(self.several("SET D = '2024-05-06'::DATE; SELECT DATEADD(DAY, 1, $D)::VARCHAR")[1],
                         [["2024-05-07"]])
        self.failed("SET X = 5; UNSET X; SELECT $X", "$X")
        self.failed("SELECT 1; SELECT $X", "Session variable '$X' does not exist")
        self.assertEqual(self.several("SELECT 1; SELECT '$X', $$ $X $$")[1], [["$X", " $X "]])

    def test_variables_refused(self):
        for text in ["SET X", "SET (A, B) = (1)", "SET X = ", "SET X = NO_SUCH_COLUMN"]:
            self.failed("SELECT 1; " + text)

    def test_session_parameters(self):
        data = self.several("ALTER SESSION SET TIMEZONE = 'Asia/Tokyo'; SELECT TO_CHAR('2024-01-01 00:00:00 +0000'"
                            "::TIMESTAMP_LTZ, 'YYYY-MM-DD HH24:MI')")
        self.assertEqual(data[1], [["2024-01-01 09:00"]])
        data = self.several("ALTER SESSION SET ROWS_PER_RESULTSET = 2; SELECT * FROM TABLE(GENERATOR(ROWCOUNT=>5)); "
                            "ALTER SESSION UNSET ROWS_PER_RESULTSET; SELECT SEQ4() FROM TABLE(GENERATOR(ROWCOUNT=>5))")
        self.assertEqual([len(d) for d in data[1::2]], [2, 5])
        self.failed("ALTER SESSION SET NO_SUCH = 1; SELECT 1", "NO_SUCH")

    def test_parameters_are_shown(self):
        data = self.several("ALTER SESSION SET WEEK_START = 1, QUERY_TAG = 'mine'; SHOW PARAMETERS LIKE 'WEEK_START'; "
                            "SHOW PARAMETERS LIKE 'QUERY_TAG'")
        self.assertEqual([(d[0][1], d[0][3]) for d in data[1:]], [("1", "SESSION"), ("mine", "SESSION")])
        self.assertEqual([r[1] for r in self.single("SHOW PARAMETERS LIKE 'WEEK_START'")], ["0"])

    def test_temporary_tables(self):
        data = self.several("CREATE OR REPLACE TEMPORARY TABLE TT (N NUMBER); INSERT INTO TT VALUES (1), (2); "
                            "CREATE TEMP TABLE IF NOT EXISTS DEMO.PUBLIC.TS AS SELECT SUM(N) AS S FROM TT; "
                            "USE DATABASE SNOWFLAKE_SAMPLE_DATA; SELECT S FROM DEMO.PUBLIC.TS")
        self.assertEqual(data[4], [["3"]])
        for name in ("TT", "TS"):
            self.failed(f"SELECT 1; SELECT * FROM {name}", "002003")
        self.failed("CREATE TEMP TABLE TT (N NUMBER); SELECT * FROM MISSING")
        self.assertEqual(self.single("SHOW TABLES LIKE 'TT' IN SCHEMA DEMO.PUBLIC"), [])

    def test_nothing_stays(self):
        self.several("SET X = 1; ALTER SESSION SET TIMEZONE = 'Asia/Tokyo'; USE ROLE ANALYST; SELECT 1")
        self.failed("SELECT 1; SELECT $X")
        self.assertEqual(self.single("SELECT CURRENT_ROLE()"), [["SYSADMIN"]])

    def test_cancel_in_a_transaction(self):
        handle = self.e.submit("BEGIN; INSERT INTO T VALUES (1, 'a'); CALL SYSTEM$WAIT(60); COMMIT", "?async=true",
                               database="DEMO", schema="PUBLIC", role="SYSADMIN",
                               parameters=ANY).json["statementHandle"]
        self.e.fault({"delay_ms": 100}, op="cancel")
        self.assertEqual(self.e.cancel(handle).status, 200)
        self.single("INSERT INTO T VALUES (2, 'b')")
        self.assertEqual(self.rows(), [2])


if __name__ == "__main__":
    unittest.main()
