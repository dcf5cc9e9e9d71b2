"""The queue of a stopped instance: looked at and changed by root, as online, and never by two at a time."""
import os, pathlib, pwd, re, signal, subprocess, time

import pytest

from harness.instance import AS_ROOT, PREFIX, wait_until

DOWN = "mail system is down"
SLOW = {"relayhost": "[127.0.0.1]:9", "minimal_backoff_time": "1000s", "maximal_backoff_time": "2000s"}


def fill(instance, count=6):
    for i in range(count):
        with instance.connect() as c:
            c.hello()
            c.mail("s@here.test", [f"r{i}@far.test"], f"Subject: number {i}\r\n\r\n" + ("z" * 76 + "\r\n") * (3000 if i == 0 else 2))
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == count, 15)
    return {row["recipients"][0]["address"].split("@")[0]: row["queue_id"] for row in instance.queue()}


def processes(instance):
    """Of this instance, by name."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if str(instance.confdir).encode() in (path / "cmdline").read_bytes() + (path / "environ").read_bytes():
                found.append(((path / "comm").read_text().strip(), int(path.name)))
        except OSError:
            pass
    return found


@pytest.fixture
def stopped(make):
    instance = make(settings=dict(SLOW))
    instance.ids = fill(instance)
    instance.before = instance.queue()
    instance.stop()
    return instance


def test_everything_is_shown_as_it_was(stopped):
    assert stopped.queue() == stopped.before
    shown = stopped.command("mailq")
    assert f"warning: {DOWN} -- accessing queue directly" in shown.stderr and all(i in shown.stdout for i in stopped.ids.values())
    assert shown.stdout == stopped.postern("queue", "list").stdout == stopped.command("sendmail", "-bp").stdout
    assert stopped.postern("queue", "list", "--count", "--to", "r3@far.test").stdout == "1\n"
    assert "far.test" in stopped.postern("queue", "stats", "--by", "domain").stdout
    for name in ("r0", "r1"):  # one has a file of its own
        assert f"Subject: number {name[1]}" in stopped.postern("queue", "show", stopped.ids[name]).stdout
    told = stopped.postern("queue", "explain", stopped.ids["r1"]).stdout
    assert "deferred" in told and "this instance is stopped" in told and "waits for the time of its next attempt" in told
    assert processes(stopped) == []
    for words in (["flush"], ["queue", "stats", "--watch", "--json"]):  # which would be in the way of a start
        refused = stopped.postern(*words, check=False)
        assert refused.returncode == 69 and DOWN in refused.stderr
    assert stopped.postern("status", check=False).returncode != 0
    stopped.start()
    assert stopped.queue() == stopped.before


def test_what_was_done_is_so_after_the_start(stopped):
    ids, do, segments = stopped.ids, stopped.postern, stopped.home / "queue/spool/segments"
    before = {path.name for path in segments.iterdir()}
    assert do("queue", "delete", ids["r0"]).stdout == "1 message deleted\n"
    do("queue", "hold", "--to", "r1@far.test")
    do("queue", "edit", ids["r2"], "--recipient", "r2@far.test=x2@far.test")
    do("queue", "requeue", ids["r3"])
    assert "waits for the start of this instance" in do("queue", "explain", ids["r3"]).stdout
    do("queue", "edit", ids["r4"], "--bounce")
    # A loop of such commands does not fill the disk, nor take what a start finds ready.
    assert before <= {path.name for path in segments.iterdir()} and all(path.stat().st_size <= 2 << 20 for path in segments.iterdir() if path.name not in before)
    assert re.search(f"{ids['r0']}: deleted by .*{ids['r0']}: removed", stopped.log(), re.S)
    assert [p.name for p in (stopped.home / "queue/spool/messages").iterdir()] == []
    stopped.start()
    stopped.wait_log(f"{ids['r3']}: to=<r3@far.test>", count=2)  # due at once
    stopped.wait_log(f"{ids['r4']}: sender non-delivery notification")
    rows = {row["queue_id"]: row for row in stopped.queue()}
    assert ids["r0"] not in rows and rows[ids["r1"]]["queue_name"] == "hold" and rows[ids["r2"]]["recipients"][0]["address"] == "x2@far.test"
    assert rows[ids["r5"]]["queue_name"] == "deferred" and "0 findings" in do("queue", "verify").stdout


def test_the_remedy_for_a_run_of_spam(make):
    """Nothing is sent between the words and the start, though all of it is due."""
    instance = make(settings={"relayhost": "[127.0.0.1]:9", "minimal_backoff_time": "1s", "maximal_backoff_time": "1s"})
    fill(instance, 3)
    instance.stop()
    before = len(re.findall("status=deferred", instance.log()))
    link = instance.home / "postsuper"
    link.symlink_to(PREFIX / "sbin/postern")
    time.sleep(1.1)
    assert "Placed on hold: 3 messages" in instance.command(link, "-h", "ALL").stderr
    assert {row["queue_name"] for row in instance.queue()} == {"hold"}
    assert len(re.findall("status=deferred", instance.log())) == before
    assert "Deleted: 3 messages" in instance.command(link, "-d", "ALL").stderr
    instance.start()
    assert instance.queue() == []


@pytest.mark.skipif(not AS_ROOT, reason="needs another user")
def test_only_root_or_who_started_it(stopped, make):
    other = pwd.getpwnam("alice")
    run = subprocess.run([str(PREFIX / "sbin/postern"), "-c", str(stopped.confdir), "queue", "list"], capture_output=True, text=True, user=other.pw_uid, group=other.pw_gid, extra_groups=[])
    assert (run.returncode, run.stdout) == (69, "") and DOWN in run.stderr
    own = make(settings=dict(SLOW), user="bob")
    fill(own, 1)
    own.stop()
    assert len(own.queue()) == 1
    owners = {path: path.stat().st_uid for path in (own.home / "queue").rglob("*")}
    # Nor does root run as root what such a configuration names.
    programs, trap = own.home / "programs", own.home / "who"
    programs.mkdir(), trap.write_text(""), trap.chmod(0o666)
    for program in (PREFIX / "libexec/postern").iterdir():
        if program.name not in ("master", "care"):
            (programs / program.name).symlink_to(program)
            continue
        (programs / program.name).write_text(f"#!/bin/sh\nid -u >>{trap}\nexec {program} \"$@\"\n")
        (programs / program.name).chmod(0o755)
    own.settings["daemon_directory"] = programs
    own.write_config()
    subprocess.run([str(PREFIX / "sbin/postern"), "-c", str(own.confdir), "queue", "list"], capture_output=True)
    assert trap.read_text().split() == [str(pwd.getpwnam("bob").pw_uid)] * 2
    own.settings["daemon_directory"] = None
    own.write_config()
    run = subprocess.run([str(PREFIX / "sbin/postern"), "-c", str(own.confdir), "queue", "delete", "--all"], capture_output=True, text=True)
    assert run.stdout == "1 message deleted\n", run
    assert {path: uid for path, uid in owners.items() if path.exists() and path.stat().st_uid != uid} == {}
    own.start()
    assert own.queue() == []


def test_between_running_and_stopped(make):
    """What is asked while an instance is being stopped (or started) is answered when it is."""
    instance = make(settings=dict(SLOW, shutdown_grace="1s"))
    fill(instance, 1)
    with instance.connect() as c:
        c.hello()
        for line in ("MAIL FROM:<s@here.test>", "RCPT TO:<r@far.test>", "DATA"):  # whose end is waited for
            c.cmd(line)
        stopping = subprocess.Popen([str(PREFIX / "sbin/postern"), "-c", str(instance.confdir), "stop"])
        instance.wait_log("terminating")
        assert len(instance.queue()) == 1 and stopping.wait(10) == 0
        instance.started = False


def test_one_at_a_time(stopped):
    """A start waits until the command is done with the queue; so does another command."""
    argv = [str(PREFIX / "sbin/postern"), "-c", str(stopped.confdir)]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    first = subprocess.Popen([*argv, "queue", "list"], stdout=writer)  # cannot end, for nobody reads
    assert wait_until(lambda: "queue" in dict(processes(stopped)))
    second = subprocess.Popen([*argv, "queue", "hold", "--all"], stdout=subprocess.PIPE, text=True)
    starting = subprocess.Popen([*argv, "start"], stderr=subprocess.PIPE, text=True)
    stopped.started = True
    time.sleep(0.4)
    assert second.poll() is None and starting.poll() is None and sum(name == "queue" for name, _ in processes(stopped)) == 1
    first.kill()
    second.communicate(timeout=30)
    said = starting.communicate(timeout=30)[1]
    first.wait()
    os.close(reader), os.close(writer)
    # Whichever came first: the other had what it did, or was told.
    assert starting.returncode == 0, said
    states = {row["queue_name"] for row in stopped.queue()}
    assert states == ({"hold"} if second.returncode == 0 else {"deferred"}) and second.returncode in (0, 69)
    assert len(stopped.queue()) == 6 and "0 findings" in stopped.postern("queue", "verify").stdout


@pytest.mark.parametrize("victim", ["postern", "queue", "master"])
def test_killed_at_any_moment_nothing_is_lost_or_doubled(stopped, victim):
    argv = [str(PREFIX / "sbin/postern"), "-c", str(stopped.confdir), "queue", "requeue", "--all"]
    for wait in (0.02, 0.05, 0.1):
        tool = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(wait)
        for name, pid in processes(stopped):
            if name == victim:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        tool.communicate(timeout=30)
    assert [row["queue_id"] for row in stopped.queue()] == [row["queue_id"] for row in stopped.before]
    assert "0 findings" in stopped.postern("queue", "verify").stdout
    stopped.start()
    assert len(stopped.queue()) == len(stopped.before)


def test_the_index_is_made_anew(stopped):
    index = stopped.home / "queue/spool/index"
    stopped.postern("queue", "rebuild")
    assert not list(index.iterdir()) and stopped.queue() == stopped.before
    for path in index.iterdir():
        path.write_bytes(b"x" * 9000)
    assert stopped.queue() == stopped.before
    if AS_ROOT:  # somebody has run a tool as root on it
        for path in index.iterdir():
            owner = path.stat()
            os.chown(path, 0, 0)
        assert stopped.queue() == stopped.before
        for path in index.iterdir():
            os.chown(path, owner.st_uid, owner.st_gid)
    spool = index.parent
    spool.rename(spool.parent / "away")  # as a file system that is not mounted: nothing is made in its place
    assert stopped.postern("queue", "list", check=False).returncode == 69 and not spool.exists()
    (spool.parent / "away").rename(spool)
    assert "0 findings" in stopped.postern("queue", "verify").stdout


def test_what_waits_in_the_drop_directory(make):
    """It is the part of the queue that Postfix's names call maildrop: listed with the rest, deleted where it is named."""
    instance = make(settings=dict(SLOW))
    fill(instance, 1)
    instance.stop()
    link, drops = instance.home / "postsuper", instance.home / "queue/maildrop"
    link.symlink_to(PREFIX / "sbin/postern")
    for i in range(3):
        instance.sendmail("-f", f"s{i}@here.test", "bob", f"x{i}@far.test", input="Subject: x\n\nx\n")
    (drops / "bad-1").write_text("x")
    (drops / "new").write_text("postern-drop 1\nsize 0\nrcpt a\n\n")  # not whole yet: without its ready bit
    rows = instance.queue()
    assert [(row["queue_name"], row["sender"], row["recipients"][-1]["address"]) for row in rows[1:]] == [("maildrop", f"s{i}@here.test", f"x{i}@far.test") for i in range(3)]
    assert all(row["message_size"] == 14 and abs(row["arrival_time"] - time.time()) < 60 for row in rows[1:])
    shown = instance.command("mailq").stdout
    assert "s2@here.test" in shown and "in 4 Requests" in shown
    assert instance.postern("queue", "list", "--count", "--state", "maildrop").stdout == "3\n"
    assert len(instance.queue("--state", "maildrop")) == 3 and len(instance.queue("--all")) == 1
    one, other = rows[1]["queue_id"], rows[2]["queue_id"]
    for words, found in ((["--from", "s1@here.test"], [other]), (["--to", "@far.test", "--older-than", "1h"], []), (["--to", "x0@FAR.test", "--newer-than", "1h", "--larger-than", "13"], [one]), (["--larger-than", "14"], []),
                         (["--nexthop", "far.test"], []), (["--reason", "x"], []), (["--to-part", "x1@"], [other]), (["--not-from", "@here.test"], []), (["--limit", "1"], [one]),
                         (["--state", "deferred", "--from", rows[0]["sender"]], [rows[0]["queue_id"]]), (["--state", "deferred", "--limit", "2"], [rows[0]["queue_id"], one]), (["--state", "hold"], [row["queue_id"] for row in rows[1:]])):
        assert [row["queue_id"] for row in instance.queue("--state", "maildrop", *words)] == found, words
        assert instance.postern("queue", "list", "--count", "--state", "maildrop", *words).stdout == f"{len(found)}\n" or "--limit" in words, words
        assert all(queue_id in instance.postern("queue", "list", "--state", "maildrop", *words).stdout for queue_id in found)
    assert instance.postern("queue", "delete", "--state", "maildrop", "--from", "nobody@here.test").stdout == "0 messages deleted\n" and len(instance.queue()) == 4
    assert instance.postern("queue", "hold", "--state", "maildrop", check=False).returncode == 64
    assert "maildrop" not in instance.postern("queue", "verify").stdout
    instance.command(link, "-d", "ALL", "corrupt")
    assert "Deleted: 1 message" in instance.command(link, "-d", rows[1]["queue_id"], "maildrop").stderr and len(instance.queue()) == 3
    instance.command(link, "-d", "../maildrop/" + rows[2]["queue_id"], "maildrop")
    assert "Deleted: 1 message" in instance.command(link, "-d", "-", "maildrop", input=rows[2]["queue_id"] + "\nno-such\n").stderr
    assert instance.postern("queue", "delete", "--state", "maildrop").stdout == "1 message deleted\n"
    assert [row["queue_name"] for row in instance.queue()] == ["deferred"] and sorted(p.name for p in drops.iterdir()) == ["bad-1", "new"]
    instance.sendmail("bob", input="Subject: x\n\nx\n")
    assert "Deleted: 2 messages" in instance.command(link, "-d", "ALL", "maildrop", "deferred").stderr and instance.queue() == []
    instance.sendmail("bob", input="Subject: x\n\nx\n")
    instance.start()
    assert len(instance.wait_mail("bob")) == 1 and instance.queue() == []


