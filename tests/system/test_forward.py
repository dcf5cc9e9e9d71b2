"""~/.forward: read as the user, believed only if it is the user's own (catalogue L09, L13, H08)."""
import os, pathlib, pwd, re, signal, subprocess, sys, time

import pytest
from harness.instance import AS_ROOT, PREFIX, wait_until
from test_aliases import clean, home, inbox, room, send

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="only root can deliver as other users")


def start(make, **settings):
    return make({"local_recipient_maps": "", "mail_spool_directory": None, "home_mailbox": "Maildir/", "alias_maps": "", "alias_database": "",
                 "soft_bounce": "no", "minimal_backoff_time": "300s", **settings})


def forward(user, text, name=".forward", mode=0o644, owner=None):
    path = home(user) / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    os.chown(path, pwd.getpwnam(owner or user).pw_uid, -1)
    os.chmod(path, mode)
    return path


def test_forwarding_commands_files_and_the_own_mailbox(make, clean, room):
    one, two = clean
    forward(one, f'# all of it\n\\{one}, {two}\n"|id -un > {room}/who"\n{home(one)}/out\n|"cat > {room}/letter"\n')
    instance = start(make)
    queue_id = send(instance, f"{one}@here.test")
    instance.wait_log(rf"{queue_id}: removed")
    assert len(inbox(one)) == 1 and len(inbox(two)) == 1
    assert (room / "who").read_text() == f"{one}\n"
    assert (home(one) / "out").stat().st_uid == pwd.getpwnam(one).pw_uid
    assert f"\nDelivered-To: {one}@here.test\n" in (room / "letter").read_text()
    assert f"X-Original-To: {one}@here.test\n" in inbox(two)[0]


def test_a_user_who_is_gone_has_no_command_that_waits(make, room):
    subprocess.run(["useradd", "--no-log-init", "--create-home", "--base-dir", str(room), "--shell", "/bin/sh", "leaver"], check=True)
    try:
        forward("leaver", '"|exit 75"\n')
        instance = start(make, minimal_backoff_time="1s")
        queue_id = send(instance, "leaver@here.test")
        instance.wait_log(rf"{queue_id}: to=<leaver@here\.test>.*status=deferred \(temporary failure\)")
    finally:
        subprocess.run(["userdel", "-f", "leaver"], check=True)
    instance.wait_log(rf'{queue_id}: to=<leaver@here\.test>.*dsn=5\.1\.1, status=bounced \(unknown user: "leaver"\)')


def test_files_in_the_home(make, clean, room):
    """~/ is the user's home, also in what .forward includes; an alias of root's table has none."""
    one, _ = clean
    (room / "list").write_text("~/outdir/\n")
    forward(one, f'~/out, "~/out two"\n:include:{room}/list\n')
    table = room / "aliases"
    table.write_text("lost ~/out\n")
    instance = start(make, alias_maps=f"texthash:{table}", allow_mail_to_files="alias, forward, include")
    queue_id = send(instance, f"{one}@here.test")
    instance.wait_log(rf"{queue_id}: removed")
    assert (home(one) / "out").stat().st_uid == pwd.getpwnam(one).pw_uid and (home(one) / "out two").exists()
    assert len(list((home(one) / "outdir/new").iterdir())) == 1
    queue_id = send(instance, "lost@here.test")
    instance.wait_log(rf"{queue_id}: to=<lost@here\.test>.*dsn=4\.3\.5, status=deferred \(lost: there is no home for ~/out\)")


def test_extensions_have_files_of_their_own(make, clean, room):
    one, two = clean
    forward(one, f"{two}\n")
    forward(one, f"|cat > {room}/lists\n", name=".forward+lists")
    instance = start(make, recipient_delimiter="+")
    send(instance, f"{one}+lists@here.test")
    assert wait_until(lambda: (room / "lists").exists()), instance.log()
    send(instance, f"{one}+other@here.test")
    assert wait_until(lambda: len(inbox(two)) == 1), instance.log()


