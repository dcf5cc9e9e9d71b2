#include "queue/index/room.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "queue/log/disk.h"

enum { LEAST = 64 << 10 };

static const char name[] = "room";

void
room_keep(size_t octets)
{
	struct stat st;
	int fd;

	if (stat(name, &st) == 0 && st.st_blocks * 512 >= (off_t)octets)
		return;
	fd = disk.openat(AT_FDCWD, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	while (octets >= LEAST && posix_fallocate(fd, 0, (off_t)octets) != 0)
		octets /= 2;
	disk.close(fd);
}

bool
room_give(void)
{
	return disk.unlinkat(AT_FDCWD, name, 0) == 0;
}
