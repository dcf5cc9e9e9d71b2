"""postern queue: listing, looking, acting."""
import fcntl, json, os, pty, re, struct, subprocess, termios, time

import pytest
from harness.instance import PREFIX, wait_until


@pytest.fixture
def waiting(make, peer):
    """Six messages that wait: three for one.test, two for two.test, one large for three.test."""
    sink = peer(on={"RCPT": "450 4.2.0 Mailbox BUSY now"})
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "minimal_backoff_time": "600s", "maximal_backoff_time": "600s"})
    ids = []
    with instance.connect() as c:
        c.hello()
        for i, domain in enumerate(["one", "one", "one", "two", "two", "three"]):
            body = "Subject: q%d\r\n\r\n%s\r\n" % (i, ("x" * 70 + "\r\n") * (400 if domain == "three" else 1))
            ids.append(c.mail(f"s{i % 2}@{'here' if i % 2 else 'other'}.test", [f"r{i}@{domain}.test"], body))
    for i in range(6):
        instance.wait_log(rf"to=<r{i}@\w+\.test>.*status=deferred")
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 6, 8)
    return instance, sink, ids


def test_the_listing_is_oldest_first_and_filters_combine(waiting):
    instance, _, ids = waiting
    assert [row["queue_id"] for row in instance.queue()] == ids
    assert [row["queue_id"] for row in instance.queue("--to", "@one.test")] == ids[:3]
    assert [row["queue_id"] for row in instance.queue("--to", "r3@two.test")] == [ids[3]]
    assert [row["queue_id"] for row in instance.queue("--from", "@here.test")] == [ids[1], ids[3], ids[5]]
    assert [row["queue_id"] for row in instance.queue("--from", "s1@here.test", "--to", "@two.test")] == [ids[3]]
    assert [row["queue_id"] for row in instance.queue("--larger-than", "10000")] == [ids[5]]
    assert len(instance.queue("--reason", "mailbox busy")) == 6 and not instance.queue("--reason", "nonsense")
    assert not instance.queue("--older-than", "1h") and len(instance.queue("--newer-than", "1h")) == 6
    assert len(instance.queue("--nexthop", "127.0.0.1")) in (0, 6)
    assert len(instance.queue("--limit", "2")) == 2
    assert instance.postern("queue", "list", "--state", "hold").stdout == "No such mail in the queue\n"
    for verb, words in (("verify", ""), ("rebuild", ""), ("backup", " DIRECTORY"), ("import", " DIRECTORY"), ("export", " [ID...|FILTER...] DIRECTORY")):
        done = instance.postern("queue", verb, *(["x", "x"] if words != " [ID...|FILTER...] DIRECTORY" else []), check=False)
        assert (done.returncode, done.stderr) == (64, f"postern: usage: postern queue {verb}{words}\n"), done
    assert instance.sendmail("-bpc").stdout == "6\n"
    text = instance.postern("queue", "list").stdout
    assert all(queue_id in text for queue_id in ids) and text.rstrip().endswith("in 6 Requests.")


def test_one_message_can_be_looked_at(waiting):
    instance, _, ids = waiting
    assert "Subject: q0" in instance.postern("queue", "show", ids[0]).stdout
    header = instance.postern("queue", "show", ids[0], "--headers").stdout
    assert "Subject: q0" in header and "xxxx" not in header
    body = instance.postern("queue", "show", ids[0], "--body").stdout
    assert "xxxx" in body and "Subject" not in body
    envelope = instance.postern("queue", "show", ids[0], "--envelope").stdout
    assert "r0@one.test" in envelope and "s0@other.test" in envelope and "xxxx" not in envelope
    assert instance.postern("queue", "show", "0000000000000000", check=False).returncode != 0


