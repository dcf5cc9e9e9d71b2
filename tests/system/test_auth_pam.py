"""AUTH asked of PAM itself: pam_unix with accounts of this test's own /etc, pam_permit, pam_deny, modules that misbehave."""
import os, pathlib, re, subprocess, threading, time

import pytest

from harness import authenticate
from harness.instance import AS_ROOT, PREFIX, wait_until

PROGRAM = (PREFIX / "libexec/postern/auth").read_bytes()
pytestmark = [
    pytest.mark.skipif(not AS_ROOT, reason="only root may ask pam_unix about others"),
    pytest.mark.skipif(b"pam_authenticate" not in PROGRAM, reason="PAM is not built in"),
    pytest.mark.skipif(b"__asan_init" in PROGRAM, reason="the sanitizer's crypt() is in pam_unix's way"),
]
PASSWORD = "pam-pässword, = yes"
SETTINGS = {"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "pam", "smtpd_tls_auth_only": "no", "smtpd_sasl_security_options": "noanonymous", "smtpd_soft_error_limit": 1000, "smtpd_hard_error_limit": 1000,
            "smtpd_client_connection_count_limit": 0, "smtpd_auth_failure_limit_delay": "0", "smtpd_sasl_path": "postern-unix"}
SERVICES = {
    "postern-unix": "auth required pam_unix.so\naccount required pam_unix.so\n",
    "postern-permit": "auth required pam_permit.so\naccount required pam_permit.so\n",
    "postern-deny": "auth required pam_deny.so\naccount required pam_permit.so\n",
    "postern-account": "auth required pam_permit.so\naccount required pam_deny.so\n",
    "postern-missing": "auth required pam_no_such_module.so\naccount required pam_permit.so\n",
    "postern-slow": "auth optional pam_exec.so quiet /bin/sleep 1\nauth required pam_permit.so\naccount required pam_permit.so\n",
    "postern-hanging": "auth required pam_exec.so quiet /bin/sleep 1000\naccount required pam_permit.so\n",
    "postern-unix-socket": "auth required pam_exec.so quiet /usr/bin/python3 /etc/pam.d/postern-socket.py AF_UNIX\nauth required pam_permit.so\naccount required pam_permit.so\n",
    "postern-inet-socket": "auth required pam_exec.so quiet /usr/bin/python3 /etc/pam.d/postern-socket.py AF_INET\nauth required pam_permit.so\naccount required pam_permit.so\n",
    "postern-socket.py": "import socket, sys\nsocket.socket(getattr(socket, sys.argv[1]))\n",
}


@pytest.fixture(scope="module", autouse=True)
def pam(accounts):
    for name, text in SERVICES.items():
        pathlib.Path("/etc/pam.d", name).write_text(text)
    subprocess.run(["chpasswd"], input="".join(f"{user}:{PASSWORD}\n" for user in ("alice", "bob", "carol", "dave")), text=True, check=True)
    subprocess.run(["passwd", "-q", "-l", "carol"], check=True)
    subprocess.run(["chage", "-E", "1", "dave"], check=True)
    yield
    for name in SERVICES:
        pathlib.Path("/etc/pam.d", name).unlink()


def plain(client, user, password):
    return client.cmd("AUTH PLAIN " + authenticate.plain(user, password))


def outcome(instance, user, password, how=plain, **options):
    with instance.connect(timeout=60, **options) as c:
        c.hello()
        return how(c, user, password)


def test_accounts_of_the_system(make):
    instance = make(SETTINGS)
    for how in (plain, authenticate.login):
        assert outcome(instance, "alice", PASSWORD, how).code == 235
    refused = {str(outcome(instance, user, password)) for user, password in (("alice", PASSWORD + "x"), ("nobody-here", PASSWORD), ("root", ""), ("root", "root"), ("carol", PASSWORD), ("dave", PASSWORD),
                                                                             ("daemon", "*"), ("../alice", PASSWORD))}
    assert len(refused) == 1 and refused.pop().startswith("535"), refused
    # No pause of PAM's own: policy knows how long.
    begin = time.monotonic()
    assert outcome(instance, "bob", "wrong").code == 535
    assert time.monotonic() - begin < 1.5
    assert PASSWORD not in instance.log() and authenticate.b64(PASSWORD)[:-4] not in instance.log()
    instance.wait_log(r"warning: unknown\[127.0.0.1\]: SASL PLAIN authentication failed: .*, sasl_username=carol")


