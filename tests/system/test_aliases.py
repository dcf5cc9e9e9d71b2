"""aliases(5) in full: files, commands, lists in files, owners, loops, rights."""
import os, pathlib, pwd, re, stat

import pytest
from harness.instance import AS_ROOT, PREFIX, wait_until

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="only root can deliver as other users")


def home(user):
    return pathlib.Path(pwd.getpwnam(user).pw_dir)


@pytest.fixture
def clean(system_users):
    def wipe():
        for user in system_users:
            os.system(f"rm -rf {home(user)}/Maildir {home(user)}/.forward* {home(user)}/out*")
    wipe()
    yield system_users
    wipe()


@pytest.fixture
def room(tmp_path_factory):
    """A folder in which everybody may make files, reached by everybody."""
    folder = tmp_path_factory.mktemp("room")
    for path in (folder, *folder.parents[:3]):
        if str(path).startswith("/tmp/"):
            os.chmod(path, 0o755)
    os.chmod(folder, 0o1777)
    return folder


def start(make, aliases, **settings):
    instance = make({"local_recipient_maps": "", "mail_spool_directory": None, "home_mailbox": "Maildir/", "soft_bounce": "no", **settings}, start=False)
    file = instance.home / "aliases"
    file.write_text(aliases)
    instance.settings["alias_maps"] = f"texthash:{file}"
    instance.settings["alias_database"] = ""
    return instance.start()


def send(instance, recipient, body="Subject: list\r\n\r\nFrom the start\r\nbody\r\n", sender="s@there.test"):
    with instance.connect() as c:
        c.hello()
        return c.mail(sender, [recipient] if isinstance(recipient, str) else recipient, body)


def inbox(user):
    folder = home(user) / "Maildir" / "new"
    return [p.read_text() for p in folder.iterdir()] if folder.exists() else []


def test_a_command_gets_the_letter_and_the_documented_environment(make, clean, room):
    script = room / "command"
    script.write_text(f"#!/bin/sh\ncat > {room}/letter.tmp\nenv > {room}/env\nid > {room}/id\nulimit -c > /dev/null\nls /proc/self/fd > {room}/fds\ngrep -E 'NoNewPrivs|Seccomp:' /proc/self/status > {room}/status\nmv {room}/letter.tmp {room}/letter\n")
    script.chmod(0o755)
    instance = start(make, f'prog "|{script} a b"\nshell "|cat >/dev/null; echo $SENDER-$RECIPIENT >{room}/shell"\n', recipient_delimiter="+", export_environment="TZ GIVEN=yes")
    queue_id = send(instance, "prog+ext@here.test", sender="a`id`b@there.test")
    instance.wait_log(rf"postern/local\[\d+\]: {queue_id}: to=<prog\+ext@here\.test>, relay=local, .*dsn=2\.0\.0, status=sent \(delivered to command: {script} a b\)")
    letter = (room / "letter").read_text()
    assert re.match(r"From a`id`b@there\.test  \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\nReturn-Path: <a`id`b@there\.test>\nDelivered-To: prog\+ext@here\.test\n", letter), letter
    assert letter.endswith("\n\nFrom the start\nbody\n")  # as it came: nothing is quoted, nothing added
    env = dict(line.split("=", 1) for line in (room / "env").read_text().splitlines())
    for name in ("PWD", "SHLVL", "_", "OLDPWD"):
        env.pop(name, None)
    assert env.pop("PATH").startswith("/usr/")
    env.pop("TZ", None)
    assert env.pop("CLIENT_ADDRESS") == "127.0.0.1" and env.pop("CLIENT_PROTOCOL") == "ESMTP" and env.pop("CLIENT_HELO") and env.pop("CLIENT_HOSTNAME")
    assert env == {"LOGNAME": "prog", "USER": "prog", "LOCAL": "prog+ext", "DOMAIN": "here.test", "EXTENSION": "ext", "GIVEN": "yes",
                   "RECIPIENT": "prog+ext@here.test", "ORIGINAL_RECIPIENT": "prog+ext@here.test", "SENDER": "a_id_b@there.test"}
    ids = (room / "id").read_text()
    assert "uid=65534(nobody)" in ids and "root" not in ids
    assert set((room / "fds").read_text().split()) <= {"0", "1", "2", "3"}
    assert re.findall(r"\d", (room / "status").read_text()) == ["0", "0"]
    send(instance, "shell@here.test", sender="x@there.test")
    assert wait_until(lambda: (room / "shell").exists() and (room / "shell").read_text() == "x@there.test-shell@here.test\n"), instance.log()
    send(instance, '"shell+a..b"@here.test', sender='"x..y"@there.test')
    assert wait_until(lambda: (room / "shell").read_text() == "x..y@there.test-shell+a..b@here.test\n"), instance.log()


