"""TLS of the server: STARTTLS and TLS from the first octet on, and what must not pass before it."""
import json, os, re, shutil, smtplib, socket, ssl, subprocess, time

import pytest
from harness.client import tls_context
from harness.instance import wait_until
from harness.postfix import Postfix
from harness.tls_host import ca, host, hosts, identities, Listeners

LONG = os.environ.get("POSTERN_LONG_TESTS")


def keywords(reply):
    return [line[4:].split()[0] for line in reply.lines[1:]]


# ---- STARTTLS, and a message through it


@pytest.mark.parametrize("version,name", [(ssl.TLSVersion.TLSv1_3, "TLSv1.3"), (ssl.TLSVersion.TLSv1_2, "TLSv1.2")])
@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_mail_over_starttls(host, ca, version, name, kind):
    before = len(host.instance.mailbox("alice"))
    ciphers = {"ecdsa": "ECDHE-ECDSA-AES256-GCM-SHA384", "rsa": "ECDHE-RSA-AES256-GCM-SHA384"}[kind] if name == "TLSv1.2" else None
    with host.connect() as c:
        assert "STARTTLS" in keywords(c.hello())
        c.starttls(tls_context(ca.cert, only=version, ciphers=ciphers))
        assert c.sock.version() == name
        assert "STARTTLS" not in keywords(c.hello())
        queue_id = c.mail()
        c.cmd("QUIT", 221)
    message = host.instance.wait_mail("alice", before + 1)[-1].decode()
    received = re.sub(r"\r?\n[ \t]+", " ", message.partition("Received: ")[2]).split("\n")[0]
    exchange = {"TLSv1.3": r" key-exchange \S+( \(\S+\))? server-signature [\w-]+ \([\w ]+\) server-digest SHA\d+", "TLSv1.2": ""}[name] # as Postfix
    assert re.search(rf"\(using {re.escape(name)} with cipher \S+ \(256/256 bits\){exchange}\) \(No client certificate requested\) by mx\.here\.test \(Postern\) with ESMTPS id {queue_id}", received), received
    host.instance.wait_log(rf"postern/smtpd\[\d+\]: Anonymous TLS connection established from unknown\[127\.0\.0\.1\]: {re.escape(name)} with cipher \S+ \(256/256 bits\){exchange}$")
    host.instance.wait_log(r"disconnect from unknown\[127\.0\.0\.1\] ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7")


def test_tls_from_the_first_octet_on(host, ca):
    before = len(host.instance.mailbox("bob"))
    with host.connect(host.smtps, tls=tls_context(ca.cert)) as c:
        assert c.banner.lines[0].startswith("220 mx.here.test ESMTP")
        assert "STARTTLS" not in keywords(c.hello())
        c.cmd("STARTTLS", "554 5.5.1 Error: TLS already active")
        queue_id = c.mail(recipients=["bob@here.test"])
        c.cmd("QUIT", 221)
    assert b"with ESMTPS id" in host.instance.wait_mail("bob", before + 1)[-1]
    host.instance.wait_log(rf"postern/cleanup\[\d+\]: {queue_id}: message-id=<")  # no syslog_name of a listener: as in Postfix
    host.instance.wait_log(r"postern/smtps/smtpd\[\d+\]: Anonymous TLS connection established from unknown\[127\.0\.0\.1\]: TLSv1\.3 with cipher ")


def test_smtputf8_and_tls_name_their_protocol(host):
    before = len(host.instance.mailbox("bob"))
    with host.connect() as c:
        c.hello()
        c.starttls().hello()
        c.envelope("s@there.test", "bob@here.test", parameters="SMTPUTF8")
        c.data("Subject: x\r\n\r\nx\r\n")
    assert b"with UTF8SMTPS id" in host.instance.wait_mail("bob", before + 1)[-1]


def test_all_state_is_forgotten(host):
    with host.connect() as c:
        c.hello("before.test")
        c.envelope()
        c.starttls()
        c.cmd("RCPT TO:<alice@here.test>", "503 5.5.1")
        c.cmd("DATA", "503 5.5.1")
        c.cmd("ETRN here.test", "503 5.5.1 Error: send HELO/EHLO first")
        c.cmd("STARTTLS", "554 5.5.1 Error: TLS already active")
    with host.connect() as c: # MAIL without EHLO is not ESMTP any more
        c.hello("before.test")
        c.starttls()
        c.cmd("MAIL FROM:<s@there.test>", 250)
        c.cmd("RCPT TO:<nobody@here.test>", 550)
    host.instance.wait_log(r"reject: RCPT .*to=<nobody@here\.test> proto=SMTP$")


