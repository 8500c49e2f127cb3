"""The hard cases, one by one: silence, pieces, refusals, ends, much at once, restarts."""

import concurrent.futures
import json
import statistics

import clients
import pytest
import shop
from conftest import PLACES, Place, hark, wait_for

# Bounds of these tests are generous: they tell "at once" from "stalled", on a machine that is busy. What hark adds is
# measured in bench/.
AT_ONCE_MS = 1000


def odd_lines(place, port, event="end"):
    return [e for e in place.mesh.json_lines(f"{place.server_ns}/odd") if e.get("port") == port and e["event"] == event]


def learned(place, port):
    """What the sidecars learnt of a port of `odd`: rows of /learned, the client's and the server's."""
    rows = []
    for pod in (place.client, f"{place.server_ns}/odd"):
        if pod.startswith("in/"):
            got = place.mesh.admin_json(pod, "/learned")
            rows += [row for row in got["ports"] if row["port"] == port]
    return rows


# --- silence --------------------------------------------------------------------------------------------------------


def test_client_that_is_silent_for_a_while(meshed):
    got = meshed.call(clients.spoken_exchange, "odd", 9000, 0.5)
    assert got["echo"] == "hello" and got["rest"] == ""
    assert got["echo_ms"] < AT_ONCE_MS


def test_http_client_that_is_silent_for_a_while(meshed):
    got = meshed.call(clients.hear, "nginx", 8081, 0.5, "GET / HTTP/1.1\r\nHost: nginx\r\nConnection: close\r\n\r\n")
    assert got["bytes"].startswith("HTTP/1.1 200 OK\r\n") and got["end"] == "fin"


def test_server_that_greets_after_3_s(meshed):
    got = meshed.call(clients.greeted_exchange, "odd", 9002)
    assert (got["greeting"], got["echo"]) == ("220 odd ready\r\n", "hello\r\n")
    assert 3 <= got["greeted_s"] < 3 + AT_ONCE_MS / 1000


def test_both_silent_for_30_s(city):
    """All places at the same time: silence is the subject, so it is real."""
    places = [Place(city, name) for name in PLACES]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda p: p.call(clients.spoken_exchange, "odd", 9001, 30), places))
    for got in answers:
        assert got["echo"] == "hello" and got["rest"] == ""
        assert got["echo_ms"] < AT_ONCE_MS


@pytest.mark.parametrize("byte", ["\0", "G", "\x16"], ids=["no protocol", "maybe HTTP", "maybe TLS"])
def test_client_that_sends_one_byte_and_waits(meshed, byte):
    """One that can begin neither HTTP nor TLS goes on at once; one that can, after the stall of a word cut short."""
    got = meshed.call(clients.spoken_exchange, "odd", 9014, 0, byte)
    assert got["echo"] == byte
    # at most one `partialWord` (1 s) at each sidecar
    assert got["echo_ms"] < (AT_ONCE_MS if byte == "\0" else 2000 + AT_ONCE_MS)


# --- refusals -------------------------------------------------------------------------------------------------------


def test_server_that_closes_before_a_word(meshed):
    got = meshed.call(clients.hear, "odd", 9006)
    assert (got["bytes"], got["end"]) == ("", "fin")
    assert got["end_ms"] < AT_ONCE_MS
    assert not [row for row in learned(meshed, 9006) if row["learned"] != "nothing"]


def test_server_that_refuses_in_words(meshed):
    got = meshed.call(clients.hear, "odd", 9007)
    assert (got["bytes"], got["end"]) == ("-DENIED try elsewhere\r\n", "fin")
    assert got["end_ms"] < AT_ONCE_MS
    assert not [row for row in learned(meshed, 9007) if row["learned"] != "nothing"]


def test_server_that_resets_before_a_word(meshed):
    got = meshed.call(clients.hear, "odd", 9008)
    assert (got["bytes"], got["end"]) == ("", "reset")
    assert got["end_ms"] < AT_ONCE_MS


def test_nobody_listens(meshed):
    """The sidecar has accepted by then: the client must still see that nobody is there, and soon."""
    got = meshed.call(clients.hear, "odd", shop.ODD_NOBODY)
    assert got["bytes"] == "" and got["end"] in ("reset", "refused")
    assert got["end_ms"] < AT_ONCE_MS


def test_http_server_that_gives_up_on_a_silent_client(meshed):
    got = meshed.call(clients.hear, "odd", 9009)
    assert got["bytes"].startswith("HTTP/1.1 408 ") and got["end"] == "fin"
    assert not [row for row in learned(meshed, 9009) if row["learned"] != "nothing"]