def test_files_and_lists(make, clean, room):
    one, two = clean
    listing = room / "list"
    listing.write_text(f"# who reads it\n{one}, {two}\n\n\"Some Body\" <{one}@here.test>\n:include:{room}/more\n")
    (room / "more").write_text(f"third\n")
    instance = start(make, f"team :include:{listing}\nthird {room}/box\nnull /dev/null\nfolder {room}/folder/\nexe {room}/exe\n")
    (room / "exe").write_text("#!/bin/sh\n")
    os.chmod(room / "exe", 0o777)
    queue_id = send(instance, "team@here.test")
    instance.wait_log(rf"{queue_id}: to=<third@here\.test>, orig_to=<team@here\.test>, relay=local, .*status=sent \(delivered to file: {room}/box\)")
    instance.wait_log(rf"{queue_id}: removed")
    assert len(inbox(one)) == 1 and len(inbox(two)) == 1
    assert "X-Original-To: team@here.test\n" in inbox(one)[0] and f"Delivered-To: {one}@here.test\n" in inbox(one)[0]
    assert (room / "box").read_text().startswith("From s@there.test ") and (room / "box").stat().st_uid == 65534
    send(instance, "null@here.test")
    instance.wait_log(r"to=<null@here\.test>.*status=sent \(delivered to file: /dev/null\)")
    send(instance, "folder@here.test")
    instance.wait_log(r"to=<folder@here\.test>.*status=sent \(delivered to maildir\)")
    assert len(list((room / "folder" / "new").iterdir())) == 1
    send(instance, "exe@here.test")
    instance.wait_log(r"to=<exe@here\.test>.*status=deferred \(.*executable")


def test_a_file_where_its_owner_can_make_no_lock_file(make, clean, room):
    (room / "closed").mkdir()
    box = room / "closed" / "box"
    box.write_text("")
    os.chown(box, 65534, -1)
    instance = start(make, f"archive {box}\n")
    send(instance, "archive@here.test")
    instance.wait_log(rf"to=<archive@here\.test>.*status=sent \(delivered to file: {box}\)")
    assert "Subject: list" in box.read_text()


def test_members_without_commas(make, clean, room):
    one, two = clean
    (room / "list").write_text(f"{one} {two}\n{one}  # by hand\n")
    instance = start(make, f'spaces {one} "|cat > {room}/letter" {two}\nsemicolons {one}; {two}\nlisted :include:{room}/list\n', minimal_backoff_time="300s")
    for count, name in enumerate(("spaces", "semicolons", "listed"), 1):
        send(instance, f"{name}@here.test")
        assert wait_until(lambda: len(inbox(one)) == count and len(inbox(two)) == count), instance.log()
    assert (room / "letter").exists()
    instance.wait_log(rf"to=<listed@here\.test>.*dsn=4\.3\.5, status=deferred \({room}/list, line 2: not an address\)")


