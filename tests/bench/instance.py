"""An instance of Postern in a scratch directory, and what its processes use; for the measuring commands beside it.

POSTERN_PREFIX names an installed tree (make install); without it the commands say so and end with 77. All runs on
127.0.0.1 and cleans up after itself.
"""
import atexit
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf("SC_CLK_TCK")


def prefix():
    path = os.environ.get("POSTERN_PREFIX", "")
    if not os.access(path + "/sbin/postern", os.X_OK):
        print("POSTERN_PREFIX must name an installed Postern (make install)", file=sys.stderr)
        sys.exit(77)
    return path


def build_load(scratch):
    """Compiles the source and sink of load.c."""
    subprocess.run(["gcc", "-O2", "-o", scratch + "/load", HERE + "/load.c"], check=True)
    return scratch + "/load"


def make_spool(spool, count, *options):
    """A queue of count messages in the directory spool; made by the tool of the build directory that POSTERN_BUILD names."""
    build = os.environ.get("POSTERN_BUILD", "")
    if not build:
        sys.exit("POSTERN_BUILD must name the build directory, for tests/bench/make_spool")
    subprocess.run(["make", "-s", "-C", build, "tests/bench/make_spool"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([build + "/tests/bench/make_spool", "--count", str(count), *map(str, options), spool], check=True, stdout=subprocess.DEVNULL)


def ended(number, frame):
    sys.exit(128 + number)


def free_ports(count):
    """Ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


class Instance:
    """One Postern: default parameters, everything relayed to the sink; `lines` are added to postern.conf."""

    def __init__(self, root=None, lines=""):
        self.prefix = prefix()
        self.root = tempfile.mkdtemp(prefix="postern-measured-", dir=root)
        os.chmod(self.root, 0o755)
        atexit.register(self.remove)
        signal.signal(signal.SIGTERM, ended)
        self.port, self.sink = free_ports(2)
        self.conf = self.root + "/conf"
        self.queue = self.root + "/queue"
        os.mkdir(self.conf)
        with open(self.conf + "/postern.conf", "w") as f:
            f.write(f"""myhostname = mx.bench.test
mydomain = bench.test
mydestination = localhost
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{self.sink}
dns_servers = 127.0.0.1:9
queue_directory = {self.queue}
data_directory = {self.root}/data
maillog_file = {self.root}/log
{lines}
[smtp]
listen = 127.0.0.1:{self.port}
""")
        self.run("setup")
        self.load_tool = build_load(self.root)

    def run(self, *args, check=True):
        done = subprocess.run([self.prefix + "/sbin/postern", "-c", self.conf, *args], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if check and done.returncode != 0:
            sys.exit(f"postern {' '.join(args)}: status {done.returncode}: {done.stdout}{self.log_end()}")
        return done.stdout

    def log_end(self):
        path = self.root + "/log"
        return open(path, errors="replace").read()[-2000:] if os.path.exists(path) else ""

    def start(self):
        begun = time.monotonic()
        self.run("start")
        return time.monotonic() - begun

    def stop(self):
        self.run("stop", check=False)

    def remove(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.path.isdir(self.root):
            self.stop()
            shutil.rmtree(self.root, ignore_errors=True)
        signal.signal(signal.SIGTERM, ended)

    def pids(self):
        """{pid: role}"""
        roles = {}
        for row in map(json.loads, self.run("status", "--json").splitlines()):
            roles[row["pid"]] = row["role"]
        return roles

    def load(self, wait=True, sink=True, **options):
        """Runs load.c. Options: s, m, l, r, t, T, i as there; k=True."""
        args = [self.load_tool]
        for name, value in options.items():
            args += ["-" + name] if value is True else ["-" + name, str(value)]
        p = subprocess.Popen(args + [str(self.port), str(self.sink if sink else 0)], stdout=subprocess.PIPE, text=True)
        return parse(p) if wait else p


def parse(load):
    """What a load said when it ended."""
    return json.loads(load.communicate()[0])


def cpu(pid):
    """CPU seconds of a process, its exited children apart."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def wakeups(pid):
    """How often the threads of a process have slept."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as f:
            total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M)[1])
    return total


def memory(pid, field="Pss"):
    """MB; field: Pss or Rss."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(rf"^{field}:\s+(\d+)", f.read(), re.M)[1]) / 1024
