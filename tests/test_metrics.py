"""What a sidecar tells of its connections: access log, Prometheus metrics, admin pages."""

import re

import clients
import pytest
from conftest import wait_for

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')


class Metrics:
    """Prometheus text, read strictly: what does not follow the format is an error."""

    def __init__(self, text):
        assert text.endswith("\n")
        self.samples = {}
        self.types = {}
        for line in text.splitlines():
            if line.startswith("# HELP "):
                continue
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.types, f"{name} has two TYPE lines"
                self.types[name] = kind
                continue
            found = SAMPLE.fullmatch(line)
            assert found, f"not a sample: {line}"
            name, labels, value = found.groups()
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in self.types or self.types.get(family) == "histogram", f"{name} has no TYPE line"
            key = (name, frozenset(re.findall(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"', labels or "")))
            assert key not in self.samples, f"twice: {line}"
            self.samples[key] = float(value)

    def sum(self, name, **labels):
        """Over all series of NAME with these labels."""
        return sum(v for (n, l), v in self.samples.items() if n == name and set(labels.items()) <= l)

    def labels(self, name, **labels):
        return [dict(l) for (n, l) in self.samples if n == name and set(labels.items()) <= l]


def metrics(mesh, pod):
    got = mesh.admin(pod, "/stats/prometheus", port=15020)
    assert got["status"] == 200 and got["type"].startswith("text/plain")
    return Metrics(got["body"])


def lines_to(mesh, pod, port, side):
    return [e for e in mesh.access_log(pod, side=side) if (e["downstream_local_address"] or "").endswith(f":{port}")]


ENDS = [("in/client", "outbound", "source"), ("in/odd", "inbound", "destination")]


# --- access log -----------------------------------------------------------------------------------------------------


def test_access_log_tells_a_connection(both):
    both.call(clients.spoken_exchange, "odd", 9020, 0.1, "hello")
    for pod, side, _ in ENDS:
        e = wait_for(lambda p=pod, s=side: lines_to(both.mesh, p, 9020, s), what="the access log line")[-1]
        assert (e["bytes_received"], e["bytes_sent"]) == (5, 5)
        assert e["first_bytes_from"] == "client" and e["detected_protocol"] == "tcp"
        assert "client" in e["source_workload"] and "odd" in e["destination_workload"]
        assert e["destination_service"] == "odd.in.svc.cluster.local"
        assert e["duration"] >= 90 and e["first_byte_ms"] >= 90  # the client was silent for 100 ms
        assert e["end"] == "client-closed" and e["response_flags"] == "-"
        assert e["reason"] and e["start_time"] and e["connection_id"]
        assert e["upstream_host"].endswith(":9020")


def test_access_log_tells_who_greeted_and_when(both):
    both.call(clients.greeted_exchange, "odd", 9002)  # greets after 3 s
    for pod, side, _ in ENDS:
        e = wait_for(lambda p=pod, s=side: lines_to(both.mesh, p, 9002, s), what="the access log line")[-1]
        # The server's sidecar has dialled its app when the client had authenticated.
        assert e["first_bytes_from"] == "server" and e["early"] is (side == "outbound")
        assert 2900 <= e["first_byte_ms"] <= e["duration"] + 1


def test_access_log_tells_a_refusal(both):
    both.call(clients.hear, "odd", 9099)
    e = wait_for(lambda: lines_to(both.mesh, "in/odd", 9099, "inbound"), what="the access log line")[-1]
    assert (e["end"], e["response_flags"]) == ("connect-refused", "UF")
    assert e["connection_termination_details"] == "the server refused the connection"


# --- metrics --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pod, side, reporter", ENDS)
def test_istio_counters_count_a_connection(both, pod, side, reporter):
    before = metrics(both.mesh, pod)
    both.call(clients.spoken_exchange, "odd", 9020, 0, "hello")
    labels = {"reporter": reporter, "destination_service": "odd.in.svc.cluster.local", "request_protocol": "tcp"}

    def delta(name):
        return metrics(both.mesh, pod).sum(name, **labels) - before.sum(name, **labels)

    wait_for(lambda: delta("istio_tcp_connections_closed_total") == 1, what="the end of the connection in the metrics")
    assert delta("istio_tcp_connections_opened_total") == 1
    assert delta("istio_tcp_sent_bytes_total") == 5
    assert delta("istio_tcp_received_bytes_total") == 5


def test_istio_labels(both):
    both.call(clients.spoken_exchange, "odd", 9020, 0, "hello")
    want = {
        "destination_service_name": "odd", "destination_service_namespace": "in", "source_workload": "client",
        "source_workload_namespace": "in", "destination_workload": "odd", "destination_workload_namespace": "in",
        "destination_app": "odd", "response_flags": "-",
    }
    for pod, _, reporter in ENDS:
        def found(p=pod, r=reporter):
            rows = metrics(both.mesh, p).labels("istio_tcp_connections_opened_total", reporter=r,
                                                destination_service="odd.in.svc.cluster.local")
            return [row for row in rows if want.items() <= row.items()]
        wait_for(found, what=f"the labels at {pod}")


def test_bytes_of_a_living_connection_are_counted(both):
    labels = {"reporter": "source", "destination_service": "odd.in.svc.cluster.local"}
    held = both.mesh.start("in/client", clients.hold, "odd.in", 9022, "a long word that nobody else says")
    held.tell()
    size = len(held.hear())
    before = metrics(both.mesh, "in/client").sum("istio_tcp_sent_bytes_total", **labels)
    held.tell()
    assert len(held.hear()) == size
    wait_for(lambda: metrics(both.mesh, "in/client").sum("istio_tcp_sent_bytes_total", **labels) >= before + size,
             what="the bytes of the open connection")
    assert held.result() == "done"


def test_detection_is_counted(both):
    before = metrics(both.mesh, "in/client")
    both.call(clients.greeted_exchange, "odd", 9021)
    after = wait_for(lambda: [m for m in [metrics(both.mesh, "in/client")]
                              if m.sum("hark_connections_ended_total") > before.sum("hark_connections_ended_total")],
                     what="the end")[0]
    grown = {frozenset(l.items()) for l in after.labels("hark_detection_total")
             if after.sum("hark_detection_total", **l) > before.sum("hark_detection_total", **l)}
    assert any("server" in dict(row).values() for row in grown), grown
    assert after.sum("hark_early_connections_total", result="used") == before.sum("hark_early_connections_total", result="used") + 1
    for name in ("hark_detection_seconds", "hark_first_byte_seconds"):
        assert after.types[name] == "histogram"
        assert after.sum(f"{name}_count") > before.sum(f"{name}_count")


def test_histograms_add_up(both):
    m = metrics(both.mesh, "in/client")
    for name in [n for n, kind in m.types.items() if kind == "histogram"]:
        series = {l for (n, l) in m.samples if n == f"{name}_count"}
        assert series, name
        for labels in series:
            buckets = sorted((float(dict(l)["le"]), v) for (n, l), v in m.samples.items()
                             if n == f"{name}_bucket" and {pair for pair in l if pair[0] != "le"} == set(labels))
            counts = [v for _, v in buckets]
            assert counts == sorted(counts) and counts[-1] == m.samples[f"{name}_count", labels]


def test_gauges_come_back_down(both):
    """Whatever ran before: with nothing open, nothing is counted as open."""
    for pod in ("in/client", "in/odd"):
        def idle(p=pod):
            m = metrics(both.mesh, p)
            return m.sum("hark_connections") == 0 and m.sum("hark_detection_in_progress") == 0
        wait_for(idle, what=f"an idle sidecar in {pod}")


def test_unread_configuration_is_not_reported_as_connected(both):
    m = metrics(both.mesh, "in/client")
    assert m.sum("hark_api_connected") == 1 and m.sum("hark_config_version") > 0
    assert m.labels("istio_build") and m.labels("hark_build_info")


# --- admin ----------------------------------------------------------------------------------------------------------


def test_config_page_shows_services_and_endpoints(both):
    got = both.mesh.admin_json("in/client", "/config")
    by_host = {s["host"]: s for s in got["services"]}
    nginx = by_host["nginx.in.svc.cluster.local"]
    assert [p["port"] for p in nginx["ports"]] == [8081]
    assert len({e["workload"]["pod"] for e in nginx["ports"][0]["endpoints"]}) == 2
    assert by_host["vsftpd.in.svc.cluster.local"]["headless"] is True
    assert got["self"]["pod"] == "client" and got["mesh"]["detection"] == "both-ends"


def test_connections_page_shows_an_open_one(both):
    held = both.mesh.start("in/client", clients.hold, "odd.in", 9022)
    held.tell()
    held.hear()
    for pod, side, _ in ENDS:
        rows = [c for c in both.mesh.admin_json(pod, "/connections")["connections"] if c["side"] == side
                and (c["downstream_local_address"] or "").endswith(":9022")]
        assert len(rows) == 1 and rows[0]["end"] is None and rows[0]["bytes_sent"] >= 6, rows
    held.tell()
    held.hear()
    assert held.result() == "done"


def test_learned_page(both):
    both.call(clients.greeted_exchange, "odd", 9021)
    both.call(clients.greeted_exchange, "odd", 9021)
    for pod, side, _ in ENDS:
        def row(p=pod, s=side):
            rows = both.mesh.admin_json(p, "/learned")["ports"]
            return [r for r in rows if r["port"] == 9021 and r["side"] == s and r["learned"] == "server-first"]
        assert wait_for(row, what=f"the row at {pod}")


def test_ready_pages(both):
    for port, path in ((15000, "/ready"), (15021, "/healthz/ready")):
        assert both.mesh.admin("in/client", path, port)["status"] == 200
    assert both.mesh.admin("in/client", "/no-such-page")["status"] == 404


def test_admin_is_on_loopback_only(both):
    ip = both.mesh.get("pod", "in/client")["status"]["podIP"]
    for client in ("in/odd", "out/client"):
        got = both.mesh.call(client, clients.hear, ip, 15000, 0, "GET /config HTTP/1.0\r\n\r\n", 5)
        assert got["bytes"] == "" and got["end"] in ("reset", "refused", "fin")


def test_metrics_and_health_are_open_to_others(both):
    """A Prometheus and a kubelet have no sidecar."""
    ip = both.mesh.get("pod", "in/client")["status"]["podIP"]
    for port, path in ((15020, "/metrics"), (15090, "/stats/prometheus"), (15021, "/healthz/ready")):
        got = both.mesh.call("out/client", clients.hear, ip, port, 0, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert got["bytes"].startswith("HTTP/1.1 200 "), (port, got)


def test_silent_connections_do_not_keep_a_probe_out(both):
    ip = both.mesh.get("pod", "in/client")["status"]["podIP"]
    assert both.mesh.call("out/client", clients.starve, ip, 15021, 100, "/healthz/ready") == 200


def test_silent_connections_do_not_keep_others_from_dns_over_tcp(both):
    dns = both.mesh.get("service", "kube-system/kube-dns")["spec"]["clusterIP"]
    assert both.mesh.call("out/client", clients.dns_over_tcp_beside, dns, 150, "mariadb.in.svc.cluster.local") == 1


def test_only_the_pod_itself_ends_its_sidecar(both):
    ip = both.mesh.get("pod", "in/client")["status"]["podIP"]
    for client in ("in/odd", "out/client"):
        for port in (15020, 15090):
            got = both.mesh.call(client, clients.hear, ip, port, 0, "POST /quitquitquit HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            assert got["bytes"].startswith("HTTP/1.1 403 "), (client, port, got)
    assert both.mesh.admin("in/client", "/ready")["status"] == 200


def test_a_sidecar_has_no_privilege_left(both):
    threads = both.mesh.call("in/client", clients.privileges, "proxy", container="istio-proxy")
    assert len(threads) >= 2  # the main thread and a worker
    none = ["0" * 16]
    for t in threads:
        assert t["Uid"] == t["Gid"] == ["1337"] * 4 and t["Groups"] == [] and t["NoNewPrivs"] == ["1"]
        assert all(t[caps] == none for caps in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")), t
