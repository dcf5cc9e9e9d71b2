/*
 * io: system calls finished: short counts and EINTR are dealt with here, and nowhere else.
 */
#ifndef POSTERN_BASE_IO_H
#define POSTERN_BASE_IO_H

#include <stddef.h>
#include <sys/types.h>

/* All of it, or -1 with errno set. For files and blocking descriptors only. */
int io_write_all(int fd, const void *bytes, size_t len);
int io_pwrite_all(int fd, const void *bytes, size_t len, off_t offset);

/* Up to len bytes: less only at the end of the file. -1 with errno set. */
ssize_t io_read_all(int fd, void *bytes, size_t len);
ssize_t io_pread_all(int fd, void *bytes, size_t len, off_t offset);

/* Both return -1 with errno set. */
int io_set_nonblocking(int fd);
int io_set_cloexec(int fd, int on);

/* Closes *fd if it is not negative and sets it to -1. EINTR counts as closed (Linux). -1 if close() told of an error. */
int io_close(int *fd);

#endif
