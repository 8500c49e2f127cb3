"""A sidecar whose configuration's source goes away keeps what it has, and follows again once it is back. What the source does not have
does not keep it from starting."""

import json
import pathlib
import socket
import subprocess
import threading

import pytest
import shop
from conftest import HARK, wait_for


NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 19\r\n\r\n404 page not found\n"


class Relay:
    """A Unix socket between a sidecar and the mesh's API, which can be cut and mended. What is asked below the paths of LACKS is not there."""

    def __init__(self, path, api, lacks=()):
        self.path, self.api, self.lacks = path, api, lacks
        self.asked = set()  # paths that went through
        self.socks = []
        self.mend()

    def mend(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self.serve, args=(self.listener,), daemon=True).start()

    def cut(self):
        pathlib.Path(self.path).unlink(missing_ok=True)
        for sock in [self.listener, *self.socks]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
        self.socks = []

    def serve(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.api)
            self.socks += [near, far]
            threading.Thread(target=self.pump, args=(near, far, self.answer), daemon=True).start()
            threading.Thread(target=self.pump, args=(far, near, lambda data: None), daemon=True).start()

    def answer(self, request):
        """What is said to a request in the API's place. A sidecar has one at a time on a connection."""
        path = request.split(b" ", 2)[1].split(b"?")[0].decode()
        if path.startswith(tuple(self.lacks)):
            return NOT_FOUND
        self.asked.add(path)
        return None

    @staticmethod
    def pump(a, b, answer):
        try:
            while data := a.recv(1 << 16):
                said = answer(data)
                (a if said else b).sendall(said or data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def api_socket(mesh):
    for pid in mesh.processes():
        try:
            lines = pathlib.Path(f"/proc/{pid}/net/unix").read_text().splitlines()
        except OSError:
            continue
        for path in {line.split()[-1] for line in lines if line.endswith("/api.sock")}:
            seen = pathlib.Path(f"/proc/{pid}/root{path}")
            if seen.exists():
                return str(seen)
    raise AssertionError("no API socket found")


class Sidecar:
    """In a network namespace of its own, with the API behind a Relay. Its Pod speaks no mesh TLS: no authority is in reach there."""

    def __init__(self, relay):
        self.relay = relay
        self.process = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up; exec \"$@\"", "sh", HARK, "proxy", "--api", f"unix:{relay.path}",
             "--pod", "client", "--namespace", "in"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def get(self, url):
        got = subprocess.run(["nsenter", "-t", str(self.process.pid), "-n", "curl", "-s", "-m", "5", f"http://127.0.0.1:{url}"],
                             capture_output=True, text=True, check=False)
        return got.stdout

    def config(self, key, name):
        return {one[name] for one in json.loads(self.get("15000/config") or "{}").get(key, [])}

    def services(self):
        return self.config("services", "name")

    def entries(self):
        return self.config("service_entries", "host")

    def ready(self):
        return self.get("15000/ready").strip() == "ready"

    def connected(self):
        return "\nhark_api_connected 1\n" in self.get("15020/metrics")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.relay.cut()


ENTRY = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": shop.meta("db", "in"),
         "spec": {"hosts": ["db.example.com"], "ports": [{"number": 3306, "name": "db"}], "resolution": "DNS"}}


@pytest.fixture
def start(new_mesh, tmp_path):
    """start(LACKS) -> mesh, sidecar"""
    running = []

    def begin(lacks=()):
        mesh = new_mesh(shop.documents(shop.namespace("in", True), shop.client("in", labels={"security.istio.io/tlsMode": "disabled"}),
                                       shop.service("in", "old", "client", [80]), ENTRY))
        running.append(Sidecar(Relay(str(tmp_path / "api.sock"), api_socket(mesh), lacks)))
        return mesh, running[-1]

    yield begin
    for one in running:
        one.stop()


def test_keeps_the_last_configuration_and_follows_again(start):
    mesh, sidecar = start()
    wait_for(lambda: sidecar.ready() and sidecar.connected() and "old" in sidecar.services(), what="a sidecar that is ready")
    sidecar.relay.cut()
    wait_for(lambda: not sidecar.connected(), what="the loss in the metrics")
    mesh.apply(shop.documents(shop.service("in", "new", "client", [80])))
    assert sidecar.ready()
    assert "old" in sidecar.services() and "new" not in sidecar.services()
    plan = json.loads(sidecar.get("15000/explain?dst=old.in:80"))
    assert plan["plan"]["service"] == "old.in.svc.cluster.local"
    sidecar.relay.mend()
    wait_for(lambda: sidecar.connected() and "new" in sidecar.services(), what="the news after the reconnect")


def test_kinds_that_the_api_does_not_have(start):
    """A cluster without Istio's resources; then somebody installs them, in a version that is not the newest."""
    _, sidecar = start(lacks=["/apis/networking.istio.io/", "/apis/security.istio.io/"])
    wait_for(lambda: sidecar.ready() and sidecar.connected() and "old" in sidecar.services(), what="a sidecar that is ready")
    assert not sidecar.entries()
    assert not any("istio.io" in path for path in sidecar.relay.asked)
    sidecar.relay.lacks = ["/apis/networking.istio.io/v1/"]
    wait_for(lambda: "db.example.com" in sidecar.entries(), what="the entry")
    assert "/apis/networking.istio.io/v1beta1/serviceentries" in sidecar.relay.asked
    assert sidecar.connected()
