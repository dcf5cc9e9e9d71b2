"""Address classes, validation at RCPT, routes and copies, over SMTP, with sendmail and with postern route."""
import re

import pytest
from harness.instance import wait_until

A_LABEL, U_LABEL = "xn--bcher-kva.test", "bücher.test"

CLASSES = {
    "virtual_alias_domains": "alias.test",
    "virtual_alias_maps": "inline:{ {sales@alias.test = alice@here.test, bob@here.test} {deep@alias.test = sales@alias.test} {@all.alias.test = alice@here.test}"
                          " {round@alias.test = about@alias.test} {about@alias.test = round@alias.test} {Info@here.test = alice@here.test} }",
    "virtual_mailbox_domains": "box.test",
    "virtual_mailbox_maps": "inline:{ {carl@box.test = carl/} }",
    "relay_domains": "relay.test",
    "relay_recipient_maps": "inline:{ {rita@relay.test = x} }",
    "relocated_maps": "inline:{ {gone@here.test = gone@there.test} }",
    "recipient_delimiter": "+-",
    "unknown_relay_recipient_reject_code": "553",
}


@pytest.fixture(scope="module")
def classes(request):
    from harness.instance import Instance
    instance = Instance(CLASSES)
    request.addfinalizer(instance.close)
    return instance.start()


@pytest.mark.parametrize("recipient,expected", [
    ("alice@here.test", "250 2.1.5 Ok"),
    ("alice+x-y@here.test", "250 2.1.5 Ok"),
    ("Alice@HERE.test", "250 2.1.5 Ok"),
    ("nobody@here.test", "550 5.1.1 <nobody@here.test>: Recipient address rejected: User unknown in local recipient table"),
    ("sales@alias.test", "250 2.1.5 Ok"),
    ("nobody@alias.test", "550 5.1.1 <nobody@alias.test>: Recipient address rejected: User unknown in virtual alias table"),
    ("carl@box.test", "250 2.1.5 Ok"),
    ("nobody@box.test", "550 5.1.1 <nobody@box.test>: Recipient address rejected: User unknown in virtual mailbox table"),
    ("rita@relay.test", "250 2.1.5 Ok"),
    ("nobody@relay.test", "553 5.1.1 <nobody@relay.test>: Recipient address rejected: User unknown in relay recipient table"),
    ("x@else.test", "554 5.7.1 <x@else.test>: Relay access denied"),
    ("gone@here.test", "551 5.1.6 <gone@here.test>: Recipient address rejected: User has moved to gone@there.test"),
    ("round@alias.test", "451 4.3.0 <round@alias.test>: Temporary lookup failure"),
    ("postmaster", "250 2.1.5 Ok"),
])
def test_recipients_are_checked_by_their_class(classes, recipient, expected):
    with classes.connect(source="127.0.0.9") as c:
        c.hello()
        c.cmd("MAIL FROM:<s@there.test>", 250)
        assert repr(c.cmd(f"RCPT TO:<{recipient}>")) == expected


def test_nested_aliases_reach_everybody_once(classes):
    with classes.connect() as c:
        c.hello()
        c.mail("s@there.test", ["deep@alias.test", "sales@alias.test", "DEEP@alias.test"], "Subject: nested\r\n\r\n")
    classes.wait_mail("bob")
    classes.wait_queue_empty()
    got = [m for m in classes.mailbox("bob") if b"Subject: nested" in m]
    assert sorted(re.search(rb"X-Original-To: (.*)", m)[1] for m in got) == [b"deep@alias.test", b"sales@alias.test"]


def test_recipients_that_differ_in_case_are_one(make):
    instance = make({"enable_original_recipient": "no"})
    with instance.connect() as c:
        c.hello()
        c.mail("s@there.test", ["alice@here.test", "ALICE@here.test", "Alice@Here.Test"])
    instance.sendmail("-f", "s@there.test", "bob", "BOB", "Bob@here.test", input="Subject: x\n\n")
    instance.wait_mail("alice")
    instance.wait_mail("bob")
    instance.wait_queue_empty()
    assert len(instance.mailbox("alice")) == 1 and len(instance.mailbox("bob")) == 1


