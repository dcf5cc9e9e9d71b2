"""header_checks(5) and body_checks(5) on the way in, with their actions, log lines and limits."""
import re, time

import pytest

RULES = r"""
/^Subject: reject plain/         REJECT
/^Subject: reject text/          REJECT 5.7.9 not of my kind
/^Subject: reject later/         REJECT 4.7.1 come back
/^Subject: reject odd/           REJECT 5.7 odd
/^Subject: discard/              DISCARD thrown away
/^Subject: hold/                 HOLD to be seen
/^Subject: redirect/             REDIRECT bob@here.test
/^Subject: bcc/                  BCC bob@here.test
/^Subject: (.*)replace(.*)/      REPLACE Subject: ${1}replaced$2
/^Subject: prepend/              PREPEND X-Seen: yes
/^Subject: ignore/               IGNORE
/^Subject: strip/                STRIP gone
/^Subject: warn/                 WARN watch it
/^Subject: info/                 INFO look
/^Subject: senseless/            REPLACE no header
/^Subject: folded[[:space:]]+and more/  REJECT folded
/^X-Long:.*needle$/              REJECT found the needle
/^Content-Type:.*name="evil.exe"/ REJECT no programs
/^X-Nested: evil/                REJECT evil inside
/^Received:.*with ESMTP/         PREPEND X-Received: seen
"""
BODY = "/^reject this line/ REJECT 5.7.2 not in my house\n/^secret=(.*)/ REPLACE secret=*****\n/^drop me/ IGNORE\n"


@pytest.fixture(scope="module")
def checked(request):
    from harness.instance import Instance
    instance = Instance()
    request.addfinalizer(instance.close)
    (instance.home / "header").write_text(RULES)
    (instance.home / "body").write_text(BODY)
    instance.settings.update({"header_checks": f"regexp:{instance.home}/header", "body_checks": f"regexp:{instance.home}/body", "header_size_limit": "102400"})
    return instance.start()


def send(instance, text, expect=250, recipients=("alice@here.test",)):
    with instance.connect() as c:
        c.hello("client.test")
        c.envelope("s@there.test", *recipients)
        return c.data(text, expect)


def test_reject(checked):
    assert repr(send(checked, "Subject: reject plain\r\n\r\nx\r\n", 550)) == "550 5.7.1 message content rejected"
    assert repr(send(checked, "Subject: reject text\r\n\r\nx\r\n", 550)) == "550 5.7.9 not of my kind"
    for name in ("Subject :", "subject\t:"):  # obsolete blanks (RFC 5322, 4.5.8) are no way past
        assert repr(send(checked, f"{name} reject plain\r\n\r\nx\r\n", 550)) == "550 5.7.1 message content rejected"
    assert repr(send(checked, "Subject: reject later\r\n\r\nx\r\n", 451)) == "451 4.7.1 come back"
    assert repr(send(checked, "Subject: reject odd\r\n\r\nx\r\n", 550)) == "550 5.7.1 5.7 odd"
    assert repr(send(checked, "Subject: x\r\n\r\nfine\r\nreject this line\r\n", 550)) == "550 5.7.2 not in my house"
    assert repr(send(checked, "Subject: folded\r\n and more\r\n\r\n", 550)) == "550 5.7.1 folded"
    checked.wait_log(r"postern/cleanup\[\d+\]: \w+: reject: header Subject: reject text from unknown\[127\.0\.0\.1\]; from=<s@there\.test> to=<alice@here\.test> proto=ESMTP helo=<client\.test>: 5\.7\.9 not of my kind$")
    checked.wait_log(r"reject: body reject this line from unknown\[127\.0\.0\.1\];.*: 5\.7\.2 not in my house$")
    assert not checked.queue()


def test_the_session_goes_on_after_a_reject(checked):
    with checked.connect() as c:
        c.hello()
        c.envelope("s@there.test", "alice@here.test")
        c.data("Subject: reject plain\r\n\r\n" + "line\r\n" * 20000, 550)
        c.cmd("RCPT TO:<alice@here.test>", 503)
        c.mail("s@there.test", ["alice@here.test"], "Subject: afterwards\r\n\r\n")
    assert any(b"Subject: afterwards" in m for m in checked.wait_mail("alice"))


def mail_with(instance, user, what):
    from harness.instance import wait_until
    found = wait_until(lambda: [m for m in instance.mailbox(user) if what in m])
    assert found, f"no {what}\n{instance.log()[-3000:]}"
    return found[0]


