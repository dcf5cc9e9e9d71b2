#include "queue/log/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int
real_openat(int dir, const char *name, int flags, mode_t mode)
{
	return openat(dir, name, flags, mode);
}

struct disk disk = {
    .openat = real_openat,
    .pread = pread,
    .pwrite = pwrite,
    .fdatasync = fdatasync,
    .fsync = fsync,
    .close = close,
    .unlinkat = unlinkat,
    .renameat = renameat,
    .ftruncate = ftruncate,
    .fstatvfs = fstatvfs,
};

int
disk_write_all(int fd, const void *bytes, size_t len, off_t offset)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = disk.pwrite(fd, p, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENOSPC;
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

ssize_t
disk_read_all(int fd, void *bytes, size_t len, off_t offset)
{
	char *p = bytes;
	size_t done = 0;

	while (done < len) {
		ssize_t n = disk.pread(fd, p + done, len - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}
