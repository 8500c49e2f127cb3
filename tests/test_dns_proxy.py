"""The sidecar's DNS proxy, asked by real clients (dig, getaddrinfo, curl), before a real BIND and before a nameserver that lies."""

import os
import re
import signal
import subprocess
import time
import uuid

import dns_clients
import pytest
import shop
from conftest import wait_for

KUBE_DNS, BIND, SPOOFER, REFUSER = "198.19.0.10", "198.19.0.53", "198.19.0.54", "198.19.0.55"
NAMED = """
options { directory "/tmp"; pid-file none; session-keyfile none; listen-on port 53 { any; }; listen-on-v6 { any; }; recursion no;
          querylog yes; minimal-responses yes; };
controls {};
zone "example.test" { type primary; file "/config/zone"; };
zone "local" { type primary; file "/config/empty"; };
"""
REFUSING = NAMED.partition("zone ")[0]
MANY_HOSTS = [f"h{i}.many.example" for i in range(250)]
EMPTY = "$TTL 60\n@ SOA ns root 1 60 60 60 1\n@ NS ns.example.test.\n"
ZONE = """$TTL 60
@      SOA ns root 1 60 60 60 1
@      NS  ns
ns     A   192.0.2.53
www    A   192.0.2.80
www    AAAA 2001:db8::80
short  1 A 192.0.2.81
mail   MX  10 www
post   MX  10 www
odd    TYPE65280 \\# 4 0a000001
many   A   192.0.2.1
""" + "".join(f"many A 192.0.2.{i}\n" for i in range(2, 101))


def tool(name, ns, files, command, **more):
    return [shop.config_map(ns, f"{name}-files", files), shop.pod(ns, name, command, files=f"{name}-files", ready_port=53, **more)]


def nameserver(name, ip, **more):
    ports = [{"name": "tcp-dns", "port": 53}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": shop.meta(name, "out"),
            "spec": {"selector": {"app": name}, "clusterIP": ip, "ipFamilies": ["IPv4"], "ports": ports, **more}}


def client(name, *servers, ns="shop", annotations=None, searches=()):
    pod = shop.client(ns, name, annotations=annotations or {})
    if servers:
        pod["spec"] |= {"dnsPolicy": "None", "dnsConfig": {"nameservers": list(servers), "searches": list(searches), "options": [{"name": "ndots", "value": "5"}]}}
    return pod


def head(name):
    pod = shop.client("shop", name, labels={"set": "heads"})
    pod["spec"] |= {"hostname": name, "subdomain": "heads"}
    return pod


def entry(name, hosts, **spec):
    return {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": shop.meta(name, "shop"),
            "spec": {"hosts": hosts, "ports": [{"number": 3306, "name": "tcp", "protocol": "TCP"}], "location": "MESH_EXTERNAL", **spec}}


