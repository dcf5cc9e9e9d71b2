"""postern check: mistakes that only whoever knows what the words mean can see."""
import re

import pytest


@pytest.fixture
def check(make):
    """check(settings, sections): what is said, and the instance, which does not run."""
    def run(settings, sections=None):
        instance = make(settings, start=False) if sections is None else make(settings, sections=sections, start=False)
        instance.write_config()
        done = instance.postern("check", check=False)
        return done.stdout + done.stderr, instance
    return run


def test_answers_of_access_tables(check, make):
    other = make(start=False)
    other.write_config()
    hashed, rules, plain = (other.home / name for name in ("hashed", "rules", "plain"))
    hashed.write_text("good.test OK\n# no\nbad.test REJET go\n  away\n192.0.2.1 450 4.7.1 later\n1.test 1089\nlist.test permit_mynetworks, check_sender_access inline:{x=OK}, reject\nclass.test ours\nnone.test nonsuch, reject\n")
    rules.write_text("/^a/ OKAY\n/^b(.*)/ REJECT $1\nif /x/\n/^c(.*)/ FILTER $1\n/^d/ FILTER smtp\nendif\n/^e(.*)/ $1\n/^f/ check_client_access\n")
    plain.write_text("p.test PREPEND nothing\np2.test prepend X-A: b\nr.test REDIRECT nobody\nb.test bcc a@here.test\n")
    for path in (hashed, rules, plain):
        path.chmod(0o644)
    other.postern("map", f"hash:{hashed}")
    said, _ = check({"smtpd_restriction_classes": "ours", "ours": f"check_helo_access texthash:{plain}, reject", "smtpd_sender_restrictions": f"check_sender_access hash:{hashed}, regexp:{rules}, check_sender_access hash:{hashed}",
                     "smtpd_client_restrictions": "check_client_access inline:{ { 127.0.0.1 = PERMITTED } }"})
    sender = "smtpd_sender_restrictions"
    for line in (f'{hashed}:3: {sender}: bad.test: "REJET go  away": neither an action nor a restriction\n', f'{hashed}:9: {sender}: none.test: "nonsuch, reject": neither an action', f'{rules}:1: {sender}: "OKAY": neither',
                 f'{rules}:5: {sender}: "FILTER smtp": without transport:destination', f'{rules}:8: {sender}: "check_client_access": a restriction without its table', f'{plain}:1: ours: p.test: "PREPEND nothing": with text that is no header field',
                 f'{plain}:3: ours: r.test: "REDIRECT nobody": without an address', 'smtpd_client_restrictions: 127.0.0.1: "PERMITTED": neither'):
        assert line in said, (line, said)
    assert sum(said.count(f"{path}:") for path in (hashed, rules, plain)) == 7, said


def test_a_domain_of_two_classes(check, make):
    other = make(start=False)
    table, names = other.home / "virtual", other.home / "names"
    table.write_text("@other.test x@far.test\nHere.test anything\nboth.test x\nuser@here.test y@far.test\nonly.test x\n")
    names.write_text("both.test !never.test\nnever.test\n")
    for path in (table, names):
        path.chmod(0o644)
    said, instance = check({"virtual_alias_domains": f"texthash:{table}", "virtual_mailbox_domains": "pattern.test, sub.relayed.test", "relay_domains": f"regexp:{other.home}/rules, here.test, relayed.test, {names}"})
    (other.home / "rules").write_text("/^pattern/ x\n")
    said = instance.postern("check", check=False).stdout
    rows = [row.split("postern.conf:")[1].split(":", 1)[1] for row in said.splitlines() if "which alone counts" in row]
    assert sorted(rows) == [f" {parameter}: warning: {domain} is in {first}, too, which alone counts" for parameter, domain, first in (
        ("relay_domains", "both.test", "virtual_alias_domains"), ("relay_domains", "pattern.test", "virtual_mailbox_domains"),
        ("relay_domains", "sub.relayed.test", "virtual_mailbox_domains"), ("virtual_alias_domains", "here.test", "mydestination"))], said


