"""Parameters that change one small thing each: set, they do what Postfix's manual says."""
import time

import pytest


@pytest.fixture
def listed(make):
    """An instance with aliases in a file of its own."""
    def build(aliases, **settings):
        instance = make({"local_recipient_maps": "", **settings})
        file = instance.home / "aliases"
        file.write_text(aliases)
        instance.reload(alias_maps=f"texthash:{file}", alias_database="")
        return instance
    return build


def deliver(instance, *recipients):
    with instance.connect() as c:
        c.hello()
        c.mail("s@there.test", recipients)


def header(message, name):
    return [line.split(b": ", 1)[1] for line in message.split(b"\n\n", 1)[0].split(b"\n") if line.startswith(name.encode() + b": ")]


@pytest.mark.parametrize("special,outcome", [("yes", "status=bounced"), ("no", "status=expanded|status=sent")])
def test_owner_request_special_keeps_names_whole(listed, special, outcome):
    instance = listed("news alice\n", recipient_delimiter="-", owner_request_special=special)
    deliver(instance, "news-request@here.test")
    instance.wait_log(rf"to=<news-request@here\.test>.*({outcome})")
    assert special == "yes" or instance.wait_mail("alice")


def test_without_owner_request_special_an_owner_is_an_alias_like_others(listed):
    """What Mailman wants: its lists have owner-NAME aliases, and it says itself who gets bounces."""
    instance = listed("news alice, far@there.test\nowner-news bob\n", owner_request_special="no", transport_maps="inline:{ { there.test = error:5.1.1 nobody } }")
    assert "sender" not in instance.postern("route", "news@here.test").stdout
    deliver(instance, "news@here.test")
    assert header(instance.wait_mail("alice")[0], "Return-Path") == [b"<s@there.test>"]
    instance.wait_log(r"from=<s@there\.test>.*\n(.*\n)*.*to=<far@there\.test>.*status=bounced")
    assert not instance.mailbox("bob")


@pytest.mark.parametrize("keep,copies,shown", [("yes", 2, [[], [b"sales@here.test"]]), ("no", 1, [[]])])
def test_enable_original_recipient(make, keep, copies, shown):
    instance = make({"virtual_alias_maps": "inline:{{sales@here.test = alice@here.test}}", "enable_original_recipient": keep})
    deliver(instance, "alice@here.test", "sales@here.test")
    instance.wait_queue_empty()
    assert sorted(header(m, "X-Original-To") for m in instance.wait_mail("alice", copies)) == shown
    assert len(instance.mailbox("alice")) == copies


CLASSES = {
    "smtpd_restriction_classes": "internal, strict",
    "internal": "permit_mynetworks, reject",
    "strict": "reject_non_fqdn_sender, check_sender_access inline:{{spam.test = 550 5.7.1 never}}",
    "smtpd_recipient_restrictions": "check_recipient_access inline:{{alice@here.test = internal}, {bob@here.test = strict}}, permit",
    "mynetworks": "127.0.0.77/32",
}


@pytest.mark.parametrize("source,sender,recipient,expected", [
    ("127.0.0.77", "s@there.test", "alice@here.test", "250"),
    ("127.0.0.5", "s@there.test", "alice@here.test", "554 5.7.1 <alice@here.test>: Recipient address rejected: Access denied"),
    ("127.0.0.5", "s@there.test", "bob@here.test", "250"),
    ("127.0.0.5", "s@spam.test", "bob@here.test", "550 5.7.1 <s@spam.test>: Sender address rejected: never"),
    ("127.0.0.5", "s@bare", "bob@here.test", "504 5.5.2"),
    ("127.0.0.5", "s@spam.test", "postmaster@here.test", "250"),
])
def test_restriction_classes(shared_classes, source, sender, recipient, expected):
    assert shared_classes.postern("check", check=False).returncode == 0
    with shared_classes.connect(source=source) as c:
        c.hello()
        c.cmd(f"MAIL FROM:<{sender}>", 250)
        assert repr(c.cmd(f"RCPT TO:<{recipient}>")).startswith(expected)


@pytest.fixture
def shared_classes(make):
    return make(CLASSES)


