"""Restriction lists, access tables, and the names of clients."""
import re

import pytest
from harness.instance import wait_until

ZONE = [
    "9.0.0.127.in-addr.arpa PTR good.client.test", "good.client.test A 127.0.0.9", "10.0.0.127.in-addr.arpa PTR forged.client.test", "forged.client.test A 127.0.0.99", "12.0.0.127.in-addr.arpa SERVFAIL",
    "real.test MX 10 mx.real.test", "mx.real.test A 127.0.0.50", "trouble.test SERVFAIL", "nullmx.test MX 0 .", "alias.test CNAME real.test",
]
ADDRESSES = {"good": "127.0.0.9", "forged": "127.0.0.10", "none": "127.0.0.11", "trouble": "127.0.0.12"}


@pytest.fixture
def guarded(make, dns):
    def build(**settings):
        return make({"smtpd_peername_lookup": "yes", "mynetworks": "127.0.0.77/32", "smtpd_error_sleep_time": "0", **settings}, dns=dns(ZONE))
    return build


@pytest.mark.parametrize("who,label", [("good", "good.client.test"), ("forged", "unknown"), ("none", "unknown"), ("trouble", "unknown")])
def test_a_clients_name_is_checked_in_both_directions(guarded, who, label):
    instance = guarded()
    with instance.connect(source=ADDRESSES[who]) as c:
        c.hello("helo.test")
        c.mail()
    instance.wait_log(rf"connect from {re.escape(label)}\[{re.escape(ADDRESSES[who])}\]")
    text = instance.wait_mail("alice")[0].decode()
    assert re.search(rf"^Received: from helo\.test \({re.escape(label)} \[{re.escape(ADDRESSES[who])}\]\)$", text, re.M)


