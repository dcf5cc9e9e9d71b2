#!/usr/bin/env python3
"""dnsd.py ADDRESS PORT ZONEFILE: a small authoritative DNS server for the demo and for tests that need a bad one.

Lines of the zone file: NAME TYPE VALUE..., names without the final dot, types A AAAA MX PTR CNAME TXT NS.
NAME may be "*.zone". Instead of a type: SERVFAIL, REFUSED, SILENT (no answer), SLOW milliseconds (then answers),
TRUNCATE (TC over UDP), BALANCER ("no such name" for all types but A), GARBAGE (octets that are no answer), HOSTILE HOW (a row of HOSTILE below: an answer with the right
id and question that lies about the rest). They hold for the name and all below it.
"""
import ipaddress, socket, socketserver, struct, sys, threading, time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
MOODS = {"SERVFAIL", "REFUSED", "SILENT", "SLOW", "TRUNCATE", "BALANCER", "GARBAGE", "HOSTILE"}


def pack_name(name):
    out = b""
    for label in name.rstrip(".").split("."):
        if label:
            out += bytes([len(label)]) + label.encode()
    return out + b"\0"


def pack_data(kind, words):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(words[0]).packed
    if kind == "MX":
        return struct.pack(">H", int(words[0])) + pack_name(words[1])
    if kind == "TXT":
        text = " ".join(words).strip('"').encode()
        return b"".join(bytes([len(text[i:i + 255])]) + text[i:i + 255] for i in range(0, max(1, len(text)), 255))
    return pack_name(words[0])


def rr(kind, data, name=b"\xc0\x0c", length=None, ttl=60):
    return name + struct.pack(">HHIH", kind, 1, ttl, len(data) if length is None else length) + data


def hostile_answer(how, query, question, kind):
    """An answer that is wrong in one way: RFC 1035, 4.1; RFC 6891, 6.1.2."""
    end = 12 + len(question)

    def pointer(to):
        return struct.pack(">H", 0xC000 | to)
    soa = rr(6, b"\0\0" + struct.pack(">IIIII", 1, 60, 60, 60, 5))
    mx = struct.pack(">H", 5)
    rows = {
        "SELFPOINTER": (1, 0, 0, pointer(end) + rr(kind, b"\x7f\0\0\x01")[2:]),
        "POINTERLOOP": (1, 0, 0, rr(kind, mx + pointer(end + 16) + pointer(end + 14))),
        "POINTERPASTEND": (1, 0, 0, rr(kind, mx + pointer(0x3FFF))),
        "LABEL64": (1, 0, 0, rr(kind, mx + b"\x40" + b"a" * 64 + b"\0")),
        "LABEL255": (1, 0, 0, rr(kind, mx + b"\xbf" + b"a" * 191 + b"\0")),
        "LONGNAME": (1, 0, 0, rr(kind, mx + (b"\x3f" + b"a" * 63) * 5 + b"\0")),
        "ENDLESSNAME": (1, 0, 0, rr(kind, mx + b"\x3faaaa")),
        "MANYCOUNTS": (65535, 65535, 65535, rr(kind, mx + b"\x01a\0")),
        "SHORTDATA": (1, 0, 0, rr(kind, b"\0" if kind == 15 else b"\x7f\0")),
        "NODATA": (1, 0, 0, rr(kind, b"")),
        "LONGLENGTH": (1, 0, 0, rr(kind, mx + b"\x01a\0", length=60000)),
        "SHORTLENGTH": (1, 0, 0, rr(kind, mx + b"\x01a\0", length=3)),
        "TRAILING": (1, 0, 0, rr(kind, mx + b"\x01a\0" + b"zzzz")),
        "BADOPT": (0, 1, 1, soa + b"\0" + struct.pack(">HHIH", 41, 1232, 0, 4) + b"\0\x0f\xff\xff"),
        "SHORTSOA": (0, 1, 0, rr(6, b"\0\0\0\0")),
        "OTHERNAME": (1, 0, 0, rr(kind, mx + b"\x03mx1\x05other\x04test\0", name=b"\x05other\x04test\0")),
        "OTHERTYPE": (1, 0, 0, rr(16, b"\x03abc")),
        "CONTROLNAME": (1, 0, 0, rr(kind, mx + b"\x08a\r\nQUIT\r\x04test\0")),
        "DOTNAME": (1, 0, 0, rr(kind, mx + b"\x09127.0.0.1\0")),
    }
    answers, authority, additional, body = rows[how]
    return query[:2] + struct.pack(">HHHHH", 0x8400, 1, answers, authority, additional) + question + body


