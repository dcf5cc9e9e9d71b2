#include "tools/running.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/text.h"

enum { KEEP_OUT_MS = 5000, KEEP_OUT_LOOK_MS = 20 };

/* The first bytes of a small file, NUL-terminated. Returns their number, 0 on any error. */
static size_t
read_small(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t got = fd < 0 ? -1 : io_read_all(fd, out, size - 1);

	io_close(&fd);
	out[got < 0 ? 0 : got] = '\0';
	return got < 0 ? 0 : (size_t)got;
}

/* What /proc says of a process: the words behind its name in parentheses. False if it is gone or a mere zombie. */
static bool
read_stat(pid_t pid, pid_t *parent)
{
	char path[64], text[512];
	const char *behind;
	struct span rest, word;
	uint64_t number;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	read_small(path, text, sizeof(text));
	behind = strrchr(text, ')');
	if (!behind)
		return false;
	rest = span_of(behind + 1);
	if (!span_next_word(&rest, " ", &word) || span_is(word, "Z") || span_is(word, "X") ||
	    !span_next_word(&rest, " ", &word) || number_parse(word, 0, INT32_MAX, &number) < 0)
		return false;
	*parent = (pid_t)number;
	return true;
}

/* The processes of an instance hold its lock; without it the number in the file may be anybody's by now. */
static bool
is_locked(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;

	io_close(&fd);
	return locked;
}

/* Where somebody removed the file, the socket still knows who listens there; a dead master's refuses. */
static pid_t
listening_master(const struct tool *tool)
{
	struct error err;
	struct ucred who = {.pid = 0};
	socklen_t len = sizeof(who);
	int fd = ipc_connect(tool_path(tool, "private/master"), &err);

	if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		who.pid = 0;
	io_close(&fd);
	return who.pid;
}

pid_t
running_master(const struct tool *tool)
{
	char text[64], path[64], comm[32];
	pid_t parent;
	uint64_t pid;

	if (!is_locked(tool_path(tool, "pid/master.pid")))
		return listening_master(tool);
	read_small(tool_path(tool, "pid/master.pid"), text, sizeof(text));
	if (number_parse(span_trim(span_of(text)), 1, INT32_MAX, &pid) < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (read_small(path, comm, sizeof(comm)) == 0 || !span_is(span_trim(span_of(comm)), "master") ||
	    !read_stat((pid_t)pid, &parent))
		return 0;
	return (pid_t)pid;
}

/* What master does (directories.c), with what it is told by; nothing where there never was an instance. */
int
running_keep_out(const struct tool *tool)
{
	const char *path = tool_path(tool, "pid/master.pid");
	int64_t end_us = clock_mono_us() + KEEP_OUT_MS * US_PER_MS;
	int fd = open(path, O_RDWR | O_NOFOLLOW);

	if (fd < 0 && errno == EROFS)
		fd = open(path, O_RDONLY | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : tool_fail(tool, EX_NOPERM, "%s: %s", path, strerror(errno));
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (clock_mono_us() > end_us) {
			io_close(&fd);
			return tool_fail(tool, EX_TEMPFAIL,
			    "this instance is being started, or another command works with its queue");
		}
		poll(NULL, 0, KEEP_OUT_LOOK_MS);
	}
	if (ftruncate(fd, 0) == 0)
		dprintf(fd, "queue %d\n", (int)getpid());
	return 0;
}

static void
add(struct running *r, pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0 || r->count == RUNNING_MAX) {
		io_close(&fd);
		return;
	}
	r->list[r->count].pid = pid;
	r->list[r->count++].fd = fd;
}

void
running_open(struct running *r, pid_t master)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint64_t pid;
	pid_t parent;

	r->count = 0;
	add(r, master);
	while (proc && (entry = readdir(proc)) != NULL) {
		if (number_parse(span_of(entry->d_name), 1, INT32_MAX, &pid) == 0 &&
		    read_stat((pid_t)pid, &parent) && parent == master)
			add(r, (pid_t)pid);
	}
	if (proc)
		closedir(proc);
}

void
running_close(struct running *r)
{
	for (size_t i = 0; i < r->count; i++)
		io_close(&r->list[i].fd);
	r->count = 0;
}

bool
running_wait(struct running *r, int timeout_ms)
{
	int64_t end = clock_mono_us() + (int64_t)timeout_ms * 1000;

	for (size_t i = 0; i < r->count; i++) {
		struct pollfd p = {.fd = r->list[i].fd, .events = POLLIN};
		int64_t left_us = end - clock_mono_us();
		int ready = poll(&p, 1, left_us > 0 ? (int)(left_us / 1000) : 0);

		if (ready < 0 && errno == EINTR)
			i--;
		else if (ready != 1)
			return false;
	}
	return true;
}

void
running_signal(struct running *r, int number)
{
	for (size_t i = 0; i < r->count; i++)
		syscall(SYS_pidfd_send_signal, r->list[i].fd, number, NULL, 0);
}
