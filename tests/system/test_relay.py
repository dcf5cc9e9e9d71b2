"""The SMTP client: routes, MX records, and next hops that misbehave at every stage (catalogue I and J)."""
import re, socket, time

import pytest
from harness.instance import wait_until

BODY = "Subject: relay\r\n\r\n..stuffed\r\nbody\r\n"


def send(instance, recipients=("r@far.test",), body=BODY, sender="s@here.test"):
    with instance.connect() as c:
        c.hello()
        return c.mail(sender, recipients, body)


@pytest.fixture
def relay(make, peer):
    def build(settings=None, **options):
        sink = peer(**options)
        return make({"relayhost": f"[127.0.0.1]:{sink.port}", **(settings or {})}), sink
    return build


def test_content_arrives_octet_by_octet(relay):
    instance, sink = relay()
    queue_id = send(instance)
    message = sink.wait()[0]
    assert message["mail"].startswith("MAIL FROM:<s@here.test>") and message["rcpt"][0].startswith("RCPT TO:<r@far.test>")
    head, _, body = message["content"].partition(b"\r\n\r\n")
    assert body == b".stuffed\r\nbody\r\n" and head.startswith(b"Received: from client.test")
    instance.wait_log(rf"postern/smtp\[\d+\]: {queue_id}: to=<r@far\.test>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:{sink.port}, delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, dsn=2\.0\.0, status=sent \(250 2\.0\.0 Ok: queued as SINK0\)$")
    instance.wait_log(rf"postern/qmgr\[\d+\]: {queue_id}: from=<s@here\.test>, size=\d+, nrcpt=1 \(queue active\)$")
    instance.wait_log(rf"postern/qmgr\[\d+\]: {queue_id}: removed$")
    instance.wait_queue_empty()


def test_mx_records_are_tried_in_order(make, peer, dns):
    best, second = peer(address="127.0.0.11"), None
    port = best.port
    second = peer(address="127.0.0.12", port=port)
    server = dns(["far.test MX 20 b.far.test", "far.test MX 10 a.far.test", "a.far.test A 127.0.0.11", "b.far.test A 127.0.0.12"])
    instance = make({"smtp_tcp_port": port}, dns=server)
    send(instance)
    best.wait()
    best.close()
    send(instance)
    second.wait()
    assert len(best.messages) == 1


@pytest.mark.parametrize("zone,text", [
    (["far.test MX 0 ."], r"dsn=5\.1\.10, status=bounced"), ([], r"status=bounced \(.*Host or domain name not found"),
    (["far.test SERVFAIL"], r"dsn=4\.4\.3, status=deferred"), (["far.test MX 5 gone.far.test"], r"status=(bounced|deferred)"), (["far.test MX 5 mx.here.test", "mx.here.test A 127.0.0.1"], r"dsn=5\.4\.6, status=bounced \(mail for far\.test loops back to myself\)"),
])
def test_what_dns_says_decides_between_never_and_later(make, dns, zone, text):
    instance = make({"proxy_interfaces": "127.0.0.1"}, dns=dns(zone + ["test A 127.0.0.99"]))
    queue_id = send(instance)
    instance.wait_log(rf"{queue_id}: to=<r@far\.test>.*{text}")


def test_mail_that_would_loop_goes_where_best_mx_transport_says(make, dns):
    """Queue hands it on at once; where that leads back to the same place it is returned as without."""
    zone = ["far.test MX 5 mx.here.test", "mx.here.test A 127.0.0.1", "test A 127.0.0.99"]
    instance = make({"proxy_interfaces": "127.0.0.1", "best_mx_transport": "discard:2.0.1 taken"}, dns=dns(zone))
    first = send(instance)
    instance.wait_log(rf"{first}: to=<r@far\.test>, relay=none,.* dsn=2\.0\.1, status=sent \(taken\)")
    assert "loops back" not in instance.log()
    instance.reload(best_mx_transport="smtp")
    second = send(instance)
    instance.wait_log(rf"{second}: to=<r@far\.test>.* dsn=5\.4\.6, status=bounced \(mail for far\.test loops back to myself\)")
    assert "that is where the mail is" in instance.log()
    instance.reload(best_mx_transport="", transport_maps="inline:{ { far.test = one: } }", transport_services="{ one smtp -o best_mx_transport=two } { two smtp -o best_mx_transport=one }")
    third = send(instance)
    instance.wait_log(rf"{third}: to=<r@far\.test>, relay=none,.* dsn=4\.3\.5, status=deferred \(mail system configuration error: transports (one and two|two and one) hand it to each other\)")


