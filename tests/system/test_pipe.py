"""pipe(8) transports, commands' ends (catalogue L08), mailbox_command and the other ways of a mailbox."""
import os, pathlib, pwd, re, shutil, signal, time

import pytest
from harness.instance import AS_ROOT, PREFIX, wait_until
from test_aliases import clean, home, inbox, room, send

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="only root can deliver as other users")


def start(make, service=None, **settings):
    base = {"local_recipient_maps": "", "mail_spool_directory": None, "home_mailbox": "Maildir/", "alias_maps": "", "alias_database": "",
            "soft_bounce": "no", "minimal_backoff_time": "300s"}
    if service:
        base |= {"transport_services": service, "transport_maps": "inline:{ { pipe.test = tool: } }"}
    return make({**base, **settings})


def tool(room, text):
    script = room / "tool"
    script.write_text("#!/bin/sh\n" + text)
    script.chmod(0o755)
    return script


def test_a_line_of_master_cf_as_it_stands(make, clean, room):
    script = tool(room, f'printf "%s\\n" "$@" > {room}/args.tmp; cat > {room}/letter; id > {room}/id; env > {room}/env; pwd > {room}/pwd; mv {room}/args.tmp {room}/args\n')
    user = clean[0]
    instance = start(make, f"tool unix - n n - - pipe flags=DRhuO user={user}:mail directory=/usr argv={script} -f ${{sender}} -d ${{user}}@${{nexthop}} -m ${{extension}} -x {{two words}} $size ${{recipient}} ${{original_recipient}} $mailbox $domain ${{client_address}} $queue_id ${{client_port}} ${{sasl_sender}}",
                     recipient_delimiter="+", virtual_alias_maps="inline:{ { Old@PIPE.test = Some.One+Ext@PIPE.test } }")
    queue_id = send(instance, "old@pipe.test", sender="Se-nder@There.test")
    instance.wait_log(rf"postern/pipe\[\d+\]: {queue_id}: to=<Some\.One\+Ext@pipe\.test>, orig_to=<old@pipe\.test>, relay=tool, delay=\S+, delays=\S+, dsn=2\.0\.0, status=sent \(delivered via tool service\)")
    args = (room / "args").read_text().splitlines()
    assert args[:4] == ["-f", "Se-nder@there.test", "-d", "some.one@pipe.test"] and args[4:8] == ["-m", "ext", "-x", "two words"]
    assert args[8].isdigit() and args[9:13] == ["some.one+ext@pipe.test", "old@pipe.test", "some.one+ext", "pipe.test"] and args[13:15] == ["127.0.0.1", queue_id]
    assert args[15].isdigit() and int(args[15]) > 1023 and args[16:] == [""]
    assert (room / "letter").read_text().startswith("Return-Path: <Se-nder@there.test>\nX-Original-To: old@pipe.test\nDelivered-To: Some.One+Ext@pipe.test\n")
    entry, mail = pwd.getpwnam(user), 8
    assert re.fullmatch(rf"uid={entry.pw_uid}\({user}\) gid={mail}\(mail\) groups={mail}\(mail\)\n", (room / "id").read_text())
    assert {l.split("=")[0] for l in (room / "env").read_text().splitlines()} <= {"PATH", "PWD", "TZ", "LANG", "MAIL_CONFIG", "SHLVL", "_", "OLDPWD"}
    assert (room / "pwd").read_text() == "/usr\n"


def test_one_run_for_several_and_empty_arguments_stay(make, clean, room):
    script = tool(room, f'printf "<%s>\\n" "$@" >> {room}/args; cat >/dev/null\n')
    instance = start(make, f"{{ tool pipe user={clean[0]} argv={script} ${{extension}} ${{recipient}} end }}", recipient_delimiter="+")
    send(instance, ["a@pipe.test", "b@pipe.test"], sender="")
    instance.wait_log(r"relay=tool, .*status=sent", count=2)
    assert (room / "args").read_text() == "<>\n<>\n<a@pipe.test>\n<b@pipe.test>\n<end>\n"


