"""Authentication to a smarthost (smtp_sasl_*): logins out of tables, mechanisms, and servers that mean no good."""
import base64, hashlib, hmac, os, subprocess

import pytest
from harness import dovecot
from harness.certificates import Authority
from harness.instance import PREFIX
from harness.postfix import Postfix

USER, PASSWORD = "relay", "sesame,=open"
AUTH = ("PIPELINING", "8BITMIME", "AUTH PLAIN LOGIN")
PLAIN_ALLOWED = {"smtp_sasl_security_options": "noanonymous"}


def b64(data):
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def answer(session, challenge):
    session.say("334 " + challenge if challenge else "334 ")
    return session.line().decode().rstrip("\r\n")


class Server:
    """AUTH as a server that knows one login. heard: (mechanism, name, password or token) of each attempt."""

    def __init__(self, password=PASSWORD, rounds=4096, lies=False):
        self.password, self.rounds, self.lies, self.heard = password, rounds, lies, []

    def __call__(self, session, line, peer):
        words = line.decode().split()
        mechanism, initial = words[1].upper(), words[2] if len(words) > 2 else None
        return getattr(self, mechanism.replace("-", "_"))(session, initial)

    def verdict(self, mechanism, user, password):
        self.heard.append((mechanism, user, password))
        return "235 2.7.0 ok" if (user, password) == (USER, self.password) else "535 5.7.8 no such login"

    def PLAIN(self, session, initial):
        _, user, password = base64.b64decode(initial if initial is not None else answer(session, "")).decode().split("\0")
        return self.verdict("PLAIN", user, password)

    def LOGIN(self, session, initial):
        user = base64.b64decode(answer(session, "VXNlcm5hbWU6")).decode()
        return self.verdict("LOGIN", user, base64.b64decode(answer(session, "UGFzc3dvcmQ6")).decode())

    def XOAUTH2(self, session, initial):
        text = base64.b64decode(initial if initial is not None else answer(session, "")).decode()
        user, token = text.split("\1")[0].removeprefix("user="), text.split("\1")[1].removeprefix("auth=Bearer ")
        said = self.verdict("XOAUTH2", user, token)
        if said.startswith("5"):
            assert answer(session, b64('{"status":"401"}')) == ""
        return said

    def SCRAM_SHA_256(self, session, initial):
        bare = base64.b64decode(initial).decode().split(",", 2)[2]
        user, nonce = (part.split("=", 1)[1] for part in bare.split(","))
        first = f"r={nonce}server,s={b64('salty')},i={self.rounds}"
        final = base64.b64decode(answer(session, b64(first))).decode()
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), b"salty", self.rounds)
        digest = lambda key, text: hmac.new(key, text, "sha256").digest()
        message = f"{bare},{first},{final.rsplit(',p=', 1)[0]}".encode()
        key = digest(salted, b"Client Key")
        proof = bytes(a ^ b for a, b in zip(key, digest(hashlib.sha256(key).digest(), message)))
        if final.rsplit(",p=", 1)[1] != b64(proof):
            return self.verdict("SCRAM-SHA-256", user, "?")
        if not self.lies:
            assert answer(session, b64("v=" + b64(digest(digest(salted, b"Server Key"), message)))) == ""
        return self.verdict("SCRAM-SHA-256", user, self.password)


def relay(make, server, logins=None, kind="texthash", **settings):
    """An instance whose smarthost that is."""
    logins = logins if logins is not None else {f"[127.0.0.1]:{server.port}": f"{USER}:{PASSWORD}"}
    instance = make({"relayhost": f"[127.0.0.1]:{server.port}", "smtp_sasl_auth_enable": "yes", "minimal_backoff_time": "300s", **settings}, start=False)
    path = instance.home / "logins"
    path.write_text("".join(f"{key} {value}\n" for key, value in logins.items()))
    instance.settings["smtp_sasl_password_maps"] = f"{kind}:{path}"
    instance.write_config()
    if kind == "hash":
        instance.postern("map", f"hash:{path}")
    return instance.start()


def submit(instance, sender="alice@here.test", recipient="r@far.test"):
    with instance.connect() as c:
        c.hello()
        c.mail(sender, [recipient])


