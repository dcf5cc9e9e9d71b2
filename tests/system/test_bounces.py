"""Notifications: RFC 3461 to 3464, never a bounce for a bounce (catalogue N)."""
import email, email.policy, os, re, signal, time

import pytest
from harness.instance import wait_until


def notifications(instance, user="alice", count=1):
    return [email.message_from_bytes(m, policy=email.policy.default) for m in instance.wait_mail(user, count)]


def status_fields(message):
    return [dict(part.items()) for part in message.get_payload()[1].get_payload()]


@pytest.fixture
def refusing(make, peer):
    def build(on=None, settings=None, **options):
        sink = peer(on=on or {"RCPT": "550 5.1.1 <x@far.test>: no such user"}, **options)
        return make({"relayhost": f"[127.0.0.1]:{sink.port}", **(settings or {})}), sink
    return build


def submit(instance, sender="alice@here.test", mail="", rcpt="", recipient="x@far.test", body="Subject: original\r\nX-Mark: yes\r\n\r\noriginal body\r\n"):
    with instance.connect() as c:
        c.hello()
        c.cmd(f"MAIL FROM:<{sender}>{mail}", 250)
        c.cmd(f"RCPT TO:<{recipient}>{rcpt}", 250)
        return c.data(body)


def test_a_failure_is_reported_as_rfc_3464_says(refusing):
    instance, sink = refusing()
    queue_id = submit(instance, mail=" ENVID=E123", rcpt=" ORCPT=rfc822;first@orig.test")
    message = notifications(instance)[0]
    assert message["Return-Path"] == "<>"
    assert [str(a) for a in message["From"].addresses] == ["Mail Delivery System <MAILER-DAEMON@here.test>"] and message["Subject"] == "Undelivered Mail Returned to Sender"
    assert message["Auto-Submitted"] == "auto-replied" and message["To"] == "alice@here.test"
    assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "delivery-status"
    kinds = [part.get_content_type() for part in message.get_payload()]
    assert kinds == ["text/plain", "message/delivery-status", "message/rfc822"]
    per_message, per_recipient = status_fields(message)
    assert per_message["Reporting-MTA"] == "dns; mx.here.test" and per_message["Original-Envelope-Id"] == "E123" and "Arrival-Date" in per_message
    assert per_recipient["Final-Recipient"].replace(" ", "") == "rfc822;x@far.test" and per_recipient["Original-Recipient"].replace(" ", "") == "rfc822;first@orig.test"
    assert per_recipient["Action"] == "failed" and per_recipient["Status"] == "5.1.1"
    assert "no such user" in per_recipient["Diagnostic-Code"] and per_recipient["Diagnostic-Code"].startswith("smtp;") and per_recipient["Remote-MTA"].startswith("dns;")
    assert "original body" in message.get_payload()[2].as_string()
    assert "x@far.test" in message.get_payload()[0].get_content()
    line = instance.wait_log(rf"postern/bounce\[\d+\]: {queue_id}: sender non-delivery notification: (\w+)$")
    instance.wait_log(rf"{line[1]}: removed")
    instance.wait_queue_empty()


def test_the_words_of_a_template_file_and_of_a_changed_one(refusing, tmp_path):
    words = tmp_path / "words"
    words.write_text("failure_template = <<EOF\nSubject: First words\n\nIt failed.\nEOF\n")
    instance, _ = refusing(settings={"bounce_template_file": words})
    for subject, text, count in (("First words", None, 1), ("Second words", "Second words", 2), ("Undelivered Mail Returned to Sender", "", 3)):
        if text:
            words.write_text(f"failure_template = <<EOF\nSubject: {text}\n\nIt failed.\nEOF\n")
            instance.reload()
        elif text == "":
            instance.reload(bounce_template_file="")
        submit(instance)
        assert subject in [m["Subject"] for m in notifications(instance, count=count)]


def test_a_template_that_makes_no_sense_harms_no_other(refusing, tmp_path):
    words = tmp_path / "words"
    words.write_text("delay_template = <<EOF\nX-Mood: bad\n\nIt waits.\nEOF\n\nfailure_template = <<EOF\nSubject: Our words\n\nIt failed.\nEOF\n")
    instance, _ = refusing(settings={"bounce_template_file": words})
    submit(instance)
    assert "Our words" in notifications(instance)[0]["Subject"]
    instance.wait_log(rf"warning: bounce_template_file {words}, line 2: unknown header 'X-Mood'; using the built-in text")
    assert f"{words}:2: unknown header 'X-Mood'\n" in instance.postern("check", check=False).stdout


