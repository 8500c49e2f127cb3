"""`hark analyze`: what is wrong or risky, in files and in a running mesh, and what a mesh has learnt as a declaration."""

import json
import re

import clients
import pytest
import shop
from conftest import hark, wait_for

LINE = re.compile(r"^(Error|Warning|Info) \[(HRK\d{4})\] \((.*?)\) (.*)$", re.M)

GOOD = """apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: {istio-injection: enabled}
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
spec:
  selector: {app: web}
  ports:
  - name: http
    port: 80
    targetPort: 8080
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: web
        command: [nginx]
"""
PORT_KEY = """apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: web
  namespace: shop
spec:
  selector:
    matchLabels: {app: web}
  portLevelMtls:
    80:
      mode: DISABLE
"""
BAD_RULE = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: web
  namespace: shop
spec:
  host: wbe
"""


@pytest.fixture
def folder(tmp_path):
    """folder(NAME=TEXT, ...) writes NAME.yaml files and gives their folder."""

    def write(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return str(tmp_path)

    return write


def analyze(*args, **kwargs):
    return hark("analyze", *args, check=False, **kwargs)


def codes(done):
    return [m[2] for m in LINE.finditer(done.stdout)]


def findings(done):
    return json.loads(done.stdout)["findings"]


# --- files ----------------------------------------------------------------------------------------------------------


def test_nothing_is_wrong(folder):
    done = analyze("-f", folder(web=GOOD))
    assert (done.returncode, done.stdout) == (0, "")
    assert "3 resources: 0 errors, 0 warnings, 0 infos" in done.stderr


def test_place_text_and_status(folder):
    path = folder(web=GOOD, peer=PORT_KEY, rule=BAD_RULE)
    done = analyze("-f", path)
    assert done.returncode == 1
    assert [m.groups()[:3] for m in LINE.finditer(done.stdout)] == [
        ("Error", "HRK0040", f"PeerAuthentication shop/web {path}/peer.yaml:10"),
        ("Error", "HRK0060", f"DestinationRule shop/web {path}/rule.yaml:7")]
    for word in ("at:       spec.portLevelMtls.80", "why:", "then:", "affected:", "mend:", "          8080:\n            mode: DISABLE"):
        assert word in done.stdout, done.stdout


def test_what_is_mended_is_not_found_again(folder):
    """What the finding gives to write down is what takes it away."""
    path = folder(web=GOOD, peer=PORT_KEY)
    found = findings(analyze("-f", path, "-o", "json"))
    assert [f["code"] for f in found] == ["HRK0040"]
    folder(peer=PORT_KEY.replace(PORT_KEY[PORT_KEY.index("spec:"):], found[0]["yaml"] + "  selector:\n    matchLabels: {app: web}\n"))
    done = analyze("-f", path)
    assert (done.returncode, done.stdout) == (0, "")


def test_json(folder):
    path = folder(web=GOOD, rule=BAD_RULE)
    done = analyze("-f", path, "-o", "json")
    got = json.loads(done.stdout)
    assert (done.returncode, got["errors"], got["warnings"], got["infos"]) == (1, 1, 0, 0)
    want = {"code": "HRK0060", "istio_code": "IST0101", "level": "Error", "kind": "DestinationRule", "namespace": "shop", "name": "web",
            "file": f"{path}/rule.yaml", "line": 7, "path": "spec.host"}
    assert want.items() <= got["findings"][0].items()


@pytest.mark.parametrize("args, status, n", [
    ([], 1, 10), (["--failure-threshold", "Error"], 0, 10), (["--failure-threshold", "warning"], 1, 10), (["--output-threshold", "Warning"], 1, 7),
    (["--output-threshold", "Error"], 1, 0), (["-S", "HRK0011"], 0, 3), (["-S", "HRK0011=Service shop/*"], 0, 3),
    (["-S", "HRK0011=Service shop/mariadb"], 1, 9), (["-S", "IST0118=Service nginx.shop", "-S", "HRK0011"], 0, 2), (["-N", "shop"], 1, 10),
    (["-N", "other"], 0, 0), (["--failure-threshold", "Info", "-S", "*"], 0, 0),
], ids=lambda v: " ".join(v) if isinstance(v, list) else None)
def test_what_counts_and_what_is_shown(args, status, n):
    """The example: seven undeclared ports whose servers speak first, three whose clients do."""
    done = analyze("-f", str(shop.EXAMPLE), *args)
    assert (done.returncode, len(codes(done))) == (status, n), done.stdout + done.stderr


def test_annotation_suppresses(folder):
    text = BAD_RULE.replace("  namespace: shop\n", "  namespace: shop\n  annotations: {galley.istio.io/analyze-suppress: IST0101}\n")
    done = analyze("-f", folder(web=GOOD, rule=text))
    assert (done.returncode, done.stdout) == (0, "") and "1 suppressed" in done.stderr


def test_bad_input_does_not_end_it(folder):
    """Each problem at its place, and the rest is looked at."""
    path = folder(a=GOOD + "---\nkind: [\n", b=GOOD.replace("port: 80\n", "port: 80000\n").replace("name: web", "name: bad"), c=BAD_RULE,
                  d="apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: shop}\nspec: {}\n")
    done = analyze("-f", path)
    assert done.returncode == 1
    by_code = {}
    for m in LINE.finditer(done.stdout):
        by_code.setdefault(m[2], []).append(m[3])
    assert f"Service shop/bad {path}/b.yaml:16" in by_code["HRK0001"], by_code
    assert any(where.startswith(f"{path}/a.yaml:") for where in by_code["HRK0001"]), by_code
    assert by_code["HRK0060"] == [f"DestinationRule shop/web {path}/c.yaml:7"]
    assert by_code["HRK0002"] == [f"VirtualService shop/v {path}/d.yaml:1"]


def test_what_decodes_is_not_told_as_refused_twice(folder):
    """What is refused and also means something elsewhere: one finding, with the decoder's words."""
    text = PORT_KEY.replace("  selector:\n    matchLabels: {app: web}\n", "")
    done = analyze("-f", folder(web=GOOD, peer=text))
    assert codes(done) == ["HRK0041"] and done.returncode == 1


