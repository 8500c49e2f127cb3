"""Databases outside the mesh that demand TLS, and applications that speak plaintext to their sidecars: a DestinationRule is what puts the TLS in
between. Redis and a terminator take TLS from the first byte on; PostgreSQL wants to be asked for it; MariaDB negotiates it where only its client
can. Each case has a host of its own, so that what one connection teaches another case does not meet."""

import json
import time

import clients
import db_clients
import pytest
import shop
from authority import Authority
from conftest import wait_for
from test_destination_rule import F, write

BIN = "/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin"
AUTH_OK = "520000000800000000"  # R, AuthenticationOk

POSTGRES = """
initdb -D /data/db -A trust -U shop --no-sync --no-instructions > /dev/null
cp /config/hba /data/db/pg_hba.conf
cp /config/*.pem /config/*.key /data/db/ 2> /dev/null && chmod 600 /data/db/*.key
exec postgres -D /data/db -p 5432 -k /tmp -h '*' $OPTIONS
"""
WITH_TLS = "-c ssl=on -c ssl_cert_file=server.pem -c ssl_key_file=server.key -c ssl_ca_file=ca.pem"
MARIADB = """
mariadb-install-db --no-defaults --datadir=/data --skip-test-db > /dev/null
exec mariadbd --no-defaults --datadir=/data --port=3306 --socket=/tmp/mariadb.sock --skip-name-resolve --init-file=/config/init.sql $OPTIONS
"""
INIT = """CREATE DATABASE shop;
CREATE TABLE shop.who (name TEXT);
INSERT INTO shop.who VALUES ('%s');
CREATE USER shop IDENTIFIED BY 'shop';
GRANT ALL ON shop.* TO shop;
"""
HAPROXY = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen tls
  bind :{port} ssl crt /config/both.pem
  server db 127.0.0.1:{behind}
"""


def database(name, script, files, options="", port=None, **containers):
    """A Pod that runs SCRIPT; CONTAINERS: more of them, by name, with their commands."""
    p = shop.pod("far", name, ["sh", "-ec", script], files=f"{name}-files", ready_port=port,
                 env=[{"name": "PATH", "value": BIN}, {"name": "OPTIONS", "value": options}], workingDir="/data")
    spec = p["spec"]
    spec["securityContext"] = {"runAsUser": 65534}
    spec["volumes"].append({"name": "data", "emptyDir": {}})
    spec["containers"][0]["volumeMounts"].append({"name": "data", "mountPath": "/data"})
    for more, (command, ready) in containers.items():
        spec["containers"].append({"name": more, "command": command, "volumeMounts": [{"name": "files", "mountPath": "/config"}],
                                   "readinessProbe": {"tcpSocket": {"port": ready}, "periodSeconds": 1}})
    return [shop.config_map("far", f"{name}-files", files), p]


def servers(partner, known):
    """PARTNER signs the servers' certificates, KNOWN those of the clients that are let in."""
    pair = partner.issue(dns=["db.example.com"])
    pems = {"server.pem": pair["chain"], "server.key": pair["key"], "ca.pem": known.root, "both.pem": pair["chain"] + pair["key"]}
    haproxy = ["haproxy", "-db", "-f", "/config/haproxy.cfg"]
    redis = ("exec redis-server --port 0 --tls-port 6379 --tls-cert-file /config/server.pem --tls-key-file /config/server.key "
             "--tls-ca-cert-file /config/ca.pem --tls-auth-clients yes --save '' --protected-mode no")
    in_tls = "--ssl-cert=/config/server.pem --ssl-key=/config/server.key --ssl-ca=/config/ca.pem"
    return [
        *database("redis", redis, pems, port=6379),
        *database("maria", MARIADB, {**pems, "init.sql": INIT % "behind", "haproxy.cfg": HAPROXY.format(port=3307, behind=3306)},
                  haproxy=(haproxy, 3307), port=3306),
        *database("secure", MARIADB, {**pems, "init.sql": INIT % "secure"}, f"{in_tls} --require-secure-transport=ON", port=3306),
        *database("pg", POSTGRES, {**pems, "hba": "local all all trust\nhostssl all all all trust\n"}, WITH_TLS, port=5432),
        *database("pg-cert", POSTGRES, {**pems, "hba": "local all all trust\nhostssl all all all trust clientcert=verify-ca\n"}, WITH_TLS,
                  port=5432),
        *database("pg-plain", POSTGRES, {**pems, "hba": "local all all trust\nhost all all all trust\n",
                                         "haproxy.cfg": HAPROXY.format(port=5433, behind=5432)}, haproxy=(haproxy, 5433), port=5432),
        *database("pg17", "exec python3 /config/pg17.py /config/server.pem /config/server.key 5432",
                  {**pems, "pg17.py": (shop.HERE / "servers" / "pg17.py").read_text()}, port=5432),
    ]


