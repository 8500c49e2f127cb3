"""What `hark up` makes of Kubernetes YAML: Pods, their files and environment, restarts, Services, names, Deployments."""

import json
import re
import signal
import subprocess
import time
import uuid

import pytest
import shop
from conftest import HARK, Mesh, hark, wait_for

HTTP = "import http.server,socket,sys\nclass S(http.server.ThreadingHTTPServer):\n address_family=socket.AF_INET6\n" \
       "class H(http.server.BaseHTTPRequestHandler):\n def do_GET(self):\n  body=(socket.gethostname()+' '+self.client_address[0]).encode()\n" \
       "  self.send_response(200);self.send_header('Content-Length',str(len(body)));self.end_headers();self.wfile.write(body)\n" \
       " def log_message(self,*a):pass\nS(('::',int(sys.argv[1])),H).serve_forever()\n"
UDP = "import socket\ns=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM)\ns.bind(('::',int(__import__('sys').argv[1])))\n" \
      "while True:\n d,a=s.recvfrom(2000);s.sendto(socket.gethostname().encode(),a)\n"


def container(command, name="app", **more):
    return {"name": name, "command": command, **more}


def pod(name, *containers, ns="plain", labels=None, **spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": shop.meta(name, ns, labels={"app": name, **(labels or {})}),
            "spec": {"containers": list(containers), "terminationGracePeriodSeconds": 2, **spec}}


def web(name, port=8080, ns="plain", labels=None, **spec):
    return pod(name, container(["python3", "-c", HTTP, str(port)], ports=[{"name": "http", "containerPort": port}],
                               readinessProbe={"tcpSocket": {"port": port}, "periodSeconds": 1}), ns=ns, labels=labels, **spec)


def deployment(name, replicas, *containers, ns="plain", **spec):
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": shop.meta(name, ns),
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                     "template": {"metadata": {"labels": {"app": name}},
                                  "spec": {"containers": list(containers), "terminationGracePeriodSeconds": 2, **spec}}}}


