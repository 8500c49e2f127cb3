"""Both ends of Istio's certificate service in code that is not ours: Debian's python3-grpcio and python3-cryptography.

ask() is an Istio agent; tests run it in Pods (conftest.Mesh.call), so this module stands alone. As a program it is an
authority like istiod's, for a sidecar of hark to ask:

    python3 agent.py DIR PORT      # writes DIR/root-cert.pem, then a line of JSON to stdout for each request

What it answers stands in DIR/habit, read anew for each request: see answer().
"""

import concurrent.futures
import datetime
import json
import pathlib
import sys

METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
HOST = "istiod.istio-system.svc"


# Protocol Buffers, as much of it as the two messages need.

def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*out, n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value if isinstance(value, bytes) else value.encode()
    return varint(number << 3 | 2) + varint(len(data)) + data


def fields(data):
    """[(number, int or bytes)]"""
    at, out = 0, []

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return n

    while at < len(data):
        key = number()
        value = number()
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        out.append((key >> 3, value))
    return out


# Keys and requests.

def pem_of(key):
    from cryptography.hazmat.primitives import serialization as s
    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode()


def request(kind="good", uri="spiffe://cluster.local/ns/kube-system/sa/admin"):
    """(CSR, private key) as PEM. KIND says what is wrong with it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding
    make = {"weak": lambda: rsa.generate_private_key(65537, 1024), "rsa": lambda: rsa.generate_private_key(65537, 2048),
            "p384": lambda: ec.generate_private_key(ec.SECP384R1()), "k1": lambda: ec.generate_private_key(ec.SECP256K1())}
    key = make.get(kind, lambda: ec.generate_private_key(ec.SECP256R1()))()
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True)
    csr = builder.sign(key, hashes.SHA1() if kind == "sha1" else hashes.SHA256())
    pem = csr.public_bytes(Encoding.PEM).decode()
    if kind == "signature":
        der = bytearray(csr.public_bytes(Encoding.DER))
        der[-3] ^= 1
        import base64
        body = base64.encodebytes(bytes(der)).decode()
        pem = f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"
    if kind == "garbage":
        pem = "hello"
    return pem, pem_of(key)


def ask(target, roots, kind="good", token=None, validity=86400, chain=None, key=None, message=None, timeout=20):
    """One CreateCertificate: {"code", "details", "chain", "key"}."""
    import grpc
    csr, new_key = request(kind)
    credentials = grpc.ssl_channel_credentials(roots.encode(), key.encode() if key else None, chain.encode() if chain else None)
    options = [("grpc.ssl_target_name_override", HOST)]
    metadata = [("clusterid", "Kubernetes")] + ([("authorization", token)] if token is not None else [])
    body = message.encode() if message is not None else field(1, csr) + field(3, validity)
    with grpc.secure_channel(target, credentials, options) as channel:
        call = channel.unary_unary(METHOD, request_serializer=lambda x: x, response_deserializer=lambda x: x)
        try:
            answer = call(body, metadata=metadata, timeout=timeout)
        except grpc.RpcError as e:
            return {"code": e.code().name, "details": e.details(), "chain": [], "key": None}
    return {"code": "OK", "details": "", "chain": [v.decode() for n, v in fields(answer) if n == 1], "key": new_key}


def facts(pem):
    """What a certificate says, by cryptography's own reading."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    c = x509.load_pem_x509_certificate(pem.encode())
    san = c.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    usage = c.extensions.get_extension_for_class(x509.KeyUsage).value
    extended = c.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    public = c.public_key()
    return {"uris": san.value.get_values_for_type(x509.UniformResourceIdentifier), "san_critical": san.critical,
            "subject": c.subject.rfc4514_string(), "ca": c.extensions.get_extension_for_class(x509.BasicConstraints).value.ca,
            "usage": [u for u in ("digital_signature", "key_encipherment", "key_cert_sign") if getattr(usage, u)],
            "extended": sorted(u._name for u in extended),
            "curve": public.curve.name if isinstance(public, ec.EllipticCurvePublicKey) else None,
            "seconds": int((c.not_valid_after - c.not_valid_before).total_seconds()),
            "before": c.not_valid_before.isoformat(), "after": c.not_valid_after.isoformat(), "serial": f"{c.serial_number:X}"}


# Tokens as Kubernetes makes them, signed with the key of an authority's folder.

def token(key_pem, claims):
    import base64
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    url = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    key = serialization.load_pem_private_key(key_pem.encode(), None)
    text = url(json.dumps({"alg": "ES256", "typ": "JWT"}).encode()) + "." + url(json.dumps(claims).encode())
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return text + "." + url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


# The authority.

def now():
    return datetime.datetime.utcnow()


class Authority:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.key, self.root = self.certificate("root", ca=True)
        self.pem(self.root, self.folder / "root-cert.pem")

    def certificate(self, name, public=None, uri=None, dns=None, ca=False, seconds=86400):
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
        key = None if public else ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)] if name else [])
        names = [x509.UniformResourceIdentifier(uri)] if uri else [x509.DNSName(dns)] if dns else []
        b = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject if ca else self.root.subject)
             .public_key(public or key.public_key()).serial_number(x509.random_serial_number())
             .not_valid_before(now() - datetime.timedelta(seconds=120)).not_valid_after(now() + datetime.timedelta(seconds=seconds))
             .add_extension(x509.BasicConstraints(ca, None), critical=True))
        if names:
            b = b.add_extension(x509.SubjectAlternativeName(names), critical=True)
        return key, b.sign(key if ca else self.key, hashes.SHA256())

    def pem(self, cert, path=None):
        from cryptography.hazmat.primitives.serialization import Encoding
        text = cert.public_bytes(Encoding.PEM).decode()
        if path:
            path.write_text(text)
        return text

    def habit(self):
        path = self.folder / "habit"
        return path.read_text() if path.exists() else "well"

    def answer(self, body, context):
        """well; refuse; unavailable; other-key: a certificate for another key."""
        import grpc
        from cryptography import x509
        sent = dict(fields(body))
        csr = x509.load_pem_x509_csr(sent[1])
        uri = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.UniformResourceIdentifier)
        metadata = dict(context.invocation_metadata())
        print(json.dumps({"authorization": metadata.get("authorization"), "clusterid": metadata.get("clusterid"), "validity": sent.get(3),
                          "uri": uri, "signed": csr.is_signature_valid}), flush=True)
        habit = self.habit()
        if habit == "refuse":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "request authenticate failure")
        if habit == "unavailable":
            context.abort(grpc.StatusCode.UNAVAILABLE, "CA is not ready")
        public = None if habit == "other-key" else csr.public_key()
        _, leaf = self.certificate(None, public=public, uri="spiffe://cluster.local/ns/shop/sa/web", seconds=sent.get(3) or 86400)
        return field(1, self.pem(leaf)) + field(1, self.pem(self.root))

    def serve(self, port):
        import grpc
        key, cert = self.certificate(None, dns=HOST)
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        handler = grpc.unary_unary_rpc_method_handler(self.answer)
        service, method = METHOD.lstrip("/").split("/")
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {method: handler})])
        server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([(pem_of(key).encode(), self.pem(cert).encode())]))
        server.start()
        print(json.dumps({"serving": port}), flush=True)
        server.wait_for_termination()


if __name__ == "__main__" and len(sys.argv) == 3:
    Authority(sys.argv[1]).serve(int(sys.argv[2]))