def test_the_address_is_used_only_when_there_is_no_mx(make, peer, dns):
    sink = peer(address="127.0.0.13")
    instance = make({"smtp_tcp_port": sink.port}, dns=dns(["far.test A 127.0.0.13", "alias.test CNAME far.test"]))
    send(instance)
    send(instance, ["x@alias.test"])
    assert len(sink.wait(2)) == 2


def test_the_name_that_an_alias_stands_for(make, peer, dns):
    sink = peer(address="127.0.0.13")
    instance = make({"smtp_tcp_port": sink.port}, dns=dns(["far.test MX 5 mx.far.test", "mx.far.test CNAME real.far.test", "real.far.test A 127.0.0.13"]))
    send(instance)
    instance.wait_log(r"relay=mx\.far\.test\[127\.0\.0\.13\]")
    instance.reload(smtp_cname_overrides_servername="yes")
    send(instance)
    instance.wait_log(r"relay=real\.far\.test\[127\.0\.0\.13\]")


def test_an_address_literal_is_a_destination(make, peer):
    sink = peer(address="127.0.0.14")
    instance = make({"smtp_tcp_port": sink.port})
    send(instance, ["x@[127.0.0.14]"])
    sink.wait()


STAGES = ["greeting", "EHLO", "MAIL", "RCPT", "DATA"]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("how", ["!close", "!reset", "421 4.3.2 shutting down"])
def test_a_connection_lost_before_the_final_dot_is_tried_again(relay, stage, how):
    instance, sink = relay(on={stage: [how, None]})
    queue_id = send(instance)
    sink.wait(seconds=20)
    instance.wait_queue_empty()
    assert len(sink.messages) == 1 and f"{queue_id}: to=<r@far.test>" in instance.log()
    assert "status=bounced" not in instance.log()


@pytest.mark.parametrize("how", ["!close", "!reset"])
def test_a_connection_lost_after_the_final_dot_is_possibly_delivered(relay, how):
    instance, sink = relay(on={"DOT": [how, None]})
    queue_id = send(instance)
    line = instance.wait_log(rf"{queue_id}: to=<r@far\.test>.*status=deferred \((.*)\)$")
    assert "end of data" in line[1] or "possibly" in line[1] or "DATA" in line[1]
    sink.wait(seconds=20)
    instance.wait_queue_empty()


@pytest.mark.parametrize("stage,reply,status,code", [
    ("MAIL", "550 5.7.1 no", "bounced", "5.7.1"), ("RCPT", "550 5.1.1 who?", "bounced", "5.1.1"), ("RCPT", "550 no code", "bounced", "5.0.0"), ("RCPT", "450 4.2.1 later", "deferred", "4.2.1"),
    ("DATA", "554 5.6.0 no", "bounced", "5.6.0"), ("DOT", "554 5.7.9 spam", "bounced", "5.7.9"), ("DOT", "452 4.3.1 full", "deferred", "4.3.1"), ("DOT", "550 2.0.0 odd", "bounced", "5.0.0"),
])
def test_the_peers_words_reach_the_log(relay, stage, reply, status, code):
    instance, sink = relay({"maximal_queue_lifetime": "1h", "minimal_backoff_time": "300s"}, on={stage: reply})
    queue_id = send(instance)
    line = instance.wait_log(rf"{queue_id}: to=<r@far\.test>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+,.* dsn={re.escape(code)}, status={status} \((.*)\)$")
    assert f"said: {reply}" in line[1] and "in reply to" in line[1]


