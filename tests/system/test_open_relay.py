"""The ways in which relays were left open: all are refused to a stranger (catalogue Q03)."""
import pytest

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
