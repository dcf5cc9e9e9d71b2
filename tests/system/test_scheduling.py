"""The scheduler: dead and slow destinations, large lists, flush and ETRN, uncertain deliveries, senders of lists."""
import json, os, socket, threading, time

import pytest
from harness.instance import free_port, stop_listening, wait_until
from harness.peer import Peer

SLOW = {"minimal_backoff_time": "600s", "maximal_backoff_time": "4000s"}
MANY = int(os.environ.get("SCHEDULING_MANY", "2000"))


def send(instance, *recipients, sender="alice@here.test"):
    with instance.connect() as c:
        c.hello()
        return c.mail(sender, list(recipients), "Subject: x\r\n\r\nhello\r\n")


def explain(instance, queue_id):
    return json.loads(instance.postern("queue", "explain", queue_id, "--json").stdout)


def deferred(instance, *ids):
    assert wait_until(lambda: {r["queue_id"] for r in instance.queue("--state", "deferred")} >= set(ids), 10)


@pytest.fixture
def silent():
    """A host that takes connections and never says a word."""
    server = socket.create_server(("127.0.0.1", 0), backlog=500)
    yield server
    server.close()


# ---- fairness ----

def test_fresh_mail_leaves_at_once_whatever_else_waits(make, peer, silent):
    """A dead destination, a silent one and a large list: a third place's mail leaves within a second, at any time."""
    third, members, dead = peer(), peer(), free_port()
    where = {"dead.test": f"[127.0.0.1]:{dead}", "silent.test": f"[127.0.0.1]:{silent.getsockname()[1]}", "list.test": f"[127.0.0.1]:{members.port}", "third.test": f"[127.0.0.1]:{third.port}"}
    instance = make({**SLOW, "transport_maps": "inline:{ " + " ".join(f"{{ {k} = smtp:{v} }}" for k, v in where.items()) + " }", "smtpd_recipient_limit": "20000", "spool_segment_size": "64m"})
    delays = []
    with instance.connect() as c, instance.connect() as fresh:
        c.hello(), fresh.hello()
        def one():
            begun = time.monotonic()
            fresh.mail("alice@here.test", [f"r{len(delays)}@third.test"], "Subject: x\r\n\r\nhello\r\n")
            third.wait(len(delays) + 1)
            delays.append(time.monotonic() - begun)
        one()
        for n in range(MANY):
            c.mail("bulk@here.test", [f"r{n}@{'dead' if n % 2 else 'silent'}.test"], "Subject: x\r\n\r\nhello\r\n")
            if n % (MANY // 10) == 0:
                one()
        c.mail("owner@here.test", [f"m{n}@list.test" for n in range(10000)], "Subject: x\r\n\r\nhello\r\n")
        for _ in range(10):
            one()
            time.sleep(0.05)
        assert wait_until(lambda: sum(len(m["rcpt"]) for m in members.messages) == 10000, 60)
        one()
    print("slowest of", len(delays), "is", max(delays))
    assert max(delays) < 1, delays
    assert max(len(m["rcpt"]) for m in members.messages) == 50


def test_a_dead_destination_gets_few_connections(make):
    refusing = socket.create_server(("127.0.0.1", 0), backlog=100)
    count, port = [], refusing.getsockname()[1]
    def hang_up():
        while True:
            try:
                count.append(refusing.accept()[0].close())
            except OSError:
                return
    threading.Thread(target=hang_up, daemon=True).start()
    instance = make({"minimal_backoff_time": "2s", "maximal_backoff_time": "4s", "relayhost": f"[127.0.0.1]:{port}"})
    for n in range(60):
        send(instance, f"r{n}@far.test")
    deferred(instance)
    before = len(count)
    time.sleep(5)
    assert before <= 7 and 1 <= len(count) - before <= 4, (before, len(count))
    stop_listening(refusing)
    sink = Peer(port=port)
    try:
        sink.wait(60, 15)
        assert sink.connections <= 25
    finally:
        sink.close()


# ---- at once ----

@pytest.mark.parametrize("words", [["postern", "flush"], ["postern", "flush", "--to", "@far.test"], ["postern", "flush", "ID"], ["postern", "queue", "retry", "ID"], ["sendmail", "-q"], ["sendmail", "-qRfar.test"], ["sendmail", "-qSelsewhere.test"], ["sendmail", "-qIID"], ["ETRN"]], ids=" ".join)
def test_it_acts_at_once_where_the_hop_rests(make, words):
    port = free_port()
    instance = make({**SLOW, "relayhost": f"[127.0.0.1]:{port}", "initial_destination_concurrency": "1", "fast_flush_domains": "far.test"})
    queue_id = send(instance, "r@far.test", sender="s@elsewhere.test")
    deferred(instance, queue_id)
    assert explain(instance, queue_id)["recipients"][0]["destination"]["down_since"]
    sink = Peer(port=port)
    try:
        begun = time.monotonic()
        words = [w.replace("ID", queue_id) for w in words]
        if words == ["ETRN"]:
            with instance.connect() as c:
                c.hello()
                assert c.cmd("ETRN far.test").code == 253
        elif words[0] == "postern":
            instance.postern(*words[1:])
        else:
            instance.sendmail(*words[1:])
        sink.wait(1, 5)
        assert time.monotonic() - begun < 2
    finally:
        sink.close()


def test_a_flush_after_routes_changed_takes_the_new_one(make, peer):
    instance = make({**SLOW, "relayhost": f"[127.0.0.1]:{free_port()}", "initial_destination_concurrency": "1"})
    queue_id = send(instance, "r@far.test")
    deferred(instance, queue_id)
    good = peer()
    instance.reload(relayhost=f"[127.0.0.1]:{good.port}")
    instance.postern("flush", "--to", "@far.test")
    good.wait(1, 5)


def test_a_pause_between_deliveries(make, peer):
    sink = peer()
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "smtp_destination_rate_delay": "1s"})
    for n in range(4):
        send(instance, f"r{n}@far.test")
    time.sleep(1.5)
    assert 1 <= len(sink.messages) <= 2
    sink.wait(4, 5)


