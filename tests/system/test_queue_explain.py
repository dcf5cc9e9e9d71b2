"""postern queue explain and edit: why a message waits, and what an operator changes."""
import json, os, pathlib, pwd, re, signal, socket, subprocess, time

import pytest
from harness.instance import free_port, wait_until

SLOW = {"minimal_backoff_time": "600s", "maximal_backoff_time": "600s"}


def send(instance, *recipients, sender="alice@here.test", subject="x"):
    with instance.connect() as c:
        c.hello()
        return c.mail(sender, list(recipients), f"Subject: {subject}\r\n\r\nhello\r\n")


def explain(instance, queue_id):
    return json.loads(instance.postern("queue", "explain", queue_id, "--json").stdout)


def edit(instance, queue_id, *change, check=True):
    return instance.postern("queue", "edit", queue_id, *change, check=check)


def restart(instance, queue_id):
    """Started again, and the queue has been read."""
    instance.stop()
    instance.start()
    assert wait_until(lambda: instance.postern("queue", "explain", queue_id, check=False).returncode == 0, 10)


def deferred(instance, queue_id):
    assert wait_until(lambda: [r for r in instance.queue("--state", "deferred") if r["queue_id"] == queue_id], 8)
    return queue_id


@pytest.fixture
def busy(make, peer):
    """A host that defers every recipient, and an instance that sends all mail there."""
    sink = peer(on={"RCPT": "450 4.2.0 Mailbox busy now"})
    instance = make({**SLOW, "relayhost": f"[127.0.0.1]:{sink.port}", "delay_warning_time": "4h"})
    return instance, sink


# ---- explain ----

def test_a_deferred_message_says_what_was_said_and_what_comes(busy):
    instance, sink = busy
    queue_id = deferred(instance, send(instance, "r@far.test"))
    facts = explain(instance, queue_id)
    rcpt = facts["recipients"][0]
    assert facts["queue_name"] == "deferred" and facts["sender"] == "alice@here.test" and facts["hold"] is None
    assert rcpt["transport"] == "smtp" and rcpt["nexthop"] == f"[127.0.0.1]:{sink.port}" and not rcpt["route_by_operator"]
    assert rcpt["route_now"] == {"transport": "smtp", "nexthop": f"[127.0.0.1]:{sink.port}"} and "relayhost" in " ".join(rcpt["route_because"])
    assert rcpt["attempts"] == 1 and rcpt["history"] == [] and "450 4.2.0 Mailbox busy now" in rcpt["last_attempt"]["diagnostic"] + rcpt["last_attempt"]["text"]
    assert rcpt["waits_for"] == "backoff" and 500 < rcpt["until"] - time.time() < 700
    assert abs(facts["expires"] - facts["arrival_time"] - 5 * 86400) < 5 and abs(facts["delay_warning_at"] - facts["arrival_time"] - 4 * 3600) < 5
    text = instance.postern("queue", "explain", queue_id).stdout
    for part in ("Mailbox busy now", "relayhost", "the time of its next attempt", "returned to <alice@here.test>", f"postern queue retry {queue_id}", "told of the delay"):
        assert part in text, text


def test_attempts_are_remembered_as_runs(busy):
    instance, sink = busy
    queue_id = deferred(instance, send(instance, "r@far.test"))
    for count, reply in ((2, "450 4.2.0 Mailbox busy now"), (3, "450 4.2.0 Mailbox busy now"), (4, "451 4.3.0 Another trouble")):
        sink.on = {"RCPT": reply}
        instance.postern("queue", "retry", queue_id)
        assert wait_until(lambda: explain(instance, queue_id)["recipients"][0]["attempts"] == count, 8)
    rcpt = explain(instance, queue_id)["recipients"][0]
    assert [(h["first"], h["last"]) for h in rcpt["history"]] == [(1, 3)] and "busy" in rcpt["history"][0]["text"]
    assert "Another trouble" in rcpt["last_attempt"]["text"]
    restart(instance, queue_id)
    assert explain(instance, queue_id)["recipients"][0]["history"] == rcpt["history"]