def test_no_nesting_is_deep_enough_to_hide_in(make):
    instance = make({"mime_nesting_limit": "3", "nested_header_checks": "inline:{ { X-Nested: evil = REJECT 5.7.1 evil inside } }"})
    message = "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: harmless\r\n\r\nx\r\n"
    many = 'Subject: siblings\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n' + message * 10
    assert send(instance, many + "--b--\r\n")
    assert repr(send(instance, many + "--b\r\nContent-Type: message/rfc822\r\n\r\nX-Nested: evil\r\n\r\n--b--\r\n", 550)) == "550 5.7.1 evil inside"

    def nested(depth):
        return "".join(f'Content-Type: multipart/mixed; boundary="{i}"\r\n\r\n--{i}\r\n' for i in range(depth)) + "\r\nx\r\n"
    assert send(instance, "Subject: deep\r\n" + nested(3))
    assert repr(send(instance, "Subject: deeper\r\n" + nested(4), 550)) == "550 5.6.0 mime nesting exceeds safety limit"
    instance.sendmail("-i", "-f", "bob", "alice", input=("Subject: deeper\n" + nested(4)).replace("\r\n", "\n"))
    assert b"mime nesting exceeds safety limit" in instance.wait_mail("bob")[0]
    assert not any(b"Subject: deeper" in m for m in instance.mailbox("alice"))


def test_content_is_changed(checked):
    send(checked, "Subject: please replace me\r\nX-Mark: replace\r\n\r\nsecret=abc\r\ndrop me\r\nend\r\n")
    got = mail_with(checked, "alice", b"X-Mark: replace")
    assert b"Subject: please replaced me\n" in got and got.endswith(b"\n\nsecret=*****\nend\n")
    assert b"X-Received: seen\nReceived: from" in got
    send(checked, "Subject: prepend\r\nX-Mark: prepend\r\n\r\n")
    assert b"X-Seen: yes\nSubject: prepend\n" in mail_with(checked, "alice", b"X-Mark: prepend")
    for word in ("ignore", "strip"):
        send(checked, f"Subject: {word}\r\n this\r\nX-Mark: {word}\r\n\r\n")
        got = mail_with(checked, "alice", f"X-Mark: {word}".encode())
        assert b"Subject" not in got and b" this" not in got
    for word in ("warn", "info", "senseless"):
        send(checked, f"Subject: {word}\r\nX-Mark: {word}\r\n\r\n")
        assert f"Subject: {word}\n".encode() in mail_with(checked, "alice", f"X-Mark: {word}".encode())
    checked.wait_log(r": strip: header Subject: strip\? this from .*: gone$")
    checked.wait_log(r": warning: header Subject: warn from .*: watch it$")
    checked.wait_log(r": info: header Subject: info from .*: look$")
    checked.wait_log(r": replace: header Subject: please replace me from .*: Subject: please replaced me$")


def test_fields_that_are_dropped_are_looked_at(make):
    instance = make(start=False)
    (instance.home / "header").write_text("/^Bcc:.*evil/ REJECT no evil\n/^Return-Path:.*seen/ WARN saw it\n/^X-Bcc: (.*)/ REPLACE Bcc: $1\n/^X-Pre/ PREPEND Bcc: kept@here.test\n")
    (instance.home / "body").write_text("/^never/ REJECT\n")
    instance.settings.update({"header_checks": f"regexp:{instance.home}/header"})
    instance.start()
    assert repr(send(instance, "Bcc : joe,\r\n evil\r\n\r\nx\r\n", 550)) == "550 5.7.1 no evil"
    fields = "Subject: {}\r\nBcc: a@here.test,\r\n\tb@here.test\r\nX-One: 1\r\nReturn-Path: <seen>\r\nX-Bcc: c\r\nX-Pre: 2\r\nContent-Length: 5\r\n"
    part = 'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Length: 3\r\n\r\nBcc: body\r\n--b--\r\n'

    def check(subject, rest):
        got = mail_with(instance, "alice", f"Subject: {subject}".encode())
        got = got[got.index(b"Subject: "):]
        assert got.startswith(f"Subject: {subject}\nX-One: 1\n{rest}Content-Type".encode()), got
        assert got.endswith(b"\n--b\nContent-Length: 3\n\nBcc: body\n--b--\n")
    send(instance, fields.format("smtp") + part)
    check("smtp", "Bcc: kept@here.test\nX-Pre: 2\n")
    instance.sendmail("-i", "-f", "bob", "alice", input=(fields.format("sendmail") + part).replace("\r\n", "\n"))
    check("sendmail", "Bcc: kept@here.test\nX-Pre: 2\n")
    instance.wait_log(r": warning: header Return-Path: <seen> from .*: saw it$", count=2)
    instance.reload(header_checks="", body_checks=f"regexp:{instance.home}/body")
    send(instance, fields.format("others").replace("X-Bcc: c\r\n", "") + part)
    check("others", "X-Pre: 2\n")


