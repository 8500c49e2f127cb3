"""The world outside: ServiceEntries for servers that are in no mesh and behind no Service, reached by names that a real DNS server
outside (BIND) serves for example.com. Each Pod of the namespace `far` plays a machine somewhere else."""

import json
import pathlib

import authority
import clients
import pytest
import shop
from conftest import wait_for

GREETING = "220 odd ready\r\n"
ODD = {9000: "greet", 9001: "echo", 3306: "greet", 22: "greet"}

NAMED = """
options { directory "/data"; listen-on { any; }; listen-on-v6 { any; }; recursion no; pid-file none; session-keyfile none; };
controls { };
zone "example.com" { type primary; file "/data/zone"; allow-update { any; }; };
"""
ZONE = """$TTL 1
@ IN SOA ns.example.com. root.example.com. 1 60 60 60 1
@ IN NS ns.example.com.
ns IN A 127.0.0.1
"""
START_NAMED = "cp /config/zone /data/zone; exec named -g -n 1 -c /config/named.conf"


def mariadb(name, word):
    """A MariaDB on its usual port, whose database says which one it is."""
    init = f"""CREATE DATABASE shop;
CREATE TABLE shop.who (name TEXT);
INSERT INTO shop.who VALUES ('{word}');
CREATE USER shop IDENTIFIED BY 'shop';
GRANT ALL ON shop.* TO shop;
"""
    script = ("mariadb-install-db --no-defaults --datadir=/data --skip-test-db > /dev/null\n"
              "exec mariadbd --no-defaults --datadir=/data --port=3306 --socket=/tmp/mariadb.sock --skip-name-resolve "
              "--init-file=/config/init.sql")
    p = shop.pod("far", name, ["sh", "-ec", script], files=f"{name}-files", ready_port=3306)
    p["spec"]["securityContext"] = {"runAsUser": 65534}
    p["spec"]["volumes"].append({"name": "data", "emptyDir": {}})
    p["spec"]["containers"][0]["volumeMounts"].append({"name": "data", "mountPath": "/data"})
    return [shop.config_map("far", f"{name}-files", {"init.sql": init}), p]


def named():
    p = shop.pod("far", "dns", ["sh", "-ec", START_NAMED], files="dns-files", ready_port=53)
    p["spec"]["volumes"].append({"name": "data", "emptyDir": {}})
    p["spec"]["containers"][0]["volumeMounts"].append({"name": "data", "mountPath": "/data"})
    return [shop.config_map("far", "dns-files", {"named.conf": NAMED, "zone": ZONE}), p]


def client(ns, name, dns):
    p = shop.client(ns, name)
    p["spec"].update(dnsPolicy="None", dnsConfig={"nameservers": [dns], "searches": [f"{ns}.svc.cluster.local"],
                                                  "options": [{"name": "ndots", "value": "5"}]})
    return p


def entry(name, hosts, ports, ns="in", labels=None, **spec):
    """PORTS: number -> more fields."""
    rows = [{"number": n, "name": f"p{n}", **more} for n, more in ports.items()]
    return {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": shop.meta(name, ns, labels=labels or {}),
            "spec": {"hosts": hosts, "ports": rows, **spec}}


def rule(host, tls, ns="in"):
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": shop.meta("rule", ns),
            "spec": {"host": host, "trafficPolicy": {"tls": tls}}}


