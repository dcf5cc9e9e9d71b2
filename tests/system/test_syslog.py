"""Without maillog_file lines go to syslog: a datagram socket at /dev/log, here one of the test in a /dev of its own."""
import os, re, socket

import pytest
from harness.instance import AS_ROOT, PREFIX, wait_until

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="only root can have a /dev of its own")

OWN_DEV = """
own=$(mktemp -d) && mount -t tmpfs -o mode=755 tmpfs "$own" &&
for device in null zero full random urandom; do touch "$own/$device" && mount --bind /dev/$device "$own/$device" || exit 1; done &&
ln -s "$1" "$own/log" && mount --move "$own" /dev && rmdir "$own" && shift && exec "$@"
"""

FACILITY_MAIL, FACILITY_LOCAL3, WARNING, INFO = 2, 19, 4, 6


class Reader:
    def __init__(self, path):
        self.path, self.lines = str(path), []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(path, 0o666)
        self.socket.setblocking(False)

    def wait(self, pattern, seconds=10):
        def read():
            try:
                while True:
                    self.lines.append(self.socket.recv(65536).decode())
            except BlockingIOError:
                pass
            return next((found for line in self.lines if (found := re.search(pattern, line))), None)
        found = wait_until(read, seconds)
        assert found, f"{pattern!r} did not come: {self.lines}"
        return found

    def close(self):
        self.socket.close()
        os.unlink(self.path)


@pytest.fixture
def syslogged(make):
    """(instance, reader)"""
    instance = make({"maillog_file": None, "syslog_name": "postern/test"}, start=False)
    (instance.home / "mail").mkdir()
    os.chmod(instance.home / "mail", 0o1777)
    instance.write_config()
    instance.postern("setup")
    reader = Reader(instance.home / "syslog")
    instance.command("unshare", "-m", "--propagation", "private", "sh", "-c", OWN_DEV, "sh", reader.path, PREFIX / "sbin/postern", "-c", instance.confdir, "start")
    instance.started = True
    yield instance, reader
    instance.stop(check=False)
    reader.close()


def test_lines_reach_syslog_with_facility_tag_and_pid(syslogged):
    instance, reader = syslogged
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<s@there.test>", 250)
        c.cmd("RCPT TO:<nobody@here.test>", 550)
        c.cmd("QUIT", 221)
    line = reader.wait(r"^<(\d+)>([A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d) postern/test/smtpd\[(\d+)\]: disconnect from unknown\[127\.0\.0\.1\] .*commands=\d/\d$")
    assert int(line[1]) == FACILITY_MAIL * 8 + INFO
    assert int(line[3]) == instance.pids("smtpd")[0]
    assert int(reader.wait(r"^<(\d+)>.*: NOQUEUE: reject: RCPT ")[1]) == FACILITY_MAIL * 8 + INFO
    os.kill(instance.pids("policy")[0], 9)
    assert int(reader.wait(r"^<(\d+)>.* postern/test/master\[\d+\]: warning: process \S+ pid \d+ killed by signal 9$")[1]) == FACILITY_MAIL * 8 + WARNING
    link = instance.home / "postlog"
    link.symlink_to(PREFIX / "sbin/postern")
    instance.command("unshare", "-m", "--propagation", "private", "sh", "-c", OWN_DEV, "sh", reader.path, link, "-c", instance.confdir, "-p", "warn", "of a script")
    assert int(reader.wait(r"^<(\d+)>.* postern/test/postlog\[\d+\]: warning: of a script$")[1]) == FACILITY_MAIL * 8 + WARNING


def test_a_reader_that_was_restarted_gets_lines_again(syslogged):
    instance, reader = syslogged
    reader.wait(": daemon started")
    reader.close()
    with instance.connect() as c:
        c.cmd("QUIT", 221)
    reader.__init__(reader.path)
    with instance.connect(source="127.0.0.5") as c:
        c.cmd("QUIT", 221)
    reader.wait(r"connect from unknown\[127\.0\.0\.5\]")


def test_every_line_that_a_reader_did_not_take_waits(syslogged):
    """It stands still for more lines than its socket holds, and goes on when nothing more is logged."""
    instance, reader = syslogged
    reader.wait(": daemon started")
    connections = int(open("/proc/sys/net/unix/max_dgram_qlen").read()) + 40
    for _ in range(connections):
        with instance.connect(source="127.0.0.8") as c:
            c.cmd("QUIT", 221)
    assert wait_until(lambda: reader.wait(".") and sum("127.0.0.8" in line for line in reader.lines) == 2 * connections, 5), reader.lines
    assert not any("dropped" in line for line in reader.lines)


def test_a_reload_leads_lines_to_a_file_and_back(syslogged):
    instance, reader = syslogged
    instance.reload(maillog_file=instance.maillog)
    with instance.connect(source="127.0.0.6") as c:
        c.cmd("QUIT", 221)
    instance.wait_log(r"disconnect from unknown\[127\.0\.0\.6\]")
    instance.reload(maillog_file=None, syslog_facility="local3")
    with instance.connect(source="127.0.0.7") as c:
        c.cmd("QUIT", 221)
    assert int(reader.wait(r"^<(\d+)>.*disconnect from unknown\[127\.0\.0\.7\]")[1]) == FACILITY_LOCAL3 * 8 + INFO
    assert not any("127.0.0.6" in line for line in reader.lines)
