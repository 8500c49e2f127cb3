"""A nameserver for tests: `families.py PORT A-ADDRESS AAAA-ADDRESS MODES` has both for every name, and does with each family what the file
MODES says: a line like `A=answer AAAA=silent`. `answer` (where nothing is said), `none` (there is no such record), `silent`.
"""

import pathlib
import socket
import struct
import sys

TYPES = {1: "A", 28: "AAAA"}


def reply(query, end, kind, address):
    found = [] if address is None else [socket.inet_pton(socket.AF_INET if kind == 1 else socket.AF_INET6, address)]
    head = query[:2] + struct.pack(">HHHHH", 0x8580, 1, len(found), 0, 0)
    return head + query[12:end] + b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 1, len(a)) + a for a in found)


def main(port, v4, v6, modes):
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.bind(("::", port))
    while True:
        query, asker = sock.recvfrom(4096)
        end = query.index(b"\0", 12) + 5
        kind = struct.unpack(">H", query[end - 4:end - 2])[0]
        said = dict(word.split("=") for word in modes.read_text().split()) if modes.exists() else {}
        mode = said.get(TYPES.get(kind), "answer") if kind in TYPES else "none"
        if mode != "silent":
            sock.sendto(reply(query, end, kind, {1: v4, 28: v6}[kind] if mode == "answer" else None), asker)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], pathlib.Path(sys.argv[4]))
