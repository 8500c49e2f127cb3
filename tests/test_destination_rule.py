"""TLS that DestinationRules ask for: towards a real nginx outside the mesh with certificates of somebody else's, and towards the
mesh's own. A Service per rule, all of them before the same nginx, so that what goes wrong with one can be seen not to
disturb the others."""

import json

import clients
import pytest
import shop
from authority import Authority, spiffe
from conftest import wait_for

ANSWER = ('{"https": "$https", "sni": "$ssl_server_name", "client": "$ssl_client_s_dn", "version": "$ssl_protocol", '
          '"resumed": "$ssl_session_reused"}\\n')
PLAIN, WWW, STAR, OLD, ASKS = 8080, 8443, 8445, 8446, 8444  # nginx's ports
NGINX = """
daemon off; worker_processes 1; error_log stderr; pid /tmp/nginx.pid;
events {}
http {
    access_log off; client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e;
    default_type application/json;
    server { listen 8080; listen [::]:8080; location / { return 200 'ANSWER'; } }
    server { listen 8443 ssl; listen [::]:8443 ssl; ssl_certificate /config/www.pem; ssl_certificate_key /config/www.key; location / { return 200 'ANSWER'; } }
    server { listen 8445 ssl; listen [::]:8445 ssl; ssl_certificate /config/star.pem; ssl_certificate_key /config/star.key; location / { return 200 'ANSWER'; } }
    server { listen 8446 ssl; listen [::]:8446 ssl; ssl_certificate /config/old.pem; ssl_certificate_key /config/old.key; location / { return 200 'ANSWER'; } }
    server { listen 8444 ssl; listen [::]:8444 ssl; ssl_certificate /config/www.pem; ssl_certificate_key /config/www.key;
             ssl_verify_client on; ssl_verify_depth 3; ssl_client_certificate /config/clients.pem; location / { return 200 'ANSWER'; } }
}
""".replace("ANSWER", ANSWER)

WRONG_ROOT = "the peer's certificate leads to no trusted root"
WRONG_SAN = "the peer is not the workload we meant to reach"

F = "/tmp/rules"  # in the sidecar

# name -> nginx's port, the rule's `tls`, and what comes back or why nothing does
SIMPLE = {"mode": "SIMPLE", "caCertificates": f"{F}/partner.pem"}
MUTUAL = {"mode": "MUTUAL", "caCertificates": f"{F}/partner.pem", "clientCertificate": f"{F}/client.pem", "privateKey": f"{F}/client.key"}
WORKS = {
    "simple": (WWW, SIMPLE, {"sni": "", "client": ""}),
    "simple-sni": (WWW, {**SIMPLE, "sni": "www.example.com"}, {"sni": "www.example.com"}),
    "simple-san": (WWW, {**SIMPLE, "subjectAltNames": ["a.example.com", "WWW.example.com"]}, {"sni": ""}),
    "simple-star": (STAR, {**SIMPLE, "subjectAltNames": ["any.example.com"]}, {"sni": ""}),
    "unverified": (WWW, {"mode": "SIMPLE", "caCertificates": f"{F}/others.pem", "insecureSkipVerify": True}, {"client": ""}),
    "unverified-old": (OLD, {"mode": "SIMPLE", "insecureSkipVerify": True}, {"client": ""}),
    "mutual": (ASKS, MUTUAL, {"client": "O=client"}),
    "mutual-unasked": (WWW, MUTUAL, {"client": ""}),
}
REFUSED = {
    "wrong-root": (WWW, {**SIMPLE, "caCertificates": f"{F}/others.pem"}, "upstream-tls", "wrong_root", WRONG_ROOT),
    "wrong-san": (WWW, {**SIMPLE, "subjectAltNames": ["mail.example.com"]}, "upstream-tls", "wrong_san", WRONG_SAN),
    "star-of-two": (STAR, {**SIMPLE, "subjectAltNames": ["a.b.example.com"]}, "upstream-tls", "wrong_san", WRONG_SAN),
    "old": (OLD, SIMPLE, "upstream-tls", "expired", "the peer's certificate has expired"),
    "no-mesh": (WWW, {"mode": "ISTIO_MUTUAL"}, "upstream-tls", "peer_refused", "the peer refused the handshake"),  # it knows no `istio`
    "no-tls": (PLAIN, SIMPLE, "upstream-tls", None, None),
    "no-file": (WWW, {**SIMPLE, "caCertificates": f"{F}/none.pem"}, "no-certificate", None, f"{F}/none.pem: No such file or directory"),
    "no-pem": (WWW, {**SIMPLE, "caCertificates": f"{F}/text.pem"}, "no-certificate", None, f"{F}/text.pem: roots: no certificate in them"),
    "no-key": (ASKS, {**MUTUAL, "privateKey": f"{F}/none.key"}, "no-certificate", None, f"{F}/none.key: No such file or directory"),
    "another-key": (ASKS, {**MUTUAL, "privateKey": f"{F}/other.key"}, "no-certificate", None,
                    f"{F}/client.pem: {F}/other.key: {F}/partner.pem: the key is not that of the certificate"),
    "a-secret": (ASKS, {"mode": "MUTUAL", "credentialName": "bank"}, "no-certificate", None,
                 "credentialName bank: a sidecar has no Secrets here; name files"),
    "a-crl": (WWW, {**SIMPLE, "caCrl": f"{F}/crl.pem"}, "no-certificate", None, f"caCrl {F}/crl.pem: revocation lists are not supported"),
}


