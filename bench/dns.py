"""Questions for names of the mesh: the sidecar's DNS proxy beside dnsmasq and unbound that have the same names as local data."""
import json
import os
import pathlib
import subprocess
import time

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
    """Ready when the first name has an address; `started_ms` is how long that took."""
    p.port = port
    with open(p.scratch / f"{p.name}-{port}.log", "w") as log:
        begin = time.monotonic_ns()
        p.processes.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
    subprocess.run([DNS_LOAD, str(port), "wait"], check=True, timeout=60)
    p.started_ms = (time.monotonic_ns() - begin) / 1e6


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


class Names(works.Work):
    """hark is the sidecar of a Pod of a mesh that knows N Services, run here so that all peers share one network namespace."""
    units = {"cpu_us_per_unit": "us", "units_per_cpu_s": "1/s", "units_per_s": "1/s", "p50_us": "us", "p99_us": "us", "started_ms": "ms"}
    main = "cpu_us_per_unit"
    table = {"hark": hark, "dnsmasq": dnsmasq, "unbound": unbound}
    n = 0
    fresh = True  # how long a start takes is measured, too

    def start(self):
        path = pathlib.Path(os.environ["BENCH_SCRATCH"]) / f"dns-{self.n}.yaml"
        with open(path, "w") as f:
            f.write("apiVersion: v1\nkind: Namespace\nmetadata: {name: many, labels: {istio-injection: enabled}}\n---\n"
                    "apiVersion: v1\nkind: Pod\nmetadata: {name: client, namespace: many}\nspec: {containers: [{name: client, command: [sleep, infinity]}]}\n")
            for i in range(self.n):
                f.write(f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{i}, namespace: many}}\n"
                        f"spec: {{ports: [{{port: 7000}}], clusterIP: {address(i)}, ipFamilies: [IPv4]}}\n")
        self.backend = mesh.Mesh(f"bench-dns-{self.n}", path)
        self.api = f"unix:/proc/{self.backend.sidecar('many/client')}/root/run/hark/api.sock"
        return self

    def measure(self, peer):
        meter = works.Meter(peer)
        got = json.loads(subprocess.run([DNS_LOAD, str(peer.port), str(self.n), str(WINDOW), str(works.SECONDS)], capture_output=True, text=True, check=True).stdout)
        if got["errors"] or got["units"] == 0:
            raise RuntimeError(f"{peer.name}: {got}")
        cpu, _ = meter.read(got["units"])
        return {"cpu_us_per_unit": cpu, "units_per_cpu_s": 1e6 / cpu, "units_per_s": got["units"] / got["seconds"],
                "p50_us": got["p50_us"], "p99_us": got["p99_us"], "started_ms": peer.started_ms}

    def stop(self):
        self.backend.stop()


def names(n):
    class Known(Names):
        name = f"dns-{n}"
        about = f"answers for names of the mesh over UDP, {n:,} hosts known, {WINDOW} questions at a time"
    Known.n = n
    return Known


DNS_WORKS = [names(100), names(10000)]