@pytest.fixture(scope="module")
def town(new_mesh):
    """Clients whose nameserver is the mesh's, BIND, and one that lies; one of each kind without a DNS proxy."""
    spoofer = (shop.HERE / "servers" / "spoofer.py").read_text()
    return new_mesh(shop.documents(
        shop.namespace("shop", True), shop.namespace("out", False),
        shop.client("shop"),
        client("bound", BIND, searches=["shop.svc.cluster.local", "example.test"]), client("lied-to", SPOOFER),
        client("twice", REFUSER, BIND), client("moved", SPOOFER),
        client("off", annotations={"proxy.istio.io/config": 'proxyMetadata: {ISTIO_META_DNS_CAPTURE: "false"}'}),
        shop.client("out"), client("out-bound", BIND, ns="out"),
        shop.service("shop", "db", "client", [3306]), shop.service("shop", "only4", "client", [80], ipFamilies=["IPv4"]),
        shop.service("out", "web", "client", [80]),
        head("h-0"), head("h-1"),
        {"apiVersion": "v1", "kind": "Service", "metadata": shop.meta("heads", "shop"),
         "spec": {"clusterIP": "None", "selector": {"set": "heads"}, "ports": [{"name": "p", "port": 80}]}},
        entry("fixed", ["db.example.com"], addresses=["192.0.2.33"], resolution="STATIC", endpoints=[{"address": "192.0.2.34"}]),
        entry("wild", ["*.wild.example.com"], addresses=["192.0.2.35"], resolution="NONE"),
        entry("auto", ["auto.example.com", "post.example.test"], resolution="DNS"),
        shop.service("shop", "both", "client", [80]),
        entry("both", ["both.shop", "both.shop.svc.cluster.local"], addresses=["192.0.2.36"], resolution="STATIC", endpoints=[{"address": "192.0.2.37"}]),
        entry("many", MANY_HOSTS, resolution="DNS"),
        *tool("named", "out", {"named.conf": NAMED, "zone": ZONE, "empty": EMPTY}, ["named", "-g", "-n", "1", "-c", "/config/named.conf"]),
        nameserver("named", BIND),
        *tool("refuser", "out", {"named.conf": REFUSING}, ["named", "-g", "-n", "1", "-c", "/config/named.conf"]),
        nameserver("refuser", REFUSER),
        *tool("spoofer", "out", {"spoofer.py": spoofer}, ["python3", "/config/spoofer.py", "53"]),
        nameserver("spoofer", SPOOFER)))


class Dig:
    """One answer as dig shows it."""

    def __init__(self, text):
        self.text = text
        self.status = re.search(r"status: (\w+)", text)[1] if "status:" in text else "none"
        self.flags = re.search(r"flags: ([a-z ]*);", text)[1].split() if "flags:" in text else []
        answers = text.partition(";; ANSWER SECTION:\n")[2].partition("\n\n")[0]
        self.records = [line.split(None, 4) for line in answers.splitlines() if line]
        self.addresses = sorted(r[4] for r in self.records if r[3] in ("A", "AAAA"))
        self.tcp = "(TCP)" in text


def dig(mesh, pod, *args):
    return Dig(mesh.exec(pod, "dig", "+tries=1", "+time=20", "+nocookie", *args, check=False).stdout)


def service_ips(mesh, name):
    return mesh.get("service", name)["spec"]["clusterIPs"]


def pod_ips(mesh, name):
    return [i["ip"] for i in mesh.get("pod", name)["status"]["podIPs"]]


