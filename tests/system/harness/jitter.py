"""tests/support/jitter.c before the programs of an installation: rare orders of events become frequent (docs/design/crash-tests.md)."""
import mmap, pathlib, random, shutil, struct, subprocess, tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "support/jitter.c"
FIELDS = ("seed", "again", "partly", "some", "order", "late", "lock", "write", "pause_us", "stall", "stall_us")
COUNTS = ("again", "partly", "some", "order", "pauses")
SIZE = 4 * (len(FIELDS) + len(COUNTS))


def library():
    """Built once for a run of tests."""
    if not hasattr(library, "path"):
        library.folder = tempfile.TemporaryDirectory(prefix="postern-jitter-")
        library.path = pathlib.Path(library.folder.name) / "jitter.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-U_FORTIFY_SOURCE", "-o", library.path, SOURCE], check=True)
    return library.path


def some_jitter(dice):
    """How much of each: another mixture for each seed."""
    longest = dice.choice([200, 2000, 20000])
    often = 20 if longest == 20000 else 200
    return {
        "seed": dice.getrandbits(31), "again": dice.choice([0, 20, 200, 500]), "partly": dice.choice([0, 20, 300, 700]),
        "some": dice.choice([0, 100, 500]), "order": dice.choice([0, 300, 1000]), "late": dice.choice([0, 20, often]),
        "lock": dice.choice([0, 20, often]), "write": dice.choice([0, 20, often]), "pause_us": longest,
        "stall": dice.choice([0, 2000, 20000]), "stall_us": dice.choice([100_000, 400_000]),
    }


class Jitter:
    """As a folder of programs (daemon_directory) in which those that master starts are jittery. values: as some_jitter() has them, by name."""

    def __init__(self, home, libexec, values):
        self.file, self.folder, copy = home / "jitter", home / "jittery", home / "jitter.so"
        shutil.copy(library(), copy)  # where any user may read it
        self.file.write_bytes(bytes(SIZE))
        self.file.chmod(0o666)
        with open(self.file, "r+b") as f:
            self.memory = mmap.mmap(f.fileno(), SIZE)
        self.set(**values)
        self.folder.mkdir()
        for program in libexec.iterdir():
            if program.name in ("master", "drop"):  # drop has a group of its own
                shutil.copy2(program, self.folder)
                continue
            (self.folder / program.name).write_text(f"#!/bin/bash\nLD_PRELOAD={copy} POSTERN_JITTER={self.file} exec -a {program.name} {program} \"$@\"\n")
            (self.folder / program.name).chmod(0o755)

    def set(self, **values):
        for name, value in values.items():
            struct.pack_into("=I", self.memory, 4 * FIELDS.index(name), value)

    def counts(self):
        """What was done so far, by name."""
        return dict(zip(COUNTS, struct.unpack_from(f"={len(COUNTS)}I", self.memory, 4 * len(FIELDS))))