def test_recipients_of_one_transaction_have_their_own_fates(relay):
    def by_name(session, line, peer):
        return "550 5.1.1 no" if b"<bad@" in line else "450 4.2.0 later" if b"<slow@" in line else "250 2.1.5 Ok"
    instance, sink = relay({"minimal_backoff_time": "300s"}, on={"RCPT": by_name})
    queue_id = send(instance, ["good@far.test", "bad@far.test", "slow@far.test", "fine@far.test"])
    for name, status in (("good", "sent"), ("fine", "sent"), ("bad", "bounced"), ("slow", "deferred")):
        instance.wait_log(rf"{queue_id}: to=<{name}@far\.test>.*status={status}")
    assert len(sink.wait()[0]["rcpt"]) == 2
    assert wait_until(lambda: [r["address"] for r in instance.queue("--from", "s@here.test")[0]["recipients"]] == ["slow@far.test"], 5)


@pytest.mark.parametrize("name,on", {
    "no text": {"MAIL": "250"}, "bare LF": {"MAIL": lambda s, l, p: s.say(b"250 ok\n")}, "many lines": {"EHLO": "\r\n".join(["250-x%d" % i for i in range(500)] + ["250 PIPELINING"])},
    "junk after QUIT": {"QUIT": lambda s, l, p: s.say(b"221 bye\r\n500 what\r\n\0\0\0")}, "QUIT refused": {"QUIT": "500 no"}, "QUIT cut": {"QUIT": "!close"},
}.items())
def test_odd_replies_do_not_stop_mail(relay, name, on):
    instance, sink = relay(on=on)
    send(instance)
    sink.wait(seconds=15)
    instance.wait_queue_empty(15)


@pytest.mark.parametrize("name,on", {
    "endless line": {"MAIL": lambda s, l, p: s.say(b"250 " + b"x" * 2_000_000)}, "endless continuation": {"EHLO": lambda s, l, p: [s.say(b"250-x\r\n" * 1000) for _ in range(300)] and None},
    "mixed codes": {"MAIL": "250-ok\r\n550 no"}, "no number": {"MAIL": "hello"}, "NUL": {"MAIL": lambda s, l, p: s.say(b"2\x0050 ok\r\n")},
}.items())
def test_hostile_replies_cost_the_connection_and_nothing_else(relay, name, on):
    instance, sink = relay({"minimal_backoff_time": "300s"}, on=on)
    queue_id = send(instance)
    instance.wait_log(rf"{queue_id}: to=<r@far\.test>.*status=(deferred|sent|bounced)", 20)
    assert instance.pids("delivery") and "panic" not in instance.log() and "signal" not in instance.log()


def test_ehlo_refused_means_helo(relay):
    instance, sink = relay(on={"EHLO": "502 no such thing"})
    send(instance)
    sink.wait()
    assert [c.split()[0] for c in sink.commands[:2]] == ["EHLO", "HELO"]


def test_a_message_larger_than_the_peers_limit_is_not_sent(relay):
    instance, sink = relay(extensions=["SIZE 1000"])
    queue_id = send(instance, body="Subject: big\r\n\r\n" + "x" * 70 * 100 + "\r\n")
    instance.wait_log(rf"{queue_id}: to=<r@far\.test>.*dsn=5\.3\.4, status=bounced")
    assert not any(c.startswith("DATA") for c in sink.commands)


def test_eight_bit_text_is_converted_for_a_seven_bit_peer(relay):
    import email, email.policy
    instance, sink = relay(extensions=["PIPELINING"])
    with instance.connect() as c:
        c.hello()
        c.envelope("s@here.test", "r@far.test", parameters="BODY=8BITMIME")
        c.data("Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\u00fc\u00dfe = \u20ac\r\n")
    content = sink.wait()[0]["content"]
    assert max(content) < 128
    assert email.message_from_bytes(content, policy=email.policy.SMTP).get_content().strip() == "gr\u00fc\u00dfe = \u20ac"


def test_lines_over_998_octets_are_folded(relay):
    instance, sink = relay()
    send(instance, body="Subject: long\r\n\r\n" + "y" * 5000 + "\r\nend\r\n")
    content = sink.wait()[0]["content"]
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    assert content.replace(b"\r\n ", b"").count(b"y") >= 5000


def test_smtputf8_needs_a_next_hop_that_has_it(relay):
    instance, sink = relay(extensions=["PIPELINING", "8BITMIME"])
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<s@here.test> SMTPUTF8", 250)
        c.cmd("RCPT TO:<gr\u00fc\u00dfe@far.test>", 250)
        queue_id = c.data("Subject: x\r\n\r\nx\r\n")
    instance.wait_log(rf"{queue_id}: to=<gr\S+@far\.test>.*dsn=5\.6\.7, status=bounced")


