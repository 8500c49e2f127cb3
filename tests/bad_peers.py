"""Clients that break TLS, or abuse it, for Pods without a sidecar.

The tests call these functions as those of clients.py: the text of this module goes along, so it stands alone and uses the
standard library only (and OpenSSL's library for what ssl does not offer). Certificates lie in /config: NAME.pem and NAME.key.
"""

import collections
import ctypes
import json
import resource
import socket
import ssl
import sys
import time

TIMEOUT = 20  # s; generous: it ends a hang, it is no measure


def hello(alpn=("istio-peer-exchange", "istio"), padding=0):
    """A ClientHello as Python's ssl sends it, in one record; PADDING: so many bytes longer, in an extension that
    nobody knows."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.set_alpn_protocols(list(alpn))
    out = ssl.MemoryBIO()
    try:
        ctx.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    except ssl.SSLWantReadError:
        pass
    record = out.read()
    if not padding:
        return record
    body = record[9:]
    at = 2 + 32  # version, random
    for size in (1, 2, 1):  # session id, ciphers, compression
        at += size + int.from_bytes(body[at : at + size], "big")
    extensions = body[at + 2 :] + b"\xfa\xfa" + (padding - 4).to_bytes(2, "big") + bytes(padding - 4)
    body = body[:at] + len(extensions).to_bytes(2, "big") + extensions
    return records(b"\1" + len(body).to_bytes(3, "big") + body)


def records(message, most=1 << 14):
    """A handshake message in as many records as it needs."""
    parts = [message[i : i + most] for i in range(0, len(message), most)]
    return b"".join(b"\x16\3\1" + len(part).to_bytes(2, "big") + part for part in parts)


def listen(sock):
    """What came, and how it ended."""
    got = b""
    try:
        while data := sock.recv(1 << 16):
            got += data
        return {"got": got[:32].hex(), "end": "fin"}
    except TimeoutError:
        return {"got": got[:32].hex(), "end": "timeout"}
    except ConnectionError:
        return {"got": got[:32].hex(), "end": "reset"}


def say(host, port, text, fin=False):
    """Sends bytes (hex), and the end where FIN says so; listens to the end."""
    with socket.create_connection((host, port), timeout=TIMEOUT) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start = time.monotonic()
        try:
            sock.sendall(bytes.fromhex(text))
            if fin:
                sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before all of it was sent
        return {**listen(sock), "ms": (time.monotonic() - start) * 1000}


def say_each(host, port, texts, fin):
    return {name: say(host, port, text, fin) for name, text in texts.items()}


def say_hello(host, port, padding=0, behind="", fin=False):
    return say(host, port, hello(padding=padding).hex() + behind, fin)


def cut_everywhere(host, port):
    """A ClientHello that ends after each of its bytes; how often each end was seen."""
    whole = hello()
    ends = collections.Counter(say(host, port, whole[:n].hex(), fin=True)["end"] for n in range(1, len(whole)))
    return {"offsets": len(whole) - 1, **ends}


# --- many -----------------------------------------------------------------------------------------------------------


def crowd(host, port, n_conns, what):
    """So many connections that never get on: WHAT they say is "nothing", "half" or the whole "hello". Prints a line once
    all of them are open, and holds them until it is told a line."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    whole = hello()
    first = {"nothing": b"", "half": whole[: len(whole) // 2], "hello": whole}[what]
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    socks = []
    for _ in range(n_conns):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(TIMEOUT)
        sock.connect(address)
        try:
            sock.sendall(first)
        except ConnectionError:
            pass  # it had to give way already
        socks.append(sock)
    print(json.dumps(len(socks)), flush=True)
    sys.stdin.readline()
    gone = 0
    for sock in socks:
        sock.setblocking(False)
        try:
            while sock.recv(1 << 16):
                pass
            gone += 1
        except BlockingIOError:
            pass
        except ConnectionError:
            gone += 1
        sock.close()
    return {"gone": gone}


# --- what ssl does not offer ----------------------------------------------------------------------------------------


class Library:
    """OpenSSL's own, spoken to directly."""

    def __init__(self):
        self.ssl = ctypes.CDLL("libssl.so.3")
        for name, result, *args in (
            ("TLS_client_method", ctypes.c_void_p), ("SSL_CTX_new", ctypes.c_void_p, ctypes.c_void_p),
            ("SSL_new", ctypes.c_void_p, ctypes.c_void_p), ("SSL_set_fd", ctypes.c_int, ctypes.c_void_p, ctypes.c_int),
            ("SSL_CTX_use_certificate_chain_file", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p),
            ("SSL_CTX_use_PrivateKey_file", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int),
            ("SSL_connect", ctypes.c_int, ctypes.c_void_p), ("SSL_do_handshake", ctypes.c_int, ctypes.c_void_p),
            ("SSL_key_update", ctypes.c_int, ctypes.c_void_p, ctypes.c_int),
            ("SSL_write", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int),
            ("SSL_read", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int),
        ):
            function = getattr(self.ssl, name)
            function.restype, function.argtypes = result, args

    def connect(self, sock, cert):
        ctx = self.ssl.SSL_CTX_new(self.ssl.TLS_client_method())
        assert self.ssl.SSL_CTX_use_certificate_chain_file(ctx, f"/config/{cert}.pem".encode()) == 1
        assert self.ssl.SSL_CTX_use_PrivateKey_file(ctx, f"/config/{cert}.key".encode(), 1) == 1
        session = self.ssl.SSL_new(ctx)
        self.ssl.SSL_set_fd(session, sock.fileno())
        assert self.ssl.SSL_connect(session) == 1
        return session


def key_updates(host, port, cert, n, reads):
    """TLS 1.3: asks for a new key N times over. READS: hears the answers, and at the end the echo of a word; else nothing is
    ever read, and it goes on until the server has enough: how many it took."""
    lib = Library()
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not reads:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((host, port))
    with sock:
        session = lib.connect(sock, cert)
        room = ctypes.create_string_buffer(100)

        def echo(word):
            return lib.ssl.SSL_write(session, word, len(word)) == len(word) and lib.ssl.SSL_read(session, room, 100) == len(word) and room.raw.startswith(word)

        assert echo(b"before")
        for i in range(n):
            if lib.ssl.SSL_key_update(session, 1) != 1 or lib.ssl.SSL_do_handshake(session) != 1:
                return {"taken": i, "echo": False}
            if reads and i % 50 == 49 and not echo(b"%08d" % i):
                return {"taken": i, "echo": False}
        return {"taken": n, "echo": echo(b"after")}
