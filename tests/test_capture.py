"""`hark capture` in a network namespace of its own: where does each connection really arrive? Rows name the rules of Istio's table."""

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import time

import pytest

from conftest import HARK, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
SO_ORIGINAL_DST = 80
SOL_IPV6 = 41
APP, PROXY = (1000, 1000), (1337, 1337)
ONLY_GROUP = (1000, 1337)

POD = {4: "10.77.0.2", 6: "fd77::2"}
PEER = {4: "10.77.0.1", 6: "fd77::1"}
FAR = {4: "10.78.0.1", 6: "fd78::1"}  # also the peer, by another range
LOCAL = {4: "127.0.0.1", 6: "::1"}
MAGIC = {4: "127.0.0.6", 6: "::6"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


class Namespace:
    """A network namespace, held by a process that sleeps in it."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        mine = os.readlink("/proc/self/ns/net")
        wait_for(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != mine, what="the namespace")
        self.fd = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY)

    def run(self, *argv, check=True):
        return subprocess.run(["nsenter", "-t", str(self.holder.pid), "-n", *argv], check=check, capture_output=True,
                              text=True, timeout=20)

    def ip(self, lines):
        subprocess.run(["nsenter", "-t", str(self.holder.pid), "-n", "ip", "-batch", "-"], check=True, input=lines,
                       text=True, timeout=20)

    def socket(self, family, kind, owner=(0, 0)):
        """A socket of this namespace that belongs to OWNER (uid, gid)."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            assert LIBC.setns(self.fd, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            os.setegid(owner[1])
            os.seteuid(owner[0])
            return socket.socket(family, kind)
        finally:
            os.seteuid(0)
            os.setegid(0)
            assert LIBC.setns(home, CLONE_NEWNET) == 0
            os.close(home)

    def close(self):
        os.close(self.fd)
        self.holder.kill()
        self.holder.wait()


class World:
    """A Pod with a listener for the sidecar and for the application, and a peer on the other end of its cable."""

    PORTS = {"in": 15006, "out": 15001, "app": 8080, "app2": 9000, "tunnel": 15008, "status": 15020, "health": 15021,
             "metrics": 15090}

    def __init__(self):
        self.pod, self.peer = Namespace(), Namespace()
        self.pod.ip("link set lo up\n")
        self.peer.ip("link set lo up\n"
                     f"link add eth0 type veth peer name eth0 netns {self.pod.holder.pid}\n"
                     "link set eth0 up\n"
                     "addr add 10.77.0.1/24 dev eth0\naddr add fd77::1/64 dev eth0 nodad\n"
                     "addr add 10.78.0.1/32 dev lo\naddr add fd78::1/128 dev lo nodad\n")
        self.pod.ip("link set eth0 up\n"
                    "addr add 10.77.0.2/24 dev eth0\naddr add fd77::2/64 dev eth0 nodad\n"
                    "route add default via 10.77.0.1\nroute add default via fd77::1\n")
        self.listeners = {name: self.listen(self.pod, port) for name, port in self.PORTS.items()}
        self.listeners["peer"] = self.listen(self.peer, 8080)
        self.listeners["peer2"] = self.listen(self.peer, 9000)

    @staticmethod
    def listen(ns, port):
        s = ns.socket(socket.AF_INET6, socket.SOCK_STREAM)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("::", port))
        s.listen(64)
        s.setblocking(False)
        return s

    def capture(self, *argv, check=True):
        return self.pod.run(HARK, "capture", *argv, check=check)

    def arrival(self, ns, to, owner=(0, 0), source=None):
        """Name of the listener that a connection to TO reaches, and where it was going when it was redirected."""
        version = 6 if ":" in to[0] else 4
        with ns.socket(FAMILY[version], socket.SOCK_STREAM, owner) as client:
            client.settimeout(5)
            if source:
                client.bind((source, 0))
            try:
                client.connect(to)
            except OSError as e:
                return type(e).__name__, None
            mine = client.getsockname()
            for name, listener in self.listeners.items():
                with contextlib.suppress(BlockingIOError):
                    conn, who = listener.accept()
                    with conn:
                        assert who[1] == mine[1], "an older connection was left over"
                        return name, self.original(conn)
        raise AssertionError("connected to nobody")

    @staticmethod
    def original(conn):
        for level, family, where in ((socket.IPPROTO_IP, socket.AF_INET, slice(4, 8)), (SOL_IPV6, socket.AF_INET6, slice(8, 24))):
            with contextlib.suppress(OSError):
                raw = conn.getsockopt(level, SO_ORIGINAL_DST, 28)
                return socket.inet_ntop(family, raw[where]), struct.unpack("!H", raw[2:4])[0]
        return None

    def close(self):
        for s in self.listeners.values():
            s.close()
        self.pod.close()
        self.peer.close()