def test_the_extension_goes_on_where_propagate_unmatched_extensions_has_forward(make, clean, room, peer):
    """But not from a file that was found by it, though one that only exists because there is an extension."""
    one, two = clean
    forward(one, f"on@far.test, \\{one}, :include:{room}/list\n")
    forward(one, "q@far.test\n", name=".forward+lists")
    forward(one, "any@far.test\n", name=".forward.any")
    (room / "list").write_text(f"inc@far.test\n")
    sink = peer()
    instance = start(make, recipient_delimiter="+-", propagate_unmatched_extensions="forward", relayhost=f"[127.0.0.1]:{sink.port}")

    def sent(recipient):
        queue_id = send(instance, recipient)
        instance.wait_log(rf"{queue_id}: removed")
        return sorted(re.findall(rf"{queue_id}: to=<(\S+)>.* status=sent \((?!forwarded)", instance.log()))
    assert sent(f"{one}-Other@here.test") == [f"{one}-other@here.test", "inc@far.test", "on-other@far.test"]
    assert sent(f"{one}@here.test") == [f"{one}@here.test", "inc@far.test", "on@far.test"]
    assert sent(f"{one}+lists@here.test") == ["q@far.test"]
    instance.reload(propagate_unmatched_extensions="forward, include", forward_path="$home/.forward${extension?.any}, $home/.forward")
    assert sent(f"{one}+x@here.test") == ["any+x@far.test"]
    instance.reload(forward_path="$home/.forward")
    assert sent(f"{one}+x@here.test") == [f"{one}+x@here.test", "inc+x@far.test", "on+x@far.test"]


