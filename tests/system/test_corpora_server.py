"""Public collections against the SMTP server: false ends of data, dialogues, addresses, UTF-8, messages. Skipped where they are absent."""
import json, os, pathlib, re

import pytest
from harness.instance import Instance, wait_until
from harness.peer import Peer

CORPORA = pathlib.Path(os.environ.get("POSTERN_CORPORA", pathlib.Path(__file__).parents[2] / "../shared/corpora-shared")).resolve()


def corpus(name):
    path = CORPORA / name
    if not path.exists():
        pytest.skip(f"no {name} in {CORPORA}")
    return path


@pytest.fixture(scope="module")
def sink(request):
    p = Peer(extensions=("PIPELINING", "8BITMIME", "SIZE 0", "DSN", "SMTPUTF8", "ENHANCEDSTATUSCODES"))
    request.addfinalizer(p.close)
    return p


@pytest.fixture(scope="module")
def server(request, sink):
    instance = Instance({
        "relayhost": f"[127.0.0.1]:{sink.port}", "mydestination": "testserver, here.test", "local_recipient_maps": "inline:{ { user = x } }", "message_size_limit": 1048576, "local_header_rewrite_clients": "",
        "smtpd_error_sleep_time": "0", "smtpd_soft_error_limit": 10000, "smtpd_hard_error_limit": 10000, "smtpd_junk_command_limit": 10000,
    })
    request.addfinalizer(instance.close)
    return instance.start()


def test_false_ends_of_data(server, sink):
    text = corpus("smtp-smuggling/eod-sequences.tsv").read_text()
    sequences = [bytes.fromhex(line.split("\t")[0]) for line in text.splitlines() if line and not line.startswith("#")]
    before = len(sink.messages)
    for sequence in sequences:
        with server.connect() as c:
            c.hello()
            c.envelope("carrier@there.test", "r@far.test")
            c.cmd("DATA", 354)
            c.send(b"Subject: s\r\n\r\nx" + sequence + b"MAIL FROM:<evil@there.test>\r\nRCPT TO:<user@here.test>\r\nDATA\r\nSubject: owned\r\n\r\n..\r\n.\r\n")
            assert c.reply().code == 250
            c.cmd("QUIT", 221)
    assert sequences and wait_until(lambda: len(sink.messages) >= before + len(sequences), 20)
    server.wait_queue_empty()
    assert len(sink.messages) == before + len(sequences)
    for message in sink.messages[before:]:
        assert "evil" not in message["mail"] and b"Subject: owned" in message["content"] and not re.search(rb"\r(?!\n)|(?<!\r)\n", message["content"])


# What the dialogue's own server does, and we on purpose do not: a bare name is completed, a source of 320 octets is no error of ours.
OTHER_MIND = [r"^MAIL FROM:<pepe>$", r"^RCPT TO:<pepe>$", r"^(MAIL FROM|RCPT TO):<a@xn--->$", r"^HELO a{9}1", r"^(GET|POST|CONNECT) "]


def test_dialogues(server):
    files = sorted(corpus("smtp-dialogues/chasquid").rglob("*.cmy"))
    assert files
    for file in files:
        if "auth" in file.name or "sendmail" in file.name:
            continue
        c, last, body, closed = None, "", False, False
        for line in file.read_text().splitlines():
            if line.startswith("c tcp_connect"):
                c, closed, body = server.connect(banner=False), False, False
            elif line.startswith("c close"):
                c.close()
            elif closed:
                continue
            elif line.startswith("c ->"):
                last = line[5:] if len(line) > 4 else ""
                c.send(last + "\r\n")
            elif line.startswith("c ~>"):
                c.send(eval(line[5:], {"__builtins__": {}}))
            elif m := re.match(r"c (?:<~|<-|<\.\.\.) (\d)", line):
                reply = c.reply()
                if last.startswith("HELO a") or not any(re.match(p, last) for p in OTHER_MIND):
                    if file.name == "bad_data_dot.cmy":
                        assert reply.code in (220, 250, 354) or reply.code >= 500
                    elif last.startswith("HELO a"):
                        assert reply.code == 220 or reply.code >= 500
                    else:
                        assert str(reply.code)[0] == m[1], f"{file.name}: {last!r}: {reply}"
                closed = reply.code in (421, 221, 554) and c.closed(0.3)
                last = "" if reply.code != 354 else last
        c.close()