def test_what_a_section_cannot_set(check):
    said, instance = check({}, "[smtp]\nlisten = 127.0.0.1:1\nqueue_directory = /var/x\nmyhostname = a.b.test\nsmtp_helo_name = c.test\nrelayhost = d.test\nsmtpd_banner = $relayhost\nslow_destination_rate_delay = 1s\nsmtpd_helo_required = yes\n")
    lines = (instance.confdir / "postern.conf").read_text().splitlines()
    for name in ("queue_directory", "smtp_helo_name", "slow_destination_rate_delay"):
        line = max(number for number, text in enumerate(lines, 1) if text.startswith(name + " ="))
        assert f"postern.conf:{line}: {name}: counts for the whole instance: in section [smtp] it changes nothing\n" in said, said
    assert said.count("whole instance") == 3, said


@pytest.mark.parametrize("name,text", [("1.2.3.4", "a name is meant, not an address"), ("[192.0.2.1]", "a name is meant"), ("2001:db8::1", "a name is meant"), ("mx", "a full name with a domain is meant"), ("mx1.2", None),
                                       ("'mx.here.test'", "the name of a domain is meant"), ("mx.here.test.", "the name of a"), ("mx..test", "the name of a"), ("http://mx.test", "the name of a"), ("mx_1.b\u00fccher.test", None)])
def test_the_hosts_name(check, name, text):
    said, _ = check({"myhostname": name})
    assert (f"myhostname = {name}: {text or ''}" in said) == (text is not None), said
    if text == "the name of a":
        assert f"mydomain = {name}: the name of a domain is meant" in check({"mydomain": name})[0]


def test_words_of_openssl(check):
    """A listener whose words it does not know offers no TLS; that was told only in the log."""
    wrong = {"tls_ssl_options": "NO_TICKETS", "tls_medium_cipherlist": "NOSUCH", "smtpd_tls_exclude_ciphers": "RC4, !MD5", "tls_eecdh_auto_curves": "curve9", "tls_ffdhe_auto_groups": ""}
    said, _ = check(wrong)
    for name, why in (("tls_ssl_options", 'unknown OpenSSL option "NO_TICKETS"'), ("tls_medium_cipherlist", "OpenSSL has no such cipher"),
                      ("smtpd_tls_exclude_ciphers", 'invalid cipher exclusion "!MD5"'), ("tls_eecdh_auto_curves", 'no known key exchange group in "curve9"')):
        assert f" {name} = {wrong[name]}: {why}\n" in said, (name, said)
    said, _ = check({"tls_medium_cipherlist": "NOSUCH"}, "[smtp]\nlisten = 127.0.0.1:1\nsmtpd_tls_exclude_ciphers = !MD5\n")
    assert said.count("NOSUCH") == 1 and " smtpd_tls_exclude_ciphers = !MD5: invalid cipher exclusion" in said, said
    assert "tls_" not in check({"tls_ssl_options": "NO_TICKET, 0x4", "tls_medium_cipherlist": "aNULL:-aNULL:HIGH:@STRENGTH", "smtp_tls_exclude_ciphers": "RC4"})[0]


