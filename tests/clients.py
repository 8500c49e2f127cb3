"""What runs inside client Pods: real clients of every server, and plain sockets for the hard cases.

The tests call these functions through `hark exec POD -- python3 -c ...` (conftest.Mesh.call): the text of this
module goes along, so it stands alone and uses the standard library only. What a function returns comes back as JSON.
"""

import concurrent.futures
import ftplib
import hashlib
import imaplib
import io
import json
import os
import poplib
import resource
import selectors
import smtplib
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

TIMEOUT = 20  # s; generous: it ends a hang, it is no measure


def connect(host, port, timeout=TIMEOUT):
    sock = socket.create_connection((host, port), timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def command(*argv, stdin=None):
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} exited with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def read_all(sock):
    parts = []
    while data := sock.recv(1 << 16):
        parts.append(data)
    return b"".join(parts)


# --- one real action per server -------------------------------------------------------------------------------------


def mariadb(host, port=3307):
    return command("mariadb", "--no-defaults", "-h", host, "-P", str(port), "-ushop", "-pshop", "-N", "shop", "-e",
                   "CREATE TEMPORARY TABLE t (n INT); INSERT INTO t VALUES (6), (7); SELECT SUM(n) * 100 FROM t")


def mariadb_who(host, port):
    """What the database says its name is."""
    return command("mariadb", "--no-defaults", "-h", host, "-P", str(port), "-ushop", "-pshop", "-N", "shop", "-e", "SELECT name FROM who")


def smtp(host, token, port=2525):
    with smtplib.SMTP(host, port, local_hostname="client.example", timeout=TIMEOUT) as s:
        refused = s.sendmail("ann@client.example", ["bob@shop.example"], f"Subject: {token}\r\n\r\n{token}\r\n")
        return refused == {}


def ftp(host, port=2121):
    with ftplib.FTP(timeout=TIMEOUT) as f:
        f.connect(host, port)
        f.login()
        names = f.nlst()
        got = []
        for _ in range(3):  # each on a data connection of its own
            part = io.BytesIO()
            f.retrbinary("RETR hello.txt", part.write)
            got.append(part.getvalue().decode())
        return {"names": names, "files": got}


def ftp_upload(host, token, port=2122):
    """The data connection of STOR is the other way round: the client speaks."""
    with ftplib.FTP(timeout=TIMEOUT) as f:
        f.trust_server_pasv_ipv4_address = True  # the Service's address has no data ports
        f.connect(socket.gethostbyname(host), port)  # PASV knows no IPv6
        f.login()
        f.cwd("incoming")
        f.set_pasv(True)
        f.af = socket.AF_INET  # PASV and not EPSV: it names the Pod
        name = f"{token}.txt"
        f.storbinary(f"STOR {name}", io.BytesIO(token.encode() * 1000))
        return f.size(name)


def ssh(host, token, port=2222):
    return command("ssh", "-p", str(port), "-F", "none", "-o", "StrictHostKeyChecking=no", "-o",
                   "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", f"shop@{host}", f"echo {token}; id -un")


def imap(host, token, port=1143):
    with imaplib.IMAP4(host, port, timeout=TIMEOUT) as m:
        m.login(token, "shop")
        m.append("INBOX", None, None, f"Subject: {token}\r\n\r\nbody of {token}\r\n".encode())
        m.select("INBOX")
        _, found = m.search(None, "SUBJECT", token)
        _, parts = m.fetch(found[0].split()[-1], "(BODY[TEXT])")
        return parts[0][1].decode().strip()


def pop3(host, token, port=1110):
    p = poplib.POP3(host, port, timeout=TIMEOUT)
    try:
        p.user(token)
        p.pass_("shop")
        return p.stat()[0]
    finally:
        p.quit()


def nats(host, token, port=4333):
    with connect(host, port) as s:
        f = s.makefile("rwb")
        info = f.readline()
        f.write(b'CONNECT {"verbose":false}\r\nSUB %s 1\r\nPUB %s 5\r\nhello\r\n' % ((token.encode(),) * 2))
        f.flush()
        line = f.readline()
        while line.startswith(b"PING"):
            line = f.readline()
        return {"greeting": info[:5].decode(), "message": [line.decode().strip(), f.readline().decode().strip()]}


