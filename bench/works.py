"""The work that is measured. A work prepares its backend, then measures one peer for a moment; rounds and medians are bench.py's."""
import json
import os
import subprocess
import time

import measure
import peers

LOAD = None  # set by prepare()
SECONDS = 1.0


def prepare(seconds):
    global LOAD, SECONDS
    LOAD = str(peers.BUILD / "bench/load")
    SECONDS = seconds


def load(*args, timeout=120, **kw):
    out = subprocess.run([LOAD, *map(str, args)], capture_output=True, text=True, timeout=timeout, **kw)
    if not out.stdout.strip():
        raise RuntimeError(f"load {args}: {out.stderr.strip()}")
    return json.loads(out.stdout.strip().split("\n")[-1])


class Backend:
    """One server behind the proxies, started once for a work."""

    def __init__(self, argv, port):
        self.port = port
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peers.wait_port(port, self.process)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def load_server(mode):
    port = peers.free_port()
    return Backend([LOAD, "serve", str(port), mode], port)


class Meter:
    """CPU time of a peer's processes and of the whole machine around a piece of work."""

    def __init__(self, peer):
        self.pids = peer.pids()
        self.cpu, self.busy = measure.cpu_ns(self.pids), measure.busy_ns()

    def read(self, units, per=1000):
        """({cpu per unit}, busy per unit), in nanoseconds / PER."""
        cpu = measure.cpu_ns(self.pids) - self.cpu
        busy = measure.busy_ns() - self.busy
        return cpu / per / max(units, 1), busy / per / max(units, 1)


class Work:
    """name, what it is, the peers' table, and measure(peer) -> {metric: value}. `busy_*` is made relative to direct by bench.py."""

    name = about = ""
    table = peers.TCP
    backend = None
    negotiated = None  # what the peers agreed on, where they speak TLS
    units = {}
    main = None  # the metric that the ratio is about
    fresh = False  # peers are started anew for each round

    def start(self):
        raise NotImplementedError

    def ready(self, peer):
        """Once for each peer, before anything is measured."""

    def stop(self):
        if self.backend:
            self.backend.stop()


class RequestResponse(Work):
    units = {"cpu_us_per_unit": "us", "busy_us_per_unit": "us", "units_per_s": "1/s", "p50_us": "us", "p99_us": "us", "p999_us": "us"}
    main = "cpu_us_per_unit"
    rate = 4000

    def __init__(self, size, table=peers.TCP, name=None):
        self.size, self.table = size, table
        self.name = name or f"rr-{size if size < 1024 else f'{size // 1024}k'}"
        self.about = f"requests and answers of {size} bytes over 16 open TCP connections" + (" through a pair with mutual TLS" if name else "")

    def start(self):
        self.backend = load_server("echo")
        return self.backend.port

    def measure(self, peer):
        to = f"127.0.0.1:{peer.port}"
        meter = Meter(peer)
        full = load("rr", to, 16, self.size, SECONDS)
        cpu, busy = meter.read(full["units"])
        paced = load("rr", to, 16, self.size, SECONDS, self.rate)
        if full["errors"] or paced["errors"]:
            raise RuntimeError(f"{peer.name}: {full['errors'] + paced['errors']} errors")
        return {"cpu_us_per_unit": cpu, "busy_us_per_unit": busy, "units_per_s": full["units"] / full["seconds"],
                "p50_us": paced["p50_us"], "p99_us": paced["p99_us"], "p999_us": paced["p999_us"]}


class Bulk(Work):
    units = {"cpu_ms_per_gib": "ms", "busy_ms_per_gib": "ms", "gib_per_s": "GiB/s"}
    main = "cpu_ms_per_gib"

    def __init__(self, streams):
        self.streams = streams
        self.name = f"bulk-{streams}"
        self.about = f"{streams} one-way stream{'s' if streams > 1 else ''}, as fast as it goes"

    def start(self):
        self.backend = load_server("source")
        return self.backend.port

    def measure(self, peer):
        meter = Meter(peer)
        got = load("bulk", f"127.0.0.1:{peer.port}", self.streams, SECONDS, "pull")
        gib = got["bytes"] / (1 << 30)
        if not gib:
            raise RuntimeError(f"{peer.name}: nothing came")
        cpu, busy = meter.read(1, 1e6)
        return {"cpu_ms_per_gib": cpu / gib, "busy_ms_per_gib": busy / gib, "gib_per_s": gib / got["seconds"]}


