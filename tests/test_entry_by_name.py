"""ServiceEntries that have no address (a star, resolution NONE): real servers outside, told by SNI, by Host, or by what the sidecar's
DNS proxy answered. Unless a test says otherwise, what no entry covers is refused (REGISTRY_ONLY)."""

import json

import authority
import clients
import pytest
import shop
import test_service_entry as outside
from conftest import wait_for
from test_service_entry import entry, rule, sidecar

NGINX = """
daemon off; worker_processes 1; error_log stderr; pid /tmp/nginx.pid;
events {}
http {
    access_log off; client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e;
    default_type application/json;
    server { listen 80; location / { return 200 '{"host": "$host"}'; } }
    server { listen 443 ssl; ssl_certificate /config/wiki.pem; ssl_certificate_key /config/wiki.key;
             location / { return 200 '{"host": "$host", "sni": "$ssl_server_name"}'; } }
}
"""
TLS, HTTP = {"protocol": "TLS"}, {"protocol": "HTTP"}
REFUSED = ("reset", "refused")


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return authority.Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def world(new_mesh, ours):
    cert = ours.issue(dns=["*.wiki.example.com", "evil.example.com"])
    web = shop.pod("far", "web", ["nginx", "-c", "/config/nginx.conf", "-e", "stderr"], files="web-files", ready_port=443)
    mesh = new_mesh(shop.documents(
        shop.namespace("in", True), shop.namespace("other", True), shop.namespace("far", False), *outside.named(),
        *outside.mariadb("maria-1", "one"), *outside.mariadb("maria-2", "two"), web,
        shop.config_map("far", "web-files", {"nginx.conf": NGINX, "wiki.pem": cert["chain"], "wiki.key": cert["key"]}),
        *shop.odd("far", "odd-1", ports={**outside.ODD, 443: "echo", 80: "greet"}, with_service=False)))
    w = outside.World(mesh)
    files = shop.config_map("in", "roots", {"root.pem": ours.root})
    client = outside.client("in", "client", w.ips["dns"])
    client["spec"]["volumes"] = [{"name": "files", "configMap": {"name": "roots"}}]
    client["spec"]["containers"][0]["volumeMounts"] = [{"name": "files", "mountPath": "/config"}]
    mesh.apply(shop.documents(files, client, outside.client("other", "client", w.ips["dns"])))
    for pod in ("in/client", "other/client"):
        w.ready(pod)
    return w


applied, policy = outside.applied, outside.registry_only


@pytest.fixture
def registry_only(policy):
    policy(True)


def fetch(world, url, ip, pod="in/client"):
    """curl to that address, by the name of the URL; None: it is reset."""
    host = url.split("/")[2]
    port = 443 if url.startswith("https") else 80
    done = world.mesh.exec(pod, "curl", "-sS", "--max-time", "20", "--cacert", "/config/root.pem", "--resolve", f"{host}:{port}:{ip}", url,
                           check=False)
    if done.returncode == 0:
        return json.loads(done.stdout)
    assert done.returncode in (7, 35, 52, 56), done.stderr  # the connection, or what came over it, failed
    return None


def test_https_by_sni(world, applied, registry_only):
    """The recipe of Istio's documentation: a wildcard host, TLS, resolution NONE."""
    web = world.ips["web"]
    assert fetch(world, "https://en.wiki.example.com/", web) is None
    applied(entry("wiki", ["*.wiki.example.com"], {443: TLS}, resolution="NONE"))
    world.knows("*.wiki.example.com")
    assert fetch(world, "https://en.wiki.example.com/", web) == {"host": "en.wiki.example.com", "sni": "en.wiki.example.com"}
    line = world.last(443)
    assert line["upstream_host"] == f"{web}:443"
    assert line["upstream_cluster"] == "outbound|443||*.wiki.example.com" and line["destination_service"] == "*.wiki.example.com"
    assert line["requested_server_name"] == "en.wiki.example.com" and line["detected_protocol"] == "tls"
    assert line["early"] is False
    assert "the client names en.wiki.example.com (SNI), a host of ServiceEntry in/wiki" in line["reason"]
    assert fetch(world, "https://evil.example.com/", web) is None
    line = world.last(443)
    assert line["upstream_cluster"] == "BlackHoleCluster" and line["upstream_host"] is None
    assert "the client names evil.example.com (SNI), and no ServiceEntry has that host with port 443" in line["reason"]
    text = "".join(m for m in world.mesh.admin(world.client, "/stats/prometheus")["body"].splitlines() if m.startswith("istio_tcp_connections_opened"))
    assert 'destination_service="*.wiki.example.com"' in text


