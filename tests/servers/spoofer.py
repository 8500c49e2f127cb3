"""A nameserver for tests: `spoofer.py PORT` answers everything below evil.test, after messages that are no answer to what was asked.

NAME.evil.test A: first an answer with another ID, one to another question, one that breaks off, all with the address 192.0.2.66; then
the right one, 192.0.2.1. silent.evil.test: nothing. It serves over UDP; over TCP it sends half a frame and is silent.
"""

import socket
import struct
import sys
import threading


def answer(query, address, ident=None, name=None):
    end = query.index(b"\0", 12) + 5
    question = query[12:end] if name is None else name + query[end - 4:end]
    head = struct.pack(">HHHHHH", struct.unpack(">H", query[:2])[0] if ident is None else ident, 0x8180, 1, 1, 0, 0)
    return head + question + b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(address)


def serve_udp(sock):
    while True:
        query, asker = sock.recvfrom(4096)
        if b"silent" in query:
            continue
        ident = struct.unpack(">H", query[:2])[0]
        for bad in (answer(query, "192.0.2.66", ident ^ 1), answer(query, "192.0.2.66", name=b"\5other\4evil\4test\0"),
                    answer(query, "192.0.2.66")[:-2]):
            sock.sendto(bad, asker)
        sock.sendto(answer(query, "192.0.2.1"), asker)


def serve_tcp(sock):
    kept = []
    while True:
        conn, _ = sock.accept()
        conn.sendall(b"\xff\xff half")
        kept.append(conn)


def main(port):
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.bind(("::", port))
    tcp = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=serve_tcp, args=(tcp,), daemon=True).start()
    serve_udp(udp)


if __name__ == "__main__":
    main(int(sys.argv[1]))