class Zone:
    def __init__(self, lines):
        self.records, self.moods = {}, {}
        for line in lines:
            words = line.split("#")[0].split()
            if len(words) < 2:
                continue
            name, kind = words[0].lower().rstrip("."), words[1].upper()
            if kind in MOODS:
                self.moods[name] = (kind, words[2] if kind == "HOSTILE" else float(words[2]) / 1000 if len(words) > 2 else 0)
            else:
                self.records.setdefault(name, []).append((kind, pack_data(kind, words[2:]), words[2:]))

    def mood(self, name):
        while name:
            if name in self.moods:
                return self.moods[name]
            name = name.partition(".")[2]
        return None, 0

    def find(self, name):
        if name in self.records:
            return self.records[name]
        if any(other.endswith("." + name) for other in self.records):
            return []
        parent = name.partition(".")[2]
        while parent:
            if "*." + parent in self.records:
                return self.records["*." + parent]
            parent = parent.partition(".")[2]
        return None

    def answer(self, query, udp):
        ident, flags, count = struct.unpack(">HHH", query[:6])
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
            at += query[at] + 1
        kind = struct.unpack(">H", query[at + 1:at + 3])[0]
        question, name = query[12:at + 5], ".".join(labels).lower()
        mood, wait = self.mood(name)
        if mood == "SILENT":
            return None
        if mood == "SLOW":
            time.sleep(wait)
        if mood == "HOSTILE" and not wait.startswith("TCP"):
            return hostile_answer(wait, query, question, kind)
        if mood == "HOSTILE" and not udp:
            return wait
        if mood == "GARBAGE":
            return query[:2] + b"\x84\0" + b"\xc0" * 40

        def reply(code, answers=b"", n=0, authority=b"", truncated=False):
            head = 0x8400 | (flags & 0x0110) | code | (0x0200 if truncated else 0)
            return struct.pack(">HHHHHH", ident, head, 1, n, 1 if authority else 0, 0) + question + answers + authority

        if mood in ("SERVFAIL", "REFUSED"):
            return reply(2 if mood == "SERVFAIL" else 5)
        if mood == "BALANCER" and kind != TYPES["A"]:
            return reply(3)
        if mood in ("TRUNCATE", "HOSTILE") and udp:
            return reply(0, truncated=True)
        answers, n = b"", 0
        for _ in range(20):
            found = self.find(name)
            alias = None
            for other, data, words in found or []:
                if TYPES[other] == kind or other == "CNAME":
                    answers += pack_name(name) + struct.pack(">HHIH", TYPES[other], 1, 60, len(data)) + data
                    n += 1
                    if other == "CNAME" and kind != TYPES["CNAME"]:
                        alias = words[0].lower().rstrip(".")
            if alias is None:
                break
            name = alias
        soa = pack_name("ns.test") + pack_name("admin.test") + struct.pack(">IIIII", 1, 60, 60, 60, 5)
        authority = b"" if n else pack_name("") + struct.pack(">HHIH", 6, 1, 5, len(soa)) + soa
        if udp and len(answers) > 1100:
            return reply(0, truncated=True)
        return reply(3 if found is None and n == 0 else 0, answers, n, authority)


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        try:
            out = self.server.zone.answer(data, True)
        except (IndexError, struct.error):
            return
        if out is not None:
            sock.sendto(out, self.client_address)


class Tcp(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.settimeout(10)
        try:
            while True:
                head = self.request.recv(2, socket.MSG_WAITALL)
                if len(head) < 2:
                    return
                out = self.server.zone.answer(self.request.recv(struct.unpack(">H", head)[0], socket.MSG_WAITALL), False)
                if out is None:
                    return
                if isinstance(out, str):
                    self.request.sendall({"TCPZERO": b"\0\0", "TCPLONG": b"\xff\xff" + b"\0" * 100, "TCPSHORT": b"\0"}[out])
                    return
                self.request.sendall(struct.pack(">H", len(out)) + out)
        except (OSError, IndexError, struct.error):
            return


class UdpServer(socketserver.ThreadingUDPServer):
    daemon_threads, allow_reuse_address, max_packet_size = True, True, 4096


class TcpServer(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address = True, True


def serve(address, port, lines):
    """Starts both servers in threads of this process; returns them (each has .zone, to be replaced at will)."""
    servers = [UdpServer((address, port), Udp), TcpServer((address, port), Tcp)]
    for server in servers:
        server.zone = Zone(lines)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    return servers


if __name__ == "__main__":
    with open(sys.argv[3]) as zone_file:
        running = serve(sys.argv[1], int(sys.argv[2]), zone_file.readlines())
    print("ready", flush=True)
    threading.Event().wait()