def sidecar(name, ns="in", **spec):
    return {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": shop.meta(name, ns), "spec": spec}


class World:
    def __init__(self, mesh):
        self.mesh = mesh
        self.client = "in/client"
        self.ips = {p["metadata"]["name"]: p["status"]["podIP"] for p in mesh.get("pods")["items"] if p["metadata"]["namespace"] == "far"}

    def ready(self, pod):
        def is_ready():
            status = self.mesh.get("pod", pod).get("status", {})
            return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
        wait_for(is_ready, timeout=60, what=f"{pod} ready")

    def zone(self, name, *ips, ttl=1):
        """NAME.example.com has these addresses from now on."""
        lines = ["server 127.0.0.1", "zone example.com", f"update delete {name}.example.com A"]
        lines += [f"update add {name}.example.com {ttl} A {ip}" for ip in ips]
        self.mesh.exec("far/dns", "nsupdate", stdin="\n".join([*lines, "send", ""]))

    def config(self, pod=None):
        return self.mesh.admin_json(pod or self.client, "/config")

    def entry(self, host, pod=None):
        return next((e for e in self.config(pod)["service_entries"] if e["host"] == host), None)

    def knows(self, *hosts, pod=None):
        wait_for(lambda: all(self.entry(h, pod) for h in hosts), what=f"{hosts} in the sidecar's view")

    def forgets(self, *hosts, pod=None):
        wait_for(lambda: not any(self.entry(h, pod) for h in hosts), what=f"{hosts} gone from the sidecar's view")

    def who(self, host, port=3306):
        return self.mesh.call(self.client, clients.mariadb_who, host, port)

    def greeted(self, host, port, pod=None):
        return self.mesh.call(pod or self.client, clients.greeted_exchange, host, port, "hello\r\n", 0, 20)["greeting"]

    def hear(self, host, port):
        return self.mesh.call(self.client, clients.hear, host, port, 0, "", 20)

    def last(self, port):
        """The access log's line of the newest connection to PORT."""
        def lines():
            found = self.mesh.access_log(self.client, side="outbound")
            return [e for e in found if (e["downstream_local_address"] or "").endswith(f":{port}")]
        return wait_for(lines, what=f"the access log line of port {port}")[-1]

    def explain(self, dst):
        return json.loads(self.mesh.hark("explain", self.client, dst, "-o", "json").stdout)


@pytest.fixture(scope="module")
def world(new_mesh, tmp_path_factory):
    mesh = new_mesh(shop.documents(
        shop.namespace("in", True), shop.namespace("other", True), shop.namespace("far", False), *named(), *mariadb("maria-1", "one"),
        *mariadb("maria-2", "two"), *shop.odd("far", "odd-1", ports=ODD, with_service=False),
        *shop.odd("far", "odd-2", ports=ODD, with_service=False), *tls_server(tmp_path_factory.mktemp("tls"))))
    w = World(mesh)
    mesh.apply(shop.documents(client("in", "client", w.ips["dns"]), client("other", "client", w.ips["dns"])))
    for pod in ("in/client", "other/client"):
        w.ready(pod)
    return w


def tls_server(folder):
    ours = authority.Authority(folder / "ca")
    cert = ours.issue(dns=["tls.example.com"])
    files = {"either.py": (shop.HERE / "servers" / "either.py").read_text(), "app.pem": cert["chain"], "app.key": cert["key"]}
    return [shop.config_map("far", "tls-files", files),
            shop.pod("far", "tls", ["python3", "/config/either.py", "/config/app.pem", "/config/app.key", "8443"], files="tls-files",
                     ready_port=8443)]


@pytest.fixture
def applied(world):
    """applied(RESOURCE...) puts resources there; they are gone when the test is over, and so is what the sidecar knew of them."""
    texts, hosts = [], []

    def apply(*docs):
        text = shop.documents(*docs)
        texts.append(text)
        world.mesh.apply(text)
        mine = [h for d in docs if d["kind"] == "ServiceEntry" for h in d["spec"]["hosts"]]
        hosts.extend(mine)
        return mine

    yield apply
    for text in reversed(texts):
        world.mesh.delete(text)
    world.forgets(*hosts)


@pytest.fixture
def registry_only(world):
    """registry_only(True) refuses what no Service or ServiceEntry covers; the default comes back afterwards."""
    def set_to(on):
        mode = "REGISTRY_ONLY" if on else "ALLOW_ANY"
        world.mesh.apply(shop.documents(shop.mesh_config({"outboundTrafficPolicy": {"mode": mode}})))
        wait_for(lambda: world.config()["outbound_traffic_policy"]["mode"] == mode, what=mode)

    yield set_to
    set_to(False)


# --- a database outside -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [{}, {"protocol": "TCP"}, {"protocol": "MySQL"}, {"protocol": "HTTP"}],
                         ids=["nothing", "TCP", "MySQL", "wrong"])
