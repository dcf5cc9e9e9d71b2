"""AUTH with a real Dovecot behind it, and with servers that only pretend to be one (RFC 4954; catalogue E)."""
import contextlib, pathlib, shutil, smtplib, socketserver, subprocess, threading, time

import pytest
from harness.authenticate import Scram, b64, login, oauthbearer, plain, xoauth2
from harness.client import Client
from harness.dovecot import THERE, Dovecot, token
from harness.instance import AS_ROOT, free_port, wait_until
from test_aliases import room

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="a socket below the queue directory is root's")
SETTINGS = {"smtpd_sasl_auth_enable": "yes", "smtpd_tls_auth_only": "no", "mynetworks": "127.0.0.5/32", "smtpd_error_sleep_time": "0", "smtpd_auth_failure_limit_address": "0", "smtpd_auth_failure_limit_account": "0",
            "smtpd_auth_failure_limit_delay": "0", "smtpd_hard_error_limit": "1000"}
USERS = {"alice": "wonder land", "bob@here.test": "bu,ild=er", "käthe": "grüße"}


@pytest.fixture(scope="module")
def served(request, tmp_path_factory):
    """An instance and its Dovecot, for tests that leave both as they are."""
    if not THERE:
        pytest.skip("needs dovecot")
    from harness.instance import Instance
    instance = Instance({**SETTINGS, "smtpd_sasl_authenticated_header": "yes"})
    request.addfinalizer(instance.close)
    folder = pathlib.Path(instance.home) / "dovecot"
    folder.mkdir()
    (instance.home / "queue" / "private").mkdir(parents=True, exist_ok=True)
    instance.start()
    instance.dovecot = Dovecot(instance.home / "queue" / "private" / "auth", folder, USERS)
    request.addfinalizer(instance.dovecot.stop)
    assert wait_until(lambda: "SCRAM-SHA-256" in keyword(instance), 15), keyword(instance)
    return instance


def keyword(instance, verb="AUTH "):
    with instance.connect() as client:
        return next((line[4:] for line in client.hello().lines if line[4:].startswith(verb)), "")


def test_what_ehlo_lists(served):
    assert set(keyword(served).split()) == {"AUTH", "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-1", "XOAUTH2", "OAUTHBEARER"}
    assert keyword(served, "AUTH=") == ""


