"""A next hop that keeps what it gets, and misbehaves where it is told to."""
import socket, sys, threading, time

from .instance import free_port, stop_listening, wait_until


class Session:
    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def line(self):
        while b"\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"

    def content(self):
        out = []
        while (line := self.line()) != b".\r\n":
            out.append(line[1:] if line.startswith(b".") else line)
        return b"".join(out)

    def say(self, text):
        self.sock.sendall(text if isinstance(text, bytes) else text.encode("utf-8") + b"\r\n")


class Peer:
    """
    on: what to do at a stage instead of the usual, by stage name: "connect", "greeting" (reply), "EHLO", "HELO", "MAIL", "RCPT",
    "DATA", "DOT", "QUIT", or any other verb. A string is the reply; "!close", "!reset", "!hang" end or stop the session; a function gets
    (session, line, peer) and returns a string or None (it has replied itself). A list gives one after the other, the last for ever.
    living: all that are not closed yet.
    """

    living = []

    def __init__(self, address="127.0.0.1", port=0, on=None, extensions=("PIPELINING", "8BITMIME", "SIZE 10240000", "DSN", "SMTPUTF8", "ENHANCEDSTATUSCODES"), name="peer.test"):
        self.server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.bind((address, port or free_port(address)))
        self.server.listen(200)
        self.address, self.port = self.server.getsockname()[:2]
        self.on, self.extensions, self.name = dict(on or {}), extensions, name
        self.messages, self.commands, self.connections = [], [], 0
        self.lock = threading.Lock()
        self.open, self.closed = [], False
        Peer.living.append(self)
        threading.Thread(target=self.accept, daemon=True).start()

    def __str__(self):
        return f"{self.name}, port {self.port}: {self.connections} connections, {len(self.messages)} messages, commands: {self.commands[-20:]}"

    def close(self):
        self.closed = True
        Peer.living = [other for other in Peer.living if other is not self]
        stop_listening(self.server)
        for sock in self.open:
            try:
                sock.close()
            except OSError:
                pass

    def accept(self):
        while not self.closed:
            try:
                sock, _ = self.server.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self.lock:
                    self.connections += 1
                    self.open.append(sock)
                threading.Thread(target=self.serve, args=(sock,), daemon=True).start()
            except (OSError, RuntimeError) as trouble:
                # Whoever waits for the greeting of a server that is no more would seem to be at fault.
                if not self.closed:
                    print(f"{self.name}: a connection was not served: {trouble!r}", file=sys.stderr)
                    time.sleep(0.05)

    def keep(self, message, reply):
        if reply.startswith("2"):
            with self.lock:
                self.messages.append(message)

    def step(self, session, stage, line, usual, before=lambda action: None):
        with self.lock:
            action = self.on.get(stage, usual)
            if isinstance(action, list):
                action = action.pop(0) if len(action) > 1 else action[0]
            if action is None:
                action = usual
        if callable(action):
            action = action(session, line, self)
            if action is None:
                return
        if action == "!close":
            raise EOFError
        if action == "!reset":
            session.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            raise EOFError
        if action == "!hang":
            time.sleep(600)
        before(action)
        session.say(action)
        return action

    def serve(self, sock):
        sock.settimeout(120)
        session, sender, recipients = Session(sock), None, []
        try:
            self.step(session, "greeting", b"", f"220 {self.name} ESMTP")
            while True:
                line = session.line()
                with self.lock:
                    self.commands.append(line.decode("utf-8", "replace").rstrip("\r\n"))
                verb = line.split(b" ")[0].strip().upper().decode("latin-1")
                if verb == "EHLO":
                    self.step(session, verb, line, "\r\n".join([f"250-{self.name}"] + ["250-" + e for e in self.extensions] + ["250 HELP"]) if self.extensions else f"250 {self.name}")
                elif verb in ("HELO", "RSET", "NOOP", "LHLO"):
                    sender, recipients = None, []
                    self.step(session, verb, line, f"250 {self.name}")
                elif verb == "MAIL":
                    sender, recipients = line, []
                    self.step(session, verb, line, "250 2.1.0 Ok")
                elif verb == "RCPT":
                    said = self.step(session, verb, line, "250 2.1.5 Ok")
                    if said is None or said.startswith("2"):
                        recipients.append(line)
                elif verb == "DATA":
                    said = self.step(session, verb, line, "354 go on" if recipients else "554 5.5.1 no valid recipients")
                    if said and said.startswith("354"):
                        content = session.content()
                        message = {"mail": sender.decode("utf-8", "replace").strip(), "rcpt": [r.decode("utf-8", "replace").strip() for r in recipients], "content": content}
                        # Before the reply: whoever sees what comes of it sees the message, too.
                        said = self.step(session, "DOT", content, "250 2.0.0 Ok: queued as SINK%d" % len(self.messages), lambda action: self.keep(message, action))
                        if said is None:
                            self.keep(message, "2")
                        sender, recipients = None, []
                elif verb == "QUIT":
                    self.step(session, verb, line, "221 2.0.0 Bye")
                    return
                else:
                    self.step(session, verb, line, "502 5.5.2 what?")
        except (EOFError, OSError):
            pass
        finally:
            sock.close()

    def wait(self, count=1, seconds=10):
        got = wait_until(lambda: len(self.messages) >= count and list(self.messages), seconds)
        assert got, f"peer has {len(self.messages)} of {count} messages; commands: {self.commands[-20:]}"
        return got