def test_each_mechanism_and_the_best_first(make, peer):
    for settings, rows in [
            (PLAIN_ALLOWED, [("PLAIN LOGIN SCRAM-SHA-256", "SCRAM-SHA-256"), ("LOGIN PLAIN", "PLAIN"), ("LOGIN", "LOGIN")]),
            ({**PLAIN_ALLOWED, "smtp_sasl_mechanism_filter": "!plain, !scram-sha-256, static:rest"}, [("PLAIN LOGIN SCRAM-SHA-256", "LOGIN")]),
    ]:
        servers = [Server() for _ in rows]
        peers = [peer(on={"AUTH": server}, extensions=("PIPELINING", "8BITMIME", f"AUTH {offer}")) for server, (offer, _) in zip(servers, rows)]
        table = " ".join(f"{{ d{i}.test = smtp:[127.0.0.1]:{p.port} }}" for i, p in enumerate(peers))
        instance = relay(make, peers[0], {"127.0.0.1": f"{USER}:{PASSWORD}"}, transport_maps=f"inline:{{ {table} }}", **settings)
        for i, (server, p, (offer, heard)) in enumerate(zip(servers, peers, rows)):
            submit(instance, recipient=f"r@d{i}.test")
            p.wait()
            assert server.heard == [(heard, USER, PASSWORD)], offer
            assert p.messages[0]["mail"].upper().startswith("MAIL FROM:<ALICE@HERE.TEST>") and "AUTH=" not in p.messages[0]["mail"]


def test_a_token_and_the_next_one(make, peer):
    """XOAUTH2: what another program writes into the table counts at once, even while the server refuses the old one."""
    server = Server(password="token2")
    p = peer(on={"AUTH": server}, extensions=("AUTH XOAUTH2 PLAIN",))
    instance = relay(make, p, {f"[127.0.0.1]:{p.port}": f"{USER}:{{BEARER}}token1"}, kind="hash", **PLAIN_ALLOWED)
    submit(instance)
    instance.wait_log(r"status=deferred \(SASL authentication failed; server 127\.0\.0\.1\[127\.0\.0\.1\] said: 535 5\.7\.8 no such login\)")
    assert server.heard == [("XOAUTH2", USER, "token1")]
    renew = lambda: (instance.home / "logins").write_text(f"[127.0.0.1]:{p.port} {USER}:{{BEARER}}token2\n") and instance.postern("map", f"hash:{instance.home}/logins")
    server.XOAUTH2 = lambda session, initial: (server.heard or renew()) and Server.XOAUTH2(server, session, initial)
    server.heard.clear()
    instance.postern("flush")
    p.wait()
    assert server.heard == [("XOAUTH2", USER, "token1"), ("XOAUTH2", USER, "token2")] and p.commands[-3:-2] != ["EHLO mx.here.test"]


