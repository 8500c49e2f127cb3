"""Real servers on ports that nobody declared: a query, a mail, a file, a login really go through, with sidecars at
both ends, at one, and at none."""

import clients
import pytest
from conftest import wait_for

# Service -> what the sidecars must find on its port, and who speaks first there
FOUND = {
    "mariadb": (3307, "mysql", "server"),
    "postfix": (2525, "smtp", "server"),
    "vsftpd": (2121, "ftp", "server"),
    "openssh": (2222, "ssh", "server"),
    "imap": (1143, "imap", "server"),
    "pop3": (1110, "pop3", "server"),
    "nats": (4333, "nats", "server"),
    "postgres": (5433, "tcp", "client"),
    "redis": (6380, "tcp", "client"),
    "memcached": (11222, "tcp", "client"),
    "bind": (5353, "tcp", "client"),
    "nginx": (8081, "http/1.1", "client"),
    "nginx-tls": (8444, "tls", "client"),
}


def test_mariadb_answers_a_query(place):
    assert place.call(clients.mariadb, "mariadb") == "1300"


def test_postfix_takes_a_mail(place, token):
    assert place.call(clients.smtp, "postfix", token) is True
    server = place.server_pod("postfix")
    wait_for(lambda: token in place.mesh.exec(server, "cat", "/var/mail/inbox", check=False).stdout, what="the mail in the mailbox")


def test_vsftpd_hands_out_files_on_passive_connections(place):
    got = place.call(clients.ftp, "vsftpd")
    assert got == {"names": ["hello.txt"], "files": ["a file from vsftpd\n"] * 3}


def test_vsftpd_takes_a_file_behind_a_virtual_ip(place, token):
    assert place.call(clients.ftp_upload, "uploads", token) == len(token) * 1000
    got = place.mesh.exec(f"{place.server_ns}/uploads", "cat", f"/files/incoming/{token}.txt").stdout
    assert got == token * 1000


def test_openssh_runs_a_command(place, token):
    assert place.call(clients.ssh, "openssh", token) == f"{token}\nshop"


def test_dovecot_keeps_a_mail_for_imap_and_pop3(place, token):
    assert place.call(clients.imap, "imap", token) == f"body of {token}"
    assert place.call(clients.pop3, "pop3", token) == 1


def test_nats_delivers_a_message(place, token):
    got = place.call(clients.nats, "nats", token)
    assert got == {"greeting": "INFO ", "message": [f"MSG {token} 1 5", "hello"]}


def test_postgres_answers_a_query(place):
    assert place.call(clients.postgres, "postgres") == "42"


def test_redis_remembers(place, token):
    assert place.call(clients.redis, "redis", token) == ["OK", f"value of {token}"]


def test_memcached_remembers(place, token):
    assert place.call(clients.memcached, "memcached", token) == ["STORED", f"VALUE {token} 0 5", "hello", "END", ""]


def test_nginx_serves_http(place):
    got = place.call(clients.http, "nginx")
    assert got["status"] == 200 and got["body"].startswith("hello from nginx-")


def test_nginx_serves_https(place):
    assert place.call(clients.https, "nginx-tls") == {"status": 200, "body": "hello over TLS\n"}


def test_bind_answers_over_tcp(place):
    assert place.call(clients.dns, "bind") == "192.0.2.80"


def test_nghttpd_serves_http2(place):
    assert place.call(clients.h2, "h2") == ["hello over HTTP/2", "hello over HTTP/2"]


def test_both_nginx_pods_are_used(both):
    bodies = {both.call(clients.http, "nginx")["body"] for _ in range(8)}
    assert len(bodies) == 2, bodies


@pytest.mark.parametrize("service", FOUND)
def test_sidecars_name_the_protocol_and_who_spoke_first(both, service, token):
    """Asked at the client's sidecar and at the server's, of connections made just now."""
    port, protocol, first = FOUND[service]
    talk = {"nginx": clients.http, "nginx-tls": clients.https, "postgres": clients.postgres, "bind": clients.dns,
            "redis": clients.redis, "memcached": clients.memcached}.get(service)
    if talk is None:
        both.call(clients.first_byte, service, port)  # a client that waits for the greeting
    elif service in ("redis", "memcached"):
        both.call(talk, service, token)
    else:
        both.call(talk, service)

    def lines(pod, side):
        found = both.mesh.access_log(pod, side=side)
        return [e for e in found if (e["downstream_local_address"] or "").endswith(f":{port}")]

    app = "dovecot" if service in ("imap", "pop3") else service
    for pods, side in (([both.client], "outbound"), (both.mesh.pods("in", app), "inbound")):
        last = wait_for(lambda p=pods, s=side: [e for pod in p for e in lines(pod, s)][-1:], what=f"the {side} line")[0]
        assert (last["detected_protocol"], last["first_bytes_from"]) == (protocol, first), last
        assert last["reason"]
