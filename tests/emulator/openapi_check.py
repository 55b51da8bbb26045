#!/usr/bin/env python3
"""Checks requests and answers of the SQL API against Snowflake's published OpenAPI description.

    openapi_check.py [DESCRIPTION.yaml [RECORD ...]]

DESCRIPTION is specifications/sqlapi.yaml of the repository snowflakedb/snowflake-rest-api-specs; it is not part of this
one. A RECORD is a file that `snowgate-emulator --record` wrote, for instance while the gateway ran against it. Without a
record the emulator ($SNOWGATE_EMULATOR) is started and asked for every kind of answer that it has.

What the description does not say and the reference pages or real answers do is in ALLOWED, each with its source."""

import json
import os
import re
import sys
import tempfile
import uuid

METHODS = ("get", "put", "post", "delete", "patch")

# (where, what) that differ from the description, and why that is right all the same.
ALLOWED = {
    ("request", "parameters.client_result_chunk_size"): "the reference page lists it",
    ("request", "parameters.rows_per_resultset"): "the reference page lists it",
    ("request", "parameters.use_cached_result"): "the reference page lists it",
    ("request", "parameters.multi_statement_count type"): "the reference page's examples have it as text",
    ("request", "query.retry"): "the reference page lists it",
    ("answer", "statementHandles"): "of several statements: the page on them shows it",
    ("answer", "resultSetMetaData.rowType[].database"): "real answers have it",
    ("answer", "resultSetMetaData.rowType[].schema"): "real answers have it",
    ("answer", "resultSetMetaData.rowType[].table"): "real answers have it",
    ("answer", "resultSetMetaData.rowType[].byteLength"): "real answers have it",
    ("answer", "resultSetMetaData.rowType[].collation"): "real answers have it",
    ("answer", "resultSetMetaData.rowType[].length null"): "real answers have null where it does not apply",
    ("answer", "resultSetMetaData.rowType[].precision null"): "real answers have null where it does not apply",
    ("answer", "resultSetMetaData.rowType[].scale null"): "real answers have null where it does not apply",
    ("answer", "status 408 of GET"): "the description has it for POST alone; how a timeout is told later is not known",
    ("answer", "status 406"): "Accept that excludes JSON: the page says it is an error, not which",
    ("answer", "status 413"): "a limit of the emulator's own",
    ("answer", "status 502"): "of a proxy in front",
}


