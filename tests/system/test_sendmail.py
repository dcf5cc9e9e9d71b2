"""sendmail(1), mailq(1), newaliases(1) as programs call them."""
import os, re, subprocess, sys

import pytest
from harness.instance import AS_ROOT, PREFIX, wait_until

MESSAGE = "To: alice@here.test\nSubject: by sendmail\n\nHello\n.\nafter the dot\n"


@pytest.fixture(scope="module")
def host(request):
    from harness.instance import Instance
    instance = Instance()
    request.addfinalizer(instance.close)
    return instance.start()


def fresh(host, user="alice"):
    seen = len(host.mailbox(user))
    return lambda count=1: host.wait_mail(user, seen + count)[seen:]


@pytest.mark.parametrize("args,dot", [
    (["-t", "-i"], True), (["-ti"], True), (["-oi", "-t"], True), (["-i", "alice@here.test"], True), (["-i", "--", "alice@here.test"], True), (["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "alice"], True),
    (["-FCronDaemon", "-odi", "-i", "-oem", "-oi", "-t"], True), (["-t", "-i", "-fwww@here.test"], True), (["-i", "-f", "git@here.test", "--", "alice@here.test"], True), (["-oem", "-oi", "-f", "m@here.test", "-N", "failure", "-R", "hdrs", "-B", "8BITMIME", "--", "alice@here.test"], True),
    (["-oi", "-odi", "-oem", "-f", "l@here.test", "alice@here.test"], True), (["-G", "-i", "alice@here.test"], True), (["-t"], False), (["-bm", "-v", "alice@here.test", "-i"][:3], False), (["-U", "-n", "-m", "-i", "-h", "3", "-L", "tag", "-X", "/dev/null", "-O", "DeliveryMode=b", "-oeq", "-Ac", "alice@here.test"], True),
])
def test_callers_of_thirty_years(host, args, dot):
    new = fresh(host)
    done = host.sendmail(*args, input=MESSAGE, check=False)
    assert done.returncode == 0, done.stderr
    text = new()[0].decode()
    assert ("after the dot" in text) == dot, text
    assert re.search(r"^From: ", text, re.M) and re.search(r"^Date: ", text, re.M) and re.search(r"^Message-I[dD]: <[^@]+@mx\.here\.test>$", text, re.M)


def test_full_name_and_sender(host):
    new = fresh(host)
    host.sendmail("-i", "-F", "J\u00f6rg M", "-f", "joerg@here.test", "alice@here.test", input="Subject: x\n\nx\n")
    text = new()[0].decode()
    assert text.startswith("Return-Path: <joerg@here.test>\n")
    assert re.search(r"^From: =\?utf-8\?[BbQq]\?.*\?= <joerg@here\.test>$", text, re.M | re.I), text


def test_bcc_is_used_and_taken_out(host):
    alice, bob = fresh(host), fresh(host, "bob")
    host.sendmail("-t", "-i", input="To: alice@here.test\nBcc: bob@here.test,\n bob@here.test\nSubject: x\nReturn-Path: <forged@x.test>\n\nx\n")
    for text in (alice()[0], bob()[0]):
        assert not re.search(rb"^bcc", text, re.M | re.I) and b"forged" not in text  # an id may have these letters


def test_resent_messages_go_only_where_they_are_resent(host):
    alice, before = fresh(host), len(host.mailbox("bob"))
    host.sendmail("-t", "-i", input="Resent-From: x@here.test\nResent-To: alice@here.test\nTo: bob@here.test\nSubject: x\n\nx\n")
    alice()
    assert len(host.mailbox("bob")) == before


def test_groups_comments_and_encoded_words_in_headers(host):
    new = fresh(host)
    host.sendmail("-t", "-i", input='To: undisclosed: "A, L" <alice@here.test> (comment, x@y.test), =?utf-8?q?nobody=40here=2Etest?= <bob@here.test>;\nSubject: x\n\nx\n')
    new()
    assert host.wait_mail("bob")


@pytest.mark.parametrize("args,text,status", [
    (["-t", "-i"], "Subject: nobody\n\nx\n", 65), ([], "Subject: x\n\nx\n", 64), (["a@-b", "c@@d"], "x\n", 64), (["-t"], "To: a@-b\n\nx\n", 65), (["alice", "a\1b@c.test"], "x\n", 64), (["alice", "a\nb@c.test"], "x\n", 64), (["-i"], "x\n", 64), (["-Z", "alice"], "x\n", 64), (["-t", "-i"], "To: \n\nx\n", 65),
    (["-O", "requiretls=yes", "alice"], "Subject: x\n\nx\n", 64),
    (["-f", "a\nb@c.test", "-i", "alice"], "x\n", 64), (["-V", "a\nb", "-i", "alice"], "x\n", 64),
])
def test_statuses_of_sysexits(host, args, text, status):
    done = host.sendmail(*args, input=text, check=False)
    assert done.returncode in ((status,) if status != 64 else (64, 65)), (done.returncode, done.stderr)
    assert done.stderr.strip()


def test_a_malformed_sender_is_made_one_with_a_warning(host):
    """As Postfix does: the first of several, or with quotes; what is no address for anybody is refused."""
    rows = {"a b": "a", "a@c.test b": "a@c.test", "a@c.test,b@c.test": "a@c.test", "a@@c.test": '"a@"@c.test', ".a@c.test": '".a"@c.test', "a;b": "a"}
    for given, sender in rows.items():
        done = host.sendmail("-f", given, "-N", "sometimes", "-V", "x" * 101, "-i", "alice@here.test", input="Subject: f\n\nx\n")
        assert done.stderr.splitlines() == ["sendmail: warning: bad -N option value -- ignored", "sendmail: warning: bad -V option value -- ignored", f"sendmail: warning: -f option specified malformed sender: {given}"]
        host.wait_log(r"uid=\d+ from=<%s>" % re.escape(sender))
    host.sendmail("-f", "a@b@c.test", "-i", "alice@here.test", input="Subject: f\n\nx\n")
    host.wait_log(r'uid=\d+ from=<"a@b"@c\.test>')
    for given in ("@", "a\nb@c.test", "a@-c.test", "a" * 3000 + "@c.test"):
        done = host.sendmail("-f", given, "-i", "alice@here.test", input="x\n", check=False)
        assert (done.returncode, done.stderr) == (64, "sendmail: -f: not an address\n"), given


def test_newaliases_without_a_database_and_with_an_argument(make):
    instance = make({"alias_database": ""}, start=False)
    instance.write_config()
    done = instance.command("newaliases")
    assert (done.stdout, done.stderr) == ("", "")
    assert instance.command("newaliases", "/etc/aliases", check=False).returncode == 64


@pytest.mark.parametrize("args,to,bounced,told", [
    (["a@-far.test", "alice", "a..b@far.test"], "", ["a@-far.test", "a..b@far.test"], ""),
    (["-t"], "alice, b@@far.test, undisclosed recipients", ["b@@far.test"], "sendmail: To: 1 unusable address in the list\n"),
    (["-t", "a@[bad]"], "alice", ["a@[bad]"], ""), ([" ", ",", "<alice@here.test"], "", [], ""),
])
def test_a_bad_address_keeps_no_mail_from_the_others(host, args, to, bounced, told):
    """As in Postfix; its sender, too, would hear of nothing else."""
    alice, bob = fresh(host), fresh(host, "bob")
    done = host.sendmail("-f", "bob@here.test", "-i", *args, input=f"To: {to}\nSubject: x\n\nx\n")
    assert done.stderr == told
    alice()
    for address in bounced:
        host.wait_log(rf": to=<{re.escape(address)}>, relay=none, .*, dsn=5\.1\.3, status=bounced \(bad address syntax\)$")
    host.wait_queue_empty()
    notices = bob() if bounced else []
    assert all(f"Final-Recipient: rfc822; {address}\n".encode() in notices[0] for address in bounced)


def test_an_answer_that_nobody_can_read_is_no_success(host):
    for argv, status in ((["sendmail", "-bv", "alice"], 74), (["sendmail", "-bV"], 74), (["postern", "map", "-q", "a", "inline:{a=b}"], 74), (["postern", "map", "-s", "inline:{a=b}"], 74),
                         (["postern", "help"], 74), (["postern", "--version"], 74), (["postern", "queue", "--help"], 74), (["postern", "queue", "verify"], 74),
                         (["sendmail", "-v", "-oi", "-odq", "alice"], 0)):
        with open("/dev/full", "w") as full:
            done = subprocess.run([PREFIX / "sbin" / argv[0], *argv[1:]], input="Subject: x\n\nx\n", stdout=full, stderr=subprocess.PIPE, text=True, env={**os.environ, "MAIL_CONFIG": str(host.confdir)}, timeout=30)
        assert done.returncode == status and done.stderr.count("\n") == (status != 0), (argv, done)


def test_a_damaged_configuration_hides_no_queue_and_refuses_for_now(make):
    instance = make({"relayhost": "[127.0.0.1]:9"})
    instance.sendmail("-i", "x@far.test", input="Subject: waits\n\nx\n")
    assert wait_until(instance.queue)
    path = instance.confdir / "postern.conf"
    whole = path.read_text()
    for text in (whole + "[smtp\n", whole.replace("[smtp]", "smtpd_relay_restrictions =\n[smtp]"), whole + "\0"):
        path.write_text(text)
        for argv in (["-bp"], ["-bp", "-j"]):
            assert "x@far.test" in instance.sendmail(*argv).stdout
        assert instance.command("mailq").stdout == instance.sendmail("-bp").stdout
        instance.sendmail("-q")
        for argv, status in ((["-i", "alice"], 75), (["-t"], 75), (["-bs"], 75), (["-bV"], 78)):
            done = instance.sendmail(*argv, input=MESSAGE, check=False)
            assert done.returncode == status and "postern.conf:" in done.stderr and done.stderr.count("\n") == 1, (argv, done)
    path.unlink()
    assert instance.sendmail("-i", "alice", input=MESSAGE, check=False).returncode == 75
    path.write_text(whole)
    instance.sendmail("-i", "alice", input=MESSAGE)
    instance.wait_mail("alice")


def test_apparently_to_names_recipients(host):
    new = fresh(host)
    host.sendmail("-t", "-i", input="Apparently-To: alice@here.test\nSubject: old\n\nx\n")
    new()


def test_crlf_and_from_lines_are_normalised(host):
    new = fresh(host)
    host.sendmail("-t", "-i", input=b"From someone Mon Jan  1 00:00:00 2026\r\nTo: alice@here.test\r\nSubject: crlf\r\n\r\none\r\ntwo\r\n")
    text = new()[0]
    assert b"\r" not in text and text.endswith(b"\n\none\ntwo\n") and b"From someone" not in text
    for separators in (b">From a Mon\n", b"From a Mon\n>From b Mon\r\n>>From c Mon\n"):
        new = fresh(host)
        host.sendmail("-i", "alice", input=separators + b"Subject: kept\n\n>From the body\n")
        text = new()[0]
        assert b"Mon\n" not in text and re.search(rb"^Subject: kept\n(?s:.*)\n\n>From the body\n\Z", text, re.M), text
        new = fresh(host)
        host.sendmail("-bs", input=b"HELO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<alice@here.test>\r\nDATA\r\n" + separators + b"Subject: kept\r\n\r\nFrom the body\r\n.\r\nQUIT\r\n")
        text = new()[0]
        assert text.count(b"\nX-Mailbox-Line: ") == separators.count(b"From") and re.search(rb"^Subject: kept\n(?s:.*)\n\nFrom the body\n\Z", text, re.M), text


def test_mail_that_cannot_be_taken_yet_lets_the_rest_pass(make):
    """Messages in the drop directory that a table in trouble holds up."""
    instance = make({"virtual_alias_maps": "pipemap:{inline:{late@here.test=x},fail:1}"})
    instance.stop()
    for _ in range(8):
        instance.sendmail("late@here.test", input="Subject: late\n\nx\n")
    for _ in range(12):
        instance.sendmail("alice@here.test", input="Subject: now\n\nx\n")
    instance.start()
    instance.wait_mail("alice", 12)
    assert len(list((instance.home / "queue/maildrop").iterdir())) == 8
    instance.reload(virtual_alias_maps="inline:{late@here.test=bob@here.test}")
    instance.wait_mail("bob", 8)


def test_mail_written_while_stopped_is_sent_at_the_next_start(make):
    instance = make()
    instance.stop()
    done = instance.sendmail("-t", "-i", input=MESSAGE)
    assert done.returncode == 0
    assert not instance.mailbox("alice")
    instance.start()
    assert b"by sendmail" in instance.wait_mail("alice")[0]


@pytest.mark.skipif(not AS_ROOT, reason="needs another user")
def test_it_works_for_users_without_new_privileges(host, system_users):
    new = fresh(host)
    command = ["setpriv", "--reuid", system_users[0], "--regid", system_users[0], "--init-groups", "--no-new-privs", str(PREFIX / "sbin" / "sendmail"), "-t", "-i"]
    subprocess.run(command, input=MESSAGE, text=True, check=True, env={"MAIL_CONFIG": str(host.confdir), "PATH": os.environ["PATH"]}, cwd="/")
    text = new()[0].decode()
    assert text.startswith(f"Return-Path: <{system_users[0]}@here.test>\n") and re.search(rf"^Received: by mx\.here\.test .*userid \d+", text, re.M)


def test_smtp_on_standard_input(host):
    new = fresh(host)
    done = host.sendmail("-bs", input="HELO x\nMAIL FROM:<me@here.test>\nRCPT TO:<alice@here.test>\nDATA\nSubject: bs\n\n..x\n.\nQUIT\n".replace("\n", "\r\n"))
    assert [line[:3] for line in done.stdout.splitlines()] == ["220", "250", "250", "250", "354", "250", "221"], done.stdout
    assert new()[0].endswith(b"\n\n.x\n")


def test_smtp_on_standard_input_keeps_what_it_announces(host):
    dialogue = ["EHLO x", "MAIL FROM:<me@here.test> SIZE=99999999999", "MAIL FROM:<me@here.test> SIZE=x", "MAIL FROM:<me@here.test> AUTH=<>", "MAIL FROM:<me@here.test> RET=NO", "MAIL FROM:<me@here.test> size=20 BODY=7bit",
                "RCPT TO:<alice@here.test> NOTIFY=NEVER,DELAY", "RCPT TO:<alice@here.test>", "DATA", "Subject: bs", "", "x", ".", "QUIT"]
    done = host.sendmail("-bs", input="".join(line + "\r\n" for line in dialogue))
    replies = [line for line in done.stdout.splitlines() if line[3] == " "]
    assert [line[:3] for line in replies] == ["220", "250", "552", "501", "555", "501", "250", "501", "250", "354", "250", "221"], done.stdout
    queue_id = re.fullmatch(r"250 2\.0\.0 Ok: queued as (\w+)", replies[-2])[1]
    host.wait_log(rf"{queue_id}: to=<alice@here\.test>.*status=sent")


@pytest.mark.parametrize("running", [True, False])
def test_smtp_on_standard_input_asks_for_notifications(make, running):
    """Each recipient's own, by the socket and by the drop directory."""
    instance = make(start=running)
    instance.prepare()
    dialogue = ["EHLO x", "MAIL FROM:<bob@here.test> RET=HDRS ENVID=id+2B1", "RCPT TO:<alice@here.test> NOTIFY=SUCCESS ORCPT=rfc822;al+2Bice@orig.test", "RCPT TO:<postmaster@here.test> NOTIFY=DELAY",
                "RCPT TO:<never@here.test> NOTIFY=NEVER", "RCPT TO:<none@here.test> ORCPT=rfc822;one@orig.test", "DATA", "Subject: bs", "", "the body", ".", "QUIT"]
    done = instance.sendmail("-bs", input="".join(line + "\r\n" for line in dialogue))
    assert "250-DSN" in done.stdout and [line[:3] for line in done.stdout.splitlines() if line[3] == " "] == ["220", "250", "250", "250", "250", "250", "250", "354", "250", "221"], done.stdout
    if not running:
        instance.start()
    texts = sorted(instance.wait_mail("bob", 2), key=lambda text: b"none@here.test" in text)
    assert all(b"Original-Envelope-Id: id+1\n" in text and b"the body" not in text for text in texts)
    told = [re.findall(rb"^(?:Original-Recipient|Final-Recipient|Action): .*", text, re.M) for text in texts]
    assert told == [[b"Final-Recipient: rfc822; alice@here.test", b"Original-Recipient: rfc822; al+ice@orig.test", b"Action: delivered"],
                    [b"Final-Recipient: rfc822; none@here.test", b"Original-Recipient: rfc822; one@orig.test", b"Action: failed"]], told


def test_batched_smtp_is_silent_and_its_status_tells(make):
    instance = make()
    message = "MAIL FROM:<alice@here.test>\nRCPT TO:<{}>\nDATA\nSubject: batch\n\n..dot\n.\n"
    good, bad = message.format("bob@here.test"), message.format("b ob@here.test")
    cut = good[:-2]
    for batch, status, taken in ((f"HELO x\r\n{good}{good}QUIT\n".replace("\r\n", "\n").replace("\n", "\r\n"), 0, 2), (good, 0, 1), (good + bad + good, 1, 1), (bad + good, 2, 0), (cut, 2, 0), ("", 0, 0), ("NONSENSE\n" + good, 2, 0)):
        before = len(instance.mailbox("bob"))
        done = instance.sendmail("-bS", input=batch, check=False)
        assert (done.returncode, done.stdout) == (status, "") and bool(done.stderr) == (status != 0), (batch, done)
        assert wait_until(lambda: len(instance.mailbox("bob")) == before + taken, 5)
        instance.wait_queue_empty()
        assert len(instance.mailbox("bob")) == before + taken
    assert all(b"\n.dot\n" in text for text in instance.mailbox("bob"))


def test_mailq_shows_what_waits(make):
    instance = make({"relayhost": "[127.0.0.1]:9", "minimal_backoff_time": "300s"})
    assert instance.command("mailq").stdout.strip() == "Mail queue is empty"
    with instance.connect() as c:
        c.hello()
        queue_id = c.mail("s@here.test", ["r@far.test", "q@far.test"])
    instance.wait_log(rf"{queue_id}: to=<q@far\.test>.*status=deferred")
    assert wait_until(lambda: "Connection refused" in instance.command("mailq").stdout, 5)
    lines = instance.command("mailq").stdout.splitlines()
    assert lines[0] == "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
    assert re.match(rf"{queue_id}[*!# ]\s+\d+ \w{{3}} \w{{3}} [ \d]\d \d\d:\d\d:\d\d  ?s@here\.test$", lines[1]), lines
    assert re.match(r"^-- \d+ Kbytes in 1 Request\.$", lines[-1]), lines
    assert any(line.strip() == "r@far.test" for line in lines)
    assert instance.command("sendmail", "-bp").stdout.splitlines()[1] == lines[1]
    row = instance.queue()[0]
    assert row["queue_id"] == queue_id and row["sender"] == "s@here.test" and row["queue_name"] in ("deferred", "active") and row["message_size"] > 0
    assert {r["address"] for r in row["recipients"]} == {"r@far.test", "q@far.test"} and all("Connection refused" in r["delay_reason"] for r in row["recipients"])


def test_quarantine_holds_and_releases(make):
    instance = make({"relayhost": "[127.0.0.1]:9", "minimal_backoff_time": "300s"})
    with instance.connect() as c:
        c.hello()
        ids = [c.mail(f"s{n}@here.test", [f"r{n}@far.test"]) for n in range(3)]
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 3, 8)
    instance.sendmail("-Qlooks bad", "-qI" + ids[0])
    instance.sendmail("-qSs2@here.test", "-Qspam")
    held = {row["queue_id"]: row["hold_reason"] for row in instance.queue("--state", "hold")}
    assert held == {ids[0]: "looks bad", ids[2]: "spam"}
    assert instance.sendmail("-Qx", "-q", check=False).returncode == 64 and len(instance.queue("--state", "hold")) == 2
    instance.sendmail("-Q", "-qRfar.test")
    assert not instance.queue("--state", "hold")
    # No id of a long line is forgotten, and too many are not the last one's mistake.
    instance.sendmail("-Mrm", *[f"{n:016X}" for n in range(1, 200)], *ids)
    instance.wait_queue_empty()
    done = instance.sendmail("-Mrm", *[f"{n:016X}" for n in range(1, 2100)], check=False)
    assert done.returncode == 64 and "2000 ids" in done.stderr


def test_newaliases_builds_the_table(make):
    instance = make(start=False)
    aliases = instance.home / "aliases"
    aliases.write_text("info: alice\n")
    instance.settings.update({"alias_maps": f"hash:{aliases}", "alias_database": f"hash:{aliases}", "local_recipient_maps": "inline:{ { alice = x } } $alias_maps"})
    instance.write_config()
    instance.command("newaliases")
    assert (instance.home / "aliases.db").exists()
    assert instance.postern("alias", "-q", "info", f"hash:{aliases}").stdout.strip() == "alice"
    instance.start()
    with instance.connect() as c:
        c.hello()
        c.mail(recipients=["info@here.test"])
    text = instance.wait_mail("alice")[0].decode()
    assert "X-Original-To: info@here.test\n" in text


def test_mistakes_in_aliases_are_told_with_their_line(make):
    """By newaliases and by postern check, before mail meets them."""
    instance = make(start=False)
    aliases = instance.home / "aliases"
    aliases.write_text('good: alice, "|cmd a", :include:/list\nbroken: alice,\n  x@@y\nempty: "|"\nnote: bob # mine\nlist: :include:relative\nno value\n')
    instance.settings.update({"alias_maps": f"hash:{aliases}", "alias_database": f"hash:{aliases}"})
    instance.write_config()
    instance.postern("setup")
    told = [(2, "alias broken: not an address: x@@y"), (4, 'alias empty: not an address: "|"'), (5, "alias note: not an address: # mine"),
            (6, "alias list: not an absolute path: relative")]
    ignored = (7, "need name:value pair -- ignoring this line")
    lines = instance.command("newaliases").stderr.splitlines()
    assert lines == [f"postern: warning: {aliases}, line {line}: {text}" for line, text in [ignored, *told]]
    checked = instance.postern("check", check=False)
    assert checked.returncode == 78
    assert [l for l in checked.stdout.splitlines() if str(aliases) in l] == [f"{aliases}:{line}: {text}" for line, text in [*told, ignored]]
    aliases.write_text('good: alice bob; carol, "|cmd a"\n')
    assert not instance.command("newaliases").stderr and instance.postern("check").returncode == 0


def test_verification_answers_on_the_terminal(host):
    assert host.sendmail("-bv", "alice@here.test", check=False).returncode == 0
    assert host.sendmail("-bv", "nobody@here.test", check=False).returncode == 2


def test_git_mutt_and_python_can_send(host):
    new = fresh(host)
    code = "import subprocess,email.message as m\nmsg=m.EmailMessage();msg['To']='alice@here.test';msg['From']='py@here.test';msg['Subject']='py';msg.set_content('x')\nsubprocess.run([%r,'-t','-oi'],input=msg.as_bytes(),check=True)" % str(PREFIX / "sbin" / "sendmail")
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "MAIL_CONFIG": str(host.confdir)})
    assert b"Subject: py" in new()[0]