def test_letters_keep_their_case_for_commands_and_files(make, clean, room, peer):
    """As in Postfix: the address is as it was written, LOCAL and its kin in lower case; so are the Delivered-To lines of what is passed on."""
    one, _ = clean
    (home(one) / ".forward").write_text(f'"|echo $RECIPIENT > {room}/of-user"\nq@far.test\n')
    (room / "inc").write_text(f"{room}/box\n")
    sink = peer()
    instance = start(make, f'prog "|echo $RECIPIENT $ORIGINAL_RECIPIENT $LOCAL > {room}/of-alias", :include:{room}/inc, p@far.test\nwithin prog\nroot "|echo $RECIPIENT > {room}/of-root"\n',
                     recipient_delimiter="+", relayhost=f"[127.0.0.1]:{sink.port}", virtual_alias_maps="inline:{ { v@v.test = Prog+Two@here.test } }", allow_mail_to_files="include")
    queue_id = send(instance, ["Prog+One@here.test", f"{one.upper()}+X@here.test", "Mailer-Daemon@here.test"])
    instance.wait_log(rf"{queue_id}: removed")
    assert (room / "of-alias").read_text() == "Prog+One@here.test Prog+One@here.test prog+one\n" and (room / "of-user").read_text() == f"{one.upper()}+X@here.test\n"
    assert (room / "of-root").exists() and "\nDelivered-To: Prog+One@here.test\n" in (room / "box").read_text()
    assert rf"{queue_id}: to=<Prog+One@here.test>, relay=local" in instance.log()
    assert "orig_to=<Prog" not in re.sub(".*far.test.*", "", instance.log())
    assert sorted(re.findall(rb"Delivered-To: (.*?)\r\n", b"".join(m["content"] for m in sink.messages))) == sorted([f"{one}+x@here.test".encode(), b"prog+one@here.test"])
    queue_id = send(instance, ["v@v.test", "Within@here.test"])
    instance.wait_log(rf"{queue_id}: removed")
    assert rf"{queue_id}: to=<Prog+Two@here.test>, orig_to=<v@v.test>, relay=local" in instance.log() and rf"{queue_id}: to=<prog@here.test>, orig_to=<Within@here.test>, relay=local" in instance.log()


def test_what_is_not_allowed(make, clean, room):
    (room / "list").write_text(f"|touch {room}/evil, {room}/evil2\n")
    instance = start(make, f'inc :include:{room}/list\ncmd "|touch {room}/evil3"\n', allow_mail_to_commands="forward", allow_mail_to_files="alias,forward")
    for name in ("inc", "cmd"):
        send(instance, f"{name}@here.test", sender="")
    instance.wait_log(r"to=<inc@here\.test>.*dsn=5\.7\.1, status=bounced \(mail to command is restricted\)")
    instance.wait_log(r"to=<inc@here\.test>.*dsn=5\.7\.1, status=bounced \(mail to file is restricted\)")
    instance.wait_log(r"to=<cmd@here\.test>.*dsn=5\.7\.1, status=bounced \(mail to command is restricted\)")
    assert not [p for p in room.iterdir() if p.name.startswith("evil")]


def test_strangers_names_for_members_do_nothing(make, clean, room):
    """The names that stand for commands are found out and used by a stranger: no more than the list itself would do."""
    instance = start(make, f'gone "|touch {room}/gone"\n', soft_bounce="no")
    for part in (r'"\\gone|0123456789abcdef"', r'"\\nobody~0123456789abcdef"', r'"\\root"', r'"\\\\root"', '"|touch evil"', "/tmp/evil"):
        with instance.connect() as c:
            c.hello()
            c.cmd("MAIL FROM:<>", 250)
            if c.cmd(f"RCPT TO:<{part}@here.test>").code == 250:
                c.cmd("DATA", 354)
                c.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
                assert c.reply().code == 250
    instance.wait_queue_empty()
    assert not (room / "gone").exists() and not os.path.exists("/tmp/evil")