def test_transports_that_nobody_declares(check, make, peer):
    """What stood in master.cf: by SMTP such mail would come back to this host. It waits, as with Postfix."""
    sink = peer()
    routes = make(start=False).home / "routes"
    routes.write_text("/^a@/ :[127.0.0.1]\n/^b(.*)@/ $1:x\n/^c@/ maildrop:\n")
    routes.chmod(0o644)
    table = "inline:{ { fax.test = fax:[127.0.0.1]:%d } { gone.test = error:5.1.2 gone } }" % sink.port
    settings = {"transport_maps": table, "fax_destination_recipient_limit": "1", "virtual_mailbox_domains": "v.test", "virtual_transport": "dovecot", "dovecot_destination_concurrency_limit": "1", "fallback_transport": "slow:[127.0.0.1]:1", "slow_destination_concurrency_limit": "1", "mailbox_transport_maps": f"regexp:{routes}"}
    said, _ = check({**settings, "relay_transport": "uucp"}, "[smtp]\nlisten = 127.0.0.1:1\ncontent_filter = amavis:[127.0.0.1]:10024\n")
    for line in (f"{table}: fax.test: transport fax is not in transport_services: mail for it waits\n", f"{routes}:3: transport maildrop is not",
                 "relay_transport: transport uucp is not", "virtual_transport: transport dovecot is not", "content_filter: transport amavis is not"):
        assert line in said, (line, said)
    assert said.count("transport_services") == 5, said
    instance = make({**settings, "minimal_backoff_time": "300s"})
    assert "  which is not in transport_services: mail for it waits\n" in instance.postern("route", "x@v.test").stdout
    instance.sendmail("r@fax.test", input="Subject: a fax\n\nx\n")
    queue_id = instance.wait_log(r"(\w+): to=<r@fax\.test>, relay=none, .*, dsn=4\.3\.0, status=deferred \(mail transport unavailable: no fax in transport_services\)").group(1)
    assert "  which is not in transport_services: mail for it waits\n" in instance.postern("route", "r@fax.test").stdout
    instance.reload(transport_services="fax unix - - n - - smtp")
    assert "waits" not in instance.postern("route", "r@fax.test").stdout
    instance.postern("queue", "requeue", queue_id)
    assert sink.wait(1)
    instance.wait_log(f"{queue_id}: removed")


def test_directories_of_postfix_are_left_alone(check):
    """A main.cf names them: its master would be started in our place, its queue would get other owners."""
    said, instance = check({})
    programs, queue, data = (instance.home / name for name in ("libexec", "postfix-queue", "postfix-data"))
    for path in (programs, *(queue / name for name in ("active", "incoming", "deferred", "maildrop")), data):
        path.mkdir(parents=True)
    (programs / "master").write_text(f"#!/bin/sh\ntouch {instance.home}/started\n")
    (programs / "master").chmod(0o755)
    (data / "master.lock").touch()
    modes = {path: path.stat() for path in queue.iterdir()}
    for name, path in (("daemon_directory", programs), ("queue_directory", queue), ("data_directory", data)):
        text, other = f"{name}: {path}: ", check({name: path})[1]
        said = other.postern("check", check=False).stdout
        assert [line for line in said.splitlines() if str(path) in line and re.match(rf"{other.confdir}/postern.conf:\d+: {text}", line)] and said.count(str(path)) == 1, said
        for command in ("start", "start-fg", "setup"):
            done = other.postern(command, check=False)
            assert done.returncode == 78 and text in done.stderr and "leave the line out" in done.stderr, done
    assert not (instance.home / "started").exists() and modes == {path: path.stat() for path in queue.iterdir()}


def test_what_is_not_there_yet_is_told_once(check):
    said, _ = check({"smtpd_recipient_restrictions": "reject_unauth_destination, check_policy_service unix:private/quota, check_policy_service { inet:127.0.0.1:9, default_action=DUNNO }", "lmtp_tls_security_level": "dane-only"})
    assert said.count("does not have the restriction check_policy_service of Postfix: mail that meets it is deferred") == 1 and "private/quota" not in said, said
    assert "lmtp_tls_security_level = dane-only: Postern does not have DANE of Postfix" in said, said


