"""LMTP over UNIX sockets, which master reaches for delivery; Dovecot at the other end (conventions D9)."""
import imaplib, os, pathlib, pwd, re, shutil, socket, socketserver, subprocess, threading, time

import pytest
from harness.instance import AS_ROOT, free_port, wait_until
from test_aliases import room, send

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="a socket below the queue directory is root's")


class Lmtp(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.conversations += 1
        self.wfile.write(b"220 mda LMTP\r\n")
        recipients, line = [], b" "
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"LHLO":
                self.wfile.write(b"250-mda\r\n250 PIPELINING\r\n")
            elif verb == b"MAIL":
                recipients = []
                self.wfile.write(b"250 2.1.0 Ok\r\n")
            elif verb == b"RCPT":
                recipients.append(line)
                self.wfile.write(b"250 2.1.5 Ok\r\n")
            elif verb == b"DATA":
                self.wfile.write(b"354 go\r\n")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
                for r in recipients:
                    self.wfile.write(b"552 5.2.2 full\r\n" if b"full" in r else b"451 4.2.0 busy\r\n" if b"busy" in r else b"250 2.0.0 Saved\r\n")
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.flush()


@pytest.fixture
def listener(request):
    def build(path):
        pathlib.Path(path).parent.mkdir(exist_ok=True, parents=True)
        server = socketserver.ThreadingUnixStreamServer(str(path), Lmtp)
        server.daemon_threads, server.conversations = True, 0
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        request.addfinalizer(server.server_close)
        request.addfinalizer(server.shutdown)
        return server
    return build


def start(make, nexthop, **settings):
    return make({"virtual_mailbox_domains": "v.test", "virtual_mailbox_maps": "static:x", "virtual_transport": f"lmtp:unix:{nexthop}", "soft_bounce": "no", **settings})


def test_a_reply_for_each_recipient_and_the_connection_is_used_again(make, listener):
    instance = start(make, "private/mda")
    server = listener(instance.home / "queue" / "private" / "mda")
    queue_id = send(instance, ["good@v.test", "full@v.test", "busy@v.test"], sender="")
    line = rf"postern/lmtp\[\d+\]: {queue_id}: to=<NAME@v\.test>, relay=mx\.here\.test\[private/mda\], .*"
    instance.wait_log(line.replace("NAME", "good") + r"dsn=2\.0\.0, status=sent \(250 2\.0\.0 Saved\)")
    instance.wait_log(line.replace("NAME", "full") + r"dsn=5\.2\.2, status=bounced")
    instance.wait_log(line.replace("NAME", "busy") + r"dsn=4\.2\.0, status=deferred")
    for i in range(5):
        send(instance, "good@v.test", sender="")
    instance.wait_log(r"to=<good@v\.test>.*status=sent", count=6)
    assert server.conversations < 6


def test_what_lmtp_unix_sockets_does_not_name_is_out_of_reach(make, listener, room):
    instance = start(make, "private/mda", virtual_mailbox_domains="a.test b.test c.test d.test e.test f.test", lmtp_unix_sockets=f"private/, {room}/one", minimal_backoff_time="300s",
                     transport_maps=f"inline:{{ {{ a.test = lmtp:unix:{room}/one }} {{ b.test = lmtp:unix:{room}/two }} {{ c.test = lmtp:unix:private/master }} {{ d.test = lmtp:unix:public/pickup }} "
                                    "{ e.test = lmtp:unix:private/../private/master } { f.test = lmtp:unix:private/missing } }")
    listener(room / "one")
    two = listener(room / "two")
    for name in "abcdef":
        send(instance, f"x@{name}.test", sender="")
    instance.wait_log(r"to=<x@a\.test>.*status=sent \(250 2\.0\.0 Saved\)")
    for name in "bde":
        instance.wait_log(rf"to=<x@{name}\.test>, relay=none, .*dsn=4\.4\.1, status=deferred \(connect to .*: lmtp_unix_sockets does not name it\)")
    instance.wait_log(r"to=<x@c\.test>, relay=none, .*dsn=4\.4\.1, status=deferred \(connect to .*: it is a socket of Postern's own\)")
    instance.wait_log(r"to=<x@f\.test>, relay=none, .*dsn=4\.4\.1, status=deferred \(connect to mx\.here\.test\[private/missing\]: No such file or directory\)")
    assert two.conversations == 0


@pytest.mark.skipif(not shutil.which("dovecot") or not os.path.exists("/usr/lib/dovecot/lmtp"), reason="needs dovecot-lmtpd and dovecot-imapd")
def test_a_mail_through_dovecot_is_read_by_an_imap_client(make, room, system_users, request):
    user, port = system_users[0], free_port()
    entry = pwd.getpwnam(user)
    instance = start(make, "private/dovecot-lmtp", virtual_mailbox_maps="inline:{ { info@v.test = x } }")
    home = room / "mail"
    home.mkdir()
    os.chown(home, entry.pw_uid, entry.pw_gid)
    (room / "dovecot.conf").write_text(f"""
protocols = imap lmtp
listen = 127.0.0.1
base_dir = {room}/run
state_dir = {room}/state
log_path = {room}/dovecot.log
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{home}/%u
first_valid_uid = 1
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={entry.pw_uid} gid={entry.pw_gid} home={home}/%u allow_all_users=yes
}}
service lmtp {{
  unix_listener {instance.home}/queue/private/dovecot-lmtp {{
    mode = 0600
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
""")
    dovecot = subprocess.Popen(["dovecot", "-F", "-c", str(room / "dovecot.conf")])
    request.addfinalizer(dovecot.wait)
    request.addfinalizer(dovecot.terminate)
    assert wait_until(lambda: (instance.home / "queue" / "private" / "dovecot-lmtp").exists()), (room / "dovecot.log").read_text()
    subprocess.run(["swaks", "--server", f"{instance.address}:{instance.port}", "--from", "s@there.test", "--to", "info@v.test", "--header", "Subject: through Dovecot", "--body", "it arrived"], check=True, capture_output=True)
    instance.wait_log(r"to=<info@v\.test>, relay=mx\.here\.test\[private/dovecot-lmtp\], .*dsn=2\.0\.0, status=sent \(250 2\.0\.0 <info@v\.test> \S+ Saved\)")
    imap = imaplib.IMAP4("127.0.0.1", port)
    imap.login("info@v.test", "secret")
    assert imap.select("INBOX")[1] == [b"1"]
    text = imap.fetch("1", "(RFC822)")[1][0][1]
    assert b"Subject: through Dovecot\r\n" in text and b"it arrived" in text and text.startswith(b"Return-Path: <s@there.test>\r\n")
    imap.logout()


def test_lmtp_has_times_and_a_name_of_its_own(make, listener):
    """The server never answers MAIL: lmtp_mail_timeout ends that, whatever the SMTP client's would be."""
    class Slow(Lmtp):
        def handle(self):
            self.wfile.write(b"220 mda LMTP\r\n")
            self.server.hello = self.rfile.readline()
            self.wfile.write(b"250 mda\r\n")
            while self.rfile.readline():
                pass

    instance = start(make, "private/mda", lmtp_mail_timeout="1s", lmtp_lhlo_name="mda.client.test")
    server = listener(instance.home / "queue" / "private" / "mda")
    server.RequestHandlerClass = Slow
    queue_id = send(instance, ["good@v.test"], sender="")
    instance.wait_log(rf"{queue_id}: to=<good@v\.test>, .*status=deferred \(conversation with \S+ timed out while sending MAIL FROM\)", 10)
    assert server.hello == b"LHLO mda.client.test\r\n"


@pytest.mark.parametrize("goes", [False, True])
def test_421_for_one_recipient_says_nothing_of_the_others(make, peer, goes):
    """RFC 2033, 4.2: each recipient's reply stands for itself. Who has the mail already must not get it again."""
    def dot(session, line, p):
        for reply in ["250 2.0.0 one", "421 4.3.2 not you"] + ["250 2.0.0 three"] * goes:
            session.say(reply)
        return None if goes else "!close"

    far = peer(on={"LHLO": "250-x\r\n250 PIPELINING", "DOT": dot})
    instance = make({"virtual_mailbox_domains": "v.test", "virtual_mailbox_maps": "static:x", "virtual_transport": f"lmtp:inet:[127.0.0.1]:{far.port}", "minimal_backoff_time": "300s"})
    send(instance, ["one@v.test", "two@v.test", "three@v.test"], sender="")
    instance.wait_log(r"to=<one@v\.test>.*status=sent \(250 2\.0\.0 one\)")
    instance.wait_log(r"to=<two@v\.test>.*dsn=4\.3\.2, status=deferred \(.* said: 421 4\.3\.2 not you")
    instance.wait_log(r"to=<three@v\.test>.*" + (r"status=sent \(250 2\.0\.0 three\)" if goes else r"dsn=4\.4\.2, status=deferred \(lost connection .*may be sent more than once"))
    send(instance, ["one@v.test"], sender="")  # who said 421 is not asked again on that connection
    instance.wait_log(r"to=<one@v\.test>.*status=sent", count=2)
    assert far.connections == 2


def test_a_server_that_wants_content_for_nobody_is_not_waited_for(make, peer):
    far = peer(on={"LHLO": "250-x\r\n250 PIPELINING", "RCPT": "450 4.2.1 busy", "DATA": "354 go", "DOT": lambda session, line, p: None})
    instance = make({"virtual_mailbox_domains": "v.test", "virtual_mailbox_maps": "static:x", "virtual_transport": f"lmtp:inet:[127.0.0.1]:{far.port}", "minimal_backoff_time": "300s"})
    send(instance, ["one@v.test", "two@v.test"], sender="")
    instance.wait_log(r"to=<(one|two)@v\.test>.*dsn=4\.2\.1, status=deferred", count=2)


def test_its_own_names_count_where_they_are_set(make, peer):
    """lmtp_... and smtp_... are two things, as in Postfix."""
    mda, relay, gone = peer(on={"LHLO": "250-mda\r\n250-SIZE 10000000\r\n250 DSN"}), peer(), free_port()
    instance = make({"default_transport": f"smtp:[127.0.0.1]:{relay.port}", "transport_maps": f"inline:{{ v.test=lmtp:inet:127.0.0.1:{mda.port} w.test=lmtp:inet:127.0.0.1:{gone} o.test=own:inet:127.0.0.1:{mda.port} }}",
                     "smtp_discard_ehlo_keywords": "dsn", "transport_services": "{ own unix - - n - - lmtp -o lmtp_discard_lhlo_keywords=smtputf8 }"})
    def mail(recipient):
        before = len(mda.messages)
        send(instance, [recipient], sender="s@here.test")
        return mda.wait(before + 1)[before]
    assert "SIZE" in mail("r@v.test")["mail"] and "ORCPT" in mda.messages[0]["rcpt"][0]
    assert "ORCPT" in mail("r@o.test")["rcpt"][0]
    instance.reload(lmtp_discard_lhlo_keywords="size", lmtp_fallback_relay=f"127.0.0.1:{mda.port}")
    after = mail("r@v.test")
    assert "SIZE" not in after["mail"] and "ORCPT" in after["rcpt"][0]
    send(instance, ["r@far.test"], sender="s@here.test")
    assert "SIZE" in relay.wait()[0]["mail"] and "ORCPT" not in relay.messages[0]["rcpt"][0]
    assert "r@w.test" in mail("r@w.test")["rcpt"][0]