def test_mariadb_by_name(world, applied, declared):
    """The three rows of ASM's table: nothing, TCP, and a word that is wrong; the server speaks first in all of them."""
    world.zone("db", world.ips["maria-1"])
    applied(entry("db", ["db.example.com"], {3306: declared}, resolution="DNS"))
    world.knows("db.example.com")
    vip = wait_for(lambda: world.entry("db.example.com")["addresses"], what="a virtual IP")[0]
    assert vip.startswith("240.240.")
    assert vip in wait_for(lambda: world.mesh.call(world.client, clients.resolve, "db.example.com"))
    assert world.who("db.example.com") == "one"
    line = world.last(3306)
    assert line["upstream_host"] == f"{world.ips['maria-1']}:3306"
    assert line["upstream_cluster"] == "outbound|3306||db.example.com"
    assert line["upstream_transport"] == "plaintext"


def test_registry_only(world, applied, registry_only):
    world.zone("db", world.ips["maria-1"])
    registry_only(True)
    got = world.hear("db.example.com", 3306)
    assert got["bytes"] == "" and got["end"] in ("reset", "refused")
    applied(entry("db", ["db.example.com"], {3306: {}}, resolution="DNS"))
    world.knows("db.example.com")
    assert world.who("db.example.com") == "one"
    # a port that the entry does not declare is nobody's
    assert world.hear("db.example.com", 22)["end"] in ("reset", "refused")


def test_two_on_one_port(world, applied):
    world.zone("one", world.ips["maria-1"])
    world.zone("two", world.ips["maria-2"])
    applied(entry("one", ["one.example.com"], {3306: {"protocol": "TCP"}}, resolution="DNS"),
            entry("two", ["two.example.com"], {3306: {"protocol": "TCP"}}, resolution="DNS"))
    world.knows("one.example.com", "two.example.com")
    for _ in range(3):
        assert (world.who("one.example.com"), world.who("two.example.com")) == ("one", "two")


def test_dead_address_is_passed_over(world, applied):
    world.zone("many", world.ips["dns"], world.ips["odd-1"], world.ips["tls"])  # on two of them nobody listens there
    applied(entry("many", ["many.example.com"], {9000: {}}, resolution="DNS"))
    world.knows("many.example.com")
    for _ in range(6):
        assert world.greeted("many.example.com", 9000) == GREETING
    assert world.last(9000)["upstream_host"] == f"{world.ips['odd-1']}:9000"


@pytest.mark.parametrize("resolution", ["DNS", "DNS_ROUND_ROBIN"])
def test_changed_address(world, applied, resolution):
    """New connections follow, the old one lives."""
    world.zone("moving", world.ips["odd-1"])
    applied(entry("moving", ["moving.example.com"], {9001: {}}, resolution=resolution))
    world.knows("moving.example.com")
    held = world.mesh.start(world.client, clients.keep_talking, "moving.example.com", 9001)
    assert held.hear() == "open"
    held.tell("before")
    assert held.hear().strip() == "before"
    world.zone("moving", world.ips["odd-2"])

    def follows():
        assert world.mesh.call(world.client, clients.spoken_exchange, "moving.example.com", 9001)["echo"] == "hello"
        return world.last(9001)["upstream_host"] == f"{world.ips['odd-2']}:9001"

    wait_for(follows, what="the new address")
    held.tell("after")
    assert held.hear().strip() == "after"


def test_resolver_away(world, applied):
    """The last good answer stays in force."""
    world.zone("lasting", world.ips["odd-1"])
    applied(entry("lasting", ["lasting.example.com"], {9000: {}}, resolution="DNS"))
    world.knows("lasting.example.com")
    assert world.greeted("lasting.example.com", 9000) == GREETING
    world.mesh.exec("far/dns", "sh", "-c", "kill -STOP $(pidof named)")
    try:
        wait_for(lambda: any("name=lasting.example.com not resolved" in line
                             for line in world.mesh.logs(world.client, "istio-proxy").splitlines()), timeout=60, what="the failure in the log")
        vip = world.entry("lasting.example.com")["addresses"][0]
        assert world.greeted(vip, 9000) == GREETING
        assert "nameservers do not tell the names of lasting.example.com" in world.mesh.hark("status").stdout
    finally:
        world.mesh.exec("far/dns", "sh", "-c", "kill -CONT $(pidof named)")
    wait_for(lambda: "nameservers do not tell" not in world.mesh.hark("status").stdout, timeout=60, what="status without a problem")


