"""Wire compatibility with Istio's sidecars, shown with TLS stacks that are not hark's (Python's ssl, OpenSSL's and GnuTLS's
commands): what a server's sidecar makes of every ALPN list under every mode and class of port, versions, ciphers, names;
and what a client's sidecar says to a server that is as Istio's are."""

import json
import os

import clients
import pytest
import shop
import tls_peers
from authority import Authority, spiffe
from conftest import wait_for

# --- the server's sidecar -------------------------------------------------------------------------------------------

MODES = ("PERMISSIVE", "STRICT", "DISABLE")
CLASSES = {"TCP": "tcp-{}", "HTTP": "http-{}", "AUTO": "p{}"}  # by the name of the Service's port
CELLS = {(mode, kind): 9000 + n for n, (mode, kind) in enumerate((m, c) for m in MODES for c in CLASSES)}

# What Istio's sidecars offer, and lists that are none of theirs; what a server may select of each.
OFFERS = {
    "istio-tcp": (["istio-peer-exchange", "istio"], None),
    "istio-tcp-h2": (["istio-peer-exchange", "istio", "h2"], "h2"),
    "istio-http": (["istio-http/1.1", "istio", "http/1.1"], "http/1.1"),
    "istio-http10": (["istio-http/1.0", "istio", "http/1.0"], None),
    "istio-h2": (["istio-h2", "istio", "h2"], "h2"),
    "h2": (["h2"], "h2"),
    "none": ([], None),
}

# ended: mesh TLS ends in the sidecar; passed: the application sees the TLS; refused: reset; alert: for want of a certificate.
# A port declared HTTP whose mode is DISABLE would answer TLS with 400: that comes with HTTP, until then bytes are bytes.
TABLE = """
              PERMISSIVE              STRICT             DISABLE
              TCP    HTTP    AUTO     TCP   HTTP  AUTO   TCP    HTTP   AUTO
istio-tcp     ended  ended   ended    ended ended ended  passed passed passed
istio-tcp-h2  ended  ended   ended    ended ended ended  passed passed passed
istio-http    ended  ended   ended    ended ended ended  passed passed passed
istio-http10  ended  ended   ended    ended ended ended  passed passed passed
istio-h2      ended  ended   ended    ended ended ended  passed passed passed
h2            passed refused passed   ended ended ended  passed passed passed
none          passed refused passed   ended ended ended  passed passed passed
nobody        passed refused passed   alert alert alert  passed passed passed
nobody-istio  alert  alert   alert    alert alert alert  passed passed passed
"""
ROWS = {line.split()[0]: line.split()[1:] for line in TABLE.strip().splitlines()[2:]}
LAST = CELLS["STRICT", "TCP"]


def either(ns, name, ports, certificates):
    """The application of servers/either.py with a certificate of its own. PORTS: number -> name of the Service's port."""
    files = {"either.py": (shop.HERE / "servers" / "either.py").read_text(), **certificates}
    command = ["python3", "/config/either.py", "/config/app.pem", "/config/app.key", *map(str, ports)]
    return [shop.config_map(ns, f"{name}-files", files),
            shop.pod(ns, name, command, files=f"{name}-files", ready_port=min(ports)),
            shop.service(ns, name, name, [(port, {"name": text}) for port, text in ports.items()])]


def modes(ns, app, by_port):
    return {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": shop.meta(app, ns),
            "spec": {"selector": {"matchLabels": {"app": app}}, "mtls": {"mode": "PERMISSIVE"},
                     "portLevelMtls": {port: {"mode": mode} for port, mode in by_port.items()}}}


# --- the client's sidecar -------------------------------------------------------------------------------------------

