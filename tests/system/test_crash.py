"""kill -9 of each process under load: every acknowledged message arrives (catalogue K)."""
import collections, itertools, os, random, re, signal, threading, time

import pytest
from harness.instance import wait_until


LONG = bool(os.environ.get("CRASH_LONG"))


def group(instance):
    """All processes of the instance, master last: none has time to say anything to another."""
    return [row["pid"] for row in instance.processes() if row["pid"] > 1 and row["role"] != "master"] + [int((instance.home / "queue/pid/master.pid").read_text())]


@pytest.mark.parametrize("role", ["queue", "smtpd", "delivery", "lookup", "resolver", "policy", "log", "master", "group"])
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
    whole = role in ("master", "group")
    for _ in range((2 if whole else 4) * (5 if LONG else 1)):
        time.sleep(rng.uniform(0.3, 0.9))
        try:
            pids = group(instance) if role == "group" else [int(pid_file.read_text())] if role == "master" else [rng.choice(instance.pids(role))]
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            killed += 1
        except (AssertionError, ProcessLookupError, IndexError, ValueError, FileNotFoundError):
            continue
        if whole:
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
    assert repeats <= (60 * killed if role in ("delivery", "master", "group") else 0), f"{repeats} repeats"


@pytest.mark.parametrize("role", ["local", "pickup", "queue"])
def test_what_this_host_wrote_arrives(make, role):
    """sendmail(1) to a mailbox. Only what was in the killed process itself may come twice."""
    instance = make({})
    sent, done = set(), threading.Event()

    def load(letter):
        for n in itertools.count():
            if done.is_set():
                return
            name = f"{letter}{n}"
            if instance.sendmail("-f", "s@here.test", "alice@here.test", input=f"Subject: {name}\n\nx\n", check=False).returncode == 0:
                sent.add(name)
    threads = [threading.Thread(target=load, args=(letter,)) for letter in "abc"]
    for t in threads:
        t.start()
    rng, killed = random.Random(role), 0
    for _ in range(20 if LONG else 3):
        time.sleep(rng.uniform(0.3, 0.9))
        try:
            os.kill(rng.choice(instance.pids(role)), signal.SIGKILL)
            killed += 1
        except (AssertionError, ProcessLookupError, IndexError):
            continue
    done.set()
    for t in threads:
        t.join(30)
    assert killed and len(sent) > 5

    def arrived():
        return collections.Counter(re.search(rb"^Subject: (\w+)", m, re.M)[1].decode() for m in instance.mailbox("alice"))
    assert wait_until(lambda: sent <= set(arrived()), 60, 0.5), f"lost {sorted(sent - set(arrived()))}\n{instance.log()[-3000:]}"
    instance.wait_queue_empty(60)
    got = arrived()
    repeats = sum(got.values()) - len(got)
    assert repeats <= (0 if role == "queue" else 20 * killed), f"{repeats} repeats\n{instance.log()[-3000:]}"
