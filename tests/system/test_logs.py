"""Log lines, read by the tools that administrators have."""
import gzip, os, pathlib, re, shutil, subprocess, time

import pytest
from harness.instance import PREFIX, wait_until


@pytest.fixture(scope="module")
def busy(request):
    from harness.instance import Instance
    from harness.peer import Peer
    sink = Peer(on={"RCPT": lambda s, line, p: "550 5.1.1 no" if b"<bad@" in line else "450 4.2.0 later" if b"<slow@" in line else "250 2.1.5 Ok"})
    instance = Instance({"relayhost": f"[127.0.0.1]:{sink.port}", "syslog_name": "postfix", "mynetworks": "127.0.0.1/32"})
    request.addfinalizer(sink.close)
    request.addfinalizer(instance.close)
    instance.start()
    with instance.connect() as c:
        c.hello()
        c.mail("s@here.test", ["r1@far.test", "r2@far.test"])
        c.mail("s@here.test", ["alice@here.test"])
        c.mail("alice@here.test", ["bad@far.test"])
        c.mail("s@here.test", ["slow@far.test"])
        c.cmd("MAIL FROM:<x@y.test>", 250)
        c.cmd("RCPT TO:<nobody@here.test>", 550)
        c.cmd("QUIT", 221)
    with instance.connect(source="127.0.0.9") as c:
        c.hello()
        c.cmd("MAIL FROM:<x@y.test>", 250)
        for _ in range(6):
            c.cmd("RCPT TO:<victim@far.test>", 554)
    for pattern in (r"<r1@far\.test>.*status=sent", r"<bad@far\.test>.*status=bounced", r"<slow@far\.test>.*status=deferred", r"disconnect from unknown\[127\.0\.0\.1\] ehlo=1 mail=5 rcpt=5/6 data=4 quit=1 commands=16/17", r"lost connection after RCPT from unknown\[127\.0\.0\.9\]"):
        instance.wait_log(pattern)
    instance.wait_mail("alice", 2)
    return instance


def test_pflogsumm_counts_what_happened(busy):
    assert shutil.which("pflogsumm")
    text = subprocess.run(["pflogsumm", str(busy.maillog)], capture_output=True, text=True, check=True).stdout
    counts = {name: int(number) for number, name in re.findall(r"^ *(\d+) +(received|delivered|deferred|bounced|rejected)\b", text, re.M)}
    assert counts["received"] >= 4 and counts["delivered"] >= 4 and counts["bounced"] == 1 and counts["rejected"] >= 7, text
    assert "User unknown in local recipient table" in text and "Relay access denied" in text


def test_pflogsumm_knows_an_expansion_from_a_delivery(make):
    instance = make({"alias_maps": "inline:{ { team = alice, bob } }", "local_recipient_maps": "$alias_maps inline:{ { alice = x } { bob = x } }", "luser_relay": "bob", "syslog_name": "postfix"})
    for to in ("team", "nonesuch"):
        instance.sendmail("-f", "s@there.test", to, input="Subject: x\n\nx\n")
    instance.wait_mail("alice", 1)
    instance.wait_mail("bob", 2)
    instance.wait_log(": removed", count=2)
    text = subprocess.run(["pflogsumm", str(instance.maillog)], capture_output=True, text=True, check=True).stdout
    counts = {name: int(number) for number, name in re.findall(r"^ *(\d+) +(received|delivered|forwarded)\b", text, re.M)}
    assert counts == {"received": 2, "delivered": 3, "forwarded": 2}, text + instance.log()


def test_fail2ban_finds_the_offender(busy):
    done = subprocess.run(["fail2ban-regex", str(busy.maillog), "postfix[mode=aggressive]"], capture_output=True, text=True)
    found = re.search(r"Lines: \d+ lines, \d+ ignored, (\d+) matched", done.stdout)
    assert found and int(found[1]) >= 6, done.stdout + done.stderr


