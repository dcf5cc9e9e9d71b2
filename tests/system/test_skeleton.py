"""Starting, stopping, reloading, dying: the life of the processes (catalogue M06, M08, Q01, Q06)."""
import fcntl, os, pathlib, pwd, re, shutil, signal, socket, subprocess, threading, time

import pytest
from harness.instance import AS_ROOT, PREFIX, Instance, free_port, wait_until

ROLES = {"master", "log", "smtpd", "queue", "delivery", "local", "pickup", "resolver", "lookup", "policy"}


def proc_status(pid):
    return dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


def alive(pid):
    try:
        return proc_status(pid)["State"][0] != "Z"
    except OSError:
        return False


def test_status_names_every_process(shared):
    rows = shared.processes()
    assert {row["role"] for row in rows} >= ROLES
    for row in rows:
        assert pathlib.Path(f"/proc/{row['pid']}").exists() and row["uptime"] >= 0 and row["state"]
        assert pathlib.Path(f"/proc/{row['pid']}/comm").read_text().strip() == row["role"]
    text = shared.postern("status").stdout
    assert all(role in text for role in ROLES)


@pytest.mark.parametrize("role", sorted(ROLES - {"master", "local"}))
def test_each_process_has_given_up_what_it_does_not_need(shared, role):
    for pid in shared.pids(role):
        status = proc_status(pid)
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
        assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0
        if AS_ROOT:
            uids = set(status["Uid"].split())
            assert len(uids) == 1 and "0" not in uids
            assert pwd.getpwuid(int(uids.pop())).pw_name.startswith("postern-")
            assert set(status["Gid"].split()) != {"0"} and "0" not in status["Groups"].split()
            if role in ("smtpd", "delivery", "resolver"):
                assert os.readlink(f"/proc/{pid}/root") != "/"


@pytest.mark.skipif(not AS_ROOT, reason="only root starts it with capabilities")
def test_master_and_local_keep_few_capabilities(shared):
    full = int(proc_status(1)["CapPrm"], 16)
    for role in ("master", "local"):
        for pid in shared.pids(role):
            assert bin(int(proc_status(pid)["CapEff"], 16)).count("1") <= 10 < bin(full).count("1")


def test_start_stop_and_start_again(make):
    instance = make()
    pids = [row["pid"] for row in instance.processes()]
    pid_file = instance.home / "queue" / "pid" / "master.pid"
    assert int(pid_file.read_text()) in pids
    again = instance.postern("start", check=False)
    assert again.returncode != 0 and again.stderr.strip().count("\n") == 0 and again.stderr
    instance.stop()
    assert not any(alive(pid) for pid in pids)
    assert instance.postern("status", check=False).returncode != 0
    instance.start()
    with instance.connect() as c:
        c.hello()
        c.mail()
    instance.wait_mail("alice")


@pytest.mark.parametrize("listening", [True, False])
def test_a_pid_file_that_somebody_removed_makes_no_second_master(make, listening):
    instance = make()
    pids = [row["pid"] for row in instance.processes()]
    (instance.home / "queue/pid/master.pid").unlink()
    if not listening:
        (instance.home / "queue/private/master").unlink()
    instance.sections = f"[smtp]\nlisten = 127.0.0.1:{free_port()}\n"
    instance.write_config()
    again = instance.postern("start", check=False)
    assert again.returncode != 0 and ("is running already" if listening else "another master") in again.stderr, again
    assert all(alive(pid) for pid in pids)
    if listening:
        assert instance.postern("stop").stderr == ""
    else:
        os.kill(pids[0], signal.SIGTERM)
    assert wait_until(lambda: not any(alive(pid) for pid in pids))
    instance.start()


def test_two_instances_share_nothing(make):
    one, two = make(), make()
    assert not {r["pid"] for r in one.processes()} & {r["pid"] for r in two.processes()}
    for instance, user in ((one, "alice"), (two, "bob")):
        with instance.connect() as c:
            c.hello()
            c.mail(recipients=[f"{user}@here.test"])
    one.wait_mail("alice"), two.wait_mail("bob")
    one.stop()
    with two.connect() as c:
        c.hello()
    assert not one.mailbox("bob") and not two.mailbox("alice")


