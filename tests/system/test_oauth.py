"""Tokens (oauth2: tables): got by refresh for a smarthost, and looked at by introspection for clients who log in."""
import os, pathlib, re, shutil, subprocess

import pytest
from harness import oauth
from harness.certificates import Authority
from harness.instance import AS_ROOT, PREFIX, wait_until

USER = "relay@provider.test"


@pytest.fixture(scope="module")
def ca():
    authority = Authority("OAuth test CA")
    yield authority
    authority.close()


@pytest.fixture
def endpoint(ca, request):
    made = oauth.Endpoint(ca.issue("id.provider.test", names=["127.0.0.1", "localhost"]))
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
        import base64
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
    for i in range(3):
        submit(instance)
        delivered(p, i + 1)
        wait_until(lambda: False, 1.1)
    assert [form["refresh_token"] for _, form, _ in endpoint.asked] == ["refresh-0", "refresh-1", "refresh-2"]
    assert kept.read_text() == "refresh-3\n" and os.listdir(kept.parent) == ["provider"]
    assert (kept.stat().st_uid, kept.stat().st_mode) == (before.st_uid, before.st_mode)
    # It survives the process.
    instance.stop()
    instance.start()
    submit(instance)
    delivered(p, 4)
    assert endpoint.asked[-1][1]["refresh_token"] == "refresh-3"


def test_what_cannot_be_stored_is_told_and_used(make, peer, endpoint, ca):
    endpoint.rotates, endpoint.lifetime = True, 1
    instance, p = relay(make, peer, endpoint, ca, Smarthost(*(f"access-{i}" for i in range(9))), kept=False, refresh_token="refresh-0", client_auth="post")
    for i in range(2):
        submit(instance)
        delivered(p, i + 1)
        wait_until(lambda: False, 1.1)
    assert [form["refresh_token"] for _, form, _ in endpoint.asked] == ["refresh-0", "refresh-1"] and not endpoint.asked[0][2]
    said = r"provider\.cf: the endpoint gave a new refresh token, which cannot be stored"
    instance.wait_log(said)
    assert len(re.findall(said, instance.log())) == 1


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
        endpoint.delay = 4
        assert query(endpoint, ca, tmp_path)[0] not in (0, 1)
    finally:
        other.close()
        plain.close()
        named.close()
