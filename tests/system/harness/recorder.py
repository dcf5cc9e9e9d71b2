"""tests/crash/recorder.c before a program of an installation: it ends, or a call of its fails, where a test says so."""
import mmap, pathlib, shutil, struct, subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[3]
FIELDS = {"on": ("?", 0), "after": ("?", 1), "always": ("?", 2), "kinds": ("I", 4), "kill_at": ("q", 8), "fail_at": ("q", 16), "fail_errno": ("i", 24), "calls": ("q", 64), "failed": ("q", 72), "kills": ("q", 80)}
SIZE = 128
WRITE, SYNC, OPEN, READ, NAMES, LENGTHS, CLOSE = (1 << n for n in range(7))


class Recorder:
    """As a folder of programs (daemon_directory) in which one is preloaded. Its fields are attributes: recorder.kill_at = 7."""

    def __init__(self, home, libexec, program):
        self.library, self.file, self.folder = home / "recorder.so", home / "recorder", home / "libexec"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-U_FORTIFY_SOURCE", f"-I{SOURCE}", "-o", self.library, SOURCE / "tests/crash/recorder.c"], check=True)
        self.file.write_bytes(bytes(SIZE))
        with open(self.file, "r+b") as f:
            self.__dict__["memory"] = mmap.mmap(f.fileno(), SIZE)
        shutil.copytree(libexec, self.folder)
        (self.folder / program).unlink()
        (self.folder / program).write_text(f"#!/bin/bash\nLD_PRELOAD={self.library} POSTERN_RECORDER={self.file} exec -a {program} {libexec / program} \"$@\"\n")
        (self.folder / program).chmod(0o755)

    def __setattr__(self, name, value):
        if name in FIELDS:
            struct.pack_into("=" + FIELDS[name][0], self.memory, FIELDS[name][1], value)
        else:
            self.__dict__[name] = value

    def __getattr__(self, name):
        if name not in FIELDS:
            raise AttributeError(name)
        return struct.unpack_from("=" + FIELDS[name][0], self.memory, FIELDS[name][1])[0]
