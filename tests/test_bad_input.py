"""What bad input gets: a message with file, line and path, exit status 1, and a running mesh left exactly as it was."""

import re
import subprocess
import uuid

import pytest
import shop
from conftest import hark

POD = """apiVersion: v1
kind: Pod
metadata:
  name: a
spec:
  containers:
  - name: a
    command: [sleep, infinity]
"""

# name -> text, the line and the path that the message must name, and a word of it
BAD = {
    "YAML that does not parse": ("apiVersion: v1\nkind: Pod\nmetadata: {name: a\nspec: {}\n", None, "", ""),
    "a tab": ("apiVersion: v1\n\tkind: Pod\n", 2, "", ""),
    "an unknown field": (POD.replace("command:", "comand:"), 8, "spec.containers[0].comand", "comand"),
    "a wrong type": (POD.replace("[sleep, infinity]", "sleep infinity"), 8, "spec.containers[0].command", "list"),
    "a number out of range": ("apiVersion: v1\nkind: Service\nmetadata:\n  name: s\nspec:\n  ports:\n  - port: 70000\n", 7,
                              "spec.ports[0].port", "65535"),
    "a missing name": ("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  namespace: x\ndata: {}\n", None, "metadata", "name"),
    "an unknown kind": ("apiVersion: v1\nkind: Pud\nmetadata:\n  name: a\n", 2, "kind", "Pud"),
    "a duplicate name": (POD + "---\n" + POD, None, "metadata.name", "a"),
    "a targetPort that names no container port": (
        POD.replace("  name: a\nspec", "  name: a\n  labels: {app: a}\nspec") + "---\napiVersion: v1\nkind: Service\nmetadata:\n"
        "  name: s\nspec:\n  selector: {app: a}\n  ports:\n  - port: 80\n    targetPort: web\n", 19, "spec.ports[0].targetPort", "web"),
}


def check_message(stderr, file, line, path, word):
    found = re.search(rf"{re.escape(file)}:(\d+): (.*)", stderr)
    assert found, stderr
    if line:
        assert int(found.group(1)) == line, stderr
    assert path in found.group(2) and word in found.group(2), stderr


@pytest.mark.parametrize("case", BAD)
def test_up_refuses(tmp_path, case):
    text, line, path, word = BAD[case]
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    name = f"bad-{uuid.uuid4().hex[:8]}"
    got = hark("up", "--detach", "-n", name, "-f", str(file), check=False)
    assert got.returncode == 1
    check_message(got.stderr, str(file), line, path, word)
    assert hark("ps", "-n", name, check=False).returncode == 1  # nothing was left running


def test_up_names_every_problem_of_every_file(tmp_path):
    for i, case in enumerate(("an unknown field", "a wrong type")):
        (tmp_path / f"{i}.yaml").write_text(BAD[case][0].replace("name: a\nspec", f"name: p{i}\nspec"))
    got = hark("up", "--detach", "-n", f"bad-{uuid.uuid4().hex[:8]}", "-f", str(tmp_path), check=False)
    assert got.returncode == 1
    assert "0.yaml:8: " in got.stderr and "1.yaml:8: " in got.stderr


def test_up_says_which_pod_is_not_ready_and_why(tmp_path):
    """With the last lines of its log; and what had started is taken down again."""
    file = tmp_path / "pods.yaml"
    file.write_text(POD.replace("[sleep, infinity]", "[sh, -c, 'echo the reason; exit 3']"))
    name = f"bad-{uuid.uuid4().hex[:8]}"
    got = hark("up", "--detach", "-n", name, "-f", str(file), "--timeout", "5", check=False)
    assert got.returncode == 1
    assert "default/a" in got.stderr and "the reason" in got.stderr and "3" in got.stderr
    hark("down", "-n", name, check=False)


def test_up_says_that_a_command_does_not_exist(tmp_path):
    file = tmp_path / "pods.yaml"
    file.write_text(POD.replace("sleep, infinity", "/no/such/command"))
    name = f"bad-{uuid.uuid4().hex[:8]}"
    got = hark("up", "--detach", "-n", name, "-f", str(file), "--timeout", "5", check=False)
    assert got.returncode == 1
    assert "default/a" in got.stderr and "/no/such/command" in got.stderr
    hark("down", "-n", name, check=False)


@pytest.fixture(scope="module")
def hamlet(new_mesh):
    return new_mesh(shop.documents(shop.namespace("in", False), shop.client("in")))


@pytest.mark.parametrize("case", BAD)
def test_apply_refuses_and_changes_nothing(hamlet, case):
    """Also not the good document that stands before the bad one."""
    text, _, path, word = BAD[case]
    good = shop.documents(shop.config_map("in", "new", {"a": "b"}))
    before = hamlet.get("pods"), hamlet.get("services"), hamlet.get("configmaps")
    file = hamlet.file(good + "---\n" + text)
    got = hamlet.hark("apply", "-f", file, check=False)
    assert got.returncode == 1
    check_message(got.stderr, file, None, path, word)
    assert (hamlet.get("pods"), hamlet.get("services"), hamlet.get("configmaps")) == before


def test_apply_to_no_mesh(tmp_path):
    file = tmp_path / "good.yaml"
    file.write_text(POD)
    got = hark("apply", "-n", "no-such-mesh", "-f", str(file), check=False)
    assert got.returncode == 1 and "no-such-mesh" in got.stderr


def test_unknown_command_line_is_exit_status_2():
    for args in (["up", "--no-such-option"], ["no-such-command"], ["exec"]):
        got = subprocess.run([str(shop.HERE.parent / "build" / "hark"), *args], capture_output=True, text=True, check=False)
        assert got.returncode == 2 and got.stderr
