"""Addresses in headers of this host's mail, as cleanup(8) and trivial-rewrite(8) make them (ADDRESS_REWRITING_README)."""
import re

import pytest
from harness.peer import Peer


@pytest.fixture(scope="module")
def sink(request):
    p = Peer()
    request.addfinalizer(p.close)
    return p


def fields(content):
    header = content.split(b"\r\n\r\n", 1)[0].decode().replace("\r\n", "\n")
    return dict(re.findall(r"^([\w-]+): ((?:.*)(?:\n[ \t].*)*)", header, re.M))


HEADER = ("From: \"Joe, D.\" <joe>\r\nTo: ann (Ann), bob@short, Team: carl,\r\n dora@far.test;\r\nCc: =?utf-8?q?Eva?= <eva@old.test>\r\nReply-To: fred%far.test\r\n"
          "Subject: joe, ann@old.test\r\nX-To: joe\r\nDate: Mon, 01 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@x.test>\r\n")


def by_sendmail(instance, sink, header=HEADER, *options):
    before = len(sink.messages)
    instance.sendmail("-i", *options, "-f", "s@here.test", "r@far.test", input=header.replace("\r\n", "\n") + "\nx\n")
    return fields(sink.wait(before + 1)[before]["content"])


def by_smtp(instance, sink, header=HEADER, source=None):
    before = len(sink.messages)
    with instance.connect(source=source) as c:
        c.hello()
        c.mail(recipients=["r@far.test"], body=header + "\r\nx\r\n")
    return fields(sink.wait(before + 1)[before]["content"])


@pytest.mark.parametrize("way", [by_sendmail, by_smtp])
def test_addresses_of_local_mail_are_completed(make, sink, way):
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "append_dot_mydomain": "yes"})
    got = way(instance, sink)
    assert got["From"] == "\"Joe, D.\" <joe@here.test>"
    assert got["To"] == "ann@here.test (Ann), bob@short.here.test, Team: carl@here.test,\n dora@far.test;"
    assert got["Cc"] == "=?utf-8?q?Eva?= <eva@old.test>"
    assert got["Reply-To"] == "fred@far.test"
    assert got["Subject"] == "joe, ann@old.test" and got["X-To"] == "joe"


@pytest.mark.parametrize("way", [by_sendmail, by_smtp])
def test_canonical_tables_and_masquerading_reach_the_header(make, sink, way):
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "canonical_maps": "inline:{ { @old.test = eva.new@new.test } }", "sender_canonical_maps": "inline:{ { joe@here.test = Joe.Doe@here.test } }",
                     "masquerade_domains": "here.test", "masquerade_exceptions": "root"})
    got = way(instance, sink, HEADER.replace("ann (Ann)", "ann@mx7.here.test (Ann), root@mx7.here.test, joe"))
    assert got["From"] == "\"Joe, D.\" <Joe.Doe@here.test>"
    assert got["To"].startswith("ann@here.test (Ann), root@mx7.here.test, joe@here.test, bob@short, ")
    assert got["Cc"] == "=?utf-8?q?Eva?= <eva.new@new.test>"


def test_classes_say_which_fields(make, sink):
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "canonical_maps": "inline:{ { joe@here.test = j@new.test } { ann@here.test = a@new.test } }", "canonical_classes": "header_recipient"})
    got = by_smtp(instance, sink)
    assert got["From"] == "\"Joe, D.\" <joe@here.test>"
    assert got["To"].startswith("a@new.test (Ann), ")


def test_a_strangers_header_is_left_alone(make, sink):
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "mynetworks": "127.0.0.0/8", "canonical_maps": "inline:{ { @old.test = eva@new.test } }"})
    got = by_smtp(instance, sink, source="127.0.0.2")
    assert got["From"] == "\"Joe, D.\" <joe>" and got["Cc"] == "=?utf-8?q?Eva?= <eva@old.test>"
    instance.reload(remote_header_rewrite_domain="domain.invalid")
    got = by_smtp(instance, sink, source="127.0.0.2")
    assert got["From"] == "\"Joe, D.\" <joe@domain.invalid>" and got["Cc"] == "=?utf-8?q?Eva?= <eva@new.test>"
    instance.reload(remote_header_rewrite_domain=None, local_header_rewrite_clients="permit_mynetworks")
    assert by_smtp(instance, sink, source="127.0.0.2")["From"] == "\"Joe, D.\" <joe@here.test>"


@pytest.mark.parametrize("way", [by_sendmail, by_smtp])
def test_a_thousand_addresses_in_a_field(make, sink, way):
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "canonical_maps": "inline:{ { @old.test = eva@new.test } }"})
    got = way(instance, sink, "To: first" + "".join(f",\r\n user{i}@old.test,\r\n user{i}" for i in range(1000)) + "\r\nFrom: x@y.test\r\n")
    names = re.findall(r"[^\s,]+", got["To"])
    assert names[0] == "first@here.test" and names[1::2] == ["eva@new.test"] * 1000 and names[2::2] == [f"user{i}@here.test" for i in range(1000)]


def test_a_table_in_trouble_defers(make, sink):
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "sender_canonical_maps": "hash:/nonexistent/table", "sender_canonical_classes": "header_sender"})
    before = len(sink.messages)
    with instance.connect() as c:
        c.hello()
        c.envelope("s@there.test", "r@far.test")
        c.cmd("DATA", 354)
        c.send(HEADER + "\r\nx\r\n.\r\n")
        reply = c.reply()
        assert reply.code == 451, reply
        c.cmd("MAIL FROM:<s@there.test>", 250)
    assert instance.sendmail("-i", "-f", "s@here.test", "r@far.test", input="From: joe\n\nx\n", check=False).returncode in (0, 75)
    assert len(sink.messages) == before


