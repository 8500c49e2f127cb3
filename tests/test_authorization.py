"""AuthorizationPolicies for TCP, on a server that speaks first: whoever is denied never sees its greeting, and it never sees them.

Each row applies policies to a running mesh and then knocks from four Pods at three ports: 9000 and 9001 belong to a
Service, 9002 to none. Pods with sidecars come over mutual TLS, the one without in plaintext."""

import concurrent.futures
import itertools
import json
import subprocess

import clients
import pytest
import shop
from conftest import wait_for

PORTS = [9000, 9001, 9002]
PROBED = 8000
CLIENTS = {"web": "in/web", "other": "in/other", "far": "far/web", "plain": "out/plain"}
ALL, NONE = dict.fromkeys(CLIENTS, "111"), dict.fromkeys(CLIENTS, "000")


def allow(*rules, **more):
    return {"action": "ALLOW", "rules": [*rules], **more}


def deny(*rules, **more):
    return {"action": "DENY", "rules": [*rules], **more}


def source(**fields):
    return {"from": [{"source": fields}]}


def to(*operations):
    return {"to": [{"operation": operation} for operation in operations]}


def when(key, *values, **more):
    return {"when": [{"key": key, **({"values": list(values)} if values else {}), **more}]}


def only(*names, at="111"):
    """Who may come in, and where."""
    return {name: at if name in names else "000" for name in CLIENTS}


def all_but(*names):
    return {name: "000" if name in names else "111" for name in CLIENTS}


def each(at):
    return dict.fromkeys(CLIENTS, at)


WEB = "cluster.local/ns/in/sa/web"
# What a policy says, and who comes in: a digit per port. $NAME: that client's address, $app: the server's.
ROWS = {
    # authorization.md 1
    "no policy at all": ([], ALL),
    "an empty spec": ([{}], NONE),
    "ALLOW without rules": ([allow()], NONE),
    "ALLOW with an empty rule": ([allow({})], ALL),
    "DENY without rules": ([deny()], ALL),
    "DENY with an empty rule": ([deny({})], NONE),
    "AUDIT alone": ([{"action": "AUDIT", "rules": [{}]}], ALL),
    "CUSTOM, whose provider nobody can ask": ([{"action": "CUSTOM", "provider": {"name": "ask"}, "rules": [to({"ports": ["9000"]})]}], each("011")),
    "DENY before ALLOW": ([allow({}), deny(to({"ports": ["9001"]}))], each("101")),
    "one of two ALLOW policies": ([allow(to({"ports": ["9000"]})), allow(to({"ports": ["9002"]}))], each("101")),
    "a policy of another workload": ([deny({}, selector={"matchLabels": {"app": "somebody"}})], ALL),
    "a policy of this workload": ([deny({}, selector={"matchLabels": {"app": "app"}})], NONE),
    # 4: fields that only HTTP has
    "ALLOW ports": ([allow(to({"ports": ["9000", "9001"]}))], each("110")),
    "ALLOW a method and a port": ([allow(to({"methods": ["GET"], "ports": ["9000"]}))], NONE),
    "DENY a method": ([deny(to({"methods": ["GET"]}))], NONE),
    "DENY a method and a port": ([deny(to({"methods": ["GET"], "ports": ["9000"]}))], each("011")),
    "ALLOW a method or a port": ([allow(to({"methods": ["GET"]}, {"ports": ["9000"]}))], NONE),
    "ALLOW a method, and in another rule a port": ([allow(to({"methods": ["GET"]}), to({"ports": ["9000"]}))], each("100")),
    "DENY a host or a port": ([deny(to({"hosts": ["app.in"]}, {"ports": ["9000"]}))], NONE),
    "DENY a path of one namespace": ([deny({**source(namespaces=["far"]), **to({"paths": ["/admin"]})})], all_but("far")),
    "ALLOW who has a JWT": ([allow(source(requestPrincipals=["*"]))], NONE),
    "DENY who has no JWT": ([deny(source(notRequestPrincipals=["*"]))], NONE),
    "AUDIT a method": ([{"action": "AUDIT", "rules": [to({"methods": ["GET"]})]}], ALL),
    # 3: who it is
    "a principal": ([allow(source(principals=[WEB]))], only("web")),
    "a principal's end": ([allow(source(principals=["*/sa/web"]))], only("web", "far")),
    "a principal's beginning": ([allow(source(principals=["cluster.local/ns/in/*"]))], only("web", "other")),
    "any principal": ([allow(source(principals=["*"]))], all_but("plain")),
    "DENY plaintext": ([deny(source(notPrincipals=["*"]))], all_but("plain")),
    "DENY a principal": ([deny(source(principals=[WEB]))], all_but("web")),
    "a principal under another trust domain": ([allow(source(principals=["else.example/ns/in/sa/web"]))], NONE),
    "a principal under an alias": ([allow(source(principals=["old.example/ns/in/sa/web"]))], only("web")),
    "a namespace": ([allow(source(namespaces=["in"]))], only("web", "other")),
    "not a namespace": ([deny(source(notNamespaces=["in"]))], only("web", "other")),
    "an account of the policy's namespace": ([allow(source(serviceAccounts=["web"]))], only("web")),
    "an account of another namespace": ([allow(source(serviceAccounts=["far/web"]))], only("far")),
    "an address": ([allow(source(ipBlocks=["$other/32"]))], only("other")),
    "an address without its length": ([allow(source(ipBlocks=["$plain"]))], only("plain")),
    "not an address": ([allow(source(notIpBlocks=["$other/32"]))], all_but("other")),
    "a range of addresses": ([allow(source(ipBlocks=["198.18.0.0/16"]))], ALL),
    "a remote address": ([allow(source(remoteIpBlocks=["$web/32"]))], only("web")),
    "a principal and an address": ([allow(source(principals=["*"], ipBlocks=["$far/32", "$plain/32"]))], only("far")),
    "a principal at a port": ([allow({**source(principals=[WEB]), **to({"ports": ["9001"]})})], only("web", at="010")),
    "not a port": ([allow(to({"notPorts": ["9000"]}))], each("011")),
    # conditions
    "source.ip": ([allow(when("source.ip", "$web/32", "$far/32"))], only("web", "far")),
    "remote.ip": ([deny(when("remote.ip", "$web/32"))], all_but("web")),
    "source.namespace": ([allow(when("source.namespace", "far"))], only("far")),
    "not source.namespace": ([allow(when("source.namespace", notValues=["in"]))], only("far", "plain")),
    "source.principal": ([allow(when("source.principal", WEB))], only("web")),
    "destination.port": ([deny(when("destination.port", "9002"))], each("110")),
    "destination.ip": ([allow(when("destination.ip", "$app/32"))], ALL),
    "another destination.ip": ([deny(when("destination.ip", "203.0.113.0/24"))], ALL),
    "connection.sni that is absent": ([allow(when("connection.sni", "*"))], NONE),
    "what only Envoy's filters know": ([allow(when("experimental.envoy.filters.network.mysql_proxy[a.b]", "c"))], NONE),
    "what only Envoy's filters know, in DENY": ([deny(when("experimental.envoy.filters.network.mysql_proxy[a.b]", "c"))], NONE),
    "a header": ([allow(when("request.headers[User-Agent]", "curl*"))], NONE),
    "a header in DENY": ([deny(when("request.headers[User-Agent]", "curl*"))], NONE),
}