def test_a_tables_line_is_the_one_that_names_it(check):
    """A listener that sets the list anew, without tables, is not to blame; nor is the last of two that have one each."""
    said, instance = check({"smtpd_helo_restrictions": "permit_mynetworks,\n  # all of them\n  check_helo_access pcre:/nowhere/helo", "tables": "hash:/nowhere/senders", "smtpd_sender_restrictions": "check_sender_access $tables"},
                           "[smtp]\nlisten = 127.0.0.1:1\nsmtpd_client_restrictions = check_client_access cidr:/nowhere/first\n"
                           "[inside]\nlisten = 127.0.0.1:2\nsmtpd_helo_restrictions =\nsmtpd_sender_restrictions =\nsmtpd_client_restrictions = check_client_access cidr:/nowhere/second\n")
    lines = (instance.confdir / "postern.conf").read_text().splitlines()
    for parameter, text, says in (("smtpd_helo_restrictions", " = permit", "/nowhere/helo"), ("smtpd_sender_restrictions", " = check", "/nowhere/senders.db"),
                                  ("smtpd_client_restrictions", "/nowhere/first", "/nowhere/first"), ("smtpd_client_restrictions", "/nowhere/second", "/nowhere/second")):
        line = next(number for number, row in enumerate(lines, 1) if row.startswith(parameter) and text in row)
        assert re.search(rf"postern.conf:{line}: {parameter}: open (database )?{says}: ", said), (line, says, said)


def test_sockets_of_other_programs(check):
    """Dovecot's are in Postfix's queue directory, or where lmtp_unix_sockets does not lead."""
    said, instance = check({"virtual_transport": "lmtp:unix:private/dovecot-lmtp", "mailbox_transport": "store:unix:/srv/cyrus/lmtp", "transport_services": "{ store lmtp } { file pipe user=nobody argv=/bin/cat }",
                            "transport_maps": "inline:{ { a.test = lmtp:unix:/nowhere/lmtp } { b.test = lmtp:unix:/var/run/dovecot/lmtp } { c.test = lmtp:inet:127.0.0.1:24 } { d.test = file:unix:/x } }",
                            "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "private/auth", "smtpd_sasl_auth_enable": "yes"}, "[smtp]\nlisten = 127.0.0.1:1\n[submission]\nlisten = 127.0.0.1:2\n")
    queue = instance.home / "queue"
    for line in ("mailbox_transport: /srv/cyrus/lmtp: lmtp_unix_sockets does not name it: mail for it waits\n", f"virtual_transport: warning: {queue}/private/dovecot-lmtp: there is no such socket yet\n",
                 f"smtpd_sasl_path: warning: {queue}/private/auth: there is no such socket yet\n", ": a.test: /nowhere/lmtp: lmtp_unix_sockets does not name it"):
        assert said.count(line) == 1, (line, said)
    assert not re.search(r"(b|c|d)\.test: ", said), said
    said, _ = check({"smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "inet:dovecot:10001", "smtpd_sasl_auth_enable": "yes"})
    assert said.count("smtpd_sasl_path") == said.count("smtpd_sasl_path: inet:dovecot:10001: not inet:address:port or inet:localhost:port") == 1, said
    assert "  /nowhere/lmtp: lmtp_unix_sockets does not name it" in instance.postern("route", "x@a.test").stdout and "waits" not in instance.postern("route", "x@b.test").stdout


def test_a_table_that_was_not_built_is_told_with_what_builds_it(check, make):
    other = make(start=False)
    for name in ("aliases", "lists", "virtual"):
        (other.home / name).write_text("a b\n" if name == "virtual" else "a: alice\n")
    said, instance = check({"alias_database": f"hash:{other.home}/aliases", "alias_maps": f"$alias_database hash:{other.home}/lists", "virtual_alias_maps": f"cdb:{other.home}/virtual, hash:{other.home}/none", "message_size_limit": "60000000"})
    for line in (f"alias_database: open database {other.home}/aliases.db: No such file or directory (newaliases builds it)\n", f"No such file or directory (postern alias hash:{other.home}/lists builds it)\n",
                 f"/virtual.cdb: No such file or directory (postern map cdb:{other.home}/virtual builds it)\n", f"{other.home}/none.db: No such file or directory\n"):
        assert said.count(line) == 1, (line, said)
    assert re.search(rf"^{instance.confdir}/postern.conf:\d+: mailbox_size_limit is smaller than message_size_limit$", said, re.M), said
