"""Clients that break TLS, or abuse it: each is refused with a reason, counted, and nothing else in the same Pod suffers."""

import os

import bad_peers
import clients
import pytest
import shop
import tls_peers
from authority import Authority, spiffe
from conftest import wait_for

STRICT, PERMISSIVE, ECHO, PROBED = 9000, 9001, 9002, 8000
ME = spiffe("out")


@pytest.fixture(scope="module")
def town(new_mesh, tmp_path_factory):
    """`in` with sidecars: an application whose ports are STRICT, but for one. `out` without: who abuses it."""
    ours, others = (Authority(tmp_path_factory.mktemp("authority") / name, "the same") for name in ("ours", "others"))
    pairs = {
        "peer": ours.issue(ME),
        "expired": ours.issue(ME, starts=-7200, ends=-300),
        "expired within the skew": ours.issue(ME, starts=-7200, ends=-60),
        "early": ours.issue(ME, starts=300, ends=7200),
        "early within the skew": ours.issue(ME, starts=60, ends=7200),
        "wrong root": others.issue(ME),
        "wrong domain": ours.issue(spiffe("out", domain="else.example")),
        "no SAN": ours.issue(),
        "a DNS name": ours.issue(dns=["peer.out"]),
        "another URI": ours.issue("https://cluster.local/ns/out/sa/default"),
        "two SANs": ours.issue(ME, spiffe("out", "other")),
        "two kinds of URI": ours.issue(ME, "https://else.example/a"),
    }
    leaf = pairs["peer"]["chain"].partition("-----BEGIN CERTIFICATE-----\n")[2].partition("-----BEGIN")[0]
    pairs["no intermediate"] = {"chain": f"-----BEGIN CERTIFICATE-----\n{leaf}", "key": pairs["peer"]["key"]}
    pairs["a chain of 150"] = {"chain": pairs["peer"]["chain"] + ours.intermediate * 149, "key": pairs["peer"]["key"]}
    files = {f"{name.replace(' ', '-')}.{end}": pair[part] for name, pair in pairs.items() for end, part in (("pem", "chain"), ("key", "key"))}
    docs = [shop.namespace("in", True), shop.namespace("out", False), shop.client("in"),
            shop.config_map("out", "peer-files", {**files, "root.pem": ours.root}), shop.client("out", "peer", files="peer-files"),
            *shop.odd("in", "app", ports={STRICT: "greet", PERMISSIVE: "greet", ECHO: "echo", PROBED: "close"}),
            {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": shop.meta("app", "in"),
             "spec": {"selector": {"matchLabels": {"app": "app"}}, "mtls": {"mode": "STRICT"},
                      "portLevelMtls": {PERMISSIVE: {"mode": "PERMISSIVE"}}}}]
    return new_mesh(shop.documents(*docs), "--ca-dir", str(ours.folder))


@pytest.fixture(scope="module")
def held(town):
    """A connection of mesh TLS that is open all the while."""
    line = town.start("in/client", clients.hold, "app.in", STRICT)
    return line


@pytest.fixture(autouse=True)
def neighbours(town, held):
    """After each test: the connection that is open goes on, and a new one is made."""
    yield
    held.tell()
    assert held.hear()
    assert serves(town)


def serves(mesh):
    got = mesh.call("in/client", clients.greeted_exchange, "app.in", STRICT)
    return (got["greeting"], got["echo"]) == ("220 odd ready\r\n", "hello\r\n")


def counter(mesh, name, **labels):
    found = [line for line in mesh.admin("in/app", "/stats/prometheus")["body"].splitlines() if line.partition("{")[0].partition(" ")[0] == name]
    return sum(float(line.rpartition(" ")[2]) for line in found if all(f'{k}="{v}"' in line for k, v in labels.items()))


def ended(mesh, reason):
    return counter(mesh, "hark_connections_ended_total", side="inbound", reason=reason)


def handshakes(mesh, result):
    return counter(mesh, "hark_tls_handshakes_total", side="inbound", result=result)


def strangers(mesh):
    """The access log lines of connections from outside the mesh."""
    return mesh.access_log("in/app", side="inbound", source_workload="out/peer")


def misbehave(mesh, function, port, *args):
    """What FUNCTION tells, and the line of its connection."""
    before = len(strangers(mesh))
    got = mesh.call("out/peer", function, "app.in", port, *args)
    return got, wait_for(lambda: strangers(mesh)[before:], what="the access log line")[-1]


