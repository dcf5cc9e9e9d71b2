"""queue ends at chosen calls of its own (tests/crash/recorder.c): what its submitters say then is true, and nothing comes twice."""
import os, pathlib, re, shutil, signal, tempfile, threading, time

import pytest
from harness import recorder as calls
from harness.instance import PREFIX, wait_until
from harness.recorder import Recorder

LONG = bool(os.environ.get("CRASH_LONG"))


@pytest.fixture
def recorded(make):
    """recorded(program, settings): an instance in which that program is preloaded, and the recorder."""
    def build(program, settings):
        instance = make(settings, start=False)
        recorder = Recorder(instance.home, PREFIX / "libexec/postern", program)
        instance.settings["daemon_directory"] = recorder.folder
        return instance.start(), recorder
    return build


def subjects(sink):
    with sink.lock:
        return sorted(re.search(rb"^Subject: (\w+)", m["content"], re.M)[1].decode() for m in sink.messages)


def next_call_dies(recorder):
    """When nothing is under way any more, the next one counted is the message's."""
    quiet, seen = time.monotonic(), recorder.calls
    while time.monotonic() - quiet < 0.7:
        time.sleep(0.05)
        if recorder.calls != seen:
            quiet, seen = time.monotonic(), recorder.calls
    recorder.kill_at = seen + 1


def submit(instance, name):
    """The code of the reply to the final dot, or to DATA if that is refused."""
    with instance.connect(timeout=30) as c:
        c.hello()
        c.cmd("MAIL FROM:<s@here.test>", 250)
        c.cmd("RCPT TO:<r@far.test>", 250)
        if (reply := c.cmd("DATA")).code != 354:
            return reply.code
        c.send(f"Subject: {name}\r\n\r\n{name}\r\n.\r\n".encode())
        return c.reply().code


def test_a_message_that_was_committed_is_acknowledged_although_queue_died(peer, recorded):
    sink = peer()
    instance, recorder = recorded("queue", {"relayhost": f"[127.0.0.1]:{sink.port}"})
    recorder.kinds, recorder.after = calls.SYNC, True
    names = [f"c{i}" for i in range(8 if LONG else 3)]
    for name in names:
        before, had = recorder.kills, len(sink.messages)
        next_call_dies(recorder)
        assert submit(instance, name) == 250, instance.log()[-3000:]
        assert recorder.kills == before + 1
        assert wait_until(lambda: len(sink.messages) == had + 1, 20), instance.log()[-3000:]
        instance.wait_queue_empty()
        time.sleep(5.2 if name != names[-1] else 0.3)  # a life of five seconds is no crash loop to master
    assert subjects(sink) == sorted(names)


def test_a_drop_file_is_submitted_once_although_queue_died(peer, recorded):
    sink = peer()
    instance, recorder = recorded("queue", {"relayhost": f"[127.0.0.1]:{sink.port}"})
    recorder.kinds, recorder.after = calls.SYNC, True
    next_call_dies(recorder)
    assert instance.sendmail("-f", "s@here.test", "r@far.test", input="Subject: dropped\n\nx\n").returncode == 0
    assert wait_until(lambda: sink.messages, 20) and recorder.kills == 1
    instance.wait_queue_empty()
    time.sleep(1)
    assert subjects(sink) == ["dropped"] and not [p for p in (instance.home / "queue/maildrop").iterdir()]


@pytest.mark.parametrize("to", ["r@far.test", "alice@here.test"])
def test_an_outcome_that_queue_died_with_is_told_again(peer, recorded, to):
    sink = peer()
    instance, recorder = recorded("queue", {"relayhost": f"[127.0.0.1]:{sink.port}"})
    recorder.kinds = calls.WRITE
    got = lambda: len(instance.mailbox("alice")) + len(sink.messages)
    for n in range(2):
        next_call_dies(recorder)
        recorder.kill_at += 1  # the first is the message, the second what became of it
        instance.sendmail("-f", "s@here.test", to, input="Subject: once\n\nx\n")
        assert wait_until(lambda: recorder.kills == n + 1, 10), instance.log()[-2000:]
        assert wait_until(got, 20)
        instance.wait_queue_empty(20)
        time.sleep(5.2 if LONG else 0.5)
        assert got() == n + 1, instance.log()[-3000:]
        if not LONG:
            break