@pytest.mark.parametrize("setting,value,who,lines,expected", [
    ("smtpd_client_restrictions", "reject_unknown_client_hostname", "good", [], None),
    ("smtpd_client_restrictions", "reject_unknown_client_hostname", "forged", [], "450 4.7.25 Client host rejected: cannot find your hostname, [127.0.0.10]"),
    ("smtpd_client_restrictions", "reject_unknown_client_hostname", "none", [], "450 4.7.25 Client host rejected"),
    ("smtpd_client_restrictions", "reject_unknown_client_hostname", "trouble", [], "450 4.7.25 Client host rejected"),
    ("smtpd_client_restrictions", "reject_unknown_reverse_client_hostname", "forged", [], None),
    ("smtpd_client_restrictions", "reject_unknown_reverse_client_hostname", "none", [], "450 4.7.1 Client host rejected: cannot find your reverse hostname, [127.0.0.11]"),
    ("smtpd_client_restrictions", "check_client_access inline:{{good.client.test = REJECT go away}}", "good", [], "554 5.7.1 <good.client.test[127.0.0.9]>: Client host rejected: go away"),
    ("smtpd_client_restrictions", "check_client_access inline:{{127.0.0 = 450 4.7.1 slow down}}", "none", [], "450 4.7.1 <unknown[127.0.0.11]>: Client host rejected: slow down"),
    ("smtpd_client_restrictions", "check_client_access cidr:%(file)s", "none", ["127.0.0.8/29 REJECT by network"], "554 5.7.1 <unknown[127.0.0.11]>: Client host rejected: by network"),
    ("smtpd_client_restrictions", "check_reverse_client_hostname_access inline:{{forged.client.test = REJECT}}", "forged", [], "554 5.7.1 <forged.client.test>: Unverified Client host rejected: Access denied"),
    ("smtpd_client_restrictions", "check_reverse_client_hostname_access inline:{{127.0.0.11 = REJECT}}", "none", [], "554 5.7.1 <unknown>: Unverified Client host rejected: Access denied"),
    ("smtpd_client_restrictions", "check_reverse_client_hostname_access inline:{{forged.client.test = OK}}", "forged", [], "451 4.3.5 Server configuration error"),
    ("smtpd_helo_restrictions", "defer_if_permit", "good", [], "450 4.7.0 <helo>: Helo command rejected: defer_if_permit requested"),
    ("smtpd_sender_restrictions", "check_recipient_access inline:{{alice@here.test = reject}}", "good", [], "554 5.7.1 <alice@here.test>: Recipient address rejected: Access denied"),
    ("smtpd_recipient_restrictions", "check_recipient_access inline:{{alice@here.test = DEFER}}", "good", [], "450 4.7.1 <alice@here.test>: Recipient address rejected: Access denied"),
    ("smtpd_recipient_restrictions", "check_recipient_access inline:{{alice@here.test = DEFER_IF_REJECT hm}}, reject", "good", [], "450 4.7.1 <alice@here.test>: Recipient address rejected: hm"),
    ("smtpd_recipient_restrictions", "check_recipient_access inline:{{alice@here.test = DEFER_IF_REJECT hm}}, defer", "good", [], "450 4.3.2 <alice@here.test>: Recipient address rejected: Try again later"),
    ("smtpd_helo_restrictions", "reject_non_fqdn_helo_hostname", "good", [], "504 5.5.2 <helo>: Helo command rejected: need fully-qualified hostname"),
    ("smtpd_helo_restrictions", "reject_unknown_helo_hostname", "good", [], "450 4.7.1 <helo>: Helo command rejected: Host not found"),
    ("smtpd_helo_restrictions", "check_helo_access regexp:%(file)s", "good", ["/^(HELO)$/ REJECT no $1", "/^(he)/ 554 $1 it is"], "554 5.7.1 <helo>: Helo command rejected: no helo"),
    ("smtpd_sender_restrictions", "check_sender_access texthash:%(file)s", "good", ["there.test REJECT 5.1.2 no such place"], "554 5.1.8 <s@there.test>: Sender address rejected: no such place"),
    ("smtpd_recipient_restrictions", "check_recipient_access texthash:%(file)s", "good", ["alice@here.test REJECT 5.1.7 bad"], "554 5.1.3 <alice@here.test>: Recipient address rejected: bad"),
    ("smtpd_client_restrictions", "check_client_access texthash:%(file)s", "good", ["127.0.0 REJECT 5.1.1 no"], "554 5.0.0 <"),
    ("smtpd_sender_restrictions", "check_sender_access texthash:%(file)s", "good", ["there.test REJECT not from there"], "554 5.7.1 <s@there.test>: Sender address rejected: not from there"),
    ("smtpd_sender_restrictions", "warn_if_reject reject", "good", [], None),
    ("smtpd_sender_restrictions", "reject", "good", [], "554 5.7.1 <s@there.test>: Sender address rejected: Access denied"),
    ("smtpd_sender_restrictions", "defer", "good", [], "450 4.3.2 <s@there.test>: Sender address rejected: Try again later"),
    ("smtpd_sender_restrictions", "reject_unknown_sender_domain", "good", [], "450 4.1.8 <s@there.test>: Sender address rejected: Domain not found"),
    ("smtpd_recipient_restrictions", "check_recipient_access inline:{{alice@here.test = 451 4.7.9 maybe}}", "good", [], "451 4.7.9 <alice@here.test>: Recipient address rejected: maybe"),
    ("smtpd_recipient_restrictions", "check_recipient_access texthash:%(file)s.missing", "good", [], "451 4.3.5"),
    ("smtpd_recipient_restrictions", "permit", "good", [], None),
    ("smtpd_client_restrictions", "check_client_access inline:{{good.client.test = OK}}, reject", "good", [], None),
    ("smtpd_client_restrictions", "check_client_access inline:{{good.client.test = DUNNO}}, reject", "good", [], "554 5.7.1 <good.client.test[127.0.0.9]>: Client host rejected: Access denied"),
])
def test_restrictions_and_access_tables(guarded, tmp_path, setting, value, who, lines, expected):
    import os, tempfile
    file = tempfile.NamedTemporaryFile("w", prefix="postern-access-", delete=False)
    file.write("\n".join(lines) + "\n")
    file.close()
    os.chmod(file.name, 0o644)
    instance = guarded(**{setting: value % {"file": file.name} if "%(file)s" in value else value})
    try:
        with instance.connect(source=ADDRESSES[who]) as c:
            c.hello("helo")
            c.cmd("MAIL FROM:<s@there.test>", 250)
            reply = c.cmd("RCPT TO:<alice@here.test>")
            if expected is None:
                assert reply.code == 250, reply
            else:
                assert repr(reply).startswith(expected), reply
                instance.wait_log(r"NOQUEUE: reject: RCPT from \S+\[" + re.escape(ADDRESSES[who]) + r"\]: " + re.escape(expected[:9]))
        if "warn_if_reject" in value:
            instance.wait_log(r"NOQUEUE: reject_warning: RCPT from")
    finally:
        os.unlink(file.name)