@pytest.mark.parametrize("fields", ["", "To: x@there.test\n"])
def test_fields_that_are_added_are_not_looked_at(make, fields):
    instance = make(start=False)
    (instance.home / "header").write_text("/^(Date|From|Message-ID|To):/ REPLACE X-Was: $1\n/^Received:/ PREPEND X-Received: seen\n")
    instance.settings.update({"header_checks": f"regexp:{instance.home}/header"})
    instance.start()
    send(instance, f"{fields}Subject: added\n\nx\n".replace("\n", "\r\n"))
    instance.sendmail("-i", "-f", "bob", "alice", input=f"{fields}Subject: added too\n\nx\n")
    for mail in instance.wait_mail("alice", 2):
        names = re.findall(rb"(?m)^([\w-]+):", mail[mail.index(b"X-Received"):].lower())
        wanted = [b"x-received", b"received", *([b"x-was"] if fields else []), b"subject", b"date", b"from", b"message-id"]
        assert sorted(n for n in names if n != b"to") == sorted(wanted), mail
    instance.wait_queue_empty()


@pytest.mark.parametrize("prefix", ["", "Resent-"])
def test_what_tables_take_away_is_added_again(make, prefix):
    """As in Postfix's cleanup: what a message lacks is seen behind header_checks, and so is the Message-ID of the log."""
    instance = make(start=False)
    (instance.home / "header").write_text("/^(Resent-)?(Date|From|Message-ID):.*taken/ IGNORE\n/^(Resent-)?(Date|From|Message-ID):(.*)renamed/ REPLACE X-Was: $3\n"
                                          "/^X-Put: (.*)/ REPLACE $1: put\n/^Subject: late/ REJECT\n/^Subject: lost/ DISCARD\n")
    instance.settings.update({"header_checks": f"regexp:{instance.home}/header", "body_checks": "inline:{never=REJECT}"})
    instance.start()
    names = [prefix + name for name in ("Date", "From", "Message-ID")]
    cases = {"taken": "taken", "renamed": "renamed", "kept": "<kept@x>", "put": None}
    texts = {case: f"Subject: {case}\n{prefix}To: x@there.test\n" + "".join(f"X-Put: {n}\n" if text is None else f"{n}:\n {text}\n" for n in names) + f"X-Long: {'x' * 5000}\n" for case, text in cases.items()}
    for text in texts.values():
        send(instance, (text + "\nDate: body\n\nx\n").replace("\n", "\r\n"))
        instance.sendmail("-i", "-f", "bob", "alice", input=text + "\nDate: body\n\nx\n")
    instance.wait_mail("alice", 2 * len(texts))
    for mail in instance.mailbox("alice"):
        header, _, body = mail.decode().partition("\n\n")
        subject = re.search("^Subject: (.*)", header, re.M)[1]
        assert body == "Date: body\n\nx\n" and (subject != "kept" or header.count("<kept@x>") == 3) and (subject != "put" or header.count(": put\n") == 3), mail
        assert subject not in ("taken", "renamed") or re.search(f"(?im)^{prefix}message-id: <.+@mx.here.test>$", header), mail
        assert [len(re.findall(f"(?im)^{name}:", header)) for name in names] == [1, 1, 1], mail
    instance.wait_log(f": {prefix.lower()}message-id=", count=8)
    ids = re.findall(rf"cleanup\[\d+\]: \w+: {prefix.lower()}message-id=(.*)", instance.log())
    assert sorted(i if i in ("<kept@x>", "put") else i[-14:] for i in ids) == sorted(["<kept@x>"] * 2 + ["put"] * 2 + ["@mx.here.test>"] * 4), ids
    send(instance, "Message-ID: <r@x>\r\nSubject: late\r\n\r\n", 550)
    send(instance, "Message-ID: <d@x>\r\nSubject: lost\r\n\r\n")
    instance.sendmail("-i", "alice", input="Message-ID: <d@x>\nSubject: lost\n\nx\n")
    instance.wait_log(r"cleanup\[\d+\]: \w+: message-id=<r@x>")
    instance.wait_log(r"cleanup\[\d+\]: \w+: message-id=<d@x>", count=2)


