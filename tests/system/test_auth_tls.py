"""AUTH within TLS and without: what is offered when, channel bindings, client certificates (RFC 4954, 5802, 9266; catalogue D and E)."""
import hashlib, ssl, time

import pytest
from harness import memory
from harness.authenticate import Scram, b64, login, plain
from harness.certificates import Authority
from harness.client import Client, tls_context
from harness.instance import AS_ROOT, Instance, free_port, wait_until

PASSWORDS = {"alice": ("scram-sha-256", "wonder land"), "bob": ("sha512-crypt", "builder")}


@pytest.fixture(scope="module")
def served(request):
    """[smtp] with opportunistic TLS, [submission] that requires it, [smtps] in TLS from the first octet on."""
    ca = Authority()
    certificate = ca.issue("mx.here.test")
    ports = {"submission": free_port(), "smtps": free_port(), "plain": free_port()}
    instance = Instance({"mynetworks": "127.0.0.5/32", "smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "table", "smtpd_tls_chain_files": certificate.both, "smtpd_tls_security_level": "may",
                         "smtpd_tls_CAfile": ca.cert, "smtpd_error_sleep_time": "0", "smtpd_auth_failure_limit_address": "0", "smtpd_auth_failure_limit_delay": "0"})
    request.addfinalizer(instance.close)
    lines = []
    for user, (scheme, password) in PASSWORDS.items():
        lines.append(f"{user} {instance.postern('password', '-s', scheme, input=password).stdout.strip()}")
    (instance.home / "passwords").write_text("\n".join(lines) + "\n")
    (instance.home / "passwords").chmod(0o644)
    instance.settings["smtpd_sasl_path"] = f"texthash:{instance.home}/passwords"
    instance.sections = (f"[smtp]\nlisten = 127.0.0.1:{instance.port}\n[submission]\nlisten = 127.0.0.1:{ports['submission']}\nsmtpd_tls_security_level = encrypt\n"
                         f"[smtps]\nlisten = 127.0.0.1:{ports['smtps']}\nsmtpd_tls_wrappermode = yes\nsmtpd_sasl_mechanism_filter = external, plain, scram-sha-256, scram-sha-256-plus\nsmtpd_tls_ask_ccert = yes\n"
                         f"[plain]\nlisten = 127.0.0.1:{ports['plain']}\nsmtpd_tls_auth_only = no\n")
    instance.start()
    instance.ca, instance.ports = ca, ports
    assert wait_until(lambda: "SCRAM" in offered(secure(instance)), 10), instance.log()[-3000:]
    return instance


def secure(instance, **options):
    client = instance.connect()
    client.hello()
    client.starttls(tls_context(**options))
    return client


def offered(client):
    return next((line[4:] for line in client.hello().lines if line[4:].startswith("AUTH")), "")


def end_point(client):
    return hashlib.sha256(client.sock.getpeercert(True)).digest()


def test_before_tls(served):
    with served.connect() as client:
        assert offered(client) == ""
        client.cmd(f"AUTH PLAIN {plain('alice', 'wonder land')}", "538 5.7.11 Encryption required for requested authentication mechanism")
        client.cmd("AUTH LOGIN", 538)
        client.cmd("NOOP", 250)
    with Client("127.0.0.1", served.ports["submission"]) as client:
        assert offered(client) == ""
        client.cmd(f"AUTH PLAIN {plain('alice', 'wonder land')}", "530 5.7.0 Must issue a STARTTLS command first")


def test_an_injected_login_is_forgotten(served):
    """Catalogue D01, D04: what stands behind STARTTLS in plain text is nobody's."""
    with Client("127.0.0.1", served.ports["submission"]) as client:
        client.hello()
        client.send(f"STARTTLS\r\nAUTH PLAIN {plain('alice', 'wonder land')}\r\n")
        assert client.reply().code in (220, 554)
        try:
            client.buffer = b""
            client.wrap()
            client.hello()
            client.cmd("MAIL FROM:<alice@here.test>", 250)
            client.cmd("RCPT TO:<x@elsewhere.test>", 554)
        except (EOFError, OSError):
            pass