def test_the_envelope_is_written_as_postcat_writes_it(waiting):
    """People's scripts look for "named_attribute: sasl_username=..." and the marks of the parts."""
    instance, _, _ = waiting
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<s@other.test> RET=HDRS ENVID=a+2Bb", 250)
        c.cmd("RCPT TO:<looked@four.test> NOTIFY=DELAY,FAILURE ORCPT=rfc822;o@x.test", 250)
        queue_id = c.data("Subject: postcat\r\n\r\nlast line\r\n")
    shown = instance.postern("queue", "show", queue_id).stdout
    for line in ("envelope_id=a+b", "ret_flags=2", "client_name=unknown", "client_address=127.0.0.1", "protocol_name=ESMTP", "dsn_orig_rcpt=rfc822;o@x.test", "notify_flags=12"):
        assert f"\nnamed_attribute: {line}\n" in shown
    assert re.search(r"^message_arrival_time: \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}$", shown, re.M) and "\nrecipient: looked@four.test\n" in shown
    assert re.search(rf"\*\*\* MESSAGE CONTENTS {queue_id} \*\*\*\nReceived: ", shown) and shown.endswith(f"\nlast line\n*** MESSAGE FILE END {queue_id} ***\n")
    instance.postern("queue", "delete", queue_id)


def test_hold_release_and_delete(waiting):
    instance, sink, ids = waiting
    assert "3" in instance.postern("queue", "hold", "--to", "@one.test").stdout
    assert [r["queue_name"] for r in instance.queue("--to", "@one.test")] == ["hold"] * 3
    sink.on = {}
    instance.postern("flush")
    sink.wait(3)
    assert wait_until(lambda: len(instance.queue()) == 3, 5)
    time.sleep(0.5)
    assert len(sink.messages) == 3
    assert "1" in instance.postern("queue", "delete", ids[0]).stdout
    instance.wait_log(rf"{ids[0]}: removed")
    instance.wait_log(rf"{ids[0]}: deleted by \w+ \(uid {os.getuid()}\)")
    instance.wait_log(rf"{ids[1]}: placed on hold by \w+ \(uid {os.getuid()}\)")
    instance.postern("queue", "release", ids[1])
    instance.wait_log(rf"{ids[1]}: released from hold by \w+ \(uid {os.getuid()}\)")
    instance.postern("queue", "retry", ids[1])
    sink.wait(4)
    assert wait_until(lambda: [r["queue_id"] for r in instance.queue()] == [ids[2]], 5)
    assert not any("r0@" in m["rcpt"][0] for m in sink.messages)
    instance.stop()
    instance.start()
    assert [r["queue_name"] for r in instance.queue()] == ["hold"]


def test_retry_and_requeue_act_on_matching_messages_only(waiting):
    instance, sink, ids = waiting
    sink.on = {}
    instance.postern("queue", "retry", "--to", "@two.test")
    sink.wait(2)
    assert wait_until(lambda: len(instance.queue()) == 4, 5)
    instance.postern("queue", "requeue", ids[5])
    instance.wait_log(rf"{ids[5]}: requeued by \w+ \(uid {os.getuid()}\)")
    sink.wait(3)
    assert {m["rcpt"][0].split("@")[1].split(".")[0] for m in sink.messages} == {"two", "three"}


def test_stats_count_by_what_is_asked(waiting):
    instance, _, _ = waiting
    for by, words in (("domain", ("one.test", "two.test", "three.test")), ("sender", ("s0@other.test", "s1@here.test")), ("reason", ("BUSY",))):
        text = instance.postern("queue", "stats", "--by", by).stdout
        assert all(word in text for word in words), text
    line = next(line for line in instance.postern("queue", "stats", "--by", "domain").stdout.splitlines() if "one.test" in line)
    assert re.search(r"\b3\b", line)


