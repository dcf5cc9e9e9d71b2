"""A process that somebody has taken: what it says to the others ends none of them, and touches no mail but what it handles itself."""
import os, re, signal, threading, time

import pytest
from harness.bent import Hostile, type_number
from harness.instance import PREFIX, wait_until

LONG = bool(os.environ.get("CRASH_LONG"))


@pytest.fixture
def taken(make, peer):
    """taken(program): an instance in which that program's words are bent, and what bends them."""
    def build(program):
        sink = peer(on={"RCPT": lambda session, line, peer: "450 4.2.0 later" if b"<later" in line else "250 2.1.5 Ok"})
        instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "minimal_backoff_time": "3000s", "maximal_backoff_time": "4000s", "index_delay": "1s"}, start=False)
        hostile = Hostile(instance.home, PREFIX / "libexec/postern", program)
        instance.settings["daemon_directory"] = hostile.folder
        instance.start()
        for n in range(4):
            send(instance, f"later{n}@far.test", f"v{n}")
        assert wait_until(lambda: len(deferred(instance)) == 4 and all(m[1] for m in deferred(instance).values()), 10)
        return instance, hostile, sink
    return build


def send(instance, to, name, timeout=10):
    with instance.connect(timeout=timeout) as c:
        c.hello()
        c.mail("s@here.test", [to], f"X-Name: {name}\r\n\r\nx\r\n")


def can_send(instance, to, name):
    try:
        send(instance, to, name)
    except (OSError, EOFError, AssertionError):
        return False
    return True


def deferred(instance):
    rows = instance.queue("--from", "s@here.test")
    return {m["queue_id"]: (m["recipients"][0]["address"], m["recipients"][0]["attempts"]) for m in rows if m["recipients"][0]["address"].startswith("later")}


def came(sink, name):
    with sink.lock:
        return sum(f"X-Name: {name}\r\n".encode() in m["content"] for m in sink.messages)


def test_no_other_message_is_named(taken):
    """By an id that another message has, that another process gives, or of a time to come."""
    instance, hostile, sink = taken("smtpd")
    instance.stop()  # then the ids are not those of this life
    instance.start()
    before = deferred(instance)
    hostile.only = type_number("SUBMIT_OPEN")
    other = (time.time_ns() // 1000 << 12) | 5 << 4
    cases = [(int(min(before), 16), None), (other, "an id that another process gives"), ((time.time_ns() // 1000 + 3600 * 10**6) << 12, "an id of a time to come")]
    for number, told in cases:
        hostile.number, hostile.often = number, 1000
        count = len(re.findall(told, instance.log())) if told else 0
        assert not can_send(instance, "r@far.test", "bad")
        if told:
            instance.wait_log(told, count=count + 1)
        hostile.often = 0
        assert wait_until(lambda: can_send(instance, "fine@far.test", "fine"), 10, 0.2)
    assert deferred(instance) == before and came(sink, "bad") == 0
    assert wait_until(lambda: came(sink, "fine") >= len(cases), 10)
    instance.stop()
    instance.postern("queue", "rebuild")
    instance.start()
    assert wait_until(lambda: deferred(instance) == before, 10), deferred(instance)
    assert "0 findings" in instance.postern("queue", "verify").stdout


def test_connections_that_are_called_lost(taken):
    """Each is made anew once a second at most, and master keeps nothing of those that cannot be."""
    instance, hostile, sink = taken("smtpd")
    before = deferred(instance)
    (master,) = [row["pid"] for row in instance.processes() if row["role"] == "master"]
    memory = lambda: int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{master}/status").read())[1])
    had = memory()
    hostile.only, hostile.as_type, hostile.times = type_number("READY"), type_number("PEER_LOST"), 40000
    role = 3  # queue
    for index in (0, 7):
        hostile.number, hostile.often = role | index << 8, 1000
        os.kill(instance.pids("smtpd")[0], signal.SIGKILL)
        count = hostile.count
        assert wait_until(lambda: hostile.count > count, 10)
        hostile.often = 0
        assert wait_until(lambda: can_send(instance, "fine@far.test", "fine"), 10, 0.2), instance.log()[-2000:]
    assert memory() < had + 3000, (had, memory())
    hostile.number, hostile.often = 255, 1000
    os.kill(instance.pids("smtpd")[0], signal.SIGKILL)
    instance.wait_log("a connection with nobody is lost")
    assert deferred(instance) == before


@pytest.mark.parametrize("program", ["smtpd", "delivery"] + ["local", "pickup"] * LONG)
def test_the_others_go_on(taken, program):
    instance, hostile, sink = taken(program)
    before, over = deferred(instance), threading.Event()
    others = {(row["role"], row["pid"]) for row in instance.processes() if row["role"] != program}

    def load(k):
        for n in range(10**6):
            if over.is_set():
                return
            can_send(instance, f"g{k}-{n}@far.test" if program != "local" else "alice@here.test", "any")
            if program == "pickup":
                instance.sendmail("-f", "h@here.test", "x@far.test", input="Subject: x\n\nx\n", check=False)
    threads = [threading.Thread(target=load, args=(k,)) for k in range(4)]
    [t.start() for t in threads]
    for often in (50, 200, 600) * (10 if LONG else 1):
        hostile.often = often
        wait_until(lambda: False, 0.6)
    wait_until(lambda: hostile.count > 5, 15)
    hostile.often = 0
    over.set()
    # What he has said to himself in vain does not count: a new one takes his place.
    for pid in instance.pids(program):
        os.kill(pid, signal.SIGKILL)
    [t.join(30) for t in threads]
    assert hostile.count > 5
    assert wait_until(lambda: can_send(instance, "fine@far.test", "fine"), 20, 0.2), instance.log()[-3000:]
    assert wait_until(lambda: came(sink, "fine"), 20, 0.2), instance.log()[-3000:]
    assert others <= {(row["role"], row["pid"]) for row in instance.processes()}, instance.log()[-3000:]
    # Of delivery's jobs he says himself what became of them.
    if program != "delivery":
        assert deferred(instance) == before