ISTIO_TCP = ["istio-peer-exchange", "h2", "http/1.1"]  # what the TCP chain of Istio's sidecars selects from
SERVERS = {
    "tcp": {"port": 7000, "cert": "server", "alpn": ISTIO_TCP},
    "http": {"port": 7001, "cert": "server", "alpn": ["h2", "http/1.1"]},
    "1.2": {"port": 7002, "cert": "server", "alpn": ISTIO_TCP, "version": "TLSv1_2"},
    "1.3": {"port": 7003, "cert": "server", "alpn": ISTIO_TCP, "version": "TLSv1_3"},
    "rsa": {"port": 7004, "cert": "server-rsa", "version": "TLSv1_2"},
    "alias": {"port": 7005, "cert": "server-alias"},
    "wrong account": {"port": 7006, "cert": "server-account"},
    "wrong namespace": {"port": 7007, "cert": "server-namespace"},
    "wrong domain": {"port": 7008, "cert": "server-domain"},
    "no name": {"port": 7009, "cert": "server-nameless"},
    "wrong root": {"port": 7010, "cert": "server-foreign"},
    "expired": {"port": 7011, "cert": "server-expired"},
    "untrusting": {"port": 7012, "cert": "server", "trust": "others"},
    "hello": {"port": 7013, "mode": "hello"},
}
SERVER_ID = spiffe("out", "server")


def peer(name, port, command):
    """A Pod without a sidecar that says that it speaks mesh TLS, and its Service."""
    labels = {"security.istio.io/tlsMode": "istio"}
    one = shop.pod("out", name, command, files="peer-files", ready_port=port, labels=labels)
    one["spec"]["serviceAccountName"] = "server"
    return one


def peers():
    files = {"mesh_server.py": (shop.HERE / "servers" / "mesh_server.py").read_text(), "servers.json": json.dumps([*SERVERS.values()])}
    server = peer("server", 7000, ["python3", "/server/mesh_server.py", "/server/servers.json"])
    server["spec"]["containers"][0]["volumeMounts"].append({"name": "server", "mountPath": "/server"})
    server["spec"]["volumes"].append({"name": "server", "configMap": {"name": "server-files"}})
    own = ["/config/server.pem", "/config/server.key", "/config/root.pem"]
    openssl = ["openssl", "s_server", "-accept", "7000", "-cert", own[0], "-cert_chain", own[0], "-key", own[1], "-CAfile", own[2],
               "-Verify", "3", "-verify_return_error", "-rev", "-quiet"]
    return [shop.config_map("out", "server-files", files), server, peer("openssl", 7000, openssl),
            shop.service("out", "server", "server", [*(row["port"] for row in SERVERS.values()), (7113, {"name": "tcp-7113", "targetPort": 7013})]),
            shop.service("out", "openssl", "openssl", [7000])]


# --- the mesh -------------------------------------------------------------------------------------------------------


def certificates(ours, others):
    """NAME.pem and NAME.key of everybody who is not hark."""
    pairs = {
        "peer": ours.issue(spiffe("out")),
        "rsa": ours.issue(spiffe("out"), kind="rsa"),
        "alias": ours.issue(spiffe("out", domain="old.example")),
        "domain": ours.issue(spiffe("out", domain="else.example")),
        "server": ours.issue(SERVER_ID),
        "server-rsa": ours.issue(SERVER_ID, kind="rsa"),
        "server-alias": ours.issue(spiffe("out", "server", "old.example")),
        "server-account": ours.issue(spiffe("out", "other")),
        "server-namespace": ours.issue(spiffe("in", "server")),
        "server-domain": ours.issue(spiffe("out", "server", "else.example")),
        "server-nameless": ours.issue(),
        "server-foreign": others.issue(SERVER_ID),
        "server-expired": ours.issue(SERVER_ID, starts=-7200, ends=-3600),
    }
    files = {f"{name}.{end}": pair[part] for name, pair in pairs.items() for end, part in (("pem", "chain"), ("key", "key"))}
    return {**files, "root.pem": ours.root, "others.pem": others.root}


@pytest.fixture(scope="module")
def town(new_mesh, tmp_path_factory):
    """`in` with sidecars: an application on a port per mode and class. `out` without: peers with certificates of the mesh."""
    ours, others = (Authority(tmp_path_factory.mktemp("authority") / name, name) for name in ("ours", "others"))
    app = ours.issue(dns=["app.example"])
    docs = [shop.namespace("in", True), shop.namespace("out", False), shop.client("in"),
            shop.mesh_config({"trustDomainAliases": ["old.example"]}),
            shop.config_map("out", "peer-files", certificates(ours, others)), shop.client("out", "peer", files="peer-files"),
            *either("in", "app", {port: CLASSES[kind].format(port) for (_, kind), port in CELLS.items()},
                    {"app.pem": app["chain"], "app.key": app["key"]}),
            modes("in", "app", {port: mode for (mode, _), port in CELLS.items()}), *peers()]
    return new_mesh(shop.documents(*docs), "--ca-dir", str(ours.folder))