def test_what_an_operator_let_expire_is_marked(waiting):
    instance, _, ids = waiting
    for queue_id, when in ((ids[0], "@1"), (ids[1], "2d")):
        instance.postern("queue", "edit", queue_id, "--expire", when)
    assert [row["forced_expire"] for row in instance.queue()] == [True] + [False] * 5
    text = instance.postern("queue", "list").stdout
    assert re.findall(r"^(\w{16})#", text, re.M) == [ids[0]]


def test_explain_says_why_and_what_next(waiting):
    instance, _, ids = waiting
    text = instance.postern("queue", "explain", ids[0]).stdout
    assert "r0@one.test" in text and "Mailbox BUSY now" in text and re.search(r"next|due|again", text)


def test_the_queue_is_the_same_after_kill_and_restart(waiting):
    import signal
    instance, _, ids = waiting
    before = instance.queue()
    os.kill(instance.pids("queue")[0], signal.SIGKILL)
    def rows():
        done = instance.postern("queue", "list", "--json", check=False)
        return [json.loads(line) for line in done.stdout.splitlines()] if done.returncode == 0 else None
    assert wait_until(lambda: (now := rows()) and [r["queue_id"] for r in now] == ids, 20, 0.3)
    after = rows()
    assert [(r["queue_id"], r["sender"], r["arrival_time"], r["message_size"]) for r in after] == [(r["queue_id"], r["sender"], r["arrival_time"], r["message_size"]) for r in before]
    assert all("BUSY" in r["recipients"][0]["delay_reason"] for r in after)


def test_the_index_can_be_deleted(waiting):
    import shutil
    instance, _, ids = waiting
    instance.stop()
    for path in (instance.home / "queue" / "spool").iterdir():
        if "index" in path.name:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    instance.start()
    assert wait_until(lambda: [r["queue_id"] for r in instance.queue()] == ids, 10)


def test_etrn_flushes_one_domain(waiting):
    instance, sink, ids = waiting
    instance.reload(relay_domains="one.test, two.test", fast_flush_domains="$relay_domains")
    sink.on = {}
    with instance.connect() as c:
        c.hello()
        assert c.cmd("ETRN two.test").code in range(250, 254)
        assert c.cmd("ETRN ../../x';").code >= 450
        assert c.cmd("ETRN").code in (500, 501)
    sink.wait(2)
    assert {m["rcpt"][0].split("@")[1].split(".")[0] for m in sink.messages} == {"two"}


def test_the_sender_of_what_a_list_expands_to_is_its_owner(make, peer):
    sink = peer(on={"RCPT": "450 4.2.0 Mailbox BUSY now"})
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "alias_maps": "inline:{ { list = m@good.test } { owner-list = carol } }",
                     "local_recipient_maps": "inline:{ { list = x } { owner-list = x } { carol = x } }"})
    with instance.connect() as c:
        c.hello()
        queue_id = c.mail("s@other.test", ["list@here.test"], "Subject: x\r\n\r\nhello\r\n")
    instance.wait_log(rf"{queue_id}: to=<m@good.test>.*status=deferred")

    def found():
        return {who: [r["queue_id"] for r in instance.queue("--from", who)] for who in ("owner-list@here.test", "@here.test", "s@other.test", "m@good.test")}
    whole = {"owner-list@here.test": [queue_id], "@here.test": [queue_id], "s@other.test": [queue_id], "m@good.test": []}
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 1 and found() == whole, 8), found()
    assert instance.postern("queue", "list", "--count", "--from", "owner-list@here.test").stdout == "1\n"
    assert instance.queue("--from", "@here.test")[0]["recipients"][0]["envelope_sender"] == "owner-list@here.test"
    assert not instance.queue("--from", "@here.test", "--to", "@elsewhere.test")