def test_ret_hdrs_returns_only_the_header(refusing):
    instance, _ = refusing()
    submit(instance, mail=" RET=HDRS")
    message = notifications(instance)[0]
    part = message.get_payload()[2]
    assert part.get_content_type() == "text/rfc822-headers" and "X-Mark: yes" in part.as_string() and "original body" not in message.as_string()


def test_a_large_message_is_returned_without_its_body(refusing):
    instance, _ = refusing(settings={"bounce_size_limit": 2000})
    submit(instance, body="Subject: large\r\n\r\n" + ("z" * 70 + "\r\n") * 200)
    assert "zzzz" not in notifications(instance)[0].as_string()


@pytest.mark.parametrize("sender,rcpt", [("", ""), ("alice@here.test", " NOTIFY=NEVER"), ("alice@here.test", " NOTIFY=SUCCESS")])
def test_no_failure_notice_where_none_is_due(refusing, sender, rcpt):
    instance, _ = refusing()
    queue_id = submit(instance, sender=sender, rcpt=rcpt)
    instance.wait_log(rf"{queue_id}: to=<x@far\.test>.*status=bounced")
    instance.wait_log(rf"{queue_id}: removed")
    instance.wait_queue_empty()
    assert not instance.mailbox("alice") and "non-delivery notification" not in instance.log()


def test_success_is_reported_when_asked_for(make):
    instance = make()
    submit(instance, recipient="bob@here.test", rcpt=" NOTIFY=SUCCESS")
    message = notifications(instance)[0]
    fields = status_fields(message)[1]
    assert fields["Action"] == "delivered" and fields["Status"].startswith("2.")
    assert "original body" not in message.as_string()


def test_a_next_hop_without_dsn_makes_a_relayed_report(refusing):
    instance, _ = refusing(on={"NOOP": "250 x"}, extensions=["PIPELINING"])
    submit(instance, rcpt=" NOTIFY=SUCCESS,FAILURE")
    assert status_fields(notifications(instance)[0])[1]["Action"] == "relayed"


def test_one_notice_names_all_failed_recipients(refusing):
    instance, _ = refusing()
    with instance.connect() as c:
        c.hello()
        c.mail("alice@here.test", [f"u{i}@far.test" for i in range(200)])
    instance.wait_queue_empty(20)
    texts = [m.decode() for m in instance.mailbox("alice")]
    assert sum(len(re.findall(r"^Final-Recipient:", t, re.M)) for t in texts) == 200
    assert len(texts) <= 4


def test_a_delay_is_told_once(refusing):
    instance, _ = refusing(on={"RCPT": "450 4.2.0 later"}, settings={"delay_warning_time": "2s"})
    queue_id = submit(instance)
    message = notifications(instance)[0]
    assert status_fields(message)[1]["Action"] == "delayed" and "Will-Retry-Until" in status_fields(message)[1]
    instance.stop()
    instance.start()
    instance.wait_log(rf"{queue_id}: to=<x@far\.test>.*status=deferred", 20, count=4)
    assert len(instance.mailbox("alice")) == 1


@pytest.mark.parametrize("wanted", [True, False])
def test_the_end_of_a_delay_is_told_where_that_is_wanted(refusing, wanted):
    """confirm_delay_cleared: of recipients whose sender was told of the delay, and of no others."""
    instance, sink = refusing(on={"RCPT": "450 4.2.0 later"}, settings={"delay_warning_time": "1s", **({"confirm_delay_cleared": "yes"} if wanted else {})})
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<alice@here.test>", 250)
        c.cmd("RCPT TO:<x@far.test>", 250)
        c.cmd("RCPT TO:<y@far.test> NOTIFY=FAILURE", 250)
        queue_id = c.data("Subject: x\r\n\r\nx\r\n")
    assert status_fields(notifications(instance)[0])[1]["Action"] == "delayed"
    sink.on = {}
    instance.postern("flush")
    instance.wait_log(f"{queue_id}: removed")
    quick = submit(instance, recipient="z@far.test")
    instance.wait_log(f"{quick}: removed")
    instance.wait_queue_empty()
    told = [(f["Action"], f["Final-Recipient"].replace(" ", "")) for m in notifications(instance, count=1 + wanted) for f in status_fields(m)[1:]]
    assert sorted(told) == sorted([("delayed", "rfc822;x@far.test")] + [("relayed", "rfc822;x@far.test")] * wanted)


