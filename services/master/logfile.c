/*
 * maillog_file: opened here and handed to log, which may neither open files nor write to their directories. A file
 * that was rotated away is noticed by its directory (watch.c), and a new one is opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "services/master/logfile.h"

/* No link, and no pipe: what a line is appended to must not be somebody else's, and never makes master wait. */
int
logfile_open(const char *path, struct error *err)
{
	struct stat st;
	int fd;

	if (path[0] != '/')
		return error_set(err, "maillog_file %s is no path of a file", path);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
	if (fd < 0)
		return error_errno(err, "maillog_file %s", path);
	if (fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))) {
		close(fd);
		return error_set(err, "maillog_file %s is not a file", path);
	}
	return fd;
}

bool
logfile_is_in_place(const char *path, int fd)
{
	struct stat named, open_one;

	return fstat(fd, &open_one) == 0 && fstatat(AT_FDCWD, path, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       named.st_dev == open_one.st_dev && named.st_ino == open_one.st_ino;
}

bool
logfile_is_named(const struct conf *conf)
{
	const char *path = conf->values->maillog_file;

	return path[0] != '\0' && strcmp(path, "/dev/stdout") != 0;
}