def postgres(host, port=5433):
    return command("psql", "-h", host, "-p", str(port), "-U", "shop", "-d", "postgres", "-Atc", "SELECT 6 * 7")


def redis(host, token, port=6380):
    base = ("redis-cli", "-h", host, "-p", str(port))
    return [command(*base, "SET", token, "value of " + token), command(*base, "GET", token)]


def http(host, port=8081):
    with urllib.request.urlopen(f"http://{host}:{port}/", timeout=TIMEOUT) as r:
        return {"status": r.status, "body": r.read().decode()}


def https(host, port=8444):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the certificate was made when the Pod started
    with urllib.request.urlopen(f"https://{host}:{port}/", timeout=TIMEOUT, context=context) as r:
        return {"status": r.status, "body": r.read().decode()}


def memcached(host, token, port=11222):
    with connect(host, port) as s:
        s.sendall(f"set {token} 0 60 5\r\nhello\r\nget {token}\r\nquit\r\n".encode())
        return read_all(s).decode().split("\r\n")


def dns(host, port=5353):
    return command("dig", "+tcp", "+short", "+tries=1", "-p", str(port), f"@{host}", "www.shop.example")


def h2(host, port=8090):
    return [command("nghttp", f"http://{host}:{port}/hello.txt"),
            command("curl", "-sS", "--http2-prior-knowledge", f"http://{host}:{port}/hello.txt")]


# --- first bytes ----------------------------------------------------------------------------------------------------


def first_byte(host, port, say="", count=1, timeout=TIMEOUT):
    """Milliseconds from before connect() to the first byte, per connection; None: nothing came. SAY: hex of what
    the client sends at once. The name is looked up before."""
    address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
    out = []
    for _ in range(count):
        start = time.monotonic()
        try:
            with connect(address, port, timeout) as s:
                if say:
                    s.sendall(bytes.fromhex(say))
                came = s.recv(1)
                out.append((time.monotonic() - start) * 1000 if came else None)
        except OSError:
            out.append(None)
    return out


def hear(host, port, silent_s=0.0, say="", timeout=TIMEOUT):
    """Connects, is silent, says something, and listens to the end: what came, how it ended, and after how long."""
    start = time.monotonic()
    got = b""
    end = "fin"
    first_ms = None
    try:
        with connect(host, port, timeout) as s:
            if silent_s:
                time.sleep(silent_s)
            if say:
                s.sendall(say.encode("latin-1"))
            while data := s.recv(1 << 16):
                if first_ms is None:
                    first_ms = (time.monotonic() - start) * 1000
                got += data
    except ConnectionResetError:
        end = "reset"
    except ConnectionRefusedError:
        end = "refused"
    except TimeoutError:
        end = "timeout"
    return {"bytes": got.decode("latin-1"), "end": end, "first_ms": first_ms,
            "end_ms": (time.monotonic() - start) * 1000}


def greeted_exchange(host, port, say="hello\r\n", silent_s=0.0, timeout=60):
    """Reads a greeting line, answers, reads the echo, half-closes, reads to the end."""
    start = time.monotonic()
    with connect(host, port, timeout) as s:
        f = s.makefile("rb")
        greeting = f.readline()
        greeted = time.monotonic() - start
        if silent_s:
            time.sleep(silent_s)
        s.sendall(say.encode())
        s.shutdown(socket.SHUT_WR)
        return {"greeting": greeting.decode(), "echo": f.read().decode(), "greeted_s": greeted}


def spoken_exchange(host, port, silent_s=0.0, say="hello", timeout=60):
    """Silent for a while, then speaks; the server echoes; half-close; to the end."""
    with connect(host, port, timeout) as s:
        if silent_s:
            s.settimeout(silent_s)
            try:
                early = s.recv(100)
                return {"early": early.decode("latin-1")}
            except TimeoutError:
                s.settimeout(timeout)
        start = time.monotonic()
        data = say.encode("latin-1")
        s.sendall(data)
        got = b""
        while len(got) < len(data):
            part = s.recv(1 << 16)
            if not part:
                break
            got += part
        ms = (time.monotonic() - start) * 1000
        s.shutdown(socket.SHUT_WR)
        return {"echo": got.decode("latin-1"), "rest": read_all(s).decode("latin-1"), "echo_ms": ms}


