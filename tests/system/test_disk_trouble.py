"""The spool's disk is full, has no inodes or cannot be written to: 452, said by status, and everything goes on by itself."""
import collections, errno, os, re, shutil, signal, subprocess, threading

import pytest

from harness import recorder as calls
from harness.instance import AS_ROOT, PREFIX, wait_until
from harness.peer import Peer
from harness.recorder import Recorder

BODY = "Subject: fill\r\n\r\n" + ("z" * 76 + "\r\n") * 1200


@pytest.fixture
def small(make):
    """An instance whose spool lies on a small file system of its own; options: of mount; image: a file with another than tmpfs."""
    mounted = []
    if not AS_ROOT:
        pytest.skip("mounts small file systems")

    def give(options, image=None, **settings):
        instance = make(start=False)
        spool = instance.home / "queue" / "spool"
        spool.mkdir(parents=True)
        command = ["mount", "-o", f"loop,{options}", image] if image else ["mount", "-t", "tmpfs", "-o", options, "tmpfs"]
        if subprocess.run([*command, str(spool)]).returncode != 0:
            pytest.skip("that cannot be mounted here")
        mounted.append((instance, spool))
        # What is in the queue is counted: postmaster's notices of a full disk would be there, too.
        instance.settings.update({"maximal_backoff_time": "2s", "notify_classes": "", **settings})
        instance.spool = spool
        return instance

    yield give
    for instance, spool in mounted:
        instance.stop(check=False)
        instance.postern("abort", check=False)
        subprocess.run(["umount", "-l", str(spool)])


def remount(instance, how):
    subprocess.run(["mount", "-o", f"remount,{how}", str(instance.spool)], check=True)


def fill(instance):
    """All that is left goes into one file."""
    with open(instance.spool / "filler", "wb", buffering=0) as f:
        try:
            while f.write(b"x" * 65536):
                pass
        except OSError:
            pass
    st = os.statvfs(instance.spool)
    assert st.f_bavail * st.f_frsize < 65536


def send_until_refused(instance, most=400, recipient="r@far.test"):
    """How many were accepted; the refusal."""
    with instance.connect() as c:
        c.hello()
        for accepted in range(most):
            reply = c.cmd("MAIL FROM:<s@here.test>")
            if reply.code == 250:
                c.cmd(f"RCPT TO:<{recipient}>", 250)
                reply = c.data(BODY, expect=None)
            if getattr(reply, "code", 250) != 250:
                return accepted, reply
    raise AssertionError(f"{most} messages were accepted")


def notice(instance):
    rows = [row for row in instance.processes() if row["role"] == "queue"]
    return rows[0].get("notice", "") if rows else ""


def start_refusing(instance, why):
    """It runs, but start does not say that mail is accepted."""
    done = instance.postern("start", check=False)
    instance.started = True
    assert done.returncode == 75 and done.stdout == "", done
    assert re.fullmatch(f"postern: running, but no more mail is accepted: .*{why}.*\\n", done.stderr), done.stderr
    assert "no more mail is accepted" in notice(instance)


def takes_mail(instance):
    with instance.connect() as c:
        c.hello()
        return c.cmd("MAIL FROM:<s@here.test>").code == 250


def is_refused(instance):
    with instance.connect() as c:
        c.hello()
        reply = c.cmd("MAIL FROM:<s@here.test>")
        return reply.code == 452 and "4.3.1" in repr(reply)


def kill_queue(instance):
    (pid,) = instance.pids("queue")
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: [p for p in instance.pids("queue") if p != pid], 10)


def listed(instance):
    """None if the queue does not answer."""
    run = instance.postern("queue", "list", "--json", check=False)
    return None if run.returncode else re.findall(r'"queue_id": "(\w+)"', run.stdout)


def numbers(peer):
    """How often each message with a number arrived."""
    return collections.Counter(n.group(1) for m in list(peer.messages) if (n := re.search(rb"X-Number: (\d+)", m["content"])))