def test_local_mail_goes_through_aliases_and_canonical_tables(make):
    instance = make({"virtual_alias_maps": "inline:{ {sales = alice, bob} }", "sender_canonical_maps": "inline:{ {carl@here.test = Carl.C@here.test} }",
                     "recipient_canonical_maps": "inline:{ {robert = bob} }"})
    instance.sendmail("-f", "carl", "sales", input="Subject: one\n\n")
    for user in ("alice", "bob"):
        (mail,) = instance.wait_mail(user)
        assert b"Return-Path: <Carl.C@here.test>" in mail and b"X-Original-To: sales" in mail
    with instance.connect() as c:
        c.hello()
        c.mail("carl@here.test", ["robert@here.test"])
    assert b"Return-Path: <Carl.C@here.test>" in instance.wait_mail("bob", 2)[1]


@pytest.mark.parametrize("given,final", [("bob", "bob@here.test"), ("robert@here.test", "bob@here.test"), ("list@alias.test", "bob@here.test"), ("bob@x.here.test", "bob@here.test"), ("bob@here.test", None), ("bob@HERE.test", None)])
def test_the_recipient_as_it_was_given(make, given, final):
    instance = make({"recipient_canonical_maps": "inline:{ {robert@here.test = bob@here.test} }", "virtual_alias_domains": "alias.test", "virtual_alias_maps": "inline:{ {list@alias.test = alice bob} }",
                     "masquerade_domains": "here.test", "masquerade_classes": "envelope_recipient"})
    with instance.connect() as c:
        c.hello()
        c.mail("s@there.test", [given])
    mail = instance.wait_mail("bob")[0]
    assert re.findall(rb"X-Original-To: (.*)", mail) == ([given.encode()] if final else [])
    instance.wait_log(r": to=<bob@here\.test>, " + (rf"orig_to=<{re.escape(given)}>, " if final else "") + "relay=local")
    assert final or "orig_to" not in instance.log()


def test_copies(make, peer):
    far = peer()
    instance = make({"always_bcc": "all@far.test", "sender_bcc_maps": "inline:{ {@there.test = bysender@far.test} }",
                     "recipient_bcc_maps": "inline:{ {alice@here.test = client@far.test} }", "virtual_alias_maps": "inline:{ { all@far.test = arc@far.test } { client@far.test = byrecipient@far.test } }", "transport_maps": f"inline:{{ {{far.test = smtp:[127.0.0.1]:{far.port}}} }}"})
    with instance.connect() as c:
        c.hello()
        c.mail("s@there.test", ["alice@here.test", "bob@here.test"], "Subject: smtp\r\n\r\n")
        reply = c.cmd("VRFY alice@here.test")
        assert "far.test" not in repr(reply)
    instance.wait_queue_empty()
    rcpts = sorted(r for m in far.messages for r in m["rcpt"])
    assert [re.search("<(.*)>", r)[1] for r in rcpts] == ["arc@far.test", "byrecipient@far.test", "bysender@far.test"]
    assert all("NOTIFY=NEVER" in r for r in rcpts)
    originals = lambda: sorted(re.findall(r": to=<(\S+)@far.test>, (?:orig_to=<(\S+)@far.test>, )?relay", instance.log()))
    assert wait_until(lambda: originals() == [("arc", "all"), ("byrecipient", "client"), ("bysender", "")]), originals()
    instance.sendmail("-f", "s@other.test", "alice", input="Subject: sendmail\n\n")
    instance.wait_queue_empty()
    assert sorted(re.search("<(.*)>", r)[1] for m in far.messages for r in m["rcpt"] if b"Subject: sendmail" in m["content"]) == ["arc@far.test", "byrecipient@far.test"]
    assert wait_until(lambda: originals() == sorted([("arc", "all"), ("byrecipient", "client")] * 2 + [("bysender", "")])), originals()


def test_notices_make_no_copies(make, peer):
    far = peer(on={"RCPT": lambda session, line, p: "550 5.1.1 no" if b"victim" in line else "250 ok"})
    instance = make({"always_bcc": "arc@far.test", "transport_maps": f"inline:{{ {{far.test = smtp:[127.0.0.1]:{far.port}}} }}"})
    with instance.connect() as c:
        c.hello()
        c.mail("alice@here.test", ["victim@far.test"])
    instance.wait_mail("alice")
    instance.wait_queue_empty()
    assert [m["mail"] for m in far.messages] == ["MAIL FROM:<alice@here.test> SIZE=" + m["mail"].rpartition("=")[2] for m in far.messages] and len(far.messages) == 1


