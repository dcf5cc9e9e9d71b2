#include "queue/index/durable.h"

#include <db.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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
	/* A fifo in the place of a file is found to be no table, and keeps nobody waiting. */
	fd = disk.openat(AT_FDCWD, path, flags | O_NONBLOCK, mode);
	if (fd >= 0 && (flags & O_CREAT) && sync_parent(path) < 0)
		io_close(&fd);
	return fd;
}

static int
rename_named(const char *from, const char *to)
{
	return rename(from, to) < 0 ? -1 : sync_parent(to);
}

static int
sync_file(int dir, const char *name, struct error *err)
{
	int fd = disk.openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
	int status = fd < 0 ? -1 : disk.fdatasync(fd);

	if (status < 0)
		error_errno(err, "index: syncing %s", name);
	if (fd >= 0)
		io_close(&fd);
	return status;
}

/* lost+found, say: it is not the index's, and may be nobody's to open. */
static bool
is_directory(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

int
index_durable_content(const char *dir, struct error *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int status = 0;

	if (!d)
		return error_errno(err, "index: opening %s", dir);
	while (status == 0 && (e = readdir(d)))
		if (e->d_name[0] != '.' && !is_directory(dirfd(d), e->d_name))
			status = sync_file(dirfd(d), e->d_name, err);
	closedir(d);
	return status;
}

void
index_durable_names(void)
{
	db_env_set_func_open(open_named);
	db_env_set_func_rename(rename_named);
}
