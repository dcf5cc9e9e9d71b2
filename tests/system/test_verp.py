"""VERP (Postfix's VERP_README): each recipient's mail has a sender of its own; the same ones as Postfix makes."""
import re

import pytest
from harness.instance import AS_ROOT, wait_until
from harness.postfix import Postfix

LIST = "owner-news@lists.test"


def path(line):
    return re.search(r"<(.*)>", line)[1]


def envelopes(messages):
    return sorted(([path(r) for r in m["rcpt"]], path(m["mail"])) for m in messages)


def senders(peer):
    return {recipients[0]: sender for recipients, sender in envelopes(peer.messages)}


@pytest.fixture
def relaying(make, peer):
    def build(settings=None, **options):
        next_hop = peer(**options)
        instance = make({"relayhost": f"[127.0.0.1]:{next_hop.port}", "smtpd_authorized_verp_clients": "127.0.0.1", **(settings or {})})
        return instance, next_hop
    return build


def smtp(instance, parameter, recipients, sender=LIST):
    with instance.connect() as c:
        c.hello()
        for line in (f"MAIL FROM:<{sender}> {parameter}", *[f"RCPT TO:<{r}>" for r in recipients], "DATA"):
            reply = c.cmd(line)
            if reply.code not in (250, 354):
                return reply.lines[-1]
        return c.cmd("Subject: verp\r\n\r\nx\r\n.").lines[-1]


def test_same_senders_as_postfix(relaying, peer, request):
    instance, ours = relaying({"virtual_alias_maps": "inline:{team@alias.test=t1@far.test}", "virtual_alias_domains": "alias.test", "append_dot_mydomain": "no"})
    theirs = None
    if AS_ROOT:
        theirs = peer()
        postfix = Postfix({"relayhost": f"[127.0.0.1]:{theirs.port}", "mydestination": "", "smtpd_authorized_verp_clients": "127.0.0.1", "myorigin": "here.test", "virtual_alias_maps": "inline:{team@alias.test=t1@far.test}", "virtual_alias_domains": "alias.test", "smtpd_recipient_restrictions": "permit"})
        request.addfinalizer(postfix.close)
        postfix.start()
    inputs = [("", LIST, ["user@dom.test", "a+b=c@dom.test", "x-y@sub.dom.test", "team@alias.test", '"q u"@dom.test']), ("-=", LIST, ["user@dom.test"]), ("+-", "odd@at@lists.test", ["u@d.test"]), ("==", "plain@lists.test", ["U.Ser@dom.test", "u@[192.0.2.1]"])]
    for delimiters, sender, recipients in inputs:
        if sender.count("@") > 1:
            sender = '"odd@at"@lists.test'
        expected = None
        for run, to in ((lambda *a, **k: instance.sendmail(*a, **k), ours), (lambda *a, **k: postfix.inside("/usr/sbin/sendmail", *a, **k), theirs)):
            if to is None:
                continue
            before = len(to.messages)
            done = run("-XV" + delimiters, "-f", sender, "-i", "--", *recipients, input="Subject: verp\n\nx\n")
            assert done.returncode == 0, done
            assert wait_until(lambda: len(to.messages) == before + len(recipients), 15), (to.messages[before:], instance.log()[-2000:])
            got = envelopes(to.messages[before:])
            expected = expected or got
            assert got == expected
            assert all(len(r) == 1 for r, _ in got)
    assert senders(ours)["user@dom.test"] in ("owner-news+user=dom.test@lists.test", "owner-news-user=dom.test@lists.test") and senders(ours)["t1@far.test"] == "owner-news+team=alias.test@lists.test"


def test_what_smtp_asks_for(relaying, request):
    instance, next_hop = relaying()
    with instance.connect() as c:
        assert "XVERP" in str(c.hello().lines)
    assert smtp(instance, "XVERP", ["a@far.test", "b@far.test"]).startswith("250")
    assert smtp(instance, "xverp=-= SIZE=20", ["c@far.test"]).startswith("250")
    assert wait_until(lambda: len(next_hop.messages) == 3)
    assert senders(next_hop) == {"a@far.test": "owner-news+a=far.test@lists.test", "b@far.test": "owner-news+b=far.test@lists.test", "c@far.test": "owner-news-c=far.test@lists.test"}
    wrong = [("XVERP=ab", LIST, "501 5.5.4 Error: XVERP needs two characters from -=+"), ("XVERP=+", LIST, "501 5.5.4 Error: XVERP needs two characters from -=+"), ("XVERP", "", "503 5.5.4 Error: XVERP requires non-null sender")]
    for parameter, sender, reply in wrong:
        assert smtp(instance, parameter, ["a@far.test"], sender).strip() == reply
    instance.reload(smtpd_authorized_verp_clients="192.0.2.0/24")
    with instance.connect() as c:
        assert "XVERP" not in str(c.hello().lines)
    assert smtp(instance, "XVERP", ["a@far.test"]).startswith("555 5.5.4 Unsupported option: XVERP")
    if AS_ROOT:
        postfix = Postfix({"smtpd_authorized_verp_clients": "127.0.0.1", "smtpd_recipient_restrictions": "permit"})
        request.addfinalizer(postfix.close)
        postfix.start()
        import socket
        for parameter, sender, reply in wrong:
            with socket.create_connection(("127.0.0.1", postfix.port)) as s:
                f = s.makefile("rw", newline="\r\n")
                f.readline()
                f.write(f"EHLO x\r\nMAIL FROM:<{sender}> {parameter}\r\n")
                f.flush()
                while (line := f.readline()).startswith("250"):
                    pass
                assert line.strip() == reply


