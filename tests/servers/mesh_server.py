#!/usr/bin/env python3
"""Servers of mesh TLS as Istio's sidecars are, on Python's ssl: what a client's sidecar says to them is what they print.

    mesh_server.py CONFIG.json

CONFIG lists the ports: {"port": 7000, "cert": "server", "trust": "root", "alpn": [...], "version": "TLSv1_2"}. A client has
to present a certificate of /config/TRUST.pem; the server's own is /config/CERT.pem and .key. Once the handshake is over it
greets and echoes. {"port": 7000, "mode": "hello"} reads a ClientHello and closes. Each connection leaves a line of JSON:

    {"port": 7000, "event": "made", "alpn": null, "version": "TLSv1.3", "names": ["spiffe://..."], "sni": "outbound_..."}
    {"port": 7000, "event": "failed", "why": "..."}
    {"port": 7001, "event": "hello", "sni": ..., "alpn": [...], "ciphers": [...], "versions": [...], "groups": [...]}
"""

import json
import socket
import ssl
import sys
import threading

SERVER_NAME, GROUPS, ALPN, VERSIONS = 0, 10, 16, 43


def say(**what):
    print(json.dumps(what), flush=True)


class Bytes:
    def __init__(self, data):
        self.data = data

    def take(self, n):
        part, self.data = self.data[:n], self.data[n:]
        assert len(part) == n, "a message is cut short"
        return part

    def number(self, n):
        return int.from_bytes(self.take(n), "big")

    def block(self, n):
        return Bytes(self.take(self.number(n)))

    def numbers(self, n):
        return [int.from_bytes(self.take(n), "big") for _ in range(len(self.data) // n)]


def parse_hello(record):
    """RFC 8446 4.1.2. The record's bytes."""
    b = Bytes(record)
    assert b.take(1) == b"\x16"
    b.take(2)
    b = b.block(2)
    assert b.take(1) == b"\x01"
    b = b.block(3)
    b.take(2 + 32)
    b.block(1)
    out = {"ciphers": b.block(2).numbers(2), "sni": None, "alpn": [], "versions": [], "groups": []}
    b.block(1)
    extensions = b.block(2)
    while extensions.data:
        kind, body = extensions.number(2), extensions.block(2)
        if kind == SERVER_NAME:
            names = body.block(2)
            names.take(1)
            out["sni"] = names.block(2).data.decode()
        elif kind == ALPN:
            values = body.block(2)
            while values.data:
                out["alpn"].append(values.block(1).data.decode())
        elif kind == VERSIONS:
            out["versions"] = body.block(1).numbers(2)
        elif kind == GROUPS:
            out["groups"] = body.block(2).numbers(2)
    return out


def receive(sock, n):
    got = b""
    while len(got) < n:
        data = sock.recv(n - len(got))
        if not data:
            raise ConnectionError("the end came early")
        got += data
    return got


def hello(sock, row):
    head = receive(sock, 5)
    say(port=row["port"], event="hello", **parse_hello(head + receive(sock, int.from_bytes(head[3:], "big"))))


def talk(sock, row):
    asked = []
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(f"/config/{row['cert']}.pem", f"/config/{row['cert']}.key")
    ctx.load_verify_locations(f"/config/{row.get('trust', 'root')}.pem")
    ctx.verify_mode = ssl.CERT_REQUIRED
    ctx.sni_callback = lambda _, name, __: asked.append(name)
    if row.get("alpn"):
        ctx.set_alpn_protocols(row["alpn"])
    if row.get("version"):
        ctx.minimum_version = ctx.maximum_version = ssl.TLSVersion[row["version"]]
    with ctx.wrap_socket(sock, server_side=True) as tls:
        names = [value for _, value in tls.getpeercert().get("subjectAltName", ())]
        say(port=row["port"], event="made", alpn=tls.selected_alpn_protocol(), version=tls.version(), names=names, sni=asked[0])
        tls.sendall(b"220 mesh ready\r\n")
        while data := tls.recv(1 << 16):
            tls.sendall(data)
        tls.unwrap()


def serve(sock, row):
    sock.settimeout(20)
    try:
        with sock:
            (hello if row.get("mode") == "hello" else talk)(sock, row)
    except OSError as e:
        say(port=row["port"], event="failed", why=getattr(e, "reason", None) or str(e))


def listen(row):
    with socket.create_server(("", row["port"]), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=serve, args=(sock, row), daemon=True).start()


if __name__ == "__main__":
    with open(sys.argv[1], encoding="ascii") as f:
        for port in json.load(f):
            threading.Thread(target=listen, args=(port,)).start()
