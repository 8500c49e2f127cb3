"""What passes between the Pods of a mesh, as the bridge's network sees it: the first bytes of each connection, either way.

    wire = Wire(mesh)
    mark = wire.mark()
    ...
    wire.flows(mark)    # [{"client": "198.18.0.16", "port": 40123, "server": "198.18.0.20", "server_port": 3306,
                        #   "up": b"first bytes from the client", "down": b"... from the server"}]
    wire.close()

Nothing of hark has a part in it: a process in the node's network namespace reads frames from a packet socket.
"""

import json
import socket
import struct
import subprocess
import sys
import threading

KEEP = 600  # of a payload: a ClientHello's ALPN is in there


def tcp_of(frame):
    """(source, destination, TCP segment) of an Ethernet frame; None: no TCP."""
    kind, packet = frame[12:14], frame[14:]
    if kind == b"\x08\x00" and packet[9] == socket.IPPROTO_TCP:
        head, end = (packet[0] & 15) * 4, struct.unpack(">H", packet[2:4])[0]
        return socket.inet_ntop(socket.AF_INET, packet[12:16]), socket.inet_ntop(socket.AF_INET, packet[16:20]), packet[head:end]
    if kind == b"\x86\xdd" and packet[6] == socket.IPPROTO_TCP:
        end = 40 + struct.unpack(">H", packet[4:6])[0]
        return socket.inet_ntop(socket.AF_INET6, packet[8:24]), socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[40:end]
    return None


def listen():
    """Prints a line of JSON per connection that begins, and one per side for the first bytes that it sends."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # every protocol
    sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE: a burst must not overrun it
    flows = {}  # (client, port, server, port): which sides have spoken
    print(json.dumps({"event": "listening"}), flush=True)
    while True:
        frame = sock.recv(1 << 16)
        parsed = tcp_of(frame)
        if not parsed:
            continue
        source, destination, tcp = parsed
        sport, dport = struct.unpack(">HH", tcp[:4])
        payload, flags = tcp[(tcp[12] >> 4) * 4 :], tcp[13]
        up, down = (source, sport, destination, dport), (destination, dport, source, sport)
        if flags & 2:  # SYN; each frame passes twice, in and out
            if not flags & 16 and flows.get(up) != {tcp[4:8]}:
                flows[up] = {tcp[4:8]}
                print(json.dumps({"event": "begin", "flow": up}), flush=True)
        elif payload:
            for key, side in ((up, "up"), (down, "down")):
                if key in flows and side not in flows[key]:
                    flows[key].add(side)
                    print(json.dumps({"event": side, "flow": key, "bytes": payload[:KEEP].hex()}), flush=True)


class Wire:
    def __init__(self, mesh):
        with open(f"/run/hark/{mesh.name}/pid", encoding="ascii") as f:
            node = f.read().split()[0]
        self.process = subprocess.Popen(["nsenter", "-t", node, "-n", sys.executable, __file__], stdout=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, text=True)
        self.begun, self.open = [], {}
        assert self.process.stdout.readline(), "the listener on the wire did not start"
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            key = tuple(event["flow"])
            if event["event"] == "begin":
                client, port, server, server_port = key
                flow = {"client": client, "port": port, "server": server, "server_port": server_port, "up": b"", "down": b""}
                self.open[key] = flow
                self.begun.append(flow)
            else:
                self.open[key][event["event"]] = bytes.fromhex(event["bytes"])

    def mark(self):
        return len(self.begun)

    def flows(self, mark=0):
        return self.begun[mark:]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.thread.join()


if __name__ == "__main__":
    listen()
