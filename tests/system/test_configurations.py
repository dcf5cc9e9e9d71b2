"""Whole configurations as the guides of other programs have them: a main.cf becomes postern.conf, and mail goes where it should."""
import os, re, sqlite3

import pytest
from harness.instance import AS_ROOT, PREFIX, wait_until
from test_aliases import clean, room

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="only root can deliver as other users")
OWN = ("queue_directory", "data_directory", "maillog_file", "dns_servers", "spool_segment_size", "smtpd_workers", "delivery_workers", "smtpd_peername_lookup")


@pytest.fixture
def host(make):
    """host(main, files, sections, NAME=PROGRAM): an instance with that main.cf, about which check has nothing to say. Tables are built by Postfix's names."""
    def run(main, files, sections="", **build):
        instance = make(start=False)
        instance.settings = {name: instance.settings[name] for name in OWN}
        instance.sections = f"{main}[smtp]\nlisten = 127.0.0.1:{instance.port}\n{sections}"
        instance.write_config()
        for name, text in files.items():
            path = instance.confdir / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        for name, program in build.items():
            link = instance.home / program
            if not link.exists():
                link.symlink_to(PREFIX / "sbin" / "postern")
            done = instance.command(link, instance.confdir / name)
            assert done.stdout + done.stderr == "", name
        instance.start()
        done = instance.postern("check", check=False)
        assert (done.stdout + done.stderr, done.returncode) == ("", 0)
        return instance
    return run


@pytest.fixture
def record(room):
    """A program that notes how it is called, and what is called so far."""
    program = room / "record"
    program.write_text(f'#!/bin/sh\nf=$(mktemp {room}/call.XXXXXX) && cat > /dev/null && echo "$@" > $f && mv $f $f.done\n')
    program.chmod(0o755)

    def calls(count):
        wait_until(lambda: len(list(room.glob("call.*.done"))) >= count)
        return sorted(path.read_text().strip() for path in room.glob("call.*.done"))
    return program, calls


def replies(instance, *recipients, sender="s@there.test"):
    """What is said to each, by number; the mail goes to those who exist."""
    with instance.connect() as c:
        c.hello()
        c.cmd(f"MAIL FROM:<{sender}>", 250)
        codes = [c.cmd(f"RCPT TO:<{r}>").code for r in recipients]
        c.cmd("DATA", 354)
        c.cmd("From: Somebody <s@there.test>\r\nSubject: x\r\n\r\nx\r\n.", 250)
    return codes


POSTFIXADMIN = """
domain.cf        SELECT domain FROM domain WHERE domain='%s' AND backupmx = '0' AND active = '1'
relay.cf         SELECT domain FROM domain WHERE domain='%s' AND backupmx = '1' AND active = '1'
alias.cf         SELECT goto FROM alias WHERE address='%s' AND active = '1'
alias_domain.cf  SELECT goto FROM alias,alias_domain WHERE alias_domain.alias_domain = '%d' AND alias.address = '%u' || '@' || alias_domain.target_domain AND alias.active = '1'
mailbox.cf       SELECT maildir FROM mailbox WHERE username='%s' AND active = '1'
"""
POSTFIXADMIN_ROWS = """
create table domain(domain, backupmx, active); create table mailbox(username, maildir, active); create table alias(address, goto, active); create table alias_domain(alias_domain, target_domain);
insert into domain values('own.test','0','1'), ('catch.test','0','1'), ('other.test','0','1'), ('backup.test','1','1'), ('off.test','0','0');
insert into mailbox values('anna@own.test','own.test/anna/','1'), ('o''neil@own.test','own.test/oneil/','1'), ('gone@own.test','own.test/gone/','0');
insert into alias values('anna@own.test','anna@own.test,anna#own.test@autoreply.own.test','1'), ('all@own.test','anna@own.test, o''neil@own.test','1'), ('off@own.test','anna@own.test','0'), ('@catch.test','o''neil@own.test','1');
insert into alias_domain values('other.test','own.test');
"""