@pytest.mark.parametrize("clients, added", [("permit_inet_interfaces", 1), ("", 0)])
def test_recipients_that_nobody_sees(make, clients, added):
    instance = make({"undisclosed_recipients_header": "To: undisclosed-recipients:;", "local_header_rewrite_clients": clients})
    for number, seen in enumerate(("Cc: x@there.test\r\n", "Resent-To: x@there.test\r\n", "TO : x@there.test\r\n", "Bcc: x@there.test\r\n", "X-To: x@there.test\r\n"), 1):
        send(instance, f"Subject: x\r\n{seen}\r\nTo: body\r\n")
        mail = instance.wait_mail("alice", number)[-1]
        assert mail.count(b"\nTo: undisclosed-recipients:;\n") == (added if seen[0] in "BX" else 0), mail


def test_a_strangers_mail_gets_nothing_back(make):
    instance = make({"header_checks": "regexp:{{/^(Date|From|Message-ID):/ IGNORE}}", "local_header_rewrite_clients": ""})
    send(instance, "Date: x\r\nFrom: x\r\nMessage-ID: <x@x>\r\nSubject: bare\r\n\r\nx\r\n")
    assert re.search(rb"\nSubject: bare\n\nx\n$", instance.wait_mail("alice")[0]) and not re.search(rb"(?m)^(Date|From):", instance.mailbox("alice")[0])
    instance.wait_log(r"cleanup\[\d+\]: \w+: message-id=<>$")


def test_the_envelope_is_changed(checked):
    queue_id = send(checked, "Subject: hold\r\n\r\n")
    assert [q["queue_name"] for q in checked.queue() if q["queue_id"] == queue_id] == ["hold"]
    checked.postern("queue", "delete", queue_id)
    send(checked, "Subject: discard\r\nX-Mark: discard\r\n\r\n" + "x\r\n" * 50000)
    send(checked, "Subject: redirect\r\nX-Mark: redirect\r\n\r\n", recipients=("alice@here.test", "postmaster@here.test"))
    assert b"X-Original-To: alice@here.test\nDelivered-To: bob@here.test\n" in mail_with(checked, "bob", b"X-Mark: redirect")
    checked.wait_log(r"to=<bob@here\.test>, orig_to=<alice@here\.test>, relay=local, .*status=sent")
    send(checked, "Subject: bcc\r\nX-Mark: bcc\r\n\r\n")
    mail_with(checked, "bob", b"X-Mark: bcc")
    mail_with(checked, "alice", b"X-Mark: bcc")
    checked.wait_queue_empty()
    assert not any(b"X-Mark: redirect" in m or b"X-Mark: discard" in m for m in checked.mailbox("alice"))
    checked.wait_log(r": discard: header Subject: discard from .*: thrown away$")


@pytest.mark.parametrize("local", [False, True], ids=["smtp", "sendmail"])
def test_pass_and_redirect_are_the_last_word(make, local):
    """PASS, and REDIRECT as in Postfix: what follows is not looked at; what was before it has been."""
    instance = make({"header_checks": "regexp:{ {/^X-Pass:/ PASS trusted} {/^X-Red:/ REDIRECT bob@here.test} {/^X-Ign:/ IGNORE} {/^X-Bad:/ REJECT} }", "mime_header_checks": "regexp:{ {/name=/ REJECT} }", "body_checks": "regexp:{ {/forbidden/ REJECT body} }"})
    rest = "X-Ign: later\r\nX-Bad: 1\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; name=x\r\n\r\nforbidden\r\n--b--\r\n"
    for field, user in (("X-Pass: 1", "alice"), ("X-Red: 1", "bob")):
        text = f"X-Ign: before\r\n{field}\r\n{rest}"
        if local:
            instance.sendmail("-i", "-f", "bob@here.test", "alice@here.test", input=text.replace("\r\n", "\n"))
        else:
            send(instance, text)
        letter = instance.wait_mail(user)[0].decode()
        assert "X-Ign: before" not in letter and "\nX-Ign: later\nX-Bad: 1\n" in letter and "name=x\n\nforbidden\n" in letter
    instance.wait_log(r"pass: header X-Pass: 1 from .*: trusted$")
    instance.wait_log(r"redirect: header X-Red: 1 from .*: bob@here\.test$")
    if local:
        instance.sendmail("-f", "bob@here.test", "alice@here.test", input="X-Bad: 1\n\nx\n")
        instance.wait_log(r"reject: header X-Bad: 1 from local; .*: 5\.7\.1 message content rejected$")
    else:
        send(instance, "Subject: x\r\n\r\nforbidden\r\n", expect=550)
        instance.wait_log(r"reject: body forbidden from .*: 5\.7\.1 body$")