def test_what_stands_for_the_null_sender(make, clean, room):
    """null_sender= counts for the arguments, From_ and Return-Path, as pipe(8) has it."""
    script = tool(room, f'cat > {room}/letter; echo "$@" > {room}/args\n')
    for text, line, path in (("", "From MAILER-DAEMON  ", "Return-Path: <MAILER-DAEMON>"), ("null_sender=", "From MAILER-DAEMON  ", "Return-Path: <>"),
                             ("null_sender=bounce@x.test", "From bounce@x.test  ", "Return-Path: <bounce@x.test>")):
        instance = start(make, f"tool pipe flags=FR {text} user={clean[0]} argv={script} ${{sender}}")
        send(instance, "a@pipe.test", sender="")
        instance.wait_log(r"status=sent")
        letter = (room / "letter").read_text().splitlines()
        assert letter[0].startswith(line) and letter[1] == path and path.endswith(f"<{(room / 'args').read_text().strip()}>")
        instance.close()


def test_what_comes_back_for_the_null_sender_is_nobodys(make, clean, room, peer):
    """FILTER_README: commands hand mail on with "sendmail -f ${sender}", which is MAILER-DAEMON for the null sender; over SMTP, too."""
    hop = peer()
    script = tool(room, f'exec {PREFIX}/sbin/sendmail -G -i "$@"\n')
    instance = start(make, f"tool pipe user={clean[0]} argv={script} -f ${{sender}} -- ${{user}}@there.test", relayhost=f"[127.0.0.1]:{hop.port}")
    send(instance, "a@pipe.test", sender="")
    send(instance, "b@there.test", sender="mailer-daemon@here.test")
    got = {m["rcpt"][0].split()[1]: m["mail"].split()[1] for m in hop.wait(2)}
    assert got == {"TO:<a@there.test>": "FROM:<>", "TO:<b@there.test>": "FROM:<>"}


def test_mail_that_goes_round_through_commands_ends(make, clean, room):
    """Its own Delivered-To ends it (RFC 9228), for mailbox_command and for a transport with flag D; without D nothing says so."""
    script, user = tool(room, f"cat >> {room}/letters\n"), clean[0]
    instance = start(make, f"{{ tool pipe flags=D user={user} argv={script} }} {{ free pipe user={user} argv={script} }}", mailbox_command=str(script),
                     transport_maps="inline:{ { pipe.test = tool: } { free.test = free: } }")
    for to in ("a@pipe.test", f"{user}@here.test"):
        queue_id = send(instance, to, f"Delivered-To: {to.upper()}\r\nSubject: x\r\n\r\nx\r\n", sender="")
        instance.wait_log(rf"{queue_id}: to=<{to}>.*dsn=5\.4\.6, status=bounced \(mail forwarding loop for {to}\)")
    assert not (room / "letters").exists()
    queue_id = send(instance, "a@free.test", "Delivered-To: a@free.test\r\nSubject: x\r\n\r\nx\r\n", sender="")
    instance.wait_log(rf"{queue_id}: to=<a@free\.test>.*status=sent")


def test_the_form_of_the_letter(make, clean, room):
    script = tool(room, f"cat > {room}/letter\n")
    instance = start(make, f"tool pipe flags=BF.> eol=\\r\\n null_sender= user={clean[0]} argv={script} [${{sender}}]")
    send(instance, "a@pipe.test", "Subject: x\r\n\r\n..dot\r\nFrom me\r\n", sender="")
    instance.wait_log(r"status=sent")
    letter = (room / "letter").read_bytes()
    assert re.match(rb"From MAILER-DAEMON  \w+ [^\r]*\r\n", letter) and letter.count(b"\r\n") == letter.count(b"\n")
    assert letter.endswith(b"Subject: x\r\n\r\n..dot\r\n>From me\r\n\r\n") or letter.endswith(b"\r\n\r\n..dot\r\n>From me\r\n\r\n")
    assert b"Return-Path" not in letter and b"Delivered-To" not in letter


