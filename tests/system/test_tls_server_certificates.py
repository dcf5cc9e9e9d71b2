"""Certificates of clients: what they open, what is told of them, and how the authorities that are believed change."""
import os, pathlib, re, ssl

import pytest
from harness.certificates import Authority
from harness.client import Client, tls_context
from harness.instance import wait_until
from harness.tls_host import ca, host, hosts, identities


def mail_from(host, port, context, recipient="alice@here.test"):
    with host.connect(port) as c:
        c.hello()
        c.starttls(context).hello()
        c.cmd("MAIL FROM:<s@there.test>", 250)
        reply = c.cmd(f"RCPT TO:<{recipient}>")
        if reply.code == 250:
            c.data("Subject: x\r\n\r\nx\r\n")
        return reply


def test_client_certificates_in_the_received_line(hosts, ca, request):
    other = Authority("Other CA")
    request.addfinalizer(other.close)
    h = hosts({"smtpd_tls_ask_ccert": "yes", "smtpd_tls_CAfile": ca.cert})
    known, strange = ca.issue("client.test"), other.issue('we "are" (he)llo')
    for certificate, standing, line in ((known, "Trusted", r'\(Client CN "client\.test", Issuer "Test CA" \(verified OK\)\)'),
                                        (strange, "Untrusted", r'\(Client CN "we \?are\? \?he\?llo", Issuer "Other CA" \(not verified\)\)'),
                                        (None, "Anonymous", r"\(Client did not present a certificate\)")):
        before = len(h.instance.mailbox("alice"))
        assert mail_from(h, h.instance.port, tls_context(certificate=certificate)).code == 250
        received = re.sub(r"\r?\n[ \t]+", " ", h.instance.wait_mail("alice", before + 1)[-1].decode())
        assert re.search(line, received), received
        assert ("client-signature ECDSA (prime256v1) client-digest SHA256" in received) == (certificate is not None)
        h.instance.wait_log(rf"{standing} TLS connection established from unknown\[127\.0\.0\.1\]: TLSv1\.3")


def test_relaying_by_certificate(hosts, ca, request):
    other = Authority("Other CA")
    request.addfinalizer(other.close)
    known, by_print, by_key, strange = ca.issue("client.test"), other.issue("print.test"), other.issue("key.test"), other.issue("strange.test")
    table = ca.folder / "relay_clientcerts"
    table.write_text(f"{by_print.fingerprint()} one\n{by_key.key_fingerprint().lower()} two\n")
    listed = "permit_tls_clientcerts, reject_unauth_destination"
    h = hosts({"smtpd_tls_ask_ccert": "yes", "smtpd_tls_CAfile": ca.cert, "mynetworks": "192.0.2.1/32", "relay_clientcerts": f"texthash:{table}", "smtpd_relay_restrictions": listed},
              submission="smtpd_relay_restrictions = permit_tls_all_clientcerts, reject\n")
    far = "r@far.test"
    for certificate, by_list, by_trust in ((by_print, 250, 250), (by_key, 250, 250), (known, 554, 250), (strange, 554, 554), (None, 554, 554)):
        context = tls_context(certificate=certificate)
        assert mail_from(h, h.instance.port, context, far).code == by_list, certificate
        assert mail_from(h, h.submission, context, far).code == by_trust, certificate


def test_access_by_certificate(hosts, ca):
    good, bad, keyed = ca.issue("good.test"), ca.issue("bad.test"), ca.issue("keyed.test")
    table = ca.folder / "ccert_access"
    table.write_text(f"{bad.fingerprint()} REJECT not you\n{keyed.key_fingerprint()} 450 4.7.1 later\n")
    h = hosts({"smtpd_tls_ask_ccert": "yes", "smtpd_recipient_restrictions": f"check_ccert_access texthash:{table}"},
              submission=f"smtpd_recipient_restrictions = check_ccert_access {{ texthash:{table}, {{ search_order = cert_fingerprint }} }}\n",
              smtps=f"smtpd_tls_fingerprint_digest = sha1\nsmtpd_recipient_restrictions = check_ccert_access inline:{{{good.fingerprint('sha1')}=REJECT}}\n")
    with h.connect(h.smtps, tls=tls_context(certificate=good)) as c: # another digest
        c.hello()
        c.cmd("MAIL FROM:<s@there.test>", 250)
        c.cmd("RCPT TO:<alice@here.test>", "554 5.7.1 <unknown[127.0.0.1]>: Client certificate rejected: Access denied")
    assert mail_from(h, h.instance.port, tls_context(certificate=good)).code == 250
    assert mail_from(h, h.instance.port, tls_context()).code == 250
    assert mail_from(h, h.instance.port, tls_context(certificate=bad)).lines == ["554 5.7.1 <unknown[127.0.0.1]>: Client certificate rejected: not you"]
    assert mail_from(h, h.instance.port, tls_context(certificate=keyed)).lines == ["450 4.7.1 <unknown[127.0.0.1]>: Client certificate rejected: later"]
    assert mail_from(h, h.submission, tls_context(certificate=keyed)).code == 250