SIMPLE = {"mode": "SIMPLE", "caCertificates": f"{F}/partner.pem", "subjectAltNames": ["db.example.com"]}
MUTUAL = {**SIMPLE, "mode": "MUTUAL", "clientCertificate": f"{F}/client.pem", "privateKey": f"{F}/client.key"}
NAMELESS = {k: v for k, v in MUTUAL.items() if k != "subjectAltNames"}
WRONG_CA = {**SIMPLE, "caCertificates": f"{F}/others.pem"}
WRONG_NAME = {**SIMPLE, "subjectAltNames": ["other.example.com"]}
STRANGER = {**MUTUAL, "clientCertificate": f"{F}/stranger.pem"}
NO_TRUST = "the peer's certificate leads to no trusted root"
NO_NAME = "the peer is not the workload we meant to reach"

# host (of .example.com) -> Pod, its port, the rule's tls (None: no rule), what the entry's port declares
HOSTS = {
    "redis": ("redis", 6379, MUTUAL, None), "redis-sni": ("redis", 6379, {**MUTUAL, "sni": "db.example.com"}, None),
    "redis-tcp": ("redis", 6379, MUTUAL, "TCP"), "redis-word": ("redis", 6379, MUTUAL, "Redis"),
    "redis-nobody": ("redis", 6379, SIMPLE, None), "redis-stranger": ("redis", 6379, STRANGER, None),
    "redis-ca": ("redis", 6379, {**MUTUAL, "caCertificates": f"{F}/others.pem"}, None),
    "redis-name": ("redis", 6379, {**MUTUAL, "subjectAltNames": ["other.example.com"]}, None),
    "maria": ("maria", 3307, SIMPLE, None), "maria-tcp": ("maria", 3307, SIMPLE, "TCP"), "maria-word": ("maria", 3307, SIMPLE, "MySQL"),
    "maria-wrong": ("maria", 3307, SIMPLE, "HTTP"),
    "maria-ca": ("maria", 3307, WRONG_CA, None), "maria-name": ("maria", 3307, WRONG_NAME, None),
    "secure": ("secure", 3306, SIMPLE, None), "secure-tcp": ("secure", 3306, SIMPLE, "TCP"), "secure-own": ("secure", 3306, None, None),
    "pg": ("pg", 5432, SIMPLE, None), "pg-tcp": ("pg", 5432, SIMPLE, "TCP"), "pg-http": ("pg", 5432, SIMPLE, "HTTP"),
    "pg-mutual": ("pg-cert", 5432, MUTUAL, None), "pg-nobody": ("pg-cert", 5432, SIMPLE, None), "pg-own": ("pg", 5432, None, None),
    "pg-ca": ("pg", 5432, WRONG_CA, None), "pg-name": ("pg", 5432, WRONG_NAME, None), "pg-plain": ("pg-plain", 5432, SIMPLE, None),
    "pg-behind": ("pg-plain", 5433, SIMPLE, None), "pg-late": ("pg", 5432, SIMPLE, None), "pg-late-tcp": ("pg", 5432, SIMPLE, "TCP"),
    "pg17": ("pg17", 5432, SIMPLE, None), "pg17-named": ("pg17", 5432, SIMPLE, "by name"),
    "pg-pieces": ("pg", 5432, SIMPLE, None), "pg-cancel": ("pg", 5432, SIMPLE, None),
    "redis-entry": ("redis", 6379, NAMELESS, None), "redis-entry-name": ("redis", 6379, NAMELESS, None),
}
# what the entry itself says of its servers' names, where the rule does not
ENTRY_NAMES = {"redis-entry": ["other.example.com", "db.example.com"], "redis-entry-name": ["other.example.com"]}


