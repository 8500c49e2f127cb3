"""A mesh lives in namespaces of its own: nothing of it is in the host's, and after `hark down` nothing is left, even
when everything was killed with SIGKILL before."""

import os
import pathlib
import shutil
import signal
import subprocess
import uuid

import clients
import pytest
import shop
from conftest import Mesh, hark, wait_for


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def is_zombie(pid):
    """Ended, and only not yet waited for by the host's first process, which may take its time."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return False


def namespaces(pids=None):
    """The network, mount and PID namespaces that these processes (None: all there are) live in."""
    found = set()
    for pid in pids if pids is not None else filter(str.isdigit, os.listdir("/proc")):
        if is_zombie(pid):
            continue
        for kind in ("net", "mnt", "pid"):
            try:
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
            except OSError:
                pass
    return found


def host_state():
    """Everything of the host that a mesh could have touched."""
    return {
        "links": sorted(line.split(": ")[1] for line in run("ip", "-o", "link").splitlines()),
        "addresses": sorted(" ".join(line.split()[:4]) for line in run("ip", "-o", "addr").splitlines()),
        "routes": run("ip", "route", "show", "table", "all"),
        "rules": run("ip", "rule"),
        "firewall": run("nft", "list", "ruleset") if shutil.which("nft") else "",
        "named namespaces": run("ip", "netns"),
        "mounts": sorted(line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()),
        "forwarding": pathlib.Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "run": sorted(p.name for p in pathlib.Path("/run").iterdir() if p.name != "hark"),
        "resolv.conf": pathlib.Path("/etc/resolv.conf").read_text(),
    }


def run_folder(mesh):
    """What a mesh has on the host while it runs: its folder, nothing else."""
    return list(pathlib.Path("/run/hark").glob(f"{mesh.name}*"))


@pytest.fixture
def small(tmp_path):
    """A mesh that works, and what the host looked like before."""
    before = host_state()
    docs = [shop.namespace("in", True), shop.client("in"), *shop.odd("in", ports={9001: "greet"})]
    mesh = Mesh(tmp_path, shop.documents(*docs))
    try:
        assert mesh.call("in/client", clients.greeted_exchange, "odd.in", 9001)["greeting"] == "220 odd ready\r\n"
        yield mesh, before
    finally:
        hark("down", "-n", mesh.name, check=False)


def own_namespaces(mesh):
    inside = namespaces(mesh.processes()) - namespaces(["self"])
    assert len([ns for ns in inside if ns.startswith("net:")]) >= 3, inside  # the node and two Pods
    return inside


def test_while_it_runs_nothing_shows_on_the_host(small):
    mesh, before = small
    assert host_state() == before


def test_down_leaves_nothing(small):
    mesh, before = small
    inside = own_namespaces(mesh)
    mesh.down()
    assert host_state() == before and not run_folder(mesh)
    assert not mesh.processes() and not namespaces() & inside
    assert hark("ps", "-n", mesh.name, check=False).returncode == 1


def test_down_after_everything_was_killed(small):
    mesh, before = small
    inside = own_namespaces(mesh)
    for pid in mesh.processes():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # its namespace's first process took it along
    wait_for(lambda: not namespaces() & inside, what="the end of its processes")
    hark("down", "-n", mesh.name, check=False)
    assert host_state() == before and not run_folder(mesh)


def test_down_twice_and_up_again(tmp_path):
    name = f"t-{uuid.uuid4().hex[:8]}"
    file = tmp_path / "pod.yaml"
    file.write_text(shop.documents(shop.client("default")))
    for _ in range(2):
        hark("up", "--detach", "-n", name, "-f", str(file))
        hark("down", "-n", name)
    got = hark("down", "-n", name, check=False)
    assert got.returncode == 1 and name in got.stderr


def test_same_name_twice_is_refused(small, tmp_path):
    mesh, _ = small
    file = tmp_path / "pod.yaml"
    file.write_text(shop.documents(shop.client("default")))
    got = hark("up", "--detach", "-n", mesh.name, "-f", str(file), check=False)
    assert got.returncode == 1 and mesh.name in got.stderr
    assert mesh.call("in/client", clients.resolve, "odd.in")  # the running one did not notice