@pytest.fixture(scope="module")
def world():
    w = World()
    yield w
    w.close()


@pytest.fixture(autouse=True)
def clean(world):
    yield
    world.capture("clean")


# rule, flags, from where, owner, source, destination, port, arrives at
ROWS = [
    ("O14: what the application dials goes to the sidecar", [], "pod", APP, None, PEER, 8080, "out"),
    ("O14: root is an application too", [], "pod", (0, 0), None, PEER, 8080, "out"),
    ("O14: a port where nobody listens is captured all the same", [], "pod", APP, None, PEER, 1, "out"),
    ("O5: the proxy's own, by user", [], "pod", PROXY, None, PEER, 8080, "peer"),
    ("O8: the proxy's own, by group", [], "pod", ONLY_GROUP, None, PEER, 8080, "peer"),
    ("O2: the proxy to its application, from 127.0.0.6", [], "pod", PROXY, MAGIC, POD, 8080, "app"),
    ("O2: a probe from 127.0.0.6, by anybody", [], "pod", (0, 0), MAGIC, POD, 8080, "app"),
    ("O3: a self-call through the own VIP passes the inbound side", [], "pod", PROXY, None, POD, 8080, "in"),
    ("O3: but not the mesh tunnel", [], "pod", PROXY, None, POD, 15008, "tunnel"),
    ("O4: the application to its own Pod's address", [], "pod", APP, None, POD, 8080, "app"),
    ("O11: localhost", [], "pod", APP, None, LOCAL, 8080, "app"),
    ("O5: the proxy to localhost", [], "pod", PROXY, None, LOCAL, 8080, "app"),
    ("O1: excluded outbound port", ["-o", "9000"], "pod", APP, None, PEER, 9000, "peer2"),
    ("O1: and only that", ["-o", "9000"], "pod", APP, None, PEER, 8080, "out"),
    ("O1: before the self-call", ["-o", "8080"], "pod", PROXY, None, POD, 8080, "app"),
    ("O12: excluded range", ["-x", "10.78.0.0/16,fd78::/64"], "pod", APP, None, FAR, 8080, "peer"),
    ("O12: and only that", ["-x", "10.78.0.0/16,fd78::/64"], "pod", APP, None, PEER, 8080, "out"),
    ("O12: before included ports (O13)", ["-x", "10.78.0.0/16,fd78::/64", "-q", "8080"], "pod", APP, None, FAR, 8080, "peer"),
    ("O14: included range", ["-i", "10.78.0.0/16,fd78::/64"], "pod", APP, None, FAR, 8080, "out"),
    ("O14: and only that", ["-i", "10.78.0.0/16,fd78::/64"], "pod", APP, None, PEER, 8080, "peer"),
    ("O14: none included", ["-i", ""], "pod", APP, None, PEER, 8080, "peer"),
    ("O13: included port outside the ranges", ["-i", "", "-q", "9000"], "pod", APP, None, PEER, 9000, "out"),
    ("U1: excluded interface", ["-c", "eth0"], "pod", APP, None, PEER, 8080, "peer"),
    ("I3: what comes in goes to the sidecar", [], "peer", (0, 0), None, POD, 8080, "in"),
    ("I3: a port where nobody listens, too", [], "peer", (0, 0), None, POD, 1, "in"),
    ("I1: mesh tunnel", [], "peer", (0, 0), None, POD, 15008, "tunnel"),
    ("I2: status port", [], "peer", (0, 0), None, POD, 15020, "status"),
    ("I2: status port moved", ["--status-port", "9000"], "peer", (0, 0), None, POD, 9000, "app2"),
    ("I2: health", [], "peer", (0, 0), None, POD, 15021, "health"),
    ("I2: metrics", [], "peer", (0, 0), None, POD, 15090, "metrics"),
    ("I2: excluded inbound port", ["-d", "22,8080"], "peer", (0, 0), None, POD, 8080, "app"),
    ("I2: and only that", ["-d", "22,8080"], "peer", (0, 0), None, POD, 9000, "in"),
    ("I3': included inbound ports", ["-b", "8080"], "peer", (0, 0), None, POD, 8080, "in"),
    ("I3': and only those", ["-b", "8080"], "peer", (0, 0), None, POD, 9000, "app2"),
    ("P2: no inbound port", ["-b", ""], "peer", (0, 0), None, POD, 8080, "app"),
    ("P1: excluded interface", ["-c", "eth0"], "peer", (0, 0), None, POD, 8080, "app"),
    ("P0: rerouted interface: inbound counts as outbound", ["-k", "eth0"], "peer", (0, 0), None, POD, 8080, "out"),
    ("mode NONE", ["-m", "NONE"], "pod", APP, None, PEER, 8080, "peer"),
]


@pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("flags,side,owner,source,to,port,arrives", [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_where_it_arrives(world, version, flags, side, owner, source, to, port, arrives):
    world.capture("apply", *flags)
    got, original = world.arrival(getattr(world, side), (to[version], port), owner, source and source[version])
    assert got == arrives
    if got in ("in", "out"):
        assert original == (to[version], port)


def test_loopback_range_asked_for_by_name(world):
    world.capture("apply", "-i", "127.0.0.2/32")
    assert world.arrival(world.pod, ("127.0.0.2", 8080), APP) == ("out", ("127.0.0.2", 8080))
    assert world.arrival(world.pod, ("127.0.0.1", 8080), APP)[0] == "app"


def test_other_ports_and_another_owner(world):
    world.capture("apply", "-p", "9000", "-z", "8080", "-u", "1500", "-g", "1500")
    assert world.arrival(world.pod, (PEER[4], 8080), PROXY)[0] == "app2"
    assert world.arrival(world.pod, (PEER[4], 8080), (1500, 0))[0] == "peer"
    assert world.arrival(world.peer, (POD[4], 15006))[0] == "app"


def rules(world):
    return world.pod.run("nft", "-s", "list", "ruleset").stdout


def test_apply_again_and_clean(world):
    world.capture("apply", "--dns", "-x", "10.0.0.0/8,10.1.0.0/16", "-d", "22,22")
    first = rules(world)
    assert "hark-nat" in first and "hark-raw" in first
    world.capture("apply", "--dns", "-x", "10.0.0.0/8,10.1.0.0/16", "-d", "22,22")
    assert rules(world) == first
    world.capture("apply")
    assert "hark-raw" not in rules(world)
    world.capture("clean")
    assert rules(world) == ""
    assert "::6" not in world.pod.run("ip", "addr", "show", "dev", "lo").stdout
    world.capture("clean")
    assert world.arrival(world.pod, (PEER[4], 8080), APP)[0] == "peer"


def test_rules_of_others_stay(world):
    world.pod.run("nft", "add table inet other")
    world.capture("apply")
    world.capture("clean")
    assert rules(world) == "table inet other {\n}\n"
    world.pod.run("nft", "delete table inet other")


def test_open_connections_are_not_disturbed(world):
    with world.pod.socket(socket.AF_INET, socket.SOCK_STREAM, APP) as before, \
            world.pod.socket(socket.AF_INET, socket.SOCK_STREAM, APP) as during:
        before.connect((PEER[4], 8080))
        far_before, _ = world.listeners["peer"].accept()
        world.capture("apply")
        during.connect((PEER[4], 8080))
        far_during, _ = world.listeners["out"].accept()
        # Without rules nobody translates the addresses of a redirected connection any more, so clean() is its end.
        for action, alive in (("apply", [(before, far_before), (during, far_during)]), ("clean", [(before, far_before)])):
            world.capture(action)
            for near, far in alive:
                far.settimeout(5)
                near.settimeout(5)
                near.sendall(b"ping")
                assert far.recv(4) == b"ping"
                far.sendall(b"pong")
                assert near.recv(4) == b"pong"
        far_before.close()
        far_during.close()


@pytest.fixture
def dns(world):
    """The sidecar's resolver (answers "sidecar") and the real one at the peer (answers "real"), by IP version. The sidecar's
    binds to loopback: bound to the wildcard it would answer from another address than the one it was redirected to."""
    servers = {}
    for name, ns, owner, port, where in (("sidecar", world.pod, PROXY, 15053, LOCAL), ("real", world.peer, (0, 0), 53, PEER)):
        for version in 4, 6:
            s = ns.socket(FAMILY[version], socket.SOCK_DGRAM, owner)
            s.bind((where[version], port))
            s.settimeout(5)
            servers[name, version] = s
    yield servers
    for s in servers.values():
        s.close()


def ask(world, dns, by, to, owner=APP, port=0):
    """Sends a question to TO:53, has server BY answer it, and gives the answer back."""
    version = 6 if ":" in to else 4
    server = dns[by, version]
    with world.pod.socket(FAMILY[version], socket.SOCK_DGRAM, owner) as client:
        client.settimeout(5)
        client.bind(("", port))
        client.sendto(b"question", (to, 53))
        data, who = server.recvfrom(100)
        assert data == b"question"
        server.sendto(by.encode(), who)
        answer, sender = client.recvfrom(100)
        assert sender[:2] == (to, 53), "the answer comes from whom was asked"
        return answer.decode()


@pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])
def test_dns(world, dns, version):
    assert ask(world, dns, "real", PEER[version]) == "real"
    world.capture("apply", "--dns")
    assert ask(world, dns, "sidecar", PEER[version]) == "sidecar"
    assert ask(world, dns, "real", PEER[version], PROXY) == "real"
    world.capture("apply", "--dns", "-o", "53")
    assert ask(world, dns, "real", PEER[version]) == "real"
    world.capture("apply", "--dns", "-x", "10.77.0.0/16,fd77::/64")
    assert ask(world, dns, "real", PEER[version]) == "real"
    world.capture("apply", "--dns", "--dns-server", FAR[version])
    assert ask(world, dns, "real", PEER[version]) == "real"
    assert ask(world, dns, "sidecar", FAR[version]) == "sidecar"


