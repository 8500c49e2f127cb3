"""Manifests of the tests: the servers of examples/server-first and of tests/servers, put into any namespace."""

import json
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLE = HERE.parent / "examples" / "server-first"

# The ports of servers/odd.py: one per case, so that what one case teaches another does not meet. 9099: nobody listens.
ODD = {
    9000: "echo", 9001: "echo", 9002: "late", 9003: "pieces", 9004: "chargen", 9005: "daytime", 9006: "close",
    9007: "deny", 9008: "reset", 9009: "timeout", 9010: "half", 9011: "bulk", 9012: "reset-after", 9013: "greet",
    9014: "echo", 9015: "echo", 9016: "echo", 9017: "greet", 9018: "echo", 9019: "greet", 9020: "echo", 9021: "greet",
    9022: "echo",
}
ODD_NOBODY = 9099


def documents(*docs):
    """Resources as text; JSON is YAML."""
    return "".join(f"---\n{json.dumps(d)}\n" for d in docs)


def meta(name, ns=None, **more):
    return {"name": name, **({"namespace": ns} if ns else {}), **more}


def namespace(name, injected):
    labels = {"istio-injection": "enabled"} if injected else {}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta(name, labels=labels)}


def config_map(ns, name, data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(name, ns), "data": data}


def mesh_config(mesh=None, hark=None):
    """The ConfigMap that sets up the mesh: Istio's MeshConfig, and hark's own settings."""
    data = {k: json.dumps(v) for k, v in (("mesh", mesh), ("hark", hark)) if v is not None}
    return config_map("istio-system", "istio", data)


def service(ns, name, app, ports, **spec):
    """PORTS: numbers, or (number, {more fields})."""
    rows = []
    for p in ports:
        number, more = p if isinstance(p, tuple) else (p, {})
        rows.append({"name": f"p{number}", "port": number, **more})
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(name, ns),
            "spec": {"selector": {"app": app}, "ports": rows, **spec}}


def pod(ns, name, command, *, files=None, ready_port=None, labels=None, annotations=None, **container):
    """A Pod with one container; FILES (a ConfigMap's name) is mounted at /config."""
    c = {"name": "app", "command": command, **container}
    spec = {"containers": [c]}
    if files:
        c["volumeMounts"] = [{"name": "files", "mountPath": "/config"}]
        spec["volumes"] = [{"name": "files", "configMap": {"name": files}}]
    if ready_port:
        c["readinessProbe"] = {"tcpSocket": {"port": ready_port}, "periodSeconds": 1}
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": meta(name, ns, labels={"app": name, **(labels or {})}, annotations=annotations or {}),
            "spec": spec}


def client(ns, name="client", **kwargs):
    return pod(ns, name, ["sleep", "infinity"], **kwargs)


def odd(ns, name="odd", ports=None, with_service=True, finish=False, **kwargs):
    """A Pod of servers/odd.py and its Service. FINISH: see there."""
    ports = ports or ODD
    habits = [*(["--finish"] if finish else []), *(f"{mode}:{port}" for port, mode in ports.items())]
    docs = [config_map(ns, f"{name}-files", {"odd.py": (HERE / "servers" / "odd.py").read_text()}),
            pod(ns, name, ["python3", "/config/odd.py", *habits], files=f"{name}-files", ready_port=min(ports), **kwargs)]
    if with_service:
        docs.append(service(ns, name, name, [*ports, ODD_NOBODY]))
    return docs


def moved(path, ns):
    """The text of a file whose resources are in the namespace `shop`, moved to NS."""
    return re.sub(r"^(\s*namespace:) shop$", rf"\1 {ns}", path.read_text(), flags=re.M) + "\n"


def servers(ns):
    """The text of the example and of servers/more.yaml, moved to namespace NS."""
    files = [f for f in sorted(EXAMPLE.glob("*.yaml")) if f.name != "namespace.yaml"] + [HERE / "servers" / "more.yaml"]
    return "---\n".join(moved(f, ns) for f in files)


def everything(ns, injected):
    return documents(namespace(ns, injected), *odd(ns)) + "---\n" + servers(ns)