# --- HTTP/2 whose server speaks first -------------------------------------------------------------------------------


def test_http2_client_that_waits_for_settings(meshed):
    got = meshed.call(clients.h2_late, "h2", 8090, 0.3)
    assert got == {"first_frame": 4, "body": "hello over HTTP/2\n"}


def test_http2_is_not_taken_for_a_greeting(both):
    both.call(clients.h2_late, "h2", 8090, 0.3)
    both.call(clients.h2, "h2")
    lines = wait_for(lambda: [e for e in both.mesh.access_log(both.client, side="outbound")
                              if (e["downstream_local_address"] or "").endswith(":8090")], what="the access log line")
    assert {e["detected_protocol"] for e in lines} == {"http2"}, lines


# --- health checks --------------------------------------------------------------------------------------------------


def test_health_check_leaves_no_trace(both):
    """It connects and leaves in silence: it teaches nothing, and the app sees no more of it than without a mesh."""
    both.call(clients.knock, "odd", 9013, 20)
    assert not [row for row in learned(both, 9013) if row["learned"] != "nothing"]
    got = both.call(clients.greeted_exchange, "odd", 9013)
    assert (got["greeting"], got["echo"]) == ("220 odd ready\r\n", "hello\r\n")
    # 20 knocks, one that talked; the one of our own that talked is the last to end
    wait_for(lambda: [e for e in odd_lines(both, 9013) if e["bytes"]], what="the end of the exchange")
    assert len(odd_lines(both, 9013, "open")) <= 21


# --- greetings of every shape ---------------------------------------------------------------------------------------


def test_greeting_in_pieces(meshed):
    got = meshed.call(clients.greeted_exchange, "odd", 9003)
    assert (got["greeting"], got["echo"]) == ("220 piece by piece\r\n", "hello\r\n")


def test_greeting_that_never_ends(meshed):
    n = 20_000_000
    got = meshed.call(clients.taste, "odd", 9004, n)
    assert got["left"] == 0
    assert got["sha256"] == direct_taste(meshed.mesh, n)
    # the server learns that its client has left
    wait_for(lambda: len(odd_lines(meshed, 9004)) == len(odd_lines(meshed, 9004, "open")), what="the server's end")


def direct_taste(mesh, n):
    return Place(mesh, "neither").call(clients.taste, "odd", 9004, n)["sha256"]


def test_greeting_with_its_end(meshed):
    got = meshed.call(clients.hear, "odd", 9005)
    assert (got["bytes"], got["end"]) == ("Friday, January 1, 2027 12:00:00-UTC\r\n", "fin")
    assert got["end_ms"] < AT_ONCE_MS
    # it could be a refusal, in words that nobody knows: nothing follows for the next connection
    assert not [row for row in learned(meshed, 9005) if row["learned"] != "nothing"]


# --- ends -----------------------------------------------------------------------------------------------------------


def test_client_ends_its_side_first(meshed):
    """The server's answer still comes after the client's FIN."""
    got = meshed.call(clients.spoken_exchange, "odd", 9000, 0, "x" * 100_000)
    assert got["echo"] == "x" * 100_000 and got["rest"] == ""


def test_server_ends_its_side_first(meshed):
    before = len(odd_lines(meshed, 9010))
    got = meshed.call(clients.server_ends_first, "odd", 9010, 1_000_000)
    assert got["greeting"] == "220 your turn\r\n"
    end = wait_for(lambda: odd_lines(meshed, 9010)[before:], what="the server's end")[0]
    assert (end["bytes"], end["sha256"], end["how"]) == (1_000_000, got["sha256"], "fin")


def test_client_resets(meshed):
    before = len(odd_lines(meshed, 9018))
    assert meshed.call(clients.reset_mine, "odd", 9018, "hello") == "hello"
    end = wait_for(lambda: odd_lines(meshed, 9018)[before:], what="the server's end")[0]
    assert (end["bytes"], end["how"]) == (5, "reset")


def test_server_resets(meshed):
    got = meshed.call(clients.hear, "odd", 9012, 0, "hello")
    assert got["end"] == "reset"


# --- much -----------------------------------------------------------------------------------------------------------


