#!/usr/bin/env python3
"""Speaks MongoDB's wire protocol as far as a driver's first words go: OP_MSG with `hello` and `ping`.

    mongo.py PORT

Framing is the real one: a header of 16 bytes (length, request id, id answered, operation), then as many bytes as the length
says; like mongod it waits for all of them. What is no OP_MSG, or longer than mongod's 48,000,000 bytes, ends the connection.
"""

import asyncio
import struct
import sys

OP_MSG = 2013
MAX_MESSAGE = 48_000_000
HEADER = struct.Struct("<iiii")


def bson(document):
    """A document of strings, booleans, 32-bit integers and doubles."""
    body = b""
    for name, value in document.items():
        key = name.encode() + b"\0"
        if isinstance(value, bool):
            body += b"\x08" + key + bytes([value])
        elif isinstance(value, int):
            body += b"\x10" + key + struct.pack("<i", value)
        elif isinstance(value, float):
            body += b"\x01" + key + struct.pack("<d", value)
        else:
            text = value.encode() + b"\0"
            body += b"\x02" + key + struct.pack("<i", len(text)) + text
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def command(message):
    """Name of the first element of the document: the command."""
    kind, start = message[4], 5 + 4  # flags, the section's kind, the document's length
    if kind != 0 or message[start] not in b"\x01\x08\x10":
        raise ValueError("not one document that begins with a command")
    return message[start + 1 : message.index(b"\0", start + 1)].decode()


def answer(name):
    if name in ("hello", "isMaster", "ismaster"):
        return {"helloOk": True, "isWritablePrimary": True, "minWireVersion": 0, "maxWireVersion": 17, "ok": 1.0}
    if name == "ping":
        return {"ok": 1.0}
    return {"ok": 0.0, "errmsg": f"no such command: '{name}'", "code": 59}


async def serve(reader, writer):
    try:
        while True:
            length, request, _, operation = HEADER.unpack(await reader.readexactly(HEADER.size))
            if not HEADER.size + 10 <= length <= MAX_MESSAGE:
                break
            message = await reader.readexactly(length - HEADER.size)
            if operation != OP_MSG:
                break
            body = struct.pack("<i", 0) + b"\0" + bson(answer(command(message)))
            writer.write(HEADER.pack(HEADER.size + len(body), 1, request, OP_MSG) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, ValueError, IndexError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, None, int(sys.argv[1]), limit=1 << 16)
    async with server:
        await server.serve_forever()


asyncio.run(main())