def test_postfixadmin(host, clean, record, make):
    program, calls = record
    rows = [line.split(None, 1) for line in POSTFIXADMIN.strip().splitlines()]
    database = program.parent / "mail.db"
    with sqlite3.connect(database) as db:
        db.executescript(POSTFIXADMIN_ROWS)
    db.close()
    os.chmod(database, 0o644)
    instance = host(f"""
# See /usr/share/postfix/main.cf.dist
myhostname = mx.here.test
myorigin = $mydomain
mydestination = $myhostname, localhost.$mydomain,
  # and this one
  localhost
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
alias_maps =
alias_database = $alias_maps
recipient_delimiter = +
biff = no
readme_directory = no
virtual_mailbox_domains = proxy:sqlite:$config_directory/sql/domain.cf
virtual_alias_maps =
   proxy:sqlite:${{config_directory}}/sql/alias.cf,
   proxy:sqlite:$config_directory/sql/alias_domain.cf
virtual_mailbox_maps = proxy:sqlite:$config_directory/sql/mailbox.cf
relay_domains = $mydestination, proxy:sqlite:$config_directory/sql/relay.cf
proxy_read_maps = $virtual_alias_maps $virtual_mailbox_maps $virtual_mailbox_domains $relay_domains
transport_maps = hash:$config_directory/transport
virtual_transport = dovecot
dovecot_destination_recipient_limit = 1
vacation_destination_recipient_limit = 1
mua_sender_restrictions = reject_non_fqdn_sender
transport_services =
  {{ dovecot unix - n n - - pipe
    flags=DRhu user={clean[0]} argv={program} dovecot -f ${{sender}} -d ${{recipient}} }}
  {{ vacation unix - n n - - pipe
    flags=Rq user={clean[0]} argv={program} vacation -f ${{sender}} -- ${{recipient}} }}
""", {"transport": "autoreply.own.test\tvacation:\nbackup.test\tsmtp:[127.0.0.1]:9\n", **{f"sql/{name}": f"dbpath = {database}\nquery = {query}\n" for name, query in rows}},
        f"""[submission]
listen = 127.0.0.1:{make(start=False).port}
syslog_name=postfix/submission
smtpd_reject_unlisted_recipient=no
smtpd_client_restrictions=$mua_client_restrictions
smtpd_helo_restrictions=$mua_helo_restrictions
smtpd_sender_restrictions=$mua_sender_restrictions
smtpd_recipient_restrictions=
smtpd_relay_restrictions=permit_sasl_authenticated,reject
""", transport="postmap")
    assert replies(instance, "Anna+box@own.test", "off@own.test", "gone@own.test", "o'neil@own.test", "any@catch.test", "all@other.test", "none@other.test", "x@backup.test") == [250, 550, 550, 250, 250, 250, 550, 250]
    assert set(calls(7)) == {"dovecot -f s@there.test -d anna@own.test", "dovecot -f s@there.test -d anna+box@own.test", "dovecot -f s@there.test -d o'neil@own.test",
                                     "vacation -f s@there.test -- anna#own.test@autoreply.own.test", "vacation -f s@there.test -- anna#own.test+box@autoreply.own.test"}, instance.log()
    instance.wait_log(r"to=<x@backup\.test>, relay=none, .*status=deferred \(connect to 127\.0\.0\.1")


MAILMAN = """# AUTOMATICALLY GENERATED BY MAILMAN
# Aliases which are visible only in the @lists.test domain.
news@lists.test               lmtp:[127.0.0.1]:{port}
news-bounces@lists.test       lmtp:[127.0.0.1]:{port}
"""