# ---- uncertain deliveries ----

def test_a_connection_that_dies_behind_the_dot_is_told_as_such(make, peer):
    sink = peer(on={"DOT": "!close"})
    instance = make({"minimal_backoff_time": "100s", "maximal_backoff_time": "4000s", "relayhost": f"[127.0.0.1]:{sink.port}"})
    queue_id = send(instance, "r@far.test")
    instance.wait_log(rf"{queue_id}: to=<r@far.test>.*status=deferred \(lost connection with \S+ while sending end of data -- message may be sent more than once\)")
    deferred(instance, queue_id)
    for _ in range(2):
        rcpt = instance.queue()[0]["recipients"][0]
        assert rcpt["possibly_delivered"] is True and "more than once" in rcpt["delay_reason"]
        facts = explain(instance, queue_id)["recipients"][0]
        assert facts["last_attempt"]["possibly_delivered"] is True
        # four times the shortest back-off: as the third attempt in a row
        assert 350 < facts["until"] - time.time() < 460
        assert "it may have been delivered" in instance.postern("queue", "explain", queue_id).stdout.replace("\n", " ")
        assert "possibly_delivered" in instance.postern("queue", "show", queue_id, "--envelope").stdout
        assert "more than once" in instance.sendmail("-bp").stdout
        assert "more than once" in instance.postern("queue", "stats", "--by", "reason").stdout
        instance.stop()
        instance.start()
    sink.on = {}
    instance.postern("flush")
    assert sink.wait(1)
    instance.wait_log(rf"{queue_id}: removed")


def test_a_connection_that_dies_in_front_of_the_dot_is_certain(make, peer):
    sink = peer(on={"DATA": "!close"})
    instance = make({**SLOW, "relayhost": f"[127.0.0.1]:{sink.port}"})
    queue_id = send(instance, "r@far.test")
    deferred(instance, queue_id)
    assert "possibly_delivered" not in instance.queue()[0]["recipients"][0]
    assert explain(instance, queue_id)["recipients"][0]["last_attempt"]["possibly_delivered"] is False


