"""TLS when mail leaves: policies, peers that speak it well and badly, and postern tls."""
import json, pathlib, re, shutil, ssl, subprocess

import pytest

from harness.certificates import Authority
from harness.instance import AS_ROOT, free_port, wait_until
from harness.peer import Peer
from harness.postfix import Postfix
from harness.tls_peer import Cut, TlsPeer

RECORDS = ["far.test MX 10 mx.far.test", "mx.far.test A 127.0.0.1"]
LEVELS = ("none", "may", "encrypt", "fingerprint", "verify", "secure")


@pytest.fixture(scope="module")
def ca():
    authority = Authority("Test CA")
    yield authority
    authority.close()


@pytest.fixture(scope="module")
def good(ca):
    return ca.issue("mx.far.test", names=["mx.far.test", "far.test"])


@pytest.fixture
def tls_peer(request, good):
    def build(certificate=None, **options):
        p = TlsPeer(certificate or good, **options)
        request.addfinalizer(p.close)
        return p
    return build


@pytest.fixture
def client(make, dns, ca):
    """client({recipient: (peer, policy)}): an instance that sends each recipient's mail to its peer as a mail exchanger of far.test."""
    def build(ways, **settings):
        transports = " ".join(f"{{ {to} = smtp:far.test:{peer.port} }}" for to, (peer, _) in ways.items())
        policies = " ".join(f"{{ far.test:{peer.port} = {policy} }}" for peer, policy in ways.values())
        return make({"smtp_tls_CAfile": ca.cert, "smtp_tls_loglevel": 1, "transport_maps": f"inline:{{ {transports} }}", "smtp_tls_policy_maps": f"inline:{{ {policies} }}",
                     "minimal_backoff_time": "300s", "smtp_starttls_timeout": "3s", **settings}, dns=dns(RECORDS))
    return build


def send(instance, *recipients):
    with instance.connect() as c:
        c.hello()
        return [c.mail("s@here.test", [recipient]) for recipient in recipients]


def outcome(instance, recipient, seconds=20):
    return instance.wait_log(rf"to=<{re.escape(recipient)}>, (.*)$", seconds)[1]


# The certificate (None: the good one), the peer, what becomes of mail at each level (P sent in plain text, T in TLS, D put off) and why.
SERVERS = {
    "without": (None, lambda c: Peer(), "PPDDDD", r"dsn=4\.7\.4, .*TLS is required, but was not offered by host mx\.far\.test\[127\.0\.0\.1\]"),
    "good": (None, TlsPeer, "PTTTTT", None),
    "old": (None, lambda c: TlsPeer(c, version=ssl.TLSVersion.TLSv1), "PTDDDD", r"dsn=4\.7\.5, .*Cannot start TLS: handshake failure"),
    "rsa12": (lambda ca: ca.issue("mx.far.test", "rsa", names=["*.far.test"]), lambda c: TlsPeer(c, version=ssl.TLSVersion.TLSv1_2), "PTTDTT", r"not verified"),
    "selfsigned": (lambda ca: Authority("Other CA").issue("mx.far.test"), TlsPeer, "PTTDDD", r"dsn=4\.7\.5, .*Server certificate not (trusted: untrusted issuer|verified)"),
    "expired": (lambda ca: ca.issue("mx.far.test", end="20240101000000Z"), TlsPeer, "PTTDDD", r"Server certificate not (trusted: certificate has expired|verified)"),
    "wrong": (lambda ca: ca.issue("mx.other.test"), TlsPeer, "PTTDDD", r"dsn=4\.7\.5, .*Server certificate not verified"),
    "refuses": (None, lambda c: TlsPeer(c, on={"STARTTLS": "454 4.7.0 TLS not available"}), "PPDDDD", r"dsn=4\.7\.0, .*refused to start TLS: 454 4\.7\.0 TLS not available"),
    "closes": (None, lambda c: TlsPeer(c, on={"STARTTLS": "!close"}), "PPDDDD", r"dsn=4\.4\.2"),
    "injects": (None, lambda c: TlsPeer(c, on={"STARTTLS": lambda s, line, p: s.say("220 go\r\n250-evil.test\r\n250 SIZE 1")}), "PPDDDD", r"plain text behind the reply to STARTTLS"),
    "breaks": (None, lambda c: TlsPeer(c, on={"EHLO in TLS": "!close"}), "PPDDDD", r"dsn=4\.4\.2, .*EHLO handshake"),
    "wants": (None, lambda c: TlsPeer(c, client_authority=c.ca), "PPDDDD", r"dsn=4\.(4\.2|7\.5)"),
}