def test_a_master_that_dies_at_this_moment_is_no_other_one(make):
    """Of its two locks that of queue_directory may be free a moment after that of the pid file."""
    instance = make()
    instance.stop()
    lock = os.open(instance.home / "queue", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    threading.Timer(0.2, os.close, [lock]).start()
    instance.start()


def test_one_queue_directory_has_one_configuration(make):
    """Another one that names it takes the first one's mail while that is stopped."""
    one = make()
    other = one.home / "other"
    shutil.copytree(one.confdir, other)

    def both(*words):
        done = one.command("postern", "-c", other, *words, check=False)
        return done.returncode, (done.stdout + done.stderr).strip()
    said = f"queue_directory {one.home}/queue is that of the instance {one.confdir}, too"
    assert re.search(rf"^{other}/postern.conf:\d+: queue_directory: {said[16:]}$", both("check")[1], re.M)
    assert both("start")[0] == 1
    one.stop()
    status, text = both("start")
    assert status == 0 and f"postern: warning: {said}" in text
    assert both("stop")[0] == 0
    # The same by another name, and what was moved.
    link = one.home / "link"
    link.symlink_to(other)
    text = one.command("postern", "-c", link, "start").stderr + one.command("postern", "-c", link, "stop").stderr
    assert said not in text and "is that of" not in text
    other.rename(one.home / "gone")
    assert "is that of" not in one.postern("start").stderr
    one.started = True


@pytest.mark.parametrize("role", ["smtpd", "delivery", "resolver", "lookup", "policy", "pickup", "local", "log"])
def test_a_killed_process_is_replaced_and_mail_goes_on(make, role):
    instance = make()
    victim = instance.pids(role)[0]
    os.kill(victim, signal.SIGKILL)
    assert wait_until(lambda: [p for p in instance.pids(role) if p != victim], 15)

    def delivered():
        try:
            with instance.connect(timeout=5) as c:
                c.hello()
                c.mail()
            return True
        except (OSError, EOFError, AssertionError):
            return False
    assert wait_until(delivered, 15, 0.3)
    instance.wait_mail("alice")


def test_a_killed_queue_keeps_sessions_and_mail(make):
    instance = make()
    with instance.connect() as c:
        c.hello()
        os.kill(instance.pids("queue")[0], signal.SIGKILL)
        def taken():
            c.cmd("RSET", 250)
            for line in ("MAIL FROM:<s@there.test>", "RCPT TO:<alice@here.test>", "DATA"):
                if c.cmd(line).code >= 400:
                    return False
            c.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
            reply = c.reply()
            assert reply.code in (250, 451, 452), reply
            return reply.code == 250
        assert wait_until(taken, 20, 0.3)
    instance.wait_mail("alice")


def test_master_survives_children_that_die_at_once(make):
    instance = make()
    for _ in range(4):
        for pid in instance.pids("policy"):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.3)
    assert instance.pids("master") and instance.pids("smtpd")
    with instance.connect() as c:
        c.hello()


def test_reload_under_load_drops_no_session(make):
    instance = make()
    failures, done, sent = [], threading.Event(), [0]

    def load():
        try:
            with instance.connect() as c:
                c.hello()
                while not done.is_set():
                    c.mail()
                    sent[0] += 1
        except Exception as trouble:
            failures.append(repr(trouble))
    threads = [threading.Thread(target=load) for _ in range(4)]
    for t in threads:
        t.start()
    for i in range(10):
        instance.reload(smtpd_banner=f"$myhostname ESMTP generation {i}")
        time.sleep(0.1)
    done.set()
    for t in threads:
        t.join(20)
    assert not failures and sent[0] > 0
    assert wait_until(lambda: "generation 9" in instance.connect().banner.text, 5)
    instance.wait_mail("alice", sent[0], 30)
    assert len(instance.mailbox("alice")) == sent[0]


def test_a_bad_configuration_is_refused_while_the_old_one_goes_on(make):
    instance = make()
    before = {r["pid"] for r in instance.processes()}
    instance.settings["queue_minfree"] = "lots"
    instance.sections = f"[smtp]\nlisten = 127.0.0.1:{instance.port}, 300.1.1.1:99\n"
    instance.write_config()
    instance.postern("reload", check=False)
    with instance.connect() as c:
        c.hello()
        c.mail()
    assert before == {r["pid"] for r in instance.processes()}