def knock(host, port, count):
    """What a health check does: connects and leaves in silence."""
    for _ in range(count):
        connect(host, port).close()
    return count


def taste(host, port, n_bytes):
    """Reads so many bytes of an endless greeting and leaves."""
    h = hashlib.sha256()
    left = n_bytes
    with connect(host, port) as s:
        while left:
            data = s.recv(min(left, 1 << 16))
            if not data:
                break
            h.update(data)
            left -= len(data)
    return {"left": left, "sha256": h.hexdigest()}


H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def h2_late(host, port, silent_s):
    """An HTTP/2 client that is silent until the server's SETTINGS are there, and a moment longer."""
    with connect(host, port) as s:
        f = s.makefile("rb")

        def frame():
            head = f.read(9)
            return {"type": head[3], "stream": int.from_bytes(head[5:9], "big"),
                    "body": f.read(int.from_bytes(head[:3], "big"))}

        settings = frame()
        time.sleep(silent_s)
        path = b"/hello.txt"
        block = b"\x82\x86\x04" + bytes([len(path)]) + path + b"\x41\x02h2"  # GET, http, :path, :authority
        s.sendall(H2_PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
                  + len(block).to_bytes(3, "big") + b"\x01\x05\x00\x00\x00\x01" + block)
        body = b""
        while True:
            fr = frame()
            if fr["type"] == 0 and fr["stream"] == 1:
                body += fr["body"]
                if len(body):
                    break
        return {"first_frame": settings["type"], "body": body.decode()}


# --- ends -----------------------------------------------------------------------------------------------------------


def server_ends_first(host, port, n_bytes):
    """The server greets and ends its side; ours goes on sending."""
    with connect(host, port) as s:
        got = read_all(s)
        h = hashlib.sha256()
        block = bytes(range(256)) * 256
        for at in range(0, n_bytes, len(block)):
            part = block[: n_bytes - at]
            s.sendall(part)
            h.update(part)
    return {"greeting": got.decode(), "sha256": h.hexdigest()}


def reset_mine(host, port, say):
    """Talks, then resets."""
    s = connect(host, port)
    s.sendall(say.encode())
    got = s.recv(100)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    return got.decode()


# --- much -----------------------------------------------------------------------------------------------------------

