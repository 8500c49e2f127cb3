#!/usr/bin/env python3
"""A room includes only headers of rooms on lower floors, and its own: reads every #include line under src/ and says what breaks that."""
import pathlib
import re
import sys

FLOORS = [
    ["base"],
    ["detect", "http1", "http2", "dns", "loop", "net", "tls"],
    ["model", "identity", "rest", "grpc", "nameserver"],
    ["decide", "observe", "api"],
    ["proxy", "capture", "analyze"],
    ["control", "sandbox"],
    ["local"],
    ["cli"],
]
# Rooms of one floor that may use a neighbour; each needs a reason.
NEIGHBOURS = {
    ("observe", "decide"): "telemetry prints the plan's own reason",
    ("net", "loop"): "names are resolved, and connections accepted, on the loop",
    ("dns", "net"): "answers carry addresses: net/addr.h, which knows no sockets",
}
floor = {room: n for n, rooms in enumerate(FLOORS) for room in rooms}
src = pathlib.Path(__file__).resolve().parent.parent / "src"
bad = 0
for path in sorted(src.rglob("*.[ch]")):
    room = path.relative_to(src).parts[0]
    if room not in floor:
        print(f"{path.relative_to(src.parent)}: room {room} is on no floor: name it in tools/check_includes.py")
        bad += 1
        continue
    for number, line in enumerate(path.read_text().splitlines(), 1):
        m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not m:
            continue
        other = m.group(1).split("/")[0]
        where = f"{path.relative_to(src.parent)}:{number}"
        if "/" not in m.group(1) or other not in floor:
            print(f'{where}: include "{m.group(1)}" by its room: "room/header.h"')
            bad += 1
        elif other != room and floor[other] >= floor[room] and (room, other) not in NEIGHBOURS:
            print(f"{where}: {room} (floor {floor[room]}) may not include {other} (floor {floor[other]})")
            bad += 1
for path in sorted(src.rglob("*.h")):
    if not re.search(r"^#pragma once$", path.read_text(), re.M):
        print(f"{path.relative_to(src.parent)}: no #pragma once")
        bad += 1
sys.exit(1 if bad else 0)
