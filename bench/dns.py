"""Questions for names of the mesh: the sidecar's DNS proxy beside dnsmasq and unbound that have the same names as local data."""
import json
import os
import pathlib
import subprocess
import time
import urllib.request

import measure
import mesh
import peers
import works

DNS_LOAD = str(peers.BUILD / "bench/dns_load")
WINDOW = 32


def address(i):
    return f"198.19.{1 + i // 250}.{1 + i % 250}"


def hosts(n):
    return [(f"s{i}.many.svc.cluster.local", address(i)) for i in range(n)]


def spawn(p, argv, port):
    """Ready when the first name has an address."""
    p.port = port
    with open(p.scratch / f"{p.name}-{port}.log", "w") as log:
        p.processes.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
    subprocess.run([DNS_LOAD, str(port), "wait"], check=True, timeout=60)


def hark(p, to):
    spawn(p, [mesh.HARK, "proxy", "--api", to.api, "--pod", "client", "--namespace", "many", "--workers", "1", "--dns"], 15053)


def dnsmasq(p, to):
    port = peers.free_port()
    path = p.scratch / f"dnsmasq-{port}.hosts"
    path.write_text("".join(f"{ip} {name}\n" for name, ip in hosts(to.n)))
    spawn(p, ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", f"--addn-hosts={path}", "--local-ttl=30", "--user=root", "--pid-file",
                 f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces", "--no-poll", "--dns-forward-max=1"], port)


def unbound(p, to):
    port = peers.free_port()
    path = p.scratch / f"unbound-{port}.conf"
    data = "".join(f'  local-data: "{name}. 30 A {ip}"\n' for name, ip in hosts(to.n))
    path.write_text(f"server:\n  interface: 127.0.0.1@{port}\n  access-control: 127.0.0.0/8 allow\n  num-threads: 1\n  do-daemonize: no\n  username: \"\"\n  chroot: \"\"\n"
                    f"  pidfile: \"\"\n  directory: \"{p.scratch}\"\n  use-syslog: no\n  verbosity: 0\n  minimal-responses: yes\n  do-ip6: no\n  module-config: \"iterator\"\n"
                    f"  so-reuseport: no\n  local-zone: \"cluster.local.\" static\n{data}remote-control:\n  control-enable: no\n")
    spawn(p, ["unbound", "-d", "-c", str(path)], port)


def service(i):
    return (f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{i}, namespace: many}}\n"
            f"spec: {{ports: [{{port: 7000}}], clusterIP: {address(i)}, ipFamilies: [IPv4]}}\n")


def endpoints(i):
    return (f"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: s{i}-a, namespace: many, labels: {{kubernetes.io/service-name: s{i}}}}}\n"
            f"addressType: IPv4\nports: [{{name: '', port: 7000, protocol: TCP}}]\nendpoints: [{{addresses: [10.1.{i // 250}.{1 + i % 250}]}}]\n")


def entry(i):
    return (f"---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: e{i}, namespace: many}}\n"
            f"spec: {{hosts: [db{i}.example.com], ports: [{{number: 3306, name: tcp-db, protocol: TCP}}], resolution: DNS}}\n")


def mesh_of(name, n, *kinds):
    """A mesh that knows N of each of KINDS (Services); one Pod with a sidecar, whose API socket is of use from here, and one without."""
    path = pathlib.Path(os.environ["BENCH_SCRATCH"]) / f"{name}.yaml"
    with open(path, "w") as f:
        f.write("apiVersion: v1\nkind: Namespace\nmetadata: {name: many, labels: {istio-injection: enabled}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: bare}\n")
        for ns in ("many", "bare"):
            f.write(f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: client, namespace: {ns}}}\nspec: {{containers: [{{name: client, command: [sleep, infinity]}}]}}\n")
        for kind in kinds or (service,):
            f.writelines(kind(i) for i in range(n))
    return mesh.Mesh(f"bench-{name}", path)


def api_of(backend):
    return f"unix:/proc/{backend.sidecar('many/client')}/root/run/hark/api.sock"


