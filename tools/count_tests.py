#!/usr/bin/env python3
"""Sums up test results and prints, last, the plain line `N passed, N failed`; exit status 1 when anything failed.

usage: count_tests.py FILE...   meson's testlog.json or a JUnit XML file; a part that was not run has no file
"""
import json
import os
import sys
import xml.etree.ElementTree as ET

passed = failed = skipped = 0
for path in sys.argv[1:]:
    if not os.path.exists(path):
        continue
    p = f = s = 0
    if path.endswith(".json"):
        with open(path) as log:
            for line in log:
                result = json.loads(line)["result"]
                if result in ("OK", "EXPECTEDFAIL"):
                    p += 1
                elif result == "SKIP":
                    s += 1
                else:
                    f += 1
    else:
        for case in ET.parse(path).getroot().iter("testcase"):
            kinds = {child.tag for child in case}
            if kinds & {"failure", "error"}:
                f += 1
            elif "skipped" in kinds:
                s += 1
            else:
                p += 1
    print(f"{path}: {p} passed, {f} failed, {s} skipped")
    passed, failed, skipped = passed + p, failed + f, skipped + s

print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
sys.exit(1 if failed or not passed else 0)