# ---- generic(5): on the way out

GENERIC = "inline:{ { alice@here.test = alice.out@isp.test } { @inner.test = shared@isp.test } }"


def outgoing(instance, sink, body, sender="alice@here.test", recipients=("r@inner.test", "x@far.test")):
    before = len(sink.messages)
    with instance.connect() as c:
        c.hello()
        c.mail(sender=sender, recipients=recipients, body=body)
    return sink.wait(before + 1)[before]


@pytest.mark.parametrize("size", [10, 300_000])
def test_generic_tables_rewrite_envelope_and_header_of_what_leaves(make, sink, size):
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "smtp_generic_maps": GENERIC})
    text = "x" * 70 + "\r\n"
    got = outgoing(instance, sink, "From: Alice <alice@here.test>\r\nTo: r@inner.test,\r\n (c) x@far.test\r\nCc: all: alice@here.test;\r\nSubject: alice@here.test\r\n\r\nalice@here.test\r\n" + text * (size // 72))
    assert got["mail"].startswith("MAIL FROM:<alice.out@isp.test>")
    assert int(re.search(r"SIZE=(\d+)", got["mail"])[1]) == len(got["content"])
    assert [r.split()[1] for r in got["rcpt"]] == ["TO:<shared@isp.test>", "TO:<x@far.test>"]
    header = fields(got["content"])
    assert header["From"] == "Alice <alice.out@isp.test>" and header["To"] == "shared@isp.test,\n (c) x@far.test" and header["Cc"] == "all: alice.out@isp.test;"
    assert header["Subject"] == "alice@here.test" and got["content"].split(b"\r\n\r\n", 1)[1] == b"alice@here.test\r\n" + text.encode() * (size // 72)
    instance.wait_log(r"to=<r@inner\.test>, .*status=sent")


def test_generic_tables_may_say_the_empty_address(make, sink):
    """In the envelope it is taken, as by Postfix; a field of the header keeps its address."""
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "smtp_generic_maps": "inline:{ { alice@here.test = <> } }"})
    got = outgoing(instance, sink, "From: alice@here.test\r\n\r\nx\r\n", recipients=("x@far.test",))
    assert got["mail"].startswith("MAIL FROM:<>") and got["rcpt"][0].startswith("RCPT TO:<x@far.test>")
    assert fields(got["content"])["From"] == "alice@here.test"


def test_generic_tables_leave_local_mail_alone(make):
    instance = make({"smtp_generic_maps": GENERIC})
    instance.sendmail("-i", "-f", "alice@here.test", "bob@here.test", input="From: alice@here.test\n\nx\n")
    assert b"From: alice@here.test" in instance.wait_mail("bob")[0]


def test_a_generic_table_in_trouble_defers(make, sink):
    before = len(sink.messages)
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "smtp_generic_maps": "hash:/nonexistent/generic"})
    instance.sendmail("-i", "-f", "alice@here.test", "x@far.test", input="From: alice@here.test\n\nx\n")
    instance.wait_log(r"to=<x@far\.test>, relay=none, .*dsn=4\.3\.0, status=deferred \(address rewriting: ")
    instance.reload(smtp_generic_maps=GENERIC)
    instance.postern("flush")
    assert sink.wait(before + 1)[before]["mail"].startswith("MAIL FROM:<alice.out@isp.test>")


def test_names_that_nobody_completed_are_in_generic_tables(make, sink):
    """A stranger's header is not completed; on the way out its names are looked for as they stand, and without their extension."""
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "local_header_rewrite_clients": "", "recipient_delimiter": "+",
                     "smtp_generic_maps": "inline:{ { joe = j@gen.test } { kim = k@gen.test } { eve@here.test = e@gen.test } { @here.test = all@gen.test } }"})
    got = by_smtp(instance, sink, "From: joe\r\nTo: kim+x, eve, other\r\nCc: kim+x@here.test\r\n")
    assert (got["From"], got["To"], got["Cc"]) == ("j@gen.test", "k@gen.test, eve, other", "k@gen.test")


@pytest.mark.parametrize("table, becomes, complaint", [
    ("{ a@here.test = b@here.test } { b@here.test = a@here.test }", "a@here.test", "unreasonable {} map nesting for a@here.test"),
    ("{ a@here.test = one@here.test,two@here.test }", "one@here.test", "multi-valued {} entry for a@here.test"),
])
def test_circles_and_lists_in_canonical_tables_keep_no_mail(make, sink, table, becomes, complaint):
    """As in Postfix: the log says it, the mail goes with the address of the tenth step, or the first of several."""
    for name in ("canonical_maps", "sender_canonical_maps", "smtp_generic_maps"):
        if name == "smtp_generic_maps" and "two" not in table:
            continue
        instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", name: f"inline:{{ {table} }}"})
        before = len(sink.messages)
        with instance.connect() as c:
            c.hello()
            c.mail("a@here.test", ["r@far.test"], "From: A <a@here.test>\r\nTo: r@far.test\r\n\r\nx\r\n")
        message = sink.wait(before + 1)[before]
        assert message["mail"].startswith(f"MAIL FROM:<{becomes}>") and fields(message["content"])["From"] == f"A <{becomes}>"
        instance.wait_log(rf"warning: address rewriting: {complaint.format(name)}")