def test_each_level_with_each_server(client, ca, good, request):
    ways, want = {}, {}
    good.ca = ca
    for name, (issue, build, row, reason) in SERVERS.items():
        certificate = issue(ca) if issue else good
        for level, what in zip(LEVELS, row):
            p = build(certificate)
            request.addfinalizer(p.close)
            ways[f"{level}-{name}@far.test"] = (p, level + (f" match={good.fingerprint()}" if level == "fingerprint" else ""))
            want[f"{level}-{name}@far.test"] = (what, reason)
    instance = client(ways)
    send(instance, *ways)
    for recipient, (what, reason) in want.items():
        line, peer = outcome(instance, recipient), ways[recipient][0]
        if what == "D":
            assert "status=deferred" in line and re.search(reason, line), (recipient, line)
            assert not peer.messages and not any(c.startswith("MAIL") for c in peer.commands), (recipient, peer.commands)
        else:
            assert "dsn=2.0.0, status=sent" in line and len(peer.messages) == 1, (recipient, line)
            last = peer.commands[len(peer.commands) - 1 - peer.commands[::-1].index("EHLO mx.here.test") - 1:]
            assert ("(tls)" in last) == (what == "T") and ("tls=" in line) == (what == "T"), (recipient, line, peer.commands)
    assert re.search(r"Verified TLS connection established to mx\.far\.test\[127\.0\.0\.1\]:\d+: TLSv1\.3 with cipher \S+ \(256/256 bits\) key-exchange \S+ server-signature ECDSA", instance.log())
    assert re.search(r"Untrusted TLS connection established to mx\.far\.test", instance.log())
    for why in ("num=62:hostname mismatch", "no matching fingerprint", "certificate has expired", "untrusted issuer /CN=Other CA"):
        instance.wait_log(rf"server certificate verification failed for mx\.far\.test\[127\.0\.0\.1\]:\d+: {why}$")


def test_a_handshake_that_ends_anywhere(client, tls_peer, request):
    """At may each message arrives once, whatever octet of the server's side was the last."""
    ways = {}
    for octets in (1, 20, 40, 125, 130, 131, 135, 136, 140, 160, 200, 260, 300, 500, 700, 850, 900, 950, 1000, 1100):
        peer = tls_peer()
        cut = Cut(peer, octets)
        request.addfinalizer(cut.close)
        cut.messages = peer.messages
        ways[f"r{octets}@far.test"] = (cut, "may")
    instance = client(ways, minimal_backoff_time="1s", maximal_backoff_time="2s")
    send(instance, *ways)
    assert wait_until(lambda: all(cut.messages for cut, _ in ways.values()), 30), [(r, c.connections) for r, (c, _) in ways.items() if not c.messages]
    instance.wait_queue_empty(20)
    assert [len(cut.messages) for cut, _ in ways.values()] == [1] * len(ways)


def test_a_chain_without_end(client, tls_peer, ca):
    big = ca.issue("mx.far.test")
    big.cert.write_bytes(big.cert.read_bytes() + ca.cert.read_bytes() * 400)
    may, must = tls_peer(big), tls_peer(big)
    instance = client({"may@far.test": (may, "may"), "must@far.test": (must, "encrypt")})
    send(instance, "may@far.test", "must@far.test")
    assert "status=sent" in outcome(instance, "may@far.test") and "(tls)" not in may.commands
    assert "Cannot start TLS: handshake failure" in outcome(instance, "must@far.test")