def test_mail_moves_between_stopped_instances(stopped, make):
    there = stopped.home / "moved"
    assert "6 messages" in stopped.postern("queue", "export", there).stdout and stopped.queue() == []
    other = make(settings=dict(SLOW), start=False)
    other.prepare()
    assert "6 messages" in other.postern("queue", "import", there).stdout
    assert sorted(row["queue_id"] for row in other.queue()) == sorted(stopped.ids.values())


def test_a_message_with_very_many_recipients_comes_into_a_stopped_instance(make):
    old, new = (make(settings=dict(SLOW, smtpd_recipient_limit="9000", spool_segment_size="32m")) for _ in range(2))
    with old.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<alice@here.test>", 250)
        for i in range(0, 7000, 100):
            c.send("".join(f"RCPT TO:<r{i + k}@{'d' * 60}.{'e' * 60}.{'f' * 60}.test>\r\n" for k in range(100)))
            for _ in range(100):
                assert c.reply().code == 250
        c.data("Subject: x\r\n\r\nx\r\n")
    assert wait_until(lambda: old.queue("--state", "deferred")), old.why_queued()
    place = old.home / "moved"
    old.postern("queue", "export", place)
    assert next(place.iterdir()).stat().st_size > 2 << 20
    new.stop()
    assert new.postern("queue", "import", place).stdout == "1 message imported\n" and len(new.queue()[0]["recipients"]) == 7000


