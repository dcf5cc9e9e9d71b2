#include "queue/log/damage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "queue/log/disk.h"

enum { KEPT_MAX = 1000, PIECE = 65536, ONE_MAX = 32 << 20 };

unsigned
damage_count(int damaged_dir)
{
	int fd = damaged_dir < 0 ? -1 : disk.openat(damaged_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	unsigned count = 0;

	while (d && count < KEPT_MAX && (e = readdir(d)))
		count += e->d_name[0] != '.' && e->d_type != DT_DIR; /* lost+found */
	if (d)
		closedir(d);
	else if (fd >= 0)
		disk.close(fd);
	return count;
}

static int
copy(const struct segment *s, int fd, uint64_t offset, uint64_t len)
{
	char *piece = mem_alloc(PIECE);
	int status = 0;

	for (uint64_t done = 0; done < len && status == 0;) {
		size_t want = len - done < PIECE ? (size_t)(len - done) : PIECE;
		ssize_t n = disk_read_all(s->fd, piece, want, (off_t)(offset + done));

		if (n <= 0)
			break;
		status = disk_write_all(fd, piece, (size_t)n, (off_t)done);
		done += (uint64_t)n;
	}
	free(piece);
	return status;
}

bool
damage_keep(int damaged_dir, const struct segment *s, uint64_t position, uint64_t len)
{
	char name[64];
	int fd;

	if (damage_count(damaged_dir) >= KEPT_MAX)
		return true; /* reported, not kept */
	snprintf(name, sizeof(name), "record-%020llu", (unsigned long long)position);
	fd = disk.openat(damaged_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno != EEXIST;
	(void)copy(s, fd, position - s->first, len < ONE_MAX ? len : ONE_MAX);
	disk.close(fd);
	return true;
}

bool
damage_move(int dir, const char *name, int damaged_dir, const char *new_name)
{
	return disk.renameat(dir, name, damaged_dir, new_name) == 0;
}
