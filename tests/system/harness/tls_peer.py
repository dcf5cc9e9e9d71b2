"""A next hop that speaks TLS, well or badly."""
import socket, ssl, threading, warnings

from .instance import free_port, stop_listening
from .peer import Peer


def server_context(certificate, version=None, client_authority=None):
    """version: ssl.TLSVersion, the only one. client_authority: clients must show a certificate of that one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(certificate.cert), str(certificate.key))
    if version:
        warnings.simplefilter("ignore", DeprecationWarning)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
    if client_authority:
        context.load_verify_locations(str(client_authority.cert))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class Wire:
    """A socket that turns into TLS when the client says STARTTLS."""

    def __init__(self, sock, peer):
        self.sock, self.peer, self.in_tls = sock, peer, False

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def handshake(self):
        self.sock = self.peer.context.wrap_socket(self.sock, server_side=True)
        self.in_tls = True
        with self.peer.lock:
            self.peer.commands.append("(tls)")
            self.peer.handshakes.append((self.sock.version(), self.sock.session_reused, self.sock.getpeercert()))

    def recv(self, size):
        data = self.sock.recv(size)
        if self.in_tls or data.strip().upper() != b"STARTTLS":
            return data
        with self.peer.lock:
            self.peer.commands.append("STARTTLS")
        said = self.peer.step(self, "STARTTLS", data, "220 2.0.0 go")
        if said and said.startswith("220"):
            self.handshake()
        return self.recv(size)

    def say(self, text):
        self.sock.sendall(text if isinstance(text, bytes) else text.encode("utf-8") + b"\r\n")


class TlsPeer(Peer):
    """certificate: harness.certificates.Certificate. Stage "STARTTLS" besides Peer's; stages within TLS are those of before."""

    def __init__(self, certificate, wrapper=False, version=None, client_authority=None, extensions=("PIPELINING", "8BITMIME", "DSN"), **options):
        self.context, self.wrapper, self.handshakes = server_context(certificate, version, client_authority), wrapper, []
        self.contexts = {}
        super().__init__(extensions=(*extensions, "STARTTLS"), **options)

    def step(self, session, stage, line, usual, *before):
        if stage in ("EHLO", "LHLO") and getattr(session.sock, "in_tls", False):
            usual = usual.replace("250-STARTTLS\r\n", "")
            stage = stage + " in TLS" if stage + " in TLS" in self.on else stage
        return super().step(session, stage, line, usual, *before)

    def serve(self, sock):
        wire = Wire(sock, self)
        try:
            if self.wrapper:
                sock.settimeout(20)
                wire.handshake()
            super().serve(wire)
        except (OSError, EOFError):
            sock.close()


class Cut:
    """Stands before a peer and lets the first octets of its side through, then closes (or falls silent): a handshake that ends anywhere."""

    def __init__(self, peer, octets, silent=False, first_only=True):
        self.peer, self.octets, self.silent, self.first_only = peer, octets, silent, first_only
        self.server = socket.socket()
        self.server.bind(("127.0.0.1", free_port()))
        self.server.listen(50)
        self.port, self.connections = self.server.getsockname()[1], 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            self.connections += 1
            limit = self.octets if self.connections == 1 or not self.first_only else None
            upstream = socket.create_connection((self.peer.address, self.peer.port))
            threading.Thread(target=self.pump, args=(client, upstream, None), daemon=True).start()
            threading.Thread(target=self.pump, args=(upstream, client, limit), daemon=True).start()

    def pump(self, source, sink, limit):
        try:
            while data := source.recv(65536 if limit is None else max(1, min(65536, limit))):
                sink.sendall(data)
                if limit is not None:
                    limit -= len(data)
                    if limit <= 0:
                        if self.silent:
                            while source.recv(65536):
                                pass
                        break
        except OSError:
            pass
        for sock in (source, sink):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        stop_listening(self.server)
