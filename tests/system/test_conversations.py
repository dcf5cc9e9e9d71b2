"""The conversations that people hold by hand, and the ones that tutorials and RFCs show."""
import re

import pytest
from harness.instance import wait_until


def test_the_banner_names_the_host_and_no_product(shared):
    with shared.connect() as c:
        assert c.banner.code == 220
        assert c.banner.text == "mx.here.test ESMTP"


@pytest.mark.parametrize("line", ["helo x", "HELO localhost", "HeLo x.y", "EHLO myhost.domain.abc", "ehlo [127.0.0.1]", "ehlo [IPv6:::1]"])
def test_hello_in_any_case_is_greeted(shared, line):
    with shared.connect() as c:
        reply = c.cmd(line, 250)
        assert reply.lines[0][4:].startswith("mx.here.test")


def test_ehlo_offers_what_is_out_of_the_box(shared):
    with shared.connect() as c:
        words = {line[4:].split()[0] for line in c.hello().lines[1:]}
    assert {"PIPELINING", "SIZE", "8BITMIME", "DSN", "ENHANCEDSTATUSCODES", "SMTPUTF8", "CHUNKING", "ETRN", "VRFY"} - words <= {"VRFY"}


@pytest.mark.parametrize("line", [
    "MAIL FROM: dude@noddy.com", "MAIL FROM: <a@b.test>", "mail from:<a@b.test>", "MAIL FROM:<a@b.test>  ", "MAIL FROM :<a@b.test>", "MAIL FROM:<>",
    "MAIL FROM:<@relay.test,@other.test:a@b.test>", "MAIL FROM:<a@b.test> SIZE=51", "MAIL FROM:<a@b.test> size=51 body=8bitmime", 'MAIL FROM:<"a b"@b.test>',
    "MAIL FROM:<a@b.test> RET=HDRS ENVID=QQ314159", "mail from:<a@b.test> ret=full", "MAIL FROM:<a@[127.0.0.1]>",
])
def test_sloppy_and_odd_senders_are_taken(shared, line):
    with shared.connect() as c:
        c.hello()
        c.cmd(line, "250 2.1.0 Ok")


@pytest.mark.parametrize("line", [
    "RCPT TO:<alice@here.test>", "RCPT TO :<alice@here.test>", "rcpt to: alice@here.test", "RCPT TO: <alice@here.test>  ", "RCPT TO:<alice@HERE.test>",
    "RCPT TO:<postmaster>", "RCPT TO:<Postmaster@here.test>", "RCPT TO:<@a.test:alice@here.test>", 'RCPT TO:<"alice"@here.test>',
    "RCPT TO:<alice@here.test> NOTIFY=success,failure", "RCPT TO :<alice@here.test> notify=success,failure", "RCPT TO:<alice@here.test> NOTIFY=NEVER",
    "RCPT TO:<alice@here.test> ORCPT=rfc822;Bob@Example.COM", "RCPT TO:<alice@here.test> orcpt=rfc822;a+2Bb@c.test notify=DELAY",
])
def test_sloppy_and_odd_recipients_are_taken(shared, line):
    with shared.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<a@b.test>", 250)
        c.cmd(line, "250 2.1.5 Ok")


@pytest.mark.parametrize("line,code", [
    ('MAIL FROM:<> "=', 501), ("MAIL FROM:<> =", 501), ("MAIL FROM:<a@b.test> SIZE", 501), ("MAIL FROM:<a@b.test> SIZE=x", 501), ("MAIL FROM:<a@b.test> SIZE=99999999999999999999", (501, 552)),
    ("MAIL FROM:<a@b.test> BODY=9BIT", 501), ("MAIL FROM:<a@b.test> RET=SOME", 501), ("MAIL FROM:<a@b.test> ENVID=", 501), ("MAIL FROM:<a@b.test> ENVID=a+zz", 501), ("MAIL FROM:<a@b.test> FOO=BAR", (501, 504, 555)),
    ("MAIL <a@b.test>", 501), ("MAIL FROM", 501), ("MAIL FROM:", 501), ("MAIL FROM:<a@b.test", 501), ("MAIL FROM:<a b@c.test>", 501), ("MAIL FROM:<a@b..test>", 501), ("MAIL FROM:<@>", 501), ("MAIL FROM:<a@>", 501),
    ("MAIL FROM:<a\x01@b.test>", 501), ("MAIL FROM:<a@b.test> SIZE=1 SIZE=2", (250, 501)),
])
def test_malformed_mail_is_refused_and_nothing_begins(shared, line, code):
    with shared.connect() as c:
        c.hello()
        reply = c.cmd(line)
        assert reply.code in (code if isinstance(code, tuple) else (code,)), reply
        if reply.code >= 500:
            c.cmd("RCPT TO:<alice@here.test>", 503)
        c.cmd("RSET", 250)
        c.cmd("NOOP", 250)


