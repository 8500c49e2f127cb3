"""A relay that reads along: what two TLS 1.3 peers negotiate, from what of their hellos is in clear (RFC 8446 4.1).

    tap = Tap(); port = tap.before(8443)      # whoever dials PORT reaches 8443
    tap.summary()                             # {"version": "TLSv1.3", "cipher": ..., "group": ..., "connections": 8, "resumed": 7}
    tap.stop()

For checks, not for measuring: a thread for each direction of each connection.
"""
import socket
import threading

CIPHERS = {0x1301: "TLS_AES_128_GCM_SHA256", 0x1302: "TLS_AES_256_GCM_SHA384", 0x1303: "TLS_CHACHA20_POLY1305_SHA256"}
GROUPS = {0x17: "P-256", 0x18: "P-384", 0x1d: "X25519", 0x11ec: "X25519MLKEM768"}
SUPPORTED_VERSIONS, PRE_SHARED_KEY, KEY_SHARE = 43, 41, 51
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # a HelloRetryRequest's random


def server_hello(stream):
    """(version, cipher, group, resumed) of the first record of a server's STREAM; None while it is not whole."""
    if len(stream) < 5 or len(stream) < 5 + int.from_bytes(stream[3:5], "big"):
        return None
    if stream[0] != 22 or stream[5] != 2:
        return "no ServerHello", "", "", False
    body = stream[9:9 + int.from_bytes(stream[6:9], "big")]
    if body[2:34] == RETRY:
        return "TLSv1.3 with a retry", "", "", False
    at = 34 + 1 + body[34]
    cipher = int.from_bytes(body[at:at + 2], "big")
    at += 3
    end = at + 2 + int.from_bytes(body[at:at + 2], "big")
    at += 2
    version, group, resumed = int.from_bytes(body[:2], "big"), 0, False
    while at + 4 <= end:
        kind, size = int.from_bytes(body[at:at + 2], "big"), int.from_bytes(body[at + 2:at + 4], "big")
        value = body[at + 4:at + 4 + size]
        if kind == SUPPORTED_VERSIONS:
            version = int.from_bytes(value, "big")
        elif kind == KEY_SHARE:
            group = int.from_bytes(value[:2], "big")
        elif kind == PRE_SHARED_KEY:
            resumed = True
        at += 4 + size
    return {0x304: "TLSv1.3", 0x303: "TLSv1.2"}.get(version, hex(version)), CIPHERS.get(cipher, hex(cipher)), GROUPS.get(group, hex(group)), resumed


class Tap:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.hellos, self.lock = [], threading.Lock()

    def before(self, port):
        self.to = port
        threading.Thread(target=self._accept, daemon=True).start()
        return self.listener.getsockname()[1]

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return  # stopped
            server = socket.create_connection(("127.0.0.1", self.to))
            threading.Thread(target=self._pass, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, bytearray()), daemon=True).start()

    def _pass(self, source, sink, stream):
        """STREAM: what the server said so far, until its hello is whole."""
        try:
            while data := source.recv(65536):
                if stream is not None:
                    stream += data
                    hello = server_hello(stream)
                    if hello:
                        stream = None
                        with self.lock:
                            self.hellos.append(hello)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for s in (source, sink):  # a reset is passed on as an end; the sockets go with their last thread
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def summary(self):
        with self.lock:
            hellos = list(self.hellos)
        kinds = {hello[:3] for hello in hellos}
        if len(kinds) != 1:
            raise RuntimeError(f"not one kind of session: {sorted(kinds)}")
        version, cipher, group = kinds.pop()
        return {"version": version, "cipher": cipher, "group": group, "connections": len(hellos), "resumed": sum(h[3] for h in hellos)}

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
