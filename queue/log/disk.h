/*
 * disk: the system calls by which the spool touches the disk, as one table.
 *
 * Tests put in a table of their own in which the n-th call fails, writes less, or ends the process: so every way in
 * which a disk can fail is walked through. Nothing else in queue/ calls these directly (Berkeley DB has its own).
 */
#ifndef POSTERN_QUEUE_DISK_H
#define POSTERN_QUEUE_DISK_H

#include <stddef.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct disk {
	int (*openat)(int dir, const char *name, int flags, mode_t mode);
	ssize_t (*pread)(int fd, void *bytes, size_t len, off_t offset);
	ssize_t (*pwrite)(int fd, const void *bytes, size_t len, off_t offset);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd);
	int (*close)(int fd);
	int (*unlinkat)(int dir, const char *name, int flags);
	int (*renameat)(int from_dir, const char *from, int to_dir, const char *to);
	int (*ftruncate)(int fd, off_t length);
	int (*fstatvfs)(int fd, struct statvfs *st);
	void (*step)(const char *name); /* a named place where tests kill the process; NULL: none */
};

extern struct disk disk;

/* All of it, EINTR and short counts dealt with. -1 with errno set. */
int disk_write_all(int fd, const void *bytes, size_t len, off_t offset);

/* Up to len octets: less only at the end of the file. -1 with errno set. */
ssize_t disk_read_all(int fd, void *bytes, size_t len, off_t offset);

static inline void
disk_step(const char *name)
{
	if (disk.step)
		disk.step(name);
}

#endif
