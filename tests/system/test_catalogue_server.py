"""What a stranger may try on the SMTP server, and what he gets: catalogue A, B, C, F, G, Q."""
import pathlib, re, socket, threading, time

import pytest
from harness.instance import Instance, wait_until
from harness.peer import Peer


@pytest.fixture(scope="module")
def sink(request):
    p = Peer()
    request.addfinalizer(p.close)
    return p


@pytest.fixture(scope="module")
def server(request, sink):
    """One instance that is patient with errors and relays everything to sink for 127.0.0.1; 127.0.0.2 is a stranger."""
    instance = Instance({
        "relayhost": f"[127.0.0.1]:{sink.port}", "smtpd_error_sleep_time": "0", "smtpd_soft_error_limit": 1000, "smtpd_hard_error_limit": 1000,
        "smtpd_junk_command_limit": 1000, "fast_flush_domains": "far.test", "message_size_limit": 30_000_000, "header_size_limit": 2000,
    })
    request.addfinalizer(instance.close)
    return instance.start()


def relayed(server, sink, body, chunk=False, sender="s@there.test"):
    """What the next hop gets for this content, without our Received."""
    before = len(sink.messages)
    with server.connect() as c:
        c.hello()
        c.envelope(sender, "r@far.test")
        if chunk:
            c.send(b"BDAT %d LAST\r\n" % len(body) + body)
        else:
            c.cmd("DATA", 354)
            c.send(body + b".\r\n")
        reply = c.reply()
        assert reply.code == 250, reply
    assert wait_until(lambda: len(sink.messages) > before, 30)
    content = sink.messages[before]["content"]
    return re.sub(rb"\AReceived: .*?\r\n(?=[^ \t])", b"", content, count=1, flags=re.S)


COMPLETE = b"Date: Mon, 01 Jan 2024 00:00:00 +0000\r\nFrom: a@b.test\r\nMessage-ID: <1@b.test>\r\n"


# ---- B: commands

@pytest.mark.parametrize("line,expected", [
    (b"EHLO", "501"), (b"EHLO ", "501"), (b"HELO \t", "501"), (b"EHLO " + b"x" * 1000, "501"), (b"EHLO a\0b", "500"), (b"EHLO [999.1.1.1]", "250"), (b"EHLO [IPv6:::1", "250"), (b"EHLO a_b", "250"),
    (b"EHLO \xc3\xa9.test", "250"), (b"EHLO \xff\xfe", "250"), (b"EHLO ${primary_hostname}", "250"), (b"EHLO %n%s%s%s", "250"), (b"EHLO a\rb", "250"), (b"HELO <script>", "250"),
])
def test_any_name_is_survived(server, line, expected):
    with server.connect() as c:
        reply = c.cmd(line + b"\r\n")
        assert repr(reply).startswith(expected), reply
        assert all(ch >= " " for line in reply.lines for ch in line)
        c.cmd("NOOP", 250)


