#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/text.h"
#include "services/master/claim.h"
#include "services/master/master.h"

enum { ORPHANS_US = 15 * 1000 * 1000, COMMAND_US = 60 * 1000 * 1000, DYING_LOOKS = 10 };

/* Below queue_directory, all of them root's (or the ordinary user's who starts Postern). */
static const struct {
	const char *name;
	mode_t mode;
} directories[] = {
    {"pid", 0755},
    {"public", 0755},
    {"private", 0700},
    {"empty", 0555},
};

static int
make_directories(int fd, const char *top, struct error *err)
{
	int result = 0;

	for (size_t i = 0; i < sizeof(directories) / sizeof(*directories) && result == 0; i++) {
		const char *name = directories[i].name;

		if (mkdirat(fd, name, directories[i].mode) < 0 && errno == EEXIST)
			continue;
		/* Whatever the umask is. */
		if (fchmodat(fd, name, directories[i].mode, 0) < 0)
			result = error_errno(err, "make directory %s/%s", top, name);
	}
	return result;
}

/* "PID" of a master; "queue PID" where an instance is stopped and a command works with its queue. */
#define ALONE "queue "

/* The process that the file names, 0 if it names none that lives. */
static pid_t
living_owner(int fd, bool *alone)
{
	char text[32], path[64];
	ssize_t n = io_pread_all(fd, text, sizeof(text), 0);
	struct span said = span_trim(span_make(text, n < 0 ? 0 : (size_t)n));
	uint64_t pid;

	*alone = span_starts(said, ALONE);
	if (*alone)
		said = span_from(said, strlen(ALONE));
	if (number_parse(said, 1, INT32_MAX, &pid) < 0)
		return 0;
	/* A dead process that nobody has waited for yet still has its number, but no program. */
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	if (readlink(path, text, sizeof(text)) < 0 && errno == ENOENT)
		return 0;
	return kill((pid_t)pid, 0) == 0 || errno == EPERM ? (pid_t)pid : 0;
}

/*
 * Each child holds the lock with master. When master was killed, its children finish what is in flight: until they
 * are gone nobody else may use the spool and the listeners, so a new master waits for them. What a command does with the
 * queue of a stopped instance is usually over in a moment, and is waited for, too.
 */
static int
wait_for_lock(int fd, struct error *err)
{
	int64_t begun_us = clock_mono_us();

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		bool alone;
		pid_t owner = living_owner(fd, &alone);
		bool late = clock_mono_us() - begun_us > (owner != 0 && alone ? COMMAND_US : ORPHANS_US);

		if (owner != 0 && !alone)
			return error_set(err, "Postern is already running: process %d", (int)owner);
		if (owner != 0 && late)
			return error_set(err,
			    "a command still works with the queue, which is stopped: process %d", (int)owner);
		if (late)
			return error_set(err, "processes of a master that was killed are still there");
		poll(NULL, 0, 50);
	}
	return 0;
}

static int
lock_pid_file(struct master *m, struct error *err)
{
	char path[4096], text[32];
	int n;

	snprintf(path, sizeof(path), "%s/pid/master.pid", m->conf->values->queue_directory);
	m->pid_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	/* What can be read can be listed. */
	if (m->pid_fd < 0 && errno == EROFS && m->alone)
		m->pid_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (m->pid_fd < 0)
		return error_errno(err, "open %s", path);
	if (wait_for_lock(m->pid_fd, err) < 0) {
		io_close(&m->pid_fd);
		return -1;
	}
	n = snprintf(text, sizeof(text), "%s%d\n", m->alone ? ALONE : "", (int)getpid());
	if ((ftruncate(m->pid_fd, 0) < 0 || io_pwrite_all(m->pid_fd, text, (size_t)n, 0) < 0) && !m->alone)
		return error_errno(err, "write %s", path);
	return 0;
}

/* One that dies at this moment gives its two locks back one after the other. */
static int
lock_directory(int fd)
{
	int looks = 0;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (++looks == DYING_LOOKS)
			return -1;
		poll(NULL, 0, 50);
	}
	return 0;
}

/*
 * The pid file says who runs, and can be removed by somebody who takes it for an old one: two queues in one spool would
 * be the end of it. So master holds a lock on the directory itself, too, as long as it lives.
 */
int
directories_open(struct master *m, struct error *err)
{
	const char *top = m->conf->values->queue_directory;

	m->queue_fd = open(top, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (m->queue_fd < 0)
		return error_errno(err, "open queue_directory %s ('postern setup' makes it)", top);
	if (make_directories(m->queue_fd, top, err) < 0 || lock_pid_file(m, err) < 0)
		return -1;
	if (lock_directory(m->queue_fd) < 0)
		return error_set(err, "another master works in %s, whose pid file is gone", top);
	if (!m->alone)
		claim_write(m->queue_fd, m->confdir);
	return 0;
}
