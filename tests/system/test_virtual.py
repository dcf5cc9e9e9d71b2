"""virtual(8): mailboxes from tables, beside system users."""
import os, pathlib, pwd, re

import pytest
from harness.instance import AS_ROOT, wait_until
from test_aliases import clean, home, inbox, room, send

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="only root can deliver as other users")


def start(make, clean, room, boxes, **settings):
    uid, gid = pwd.getpwnam(clean[0]).pw_uid, pwd.getpwnam(clean[1]).pw_gid
    base = room / "vmail"
    base.mkdir()
    os.chown(base, uid, gid)
    return make({"local_recipient_maps": None, "mail_spool_directory": None, "home_mailbox": "Maildir/", "alias_maps": "", "alias_database": "",
                 "virtual_mailbox_domains": "v.test, w.test", "virtual_mailbox_base": base, "virtual_mailbox_maps": f"inline:{{ {boxes} }}",
                 "virtual_uid_maps": f"static:{uid}", "virtual_gid_maps": f"static:{gid}", "soft_bounce": "no", "minimal_backoff_time": "300s", **settings})


def test_maildir_mbox_and_catch_all_beside_a_system_user(make, clean, room):
    instance = start(make, clean, room, "{ info@v.test = v.test/info/ } { sales@v.test = v.test/sales } { @w.test = w.test/all/ }", recipient_delimiter="+")
    os.mkdir(room / "vmail" / "v.test")
    os.chown(room / "vmail" / "v.test", pwd.getpwnam(clean[0]).pw_uid, -1)
    for to in ("info@v.test", "Info+tag@v.test", "sales@v.test", "who.ever@w.test", f"{clean[0]}@here.test"):
        send(instance, to)
    instance.wait_log(r"postern/virtual\[\d+\]: \w+: to=<info@v\.test>, relay=virtual, .*dsn=2\.0\.0, status=sent \(delivered to maildir\)")
    instance.wait_log(r"to=<sales@v\.test>, relay=virtual, .*status=sent \(delivered to mailbox\)")
    instance.wait_log(r"to=<who\.ever@w\.test>, relay=virtual, .*status=sent \(delivered to maildir\)")
    instance.wait_log(rf"to=<{clean[0]}@here\.test>, relay=local, .*status=sent \(delivered to maildir\)")
    box = room / "vmail" / "v.test" / "info" / "new"
    assert wait_until(lambda: len(list(box.iterdir())) == 2), instance.log()
    letter = next(iter(box.iterdir()))
    assert (letter.stat().st_uid, letter.stat().st_gid) == (pwd.getpwnam(clean[0]).pw_uid, pwd.getpwnam(clean[1]).pw_gid)
    assert re.search(r"^Delivered-To: [Ii]nfo(\+tag)?@v\.test$", letter.read_text(), re.M)
    assert (room / "vmail" / "v.test" / "sales").read_text().startswith("From s@there.test ")
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<s@there.test>", 250)
        c.cmd("RCPT TO:<nobody@v.test>", "550 5.1.1 <nobody@v.test>: Recipient address rejected: User unknown in virtual mailbox table")


def test_old_mail_of_a_mailbox_comes_back_to_it(make, clean, room):
    """virtual(8) passes nothing on, so that a Delivered-To of its own is no loop: fetched, moved or resent mail has one."""
    instance = start(make, clean, room, "{ a@v.test = a/ } { b@v.test = b }")
    for to in ("a@v.test", "b@v.test"):
        send(instance, to, f"Delivered-To: {to}\r\nSubject: x\r\n\r\nx\r\n", sender="")
    instance.wait_log(r"to=<[ab]@v\.test>, relay=virtual, .*dsn=2\.0\.0, status=sent", count=2)
    assert (room / "vmail" / "b").read_text().count("Delivered-To: b@v.test\n") == 2


@pytest.mark.parametrize("settings, words", [
    ({"virtual_uid_maps": "static:0"}, "bad uid"),
    ({"virtual_gid_maps": "static:0"}, "bad gid"),
    ({"virtual_uid_maps": "static:-1"}, "bad uid"),
    ({"virtual_uid_maps": "static:4294967296"}, "bad uid"),
    ({"virtual_uid_maps": "static:50"}, "uid below virtual_minimum_uid"),
    ({"virtual_uid_maps": "static:root"}, "bad uid"),
    ({"virtual_uid_maps": ""}, "no uid is known"),
    ({"virtual_mailbox_base": ""}, "bad mailbox path"),
    ({"virtual_mailbox_maps": "inline:{ { a@v.test = ../../etc/evil } }"}, "bad mailbox path"),
    ({"virtual_mailbox_maps": "regexp:{{/^(.*)@v.test$$/ $${1}/}}"}, "may not be put in"),
    ({"virtual_mailbox_maps": "hash:/no/such/table"}, "virtual mailbox lookup error"),
])
def test_what_tables_may_not_say(make, clean, room, settings, words):
    instance = start(make, clean, room, "{ a@v.test = a/ }", smtpd_reject_unlisted_recipient="no", **settings)
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<>", 250)
        if c.cmd("RCPT TO:<a@v.test>").code != 250:
            assert words == "virtual mailbox lookup error"
            return
        c.cmd("DATA", 354)
        c.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
        assert c.reply().code == 250
    instance.wait_log(rf"to=<a@v\.test>, relay=virtual, .*status=deferred \(.*{re.escape(words)}")
    assert not os.path.exists("/etc/evil")


def test_the_limit_of_a_virtual_mailbox(make, clean, room):
    instance = start(make, clean, room, "{ a@v.test = a/ } { b@v.test = b }", virtual_mailbox_limit="5000", message_size_limit="20000")
    for name in "ab":
        send(instance, f"{name}@v.test", "Subject: x\r\n\r\n" + "y" * 70 + "\r\n" + ("z" * 70 + "\r\n") * 100, sender="")
    instance.wait_log(r"to=<[ab]@v\.test>, relay=virtual, .*dsn=5\.2\.2, status=bounced", count=2)