def test_a_certificate_that_changes(client, tls_peer, ca, good):
    """The second message does not go over what the first one's certificate opened."""
    peer = tls_peer(good)
    instance = client({"r@far.test": (peer, "secure"), "s@far.test": (peer, "secure")}, smtp_tls_connection_reuse="no")
    send(instance, "r@far.test")
    assert "tls=secure, dsn=2.0.0" in outcome(instance, "r@far.test")
    peer.context = TlsPeer(ca.issue("mx.other.test")).context
    send(instance, "s@far.test")
    assert "Server certificate not verified" in outcome(instance, "s@far.test")


def test_authorities_that_change(client, tls_peer, ca):
    """Neither a reload nor a restart is needed; idle connections and sessions from before do not go on."""
    other = Authority("Another CA")
    peer = tls_peer(other.issue("mx.far.test", names=["far.test"]))
    bundle = other.folder / "bundle.pem"
    bundle.write_bytes(ca.cert.read_bytes())
    instance = client({"r@far.test": (peer, "secure"), "s@far.test": (peer, "secure")}, smtp_tls_CAfile=bundle)
    send(instance, "r@far.test")
    assert "Server certificate not trusted: untrusted issuer /CN=Another CA" in outcome(instance, "r@far.test")
    (other.folder / "new.pem").write_bytes(ca.cert.read_bytes() + other.cert.read_bytes())
    (other.folder / "new.pem").rename(bundle)
    instance.wait_log(r"authorities of \S+bundle\.pem were read anew")
    send(instance, "s@far.test")
    assert "tls=secure, dsn=2.0.0" in outcome(instance, "s@far.test")
    other.close()


def test_a_folder_of_authorities_that_changes(client, tls_peer, ca, tmp_path):
    """Also with the system's beside it."""
    other = Authority("Another CA")
    peer = tls_peer(other.issue("mx.far.test", names=["far.test"]))
    folder = other.folder / "believed"
    folder.mkdir()
    instance = client({"r@far.test": (peer, "secure"), "s@far.test": (peer, "secure"), "t@far.test": (peer, "secure")}, smtp_tls_CAfile="", smtp_tls_CApath=folder, tls_append_default_CA="yes")
    send(instance, "r@far.test")
    assert "Server certificate not trusted: untrusted issuer /CN=Another CA" in outcome(instance, "r@far.test")
    (folder / "another.pem").write_bytes(other.cert.read_bytes())
    instance.wait_log(r"authorities of \S+/believed were read anew")
    send(instance, "s@far.test")
    assert "tls=secure, dsn=2.0.0" in outcome(instance, "s@far.test")
    pids = instance.pids("delivery")
    instance.reload()
    (folder / "another.pem").unlink()
    instance.wait_log(r"authorities of \S+/believed were read anew", count=2)
    send(instance, "t@far.test")
    assert "Server certificate not trusted" in outcome(instance, "t@far.test")
    assert instance.pids("delivery") == pids and len(re.findall("were read anew", instance.log())) == 2
    other.close()


@pytest.mark.skipif(not AS_ROOT, reason="/etc is the machine's own")
def test_authorities_of_the_system_that_change(client, tls_peer, ca):
    """As update-ca-certificates does it, in the private /etc of this run."""
    bundle = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
    if not bundle.exists() or pathlib.Path(ssl.get_default_verify_paths().openssl_cafile).resolve() != bundle:
        pytest.skip("the system's authorities are elsewhere")
    before = bundle.read_bytes()
    def replace(text):
        bundle.with_suffix(".new").write_bytes(text)
        bundle.with_suffix(".new").rename(bundle)
    peer = tls_peer()
    instance = client({"r@far.test": (peer, "secure"), "s@far.test": (peer, "secure")}, smtp_tls_CAfile="")
    send(instance, "r@far.test")
    assert "Server certificate not trusted: untrusted issuer /CN=Test CA" in outcome(instance, "r@far.test")
    try:
        replace(before + ca.cert.read_bytes())
        instance.wait_log(r"authorities of \S+ were read anew")
        send(instance, "s@far.test")
        assert "tls=secure, dsn=2.0.0" in outcome(instance, "s@far.test")
    finally:
        replace(before)


