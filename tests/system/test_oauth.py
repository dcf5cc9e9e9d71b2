"""Tokens (oauth2: tables): got by refresh for a smarthost, and looked at by introspection for clients who log in."""
import base64, contextlib, json, os, re, shutil, subprocess, time

import pytest
from harness import memory, oauth
from harness.authenticate import oauthbearer, plain, xoauth2
from harness.certificates import Authority
from harness.client import tls_context
from harness.instance import AS_ROOT, PREFIX, wait_until

USER = "relay@provider.test"


@pytest.fixture(scope="module")
def ca():
    authority = Authority("OAuth test CA")
    yield authority
    authority.close()


@pytest.fixture(scope="module")
def certificate(ca):
    return ca.issue("id.provider.test", names=["127.0.0.1", "localhost"])


@pytest.fixture
def endpoint(certificate, request):
    made = oauth.Endpoint(certificate)
    request.addfinalizer(made.close)
    return made


def owned(path, text, mode=0o640):
    """A file that lookup alone may read."""
    path.write_text(text)
    path.chmod(mode)
    if AS_ROOT:
        shutil.chown(path, "postern-lookup", "postern-lookup")
    return path


def parameters(instance, endpoint, ca, name, **values):
    """A table's file; None leaves a parameter out."""
    values = {"client_id": endpoint.client, "client_secret": endpoint.secret, "tls_ca_cert_file": ca.cert, "timeout": 5, **values}
    path = owned(instance.home / name, "".join(f"{key} = {value}\n" for key, value in values.items() if value is not None))
    return f"oauth2:{path}"


class Smarthost:
    """XOAUTH2 and OAUTHBEARER; lets in who has one of these tokens. heard: (user, token) of each attempt."""

    def __init__(self, *good):
        self.good, self.heard = set(good), []

    def __call__(self, session, line, peer):
        text = base64.b64decode(line.split()[2]).decode()
        user = re.search(r"(?:user|a)=([^,\1]*)", text)[1]
        token = re.search(r"auth=Bearer ([^\1]*)", text)[1]
        self.heard.append((user, token))
        if token in self.good:
            return "235 2.7.0 ok"
        session.say("334 " + base64.b64encode(b'{"status":"401"}').decode())
        session.line()
        return "535 5.7.8 " + token


def relay(make, peer, endpoint, ca, smarthost, offer="XOAUTH2", kept=True, **values):
    """An instance whose smarthost that is, with a refresh token in a file that lookup may replace."""
    p = peer(on={"AUTH": smarthost}, extensions=(f"AUTH {offer}",))
    instance = make({"relayhost": f"[127.0.0.1]:{p.port}", "smtp_sasl_auth_enable": "yes", "minimal_backoff_time": "300s", "smtp_sasl_security_options": "noanonymous", "smtp_connection_cache_on_demand": "no"}, start=False)
    instance.write_config()
    instance.postern("setup")
    if kept:
        values = {"refresh_token_file": owned(instance.home / "queue/tokens/provider", endpoint.refresh + "\n", 0o600), **values}
    values = {"token_endpoint": endpoint.url("/token"), "username": USER, "scope": "https://mail.provider.test/ offline", **values}
    instance.settings["smtp_sasl_password_maps"] = parameters(instance, endpoint, ca, "provider.cf", **values)
    instance.write_config()
    return instance.start(), p


def submit(instance, recipient="r@far.test"):
    with instance.connect() as c:
        c.hello()
        c.mail("alice@here.test", [recipient])


def delivered(p, count):
    assert wait_until(lambda: len(p.messages) >= count, 15), p.commands