def test_what_the_service_says(make):
    sections = "".join(f"[{name}]\nlisten = 127.0.0.2:{40000 + os.getpid() % 20000 + i}\nsmtpd_sasl_path = {name}\n" for i, name in enumerate(SERVICES))
    ports = dict(re.findall(r"\[(\S+)\]\nlisten = 127.0.0.2:(\d+)", sections))
    instance = make(SETTINGS | {"shutdown_grace": "1s"}, sections=sections + f"[traversal]\nlisten = 127.0.0.2:{40000 + os.getpid() % 20000 + 90}\nsmtpd_sasl_service = ../passwd\nsmtpd_sasl_path = private/auth\n")
    instance.address = "127.0.0.2"
    for name, code in (("permit", 235), ("deny", 535), ("account", 535), ("missing", 454), ("slow", 235), ("unix-socket", 235), ("inet-socket", 454)):
        instance.port = int(ports[f"postern-{name}"])
        assert outcome(instance, "alice", "anything").code == code, name
    instance.port = 40000 + os.getpid() % 20000 + 90
    assert outcome(instance, "alice", "anything").code == 454
    # One user has one child, one address not all of them: another client is asked about meanwhile.
    instance.port = int(ports["postern-hanging"])
    threads = [threading.Thread(target=lambda i=i: _ignore_end(instance, f"user{i % 4}"), daemon=True) for i in range(12)]
    for t in threads:
        t.start()
    auth = instance.pids("auth")[0]
    children = lambda: subprocess.run(["pgrep", "-P", str(auth)], capture_output=True, text=True).stdout.split()
    assert wait_until(lambda: len(children()) == 4, 10), children()
    instance.port = int(ports["postern-unix"])
    assert outcome(instance, "alice", PASSWORD, source="127.0.0.3").code == 235
    assert len(children()) == 4
    # The end of the instance does not wait for them, and leaves none of them.
    begin = time.monotonic()
    instance.stop()
    assert time.monotonic() - begin < 8
    assert wait_until(lambda: not [p for p in children() if pathlib.Path("/proc", p).exists()], 5)


def _ignore_end(instance, user):
    try:
        outcome(instance, user, "anything")
    except (EOFError, OSError):
        pass


def test_long_names_stay_whole(make):
    # Less than its end would be somebody else.
    instance = make(SETTINGS | {"smtpd_sasl_path": "postern-permit"})
    user = "u" * 507 + "alice"
    with instance.connect() as c:
        c.hello()
        assert plain(c, user, "anything").code == 235
        c.mail()
    instance.wait_log(f"sasl_username={user}$")


def test_only_where_it_is_wanted(make):
    instance = make(SETTINGS | {"smtpd_sasl_auth_enable": "no"})
    assert not instance.pids("auth")
    instance.reload(smtpd_sasl_auth_enable="yes")
    assert len(instance.pids("auth")) == 1
    assert outcome(instance, "alice", PASSWORD).code == 235
    assert instance.postern("check").stdout == ""
    assert "there is no /etc/pam.d/nothing-here" in (instance.settings.update(smtpd_sasl_path="nothing-here") or instance.write_config() or instance.postern("check").stdout)
    # It runs as root, without what makes root dangerous.
    status = pathlib.Path(f"/proc/{instance.pids('auth')[0]}/status").read_text()
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M) and re.search(r"^Seccomp:\s+2$", status, re.M)
    effective = int(re.search(r"^CapEff:\s+(\w+)$", status, re.M)[1], 16)
    for number in (12, 16, 19, 21, 22):  # CAP_NET_ADMIN, SYS_MODULE, SYS_PTRACE, SYS_ADMIN, SYS_BOOT
        assert not effective >> number & 1
    # A dead one is replaced, and nobody but the client that waited notices.
    os.kill(instance.pids("auth")[0], 9)
    assert wait_until(lambda: outcome(instance, "alice", PASSWORD).code == 235, 10, 0.2)


def test_limits_come_before_pam(make):
    instance = make(SETTINGS | {"smtpd_auth_failure_limit_address": 3, "smtpd_client_event_limit_exceptions": ""})
    with instance.connect(timeout=60) as c:
        c.hello()
        assert [plain(c, "alice", f"wrong{i}").code for i in range(3)] == [535] * 3
        assert plain(c, "alice", PASSWORD).code == 454
    assert outcome(instance, "alice", PASSWORD, source="127.0.0.8").code == 235