@pytest.fixture(scope="module")
def families(world):
    """A client of its own whose nameserver does as families(A=..., AAAA=...) says, and two addresses that it has for every name."""
    v4, v6 = (a["ip"] for a in world.mesh.get("pod", "far/odd-1")["status"]["podIPs"])
    server = [shop.config_map("far", "families-files", {"families.py": (shop.HERE / "servers" / "families.py").read_text()}),
              shop.pod("far", "families", ["python3", "/config/families.py", "53", v4, v6, "/tmp/modes"], files="families-files")]
    world.mesh.apply(shop.documents(*server))
    world.ready("far/families")
    ours = client("in", "dual", world.mesh.get("pod", "far/families")["status"]["podIP"])
    world.mesh.apply(shop.documents(ours))
    world.ready("in/dual")

    def set_to(**modes):
        words = " ".join(f"{family}={mode}" for family, mode in modes.items())
        world.mesh.exec("far/families", "sh", "-c", f"echo {words} > /tmp/new && mv /tmp/new /tmp/modes")

    return set_to, v4, v6


@pytest.mark.parametrize("slow", ["A", "AAAA"])
def test_one_family_fails(world, applied, families, slow):
    """Each family has a last good answer of its own: silence changes nothing of it, "no such record" takes it away."""
    set_to, v4, v6 = families
    pod, host = "in/dual", f"slow-{slow.lower()}.example.com"  # each its own: what was known of a name is kept for a while
    both = {f"{v4}:9000", f"[{v6}]:9000"}
    gone = f"{v4}:9000" if slow == "A" else f"[{v6}]:9000"
    left = both - {gone}
    applied(entry("both", [host], {9000: {}}, resolution="DNS"))
    world.knows(host, pod=pod)

    def known():
        return {e["address"] for e in world.entry(host, pod)["ports"][0]["endpoints"]}

    def failures():
        return sum(f"name={host} not resolved, the last answer stays" in line for line in world.mesh.logs(pod, "istio-proxy").splitlines())

    set_to(**{slow: "silent"})  # whoever waits for the first answer does not wait for both
    assert world.greeted(host, 9000, pod) == GREETING
    assert known() == left
    set_to()
    wait_for(lambda: known() == both, what="both families")
    before = failures()
    set_to(**{slow: "silent"})
    wait_for(lambda: failures() > before, timeout=60, what="the failure in the log")
    assert known() == both
    assert world.greeted(host, 9000, pod) == GREETING
    set_to(**{slow: "none"})
    wait_for(lambda: known() == left, timeout=60, what=f"{gone} gone")
    set_to()


def test_undeclared_port_passes(world, applied):
    world.zone("box", world.ips["odd-1"])
    applied(entry("box", ["box.example.com"], {3306: {}}, resolution="DNS"))
    world.knows("box.example.com")
    assert world.greeted("box.example.com", 22) == GREETING
    line = world.last(22)
    assert line["upstream_host"] == f"{world.ips['odd-1']}:22" and line["upstream_cluster"] == "PassthroughCluster"


def test_name_without_address(world, applied):
    applied(entry("nobody", ["nobody.example.com"], {3306: {}}, resolution="DNS"))
    world.knows("nobody.example.com")
    got = world.hear("nobody.example.com", 3306)
    assert got["bytes"] == "" and got["end"] in ("reset", "refused")
    assert world.last(3306)["end"] == "not-resolved"


# --- other shapes -----------------------------------------------------------------------------------------------------


def test_static_with_target_port(world, applied):
    applied(entry("fixed", ["fixed.example.com"], {4000: {"targetPort": 9000}}, resolution="STATIC",
                  endpoints=[{"address": world.ips["odd-1"]}, {"address": world.ips["odd-2"], "ports": {"p4000": 3306}}]))
    world.knows("fixed.example.com")
    assert {e["address"] for e in world.entry("fixed.example.com")["ports"][0]["endpoints"]} == {
        f"{world.ips['odd-1']}:9000", f"{world.ips['odd-2']}:3306"}
    for _ in range(4):
        assert world.greeted("fixed.example.com", 4000) == GREETING