@pytest.mark.parametrize("line,expected", [
    (b"MAIL FROM:<a\xc3\xa9@b.test>", "553 5.6.7"), (b"MAIL FROM:<a@\xc3\xa9.test>", "553 5.6.7"), (b"MAIL FROM:<a\xc3\xa9@b.test> SMTPUTF8", "250"), (b"MAIL FROM:<a\xc0\x80@b.test> SMTPUTF8", "501"),
    (b"MAIL FROM:<a\xed\xa0\x80@b.test> SMTPUTF8", "501"), (b"MAIL FROM:<a\xf5\x80\x80\x80@b.test> SMTPUTF8", "501"), (b"MAIL FROM:<a\xff@b.test>", "5"), (b"MAIL FROM:<a@b.test>\0", "500"), (b"MAIL FROM:<a\0@b.test>", "500"),
    (b"RCPT TO:<al\xc3\xa9@here.test>", "503"), (b"VRFY \xc3\xa9@here.test", "553 5.6.7"), (b"VRFY a\xff@here.test SMTPUTF8", "501"), (b"VRFY nobody@here.test", "550 5.1.1"), (b"VRFY alice", "252 2.0.0 alice"), (b"VRFY", "501"),
    (b"ETRN", "500"), (b"ETRN ../../etc/passwd", "501"), (b"ETRN ';drop table tbl", "501"), (b"ETRN other.test", "459"), (b"ETRN far.test", "25"), (b"ETRN @far.test", "501"), (b"ETRN #queue", "501"),
    (b"MAIL FROM:<a@b.test> BODY=BINARYMIME", "501"), (b"MAIL FROM:<a@b.test> ENVID=" + b"x" * 101, "501"), (b"MAIL FROM:<a@b.test> ENVID=a+0D+0Ab", "501"), (b"MAIL FROM:<a@b.test> RET=FULL RET=HDRS", "501"), (b"MAIL FROM:<" + b"x" * 1500 + b"@b.test>", "501"),
    (b"STARTTLS x", "50"), (b"TURN", "500"), (b"LHLO x", "50"), (b"", "500"), (b"   ", "500"), (b"NOOP\0QUIT", "500"), (b"noop;id", "500"), (b"MAIL FROM:<`id`@b.test>", "250"), (b"MAIL FROM:<$(id)@b.test>", "501"),
])
def test_odd_commands_get_their_reply_and_the_session_goes_on(server, line, expected):
    with server.connect() as c:
        c.hello()
        assert repr(c.cmd(line + b"\r\n")).startswith(expected)
        c.cmd("RSET", 250)
        c.mail()


@pytest.mark.parametrize("parameter,expected", [
    ("ORCPT=x", "501"), ("ORCPT=rfc822;", "501"), ("ORCPT=rfc822;a+0Ab", "501"), ("ORCPT=rfc822;a+00b", "501"), ("ORCPT=rfc822;a+zz", "501"), ("NOTIFY=NEVER,SUCCESS", "501"), ("NOTIFY=", "501"), ("NOTIFY=FOO", "501"), ("=", "501"), ('="', "501"),
    ("X=Y", "555"), ("NOTIFY=SUCCESS NOTIFY=NEVER", "501"), ("SIZE=5", "555"), ("orcpt=RFC822;A@B.test  notify=delay", "250"), ("NOTIFY=SUCCESS,DELAY,SUCCESS", "250"), ("NOTIFY=NEVER,NEVER", "250"),
])
def test_recipient_parameters(server, parameter, expected):
    with server.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<a@b.test>", 250)
        assert repr(c.cmd("RCPT TO:<alice@here.test> " + parameter)).startswith(expected)


@pytest.mark.parametrize("local", ["-oQ/tmp/x", "--", "|/bin/sh", "/etc/passwd", ":include:/etc/shadow", '"| id"', '".."', "../x", "a/b", "$(id)", "`id`", ";", '"a;b"', "alice\\", '"alice "', '"alice\\\x01"', "root+x", "*", "~root", "alice\u202e"])
def test_no_local_part_is_a_path_or_a_command(server, local):
    with server.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<a@b.test>", 250)
        assert 500 <= c.cmd(f"RCPT TO:<{local}@here.test>").code <= 599
        c.cmd("DATA", 554)


@pytest.mark.parametrize("middle", [["MAIL FROM:<x"], ["MAIL FROM:<x@y.test>"], ["VRFY \u00e9@here.test"], ["RCPT TO:<x"], ["RCPT TO:<nobody@here.test>"], ["EXPN x"], ["ETRN far.test"], ["FROB"], ["HELP", "NOOP"], ["DATA x", "RSET"], ["EHLO y"], ["RSET"], ["BDAT 0"]])
def test_whatever_is_refused_in_a_transaction_there_is_one_message_or_none(server, middle):
    """E2: no rejection may leave a state in which DATA is taken without MAIL and RCPT."""
    with server.connect() as c:
        c.hello()
        c.envelope("first@there.test", "alice@here.test")
        for line in middle:
            c.cmd(line)
        reply = c.cmd("DATA")
        if reply.code == 354:
            c.send("Subject: x\r\n\r\nx\r\n.\r\n")
            assert c.reply().code == 250
        else:
            assert reply.code in (503, 501), reply
        c.cmd("RSET", 250)
        c.cmd("DATA", 503)
        c.cmd("RCPT TO:<alice@here.test>", 503)
        c.mail()


