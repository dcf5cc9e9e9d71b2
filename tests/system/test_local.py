"""Local delivery: mailboxes of real users, as those users (catalogue L)."""
import fcntl, mailbox, os, pathlib, pwd, re, shutil, subprocess, time

import pytest
from harness.instance import AS_ROOT, wait_until

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="only root can deliver as other users")


def home(user):
    return pathlib.Path(pwd.getpwnam(user).pw_dir)


@pytest.fixture
def clean(system_users):
    def wipe():
        for user in system_users:
            subprocess.run(["rm", "-rf", str(home(user) / "Maildir"), str(home(user) / "mbox"), str(home(user) / "target")], check=True)
    wipe()
    yield system_users
    wipe()


def local(make, **settings):
    return make({"local_recipient_maps": None, "mail_spool_directory": None, **settings})


def send(instance, recipient, body="Subject: local\r\n\r\nFrom the start\r\nbody\r\n", sender="s@there.test"):
    with instance.connect() as c:
        c.hello()
        return c.mail(sender, [recipient], body)


def test_a_maildir_is_made_and_belongs_to_the_user(make, clean):
    user = clean[0]
    instance = local(make, home_mailbox="Maildir/")
    queue_id = send(instance, f"{user}@here.test")
    instance.wait_log(rf"postern/local\[\d+\]: {queue_id}: to=<{user}@here\.test>, relay=local, .*status=sent \(delivered to maildir\)")
    folder = home(user) / "Maildir"
    messages = list((folder / "new").iterdir())
    assert len(messages) == 1 and not list((folder / "tmp").iterdir())
    entry = pwd.getpwnam(user)
    for path in (folder, folder / "new", folder / "cur", folder / "tmp", messages[0]):
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (entry.pw_uid, entry.pw_gid) and status.st_mode & 0o077 == 0
    text = messages[0].read_text()
    assert text.startswith("Return-Path: <s@there.test>\n") and f"Delivered-To: {user}@here.test\n" in text and "\nFrom the start\n" in text


@pytest.mark.parametrize("box", ["Maildir/", "Maildir/mbox"])
def test_what_took_the_place_of_a_mailbox_gets_the_mail(make, clean, box):
    """Its writer, which is kept for some seconds and confined to what it opened, is replaced."""
    user = clean[0]
    folder, entry = home(user) / "Maildir", pwd.getpwnam(user)
    instance = local(make, home_mailbox=box, minimal_backoff_time="300s")

    def there(count):
        found = list(folder.rglob("new/*")) if box.endswith("/") else [m for m in (folder / "mbox").read_text().split("From s@") if m]
        return len(found) == count

    if not box.endswith("/"):
        folder.mkdir()
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    send(instance, f"{user}@here.test")
    instance.wait_log(r"status=sent")
    for count, change in enumerate(("mv {0} {0}.old", "rm -rf {0}"), 2):
        subprocess.run(change.format(folder), shell=True, check=True)
        if not box.endswith("/"):
            folder.mkdir()
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        send(instance, f"{user}@here.test")
        instance.wait_log(r"status=(sent|deferred)", count=count)
        assert there(1), instance.log()
    subprocess.run(f"rm -rf {folder}.old", shell=True, check=True)
    assert "status=deferred" not in instance.log()
    # Nor is one asked for ever that found nothing to open.
    if box.endswith("/"):
        os.rename(folder, f"{folder}.away")
        folder.write_text("")
        send(instance, f"{user}@here.test")
        instance.wait_log(r"status=deferred")
        folder.unlink()
        time.sleep(0.2)
        instance.postern("flush")
        instance.wait_log(r"status=sent", count=4)
        subprocess.run(f"rm -rf {folder}.away", shell=True, check=True)