@pytest.mark.parametrize("balancer, held", [("round-robin", False), ("round-robin", True), ("least-connections", True)])
def test_weights(world, applied, balancer, held):
    """Of forty connections three in four go where three of four weights are; HELD: while all of them are open."""
    world.mesh.apply(shop.documents(shop.mesh_config({}, {"loadBalancer": balancer})))
    wait_for(lambda: world.config()["mesh"]["load_balancer"] == balancer, what=balancer)
    name = f"weighed-{balancer}-{held}".lower()
    applied(entry(name, [f"{name}.example.com"], {9001: {}}, resolution="STATIC",
                  endpoints=[{"address": world.ips["odd-1"], "weight": 3}, {"address": world.ips["odd-2"]}]))
    world.knows(f"{name}.example.com")
    vip = wait_for(lambda: [a for a in world.entry(f"{name}.example.com")["addresses"] if ":" not in a])[0]
    try:
        assert world.mesh.call(world.client, clients.echo_many, vip, 9001, 40, held) == 40

        def lines():
            found = world.mesh.access_log(world.client, side="outbound", upstream_cluster=f"outbound|9001||{name}.example.com")
            return found if len(found) == 40 else None

        where = [e["upstream_host"] for e in wait_for(lines, what="forty lines of the access log")]
        assert abs(where.count(f"{world.ips['odd-1']}:9001") - 30) <= 3, where
    finally:
        world.mesh.apply(shop.documents(shop.mesh_config({})))


def test_addresses_and_ranges(world, applied, registry_only):
    """NONE: the address that was dialled, if the entry covers it."""
    registry_only(True)
    assert world.hear(world.ips["odd-1"], 9000)["end"] in ("reset", "refused")
    applied(entry("exact", ["exact.example.com"], {9000: {}}, addresses=[world.ips["odd-1"]]),
            entry("range", ["range.example.com"], {9000: {}}, addresses=[world.ips["odd-2"] + "/31"]))
    world.knows("exact.example.com", "range.example.com")
    assert world.greeted(world.ips["odd-1"], 9000) == GREETING
    assert world.last(9000)["upstream_cluster"] == "outbound|9000||exact.example.com"
    assert world.greeted(world.ips["odd-2"], 9000) == GREETING
    assert world.last(9000)["upstream_cluster"] == "outbound|9000||range.example.com"
    assert world.hear(world.ips["odd-1"], 9001)["end"] in ("reset", "refused")


def test_host_that_is_an_address(world, applied, registry_only):
    """Istio takes addresses as hosts, too: it is its own address, and needs no virtual IP."""
    registry_only(True)
    ip = world.ips["odd-1"]
    applied(entry("number", [ip], {9000: {}}, resolution="DNS"))
    world.knows(ip)
    assert world.entry(ip)["addresses"] == [ip]
    assert world.greeted(ip, 9000) == GREETING
    assert world.last(9000)["upstream_cluster"] == f"outbound|9000||{ip}"


def test_virtual_ips_stay(world, applied):
    first = entry("stays", ["stays.example.com"], {3306: {}}, resolution="DNS")
    applied(first)
    world.knows("stays.example.com")
    before = wait_for(lambda: world.entry("stays.example.com")["addresses"])
    applied(entry("aaa", ["aaa.example.com", "stays.example.com"], {5432: {}}, resolution="DNS"))
    world.knows("aaa.example.com")
    got = wait_for(lambda: world.mesh.get("serviceentry", "in/aaa").get("status", {}).get("addresses"), what="the status")
    assert {a["value"] for a in got if a["host"] == "stays.example.com"} == set(before)
    assert not {a["value"] for a in got if a["host"] == "aaa.example.com"} & set(before)
    world.mesh.apply(shop.documents(first))
    assert world.entry("stays.example.com")["addresses"] == before


