"""An SMTP client that sends just the octets it is told to."""
import re, socket


class Reply:
    def __init__(self, lines):
        self.lines = lines
        self.code = int(lines[-1][:3])
        self.text = "\n".join(line[4:] for line in lines)

    def __repr__(self):
        return "\n".join(self.lines)


class Client:
    def __init__(self, address, port, source=None, banner=True, timeout=15):
        self.sock = socket.create_connection((address, port), timeout=timeout, source_address=(source, 0) if source else None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.banner = self.reply() if banner else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("utf-8"))

    def line(self):
        while b"\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(f"connection closed after {self.buffer!r}")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        assert line.endswith(b"\r"), f"reply line without CRLF: {line!r}"
        return line[:-1].decode("utf-8")

    def reply(self):
        lines = []
        while True:
            line = self.line()
            assert re.match(r"[2-5][0-9][0-9][ -]", line + " "), f"no reply: {line!r}"
            lines.append(line)
            if line[3:4] != "-":
                return Reply(lines)

    def cmd(self, text, expect=None):
        """Sends a command, returns the reply; expect: a code, or the beginning of the reply's last line."""
        self.send(text if isinstance(text, bytes) and text.endswith(b"\n") else (text if isinstance(text, bytes) else text.encode("utf-8")) + b"\r\n")
        reply = self.reply()
        if isinstance(expect, int):
            assert reply.code == expect, f"{text!r}: expected {expect}, got {reply}"
        elif expect is not None:
            assert reply.lines[-1].startswith(expect), f"{text!r}: expected {expect!r}, got {reply}"
        return reply

    def hello(self, name="client.test", verb="EHLO"):
        return self.cmd(f"{verb} {name}", 250)

    def envelope(self, sender="s@there.test", *recipients, parameters=""):
        self.cmd(f"MAIL FROM:<{sender}>{' ' + parameters if parameters else ''}", 250)
        for recipient in recipients or ("alice@here.test",):
            self.cmd(f"RCPT TO:<{recipient}>", 250)

    def data(self, body, expect=250):
        """Body with CRLF line ends, stuffed already; the queue id when it was taken."""
        self.cmd("DATA", 354)
        self.send(body if isinstance(body, bytes) else body.encode("utf-8"))
        self.send(b".\r\n")
        reply = self.reply()
        if expect is not None:
            assert reply.code == expect, f"end of data: {reply}"
        found = re.search(r"queued as (\w+)", reply.text)
        return found[1] if found else reply

    def mail(self, sender="s@there.test", recipients=("alice@here.test",), body="Subject: test\r\n\r\nHello\r\n"):
        """A whole transaction after EHLO; the queue id."""
        self.envelope(sender, *recipients)
        return self.data(body)

    def closed(self, seconds=5):
        """True if the server closes the connection (after whatever it still says)."""
        self.sock.settimeout(seconds)
        try:
            while self.sock.recv(65536):
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True