def test_an_mbox_is_appended_with_quoted_from_lines(make, clean):
    user = clean[0]
    instance = local(make, home_mailbox="mbox")
    for i in range(3):
        send(instance, f"{user}@here.test", f"Subject: n{i}\r\n\r\nFrom here\r\n>From there\r\nlast\r\n")
    instance.wait_log(r"status=sent \(delivered to mailbox\)", count=3)
    box = mailbox.mbox(home(user) / "mbox", create=False)
    assert [m["Subject"] for m in box] == ["n0", "n1", "n2"]
    raw = (home(user) / "mbox").read_text()
    assert raw.startswith("From s@there.test ") and raw.count("\n>From here\n") == 3 and raw.endswith("\n\n")


def test_the_spool_directory_is_the_default(make, clean):
    user = clean[0]
    spool = pathlib.Path("/var/mail") / user
    spool.unlink(missing_ok=True)
    instance = local(make)
    try:
        send(instance, f"{user}@here.test")
        instance.wait_log(r"status=sent \(delivered to mailbox\)")
        assert spool.stat().st_uid == pwd.getpwnam(user).pw_uid and "Subject: local" in spool.read_text()
        assert not (spool.parent / f"{user}.lock").exists()
    finally:
        spool.unlink(missing_ok=True)


def test_whoever_may_write_the_spool_directory(make, clean):
    """Where only root may, the file is made by root, empty, and is the user's; it is written as the user."""
    user, other = clean
    entry, spool = pwd.getpwnam(user), pathlib.Path("/var/mail") / "spool"
    spool.mkdir()
    instance = local(make, mail_spool_directory=spool, minimal_backoff_time="300s")
    try:
        for turn, (mode, group) in enumerate([(0o755, 0), (0o775, 0), (0o711, 0), (0o2775, 8), (0o1733, 0), (0o1777, 0)]):
            os.chown(spool, 0, group)
            os.chmod(spool, mode)
            (spool / other).write_text("precious")  # root's own: nobody gets it
            for count in (1, 2):
                send(instance, f"{user}@here.test")
                instance.wait_log(r"status=sent \(delivered to mailbox\)", count=2 * turn + count)
            status = (spool / user).stat()
            assert (status.st_uid, status.st_mode & 0o777) == (entry.pw_uid, 0o600) and len(mailbox.mbox(spool / user, create=False)) == 2
            send(instance, f"{other}@here.test")
            instance.wait_log(rf"to=<{other}@here\.test>.*status=deferred", count=turn + 1)
            assert (spool / other).read_text() == "precious" and (spool / other).stat().st_uid == 0
            assert sorted(p.name for p in spool.iterdir()) == sorted(clean)
            (spool / user).unlink()
    finally:
        subprocess.run(["rm", "-rf", spool])


def test_an_extension_reaches_the_user(make, clean):
    user = clean[0]
    instance = local(make, home_mailbox="Maildir/", recipient_delimiter="+")
    send(instance, f"{user}+lists@here.test")
    instance.wait_log(r"status=sent \(delivered to maildir\)")
    assert f"Delivered-To: {user}+lists@here.test\n" in next((home(user) / "Maildir" / "new").iterdir()).read_text()


def test_an_unknown_user_is_refused_at_once(make, clean):
    instance = local(make)
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<s@there.test>", 250)
        c.cmd("RCPT TO:<nosuchuser@here.test>", "550 5.1.1 <nosuchuser@here.test>: Recipient address rejected: User unknown in local recipient table")


@pytest.mark.parametrize("trap", ["symlink", "hardlink", "fifo", "directory", "foreign", "symlink to device"])
def test_traps_in_place_of_a_mailbox_are_not_followed(make, clean, trap):
    user, other = clean
    box, target = home(user) / "mbox", home(other) / "target"
    target.write_text("precious")
    os.chown(target, pwd.getpwnam(other).pw_uid, -1)
    os.chmod(target, 0o666)
    if trap == "symlink":
        box.symlink_to(target)
    elif trap == "symlink to device":
        box.symlink_to("/dev/null")
    elif trap == "hardlink":
        os.link(target, box)
    elif trap == "fifo":
        os.mkfifo(box)
    elif trap == "directory":
        box.mkdir()
    elif trap == "foreign":
        box.write_text("")
        os.chown(box, pwd.getpwnam(other).pw_uid, -1)
        os.chmod(box, 0o666)
    instance = local(make, home_mailbox="mbox", minimal_backoff_time="300s")
    queue_id = send(instance, f"{user}@here.test")
    instance.wait_log(rf"{queue_id}: to=<{user}@here\.test>.*status=deferred \(cannot update mailbox {box}: ")
    assert target.read_text() == "precious"
    with instance.connect() as c:
        c.hello()


