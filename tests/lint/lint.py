#!/usr/bin/env python3
"""The rules of the house, checked over the sources. Prints each fault as file:line: rule: what, then "N passed, N failed",
where N counts rules.

    tests/lint/lint.py [RULE ...] [--tidy BUILD_FOLDER]
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FUNCTION_LINES = 60
FILE_LINES = 1200

# The layers, lowest first. A file includes headers of its own folder and of lower layers, never of a sibling.
LAYERS = {"base": 0, "core": 1, "mcp": 2, "sql": 2, "call": 3, "http": 4, "stdio": 4, "auth": 4, "tools": 4,
          "snowflake": 4, "store": 4, "gateway": 5, "main": 6}
# The emulator is a program of its own: it takes these modules of the gateway, and no others.
EMULATOR_MAY = {"base", "core"}

# Headers of include/snowgate by the folder that implements them; those that are not here bear their folder's name.
HEADER_FOLDER = {
    "arena.h": "base", "base.h": "base", "buf.h": "base", "clock.h": "base", "file.h": "base", "handle.h": "base",
    "kill.h": "base", "log.h": "base", "mail.h": "base", "wheel.h": "base",
    "conf.h": "core", "context.h": "core", "crypt.h": "core", "err.h": "core", "format.h": "core", "json.h": "core",
    "metric.h": "core",
    "policy.h": "core", "principal.h": "core",
    "session.h": "mcp", "mcp.h": "mcp", "stream.h": "mcp", "seal.h": "mcp", "rows.h": "sql", "sql.h": "sql",
    "call.h": "call", "exchange.h": "call", "transport.h": "call",
    "tbl/err.def": "core", "tbl/metric.def": "core", "tbl/conf.def": "core", "tbl/guard.def": "sql",
    "tbl/authenticator.def": "core", "tbl/connection.def": "core",
    "tbl/step.def": "call", "tbl/kill.def": "base",
}

# Library headers, and where each may be included.
CONFINED_HEADERS = [
    (re.compile(r"^microhttpd\.h$"), ["src/http/", "src/emulator/"]),
    (re.compile(r"^curl/"), ["src/snowflake/"]),
    (re.compile(r"^openssl/"), ["src/core/crypt.c"]),
    (re.compile(r"^yaml\.h$"), ["src/core/"]),
    (re.compile(r"^sqlite3\.h$"), ["src/store/sqlite"]),
    (re.compile(r"^hiredis/"), ["src/store/valkey"]),
    (re.compile(r"^zlib\.h$"), ["src/snowflake/inflate.c", "src/emulator/"]),
    (re.compile(r"^(duckdb\.h|.*duckdb_api\.h)$"), ["src/emulator/"]),
]
CONFINED_CALLS = [
    (re.compile(r"\bjson_(?:load|dump)\w*\s*\("), ["src/core/json.c"], "use json_parse() and json_write()"),
    (re.compile(r"\bpthread_(?:mutex|cond|rwlock|spin)_\w+"), ["src/base/mail.c", "src/emulator/"],
     "no locks but the mailbox's"),
]
BANNED_CALLS = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|strtok|strtok_r|sscanf|atoi|atol|"
                          r"atoll|atof|gets|system|popen|alloca)\s*\(")
# What must not stand anywhere in the repository, spelled so that this file does not hold it.
MACHINE_PATHS = re.compile("|".join(["(?<![\\w.-])/wor" + "k/", "/tmp/" + "h/"]))
REGISTRIES = re.compile("|".join(h.replace(".", "\\.") for h in [
    "registry." + "npmjs.org", "registry." + "yarnpkg.com", "py" + "pi.org", "files.python" + "hosted.org",
    "proxy.go" + "lang.org", "static.cra" + "tes.io", "index.cra" + "tes.io", "deb.deb" + "ian.org",
    "security.deb" + "ian.org"]))
UNFINISHED = re.compile(r"\b(?:" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]) + r")\b")

faults = []


def fault(path, line, rule, what):
    where = path.relative_to(ROOT).as_posix() if isinstance(path, pathlib.Path) else path
    faults.append(f"{where}:{line}: {rule}: {what}")


# ---- reading ----

SKIPPED_FOLDERS = {".git", "build", "third_party", "node_modules", "__pycache__"}


def repository():
    """Every text file that belongs to the repository."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS and
                            not os.path.exists(os.path.join(folder, f, "CMakeCache.txt")))
        for name in sorted(names):
            path = pathlib.Path(folder, name)
            if path.suffix in {".png", ".ico", ".gz", ".so"} or "fuzz/corpus" in path.as_posix() or path.is_symlink():
                continue
            yield path


