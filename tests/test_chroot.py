"""hark in a folder that somebody chroot(2)ed into, which is no mount, as debootstrap and packagers' tools make them."""

import json
import pathlib
import subprocess
import uuid

import clients
import pytest
import shop
from conftest import HARK, LIMIT, Mesh

# A root with all that the host's has, but an ordinary folder of a file system that is mounted elsewhere.
MAKE_ROOT = """
set -e
mount -t tmpfs none "$1"
mkdir -p "$1/root/run"
cd "$1/root"
for path in /*; do
    if [ -L "$path" ]; then
        cp --no-dereference "$path" .
    elif [ -d "$path" ] && [ "$path" != /run ]; then
        mkdir ".$path"
        mount --rbind "$path" ".$path"
    fi
done
echo done
exec sleep infinity
"""


class InChroot(Mesh):
    """A mesh whose every command runs in the chroot."""

    def __init__(self, enter, name):
        self.name, self.remotes, self.enter = name, [], enter

    def hark(self, verb, *args, **_):
        done = subprocess.run([*self.enter, HARK, verb, "-n", self.name, *args], capture_output=True, text=True,
                              timeout=LIMIT, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        return done


@pytest.fixture
def enter(tmp_path):
    """What a command begins with to run in the chroot."""
    if not any(line.split()[4] == "/" for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
        yield []  # we are in one already
        return
    place = tmp_path / "place"
    place.mkdir()
    holder = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", MAKE_ROOT, "sh", str(place)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "done\n"
    yield ["nsenter", "-t", str(holder.pid), "-m", "chroot", f"{place}/root"]
    holder.kill()
    holder.communicate()


def test_a_mesh_in_a_chroot(enter, tmp_path):
    manifest = tmp_path / "mesh.yaml"
    manifest.write_text(shop.documents(shop.namespace("in", True), shop.client("in"),
                                       *shop.odd("in", ports={9001: "greet"})))
    mesh = InChroot(enter, f"c{uuid.uuid4().hex[:8]}")
    mesh.hark("up", "--detach", "-f", str(manifest))
    try:
        source = mesh.argv("in/client", clients.greeted_exchange, "odd.in", 9001)
        got = mesh.hark("exec", *source[3:])
        assert json.loads(got.stdout)["greeting"] == "220 odd ready\r\n"
    finally:
        mesh.hark("down")
