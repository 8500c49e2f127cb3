"""TLS peers that are not hark's, for Pods without a sidecar: Python's ssl, and the commands of OpenSSL and GnuTLS.

The tests call these functions as those of clients.py: the text of this module goes along, so it stands alone and uses the
standard library only. Certificates lie in /config: NAME.pem, NAME.key, and root.pem with all that is to be trusted.
"""

import json
import socket
import ssl
import subprocess
import sys

TIMEOUT = 20  # s; generous: it ends a hang, it is no measure
REQUEST = b"GET / HTTP/1.1\r\nHost: odd\r\nConnection: close\r\n\r\n"


def context_of(row, role=ssl.PROTOCOL_TLS_CLIENT):
    ctx = ssl.SSLContext(role)
    ctx.check_hostname = False
    ctx.load_verify_locations("/config/root.pem")
    ctx.verify_mode = ssl.CERT_REQUIRED
    if row.get("cert"):
        ctx.load_cert_chain(f"/config/{row['cert']}.pem", f"/config/{row['cert']}.key")
    if row.get("alpn"):
        ctx.set_alpn_protocols(row["alpn"])
    if row.get("version"):  # that one alone
        ctx.minimum_version = ctx.maximum_version = ssl.TLSVersion[row["version"]]
    if row.get("ciphers"):
        ctx.set_ciphers(row["ciphers"])
    return ctx


def names_of(tls):
    return [value for _, value in tls.getpeercert().get("subjectAltName", ())]


def read_all(sock):
    got = b""
    while data := sock.recv(1 << 16):
        got += data
    return got


def visit(host, row):
    """One handshake and one request: what was agreed on, whom the server's certificate names, and what came back. ROW:
    port, and what is to be offered."""
    out = {"made": False, "answer": "", "error": None}
    with socket.create_connection((host, row["port"]), timeout=TIMEOUT) as sock:
        try:
            with context_of(row).wrap_socket(sock, server_hostname=row.get("sni")) as tls:
                out.update(made=True, alpn=tls.selected_alpn_protocol(), version=tls.version(), cipher=tls.cipher()[0],
                           names=names_of(tls))
                tls.sendall(REQUEST)
                out["answer"] = read_all(tls).partition(b"\r\n\r\n")[2].decode()
                tls.unwrap()
        except ssl.SSLError as e:  # an alert comes as TLSV13_ALERT_CERTIFICATE_REQUIRED and the like
            out["error"] = e.reason or str(e)
        except OSError as e:
            out["error"] = type(e).__name__
    return out


def greeted(host, row):
    """One handshake, and the line with which the server greets."""
    with socket.create_connection((host, row["port"]), timeout=TIMEOUT) as sock:
        with context_of(row).wrap_socket(sock) as tls:
            line = tls.makefile("rb").readline().decode()
            tls.unwrap()
            return line


def visits(host, rows):
    return [visit(host, row) for row in rows]


# --- commands -------------------------------------------------------------------------------------------------------


def command(argv, say=REQUEST, ends=b'"}'):
    """Runs a client that relays between a connection and us; what it printed until ENDS stood in there."""
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        process.stdin.write(say)
        process.stdin.flush()
        got = b""
        while ends not in got:
            data = process.stdout.read1(1 << 16)
            if not data:
                break
            got += data
        process.stdin.close()
        got += process.stdout.read()
    return got.decode("latin-1")


def openssl_client(host, port, cert, alpn):
    return command(["openssl", "s_client", "-connect", f"{host}:{port}", "-CAfile", "/config/root.pem", "-verify_return_error",
                    "-cert", f"/config/{cert}.pem", "-cert_chain", f"/config/{cert}.pem", "-key", f"/config/{cert}.key",
                    "-nocommands", *(["-alpn", ",".join(alpn)] if alpn else [])])


def gnutls_client(host, port, cert, alpn):
    """It compares host names, which these certificates do not have: --insecure lets it say so and go on."""
    return command(["gnutls-cli", "--x509cafile", "/config/root.pem", "--x509certfile", f"/config/{cert}.pem", "--x509keyfile",
                    f"/config/{cert}.key", "--insecure", *(f"--alpn={a}" for a in alpn), "-p", str(port), host])


def openssl_renegotiates(host, port, cert):
    """TLS 1.2: asks for new keys once the server has greeted. R is s_client's word for it."""
    argv = ["openssl", "s_client", "-tls1_2", "-connect", f"{host}:{port}", "-cert", f"/config/{cert}.pem", "-cert_chain",
            f"/config/{cert}.pem", "-key", f"/config/{cert}.key", "-alpn", "istio"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        got = b""
        while b"220 " not in got:
            data = process.stdout.read1(1 << 16)
            if not data:
                break
            got += data
        process.stdin.write(b"R\n")
        process.stdin.flush()
        got += process.stdout.read()
    return got.decode("latin-1")
