"""tests/support/hostile.c before a program of an installation: what it says to Postern's other processes is bent."""
from .preloaded import SOURCE, Preloaded

FIELDS = {"seed": ("I", 0), "often": ("I", 4), "only": ("I", 8), "count": ("I", 12), "number": ("Q", 16), "as_type": ("I", 24), "times": ("I", 28)}


def type_number(name):
    """The number that a message of messages.def has in a frame."""
    text = (SOURCE / "common/ipc/messages.def").read_text()
    names = [line.split("(")[1].split(",")[0] for line in text.splitlines() if line.startswith("MESSAGE(")]
    return 1 + names.index(name)


class Hostile(Preloaded):
    """Its fields are attributes: hostile.often = 50."""

    def __init__(self, home, libexec, program, seed=1):
        super().__init__(home, libexec, program, "tests/support/hostile.c", "POSTERN_HOSTILE", FIELDS, 32)
        self.seed = seed
