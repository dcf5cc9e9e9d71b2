"""What was in the spool is damaged or gone while the index is there: each message has a fate, and is told of."""
import re

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
    before = instance.log().count("the index is up to date")
    instance.start()
    instance.wait_log("the index is up to date", count=before + 1)
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
