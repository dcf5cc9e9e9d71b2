"""IPv6: listeners, clients, networks and next hops, by literal and by name."""
import socket

import pytest
from harness.instance import AS_ROOT, PREFIX, free_port


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="no ::1 here")


@pytest.mark.skipif(not AS_ROOT, reason="only root makes a network without IPv6")
def test_a_section_that_could_listen_nowhere_is_told(make):
    """Where IPv6 is switched off, ::1 beside 127.0.0.1 is left out; a section that has only ::1 would silently not be there."""
    port = free_port()
    switched_off = "ip link set lo up && sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.lo.disable_ipv6=1 && exec \"$0\" \"$@\""
    without = ["unshare", "-n", "sh", "-c", switched_off, PREFIX / "sbin" / "postern"]
    instance = make(start=False)
    for sections, status, line in ((f"[both]\nlisten = 127.0.0.1:{port}, [::1]:{port}\n", 0, None), (f"[one]\nlisten = [::1]:{port}\n", 78, "[one]")):
        instance.sections = sections
        instance.prepare()
        done = instance.command(*without, "-c", instance.confdir, "check", check=False)
        if "sysctl" in done.stderr or "ip:" in done.stderr:
            pytest.skip("no such network can be made here")
        assert done.returncode == status and (status == 0 or f"[::1]:{port}: Cannot assign" in done.stdout), done
        done = instance.command(*without, "-c", instance.confdir, "start", check=False)
        assert done.returncode == (69 if status else 0) and (status == 0 or f"section [one]: listen on [::1]:{port}: Cannot assign" in done.stderr), done
        instance.postern("stop", check=False)


def test_a_client_by_ipv6_is_named_as_postfix_does(make):
    instance = make({"mynetworks": "[::1]/128"}, address="::1")
    with instance.connect() as c:
        reply = c.hello()
        assert "mx.here.test" in reply.lines[0]
        c.mail()
    content = instance.wait_mail("alice")[0].decode()
    assert "(unknown [IPv6:::1])" in content
    instance.wait_log(r"smtpd\[\d+\]: connect from unknown\[::1\]")
    instance.wait_log(r": client=unknown\[::1\]")


def test_who_is_not_in_mynetworks_may_not_relay_by_ipv6(make):
    instance = make({"mynetworks": "127.0.0.0/8"}, address="::1")
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<s@there.test>", 250)
        c.cmd("RCPT TO:<x@far.test>", "554 5.7.1 <x@far.test>: Relay access denied")
    instance.wait_log(r"NOQUEUE: reject: RCPT from unknown\[::1\]: 554 5\.7\.1")


def test_a_next_hop_by_ipv6_literal(make, peer):
    hop = peer(address="::1")
    instance = make({"relayhost": f"[::1]:{hop.port}", "inet_protocols": "all"})
    with instance.connect() as c:
        c.hello()
        c.mail(recipients=["r@far.test"])
    hop.wait(1)
    instance.wait_log(rf"to=<r@far\.test>, relay=::1\[::1\]:{hop.port}, .*status=sent")


def peers_at_one_port(peer):
    """In each family; a port that is free in one may be taken in the other."""
    for _ in range(20):
        six = peer(address="::1")
        try:
            return six, peer(port=six.port)
        except OSError:
            pass
    raise AssertionError("no port is free in both families")


@pytest.mark.parametrize("protocols,arrives", [("all", "v6"), ("ipv6", "v6"), ("ipv4", "v4")])
def test_a_next_hop_with_both_families(make, peer, dns, protocols, arrives):
    six, four = peers_at_one_port(peer)
    servers = dns(["far.test MX 10 mx.far.test", "mx.far.test AAAA ::1", "mx.far.test A 127.0.0.1"])
    instance = make({"inet_protocols": protocols, "smtp_address_preference": "ipv6", "smtp_tcp_port": six.port, "inet_interfaces": "127.0.0.9"}, dns=servers)
    instance.sendmail("-i", "-f", "s@here.test", "r@far.test", input="Subject: x\n\nx\n")
    {"v6": six, "v4": four}[arrives].wait(1)


def test_an_unreachable_ipv6_address_costs_no_mail(make, peer, dns):
    four = peer()
    servers = dns(["far.test MX 10 mx.far.test", "mx.far.test AAAA ::1", "mx.far.test A 127.0.0.1"])
    instance = make({"inet_protocols": "all", "smtp_address_preference": "ipv6", "smtp_tcp_port": four.port, "inet_interfaces": "127.0.0.9"}, dns=servers)
    instance.sendmail("-i", "-f", "s@here.test", "r@far.test", input="Subject: x\n\nx\n")
    four.wait(1)
    instance.wait_log(rf"relay=mx\.far\.test\[127\.0\.0\.1\]:{four.port}, .*status=sent")
