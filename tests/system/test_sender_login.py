"""Who may use which sender's address: smtpd_sender_login_maps and the rules that ask it."""
import subprocess

import pytest

from harness import authenticate
from harness.instance import PREFIX, Instance, free_port

RULES = {"sender": "reject_sender_login_mismatch", "authenticated": "reject_authenticated_sender_login_mismatch", "unauthenticated": "reject_unauthenticated_sender_login_mismatch", "known": "reject_known_sender_login_mismatch"}
MAPS = "inline:{ { alice@here.test = alice } { shared@here.test = bob, Alice carol } { @team.test = bob } { alice+special@here.test = bob } { old = dave } }"
NO, OWNED, NOT_LOGGED = None, "553 5.7.1 <%s>: Sender address rejected: not owned by user %s", "553 5.7.1 <%s>: Sender address rejected: not logged in"


@pytest.fixture(scope="module")
def host(request):
    word = subprocess.run([str(PREFIX / "sbin/postern"), "password", "-s", "SHA512-CRYPT"], input="x\n", capture_output=True, text=True, check=True).stdout.strip()
    # Where AUTH is switched off: there the rules say nothing.
    ports = {name: free_port() for name in [*RULES, "noauth"]}
    sections = "".join(f"[{name}]\nlisten = 127.0.0.1:{port}\nsmtpd_sender_restrictions = {RULES.get(name, RULES['sender'])}\n" for name, port in ports.items()) + "smtpd_sasl_auth_enable = no\n"
    logins = "".join(f" {{ {name} = {word.replace('$', '$$')} }}" for name in ("alice", "bob", "dave"))
    instance = Instance({"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "table", "smtpd_sasl_path": f"inline:{{{logins} }}", "smtpd_tls_auth_only": "no", "smtpd_sasl_security_options": "noanonymous",
                         "smtpd_sender_login_maps": MAPS, "recipient_delimiter": "+", "smtpd_hard_error_limit": 1000, "smtpd_soft_error_limit": 1000}, sections=sections)
    request.addfinalizer(instance.close)
    instance.start()
    instance.ports = ports
    return instance


def answers(host, rule, user, senders):
    host.port = host.ports[rule]
    with host.connect() as c:
        c.hello()
        if user:
            c.cmd("AUTH PLAIN " + authenticate.plain(user, "x"), 235)
        for sender in senders:
            c.cmd("RSET", 250)
            c.cmd(f"MAIL FROM:<{sender}>", 250)
            yield c.cmd("RCPT TO:<bob@here.test>").lines[-1]


@pytest.mark.parametrize("rule, user, expected", [
    ("sender", "alice", {"alice@here.test": NO, "Alice@Here.Test": NO, "alice+x@here.test": NO, "shared@here.test": NO, "alice+special@here.test": OWNED, "x@team.test": OWNED, "old@here.test": OWNED,
                         "stranger@there.test": OWNED, "": NO, "alice": NO, "alice%here.test@mx.here.test": NO, "alice%here.test@there.test": OWNED}),
    ("sender", "bob", {"x@team.test": NO, "y+z@team.test": NO, "alice@here.test": OWNED, "alice%here.test": OWNED, "alice%here.test@here.test": OWNED, "here.test!alice@localhost": OWNED, '"alice@here.test"@mx.here.test': OWNED, "x%team.test@here.test": NO, "alice+special@here.test": NO, "shared@here.test": NO}),
    ("sender", "dave", {"old@here.test": NO, "old+x@here.test": NO, "old@there.test": OWNED}),
    ("sender", None, {"alice@here.test": NOT_LOGGED, "alice+x@here.test": NOT_LOGGED, "x@team.test": NOT_LOGGED, "stranger@there.test": NO, "": NO, "alice%here.test@mx.here.test": NOT_LOGGED, "stranger%there.test@here.test": NO}),
    ("authenticated", "alice", {"alice@here.test": NO, "stranger@there.test": OWNED, "x@team.test": OWNED}),
    ("authenticated", None, {"alice@here.test": NO, "x@team.test": NO}),
    ("unauthenticated", "alice", {"x@team.test": NO, "stranger@there.test": NO}),
    ("unauthenticated", None, {"alice@here.test": NOT_LOGGED, "stranger@there.test": NO}),
    ("known", "alice", {"alice@here.test": NO, "stranger@there.test": NO, "x@team.test": OWNED}),
    ("known", None, {"alice@here.test": NOT_LOGGED, "stranger@there.test": NO}),
    ("noauth", None, {"alice@here.test": NO}),
])
def test_owners(host, rule, user, expected):
    got = dict(zip(expected, answers(host, rule, user, expected)))
    for sender, words in expected.items():
        if words is NO:
            assert got[sender].startswith("250 "), (sender, got[sender])
        else:
            assert got[sender] == (words % ((sender, user) if words is OWNED else sender)), sender


def test_where_nobody_can_log_in_the_log_says_so(host):
    host.wait_log("restriction `reject_sender_login_mismatch' ignored: no SASL support")


def test_a_broken_table_defers(make):
    instance = make({"smtpd_sender_login_maps": "texthash:/nonexistent/logins", "smtpd_sender_restrictions": "reject_unauthenticated_sender_login_mismatch", "smtpd_sasl_auth_enable": "yes",
                     "smtpd_sasl_type": "table", "smtpd_sasl_path": "inline:{ x=* }"})
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<alice@here.test>", 250)
        c.cmd("RCPT TO:<bob@here.test>", "451 4.3.0 <alice@here.test>: Temporary lookup failure")
