"""Works with mutual TLS between two of the same proxy: messages, bulk, handshakes, a real greeting, memory."""
import functools
import os
import re
import subprocess
import tempfile
import time

import measure
import mtls_peers
import peers
import works
from mesh import Greeting

PASSES = 2  # AES passes over each byte: one proxy seals it, the other opens it


@functools.cache
def negotiated(resume):
    """{proxy: what it negotiates}, looked at on the wire; raises where they do not do the same work."""
    found = {}
    echo = works.load_server("echo")
    try:
        with tempfile.TemporaryDirectory(prefix="hark-bench-facts-") as scratch:
            for name, how in mtls_peers.table(resume).items():
                if isinstance(how, mtls_peers.Pair):
                    found[name] = mtls_peers.facts(name, how, scratch, echo.port)
    finally:
        echo.stop()
    found = {name: seen for name, seen in found.items() if seen}
    kinds = {(seen["version"], seen["cipher"], seen["group"]) for seen in found.values()}
    if len(kinds) != 1 or any((seen["resumed"] > 0) != resume for seen in found.values()):
        raise RuntimeError(f"the pairs do not do the same work: {found}")
    return found


def negotiated_text(resume):
    found = negotiated(resume)
    first = next(iter(found.values()))
    shares = ", ".join(f"{name} {seen['resumed']} of {seen['connections']}" for name, seen in found.items())
    return (f"Seen on the wire between each two: {first['version']}, {first['cipher']}, {first['group']}; clients without a certificate refused; "
            f"resumed, of a few connections one after the other: {shares}.")


def seconds_of(pids):
    """(user, system) CPU time of these processes so far."""
    user = system = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        user, system = user + int(fields[11]), system + int(fields[12])
    return user / os.sysconf("SC_CLK_TCK"), system / os.sysconf("SC_CLK_TCK")


class MtlsMessages(works.RequestResponse):
    def __init__(self, size, name):
        super().__init__(size, mtls_peers.relay_table(), name)

    def start(self):
        self.negotiated = negotiated_text(True)
        return super().start()


class MtlsBulk(works.Work):
    name = "mtls-bulk-1"
    about = ("1 one-way stream as fast as it goes, through a pair with mutual TLS; `aes_of_user` and `aes_of_cpu` are the share that the two AES passes, "
             "at the speed that `openssl speed` finds for the negotiated cipher (blocks of 16 KiB, one core, in the same round), have of the pair's user and of its whole CPU time")
    table = mtls_peers.relay_table()
    units = {"cpu_ms_per_gib": "ms", "user_ms_per_gib": "ms", "busy_ms_per_gib": "ms", "gib_per_cpu_s": "GiB/s", "aes_of_user": "1", "aes_of_cpu": "1", "gib_per_s": "GiB/s"}
    main = "cpu_ms_per_gib"

    def start(self):
        self.negotiated = negotiated_text(True)
        suite = next(iter(negotiated(True).values()))["cipher"]
        self.cipher = {"TLS_AES_128_GCM_SHA256": "aes-128-gcm", "TLS_AES_256_GCM_SHA384": "aes-256-gcm"}[suite]
        self.backend = works.load_server("source")
        return self.backend.port

    def aes_ms_per_gib(self):
        """CPU time of one pass."""
        out = subprocess.run(["openssl", "speed", "-evp", self.cipher, "-bytes", "16384", "-seconds", "1"], capture_output=True, text=True, check=True).stdout
        return (1 << 30) / float(re.search(r"([\d.]+)k\s*$", out).group(1))

    def measure(self, peer):
        aes = PASSES * self.aes_ms_per_gib()  # each time: what drifts, drifts for both
        before = seconds_of(peer.pids())
        meter = works.Meter(peer)
        got = works.load("bulk", f"127.0.0.1:{peer.port}", 1, works.SECONDS, "pull")
        cpu, busy = meter.read(1, 1e6)
        gib = got["bytes"] / (1 << 30)
        if not gib:
            raise RuntimeError(f"{peer.name}: nothing came")
        found = {"cpu_ms_per_gib": cpu / gib, "busy_ms_per_gib": busy / gib, "gib_per_s": got["bytes"] / (1 << 30) / got["seconds"]}
        if peer.pids():
            user = (seconds_of(peer.pids())[0] - before[0]) * 1000 / gib
            found.update(user_ms_per_gib=user, gib_per_cpu_s=1000 * gib / cpu, aes_of_user=aes / user, aes_of_cpu=aes * gib / cpu)
        return found


