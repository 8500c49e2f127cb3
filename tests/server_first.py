"""The scenarios of the two guides, as a matrix: which server, who has a sidecar, which PeerAuthentication, which
DestinationRule; what must come of each, and what Istio makes of the same resources.

Pure: nothing here asks hark. expected() and elsewhere() are written from the specification; test_server_first.py runs the
matrix and compares, tools/server_first.py makes docs/server-first.md of the run.
"""

import dataclasses

import shop


@dataclasses.dataclass(frozen=True)
class Server:
    """A Service, and what is behind it. KLASS: what its port's declaration amounts to, "TCP" or "AUTO" (nothing declared)."""

    service: str
    title: str
    port: int
    kind: str  # of row_clients.ACTIONS
    klass: str
    app: str
    target: int  # the container's port
    server_first: bool
    # what a server makes of a ClientHello that is not for it: "answers" in its own protocol; "waits" for the rest of what looks
    # like a long message; "waits or ends", when that would be too long, which a ClientHello with a ticket is; or "tls": it
    # speaks TLS and shows a certificate of its own
    hello: str


SERVERS = [
    Server("mysql", "MySQL on 3306, undeclared (well-known port)", 3306, "mysql", "TCP", "mysql", 3306, True, "answers"),
    Server("mysql-named", "MySQL on 3307, named `tcp-mysql-port`", 3307, "mysql", "TCP", "mysql", 33071, True, "answers"),
    Server("mysql-undeclared", "MySQL on 3307, undeclared", 3307, "mysql", "AUTO", "mysql", 33072, True, "answers"),
    Server("mysql-app-protocol", "MySQL on 3307, `appProtocol: mysql`", 3307, "mysql", "TCP", "mysql", 33073, True, "answers"),
    Server("smtp", "SMTP on 25, undeclared (well-known port)", 25, "smtp", "TCP", "smtp", 25, True, "answers"),
    Server("smtp-undeclared", "SMTP on 2525, undeclared", 2525, "smtp", "AUTO", "smtp", 2525, True, "answers"),
    Server("mongo", "MongoDB on 27017, undeclared (well-known port)", 27017, "mongo", "TCP", "mongo", 27017, False, "waits or ends"),
    Server("dns", "DNS over TCP on 53, undeclared (well-known port)", 53, "dns", "TCP", "dns", 53, False, "waits"),
    Server("https-undeclared", "HTTPS on 8443, undeclared", 8443, "https", "AUTO", "https", 8443, False, "tls"),
    Server("https-named", "HTTPS on 8443, named `https-web`", 8443, "https", "TCP", "https", 8444, False, "tls"),
]

# who has a sidecar: (the client, the server)
PLACES = {"client and server meshed": (True, True), "client meshed, server not": (True, False), "client not meshed, server meshed": (False, True)}

MODES = ["STRICT", "PERMISSIVE", "DISABLE", "PERMISSIVE, port DISABLE"]
RULES = ["none", "ISTIO_MUTUAL", "DISABLE"]

# what the real client must be answered (kind: answer)
ANSWERS = {
    "mysql": "1300",
    "smtp": True,
    "mongo": [[7, 2013, True], [8, 2013, True]],
    "dns": "192.0.2.80",
    "https": "hello over TLS",
}


@dataclasses.dataclass(frozen=True)
class Row:
    server: Server
    place: str
    mode: str
    rule: str

    @property
    def client_meshed(self):
        return PLACES[self.place][0]

    @property
    def server_meshed(self):
        return PLACES[self.place][1]

    @property
    def client(self):
        return "in/client" if self.client_meshed else "out/client"

    @property
    def server_ns(self):
        return "in" if self.server_meshed else "out"

    @property
    def id(self):
        return f"{self.server.service}-{self.place}-{self.mode}-rule {self.rule}".replace(",", "").replace(" ", "-")


def rows():
    """All of them; those of one PeerAuthentication and DestinationRule together."""
    return [Row(s, p, m, r) for m in MODES for r in RULES for p in PLACES for s in SERVERS]


# --- resources ------------------------------------------------------------------------------------------------------


