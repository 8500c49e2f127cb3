"""`./dev demo`, as a new user runs it: no terminal, no standard input."""
import json
import pathlib
import subprocess

TOP = pathlib.Path(__file__).resolve().parent.parent


def test_demo_prints_and_writes_a_row_per_server():
    result = TOP / "build/demo.json"
    result.unlink(missing_ok=True)
    done = subprocess.run(["python3", "tools/demo.py"], cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr  # plain where there is no terminal
    rows = json.loads(result.read_text())["rows"]
    assert len(rows) >= 10
    for row in rows:
        assert set(row) == {"server", "port", "protocol", "spoke_first", "mtls", "direct_ms", "permissive_ms", "strict_ms",
                            "client_first_ms", "ok"}, row
        assert row["ok"] is True and row["mtls"] is True, row
        assert row["direct_ms"] > 0 and row["permissive_ms"] > 0 and row["strict_ms"] > 0, row
        # Whoever waits for the client hears nothing from a server that speaks first, and is answered by the others.
        assert row["spoke_first"] in ("server", "client") and (row["client_first_ms"] is None) == (row["spoke_first"] == "server"), row
        assert row["server"] in done.stdout