class Description:
    def __init__(self, tree):
        self.tree = tree

    def resolve(self, node):
        while isinstance(node, dict) and "$ref" in node:
            found = self.tree
            for part in node["$ref"].lstrip("#/").split("/"):
                found = found[part]
            node = found
        return node

    def operation(self, method, path):
        """The description of a request, its parameters with those of the path; None when there is none."""
        for template, item in self.tree["paths"].items():
            pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
            if re.fullmatch(pattern, path) and method.lower() in item:
                one = dict(item[method.lower()])
                one["parameters"] = [self.resolve(p) for p in item.get("parameters", []) + one.get("parameters", [])]
                return one
        return None

    def has_path(self, path):
        return any(re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", t), path) for t in self.tree["paths"])


class Checker:
    """Findings as (where, what): where is "request" or "answer"."""

    def __init__(self, description):
        self.description = description
        self.findings, self.excused, self.checked = [], set(), 0

    def report(self, where, what):
        if (where, what) in ALLOWED:
            self.excused.add((where, what))
        else:
            self.findings.append((where, what))

    # ---- values ----

    def value(self, where, at, value, schema):
        schema = self.description.resolve(schema)
        kind = schema.get("type")
        if value is None:
            if not schema.get("nullable"):
                self.report(where, f"{at} null")
            return
        kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}
        if kind and (not isinstance(value, kinds[kind]) or (kind in ("integer", "number") and isinstance(value, bool))):
            self.report(where, f"{at} type")
            return
        if "enum" in schema and value not in schema["enum"]:
            self.report(where, f"{at} is none of {schema['enum']}")
        if "minimum" in schema and value < schema["minimum"]:
            self.report(where, f"{at} below its minimum")
        self.form(where, at, value, schema.get("format"))
        if kind == "array":
            self.array(where, at, value, schema)
        elif kind == "object":
            self.object(where, at, value, schema)

    def form(self, where, at, value, form):
        if form == "uuid" and not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value):
            self.report(where, f"{at} is no UUID")
        if form == "uri" and not re.fullmatch(r"[!-~]+", value):
            self.report(where, f"{at} is no URI")

    def array(self, where, at, value, schema):
        if len(value) < schema.get("minItems", 0):
            self.report(where, f"{at} too short")
        for one in value:
            self.value(where, at + "[]", one, schema.get("items", {}))

    def object(self, where, at, value, schema):
        properties = {name.lower() if at == "parameters" else name: s
                      for name, s in schema.get("properties", {}).items()}
        for name in schema.get("required", []):
            if name not in value:
                self.report(where, f"{at}.{name} missing".lstrip("."))
        for name, member in value.items():
            key = name.lower() if at == "parameters" else name
            path = f"{at}.{key}".lstrip(".")
            if key in properties:
                self.value(where, path, member, properties[key])
            elif properties:
                self.report(where, path)

    # ---- requests ----

    def text_value(self, where, at, text, schema):
        """A parameter's text as its schema's type."""
        kind = self.description.resolve(schema).get("type")
        value = text
        if kind == "integer":
            value = int(text) if re.fullmatch(r"-?\d+", text or "") else text
        elif kind == "boolean":
            value = {"true": True, "false": False}.get((text or "").lower(), text)
        self.value(where, at, value, schema)

    def request(self, record, operation):
        known = {(p["in"], p["name"].lower()): p for p in operation["parameters"]}
        headers = {k.lower(): v for k, v in record["headers"].items()}
        for name, text in record["query"].items():
            parameter = known.get(("query", name.lower()))
            if parameter:
                self.text_value("request", f"query.{name}", text, parameter["schema"])
            else:
                self.report("request", f"query.{name}")
        for (place, name), parameter in known.items():
            if place == "header" and parameter.get("required") and not headers.get(name):
                self.report("request", f"header {parameter['name']} missing")
        content = operation.get("requestBody", {}).get("content", {})
        if content and record["body"] is not None:
            given = headers.get("content-type", "application/json").split(";")[0].strip()
            if given not in content:
                self.report("request", f"Content-Type {given}")
            else:
                self.value("request", "", json.loads(record["body"]), content[given]["schema"])

    # ---- answers ----

    def answer(self, record, operation):
        if not record["status"]:
            return  # reset before there was one
        status = str(record["status"])
        responses = operation["responses"]
        if status not in responses:
            self.report("answer", f"status {status} of GET" if status == "408" else f"status {status}")
            return
        response = self.description.resolve(responses[status])
        content = response.get("content", {})
        if record["answer"] is None or record.get("spoiled"):
            return
        if not content:
            return
        kind = (record["type"] or "").split(";")[0]
        if kind not in content:
            self.report("answer", f"type {kind} of {status}")
            return
        body = json.loads(record["answer"])
        if isinstance(body, list):
            body = {"data": body}
        self.value("answer", "", body, content[kind]["schema"])
        if record["link"]:
            self.link(record["link"])

    def link(self, text):
        for part in text.split(","):
            if not re.fullmatch(r'\s*<[^>]+>;\s*rel="(first|next|prev|last)"', part):
                self.report("answer", f"Link {part.strip()}")

    def record(self, record):
        operation = self.description.operation(record["method"], record["path"])
        if not operation:
            if self.description.has_path(record["path"]) and record["status"] != 405:
                self.report("answer", f"status {record['status']} of a method that is not there")
            return
        self.checked += 1
        if record["status"] not in (400, 415) and record["status"] < 500:
            self.request(record, operation)
        self.answer(record, operation)


