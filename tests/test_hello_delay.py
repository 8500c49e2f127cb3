"""PERMISSIVE, a server that speaks first, and a sidecar's ClientHello that comes late: what each kind of source gets.

A source is a Pod known to have no sidecar, a Pod known to have one (which is passed by here, so that the delay is ours), or an
address that is no Pod's. The last is guessed about: when the guess was wrong, the connection is closed, counted and remembered.
"""

import inspect
import json
import subprocess
import sys

import clients
import hello_clients
import pytest
import shop
from conftest import wait_for
from hello_clients import SIDECAR
from test_metrics import metrics

DELAYS = [0.02, 0.2, 2]  # s
MARIADB = "5.5.5-10."  # how its greeting's version begins, behind the packet's head
TLS_RECORD = "\x16\x03"
PORT = 3307


@pytest.fixture(scope="module")
def street(new_mesh):
    """A MariaDB with a sidecar in `in`, and clients: with a sidecar, with one that some traffic bypasses, and without."""
    text = shop.moved(shop.EXAMPLE / "mariadb.yaml", "in")
    bypassing = shop.client("in", "bypassing", annotations={"traffic.sidecar.istio.io/excludeOutboundPorts": str(PORT)})
    # whoever is not known is guessed about after 5 ms at the latest
    docs = [shop.namespace("in", True), shop.namespace("out", False), shop.mesh_config({}, {"tlsWindow": "5ms"}),
            shop.client("in"), bypassing, shop.client("out")]
    return new_mesh(shop.documents(*docs) + "---\n" + text)


class Strangers:
    """Addresses of the mesh's network that are no Pod's: the node itself connects from them."""

    def __init__(self, mesh):
        with open(f"/run/hark/{mesh.name}/pid", encoding="ascii") as f:
            self.node = f.read().split()[0]
        self.next = 1
        self.server = next(e["ip"] for e in mesh.get("pod", mesh.pod("in", "mariadb"))["status"]["podIPs"] if "." in e["ip"])

    def run(self, *argv):
        return subprocess.run(["nsenter", "-t", self.node, "-n", *argv], capture_output=True, text=True, check=True).stdout

    def new(self):
        address = f"198.18.255.{self.next}"
        self.next += 1
        self.run("ip", "address", "add", f"{address}/32", "dev", "lo")
        return address

    def late_hello(self, source, delay_s):
        code = inspect.getsource(hello_clients) + "\nprint(json.dumps(late_hello(*json.loads(sys.argv[1]))))\n"
        return json.loads(self.run(sys.executable, "-c", code, json.dumps([self.server, PORT, delay_s, source])).splitlines()[-1])


@pytest.fixture(scope="module")
def strangers(street):
    return Strangers(street)


def wrong_guesses(mesh):
    return metrics(mesh, mesh.pod("in", "mariadb")).sum("hark_wrong_guess_total")


def lines_from(mesh, source):
    """The server's sidecar's access log, of connections from an address."""
    return [e for e in mesh.access_log(mesh.pod("in", "mariadb"), side="inbound")
            if (e["downstream_remote_address"] or "").rsplit(":", 1)[0].strip("[]") == source]


def was_greeted(got):
    return MARIADB in got["before"]


def spoke_tls(got):
    return got["before"] == "" and got["after"].startswith(TLS_RECORD) and MARIADB not in got["after"]


@pytest.mark.parametrize("delay_s", DELAYS)
def test_a_pod_without_a_sidecar_is_greeted(street, delay_s):
    """Nothing is held back and nothing is guessed: what it says afterwards is the application's, a ClientHello too."""
    before = wrong_guesses(street)
    got = street.call("out/client", hello_clients.late_hello, "mariadb.in", PORT, delay_s)
    assert was_greeted(got) and not got["after"].startswith(TLS_RECORD), got
    assert wrong_guesses(street) == before


@pytest.mark.parametrize("delay_s", DELAYS)
def test_a_pod_with_a_sidecar_is_waited_for(street, delay_s):
    before = wrong_guesses(street)
    got = street.call("in/client", hello_clients.late_hello, "mariadb.in", PORT, delay_s, None, SIDECAR)
    assert spoke_tls(got), got
    assert wrong_guesses(street) == before


def test_no_greeting_reaches_a_pod_with_a_sidecar_that_is_silent(street):
    """Others are greeted meanwhile; for this one the application is not even dialled."""
    address = next(e["ip"] for e in street.get("pod", "in/client")["status"]["podIPs"] if "." in e["ip"])
    seen = len(lines_from(street, address))
    server = Strangers(street).server
    held = street.start("in/client", hello_clients.silent, server, PORT, SIDECAR)
    assert held.hear() == "open"
    for _ in range(5):
        assert was_greeted(street.call("out/client", hello_clients.late_hello, server, PORT, DELAYS[1]))
    held.tell()
    assert held.result() == ""
    line = wait_for(lambda: lines_from(street, address)[seen:], what="the access log line")[-1]
    assert (line["first_bytes_from"], line["bytes_sent"], line["upstream_host"]) == ("none", 0, None), line
    assert "its ClientHello is coming" in line["reason"]


@pytest.mark.parametrize("delay_s", DELAYS)
def test_a_wrong_guess_is_closed_counted_and_remembered(street, strangers, delay_s):
    source, before = strangers.new(), wrong_guesses(street)
    got = strangers.late_hello(source, delay_s)
    if delay_s == DELAYS[0] and spoke_tls(got):  # a busy machine: the first look at the server came later than that
        assert wrong_guesses(street) == before
        return
    assert was_greeted(got) and (got["after"], got["end"]) == ("", "reset"), got
    wait_for(lambda: wrong_guesses(street) == before + 1, what="the wrong guess in the metrics")
    line = wait_for(lambda: lines_from(street, source), what="the access log line")[-1]
    assert line["end"] == "wrong-guess" and "no ClientHello came within the window" in line["reason"], line

    explained = street.hark("explain", "--inbound", street.pod("in", "mariadb"), str(PORT), "--from", source).stdout
    assert "sent a late ClientHello before" in explained
    got = strangers.late_hello(source, delay_s)
    if delay_s < 1:  # it is waited for now, for a second
        assert spoke_tls(got), got
        assert wrong_guesses(street) == before + 1
    else:  # ... and no longer: others may stand behind the same address
        assert was_greeted(got) and got["end"] == "reset", got
        wait_for(lambda: wrong_guesses(street) == before + 2, what="the second wrong guess in the metrics")


def test_a_stranger_that_is_silent_is_greeted(street, strangers):
    """It gets what a plaintext client must get, one about which a guess was wrong as well."""
    source = strangers.new()
    assert was_greeted(strangers.late_hello(source, DELAYS[2]))
    assert was_greeted(strangers.late_hello(source, DELAYS[2]))


def test_a_pod_whose_traffic_bypasses_its_sidecar_is_served(street):
    """By an annotation that the server's sidecar knows: it is guessed about like a stranger."""
    before = wrong_guesses(street)
    assert street.call("in/bypassing", clients.mariadb, "mariadb.in", PORT) == "1300"
    assert wrong_guesses(street) == before
