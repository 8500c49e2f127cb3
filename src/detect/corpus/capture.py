#!/usr/bin/env python3
"""Writes down who says what first, for the corpus beside this file.

    capture.py server HOST PORT FILE          connect, say nothing, keep what the server says
    capture.py inetd FILE -- CMD...           the same with a server that finds its client on standard input
    capture.py client PORT FILE -- CMD...     run CMD against PORT, say nothing, keep what it says
"""
import socket
import subprocess
import sys

PATIENCE = 15  # seconds for the first byte
PAUSE = 0.4    # silence that ends a first word


def first_word(conn):
    said = b""
    conn.settimeout(PATIENCE)
    try:
        while len(said) < 32768:
            piece = conn.recv(32768)
            if not piece:
                break
            said += piece
            conn.settimeout(PAUSE)
    except (TimeoutError, ConnectionResetError):
        pass
    return said


def keep(path, said):
    print(f"{path}: {len(said)} bytes {said[:60]!r}")
    if not said:
        sys.exit(f"{path}: nothing was said")
    with open(path, "wb") as f:
        f.write(said)


def main():
    if sys.argv[1:2] == ["server"]:
        host, port, path = sys.argv[2:]
        with socket.create_connection((host, int(port)), PATIENCE) as conn:
            keep(path, first_word(conn))
    elif sys.argv[1:2] == ["inetd"] and sys.argv[3] == "--":
        path, command = sys.argv[2], sys.argv[4:]
        with socket.create_server(("127.0.0.1", 0)) as listener:
            conn = socket.create_connection(listener.getsockname())
            theirs, _ = listener.accept()
            with conn, theirs:
                server = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
                theirs.close()
                try:
                    keep(path, first_word(conn))
                finally:
                    server.kill()
                    server.wait()
    elif sys.argv[1:2] == ["client"] and sys.argv[4] == "--":
        port, path, command = sys.argv[2], sys.argv[3], sys.argv[5:]
        with socket.create_server(("127.0.0.1", int(port))) as listener:
            listener.settimeout(PATIENCE)
            client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
            try:
                conn, _ = listener.accept()
                with conn:
                    keep(path, first_word(conn))
            finally:
                client.kill()
                client.wait()
    else:
        sys.exit(__doc__)


main()