def test_dsn_parameters_are_passed_on(relay):
    instance, sink = relay()
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<s@here.test> RET=HDRS ENVID=QQ+2B1", 250)
        c.cmd("RCPT TO:<r@far.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb@c.test", 250)
        c.data("Subject: x\r\n\r\nx\r\n")
    message = sink.wait()[0]
    assert "RET=HDRS" in message["mail"] and "ENVID=QQ+2B1" in message["mail"]
    assert "NOTIFY=SUCCESS,FAILURE" in message["rcpt"][0] and "ORCPT=rfc822;a+2Bb@c.test" in message["rcpt"][0]


def test_the_address_that_mail_came_for_is_told(relay):
    """Postfix's way of RFC 3461, 5.2.1: ORCPT where the client gave none."""
    instance, sink = relay({"virtual_alias_maps": "inline:{ { one@here.test = x+1@far.test } }"})
    with instance.connect() as c:
        c.hello()
        c.envelope("s@here.test", "one@here.test", "two@far.test")
        c.data("Subject: x\r\n\r\nx\r\n")
    instance.sendmail("-f", "s@here.test", "one@here.test", input="Subject: x\n\nx\n")
    sent = [line.split("RCPT ")[-1] for message in sink.wait(2) for line in message["rcpt"]]
    assert sorted(sent) == ["TO:<two@far.test> ORCPT=rfc822;two@far.test", "TO:<x+1@far.test> ORCPT=rfc822;one@here.test", "TO:<x+1@far.test> ORCPT=rfc822;one@here.test"], sent


def test_connections_are_reused(relay):
    instance, sink = relay()
    with instance.connect() as c:
        c.hello()
        for _ in range(20):
            c.mail("s@here.test", ["r@far.test"])
    sink.wait(20)
    assert sink.connections < 20
    instance.wait_log(r"relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, conn_use=\d+,")


def test_one_dead_destination_does_not_stop_another(make, peer, dns):
    sink = peer(address="127.0.0.15", on={})
    hang = peer(address="127.0.0.16", port=sink.port, on={"DOT": "!hang"})
    instance = make({"smtp_tcp_port": sink.port}, dns=dns(["ok.test A 127.0.0.15", "hang.test A 127.0.0.16"]))
    with instance.connect() as c:
        c.hello()
        for i in range(40):
            c.mail("s@here.test", [f"r{i}@hang.test"])
        started = time.monotonic()
        c.mail("s@here.test", ["r@ok.test"])
    sink.wait(seconds=5)
    assert time.monotonic() - started < 3
    assert hang.connections <= 21


# ---- what one of our own parameters asks for ----

def test_an_address_that_this_host_has_not_is_no_source(relay):
    """Mail goes out without it after a warning, or waits where it must have it."""
    instance, sink = relay({"smtp_bind_address": "192.0.2.77"})
    send(instance)
    sink.wait()
    instance.wait_log(r"warning: smtp_bind_address 192\.0\.2\.77: Cannot assign requested address")
    instance.reload(smtp_bind_address_enforce="yes")
    send(instance)
    instance.wait_log(r"relay=none, .*dsn=4\.4\.0, status=deferred \(server configuration error\)")
    assert len(sink.messages) == 1


def test_a_server_is_greeted_as_it_can_be(relay):
    """HELO to who does not say ESMTP, if so configured; keywords by the server's address; a table in trouble keeps the mail."""
    instance, sink = relay({"smtp_always_send_ehlo": "no"}, on={"greeting": ["220 old.test Mailer", "220 new.test ESMTP x", "220 new.test ESMTP x"]})
    send(instance)
    sink.wait()
    instance.reload(smtp_discard_ehlo_keywords="8bitmime")
    send(instance)
    assert sink.commands[0].startswith("HELO") and "SIZE" not in sink.messages[0]["mail"] and "SIZE" in sink.wait(2)[1]["mail"]
    instance.reload(smtp_discard_ehlo_keyword_address_maps="inline:{ {127.0.0.1 = size, dsn} }")
    send(instance)
    last = sink.wait(3)[2]
    assert "SIZE" not in last["mail"] and "ORCPT" not in last["rcpt"][0]
    instance.reload(smtp_discard_ehlo_keyword_address_maps="hash:/nonexistent/keywords")
    send(instance)
    instance.wait_log(r"dsn=4\.3\.0, status=deferred \(local data error while talking to 127\.0\.0\.1\[127\.0\.0\.1\]\)")