def test_a_new_listener_comes_with_a_reload(make):
    instance = make()
    other = free_port()
    instance.sections = f"[smtp]\nlisten = 127.0.0.1:{instance.port}\n[extra]\nlisten = 127.0.0.1:{other}\nsmtpd_banner = the extra one\nsyslog_name = postern/extra\n"
    instance.write_config()
    instance.postern("reload")
    from harness.client import Client
    def greeted():
        try:
            with Client("127.0.0.1", other) as c:
                return "the extra one" in c.banner.text
        except OSError:
            return False
    assert wait_until(greeted, 5)
    instance.wait_log(r"postern/extra/smtpd\[\d+\]: connect from")


def listening_at(port):
    """The IPv4 addresses that anybody listens at on that port."""
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {socket.inet_ntoa(bytes.fromhex(row[1][:8])[::-1]) for row in rows if row[3] == "0A" and int(row[1][9:], 16) == port}


def test_a_listener_of_everywhere_becomes_one_of_an_address_and_back(make):
    instance = make()
    here = {"127.0.0.1"}

    def listen(*words, check=True):
        instance.sections = "".join(f"[s{n}]\nlisten = {word}:{instance.port}\n" for n, word in enumerate(words))
        instance.write_config()
        return instance.postern("reload", check=check)

    listen("0.0.0.0")
    assert listening_at(instance.port) == {"0.0.0.0"}
    with instance.connect() as old:
        old.hello()
        listen("127.0.0.1")
        assert listening_at(instance.port) == here
        with instance.connect() as c:
            c.hello()
            c.mail()
        old.mail()
        listen("0.0.0.0")
        assert listening_at(instance.port) == {"0.0.0.0"}
    # Both at the same time are a mistake, as they are at a start; the old ones go on.
    for words in (["0.0.0.0", "127.0.0.1"], ["127.0.0.1", "0.0.0.0"]):
        done = listen(*words, check=False)
        assert done.returncode != 0 and "Address already in use" in done.stderr + instance.log(), done
        assert listening_at(instance.port) == {"0.0.0.0"}
    with instance.connect() as c:
        c.hello()


def test_stop_finishes_what_is_in_flight(make, peer):
    sink = peer(on={"DOT": lambda s, l, p: (time.sleep(1.5), "250 2.0.0 late")[1]})
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}"})
    with instance.connect() as c:
        c.hello()
        queue_id = c.mail("s@here.test", ["r@far.test"])
    assert wait_until(lambda: "DATA" in sink.commands, 5)
    instance.stop()
    assert re.search(rf"{queue_id}: to=<r@far\.test>.*status=sent \(250 2\.0\.0 late\)", instance.log())
    instance.start()
    instance.wait_queue_empty()
    assert len(sink.messages) == 1


@pytest.mark.skipif(not AS_ROOT, reason="it is an ordinary user already")
def test_it_runs_as_an_ordinary_user():
    instance = Instance(user="nobody")
    try:
        instance.start()
        with instance.connect() as c:
            c.hello()
            c.mail()
        instance.wait_mail("alice")
        for row in instance.processes():
            status = proc_status(row["pid"])
            assert set(status["Uid"].split()) == {str(pwd.getpwnam("nobody").pw_uid)}
            if row["role"] not in ("master", "local"):
                assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
    finally:
        instance.close()


@pytest.mark.skipif(not AS_ROOT, reason="setup makes owners only as root")
def test_setup_is_repeatable_and_modes_are_as_said(make):
    instance = make()
    instance.postern("setup")
    drop = os.stat(instance.home / "queue" / "maildrop")
    assert drop.st_mode & 0o7777 == 0o1730 and pwd.getpwuid(drop.st_uid).pw_name == "postern-drop"
    assert os.stat(instance.home / "queue" / "spool").st_mode & 0o077 == 0
    assert instance.postern("check").returncode == 0