def test_a_token_is_got_kept_and_renewed_when_it_is_refused(make, peer, endpoint, ca):
    smarthost = Smarthost("access-1")
    instance, p = relay(make, peer, endpoint, ca, smarthost)
    for i in range(2):
        submit(instance)
        delivered(p, i + 1)
    assert set(smarthost.heard) == {(USER, "access-1")} and len(endpoint.asked) == 1
    path, form, authorization = endpoint.asked[0]
    assert (path, form) == ("/token", {"grant_type": "refresh_token", "refresh_token": "refresh-0", "scope": "https://mail.provider.test/ offline"})
    assert authorization.startswith("Basic ")
    # Revoked before its time: asked once more, with what the server takes then.
    smarthost.good = {"access-2"}
    smarthost.heard.clear()
    submit(instance)
    delivered(p, 3)
    assert smarthost.heard[-2:] == [(USER, "access-1"), (USER, "access-2")] and len(endpoint.asked) == 2
    # A server that takes none costs the endpoint one question, not one a message.
    smarthost.good = set()
    for i in range(2):
        submit(instance)
        instance.wait_log(r"status=deferred \(SASL authentication failed; server 127\.0\.0\.1\[127\.0\.0\.1\] said: 535 5\.7\.8 \*+\)", count=i + 1)
        instance.postern("flush")
    assert len(endpoint.asked) == 2
    for secret in ("access-", "refresh-", "cl/ient"):
        assert secret not in instance.log()


def test_a_new_refresh_token_replaces_the_old_one(make, peer, endpoint, ca):
    endpoint.rotates, endpoint.lifetime = True, 1
    instance, p = relay(make, peer, endpoint, ca, Smarthost(*(f"access-{i}" for i in range(9))), offer="OAUTHBEARER")
    kept = instance.home / "queue/tokens/provider"
    before = kept.stat()
    for i in range(2):
        submit(instance)
        delivered(p, i + 1)
        wait_until(lambda: False, 1.1)
    assert [form["refresh_token"] for _, form, _ in endpoint.asked] == ["refresh-0", "refresh-1"]
    assert kept.read_text() == "refresh-2\n" and os.listdir(kept.parent) == ["provider"]
    assert (kept.stat().st_uid, kept.stat().st_mode) == (before.st_uid, before.st_mode)
    # It survives the process.
    instance.stop()
    instance.start()
    submit(instance)
    delivered(p, 3)
    assert endpoint.asked[-1][1]["refresh_token"] == "refresh-2"


LIES = {
    "refused": ((400, {}, b'{"error":"invalid_grant","error_description":"gone: refresh-0"}'), r"the endpoint says 400: invalid_grant"),
    "no JSON": ((200, {}, b"<html>welcome</html>"), r"the answer is no JSON object"),
    "JSON that is cut": ((200, {}, b'{"access_token":"good","token_type":"Bearer"'), r"the answer is no JSON object"),
    "twice": ((200, {}, b'{"access_token":"good","access_token":"bad","token_type":"Bearer"}'), r"the answer is no JSON object"),
    "deep": ((200, {}, b'{"a":' + b"[" * 60000), r"the answer is no JSON object"),
    "huge": ((200, {}, b" " * 70000 + b'{"access_token":"good","token_type":"Bearer"}'), r"the endpoint's answer is longer than 65536 octets"),
    "redirected": ((302, {"Location": "/token2"}, b'{"access_token":"good","token_type":"Bearer"}'), r"the endpoint redirects \(302\)"),
    "of another type": ((200, {}, b'{"access_token":"good","token_type":"mac"}'), r"token_type is not Bearer"),
    "a line end in it": ((200, {}, b'{"access_token":"good\\r\\nRCPT TO:<x>","token_type":"Bearer"}'), r"no access_token that can be used"),
    "too long": ((200, {}, b'{"access_token":"' + b"g" * 6001 + b'","token_type":"Bearer"}'), r"no access_token that can be used"),
    "empty": ((200, {}, b""), r"the answer is no JSON object"),
    "an error, and a token": ((500, {}, b'{"access_token":"good","token_type":"Bearer"}'), r"the endpoint says 500"),
}