def test_dns_from_one_port_by_both(world, dns):
    """Application and sidecar happen to ask the same server from the same port: zones keep the two apart."""
    world.capture("apply", "--dns")
    for _ in range(3):
        assert ask(world, dns, "sidecar", PEER[4], APP, 40000) == "sidecar"
        assert ask(world, dns, "real", PEER[4], PROXY, 40000) == "real"


def test_dns_over_tcp_and_to_localhost(world, dns):
    world.listeners["dns"] = World.listen(world.pod, 15053)
    try:
        world.capture("apply", "--dns")
        assert world.arrival(world.pod, (PEER[4], 53), APP) == ("dns", (PEER[4], 53))
        assert world.arrival(world.pod, ("127.0.0.53", 53), APP) == ("dns", ("127.0.0.53", 53))
        assert ask(world, dns, "sidecar", "127.0.0.53") == "sidecar"
    finally:
        world.listeners.pop("dns").close()


def test_udp_is_left_alone(world):
    world.capture("apply")
    with world.peer.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, \
            world.pod.socket(socket.AF_INET, socket.SOCK_DGRAM, APP) as client:
        server.bind((PEER[4], 8080))
        server.settimeout(5)
        client.sendto(b"x", (PEER[4], 8080))
        assert server.recv(10) == b"x"


BAD = [
    (["-u", "0"], "the proxy cannot be uid or gid 0"),
    (["-d", "80,x"], '--exclude-inbound: "x" is not a port'),
    (["-x", "*"], '--exclude-ranges: "*" is not an address range'),
    (["-i", "10.0.0.0/33"], '--ranges: "10.0.0.0/33" is not an address range'),
    (["-c", 'eth0" accept'], "is not the name of a network interface"),
    (["-m", "TPROXY"], "TPROXY is not offered"),
    (["-p", "0"], "--outbound-port: 0 is not a port"),
    (["--dns-server", "example.com"], '"example.com" is not an IP address'),
]


@pytest.mark.parametrize("flags,text", BAD, ids=[" ".join(b[0]) for b in BAD])
def test_bad_settings_change_nothing(world, flags, text):
    world.capture("apply", "-d", "22")
    before = rules(world)
    done = world.capture("apply", *flags, check=False)
    assert done.returncode != 0 and text in done.stderr
    assert rules(world) == before


def test_print(world):
    printed = world.capture("print", "-d", "22").stdout
    assert "tcp dport { 22 }" in printed
    assert rules(world) == "", "print changes nothing"
    assert world.capture("print", "--now").stdout == ""
    world.capture("apply", "-d", "22")
    assert "I2: excluded ports" in world.capture("print", "--now").stdout


def test_apply_is_quick(world):
    start = time.monotonic()
    world.capture("apply", "--dns")
    assert time.monotonic() - start < 5  # a hang, and not a measurement