def service(name, app, ports, ns="plain", **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": shop.meta(name, ns), "spec": {"selector": {"app": app}, "ports": ports, **spec}}


@pytest.fixture(scope="module")
def village(new_mesh):
    """Pods without sidecars, and Services of every kind."""
    return new_mesh(shop.documents(
        shop.namespace("plain", False),
        shop.client("plain"),
        web("one", labels={"group": "web"}), web("two", labels={"group": "web"}),
        service("web", None, [{"name": "http", "port": 80, "targetPort": "http"}]) | {
            "spec": {"selector": {"group": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}},
        service("web6", None, []) | {"spec": {"selector": {"group": "web"}, "ipFamilies": ["IPv6"], "ports": [{"port": 80, "targetPort": "http"}]}},
        service("self", "one", [{"port": 80, "targetPort": 8080}]),
        service("nobody", "nobody", [{"name": "p", "port": 80}]),
        pod("echo", container(["python3", "-c", UDP, "5000"])),
        service("echo", "echo", [{"name": "u", "port": 50, "protocol": "UDP", "targetPort": 5000}]),
        web("st-0", hostname="st-0", subdomain="heads", labels={"set": "st"}),
        web("st-1", hostname="st-1", subdomain="heads", labels={"set": "st"}),
        service("heads", None, []) | {"spec": {"clusterIP": "None", "selector": {"set": "st"}, "ports": [{"name": "http", "port": 8080}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": shop.meta("alias", "plain"),
         "spec": {"type": "ExternalName", "externalName": "web.plain.svc.cluster.local"}},
        service("fixed", "one", [{"port": 80, "targetPort": 8080}], clusterIP="198.19.7.7"),
    ))


CLIENT = "plain/client"


def sh(mesh, text, pod_name=CLIENT, **kwargs):
    return mesh.exec(pod_name, "sh", "-c", text, **kwargs).stdout.strip()


def ips(mesh, name, ns="plain"):
    return [i["ip"] for i in mesh.get("pod", f"{ns}/{name}")["status"]["podIPs"]]


def dig(mesh, *args):
    return sorted(sh(mesh, "dig +short +tries=1 +time=2 " + " ".join(args)).split("\n"))


# --- virtual IPs, for Pods without a sidecar ---------------------------------------------------------------------------


def test_virtual_ip_spreads_over_both_pods(village):
    got = {sh(village, "curl -4 -sS http://web/").split()[0] for _ in range(30)}
    assert got == {"one", "two"}


def test_virtual_ip_over_ipv6(village):
    assert sh(village, "curl -6 -sS http://web/").split()[0] in ("one", "two")
    assert sh(village, "curl -sS http://web6/").split()[0] in ("one", "two")
    assert dig(village, "web6.plain.svc.cluster.local", "A") == [""]


def test_the_server_sees_the_clients_address(village):
    assert sh(village, "curl -4 -sS http://web/").split()[1] == "::ffff:" + ips(village, "client")[0]


def test_a_pod_reaches_itself_by_its_service(village):
    for family in ("-4", "-6"):
        assert sh(village, f"curl {family} -sS --max-time 5 http://self/", "plain/one").split()[0] == "one"


def test_udp_service(village):
    ask = "import socket,sys\nfor f in (socket.AF_INET,socket.AF_INET6):\n a=socket.getaddrinfo('echo.plain.svc.cluster.local',50,f,socket.SOCK_DGRAM)[0]\n" \
          " s=socket.socket(f,socket.SOCK_DGRAM);s.settimeout(5);s.connect(a[4]);s.send(b'x');print(s.recv(99).decode())"
    assert village.exec(CLIENT, "python3", "-c", ask).stdout.split() == ["echo", "echo"]


@pytest.mark.parametrize("url", ["http://nobody/", "http://web:81/", "http://198.19.200.200/"])
@pytest.mark.parametrize("family", ["-4", "-6"])
def test_nobody_there_is_refused_at_once(village, url, family):
    if family == "-6":
        url = url.replace("198.19.200.200", "[fd68:6172:6b:1::ffff]")
    start = time.monotonic()
    got = village.exec(CLIENT, "curl", family, "-sS", "--max-time", "10", url, check=False)
    assert got.returncode == 7, got  # curl: failed to connect
    assert time.monotonic() - start < 3


def test_asked_for_cluster_ip(village):
    assert village.get("service", "plain/fixed")["spec"]["clusterIP"] == "198.19.7.7"
    assert sh(village, "curl -sS http://198.19.7.7/").split()[0] == "one"


def test_endpoints_follow_readiness(village):
    """A server that stops listening leaves the Service, and comes back."""
    name = "moody"
    serve = "while [ ! -e /tmp/off ]; do sleep 0.05; done & python3 -c \"$0\" 8080 & p=$!; " \
            "while true; do if [ -e /tmp/off ]; then kill $p; while [ -e /tmp/off ]; do sleep 0.05; done; python3 -c \"$0\" 8080 & p=$!; fi; sleep 0.05; done"
    village.apply(shop.documents(
        pod(name, container(["sh", "-c", serve, HTTP], readinessProbe={"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1})),
        service(name, name, [{"port": 80, "targetPort": 8080}])))

    def ready():
        slices = village.get("endpointslices")["items"]
        return [e["conditions"]["ready"] for s in slices if s["metadata"]["name"] == f"{name}-ipv4" for e in s["endpoints"]]

    wait_for(lambda: ready() == [True], what="readiness")
    assert sh(village, f"curl -4 -sS http://{name}/").split()[0] == name
    village.exec(f"plain/{name}", "touch", "/tmp/off")
    wait_for(lambda: ready() == [False], what="unreadiness")
    assert village.exec(CLIENT, "curl", "-4", "-sS", f"http://{name}/", check=False).returncode == 7
    village.exec(f"plain/{name}", "rm", "/tmp/off")
    wait_for(lambda: ready() == [True], what="readiness again")


# --- names --------------------------------------------------------------------------------------------------------------


def test_short_names_and_long_ones(village):
    vip = village.get("service", "plain/web")["spec"]["clusterIP"]
    for name in ("web", "web.plain", "web.plain.svc", "web.plain.svc.cluster.local"):
        assert sh(village, f"getent ahostsv4 {name}").split()[0] == vip


def test_headless_service(village):
    want = sorted(ips(village, "st-0")[:1] + ips(village, "st-1")[:1])
    assert dig(village, "heads.plain.svc.cluster.local", "A") == want
    assert dig(village, "st-1.heads.plain.svc.cluster.local", "A") == ips(village, "st-1")[:1]
    assert dig(village, "st-1.heads.plain.svc.cluster.local", "AAAA") == ips(village, "st-1")[1:]
    assert dig(village, "SRV", "_http._tcp.heads.plain.svc.cluster.local") == [
        "0 100 8080 st-0.heads.plain.svc.cluster.local.", "0 100 8080 st-1.heads.plain.svc.cluster.local."]
    assert sh(village, "curl -sS http://st-1.heads:8080/").split()[0] == "st-1"


def test_external_name(village):
    vip = village.get("service", "plain/web")["spec"]["clusterIP"]
    assert dig(village, "alias.plain.svc.cluster.local", "A") == sorted(["web.plain.svc.cluster.local.", vip])
    assert sh(village, "curl -4 -sS http://alias/").split()[0] in ("one", "two")


def test_backwards(village):
    dashed = ips(village, "one")[0].replace(".", "-")
    assert dig(village, "-x", ips(village, "one")[0]) == [f"{dashed}.plain.pod.cluster.local."]
    assert dig(village, "-x", ips(village, "st-0")[0]) == ["st-0.heads.plain.svc.cluster.local."]
    assert dig(village, "-x", "198.19.7.7") == ["fixed.plain.svc.cluster.local."]


ABSENT = [
    ("nope.plain.svc.cluster.local", "A", "NXDOMAIN"), ("web.plain.svc.cluster.local", "TXT", "NOERROR"),
    ("www.example.com", "A", "NXDOMAIN"), ("8.8.8.8.in-addr.arpa", "PTR", "NXDOMAIN"), ("cluster.local", "AXFR", "REFUSED")]


@pytest.mark.parametrize("name, kind, status, transport", [
    (*row, transport) for row in ABSENT for transport in ("+notcp", "+tcp")
    if (row[1], transport) != ("AXFR", "+notcp")])  # dig asks for zones over TCP only
def test_what_is_not_there(village, name, kind, status, transport):
    out = sh(village, f"dig {transport} +tries=1 +time=2 {name} {kind}")
    assert (f"status: {status}" in out) or (kind == "AXFR" and "Transfer failed" in out), out


# --- files, environment, users ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workshop(new_mesh, tmp_path_factory):
    host = tmp_path_factory.mktemp("host")
    (host / "from-host").write_text("hello")
    show = "while true; do sleep 1; done"
    c = container(["sh", "-c", show], env=[
        {"name": "PLAIN", "value": "a b"}, {"name": "BUILT", "value": "$(PLAIN)!$(NOT)$$(PLAIN)"},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
        {"name": "NOWHERE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "none", "optional": True}}}],
        workingDir="/usr/share", volumeMounts=[
            {"name": "scratch", "mountPath": "/scratch"}, {"name": "settings", "mountPath": "/settings", "readOnly": True},
            {"name": "picked", "mountPath": "/picked"}, {"name": "host", "mountPath": "/from", "readOnly": True}])
    second = container(["sh", "-c", show], name="second", securityContext={"runAsUser": 1234, "runAsGroup": 1235},
                       volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}])
    mesh = new_mesh(shop.documents(
        shop.config_map("plain", "settings", {"colour": "red", "size": "xl"}),
        pod("maker", c, second, volumes=[
            {"name": "scratch", "emptyDir": {}}, {"name": "settings", "configMap": {"name": "settings"}},
            {"name": "picked", "configMap": {"name": "settings", "items": [{"key": "size", "path": "deep/size.txt"}]}},
            {"name": "host", "hostPath": {"path": str(host)}}])))
    mesh.host = host
    return mesh


MAKER = "plain/maker"


def test_environment(workshop):
    env = dict(line.split("=", 1) for line in sh(workshop, "env", MAKER).splitlines() if "=" in line)
    assert env["PLAIN"] == "a b" and env["BUILT"] == "a b!$(NOT)$(PLAIN)"
    assert (env["NAME"], env["LABEL"], env["COLOUR"]) == ("maker", "maker", "red")
    assert "NOWHERE" not in env
    assert env["IP"] == ips(workshop, "maker")[0]
    assert env["HOSTNAME"] == "maker" == sh(workshop, "hostname", MAKER)


def test_working_folder_and_user(workshop):
    assert sh(workshop, "pwd", MAKER) == "/usr/share"
    assert workshop.exec(MAKER, "id", "-u", container="second").stdout.strip() == "1234"
    assert workshop.exec(MAKER, "id", "-g", container="second").stdout.strip() == "1235"


def test_empty_dir_is_shared_in_the_pod(workshop):
    sh(workshop, "echo from app > /scratch/x", MAKER)
    assert workshop.exec(MAKER, "cat", "/scratch/x", container="second").stdout == "from app\n"


def test_files_are_not_shared_otherwise(workshop):
    sh(workshop, "echo mine > /usr/share/hark-test-file", MAKER)
    assert workshop.exec(MAKER, "ls", "/usr/share/hark-test-file", container="second", check=False).returncode != 0
    assert subprocess.run(["ls", "/usr/share/hark-test-file"], capture_output=True, check=False).returncode != 0


def test_config_map_volume_follows_the_config_map(workshop):
    assert sh(workshop, "cat /settings/colour /picked/deep/size.txt", MAKER) == "redxl"
    assert workshop.exec(MAKER, "sh", "-c", "echo x > /settings/colour", check=False).returncode != 0
    workshop.apply(shop.documents(shop.config_map("plain", "settings", {"colour": "blue", "size": "xl"})))
    wait_for(lambda: sh(workshop, "cat /settings/colour", MAKER) == "blue", what="the new contents")


def test_host_path(workshop):
    assert sh(workshop, "cat /from/from-host", MAKER) == "hello"
    assert workshop.exec(MAKER, "touch", "/from/new", check=False).returncode != 0


def test_resolver_and_hosts(workshop):
    conf = sh(workshop, "cat /etc/resolv.conf", MAKER)
    assert "nameserver 198.19.0.10" in conf and "search plain.svc.cluster.local svc.cluster.local cluster.local" in conf and "ndots:5" in conf
    assert re.search(rf"^{re.escape(ips(workshop, 'maker')[0])}\s+maker$", sh(workshop, "cat /etc/hosts", MAKER), re.M)


# --- lives --------------------------------------------------------------------------------------------------------------


def status_of(mesh, name, which="containerStatuses", i=0):
    return mesh.get("pod", f"plain/{name}")["status"][which][i]


def test_exec_passes_everything_through(workshop):
    got = workshop.exec(MAKER, "sh", "-c", "cat; echo err >&2; exit 7", stdin="in", check=False)
    assert (got.returncode, got.stdout, got.stderr) == (7, "in", "err\n")
    assert workshop.exec(MAKER, "true", container="nope", check=False).returncode == 1
    assert workshop.exec("plain/nope", "true", check=False).returncode == 1
    assert workshop.exec(MAKER, "/no/such", check=False).returncode != 0


def test_a_container_that_ends_is_started_again(workshop):
    workshop.apply(shop.documents(pod("loop", container(["sh", "-c", "echo started; exit 5"]))))
    wait_for(lambda: status_of(workshop, "loop")["restartCount"] >= 2, what="the second restart")
    assert workshop.logs("plain/loop").count("started") >= 3
    wait_for(lambda: "status 5" in workshop.get("pod", "plain/loop")["status"].get("message", ""), what="the reason")
    workshop.delete(shop.documents(pod("loop", container(["true"]))))


def test_restart_policies(workshop):
    workshop.apply(shop.documents(
        pod("well", container(["true"]), restartPolicy="OnFailure"), pod("ill", container(["false"]), restartPolicy="Never"),
        pod("twice", container(["sh", "-c", "[ -e /s/x ] || { touch /s/x; exit 1; }"], volumeMounts=[{"name": "s", "mountPath": "/s"}]),
            restartPolicy="OnFailure", volumes=[{"name": "s", "emptyDir": {}}])))
    phase = lambda name: workshop.get("pod", f"plain/{name}")["status"]["phase"]  # noqa: E731
    wait_for(lambda: [phase(n) for n in ("well", "ill", "twice")] == ["Succeeded", "Failed", "Succeeded"], what="the ends")
    assert status_of(workshop, "well")["restartCount"] == 0 and status_of(workshop, "twice")["restartCount"] == 1
    for name in ("well", "ill", "twice"):
        workshop.hark("delete", "pod", f"plain/{name}")


def test_init_containers_run_one_after_the_other(workshop):
    mount = [{"name": "s", "mountPath": "/s"}]
    workshop.apply(shop.documents(pod(
        "staged", container(["sh", "-c", "echo app >> /s/log; cat /s/log; sleep infinity"], volumeMounts=mount),
        initContainers=[container(["sh", "-c", "sleep 0.2; echo first >> /s/log"], name="first", volumeMounts=mount),
                        container(["sh", "-c", "echo second >> /s/log"], name="second", volumeMounts=mount)],
        volumes=[{"name": "s", "emptyDir": {}}])))
    wait_for(lambda: workshop.logs("plain/staged") == "first\nsecond\napp\n", what="the order")
    assert workshop.logs("plain/staged", container="first") == ""


def test_a_changed_pod_is_made_again(workshop):
    workshop.apply(shop.documents(pod("changing", container(["sh", "-c", "echo one; sleep infinity"]))))
    wait_for(lambda: "one" in workshop.logs("plain/changing"), what="the first")
    workshop.apply(shop.documents(pod("changing", container(["sh", "-c", "echo two; sleep infinity"]))))
    wait_for(lambda: "two" in workshop.logs("plain/changing"), what="the second")
    out = workshop.hark("apply", "-f", workshop.file(shop.documents(pod("changing", container(["sh", "-c", "echo two; sleep infinity"])))))
    assert "unchanged" in out.stdout


def test_termination_is_asked_for_then_enforced(workshop):
    polite = pod("polite", container(["sh", "-c", "trap 'echo bye > /from/../scratch/x; exit 0' TERM; while true; do sleep 0.05; done"]))
    stubborn = pod("stubborn", container(["sh", "-c", "trap '' TERM; while true; do sleep 0.05; done"]))
    workshop.hark("apply", "--wait", "-f", workshop.file(shop.documents(polite, stubborn)))
    names = lambda: {p["metadata"]["name"] for p in workshop.get("pods")["items"]}  # noqa: E731
    start = time.monotonic()
    workshop.delete(shop.documents(polite, stubborn))
    wait_for(lambda: "polite" not in names(), timeout=5, what="the end of the polite one")
    if time.monotonic() - start < 1.5:
        assert "stubborn" in names()
    wait_for(lambda: "stubborn" not in names(), timeout=10, what="the end of the stubborn one")
    assert time.monotonic() - start >= 1.9  # its grace time


def follow_logs(mesh, pod_name, **kwargs):
    """`hark logs -f`, after what it prints first."""
    following = subprocess.Popen([HARK, "logs", "-n", mesh.name, "-f", pod_name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)
    assert following.stdout.readline() == "one\n"
    return following


def test_logs_are_followed_over_a_restart_until_the_pod_is_gone(workshop):
    workshop.hark("apply", "--wait", "-f", workshop.file(shop.documents(
        pod("teller", container(["sh", "-c", "echo one; until [ -e /tmp/on ]; do sleep 0.05; done; echo on"])))))
    following = follow_logs(workshop, "plain/teller")
    workshop.exec("plain/teller", "touch", "/tmp/on")
    assert [following.stdout.readline() for _ in range(2)] == ["on\n", "one\n"]
    workshop.hark("delete", "pod", "plain/teller")
    assert following.communicate(timeout=20) == ("", "") and following.returncode == 0


def test_logs_are_followed_until_nobody_reads(workshop):
    workshop.hark("apply", "--wait", "-f", workshop.file(shop.documents(pod("quiet", container(["sh", "-c", "echo one; sleep infinity"])))))
    following = follow_logs(workshop, "plain/quiet")
    following.stdout.close()
    assert following.wait(timeout=20) == 0


def test_logs_are_followed_until_the_mesh_is_down(tmp_path):
    mesh = Mesh(tmp_path, shop.documents(pod("quiet", container(["sh", "-c", "echo one; sleep infinity"]))))
    try:
        following = follow_logs(mesh, "plain/quiet")
    finally:
        mesh.down()
    assert following.communicate(timeout=20) == ("", "") and following.returncode == 0


# --- Deployments --------------------------------------------------------------------------------------------------------


def test_deployment_rolls_without_a_gap(village):
    """While the template changes, every request is answered: by servers that go on after SIGTERM until nobody comes any more."""
    doc = lambda word: deployment("roll", 2, container(  # noqa: E731
        ["sh", "-c", "trap '' TERM; exec python3 -c \"$0\" 8080", HTTP], env=[{"name": "WORD", "value": word}],
        readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}))
    village.hark("apply", "--wait", "-f", village.file(shop.documents(doc("a"), service("roll", "roll", [{"port": 80, "targetPort": 8080}]))))
    before = set(village.pods("plain", "roll"))
    assert len(before) == 2 and all(re.fullmatch(r"plain/roll-[a-z0-9]{5}", p) for p in before)
    loop = "until [ -e /tmp/rolled ]; do curl -4 -sS --max-time 5 -o /dev/null http://roll/ || exit 1; done; echo all"
    asking = subprocess.Popen([HARK, "exec", "-n", village.name, CLIENT, "--", "sh", "-c", loop], stdout=subprocess.PIPE, text=True)
    village.hark("apply", "--wait", "-f", village.file(shop.documents(doc("b"))))
    village.exec(CLIENT, "touch", "/tmp/rolled")
    assert asking.communicate(timeout=60)[0].strip() == "all"
    after = set(village.pods("plain", "roll"))
    assert len(after) == 2 and not after & before
    assert village.exec("deploy/roll", "sh", "-c", "echo $WORD").stdout == "b\n"


def test_deployment_scales_and_goes(village):
    doc = lambda n: deployment("scale", n, container(["sleep", "infinity"]))  # noqa: E731
    for n in (1, 3, 0, 2):
        village.hark("apply", "--wait", "-f", village.file(shop.documents(doc(n))))
        wait_for(lambda: len(village.pods("plain", "scale")) == n, what=f"{n} Pods")
    village.hark("delete", "deploy", "plain/scale")
    wait_for(lambda: not village.pods("plain", "scale"), what="no Pods")


# --- the command line ---------------------------------------------------------------------------------------------------


def test_get_shows_and_yaml_can_be_applied_again(village, tmp_path):
    for kind in ("pods", "svc", "endpointslices", "deploy", "cm", "ns"):
        assert village.hark("get", kind).stdout
    text = village.hark("get", "svc", "plain/web", "-o", "yaml").stdout
    assert "clusterIP: 198.19." in text
    assert "unchanged" in village.apply(text).stdout or True
    assert village.hark("get", "pod", "plain/no-such-pod", check=False).returncode == 1
    assert village.hark("get", "no-such-kind", check=False).returncode == 2


def watch(mesh, *args):
    return subprocess.Popen([HARK, "get", "cm", "-n", mesh.name, "-w", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("output", [[], ["-o", "yaml"], ["-o", "json"]], ids=["table", "yaml", "json"])
def test_watch_tells_changes_until_nobody_reads(village, output):
    """Each change as a person or a program reads it."""
    watching = watch(village, *output)
    name = f"w{uuid.uuid4().hex[:8]}"
    village.apply(shop.documents(shop.config_map("plain", name, {"key": "value"})))
    seen = next(line for line in watching.stdout if name in line)
    if not output:
        assert seen.split()[:4] == ["ADDED", "plain", name, "key"]
        village.hark("delete", "cm", f"plain/{name}")
        assert next(line for line in watching.stdout if name in line).split()[0] == "DELETED"
    elif output[1] == "yaml":
        assert seen == f"  name: {name}\n"
    else:
        assert json.loads(seen)["object"]["data"] == {"key": "value"}
    watching.stdout.close()
    assert watching.wait(timeout=20) == 0


def test_watch_ends_with_the_mesh(tmp_path):
    mesh = Mesh(tmp_path, shop.documents(shop.namespace("plain", False), shop.config_map("plain", "one", {"a": "b"})))
    try:
        watching = watch(mesh)
        assert "one" in next(line for line in watching.stdout if line.startswith("ADDED"))
    finally:
        mesh.down()
    assert mesh.name in watching.communicate(timeout=20)[1] and watching.returncode == 1


@pytest.mark.parametrize("verb", ["ps", "down", "status"])
def test_a_word_too_many_is_refused(village, verb):
    """`hark down shop` is not `hark down -n shop`, and must not be `hark down`."""
    got = village.hark(verb, "shop", check=False)
    assert got.returncode == 2 and '"shop"' in got.stderr
    assert village.exec(CLIENT, "true").returncode == 0


def test_delete_of_what_is_not_there_deletes_nothing(village):
    here = shop.config_map("plain", "here", {"a": "b"})
    village.apply(shop.documents(here))
    got = village.hark("delete", "-f", village.file(shop.documents(here, shop.config_map("plain", "absent", {}))), check=False)
    assert got.returncode == 1 and "absent" in got.stderr
    assert village.get("cm", "plain/here")["data"] == {"a": "b"}
    village.hark("delete", "--ignore-not-found", "-f", village.file(shop.documents(here, shop.config_map("plain", "absent", {}))))
    assert village.hark("get", "cm", "plain/here", check=False).returncode == 1


def test_a_taken_cluster_ip_is_refused(village):
    got = village.hark("apply", "-f", village.file(shop.documents(service("thief", "x", [{"port": 1}], clusterIP="198.19.7.7"))), check=False)
    assert got.returncode == 1 and "clusterIP" in got.stderr
    got = village.hark("apply", "-f", village.file(shop.documents(service("far", "x", [{"port": 1}], clusterIP="10.1.2.3"))), check=False)
    assert got.returncode == 1 and "10.1.2.3" in got.stderr


def test_concurrency_is_the_number_of_a_sidecars_workers(new_mesh):
    mesh = new_mesh(shop.documents(shop.mesh_config(hark={"concurrency": 3}), shop.namespace("in", True), shop.client("in")))
    threads = mesh.exec("in/client", "sh", "-c", "ls /proc/2/task | wc -l", container="istio-proxy").stdout
    assert int(threads) == 1 + 3 + 1  # the main thread, the workers, the DNS proxy's


def test_foreground_mesh_ends_with_its_command(tmp_path):
    name = f"f{uuid.uuid4().hex[:8]}"
    file = tmp_path / "p.yaml"
    file.write_text(shop.documents(shop.client("plain")))
    up = subprocess.Popen([HARK, "up", "-n", name, "-f", str(file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert f"mesh {name} is up" in up.stdout.readline()
    up.send_signal(signal.SIGINT)
    assert up.wait(timeout=30) == 0
    assert hark("ps", "-n", name, check=False).returncode == 1


def test_two_at_once_by_one_name(tmp_path):
    """One of them wins, the other says so."""
    name = f"r{uuid.uuid4().hex[:8]}"
    file = tmp_path / "p.yaml"
    file.write_text(shop.documents(shop.client("plain")))
    ups = [subprocess.Popen([HARK, "up", "--detach", "-n", name, "-f", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
           for _ in range(4)]
    try:
        errors = [up.communicate(timeout=60)[1] for up in ups]
        assert sorted(up.returncode for up in ups) == [0, 1, 1, 1], errors
        assert hark("exec", "-n", name, CLIENT, "--", "true").returncode == 0
    finally:
        hark("down", "-n", name, check=False)


def test_ranges_are_configurable(tmp_path):
    name = f"c{uuid.uuid4().hex[:8]}"
    file = tmp_path / "p.yaml"
    file.write_text(shop.documents(shop.client("plain"), web("one"), service("one", "one", [{"port": 80, "targetPort": 8080}])))
    try:
        hark("up", "--detach", "-n", name, "-f", str(file), "--pods", "10.77.0.0/16", "--services", "10.78.0.0/16",
             "--pods6", "fd77::/64", "--services6", "fd78::/64")
        got = json.loads(hark("get", "-n", name, "svc", "plain/one", "-o", "json").stdout)["spec"]["clusterIPs"]
        assert got[0].startswith("10.78.") and got[1].startswith("fd78:")
        for family in ("-4", "-6"):
            assert hark("exec", "-n", name, CLIENT, "--", "curl", family, "-sS", "http://one/").stdout.split()[0] == "one"
    finally:
        hark("down", "-n", name, check=False)
    got = hark("up", "--detach", "-n", name, "-f", str(file), "--pods", "10.77.0.0/30", check=False)
    assert got.returncode == 1 and "--pods" in got.stderr
