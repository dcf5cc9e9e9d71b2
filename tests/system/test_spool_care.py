"""Care of the spool: verify, rebuild, backup, and damage that is set aside and told of."""
import os, pathlib, re, shutil, stat, subprocess

import pytest

from harness.instance import PREFIX, wait_until
from harness.peer import Peer


def fill(instance, count=12, large=2):
    """Deferred mail, some of it on hold, some with content in a file of its own; ids by recipient."""
    for i in range(count):
        body = "Subject: %d\r\n\r\n" % i + ("z" * 76 + "\r\n") * (3000 if i < large else 3)
        with instance.connect() as c:
            c.hello()
            c.mail("s@here.test", [f"r{i}@far.test", f"q{i}@far.test"], body)
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == count, 15)
    instance.postern("queue", "hold", "--to", "r5@far.test")


def state(instance):
    """What a restore must bring back: by id, who waits, how often tried, held or not."""
    return {m["queue_id"]: (m["queue_name"] == "hold", m["sender"], sorted((r["address"], r["attempts"]) for r in m["recipients"])) for m in instance.queue()}


def settled(instance, wanted):
    wait_until(lambda: state(instance) == wanted, 15)
    got = state(instance)
    assert {k: got.get(k) for k in {*got, *wanted} if got.get(k) != wanted.get(k)} == {}, (wanted, instance.log()[-3000:])
    return True


@pytest.fixture
def full(make):
    instance = make(settings={"relayhost": "[127.0.0.1]:9", "minimal_backoff_time": "1000s", "maximal_backoff_time": "2000s"})
    fill(instance)
    return instance


def verify(instance, status=0):
    done = instance.postern("queue", "verify", check=False)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout


def test_verify_finds_nothing_running_and_stopped(full):
    assert "12 messages in the queue" in verify(full) and "0 findings" in verify(full)
    full.stop()
    assert "0 findings" in verify(full)
    full.start()
    assert "0 findings" in verify(full)


def test_verify_minds_no_route_that_was_asked_for_again(make):
    """After a reload each is, before the next attempt; that it is the same as before is recorded nowhere."""
    instance = make(settings={"relayhost": "[127.0.0.1]:9", "minimal_backoff_time": "1s", "maximal_backoff_time": "1s", "index_delay": "1s"})
    fill(instance, 3, 0)
    instance.postern("reload")
    attempts = len(re.findall("status=deferred", instance.log()))
    instance.wait_log("status=deferred", count=attempts + 6)
    instance.postern("queue", "hold", "--all")
    index = instance.home / "queue/spool/index"
    assert wait_until(lambda: b"".join(p.read_bytes() for p in index.glob("log.*")).count(b"(uid 0)" if os.getuid() == 0 else b"(uid ") >= 3, 10)
    instance.stop()
    assert "3 messages in the queue" in verify(instance) and "0 findings" in verify(instance)


def damage(instance, text):
    """Flips a bit in the record that has this text, in whatever segment it lies."""
    for path in (instance.home / "queue" / "spool" / "segments").iterdir():
        content = path.read_bytes()
        at = content.find(text)
        if at > 0:
            with open(path, "r+b") as f:
                f.seek(at)
                f.write(bytes([content[at] ^ 4]))
            return
    raise AssertionError(f"{text} is in no segment")


def test_a_damaged_message_is_found_set_aside_and_told_of(full):
    [queue_id] = [m["queue_id"] for m in full.queue("--to", "r7@far.test")]
    full.stop()
    damage(full, b"Subject: 7\r\n")
    assert f"({queue_id}) are damaged" in verify(full, 1)
    shutil.rmtree(full.home / "queue" / "spool" / "index")
    full.start()
    assert wait_until(lambda: len(full.queue()) == 11, 10)
    assert list((full.home / "queue" / "spool" / "damaged").glob("record-*"))
    assert wait_until(lambda: "set aside" in full.postern("status").stdout, 5)
    assert "damaged" in verify(full, 1)