@pytest.mark.parametrize("sender,expected", [("s@real.test", 250), ("s@alias.test", 250), ("s@trouble.test", 450), ("s@gone.test", 450), ("s@nullmx.test", 550), ("alice@here.test", 250), ("alice@sub.here.test", 450), ("", 250), ("s@[127.0.0.1]", 250)])
def test_unknown_sender_domains(guarded, sender, expected):
    instance = guarded(smtpd_sender_restrictions="reject_unknown_sender_domain")
    with instance.connect(source=ADDRESSES["good"]) as c:
        c.hello()
        c.cmd(f"MAIL FROM:<{sender}>", 250)
        c.cmd("RCPT TO:<alice@here.test>", expected)


@pytest.mark.parametrize("sender,recipient,restriction,expected", [
    ("local", "alice@here.test", "reject_non_fqdn_sender", 504), ("s@local", "alice@here.test", "reject_non_fqdn_sender", 504), ("s@x.test", "alice@here.test", "reject_non_fqdn_sender", 250),
    ("s@local.", "alice@here.test", "reject_non_fqdn_sender", 504), ("s@x.test", "alice@here.test.", "reject_non_fqdn_recipient", 250), ("s@x.test", "alice", "reject_non_fqdn_recipient", 504), ("s@x.test", "postmaster", "reject_non_fqdn_recipient", 250),
])
def test_incomplete_addresses(guarded, sender, recipient, restriction, expected):
    instance = guarded(smtpd_recipient_restrictions=restriction)
    with instance.connect(source=ADDRESSES["good"]) as c:
        c.hello()
        c.cmd(f"MAIL FROM:<{sender}>", 250)
        c.cmd(f"RCPT TO:<{recipient}>", expected)


def test_without_delay_each_list_speaks_at_its_command(guarded):
    instance = guarded(smtpd_delay_reject="no", smtpd_helo_restrictions="reject_non_fqdn_helo_hostname", smtpd_sender_restrictions="check_sender_access inline:{{bad.test = REJECT}}")
    with instance.connect(source=ADDRESSES["good"]) as c:
        c.cmd("EHLO short", 504)
        c.hello("long.enough.test")
        c.cmd("MAIL FROM:<x@bad.test>", 554)
        c.cmd("MAIL FROM:<x@fine.test>", 250)


def test_whoever_is_refused_at_once_may_still_quit(guarded):
    """RFC 5321, 3.1: "MUST still wait for the client to send a QUIT", 503 until then."""
    instance = guarded(smtpd_delay_reject="no", smtpd_client_restrictions="check_client_access inline:{{127.0.0.11 = REJECT} {good.client.test = 521 go away}}")
    with instance.connect(source=ADDRESSES["none"]) as c:
        assert c.banner.lines == ["554 5.7.1 <unknown[127.0.0.11]>: Client host rejected: Access denied"]
        for line in ("EHLO x.test", "MAIL FROM:<s@x.test>", "FROB", "NOOP"):
            c.cmd(line, "503 5.7.0 Error: access denied for unknown[127.0.0.11]")
        c.cmd("QUIT", 221)
    with instance.connect(source=ADDRESSES["good"]) as c:
        assert c.banner.code == 521 and c.closed()
    instance.wait_log(r"disconnect from unknown\S+ ehlo=0/1 mail=0/1 noop=0/1 quit=1 unknown=0/1 commands=1/5")