def test_a_dead_destination_and_a_hold_are_told(make):
    port = free_port()
    instance = make({**SLOW, "relayhost": f"[127.0.0.1]:{port}", "initial_destination_concurrency": "1"})
    first = deferred(instance, send(instance, "r@far.test"))
    hop = explain(instance, first)["recipients"][0]["destination"]
    assert hop["down_since"] and "refused" in hop["reason"] and 500 < hop["next_probe"] - time.time() < 700
    second = deferred(instance, send(instance, "q@far.test"))
    rcpt = explain(instance, second)["recipients"][0]
    assert "suspended" in rcpt["last_attempt"]["text"] and "refused" in rcpt["last_attempt"]["text"]
    instance.postern("queue", "hold", first, "--hold-reason", "looks odd")
    facts = explain(instance, first)
    assert facts["hold"]["reason"] == "looks odd" and re.match(r"\S+ \(uid \d+\)$", facts["hold"]["by"]) and abs(facts["hold"]["since"] - time.time()) < 20
    assert facts["recipients"][0]["waits_for"] == "hold"
    text = instance.postern("queue", "explain", first).stdout
    assert "looks odd" in text and f"postern queue release {first}" in text and "down since" in text
    instance.postern("queue", "release", first)
    assert explain(instance, first)["hold"] is None


def test_what_is_under_way_and_what_is_behind_it(make):
    silent = socket.create_server(("127.0.0.1", 0))
    try:
        instance = make({**SLOW, "relayhost": f"[127.0.0.1]:{silent.getsockname()[1]}", "smtp_destination_concurrency_limit": "1"})
        first, second, third = (send(instance, f"r{n}@far.test") for n in range(3))
        assert wait_until(lambda: explain(instance, first)["recipients"][0]["waits_for"] == "delivering", 5)
        delivery = explain(instance, first)["recipients"][0]["delivery"]
        assert delivery["doing"] == "receiving the initial server greeting" and delivery["relay"].endswith(f":{silent.getsockname()[1]}")
        rcpt = explain(instance, third)["recipients"][0]
        assert rcpt["delivery"] is None and rcpt["waits_for"] == "concurrency" and rcpt["destination"]["concurrency_limit"] == 1 and rcpt["destination"]["deliveries"] == 1 and rcpt["destination"]["ahead"] == 1
        refused = edit(instance, first, "--drop", "r0@far.test", check=False)
        assert refused.returncode == 75 and "being delivered" in refused.stderr
        edit(instance, second, "--drop", "r1@far.test")
        assert wait_until(lambda: not instance.queue("--to", "r1@far.test"), 5)
    finally:
        silent.close()


def test_where_a_delivery_is_and_that_its_process_is_silent(make, peer):
    instance = make({**SLOW, "relayhost": f"[127.0.0.1]:{peer(on={'DOT': '!hang'}).port}", "smtp_data_done_timeout": "123s"})
    queue_id = send(instance, "r@far.test")
    where = lambda: explain(instance, queue_id)["recipients"][0]["delivery"]
    assert wait_until(lambda: where()["doing"].startswith("sending end of data"), 10)
    now = time.time()
    assert now - 10 < where()["since"] <= where()["doing_since"] <= now and now + 100 < where()["until"] <= now + 124
    assert re.search(r"waits for the end of a delivery .*\n    since .*: sending end of data.*; patience ends in [12]m ", instance.postern("queue", "explain", queue_id).stdout)
    for pid in instance.pids("delivery"):
        os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        assert where()["doing"] == "" and time.monotonic() - begun < 3
        assert "its process says nothing" in instance.postern("queue", "explain", queue_id).stdout
    finally:
        for pid in instance.pids("delivery"):
            os.kill(pid, signal.SIGCONT)
    assert wait_until(lambda: where()["doing"], 5)


def test_a_command_that_takes_its_time(make):
    instance = make({**SLOW, "mailbox_command": "sleep 3"})
    queue_id = send(instance, "alice@here.test")
    assert wait_until(lambda: (explain(instance, queue_id)["recipients"][0]["delivery"] or {}).get("doing") == "running a command", 5)



def test_unknown_ids_are_said(busy):
    instance, _ = busy
    for words in (("explain", "0000000000000000"), ("explain", "nonsense"), ("explain",), ("edit", "0000000000000000", "--bounce"), ("edit", "x", "--drop", "a@b"), ("edit",)):
        answer = instance.postern("queue", *words, check=False)
        assert answer.returncode != 0 and len(answer.stderr.strip().splitlines()) == 1, answer


