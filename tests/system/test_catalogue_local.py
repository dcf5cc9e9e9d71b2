"""What local users and processes try: frames, the drop directory, sendmail, mailboxes (catalogue L and M), on few instances."""
import array, os, pathlib, pwd, random, re, shutil, socket, subprocess, tempfile, time

import pytest
from harness.frames import MESSAGES, NAMES, Tool, frame
from harness.hostile import QUIET, alive, outcome, send
from harness.instance import AS_ROOT, PREFIX, Instance

# ---- M: frames from strangers ----

@pytest.fixture(scope="module")
def host(request):
    instance = Instance({**QUIET, "relayhost": "[127.0.0.1]:9"})
    request.addfinalizer(instance.close)
    return instance.start()


SOCKETS = ["public/queue", "public/pickup", "private/master"]


@pytest.mark.parametrize("name", SOCKETS)
def test_garbage_on_a_socket_costs_its_sender_the_connection(host, name):
    path, rng, before = host.home / "queue" / name, random.Random(name), alive(host)
    for n in range(60):
        with Tool(path, hello=False) as t:
            t.sock.sendall(rng.randbytes(rng.randrange(12, 3000)))
            assert n % 10 or t.closed() or True
    for number, message in NAMES.items():
        values = [{"TEXT": "x", "BYTES": b"x", "SECRET": "x", "SECRET_BYTES": b"x"}.get(kind, 0) for kind in MESSAGES[message][1]]
        for call in (0, 1, 0xffffffff):
            with Tool(path) as t:
                try:
                    t.send(message, call, *values)
                    t.send(message, call, *values, extra=b"more")
                except OSError:
                    pass
    with Tool(path) as t:
        t.sock.sendall(frame("DROP_CLOSE", 1, 0)[:7])
    with Tool(path, role=3) as t:
        assert t.closed()
    with Tool(path, hello=False) as t:
        t.read()
        t.send("HELLO", 0, 1, 12, 0, 1, 0)
        assert t.closed()
    for count, payload in ((200, b"x" * 12), (1, frame("DROP_CLOSE", 1, 0)), (1, frame("PEER", 0, 3, 0, None, type=MESSAGES["PEER"][0] | 0x10000))):
        with Tool(path) as t:
            t.sock.sendmsg([payload], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * count))])
            assert t.closed()
    assert alive(host) == before


# DROP_OPEN: flags, sender, full name, ENVID, NOTIFY, tag of the log, protocol, hops, delimiters of VERP.
OPEN = (0, "", "", "", 0, "", "", 0, "")


def test_a_million_frames_are_bounded(host):
    before = alive(host)
    pid = host.pids("pickup")[0]
    with Tool(host.home / "queue" / "public" / "pickup") as t:
        t.send("DROP_OPEN", 1, *OPEN)
        many = frame("DROP_RCPT", 1, "alice@here.test", 0, "") * 1000
        for _ in range(1000):
            t.sock.sendall(many)
        name, _, body = t.read()
        assert name == "DROP_ANSWER" and body[0] != 0
    # Who keeps to the credit is told when the message becomes too large.
    with Tool(host.home / "queue" / "public" / "pickup") as t:
        t.send("DROP_OPEN", 1, *OPEN)
        t.send("DROP_RCPT", 1, "alice@here.test", 0, "")
        credit, answer = 192 * 1024, None
        for _ in range(1000):
            while credit < 60000 and answer is None:
                name, _, body = t.read()
                if name == "DROP_CREDIT":
                    credit += int.from_bytes(body[:8], "little")
                else:
                    answer = name, body[0]
            if answer:
                break
            t.send("DROP_DATA", 1, b"x" * 60000)
            credit -= 60000
        assert answer == ("DROP_ANSWER", os.EX_DATAERR)
    # Who does not is told the same if pickup keeps up with it, and else loses its connection, with a line in the log.
    with Tool(host.home / "queue" / "public" / "pickup") as t:
        t.send("DROP_OPEN", 1, *OPEN)
        t.send("DROP_RCPT", 1, "alice@here.test", 0, "")
        try:
            for _ in range(1000):
                t.send("DROP_DATA", 1, b"x" * 60000)
            while (answer := t.read())[0] != "DROP_ANSWER":
                pass
            assert answer[2][0] == os.EX_DATAERR
        except (OSError, EOFError):
            host.wait_log("more content than there was credit for")
    peak = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
    assert alive(host) == before and peak < 40000