def test_forms_of_the_command(host):
    with host.connect() as c:
        c.cmd("STARTTLS now", "501 5.5.4 Syntax: STARTTLS")
        c.cmd("starttls", "220 2.0.0 Ready to start TLS")
        c.wrap()
        c.cmd("NOOP", 250)
    with host.connect() as c: # without EHLO, after HELO, within a transaction
        c.hello(verb="HELO")
        c.envelope()
        c.starttls().hello()


def test_no_tls_where_none_is_configured(shared):
    with shared.connect() as c:
        assert "STARTTLS" not in keywords(c.hello())
        c.cmd("STARTTLS", "502 5.5.1 Error: command not implemented")
        c.mail()


def test_a_listener_without_a_certificate(make):
    instance = make({"smtpd_tls_security_level": "may"}) # the keys process has nothing to tell
    with instance.connect() as c:
        assert "STARTTLS" not in keywords(c.hello())
        c.cmd("STARTTLS", "454 4.7.0 TLS not available due to local problem")
        c.mail()


def test_the_keyword_can_be_hidden(hosts):
    h = hosts({"smtpd_discard_ehlo_keywords": "starttls"})
    with h.connect() as c:
        assert "STARTTLS" not in keywords(c.hello())
        c.cmd("STARTTLS", 502)


# ---- where TLS is required


@pytest.mark.parametrize("command", ["MAIL FROM:<s@there.test>", "RCPT TO:<alice@here.test>", "DATA", "RSET", "VRFY alice", "EXPN alice", "ETRN here.test"])
def test_nothing_goes_before_required_tls(host, command):
    with host.connect(host.submission) as c:
        c.hello()
        c.cmd(command, "530 5.7.0 Must issue a STARTTLS command first")


def test_a_chunk_before_required_tls_is_swallowed(host):
    with host.connect(host.submission) as c:
        c.hello()
        c.cmd(b"BDAT 19 LAST\r\nMAIL FROM:<a@b.c>\r\n", "530 5.7.0")
        c.cmd("NOOP", 250)


def test_what_goes_before_required_tls(host):
    with host.connect(host.submission) as c:
        assert "STARTTLS" in keywords(c.hello())
        for command, code in (("NOOP", 250), ("HELP", 214), ("HELO x", 250), ("BOGUS", 500)):
            c.cmd(command, code)
        c.starttls().hello()
        c.mail()
    with host.connect(host.submission) as c:
        c.cmd("QUIT", 221)


def test_old_names_of_the_levels(hosts):
    h = hosts({"smtpd_tls_security_level": None, "smtpd_use_tls": "yes", "smtpd_recipient_restrictions": "reject_plaintext_session"}, submission="smtpd_tls_security_level =\nsmtpd_enforce_tls = yes\n")
    with h.connect() as c:
        assert "STARTTLS" in keywords(c.hello())
        c.cmd("MAIL FROM:<s@there.test>", 250)
        c.cmd("RCPT TO:<alice@here.test>", "450 4.7.1 Session encryption is required")
        c.starttls().hello()
        c.mail()
    with h.connect(h.submission) as c:
        c.hello()
        c.cmd("MAIL FROM:<>", 530)
        c.starttls().hello()
        c.mail()


# ---- plain text that wants to be taken for protected (CVE-2011-0411)


def test_commands_behind_starttls_end_the_session(host):
    with host.connect() as c:
        c.hello()
        c.send("STARTTLS\r\nMAIL FROM:<injected@there.test>\r\n")
        assert c.reply().lines == ["554 5.5.0 Error: SMTP protocol synchronization"]
        assert c.closed()
    host.instance.wait_log(r"improper command pipelining after STARTTLS from unknown\[127\.0\.0\.1\]")


@pytest.mark.parametrize("injected", ["EHLO injected.test\r\n", "NOOP\r\nNOOP\r\n", "MAIL FROM:<injected@there.test>\r\nRCPT TO:<alice@here.test>\r\n", "NOOP", "\r\n"])
def test_commands_behind_starttls_are_never_run(request, identities, injected):
    h = getattr(test_commands_behind_starttls_are_never_run, "host", None)
    if h is None:
        h = test_commands_behind_starttls_are_never_run.host = Listeners(identities, {"smtpd_forbid_unauth_pipelining": "no"})
        request.session.addfinalizer(h.instance.close)
    with h.connect() as c:
        c.hello()
        c.send("STARTTLS\r\n" + injected)
        c.reply()
        c.wrap()
        c.send("VRFY nobody@here.test\r\n") # the first reply within TLS is to this
        assert c.reply().code == 550
        c.hello()
    assert "injected" not in h.instance.log()