def test_who_goes_away_is_named_without_a_queue_id(busy):
    """Also where a recipient was accepted: fail2ban and logwatch know no other form."""
    with busy.connect(source="127.0.0.10") as c:
        c.hello()
        c.cmd("MAIL FROM:<x@y.test>", 250)
        c.cmd("RCPT TO:<alice@here.test>", 250)
    line = busy.wait_log(r"^.* postfix/smtpd\[\d+\]: lost connection after RCPT from unknown\[127\.0\.0\.10\]$")[0]
    done = subprocess.run(["fail2ban-regex", line, "postfix[mode=aggressive]"], capture_output=True, text=True)
    assert ", 1 matched" in done.stdout, done.stdout + done.stderr


def test_a_message_can_be_followed_by_its_id(busy):
    queue_id = re.search(r"(\w+): to=<r1@far\.test>", busy.log())[1]
    lines = [re.sub(r"^.*?(\w+)\[\d+\]: \w+: ", r"\1 ", line) for line in busy.log().splitlines() if f": {queue_id}: " in line]
    words = [line.split("=")[0].split(",")[0] for line in lines]
    assert words[0] == "smtpd client" and "cleanup message-id" in words and "qmgr from" in words and words.count("smtp to") == 2 and words[-1] == "qmgr removed", lines


def test_each_message_id_of_a_header_is_told(make):
    """As Postfix's cleanup does it: in their order, those of Resent- fields, too, added or not; and that there is none."""
    instance = make({"local_recipient_maps": ""})
    cases = {"Message-ID: <a@x>\nMessage-ID: <b@x>\n": ["message-id=<a@x>", "message-id=<b@x>"],
             "Resent-Message-ID: <r@x>\nMessage-ID: <a@x>\n": ["resent-message-id=<r@x>", "message-id=<a@x>"],
             "Resent-To: bob@here.test\nMessage-ID: <a@x>\n": ["message-id=<a@x>", "resent-message-id=<ID@mx.here.test>"],
             "Resent-Reply-To: bob@here.test\n": ["resent-message-id=<ID@mx.here.test>", "message-id=<>"],
             "Message-ID:\n <a@x>\n": ["message-id=<a@x>"], "Message-ID: <a\n\t@x>\n": ["message-id=<a??@x>"], "Message-ID:\n": ["message-id="],
             "X-Message-ID: <a@x>\n": ["message-id=<ID@mx.here.test>"]}
    for fields, lines in cases.items():
        text = f"{fields}Subject: x\n\nMessage-ID: <body@x>\n"
        with instance.connect() as c:
            c.hello()
            ids = [c.mail("s@there.test", ["alice@here.test"], text.replace("\n", "\r\n"))]
        before = len(instance.log())
        instance.sendmail("-i", "-f", "s@there.test", "alice@here.test", input=text)
        assert wait_until(lambda: re.search(r"removed", instance.log()[before:]))
        ids.append(re.search(r"pickup\[\d+\]: (\w+): uid=", instance.log()[before:])[1])
        for queue_id in ids:
            told = re.findall(rf"cleanup\[\d+\]: {queue_id}: (.*message-id=.*)", instance.log())
            assert [re.sub(r"<[\w.]+@mx", "<ID@mx", line) for line in told] == lines, (fields, told)


def test_lines_from_strangers_stay_one_line(busy):
    with busy.connect() as c:
        c.send(b"EHLO a\x1b[31mb\xff" + b"x" * 900 + b"\r\n")
        c.reply()
        c.send(b"MAIL FROM:<a\x07b@c.test>\r\n")
        c.reply()
        c.cmd("QUIT", 221)
    assert wait_until(lambda: busy.log().count("disconnect from unknown[127.0.0.1]") >= 2, 5)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", busy.log())
    assert all(len(line) < 3000 for line in busy.log().splitlines())


def test_the_log_file_may_be_rotated(make):
    instance = make()
    with instance.connect():
        pass
    instance.wait_log("connect from")
    instance.maillog.rename(instance.home / "maillog.1")
    def fresh():
        with instance.connect():
            pass
        return "connect from" in instance.log()
    assert wait_until(fresh, 10, 0.3)
    opened = lambda: [os.readlink(f) for pid in [p["pid"] for p in instance.processes()] for f in pathlib.Path(f"/proc/{pid}/fd").glob("*") if f.is_symlink()]
    assert not [name for name in opened() if name.endswith("/maillog.1")], "it takes room also when it is gone"


