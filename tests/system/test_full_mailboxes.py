"""No room, or no quota, where mailboxes are: mail waits, nothing of it is left behind, and it arrives once there is room."""
import os, pwd, re, shutil, subprocess

import pytest
from harness.instance import AS_ROOT
from test_aliases import clean, room, send

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="mounts file systems, delivers as other users")

LIMIT = 1 << 20


@pytest.fixture(params=["room", "quota"])
def small(request, room, tmp_path):
    """A folder with place for little mail, and what there is little of."""
    folder = room / "small"
    folder.mkdir()
    if request.param == "room":
        commands = [["mount", "-t", "tmpfs", "-o", f"size={LIMIT}", "tmpfs", folder]]
    else:
        if not shutil.which("mkfs.btrfs") or not shutil.which("btrfs"):
            pytest.skip("no btrfs to set a quota on")
        with open(tmp_path / "image", "wb") as f:
            f.truncate(160 << 20)
        commands = [["mkfs.btrfs", "-q", tmp_path / "image"], ["mount", "-o", "loop", tmp_path / "image", folder], ["btrfs", "subvolume", "create", folder / "box"],
                    ["btrfs", "quota", "enable", folder], ["btrfs", "qgroup", "limit", str(LIMIT), folder / "box"]]
    for command in commands:
        if subprocess.run(list(map(str, command)), capture_output=True).returncode != 0:
            subprocess.run(["umount", "-l", str(folder)], capture_output=True)
            pytest.skip(f"{command[0]} does not work here")
    box = folder if request.param == "room" else folder / "box"
    os.chmod(box, 0o1777)
    yield box, request.param
    subprocess.run(["umount", "-l", str(folder)])


def fill(folder):
    """All but about 40,000 octets goes into files."""
    made, written = [], 40000
    try:
        while written == 40000:
            made.append(folder / f"filler{len(made)}")
            with open(made[-1], "wb", buffering=0) as f:
                written = f.write(b"x" * 40000)
                os.fsync(f.fileno())
    except OSError:
        pass
    for path in made[-2:]:
        path.unlink(missing_ok=True)
    os.sync()
    return made[:-2]


def test_what_has_no_place_waits_and_leaves_nothing(make, clean, small):
    box, kind = small
    entry = pwd.getpwnam(clean[0])
    instance = make({"virtual_mailbox_domains": "v.test", "virtual_mailbox_base": box, "virtual_mailbox_maps": "inline:{ { dir@v.test = dir/ } { file@v.test = mail/file } }", "virtual_uid_maps": f"static:{entry.pw_uid}",
                     "virtual_gid_maps": f"static:{entry.pw_gid}", "local_recipient_maps": "", "alias_maps": f"inline:{{ {{ list = {box}/mail/list }} }}", "alias_database": "", "default_privs": clean[0], "minimal_backoff_time": "300s", "queue_run_delay": "300s"})
    (box / "mail").mkdir()
    os.chown(box / "mail", entry.pw_uid, entry.pw_gid)
    to = ["dir@v.test", "file@v.test", "list@here.test"]
    send(instance, to, "Subject: one\r\n\r\nfirst\r\n", sender="")
    instance.wait_log("status=sent", count=3)
    before = {name: (box / "mail" / name).read_bytes() for name in ("file", "list")}
    fillers = fill(box)
    send(instance, to, "Subject: two\r\n\r\n" + "second line of the letter\r\n" * 8000, sender="")
    code, words = (r"4\.3\.1", "No space left on device") if kind == "room" else (r"4\.2\.2", "Disk quota exceeded")
    for name in to:
        instance.wait_log(rf"to=<{re.escape(name)}>.*dsn={code}, status=deferred \(.*{words}", seconds=20)
    assert len(list((box / "dir" / "new").iterdir())) == 1 and not list((box / "dir" / "tmp").iterdir())
    for name, text in before.items():
        assert (box / "mail" / name).read_bytes() == text, name
    assert sorted(p.name for p in (box / "mail").iterdir()) == ["file", "list"]
    for path in fillers:
        path.unlink()
    os.sync()
    instance.postern("flush")
    instance.wait_log("status=sent", count=6, seconds=20)
    assert len(list((box / "dir" / "new").iterdir())) == 2
    for name in before:
        text = (box / "mail" / name).read_text()
        assert text.count("second line of the letter\n") == 8000 and text.count("\nSubject: ") == 2 and text.startswith(before[name].decode())
    instance.wait_queue_empty()