@pytest.mark.parametrize("kind", ["before a write", "behind a write", "before a sync"])
def test_whatever_the_reply_it_is_true(peer, recorded, kind):
    sink = peer()
    instance, recorder = recorded("queue", {"relayhost": f"[127.0.0.1]:{sink.port}"})
    recorder.kinds = calls.SYNC if "sync" in kind else calls.WRITE
    recorder.after = "behind" in kind
    replies, n = {}, 0
    for step in range(1, 9 if LONG else 3):
        name, before = f"s{step}", recorder.kills
        recorder.kill_at = recorder.calls + step
        replies[name] = submit(instance, name)
        assert replies[name] in (250, 451)
        while recorder.kills == before and n < 200:
            n += 1
            replies[f"n{n}"] = submit(instance, f"n{n}")
        assert recorder.kills > before
        assert wait_until(lambda: instance.postern("status", check=False).returncode == 0, 20, 0.2)
        time.sleep(5.2 if LONG else 1.2)
    taken = sorted(name for name, code in replies.items() if code == 250)
    assert wait_until(lambda: set(subjects(sink)) >= set(taken), 30), instance.log()[-3000:]
    instance.wait_queue_empty(20)
    assert set(subjects(sink)) == set(taken)
    # At most what was in flight in queue when it died.
    assert len(subjects(sink)) <= len(taken) + recorder.kills, subjects(sink)


REPORTS = [(about, when, range(2, 12)) for about in ("failure", "delay") for when in ("before", "behind")]


@pytest.mark.parametrize("about, when, steps", REPORTS if LONG else [("failure", "before", (4,)), ("delay", "behind", (5,))])
def test_a_report_is_made_once_although_queue_died(peer, recorded, about, when, steps):
    """Between the message's commit and the report's removal: queue asks pickup, pickup submits, both are recorded."""
    sink = peer(on={"RCPT": "550 5.1.1 nobody" if about == "failure" else "450 4.2.0 later"})
    settings = {"relayhost": f"[127.0.0.1]:{sink.port}"}
    if about == "delay":
        settings |= {"delay_warning_time": "1s", "minimal_backoff_time": "1s", "maximal_backoff_time": "2s"}
    instance, recorder = recorded("queue", settings)
    recorder.kinds, recorder.after = calls.WRITE, when == "behind"
    reports = lambda: [m for m in instance.mailbox("alice") if b"report-type=delivery-status" in m]
    for n, step in enumerate(steps, start=1):
        next_call_dies(recorder)
        before = recorder.kills
        recorder.kill_at += step - 1
        instance.sendmail("-f", "alice@here.test", f"r{n}@far.test", input="Subject: x\n\nx\n")
        assert wait_until(lambda: recorder.kills > before or len(reports()) == n, 20), instance.log()[-3000:]
        assert wait_until(lambda: len(reports()) >= n, 30), (step, instance.log()[-3000:])
        time.sleep(5.2 if LONG else 3)
        recorder.kill_at = 0
        assert len(reports()) == n, (step, instance.log()[-6000:])
        if about == "delay":
            instance.postern("queue", "delete", "--all", check=False)
    assert recorder.kills


SECOND = [(about, when, step) for about in ("failure", "delay") for when in ("before", "behind") for step in range(7)]


