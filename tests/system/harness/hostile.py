"""For tests that share an instance: mail in, what became of it, and whether every process lives."""

QUIET = {"minimal_backoff_time": "300s", "maximal_backoff_time": "300s"}


def send(instance, recipients, sender="s@here.test", body="Subject: x\r\n\r\nbody\r\n", mail="", rcpt=""):
    with instance.connect() as c:
        c.hello()
        c.cmd(f"MAIL FROM:<{sender}>{mail}", 250)
        for recipient in [recipients] if isinstance(recipients, str) else recipients:
            c.cmd(f"RCPT TO:<{recipient}>{rcpt}", 250)
        return c.data(body)


def outcome(instance, queue_id, recipient=r"\S+", seconds=10):
    """(dsn, status, text) of the first line about it."""
    line = instance.wait_log(rf"{queue_id}: to=<{recipient}>.* dsn=([\d.]+), status=(\w+) \((.*)\)$", seconds)
    return line[1], line[2], line[3]


def alive(instance):
    """Every process by its pid: none may be replaced."""
    return {(row["role"], row["pid"]) for row in instance.processes()}