def metrics(mesh, pod):
    found = {}
    for line in mesh.admin(pod, "/stats/prometheus")["body"].splitlines():
        if line.startswith("hark_dns"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def count(mesh, pod, answered_by, rcode="NOERROR", transport="udp"):
    return metrics(mesh, pod).get(f'hark_dns_queries_total{{transport="{transport}",answered_by="{answered_by}",rcode="{rcode}"}}', 0)


# --- names of the mesh ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["db", "db.shop", "db.shop.svc", "db.shop.svc.cluster.local", "dB.SHop.SVC.cluster.LOCAL"])
def test_forms_of_a_services_name(town, name):
    v4, v6 = service_ips(town, "shop/db")
    before = count(town, "shop/client", "mesh")
    got = dig(town, "shop/client", name, "A")
    assert (got.status, got.addresses) == ("NOERROR", [v4])
    assert "aa" in got.flags and got.records[0][1] == "30" and got.records[0][0] == name + "."
    assert dig(town, "shop/client", name, "AAAA").addresses == [v6]
    assert count(town, "shop/client", "mesh") == before + 2


def test_a_short_name_is_of_the_own_namespace_only(town):
    assert dig(town, "shop/client", "web", "A").status == "NXDOMAIN"
    assert dig(town, "shop/client", "web.out", "A").addresses == service_ips(town, "out/web")[:1]


def test_the_first_search_domain_is_answered_at_once(town):
    v4 = service_ips(town, "out/web")[0]
    before = metrics(town, "shop/client")["hark_dns_upstream_queries_total"]
    got = dig(town, "shop/client", "web.out.svc.cluster.local.shop.svc.cluster.local", "A")
    assert [r[3:] for r in got.records] == [["CNAME", "web.out.svc.cluster.local."], ["A", v4]]
    assert [r[0] for r in got.records] == ["web.out.svc.cluster.local.shop.svc.cluster.local.", "web.out.svc.cluster.local."]
    # four dots are fewer than ndots, so getaddrinfo begins with that
    assert town.call("shop/client", dns_clients.addresses, "web.out.svc.cluster.local", "4") == [v4]
    assert metrics(town, "shop/client")["hark_dns_upstream_queries_total"] == before


def test_a_name_without_that_family_is_empty(town):
    got = dig(town, "shop/client", "only4.shop", "AAAA")
    assert (got.status, got.records) == ("NOERROR", [])
    assert town.call("shop/client", dns_clients.addresses, "only4") == service_ips(town, "shop/only4")


def test_headless(town):
    both = sorted(pod_ips(town, "shop/h-0")[:1] + pod_ips(town, "shop/h-1")[:1])
    wait_for(lambda: dig(town, "shop/client", "heads.shop", "A").addresses == both, what="both Pods below the headless Service")
    for name in ("h-0.heads", "h-0.heads.shop", "h-0.heads.shop.svc", "h-0.heads.shop.svc.cluster.local"):
        assert dig(town, "shop/client", name, "A").addresses == pod_ips(town, "shop/h-0")[:1]
    assert len(town.call("shop/client", dns_clients.ask_many, KUBE_DNS, "heads.shop", 40)) == 2  # either may be the first


def test_every_search_domain_of_the_cluster(town):
    for behind in ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local"):
        before = metrics(town, "shop/client")["hark_dns_upstream_queries_total"]
        got = dig(town, "shop/client", f"db.example.com.{behind}", "A")
        assert [r[3:] for r in got.records] == [["CNAME", "db.example.com."], ["A", "192.0.2.33"]]
        assert metrics(town, "shop/client")["hark_dns_upstream_queries_total"] == before
    # Below somebody else's domain it is somebody else's name, also where resolv.conf searches it.
    assert dig(town, "shop/bound", "db.example.test", "A").status == "NXDOMAIN"
    assert town.call("shop/bound", dns_clients.addresses, "db", "4") == service_ips(town, "shop/db")[:1]


def test_an_entrys_host_comes_before_a_short_name(town):
    assert dig(town, "shop/client", "both.shop", "A").addresses == ["192.0.2.36"]
    v4 = service_ips(town, "shop/both")[:1]
    for name in ("both", "both.shop.svc", "both.shop.svc.cluster.local"):
        assert dig(town, "shop/client", name, "A").addresses == v4, name


def test_a_known_name_is_never_no_such_name(town):
    """Who asks for HTTPS or MX beside A must not hear that there is no such name."""
    for name in ("auto.example.com", "any.wild.example.com", "db.shop", "db", "db.shop.svc.cluster.local", "db.example.com.shop.svc.cluster.local"):
        for kind in ("TYPE65", "MX"):
            got = dig(town, "shop/client", name, kind)
            assert (got.status, got.records) == ("NOERROR", []), (name, kind)
    assert dig(town, "shop/client", "no.example.com", "TYPE65").status == "NXDOMAIN"
    # What the nameserver has is the client's; what it has not ends after the time that it says itself.
    assert dig(town, "shop/bound", "post.example.test", "A").addresses[0].startswith("240.240.")
    assert dig(town, "shop/bound", "post.example.test", "MX").records[0][3:] == ["MX", "10 www.example.test."]
    got = dig(town, "shop/bound", "auto.example.com", "TYPE65")  # which BIND refuses to speak of
    assert got.status == "REFUSED"
    for _ in range(2):  # from BIND, then from the cache
        got = dig(town, "shop/bound", "db.shop.svc.cluster.local", "SRV")
        assert (got.status, got.records) == ("NOERROR", []) and "SOA" in got.text and "aa" in got.flags


def test_names_of_addresses(town):
    vip = dig(town, "shop/client", "auto.example.com", "A").addresses[0]
    assert dig(town, "shop/client", "-x", vip).records[0][3:] == ["PTR", "auto.example.com."]
    vip6 = dig(town, "shop/client", "auto.example.com", "AAAA").addresses[0]
    assert dig(town, "shop/client", "-x", vip6).records[0][3:] == ["PTR", "auto.example.com."]
    for ip in service_ips(town, "shop/db"):  # of which BIND knows nothing
        assert dig(town, "shop/bound", "-x", ip).records[0][3:] == ["PTR", "db.shop.svc.cluster.local."]
    assert dig(town, "shop/client", "-x", "192.0.2.33").status == "NXDOMAIN"  # written by a person: not ours to name


def test_other_types_go_to_the_nameserver(town):
    got = dig(town, "shop/client", "_p3306._tcp.db.shop.svc.cluster.local", "SRV")
    assert got.records[0][3] == "SRV" and "3306 db.shop.svc.cluster.local." in got.records[0][4]
    assert dig(town, "shop/client", "-x", pod_ips(town, "shop/client")[0]).records[0][3] == "PTR"


def test_over_tcp(town):
    got = dig(town, "shop/client", "+tcp", "db.shop", "A")
    assert got.tcp and got.addresses == service_ips(town, "shop/db")[:1]
    answers = town.call("shop/client", dns_clients.pipelined, KUBE_DNS, ["db.shop", "nowhere.example.org", "web.out"])
    assert sorted(answers) == [[0, 1], [1, 0], [2, 1]]


def test_hosts_of_service_entries(town):
    assert dig(town, "shop/client", "db.example.com", "A").addresses == ["192.0.2.33"]
    got = dig(town, "shop/client", "db.example.com.shop.svc.cluster.local", "A")
    assert [r[3] for r in got.records] == ["CNAME", "A"] and got.records[1][0] == "db.example.com."
    got = dig(town, "shop/client", "any.thing.wild.example.com", "A")
    assert got.addresses == ["192.0.2.35"] and got.records[0][0] == "any.thing.wild.example.com."
    assert dig(town, "shop/client", "wild.example.com", "A").status == "NXDOMAIN"
    vip = dig(town, "shop/client", "auto.example.com", "A").addresses
    assert len(vip) == 1 and vip[0].startswith("240.240.")
    # who has no DNS proxy must not see a virtual IP
    for pod in ("out/client", "shop/off"):
        assert dig(town, pod, "auto.example.com", "A").status == "NXDOMAIN"


def test_a_new_service_is_known_at_once(town):
    name = "s" + uuid.uuid4().hex[:8]
    assert dig(town, "shop/client", f"{name}.shop", "A").status == "NXDOMAIN"  # which is kept, and does not stand in the way
    town.apply(shop.documents(shop.service("shop", name, "client", [80])))
    wait_for(lambda: dig(town, "shop/client", f"{name}.shop", "A").addresses == service_ips(town, f"shop/{name}")[:1], what="the new name")
    town.delete(shop.documents(shop.service("shop", name, "client", [80])))
    wait_for(lambda: dig(town, "shop/client", f"{name}.shop", "A").status == "NXDOMAIN", what="the end of the name")


def test_many_addresses_are_cut_over_udp(town):
    """What does not fit says so, and dig asks again over TCP by itself."""
    slices = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": [{"name": "p", "port": 80}],
              "metadata": shop.meta("crowd-1", "shop", labels={"kubernetes.io/service-name": "crowd"}),
              "endpoints": [{"addresses": [f"192.0.2.{i}"]} for i in range(1, 101)]}
    service = shop.service("shop", "crowd", None, [80], clusterIP="None") | {"spec": {"clusterIP": "None", "ports": [{"name": "p", "port": 80}]}}
    town.apply(shop.documents(service, slices))
    wait_for(lambda: len(dig(town, "shop/client", "crowd.shop", "A").addresses) == 100, what="all of them")
    got = dig(town, "shop/client", "+noedns", "+ignore", "crowd.shop", "A")
    assert "tc" in got.flags and 0 < len(got.addresses) < 40
    got = dig(town, "shop/client", "+noedns", "crowd.shop", "A")
    assert got.tcp and len(got.addresses) == 100
    assert not dig(town, "shop/client", "+bufsize=4096", "crowd.shop", "A").tcp