@pytest.mark.parametrize("text, outcome", [
    ("cat >/dev/null; exit 0", r"dsn=2\.0\.0, status=sent"),
    ("exit 0 # reads nothing", r"dsn=2\.0\.0, status=sent"),
    ("echo some words; echo more; exit 75", r"dsn=4\.3\.0, status=deferred \(temporary failure\. Command output: some words more\)"),
    ("echo never; exit 67", r"dsn=5\.1\.1, status=bounced \(user unknown\. Command output: never\)"),
    ("exit 77", r"dsn=5\.7\.0, status=bounced \(permission denied\)"),
    ("echo 4.2.2 mailbox full; exit 1", r"dsn=4\.2\.2, status=deferred \(mailbox full\)"),
    ("echo oops >&2; exit 3", r'dsn=5\.3\.0, status=bounced \(Command died with status 3: ".*"\. Command output: oops\)'),
    ("kill -9 $$", r'dsn=4\.3\.0, status=deferred \(Command died with signal 9: '),
    ("head -c 300000000 /dev/zero; exit 0", r"dsn=2\.0\.0, status=sent"),
    ("sleep 60 & sleep 60", r'dsn=5\.3\.0, status=bounced \(Command time limit exceeded: '),
    ("sleep 20 & exit 0 # leaves somebody behind who holds the output", r"dsn=2\.0\.0, status=sent"),
])
def test_how_commands_end(make, clean, room, text, outcome):
    script = tool(room, text + "\n")
    instance = start(make, f"tool pipe user={clean[0]} argv={script}", tool_time_limit="2s")
    began = time.monotonic()
    queue_id = send(instance, "a@pipe.test", "Subject: x\r\n\r\n" + "y" * 70 + "\r\n" + ("z" * 70 + "\r\n") * 3000, sender="")
    instance.wait_log(rf"{queue_id}: to=<a@pipe\.test>, relay=tool, .*{outcome}", 15)
    assert time.monotonic() - began < 12
    assert not os.popen(f"pgrep -u {clean[0]} -f 'sleep 60'").read()


def test_what_is_too_large_for_a_pipe_comes_back(make, clean, room):
    instance = start(make, f"tool pipe user={clean[0]} size=2000 argv={tool(room, 'cat >/dev/null')}")
    for lines, outcome in ((20, r"dsn=2\.0\.0, status=sent"), (40, r"dsn=5\.2\.3, status=bounced \(message size exceeds size limit of the transport\)")):
        queue_id = send(instance, "a@pipe.test", "Subject: x\r\n\r\n" + ("z" * 70 + "\r\n") * lines, sender="")
        instance.wait_log(rf"{queue_id}: to=<a@pipe\.test>, relay=tool, .*{outcome}")


def test_what_cannot_be_run_waits(make, clean, room):
    for service, words in ((f"tool pipe user={clean[0]} argv=/no/such", "cannot run /no/such"), ("tool pipe user=root argv=/bin/cat", "nothing is done as user root"),
                           ("tool pipe user=nosuchuser argv=/bin/cat", "there is no user"), (f"tool pipe user={clean[0]} argv=/bin/cat ${{nonsense}}", "has a name that is none")):
        instance = start(make, service)
        send(instance, "a@pipe.test", sender="")
        instance.wait_log(rf"dsn=4\.3\.5, status=deferred \(.*{re.escape(words)}")
        instance.close()


def test_what_cannot_be_run_is_told_by_check(make, clean, room):
    """With line and transport, before any mail waits for it."""
    instance = start(make, " ".join("{ %s pipe %s }" % row for row in (
        ("good", f"user={clean[0]}:mail directory=/usr argv=/bin/cat"), ("searched", f"user={clean[0]} argv=cat"), ("nobody", "user=nosuchuser argv=/bin/cat"), ("group", f"user={clean[0]}:nosuchgroup argv=/bin/cat"),
        ("root", f"user={clean[0]}:root argv=/bin/cat"), ("place", f"user={clean[0]} directory=/no/such argv=/bin/cat"), ("jail", f"user={clean[0]} chroot=/etc/passwd argv=/in/jail"), ("gone", f"user={clean[0]} argv=/no/such -x"), ("data", f"user={clean[0]} argv=/etc/passwd"))), transport_maps="")
    said = instance.postern("check", check=False)
    line = 1 + [row.split(" =")[0] for row in (instance.confdir / "postern.conf").read_text().splitlines()].index("transport_services")
    wanted = ("nobody: there is no user nosuchuser", "group: there is no group nosuchgroup", f"root: {clean[0]}:root has the rights of root", "place: directory=/no/such: No such file or directory",
              "jail: chroot=/etc/passwd: Not a directory", "gone: argv=/no/such: No such file or directory", "data: argv=/etc/passwd: this is no program")
    assert said.returncode == 78 and said.stdout.splitlines() == [f"{instance.confdir}/postern.conf:{line}: transport_services: transport {text}" for text in wanted]


