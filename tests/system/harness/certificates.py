"""Authorities and certificates, made by openssl(1) as an administrator would."""
import itertools, pathlib, shutil, subprocess, tempfile

KINDS = {
    "ecdsa": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "p384": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "rsa": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "ed25519": ("-algorithm", "ED25519"),
    "ed448": ("-algorithm", "ED448"),
    "rsa-pss": ("-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"),
}


def openssl(*words, input=None):
    done = subprocess.run(["openssl", *map(str, words)], input=input, capture_output=True, timeout=60)
    assert done.returncode == 0, f"openssl {words}: {done.stderr.decode(errors='replace')}"
    return done.stdout


class Certificate:
    """key, cert (leaf first, then what stands between it and the authority) and both: PEM files."""

    def __init__(self, folder, stem):
        self.key, self.cert, self.both = (folder / f"{stem}.{suffix}" for suffix in ("key", "pem", "chain"))

    def fingerprint(self, digest="sha256"):
        """As Postfix writes it: capitals and colons."""
        return openssl("x509", "-in", self.cert, "-noout", "-fingerprint", f"-{digest}").decode().strip().partition("=")[2]

    def key_fingerprint(self, digest="sha256"):
        public = openssl("x509", "-in", self.cert, "-noout", "-pubkey")
        der = openssl("pkey", "-pubin", "-outform", "DER", input=public)
        return openssl("dgst", f"-{digest}", "-c", input=der).decode().split()[-1].upper()


class Authority:
    """An authority of its own in folder (a new one below /tmp if none is given)."""

    def __init__(self, name="Test CA", folder=None, parent=None):
        self.folder = pathlib.Path(folder) if folder else pathlib.Path(tempfile.mkdtemp(prefix="ca-test-"))
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        self.name, self.parent, self.numbers = name, parent, itertools.count(1)
        self.key, self.cert = self.folder / "ca.key", self.folder / "ca.pem"
        openssl("genpkey", *KINDS["ecdsa"], "-out", self.key)
        if parent:
            self.cert.write_bytes(parent.sign(self.key, f"/CN={name}", "basicConstraints=critical,CA:TRUE"))
        else:
            openssl("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}", "-days", "30", "-addext", "basicConstraints=critical,CA:TRUE", "-out", self.cert)

    def sign(self, key, subject, extensions, days=30, begin=None, end=None):
        """The certificate in PEM. begin, end: "YYYYMMDDHHMMSSZ", for one that is not valid now."""
        request = openssl("req", "-new", "-utf8", "-key", key, "-subj", subject)
        number = next(self.numbers)
        request_file, extension_file, out = (self.folder / f"{number}.{suffix}" for suffix in ("csr", "ext", "crt"))
        request_file.write_bytes(request)
        extension_file.write_text(extensions + "\n")
        if begin or end:
            self.sign_dated(request_file, extension_file, out, begin or "20200101000000Z", end or "20380101000000Z")
        else:
            openssl("x509", "-req", "-in", request_file, "-CA", self.cert, "-CAkey", self.key, "-set_serial", number, "-days", days, "-extfile", extension_file, "-out", out)
        return out.read_bytes()

    def sign_dated(self, request, extensions, out, begin, end):
        """openssl x509 of 3.0 knows no dates; openssl ca does."""
        (self.folder / "index.txt").write_text("")
        (self.folder / "serial").write_text("1000\n")
        (self.folder / "ca.cnf").write_text(f"[ca]\ndefault_ca = c\n[c]\ndatabase = {self.folder}/index.txt\nserial = {self.folder}/serial\nnew_certs_dir = {self.folder}\n"
                                            "default_md = sha256\npolicy = p\nunique_subject = no\n[p]\ncommonName = optional\n")
        openssl("ca", "-batch", "-notext", "-config", self.folder / "ca.cnf", "-in", request, "-cert", self.cert, "-keyfile", self.key, "-startdate", begin, "-enddate", end, "-extfile", extensions, "-out", out)

    def chain(self):
        """What a server sends above its own certificate: all but the root."""
        return self.cert.read_bytes() + self.parent.chain() if self.parent else b""

    def issue(self, name="mx.here.test", kind="ecdsa", names=None, stem=None, use="serverAuth,clientAuth", **options):
        """names: those of subjectAltName (default: name)."""
        stem = stem or f"{name.replace('*', 'any').replace('/', '_')}-{kind}-{next(self.numbers)}"
        made = Certificate(self.folder, stem)
        openssl("genpkey", *KINDS[kind], "-out", made.key)
        made.key.chmod(0o600)
        alternatives = ",".join(("IP:" if n.replace(".", "").isdigit() or ":" in n else "DNS:") + n for n in (names if names is not None else [name]))
        extensions = f"extendedKeyUsage={use}" + (f"\nsubjectAltName={alternatives}" if alternatives else "")
        made.cert.write_bytes(self.sign(made.key, f"/CN={name}", extensions, **options) + self.chain())
        made.both.write_bytes(made.key.read_bytes() + made.cert.read_bytes())
        made.both.chmod(0o600)
        return made

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
