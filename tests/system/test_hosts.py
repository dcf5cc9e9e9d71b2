"""The configurations of docs/admin/hosts.md, as they stand there: check finds nothing wrong, and they do what is said of them."""
import pathlib, re

import pytest
from harness.certificates import Authority
from harness.instance import AS_ROOT, PREFIX

PAGE = pathlib.Path(__file__).parent.parent.parent / "docs" / "admin" / "hosts.md"
PATHS = ("queue_directory", "data_directory", "maillog_file", "dns_servers", "spool_segment_size", "smtpd_peername_lookup")


def blocks():
    """The lines of the page's indented texts that begin with "# FILE", by heading and file."""
    found, heading, at = {}, "", None
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            heading = line[3:].split(":")[0]
        if line.startswith("    # "):
            at = found.setdefault((heading, line[6:].split(":")[0]), [])
        elif line and not line.startswith("    "):
            at = None
        elif at is not None:
            at.append(line[4:])
    return found


@pytest.fixture
def host(make, tmp_path):
    """host(heading, changes of its text, by pattern): an Instance with that configuration."""
    def build(heading, *changes):
        lines = blocks()[heading, "postern.conf"]
        text = "\n".join(lines).replace("/etc/postern", str(tmp_path)) + "\n"
        for old, new in changes:
            text, count = re.subn(old, str(new), text)
            assert count, (old, text)
        head, mark, sections = re.fullmatch(r"(.*?)(^\[|\Z)(.*)", text, re.M | re.S).groups()
        instance = make(start=False)
        instance.settings = {name: instance.settings[name] for name in PATHS}
        instance.settings.update(line.split(" = ", 1) if " = " in line else (line.removesuffix(" ="), "") for line in head.splitlines() if line)
        instance.sections = mark + sections if sections else f"[smtp]\nlisten = 127.0.0.1:{instance.port}\n"
        return instance
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(parent.stat().st_mode | 0o111)
    return build


@pytest.mark.skipif(not AS_ROOT, reason="only root can deliver as other users")
def test_a_mail_host(host, make, tmp_path):
    certificate = Authority().issue("mail.example.com")
    tables = {name: lines for (_, name), lines in blocks().items() if "/" in name}
    (virtual,) = (line for line in tables["/etc/postern/virtual"] if line)
    (tmp_path / "virtual").write_text(re.sub("anna, otto", "alice, bob", virtual) + "\n")
    instance = host("A mail host", (r"/etc/letsencrypt\S*privkey.pem", certificate.key), (r"/etc/letsencrypt\S*fullchain.pem", certificate.cert), ("home_mailbox = Maildir/", f"mail_spool_directory = {tmp_path}/mail/"), (":25\n", ":0\n"), (":587\n", ":0\n"))
    port, other = instance.port, make(start=False).port
    instance.sections = instance.sections.replace(":0\n", f"127.0.0.1:{port}\n", 1).replace(":0\n", f"127.0.0.1:{other}\n", 1)
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail").chmod(0o1777)
    instance.write_config()
    instance.postern("setup")
    instance.postern("map", tmp_path / "virtual")
    for line in filter(None, tables["/etc/postern/passwords"]):
        for old, new in (("/etc/postern", tmp_path), ("anna", "alice"), ("postern ", f"{PREFIX}/sbin/postern -c {instance.confdir} ")):
            line = re.sub(rf"(?<![-\w]){re.escape(old)}", str(new), line)
        instance.command("sh", "-e", "-c", line, input="secret\n")
    instance.postern("check")
    instance.start()
    with instance.connect() as c:
        c.hello()
        c.mail("s@there.test", ["sales@example.com", "alice+list@example.com"])
        c.cmd("MAIL FROM:<s@there.test>", 250)
        c.cmd("RCPT TO:<nobody-of-that-name@example.com>", 550)
    instance.wait_log(r"orig_to=<sales@example\.com>.*status=sent", count=2)
    instance.port = other
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<alice@example.com>", 530)
        c.starttls()
        c.hello()
        c.cmd("AUTH PLAIN AGFsaWNlAHNlY3JldA==", 235)
        c.mail("alice@example.com", ["bob@example.com"])
    instance.wait_log(r"postern/submission/smtpd.*sasl_username=alice")
    instance.wait_log(r"to=<bob@example\.com>, relay=local.*status=sent")


def test_a_relay(host, peer, tmp_path):
    server = peer()
    instance = host("A relay", (r"\[192\.168\.1\.10\]", f"[127.0.0.1]:{server.port}"), (r"192\.168\.1\.0/24", "127.0.0.5/32"), (r"127\.0\.0\.0/8", "127.0.0.1/32"))
    instance.settings["relayhost"] = f"[127.0.0.1]:{server.port}"
    (tmp_path / "relay_recipients").write_text("anna@example.com x\n")
    instance.write_config()
    instance.postern("setup")
    instance.postern("map", tmp_path / "relay_recipients")
    assert instance.postern("check").stdout == ""
    instance.start()
    for source, recipient, code in (("127.0.0.5", "far@there.test", 250), ("127.0.0.9", "far@there.test", 554), ("127.0.0.9", "anna@example.com", 250), ("127.0.0.9", "otto@example.com", 550)):
        with instance.connect(source=source) as c:
            c.hello()
            c.cmd("MAIL FROM:<s@there.test>", 250)
            c.cmd(f"RCPT TO:<{recipient}>", code)
            if code == 250:
                c.data("Subject: x\r\n\r\nx\r\n")
    assert sorted(m["rcpt"][0].split("<")[1].split(">")[0] for m in server.wait(2)) == ["anna@example.com", "far@there.test"]


def test_a_client(host, peer):
    server = peer()
    instance = host("A client", (r"\[mail\.example\.com\]", f"[127.0.0.1]:{server.port}"))
    instance.prepare()
    assert instance.postern("check").stdout == ""
    instance.start()
    instance.sendmail("root", input="Subject: from cron\n\nx\n")
    instance.sendmail("-t", input="To: somebody@web1.example.com\nSubject: x\n\nx\n")
    assert [m["rcpt"][0].split("<")[1].split(">")[0] for m in server.wait(2)] == ["root@example.com", "somebody@web1.example.com"]
    assert "<root@example.com>" in server.messages[0]["mail"] or not AS_ROOT
