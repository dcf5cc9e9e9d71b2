"""Mail that is refused or changed by its octets: message_reject_characters, message_strip_characters, strict_8bitmime and its kin."""
from harness.instance import wait_until


def talk(instance, content, *options):
    """The reply to a message, sent as it is."""
    with instance.connect() as c:
        c.hello()
        assert c.cmd("MAIL FROM:<s@here.test> " + " ".join(options)).code == 250
        assert c.cmd("RCPT TO:<r@far.test>").code == 250
        assert c.cmd("DATA").code == 354
        return c.cmd(content + b"\r\n.")


def test_octets_are_refused_and_left_out(make, peer):
    sink = peer()
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "message_reject_characters": r"\200\a", "message_strip_characters": r"\0!"})
    reply = talk(instance, b"Subject: a\x80\r\n\r\nx")
    assert (reply.code, reply.text) == (550, "5.7.1 disallowed character")
    instance.wait_log(r"cleanup\[\d+\]: \w+: reject: content Subject: a\S+ from \S+; from=<s@here.test> to=<r@far.test> proto=ESMTP helo=<\S+>: 5.7.1 disallowed character")
    assert talk(instance, b"Subject: a\r\n\r\n" + b"y" * 3000 + b"\a").code == 550
    assert talk(instance, b"Subject: a!b\r\n\r\nx\0y\r\n!.\r\n!").code == 250
    content = sink.wait()[0]["content"]
    assert b"\r\nSubject: ab\r\n" in content and content.endswith(b"\r\n\r\nxy\r\n.\r\n\r\n")
    instance.sendmail("-f", "s@far.test", "r@far.test", input="Subject: local\n\nbo\x07dy!\n")
    assert wait_until(lambda: len(sink.messages) == 2, 10), instance.log()
    report = sink.messages[1]
    assert report["rcpt"][0].startswith("RCPT TO:<s@far.test>") and b"disallowed character" in report["content"]


def test_8_bit_data_must_be_announced(make, peer):
    sink = peer()
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "strict_8bitmime": "yes", "strict_mime_encoding_domain": "yes"})
    high = "ä".encode()
    assert talk(instance, b"Subject: " + high + b"\r\n\r\nx").text == "5.6.0 improper use of 8-bit data in message header"
    assert talk(instance, b"Subject: x\r\n\r\n" + high).text == "5.6.0 improper use of 8-bit data in message body"
    assert talk(instance, b"MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nx").text == "5.6.0 invalid message/* or multipart/* encoding domain"
    instance.wait_log(r"reject: mime-error improper use of 8-bit data in message body: \S+ from ")
    assert talk(instance, b"Content-Transfer-Encoding: 8bit\r\n\r\n" + high).code == 250
    assert talk(instance, b"Subject: " + high + b"\r\n\r\nx", "BODY=8BITMIME", "SMTPUTF8").code == 550
    assert len(sink.wait(1)) == 1