@pytest.mark.parametrize("configured,asked", [(U_LABEL, A_LABEL), (A_LABEL, U_LABEL), (U_LABEL, U_LABEL)])
def test_both_forms_of_a_domain(make, configured, asked):
    instance = make({"mydestination": f"here.test, {configured}", "virtual_alias_maps": f"inline:{{ {{info@{configured} = bob@here.test}} }}"})
    with instance.connect() as c:
        c.hello()
        c.envelope("s@there.test", f"alice@{asked}", f"info@{asked}", f"alice@{A_LABEL}", parameters="SMTPUTF8")
        c.data("Subject: idn\r\n\r\n")
    assert f"Delivered-To: alice@{A_LABEL}".encode() in instance.wait_mail("alice")[0]
    instance.wait_mail("bob")
    instance.wait_queue_empty()
    assert len(instance.mailbox("alice")) == 1


def test_routes_by_table_and_by_sender(make, peer):
    one, two, three = peer(), peer(), peer()
    instance = make({"relayhost": f"[127.0.0.1]:{one.port}", "sender_dependent_relayhost_maps": f"inline:{{ {{@second.test = [127.0.0.1]:{two.port}}} {{<> = [127.0.0.1]:{two.port}}} }}",
                     "transport_maps": f"inline:{{ {{user@far.test = smtp:[127.0.0.1]:{three.port}}} {{.dot.test = smtp:[127.0.0.1]:{three.port}}} {{plain.test = :[127.0.0.1]:{three.port}}} {{keep.test = :}} {{no.test = error:5.1.2 not there}} }}",
                     "recipient_delimiter": "+"})
    with instance.connect() as c:
        c.hello()
        c.mail("s@first.test", ["a@far.test", "user@far.test", "user+x@far.test", "b@m.dot.test", "c@plain.test", "d@keep.test", "e@dot.test"])
        c.mail("s@second.test", ["f@far.test"])
        c.cmd("MAIL FROM:<s@first.test>", 250)
        assert repr(c.cmd("RCPT TO:<x@no.test>")) == "550 5.1.2 <x@no.test>: Recipient address rejected: not there"
    instance.wait_queue_empty()

    def got(p):
        return sorted(re.search("<(.*)>", r)[1] for m in p.messages for r in m["rcpt"])
    assert got(one) == ["a@far.test", "d@keep.test", "e@dot.test"]
    assert got(two) == ["f@far.test"]
    assert got(three) == ["b@m.dot.test", "c@plain.test", "user+x@far.test", "user@far.test"]


def test_route_follows_aliases(make):
    instance = make({"alias_maps": "inline:{ { team = alice, bob@far.test, more } { more = team, \\bob, more } { owner-team = bob } { run = \"|filter -x\", /var/mail/x, :include:/etc/list } }",
                     "local_recipient_maps": "$alias_maps inline:{ { alice = x } { bob = x } }"})
    told = instance.postern("route", "Team@here.test").stdout.partition("deliver to ")[2].splitlines()[1:]
    assert "team" in told[0] and told[0].startswith("  an alias: inline:")
    assert told[1:] == [
        "  its sender is from here on owner-team",
        "  to alice@here.test: transport local, next hop mx.here.test",
        "  to bob@far.test: transport smtp, next hop far.test",
        "  to more@here.test: transport local, next hop mx.here.test",
        told[5],
        "    to team@here.test: transport local, next hop mx.here.test",
        "      an alias that was there already: once is enough",
        "    to bob@here.test: transport local, next hop mx.here.test",
        "    to more@here.test: transport local, next hop mx.here.test",
        "      the user of that name, not the alias once more"]
    told = instance.postern("route", "run@here.test").stdout
    assert told.endswith("  to the command filter -x\n  to the file /var/mail/x\n  to those in /etc/list\n")
    assert "alias" not in instance.postern("route", "alice@here.test").stdout
    instance.settings["alias_maps"] = "hash:/no/such/table"
    instance.settings["local_recipient_maps"] = ""
    instance.write_config()
    done = instance.postern("route", "alice@here.test", check=False)
    assert done.returncode == 75 and "/no/such/table" in done.stdout