def test_notices_name_the_list_and_no_member(make, clean, room):
    one, two = clean
    instance = start(make, f'one "|echo no; exit 67"\nmix "|exit 77", nobody.at.all\nbox \\{two}\n')
    for name, notify in (("one", ""), ("mix", ""), ("box", "NOTIFY=SUCCESS")):
        with instance.connect() as c:
            c.hello()
            c.cmd(f"MAIL FROM:<{one}@here.test>", 250)
            c.cmd(f"RCPT TO:<{name}@here.test> {notify}".rstrip(), 250)
            c.data("Subject: x\r\n\r\n")
    assert wait_until(lambda: len(inbox(one)) == 3), instance.log()
    told = "".join(sorted(inbox(one)))
    assert sorted(re.findall(r"^Final-Recipient: rfc822; (.*)$", told, re.M)) == [f"{two}@here.test", "mix@here.test", "nobody.at.all@here.test", "one@here.test"]
    assert "\n<one@here.test>: user unknown. Command output: no\n" in told and "\n<mix@here.test>: permission denied\n" in told and f"\n<{two}@here.test> (expanded from <box@here.test>): delivered to" in told


def test_the_queue_is_listed_with_the_lists_address(make, clean, room):
    instance = start(make, 'later "|exit 75"\n', minimal_backoff_time="300s")
    send(instance, "later@here.test")
    instance.wait_log(r"to=<later@here\.test>.*status=deferred")
    assert re.search(r"^ +later@here\.test$", instance.command("mailq").stdout, re.M)
    assert [r["orig_address"] for m in instance.queue() for r in m["recipients"]] == ["later@here.test"]


def test_the_owner_of_a_list_is_its_sender(make, clean, room):
    one, two = clean
    instance = start(make, f"list {one}, inner\nowner-list {two}\nowner-owner-list {two}\ninner \"|cat > {room}/inner\"\nplain {one}\n")
    send(instance, "list@here.test")
    assert wait_until(lambda: inbox(one) and (room / "inner").exists() and (room / "inner").stat().st_size), instance.log()
    assert inbox(one)[0].startswith("Return-Path: <owner-list@here.test>\n")
    assert (room / "inner").read_text().startswith("From owner-list@here.test ")
    send(instance, "owner-list@here.test")
    assert wait_until(lambda: inbox(two)) and inbox(two)[0].startswith("Return-Path: <owner-owner-list@here.test>\n")
    instance.reload(expand_owner_alias="yes", reset_owner_alias="yes")
    send(instance, "list@here.test")
    assert wait_until(lambda: len(inbox(one)) == 2), instance.log()
    assert any(m.startswith(f"Return-Path: <{two}@here.test>\n") for m in inbox(one))
    assert wait_until(lambda: f"From {two}@here.test " in (room / "inner").read_text()), instance.log()  # reset_owner_alias: not the sender