def rule(name, tls, ns="out", **policy):
    """For the Service of that name."""
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": shop.meta(name, ns),
            "spec": {"host": f"{name}.{ns}.svc.cluster.local", "trafficPolicy": {"tls": tls, **policy}}}


def write(mesh, **files):
    """Files for the client's sidecar, each in one step, as whoever projects them does. NAME_pem: NAME.pem."""
    script = "import json,os,sys\nfor n,t in json.load(sys.stdin).items():\n open('.new','w').write(t); os.rename('.new',n)"
    texts = {name.replace("_", "."): text for name, text in files.items()}
    mesh.exec("in/client", "sh", "-c", f'mkdir -p {F} && cd {F} && exec python3 -c "$0"', script, container="istio-proxy", stdin=json.dumps(texts))


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    return {name: Authority(tmp_path_factory.mktemp("authority") / name, name) for name in ("partner", "others", "clients")}


@pytest.fixture(scope="module")
def market(new_mesh, roots):
    """`in` with sidecars; `out` without: nginx, and a Service of it per rule."""
    partner, others, known = (roots[name] for name in ("partner", "others", "clients"))
    pairs = {"www": partner.issue(dns=["www.example.com"]), "star": partner.issue(dns=["*.example.com"]),
             "old": partner.issue(dns=["www.example.com"], starts=-7200, ends=-3600)}
    files = {f"{name}.{end}": pair[part] for name, pair in pairs.items() for end, part in (("pem", "chain"), ("key", "key"))}
    docs = [shop.namespace("in", True), shop.namespace("out", False), shop.client("in"),
            shop.mesh_config({}, {"concurrency": 1}),  # files, tickets and what was told of them are kept by worker
            shop.config_map("out", "nginx", {**files, "nginx.conf": NGINX, "clients.pem": known.root}),
            shop.pod("out", "nginx", ["nginx", "-c", "/config/nginx.conf", "-e", "stderr"], files="nginx", ready_port=PLAIN)]
    for name, (port, tls, *_) in {**WORKS, **REFUSED}.items():
        docs += [shop.service("out", name, "nginx", [port]), rule(name, tls)]
    # a Service whose ports are treated differently
    docs += [shop.service("out", "ports", "nginx", [PLAIN, WWW, STAR, ASKS]),
             rule("ports", SIMPLE, portLevelSettings=[
                 {"port": {"number": PLAIN}, "tls": {"mode": "DISABLE"}},
                 {"port": {"number": STAR}, "tls": {"mode": "SIMPLE", "insecureSkipVerify": True}},
                 {"port": {"number": ASKS}, "tls": MUTUAL}])]
    docs += [shop.service("out", "whole", "nginx", [PLAIN, WWW]),
             rule("whole", {**SIMPLE, "sni": "www.example.com"}, portLevelSettings=[
                 {"port": {"number": WWW}, "tls": SIMPLE},
                 {"port": {"number": PLAIN}, "loadBalancer": {"simple": "RANDOM"}}])]
    docs += [shop.service("out", "live", "nginx", [WWW]), rule("live", {"mode": "SIMPLE", "caCertificates": f"{F}/live.pem"})]
    # the mesh's own: one that wants mesh TLS, and one Pod without a sidecar beside it behind a headless Service
    docs += shop.odd("in", "app", ports={9000: "echo", 9001: "greet"}, labels={"pair": "yes"})
    docs += shop.odd("in", "bare", ports={9000: "echo", 9001: "greet"}, labels={"pair": "yes", "sidecar.istio.io/inject": "false"})
    pair = shop.service("in", "pair", "-", [9001], clusterIP="None")
    pair["spec"]["selector"] = {"pair": "yes"}
    docs += [pair, {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": shop.meta("app", "in"),
                    "spec": {"selector": {"matchLabels": {"app": "app"}}, "mtls": {"mode": "STRICT"}}}]
    for name, tls in OWN.items():
        docs += [shop.service("in", name, "app", [9001]), rule(name, tls, "in")]
    mesh = new_mesh(shop.documents(*docs))
    client = known.issue(dns=["client.example"], subject="/O=client")
    write(mesh, partner_pem=partner.root, others_pem=others.root, client_pem=client["chain"], client_key=client["key"],
          other_key=others.issue(kind="rsa")["key"], text_pem="nothing\n", live_pem=partner.root)
    return mesh


