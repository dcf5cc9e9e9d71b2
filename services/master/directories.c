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
#include "services/master/master.h"

enum { ORPHANS_US = 15 * 1000 * 1000 };

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

/* The process that the file names, 0 if it names none that lives. */
static pid_t
living_owner(int fd)
{
	char text[32], path[64];
	ssize_t n = io_pread_all(fd, text, sizeof(text), 0);
	uint64_t pid;

	if (n < 0 || number_parse(span_trim(span_make(text, (size_t)n)), 1, INT32_MAX, &pid) < 0)
		return 0;
	/* A dead process that nobody has waited for yet still has its number, but no program. */
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	if (readlink(path, text, sizeof(text)) < 0 && errno == ENOENT)
		return 0;
	return kill((pid_t)pid, 0) == 0 || errno == EPERM ? (pid_t)pid : 0;
}

/*
 * Each child holds the lock with master. When master was killed, its children finish what is in flight: until they
 * are gone nobody else may use the spool and the listeners, so a new master waits for them.
 */
static int
wait_for_lock(int fd, struct error *err)
{
	int64_t end_us = clock_mono_us() + ORPHANS_US;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		pid_t owner = living_owner(fd);

		if (owner != 0)
			return error_set(err, "Postern is already running: process %d", (int)owner);
		if (clock_mono_us() > end_us)
			return error_set(err, "processes of a master that was killed are still there");
		poll(NULL, 0, 50);
	}
	return 0;
}

static int
lock_pid_file(const struct conf *conf, int *pid_fd, struct error *err)
{
	char path[4096], text[32];
	int n;

	snprintf(path, sizeof(path), "%s/pid/master.pid", conf->values->queue_directory);
	*pid_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (*pid_fd < 0)
		return error_errno(err, "open %s", path);
	if (wait_for_lock(*pid_fd, err) < 0) {
		io_close(pid_fd);
		return -1;
	}
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(*pid_fd, 0) < 0 || io_pwrite_all(*pid_fd, text, (size_t)n, 0) < 0)
		return error_errno(err, "write %s", path);
	return 0;
}

/*
 * The pid file says who runs, and can be removed by somebody who takes it for an old one: two queues in one spool would
 * be the end of it. So master holds a lock on the directory itself, too, as long as it lives.
 */
int
directories_open(const struct conf *conf, int *queue_fd, int *pid_fd, struct error *err)
{
	const char *top = conf->values->queue_directory;

	*queue_fd = open(top, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (*queue_fd < 0)
		return error_errno(err, "open queue_directory %s ('postern setup' makes it)", top);
	if (make_directories(*queue_fd, top, err) < 0 || lock_pid_file(conf, pid_fd, err) < 0)
		return -1;
	if (flock(*queue_fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(err, "another master works in %s, whose pid file is gone", top);
	return 0;
}