def test_members_of_a_list_with_an_owner_get_mail_of_its_own(make, clean, room, peer):
    """The member is the original recipient, as the list names it, also of what its .forward passes on; of two lists each sends its copy."""
    one, two = clean
    (room / "inc").write_text(f"{one}\n")
    (home(two) / ".forward").write_text("on@far.test\n")
    sink = peer()
    instance = start(make, f"list {two}, v@v.test, :include:{room}/inc, file\nfile {room}/box\nowner-list o@far.test\nother {one}\nowner-other o@far.test\nto {one}\nnest list\n",
                     virtual_alias_maps="inline:{ { v@v.test = away@far.test } { x@v.test = to@here.test } }", relayhost=f"[127.0.0.1]:{sink.port}")
    queue_id = send(instance, ["list@here.test", "other@here.test", "x@v.test"])
    instance.wait_log(rf"{queue_id}: removed")
    told = set(re.findall(rf"{queue_id}: to=<(\S+)>, (?:orig_to=<(\S+)>, )?relay=.*status=sent \((?!forwarded)", instance.log()))
    assert told == {("on@far.test", f"{two}@here.test"), ("away@far.test", "v@v.test"), (f"{one}@here.test", ""), ("file@here.test", ""), (f"{one}@here.test", "x@v.test")}
    # Equal addresses behind different lists are still recipients of their own.
    assert sorted(re.findall(r"^(?:X-Original-To|Delivered-To): (.*)", "".join(inbox(one)), re.M)) == sorted([f"{one}@here.test", f"{one}@here.test", "list@here.test", "other@here.test", "x@v.test", "to@here.test"])
    assert sorted(rcpt for m in sink.wait(2) for rcpt in m["rcpt"]) == ["RCPT TO:<away@far.test> ORCPT=rfc822;v@v.test", f"RCPT TO:<on@far.test> ORCPT=rfc822;{two}@here.test"]
    # Whoever asks to be told of success hears of an alias of the list that it was expanded.
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<s@there.test>", 250)
        c.cmd("RCPT TO:<nest@here.test> NOTIFY=SUCCESS", 250)
        c.data("Subject: x\r\n\r\n")
    report = wait_until(lambda: next((m["content"] for m in sink.messages if "s@there.test" in m["rcpt"][0]), None))
    assert report and b"Final-Recipient: rfc822; nest@here.test" in report and b"Action: expanded" in report


def test_own_names_extensions_and_backslashes(make, clean, room):
    one, two = clean
    (home(one) / ".forward").write_text(f"{two}\n")
    os.chown(home(one) / ".forward", pwd.getpwnam(one).pw_uid, -1)
    instance = start(make, f"{one} {one}\nraw \\{one}\ntwice {two}, \\{two}, {two}@here.test\nhosts bob, bob@mx.here.test, nested, BOB@localhost\nnested bob@localhost\n{two} \\{two}, {two}@here.test\next {two}\ninc :include:{room}/inc\n", recipient_delimiter="+", propagate_unmatched_extensions="alias", frozen_delivered_to="no")
    send(instance, f"{one}@here.test")  # past the alias, but not past .forward
    assert wait_until(lambda: len(inbox(two)) == 1), instance.log()
    send(instance, "raw@here.test")  # as in Postfix the backslash says nothing that its own name does not say
    assert wait_until(lambda: len(inbox(two)) == 2), instance.log()
    for count, recipient in ((3, "twice@here.test"), (4, f"{two}@here.test")):
        send(instance, recipient)
        instance.wait_queue_empty()
        assert len(inbox(two)) == count and not inbox(one), instance.log()
    before = len(inbox("bob"))
    send(instance, "hosts@here.test")  # one copy, whatever of our names stands behind it
    instance.wait_queue_empty()
    assert len(inbox("bob")) == before + 1, instance.log()
    send(instance, "ext+more@here.test")
    assert wait_until(lambda: any(f"Delivered-To: {two}+more@here.test" in m for m in inbox(two))), instance.log()
    (room / "inc").write_text(f"{two}\n")
    for classes, member in (("alias", two), ("include", two), ("alias, include", f"{two}+x")):
        instance.reload(propagate_unmatched_extensions=classes)
        queue_id = send(instance, "inc+x@here.test")
        instance.wait_log(rf"{queue_id}: to=<{re.escape(member)}@here\.test>, orig_to=<inc\+x@here\.test>, .*status=sent \(delivered")


