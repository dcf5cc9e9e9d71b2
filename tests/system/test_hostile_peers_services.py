"""The same for those that hold keys, counts, tables, names and the log: what a taken process asks them, or answers for one of them."""
import itertools, os, re, signal, subprocess, threading

import pytest
from harness.authenticate import Scram, plain
from harness.bent import Hostile, type_number
from harness.certificates import Authority
from harness.client import Client, tls_context
from harness.instance import PREFIX, wait_until
from harness.tls_peer import TlsPeer

LONG = bool(os.environ.get("CRASH_LONG"))
PASSWORD = "secret"
GROWN_KB = 20000

# What smtpd asks keys, lookup, policy and resolver for.
ASKED = ["KEY_SIGN", "SCRAM_ASK", "AUTH_TRY", "POLICY_EVENT", "NAME_ASK", "RESOLVE_ASK"]
ALL_ASKED = ASKED + ["PASSWORD_ASK", "AUTH_RESULT", "POLICY_CONNECT", "POLICY_GONE", "DNS_ASK", "LOG_LINE"]


@pytest.fixture(scope="module")
def ca():
    authority = Authority()
    yield authority
    authority.close()


@pytest.fixture
def taken(make, dns, ca, folder):
    """taken(program): an instance with TLS on both sides, passwords in a table, counted clients and names; and what bends that program's words."""
    def build(program):
        sink, mine, table = TlsPeer(ca.issue("mx.far.test")), ca.issue(), folder / "passwords"
        stored = subprocess.run([PREFIX / "sbin/postern", "password", "-s", "SCRAM-SHA-256"], input=PASSWORD + "\n", capture_output=True, text=True, check=True).stdout
        table.write_text(f"alice {stored}")
        instance = make({"smtpd_tls_security_level": "may", "smtpd_tls_cert_file": mine.cert, "smtpd_tls_key_file": mine.key, "smtp_tls_security_level": "may",
                         "smtp_tls_cert_file": mine.cert, "smtp_tls_key_file": mine.key, "transport_maps": f"inline:{{ far.test=smtp:mx.far.test:{sink.port} }}",
                         "smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "table", "smtpd_sasl_path": f"texthash:{table}", "smtpd_sasl_security_options": "noanonymous",
                         "smtpd_tls_auth_only": "no", "smtpd_auth_failure_limit_delay": "0", "smtpd_client_event_limit_exceptions": "", "smtpd_client_connection_count_limit": 100,
                         "smtpd_client_message_rate_limit": 100000, "smtpd_client_auth_rate_limit": 100000, "smtpd_peername_lookup": "yes",
                         "smtpd_sender_restrictions": "reject_unknown_sender_domain"}, dns=dns(["mx.far.test A 127.0.0.1", "there.test A 127.0.0.1"]), start=False)
        hostile = Hostile(instance.home, PREFIX / "libexec/postern", program)
        instance.settings["daemon_directory"] = hostile.folder
        return instance.start(), hostile
    return build


NAMES = itertools.count()


def session(instance, ca, kind, timeout):
    """One with TLS, one that logs in, one that does so in vain."""
    with Client(instance.address, instance.port, timeout=timeout) as c:
        c.hello()
        if kind == 0:
            c.starttls(tls_context(ca.cert))
            c.hello()
        if kind < 2:
            assert Scram("alice", PASSWORD).run(c, "SCRAM-SHA-256").code == 235
        else:
            c.cmd("AUTH PLAIN " + plain("alice", "wrong"), 535)
        # New names each time: what smtpd knows of old ones it does not ask for.
        name = next(NAMES)
        c.mail(f"s{name}@there.test", ["alice@here.test" if kind == 1 else f"x{name}@far.test"])


def works(instance, ca, kind=0, timeout=10):
    try:
        session(instance, ca, kind, timeout)
    except (OSError, EOFError, AssertionError, ArithmeticError, LookupError, ValueError):
        return False
    return True


def memory(pid):
    try:
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])
    except (OSError, TypeError):
        return 0


OTHERS = ["delivery", "resolver", "policy", "keys", "local", "queue"]


@pytest.mark.parametrize("program,types", [("smtpd", ALL_ASKED * 3 if LONG else ASKED), ("lookup", ["RESOLVE_DONE", "SCRAM_KEYS"])] + [(program, [None] * 3) for program in OTHERS * LONG])
def test_the_services_go_on(taken, ca, program, types):
    instance, hostile = taken(program)
    assert works(instance, ca)
    others = {(row["role"], row["pid"]): memory(row["pid"]) for row in instance.processes() if row["role"] != program}
    over = threading.Event()

    def load(k):
        for n in range(10**6):
            if over.is_set():
                return
            works(instance, ca, (n + k) % 3, 3)
    threads = [threading.Thread(target=load, args=(k,)) for k in range(3)]
    [t.start() for t in threads]
    for name in types:
        hostile.only, count = type_number(name) if name else 0, hostile.count
        hostile.often = 1000 if name else 150
        assert wait_until(lambda: hostile.count >= count + 2, 15), f"no {name} was said"
    hostile.often = 0
    over.set()
    [t.join(30) for t in threads]
    for pid in instance.pids(program):
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: works(instance, ca), 20, 0.2), instance.log()[-3000:]
    assert others.keys() <= {(row["role"], row["pid"]) for row in instance.processes()}, instance.log()[-3000:]
    grown = {who: (had, memory(who[1])) for who, had in others.items() if memory(who[1]) > had + GROWN_KB}
    assert not grown