def opened(mesh):
    """Connections that the application has seen, without those of the probe."""
    return len([e for e in mesh.json_lines("in/app", "app") if e["event"] == "open" and e["port"] != PROBED])


# --- not TLS --------------------------------------------------------------------------------------------------------

GARBAGE = {
    "zeros": b"\0" * 20,
    "a request": b"GET / HTTP/1.1\r\n\r\n",
    "another version": b"\x16\x09\x01\0\x05\1\0\0\1\0",
    "a ServerHello": b"\x16\3\1\0\x05\2\0\0\1\0",
    "a ClientHello of 0xff": b"\x16\3\1\0\x28\1\0\0\x24" + b"\xff" * 36,
    "an empty record": b"\x16\3\1\0\0",
    "a record that is too long": b"\x16\3\1\xff\xff\1",
    "the ClientHello of SSL 2": bytes.fromhex("802e0103010015000000100000"),
    "an alert": b"\x15\3\1\0\2\2\x28",
    "application data": b"\x17\3\3\0\5hello",
    "one byte": b"\x01",
}


def lines_of(mesh, before, n):
    """The N lines of what strangers did since BEFORE."""
    return wait_for(lambda: (lambda lines: lines if len(lines) >= n else None)(strangers(mesh)[before:]), what="the access log lines")


def test_garbage_is_reset_at_once(town):
    before, lines, seen = ended(town, "refused-by-plan"), len(strangers(town)), opened(town)
    answers = town.call("out/peer", bad_peers.say_each, "app.in", STRICT, {name: text.hex() for name, text in GARBAGE.items()}, False)
    assert {name: (got["got"], got["end"]) for name, got in answers.items()} == {name: ("", "reset") for name in GARBAGE}
    for line in lines_of(town, lines, len(GARBAGE)):
        assert line["end"] == "refused-by-plan" and "what came is not TLS, and STRICT takes nothing else" in line["reason"]
        assert line["upstream_host"] is None
    assert ended(town, "refused-by-plan") == before + len(GARBAGE) and opened(town) == seen


def test_garbage_is_the_applications_where_plaintext_is_allowed(town):
    def heard():
        return sum(e["bytes"] for e in town.json_lines("in/app", "app") if e["event"] == "end" and e["port"] == PERMISSIVE)

    before, lines = heard(), len(strangers(town))
    answers = town.call("out/peer", bad_peers.say_each, "app.in", PERMISSIVE, {name: text.hex() for name, text in GARBAGE.items()}, True)
    for name, got in answers.items():
        assert bytes.fromhex(got["got"]).startswith(b"220 odd ready") and got["end"] == "fin", name
    for line in lines_of(town, lines, len(GARBAGE)):
        assert line["connection_security_policy"] == "none" and line["end"] == "client-closed"
    assert heard() - before == sum(map(len, GARBAGE.values()))


def test_hello_that_ends_after_each_of_its_bytes(town):
    before, seen = ended(town, "client-closed"), opened(town)
    got = town.call("out/peer", bad_peers.cut_everywhere, "app.in", STRICT)
    assert got["reset"] == got["offsets"] > 300  # each at once, or this would take minutes
    assert ended(town, "client-closed") == before + got["offsets"] and opened(town) == seen
    assert "began what may be HTTP or TLS and ended there" in strangers(town)[-1]["reason"]


# --- broken TLS -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("port", [STRICT, PERMISSIVE], ids=["STRICT", "PERMISSIVE"])
@pytest.mark.parametrize("result, reason, behind, fin", [
    ("cut", "the peer closed the connection in the middle of the handshake", b"", True),
    ("broken", "the peer broke the TLS protocol", b"\x17\3\3\0\x08garbage!", False),
    ("broken", "the peer broke the TLS protocol", b"\x16\3\3\0\x04\x14\0\0\0", False),
    ("not_tls", "the peer's bytes are not TLS", b"GET / HTTP/1.1\r\n\r\n", False),
    ("peer_refused", "the peer refused the handshake", b"\x15\3\3\0\2\2\x28", False),
], ids=["an end", "garbage", "a Finished in clear", "a request", "an alert"])
def test_hello_and_then(town, port, result, reason, behind, fin):
    before = handshakes(town, result)
    got, line = misbehave(town, bad_peers.say_hello, port, 0, behind.hex(), fin)
    assert got["got"].startswith("1603") and got["end"] in ("fin", "reset")  # it had been answered
    assert (line["end"], line["downstream_transport_failure_reason"]) == ("downstream-tls", reason)
    assert line["bytes_received"] == line["bytes_sent"] == 0 and (port == PERMISSIVE or line["upstream_host"] is None)
    assert handshakes(town, result) == before + 1


