#!/usr/bin/env python3
"""The main job, on real servers: `./dev demo`.

Brings up examples/server-first twice in one mesh, in the namespace `shop` with sidecars and in `plain` without,
and measures the time from connect to the first byte directly; through two sidecars with mutual TLS between them, in a mesh that
is PERMISSIVE (the default) and in one that is STRICT; and through the same sidecars set to wait for the client as other meshes
do. Prints one row per server, writes build/demo.json, and exits 0 only if every server worked both ways, and over mutual TLS as
the sidecars' access logs tell it. Standard library only.
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
TOKEN = "{token}"  # a word of its own for each run of the action
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


def measure_direct(server):
    name, service, port, words, *_ = server
    return call("plain/client", "first_byte", f"{service}.plain", port, words.hex(), COUNT)


def measure_hark(server):
    name, service, port, words, *_ = server
    return call("shop/client", "first_byte", f"{service}.shop", port, words.hex(), COUNT)


def act(server, mode):
    """A real client does a real thing; did it work?"""
    name, service, _, _, function, args, want = server
    token = f"demo{os.getpid()}{mode.lower()}"
    args, want = [a.format(token=token) for a in args], want.format(token=token)
    try:
        answer = json.dumps(call("shop/client", function, f"{service}.shop", *args))
    except (RuntimeError, subprocess.TimeoutExpired) as e:
        say(f"{name}, {mode}: {e}")
        return False
    if want not in answer:
        say(f"{name}, {mode}: expected {want} in {answer}")
    return want in answer


def use(mode, rows):
    """Every server once for real, and for its times: directly and through hark by turns, so that a busy moment of the machine
    hits both."""
    for server, row in zip(SERVERS, rows):
        say(f"  {server[0]}")
        row["ok"] = act(server, mode) and row["ok"]
        direct, through = [], []
        for _ in range(ROUNDS):
            if row["direct_ms"] is None:
                direct += measure_direct(server)
            through += measure_hark(server)
        row["direct_ms"] = row["direct_ms"] or median(direct)
        row[f"{mode.lower()}_ms"] = median(through)


def sidecars():
    pods = json.loads(hark("get", "pods", "-o", "json"))["items"]
    return [f"shop/{p['metadata']['name']}" for p in pods if p["metadata"]["namespace"] == "shop"]


def config(pod):
    return json.loads(call(pod, "page", 15000, "/config")["body"])


def until(condition, what):
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come within 10 s")
        time.sleep(0.05)


def be_strict(folder, strict):
    """A PeerAuthentication for the whole mesh, or none."""
    path = folder / "strict.yaml"
    path.write_text("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: default\n  namespace: istio-system\n"
                    "spec:\n  mtls:\n    mode: STRICT\n")
    hark("apply" if strict else "delete", "-f", str(path))
    for pod in sidecars():
        until(lambda p=pod: config(p)["counts"]["peerauthentications"] == int(strict), f"the PeerAuthentication at {pod}")


def access_log(pod):
    lines = hark("logs", pod, "-c", "istio-proxy").splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return [e for e in entries if "bytes_sent" in e]


def to_servers():
    """The client's sidecar's lines, by Service and port. A line comes with a connection's end: all of them are waited for."""
    seen = {}

    def complete():
        seen.update({(f"{s[1]}.shop.svc.cluster.local", s[2]): [] for s in SERVERS})
        for e in access_log("shop/client"):
            key = (e["destination_service"], int((e["downstream_local_address"] or ":0").rsplit(":", 1)[1]))
            if key in seen:
                seen[key].append(e)
        return all(len(lines) >= 2 * ROUNDS * COUNT for lines in seen.values())

    until(complete, "the access log of all connections")
    return seen


def observed(rows):
    """What the sidecars say of the connections: protocol, who spoke first, and whether all were mutual TLS at both ends."""
    seen = to_servers()
    arrived = [e for pod in sidecars() for e in access_log(pod) if e["side"] == "inbound" and e["source_workload"] == "shop/client"]
    for server, row in zip(SERVERS, rows):
        host = f"{server[1]}.shop.svc.cluster.local"
        lines = seen[host, server[2]]
        pairs = [(e["detected_protocol"], e["first_bytes_from"]) for e in lines]
        row["protocol"], row["spoke_first"] = statistics.mode(pairs)
        there = [e for e in arrived if e["destination_service"] in (host, None)]  # None: FTP's connections for data
        row["mtls"] = bool(there) and all(e["connection_security_policy"] == "mutual_tls" for e in lines + there)
        if not row["mtls"]:
            say(f"{row['server']}: not every connection was mutual TLS")


def wait_for_the_client(rows, folder):
    """The same sidecars with `detection: client-first`."""
    path = folder / "client-first.yaml"
    path.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: istio\n  namespace: istio-system\n"
                    "data:\n  hark: |\n    detection: client-first\n")
    hark("apply", "-f", str(path))
    until(lambda: config("shop/client")["mesh"]["detection"] == "client-first", "`detection: client-first` at the sidecar")

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

    head = ("server", "port", "protocol", "spoke first", "direct", "mTLS PERMISSIVE", "mTLS STRICT", "waiting for the client", "")
    cells = [head] + [(r["server"], str(r["port"]), r["protocol"] or "?", r["spoke_first"] or "?", ms(r["direct_ms"]),
                       ms(r["permissive_ms"]), ms(r["strict_ms"]), ms(r["client_first_ms"]), "ok" if r["ok"] else "FAILED") for r in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    right = {1, 4, 5, 6, 7}
    for row in cells:
        print("  ".join(c.rjust(w) if i in right else c.ljust(w)
                        for i, (c, w) in enumerate(zip(row, widths))).rstrip())


def run(folder):
    rows = [{"server": s[0], "port": s[2], "protocol": None, "spoke_first": None, "mtls": False, "direct_ms": None,
             "permissive_ms": None, "strict_ms": None, "client_first_ms": None, "ok": True} for s in SERVERS]
    twin = folder / "plain.yaml"
    twin.write_text(plain_twin())
    say(f"starting {len(SERVERS)} servers and a client, once with sidecars and once without")
    hark("up", "-f", str(EXAMPLE), "-f", str(twin), "--detach", quiet=False)
    say("connecting: directly, and through two sidecars with mutual TLS that nobody told any protocol")
    use("PERMISSIVE", rows)
    say("the same in a mesh that is STRICT")
    be_strict(folder, True)
    use("STRICT", rows)
    observed(rows)
    be_strict(folder, False)
    say(f"the same sidecars, now waiting for the client as other meshes do (at most {CLIENT_FIRST_BOUND_S} s each)")
    wait_for_the_client(rows, folder)
    for row in rows:
        row["ok"] = row["ok"] and row["mtls"] and None not in (row["permissive_ms"], row["strict_ms"])
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
