"""Programs that call sendmail, as they are packaged: what they hand over arrives."""
import os, shutil, subprocess

import pytest
from harness.instance import AS_ROOT, PREFIX
from harness.postfix import CACHE

SENDMAIL = PREFIX / "sbin" / "sendmail"


@pytest.fixture(scope="module")
def host(request):
    from harness.instance import Instance
    instance = Instance()
    request.addfinalizer(instance.close)
    return instance.start()


def call(host, *words, input="hello\n", **options):
    env = {**os.environ, "MAIL_CONFIG": str(host.confdir), "HOME": str(host.home), **options.pop("env", {})}
    done = subprocess.run([str(w) for w in words], input=input, text=True, capture_output=True, timeout=60, env=env, **options)
    assert done.returncode == 0, done
    return done


def needs(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not there")


@needs("mutt")
def test_mutt(host):
    seen = len(host.mailbox("bob"))
    call(host, "mutt", "-n", "-F", "/dev/null", "-e", f'set sendmail="{SENDMAIL} -oem -oi"', "-e", "set from=alice@here.test", "-e", "set use_envelope_from=yes", "-e", "set copy=no",
         "-e", "set dsn_notify=success,failure", "-e", "set dsn_return=hdrs", "-s", "gr\u00fcn", "bob@here.test", input="h\u00e9llo\n.\nafter\n")
    text = host.wait_mail("bob", seen + 1)[seen].decode("latin-1")
    assert text.startswith("Return-Path: <alice@here.test>\n") and "\n.\nafter\n" in text
    assert b"Action: delivered" in host.wait_mail("alice")[-1]


@needs("s-nail")
@pytest.mark.parametrize("options", [["-r", "alice@here.test"], ["-b", "alice@here.test"], []])
def test_s_nail(host, options):
    seen, other = len(host.mailbox("bob")), len(host.mailbox("alice"))
    call(host, "s-nail", "-n", "-S", f"mta={SENDMAIL}", "-s", "from s-nail", *options, "bob@here.test")
    text = host.wait_mail("bob", seen + 1)[seen].decode()
    assert "Subject: from s-nail\n" in text and text.endswith("\nhello\n") and "alice" not in text.split("\n\n")[0].replace("alice@here.test>", "") or options[:1] == ["-r"]
    if options[:1] == ["-b"]:
        host.wait_mail("alice", other + 1)


@needs("git")
def test_git_send_email(host, tmp_path):
    tree = CACHE / "git-email"
    CACHE.mkdir(parents=True, exist_ok=True)
    for package, part in (("git-email", "usr/lib/git-core/git-send-email"), ("libmailtools-perl", "usr/share/perl5/Mail/Address.pm")):
        if not (tree / part).exists():
            if subprocess.run(["apt-get", "download", package], cwd=CACHE, capture_output=True).returncode:
                pytest.skip(f"{package} cannot be fetched")
            subprocess.run(["dpkg-deb", "-x", str(next(CACHE.glob(f"{package}_*.deb"))), str(tree)], check=True)
    program = next(tree.glob("usr/lib/git-core/git-send-email"))
    git = ["git", "-C", tmp_path, "-c", "user.name=J\u00f6rg", "-c", "user.email=alice@here.test"]
    call(host, *git, "init", "-q")
    (tmp_path / "f").write_text("x\n")
    call(host, *git, "add", "f")
    call(host, *git, "commit", "-qm", "first: gr\u00fcn")
    call(host, *git, "format-patch", "--root", "-1")
    seen = len(host.mailbox("bob"))
    ends = {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "J\u00f6rg", "GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": "alice@here.test", "GIT_EXEC_PATH": "/usr/lib/git-core", "PERL5LIB": str(tree / "usr/share/perl5")}
    call(host, program, "--to", "bob@here.test", f"--smtp-server={SENDMAIL}", "--envelope-sender=alice@here.test", "--confirm=never", "--suppress-cc=all", next(tmp_path.glob("0001-*")), cwd=tmp_path, env={**ends, "PATH": f"/usr/lib/git-core:{os.environ['PATH']}"})
    text = host.wait_mail("bob", seen + 1)[seen].decode()
    assert "diff --git a/f b/f" in text and "\nTo: bob@here.test\n" in text and text.startswith("Return-Path: <alice@here.test>\n")


@needs("perl")
def test_perl_opens_a_pipe(host):
    seen = len(host.mailbox("bob"))
    call(host, "perl", "-e", f'open(M,"|{SENDMAIL} -t -oi -oem") or die; print M "To: bob\\@here.test\\r\\nSubject: perl\\r\\n\\r\\n.\\r\\nx\\r\\n"; close(M) or die $?')
    text = host.wait_mail("bob", seen + 1)[seen]
    assert text.endswith(b"\n\n.\nx\n") and b"\r" not in text


def test_cron_names_the_sender_by_the_environment(host):
    seen = len(host.mailbox("bob"))
    call(host, SENDMAIL, "-i", "-B8BITMIME", "-oem", "bob@here.test", input="Subject: cron\nX-Cron-Env: <SHELL=/bin/sh>\n\nout\n", env={"NAME": "Cron Daemon\nBcc: evil@far.test"})
    text = host.wait_mail("bob", seen + 1)[seen].decode()
    assert "\nFrom: Cron Daemon Bcc:" in text or '\nFrom: "Cron Daemon Bcc' in text
    assert "\nBcc:" not in text


DOVECOT = """protocols =
base_dir = {folder}/base
mail_location = maildir:{folder}/Maildir
postmaster_address = postmaster@here.test
sendmail_path = {sendmail}
ssl = no
log_path = {folder}/log
protocol lda {{
  mail_plugins = sieve
}}
plugin {{
  sieve = {folder}/script
}}
"""


@needs("php")
def test_php(host):
    seen, other = len(host.mailbox("bob")), len(host.mailbox("alice"))
    script = 'exit(mail("bob@here.test", "php", "one\\n.\\r\\nlast\\n", "From: web@here.test\\r\\nBcc: alice@here.test\\r\\nX-A: b", "-fbounce@here.test -O DeliveryMode=b") ? 0 : 1);'
    call(host, "php", "-d", "mail.add_x_header=1", "-d", f"sendmail_path={SENDMAIL} -t -i", "-r", script)
    text = host.wait_mail("bob", seen + 1)[seen].decode()
    assert text.startswith("Return-Path: <bounce@here.test>\n") and "\nX-A: b\n" in text and "alice" not in text and "\n\none\n.\nlast\n" in text and "\r" not in text
    host.wait_mail("alice", other + 1)


@pytest.mark.skipif(not AS_ROOT or not os.path.exists("/usr/lib/dovecot/modules/lib90_sieve_plugin.so"), reason="dovecot-sieve is not there, or not for root to use")
def test_pigeonhole(host):
    seen, other, folder = len(host.mailbox("bob")), len(host.mailbox("alice")), host.home / "sieve"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    (folder / "dovecot.conf").write_text(DOVECOT.format(folder=folder, sendmail=f"{SENDMAIL} -C {host.confdir}"))
    (folder / "script").write_text('require ["vacation", "copy"];\nredirect :copy "bob@here.test";\nvacation :addresses ["user@here.test"] "away";\n')
    call(host, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/lib/dovecot/dovecot-lda", "-c", folder / "dovecot.conf", "-f", "alice@here.test", "-a", "user@here.test",
         input="From: alice@here.test\nTo: user@here.test\nSubject: sieve\nMessage-Id: <1@here.test>\n\n.\nend\n", env={"HOME": str(folder), "USER": "nobody"})
    text = host.wait_mail("bob", seen + 1)[seen].decode()
    assert text.startswith("Return-Path: <alice@here.test>\n") and "\n\n.\nend\n" in text
    assert b"Return-Path: <>\n" in host.wait_mail("alice", other + 1)[other]


@pytest.mark.skipif(not os.path.exists("/usr/bin/mh/send"), reason="nmh is not there")
@pytest.mark.parametrize("way", ["smtp", "pipe"])
def test_nmh(host, tmp_path, way):
    """nmh speaks to sendmail -bs, or pipes into it."""
    seen = len(host.mailbox("bob"))
    (tmp_path / ".mh_profile").write_text("Path: mail\n")
    (tmp_path / "mail").mkdir()
    (tmp_path / "draft").write_text("From: alice@here.test\nTo: bob@here.test\nSubject: nmh\n\n.\nend\n")
    call(host, "/usr/bin/mh/send", "-mts", f"sendmail/{way}", "-sendmail", SENDMAIL, tmp_path / "draft", env={"HOME": str(tmp_path)})
    assert host.wait_mail("bob", seen + 1)[seen].endswith(b"\n\n.\nend\n")


def test_version_and_address_tests_on_a_terminal(host, make, dns):
    """sendmail -d0.1 -bt < /dev/null is how scripts ask what they have."""
    version = host.sendmail("-bV").stdout
    assert version.startswith("Postern ") and host.sendmail("-d0").stdout == version
    assert host.sendmail("-d0.1", "-bt").stdout == version + "> "
    out = host.sendmail("-bt", input="3,0 bob@here.test\n/try local alice@here.test\n/map inline:{a=b} a\n/map inline:{a=b} c\n/nonsense\n/quit\nalice@here.test\n").stdout
    assert out.count("... deliverable: mailer local") == 2 and "(a) returns b" in out and "(c) no match" in out and "/nonsense: not here" in out
    named = make(start=False, dns=dns(["many.test MX 20 b.many.test", "many.test MX 10 a.many.test", "plain.test A 127.0.0.1", "broken.test SERVFAIL"]))
    named.write_config()
    out = named.sendmail("-bt", input="/mx many.test\n/mx plain.test\n/mx none.test\n/mx broken.test\n/mx\n").stdout
    assert "getmxrr(many.test) returns 2 value(s):\n\ta.many.test. (preference 10)\n\tb.many.test. (preference 20)\n> getmxrr(plain.test) returns 1 value(s):\n\tplain.test.\n" in out and out.count("value(s)") == 2 and "getmxrr(none.test): " in out and "getmxrr(broken.test): " in out, out
    broken = make(start=False)
    broken.settings["no_such_parameter"] = "1"
    broken.write_config()
    done = broken.sendmail("-bV", check=False)
    assert done.returncode == 78 and "no_such_parameter" in done.stderr and done.stdout == version


def test_layout_of_the_conversation(make, peer):
    p = peer(extensions=("SIZE 1000000",))
    instance = make({"relayhost": f"[127.0.0.1]:{p.port}"})
    lines = instance.sendmail("-v", "-i", "-f", "me@here.test", "x@far.test", input="Subject: v\n\nbody\n").stdout.splitlines()
    assert lines[:2] == ["x@far.test... Connecting to 127.0.0.1 via esmtp...", "220 peer.test ESMTP"]
    assert any(l.startswith(">>> MAIL From:<me@here.test> SIZE=") for l in lines) and ">>> RCPT To:<x@far.test>" in lines
    assert lines[-5:] == ["250 2.0.0 Ok: queued as SINK0", "x@far.test... Sent (Ok: queued as SINK0)", "Closing connection to 127.0.0.1.", ">>> QUIT", "221 2.0.0 Bye"]
    assert "MAIL FROM:<me@here.test>" in " ".join(p.commands)
