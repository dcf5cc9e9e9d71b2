#include "services/master/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/log.h"
#include "common/conf/conf.h"

#define NAME "pid/confdir"

/* "/etc/postern\n". False if there is none, or no whole line. */
static bool
read_claim(int queue_fd, char *confdir, size_t size)
{
	int fd = openat(queue_fd, NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : io_read_all(fd, confdir, size - 1);

	io_close(&fd);
	if (n <= 1 || confdir[0] != '/' || confdir[n - 1] != '\n')
		return false;
	confdir[n - 1] = '\0';
	return true;
}

void
claim_write(int queue_fd, const char *confdir)
{
	char now[PATH_MAX], was[PATH_MAX + 2];
	int fd;

	if (!realpath(confdir, now) || (read_claim(queue_fd, was, sizeof(was)) && strcmp(now, was) == 0))
		return;
	fd = openat(queue_fd, NAME, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || dprintf(fd, "%s\n", now) < 0)
		log_warning(NULL, "%s: %s", NAME, strerror(errno));
	io_close(&fd);
}

static bool
is_same(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool
claim_find_other(const char *queue_directory, const char *confdir, char *other, size_t size)
{
	int queue_fd = open(queue_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct conf_report *report;
	struct conf *conf;
	struct error err;
	bool found = queue_fd >= 0 && read_claim(queue_fd, other, size) && !is_same(other, confdir);

	io_close(&queue_fd);
	if (!found)
		return false;
	report = conf_report_new();
	conf = conf_load(other, report, &err);
	found = conf && is_same(conf->values->queue_directory, queue_directory);
	if (conf)
		conf_unref(&conf);
	conf_report_free(&report);
	return found;
}
