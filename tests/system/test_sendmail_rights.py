"""Who may use sendmail(1), and with which senders: authorized_submit_users, local_login_sender_maps."""
import os, subprocess

import pytest
from harness.instance import AS_ROOT, PREFIX, wait_until

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="needs other users")

MESSAGE = "Subject: x\n\nhello\n"


@pytest.fixture(scope="module")
def host(request, system_users):
    from harness.instance import Instance
    first, second = system_users
    instance = Instance({"recipient_delimiter": "+", "authorized_submit_users": f"root, !{second}, static:all",
                         "local_login_sender_maps": f"inline:{{ {{ root = * }} {{ {first} = {first}, @lists.test <>, Boss@Here.test }} {{ uid:54321 = nobody@here.test }} }}"})
    request.addfinalizer(instance.close)
    return instance.start()


def send_as(host, user, *args, input=MESSAGE):
    rights = ["--reuid", user, "--clear-groups"]
    return subprocess.run(["setpriv", *rights, str(PREFIX / "sbin" / "sendmail"), *args], input=input, text=True, capture_output=True, cwd="/", env={"MAIL_CONFIG": str(host.confdir), "PATH": os.environ["PATH"]})


@pytest.mark.parametrize("sender,allowed", [
    (None, True), ("{0}", True), ("{0}+ext", True), ("anybody@lists.test", True), ("any+body@LISTS.test", True), ("<>", True), ("boss@here.test", True), ("BOSS+x@HERE.test", True),
    ("boss@there.test", False), ("ceo@here.test", False), ("x@sub.lists.test", False), ("boss", False), ("*", False),
])
def test_senders_that_a_login_may_use(host, system_users, sender, allowed):
    seen = len(host.mailbox("alice"))
    words = ["-f", sender.format(system_users[0])] if sender else []
    done = send_as(host, system_users[0], *words, "alice@here.test")
    if allowed:
        assert done.returncode == 0, done.stderr
        host.wait_mail("alice", seen + 1)
    else:
        assert done.returncode == 77 and f"5.7.1 not authorized to use sender='{sender}'" in done.stderr, done
        host.wait_log(f"not authorized to use sender='{sender}'".replace("*", r"\*"))


def test_a_user_who_may_not_send_at_all(host, system_users):
    done = send_as(host, system_users[1], "-f", system_users[0], "alice@here.test")
    assert done.returncode == 77 and f"5.7.1 User {system_users[1]}(" in done.stderr and "is not allowed to submit mail" in done.stderr
    done = send_as(host, system_users[1], "-bs", input="HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@here.test>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
    assert "\n554 5.7.1 User " in done.stdout, done.stdout


def test_a_user_is_told_while_the_daemon_is_away(make):
    """Nobody would hear of a file that is set aside later. Where tables say nothing, pickup will ask them."""
    instance = make(start=False)
    rows = [({"authorized_submit_users": "!root, static:all"}, [], "5.7.1 User root(0) is not allowed to submit mail"), ({"local_login_sender_maps": "inline:{root=boss}"}, [], "5.7.1 not authorized to use sender='root'"),
            ({"local_login_sender_maps": "inline:{root=boss}"}, ["-f", "boss"], None), ({"local_login_sender_maps": "fail:1"}, [], None)]
    for settings, words, refusal in rows:
        instance.settings.update({"authorized_submit_users": None, "local_login_sender_maps": None, **settings})
        instance.prepare()
        drops = instance.home / "queue/maildrop"
        before = len(list(drops.iterdir()))
        done = instance.sendmail(*words, "alice@here.test", input=MESSAGE, check=False)
        assert (done.returncode, done.stderr) == ((77, f"sendmail: {refusal}\n") if refusal else (0, "")), settings
        assert len(list(drops.iterdir())) == before + (refusal is None)


def test_a_user_without_a_name(host):
    assert send_as(host, "54321", "-f", "nobody@here.test", "alice@here.test").returncode == 0
    done = send_as(host, "54322", "-f", "nobody@here.test", "alice@here.test")
    assert done.returncode == 77 and "not authorized" in done.stderr


def test_a_drop_file_has_no_more_rights_and_a_table_in_trouble_waits(make):
    instance = make({"local_login_sender_maps": "pipemap:{inline:{root=x},fail:1}"})
    instance.sendmail("alice@here.test", input=MESSAGE)
    instance.wait_log("deferred: 4.3.0 Temporary lookup failure")
    instance.reload(local_login_sender_maps="inline:{root=<>}")
    instance.wait_log("not authorized to use sender='root'")
    assert wait_until(lambda: [p.name for p in (instance.home / "queue/maildrop").iterdir() if p.name.startswith("bad-")])
    assert not instance.mailbox("alice")
    instance.reload(authorized_submit_users="")
    done = instance.sendmail("alice@here.test", input=MESSAGE, check=False)
    assert done.returncode == 77 and "User root(0) is not allowed to submit mail" in done.stderr
