"""Private keys live in one process: nobody else's memory has them, renewed files are taken up, its death costs nothing."""
import os, pathlib, re, shutil, signal, ssl, subprocess, time

import pytest
from harness import memory
from harness.certificates import Authority, openssl
from harness.client import Client, tls_context
from harness.instance import AS_ROOT, free_port, wait_until


@pytest.fixture(scope="module")
def ca():
    authority = Authority()
    yield authority
    authority.close()


def copied(made, folder):
    """The pair where an instance has its own: (key, chain), to be replaced."""
    folder.mkdir(exist_ok=True)
    os.chmod(folder, 0o755)
    key, chain = folder / "key.pem", folder / "chain.pem"
    shutil.copy(made.key, key)
    shutil.copy(made.cert, chain)
    os.chmod(key, 0o600)
    return key, chain


def served(instance, ca, port=None, name="mx.here.test", only=None, ciphers=None):
    """The common name of the certificate that a handshake shows."""
    with Client(instance.address, port or instance.port) as c:
        c.hello()
        c.starttls(tls_context(ca.cert, only=only, ciphers=ciphers), name)
        return dict(pair[0] for pair in c.sock.getpeercert()["subject"])["commonName"]


def answered(instance, ca):
    with Client(instance.address, instance.port) as c:
        c.hello()
        if c.cmd("STARTTLS").code == 454:
            return False
        try:
            c.wrap(tls_context(ca.cert))
        except ssl.SSLError:  # keys went in the middle of it
            return False
        return True


def serial(instance, ca, **options):
    with Client(instance.address, instance.port) as c:
        c.hello()
        c.starttls(tls_context(ca.cert), **options)
        return c.sock.getpeercert()["serialNumber"]


def files(made):
    return {"smtpd_tls_security_level": "may", "smtpd_tls_cert_file": made.cert, "smtpd_tls_key_file": made.key}


# ---- secrets in memory

def numbers(key):
    """The private numbers of a key, by name, as openssl(1) prints them."""
    text = openssl("pkey", "-in", key, "-noout", "-text").decode()
    found = re.findall(r"^(privateExponent|prime1|prime2|exponent1|exponent2|coefficient|priv):\n((?: +[0-9a-f:]+\n)+)", text, re.M)
    return {name: bytes.fromhex(re.sub(r"[\s:]", "", digits)).lstrip(b"\0") for name, digits in found}


def needles(key):
    """Pieces of a key in all forms in which it may lie about: numbers in both byte orders, and lines of the file."""
    pieces = set()
    for number in numbers(key).values():
        for form in (number, number[::-1]):
            pieces.update((form[:16], form[-16:]))
    return pieces | {line[:24] for line in key.read_bytes().splitlines() if not line.startswith(b"-") and len(line) > 48}


def held(pid, pieces):
    whole = memory.writable(pid)
    return {piece for piece in pieces if piece in whole}


@pytest.mark.skipif(not AS_ROOT, reason="only root may look into other processes")
def test_no_other_process_has_a_byte_of_a_key(make, peer, ca):
    made = [ca.issue(kind="ecdsa"), ca.issue(kind="rsa")]
    mine = ca.issue("client.test", kind="rsa")
    instance = make({"smtpd_tls_security_level": "may", "smtpd_tls_chain_files": " ".join(str(m.both) for m in made), "smtp_tls_chain_files": mine.both})
    for only in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for _ in range(3):
            assert served(instance, ca, only=only) == "mx.here.test"
    served(instance, ca, only=ssl.TLSVersion.TLSv1_2, ciphers="aRSA")
    with Client(instance.address, instance.port) as c:  # one is under way while we look
        c.hello()
        c.starttls(tls_context(ca.cert))
        keys = instance.pids("keys")[0]
        others = {row["role"]: row["pid"] for row in instance.processes() if row["role"] != "keys"}
        assert {"smtpd", "delivery", "master", "log", "lookup", "queue"} <= set(others)
        pieces = {pair: needles(pair.key) for pair in (*made, mine)}
        found = held(keys, set.union(*pieces.values()))
        for pair in pieces:  # so that the search is known to find what is there
            assert found & {number[::-1][:16] for number in numbers(pair.key).values()}, f"{pair.key} is not even in keys"
        for role, pid in others.items():
            assert not held(pid, set.union(*pieces.values())), f"{role} has a part of a key"