# --- who has it -----------------------------------------------------------------------------------------------------


def test_istios_switch(town):
    assert dig(town, "shop/off", "db.shop", "A").status == "NXDOMAIN"  # the cluster's DNS knows whole names only
    assert dig(town, "shop/off", "db.shop.svc.cluster.local", "A").records[0][1] == "5"
    assert town.admin("shop/off", "/dns")["status"] == 404
    assert dig(town, "out/client", "db.shop", "A").status == "NXDOMAIN"


def test_curl_reaches_a_name(town):
    """A name, through the proxy, to a server: the answer is one that connections can be made to."""
    got = town.exec("shop/client", "curl", "-v", "-o", "/dev/null", "http://db.shop:3306/", check=False)
    # Nothing listens there; the name led there.
    assert any(f"Trying {ip}:3306" in got.stderr or f"Trying [{ip}]:3306" in got.stderr for ip in service_ips(town, "shop/db")), got.stderr


def test_admin_shows_the_table(town):
    table = town.admin_json("shop/client", "/dns")
    assert table["nameservers"] == [KUBE_DNS] and table["search"] == ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"]
    rows = {row["host"]: row for row in table["names"]}
    assert rows["db.shop.svc.cluster.local"]["addresses"] == service_ips(town, "shop/db")
    assert rows["db.example.com"]["addresses"] == ["192.0.2.33"]
    assert set(MANY_HOSTS) <= set(rows) and len(rows) == len(table["names"])  # they come in parts
    assert all(rows[h]["addresses"][0].startswith("240.240.") for h in MANY_HOSTS)
    assert "200 OK" in town.exec("shop/client", "curl", "-sI", "-m", "20", "http://127.0.0.1:15000/dns").stdout
    one = town.admin_json("shop/client", "/dns?name=db.example.com.shop.svc.cluster.local")
    assert one["addresses"] == ["192.0.2.33"] and one["answered_by"] == "mesh"
    assert town.admin_json("shop/client", "/dns?name=www.example.org")["answered_by"] == "nameservers"