def test_http_by_host(world, applied, registry_only):
    web = world.ips["web"]
    applied(entry("wiki", ["*.wiki.example.com", "exact.example.com"], {80: HTTP}, resolution="NONE"))
    world.knows("*.wiki.example.com")
    assert fetch(world, "http://en.wiki.example.com/", web) == {"host": "en.wiki.example.com"}
    assert world.last(80)["upstream_cluster"] == "outbound|80||*.wiki.example.com"
    assert fetch(world, "http://exact.example.com/", web) == {"host": "exact.example.com"}
    assert world.last(80)["upstream_cluster"] == "outbound|80||exact.example.com"
    assert fetch(world, "http://evil.example.com/", web) is None
    assert "the client names evil.example.com (Host)" in world.last(80)["reason"]
    # A head in pieces is waited for, however the network cuts it.
    request = ["GET / HTTP/1.1\r\n", "Host: en.wiki", ".example.com\r\nConnection: close\r\n", "\r\n"]
    got = world.mesh.call(world.client, clients.say_in_pieces, web, 80, request, 1.2)
    assert '"host": "en.wiki.example.com"' in got
    assert world.last(80)["upstream_cluster"] == "outbound|80||*.wiki.example.com"


def test_nothing_is_opened_before_a_name(world, applied, registry_only):
    """A silent client of a port that names tell is waited for: the server does not hear of it."""
    odd = world.ips["odd-1"]
    applied(entry("wiki", ["*.wiki.example.com"], {80: HTTP}, resolution="NONE"))
    world.knows("*.wiki.example.com")
    silent = world.mesh.start(world.client, clients.hear, odd, 80, 2, "hello\r\n", 20)  # a server that greets at once
    waiting = wait_for(lambda: [c for c in world.mesh.admin_json(world.client, "/connections")["connections"] if c["state"] == "first-word"])
    assert waiting[0]["upstream_host"] is None and waiting[0]["early"] is False
    got = silent.result()
    assert got["bytes"] == "" and got["end"] in REFUSED
    line = world.last(80)
    assert line["attempts"] == 0 and "nobody named a host" in line["reason"]


@pytest.mark.parametrize("declared", [{}, {"protocol": "TCP"}, {"protocol": "MySQL"}, {"protocol": "TLS"}],
                         ids=["nothing", "TCP", "MySQL", "wrong"])
def test_mariadb_by_what_dns_said(world, applied, registry_only, declared):
    """A server that speaks first, told by its name although the entry has a star."""
    applied(entry("rds", ["*.rds.example.com"], {3306: declared}, resolution="NONE"))
    world.knows("*.rds.example.com")
    name = f"db-{declared.get('protocol', 'none').lower()}.rds"
    world.zone(name, world.ips["maria-1"])
    assert world.who(f"{name}.example.com") == "one"
    line = world.last(3306)
    assert line["upstream_cluster"] == "outbound|3306||*.rds.example.com"
    assert f"the DNS proxy gave the address out for a name of ServiceEntry in/rds: {name}.example.com" in line["reason"]
    assert line["first_byte_ms"] < 500


def test_two_stars_on_one_port(world, applied, registry_only):
    applied(entry("one", ["*.one.example.com"], {3306: {"protocol": "TCP"}}, resolution="NONE"),
            entry("two", ["*.two.example.com"], {3306: {"protocol": "TCP"}}, resolution="NONE"))
    world.knows("*.one.example.com", "*.two.example.com")
    world.zone("db.one", world.ips["maria-1"])
    world.zone("db.two", world.ips["maria-2"])
    for _ in range(2):
        assert world.who("db.one.example.com") == "one"
        assert world.last(3306)["upstream_cluster"] == "outbound|3306||*.one.example.com"
        assert world.who("db.two.example.com") == "two"
        assert world.last(3306)["upstream_cluster"] == "outbound|3306||*.two.example.com"


