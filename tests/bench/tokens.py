#!/usr/bin/env python3
"""What answers cost a model: o200k tokens of ten typical calls, beside the same rows as the official server has them.

    tests/bench/tokens.py [--build FOLDER]

The official server answers with the rows as JSON objects, every column of SHOW and DESCRIBE included; here they are
written without any white space, which is the least they can be. Needs the packages of tests/e2e (its run installs
them)."""

import datetime
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
E2E = os.path.join(HERE, "..", "e2e")
sys.path.insert(0, E2E)
sys.dont_write_bytecode = True
from gateway import Client, Emulator, Gateway  # noqa: E402

SAMPLE = "SNOWFLAKE_SAMPLE_DATA.TPCH_SF1"
# What is asked, the tool and its arguments, and the statement that the official server runs for the same.
CALLS = [
    ("databases", "list_objects", {"kind": "database"}, "SHOW DATABASES"),
    ("tables of a schema", "list_objects", {"kind": "table", "in": SAMPLE}, f"SHOW TABLES IN SCHEMA {SAMPLE}"),
    ("a table's columns", "describe_object", {"names": [SAMPLE + ".ORDERS"], "kind": "table"},
     f"DESCRIBE TABLE {SAMPLE}.ORDERS"),
    ("a count", "execute_query", {"query": f"SELECT COUNT(*) FROM {SAMPLE}.LINEITEM"}, None),
    ("20 orders", "execute_query", {"query": f"SELECT * FROM {SAMPLE}.ORDERS ORDER BY O_ORDERKEY LIMIT 20"}, None),
    ("100 narrow rows", "execute_query",
     {"query": f"SELECT O_ORDERKEY, O_TOTALPRICE FROM {SAMPLE}.ORDERS ORDER BY 1 LIMIT 100"}, None),
    ("50 line items", "execute_query",
     {"query": f"SELECT * FROM {SAMPLE}.LINEITEM ORDER BY L_ORDERKEY, L_LINENUMBER LIMIT 50"}, None),
    ("revenue by nation", "execute_query",
     {"query": f"SELECT N_NAME, COUNT(*) AS CUSTOMERS, SUM(C_ACCTBAL) AS BALANCE FROM {SAMPLE}.CUSTOMER JOIN "
               f"{SAMPLE}.NATION ON C_NATIONKEY = N_NATIONKEY GROUP BY 1 ORDER BY 3 DESC"}, None),
    ("30 customers", "execute_query", {"query": f"SELECT * FROM {SAMPLE}.CUSTOMER ORDER BY C_CUSTKEY LIMIT 30"}, None),
    ("orders by month", "execute_query",
     {"query": f"SELECT DATE_TRUNC('MONTH', O_ORDERDATE) AS MONTH, COUNT(*) AS N, AVG(O_TOTALPRICE) AS MEAN FROM "
               f"{SAMPLE}.ORDERS GROUP BY 1 ORDER BY 1"}, None),
]


def value_of(text, column):
    """A cell as Snowflake's connector for Python gives it, and as JSON then has it."""
    kind = column["type"].lower()
    if text is None:
        return None
    if kind == "fixed" and not column.get("scale"):
        return int(text)
    if kind == "real":
        return float(text)
    if kind == "date" and text.lstrip("-").isdigit():
        return str(datetime.date(1970, 1, 1) + datetime.timedelta(days=int(text)))
    if kind.startswith("timestamp") and text.replace(".", "").lstrip("-").split(" ")[0].isdigit():
        return datetime.datetime.fromtimestamp(float(text.split(" ")[0]), datetime.timezone.utc).isoformat()
    if kind == "boolean":
        return text == "true"
    return text


def row_objects(emulator, sql):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=60)
    connection.request("POST", "/api/v2/statements", json.dumps({
        "statement": sql, "warehouse": "COMPUTE_WH", "role": "SYSADMIN", "database": "SNOWFLAKE_SAMPLE_DATA"}), {
            "Authorization": "Bearer pat-of-demo-0123456789", "Content-Type": "application/json",
            "Accept": "application/json", "User-Agent": "bench/1",
            "X-Snowflake-Authorization-Token-Type": "PROGRAMMATIC_ACCESS_TOKEN"})
    answer = json.loads(connection.getresponse().read())
    columns = answer["resultSetMetaData"]["rowType"]
    rows = [{c["name"]: value_of(v, c) for c, v in zip(columns, row)} for row in answer["data"]]
    return json.dumps(rows, separators=(",", ":"), ensure_ascii=False)


def tokens_of(texts):
    done = subprocess.run(["node", os.path.join(E2E, "tokens.mjs")], input=json.dumps(texts), capture_output=True,
                          text=True, check=True)
    return json.loads(done.stdout)


def count():
    """[(what, our tokens, theirs)], the sums last."""
    emulator = Emulator()
    gateway = Gateway(emulator)
    try:
        with Client(gateway) as client:
            client.initialize()
            ours = [client.tool(tool, **arguments).text for _, tool, arguments, _ in CALLS]
        theirs = [row_objects(emulator, sql or arguments["query"]) for _, _, arguments, sql in CALLS]
    finally:
        gateway.stop()
        emulator.stop()
    counted = tokens_of(ours + theirs)
    rows = [(call[0], counted[i], counted[i + len(CALLS)]) for i, call in enumerate(CALLS)]
    return rows + [("together", sum(r[1] for r in rows), sum(r[2] for r in rows))]


def tell():
    print("| o200k tokens of an answer | snowgate | rows as JSON objects | ratio |\n|---|---:|---:|---:|")
    for what, ours, theirs in count():
        print(f"| {what} | {ours} | {theirs} | {ours / theirs:.2f} |", flush=True)


def measure(bench, quick):
    """The bench's part of it."""
    if not shutil.which("node") or not os.path.isdir(os.path.join(E2E, "node_modules", "js-tiktoken")):
        print("left out: the packages of tests/e2e are not there (tests/e2e/run installs them)")
        return
    tell()


if __name__ == "__main__":
    tell()
