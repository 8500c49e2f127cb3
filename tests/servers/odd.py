#!/usr/bin/env python3
"""Small real servers for the hard cases: one port per habit.

    odd.py [--finish] echo:9000 late:9001 ...

With --finish it takes SIGTERM as a request: no new connections, and the end when the open ones have ended.

Each connection leaves two JSON lines on standard output, at its start and at its end:

    {"port": 9000, "mode": "echo", "event": "open", "n": 1}
    {"port": 9000, "mode": "echo", "event": "end", "n": 1, "bytes": 5, "sha256": "...", "how": "fin"}

`bytes` and `sha256` are of what the client sent; `how` is "fin" or "reset".
"""

import asyncio
import hashlib
import json
import signal
import socket
import struct
import sys

CHUNK = 256 * 1024


class Conn:
    """One accepted connection: counts and hashes what comes in."""

    def __init__(self, sock):
        self.sock = sock
        self.loop = asyncio.get_running_loop()
        self.bytes = 0
        self.hash = hashlib.sha256()

    async def recv(self):
        data = await self.loop.sock_recv(self.sock, CHUNK)
        self.bytes += len(data)
        self.hash.update(data)
        return data

    async def send(self, data):
        await self.loop.sock_sendall(self.sock, data)

    def end_sending(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def drain(self):
        while await self.recv():
            pass


BASE = b"".join(hashlib.sha256(bytes([i & 255, i >> 8])).digest() for i in range(CHUNK // 32))


def pattern(n_bytes):
    """The same bytes for everybody, in blocks that begin with their offset: none equals another."""
    for at in range(0, n_bytes, CHUNK):
        yield (struct.pack(">Q", at) + BASE[8:])[: n_bytes - at]


async def echo(c):
    while data := await c.recv():
        await c.send(data)
    c.end_sending()


async def greet(c):
    await c.send(b"220 odd ready\r\n")
    await echo(c)


async def late(c):
    """Says nothing for 3 s, and then greets."""
    await asyncio.sleep(3)
    await greet(c)


async def pieces(c):
    """A greeting byte by byte."""
    for byte in b"220 piece by piece\r\n":
        await c.send(bytes([byte]))
        await asyncio.sleep(0.02)
    await echo(c)


async def chargen(c):
    """RFC 864: speaks until the client goes away."""
    line = bytes(range(33, 105)) + b"\r\n"
    while True:
        await c.send(line * 100)


async def daytime(c):
    """RFC 867: the whole answer, then the end, in one breath."""
    await c.send(b"Friday, January 1, 2027 12:00:00-UTC\r\n")
    c.end_sending()
    await c.drain()


async def close(c):
    """Closes before a word."""


async def deny(c):
    """Refuses in words."""
    await c.send(b"-DENIED try elsewhere\r\n")


async def reset(c):
    """Resets before a word."""
    c.reset()


async def reset_after(c):
    """Greets, and resets once the client has answered."""
    await c.send(b"220 not for long\r\n")
    await c.recv()
    c.reset()


async def timeout(c):
    """An HTTP server that gives up on a silent client."""
    await asyncio.sleep(0.3)
    await c.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


async def half(c):
    """Ends its own side after the greeting and goes on listening."""
    await c.send(b"220 your turn\r\n")
    c.end_sending()
    await c.drain()


async def bulk(c):
    """Sends as many bytes as the client's first 8 say, while it reads whatever comes."""
    first = b""
    while len(first) < 8:
        data = await c.recv()
        if not data:
            return
        first += data
    (size,) = struct.unpack(">Q", first[:8])
    reading = asyncio.create_task(c.drain())
    for block in pattern(size):
        await c.send(block)
    c.end_sending()
    await reading


MODES = {f.__name__.replace("_", "-"): f for f in
         (echo, greet, late, pieces, chargen, daytime, close, deny, reset, reset_after, timeout, half, bulk)}


def say(**what):
    print(json.dumps(what), flush=True)


async def life(sock, mode, port, n):
    say(port=port, mode=mode, event="open", n=n)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    c = Conn(sock)
    how = "fin"
    try:
        await MODES[mode](c)
    except (ConnectionResetError, BrokenPipeError):
        how = "reset"
    except OSError as e:
        how = str(e)
    finally:
        say(port=port, mode=mode, event="end", n=n, bytes=c.bytes, sha256=c.hash.hexdigest(), how=how)
        sock.close()


async def serve(mode, port, tasks):
    listener = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096)
    listener.setblocking(False)
    n = 0
    with listener:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            n += 1
            task = asyncio.create_task(life(sock, mode, port, n))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


async def main(args):
    finish = "--finish" in args
    tasks = set()
    servers = [asyncio.create_task(serve(mode, int(port), tasks))
               for mode, port in (arg.split(":") for arg in args if arg != "--finish")]
    if finish:
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
        await asked.wait()
        for server in servers:
            server.cancel()
        while tasks:
            await asyncio.wait(tasks)
    else:
        await asyncio.gather(*servers)


if __name__ == "__main__":
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main(sys.argv[1:]))