# ---- edit ----

def test_a_recipient_is_changed(busy, peer):
    instance, sink = busy
    queue_id = deferred(instance, send(instance, "wrong@far.test", "other@far.test"))
    sink.on = {}
    edit(instance, queue_id, "--recipient", "wrong@far.test=right@far.test")
    message = sink.wait(1)[0]
    assert message["rcpt"][0].startswith("RCPT TO:<right@far.test>") and len(message["rcpt"]) == 1
    instance.wait_log(rf"{queue_id}: edited by \S+ \(uid \d+\): recipient <wrong@far.test> is now <right@far.test>")
    instance.wait_log(rf"{queue_id}: to=<right@far.test>, orig_to=<wrong@far.test>.*status=sent")
    assert [a["act"] for a in explain(instance, queue_id)["acts"]] == ["recipient wrong@far.test=right@far.test"]
    for bad in ("other@far.test=", "nobody@far.test=x@far.test", "other@far.test", "other@far.test=a b"):
        assert edit(instance, queue_id, "--recipient", bad, check=False).returncode != 0, bad


def test_a_recipient_that_becomes_local_is_delivered_here(busy):
    instance, _ = busy
    queue_id = deferred(instance, send(instance, "wrong@far.test"))
    edit(instance, queue_id, "--recipient", "wrong@far.test=bob@here.test")
    assert b"X-Original-To: wrong@far.test" in instance.wait_mail("bob", 1)[0]
    instance.wait_log(f"{queue_id}: removed")


def test_a_changed_recipient_is_listed_with_its_own_next_hop(make, peer):
    """On hold, too, and after the index was made anew from the log."""
    sinks = [peer(on={"RCPT": "450 4.2.0 busy"}) for _ in range(2)]
    routes = " ".join("{ %s.test = smtp:[127.0.0.1]:%d }" % (name, sink.port) for name, sink in zip("ab", sinks))
    instance = make({**SLOW, "transport_maps": f"inline:{{ {routes} }}"})
    held, free = [deferred(instance, send(instance, "x@a.test")) for _ in range(2)]
    instance.postern("queue", "hold", held)
    for queue_id in (held, free):
        edit(instance, queue_id, "--recipient", "x@a.test=x@b.test")

    def listed():
        return sorted((row["queue_id"], row["queue_name"], row["recipients"][0]["nexthop"]) for row in instance.queue("--nexthop", f"[127.0.0.1]:{sinks[1].port}"))
    want = [(held, "hold", f"[127.0.0.1]:{sinks[1].port}"), (free, "deferred", f"[127.0.0.1]:{sinks[1].port}")]
    assert wait_until(lambda: listed() == want, 8), listed()
    assert wait_until(lambda: explain(instance, free)["recipients"][0]["attempts"] == 2, 8)
    instance.stop()
    for path in (instance.home / "queue" / "spool" / "index").iterdir():
        path.unlink()
    instance.start()
    assert wait_until(lambda: listed() == want, 10), listed()


def test_recipients_are_dropped_and_nobody_is_told(busy):
    instance, _ = busy
    queue_id = deferred(instance, send(instance, "a@far.test", "b@far.test"))
    edit(instance, queue_id, "--drop", "a@far.test")
    assert [r["address"] for r in instance.queue()[0]["recipients"]] == ["b@far.test"]
    again = edit(instance, queue_id, "--drop", "a@far.test", check=False)
    assert again.returncode == 65 and "done with" in again.stderr
    edit(instance, queue_id, "--drop", "b@far.test")
    instance.wait_log(f"{queue_id}: removed")
    time.sleep(0.5)
    assert not instance.queue() and not instance.mailbox("alice")


def test_another_next_hop_stays_when_tables_change(busy, peer):
    instance, _ = busy
    good = peer(on={"RCPT": "450 4.2.0 not yet"})
    queue_id = deferred(instance, send(instance, "r@far.test"))
    edit(instance, queue_id, "--nexthop", f"smtp:[127.0.0.1]:{good.port}")
    assert wait_until(lambda: "not yet" in str(explain(instance, queue_id)["recipients"][0]["last_attempt"]), 8)
    instance.reload(relayhost="[127.0.0.1]:9")
    restart(instance, queue_id)
    rcpt = explain(instance, queue_id)["recipients"][0]
    assert rcpt["route_by_operator"] and rcpt["nexthop"] == f"[127.0.0.1]:{good.port}" and rcpt["route_now"]["nexthop"] == "[127.0.0.1]:9"
    good.on = {}
    instance.postern("queue", "retry", queue_id)
    assert good.wait(1)
    instance.wait_log(f"{queue_id}: removed")