@pytest.mark.skipif(not AS_ROOT, reason="only root starts it with another user and root directory")
def test_keys_has_nothing_else(make, ca):
    instance = make(files(ca.issue()))
    pid = instance.pids("keys")[0]
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2" and int(status["CapEff"], 16) == 0
    assert int(status["VmLck"].split()[0]) > 1000
    assert os.readlink(f"/proc/{pid}/root").endswith("/empty")
    # No file of a key stays open.
    held_open = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert not any(name.startswith("/") and not name.startswith("/dev/") and "master.pid" not in name for name in held_open), held_open
    user = subprocess.run(["stat", "-c", "%U", f"/proc/{pid}/task"], capture_output=True, text=True).stdout.strip()
    assert user == "postern-keys"


# ---- certificates by algorithm and name

def test_the_algorithm_that_the_client_wants(make, ca):
    made = [ca.issue(kind=kind, stem=f"by-{kind}") for kind in ("rsa", "p384", "ed25519", "ed448", "rsa-pss")]
    instance = make({"smtpd_tls_security_level": "may", "smtpd_tls_chain_files": ", ".join(f"{m.key}, {m.cert}" for m in made)})
    for words, kind in (("RSA-PSS+SHA256", "rsaEncryption"), ("ECDSA+SHA384", "id-ecPublicKey"), ("ed25519", "ED25519"), ("ed448", "ED448"), ("rsa_pss_pss_sha256", "rsassaPss"), ("RSA+SHA256", "rsaEncryption")):
        out = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{instance.port}", "-starttls", "smtp", "-CAfile", str(ca.cert), "-sigalgs", words,
                              *(["-tls1_2"] if words == "RSA+SHA256" else [])], input=b"QUIT\r\n", capture_output=True, timeout=20).stdout
        assert b"Verify return code: 0" in out, (words, out[-2000:])
        text = openssl("x509", "-noout", "-text", input=out[out.index(b"-----BEGIN"):]).decode()
        assert kind in text, words


@pytest.mark.parametrize("kind", ["inline", "texthash", "hash", "cdb", "lmdb"])
def test_a_certificate_by_the_name_that_the_client_asks_for(make, ca, kind):
    default, one, many = ca.issue(), ca.issue("one.test"), ca.issue("*.many.test")
    rows = {"one.test": f"{one.key} {one.cert}", ".Many.test": str(many.both)}
    instance = make(files(default), start=False)
    table = instance.home / "sni"
    if kind == "inline":
        instance.settings["tls_server_sni_maps"] = "inline:{ " + " ".join("{ %s = %s }" % row for row in rows.items()) + " }"
    else:
        table.write_text("".join(f"{name} {value}\n" for name, value in rows.items()))
        instance.settings["tls_server_sni_maps"] = f"{kind}:{table}"
    instance.write_config()
    if kind not in ("inline", "texthash"):
        instance.postern("map", "-F", f"{kind}:{table}")
        built = next(p for p in instance.home.iterdir() if p.name.startswith("sni."))
        assert built.stat().st_mode & 0o777 == 0o600
        assert default.key.read_text().splitlines()[1] not in instance.postern("map", "-F", "-q", "one.test", f"{kind}:{table}").stdout
        assert one.key.read_text() in instance.postern("map", "-F", "-q", "one.test", f"{kind}:{table}").stdout
        # As with postmap: a value that was not made with -F is an error, and not shown as if it were a file's content.
        plain = instance.postern("map", "-F", "-q", "x", "inline:{x=plain}", check=False)
        assert (plain.returncode, plain.stdout) == (75, "") and "key x: malformed BASE64 value" in plain.stderr
    instance.start()
    assert served(instance, ca, name="mx.here.test") == "mx.here.test"
    assert served(instance, ca, name="one.test") == "one.test"
    assert served(instance, ca, name="a.many.test") == "*.many.test"


# ---- renewal

def test_a_renewed_certificate_is_taken_up_without_a_reload(make, ca):
    first, second = ca.issue(), ca.issue(kind="rsa")
    instance = make({"smtpd_tls_security_level": "may"}, start=False)
    key, chain = copied(first, instance.home / "tls")
    instance.settings.update({"smtpd_tls_key_file": key, "smtpd_tls_cert_file": chain})
    instance.start()
    before = serial(instance, ca)
    with Client(instance.address, instance.port) as c:
        c.hello()
        c.starttls(tls_context(ca.cert))
        c.hello()
        # One after the other, by rename: for a moment they do not fit.
        shutil.copy(second.key, key.with_suffix(".new"))
        key.with_suffix(".new").rename(key)
        instance.wait_log(r"keys\[\d+\]: warning: smtpd_tls_cert_file: .*/key.pem: the private key does not belong to the certificate in .*/chain.pem; the earlier certificate goes on")
        assert serial(instance, ca) == before
        shutil.copy(second.cert, chain)  # written in place
        instance.wait_log(r"keys\[\d+\]: smtp: smtpd_tls_cert_file: new certificate of mx.here.test, valid until \d{4}-\d\d-\d\d")
        assert serial(instance, ca) != before
        c.mail()  # the session that was there goes on
    instance.wait_mail("alice")
    assert len(re.findall("does not belong", instance.log())) == 1


