"""postern queue export and import: live mail moves to another instance, whole, and is sent from there once."""
import os, pathlib, re, shutil, signal, subprocess, time

import pytest

from harness.instance import wait_until
from harness.peer import Peer

SLOW = {"minimal_backoff_time": "1000s", "maximal_backoff_time": "2000s"}
PROGRAM = pathlib.Path(os.environ.get("POSTERN_PREFIX", "/usr/local")) / "sbin" / "postern"


def submit(instance, recipients, body="Subject: x\r\n\r\nx\r\n"):
    with instance.connect() as c:
        c.hello()
        c.mail("s@here.test", recipients, body)


def rows(instance):
    return {m["queue_id"]: m for m in instance.queue()}


def deferred(instance, count):
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == count, 15), instance.log()[-2000:]


def start(instance, *words):
    return subprocess.Popen([str(PROGRAM), "-c", str(instance.confdir), *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sent(peer):
    """(number of the message, recipient) of all that arrived, sorted."""
    return sorted((re.search(rb"X-Number: (\S+)", m["content"]).group(1).decode(), re.search(r"<(.*?)>", r).group(1)) for m in peer.messages for r in m["rcpt"])


@pytest.fixture
def pair(make):
    """One whose next hop is away, but for one recipient that it takes; another that sends."""
    peer = Peer()
    first = Peer(on={"RCPT": lambda session, line, p: "250 2.1.5 ok" if b"done@" in line else "451 4.2.0 later"})
    old = make(settings={"relayhost": f"[127.0.0.1]:{first.port}", **SLOW})
    new = make(settings={"relayhost": f"[127.0.0.1]:{peer.port}", **SLOW})
    return old, new, first, peer


def fill(old):
    submit(old, ["a@far.test"], "X-Number: 0\r\n\r\nx\r\n")
    submit(old, ["done@far.test", "b@far.test"], "X-Number: 1\r\n\r\nx\r\n")
    submit(old, ["c@far.test"], "X-Number: 2\r\n\r\n" + ("z" * 76 + "\r\n") * 5000)
    submit(old, ["d@far.test"], "X-Number: 3\r\n\r\nx\r\n")
    submit(old, ["e@far.test"], "X-Number: 4\r\n\r\nx\r\n")
    deferred(old, 5)
    old.postern("queue", "hold", "--to", "d@far.test", "--hold-reason", "legal")
    ids = {m["recipients"][-1]["address"][0]: m["queue_id"] for m in old.queue()}
    old.postern("queue", "edit", ids["e"], "--expire", "3d")
    return ids


def test_mail_moves_with_all_that_is_known_of_it(pair, tmp_path):
    old, new, first, peer = pair
    ids = fill(old)
    before = rows(old)
    was = old.postern("queue", "explain", ids["e"], "--json").stdout
    place = tmp_path / "moved"
    assert old.postern("queue", "export", "--to", "a@far.test", place).stdout == "1 message exported\n"
    assert [p.name for p in place.iterdir()] == [ids["a"] + ".mail"] and len(rows(old)) == 4
    assert old.postern("queue", "export", place).stdout == "4 messages exported\n"
    assert not rows(old)
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in place.iterdir()) and place.stat().st_mode & 0o777 == 0o700
    old.wait_log(f"{ids['a']}: removed, exported to {place} by root")
    assert new.postern("queue", "import", place).stdout == "5 messages imported\n"
    after = rows(new)
    assert set(after) == set(before)
    for i, m in after.items():
        was_m = before[i]
        for name in ("arrival_time", "message_size", "sender", "queue_name"):
            assert m[name] == was_m[name], (name, m, was_m)
        assert [(r["address"], r["attempts"], r.get("delay_reason")) for r in m["recipients"]] == [(r["address"], r["attempts"], r.get("delay_reason")) for r in was_m["recipients"]]
    assert "legal" in new.postern("queue", "explain", ids["d"]).stdout
    assert "by root" in new.postern("queue", "explain", ids["d"]).stdout
    assert "expire" in was and "expire" in new.postern("queue", "explain", ids["e"], "--json").stdout
    assert not peer.messages  # the schedule came along: nothing is due
    new.postern("queue", "release", ids["d"])
    new.postern("flush")
    new.wait_queue_empty(20)
    assert sent(peer) == [("0", "a@far.test"), ("1", "b@far.test"), ("2", "c@far.test"), ("3", "d@far.test"), ("4", "e@far.test")]
    large = [m for m in peer.messages if "c@far.test" in m["rcpt"][0]][0]
    assert large["content"].count(b"z" * 76 + b"\r\n") == 5000
    # A second import does nothing: its files are renamed.
    assert new.postern("queue", "import", place).stdout == "0 messages imported\n"
    assert "0 findings" in old.postern("queue", "verify").stdout and "0 findings" in new.postern("queue", "verify").stdout


def test_what_is_damaged_is_refused_and_the_others_come(pair, tmp_path):
    old, new, first, peer = pair
    ids = fill(old)
    place = tmp_path / "moved"
    old.postern("queue", "export", place)

    def change(name, at, what=None, cut=None):
        path = place / (ids[name] + ".mail")
        data = bytearray(path.read_bytes())
        if cut:
            data = data[:cut]
        elif what:
            data[at:at + len(what)] = what
        else:
            data[at] ^= 4
        path.write_bytes(data)

    change("a", -20)  # content
    change("b", 100)  # envelope
    change("c", 0, cut=100000)
    change("d", 13, b"2")
    shutil.copy(place / (ids["e"] + ".mail"), place / f"copy of {ids['e']}.mail")
    done = new.postern("queue", "import", place, check=False)
    assert done.returncode == 65 and done.stdout == "1 message imported\n", (done.stdout, done.stderr)
    for name, why in (("a", "its checksum is another one"), ("c", "its length is not what its head says"), ("d", "a version that is not known")):
        assert re.search(f"{ids[name]}.mail: not imported: .*{why}", done.stderr), done.stderr
    assert f"{ids['b']}.mail: not imported: " in done.stderr
    assert f"copy of {ids['e']}.mail: not imported: its name is not ID.mail" in done.stderr
    assert set(rows(new)) == {ids["e"]}
    assert not list((new.home / "queue" / "spool" / "messages").iterdir())
    assert len(list(place.glob("*.mail"))) == 5


def test_ids_that_are_there(pair, tmp_path):
    old, new, first, peer = pair
    submit(old, ["a@far.test"], "X-Number: 0\r\n\r\nx\r\n")
    deferred(old, 1)
    (name,) = rows(old)
    place, copy = tmp_path / "moved", tmp_path / "copy"
    old.postern("queue", "export", place)
    shutil.copytree(place, copy)
    new.postern("queue", "import", place)
    done = new.postern("queue", "import", copy)
    assert "skipped: it is in the queue already" in done.stderr and done.stdout == "0 messages imported, 1 skipped\n"
    assert (copy / f"{name}.mail").exists() and len(rows(new)) == 1
    # An interrupted export cannot be imported where it came from, nor taken by another one.
    other = new.postern("queue", "export", "--all", place)
    assert other.stdout == "1 message exported\n"
    done = new.postern("queue", "import", tmp_path / "nowhere", check=False)
    assert done.returncode == 66
    assert old.postern("queue", "export", check=False).returncode == 64


def test_a_full_disk_leaves_all_as_it_was(pair, tmp_path):
    old, new, first, peer = pair
    fill(old)
    before = rows(old)
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(place)]).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        done = old.postern("queue", "export", place, check=False)
        assert done.returncode == 74 and "the others stay" in done.stderr, done.stderr
        left = rows(old)
        assert len(left) + len(list(place.glob("*.mail"))) == 5 and left
        assert all(left[i]["queue_name"] == before[i]["queue_name"] for i in left), left
    finally:
        subprocess.run(["umount", str(place)])


