#!/usr/bin/env python3
"""Documents must not rot.

Every file, function, struct, constant, `hark` command and ./dev verb that a document names in backticks must exist. A table below a comment
`<!-- check: WHAT -->` must name, in its first column, exactly what the code has of WHAT (see `tables`); where it has a
column "default", durations and numbers there must be those of the code.
"""
import pathlib
import re
import subprocess
import sys

top = pathlib.Path(__file__).resolve().parent.parent
src = top / "src"
files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=top, capture_output=True, text=True, check=True).stdout.split("\n")
code = "\n".join((top / f).read_text(errors="replace") for f in files
                 if re.search(r"\.(c|h|py|build|txt)$", f) or f == "dev" if (top / f).is_file())
verbs = set(re.findall(r"^cmd_([a-z]+)\(\)", (top / "dev").read_text(), re.M))
bad = 0


def complain(path, number, text):
    global bad
    bad += 1
    print(f"{path}:{number}: {text}")


# What the code has.

def text(path):
    return (src / path).read_text()


def x_macro(path, macro, group):
    """Texts of the rows X(ID, "first", "second", ...) of MACRO: the GROUPth one (from 0)."""
    body = re.search(rf"#define {macro}\(X\)(.*?[^\\])\n", text(path), re.S).group(1)
    rows = re.split(r"\bX\(", body)[1:]
    return {re.findall(r'"([^"]*)"', row)[group] for row in rows}


def part(path, start, end):
    """The text between two patterns, both left out."""
    return re.search(rf"{start}(.*?){end}", text(path), re.S).group(1)


def metrics():
    found = set()
    for path in [*sorted((src / "observe").glob("*.[ch]")), src / "proxy/own_cert_show.c"]:
        if not re.search(r"_test\.c$|fixture", path.name):
            found |= set(re.findall(r'"((?:istio|hark|process)_[a-z_]+)[{"]', path.read_text()))
    return found - {"hark_test"}


def fields(path, table):
    """Names of the rows of a table of fields that have an effect, those of inlined tables as OUTER.INNER."""
    out = set()
    for kind, args in re.findall(r"FIELD_([A-Z_]+)\(([^;]*?)\),\n", part(path, rf"struct field {table}\[\] = \{{", r"\};\n")):
        name = re.search(r'"(\w+)"', args).group(1)
        if kind == "INLINE":
            inner = re.search(r"&(\w+)_schema", args).group(1)
            out |= {f"{name}.{x}" for x in fields(path, f"{inner}_fields")}
        elif kind != "KNOWN":
            out.add(name)
    return out


def annotations():
    found = set(re.findall(r'"((?:[a-z]+\.)*istio\.io/[\w-]+)", "', text("capture/config.c")))
    found |= set(re.findall(r'ANNOTATION_(?:DETECTION\w*|EXPORT_TO) "([^"]+)"', text("model/annotations.h")))
    found |= set(re.findall(r'ANNOTATION_PROXY_CONFIG "([^"]+)"', text("model/annotations.h")))
    found |= set(re.findall(r'ANNOTATION_SUPPRESS\w* "([^"]+)"', text("analyze/analyze.h")))
    return found | {re.search(r'LABEL_INJECT "([^"]+)"', text("decide/inject.h")).group(1)}


def analyses():
    """{code: [Istio's, level, name]} of the checks of hark analyze; a star behind the level: it counts even as a warning."""
    rows = re.findall(r'X\(\w+,\s*"(\w+)",\s*"(\w*)",\s*(\w+),\s*(\w+),\s*"(\w+)"', text("analyze/checks.h"))
    return {code: [istio, level.capitalize() + (" *" if stalls == "true" else ""), name] for code, istio, level, stalls, name in rows}


mesh = "model/mesh_config.c"
tables = {
    "steps": lambda: x_macro("decide/plan.h", "STEPS", 0),
    "race": lambda: x_macro("detect/first_word.h", "FW_REASONS", 0),
    "elsewhere": lambda: set(re.findall(r'"([DFW]\d)"', text("decide/elsewhere.c"))),
    "ends": lambda: x_macro("observe/record.h", "END_REASONS", 0),
    "early": lambda: x_macro("observe/metrics.h", "EARLY_RESULTS", 0),
    "metrics": metrics,
    "renewals": lambda: x_macro("proxy/own_cert_inside.h", "OWN_CERT_RESULTS", 0),
    "authority metrics": lambda: set(re.findall(r'"(hark_[a-z_]+)"', text("control/ca_service.c") + text("local/authority.c"))),
    "authority results": lambda: x_macro("control/ca_service.h", "CA_RESULTS", 0),
    "tcp labels": lambda: set(re.findall(r'"(\w+)"', part("observe/series.c", r"tcp_names\[\] = \{", r"\};"))),
    "detection labels": lambda: set(re.findall(r'"(\w+)"', part("observe/series.c", r"detection_names\[\] = \{", r"\};"))),
    "log keys": lambda: set(re.findall(r'json_\w+\(out,\s*"(\w+)"', part("observe/record.c", r"\nstatic void json_security", r"\Z"))),
    "handshakes": lambda: set(re.findall(r'TLS_WHY_ROW\(\w+, "(\w+)"', text("tls/tls.h"))) - {"none"} | {"ok"},
    "endpoints": lambda: set(re.findall(r'\{"(?:GET|POST)", "(/[\w/]+)"', text("proxy/admin.c"))),
    "greetings": lambda: x_macro("detect/greet.h", "GREET_PROTOCOLS", 0),
    "commands": lambda: set(re.findall(r"X\((\w+)\)", part("cli/commands.h", r"#define COMMANDS\(X\)", r"clang-format on"))),
    "mesh settings": lambda: fields(mesh, "mesh_fields"),
    "hark settings": lambda: fields(mesh, "hark_fields"),
    "annotations": annotations,
    "analyses": lambda: set(analyses()),
    "kinds": lambda: set(re.findall(r'"([A-Z]\w+)"', part("model/kinds.c", r"kinds\[N_KINDS\] = \{", r"\n\};"))),
}


