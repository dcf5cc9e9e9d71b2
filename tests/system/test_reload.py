"""postern reload: what it returns from is in force."""
import os, pathlib, re, signal, socket, threading, time

import pytest
from harness.certificates import Authority
from harness.client import Client
from harness.instance import AS_ROOT, free_port, wait_until


def test_what_a_reload_changed_holds_for_the_next_command(make):
    """Also what lookup was asked a moment before, and answers of smtpd's cache."""
    instance = make({"smtpd_workers": 2, "smtpd_hard_error_limit": 100, "smtpd_soft_error_limit": 100, "local_recipient_maps": "inline:{ { alice = x } }"})
    with instance.connect() as c:
        c.hello()
        for i in range(8):
            known, gone = ("bob", "alice") if i % 2 == 0 else ("alice", "bob")
            c.cmd("MAIL FROM:<s@there.test>", 250)
            c.cmd(f"RCPT TO:<{gone}@here.test>", 250)
            c.cmd(f"RCPT TO:<{known}@here.test>", 550)
            instance.reload(local_recipient_maps=f"inline:{{ {{ {known} = x }} }}", smtpd_banner=f"mx.here.test ESMTP number {i}")
            c.cmd(f"RCPT TO:<{known}@here.test>", 250)
            c.cmd(f"RCPT TO:<{gone}@here.test>", 550)
            c.cmd("RSET", 250)
            with instance.connect() as fresh:
                assert f"number {i}" in str(fresh.banner)