def test_quotes_are_left_out_for_who_cannot_read_them(relay):
    instance, sink = relay({"smtp_quote_rfc821_envelope": "no"})
    send(instance, ['"c d"@far.test', '"x>y"@far.test', '"e."@far.test'], sender='"q q"@here.test')
    message = sink.wait()[0]
    assert message["mail"].startswith("MAIL FROM:<q q@here.test>")
    assert [r.split(" ORCPT")[0] for r in message["rcpt"]] == ["RCPT TO:<c d@far.test>", 'RCPT TO:<"x>y"@far.test>', "RCPT TO:<e.@far.test>"]


def test_replies_are_what_smtp_reply_filter_makes_of_them(relay):
    """Line by line, garbage and pipelined ones too; a table in trouble keeps the mail."""
    rules = "{!/^[2-5][0-9][0-9]($$|[- ])/ 250-filler} {/^550 5(.*) later$$/ 450 4$$1 not yet}"
    instance, sink = relay({"smtp_reply_filter": "regexp:{" + rules + "}", "minimal_backoff_time": "600s"},
                           on={"EHLO": "250-peer.test\r\nthis is no reply\r\n250 PIPELINING", "RCPT": ["550 5.1.1 later", "550 5.1.1 never", "250 2.1.5 Ok"]})
    queue_id = send(instance, ["a@far.test", "b@far.test", "c@far.test"])
    assert len(sink.wait()[0]["rcpt"]) == 1
    instance.wait_log(rf"{queue_id}: to=<a@far\.test>.*dsn=4\.1\.1, status=deferred \(host \S+ said: 450 4\.1\.1 not yet ")
    instance.wait_log(rf"{queue_id}: to=<b@far\.test>.*dsn=5\.1\.1, status=bounced \(host \S+ said: 550 5\.1\.1 never ")
    instance.wait_log(rf"{queue_id}: to=<c@far\.test>.*dsn=2\.0\.0, status=sent")
    instance.reload(smtp_reply_filter="hash:/nonexistent/replies")
    later = send(instance, ["d@far.test"])
    instance.wait_log(rf"{later}: to=<d@far\.test>.*dsn=4\.3\.0, status=deferred \(local data error while talking to ")


def test_a_filtered_reply_counts_though_the_server_has_gone(relay):
    def go_away(session, line, peer):
        session.say("554 5.7.1 go away")
        raise EOFError
    instance, sink = relay({"smtp_reply_filter": "inline:{ {554 5.7.1 go away = 450 4.7.1 not now} }"}, on={"greeting": go_away})
    send(instance)
    instance.wait_log(r"dsn=4\.7\.1, status=deferred \(host \S+ refused to talk to me: 450 4\.7\.1 not now\)")


def test_content_has_one_deadline_where_that_is_wanted(relay):
    """A server that takes octets slowly but steadily gets all of them, unless the whole has to be there in time."""
    pause = [0.005]

    def slowly(session, line, peer):
        session.say("354 go on")
        session.buffer = b""
        tail = b""
        while not tail.endswith(b"\r\n.\r\n"):
            time.sleep(pause[0])
            data = session.sock.recv(65536)
            if not data:
                raise EOFError
            tail = (tail + data)[-10:]
        session.say("250 2.0.0 Taken")
    instance, sink = relay({"smtp_data_xfer_timeout": "1s", "smtp_min_data_rate": "100000000"}, on={"DATA": slowly})
    sink.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    body = "Subject: x\r\n\r\n" + ("y" * 78 + "\r\n") * 75_000
    send(instance, body=body)
    instance.wait_log(r"status=sent \(250 2\.0\.0 Taken\)")
    instance.reload(smtp_per_request_deadline="yes")
    pause[0] = 0.05
    send(instance, body=body)
    instance.wait_log(r"dsn=4\.4\.2, status=deferred \(conversation with \S+ timed out while sending message body\)")