def test_strict_envelopes_refuse_sloppy_paths(make):
    with make({"strict_rfc821_envelopes": "yes"}).connect() as c:
        c.hello()
        c.cmd("MAIL FROM: dude@noddy.com", 501)
        c.cmd("MAIL FROM:<dude@noddy.com>", 250)
        c.cmd("RCPT TO: alice@here.test", 501)


@pytest.mark.parametrize("before,line", [
    ([], "MAIL FROM:<a@b.test>"), ([], "RCPT TO:<alice@here.test>"), ([], "DATA"), (["EHLO x"], "RCPT TO:<alice@here.test>"), (["EHLO x"], "DATA"),
    (["EHLO x", "MAIL FROM:<a@b.test>"], "MAIL FROM:<a@b.test>"), (["EHLO x", "MAIL FROM:<a@b.test>", "RSET"], "RCPT TO:<alice@here.test>"), (["EHLO x", "MAIL FROM:<a@b.test>", "EHLO x"], "RCPT TO:<alice@here.test>"),
])
def test_commands_out_of_order_are_503(make, before, line):
    instance = make({"smtpd_helo_required": "yes"})
    with instance.connect() as c:
        for command in before:
            c.cmd(command, 250)
        c.cmd(line, 503)
        c.cmd("NOOP", 250)


def test_the_rest_of_the_vocabulary(shared):
    with shared.connect() as c:
        c.hello()
        c.cmd("NOOP hello there", "250 2.0.0 Ok")
        c.cmd("RSET", "250 2.0.0 Ok")
        assert c.cmd("HELP").code in (214, 502)
        c.cmd("VRFY alice@here.test", 252)
        c.cmd("EXPN staff", "502 5.5.1")
        c.cmd("FROB", "500 5.5.2")
        c.cmd("QUIT", "221 2.0.0 Bye")
        assert c.closed()


def test_vrfy_can_be_switched_off(make):
    with make({"disable_vrfy_command": "yes"}).connect() as c:
        c.hello()
        c.cmd("VRFY alice", 502)


def test_replies_to_a_pipelined_group_come_in_order(shared):
    with shared.connect() as c:
        c.hello()
        c.send("MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@here.test>\r\nRCPT TO:<nobody@here.test>\r\nRCPT TO:<bob@here.test>\r\nDATA\r\n")
        assert [c.reply().code for _ in range(5)] == [250, 250, 550, 250, 354]
        c.send("Subject: x\r\n\r\ntext\r\n.\r\nQUIT\r\n")
        assert re.match(r"2\.0\.0 Ok: queued as [0-9A-Za-z]{1,20}$", c.reply().text)
        assert c.reply().code == 221


def test_data_after_all_recipients_were_refused_never_says_354(shared):
    with shared.connect() as c:
        c.hello()
        c.send("MAIL FROM:<a@b.test>\r\nRCPT TO:<x@here.test>\r\nRCPT TO:<y@here.test>\r\nDATA\r\n")
        assert [c.reply().code for _ in range(3)] == [250, 550, 550]
        assert repr(c.reply()) == "554 5.5.1 no valid recipients"
        c.cmd("NOOP", 250)


def test_data_answers_554_when_no_recipient_is_left(shared):
    with shared.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<a@b.test>", 250)
        c.cmd("RCPT TO:<x@here.test>", "550 5.1.1 <x@here.test>: Recipient address rejected: User unknown in local recipient table")
        reply = c.cmd("DATA", "554 5.5.1")
        assert "no valid recipients" in reply.text


def test_a_message_arrives_with_its_traces(shared):
    with shared.connect() as c:
        c.hello("client.test")
        c.cmd("MAIL FROM:<sender@there.test>", 250)
        c.cmd("RCPT TO:<bob@here.test>", 250)
        c.cmd("DATA", "354 End data with <CR><LF>.<CR><LF>")
        c.send("Subject: traces\r\n\r\n..dot\r\nlast line\r\n.\r\n")
        queue_id = re.search(r"250 2\.0\.0 Ok: queued as (\w+)$", repr(c.reply()))[1]
    text = wait_until(lambda: next((m for m in shared.mailbox("bob") if b"Subject: traces" in m), None)).decode()
    assert text.startswith("Return-Path: <sender@there.test>\n")
    assert "\nDelivered-To: bob@here.test\n" in text
    assert re.search(r"^Received: from client\.test \(unknown \[127\.0\.0\.1\]\)\n\tby mx\.here\.test \(.*\) with ESMTP id " + queue_id + r"\n\tfor <bob@here\.test>; \w{3}, ", text, re.M), text
    assert text.endswith("\n\n.dot\nlast line\n")


def test_strangers_may_not_relay(make):
    instance = make({"mynetworks": "127.0.0.77/32"})
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<a@b.test>", 250)
        c.cmd("RCPT TO:<a@b.test>", "554 5.7.1 <a@b.test>: Relay access denied")
    instance.wait_log(r"postern/smtpd\[\d+\]: NOQUEUE: reject: RCPT from unknown\[127\.0\.0\.1\]: 554 5\.7\.1 <a@b\.test>: Relay access denied; from=<a@b\.test> to=<a@b\.test> proto=ESMTP helo=<client\.test>$")
