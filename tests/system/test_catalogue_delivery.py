"""What hostile name servers and next hops try, and which notices are sent (catalogue H, I, J, N), on few instances."""
import email, email.policy, pathlib, re, socket, time

import pytest
from harness.hostile import QUIET, alive, outcome, send
from harness.instance import Instance, free_port, wait_until
from harness.peer import Peer

# ---- I: name servers ----

HOSTILE = ["SELFPOINTER", "POINTERLOOP", "POINTERPASTEND", "LABEL64", "LABEL255", "LONGNAME", "ENDLESSNAME", "MANYCOUNTS", "SHORTDATA", "NODATA", "LONGLENGTH",
           "SHORTLENGTH", "TRAILING", "BADOPT", "SHORTSOA", "CONTROLNAME", "DOTNAME", "TCPZERO", "TCPLONG", "TCPSHORT"]


@pytest.fixture(scope="module")
def resolving(request):
    """An instance whose zones lie in every way; its next hop at 127.0.0.31."""
    import dnsd
    sink = Peer(address="127.0.0.31")
    port = free_port()
    zone = [f"{how.lower()}.test HOSTILE {how}" for how in HOSTILE] + ["othername.test HOSTILE OTHERNAME", "mx1.other.test A 127.0.0.31"]
    zone += [f"manymx.test MX 10 m{i}.manymx.test" for i in range(1000)] + [f"m{i}.manymx.test A 127.9.{i // 250}.{i % 250 + 1}" for i in range(1000)]
    zone += [f"goodmx.test MX 10 g{i}.goodmx.test" for i in range(1000)] + ["*.goodmx.test A 127.0.0.31"]
    zone += [f"manya.test A 127.9.{i // 250}.{i % 250 + 1}" for i in range(500)]
    zone += ["v6.test AAAA ::1", "v6.test AAAA fe80::1", "v6.test AAAA ff02::1"] + [f"v6.test AAAA fe80::{i}" for i in range(2, 8)] + ["v6.test A 127.0.0.31"]
    zone += ["bothnull.test MX 0 .", "bothnull.test MX 10 mx.bothnull.test", "mx.bothnull.test A 127.0.0.31"]
    zone += ["search.test MX 10 single", "single.here.test A 127.0.0.31", "*.here.test A 127.0.0.31"]
    zone += [f"chain{i}.test CNAME chain{i + 1}.test" for i in range(40)] + ["loopa.test CNAME loopb.test", "loopb.test CNAME loopa.test", "hop.test CNAME v6.test"]
    zone += ["literal.test MX 10 127.0.0.31", "balanced.test BALANCER", "balanced.test A 127.0.0.31", "chain40.test CNAME v6.test"]
    zone += ["bigtxt.test MX 10 v6.test"] + [f"bigtxt.test TXT {'x' * 250}{i}" for i in range(200)]
    servers = dnsd.serve("127.0.0.1", port, zone)
    instance = Instance({**QUIET, "smtp_tcp_port": sink.port, "notify_classes": ""}, dns=f"127.0.0.1:{port}")
    def end():
        instance.close()
        sink.close()
        for server in servers:
            server.shutdown()
            server.server_close()
    request.addfinalizer(end)
    return instance.start(), sink


def test_malformed_dns_answers_put_mail_off(resolving):
    instance, sink = resolving
    before, count = alive(instance), len(sink.messages)
    ids = {how: send(instance, f"r@{how.lower()}.test") for how in HOSTILE}
    results = {how: outcome(instance, queue_id, seconds=15) for how, queue_id in ids.items()}
    assert {how: result[1] for how, result in results.items()} == {how: "deferred" for how in HOSTILE}, results
    assert len(sink.messages) == count and alive(instance) == before


def test_records_of_another_name_are_not_taken(resolving):
    instance, sink = resolving
    count = len(sink.messages)
    assert outcome(instance, send(instance, "r@othername.test"))[1] != "sent" and len(sink.messages) == count


