"""PostgreSQL's first words, by hand: what real clients say, but late or in pieces. Runs inside Pods, as clients.py does."""

import json
import socket
import struct
import sys

TIMEOUT = 20
SSL, GSS = struct.pack("!II", 8, 80877103), struct.pack("!II", 8, 80877104)
WORDS = {"ssl": SSL, "gss": GSS}


def startup():
    body = struct.pack("!I", 3 << 16) + b"user\0shop\0database\0postgres\0\0"
    return struct.pack("!I", len(body) + 4) + body


def exactly(sock, n):
    got = b""
    while len(got) < n:
        part = sock.recv(n - len(got))
        if not part:
            break
        got += part
    return got


def in_pieces(sock, word, size):
    """One segment each, so far as a sender can say so; the other end sees more than one read."""
    for i in range(0, len(word), size):
        sock.sendall(word[i:i + size])


def postgres_words(host, port, before, size, wait):
    """Says the words BEFORE ("ssl", "gss"), then who it is, in pieces of SIZE bytes; after "open" it waits for a line where WAIT. What came
    back: the answers, and the first message of the server's."""
    with socket.create_connection((host, port), timeout=TIMEOUT) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print(json.dumps("open"), flush=True)
        if wait:
            sys.stdin.readline()
        answers = []
        try:
            for word in before:
                in_pieces(sock, WORDS[word], size)
                answers.append(exactly(sock, 1).decode())
            in_pieces(sock, startup(), size)
            return {"answers": answers, "message": exactly(sock, 9).hex()}
        except ConnectionResetError:
            return {"answers": answers, "message": "reset"}
