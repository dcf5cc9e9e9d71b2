"""What hostile and broken clients may cost (catalogue B and F)."""
import os, pathlib, socket, subprocess, threading, time

import pytest
from harness.instance import AS_ROOT, wait_until


def rss_kb(instance, role="smtpd"):
    total = 0
    for pid in instance.pids(role):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                total += int(line.split()[1])
    return total


@pytest.mark.parametrize("length,refused", [(500, False), (1000, False), (2000, False), (5000, True), (1_000_000, True)])
def test_long_command_lines_are_bounded(shared, length, refused):
    before = rss_kb(shared)
    with shared.connect() as c:
        c.hello()
        try:
            c.send(b"NOOP " + b"x" * (length - 7) + b"\r\n")
            reply = c.reply()
        except (EOFError, OSError):
            assert refused
        else:
            assert (reply.code == 500) == refused, reply
    with shared.connect() as c:
        c.hello()
    assert rss_kb(shared) - before < 4096


def test_an_endless_line_ends_the_session_and_costs_no_memory(shared):
    before = rss_kb(shared)
    with shared.connect() as c:
        c.sock.settimeout(5)
        try:
            for _ in range(2000):
                c.send(b"x" * 32768)
        except OSError:
            pass
        else:
            pytest.fail("64 MB of a single line were taken")
    assert rss_kb(shared) - before < 4096


def test_errors_are_slowed_and_then_end_the_session(make):
    instance = make({"smtpd_soft_error_limit": 2, "smtpd_hard_error_limit": 5, "smtpd_error_sleep_time": "1s"})
    with instance.connect() as c:
        c.hello()
        for _ in range(3):
            c.cmd("BOGUS")
        started = time.monotonic()
        c.cmd("BOGUS")
        assert time.monotonic() - started >= 0.9
        assert c.cmd("BOGUS").code in (421, 500)
        assert c.closed(5)
    instance.wait_log(r"too many errors after \w+ from unknown\[127\.0\.0\.1\]")


def test_idle_clients_are_told_and_dropped(make):
    instance = make({"smtpd_timeout": "1s"})
    with instance.connect() as c:
        c.hello()
        started = time.monotonic()
        assert c.reply().code == 421
        assert 0.8 < time.monotonic() - started < 4
    instance.wait_log(r"timeout after EHLO from unknown\[127\.0\.0\.1\]")


def test_a_trickle_of_octets_does_not_hold_a_session(make):
    instance = make({"smtpd_timeout": "2s", "smtpd_per_request_deadline": "yes"})
    with instance.connect() as c:
        c.hello()
        started = time.monotonic()
        try:
            for _ in range(40):
                c.send(b"N")
                time.sleep(0.25)
        except OSError:
            pass
        assert time.monotonic() - started < 6 and c.closed(1)


def test_a_lost_client_leaves_no_message(make):
    instance = make()
    for cut in (b"", b"Subject: x\r\n", b"Subject: x\r\n\r\nbody", b"Subject: x\r\n\r\nbody\r\n."):
        with instance.connect() as c:
            c.hello()
            c.envelope()
            c.cmd("DATA", 354)
            c.send(cut)
    for octets in (0, 12, 18, 20):
        instance.wait_log(rf"lost connection after DATA \({octets} bytes\) from ")
    assert not instance.mailbox("alice") and not instance.queue()


def test_the_thousand_and_first_recipient_waits(make):
    instance = make({"local_recipient_maps": "", "smtpd_recipient_limit": 20, "smtpd_recipient_overshoot_limit": 5})
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<s@there.test>", 250)
        for i in range(20):
            c.cmd(f"RCPT TO:<u{i}@here.test>", 250)
        c.cmd("RCPT TO:<u20@here.test>", "452 4.5.3")
        c.data("Subject: x\r\n\r\nx\r\n")


