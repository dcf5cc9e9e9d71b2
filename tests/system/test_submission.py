"""
Submission (RFC 6409): who authenticated, what their mail gets and hides, how much of it there may be; the mail programs
that people use.
"""
import base64, email, json, os, re, shutil, signal, smtplib, ssl, subprocess

import pytest
from harness.client import Client, tls_context
from harness.instance import PREFIX, Instance, free_port, wait_until
from harness.tls_host import ca

PASSWORD = "sesame"
AUTH = ("smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = table\nsmtpd_sasl_path = PASSWORDS\nsmtpd_sasl_tls_security_options = noanonymous\n"
        "smtpd_relay_restrictions = permit_sasl_authenticated, reject\nsmtpd_client_restrictions = permit_sasl_authenticated, reject\nmynetworks = 127.0.0.99\n")


def plain(user, password):
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


@pytest.fixture(scope="module")
def stored():
    done = subprocess.run([str(PREFIX / "sbin/postern"), "password", "-s", "SHA512-CRYPT"], input=PASSWORD + "\n", capture_output=True, text=True, check=True)
    return done.stdout.strip()


class Host:
    """Listeners for strangers, for submission with STARTTLS, and with TLS from the first octet on."""

    def __init__(self, ca, stored, settings=None, submission="", kind="texthash"):
        identity = ca.issue("localhost", names=["localhost", "mx.here.test", "127.0.0.1"])
        self.ca, self.smtp, self.submission, self.smtps = ca.cert, free_port(), free_port(), free_port()
        table = ca.folder / "passwords"
        table.write_text("".join(f"{user} {stored}\n" for user in ("alice", "bob", "carol@far.test")))
        auth = AUTH.replace("PASSWORDS", f"{kind}:{table}") + submission
        self.instance = Instance({"smtpd_tls_chain_files": identity.both, "smtpd_client_connection_count_limit": 0, "recipient_delimiter": "+", "alias_maps": "", **(settings or {})}, port=self.smtp,
            sections=f"[smtp]\nlisten = 127.0.0.1:{self.smtp}\n[submission]\nlisten = 127.0.0.1:{self.submission}\nsmtpd_tls_security_level = encrypt\n{auth}"
            f"[smtps]\nlisten = 127.0.0.1:{self.smtps}\nsmtpd_tls_wrappermode = yes\n{auth}")
        self.instance.start()

    def login(self, user="alice", password=PASSWORD):
        """A session on the submission port, authenticated."""
        client = Client("127.0.0.1", self.submission)
        client.hello()
        client.starttls(tls_context(ca=self.ca))
        client.hello()
        assert client.cmd(f"AUTH PLAIN {plain(user, password)}").code == 235
        return client

    def submit(self, user="alice", sender="alice@here.test", recipients=("bob@here.test",), body="Subject: x\r\n\r\nHello\r\n"):
        with self.login(user) as client:
            return client.mail(sender, list(recipients), body)


@pytest.fixture(scope="module")
def host(request, ca, stored):
    made = Host(ca, stored)
    request.addfinalizer(made.instance.close)
    return made


@pytest.fixture
def hosts(request, ca, stored):
    def build(*args, **options):
        made = Host(ca, stored, *args, **options)
        request.addfinalizer(made.instance.close)
        return made
    return build


def newest(host, user="bob", count=1):
    return email.message_from_bytes(host.instance.wait_mail(user, count)[-1])


def box(host, user="bob"):
    folder = host.instance.home / "mail" / user / "new"
    return {p.name: p for p in folder.iterdir()} if folder.exists() else {}


def arrived(host, before, user="bob"):
    """The one letter that is new since."""
    assert wait_until(lambda: len(box(host, user)) > len(before)), host.instance.log()[-3000:]
    return email.message_from_bytes(next(path.read_bytes() for name, path in box(host, user).items() if name not in before))


# ---- what is required


def test_nobody_gets_in_without_a_login(host):
    with Client("127.0.0.1", host.submission) as c:
        assert "AUTH" not in str(c.hello())
        assert c.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}").code in (530, 538)
        assert c.cmd("MAIL FROM:<alice@here.test>").code == 530
    with Client("127.0.0.1", host.submission) as c:
        c.hello()
        c.starttls(tls_context(ca=host.ca))
        assert "AUTH" in str(c.hello())
        c.cmd("MAIL FROM:<alice@here.test>", 250)
        assert c.cmd("RCPT TO:<bob@here.test>").code in (530, 554)
        c.cmd("RSET", 250)
        assert c.cmd(f"AUTH PLAIN {plain('alice', 'wrong')}").code == 535
        c.cmd("MAIL FROM:<alice@here.test>", 250)
        assert c.cmd("RCPT TO:<r@far.test>").code in (530, 554)


