"""Identities: certificates of sidecars, the authority that gives them, and what it refuses. The peers that are not hark are
openssl, and an Istio agent and an istiod made of gRPC's and cryptography's own code (agent.py)."""

import base64
import inspect
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import agent
import clients
import pytest
import shop
from conftest import HARK, Mesh, hark, wait_for

PYTHON = "/usr/bin/python3"  # Debian's: the one that has the modules of agent.py
TARGET = "198.18.0.1:15012"
AUDIENCE, ISSUER = "istio-ca", "https://kubernetes.default.svc.cluster.local"
TOKEN = "/var/run/secrets/tokens/istio-token"
ROOT = "/var/run/secrets/istio/root-cert.pem"


def here(function, *args):
    """A function of agent.py, run in this place by Debian's Python."""
    source = inspect.getsource(agent) + f"\nprint(json.dumps({function.__name__}(*json.loads(sys.argv[1]))))\n"
    done = subprocess.run([PYTHON, "-c", source, json.dumps(args)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def certs(mesh, pod):
    return json.loads(mesh.hark("cert", "show", pod, "-o", "json").stdout)


def serial_of(certs):
    """Of the leaf; tools differ about leading zeros."""
    return certs["chain"][0]["serial"].lstrip("0")


def node_log(mesh):
    return pathlib.Path(f"/run/hark/{mesh.name}/node.log").read_text()


def metrics(mesh):
    """The authority's, by the label `result`."""
    text = subprocess.run(["curl", "-s", "--unix-socket", f"/run/hark/{mesh.name}/admin.sock", "http://x/metrics"],
                          capture_output=True, text=True, check=True).stdout
    return {m[1]: int(m[2]) for m in re.finditer(r'hark_ca_requests_total\{result="(\w+)"\} (\d+)', text)}


def authority(mesh):
    return json.loads(subprocess.run(["curl", "-s", "--unix-socket", f"/run/hark/{mesh.name}/admin.sock", "http://x/hark/v1/ca"],
                                     capture_output=True, text=True, check=True).stdout)


def in_sidecar(mesh, pod, *argv, **kwargs):
    return mesh.exec(pod, *argv, container="istio-proxy", **kwargs)


def token_of(mesh, pod):
    return in_sidecar(mesh, pod, "cat", TOKEN).stdout


def roots_of(mesh, pod="shop/web"):
    return in_sidecar(mesh, pod, "cat", ROOT).stdout


def openssl(*argv, stdin=None, check=True):
    done = subprocess.run(["openssl", *argv], input=stdin, capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def pods(*, account="web"):
    """A server with a service account, a client, and an agent without a sidecar that can reach the authority."""
    web = shop.odd("shop", name="web", ports={9000: "echo", 9013: "greet"})
    web[1]["spec"]["serviceAccountName"] = account
    return [shop.namespace("shop", True), shop.namespace("plain", False), *web, shop.client("shop"), shop.client("plain", name="agent")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of an authority that the mesh makes, outside of /tmp: there is no other folder that containers could see."""
    path = pathlib.Path("/var/tmp") / f"hark-{os.getpid()}-ca"
    yield path
    subprocess.run(["rm", "-rf", str(path)], check=True)


@pytest.fixture(scope="module")
def mesh(new_mesh, folder):
    return new_mesh(shop.documents(*pods()), "--ca-dir", str(folder))


def ask(mesh, pod="plain/agent", target=TARGET, roots=None, **kwargs):
    wanted = list(inspect.signature(agent.ask).parameters.values())[2:]
    return mesh.call(pod, agent.ask, target, roots or roots_of(mesh), *[kwargs.get(p.name, p.default) for p in wanted])


# What a sidecar has.

def test_a_sidecar_has_a_certificate_as_istio_makes_them(mesh):
    got = certs(mesh, "shop/web")
    assert got["state"] == "valid" and got["identity"] == "spiffe://cluster.local/ns/shop/sa/web" and got["problem"] == ""
    leaf = here(agent.facts, got["chain"][0]["pem"])
    assert leaf["uris"] == ["spiffe://cluster.local/ns/shop/sa/web"] and leaf["san_critical"] and leaf["subject"] == ""
    assert leaf["curve"] == "secp256r1" and not leaf["ca"]
    assert leaf["usage"] == ["digital_signature", "key_encipherment"] and leaf["extended"] == ["clientAuth", "serverAuth"]
    assert leaf["seconds"] == 86400 + 120  # a day, and two minutes for clocks that are behind
    assert leaf["serial"] == serial_of(got)


def test_it_leads_to_the_root_that_the_mesh_gives(mesh, tmp_path):
    got = certs(mesh, "shop/web")
    (tmp_path / "leaf").write_text(got["chain"][0]["pem"])
    (tmp_path / "root").write_text(roots_of(mesh))
    assert openssl("verify", "-CAfile", str(tmp_path / "root"), "-purpose", "sslserver", str(tmp_path / "leaf")).endswith("OK\n")
    text = openssl("x509", "-in", str(tmp_path / "leaf"), "-noout", "-text")
    assert re.search(r"Subject Alternative Name: critical\s+URI:spiffe://cluster.local/ns/shop/sa/web", text)
    assert got["roots"][0]["pem"].strip() == roots_of(mesh).strip()


def test_each_pod_has_its_own_account_and_certificate(mesh):
    web, client = certs(mesh, "shop/web"), certs(mesh, "shop/client")
    assert client["identity"] == "spiffe://cluster.local/ns/shop/sa/default"
    assert serial_of(web) != serial_of(client)
    assert web["roots"] == client["roots"]


def test_a_pod_with_a_sidecar_says_that_it_speaks_mesh_tls(mesh):
    labels = {p["metadata"]["name"]: p["metadata"].get("labels", {}) for p in mesh.get("pods")["items"]}
    assert labels["web"]["security.istio.io/tlsMode"] == "istio"
    assert "security.istio.io/tlsMode" not in labels["agent"]


def test_show_and_status_for_people(mesh):
    text = mesh.hark("cert", "show", "shop/web").stdout
    assert "identity: spiffe://cluster.local/ns/shop/sa/web\n" in text and "state:    valid 2" in text and "EC P-256" in text
    rows = mesh.hark("status").stdout.splitlines()
    at = rows[0].index("CERT")
    assert [r[at:].split()[0] for r in rows[1:] if r.startswith("shop")] == ["valid", "valid"]
    assert re.search(r"authority: \d+ certificates issued", rows[-1])
    assert mesh.hark("cert", "show", "plain/agent", check=False).returncode == 1
    assert mesh.hark("cert", "show", check=False).returncode == 2


def test_metrics_of_the_sidecar(mesh):
    text = mesh.admin("shop/web", "/stats/prometheus")["body"]
    assert 80000 < float(re.search(r"^hark_certificate_expiry_seconds (\S+)", text, re.M)[1]) <= 86400
    assert 'hark_certificate_state{state="valid"} 1\n' in text and 'hark_certificate_state{state="expired"} 0\n' in text
    assert re.search(r'hark_certificate_renewals_total\{result="issued"\} [1-9]', text)


# Where its secrets are.

def test_the_token_is_as_kubernetes_projects_it(mesh):
    jwt = token_of(mesh, "shop/web")
    claims = json.loads(base64.urlsafe_b64decode(jwt.split(".")[1] + "=="))
    pod = mesh.get("pod", "shop/web")
    assert claims["aud"] == [AUDIENCE] and claims["iss"] == ISSUER and claims["sub"] == "system:serviceaccount:shop:web"
    assert claims["kubernetes.io"]["namespace"] == "shop" and claims["kubernetes.io"]["serviceaccount"]["name"] == "web"
    assert claims["kubernetes.io"]["pod"] == {"name": "web", "uid": pod["metadata"]["uid"]}
    assert claims["exp"] - claims["iat"] == 43200
    assert in_sidecar(mesh, "shop/web", "stat", "-Lc", "%u %a", TOKEN).stdout == "1337 400\n"


def test_only_the_sidecar_sees_token_and_folder(mesh, folder):
    assert mesh.exec("shop/web", "ls", "-A", "/var/run/secrets", check=False).returncode != 0
    assert (folder / "ca-key.pem").read_text().startswith("-----BEGIN PRIVATE KEY-----")
    for pod, container in (("shop/web", None), ("shop/web", "istio-proxy"), ("plain/agent", None)):
        seen = mesh.exec(pod, "ls", "-A", str(folder), container=container, check=False)
        assert "ca-key.pem" not in seen.stdout, (pod, container)


def test_the_folder_is_shut(folder):
    modes = {p.name: oct(p.stat().st_mode & 0o7777) for p in folder.iterdir()}
    assert oct(folder.stat().st_mode & 0o7777) == "0o700"
    assert modes["ca-key.pem"] == modes["token-key.pem"] == "0o600" and set(modes) >= {"ca-cert.pem", "root-cert.pem", "cert-chain.pem"}


def test_a_workloads_key_is_on_no_disk(mesh):
    """The mesh's tmpfs holds every writable layer, volume and secret; logs are beside it."""
    mesh.hark("cert", "rotate")
    node = int(pathlib.Path(f"/run/hark/{mesh.name}/pid").read_text().split()[0])
    for place in (f"/proc/{node}/root/run/hark/{mesh.name}", f"/run/hark/{mesh.name}"):
        found = subprocess.run(["grep", "-rIls", "--exclude-dir=root", "PRIVATE KEY", place], capture_output=True, text=True, timeout=120)
        assert found.stdout == "", place
    inside = in_sidecar(mesh, "shop/web", "grep", "-rls", "PRIVATE KEY", "/run", "/tmp", "/var/run/secrets", check=False)
    assert inside.stdout == ""


# An Istio agent.

def test_openssl_talks_to_the_authority(mesh):
    mesh.exec("plain/agent", "sh", "-c", "cat >/tmp/root.pem", stdin=roots_of(mesh))
    for name in ("istiod.istio-system.svc", "istiod.istio-system.svc.cluster.local"):
        said = mesh.exec("plain/agent", "openssl", "s_client", "-connect", "istiod.istio-system:15012", "-servername", name,
                         "-verify_hostname", name, "-verify_return_error", "-CAfile", "/tmp/root.pem", "-alpn", "h2", stdin="").stdout
        assert "Verify return code: 0 (ok)" in said and "ALPN protocol: h2" in said and "TLSv1.3" in said
    old = mesh.exec("plain/agent", "openssl", "s_client", "-connect", TARGET, "-tls1_1", stdin="", check=False)
    assert old.returncode != 0


@pytest.mark.parametrize("target", [TARGET, "istiod.istio-system.svc:15012", "[fd68:6172:6b::1]:15012"])
def test_an_istio_agent_gets_a_certificate(mesh, target):
    got = ask(mesh, target=target, token="Bearer " + token_of(mesh, "shop/web"), validity=3600)
    assert got["code"] == "OK", got
    assert len(got["chain"]) == 2 and all(c.endswith("-----END CERTIFICATE-----\n") for c in got["chain"])
    leaf = here(agent.facts, got["chain"][0])
    assert leaf["uris"] == ["spiffe://cluster.local/ns/shop/sa/web"]  # not what the request wished for
    assert leaf["seconds"] == 3600 + 120 and leaf["san_critical"]
    assert got["chain"][-1] == roots_of(mesh)


def test_an_istio_agent_behind_a_sidecar(mesh):
    got = ask(mesh, pod="shop/client", target="istiod.istio-system.svc:15012", token="Bearer " + token_of(mesh, "shop/client"))
    assert got["code"] == "OK", got
    assert here(agent.facts, got["chain"][0])["uris"] == ["spiffe://cluster.local/ns/shop/sa/default"]


@pytest.mark.parametrize("kind", ["rsa", "p384"])
def test_other_keys(mesh, kind):
    assert ask(mesh, kind=kind, token="Bearer " + token_of(mesh, "shop/web"))["code"] == "OK"


def test_renewal_with_the_certificate_at_hand(mesh):
    first = ask(mesh, token="Bearer " + token_of(mesh, "shop/web"))
    second = ask(mesh, chain=first["chain"][0], key=first["key"])
    assert second["code"] == "OK", second
    assert here(agent.facts, second["chain"][0])["uris"] == ["spiffe://cluster.local/ns/shop/sa/web"]


# What is refused.

def claims_of(mesh, pod="shop/web", **changed):
    meta, spec = (mesh.get("pod", pod)[k] for k in ("metadata", "spec"))
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": [AUDIENCE], "iat": now, "nbf": now, "exp": now + 600,
              "sub": f"system:serviceaccount:{meta['namespace']}:{spec['serviceAccountName']}",
              "kubernetes.io": {"namespace": meta["namespace"], "pod": {"name": meta["name"], "uid": meta["uid"]},
                                "serviceaccount": {"name": spec["serviceAccountName"]}}}
    claims.update(changed)
    return claims


def forged(folder, claims):
    """Signed with the mesh's own key: what is refused is refused for what it says."""
    return here(agent.token, (folder / "token-key.pem").read_text(), claims)


def refused(mesh, result, code, **kwargs):
    """The call is refused with that status; the counter goes up by one; one line of the log has the reason and no secret."""
    before, log = metrics(mesh), node_log(mesh)
    got = ask(mesh, **kwargs)
    after = metrics(mesh)
    assert (got["code"], got["chain"]) == (code, []), got
    assert after[result] == before[result] + 1 and sum(after.values()) == sum(before.values()) + 1
    new = wait_for(lambda: node_log(mesh)[len(log):], what="the line of the log")
    lines = [line for line in new.splitlines() if f"result={result} " in line]
    assert len(lines) == 1 and 'why="' in lines[0] and "from=198.18." in lines[0], new
    token = kwargs.get("token") or ""
    for part in token.removeprefix("Bearer ").split("."):
        assert len(part) < 8 or part not in new
    if code == "UNAUTHENTICATED":
        assert got["details"] == "request authenticate failure"
    return lines[0], got["details"]


def test_a_token_made_here_is_taken(mesh, folder):
    assert ask(mesh, token="Bearer " + forged(folder, claims_of(mesh)))["code"] == "OK"


def test_clocks_that_differ_by_two_minutes(mesh, folder):
    now = int(time.time())
    for claims in ({"exp": now - 60}, {"nbf": now + 60, "iat": now + 60}):
        assert ask(mesh, token="Bearer " + forged(folder, claims_of(mesh, **claims)))["code"] == "OK"


@pytest.mark.parametrize("result, change", [
    ("token_expired", lambda now: {"exp": now - 300}),
    ("token_not_yet_valid", lambda now: {"nbf": now + 300, "iat": now + 300}),
    ("token_audience", lambda now: {"aud": ["vault"]}),
    ("token_issuer", lambda now: {"iss": "https://elsewhere"}),
    ("token_subject", lambda now: {"sub": "system:serviceaccount:shop:admin"}),
])
def test_claims_that_are_refused(mesh, folder, result, change):
    refused(mesh, result, "UNAUTHENTICATED", token="Bearer " + forged(folder, claims_of(mesh, **change(int(time.time())))))


def test_a_token_of_another_pod(mesh, folder):
    claims = claims_of(mesh)
    claims["kubernetes.io"]["pod"]["uid"] = mesh.get("pod", "shop/client")["metadata"]["uid"]
    refused(mesh, "token_pod", "UNAUTHENTICATED", token="Bearer " + forged(folder, claims))
    claims = claims_of(mesh, sub="system:serviceaccount:shop:admin")
    claims["kubernetes.io"]["serviceaccount"]["name"] = "admin"
    refused(mesh, "token_pod", "UNAUTHENTICATED", token="Bearer " + forged(folder, claims))


def test_a_pod_that_is_gone(mesh):
    text = shop.documents(shop.client("shop", name="mayfly"))
    mesh.apply(text)
    wait_for(lambda: certs(mesh, "shop/mayfly")["state"] == "valid" if mesh.hark("cert", "show", "shop/mayfly", check=False).returncode == 0
             else False, what="a certificate")
    token = "Bearer " + token_of(mesh, "shop/mayfly")
    assert ask(mesh, token=token)["code"] == "OK"
    mesh.delete(text)
    wait_for(lambda: "mayfly" not in mesh.hark("get", "pods").stdout, timeout=60, what="the Pod's end")
    refused(mesh, "token_pod_gone", "UNAUTHENTICATED", token=token)


def test_tokens_that_are_none(mesh):
    good = token_of(mesh, "shop/web")
    head, body, signature = good.split(".")
    other = base64.urlsafe_b64encode(base64.urlsafe_b64decode(body + "==").replace(b'"web"', b'"adm"')).decode().rstrip("=")
    refused(mesh, "token_signature", "UNAUTHENTICATED", token=f"Bearer {head}.{other}.{signature}")
    refused(mesh, "token_malformed", "UNAUTHENTICATED", token="Bearer rubbish")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    refused(mesh, "token_algorithm", "UNAUTHENTICATED", token=f"Bearer {none}.{body}.{signature}")
    refused(mesh, "no_credentials", "UNAUTHENTICATED", token="Basic dXNlcjpwYXNz")
    refused(mesh, "no_credentials", "UNAUTHENTICATED")


@pytest.mark.parametrize("kind, result, says", [
    ("weak", "csr_weak_key", "RSA of 1024 bits"), ("k1", "csr_weak_key", "neither RSA"), ("sha1", "csr_algorithm", "weak"),
    ("signature", "csr_signature", "not by the key"), ("garbage", "csr_malformed", "PKCS#10")])
def test_requests_that_are_refused(mesh, kind, result, says):
    line, details = refused(mesh, result, "INVALID_ARGUMENT", kind=kind, token="Bearer " + token_of(mesh, "shop/web"))
    assert says in line and says in details


def test_messages_that_are_refused(mesh):
    token = "Bearer " + token_of(mesh, "shop/web")
    refused(mesh, "validity", "INVALID_ARGUMENT", validity=91 * 86400, token=token)
    refused(mesh, "message", "INVALID_ARGUMENT", message="\x0a\x7f", token=token)


def test_a_certificate_of_nobody(mesh):
    """A Pod's certificate outlives it; it is not renewed."""
    text = shop.documents({**shop.client("shop", name="clerk"), "spec": {"serviceAccountName": "clerk", "terminationGracePeriodSeconds": 1,
                                                                        "containers": [{"name": "app", "command": ["sleep", "infinity"]}]}})
    mesh.apply(text)
    wait_for(lambda: mesh.hark("cert", "show", "shop/clerk", check=False).stdout.count("state:    valid"), what="a certificate")
    mine = ask(mesh, token="Bearer " + token_of(mesh, "shop/clerk"))
    assert ask(mesh, chain=mine["chain"][0], key=mine["key"])["code"] == "OK"
    mesh.delete(text)
    wait_for(lambda: "clerk" not in mesh.hark("get", "pods").stdout, timeout=60, what="the Pod's end")
    refused(mesh, "client_certificate", "UNAUTHENTICATED", chain=mine["chain"][0], key=mine["key"])


def test_nobody_else_suffers_from_a_flood_of_them(mesh):
    log, before = node_log(mesh), metrics(mesh)
    flood = [mesh.start("plain/agent", agent.ask, TARGET, roots_of(mesh), "garbage", "Bearer x") for _ in range(15)]
    mesh.hark("cert", "rotate")
    assert all(f.result()["code"] == "UNAUTHENTICATED" for f in flood)
    assert metrics(mesh)["token_malformed"] == before["token_malformed"] + 15
    assert len(node_log(mesh)[len(log):].splitlines()) <= 30


# Rotation.

def presented(mesh, pod="shop/web", port=9000):
    """The serial of the certificate that a server's sidecar shows to a new connection."""
    ip = mesh.get("pod", pod)["status"]["podIP"]
    said = mesh.exec("plain/agent", "openssl", "s_client", "-connect", f"{ip}:{port}", "-alpn", "istio", stdin="", check=False).stdout
    text = openssl("x509", "-noout", "-serial", stdin=said[said.index("-----BEGIN"):])
    return text.strip().removeprefix("serial=").lstrip("0")


class Line:
    """An open connection through both sidecars, used again and again."""

    def __init__(self, mesh):
        self.remote = mesh.start("shop/client", clients.keep_talking, "web", 9000)
        assert self.remote.hear() == "open"

    def says(self, word):
        self.remote.tell(word)
        assert self.remote.hear() == word + "\n"


def talk(mesh):
    """A new connection through both sidecars."""
    assert mesh.call("shop/client", clients.echo_once, "web", 9000, "hello") == "hello"


def test_rotation_by_hand_disturbs_nobody(mesh):
    line = Line(mesh)
    line.says("before")
    old = serial_of(certs(mesh, "shop/web"))
    assert presented(mesh) == old
    said = mesh.hark("cert", "rotate", "shop/web").stdout
    assert said.startswith("shop/web: renewed, valid")
    new = serial_of(certs(mesh, "shop/web"))
    assert new != old
    wait_for(lambda: presented(mesh) == new, what="the new certificate on a new connection")
    line.says("after")
    talk(mesh)


def test_rotation_of_all(mesh):
    before = {pod: serial_of(certs(mesh, pod)) for pod in ("shop/web", "shop/client")}
    said = mesh.hark("cert", "rotate").stdout
    assert sorted(line.split(":")[0] for line in said.splitlines()) == ["shop/client", "shop/web"]
    assert all(serial_of(certs(mesh, pod)) != serial for pod, serial in before.items())


def test_rotation_of_a_pod_that_is_not_there(mesh):
    assert mesh.hark("cert", "rotate", "shop/nobody", check=False).returncode == 1
    assert mesh.hark("cert", "rotate", "plain/agent", check=False).returncode == 1


def test_change_of_the_root(mesh, folder):
    line = Line(mesh)
    old = certs(mesh, "shop/web")["roots"][0]["sha256"]
    assert mesh.hark("cert", "rotate", "--root", "--finish", check=False).returncode == 1
    mesh.hark("cert", "rotate", "--root")
    line.says("both are trusted")
    talk(mesh)
    got = certs(mesh, "shop/web")
    assert len(got["roots"]) == 2 and got["roots"][1]["sha256"] == old
    new = got["roots"][0]["sha256"]
    assert authority(mesh)["phase"] == "signing" and "root is being changed" in mesh.hark("status").stdout
    assert (folder / "root-cert.pem").read_text().count("BEGIN CERTIFICATE") == 2
    # an agent that knows only the new root is served, and one that has a certificate of the old one
    assert ask(mesh, roots=got["roots"][0]["pem"], token="Bearer " + token_of(mesh, "shop/web"))["code"] == "OK"
    mesh.hark("cert", "rotate", "--root", "--finish")
    for pod in ("shop/web", "shop/client"):
        assert [r["sha256"] for r in certs(mesh, pod)["roots"]] == [new]
    line.says("the old one is gone")
    talk(mesh)
    assert authority(mesh)["phase"] == "settled" and (folder / "root-cert.pem").read_text().count("BEGIN CERTIFICATE") == 1
    assert "UNAVAILABLE" == ask(mesh, roots=got["roots"][1]["pem"], token="Bearer x", timeout=5)["code"]


def test_a_pod_that_has_not_begun_is_not_waited_for(new_mesh):
    """`hark apply` would refuse a Pod whose ConfigMap is not there; the API takes it, as Kubernetes does."""
    waits = shop.client("shop", name="waits", files="not-there")
    mesh = new_mesh(shop.documents(*pods()))
    subprocess.run(["curl", "-sf", "--unix-socket", f"/run/hark/{mesh.name}/admin.sock", "http://x/api/v1/namespaces/shop/pods",
                    "-H", "Content-Type: application/json", "-d", json.dumps(waits)], check=True, capture_output=True)
    assert "waits" in mesh.hark("get", "pods").stdout
    mesh.hark("cert", "rotate", "--root")
    mesh.hark("cert", "rotate", "--root", "--finish")
    mesh.apply(shop.documents(shop.config_map("shop", "not-there", {"a": "b"})))
    wait_for(lambda: "state:    valid" in mesh.hark("cert", "show", "shop/waits", check=False).stdout, what="its certificate")
    assert certs(mesh, "shop/waits")["roots"] == certs(mesh, "shop/web")["roots"]


def sidecar_pid(mesh, pod):
    """As the host counts."""
    for pid in mesh.processes():
        try:
            folder = pathlib.Path(f"/proc/{pid}")
            if folder.joinpath("cmdline").read_bytes().split(b"\0")[1:2] == [b"proxy"] and f"POD_NAME={pod}\0".encode() in folder.joinpath("environ").read_bytes():
                return pid
        except OSError:
            pass
    raise AssertionError(f"{pod} has no sidecar")


def test_a_sidecar_that_does_not_answer_is_waited_for(new_mesh):
    mesh = new_mesh(shop.documents(*pods()))
    pid = sidecar_pid(mesh, "web")
    os.kill(pid, signal.SIGSTOP)
    try:
        late = mesh.hark("cert", "rotate", "--root", "--timeout", "3", check=False)
        assert late.returncode == 1 and "have not renewed yet, shop/" in late.stderr, late.stderr
        assert authority(mesh)["phase"] == "trusting"
        early = mesh.hark("cert", "rotate", "--root", "--finish", check=False)
        assert early.returncode == 1 and "not every sidecar" in early.stderr
    finally:
        os.kill(pid, signal.SIGCONT)
    mesh.hark("cert", "rotate", "--root")
    mesh.hark("cert", "rotate", "--root", "--finish")
    talk(mesh)


def test_nor_is_one_that_ends(new_mesh):
    pod = shop.client("shop", name="mayfly")
    pod["spec"]["terminationGracePeriodSeconds"] = 2
    mayfly = shop.documents(pod)
    mesh = new_mesh(shop.documents(*pods()) + mayfly)
    os.kill(sidecar_pid(mesh, "mayfly"), signal.SIGSTOP)
    assert mesh.hark("cert", "rotate", "--root", "--timeout", "2", check=False).returncode == 1
    mesh.delete(mayfly)
    mesh.hark("cert", "rotate", "--root", "--timeout", "60")  # killed at the end of its grace time
    assert authority(mesh)["waiting"] == []


def test_a_token_is_made_anew_for_each_start_of_the_sidecar(new_mesh):
    """Its file is swapped below the mount that is there."""
    mesh = new_mesh(shop.documents(*pods()))
    before = token_of(mesh, "shop/web")
    mesh.call("shop/web", clients.page, 15000, "/quitquitquit", "POST")
    wait_for(lambda: (lambda d: d.returncode == 0 and d.stdout != before)(in_sidecar(mesh, "shop/web", "cat", TOKEN, check=False)), what="a new token")
    wait_for(lambda: mesh.hark("cert", "show", "shop/web", check=False).returncode == 0 and certs(mesh, "shop/web")["state"] == "valid", what="a certificate")


def test_traffic_never_fails_while_the_root_changes(mesh):
    """New connections all the time, from before the first step until after the last."""
    busy = mesh.start("shop/client", clients.echo_until_end, "web", 9000)
    assert busy.hear() == "begun"
    mesh.hark("cert", "rotate", "--root")
    mesh.hark("cert", "rotate", "--root", "--finish")
    busy.tell("end")
    result = busy.result()
    assert result["failed"] == [] and result["done"] > 20, result


# The authority's folder.

def test_the_authority_outlives_the_mesh(tmp_path_factory):
    path = pathlib.Path("/var/tmp") / f"hark-{os.getpid()}-kept"
    seen = []
    try:
        for _ in range(2):
            mesh = Mesh(tmp_path_factory.mktemp("mesh"), shop.documents(*pods()[:-1]), "--ca-dir", str(path))
            try:
                seen.append((certs(mesh, "shop/web")["roots"], (path / "token-key.pem").read_text()))
            finally:
                mesh.down()
        assert seen[0] == seen[1]
    finally:
        subprocess.run(["rm", "-rf", str(path)], check=True)


def given(path):
    """A root and an intermediate of RSA, as a company has them, in the files of Istio's Secret cacerts."""
    path.mkdir()
    ext = path / "ext"
    ext.write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{path}/root-key.pem", "-out", f"{path}/root-cert.pem", "-days", "10",
            "-subj", "/O=Company/CN=Root", "-addext", "keyUsage=critical,keyCertSign")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{path}/ca-key.pem", "-out", f"{path}/ca.csr", "-subj", "/O=Company/CN=Mesh")
    openssl("x509", "-req", "-in", f"{path}/ca.csr", "-CA", f"{path}/root-cert.pem", "-CAkey", f"{path}/root-key.pem", "-CAcreateserial",
            "-days", "5", "-extfile", str(ext), "-out", f"{path}/ca-cert.pem")
    (path / "cert-chain.pem").write_text((path / "ca-cert.pem").read_text())
    for name in ("root-key.pem", "ca.csr", "ext", "root-cert.srl"):
        (path / name).unlink(missing_ok=True)


def test_an_intermediate_of_a_company(tmp_path, tmp_path_factory):
    given(tmp_path / "ca")
    mesh = Mesh(tmp_path_factory.mktemp("mesh"), shop.documents(*pods()), "--ca-dir", str(tmp_path / "ca"))
    try:
        got = certs(mesh, "shop/web")
        assert [c["subject"] for c in got["chain"]] == ["", "CN=Mesh,O=Company"] and [r["subject"] for r in got["roots"]] == ["CN=Root,O=Company"]
        (tmp_path / "leaf").write_text(got["chain"][0]["pem"])
        assert openssl("verify", "-CAfile", f"{tmp_path}/ca/root-cert.pem", "-untrusted", f"{tmp_path}/ca/ca-cert.pem", f"{tmp_path}/leaf").endswith("OK\n")
        talk(mesh)
        answer = ask(mesh, token="Bearer " + token_of(mesh, "shop/web"))
        assert len(answer["chain"]) == 3 and answer["chain"][-1].strip() == (tmp_path / "ca/root-cert.pem").read_text().strip()
        refusal = mesh.hark("cert", "rotate", "--root", check=False)
        assert refusal.returncode == 1 and "not ours to change" in refusal.stderr
        mesh.hark("cert", "rotate")
        talk(mesh)
    finally:
        mesh.down()
    assert (tmp_path / "ca/token-key.pem").exists()


@pytest.mark.parametrize("spoil, says", [
    (lambda p: (p / "ca-key.pem").write_text(openssl("genpkey", "-algorithm", "RSA")), "not the key of ca-cert.pem"),
    (lambda p: (p / "ca-key.pem").unlink(), "ca-cert.pem without ca-key.pem"),
    (lambda p: (p / "root-cert.pem").unlink(), "root-cert.pem: needed"),
    (lambda p: (p / "ca-cert.pem").write_text("hello"), "ca-cert.pem"),
])
def test_a_folder_that_is_wrong_stops_the_mesh(tmp_path, spoil, says):
    given(tmp_path / "ca")
    spoil(tmp_path / "ca")
    (tmp_path / "m.yaml").write_text(shop.documents(*pods()[:1]))
    name = f"t{os.getpid()}-bad"
    done = hark("up", "--detach", "-n", name, "-f", str(tmp_path / "m.yaml"), "--ca-dir", str(tmp_path / "ca"), check=False)
    assert done.returncode == 1 and says in done.stderr, done.stderr
    assert not pathlib.Path(f"/run/hark/{name}").exists()


# A sidecar of hark with an authority that is not hark.

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Lone:
    """`hark proxy` by itself, and the authority of agent.py."""

    def __init__(self, folder, ttl="24h"):
        self.folder, self.ttl = folder, ttl
        self.port, self.admin, self.listen = free_port(), free_port(), free_port()
        (folder / "token").write_text("good-token")
        self.authority = self.proxy = None

    def start_authority(self):
        self.authority = subprocess.Popen([PYTHON, agent.__file__, str(self.folder), str(self.port)], stdout=subprocess.PIPE, text=True)
        assert json.loads(self.authority.stdout.readline()) == {"serving": self.port}

    def start_proxy(self, *options):
        with open(self.folder / "log", "w") as log:
            self.proxy = subprocess.Popen(
                [HARK, "proxy", "--listen", f"127.0.0.1:{self.listen}", "--to", "127.0.0.1:9", "--admin-port", str(self.admin), *options],
                env={**os.environ, "SECRET_TTL": self.ttl, "SERVICE_ACCOUNT": "web", "POD_NAMESPACE": "shop"}, stderr=log)

    def with_authority(self):
        self.start_proxy("--ca", f"127.0.0.1:{self.port}", "--ca-root", str(self.folder / "root-cert.pem"), "--token", str(self.folder / "token"))

    def page(self, path, method="GET"):
        done = subprocess.run(["curl", "-s", "-X", method, f"http://127.0.0.1:{self.admin}{path}"], capture_output=True, text=True)
        return done.stdout

    def certs(self):
        text = self.page("/certs")
        return json.loads(text) if text.startswith("{") else {}

    def wait(self, **match):
        return wait_for(lambda: (lambda c: c if all(c.get(k) == v for k, v in match.items()) else None)(self.certs()), timeout=60, what=str(match))

    def asked(self):
        return json.loads(self.authority.stdout.readline())

    def log(self):
        return (self.folder / "log").read_text()

    def stop_authority(self):
        self.authority.kill()
        self.authority.communicate()

    def stop(self):
        for process in (self.proxy, self.authority):
            if process and process.poll() is None:
                process.kill()
                process.communicate()


@pytest.fixture
def lone(tmp_path):
    it = Lone(tmp_path)
    yield it
    it.stop()


def test_an_authority_that_is_not_hark(lone):
    lone.start_authority()
    lone.with_authority()
    got = lone.wait(state="valid")
    assert got["identity"] == "spiffe://cluster.local/ns/shop/sa/web" and got["source"] == f"127.0.0.1:{lone.port}"
    said = lone.asked()
    assert said == {"authorization": "Bearer good-token", "clusterid": "Kubernetes", "validity": 86400,
                    "uri": ["spiffe://cluster.local/ns/shop/sa/web"], "signed": True}
    (lone.folder / "token").write_text("next-token\n")
    lone.page("/certs/rotate", "POST")
    assert lone.asked()["authorization"] == "Bearer next-token"
    assert serial_of(lone.wait(issued=2)) != serial_of(got)


def test_rotation_in_a_loop(lone):
    """The authority signs for the first one; the others hear when they may come again."""
    lone.start_authority()
    lone.with_authority()
    lone.wait(state="valid")

    def post():
        said = subprocess.run(["curl", "-si", "-X", "POST", f"http://127.0.0.1:{lone.admin}/certs/rotate"], capture_output=True, text=True).stdout
        wait = re.search(r"^retry-after: (\d+)", said, re.M | re.I)
        return int(said.split()[1]), wait and int(wait[1])

    first, *others = [post() for _ in range(20)]
    assert first == (202, None)
    assert all(status == 429 and 1 <= wait <= 5 for status, wait in others), others
    assert lone.wait(issued=2)
    wait_for(lambda: post()[0] == 202, what="another one")
    lone.wait(issued=3)


@pytest.mark.parametrize("habit, result, says", [
    ("refuse", "refused", "UNAUTHENTICATED: request authenticate failure"), ("unavailable", "unavailable", "UNAVAILABLE: CA is not ready"),
    ("other-key", "bad_answer", "the key is not that of the certificate")])
def test_an_authority_that_answers_badly(lone, habit, result, says):
    lone.start_authority()
    lone.with_authority()
    good = lone.wait(state="valid")
    (lone.folder / "habit").write_text(habit)
    lone.page("/certs/rotate", "POST")
    got = lone.wait(state="expiring")
    assert says in got["problem"] and got["chain"] == good["chain"]
    assert re.search(rf'renewals_total\{{result="{result}"\}} [1-9]', lone.page("/stats/prometheus"))
    assert lone.log().count(says) == 1  # and again only when it is another one
    (lone.folder / "habit").write_text("well")
    lone.wait(state="valid", problem="")


def test_an_authority_that_goes_away_until_the_certificates_end(tmp_path):
    lone = Lone(tmp_path, ttl="8s")
    try:
        lone.start_authority()
        lone.with_authority()
        lone.wait(state="valid")
        assert lone.asked()["validity"] == 8
        lone.wait(state="valid", issued=2)  # at half of its life
        lone.stop_authority()
        lone.wait(state="expiring")
        assert "serves on" in lone.log()
        lone.wait(state="expired")
        wait_for(lambda: "certificate has expired" in lone.log(), what="the line of the log")
        text = lone.page("/stats/prometheus")
        assert 'hark_certificate_state{state="expired"} 1\n' in text and float(re.search(r"^hark_certificate_expiry_seconds (\S+)", text, re.M)[1]) <= 0
        lone.start_authority()  # with another root: the file follows, and the sidecar the file
        lone.wait(state="valid", problem="")
        assert lone.log().count("certificate has expired") == 1
    finally:
        lone.stop()


def test_files_instead_of_an_authority(lone, mesh):
    made = ask(mesh, token="Bearer " + token_of(mesh, "shop/web"))
    provided = lone.folder / "provided"
    provided.mkdir()
    lone.start_proxy("--cert-dir", str(provided))
    lone.wait(state="none")
    for name, text in (("cert-chain.pem", "".join(made["chain"][:-1])), ("key.pem", made["key"]), ("root-cert.pem", made["chain"][-1])):
        (provided / name).write_text(text)
    got = lone.wait(state="valid", problem="")
    assert got["source"] == str(provided) and got["identity"] == "spiffe://cluster.local/ns/shop/sa/web"
    again = ask(mesh, token="Bearer " + token_of(mesh, "shop/web"))
    (provided / "cert-chain.pem").write_text(again["chain"][0])
    assert "the key is not that" in wait_for(lambda: lone.certs()["problem"], what="the trouble")
    assert lone.certs()["chain"] == got["chain"]
    (provided / "key.pem").write_text(again["key"])
    assert lone.wait(state="valid", problem="")["chain"][0]["pem"] == again["chain"][0]


# The mesh's settings.

def test_lifetime_and_trust_domain(new_mesh):
    mesh = new_mesh(shop.documents(shop.mesh_config(mesh={"trustDomain": "example.org"}, hark={"certificateLifetime": "1h"}), *pods()))
    got = certs(mesh, "shop/web")
    assert got["identity"] == "spiffe://example.org/ns/shop/sa/web" and here(agent.facts, got["chain"][0]["pem"])["seconds"] == 3600 + 120
    talk(mesh)
    mesh.apply(shop.documents(shop.mesh_config(mesh={"trustDomain": "example.net", "trustDomainAliases": ["example.org"]})))
    for pod in ("shop/web", "shop/client"):
        wait_for(lambda: certs(mesh, pod)["identity"].startswith("spiffe://example.net/"), what="the new name")
    talk(mesh)


def test_an_authority_by_its_name(new_mesh):
    """`hark proxy` in a Pod, as somebody would run it there, finds istiod as every other client does."""
    build = os.path.dirname(os.path.realpath(HARK))
    run = "until [ -e /tmp/go ]; do sleep 0.1; done; exec /hark/hark proxy --listen 127.0.0.1:7000 --to 127.0.0.1:7001 " \
          "--admin-port 7002 --ca istiod.istio-system.svc:15012 --ca-root /tmp/root --token /tmp/token"
    runner = shop.pod("plain", "runner", ["sh", "-c", run], volumeMounts=[{"name": "hark", "mountPath": "/hark", "readOnly": True}])
    runner["spec"]["volumes"] = [{"name": "hark", "hostPath": {"path": build}}]
    mesh = new_mesh(shop.documents(*pods(), runner))
    for name, text in (("root", roots_of(mesh)), ("token", token_of(mesh, "shop/web")), ("go", "")):
        mesh.exec("plain/runner", "sh", "-c", f"cat >/tmp/{name}", stdin=text)
    page = lambda: json.loads(mesh.exec("plain/runner", "curl", "-s", "localhost:7002/certs", check=False).stdout or "{}")
    wait_for(lambda: page().get("state") == "valid", what="a certificate")
    assert page()["identity"] == "spiffe://cluster.local/ns/shop/sa/web" and page()["source"] == "istiod.istio-system.svc:15012"