def test_a_sender_cannot_forge_a_message_boundary(make, clean):
    user = clean[0]
    instance = local(make, home_mailbox="mbox")
    send(instance, f"{user}@here.test", sender='"x\\ y"@there.test')
    send(instance, f"{user}@here.test", sender='"a b From c"@there.test')
    instance.wait_log(r"status=sent \(delivered to mailbox\)", count=2)
    assert len(mailbox.mbox(home(user) / "mbox", create=False)) == 2


def test_a_locked_mailbox_is_tried_later(make, clean):
    user = clean[0]
    lock = home(user) / "mbox.lock"
    (home(user) / "mbox").write_text("")
    os.chown(home(user) / "mbox", pwd.getpwnam(user).pw_uid, -1)
    instance = local(make, home_mailbox="mbox", mailbox_delivery_lock="dotlock", deliver_lock_attempts="2", deliver_lock_delay="1s")
    lock.write_text("1")
    try:
        send(instance, f"{user}@here.test")
        instance.wait_log(r"status=deferred")
    finally:
        lock.unlink()
    instance.postern("flush")
    instance.wait_log(r"status=sent \(delivered to mailbox\)")


def opened_by_others(path):
    for link in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == str(path) and link.parts[2] != str(os.getpid()):
                return True
        except OSError:
            pass
    return False


def test_a_mailbox_that_somebody_keeps_locked_holds_up_no_other(make, clean):
    one, two = clean
    (home(one) / "mbox").write_text("")
    shutil.chown(home(one) / "mbox", one)
    instance = local(make, home_mailbox="mbox", mailbox_delivery_lock="fcntl", minimal_backoff_time="2s", mailbox_delivery_workers=1)
    with open(home(one) / "mbox", "r+b") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        for _ in range(20):
            send(instance, f"{one}@here.test")
        send(instance, f"{two}@here.test")
        assert wait_until(lambda: (home(two) / "mbox").exists(), 15), instance.why_queued()
        instance.wait_log(r"status=deferred \(earlier deliveries to that mailbox take their time\)")
    instance.wait_queue_empty(20)
    assert len(mailbox.mbox(home(one) / "mbox")) == 20


def test_a_mailbox_that_is_replaced_under_its_lock_gets_the_mail(make, clean):
    """A reader writes the mailbox anew beside it, or unlinks an empty one, and then gives up its lock: the letter is not for the old file."""
    user, box = clean[0], home(clean[0]) / "mbox"
    instance = local(make, home_mailbox="mbox", mailbox_delivery_lock="fcntl", deliver_lock_attempts="100", deliver_lock_delay="1s")
    for replace in (lambda: os.rename(box.with_suffix(".new"), box), lambda: os.unlink(box)):
        for path in (box, box.with_suffix(".new")):
            path.write_text("")
            os.chown(path, pwd.getpwnam(user).pw_uid, -1)
        with open(box, "r+b") as held:
            fcntl.lockf(held, fcntl.LOCK_EX)
            send(instance, f"{user}@here.test")
            assert wait_until(lambda: opened_by_others(box), 10, 0.1)
            replace()
        assert wait_until(lambda: box.exists() and b"Subject: local" in box.read_bytes())
        assert len(mailbox.mbox(box, create=False)) == 1


