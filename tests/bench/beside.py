"""Postern and Debian's Postfix side by side, as the tests run them (tests/system/harness); for the measuring commands beside it."""
import os, pathlib, re, subprocess, sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))
if not os.access(os.environ.get("POSTERN_PREFIX", "") + "/sbin/postern", os.X_OK):
    sys.exit("POSTERN_PREFIX must name an installed Postern (make install)")

from harness.instance import Instance, free_port
from harness.postfix import Postfix, unpacked

TICK = os.sysconf("SC_CLK_TCK")


def cpu(pids):
    """CPU seconds of these processes and of their children that ended."""
    total = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(fields[i]) for i in (11, 12, 13, 14))
    return total / TICK


def descendants(pid):
    """The process, those that it started, and so on."""
    found, queue = [], [pid]
    while queue:
        parent = queue.pop()
        found.append(parent)
        for task in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
            queue += [int(child) for child in task.read_text().split()]
    return found


def postfix_tool(name, *words, **options):
    """Starts a program of Postfix's: smtp-source, smtp-sink."""
    tree = unpacked()
    return subprocess.Popen([str(tree / "usr/sbin" / name), *map(str, words)], env={**os.environ, "LD_LIBRARY_PATH": str(tree / "usr/lib/postfix")}, **options)


class Sink:
    """Postfix's smtp-sink on a port, or with LMTP on a UNIX socket; it counts what arrives."""

    def __init__(self, lmtp=None):
        self.port = None if lmtp else free_port()
        options = ["-L", f"unix:{lmtp}"] if lmtp else [f"127.0.0.1:{self.port}"]
        self.process = postfix_tool("smtp-sink", "-u", "nobody", "-c", *options, 1000, stdout=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.text = ""

    def count(self):
        self.text = (self.text + (self.process.stdout.read() or b"").decode())[-300:]
        seen = re.findall(r"mesg=(\d+)", self.text)
        return int(seen[-1]) if seen else 0

    def close(self):
        self.process.terminate()
        self.process.wait()


class Ours:
    """settings: lines of postern.conf, beside those that make it run as it comes, without the tests' limits."""
    name = "postern"

    def __init__(self, settings):
        self.instance = Instance({"spool_segment_size": None, "smtpd_workers": None, "delivery_workers": None, "smtpd_client_connection_count_limit": 0, **settings})
        self.instance.start()
        self.port = self.instance.port

    def pids(self):
        return [row["pid"] for row in self.instance.processes() if row["pid"] > 1]

    def close(self):
        self.instance.close()


class Theirs:
    """settings: lines of main.cf."""
    name = "postfix"

    def __init__(self, settings):
        self.postfix = Postfix({"smtpd_client_connection_count_limit": 0, **settings})
        self.postfix.start()
        self.port = self.postfix.port

    def pids(self):
        return descendants(int((self.postfix.home / "spool/pid/master.pid").read_text()))

    def close(self):
        self.postfix.close()
