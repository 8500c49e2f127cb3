"""The scenarios of the two guides with real servers: 10 Services x who has a sidecar x PeerAuthentication x DestinationRule.

One mesh is run through all settings once; each row is a test of its own that looks at what came of it. What works must have
done a real thing (a query, a mail, an answer); what went over the wire is told by both sidecars' access logs and by a packet
socket between them; and no row may have waited for a timer where policy does not ask for one.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import threading

import pytest
import row_clients
import server_first
import shop
from conftest import HARK, ROOT, wait_for
from server_first import ANSWERS, MODES, RULES, SERVERS
from wire import Wire

RESULT = ROOT / "build" / "server-first.json"
KNOCKS = 3  # connections for the time to first byte, beside the action and the first knock
HANDSHAKE_TIMEOUT = "2s"
TRANSPORTS = {"mesh-tls": "mTLS", "plaintext": "plaintext", "mutual_tls": "mTLS", "none": "plaintext"}
# ends of a race (docs/explain.md) that a timer brings about; the head start is none of them: it only makes hark listen to both ends
TIMERS = ["no ClientHello came within the window", "sent nothing more", "the protocol detection timeout is over"]


class Follower:
    """`hark logs -f` of a sidecar: its access log as it comes."""

    def __init__(self, mesh, pod):
        self.lines = []
        self.process = subprocess.Popen([HARK, "logs", "-n", mesh.name, pod, "-c", "istio-proxy", "-f"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            entry = json.loads(line) if line.startswith("{") else {}
            if "bytes_sent" in entry:
                self.lines.append(entry)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.thread.join()


class Town:
    """The mesh of the matrix: all servers and a client in `in` with sidecars and in `out` without."""

    def __init__(self, mesh):
        self.mesh = mesh
        self.sidecars = ["in/client", *(f"in/{app}" for app in {s.app: None for s in SERVERS})]
        self.ips = {}
        for pod in mesh.get("pods")["items"]:
            for e in pod["status"]["podIPs"]:
                self.ips[e["ip"]] = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        self.logs = {pod: Follower(mesh, pod) for pod in self.sidecars}
        self.wire = Wire(mesh)
        self.clients = {ns: mesh.start(f"{ns}/client", row_clients.serve_rows) for ns in ("in", "out")}
        self.policies = {}

    def close(self):
        for log in self.logs.values():
            log.close()
        self.wire.close()

    def ask(self, **orders):
        """Gives each client its order, then takes the answers: {namespace: answer}."""
        for ns, order in orders.items():
            self.clients[ns].tell(json.dumps(order))
        return {ns: self.clients[ns].hear() for ns in orders}

    def set(self, kind, objects):
        """Makes OBJECTS all that there is of KIND, and waits until every sidecar goes by them."""
        name = kind.lower() + "s"
        before = self.policies.get(kind, [])
        keys = {(o["metadata"]["namespace"], o["metadata"]["name"]) for o in objects}
        gone = [o for o in before if (o["metadata"]["namespace"], o["metadata"]["name"]) not in keys]
        if gone:
            self.mesh.delete(shop.documents(*gone))
        if objects:
            self.mesh.apply(shop.documents(*objects))
        self.policies[kind] = objects
        versions = [int(o["metadata"]["resourceVersion"]) for o in self.mesh.get(name)["items"]]

        def follows(pod):
            config = json.loads(self.mesh.exec(pod, "curl", "-s", "localhost:15000/config").stdout)
            return config["counts"][name] == len(objects) and config["version"] >= max(versions, default=0)

        for pod in self.sidecars:
            wait_for(lambda p=pod: follows(p), what=f"the {kind}s at {pod}")


def order_of(row):
    return {"host": f"{row.server.service}.{row.server_ns}", "port": row.server.port, "kind": row.server.kind}


def port_of(address):
    return int((address or ":0").rsplit(":", 1)[1])


def ip_of(address):
    return (address or ":0").rsplit(":", 1)[0].strip("[]")


class Setting:
    """All rows of one PeerAuthentication and DestinationRule, run together."""

    def __init__(self, town, rows, token):
        self.town = town
        self.rows = {ns: [r for r in rows if r.client == f"{ns}/client"] for ns in ("in", "out")}
        self.marks = {pod: len(log.lines) for pod, log in town.logs.items()}
        self.wire_mark = town.wire.mark()
        acts = town.ask(**{ns: {"act": [order_of(r) for r in rs], "token": token} for ns, rs in self.rows.items()})
        self.acts = {r: a for ns, rs in self.rows.items() for r, a in zip(rs, acts[ns])}
        self.knocks = {r: [a["knock"]] for r, a in self.acts.items()}
        for ns, rs in self.rows.items():
            answered = [r for r in rs if self.knocks[r][0]["end"] == "answered"]
            times = town.ask(**{ns: {"time": [order_of(r) for r in answered], "count": KNOCKS}})[ns]
            for r, more in zip(answered, times):
                self.knocks[r] += more

    def outbound(self, row):
        """The client's sidecar's lines."""
        if not row.client_meshed:
            return []
        host = f"{row.server.service}.{row.server_ns}.svc.cluster.local"
        return [e for e in self.town.logs["in/client"].lines[self.marks["in/client"] :]
                if e["side"] == "outbound" and e["destination_service"] == host]

    def inbound(self, row):
        """The server's sidecar's lines."""
        if not row.server_meshed:
            return []
        pod = f"in/{row.server.app}"
        return [e for e in self.town.logs[pod].lines[self.marks[pod] :]
                if e["side"] == "inbound" and port_of(e["downstream_local_address"]) == row.server.target
                and self.town.ips.get(ip_of(e["downstream_remote_address"])) == row.client]

    def flows(self, row):
        server = f"{row.server_ns}/{row.server.app}"
        return [f for f in self.town.wire.flows(self.wire_mark) if f["server_port"] == row.server.target
                and self.town.ips.get(f["server"]) == server and self.town.ips.get(f["client"]) == row.client]

    def connections(self, row):
        """How many the client made: the action's and the knocks."""
        return 1 + len(self.knocks[row])

    def result(self, row):
        n = self.connections(row)
        for meshed, lines, whose in ((row.client_meshed, self.outbound, "client's"), (row.server_meshed, self.inbound, "server's")):
            if meshed:
                wait_for(lambda f=lines: len(f(row)) >= n, what=f"{n} lines of the {whose} access log for {row.id}")
        wait_for(lambda: len(self.flows(row)) >= n, what=f"{n} connections on the wire for {row.id}")
        knocks = self.knocks[row]
        times = [k["first_ms"] for k in knocks[1:] if "first_ms" in k]
        return {
            "act": {k: v for k, v in self.acts[row].items() if k != "knock"},
            "ends": [k["end"] for k in knocks],
            "first_ms": round(statistics.median(times), 2) if times else None,
            "outbound": self.outbound(row),
            "inbound": self.inbound(row),
            "flows": [{"up": f["up"].hex(), "down": f["down"].hex()} for f in self.flows(row)],
        }


@pytest.fixture(scope="module")
def matrix(new_mesh):
    """{Row: result}, of one run through all of them."""
    files = [shop.config_map(ns, "mongo", {"mongo.py": (shop.HERE / "servers" / "mongo.py").read_text()}) for ns in ("in", "out")]
    settings = shop.mesh_config({}, {"handshakeTimeout": HANDSHAKE_TIMEOUT})
    text = shop.documents(shop.namespace("in", True), shop.namespace("out", False), settings, *files)
    town = Town(new_mesh(text + "".join("---\n" + shop.moved(shop.HERE / "servers" / "server_first.yaml", ns) for ns in ("in", "out"))))
    results = {}
    try:
        for mode in MODES:
            town.set("PeerAuthentication", server_first.peer_authentications(mode))
            for rule in RULES:
                town.set("DestinationRule", server_first.destination_rules(rule))
                rows = [r for r in server_first.rows() if (r.mode, r.rule) == (mode, rule)]
                setting = Setting(town, rows, f"mail{len(results)}")
                results.update({r: setting.result(r) for r in rows})
    finally:
        town.close()
    return results


def test_dump(matrix):
    import pickle
    pickle.dump(matrix, open("/tmp/matrix.pickle", "wb"))