def test_mime_and_nested_headers(checked):
    part = 'Subject: x\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: application/x;\r\n name="evil.exe"\r\n\r\nMZ\r\n--b--\r\n'
    assert repr(send(checked, part, 550)) == "550 5.7.1 no programs"
    nested = "Subject: x\r\nContent-Type: message/rfc822\r\n\r\nX-Nested: evil\r\n\r\nbody\r\n"
    assert repr(send(checked, nested, 550)) == "550 5.7.1 evil inside"
    assert send(checked, nested.replace("message/rfc822", "text/plain"))


def test_chunks_and_long_headers(checked):
    folded = "X-Long: " + "".join("\r\n " + "y" * 70 for _ in range(90)) + "\r\n needle\r\n\r\n"
    assert repr(send(checked, folded, 550)) == "550 5.7.1 found the needle"
    with checked.connect() as c:
        c.hello()
        c.envelope("s@there.test", "alice@here.test")
        text = "Subject: reject text\r\n\r\nbody\r\n".encode()
        for octet in text[:-1]:
            c.send(b"BDAT 1\r\n" + bytes([octet]))
            assert c.reply().code == 250
        c.send(b"BDAT 1 LAST\r\n" + text[-1:])
        assert repr(c.reply()) == "550 5.7.9 not of my kind"


def test_the_last_line_is_looked_at_whatever_else_is_asked(checked):
    """What stands before it is a question of its own."""
    filler = "".join(f"X-Filler-{n}: " + "y" * 900 + "\r\n" for n in range(45))
    assert repr(send(checked, filler + "Subject: reject text\r\n", 550)) == "550 5.7.9 not of my kind"
    text = ("Subject: x\r\n\r\n" + ("z" * 900 + "\r\n") * 45 + "reject this line").encode()
    with checked.connect() as c:
        c.hello()
        c.envelope("s@there.test", "alice@here.test")
        c.send(b"BDAT %d LAST\r\n" % len(text) + text)
        assert repr(c.reply()) == "550 5.7.2 not in my house"


@pytest.mark.parametrize("way", ["smtp", "sendmail"])
def test_addresses_are_rewritten_behind_the_checks(make, way):
    """As Postfix has it: a table sees what came, and what it writes is completed."""
    instance = make(start=False)
    (instance.home / "header").write_text("/^From: (joe|jane)$/ REPLACE From: $1.doe\n/^To: alice@/ REJECT\n/^Cc: alice$/ PREPEND X-Bare: yes\n")
    instance.settings["header_checks"] = f"regexp:{instance.home}/header"
    instance.start()
    text = "From: joe\nTo: alice\nCc: alice\nX-Filler: " + "y" * 500 + "\n\nbody\n"
    for body in (text, text[:-6]):
        if way == "smtp":
            send(instance, body.replace("\n", "\r\n"))
        else:
            instance.sendmail("-i", "-f", "s@there.test", "alice", input=body)
    got = instance.wait_mail("alice", 2)
    for one in got:
        assert b"\nFrom: joe.doe@here.test\nTo: alice@here.test\nX-Bare: yes\nCc: alice@here.test\nX-Filler: " in one
    assert sorted(m.endswith(b"\n\nbody\n") for m in got) == [False, True]


def test_what_a_table_writes_does_not_end_the_message(make, peer):
    far = peer()
    instance = make(start=False)
    (instance.home / "body").write_text("/^quote: (.*)/ REPLACE $1\n")
    instance.settings.update({"body_checks": f"regexp:{instance.home}/body", "relayhost": f"[127.0.0.1]:{far.port}"})
    instance.start()
    with instance.connect() as c:
        c.hello()
        c.envelope("s@there.test", "x@far.test")
        c.data("Subject: x\r\n\r\nquote: .\r\nMAIL FROM:<x@y.test>\r\n")
    (message,) = far.wait(1)
    assert message["content"].endswith(b"\r\n\r\n.\r\nMAIL FROM:<x@y.test>\r\n")


