"""notify_classes: postmaster reads what was said in sessions with errors."""
import base64, email, email.policy, time

import pytest
from harness.instance import wait_until


def notices(instance, count=1, user="alice"):
    found = []

    def look():
        found[:] = [m for m in (email.message_from_bytes(raw, policy=email.policy.default) for raw in instance.mailbox(user)) if "errors from" in (m["Subject"] or "")]
        return len(found) >= count
    wait_until(look)
    return found


@pytest.fixture
def telling(make):
    return lambda classes, **settings: make({"notify_classes": classes, "error_notice_recipient": "alice@here.test", "bounce_notice_recipient": "alice@here.test", "smtpd_error_sleep_time": "0", **settings})


# What a session says, and whom Postfix tells of it.
SESSIONS = {
    "policy": [("EHLO client.test", 250), ("MAIL FROM:<a@b.test>", 250), ("RCPT TO:<x@far.test>", 554)],
    "protocol": [("EHLO client.test", 250), ("RCPT TO:<x@far.test>", 503)],
    "bounce": [("EHLO client.test", 250), ("MAIL FROM:<a@b.test>", 250), ("RCPT TO:<nobody@here.test>", 550)],
    "software": [("EHLO client.test", 250), ("MAIL FROM:<a@odd.test>", 250), ("RCPT TO:<alice@here.test>", 451)],
    "data": [("EHLO client.test", 250), ("MAIL FROM:<a@b.test>", 250), ("RCPT TO:<x@relay.test>", 451)],
}
RESTRICTIONS = {"smtpd_relay_restrictions": "reject_unauth_destination",
                "relay_domains": "relay.test", "relay_recipient_maps": "tcp:127.0.0.1:9",
                "smtpd_restriction_classes": "odd", "odd": "no_such_restriction", "smtpd_sender_restrictions": "check_sender_access inline:{ { odd.test = odd } }"}


def say(instance, session):
    with instance.connect() as c:
        for command, code in session:
            c.cmd(command, code)
        c.cmd("QUIT", 221)


@pytest.mark.parametrize("wanted", SESSIONS)
def test_a_session_is_told_of_by_its_class(telling, wanted):
    instance = telling(wanted, mynetworks="192.0.2.1/32", **RESTRICTIONS)
    for session in [s for name, s in SESSIONS.items() if name != wanted] + [SESSIONS[wanted]]:
        say(instance, session)
    [notice] = notices(instance)
    text = notice.get_content()
    assert notice["Subject"].endswith(" SMTP server: errors from unknown[127.0.0.1]")
    assert notice["Return-Path"] == "<double-bounce@mx.here.test>" and notice["Auto-Submitted"] == "auto-generated" and notice.get_content_type() == "text/plain"
    assert text.startswith("Transcript of session follows.\n\nOut: 220 ")
    for command, code in SESSIONS[wanted]:
        assert f"\nIn:  {command}\nOut: {code}" in text
    assert text.endswith("For other details, see the local mail logfile\n")
    instance.wait_queue_empty()
    assert len(notices(instance)) == 1


def test_no_password_is_in_it(telling):
    instance = telling("protocol, policy", smtpd_sasl_auth_enable="yes", smtpd_sasl_type="table", smtpd_sasl_path="inline:{ { u = x } }", smtpd_tls_auth_only="no", smtpd_sasl_security_options="noanonymous", smtpd_auth_failure_limit_delay="0")
    secret = base64.b64encode(b"\0u\0hunter2").decode()
    password = base64.b64encode(b"hunter2").decode()
    with instance.connect() as c:
        c.cmd(f"AUTH PLAIN {secret}", 503)
        c.cmd("EHLO client.test", 250)
        c.cmd("AUTH LOGIN", 334)
        c.cmd("dQ==", 334)
        c.cmd(password)
        c.cmd(password, 500)
        c.cmd(f"auth\tplain\t{secret}")
        c.cmd(f"AUTH PLAIN {secret}\0", 500)
        c.cmd("PASS hunter2", 500)
        c.cmd("QUIT", 221)
    with instance.connect() as c:
        c.cmd("PASS hunter2", 500)
        c.cmd("A1 LOGIN u hunter2", 500)
        c.cmd("QUIT", 221)
    first, second = notices(instance, 2)
    for text in (first.as_string(), second.as_string()):
        assert not any(word in text for word in (secret, password, "hunter2", secret[:20]))
    both = first.as_string() + second.as_string()
    assert "In:  AUTH PLAIN (not shown)" in both and "In:  AUTH LOGIN" in both and "In:  PASS (not shown)" in both


def test_a_message_that_is_accepted_forgives(telling):
    instance = telling("protocol")
    with instance.connect() as c:
        c.hello()
        c.cmd("BOGUS", 500)
        c.mail(recipients=["bob@here.test"])
        c.cmd("QUIT", 221)
    say(instance, SESSIONS["protocol"])
    assert "BOGUS" not in notices(instance)[0].get_content()


def test_strangers_cannot_fill_postmasters_mailbox(telling):
    instance = telling("protocol")
    for _ in range(30):
        with instance.connect() as c:
            for _ in range(15):
                c.cmd("BOGUS " + "x" * 500, 500)
    instance.wait_log("told of no more conversations with errors for now")
    found = notices(instance, 20)
    instance.wait_queue_empty()
    assert len(notices(instance, 20)) == 20 and all(len(m.as_string()) < 12000 for m in found)
    assert "lost connection" in found[0].get_content()


def test_a_notice_makes_none(telling):
    """Neither what carries it here nor what carries it away: the next host refuses its commands."""
    instance = telling("protocol, policy", mynetworks="192.0.2.1/32")
    with instance.connect() as c:
        c.cmd("EHLO other.test", 250)
        c.cmd("MAIL FROM:<double-bounce@other.test>", 250)
        c.cmd("RCPT TO:<x@far.test>", 554)
        c.cmd("QUIT", 221)
    say(instance, SESSIONS["protocol"])
    assert "double-bounce" not in notices(instance)[0].get_content()
    instance.wait_queue_empty()
    assert len(notices(instance)) == 1


def test_a_server_that_does_not_understand_us(telling, peer):
    sink = peer(on={"RCPT": "501 5.5.4 Syntax error"})
    instance = telling("protocol", relayhost=f"[127.0.0.1]:{sink.port}")
    with instance.connect() as c:
        c.hello()
        c.mail("bob@here.test", ["x@far.test"])
    [notice] = notices(instance)
    assert notice["Subject"].endswith(f"SMTP client: errors from 127.0.0.1[127.0.0.1]:{sink.port}")
    text = notice.get_content()
    assert "\nOut: RCPT TO:<x@far.test>" in text and "\nIn:  501 5.5.4 Syntax error\n" in text and "Out: QUIT\n" in text


def test_a_notice_to_such_a_server_makes_none(make, peer):
    sink = peer(on={"RCPT": "501 5.5.4 Syntax error"})
    instance = make({"notify_classes": "protocol", "error_notice_recipient": "boss@far.test", "relayhost": f"[127.0.0.1]:{sink.port}"})
    say(instance, SESSIONS["protocol"])
    instance.wait_log(r"to=<boss@far\.test>.*status=bounced")
    instance.wait_queue_empty()
    time.sleep(0.5)
    assert instance.log().count("postmaster notification of errors") == 1
