"""Fixtures: instances, next hops and name servers that are gone when the test is over."""
import atexit, os, pathlib, shutil, subprocess, sys, tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))

import dnsd
from harness import aftermath
from harness.instance import AS_ROOT, Instance, free_port
from harness.peer import Peer
# pytest closes its folder for temporary files to all others whenever a run begins: one that is shared would become
# unreadable for the servers of a run beside this one.
if "PYTEST_DEBUG_TEMPROOT" not in os.environ:
    os.environ["PYTEST_DEBUG_TEMPROOT"] = tempfile.mkdtemp(prefix="pt-")
    os.chmod(os.environ["PYTEST_DEBUG_TEMPROOT"], 0o755)
    atexit.register(shutil.rmtree, os.environ["PYTEST_DEBUG_TEMPROOT"], ignore_errors=True)

taken = {}


def pytest_runtest_protocol(item):
    """Where several runs share a directory (POSTERN_CLAIMS), each file's tests are done by the one that comes to it first."""
    claims, name = os.environ.get("POSTERN_CLAIMS"), item.path.stem
    if claims and name not in taken:
        try:
            os.mkdir(os.path.join(claims, name))
            taken[name] = True
        except FileExistsError:
            taken[name] = False
    return None if taken.get(name, True) else True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure is told with what the instances of the test were doing."""
    report = (yield).get_result()
    if report.failed:
        report.sections += [("what Postern was doing", aftermath.of(instance)) for instance in Instance.living[-3:]]
        report.sections += [("what a next hop saw", str(p)) for p in Peer.living[-3:]]


@pytest.fixture
def make(request):
    """make(settings, **options): an Instance, started; stopped and removed afterwards."""
    def build(settings=None, start=True, **options):
        instance = Instance(settings, **options)
        request.addfinalizer(instance.close)
        return instance.start() if start else instance
    return build


@pytest.fixture(scope="module")
def shared(request):
    """One instance with default settings for all tests of a module that do not change it."""
    instance = Instance()
    request.addfinalizer(instance.close)
    return instance.start()


@pytest.fixture
def peer(request):
    def build(**options):
        p = Peer(**options)
        request.addfinalizer(p.close)
        return p
    return build


@pytest.fixture
def folder(tmp_path):
    """Where the processes that open tables may go."""
    for path in (tmp_path, *tmp_path.parents):
        if path.owner() == "root" and len(path.parts) > 2:
            os.chmod(path, 0o755)
    return tmp_path


@pytest.fixture
def dns(request):
    """dns(lines): a name server with that zone; returns its "address:port" for dns_servers."""
    def build(lines):
        for _ in range(20):
            port = free_port()
            try:
                servers = dnsd.serve("127.0.0.1", port, lines)
                break
            except OSError:
                continue
        for server in servers:
            request.addfinalizer(server.server_close)
            request.addfinalizer(server.shutdown)
        return f"127.0.0.1:{port}"
    return build


@pytest.fixture(scope="session", autouse=True)
def accounts(request):
    """Ordinary accounts for delivery as the recipient, made in the private /etc that the tests run with (needs root)."""
    if not AS_ROOT:
        return
    if not os.environ.get("POSTERN_PRIVATE_ETC"):
        pytest.exit("as root, run this as: tests/support/private-etc /usr/bin/python3 -m pytest tests/system", 2)
    base = tempfile.mkdtemp(prefix="postern-homes-")
    os.chmod(base, 0o755)
    request.addfinalizer(lambda: shutil.rmtree(base, ignore_errors=True))
    for name in ("alice", "bob", "postmaster", "carol", "dave"):
        if subprocess.run(["id", "-u", name], capture_output=True).returncode != 0:
            subprocess.run(["useradd", "--no-log-init", "--create-home", "--base-dir", base, "--shell", "/bin/sh", name], check=True)


@pytest.fixture(scope="session")
def system_users(accounts):
    if not AS_ROOT:
        pytest.skip("only root can deliver as other users")
    return "carol", "dave"