def test_plain_text_instead_of_a_handshake(host):
    with host.connect() as c:
        c.hello()
        c.cmd("STARTTLS", 220)
        c.send("EHLO x\r\nMAIL FROM:<injected@there.test>\r\n")
        assert c.closed()
    host.instance.wait_log(r"SSL_accept error from unknown\[127\.0\.0\.1\]: .+\n.*lost connection after STARTTLS from unknown\[127\.0\.0\.1\]")
    host.instance.wait_log(r"disconnect from unknown\[127\.0\.0\.1\] ehlo=1 starttls=0/1 commands=1/2$")
    for said in (b"GET / HTTP/1.0\r\n\r\n", b"EHLO x\r\n", b"\0" * 600, os.urandom(3000), b"\x16\x03\x01\xff\xff" + b"\0" * 20000, b"\x80\x2e\x01\x00\x02"):
        with host.connect(host.smtps, banner=False) as c:
            c.send(said)
            c.sock.shutdown(socket.SHUT_WR)
            assert c.closed(), said[:20]
    host.instance.wait_log(r"postern/smtps/smtpd\[\d+\]: lost connection after CONNECT from unknown\[127\.0\.0\.1\]", count=6)


# ---- handshakes that fail


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(host, version):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{host.smtps}", version, "-cipher", "ALL:@SECLEVEL=0"], input=b"QUIT\r\n", capture_output=True, timeout=20)
    assert b"220 mx.here.test" not in done.stdout
    host.instance.wait_log(r"postern/smtps/smtpd\[\d+\]: SSL_accept error from unknown\[127\.0\.0\.1\]: .*(unsupported protocol|version)")


def client_hello():
    outgoing = ssl.MemoryBIO()
    speaker = tls_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="mx.here.test")
    with pytest.raises(ssl.SSLWantReadError):
        speaker.do_handshake()
    return outgoing.read()


def test_a_handshake_that_is_cut_anywhere(host):
    hello = client_hello()
    workers = host.instance.pids("smtpd")
    for length in range(0, len(hello) + 1, 1 if LONG else 9):
        with host.connect(host.smtps, banner=False) as c:
            c.send(hello[:length])
            c.sock.shutdown(socket.SHUT_WR)
            assert c.closed(), length
    for position in range(0, len(hello), 1 if LONG else 11): # one octet is wrong
        with host.connect(host.smtps, banner=False) as c:
            c.send(hello[:position] + bytes([hello[position] ^ 0xff]) + hello[position + 1:])
            c.sock.shutdown(socket.SHUT_WR)
            assert c.closed(), position
    assert host.instance.pids("smtpd") == workers
    with host.connect(host.smtps, tls=tls_context()) as c:
        c.hello()


def test_a_handshake_octet_by_octet(host):
    with host.connect(host.smtps, banner=False) as c:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        speaker = tls_context().wrap_bio(incoming, outgoing, server_hostname="mx.here.test")
        while True:
            try:
                speaker.do_handshake()
                break
            except ssl.SSLWantReadError:
                for octet in outgoing.read():
                    c.send(bytes([octet]))
                incoming.write(c.sock.recv(65536))
        c.send(outgoing.read())
        while True:
            try:
                assert speaker.read().startswith(b"220 mx.here.test")
                break
            except ssl.SSLWantReadError:
                incoming.write(c.sock.recv(65536))


def test_slow_handshakes_end(hosts):
    h = hosts({"smtpd_starttls_timeout": "1s"})
    started = time.monotonic()
    silent = h.connect(h.smtps, banner=False)
    slow = h.connect()
    slow.hello()
    slow.cmd("STARTTLS", 220)
    hello = client_hello()
    for octet in hello[:40]: # a trickle does not count as progress
        try:
            slow.send(bytes([octet]))
        except OSError:
            break
        time.sleep(0.04)
    assert slow.closed() and silent.closed()
    assert 0.9 < time.monotonic() - started < 5
    h.instance.wait_log(r"postern/smtpd\[\d+\]: SSL_accept error from unknown\[127\.0\.0\.1\]: Connection timed out\n.*lost connection after STARTTLS from")
    h.instance.wait_log(r"postern/smtps/smtpd\[\d+\]: SSL_accept error from unknown\[127\.0\.0\.1\]: Connection timed out\n.*lost connection after CONNECT from")


