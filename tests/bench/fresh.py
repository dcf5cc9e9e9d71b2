"""Fresh mail, a message every 50 ms, and how long it takes; for the measuring commands beside it."""
import socket
import socketserver
import statistics
import sys
import threading
import time

EVERY_S = 0.05
PATIENCE_S = 60

arrived = {}


class Sink(socketserver.StreamRequestHandler):
    """Takes all, and notes when each message's number came."""

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def data(self):
        self.say("354 go on")
        for line in self.rfile:
            if line.startswith(b"X-Number:"):
                arrived[int(line.split()[1])] = time.monotonic()
            if line == b".\r\n":
                return

    def handle(self):
        self.say("220 sink")
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"DATA":
                self.data()
            self.say("221 bye" if verb == b"QUIT" else "250 ok")
            if verb == b"QUIT":
                return


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")
        self.reply()
        self.say("EHLO bench.test")

    def reply(self):
        while True:
            line = self.file.readline()
            if line[3:4] != b"-":
                return line

    def say(self, text):
        self.socket.sendall(text.encode() + b"\r\n")
        return self.reply()

    def send(self, number):
        for line in ("MAIL FROM:<a@bench.test>", "RCPT TO:<b@elsewhere.test>", "DATA"):
            self.say(line)
        done = self.say(f"Subject: {number}\r\nX-Number: {number}\r\n\r\nText.\r\n.")
        if not done.startswith(b"250"):
            sys.exit(f"refused: {done!r}")


def milliseconds(values):
    ordered = sorted(values)
    return f"{statistics.median(ordered) * 1000:.0f} | {ordered[int(len(ordered) * 0.99)] * 1000:.0f} | {ordered[-1] * 1000:.0f}"


class Fresh:
    """Mail for elsewhere.test, which `instance` gives to a sink of this process."""

    def __init__(self, instance):
        self.port, self.number = instance.port, 0
        self.server = Server(("127.0.0.1", instance.sink), Sink)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        instance.run("config", "-e", f"transport_maps=inline:{{ {{ elsewhere.test = smtp:[127.0.0.1]:{instance.sink} }} }}", "relayhost=")

    def send_while(self, goes_on):
        """Returns what a table's row says of it: how many; acceptance (MAIL to the reply behind the dot) and arrival, in ms."""
        client, accepted, sent = Client(self.port), [], {}
        while goes_on():
            sent[self.number] = time.monotonic()
            client.send(self.number)
            accepted.append(time.monotonic() - sent[self.number])
            self.number += 1
            time.sleep(EVERY_S)
        patience = time.monotonic() + PATIENCE_S
        while not all(n in arrived for n in sent) and time.monotonic() < patience:
            time.sleep(EVERY_S)
        lost = [n for n in sent if n not in arrived]
        if lost:
            sys.exit(f"{len(lost)} messages did not arrive within a minute")
        return f"{len(sent)} | {milliseconds(accepted)} | {milliseconds([arrived[n] - sent[n] for n in sent])}"