def test_systemd_makes_what_setup_makes(make, tmp_path):
    """sysusers.d and tmpfiles.d name the same users and directories, and are files that systemd takes."""
    instance = make(start=False)
    instance.write_config()
    instance.postern("setup")
    users, folders = ((PREFIX / "lib" / kind / "postern.conf") for kind in ("sysusers.d", "tmpfiles.d"))
    said = [re.fullmatch(r'u (postern-\w+) +- "([^":]+)"', line)[1] for line in users.read_text().splitlines() if line[:1] not in ("", "#")]
    said_of = {}
    for line in folders.read_text().splitlines():
        if line.startswith("d "):
            _, path, mode, user, group, _ = line.split()
            said_of[re.sub(r".*/(spool|lib)/postern/?", r"\1/", path)] = (int(mode, 8), user, group)
    made = {"spool/" + (str(p.relative_to(instance.home / "queue")) if p != instance.home / "queue" else ""): p for p in [instance.home / "queue", *(instance.home / "queue").iterdir()] if p.is_dir()}
    made["lib/"] = instance.home / "data"
    assert said_of.keys() == made.keys()
    if AS_ROOT:
        assert said_of == {name: (p.stat().st_mode & 0o7777, p.owner(), p.group()) for name, p in made.items()}
        assert {p.owner() for p in made.values()} - {"root"} <= set(said) and all(subprocess.run(["id", "-u", name], capture_output=True).returncode == 0 for name in said)
    if shutil.which("systemd-sysusers"):
        (tmp_path / "etc").mkdir()
        done = subprocess.run(["systemd-sysusers", f"--root={tmp_path}", str(users)], capture_output=True, text=True)
        assert done.returncode == 0 and not re.search("not a valid|Failed", done.stderr), done.stderr
        assert set(said) <= {line.split(":")[0] for line in (tmp_path / "etc" / "passwd").read_text().splitlines()}


