#!/usr/bin/env python3
"""The catalogue: search_catalog, "did you mean", completion; what they ask Snowflake for, and whose names they tell."""

import threading
import time
import unittest

import gateway
from gateway import Client, wait_for

TABLES = (
    "CREATE DATABASE IF NOT EXISTS SHOP", "CREATE SCHEMA IF NOT EXISTS SHOP.CORE", "CREATE SCHEMA IF NOT EXISTS SHOP.RAW",
    "CREATE OR REPLACE TABLE SHOP.CORE.CUSTOMERS (ID INT, EMAIL VARCHAR COMMENT 'where to write to', "
    "\"Since When\" DATE) COMMENT = 'people who buy'",
    "CREATE OR REPLACE TABLE SHOP.CORE.INVOICES (ID INT, CUSTOMER_ID INT, TOTAL NUMBER(12,2))",
    "CREATE OR REPLACE VIEW SHOP.CORE.BEST_CUSTOMERS AS SELECT * FROM SHOP.CORE.CUSTOMERS",
    "CREATE OR REPLACE TABLE SHOP.RAW.LOADS (N INT)",
    "CREATE DATABASE IF NOT EXISTS VAULT", "CREATE SCHEMA IF NOT EXISTS VAULT.CORE",
    "CREATE OR REPLACE TABLE VAULT.CORE.CUSTOMER_SECRETS (SECRET_NAME VARCHAR)",
)


