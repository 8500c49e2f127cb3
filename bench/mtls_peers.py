"""Pairs of proxies with mutual TLS between them, as a client's and a server's sidecar stand: plaintext -> mTLS, mTLS -> plaintext.

All are to do the same work: TLS 1.3, AES-128-GCM, X25519, ECDSA P-256 certificates of one authority, verified both ways. What is
negotiated is looked at on the wire (tap.py), not believed.
"""
import pathlib
import socket
import ssl
import subprocess

import peers
import tap

ENVOY_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."


class Certificates:
    """A throw-away CA with one workload certificate, ECDSA P-256 as a mesh uses."""

    def __init__(self, scratch):
        self.dir = pathlib.Path(scratch) / "certs"
        self.dir.mkdir(exist_ok=True)
        if (self.dir / "both.pem").exists():
            return

        def openssl(*args):
            subprocess.run(["openssl", *args], cwd=self.dir, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "root-cert.pem", "-subj", "/O=bench", "-days", "2")
        openssl("req", *key, "-keyout", "key.pem", "-out", "w.csr", "-subj", "/")
        (self.dir / "ext").write_text("subjectAltName=critical,URI:spiffe://cluster.local/ns/bench/sa/w,DNS:w\nkeyUsage=critical,digitalSignature\n"
                                      "extendedKeyUsage=serverAuth,clientAuth\n")
        openssl("x509", "-req", "-in", "w.csr", "-CA", "root-cert.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "cert-chain.pem", "-days", "2",
                "-extfile", "ext")
        (self.dir / "both.pem").write_text((self.dir / "cert-chain.pem").read_text() + (self.dir / "key.pem").read_text())


class Pair:
    """ACCEPT ends mutual TLS, DIAL speaks it. VIA(port) may put something between them and says where that listens."""

    def __init__(self, accept, dial):
        self.accept, self.dial = accept, dial

    def __call__(self, peer, to, via=None):
        certs = Certificates(peer.scratch).dir
        self.accept(peer, to, certs)
        peer.accept_port = peer.port
        self.dial(peer, via(peer.port) if via else peer.port, certs)


def hark(*extra):
    """EXTRA: for both. With --detect the dialling one listens to both ends, as a sidecar does where nothing is declared."""
    def side(which, only=()):
        return lambda p, to, certs: p.hark(to, "--cert-dir", str(certs), "--tls", which, *extra, *only)
    return Pair(side("client"), side("server")), Pair(side("client"), side("server", ["--detect"]))


def bare():
    """OpenSSL and a loop that does nothing else; full handshakes."""
    return Pair(lambda p, to, c: p.bare(to, "accept", str(c)), lambda p, to, c: p.bare(to, "dial", str(c)))


def haproxy(resume):
    bind, dial = ("", "") if resume else ("no-tls-tickets", "no-ssl-reuse")
    return Pair(lambda p, to, c: p.haproxy("haproxy-mtls.cfg", to, DIAL_TLS="", CACHE=20000 if resume else 0,
                                           BIND_TLS=f"ssl crt {c}/both.pem ca-file {c}/root-cert.pem verify required curves X25519:P-256 {bind}"),
                lambda p, to, c: p.haproxy("haproxy-mtls.cfg", to, BIND_TLS="", CACHE=20000,
                                           DIAL_TLS=f"ssl crt {c}/both.pem ca-file {c}/root-cert.pem verify required sni str(w) verifyhost w {dial}"))


def nginx(resume):
    cache = "ssl_session_cache shared:s:10m;" if resume else "ssl_session_cache off; ssl_session_tickets off;"
    return Pair(lambda p, to, c: p.nginx("nginx-mtls.conf", to, BIND_TLS="ssl", TLS=(
                    f"ssl_certificate {c}/cert-chain.pem; ssl_certificate_key {c}/key.pem; ssl_client_certificate {c}/root-cert.pem; ssl_verify_client on; "
                    f"ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_ecdh_curve X25519:P-256; {cache}")),
                lambda p, to, c: p.nginx("nginx-mtls.conf", to, BIND_TLS="", TLS=(
                    f"proxy_ssl on; proxy_ssl_certificate {c}/cert-chain.pem; proxy_ssl_certificate_key {c}/key.pem; proxy_ssl_trusted_certificate {c}/root-cert.pem; "
                    "proxy_ssl_verify on; proxy_ssl_name w; proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3; "
                    f"proxy_ssl_session_reuse {'on' if resume else 'off'};")))


def envoy(resume):
    def common(c):
        return (f'common_tls_context: {{tls_params: {{tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3, ecdh_curves: [X25519, P-256]}}, '
                f'tls_certificates: [{{certificate_chain: {{filename: "{c}/cert-chain.pem"}}, private_key: {{filename: "{c}/key.pem"}}}}], '
                f'validation_context: {{trusted_ca: {{filename: "{c}/root-cert.pem"}}}}}}')

    def down(c):
        tickets = "" if resume else "disable_stateless_session_resumption: true, disable_stateful_session_resumption: true, "
        return (f'      transport_socket: {{name: tls, typed_config: {{"@type": {ENVOY_TLS}DownstreamTlsContext, {tickets}require_client_certificate: true, {common(c)}}}}}')

    def up(c):
        keys = "" if resume else "max_session_keys: 0, "
        return f'    transport_socket: {{name: tls, typed_config: {{"@type": {ENVOY_TLS}UpstreamTlsContext, {keys}sni: w, {common(c)}}}}}'

    return Pair(lambda p, to, c: p.envoy("envoy-tcp.yaml", to, TLS_DOWN=down(c), TLS_UP=""),
                lambda p, to, c: p.envoy("envoy-tcp.yaml", to, TLS_DOWN="", TLS_UP=up(c)))


def table(resume):
    """{name: how}, with session resumption or with a full handshake for each connection. (The bare relay resumes nothing.)"""
    plain, _ = hark(*(() if resume else ("--no-resumption",)))
    return {"direct": peers.TCP["direct"], **({} if resume else {"bare": bare()}), "hark": plain, "envoy": envoy(resume), "haproxy": haproxy(resume), "nginx": nginx(resume)}


def relay_table():
    """Where connections last, the bare relay has its place too."""
    return {"direct": peers.TCP["direct"], "bare": bare(), **table(True)}


def greet_table(resume):
    """The same where nothing is declared: the server speaks first."""
    _, detecting = hark(*(() if resume else ("--no-resumption",)))
    return {**table(resume), "hark": detecting}


def strangers_refused(port):
    """Nobody gets in without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as raw, context.wrap_socket(raw, server_hostname="w") as s:
            s.sendall(b"x" * 64)
            return s.recv(1) == b""
    except OSError:
        return True


def facts(name, how, scratch, to, connections=8):
    """What a pair negotiates, seen on the wire between its two: a connection with one exchange after the other. TO echoes."""
    seen = tap.Tap()
    peer = peers.start(name, lambda p, t: how(p, t, seen.before), scratch, to)
    if not peer:
        seen.stop()
        return None
    try:
        for _ in range(connections):
            with socket.create_connection(("127.0.0.1", peer.port), 5) as s:
                s.sendall(b"x" * 64)
                if not s.recv(64):
                    raise RuntimeError(f"{name}: no echo through the pair")
        if not strangers_refused(peer.accept_port):
            raise RuntimeError(f"{name}: a client without a certificate got in")
        return seen.summary()
    finally:
        peer.stop()
        seen.stop()