def test_a_rejection_waits_for_recipients_that_take_long(request, make):
    from harness.databases import Scripted

    def answer(server, got):
        time.sleep(0.3)
        return b"500 nobody\n"
    slow = Scripted(answer)
    request.addfinalizer(slow.close)
    instance = make({"virtual_alias_maps": f"tcp:127.0.0.1:{slow.port}", "recipient_delimiter": "+", "header_checks": "inline:{ {Subject: no = REJECT 5.7.9 not mine} }"})
    instance.sendmail("-i", "-f", "bob@here.test", *(f"alice+{n}" for n in range(3)), input="Subject: no\n\nx\n")
    assert instance.wait_mail("bob")[0].count(b"Status: 5.7.9") == 3
    instance.wait_log(r"from=<bob@here\.test>, size=\d+, nrcpt=3 ")


def test_a_broken_table_defers(make):
    instance = make({"header_checks": "regexp:/nonexistent/header_checks"})
    assert send(instance, "Subject: x\r\n\r\n", 451)
    assert not instance.queue()
    instance.wait_log("header or body checks: .*/nonexistent/header_checks")


def test_a_pattern_that_takes_long_harms_nobody_else(make):
    instance = make(start=False)
    (instance.home / "slow").write_text("/(a+)+$/ REJECT slow\n")
    instance.settings["body_checks"] = f"regexp:{instance.home}/slow"
    instance.settings["line_length_limit"] = 8000
    instance.start()
    with instance.connect() as slow:
        slow.hello()
        slow.envelope("s@there.test", "alice@here.test")
        slow.cmd("DATA", 354)
        slow.send("Subject: x\r\n\r\n" + "a" * 5000 + "b\r\n" + ".\r\n")
        time.sleep(0.3)
        began = time.monotonic()
        with instance.connect() as c:
            c.hello()
            c.envelope("s@there.test", "alice@here.test")
        assert time.monotonic() - began < 1
        assert slow.reply().code in (250, 451, 550)


def test_filter_and_content_filter(make, peer):
    scanner = peer()
    instance = make({"content_filter": f"smtp:[127.0.0.1]:{scanner.port}"})
    send(instance, "Subject: scan me\r\n\r\n", recipients=("alice@here.test", "bob@here.test"))
    (message,) = scanner.wait()
    assert len(message["rcpt"]) == 2
    instance.reload(content_filter="", header_checks=f"inline:{{ {{Subject: two = FILTER smtp:[127.0.0.1]:{scanner.port}}} }}")
    send(instance, "Subject: two\r\n\r\n")
    scanner.wait(2)
    send(instance, "Subject: three\r\n\r\n")
    instance.wait_mail("alice")
    assert len(scanner.messages) == 2


def test_what_local_programs_send(checked):
    def sendmail(subject, body="x"):
        checked.sendmail("-f", "alice@here.test", "bob", input=f"Subject: {subject}\nX-Mark: local {subject}\n\n{body}\n")

    sendmail("replace it", "secret=abc\ndrop me\nend")
    got = mail_with(checked, "bob", b"X-Mark: local replace it")
    assert b"Subject: replaced it\n" in got and got.endswith(b"secret=*****\nend\n")
    sendmail("reject text", "line\n" * 30000)
    notice = mail_with(checked, "alice", b"X-Mark: local reject text")
    assert b"Status: 5.7.9" in notice and b"not of my kind" in notice and b"Final-Recipient: rfc822; bob@here.test\n" in notice
    checked.wait_log(r"reject: header Subject: reject text from local; from=<alice@here\.test> to=<bob@here\.test>: 5\.7\.9 not of my kind")
    sendmail("discard")
    checked.wait_log(r": to=<bob@here\.test>, orig_to=<bob>, relay=none, .*status=bounced \(not of my kind\)")
    checked.sendmail("-f", "alice@here.test", "alice", "postmaster", input="Subject: redirect\nX-Mark: local redirect\n\nx\n")
    assert b"X-Original-To: alice\n" in mail_with(checked, "bob", b"X-Mark: local redirect")
    checked.sendmail("-f", "bob@here.test", "alice", input="Subject: bcc\nX-Mark: copied\n\n")
    mail_with(checked, "alice", b"X-Mark: copied")
    mail_with(checked, "bob", b"X-Mark: copied")
    checked.wait_queue_empty()
    sendmail("hold")
    assert [q["queue_name"] for q in checked.queue()] == ["hold"]
    checked.postern("queue", "delete", "--all")
    assert not any(b"local discard" in m or b"local reject" in m for m in checked.mailbox("bob"))