def pictures(text):
    """isemail writes control characters as their pictures (U+2400...)."""
    return "".join(chr(ord(ch) - 0x2400) if 0x2400 <= ord(ch) <= 0x2421 else ch for ch in text)


def test_addresses(server):
    tests = json.loads(corpus("addresses/isemail-tests.json").read_text())
    wrong = []
    with server.connect() as c:
        c.hello()
        for test in tests:
            address = pictures(test["address"])
            if "\r" in address or "\n" in address or address == "":
                continue
            c.cmd("RSET", 250)
            code = c.cmd(f"MAIL FROM:<{address}>").code
            bare = "@" not in address and re.fullmatch(r"[\w.!#$%&'*+/=?^`{|}~-]+", address)
            routed = address.startswith("@")
            if test["category"] in ("ISEMAIL_VALID_CATEGORY", "ISEMAIL_RFC5321", "ISEMAIL_DNSWARN") and code != 250:
                wrong.append((test["category"], test["diagnosis"], address, code))
            if test["category"] == "ISEMAIL_ERR" and code == 250 and not bare and not routed:
                wrong.append((test["category"], test["diagnosis"], address, code))
    allowed = {"ISEMAIL_RFC5321_ADDRESSLITERAL", "ISEMAIL_RFC5321_TLD", "ISEMAIL_RFC5321_TLDNUMERIC", "ISEMAIL_RFC5321_IPV6DEPRECATED"}
    assert not [row for row in wrong if row[1] not in allowed], wrong


def test_utf8(server):
    rows = re.findall(r"^([\d.]+):(valid|invalid) hex:([0-9A-Fa-f ]+)", corpus("utf8/utf8tests/utf8tests.txt").read_text(), re.M)
    assert len(rows) > 50
    wrong = []
    with server.connect() as c:
        c.hello()
        for number, kind, hexes in rows:
            octets = bytes.fromhex(hexes)
            if b"\n" in octets:
                continue
            c.cmd("RSET", 250)
            code = c.cmd(b'MAIL FROM:<"' + octets.replace(b'"', b"").replace(b"\\", b"") + b'"@there.test> SMTPUTF8\r\n').code
            plain = all(octet >= 0x20 and octet != 0x7F for octet in octets)
            if kind == "invalid" and code == 250 or kind == "valid" and plain and code != 250 and not re.search(r"[\x80-\x9f]", octets.decode()):
                wrong.append((number, kind, hexes, code))
    assert not wrong


def as_sent(octets):
    """Lines that end in CRLF, without what is changed on purpose."""
    return re.sub(rb"\r\n|\n|\r", b"\r\n", octets.rstrip(b"\r\n") + b"\n")


def test_messages(server, sink):
    files = [f for f in sorted(corpus("messages").rglob("*")) if f.is_file() and 0 < f.stat().st_size < 100_000]
    files = files[::max(1, len(files) // 150)]
    first, sent = len(sink.messages), []
    with server.connect(timeout=60) as c:
        c.hello()
        for file in files:
            content = as_sent(file.read_bytes())
            c.envelope("s@there.test", "r@far.test", parameters="BODY=8BITMIME")
            c.cmd("DATA", 354)
            c.send(re.sub(rb"(?m)^\.", b"..", content) + b".\r\n")
            reply = c.reply()
            assert reply.code == 250 or "too many hops" in reply.text or "header too big" in reply.text, f"{file}: {reply}"
            if reply.code == 250:
                sent.append((file, content))
    assert sent and wait_until(lambda: len(sink.messages) >= first + len(sent), 60)
    server.wait_queue_empty()
    got = [m["content"].split(b"\r\n\r\n", 1)[1] for m in sink.messages[first:]]
    assert len(got) == len(sent)
    bodies = set(got)
    lost = [str(file) for file, content in sent if b"\r\n\r\n" in content and not content.startswith(b"\r\n") and max(map(len, content.split(b"\r\n"))) <= 998
            and all(re.match(rb"[!-9;-~]+[ \t]*:|[ \t]|>*From ", line) for line in content.split(b"\r\n\r\n", 1)[0].split(b"\r\n"))
            and not content.startswith((b" ", b"\t")) and content.split(b"\r\n\r\n", 1)[1] not in bodies]
    assert not lost
