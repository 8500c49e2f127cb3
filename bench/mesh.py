"""Works that need more than one proxy in a row: a real MariaDB's greeting, and whole meshes (`hark up`)."""
import json
import os
import pathlib
import shutil
import subprocess
import time

import measure
import peers
import works

HARK = str(peers.BUILD / "hark")
SHARED = peers.TOP / "bench/mesh"


def pair(how):
    """The same proxy twice in a row, as a client's and a server's sidecar stand."""
    def start(peer, to):
        how(peer, to)
        how(peer, peer.port)
    return start


class MariaDb:
    """A real server on an undeclared, non-standard port; its data die with it."""

    def __init__(self, scratch):
        self.port = peers.free_port()
        self.dir = pathlib.Path(scratch) / "mariadb"
        self.dir.mkdir(mode=0o777)
        os.chmod(self.dir, 0o777)
        os.chmod(scratch, 0o755)
        run = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=65534, group=65534, extra_groups=[])
        subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={self.dir}/data", "--skip-test-db"], check=True, cwd=self.dir, **run)
        # Without an account for this address MariaDB would not greet but refuse.
        (self.dir / "init.sql").write_text("CREATE USER 'shop'@'%' IDENTIFIED BY 'shop';\n")
        # A greeting that nobody answers counts as a failed login: no host cache, or MariaDB would block us after a hundred.
        self.process = subprocess.Popen(["mariadbd", "--no-defaults", f"--datadir={self.dir}/data", f"--port={self.port}", "--bind-address=127.0.0.1",
                                         f"--socket={self.dir}/sock", "--skip-name-resolve", "--host-cache-size=0", f"--init-file={self.dir}/init.sql"], cwd=self.dir, **run)
        peers.wait_port(self.port, self.process, 60)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Mesh:
    """A running `hark up`, gone at stop()."""

    def __init__(self, name, *files):
        self.name = name
        subprocess.run([HARK, "up", "-n", name, "--detach", "--timeout", "120", *[a for f in files for a in ("-f", str(f))]],
                       check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def run(self, pod, *argv, **kw):
        return subprocess.run([HARK, "exec", "-n", self.name, pod, "--", *map(str, argv)], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL, **kw).stdout

    def apply(self, path):
        subprocess.run([HARK, "apply", "-n", self.name, "-f", str(path)], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def resource(self, kind, name, namespace):
        out = subprocess.run([HARK, "get", "-n", self.name, "--namespace", namespace, kind, name, "-o", "json"], capture_output=True, text=True, check=True)
        return json.loads(out.stdout)

    def sidecar(self, pod):
        """The sidecar's process: this mesh's, of uid 1337, in the network namespace that the Pod's keeper holds."""
        node = int(pathlib.Path(f"/run/hark/{self.name}/pid").read_text().split()[0])
        ours = measure.children(node)

        def space(pid):
            return os.readlink(f"/proc/{pid}/ns/net")

        keeper = next(p for p in ours if pathlib.Path(f"/proc/{p}/cmdline").read_bytes().startswith(f"hark-pod:{pod}\0".encode()))
        return next(p for p in ours if os.stat(f"/proc/{p}").st_uid == 1337 and space(p) == space(keeper))

    def stop(self):
        subprocess.run([HARK, "down", "-n", self.name], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


class Greeting(works.Work):
    name = "greet"
    about = "time to first byte of a real MariaDB's greeting on an undeclared port, through two of the same proxy in a row"
    units = {"p50_us": "us", "p99_us": "us", "added_p50_us": "us", "added_p99_us": "us"}
    main = "p50_us"
    table = {"direct": peers.TCP["direct"], "bare": pair(peers.TCP["bare"]), "hark": pair(lambda p, to: p.hark(to, "--detect")),
             "envoy-istio": pair(peers.TCP["envoy-istio"]), "envoy": pair(peers.TCP["envoy"]),
             "haproxy": pair(peers.TCP["haproxy"]), "nginx": pair(peers.TCP["nginx"])}
    count = 200

    def start(self):
        self.backend = MariaDb(os.environ["BENCH_SCRATCH"])
        self.direct = {}
        return self.backend.port

    def measure(self, peer):
        try:
            got = works.load("greet", f"127.0.0.1:{peer.port}", self.count, timeout=20 if peer.name != "envoy-istio" else 3)
        except subprocess.TimeoutExpired:
            return {}  # nothing came: the proxy waits for the client, the client for the server
        if peer.name == "direct":
            self.direct = got
        return {"p50_us": got["p50_us"], "p99_us": got["p99_us"], "added_p50_us": got["p50_us"] - self.direct["p50_us"],
                "added_p99_us": got["p99_us"] - self.direct["p99_us"]}

    def ready(self, peer):
        """As in a running system: the port has been used before. (A proxy that stalls here stalls below, where it counts.)"""
        for _ in range(3):
            subprocess.run(["timeout", "1", "mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(peer.port), "-ushop", "-pshop", "-e", "SELECT 1"],
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class MeshGreeting(works.Work):
    name = "greet-mesh"
    about = ("time to first byte of a real MariaDB's greeting in `hark up`, nothing declared: Pods without sidecars (direct), and Pods with two sidecars and capture between them, "
             "which speak mutual TLS (`hark`: sessions resumed; `hark-full`: each connection is the first after a new certificate) or, with a PeerAuthentication of mode DISABLE, plaintext")
    units = Greeting.units
    main = "p50_us"
    count = 200
    count_full = 20
    # proxy: (namespace, injection, mode, what the client's sidecar has to say of it)
    ways = {"direct": ("out", "disabled", "UNSET", None), "hark": ("in", "enabled", "UNSET", ("mesh-tls", True)),
            "hark-full": ("in", "enabled", "UNSET", ("mesh-tls", False)), "hark-plaintext": ("plain", "enabled", "DISABLE", ("plaintext", False))}
    table = {name: lambda p, to: None for name in ways}

    def start(self):
        scratch = pathlib.Path(os.environ["BENCH_SCRATCH"])
        files = []
        for ns, injection, mode, _ in dict.fromkeys(self.ways.values()):
            path = scratch / f"greet-{ns}.yaml"
            path.write_text((SHARED / "greet.yaml").read_text().replace("@NS@", ns).replace("@INJECTION@", injection).replace("@MODE@", mode))
            files.append(path)
        self.backend = Mesh("bench-greet", *dict.fromkeys(files))
        self.to = {}
        for ns in {way[0] for way in self.ways.values()}:
            self.to[ns] = self.backend.resource("service", "mariadb", ns)["spec"]["clusterIP"]
            for _ in range(3):  # as a running mesh is: the port has been seen before
                self.query(ns)
                self.greet(ns, 20)
        return None

    def query(self, ns):
        deadline = time.monotonic() + 10  # the news of a ready Pod is on its way to everybody
        while True:
            try:
                return self.backend.run(f"{ns}/client", "mariadb", "-h", "mariadb", "-P", "3307", "-ushop", "-pshop", "-e", "SELECT 1")
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def greet(self, ns, count):
        return json.loads(self.backend.run(f"{ns}/client", works.LOAD, "greet", f"{self.to[ns]}:3307", count).strip())

    def seen(self, ns):
        """(transport, resumed) of the last connection of the client's sidecar, from its access log."""
        out = subprocess.run([HARK, "logs", "-n", self.backend.name, f"{ns}/client", "-c", "istio-proxy", "--tail", "1"], capture_output=True, text=True, check=True)
        line = json.loads(out.stdout)
        return line["upstream_transport"], bool(line["tls_resumed"])

    def full(self, ns):
        """Medians and so on of connections each of which is the first of a new certificate: what was got to resume with is void."""
        got = []
        for _ in range(self.count_full):
            subprocess.run([HARK, "cert", "rotate", "-n", self.backend.name, f"{ns}/client"], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            got.append(self.greet(ns, 1)["p50_us"])
        got.sort()
        return {"p50_us": got[len(got) // 2], "p99_us": got[-1]}

    def measure(self, peer):
        ns, _, _, want = self.ways[peer.name]
        got = self.full(ns) if peer.name == "hark-full" else self.greet(ns, self.count)
        if want and self.seen(ns) != want:
            raise RuntimeError(f"{peer.name}: the sidecar spoke {self.seen(ns)}, not {want}")
        if peer.name == "direct":
            self.direct = got
        return {"p50_us": got["p50_us"], "p99_us": got["p99_us"], "added_p50_us": got["p50_us"] - self.direct["p50_us"],
                "added_p99_us": got["p99_us"] - self.direct["p99_us"]}


def services_yaml(path, n):
    """N Services with one endpoint each, managed by hand, and one client whose sidecar knows them all."""
    with open(path, "w") as f:
        f.write("apiVersion: v1\nkind: Namespace\nmetadata: {name: many, labels: {istio-injection: enabled}}\n---\n"
                "apiVersion: v1\nkind: Pod\nmetadata: {name: client, namespace: many}\nspec:\n  containers:\n  - {name: client, command: [sleep, infinity]}\n")
        for i in range(n):
            f.write(f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{i}, namespace: many}}\nspec: {{ports: [{{port: 7000}}]}}\n"
                    f"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: s{i}-a, namespace: many, labels: {{kubernetes.io/service-name: s{i}}}}}\n"
                    f"addressType: IPv4\nendpoints: [{{addresses: [198.18.{100 + i // 250}.{1 + i % 250}]}}]\nports: [{{port: 7000}}]\n")


def envoy_services(peer, n):
    """Envoy with N clusters and N filter chains chosen by the destination address, as a sidecar's outbound listener has."""
    chains = "".join(f'    - {{filter_chain_match: {{prefix_ranges: [{{address_prefix: 198.19.{i // 250}.{1 + i % 250}, prefix_len: 32}}]}}, filters: [{{name: envoy.filters.network.tcp_proxy, '
                     f'typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: s{i}, cluster: s{i}}}}}]}}\n' for i in range(n))
    clusters = "".join(f'  - {{name: s{i}, type: STATIC, connect_timeout: 5s, load_assignment: {{cluster_name: s{i}, endpoints: [{{lb_endpoints: [{{endpoint: {{address: '
                       f'{{socket_address: {{address: 198.18.{100 + i // 250}.{1 + i % 250}, port_value: 7000}}}}}}}}]}}]}}}}\n' for i in range(n))
    peer.port, admin = peers.free_port(), peers.free_port()
    path = peer.scratch / f"envoy-services-{n}.yaml"
    path.write_text(f"admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}\nstatic_resources:\n  listeners:\n  - name: l\n"
                    f"    address: {{socket_address: {{address: 127.0.0.1, port_value: {peer.port}}}}}\n    filter_chains:\n{chains}  clusters:\n{clusters}")
    peer.spawn([peers.envoy_path(), "-c", str(path), "--concurrency", str(peers.THREADS), "--disable-hot-restart", "-l", "error"], peer.port, seconds=120)


class ServicesMemory(works.Work):
    units = {"rss_kib": "KiB", "private_kib": "KiB"}
    main = "private_kib"
    n = 0

    def start(self):
        path = pathlib.Path(os.environ["BENCH_SCRATCH"]) / f"services-{self.n}.yaml"
        services_yaml(path, self.n)
        self.backend = Mesh(f"bench-mem-{self.n}", path)
        return None

    def measure(self, peer):
        pids = peer.pids() or [self.backend.sidecar("many/client")]
        rss, private = map(sum, zip(*[measure.memory_kib([pid]) for pid in pids]))
        return {"rss_kib": rss, "private_kib": private}


def services_memory(n):
    class Memory(ServicesMemory):
        name = f"mem-services-{n}"
        about = f"memory of an idle sidecar that knows {n:,} Services with an endpoint each"
        table = {"hark": lambda p, to: None, "envoy": lambda p, to: envoy_services(p, n)}
    Memory.n = n
    return Memory


class EndpointChange(works.Work):
    name = "endpoint-change"
    about = "from `hark apply` of a changed EndpointSlice to the first connection that follows it, with 1,000 Services"
    units = {"apply_ms": "ms", "p50_ms": "ms"}
    main = "p50_ms"
    table = {"hark": lambda p, to: None}

    def start(self):
        scratch = pathlib.Path(os.environ["BENCH_SCRATCH"])
        path = scratch / "services-change.yaml"
        services_yaml(path, 1000)
        self.backend = Mesh("bench-change", path, SHARED / "change.yaml")
        self.ips = [self.backend.resource("pod", f"server-{x}", "many")["status"]["podIP"] for x in "ab"]
        self.slices = []
        for ip in self.ips:
            slice_path = scratch / f"slice-{ip}.yaml"
            slice_path.write_text("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: moving-a, namespace: many, labels: {kubernetes.io/service-name: moving}}\n"
                                  f"addressType: IPv4\nendpoints: [{{addresses: [{ip}]}}]\nports: [{{port: 7000}}]\n")
            self.slices.append(slice_path)
        self.turn = 0
        return None

    def measure(self, peer):
        """A client in the mesh connects over and over and says when the answer changed; the clock is the machine's own."""
        self.turn += 1
        want = self.turn % 2
        self.backend.apply(self.slices[1 - want])
        watcher = subprocess.Popen([HARK, "exec", "-n", self.backend.name, "many/client", "--", "python3", str(SHARED / "follow.py"), "moving", "7000", "ab"[1 - want], "ab"[want]],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if watcher.stdout.readline().strip() != "ready":
            raise RuntimeError("the client did not reach the first server")
        before = time.monotonic_ns()
        self.backend.apply(self.slices[want])
        after = time.monotonic_ns()
        changed = int(watcher.stdout.readline())
        watcher.wait()
        return {"apply_ms": (after - before) / 1e6, "p50_ms": (changed - before) / 1e6}


MESH_WORKS = [Greeting, MeshGreeting, services_memory(1000), services_memory(10000), EndpointChange]
