#include "queue/index/durable.h"

#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/io.h"
#include "queue/log/disk.h"

static int
sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[1024] = ".";
	int fd, status, number;

	if (slash &&
	    snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path) >= (int)sizeof(folder)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = disk.openat(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	status = disk.fsync(fd);
	number = errno;
	io_close(&fd);
	errno = number;
	return status;
}

static int
open_named(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;
	int fd;

	va_start(ap, flags);
	if (flags & O_CREAT)
		mode = (mode_t)va_arg(ap, int);
	va_end(ap);
	fd = disk.openat(AT_FDCWD, path, flags, mode);
	if (fd >= 0 && (flags & O_CREAT) && sync_parent(path) < 0)
		io_close(&fd);
	return fd;
}

static int
rename_named(const char *from, const char *to)
{
	return rename(from, to) < 0 ? -1 : sync_parent(to);
}

void
index_durable_names(void)
{
	db_env_set_func_open(open_named);
	db_env_set_func_rename(rename_named);
}