def test_an_expired_message_comes_back(refusing):
    instance, _ = refusing(on={"RCPT": "450 4.2.0 later"}, settings={"maximal_queue_lifetime": "3s"})
    queue_id = submit(instance)
    message = notifications(instance)[0]
    assert status_fields(message)[1]["Action"] == "failed" and status_fields(message)[1]["Status"].startswith(("4.", "5."))
    instance.wait_log(rf"{queue_id}: from=<alice@here\.test>, status=expired, returned to sender$")


def test_a_bounce_that_bounces_goes_to_postmaster_only_if_wanted(refusing, make, peer):
    instance, _ = refusing(settings={"notify_classes": "resource, software, 2bounce", "alias_maps": "inline:{ { postmaster = bob } }"})
    submit(instance, sender="gone@far2.test")
    instance.wait_queue_empty(20)
    assert instance.wait_mail("bob")
    quiet, _ = refusing(settings={"alias_maps": "inline:{ { postmaster = bob } }"})
    submit(quiet, sender="gone@far2.test")
    quiet.wait_queue_empty(20)
    assert not quiet.mailbox("bob")


def copies(sink, count, seconds=15):
    """Who got which notice, as (postmaster's or sender's name, recipient, action, type of the last part)."""
    def read():
        out = []
        for m in list(sink.messages):
            message = email.message_from_bytes(m["content"], policy=email.policy.default)
            out += [(m["rcpt"][0].split("<")[1].split("@")[0], f["Final-Recipient"].split(";")[1].split("@")[0].strip(), f["Action"], message.get_payload()[2].get_content_type()) for f in status_fields(message)[1:]]
        return sorted(out)
    assert wait_until(lambda: len(read()) >= count, seconds, 0.1), read()
    time.sleep(1)
    return read()


def test_postmaster_is_told_whatever_the_sender_wants_to_hear(make, peer):
    """As Postfix has it: class bounce implies 2bounce, what nobody can be told of comes whole, and NOTIFY is the sender's alone."""
    sink, reports = peer(on={"RCPT": lambda s, line, p: "450 4.2.0 later" if b"later" in line else "550 5.1.1 gone"}), peer()
    instance = make({"notify_classes": "bounce, delay", "delay_warning_time": "1s", "minimal_backoff_time": "2s", "bounce_notice_recipient": "bounces@rep.test", "2bounce_notice_recipient": "twice@rep.test", "delay_notice_recipient": "delays@rep.test",
                     "transport_maps": f"inline:{{ {{ far.test = smtp:[127.0.0.1]:{sink.port} }} {{ rep.test = smtp:[127.0.0.1]:{reports.port} }} }}"})
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<s@rep.test>", 250)
        for name, notify in (("told", ""), ("never", " NOTIFY=NEVER"), ("success", " NOTIFY=SUCCESS"), ("later", " NOTIFY=DELAY"), ("later2", " NOTIFY=NEVER")):
            c.cmd(f"RCPT TO:<{name}@far.test>{notify}", 250)
        c.data("Subject: x\r\n\r\nx\r\n")
        c.mail("", ["null@far.test"])
    assert copies(reports, 8) == sorted([
        ("s", "told", "failed", "message/rfc822"), ("bounces", "told", "failed", "text/rfc822-headers"),
        ("bounces", "never", "failed", "text/rfc822-headers"), ("bounces", "success", "failed", "text/rfc822-headers"),
        ("s", "later", "delayed", "text/rfc822-headers"), ("delays", "later", "delayed", "text/rfc822-headers"), ("delays", "later2", "delayed", "text/rfc822-headers"),
        ("twice", "null", "failed", "message/rfc822")])


@pytest.mark.parametrize("settings", [{"virtual_alias_maps": "inline:{ { list@here.test = bob@here.test, x@far.test, y@far.test } }"},
                                      {"alias_maps": "inline:{ { list = bob, x@far.test, y@far.test } }", "local_recipient_maps": "inline:{ { alice = x } { bob = x } { list = x } }"}], ids=["virtual", "local"])
