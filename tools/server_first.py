#!/usr/bin/env python3
"""Writes docs/server-first.md from build/server-first.json, which tests/test_server_first.py leaves.

With --check it writes nothing: exit status 1 when the document's outcomes are not those of the run (times may differ).
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RUN = ROOT / "build" / "server-first.json"
DOCUMENT = ROOT / "docs" / "server-first.md"
REST = "## How the first words were decided\n"  # from here on there are figures of one run, which are not compared

HEAD = """# Servers that speak first, under every policy

Does a connection work, over what, and how soon? For each server that the guides of Istio and ASM name: with a sidecar at both ends or at
one, under each PeerAuthentication and each DestinationRule. What hark does is what one run of `tests/test_server_first.py` saw, with real
servers and clients in `hark up`; `tools/server_first.py` made this page of it, and the test fails when the two differ. What Istio does with the same resources is
derived from its documentation and code.

**{stalls} of the {n} combinations stall with Istio** until somebody gives up: the server waits to speak and the sidecar waits for the client. With hark none does. Of those, {mended}
work, and {refused} are refused: by STRICT, which takes no plaintext, or by a DestinationRule that sends mesh TLS to where nobody speaks it.

## How to read the tables

A column pair per DestinationRule (`trafficPolicy.tls.mode`, or none), a row per who has a sidecar and the mode of the PeerAuthentication. "port DISABLE" is PERMISSIVE with `portLevelMtls`
DISABLE for the server's port. The time is from before connect to the first byte that the client got, the median of {knocks} connections, through what is there of sidecars, all on one small busy machine.

| cell | what it says |
|---|---|
| mTLS | works; mesh TLS between the two sidecars. A TLS of the application's own goes inside |
| plaintext | works; what the application says goes over the wire as it is |
| reset at once | refused: plaintext bytes to STRICT; or the server answered mesh TLS with something else, or with a certificate of its own |
| reset at `handshakeTimeout` | refused: STRICT, and a client that says nothing. Until then it could still begin a handshake (10s unless configured) |
| reset at `connectTimeout` | refused: mesh TLS to a server that takes the ClientHello for the beginning of a long message and waits for the rest (10s unless configured) |
| TLS alert | refused: STRICT, and the client's own TLS shows no certificate of the mesh |
| stalls (D1 to D5) | Istio: connected, and then nothing, without a limit. The rows are those of [explain.md](explain.md#elsewhere) |
| TLS to the app | Istio: the ClientHello of mesh TLS reaches the application, which cannot read it |
"""

TAIL = """
Which sentence of [explain.md](explain.md#how-a-race-ends) the access logs gave, for how many of the run's connections. None waited for a window, for the rest of a word that had
stalled, or for a detection timeout: the test reads every line. A head start (2 ms) is what the client of an undeclared port gets before hark listens to the server as well;
a port that is known to speak first has none.
"""


def times_aside(text):
    return re.sub(r" \d+\.\d+ ms", "", text.split(REST)[0])


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def hark_cell(row):
    return f"{row['transport']} {row['first_byte_ms']:.2f} ms" if row["works"] else row["refused"]


def server_table(run, server):
    found = {(r["place"], r["mode"], r["rule"]): r for r in run["rows"] if r["service"] == server["service"]}
    head = ["sidecars", "PeerAuthentication"]
    for rule in run["rules"]:
        head += [f"{'no DestinationRule' if rule == 'none' else rule}: hark", "Istio"]
    rows = []
    for place in run["places"]:
        for mode in run["modes"]:
            cells = [place, mode.replace("PERMISSIVE, ", "")]
            for rule in run["rules"]:
                row = found[place, mode, rule]
                cells += [hark_cell(row), row["elsewhere"]]
            rows.append(cells)
    return table(head, rows)


def words_cell(words):
    return "; ".join(f"{text} ({n})" for text, n in sorted(words.items(), key=lambda item: -item[1]))


def document(run):
    stalls = [r for r in run["rows"] if r["elsewhere"].startswith("stalls")]
    mended = sum(r["works"] for r in stalls)
    text = HEAD.format(stalls=len(stalls), n=len(run["rows"]), mended=mended, refused=len(stalls) - mended, knocks=run["knocks"])
    for server in run["servers"]:
        text += f"\n## {server['title']}\n\n{server_table(run, server)}"
    text += f"\n{REST}{TAIL}\n"
    return text + table(["server", "client's sidecar", "server's sidecar"],
                        [[s["title"], words_cell(s["words"]["outbound"]), words_cell(s["words"]["inbound"])] for s in run["servers"]])


def main():
    run = json.loads(RUN.read_text())
    unexpected = [r for r in run["rows"] if not r["as_expected"]]
    if unexpected:
        print(f"server_first: {len(unexpected)} rows of the run are not as they must be; the first: {unexpected[0]}", file=sys.stderr)
        return 1
    new = document(run)
    if "--check" not in sys.argv[1:]:
        DOCUMENT.write_text(new)
        return 0
    if times_aside(DOCUMENT.read_text()) == times_aside(new):
        return 0
    print(f"server_first: {DOCUMENT.relative_to(ROOT)} is not what the run gave: run tools/server_first.py and look at the difference", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