OWN = {
    "own-mutual": {"mode": "ISTIO_MUTUAL"},
    "own-san": {"mode": "ISTIO_MUTUAL", "subjectAltNames": [spiffe("in", "default")]},
    "own-wrong-san": {"mode": "ISTIO_MUTUAL", "subjectAltNames": [spiffe("in", "somebody")]},
    "own-sni": {"mode": "ISTIO_MUTUAL", "sni": "app.example.com"},
    "own-disable": {"mode": "DISABLE"},
}


def last(mesh, before, what="the access log line"):
    return wait_for(lambda: mesh.access_log("in/client", side="outbound")[before:], what=what)[-1]


def ask(mesh, name, port):
    """The page, or None; and the sidecar's access log line."""
    before = len(mesh.access_log("in/client", side="outbound"))
    done = mesh.exec("in/client", "curl", "-sS", "--max-time", "20", f"http://{name}.out:{port}/", check=False)
    return done.stdout or None, last(mesh, before)


def counter(mesh, name, **labels):
    found = [line for line in mesh.admin("in/client", "/stats/prometheus")["body"].splitlines() if line.startswith(name + "{")]
    return sum(float(line.rpartition(" ")[2]) for line in found if all(f'{k}="{v}"' in line for k, v in labels.items()))


@pytest.mark.parametrize("name", WORKS)
def test_works(market, name):
    port, tls, want = WORKS[name]
    page, line = ask(market, name, port)
    assert page, line
    answer = json.loads(page)
    assert answer["https"] == "on" and want.items() <= answer.items()
    assert line["upstream_transport"] == {"SIMPLE": "tls", "MUTUAL": "mutual-tls"}[tls["mode"]]
    assert line["tls_version"] == answer["version"] and line["upstream_transport_failure_reason"] is None
    assert line["connection_security_policy"] == "none" and line["destination_principal"] is None  # it is no mesh TLS
    assert f"DestinationRule out/{name} wants" in line["reason"]


@pytest.mark.parametrize("name", REFUSED)
def test_refused(market, name):
    """Each with its reason, and the neighbours go on."""
    port, _, end, result, reason = REFUSED[name]
    before = counter(market, "hark_tls_handshakes_total", side="outbound", result=result)
    page, line = ask(market, name, port)
    assert page is None and line["end"] == end
    if reason:
        assert line["upstream_transport_failure_reason"] == reason
    if result:
        assert counter(market, "hark_tls_handshakes_total", side="outbound", result=result) > before
    if end == "no-certificate":
        assert (line["upstream_host"], line["attempts"]) == (None, 0)  # nobody was dialled for it
    assert line["response_flags"] == "UF"
    assert ask(market, "simple", WWW)[0]


def test_what_is_wrong_is_logged_once(market):
    """Not by each connection."""
    for _ in range(3):
        assert ask(market, "no-file", WWW)[0] is None
    said = [line for line in market.logs("in/client", "istio-proxy").splitlines() if f"{F}/none.pem: No such file" in line and not line.startswith("{")]
    assert len(said) == 1


def test_client_certificate_that_is_missing(market):
    """nginx demands one by HTTP: the TLS was made."""
    market.apply(shop.documents(shop.service("out", "asked", "nginx", [ASKS]), rule("asked", {"mode": "SIMPLE", "insecureSkipVerify": True})))
    wait_for(lambda: "No required SSL certificate was sent" in (ask(market, "asked", ASKS)[0] or ""), what="nginx's complaint")


