"""AuthorizationPolicy on a port that speaks first, through real sidecars: who is let in is greeted, who is not hears nothing at
all, and the application never hears of it."""

import clients
import pytest
import shop
from authority import spiffe
from conftest import wait_for
from test_metrics import lines_to, metrics

PORT, OTHER = 9013, 9017  # both greet
GREETING = "220 "
DENIED = "hark_authorization_denied_total"


def friend():
    pod = shop.client("in", "friend")
    pod["spec"]["serviceAccountName"] = "friend"
    return pod


@pytest.fixture(scope="module")
def gate(new_mesh):
    """`in` with sidecars: the server and two clients with different accounts. `out` without."""
    odd = shop.odd("in", ports={PORT: "greet", OTHER: "greet"})
    del odd[1]["spec"]["containers"][0]["readinessProbe"]  # it would be counted among those that policies deny
    # a client that policies keep out in plaintext may still authenticate: it is waited for
    mesh = new_mesh(shop.documents(shop.mesh_config({}, {"handshakeTimeout": "1s"}), shop.namespace("in", True), shop.namespace("out", False),
                                   shop.client("in"), friend(), shop.client("out"), *odd))
    wait_for(lambda: mesh.call("in/client", clients.hear, "odd.in", PORT, 0, "", 1)["bytes"], what="the server")
    return mesh


ACCOUNTS = {"in/friend": "friend", "in/client": "default", "out/client": None}
FRIEND = {"principals": ["cluster.local/ns/in/sa/friend"]}


def rule(source=None, operation=None, **when):
    return {**({"from": [{"source": source}]} if source else {}), **({"to": [{"operation": operation}]} if operation else {}),
            **({"when": [{"key": key.replace("_", "."), "values": values} for key, values in when.items()]} if when else {})}


# What is written -> who is let in to PORT: friend, client (both meshed), and the one without a sidecar.
ROWS = {
    "ALLOW a principal": ("ALLOW", rule(FRIEND), (True, False, False)),
    "ALLOW a namespace": ("ALLOW", rule({"namespaces": ["in"]}), (True, True, False)),
    "ALLOW nothing": ("ALLOW", None, (False, False, False)),
    "ALLOW another port": ("ALLOW", rule(None, {"ports": [str(OTHER)]}), (False, False, False)),
    "ALLOW a method, which no TCP has": ("ALLOW", rule(None, {"methods": ["GET"]}), (False, False, False)),
    "ALLOW all addresses but one": ("ALLOW", rule({"notIpBlocks": ["192.0.2.1"]}), (True, True, True)),
    "DENY a principal": ("DENY", rule(FRIEND), (False, True, True)),
    "DENY whoever shows none": ("DENY", rule({"notPrincipals": ["*"]}), (True, True, False)),
    "DENY a namespace by a condition": ("DENY", rule(source_namespace=["in"]), (False, False, True)),
    "DENY another port": ("DENY", rule(None, {"ports": [str(OTHER)]}), (True, True, True)),
    "DENY a method, which no TCP has": ("DENY", rule(None, {"methods": ["GET"], "ports": [str(PORT)]}), (False, False, False)),
    "AUDIT everything": ("AUDIT", {}, (True, True, True)),
}


def in_force(mesh, *docs):
    """Applies, and waits until the server's sidecar decides by it."""
    mesh.apply(shop.documents(*docs))
    newest = max(int(mesh.get(kind, f"in/{name}")["metadata"]["resourceVersion"])
                 for kind, name in ((d["kind"].lower(), d["metadata"]["name"]) for d in docs))
    wait_for(lambda: mesh.admin_json("in/odd", "/config")["version"] >= newest, what="the policy in the sidecar")


def policy(action, one):
    spec = {"selector": {"matchLabels": {"app": "odd"}}, "action": action, **({} if one is None else {"rules": [one]})}
    return {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": shop.meta("door", "in"), "spec": spec}


def mode(name):
    return {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": shop.meta("mode", "in"),
            "spec": {"mtls": {"mode": name}}}


def opened(mesh):
    return len([e for e in mesh.json_lines("in/odd", "app") if (e["event"], e["port"]) == ("open", PORT)])


@pytest.mark.parametrize("mtls", ["PERMISSIVE", "STRICT"])
@pytest.mark.parametrize("row", ROWS)
def test_who_is_greeted(gate, row, mtls):
    action, one, welcome = ROWS[row]
    in_force(gate, policy(action, one), mode(mtls))
    for pod, let_in in zip(ACCOUNTS, welcome):
        if pod == "out/client" and mtls == "STRICT":
            continue  # it says nothing and waits: no affair of the policy
        dialled, told = opened(gate), len(lines_to(gate, "in/odd", PORT, "inbound"))
        refused = metrics(gate, "in/odd").sum(DENIED)
        if let_in:
            got = gate.call(pod, clients.greeted_exchange, "odd.in", PORT)
            assert got["greeting"].startswith(GREETING) and got["echo"], (pod, got)
        else:
            got = gate.call(pod, clients.hear, "odd.in", PORT)
            assert (got["bytes"], got["end"]) == ("", "reset"), (pod, got)
        lines = wait_for(lambda seen=told: lines_to(gate, "in/odd", PORT, "inbound")[seen:], what="the access log line")
        # Python tries the other family when the reset comes that soon
        assert {e["end"] == "not-authorized" for e in lines} == {not let_in}, lines
        wait_for(lambda want=refused + len(lines) * (not let_in): metrics(gate, "in/odd").sum(DENIED) == want, what="the count")
        assert opened(gate) == dialled + let_in
        for line in lines:
            assert bool(line["upstream_host"]) == let_in and line["audited"] == (action == "AUDIT"), line
            assert line["source_principal"] == (None if pod == "out/client" else spiffe("in", ACCOUNTS[pod])), line
