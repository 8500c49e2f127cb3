#!/usr/bin/env python3
"""Documents must not rot: every file, function and ./dev verb that README.md, ARCHITECTURE.md and docs/ name in backticks must exist."""
import pathlib
import re
import subprocess
import sys

top = pathlib.Path(__file__).resolve().parent.parent
files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=top, capture_output=True, text=True, check=True).stdout.split("\n")
code = "\n".join((top / f).read_text(errors="replace") for f in files
                 if re.search(r"\.(c|h|py|build|txt)$", f) or f == "dev" if (top / f).is_file())
verbs = set(re.findall(r"^cmd_([a-z]+)\(\)", (top / "dev").read_text(), re.M))
bad = 0


def complain(path, number, text):
    global bad
    bad += 1
    print(f"{path}:{number}: {text}")


for name in [f for f in files if f.endswith(".md")]:
    fenced = False
    for number, line in enumerate((top / name).read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        for verb in re.findall(r"\./dev ([a-z]+)", line):
            if verb not in verbs:
                complain(name, number, f"./dev {verb}: no such verb")
        if fenced:
            continue
        for link in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", line):
            if not ((top / name).parent / link).exists():
                complain(name, number, f"link to {link}: no such file")
        for word in re.findall(r"`([^`]+)`", line):
            if re.fullmatch(r"(src|tests|tools|bench|docs|examples|deploy|web)/[\w./-]+", word):
                if not (top / word).exists():
                    complain(name, number, f"`{word}`: no such file")
            elif re.fullmatch(r"[a-z0-9_]+\(\)", word) and not re.search(rf"\b{word[:-2]}\(", code):
                complain(name, number, f"`{word}`: no such function")
sys.exit(1 if bad else 0)