def test_mailman(host, record, peer, make):
    """Mailman 3's tables, and Mailman 2's and Majordomo's aliases beside them."""
    program, calls = record
    lists = peer(name="mailman.test", on={"DOT": "250 2.0.0 Ok\r\n250 2.0.0 Ok"})  # for each of two recipients
    instance = host("""
myhostname = mx.here.test
mydestination = $myhostname, here.test, localhost
myorigin = here.test
recipient_delimiter = +
unknown_local_recipient_reject_code = 550
owner_request_special = no
transport_maps = hash:$config_directory/postfix_lmtp
local_recipient_maps = proxy:unix:passwd.byname $alias_maps
relay_domains = hash:$config_directory/postfix_domains
relay_recipient_maps = $transport_maps
alias_maps = hash:$config_directory/aliases, hash:$config_directory/majordomo
alias_database = $alias_maps
default_privs = nobody
""", {"postfix_lmtp": MAILMAN.format(port=lists.port), "postfix_domains": "lists.test lists.test\n", "aliases": f'old: "|{program} post old"\nold-admin: "|{program} admin old"\nold-owner: old-admin\nowner-old: old-owner\n',
          "majordomo": f'majordomo: "|{program} majordomo"\nclub: "|{program} resend -l club -h here.test club-outgoing"\nclub-outgoing: far@lists.test,\n    "|{program} archive -f club"\nowner-club-outgoing: majordomo,\n'},
        postfix_lmtp="postmap", postfix_domains="postmap", aliases="postalias", majordomo="postalias")
    assert replies(instance, "news@lists.test", "news-bounces+anna=far.test@lists.test", "other@lists.test", "nobody-here@here.test", "Old@here.test", "club@here.test", sender="") == [250, 250, 550, 550, 250, 250]
    assert sorted(lists.wait()[0]["rcpt"]) == ["RCPT TO:<news-bounces+anna=far.test@lists.test>", "RCPT TO:<news@lists.test>"] and "LHLO mx.here.test" in lists.commands
    assert calls(2) == ["post old", "resend -l club -h here.test club-outgoing"], instance.log()
    assert instance.sendmail("-oi", "-odi", "-oem", "-fowner-club", "club-outgoing", input="From: anna@far.test\nSubject: x\n\nx\n").returncode == 0
    assert calls(3)[0] == "archive -f club", instance.log()
    instance.wait_log(r"to=<far@lists\.test>, orig_to=<club-outgoing>, relay=none, .*status=deferred")


def test_a_client_without_mailboxes(host, peer):
    """The null client of Postfix's guides, behind a provider that knows one address of it: cron's mail goes there."""
    hub = peer(name="hub.test")
    instance = host(f"""
myhostname = web1.localdomain
mydomain = localdomain
myorigin = $myhostname
mydestination =
local_transport = error:local delivery is disabled
alias_maps =
local_recipient_maps =
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{hub.port}
smtp_generic_maps = regexp:$config_directory/generic
smtp_sasl_auth_enable = no
smtp_use_tls = no
smtp_tls_security_level =
disable_vrfy_command = yes
header_checks = regexp:$config_directory/header_checks
masquerade_domains = shop.test
masquerade_exceptions = root
""", {"generic": "/^root@(.*)$/ admin@corp.test\n/^(.*)@web[0-9]+\\.localdomain$/ ${1}@corp.test\n", "header_checks": "/^X-Internal:/ IGNORE\n/^Subject: (.*)old(.*)/ REPLACE Subject: ${1}new$2\n"})
    instance.sendmail("-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root", input="From: root (Cron Daemon)\nTo: root\nSubject: Cron an old job\nX-Internal: yes\n\nx\n")
    instance.sendmail("-t", "-i", "-f", "www-data@a.shop.test", input="From: app@b.shop.test\nTo: Anna <anna@far.test>\nBcc: www-data\nSubject: order\n\nx\n")
    one, two = sorted(hub.wait(2), key=lambda m: b"order" in m["content"])
    one, two = ({**m, "rcpt": [r.split(" ORCPT")[0] for r in m["rcpt"]]} for m in (one, two))
    assert one["mail"].startswith("MAIL FROM:<admin@corp.test>") and one["rcpt"] == ["RCPT TO:<admin@corp.test>"]
    assert re.search(rb"^From: (admin@corp\.test \(Cron Daemon\)|Cron Daemon <admin@corp\.test>)\r\nTo: admin@corp\.test\r\nSubject: Cron an new job\r\n", one["content"], re.M) and b"X-Internal" not in one["content"], one["content"]
    assert two["mail"].startswith("MAIL FROM:<www-data@shop.test>") and two["rcpt"] == ["RCPT TO:<anna@far.test>", "RCPT TO:<www-data@corp.test>"] and b"\nFrom: app@shop.test\r\n" in two["content"] and b"Bcc" not in two["content"]
    assert replies(instance, "x@localhost", "x@web1.localdomain") == [250, 250]