class Catalogue(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.emulator = gateway.Emulator()
        cls.addClassCleanup(cls.emulator.stop)
        maker = gateway.Gateway(cls.emulator, {"policies": [{"statements": ["read", "metadata", "dml", "ddl"]}]})
        with Client(maker, modern=True) as client:
            for sql in TABLES:
                answer = client.query(sql)
                if answer.is_error:
                    raise AssertionError(f"{sql}: {answer.text}")
        maker.stop()

    def setUp(self):
        self.emulator.clear()

    def gateway(self, policies=None, keys=(), **conf):
        """One of this test's own: its index is empty."""
        shop = {"databases": ["SHOP"], "statements": ["read", "metadata", "ddl"], "confirm": "never"}
        g = gateway.Gateway(self.emulator, {"policies": policies or [shop], **conf}, keys)
        self.addCleanup(g.stop)
        return g

    def client(self, g, key=None):
        client = Client(g, g.keys.get(key), modern=True)
        self.addCleanup(client.close)
        return client

    def shows(self):
        return [r for r in self.emulator.records() if r["sql"].startswith("SHOW")]

    def search(self, client, words, **arguments):
        answer = client.tool("search_catalog", words=words, **arguments)
        self.assertFalse(answer.is_error, answer)
        return answer.text

    def names(self, text):
        """The names of an answer in CSV."""
        return [line.split(",")[1] for line in text.splitlines()[2:]]

    # ---- search ----

    def test_the_tool_is_listed_and_reads_only(self):
        tools = {t["name"]: t for t in self.client(self.gateway()).rpc("tools/list").result["tools"]}
        self.assertTrue(tools["search_catalog"]["annotations"]["readOnlyHint"])
        self.assertNotIn("database", tools["search_catalog"]["inputSchema"]["properties"], "the policy fixes it")
        self.assertNotIn("outputSchema", tools["search_catalog"])

    def test_finds_by_name_and_comment(self):
        client = self.client(self.gateway())
        text = self.search(client, "customers")
        self.assertIn("kind,name,type,comment\n", text)
        self.assertIn("table,SHOP.CORE.CUSTOMERS,TABLE,people who buy\n", text)
        self.assertEqual(self.names(text)[:2], ["SHOP.CORE.CUSTOMERS", "SHOP.CORE.BEST_CUSTOMERS"])
        self.assertIn("index: 1 database, 4 tables and views, ", text)
        self.assertNotIn("not read", text)
        self.assertEqual(self.names(self.search(client, "buy")), ["SHOP.CORE.CUSTOMERS"])
        self.assertEqual(self.names(self.search(client, "custmer id", kind="column"))[0],
                         "SHOP.CORE.INVOICES.CUSTOMER_ID")
        self.assertIn('"SHOP.CORE.CUSTOMERS.""Since When""",DATE,', self.search(client, "since"))
        self.assertIn("0 matches", self.search(client, "secret"))

    def test_json(self):
        answer = self.client(self.gateway()).tool("search_catalog", words="invoices total", format="json").structured
        self.assertEqual([c["name"] for c in answer["columns"]], ["kind", "name", "type", "comment"])
        self.assertEqual(answer["rows"][0][:3], ["column", "SHOP.CORE.INVOICES.TOTAL", "NUMBER(12,2)"])
        self.assertEqual(answer["rowCount"], len(answer["rows"]))
        self.assertTrue(answer["index"]["complete"])

    def test_shows_without_a_warehouse_and_once(self):
        g = self.gateway()
        before = len(self.shows())
        for words in ("customers", "invoices", "email"):
            self.search(self.client(g), words)
        shows = self.shows()[:len(self.shows()) - before]
        self.assertEqual(sorted(r["sql"].split()[1] for r in shows), ["COLUMNS", "OBJECTS", "SCHEMAS"])
        for record in shows:
            self.assertFalse(record.get("warehouse"), record)

    def test_one_call_reads_for_all(self):
        g = self.gateway()
        before = len(self.shows())
        self.emulator.hold("SHOW SCHEMAS", 1, times=1)
        first = threading.Thread(target=self.search, args=(self.client(g), "customers"))
        first.start()
        wait_for(lambda: any(r["state"] == "held" for r in self.shows()), 10, "the first SHOW")
        text = self.search(self.client(g), "customers")
        self.assertIn("another call is reading", text)
        first.join(30)
        self.assertEqual(len(self.shows()) - before, 3)
        self.assertIn("SHOP.CORE.CUSTOMERS", self.search(self.client(g), "customers"))

    def test_old_names_are_read_again(self):
        g = self.gateway(catalog={"ttl": "1s"})
        client = self.client(g)
        self.search(client, "customers")
        before = len(self.shows())

        def again():
            self.search(client, "customers")
            return len(self.shows()) - before >= 3
        wait_for(again, 10, "another reading")

    def test_ddl_through_the_gateway_is_seen(self):
        client = self.client(self.gateway())
        self.assertIn("0 matches", self.search(client, "parcels"))
        self.assertFalse(client.query("CREATE TABLE SHOP.RAW.PARCELS (N INT)").is_error)
        try:
            self.assertEqual(self.names(self.search(client, "parcels"))[0], "SHOP.RAW.PARCELS")
        finally:
            self.assertFalse(client.query("DROP TABLE SHOP.RAW.PARCELS").is_error)
        self.assertIn("0 matches", self.search(client, "parcels"))

    def test_many_databases_are_read_a_few_at_a_time(self):
        g = self.gateway([{"statements": ["read", "metadata"]}])
        client = self.client(g)
        text = self.search(client, "customer")
        self.assertIn("the same search again reads on", text)
        for _ in range(30):
            text = self.search(client, "customer")
            if "reads on" not in text:
                break
        self.assertNotIn("reads on", text)
        self.assertIn("VAULT.CORE.CUSTOMER_SECRETS", text)
        self.assertIn("SHOP.CORE.CUSTOMERS", text)

    def test_a_failure_is_told(self):
        self.emulator.fault({"status": 422, "code": "003001", "message": "Insufficient privileges"}, sql="SHOW ")
        client = self.client(self.gateway())
        answer = client.tool("search_catalog", words="customers")
        self.assertTrue(answer.is_error)
        self.assertEqual(answer.meta_error["code"], "003001")
        text = self.search(client, "customers")
        self.assertIn("refused by Snowflake (003001): SHOP", text)
        self.assertIn("SHOP.CORE.CUSTOMERS", text)

    # ---- borders ----

    def test_policies_and_roles_never_see_each_other_s_names(self):
        both = {"statements": ["read", "metadata"]}
        g = self.gateway([{"match": {"principal": "shop"}, "databases": ["SHOP"], **both},
                          {"match": {"principal": "vault"}, "databases": ["VAULT"], "roles": ["SYSADMIN"], **both},
                          {"match": {"principal": "other"}, "databases": ["VAULT"], "roles": ["ANALYST"], **both}],
                         ("shop", "vault", "other"))
        shop, vault, other = (self.client(g, key) for key in ("shop", "vault", "other"))
        for _ in range(2):
            self.assertIn("VAULT.CORE.CUSTOMER_SECRETS", self.search(vault, "customer"))
            self.assertNotIn("VAULT", self.search(shop, "customer secret"))
            self.assertNotIn("SHOP", self.search(vault, "customer email"))
        refused = shop.tool("search_catalog", words="customer", database="VAULT")
        self.assertTrue(refused.is_error)
        self.assertNotIn("SECRETS", refused.text)
        error = shop.query("SELECT * FROM SHOP.CORE.CUSTOMER_SECRET").text
        self.assertNotIn("VAULT", error)
        # another role asks for itself
        before = len(self.shows())
        self.search(other, "customer")
        asked = self.shows()[:len(self.shows()) - before]
        self.assertEqual({r["role"] for r in asked}, {"ANALYST"})
        values = shop.rpc("completion/complete", {
            "ref": {"type": "ref/resource", "uri": "snowflake://{database}/{schema}/{object}"},
            "argument": {"name": "schema", "value": ""}, "context": {"arguments": {"database": "VAULT"}}})
        self.assertEqual(values.result["completion"]["values"], [])

    def test_what_one_asked_for_is_not_told_to_another(self):
        """Two keys share the index of one user and role; without databases in the policy any may be asked for."""
        g = self.gateway([{"statements": ["read", "metadata"]}], ("one", "other"))
        one, other = self.client(g, "one"), self.client(g, "other")
        for name in ("PROJECT_X", "PROJECT_Y"):
            self.assertTrue(one.tool("search_catalog", words="customer", database=name).is_error)
        for _ in range(30):
            text = self.search(other, "customer")
            self.assertNotIn("PROJECT_", text)
            self.assertNotIn("refused", text)
            if "reads on" not in text:
                break
        error = other.query("SELECT 1", database="PROJECT_Z")
        self.assertTrue(error.is_error)
        self.assertNotIn("PROJECT_X", error.text)
        self.assertIn("VAULT.CORE.CUSTOMER_SECRETS", text)

    def test_no_hint_without_metadata(self):
        g = self.gateway([{"match": {"principal": "all"}, "databases": ["SHOP"], "statements": ["read", "metadata"]},
                          {"match": {"principal": "few"}, "databases": ["SHOP"], "statements": ["read"]}],
                         ("all", "few"))
        self.search(self.client(g, "all"), "customers")
        sql = "SELECT * FROM SHOP.CORE.CUSTOMER"
        self.assertIn("Did you mean SHOP.CORE.CUSTOMERS", self.client(g, "all").query(sql).text)
        error = self.client(g, "few").query(sql)
        self.assertEqual(error.meta_error["code"], "002003")
        self.assertNotIn("Did you mean", error.text)

    # ---- did you mean ----

    def test_did_you_mean(self):
        client = self.client(self.gateway())
        before = len(self.shows())
        error = client.query("SELECT * FROM CUSTOMER", schema="RAW")
        self.assertEqual(error.meta_error["code"], "002003")
        self.assertIn("Did you mean SHOP.CORE.CUSTOMERS", error.text)
        self.assertLessEqual(len(self.shows()) - before, 1, "one SHOW for an error")
        before = len(self.shows())
        error = client.query("SELECT * FROM SHOP.CORE.INVOICE")
        self.assertIn("Did you mean SHOP.CORE.INVOICES?", error.text)
        self.assertEqual(len(self.shows()) - before, 0)
        error = client.query("SELECT EMIAL FROM SHOP.CORE.CUSTOMERS")
        self.assertEqual(error.meta_error["code"], "000904")
        self.assertIn("Did you mean EMAIL of SHOP.CORE.CUSTOMERS?", error.text)
        error = client.query("SELECT * FROM SHOP.CORE.ZZZZZZ")
        self.assertNotIn("Did you mean", error.text)

    def test_an_error_is_told_where_the_show_fails(self):
        self.emulator.fault({"status": 422, "code": "003001", "message": "no"}, sql="SHOW OBJECTS", times=-1)
        error = self.client(self.gateway()).query("SELECT * FROM SHOP.RAW.CUSTOMER")
        self.assertTrue(error.is_error)
        self.assertEqual(error.meta_error["code"], "002003")
        self.assertNotIn("003001", error.text)

    def test_a_show_that_nobody_answers_keeps_no_error_back(self):
        self.emulator.fault({"delay_ms": 40000}, sql="SHOW OBJECTS", op="submit", times=-1)
        begun = time.monotonic()
        error = self.client(self.gateway()).query("SELECT * FROM SHOP.RAW.CUSTOMER")
        self.assertLess(time.monotonic() - begun, 12)
        self.assertEqual(error.meta_error["code"], "002003")

    def test_a_cancel_during_the_show_gives_the_slot_back(self):
        g = self.gateway()
        client = Client(g)
        self.addCleanup(client.close)
        client.initialize()
        self.emulator.hold("SHOW OBJECTS", 2, times=1)
        call = client.start("execute_query", query="SELECT * FROM SHOP.RAW.CUSTOMER")
        self.emulator.record("SHOW OBJECTS", "held")
        self.assertEqual(g.metric("snowgate_slots_used"), 1)
        self.assertEqual(client.notify("notifications/cancelled", {"requestId": call.id}).status, 202)
        wait_for(lambda: g.metric("snowgate_slots_used") == 0, 10, "the slot")
        self.assertEqual(client.query("SELECT 1").rows, [[1]])

    # ---- completion ----

    def complete(self, client, argument, value, **known):
        answer = client.rpc("completion/complete", {
            "ref": {"type": "ref/resource", "uri": "snowflake://{database}/{schema}/{object}"},
            "argument": {"name": argument, "value": value}, "context": {"arguments": known}})
        return answer.result["completion"]["values"]

    def test_completion_uses_the_index(self):
        client = self.client(self.gateway())
        self.search(client, "customers")
        before = len(self.shows())
        self.assertEqual(self.complete(client, "object", "cust", database="SHOP", schema="CORE"), ["CUSTOMERS"])
        self.assertEqual(self.complete(client, "object", "", database="SHOP", schema="RAW"), ["LOADS"])
        self.assertIn("CORE", self.complete(client, "schema", "", database="SHOP"))
        self.assertEqual(len(self.shows()), before, "all of it was known")

    def test_completion_asks_where_it_must(self):
        client = self.client(self.gateway())
        before = len(self.shows())
        self.assertEqual(self.complete(client, "object", "cust", database="SHOP", schema="CORE"), ["CUSTOMERS"])
        self.assertEqual(self.complete(client, "object", "inv", database="SHOP", schema="CORE"), ["INVOICES"])
        self.assertEqual(len(self.shows()) - before, 1)


if __name__ == "__main__":
    gateway.main()
