"""SASL's client side, written from the RFCs, with all the mistakes that a test may want."""
import base64, hashlib, hmac, secrets


def b64(data):
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def plain(user, password, authzid=""):
    return b64(f"{authzid}\0{user}\0{password}")


def xoauth2(user, token):
    return b64(f"user={user}\1auth=Bearer {token}\1\1")


def oauthbearer(user, token):
    return b64(f"n,a={user},\1host=mx.here.test\1port=587\1auth=Bearer {token}\1\1")


class Scram:
    """RFC 5802. flag: "n", "y" or "p=..." with the channel's data."""

    def __init__(self, user, password, name="sha256", flag="n", channel=b"", authzid=""):
        self.user, self.password, self.name = user.replace("=", "=3D").replace(",", "=2C"), password.encode(), name
        self.header, self.channel = f"{flag},{'a=' + authzid if authzid else ''},", channel
        self.bare = f"n={self.user},r={secrets.token_urlsafe(18)}"

    def first(self):
        return b64(self.header + self.bare)

    def final(self, challenge):
        server_first = base64.b64decode(challenge).decode()
        self.parts = dict(part.split("=", 1) for part in server_first.split(","))
        salted = hashlib.pbkdf2_hmac(self.name, self.password, base64.b64decode(self.parts["s"]), int(self.parts["i"]))
        without = f"c={b64(self.header.encode() + self.channel)},r={self.parts['r']}"
        message = f"{self.bare},{server_first},{without}".encode()
        key = self.digest(salted, b"Client Key")
        proof = bytes(a ^ b for a, b in zip(key, self.digest(hashlib.new(self.name, key).digest(), message)))
        self.expected = b"v=" + base64.b64encode(self.digest(self.digest(salted, b"Server Key"), message))
        return b64(f"{without},p={b64(proof)}")

    def digest(self, key, text):
        return hmac.new(key, text, self.name).digest()

    def run(self, client, mechanism):
        """A whole exchange; the last reply."""
        reply = client.cmd(f"AUTH {mechanism} {self.first()}")
        if reply.code != 334:
            return reply
        reply = client.cmd(self.final(reply.text))
        if reply.code != 334:
            return reply
        assert base64.b64decode(reply.text) == self.expected, "the server does not know the password"
        return client.cmd("")


def login(client, user, password):
    reply = client.cmd("AUTH LOGIN")
    assert reply.code == 334 and base64.b64decode(reply.text) == b"Username:", reply
    reply = client.cmd(b64(user))
    return client.cmd(b64(password)) if reply.code == 334 else reply
