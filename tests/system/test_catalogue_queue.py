"""Catalogue K as an operator meets it: clocks that jump, expiry during a delivery, operators and reloads under load."""
import os, pathlib, re, shutil, signal, struct, subprocess, threading, time

import pytest
from harness.instance import PREFIX, wait_until

SUPPORT = pathlib.Path(__file__).resolve().parent.parent / "support"
DAY = 86400
SANITIZED = pytest.mark.skipif(b"__asan_init" in (PREFIX / "libexec/postern/queue").read_bytes(), reason="the sanitizers want to be loaded first")


class Clock:
    """The wall clock of an instance's programs: set(seconds) moves it."""

    def __init__(self, instance):
        self.file, library, folder = instance.home / "clock", instance.home / "clock.so", instance.home / "libexec"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SUPPORT / "clock.c"], check=True)
        self.file.write_bytes(bytes(8))
        self.file.chmod(0o644)
        shutil.copytree(PREFIX / "libexec" / "postern", folder)
        for program in ("queue", "delivery", "smtpd", "pickup", "local", "log", "lookup"):
            (folder / program).unlink()
            (folder / program).write_text(f"#!/bin/bash\nLD_PRELOAD={library} POSTERN_CLOCK={self.file} exec -a {program} {PREFIX}/libexec/postern/{program} \"$@\"\n")
            (folder / program).chmod(0o755)
        instance.settings["daemon_directory"] = folder

    def set(self, seconds):
        with open(self.file, "r+b") as f:
            f.write(struct.pack("=q", seconds))


def processor_ticks(instance):
    total = 0
    for row in instance.processes():
        fields = pathlib.Path(f"/proc/{row['pid']}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total


# ---- K10

@SANITIZED
def test_a_clock_that_jumps_expires_nothing_and_mail_goes_on(make, peer):
    sink = peer(on={"RCPT": "450 4.2.0 later"})
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "minimal_backoff_time": "1s", "maximal_backoff_time": "1s", "queue_run_delay": "1s", "delay_warning_time": "12h", "maximal_queue_lifetime": "2d"}, start=False)
    clock = Clock(instance)
    instance.start()
    ids = []

    def send():
        with instance.connect() as c:
            c.hello()
            ids.append(c.mail("alice@here.test", [f"u{len(ids)}@far.test"]))

    send()
    instance.wait_log("status=deferred")
    for jump in (-DAY, 3650 * DAY, -int(time.time()) - DAY, 0):
        attempts, ticks = instance.log().count("status=deferred"), processor_ticks(instance)
        clock.set(jump)
        assert wait_until(lambda: instance.log().count("status=deferred") >= attempts + len(ids), 8), f"no attempt after a jump by {jump} s"
        assert processor_ticks(instance) - ticks < 100, "it turns in circles"
        send()
    assert ids == sorted(set(ids))
    instance.stop()
    clock.set(3650 * DAY)
    instance.start()
    attempts = instance.log().count("status=deferred")
    assert wait_until(lambda: instance.log().count("status=deferred") >= attempts + len(ids), 8)
    clock.set(0)
    assert "non-delivery" not in instance.log() and "expired" not in instance.log(), instance.log()
    assert len(instance.queue()) == len(ids)
    sink.on.clear()
    sink.wait(len(ids), 10)
    instance.wait_queue_empty()


@SANITIZED
def test_tables_count_where_the_clock_was_set_back(make, peer, folder):
    """Routes of deferred mail are asked for anew when tables change, though a lookup that was started anew gives lower generations."""
    first, second = peer(on={"RCPT": "450 4.2.0 later"}), peer()
    table = folder / "transport"
    table.write_text(f"far.test smtp:[127.0.0.1]:{first.port}\n")
    instance = make({"transport_maps": f"texthash:{table}", "minimal_backoff_time": "1000s", "maximal_backoff_time": "1000s"}, start=False)
    clock = Clock(instance)
    clock.set(3600)
    instance.start()
    with instance.connect() as c:
        c.hello()
        c.mail("alice@here.test", ["u@far.test"])
    instance.wait_log("status=deferred")
    clock.set(0)
    (lookup,) = instance.pids("lookup")
    os.kill(lookup, signal.SIGKILL)
    assert wait_until(lambda: instance.pids("lookup") not in ([], [lookup]), 10)
    table.write_text(f"far.test smtp:[127.0.0.1]:{second.port}\n")

    def goes_there():
        instance.postern("queue", "retry", "--all")
        return second.messages
    assert wait_until(goes_there, 10, 0.5), instance.log()[-2000:]
    instance.wait_queue_empty()