def test_a_start_on_a_disk_without_an_octet_keeps_the_index(small):
    instance = small("size=48m", relayhost="[127.0.0.1]:9", minimal_backoff_time="1000s", maximal_backoff_time="2000s", index_delay="1s")
    instance.start()
    with instance.connect() as c:
        c.hello()
        for i in range(30):
            c.mail("s@here.test", [f"r{i}@far.test"], "Subject: x\r\n\r\nx\r\n")
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 30, 20)
    assert wait_until(lambda: any(b"r29@far.test" in p.read_bytes() for p in (instance.spool / "index").glob("log.*")), 10)
    instance.postern("abort")
    before = len(instance.log())
    with open(instance.spool / "filler", "wb", buffering=0) as f, pytest.raises(OSError):
        while True:
            f.write(b"x" * 4096)
    for i in range(2):
        start_refusing(instance, "disk space")
        instance.wait_log("the index is up to date: 30 messages", count=i + 1)
        assert len(instance.queue()) == 30
        instance.postern("abort")
    assert "the index is rebuilt" not in instance.log()[before:]


def test_deliveries_while_the_disk_is_full_are_not_repeated(small):
    peer = Peer(on={"RCPT": "450 4.2.0 later"})
    instance = small("size=48m", relayhost=f"[127.0.0.1]:{peer.port}")
    instance.start()
    for i in range(30):
        with instance.connect() as c:
            c.hello()
            c.mail("s@here.test", [f"r{i}@far.test"], f"X-Number: {i}\r\n\r\nx\r\n")
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 30, 10)
    fill(instance)
    accepted, reply = send_until_refused(instance, recipient="held@far.test")
    assert reply.code == 452 and "4.3.1" in repr(reply), reply
    assert wait_until(lambda: "no more mail is accepted" in notice(instance) and "since 20" in notice(instance), 5), notice(instance)
    assert "no more mail is accepted" in instance.postern("status").stdout
    assert len(re.findall("no more mail is accepted", instance.log())) == 1
    # The peer takes mail now, and queue dies again and again.
    peer.on["RCPT"] = "250 2.1.5 Ok"
    assert wait_until(lambda: len(numbers(peer)) == 30, 20), numbers(peer)
    assert wait_until(lambda: not [m for m in instance.queue() if any(r["address"].startswith("r") for r in m["recipients"])], 10)
    kill_queue(instance)
    assert wait_until(lambda: is_refused(instance) or takes_mail(instance), 10)
    kill_queue(instance)
    wait_until(lambda: False, 3)
    (instance.spool / "filler").unlink()
    assert wait_until(lambda: takes_mail(instance), 20, 0.3)
    instance.wait_queue_empty(30)
    wait_until(lambda: False, 2)
    again = {n: k for n, k in numbers(peer).items() if k > 1}
    assert not again, again
    assert len(peer.messages) == 30 + accepted
    assert wait_until(lambda: notice(instance) == "", 5), notice(instance)
    assert "there is space again" in instance.log()


def test_starts_on_a_full_disk_leave_a_way_out(small):
    """Each start that records something begins a segment: when none is left over, one can still be had for removals."""
    instance = small("size=48m", relayhost="[127.0.0.1]:9", maximal_backoff_time="3000s", minimal_backoff_time="3000s")
    instance.start()
    send_until_refused(instance)
    for n in range(4):
        kill_queue(instance)
        assert wait_until(lambda: not instance.postern("queue", "list", "--count", check=False).stderr, 15)
        ids = [row["queue_id"] for row in instance.queue()]
        done = instance.postern("queue", "edit", ids[n], "--expire", "3d", check=False, timeout=20)
        assert done.returncode == 0, (n, done.stderr)
    assert is_refused(instance)
    left = len(instance.queue())
    assert instance.postern("queue", "delete", "--all").stdout == f"{left} messages deleted\n"
    assert wait_until(lambda: takes_mail(instance), 20, 0.3), notice(instance)
    assert wait_until(lambda: notice(instance) == "", 10), notice(instance)


