"""Certificates that nothing of hark made: an authority of the tests' own, kept as Istio's Secret `cacerts` and run with
the openssl command.

    ours = Authority(folder)                    # `hark up --ca-dir folder` signs with it from then on
    ours.issue("spiffe://cluster.local/ns/in/sa/default")           # {"chain": PEM, "key": PEM}
    ours.issue(ends=-60)                                            # a certificate that ended a minute ago, and so on

Each authority has a root and, signed by it, the intermediate that signs certificates, as users of `cacerts` have it.
"""

import datetime
import functools
import pathlib
import subprocess

SIGNING = """
[ca]
default_ca = us
[us]
database = {folder}/state/index
new_certs_dir = {folder}/state
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = optional
organizationName = optional
"""
DAY = 24 * 3600


def openssl(*args, stdin=None):
    done = subprocess.run(["openssl", *args], input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"openssl {' '.join(args)}: {done.stderr}"
    return done.stdout


def at(seconds):
    """So many seconds from now, as `openssl ca` reads it."""
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return when.strftime("%Y%m%d%H%M%SZ")


@functools.cache
def key(kind="ec"):
    """A private key. Tests do not depend on its being new: one per kind saves time."""
    if kind == "ec":
        return openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    return openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")


def spiffe(ns, account="default", domain="cluster.local"):
    return f"spiffe://{domain}/ns/{ns}/sa/{account}"


class Authority:
    def __init__(self, folder, name="tests"):
        self.folder = pathlib.Path(folder)
        work = self.folder / "state"
        work.mkdir(parents=True)
        (work / "index").touch()
        (work / "signing.cnf").write_text(SIGNING.format(folder=self.folder))
        root_key = work / "root-key.pem"
        root_key.write_text(openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"))
        self.root = openssl("req", "-x509", "-new", "-key", str(root_key), "-days", "10", "-subj", f"/O={name}/CN=root",
                            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        (self.folder / "root-cert.pem").write_text(self.root)
        own = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        (self.folder / "ca-key.pem").write_text(own)
        self.intermediate = self.sign(own, root_key, self.folder / "root-cert.pem", f"/O={name}/CN=intermediate",
                                      "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\n", -300, 9 * DAY)
        (self.folder / "ca-cert.pem").write_text(self.intermediate)
        (self.folder / "cert-chain.pem").write_text(self.intermediate)

    def sign(self, private, ca_key, ca_cert, subject, extensions, starts, ends):
        work = self.folder / "state"
        (work / "key.pem").write_text(private)
        (work / "ext.cnf").write_text(f"[x]\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n{extensions}")
        openssl("req", "-new", "-key", str(work / "key.pem"), "-subj", subject, "-out", str(work / "csr.pem"))
        return openssl("ca", "-batch", "-notext", "-config", str(work / "signing.cnf"), "-in", str(work / "csr.pem"),
                       "-keyfile", str(ca_key), "-cert", str(ca_cert), "-extfile", str(work / "ext.cnf"), "-extensions", "x",
                       "-startdate", at(starts), "-enddate", at(ends))

    def issue(self, *uris, dns=(), starts=-120, ends=DAY, kind="ec", subject="/O=tests"):
        """A workload's certificate with these names (none at all: without subjectAltName), valid in the seconds from now
        that STARTS and ENDS give."""
        names = [*(f"URI:{u}" for u in uris), *(f"DNS:{d}" for d in dns)]
        san = f"subjectAltName=critical,{','.join(names)}\n" if names else ""
        leaf = self.sign(key(kind), self.folder / "ca-key.pem", self.folder / "ca-cert.pem", subject,
                         "basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature,keyEncipherment\n"
                         f"extendedKeyUsage=serverAuth,clientAuth\n{san}", starts, ends)
        return {"chain": leaf + self.intermediate, "key": key(kind)}