def test_check_reads_policies(make):
    instance = make({"smtp_tls_policy_maps": "inline:{ { good.test = secure match=x.test } { bad.test = secure mtch=x.test } { worse.test = encyrpt } }"}, start=False)
    instance.write_config()
    instance.postern("setup")
    done = instance.postern("check", check=False)
    assert done.returncode != 0 and "good.test" not in done.stdout.replace("{ good.test", "")
    assert 'bad.test: invalid attribute name: "mtch"' in done.stdout and 'worse.test: invalid security level "encyrpt"' in done.stdout


def test_a_transport_with_tls_of_its_own(make, tls_peer, ca, dns):
    wrapped = tls_peer(wrapper=True)
    instance = make({"smtp_tls_CAfile": ca.cert, "transport_maps": f"inline:{{ {{ far.test = smtps:far.test:{wrapped.port} }} }}",
                     "transport_services": "{ smtps unix - - n - - smtp -o smtp_tls_wrappermode=yes -o { smtp_tls_security_level = secure } -o syslog_name=postern/$service_name }"}, dns=dns(RECORDS))
    instance.postern("check")
    send(instance, "r@far.test")
    assert "tls=secure, dsn=2.0.0, status=sent" in outcome(instance, "r@far.test")
    assert wrapped.commands[0] == "(tls)"


def test_our_certificate_for_who_asks(make, tls_peer, ca, dns):
    ours = ca.issue("mx.here.test")
    peer = tls_peer(client_authority=ca)
    instance = make({"smtp_tls_CAfile": ca.cert, "smtp_tls_chain_files": ours.both, "smtp_tls_security_level": "encrypt", "transport_maps": f"inline:{{ {{ far.test = smtp:far.test:{peer.port} }} }}"}, dns=dns(RECORDS))
    send(instance, "r@far.test")
    assert "tls=encrypt, dsn=2.0.0, status=sent" in outcome(instance, "r@far.test")
    assert ("commonName", "mx.here.test") in peer.handshakes[0][2]["subject"][0]


def test_postfix_as_next_hop(make, ca):
    certificate = ca.issue("postfix.test", names=["postfix.test", "localhost"])
    certificate.key.chmod(0o644)
    server = Postfix({"smtpd_tls_security_level": "encrypt", "smtpd_tls_cert_file": certificate.cert, "smtpd_tls_key_file": certificate.key, "smtpd_tls_loglevel": "1"})
    try:
        server.start()
        instance = make({"smtp_tls_CAfile": ca.cert, "smtp_host_lookup": "native", "relayhost": f"[localhost]:{server.port}", "smtp_tls_security_level": "verify", "inet_protocols": "ipv4"})
        send(instance, "box@sink.test")
        assert "tls=verify, dsn=2.0.0, status=sent" in outcome(instance, "box@sink.test")
        assert wait_until(server.box, 15) and "TLS connection established from" in server.log()
        shown = instance.postern("tls", "-j", f"[localhost]:{server.port}").stdout
        assert json.loads(shown)["hosts"][0]["standing"] == "Verified"
    finally:
        server.close()