def test_route_tells_table_file_and_line(make):
    instance = make(start=False)
    table = instance.home / "virtual"
    table.write_text("# a comment\nsales@alias.test  alice@here.test\nmixed@alias.test  bob@here.test, alice@@here.test\n")
    instance.settings.update({"virtual_alias_domains": "alias.test", "virtual_alias_maps": f"texthash:{table}"})
    instance.start()
    told = instance.postern("route", "sales@alias.test").stdout
    lines = instance.postern("route", "alice@here.test").stdout.splitlines()
    assert len(set(lines)) == len(lines) == 6, lines
    assert f"texthash:{table}, line 2, key sales@alias.test" in told and "virtual_alias_domains" in told
    assert "deliver to alice@here.test: transport local" in told
    assert instance.postern("route", "nobody@alias.test", check=False).returncode == 67
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<s@far.test>", 250)
        c.cmd("RCPT TO:<mixed@alias.test>", 451)
    instance.wait_log(rf'address lookup problem: texthash:{table}, line 3, key mixed@alias\.test: "bob@here\.test, alice@@here\.test": 1 unusable address')
    done = instance.command("sendmail", "-bv", "sales@alias.test", "nobody@alias.test", check=False)
    assert done.returncode == 2 and "alice@here.test" in done.stdout and "User unknown in virtual alias table" in done.stdout
    told = instance.command("sendmail", "-bt", input="sales@alias.test\n", check=False).stdout
    assert f"texthash:{table}, line 2" in told


@pytest.mark.parametrize("sender,recipient,header,expected", [
    ("s@there.test", f"x@{U_LABEL}", "Subject: plain", "sent"),
    (f"s@{U_LABEL}", f"x@{A_LABEL}", "Subject: plain", "sent"),
    ("s@there.test", f"jörg@{A_LABEL}", "Subject: plain", "bounced"),
    ("s@there.test", f"x@{A_LABEL}", "Subject: grüße", "bounced"),
])
def test_next_hops_without_smtputf8(make, peer, sender, recipient, header, expected):
    far = peer(extensions=("PIPELINING", "8BITMIME"))
    instance = make({"relayhost": f"[127.0.0.1]:{far.port}"})
    with instance.connect() as c:
        c.hello()
        c.envelope(sender, recipient, parameters="SMTPUTF8 BODY=8BITMIME")
        c.data(f"{header}\r\n\r\nbödy\r\n")
    instance.wait_log(rf"to=<\S+@{A_LABEL}>, .*status={expected}")
    if expected == "sent":
        (message,) = far.messages
        assert message["rcpt"] == [f"RCPT TO:<x@{A_LABEL}>"] and message["mail"].startswith(f"MAIL FROM:<{sender.replace(U_LABEL, A_LABEL)}>")


ASKED = ["alice@here.test", "nobody@here.test", "sales@alias.test", "nobody@alias.test", "carl@box.test", "carl+x@box.test", "nobody@box.test", "rita@relay.test", "nobody@relay.test",
         "x@sub.relay.test", "x@else.test", "alice%else.test@here.test", "else.test!alice@here.test", "@else.test:alice@here.test", "postmaster@alias.test", "postmaster", "moved@here.test",
         '"alice"@here.test', "alice+ext@here.test", "any@catch.test", "error@far.test"]