def test_full_at_start_with_a_lost_index(small):
    instance = small("size=32m", relayhost="[127.0.0.1]:9")
    instance.start()
    for i in range(10):
        with instance.connect() as c:
            c.hello()
            c.mail("s@here.test", [f"r{i}@far.test"])
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 10, 10)
    instance.stop()
    shutil.rmtree(instance.spool / "index")
    for slot in (instance.spool / "segments").iterdir():
        if slot.read_bytes()[:4096].count(0) == 4096:
            slot.unlink()
    fill(instance)
    start_refusing(instance, "insufficient disk space")
    assert is_refused(instance)
    done = instance.sendmail("-f", "alice@here.test", "bob@here.test", input="Subject: kept\n\nx\n", check=False)
    kept = list((instance.home / "queue" / "maildrop").iterdir())
    assert done.returncode == 75 or kept, (done, kept)
    (instance.spool / "filler").unlink()
    assert wait_until(lambda: takes_mail(instance), 20, 0.3)
    assert wait_until(lambda: len([m for m in instance.queue() if "far.test" in str(m)]) == 10, 20)
    if done.returncode != 75:
        instance.wait_mail("bob", seconds=30)


def test_no_inodes(small):
    instance = small("size=64m,nr_inodes=40", relayhost="[127.0.0.1]:9", message_size_limit="20000000")
    instance.start()
    i = 0
    try:
        while True:
            (instance.spool / f"inode{i}").touch()
            i += 1
    except OSError:
        pass
    with instance.connect() as c:
        c.hello()
        c.envelope("s@here.test", "r@far.test")
        reply = c.data("Subject: large\r\n\r\n" + ("z" * 76 + "\r\n") * 5000, expect=None)
        assert reply.code == 452 and "4.3.1" in repr(reply), reply
    assert wait_until(lambda: "large messages are refused: creating a message file: No space left" in notice(instance), 5), notice(instance)
    wait_until(lambda: False, 1.5)  # it was tried again
    assert "large messages are refused" in notice(instance)
    for n in range(i):
        (instance.spool / f"inode{n}").unlink()
    assert wait_until(lambda: notice(instance) == "", 5), notice(instance)
    with instance.connect() as c:
        c.hello()
        c.envelope("s@here.test", "r@far.test")
        c.data("Subject: large\r\n\r\n" + ("z" * 76 + "\r\n") * 5000)


def test_a_limit_of_file_sizes(make):
    """Of who starts it (ulimit -f): a spool that cannot grow is told of by start, with 452, and nothing is lost."""
    instance = make({"relayhost": "[127.0.0.1]:9", "maximal_backoff_time": "1000s", "minimal_backoff_time": "1000s", "notify_classes": ""})
    with instance.connect() as c:
        c.hello()
        for i in range(3):
            c.mail("s@here.test", [f"r{i}@far.test"], BODY)
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 3, 10)
    instance.stop()
    words = ["sh", "-c", 'ulimit -f "$0"; exec "$@"', "200", str(PREFIX / "sbin/postern"), "-c", str(instance.confdir), "start"]
    instance.started = True
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 75 and "no more mail is accepted: creating segment" in done.stderr and "File too large" in done.stderr, done
    assert is_refused(instance) and "File too large" in notice(instance)
    instance.stop()
    instance.start()
    assert takes_mail(instance) and wait_until(lambda: len(instance.queue()) == 3, 10)
    assert wait_until(lambda: notice(instance) == "", 10), notice(instance)


def test_read_only_at_start_and_writable_again(small):
    instance = small("size=48m", relayhost="[127.0.0.1]:9")
    instance.start()
    for i in range(5):
        with instance.connect() as c:
            c.hello()
            c.mail("s@here.test", [f"r{i}@far.test"])
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 5, 10)
    instance.stop()
    remount(instance, "ro")
    start_refusing(instance, "[Rr]ead-only")
    assert is_refused(instance)
    assert wait_until(lambda: "read-only" in notice(instance), 5), notice(instance)
    remount(instance, "rw")
    assert wait_until(lambda: takes_mail(instance), 20, 0.3)
    assert wait_until(lambda: len(instance.queue()) == 5, 20)
    with instance.connect() as c:
        c.hello()
        c.mail()
    instance.wait_mail("alice")
    assert wait_until(lambda: notice(instance) == "", 10), notice(instance)