def test_of_an_alias_with_several_addresses_success_is_that_it_was_expanded(refusing, settings):
    """RFC 3461, 5.2.7.3 (c): one report of success, which names none of them, and nobody behind it is asked for another."""
    instance, sink = refusing(on={"RCPT": lambda s, line, p: "550 5.1.1 gone" if b"y@" in line else "250 2.1.5 ok"}, settings=settings)
    queue_id = submit(instance, recipient="list@here.test", rcpt=" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first@orig.test")
    expanded = instance.wait_log(rf"{queue_id}: from=<alice@here\.test>, size=\d+, nrcpt=(\d+) ")
    assert int(expanded[1]) == (3 if "virtual_alias_maps" in settings else 1)
    instance.wait_log(rf"{queue_id}: removed", 20)
    instance.wait_queue_empty()
    told = sorted((f["Action"], f["Final-Recipient"].replace(" ", ""), f["Original-Recipient"].replace(" ", "")) for m in notifications(instance, count=2) for f in status_fields(m)[1:])
    assert told == [("expanded", "rfc822;list@here.test", "rfc822;first@orig.test"), ("failed", "rfc822;y@far.test", "rfc822;first@orig.test")]
    assert [c for c in sink.commands if c.startswith("RCPT") and "SUCCESS" in c] == [] and "NOTIFY=FAILURE" in [c for c in sink.commands if c.startswith("RCPT")][0]
    only = submit(instance, recipient="list@here.test", rcpt=" NOTIFY=SUCCESS")
    instance.wait_log(rf"{only}: removed", 20)
    assert len(instance.mailbox("alice")) == 3 and "NOTIFY=NEVER" in [c for c in sink.commands if c.startswith("RCPT")][-1]


def test_mail_for_a_list_with_an_owner_is_delivered_there(refusing):
    """RFC 3464, 2.3.3: "expanded" is not said of lists, whose members' reports are for the owner."""
    instance, sink = refusing(on={"NOOP": "250 x"}, settings={"alias_maps": "inline:{ { list = x@far.test, y@far.test } { owner-list = bob } }", "local_recipient_maps": ""})
    submit(instance, recipient="list@here.test", rcpt=" NOTIFY=SUCCESS ORCPT=rfc822;first@orig.test")
    fields = status_fields(notifications(instance)[0])[1:]
    assert [(f["Action"], f["Final-Recipient"].replace(" ", "")) for f in fields] == [("delivered", "rfc822;list@here.test")]
    assert [m["mail"].split()[1] for m in sink.wait(1)] == ["FROM:<owner-list@here.test>"] and [c.split(maxsplit=2)[2] for c in sink.commands if c.startswith("RCPT")] == ["ORCPT=rfc822;x@far.test", "ORCPT=rfc822;y@far.test"]


def test_an_alias_with_one_address_passes_the_wish_on(refusing):
    instance, sink = refusing(on={"NOOP": "250 x"}, extensions=["PIPELINING"], settings={"virtual_alias_maps": "inline:{ { one@here.test = x@far.test } }"})
    submit(instance, recipient="one@here.test", rcpt=" NOTIFY=SUCCESS")
    fields = status_fields(notifications(instance)[0])[1:]
    assert [(f["Action"], f["Final-Recipient"].replace(" ", "")) for f in fields] == [("relayed", "rfc822;x@far.test")]
    instance.wait_queue_empty()
    assert len(instance.mailbox("alice")) == 1


def test_the_report_of_an_expansion_survives_a_kill(refusing):
    """It is part of the message's own record: nothing but that is in the log yet."""
    instance, _ = refusing(on={"RCPT": "450 4.2.0 later"}, settings={"virtual_alias_maps": "inline:{ { list@here.test = x@far.test, y@far.test } }", "minimal_backoff_time": "300s"})
    for pid in instance.pids("pickup"):
        os.kill(pid, signal.SIGSTOP)
    submit(instance, recipient="list@here.test", rcpt=" NOTIFY=SUCCESS,FAILURE")
    instance.wait_log(r"status=deferred", count=2)
    for role in ("queue", "pickup"):
        for pid in instance.pids(role):
            os.kill(pid, signal.SIGKILL)
    actions = [f["Action"] for m in notifications(instance) for f in status_fields(m)[1:]]
    assert actions == ["expanded"]
    instance.postern("flush")
    instance.wait_log(r"status=deferred", count=4)
    assert len(instance.mailbox("alice")) == 1
    assert sorted(r["address"] for r in instance.queue()[0]["recipients"]) == ["x@far.test", "y@far.test"]