def test_access_actions_change_the_message(guarded):
    instance = guarded(smtpd_recipient_restrictions="check_sender_access inline:{{hold@x.test = HOLD for review} {drop@x.test = DISCARD} {mark@x.test = PREPEND X-Mark: seen} {turn@x.test = REDIRECT bob@here.test}}")
    def send(sender):
        with instance.connect(source=ADDRESSES["good"]) as c:
            c.hello()
            return c.mail(sender)
    held = send("hold@x.test")
    assert wait_until(lambda: [r["queue_name"] for r in instance.queue()] == ["hold"], 5)
    assert instance.queue()[0]["queue_id"] == held
    send("drop@x.test")
    send("turn@x.test")
    instance.wait_mail("bob")
    send("mark@x.test")
    assert b"X-Mark: seen\n" in instance.wait_mail("alice")[0]
    assert len(instance.mailbox("alice")) == 1


@pytest.mark.parametrize("stage,code", [("RCPT", 421), ("RCPT", 521), ("DATA", 521), ("END-OF-MESSAGE", 421)])
def test_421_and_521_of_a_table_end_the_session(guarded, stage, code):
    """access(5): "disconnect immediately"."""
    lists = {"RCPT": "smtpd_recipient_restrictions", "DATA": "smtpd_data_restrictions", "END-OF-MESSAGE": "smtpd_end_of_data_restrictions"}
    instance = guarded(**{lists[stage]: f"check_sender_access inline:{{{{bad.test = {code} go away}}}}"})
    with instance.connect(source=ADDRESSES["good"]) as c:
        c.hello()
        c.cmd("MAIL FROM:<s@bad.test>", 250)
        last = c.cmd("RCPT TO:<alice@here.test>")
        if stage != "RCPT":
            last = c.cmd("DATA")
        if stage == "END-OF-MESSAGE":
            c.send("x\r\n.\r\n")
            last = c.reply()
        assert last.lines == [f"{code} {code // 100}.7.1 <s@bad.test>: Sender address rejected: go away"]
        assert c.closed()
    instance.wait_log(rf"reject: {stage} from \S+: {code} ")


def test_a_discarded_message_is_claimed_to_succeed(guarded):
    instance = guarded(smtpd_client_restrictions="check_sender_access inline:{{drop@x.test = DISCARD}}, reject_non_fqdn_recipient", smtpd_data_restrictions="reject")
    with instance.connect(source=ADDRESSES["good"]) as c:
        c.hello()
        c.envelope("drop@x.test", "alice@here.test", "nobody@here.test", "r@far.test")
        c.data("x\r\n")
        c.envelope("keep@x.test")
        c.cmd("DATA", 554)
    assert not instance.mailbox("alice") and not instance.queue()


def test_postmaster_without_a_domain_is_there_for_everybody(guarded):
    """RFC 5321, 4.5.1."""
    instance = guarded(smtpd_client_restrictions="reject", smtpd_recipient_restrictions="reject_non_fqdn_recipient")
    with instance.connect(source=ADDRESSES["none"]) as c:
        c.hello()
        c.cmd("MAIL FROM:<s@x.test>", 250)
        c.cmd("RCPT TO:<alice@here.test>", 554)
        c.cmd("RCPT TO:<postmaster@far.test>", 554)
        c.cmd("RCPT TO:<Postmaster>", 250)


@pytest.mark.parametrize("recipient", ["r%far.test@here.test", "far.test!r@here.test", '"r@far.test"@here.test', "r%far.test", "r%far.test@mx.here.test"])
def test_a_table_that_lets_our_domain_in_relays_for_nobody(guarded, recipient):
    """postconf(5), allow_untrusted_routing: such addresses match no access table."""
    instance = guarded(smtpd_relay_restrictions="check_recipient_access inline:{{here.test = OK}}, reject_unauth_destination")
    with instance.connect(source=ADDRESSES["good"]) as c:
        c.hello()
        c.cmd("MAIL FROM:<s@x.test>", 250)
        c.cmd(f"RCPT TO:<{recipient}>", 554)
        c.cmd("RCPT TO:<alice@here.test>", 250)