def test_mechanisms_within_tls(served):
    with secure(served) as client:
        assert offered(client) == "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"
        client.cmd(f"AUTH PLAIN {plain('alice', 'wonder land')}", 235)
        assert "AUTH" in client.hello().text  # RFC 4954, 4: it may be listed still
        client.cmd(f"AUTH PLAIN {plain('bob', 'builder')}", "503 5.5.1")
        queue_id = client.mail(sender="alice@here.test", recipients=("bob@here.test",))
        served.wait_log(rf"{queue_id}: client=unknown\[127\.0\.0\.1\], sasl_method=PLAIN, sasl_username=alice$")
    assert b"with ESMTPSA id" in served.wait_mail("bob")[-1]
    for user, (_, password) in PASSWORDS.items():
        with secure(served) as client:
            client.hello()
            assert login(client, user, password).code == 235
        with secure(served) as client:
            client.hello()
            assert login(client, user, password + "x").code == 535


@pytest.mark.parametrize("flag, channel, mechanism, code", [
    ("n", b"", "SCRAM-SHA-256", 235),
    ("y", b"", "SCRAM-SHA-256", 535),  # somebody took -PLUS off the list
    ("p=tls-server-end-point", None, "SCRAM-SHA-256-PLUS", 235),
    ("p=tls-server-end-point", b"x" * 32, "SCRAM-SHA-256-PLUS", 535),
    ("p=tls-server-end-point", None, "SCRAM-SHA-256", 535),
    ("p=tls-exporter", b"", "SCRAM-SHA-256-PLUS", 535),
    ("p=none-such", b"", "SCRAM-SHA-256-PLUS", 535),
    ("n", b"", "SCRAM-SHA-256-PLUS", 535),
])
def test_channel_bindings(served, flag, channel, mechanism, code):
    with secure(served) as client:
        client.hello()
        assert Scram("alice", "wonder land", flag=flag, channel=end_point(client) if channel is None else channel).run(client, mechanism).code == code


def test_tls_unique(served):
    """Of TLS 1.2 alone (RFC 9266, 3)."""
    with secure(served, only=ssl.TLSVersion.TLSv1_2) as client:
        client.hello()
        assert Scram("alice", "wonder land", flag="p=tls-unique", channel=client.sock.get_channel_binding()).run(client, "SCRAM-SHA-256-PLUS").code == 235


def test_somebody_in_the_middle(served):
    """His certificate is not the server's: the client's proof is of no use to him."""
    other = hashlib.sha256(b"his certificate").digest()
    with secure(served) as client:
        client.hello()
        assert Scram("alice", "wonder land", flag="p=tls-server-end-point", channel=other).run(client, "SCRAM-SHA-256-PLUS").code == 535


def test_who_is_there_does_not_show(served):
    """Users with keys, users without and names that are nobody's: the same steps, the same salts again, the same end."""
    seen = {}
    for user in ("alice", "bob", "mallory"):
        for _ in range(2):
            with secure(served) as client:
                client.hello()
                scram = Scram(user, "wrong")
                reply = scram.run(client, "SCRAM-SHA-256")
                assert reply.lines == ["535 5.7.8 Error: authentication failed: authentication failure"]
                seen.setdefault(user, set()).add((scram.parts["s"], scram.parts["i"]))
    assert all(len(facts) == 1 for facts in seen.values()), seen
    assert len({i for facts in seen.values() for _, i in facts}) == 1 and len({len(s) for facts in seen.values() for s, _ in facts}) == 1, seen


@pytest.mark.parametrize("first, answer", [
    ("n,,n=alice,r=", 535), ("n,,n=al=ice,r=x", 535), ("n,,n=al=2cice,r=x", 535), ("n,,m=x,n=alice,r=x", 535), ("n,a=bob,n=alice,r=x", 334), ("", 535), (",", 535), ("n,,n=,r=x", 535),
    ("n,,n=alice,r=\x7f", 535), pytest.param("n,,n=alice\0,r=x", 535, id="NUL"), pytest.param("n,,n=alice,r=" + "x" * 2000, 535, id="long nonce"),
])
def test_malformed_scram(served, first, answer):
    with secure(served) as client:
        client.hello()
        reply = client.cmd(f"AUTH SCRAM-SHA-256 {b64(first) or '='}")
        assert reply.code == answer
        if answer == 334:
            client.cmd(b64("c=biws,r=x,p=AAAA"), 535)
        client.cmd("NOOP", 250)