def test_local_members_of_an_alias_do_not_go_round_by_canonical_and_virtual_tables(make, clean, room):
    """user -> first.last for the world, first.last -> user for delivery. A list with an owner sends new mail, and so does an :include:."""
    one, two = clean
    (room / "nested").write_text("inner\n")
    instance = start(make, f"first.last {one}\ngroup {one}, {two}\nteam {two}\nowner-team {one}\ninc :include:{room}/nested\ninner {two}\n", luser_relay=two,
                     recipient_canonical_maps=f"inline:{{ {{ {one}@here.test = first.last@here.test }} }}", virtual_alias_maps=f"inline:{{ {{ {two}@here.test = group@here.test }} }}")
    for count, recipient in enumerate((f"{one}@here.test", "first.last@here.test", f"{two}@here.test"), 1):
        send(instance, recipient)
        assert wait_until(lambda: len(inbox(one)) == count), (recipient, instance.log())
    assert wait_until(lambda: len(inbox(two)) == 1), instance.log()
    send(instance, ["nobody.there@here.test"])
    assert wait_until(lambda: len(inbox(two)) == 2), instance.log()
    for count, recipient in enumerate(("team@here.test", "inc@here.test"), 4):
        send(instance, recipient)
        assert wait_until(lambda: len(inbox(one)) == count and len(inbox(two)) == count - 1), (recipient, instance.log())
    shown = instance.postern("route", f"{one}@here.test").stdout
    assert f"to {one}@here.test: transport local" in shown, shown


@pytest.mark.parametrize("table, bounced", [
    ("a b\nb a\n", True),
    ("a :include:{room}/loop\n", True),
    ("a b, carol\nb a\n", False),
    ("\n".join(f"n{i} n{i + 1}" for i in range(10000)) + "\na n0\nn10000 carol\n", True),
])
def test_loops_end(make, clean, room, table, bounced):
    (room / "loop").write_text(f":include:{room}/loop\n")
    instance = start(make, table.replace("{room}", str(room)))
    queue_id = send(instance, "a@here.test", sender="")
    if bounced:
        instance.wait_log(rf"{queue_id}: to=<a@here\.test>.*dsn=5\.4\.6, status=bounced \(.*loop")
    else:
        instance.wait_log(rf"{queue_id}: to=<carol@here\.test>.*status=sent")
    instance.wait_queue_empty()


def test_bad_members_wait_and_good_ones_get_their_mail_once(make, clean, room):
    one, two = clean
    (room / "list").write_text(f"{one}\n<<>\n{two}\n")
    instance = start(make, f"team :include:{room}/list\nmissing {one}, :include:{room}/missing\n")
    send(instance, "team@here.test")
    instance.wait_log(rf"warning: {room}/list, line 2: not an address")
    instance.wait_log(rf"to=<team@here\.test>.*dsn=4\.3\.5, status=deferred \({room}/list, line 2: not an address\)")
    assert wait_until(lambda: inbox(one) and inbox(two)), instance.log()
    (room / "list").write_text(f"{one}\n{two}\n")
    instance.postern("flush")
    instance.wait_queue_empty()
    assert len(inbox(one)) == 1 and len(inbox(two)) == 1
    send(instance, "missing@here.test")
    instance.wait_log(rf"to=<missing@here\.test>.*dsn=4\.3\.5, status=deferred \(cannot open include file: {room}/missing")


def test_a_table_of_another_user_has_that_users_rights(make, clean, room):
    """Also a system user's, as list managers have it (Sympa's, Mailman's); not those of Postern's own."""
    owners = {clean[0]: clean[0], "mail": "mail", "postern-dns": "nobody"}
    instance = start(make, "")
    for owner in owners:
        (instance.home / f"of-{owner}").write_text(f'who-{owner} "|id -un > {room}/{owner}"\n')
        os.chown(instance.home / f"of-{owner}", pwd.getpwnam(owner).pw_uid, -1)
    instance.reload(alias_maps=" ".join(f"texthash:{instance.home}/of-{owner}" for owner in owners))
    for owner, as_whom in owners.items():
        send(instance, f"who-{owner}@here.test")
        assert wait_until(lambda: (room / owner).exists() and (room / owner).read_text() == f"{as_whom}\n"), (owner, instance.log())