# --- all other names: a real BIND --------------------------------------------------------------------------------------


def queries(town, name):
    return town.logs("out/named").count(f"query: {name} ")


def test_forwarded_answers_are_bind_s(town):
    for args in (["www.example.test", "A"], ["www.example.test", "AAAA"], ["mail.example.test", "MX"], ["odd.example.test", "TYPE65280"],
                 ["+dnssec", "www.example.test", "A"], ["+noedns", "www.example.test", "A"], ["+tcp", "www.example.test", "A"]):
        ours, theirs = dig(town, "shop/bound", *args), dig(town, "out/out-bound", *args)
        assert (ours.status, ours.flags, ours.records) == (theirs.status, theirs.flags, theirs.records), args
    got = dig(town, "shop/bound", "+cookie=0123456789abcdef", "+nsid", "www.example.test", "A")
    assert "COOKIE: 0123456789abcdef" in got.text  # the option went there, and came back with BIND's half


def test_metrics_of_questions(town):
    """How many, who answered them, over what, and how long nameservers take."""
    before = metrics(town, "shop/bound")
    name = f"no{uuid.uuid4().hex[:6]}.example.test"
    dig(town, "shop/bound", name, "A")
    dig(town, "shop/bound", "+tcp", "db.shop", "A")
    after = metrics(town, "shop/bound")
    grown = {n: v - before.get(n, 0) for n, v in after.items() if v != before.get(n, 0) and n.startswith(("hark_dns_queries", "hark_dns_upstream"))}
    assert grown.pop("hark_dns_upstream_seconds_sum") > 0
    assert {n for n in grown if "_bucket" in n}  # up to the last, which has all
    assert {n: v for n, v in grown.items() if "_bucket" not in n} == {
        'hark_dns_queries_total{transport="udp",answered_by="upstream",rcode="NXDOMAIN"}': 1,
        'hark_dns_queries_total{transport="tcp",answered_by="mesh",rcode="NOERROR"}': 1,
        "hark_dns_upstream_queries_total": 1, "hark_dns_upstream_seconds_count": 1}