def test_the_size_limit_holds_for_honest_and_lying_clients(make):
    instance = make({"message_size_limit": 10000})
    with instance.connect() as c:
        assert "SIZE 10000" in c.hello().text
        c.cmd("MAIL FROM:<s@there.test> SIZE=10001", "552 5.3.4")
        c.cmd("MAIL FROM:<s@there.test> SIZE=100", 250)
        c.cmd("RCPT TO:<alice@here.test>", 250)
        c.data("Subject: x\r\n\r\n" + ("y" * 70 + "\r\n") * 3000, expect=552)
        c.cmd("RCPT TO:<alice@here.test>", 503)
        c.mail()
    assert len(instance.wait_mail("alice")) == 1


@pytest.mark.parametrize("line", ["BDAT", "BDAT -1", "BDAT 0x10", "BDAT 5 FIRST", "BDAT 99999999999999999999 LAST", "BDAT 18446744073709551616", "BDAT 1 LAST LAST"])
def test_bad_chunk_sizes_are_refused_without_allocating(shared, line):
    before = rss_kb(shared)
    with shared.connect() as c:
        c.hello()
        c.envelope()
        assert c.cmd(line).code in (501, 552, 521, 421)
    assert rss_kb(shared) - before < 4096


@pytest.mark.parametrize("chunks", [[b"Subject: c\r\n\r\nall"], [b"Subject: c\r", b"\n\r\nal", b"l"], [b"Subject: c\r\n\r\nall", b""], [bytes([x]) for x in b"Subject: c\r\n\r\nall\r\n"]])
def test_chunks_make_one_message(make, chunks):
    instance = make()
    with instance.connect() as c:
        c.hello()
        c.envelope("s@there.test", "alice@here.test")
        for i, chunk in enumerate(chunks):
            last = i == len(chunks) - 1
            c.send(b"BDAT %d%s\r\n" % (len(chunk), b" LAST" if last else b"") + chunk)
            assert c.reply().code == 250
    assert instance.wait_mail("alice")[0].endswith(b"\n\nall\n")


def test_dots_are_content_in_chunks(make):
    instance = make()
    body = b"Subject: d\r\n\r\n.\r\n..\r\n.x\r\n"
    with instance.connect() as c:
        c.hello()
        c.envelope()
        c.send(b"BDAT %d LAST\r\n" % len(body) + body)
        assert c.reply().code == 250
    assert instance.wait_mail("alice")[0].endswith(b"\n\n.\n..\n.x\n")


def test_data_and_bdat_do_not_mix_and_reset_swallows(shared):
    with shared.connect() as c:
        c.hello()
        c.envelope()
        c.send(b"BDAT 6\r\nhello\n")
        assert c.reply().code == 250
        c.cmd("DATA", 503)
        c.cmd("RSET", 250)
        c.cmd("DATA", 503)
        c.send(b"BDAT 6 LAST\r\nNOOP\r\n")
        assert c.reply().code == 503
        c.cmd("NOOP", 250)


def test_chunks_over_the_limit_are_refused(make):
    instance = make({"message_size_limit": 10000})
    with instance.connect() as c:
        c.hello()
        c.envelope()
        codes = []
        for _ in range(8):
            c.send(b"BDAT 2000\r\n" + b"x" * 1998 + b"\r\n")
            codes.append(c.reply().code)
            if codes[-1] >= 400:
                break
        assert codes[-1] == 552
        c.cmd("NOOP", 250)


def test_a_client_that_talks_first_is_found_out(make):
    instance = make()
    sock = socket.create_connection((instance.address, instance.port))
    sock.sendall(b"EHLO early.test\r\nMAIL FROM:<a@b.test>\r\n")
    sock.settimeout(5)
    data = b""
    try:
        while (more := sock.recv(4096)):
            data += more
            if b"\n250 " in data or data.count(b"\r\n") > 12:
                break
    except (TimeoutError, ConnectionError):
        pass
    sock.close()
    assert b"250 2.1.0" not in data