@pytest.mark.parametrize("values", [
    (0, "a\nb@here.test", "", "", 0), (0, "a\rb@here.test", "", "", 0), (0, "x@here.test", "Joe\nBcc: bob@here.test", "", 0), (0, "x@here.test", "", "a\nb", 0), (0, "x" * 900 + "@here.test", "", "", 0), (0, "x@here.test", "", "", 255), (0, "x@here.test", "", "", 3), (0xffffffff, "x@here.test", "", "", 0),
    (0, "x@here.test", "", "", 0, "a\nb"), (0, "x@here.test", "", "", 0, "", "a\nb"), (0, "x@here.test", "", "", 0, "", "", 0xffffffff), (0, "x@here.test", "", "", 0, "", "", 0, "\n\r"),
])
def test_hostile_envelopes_through_the_socket_make_no_second_line(host, values, dsn=(0, "")):
    before, seen = alive(host), len(host.mailbox("bob"))
    with Tool(host.home / "queue" / "public" / "pickup") as t:
        try:
            t.send("DROP_OPEN", 1, *values, *OPEN[len(values):])
            for rcpt in ("alice@here.test", "alice@here.test\nbob@here.test", "-oQ/tmp", "|id", "/etc/passwd", ":include:/etc/shadow"):
                t.send("DROP_RCPT", 1, rcpt, *dsn)
            t.send("DROP_DATA", 1, b"Subject: x\n\nx\n")
            t.send("DROP_CLOSE", 1, 0)
            t.read()
        except (EOFError, OSError):
            pass
    assert alive(host) == before and len(host.mailbox("bob")) == seen
    assert not re.search(r"^(?!\w{3} [ \d]\d \d\d:\d\d:\d\d)", host.log().rstrip("\n"), re.M)


@pytest.mark.parametrize("dsn", [(255, ""), (3, "rfc822;a@b.test"), (0, "rfc822;a\nb"), (2, "no-type"), (2, "rfc822;" + "x" * 900), (2, "rfc822;\xff")])
def test_hostile_dsn_parameters_through_the_socket(host, dsn):
    test_hostile_envelopes_through_the_socket_make_no_second_line(host, (), dsn)


@pytest.mark.skipif(not AS_ROOT, reason="needs another user")
def test_an_ordinary_user_sees_the_queue_and_no_message(host, system_users):
    queue_id = send(host, "r@far.test", body="Subject: secret-subject\r\n\r\nsecret-body\r\n")
    outcome(host, queue_id)
    run = lambda *words: subprocess.run(["setpriv", "--reuid", system_users[0], "--regid", system_users[0], "--clear-groups", str(PREFIX / "sbin" / "postern"), "-c", str(host.confdir), "queue", *words], capture_output=True, text=True)
    assert queue_id in run("list").stdout
    for words in (["show", queue_id], ["hold", queue_id], ["delete", "--all"], ["release", "--all"], ["requeue", "--all"], ["retry", "--all"]):
        done = run(*words)
        assert done.returncode != 0 and "secret" not in done.stdout + done.stderr, (words, done)
    assert [r["queue_name"] for r in host.queue() if r["queue_id"] == queue_id] == ["deferred"]
    listing = run("list", "--json").stdout
    assert "secret" not in listing


@pytest.mark.skipif(not AS_ROOT, reason="needs another user")
def test_one_user_cannot_lock_the_operator_out(host, system_users):
    hold = """
import socket, sys, time
kept = []
for path in sys.argv[1:]:
    for _ in range(700):
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        kept.append(s)
print("held", flush=True)
time.sleep(60)
"""
    paths = [str(host.home / "queue" / "public" / name) for name in ("queue", "pickup")]
    holder = subprocess.Popen(["setpriv", "--reuid", system_users[0], "--regid", system_users[0], "--clear-groups", "/usr/bin/python3", "-c", hold, *paths], stdout=subprocess.PIPE)
    seen = len(host.mailbox("alice"))
    try:
        assert holder.stdout.readline() == b"held\n"
        host.queue()
        host.sendmail("-i", "alice@here.test", input=SUBMIT)
        host.wait_mail("alice", seen + 1)
    finally:
        holder.kill()
        holder.wait()


