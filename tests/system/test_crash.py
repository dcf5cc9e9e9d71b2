"""kill -9 of each process under load: every acknowledged message arrives (catalogue K)."""
import collections, os, random, re, signal, threading, time

import pytest
from harness.instance import wait_until


@pytest.mark.parametrize("role", ["queue", "smtpd", "delivery", "lookup", "resolver", "policy", "master"])
def test_what_was_acknowledged_arrives(make, peer, role):
    sink = peer()
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "smtpd_workers": 2, "delivery_workers": 2})
    acknowledged, unknown, done, serial = set(), set(), threading.Event(), iter(range(10**9))
    lock = threading.Lock()

    def load():
        while not done.is_set():
            with lock:
                name = f"r{next(serial)}"
            try:
                with instance.connect(timeout=10) as c:
                    c.hello()
                    c.cmd("MAIL FROM:<s@here.test>", 250)
                    c.cmd(f"RCPT TO:<{name}@far.test>", 250)
                    c.cmd("DATA", 354)
                    c.send(f"Subject: {name}\r\n\r\n{name}\r\n.\r\n".encode())
                    with lock:
                        unknown.add(name)
                    reply = c.reply()
                    # Whatever the reply is, it is true: with a 4xx the client sends again, and there would be two.
                    with lock:
                        unknown.discard(name)
                        if reply.code == 250:
                            acknowledged.add(name)
            except (OSError, EOFError, AssertionError):
                time.sleep(0.05)
    threads = [threading.Thread(target=load) for _ in range(6)]
    for t in threads:
        t.start()
    rng, killed = random.Random(role), 0
    pid_file = instance.home / "queue/pid/master.pid"
    for _ in range(2 if role == "master" else 4):
        time.sleep(rng.uniform(0.3, 0.9))
        try:
            pids = [int(pid_file.read_text())] if role == "master" else instance.pids(role)
            os.kill(rng.choice(pids), signal.SIGKILL)
            killed += 1
        except (AssertionError, ProcessLookupError, IndexError, ValueError, FileNotFoundError):
            continue
        if role == "master":
            time.sleep(0.5)
            wait_until(lambda: instance.postern("start", check=False).returncode == 0, 20, 0.5)
    assert killed
    assert wait_until(lambda: len(acknowledged) > 50, 30)
    done.set()
    for t in threads:
        t.join(30)
    instance.postern("flush", check=False)
    def arrived():
        with sink.lock:
            return {re.search(rb"^Subject: (r\d+)", m["content"], re.M)[1].decode() for m in sink.messages}
    assert wait_until(lambda: acknowledged <= arrived(), 40, 0.5), f"lost {sorted(acknowledged - arrived())[:5]} of {len(acknowledged)}\n{instance.log()[-3000:]}"
    assert arrived() <= acknowledged | unknown
    counts = collections.Counter(re.search(rb"^Subject: (r\d+)", m["content"], re.M)[1] for m in sink.messages)
    repeats = sum(n - 1 for n in counts.values())
    assert repeats <= (60 * killed if role in ("queue", "delivery", "master") else 0), f"{repeats} repeats"
