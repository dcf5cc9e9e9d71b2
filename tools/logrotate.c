/*
 * logrotate: gives the log file another name and has it compressed, as postfix(1)'s. Master notices and makes a new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "common/base/io.h"
#include "tools/running.h"
#include "tools/tool.h"

enum { SUFFIX_SIZE = 100, WAIT_MS = 10000, STEP_MS = 20 };

/* A lease on what is read is given only while nobody has the file open for writing. */
static bool
is_written(int fd)
{
	return fcntl(fd, F_SETLEASE, F_RDLCK) < 0 && errno == EAGAIN;
}

/* Until the last line is in it: true, or false after the time. */
static bool
wait_for_writer(const char *path, const char *old)
{
	const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
	int fd = open(old, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), ms;

	for (ms = 0; fd >= 0 && ms < WAIT_MS && (access(path, F_OK) < 0 || is_written(fd)); ms += STEP_MS)
		nanosleep(&step, NULL);
	io_close(&fd);
	return ms < WAIT_MS;
}

static int
compress(const struct tool *tool, const char *program, const char *old)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		execlp(program, program, old, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return tool_fail(tool, EX_OSERR, "%s: could not be compressed by %s", old, program);
	return 0;
}

static int
rotate(const struct tool *tool, const struct conf_values *v, const char *path)
{
	char suffix[SUFFIX_SIZE], old[PATH_MAX];
	time_t now = time(NULL);
	struct tm tm;

	if (!localtime_r(&now, &tm) ||
	    strftime(suffix, sizeof(suffix), v->maillog_file_rotate_suffix, &tm) == 0 || strchr(suffix, '/'))
		return tool_fail(tool, EX_CONFIG, "maillog_file_rotate_suffix = %s: no suffix",
		    v->maillog_file_rotate_suffix);
	if ((size_t)snprintf(old, sizeof(old), "%s.%s", path, suffix) >= sizeof(old))
		return tool_fail(tool, EX_CONFIG, "maillog_file: the name is too long");
	if (renameat2(AT_FDCWD, path, AT_FDCWD, old, RENAME_NOREPLACE) < 0)
		return tool_fail(tool, errno == ENOENT ? EX_NOINPUT : EX_CANTCREAT, "%s: %s",
		    errno == EEXIST ? old : path, strerror(errno));
	if (running_master(tool) != 0 && !wait_for_writer(path, old))
		return tool_fail(tool, EX_TEMPFAIL, "%s: is still written, and was not compressed", old);
	return compress(tool, v->maillog_file_compressor, old);
}

int
command_logrotate(int argc, char **argv, struct tool *tool)
{
	const struct conf *conf;
	const char *path;

	if (argc != 1)
		return tool_usage(tool, argv[0]);
	conf = tool_conf(tool);
	if (!conf)
		return EX_CONFIG;
	path = conf->values->maillog_file;
	if (path[0] == '\0')
		return tool_fail(tool, EX_UNAVAILABLE, "maillog_file is empty: the log is syslog's");
	if (strncmp(path, "/dev/", 5) == 0)
		return tool_fail(tool, EX_UNAVAILABLE, "maillog_file = %s: this is no file", path);
	return rotate(tool, conf->values, path);
}