@pytest.mark.skipif(not AS_ROOT, reason="only root can put such files there")
def test_crafted_files_in_the_drop_directory(host, system_users):
    drop, before, seen = host.home / "queue" / "maildrop", alive(host), len(host.mailbox("alice"))
    good = b"postern-drop 1\nsize 14\nflags 0\nnotify 0\nsender x@here.test\nrcpt alice@here.test\n\nSubject: x\n\nx\n"
    secret = host.home / "secret"
    secret.write_bytes(good)
    files = {"empty": b"", "garbage": random.Random(3).randbytes(5000), "cut": good[:-3], "longer": good + b"more", "huge-size": good.replace(b"size 14", b"size 99999999999999999999"), "minus": good.replace(b"size 14", b"size -1"),
             "no-end": b"postern-drop 1\n" + b"rcpt x@here.test\n" * 1000, "long-line": b"postern-drop 1\nrcpt " + b"x" * 100000 + b"\n\n", "nul": good.replace(b"alice", b"al\0ce"), "version": good.replace(b"drop 1", b"drop 2"), "type0": b"\0" * 4096, "nobody": good.replace(b"rcpt alice@here.test\n", b"")}
    def give(path, mode):
        os.chown(path, pwd.getpwnam(system_users[0]).pw_uid, drop.stat().st_gid)
        os.chmod(path, mode)
    give(secret, 0o740)
    for name, data in files.items():
        (drop / name).write_bytes(data)
        give(drop / name, 0o740)
    (drop / "link").symlink_to(secret)
    os.link(secret, drop / "hardlink")
    os.mkfifo(drop / "fifo", 0o740)
    (drop / "folder").mkdir(0o740)
    (drop / "not-ready").write_bytes(good)
    give(drop / "not-ready", 0o640)
    (drop / "whole").write_bytes(good)
    give(drop / "whole", 0o740)
    assert len(host.wait_mail("alice", seen + 1)) == seen + 1
    time.sleep(0.5)
    assert alive(host) == before and len(host.mailbox("alice")) == seen + 1 and secret.read_bytes() == good
    host.sendmail("alice@here.test", input="Subject: still here\n\nx\n")
    host.wait_mail("alice", seen + 2)
    subprocess.run(["rm", "-rf", *[str(p) for p in drop.iterdir()]], check=True)


# ---- M: sendmail in the hands of its caller ----

SUBMIT = "Subject: by hand\n\nx\n"


def as_user(user, host, *words, shell=None, env=None, **options):
    argv = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"] + (["sh", "-c", shell, "sh"] if shell else []) + [str(PREFIX / "sbin" / "sendmail"), *words]
    return subprocess.run(argv, capture_output=True, cwd="/", timeout=30, env=env if env is not None else {"MAIL_CONFIG": str(host.confdir), "PATH": os.environ["PATH"]}, **options)


@pytest.mark.skipif(not AS_ROOT, reason="needs another user")
@pytest.mark.parametrize("shell,status", [
    ('exec "$@" <&-', None), ('exec "$@" >&-', None), ('exec "$@" 2>&-', None), ('exec "$@" <&- >&- 2>&-', None), ('umask 777; exec "$@"', 0), ('ulimit -f 0; exec "$@"', None), ('ulimit -n 4; exec "$@"', None), ('ulimit -v 30000; exec "$@"', None),
    ('trap "" PIPE TERM CHLD; exec "$@"', 0), ("exec python3 -c 'import os,sys;os.execv(sys.argv[1],[])' \"$@\"", None), ("exec python3 -c 'import os,sys;os.execv(sys.argv[1],[chr(10)*5000]+sys.argv[2:])' \"$@\"", 0),
])
def test_surroundings_that_a_caller_chooses(host, system_users, shell, status):
    """M01: a message, or a status that says there is none; never half a one, never a crash."""
    before, seen = alive(host), len(host.mailbox("alice"))
    done = as_user(system_users[0], host, "-i", "alice@here.test", shell=shell, input=SUBMIT.encode())
    assert done.returncode >= 0 and done.returncode < 80, done
    if status is not None:
        assert done.returncode == status, done
    if done.returncode == 0 and "<&-" not in shell:
        assert b"\n\nx\n" in host.wait_mail("alice", seen + 1)[-1]
    assert alive(host) == before


@pytest.mark.skipif(not AS_ROOT, reason="needs another user")
@pytest.mark.parametrize("words", [
    ["-f", "a\nb@here.test", "alice@here.test"], ["-f", "a b\rc", "alice@here.test"], ["-F", "Joe\nBcc: bob@here.test", "alice@here.test"], ["-V", "x\ny", "alice@here.test"], ["-N", "never,success", "alice@here.test"], ["-R", "what", "alice@here.test"],
    ["-f", "x" * 5000, "alice@here.test"], ["alice@here.test\nbob@here.test"], ["-C", "/etc", "alice@here.test"], ["-C", "/nonexistent", "alice@here.test"], ["-oQ/tmp/evil-queue", "alice@here.test"], ["-O", "QueueDirectory=/tmp/evil-queue", "alice@here.test"],
    ["-X", "/etc/evil-log", "alice@here.test"], ["-bd"], ["-bD"], ["-q1m"], ["-h", "99999999999999999999", "alice@here.test"], ["-h", "-5", "alice@here.test"], ["--", "-bd"], ["-B", "9BIT", "alice@here.test"], ["-bz"], ["-o"], ["-f"],
])
def test_arguments_that_a_caller_chooses(host, system_users, words):
    before, seen = alive(host), len(host.mailbox("bob"))
    done = as_user(system_users[0], host, "-i", *words, input=SUBMIT.encode())
    assert 0 <= done.returncode < 80, done
    assert done.returncode == 0 or done.stderr, words
    assert alive(host) == before and len(host.mailbox("bob")) == seen and not os.path.exists("/tmp/evil-queue") and not os.path.exists("/etc/evil-log")
    assert not re.search(r"^(?!\w{3} [ \d]\d \d\d:\d\d:\d\d)", host.log().rstrip("\n"), re.M)