def test_an_ext4_without_inodes(small, tmp_path):
    """Segments are there, files of large messages cannot be made; and no new segment either."""
    image = tmp_path / "image"
    with open(image, "wb") as f:
        f.truncate(96 << 20)
    if not shutil.which("mkfs.ext4") or subprocess.run(["mkfs.ext4", "-q", "-F", "-N", "64", image]).returncode != 0:
        pytest.skip("no ext4 can be made here")
    peer = Peer()
    instance = small("noatime", image, relayhost=f"[127.0.0.1]:{peer.port}", message_size_limit="20000000")
    instance.start()
    made = []
    try:
        while True:
            made.append(instance.spool / f"inode{len(made)}")
            made[-1].touch()
    except OSError:
        made.pop()
    large = "Subject: large\r\n\r\n" + ("z" * 76 + "\r\n") * 5000
    for n in range(30):
        with instance.connect() as c:
            c.hello()
            c.envelope("s@here.test", "r@far.test")
            reply = c.data(large, expect=None)
            assert reply.code == 452 and "4.3.1" in repr(reply), reply
    # What needs no file is taken, delivered, and recorded.
    with instance.connect() as c:
        c.hello()
        c.mail("s@here.test", ["r@far.test"], "X-Number: 1\r\n\r\nx\r\n")
    instance.wait_queue_empty(10)
    for path in made:
        path.unlink()
    with instance.connect() as c:
        c.hello()
        c.envelope("s@here.test", "r@far.test")
        c.data(large)
    assert wait_until(lambda: len(peer.messages) == 2, 10) and numbers(peer) == {b"1": 1}
    assert wait_until(lambda: notice(instance) == "", 10), notice(instance)


FAULTS = [(errno.EIO, calls.WRITE | calls.SYNC), (errno.EROFS, calls.WRITE | calls.OPEN | calls.NAMES | calls.LENGTHS), (errno.EDQUOT, calls.WRITE | calls.OPEN | calls.LENGTHS)]


@pytest.mark.parametrize("number, kinds", FAULTS if os.environ.get("CRASH_LONG") else FAULTS[:1])
def test_every_write_fails_for_a_while(make, number, kinds):
    """Quota, a disk that fails, a file system that became read-only under a queue that works: refused, told, over by itself."""
    peer = Peer(on={"RCPT": "450 4.2.0 later"})
    instance = make({"relayhost": f"[127.0.0.1]:{peer.port}", "maximal_backoff_time": "2s", "minimal_backoff_time": "1s"}, start=False)
    recorder = Recorder(instance.home, PREFIX / "libexec/postern", "queue")
    instance.settings["daemon_directory"] = recorder.folder
    instance.start()
    for i in range(10):
        with instance.connect() as c:
            c.hello()
            c.mail("s@here.test", [f"r{i}@far.test"], f"X-Number: {i}\r\n\r\nx\r\n")
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 10, 10)
    (pid,) = instance.pids("queue")
    recorder.kinds, recorder.fail_errno, recorder.always = kinds, number, True
    with instance.connect() as c:
        c.hello()
        reply = c.cmd("MAIL FROM:<s@here.test>")
        if reply.code == 250:  # no attempt that could not be recorded has told yet
            c.cmd("RCPT TO:<r@far.test>", 250)
            reply = c.data("X-Number: 100\r\n\r\nx\r\n", expect=None)
        assert reply.code == 452 and "4.3.1" in repr(reply), reply
    assert wait_until(lambda: is_refused(instance), 10)
    words = os.strerror(number)
    assert wait_until(lambda: words in notice(instance) and "no more mail is accepted" in notice(instance) and "since 20" in notice(instance), 10), notice(instance)
    assert words in instance.postern("status").stdout
    # What is there may be tried, but not again and again while nothing can be recorded.
    peer.on["RCPT"] = "250 2.1.5 Ok"
    wait_until(lambda: False, 1)
    recorder.always = False
    assert wait_until(lambda: takes_mail(instance), 20, 0.3), notice(instance)
    with instance.connect() as c:
        c.hello()
        c.mail("s@here.test", ["r@far.test"], "X-Number: 101\r\n\r\nx\r\n")
    assert wait_until(lambda: instance.postern("queue", "list", check=False).returncode == 0, 20, 0.3), instance.log()[-2000:]
    instance.wait_queue_empty(30)
    assert sorted(numbers(peer).items()) == sorted([(b"%d" % i, 1) for i in range(10)] + [(b"101", 1)])
    assert wait_until(lambda: notice(instance) == "", 10), notice(instance)
    assert instance.pids("queue") == [pid]
    assert "0 findings" in instance.postern("queue", "verify").stdout