def entry(host, ip, port, declared):
    declares = {"name": "postgres"} if declared == "by name" else {"protocol": declared} if declared else {}
    return {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": shop.meta(host, "in"),
            "spec": {"hosts": [f"{host}.example.com"], "resolution": "STATIC", "endpoints": [{"address": ip}],
                     "ports": [{"number": port, "name": "db", **declares}], "subjectAltNames": ENTRY_NAMES.get(host, [])}}


def rule(host, tls):
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": shop.meta(host, "in"),
            "spec": {"host": f"{host}.example.com", "trafficPolicy": {"tls": tls}}}


class World:
    def __init__(self, mesh):
        self.mesh = mesh
        ips = {p["metadata"]["name"]: p["status"]["podIP"] for p in mesh.get("pods")["items"] if p["metadata"]["namespace"] == "far"}
        docs = [entry(host, ips[pod], port, declared) for host, (pod, port, _, declared) in HOSTS.items()]
        mesh.apply(shop.documents(*docs, *(rule(host, tls) for host, (*_, tls, _) in HOSTS.items() if tls)))
        wait_for(lambda: {f"{h}.example.com" for h in HOSTS} <= {e["host"] for e in self.config()["service_entries"] if e["addresses"]},
                 what="all hosts in the sidecar's view, with addresses")

    def config(self):
        return self.mesh.admin_json("in/client", "/config")

    def lines(self, host):
        port = HOSTS[host][1]
        return self.mesh.access_log("in/client", side="outbound", upstream_cluster=f"outbound|{port}||{host}.example.com")

    def last(self, host, before=0):
        return wait_for(lambda: self.lines(host)[before:], what=f"the access log line of {host}")[-1]

    def learnt(self, host):
        ports = self.mesh.admin_json("in/client", "/learned")["ports"]
        return next((p for p in ports if p["service"] == f"{host}.example.com" and p["side"] == "outbound"), None)

    def run(self, *argv):
        """What it said, or why it did not."""
        done = self.mesh.exec("in/client", *argv, check=False)
        return done.stdout.strip() if done.returncode == 0 else f"failed: {done.stderr.strip()}"

    def mariadb(self, host, sql, *options):
        return self.run("mariadb", "--no-defaults", *options, "-h", f"{host}.example.com", "-P", str(HOSTS[host][1]), "-ushop", "-pshop", "-N",
                        "shop", "-e", sql)

    def redis(self, host, *words):
        return self.run("redis-cli", "-h", f"{host}.example.com", "-p", str(HOSTS[host][1]), *words)

    def psql(self, host, sql="SELECT ssl, version, coalesce(client_dn, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid()", mode="prefer"):
        return self.run("psql", f"host={host}.example.com port={HOSTS[host][1]} user=shop dbname=postgres sslmode={mode}", "-XAtc", sql)


@pytest.fixture(scope="module")
def world(new_mesh, tmp_path_factory):
    roots = {name: Authority(tmp_path_factory.mktemp("authority") / name, name) for name in ("partner", "others", "clients")}
    partner, others, known = roots.values()
    # The head start is long enough that a client which speaks at once is heard first on a busy machine, too: the reasons are told apart by that.
    mesh = new_mesh(shop.documents(shop.namespace("in", True), shop.namespace("far", False), shop.client("in"),
                                   shop.mesh_config({}, {"headStart": "100ms"}), *servers(partner, known)))
    client, stranger = known.issue(subject="/O=client"), others.issue(subject="/O=stranger")
    write(mesh, partner_pem=partner.root, others_pem=others.root, client_pem=client["chain"], client_key=client["key"],
          stranger_pem=stranger["chain"])
    return World(mesh)


