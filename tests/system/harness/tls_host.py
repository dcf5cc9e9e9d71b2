"""Fixtures: an instance with three listeners in TLS, and the authority of its certificates."""
import pytest

from .certificates import Authority
from .client import Client
from .instance import Instance, free_port


@pytest.fixture(scope="module")
def ca(request):
    authority = Authority()
    request.addfinalizer(authority.close)
    return authority


@pytest.fixture(scope="module")
def identities(ca):
    return [ca.issue("mx.here.test", kind) for kind in ("ecdsa", "rsa")]


def chain_files(*identities):
    return ", ".join(str(identity.both) for identity in identities)


class Listeners:
    """Three listeners in one instance: may on smtp, encrypt on submission, TLS from the first octet on on smtps."""

    def __init__(self, identities, settings=None, submission="", smtps=""):
        self.submission, self.smtps = free_port(), free_port()
        smtp = free_port()
        self.instance = Instance({"smtpd_tls_chain_files": chain_files(*identities), "smtpd_tls_security_level": "may", "smtpd_tls_loglevel": 1, "smtpd_tls_received_header": "yes", **(settings or {})}, port=smtp,
            sections=f"[smtp]\nlisten = 127.0.0.1:{smtp}\n"
            f"[submission]\nlisten = 127.0.0.1:{self.submission}\nsyslog_name = postern/submission\nsmtpd_tls_security_level = encrypt\n{submission}"
            f"[smtps]\nlisten = 127.0.0.1:{self.smtps}\nsyslog_name = postern/smtps\nsmtpd_tls_wrappermode = yes\n{smtps}")
        self.instance.start()

    def connect(self, port=None, **options):
        return Client("127.0.0.1", port or self.instance.port, **options)


@pytest.fixture(scope="module")
def host(request, identities):
    listeners = Listeners(identities)
    request.addfinalizer(listeners.instance.close)
    return listeners


@pytest.fixture
def hosts(request, identities):
    def build(*args, **options):
        listeners = Listeners(identities, *args, **options)
        request.addfinalizer(listeners.instance.close)
        return listeners
    return build
