"""A real Dovecot that only authenticates: its auth socket at a path of ours."""
import base64, hashlib, hmac, json, os, pathlib, shutil, signal, subprocess, time

from harness.instance import wait_until

THERE = shutil.which("dovecot") is not None


def token(user, secret="shared", **claims):
    """A JSON Web Token (RFC 7519) that Dovecot verifies by itself."""
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")
    signed = part({"alg": "HS256", "typ": "JWT"}) + b"." + part({"sub": user, "username": user, "iat": int(time.time()) - 60, "exp": int(time.time()) + 600, **claims})
    mark = base64.urlsafe_b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).rstrip(b"=")
    return (signed + b"." + mark).decode()


class Dovecot:
    """users: names and passwords. mechanisms: of Dovecot, and the token's passdb if xoauth2 or oauthbearer is among them."""

    def __init__(self, socket, room, users, mechanisms="plain login scram-sha-256 scram-sha-1 xoauth2 oauthbearer", extra=""):
        self.socket, self.room = pathlib.Path(socket), pathlib.Path(room)
        self.log = self.room / "dovecot.log"
        (self.room / "users").write_text("".join(f"{name}:{{PLAIN}}{password}\n" for name, password in users.items()))
        keys = self.room / "keys" / "default" / "HS256"
        keys.mkdir(parents=True, exist_ok=True)
        (keys / "default").write_text(base64.b64encode(b"shared").decode())
        (self.room / "oauth2").write_text(f"introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={self.room}/keys/\nusername_attribute = username\n")
        (self.room / "dovecot.conf").write_text(f"""
protocols =
listen = 127.0.0.1
base_dir = {self.room}/run
state_dir = {self.room}/state
log_path = {self.log}
auth_verbose = yes
ssl = no
auth_mechanisms = {mechanisms}
disable_plaintext_auth = no
auth_failure_delay = 0
auth_username_chars =
first_valid_uid = 1
passdb {{
  driver = passwd-file
  args = {self.room}/users
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {self.room}/oauth2
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent allow_all_users=yes
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener {self.socket} {{
    mode = 0600
  }}
}}
{extra}
""")
        for folder in (self.room, *self.room.rglob("*")):
            folder.chmod(0o755 if folder.is_dir() else 0o644)
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(["dovecot", "-F", "-c", str(self.room / "dovecot.conf")])
        assert wait_until(self.socket.exists), self.log.read_text()

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None
        self.socket.unlink(missing_ok=True)

    def kill(self):
        """Its auth processes die at once, and so does the rest."""
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        self.stop()

    def pids(self):
        """Of its auth processes."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid), "-f", "auth"], capture_output=True, text=True)
        return [int(line) for line in found.stdout.split()]
