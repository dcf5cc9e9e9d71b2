"""Every filter of postern queue, alone and combined, against a model of what was sent; counts, listings, statistics, actions."""
import collections, json, os, pathlib, random, re, signal, sys, time

import pytest
from harness.instance import wait_until

COUNT = int(os.environ.get("POSTERN_FILTER_MESSAGES", "1200"))
SENDERS = [f"s{i}@{d}" for i in range(3) for d in ("one.test", "two.test", "list.example")] + [""]
DOMAINS = ["a.test", "b.test", "c.example", "d42.test"]
REPLIES = ["450 4.2.1 Mailbox BUSY now", "452 4.2.2 <{address}>: over quota, {n} octets left", "451 4.7.1 Greylisted, see id 5b1f17b18{n}-ab at 192.0.2.{n}",
           "450 4.1.8 no digits in this one"]


def reply(address):
    """What the next hop says of a recipient; always the same."""
    n = sum(address.encode()) % 97
    return REPLIES[n % len(REPLIES)].format(address=address, n=n)


def reason(address):
    return f"host 127.0.0.1[127.0.0.1] said: {reply(address)} (in reply to RCPT TO command)".lower()


@pytest.fixture(scope="module")
def sent(request):
    """The instance, and by id what each message is: sender, recipients, size, held, half (0: sent some seconds before 1)."""
    from harness.instance import Instance
    from harness.peer import Peer
    sinks = [Peer(on={"RCPT": lambda s, line, p: reply(re.search(b"<(.*?)>", line)[1].decode())}) for _ in range(2)]
    ports = [sink.port for sink in sinks]
    routes = " ".join("{ %s = smtp:[127.0.0.1]:%d }" % (d, ports[i % 2]) for i, d in enumerate(DOMAINS))
    instance = Instance({"transport_maps": f"inline:{{ {routes} }}", "minimal_backoff_time": "3000s", "maximal_backoff_time": "3000s",
                         "smtp_destination_concurrency_limit": 10, "default_destination_concurrency_failed_cohort_limit": 0}).start()
    for thing in (instance, *sinks):
        request.addfinalizer(thing.close)
    rng, model, times = random.Random(3), {}, []
    with instance.connect() as c:
        c.hello()
        for i in range(COUNT):
            if i == COUNT // 2:
                times.append(time.time())
                time.sleep(4)
                times.append(time.time())
            to = sorted({f"r{rng.randrange(20)}@{rng.choice(DOMAINS)}" for _ in range(rng.choice([1, 1, 1, 2, 3]))})
            if i == 7:  # more than one row of the index
                to = [f"many{k}@{DOMAINS[k % 4]}" for k in range(75)]
            sender, size = rng.choice(SENDERS), rng.choice([10, 10, 3000, 9000])
            queue_id = c.mail(sender, to, "Subject: x\r\n\r\n" + ("y" * 70 + "\r\n") * (size // 72 + 1))
            model[queue_id] = {"sender": sender, "to": to, "held": False, "half": int(i >= COUNT // 2)}
    assert wait_until(lambda: count(instance, "--state", "deferred") == COUNT, 60, 0.3), instance.log()[-3000:]
    rows = instance.queue()
    assert [r["queue_id"] for r in rows] == sorted(model)
    for row in rows:
        m = model[row["queue_id"]]
        assert row["sender"] == (m["sender"] or "MAILER-DAEMON") and sorted(r["address"] for r in row["recipients"]) == sorted(m["to"])
        assert all(r["delay_reason"].lower() == reason(r["address"]) for r in row["recipients"])
        m["size"], m["hops"] = row["message_size"], {r["address"]: r["nexthop"] for r in row["recipients"]}
    held = rng.sample(sorted(model), COUNT // 10)
    for at in range(0, len(held), 100):
        instance.postern("queue", "hold", "--hold-reason", "Under INQUIRY 7", *held[at:at + 100])
    for queue_id in held:
        model[queue_id]["held"] = True
    return instance, model, ports, sum(times) / 2


def count(instance, *filters):
    return int(instance.postern("queue", "list", "--count", *filters).stdout)


def kinds(ports, middle):
    """By option: pairs of a value and what it means, of the message or of one of its recipients."""
    def address(text):
        return lambda a: a.lower() == text.lower()
    def domain(text):
        return lambda a: a.lower().endswith(text.lower())
    def why(text):
        return lambda m, r: text.lower() in reason(r) or (m["held"] and text.lower() in "under inquiry 7")
    middle = lambda middle=middle: str(int(time.time() - middle))
    whole = {
        "--from": [("s1@one.test", lambda m: m["sender"] == "s1@one.test"), ("S2@Two.test", lambda m: m["sender"] == "s2@two.test"),
                   ("@list.example", lambda m: m["sender"].endswith("@list.example")), ("<>", lambda m: m["sender"] == ""),
                   ("@nowhere.test", lambda m: False)],
        "--state": [("hold", lambda m: m["held"]), ("deferred", lambda m: not m["held"]), ("active", lambda m: False)],
        "--larger-than": [("2000", lambda m: m["size"] > 2000), ("5k", lambda m: m["size"] > 5120), ("1m", lambda m: False)],
        "--older-than": [(middle, lambda m: m["half"] == 0), ("1h", lambda m: False)],
        "--newer-than": [(middle, lambda m: m["half"] == 1), ("1h", lambda m: True)],
    }
    each = {
        "--to": [(a, lambda m, r, t=f: t(r)) for a, f in (("r3@a.test", address("r3@a.test")), ("@B.TEST", domain("@b.test")),
                                                         ("@d42.test", domain("@d42.test")), ("many9@b.test", address("many9@b.test")))],
        "--nexthop": [(f"[127.0.0.1]:{ports[0]}", lambda m, r: m["hops"][r].endswith(f":{ports[0]}")), ("127.0.0.1", lambda m, r: True),
                      ("smtp", lambda m, r: True), ("elsewhere.test", lambda m, r: False)],
        "--reason": [(t, why(t)) for t in ("mailbox busy", "OVER QUOTA", "4.2.2", "192.0.2.1", "192.0.2.30", "5b1f17b182", "<r7@a.test>", "0 octets",
                                          "inquiry", "no digits", "said: 45", "never said")],
    }
    return whole, each


def expected(model, tests):
    """Ids of those for which all tests hold; those of recipients for one and the same recipient."""
    whole = [f for f, of_recipient in tests if not of_recipient]
    each = [f for f, of_recipient in tests if of_recipient]
    return sorted(i for i, m in model.items() if all(f(m) for f in whole) and any(all(f(m, r) for f in each) for r in m["to"]))


def check(instance, model, choices):
    """choices: option, value, test, whether it is a recipient's."""
    args = [word for option, value, _, _ in choices for word in (option, value() if callable(value) else value)]
    want = expected(model, [(test, of_recipient) for _, _, test, of_recipient in choices])
    assert [r["queue_id"] for r in instance.queue(*args)] == want, args
    assert count(instance, *args) == len(want), args
    return args, want


def all_choices(ports, middle):
    whole, each = kinds(ports, middle)
    return [[(option, value, test, option in each) for value, test in pairs] for option, pairs in (*whole.items(), *each.items())]


def test_each_filter_alone(sent):
    instance, model, ports, middle = sent
    for number in range(len(all_choices(ports, middle))):
        for choice in all_choices(ports, middle)[number]:  # anew: times count from now
            args, want = check(instance, model, [choice])
            text = instance.postern("queue", "list", *args).stdout
            assert re.findall(r"^([0-9A-F]{16})", text, re.M) == want, args
            assert text.rstrip().endswith(f"in {len(want)} Request{'' if len(want) == 1 else 's'}." if want else "No such mail in the queue")


def test_combinations(sent):
    instance, model, ports, middle = sent
    rng, found = random.Random(5), 0
    for _ in range(80):
        options = rng.sample(all_choices(ports, middle), rng.choice([2, 2, 3, 4]))
        found += len(check(instance, model, [rng.choice(pairs) for pairs in options])[1]) > 0
    assert found > 20


def test_addresses_are_taken_as_listings_and_logs_write_them(sent):
    instance, model = sent[0], sent[1]
    nobody = sum(m["sender"] == "" for m in model.values())
    for text in ("MAILER-DAEMON", "mailer-daemon", "<>", "<MAILER-DAEMON>", ""):
        assert count(instance, "--from", text) == nobody > 0, text
    sender, recipient = SENDERS[0], "r1@a.test"
    assert count(instance, "--from", f"<{sender}>") == count(instance, "--from", sender) > 0
    assert count(instance, "--to", f"<{recipient}>") == count(instance, "--to", recipient) > 0
    some = sorted(model)[0]
    for words in (["delete", f"{some}\nall=1"], ["list", "--to", "x\nall=1"]):
        done = instance.postern("queue", *words, check=False)
        assert done.returncode == 64 and not done.stdout and done.stderr.count("\n") == 1
    assert count(instance) == len(model)


def test_a_domain_is_found_in_either_form(make):
    host = make({"relayhost": "[127.0.0.1]:9", "minimal_backoff_time": "3000s"})
    with host.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<s@bücher.test> SMTPUTF8", 250)
        c.cmd("RCPT TO:<jürgen@bücher.test>", 250)
        c.cmd("RCPT TO:<r@BÜCHER.test>", 250)
        queue_id = c.data("Subject: x\r\n\r\nx\r\n")
    for option, text in (("--to", "@bücher.test"), ("--to", "@xn--bcher-kva.test"), ("--to", "r@BÜCHER.test"), ("--to", "<jürgen@bücher.test>"), ("--from", "s@bücher.test")):
        assert [r["queue_id"] for r in host.queue(option, text)] == [queue_id], text
    assert not host.queue("--not-to", "@bücher.test") and not host.queue("--to", "@buecher.test")
    host.wait_log(rf"{queue_id}: to=<r@.*status=deferred")
    host.postern("queue", "edit", queue_id, "--drop", "r@bücher.test")
    assert [r["address"] for r in host.queue()[0]["recipients"]] == ["jürgen@xn--bcher-kva.test"]


def test_limits_and_ids(sent):
    instance, model, _, _ = sent
    ids = sorted(model)
    assert [r["queue_id"] for r in instance.queue("--limit", "5")] == ids[:5]
    assert [r["queue_id"] for r in instance.queue("--limit", "3", "--to", "@a.test")] == [i for i in ids if any(a.endswith("@a.test") for a in model[i]["to"])][:3]
    assert [r["queue_id"] for r in instance.queue(ids[9], ids[4], ids[9])] == [ids[9], ids[4]]
    assert json.loads(instance.postern("queue", "list", "--count", "--json").stdout) == {"messages": COUNT}
    assert instance.postern("queue", "delete", check=False).returncode == 64
    assert instance.postern("queue", "list", "--state", "asleep", check=False).returncode == 64
    assert instance.postern("queue", "stats", "--by", "colour", check=False).returncode == 64


@pytest.mark.parametrize("words,said", [
    (("--reason", ""), "bad value for --reason: "), (("--nexthop=",), "bad value for --nexthop: "), (("--all=no",), "--all takes no value"), (("--all", "--count=3"), "--count takes no value"),
    (("--from", "a@x.test", "--from", "b@x.test"), "--from is given twice"), (("--to=@a.test", "--to", "@b.test"), "--to is given twice"), (("--limit", "2", "--all", "--limit", "3"), "--limit is given twice"),
    (("--", "--all"), "bad value for id: --all"), (("--", "ALL"), "bad value for id: ALL"), (("--state", "hold", "--", "--state"), "bad value for id: --state"),
])
def test_what_was_hardly_meant_deletes_nothing(sent, words, said):
    """An unset variable, a filter that another one would replace, a value for what has none."""
    instance, model, _, _ = sent
    done = instance.postern("queue", "delete", *words, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (64, "", f"postern: {said}\n")
    assert len(instance.queue()) == len(model)


def test_several_states_are_alternatives(sent):
    instance, model, _, _ = sent
    assert [r["queue_id"] for r in instance.queue("--state", "hold", "--state", "deferred")] == sorted(model)


def stats(instance, *args):
    return {r["key"]: r for r in map(json.loads, instance.postern("queue", "stats", "--json", *args).stdout.splitlines())}


def shown(m, address):
    """How the statistics by reason show it: numbers are #, addresses and ids are *."""
    if m["held"]:
        return "Under INQUIRY 7"
    text = re.sub(r"<\S+@\S+>", "<*>", f"host 127.0.0.1[127.0.0.1] said: {reply(address)} (in reply to RCPT TO command)").replace("127.0.0.1", "#")
    return re.sub(r"192\.0\.2\.\d+", "#", re.sub(r"5b1f\S+", "*", re.sub(r"\d+ octets", "# octets", text)))


def test_statistics(sent):
    instance, model, _, _ = sent
    keys = {"domain": lambda m: {a.split("@")[1] for a in m["to"]}, "sender": lambda m: {m["sender"] or "MAILER-DAEMON"},
            "sender-domain": lambda m: {m["sender"].partition("@")[2] or "MAILER-DAEMON"}, "nexthop": lambda m: set(m["hops"].values()),
            "reason": lambda m: {shown(m, a) for a in m["to"]}}
    for by, key in keys.items():
        counts, sizes = collections.Counter(), collections.Counter()
        for m in model.values():
            for k in key(m):
                counts[k] += 1
                sizes[k] += m["size"]
        got = stats(instance, "--by", by)
        assert {k: r["messages"] for k, r in got.items()} == counts and {k: r["bytes"] for k, r in got.items()} == sizes
        assert all(r["ages"][0] == r["messages"] and len(r["ages"]) == 10 for r in got.values())
        order = [r["messages"] for r in got.values()]
        assert order == sorted(order, reverse=True)
        text = instance.postern("queue", "stats", "--by", by).stdout.splitlines()
        assert text[0].split() == ["T", "5", "10", "20", "40", "80", "160", "320", "640", "1280", "1280+", "KB"]
        assert text[1].split()[:3] == ["TOTAL", str(COUNT), str(COUNT)] and len(text) == 2 + len(counts)
    assert list(stats(instance, "--by", "domain", "--to", "@a.test")) == ["a.test"]
    assert len(instance.postern("queue", "stats", "--by", "sender", "--limit", "2").stdout.splitlines()) == 4


def test_statistics_that_are_watched(sent):
    import fcntl, pty, select, struct, subprocess, termios
    from harness.instance import PREFIX
    instance, _, _, _ = sent
    command = [str(PREFIX / "sbin/postern"), "-c", str(instance.confdir), "queue", "stats", "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as plain:
        lines = [plain.stdout.readline() for _ in range(2)]
        plain.stdout.close()
        assert b"1280+" in lines[0] and b"TOTAL" in lines[1] and b"\033" not in b"".join(lines)
        assert wait_until(lambda: plain.poll() is not None, 6)
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("4H", 24, 160, 0, 0))
        os.execv(command[0], command)
    seen = b""

    def see(word):
        nonlocal seen
        end = time.monotonic() + 15
        while word not in seen and select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            seen += os.read(terminal, 10000)
        assert word in seen, seen
    see(b"c.example")
    os.write(terminal, b"r")
    see(b"Greylisted")
    os.write(terminal, b"q")
    assert b"\033[?1049h" in seen and seen.count(b"TOTAL") >= 2
    status = wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0], 6)
    os.close(terminal)
    assert status == pid


@pytest.mark.parametrize("how", ["key", "INT", "QUIT", "TERM", "HUP", "stopped", "resized", "no queue", "queue hangs"])
def test_a_terminal_is_left_as_it_was(sent, how):
    """Settings, screen and cursor: however the watch ends, while it is stopped, and with what it says in the end."""
    import fcntl, pty, select, struct, subprocess, termios
    from harness.instance import PREFIX
    instance, _, _, _ = sent
    master, slave = pty.openpty()
    resize = lambda columns: fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    resize(20)
    before, seen = termios.tcgetattr(slave), b""
    helper = pathlib.Path(__file__).parents[1] / "support/job"  # what a shell does for a job
    shell = subprocess.Popen([sys.executable, helper, str(PREFIX / "sbin/postern"), "-c", str(instance.confdir), "queue", "stats", "--watch"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True)

    def see(word, count=1):
        nonlocal seen
        end = time.monotonic() + 10
        while seen.count(word) < count and select.select([master], [], [], max(0, end - time.monotonic()))[0]:
            seen += os.read(master, 10000)
        assert seen.count(word) >= count, seen
    see(b"TOTAL")
    assert termios.tcgetattr(slave) != before and b"\033[?25l" in seen
    see(b"b.test")
    assert re.search(rb"TOTAL +\d", seen), seen  # also where there is room for little
    (queue,) = instance.pids("queue")
    if how == "stopped":
        os.write(master, b"\x1a")  # ^Z
        see(b"\033[?25h\033[?1049l[stopped]")
        assert termios.tcgetattr(slave) == before
        os.kill(shell.pid, signal.SIGUSR1)  # "fg"
        see(b"\033[?1049h\033[?25l", 2)
        see(b"TOTAL", 2)
        assert termios.tcgetattr(slave) != before
        os.write(master, b"q")
    elif how == "resized":
        drawn, now = seen.count(b"TOTAL"), time.monotonic()
        resize(200)
        see(b"1280+")  # a column that had no room
        assert time.monotonic() - now < 1.5
        os.write(master, b"q")
    elif how == "no queue":
        instance.stop()
    elif how == "queue hangs":
        os.kill(queue, signal.SIGSTOP)
        time.sleep(2.5)
        os.write(master, b"\x03")
    else:
        os.write(master, {"key": b"q", "INT": b"\x03", "QUIT": b"\x1c"}.get(how, b"")) if how not in ("TERM", "HUP") else os.kill(shell.pid, signal.SIGUSR2 if how == "TERM" else signal.SIGHUP)
    try:
        status = shell.wait(10)
        while select.select([master], [], [], 0.2)[0]:
            seen += os.read(master, 10000)
        assert termios.tcgetattr(slave) == before
        assert seen.rfind(b"\033[?25h\033[?1049l") > seen.rfind(b"\033[?1049h"), seen[-200:]
        assert status == {"QUIT": 128 + signal.SIGQUIT, "TERM": 128 + signal.SIGTERM, "HUP": 128 + signal.SIGHUP, "no queue": 69}.get(how, 0)
        assert all(len(line) <= 20 for line in re.sub(rb"\033\[[?0-9]*[a-zA-Z]", b"\n", seen).replace(b"\r", b"").decode().split("\n")) or how in ("resized", "no queue"), seen
        assert how != "no queue" or re.search(b"mail system is down|the queue does not answer", seen[seen.rfind(b"\033[?1049l"):])
    finally:
        os.kill(queue, signal.SIGCONT) if how == "queue hangs" else None
        instance.start() if how == "no queue" else None
        os.close(master)
        os.close(slave)


def test_the_answers_are_the_same_after_kill_and_restart(sent):
    instance, model, ports, middle = sent
    os.kill(instance.pids("queue")[0], signal.SIGKILL)
    assert wait_until(lambda: instance.postern("queue", "list", "--count", check=False).stdout.strip() == str(COUNT), 20, 0.3)
    rng = random.Random(8)
    for options in all_choices(ports, middle):
        check(instance, model, [rng.choice(options)])


def test_actions_take_the_same_filters(sent):
    instance, model, ports, middle = sent
    args, want = check(instance, model, [("--to", "@b.test", lambda m, r: r.endswith("@b.test"), True), ("--reason", "quota", lambda m, r: "quota" in reason(r), True),
                                         ("--state", "deferred", lambda m: not m["held"], False)])
    assert len(want) > 5
    assert instance.postern("queue", "hold", *args).stdout == f"{len(want)} messages put on hold\n"
    assert count(instance, *args) == 0 and {r["queue_id"] for r in instance.queue("--reason", "put on hold")} >= set()
    for i in want:
        model[i]["held"] = True
    done = json.loads(instance.postern("queue", "delete", "--json", "--state", "hold", "--newer-than", "1h").stdout.splitlines()[-1])
    gone = [i for i in model if model[i]["held"]]
    assert done == {"action": "delete", "messages": len(gone)}
    assert [r["queue_id"] for r in instance.queue()] == sorted(set(model) - set(gone))
    # What xargs gives: more than one question holds; filters are for all of it, and no part is without an id.
    rest = sorted(set(model) - set(gone))
    many = (gone * (6001 // len(gone) + 1))[:6001 - len(rest[5:])] + rest[5:]
    want = [i for i in rest[5:] if model[i]["sender"].endswith("@one.test")]
    assert want and instance.postern("queue", "hold", "--from", "@one.test", *many[:6000], many[6000]).stdout == f"{len(want)} messages put on hold\n"
    assert [r["queue_id"] for r in instance.queue("--state", "hold")] == want
    done = instance.postern("queue", "list", *many, check=False)
    assert (done.returncode, done.stderr) == (64, "postern: too many arguments\n")
    assert instance.postern("queue", "delete", *many).stdout == f"{len(rest) - 5} messages deleted\n"
    assert instance.postern("queue", "delete", "--all").stdout == "5 messages deleted\n"
    assert instance.postern("queue", "list").stdout == "Mail queue is empty\n"


def test_a_recipient_is_found_by_the_address_that_its_sender_wrote(make):
    instance = make({"virtual_alias_maps": "inline:{ { sales@here.test = far@away.test } { old@gone.test = far@away.test } }", "virtual_alias_domains": "gone.test", "relayhost": "[127.0.0.1]:9",
                     "minimal_backoff_time": "300s", "index_delay": "300s"})
    with instance.connect() as c:
        c.hello()
        ids = [c.mail("s@there.test", to, "Subject: x\r\n\r\n") for to in (["sales@here.test"], ["far@away.test", "Old@gone.test"], ["far@away.test"])]
    found = lambda *words: [ids.index(row["queue_id"]) for row in instance.queue(*words)]
    for restarted in (False, True):
        assert wait_until(lambda: len(instance.queue("--state", "deferred")) == 3), instance.why_queued()
        assert found("--to", "Sales@here.test") == [0] and found("--to", "@GONE.test") == found("--to", "old@gone.test") == [1]
        assert found("--to", "far@away.test") == found("--to", "@away.test") == [0, 1, 2] and found("--to", "<>") == []
        assert found("--not-to", "sales@here.test") == [1, 2] and found("--to-part", "sales") == [0]
        assert found("--to", "@gone.test", "--reason", "refused") == [1]
        instance.stop()
        instance.start()  # from the index alone
    assert "1 message" in instance.postern("queue", "delete", "--to", "@gone.test").stdout and found() == [0, 2]