@pytest.mark.parametrize("where", ["relay_clientcerts", "smtpd_client_restrictions"])
def test_a_table_of_fingerprints_that_needs_a_library(hosts, ca, where):
    good, table = ca.issue("good.test"), ca.folder / "prints"
    table.write_text(f"/^{good.fingerprint()}$/ OK\n")
    listed = f"check_ccert_access {{ pcre:{table}, {{ search_order = cert_fingerprint }} }}" if where == "smtpd_client_restrictions" else "permit_tls_clientcerts"
    h = hosts({"smtpd_tls_ask_ccert": "yes", where: f"pcre:{table}", "smtpd_client_restrictions": f"{listed}, reject"})
    assert mail_from(h, h.instance.port, tls_context(certificate=good)).code == 250
    assert mail_from(h, h.instance.port, tls_context()).code == 554
    assert str(table) not in h.instance.postern("check", check=False).stdout
    table.unlink()
    assert f"{where}: open {table}: No such file" in h.instance.postern("check", check=False).stdout


def test_required_certificates(hosts, ca, request):
    other = Authority("Other CA")
    request.addfinalizer(other.close)
    settings = {"smtpd_tls_req_ccert": "yes", "smtpd_tls_CAfile": ca.cert}
    h = hosts(settings)
    for certificate, text in ((None, "No client certificate presented"), (other.issue("strange.test"), "Client certificate not trusted")):
        with h.connect(h.submission) as c:
            c.hello()
            c.starttls(tls_context(certificate=certificate))
            c.cmd("EHLO x", f"421 4.7.1 mx.here.test Error: {text}")
            assert c.closed()
        with h.connect(h.smtps, tls=tls_context(certificate=certificate)) as c:
            assert c.banner.lines == [f"421 4.7.1 mx.here.test Error: {text}"]
            assert c.closed()
        h.instance.wait_log(rf"NOQUEUE: abort: TLS from unknown\[127\.0\.0\.1\]: {text}", count=2)
    assert mail_from(h, h.submission, tls_context(certificate=ca.issue("client.test"))).code == 250
    assert mail_from(h, h.instance.port, tls_context()).code == 250 # required where TLS is, only


def test_resumption_believes_nobody_more(hosts, ca, request):
    """What a certificate was worth stays with the session that is resumed."""
    other = Authority("Other CA")
    request.addfinalizer(other.close)
    h = hosts({"smtpd_tls_ask_ccert": "yes", "smtpd_tls_CAfile": ca.cert, "mynetworks": "192.0.2.1/32", "smtpd_relay_restrictions": "permit_tls_all_clientcerts, reject_unauth_destination"})
    for certificate, code in ((ca.issue("client.test"), 250), (other.issue("strange.test"), 554), (None, 554)):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context, session, resumed = tls_context(certificate=certificate, only=version), None, []
            for _ in range(3):
                with h.connect() as c:
                    c.hello()
                    c.starttls(context, session=session).hello()
                    c.cmd("MAIL FROM:<s@there.test>", 250)
                    c.cmd("RCPT TO:<r@far.test>", code)
                    session = c.sock.session
                    resumed.append(c.sock.session_reused)
            assert resumed[1:] == [True, True], (certificate, version, resumed)


def test_other_authorities_without_a_restart(make, ca, request):
    """A reload names the first ones, a changed file brings the next."""
    other = Authority("Other CA")
    request.addfinalizer(other.close)
    instance = make({"smtpd_tls_chain_files": ca.issue("mx.here.test").both, "smtpd_tls_security_level": "may", "mynetworks": "192.0.2.1/32", "smtpd_relay_restrictions": "permit_tls_all_clientcerts, reject_unauth_destination"})
    theirs, ours, file = other.issue("client.test"), ca.issue("client.test"), ca.folder / "clients.pem"
    def relays(certificate):
        with instance.connect() as c:
            c.hello()
            c.starttls(tls_context(certificate=certificate)).hello()
            c.cmd("MAIL FROM:<s@there.test>", 250)
            return c.cmd("RCPT TO:<r@far.test>").code == 250
    assert not relays(ours)
    file.write_bytes(ca.cert.read_bytes())
    instance.reload(smtpd_tls_ask_ccert="yes", smtpd_tls_CAfile=file)
    assert wait_until(lambda: relays(ours), 5, 0.1) and not relays(theirs)
    (ca.folder / "clients.new").write_bytes(other.cert.read_bytes())
    os.rename(ca.folder / "clients.new", file)
    assert wait_until(lambda: relays(theirs), 5, 0.1) and not relays(ours)