def test_a_next_hop_wants_a_transport_that_there_is(make, peer):
    sink, good = peer(on={"RCPT": "450 4.2.0 busy"}), peer()
    instance = make({**SLOW, "relayhost": f"[127.0.0.1]:{sink.port}", "transport_services": "{ store lmtp } { slow smtp }", "foo_destination_recipient_limit": "1"})
    queue_id = deferred(instance, send(instance, "r@far.test"))
    for bad in ("lmpt:[127.0.0.1]:24", "foo:bar", "pipe:x"):
        done = edit(instance, queue_id, "--nexthop", bad, check=False)
        assert done.returncode == 64 and f"there is no transport {bad.split(':')[0]}" in done.stderr, (bad, done)
    for bad, why in [("[127.0.0.1", "not [host]:port"), ("[::1", "not [host]:port"), ("smtp:[::1", "not [host]:port"), ("mx.test:", "not [host]:port"), ("[127.0.0.1]:", "not [host]:port"), ("[127.0.0.1]x", "not [host]:port"),
                     ("host:99999", "unknown port"), ("mx.test:99999", "unknown port"), ("[127.0.0.1]:0", "unknown port"), ("slow:mx.test:nosuch", "unknown port"), ("store:inet:mx.test:0", "unknown port"), ("store:unix:", "no path"),
                     ("[]:25", "no host name"), (":25", "no host name"), ("smtp:", "no next hop"), ("r@far.test", "no host name"), ("::1", "unknown port"), ("[a]b]", "not [host]:port")]:
        done = edit(instance, queue_id, "--nexthop", bad, check=False)
        assert done.returncode == 64 and "--nexthop: " in done.stderr and why in done.stderr, (bad, done)
    rcpt = explain(instance, queue_id)["recipients"][0]
    assert rcpt["nexthop"] == f"[127.0.0.1]:{sink.port}" and not rcpt["route_by_operator"]
    edit(instance, queue_id, "--nexthop", f"store:inet:127.0.0.1:{free_port()}")
    assert wait_until(lambda: explain(instance, queue_id)["recipients"][0]["attempts"] == 2, 8)
    edit(instance, queue_id, "--nexthop", f"slow:[127.0.0.1]:{good.port}")
    assert good.wait(1)


def test_the_expiry_is_changed(busy):
    instance, sink = busy
    queue_id = deferred(instance, send(instance, "r@far.test"))
    edit(instance, queue_id, "--expire", "2d")
    facts = explain(instance, queue_id)
    assert abs(facts["expires"] - time.time() - 2 * 86400) < 20 and facts["expires_by_operator"]
    edit(instance, queue_id, "--expire", "2037-01-02 03:04")
    assert time.localtime(explain(instance, queue_id)["expires"])[:5] == (2037, 1, 2, 3, 4)
    edit(instance, queue_id, "--expire", "1s")
    time.sleep(1.2)
    instance.postern("queue", "retry", queue_id)
    instance.wait_log(rf"{queue_id}: from=<alice@here.test>, status=expired, returned to sender")
    assert b"Mailbox busy now" in instance.wait_mail("alice", 1)[0]
    for moment in ("whenever", "2037-02-30", "2037-04-31 12:00", "2037-13-01", "-1d", ""):
        assert edit(instance, queue_id, "--expire", moment, check=False).returncode == 64, moment


def test_it_is_returned_now(busy):
    instance, _ = busy
    queue_id = deferred(instance, send(instance, "r@far.test", "q@far.test"))
    instance.postern("queue", "hold", queue_id)
    edit(instance, queue_id, "--bounce")
    report = instance.wait_mail("alice", 1)[0]
    assert b"Action: failed" in report and b"r@far.test" in report and b"q@far.test" in report and b"expired by the operator" in report
    instance.wait_log(f"{queue_id}: removed")
    instance.wait_log(rf"{queue_id}: from=<alice@here.test>, status=force-expired, returned to sender")