class MtlsHandshake(works.Work):
    units = {"cpu_us_per_unit": "us", "dial_us_per_unit": "us", "accept_us_per_unit": "us", "busy_us_per_unit": "us", "units_per_cpu_s": "1/s", "units_per_s": "1/s"}
    main = "cpu_us_per_unit"

    def __init__(self, resume):
        self.resume = resume
        self.name = "mtls-handshake" if resume else "mtls-handshake-full"
        self.about = ("connections, each with one exchange of 64 bytes, 8 at a time, through a pair with mutual TLS, "
                      + ("sessions resumed" if resume else "each with a full handshake") + "; CPU time of the pair, of the one that dials and of the one that accepts")
        self.table = mtls_peers.table(resume)

    def start(self):
        self.negotiated = negotiated_text(self.resume)
        self.backend = works.load_server("echo")
        return self.backend.port

    def measure(self, peer):
        before = [measure.cpu_ns(pids) for pids in peer.each()]
        meter = works.Meter(peer)
        got = works.load("conn", f"127.0.0.1:{peer.port}", 8, 64, works.SECONDS)
        cpu, busy = meter.read(got["units"])
        if got["errors"]:
            raise RuntimeError(f"{peer.name}: {got['errors']} errors")
        found = {"cpu_us_per_unit": cpu, "busy_us_per_unit": busy, "units_per_s": got["units"] / got["seconds"]}
        if peer.pids():
            accept, dial = [(measure.cpu_ns(pids) - was) / 1000 / got["units"] for pids, was in zip(peer.each(), before)]
            found.update(dial_us_per_unit=dial, accept_us_per_unit=accept, units_per_cpu_s=1e6 / cpu)
        return found


class MtlsGreeting(Greeting):
    def __init__(self, resume):
        self.resume = resume
        self.name = "greet-mtls" if resume else "greet-mtls-full"
        self.about = ("time to first byte of a real MariaDB's greeting on an undeclared port, through a pair with mutual TLS, "
                      + ("sessions resumed" if resume else "each with a full handshake"))
        self.table = mtls_peers.greet_table(resume)

    def start(self):
        self.negotiated = negotiated_text(self.resume)
        return super().start()


class MtlsIdleMemory(works.Work):
    name = "mem-idle-mtls"
    units = {"bytes_per_conn": "B", "dial_bytes_per_conn": "B", "accept_bytes_per_conn": "B"}
    main = "bytes_per_conn"
    fresh = True

    def __init__(self):
        self.conns = min(2000, peers.MAX_CONNS)
        self.about = (f"memory that each of {self.conns:,} idle connections through a pair with mutual TLS costs one proxy: "
                      "the mean of the two, the one that dials, the one that accepts")
        self.table = {name: how for name, how in mtls_peers.table(True).items() if name != "direct"}

    def start(self):
        self.negotiated = negotiated_text(True)
        self.backend = works.load_server("sink")
        return self.backend.port

    def measure(self, peer):
        empty = [sum(measure.memory_kib([pid])[1] for pid in pids) for pids in peer.each()]
        n = self.conns if works.SECONDS >= 1 else 500
        with subprocess.Popen([works.LOAD, "idle", f"127.0.0.1:{peer.port}", str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            opened = int(holder.stdout.readline().split()[1])
            deadline = time.monotonic() + 60  # the last handshakes
            while (through := measure.established(self.backend.port)) < n and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(2.5)  # session tickets on their way, and what a crowd's handshakes took on its way back
            full = [sum(measure.memory_kib([pid])[1] for pid in pids) for pids in peer.each()]
            holder.stdin.close()
            holder.wait()
        if min(opened, through) < n:
            raise RuntimeError(f"{peer.name}: only {min(opened, through)} of {n} connections")
        accept, dial = [(after - before) * 1024 / n for before, after in zip(empty, full)]
        return {"bytes_per_conn": (accept + dial) / 2, "dial_bytes_per_conn": dial, "accept_bytes_per_conn": accept}


def mtls_works():
    return [MtlsMessages(64, "mtls-rr-64"), MtlsMessages(1024, "mtls-rr-1k"), MtlsBulk(), MtlsHandshake(True), MtlsHandshake(False),
            MtlsGreeting(True), MtlsGreeting(False), MtlsIdleMemory()]
