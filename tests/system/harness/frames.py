"""What another program could say on Postern's UNIX sockets: frames by hand, well formed or not."""
import pathlib, re, socket, struct

TABLE = pathlib.Path(__file__).resolve().parents[3] / "common" / "ipc" / "messages.def"
ROLE_TOOL, HAS_FD = 12, 0x10000


def messages():
    """{NAME: (type, [kind of each field])} out of messages.def."""
    found, fields = {}, None
    for line in TABLE.read_text().splitlines():
        if head := re.match(r"MESSAGE\((\w+),", line):
            fields = []
            found[head[1]] = (len(found) + 1, fields)
        elif field := re.match(r"\s+(U8|U32|U64|I64|TEXT|BYTES|FD|SECRET|SECRET_BYTES)\(", line):
            fields.append(field[1])
    return found


MESSAGES = messages()
NAMES = {number: name for name, (number, _) in MESSAGES.items()}
FORMATS = {"U8": "=B", "U32": "=I", "U64": "=Q", "I64": "=q"}


def frame(name, call, *values, type=None, extra=b""):
    number, fields = MESSAGES[name]
    body, values = b"", list(values)
    for kind in fields:
        value = values.pop(0)
        if kind in FORMATS:
            body += struct.pack(FORMATS[kind], value)
        elif kind != "FD":
            data = value if isinstance(value, bytes) else value.encode()
            body += struct.pack("=H", len(data)) + data
    body += extra
    return struct.pack("=III", 12 + len(body), number if type is None else type, call) + body


class Tool:
    """A connection as a tool's; hello=False leaves the opening out."""

    def __init__(self, path, hello=True, role=ROLE_TOOL, timeout=10):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(str(path))
        self.buffer = b""
        if hello:
            name, call, body = self.read()
            assert name == "HELLO"
            self.hash = struct.unpack("=Q", body[:8])[0]
            self.sock.sendall(frame("HELLO", 0, self.hash, role, 0, 1, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, name, call, *values, **options):
        self.sock.sendall(frame(name, call, *values, **options))

    def read(self):
        while len(self.buffer) < 12 or len(self.buffer) < struct.unpack("=I", self.buffer[:4])[0]:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        length, number, call = struct.unpack("=III", self.buffer[:12])
        body, self.buffer = self.buffer[12:length], self.buffer[length:]
        return NAMES[number & 0xffff], call, body

    def read_all(self):
        """All frames until the other side closes (or says nothing more)."""
        out = []
        try:
            while True:
                out.append(self.read())
        except (EOFError, OSError):
            return out

    def closed(self, seconds=5):
        """True if the other side ends the connection, whatever it still says."""
        self.sock.settimeout(seconds)
        try:
            while self.sock.recv(65536):
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True