def visits(mesh, rows):
    """One visit per row, each to another port; every answer comes with its line of the access log."""
    before = len(mesh.access_log("in/app", side="inbound"))
    answers = mesh.call("out/peer", tls_peers.visits, "app.in", rows)
    for row, got in zip(rows, answers):
        def found(port=row["port"]):
            lines = mesh.access_log("in/app", side="inbound")[before:]
            return [e for e in lines if e["downstream_local_address"].endswith(f":{port}")]
        got["line"] = wait_for(found, what="the access log line")[0]
    return answers


def visit(mesh, **row):
    return visits(mesh, [row])[0]


def counter(mesh, pod, name, **labels):
    """The sum over all series of NAME that have these labels."""
    total = 0
    for line in mesh.admin(pod, "/stats/prometheus")["body"].splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == name and all(f'{k}="{v}"' in series for k, v in labels.items()):
            total += float(value)
    return total


def outcome(got):
    if got["answer"]:
        return {"plaintext": "ended", "tls": "passed"}[json.loads(got["answer"])["saw"]]
    return {"ConnectionResetError": "refused", "TLSV13_ALERT_CERTIFICATE_REQUIRED": "alert"}.get(got["error"], got["error"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("offer", ROWS)
def test_alpn(town, offer, mode):
    """Every cell of the table; and what is selected is never `istio` and never `istio-peer-exchange`."""
    alpn, selected = OFFERS.get(offer, OFFERS["istio-tcp"] if offer == "nobody-istio" else (["http/1.1"], None))
    rows = [{"port": CELLS[mode, kind], "alpn": alpn, "cert": None if "nobody" in offer else "peer"} for kind in CLASSES]
    answers = dict(zip(CLASSES, visits(town, rows)))
    want = dict(zip(CELLS, ROWS[offer]))
    assert {kind: outcome(got) for kind, got in answers.items()} == {kind: want[mode, kind] for kind in CLASSES}
    for kind, got in answers.items():
        line = got["line"]
        if want[mode, kind] == "ended":
            assert (got["alpn"], got["names"]) == (selected, [spiffe("in")])
            assert line["source_principal"] == spiffe("out") and line["connection_security_policy"] == "mutual_tls"
        elif want[mode, kind] == "passed":
            assert got["names"] == ["app.example"]
            assert line["source_principal"] is None and line["connection_security_policy"] == "none"
        elif want[mode, kind] == "refused":
            assert line["end"] == "refused-by-plan" and "declared HTTP" in line["reason"] and not line["upstream_host"]
        else:
            assert line["downstream_transport_failure_reason"] == "the peer presented no certificate"
            assert mode == "PERMISSIVE" or not line["upstream_host"]  # there plaintext may have been expected, see decision 117


@pytest.mark.parametrize("mode", ["PERMISSIVE", "STRICT"])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("cert", ["peer", "rsa"])
def test_peer_of_one_version(town, mode, version, cert):
    got = visit(town, port=CELLS[mode, "AUTO"], cert=cert, alpn=OFFERS["istio-tcp"][0], version=version)
    assert outcome(got) == "ended" and got["version"] == version.replace("_", ".")
    assert got["line"]["tls_version"] == got["version"]


def test_older_versions_are_refused(town):
    for version in ("TLSv1", "TLSv1_1"):
        got = visit(town, port=LAST, cert="peer", version=version, ciphers="ALL:@SECLEVEL=0")
        assert got["error"] == "TLSV1_ALERT_PROTOCOL_VERSION"
        assert got["line"]["downstream_transport_failure_reason"] == "no TLS version in common with the peer"


CIPHERS = {  # with a certificate of ECDSA; those of Istio's list that begin with ECDHE-RSA or AES need another one
    "ECDHE-ECDSA-AES256-GCM-SHA384": True,
    "ECDHE-ECDSA-AES128-GCM-SHA256": True,
    "ECDHE-ECDSA-CHACHA20-POLY1305": False,
    "ECDHE-ECDSA-AES256-SHA384": False,
    "ECDHE-ECDSA-AES128-SHA": False,
    "ECDHE-ECDSA-AES128-CCM": False,
}


def test_ciphers_of_tls12(town):
    for cipher, taken in CIPHERS.items():
        got = visit(town, port=LAST, cert="peer", version="TLSv1_2", ciphers=cipher)
        if taken:
            assert got["cipher"] == cipher
        else:
            assert not got["made"] and got["line"]["downstream_transport_failure_reason"].startswith("no cipher suite")


def test_the_server_chooses_the_cipher(town):
    got = visit(town, port=LAST, cert="peer", version="TLSv1_2", ciphers="ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
    assert got["cipher"] == "ECDHE-ECDSA-AES256-GCM-SHA384"  # the first in Istio's list


@pytest.mark.parametrize("sni", ["outbound_.9003_._.app.in.svc.cluster.local", "outbound_.80_.v1_.web.default.svc.cluster.local",
                                 "elsewhere.example", None])
def test_any_server_name_is_tolerated(town, sni):
    for mode in ("PERMISSIVE", "STRICT"):
        got = visit(town, port=CELLS[mode, "TCP"], cert="peer", alpn=OFFERS["istio-tcp"][0], sni=sni)
        assert outcome(got) == "ended"
        assert got["line"]["requested_server_name"] == sni


def test_trust_domains(town):
    got = visit(town, port=LAST, cert="alias")
    assert outcome(got) == "ended"
    assert got["line"]["source_principal"] == spiffe("out", domain="old.example")
    before = counter(town, "in/app", "hark_tls_handshakes_total", side="inbound", result="wrong_trust_domain")
    got = visit(town, port=LAST, cert="domain")
    line = got["line"]
    assert not got["answer"] and line["end"] == "downstream-tls" and not line["upstream_host"]
    assert line["downstream_transport_failure_reason"] == "the peer's trust domain is not ours"
    assert counter(town, "in/app", "hark_tls_handshakes_total", side="inbound", result="wrong_trust_domain") == before + 1


@pytest.mark.parametrize("offer", ["istio-tcp", "istio-http"])
def test_other_clients(town, offer):
    """OpenSSL's and GnuTLS's own commands say the same."""
    alpn, selected = OFFERS[offer]
    said = town.call("out/peer", tls_peers.openssl_client, "app.in", LAST, "peer", alpn)
    assert '{"saw": "plaintext"}' in said and "Verify return code: 0 (ok)" in said, said
    assert (f"ALPN protocol: {selected}" if selected else "No ALPN negotiated") in said, said
    said = town.call("out/peer", tls_peers.gnutls_client, "app.in", LAST, "peer", alpn)
    assert '{"saw": "plaintext"}' in said and "issuer is unknown" not in said, said
    assert f"Application protocol: {selected}" in said if selected else "Application protocol:" not in said, said


def test_min_version_of_the_mesh(town):
    """meshMTLS.minProtocolVersion takes effect on a running mesh."""
    def with_12():
        return visit(town, port=LAST, cert="peer", version="TLSv1_2")["error"]
    assert with_12() is None
    try:
        town.apply(shop.documents(shop.mesh_config({"trustDomainAliases": ["old.example"], "meshMTLS": {"minProtocolVersion": "TLSV1_3"}})))
        wait_for(lambda: with_12() == "TLSV1_ALERT_PROTOCOL_VERSION", what="TLS 1.2 refused")
        assert outcome(visit(town, port=LAST, cert="peer", version="TLSv1_3")) == "ended"
        assert outcome(visit(town, port=LAST, cert="alias", version="TLSv1_3")) == "ended"
    finally:
        town.apply(shop.documents(shop.mesh_config({"trustDomainAliases": ["old.example"]})))
    wait_for(lambda: with_12() is None, what="TLS 1.2 taken again")


# --- the client's sidecar -------------------------------------------------------------------------------------------


def greeted(mesh, host, port):
    """The application's greeting, as the silent client hears it; and the access log line of its sidecar."""
    before = len(mesh.access_log("in/client", side="outbound"))
    got = mesh.call("in/client", clients.greeted_exchange, host, port, "hello\r\n", 0, 10)
    line = wait_for(lambda: mesh.access_log("in/client", side="outbound")[before:], what="the access log line")[-1]
    return got, line


def said(mesh, port, event):
    return [e for e in mesh.json_lines("out/server") if (e["port"], e["event"]) == (port, event)]


@pytest.mark.parametrize("server", ["tcp", "http", "1.2", "1.3", "rsa", "alias"])
def test_client_of_istio(town, server):
    """The handshake is made before any byte of the application; the client presents its own id; nothing is selected."""
    port = SERVERS[server]["port"]
    got, line = greeted(town, "server.out", port)
    assert (got["greeting"], got["echo"]) == ("220 mesh ready\r\n", "hello\r\n")
    made = said(town, port, "made")[0]
    assert (made["alpn"], made["names"]) == (None, [spiffe("in")])
    assert made["sni"] == f"outbound_.{port}_._.server.out.svc.cluster.local"
    id_of_server = spiffe("out", "server", "old.example") if server == "alias" else SERVER_ID
    assert line["upstream_transport"] == "mesh-tls" and line["destination_principal"] == id_of_server
    assert line["connection_security_policy"] == "mutual_tls" and line["tls_version"] == made["version"]


@pytest.mark.parametrize("server, result, reason", [
    ("wrong account", "wrong_san", "the peer is not the workload we meant to reach"),
    ("wrong namespace", "wrong_san", "the peer is not the workload we meant to reach"),
    ("wrong domain", "wrong_san", "the peer is not the workload we meant to reach"),
    ("no name", "no_san", "the peer's certificate carries no SPIFFE identity"),
    ("wrong root", "wrong_root", "the peer's certificate leads to no trusted root"),
    ("expired", "expired", "the peer's certificate has expired"),
    ("untrusting", "peer_unknown_ca", "the peer does not trust our root"),
])
def test_servers_that_are_not_believed(town, server, result, reason):
    """The client is reset before it said a word, and nothing of its own reaches the impostor."""
    port = SERVERS[server]["port"]
    before = len(town.access_log("in/client", side="outbound"))
    got = town.call("in/client", clients.hear, "server.out", port, 0, "secret", 10)
    line = wait_for(lambda: town.access_log("in/client", side="outbound")[before:], what="the access log line")[-1]
    assert (got["bytes"], got["end"]) == ("", "reset")
    assert (line["end"], line["upstream_transport_failure_reason"]) == ("upstream-tls", reason)
    assert line["response_flags"] == "UF"
    assert not said(town, port, "made")


@pytest.mark.parametrize("port", [7013, 7113], ids=["undeclared", "declared TCP"])
def test_hello_of_the_client(town, port):
    """Seen by a server that reads no more than that."""
    before = len(said(town, 7013, "hello"))
    town.call("in/client", clients.hear, "server.out", port)
    hello = wait_for(lambda: said(town, 7013, "hello")[before:], what="the ClientHello")[0]
    assert hello["alpn"] == ["istio"]
    assert hello["sni"] == f"outbound_.{port}_._.server.out.svc.cluster.local"
    assert hello["versions"] == [0x0304, 0x0303]
    assert hello["groups"] == [0x001D, 0x0017]  # X25519, P-256
    tls13, tls12 = {0x1301, 0x1302, 0x1303}, {0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA9, 0xCCA8}  # Envoy's, as a client
    assert set(hello["ciphers"]) - {0x00FF} == tls13 | tls12


def test_other_server(town):
    """OpenSSL's own command. It verifies the client's certificate. A later connection resumes the session, and the server is
    still known by name."""
    vip = town.get("service", "out/openssl")["spec"]["clusterIP"]
    lines = []
    for _ in range(os.cpu_count() + 1):  # tickets are kept by worker and address
        before = len(town.access_log("in/client", side="outbound"))
        assert town.call("in/client", clients.spoken_exchange, vip, 7000, 0, "hello\n")["echo"] == "olleh\n"
        lines.append(wait_for(lambda seen=before: town.access_log("in/client", side="outbound")[seen:], what="the access log line")[-1])
    assert {(e["upstream_transport"], e["destination_principal"]) for e in lines} == {("mesh-tls", SERVER_ID)}
    assert not lines[0]["tls_resumed"] and any(e["tls_resumed"] for e in lines)