class Names(works.Work):
    """hark is the sidecar of a Pod of a mesh that knows N Services, run here so that all peers share one network namespace."""
    units = {"cpu_us_per_unit": "us", "units_per_cpu_s": "1/s", "units_per_s": "1/s", "p50_us": "us", "p99_us": "us"}
    main = "cpu_us_per_unit"
    table = {"hark": hark, "dnsmasq": dnsmasq, "unbound": unbound}
    n = asked = 0

    def start(self):
        self.backend = mesh_of(self.name, self.n)
        self.api = api_of(self.backend)
        return self

    def measure(self, peer):
        meter = works.Meter(peer)
        got = json.loads(subprocess.run([DNS_LOAD, str(peer.port), str(self.asked), str(WINDOW), str(works.SECONDS)], capture_output=True, text=True, check=True).stdout)
        if got["errors"] or got["units"] == 0:
            raise RuntimeError(f"{peer.name}: {got}")
        cpu, _ = meter.read(got["units"])
        return {"cpu_us_per_unit": cpu, "units_per_cpu_s": 1e6 / cpu, "units_per_s": got["units"] / got["seconds"], "p50_us": got["p50_us"], "p99_us": got["p99_us"]}

    def stop(self):
        self.backend.stop()


def names(label, known, asked):
    class Known(Names):
        name = label
        about = f"answers for names of the mesh over UDP, {known:,} hosts known, {asked:,} of them asked for in random order, {WINDOW} questions at a time"
    Known.n, Known.asked = known, asked
    return Known


class Start(works.Work):
    name = "dns-start"
    about = "from the start of a sidecar that will know 10,000 Services to its readiness, with the DNS proxy and without"
    units = {"ready_ms": "ms", "cpu_ms": "ms"}
    main = "cpu_ms"  # which a busy machine changes less
    table = {"hark": lambda p, to: setattr(p, "extra", ["--dns"]), "without": lambda p, to: setattr(p, "extra", [])}
    n = 10000

    def start(self):
        self.backend = mesh_of(self.name, self.n)
        self.api = api_of(self.backend)
        return self

    def measure(self, peer):
        begin = time.monotonic_ns()
        process = subprocess.Popen([mesh.HARK, "proxy", "--api", self.api_for(peer), "--pod", "client", "--namespace", "bare", "--workers", "1", *peer.extra],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not self.is_ready():
                if time.monotonic_ns() - begin > 60e9 or process.poll() is not None:
                    raise RuntimeError("the sidecar did not become ready")
                time.sleep(0.001)
            got = {"ready_ms": (time.monotonic_ns() - begin) / 1e6, "cpu_ms": measure.cpu_ns([process.pid]) / 1e6}
            got["rss_kib"], got["private_kib"] = measure.memory_kib([process.pid])
            return {unit: got[unit] for unit in self.units}
        finally:
            process.kill()
            process.wait()

    def api_for(self, peer):
        return self.api

    @staticmethod
    def is_ready():
        try:
            with urllib.request.urlopen("http://127.0.0.1:15021/healthz/ready", timeout=10):
                return True
        except OSError:
            return False

    def stop(self):
        self.backend.stop()


class EntriesStart(Start):
    name = "entries-start"
    about = ("from the start of a sidecar with the DNS proxy to its readiness: 10,000 ServiceEntries whose names are resolved, each with two virtual IPs (hark), beside as many"
             " Services without endpoints, as many with an EndpointSlice each, and a mesh that has none of them (hark-none)")
    units = {**Start.units, "rss_kib": "KiB", "private_kib": "KiB"}
    kinds = {"hark": (entry,), "services": (service,), "services-endpoints": (service, endpoints), "hark-none": ()}
    table = {name: lambda p, to: setattr(p, "extra", ["--dns"]) for name in kinds}

    def start(self):
        self.meshes = {}
        for name, kinds in self.kinds.items():
            self.meshes[name] = mesh_of(f"start-{name}", self.n if kinds else 0, *kinds)
        self.apis = {name: api_of(one) for name, one in self.meshes.items()}

    def api_for(self, peer):
        return self.apis[peer.name]

    def stop(self):
        for one in self.meshes.values():
            one.stop()


DNS_WORKS = [names("dns-100", 100, 100), names("dns-10000", 10000, 100), names("dns-10000-all", 10000, 10000), Start, EntriesStart]
