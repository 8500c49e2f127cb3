"""Fixtures of the end-to-end tests: meshes brought up by `hark up`, used as a user uses them, and always taken down."""

import inspect
import itertools
import json
import os
import pathlib
import signal
import subprocess
import time
import uuid

import pytest

import shop

ROOT = pathlib.Path(__file__).resolve().parent.parent
HARK = os.environ.get("HARK", str(ROOT / "build" / "hark"))
LIMIT = 120  # s; more than anything here takes: it ends a hang


def pytest_configure(config):
    """Ended from outside, as with Ctrl-C: the meshes are taken down."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def hark(*args, stdin=None, check=True, timeout=LIMIT):
    """Runs build/hark; the result's stdout and stderr are text."""
    done = subprocess.run([HARK, *args], input=stdin, capture_output=True, text=True, timeout=timeout,
                          **({} if stdin is not None else {"stdin": None}))
    if check and done.returncode:
        shown = " ".join(a if len(a) < 200 else "..." for a in args)
        raise AssertionError(f"hark {shown} exited with {done.returncode}:\n{done.stderr}{done.stdout}")
    return done


def wait_for(condition, timeout=20, what="the condition"):
    """Asks again and again until CONDITION gives something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout} s; the last answer was {got!r}")
        time.sleep(0.02)


class Remote:
    """A function that runs in a Pod while the test goes on: tell() writes a line to it, hear() reads one from it."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def tell(self, line=""):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the function in the Pod ended: {self.process.stderr.read()}")
        return json.loads(line)

    def result(self, timeout=LIMIT):
        out, err = self.process.communicate(timeout=timeout)
        if self.process.returncode:
            raise AssertionError(f"the function in the Pod failed:\n{err}")
        return json.loads(out.splitlines()[-1])


class Mesh:
    """A running mesh. Pods are named "NAMESPACE/POD"."""

    counter = itertools.count(1)

    def __init__(self, folder, text, *options):
        self.name = f"t{os.getpid()}-{next(self.counter)}"
        self.folder = folder
        self.remotes = []
        hark("up", "--detach", "-n", self.name, "-f", self.file(text), *options)

    def file(self, text):
        path = self.folder / f"{uuid.uuid4().hex}.yaml"
        path.write_text(text)
        return str(path)

    def hark(self, verb, *args, **kwargs):
        return hark(verb, "-n", self.name, *args, **kwargs)

    def down(self):
        for remote in self.remotes:
            if remote.process.poll() is None:
                remote.process.kill()
            remote.process.communicate()
        said = self.sanitizers_said()
        hark("down", "-n", self.name)
        assert not said, said

    def sanitizers_said(self):
        """What a build with sanitizers (HARK=build/asan/hark) has found: nobody else reads what sidecars write."""
        folder = pathlib.Path("/run/hark") / self.name
        lines = [line for log in folder.rglob("*.log") for line in log.read_text(errors="replace").splitlines()]
        return [line for line in lines if "ERROR: AddressSanitizer" in line or ": runtime error: " in line]

    # what a user does

    def apply(self, text):
        return self.hark("apply", "-f", self.file(text))

    def delete(self, text):
        return self.hark("delete", "-f", self.file(text))

    def get(self, kind, name=None):
        return json.loads(self.hark("get", kind, *([name] if name else []), "-o", "json").stdout)

    def exec(self, pod, *argv, container=None, **kwargs):
        return self.hark("exec", pod, *(["-c", container] if container else []), "--", *argv, **kwargs)

    def pods(self, ns, app):
        """The names of a Deployment's Pods, by their label `app`."""
        found = [p["metadata"] for p in self.get("pods")["items"]]
        return [f"{ns}/{m['name']}" for m in found if m["namespace"] == ns and m.get("labels", {}).get("app") == app]

    def pod(self, ns, app):
        return self.pods(ns, app)[0]

    def logs(self, pod, container=None):
        return self.hark("logs", pod, *(["-c", container] if container else [])).stdout

    def json_lines(self, pod, container=None):
        return [json.loads(line) for line in self.logs(pod, container).splitlines() if line.startswith("{")]

    def access_log(self, pod, **match):
        """The sidecar's access log lines that have all these values."""
        lines = [e for e in self.json_lines(pod, "istio-proxy") if "bytes_sent" in e]
        return [e for e in lines if all(e.get(k) == v for k, v in match.items())]

    def processes(self):
        """Those started as `hark ... NAME ...`, and all that came of them."""
        parents, roots = {}, set()
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            try:
                folder = pathlib.Path(f"/proc/{pid}")
                parents[pid] = int(folder.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1])
                if (self.name in folder.joinpath("cmdline").read_text().split("\0")
                        and os.readlink(folder / "exe") == os.path.realpath(HARK)):
                    roots.add(pid)
            except (OSError, UnicodeDecodeError):
                pass
        found = set()
        while roots - found:
            found |= roots
            roots = {pid for pid, parent in parents.items() if parent in found}
        return found

    # functions in Pods

    def argv(self, pod, function, *args, container=None):
        module = inspect.getmodule(function)
        source = inspect.getsource(module)
        if getattr(module, "clients", None):  # it builds on clients.py: that goes along
            source = (f"import sys, types\nsys.modules['clients'] = types.ModuleType('clients')\n"
                      f"exec({inspect.getsource(module.clients)!r}, sys.modules['clients'].__dict__)\n{source}")
        call = f"\nprint(json.dumps({function.__name__}(*json.loads(sys.argv[1]))))\n"
        return ["exec", "-n", self.name, pod, *(["-c", container] if container else []), "--", "python3", "-c", source + call, json.dumps(args)]

    def call(self, pod, function, *args, container=None, timeout=LIMIT):
        """FUNCTION of clients.py, run in POD."""
        argv = self.argv(pod, function, *args, container=container)
        return json.loads(hark(*argv, timeout=timeout).stdout.splitlines()[-1])

    def start(self, pod, function, *args):
        remote = Remote([HARK, *self.argv(pod, function, *args)])
        self.remotes.append(remote)
        return remote

    def admin(self, pod, path, port=15000):
        import clients
        return self.call(pod, clients.page, port, path)

    def admin_json(self, pod, path):
        got = self.admin(pod, path)
        assert got["status"] == 200, got
        return json.loads(got["body"])