def test_statistics_fit_a_terminal(waiting):
    """Names are as wide as they look; in a terminal the numbers are what stays. Elsewhere nothing is cut."""
    instance, _, ids = waiting
    instance.sendmail("-f", "\u00fc" * 20 + "@here.test", "one@" + "d" * 60 + ".test", input="Subject: x\n\nx\n")
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 7, 8)
    for by, whole in (("sender", "\u00fc" * 20 + "@here.test"), ("domain", "d" * 60 + ".test"), ("reason", "Mailbox BUSY now (in reply to RCPT TO command)")):
        lines = instance.postern("queue", "stats", "--by", by).stdout.splitlines()
        assert len({len(line) for line in lines}) == 1 and any(f"{whole}     " in line for line in lines), lines
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 70, 0, 0))
        subprocess.run([PREFIX / "sbin/postern", "-c", instance.confdir, "queue", "stats", "--by", by], stdout=slave, check=True)
        shown = os.read(master, 65536).decode().replace("\r", "").splitlines()
        assert len(shown) == len(lines) and all(len(line) <= 70 and re.search(r" [1-7] +[1-7]( +0){9} +\d+$", line) for line in shown[1:]), shown
        os.close(master)
        os.close(slave)


@pytest.fixture
def named(waiting):
    """The tools under Postfix's names, as links."""
    instance, sink, ids = waiting
    folder = instance.home / "names"
    folder.mkdir()
    for name in ("postqueue", "postsuper", "postcat", "qshape"):
        (folder / name).symlink_to(PREFIX / "sbin/postern")

    def call(name, *args, **options):
        return instance.command(folder / name, *args, **options)
    return instance, sink, ids, call


def test_postqueue_and_postcat(named):
    instance, sink, ids, call = named
    text = call("postqueue", "-p").stdout
    assert text == instance.command("mailq").stdout and all(i in text for i in ids)
    rows = [json.loads(line) for line in call("postqueue", "-c", instance.confdir, "-j", env={"MAIL_CONFIG": "/nowhere"}).stdout.splitlines()]
    assert [row["queue_id"] for row in rows] == ids
    assert call("postcat", "-q", ids[0]).stdout == instance.postern("queue", "show", ids[0]).stdout
    both = call("postcat", "-hbq", ids[5]).stdout
    assert "Subject: q5\n" in both and "here.test>\n\nxxx" in both, both[:900]
    assert "r5@three.test" not in call("postcat", "-bq", ids[5]).stdout
    assert "r5@three.test" in call("postcat", "-e", "-q", ids[5]).stdout
    assert call("postcat", ids[0], check=False).returncode == 64 and call("postcat", "-q", "0" * 16, check=False).returncode != 0
    # Ids of the queue that was here before, as old logs have them, and what is none.
    old, none = "3D3DAA79EFD", "../x"
    told = [(done.returncode, done.stderr) for done in (call(*words, check=False) for words in (("postqueue", "-i", old), ("postqueue", "-i", none), ("postcat", "-q", old), ("postcat", "-q", none)))]
    assert told == [(0, f"postqueue: warning: no such message in the queue: {old}\n"), (69, f'postqueue: Cannot flush queue ID - invalid name: "{none}"\n'), (66, f"postcat: no such message in the queue: {old}\n"), (64, f"postcat: bad mail queue ID: {none}\n")]
    listed = instance.command("mailq", ids[0]).stdout
    assert ids[0] in listed and ids[1] not in listed
    sink.on = {}
    call("postqueue", "-s", "[two.test]")
    sink.wait(2)
    call("postqueue", "-i", ids[0])
    sink.wait(3)
    call("postqueue", "-f")
    sink.wait(6)
    instance.wait_queue_empty()
    assert call("postqueue", "-p").stdout == "Mail queue is empty\n"
    for args in ((), ("-p", "-j"), ("-p", "x"), ("-Z",), ("-s",)):
        done = call("postqueue", *args, check=False)
        assert done.returncode == 64 and done.stderr.startswith("usage: postqueue "), (args, done)