def test_esmtp_parameters_are_understood_after_helo(server):
    with server.connect() as c:
        c.hello(verb="HELO")
        c.cmd("MAIL FROM:<a@b.test> SIZE=51 BODY=8BITMIME", 250)
        c.cmd("RCPT TO :<alice@here.test> notify=success,failure", 250)


@pytest.mark.parametrize("first", ["HELO x", "EHLO x", "NOOP", "VRFY alice", "DATA"])
def test_sending_ahead_where_the_reply_had_to_be_awaited_ends_the_session(server, first):
    with server.connect() as c:
        if first[1:] != "HLO x" and first[:4] not in ("HELO", "EHLO"):
            c.hello()
        if first == "DATA":
            c.envelope()
        c.send(first + "\r\nMAIL FROM:<evil@there.test>\r\nRCPT TO:<alice@here.test>\r\n")
        assert repr(c.reply()).startswith("554 5.5.0 Error: SMTP protocol synchronization")
        assert c.closed()
    server.wait_log(r"improper command pipelining after " + first[:4])


@pytest.mark.parametrize("verb", ["NOOP", "RSET", "VRFY alice", "HELP", "EHLO x", "ETRN other.test"])
def test_junk_ends_the_session(make, verb):
    instance = test_junk_ends_the_session.__dict__.get("instance")
    if instance is None or not instance.started:
        instance = make({"smtpd_error_sleep_time": "0", "smtpd_junk_command_limit": 10, "smtpd_hard_error_limit": 5, "smtpd_soft_error_limit": 100})
    with instance.connect() as c:
        c.hello()
        codes = []
        while len(codes) < 40 and (not codes or codes[-1] != 421):
            codes.append(c.cmd(verb).code)
        assert codes[-1] == 421 and c.closed()


def test_expn_lists_members_where_it_is_allowed_and_names_no_command(make):
    instance = make({"enable_expn": "yes", "alias_maps": "inline:{ { staff = alice, bob } { pipe = |/bin/id } { file = /var/spool/x } }", "local_recipient_maps": "$alias_maps inline:{ { alice = x } }"})
    with instance.connect() as c:
        c.hello()
        assert [line.split()[-1] for line in c.cmd("EXPN staff", 250).lines] == ["<alice>", "<bob>"]
        c.cmd("EXPN alice", "250 2.1.5 <alice@here.test>")
        for name in ("pipe", "file"):
            assert "/" not in c.cmd(f"EXPN {name}", 252).text
        c.cmd("EXPN nobody", 550)
        c.mail()


# ---- C: chunks

@pytest.mark.parametrize("line", ["BDAT 5 FIRST", "BDAT", "BDAT -1", "BDAT +3 LAST", "BDAT 0x10", "BDAT 3 LASTX", "BDAT 18446744073709551616", "BDAT 99999999999999999999 LAST", "BDAT 9223372036854775807", "BDAT 1e3 LAST", "BDAT LAST"])
def test_framing_that_cannot_be_known_ends_the_session(server, line):
    with server.connect() as c:
        c.hello()
        c.envelope()
        assert c.cmd(line).code in (501, 552)
        assert c.closed()


def test_octets_of_a_refused_chunk_are_no_commands(server):
    evil = b"RSET\r\nMAIL FROM:<evil@there.test>\r\nRCPT TO:<alice@here.test>\r\n"
    with server.connect() as c:
        c.hello()
        for before in ([], ["MAIL FROM:<a@b.test>"], ["MAIL FROM:<a@b.test>", "RCPT TO:<nobody@here.test>"]):
            for line in before:
                c.cmd(line)
            c.send(b"BDAT %d\r\n" % len(evil) + evil)
            assert c.reply().code in (503, 554)
            c.cmd("RCPT TO:<alice@here.test>", 503)
        c.mail()


def test_a_chunk_that_is_cut_off_leaves_nothing(server):
    count = len(server.queue())
    for cut in (b"", b"Subject: cut-chunk\r\n\r\nx"):
        with server.connect() as c:
            c.hello()
            c.envelope()
            c.send(b"BDAT 1000 LAST\r\n" + cut)
    server.wait_log(r"lost connection after BDAT \(\d+ bytes\)", count=2)
    assert len(server.queue()) <= count and not any(b"cut-chunk" in m for m in server.mailbox("alice"))