SAID, CANNOT = r"SASL authentication failed; server 127\.0\.0\.1\[127\.0\.0\.1\] said: ", r"SASL authentication failed; cannot authenticate to server 127\.0\.0\.1\[127\.0\.0\.1\]: "
NO_COMPATIBLE = r"SASL authentication failed; server 127\.0\.0\.1\[127\.0\.0\.1\] offered no compatible authentication mechanisms for this type of connection security"
UNFRIENDLY = {
    "plain text allowed": (PLAIN_ALLOWED, [
        ("refused", Server("other"), AUTH, r"dsn=4\.7\.8, status=deferred \(" + SAID + r"535 5\.7\.8 no such login\)"),
        ("not now", "454 4.7.0 busy", AUTH, r"dsn=4\.7\.0, status=deferred \(" + SAID + r"454 4\.7\.0 busy\)"),
        ("one too many", lambda s, line, p: "334 " + answer(s, "")[:0], AUTH, r"dsn=4\.7\.0, status=deferred \(" + CANNOT + r"the server asks once too often\)"),
        ("gone", "!close", AUTH, r"dsn=4\.4\.2, status=deferred \(lost connection with 127\.0\.0\.1\[127\.0\.0\.1\] while performing SASL authentication\)"),
        ("421", "421 4.3.2 going down", AUTH, r"status=deferred \(host 127\.0\.0\.1\[127\.0\.0\.1\] refused to talk to me: 421"),
    ]),
    "plain text not allowed": ({}, [
        ("plain text only", Server(), AUTH, r"dsn=4\.7\.0, status=deferred \(" + CANNOT + r"no mechanism available\)"),
        ("nothing that we know", Server(), ("AUTH GSSAPI NTLM",), r"dsn=4\.7\.0, status=deferred \(" + NO_COMPATIBLE + r"\)"),
        ("binding alone, without TLS", Server(), ("AUTH SCRAM-SHA-256-PLUS",), r"dsn=4\.7\.0, status=deferred \(" + NO_COMPATIBLE),
        ("a challenge that is none", "334 !!!", ("AUTH SCRAM-SHA-256",), r"dsn=4\.7\.0, status=deferred \(" + CANNOT + r"malformed challenge\)"),
        ("few rounds", Server(rounds=1), ("AUTH SCRAM-SHA-256",), r"status=deferred \(" + CANNOT + r"the server wants too few or too many rounds\)"),
        ("a server that does not know the password", Server(lies=True), ("AUTH SCRAM-SHA-256",), r"status=deferred \(" + CANNOT + r"the server did not prove that it knows the password\)"),
        ("a yes before the question", "235 2.7.0 come in", ("AUTH SCRAM-SHA-256",), r"status=deferred \(" + CANNOT + r"the server did not prove"),
    ]),
    "refused for good": ({**PLAIN_ALLOWED, "smtp_sasl_auth_soft_bounce": "no"}, [
        ("refused", Server("other"), AUTH, r"dsn=5\.7\.8, status=bounced \(" + SAID + r"535 5\.7\.8 no such login\)"),
    ]),
}


@pytest.mark.parametrize("group", UNFRIENDLY)
def test_servers_that_do_not_let_us_in(make, peer, group):
    settings, rows = UNFRIENDLY[group]
    peers = [peer(on={"AUTH": on}, extensions=extensions) for _, on, extensions, _ in rows]
    table = " ".join(f"{{ d{i}.test = smtp:[127.0.0.1]:{p.port} }}" for i, p in enumerate(peers))
    instance = relay(make, peers[0], {"127.0.0.1": f"{USER}:{PASSWORD}"}, transport_maps=f"inline:{{ {table} }}", **settings)
    for i in range(len(rows)):
        submit(instance, recipient=f"r@d{i}.test")
    for i, (name, _, _, log) in enumerate(rows):
        instance.wait_log(rf"to=<r@d{i}\.test>.*{log}")
        assert not peers[i].messages and not any(c.startswith("MAIL") for c in peers[i].commands), name
    shown = instance.log() + instance.postern("queue", "list", "--json").stdout
    assert PASSWORD not in shown and b64(f"\0{USER}\0{PASSWORD}") not in shown


def test_a_server_that_repeats_the_password(make, peer):
    """Nobody is shown what goes over the wire: not in the log, the queue, the report or sendmail -v."""
    def parrot(session, line, peer):
        word = line.decode().split()[2]
        return f"535 5.7.8 {word} is wrong, and so is {base64.b64decode(word).decode().split(chr(0))[2]}"
    p = peer(on={"AUTH": parrot}, extensions=AUTH)
    instance = relay(make, p, smtp_sasl_auth_soft_bounce="no", **PLAIN_ALLOWED)
    done = instance.sendmail("-v", "-f", "alice@here.test", "r@far.test", input="Subject: x\n\nbody\n")
    trace = done.stdout + done.stderr
    assert ">>> AUTH PLAIN ********" in trace and "535 5.7.8 ****" in trace, trace
    instance.wait_log(r"status=bounced \(SASL authentication failed; server .* said: 535 5\.7\.8 \*+ is wrong, and so is \*+\)")
    mail = instance.wait_mail("alice")[0]
    for text in (trace, instance.log(), str(mail)):
        assert PASSWORD not in text and b64(f"\0{USER}\0{PASSWORD}") not in text and b64(PASSWORD) not in text