def test_an_act_that_cannot_be_recorded_is_not_called_done(make):
    """What was and what was not done is said, with a status; once the disk works again it is done, and if queue dies before, it is not."""
    instance = make({"defer_transports": "smtp", "relayhost": "[127.0.0.1]:1"}, start=False)
    recorder = Recorder(instance.home, PREFIX / "libexec/postern", "queue")
    instance.settings["daemon_directory"] = recorder.folder
    instance.start()
    with instance.connect() as c:
        c.hello()
        for i in range(3):
            c.mail("s@here.test", [f"r{i}@far.test"])
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 3, 10)
    first, second, third = listed(instance)
    recorder.kinds, recorder.fail_errno, recorder.always = calls.WRITE | calls.SYNC, errno.EIO, True
    said = {}

    def act(*words):
        said[words[0]] = instance.postern("queue", *words, check=False)
    acts = [threading.Thread(target=act, args=words) for words in (("delete", first), ("hold", "--to", "r1@far.test"), ("edit", third, "--expire", "9d"))]
    [a.start() for a in acts]
    [a.join(30) for a in acts]
    for verb in ("delete", "hold", "edit"):
        run = said[verb]
        assert run.returncode == 75 and not run.stdout and os.strerror(errno.EIO) in run.stderr and "queue ends now" in run.stderr, (verb, run)
    assert "1 messages are done, but 1 of them not recorded" in said["delete"].stderr
    recorder.always = False
    assert wait_until(lambda: takes_mail(instance), 20, 0.3), notice(instance)
    kill_queue(instance)
    assert wait_until(lambda: listed(instance) == [second, third], 20), instance.log()[-3000:]
    assert [m["queue_id"] for m in instance.queue("--state", "hold")] == [second]
    assert instance.postern("queue", "delete", third).stdout == "1 message deleted\n"


@pytest.mark.parametrize("number, kinds", [(errno.EIO, calls.WRITE | calls.SYNC)] + [(errno.EMFILE, calls.OPEN)] * bool(os.environ.get("CRASH_LONG")))
def test_a_start_with_a_failing_disk_hides_no_mail(make, number, kinds):
    """Nothing that lies in the log is passed over for an error that may pass, and nobody takes its place there."""
    instance = make({"defer_transports": "smtp", "relayhost": "[127.0.0.1]:1"}, start=False)
    recorder = Recorder(instance.home, PREFIX / "libexec/postern", "queue")
    instance.settings["daemon_directory"] = recorder.folder
    instance.start()

    def send():
        with instance.connect() as c:
            c.hello()
            c.mail("s@here.test", ["r@far.test"])
    send()
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 1, 10)
    recorder.kinds, recorder.fail_errno, recorder.always = kinds, number, True
    os.kill(instance.pids("queue")[0], signal.SIGKILL)
    wait_until(lambda: False, 1.5)
    recorder.always = False
    assert wait_until(lambda: len(listed(instance) or []) == 1 and takes_mail(instance), 20, 0.3), instance.log()[-3000:]
    send()
    assert wait_until(lambda: len(listed(instance) or []) == 2, 10, 0.1), instance.log()[-3000:]
    kill_queue(instance)
    assert wait_until(lambda: len(listed(instance) or []) == 2, 20, 0.1), instance.log()[-3000:]
    assert not list((instance.home / "queue/spool/damaged").iterdir())