def test_what_is_renewed_badly_changes_nothing(make, ca):
    made = ca.issue()
    instance = make({"smtpd_tls_security_level": "may"}, start=False)
    key, chain = copied(made, instance.home / "tls")
    instance.settings.update({"smtpd_tls_chain_files": f"{key} {chain}"})
    instance.start()
    chain.write_text("-----BEGIN CERTIFICATE-----\nrubbish\n")
    instance.wait_log(r"warning: smtpd_tls_chain_files: .*/chain.pem: malformed PEM; the earlier certificate goes on")
    assert served(instance, ca) == "mx.here.test"
    key.unlink()
    instance.wait_log(r"warning: smtpd_tls_chain_files: .*/key.pem: No such file or directory; the earlier certificate goes on")
    assert served(instance, ca) == "mx.here.test"
    # A reload does not make it worse, and a restart of the process alone does what it can.
    instance.reload()
    assert served(instance, ca) == "mx.here.test"
    assert "No such file" in next(line for line in instance.postern("status").stdout.splitlines() if "key.pem" in line)
    renewed = ca.issue()
    shutil.copy(renewed.cert, chain)
    shutil.copy(renewed.key, key)
    instance.wait_log("new certificate of mx.here.test")
    assert served(instance, ca) == "mx.here.test"


def test_links_as_certbot_makes_them(make, ca):
    instance = make({"smtpd_tls_security_level": "may"}, start=False)
    archive, live = instance.home / "archive", instance.home / "live"
    for folder in (archive, live):
        folder.mkdir()
    for number in (1, 2):
        made = ca.issue()
        shutil.copy(made.key, archive / f"privkey{number}.pem")
        shutil.copy(made.cert, archive / f"fullchain{number}.pem")
    for name in ("privkey", "fullchain"):
        (live / f"{name}.pem").symlink_to(f"../archive/{name}1.pem")
    instance.settings.update({"smtpd_tls_key_file": live / "privkey.pem", "smtpd_tls_cert_file": live / "fullchain.pem"})
    instance.start()
    before = serial(instance, ca)
    for name in ("privkey", "fullchain"):
        (live / "new").symlink_to(f"../archive/{name}2.pem")
        (live / "new").rename(live / f"{name}.pem")
    instance.wait_log("new certificate of mx.here.test")
    assert serial(instance, ca) != before


# ---- death

def test_the_death_of_keys_costs_nobody_a_session(make, ca):
    instance = make(files(ca.issue()))
    with Client(instance.address, instance.port) as c:
        c.hello()
        c.starttls(tls_context(ca.cert))
        c.hello()
        c.envelope()
        workers = instance.pids("smtpd")
        old = instance.pids("keys")[0]
        os.kill(old, signal.SIGKILL)
        killed = time.monotonic()
        while not answered(instance, ca):  # 454 until the new process is there
            assert time.monotonic() - killed < 1
        assert instance.pids("keys")[0] != old
        c.data("Subject: x\r\n\r\nx\r\n")
        assert instance.pids("smtpd") == workers
    instance.wait_mail("alice")
    for _ in range(5):
        assert served(instance, ca) == "mx.here.test"


# ---- start and check

def broken(ca, folder):
    """name: (settings, what is said)"""
    made, other = ca.issue(), ca.issue(kind="rsa")
    locked = folder / "locked.pem"
    openssl("pkey", "-in", made.key, "-aes128", "-passout", "pass:x", "-out", locked)
    empty = folder / "empty.pem"
    empty.write_text("")
    return {
        "no key": ({"smtpd_tls_cert_file": made.cert, "smtpd_tls_key_file": folder / "none.pem"}, f"{folder}/none.pem: No such file or directory"),
        "no certificate": ({"smtpd_tls_cert_file": folder / "none.pem", "smtpd_tls_key_file": made.key}, f"{folder}/none.pem: No such file or directory"),
        "no chain": ({"smtpd_tls_chain_files": folder / "none.pem"}, f"{folder}/none.pem: No such file or directory"),
        "mismatch": ({"smtpd_tls_cert_file": other.cert, "smtpd_tls_key_file": made.key}, f"{made.key}: the private key does not belong to the certificate in {other.cert}"),
        "passphrase": ({"smtpd_tls_cert_file": made.cert, "smtpd_tls_key_file": locked}, f"{locked}: the private key is encrypted"),
        "empty": ({"smtpd_tls_chain_files": empty}, f"{empty}: no private key in it"),
        "order": ({"smtpd_tls_chain_files": f"{made.cert} {made.key}"}, f"{made.cert}: a certificate without its private key in front"),
        "a folder": ({"smtpd_tls_chain_files": folder}, f"{folder}: no regular file"),
        "relative": ({"smtpd_tls_chain_files": "key.pem"}, "key.pem: an absolute path is needed"),
        "client": ({"smtp_tls_cert_file": made.cert, "smtp_tls_key_file": folder / "none.pem"}, f"smtp_tls_cert_file: {folder}/none.pem: No such file or directory"),
        "table": ({"smtpd_tls_chain_files": made.both, "tls_server_sni_maps": f"hash:{folder}/sni"}, f"tls_server_sni_maps: {folder}/sni.db: No such file or directory"),
        "table's kind": ({"smtpd_tls_chain_files": made.both, "tls_server_sni_maps": "static:x"}, "static:x: tables of certificates are of the kinds"),
    }


