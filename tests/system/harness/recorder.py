"""tests/crash/recorder.c before a program of an installation: it ends, or a call of its fails, where a test says so."""
from .preloaded import Preloaded

FIELDS = {"on": ("?", 0), "after": ("?", 1), "always": ("?", 2), "kinds": ("I", 4), "kill_at": ("q", 8), "fail_at": ("q", 16), "fail_errno": ("i", 24), "calls": ("q", 64), "failed": ("q", 72), "kills": ("q", 80)}
WRITE, SYNC, OPEN, READ, NAMES, LENGTHS, CLOSE = (1 << n for n in range(7))


class Recorder(Preloaded):
    """Its fields are attributes: recorder.kill_at = 7."""

    def __init__(self, home, libexec, program):
        super().__init__(home, libexec, program, "tests/crash/recorder.c", "POSTERN_RECORDER", FIELDS, 128)