def test_local_mail_through_a_filter(make, peer):
    scanner = peer()
    instance = make({"content_filter": f"smtp:[127.0.0.1]:{scanner.port}"})
    instance.sendmail("alice", "bob", input="Subject: x\n\n")
    (message,) = scanner.wait()
    assert len(message["rcpt"]) == 2


def test_what_comes_back_from_a_filter_is_left_alone(make):
    from harness.instance import free_port
    back = free_port()
    instance = make(start=False)
    instance.sections = (f"[smtp]\nlisten = 127.0.0.1:{instance.port}\n[back]\nlisten = 127.0.0.1:{back}\ncontent_filter =\n"
                         "receive_override_options = no_unknown_recipient_checks, no_header_body_checks, no_address_mappings\n")
    instance.settings.update({"content_filter": f"smtp:[127.0.0.1]:{back}", "header_checks": "inline:{ {Subject: twice = PREPEND X-Checked: yes} }",
                              "always_bcc": "bob@here.test", "virtual_alias_maps": "inline:{ {info@here.test = alice@here.test} }"})
    instance.start()
    send(instance, "Subject: twice\r\n\r\n", recipients=("info@here.test",))
    instance.wait_queue_empty()
    (one,), (other,) = instance.wait_mail("alice"), instance.wait_mail("bob")
    assert one.count(b"X-Checked: yes") == 1 and other.count(b"X-Checked: yes") == 1
    assert one.count(b"Received: ") == 2


OUT = {"smtp_header_checks": r"inline:{ {Subject: replace = REPLACE Subject: replaced} {X-Internal: yes = IGNORE} {X-Keep: yes = PREPEND X-Added: here} {X-No: yes = REJECT never} }",
       "smtp_mime_header_checks": "inline:{ {Content-Description: secret = STRIP} }", "smtp_nested_header_checks": "inline:{ {X-Inner: yes = IGNORE} }", "smtp_body_checks": "inline:{ {secret = REPLACE ......} }"}
MIME = ("Subject: replace\r\nX-Internal: yes\r\nX-Keep: yes\r\nX-No: yes\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Description: secret\r\n\r\nsecret\r\n{}"
        "--b\r\nContent-Type: message/rfc822\r\n\r\nX-Inner: yes\r\nSubject: in\r\n\r\nend\r\n--b--\r\n")


@pytest.mark.parametrize("filler", [0, 20000], ids=["inline", "in a file"])
def test_mail_that_leaves(make, peer, filler):
    far = peer()
    instance = make({**OUT, "relayhost": f"[127.0.0.1]:{far.port}", "smtp_generic_maps": "inline:{ {s@there.test = generic@isp.test} }"})
    filler = "filling line\r\n" * filler
    with instance.connect() as c:
        c.hello()
        c.envelope("s@there.test", "x@far.test")
        c.data("From: s@there.test\r\n" + MIME.format(filler))
    (message,) = far.wait(1)
    header, _, body = message["content"].partition(b"\r\n\r\n")
    assert b"Subject: replaced\r\nX-Added: here\r\nX-Keep: yes\r\nX-No: yes\r\n" in header and b"X-Internal" not in header and b"From: generic@isp.test" in header
    assert body.decode() == f"--b\r\n\r\n......\r\n{filler}--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nend\r\n--b--\r\n"
    instance.wait_log(r"postern/smtp\[\d+\]: \w+: replace: header Subject: replace: Subject: replaced")
    instance.wait_queue_empty()


def test_pcre_stops_in_time(make):
    instance = make(start=False)
    (instance.home / "slow").write_text("/^(a+)+$/ REJECT slow\n/^X-Good: (\\w+)/ REPLACE X-Good: <$1>\n")
    instance.settings["header_checks"] = f"pcre:{instance.home}/slow"
    instance.settings["body_checks"] = f"pcre:{instance.home}/slow"
    instance.start()
    if "not built in" in instance.postern("check", check=False).stdout:
        pytest.skip("no pcre tables in this build")
    send(instance, "X-Good: word\r\nX-Long: " + "\r\n ".join("y" * 70 for _ in range(1400)) + "\r\n\r\nfine\r\n")
    assert b"X-Good: <word>\n" in instance.wait_mail("alice")[0]
    send(instance, "Subject: x\r\n\r\n" + "a" * 1900 + "b\r\n", 451)
    send(instance, "Subject: x\r\n\r\nafterwards\r\n")
    assert b"afterwards" in instance.wait_mail("alice", 2)[1]