def test_a_table_that_refuses_an_address_refuses_every_way_to_it(guarded):
    table = "inline:{{r@far.test = REJECT not him} {bad.test = REJECT not there} {alice@here.test = REJECT not her}}"
    instance = guarded(smtpd_sender_restrictions=f"check_sender_access {table}", smtpd_recipient_restrictions=f"check_recipient_access {table}")
    with instance.connect(source="127.0.0.77") as c:
        c.hello()
        for sender in ("r%far.test@here.test", '"r@far.test"@here.test', "far.test!r", "alice%here.test@here.test", "x%sub.bad.test@here.test"):
            c.cmd(f"MAIL FROM:<{sender}>", 250)
            assert re.match(r"554 5\.7\.1 <.*>: Sender address rejected: not ", repr(c.cmd("RCPT TO:<bob@here.test>")))
            c.cmd("RSET")
        c.cmd("MAIL FROM:<s@there.test>", 250)
        for recipient in ("r@far.test", "r%far.test@here.test", '"r@far.test"@here.test', "far.test!r@here.test", "r%far.test", "x%bad.test%here.test@here.test", "alice%here.test@here.test"):
            assert re.match(r"554 5\.7\.1 <.*>: Recipient address rejected: not ", repr(c.cmd(f"RCPT TO:<{recipient}>")))
        c.cmd("RCPT TO:<other%far.test@here.test>", 250)


@pytest.mark.parametrize("where", ["data", "end_of_data"])
def test_lists_behind_rcpt_know_a_single_recipient(guarded, where):
    instance = guarded(**{f"smtpd_{where}_restrictions": "check_recipient_access inline:{{bob@here.test = REJECT} {<> = REJECT}}, reject_unknown_recipient_domain, reject_non_fqdn_recipient"})
    with instance.connect(source=ADDRESSES["good"]) as c:
        c.hello()
        for recipients, code in ((["bob"], 554), (["alice", "bob"], 250), (["alice"], 250)):
            c.envelope("s@x.test", *(f"{name}@here.test" for name in recipients))
            reply = c.cmd("DATA")
            if reply.code == 354:
                c.send("x\r\n.\r\n")
                reply = c.reply()
            assert reply.code == code, reply
    instance.wait_log(r"554 5\.7\.1 <bob@here\.test>: Recipient address rejected: Access denied; from=<s@x\.test> to=<bob@here\.test>")


@pytest.mark.parametrize("where", ["data", "end_of_data"])
@pytest.mark.parametrize("word,expected", [("reject_unauth_destination", "554 5.7.1 <r@real.test>: Relay access denied"), ("permit_auth_destination, reject", "554 5.7.1 <"), ("reject_unknown_recipient_domain", "250 ")])
def test_lists_behind_rcpt_know_where_a_single_recipient_is(guarded, where, word, expected):
    instance = guarded(**{f"smtpd_{where}_restrictions": word})
    with instance.connect(source="127.0.0.77") as c:
        c.hello()
        c.envelope("s@real.test", "r@real.test")
        reply = c.cmd("DATA")
        if reply.code == 354:
            reply = c.cmd("Subject: x\r\n\r\nx\r\n.")
        assert repr(reply).startswith(expected)
        c.mail("s@real.test")
        if "unauth" in word:
            c.mail("s@real.test", ("r@real.test", "alice@here.test"))


def test_a_table_may_ask_for_a_copy(guarded):
    instance = guarded(smtpd_sender_restrictions="check_sender_access inline:{{x.test = BCC bob@here.test} {y.test = BCC nobody}}")
    with instance.connect(source=ADDRESSES["good"]) as c:
        c.hello()
        c.mail("s@x.test")
        c.mail("s@y.test")
    instance.wait_mail("bob")
    instance.wait_mail("alice", 2)
    instance.wait_log(r"warning: access table inline:\S.*BCC without user@domain")
    assert len(instance.mailbox("bob")) == 1