@pytest.mark.parametrize("about, when, step", SECOND if LONG else [("delay", "behind", 0)])
def test_a_report_is_made_once_although_queue_died_twice(peer, recorded, about, when, step):
    """First when the report is in the log and nothing else is; then at a write while that goes its way, or (step 0) behind it."""
    go = threading.Event()

    def answer(session, line, p):
        go.wait(20)
        return "550 5.1.1 nobody" if about == "failure" else "450 4.2.0 later"
    sink = peer(on={"RCPT": answer})
    instance, recorder = recorded("queue", {"relayhost": f"[127.0.0.1]:{sink.port}", "delay_warning_time": "1s", "minimal_backoff_time": "7s"})
    recorder.kinds, recorder.after = calls.WRITE, True
    reports = lambda: [m for m in instance.mailbox("alice") if b"report-type=delivery-status" in m]
    instance.sendmail("-f", "alice@here.test", "r@far.test", input="Subject: x\n\nx\n")
    assert wait_until(lambda: any(c.startswith("RCPT") for c in sink.commands), 10)
    time.sleep(1.1)  # as long as delay_warning_time
    (pickup,) = instance.pids("pickup")
    os.kill(pickup, signal.SIGSTOP)
    go.set()
    time.sleep(2)  # it is asked for a report, and the index knows
    next_call_dies(recorder)
    os.kill(pickup, signal.SIGCONT)
    assert wait_until(lambda: recorder.kills == 1, 20), instance.log()[-3000:]
    recorder.after = when == "behind"
    recorder.kill_at = recorder.calls + step if step else 0
    assert wait_until(reports, 30), instance.log()[-3000:]
    time.sleep(1)
    if not step:
        os.kill(instance.pids("queue")[0], signal.SIGKILL)
    time.sleep(6)
    recorder.kill_at = 0
    assert len(reports()) == 1, instance.log()[-6000:]


@pytest.mark.parametrize("when", ["before the replies", "with the replies"])
def test_several_workers_send_nothing_twice_although_queue_died(make, peer, when):
    """What a worker is committing, or has committed and told a queue that died, is not given to another one, nor begun anew."""
    go, waiting = threading.Event(), []

    def dot(session, line, p):
        waiting.append(1)
        go.wait(30)
        return "250 2.0.0 Ok"
    sink = peer(on={"DOT": dot})
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "delivery_workers": "4", "initial_destination_concurrency": "20", "minimal_backoff_time": "1s"})
    for round in range(5 if LONG else 1):
        count, before = 30, len(sink.messages)
        waiting.clear()
        go.clear()
        with instance.connect() as c:
            c.hello()
            for n in range(count):
                c.mail("s@here.test", [f"r{n}@far.test", f"q{n}@far.test"], f"Subject: m{round}x{n}\r\n\r\nx\r\n")
        assert wait_until(lambda: len(waiting) == 20, 15)
        (pid,) = instance.pids("queue")
        if when == "with the replies":
            os.kill(pid, signal.SIGSTOP)  # outcomes are on their way to it when it dies
            go.set()
            assert wait_until(lambda: len(sink.messages) >= before + 20, 10)
            time.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: instance.postern("status", check=False).returncode == 0 and [p for p in instance.pids("queue") if p != pid], 20, 0.2)
        time.sleep(2.5)
        go.set()
        assert wait_until(lambda: len(sink.messages) >= before + count, 30), instance.log()[-3000:]
        instance.wait_queue_empty(30)
        names = subjects(sink)[:]
        assert len(names) == len(set(names)) == before + count, [n for n in names if names.count(n) > 1]
        time.sleep(5.2 if LONG else 0)


def test_a_command_that_runs_when_queue_dies_is_not_run_again(make):
    room = pathlib.Path(tempfile.mkdtemp(prefix="postern-room-"))
    room.chmod(0o777)
    instance = make({"mailbox_command": f"cat > /dev/null; echo run >> {room}/ran; sleep 4"})
    instance.sendmail("-f", "s@here.test", "alice@here.test", input="Subject: x\n\nx\n")
    assert wait_until(lambda: (room / "ran").exists(), 10), instance.log()[-2000:]
    (pid,) = instance.pids("queue")
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: [p for p in instance.pids("queue") if p != pid], 10)
    time.sleep(1)
    instance.wait_queue_empty(20)
    assert (room / "ran").read_text() == "run\n"
    shutil.rmtree(room)