def policy(name, spec, ns="in", **meta):
    return {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": shop.meta(name, ns, **meta), "spec": spec}


@pytest.fixture(scope="module")
def town(new_mesh):
    docs = [shop.namespace("in", True), shop.namespace("far", True), shop.namespace("out", False), shop.client("out", "plain"),
            config()]
    for ns, name, account in (("in", "web", "web"), ("in", "other", "other"), ("far", "web", "web")):
        one = shop.client(ns, name)
        one["spec"]["serviceAccountName"] = account
        docs.append(one)
    app = shop.odd("in", "app", ports={port: "greet" for port in PORTS} | {PROBED: "close"}, with_service=False,
                   annotations={"traffic.sidecar.istio.io/excludeInboundPorts": str(PROBED)})  # no probe is ever denied
    return new_mesh(shop.documents(*docs, *app, shop.service("in", "app", "app", [(9000, {"name": "tcp-9000"}), 9001])))


@pytest.fixture(scope="module")
def addresses(town):
    def v4(pod):
        return next(e["ip"] for e in town.get("pod", pod)["status"]["podIPs"] if "." in e["ip"])
    return {name: v4(pod) for name, pod in CLIENTS.items()} | {"app": v4("in/app")}


def config(mark=0):
    """MARK changes nothing but the version."""
    data = shop.mesh_config({"trustDomainAliases": ["old.example"]}, {"handshakeTimeout": "2s"})
    data["data"]["mark"] = str(mark)
    return data


class Rules:
    """The policies in force; the application's sidecar has them when set() returns."""

    def __init__(self, mesh):
        self.mesh, self.docs, self.marks = mesh, [], itertools.count(1)

    def set(self, *docs):
        gone = [d for d in self.docs if d not in docs]
        if gone:
            self.mesh.delete(shop.documents(*gone))
        self.docs = [*docs]
        self.mesh.apply(shop.documents(*docs, config(next(self.marks))))  # the last change has the highest version
        version = int(self.mesh.get("configmap", "istio-system/istio")["metadata"]["resourceVersion"])
        wait_for(lambda: self.mesh.admin_json("in/app", "/config")["version"] >= version, what="the policies at the sidecar")


@pytest.fixture(scope="module")
def rules(town):
    return Rules(town)


def opened(mesh):
    """Connections that the application has seen, by port."""
    seen = [e["port"] for e in mesh.json_lines("in/app", "app") if e["event"] == "open"]
    return {port: seen.count(port) for port in PORTS}


def counter(mesh, name):
    lines = mesh.admin("in/app", "/stats/prometheus")["body"].splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


def inbound(mesh):
    return mesh.access_log("in/app", side="inbound")


def knock(mesh, addresses, who=CLIENTS):
    """name -> a digit per port: 1 for who heard the greeting, 0 for who was reset without a byte."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        calls = {name: pool.submit(mesh.call, CLIENTS[name], clients.knocks, addresses["app"], PORTS) for name in who}
    answers = {name: call.result() for name, call in calls.items()}
    assert {a for answer in answers.values() for a in answer} <= {"220 odd ready\r\n", "reset"}, answers
    return {name: "".join("0" if a == "reset" else "1" for a in answer) for name, answer in answers.items()}


def filled(value, addresses):
    text = json.dumps(value)
    for name, address in addresses.items():
        text = text.replace(f"${name}", address)
    return json.loads(text)


@pytest.mark.parametrize("row", ROWS)
def test_policies(town, rules, addresses, row):
    specs, want = ROWS[row]
    rules.set(*(policy(f"p{i}", filled(spec, addresses)) for i, spec in enumerate(specs)))
    before, lines, denied = opened(town), len(inbound(town)), counter(town, "hark_authorization_denied_total")
    assert knock(town, addresses) == want
    # the application was dialled for nobody who was denied
    allowed = {port: sum(int(digits[i]) for digits in want.values()) for i, port in enumerate(PORTS)}
    assert {port: n - before[port] for port, n in opened(town).items()} == allowed
    n_denied = 12 - sum(allowed.values())
    assert counter(town, "hark_authorization_denied_total") == denied + n_denied
    ended = wait_for(lambda: (lambda found: found if len(found) >= 12 else None)(inbound(town)[lines:]), what="the access log lines")
    refused = [e for e in ended if e["end"] == "not-authorized"]
    assert len(refused) == n_denied
    principals = {"in/web": f"spiffe://{WEB}", "in/other": "spiffe://cluster.local/ns/in/sa/other", "far/web": "spiffe://cluster.local/ns/far/sa/web"}
    for e in refused:
        assert e["source_principal"] == principals.get(e["source_workload"])
        assert e["connection_termination_details"].startswith("rbac_access_denied_matched_policy[")
        assert (e["upstream_host"], e["bytes_sent"], e["response_code"]) == (None, 0, 0)
    assert {e["audited"] for e in ended} == {"AUDIT" in row}


def test_rule_that_denies_is_named(town, rules, addresses):
    """In Istio's words, which tools look for; `none` where no rule allows."""
    rules.set(policy("no-web", deny(to({"ports": ["1"]}), source(principals=[WEB]))), policy("some", allow(source(principals=["*"]))))
    lines = len(inbound(town))
    assert knock(town, addresses) == only("other", "far")
    refused = wait_for(lambda: (lambda found: found if len(found) >= 6 else None)([e for e in inbound(town)[lines:] if e["end"] == "not-authorized"]))
    assert {(e["source_workload"], e["connection_termination_details"]) for e in refused} == {
        ("in/web", "rbac_access_denied_matched_policy[ns[in]-policy[no-web]-rule[1]]"),
        ("out/plain", "rbac_access_denied_matched_policy[none]")}
    by_web = [e for e in refused if e["source_workload"] == "in/web"]
    assert {e["source_principal"] for e in by_web} == {f"spiffe://{WEB}"}
    assert all("rule 1 of AuthorizationPolicy in/no-web (DENY) denies it" in e["reason"] for e in by_web)


def test_root_namespace_is_for_all(town, rules, addresses):
    """With a selector too; and nothing of the own namespace overrides it."""
    rules.set(policy("root", deny(source(namespaces=["far"]), selector={"matchLabels": {"app": "app"}}), ns="istio-system"),
              policy("own", allow({})))
    assert knock(town, addresses) == all_but("far")


def test_server_name(town, rules):
    """connection.sni of mesh TLS: that of Istio's sidecars, by Service."""
    rules.set(policy("sni", allow(when("connection.sni", "outbound_.9000_._.app.in.svc.cluster.local"))))
    assert town.call("in/web", clients.knocks, "app.in", [9000, 9001]) == ["220 odd ready\r\n", "reset"]
    assert town.call("out/plain", clients.knocks, "app.in", [9000, 9001]) == ["reset", "reset"]


def test_dry_run(town, rules, addresses):
    """Nobody is denied by it; whom it would deny is counted."""
    rules.set(policy("dry", deny(source(namespaces=["in"])), annotations={"istio.io/dry-run": "true"}))
    before = counter(town, "hark_authorization_shadow_denied_total"), counter(town, "hark_authorization_denied_total")
    assert knock(town, addresses) == ALL
    assert counter(town, "hark_authorization_shadow_denied_total") == before[0] + 2 * len(PORTS)
    assert counter(town, "hark_authorization_denied_total") == before[1]


UNKNOWN = policy("unknown", deny(when("request.time.of.day", "night")))


def test_unknown_key_is_refused(town, rules, addresses):
    """By the command and by the API: it never comes to be a DENY that denies nothing."""
    rules.set()
    got = town.hark("apply", "-f", town.file(shop.documents(UNKNOWN)), check=False)
    assert got.returncode == 1 and "spec.rules[0].when[0].key" in got.stderr and "request.time.of.day" in got.stderr
    url = "http://mesh/apis/security.istio.io/v1/namespaces/in/authorizationpolicies"
    done = subprocess.run(["curl", "-sS", "--unix-socket", f"/run/hark/{town.name}/admin.sock", "-H", "Content-Type: application/json",
                           "-d", json.dumps(UNKNOWN), url], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["code"] == 422 and "request.time.of.day" in done.stdout
    assert town.get("authorizationpolicy")["items"] == []
    assert knock(town, addresses) == ALL


def modes(mode, by_port=None):
    ports = {"portLevelMtls": {port: {"mode": other} for port, other in by_port.items()}} if by_port else {}
    return {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": shop.meta("app", "in"),
            "spec": {"selector": {"matchLabels": {"app": "app"}}, "mtls": {"mode": mode}, **ports}}


def test_under_each_mode(town, rules, addresses):
    """STRICT, DISABLE and PERMISSIVE side by side: without mTLS nobody has a principal."""
    rules.set(policy("named", allow(source(principals=["*"]))), modes("PERMISSIVE", {9000: "STRICT", 9001: "DISABLE"}))
    assert knock(town, addresses) == {"web": "101", "other": "101", "far": "101", "plain": "000"}


@pytest.mark.parametrize("mode", ["PERMISSIVE", "STRICT"])
def test_denied_client_that_waits_for_the_greeting(town, rules, addresses, mode):
    """A meshed one, which says nothing itself: the reset comes with the end of its sidecar's handshake."""
    rules.set(policy("named", allow(source(principals=[WEB]))), modes(mode))
    before, lines = opened(town), len(inbound(town))
    assert town.call("in/web", clients.first_byte, addresses["app"], 9001) != [None]
    got = town.call("in/other", clients.hear, addresses["app"], 9001)
    assert (got["bytes"], got["end"]) == ("", "reset")
    assert opened(town)[9001] == before[9001] + 1
    line = wait_for(lambda: [e for e in inbound(town)[lines:] if e["source_workload"] == "in/other"], what="the access log line")[0]
    assert (line["end"], line["source_principal"]) == ("not-authorized", "spiffe://cluster.local/ns/in/sa/other")


def test_denied_client_that_says_nothing(town, rules, addresses):
    """One without a sidecar. Where plaintext might be allowed to somebody, it could still be about to authenticate: it is waited for as long as
    handshakeTimeout, hears nothing, and the application hears of nobody."""
    before = opened(town)
    # with DISABLE it can not authenticate, and is refused at accept
    for mode, waited_for in (("PERMISSIVE", True), ("DISABLE", False)):
        rules.set(policy("named", allow(source(principals=["*"]))), modes(mode))
        lines = len(inbound(town))
        got = town.call("out/plain", clients.hear, addresses["app"], 9001)
        assert (got["bytes"], got["end"]) == ("", "reset")
        line = wait_for(lambda seen=lines: inbound(town)[seen:], what="the access log line")[-1]
        assert line["end"] == "not-authorized" and ("did not authenticate in time" in line["reason"]) == waited_for
        assert not waited_for or line["duration"] >= 2000
    assert opened(town) == before


@pytest.mark.parametrize("client", ["web", "plain"])
def test_change_is_for_new_connections(town, rules, addresses, client):
    """Open ones go on."""
    rules.set()
    held = town.start(CLIENTS[client], clients.hold, addresses["app"], 9001)
    held.tell()
    assert held.hear()
    rules.set(policy("closed", deny({})))
    assert knock(town, addresses, [client]) == {client: "000"}
    held.tell()
    assert held.hear()
    rules.set()
    assert knock(town, addresses, [client]) == {client: "111"}
    held.tell()
    assert held.hear()