def test_bytes_of_any_address(world, applied, registry_only):
    """As Istio documents: without addresses, a TCP port of NONE takes every address."""
    odd = world.ips["odd-1"]
    assert world.hear(odd, 9000)["end"] in REFUSED
    applied(entry("old", ["db.old.example.com"], {9000: {"protocol": "TCP"}}, resolution="NONE"),
            entry("open", ["db.open.example.com"], {22: {}}, resolution="NONE"))
    world.knows("db.old.example.com", "db.open.example.com")
    for port, name in ((9000, "old"), (22, "open")):
        assert world.greeted(odd, port) == outside.GREETING
        line = world.last(port)
        assert line["upstream_cluster"] == "PassthroughCluster"
        assert f"ServiceEntry in/{name} has no address, so its port {port} takes any" in line["reason"]
    assert world.hear(odd, 9001)["end"] in REFUSED


def test_allow_any_names_it(world, applied):
    web = world.ips["web"]
    applied(entry("wiki", ["*.wiki.example.com"], {443: TLS, 80: HTTP}, resolution="NONE"))
    world.knows("*.wiki.example.com")
    assert fetch(world, "https://en.wiki.example.com/", web)["sni"] == "en.wiki.example.com"
    assert world.last(443)["upstream_cluster"] == "outbound|443||*.wiki.example.com"
    assert fetch(world, "https://evil.example.com/", web)["sni"] == "evil.example.com"
    assert world.last(443)["upstream_cluster"] == "PassthroughCluster"
    # a server that speaks first on such a port, though DNS said nothing of it
    assert world.greeted(world.ips["odd-1"], 80) == outside.GREETING
    line = world.last(80)
    assert line["upstream_cluster"] == "PassthroughCluster" and line["first_bytes_from"] == "server"


def test_scope_and_rule(world, applied, registry_only):
    """Who may not know of the entry is refused; a DestinationRule of its host counts, but puts no TLS around TLS."""
    web = world.ips["web"]
    applied(entry("wiki", ["*.wiki.example.com"], {443: TLS}, resolution="NONE", exportTo=["."]),
            rule("*.wiki.example.com", {"mode": "SIMPLE", "insecureSkipVerify": True}))
    world.knows("*.wiki.example.com")
    wait_for(lambda: world.explain("en.wiki.example.com:443")["transport"][0]["transport"] == "tls", what="the rule")
    assert fetch(world, "https://en.wiki.example.com/", web)["sni"] == "en.wiki.example.com"
    assert world.last(443)["upstream_transport"] == "plaintext"
    request = "GET / HTTP/1.1\r\nHost: en.wiki.example.com\r\nConnection: close\r\n\r\n"
    got = world.mesh.call(world.client, clients.hear, web, 443, 0, request, 20)
    assert '"host": "en.wiki.example.com"' in got["bytes"]
    assert world.last(443)["upstream_transport"] == "tls"
    hello = world.mesh.exec("other/client", "curl", "-sSk", "--max-time", "20", "--resolve", f"en.wiki.example.com:443:{web}",
                            "https://en.wiki.example.com/", check=False)
    assert hello.returncode != 0
    applied(sidecar("default", egress=[{"hosts": ["istio-system/*"]}]))
    world.forgets("*.wiki.example.com")
    assert fetch(world, "https://en.wiki.example.com/", web) is None


def test_endpoints_of_its_own(world, applied, registry_only):
    """A star with endpoints: the name tells, and the endpoints count, not what was dialled."""
    applied(entry("wiki", ["*.wiki.example.com"], {443: TLS}, resolution="STATIC", endpoints=[{"address": world.ips["web"]}]))
    world.knows("*.wiki.example.com")
    assert fetch(world, "https://en.wiki.example.com/", world.ips["odd-1"])["sni"] == "en.wiki.example.com"
    assert world.last(443)["upstream_host"] == f"{world.ips['web']}:443"


