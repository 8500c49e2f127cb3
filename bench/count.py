"""Instructions of hark alone per request and per connection, counted by callgrind: independent of how busy the machine is, so that commits can be compared.

Each figure is a slope: the instructions of a long run less those of a short one, divided by the difference in work. Start-up cancels out.
"""
import json
import os
import re
import signal
import subprocess
import tempfile

import peers
import works


def counted_run(extra, drive):
    """(instructions, units of work) of one `hark proxy` under callgrind while DRIVE(port) loads it."""
    backend = works.load_server("echo")
    port = peers.free_port()
    with tempfile.TemporaryDirectory(prefix="hark-count-") as scratch:
        argv = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={scratch}/out", str(peers.BUILD / "hark"), "proxy",
                "--listen", f"127.0.0.1:{port}", "--to", f"127.0.0.1:{backend.port}", "--workers", "1", *extra]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            peers.wait_port(port, process, 60)
            units = drive(port)["units"]
        finally:
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
            backend.stop()
    collected = re.search(r"Collected : (\d+)", err)
    if not collected:
        raise RuntimeError("callgrind said nothing: " + err[-500:])
    return int(collected.group(1)), units


def slope(extra, drive):
    short = counted_run(extra, lambda port: drive(port, 1))
    long = counted_run(extra, lambda port: drive(port, 4))
    return (long[0] - short[0]) / max(1, long[1] - short[1])


FIGURES = {
    "instructions_per_request_64": lambda: slope([], lambda port, s: works.load("rr", f"127.0.0.1:{port}", 4, 64, s)),
    "instructions_per_request_1k": lambda: slope([], lambda port, s: works.load("rr", f"127.0.0.1:{port}", 4, 1024, s)),
    "instructions_per_connection": lambda: slope([], lambda port, s: works.load("conn", f"127.0.0.1:{port}", 2, 64, s)),
}


def main():
    works.prepare(1.0)
    figures = {name: round(figure()) for name, figure in FIGURES.items()}
    path = peers.TOP / "build/count.json"
    os.makedirs(path.parent, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n")
    for name, value in figures.items():
        print(f"{name:32} {value:>10,}")
    return 0
