"""Instructions of hark alone per request and per connection, counted by callgrind: independent of how busy the machine is, so that commits can be compared.

Each figure is a slope: the instructions of a long run less those of a short one, divided by the difference in work. Start-up cancels out.
With mutual TLS a pair does the work, and one of the two is counted: the one that dials, or the one that accepts.
"""
import json
import os
import re
import signal
import subprocess
import tempfile

import mtls_peers
import peers
import works

TLS_SIDE = {"dial": "server", "accept": "client"}  # --tls: mesh TLS towards the server, or from the client


class Hark:
    def __init__(self, to, extra, scratch, counted):
        self.port = peers.free_port()
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={scratch}/out"] if counted else []
        self.process = subprocess.Popen([*valgrind, str(peers.BUILD / "hark"), "proxy", "--listen", f"127.0.0.1:{self.port}", "--to", f"127.0.0.1:{to}", "--workers", "1", *extra],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        peers.wait_port(self.port, self.process, 60)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=60)[1]


def counted_run(role, extra, drive):
    """(instructions, units of work) of one `hark proxy` under callgrind while DRIVE(port) loads it, alone (no ROLE) or in a pair."""
    backend = works.load_server("echo")
    running, said = [], ""
    with tempfile.TemporaryDirectory(prefix="hark-count-") as scratch:
        try:
            port = backend.port
            for side in ["accept", "dial"] if role else [None]:
                tls = ["--tls", TLS_SIDE[side], "--cert-dir", str(mtls_peers.Certificates(scratch).dir)] if side else []
                running.append(Hark(port, [*tls, *extra], scratch, side == role))
                port = running[-1].port
            units = drive(port)["units"]
        finally:
            for proxy in running:
                said += proxy.stop()
            backend.stop()
    collected = re.search(r"Collected : (\d+)", said)
    if not collected:
        raise RuntimeError("callgrind said nothing: " + said[-500:])
    return int(collected.group(1)), units


def slope(drive, role=None, extra=()):
    short = counted_run(role, extra, lambda port: drive(port, 1))
    long = counted_run(role, extra, lambda port: drive(port, 4))
    return (long[0] - short[0]) / max(1, long[1] - short[1])


def request(size):
    return lambda port, seconds: works.load("rr", f"127.0.0.1:{port}", 4, size, seconds)


def connection(port, seconds):
    return works.load("conn", f"127.0.0.1:{port}", 2, 64, seconds)


FIGURES = {
    "instructions_per_request_64": lambda: slope(request(64)),
    "instructions_per_request_1k": lambda: slope(request(1024)),
    "instructions_per_connection": lambda: slope(connection),
}
for _side in TLS_SIDE:
    FIGURES[f"mtls_{_side}_per_request_64"] = lambda side=_side: slope(request(64), side)
    FIGURES[f"mtls_{_side}_per_request_1k"] = lambda side=_side: slope(request(1024), side)
    FIGURES[f"mtls_{_side}_per_connection_resumed"] = lambda side=_side: slope(connection, side)
    FIGURES[f"mtls_{_side}_per_connection_full"] = lambda side=_side: slope(connection, side, ["--no-resumption"])


def main(names):
    """Those whose names begin with one of NAMES; all without any."""
    works.prepare(1.0)
    figures = {name: round(figure()) for name, figure in FIGURES.items() if not names or name.startswith(tuple(names))}
    path = peers.TOP / "build/count.json"
    os.makedirs(path.parent, exist_ok=True)
    old = json.loads(path.read_text()) if names and path.exists() else {}
    path.write_text(json.dumps({**old, **figures}, indent=1) + "\n")
    for name, value in figures.items():
        print(f"{name:40} {value:>12,}")
    return 0