def test_hop_counts_end_loops(make):
    instance = make({"hopcount_limit": 10})
    with instance.connect() as c:
        c.hello()
        c.envelope()
        reply = c.data("Received: x\r\n" * 11 + "Subject: x\r\n\r\nx\r\n", expect=554)
        assert "5.4.0" in repr(reply) or "5.4.6" in repr(reply)


def test_connection_count_and_rate_hold_across_workers(make):
    instance = make({"smtpd_workers": 2, "smtpd_client_connection_count_limit": 3, "smtpd_client_event_limit_exceptions": "", "mynetworks": "127.0.0.99/32"})
    clients = [instance.connect(source="127.0.0.5") for _ in range(3)]
    refused = instance.connect(source="127.0.0.5", banner=False)
    assert refused.reply().code == 421
    with instance.connect(source="127.0.0.6") as other:
        assert other.banner.code == 220
    clients[0].cmd("QUIT", 221)
    clients[0].close()
    def again():
        with instance.connect(source="127.0.0.5", banner=False) as c:
            return c.reply().code == 220
    assert wait_until(again, 5, 0.1)
    for c in clients:
        c.close()


def test_connection_rate_is_limited(make):
    instance = make({"smtpd_client_connection_rate_limit": 5, "smtpd_client_event_limit_exceptions": "", "mynetworks": "127.0.0.99/32"})
    codes = []
    for _ in range(7):
        with instance.connect(source="127.0.0.7", banner=False) as c:
            codes.append(c.reply().code)
    assert codes[:5] == [220] * 5 and codes[5:] == [421] * 2
    instance.wait_log(r"warning: Connection rate limit exceeded: \d+ from unknown\[127\.0\.0\.7\] for service smtp")


def test_a_thousand_idle_sessions_keep_nobody_waiting(make):
    instance = make({"smtpd_client_connection_count_limit": 0})
    socks = []
    try:
        for i in range(1000):
            s = socket.create_connection((instance.address, instance.port), timeout=10)
            socks.append(s)
        for s in socks:
            s.settimeout(10)
            assert s.recv(200).startswith(b"220")
        started = time.monotonic()
        with instance.connect() as c:
            c.hello()
        assert time.monotonic() - started < 1
    finally:
        for s in socks:
            s.close()


@pytest.mark.skipif(not AS_ROOT, reason="mounts a small file system")
def test_a_full_disk_is_452_and_recovers(make):
    instance = make(start=False)
    queue = instance.home / "queue"
    queue.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(queue)], check=True)
    try:
        instance.settings["message_size_limit"] = 2_000_000
        instance.settings["relayhost"] = "[127.0.0.1]:9"
        instance.settings["minimal_backoff_time"] = "600s"
        instance.settings["notify_classes"] = ""  # postmaster's notice of the full disk would count
        instance.start()
        codes = []
        with instance.connect() as c:
            c.hello()
            for _ in range(60):
                reply = c.cmd("MAIL FROM:<s@here.test>")
                if reply.code == 250:
                    c.cmd("RCPT TO:<r@far.test>", 250)
                    reply = c.data("Subject: fill\r\n\r\n" + ("z" * 76 + "\r\n") * 12000, expect=None)
                    reply = reply if not isinstance(reply, str) else None
                codes.append(reply.code if reply else 250)
                if codes[-1] != 250:
                    assert "4.3.1" in repr(reply), reply
                    break
        assert codes[-1] == 452 and codes.count(250) >= 3, codes
        accepted = codes.count(250)
        assert len(instance.queue()) == accepted
        instance.postern("queue", "delete", "--all")
        def taken():
            with instance.connect() as c:
                c.hello()
                return c.cmd("MAIL FROM:<s@here.test>").code == 250
        assert wait_until(taken, 20, 0.3)
        with instance.connect() as c:
            c.hello()
            c.mail()
        instance.wait_mail("alice")
    finally:
        instance.stop(check=False)
        subprocess.run(["umount", str(queue)])