def test_command_line_of_verp(relaying):
    instance, next_hop = relaying({"default_verp_delimiters": "-="})
    instance.sendmail("-XV", "-f", LIST, "-i", "a@far.test", input="Subject: x\n\nx\n")
    assert wait_until(lambda: senders(next_hop) == {"a@far.test": "owner-news-a=far.test@lists.test"})
    for wrong in (["-XVab"], ["-XV+"], ["-XV+=-"], ["-XV", "-f", "<>"]):
        done = instance.sendmail("-f", LIST, *wrong, "-i", "a@far.test", input="Subject: x\n\nx\n", check=False)
        assert done.returncode == 64 and "-XV requires" in done.stderr
    instance.stop()
    instance.sendmail("-XV==", "-f", LIST, "-t", "-i", input="To: b@far.test, c@far.test\nSubject: dropped\n\nx\n")
    instance.start()
    assert wait_until(lambda: len(next_hop.messages) == 3)
    assert senders(next_hop)["c@far.test"] == "owner-news=c=far.test@lists.test"


@pytest.mark.parametrize("disabled", ["no", "yes"])
def test_failures_go_to_the_address_that_tells_of_whom(relaying, disabled):
    instance, _ = relaying({"disable_verp_bounces": disabled, "transport_maps": "inline:{lists.test=local:}", "virtual_alias_maps": "regexp:{{/^owner-news/ alice@here.test}}"}, on={"RCPT": "550 5.1.1 no such user"})
    assert smtp(instance, "XVERP ENVID=list-7 RET=HDRS", ["a@far.test", "b@far.test"]).startswith("250")
    count = 1 if disabled == "yes" else 2
    texts = [m.decode() for m in instance.wait_mail("alice", count)]
    instance.wait_queue_empty()
    texts = [m.decode() for m in instance.mailbox("alice")]
    assert len(texts) == count and all("Original-Envelope-Id: list-7" in text for text in texts)
    to = sorted(re.search(r"^To: (\S+)$", text, re.M)[1] for text in texts)
    assert to == ([LIST] if disabled == "yes" else ["owner-news+a=far.test@lists.test", "owner-news+b=far.test@lists.test"])
    assert [len(re.findall(r"^Final-Recipient:", text, re.M)) for text in texts] == ([2] if disabled == "yes" else [1, 1])
    assert re.search(rf"from=<{LIST}>, size=\d+, nrcpt=2 \(queue active\)", instance.log())


def test_a_delay_is_told_once_to_the_sender_itself(relaying):
    instance, _ = relaying({"delay_warning_time": "1s", "minimal_backoff_time": "1s", "maximal_backoff_time": "1s", "virtual_alias_maps": "inline:{owner-news@lists.test=alice@here.test}", "virtual_alias_domains": "lists.test"}, on={"RCPT": "450 4.2.0 later"})
    assert smtp(instance, "XVERP", ["a@far.test", "b@far.test"]).startswith("250")
    text = instance.wait_mail("alice", 1, 15)[0].decode()
    assert f"\nTo: {LIST}\n" in text and text.count("Final-Recipient:") == 2


def test_it_outlives_kill_and_moves(relaying, make, peer, tmp_path):
    instance, next_hop = relaying({"minimal_backoff_time": "300s", "maximal_backoff_time": "300s"}, on={"RCPT": "450 4.2.0 later"})
    assert smtp(instance, "XVERP", ["a@far.test", "b@far.test"]).startswith("250")
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 1 and len(re.findall("status=deferred", instance.log())) == 2)
    instance.postern("abort", check=False)
    instance.start()
    row = wait_until(lambda: instance.queue())[0]
    wanted = {f"{n}@far.test": f"owner-news+{n}=far.test@lists.test" for n in "ab"}
    assert row["sender"] == LIST and {r["address"]: r["envelope_sender"] for r in row["recipients"]} == wanted
    assert re.search(rf" {LIST}$", instance.command("mailq").stdout, re.M)
    assert instance.queue("--from", LIST) and instance.queue("--from", wanted["a@far.test"]) and not instance.queue("--from", "owner-news+c=far.test@lists.test")
    second = peer()
    other = make({"relayhost": f"[127.0.0.1]:{second.port}"})
    folder = tmp_path / "moved"
    folder.mkdir()
    folder.chmod(0o777)
    tmp_path.chmod(0o755)
    instance.postern("queue", "export", "--all", folder)
    other.postern("queue", "import", folder)
    other.postern("flush")
    assert wait_until(lambda: len(second.messages) == 2, 15), other.log()[-3000:]
    assert senders(second) == wanted