@pytest.mark.parametrize("domain", ["manymx.test", "manya.test"])
def test_many_hosts_cost_few_connections(resolving, domain):
    instance, sink = resolving
    before = len(re.findall("connect to", instance.log()))
    started = time.monotonic()
    assert outcome(instance, send(instance, f"r@{domain}"))[:2] == ("4.4.1", "deferred")
    assert time.monotonic() - started < 5
    tried = re.findall(r"connect to \S+?\[([\d.]+)\]", instance.log()[0:])
    assert len(tried) - before <= 2 * 5  # a line for each try, and the outcome repeats the last


@pytest.mark.parametrize("domain", ["goodmx.test", "v6.test", "bothnull.test", "hop.test", "bigtxt.test", "literal.test", "balanced.test", "chain28.test"])
def test_what_can_be_reached_is_reached(resolving, domain):
    instance, sink = resolving
    assert outcome(instance, send(instance, f"r@{domain}"))[1] == "sent"


@pytest.mark.parametrize("domain", ["search.test", "chain0.test", "loopa.test"])
def test_names_that_lead_nowhere_are_not_guessed(resolving, domain):
    instance, sink = resolving
    count = len(sink.messages)
    assert outcome(instance, send(instance, f"r@{domain}"), seconds=15)[1] in ("deferred", "bounced") and len(sink.messages) == count


def test_a_sender_domain_is_refused_only_on_a_true_no(resolving):
    """I09: whatever is no clear "no such domain" is 4xx."""
    instance, _ = resolving
    instance.reload(smtpd_sender_restrictions="reject_unknown_sender_domain", smtpd_error_sleep_time="0", smtpd_soft_error_limit=100, smtpd_hard_error_limit=100, unknown_address_reject_code=550)
    try:
        with instance.connect() as c:
            c.hello()
            for how in HOSTILE:
                c.cmd(f"MAIL FROM:<a@{how.lower()}.test>", 250)
                reply = c.cmd("RCPT TO:<alice@here.test>")
                assert reply.code == 450, (how, reply)
                c.cmd("RSET", 250)
            c.cmd("MAIL FROM:<a@balanced.test>", 250)
            c.cmd("RCPT TO:<alice@here.test>", 250)
            c.cmd("RSET", 250)
            c.cmd("MAIL FROM:<a@no-such-domain.test>", 250)
            assert c.cmd("RCPT TO:<alice@here.test>").code == 550
    finally:
        instance.reload(smtpd_sender_restrictions="")


LOOPS = {
    "name.loop": ["name.loop MX 5 MX.here.TEST", "mx.here.test A 127.0.0.77"], "addr.loop": ["addr.loop MX 5 a.addr.loop", "a.addr.loop A 127.0.0.1"],
    "zero.loop": ["zero.loop MX 5 a.zero.loop", "a.zero.loop A 0.0.0.0"], "mapped.loop": ["mapped.loop MX 5 a.mapped.loop", "a.mapped.loop AAAA ::ffff:127.0.0.1"],
    "host.loop": ["host.loop A 127.0.0.1"], "cname.loop": ["cname.loop CNAME host.loop"], "localhost.loop": ["localhost.loop MX 5 localhost", "localhost A 127.0.0.1"],
    "behind.loop": ["behind.loop MX 5 mx.here.test", "behind.loop MX 10 b.behind.loop", "b.behind.loop A 127.0.0.78"], "v6any.loop": ["v6any.loop MX 5 a.v6any.loop", "a.v6any.loop AAAA ::"],
}


def test_mail_to_ourselves_is_told_at_once(make, dns):
    port = free_port()
    instance = make({**QUIET, "smtp_tcp_port": port, "notify_classes": ""}, port=port, dns=dns([line for lines in LOOPS.values() for line in lines]))
    ids = {domain: send(instance, f"r@{domain}") for domain in LOOPS}
    results = {domain: outcome(instance, queue_id) for domain, queue_id in ids.items()}
    assert all(r[:2] == ("5.4.6", "bounced") and "loops back to myself" in r[2] for r in results.values()), results
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<s@here.test>", 250)
        for literal in ("[127.0.0.1]", "[IPv6:::ffff:127.0.0.1]"):
            assert c.cmd(f"RCPT TO:<nobody@{literal}>").code in (250, 550)


