"""A command that takes its time keeps its own mail waiting, and nobody else's."""
import json, os

from harness.instance import AS_ROOT, wait_until
from test_aliases import clean, home, inbox, room
from test_forward import forward
import pytest

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="only root can deliver as other users")


@pytest.fixture
def gate(room):
    """A file that nobody can read before the end of the test."""
    path = room / "gate"
    os.mkfifo(path)
    os.chmod(path, 0o644)
    yield path
    writer = os.open(path, os.O_RDWR)
    (room / "opened").write_text("")
    os.rename(room / "opened", path)
    os.close(writer)


def send(instance, *recipients):
    with instance.connect() as c:
        c.hello()
        return [c.mail("s@there.test", [recipient], "Subject: x\r\n\r\nx\r\n") for recipient in recipients]


def start(make, aliases="", **settings):
    instance = make({"local_recipient_maps": "", "mail_spool_directory": None, "home_mailbox": "Maildir/", "minimal_backoff_time": "300s", "initial_destination_concurrency": "20", **settings}, start=False)
    (instance.home / "aliases").write_text(aliases)
    instance.settings |= {"alias_maps": f"texthash:{instance.home}/aliases", "alias_database": ""}
    return instance.start()


def test_slow_commands_hold_up_no_mailboxes(make, clean, room, gate):
    """Of one user, or of many who have but a few: more letters than local may have at once."""
    slow, other = clean
    forward(slow, f'"|echo >> {room}/begun; cat {gate}"\n')
    one = start(make)
    send(one, *[f"{slow}@here.test"] * 120)
    many = start(make, "".join(f'slow{i} "|cat {gate}"\n' for i in range(60)))
    send(many, *[f"slow{i}@here.test" for i in range(60)] * 2)
    assert wait_until((room / "begun").exists)
    for count, instance in ((1, one), (2, many)):
        send(instance, f"{other}@here.test")
        assert wait_until(lambda: len(inbox(other)) == count, 20), instance.why_queued()
    one.wait_log(r"status=deferred \(earlier commands for that address take their time\)", count=50)
    many.wait_log(r"status=deferred \(too many commands take their time\)", count=20)
    assert (room / "begun").read_text() == "\n\n"
    for count, instance in ((3, one), (4, many)):
        send(instance, f"{other}@here.test")
        assert wait_until(lambda: len(inbox(other)) == count, 3), instance.why_queued()


def test_commands_of_one_user_do_not_wait_for_each_other(make, clean, room, gate):
    """Those of all aliases run as default_privs, and transports may have a user in common."""
    script = room / "done"
    script.write_text(f"#!/bin/sh\ncat >/dev/null; touch {room}/$1\n")
    script.chmod(0o755)
    instance = start(make, f'slow "|cat {gate}"\nquick "|{script} alias"\n', transport_maps="inline:{ { slow.test = slow: } { quick.test = quick: } }",
                     transport_services=f"{{ slow unix - n n - 1 pipe user={clean[0]} argv=/bin/cat {gate} }} {{ quick unix - n n - - pipe user={clean[0]} argv={script} transport }}")
    ids = send(instance, *["slow@here.test"] * 4, *["a@slow.test"] * 4)
    last = lambda: json.loads(instance.postern("queue", "explain", ids[-1], "--json").stdout)["recipients"][0]["waits_for"]
    assert wait_until(lambda: last() == "transport-concurrency"), last()
    send(instance, "quick@here.test", "a@quick.test")
    assert wait_until(lambda: (room / "alias").exists() and (room / "transport").exists()), instance.why_queued()