def refused(world, host, ask, reason, end="upstream-tls"):
    """At once, and the access log says why."""
    before, started = len(world.lines(host)), time.monotonic()
    said = ask()
    assert "failed" in said or "Error" in said, said
    assert time.monotonic() - started < 5, "a refusal, not a timeout"
    line = world.last(host, before)
    assert (line["end"], line["response_flags"]) == (end, "UF")
    assert reason in line["upstream_transport_failure_reason"], line
    return line


# --- TLS from the first byte on ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["redis", "redis-sni", "redis-tcp", "redis-word", "redis-entry"])
def test_redis(world, host):
    """Redis demands TLS and a certificate; its client says the first word, in plaintext."""
    for _ in range(2):  # and the second with what the first has taught
        assert world.redis(host, "SET", host, "there") == "OK" and world.redis(host, "GET", host) == "there"
    line = world.last(host)
    assert (line["upstream_transport"], line["first_bytes_from"]) == ("mutual-tls", "client")
    assert line["tls_version"] == "TLSv1.3" and line["upstream_transport_failure_reason"] is None
    assert line["end"] == "client-closed"  # although Redis ends without close_notify


@pytest.mark.parametrize("host, reason", [("redis-ca", NO_TRUST), ("redis-name", NO_NAME), ("redis-entry-name", NO_NAME)])
def test_redis_that_is_not_the_one(world, host, reason):
    refused(world, host, lambda: world.redis(host, "PING"), reason)
    assert world.redis("redis", "PING") == "PONG"


@pytest.mark.parametrize("host, reason", [("redis-nobody", "demands a certificate"), ("redis-stranger", "does not trust our root")])
def test_redis_that_does_not_know_us(world, host, reason):
    """With TLS 1.3 the server says so behind the handshake."""
    refused(world, host, lambda: world.redis(host, "PING"), reason)


@pytest.mark.parametrize("host", ["maria", "maria-tcp", "maria-word", "maria-wrong"])
def test_server_first_inside_tls(world, host):
    """MariaDB behind a TLS terminator: its greeting comes inside the TLS, whatever is declared."""
    for _ in range(2):
        assert world.mariadb(host, "SELECT name FROM who") == "behind"
    line = world.last(host)
    assert (line["upstream_transport"], line["first_bytes_from"], line["detected_protocol"]) == ("tls", "server", "mysql")
    assert line["early"] and line["attempts"] == 1
    learnt = world.learnt(host)
    assert (learnt["learned"], learnt["greeting"], learnt["in_clear"]) == ("server-first", "mysql", None)


@pytest.mark.parametrize("host, reason", [("maria-ca", NO_TRUST), ("maria-name", NO_NAME)])
def test_server_first_that_is_not_the_one(world, host, reason):
    refused(world, host, lambda: world.mariadb(host, "SELECT 1"), reason)
    assert world.mariadb("maria", "SELECT name FROM who") == "behind"


# --- PostgreSQL, which wants to be asked ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
@pytest.mark.parametrize("host", ["pg", "pg-tcp", "pg-http"])
def test_postgres(world, host, mode):
    """The server sees TLS, the application none."""
    assert world.psql(host, mode=mode) == "t|TLSv1.3|"
    line = world.last(host)
    assert (line["upstream_transport"], line["detected_protocol"], line["upstream_transport_failure_reason"]) == ("tls", "postgresql", None)
    assert "SSLRequest" in line["reason"]
    assert ("was told no" in line["reason"]) == (mode == "prefer")
    assert world.learnt(host)["tls_begins"] == "asked"