def test_chunks_cut_anywhere_are_one_message(server, sink):
    body = COMPLETE + b"\r\n.\r\n..\r\n\xc3\xa9\xe2\x82\xac\r\n.x\r\n"
    with server.connect() as c:
        c.hello()
        for at in range(1, len(body), 3):
            before = len(sink.messages)
            c.envelope("s@there.test", "r@far.test")
            c.send(b"BDAT %d\r\n" % at + body[:at] + b"BDAT %d LAST\r\n" % (len(body) - at) + body[at:])
            assert [c.reply().code, c.reply().code] == [250, 250]
            if at % 10 == 0:
                assert wait_until(lambda: len(sink.messages) > before, 30)
    server.wait_queue_empty(20)
    assert {m["content"].split(b"Date: Mon", 1)[1] for m in sink.messages if b"\xe2\x82\xac" in m["content"]} == {body.split(b"Date: Mon", 1)[1]}


@pytest.mark.parametrize("name,begin,drip", [
    ("command", b"", b"x"), ("data", b"DATA\r\n", b"x"), ("swallowed chunk", b"BDAT 1000000 LAST\r\n", b"x"), ("tiny chunks", b"", b"BDAT 1\r\nx"), ("line too long", b"x" * 3000, b"x"),
])
def test_one_octet_at_a_time_is_no_way_to_hold_a_session(slow, name, begin, drip):
    with slow.connect() as c:
        c.hello()
        if name in ("data", "tiny chunks"):
            c.envelope()
        c.send(begin)
        started = time.monotonic()
        try:
            while time.monotonic() - started < 8:
                c.send(drip)
                time.sleep(0.2)
        except OSError:
            pass
        assert time.monotonic() - started < 6, f"{name} held the session"


@pytest.fixture(scope="module")
def slow(request):
    instance = Instance({"smtpd_timeout": "2s", "smtpd_min_data_rate": 500, "smtpd_per_request_deadline": "yes", "smtpd_junk_command_limit": 1000})
    request.addfinalizer(instance.close)
    return instance.start()


# ---- F: limits

def memory_kb(server):
    text = pathlib.Path(f"/proc/{server.pids('smtpd')[0]}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1])


MONSTERS = {
    "a field of 5 MB": b"X-Big: " + b"a" * 5_000_000 + b"\r\nSubject: kept\r\n\r\nbody here\r\n",
    "50000 folded lines": b"X-F: a\r\n" + b" folded\r\n" * 50_000 + b"Subject: kept\r\n\r\nbody here\r\n",
    "20000 fields": b"X: y\r\n" * 20_000 + b"Subject: kept\r\n\r\nbody here\r\n",
    "nested parts": b"Subject: kept\r\n" + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000)) + b"\r\nbody here\r\n",
    "nested messages": b"Subject: kept\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 5000 + b"\r\nbody here\r\n",
    "a line of 8 MB": b"Subject: kept\r\n\r\n" + b"l" * 8_000_000 + b"\r\nbody here\r\n",
}


@pytest.mark.parametrize("name", MONSTERS)
def test_monstrous_messages_keep_their_body_and_cost_no_memory(server, sink, name):
    before = memory_kb(server)
    content = relayed(server, sink, MONSTERS[name])
    assert content.endswith(b"body here\r\n") and b"Subject: kept\r\n" in content
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert memory_kb(server) - before < 4096


def test_a_client_that_does_not_read_costs_no_memory(server):
    before = memory_kb(server)
    with server.connect() as c:
        c.hello()
        c.sock.settimeout(0.5)
        try:
            for _ in range(3000):
                c.sock.send(b"MAIL FROM:<a@b.test>\r\nRSET\r\n" * 50)
        except OSError:
            pass
        assert memory_kb(server) - before < 4096


