"""Real database servers, each with its data in a folder of its own, on loopback, as its own user."""
import glob, os, pathlib, pwd, shutil, signal, socket, subprocess, tempfile, threading, time

import pytest

from .instance import AS_ROOT, free_port, stop_listening, wait_until

SECRET = "tell;nobody'"


def user_of(name):
    """How to run something as that user: root may be anybody, others only themselves."""
    if not AS_ROOT:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def program(*patterns):
    found = [path for pattern in patterns for path in sorted(glob.glob(pattern))]
    if not found:
        pytest.skip(f"not installed: {patterns[0]}")
    return found[-1]


class Server:
    account = None

    def __init__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}-test-"))
        os.chmod(self.home, 0o755)
        if AS_ROOT:
            shutil.chown(self.home, self.account, self.account)
        self.port, self.process = free_port(), None

    def run(self, *argv, input=None):
        done = subprocess.run([str(a) for a in argv], input=input, text=True, capture_output=True, cwd=self.home, timeout=60, **user_of(self.account))
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def spawn(self, *argv):
        self.output = open(self.home / "output", "ab")
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, cwd=self.home, **user_of(self.account))

    def wait(self):
        def listening():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        assert wait_until(lambda: listening() or self.process.poll() is not None, 30, 0.05) and self.process.poll() is None, (self.home / "output").read_text()

    def stop(self, how=signal.SIGTERM):
        if self.process:
            self.process.send_signal(how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def pids(self):
        return [self.process.pid]

    def freeze(self):
        """Still there, and answers nothing."""
        def stopped(pid):
            return all(" (" in stat and stat.rpartition(") ")[2][0] == "T" for stat in (path.read_text() for path in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")))
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP)
        assert all(wait_until(lambda: stopped(pid), 5, 0.01) for pid in self.pids())

    def thaw(self):
        for pid in self.pids():
            os.kill(pid, signal.SIGCONT)

    def close(self):
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.home, ignore_errors=True)


class Postgres(Server):
    account = "postgres"

    def __init__(self):
        self.bin = pathlib.Path(program("/usr/lib/postgresql/*/bin/initdb")).parent
        super().__init__()
        (self.home / "secret").write_text(SECRET)
        os.chmod(self.home / "secret", 0o644)
        self.run(self.bin / "initdb", "--no-sync", "-D", self.home / "data", "-U", "mail", "-A", "scram-sha-256", f"--pwfile={self.home}/secret", "-E", "UTF8", "--locale=C.UTF-8")
        self.start()

    def start(self):
        self.spawn(self.bin / "postgres", "-D", self.home / "data", "-p", self.port, "-c", "listen_addresses=127.0.0.1", "-k", self.home, "-c", "fsync=off")
        self.wait()
        wait_until(lambda: self.sql("SELECT 1", check=False).returncode == 0, 20, 0.05)

    def stop(self, how=signal.SIGINT):
        super().stop(how)

    # Its children serve the connections.
    def pids(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def sql(self, text, check=True):
        return subprocess.run([str(self.bin / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", "mail", "-d", "postgres"], input=text, text=True,
                              capture_output=True, check=check, timeout=60, env={**os.environ, "PGPASSWORD": SECRET})


class MariaDB(Server):
    account = "mysql"

    def __init__(self):
        install = program("/usr/bin/mariadb-install-db")
        self.server, self.client = program("/usr/sbin/mariadbd"), program("/usr/bin/mariadb")
        super().__init__()
        self.run(install, "--no-defaults", f"--datadir={self.home}/data", "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=4M", "--innodb-data-file-path=ibdata1:8M:autoextend")
        self.start()

    def start(self):
        self.spawn(self.server, "--no-defaults", f"--datadir={self.home}/data", f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={self.home}/socket", f"--pid-file={self.home}/pid",
                   "--innodb-log-file-size=4M", "--innodb-data-file-path=ibdata1:8M:autoextend", "--innodb-flush-log-at-trx-commit=0", "--sync-frm=0")
        self.wait()

    def sql(self, text):
        return subprocess.run([self.client, "--no-defaults", f"--socket={self.home}/socket", "-u", "root"], input=text, text=True, check=True, capture_output=True, timeout=60)


class Slapd(Server):
    account = "openldap"

    def __init__(self, entries):
        self.server, self.adder = program("/usr/sbin/slapd"), program("/usr/sbin/slapadd")
        modules = pathlib.Path(program("/usr/lib/ldap/back_mdb*.so*")).parent
        super().__init__()
        (self.home / "data").mkdir()
        if AS_ROOT:
            shutil.chown(self.home / "data", self.account, self.account)
        (self.home / "slapd.conf").write_text("".join(f"include /etc/ldap/schema/{name}.schema\n" for name in ("core", "cosine", "inetorgperson")) +
            f"pidfile {self.home}/pid\nargsfile {self.home}/args\nmodulepath {modules}\nmoduleload back_mdb\ndatabase mdb\nmaxsize 16777216\nsuffix \"dc=test\"\n"
            f"rootdn \"cn=admin,dc=test\"\nrootpw \"{SECRET}\"\ndirectory {self.home}/data\ndbnosync\naccess to * by users read by anonymous auth\n")
        self.run(self.adder, "-q", "-f", self.home / "slapd.conf", input=entries)
        self.start()

    def start(self):
        self.spawn(self.server, "-f", self.home / "slapd.conf", "-h", f"ldap://127.0.0.1:{self.port}/", "-d", "0")
        self.wait()


class Scripted:
    """A server of questions: answer(connection, octets so far) gives octets to send, or None to wait for more; then the octets count as used."""

    def __init__(self, answer, path=None):
        self.answer, self.questions, self.connections = answer, [], []
        self.server = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        if not path:
            self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.bind(str(path) if path else ("127.0.0.1", 0))
        self.server.listen(50)
        if path:
            os.chmod(path, 0o666)
        else:
            self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        got = b""
        try:
            while data := connection.recv(65536):
                got += data
                reply = self.answer(self, got)
                if reply is not None:
                    got = b""
                    if reply == b"!close":
                        break
                    connection.sendall(reply)
        except OSError:
            pass
        connection.close()

    def close(self):
        stop_listening(self.server)
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