SESSION = ["EHLO me.test", "MAIL FROM:<a@bad.test>", "RCPT TO:<alice@here.test>", "RSET", "MAIL FROM:<a@ok.test>", "RCPT TO:<x@far.test>", "RCPT TO:<list@here.test>", "DATA", "Subject: told", "", "..", ".",
           "MAIL FROM:<a@ok.test>", "RCPT TO:<alice@here.test>", "DATA", "Subject: spam", "", "x", ".", "MAIL FROM:<a@ok.test>", "RCPT TO:<alice@here.test>", "BDAT 14 LAST", "Subject: x\r\n\r\nRCPT TO:<alice@here.test>", "QUIT"]


@pytest.mark.parametrize("running", [True, False])
def test_a_session_on_trial(make, running):
    """-bh: smtpd's own decisions, as if from that address, and nobody else hears of it."""
    instance = make(start=False)
    access, rules = instance.home / "access", instance.home / "rules"
    access.write_text("bad.test REJECT go away\nok.test OK\n")
    rules.write_text("/^Subject: spam/ REJECT spam\n/^Subject: told/ REDIRECT bob@here.test\n")
    instance.settings.update({"smtpd_sender_restrictions": f"check_sender_access texthash:{access}", "header_checks": f"regexp:{rules}", "virtual_alias_maps": "inline:{ { list@here.test = alice@here.test, y@far.test } }",
                              "smtpd_client_connection_count_limit": "1", "smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "table", "smtpd_sasl_path": f"texthash:{access}", "smtpd_error_sleep_time": "0"})
    instance.start() if running else instance.prepare()
    for ends in ("\n", "\r\n"):
        done = instance.sendmail("-bh", "192.0.2.7", input=ends.join(SESSION) + ends)
        said = done.stdout.splitlines()
        replies = [line[:3] for line in said if line[:3].isdigit() and line[3:4] == " "]
        assert replies == ["220", "250", "250", "554", "250", "250", "554", "250", "354", "250", "250", "250", "354", "550", "250", "250", "250", "503", "221"], done.stdout
        for line in (f">>> smtpd_sender_restrictions: check_sender_access texthash:{access}: 554 5.7.1 <a@bad.test>: Sender address rejected: go away", f">>> smtpd_sender_restrictions: check_sender_access texthash:{access}: permit",
                     ">>> smtpd_relay_restrictions: permit_mynetworks: goes on", ">>> smtpd_relay_restrictions: reject_unauth_destination: 554 5.7.1 <x@far.test>: Relay access denied", ">>> recipient <y@far.test>: transport smtp, next hop far.test",
                     ">>> recipient <bob@here.test>: transport local, next hop mx.here.test", ">>> the message would be accepted; here it is forgotten"):
            assert line in said, (line, done.stdout)
        assert any(line.startswith("LOG: NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 554 5.7.1 <a@bad.test>") for line in said) and said[-1] == "221 2.0.0 Bye"
    trusted = instance.sendmail("-bh", "127.0.0.1", "smtp", input="HELO x\nMAIL FROM:<>\nRCPT TO:<x@far.test>\n").stdout
    assert ">>> smtpd_relay_restrictions: permit_mynetworks: permit\n" in trusted and "lost connection after RCPT from unknown[127.0.0.1]\n" in trusted
    for wrong, status in ((["x"], 64), (["192.0.2.7", "none"], 64)):
        assert instance.sendmail("-bh", *wrong, check=False).returncode == status
    wrapped = make(start=False, sections="[smtps]\nlisten = 127.0.0.1:1\nsmtpd_tls_wrappermode = yes\n")
    wrapped.write_config()
    assert wrapped.sendmail("-bh", "192.0.2.7", check=False).returncode == 69
    assert "192.0.2.7" not in instance.log() and (not running or instance.queue() == [])