def test_check_and_start_name_the_file(make, ca, tmp_path):
    instance = make({"smtpd_tls_security_level": "may"}, start=False)
    instance.write_config()
    instance.postern("setup")
    usual, said = dict(instance.settings), ""
    for name, (settings, text) in broken(ca, tmp_path).items():
        instance.settings = {**usual, **settings}
        instance.write_config()
        checked = instance.postern("check", check=False)
        assert checked.returncode != 0 and text in checked.stdout, (name, checked.stdout)
        said += checked.stdout
        if name in ("no key", "mismatch", "client", "table"):
            begun = instance.postern("start", check=False)
            assert begun.returncode != 0 and text in begun.stderr, (name, begun.stderr)
            assert not instance.postern("status", check=False).stdout
            said += begun.stderr
    assert all(secret.read_text().splitlines()[1] not in said + instance.log() for secret in ca.folder.glob("*.key"))


def test_check_warns(make, ca, tmp_path):
    root = Authority("Another CA", tmp_path / "root")
    between = Authority("Between CA", tmp_path / "between", parent=root)
    soon, old = ca.issue(days=5), ca.issue(stem="old", begin="20200101000000Z", end="20210101000000Z")
    alone, misordered, strange = between.issue(stem="alone"), between.issue(stem="misordered"), ca.issue("elsewhere.test")
    whole = between.issue(stem="whole")
    leaf = alone.cert.read_text().split("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n"
    alone.cert.write_text(leaf)
    misordered.cert.write_text(misordered.cert.read_text().split("-----BEGIN", 2)[0] + "-----BEGIN" + misordered.cert.read_text().split("-----BEGIN", 2)[1] + ca.cert.read_text())
    open_key = ca.issue(stem="open")
    open_key.key.chmod(0o644)
    instance = make(start=False)
    instance.write_config()
    instance.postern("setup")
    for made, status, text in (
            (soon, 0, f"{soon.cert}: warning: the certificate of mx.here.test expires on "),
            (old, 1, f"{old.cert}: the certificate of mx.here.test expired on 2021-01-01: renew it"),
            (alone, 0, f"{alone.cert}: warning: the certificate of mx.here.test stands alone"),
            (misordered, 1, f"{misordered.cert}: certificate 1 of the chain of mx.here.test was not issued by the one behind it"),
            (strange, 0, f"{strange.cert}: warning: a certificate of listener smtp does not cover the name mx.here.test"),
            (open_key, 0, f"{open_key.key}: warning: a private key is in it, and everybody may read it (chmod 600)"),
            (whole, 0, "")):
        instance.settings.update(files(made))
        instance.write_config()
        checked = instance.postern("check", check=False)
        assert (checked.returncode != 0) == bool(status), (text, checked.stdout)
        assert text in checked.stdout if text else checked.stdout == "", (text, checked.stdout)
    # Expired or not: who asks for no proof goes on.
    instance.settings.update(files(old))
    instance.start()
    instance.wait_log(rf"keys\[\d+\]: warning: {re.escape(str(old.cert))}: the certificate of mx.here.test expired on 2021-01-01")
    assert "the certificate of mx.here.test expired on 2021-01-01" in instance.postern("status").stdout
    with instance.connect() as c:
        c.hello()
        c.starttls()
        c.hello()


def test_no_process_for_keys_without_a_certificate(make, ca):
    instance = make()
    assert not instance.pids("keys")
    instance.reload(**files(ca.issue()))
    assert instance.pids("keys")
    assert served(instance, ca) == "mx.here.test"
    instance.reload(smtpd_tls_cert_file=None, smtpd_tls_key_file=None, smtpd_tls_security_level=None)
    assert wait_until(lambda: not instance.pids("keys"))
    with instance.connect() as c:
        assert "STARTTLS" not in c.hello().text
        c.mail()
    assert "killed by signal" not in instance.log() and "exit status" not in instance.log()