def test_mesh_names_beside_bind(town):
    assert dig(town, "shop/bound", "db.shop.svc.cluster.local", "A").addresses == service_ips(town, "shop/db")[:1]
    assert town.call("shop/bound", dns_clients.addresses, "www", "4") == ["192.0.2.80"]  # the second search domain


def test_answers_are_kept_for_their_time(town):
    name = "short.example.test"
    assert dig(town, "shop/bound", name, "A").addresses == ["192.0.2.81"]
    before = count(town, "shop/bound", "cache")
    start, n = time.monotonic(), queries(town, name)
    got = dig(town, "shop/bound", "sHoRt.example.test", "A")
    if time.monotonic() - start < 0.5:  # on a machine that was not too busy
        assert got.addresses == ["192.0.2.81"] and got.records[0][0] == "sHoRt.example.test."
        assert count(town, "shop/bound", "cache") == before + 1 and queries(town, name) == n
    wait_for(lambda: dig(town, "shop/bound", name, "A") and queries(town, name) > n, what="the end of its TTL")


def test_what_there_is_not_is_kept_too(town):
    name = f"no{uuid.uuid4().hex[:6]}.example.test"
    assert dig(town, "shop/bound", name, "A").status == "NXDOMAIN"
    assert dig(town, "shop/bound", name, "A").status == "NXDOMAIN"
    first = queries(town, name)
    assert 1 <= first <= 2
    wait_for(lambda: dig(town, "shop/bound", name, "A") and queries(town, name) > first, what="the end of the SOA's minimum (1 s)")


def sidecar_pid(town, pod):
    for pid in town.processes():
        try:
            command, env = (open(f"/proc/{pid}/{name}", "rb").read().split(b"\0") for name in ("cmdline", "environ"))
        except OSError:  # it is gone
            continue
        if command[1:2] == [b"proxy"] and f"POD_NAME={pod}".encode() in env:
            return pid
    raise AssertionError(f"{pod} has no sidecar")


def test_cut_answers_are_made_whole(town):
    """BIND sends datagrams of 1,232 bytes at most, whatever the client takes: the proxy asks for the rest over TCP."""
    ask = ("+bufsize=4096", "+ignore", "many.example.test", "A")
    assert "tc" in dig(town, "out/out-bound", *ask).flags
    before = metrics(town, "shop/bound")["hark_dns_truncated_total"]
    got = dig(town, "shop/bound", *ask)
    assert "tc" not in got.flags and not got.tcp and len(got.addresses) == 100
    assert metrics(town, "shop/bound")["hark_dns_truncated_total"] == before + 1
    got = dig(town, "shop/bound", "+bufsize=4096", "+ignore", "mAny.example.test", "A")  # kept
    assert "tc" not in got.flags and got.records[0][0] == "mAny.example.test."


def test_a_client_that_takes_less_asks_over_tcp(town):
    got = dig(town, "shop/bound", "+noedns", "+ignore", "many.example.test", "A")
    assert "tc" in got.flags and not got.tcp
    before, asked = count(town, "shop/bound", "cache", transport="tcp"), queries(town, "many.example.test")
    got = dig(town, "shop/bound", "+noedns", "many.example.test", "A")
    assert got.tcp and len(got.addresses) == 100
    assert count(town, "shop/bound", "cache", transport="tcp") == before + 1 and queries(town, "many.example.test") == asked


