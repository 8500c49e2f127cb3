"""The scenarios of the two guides with real servers: 10 Services x who has a sidecar x PeerAuthentication x DestinationRule.

One mesh is run through all settings once; each row is a test of its own that looks at what came of it. What works must have
done a real thing (a query, a mail, an answer); what went over the wire is told by both sidecars' access logs and by a packet
socket between them; and no row may have waited for a timer where policy does not ask for one.
"""

import json
import statistics
import subprocess
import sys
import threading

import pytest
import row_clients
import server_first
import shop
from conftest import HARK, ROOT, wait_for
from server_first import ANSWERS, MODES, REFUSALS, RULES, SERVERS, Outcome, expected
from wire import Wire

RESULT = ROOT / "build" / "server-first.json"
KNOCKS = 3  # connections for the time to first byte, beside the action and the first knock
TIMEOUT = "2s"  # of handshakes: what is refused only then takes so long
TRANSPORTS = {"mesh-tls": "mTLS", "plaintext": "plaintext"}
# ends of a race (docs/explain.md) that a timer brings about; the head start is none of them: it only makes hark listen to both ends
WORDS = ["the server spoke first", "the client sent a TLS ClientHello", "the client's first bytes are neither HTTP nor TLS",
         "what came is not TLS", "did not authenticate in time"]
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
            "flows": [dict(f) for f in self.flows(row)],
        }


@pytest.fixture(scope="module")
def matrix(new_mesh):
    """{Row: result}, of one run through all of them; build/server-first.json has what the document is made of."""
    files = [shop.config_map(ns, "mongo", {"mongo.py": (shop.HERE / "servers" / "mongo.py").read_text()}) for ns in ("in", "out")]
    settings = shop.mesh_config({"connectTimeout": TIMEOUT}, {"handshakeTimeout": TIMEOUT})
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
    RESULT.write_text(json.dumps(document(results), indent=1) + "\n")
    return results


# --- what came of a row ---------------------------------------------------------------------------------------------


def is_mesh_hello(flow):
    """The first bytes from the client's side are a ClientHello that offers a sidecar's ALPN."""
    return flow["up"].startswith(b"\x16\x03") and b"\x05istio" in flow["up"]


def transport_of(result):
    """As the packets tell it."""
    found = {"mTLS" if is_mesh_hello(f) else "plaintext" for f in result["flows"]}
    return found.pop() if len(found) == 1 else f"now {' now '.join(sorted(found))}"


def is_refusal(how, result):
    """What the client saw and what the refusing sidecar says are those of REFUSALS[how]."""
    r = REFUSALS[how]
    lines = result["outbound" if r.by == "client's" else "inbound"]
    failures = {e["upstream_transport_failure_reason"] for e in lines if e["end"] == "upstream-tls"}
    return set(result["ends"]) == {r.sees} and bool(lines) and {e["end"] for e in lines} <= set(r.ends) and failures <= set(r.tls)


def refusal_of(row, result):
    """The one that it must be, or another one, or what it was instead."""
    want = expected(row).how
    for how in ([want] if want else []) + list(REFUSALS):
        if is_refusal(how, result):
            return how
    ends = {side: sorted({(e["end"], e["upstream_transport_failure_reason"] or "") for e in result[side]}) for side in ("outbound", "inbound")}
    return f"the client saw {result['ends']}; its action: {result['act']}; the sidecars: {ends}"


def outcome_of(row, result):
    done = result["act"].get("answer") == ANSWERS[row.server.kind]
    if done and set(result["ends"]) == {"answered"}:
        return Outcome(True, transport_of(result))
    if done or "answered" in result["ends"] or "answer" in result["act"]:
        return Outcome(False, transport_of(result), f"works now and then: {result['act']}, {result['ends']}")
    return Outcome(False, transport_of(result), refusal_of(row, result))


def document(results):
    """What tools/server_first.py makes docs/server-first.md of."""
    def row_of(row, result):
        got = outcome_of(row, result)
        refusal = REFUSALS.get(got.how)
        return {"service": row.server.service, "place": row.place, "mode": row.mode, "rule": row.rule, "works": got.works,
                "transport": got.transport, "refused": None if got.works else refusal.text if refusal else got.how,
                "error": result["act"].get("error"), "first_byte_ms": result["first_ms"], "elsewhere": server_first.elsewhere(row),
                "as_expected": got == expected(row)}

    return {"knocks": KNOCKS, "servers": [{"service": s.service, "title": s.title, "words": words_of(s, results)} for s in SERVERS],
            "places": list(server_first.PLACES), "modes": MODES, "rules": RULES, "rows": [row_of(r, x) for r, x in results.items()]}


def words_of(server, results):
    """How the first words of a server's rows were decided: {side: {words: how many connections}}."""
    count = {"outbound": {}, "inbound": {}}
    for row, result in results.items():
        if row.server == server:
            for side, found in count.items():
                for e in result[side]:
                    declared = "declares no protocol" not in e["reason"]
                    words = next((w for w in WORDS if w in e["reason"]), "declared: nothing is awaited" if declared else "ended before")
                    if e["early"] and "always spoke first" not in e["reason"]:
                        words += ", after a head start for the client"
                    found[words] = found.get(words, 0) + 1
    return count


# --- the tests ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", server_first.rows(), ids=lambda r: r.id)
def test_row(matrix, row):
    result, want = matrix[row], expected(row)
    assert outcome_of(row, result) == want
    for e in result["outbound"]:
        assert TRANSPORTS[e["upstream_transport"]] == want.transport, e
    for e in result["inbound"]:
        assert (e["connection_security_policy"] == "mutual_tls") == (want.works and want.transport == "mTLS"), e
    for f in result["flows"]:  # what a peer must not see is not on the wire
        if want.works and want.transport == "mTLS":
            assert f["down"].startswith(b"\x16\x03"), f
        elif want.how in ("plaintext", "silence"):
            assert f["down"] == b"", f
    for e in result["outbound"] + result["inbound"]:
        assert not [t for t in TIMERS if t in e["reason"]], e
    assert (result["first_ms"] is not None) == want.works


def test_the_sentences_are_those_of_the_code():
    """Else the rows would prove nothing about timers."""
    code = (ROOT / "src" / "detect" / "first_word.h").read_text()
    assert all(text in code for text in TIMERS)


def test_document_is_that_of_this_run(matrix):
    """Times aside. `python3 tools/server_first.py` writes it anew."""
    done = subprocess.run([sys.executable, str(ROOT / "tools" / "server_first.py"), "--check"], capture_output=True, text=True, check=False)
    assert matrix and done.returncode == 0, done.stdout + done.stderr
