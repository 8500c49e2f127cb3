"""Sidecars that say more than who is seen: what comes in to a workload (ingress), and sockets that it dials instead of names."""

import json
import subprocess

import clients
import pytest
import shop
from conftest import wait_for

GREETING = "220 odd ready\r\n"
ODD = {9000: "greet", 9001: "greet"}
HIDDEN = 13306  # MariaDB listens on loopback, and there alone


def hidden_mariadb(ns):
    init = """CREATE DATABASE shop;
CREATE TABLE shop.who (name TEXT);
INSERT INTO shop.who VALUES ('hidden');
CREATE USER shop IDENTIFIED BY 'shop';
GRANT ALL ON shop.* TO shop;
"""
    script = ("mariadb-install-db --no-defaults --datadir=/data --skip-test-db > /dev/null\n"
              f"exec mariadbd --no-defaults --datadir=/data --bind-address=127.0.0.1 --port={HIDDEN} --socket=/tmp/mariadb.sock "
              "--skip-name-resolve --init-file=/config/init.sql")
    p = shop.pod(ns, "db", ["sh", "-ec", script], files="db-files")
    c = p["spec"]["containers"][0]
    p["spec"]["securityContext"] = {"runAsUser": 65534}
    p["spec"]["volumes"].append({"name": "data", "emptyDir": {}})
    c["volumeMounts"].append({"name": "data", "mountPath": "/data"})
    c["readinessProbe"] = {"periodSeconds": 1, "exec": {"command": [
        "mariadb", "--no-defaults", "-h127.0.0.1", f"-P{HIDDEN}", "-ushop", "-pshop", "-e", "SELECT 1"]}}
    # 4406 is no well-known port, and its name says nothing
    return [shop.config_map(ns, "db-files", {"init.sql": init}), p, shop.service(ns, "db", "db", [(4406, {"targetPort": 3306})])]


