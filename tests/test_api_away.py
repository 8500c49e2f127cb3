"""A sidecar whose configuration's source goes away keeps what it has, and follows again once it is back."""

import json
import pathlib
import socket
import subprocess
import threading

import pytest
import shop
from conftest import HARK, wait_for


class Relay:
    """A Unix socket between a sidecar and the mesh's API, which can be cut and mended."""

    def __init__(self, path, api):
        self.path, self.api = path, api
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
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(1 << 16):
                b.sendall(data)
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


@pytest.fixture
def sidecar(new_mesh, tmp_path):
    """A sidecar in a network namespace of its own, with the API behind a Relay. Its Pod speaks no mesh TLS: no authority
    is in reach there."""
    mesh = new_mesh(shop.documents(shop.namespace("in", True), shop.client("in", labels={"security.istio.io/tlsMode": "disabled"}),
                                   shop.service("in", "old", "client", [80])))
    path = str(tmp_path / "api.sock")
    relay = Relay(path, api_socket(mesh))
    process = subprocess.Popen(
        ["unshare", "-n", "sh", "-c", "ip link set lo up; exec \"$@\"", "sh", HARK, "proxy", "--api", f"unix:{path}",
         "--pod", "client", "--namespace", "in"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def get(url):
        got = subprocess.run(["nsenter", "-t", str(process.pid), "-n", "curl", "-s", "-m", "5", f"http://127.0.0.1:{url}"],
                             capture_output=True, text=True, check=False)
        return got.stdout

    yield mesh, relay, get
    process.terminate()
    process.wait()
    relay.cut()


def test_keeps_the_last_configuration_and_follows_again(sidecar):
    mesh, relay, get = sidecar

    def services():
        return {s["name"] for s in json.loads(get("15000/config") or '{"services": []}').get("services", [])}

    def connected():
        return "\nhark_api_connected 1\n" in get("15020/metrics")

    wait_for(lambda: get("15000/ready").strip() == "ready" and connected() and "old" in services(), what="a sidecar that is ready")
    relay.cut()
    wait_for(lambda: not connected(), what="the loss in the metrics")
    mesh.apply(shop.documents(shop.service("in", "new", "client", [80])))
    assert get("15000/ready").strip() == "ready"
    assert "old" in services() and "new" not in services()
    plan = json.loads(get("15000/explain?dst=old.in:80"))
    assert plan["plan"]["service"] == "old.in.svc.cluster.local"
    relay.mend()
    wait_for(lambda: connected() and "new" in services(), what="the news after the reconnect")