def test_check_tells_of_actions_that_make_no_sense(make):
    instance = make()
    rules, body, out = instance.home / "header", instance.home / "body", instance.home / "out"
    rules.write_text("/^Subject: good/ REJECT\n/^Subject: bad/ REJEKT no\nif /^X-/\n/^X-(.*)/ PREPEND $1\n/^X-a/ REDIRECT nobody\nendif\n")
    body.write_text("/text/ WARN\n\n/other/\n  FILTER smtp\n")
    out.write_text("/^Received:/ IGNORE\n/^To:/ DISCARD\n")
    for path in (rules, body, out):
        path.chmod(0o644)
    instance.settings.update({"header_checks": f"regexp:{rules}", "mime_header_checks": "inline:{ { x = SOMETHING } }", "body_checks": f"pcre:{body}", "smtp_header_checks": f"regexp:{out}"})
    instance.write_config()
    said = instance.postern("check", check=False)
    assert said.returncode != 0
    for line in (f'{rules}:2: header_checks: "REJEKT no": an unknown action', f'{rules}:5: header_checks: "REDIRECT nobody": without an address', f'{body}:3: body_checks: "FILTER smtp": without transport:destination',
                 f'{out}:2: smtp_header_checks: "DISCARD": an action that outgoing mail does not know', 'mime_header_checks: x: "SOMETHING": an unknown action'):
        assert line in said.stdout, (line, said.stdout)
    assert ":1:" not in said.stdout and ":4:" not in said.stdout, said.stdout


def test_notifications_are_looked_at_where_that_is_asked_for(make, peer):
    """internal_mail_filter_classes: what a table rejects of them is dropped, not returned again and again."""
    far = peer(on={"RCPT": "550 5.1.1 no"})
    instance = make({"relayhost": f"[127.0.0.1]:{far.port}", "notify_classes": "bounce, policy", "bounce_notice_recipient": "bob@here.test", "error_notice_recipient": "bob@here.test", "header_checks": "regexp:{ {/^X-Keep: (.*)/ REPLACE X-Kept: $$1} {/^Subject: Undelivered Mail/ PREPEND X-Table: seen} {/^Subject: .*errors/ REDIRECT alice@here.test} }",
                     "body_checks": "regexp:{ {/" + "z" * 60 + "/ WARN} }"})
    def bounce(text="fine"):
        """What is logged of one."""
        before = len(instance.log())
        with instance.connect() as c:
            c.hello()
            queue_id = c.mail("alice@here.test", ["victim@far.test"], f"Subject: x\r\nX-Keep: 1\r\n\r\n{text}\r\n")
        instance.wait_log(rf"{queue_id}: removed")
        instance.wait_queue_empty()
        return instance.log()[before:]
    bounce()
    assert b"X-Table" not in instance.wait_mail("alice")[0] and len(instance.wait_mail("bob")) == 1
    instance.reload(internal_mail_filter_classes="bounce, notify")
    bounce("x" * 70 + "\r\n" + ("a line of text\r\n" * 3000) + "z" * 60)
    text = instance.wait_mail("alice", 2)[1]
    assert b"\nX-Table: seen\nSubject: Undelivered Mail" in text and text.count(b"a line of text\n") == 3000 and text.rstrip().endswith(b"--") and b"X-Table" not in instance.wait_mail("bob", 2)[1]
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<x@there.test>", 250)
        c.cmd("RCPT TO:<nobody@here.test>", 550)
    assert b"errors" in instance.wait_mail("alice", 3)[2] and len(instance.mailbox("bob")) == 2
    for action, word in (("REJECT no", "reject"), ("DISCARD", "discard")):
        instance.reload(body_checks=f"regexp:{{ {{/^This is the mail system/ {action}}} }}", notify_classes="")
        assert f"{word}: body This is the mail system at host mx.here.test. from local; from=<> to=<alice@here.test>" in bounce()
    assert len(instance.mailbox("alice")) == 3
