"""The rows of the sendmail command line that are not plain submission: names, queue runs, messages by id, modes of errors and delivery."""
import os, re, subprocess

import pytest
from harness.instance import AS_ROOT, PREFIX, wait_until

MESSAGE = "To: alice@here.test\nSubject: by sendmail\n\nHello\n"


@pytest.fixture
def named(tmp_path):
    """sendmail under another name."""
    def run(instance, name, *args, input="", **options):
        link = tmp_path / name
        if not link.exists():
            link.symlink_to(PREFIX / "sbin" / "sendmail")
        return instance.command(link, *args, input=input, **options)
    return run


def subjects(rows):
    return {row["sender"].split("@")[0] for row in rows}


@pytest.fixture
def waiting(make):
    """Three messages for places that do not answer."""
    instance = make({"relayhost": "[127.0.0.1]:9", "minimal_backoff_time": "300s"})
    with instance.connect() as c:
        c.hello()
        instance.ids = [c.mail(f"s{n}@here.test", [f"r{n}@far{n}.test"]) for n in range(3)]
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 3, 8)
    return instance


def test_other_names(make, named, tmp_path):
    instance = make()
    for name in ("send-mail", "exim", "sendmail"):
        seen = len(instance.mailbox("alice"))
        named(instance, name, "-t", "-i", input=MESSAGE)
        instance.wait_mail("alice", seen + 1)
    named(instance, "rmail", "alice@here.test", input="From joe Mon Jan  1 00:00:00 2026 remote from far\nSubject: uucp\nTo: x@y.test\n\n.\nbehind the dot\n")
    text = instance.wait_mail("alice", 4)[3].decode()
    assert text.startswith("Return-Path: <joe@far>\n") or text.startswith("Return-Path: <joe@far.here.test>\n"), text
    assert "behind the dot" in text and "remote from" not in text
    assert named(instance, "runq").returncode == 0
    assert "here.test" not in named(instance, "hoststat").stdout
    table = tmp_path / "access"
    named(instance, "makemap", "hash", table, input="spam.test REJECT\nold.test OK\n")
    named(instance, "makemap", "hash", table, input="spam.test\tDISCARD\n")
    named(instance, "makemap", "-o", "hash", table, input="more.test OK\n")
    assert sorted(named(instance, "makemap", "-u", "hash", table).stdout.splitlines()) == ["more.test\tOK", "spam.test\tDISCARD"]
    table.write_text("of.a.file OK\n")
    named(instance, "makemap", table)
    assert named(instance, "makemap", "-u", "hash", table).stdout == "of.a.file\tOK\n"
    assert named(instance, "makemap", "-Z", "hash", table, check=False).returncode == 64


def test_the_daemon_starts_with_an_interval_for_the_queue(make):
    instance = make()
    instance.stop()
    done = instance.sendmail("-bd", "-q15m")
    instance.started = True
    assert "queue_run_delay" in done.stderr and instance.pids("queue")
    assert instance.sendmail("-q1h").stderr.count("\n") == 1