@pytest.mark.skipif(not AS_ROOT, reason="mounts")
@pytest.mark.parametrize("trouble", ["read-only", "full"])
def test_with_a_disk_that_takes_nothing(make, tmp_path, trouble):
    """All is shown; what cannot be written is refused, what can is done; and the instance itself has all of it later."""
    tmp_path.chmod(0o755)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m,mode=755", "none", tmp_path]).returncode != 0:
        pytest.skip("no tmpfs can be mounted")
    try:
        instance = make(settings=dict(SLOW, queue_directory=tmp_path / "queue"))
        ids = fill(instance)
        before = instance.queue()
        instance.stop()
        if trouble == "full":
            with open(tmp_path / "rest", "wb", buffering=0) as rest:
                while True:
                    try:
                        rest.write(b"x" * 4096)
                    except OSError:
                        break
        else:
            subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True)
        assert instance.queue() == before
        assert "number 2" in instance.postern("queue", "show", ids["r2"]).stdout
        deleted = instance.postern("queue", "delete", ids["r1"], check=False)
        if trouble == "full":
            assert deleted.stdout == "1 message deleted\n"
            (tmp_path / "rest").unlink()
        else:
            assert deleted.returncode == 75 and "read-only" in deleted.stderr
            subprocess.run(["mount", "-o", "remount,rw", tmp_path], check=True)
        instance.start()
        assert len(instance.queue()) == (5 if trouble == "full" else 6)
        instance.close()
    finally:
        subprocess.run(["umount", "-l", tmp_path])
