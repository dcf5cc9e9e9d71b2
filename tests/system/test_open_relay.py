"""The ways in which relays were left open: all are refused to a stranger (catalogue Q03)."""
import subprocess, sys

import pytest
from harness.instance import AS_ROOT, PREFIX

RECIPIENTS = [
    "victim@far.test", "victim%far.test@here.test", "victim%far.test@[127.0.0.1]", "victim%far.test@mx.here.test", "victim%far.test", "far.test!victim", "far.test!victim@here.test",
    "here.test!far.test!victim", "@here.test:victim@far.test", "@here.test,@mx.here.test:victim@far.test", "@[127.0.0.1]:victim@far.test", '"victim@far.test"', '"victim@far.test"@here.test',
    '"victim%far.test"@here.test', "victim@far.test@here.test", "victim@far.test@[127.0.0.1]", "victim@here.test@far.test", '"far.test!victim"@here.test', "victim@[127.9.9.9]", "victim@[IPv6:::1:1]",
    "victim@FAR.TEST", "victim@far.test.", "victim @far.test", " victim@far.test", "victim@here.test.far.test", "victim@xhere.test", "victim@mx.here.test.far.test", "v\u00edctim@far.test", "@far.test", "victim:far.test@here.test",
    "victim@far.test%here.test@here.test", "victim%far.test%here.test@here.test",
]
SENDERS = ["", "spam@far.test", "alice@here.test", "spam", "alice@mx.here.test", "alice@[127.0.0.1]"]


@pytest.fixture(scope="module")
def guarded(request):
    from harness.instance import Instance
    instance = Instance({"mynetworks": "127.0.0.77/32, [::ffff:127.0.0.78]/128", "smtpd_error_sleep_time": "0", "smtpd_hard_error_limit": "1000", "smtpd_soft_error_limit": "1000"})
    request.addfinalizer(instance.close)
    return instance.start()


@pytest.mark.parametrize("recipient", RECIPIENTS)
@pytest.mark.parametrize("sender", SENDERS)
def test_a_stranger_reaches_no_other_host(guarded, sender, recipient):
    with guarded.connect() as c:
        c.hello()
        c.cmd(f"MAIL FROM:<{sender}>", 250)
        reply = c.cmd(f"RCPT TO:<{recipient}>")
        assert 500 <= reply.code <= 599, reply


def test_only_the_named_neighbours_may_relay(guarded):
    for source, code in (("127.0.0.77", 250), ("127.0.0.78", 250), ("127.0.0.76", 554), ("127.0.0.1", 554)):
        with guarded.connect(source=source) as c:
            c.hello()
            c.cmd("MAIL FROM:<a@b.test>", 250)
            c.cmd("RCPT TO:<victim@far.test>", code)


def test_neighbours_named_in_files(make):
    """Files and tables within lists are read with the configuration; where one cannot be, the old configuration goes on."""
    instance = make(start=False)
    nets, table, mechanisms = (instance.home / name for name in ("nets", "table.cidr", "mechanisms"))
    nets.write_text("# neighbours\n127.0.0.77, !127.0.0.80\n")
    table.write_text("127.0.0.80/31 a branch\n")
    mechanisms.write_text("plain\n")
    instance.settings.update({"mynetworks": f"{nets} cidr:{table}", "smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "table", "smtpd_sasl_path": "inline:{ x=* }", "smtpd_tls_auth_only": "no",
                              "smtpd_sasl_mechanism_filter": mechanisms})
    instance.start()

    def relays():
        found = []
        for last in (1, 77, 78, 80, 81):
            with instance.connect(source=f"127.0.0.{last}") as c:
                assert "AUTH PLAIN" in [line[4:] for line in c.hello().lines]
                c.cmd("MAIL FROM:<a@b.test>", 250)
                found += [last] if c.cmd("RCPT TO:<victim@far.test>").code == 250 else []
        return found
    assert relays() == [77, 81]
    assert instance.postern("config", "mynetworks").stdout == f"mynetworks = {nets} cidr:{table}\n"
    nets.write_text("127.0.0.78\n")
    instance.reload()
    assert relays() == [78, 80, 81]
    nets.unlink()
    done = instance.postern("reload", check=False)
    assert done.returncode != 0 and f"mynetworks: {nets}: No such file or directory" in done.stderr + instance.log()
    assert relays() == [78, 80, 81]


def test_an_empty_configuration_is_safe(make):
    instance = make(start=False)
    instance.settings = {k: instance.settings[k] for k in ("queue_directory", "data_directory", "maillog_file", "smtpd_peername_lookup")}
    instance.start()
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<a@b.test>", 250)
        c.cmd("RCPT TO:<victim@far.test>", 250)
    with instance.connect(source="127.0.0.2") as c:
        c.hello()
        c.cmd("MAIL FROM:<a@b.test>", 250)


@pytest.mark.skipif(not AS_ROOT, reason="only root makes networks")
def test_mynetworks_style_trusts_the_networks_of_interfaces_only_where_that_is_asked_for(make):
    """Within a network of its own; a neighbour there is 198.51.100.7."""
    instance = make({"mynetworks": None}, start=False, address="198.51.100.7", port=2525)
    instance.prepare()
    script = """
import smtplib, subprocess, sys
postern, confdir, port = sys.argv[1:]
def run(*words):
    return subprocess.run([postern, "-c", confdir, *words], check=True, capture_output=True, text=True).stdout.strip()
run("start")
try:
    for style in ("host", "subnet", "class"):
        run("config", "-e", f"mynetworks_style={style}")
        run("reload")
        with smtplib.SMTP("198.51.100.7", int(port), "x") as c:
            c.ehlo(), c.mail("a@b.test")
            print(run("config", "-h", "mynetworks"), c.rcpt("victim@far.test")[0])
finally:
    run("stop")
"""
    network = "ip link set lo up && ip link add one type veth peer name two && ip link set one up && ip link set two up && ip addr add 198.51.100.7/26 dev one && exec \"$0\" \"$@\""
    done = subprocess.run(["unshare", "-n", "sh", "-c", network, sys.executable, "-c", script, PREFIX / "sbin/postern", instance.confdir, str(instance.port)], capture_output=True, text=True)
    if "RTNETLINK" in done.stderr or "ip:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip("no such network can be made here")
    assert done.stdout.replace(" [fe80::]/64", "").splitlines() == [
        "127.0.0.0/8 [::1]/128 554", "127.0.0.0/8 [::1]/128 198.51.100.0/26 250", "127.0.0.0/8 [::1]/128 198.51.100.0/24 250"], done
