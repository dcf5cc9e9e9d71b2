"""Orders of events that are rare, and that mail must survive all the same."""
import collections, os, random, re, signal, threading, time

import pytest
from harness.instance import wait_until

LONG = bool(os.environ.get("CRASH_LONG"))
HOPS = 6


def test_a_worker_ends_only_when_queue_has_heard_of_everything(make, peer):
    recipients = [f"r{n:04}@far.test" for n in range(2000)]
    release = threading.Event()

    def late(session, line, peer):
        release.wait(20)
        return "250 2.0.0 Ok: " + "x" * 400
    sink = peer(on={"DOT": late})
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "smtp_destination_recipient_limit": 2000, "smtpd_recipient_limit": 2000, "shutdown_grace": "20s"})
    instance.sendmail("-f", "s@here.test", *recipients, input="Subject: once\n\nx\n")
    assert wait_until(lambda: "DATA" in sink.commands)
    queue, worker = instance.pids("queue")[0], instance.pids("delivery")[0]
    stop = threading.Thread(target=instance.stop)
    os.kill(queue, signal.SIGSTOP)  # busy, as far as others can see
    try:
        stop.start()
        release.set()
        assert wait_until(lambda: len(sink.messages) == 1)
        time.sleep(0.5)
    finally:
        os.kill(queue, signal.SIGCONT)
    stop.join()
    instance.start()
    instance.wait_queue_empty()
    assert len(sink.messages) == 1 and not os.path.exists(f"/proc/{worker}")


class Bursts:
    """Clients that send at once, chunked or pipelined, each to next hops that nothing is known of yet."""

    def __init__(self, instance, dice):
        self.instance, self.dice, self.names, self.taken = instance, dice, 0, set()

    def client(self, hop, names, dice):
        try:
            with self.instance.connect(timeout=30) as c:
                c.hello()
                for name in names:
                    content = f"Subject: {name}\r\n\r\n{'x' * dice.choice([1, 100, 5000])}\r\n".encode()
                    at = dice.randrange(1, len(content))
                    chunks = b"BDAT %d\r\n" % at + content[:at] + b"BDAT %d LAST\r\n" % (len(content) - at) + content[at:]
                    c.send(f"MAIL FROM:<s@there.test>\r\nRCPT TO:<r@d{hop}.test>\r\n".encode() + (chunks if dice.random() < 0.5 else b"DATA\r\n"))
                    replies = [c.reply().code for _ in range(3)]
                    if replies[2] == 354:
                        c.send(content + b".\r\n")
                    if c.reply().code == 250:
                        self.taken.add(name)
        except (OSError, EOFError):
            pass  # it was stopped meanwhile

    def send(self, hop, meanwhile=None):
        clients = []
        for _ in range(self.dice.choice([1, 2, 3])):
            count = self.dice.choice([1, 4, 12])
            names = [f"m{self.names + n}" for n in range(count)]
            self.names += count
            clients.append(threading.Thread(target=self.client, args=(hop, names, random.Random(self.dice.random()))))
        for c in clients:
            c.start()
        if meanwhile:
            time.sleep(self.dice.random() / 10)
            meanwhile()
        for c in clients:
            c.join()


@pytest.mark.parametrize("seed", range(100 if LONG else 2))
def test_mail_arrives_once_in_any_order_of_events(seed, make, peer):
    dice, sink = random.Random(seed), peer(address="0.0.0.0")
    instance = make({
        "transport_maps": "inline:{ " + " ".join(f"{{ d{n}.test = smtp:[127.0.1.{n + 1}]:{sink.port} }}" for n in range(HOPS)) + " }",
        "delivery_workers": 1 + seed % 2, "smtp_connection_cache_time_limit": "1s", "smtpd_error_sleep_time": "0",
    }, start=False)
    jittery = instance.make_jittery(f"orders {seed}")
    instance.start()
    bursts = Bursts(instance, dice)
    arrived = lambda: collections.Counter(found[1].decode() for m in list(sink.messages) if (found := re.search(rb"^Subject: (m\d+)\r$", m["content"], re.M)))

    def restart():
        instance.stop()
        instance.start()
    for hop in range(HOPS):
        bursts.send(hop, {2: instance.reload, 4: restart}.get(hop))
    time.sleep(0.98 + dice.random() / 50)  # idle connections are about to be closed
    bursts.send(HOPS - 1)
    assert wait_until(lambda: set(arrived()) >= bursts.taken, 30), instance.why_queued()
    instance.wait_queue_empty()
    assert [name for name, count in arrived().items() if count > 1] == []
    assert not re.search(r"panic|fatal|killed by signal|connection with \w+\[\d+\] closed", instance.log()), instance.log()[-3000:]
    assert sum(jittery.counts().values()) > 0 and len(bursts.taken) > 10
