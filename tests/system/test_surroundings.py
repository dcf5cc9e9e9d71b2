"""What a program was started with: signals, limits and descriptors that it may not depend on (catalogue M01)."""
import os, pathlib, resource, signal, subprocess

import pytest
from harness.instance import PREFIX, wait_until

MESSAGE = "Subject: x\n\nHello\n"


def ignore_all():
    for number in range(1, 32):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_IGN)


def block_all():
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))


def close_standard():
    for fd in range(3):
        os.close(fd)


def run(instance, surroundings, program, *args, **options):
    return subprocess.run([str(PREFIX / "sbin" / program), *args], preexec_fn=surroundings, capture_output=True, text=True, timeout=60, cwd="/",
                          env={**os.environ, "MAIL_CONFIG": str(instance.confdir), **options.pop("env", {})}, **options)


def alive(pid):
    """A zombie, which nobody may have waited for yet, is not."""
    try:
        return "State:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def test_a_message_that_was_not_taken_is_never_said_to_be(make):
    """Whoever ignores SIGCHLD learns nothing from waitpid(); Perl's and Python's daemons do so, and what they start inherits it."""
    instance = make()
    instance.stop()
    drop = instance.home / "queue/maildrop"

    def both():
        ignore_all()
        limit_files()
    for surroundings, status in ((both, 75), (limit_files, 75), (ignore_all, 0), (block_all, 0)):
        before = len(list(drop.iterdir()))
        done = run(instance, surroundings, "sendmail", "-i", "alice@here.test", input=MESSAGE)
        assert (done.returncode, bool(done.stderr)) == (status, status != 0), done
        assert len(list(drop.iterdir())) == before + (status == 0)


def test_nothing_but_frames_goes_into_the_socket(make):
    """Without standard output and error the socket would be one of them, and text would be said into it."""
    instance = make()
    for number in (1, 2):
        seen = len(instance.mailbox("alice"))
        done = run(instance, lambda: (os.close(number), number == 1 or os.close(1)), "sendmail", "-v", "-i", "alice@here.test", input=MESSAGE)
        assert done.returncode == 0
        assert len(instance.wait_mail("alice", seen + 1)) == seen + 1
    assert "connection with tool" not in instance.log()


def test_what_cannot_be_queued_now_can_be_sent_again(make):
    """Whatever it is that there is not enough of; programs give up what comes back with another status."""
    instance = make(start=False)
    instance.prepare()
    for limit, value in ((resource.RLIMIT_NOFILE, 4), (resource.RLIMIT_FSIZE, 0)):
        done = run(instance, lambda: resource.setrlimit(limit, (value, value)), "sendmail", "-i", "alice", input=MESSAGE)
        assert done.returncode == 75 and done.stderr.startswith(("sendmail: ", "drop: ")), done


def test_a_full_name_is_one_line(make):
    instance = make()
    for options in ({"env": {"NAME": "A\nBcc: bob@here.test"}}, {"args": ["-F", "A\r\nBcc: bob@here.test"]}):
        seen = len(instance.mailbox("alice"))
        done = run(instance, None, "sendmail", "-i", *options.pop("args", []), "alice@here.test", input=MESSAGE, **options)
        assert done.returncode == 0, done
        text = instance.wait_mail("alice", seen + 1)[-1]
        assert b"\nFrom: " in text and b"\nBcc" not in text and not instance.mailbox("bob")


@pytest.mark.parametrize("surroundings", [block_all, ignore_all, close_standard])
def test_it_starts_lives_and_stops_whatever_its_caller_did(make, surroundings):
    instance = make(start=False)
    instance.prepare()
    assert run(instance, surroundings, "postern", "start").returncode == 0
    instance.started = True
    old = instance.pids("smtpd")
    os.kill(old[0], signal.SIGKILL)
    assert wait_until(lambda: set(instance.pids("smtpd")) - set(old), 10)
    instance.sendmail("alice@here.test", input=MESSAGE)
    instance.wait_mail("alice")
    if surroundings is not close_standard:
        for words in (("queue", "verify"), ("queue", "backup", str(instance.home / "copy"))):
            done = run(instance, surroundings, "postern", *words)
            assert done.returncode == 0, done
    done = run(instance, surroundings, "postern", "stop")
    assert done.returncode == 0, done
    instance.started = False


def test_a_master_that_answers_nothing_can_be_ended(make):
    instance = make()
    pids = [row["pid"] for row in instance.processes()]
    os.kill(instance.pids("master")[0], signal.SIGSTOP)
    done = instance.postern("abort", check=False)
    assert done.returncode == 0, done
    instance.started = False
    assert wait_until(lambda: not any(alive(pid) for pid in pids), 2)
    instance.start()