def sources(*folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".c", ".h"} and path.is_file() and "node_modules" not in path.parts:
                yield path


def text_of(path):
    return path.read_text(encoding="utf-8", errors="replace")


TOKEN = re.compile(r"""/\*.*?(?:\*/|\Z)|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)


def blank(match):
    """The same number of lines and columns, with nothing in them but the quotes."""
    token = match.group(0)
    inner = re.sub(r"[^\n]", " ", token)
    return token[0] + inner[1:-1] + token[-1] if token[0] in "\"'" else inner


def code_of(path):
    """The source without its comments and literals."""
    return TOKEN.sub(blank, text_of(path))


def lines_where(pattern, text):
    for match in pattern.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match


INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.M)


def includes(path):
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text_of(path), flags=re.S)
    for line, match in lines_where(INCLUDE, text):
        yield line, match.group(1), match.group(2)


def relative(path):
    return path.relative_to(ROOT).as_posix()


# ---- the rules ----

def folder_of_header(name):
    """Which layer's folder the header include/snowgate/NAME belongs to; None where nobody does."""
    folder = HEADER_FOLDER.get(name)
    if folder:
        return folder
    stem = name.rsplit(".", 1)[0]
    if stem in LAYERS:
        return stem
    owners = [f for f in LAYERS if (ROOT / "src" / f / (stem + ".c")).exists()]
    return owners[0] if len(owners) == 1 else None


def allowed(folder, other):
    if folder == other:
        return True
    if folder == "emulator":
        return other in EMULATOR_MAY
    return LAYERS[other] < LAYERS[folder]


def rule_layers():
    """Includes go down: base < core < mcp, sql < call < http, stdio, auth, tools, snowflake, store < gateway < main."""
    for path in sources("src", "include"):
        parts = path.relative_to(ROOT).parts
        if parts[0] == "include":
            folder = folder_of_header("/".join(parts[2:]))
            if folder is None:
                fault(path, 1, "layers", "no folder of src/ implements this header; see HEADER_FOLDER of tests/lint/lint.py")
                continue
        else:
            folder = "main" if len(parts) == 2 else parts[1]
            if folder not in LAYERS and folder != "emulator":
                fault(path, 1, "layers", f"src/{folder} has no layer")
                continue
        for line, kind, name in includes(path):
            if name.startswith("snowgate/"):
                other = folder_of_header(name[len("snowgate/"):])
                if other is None:
                    fault(path, line, "layers", f"{name} belongs to no folder")
                elif not allowed(folder, other):
                    fault(path, line, "layers", f"{folder} may not include {name} of {other}")
            elif kind == '"':
                target = (path.parent / name).resolve()
                if not target.exists() or target.parent != path.parent.resolve():
                    fault(path, line, "layers", f'"{name}" is not a header of this folder')


def rule_library_headers():
    """Each library's header is included in one place."""
    for path in sources("src", "include"):
        for line, _, name in includes(path):
            for pattern, places in CONFINED_HEADERS:
                if pattern.match(name) and not relative(path).startswith(tuple(places)):
                    fault(path, line, "library_headers", f"{name} belongs to {', '.join(places)}")


def rule_confined_calls():
    """jansson's loader and dumper, and locks, each in one file."""
    for path in sources("src", "include"):
        code = code_of(path)
        for pattern, places, why in CONFINED_CALLS:
            if relative(path).startswith(tuple(places)):
                continue
            for line, match in lines_where(pattern, code):
                fault(path, line, "confined_calls", f"{match.group(0).rstrip('( ')}: {why}")


def rule_banned_calls():
    """No call that writes without a bound, converts without a check, or starts a shell."""
    for path in sources("src", "include", "tests"):
        for line, match in lines_where(BANNED_CALLS, code_of(path)):
            fault(path, line, "banned_calls", f"{match.group(1)}()")


def rule_goto():
    """goto goes to the one label `out` only."""
    for path in sources("src", "include"):
        for line, match in lines_where(re.compile(r"\bgoto\s+(\w+)"), code_of(path)):
            if match.group(1) != "out":
                fault(path, line, "goto", f"goto {match.group(1)}")


def rule_function_length():
    """No function is longer than 60 lines, from its opening brace to the closing one."""
    for path in sources("src", "include", "tests"):
        start, name = None, ""
        lines = code_of(path).split("\n")
        for number, line in enumerate(lines, 1):
            if line.startswith("{"):
                start, name = number, lines[number - 2].strip()
            elif line.startswith("}") and start:
                if line.strip() == "}" and number - start + 1 > FUNCTION_LINES:
                    fault(path, start, "function_length", f"{number - start + 1} lines: {name[:60]}")
                start = None


def rule_file_length():
    """No source file is longer than 1200 lines."""
    for path in sources("src", "include", "tests"):
        count = text_of(path).count("\n")
        if count > FILE_LINES:
            fault(path, FILE_LINES, "file_length", f"{count} lines")


def rule_first_line():
    """A source file says first what happens in it."""
    for path in sources("src", "include", "tests"):
        if not text_of(path).startswith("/*"):
            fault(path, 1, "first_line", "no comment that says what happens here")


def rule_machine_paths():
    """No path of the machine it was written on, no host of a package registry."""
    for path in repository():
        text = text_of(path)
        for line, match in lines_where(MACHINE_PATHS, text):
            fault(path, line, "machine_paths", match.group(0))
        for line, match in lines_where(REGISTRIES, text):
            fault(path, line, "machine_paths", match.group(0))


def rule_unfinished():
    """Nothing is left for later."""
    for path in repository():
        for line, match in lines_where(UNFINISHED, text_of(path)):
            fault(path, line, "unfinished", match.group(0))


def rule_format():
    """clang-format-14 would change nothing."""
    tool = shutil.which("clang-format-14")
    if not tool:
        print("format: left out, clang-format-14 is not installed")
        return
    files = [relative(p) for p in sources("src", "include", "tests")]
    for at in range(0, len(files), 40):
        done = subprocess.run([tool, "--dry-run", *files[at:at + 40]], cwd=ROOT, text=True, capture_output=True)
        seen = {}
        for match in re.finditer(r"^(\S+?):(\d+):\d+: (?:warning|error): code should", done.stderr, re.M):
            seen.setdefault(match.group(1), match.group(2))
        for name, line in seen.items():
            fault(name, line, "format", "clang-format-14 -i would change this file")


CONF_LINE = re.compile(r'^CONF\((\w+),\s*(\w+),\s*\w+,.*,\s*"((?:\\.|[^"\\])*)"\)\s*$')


def rule_settings():
    """Every setting has its sentence, from which `snowgate config --defaults` makes the sample; README names its section."""
    path = ROOT / "include/snowgate/tbl/conf.def"
    readme = text_of(ROOT / "README.md")
    found = 0
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if not line.startswith("CONF("):
            continue
        found += 1
        match = CONF_LINE.match(line)
        if not match:
            fault(path, number, "settings", "not a line of the table")
        elif len(match.group(3)) < 10:
            fault(path, number, "settings", f"{match.group(1)}.{match.group(2)} has no sentence")
        elif f"`{match.group(1)}.{match.group(2)}`" not in readme:
            fault(path, number, "settings", f"README.md does not name `{match.group(1)}.{match.group(2)}`")
    if not found:
        fault(path, 1, "settings", "the table is empty")


METRIC_LINE = re.compile(r'^METRIC\((\w+),\s*(COUNTER|GAUGE|HISTOGRAM),\s*"(\w+)",\s*"([^"]+)"')


def rule_metrics():
    """Metric names follow Prometheus: prefix, base unit, _total for counters only."""
    path = ROOT / "include/snowgate/tbl/metric.def"
    names = set()
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if not line.startswith("METRIC("):
            continue
        match = METRIC_LINE.match(line)
        if not match:
            fault(path, number, "metrics", "not a line of the table")
            continue
        kind, name = match.group(2), match.group(3)
        if not name.startswith("snowgate_"):
            fault(path, number, "metrics", f"{name} does not begin with snowgate_")
        if (kind == "COUNTER") != name.endswith("_total"):
            fault(path, number, "metrics", f"{name}: _total is for counters, and for all of them")
        if kind == "HISTOGRAM" and not name.endswith("_seconds"):
            fault(path, number, "metrics", f"{name}: a histogram counts seconds")
        if name in names:
            fault(path, number, "metrics", f"{name} is there twice")
        names.add(name)
    if not names:
        fault(path, 1, "metrics", "the table is empty")


TABLE_STEP = re.compile(r'^STEP\((\w+),\s*(\w+),\s*"([^"]+)"')


def rule_steps():
    """Each step of the road of a call is defined in the file that the table names."""
    path = ROOT / "include/snowgate/tbl/step.def"
    for number, line in enumerate(text_of(path).split("\n"), 1):
        match = TABLE_STEP.match(line)
        if not match:
            continue
        file = ROOT / "src" / match.group(3)
        if not file.exists() or not re.search(rf"\bstep_{match.group(1)}\b", code_of(file)):
            fault(path, number, "steps", f"step_{match.group(1)}() is not in src/{match.group(3)}")


KILL_LINE = re.compile(r'^KILL\((\w+),\s*"([^"]+)"\)$')
KILL_USE = re.compile(r"\bKILL_(?:POINT|ARMED)\((\w+)\)")


def rule_kill_points():
    """Each kill point of the table is passed somewhere, and no other is."""
    path = ROOT / "include/snowgate/tbl/kill.def"
    listed, passed = {}, set()
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if not line.startswith("KILL("):
            continue
        match = KILL_LINE.match(line)
        if not match:
            fault(path, number, "kill_points", "not a line of the table")
        elif match.group(1) in listed:
            fault(path, number, "kill_points", f"{match.group(1)} is there twice")
        else:
            listed[match.group(1)] = number
    for file in sources("src"):
        for number, line in enumerate(code_of(file).split("\n"), 1):
            for use in KILL_USE.finditer(line):
                if use.group(1) not in listed:
                    fault(file, number, "kill_points", f"{use.group(1)} is not in tbl/kill.def")
                if "KILL_POINT" in use.group(0):
                    passed.add(use.group(1))
    for name in listed.keys() - passed:
        fault(path, listed[name], "kill_points", f"{name} is passed nowhere in src/")
    if not listed:
        fault(path, 1, "kill_points", "the table is empty")


def rule_tools():
    """A tool's file says what the clients need: name, description, an object schema, annotations."""
    for path in sorted((ROOT / "src/tools/defs").glob("*.json")):
        try:
            tool = json.loads(text_of(path))
        except ValueError as error:
            fault(path, 1, "tools", str(error))
            continue
        schema = tool.get("inputSchema", {})
        if path.stem.split("_", 1)[1] != tool.get("name"):
            fault(path, 1, "tools", "the file's name is NUMBER_TOOL.json")
        if not tool.get("description") or not isinstance(tool.get("annotations"), dict):
            fault(path, 1, "tools", "needs a description and annotations")
        if schema.get("type") != "object" or schema.get("additionalProperties") is not False:
            fault(path, 1, "tools", "inputSchema is an object without further properties")
        for name in schema.get("required", []):
            if name not in schema.get("properties", {}):
                fault(path, 1, "tools", f"{name} is required but has no schema")
        if f"`{tool.get('name')}`" not in text_of(ROOT / "README.md"):
            fault("README.md", 1, "tools", f"does not name `{tool.get('name')}`")


def rule_scripts():
    """The shell reads every script without a fault."""
    for path in repository():
        head = text_of(path)[:40].split("\n")[0]
        if re.match(r"#!.*\b(ba)?sh\b", head):
            shell = "bash" if "bash" in head else "sh"
            done = subprocess.run([shell, "-n", str(path)], text=True, capture_output=True)
            if done.returncode:
                fault(path, 1, "scripts", done.stderr.strip())
            if not os.access(path, os.X_OK):
                fault(path, 1, "scripts", "is not executable")


def tidy(build):
    """clang-tidy with the checks of .clang-tidy; minutes, so only when it is asked for."""
    tool = shutil.which("clang-tidy-14")
    if not tool or not (pathlib.Path(build) / "compile_commands.json").exists():
        print("tidy: left out, clang-tidy-14 or compile_commands.json is missing")
        return
    files = [relative(p) for p in sources("src") if p.suffix == ".c"]
    for name in files:
        done = subprocess.run([tool, "-quiet", "-p", str(build), name], cwd=ROOT, text=True, capture_output=True)
        for line in sorted(set(re.findall(r"^(\S+:\d+):\d+: (?:warning|error): (.*)$", done.stdout, re.M))):
            faults.append(f"{line[0].replace(str(ROOT) + '/', '')}: tidy: {line[1]}")


def main(arguments):
    rules = {name[5:]: function for name, function in sorted(globals().items()) if name.startswith("rule_")}
    if "--tidy" in arguments:
        at = arguments.index("--tidy")
        if at + 1 == len(arguments):
            sys.exit("lint.py: --tidy needs the build folder")
        build = arguments[at + 1]
        rules["tidy"] = lambda: tidy(build)
        del arguments[at:at + 2]
        arguments = arguments and arguments + ["tidy"]
    unknown = [a for a in arguments if a not in rules]
    if unknown:
        sys.exit(f"lint.py: no rule {unknown[0]}; there are {', '.join(rules)}")
    good = bad = 0
    for name in arguments or rules:
        before = len(faults)
        rules[name]()
        for line in faults[before:]:
            print(line)
        good, bad = (good + 1, bad) if len(faults) == before else (good, bad + 1)
    print(f"{good} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
