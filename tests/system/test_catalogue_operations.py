"""What a host lives through from day to day: catalogue F (limits of the system), G04, N04, Q04, Q07."""
import email.utils, os, re, select, time

import pytest
from harness.instance import AS_ROOT, PREFIX, wait_until
from test_syslog import OWN_DEV, Reader


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


# ---- F03: no descriptor is left

def test_more_clients_than_descriptors_wait_and_are_served(make):
    """The master raises the limit to the hard one, so it is the hard one that is small here."""
    instance = make({"smtpd_client_connection_count_limit": 0, "smtpd_error_sleep_time": 0}, start=False)
    (instance.home / "mail").mkdir()
    os.chmod(instance.home / "mail", 0o1777)
    instance.write_config()
    instance.postern("setup")
    instance.command("sh", "-c", f"ulimit -n 256 && exec {PREFIX}/sbin/postern -c {instance.confdir} start")
    instance.started = True
    smtpd = instance.pids("smtpd")
    clients, waiting = [], []
    try:
        for _ in range(300):
            clients.append(instance.connect(banner=False))
        time.sleep(1)
        served = [c for c in clients if select.select([c.sock], [], [], 0)[0]]
        waiting = [c for c in clients if c not in served]
        assert len(served) >= 100 and waiting, f"{len(served)} of {len(clients)} clients got a greeting at once"
        for c in served:
            c.close()
        for c in waiting:
            assert c.reply().code == 220
        waiting[0].hello()
        waiting[0].mail()
    finally:
        for c in clients:
            c.close()
    instance.wait_mail("alice")
    assert instance.pids("smtpd") == smtpd, "a process died"


# ---- F15: a destination that holds every session at the final dot

def test_a_tarpit_at_the_final_dot_delays_nobody_else(make, peer):
    tarpit, fair = peer(on={"DOT": "!hang"}), peer()
    instance = make({"transport_maps": f"inline:{{ {{ tar.test = smtp:[127.0.0.1]:{tarpit.port} }} {{ fair.test = smtp:[127.0.0.1]:{fair.port} }} }}"})
    with instance.connect() as c:
        c.hello()
        for i in range(150):
            c.mail(recipients=[f"r{i}@tar.test"])
        assert wait_until(lambda: tarpit.connections >= 5, 10)
        before = time.monotonic()
        c.mail(recipients=["r@fair.test"])
        fair.wait(1, 5)
    assert time.monotonic() - before < 2
    assert tarpit.connections <= 20, "default_destination_concurrency_limit"


# ---- G04: sendmail -t with Resent- headers

def test_a_resent_message_goes_to_the_resent_recipients_alone(make, peer):
    sink = peer()
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}"})
    instance.sendmail("-t", "-i", input="Resent-From: bob@here.test\nResent-To: Friends: one@far.test, \"Two, B.\" <two@far.test>;,\n (four@far.test) three@far.test\n"
                      "Resent-Cc: =?utf-8?q?five=40far=2Etest?= <six@far.test>\nResent-Bcc: seven@far.test\nFrom: a@old.test\nTo: old@old.test\nCc: older@old.test\nSubject: again\n\nx\n")
    content = sink.wait(1)[0]
    to = sorted(re.search("<(.*)>", r)[1] for m in sink.messages for r in m["rcpt"])
    assert to == sorted(f"{name}@far.test" for name in ("one", "two", "three", "six", "seven"))
    assert b"seven@far.test" not in content["content"]
    assert b"To: old@old.test\r\n" in content["content"]


# ---- N04: ten thousand failures, one report

def test_a_resent_message_over_smtp_is_completed_as_resent(make, peer):
    """What the author's message lacks is not the resender's to add; what the resending lacks is (RFC 5322, 3.6.6)."""
    far = peer()
    instance = make({"relayhost": f"[127.0.0.1]:{far.port}", "always_add_missing_headers": "yes"})
    for text, added in (("Resent-To: r@else.test\r\nTo: x@y.test\r\n", ["Resent-Date", "Resent-From", "Resent-Message-ID"]),
                        ("Resent-From : me@there.test\r\nResent-Date: Mon, 2 Jan 2023 03:04:05 +0000\r\nMessage-ID: <1@y.test>\r\n", ["Resent-Message-ID"]),
                        ("Subject: Resent-To: x\r\n", ["Date", "From", "Message-ID"])):
        far.messages.clear()
        with instance.connect() as c:
            c.hello()
            c.mail("s@there.test", ["r@else.test"], text + "\r\nx\r\n")
        far.wait(1)
        header = far.messages[0]["content"].split(b"\r\n\r\n")[0].decode()
        assert [line.split(":")[0] for line in header[header.index(text[:10]):].splitlines()[text.count("\r\n"):]] == added


