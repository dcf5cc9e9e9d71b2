"""tests/support/hostile.c before a program of an installation: what it says to Postern's other processes is bent."""
import mmap, pathlib, shutil, struct, subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[3]
FIELDS = {"seed": ("I", 0), "often": ("I", 4), "only": ("I", 8), "count": ("I", 12), "number": ("Q", 16), "as_type": ("I", 24), "times": ("I", 28)}
SIZE = 32


def type_number(name):
    """The number that a message of messages.def has in a frame."""
    text = (SOURCE / "common/ipc/messages.def").read_text()
    names = [line.split("(")[1].split(",")[0] for line in text.splitlines() if line.startswith("MESSAGE(")]
    return 1 + names.index(name)


class Hostile:
    """As a folder of programs (daemon_directory) in which one is preloaded. Its fields are attributes: hostile.often = 50."""

    def __init__(self, home, libexec, program, seed=1):
        library, self.file, self.folder = home / "hostile.so", home / "hostile", home / "libexec"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-U_FORTIFY_SOURCE", f"-I{SOURCE}", "-o", library, SOURCE / "tests/support/hostile.c"], check=True)
        self.file.write_bytes(bytes(SIZE))
        self.file.chmod(0o666)
        with open(self.file, "r+b") as f:
            self.__dict__["memory"] = mmap.mmap(f.fileno(), SIZE)
        self.seed = seed
        shutil.copytree(libexec, self.folder)
        (self.folder / program).unlink()
        (self.folder / program).write_text(f"#!/bin/bash\nLD_PRELOAD={library} POSTERN_HOSTILE={self.file} exec -a {program} {libexec / program} \"$@\"\n")
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