def test_a_reload_waits_for_nobody_for_long(make):
    instance = make()
    pid = instance.pids("policy")[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        instance.reload()
        assert 3 < time.monotonic() - begin < 15
        instance.wait_log(rf"policy\[{pid}\] has not taken the new configuration")
    finally:
        os.kill(pid, signal.SIGCONT)
    begin = time.monotonic()
    instance.reload()
    assert time.monotonic() - begin < 3


def test_hosts_named_in_listen(make):
    """All addresses of a name, also after a reload; a name that nobody knows ends the start, and check says so."""
    hosts = pathlib.Path("/etc/hosts")
    if not AS_ROOT or os.environ.get("POSTERN_PRIVATE_ETC") is None and os.stat("/etc").st_dev == os.stat("/").st_dev:
        pytest.skip("only in an /etc of its own")
    before = hosts.read_text()

    def takes(address, port):
        with socket.socket() as s:
            return s.connect_ex((address, port)) == 0

    port = free_port()
    hosts.write_text(before + "127.0.0.1 two.listen.test\n127.0.0.2 two.listen.test\n127.0.0.3 three.listen.test\n")
    try:
        instance = make({"inet_protocols": "ipv4"}, sections=f"[smtp]\nlisten = two.listen.test:{port}\n")
        assert [takes(f"127.0.0.{i}", port) for i in (1, 2, 3)] == [True, True, False]
        instance.sections = f"[smtp]\nlisten = three.listen.test:{port}, 127.0.0.1:{port}\n"
        instance.reload()
        assert [takes(f"127.0.0.{i}", port) for i in (1, 2, 3)] == [True, False, True]
        instance.sections = f"[smtp]\nlisten = 127.0.0.1:{port}, no-such.listen.test:{port}, what$is.this\n"
        instance.write_config()
        done = instance.postern("reload", check=False)
        assert done.returncode != 0 and takes("127.0.0.1", port)
        instance.sections = f"[smtp]\nlisten = 127.0.0.1:{port}, no-such.listen.test:{port}, what/is.this\n"
        instance.write_config()
        done = instance.postern("check", check=False)
        assert re.search(rf"^{instance.confdir}/postern\.conf:\d+: listen: no-such\.listen\.test: host not found: ", done.stdout, re.M) and "'what/is.this' is no address to listen on" in done.stdout
        done = instance.postern("reload", check=False)
        assert done.returncode != 0 and "host not found" in done.stderr + instance.log()
        instance.stop()
        done = instance.postern("start", check=False)
        assert done.returncode != 0 and "section [smtp]: no-such.listen.test: host not found" in done.stderr + instance.log()
    finally:
        hosts.write_text(before)


def test_an_address_may_go_to_another_section(make):
    instance = make()
    first, second = instance.port, free_port()

    def apply(text, ok=True):
        instance.sections = text
        instance.write_config()
        done = instance.postern("reload", check=False)
        assert (done.returncode == 0) == ok, done

    def banners():
        said = {}
        for port in (first, second):
            try:
                with Client(instance.address, port) as c:
                    said[port] = c.banner.text.split()[-1]
            except ConnectionRefusedError:
                pass
        return said
    apply(f"[mx]\nlisten = 127.0.0.1:{first}\nsmtpd_banner = renamed\n")
    assert wait_until(lambda: banners() == {first: "renamed"}, 5), banners()
    apply(f"[mx]\nlisten = 127.0.0.1:{second}\nsmtpd_banner = mx\n[smtp]\nlisten = 127.0.0.1:{first}\nsmtpd_banner = smtp\n")
    assert wait_until(lambda: banners() == {first: "smtp", second: "mx"}, 5), banners()
    apply(f"[mx]\nlisten = 127.0.0.1:{first}\nsmtpd_banner = mx\n[smtp]\nlisten = 127.0.0.1:{second}\nsmtpd_banner = smtp\n")
    assert wait_until(lambda: banners() == {first: "mx", second: "smtp"}, 5), banners()
    for both in (f"[a]\nlisten = 127.0.0.1:{first}\n[mx]\nlisten = 127.0.0.1:{first}\n", f"[mx]\nlisten = 127.0.0.1:{first}\n[a]\nlisten = 127.0.0.1:{first}\n"):
        apply(both, ok=False)
        assert banners() == {first: "mx", second: "smtp"}


def test_a_worker_that_is_replaced_ends_its_deliveries_and_begins_no_other(make, peer):
    """Mail that is under way comes once, however long that takes: what comes meanwhile is for the new one, at once."""
    release, sessions = threading.Event(), []

    def late(session, line, peer):
        sessions.append(session)
        if len(sessions) == 1:
            release.wait(20)
        return "250 2.0.0 Ok"
    sink, authority = peer(on={"DOT": late}), Authority()
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "delivery_workers": "1"})
    before = instance.pids("delivery")
    send = lambda name: instance.sendmail("-f", "s@here.test", "r@far.test", input=f"Subject: {name}\n\nx\n")
    try:
        send("first")
        assert wait_until(lambda: sessions)
        instance.reload(smtp_tls_CAfile=authority.cert)
        both = instance.pids("delivery")
        assert len(both) == 2 and set(before) < set(both)
        send("second")
        instance.wait_log(rf"smtp\[{(set(both) - set(before)).pop()}\]: .*status=sent")
        assert set(instance.pids("delivery")) == set(both)
    finally:
        release.set()
        authority.close()
    instance.wait_log(rf"smtp\[{before[0]}\]: .*status=sent")
    instance.wait_queue_empty()
    assert wait_until(lambda: instance.pids("delivery") == sorted(set(both) - set(before)))
    assert sorted(re.search(rb"^Subject: (\w+)", m["content"], re.M)[1] for m in sink.messages) == [b"first", b"second"]
    instance.reload(smtp_tls_CAfile="")
    assert wait_until(lambda: len(instance.pids("delivery")) == 1)
    assert "exit status" not in instance.log()


def test_a_stop_ends_a_worker_that_is_being_replaced(make, peer):
    """It has its grace and no more, like all others."""
    release, authority = threading.Event(), Authority()
    sink = peer(on={"DOT": lambda session, line, peer: release.wait(20) and "250 2.0.0 Ok"})
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "delivery_workers": "1", "shutdown_grace": "1s"})
    try:
        instance.sendmail("-f", "s@here.test", "r@far.test", input="Subject: x\n\nx\n")
        assert wait_until(lambda: "DATA" in sink.commands)
        instance.reload(smtp_tls_CAfile=authority.cert)
        assert len(instance.pids("delivery")) == 2
        begun = time.monotonic()
        instance.stop()
        assert time.monotonic() - begun < 3 and "killed" not in instance.log()
    finally:
        release.set()
        authority.close()
