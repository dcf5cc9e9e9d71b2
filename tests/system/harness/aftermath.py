"""What an instance was doing when a test failed: the one look that there is at what happens once in a thousand runs."""
import os, subprocess

LOG_SHOWN, MESSAGES_SHOWN, SECONDS = 6000, 3, 10


def told(instance, *words):
    try:
        done = instance.postern(*words, check=False, timeout=SECONDS)
        return f"$ postern {' '.join(words)}\n{done.stdout}{done.stderr}"
    except subprocess.TimeoutExpired:
        return f"$ postern {' '.join(words)}\nno answer in {SECONDS} s\n"


def of_processes(instance):
    """Where its master and that one's children wait in the kernel."""
    mark, masters, lines = str(instance.home).encode(), set(), []
    for pid in sorted(map(int, filter(str.isdigit, os.listdir("/proc")))):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as words, open(f"/proc/{pid}/wchan") as place, open(f"/proc/{pid}/stat") as stat:
                line, (state, parent) = words.read(), stat.read().rpartition(")")[2].split()[:2]
                if mark in line:
                    masters.add(parent := str(pid))
                if parent in masters:
                    lines.append(f"{pid} {state} {place.read()} {line.replace(bytes(1), b' ').decode(errors='replace')}")
        except OSError:
            continue
    return "\n".join(lines)


def of(instance):
    try:
        return look_at(instance)
    except (OSError, ValueError) as trouble:  # a test may have taken its folder away
        return f"{instance.home}: {trouble!r}"


def look_at(instance):
    parts = [f"== {instance.home}"]
    if instance.started:
        parts += [told(instance, "status"), of_processes(instance)]
        try:
            parts += [told(instance, "queue", "explain", row["queue_id"]) for row in instance.queue("--limit", str(MESSAGES_SHOWN))]
        except (AssertionError, subprocess.TimeoutExpired) as trouble:
            parts.append(str(trouble))
    disk = os.statvfs(instance.home)
    parts.append(f"free: {disk.f_bavail * disk.f_frsize >> 20} MB, {disk.f_favail} inodes; load {os.getloadavg()[0]:.1f}")
    parts.append(instance.log()[-LOG_SHOWN:])
    return "\n".join(parts)