@pytest.mark.parametrize("began,then", [(0, "1970"), ("1969", 0), ("2170", "1969")])
@SANITIZED
def test_whatever_the_clock_says_the_log_is_believed(make, began, then):
    """The index is rebuilt from the log by a queue whose clock is right, far behind (as without a battery) or far ahead."""
    seconds = {0: 0, "1969": -int(time.time()) - 30 * DAY, "1970": -int(time.time()) + DAY, "2170": 52596 * DAY}
    instance = make({"dns_servers": "127.0.0.1:9"}, start=False)
    clock = Clock(instance)
    clock.set(seconds[began])
    instance.start()
    with instance.connect() as c:
        c.hello()
        ids = [c.mail("alice@here.test", [f"u{i}@far.test"]) for i in range(3)]
    instance.wait_log(r"status=deferred", count=3)
    instance.postern("abort")
    shutil.rmtree(instance.home / "queue" / "spool" / "index")
    clock.set(seconds[then])
    instance.postern("start")
    instance.wait_log("the index is rebuilt: 3 messages")
    with instance.connect() as c:
        c.hello()
        ids.append(c.mail("alice@here.test", ["v@far.test"]))
    assert wait_until(lambda: [row["queue_id"] for row in instance.queue()] == ids, 5) and ids == sorted(ids)
    assert "0 findings" in instance.postern("queue", "verify").stdout
    assert "expired" not in instance.log() and "non-delivery" not in instance.log()


# ---- K12

@pytest.mark.parametrize("reply,end", [("250 2.0.0 Ok", "sent"), ("451 4.3.0 not now", "bounced")])
def test_what_expires_while_it_is_being_delivered_has_one_end(make, peer, reply, end):
    def late(session, line, p):
        time.sleep(1.5)
        return reply

    sink = peer(on={"DOT": late})
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "maximal_queue_lifetime": "1s", "bounce_queue_lifetime": "1s"})
    with instance.connect() as c:
        c.hello()
        c.mail("alice@here.test", ["x@far.test"])
    instance.wait_queue_empty(12)
    instance.wait_log(": removed")
    log = instance.log()
    ends = re.findall(r"to=<x@far\.test>.*status=(sent|bounced)", log) or re.findall(r"status=expired, returned to sender", log)
    assert len(ends) == 1 and (end == "sent") == (ends == ["sent"]), log
    assert len(instance.mailbox("alice")) == (0 if end == "sent" else 1) and sink.connections == 1


# ---- K13, K15

def test_operators_and_reloads_lose_and_repeat_nothing_under_load(make, peer):
    def slow(session, line, p):
        time.sleep(0.002)
        return "250 2.1.5 Ok"

    sink = peer(on={"RCPT": slow})
    instance = make({"transport_maps": f"inline:{{ {{ far.test = smtp:[127.0.0.1]:{sink.port} }} }}"})
    sent, deleted, over = [], [], threading.Event()

    def sender(number):
        with instance.connect() as c:
            c.hello()
            while not over.is_set():
                to = f"u{number}.{time.monotonic_ns()}@far.test"
                sent.append((to, c.mail("alice@here.test", [to])))

    def operator():
        while not over.is_set():
            for verb in ("hold", "release", "requeue", "retry"):
                instance.postern("queue", verb, "--all")
            if sent:
                last = sent[-1]
                done = instance.postern("queue", "delete", last[1])
                deleted.extend([last] if done.stdout.startswith("1 ") else [])

    def reloader():
        turn = 0
        while not over.is_set():
            turn += 1
            instance.postern("config", "-e", f"queue_run_delay={1 + turn % 3}s")
            instance.postern("reload")

    threads = [threading.Thread(target=sender, args=(1,)), threading.Thread(target=sender, args=(2,)), threading.Thread(target=operator), threading.Thread(target=reloader)]
    for t in threads:
        t.start()
    time.sleep(1.5)
    over.set()
    for t in threads:
        t.join()
    instance.postern("queue", "release", "--all")
    instance.postern("flush")
    instance.wait_queue_empty(20)
    got = sorted(re.search(r"<(.*?)>", rcpt)[1] for message in sink.messages for rcpt in message["rcpt"])
    gone = {to for to, _ in deleted}
    assert len(sent) > 20 and got == sorted(set(got)) and set(got) | gone == {to for to, _ in sent}
    assert "non-delivery" not in instance.log()
    assert all(instance.log().count(f"{i}: removed") == 1 for _, i in sent)