@pytest.mark.parametrize("change", [("--recipient", "a@far.test=c@far.test"), ("--drop", "a@far.test"), ("--nexthop", "[127.0.0.1]:9"), ("--expire", "9d"), ("--bounce",)], ids=lambda c: c[0])
def test_an_edit_that_was_answered_survives_kill(busy, change):
    instance, _ = busy
    queue_id = deferred(instance, send(instance, "a@far.test", "b@far.test"))
    edit(instance, queue_id, *change)
    for pid in instance.pids("queue"):
        os.kill(pid, signal.SIGKILL)
    def after():
        rows = instance.postern("queue", "explain", queue_id, "--json", check=False)
        return json.loads(rows.stdout) if rows.returncode == 0 else None
    if change[0] == "--bounce":
        assert b"expired by the operator" in instance.wait_mail("alice", 1)[0]
        assert wait_until(lambda: not instance.queue(), 10)
        return
    assert wait_until(lambda: after() is not None, 10)
    facts = after()
    addresses = [r["address"] for r in facts["recipients"]]
    assert len(facts["acts"]) == 1 and facts["acts"][0]["act"].startswith(change[0][2:])
    expected = {"--recipient": ["c@far.test", "b@far.test"], "--drop": ["b@far.test"]}.get(change[0], ["a@far.test", "b@far.test"])
    assert addresses == expected
    if change[0] == "--nexthop":
        assert all(r["nexthop"] == "[127.0.0.1]:9" and r["route_by_operator"] for r in facts["recipients"])
    if change[0] == "--expire":
        assert facts["expires_by_operator"] and abs(facts["expires"] - time.time() - 9 * 86400) < 30


# ---- who may ----

def test_who_may_list_is_read_again_at_a_reload(make):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    instance = make({"authorized_mailq_users": "root", "authorized_flush_users": "root"})
    program = str(pathlib.Path(os.environ["POSTERN_PREFIX"]) / "sbin/postern")
    bob = pwd.getpwnam("bob").pw_uid
    def status(*words):
        return subprocess.run(["setpriv", f"--reuid={bob}", "--clear-groups", program, "-c", str(instance.confdir), *words], capture_output=True).returncode
    assert status("queue", "list") == 77 and status("flush") == 77
    instance.reload(authorized_mailq_users="root, bob")
    assert wait_until(lambda: status("queue", "list") == 0, 5) and status("flush") == 77
    instance.reload(authorized_mailq_users="!bob, static:anyone", authorized_flush_users="bob")
    assert wait_until(lambda: status("queue", "list") == 77, 5) and wait_until(lambda: status("flush") == 0, 5)
    instance.reload(authorized_mailq_users="static:anyone")
    assert wait_until(lambda: status("queue", "list") == 0, 5)
    assert status("queue", "delete", "--all") == 77


def test_a_large_message_is_shown_whole(busy):
    instance, _ = busy
    body = "".join("%07d %s\r\n" % (n, "x" * 60) for n in range(40000))
    with instance.connect() as c:
        c.hello()
        queue_id = c.mail("alice@here.test", ["r@far.test"], "Subject: big\r\n\r\n" + body)
    shown = instance.postern("queue", "show", queue_id, "--body").stdout
    assert shown == body.replace("\r\n", "\n")
    assert "Subject: big" in instance.postern("queue", "show", queue_id, "--headers").stdout


def test_a_moment_is_in_the_same_second_everywhere(make):
    instance = make({"dns_servers": "127.0.0.1:9", "minimal_backoff_time": "300s"})
    for i in range(5):
        instance.sendmail("-f", "bob@here.test", f"u{i}@gone.test", "alice", input="Subject: x\n\nx\n")
        time.sleep(0.2)
    instance.wait_log(r"to=<u\d@gone\.test>.*status=deferred", count=5)
    instance.wait_mail("alice", 5)
    for row in instance.queue():
        told = json.loads(instance.postern("queue", "explain", row["queue_id"], "--json").stdout)
        assert told["arrival_time"] == row["arrival_time"], (told["arrival_time"], row)
        text = instance.postern("queue", "explain", row["queue_id"]).stdout
        assert "\n1 recipient is done with\n" in text and "(in 0s)" not in text.partition("next\n")[0], text
