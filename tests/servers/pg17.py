"""The beginning of a PostgreSQL server of version 17, which Debian 12 has not: it takes a ClientHello that nobody asked for, and hangs up behind
the handshake where ALPN did not say `postgresql`; it answers SSLRequest as ever. Who says StartupMessage inside is let in.

    pg17.py CERT KEY PORT
"""

import socket
import socketserver
import ssl
import sys

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
LET_IN = bytes.fromhex("520000000800000000")


class Session(socketserver.BaseRequestHandler):
    def handle(self):
        first = self.request.recv(8, socket.MSG_PEEK | socket.MSG_WAITALL)
        asked = first == SSL_REQUEST
        if asked:
            self.request.recv(8, socket.MSG_WAITALL)
            self.request.sendall(b"S")
        elif first[:1] != b"\x16":
            return
        with context.wrap_socket(self.request, server_side=True) as inside:
            if asked and inside.recv(8)[4:8] == b"\0\3\0\0":
                inside.sendall(LET_IN)
                inside.recv(1)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients go as they like


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
Server(("", int(sys.argv[3])), Session).serve_forever()