def test_logins_by_host_next_hop_and_sender(make, peer):
    """Connections of one sender are never another's."""
    server = Server()
    p = peer(on={"AUTH": lambda s, line, peer: server(s, line, peer) and "235 2.7.0 ok"}, extensions=AUTH)
    instance = relay(make, p, {"127.0.0.1": "host:1", f"[127.0.0.1]:{p.port}": "hop:2", "alice@here.test": "alice:3", "@there.test": "there:4"}, smtp_sender_dependent_authentication="yes",
                     smtp_connection_cache_destinations="static:all", **PLAIN_ALLOWED)
    for sender, login in (("alice@here.test", ("alice", "3")), ("x@there.test", ("there", "4")), ("bob@here.test", ("host", "1"))) * 2:
        submit(instance, sender)
    messages = p.wait(6)
    with_login = {("alice", "3"), ("there", "4"), ("host", "1")}
    assert {(user, password) for _, user, password in server.heard} == with_login
    # What was sent on a connection behind its AUTH is of the sender that the login belongs to.
    present, seen = None, []
    logins = [(user, password) for _, user, password in server.heard]
    for command in p.commands:
        if command.startswith("AUTH"):
            present = logins.pop(0)
        elif command.startswith("MAIL"):
            seen.append((command.split()[1], present))
    assert len(messages) == 6 and len(seen) == 6


def test_without_a_login_there_is_no_auth(make, peer):
    p = peer(on={"AUTH": Server()}, extensions=AUTH)
    instance = relay(make, p, {"elsewhere.test": "a:b"})
    submit(instance)
    p.wait()
    assert not any(c.startswith("AUTH") for c in p.commands)


def test_tables_in_trouble_put_mail_off(make, peer):
    p = peer(on={"AUTH": Server()}, extensions=AUTH)
    instance = make({"relayhost": f"[127.0.0.1]:{p.port}", "smtp_sasl_auth_enable": "yes", "smtp_sasl_password_maps": "texthash:/nonexistent/logins", "minimal_backoff_time": "300s"})
    submit(instance)
    instance.wait_log(r"dsn=4\.3\.0, status=deferred \(SASL authentication failed; the tables of logins are in trouble\)")
    assert not p.messages
    path = instance.home / "logins"
    path.write_text("x a:b\n")
    path.chmod(0o644)
    instance.reload(smtp_sasl_password_maps=f"texthash:{path}")
    assert f"{path}: warning: everybody may read these passwords" in instance.postern("check", check=False).stdout


def test_dummy_auth_of_mail(make, peer):
    p = peer(on={"AUTH": Server()}, extensions=AUTH)
    instance = relay(make, p, smtp_send_dummy_mail_auth="yes", **PLAIN_ALLOWED)
    submit(instance)
    assert p.wait()[0]["mail"].endswith(" AUTH=<>")


# ---- real smarthosts


@pytest.fixture(scope="module")
def ca(request):
    authority = Authority()
    request.addfinalizer(authority.close)
    return authority


def smarthost(make, ca, scheme, **settings):
    """Another Postern, which lets nobody relay without a login; TLS is required for it."""
    identity = ca.issue("smart.test", names=["localhost", "127.0.0.1", "smart.test"])
    done = subprocess.run([str(PREFIX / "sbin/postern"), "password", "-s", scheme], input=PASSWORD + "\n", capture_output=True, text=True, check=True)
    table = ca.folder / f"passwords-{scheme}"
    table.write_text(f"{USER} {done.stdout.strip()}\n")
    table.chmod(0o644)
    return make({"myhostname": "smart.test", "mydestination": "here.test", "mynetworks": "127.0.0.99", "smtpd_tls_chain_files": identity.both, "smtpd_tls_security_level": "encrypt", "smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "table",
                 "smtpd_sasl_path": f"texthash:{table}", "smtpd_relay_restrictions": "permit_sasl_authenticated, reject", "smtpd_sasl_tls_security_options": "noanonymous", "smtpd_sasl_authenticated_header": "yes", **settings})


