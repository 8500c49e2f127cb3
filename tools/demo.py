#!/usr/bin/env python3
"""The main job, on real servers: `./dev demo`.

Brings up examples/server-first twice in one mesh, in the namespace `shop` with sidecars and in `plain` without,
and measures the time from connect to the first byte directly, through two sidecars, and through the same sidecars
set to wait for the client as other meshes do. Prints one row per server, writes build/demo.json, and exits 0 only if
every server worked through the sidecars. Standard library only.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
HARK = os.environ.get("HARK", str(ROOT / "build" / "hark"))
EXAMPLE = ROOT / "examples" / "server-first"
CLIENTS = (ROOT / "tests" / "clients.py").read_text()  # the functions that run inside the client Pods
MESH = f"demo-{os.getpid()}"
CLIENT_FIRST_BOUND_S = 5
ROUNDS, COUNT = 3, 5  # connections per figure: ROUNDS * COUNT, direct and hark taking turns

# name, Service, port, what the client says first, real action: function of clients.py, arguments after the host, and what
# must occur in its answer
TOKEN = f"demo{os.getpid()}"
SERVERS = [
    ("mariadb", "mariadb", 3307, b"", "mariadb", [], "1300"),
    ("postfix", "postfix", 2525, b"", "smtp", [TOKEN], "true"),
    ("vsftpd", "vsftpd", 2121, b"", "ftp", [], "a file from vsftpd"),
    ("openssh", "openssh", 2222, b"", "ssh", [TOKEN], TOKEN),
    ("dovecot-imap", "imap", 1143, b"", "imap", [TOKEN], f"body of {TOKEN}"),
    ("dovecot-pop3", "pop3", 1110, b"", "pop3", [TOKEN], "1"),  # the mail that IMAP has just stored
    ("nats", "nats", 4333, b"", "nats", [TOKEN], "hello"),
    ("postgresql", "postgres", 5433, bytes.fromhex("0000000804d2162f"), "postgres", [], "42"),
    ("redis", "redis", 6380, b"PING\r\n", "redis", [TOKEN], f"value of {TOKEN}"),
    ("nginx", "nginx", 8081, b"GET / HTTP/1.1\r\nHost: nginx\r\n\r\n", "http", [], "hello from nginx"),
]


def say(text):
    print(f"demo: {text}", file=sys.stderr, flush=True)


def hark(verb, *args, quiet=True, timeout=120):
    done = subprocess.run([HARK, verb, "-n", MESH, *args], stdin=subprocess.DEVNULL, timeout=timeout, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE if quiet else None)
    if done.returncode:
        raise RuntimeError(f"hark {verb} exited with {done.returncode}: {(done.stderr or '').strip()[-2000:]}")
    return done.stdout


def call(pod, function, *args):
    """A function of tests/clients.py, run in POD."""
    code = CLIENTS + f"\nprint(json.dumps({function}(*json.loads(sys.argv[1]))))\n"
    out = hark("exec", pod, "--", "python3", "-c", code, json.dumps(args))
    return json.loads(out.splitlines()[-1])


def median(values):
    """None when a connection gave nothing: a stall must not vanish in a median."""
    return None if not values or None in values else round(statistics.median(values), 2)


def plain_twin():
    """The example's text for the namespace `plain`, which has no sidecars."""
    text = "\n---\n".join(f.read_text() for f in sorted(EXAMPLE.glob("*.yaml")) if f.name != "namespace.yaml")
    moved = re.sub(r"^(\s*namespace:) shop$", r"\1 plain", text, flags=re.M)
    return "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: plain\n---\n" + moved


def measure(server, row):
    name, service, port, words, *_ = server
    direct, through = [], []
    for _ in range(ROUNDS):
        direct += call("plain/client", "first_byte", f"{service}.plain", port, words.hex(), COUNT)
        through += call("shop/client", "first_byte", f"{service}.shop", port, words.hex(), COUNT)
    row["direct_ms"], row["hark_ms"] = median(direct), median(through)


def act(server, row):
    """A real client does a real thing."""
    _, service, port, _, function, args, want = server
    try:
        answer = json.dumps(call("shop/client", function, f"{service}.shop", *args))
        row["ok"] = want in answer
        if not row["ok"]:
            say(f"{row['server']}: expected {want} in {answer}")
    except (RuntimeError, subprocess.TimeoutExpired) as e:
        say(f"{row['server']}: {e}")
        row["ok"] = False