@pytest.mark.skipif(not os.environ.get("CRASH_LONG"), reason="CRASH_LONG=1: half a minute")
def test_a_file_system_that_becomes_read_only_under_load(small, tmp_path):
    """ext4 after an error of its journal: refused with the reason, nothing acknowledged is lost once it is mounted anew."""
    image, peer, taken, over = tmp_path / "image", Peer(), set(), threading.Event()
    subprocess.run(["mkfs.ext4", "-q", str(image), "200M"], check=True, capture_output=True)
    instance = small("rw", image, relayhost=f"[127.0.0.1]:{peer.port}", minimal_backoff_time="1s")
    instance.start()

    def load(k):
        for n in range(100000):
            with instance.connect() as c:
                c.hello()
                if all([c.cmd(line).code < 400 for line in ("MAIL FROM:<s@here.test>", "RCPT TO:<r@far.test>", "DATA")]):
                    c.send(f"X-Number: {k}{n:07}\r\n\r\nx\r\n.\r\n".encode())
                    if c.reply().code == 250:
                        taken.add(b"%d%07d" % (k, n))
            if over.is_set():
                return
    threads = [threading.Thread(target=load, args=(k,)) for k in range(1, 5)]
    [t.start() for t in threads]
    wait_until(lambda: False, 2)
    remount(instance, "abort")
    assert wait_until(lambda: is_refused(instance), 10, 0.3)
    assert wait_until(lambda: "Read-only file system" in notice(instance), 5), notice(instance)
    wait_until(lambda: False, 7)  # the index has noticed
    run = instance.postern("queue", "list", "--count", check=False)
    assert run.returncode == 0 or "Read-only file system" in run.stderr, run
    over.set()
    [t.join(60) for t in threads]
    instance.stop()
    subprocess.run(["umount", str(instance.spool)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(instance.spool)], check=True)
    instance.start()
    instance.wait_queue_empty(60)
    assert taken and set(numbers(peer)) >= taken
    assert "0 findings" in instance.postern("queue", "verify").stdout


@pytest.mark.skipif(not os.environ.get("CRASH_LONG"), reason="CRASH_LONG=1: half a minute")
def test_a_disk_that_hangs(small, tmp_path):
    """No call fails, none ends: who waits is told, status says so, and all goes on when it is back."""
    image, peer = tmp_path / "image", Peer()
    subprocess.run(["mkfs.ext4", "-q", str(image), "100M"], check=True, capture_output=True)
    instance = small("rw", image, relayhost=f"[127.0.0.1]:{peer.port}")
    instance.start()
    subprocess.run(["fsfreeze", "-f", str(instance.spool)], check=True)
    try:
        for content, told in ((BODY * 5, "large messages are refused"), ("x\r\n", "the spool cannot be written to")):
            with instance.connect(timeout=60) as c:
                c.hello()
                c.envelope("s@here.test", "r@far.test")
                assert c.data("X-Number: 1\r\n\r\n" + content, expect=452).code == 452
            assert wait_until(lambda: told in notice(instance), 5) and "has not ended for" in notice(instance), notice(instance)
    finally:
        subprocess.run(["fsfreeze", "-u", str(instance.spool)], check=True)
    assert wait_until(lambda: notice(instance) == "", 10), notice(instance)
    with instance.connect() as c:
        c.hello()
        c.envelope("s@here.test", "r@far.test")
        c.data("X-Number: 2\r\n\r\nx\r\n")
    assert wait_until(lambda: numbers(peer) == {b"2": 1}, 10), numbers(peer)