@pytest.mark.skipif(not os.environ.get("POSTERN_PRIVATE_ETC"), reason="writes /etc/ssl/certs")
def test_authorities_of_the_system(hosts, ca, request):
    bundle = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
    before = bundle.read_bytes() if bundle.exists() else b""
    bundle.write_bytes(before + ca.cert.read_bytes())
    request.addfinalizer(lambda: bundle.write_bytes(before) if before else bundle.unlink())
    h = hosts({"smtpd_tls_ask_ccert": "yes", "tls_append_default_CA": "yes"}, submission="tls_append_default_CA = no\n")
    for port, standing in ((h.instance.port, "Trusted"), (h.submission, "Untrusted")):
        assert mail_from(h, port, tls_context(certificate=ca.issue("client.test"))).code == 250
        h.instance.wait_log(rf" {standing} TLS connection established from unknown")


def test_a_folder_of_authorities_that_changes(make, ca, request):
    """Beside a file, too. A reload names it; what is put into it and taken out counts by itself, what is no certificate does no harm."""
    authorities = [Authority(f"CA {n}") for n in range(3)]
    for authority in authorities:
        request.addfinalizer(authority.close)
    first, second, third = (authority.issue("client.test") for authority in authorities)
    folder, file = ca.folder / "believed", ca.folder / "beside.pem"
    folder.mkdir()
    file.write_bytes(authorities[0].cert.read_bytes())
    instance = make({"smtpd_tls_chain_files": ca.issue("mx.here.test").both, "smtpd_tls_security_level": "may", "mynetworks": "192.0.2.1/32", "smtpd_relay_restrictions": "permit_tls_all_clientcerts, reject_unauth_destination"})
    def relays(*certificates):
        def one(certificate):
            with instance.connect() as c:
                c.hello()
                c.starttls(tls_context(certificate=certificate)).hello()
                c.cmd("MAIL FROM:<s@there.test>", 250)
                return c.cmd("RCPT TO:<r@far.test>").code == 250
        return [one(certificate) for certificate in certificates]
    instance.reload(smtpd_tls_ask_ccert="yes", smtpd_tls_CAfile=file, smtpd_tls_CApath=folder)
    assert wait_until(lambda: relays(first) == [True], 5, 0.1) and relays(second, third) == [False, False]
    (folder / "rubbish.pem").write_text("-----BEGIN CERTIFICATE-----\nrubbish")
    (folder / "second.pem").write_bytes(authorities[1].cert.read_bytes().rstrip(b"\n"))
    (folder / "third.0").symlink_to(authorities[2].cert)
    assert wait_until(lambda: relays(second, third) == [True, True], 5, 0.1) and relays(first) == [True]
    (folder / "second.pem").unlink()
    assert wait_until(lambda: relays(second) == [False], 5, 0.1) and relays(first, third) == [True, True]
    file.write_bytes(authorities[1].cert.read_bytes())
    assert wait_until(lambda: relays(first, second, third) == [False, True, True], 5, 0.1)
    # The folder that the next start reads itself is the same; another one stands in its place.
    folder.rename(ca.folder / "gone")
    folder.mkdir()
    (folder / "first.pem").write_bytes(authorities[0].cert.read_bytes())
    instance.reload()
    assert wait_until(lambda: relays(first, second, third) == [True, True, False], 5, 0.1)
    (folder / "third.pem").write_bytes(authorities[2].cert.read_bytes())
    assert wait_until(lambda: relays(third) == [True], 5, 0.1)


def test_an_expired_certificate_is_not_trusted(hosts, ca):
    h = hosts({"smtpd_tls_req_ccert": "yes", "smtpd_tls_CAfile": ca.cert, "smtpd_tls_loglevel": 2})
    for certificate in (None, ca.issue("old.test", end="20210101000000Z")):
        with h.connect(h.submission) as c:
            c.hello()
            c.starttls(tls_context(certificate=certificate))
            assert c.cmd("EHLO x").code == 421
    h.instance.wait_log(r"certificate verification failed for unknown\[127\.0\.0\.1\]: certificate has expired")
    assert h.instance.log().count("subject_CN=") == 1  # of who showed one