def test_standard_input():
    done = analyze("-f", "-", stdin=BAD_RULE)
    assert codes(done) == ["HRK0060"] and "(standard input):7" in done.stdout


@pytest.mark.parametrize("args, word", [
    (["-f", "/nonexistent"], "/nonexistent"), (["-f", "-", "-S", "HRK9999"], "HRK9999"), (["-f", "-", "-o", "xml"], "xml"),
    (["-f", "-", "--failure-threshold", "bad"], "bad"), (["-f", "-", "--output-threshold", "bad"], "bad"), (["-f", "-", "--suggest"], "running"),
    (["-n", "no-such-mesh"], "no-such-mesh"), (["--nonsense"], "nonsense"),
], ids=lambda v: " ".join(v) if isinstance(v, list) else None)
def test_what_cannot_be_done_exits_with_2(args, word):
    done = analyze(*args, stdin="")
    assert done.returncode == 2 and word in done.stderr and done.stdout == ""


def test_list():
    done = analyze("--list")
    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["HRK0010", "IST0118", "Info", "PortUndeclared"] in [r[:4] for r in rows]
    assert len({r[0] for r in rows}) == len(rows)


# --- a running mesh -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def street(new_mesh):
    """MariaDB on 3307 and a server that greets, both undeclared; two clients, one without a sidecar."""
    text = "---\n".join((shop.EXAMPLE / f"{name}.yaml").read_text() for name in ("namespace", "mariadb"))
    docs = [shop.client("shop"), shop.namespace("bare", False), shop.client("bare"), *shop.odd("shop", ports={9000: "echo", 9001: "greet"})]
    return new_mesh(text + "---\n" + shop.documents(*docs))


def found_at(mesh, *args):
    """{(code, namespace/name, path): finding}"""
    got = findings(mesh.hark("analyze", "-o", "json", *args, check=False))
    return {(f["code"], f"{f['namespace']}/{f['name']}", f["path"]): f for f in got}