def test_choices_of_a_queue_run(waiting):
    def listed(*args):
        return re.findall(r" s(\d)@here\.test$", waiting.sendmail("-bp", *args).stdout, re.M)
    assert listed() == ["0", "1", "2"]
    assert listed("-qRfar1.test") == ["1"] and listed("-qSs2@here.test") == ["2"] and listed("-qI" + waiting.ids[0]) == ["0"]
    assert listed("-q!Rfar1.test") == ["0", "2"] and listed("-q!Ss2@here.test") == ["0", "1"] and listed("-q!I" + waiting.ids[0]) == ["1", "2"]
    assert listed("-q!Rfar1.test", "-q!Sx.test", "-q!I" + waiting.ids[2]) == ["0"]
    assert listed("-qGsmtp") == ["0", "1", "2"] and listed("-qGlocal") == [] and listed("-q!Gsmtp") == [] and listed("-qGmqueue") == ["0", "1", "2"]
    assert listed("-qRr2@") == ["2"] and listed("-qRAR1.") == ["1"] and listed("-qSs0@h") == ["0"] and listed("-qRfar") == ["0", "1", "2"] and listed("-q!SS1") == ["0", "2"] and listed("-qS<>") == [] and listed("-qRfar", "-q!Rr0@", "-qI" + waiting.ids[1]) == ["1"]
    assert waiting.postern("queue", "delete", "--to-part", "nowhere").stdout == "0 messages deleted\n" and waiting.postern("queue", "list", "--from-part", "S2@", "--ids").stdout.split() == [waiting.ids[2]]
    assert waiting.sendmail("-bpc", "-q!Rfar1.test").stdout == "2\n" and waiting.sendmail("-bpi").stdout.split() == waiting.ids
    assert waiting.postern("queue", "stats", "--not-to", "@far1.test", check=False).returncode == 64
    def tries():
        return [len(re.findall(rf"to=<r{n}@far{n}\.test>.*status=deferred", waiting.log())) for n in range(3)]
    before = tries()
    waiting.sendmail("-q!Rfar1.test")
    assert wait_until(lambda: tries()[0] > before[0] and tries()[2] > before[2], 5) and tries()[1] == before[1]
    waiting.sendmail("-Qodd", "-q!Rfar1.test")
    assert listed("-qQ") == ["0", "2"] and listed("-qQodd") == ["0", "2"] and listed("-qQeven") == [] and listed("-q!Qodd") == []
    waiting.sendmail("-Qsecond", "-qSs0@here.test")
    assert listed("-qQsec") == ["0"] and listed("-q!Qsec") == ["2"]
    waiting.sendmail("-Q", "-qQsec")
    assert listed("-qQ") == ["2"]
    waiting.sendmail("-qQ")
    assert listed("-qQ") == []
    for wrong in ("-q!", "-qR", "-qZ", "-q!L"):
        assert waiting.sendmail(wrong, check=False).returncode == 64
    assert waiting.sendmail("-bp", "-qL").stdout == "Nothing is lost\n" and waiting.sendmail("-bpc", "-qL").stdout == "0\n"
    (waiting.home / "queue/damaged").mkdir(exist_ok=True)
    (waiting.home / "queue/damaged/7-123").write_text("x")
    assert waiting.sendmail("-bp", "-qL").stdout == f"{waiting.home}/queue/damaged/7-123\n"


def test_messages_by_id_as_exim_has_it(waiting):
    assert "Subject: " in waiting.sendmail("-Mvh", waiting.ids[0]).stdout and "Subject: " in waiting.sendmail("-Mvc", waiting.ids[0]).stdout
    assert "s0@here.test" in waiting.sendmail("-Mvl", waiting.ids[0]).stdout
    waiting.sendmail("-Mf", waiting.ids[0], waiting.ids[1])
    assert len(waiting.queue("--state", "hold")) == 2
    waiting.sendmail("-Mt", waiting.ids[0], waiting.ids[1])
    waiting.sendmail("-M", waiting.ids[0])
    waiting.sendmail("-Mmd", waiting.ids[0], "r0@far0.test")
    assert wait_until(lambda: len(waiting.queue()) == 2)
    waiting.sendmail("-Mg", waiting.ids[1])
    waiting.wait_log(rf"{waiting.ids[1]}: from=<s1@here\.test>, status=force-expired")
    waiting.sendmail("-Mmad", waiting.ids[2])
    assert wait_until(lambda: not any(row["queue_id"] in waiting.ids for row in waiting.queue()))
    for wrong in (["-Mg"], ["-Mrm"], ["-Mmd", waiting.ids[0]], ["-Mzz", "x"]):
        assert waiting.sendmail(*wrong, check=False).returncode == 64


def test_recipients_and_sender_can_be_changed(waiting, make, peer):
    one, two = waiting.ids[:2]
    waiting.sendmail("-Mar", one, "new@far.test", "<other@far.test>")
    waiting.sendmail("-Mes", one, "boss@here.test")
    waiting.sendmail("-Mes", two, "<>")
    assert waiting.sendmail("-Mar", one, "new@far.test", check=False).returncode == 65 and waiting.sendmail("-Mar", one, "a@@b", check=False).returncode == 64

    def rows():
        return {row["queue_id"]: (row["sender"], {r["address"] for r in row["recipients"]}) for row in waiting.queue()}
    wanted = {one: ("boss@here.test", {"r0@far0.test", "new@far.test", "other@far.test"}), two: ("MAILER-DAEMON", {"r1@far1.test"}), waiting.ids[2]: ("s2@here.test", {"r2@far2.test"})}
    assert rows() == wanted
    waiting.wait_log(rf"{one}: edited by root \(uid 0\): sender is now <boss@here\.test>")
    assert wait_until(lambda: len(waiting.queue("--state", "deferred")) == 3, 8)
    for again in (lambda: waiting.postern("abort", check=False), waiting.stop, waiting.stop):
        again()
        waiting.start()
        assert wait_until(lambda: rows() == wanted, 5)
        assert [row["queue_id"] for row in waiting.queue("--from", "boss@here.test")] == [one] and not waiting.queue("--from", "s0@here.test")
        assert [row["queue_id"] for row in waiting.queue("--to", "new@far.test")] == [one]
    waiting.postern("queue", "verify")
    assert "sender boss@here.test" in waiting.postern("queue", "explain", one).stdout and "add new@far.test" in waiting.postern("queue", "explain", one).stdout
    next_hop = peer()
    waiting.reload(relayhost=f"[127.0.0.1]:{next_hop.port}")
    waiting.sendmail("-q")
    assert wait_until(lambda: sum(len(m["rcpt"]) for m in next_hop.messages) == 5)
    assert {m["mail"].split(" ")[1] for m in next_hop.messages} == {"FROM:<boss@here.test>", "FROM:<>", "FROM:<s2@here.test>"}