def test_100_mb_both_ways_at_once(meshed):
    before = len(odd_lines(meshed, 9011))
    got = meshed.call(clients.bulk, "odd", 9011, 100_000_000)
    assert (got["n_got"], got["got"]) == (100_000_000, got["want"])
    end = wait_for(lambda: odd_lines(meshed, 9011)[before:], what="the server's end")[0]
    assert (end["bytes"], end["sha256"], end["how"]) == (100_000_008, got["sent"], "fin")


@pytest.mark.parametrize("port", [9015, 9016], ids=["first", "again"])
def test_2000_connections_at_once(both, port):
    assert both.call(clients.crowd, "odd", port, 2000) == {"unanswered": 0, "wrong": []}
    gone = lambda pod: [c for c in both.mesh.admin_json(pod, "/connections")["connections"]
                        if (c["downstream_local_address"] or "").endswith(f":{port}")] == []
    for pod in (both.client, "in/odd"):
        wait_for(lambda p=pod: gone(p), what=f"no connection left in the sidecar of {pod}")


def test_300_clients_of_one_pod_wait_for_a_slow_greeting(meshed):
    """As long as one of them would wait: no budget of early connections stands in their way."""
    waits = meshed.call(clients.greeted_crowd, "odd", 9002, 300)
    assert len(waits) == 300 and max(waits) < 3000 + 2 * AT_ONCE_MS


def test_600_threads_ask_for_a_name_at_once(both):
    """None of the questions is lost: that would show as one asked again, after 5 s."""
    answers = both.call(clients.resolve_at_once, "odd", 600)
    assert answers["found"] == 600 and answers["slowest_s"] < 4


# --- restarts -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def town(new_mesh):
    """A mesh of its own for what is killed and stopped."""
    docs = [shop.namespace("in", True), shop.client("in")]
    for name in ("fragile", "loaded"):
        docs += shop.odd("in", name, ports={9000: "echo", 9001: "greet"})
    docs += shop.odd("in", "leaving", ports={9000: "echo", 9001: "greet"}, finish=True)
    return new_mesh(shop.documents(*docs))


def test_app_that_restarts(town):
    talk = lambda: town.call("in/client", clients.greeted_exchange, "fragile.in", 9001)["greeting"]
    assert talk() == "220 odd ready\r\n"
    held = town.start("in/client", clients.hold, "fragile.in", 9000)
    held.tell()
    assert held.hear() == "held 0"
    # The end of a container's command is the end of all that runs in it, of this too.
    hark(*town.argv("in/fragile", clients.signal_all, "odd.py", 9), check=False)
    held.tell()
    assert held.result() == "ended"

    def again():
        got = town.call("in/client", clients.hear, "fragile.in", 9001, 0, "bye\r\n", 2)
        return got["bytes"].startswith("220 odd ready\r\n")

    wait_for(again, timeout=30, what="a greeting of the restarted app")


def test_sidecar_of_the_server_stops_under_load(town):
    """What is open goes on to its end, with nothing lost; then a new sidecar serves."""
    talking = town.start("in/client", clients.steady, "loaded.in", 9000, 20, 400)
    assert talking.hear() == "talking"
    assert town.call("in/loaded", clients.signal_all, "proxy", 15, container="istio-proxy")
    assert talking.result() == []

    def again():
        return town.call("in/client", clients.hear, "loaded.in", 9001, 0, "bye\r\n", 2)["bytes"].startswith("220 ")

    wait_for(again, timeout=60, what="a greeting through the new sidecar")


def test_pod_is_deleted_under_load(town):
    """The app finishes what is open; its sidecar outlives it, so nothing is lost."""
    talking = town.start("in/client", clients.steady, "leaving.in", 9000, 20, 400)
    assert talking.hear() == "talking"
    town.delete(shop.documents(shop.pod("in", "leaving", [])))
    assert talking.result() == []
    wait_for(lambda: "leaving" not in [p["metadata"]["name"] for p in town.get("pods")["items"]], timeout=40, what="the end of the Pod")


# --- what it costs --------------------------------------------------------------------------------------------------


def test_greeting_is_not_delayed(both):
    """No fixed figure (bench/ has those): through two sidecars the greeting comes within a fraction of any timer."""
    direct = Place(both.mesh, "neither").call(clients.first_byte, "odd", 9019, "", 30)
    through = both.call(clients.first_byte, "odd", 9019, "", 30)
    assert None not in through
    added = statistics.median(through) - statistics.median(direct)
    print(json.dumps({"direct_ms": statistics.median(direct), "added_ms": added}))
    assert added < 50