def test_one_session_in_trouble_does_not_hold_the_others(server):
    stuck = [server.connect() for _ in range(20)]
    for i, c in enumerate(stuck):
        c.hello()
        c.send([b"NOO", b"MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@here.test>\r\nDATA\r\nSubject: x\r\n", b"BDAT 100 LAST\r\nx", b"x" * 5000][i % 4])
    started = time.monotonic()
    with server.connect() as c:
        c.hello()
        c.mail()
    assert time.monotonic() - started < 2
    for c in stuck:
        c.close()


def test_log_lines_are_one_line_each_without_control_characters(server):
    with server.connect() as c:
        c.cmd(b"EHLO a\x1b[31m\x7f" + b"h" * 400 + b"\r\n")
        c.cmd("MAIL FROM:<s@there.test>", 250)
        c.cmd('RCPT TO:<"x>, status=sent (250) \\\\"@here.test>', 550)
        c.cmd(b"RCPT TO:<" + b"n" * 900 + b"@here.test>\r\n")
        c.cmd("RCPT TO:<alice@here.test>", 250)
        c.data(b"Message-ID: <a\x1b[2J\r\n b\tc>\r\nSubject: log\r\n\r\nx\r\n")
        c.envelope()
        c.data(b"Message-ID: <" + b"m" * 5000 + b">\r\nSubject: log\r\n\r\nx\r\n")
    server.wait_log(r"message-id=<a\?\[2J")
    raw = server.maillog.read_bytes()
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", raw)
    for line in raw.splitlines():
        assert re.match(rb"\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ postern(/\S+)?/\w+\[\d+\]: ", line), line
        assert len(line) < 5000


def test_a_client_that_goes_without_quit_once_its_message_is_through_is_not_said_to_be_lost(server):
    with server.connect() as c:
        c.hello("leaves.test")
        c.mail()
        before = len(server.log())
    wait_until(lambda: "disconnect from" in server.log()[before:])
    assert "lost connection" not in server.log()[before:]
    server.connect().close()
    server.wait_log(r"lost connection after CONNECT from unknown\[127\.0\.0\.1\]\n.*: disconnect from unknown\[127\.0\.0\.1\] commands=0/0$")


# ---- A, G: content

@pytest.mark.parametrize("name,body,expected", [
    ("no colon", b"no header here\r\nSubject: x\r\n\r\nb\r\n", b"\r\nno header here\r\nSubject: x\r\n\r\nb\r\n"),
    ("blank first", b" leading\r\nSubject: x\r\n\r\nb\r\n", b"\r\n leading\r\nSubject: x\r\n\r\nb\r\n"),
    ("colon first", b": x\r\nSubject: y\r\n\r\nb\r\n", b"\r\n: x\r\nSubject: y\r\n\r\nb\r\n"),
    ("a NUL in a name", b"Sub\0ject: y\r\n\r\nb\0b\r\n", b"\r\nSub\0ject: y\r\n\r\nb\0b\r\n"),
    ("8 bits in a name", b"S\xc3\xa9: y\r\n\r\nb\r\n", b"\r\nS\xc3\xa9: y\r\n\r\nb\r\n"),
    ("8 bits and NUL in a value", COMPLETE + b"X: \xff\0y\r\n\r\nb\xfe\r\n", COMPLETE + b"X: \xff\0y\r\n\r\nb\xfe\r\n"),
    ("no body", COMPLETE, COMPLETE + b"\r\n"),
    ("blank before the colon", COMPLETE + b"Subject : x\r\n\r\nb\r\n", COMPLETE + b"Subject : x\r\n\r\nb\r\n"),
    ("doubles", COMPLETE + COMPLETE + b"\r\nb\r\n", COMPLETE + COMPLETE + b"\r\nb\r\n"),
    ("dropped fields", COMPLETE + b"Return-Path: <forged@x.test>\r\nBcc: hidden@x.test,\r\n more@x.test\r\nContent-Length: 5\r\nTo: a@b.test\r\n\r\nBcc: body\r\n", COMPLETE + b"To: a@b.test\r\n\r\nBcc: body\r\n"),
    ("mailbox line", b"From a@b Mon Jan 1\r\n" + COMPLETE + b"\r\nFrom z\r\n", b"X-Mailbox-Line: From a@b Mon Jan 1\r\n" + COMPLETE + b"\r\nFrom z\r\n"),
    ("bare CR", COMPLETE + b"X: a\rb\r\n\r\nx\ry\r\r\nz\r\n", COMPLETE + b"X: a b\r\n\r\nx y \r\nz\r\n"),
    ("bare LF", COMPLETE + b"\r\na\nb\n\nc\r\n", COMPLETE + b"\r\na\r\nb\r\n\r\nc\r\n"),
    ("only blank lines", b"\r\n\r\n\r\n", b"\r\n\r\n\r\n"),
])
@pytest.mark.parametrize("chunk", [False, True])
def test_what_is_odd_is_kept(odd, name, body, expected, chunk):
    server, sink = odd
    assert relayed(server, sink, body, chunk) == expected


