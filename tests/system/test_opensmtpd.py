"""Debian's OpenSMTPD as next hop and as a client, over TLS, with and without a login."""
import json, re, smtplib, subprocess

import pytest
from harness.certificates import Authority
from harness.instance import PREFIX, free_port, wait_until
from harness.opensmtpd import OpenSmtpd

USER, PASSWORD = "alice", "s&same+ =x"


@pytest.fixture(scope="module")
def ca(request):
    authority = Authority("Test CA")
    request.addfinalizer(authority.close)
    return authority


@pytest.fixture
def opensmtpd(request, ca):
    def build(certificate=None, **options):
        server = OpenSmtpd(certificate or ca.issue("localhost", "rsa", names=["localhost", "opensmtpd.test"]), ca, **options)
        request.addfinalizer(server.close)
        return server.start()
    return build


def send(instance, *recipients, body="Subject: to OpenSMTPD\r\n\r\n..dot\r\nbody\r\n"):
    with instance.connect() as c:
        c.hello()
        return [c.mail("alice@here.test", [recipient], body) for recipient in recipients]


def relaying(make, server, ca, **settings):
    return make({"smtp_tls_CAfile": ca.cert, "smtp_tls_loglevel": 1, "smtp_host_lookup": "native", "inet_protocols": "ipv4", "relayhost": f"[localhost]:{server.port}", "minimal_backoff_time": "300s", **settings})


def test_it_takes_our_mail_over_tls(make, opensmtpd, ca):
    """At each level; who is unknown there comes back with its words."""
    server = opensmtpd(listen="tls-require pki own")
    instance = relaying(make, server, ca, smtp_tls_security_level="verify")
    for number, level in enumerate(("verify", "secure", "encrypt", "may"), 1):
        if number > 1:
            instance.reload(smtp_tls_security_level=level, smtp_tls_secure_cert_match="hostname")
        (queue_id,) = send(instance, "box@sink.test")
        said = instance.wait_log(rf"{queue_id}: to=<box@sink\.test>, relay=localhost\[127\.0\.0\.1\]:{server.port},.* tls={level}, dsn=2\.0\.0, status=sent \(250 2\.0\.0:? ?(\w+)")
        assert said[1] in server.log()
        assert wait_until(lambda: len(server.box()) == number, 15), server.log()
    assert all(letter.endswith(b"\n\n.dot\nbody\n") for letter in server.box())
    assert len(re.findall(r"Verified TLS connection established to localhost\[127\.0\.0\.1\]:\d+: TLSv1\.3", instance.log())) >= 2
    shown = json.loads(instance.postern("tls", "-j", "-l", "verify", f"[localhost]:{server.port}").stdout)
    assert shown["verdict"] == "sent" and shown["hosts"][0]["standing"] == "Verified"
    send(instance, "nobody@sink.test")
    assert b"Diagnostic-Code: smtp; 524 5.2.4 Mailing list expansion problem:" in instance.wait_mail("alice")[0]


def test_it_gets_nothing_it_should_not(make, opensmtpd, ca):
    """Another name in its certificate; no TLS at all."""
    wrong = opensmtpd(ca.issue("other.test", "rsa"), listen="tls pki own")
    instance = relaying(make, wrong, ca, smtp_tls_security_level="verify")
    send(instance, "box@sink.test")
    instance.wait_log(r"tls=verify, dsn=4\.7\.5, status=deferred \(Server certificate not verified: it has none of the names wanted\)")
    plain = opensmtpd()
    instance.reload(relayhost=f"[localhost]:{plain.port}", smtp_tls_security_level="encrypt")
    send(instance, "box@sink.test")
    instance.wait_log(r"dsn=4\.7\.4, status=deferred \(TLS is required, but was not offered by host localhost\[127\.0\.0\.1\]\)")
    assert not wrong.box() and not plain.box()


def test_it_breaks_every_handshake_and_gets_its_mail(make, opensmtpd, ca):
    """As Debian 12 has it. Where TLS is optional mail goes on without."""
    broken = opensmtpd(listen="tls pki own", as_packaged=True)
    instance = relaying(make, broken, ca, smtp_tls_security_level="may")
    send(instance, "box@sink.test")
    instance.wait_log(r"SSL_connect error to localhost\[127\.0\.0\.1\]:\d+: tlsv1 alert internal error")
    instance.wait_log(r"to=<box@sink\.test>.*dsn=2\.0\.0, status=sent")
    assert wait_until(broken.box, 15)
    instance.reload(smtp_tls_security_level="encrypt")
    send(instance, "box@sink.test")
    instance.wait_log(r"dsn=4\.7\.5, status=deferred \(Cannot start TLS: handshake failure \(tlsv1 alert internal error\)\)")
    assert len(broken.box()) == 1


