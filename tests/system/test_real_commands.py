"""procmail and vacation as commands, as their manuals set them up."""
import os, pathlib, re, shutil, subprocess

import pytest
from harness.instance import AS_ROOT, PREFIX, wait_until
from test_aliases import clean, home, inbox, room, send
from test_forward import forward, start

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="only root can deliver as other users")


@pytest.mark.skipif(not shutil.which("procmail"), reason="needs procmail")
def test_procmail_as_mailbox_command_and_from_forward(make, clean):
    one, two = clean
    for user in clean:
        forward(user, "MAILDIR=$HOME\nDEFAULT=$HOME/out\n:0:\n* ^Subject: list\n$HOME/out-list\n", name=".procmailrc")
    instance = start(make, mailbox_command='/usr/bin/procmail -a "$EXTENSION"')
    try:
        send(instance, f"{one}@here.test")
        instance.wait_log(rf'to=<{one}@here\.test>.*status=sent \(delivered to command: /usr/bin/procmail -a "\$EXTENSION"\)')
        assert "\nSubject: list\n" in (home(one) / "out-list").read_text()
        forward(two, "\"|IFS=' ' && exec /usr/bin/procmail -f- || exit 75 #" + two + '"\n')
        send(instance, f"{two}@here.test", "Subject: other\r\n\r\nx\r\n")
        instance.wait_log(rf"to=<{two}@here\.test>.*status=sent \(delivered to command: IFS=")
        assert "\nSubject: other\n" in (home(two) / "out").read_text()
    finally:
        os.system(f"rm -f {home(one)}/.procmailrc {home(two)}/.procmailrc")


@pytest.mark.skipif(not shutil.which("vacation"), reason="needs vacation")
def test_vacation_answers_once(make, clean, peer):
    one, _ = clean
    far = peer()
    instance = start(make, transport_maps=f"inline:{{ {{ there.test = smtp:[127.0.0.1]:{far.port} }} }}")
    sendmail = pathlib.Path("/usr/sbin/sendmail")
    made = not sendmail.exists()
    forward(one, f'\\{one}, "|/usr/bin/vacation {one}"\n')
    forward(one, "Subject: away\n\nI am away.\n", name=".vacation.msg")
    if made:
        sendmail.symlink_to(PREFIX / "sbin" / "sendmail")
    elif subprocess.run(["mount", "--bind", str(PREFIX / "sbin" / "sendmail"), str(sendmail)], capture_output=True).returncode != 0:
        pytest.skip("this host has a sendmail of its own")
    try:
        for _ in range(2):
            send(instance, f"{one}@here.test", f"From: s@there.test\r\nTo: {one}@here.test\r\nSubject: hello\r\n\r\nx\r\n")
        assert wait_until(lambda: len(inbox(one)) == 2), instance.log()
        message = far.wait(1)[0]
        assert b"I am away." in message["content"] and "s@there.test" in message["rcpt"][0]
        assert len(far.messages) == 1
        instance.wait_log(rf"to=<{one}@here\.test>.*status=sent \(delivered to command: /usr/bin/vacation {one}\)", count=2)
    finally:
        if made:
            sendmail.unlink()
        else:
            subprocess.run(["umount", str(sendmail)], check=True)
        os.system(f"rm -f {home(one)}/.vacation*")