def test_classes_that_lead_in_a_circle_defer_and_harm_nobody(make):
    instance = make({"smtpd_restriction_classes": "a, b", "a": "check_sender_access inline:{{turn.test = b}}", "b": "a",
                     "smtpd_recipient_restrictions": "a"})
    with instance.connect() as c, instance.connect() as other:
        c.hello()
        c.cmd("MAIL FROM:<s@turn.test>", 250)
        assert repr(c.cmd("RCPT TO:<alice@here.test>")).startswith("451 4.3.5 Server configuration error")
        c.cmd("RSET", 250)
        c.mail()
        other.hello()
        other.mail()
    instance.wait_log("restriction lists are nested too deeply")


def test_smtpd_reject_unlisted_sender(make):
    instance = make({"smtpd_reject_unlisted_sender": "yes"})
    with instance.connect() as c:
        c.hello()
        for sender, expected in [("nobody@here.test", 550), ("alice@here.test", 250), ("nobody@there.test", 250), ("", 250)]:
            c.cmd(f"MAIL FROM:<{sender}>", 250)
            assert c.cmd("RCPT TO:<bob@here.test>").code == expected, sender
            c.cmd("RSET", 250)


@pytest.mark.parametrize("setting,lines,last", [
    (None, ["\x16\x03\x01"], "221 2.7.0"),
    (None, ["GET / HTTP/1.1"], "221 2.7.0"),
    (None, ["Host: mx.here.test"], "221 2.7.0"),
    (None, ["FROB", "NOOP"], "250"),
    ("regexp:{{/^frob/ x}}", ["GET /", "FROBNICATE"], "221 2.7.0"),
])
def test_smtpd_forbidden_commands(make, setting, lines, last):
    instance = make({} if setting is None else {"smtpd_forbidden_commands": setting})
    with instance.connect() as c:
        replies = [c.cmd(line) for line in lines]
        assert repr(replies[-1]).startswith(last), replies
        if last.startswith("221"):
            assert c.closed()
            instance.wait_log("non-SMTP command from")


def test_limits_of_a_transport(make, peer):
    sink = peer()
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "smtp_destination_recipient_limit": 2})
    with instance.connect() as c:
        c.hello()
        c.mail("s@here.test", [f"r{n}@far.test" for n in range(5)])
    assert sorted(len(m["rcpt"]) for m in sink.wait(3)) == [1, 2, 2]


def test_a_pause_between_deliveries(make, peer):
    sink = peer()
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "smtp_destination_rate_delay": "1s"})
    times = []
    with instance.connect() as c:
        c.hello()
        for _ in range(3):
            c.mail("s@here.test", ["r@far.test"])
    for count in (1, 2, 3):
        sink.wait(count)
        times.append(time.monotonic())
    assert times[2] - times[0] > 1.8
    instance.reload(smtp_destination_rate_delay="0s")
    before = time.monotonic()
    with instance.connect() as c:
        c.hello()
        for _ in range(4):
            c.mail("s@here.test", ["r@far.test"])
    sink.wait(7)
    assert time.monotonic() - before < 2.5


@pytest.mark.parametrize("cohorts", [0, 1, 3])
def test_failed_cohorts_make_a_next_hop_dead(make, cohorts):
    """With one delivery at a time each failure is a cohort; what is left then is put off without an attempt."""
    instance = make({"relayhost": "[127.0.0.1]:9", "default_destination_concurrency_limit": 1, "smtp_destination_recipient_limit": 1,
                     "minimal_backoff_time": "300s", "maximal_backoff_time": "300s", "default_destination_concurrency_failed_cohort_limit": cohorts})
    with instance.connect() as c:
        c.hello()
        c.mail("s@here.test", [f"r{n}@far.test" for n in range(6)])
    instance.wait_log("status=deferred", count=6)
    assert instance.log().count("delivery temporarily suspended") == (6 - cohorts if cohorts else 0), instance.log()
    assert "bad value" not in instance.postern("check", check=False).stderr


def test_without_limits_everybody_goes_at_once(make, peer):
    """0 is no limit of Postfix's for these: one window, as wide as it grows, and one transaction."""
    sink = peer()
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "default_destination_recipient_limit": 0, "default_destination_concurrency_limit": 0})
    with instance.connect() as c:
        c.hello()
        c.mail("s@here.test", [f"r{n}@far.test" for n in range(120)])
    assert len(sink.wait(1)[0]["rcpt"]) == 120
    assert "limit" not in instance.postern("check", check=False).stderr