def test_a_report_is_asked_for_again_as_soon_as_pickup_is_there(refusing):
    instance, _ = refusing(on={"RCPT": "550 5.1.1 nobody"})
    (pickup,) = instance.pids("pickup")
    os.kill(pickup, signal.SIGSTOP)
    submit(instance)
    instance.wait_log(r"status=bounced")
    time.sleep(0.3)
    os.kill(pickup, signal.SIGKILL)
    assert wait_until(lambda: instance.mailbox("alice"), 6), instance.log()[-2000:]


def test_notices_are_rewritten_like_other_mail_of_this_host(make, peer):
    """canonical tables, masquerading, header_from_format; but no checks of content, as in Postfix."""
    far = peer(on={"RCPT": lambda session, line, p: "550 5.1.1 no" if b"victim" in line else "250 ok"})
    instance = make({"relayhost": f"[127.0.0.1]:{far.port}", "notify_classes": "bounce", "canonical_maps": "inline:{ { joe@here.test = Joe.Doe@far.test } { mailer-daemon@here.test = daemon@far.test } { postmaster@here.test = pm@far.test } }",
                     "header_checks": "regexp:{ {/^Subject: (Undelivered|Postmaster)/ DISCARD} }", "body_checks": "regexp:{ {/Reporting-MTA/ DISCARD} }"})
    for form, sender in (("standard", "Mail Delivery System <daemon@far.test>"), ("obsolete", "daemon@far.test (Mail Delivery System)")):
        instance.reload(header_from_format=form)
        far.messages.clear()
        with instance.connect() as c:
            c.hello()
            c.mail("joe@here.test", ["victim@far.test"])
        got = {m["rcpt"][0].split(">")[0]: m["content"].decode().partition("\r\n\r\n")[0] + "\r\n" for m in far.wait(2)}
        assert sorted(got) == ["RCPT TO:<Joe.Doe@far.test", "RCPT TO:<pm@far.test"]
        for rcpt, header in got.items():
            assert f"\r\nFrom: {sender}\r\n" in header and f"\r\nTo: {rcpt[9:]}\r\n" in header
        instance.sendmail("-F", "Joe (x)", "-f", "ok@here.test", "r@far.test", input="\n")
        assert {"standard": '\r\nFrom: "Joe (x)" <ok@here.test>\r\n', "obsolete": "\r\nFrom: ok@here.test (Joe \\(x\\))\r\n"}[form] in far.wait(3)[2]["content"].decode()


def test_a_rewritten_double_bounce_address_ends_too(make, peer):
    """Notices to a postmaster who cannot be reached end, also where tables made another address of their sender."""
    far = peer(on={"RCPT": "550 5.1.1 no"})
    instance = make({"relayhost": f"[127.0.0.1]:{far.port}", "notify_classes": "bounce, 2bounce", "canonical_maps": "inline:{ { double-bounce@mx.here.test = other@far.test } }",
                     "bounce_notice_recipient": "pm@far.test", "2bounce_notice_recipient": "pm@far.test"})
    with instance.connect() as c:
        c.hello()
        c.mail("alice@here.test", ["victim@far.test"])
    instance.wait_log("undeliverable postmaster notification discarded")
    instance.wait_queue_empty()
    assert instance.log().count("status=bounced") == 2


def test_with_soft_bounce_log_and_listing_say_deferred(refusing):
    instance, _ = refusing(settings={"soft_bounce": "yes", "minimal_backoff_time": "300s"})
    queue_id = submit(instance)
    instance.wait_log(rf"smtp\[\d+\]: {queue_id}: to=<x@far\.test>, relay=\S+, delay=.*, dsn=4\.1\.1, status=deferred \(host \S+ said: 550 5\.1\.1 ")
    assert wait_until(lambda: instance.queue("--state", "deferred")), instance.why_queued()
    assert "550 5.1.1" in instance.queue()[0]["recipients"][0]["delay_reason"] and f"{queue_id}: removed" not in instance.log()