def test_workload_selector(world, applied):
    """Pods and WorkloadEntries of the namespace, by their labels."""
    applied({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry", "metadata": shop.meta("vm", "far", labels={"tier": "db"}),
             "spec": {"address": world.ips["odd-1"], "ports": {"p4000": 9000}}},
            entry("chosen", ["chosen.example.com"], {4000: {"targetPort": 3306}}, ns="far", resolution="STATIC", location="MESH_INTERNAL",
                  workloadSelector={"labels": {"tier": "db"}}))
    world.knows("chosen.example.com")
    endpoints = lambda: {e["address"] for e in world.entry("chosen.example.com")["ports"][0]["endpoints"]}
    assert endpoints() == {f"{world.ips['odd-1']}:9000"}
    assert world.greeted("chosen.example.com", 4000) == GREETING
    more = shop.odd("far", "odd-3", ports={3306: "greet"}, with_service=False, labels={"tier": "db"})
    applied(*more)
    wait_for(lambda: any(e.endswith(":3306") for e in endpoints()), what="the Pod's endpoints")
    for _ in range(4):
        assert world.greeted("chosen.example.com", 4000) == GREETING


def test_machine_behind_a_service(world, applied):
    """A Service's selector takes WorkloadEntries, too, as they come and go."""
    machine = {"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry", "metadata": shop.meta("box", "in", labels={"app": "boxes"}),
               "spec": {"address": world.ips["odd-1"], "ports": {"p4000": 9000}}}
    applied(shop.service("in", "boxes", "boxes", [4000]))

    def behind(n):
        wait_for(lambda: world.explain("boxes:4000")["plan"].get("endpoints") == n, what=f"{n} behind the Service")

    wait_for(lambda: world.mesh.get("service", "in/boxes")["spec"].get("clusterIP"), what="the Service's address")
    behind(0)
    world.mesh.apply(shop.documents(machine))
    behind(1)
    assert world.greeted("boxes", 4000) == GREETING
    assert world.last(4000)["upstream_host"] == f"{world.ips['odd-1']}:9000"
    world.mesh.delete(shop.documents(machine))
    behind(0)
    assert world.hear("boxes", 4000)["end"] in ("reset", "refused")


def test_scope(world, applied):
    applied(entry("mine", ["mine.example.com"], {3306: {}}, resolution="DNS", exportTo=["."]),
            entry("ours", ["ours.example.com"], {3306: {}}, resolution="DNS"))
    world.knows("mine.example.com", "ours.example.com")
    world.knows("ours.example.com", pod="other/client")
    assert world.entry("mine.example.com", pod="other/client") is None
    applied(sidecar("default", "other", egress=[{"hosts": ["./*", "istio-system/*"]}]))
    world.forgets("ours.example.com", pod="other/client")
    assert world.entry("ours.example.com")


def test_service_of_its_namespace_alone(world, applied):
    """exportTo as Services have it: to the sidecars of others neither its names nor its port say anything."""
    private = shop.service("in", "private", "client", [3306])
    private["metadata"]["annotations"] = {"networking.istio.io/exportTo": "."}
    applied(private, shop.service("in", "public", "client", [3306]))

    def answers(pod):
        return {n: world.mesh.admin_json(pod, f"/dns?name={n}.in.svc.cluster.local")["answered_by"] for n in ("private", "public")}

    wait_for(lambda: answers("in/client") == {"private": "mesh", "public": "mesh"}, what="both, in their namespace")
    wait_for(lambda: answers("other/client") == {"private": "nameservers", "public": "mesh"}, what="the public one, elsewhere")
    ips = {n: world.mesh.get("service", f"in/{n}")["spec"]["clusterIP"] for n in ("private", "public")}

    def steps(pod, name):
        return json.dumps(json.loads(world.mesh.hark("explain", pod, f"{ips[name]}:3306", "-o", "json").stdout)["steps"])

    assert "Service in/private" in steps("in/client", "private")
    assert "Service in/public" in steps("other/client", "public")
    assert "private" not in steps("other/client", "private")