# ---- what is added


def test_fields_are_added_and_the_author_is_named(host):
    before = box(host)
    host.submit(body="Subject: bare\r\n\r\nHello\r\n")
    letter = arrived(host, before)
    assert letter["From"] == "alice@here.test" and letter["Message-ID"].endswith("@mx.here.test>") and letter["Date"] and letter["Sender"] is None
    for user, author, sender in (("alice", "Alice <alice@here.test>", None), ("alice", "ALICE+list@here.test", None), ("alice", "alice@mx.here.test", None), ("bob", "alice@here.test", "bob@here.test"),
                                 ("alice", "alice@far.test", "alice@here.test"), ("carol@far.test", "alice@here.test", "carol@far.test"), ("carol@far.test", "carol@far.test", None)):
        before = box(host)
        host.submit(user, body=f"From: {author}\r\nSubject: x\r\n\r\nHello\r\n")
        assert arrived(host, before)["Sender"] == sender, (user, author)


def test_strangers_mail_is_left_alone(host):
    before = box(host)
    with Client("127.0.0.1", host.smtp, source="127.0.0.2") as c:
        c.hello()
        c.mail("x@there.test", ["bob@here.test"], "Subject: bare\r\n\r\nHello\r\n")
    letter = arrived(host, before)
    assert letter["From"] is letter["Date"] is letter["Message-ID"] is letter["Sender"] is None


def test_addresses_become_what_the_tables_say(hosts):
    host = hosts({"canonical_maps": "inline:{ { alice@here.test = Alice.Example@here.test } }", "smtpd_sender_login_maps": "inline:{ { Alice.Example@here.test = alice } }",
                  "local_recipient_maps": "", "append_at_myorigin": "yes"})
    host.submit(body="From: alice\r\nTo: bob\r\nSubject: x\r\n\r\nHello\r\n")
    letter = newest(host)
    assert (letter["From"], letter["To"], letter["Return-Path"], letter["Sender"]) == ("Alice.Example@here.test", "bob@here.test", "<Alice.Example@here.test>", None)
    host.submit("bob", body="From: alice\r\nTo: bob\r\nSubject: x\r\n\r\nHello\r\n")
    assert wait_until(lambda: len(host.instance.wait_mail("bob")) == 2)
    assert any(email.message_from_bytes(m)["Sender"] == "bob@here.test" for m in host.instance.wait_mail("bob", 2))


def test_the_client_is_hidden_and_the_log_knows(hosts):
    host = hosts(submission="smtpd_hide_client_address = yes\n")
    with host.login() as c:
        c.cmd("EHLO laptop.secret.example")
        c.mail("alice@here.test", ["bob@here.test"], "Subject: x\r\n\r\nHello\r\n")
    raw = host.instance.wait_mail("bob")[0].decode()
    assert "127.0.0.1" not in raw and "laptop.secret" not in raw and "localhost" not in raw, raw
    assert re.search(r"^Received: by mx\.here\.test \(Postern\) with E?SMTPSA? id ", raw, re.M), raw
    host.instance.wait_log(r"client=unknown\[127\.0\.0\.1\].*sasl_username=alice")


def test_what_auth_of_mail_says_reaches_a_pipe(hosts, tmp_path):
    """RFC 4954, 5, and pipe(8)'s macros."""
    script = tmp_path / "tool"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/args.new; mv {tmp_path}/args.new {tmp_path}/args\n')
    script.chmod(0o755)
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o777 if folder == tmp_path else 0o755)
    host = hosts({"transport_services": f"tool pipe user=dave argv={script} ${{sasl_method}} ${{sasl_username}} ${{sasl_sender}}", "transport_maps": "inline:{ { pipe.test = tool: } }"})
    with host.login() as c:
        c.cmd("MAIL FROM:<alice@here.test> AUTH=e+2Bx@there.test", 250)
        c.cmd("RCPT TO:<a@pipe.test>", 250)
        c.data("Subject: x\r\n\r\nHello\r\n")
    host.instance.wait_log(r"relay=tool, .*status=sent")
    assert (tmp_path / "args").read_text() == "PLAIN alice e+x@there.test\n"


# ---- how much