def use_servers(mesh):
    """What is used teaches; waits until a sidecar says so."""
    assert mesh.call("shop/client", clients.mariadb, "mariadb") == "1300"
    assert mesh.call("shop/client", clients.greeted_exchange, "odd", 9001)["echo"] == "hello\r\n"
    assert mesh.call("shop/client", clients.spoken_exchange, "odd", 9000)["echo"] == "hello"

    def known():
        ports = {(p["service"], p["port"]): p["learned"] for p in mesh.admin_json("shop/client", "/learned")["ports"] if p["side"] == "outbound"}
        return (ports.get(("shop/mariadb", 3307)) == "server-first" and ports.get(("shop/odd", 9001)) == "server-first"
                and ports.get(("shop/odd", 9000)) == "client-first")

    wait_for(known, what="what the connections taught")


def test_guesses_become_facts(street):
    """Before anybody connects MariaDB is known by its command, and of the other server nothing is; afterwards both are facts.
    (The first test here that connects.)"""
    before = found_at(street)
    guessed = before["HRK0011", "shop/mariadb", "spec.ports[0]"]
    assert "probably" in guessed["text"] and "runs a MariaDB server" in guessed["why"]
    assert guessed["file"] is None and guessed["line"] is None
    assert ("HRK0010", "shop/odd", "spec.ports[1]") in before
    use_servers(street)
    after = found_at(street)
    fact = after["HRK0011", "shop/mariadb", "spec.ports[0]"]
    assert "probably" not in fact["text"] and "(mysql)" in fact["why"]
    assert fact["yaml"].endswith("- port: 3307\n    appProtocol: mysql\n")
    assert ("HRK0010", "shop/odd", "spec.ports[1]") not in after
    assert "spoke first on" in after["HRK0011", "shop/odd", "spec.ports[1]"]["why"]
    assert "the client speaks first" in after["HRK0010", "shop/odd", "spec.ports[0]"]["effect"]


def test_text_of_a_running_mesh_names_the_path(street):
    done = street.hark("analyze", check=False)
    assert done.returncode == 1
    assert "(Service shop/mariadb spec.ports[0])" in done.stdout
    done = street.hark("analyze", "-N", "bare", check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_suggest_is_what_to_apply(street):
    """What was learnt is printed as whole Services; applied, the ports are declared and nothing else has changed."""
    use_servers(street)
    before = street.get("services", "shop/mariadb")["spec"]
    done = street.hark("analyze", "--suggest")
    assert "# Service shop/mariadb port 3307: the server spoke first on" in done.stdout
    assert "kind: Service" in done.stdout and "clusterIP: 1" not in done.stdout
    street.apply(done.stdout)
    after = street.get("services", "shop/mariadb")["spec"]
    assert after["ports"][0].pop("appProtocol") == "mysql"
    assert after == before
    assert [p.get("appProtocol") for p in street.get("services", "shop/odd")["spec"]["ports"]] == ["tcp", "tcp", None]
    codes_now = {(code, name) for code, name, _ in found_at(street)}
    assert ("HRK0011", "shop/mariadb") not in codes_now and ("HRK0011", "shop/odd") not in codes_now
    again = street.hark("analyze", "--suggest")
    assert again.stdout == "" and "0 ports" in again.stderr
    assert street.call("shop/client", clients.mariadb, "mariadb") == "1300"


def test_policies_of_a_running_mesh(street):
    """Resources that the API holds, of which some have no effect or too much."""
    docs = [
        {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": shop.meta("lost", "shop"), "spec": {"host": "nowhere"}},
        {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": shop.meta("strict", "shop"), "spec": {"mtls": {"mode": "STRICT"}}},
        {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": shop.meta("web", "shop"),
         "spec": {"selector": {"matchLabels": {"app": "mariadb"}}, "rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]}},
    ]
    street.apply(shop.documents(shop.service("shop", "mariadb", "mariadb", [(3307, {"appProtocol": "mysql"})]), *docs))
    try:
        got = found_at(street)
        assert ("HRK0060", "shop/lost", "spec.host") in got
        rule = got["HRK0080", "shop/web", "spec.rules[0].to[0].operation.methods"]
        assert "everybody is denied" in rule["effect"] and "3307" in rule["text"]
        assert "Pod bare/client" in got["HRK0044", "shop/strict", "spec"]["affected"]
        # and so it is
        assert street.call("shop/client", clients.first_byte, "mariadb", 3307) == [None]
    finally:
        street.delete(shop.documents(*docs))
    assert not {"HRK0060", "HRK0080", "HRK0044"} & {code for code, _, _ in found_at(street)}