CALLERS = {
    "cron": ["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "alice"], "cronie": ["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "root"], "php": ["-t", "-i"], "php -f": ["-t", "-i", "-fwww-data@here.test"], "git": ["-i", "-f", "g@here.test", "--", "alice@here.test"],
    "mutt": ["-oem", "-oi", "-f", "m@here.test", "-N", "failure,delay", "-R", "hdrs", "-B", "8BITMIME", "--", "alice@here.test"], "sympa": ["-oi", "-odi", "-oem", "-f", "l-owner@here.test", "alice@here.test"], "pigeonhole": ["-i", "-f", "x@here.test", "--", "alice@here.test"], "reportbug": ["-t", "-oi", "-oem"],
    "smartd": ["-t"], "fail2ban": ["-t", "-f", "fail2ban@here.test"], "Ruby": ["-i", "-t"], "Perl MIME::Lite": ["-t", "-oi", "-oem"], "at": ["-i", "alice"], "logwatch": ["-t", "-oi"], "null sender": ["-i", "-f", "", "alice@here.test"], "angle": ["-i", "-f", "<>", "alice@here.test"], "-r": ["-r", "r@here.test", "-i", "alice@here.test"],
    "options": ["-oMrx", "-oo", "-o7", "-o8", "-ov", "-oT2d", "-i", "alice@here.test"], "debug": ["-d0.1", "-i", "alice@here.test"], "interval": ["-i", "-G", "-Am", "-Ac", "-U", "-L", "x", "-p", "ESMTP:host", "-n", "-T", "alice@here.test"],
}


def test_programs_that_call_it(host):
    seen, text = len(host.mailbox("alice")), "To: alice@here.test\nSubject: from a program\n\nbody\n"
    statuses = {name: (done.returncode, done.stderr) for name, args in CALLERS.items() for done in [host.sendmail(*args, input=text, check=False)]}
    assert {name: status for name, status in statuses.items() if status[0] != 0} == {}
    assert len(host.wait_mail("alice", seen + len(CALLERS))) == seen + len(CALLERS)


def test_names_it_is_called_by(host):
    """sendmail by argv[0]: links as distributions make them."""
    folder = host.home / "links"
    folder.mkdir()
    for name in ("mailq", "newaliases", "hoststat", "purgestat", "send-mail", "rmail", "runq"):
        (folder / name).symlink_to(PREFIX / "sbin" / "sendmail")
    got = {name: subprocess.run([str(folder / name)] + (["alice@here.test"] if "mail" in name and name != "mailq" else []), input=SUBMIT, capture_output=True, text=True, env={**os.environ, "MAIL_CONFIG": str(host.confdir)}, timeout=20).returncode for name in ("mailq", "newaliases", "send-mail", "runq", "hoststat")}
    assert {name: code for name, code in got.items() if code not in (0, 69)} == {}, got


# ---- L: mailboxes ----

@pytest.fixture(scope="module")
def boxes(request, system_users):
    instance = Instance({**QUIET, "local_recipient_maps": None, "mail_spool_directory": None, "home_mailbox": "Maildir/", "notify_classes": ""})
    request.addfinalizer(instance.close)
    return instance.start(), system_users


def maildir_link(box, other):
    box.symlink_to(other)


def new_link(box, other):
    box.mkdir()
    (box / "new").symlink_to(other)


def tmp_link(box, other):
    box.mkdir()
    (box / "tmp").symlink_to(other)


def tmp_file(box, other):
    box.mkdir()
    (box / "tmp").write_text("")


def box_file(box, other):
    box.write_text("")


def foreign(box, other):
    box.mkdir()


