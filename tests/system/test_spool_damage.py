"""What was in the spool is damaged or gone while the index is there: each message has a fate, and is told of."""
import os, re, shutil

import pytest

from harness.instance import wait_until
from harness.peer import Peer

LATER = {"minimal_backoff_time": "1000s", "maximal_backoff_time": "2000s"}
DAMAGED = "the spool's record of this message is damaged"


def fill(instance, bodies, first=0):
    """Deferred mail, in the index; ids in their order."""
    before = {m["queue_id"] for m in instance.queue()}
    with instance.connect() as c:
        c.hello()
        for i, body in enumerate(bodies):
            c.mail("s@sender.test", [f"r{first + i}@far.test"], f"Subject: {first + i}\r\n\r\n{body}\r\n")
    assert wait_until(lambda: len(instance.queue("--state", "deferred")) == len(before) + len(bodies), 15), instance.log()[-2000:]
    return sorted({m["queue_id"] for m in instance.queue()} - before)


def spool(instance, *below):
    return (instance.home / "queue" / "spool").joinpath(*below)


def stop_with_index(instance):
    """The index has all that the log has."""
    instance.stop()
    pattern = "the index is (up to date|rebuilt): "
    before = len(re.findall(pattern, instance.log()))
    instance.start()
    instance.wait_log(pattern, count=before + 1)
    instance.stop()


def start_towards(instance, peer):
    instance.settings["relayhost"] = f"[127.0.0.1]:{peer.port}"
    instance.write_config()
    instance.start()


def flip(instance, text):
    for path in spool(instance, "segments").iterdir():
        at = path.read_bytes().find(text)
        if at > 0:
            with open(path, "r+b") as f:
                f.seek(at + len(text) - 1)
                f.write(b"!")
            return
    raise AssertionError(f"{text} is in no segment")


def only(instance, queue_id):
    [message] = [m for m in instance.queue() if m["queue_id"] == queue_id]
    return message["recipients"][0]


def test_mail_whose_content_cannot_be_read_is_deferred_with_the_reason(make):
    """A record that rots behind its row, files that are missing or cut: others are sent, these say why they wait, and are returned."""
    peer = Peer()
    instance = make({"relayhost": "[127.0.0.1]:9", **LATER})
    large = ("y" * 76 + "\r\n") * 3000
    ids = fill(instance, ["a1", "b2", large, large])
    stop_with_index(instance)
    flip(instance, b"b2\r\n")
    spool(instance, "messages", ids[2]).unlink()
    with open(spool(instance, "messages", ids[3]), "r+b") as f:
        f.truncate(1000)
    start_towards(instance, peer)
    instance.postern("flush")
    assert wait_until(lambda: len(peer.messages) == 1 and all(only(instance, i)["attempts"] == 2 for i in ids[1:]), 10), instance.log()[-3000:]
    for i, reason in zip(ids[1:], (DAMAGED, "the spool's file of this message is missing", "the spool's file of this message is cut short")):
        assert only(instance, i)["delay_reason"] == reason, instance.queue()
        assert reason in instance.postern("queue", "explain", i).stdout
        assert reason in instance.postern("queue", "list").stdout
    instance.postern("flush")
    assert wait_until(lambda: only(instance, ids[1])["attempts"] == 3, 10)
    assert len(re.findall(f"{ids[1]}: its record is damaged .* set aside as", instance.log())) == 1
    assert len(list(spool(instance, "damaged").iterdir())) == 1
    assert wait_until(lambda: "1 damaged things are set aside" in instance.postern("status").stdout, 5)
    for i in ids[1:]:
        instance.postern("queue", "edit", i, "--bounce")
    assert wait_until(lambda: len(peer.messages) == 4, 10), instance.log()[-3000:]
    assert sum(DAMAGED.encode() in m["content"] for m in peer.messages) == 1, peer.messages
    instance.wait_queue_empty(10)


@pytest.mark.parametrize("which", ["oldest emptied", "one between deleted", "newest deleted"])
def test_mail_of_a_segment_that_is_gone_is_deferred_and_told_of(make, which):
    """A large message is whole, since its file is there. With its end the log loses the index: what only that knew is in the log again."""
    peer = Peer()
    instance = make({"relayhost": "[127.0.0.1]:9", "spool_segment_size": "1m", **LATER})
    bodies = [("x" * 76 + "\r\n") * (2000 if i % 5 == 0 else 900) for i in range(40)]
    ids = fill(instance, bodies)
    stop_with_index(instance)
    segments = [p for p in spool(instance, "segments").iterdir() if p.read_bytes()[:8].strip(b"\0")]
    segments.sort(key=lambda p: int.from_bytes(p.read_bytes()[16:24], "little"))
    gone = {"oldest emptied": segments[:1], "one between deleted": segments[1:2], "newest deleted": segments[1:]}[which]
    for path in gone:
        shutil.copy2(path, instance.home / path.name)
        if which == "oldest emptied":
            os.truncate(path, 0)
        else:
            path.unlink()
    assert "but not in the log" in instance.postern("queue", "verify", check=False).stdout
    start_towards(instance, peer)
    instance.postern("flush")
    assert wait_until(lambda: all(r["attempts"] >= 2 for m in instance.queue() for r in m["recipients"]), 10), instance.log()[-3000:]
    waiting = {m["queue_id"] for m in instance.queue()}
    assert 5 < len(waiting) < 40 and len(peer.messages) == 40 - len(waiting), (len(waiting), len(peer.messages))
    reasons = {m["recipients"][0]["delay_reason"] for m in instance.queue()}
    assert reasons == {"the spool's file of this message is missing" if which == "newest deleted" else "the spool's segment with this message is gone"}
    told = set(re.findall(r"qmgr\[\d+\]: error: (\w+): its record and content are gone", instance.log()))
    assert told == waiting and not waiting & {ids[i] for i in range(0, 40, 5)}, (told, waiting)
    assert wait_until(lambda: f"{len(waiting)} messages lost their content" in instance.postern("status").stdout, 5)
    if which == "oldest emptied":
        instance.postern("queue", "rebuild")
        instance.wait_log("the index is rebuilt")
    instance.stop()
    if which == "one between deleted":
        for path in gone:
            shutil.copy2(instance.home / path.name, path)
            shutil.chown(path, segments[0].stat().st_uid, segments[0].stat().st_gid)
    else:
        shutil.rmtree(spool(instance, "index"))
    instance.start()
    instance.postern("flush")
    if which == "one between deleted":
        instance.wait_queue_empty(10)
        assert len(peer.messages) == 40
    else:
        assert wait_until(lambda: {m["queue_id"] for m in instance.queue()} == waiting, 10), instance.log()[-3000:]


def test_two_instances_never_have_one_spool(make):
    """A link, or a mount: the lock of queue_directory knows nothing of it."""
    first = make({"relayhost": "[127.0.0.1]:9", **LATER})
    fill(first, ["x"])
    second = make(start=False)
    second.prepare()
    shutil.rmtree(spool(second), ignore_errors=True)
    spool(second).symlink_to(spool(first))
    done = second.postern("start", check=False)
    assert done.returncode != 0 and "the spool is in use by the queue of another instance" in done.stderr, done
    assert len(first.queue()) == 1 and "0 findings" in first.postern("queue", "verify").stdout
