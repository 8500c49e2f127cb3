#!/usr/bin/env python3
"""An application that takes plaintext and TLS of its own on every port: what reaches it says whether somebody ended TLS
in front of it.

    either.py CERTIFICATE KEY PORT...

It answers one HTTP/1.1 request with a body of one line of JSON: {"saw": "plaintext"} or {"saw": "tls"}, and closes. Each
accepted connection leaves {"port": N} on standard output.
"""

import json
import socket
import ssl
import sys
import threading


def serve(sock, port, own):
    with sock:
        sock.settimeout(20)
        try:
            tls = sock.recv(1, socket.MSG_PEEK) == b"\x16"
            if tls:
                sock = own.wrap_socket(sock, server_side=True)
            asked = b""
            while b"\r\n\r\n" not in asked:
                data = sock.recv(4096)
                if not data:
                    return
                asked += data
            body = json.dumps({"saw": "tls" if tls else "plaintext"}).encode()
            sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            if tls:
                sock.unwrap()
        except OSError:
            pass  # the client's affair


def listen(port, own):
    with socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512) as listener:
        while True:
            sock, _ = listener.accept()
            print(json.dumps({"port": port}), flush=True)
            threading.Thread(target=serve, args=(sock, port, own), daemon=True).start()


if __name__ == "__main__":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    for number in sys.argv[3:]:
        threading.Thread(target=listen, args=(int(number), context)).start()