class Connections(Work):
    units = {"cpu_us_per_unit": "us", "busy_us_per_unit": "us", "units_per_s": "1/s"}
    main = "cpu_us_per_unit"

    name = "conn"
    about = "connections, each with one exchange of 64 bytes, 8 at a time"

    def start(self):
        self.backend = load_server("echo")
        return self.backend.port

    def measure(self, peer):
        meter = Meter(peer)
        got = load("conn", f"127.0.0.1:{peer.port}", 8, 64, SECONDS)
        cpu, busy = meter.read(got["units"])
        return {"cpu_us_per_unit": cpu, "busy_us_per_unit": busy, "units_per_s": got["units"] / got["seconds"]}


class Http(Work):
    units = {"cpu_us_per_unit": "us", "busy_us_per_unit": "us", "units_per_s": "1/s"}
    main = "cpu_us_per_unit"

    def __init__(self, version):
        self.version = version
        self.name = f"http{version}"
        self.table = peers.HTTP1 if version == 1 else peers.HTTP2
        self.about = f"GET of 1 KiB over HTTP/{'1.1' if version == 1 else '2'}, 16 connections kept alive"

    def start(self):
        peer = peers.Peer("origin", os.environ["BENCH_SCRATCH"])
        port, h2 = peers.free_port(), peers.free_port()
        path = peer.config("nginx-origin.conf", LISTEN=port, LISTEN_H2=h2, BODY="x" * 1024)
        peer.spawn(["nginx", "-c", path, "-p", str(peer.scratch)], port)
        self.backend = peer
        return port if self.version == 1 else h2

    def measure(self, peer):
        meter = Meter(peer)
        argv = ["h2load", "-c", "16", "-t", "1", "-D", str(max(1, int(SECONDS))), f"http://127.0.0.1:{peer.port}/"]
        argv[1:1] = ["--h1"] if self.version == 1 else ["-m", "8"]
        begin = time.monotonic()
        out = subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout
        seconds = max(1, int(SECONDS)) if "finished" in out else time.monotonic() - begin
        done = next(line for line in out.split("\n") if line.startswith("requests:")).split()
        ok = int(done[7])
        if not ok:
            raise RuntimeError(f"{peer.name}: no request succeeded: {out[-300:]}")
        cpu, busy = meter.read(ok)
        return {"cpu_us_per_unit": cpu, "busy_us_per_unit": busy, "units_per_s": ok / seconds}


class IdleMemory(Work):
    name = "mem-idle"
    units = {"rss_kib": "KiB", "private_kib": "KiB", "bytes_per_conn": "B"}
    main = "bytes_per_conn"
    fresh = True

    def __init__(self):
        self.about = f"memory with no connection, and with {peers.MAX_CONNS} idle ones: what each costs the process"

    def start(self):
        self.backend = load_server("sink")
        return self.backend.port

    def measure(self, peer):
        if not peer.pids():
            return {"rss_kib": 0.0, "private_kib": 0.0, "bytes_per_conn": 0.0}
        rss, private = map(sum, zip(*[measure.memory_kib([pid]) for pid in peer.pids()]))
        with subprocess.Popen([LOAD, "idle", f"127.0.0.1:{peer.port}", str(peers.MAX_CONNS)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as holder:
            n = int(holder.stdout.readline().split()[1])
            time.sleep(0.3)  # the proxy's side of the last ones
            _, full = map(sum, zip(*[measure.memory_kib([pid]) for pid in peer.pids()]))
            holder.stdin.close()
            holder.wait()
        if n < peers.MAX_CONNS * 0.99:
            raise RuntimeError(f"{peer.name}: only {n} connections")
        return {"rss_kib": rss, "private_kib": private, "bytes_per_conn": (full - private) * 1024 / n}


def all_works():
    from dns import DNS_WORKS
    from mesh import MESH_WORKS  # needs root and `hark up`
    from mtls import mtls_works

    return [RequestResponse(64), RequestResponse(1024), Bulk(1), Bulk(8), Connections(), Http(1), Http(2),
            IdleMemory(), *mtls_works(), *[work() for work in [*MESH_WORKS, *DNS_WORKS]]]
