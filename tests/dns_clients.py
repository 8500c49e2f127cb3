"""What DNS tests run in Pods (conftest.Mesh.call): this module stands alone."""

import json  # the caller prints with it
import socket
import struct
import sys
import time


def addresses(host, family="any"):
    """As programs ask: getaddrinfo, with the search domains of resolv.conf."""
    kind = {"any": socket.AF_UNSPEC, "4": socket.AF_INET, "6": socket.AF_INET6}[family]
    try:
        return sorted({entry[4][0] for entry in socket.getaddrinfo(host, None, kind, socket.SOCK_STREAM)})
    except socket.gaierror as e:
        return e.strerror


def question(name, ident=7, kind=1):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">HHHHHH", ident, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def read_frame(s):
    def exactly(n):
        out = b""
        while len(out) < n:
            more = s.recv(n - len(out))
            if not more:
                raise EOFError
            out += more
        return out
    return exactly(struct.unpack(">H", exactly(2))[0])


def raw(server, messages, timeout):
    """Sends each message (hex) as a datagram of its own; the answers that come, as hex, until one has the ID ffff."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(timeout)
        s.connect((server, 53))
        for m in messages:
            s.send(bytes.fromhex(m))
        s.send(question("db.shop", 0xffff))
        out = []
        while True:
            got = s.recv(4096)
            if got[:2] == b"\xff\xff":
                return out
            out.append(got.hex())


def pipelined(server, names):
    """All of them on one connection at once; the IDs of the answers as they come, and how many records each has."""
    with socket.create_connection((server, 53), 20) as s:
        for i, name in enumerate(names):
            m = question(name, i)
            s.sendall(struct.pack(">H", len(m)) + m)
        out = []
        for _ in names:
            got = read_frame(s)
            out.append([struct.unpack(">H", got[:2])[0], struct.unpack(">H", got[6:8])[0]])
        return out


def stubborn(server, n):
    """N connections that say a byte and no more; whether a name is still answered over TCP, and after how many seconds."""
    held = [socket.create_connection((server, 53), 20) for _ in range(n)]
    for s in held:
        s.sendall(b"\0")
    start = time.monotonic()
    answers = pipelined(server, ["db.shop"])
    took = time.monotonic() - start
    for s in held:
        s.close()
    return [answers, took]


def ask_many(server, name, n, kind=1):
    """N questions in a row over one socket; the set of first addresses, in hex."""
    firsts = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.connect((server, 53))
        for i in range(n):
            s.send(question(name, i, kind))
            got = s.recv(4096)
            at = 12 + len(question(name)) - 12 + 12
            firsts.add(got[at:at + 4].hex())
    return sorted(firsts)