def test_every_host_of_the_last_attempt_is_told(make, peer, dns):
    one = peer(address="127.0.3.1", on={"greeting": "421 4.3.2 one is closed"})
    two = peer(address="127.0.3.2", port=one.port, on={"RCPT": "451 4.7.1 two wants you later"})
    server = dns(["far.test MX 10 mx1.far.test", "far.test MX 30 mx2.far.test", "far.test MX 20 mx3.far.test", "mx1.far.test A 127.0.3.1", "mx2.far.test A 127.0.3.2", "mx3.far.test A 127.0.3.3"])
    instance = make({**SLOW, "smtp_tcp_port": one.port}, dns=server)
    queue_id = send(instance, "r@far.test")
    deferred(instance, queue_id)
    last = explain(instance, queue_id)["recipients"][0]["last_attempt"]
    said = " | ".join(h["host"] + " " + h["text"] for h in last["hosts"])
    assert "one is closed" in said and "two wants you later" in said and "mx3.far.test" in said and "refused" in said, last
    text = instance.postern("queue", "explain", queue_id).stdout
    assert "one is closed" in text and "two wants you later" in text


# ---- lists with an owner ----

def test_what_comes_of_a_list_with_an_owner_is_the_owners(make, peer):
    good, bad = peer(), peer(on={"RCPT": "550 5.1.1 nobody here"})
    instance = make({"transport_maps": f"inline:{{ {{ good.test = smtp:[127.0.0.1]:{good.port} }} {{ bad.test = smtp:[127.0.0.1]:{bad.port} }} }}",
                     "alias_maps": "inline:{ { list = m@good.test, m@bad.test } { owner-list = carol } }", "local_recipient_maps": "inline:{ { alice = x } { list = x } { owner-list = x } { carol = x } }"})
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<alice@here.test> ENVID=secret RET=FULL", 250)
        c.cmd("RCPT TO:<list@here.test> NOTIFY=SUCCESS,FAILURE", 250)
        c.cmd("RCPT TO:<direct@good.test>", 250)
        queue_id = c.data("Subject: x\r\n\r\nhello\r\n").split()[-1]
    messages = good.wait(2)
    senders = {m["rcpt"][0].split("<")[1].split(">")[0]: m["mail"] for m in messages}
    assert senders["direct@good.test"].startswith("MAIL FROM:<alice@here.test>") and "ENVID=secret" in senders["direct@good.test"]
    assert senders["m@good.test"].startswith("MAIL FROM:<owner-list@here.test>") and "secret" not in senders["m@good.test"]
    report = instance.wait_mail("carol", 1)[0]
    assert b"m@bad.test" in report and b"nobody here" in report and b"secret" not in report
    instance.wait_log(f"{queue_id}: removed")
    assert all(b"m@bad.test" not in raw for raw in instance.mailbox("alice"))


# ---- defer_transports ----

def test_a_deferred_transport_waits_for_a_flush(make, peer):
    """Nothing is tried before somebody asks for it; that is said where people look, and what came later waits again."""
    sink = peer()
    instance = make({**SLOW, "relayhost": f"[127.0.0.1]:{sink.port}", "defer_transports": "smtp", "fast_flush_domains": "far.test"})
    first, other = send(instance, "r@far.test"), send(instance, "r@other.test")
    deferred(instance, first, other)
    instance.wait_log(r"dsn=4.3.2, status=deferred \(deferred transport\)", count=2)
    assert explain(instance, first)["recipients"][0]["waits_for"] == "flush"
    assert "defer_transports" in instance.postern("queue", "explain", first).stdout
    assert "smtp is one of defer_transports" in instance.postern("route", "r@far.test").stdout
    instance.postern("queue", "hold", other), instance.postern("queue", "release", other)
    with instance.connect() as c:
        c.hello()
        assert c.cmd("ETRN far.test").code == 253
    sink.wait(1)
    assert "r@far.test" in sink.messages[0]["rcpt"][0]
    late = send(instance, "s@far.test")
    deferred(instance, other, late)
    assert len(sink.messages) == 1
    instance.sendmail("-q")
    sink.wait(3)
    instance.wait_queue_empty()