def default_of(setting):
    """Text of a duration's or a number's default; None: it is something else."""
    row = re.search(rf'FIELD_(DURATION|UINT)\(struct mesh_config,\s*"{setting.split(".")[-1]}",\s*(\w+)(?:,\s*NS_PER_(\w+))?', text(mesh))
    if not row:
        return None
    value = re.search(rf"\.{row.group(2)} = (\w+),", text(mesh))
    if value and not value[1].isdigit():
        value = re.search(rf"\b{value[1]} = (\d+)", code)
    n = int(value.group(1)) if value else 0
    if row.group(1) == "UINT" or n == 0:
        return str(n)
    us = n * {"US": 1, "MS": 1000, "S": 1000000}[row.group(3)]
    return f"{us // 1000000}s" if us % 1000000 == 0 else f"{us // 1000}ms" if us % 1000 == 0 else f"{us}us"


def check_table(name, number, lines, what):
    """NUMBER: of the comment, from 1."""
    if what not in tables:
        complain(name, number, f"check: {what}: known are {', '.join(sorted(tables))}")
        return
    rows = []
    for line in lines[number:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    named = {word for row in rows[2:] for word in re.findall(r"`([^`]+)`", row[0])}
    has = tables[what]()
    for word in sorted(has - named):
        complain(name, number, f"{what}: `{word}` is missing")
    for word in sorted(named - has):
        complain(name, number, f"{what}: the code has no `{word}`")
    if not has or not rows:
        complain(name, number, f"{what}: nothing to compare")
    for row in rows[2:] if what == "analyses" else []:
        want = analyses().get(row[0].strip("`"))
        if want is not None and row[1:4] != want:
            complain(name, number, f"{row[0]}: the code has {want}")
    if rows and "default" in rows[0]:
        at = rows[0].index("default")
        for row in rows[2:]:
            want = default_of(row[0].strip("`"))
            if want is not None and row[at].strip("`") != want:
                complain(name, number, f"{row[0]}: the default is {want}")


# What the documents name.

def check_word(name, number, word):
    if re.fullmatch(r"(src|tests|tools|bench|docs|examples|deploy|web)/[\w./-]+", word):
        if not (top / word).exists() and not re.search(r"/[A-Z]+$", word):  # deploy/NAME
            complain(name, number, f"`{word}`: no such file")
    elif re.fullmatch(r"[a-z0-9_]+/[a-z0-9_]+\.[ch]", word):
        if not (src / word).exists():
            complain(name, number, f"`{word}`: no such file below src/")
    elif re.fullmatch(r"[a-z0-9_]+\(\)", word):
        if not re.search(rf"\b{word[:-2]}\(", code):
            complain(name, number, f"`{word}`: no such function")
    elif m := re.fullmatch(r"(struct|enum) (\w+)", word):
        if not re.search(rf"\b{m[1]} {m[2]}\b", code):
            complain(name, number, f"`{word}`: no such type")
    elif re.fullmatch(r"[A-Z][A-Z0-9]*_[A-Z0-9_]+", word):
        if not re.search(rf"\b{word}\b", code) and not re.search(rf"\b{word.split('_', 1)[1]}\b", code):
            complain(name, number, f"`{word}`: no such constant")


commands = tables["commands"]()
for name in [f for f in files if f.endswith(".md")]:
    fenced = False
    lines = (top / name).read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        for verb in re.findall(r"\./dev ([a-z]+)", line):
            if verb not in verbs:
                complain(name, number, f"./dev {verb}: no such verb")
        spans = [line] if fenced else re.findall(r"`([^`]+)`", line)
        for word in re.findall(r"(?:^|[ /|$#])hark ([a-z]+)\b", "\n".join(spans), re.M):
            if word not in commands:
                complain(name, number, f"hark {word}: no such command")
        if fenced:
            continue
        if m := re.fullmatch(r"<!-- check: (.+) -->", line.strip()):
            check_table(name, number, lines, m[1])
        for link in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", line):
            if not ((top / name).parent / link).exists():
                complain(name, number, f"link to {link}: no such file")
        for word in spans:
            check_word(name, number, word)
sys.exit(1 if bad else 0)