def test_limits_hold_tell_and_refuse(hosts):
    host = hosts(submission="smtpd_user_message_limit_hour = 2\n")
    instance = host.instance
    for _ in range(4):
        host.submit()
    with host.login() as c:
        c.envelope("alice@here.test", "bob@here.test")
        reply = c.cmd("DATA")
        assert reply.code == 452 and "4.7.1" in str(reply), reply
    assert len(instance.wait_mail("bob", 2)) == 2
    reason = "user alice: more than 2 messages in an hour"
    instance.wait_log(r"reject: DATA from .*: 452 4\.7\.1 Error: user alice: more than 2 messages in an hour; from=<alice@here\.test>")
    held = instance.queue("--state", "hold")
    assert len(held) == 2 and all(reason in json.dumps(m) for m in held), held
    assert reason in instance.postern("queue", "explain", held[0]["queue_id"]).stdout
    notice = email.message_from_bytes(instance.wait_mail("postmaster")[0])
    assert notice["Subject"] == "Mail on hold: user alice" and notice["To"] == "postmaster@here.test", notice
    assert reason in notice.get_payload() and held[0]["queue_id"] in notice.get_payload()
    # Another user is another user.
    host.submit("bob", "bob@here.test")
    assert len(instance.wait_mail("bob", 3)) == 3
    # What the notice proposes works.
    command = re.search(r'^    postern (queue release .*)$', notice.get_payload(), re.M).group(1)
    assert "2" in instance.postern(*[w.strip('"') for w in re.findall(r'"[^"]*"|\S+', command)]).stdout
    assert len(instance.wait_mail("bob", 5)) == 5
    assert len(instance.wait_mail("postmaster")) == 1


def test_the_notice_outlives_the_queue_process(hosts):
    """At worst two, never none: queue dies between the message that is held and the notice of it."""
    host = hosts(submission="smtpd_user_message_limit_day = 1\n")
    instance = host.instance
    pickup, queue = instance.pids("pickup")[0], instance.pids("queue")[0]
    os.kill(pickup, signal.SIGSTOP)
    for _ in range(2):
        host.submit()
    os.kill(queue, signal.SIGKILL)
    os.kill(pickup, signal.SIGCONT)
    assert 1 <= len(instance.wait_mail("postmaster")) <= 2
    assert wait_until(lambda: instance.pids("queue") not in ([], [queue]))
    assert len(instance.queue("--state", "hold")) == 1


def test_limits_on_recipients(hosts):
    host = hosts(submission="smtpd_user_recipient_limit_day = 3\n", settings={"local_recipient_maps": ""})
    instance = host.instance
    for count, code in ((2, 250), (1, 250), (3, 250), (1, 452)):
        with host.login() as c:
            c.envelope("alice@here.test", *[f"bob+{i}@here.test" for i in range(count)])
            reply = c.cmd("DATA")
            if code == 452:
                assert reply.code == 452, reply
                continue
            assert reply.code == 354, reply
            c.send(b"Subject: x\r\n\r\nHello\r\n.\r\n")
            assert c.reply().code == 250
    held = instance.queue("--state", "hold")
    assert [len(m["recipients"]) for m in held] == [3], held
    assert "more than 3 recipients in a day" in json.dumps(held)


# ---- programs that people use

BODY = "Grüße\n" + "long " * 400 + "end\n.\n..\nFrom me\n"


def check_letter(host, before, subject, body=True):
    letter = arrived(host, before)
    assert letter["Subject"] == subject and letter["Date"] and letter["Message-ID"] and letter["From"], letter.items()
    assert letter["Bcc"] is None
    text = letter.get_payload(decode=True).decode("utf-8", "replace").replace("\r\n", "\n")
    if body:
        assert "long end" in re.sub(r"\s+", " ", text) and "\n.\n" in text and "\n..\n" in text and "Grüße" in text, text
    return letter


@pytest.mark.parametrize("port", ["submission", "smtps"])
def test_python(host, port):
    context = ssl.create_default_context(cafile=str(host.ca))
    before = box(host)
    number = getattr(host, port)
    with (smtplib.SMTP("localhost", number) if port == "submission" else smtplib.SMTP_SSL("localhost", number, context=context)) as c:
        if port == "submission":
            c.starttls(context=context)
        c.login("alice", PASSWORD)
        assert c.sendmail("alice@here.test", ["bob@here.test"], f"Subject: python\r\nBcc: eve@here.test\r\n\r\n{BODY}".encode().replace(b"\n", b"\r\n").replace(b"\r\r", b"\r"), ["BODY=8BITMIME"]) == {}
    check_letter(host, before, "python")