def test_new_sessions_are_limited(hosts):
    h = hosts({"smtpd_client_new_tls_session_rate_limit": 2, "smtpd_client_event_limit_exceptions": ""})
    context = tls_context()
    session = None
    for _ in range(4): # those that resume do not count
        with h.connect(h.smtps, banner=False) as c:
            c.wrap(context, session=session)
            assert c.reply().code == 220
            c.hello()
            session = c.sock.session
    for expected in (220, 421):
        with h.connect(h.smtps, tls=tls_context()) as c:
            assert c.banner.code == expected, c.banner
    h.instance.wait_log(r"warning: New TLS session rate limit exceeded: 3 from unknown\[127\.0\.0\.1\] for service smtps")


# ---- what the session is


def test_a_session_resumes_on_its_own_listener_only(hosts):
    h = hosts({"smtpd_workers": 2})
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = tls_context(only=version)
        with h.connect() as c:
            c.hello()
            c.starttls(context).hello()
            session = c.sock.session
            assert not c.sock.session_reused
        reused = []
        for _ in range(6):
            with h.connect() as c:
                c.hello()
                c.starttls(context, session=session).hello()
                reused.append(c.sock.session_reused)
        assert all(reused), reused
        with h.connect(h.submission) as c:
            c.hello()
            c.starttls(context, session=session).hello()
            assert not c.sock.session_reused


@pytest.mark.parametrize("offered,taken", [(["smtp"], True), (["h2", "http/1.1"], False), (["h2", "smtp"], True), (["smtps"], False)])
def test_other_protocols_are_refused(host, offered, taken):
    context = tls_context()
    context.set_alpn_protocols(offered)
    if taken:
        with host.connect(host.smtps, tls=context) as c:
            assert c.sock.selected_alpn_protocol() == "smtp"
            c.hello()
    else:
        with pytest.raises(ssl.SSLError, match="(?i)application protocol"):
            host.connect(host.smtps, tls=context)


def test_a_client_cannot_renegotiate(host):
    process = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{host.smtps}", "-tls1_2", "-crlf"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    time.sleep(0.3)
    process.stdin.write(b"R\n")
    process.stdin.flush()
    time.sleep(0.3)
    out, _ = process.communicate(timeout=10)
    assert b"RENEGOTIATING" in out and b"no renegotiation" in out, out[-400:]