@pytest.mark.parametrize("user, password", USERS.items())
@pytest.mark.parametrize("mechanism", ["PLAIN", "PLAIN later", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-1"])
def test_mechanisms(served, mechanism, user, password):
    for given, code in ((password, 235), (password + "x", 535)):
        with served.connect() as client:
            client.hello()
            if mechanism == "PLAIN":
                reply = client.cmd(f"auth plain {plain(user, given)}")
            elif mechanism == "PLAIN later":
                assert client.cmd("AUTH PLAIN").lines == ["334 "]
                reply = client.cmd(plain(user, given))
            elif mechanism == "LOGIN":
                reply = login(client, user, given)
            else:
                reply = Scram(user, given, "sha256" if mechanism.endswith("256") else "sha1").run(client, mechanism)
            assert reply.lines == ["235 2.7.0 Authentication successful" if code == 235 else "535 5.7.8 Error: authentication failed: authentication failure"]
    served.wait_log(rf"warning: unknown\[127\.0\.0\.1\]: SASL {mechanism.split()[0]} authentication failed: .*, sasl_username={user}")


def test_tokens(served):
    for name, message in (("XOAUTH2", xoauth2), ("OAUTHBEARER", oauthbearer)):
        with served.connect() as client:
            client.hello()
            client.cmd(f"AUTH {name} {message('alice', token('alice'))}", "235 2.7.0")
        with served.connect() as client:
            client.hello()
            reply = client.cmd(f"AUTH {name} {message('alice', token('alice', 'forged'))}")
            if reply.code == 334:  # RFC 7628, 3.2.2: a challenge that tells why
                reply = client.cmd(b64("\1"))
            assert reply.code == 535
    assert token("alice")[:20] not in served.log()


def test_who_is_authenticated_may_relay_and_is_named(served, peer):
    with served.connect() as client:
        client.hello()
        client.cmd("MAIL FROM:<s@there.test>", 250)
        client.cmd("RCPT TO:<x@elsewhere.test>", "554 5.7.1 <x@elsewhere.test>: Relay access denied")
        client.cmd(f"AUTH PLAIN {plain('alice', 'wonder land')}", "503 5.5.1 Error: MAIL transaction in progress")
        client.cmd("RSET", 250)
        client.cmd(f"AUTH PLAIN {plain('alice', 'wonder land')}", 235)
        client.cmd(f"AUTH PLAIN {plain('alice', 'wonder land')}", "503 5.5.1 Error: already authenticated")
        client.cmd("MAIL FROM:<s@there.test> AUTH=first+40there.test", 250)
        client.cmd("RCPT TO:<x@elsewhere.test>", 250)
        client.cmd("RSET", 250)
        queue_id = client.mail(sender="s@there.test", recipients=("alice@here.test",), body="Subject: mine\r\n\r\nHello\r\n")
        served.wait_log(rf"{queue_id}: client=unknown\[127\.0\.0\.1\], sasl_method=PLAIN, sasl_username=alice$")
        served.wait_log(r"client=unknown\[127\.0\.0\.1\], sasl_method=PLAIN, sasl_username=alice, sasl_sender=first@there\.test$")
        client.cmd("QUIT", 221)
    text = served.wait_mail("alice")[-1].decode()
    assert "with ESMTPA id" in text and "(Authenticated sender: alice)" in text
    served.wait_log(r"disconnect from unknown\[127\.0\.0\.1\] ehlo=1 auth=1/3 ")


@pytest.mark.parametrize("line, answer", [
    ("AUTH", "501 5.5.4 Syntax: AUTH mechanism"),
    ("AUTH PLAIN a b", "501 5.5.4 Syntax: AUTH mechanism [initial-response]"),
    ("AUTH CRAM-MD5", "504 5.5.4 Error: unrecognized authentication type"),
    ("AUTH SCRAM-SHA-256-PLUS", "504 5.5.4"),
    ("AUTH EXTERNAL =", "504 5.5.4"),
    ("AUTH PLAIN\twonder", "501 5.5.2"),
    ("AUTH ../../x", "504 5.5.4"),
    ("AUTH PLAIN A", "501 5.5.2 Error: cannot decode response"),
    ("AUTH PLAIN AA", "501 5.5.2"),
    ("AUTH PLAIN AAA", "501 5.5.2"),
    ("AUTH PLAIN AA=A", "501 5.5.2"),
    ("AUTH PLAIN A*==", "501 5.5.2"),
    ("AUTH PLAIN =", "535 5.7.8"),  # RFC 4954, 4: it is empty, and not to be asked for
    ("AUTH PLAIN " + b64("alice"), "535 5.7.8"),
    ("AUTH PLAIN " + b64("\0alice\0"), "535 5.7.8"),
    ("AUTH PLAIN " + b64("\0alice\0wonder land\0"), "535 5.7.8"),
    ("AUTH PLAIN " + b64("\0al\0ice\0wonder land"), "535 5.7.8"),
    ("AUTH PLAIN " + b64("bob@here.test\0alice\0wonder land"), "535 5.7.8"),
    ("AUTH PLAIN " + b64("\0alice\tuser=bob@here.test\0wonder land"), "535 5.7.8"),
    ("AUTH PLAIN " + b64("\0alice\nOK\t1\tuser=bob\0wonder land"), "535 5.7.8"),
])
def test_malformed_commands(served, line, answer):
    with served.connect() as client:
        client.hello()
        client.cmd(line, answer)
        client.cmd("NOOP", 250)
        client.cmd(f"AUTH PLAIN {plain('alice', 'wonder land')}", 235)


def test_order(served):
    with served.connect() as client:
        client.cmd("AUTH PLAIN =", "503 5.5.1 Error: send HELO/EHLO first")
        client.hello()
        client.cmd("AUTH LOGIN", 334)
        client.cmd("*", "501 5.7.0 Authentication aborted")
        client.cmd("AUTH LOGIN", 334)
        client.cmd("NOOP!", "501 5.5.2")
        client.cmd("AUTH LOGIN " + b64("alice"), 334)
        client.cmd("QUIT*", 501)
        client.cmd("AUTH LOGIN " + b64("alice"), 334)
        client.cmd(b64("wonder land"), 235)


def test_long_lines(served):
    with served.connect() as client:
        client.hello()
        client.cmd("AUTH PLAIN " + plain("alice", "x" * 8000), 535)
        client.cmd("AUTH PLAIN", 334)
        client.cmd("A" * 12288, 535)
        client.cmd("AUTH PLAIN", 334)
        client.cmd("A" * 12292, "500 5.5.6 Authentication Exchange line is too long")
        client.cmd("AUTH PLAIN", 334)
        client.cmd("A" * 100000, "500 5.5.6")
        client.cmd("AUTH PLAIN " + "A" * 20000, "500 5.5.6")
        client.cmd("NOOP " + "x" * 3000, 500)
        # None of that has cost another session its Dovecot.
        client.cmd(f"AUTH PLAIN {plain('alice', 'wonder land')}", 235)
    assert "malformed" not in served.log() and "connection lost" not in served.log()


def test_in_pieces_and_in_one(served):
    with served.connect() as client:
        client.hello()
        for octet in f"AUTH PLAIN {plain('alice', 'wonder land')}\r\n":
            client.send(octet)
            time.sleep(0.002)
        assert client.reply().code == 235
    with served.connect() as client:  # RFC 4954, 4: commands may follow where one response is all
        client.hello()
        client.send(f"AUTH PLAIN {plain('alice', 'wonder land')}\r\nMAIL FROM:<s@there.test>\r\nRCPT TO:<x@elsewhere.test>\r\n")
        assert [client.reply().code for _ in range(3)] == [235, 250, 250]
    with served.connect() as client:
        client.hello()
        client.send(f"AUTH LOGIN\r\n{b64('alice')}\r\n{b64('wonder land')}\r\n")
        assert client.reply().lines == ["554 5.5.0 Error: SMTP protocol synchronization"] and client.closed()
    served.wait_log(r"improper command pipelining after AUTH from unknown\[127\.0\.0\.1\]")


def test_no_password_is_logged(served):
    text = served.log()
    for secret in ("wonder land", "bu,ild=er", b64("wonder land"), plain("alice", "wonder land")):
        assert secret not in text


def test_real_clients(served):
    server = f"{served.address}:{served.port}"
    for mechanism in ("PLAIN", "LOGIN"):
        subprocess.run(["swaks", "--server", server, "--from", "s@there.test", "--to", "bob@here.test", "--auth", mechanism, "--auth-user", "alice", "--auth-password", "wonder land"], check=True, capture_output=True)
    with smtplib.SMTP(served.address, served.port, timeout=20) as client:
        assert client.login("bob@here.test", "bu,ild=er")[0] == 235
    with smtplib.SMTP(served.address, served.port, timeout=20) as client, pytest.raises(smtplib.SMTPAuthenticationError):
        client.login("alice", "wrong")


@pytest.mark.skipif(not shutil.which("fail2ban-regex"), reason="needs fail2ban")
def test_fail2ban_reads_the_lines(served):
    with served.connect() as client:
        client.hello()
        client.cmd(f"AUTH PLAIN {plain('alice', 'x')}", 535)
        login(client, "alice", "x")
    lines = [line for line in served.log().splitlines() if "authentication failed" in line and ("SASL PLAIN" in line or "SASL LOGIN" in line)]
    file = served.home / "failures"
    file.write_text("\n".join(line.replace("postern/", "postfix/") for line in lines) + "\n")
    found = subprocess.run(["fail2ban-regex", str(file), "postfix[mode=auth]"], capture_output=True, text=True)
    assert f"{len(lines)} matched" in found.stdout and len(lines) >= 2, found.stdout


# ---- a Dovecot that goes away, and what only pretends to be one

def test_it_comes_and_goes(make, room):
    if not THERE:
        pytest.skip("needs dovecot")
    instance = make(SETTINGS)
    with instance.connect() as client:
        assert "AUTH PLAIN LOGIN" in client.hello().text
        client.cmd(f"AUTH PLAIN {plain('alice', 'wonder land')}", "454 4.7.0 Temporary authentication failure")
        client.cmd("NOOP", 250)
    dovecot = Dovecot(instance.home / "queue" / "private" / "auth", room, USERS)
    try:
        def works():
            with instance.connect() as client:
                client.hello()
                return client.cmd(f"AUTH PLAIN {plain('alice', 'wonder land')}").code == 235
        assert wait_until(works, 10, 0.3)
        with instance.connect() as client:
            client.hello()
            client.cmd("AUTH LOGIN", 334)
            dovecot.kill()
            instance.wait_log(r"warning: SASL: Dovecot at private/auth: connection lost")
            assert client.cmd(b64("alice")).code == 454
            client.cmd("NOOP", 250)
        dovecot.start()
        assert wait_until(works, 10, 0.3)
    finally:
        dovecot.stop()


def test_other_ways_to_it(make, room):
    """By TCP, and with the kind of the socket in front: SASL_README. What is away comes."""
    if not THERE:
        pytest.skip("needs dovecot")
    port = free_port()
    ports = [free_port() for _ in range(3)]
    instance = make(SETTINGS, port=ports[0], sections=f"[tcp]\nlisten = 127.0.0.1:{ports[0]}\nsmtpd_sasl_path = inet:127.0.0.1:{port}\n"
                    f"[named]\nlisten = 127.0.0.1:{ports[1]}\nsmtpd_sasl_path = inet:localhost:{port}\n[unix]\nlisten = 127.0.0.1:{ports[2]}\nsmtpd_sasl_path = unix:private/auth\n")
    with instance.connect() as client:
        client.hello()
        client.cmd(f"AUTH PLAIN {plain('alice', 'wonder land')}", "454 4.7.0 Temporary authentication failure")
    instance.wait_log(rf"warning: SASL: Dovecot at inet:127\.0\.0\.1:{port}: Connection refused")
    dovecot = Dovecot(instance.home / "queue" / "private" / "auth", room, USERS, extra=f"service auth {{\n  inet_listener {{\n    address = 127.0.0.1\n    port = {port}\n  }}\n}}\n")
    def outcome(number, password):
        with Client("127.0.0.1", number) as client:
            client.hello()
            return client.cmd(f"AUTH PLAIN {plain('alice', password)}").code
    try:
        for number in ports:
            assert wait_until(lambda: outcome(number, "wonder land") == 235, 10, 0.3), instance.log()
            assert outcome(number, "wrong") == 535
        instance.settings["smtpd_sasl_path"] = "inet:auth.example:99"
        instance.sections += f"[far]\nlisten = 127.0.0.1:{free_port()}\nsmtpd_sasl_path = inet:192.0.2.1:99\n"
        instance.write_config()
        said = instance.postern("check", check=False)
        assert said.returncode != 0 and "smtpd_sasl_path: inet:auth.example:99: not inet:address:port" in said.stdout + said.stderr
        assert "inet:192.0.2.1:99: passwords go there in the clear" in said.stdout + said.stderr
    finally:
        dovecot.stop()


GREETING = b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nMECH\tANONYMOUS\tanonymous\nMECH\tINNER\tprivate\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n"
# What it says instead of, or in answer to, a question with the number ID; then it hangs up, or does not.
PRETENDERS = {
    "nothing at all": (b"", None),
    "another version": (b"VERSION\t2\t0\nDONE\n", None),
    "no number": (GREETING, b"OK\n"),
    "another number": (GREETING, b"OK\t4294967296\tuser=alice\n"),
    "nobody's number, then the right one": (GREETING, b"OK\t77\tuser=mallory\nFAIL\tID\tuser=alice\n"),
    "no user": (GREETING, b"OK\tID\n"),
    "a user of a megabyte": (GREETING, b"OK\tID\tuser=" + b"x" * 1000000 + b"\n"),
    "a line without end": (GREETING, b"x" * 100000),
    "an empty line": (GREETING, b"\n"),
    "NUL": (GREETING, b"OK\tID\tuser=al\0ice\n"),
    "a challenge that is none": (GREETING, b"CONT\tID\t334 go\r\n250 Ok\n"),
    "an escape cut short": (GREETING, b"OK\tID\tuser=alice\1\n"),
    "a user with a line end": (GREETING, b"OK\tID\tuser=alice\1nx: y\n"),
    "a second greeting": (GREETING, GREETING),
    "it hangs up": (GREETING, b""),
    "a temporary failure": (GREETING, b"FAIL\tID\tuser=alice\ttemp\n"),
    "a good answer": (GREETING, b"OK\tID\tuser=Alice\n"),
    "in pieces": (GREETING, [bytes([octet]) for octet in b"OK\tID\tuser=Alice\n"]),
}
ANSWERS = {"a good answer": 235, "in pieces": 235, "nobody's number, then the right one": 535}


class Pretender(socketserver.StreamRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError):
            self.talk()

    def finish(self):
        with contextlib.suppress(OSError):
            super().finish()

    def talk(self):
        greeting, answer = self.server.says
        self.wfile.write(greeting)
        while line := self.rfile.readline():
            if not line.startswith(b"AUTH\t") or answer is None:
                continue
            for piece in answer if isinstance(answer, list) else [answer]:
                self.wfile.write(piece.replace(b"ID", line.split(b"\t")[1]) if len(piece) > 1 else piece.replace(b"I", line.split(b"\t")[1]).replace(b"D", b""))
                time.sleep(0.002 if isinstance(answer, list) else 0)
            if answer == b"":
                return


def test_what_only_pretends_to_be_one(make, room, request):
    """Catalogue E04: nobody gets in, every client is answered, and no process ends."""
    names = list(PRETENDERS)
    instance = make(SETTINGS, start=False)
    ports = [instance.port] + [free_port() for _ in names[1:]]
    instance.sections = "".join(f"[s{i}]\nlisten = 127.0.0.1:{port}\nsmtpd_sasl_path = {room}/s{i}\n" for i, port in enumerate(ports))
    for i, name in enumerate(names):
        server = socketserver.ThreadingUnixStreamServer(f"{room}/s{i}", Pretender)
        server.daemon_threads, server.says = True, PRETENDERS[name]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        request.addfinalizer(server.server_close)
        request.addfinalizer(server.shutdown)
    instance.start()
    pids, got = instance.pids("smtpd"), {}

    def attempt(name, port):
        with Client("127.0.0.1", port, timeout=20) as client:
            client.hello()
            got[name] = client.cmd(f"AUTH PLAIN {plain('alice', 'wonder land')}").code, client.cmd("NOOP").code

    threads = [threading.Thread(target=attempt, args=pair) for pair in zip(names, ports)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {name: (ANSWERS.get(name, 454), 250) for name in names}
    assert instance.pids("smtpd") == pids
    with Client("127.0.0.1", ports[names.index("a good answer")]) as client:
        assert "250-AUTH PLAIN LOGIN" in client.hello().lines  # neither ANONYMOUS nor what is Dovecot's own