def test_start_fg_logs_to_standard_output(make):
    instance = make({"maillog_file": "/dev/stdout"}, start=False)
    instance.write_config()
    instance.postern("setup")
    child = subprocess.Popen([PREFIX / "sbin" / "postern", "-c", instance.confdir, "start-fg"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        def greeted():
            try:
                with instance.connect() as c:
                    return c.banner.code == 220
            except OSError:
                return False
        assert wait_until(greeted, 15, 0.1)
        child.send_signal(signal.SIGINT)
        output, _ = child.communicate(timeout=20)
    finally:
        child.kill()
    assert child.returncode == 0 and "connect from" in output


@pytest.mark.parametrize("text,complaint", [
    ("smtpd_banana = 1\n", "smtpd_ban"), ("smtpd_timeuot = 5s\n", "smtpd_timeout"), ("smtpd_timeout = soon\n", "smtpd_timeout"), ("a = $b\nb = $a\nmyhostname = $a\n", ":"), ("smtpd_hard_error_limit = -3\n", "smtpd_hard_error_limit"),
    ("smtpd_helo_restrictions = reject_unkown_helo_hostname\n", "unknown restriction reject_unkown_helo_hostname: reject_unknown_helo_hostname was probably meant"), ("smtpd_client_restrictions = reject_rbl_client\n", "does not have the restriction"),
    ("smtpd_tls_cert_file = /no/such.pem\n", "smtpd_tls_cert_file: /no/such.pem: No such file"),
    ("no equals sign\n", ":"), ("smtpd_timeout = 5s\nsmtpd_timeout = 6s\n", "smtpd_timeout"), ("milter_protocol = 6\n", "milter_protocol"),
])
def test_check_names_file_and_line(make, text, complaint):
    instance = make(start=False)
    instance.write_config()
    instance.postern("setup")
    path = instance.confdir / "postern.conf"
    assert instance.postern("check", check=False).returncode == 0
    before = path.read_text()
    path.write_text(text + before)
    done = instance.postern("check", check=False)
    said = done.stdout + done.stderr
    assert done.returncode != 0 and re.search(r"postern\.conf:[1-3]: ", said) and complaint in said


@pytest.mark.parametrize("name,good,bad", [
    ("inet_protocols", ["ipv4", "IPv4, ipv6"], ["ipv5", ""]),
    ("notify_classes", ["bounce, 2bounce", ""], ["bounce, bounces"]),
    ("syslog_facility", ["local5"], ["mial"]),
    ("smtp_bind_address", ["127.0.0.1", ""], ["::1", "mx.here.test", "127.0.0.256"]),
    ("smtp_bind_address6", ["[::1]"], ["127.0.0.1"]),
    ("smtp_tcp_port", ["2525", "smtp"], ["0", "99999", "no-such-service"]),
    ("known_tcp_ports", ["smtp=25, smtps=submissions=465"], ["smtp=25, lmtp", "smtp=25, =24", "smtp=25, lmtp=0", "smtp=25, lmtp=mail"]),
    ("relayhost", ["mx.test", "[mx.test]:587", "[::1]:25", "mx.test:smtp", "[a.test]:25, b.test"], ["[mx.test", "mx.test:", "mx.test:25:25", "smtp:[mx.test]", "a.test, [b"]),
    ("mail_spool_directory", ["/var/mail"], ["mail/", "/no/such/folder/", "/etc/passwd/"]),
    ("mailbox_command", ["/bin/cat >/dev/null", "procmail", "/usr/$x/y", "exec /no/such"], ["/no/such/procmail -a x", "/etc/passwd"]),
    ("local_command_shell", ["/bin/sh -c"], ["/no/such/sh -c"]),
    ("bounce_template_file", [""], ["/no/such/file"]),
    *((name, [""], ["/no/such/file", "/etc/passwd"]) for name in ("smtp_tls_CAfile", "smtp_tls_trust_anchor_file", "lmtp_tls_CAfile", "smtpd_tls_CAfile", "smtp_tls_CApath", "smtpd_tls_CApath")),
    ("virtual_alias_maps", ["static:x"], ["hash:/no/such/table"]),
    ("dns_servers", ["127.0.0.1:53, [::1]:53", ""], ["ns.test", "127.0.0.1:99999"]),
    ("maillog_file", ["/tmp/log", "/dev/stdout"], ["mail.log", "/tmp", "/no/such/folder/log", "/etc/passwd/log", "/dev/stderr"]),
    ("mydestination", ["here.test, /etc/hostname"], ["here.test, !/no/such/file"]),
    ("relay_domains", [""], ["/no/such/file"]),
    ("smtpd_client_restrictions", ["permit_mynetworks, reject", "CHECK_client_access static:OK"], ["permit_mynetwork", "reject_rbl_client bl.test, permit", "permit_mx_backup"]),
    pytest.param("transport_services", ["{ x pipe user=nobody argv=/bin/cat }"], ["{ x pipe user=no-such-user argv=/bin/cat }", "{ y lmtp } { x pipe user=root argv=/bin/cat }"], marks=pytest.mark.skipif(not AS_ROOT, reason="only root runs commands as others")),
    pytest.param("default_privs", ["nobody", "nobody:nogroup"], ["no-such-user", "nobody:no-such-group", "root"], marks=pytest.mark.skipif(not AS_ROOT, reason="only root runs commands as others")),
])
def test_check_looks_into_texts_that_must_mean_something(make, name, good, bad):
    instance = make(start=False)
    for value in good + bad:
        instance.settings[name] = value
        instance.write_config()
        instance.postern("setup")
        done = instance.postern("check", check=False)
        assert (done.returncode != 0) == (value in bad), (value, done.stdout)
        line = list(instance.settings).index(name) + 1
        assert value in good or re.match(rf"{instance.confdir}/postern\.conf:{line}: {name}\b.*\n$", done.stdout), (value, done.stdout)


@pytest.mark.skipif(not AS_ROOT, reason="only root can hide /etc/services")
def test_ports_have_names_where_no_services_are_listed(make):
    """Slim images come without /etc/services: Postfix's known_tcp_ports are enough for check, and to listen by name."""
    instance = make({"known_tcp_ports": f"smtp=25, ours=theirs={free_port()}", "relayhost": "[mx.test]:theirs"}, start=False)
    instance.sections = "[smtp]\nlisten = 127.0.0.1:ours\n"
    instance.write_config()
    instance.postern("setup")
    hidden = ["unshare", "-m", "sh", "-c", 'mount --bind /dev/null /etc/services && exec "$0" "$@"', PREFIX / "sbin" / "postern", "-c", instance.confdir]
    for command, status in (("check", 0), ("start", 0), ("stop", 0)):
        done = instance.command(*hidden, command, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


@pytest.mark.parametrize("section,line,word", [
    ("listen = 192.0.2.77:2525\n", 2, "192.0.2.77"), ("smtpd_timeout = 5s\nlisten = 127.0.0.1:0\n", 3, "'0'"), ("listen = 127.0.0.1:99999\n", 2, "99999"), ("listen = 127.0.0.1:,\n", 2, "127.0.0.1:"), ("listen = 999.0.0.1:25\n", 2, "999.0.0.1"),
    ("listen = 127.0.0.5:2525\n", 2, "127.0.0.5:2525: section [smtp] listens on 0.0.0.0:2525 already"), ("listen = [::]:2626\n", 2, "[::]:2626: section [smtp]"),
])
def test_check_knows_where_this_host_can_listen(make, section, line, word):
    instance = make(start=False)
    instance.sections = f"[smtp]\nlisten = 127.0.0.1:{instance.port}, :2525, *:2525, localhost:smtp, [::]:2626\n"
    instance.write_config()
    instance.postern("setup")
    assert instance.postern("check").stdout == ""
    instance.sections += "[other]\n" + section
    instance.write_config()
    done = instance.postern("check", check=False)
    assert done.returncode != 0 and re.match(rf"{instance.confdir}/postern\.conf:{len(instance.settings) + 2 + line}: listen: .*{re.escape(word)}.*\n$", done.stdout), done.stdout


@pytest.mark.skipif(not os.environ.get("POSTERN_PRIVATE_ETC"), reason="writes /etc/hosts")
def test_names_of_the_hosts_file_are_listened_on(make):
    with open("/etc/hosts", "a") as hosts:
        hosts.write("127.0.0.61 listening.Here.test\n127.0.0.62 listening.here.test\n")
    instance = make(start=False)
    port = instance.port
    instance.sections = f"[smtp]\nlisten = Listening.here.test:{port}, 127.0.0.63:{port}\n"
    instance.start()
    instance.postern("check")
    for address in ("127.0.0.61", "127.0.0.62", "127.0.0.63"):
        instance.address = address
        with instance.connect() as c:
            assert c.banner.code == 220
    instance.sections = f"[smtp]\nlisten = nobody.here.test:{port}\n"
    instance.write_config()
    assert "nobody.here.test" in instance.postern("check", check=False).stdout
    assert "nobody.here.test" in instance.postern("reload", check=False).stderr


def test_it_says_what_it_is_and_can_without_a_configuration(make):
    instance = make(start=False)
    for words in (["--version"], ["version"], ["-V"]):
        assert re.fullmatch(r"Postern \d+\.\d+\S*\n", instance.command("postern", *words).stdout)
    for words in (["--help"], ["help"], ["-h"]):
        text = instance.command("postern", *words).stdout
        assert all(word in text for word in ("start-fg", "queue list", "route", "config"))
    for words in (["queue", "--help"], ["queue", "list", "--help"], ["queue", "list", "--to", "x", "--help"]):
        text = instance.postern(*words).stdout
        assert "--older-than" in text and "start-fg" not in text
    assert "postern config" in instance.postern("config", "--help").stdout
    for words in ([], ["-x"], ["bogus"], ["queue"], ["queue", "bogus"], ["route"], ["status", "more"]):
        done = instance.postern(*words, check=False)
        assert done.returncode == 64 and not done.stdout and done.stderr.count("\n") == 1, (words, done.stderr)


@pytest.mark.skipif(not AS_ROOT, reason="only root can be another user")
def test_a_stranger_who_stops_the_host_is_told_at_once_that_he_may_not(make):
    instance = make()
    for verb in ("stop", "abort", "reload", "status"):
        began = time.monotonic()
        done = subprocess.run([PREFIX / "sbin" / "postern", "-c", instance.confdir, verb], capture_output=True, text=True, user=65534, group=65534, extra_groups=[])
        assert done.returncode == 77 and "ermission denied" in done.stderr and done.stderr.count("\n") == 1, (verb, done)
        assert time.monotonic() - began < 5
    done = subprocess.run([PREFIX / "sbin" / "postern", "-c", instance.confdir, "check"], capture_output=True, text=True, user=65534, group=65534, extra_groups=[])
    assert done.returncode == 78 and done.stdout == f"{instance.confdir}: this instance belongs to user 0: directories can be checked by that user alone\n", done
    assert all(row["state"] == "running" for row in instance.processes())


def test_config_speaks_like_postconf(make):
    instance = make(start=False)
    instance.write_config()
    assert instance.postern("config", "smtpd_banner").stdout == "smtpd_banner = $myhostname ESMTP\n"
    assert instance.postern("config", "-d", "maximal_queue_lifetime").stdout == "maximal_queue_lifetime = 5d\n"
    assert instance.postern("config", "-d", "relayhost").stdout == "relayhost =\n"
    assert "mydomain = here.test\n" in instance.postern("config", "-n").stdout
    instance.postern("config", "-e", "mydomain=there.test", "smtpd_banner = hello $mydomain")
    assert instance.postern("config", "mydomain", "smtpd_banner").stdout == "mydomain = there.test\nsmtpd_banner = hello $mydomain\n"
    assert instance.postern("config", "-h", "mydomain").stdout == "there.test\n"
    assert instance.postern("config", "-H", "mydomain", "myorigin").stdout == "mydomain\nmyorigin\n"
    instance.postern("config", "mydomain = elsewhere.test")
    assert instance.postern("config", "-fp", "mydomain").stdout == "mydomain = elsewhere.test\n"
    instance.postern("config", "-#", "mydomain")
    instance.postern("config", "-X", "smtpd_banner", "nosuch")
    text = (instance.confdir / "postern.conf").read_text()
    assert "\n#mydomain = elsewhere.test\n" in text and "smtpd_banner" not in text
    assert {"hash", "static", "unionmap"} <= set(instance.postern("config", "-m").stdout.split())
    assert instance.postern("config", "-x", "-o", "mydomain = over.test", "-o", "my_own = $mydomain", "mydomain", "my_own").stdout == "mydomain = over.test\nmy_own = over.test\n"
    assert instance.postern("config", "-h", "config_directory", "frozen_delivered_to").stdout == f"{instance.confdir}\nyes\n"
    assert instance.postern("config", "-xh", "-o", "my_own = $config_directory/${config_directory?x}", "my_own").stdout == f"{instance.confdir}/x\n"
    assert set(instance.postern("config", "-l").stdout.split()) == {"fcntl", "flock", "dotlock"} and "dovecot" in instance.postern("config", "-a").stdout
    assert all(instance.postern("config", "-T", mode).stdout.startswith("OpenSSL 3") for mode in ("compile-version", "run-version"))
    assert instance.postern("config", "-A").stdout == "cyrus\n" and "rsa" in instance.postern("config", "-T", "public-key-algorithms").stdout.split()
    assert instance.postern("config", "relayhost").stdout == "relayhost =\n" and instance.postern("config", "-h", "relayhost").stdout == "\n"
    done = instance.postern("config", "mail_owner", check=False)
    assert (done.returncode, done.stderr) == (1, "postern: warning: mail_owner: Postern does not have this parameter of Postfix\n")
    for wrong, status in ((["-X"], 64), (["-Z"], 64), (["-d", "-n"], 64), (["-h", "-H", "mydomain"], 64), (["-o", "=a"], 64), (["-o"], 64), (["-#", "a=b"], 73), (["-T", "x"], 64), (["-b", "/no/such/file"], 65), (["-e", "a"], 73), (["-e", "a=b", "smtp/inet/x=y"], 73), (["a#b=c"], 73), (["-M"], 69), (["-P", "smtp/inet/x"], 69)):
        done = instance.postern("config", *wrong, check=False)
        assert done.returncode == status and done.stderr.count("\n") == 1 and done.stdout == "", (wrong, done)
    assert (instance.confdir / "postern.conf").read_text() == text


def test_config_shows_the_texts_of_notifications(make, tmp_path):
    """postconf -t and -b: what is shown can be changed and used (BOUNCE_README)."""
    instance = make(start=False)
    instance.write_config()
    built_in = instance.postern("config", "-t").stdout
    assert re.findall(r"^(\w+)_template = <<EOF$", built_in, re.M) == ["failure", "delay", "success"] and "at host $myhostname." in built_in
    (tmp_path / "own").write_text(built_in.replace("This is the mail system", "Here speaks the mail system"))
    instance.settings["bounce_template_file"] = tmp_path / "own"
    instance.write_config()
    assert instance.postern("config", "-t", "").stdout == built_in
    text = instance.postern("config", "-b").stdout
    assert text == instance.postern("config", "-b", tmp_path / "own").stdout and text.count("Here speaks the mail system at host mx.here.test.\n") == 3 and "$" not in text and "\r" not in text


def test_config_tells_what_it_could_not_understand(make):
    instance = make({"a": "$b", "b": "$a"}, start=False)
    instance.write_config()
    path = instance.confdir / "postern.conf"
    path.write_text("relayhost mx.test\nmydomain = one.test\n" + path.read_text())
    done = instance.postern("config", "-x", "relayhost", "mydomain", "a")
    assert done.stdout == "relayhost =\nmydomain = here.test\na = $b\n"
    warnings = [rf'{path}:1: neither "name = value" nor .*: relayhost mx\.test', rf"{path}:\d+: mydomain: was set before.*", "a: the value leads back to itself.*"]
    assert re.fullmatch("".join(f"postern: warning: {w}\n" for w in warnings), done.stderr), done.stderr


def test_postfix_as_scripts_call_it(make, tmp_path):
    """What roles of configuration managers do: postfix's commands, and postconf with its directory wherever it stands."""
    instance = make(start=False)
    instance.write_config()
    elsewhere = make({"mydomain": "elsewhere.test"}, start=False)
    elsewhere.write_config()
    for name in ("postfix", "postconf"):
        (tmp_path / name).symlink_to(PREFIX / "sbin" / "postern")
    for words in (["set-permissions"], ["upgrade-configuration"], ["check"], ["-v", "check"], ["-D", "-v", "-c", instance.confdir, "check"]):
        done = instance.command(tmp_path / "postfix", *words)
        assert done.stdout == done.stderr == "", words
    assert (instance.home / "queue" / "maildrop").is_dir()
    for words in (["-h", "-c", elsewhere.confdir, "mydomain"], ["-hc", elsewhere.confdir, "mydomain"], ["-c", elsewhere.confdir, "-h", "mydomain"]):
        assert instance.command(tmp_path / "postconf", *words).stdout == "elsewhere.test\n", words
    done = instance.command(tmp_path / "postconf", "-h", "mail_owner", "mydomain")
    assert (done.stdout, done.stderr) == ("here.test\n", "postconf: warning: mail_owner: Postern does not have this parameter of Postfix\n")
    done = instance.command(tmp_path / "postfix", "status", check=False)
    assert done.returncode == 1 and "is not running" in done.stderr
    instance.start()
    done = instance.command(tmp_path / "postfix", "status")
    assert re.fullmatch(rf"postfix: the mail system is running: PID: {instance.pids('master')[0]}\n", done.stderr) and not instance.postern("status").stderr, done
    done = instance.command(tmp_path / "postconf", "-Z", check=False)
    assert done.returncode == 64 and re.fullmatch(r"usage: postconf \[-d\|-n\].*; -Z: .*\n", done.stderr), done.stderr
    instance.command(tmp_path / "postfix", "quick-stop")
    assert "is not running" in instance.command(tmp_path / "postfix", "status", check=False).stderr
    instance.started = False


def test_edits_at_the_same_time_are_all_kept(make):
    instance = make(start=False)
    instance.prepare()
    edits = [subprocess.Popen([PREFIX / "sbin/postern", "-c", instance.confdir, "config", "-e", f"my_own_{n} = {n}"]) for n in range(30)]
    assert [edit.wait(30) for edit in edits] == [0] * 30
    lines = (instance.confdir / "postern.conf").read_text().splitlines()
    assert [n for n in range(30) if f"my_own_{n} = {n}" not in lines] == []