CHUNK = 256 * 1024
BASE = b"".join(hashlib.sha256(bytes([i & 255, i >> 8])).digest() for i in range(CHUNK // 32))


def pattern(n_bytes):
    """As servers/odd.py makes it."""
    for at in range(0, n_bytes, CHUNK):
        yield (struct.pack(">Q", at) + BASE[8:])[: n_bytes - at]


def bulk(host, port, n_bytes):
    """Both ways at once."""
    sent, got, want = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    n_got = 0
    with connect(host, port, 120) as s:
        def speak():
            head = struct.pack(">Q", n_bytes)
            sent.update(head)
            s.sendall(head)
            for block in pattern(n_bytes):
                sent.update(block)
                s.sendall(block)
            s.shutdown(socket.SHUT_WR)

        speaker = threading.Thread(target=speak)
        speaker.start()
        while data := s.recv(1 << 20):
            got.update(data)
            n_got += len(data)
        speaker.join()
    for block in pattern(n_bytes):
        want.update(block)
    return {"sent": sent.hexdigest(), "got": got.hexdigest(), "want": want.hexdigest(), "n_got": n_got}


def crowd(host, port, n_conns):
    """So many connections at once; each says a word of its own and must hear that word."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sel = selectors.DefaultSelector()
    wrong = []
    socks = {}
    for i in range(n_conns):
        s = socket.socket(address[0], socket.SOCK_STREAM)
        s.connect(address[4])
        socks[s] = [i, b""]
    for s, (i, _) in socks.items():
        s.sendall(b"word of %06d" % i)
        s.setblocking(False)
        sel.register(s, selectors.EVENT_READ)
    left = len(socks)
    deadline = time.monotonic() + 60
    while left and time.monotonic() < deadline:
        for key, _ in sel.select(1):
            s = key.fileobj
            try:
                data = s.recv(100)
            except ConnectionResetError:
                data = b""
            state = socks[s]
            state[1] += data
            if not data or len(state[1]) >= 14:
                left -= 1
                sel.unregister(s)
                if state[1] != b"word of %06d" % state[0]:
                    wrong.append([state[0], state[1].decode("latin-1")])
    for s in socks:
        s.close()
    return {"unanswered": left, "wrong": wrong[:10]}


def greeted_crowd(host, port, n_conns):
    """So many connections at once that all wait for a greeting; after how many ms those that got it did."""
    with concurrent.futures.ThreadPoolExecutor(n_conns) as pool:
        return [ms for [ms] in pool.map(lambda _: first_byte(host, port), range(n_conns)) if ms is not None]


def steady(host, port, n_conns, n_words):
    """Connections that talk word by word (each waits for its echo). After the first word of all of them it prints
    a line and goes on; what it returns counts the words that were lost."""
    socks = [connect(host, port) for _ in range(n_conns)]
    lost = []

    def word(i, n):
        data = b"%04d:%08d:" % (i, n) + b"x" * 1000
        socks[i].sendall(data)
        got = b""
        while len(got) < len(data):
            part = socks[i].recv(len(data) - len(got))
            if not part:
                raise ConnectionError(f"connection {i} ended at word {n}")
            got += part
        if got != data:
            raise ConnectionError(f"connection {i}: another word than {n} came")

    for i in range(n_conns):
        word(i, 0)
    print(json.dumps("talking"), flush=True)

    def talk(i):
        try:
            for n in range(1, n_words):
                word(i, n)
                time.sleep(0.005)
            socks[i].shutdown(socket.SHUT_WR)
            if socks[i].recv(1):
                raise ConnectionError("a word too many")
        except OSError as e:
            lost.append(str(e))

    threads = [threading.Thread(target=talk, args=(i,)) for i in range(n_conns)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return lost


def hold(host, port, say="held"):
    """A connection that stays open: for each line on standard input one exchange, until the input ends."""
    with connect(host, port) as s:
        for n, _ in enumerate(sys.stdin):
            data = f"{say} {n}".encode()
            s.sendall(data)
            got = b""
            while len(got) < len(data):
                part = s.recv(100)
                if not part:
                    return "ended"
                got += part
            print(json.dumps(got.decode()), flush=True)
    return "done"


# --- processes of the Pod --------------------------------------------------------------------------------------------


def signal_all(word, number):
    """Sends a signal to every process of this container, but us, whose command line has WORD as an argument's end."""
    hit = []
    for pid in os.listdir("/proc"):
        if not pid.isdigit() or int(pid) in (1, os.getpid()):
            continue
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                args = f.read().decode("latin-1").split("\0")
            if any(a.endswith(word) for a in args) and "-c" not in args:
                os.kill(int(pid), number)
                hit.append(int(pid))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return hit


def privileges(word):
    """User, capabilities and the like of every thread of this container whose process has WORD among its arguments."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            args = f.read().decode("latin-1").split("\0")
        if word not in args or "-c" in args:
            continue
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/status") as f:
                lines = dict(line.rstrip("\n").split(":", 1) for line in f)
            found.append({key: lines[key].split() for key in ("Uid", "Gid", "Groups", "NoNewPrivs", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")})
    return found


# --- the sidecar's own pages ----------------------------------------------------------------------------------------


def page(port, path, method="GET"):
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method), timeout=TIMEOUT) as r:
            return {"status": r.status, "type": r.headers.get("Content-Type", ""), "body": r.read().decode()}
    except urllib.error.HTTPError as e:
        return {"status": e.code, "type": e.headers.get("Content-Type", ""), "body": e.read().decode()}


def resolve(host):
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return sorted({entry[4][0] for entry in found})


def resolve_at_once(host, n):
    """So many threads ask for one name in the same moment; how often it was found, and how long the slowest took."""
    start = threading.Barrier(n)

    def ask(_):
        start.wait()
        begun = time.monotonic()
        return len(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)) > 0, time.monotonic() - begun

    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        answers = list(pool.map(ask, range(n)))
    return {"found": sum(found for found, _ in answers), "slowest_s": max(took for _, took in answers)}


def knock_until_refused(host, port):
    """Connects again and again, each time to the first byte; the moment (CLOCK_MONOTONIC, the same for every process
    of the machine) at which it was first refused."""
    told = False
    while True:
        start = time.monotonic()
        try:
            with connect(host, port, 5) as s:
                if not s.recv(1):
                    return start
        except ConnectionError:
            return start
        if not told:
            print(json.dumps("open"), flush=True)
            told = True


def starve(host, port, n_conns, path):
    """Holds N_CONNS silent connections open, and asks for PATH until it is answered: how, or None."""
    held = [connect(host, port) for _ in range(n_conns)]
    deadline = time.monotonic() + TIMEOUT
    try:
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=2) as answer:
                    return answer.status
            except OSError:
                pass  # no place yet: asked again
        return None
    finally:
        for sock in held:
            sock.close()


def dns_over_tcp_beside(server, n_conns, name):
    """Asks over TCP while N_CONNS silent connections to the server are held open: how many addresses came."""
    held = [connect(server, 53) for _ in range(n_conns)]
    out = command("dig", f"@{server}", "+tcp", "+short", "+tries=1", name, "A")
    for sock in held:
        sock.close()
    return len(out.split())


def say_and_hear(sock, word):
    sock.sendall(word.encode())
    got = b""
    while len(got) < len(word.encode()):
        piece = sock.recv(65536)
        if not piece:
            raise RuntimeError(f"the connection ended after {got!r}")
        got += piece
    return got.decode()


def echo_once(host, port, word):
    """One connection to an echo server."""
    with connect(host, port) as sock:
        return say_and_hear(sock, word)


def serve_once(port):
    """A server on loopback that has a word for one client, and ends."""
    with socket.create_server(("127.0.0.1", port)) as server:
        print(json.dumps("listening"), flush=True)
        with server.accept()[0] as sock:
            sock.sendall(b"mine")
    return "served"


def echo_many(host, port, n, held):
    """So many connections to an echo server, one after the other; HELD: all of them open until the last has spoken."""
    socks = []
    for i in range(n):
        socks.append(connect(host, port))
        if say_and_hear(socks[-1], f"word {i}") != f"word {i}":
            raise RuntimeError("another word came back")
        if not held:
            socks.pop().close()
    for sock in socks:
        sock.close()
    return n


def keep_talking(host, port):
    """One connection to an echo server that stays open: each line that the test tells goes there and back."""
    with connect(host, port) as sock:
        print(json.dumps("open"), flush=True)
        for line in sys.stdin:
            print(json.dumps(say_and_hear(sock, line)), flush=True)


def echo_until_end(host, port):
    """One connection to an echo server after the other, until the test says a word."""
    begun, done, failed = False, 0, []
    told = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), told.set()), daemon=True).start()
    while not told.is_set():
        try:
            if echo_once(host, port, f"word {done}") != f"word {done}":
                failed.append("another word came back")
        except Exception as e:
            failed.append(repr(e))
        done += 1
        if not begun:
            begun = True
            print(json.dumps("begun"), flush=True)
    return {"done": done, "failed": failed}


def knocks(host, ports):
    """Says a word at each port of a server that greets: the first line that came, or how it ended without one."""
    out = []
    for port in ports:
        try:
            with connect(host, port) as sock:
                sock.sendall(b"hello\r\n")
                out.append(sock.makefile("rb").readline().decode() or "fin")
        except (ConnectionResetError, BrokenPipeError):
            out.append("reset")
    return out


def say_in_pieces(host, port, pieces, pause_s):
    with connect(host, port) as s:
        for n, piece in enumerate(pieces):
            if n:
                time.sleep(pause_s)
            s.sendall(piece.encode())
        return read_all(s).decode()


def tls_late(host, port, name, silent_s):
    """Connects, is silent, and then asks NAME's server over TLS."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # who answers is told by what it says
    with connect(host, port) as raw:
        time.sleep(silent_s)
        with context.wrap_socket(raw, server_hostname=name) as s:
            s.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            return read_all(s).decode()
