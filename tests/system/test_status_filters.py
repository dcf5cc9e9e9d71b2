"""What the tables of default_delivery_status_filter and its kin make of how deliveries end."""
import re

import pytest
from harness.instance import AS_ROOT, wait_until

SLOW = {"minimal_backoff_time": "600s", "maximal_backoff_time": "4000s"}


def send(instance, *recipients):
    with instance.connect() as c:
        c.hello()
        return c.mail("alice@here.test", list(recipients), "Subject: x\r\n\r\nhello\r\n")


def status(instance, recipient):
    """dsn, status and text of its line in the log."""
    pattern = rf"to=<{re.escape(recipient)}>.*dsn=(\S+), status=(\w+) \((.*)\)"
    instance.wait_log(pattern)
    return re.search(pattern, instance.log()).groups()


def test_the_status_of_mail_that_leaves(make, peer):
    """A deferral becomes a failure and the reverse, never a success; what a table cannot say changes nothing."""
    def rcpt(session, line, peer):
        name = re.search(r"<(\w+)@", line if isinstance(line, str) else line.decode()).group(1)
        return {"d": "450 4.2.0 ", "b": "550 5.1.1 "}.get(name[0], "250 2.1.5 ") + name
    sink = peer(on={"RCPT": rcpt, "DOT": "250 2.0.0 Ok: queued as SECRET"})
    rules = r"{/^4.* d5 / 5.7.9 now hard} {/^4(\S+) .* d2 / 2.7.9 now success} {/^5(\S+) .* b4 / 4$$1 now soft} {/^5\S+ .* BCODE / 5.9.9} {/^(2\S+) .*/ $$1 taken}"
    instance = make({**SLOW, "default_transport": f"smtp:[127.0.0.1]:{sink.port}", "default_delivery_status_filter": "regexp:{" + rules + "}", "default_destination_recipient_limit": "1"})
    send(instance, "a@far.test", "d5@far.test", "d2@far.test", "b4@far.test", "bcode@far.test", "d@far.test")
    assert status(instance, "a@far.test") == ("2.0.0", "sent", "taken")
    assert status(instance, "d5@far.test") == ("5.7.9", "bounced", "now hard")
    assert status(instance, "d2@far.test")[:2] == ("4.2.0", "deferred")
    instance.wait_log(r"warning: \w+: smtp_delivery_status_filter: bad status code: 2.7.9 now success")
    assert status(instance, "b4@far.test") == ("4.1.1", "deferred", "now soft")
    dsn, word, text = status(instance, "bcode@far.test")
    assert (dsn, word) == ("5.9.9", "bounced") and "said: 550 5.1.1 bcode" in text
    assert status(instance, "d@far.test")[:2] == ("4.2.0", "deferred")
    assert wait_until(lambda: {r["address"] for m in instance.queue() for r in m["recipients"]} == {"d@far.test", "d2@far.test", "b4@far.test"}, 10)
    instance.reload(default_delivery_status_filter=f"socketmap:unix:{instance.home}/nobody:x")
    send(instance, "late@far.test")
    assert status(instance, "late@far.test")[:2] == ("2.0.0", "sent")
    instance.wait_log("smtp_delivery_status_filter: lookup error for")


@pytest.mark.skipif(not AS_ROOT, reason="only root delivers to others")
def test_the_status_of_mailboxes_and_commands(make):
    """Each service has its own filter, and what it says of a file or command is what a sender is told."""
    user = "nobody"
    instance = make({**SLOW, "mydestination": "here.test", "virtual_mailbox_domains": "v.test", "virtual_mailbox_base": "/nowhere", "virtual_mailbox_maps": "static:box", "virtual_uid_maps": "static:65534", "virtual_gid_maps": "static:65534",
                     "alias_maps": "inline:{ {to-file = /dev/null} {to-command = \"|exit 75\"} }", "local_recipient_maps": "", "transport_maps": "inline:{p.test=fails:}", "transport_services": f"{{ fails unix - n n - - pipe user={user} argv=/bin/false }}",
                     "local_delivery_status_filter": r"pcre:{{/^(2\S+ delivered to file).+/ $$1} {/^4(\S+) .*/ 5$$1 not now, not ever}}", "virtual_delivery_status_filter": "static:{5.2.0 no boxes}", "pipe_delivery_status_filter": "static:{4.3.5 broken}"})
    send(instance, "to-file@here.test", "to-command@here.test", "x@v.test", "y@p.test")
    assert status(instance, "x@v.test") == ("5.2.0", "bounced", "no boxes")
    assert status(instance, "y@p.test") == ("4.3.5", "deferred", "broken")
    assert wait_until(lambda: "status=sent (delivered to file)" in instance.log(), 10), instance.log()
    assert wait_until(lambda: "status=bounced (not now, not ever)" in instance.log(), 10), instance.log()
