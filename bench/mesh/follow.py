#!/usr/bin/env python3
"""Connects over and over; says "ready" once the first answer is FROM, then the monotonic time in ns of the first connection that reached TO.

usage: follow.py HOST PORT FROM TO
"""
import socket
import sys
import time

host, port, first, then = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
deadline = time.monotonic() + 30
seen = False
while time.monotonic() < deadline:
    start = time.monotonic_ns()
    try:
        with socket.create_connection((host, port), 5) as s:
            answer = s.recv(1).decode()
    except OSError:
        continue
    if answer == first and not seen:
        seen = True
        print("ready", flush=True)
    if seen and answer == then:
        print(start, flush=True)
        sys.exit(0)
sys.exit(1)