def tls_of(instance, *words):
    done = instance.postern("tls", "-j", *words, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_postern_tls_says_what_would_happen(client, tls_peer, ca, good):
    peer, other = tls_peer(), tls_peer(ca.issue("mx.other.test"))
    instance = client({"r@far.test": (peer, "secure"), "s@far.test": (other, "secure")})
    status, (shown,) = tls_of(instance, f"far.test:{peer.port}")
    assert status == 0 and shown["verdict"] == "sent" and shown["policy"]["level"] == "secure" and shown["policy"]["origin"] == f"smtp_tls_policy_maps: far.test:{peer.port}"
    host = shown["hosts"][0]
    assert host["host"] == "mx.far.test" and host["preference"] == 10 and host["standing"] == "Verified" and host["matched"] in ("mx.far.test", "far.test")
    assert host["fingerprint"] == good.fingerprint() and host["key_fingerprint"] == good.key_fingerprint() and "/CN=mx.far.test issued by /CN=Test CA" in host["certificates"][0]
    status, (shown,) = tls_of(instance, "r@far.test")
    assert status == 0 and shown["nexthop"] == f"far.test:{peer.port}"
    status, (shown,) = tls_of(instance, f"far.test:{other.port}")
    assert status == 1 and shown["verdict"] == "deferred" and "not verified" in shown["hosts"][0]["reason"]
    assert tls_of(instance, "-l", "encrypt", f"far.test:{other.port}")[0] == 0
    assert tls_of(instance, "-l", "secure", "-m", "mx.other.test", f"far.test:{other.port}")[0] == 0
    assert tls_of(instance, "gone.test")[0] == 1
    text = instance.postern("tls", f"far.test:{peer.port}", "gone.test", check=False)
    assert text.returncode == 1 and "  Verified, matched " in text.stdout and "mail would be sent" in text.stdout and "gone.test: mail would be returned: 5.4.4" in text.stdout
    assert instance.postern("tls", check=False).returncode == 64
    assert not peer.messages and not any(c.startswith("MAIL") for c in peer.commands)


@pytest.mark.skipif(not (AS_ROOT and shutil.which("exim4")), reason="Exim is not installed, or this is not root")
def test_exim_as_next_hop(make, ca, tmp_path):
    """GnuTLS on the other side. It keeps the message in its queue."""
    certificate, port = ca.issue("localhost"), free_port()
    shutil.copy(certificate.cert, tmp_path / "cert.pem")
    shutil.copy(certificate.key, tmp_path / "key.pem")
    (tmp_path / "exim.conf").write_text(f"""primary_hostname = exim.test
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
spool_directory = {tmp_path}/spool
log_file_path = {tmp_path}/%slog
pid_file_path = {tmp_path}/pid
tls_advertise_hosts = *
tls_certificate = {tmp_path}/cert.pem
tls_privatekey = {tmp_path}/key.pem
queue_only = true
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  accept encrypted = *
""")
    for path in (tmp_path, *tmp_path.parents[:2], *tmp_path.iterdir()):
        path.chmod(0o755)
    shutil.chown(tmp_path, "Debian-exim")
    shutil.chown(tmp_path / "key.pem", "Debian-exim")
    exim = subprocess.Popen(["exim4", "-C", str(tmp_path / "exim.conf"), "-bdf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: subprocess.run(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"], capture_output=True).returncode == 0, 10)
        instance = make({"smtp_tls_CAfile": ca.cert, "smtp_host_lookup": "native", "inet_protocols": "ipv4", "relayhost": f"[localhost]:{port}", "smtp_tls_security_level": "verify", "smtp_tls_loglevel": 1})
        send(instance, "r@far.test", "s@far.test")
        for recipient in ("r@far.test", "s@far.test"):
            assert "tls=verify, dsn=2.0.0, status=sent (250 OK id=" in outcome(instance, recipient)
        assert "Verified TLS connection established to localhost[127.0.0.1]" in instance.log()
    finally:
        exim.terminate()
        exim.wait(10)


def test_the_level_in_the_log_as_tools_want_it(client, tls_peer):
    """Postfix has tls= since 3.11; what was made for older ones counts no line that has it."""
    assert shutil.which("pflogsumm")
    instance = client({"r@far.test": (tls_peer(), "encrypt")}, syslog_name="postfix")
    send(instance, "r@far.test")
    assert re.search(r"delays=[\d./]+, tls=encrypt, dsn=2\.0\.0, status=sent", outcome(instance, "r@far.test"))
    instance.maillog.write_text("")
    instance.reload(smtp_log_tls_feature_status="no")
    send(instance, "r@far.test")
    assert re.search(r"delays=[\d./]+, dsn=2\.0\.0, status=sent", outcome(instance, "r@far.test"))
    text = subprocess.run(["pflogsumm", str(instance.maillog)], capture_output=True, text=True, check=True).stdout
    assert re.search(r"^ *1 +delivered", text, re.M), text