def test_postgres_that_asks_for_a_certificate(world):
    assert world.psql("pg-mutual").startswith("t|TLSv1.3|/O=client")
    assert world.last("pg-mutual")["upstream_transport"] == "mutual-tls"
    assert "connection requires a valid client certificate" in world.psql("pg-nobody")  # it says so inside the TLS


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_postgres_client_that_demands_tls_itself(world, mode):
    """It is told no in its own words, and the log says by whom."""
    before = len(world.lines("pg"))
    said = world.psql("pg", mode=mode)
    assert "server does not support SSL, but SSL was required" in said or "root certificate file" in said, said
    if mode == "require":
        line = world.last("pg", before)
        assert line["end"] == "client-closed" and "the client asked for encryption of its own and was told no" in line["reason"]


def test_postgres_without_a_rule(world):
    """The client's own TLS passes; its plaintext is the server's to refuse."""
    assert world.psql("pg-own", mode="require") == "t|TLSv1.3|"
    assert "no encryption" in world.psql("pg-own", mode="disable")


@pytest.mark.parametrize("host, reason", [("pg-ca", NO_TRUST), ("pg-name", NO_NAME),
                                          ("pg-plain", "the server answered N to PostgreSQL's SSLRequest, so it offers no TLS")])
def test_postgres_refused(world, host, reason):
    line = refused(world, host, lambda: world.psql(host, mode="disable"), reason)
    assert "the client speaks PostgreSQL, which asks for TLS by SSLRequest" in line["reason"]
    assert world.psql("pg") == "t|TLSv1.3|"


def test_postgres_behind_a_terminator(world):
    """Who takes TLS from the first byte on knows no SSLRequest: TLS begins at once, and the next connection knows."""
    assert world.psql("pg-behind", "SELECT 6 * 7", mode="disable") == "42"
    assert "the server knows no SSLRequest" in world.last("pg-behind")["reason"]
    assert world.learnt("pg-behind")["tls_begins"] == "at-once"
    before = len(world.lines("pg-behind"))
    assert world.psql("pg-behind", "SELECT 6 * 7", mode="disable") == "42"
    assert "TLS began here at once before" in world.last("pg-behind", before)["reason"]
    # the client's own question goes to the server there, which answers it
    assert world.psql("pg-behind", "SELECT 6 * 7", mode="prefer") == "42"


@pytest.mark.parametrize("host", ["pg-late", "pg-late-tcp"])
def test_postgres_client_that_is_late(world, host):
    """The head start is over, and the server has hung up at a ClientHello: asked then, it is ready when the client speaks."""
    late = world.mesh.start("in/client", db_clients.postgres_words, f"{host}.example.com", 5432, ["gss", "ssl"], 100, True)
    assert late.hear() == "open"
    wait_for(lambda: (world.learnt(host) or {}).get("tls_begins") == "asked", what="TLS that was asked for")
    late.tell()
    assert late.result() == {"answers": ["N", "N"], "message": AUTH_OK}
    line = world.last(host)
    assert line["early"] and "the server ended the connection at a ClientHello" in line["reason"]
    # from now on nothing is in vain
    before = len(world.lines(host))
    again = world.mesh.start("in/client", db_clients.postgres_words, f"{host}.example.com", 5432, [], 100, True)
    assert again.hear() == "open"
    wait_for(lambda: any(c["upstream_transport"] == "tls" and c["tls_version"] for c in
                         world.mesh.admin_json("in/client", "/connections")["connections"]), what="the early connection")
    again.tell()
    assert again.result()["message"] == AUTH_OK
    assert "was answered here before" in world.last(host, before)["reason"]