@pytest.fixture(scope="module")
def odd(request, sink):
    instance = Instance({"relayhost": f"[127.0.0.1]:{sink.port}", "local_header_rewrite_clients": ""})
    request.addfinalizer(instance.close)
    return instance.start(), sink


# ---- Q: configuration

@pytest.mark.parametrize("settings,stops", [
    ({"mynetworks": "0.0.0.0/0"}, True), ({"mynetworks": "127.0.0.1/33"}, True), ({"mynetworks": "127.0.0.1/8"}, True), ({"mynetworks": "foo"}, True), ({"mynetworks": "hash:/nonexistent"}, True),
    ({"smtpd_client_event_limit_exceptions": "1.2.3"}, True), ({"smtpd_forbid_bare_newline_exclusions": "x/y"}, True), ({"smtpd_relay_restrictions": "$nope"}, True), ({"smtpd_relay_restrictions": ""}, True),
    ({"smtpd_relay_restrictions": "reject_unauth_destinaton"}, True), ({"queue_directory": "relative"}, True), ({"smtpd_relay_before_recipient_restrictions": "maybe"}, True), ({"myhostname": ""}, False), ({"smtpd_timeout": "0"}, False),
    ({"message_size_limit": "-1"}, False), ({"relay_domains": "$a", "a": "$b", "b": "$a"}, False), ({"smtpd_banner": "x" * 100_000}, False), ({"smtpd_banner": "a\rb"}, False),
])
def test_what_is_written_wrong_is_said_and_never_opens_the_host(make, settings, stops):
    instance = make(settings, start=False)
    instance.settings.setdefault("mynetworks", "127.0.0.77/32")
    if "mynetworks" not in settings:
        instance.settings["mynetworks"] = "127.0.0.77/32"
    instance.write_config()
    instance.postern("setup", check=False)
    checked = instance.postern("check", check=False)
    assert checked.returncode != 0 and re.search(rf"postern\.conf:\d+: .*({'|'.join(settings)})", checked.stdout + checked.stderr)
    started = instance.postern("start", check=False)
    assert (started.returncode != 0) == stops, started.stderr
    if stops:
        assert "postern.conf" in started.stderr
        return
    instance.started = True
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<a@b.test>", 250)
        assert c.cmd("RCPT TO:<victim@far.test>").code == 554


def test_a_reload_that_would_leave_a_listener_unserved_is_refused(make):
    instance = make()
    instance.settings["mynetworks"] = "127.0.0.1/8"
    instance.write_config()
    done = instance.postern("reload", check=False)
    assert done.returncode != 0 and "mynetworks" in done.stderr
    with instance.connect() as c:
        c.hello()
        c.mail()


@pytest.mark.parametrize("name", ["relay_domains", "virtual_alias_maps", "local_recipient_maps", "mydestination", "canonical_maps"])
def test_a_table_that_is_away_is_a_temporary_failure(make, name):
    instance = make({name: "texthash:/nonexistent/table", "mynetworks": "127.0.0.77/32"})
    with instance.connect() as c:
        c.hello()
        reply = c.cmd("MAIL FROM:<a@b.test>")
        if reply.code == 250:
            replies = [c.cmd("RCPT TO:<alice@here.test>").code, c.cmd("RCPT TO:<nobody@here.test>").code, c.cmd("RCPT TO:<victim@far.test>").code]
            assert 451 in replies and not (name != "relay_domains" and 550 in replies) and replies[2] >= 400
        else:
            assert reply.code == 451