@pytest.mark.parametrize("victim", ["tool", "queue"])
def test_kills_in_between_lose_and_double_nothing(make, tmp_path, victim):
    peer = Peer()
    count = 120
    old = make(settings={"relayhost": "[127.0.0.1]:9", **SLOW})
    new = make(settings={"relayhost": f"[127.0.0.1]:{peer.port}", **SLOW})
    with old.connect() as c:
        c.hello()
        for i in range(count):
            c.mail("s@here.test", [f"r{i}@far.test", f"q{i}@far.test"], f"X-Number: {i}\r\n\r\n" + ("z" * 76 + "\r\n") * (2500 if i % 20 == 0 else 3))
    deferred(old, count)
    place = tmp_path / "moved"

    def run(instance, verb, *filters):
        """Killed after a while, later each time, until it ends by itself."""
        killed = 0
        for n in range(200):
            process = start(instance, "queue", verb, *filters, place)
            time.sleep((0.002 if victim == "tool" else 0.01) * (n + 1) * (1 + n / 40))
            if process.poll() is None and (victim == "tool" or killed < 3):  # master starts it again later each time
                killed += 1
                if victim == "tool":
                    process.kill()
                else:
                    for pid in instance.pids("queue"):
                        os.kill(pid, signal.SIGKILL)
            out, err = process.communicate(timeout=30)
            if victim == "queue":
                wait_until(lambda: instance.postern("queue", "list", check=False).returncode == 0, 10)
            if process.returncode == 0:
                return killed
            if verb == "import" and rows(instance) and list(place.glob("*.mail")):
                assert (place / "importing").exists()
        raise AssertionError(f"{verb} does not end: {out}{err}\n{instance.log()[-3000:]}")

    assert run(old, "export", "--state", "deferred") > 0
    assert not rows(old)
    files = len(list(place.glob("*.mail")))
    assert files == count and not [*place.glob("*.tmp"), *place.glob("*.part")]
    assert run(new, "import") > 0
    assert wait_until(lambda: len(rows(new)) == count and all(m["queue_name"] != "hold" for m in new.queue()), 10)
    new.postern("flush")
    new.wait_queue_empty(30)
    assert sent(peer) == sorted((str(i), f"{r}{i}@far.test") for i in range(count) for r in "rq")
    assert len(list(place.glob("*.imported"))) == count


