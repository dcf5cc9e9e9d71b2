"""Debian's OpenSMTPD, unpacked and run in a mount namespace of its own: this machine's mail system is not touched."""
import os, pathlib, shutil, signal, subprocess, tempfile

import pytest

from .instance import AS_ROOT, free_port, wait_until
from .postfix import CACHE

# Debian 12's package (6.8.0p2) is no server of TLS: since OpenSSL 3 its keys, which are in a process of their own, are "missing"
# (github.com/OpenSMTPD/OpenSMTPD/issues/1171). Later versions put the key that they marked back where it came from; so does this.
MEND = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <openssl/evp.h>
struct rsa_st *EVP_PKEY_get1_RSA(EVP_PKEY *key)
{
	struct rsa_st *(*next)(EVP_PKEY *) = (struct rsa_st * (*)(EVP_PKEY *)) dlsym(RTLD_NEXT, "EVP_PKEY_get1_RSA");
	struct rsa_st *rsa = next(key);
	if (rsa)
		EVP_PKEY_set1_RSA(key, rsa);
	return rsa;
}
"""
USERS = {"opensmtpd": 60121, "opensmtpq": 60122, "box": 60123}


def unpacked():
    """The package's files; fetched once."""
    tree = CACHE / "opensmtpd"
    if not (tree / "usr/sbin/smtpd").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "opensmtpd"], cwd=CACHE, check=True, capture_output=True)
        package = next(CACHE.glob("opensmtpd_*.deb"))
        subprocess.run(["dpkg-deb", "-x", str(package), str(tree)], check=True)
    return tree


class OpenSmtpd:
    """
    rules: lines of smtpd.conf beside "listen on 127.0.0.1 port PORT <listen>" and box@sink.test; "pki own" has the certificate.
    tables: names and rows of file tables. certificate: with an RSA key. authority: whom it believes. as_packaged: TLS fails at every
    handshake as a server. Listens on 127.0.0.1:port.
    """

    def __init__(self, certificate, authority, listen="", rules="", tables=None, as_packaged=False):
        if not AS_ROOT:
            pytest.skip("OpenSMTPD needs root")
        self.tree, self.port, self.process = unpacked(), free_port(), None
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="opensmtpd-test-"))
        self.home.chmod(0o755)
        self.preload, etc = "" if as_packaged else self.home / "mend.so", self.home / "etc"
        for folder in ("etc", "run", "var", "var/spool", "var/spool/smtpd", "var/lib", "var/lib/opensmtpd", "var/lib/opensmtpd/empty", "box"):
            (self.home / folder).mkdir()
            (self.home / folder).chmod(0o711 if folder == "var/spool/smtpd" else 0o755)
        os.chown(self.home / "box", USERS["box"], USERS["box"])
        for name, form in (("passwd", "{0}:x:{1}:{1}::{2}:/usr/sbin/nologin\n"), ("group", "{0}:x:{1}:\n")):
            (etc / name).write_text(pathlib.Path("/etc", name).read_text() + "".join(form.format(user, uid, self.home / "box") for user, uid in USERS.items()))
        (etc / "resolv.conf").write_text("nameserver 127.0.0.1\noptions attempts:1 timeout:1\n")
        shutil.copy(authority.cert, etc / "authorities")
        shutil.copy(certificate.cert, etc / "cert.pem")
        shutil.copy(certificate.key, etc / "key.pem")
        (etc / "key.pem").chmod(0o600)
        for name, rows in (tables or {}).items():
            (etc / name).write_text("".join(f"{key} {value}\n" for key, value in rows.items()))
            (etc / name).chmod(0o640)
            os.chown(etc / name, 0, USERS["opensmtpd"])
        (etc / "smtpd.conf").write_text("".join(f'table {name} file:{etc}/{name}\n' for name in tables or ()) + f"""
mta limit conn-delay-host 0
pki own cert "{etc}/cert.pem"
pki own key "{etc}/key.pem"
table boxes {{ "box@sink.test" = "box" }}
listen on 127.0.0.1 port {self.port} hostname opensmtpd.test {listen}
action "box" maildir "{self.home}/box/mail" virtual <boxes>
match from any for domain "sink.test" action "box"
{rules}
""")

    def start(self):
        if self.preload:
            subprocess.run(["gcc", "-w", "-shared", "-fPIC", "-x", "c", "-o", str(self.preload), "-"], input=MEND, text=True, check=True)
        binds = {"etc/passwd": "/etc/passwd", "etc/group": "/etc/group", "etc/resolv.conf": "/etc/resolv.conf", "etc/authorities": "/etc/ssl/certs/ca-certificates.crt",
                 "run": "/run", "var/spool": "/var/spool", "var/lib": "/var/lib"}
        script = (f"mount --make-rprivate / && mount -t overlay overlay -o lowerdir={self.tree}/usr:/usr /usr && "
                  + "".join(f"mount --bind {self.home}/{ours} {theirs} && " for ours, theirs in binds.items())
                  + f"LD_PRELOAD={self.preload} exec /usr/sbin/smtpd -d -v -f {self.home}/etc/smtpd.conf")
        self.process = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=open(self.home / "log", "w"), stderr=subprocess.STDOUT)
        listening = wait_until(lambda: self.process.poll() is not None or subprocess.run(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{self.port}"], capture_output=True).returncode == 0, 15, 0.1)
        assert listening and self.process.poll() is None, self.log()
        return self

    def log(self):
        return (self.home / "log").read_text(errors="replace")

    def box(self):
        folder = self.home / "box/mail/new"
        return [p.read_bytes() for p in folder.iterdir()] if folder.exists() else []

    def close(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
        shutil.rmtree(self.home, ignore_errors=True)
