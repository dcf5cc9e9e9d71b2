#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "services/master/master.h"

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
make_directories(const struct conf *conf, struct error *err)
{
	const char *top = conf->values->queue_directory;
	int fd = open(top, O_DIRECTORY | O_RDONLY | O_CLOEXEC), result = 0;

	if (fd < 0)
		return error_errno(err, "open queue_directory %s ('postern setup' makes it)", top);
	for (size_t i = 0; i < sizeof(directories) / sizeof(*directories) && result == 0; i++) {
		const char *name = directories[i].name;

		if (mkdirat(fd, name, directories[i].mode) < 0 && errno == EEXIST)
			continue;
		/* Whatever the umask is. */
		if (fchmodat(fd, name, directories[i].mode, 0) < 0)
			result = error_errno(err, "make directory %s/%s", top, name);
	}
	close(fd);
	return result;
}

/* The lock lasts as long as the descriptor: a dead master's is free. */
static int
lock_pid_file(const struct conf *conf, int *pid_fd, struct error *err)
{
	char path[4096], text[32];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/pid/master.pid", conf->values->queue_directory);
	*pid_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (*pid_fd < 0)
		return error_errno(err, "open %s", path);
	if (flock(*pid_fd, LOCK_EX | LOCK_NB) < 0) {
		n = io_pread_all(*pid_fd, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		text[strcspn(text, "\n")] = '\0';
		io_close(pid_fd);
		return error_set(err, "Postern is already running: process %s", text);
	}
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(*pid_fd, 0) < 0 || io_pwrite_all(*pid_fd, text, (size_t)n, 0) < 0)
		return error_errno(err, "write %s", path);
	return 0;
}

int
directories_open(const struct conf *conf, int *pid_fd, struct error *err)
{
	if (make_directories(conf, err) < 0)
		return -1;
	return lock_pid_file(conf, pid_fd, err);
}