def test_the_mailbox_size_limit_holds_and_nothing_is_half_written(make, clean):
    user = clean[0]
    instance = local(make, home_mailbox="mbox", mailbox_size_limit="5000", message_size_limit="4000", minimal_backoff_time="300s")
    for _ in range(2):
        send(instance, f"{user}@here.test", "Subject: x\r\n\r\n" + "y" * 3000 + "\r\n")
    instance.wait_log(r"status=sent")
    instance.wait_log(r"status=(bounced|deferred)")
    assert len(mailbox.mbox(home(user) / "mbox", create=False)) == 1


def test_mail_that_comes_back_is_a_loop(make, clean):
    user = clean[0]
    instance = local(make, home_mailbox="Maildir/")
    queue_id = send(instance, f"{user}@here.test", f"Delivered-To: {user}@here.test\r\nSubject: x\r\n\r\nx\r\n")
    instance.wait_log(rf"{queue_id}: to=<{user}@here\.test>.*dsn=5\.4\.6, status=bounced \(mail forwarding loop for {user}@here\.test\)")


def test_aliases_nested_looping_and_changed(make, clean):
    one, two = clean
    instance = local(make, home_mailbox="Maildir/", alias_maps=None)
    aliases = instance.home / "aliases"
    aliases.write_text(f"both {one}, {two}\nnested both\nloop-a loop-b\nloop-b loop-a\nroot {one}\npostmaster {two}\n")
    instance.reload(alias_maps=f"texthash:{aliases}", alias_database="")
    send(instance, "nested@here.test")
    for user in clean:
        assert wait_until(lambda: (home(user) / "Maildir" / "new").exists() and len(list((home(user) / "Maildir" / "new").iterdir())) == 1, 10), instance.log()
    queue_id = send(instance, "loop-a@here.test", sender="")
    instance.wait_log(rf"{queue_id}: to=<\S+@here\.test>.*status=bounced")
    instance.wait_queue_empty()
    aliases.write_text(f"both {one}\nfresh {two}\nroot {one}\n")
    def taken():
        with instance.connect() as c:
            c.hello()
            c.cmd("MAIL FROM:<s@there.test>", 250)
            return c.cmd("RCPT TO:<fresh@here.test>").code == 250
    assert wait_until(taken, 10, 0.3)
    instance.sendmail("MAILER-DAEMON@here.test", input="Subject: x\n\nx\n") # neither user nor alias: it is root
    instance.wait_log(r"to=<MAILER-DAEMON@here\.test>, .*status=sent \(delivered to maildir\)")
    assert len(list((home(one) / "Maildir" / "new").iterdir())) == 2


def test_a_killed_local_repeats_at_most_what_was_in_flight(make, clean):
    user = clean[0]
    instance = local(make, home_mailbox="Maildir/")
    with instance.connect() as c:
        c.hello()
        for i in range(200):
            c.mail(recipients=[f"{user}@here.test"], body=f"Subject: n{i}\r\n\r\nx\r\n")
            if i == 100:
                os.kill(instance.pids("local")[0], 9)
    instance.wait_queue_empty(30)
    subjects = [re.search(r"^Subject: (n\d+)$", p.read_text(), re.M)[1] for p in (home(user) / "Maildir" / "new").iterdir()]
    assert set(subjects) == {f"n{i}" for i in range(200)}


def test_local_parts_from_strangers_are_never_files_or_commands(make, clean):
    instance = local(make, soft_bounce="no")
    for part in ("-oQ/tmp/x", "--", "|/bin/sh", "/etc/passwd", ":include:/etc/shadow", '"| id"', "..", "../x", "a/b", "$(id)", "`id`", "x;y", '"/tmp/evil"', '"|touch /tmp/evil"'):
        with instance.connect() as c:
            c.hello()
            c.cmd("MAIL FROM:<s@there.test>", 250)
            assert c.cmd(f"RCPT TO:<{part}@here.test>").code >= 500
    assert not os.path.exists("/tmp/evil")
