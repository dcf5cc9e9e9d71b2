"""AUTH with passwords in tables: what tables store, what strangers learn, what a login may cost others."""
import base64, contextlib, os, pathlib, re, shutil, socket, sqlite3, statistics, subprocess, tempfile, threading, time, urllib.parse

import pytest

from harness import authenticate, memory
from harness.databases import SECRET, Postgres, Slapd
from harness.instance import AS_ROOT, PREFIX, free_port, stop_listening, wait_until

PASSWORD = "pa ss-wörd,=\"'\\"
PLAIN_AUTH = {"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "table", "smtpd_tls_auth_only": "no", "smtpd_sasl_security_options": "noanonymous", "smtpd_soft_error_limit": 1000,
              "smtpd_hard_error_limit": 1000, "smtpd_client_connection_count_limit": 0, "smtpd_auth_failure_limit_delay": "0"}


def stored(scheme, password=PASSWORD):
    done = subprocess.run([str(PREFIX / "sbin/postern"), "password", "-s", scheme], input=password + "\n", capture_output=True, text=True, check=True)
    return done.stdout.rstrip("\n")


def schemes():
    return subprocess.run([str(PREFIX / "sbin/postern"), "password", "-l"], capture_output=True, text=True, check=True).stdout.split()


def test_the_command_on_a_terminal():
    import pty, termios

    def type_in(*lines):
        controller, terminal = pty.openpty()
        # What it shows and what it asks goes to the terminal too; only the stored form to standard output.
        process = subprocess.Popen([str(PREFIX / "sbin/postern"), "password", "-s", "SHA512-CRYPT"], stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, text=True)
        shown = b""
        for line, prompt in zip(lines, (b"Password: ", b"again: ")):
            while prompt not in shown:
                shown += os.read(controller, 1000)
            assert not termios.tcgetattr(terminal)[3] & termios.ECHO
            os.write(controller, line.encode() + b"\n")
        out = process.communicate(timeout=30)[0]
        assert termios.tcgetattr(terminal)[3] & termios.ECHO, "the terminal shows nothing any more"
        os.close(terminal)
        os.close(controller)
        assert lines[0].encode() not in shown
        return process.returncode, out
    status, out = type_in("secret", "secret")
    assert status == 0 and out.startswith("$6$") and out.count("\n") == 1
    assert type_in("secret", "other") == (65, "")


@pytest.fixture(scope="module")
def users():
    """{user: stored password}, a user for each scheme."""
    return {name.lower(): stored(name) for name in schemes()}