def sidecar(name, ns="in", app=None, **spec):
    if app:
        spec["workloadSelector"] = {"labels": {"app": app}}
    return {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": shop.meta(name, ns), "spec": spec}


def policy(kind, name, **spec):
    return {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": shop.meta(name, "in"), "spec": spec}


@pytest.fixture(scope="module")
def mesh(new_mesh):
    return new_mesh(shop.documents(
        shop.namespace("in", True), shop.namespace("out", False), shop.client("in"), shop.client("out"), *hidden_mariadb("in"),
        *shop.odd("in", ports=ODD)))


@pytest.fixture
def applied(mesh):
    """applied(RESOURCE...) puts resources there; they are gone when the test is over."""
    texts = []

    def apply(*docs):
        texts.append(shop.documents(*docs))
        mesh.apply(texts[-1])

    yield apply
    for text in reversed(texts):
        mesh.delete(text)


def explain(mesh, pod, port):
    return json.loads(mesh.hark("explain", "--inbound", pod, str(port), "-o", "json").stdout)


def steps(mesh, pod, port):
    return [s["step"] for s in explain(mesh, pod, port)["steps"]]


# --- what comes in ----------------------------------------------------------------------------------------------------


@pytest.fixture
def published(mesh, applied):
    """The hidden database stands behind port 3306 of its Pod."""
    applied(sidecar("db", app="db", ingress=[{"port": {"number": 3306, "name": "db"}, "defaultEndpoint": f"127.0.0.1:{HIDDEN}"}]))
    wait_for(lambda: "inbound-ingress" in steps(mesh, "in/db", 3306), what="the ingress in the sidecar")


@pytest.mark.parametrize("client", ["in/client", "out/client"])
def test_loopback_server_greets(mesh, published, client):
    """It speaks first, nothing is declared, and its client comes over mutual TLS or in plaintext."""
    assert mesh.call(client, clients.mariadb_who, "db.in", 4406) == "hidden"
    line = wait_for(lambda: mesh.access_log("in/db", side="inbound", detected_protocol="mysql"), what="the access log line")[-1]
    assert line["upstream_host"] == f"127.0.0.1:{HIDDEN}" and line["first_bytes_from"] == "server"
    assert line["connection_security_policy"] == ("mutual_tls" if client == "in/client" else "none")
    assert "Sidecar in/db" in line["reason"]


def test_without_ingress_nobody_is_there(mesh, published):
    """Without it the same Pod does not answer: the test above tests something."""
    mesh.apply(shop.documents(sidecar("db", app="db")))
    wait_for(lambda: "inbound-ingress" not in steps(mesh, "in/db", 3306), what="the Sidecar without ingress")
    assert mesh.call("out/client", clients.hear, "db.in", 4406)["bytes"] == ""


def test_policies_apply_to_the_port_that_was_dialled(mesh, published, applied):
    applied(policy("AuthorizationPolicy", "nobody", action="DENY", selector={"matchLabels": {"app": "db"}},
                   rules=[{"from": [{"source": {"notPrincipals": ["nobody"]}}], "to": [{"operation": {"ports": ["3306"]}}]}]))
    wait_for(lambda: "in/nobody" in json.dumps(explain(mesh, "in/db", 3306)), what="the policy in the sidecar")
    for client in ("in/client", "out/client"):
        assert mesh.call(client, clients.hear, "db.in", 4406)["bytes"] == ""


def test_strict_before_loopback_is_opened(mesh, published, applied):
    applied(policy("PeerAuthentication", "strict", selector={"matchLabels": {"app": "db"}}, mtls={"mode": "STRICT"}))
    wait_for(lambda: "peer-first" in steps(mesh, "in/db", 3306), what="STRICT in the sidecar")
    assert mesh.call("in/client", clients.mariadb_who, "db.in", 4406) == "hidden"
    heard = mesh.call("out/client", clients.hear, "db.in", 4406, 0, "x")
    assert heard["bytes"] == "" and heard["end"] == "reset"


def test_other_ports_pass_as_undeclared(mesh, applied):
    """9001 is not listed: it comes in all the same, by the rules of the workload's mode."""
    applied(sidecar("odd", app="odd", ingress=[{"port": {"number": 9000, "protocol": "TCP"}, "defaultEndpoint": "0.0.0.0:9001"}]))
    wait_for(lambda: "inbound-unlisted" in steps(mesh, "in/odd", 9001), what="the ingress in the sidecar")
    for client in ("in/client", "out/client"):
        for port in (9000, 9001):
            assert mesh.call(client, clients.greeted_exchange, "odd.in", port)["greeting"] == GREETING

    def led_there():
        return [e for e in mesh.access_log("in/odd", side="inbound") if e["upstream_host"].endswith(":9001")]

    wait_for(lambda: len(led_there()) == 4, what="four lines of the access log")
    applied(policy("PeerAuthentication", "strict", selector={"matchLabels": {"app": "odd"}}, mtls={"mode": "STRICT"}))
    wait_for(lambda: "peer-first" in steps(mesh, "in/odd", 9001), what="STRICT in the sidecar")
    assert mesh.call("in/client", clients.greeted_exchange, "odd.in", 9001)["greeting"] == GREETING
    assert mesh.call("out/client", clients.hear, "odd.in", 9001, 0, "x")["bytes"] == ""


def test_row_that_leads_elsewhere_is_left_out(mesh, applied):
    """Another mesh's API lets it pass: that row does not count, the log says so, and the others do."""
    rows = [{"port": {"number": 9000}, "defaultEndpoint": "10.0.0.1:9000"}, {"port": {"number": 9001}, "defaultEndpoint": "0.0.0.0:9000"}]
    odd = sidecar("odd", app="odd", ingress=rows)
    assert mesh.hark("apply", "-f", mesh.file(shop.documents(odd)), check=False).returncode != 0
    applied(sidecar("odd", app="odd", ingress=rows[1:]))
    done = subprocess.run(["curl", "-s", "--fail-with-body", "--unix-socket", f"/run/hark/{mesh.name}/admin.sock", "-X", "PUT", "-H", "Content-Type: application/json", "-d", json.dumps(odd),
                           "http://api/apis/networking.istio.io/v1/namespaces/in/sidecars/odd?fieldValidation=Ignore"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = "Sidecar in/odd counts without what is wrong in it: spec.ingress[0].defaultEndpoint is no address of the workload's own"
    wait_for(lambda: said in mesh.logs("in/odd", "istio-proxy"), what="the row in the log")
    assert "inbound-unlisted" in steps(mesh, "in/odd", 9000) and "inbound-ingress" in steps(mesh, "in/odd", 9001)
    assert mesh.call("out/client", clients.greeted_exchange, "odd.in", 9001)["greeting"] == GREETING


# --- what is dialled --------------------------------------------------------------------------------------------------


def test_from_loopback_to_loopback(mesh, published, applied):
    """Both ends believe that they are alone on their machine; between them there is mutual TLS."""
    applied(sidecar("client", app="client", egress=[
        {"port": {"number": 4406}, "captureMode": "NONE", "hosts": ["./db.in.svc.cluster.local"]}, {"hosts": ["./*"]}]))
    wait_for(lambda: mesh.call("in/client", clients.hear, "127.0.0.1", 4406)["end"] != "refused", what="the socket")
    assert mesh.call("in/client", clients.mariadb_who, "127.0.0.1", 4406) == "hidden"
    line = wait_for(lambda: mesh.access_log("in/client", side="outbound", detected_protocol="mysql"), what="the access log line")[-1]
    assert line["downstream_local_address"] == "127.0.0.1:4406" and line["connection_security_policy"] == "mutual_tls"
    # whoever comes from elsewhere does not meet that socket
    ip = mesh.get("pod", "in/client")["status"]["podIP"]
    assert mesh.call("out/client", clients.hear, ip, 4406)["bytes"] == ""


def test_taken_port_is_waited_for(mesh, published, applied):
    """The error stands in the log, the application's own server goes on, and when that ends the socket opens."""
    server = mesh.start("in/odd", clients.serve_once, 4406)
    assert server.hear() == "listening"
    applied(sidecar("odd", app="odd", egress=[{"port": {"number": 4406}, "captureMode": "NONE", "hosts": ["./db.in.svc.cluster.local"]}]))
    wait_for(lambda: "127.0.0.1:4406: Address already in use" in mesh.logs("in/odd", "istio-proxy"), what="the error in the log")
    listener = {"address": "127.0.0.1:4406", "host": "db.in.svc.cluster.local"}
    assert mesh.admin_json("in/odd", "/config")["listeners"] == [listener | {"open": False, "problem": "Address already in use"}]
    assert "egress listener 127.0.0.1:4406: Address already in use" in mesh.hark("status").stdout
    assert mesh.call("in/odd", clients.hear, "127.0.0.1", 4406)["bytes"] == "mine"
    assert server.result() == "served"
    wait_for(lambda: mesh.call("in/odd", clients.hear, "127.0.0.1", 4406, 0, "x")["bytes"], what="the database's greeting")
    assert mesh.call("in/odd", clients.mariadb_who, "127.0.0.1", 4406) == "hidden"
    assert mesh.admin_json("in/odd", "/config")["listeners"] == [listener | {"open": True, "problem": None}]
    assert "egress listener" not in mesh.hark("status").stdout


def test_analyze_knows_what_is_not_listed(mesh, applied):
    applied(sidecar("odd", app="odd", ingress=[{"port": {"number": 9000}}, {"port": {"number": 80}, "bind": "192.0.2.1"}]))
    found = json.loads(mesh.hark("analyze", "-o", "json", check=False).stdout)["findings"]
    assert {(f["code"], f["path"]) for f in found if f["kind"] == "Sidecar"} == {
        ("HRK0120", "spec.ingress"), ("HRK0121", "spec.ingress[1].port"), ("HRK0122", "spec.ingress[1].bind")}
