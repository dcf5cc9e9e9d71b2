"""Files of hash, btree, cdb and lmdb tables: Debian's Postfix reads what 'postern map' and 'postern alias' write, and the other way round."""
import os, re, signal, subprocess, time

import pytest

from harness.instance import PREFIX, wait_until
from harness.postfix import Postfix

KINDS = ("hash", "btree", "cdb", "lmdb")
SOURCE = """# a comment
Carl@Virt.Test   alice@here.test,
   bob@here.test
"a b"@virt.test\tquoted
grün@virt.test   green
GRÜN@big.test    capitals
Straße@virt.test street
@catch.test      everybody # and no comment here
x                  1  two   spaces
""" + "".join(f"user{i}@many.test value {i}\n" for i in range(1200)) + f"{'k' * 400}@long.test {'v' * 1500}\n"
ENTRIES = {"carl@virt.test": "alice@here.test,   bob@here.test", '"a b"@virt.test': "quoted", "grün@virt.test": "green", "grün@big.test": "capitals", "strasse@virt.test": "street", "@catch.test": "everybody # and no comment here", "x": "1  two   spaces",
           "user0@many.test": "value 0", "user1199@many.test": "value 1199", "k" * 400 + "@long.test": "v" * 1500}
ALIASES = "Root: alice\n\"odd name\": bob, \"|/bin/cat > /dev/null\"\nlist: :include:/etc/list,\n  carl\n"


@pytest.fixture(scope="module")
def postfix(request):
    server = Postfix(tables=True)
    request.addfinalizer(server.close)
    return server


def ours(*words, input=None):
    return subprocess.run([str(PREFIX / "sbin/postern"), *words], capture_output=True, text=True, errors="replace", timeout=60, input=input)


def theirs(postfix, program, *words, input=None):
    return postfix.inside(f"/usr/sbin/{program}", "-c", f"{postfix.home}/etc", *words, input=input)


def test_each_reads_the_others_files(postfix, tmp_path):
    for kind in KINDS:
        for builder in ("postfix", "postern"):
            source = tmp_path / f"{builder}-{kind}"
            source.write_text(SOURCE)
            built = theirs(postfix, "postmap", f"{kind}:{source}") if builder == "postfix" else ours("map", f"{kind}:{source}")
            assert built.returncode == 0 and built.stderr == "", (kind, builder, built.stderr)
            table = f"{kind}:{source}"
            keys = "".join(f"{key}\n" for key in [*ENTRIES, "CARL@virt.TEST", "GRÜN@VIRT.test", "STRASSE@virt.test", "straße@virt.test", "nobody@virt.test", "user1200@many.test"])
            want = "".join(f"{key}\t{value}\n" for key, value in {**ENTRIES, "CARL@virt.TEST": ENTRIES["carl@virt.test"], "GRÜN@VIRT.test": "green", "STRASSE@virt.test": "street", "straße@virt.test": "street"}.items())
            for asker, done in (("postfix", theirs(postfix, "postmap", "-q", "-", table, input=keys)), ("postern", ours("map", "-q", "-", table, input=keys))):
                assert done.stdout == want, (kind, builder, asker, done.stderr)
            if kind == "cdb":
                continue  # Postfix cannot list these
            everything = [set(done.stdout.splitlines()) for done in (theirs(postfix, "postmap", "-s", table), ours("map", "-s", table))]
            assert everything[0] == everything[1] and len(everything[0]) == len(ENTRIES) + 1200 - 2, (kind, builder)


def test_each_adds_to_the_others_files(postfix, tmp_path):
    for kind in KINDS:
        for builder in ("postfix", "postern"):
            source = tmp_path / f"{builder}-{kind}"
            source.write_text("one 1\ntwo 2\n")
            first, second = (lambda *w, **o: theirs(postfix, "postmap", *w, **o)), (lambda *w, **o: ours("map", *w, **o))
            if builder == "postern":
                first, second = second, first
            assert first(f"{kind}:{source}").returncode == 0
            added = second("-i", f"{kind}:{source}", input="Three 3\n")
            taken = second("-d", "one", f"{kind}:{source}")
            if kind == "cdb":
                assert added.returncode != 0 and taken.returncode != 0, (kind, builder)
                continue
            assert (added.returncode, taken.returncode) == (0, 0), (kind, builder, added.stderr, taken.stderr)
            for ask in (first, second):
                assert ask("-q", "-", f"{kind}:{source}", input="one\ntwo\nthree\n").stdout == "two\t2\nthree\t3\n", (kind, builder)