def test_postgres_17(world):
    """It takes a ClientHello that nobody asked for, and hangs up: so nothing is learnt of that, and a port's name helps a client that is late."""
    def talk(host, wait):
        before = len(world.lines(host))
        client = world.mesh.start("in/client", db_clients.postgres_words, f"{host}.example.com", 5432, ["ssl"], 100, wait)
        assert client.hear() == "open"
        if wait:
            wait_for(lambda: any(c["upstream_cluster"] == f"outbound|5432||{host}.example.com" and c["tls_version"] for c in
                                 world.mesh.admin_json("in/client", "/connections")["connections"]), what="the early connection")
            client.tell()
        return client.result(), world.last(host, before)["reason"]

    let_in = {"answers": ["N"], "message": AUTH_OK}
    got, reason = talk("pg17-named", wait=True)
    assert got == let_in and "ServiceEntry in/pg17-named says that port 5432 is PostgreSQL's" in reason
    got, reason = talk("pg17", wait=False)
    assert got == let_in and "the client speaks PostgreSQL" in reason
    got, reason = talk("pg17", wait=True)
    assert got == let_in and "was answered here before" in reason


@pytest.mark.parametrize("size", [1, 3, 7])
def test_postgres_words_in_pieces(world, size):
    assert world.mesh.call("in/client", db_clients.postgres_words, "pg-pieces.example.com", 5432, ["ssl"], size, False) == {
        "answers": ["N"], "message": AUTH_OK}


def test_postgres_client_that_asks_on(world):
    """Once for GSSAPI and once for TLS it is told no; the rest is the server's to answer."""
    got = world.mesh.call("in/client", db_clients.postgres_words, "pg-pieces.example.com", 5432, ["ssl"] * 3, 100, False)
    assert got["answers"] == ["N", "N", "E"]


def test_postgres_cancel(world):
    """A CancelRequest is a connection of its own, which the server wants in TLS as well."""
    dsn = "host=pg-cancel.example.com port=5432 user=shop dbname=postgres"
    script = f"""
psql '{dsn}' -XAtc 'SELECT pg_sleep(61)' 2>&1 & pid=$!
until psql '{dsn}' -XAtc "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%(61)%' AND pid <> pg_backend_pid()" | grep -q 1
do :; done
kill -INT $pid; wait $pid || true"""
    assert "canceling statement due to user request" in world.run("sh", "-c", script)


def test_postgres_explained(world):
    assert world.psql("pg") == "t|TLSv1.3|"
    text = world.mesh.hark("explain", "in/client", "pg.example.com:5432").stdout
    for word in ("tls to", "DestinationRule in/pg wants tls", "PostgreSQL's SSLRequest was answered here before", "elsewhere:  fail (F2)"):
        assert word in text, text


# --- MariaDB, whose TLS only its client can begin ---------------------------------------------------------------------


@pytest.mark.parametrize("host", ["secure", "secure-tcp"])
def test_mariadb_that_demands_tls_in_its_protocol(world, host):
    """Refused at once, with what to do; `hark analyze` and `hark explain` know it from then on."""
    for _ in range(2):
        line = refused(world, host, lambda: world.mariadb(host, "SELECT 1"), "the server spoke plaintext (mysql) instead of TLS")
    assert f"take tls out of DestinationRule in/{host}" in line["upstream_transport_failure_reason"]
    assert world.learnt(host)["in_clear"] == "mysql"
    text = world.mesh.hark("explain", "in/client", f"{host}.example.com:3306").stdout
    assert "a server spoke plaintext (mysql) where TLS was wanted" in text
    assert f"elsewhere:  {'fail (F1)' if host == 'secure-tcp' else 'stall'}" in text, text
    told = json.loads(world.mesh.hark("analyze", "-o", "json", check=False).stdout)["findings"]
    found = [f for f in told if f["code"] == "HRK0070" and f["name"] == host]
    assert found and found[0]["kind"] == "DestinationRule" and "mysql" in found[0]["text"], told


def test_mariadb_whose_client_begins_tls(world):
    """Without a rule the client's TLS passes inside the protocol."""
    status = "SHOW STATUS LIKE 'Ssl_version'"
    assert world.mariadb("secure-own", status, "--ssl") == "Ssl_version\tTLSv1.3"
    assert world.last("secure-own")["upstream_transport"] == "plaintext"
    assert "Access denied" in world.mariadb("secure-own", status, "--skip-ssl")