@pytest.mark.parametrize("trap", ["foreign", "group-writable", "world-writable", "open directory", "symlink", "fifo", "10 MB", "NUL", "directory", "empty", "comments"])
def test_what_is_not_believed_goes_to_the_mailbox(make, clean, room, trap):
    one, two = clean
    text, path = f"{two}\n", home(one) / ".forward"
    if trap == "foreign":
        forward(one, text, owner=two)
    elif trap.endswith("-writable"):
        forward(one, text, mode=0o664 if trap[0] == "g" else 0o646)
    elif trap == "open directory":
        forward(one, text)
        os.chmod(home(one), 0o777)
    elif trap == "symlink":
        (room / "real").write_text(text)
        os.chown(room / "real", pwd.getpwnam(one).pw_uid, -1)
        path.symlink_to(room / "real")
    elif trap == "fifo":
        os.mkfifo(path)
        os.chown(path, pwd.getpwnam(one).pw_uid, -1)
    elif trap == "10 MB":
        forward(one, text * (10 * 1024 * 1024 // len(text)))
    elif trap == "NUL":
        forward(one, text.encode() + b"\0\n")
    elif trap == "directory":
        path.mkdir()
    else:
        forward(one, "" if trap == "empty" else "# nothing\n\n")
    instance = start(make)
    try:
        send(instance, f"{one}@here.test")
        assert wait_until(lambda: len(inbox(one)) == 1), instance.log()
        assert not inbox(two)
        assert trap in ("empty", "comments") or instance.wait_log(rf"warning: {one}: {path}.*: not used")
    finally:
        os.chmod(home(one), 0o755)
        os.system(f"rm -rf {path}")


def test_a_home_that_is_away_keeps_mail_waiting(make, clean):
    one, _ = clean
    away = home(one).with_name("away")
    instance = start(make, home_mailbox="", mail_spool_directory="/var/mail")
    home(one).rename(away)
    try:
        send(instance, f"{one}@here.test")
        instance.wait_log(rf"to=<{one}@here\.test>.*dsn=4\.2\.0, status=deferred \(.*is the user's home and is not there")
    finally:
        away.rename(home(one))
    instance.postern("flush")
    instance.wait_log(rf"to=<{one}@here\.test>.*status=sent")
    (pathlib.Path("/var/mail") / one).unlink()


def test_roots_forward_never_runs_as_root(make, clean, room):
    path = pathlib.Path("/root/.forward")
    if path.exists():
        pytest.skip("root has one")
    mode = os.stat("/root").st_mode & 0o7777
    os.chmod("/root", 0o755)
    path.write_text(f"|id -un > {room}/who\n")
    try:
        instance = start(make)
        send(instance, "root@here.test")
        assert wait_until(lambda: (room / "who").exists() and (room / "who").read_text() == "nobody\n"), instance.log()
    finally:
        path.unlink()
        os.chmod("/root", mode)


def test_a_list_that_was_read_far_enough_is_let_go(make, clean, room):
    """The helper that told it is idle then and ends: it does not wait for room until it is killed with its commands."""
    one, _ = clean
    forward(one, f"|cat > {room}/out\n" + "/dev/null\n" * 300)
    instance = start(make)
    queue_id = send(instance, f"{one}@here.test")
    instance.wait_log(rf"{queue_id}: removed")
    # Other instances may have processes of the same user.
    helpers = lambda: os.popen(f"pgrep -P {instance.pids('local')[0]} -u {one} -x local").read()
    assert (room / "out").exists() and helpers()
    assert wait_until(lambda: not helpers(), 9, 0.2)
    assert "process of a user" not in instance.log() and not re.search(r"process \d+ of a user", instance.log())


def test_an_extension_leads_to_no_other_folder(make, clean):
    one, two = clean
    (home(one) / ".forward+d").mkdir()
    (home(one) / "outfile").write_text(f"{two}\n")
    os.chown(home(one) / "outfile", pwd.getpwnam(one).pw_uid, -1)
    instance = start(make, recipient_delimiter="+")
    queue_id = send(instance, f'"{one}+d/../outfile"@here.test')
    instance.wait_log(rf"{queue_id}: removed")
    assert len(inbox(one)) == 1 and not inbox(two)


@pytest.mark.parametrize("members", ["{one}", "{one}, {two}"])
def test_a_forward_to_a_list_with_the_user_on_it(make, clean, room, members):
    """The user's own copy is for the mailbox, as if the user's name stood in the .forward."""
    one, two = clean
    forward(one, "team\n")
    (room / "aliases").write_text("team " + members.format(one=one, two=two) + "\n")
    instance = start(make, alias_maps=f"texthash:{room}/aliases")
    for count, recipient in enumerate((f"{one}@here.test", "team@here.test"), 1):
        queue_id = send(instance, recipient)
        instance.wait_log(rf"{queue_id}: removed")
        assert len(inbox(one)) == count, (recipient, instance.log())
        assert len(inbox(two)) == (count if "{two}" in members else 0)
    assert "status=bounced" not in instance.log()


def test_two_users_who_forward_to_each_other(make, clean):
    one, two = clean
    forward(one, f"{two}\n")
    forward(two, f"{one}\n")
    instance = start(make)
    queue_id = send(instance, f"{one}@here.test", sender="")
    instance.wait_log(rf"{queue_id}: to=<{two}@here\.test>.*dsn=5\.4\.6, status=bounced \(mail forwarding loop for {two}\)")
    instance.wait_queue_empty()


def test_mail_that_comes_back_bounces_once(make, clean, peer):
    """.forward to another host and back: Delivered-To ends it (L13)."""
    one, _ = clean
    far = peer()
    forward(one, f"back@far.test\n")
    instance = start(make, transport_maps=f"inline:{{ {{ far.test = smtp:[127.0.0.1]:{far.port} }} }}")
    send(instance, f"{one}@here.test", sender="s@here.test")
    message = wait_until(lambda: far.messages and far.messages[0])
    assert message, instance.log()
    text = message["content"].decode()
    assert f"Delivered-To: {one}@here.test" in text
    queue_id = send(instance, f"{one}@here.test", body=text, sender="")
    instance.wait_log(rf"{queue_id}: to=<{one}@here\.test>.*dsn=5\.4\.6, status=bounced \(mail forwarding loop for {one}@here\.test\)")


def test_a_command_that_sends_it_back_ends(make, clean, room):
    """.forward -> |cmd -> sendmail -> the same user (H08)."""
    one, _ = clean
    instance = start(make)
    script = room / "again"
    script.write_text(f"#!/bin/sh\nsed 1d | MAIL_CONFIG={instance.confdir} {PREFIX}/sbin/sendmail -oi -f '' {one}@here.test\n")
    script.chmod(0o755)
    forward(one, f"|{script}\n")
    send(instance, f"{one}@here.test")
    instance.wait_log(rf"to=<{one}@here\.test>.*dsn=5\.4\.6, status=bounced \(mail forwarding loop")
    instance.wait_queue_empty()
    assert len(re.findall(r"status=sent \(delivered to command", instance.log())) == 1


def test_a_restricted_command(make, clean, room):
    one, _ = clean
    forward(one, f"|touch {room}/evil\n")
    instance = start(make, allow_mail_to_commands="alias")
    send(instance, f"{one}@here.test", sender="")
    instance.wait_log(rf"to=<{one}@here\.test>.*dsn=5\.7\.1, status=bounced \(mail to command is restricted\)")
    assert not (room / "evil").exists()


@pytest.mark.parametrize("frozen", ["yes", "no"])
def test_delivered_to_says_for_whom_mail_came(make, clean, room, peer, frozen):
    """frozen_delivered_to: lines of the header by the name that mail was for, as Postfix 3.7 writes them for the same lists."""
    one, two = clean
    sink = peer()
    forward(one, f"{two}, far@away.test\n")
    (room / "names").write_text(f"{one}\n")
    table = room / "aliases"
    table.write_text(f"list {one}\nnested list\nread :include:{room}/names\nowned {one}\nowner-owned bob\nplain {two}\nwrite {room}/written\n")
    instance = start(make, alias_maps=f"texthash:{table}", relayhost=f"[127.0.0.1]:{sink.port}", allow_mail_to_files="alias", **({} if frozen == "yes" else {"frozen_delivered_to": "no"}))

    def names(header):
        return [name.removesuffix("@here.test") for name in re.findall(r"^Delivered-To: (\S+)$", header.replace("\r", ""), re.M)]

    list_way = ["list"] if frozen == "yes" else [one]
    nested = ["nested"] if frozen == "yes" else [one]
    for name, far, mailbox in [(one, [one], [two, one]), ("list", list_way, [two, *list_way]), ("nested", nested, [two, *nested]), ("read", [one, "read"], [two, one, "read"]),
                               ("owned", [one, "owned"], [two, one, "owned"]), ("plain", None, ["plain"] if frozen == "yes" else [two])]:
        before, known = len(sink.messages), set(inbox(two))
        queue_id = send(instance, f"{name}@here.test")
        instance.wait_log(rf"{queue_id}: removed")
        assert far is None or names(sink.messages[before]["content"].decode()) == far, name
        assert [names(letter) for letter in set(inbox(two)) - known] == [mailbox], name
    queue_id = send(instance, "write@here.test")
    instance.wait_log(rf"{queue_id}: removed")
    assert names((room / "written").read_text()) == ["write"]


def helpers(instance):
    """Processes of local that read users' files."""
    local = instance.pids("local")[0]
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"PPid:\t{local}\n" in (entry / "status").read_text() and b"helper" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_lookup_may_be_another_when_the_file_was_read(make, clean):
    """A home on a server that is slow: meanwhile lookup was started anew."""
    one, two = clean
    forward(one, f"{two}@here.test\n")
    instance = start(make)
    send(instance, f"{one}@here.test")
    assert wait_until(lambda: len(inbox(two)) == 1)
    reader, local, lookup = helpers(instance)[0], instance.pids("local"), instance.pids("lookup")
    os.kill(reader, signal.SIGSTOP)
    try:
        send(instance, f"{one}@here.test")
        time.sleep(0.3)
        os.kill(lookup[0], signal.SIGKILL)
        assert wait_until(lambda: [row["pid"] not in lookup and row["state"] for row in instance.processes() if row["role"] == "lookup"] == ["running"])
    finally:
        os.kill(reader, signal.SIGCONT)
    assert wait_until(lambda: len(inbox(two)) == 2), instance.why_queued()
    assert instance.pids("local") == local and "status=deferred" not in instance.log()
