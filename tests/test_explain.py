"""`hark explain` says why a connection is treated as it is, with the words that the access log uses."""

import json

import clients
import pytest
from conftest import wait_for


def explain(mesh, *args):
    return json.loads(mesh.hark("explain", *args, "-o", "json").stdout)


def steps(answer):
    return [s["step"] for s in answer["steps"]]


def resource(answer, step):
    return next(s["resource"] for s in answer["steps"] if s["step"] == step)


def last_line(mesh, pod, port, side):
    found = [e for e in mesh.access_log(pod, side=side) if (e["downstream_local_address"] or "").endswith(f":{port}")]
    return found[-1:]


def test_undeclared_port_of_a_service(both):
    both.call(clients.mariadb, "mariadb")
    wait_for(lambda: last_line(both.mesh, both.client, 3307, "outbound"), what="the access log line")
    got = explain(both.mesh, "in/client", "mariadb.in:3307")
    assert got["side"] == "outbound"
    assert "service-vip" in steps(got) and "undeclared" in steps(got)
    assert resource(got, "service-vip") == {"kind": "Service", "namespace": "in", "name": "mariadb"}
    assert (got["plan"]["action"], got["plan"]["destination"]) == ("detect", "service")
    assert (got["plan"]["service"], got["plan"]["service_port"]) == ("mariadb.in.svc.cluster.local", 3307)
    assert (got["learned"]["learned"], got["learned"]["greeting"]) == ("server-first", "mysql")
    assert got["to_declare"] == "mysql"
    # a mesh that waits for the client would never connect
    assert got["elsewhere"]["result"] == "stall" and got["elsewhere"]["row"]


def test_text_is_for_people(both):
    text = both.mesh.hark("explain", "in/client", "mariadb.in:3307").stdout
    for word in ("in/mariadb", "3307", "declares no protocol", "stall"):
        assert word in text, text


def test_server_side(both):
    pod = both.server_pod("mariadb")
    both.call(clients.first_byte, "mariadb", 3307)
    got = explain(both.mesh, "--inbound", pod, "3307")
    assert got["side"] == "inbound"
    assert "inbound-service" in steps(got) and "undeclared" in steps(got)
    assert resource(got, "inbound-service") == {"kind": "Service", "namespace": "in", "name": "mariadb"}
    assert (got["plan"]["action"], got["plan"]["destination"]) == ("detect", "app")


def test_client_first_port_would_do_elsewhere(both):
    both.call(clients.postgres, "postgres")
    wait_for(lambda: last_line(both.mesh, both.client, 5433, "outbound"), what="the access log line")
    got = explain(both.mesh, "in/client", "postgres.in:5433")
    assert got["learned"]["learned"] == "client-first"
    assert got["elsewhere"]["result"] == "ok"


@pytest.mark.parametrize("service, port, talk", [
    ("mariadb", 3307, clients.mariadb), ("postgres", 5433, clients.postgres), ("vsftpd", 2121, clients.ftp)])
def test_reason_is_the_one_in_the_access_log(both, service, port, talk):
    """The same code decides: what explain says now is what the next connection's line says, plus its first word."""
    both.call(talk, service)  # learnt, so that the next one meets the same
    first = wait_for(lambda: last_line(both.mesh, both.client, port, "outbound"), what="the first line")[0]
    before = len(both.mesh.access_log(both.client, side="outbound"))
    got = explain(both.mesh, "in/client", first["downstream_local_address"])
    both.call(talk, service)
    line = wait_for(lambda: [e for e in both.mesh.access_log(both.client, side="outbound")[before:]
                             if e["downstream_local_address"] == first["downstream_local_address"]], what="the second line")[-1]
    assert line["reason"].startswith(got["reason"] + "; "), (got["reason"], line["reason"])


def test_headless_service_goes_to_exactly_that_pod(both):
    got = explain(both.mesh, "in/client", "vsftpd.in:2121")
    assert "headless" in steps(got) and got["plan"]["destination"] == "endpoint"


def test_unknown_address(both):
    got = explain(both.mesh, "in/client", "203.0.113.9:4444")
    assert {"unknown-address", "allow-any"} <= set(steps(got))
    assert got["plan"]["destination"] == "passthrough"


def test_service_without_that_port(both):
    got = explain(both.mesh, "in/client", "mariadb.in:3308")
    assert "vip-port-unknown" in steps(got)


def test_port_without_endpoints(both):
    """Nothing is promised that is not there."""
    both.mesh.apply('{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "empty", "namespace": "in"},'
                    ' "spec": {"selector": {"app": "nobody"}, "ports": [{"port": 7777}]}}')
    wait_for(lambda: both.mesh.hark("explain", "in/client", "empty.in:7777", check=False).returncode == 0,
             what="the new Service in the sidecar's view")
    got = explain(both.mesh, "in/client", "empty.in:7777")
    assert "no-endpoints" in steps(got)
    assert got["plan"]["action"] == "refuse"


@pytest.mark.parametrize("args, word", [
    (["out/client", "mariadb.in:3307"], "sidecar"),
    (["in/nobody", "mariadb.in:3307"], "nobody"),
    (["in/client", "nowhere.in:3307"], "nowhere"),
    (["in/client", "mariadb.in"], "port"),
    (["in/client", "localhost:3307"], "not captured"),
], ids=["a Pod without a sidecar", "no such Pod", "no such host", "no port", "loopback"])
def test_what_cannot_be_explained_says_why(both, args, word):
    got = both.mesh.hark("explain", *args, check=False)
    assert got.returncode in (1, 2) and word in got.stderr and got.stdout == ""