def peer_authentication(ns, name, **spec):
    return {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": shop.meta(name, ns), "spec": spec}


def peer_authentications(mode):
    """Mesh-wide; and where a port is excepted, one for each workload, with its containers' ports."""
    if mode != "PERMISSIVE, port DISABLE":
        return [peer_authentication("istio-system", "default", mtls={"mode": mode})]
    apps = {}
    for s in SERVERS:
        apps.setdefault(s.app, {})[str(s.target)] = {"mode": "DISABLE"}
    return [peer_authentication("istio-system", "default", mtls={"mode": "PERMISSIVE"}),
            *(peer_authentication(ns, app, selector={"matchLabels": {"app": app}}, portLevelMtls=ports)
              for ns in ("in", "out") for app, ports in apps.items())]


def destination_rules(rule):
    """For every Service, in its own namespace."""
    if rule == "none":
        return []
    return [{"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": shop.meta("all", ns),
             "spec": {"host": f"*.{ns}.svc.cluster.local", "trafficPolicy": {"tls": {"mode": rule}}}} for ns in ("in", "out")]


# --- what must come of a row ----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What happens to the client, and what goes over the wire between the two Pods: "mTLS" or "plaintext". HOW, when the
    connection does not work, is one of REFUSALS."""

    works: bool
    transport: str
    how: str = ""


@dataclasses.dataclass(frozen=True)
class Refusal:
    sees: str  # the client's end of it, as row_clients.knock() names it
    by: str  # whose sidecar ends it: "client's" or "server's"
    ends: tuple  # ... with one of these as `end` in its access log
    text: str
    tls: tuple = ()  # and, where TLS with the server failed, one of these as the reason


REFUSALS = {
    "plaintext": Refusal("reset", "server's", ("refused-by-plan",), "reset at once"),
    "silence": Refusal("reset", "server's", ("handshake-timeout",), "reset at `handshakeTimeout`"),
    "no certificate": Refusal("alert", "server's", ("downstream-tls",), "TLS alert"),
    "no TLS there": Refusal("reset", "client's", ("upstream-tls",), "reset at once", ("the peer's bytes are not TLS",)),
    "foreign certificate": Refusal("reset", "client's", ("upstream-tls",), "reset at once",
                                   ("the peer's certificate leads to no trusted root", "the peer refused the handshake")),
    "no answer there": Refusal("reset", "client's", ("connect-timeout",), "reset at `connectTimeout`"),
    "no answer there, or an end": Refusal("reset", "client's", ("connect-timeout", "upstream-tls"), "reset at `connectTimeout` at the latest",
                                          ("the peer closed the connection in the middle of the handshake", "the peer reset the connection")),
}


def client_speaks_mesh_tls(row):
    """What the client's side puts on the wire. A DestinationRule is taken at its word; without one each endpoint gets mesh TLS
    when it has a sidecar whose port does not disable it. A client without a sidecar knows of neither."""
    if not row.client_meshed:
        return False
    if row.rule != "none":
        return row.rule == "ISTIO_MUTUAL"
    return row.server_meshed and row.mode in ("STRICT", "PERMISSIVE")


def server_takes(row):
    """What the server's side accepts: {"mTLS"}, {"plaintext"} or both. Without a sidecar, and where the port disables mTLS,
    every byte is the application's."""
    if not row.server_meshed or row.mode in ("DISABLE", "PERMISSIVE, port DISABLE"):
        return {"plaintext"}
    return {"mTLS"} if row.mode == "STRICT" else {"mTLS", "plaintext"}


def expected(row):
    """hark's outcome: policy alone decides; who speaks first and what is declared make no difference to what works."""
    transport = "mTLS" if client_speaks_mesh_tls(row) else "plaintext"
    if transport in server_takes(row):
        return Outcome(True, transport)
    if transport == "mTLS":  # the ClientHello reaches the application
        how = {"answers": "no TLS there", "waits": "no answer there", "waits or ends": "no answer there, or an end",
               "tls": "foreign certificate"}[row.server.hello]
    elif row.server.kind == "https":  # STRICT: the client's own ClientHello is taken for mesh TLS, and it has no certificate
        how = "no certificate"
    else:  # STRICT: bytes are refused at once; silence could still become a ClientHello
        how = "silence" if row.server.server_first else "plaintext"
    return Outcome(False, transport, how)


# --- what Istio does ------------------------------------------------------------------------------------------------


def elsewhere(row):
    """Istio with the same resources, in a word or two for the table. The D rows are those of docs/explain.md."""
    silent, undeclared = row.server.server_first, row.server.klass == "AUTO"
    if row.client_meshed and undeclared and silent:
        return "stalls (D5)"  # the client's sidecar waits for the client, whatever comes after
    mtls = client_speaks_mesh_tls(row)  # auto mTLS comes to the same here: no headless Service, and policies that agree
    if not row.server_meshed:
        return "TLS to the app" if mtls else "plaintext"
    if row.mode in ("DISABLE", "PERMISSIVE, port DISABLE"):
        if mtls:
            return "TLS to the app"
        return "stalls (D2)" if undeclared and silent else "plaintext"
    if mtls:
        return "mTLS"
    if row.mode == "PERMISSIVE":
        return "stalls (D1)" if silent else "plaintext"
    if silent:
        return "stalls (D3)"
    return "TLS alert" if row.server.kind == "https" else "reset"