def test_a_large_message(host):
    body = b"Subject: large\r\n\r\n" + b"".join(b"%070d\r\n" % n for n in range(60000))
    before = len(host.instance.mailbox("bob"))
    with host.connect(host.smtps, tls=tls_context()) as c:
        c.hello()
        c.envelope("s@there.test", "bob@here.test")
        c.data(body)
        c.cmd("QUIT", 221)
    got = host.instance.wait_mail("bob", before + 1)[-1]
    assert got.endswith(body.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n"))


@pytest.mark.parametrize("orderly", [True, False])
@pytest.mark.parametrize("begin", ["DATA", "BDAT 1000 LAST"])
def test_a_message_that_is_cut_is_none(host, begin, orderly):
    before = len(host.instance.mailbox("bob"))
    with host.connect(host.smtps, tls=tls_context()) as c:
        c.hello()
        c.envelope("s@there.test", "bob@here.test")
        c.send(begin + "\r\n")
        c.send("Subject: cut\r\n\r\nthe rest is miss")
        time.sleep(0.1)
        if orderly:
            try:
                c.sock.unwrap() # close_notify, and no dot
            except (OSError, ssl.SSLError):
                pass
    with host.connect(host.smtps, tls=tls_context()) as c: # the next one is served, and gets only his own
        c.hello()
        c.mail(recipients=["bob@here.test"], body="Subject: whole\r\n\r\nx\r\n")
    mails = host.instance.wait_mail("bob", before + 1)
    time.sleep(0.1)
    assert len(host.instance.mailbox("bob")) == before + 1 and b"whole" in mails[-1]


# ---- while it runs


def test_a_session_outlives_a_reload(hosts):
    h = hosts()
    with h.connect(h.smtps, tls=tls_context()) as old:
        old.hello()
        old.envelope()
        h.instance.reload(smtpd_tls_mandatory_protocols=">=TLSv1.3", smtpd_tls_protocols=">=TLSv1.3")
        def refuses():
            try:
                with h.connect(h.smtps, tls=tls_context(only=ssl.TLSVersion.TLSv1_2)):
                    return False
            except ssl.SSLError:
                return True
        assert wait_until(refuses, 10, 0.1)
        old.data("Subject: x\r\n\r\nx\r\n")
        old.cmd("QUIT", 221)
    with h.connect(h.smtps, tls=tls_context()) as c:
        c.hello()


def test_a_reload_brings_tls(make, ca):
    instance = make()
    with instance.connect() as c:
        assert "STARTTLS" not in keywords(c.hello())
    instance.reload(smtpd_tls_chain_files=ca.issue("mx.here.test").both, smtpd_tls_security_level="may")
    with instance.connect() as c: # the first client behind it has it
        assert "STARTTLS" in keywords(c.hello())
        c.starttls(tls_context(ca.cert)).hello()
        c.mail()


# ---- programs that people use


def test_python_and_swaks(host):
    before = len(host.instance.mailbox("alice"))
    with smtplib.SMTP("127.0.0.1", host.instance.port, timeout=10) as s:
        s.starttls(context=tls_context())
        s.sendmail("s@there.test", ["alice@here.test"], "Subject: python\r\n\r\nx\r\n")
    with smtplib.SMTP_SSL("127.0.0.1", host.smtps, context=tls_context(), timeout=10) as s:
        s.sendmail("s@there.test", ["alice@here.test"], "Subject: python\r\n\r\nx\r\n")
    for port, option in ((host.instance.port, "--tls"), (host.smtps, "--tls-on-connect")):
        done = subprocess.run(["swaks", "--server", f"127.0.0.1:{port}", option, "--to", "alice@here.test", "--from", "s@there.test", "--helo", "h.test"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and "TLS started with cipher" in done.stdout, done.stdout
    host.instance.wait_mail("alice", before + 4)


def test_openssl_s_client(host, ca):
    process = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{host.instance.port}", "-starttls", "smtp", "-servername", "mx.here.test", "-CAfile", str(ca.cert), "-verify_hostname", "mx.here.test",
                                "-verify_return_error", "-crlf", "-quiet"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr and wait_until(lambda: "TLSv1.3" in host.instance.log(), 10)
    time.sleep(0.3)
    process.stdin.write(b"NOOP\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"250 2.0.0 Ok\r\n"
    out, err = process.communicate(b"quit\n", timeout=10)
    assert b"221 2.0.0 Bye" in out, out + err


def test_postfix_as_a_client(host, ca, request):
    """Its SMTP client delivers at the level secure, and posttls-finger finds nothing strange."""
    postfix = Postfix({"relayhost": f"[127.0.0.1]:{host.instance.port}", "smtp_tls_security_level": "secure", "smtp_tls_CAfile": ca.cert, "smtp_tls_secure_cert_match": "mx.here.test", "smtp_tls_loglevel": 1})
    request.addfinalizer(postfix.close)
    shown = postfix.inside("/usr/sbin/posttls-finger", "-c", "-lsecure", f"-F{ca.cert}", f"[127.0.0.1]:{host.instance.port}", "mx.here.test")
    assert "Verified TLS connection established to 127.0.0.1" in shown.stdout + shown.stderr, shown.stdout + shown.stderr
    before = len(host.instance.mailbox("alice"))
    postfix.start()
    with smtplib.SMTP("127.0.0.1", postfix.port, timeout=10) as s:
        s.sendmail("s@there.test", ["alice@here.test"], "Subject: from Postfix\r\n\r\nx\r\n")
    assert b"with ESMTPS id" in host.instance.wait_mail("alice", before + 1, 20)[-1], postfix.log()
    assert "Verified TLS connection established to 127.0.0.1[127.0.0.1]" in postfix.log()


@pytest.mark.skipif(not LONG or not shutil.which("testssl"), reason="minutes long: POSTERN_LONG_TESTS=1, and testssl.sh installed")
@pytest.mark.parametrize("wrapped", [False, True])
def test_testssl_finds_nothing_that_is_not_explained(host, ca, tmp_path, wrapped):
    """docs/admin/tls.md says why the order of ciphers is the client's; what it says of the certificate is about this one."""
    target = [f"127.0.0.1:{host.smtps}"] if wrapped else ["-t", "smtp", f"127.0.0.1:{host.instance.port}"]
    report = tmp_path / "report.json"
    subprocess.run(["testssl", "--quiet", "--warnings", "off", "--nodns", "none", "-p", "-s", "-P", "-S", "-U", "--add-ca", str(ca.cert), "--jsonfile", str(report), *target], capture_output=True, timeout=600)
    grave = [(found["id"], found["finding"]) for found in json.loads(report.read_text()) if found["severity"] in ("MEDIUM", "HIGH", "CRITICAL")]
    assert [found for found in grave if found[0] != "cipher_order" and not found[0].startswith("cert_")] == []
