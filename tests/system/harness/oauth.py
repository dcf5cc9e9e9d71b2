"""An authorization server over HTTPS: tokens by refresh (RFC 6749, 6) and introspection (RFC 7662)."""
import base64, http.server, json, ssl, threading, time, urllib.parse

from .instance import free_port


class Endpoint:
    """answer: what is said instead: a function of the form, or (status, headers, body). asked: (path, form, authorization) of each question."""

    def __init__(self, certificate=None, client="mail-host", secret="cl/ient: secret", host="127.0.0.1"):
        self.client, self.secret, self.asked, self.answer, self.delay = client, secret, [], None, 0
        self.refresh, self.rotates, self.lifetime, self.tokens, self.count = "refresh-0", False, 3600, {}, 0
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def do_POST(self):
                form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode(), strict_parsing=True))
                endpoint.asked.append((self.path, form, self.headers.get("Authorization", "")))
                if endpoint.delay:
                    time.sleep(endpoint.delay)
                status, headers, body = endpoint.reply(self.path, form, self.headers.get("Authorization", ""))
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": len(body), "Connection": "close", **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass

            do_GET = do_POST

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer((host, free_port(host)), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None
        self.port, self.scheme = self.server.server_address[1], "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.cert, certificate.key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
            self.scheme = "https"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path, host="127.0.0.1"):
        return f"{self.scheme}://{host}:{self.port}{path}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def is_client(self, form, authorization):
        if authorization.startswith("Basic "):
            name, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
            name, secret = urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(secret)
        else:
            name, secret = form.get("client_id"), form.get("client_secret")
        return (name, secret) == (self.client, self.secret)

    def reply(self, path, form, authorization):
        if self.answer:
            said = self.answer(form) if callable(self.answer) else self.answer
            if said:
                return said
        if not self.is_client(form, authorization):
            return self.json({"error": "invalid_client"}, 401)
        return self.introspect(form) if path == "/introspect" else self.token(form)

    @staticmethod
    def json(value, status=200):
        return status, {}, (value if isinstance(value, str) else json.dumps(value)).encode()

    def token(self, form):
        if form.get("grant_type") != "refresh_token" or form.get("refresh_token") != self.refresh:
            return self.json({"error": "invalid_grant", "error_description": "Token has been expired or revoked: " + form.get("refresh_token", "")}, 400)
        self.count += 1
        said = {"access_token": f"access-{self.count}", "token_type": "Bearer", "expires_in": self.lifetime}
        if self.rotates:
            self.refresh = said["refresh_token"] = f"refresh-{self.count}"
        return self.json(said)

    def introspect(self, form):
        return self.json(self.tokens.get(form.get("token"), {"active": False}))
