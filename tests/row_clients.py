"""What runs in the client Pods of the scenario matrix (test_server_first.py): for each row a real client's action, and
knocks with bare sockets that tell when the first byte came, or how it ended without one."""

import concurrent.futures
import json
import smtplib
import socket
import ssl
import struct
import subprocess
import sys
import time

import clients


def mongo_message(request, name):
    """A command in MongoDB's OP_MSG framing: {NAME: 1, $db: "admin"}."""
    elements = b"\x10" + name.encode() + b"\0" + struct.pack("<i", 1) + b"\x02$db\0" + struct.pack("<i", 6) + b"admin\0"
    document = struct.pack("<i", len(elements) + 5) + elements + b"\0"
    body = struct.pack("<i", 0) + b"\0" + document
    return struct.pack("<iiii", 16 + len(body), request, 0, 2013) + body


def mongo(host, port):
    """`hello` and `ping`: which request each answer is to, its operation, and whether it says ok."""
    out = []
    with clients.connect(host, port) as s:
        f = s.makefile("rb")
        for request, name in ((7, "hello"), (8, "ping")):
            s.sendall(mongo_message(request, name))
            length, _, answered, operation = struct.unpack("<iiii", f.read(16))
            document = f.read(length - 16)
            out.append([answered, operation, b"\x01ok\0" + struct.pack("<d", 1.0) in document])
    return out


def curl_https(host, port):
    return clients.command("curl", "-sSk", "--max-time", str(clients.TIMEOUT), f"https://{host}:{port}/")


def dns_question(name="www.shop.example"):
    """For its address, as it is sent over TCP."""
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0"
    message = struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">HH", 1, 1)
    return struct.pack(">H", len(message)) + message


# kind: a real client's action, and what its client says first in bytes (https: a ClientHello of its own)
ACTIONS = {
    "mysql": lambda row, token: clients.mariadb(row["host"], row["port"]),
    "smtp": lambda row, token: clients.smtp(row["host"], token, row["port"]),
    "mongo": lambda row, token: mongo(row["host"], row["port"]),
    "dns": lambda row, token: clients.dns(row["host"], row["port"]),
    "https": lambda row, token: curl_https(row["host"], row["port"]),
}
FIRST_WORDS = {"mysql": b"", "smtp": b"", "mongo": mongo_message(1, "hello"), "dns": dns_question()}


def act(row, token):
    try:
        return {"answer": ACTIONS[row["kind"]](row, token)}
    except (OSError, RuntimeError, struct.error, smtplib.SMTPException, subprocess.TimeoutExpired) as e:
        return {"error": f"{type(e).__name__}: {e}"}


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE  # the server's certificate was made when its Pod started


def tls_exchange(sock, host):
    """Handshake, request, answer: when the first byte came, and the answer's first bytes."""
    from_net, to_net = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = CONTEXT.wrap_bio(from_net, to_net, server_hostname=host)
    first = None

    def until_done(step):
        nonlocal first
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                done = None
            if waiting := to_net.read():
                sock.sendall(waiting)
            if done is not None:
                return done
            data = sock.recv(1 << 14)
            first = first or time.monotonic()
            if not data:
                raise EOFError
            from_net.write(data)

    until_done(lambda: tls.do_handshake() or True)
    tls.write(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
    return first, until_done(lambda: tls.read(100))


def knock_at(row, address):
    start = time.monotonic()
    with clients.connect(address, row["port"]) as s:
        if row["kind"] == "https":
            first, came = tls_exchange(s, row["host"])
        else:
            if words := FIRST_WORDS[row["kind"]]:
                s.sendall(words)
            came = s.recv(1)
            first = time.monotonic()
        return {"end": "answered", "first_ms": (first - start) * 1000} if came else {"end": "fin"}


def knock(row):
    """One connection, to the first byte: after how many ms that came ("answered"), or how it ended without."""
    address = socket.getaddrinfo(row["host"], row["port"], type=socket.SOCK_STREAM)[0][4][0]
    try:
        return knock_at(row, address)
    except EOFError:
        return {"end": "fin"}
    except (ConnectionResetError, BrokenPipeError):
        return {"end": "reset"}
    except TimeoutError:
        return {"end": "silence"}
    except ssl.SSLError as e:
        return {"end": "alert" if "ALERT" in (e.reason or "") else "tls error", "text": e.reason}
    except OSError as e:
        return {"end": "error", "text": str(e)}


def serve_rows():
    """Orders come as lines of JSON on standard input; each is answered by one. {"act": rows, "token"}: a real client's action
    and a knock for each row, all at once. {"time": rows, "count"}: so many knocks for each, one after the other."""
    for line in sys.stdin:
        order = json.loads(line)
        if "time" in order:
            out = [[knock(row) for _ in range(order["count"])] for row in order["time"]]
        else:
            rows = order["act"]
            with concurrent.futures.ThreadPoolExecutor(2 * len(rows)) as pool:
                acts = [pool.submit(act, row, order["token"]) for row in rows]
                knocks = [pool.submit(knock, row) for row in rows]
                out = [{**a.result(), "knock": k.result()} for a, k in zip(acts, knocks)]
        print(json.dumps(out), flush=True)
    return "done"
