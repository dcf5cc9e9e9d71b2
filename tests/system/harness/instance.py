"""An installed Postern, set up in a folder of its own, started and stopped as an administrator would."""
import errno, json, os, pathlib, pwd, random, re, shutil, socket, subprocess, tempfile, time

from .jitter import Jitter, some_jitter

PREFIX = pathlib.Path(os.environ.get("POSTERN_PREFIX", "/usr/local"))
AS_ROOT = os.getuid() == 0


# Below what the kernel gives to clients, so that no connection has one, and each once: who still sends to a server of an
# earlier test meets nobody. Runs beside this one have theirs (POSTERN_PORTS).
PORTS_FIRST, PORTS_EACH = 10000, 11000
next_port = PORTS_FIRST + PORTS_EACH * (int(os.environ.get("POSTERN_PORTS", os.getpid() % 2)) % 2)


def free_port(address="127.0.0.1"):
    global next_port
    while True:
        port, next_port = next_port, next_port + 1
        assert port < 32768, "all ports of this run were used"
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as s:
            try:
                s.bind((address, port))
                return port
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise


def stop_listening(server):
    """A thread that waits in accept() is woken: the kernel may go on with it later, under a number that the next server's socket has by then."""
    try:
        server.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    server.close()


def wait_until(condition, seconds=10, step=0.02):
    """The first true value of condition(), or the last false one when the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


class Instance:
    """
    settings: lines of postern.conf by name; sections: text of the listeners' part (default: one on self.port).
    living: all that are not closed yet.
    """

    living = []

    def __init__(self, settings=None, sections=None, address="127.0.0.1", port=None, dns=None, user=None):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="postern-test-"))
        os.chmod(self.home, 0o755)
        self.address, self.port, self.user = address, port or free_port(address), user
        self.confdir, self.maillog = self.home / "etc", self.home / "maillog"
        self.settings = {
            "myhostname": "mx.here.test",
            "mydomain": "here.test",
            "myorigin": "here.test",
            "mydestination": "here.test, mx.here.test, localhost",
            "mynetworks": "127.0.0.1/32",
            "queue_directory": self.home / "queue",
            "data_directory": self.home / "data",
            "maillog_file": self.maillog,
            "dns_servers": dns or "127.0.0.1:9",
            "local_recipient_maps": "inline:{ { alice = x } { bob = x } { postmaster = x } }",
            "mail_spool_directory": f"{self.home}/mail/",
            "smtpd_peername_lookup": "no",
            "spool_segment_size": "4m",
            "smtpd_workers": 1,
            "delivery_workers": 1,
            "minimal_backoff_time": "1s",
            "queue_run_delay": "1s",
        }
        self.settings.update(settings or {})
        self.sections = sections
        self.started = False
        if "JITTER" in os.environ:
            self.make_jittery(os.environ["JITTER"])
        if user:
            shutil.chown(self.home, user)
        Instance.living.append(self)

    # ---- set-up

    def make_jittery(self, seed):
        """Its programs see rare orders of events, other ones for each seed; before the start."""
        self.jitter = Jitter(self.home, PREFIX / "libexec/postern", some_jitter(random.Random(seed)))
        self.settings["daemon_directory"] = self.jitter.folder
        return self.jitter

    def write_config(self):
        self.confdir.mkdir(exist_ok=True)
        mail = self.home / "mail"
        if not mail.exists():
            mail.mkdir()
            os.chmod(mail, 0o1777)
        sections = self.sections if self.sections is not None else f"[smtp]\nlisten = {f'[{self.address}]' if ':' in self.address else self.address}:{self.port}\n"
        lines = [f"{name} = {value}" for name, value in self.settings.items() if value is not None]
        (self.confdir / "postern.conf").write_text("\n".join(lines) + "\n" + sections)

    def command(self, *words, input=None, check=True, timeout=60, env=None):
        """Runs a program of this installation; its completed process, with text output."""
        argv = [str(w) for w in words]
        program = next((p for p in (PREFIX / "sbin" / argv[0], PREFIX / "bin" / argv[0]) if p.exists()), argv[0])
        extra = {}
        if self.user:
            entry = pwd.getpwnam(self.user)
            extra = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        binary = isinstance(input, bytes)
        # Into files: a command is over when its process has ended, whoever else still holds its output.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            done = subprocess.run([str(program), *argv[1:]], input=input, stdout=out, stderr=err, text=not binary, timeout=timeout,
                                  cwd="/", env={**os.environ, "MAIL_CONFIG": str(self.confdir), **(env or {})}, **extra)
            for name, file in (("stdout", out), ("stderr", err)):
                file.seek(0)
                setattr(done, name, file.read() if binary else file.read().decode("utf-8", "replace"))
        if check and done.returncode != 0:
            raise AssertionError(f"{argv} ended with {done.returncode}: {done.stdout}{done.stderr}\n{self.log()[-3000:]}")
        return done

    def postern(self, *words, **options):
        return self.command("postern", "-c", self.confdir, *words, **options)

    def prepare(self):
        """All but the start."""
        self.write_config()
        if self.user:
            for path in (self.confdir, self.home / "mail"):
                shutil.chown(path, self.user)
        self.postern("setup")

    def start(self):
        self.prepare()
        self.postern("start")
        self.started = True
        return self

    def stop(self, check=True):
        if self.started:
            self.started = False
            self.postern("stop", check=check)

    def reload(self, **settings):
        self.settings.update(settings)
        self.write_config()
        self.postern("reload")

    def close(self):
        try:
            self.stop(check=False)
        finally:
            Instance.living = [other for other in Instance.living if other is not self]
            self.postern("abort", check=False)
            shutil.rmtree(self.home, ignore_errors=True)

    # ---- looking at it

    def log_now(self):
        return self.maillog.read_text(errors="replace") if self.maillog.exists() else ""

    def log(self):
        """What the log says when nothing more comes for a moment: processes gather their lines for some milliseconds."""
        text, end = None, time.monotonic() + 1
        while text != (now := self.log_now()) and time.monotonic() < end:
            text = now
            time.sleep(0.03)
        return now

    def wait_log(self, pattern, seconds=10, count=1):
        found = wait_until(lambda: (log := self.log_now()) and len(re.findall(pattern, log, re.M)) >= count and re.search(pattern, log, re.M), seconds)
        assert found, f"{pattern!r} did not appear {count} times in the log:\n{self.log()[-4000:]}"
        return found

    def processes(self):
        """Rows of 'postern status --json'."""
        return [json.loads(line) for line in self.postern("status", "--json").stdout.splitlines()]

    def pids(self, role):
        return [row["pid"] for row in self.processes() if row["role"] == role and row["pid"] > 1]

    def queue(self, *filters):
        return [json.loads(line) for line in self.postern("queue", "list", "--json", *filters).stdout.splitlines()]

    def wait_queue_empty(self, seconds=10):
        assert wait_until(lambda: not self.queue(), seconds), self.why_queued()

    def why_queued(self):
        """What the queue says of its first messages, and what the log does."""
        rows = self.queue("--limit", "3")
        told = [self.postern("queue", "explain", row["queue_id"], check=False).stdout + "".join(line + "\n" for line in self.log().splitlines() if row["queue_id"] in line) for row in rows]
        return "\n".join([f"queue not empty: {rows}", *told, self.log()[-3000:]])

    def mailbox(self, user):
        """Messages in the user's Maildir below mail_spool_directory, oldest first, as bytes."""
        folder = self.home / "mail" / user / "new"
        return [p.read_bytes() for p in sorted(folder.iterdir(), key=lambda p: (p.stat().st_mtime_ns, p.name))] if folder.exists() else []

    def wait_mail(self, user, count=1, seconds=10):
        got = wait_until(lambda: (m := self.mailbox(user)) and len(m) >= count and m, seconds)
        assert got, f"{user} has {len(self.mailbox(user))} of {count} messages\n{self.log()[-4000:]}"
        return got

    # ---- using it

    def connect(self, **options):
        from .client import Client
        return Client(self.address, self.port, **options)

    def sendmail(self, *args, input="", **options):
        return self.command("sendmail", *args, input=input, **options)