def test_strangers_texts_are_one_argument_and_no_option(make, clean, room):
    script = tool(room, f'printf "<%s>\\n" "$@" >> {room}/args; cat >/dev/null\n')
    instance = start(make, f"tool pipe user={clean[0]} argv={script} ${{user}} ${{sender}}")
    with instance.connect() as c:
        c.hello()
        c.cmd('MAIL FROM:<"a b; $(touch /tmp/evil)"@there.test>', 250)
        c.cmd('RCPT TO:<"x y `id`"@pipe.test>', 250)
        c.cmd("DATA", 354)
        c.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
        assert c.reply().code == 250
    instance.wait_log(r"status=sent")
    assert (room / "args").read_text() == "<x y `id`>\n<a b; $(touch /tmp/evil)@there.test>\n"
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<-oQ@there.test>", "501 5.1.7 Bad sender address syntax")
        c.cmd("MAIL FROM:<s@there.test>", 250)
        c.cmd("RCPT TO:<-oQ@pipe.test>", "501 5.1.3 Bad recipient address syntax")
    instance.sendmail("-f", "-oQ@there.test", "a@pipe.test", input="Subject: x\n\nx\n")  # the caller's own name
    instance.wait_log(r"dsn=5\.1\.3, status=bounced \(an address that begins with a hyphen\)")
    assert not os.path.exists("/tmp/evil")


def test_the_ways_of_a_mailbox(make, clean, room, peer):
    one, two = clean
    far = peer()
    instance = start(make, mailbox_command=f'cat > {room}/"$USER"; echo "$HOME" >> {room}/home', mailbox_command_maps=f"inline:{{ {{ {two} = /bin/sh -c exit }} }}",
                     command_execution_directory="$home", fallback_transport_maps=f"inline:{{ {{ strange = smtp:[127.0.0.1]:{far.port} }} }}", luser_relay=f"{one}+lost-$user@here.test", recipient_delimiter="+")
    send(instance, f"{one}@here.test")
    instance.wait_log(rf"to=<{one}@here\.test>.*status=sent \(delivered to command: cat ")
    assert (room / "home").read_text() == f"{home(one)}\n" and "Subject: list" in (room / one).read_text()
    send(instance, f"{two}@here.test")
    instance.wait_log(rf"to=<{two}@here\.test>.*status=sent \(delivered to command: /bin/sh -c exit\)")
    send(instance, "strange@here.test")
    far.wait(1)
    send(instance, "nobody-here@here.test")
    instance.wait_log(rf"to=<{one}\+lost-nobody-here@here\.test>, orig_to=<nobody-here@here\.test>.*status=sent")
    instance.reload(mailbox_transport_maps=f"inline:{{ {{ {one} = smtp:[127.0.0.1]:{far.port} }} }}", luser_relay="")
    send(instance, f"{one}@here.test")
    far.wait(2)
    instance.wait_log(rf"to=<{one}@here\.test>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:{far.port}, .*status=sent")
    send(instance, "unknown@here.test", sender="")
    instance.wait_log(r'to=<unknown@here\.test>.*dsn=5\.1\.1, status=bounced \(unknown user: "unknown"\)')
    send(instance, "root@here.test")  # a command would run as somebody else
    instance.wait_log(r"to=<root@here\.test>.*status=sent \(delivered to mailbox\)")
    os.unlink("/var/mail/root")


def test_other_transports_get_the_users_address_past_a_forward(make, clean, room, peer):
    """.forward with \\user, and mailbox_transport: Dovecot knows no "\\\\user"@here.test."""
    one, two = clean
    hop, script = peer(), tool(room, f'printf "%s %s\\n" "$@" >> {room}/args; cat >/dev/null\n')
    for user in clean:
        path = home(user) / ".forward"
        path.write_text(f"\\{user}, {user}@there.test\n")
        os.chown(path, pwd.getpwnam(user).pw_uid, -1)
    instance = start(make, f"tool pipe user={one} argv={script} ${{user}} ${{recipient}}", relayhost=f"[127.0.0.1]:{hop.port}", recipient_delimiter="+", alias_maps=f"inline:{{ {{ self = \\{one} }} }}",
                     mailbox_transport_maps=f"inline:{{ {{ {one} = smtp:[127.0.0.1]:{hop.port} }} {{ {two} = tool: }} }}")
    send(instance, [f"{one}+ext@here.test", f"{two}@here.test"])
    send(instance, "self@here.test")
    instance.wait_queue_empty()
    told = sorted(r.split()[1] for m in hop.wait(5) for r in m["rcpt"])
    assert told == sorted([f"TO:<{one}@here.test>"] * 2 + [f"TO:<{user}@there.test>" for user in (one, *clean)])
    assert (room / "args").read_text() == f"{two} {two}@here.test\n"
    instance.reload(mailbox_transport_maps="", mailbox_transport="error:5.2.1 mailboxes are closed")
    send(instance, f"{one}@here.test", sender="")
    instance.wait_log(rf"error\[\d+\]: \w+: to=<{one}@here\.test>, relay=none, .*status=bounced \(mailboxes are closed\)")