def query(endpoint, ca, folder, key="k", **values):
    """postern map -q: (status, output, what it complained of)."""
    values = {"token_endpoint": endpoint.url("/token"), "client_id": endpoint.client, "client_secret": endpoint.secret, "tls_ca_cert_file": ca.cert, "username": USER,
              "refresh_token": "refresh-0", "timeout": 2, **values}
    path = folder / "table.cf"
    path.write_text("".join(f"{name} = {value}\n" for name, value in values.items() if value is not None))
    done = subprocess.run([str(PREFIX / "sbin/postern"), "map", "-q", key, f"oauth2:{path}"], capture_output=True, text=True, timeout=30, env={**os.environ, "https_proxy": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"})
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("lie", LIES)
def test_an_endpoint_that_lies_gives_no_token(endpoint, ca, tmp_path, lie):
    endpoint.answer, complaint = LIES[lie]
    status, out, complaints = query(endpoint, ca, tmp_path)
    assert status not in (0, 1) and out == "" and re.search(complaint, complaints), (status, out, complaints)
    assert len(endpoint.asked) == 1 and "refresh-0" not in complaints and "good" not in complaints


def test_what_is_no_endpoint_to_trust(endpoint, ca, tmp_path):
    other, plain, named = Authority("another CA"), oauth.Endpoint(), oauth.Endpoint(ca.issue("id.other.test"))
    try:
        for values, complaint in [
                ({"tls_ca_cert_file": other.cert}, r"the endpoint: SSL certificate problem"),
                ({"tls_ca_cert_file": None}, r"the endpoint: SSL certificate problem"),
                ({"token_endpoint": named.url("/token")}, r"the endpoint: SSL: no alternative certificate subject name matches"),
                ({"token_endpoint": "http://id.provider.test/token"}, r"token_endpoint: without TLS"),
                ({"token_endpoint": "http://127.0.0.1.provider.test/token"}, r"token_endpoint: without TLS|the endpoint"),
                ({"token_endpoint": "http://localhost@provider.test/token"}, r"token_endpoint: no URL with a host, or one with a name"),
                ({"token_endpoint": "file:///etc/passwd"}, r"token_endpoint: need a URL that begins with https://"),
                ({"tls_ca_cert_file": "/nowhere"}, r"/nowhere: No such file"),
                ({"introspection_endpoint": endpoint.url("/i")}, r"need token_endpoint or introspection_endpoint"),
                ({"refresh_token": None}, r"need refresh_token or refresh_token_file"),
                ({"username": "a:b"}, r"username: too long, or with a blank or colon"),
                ({"client_auth": "none"}, r"client_auth: need basic or post")]:
            status, out, complaints = query(endpoint, ca, tmp_path, **values)
            assert status not in (0, 1) and out == "" and re.search(complaint, complaints), (values, status, out, complaints)
        assert not endpoint.asked and not named.asked
        assert query(plain, ca, tmp_path, token_endpoint=plain.url("/token", "localhost"))[:2] == (0, f"{USER}:{{BEARER}}access-1\n")
        assert query(endpoint, ca, tmp_path, "[smtp.provider.test]:587", keys="[smtp.provider.test]:587 x")[:2] == (0, f"{USER}:{{BEARER}}access-1\n")
        assert query(endpoint, ca, tmp_path, "mx.spammer.test", keys="[smtp.provider.test]:587")[:2] == (1, "")
        endpoint.delay = 2
        assert query(endpoint, ca, tmp_path, timeout=1)[0] not in (0, 1)
    finally:
        other.close()
        plain.close()
        named.close()


def test_what_cannot_be_stored_is_told(endpoint, ca, tmp_path):
    endpoint.rotates = True
    status, out, complaints = query(endpoint, ca, tmp_path, client_auth="post")
    assert (status, out) == (0, f"{USER}:{{BEARER}}access-1\n") and not endpoint.asked[0][2]
    assert re.search(r"table\.cf: the endpoint gave a new refresh token, which cannot be stored and is lost with this process: a refresh_token_file is needed", complaints), complaints
    assert "refresh-1" not in complaints


def serve(make, endpoint, ca, passwords=False, other=None, **values):
    """A listener with TLS whose clients' tokens that endpoint knows."""
    certificate = ca.issue("mx.here.test")
    instance = make({"mynetworks": "127.0.0.5/32", "smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "table", "smtpd_tls_chain_files": certificate.both, "smtpd_tls_security_level": "may",
                     "smtpd_error_sleep_time": "0", "smtpd_soft_error_limit": 1000, "smtpd_hard_error_limit": 1000, "smtpd_auth_failure_limit_delay": "0", "smtpd_auth_failure_limit_address": "0"}, start=False)
    values = {"introspection_endpoint": endpoint.url("/introspect"), "scope": "mail", "audience": "postern", "issuer": "https://id.test", **values}
    tables = [parameters(instance, endpoint, ca, "tokens.cf", **values)]
    if passwords:
        stored = subprocess.run([str(PREFIX / "sbin/postern"), "password"], input="wonder land", capture_output=True, text=True, check=True).stdout
        tables.insert(0, f"texthash:{owned(instance.home / 'passwords', 'alice ' + stored)}")
    instance.settings["smtpd_sasl_path"] = ", ".join(tables)
    instance.settings.update(other or {})
    return instance.start()


def good(endpoint, token, user="alice", **more):
    """A token that the endpoint knows."""
    claims = {"active": True, "username": user, "scope": "openid mail", "aud": ["postern", "imap"], "iss": "https://id.test", "exp": int(time.time()) + 600, **more}
    endpoint.tokens[token] = {name: value for name, value in claims.items() if value is not None}
    return token


@contextlib.contextmanager
def secure(instance, **options):
    with instance.connect(**options) as client:
        client.hello()
        client.starttls(tls_context())
        client.hello()
        yield client


def offered(client):
    return next((line[4:] for line in client.hello().lines if line[4:].startswith("AUTH")), "")


def refused(client, mechanism, message):
    """The challenge that says why, before the 535."""
    challenge = json.loads(base64.b64decode(client.cmd(f"AUTH {mechanism} {message}", 334).text))
    client.cmd("AQ==" if mechanism == "OAUTHBEARER" else "", "535 5.7.8")
    return challenge


def test_tokens_are_taken_within_tls_alone(make, endpoint, ca):
    instance = serve(make, endpoint, ca, other={"smtpd_tls_auth_only": "no", "default_transport": "discard:"})
    token = good(endpoint, "Ab.c-1~+/==")
    with instance.connect() as client:
        assert offered(client) == ""
        client.cmd(f"AUTH XOAUTH2 {xoauth2('alice', token)}", "538 5.7.11")
    assert not endpoint.asked
    unnamed = base64.b64encode(f"n,,\1auth=Bearer {token}\1\1".encode()).decode()
    for mechanism, message in (("XOAUTH2", xoauth2("Alice", token)), ("OAUTHBEARER", oauthbearer("alice", token)), ("OAUTHBEARER", unnamed)):
        with secure(instance) as client:
            assert offered(client) == "AUTH OAUTHBEARER XOAUTH2"
            client.cmd(f"AUTH {mechanism} {message}", "235 2.7.0")
            client.mail("a@here.test", ["r@far.test"])
        instance.wait_log(f"sasl_method={mechanism}, sasl_username=alice$")
    # What the endpoint said once is known for a while.
    assert [(path, form) for path, form, _ in endpoint.asked] == [("/introspect", {"token": token, "token_type_hint": "access_token"})]
    assert token not in instance.log()


def test_who_does_not_get_in_by_a_token(make, endpoint, ca):
    instance = serve(make, endpoint, ca, negative_cache_seconds=0)
    rows = {
        "tkn-unknown": (None, "the token is not active"),
        "tkn-of-bob": (dict(user="bob"), "the token is another user's"),
        "tkn-old": (dict(exp=int(time.time()) - 1), "the token has expired"),
        "tkn-early": (dict(nbf=int(time.time()) + 600), "the token is not valid yet"),
        "tkn-scope": (dict(scope="openid mailing"), "the token has not the scope that is needed"),
        "tkn-audience": (dict(aud="imap"), "the token is for another audience"),
        "tkn-issuer": (dict(iss="https://id.evil"), "the token is of another issuer"),
        "tkn-nobody": (dict(user=None), "the token names no user"),
    }
    with secure(instance) as client:
        for token, (claims, why) in rows.items():
            if claims:
                good(endpoint, token, **claims)
            assert refused(client, "OAUTHBEARER", oauthbearer("alice", token)) == {"status": "invalid_token"}
            instance.wait_log(rf"warning: .*\[127\.0\.0\.1\]: SASL OAUTHBEARER authentication failed: {why}, sasl_username=alice$")
        assert refused(client, "XOAUTH2", xoauth2("alice", "tkn-unknown")) == {"status": "401", "schemes": "bearer"}
        asked = len(endpoint.asked)
        for malformed in (xoauth2("alice", "tkn no"), xoauth2("alice", "t" * 6001), oauthbearer("alice", "tkn"), xoauth2("", "tkn")):
            client.cmd(f"AUTH XOAUTH2 {malformed}", "535 5.7.8")
        assert len(endpoint.asked) == asked
        # Whoever leaves instead of acknowledging was counted before.
        client.cmd(f"AUTH XOAUTH2 {xoauth2('mallory', 'tkn-unknown')}", 334)
        client.cmd("*", "501 5.7.0")
        instance.wait_log(r"SASL XOAUTH2 authentication failed: the token is not active, sasl_username=mallory$")
        client.cmd(f"AUTH XOAUTH2 {xoauth2('alice', good(endpoint, 'tkn-good'))}", "235 2.7.0")
    assert instance.log().count("authentication failed") == len(rows) + 6 and "tkn" not in instance.log()
    # Where a better token is to be had (RFC 7628, 3.2.2).
    instance.reload(smtpd_sasl_oauth2_scope="mail", smtpd_sasl_oauth2_configuration="https://id.test/.well-known/openid-configuration")
    with secure(instance) as client:
        assert refused(client, "OAUTHBEARER", oauthbearer("alice", "tkn-unknown")) == {"status": "invalid_token", "scope": "mail", "openid-configuration": "https://id.test/.well-known/openid-configuration"}
        assert refused(client, "XOAUTH2", xoauth2("alice", "tkn-unknown")) == {"status": "401", "schemes": "bearer", "scope": "mail"}


def test_what_the_endpoint_says_is_kept_within_bounds(make, endpoint, ca):
    instance = serve(make, endpoint, ca, cache_seconds=2, negative_cache_seconds=1)
    good(endpoint, "revoked"), good(endpoint, "short", exp=int(time.time()) + 2)
    with secure(instance) as client:
        for _ in range(2):
            refused(client, "XOAUTH2", xoauth2("alice", "later"))
    assert len(endpoint.asked) == 1
    for token in ("revoked", "short"):
        with secure(instance) as client:
            client.cmd(f"AUTH XOAUTH2 {xoauth2('alice', token)}", "235 2.7.0")
    del endpoint.tokens["revoked"]
    good(endpoint, "later")
    wait_until(lambda: False, 2.1)
    with secure(instance) as client:
        for token in ("revoked", "short"):
            refused(client, "XOAUTH2", xoauth2("alice", token))
        client.cmd(f"AUTH XOAUTH2 {xoauth2('alice', 'later')}", "235 2.7.0")


def test_failures_count_against_the_limits(make, endpoint, ca):
    instance = serve(make, endpoint, ca, other={"smtpd_auth_failure_limit_address": "3"})
    with secure(instance) as client:
        for _ in range(3):
            refused(client, "XOAUTH2", xoauth2("alice", "guess"))
        client.cmd(f"AUTH XOAUTH2 {xoauth2('alice', good(endpoint, 'right'))}", "454 4.7.0")


def test_an_endpoint_in_trouble_lets_nobody_in_and_holds_up_no_password(make, endpoint, ca):
    instance = serve(make, endpoint, ca, passwords=True, timeout=2)
    token = good(endpoint, "right")
    with secure(instance) as client:
        assert set(offered(client).split()[1:]) == {"PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"}
        for answer in [(200, {}, b"<html>"), (200, {}, b'{"active":"true","username":"alice"}'), (302, {"Location": "/other"}, b'{"active":true,"username":"alice"}'),
                       (500, {}, b'{"active":true,"username":"alice"}')]:
            endpoint.answer = answer
            client.cmd(f"AUTH XOAUTH2 {xoauth2('alice', token)}", "454 4.7.0")
        instance.wait_log(r"password table lookup problem: oauth2:.*tokens\.cf: ")
        client.cmd(f"AUTH PLAIN {plain('alice', 'wonder land')}", "235 2.7.0")
    # A password is no token.
    endpoint.answer = None
    good(endpoint, "bob", user="bob")
    asked = len(endpoint.asked)
    with secure(instance) as client:
        client.cmd(f"AUTH PLAIN {plain('bob', 'bob')}", "535 5.7.8")
        assert len(endpoint.asked) == asked
    # As many as there are threads wait for the endpoint: passwords do not.
    endpoint.delay = 30
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(secure(instance, source=f"127.0.1.{i + 1}")) for i in range(max(4, os.cpu_count()))]
        time.sleep(1)
        for i, client in enumerate(slow):
            client.send(f"AUTH XOAUTH2 {xoauth2(f'user{i}', f'token{i}')}\r\n")
        assert wait_until(lambda: len(endpoint.asked) > asked, 5)
        with secure(instance) as client:
            began = time.monotonic()
            client.cmd(f"AUTH PLAIN {plain('alice', 'wonder land')}", "235 2.7.0")
            assert time.monotonic() - began < 1.5
        for client in slow:
            assert client.reply().code == 454


def test_a_table_that_gets_tokens_lets_nobody_in(make, endpoint, ca):
    instance = serve(make, endpoint, ca, introspection_endpoint=None, scope=None, audience=None, issuer=None, token_endpoint=endpoint.url("/token"), refresh_token="refresh-0", username=USER)
    with secure(instance) as client:
        client.cmd(f"AUTH XOAUTH2 {xoauth2(USER, 'anything')}", "454 4.7.0")
    instance.wait_log(r"this table does not say whose a token is")


def test_check_tells_what_is_wrong_with_a_table(make, endpoint, ca):
    instance = make({"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "table", "smtp_sasl_auth_enable": "yes"}, start=False)
    instance.write_config()
    instance.postern("setup")
    gets = {"token_endpoint": endpoint.url("/token"), "username": USER, "refresh_token_file": owned(instance.home / "token", "refresh-0", 0o644)}
    instance.settings["smtpd_sasl_path"] = parameters(instance, endpoint, ca, "gets.cf", scoop="mail", **gets)
    instance.settings["smtp_sasl_password_maps"] = parameters(instance, endpoint, ca, "tells.cf", introspection_endpoint=endpoint.url("/introspect"), cache_seconds=4000)
    instance.write_config()
    told = instance.postern("check", check=False).stdout
    for line in (r"smtpd_sasl_path: oauth2:.*gets\.cf: for this it needs introspection_endpoint", r"smtp_sasl_password_maps: oauth2:.*tells\.cf: for this it needs token_endpoint",
                 r"gets\.cf:\d+: unknown parameter scoop", r"tells\.cf:\d+: cache_seconds: need a number from 0 to 3600", r"/token: everybody may read this secret"):
        assert re.search(line, told), told
    assert not endpoint.asked and "refresh-0" not in told and endpoint.secret not in told


@pytest.mark.skipif(not AS_ROOT, reason="reads the memory of other processes")
def test_no_process_keeps_a_clients_token(make, endpoint, ca):
    instance = serve(make, endpoint, ca)
    token = "tokenthatisnowheretobefound" * 3
    good(endpoint, token)
    message = xoauth2("alice", token)
    with secure(instance) as client:
        client.cmd(f"AUTH XOAUTH2 {message}", "235 2.7.0")
        client.cmd("NOOP", 250)
        time.sleep(0.1)
        for role in ("smtpd", "lookup", "policy", "master", "log"):
            for pid in instance.pids(role):
                held = memory.writable(pid)
                for text in (token, message[20:80], base64.b64encode(token.encode()).decode()):
                    assert text.encode() not in held, role
    assert len(endpoint.asked) == 1