def test_modes_of_delivery(make):
    instance = make({"queue_run_delay": "300s"})
    for mode in ("-odq", "-odd", "-ODeliveryMode=queue"):
        instance.sendmail(mode, "-i", "alice", input="Subject: later\n\nx\n")
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 3)
    instance.sendmail("-odi", "-i", "alice", input="Subject: now\n\nx\n")
    instance.wait_log(r"\(queue deferred\)", count=3)
    assert len(instance.mailbox("alice")) == 1
    instance.sendmail("-q")
    instance.wait_mail("alice", 4)


def test_what_is_put_off_is_put_off_after_a_restart_too(make):
    instance = make({"queue_run_delay": "300s"})
    instance.stop()
    instance.sendmail("-odq", "-i", "alice", input="Subject: later\n\nx\n")
    instance.start()
    assert wait_until(lambda: instance.queue("--state", "deferred"))
    instance.stop()
    instance.start()
    assert wait_until(lambda: instance.queue("--state", "deferred")) and not instance.mailbox("alice")
    instance.sendmail("-q")
    instance.wait_mail("alice")


def test_errors_go_back_by_mail(make):
    instance = make()
    done = instance.sendmail("-oem", "-f", "alice@here.test", "-t", "-i", input="Subject: nobody\n\nthe text\n", check=False)
    assert (done.returncode, done.stderr) == (65, "")
    text = instance.wait_mail("alice")[0].decode()
    assert text.startswith("Return-Path: <>\n") and "the message names no recipient" in text and "Subject: nobody\n\nthe text\n" in text
    done = instance.sendmail("-oew", "-f", "alice@here.test", "-i", "a@@b", input="Subject: bad\n\nx\n", check=False)
    assert (done.returncode, done.stderr) == (64, "") and b"a@@b: not an address" in instance.wait_mail("alice", 2)[1]
    for args in (["-oem", "-f", "<>"], ["-oep", "-f", "alice"], ["-e", "p"], []):
        done = instance.sendmail(*args, "-t", input="Subject: nobody\n\nx\n", check=False)
        assert done.returncode == 65 and "names no recipient" in done.stderr
    done = instance.sendmail("-oeq", "-t", input="Subject: nobody\n\nx\n", check=False)
    assert (done.returncode, done.stderr) == (65, "")
    instance.wait_queue_empty()
    assert len(instance.mailbox("alice")) == 2


def test_hops_protocol_and_tag(make, system_users):
    instance = make({"hopcount_limit": "5"})
    instance.sendmail("-h", "4", "-p", "UUCP:far.test", "-L", "backup", "-i", "alice", input="Subject: x\n\nx\n")
    text = instance.wait_mail("alice")[0].decode()
    assert re.search(r"^Received: from far\.test\n\tby mx\.here\.test \(Postern, from userid 0\)\n\twith UUCP id \w+; ", text, re.M), text
    instance.wait_log(r"postern/backup/pickup\[\d+\]: \w+: uid=0 from=<root>")
    done = instance.sendmail("-h", "6", "-i", "alice", input="Subject: x\n\nx\n", check=False)
    assert done.returncode == 65 and "too many hops" in done.stderr
    for wrong in (["-h", "x"], ["-h", "-1"], ["-L", "a/b"], ["-L", "x\ny"], ["-L", ""], ["-p", "a b"], ["-p", ""]):
        assert instance.sendmail(*wrong, "-i", "alice", input="Subject: x\n\nx\n", check=False).returncode == 64, wrong
    # Through the drop directory they come as well; there nobody hears of a refusal.
    instance.stop()
    instance.sendmail("-h", "6", "-f", "bob@here.test", "-i", "alice", input="Subject: loop\n\nx\n")
    instance.sendmail("-h", "3", "-p", "bsmtp", "-L", "night.ly", "-i", "alice", input="Subject: x\n\nx\n")
    instance.start()
    assert b"\twith bsmtp id " in instance.wait_mail("alice", 2)[1] and "postern/night.ly/pickup[" in instance.log()
    returned = instance.wait_mail("bob")[0]
    assert b"too many hops" in returned and b"Status: 5.4.0" in returned and b"Subject: loop" in returned and len(instance.mailbox("alice")) == 2
    assert list((instance.home / "queue" / "maildrop").iterdir()) == []
    if AS_ROOT:
        command = ["setpriv", "--reuid", system_users[0], "--regid", system_users[0], "--init-groups", str(PREFIX / "sbin" / "sendmail"), "-p", "UUCP:forged.test", "-i", "alice"]
        subprocess.run(command, input=MESSAGE, text=True, check=True, env={"MAIL_CONFIG": str(instance.confdir), "PATH": os.environ["PATH"]}, cwd="/")
        text = instance.wait_mail("alice", 3)[2]
        assert b"forged" not in text and b"UUCP" not in text