def test_early_connection_elsewhere(world, applied):
    """While the client is silent the address that it dialled is connected to; its word leads to another server."""
    applied(entry("wiki", ["*.wiki.example.com"], {443: TLS}, resolution="STATIC", endpoints=[{"address": world.ips["web"]}]))
    world.knows("*.wiki.example.com")
    got = world.mesh.call(world.client, clients.tls_late, world.ips["odd-1"], 443, "en.wiki.example.com", 0.5)
    assert '"sni": "en.wiki.example.com"' in got
    line = world.last(443)
    assert line["early"] is True and line["upstream_host"] == f"{world.ips['web']}:443"
    # and where it leads to the same one, that connection is used
    applied(entry("open", ["*.open.example.com"], {443: TLS}, resolution="NONE"))
    world.knows("*.open.example.com")
    got = world.mesh.call(world.client, clients.tls_late, world.ips["web"], 443, "en.open.example.com", 0.5)
    assert '"sni": "en.open.example.com"' in got
    line = world.last(443)
    assert line["early"] is True and line["attempts"] == 1 and line["upstream_cluster"] == "outbound|443||*.open.example.com"


def test_name_to_be_resolved(world, applied, registry_only):
    """An entry that is kept from virtual IPs: SNI tells, and its name is resolved then."""
    labels = {"networking.istio.io/enable-autoallocate-ip": "false"}
    world.zone("www.wiki", world.ips["web"])
    applied(entry("www", ["www.wiki.example.com"], {443: TLS}, labels=labels, resolution="DNS"))
    world.knows("www.wiki.example.com")
    assert fetch(world, "https://www.wiki.example.com/", world.ips["odd-1"])["sni"] == "www.wiki.example.com"
    assert world.last(443)["upstream_host"] == f"{world.ips['web']}:443"


def test_explain(world, applied, registry_only):
    applied(entry("wiki", ["*.wiki.example.com"], {443: TLS}, resolution="NONE"),
            entry("rds", ["*.rds.example.com"], {3306: {"protocol": "TCP"}}, resolution="NONE"))
    world.knows("*.wiki.example.com", "*.rds.example.com")

    def told(dst):
        return world.mesh.hark("explain", world.client, dst).stdout

    by_name = told("en.wiki.example.com:443")
    assert "outbound to en.wiki.example.com:443" in by_name
    assert "the client names en.wiki.example.com (by SNI or Host), a host of ServiceEntry in/wiki" in by_name
    elsewhere = told("en.wiki.example.com:8443")
    assert "outbound to en.wiki.example.com:8443" in elsewhere and "whatever its address is, on port 8443" in elsewhere
    by_ip = told("203.0.113.7:443")
    assert "hosts that no address tells declare port 443" in by_ip and "anything else is reset" in by_ip
    world.zone("told.rds", world.ips["maria-1"])
    assert world.who("told.rds.example.com") == "one"
    heard = told("told.rds.example.com:3306")
    assert f"outbound to {world.ips['maria-1']}:3306" in heard and "told.rds.example.com" in heard and "*.rds.example.com" in heard
    world.zone("told.wiki", world.ips["web"])
    got = world.mesh.exec("in/client", "curl", "-sS", "--max-time", "20", "--cacert", "/config/root.pem", "https://told.wiki.example.com/")
    assert json.loads(got.stdout)["sni"] == "told.wiki.example.com"
    said = told("told.wiki.example.com:443")  # DNS gave the address out, and yet the client's word counts
    assert f"outbound to {world.ips['web']}:443" in said and "the client names told.wiki.example.com (by SNI or Host)" in said
    assert "to declare" not in said
    unknown = world.mesh.hark("explain", world.client, "nobody.example.org:443", check=False)
    assert unknown.returncode == 1 and '"nobody.example.org": ask about the address, as IP:PORT' in unknown.stderr