@pytest.mark.parametrize("where", ["data", "end_of_data"])
@pytest.mark.parametrize("action,alice,bob", [("REDIRECT bob@here.test", 0, 1), ("BCC bob@here.test", 1, 1), ("FILTER discard:", 0, 0), ("HOLD it is late", 0, 0), ("WARN", 1, 0)])
def test_actions_on_the_message_work_behind_rcpt(guarded, where, action, alice, bob):
    instance = guarded(**{f"smtpd_{where}_restrictions": f"check_sender_access inline:{{{{x.test = {action}}}}}"})
    with instance.connect(source=ADDRESSES["good"]) as c:
        c.hello()
        c.mail("s@x.test")
        c.mail("s@y.test")
    instance.wait_mail("alice", 1 + alice)
    assert wait_until(lambda: [r["queue_name"] for r in instance.queue()] == ["hold"] * action.startswith("HOLD"))
    assert (len(instance.mailbox("alice")), len(instance.mailbox("bob"))) == (1 + alice, bob)


def test_every_copy_is_sent_and_the_sender_hears_of_none(guarded, peer):
    """A copy that bounces would tell the sender that there is one."""
    dead = peer(on={"RCPT": "550 5.1.1 gone"})
    instance = guarded(transport_maps=f"inline:{{{{dead.test = smtp:[127.0.0.1]:{dead.port}}}}}",
        smtpd_sender_restrictions="check_sender_access inline:{{alice@here.test = BCC copies@dead.test}}",
        smtpd_recipient_restrictions="check_sender_access inline:{{alice@here.test = BCC bob@here.test} {s@x.test = REDIRECT bob@here.test}}, permit_mynetworks, reject_unauth_destination",
        smtpd_end_of_data_restrictions="check_sender_access inline:{{s@x.test = BCC alice@here.test}}")
    with instance.connect(source=ADDRESSES["good"]) as c:
        c.hello()
        c.mail("alice@here.test", ["bob@here.test"], "Subject: copied\r\n\r\n")
        c.mail("s@x.test", ["alice@here.test"], "Subject: led away\r\n\r\n")
    instance.wait_mail("bob", 2)
    instance.wait_log(r"to=<copies@dead\.test>.*status=bounced")
    assert wait_until(lambda: not instance.queue())
    assert instance.mailbox("alice") == []


def test_a_copy_that_is_asked_for_again_takes_no_other_ones_place(guarded, peer):
    archive = peer()
    instance = guarded(transport_maps=f"inline:{{{{far.test = smtp:[127.0.0.1]:{archive.port}}}}}",
        smtpd_recipient_restrictions="check_recipient_access inline:{{alice@here.test = BCC first@far.test} {bob@here.test = BCC second@far.test}}, reject_unauth_destination")
    with instance.connect(source=ADDRESSES["good"]) as c:
        c.hello()
        c.mail("s@x.test", ["alice@here.test"] * 120 + ["bob@here.test"], "Subject: many\r\n\r\n")
    assert wait_until(lambda: {re.search("<(.*)>", r)[1] for m in archive.messages for r in m["rcpt"]} == {"first@far.test", "second@far.test"}), archive.messages


def test_the_log_names_the_command_that_began_the_content(guarded):
    instance = guarded(smtpd_data_restrictions="check_sender_access inline:{{x.test = HOLD it is late} {y.test = REJECT no}}")
    with instance.connect(source=ADDRESSES["good"]) as c:
        c.hello()
        c.mail("s@x.test")
        for sender, code in (("s@x.test", 250), ("s@y.test", 554)):
            c.envelope(sender)
            assert c.cmd("BDAT 6 LAST\r\nA: b\r\n".encode()).code == code
    for command, line in (("DATA", "hold"), ("BDAT", "hold"), ("BDAT", "reject")):
        instance.wait_log(rf": {line}: {command} from \S+: ")


def test_soft_bounce_turns_never_into_later(guarded):
    instance = guarded(soft_bounce="yes")
    with instance.connect(source=ADDRESSES["good"]) as c:
        c.hello()
        c.cmd("MAIL FROM:<s@x.test>", 250)
        assert c.cmd("RCPT TO:<nobody@here.test>").code == 450
        assert c.cmd("RCPT TO:<r@far.test>").code == 454