def test_a_server_that_refuses_is_passed_over(town):
    """Of two nameservers one knows nothing and says so; which one is asked first is drawn."""
    refused = town.logs("out/refuser").count("query: ")
    for i in range(12):
        assert dig(town, "shop/twice", f"n{i}.example.test", "A").status == "NXDOMAIN"  # BIND's own, and final
    assert dig(town, "shop/twice", "+tcp", "+norec", "www.example.test", "A").addresses == ["192.0.2.80"]
    assert town.logs("out/refuser").count("query: ") > refused
    assert dig(town, "shop/twice", "www.nobodys.example", "A").status == "REFUSED"  # when both say so


def test_resolv_conf_is_followed(town):
    """The application goes on asking the old nameserver, whose questions are captured; the sidecar asks the new one."""
    assert dig(town, "shop/moved", "n.evil.test", "A").addresses == ["192.0.2.1"]
    pid = sidecar_pid(town, "moved")
    text = open(f"/proc/{pid}/root/etc/resolv.conf").read()
    assert SPOOFER in text
    with open(f"/proc/{pid}/root/tmp/resolv.conf", "w") as f:
        f.write(text.replace(SPOOFER, BIND))
    # Pods cannot write theirs: another file in its place, as a network manager's would come.
    subprocess.run(["nsenter", "-t", str(pid), "-m", "mount", "--bind", "/tmp/resolv.conf", "/etc/resolv.conf"], check=True)
    wait_for(lambda: dig(town, "shop/moved", "www.example.test", "A").addresses == ["192.0.2.80"], what="the new nameserver")
    assert town.admin_json("shop/moved", "/dns")["nameservers"] == [BIND]


def test_a_resolver_that_does_not_answer(town):
    """SERVFAIL before a client's usual 5 s are over, and the mesh's names as before."""
    named = [p for p in town.processes() if open(f"/proc/{p}/comm").read().strip() == "named"]
    for p in named:
        os.kill(p, signal.SIGSTOP)
    try:
        name = f"x{uuid.uuid4().hex[:6]}.example.test"
        got = dig(town, "shop/bound", name, "A")
        assert got.status == "SERVFAIL" and int(re.search(r"Query time: (\d+)", got.text)[1]) < 5000
        assert dig(town, "shop/bound", "db.shop", "A").addresses == service_ips(town, "shop/db")[:1]
        assert dig(town, "shop/bound", "+tcp", "db.shop", "A").addresses == service_ips(town, "shop/db")[:1]
    finally:
        for p in named:
            os.kill(p, signal.SIGCONT)
    wait_for(lambda: dig(town, "shop/bound", "www.example.test", "A").addresses == ["192.0.2.80"], what="BIND's return")


# --- those who mean ill ------------------------------------------------------------------------------------------------


def test_spoofed_answers_are_ignored(town):
    before = metrics(town, "shop/lied-to")["hark_dns_ignored_total"]
    for i in range(5):
        assert dig(town, "shop/lied-to", f"n{i}.evil.test", "A").addresses == ["192.0.2.1"]
    assert metrics(town, "shop/lied-to")["hark_dns_ignored_total"] == before + 15


def test_a_server_that_is_silent_over_both(town):
    assert dig(town, "shop/lied-to", "silent.evil.test", "A").status == "SERVFAIL"
    assert dig(town, "shop/lied-to", "+tcp", "n.evil.test", "A").status == "SERVFAIL"


def test_malformed_messages(town):
    loop = "0007010000010000000000 00c00c00010001".replace(" ", "")
    cut = "000701000001000000000000 02646204".replace(" ", "")
    answers = town.call("shop/client", dns_clients.raw, KUBE_DNS, ["00", "ff" * 600, loop, cut, "0007810000010000000000000264620000010001"], 20)
    assert [a[4:8] for a in answers] == ["8181", "8181"]  # FORMERR to the two that are queries at least
    assert metrics(town, "shop/client")["hark_dns_malformed_total"] >= 5


def test_clients_that_hold_connections(town):
    answers, took = town.call("shop/client", dns_clients.stubborn, KUBE_DNS, 200)
    assert answers == [[0, 1]]