def test_what_an_interrupted_export_left_may_be_imported_before_it_goes_on(make, tmp_path):
    """Killed again and again; after each time what can be imported is moved away, imported and sent."""
    peer, count = Peer(), 60
    old = make(settings={"relayhost": "[127.0.0.1]:9", **SLOW})
    new = make(settings={"relayhost": f"[127.0.0.1]:{peer.port}", "minimal_backoff_time": "1s"})
    with old.connect() as c:
        c.hello()
        for i in range(count):
            c.mail("s@here.test", [f"r{i}@far.test"], f"X-Number: {i}\r\n\r\nx\r\n")
    deferred(old, count)
    place, kills = tmp_path / "moved", 0
    for n in range(100):
        process = start(old, "queue", "export", "--all", place)
        time.sleep(0.004 * (n + 1))
        kills += process.poll() is None
        process.kill()
        process.communicate()
        away = tmp_path / f"away{n}"
        away.mkdir()
        for f in [*place.glob("*.mail"), *place.glob("*.part")] if place.exists() else []:
            (shutil.move if f.suffix == ".mail" else shutil.copy)(f, away)
        parts = len(list(away.glob("*.part")))
        done = new.postern("queue", "import", away, check=False)
        assert done.returncode == (75 if parts else 0) and (f"{parts} files (.part) are of an export that was interrupted" in done.stderr) == (parts > 0), done
        new.postern("flush")
        if process.returncode >= 0:
            break
    assert kills > 2
    # Of what was sealed and taken away the old instance cannot know whether it arrived: it says so, and keeps it.
    again = old.postern("queue", "export", "--all", place, check=False)
    left = rows(old)
    assert again.returncode == (75 if left else 0) and all(f"{i}: left on hold: it was exported, and its file is not in {place} any more" in again.stderr for i in left)
    assert old.postern("queue", "release", "--all").stdout.startswith("0 ") and set(rows(old)) == set(left)
    assert wait_until(lambda: len(sent(peer)) >= count, 30)
    new.wait_queue_empty(20)
    assert sent(peer) == sorted((str(i), f"r{i}@far.test") for i in range(count))


def test_what_was_imported_and_is_copied_there_again_is_not(pair, tmp_path):
    old, new, first, peer = pair
    submit(old, ["a@far.test"], "X-Number: 0\r\n\r\nx\r\n")
    deferred(old, 1)
    place, there = tmp_path / "moved", tmp_path / "there"
    old.postern("queue", "export", place)
    shutil.copytree(place, there)
    assert new.postern("queue", "import", there).stdout == "1 message imported\n"
    new.postern("flush")
    new.wait_queue_empty(20)
    shutil.copytree(place, there, dirs_exist_ok=True)
    done = new.postern("queue", "import", there)
    assert done.stdout == "0 messages imported, 1 skipped\n" and "it was imported already" in done.stderr
    assert not rows(new) and len(sent(peer)) == 1


def test_mail_that_moved_may_move_back_through_the_same_directory(pair, tmp_path):
    """What is left of the first import is not taken for the second one's."""
    old, new, first, peer = pair
    submit(old, ["a@far.test"], "X-Number: 0\r\n\r\nx\r\n")
    deferred(old, 1)
    old.postern("queue", "hold", "--all")
    (mail,) = rows(old)
    place = tmp_path / "moved"
    for giver, taker in ((old, new), (new, old), (old, new)):
        assert giver.postern("queue", "export", place).stdout == "1 message exported\n"
        assert [p.name for p in place.iterdir()] == [f"{mail}.mail"]
        done = taker.postern("queue", "import", place)
        assert done.stdout == "1 message imported\n" and set(rows(taker)) == {mail} and not rows(giver), done
    new.postern("queue", "release", mail)
    new.wait_queue_empty(20)
    assert sent(peer) == [("0", "a@far.test")]


def test_a_directory_whose_import_was_interrupted_is_for_who_began_it(pair, tmp_path):
    """What that one has taken may still be there as .mail: another instance would take and send it, too."""
    old, new, first, peer = pair
    submit(old, ["a@far.test"], "X-Number: 0\r\n\r\nx\r\n")
    deferred(old, 1)
    place = tmp_path / "moved"
    old.postern("queue", "export", place)
    (place / "importing").write_text("mx.elsewhere.test:/var/spool/postern\n")
    done = new.postern("queue", "import", place, check=False)
    assert done.returncode == 75 and not done.stdout and not rows(new), done
    assert "an import into mx.elsewhere.test:/var/spool/postern was interrupted: run it again there" in done.stderr
    (place / "importing").write_text(f"mx.here.test:{new.home}/queue\n")
    assert old.postern("queue", "import", place, check=False).returncode == 75
    assert new.postern("queue", "import", place).stdout == "1 message imported\n" and not (place / "importing").exists()
    assert old.postern("queue", "import", place).stdout == "0 messages imported\n"