def test_scope_by_port(world, applied):
    """A listener with a port says whose that port is; virtual IPs lead there all the same."""
    pod = "other/client"
    world.zone("mine", world.ips["odd-1"])
    world.zone("yours", world.ips["odd-2"])
    applied(entry("mine", ["mine.example.com"], {9000: {}, 9001: {}}, resolution="DNS"),
            entry("yours", ["yours.example.com"], {9000: {}, 9001: {}}, resolution="STATIC", endpoints=[{"address": world.ips["odd-2"]}]))
    applied(sidecar("default", "other", egress=[{"port": {"number": 9000, "protocol": "TCP", "name": "a"}, "hosts": ["in/mine.example.com"]},
                                                {"hosts": ["in/yours.example.com"]}]))

    def says(dst):
        return [s["step"] for s in json.loads(world.mesh.hark("explain", pod, dst, "-o", "json").stdout)["steps"]]

    world.knows("mine.example.com", "yours.example.com", pod=pod)
    wait_for(lambda: any(p.get("imported") is False for p in world.entry("yours.example.com", pod)["ports"]), what="the Sidecar's listeners")
    assert world.greeted("yours.example.com", 9000, pod) == GREETING  # as any host outside: ALLOW_ANY
    assert world.greeted("mine.example.com", 9000, pod) == GREETING
    assert world.mesh.call(pod, clients.spoken_exchange, "yours.example.com", 9001)["echo"] == "hello"

    def clusters():
        found = [e["upstream_cluster"] for e in world.mesh.access_log(pod, side="outbound")]
        return sorted(found[-3:]) if len(found) >= 3 else None

    assert "not-imported" in says("yours.example.com:9000") and "not-imported" in says("mine.example.com:9001")
    assert wait_for(clusters) == ["PassthroughCluster", "outbound|9000||mine.example.com", "outbound|9001||yours.example.com"]


def test_socket_instead_of_a_name(world, applied):
    """Istio's example: the application dials localhost, the sidecar carries it to the host, whose server speaks first; nothing is declared."""
    world.zone("mysql", world.ips["maria-1"])
    applied(entry("mysql", ["mysql.example.com"], {3306: {}}, resolution="DNS"))
    assert world.hear("127.0.0.1", 3306)["end"] == "refused"
    applied(sidecar("default", egress=[
        {"port": {"number": 3306, "protocol": "MYSQL", "name": "egressmysql"}, "bind": "127.0.0.1", "captureMode": "NONE",
         "hosts": ["*/mysql.example.com"]},
        {"hosts": ["*/*"]}]))
    wait_for(lambda: world.config()["listeners"], what="the socket in the sidecar's view")
    wait_for(lambda: world.hear("127.0.0.1", 3306)["end"] != "refused", what="the socket")
    assert world.who("127.0.0.1") == "one"
    line = world.last(3306)
    assert line["upstream_cluster"] == "outbound|3306||mysql.example.com" and line["upstream_host"] == f"{world.ips['maria-1']}:3306"
    assert "Sidecar in/default" in line["reason"] and line["detected_protocol"] == "mysql"
    assert world.who("mysql.example.com") == "one"  # the name leads there as before
    assert [s["step"] for s in world.explain("127.0.0.1:3306")["steps"]][0] == "egress-listener"
    world.mesh.apply(shop.documents(sidecar("default", egress=[{"hosts": ["*/*"]}])))
    wait_for(lambda: world.hear("127.0.0.1", 3306)["end"] == "refused", what="the end of the socket")


def test_sidecar_outbound_policy(world, applied):
    assert world.greeted(world.ips["odd-1"], 9000) == GREETING
    applied(sidecar("default", outboundTrafficPolicy={"mode": "REGISTRY_ONLY"}))
    wait_for(lambda: world.config()["outbound_traffic_policy"] == {"mode": "REGISTRY_ONLY", "by": "Sidecar in/default"})
    assert world.hear(world.ips["odd-1"], 9000)["end"] in ("reset", "refused")
    assert "Sidecar in/default" in world.last(9000)["reason"]