def test_what_lies_in_the_place_of_the_index_gives_way(full):
    index, before = full.home / "queue" / "spool" / "index", state(full)
    for make in (lambda: index.write_text("x"), lambda: index.symlink_to("nowhere"), lambda: os.mkfifo(index)):
        full.stop()
        shutil.rmtree(index)
        make()
        full.start()
        assert index.is_dir() and settled(full, before)
    assert len(re.findall("spool/index was no folder", full.log())) == 3


def test_a_missing_message_file_is_found(full):
    files = list((full.home / "queue" / "spool" / "messages").iterdir())
    assert len(files) == 2
    files[0].unlink()
    assert re.search(f"{files[0].name}: its file is missing", verify(full, 1))


def test_rebuild_online_and_offline(full):
    before = state(full)
    full.postern("queue", "rebuild")
    full.wait_log("the index is rebuilt: 12 messages")
    assert settled(full, before)
    full.stop()
    full.postern("queue", "rebuild")
    assert not list((full.home / "queue" / "spool" / "index").iterdir())
    full.start()
    assert settled(full, before)
    assert "0 findings" in verify(full)


def test_a_rebuild_loses_and_doubles_nothing_that_comes_meanwhile(make):
    peer = Peer()
    instance = make(settings={"relayhost": f"[127.0.0.1]:{peer.port}"})
    with instance.connect() as c:
        c.hello()
        for i in range(300):
            c.mail("s@here.test", [f"r{i}@far.test"], f"X-Number: {i}\r\n\r\nx\r\n")
            if i % 50 == 0:
                instance.postern("queue", "rebuild", check=False)
    instance.wait_queue_empty(20)
    assert len(peer.messages) == 300


def test_a_backup_restored_elsewhere_has_everybody_as_they_were(full, make):
    before = state(full)
    backup = full.home / "backup"
    assert "12 messages" in full.postern("queue", "backup", backup).stdout
    assert full.postern("queue", "backup", backup, check=False).returncode != 0  # two are never mixed
    assert (backup / "complete").exists() and not (backup / "index").exists()
    other = make(start=False, settings={"relayhost": "[127.0.0.1]:9", "minimal_backoff_time": "1000s", "maximal_backoff_time": "2000s"})
    other.start()
    other.stop()
    spool = other.home / "queue" / "spool"
    owner = spool.stat()
    shutil.rmtree(spool)
    shutil.copytree(backup, spool)
    for path in [spool, *spool.rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)
    os.chmod(spool, 0o700)
    other.start()
    assert settled(other, before), (state(other), before)
    assert "0 findings" in verify(other)
    # What was sent to the original after the backup does not matter to it; its own goes on.
    assert "0 findings" in verify(full)


def test_a_backup_has_a_directory_of_its_own(make, tmp_path):
    """One with something in it, which may be somebody's home or where the caller happens to be, is left as it is: owner, too."""
    instance = make()
    (tmp_path / "letter").write_text("dear")
    before = tmp_path.stat()
    for where in (str(tmp_path), ".", ""):
        run = subprocess.run([str(PREFIX / "sbin/postern"), "-c", str(instance.confdir), "queue", "backup", where], cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode in (64, 73) and not run.stdout and ("not empty" in run.stderr or "wants a directory" in run.stderr), (where, run)
    assert [p.name for p in tmp_path.iterdir()] == ["letter"] and (tmp_path.stat().st_uid, tmp_path.stat().st_mode) == (before.st_uid, before.st_mode)


def test_a_backup_lies_outside_of_the_spool(full):
    """In an empty folder of it, as that of an index that is to be made anew, it would be in the way for ever."""
    full.stop()
    full.postern("queue", "rebuild")
    for name in ("index", "damaged", "new"):
        run = full.postern("queue", "backup", full.home / "queue/spool" / name, check=False)
        assert run.returncode == 73 and "lies in the spool itself" in run.stderr, run
    assert not list((full.home / "queue/spool/index").iterdir())
    full.start()
    assert len(full.queue()) == 12


@pytest.mark.parametrize("mask", [0o777, 0])
def test_modes_are_not_the_callers(full, mask):
    """The umask that postern was called with makes nothing unreadable, and nothing readable to others."""
    backup, export = full.home / f"backup{mask}", full.home / f"export{mask}"
    program, before = [str(PREFIX / "sbin/postern"), "-c", str(full.confdir), "queue"], state(full)
    for words in (["backup", backup], ["export", export], ["import", export]):
        subprocess.run([*program, *map(str, words)], umask=mask, check=True, capture_output=True)
    modes = {stat.S_IMODE(path.stat().st_mode) for folder in (backup, export) for path in [folder, *folder.rglob("*")] if path.is_dir()}
    assert modes == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for folder in (backup, export) for path in folder.rglob("*") if path.is_file()} == {0o600}
    # An id of what has just left may not be free yet: the next one is taken.
    assert wait_until(lambda: sorted(state(full).values()) == sorted(before.values()), 15)