# ---- J: next hops ----

@pytest.fixture(scope="module")
def hops(request):
    """hops(on, ...): (instance, peer, domain): each peer at an address of its own, all behind one instance."""
    import dnsd
    port, dns_port, peers = free_port("127.0.1.1"), free_port(), []
    servers = dnsd.serve("127.0.0.1", dns_port, [f"d{i}.test A 127.0.1.{i}" for i in range(1, 250)] + [f"two{i}.test MX {p} d{i + p}.test" for i in range(1, 240) for p in (0, 1)])
    timeouts = {f"smtp_{name}_timeout": "1s" for name in ("helo", "mail", "rcpt", "data_init", "data_xfer", "data_done", "quit", "rset")}
    instance = Instance({**QUIET, **timeouts, "smtp_tcp_port": port, "notify_classes": ""}, dns=f"127.0.0.1:{dns_port}")
    def build(on=None, **options):
        number = len(peers) + 1
        peers.append(Peer(address=f"127.0.1.{number}", port=port, on=on, **options))
        return instance, peers[-1], f"d{number}.test"
    def end():
        instance.close()
        for p in peers:
            p.close()
        for server in servers:
            server.shutdown()
            server.server_close()
    request.addfinalizer(end)
    instance.start()
    return build


def test_a_silent_peer_is_left_at_every_stage(hops):
    """J03: each timeout ends in "later", never in a bounce."""
    cases = {stage: hops({stage: "!hang"}, extensions=ext) for stage, ext in (("greeting", ()), ("EHLO", ()), ("MAIL", ()), ("RCPT", ()), ("DATA", ()), ("DOT", ()))}
    ids = {stage: send(case[0], f"r@{case[2]}") for stage, case in cases.items()}
    for stage, queue_id in ids.items():
        dsn, status, text = outcome(cases[stage][0], queue_id)
        assert (dsn, status) == ("4.4.2", "deferred") and "timed out while" in text, (stage, text)


def early_success(session, line, peer):
    session.say("354 go on\r\n250 2.0.0 Ok: queued as NEVER")


ODD = {
    "success before the content": ({"DATA": early_success}, "deferred"), "354 to MAIL": ({"MAIL": "354 what"}, "deferred"), "250 to DATA": ({"DATA": "250 done"}, "deferred"), "354 to the dot": ({"DOT": "354 more"}, "deferred"),
    "554 greeting": ({"greeting": "554 5.7.1 no"}, "deferred"), "220 line by line": ({"greeting": "220-a\r\n220-b\r\n220 c"}, "sent"), "half a reply": ({"MAIL": lambda s, l, p: s.say(b"25")}, "deferred"),
    "a stranger's code": ({"RCPT": "999 x"}, "deferred"), "one digit": ({"RCPT": "5 x"}, "deferred"), "code 100": ({"RCPT": "150 x"}, "deferred"), "no EHLO no HELO": ({"EHLO": "500 x", "HELO": "500 x"}, "bounced"),
    "stale enhanced code": ({"RCPT": ["550-5.1.1 first line\r\n550 second line without"]}, "bounced"), "class mismatch": ({"RCPT": "450 5.1.1 x"}, "deferred"), "success with 5.x": ({"DOT": "250 5.0.0 fine"}, "sent"),
    "421 in the middle": ({"RCPT": "421 4.3.2 bye"}, "deferred"), "everything at once": ({"greeting": "220 a\r\n250 b\r\n250 c\r\n250 d\r\n250 e\r\n354 f\r\n250 g"}, "deferred"),
}