@pytest.fixture
def folder():
    """A directory that every process may read."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="postern-passwords-"))
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def table(folder, make):
    """table(rows, kind, **settings): an instance with that table of passwords."""
    def build(rows, kind="texthash", **settings):
        path = folder / "passwords"
        path.write_text("".join(f"{user}\t{value}\n" for user, value in rows.items()))
        name = f"{kind}:{path}"
        if kind == "hash":
            subprocess.run([str(PREFIX / "sbin/postern"), "map", name], check=True)
        return make(PLAIN_AUTH | {"smtpd_sasl_path": name} | settings)
    return build


def plain(client, user, password):
    return client.cmd("AUTH PLAIN " + authenticate.plain(user, password))


def scram(client, user, password):
    return authenticate.Scram(user, password).run(client, "SCRAM-SHA-256")


def scram_first(client, user):
    """(salt, iterations)"""
    challenge = client.cmd("AUTH SCRAM-SHA-256 " + authenticate.Scram(user, "x").first(), 334).text
    parts = dict(part.split("=", 1) for part in base64.b64decode(challenge).decode().split(","))
    return base64.b64decode(parts["s"]), int(parts["i"])


def outcome(instance, user, password, how=plain, **options):
    with instance.connect(timeout=60, **options) as c:
        c.hello()
        return how(c, user, password)


def test_the_command_makes_what_dovecot_reads():
    doveadm = shutil.which("doveadm")
    if not doveadm:
        pytest.skip("no Dovecot here")
    for name in schemes():
        form = stored(name)
        if form[0] != "{":
            form = ("{ARGON2ID}" if form.startswith("$argon2") else "{CRYPT}") + form
        done = subprocess.run([doveadm, "pw", "-t", form, "-p", PASSWORD], capture_output=True, text=True)
        assert "(verified)" in done.stdout, (name, done)


def test_the_command_refuses_what_is_no_password():
    def run(*args, input=""):
        return subprocess.run([str(PREFIX / "sbin/postern"), "password", *args], input=input, capture_output=True, text=True)
    assert run(input="\n").returncode == 65 and run(input="x" * 1025 + "\n").returncode == 65
    assert run().returncode == 66
    assert run("secret").returncode == 64 and run("-s", "PLAIN", input="x\n").returncode == 64
    assert run("-s", "bcrypt", input="x" * 73 + "\n").returncode == 65
    # The end of the line does not belong to it, and nothing behind it does.
    assert run("-s", "SCRAM-SHA-256", input="x\r\nsecond line\n").returncode == 0


def test_every_scheme(table, users):
    instance = table(users, smtpd_sasl_scram="yes")
    for user in users:
        assert outcome(instance, user, PASSWORD).code == 235, user
        assert outcome(instance, user, PASSWORD + "x").code == 535, user
    assert outcome(instance, "scram-sha-256", PASSWORD, scram).code == 235
    assert outcome(instance, "scram-sha-256", "wrong", scram).code == 535
    # No keys for it are stored.
    assert outcome(instance, "yescrypt", PASSWORD, scram).code == 535
    instance.wait_log(r"smtpd\[\d+\]: warning: .*: SASL PLAIN authentication failed: .*sasl_username=yescrypt")
    assert PASSWORD not in instance.log() and authenticate.b64(f"\0yescrypt\0{PASSWORD}") not in instance.log()


def test_passwords_are_prepared_before_they_are_stored(table):
    typed, prepared = "\ufb01\u00adx \u2168", "fix IX"
    instance = table({name: stored(name, typed) for name in ("SHA512-CRYPT", "SCRAM-SHA-256")}, smtpd_sasl_scram="yes")
    for user in ("SHA512-CRYPT", "SCRAM-SHA-256"):
        for password in (typed, prepared):
            assert outcome(instance, user, password).code == 235, (user, password)
    assert outcome(instance, "SCRAM-SHA-256", prepared, scram).code == 235


def test_tables_that_are_built(table, users):
    instance = table({"alice": users["sha512-crypt"]}, "hash")
    assert outcome(instance, "alice", PASSWORD).code == 235
    assert outcome(instance, "ALICE", PASSWORD, authenticate.login).code == 235


def test_swaks(table, users):
    instance = table(users)
    for how in ("PLAIN", "LOGIN"):
        for password, status in ((PASSWORD, 0), ("wrong", 28)):
            done = subprocess.run(["swaks", "--server", instance.address, "-p", str(instance.port), "--auth", how, "--auth-user", "sha512-crypt", "--auth-password", password, "--to", "alice@here.test",
                                   "--from", "s@there.test", "--h-Subject", how], capture_output=True, text=True, timeout=60)
            assert done.returncode == status, done.stdout
    instance.wait_mail("alice", 2)
    instance.wait_log(r"smtpd\[\d+\]: \w+: client=.*, sasl_method=LOGIN, sasl_username=sha512-crypt")


def test_what_is_not_there_looks_like_what_is(table):
    strong = stored("SCRAM-SHA-256")
    instance = table({"alice": strong, "bob": stored("SCRAM-SHA-256"), "locked": "*"}, smtpd_sasl_scram="yes")

    def challenge(user):
        with instance.connect() as c:
            c.hello()
            return scram_first(c, user)
    known, unknown, other = challenge("alice"), challenge("nobody"), challenge("somebody")
    assert (len(known[0]), known[1]) == (len(unknown[0]), unknown[1]) and unknown[0] != other[0]
    assert challenge("nobody") == unknown and challenge("NoBody") == unknown and len(challenge("locked")[0]) == len(known[0])
    texts = {str(outcome(instance, user, password, how)) for user, password in (("alice", "wrong"), ("nobody", PASSWORD), ("locked", "*")) for how in (plain, authenticate.login, scram)}
    assert len(texts) == 1, texts
    instance.stop()
    instance.start()
    assert challenge("nobody") == unknown, "a salt that changes with a start tells who is not there"


def test_who_was_asked_about_before_says_nothing_of_who_is_there(table):
    cheaper = "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    instance = table({"alice": stored("SCRAM-SHA-256"), "pencil": cheaper}, smtpd_sasl_scram="yes")
    with instance.connect() as c:
        c.hello()

        def iterations(user):
            found = scram_first(c, user)[1]
            c.cmd("*", 501)
            return found
        seen = [(iterations("nobody"), iterations(user)) for user in ("alice", "pencil", "alice", "pencil")]
    assert {known for _, known in seen} == {4096, 100000} and len({unknown for unknown, _ in seen}) == 1, seen
    # When the table changes it is looked at anew.
    user, other = ("alice", 100000) if seen[0][0] == 4096 else ("pencil", 4096)
    path = pathlib.Path(instance.settings["smtpd_sasl_path"].partition(":")[2])
    path.write_text("".join(line for line in path.read_text().splitlines(True) if line.startswith(user)))

    def forgotten():
        with instance.connect() as c:
            c.hello()
            return scram_first(c, "nobody")[1] == other
    assert wait_until(forgotten, 10, 0.3)


def test_time_tells_nobody_who_is_there(table):
    instance = table({f"user{i}": stored("SHA512-CRYPT") for i in range(2)})

    def took(c, user):
        begin = time.monotonic()
        assert plain(c, user, "wrong").code == 535
        return time.monotonic() - begin
    with instance.connect(timeout=60) as c:
        c.hello()
        # Alternating, so that the machine's other work meets both. The first one is for the tables.
        took(c, "first")
        pairs = [(took(c, f"user{i % 2}"), took(c, f"nobody{i}")) for i in range(10)]
    known, unknown = (min(times) for times in zip(*pairs))
    assert 0.6 < unknown / known < 1.6, (known, unknown)


def test_databases(make, folder, users):
    with sqlite3.connect(folder / "db") as db:
        db.execute("CREATE TABLE users (name TEXT PRIMARY KEY, password TEXT)")
        db.executemany("INSERT INTO users VALUES (?, ?)", users.items())
    os.chmod(folder / "db", 0o644)
    (folder / "sqlite.cf").write_text(f"dbpath = {folder}/db\nquery = SELECT password FROM users WHERE name = '%s'\n")
    pg = Postgres()
    slapd = None
    try:
        pg.sql("CREATE TABLE users (name text, password text);" + "".join(f"INSERT INTO users VALUES ('{u}', '{p}');" for u, p in users.items()))
        (folder / "pgsql.cf").write_text(f"hosts = 127.0.0.1:{pg.port}\nuser = mail\npassword = {SECRET}\ndbname = postgres\nquery = SELECT password FROM users WHERE name = '%s'\n")
        slapd = Slapd("dn: dc=test\nobjectClass: domain\ndc: test\n\n" + "".join(
            f"dn: uid={u},dc=test\nobjectClass: inetOrgPerson\ncn: x\nsn: x\nuid: {u}\nuserPassword:: {authenticate.b64(p if p[0] == '{' else '{CRYPT}' + p)}\n\n" for u, p in users.items() if not p.startswith("$argon2")))
        (folder / "ldap.cf").write_text(f"server_host = ldap://127.0.0.1:{slapd.port}\nsearch_base = dc=test\nbind = yes\nbind_dn = cn=admin,dc=test\nbind_pw = {SECRET}\n"
                                          "query_filter = (uid=%s)\nresult_attribute = userPassword\n")
        ports = {kind: free_port() for kind in ("sqlite", "pgsql", "ldap")}
        for kind in ports:
            os.chmod(folder / f"{kind}.cf", 0o644)
        sections = "".join(f"[{kind}]\nlisten = 127.0.0.1:{port}\nsmtpd_sasl_path = {kind}:{folder}/{kind}.cf\n" for kind, port in ports.items())
        instance = make(PLAIN_AUTH | {"smtpd_sasl_scram": "yes"}, sections=sections)
        for kind, port in ports.items():
            instance.port = port
            assert outcome(instance, "sha512-crypt", PASSWORD).code == 235, kind
            assert outcome(instance, "scram-sha-256", PASSWORD, scram).code == 235, kind
            assert outcome(instance, "sha512-crypt", "wrong").code == 535, kind
            for user in ("nobody", "' OR '1'='1", "*", "sha512-crypt)(uid=*"):
                assert outcome(instance, user, PASSWORD).code == 535, (kind, user)
        # A server that is away is no wrong password, and counts for nothing.
        pg.stop()
        instance.port = ports["pgsql"]
        assert outcome(instance, "sha512-crypt", PASSWORD).code == 454
    finally:
        pg.close()
        if slapd:
            slapd.close()


def test_tables_that_are_no_good(table, make, folder):
    instance = table({"alice": stored("yescrypt"), "plain": PASSWORD, "odd": "{PLAIN}x", "old": "{MD5-CRYPT}$1$p8GcvPJG$Qt.mscEo.dhMa.oMgR4AK.", "dear": "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"})
    path = folder / "passwords"
    for user in ("plain", "odd", "dear"):
        begin = time.monotonic()
        assert outcome(instance, user, PASSWORD).code == 454, user
        assert time.monotonic() - begin < 5
    assert outcome(instance, "alice", PASSWORD).code == 235 and outcome(instance, "old", "secret").code == 235
    os.chmod(path, 0o644)
    check = instance.postern("check", check=False)
    assert check.returncode != 0
    for line in (2, 3, 5):
        assert f"{path}:{line}: user " in check.stdout, check.stdout
    assert f"{path}:4: warning: user old" in check.stdout and f"{path}: warning: everybody may read" in check.stdout and f"{path}:1:" not in check.stdout
    path.unlink()
    assert wait_until(lambda: outcome(instance, "alice", PASSWORD).code == 454, 5, 0.3)
    assert "No such file" in instance.postern("check", check=False).stdout


@pytest.mark.skipif(not AS_ROOT, reason="needs root")
def test_what_check_says_makes_a_table_readable(table, folder):
    """A table that only root may read, and its folder: the commands that check names are all that is to be done."""
    instance = table({"alice": stored("SHA512-CRYPT")}, kind="hash")
    instance.stop()
    folder.chmod(0o755)
    inner = folder / "inner"
    inner.mkdir(mode=0o700)
    text, built = inner / "passwords", inner / "passwords.db"
    (folder / "passwords").rename(text)
    (folder / "passwords.db").rename(built)
    for path in (text, built):
        os.chmod(path, 0o600)
        os.chown(path, 0, 0)
    instance.settings["smtpd_sasl_path"] = f"hash:{text}"
    instance.write_config()
    asked = []
    for _ in range(3):
        said = instance.postern("check", check=False)
        asked += (commands := re.findall(r"as user postern-lookup \((.*?)\)(?: \((.*?)\))?$", said.stdout, re.M))
        for command in (c for found in commands for c in found if c):
            subprocess.run(command, shell=True, check=True)
    assert asked == [(f"chmod o+x {inner}", ""), (f"chgrp postern-lookup {built} && chmod u=rw,g=r,o= {built}", f"chgrp postern-lookup {text} && chmod u=rw,g=r,o= {text}")], said.stdout
    assert said.returncode == 0 and built.stat().st_mode & 0o777 == text.stat().st_mode & 0o777 == 0o640
    instance.postern("map", f"hash:{text}")
    instance.start()
    assert outcome(instance, "alice", PASSWORD).code == 235


def test_a_pattern_cannot_make_the_password(make, folder):
    (folder / "patterns").write_text("/^(.*)$/ {SSHA}$1\n")
    instance = make(PLAIN_AUTH | {"smtpd_sasl_path": f"regexp:{folder}/patterns"})
    assert outcome(instance, "gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "secret").code == 454
    instance.wait_log("may not be made of what a pattern matched")


def test_passwords_are_asked_for_passwords_alone(make, folder):
    (folder / "passwords").write_text("alice\t{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0\n")
    (folder / "passwords-else").write_text("alice@here.test\tREJECT else\n")
    (folder / "passwords-more").write_text("bob\t*\n")
    path = f"{folder}/passwords"
    ports = [free_port() for _ in range(8)]
    # Whoever may name tables, names this one: as it is, as another kind, within others, by another name; and a neighbour.
    tables = [f"texthash:{path}", f"regexp:{path}", f"pipemap:{{texthash:{path},static:x}}", f"texthash:/proc/self/root{path}", f"texthash:/.{path}", f"texthash:/{path}",
              "regexp:{ {/./ DUNNO} }", f"texthash:{path}-else"]
    sections = "".join(f"[s{port}]\nlisten = 127.0.0.1:{port}\nsmtpd_recipient_restrictions = check_recipient_access {name}\n" for port, name in zip(ports, tables))
    instance = make(PLAIN_AUTH | {"smtpd_sasl_path": f"texthash:{path}"}, sections=sections)
    for port, expected in zip(ports, [451] * 6 + [250, 554]):
        instance.port = port
        with instance.connect() as c:
            c.hello()
            c.cmd("MAIL FROM:<s@there.test>", 250)
            assert c.cmd("RCPT TO:<alice@here.test>").code == expected, (port, tables[ports.index(port)])
    assert outcome(instance, "alice", "secret").code == 235
    instance.wait_log("a table of passwords is asked for passwords alone")
    # The same where the passwords are in several tables, or named in another way.
    for name in (f"texthash:{path}-more, texthash:{path}", f"unionmap:{{texthash:{path}}}", f"proxy:texthash:{path}", f"texthash:{path[1:]}"):
        instance.reload(smtpd_sasl_path=name)
        for port, expected in zip(ports, [451] * 6 + [250, 554]):
            instance.port = port
            with instance.connect() as c:
                c.hello()
                c.cmd("MAIL FROM:<s@there.test>", 250)
                assert c.cmd("RCPT TO:<alice@here.test>").code == expected, (name, tables[ports.index(port)])
        assert outcome(instance, "alice", "secret").code == 235, name


def test_failures_are_limited_by_address(table):
    instance = table({"alice": stored("SHA512-CRYPT"), "bob": stored("SHA512-CRYPT")}, smtpd_auth_failure_limit_address=4, smtpd_auth_failure_limit_account=100, smtpd_client_event_limit_exceptions="")
    with instance.connect(timeout=60) as c:
        c.hello()
        assert [plain(c, f"u{i}", "wrong").code for i in range(4)] == [535] * 4
        assert plain(c, "alice", PASSWORD).code == 454
    assert outcome(instance, "alice", PASSWORD).code == 454, "another session of that address"
    assert outcome(instance, "alice", PASSWORD, source="127.0.0.2").code == 235
    instance.wait_log("SASL PLAIN authentication failed: too many failed attempts from this address, sasl_username=alice")
    # Whoever goes on is shown the door.
    instance.reload(smtpd_hard_error_limit=8)
    with instance.connect(timeout=60) as c:
        c.hello()
        answers = [plain(c, "alice", f"wrong{i}").code for i in range(7)]
        assert answers == [454] * 7, answers
        assert plain(c, "alice", "wrong").code in (421, 454) and c.closed()


def test_failures_are_limited_by_account_but_not_at_home(table):
    instance = table({"alice": stored("SHA512-CRYPT"), "bob": stored("SHA512-CRYPT")}, smtpd_auth_failure_limit_address=3, smtpd_auth_failure_limit_account=6, smtpd_client_event_limit_exceptions="")
    assert outcome(instance, "alice", PASSWORD, source="127.0.0.9").code == 235
    for i in (1, 2):
        for _ in range(3):
            assert outcome(instance, "Alice", "wrong", source=f"127.0.1.{i}").code == 535
    assert outcome(instance, "alice", PASSWORD, source="127.0.1.7").code == 454
    assert outcome(instance, "bob", PASSWORD, source="127.0.1.7").code == 235
    assert outcome(instance, "alice", PASSWORD, source="127.0.0.9").code == 235


def test_answers_to_failures_come_later_and_later(table):
    instance = table({"alice": stored("SHA512-CRYPT")}, smtpd_client_event_limit_exceptions="", smtpd_auth_failure_limit_delay="1s")
    times = []
    with instance.connect(timeout=60) as c:
        c.hello()
        for _ in range(4):
            begin = time.monotonic()
            assert plain(c, "alice", "wrong").code == 535
            times.append(time.monotonic() - begin)
    assert max(times[:2]) < 0.9 <= min(times[2:]) and max(times) < 5, times


def test_the_rate_of_auth_commands(table):
    instance = table({"alice": stored("SHA512-CRYPT")}, smtpd_client_auth_rate_limit=2, smtpd_client_event_limit_exceptions="")
    codes = [outcome(instance, "alice", PASSWORD).code for _ in range(3)]
    assert codes == [235, 235, 450], codes
    instance.wait_log(r"AUTH command rate limit exceeded: 3 from unknown\[127.0.0.1\] for service smtp")


def test_fail2ban_reads_the_lines(table, folder):
    instance = table({"alice": stored("SHA512-CRYPT"), "odd": "{PLAIN}x"}, smtpd_sasl_scram="yes", smtpd_auth_failure_limit_address=4, smtpd_client_event_limit_exceptions="")
    for how in (plain, authenticate.login, scram):
        outcome(instance, "alice", "wrong", how, source="127.0.0.77")
    # Our own trouble is nobody's fault.
    assert outcome(instance, "odd", "x", source="127.0.0.78").code == 454
    for _ in range(2):
        outcome(instance, "nobody", "wrong", source="127.0.0.77")
    instance.wait_log("SASL .* authentication failed", count=6)
    filters = pathlib.Path("/etc/fail2ban/filter.d")
    ours = pathlib.Path(__file__).resolve().parents[2] / "etc/fail2ban-filter.conf"
    for name in ("common.conf", "postfix.conf"):
        shutil.copy(filters / name, folder / name)
    shutil.copy(ours, folder / "postern.conf")
    # As Postfix's own filter reads it, which knows no SCRAM, the name of the program is the only difference.
    (folder / "log-of-postfix").write_text(instance.log().replace(" postern/", " postfix/"))
    for log, which, mode, count in ((instance.maillog, folder / "postern.conf", "auth", 5), (instance.maillog, folder / "postern.conf", "aggressive", 5), (folder / "log-of-postfix", "postfix", "auth", 4)):
        done = subprocess.run(["fail2ban-regex", "--print-all-matched", str(log), f"{which}[mode={mode}]"], capture_output=True, text=True)
        matched = [line for line in done.stdout.partition("Matched line(s):")[2].partition("`-")[0].splitlines() if ": SASL " in line]
        assert len(matched) == count and not [line for line in matched if "127.0.0.78" in line], done.stdout + done.stderr


def slow_one():
    """bcrypt, a tenth of a second."""
    return subprocess.run(["perl", "-e", "print crypt($ARGV[0], q($2b$10$Q2lbbQtYQpMc/rQxaWwj6.))", PASSWORD], capture_output=True, text=True, check=True).stdout


def test_slow_logins_delay_nobody_else(table):
    slow = slow_one()
    instance = table({f"user{i}": slow for i in range(12)}, smtpd_client_event_limit_exceptions="127.0.0.0/8")
    stop, codes = threading.Event(), []

    def log_in(number):
        codes.append(outcome(instance, f"user{number}", PASSWORD, source=f"127.0.2.{1 + number % 4}").code)

    def measure(seconds):
        times = []
        with instance.connect(timeout=60) as c:
            c.hello()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                c.cmd("MAIL FROM:<s@there.test>", 250)
                begin = time.monotonic()
                c.cmd("RCPT TO:<alice@here.test>", 250)
                times.append(time.monotonic() - begin)
                c.cmd("RSET", 250)
                time.sleep(0.005)
        return statistics.median(times)
    measure(0.2)
    alone = measure(0.5)
    threads = [threading.Thread(target=log_in, args=(i,)) for i in range(12)]
    for t in threads:
        t.start()
    time.sleep(0.1)
    busy = measure(0.7)
    assert busy < alone + 0.04, (alone, busy)
    for t in threads:
        t.join()
    assert codes == [235] * 12, codes


def test_one_client_cannot_have_all_threads(table):
    slow = slow_one()
    instance = table({f"user{i}": slow for i in range(17)}, smtpd_client_event_limit_exceptions="127.0.0.0/8")
    threads = [threading.Thread(target=outcome, args=(instance, f"user{i}", "wrong"), kwargs={"source": "127.0.3.1"}) for i in range(16)]
    for t in threads:
        t.start()
    time.sleep(0.2)
    begin = time.monotonic()
    assert outcome(instance, "user16", PASSWORD, source="127.0.3.2").code == 235
    mine = time.monotonic() - begin
    for t in threads:
        t.join()
    theirs = time.monotonic() - begin
    assert mine < theirs / 3, (mine, theirs)


def test_one_client_cannot_have_all_threads_with_a_slow_table_either(request, make):
    """SCRAM asks for keys alone; but a table on another host may take its time."""
    listener = socket.create_server(("127.0.0.1", 0))
    request.addfinalizer(lambda: stop_listening(listener))
    strong = urllib.parse.quote(stored("SHA512-CRYPT"))

    def serve(connection):
        with connection, connection.makefile("rwb") as stream:
            for line in stream:
                slow = line.startswith(b"get slow")
                time.sleep(2 * slow)
                stream.write(b"500 nobody\n" if slow else f"200 {strong}\n".encode())
                stream.flush()

    def accept():
        try:
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
        except OSError:
            pass
    threading.Thread(target=accept, daemon=True).start()
    instance = make(PLAIN_AUTH | {"smtpd_sasl_path": f"tcp:127.0.0.1:{listener.getsockname()[1]}", "smtpd_sasl_scram": "yes", "smtpd_client_event_limit_exceptions": "127.0.0.0/8", "shutdown_grace": "1s"})
    assert outcome(instance, "alice", PASSWORD, source="127.0.3.2").code == 235

    def slow(i):
        with contextlib.suppress(EOFError, OSError):  # the test ends before its answer comes
            outcome(instance, f"slow{i}", "wrong", scram, source="127.0.3.1")
    threads = [threading.Thread(target=slow, args=(i,), daemon=True) for i in range(10)]
    for t in threads:
        t.start()
    time.sleep(0.5)
    begin = time.monotonic()
    assert outcome(instance, "alice", PASSWORD, source="127.0.3.2").code == 235
    assert time.monotonic() - begin < 1.5


@pytest.mark.skipif(not AS_ROOT, reason="only root reads the memory of others")
@pytest.mark.skipif(b"__asan_init" in (PREFIX / "libexec/postern/lookup").read_bytes(), reason="the sanitizer's memory is terabytes")
def test_no_process_keeps_a_password(table):
    password = os.urandom(60).hex()
    instance = table({"alice": stored("SHA512-CRYPT", password), "bob": stored("SCRAM-SHA-256", password)}, smtpd_sasl_scram="yes")
    for how in (plain, authenticate.login):
        assert outcome(instance, "alice", password, how).code == 235
        assert outcome(instance, "bob", password, how).code == 235
        assert outcome(instance, "nobody", password, how).code == 535
    assert outcome(instance, "bob", password, scram).code == 235
    # Pieces of it: what is freed loses its beginning first.
    needles = {"as it is": password[60:84].encode(), "in PLAIN": authenticate.plain("alice", password)[80:112].encode(), "in LOGIN": authenticate.b64(password)[80:112].encode()}
    for role in ("lookup", "smtpd", "policy", "log", "master"):
        for pid in instance.pids(role):
            held = memory.writable(pid)
            for name, needle in needles.items():
                at = held.find(needle)
                assert at < 0, (role, name, held[max(0, at - 60):at + 60])


def test_a_reload_brings_the_first_table(make, folder):
    (folder / "passwords").write_text("alice\t" + stored("SHA512-CRYPT") + "\n")
    instance = make(PLAIN_AUTH | {"smtpd_sasl_auth_enable": "no"})
    assert outcome(instance, "alice", PASSWORD).code == 503
    instance.reload(smtpd_sasl_auth_enable="yes", smtpd_sasl_path=f"texthash:{folder}/passwords")
    assert outcome(instance, "alice", PASSWORD).code == 235