def test_ports_of_one_service(market):
    """An entry of portLevelSettings goes before the rest."""
    for port, https, client, transport in ((PLAIN, "", "", "plaintext"), (WWW, "on", "", "tls"), (STAR, "on", "", "tls"),
                                           (ASKS, "on", "O=client", "mutual-tls")):
        page, line = ask(market, "ports", port)
        answer = json.loads(page)
        assert (answer["https"], answer["client"], line["upstream_transport"]) == (https, client, transport), port


def test_a_port_replaces_all_of_it(market):
    """What it leaves out is not taken from the rest: here the SNI, and TLS at all."""
    page, _ = ask(market, "whole", WWW)
    assert (json.loads(page)["https"], json.loads(page)["sni"]) == ("on", "")
    page, line = ask(market, "whole", PLAIN)
    assert json.loads(page)["https"] == "" and line["upstream_transport"] == "plaintext"


def test_files_that_change(market, roots):
    """New connections follow within seconds; a session got under the old roots is not resumed past the new ones; a spoilt file
    leaves the last good one in force."""
    assert ask(market, "live", WWW)[0]
    write(market, live_pem=roots["others"].root)
    wait_for(lambda: ask(market, "live", WWW)[0] is None, what="the new roots")
    assert ask(market, "live", WWW)[1]["upstream_transport_failure_reason"] == WRONG_ROOT
    write(market, live_pem=roots["partner"].root)
    wait_for(lambda: ask(market, "live", WWW)[0], what="the old roots")
    write(market, live_pem="spoilt")
    said = f"{F}/live.pem: roots: no certificate in them; what was read before stays in force"

    def complained():
        assert ask(market, "live", WWW)[0]
        return said in market.logs("in/client", "istio-proxy")
    wait_for(complained, what="the complaint")


def test_files_that_come_late(market, roots):
    market.apply(shop.documents(shop.service("out", "late", "nginx", [WWW]), rule("late", {"mode": "SIMPLE", "caCertificates": f"{F}/late.pem"})))
    wait_for(lambda: ask(market, "late", WWW)[1]["upstream_transport_failure_reason"] == f"{F}/late.pem: No such file or directory",
             what="the rule")
    write(market, late_pem=roots["partner"].root)
    wait_for(lambda: ask(market, "late", WWW)[0], what="the file's effect")


# --- the mesh's own -------------------------------------------------------------------------------------------------


def hear(mesh, host, port=9001):
    """Whether the server's greeting came; and the sidecar's access log line."""
    before = len(mesh.access_log("in/client", side="outbound"))
    return mesh.call("in/client", clients.first_byte, host, port, b"hello".hex()) != [None], last(mesh, before)


@pytest.mark.parametrize("name", ["own-mutual", "own-san", "own-sni"])
def test_istio_mutual(market, name):
    heard, line = hear(market, f"{name}.in")
    assert heard and line["upstream_transport"] == "mesh-tls" and line["destination_principal"] == spiffe("in")
    sni = "app.example.com" if name == "own-sni" else f"outbound_.9001_._.{name}.in.svc.cluster.local"
    wait_for(lambda: market.access_log("in/app", side="inbound", requested_server_name=sni), what="the server's line")


def test_istio_mutual_with_another_name(market):
    heard, line = hear(market, "own-wrong-san.in")
    assert not heard and (line["end"], line["upstream_transport_failure_reason"]) == ("upstream-tls", WRONG_SAN)


def test_disable_is_taken_literally(market):
    """A STRICT server refuses then."""
    heard, line = hear(market, "own-disable.in")
    assert not heard and line["upstream_transport"] == "plaintext"
    refused = wait_for(lambda: [e for e in market.access_log("in/app", side="inbound") if e["end"] == "refused-by-plan"], what="the refusal")
    assert "STRICT" in refused[-1]["reason"]


def test_headless_by_endpoint(market):
    """A Pod with a sidecar, which is STRICT, and one without: each is spoken to as it is."""
    for pod, transport in (("in/app", "mesh-tls"), ("in/bare", "plaintext")):
        for address in market.get("pod", pod)["status"]["podIPs"]:
            heard, line = hear(market, address["ip"])
            assert heard and line["upstream_transport"] == transport
            assert line["destination_service"] == "pair.in.svc.cluster.local"
    heard, line = hear(market, "pair.in")
    assert heard and line["upstream_transport"] in ("mesh-tls", "plaintext")