def test_a_message_that_fails_for_ten_thousand_gets_one_report(make, peer):
    count = 10_000
    refusing = peer(on={"RCPT": "550 5.1.1 no such user"})
    instance = make({"relayhost": f"[127.0.0.1]:{refusing.port}", "smtpd_recipient_limit": 20_000, "smtpd_recipient_overshoot_limit": 1000})
    with instance.connect() as c:
        c.hello()
        c.mail(recipients=["alice@here.test"])
        instance.wait_mail("alice")
        before = {role: resident_kb(instance.pids(role)[0]) for role in ("queue", "pickup", "smtpd")}
        c.cmd("MAIL FROM:<alice@here.test>", 250)
        c.send("".join(f"RCPT TO:<user{i}@far.test>\r\n" for i in range(count)))
        assert all(c.reply().code == 250 for _ in range(count))
        c.data("Subject: to many\r\n\r\nx\r\n")
    assert wait_until(lambda: len(instance.mailbox("alice")) > 1 and not instance.queue("--limit", "1"), 60), instance.log()[-2000:]
    time.sleep(1)
    reports = instance.mailbox("alice")[1:]
    assert len(reports) == 1, f"{len(reports)} reports"
    failed = set(re.findall(rb"^Final-Recipient: rfc822; *(user\d+@far\.test)", reports[0], re.M))
    assert len(failed) == count
    for role, kb in before.items():
        assert resident_kb(instance.pids(role)[0]) - kb < 60_000, f"{role} grew from {kb} KB"


# ---- Q04: the reader of syslog does not read

@pytest.mark.skipif(not AS_ROOT, reason="only root can have a /dev of its own")
def test_a_deaf_syslog_holds_up_no_mail(make):
    instance = make({"maillog_file": None, "smtpd_client_message_rate_limit": 0, "recipient_delimiter": "+"}, start=False)
    (instance.home / "mail").mkdir()
    os.chmod(instance.home / "mail", 0o1777)
    instance.write_config()
    instance.postern("setup")
    reader = Reader(instance.home / "syslog")
    instance.command("unshare", "-m", "--propagation", "private", "sh", "-c", OWN_DEV, "sh", reader.path, PREFIX / "sbin/postern", "-c", instance.confdir, "start")
    instance.started = True
    try:
        with instance.connect() as c:
            c.hello()
            before = time.monotonic()
            for _ in range(300):  # half a megabyte of lines waits: these are more
                c.mail(f"{'x' * 60}@{'y' * 60}.{'z' * 60}.test", [f"alice+{i}{'x' * 50}@here.test" for i in range(10)])
        assert time.monotonic() - before < 20
        instance.wait_mail("alice", 3000, 20)
        # Who reads again gets the lines that waited, and those that come; and is told how many are missing.
        drain(reader)
        with instance.connect(source="127.0.0.9") as c:
            c.cmd("QUIT", 221)
        reader.wait(r"connect from unknown\[127\.0\.0\.9\]")
        assert int(reader.wait(r"warning: (\d+) log lines were dropped")[1]) > 0
    finally:
        instance.stop(check=False)
        reader.close()


def drain(reader):
    try:
        while True:
            reader.lines.append(reader.socket.recv(65536).decode())
    except BlockingIOError:
        pass


# ---- Q07: dates

@pytest.mark.parametrize("zone,offset", [("<-0330>3:30", "-0330"), ("UTC0", "+0000"), ("<+1345>-13:45", "+1345"), ("<-12>12", "-1200")])
def test_dates_have_the_hosts_offset(make, zone, offset):
    instance = make(start=False)
    (instance.home / "mail").mkdir()
    os.chmod(instance.home / "mail", 0o1777)
    instance.write_config()
    instance.postern("setup")
    instance.command("postern", "-c", instance.confdir, "start", env={"TZ": zone})
    instance.started = True
    instance.sendmail("-i", "alice@here.test", input="Subject: x\n\nx\n", env={"TZ": zone})
    content = instance.wait_mail("alice")[0].decode()
    date = re.search(r"^Date: (.*)$", content, re.M)[1]
    received = re.search(r"^Received: .*?; (.*?)$", content, re.M | re.S)[1]
    for text in (date, received):
        assert offset in text, text
        assert abs(email.utils.parsedate_to_datetime(re.sub(r" \(.*\)", "", text)).timestamp() - time.time()) < 30, text
