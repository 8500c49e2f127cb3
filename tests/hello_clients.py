"""Clients of test_hello_delay.py: they begin with a sidecar's ClientHello, but late. The delay is what is under test."""

import json
import os
import socket
import ssl
import sys
import time

TIMEOUT = 20  # s; it ends a hang
SIDECAR = 1337  # what this user sends is not captured: so a Pod's own sidecar is passed by


def become(user):
    if user:
        os.setgid(user)
        os.setuid(user)


def client_hello():
    """As a sidecar sends it for a TCP connection; there is no certificate behind it, which shows later in a handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["istio"])
    to_net = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), to_net, server_hostname="outbound_.3307_._.mysql.in.svc.cluster.local").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return to_net.read()


def hear_until(sock, deadline):
    """What comes until then, and how it ended ("" when it did not)."""
    got = b""
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            data = sock.recv(1 << 14)
        except TimeoutError:
            break
        except ConnectionResetError:
            return got, "reset"
        if not data:
            return got, "fin"
        got += data
    return got, ""


def late_hello(host, port, delay_s, source=None, user=0):
    """Silent for DELAY_S, then a ClientHello: what came BEFORE it, and what came AFTER it, at first or until the END."""
    become(user)
    address = socket.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM)[0][4][0]
    hello = client_hello()
    after = b""
    with socket.create_connection((address, port), TIMEOUT, source_address=(source, 0) if source else None) as s:
        before, end = hear_until(s, time.monotonic() + delay_s)
        s.settimeout(TIMEOUT)
        try:
            if not end:
                s.sendall(hello)
                after = s.recv(1 << 14)
                end = "" if after else "fin"
        except ConnectionError:
            end = "reset"
    return {"before": before.decode("latin-1"), "after": after.decode("latin-1"), "end": end}


def silent(host, port, user):
    """A connection that says nothing; what has come of it when a line comes on standard input."""
    become(user)
    with socket.create_connection((host, port), TIMEOUT) as s:
        print(json.dumps("open"), flush=True)
        sys.stdin.readline()
        s.setblocking(False)
        try:
            return s.recv(1 << 14).decode("latin-1") or "fin"
        except BlockingIOError:
            return ""