def test_a_rotated_log_goes_on_at_once_and_whole(make):
    """Without a reload; the directory is one that only root may write to. No line is in neither file."""
    instance = make()
    instance.maillog.rename(instance.home / "maillog.1")
    assert wait_until(instance.maillog.exists, 2), "nobody looked"
    for _ in range(20):
        with instance.connect() as c:
            c.cmd("QUIT", 221)
    both = lambda: (instance.home / "maillog.1").read_text() + instance.log()
    assert wait_until(lambda: both().count("disconnect from") == 20, 5)
    assert "disconnect from" in instance.log()


def test_logrotate_puts_the_log_aside_and_loses_no_line(make):
    """postfix logrotate: a compressed file with the date in its name; also of an instance that does not run."""
    instance = make({"maillog_file_rotate_suffix": "old%Y"})
    for _ in range(5):
        with instance.connect() as c:
            c.cmd("QUIT", 221)
    instance.postern("logrotate")
    with instance.connect() as c:
        c.cmd("QUIT", 221)
    (aside,) = instance.home.glob("maillog.old2*.gz")
    assert wait_until(lambda: (gzip.open(aside, "rt").read() + instance.log()).count("disconnect from") == 6, 5)
    assert "daemon started" not in instance.log()
    instance.stop()
    for settings, status in (({"maillog_file_rotate_suffix": "two"}, 0), ({}, 66), ({"maillog_file": ""}, 69), ({"maillog_file": "/dev/stdout"}, 69)):
        instance.settings.update(settings)
        instance.write_config()
        done = instance.postern("logrotate", check=False)
        assert done.returncode == status and done.stderr.count("\n") == (status != 0), done
    assert "terminating" in gzip.open(instance.home / "maillog.two.gz", "rt").read()


def test_a_reload_opens_another_log(make):
    instance = make()
    other = instance.home / "other.log"
    instance.reload(maillog_file=other)
    with instance.connect() as c:
        c.cmd("QUIT", 221)
    assert wait_until(lambda: other.exists() and "disconnect from" in other.read_text(), 5)
    assert "connect from" not in instance.log()
    refused = instance.home / "link"
    refused.symlink_to("/dev/null")
    instance.settings["maillog_file"] = refused
    instance.write_config()
    assert instance.postern("reload", check=False).returncode != 0
    assert wait_until(lambda: "reload refused" in other.read_text(), 5)


def test_starts_reloads_and_stops_are_told_as_postfix_tells_them(make):
    """Lines that logwatch and people's greps look for; "postfix stop" is a signal."""
    instance = make()
    instance.postern("reload")
    instance.stop()
    log = instance.log()
    for line in (r"daemon started -- version \S+, configuration \S+$", r"reload -- version \S+, configuration \S+$", r"terminating on signal 15$"):
        assert re.search(rf"postern/master\[\d+\]: {line}", log, re.M), log


def test_scripts_put_lines_of_their_own_into_the_log(make):
    instance = make({"syslog_name": "mx"}, start=False)
    instance.write_config()
    link = instance.home / "postlog"
    link.symlink_to(PREFIX / "sbin/postern")
    say = lambda *args, **options: instance.command(link, *args, **options)
    assert (say("backup", "done \x1b").stdout, say("-ip", "warn", "-t", "my job", "-v", "late").stderr) == ("", "")
    say("-p", "ERROR", input="first\n\nlast")
    begun = time.monotonic()
    say("-p", "panic", "no way on")
    assert time.monotonic() - begun >= 1
    lines = [re.sub(r"^[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d \S+ (.*)\[\d+\]: ", r"\1|", line) for line in instance.log_now().splitlines()]
    assert lines == ["mx/postlog|backup done ?", "my job|warning: late", "mx/postlog|error: first", "mx/postlog|error: ", "mx/postlog|error: last", "mx/postlog|panic: no way on"]
    for args in (("-p", "loud", "x"), ("-z", "x"), ("-p",)):
        assert say(*args, check=False).returncode == 64, args
    instance.settings["maillog_file"] = "/dev/stdout"
    instance.write_config()
    assert say("here").stdout.endswith("]: here\n")
    instance.settings["maillog_file"] = instance.home
    instance.write_config()
    refused = say("here", check=False)
    assert refused.returncode == 73 and refused.stderr.startswith("postlog: maillog_file ")