TLS = {"smtp_tls_security_level": "encrypt", "smtp_sasl_tls_security_options": "noanonymous"}


def test_our_own_smtpd(make, ca):
    """Bound to the TLS session where both can; in the clear within TLS where the smarthost stores no keys."""
    for scheme, mechanism, settings in (("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", {"smtpd_sasl_scram": "yes"}), ("SHA512-CRYPT", "PLAIN", {})):
        server = smarthost(make, ca, scheme, **settings)
        instance = relay(make, server, smtp_tls_CAfile=str(ca.cert), **TLS)
        submit(instance, recipient="x@far.test")
        server.wait_log(rf"client=.*sasl_method={mechanism}, sasl_username={USER}")
        instance.wait_log(r"to=<x@far\.test>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+,.*status=sent")
        assert PASSWORD not in instance.log() + server.log()
        instance.stop()
        server.stop()


def test_a_password_never_goes_out_because_tls_broke(make, ca, peer):
    """STARTTLS that breaks, then plain text: what a listener would want. SCRAM goes, PLAIN does not."""
    heard = Server()
    def break_off(session, line, peer):
        session.say("220 go")
        raise EOFError
    p = peer(on={"AUTH": heard, "STARTTLS": break_off}, extensions=("STARTTLS", "AUTH PLAIN LOGIN"))
    instance = relay(make, p, smtp_tls_security_level="may", **PLAIN_ALLOWED)
    submit(instance)
    instance.wait_log(r"status=deferred \(SASL authentication failed; cannot authenticate to server .*: no mechanism available\)")
    assert not heard.heard and not p.messages and p.commands.count("STARTTLS") == 1
    p.extensions = ("STARTTLS", "AUTH PLAIN SCRAM-SHA-256")
    instance.postern("flush")
    p.wait()
    assert heard.heard == [("SCRAM-SHA-256", USER, PASSWORD)]


@pytest.mark.skipif(not dovecot.THERE, reason="no Dovecot here")
def test_postfix_with_dovecot(make, ca, request):
    """Its mechanisms over STARTTLS (all of them in long runs); a token that Dovecot verifies."""
    identity = ca.issue("localhost", names=["localhost", "127.0.0.1"])
    server = Postfix({"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "private/auth", "smtpd_tls_security_level": "may", "smtpd_tls_auth_only": "yes", "smtpd_tls_cert_file": identity.cert, "smtpd_tls_key_file": identity.key,
                      "mynetworks": "127.0.0.99", "smtpd_relay_restrictions": "permit_sasl_authenticated, reject", "smtpd_recipient_restrictions": ""})
    request.addfinalizer(server.close)
    for path in (identity.cert, identity.key):
        path.chmod(0o644)
    server.start()
    room = server.home / "dovecot"
    room.mkdir()
    backend = dovecot.Dovecot(server.home / "spool/private/auth", room, {USER: PASSWORD})
    request.addfinalizer(backend.stop)
    (server.home / "spool/private/auth").chmod(0o666)
    rows = [("scram-sha-256", PASSWORD), ("oauthbearer", "{BEARER}" + dovecot.token(USER)), ("login", "wrong")]
    if os.environ.get("POSTERN_LONG_TESTS"):
        rows += [("plain", PASSWORD), ("login", PASSWORD), ("scram-sha-1", PASSWORD), ("xoauth2", "{BEARER}" + dovecot.token(USER))]
    for mechanism, password in rows:
        instance = relay(make, server, {"127.0.0.1": f"{USER}:{password}"}, smtp_sasl_mechanism_filter=mechanism, smtp_tls_CAfile=str(ca.cert), **TLS)
        submit(instance, recipient="box@sink.test")
        if password == "wrong":
            instance.wait_log(r"dsn=4\.7\.8, status=deferred \(SASL authentication failed; server 127\.0\.0\.1\[127\.0\.0\.1\] said: 535 5\.7\.8 Error: authentication failed")
        else:
            instance.wait_log(r"to=<box@sink\.test>.*status=sent")
            assert f"sasl_method={mechanism.upper()}, sasl_username={USER}" in server.log(), server.log()[-3000:]
        instance.stop()
