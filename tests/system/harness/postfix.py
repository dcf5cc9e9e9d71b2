"""Debian's Postfix, unpacked and run in a mount namespace of its own: this machine's mail system is not touched."""
import os, pathlib, shutil, subprocess, tempfile, time

import pytest

from .instance import AS_ROOT, free_port, wait_until

CACHE = pathlib.Path(__file__).resolve().parents[3] / "build" / "peers"


# Kinds of tables that are packages of their own, and what these need.
MORE = {"usr/lib/postfix/postfix-cdb.so": "postfix-cdb", "usr/lib/*/libcdb.so.1": "libcdb1", "usr/lib/postfix/postfix-lmdb.so": "postfix-lmdb", "usr/lib/*/liblmdb.so.0": "liblmdb0"}


def unpacked(more=()):
    """The package's files, and those of others; fetched once."""
    tree = CACHE / "postfix"
    for what, name in [("usr/sbin/postfix", "postfix"), *more]:
        if any(tree.glob(what)):
            continue
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", name], cwd=CACHE, check=True, capture_output=True)
        package = next(CACHE.glob(f"{name}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", str(package), str(tree)], check=True)
    return tree


class Postfix:
    """settings: main.cf. Listens on 127.0.0.1:port. tables: with those of its own packages, cdb and lmdb."""

    def __init__(self, settings=None, port=None, tables=False):
        if not AS_ROOT:
            pytest.skip("Postfix needs root")
        self.tree, self.port = unpacked(MORE.items() if tables else ()), port or free_port()
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="postfix-test-"))
        os.chmod(self.home, 0o755)
        etc, spool = self.home / "etc", self.home / "spool"
        etc.mkdir()
        for name in ("passwd", "group"):
            extra = {"passwd": "postfix:x:60111:60111::/nonexistent:/usr/sbin/nologin\n", "group": "postfix:x:60111:\npostdrop:x:60112:\n"}[name]
            (etc / name).write_text(pathlib.Path("/etc", name).read_text() + extra)
        (self.home / "data").mkdir()
        os.chown(self.home / "data", 60111, 60111)
        spool.mkdir()
        (self.home / "new").mkdir()
        main = {"compatibility_level": "3.6", "queue_directory": spool, "data_directory": self.home / "data", "meta_directory": etc, "shlib_directory": "/usr/lib/postfix", "mail_owner": "postfix", "setgid_group": "postdrop", "command_directory": "/usr/sbin",
                "daemon_directory": "/usr/lib/postfix/sbin", "myhostname": "postfix.test", "mydestination": "local.test", "mynetworks": "127.0.0.0/8", "inet_protocols": "ipv4", "alias_maps": "", "alias_database": "",
                "smtp_host_lookup": "native", "disable_dns_lookups": "yes", "maillog_file": f"{self.home}/maillog", "maillog_file_prefixes": str(self.home), "local_recipient_maps": "", "default_transport": "smtp",
                "virtual_mailbox_domains": "sink.test", "virtual_mailbox_base": str(self.home), "virtual_mailbox_maps": "inline:{box@sink.test=box/}", "virtual_uid_maps": "static:60111", "virtual_gid_maps": "static:60111"}
        main.update(settings or {})
        (etc / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in main.items()))
        master = pathlib.Path(self.tree / "usr/share/postfix/master.cf.dist").read_text().replace("smtp      inet  n       -       y       -       -       smtpd", f"127.0.0.1:{self.port} inet n - n - - smtpd")
        lines = []
        for line in master.splitlines():
            words = line.split()
            if len(words) >= 8 and not line.startswith((" ", "#", "\t")):
                words[4] = "n"
                line = " ".join(words)
            lines.append(line)
        (etc / "master.cf").write_text("\n".join(lines) + "\npostlog unix-dgram n - n - 1 postlogd\n")
        (etc / "dynamicmaps.cf").write_text("".join(f"{kind} postfix-{kind}.so dict_{kind}_open mkmap_{kind}_open\n" for kind in ("cdb", "lmdb")) if tables else "")
        for name in ("postfix-files", "postfix-script"):
            source = self.tree / "etc/postfix" / name
            if source.exists():
                shutil.copy(source, etc / name)
        os.chown(self.home, 0, 0)
        (self.home / "box").mkdir()
        os.chown(self.home / "box", 60111, 60111)

    def inside(self, *words, **options):
        script = ("mount --make-rprivate / && mount -t overlay overlay -o lowerdir=%s/usr:/usr /usr && mount --bind %s/etc/passwd /etc/passwd && mount --bind %s/etc/group /etc/group && exec \"$@\""
                  % (self.tree, self.home, self.home))
        return subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *map(str, words)], capture_output=True, text=True, errors="replace", timeout=60, env={**os.environ, "MAIL_CONFIG": f"{self.home}/etc"}, **options)

    def start(self):
        done = self.inside("/usr/sbin/postfix", "-c", f"{self.home}/etc", "start")
        listening = wait_until(lambda: subprocess.run(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{self.port}"], capture_output=True).returncode == 0, 15, 0.2)
        assert listening, f"{done.stdout}{done.stderr}\n{self.log()}"
        return self

    def log(self):
        path = self.home / "maillog"
        return path.read_text(errors="replace") if path.exists() else ""

    def box(self):
        folder = self.home / "box" / "new"
        return [p.read_bytes() for p in folder.iterdir()] if folder.exists() else []

    def close(self):
        self.inside("/usr/sbin/postfix", "-c", f"{self.home}/etc", "stop")
        pid_file = self.home / "spool/pid/master.pid"
        wait_until(lambda: not pid_file.exists() or not pathlib.Path("/proc", pid_file.read_text().strip()).exists(), 10)
        shutil.rmtree(self.home, ignore_errors=True)
