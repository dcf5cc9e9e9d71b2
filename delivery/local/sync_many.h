/*
 * sync_many: several files synced side by side.
 *
 * Disks flush for all that wait at the same moment, and journals commit for them once; twenty calls of fsync() one after the
 * other are twenty flushes or more. Here the kernel does them at once (Linux AIO, 4.18 and newer); where it does not, because it is
 * older or a container forbids it, they are done one after the other.
 */
#ifndef POSTERN_LOCAL_SYNC_MANY_H
#define POSTERN_LOCAL_SYNC_MANY_H

#include <stddef.h>

enum { SYNC_MANY_MAX = 64 };

/*
 * fsync() of count (at most SYNC_MANY_MAX) files. failed[i]: 0, or the errno of fds[i]. Returns how many of them were done side by
 * side. In a process with seccomp the four calls need SANDBOX_SYNC_MANY.
 */
size_t sync_many(const int *fds, size_t count, int *failed);

#endif
