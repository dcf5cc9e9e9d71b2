"""postern reload: what it returns from is in force."""


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
    import os, signal, time
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