@pytest.mark.skipif(not AS_ROOT, reason="only root can deliver as other users")
@pytest.mark.parametrize("trap", [maildir_link, new_link, tmp_link, tmp_file, box_file, foreign])
def test_traps_in_place_of_a_maildir(boxes, trap):
    instance, (user, other) = boxes
    entry, victim = pwd.getpwnam(user), pathlib.Path(pwd.getpwnam(other).pw_dir) / "victim"
    box = pathlib.Path(entry.pw_dir) / "Maildir"
    subprocess.run(["rm", "-rf", str(box), str(victim)], check=True)
    victim.mkdir(mode=0o777)
    os.chmod(victim, 0o777)
    os.chmod(victim.parent, 0o755)
    trap(box, victim)
    if trap is not foreign:
        subprocess.run(["chown", "-hR", f"{user}:", str(box)], check=True)
    time.sleep(0.1)
    queue_id = send(instance, f"{user}@here.test")
    try:
        _, status, text = outcome(instance, queue_id)
        assert status == "deferred" and not list(victim.iterdir())
        words = {maildir_link: "Maildir, a symbolic link: ", new_link: "make its directories", tmp_link: "make its directories",
                 tmp_file: "make its directories", box_file: "Maildir: Not a directory", foreign: "belongs to another user"}
        assert words[trap] in text  # and not what the mailbox before it was
    finally:
        subprocess.run(["rm", "-rf", str(box), str(victim)], check=True)
        instance.postern("queue", "delete", queue_id)


@pytest.mark.skipif(not AS_ROOT, reason="only root can deliver as other users")
def test_a_full_file_system_leaves_mailboxes_as_they_were(make, system_users):
    user = system_users[0]
    home = pathlib.Path(pwd.getpwnam(user).pw_dir)
    box, entry = home / "small", pwd.getpwnam(user)
    box.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=64k,uid={entry.pw_uid},gid={entry.pw_gid},mode=700", "tmpfs", str(box)], check=True)
    try:
        for setting, path in (("small/mbox", box / "mbox"), ("small/Maildir/", box / "Maildir")):
            instance = make({**QUIET, "local_recipient_maps": None, "mail_spool_directory": None, "home_mailbox": setting, "notify_classes": ""})
            assert outcome(instance, send(instance, f"{user}@here.test"))[1] == "sent"
            length = path.stat().st_size if path.is_file() else len(list((path / "new").iterdir()))
            dsn, status, _ = outcome(instance, send(instance, f"{user}@here.test", body="Subject: big\r\n\r\n" + ("x" * 70 + "\r\n") * 3000))
            assert (dsn, status) == ("4.3.1", "deferred")
            assert length == (path.stat().st_size if path.is_file() else len(list((path / "new").iterdir())))
            assert path.is_file() or not list((path / "tmp").iterdir())
            path.unlink() if path.is_file() else None
            instance.close()
    finally:
        subprocess.run(["umount", str(box)], check=True)
        box.rmdir()


def test_aliases_that_expand_without_end(make):
    """H08: loops and deep chains end in one outcome, and the process lives."""
    table = pathlib.Path(tempfile.mkdtemp()) / "aliases"
    os.chmod(table.parent, 0o777)
    rows = [f"c{i} c{i + 1}" for i in range(120)] + ["self self", "two three", "three two", "selfish selfish, bob", f"file {table.parent}/evil-file", f'cmd "|touch {table.parent}/evil-cmd"', "inc :include:/etc/shadow", "wide " + ", ".join(f"w{i}@far.test" for i in range(3000))]
    table.write_text("\n".join(rows) + "\n")
    names = ["self", "two", "selfish", "wide", "file", "cmd", "inc", "c0", "c30"]
    instance = make({**QUIET, "notify_classes": "", "default_transport": "error:5.1.1 closed", "alias_maps": f"texthash:{table}", "allow_mail_to_files": "", "allow_mail_to_commands": "", "local_recipient_maps": "inline:{ { alice = x } { bob = x } { self = x } { selfish = x } } $alias_maps"})
    before = alive(instance)
    ids = {name: send(instance, f"{name}@here.test") for name in names}
    results = {name: outcome(instance, queue_id, seconds=20)[1] for name, queue_id in ids.items()}
    assert results["two"] == "bounced" and results["c0"] == "bounced" and results["inc"] != "sent", results
    for what in ("file", "command"):
        instance.wait_log(rf"status=bounced \(mail to {what} is restricted\)")
    assert not os.path.exists(f"{table.parent}/evil-file") and not os.path.exists(f"{table.parent}/evil-cmd") and alive(instance) == before
    assert instance.wait_mail("bob")
    instance.wait_log(r"to=<w2999@far\.test>", 15)
    shutil.rmtree(table.parent)