def scenario(path):
    """Every kind of answer, once, recorded into `path`."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from service import PAT, PATH, Emulator
    base = ("--control", "--partition-bytes", "500", "--pat", PAT + "=DEMO", "--record", path)
    try:
        e = Emulator(*base)
    except RuntimeError:
        e = Emulator(*base, "--stub")
    try:
        ask = f"?requestId={uuid.uuid4()}&async=false&nullable=true"
        several = "SELECT SEQ4() AS A, 'x' || SEQ4() AS B FROM TABLE(GENERATOR(ROWCOUNT=>200))"
        body = e.submit(several, ask, timeout=60, parameters={"QUERY_TAG": "t", "TIMEZONE": "UTC",
                                                              "MULTI_STATEMENT_COUNT": "1"}).json
        if "statementHandle" in body and "data" in body:
            for query in ("", "?partition=0", "?partition=1", "?partition=99"):
                e.get(body["statementHandle"], query)
        e.submit("SELECT ?::NUMBER, ?", bindings={"1": {"type": "FIXED", "value": "7"},
                                                  "2": {"type": "TEXT", "value": None}})
        e.submit("CREATE OR REPLACE TABLE DEMO.PUBLIC.OPENAPI (N NUMBER)", role="SYSADMIN")
        e.submit("INSERT INTO DEMO.PUBLIC.OPENAPI VALUES (1), (2)", role="SYSADMIN")
        children = e.submit("SELECT 1; SELECT 2", parameters={"MULTI_STATEMENT_COUNT": "2"}).json
        for handle in children.get("statementHandles", []):
            e.get(handle)
        e.submit("SELECT 1; SELECT 2")
        e.submit("SELECT 1; SELECT * FROM MISSING", parameters={"MULTI_STATEMENT_COUNT": "0"})
        e.submit("SELECT * FROM MISSING")
        e.submit(database="MISSING")
        e.submit(role="MISSING")
        waiting = e.submit("CALL SYSTEM$WAIT(60)", "?async=true").json
        if "statementHandle" in waiting:
            e.get(waiting["statementHandle"])
            e.fault({"status": 429}, op="poll")
            e.get(waiting["statementHandle"])
            e.cancel(waiting["statementHandle"])
            e.cancel(waiting["statementHandle"])
            e.get(waiting["statementHandle"])
        late = e.submit("CALL SYSTEM$WAIT(60)", "?async=true", timeout=1).json
        e.submit("CALL SYSTEM$WAIT(60)", timeout=1)
        if "statementHandle" in late:
            e.end_of(late["statementHandle"])
        e.get("00000000-0000-0000-0000-000000000000")
        e.cancel("00000000-0000-0000-0000-000000000000")
        e.call("GET", PATH)
        e.call("POST", PATH, "{")
        e.submit(headers={"Content-Type": "text/plain"})
        e.submit(token="wrong")
        for status in (403, 429, 500, 503, 504):
            e.fault({"status": status}, op="submit")
            e.submit()
    finally:
        e.stop()


def main(arguments):
    if not arguments:
        print("skipped: no description given (specifications/sqlapi.yaml of snowflakedb/snowflake-rest-api-specs)")
        return 0
    try:
        import yaml
    except ImportError:
        print("skipped: Python's yaml module is not there")
        return 0
    with open(arguments[0], encoding="utf-8") as file:
        checker = Checker(Description(yaml.safe_load(file)))
    records = arguments[1:]
    with tempfile.TemporaryDirectory() as directory:
        if not records:
            records = [os.path.join(directory, "record")]
            scenario(records[0])
        for name in records:
            with open(name, encoding="utf-8") as lines:
                for line in lines:
                    checker.record(json.loads(line))
    for where, what in sorted(checker.excused):
        print(f"known: {where}: {what}: {ALLOWED[where, what]}")
    for where, what in sorted(set(checker.findings)):
        print(f"DIFFERS: {where}: {what}")
    print(f"{checker.checked} requests and answers checked, {len(set(checker.findings))} differences")
    return 1 if checker.findings or not checker.checked else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