def test_questions_are_answered_alike(postfix, tmp_path):
    source = tmp_path / "table"
    source.write_text("one 1\nTwo 2\n")
    message = "Subject: a\n b\nTo: c\n\nSubject: body\n"
    checks = "regexp:{{/^subject/ found}}"
    for words, keys in ((["-f", "hash:%s"], None), (["-f", "-q", "Two", "hash:%s"], None), (["-f", "-q", "two", "hash:%s"], None), (["-q", "two", "inline:{one=0}", "hash:%s"], None),
                        # Each key is looked for in all tables.
                        (["-f", "-q", "-", "inline:{one=0}", "hash:%s"], "one\nTwo\nthree\none\n"), (["-h", "-q", "-", checks], message), (["-b", "-q", "-", checks], message), (["-q", "-", checks], message),
                        # Of messages, only with -q -.
                        (["-h", "-q", "subject", checks], None), (["-b", "hash:%s"], None)):
        words = [word.replace("%s", str(source)) for word in words]
        a, b = theirs(postfix, "postmap", *words, input=keys), ours("map", *words, input=keys)
        assert (a.stdout, a.returncode == 0) == (b.stdout, b.returncode == 0), (words, a, b)
    # A line that is empty is no key where mail is checked, so here neither.
    parts = "Content-Type: multipart/mixed; boundary=x\nObsolete : a\n b\n\nfoo\n--x\nContent-Type: message/rfc822\nX: y\n\nSubject: in\n side\n\ntext\n--x\nplain: text\n\nX: body\n--x--\nend\n"
    for message, options in ((parts, "-h"), (parts, "-b"), (parts, "-hm"), (parts, "-bm"), (parts, "-hbm"), (parts, "-m"), ("no header\nSubject: body\n", "-hb"), (" b: c\n", "-h"), ("a: b", "-h"), ("Content-Type: message/rfc822\n\nSubject: in\n\nbody\n", "-hm")):
        words = (options, "-q", "-", "regexp:{{/./ x}}")
        a, b = theirs(postfix, "postmap", *words, input=message), ours("map", *words, input=message)
        assert (a.stdout, a.returncode, a.stderr) == (b.stdout, b.returncode, b.stderr.replace("postern: ", "postmap: ")), (options, message)
    for letter in "bFhmA":
        assert ours("alias", f"-{letter}", f"hash:{tmp_path}/none").returncode == 64


def test_aliases_of_each_are_the_others(postfix, tmp_path):
    for kind in KINDS:
        for builder in ("postfix", "postern"):
            source = tmp_path / f"{builder}-{kind}"
            source.write_text(ALIASES)
            built = theirs(postfix, "postalias", f"{kind}:{source}") if builder == "postfix" else ours("alias", f"{kind}:{source}")
            assert built.returncode == 0 and built.stderr == "", (kind, builder, built.stderr)
            want = {"root": "alice", "odd name": 'bob, "|/bin/cat > /dev/null"', "list": ":include:/etc/list,  carl", "@": "@"}
            answers = [done.stdout for done in (theirs(postfix, "postalias", "-q", "-", f"{kind}:{source}", input="\n".join(want) + "\n"), ours("alias", "-q", "-", f"{kind}:{source}", input="\n".join(want) + "\n"))]
            assert answers[0].split() == answers[1].split() == "".join(f"{key}:\t{value}\n" for key, value in want.items()).split(), (kind, builder)
            if kind != "cdb":
                lists = [{line.split("\t")[0] for line in done.stdout.splitlines()} for done in (theirs(postfix, "postalias", "-s", f"{kind}:{source}"), ours("alias", "-s", f"{kind}:{source}"))]
                assert lists[0] == lists[1] and "odd name:" in lists[0], (kind, builder)


def test_what_is_not_utf8(postfix, tmp_path):
    """As smtputf8_enable = yes has it: such a line is left out, such a key found in no table, and both are told."""
    for builder in ("postfix", "postern"):
        source = tmp_path / builder
        source.write_bytes("good wörds\nbäd ".encode() + b"v\xe4lue\nb\xe4d key\nlast 1\n")
        built = theirs(postfix, "postmap", f"hash:{source}") if builder == "postfix" else ours("map", f"hash:{source}")
        assert built.returncode == 0 and built.stderr.count("non-UTF-8 input") == built.stderr.count("ignoring this line") == 2, built.stderr
        for ask in (lambda *w: theirs(postfix, "postmap", *w), lambda *w: ours("map", *w)):
            assert ask("-q", "good", f"hash:{source}").stdout == "wörds\n" and ask("-q", "last", f"hash:{source}").stdout == "1\n"
            assert ask("-q", "bäd", f"hash:{source}").returncode == 1
            done = ask("-q", os.fsdecode(b"b\xe4d"), f"hash:{source}")
            assert done.returncode == 1 and "non-UTF-8 key" in done.stderr
    # -u: octets.
    assert ours("map", "-u", f"hash:{source}").stderr == "" and ours("map", "-u", "-q", os.fsdecode(b"b\xe4d"), f"hash:{source}").stdout == "key\n"