def test_swaks(host):
    if not shutil.which("swaks"):
        pytest.skip("no swaks here")
    for port, tls, mechanism in ((host.submission, "-tls", "PLAIN"), (host.smtps, "-tlsc", "LOGIN")):
        before = box(host)
        done = subprocess.run(["swaks", "--server", f"127.0.0.1:{port}", tls, "--auth", mechanism, "--auth-user", "alice", "--auth-password", PASSWORD, "--from", "alice@here.test", "--to", "bob@here.test", "--header", "Subject: swaks", "--body", "Hello"],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        check_letter(host, before, "swaks", body=False)


def test_curl(host):
    if not shutil.which("curl"):
        pytest.skip("no curl here")
    for url in (f"smtp://127.0.0.1:{host.submission}", f"smtps://127.0.0.1:{host.smtps}"):
        before = box(host)
        done = subprocess.run(["curl", "-sS", "--ssl-reqd", "--cacert", host.ca, "--url", url + "/laptop", "--user", f"alice:{PASSWORD}", "--mail-from", "alice@here.test", "--mail-rcpt", "bob@here.test", "-T", "-"],
                              input=f"Subject: curl\r\nBcc: eve@here.test\r\n\r\n{BODY}".replace("\r\n", "\n").replace("\n", "\r\n").encode(), capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        check_letter(host, before, "curl")


def test_msmtp(host, tmp_path):
    if not shutil.which("msmtp"):
        pytest.skip("no msmtp here")
    for port, starttls in ((host.submission, "on"), (host.smtps, "off")):
        before = box(host)
        conf = tmp_path / "msmtprc"
        conf.write_text(f"account default\nhost localhost\nport {port}\ntls on\ntls_starttls {starttls}\ntls_trust_file {host.ca}\nauth on\nuser alice\npassword {PASSWORD}\nfrom alice@here.test\nset_date_header off\n")
        conf.chmod(0o600)
        done = subprocess.run(["msmtp", "-C", str(conf), "-t"], input=f"To: bob@here.test\nBcc: postmaster@here.test\nSubject: msmtp\n\n{BODY}".encode(), capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        check_letter(host, before, "msmtp")


def test_mutt(host, tmp_path):
    if not shutil.which("mutt"):
        pytest.skip("no mutt here")
    for url in (f"smtp://alice@localhost:{host.submission}", f"smtps://alice@localhost:{host.smtps}"):
        before = box(host)
        rc = tmp_path / "muttrc"
        rc.write_text(f"set smtp_url={url}\nset smtp_pass={PASSWORD}\nset ssl_force_tls=yes\nset ssl_starttls=yes\nset certificate_file={host.ca}\nset ssl_ca_certificates_file={host.ca}\nset from=alice@here.test\nset realname=Alice\nset copy=no\nset use_from=yes\n"
                      f"set hostname=here.test\nset folder={tmp_path}\nset charset=utf-8\nset send_charset=utf-8\n")
        done = subprocess.run(["mutt", "-n", "-F", str(rc), "-s", "mutt", "-b", "postmaster@here.test", "bob@here.test"], input=BODY.encode(), capture_output=True, timeout=60, env={**os.environ, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "TERM": "dumb"})
        assert done.returncode == 0, done.stdout + done.stderr
        check_letter(host, before, "mutt")


def test_s_nail(host, tmp_path):
    if not shutil.which("s-nail"):
        pytest.skip("no s-nail here")
    for url in (f"smtp://alice:{PASSWORD}@localhost:{host.submission}", f"smtps://alice:{PASSWORD}@localhost:{host.smtps}"):
        before = box(host)
        done = subprocess.run(["s-nail", "-:/", "-S", "v15-compat=yes", "-S", f"mta={url}", "-S", "smtp-use-starttls", "-S", "smtp-config=-ehlo", "-S", "smtp-auth=plain", "-S", f"tls-ca-file={host.ca}", "-S", "tls-verify=strict", "-S", "from=alice@here.test", "-S", "ttycharset=utf-8", "-S", "sendcharsets=utf-8",
                               "-S", "sendwait", "-s", "nail", "-b", "postmaster@here.test", "bob@here.test"], input=BODY.encode(), capture_output=True, timeout=60, env={**os.environ, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"})
        assert done.returncode == 0, done.stdout + done.stderr
        check_letter(host, before, "nail")
