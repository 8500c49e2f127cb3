"""Virtual IPs of ServiceEntry hosts outlive the mesh: another one with the same hosts gives the same addresses."""

import clients
import pytest
import shop
from conftest import wait_for

N = 40
CLASH = ["aeq.b", "ass.b"]  # their names lead to one address


def entry(name, *hosts, **spec):
    return {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": shop.meta(name, "in"),
            "spec": {"hosts": list(hosts), "ports": [{"number": 3306, "name": "db"}], "resolution": "DNS", **spec}}


def hosts_of(doc):
    return doc["spec"]["hosts"]


def given(mesh, settled=True):
    """host -> addresses, as all statuses have them; entries that disagree are an error."""
    def look():
        found = {}
        for e in mesh.get("serviceentries")["items"]:
            rows = e.get("status", {}).get("addresses", [])
            if settled and not e["spec"].get("addresses") and {r["host"] for r in rows} != set(hosts_of(e)):
                return None
            for host in {r["host"] for r in rows}:
                mine = {r["value"] for r in rows if r["host"] == host}
                assert found.setdefault(host, mine) == mine, e
        return found

    return wait_for(look, what="an address for every host")


def up(new_mesh, folder, files):
    """FILES: name -> documents; the files of one folder are read by name."""
    folder.mkdir()
    for name, docs in files.items():
        (folder / name).write_text(shop.documents(*docs))
    return new_mesh(shop.documents(shop.namespace("in", True), shop.client("in")), "-f", str(folder))


def answers(mesh, host):
    """What a program in the mesh gets for HOST."""
    return set(wait_for(lambda: mesh.call("in/client", clients.resolve, host), what=host))


@pytest.fixture(scope="module")
def first(new_mesh, tmp_path_factory):
    docs = [entry(f"e{i}", f"h{i}.example.com") for i in range(N)] + [entry("two", *CLASH)]
    mesh = up(new_mesh, tmp_path_factory.mktemp("first") / "d", {"a.yaml": docs[:N // 2], "b.yaml": docs[N // 2:]})
    return mesh, docs, given(mesh)


def test_each_host_has_its_own(first):
    mesh, docs, addresses = first
    assert set(addresses) == {h for d in docs for h in hosts_of(d)}
    everything = [a for all_of_one in addresses.values() for a in all_of_one]
    assert len(everything) == len(set(everything))
    for host in ("h0.example.com", *CLASH):
        assert answers(mesh, host) == addresses[host]


def test_another_mesh_in_another_order(first, new_mesh, tmp_path):
    _, docs, addresses = first
    *singles, _two = [{**d, "metadata": {**d["metadata"], "name": f"x{len(docs) - i}"}} for i, d in enumerate(docs)]
    apart = [entry(f"of-{h.split('.')[0]}", h) for h in CLASH]
    mesh = up(new_mesh, tmp_path / "d", {"0.yaml": [entry("first", "unrelated.example.org")], "1.yaml": apart, "2.yaml": singles[::-1]})
    again = given(mesh)
    assert {h: again[h] for h in addresses} == addresses
    assert not again["unrelated.example.org"] & {a for all_of_one in addresses.values() for a in all_of_one}
    for host in ("h0.example.com", *CLASH):
        assert answers(mesh, host) == addresses[host]


def test_exported_addresses_come_back(first, new_mesh, tmp_path):
    """Where the names alone would give others: what `hark get -o yaml` said is a backup."""
    mesh = up(new_mesh, tmp_path / "d", {"a.yaml": [entry("late", CLASH[1])]})
    wait_for(lambda: given(mesh).get(CLASH[1]))
    mesh.apply(shop.documents(entry("early", CLASH[0])))
    before = given(mesh)
    assert before[CLASH[1]] != first[2][CLASH[1]]
    backup = mesh.hark("get", "serviceentries", "-o", "yaml").stdout
    other = new_mesh(shop.documents(shop.namespace("in", True), shop.client("in")), "-f", mesh.file(backup))
    assert given(other) == before
    assert answers(other, CLASH[1]) == before[CLASH[1]]


def test_claims(first):
    """The oldest entry keeps an address that another claims; a person's word goes before both."""
    mesh, _, addresses = first
    wanted = addresses["h1.example.com"]
    v4 = next(a for a in wanted if "." in a)
    claim = entry("a-claim", "claim.example.com")
    claim["status"] = {"addresses": [{"value": a, "host": "claim.example.com"} for a in wanted]}
    mesh.apply(shop.documents(claim))
    now = given(mesh)
    assert now["h1.example.com"] == wanted and not now["claim.example.com"] & wanted
    mesh.apply(shop.documents({**claim, "metadata": shop.meta("e1", "in"), "spec": {**claim["spec"], "hosts": ["h1.example.com"]},
                               "status": {"addresses": [{"value": "240.240.0.9", "host": "h1.example.com"}]}}))
    assert given(mesh)["h1.example.com"] == wanted  # an older export moves nobody
    mesh.apply(shop.documents(entry("person", "person.example.com", addresses=[v4])))
    moved = wait_for(lambda: (g := given(mesh)["h1.example.com"]) != wanted and g, what="another address")
    assert {a for a in moved if ":" in a} == {a for a in wanted if ":" in a}
    wait_for(lambda: answers(mesh, "h1.example.com") == moved, what="the new address in the DNS")
    assert answers(mesh, "person.example.com") == {v4}