def test_tls_origination(world, applied):
    """The application speaks plaintext, the server hears TLS; a certificate of nobody's is refused."""
    world.zone("tls", world.ips["tls"])
    applied(entry("tls", ["tls.example.com"], {80: {"targetPort": 8443, "protocol": "HTTP"}}, resolution="DNS"))
    world.knows("tls.example.com")

    def saw():
        return json.loads(world.mesh.call(world.client, clients.http, "tls.example.com", 80)["body"])

    assert saw() == {"saw": "plaintext"}
    plain = rule("tls.example.com", {"mode": "SIMPLE", "insecureSkipVerify": True})
    applied(plain)
    wait_for(lambda: world.explain("tls.example.com:80")["transport"][0]["transport"] == "tls", what="the rule")
    assert saw() == {"saw": "tls"}
    line = world.last(80)
    assert line["upstream_transport"] == "tls" and line["upstream_host"] == f"{world.ips['tls']}:8443"
    world.mesh.apply(shop.documents(rule("tls.example.com", {"mode": "SIMPLE"})))

    def refused():
        got = world.hear("tls.example.com", 80)
        return got["end"] in ("reset", "refused") and world.last(80)["end"] == "upstream-tls"

    wait_for(refused, what="the refusal of an unknown authority")


def test_explain(world, applied):
    world.zone("told", world.ips["odd-1"])
    applied(entry("told", ["told.example.com"], {3306: {}}, resolution="DNS"))
    world.knows("told.example.com")
    vip = wait_for(lambda: world.entry("told.example.com")["addresses"])[0]
    text = world.mesh.hark("explain", world.client, "told.example.com:3306").stdout
    for word in ("told.example.com", vip, "ServiceEntry in/told", f"{world.ips['odd-1']}:3306", "plaintext", "MESH_EXTERNAL"):
        assert word in text, text


@pytest.mark.parametrize("declared, code", [("HTTP", "HRK0014"), (None, "HRK0011")])
def test_analyze_knows_what_was_learnt(world, applied, declared, code):
    """A declaration that the server contradicts is reported, not obeyed into a hang."""
    name = f"learnt-{(declared or 'nothing').lower()}"
    world.zone(name, world.ips["odd-1"])
    applied(entry(name, [f"{name}.example.com"], {3306: {"protocol": declared} if declared else {}}, resolution="DNS"))
    world.knows(f"{name}.example.com")
    assert world.greeted(f"{name}.example.com", 3306) == GREETING

    def found():
        told = world.mesh.hark("analyze", "-o", "json", check=False).stdout
        return [f for f in json.loads(told)["findings"] if f["code"] == code and f["name"] == name]

    assert wait_for(found, what=f"{code} of {name}")[0]["path"] == "spec.ports[0].protocol"


@pytest.mark.skipif(not pathlib.Path("/proc/net/if_inet6").exists(), reason="this kernel has no IPv6")
def test_ipv6_virtual_ip(world, applied):
    world.zone("six", world.ips["odd-1"])
    applied(entry("six", ["six.example.com"], {9000: {}}, resolution="DNS"))
    world.knows("six.example.com")
    vip = wait_for(lambda: [a for a in world.entry("six.example.com")["addresses"] if ":" in a])[0]
    assert vip.startswith("2001:2::")
    assert vip in world.mesh.call(world.client, clients.resolve, "six.example.com")
    assert world.greeted(vip, 9000) == GREETING


def test_waiting_connection_shows(world, applied):
    """With the nameserver silent a first connection waits, is told of as such, and ends by connectTimeout."""
    applied(entry("mute", ["mute.example.com"], {9000: {}}, resolution="DNS"))
    world.knows("mute.example.com")
    vip = wait_for(lambda: world.entry("mute.example.com")["addresses"])[0]
    world.mesh.apply(shop.documents(shop.mesh_config({"connectTimeout": "2s"})))
    wait_for(lambda: world.config()["mesh"]["connect_timeout_ms"] == 2000)
    world.mesh.exec("far/dns", "sh", "-c", "kill -STOP $(pidof named)")
    try:
        waiting = world.mesh.start(world.client, clients.hear, vip, 9000, 0, "", 20)
        wait_for(lambda: any(c["state"] == "names" for c in world.mesh.admin_json(world.client, "/connections")["connections"]),
                 what="the waiting connection in the list")
        assert waiting.result()["end"] in ("reset", "refused")
        assert world.last(9000)["end"] == "not-resolved"
    finally:
        world.mesh.exec("far/dns", "sh", "-c", "kill -CONT $(pidof named)")
        world.mesh.apply(shop.documents(shop.mesh_config({})))
