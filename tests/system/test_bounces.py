"""Notifications: RFC 3461 to 3464, never a bounce for a bounce (catalogue N)."""
import email, email.policy, re

import pytest


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
    assert message["From"].startswith("MAILER-DAEMON") and message["Subject"] == "Undelivered Mail Returned to Sender"
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