def test_odd_replies_never_lose_mail(hops):
    """J01: what is no plain yes is no yes; what is no plain no is no bounce."""
    cases = {name: (hops(on), status) for name, (on, status) in ODD.items()}
    big = "Subject: x\r\n\r\n" + ("x" * 70 + "\r\n") * 40000
    ids = {name: send(case[0], f"r@{case[2]}", body=big if "content" in name else "Subject: x\r\n\r\nx\r\n") for name, (case, _) in cases.items()}
    got = {name: outcome(cases[name][0][0], queue_id, seconds=15)[1] for name, queue_id in ids.items()}
    assert got == {name: status for name, (_, status) in cases.items()}
    assert not cases["success before the content"][0][1].messages and not cases["everything at once"][0][1].messages


def test_a_peers_escape_sequences_stay_out_of_log_and_notice(hops):
    instance, peer, domain = hops({"RCPT": lambda s, l, p: s.say(b"550 5.1.1 \x1b[31mred\x07 \xff\xfe \x00 %n\tend\r\n")})
    queue_id = send(instance, f"r@{domain}", sender="alice@here.test")
    assert outcome(instance, queue_id)[:2] == ("5.1.1", "bounced")
    notice = [m for m in instance.wait_mail("alice") if domain.encode() in m][0]
    line = [line for line in pathlib.Path(instance.maillog).read_bytes().splitlines() if queue_id.encode() in line and b"status=bounced" in line][0]
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f-\xff]", notice.replace(b"\n", b"")) and not re.search(rb"[\x00-\x1f\x7f-\xff]", line)


def test_a_peer_that_stops_reading_is_left(hops):
    instance, peer, domain = hops({"DATA": lambda s, l, p: (s.say("354 go"), time.sleep(60)) and None})
    queue_id = send(instance, f"r@{domain}", body="Subject: x\r\n\r\n" + ("x" * 70 + "\r\n") * 100000)
    assert outcome(instance, queue_id, seconds=20)[1] == "deferred"


def test_the_next_host_is_asked_where_that_may_help(hops):
    _, first, domain = hops({"RCPT": "450 4.2.0 not here"})
    instance, second, _ = hops()
    number = int(domain[1:].partition(".")[0])
    assert outcome(instance, send(instance, f"r@two{number}.test"))[1] == "sent" and second.messages and not first.messages


def test_lmtp_answers_one_recipient_at_a_time(make, peer):
    """B21 from the client's side: a reply for each, and what was not answered is asked again."""
    def dot(session, line, p):
        session.say("250 2.1.5 first\r\n550 5.2.2 second is full")
        session.sock.shutdown(socket.SHUT_RDWR)
    sink = peer(on={"DOT": dot})
    instance = make({**QUIET, "default_transport": f"lmtp:inet:127.0.0.1:{sink.port}", "notify_classes": ""})
    queue_id = send(instance, [f"r{i}@far.test" for i in range(3)])
    assert [outcome(instance, queue_id, rf"r{i}@far\.test")[1] for i in range(3)] == ["sent", "bounced", "deferred"], instance.log()


# ---- N: notices ----

NOTIFY = [None, "NEVER", "SUCCESS", "FAILURE", "DELAY", "SUCCESS,FAILURE", "FAILURE,DELAY", "SUCCESS,FAILURE,DELAY"]


def due(kind, notify):
    """RFC 3461, 5.2: which notices NOTIFY asks for; without it failures (and delays, 4.1) are told."""
    words = {"FAILURE", "DELAY"} if notify is None else set(notify.split(","))
    return {"delivered": "delivered" if "SUCCESS" in words else None, "relayed": "relayed" if "SUCCESS" in words else None, "passed on": None, "failed": "failed" if "FAILURE" in words else None,
            "failed here": "failed" if "FAILURE" in words else None, "delayed": "delayed" if "DELAY" in words else None, "expanded": "expanded" if "SUCCESS" in words else None, "to a list": "delivered" if "SUCCESS" in words else None}[kind]