def test_a_client_certificate(served):
    """EXTERNAL, where the filter lets it: the name of a certificate that smtpd_tls_CAfile vouches for."""
    port = served.ports["smtps"]
    for name, ca, code in (("alice", served.ca, 235), ("alice", Authority("Another CA"), 504)):
        with Client("127.0.0.1", port, tls=tls_context(certificate=ca.issue(name))) as client:
            assert ("EXTERNAL" in offered(client)) == (code == 235)
            client.cmd("AUTH EXTERNAL =", code)
    with Client("127.0.0.1", port, tls=tls_context(certificate=served.ca.issue("alice"))) as client:
        client.hello()
        client.cmd(f"AUTH EXTERNAL {b64('bob')}", 535)
        client.cmd("AUTH EXTERNAL", 334)
        client.cmd(b64("alice"), 235)
    with Client("127.0.0.1", port, tls=tls_context()) as client:
        assert offered(client) == "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN"
        client.cmd("AUTH LOGIN", "504 5.5.4")


@pytest.mark.skipif(not AS_ROOT, reason="reads the memory of other processes")
def test_no_password_stays_in_memory(served):
    """Catalogue: what a core of a live process could tell. The session is still there."""
    password = "wonder land"
    for encrypted in (True, False):
        for mechanism in ("PLAIN at once", "PLAIN", "LOGIN") if encrypted else ("PLAIN at once", "LOGIN"):
            with secure(served) if encrypted else Client("127.0.0.1", served.ports["plain"]) as client:
                client.hello()
                if mechanism == "LOGIN":
                    reply = login(client, "alice", password)
                elif mechanism == "PLAIN":
                    client.cmd("AUTH PLAIN", 334)
                    reply = client.cmd(plain("alice", password))
                else:
                    reply = client.cmd(f"AUTH PLAIN {plain('alice', password)}")
                assert reply.code == 235
                client.cmd("NOOP", 250)
                time.sleep(0.05)
                for role in ("smtpd", "lookup", "policy", "master", "log"):
                    for pid in served.pids(role):
                        held = memory.writable(pid)
                        for secret in (password, b64(password), plain("alice", password)[8:]):
                            assert secret.encode() not in held, (encrypted, mechanism, role, secret)


def test_security_options(make, tmp_path):
    certificate = Authority().issue("mx.here.test")
    instance = make({"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "table", "smtpd_sasl_path": "inline:{ { alice = x } }", "smtpd_tls_chain_files": certificate.both, "smtpd_tls_security_level": "may",
                     "smtpd_tls_auth_only": "no", "smtpd_sasl_security_options": "noplaintext, noanonymous", "smtpd_sasl_tls_security_options": "noanonymous", "smtpd_sasl_scram": "yes", "broken_sasl_auth_clients": "yes"})
    with instance.connect() as client:
        lines = client.hello().lines
        assert "250-AUTH SCRAM-SHA-256" in lines and "250-AUTH=SCRAM-SHA-256" in lines
        client.cmd("AUTH PLAIN", "538 5.7.11")
        client.starttls(tls_context())
        assert "250-AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN" in client.hello().lines
        client.cmd("AUTH LOGIN", 334)
    instance.reload(smtpd_sasl_exceptions_networks="127.0.0.1/32")
    with instance.connect() as client:
        assert "AUTH" not in client.hello().text
        client.cmd("AUTH LOGIN", "503 5.5.1 Error: authentication not enabled")
        client.cmd("MAIL FROM:<a@b.test> AUTH=<>", 250)


def test_a_thousand_guesses_are_bounded(make):
    """Catalogue E03: the limits as they are out of the box."""
    instance = make({"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "table", "smtpd_sasl_path": "inline:{ { alice = {PLAIN}wonder } }", "smtpd_tls_auth_only": "no", "mynetworks": "127.0.0.5/32",
                     "smtpd_soft_error_limit": "3", "smtpd_error_sleep_time": "50ms", "smtpd_auth_failure_limit_delay": "0"})
    tried = refused = 0
    begun = time.monotonic()
    while tried + refused < 1000 and time.monotonic() - begun < 2:
        with instance.connect() as client:
            client.hello()
            try:
                while tried + refused < 1000 and time.monotonic() - begun < 2:
                    code = client.cmd(f"AUTH PLAIN {plain('alice', str(tried))}").code
                    tried, refused = tried + (code == 535), refused + (code == 454)
                    if code == 421:
                        break
            except EOFError:
                pass
    assert tried <= 12 and refused, (tried, refused)
