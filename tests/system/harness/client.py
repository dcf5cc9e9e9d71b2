"""An SMTP client that sends just the octets it is told to."""
import re, socket, ssl


def tls_context(ca=None, certificate=None, only=None, ciphers=None):
    """ca: the authority's file (None: any certificate will do); certificate: one to show; only: ssl.TLSVersion."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = ca is not None
    context.verify_mode = ssl.CERT_REQUIRED if ca else ssl.CERT_NONE
    if ca:
        context.load_verify_locations(ca)
    if certificate:
        context.load_cert_chain(certificate.cert, certificate.key)
    if only:
        context.minimum_version = context.maximum_version = only
    if ciphers:
        context.set_ciphers(ciphers)
    return context


class Reply:
    def __init__(self, lines):
        self.lines = lines
        self.code = int(lines[-1][:3])
        self.text = "\n".join(line[4:] for line in lines)

    def __repr__(self):
        return "\n".join(self.lines)


class Client:
    def __init__(self, address, port, source=None, banner=True, timeout=15, tls=None, name=None):
        """tls: an SSLContext, for a port that speaks it from the first octet on; name: the server's, for SNI."""
        self.sock = socket.create_connection((address, port), timeout=timeout, source_address=(source, 0) if source else None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        if tls:
            self.wrap(tls, name)
        self.banner = self.reply() if banner else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def wrap(self, context=None, name=None, session=None):
        assert not self.buffer, f"plain text before TLS: {self.buffer!r}"
        self.sock = (context or tls_context()).wrap_socket(self.sock, server_hostname=name or "mx.here.test", session=session)

    def starttls(self, context=None, name=None, session=None):
        self.cmd("STARTTLS", 220)
        self.wrap(context, name, session)
        return self

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