def test_patterns_that_substitute_are_refused(make, clean, room):
    instance = start(make, "", soft_bounce="no")
    (instance.home / "re").write_text("/^(.*)$/ |touch ${1}\n")
    instance.reload(alias_maps=f"regexp:{instance.home}/re")
    send(instance, f"evil@here.test")
    instance.wait_log(r"to=<evil@here\.test>.*dsn=4\.3\.0, status=deferred \(alias database unavailable: .*may not be put in")


SANITIZED = b"__asan_init" in (PREFIX / "libexec/postern/local").read_bytes() if AS_ROOT else False


def memory(instance, field):
    """{pid: (role, kB)}"""
    return {row["pid"]: (row["role"], int(re.search(rf"^{field}:\s+(\d+) kB", pathlib.Path(f"/proc/{row['pid']}/status").read_text(), re.M)[1]))
            for row in instance.processes() if row["pid"] > 1}


@pytest.mark.parametrize("count", [3000, int(os.environ.get("POSTERN_LIST", "50000"))])
def test_a_long_list_expands_in_bounded_memory(make, clean, room, count):
    if count > 5000 and SANITIZED:
        pytest.skip("the sanitizer keeps what is freed")
    (room / "list").write_text("".join(f"user{i}@far.test\n" for i in range(count)) + "user1@far.test\n")
    instance = start(make, f"big :include:{room}/list\n", transport_maps="inline:{ { far.test = discard:quietly } }", queue_minfree="0")
    before = memory(instance, "VmRSS")
    send(instance, "big@here.test")
    seconds = max(30, count / 200)
    instance.wait_log(rf"to=<big@here\.test>.*status=sent \(forwarded as \w+: expanded to {count + 1} addresses\)", seconds)
    instance.wait_queue_empty(seconds)
    if count <= 5000:  # more lines at once than the log takes are counted, not kept
        instance.wait_log(r"to=<user\d+@far\.test>, orig_to=<big@here\.test>, relay=none, .*status=sent \(quietly\)", 10, count)
    # queue knows each recipient while it waits; all others know those that are on their way.
    for pid, (role, peak) in memory(instance, "VmHWM").items():
        grown = peak - before[pid][1]
        assert grown < (2 * count + 8192 if role == "queue" else 6144) or SANITIZED, f"{role} needed {grown} kB more"


def test_a_command_that_waits_is_found_by_the_name_that_listings_show(make):
    """Log and mailq call what is behind an alias by the alias: filters and edit do, too, from memory and from the index."""
    instance = start(make, 'waits "|exit 75"\nboth "|exit 75", "|exit 75; :"\n', minimal_backoff_time="300s", maximal_backoff_time="300s")
    strange = '"\\\\waits"@far.test'  # what a stranger may write is no name of ours, however it looks
    for recipient in ("waits@here.test", "both@here.test", strange):
        send(instance, recipient)
    assert wait_until(lambda: [len(row["recipients"]) for row in instance.queue("--state", "deferred")] == [1, 2, 1]), instance.why_queued()
    ids = [row["queue_id"] for row in instance.queue()]
    own = instance.queue()[1]["recipients"][0]["address"]
    assert own.startswith('"\\\\both|')
    for _ in range(2):
        found = [[row["queue_id"] for row in instance.queue(*words)] for words in (
            ["--to", "waits@here.test"], ["--to", "BOTH@here.test"], ["--to", own], ["--not-to", "waits@here.test"], ["--not-to", own], ["--to-part", "waits@here"], ["--to", "exit@here.test"],
            ["--to", "waits@far.test"], ["--to", strange])]
        assert found == [ids[:1], ids[1:2], ids[1:2], ids[1:], ids[::2], ids[:1], [], [], ids[2:]]
        instance.stop()
        instance.start()
    done = instance.postern("queue", "edit", ids[1], "--drop", "both@here.test", check=False)
    assert done.returncode == 65 and len(instance.queue()) == 3, done  # it stands for two
    instance.postern("queue", "edit", ids[0], "--drop", "waits@here.test")
    assert [row["queue_id"] for row in instance.queue()] == ids[1:]