@pytest.fixture(scope="session")
def new_mesh(tmp_path_factory):
    """new_mesh(TEXT, *OPTIONS) brings a mesh up; all of them are down when the tests are over."""
    meshes = []

    def up(text, *options):
        mesh = Mesh(tmp_path_factory.mktemp("mesh"), text, *options)
        meshes.append(mesh)
        return mesh

    yield up
    for mesh in meshes:
        mesh.down()


@pytest.fixture(scope="session")
def city(new_mesh):
    """Every server and a client twice: in the namespace `in` with sidecars, in `out` without."""
    return new_mesh(shop.everything("in", injected=True) + shop.everything("out", injected=False))


PLACES = {"both": ("in", "in"), "client's": ("in", "out"), "server's": ("out", "in"), "neither": ("out", "out")}


class Place:
    """Who has a sidecar: the client's Pod and the servers' namespace."""

    def __init__(self, mesh, name):
        self.mesh = mesh
        self.client_ns, self.server_ns = PLACES[name]
        self.client = f"{self.client_ns}/client"
        self.has_sidecar = "in" in PLACES[name]

    def host(self, service):
        return f"{service}.{self.server_ns}"

    def call(self, function, service, *args, **kwargs):
        return self.mesh.call(self.client, function, self.host(service), *args, **kwargs)

    def server_pod(self, app):
        return self.mesh.pod(self.server_ns, app)


@pytest.fixture(params=PLACES)
def place(request, city):
    """Sidecars at both ends, only the client's, only the server's, and neither."""
    return Place(city, request.param)


@pytest.fixture(params=[p for p in PLACES if p != "neither"])
def meshed(request, city):
    """The places with a sidecar somewhere."""
    return Place(city, request.param)


@pytest.fixture
def both(city):
    return Place(city, "both")


@pytest.fixture
def token():
    """A word that occurs nowhere else."""
    return "t" + uuid.uuid4().hex[:12]