def observed(rows):
    """What the client's sidecar says of the connections, in its access log. The line comes with a connection's end:
    wait for all of them."""
    wanted = {(f"{s[1]}.shop.svc.cluster.local", s[2]) for s in SERVERS}
    deadline = time.monotonic() + 10
    while True:
        seen = {key: [] for key in wanted}
        for line in hark("logs", "shop/client", "-c", "istio-proxy").splitlines():
            entry = json.loads(line) if line.startswith("{") else {}
            local = entry.get("downstream_local_address") or ":0"
            key = (entry.get("destination_service"), int(local.rsplit(":", 1)[1]))
            if key in seen:
                seen[key].append((entry["detected_protocol"], entry["first_bytes_from"]))
        if all(len(v) >= ROUNDS * COUNT for v in seen.values()) or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    for server, row in zip(SERVERS, rows):
        pairs = seen[(f"{server[1]}.shop.svc.cluster.local", server[2])]
        row["protocol"], row["spoke_first"] = statistics.mode(pairs) if pairs else (None, None)


def wait_for_the_client(rows, folder):
    """The same sidecars with `detection: client-first`."""
    path = folder / "client-first.yaml"
    path.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: istio\n  namespace: istio-system\n"
                    "data:\n  hark: |\n    detection: client-first\n")
    hark("apply", "-f", str(path))
    deadline = time.monotonic() + 10
    while json.loads(call("shop/client", "page", 15000, "/config")["body"])["mesh"]["detection"] != "client-first":
        if time.monotonic() > deadline:
            raise RuntimeError("the sidecar did not take over `detection: client-first`")
        time.sleep(0.05)

    def one(server, count):
        return median(call("shop/client", "first_byte", f"{server[1]}.shop", server[2], server[3].hex(), count,
                           CLIENT_FIRST_BOUND_S))

    silent = [i for i, s in enumerate(SERVERS) if not s[3]]
    for i, server in enumerate(SERVERS):
        if i not in silent:
            rows[i]["client_first_ms"] = one(server, ROUNDS * COUNT)
    with concurrent.futures.ThreadPoolExecutor() as pool:  # each of these waits out the bound
        for i, ms in zip(silent, pool.map(lambda i: one(SERVERS[i], 1), silent)):
            rows[i]["client_first_ms"] = ms


def table(rows):
    def ms(value):
        return "nothing came" if value is None else f"{value:.2f} ms"

    head = ("server", "port", "protocol", "spoke first", "direct", "with hark", f"waiting for the client", "")
    cells = [head] + [(r["server"], str(r["port"]), r["protocol"] or "?", r["spoke_first"] or "?", ms(r["direct_ms"]),
                       ms(r["hark_ms"]), ms(r["client_first_ms"]), "ok" if r["ok"] else "FAILED") for r in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    right = {1, 4, 5, 6}
    for row in cells:
        print("  ".join(c.rjust(w) if i in right else c.ljust(w)
                        for i, (c, w) in enumerate(zip(row, widths))).rstrip())


def run(folder):
    rows = [{"server": s[0], "port": s[2], "protocol": None, "spoke_first": None, "direct_ms": None, "hark_ms": None,
             "client_first_ms": None, "ok": False} for s in SERVERS]
    twin = folder / "plain.yaml"
    twin.write_text(plain_twin())
    say(f"starting {len(SERVERS)} servers and a client, once with sidecars and once without")
    hark("up", "-f", str(EXAMPLE), "-f", str(twin), "--detach", quiet=False)
    say("connecting: directly, and through two sidecars that nobody told any protocol")
    for server, row in zip(SERVERS, rows):
        say(f"  {server[0]}")
        act(server, row)
        measure(server, row)
    observed(rows)
    say(f"the same sidecars, now waiting for the client as other meshes do (at most {CLIENT_FIRST_BOUND_S} s each)")
    wait_for_the_client(rows, folder)
    for row in rows:
        row["ok"] = row["ok"] and None not in (row["hark_ms"], row["protocol"], row["spoke_first"])
    return rows


def stop(signum, frame):
    raise KeyboardInterrupt


def main():
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = run(pathlib.Path(folder))
    except (RuntimeError, subprocess.TimeoutExpired) as e:
        say(e)
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # taking the mesh down is not to be interrupted
        subprocess.run([HARK, "down", "-n", MESH], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=60, check=False)
    out = ROOT / "build" / "demo.json"
    out.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    table(rows)
    failed = [r["server"] for r in rows if not r["ok"]]
    say(f"failed: {', '.join(failed)}" if failed else f"every server worked; the same as JSON: {out.relative_to(ROOT)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