def test_a_reload_counts_for_a_mailbox_that_is_open(make, clean):
    one, body = clean[0], "Subject: x\r\n\r\n" + ("y" * 70 + "\r\n") * 25
    instance = start(make, home_mailbox="outbox")
    send(instance, f"{one}@here.test", body)
    instance.wait_log(r"status=sent \(delivered to mailbox\)")
    instance.reload(message_size_limit="3000", mailbox_size_limit="3000")
    send(instance, f"{one}@here.test", body, sender="")
    instance.wait_log(r"dsn=5\.2\.2, status=bounced \(mailbox is full: it may have 3000 octets\)")


def test_the_last_ways_of_a_mailbox(make, clean, room, peer):
    one, far = clean[0], peer()
    instance = start(make, fallback_transport=f"smtp:[127.0.0.1]:{far.port}", luser_relay=f"{one}@here.test")
    send(instance, "strange@here.test")
    far.wait(1)
    instance.wait_log(r"to=<strange@here\.test>, relay=127\.0\.0\.1.*status=sent")
    send(instance, f"{one}@here.test")
    instance.wait_log(rf"to=<{one}@here\.test>, relay=local, .*status=sent")
    instance.reload(mailbox_transport=f"smtp:[127.0.0.1]:{far.port}", fallback_transport="error:5.1.1 nobody")
    for number, name in enumerate((one, "other"), 2):
        send(instance, f"{name}@here.test")
        far.wait(number)
        instance.wait_log(rf"to=<{name}@here\.test>, relay=127\.0\.0\.1.*status=sent")


def test_a_shell_of_the_administrators_choice(make, clean, room):
    shell = tool(room, f'printf "<%s>\\n" "$@" > {room}/args.tmp; cat > /dev/null; mv {room}/args.tmp {room}/args\n')
    instance = start(make, local_command_shell=f"{shell} -c", mailbox_command="/bin/plain words; $SENDER")
    send(instance, f"{clean[0]}@here.test")
    instance.wait_log(r"status=sent \(delivered to command: /bin/plain words; \$SENDER\)")
    assert (room / "args").read_text() == "<-c>\n</bin/plain words; $SENDER>\n"


def test_what_a_command_has_done_is_known_to_the_next_queue(make, clean, room):
    script = tool(room, f"cat > /dev/null; echo run >> {room}/runs; sleep 0.5\n")
    instance = start(make, f"tool pipe user={clean[0]} argv={script}")
    queue_id = send(instance, "a@pipe.test", sender="")
    assert wait_until(lambda: (room / "runs").exists())
    queue = instance.pids("queue")[0]
    os.kill(queue, signal.SIGSTOP)  # it does not learn of the outcome
    instance.wait_log(rf"{queue_id}: to=<a@pipe\.test>, relay=tool, .*status=sent")
    os.kill(queue, signal.SIGKILL)
    instance.wait_log(rf"{queue_id}: removed")
    assert (room / "runs").read_text() == "run\n"