def test_notices_are_sent_when_they_are_due_and_only_then(make, dns, peer):
    """N02: the matrix of NOTIFY and outcome."""
    good = peer(address="127.0.2.1")
    port = good.port
    bad = peer(address="127.0.2.2", port=port, on={"RCPT": "550 5.1.1 no"})
    late, plain = peer(address="127.0.2.3", port=port, on={"RCPT": "450 4.2.0 later"}), peer(address="127.0.2.4", port=port, extensions=("PIPELINING",))
    server = dns(["good.test A 127.0.2.1", "bad.test A 127.0.2.2", "late.test A 127.0.2.3", "plain.test A 127.0.2.4"])
    instance = make({"smtp_tcp_port": port, "delay_warning_time": "1s", "alias_maps": "inline:{ { both = bob, carol } { list = bob, carol } { owner-list = carol } }", "local_recipient_maps": "inline:{ { alice = x } { bob = x } { list = x } { both = x } { carol = x } }",
                     "minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "transport_maps": "inline:{ { gone.test = error:5.7.1 closed } }"}, dns=server)
    where = {"delivered": "bob@here.test", "relayed": "r@plain.test", "passed on": "r@good.test", "failed": "r@bad.test", "failed here": "r@gone.test", "delayed": "r@late.test", "expanded": "both@here.test", "to a list": "list@here.test"}
    for kind, recipient in where.items():
        for number, notify in enumerate(NOTIFY):
            with instance.connect() as c:
                c.hello()
                c.cmd(f"MAIL FROM:<alice@here.test> ENVID={kind.replace(' ', '.')}.{number}", 250)
                if c.cmd(f"RCPT TO:<{recipient}>" + (f" NOTIFY={notify}" if notify else "")).code == 250:
                    c.data("Subject: x\r\n\r\nx\r\n")
                else:
                    assert kind == "failed here"
                    where = {k: v for k, v in where.items() if k != kind}
    expected = {(kind.replace(" ", "."), number): due(kind, notify) for kind in where for number, notify in enumerate(NOTIFY) if due(kind, notify)}
    def told():
        out = {}
        for raw in instance.mailbox("alice"):
            message = email.message_from_bytes(raw, policy=email.policy.default)
            assert message.get_content_type() == "multipart/report" and message["Auto-Submitted"] == "auto-replied", raw
            fields = [dict(part.items()) for part in message.get_payload()[1].get_payload()]
            kind, _, number = fields[0]["Original-Envelope-Id"].rpartition(".")
            out.setdefault((kind, int(number)), []).extend(f["Action"] for f in fields[1:])
        return out
    wait_until(lambda: set(told()) >= set(expected) and not [r for r in instance.queue() if "late.test" not in str(r)], 15)
    time.sleep(1.5)
    assert {key: actions[0] if len(actions) == 1 else actions for key, actions in told().items()} == expected
    passed = [m["rcpt"][0].partition(" ")[2].partition(" ")[2] for m in good.wait(len(NOTIFY))]
    assert sorted(re.findall(r"NOTIFY=(\S+)", " ".join(passed))) == sorted(n for n in NOTIFY if n), passed


def test_automatic_mail_answers_nobody(make):
    """N07: no notice to <>, to our own notices' senders, or to a notice; a double bounce ends."""
    instance = make({**QUIET, "transport_maps": "inline:{ { far.test = error:5.1.1 gone } }", "smtpd_reject_unlisted_recipient": "no", "notify_classes": "2bounce, resource, software",
                     "2bounce_notice_recipient": "x@far.test"})
    ids = [send(instance, "r@far.test", sender=sender) for sender in ("", "double-bounce@here.test", "double-bounce@mx.here.test", "x@far.test")]
    for queue_id in ids:
        instance.wait_log(rf"{queue_id}: removed")
    instance.wait_queue_empty()
    assert len(re.findall(r"notification: \w+", instance.log())) <= 4