def test_a_backup_while_mail_flows_is_whole(make):
    peer = Peer()
    instance = make(settings={"relayhost": f"[127.0.0.1]:{peer.port}", "spool_segment_size": "1m"})
    script = instance.home / "backup"
    backup = subprocess.Popen(["sleep", "0"])
    with instance.connect() as c:
        c.hello()
        for i in range(150):
            c.mail("s@here.test", [f"r{i}@far.test"], "Subject: x\r\n\r\n" + ("z" * 76 + "\r\n") * (2500 if i % 10 == 0 else 500))
            if i == 50:
                program = pathlib.Path(os.environ.get("POSTERN_PREFIX", "/usr/local")) / "sbin" / "postern"
                backup = subprocess.Popen([str(program), "-c", str(instance.confdir), "queue", "backup", str(script)], stdout=subprocess.PIPE, text=True)
    out, _ = backup.communicate(timeout=30)
    assert backup.returncode == 0, out
    assert (script / "complete").exists()


def test_space_comes_back_in_any_order_of_removals(make):
    """At most twice the live mail, four segments, and 1 KB a message, soon after nine tenths were deleted from all over the log."""
    count, size, segment = 800, 10000, 1 << 20
    instance = make({"relayhost": "[127.0.0.1]:9", "spool_segment_size": "1m", "minimal_backoff_time": "1000s", "maximal_backoff_time": "2000s"})
    body = "Subject: x\r\n\r\n" + ("z" * 76 + "\r\n") * (size // 78)
    with instance.connect() as c:
        c.hello()
        for i in range(count):
            c.mail("s@here.test", [f"r{i}@d{i % 10}.test"], body)
    spool = instance.home / "queue" / "spool"

    def used(folder):
        total = 0
        for root, _, names in os.walk(spool / folder):
            for name in names:
                try:
                    total += os.lstat(os.path.join(root, name)).st_blocks * 512
                except FileNotFoundError:
                    pass
        return total
    assert used("segments") > count * size
    before = {m["queue_id"] for m in instance.queue("--to", "@d0.test")}
    for n in range(1, 10):
        instance.postern("queue", "delete", "--to", f"@d{n}.test")
    left = count // 10
    assert wait_until(lambda: used("segments") <= 2 * left * (size + 500) + 4 * segment, 30, 0.3), (used("segments"), instance.log()[-1000:])
    # Of an index as small as this the log files of Berkeley DB are the most.
    assert wait_until(lambda: used("index") <= (2 << 20) + 1024 * left, 10, 0.3), used("index")
    assert {m["queue_id"] for m in instance.queue()} == before and len(before) == left
    # What stayed was moved, and is whole.
    assert instance.postern("queue", "show", min(before)).stdout.count("z" * 76) == size // 78
    assert "0 findings" in instance.postern("queue", "verify").stdout