@pytest.mark.parametrize("checks", [{}, {"body_checks": "inline:{ {nothing = REJECT} }"}, {"header_checks": "inline:{ {nothing = REJECT} }"}])
def test_what_became_too_large_in_the_drop_directory_goes_back(make, checks):
    """The limit was lowered while it waited: whoever sent it has gone, and hears of it as of any other failure."""
    instance = make(checks)
    instance.stop()
    instance.sendmail("-f", "bob@here.test", "-i", "alice", input="Subject: long\n\nbegin\n" + "z" * 70 + "\n" * 90000 + "end\n")
    instance.sendmail("-f", "bob@here.test", "-i", "alice", input="Subject: head\nTo: alice, bob@there.test\n" + ("X-Field: " + "z" * 70 + "\n") * 500 + "\nbody\n")
    instance.settings.update({"message_size_limit": 60000, "header_total_limit": 20000})
    instance.start()
    by_size, by_header = sorted(instance.wait_mail("bob", 2), key=lambda m: b"Subject: head" in m)
    assert b"Status: 5.3.4" in by_size and b"larger than message_size_limit" in by_size and b"Subject: long" in by_size
    assert b"Status: 5.3.4" in by_header and b"message header is too long" in by_header and b"Subject: head" in by_header
    assert list((instance.home / "queue" / "maildrop").iterdir()) == [] and not instance.mailbox("alice")
    instance.wait_queue_empty()


@pytest.mark.skipif(not AS_ROOT, reason="needs another user")
def test_traffic_log_is_written_with_the_callers_rights_alone(make, system_users, tmp_path):
    instance = make()
    folder = instance.home / "user"
    folder.mkdir()
    os.chmod(folder, 0o777)
    (folder / "link").symlink_to(folder / "elsewhere")

    def run(log, *args, input=MESSAGE, user=True):
        prefix = ["setpriv", "--reuid", system_users[0], "--regid", system_users[0], "--init-groups"] if user else []
        return subprocess.run([*prefix, str(PREFIX / "sbin" / "sendmail"), "-X", str(log), *args], input=input, text=True, capture_output=True, env={"MAIL_CONFIG": str(instance.confdir), "PATH": os.environ["PATH"]}, cwd="/")
    assert run(folder / "log", "-v", "-i", "alice").returncode == 0
    lines = (folder / "log").read_text().splitlines()
    assert all(re.match(r"\d{5,} (<<<|>>>) ", line) for line in lines), lines
    assert [line.split(" ", 1)[1] for line in lines if "<<<" in line] == ["<<< To: alice@here.test", "<<< Subject: by sendmail", "<<< ", "<<< Hello"]
    assert any(">>> alice" in line and "Sent" in line for line in lines) and os.stat(folder / "log").st_mode & 0o777 == 0o600
    assert run(folder / "log", "-bs", input="HELO x\r\nQUIT\r\n").returncode == 0
    assert [line.split(" ", 1)[1] for line in (folder / "log").read_text().splitlines()[len(lines):]][-3:] == ["<<< HELO x", "<<< QUIT", ">>> 221 2.0.0 Bye"]
    assert run(folder / "none" / "log", "-i", "alice").returncode == 73
    assert run(folder / "link", "-i", "alice").returncode == 73 and not (folder / "elsewhere").exists()
    done = run(folder / "roots", "-i", "alice", user=False)
    assert done.returncode == 0 and "privileges" in done.stderr and not (folder / "roots").exists()
