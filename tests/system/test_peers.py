"""Real peers: Debian's Postfix as sender and as next hop, Knot as the name server, swaks as the client."""
import os, pathlib, re, select, shutil, signal, socket, subprocess, tempfile, time

import pytest
from harness.instance import free_port, wait_until
from harness.postfix import Postfix


@pytest.fixture(scope="module")
def postfix(request):
    server = Postfix()
    request.addfinalizer(server.close)
    return server.start()


def test_postfix_takes_our_mail(make, postfix):
    instance = make({"relayhost": f"[127.0.0.1]:{postfix.port}"})
    with instance.connect() as c:
        c.hello()
        queue_id = c.mail("s@here.test", ["box@sink.test"], "Subject: to postfix\r\n\r\n.dot\r\nbody\r\n".replace("\r\n.dot", "\r\n..dot"))
    line = instance.wait_log(rf"{queue_id}: to=<box@sink\.test>.*status=sent \(250 2\.0\.0 Ok: queued as (\w+)\)")
    got = wait_until(postfix.box, 15)
    assert got and got[0].endswith(b"\n\n.dot\nbody\n") and line[1] in postfix.log()


def test_postfix_refuses_and_the_sender_hears_it(make, postfix):
    instance = make({"relayhost": f"[127.0.0.1]:{postfix.port}"})
    with instance.connect() as c:
        c.hello()
        c.mail("alice@here.test", ["nobody@sink.test"])
    assert b"User unknown in virtual mailbox table" in instance.wait_mail("alice")[0]


def test_postfix_sends_to_us(make):
    instance = make()
    sender = Postfix({"relayhost": f"[127.0.0.1]:{instance.port}", "mydestination": ""})
    try:
        sender.start()
        import smtplib
        with smtplib.SMTP("127.0.0.1", sender.port) as s:
            for i in range(20):
                s.sendmail("p@postfix.test", ["alice@here.test", "bob@here.test"], f"Subject: from postfix {i}\r\n\r\n.x\r\nbody\r\n")
        for user in ("alice", "bob"):
            messages = instance.wait_mail(user, 20, 20)
            assert all(m.endswith(b"\n\n.x\nbody\n") for m in messages)
        assert "status=deferred" not in sender.log()
    finally:
        sender.close()


@pytest.fixture
def knot(request):
    """knot({zone: records}): Debian's Knot DNS with those zones on loopback; "address:port"."""
    def build(zones):
        assert shutil.which("knotd"), "knotd is not installed"
        home, port = pathlib.Path(tempfile.mkdtemp(prefix="knot-test-")), free_port()
        for zone, records in zones.items():
            (home / f"{zone}.zone").write_text(f"$ORIGIN {zone}.\n$TTL 5\n@ SOA ns admin 1 60 60 60 5\n@ NS ns\nns A 127.0.0.1\n{records}\n")
        (home / "knot.conf").write_text(
            f"server:\n  rundir: {home}\n  listen: 127.0.0.1@{port}\n  user: root\ndatabase:\n  storage: {home}\nlog:\n  - target: stderr\n    any: warning\n" + "zone:\n" + "".join(f"  - domain: {z}\n    file: {home}/{z}.zone\n" for z in zones))
        server = subprocess.Popen(["knotd", "-c", str(home / "knot.conf")], stderr=open(home / "log", "w"))
        def end():
            server.terminate()
            server.wait(20)
            shutil.rmtree(home, ignore_errors=True)
        request.addfinalizer(end)
        time.sleep(1)
        assert server.poll() is None, (home / "log").read_text()
        return f"127.0.0.1:{port}"
    return build


def test_zones_of_a_real_name_server(make, peer, knot):
    sink = peer(address="127.0.0.21")
    server = knot({"far.test": "@ MX 10 mx\nmx A 127.0.0.21\nsub CNAME far.test.\nmany TXT \"" + "x" * 200 + "\"\n", "0.127.in-addr.arpa": "22.0 PTR c.far.test.\n"})
    instance = make({"smtp_tcp_port": sink.port, "smtpd_peername_lookup": "yes"}, dns=server)
    with instance.connect() as c:
        c.hello()
        c.mail("s@here.test", ["r@far.test", "r@sub.far.test"])
    wait_until(lambda: sum(len(m["rcpt"]) for m in sink.messages) == 2, 10)
    assert sum(len(m["rcpt"]) for m in sink.messages) == 2
    with instance.connect(source="127.0.0.22") as c:
        c.hello()
    instance.wait_log(r"connect from unknown\[127\.0\.0\.22\]")


def test_five_hundred_silent_zones_hold_up_nobody(make, dns):
    zone = [f"z{i}.silent SILENT" for i in range(500)] + ["quick.test MX 10 mx.quick.test", "mx.quick.test A 127.0.0.1", "55.0.0.127.in-addr.arpa PTR c.quick.test", "c.quick.test A 127.0.0.55"]
    instance = make({"smtpd_sender_restrictions": "reject_unknown_sender_domain", "smtpd_peername_lookup": "yes", "smtpd_client_connection_count_limit": 0, "mynetworks": "127.0.0.77/32"}, dns=dns(zone))
    clients = []
    try:
        for i in range(500):
            c = instance.connect()
            clients.append(c)
            c.send(f"EHLO x.test\r\nMAIL FROM:<a@z{i}.silent>\r\nRCPT TO:<alice@here.test>\r\n")
        time.sleep(0.5)
        started = time.monotonic()
        with instance.connect(source="127.0.0.55") as c:
            c.hello()
            c.cmd("MAIL FROM:<a@quick.test>", 250)
            c.cmd("RCPT TO:<alice@here.test>", 250)
        assert time.monotonic() - started < 1
        instance.wait_log(r"connect from c\.quick\.test\[127\.0\.0\.55\]")
    finally:
        for c in clients:
            c.close()


def test_a_clients_name_is_kept_for_a_second(make, dns):
    """While the resolver stands still: who was just here is greeted by name, and asked for again later."""
    instance = make({"smtpd_peername_lookup": "yes"}, dns=dns(["55.0.0.127.in-addr.arpa PTR c.quick.test", "c.quick.test A 127.0.0.55"]))
    resolver = instance.pids("resolver")[0]
    for _ in range(5):
        with instance.connect(source="127.0.0.55"):
            named = time.monotonic()
        os.kill(resolver, signal.SIGSTOP)
        try:
            with socket.create_connection((instance.address, instance.port), 0.7, ("127.0.0.55", 0)) as known:
                greeted = select.select([known], [], [], 0.5)[0]
            if not greeted and time.monotonic() - named > 0.9:
                continue  # a slow machine
            assert greeted
            time.sleep(1.1)
            with socket.create_connection((instance.address, instance.port), 0.7, ("127.0.0.55", 0)) as forgotten:
                assert not select.select([forgotten], [], [], 0.3)[0]
                os.kill(resolver, signal.SIGCONT)
                assert select.select([forgotten], [], [], 5)[0]
            break
        finally:
            os.kill(resolver, signal.SIGCONT)
    else:
        pytest.fail("no two connections within a second")
    instance.wait_log(r": connect from c\.quick\.test\[127\.0\.0\.55\]", count=3)


def test_swaks_is_content(make):
    assert shutil.which("swaks")
    instance = make()
    done = subprocess.run(["swaks", "--server", f"127.0.0.1:{instance.port}", "--to", "alice@here.test", "--from", "w@there.test", "--body", "by swaks", "--pipeline"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert b"by swaks" in instance.wait_mail("alice")[0]