def test_it_lets_us_relay_with_a_login(make, opensmtpd, ca):
    stored = subprocess.run(["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True).stdout.strip()
    server = opensmtpd(listen="tls-require pki own auth <logins>", tables={"logins": {USER: stored}})
    login = {"smtp_tls_security_level": "verify", "smtp_sasl_auth_enable": "yes", "smtp_sasl_tls_security_options": "noanonymous"}
    instance = relaying(make, server, ca, smtp_sasl_password_maps=f"inline:{{ {{ [localhost]:{server.port} = {USER}:{PASSWORD} }} }}", **login)
    for mechanism in ("plain", "login"):
        instance.reload(smtp_sasl_mechanism_filter=mechanism)
        (queue_id,) = send(instance, "box@sink.test")
        instance.wait_log(rf"{queue_id}: to=<box@sink\.test>.*status=sent")
    assert len(re.findall(rf"authentication user={USER} (host=\S+ )?result=ok", server.log())) == 2, server.log()
    instance.reload(smtp_sasl_password_maps=f"inline:{{ {{ [localhost]:{server.port} = {USER}:wrong }} }}", smtp_sasl_auth_cache_name="")
    send(instance, "box@sink.test")
    instance.wait_log(r"status=deferred \(SASL authentication failed; server localhost\[127\.0\.0\.1\] said: 535 ")
    assert PASSWORD not in instance.log()


@pytest.fixture
def ours(make, ca):
    """Listeners for strangers, for submission with STARTTLS and with TLS from the first octet on."""
    identity = ca.issue("localhost", names=["localhost", "mx.here.test"])
    stored = subprocess.run([str(PREFIX / "sbin/postern"), "password", "-s", "SHA512-CRYPT"], input=PASSWORD + "\n", capture_output=True, text=True, check=True).stdout.strip()
    table = ca.folder / "passwords"
    table.write_text(f"{USER} {stored}\n")
    ports = [free_port() for _ in range(3)]
    auth = f"smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = table\nsmtpd_sasl_path = texthash:{table}\nsmtpd_sasl_tls_security_options = noanonymous\nsmtpd_relay_restrictions = permit_sasl_authenticated, reject\n"
    instance = make({"smtpd_tls_chain_files": identity.both, "smtpd_tls_loglevel": 1, "smtpd_tls_received_header": "yes", "mydestination": "here.test, " + ", ".join(WAYS)}, port=ports[0], sections=
        f"[smtp]\nlisten = 127.0.0.1:{ports[0]}\nsmtpd_tls_security_level = may\n[submission]\nlisten = 127.0.0.1:{ports[1]}\nsmtpd_tls_security_level = encrypt\n{auth}"
        f"[submissions]\nlisten = 127.0.0.1:{ports[2]}\nsmtpd_tls_wrappermode = yes\n{auth}")
    instance.ports = ports
    return instance


WAYS = {"may.test": ("smtp", 0), "must.test": ("smtp+tls", 0), "login.test": ("smtp+tls", 1), "wrapped.test": ("smtps", 2)}


def test_it_sends_to_us(ours, opensmtpd):
    """By STARTTLS if it may and if it must, there and from the first octet on with a login: its certificate and name are looked at by it."""
    rules, secrets = "", {"us": f"{USER}:{PASSWORD}"}
    for number, (domain, (scheme, listener)) in enumerate(WAYS.items(), 21):  # from an address each: it waits 5 s between connections of a pair
        label, auth = ("us@", " auth <secrets>") if listener else ("", "")
        rules += f'action "{domain}" relay host "{scheme}://{label}localhost:{ours.ports[listener]}"{auth} src 127.0.0.{number}\nmatch from local for domain "{domain}" action "{domain}"\n'
    server = opensmtpd(rules=rules, tables={"secrets": secrets})
    with smtplib.SMTP("127.0.0.1", server.port) as s:
        for domain in WAYS:
            s.sendmail("p@opensmtpd.test", [f"alice@{domain}", f"bob@{domain}"], f"Subject: from OpenSMTPD\r\n\r\n.x\r\nto {domain}\r\n")
    for user in ("alice", "bob"):
        letters = ours.wait_mail(user, len(WAYS), 20)
        for domain, (_, listener) in WAYS.items():
            arrived = [letter for letter in letters if letter.endswith(f"\n\n.x\nto {domain}\n".encode())]
            assert len(arrived) == 1, server.log()
            protocol = b"ESMTPSA" if listener else b"ESMTPS"
            assert all(b"(using TLSv1.3 with cipher" in letter and re.search(rb"by mx\.here\.test \(Postern\) with " + protocol + rb"\s+id", letter) for letter in arrived), arrived[0].decode()
    assert len(re.findall(rf"client=\w+\[127\.0\.0\.\d+\], sasl_method=(?:PLAIN|LOGIN), sasl_username={USER}", ours.log())) == 2
    assert PASSWORD not in ours.log() and "TempFail" not in server.log()