@pytest.mark.parametrize("padding, taken", [(1000, True), (15000, True), (15860, True), (15900, False), (20000, False), (60000, False)])
def test_long_hellos(town, padding, taken):
    """Up to 16 KiB of it are taken."""
    result = "cut" if taken else "hello_too_long"
    before = handshakes(town, result)
    got, line = misbehave(town, bad_peers.say_hello, STRICT, padding, "", True)
    assert got["got"].startswith("160303") == taken
    assert line["downstream_transport_failure_reason"] == ("the peer closed the connection in the middle of the handshake" if taken
                                                           else "the ClientHello is longer than 16 KiB")
    assert handshakes(town, result) == before + 1


def test_hello_that_promises_much(town):
    """4 MiB of ClientHello, of which little ever comes."""
    before = handshakes(town, "hello_too_long")
    _, line = misbehave(town, bad_peers.say, STRICT, (b"\x16\3\1\x40\0\1\x40\0\0" + bytes((1 << 14) - 4)).hex())
    assert line["downstream_transport_failure_reason"] == "the ClientHello is longer than 16 KiB"
    assert handshakes(town, "hello_too_long") == before + 1


# --- certificates ---------------------------------------------------------------------------------------------------

NOT_OURS, NO_ROOT = "the peer's trust domain is not ours", "the peer's certificate leads to no trusted root"
NO_IDENTITY, TWO = "the peer's certificate carries no SPIFFE identity", "the peer's certificate carries two identities"
CERTIFICATES = {
    "expired": ("expired", "the peer's certificate has expired", "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
    "early": ("not_yet_valid", "the peer's certificate is not valid yet", "SSLV3_ALERT_BAD_CERTIFICATE"),
    "wrong root": ("wrong_root", NO_ROOT, "TLSV1_ALERT_UNKNOWN_CA"),
    "no intermediate": ("wrong_root", NO_ROOT, "TLSV1_ALERT_UNKNOWN_CA"),
    "wrong domain": ("wrong_trust_domain", NOT_OURS, "SSLV3_ALERT_BAD_CERTIFICATE"),
    "no SAN": ("no_san", NO_IDENTITY, "SSLV3_ALERT_BAD_CERTIFICATE"),
    "a DNS name": ("no_san", NO_IDENTITY, "SSLV3_ALERT_BAD_CERTIFICATE"),
    "another URI": ("no_san", NO_IDENTITY, "SSLV3_ALERT_BAD_CERTIFICATE"),
    "two SANs": ("many_sans", TWO, "SSLV3_ALERT_BAD_CERTIFICATE"),
    "two kinds of URI": ("many_sans", TWO, "SSLV3_ALERT_BAD_CERTIFICATE"),
    "a chain of 150": ("broken", "the peer broke the TLS protocol", None),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_certificates(town, name):
    """Under TLS 1.2 and 1.3."""
    result, reason, alert = CERTIFICATES[name]
    before, lines, seen = handshakes(town, result), len(strangers(town)), opened(town)
    rows = [{"port": STRICT, "cert": name.replace(" ", "-"), "version": version} for version in ("TLSv1_2", "TLSv1_3")]
    for got in town.call("out/peer", tls_peers.visits, "app.in", rows):
        assert not got["answer"] and (got["error"] == alert or not alert)
    for line in lines_of(town, lines, 2):
        assert (line["end"], line["downstream_transport_failure_reason"]) == ("downstream-tls", reason)
        assert (line["source_principal"], line["upstream_host"]) == (None, None)
    assert handshakes(town, result) == before + 2 and opened(town) == seen


@pytest.mark.parametrize("name", ["peer", "expired within the skew", "early within the skew"])
def test_clocks_may_differ_by_two_minutes(town, name):
    got = town.call("out/peer", tls_peers.greeted, "app.in", {"port": STRICT, "cert": name.replace(" ", "-")})
    assert got == "220 odd ready\r\n"


# --- what a peer does afterwards ------------------------------------------------------------------------------------


def test_renegotiation_is_refused(town):
    """The client is told so, and nothing is negotiated; what it makes of that is its affair: OpenSSL's gives up."""
    before = handshakes(town, "ok")
    said = town.call("out/peer", tls_peers.openssl_renegotiates, "app.in", STRICT, "peer")
    assert "220 odd ready" in said and "RENEGOTIATING" in said and "no renegotiation" in said, said
    assert handshakes(town, "ok") == before + 1


def address(mesh):
    return mesh.get("pod", "in/app")["status"]["podIPs"][0]["ip"]


def test_many_new_keys(town):
    """A peer that asks for them and reads the answers gets them: 10,000 are nothing."""
    assert town.call("out/peer", bad_peers.key_updates, address(town), ECHO, "peer", 10_000, True) == {"taken": 10_000, "echo": True}


def test_new_keys_without_end(town):
    """A peer that asks for them and reads no answer is cut off: the answers are bounded."""
    got = town.call("out/peer", bad_peers.key_updates, address(town), ECHO, "peer", 10_000_000, False)
    assert got["taken"] < 10_000_000 and not got["echo"]
    line = wait_for(lambda: [e for e in strangers(town) if e["downstream_transport_failure_reason"]
                             == "the peer makes us answer without reading the answers"], what="the access log line")[-1]
    assert line["end"] == "downstream-tls"


# --- many -----------------------------------------------------------------------------------------------------------

HANDSHAKES_MAX = 2048  # unfinished ones of a worker
CROWD = 10_000


def leave(mesh, crowd):
    crowd.tell()
    crowd.result()
    wait_for(lambda: counter(mesh, "hark_connections", side="inbound") <= 2, what="the end of the crowd")


@pytest.fixture
def impatient(town):
    """handshakeTimeout 1 s; the default comes back."""
    def set_to(hark):
        config = shop.mesh_config({}, hark)
        town.apply(shop.documents(config))
        version = int(town.get("configmap", "istio-system/istio")["metadata"]["resourceVersion"])
        wait_for(lambda: town.admin_json("in/app", "/config")["version"] >= version, what="the configuration")

    set_to({"handshakeTimeout": "1s"})
    yield
    set_to({})


@pytest.mark.parametrize("what", ["nothing", "half"])
def test_clients_that_never_begin(town, impatient, what):
    """On a port that is STRICT: all of them are served with a reset after handshakeTimeout, and nobody waits for them."""
    before, seen = ended(town, "handshake-timeout"), opened(town)
    crowd = town.start("out/peer", bad_peers.crowd, address(town), STRICT, 1000, what)
    assert crowd.hear() == 1000
    assert serves(town)
    wait_for(lambda: ended(town, "handshake-timeout") == before + 1000, what="the end of all of them")
    line = [e for e in strangers(town) if e["end"] == "handshake-timeout"][-1]
    assert line["response_flags"] == "DT" and line["upstream_host"] is None and line["duration"] >= 1000
    crowd.tell()
    assert crowd.result() == {"gone": 1000}
    assert opened(town) == seen + 1  # that of serves()


def test_a_handshake_that_stops(town, impatient):
    """After the ClientHello was answered."""
    got, line = misbehave(town, bad_peers.say_hello, STRICT)
    assert got["got"].startswith("160303") and got["end"] == "reset" and got["ms"] >= 1000
    assert line["end"] == "handshake-timeout" and line["duration"] >= 1000


def test_handshakes_that_are_never_finished(town):
    """The oldest give way; the others are served meanwhile, and memory stays within what the bound allows."""
    evicted, ends = counter(town, "hark_tls_handshakes_evicted_total"), ended(town, "handshake-evicted")
    crowd = town.start("out/peer", bad_peers.crowd, address(town), STRICT, CROWD, "hello")
    assert crowd.hear() == CROWD
    assert all(serves(town) for _ in range(3))
    workers = os.cpu_count()
    assert counter(town, "process_resident_memory_bytes") < (32 + workers * HANDSHAKES_MAX * 52 / 1024) * 1024 * 1024
    leave(town, crowd)
    n = counter(town, "hark_tls_handshakes_evicted_total") - evicted
    assert n == ended(town, "handshake-evicted") - ends
    assert n + ended(town, "handshake-timeout") >= CROWD - workers * HANDSHAKES_MAX
    assert [e for e in strangers(town) if e["end"] == "handshake-evicted" and e["response_flags"] == "OM"]