def test_postfix_says_the_same(make):
    from harness.postfix import Postfix
    same = {"mydestination": "here.test", "myorigin": "here.test", "local_recipient_maps": "inline:{ {alice = x} {postmaster = x} }", "recipient_delimiter": "+", "relay_domains": "relay.test",
            "relay_recipient_maps": "inline:{ {rita@relay.test = x} }", "virtual_alias_domains": "alias.test, catch.test", "virtual_mailbox_domains": "box.test",
            "virtual_alias_maps": "inline:{ {sales@alias.test = alice@here.test} {@catch.test = alice@here.test} }", "virtual_mailbox_maps": "inline:{ {carl@box.test = carl/} }",
            "transport_maps": "inline:{ {error@far.test = error:5.1.2 no such far} }", "mynetworks": "192.0.2.1", "unknown_relay_recipient_reject_code": "553", "relocated_maps": "inline:{ {moved@here.test = m@there.test} }",
            "smtpd_relay_restrictions": "reject_unauth_destination", "smtpd_recipient_restrictions": "permit", "smtpd_error_sleep_time": "0", "smtpd_hard_error_limit": "200", "smtpd_soft_error_limit": "200"}
    try:
        reference = Postfix({**same, "smtpd_peername_lookup": "no", "relay_domains_reject_code": "554"})
    except Exception as trouble:
        pytest.skip(f"no Postfix to compare with: {trouble}")
    try:
        reference.start()
        ours = make(same)
        said = []
        for port in (ours.port, reference.port):
            from harness.client import Client
            with Client("127.0.0.1", port) as c:
                c.hello()
                c.cmd("MAIL FROM:<s@there.test>", 250)
                said.append({a: repr(c.cmd(f"RCPT TO:<{a}>")) for a in ASKED})
                for word in (*ASKED, *(f"<{a}>" for a in ASKED), "alice bob"):
                    said[-1][f"VRFY {word}"] = re.sub("252 2.0.0 .*", "252 2.0.0", repr(c.cmd(f"VRFY {word}")))  # Postfix repeats the word, we the address
    finally:
        reference.close()
    # Ours tells by the code, too, that the user is elsewhere (RFC 5321, 4.2.3).
    for key in ("moved@here.test", "VRFY moved@here.test", "VRFY <moved@here.test>"):
        said[0][key] = said[0][key].replace("551", "550", 1)
    assert said[0] == said[1]


def test_verification_knows_the_sender(make):
    instance = make({"sender_dependent_relayhost_maps": "inline:{ {@one.test = [relay.one.test]} }", "masquerade_domains": "one.test"})
    assert "host [relay.one.test]" in instance.command("sendmail", "-bv", "-f", "s@one.test", "x@far.test").stdout
    assert "host far.test" in instance.command("sendmail", "-bv", "-f", "s@two.test", "x@far.test").stdout
    told = instance.postern("route", "-f", "s@host.one.test", "x@far.test").stdout
    assert "becomes s@one.test (masquerade_domains)" in told and "next hop [relay.one.test]" in told


@pytest.mark.parametrize("originals", ["yes", "no"])
def test_each_mailbox_gets_it_once_whatever_the_case(make, peer, originals):
    """The duplicate filter, as Postfix 3.7 has it: letters of either case are one, other originals or wishes for reports two."""
    far = peer()
    instance = make({"relayhost": f"[127.0.0.1]:{far.port}", "always_bcc": "Copy@far.test", "sender_bcc_maps": "static:copy@far.test", "enable_original_recipient": originals, "virtual_alias_domains": "v.test",
                     "virtual_alias_maps": "inline:{ { one@v.test = t@far.test } { two@v.test = T@far.test } }", "alias_maps": "inline:{ { list = Far@far.test, far@far.test } }", "local_recipient_maps": ""})

    def told(send):
        before = len(far.messages)
        send()
        instance.wait_queue_empty()
        got = [re.search("<(.*)>", r)[1] for m in far.messages[before:] for r in m["rcpt"]]
        assert got.count("Copy@far.test") == 1
        return sorted(name for name in got if name != "Copy@far.test")

    def by_smtp(*rcpts):
        with instance.connect() as c:
            c.hello()
            c.cmd("MAIL FROM:<s@there.test>", 250)
            for rcpt in rcpts:
                c.cmd(f"RCPT TO:{rcpt}", 250)
            c.data("Subject: x\r\n\r\nx\r\n")

    both = originals == "yes"
    assert told(lambda: by_smtp("<Bob@Far.test>", "<bob@far.test>", "<BOB@far.test>")) == ["Bob@far.test"]
    assert told(lambda: by_smtp("<one@v.test>", "<two@v.test>", "<ONE@v.test>")) == (["T@far.test", "t@far.test"] if both else ["t@far.test"])
    assert told(lambda: by_smtp("<q@far.test> NOTIFY=NEVER", "<Q@far.test> NOTIFY=FAILURE")) == (["Q@far.test", "q@far.test"] if both else ["q@far.test"])
    assert told(lambda: instance.sendmail("-f", "s@here.test", "Mm@far.test", "mm@far.test", "one@v.test", "two@v.test", input="\n")) == (["Mm@far.test", "T@far.test", "t@far.test"] if both else ["Mm@far.test", "t@far.test"])
    assert told(lambda: by_smtp("<list@here.test>")) == ["Far@far.test"]