def test_qshape(named):
    instance, _, ids, call = named
    instance.postern("queue", "hold", ids[0])

    def total(*args):
        return int((re.search(r"^ *TOTAL +(\d+) ", call("qshape", *args).stdout, re.M) or [0, 0])[1])
    assert (total("deferred"), total("hold"), total("deferred", "hold", "corrupt"), total("maildrop")) == (5, 1, 6, 0) and total() == total("incoming", "active")
    assert call("qshape", "-c", instance.confdir, "-s", "-b", "12", "-t", "5", "-l", "deferred").stdout == instance.postern("queue", "stats", "--by", "sender-domain", "--state", "deferred").stdout
    assert "two.test" in call("qshape", "deferred").stdout
    assert call("qshape", "nonsuch", check=False).returncode == 64 and call("qshape", "-h", check=False).stderr.startswith("usage: qshape ")


def test_postsuper(named):
    instance, _, ids, call = named

    def states():
        return {row["queue_id"]: row["queue_name"] for row in instance.queue()}
    assert call("postsuper", "-h", ids[0], "-h", ids[1]).stderr == "postsuper: Placed on hold: 1 message\n" * 2
    assert [states()[i] for i in ids] == ["hold"] * 2 + ["deferred"] * 4
    assert call("postsuper", "-d", "ALL", "hold", "corrupt").stderr == "postsuper: Deleted: 2 messages\n"
    assert list(states()) == ids[2:]
    assert call("postsuper", "-h", "-", input=f"{ids[2]} x\n\nnonsense!\n{ids[3]}\n{ids[0]}\n").stderr == "postsuper: warning: invalid mail queue id: nonsense!\npostsuper: Placed on hold: 2 messages\n"
    assert call("postsuper", "-H", "ALL").stderr == "postsuper: Released from hold: 2 messages\n"
    assert set(states().values()) <= {"deferred", "active"}
    assert call("postsuper", "-h", "ALL", "hold").stderr == ""
    assert call("postsuper", "-r", ids[4]).stderr == "postsuper: Requeued: 1 message\n"
    assert call("postsuper").stderr == call("postsuper", "-s").stderr == "" and call("postsuper", "-d", ids[0]).stderr == ""
    for args in (("-d",), ("-d", "ALL", "nowhere"), ("-x",)):
        assert call("postsuper", *args, check=False).returncode == 64, args
    assert len(states()) == 4
    many = "".join(f"{i:016X}\n" for i in range(1, 7001))
    assert call("postsuper", "-d", "-", input=many + ids[5]).stderr == "postsuper: Deleted: 1 message\n"
    assert call("postsuper", "-d", "ALL").stderr == "postsuper: Deleted: 3 messages\n" and not states()


def test_postsuper_expires(named):
    """-e leaves what is on hold alone, -f does not; each sender is told."""
    instance, _, ids, call = named
    left = lambda: [row["queue_id"] for row in instance.queue("--not-from", "<>")]
    expired = lambda *args, **more: (call("postsuper", *args, **more).stderr, left())
    call("postsuper", "-h", ids[0], "-h", ids[1])
    assert expired("-e", ids[0], "-e", ids[2]) == ("postsuper: Force-expired: 1 message\n", ids[:2] + ids[3:])
    assert expired("-e", "ALL", "hold") == ("", ids[:2] + ids[3:])
    assert expired("-f", "-", "deferred", input=f"{ids[1]}\n{ids[3]}\n") == ("postsuper: Force-expired: 1 message\n", ids[:2] + ids[4:])
    assert expired("-e", "-", "hold", "deferred", input="\n".join(ids)) == ("postsuper: Force-expired: 2 messages\n", ids[:2])
    assert expired("-f", "ALL", "hold") == ("postsuper: Force-expired: 2 messages\n", [])
    for queue_id in ids:
        instance.wait_log(f"{queue_id}: from=<.*>, status=force-expired, returned to sender")
        instance.wait_log(rf"{queue_id}: to=<.*dsn=5\.4\.7, status=bounced \(message expired by the operator; the last attempt: ")