def test_a_build_that_is_ended_leaves_nothing_behind(tmp_path):
    """Control-C, a terminal that goes, a shut-down, and warnings that nobody reads."""
    text = tmp_path / "t"
    text.write_text("".join(f"user{i}@there.test x{i}\n" for i in range(200000)))
    for kind, number in (("hash", signal.SIGINT), ("btree", signal.SIGHUP), ("cdb", signal.SIGTERM), ("hash", signal.SIGPIPE)):
        build = subprocess.Popen([PREFIX / "sbin/postern", "map", f"{kind}:{text}"], preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
        assert wait_until(lambda: len(os.listdir(tmp_path)) > 1, step=0.001)
        build.send_signal(number)
        assert build.wait() == -number and os.listdir(tmp_path) == ["t"], (kind, os.listdir(tmp_path))


def test_addresses_beyond_ascii_have_no_case(make):
    instance = make({"virtual_alias_domains": "virt.test", "virtual_alias_maps": "inline:{ { grün@virt.test = alice@here.test } { ΣΊΣΥΦΟΣ@virt.test = bob@here.test } }"})
    with instance.connect() as c:
        c.hello()
        for address, code in (("GRÜN@Virt.test", 250), ("σίσυφος@virt.test", 250), ("GRUN@virt.test", 550)):
            c.cmd("MAIL FROM:<s@there.test> SMTPUTF8", 250)
            assert c.cmd(f"RCPT TO:<{address}>").code == code, address
            c.cmd("RSET", 250)


def test_mail_that_follows_a_build_meets_the_new_table(make, folder):
    aliases, virtual = folder / "aliases", folder / "virtual"
    aliases.write_text("")
    virtual.write_text("")
    host = make({"local_recipient_maps": "$alias_maps", "alias_maps": f"hash:{aliases}", "virtual_alias_domains": "virt.test", "virtual_alias_maps": f"texthash:{virtual}"}, start=False)
    host.write_config()
    host.postern("alias", f"hash:{aliases}")
    host.start()
    with host.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<s@there.test>", 250)
        for n in range(3):
            for name, file, line in ((f"new{n}@here.test", aliases, f"new{n}: alice\n"), (f"new{n}@virt.test", virtual, f"new{n}@virt.test alice@here.test\n")):
                c.cmd(f"RCPT TO:<{name}>", "550 5.1.1")
                if file == aliases:
                    file.write_text(line)
                    host.postern("alias", f"hash:{file}")
                else:
                    (folder / "new").write_text(line)
                    os.rename(folder / "new", file)
                    time.sleep(0.05)
                c.cmd(f"RCPT TO:<{name}>", 250)


def test_a_table_that_is_not_there_is_told_once(shared):
    for words in (["-q", "x"], ["-s"], ["-d", "x"]):
        done = shared.postern("map", *words, "hash:/no/such/table", check=False)
        assert done.returncode in (65, 75) and done.stderr.count("\n") == 1 and "/no/such" in done.stderr, done


# What differs on purpose, by the contract and postern.conf(5); and what is where each is installed.
OWN_DEFAULTS = {
    "alias_database", "alias_maps", "command_directory", "compatibility_level", "daemon_directory", "data_directory", "lmtp_tls_connection_reuse", "lmtp_tls_mandatory_protocols", "mail_name", "mail_version",
    "queue_directory", "smtp_tls_connection_reuse", "smtp_tls_mandatory_protocols", "smtp_tls_security_level", "smtpd_banner", "smtpd_forbid_bare_newline", "smtpd_forbid_unauth_pipelining", "smtpd_relay_restrictions",
    "smtpd_sasl_path", "smtpd_sasl_type", "smtpd_tls_auth_only", "smtpd_tls_mandatory_protocols", "smtpd_tls_protocols", "syslog_name",
}


def test_defaults_are_postfixs_as_it_prints_them(postfix, tmp_path):
    """Also where they ask for compatibility_level: a file that says an old one gets that one's defaults."""
    defaults = lambda done: dict(re.fullmatch(r"(\S+) = ?(.*)", line).groups() for line in done.stdout.splitlines() if " =" in line)
    his, mine = defaults(theirs(postfix, "postconf", "-d")), defaults(ours("config", "-d"))
    here = {"myhostname", "mydomain", "mynetworks", "inet_protocols"}  # worked out from the host
    differ = {name for name in his.keys() & mine.keys() - here if his[name].strip() != mine[name].strip()}
    assert differ == OWN_DEFAULTS, {name: (his.get(name), mine.get(name)) for name in differ ^ OWN_DEFAULTS}
    assert len(his.keys() & mine.keys()) > 350
    (tmp_path / "postern.conf").write_text("compatibility_level = 0\nmydestination = here.test\n")
    old = ours("-c", str(tmp_path), "config", "-xh", "append_dot_mydomain", "mynetworks_style", "relay_domains", "smtp_tls_fingerprint_digest", "smtpd_relay_before_recipient_restrictions", "smtputf8_enable")
    assert old.stdout.split() == ["yes", "subnet", "here.test", "md5", "no", "no"]
