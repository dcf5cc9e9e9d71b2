"""Only CRLF.CRLF ends a message, and no bare CR or LF ever leaves (RFC 5321, 2.3.8, 4.1.1.4)."""
import pytest

SMUGGLED = b"MAIL FROM:<evil@there.test>\r\nRCPT TO:<alice@here.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nowned\r\n.\r\n"
ENDS = {
    "LF.LF": b"\n.\n", "LF.CRLF": b"\n.\r\n", "CRLF.LF": b"\r\n.\n", "CRLF.CR": b"\r\n.\r", "CR.CR": b"\r.\r", "CR.CRLF": b"\r.\r\n", "CR.LF": b"\r.\n",
    "LF.CR": b"\n.\r", "CRLF-NUL-.CRLF": b"\r\n\0.\r\n", "CRLF.-NUL-CRLF": b"\r\n.\0\r\n", "CRCRLF.CRLF-ish": b"\r\r\n.\r\r\n", "CRLF.CRCRLF": b"\r\n.\r\r\n", "LFLF.CRLF": b"\n\n.\r\n",
}


@pytest.fixture(params=["normalize", "yes", "reject", "no"])
def relay(request, make, peer):
    sink = peer()
    instance = make({"smtpd_forbid_bare_newline": request.param, "smtpd_forbid_bare_newline_exclusions": "", "relayhost": f"[127.0.0.1]:{sink.port}"})
    return instance, sink, request.param


@pytest.mark.parametrize("name", ENDS)
def test_a_false_end_of_data_makes_no_second_message(make, peer, relay, name):
    instance, sink, mode = relay
    with instance.connect() as c:
        c.hello()
        c.envelope("s@there.test", "r@far.test")
        c.cmd("DATA", 354)
        c.send(b"Subject: carrier\r\n\r\nbefore" + ENDS[name] + SMUGGLED.replace(b"\r\n.\r\n", b"\r\n..\r\n") + b"after\r\n.\r\n")
        first = c.reply()
        if mode == "reject" and b"\n" in ENDS[name].replace(b"\r\n", b""):
            assert first.code >= 500, first
            return
        assert first.code == 250 or first.code >= 500, first
        if first.code != 250:
            return
    message = sink.wait()[0]
    instance.wait_queue_empty()
    assert len(sink.messages) == 1
    assert "evil" not in sink.messages[0]["mail"]
    content = message["content"]
    assert b"\n" not in content.replace(b"\r\n", b"") and b"\r" not in content.replace(b"\r\n", b""), content
    assert b"owned" in content and content.endswith(b"after\r\n")


def test_the_end_of_data_may_be_cut_anywhere(shared):
    whole = b"Subject: cut\r\n\r\n..a\r\n.b\r\nc\r\n.\r\n"
    for at in range(1, len(whole)):
        with shared.connect() as c:
            c.hello()
            c.envelope("s@there.test", "alice@here.test")
            c.cmd("DATA", 354)
            c.send(whole[:at])
            c.sock.settimeout(0.02)
            try:
                assert at == len(whole) or not c.sock.recv(1)
            except TimeoutError:
                pass
            c.sock.settimeout(10)
            c.send(whole[at:])
            assert c.reply().code == 250
    texts = {m.split(b"\n\n", 1)[1] for m in shared.wait_mail("alice", len(whole) - 1, 20) if b"Subject: cut" in m}
    assert texts == {b".a\nb\nc\n"}


def test_bare_lf_in_commands_runs_no_second_command(make):
    instance = make({"smtpd_forbid_bare_newline_exclusions": ""})
    with instance.connect() as c:
        c.hello()
        c.send(b"NOOP\nVRFY alice\nNOOP\r\n")
        first = c.reply()
        c.send(b"QUIT\r\n")
        rest = c.reply()
        assert first.code == 250 or first.code >= 500
        assert rest.code != 252


@pytest.mark.parametrize("body,stored", [(b".\r\n", b""), (b"\r\n.\r\n", b""), (b"no header\r\n.\r\n", None), (b"Subject: a\r\n\r\nabc\r\n.\r\n", b"abc\n"), (b"Subject: a\r\n\r\n..\r\n...x\r\n.\r\n", b".\n..x\n")])
def test_short_bodies_keep_their_lines(make, body, stored):
    instance = make()
    with instance.connect() as c:
        c.hello()
        c.envelope("s@there.test", "bob@here.test")
        c.cmd("DATA", 354)
        c.send(body)
        assert c.reply().code == 250
    message = instance.wait_mail("bob")[0]
    if stored is not None:
        assert message.split(b"\n\n", 1)[1:] in ([stored], [stored] if stored else [])