def test_error_retry_and_discard(make, clean):
    instance = start(make, transport_maps="inline:{ { e.test = error:5.2.1 mailbox is gone } { r.test = retry:4.2.1 not today } { d.test = discard:silently } { .r.test = retry: } { .d.test = discard: } }",
                     virtual_alias_maps="inline:{ { r@alias.test = a@r.test } { e@alias.test = a@e.test } { many@alias.test = a@a.r.test a@b.d.test } }", smtpd_reject_unlisted_sender="yes")
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<>", 250)
        c.cmd("RCPT TO:<a@e.test>", "550 5.2.1 <a@e.test>: Recipient address rejected: mailbox is gone")
        c.cmd("RCPT TO:<a@r.test>", "450 4.2.1 <a@r.test>: Recipient address rejected: not today")
        c.cmd("RCPT TO:<a@a.r.test>", "450 4.1.1 <a@a.r.test>: Recipient address rejected: Address is undeliverable")
        c.cmd("RSET", 250)
        c.cmd("MAIL FROM:<a@e.test>", 250)
        c.cmd("RCPT TO:<a@d.test>", "550 5.2.1 <a@e.test>: Sender address rejected: mailbox is gone")
    send(instance, ["r@alias.test", "a@d.test", "many@alias.test"], sender="")
    instance.wait_log(r"postern/\w+\[\d+\]: \w+: to=<a@r\.test>, orig_to=<r@alias\.test>, relay=none, .*dsn=4\.2\.1, status=deferred \(not today\)")
    instance.wait_log(r"postern/\w+\[\d+\]: \w+: to=<a@d\.test>, relay=none, .*dsn=2\.0\.0, status=sent \(silently\)")
    instance.wait_log(r"to=<a@a\.r\.test>, orig_to=<many@alias\.test>, relay=none, .*dsn=4\.0\.0, status=deferred \(Address is undeliverable\)")
    instance.wait_log(r"to=<a@b\.d\.test>, orig_to=<many@alias\.test>, relay=none, .*dsn=2\.0\.0, status=sent \(b\.d\.test\)")


def jail(room, user, *programs):
    """A root directory with these programs and what they need, and a directory out of that user's."""
    root = room / "jail"
    for program in programs:
        needed = re.findall(r"(/\S+) \(0x", os.popen(f"ldd {program}").read())
        for path in [program, *needed]:
            copy = root / path.lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    (root / "out").mkdir()
    os.chown(root / "out", pwd.getpwnam(user).pw_uid, -1)
    return root


def test_a_root_directory_of_its_own(make, clean, room):
    user = clean[0]
    root = jail(room, user, "/bin/sh", "/bin/cat", "/bin/ls", "/bin/touch")
    (root / "tool").write_text('#!/bin/sh\ncat > letter; { pwd; ls /; ls -d /../home 2>/dev/null; touch /mine 2>/dev/null; echo "$@"; } > seen\n')
    (root / "tool").chmod(0o755)
    outside = tool(room, f"cat > {room}/letter; ls / > {room}/seen\n")
    instance = start(make, f"{{ tool pipe flags=D user={user}:mail chroot={root} directory=/out argv=/tool ${{recipient}} }} {{ free pipe user={user}:mail argv={outside} }}",
                     transport_maps="inline:{ { pipe.test = tool: } { free.test = free: } }")
    # The same user and group with and without: neither may do the other's work.
    for name in ("a@pipe.test", "b@free.test", "c@pipe.test"):
        queue_id = send(instance, name, sender="")
        instance.wait_log(rf"{queue_id}: to=<{name}>, .*dsn=2\.0\.0, status=sent")
    assert (root / "out/seen").read_text().splitlines() == ["/out", *sorted(os.listdir(root)), "c@pipe.test"]
    entry = (root / "out/letter").stat()
    assert (entry.st_uid, entry.st_gid) == (pwd.getpwnam(user).pw_uid, 8) and "Delivered-To: c@pipe.test" in (root / "out/letter").read_text()
    assert not (root / "mine").exists() and "home" in (room / "seen").read_text().split()


@pytest.mark.parametrize("attributes, words", [
    ("chroot=/no/such/jail argv=/bin/cat", "cannot change root to /no/such/jail: No such file or directory"),
    ("chroot=/etc/passwd argv=/bin/cat", "cannot change root to /etc/passwd: Not a directory"),
    ("chroot={room}/jail directory=/nowhere argv=/bin/cat", "cannot change to directory /nowhere: No such file or directory"),
    ("chroot={room}/jail argv=/bin/nothing", "cannot run /bin/nothing: No such file or directory"),
])
def test_a_root_directory_that_will_not_do(make, clean, room, attributes, words):
    jail(room, clean[0], "/bin/cat")
    instance = start(make, f"tool pipe user={clean[0]} " + attributes.format(room=room))
    send(instance, "a@pipe.test", sender="")
    instance.wait_log(rf"relay=tool, .*dsn=4\.3\.5, status=deferred \({re.escape(words)}\)")
