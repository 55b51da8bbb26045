"""Runs the two versions of the conformance suite and judges each scenario by the checks it wrote: suite.py NODE [-k NAME]."""

import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from gateway import Emulator, Gateway, Process, program  # noqa: E402

NEW, STABLE = "conformance", "conformance-stable"  # the names of package.json
LEGACY, MODERN = "2025-11-25", "2026-07-28"
RUN_SECONDS = 600

# Not scored in the requirement sets, where their faults would go unnoticed.
UNSCORED = [("http-header-validation", MODERN), ("http-custom-header-server-validation", MODERN),
            ("server-sse-polling", LEGACY), ("json-schema-2020-12", LEGACY), ("json-schema-2020-12", MODERN),
            ("server-session-lifecycle", LEGACY), ("server-session-lifecycle", "2025-06-18"),
            ("server-session-lifecycle", "2025-03-26")]

# The extension of tasks; -status-notifications does nothing but tell that it is skipped.
TASKS = [("tasks-" + name, MODERN) for name in
         ("lifecycle", "capability-negotiation", "wire-fields", "request-state-removal", "mrtr-input", "request-headers",
          "dispatch-and-envelope", "required-task-error", "mrtr-composition")]

# What asks for nothing that only a fixture has; README.md says why the others are not here.
PRODUCT = [("server-initialize", LEGACY), ("server-session-lifecycle", LEGACY), ("logging-set-level", LEGACY),
           ("ping", LEGACY), ("tools-list", LEGACY), ("tools-list", MODERN), ("server-sse-multiple-streams", LEGACY),
           ("server-sse-multiple-streams", MODERN), ("resources-list", LEGACY), ("resources-list", MODERN),
           ("prompts-list", LEGACY), ("prompts-list", MODERN), ("sep-2164-resource-not-found", MODERN),
           ("dns-rebinding-protection", LEGACY), ("dns-rebinding-protection", MODERN), ("caching", MODERN),
           ("http-header-validation", MODERN),
           ("http-custom-header-server-validation", MODERN), ("input-required-result-unsupported-methods", MODERN)]


# An answer of another shape would end these scenarios early, with nothing but INFO.
MUST_SUCCEED = {"server-sse-polling": ("server-sse-priming-event", "server-sse-retry-field",
                                       "server-sse-disconnect-resume")}


class Suite:
    def __init__(self, node, only):
        self.node, self.only = node, only
        self.passed = self.failed = 0

    def cli(self, package, *arguments):
        main = os.path.join(HERE, "node_modules", package, "dist", "index.js")
        return subprocess.run([self.node, main, *arguments], capture_output=True, text=True, timeout=RUN_SECONDS,
                              stdin=subprocess.DEVNULL)

    def wants(self, name):
        return self.only in name

    def count(self, name, faults):
        """One run of a scenario: passed where there is no fault."""
        if faults:
            self.failed += 1
            print(f"not ok: {name}", *faults, sep="\n    ", flush=True)
        else:
            self.passed += 1

    def run(self, label, package, url, arguments, expected):
        """Runs the suite once. `expected`: the scenarios that must be there and without fault."""
        with tempfile.TemporaryDirectory(prefix="snowgate-conformance-") as out:
            done = self.cli(package, "server", "--url", url, "-o", out, *arguments)
            results = dict(scenario_checks(out))
        names = {s: f"{label} {s}" for s in sorted(expected)}
        before = self.failed
        for scenario, name in names.items():
            if self.wants(name):
                self.count(name, faults_of(scenario, results[scenario]) if scenario in results else ["did not run"])
        if self.failed == before and (done.returncode or not results):
            self.count(f"{label} ends", [f"status {done.returncode}", (done.stdout + done.stderr)[-2000:]])

    def requirements(self, url, revision):
        arguments = ["--requirements", revision]
        self.run(f"requirements {revision}", NEW, url, arguments, self.listed(NEW, *arguments))

    def listed(self, package, *arguments):
        """The server scenarios that the suite says it runs."""
        listed = self.cli(package, "list", "--server", *arguments).stdout
        return re.findall(r"^  - (\S+)", listed.partition("Client scenarios")[0], re.M) or ["list"]

    def scenarios(self, label, url, wanted):
        for scenario, revision in wanted:
            if self.wants(f"{label} {revision} {scenario}"):
                self.run(f"{label} {revision}", NEW, url, ["--scenario", scenario, "--spec-version", revision, "--force"],
                         [scenario])


def scenario_checks(out):
    """(scenario, its checks) for each folder server-SCENARIO-TIME that the suite has written."""
    for folder in sorted(os.listdir(out)):
        name = re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z?", folder)
        with open(os.path.join(out, folder, "checks.json")) as file:
            yield name.group(1) if name else folder, json.load(file)


def faults_of(scenario, checks):
    """Warnings are faults too: what the suite only recommends, we do. And nothing that could be tried is to be skipped."""
    bad = [c for c in checks if c["status"] in ("FAILURE", "WARNING", "SKIPPED")]
    told = [f"{c['status']} {c['id']}: {c.get('errorMessage') or json.dumps(c.get('details'))}" for c in bad]
    good = {c["id"] for c in checks if c["status"] == "SUCCESS"}
    told += [f"not seen to succeed: {i}" for i in MUST_SUCCEED.get(scenario, ()) if i not in good]
    return told if checks else ["no check was made"]


def with_fixtures(suite):
    server = Process([program("snowgate-conformance"), "--port", "0"], "stderr")
    try:
        url = f"http://127.0.0.1:{server.listening()['port']}/mcp"
        for revision in (LEGACY, MODERN):
            suite.requirements(url, revision)
        suite.scenarios("fixtures", url, UNSCORED + TASKS)
        suite.run("0.1.16", STABLE, url, ["--suite", "all"], suite.listed(STABLE))
    finally:
        status = server.end()
    if status or suite.wants("snowgate-conformance ends"):
        suite.count("snowgate-conformance ends", [f"status {status}", server.text()[-4000:]] if status else [])


def with_product(suite):
    emulator = Emulator()
    try:
        gateway = Gateway(emulator)
        try:
            suite.scenarios("product", f"http://127.0.0.1:{gateway.port}/mcp", PRODUCT)
        finally:
            gateway.stop()
    finally:
        emulator.stop()


def check_messages(suite, folder):
    """Each message that the two programs sent, as tests/tap recorded it, against the schema of its revision."""
    if not os.path.exists(program("snowgate-tap.so")):
        print("what was sent is not checked: there is no snowgate-tap.so")
        return
    check = os.path.join(HERE, "..", "tap", "check.mjs")
    done = subprocess.run([suite.node, check, folder, *(["--some"] if suite.only else [])], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    counts = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1] if lines else "")
    print(*(lines[:-1] if counts else lines + [done.stderr]), sep="\n")
    suite.passed += int(counts.group(1)) if counts else 0
    suite.failed += int(counts.group(2)) if counts else 1


def main(arguments):
    suite = Suite(arguments[0], arguments[2] if len(arguments) == 3 else "")
    with tempfile.TemporaryDirectory(prefix="snowgate-tap-") as tap:
        os.environ["SNOWGATE_TAP"] = tap
        with_fixtures(suite)
        if os.access(program("snowgate-emulator"), os.X_OK):
            with_product(suite)
        else:
            print("skipped: the product itself, there is no snowgate-emulator")
        check_messages(suite, tap)
    print(f"{suite.passed} passed, {suite.failed} failed")
    return 0 if suite.passed and not suite.failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
