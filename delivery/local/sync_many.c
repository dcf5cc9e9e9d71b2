#include "delivery/local/sync_many.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/mem.h"

/* Once per process. */
static struct {
	bool asked;
	aio_context_t context; /* 0: there is none */
} kernel;

static bool
is_available(void)
{
	if (!kernel.asked && syscall(SYS_io_setup, SYNC_MANY_MAX, &kernel.context) < 0)
		kernel.context = 0;
	kernel.asked = true;
	return kernel.context != 0;
}

/*
 * All data is written before the first file is synced: whose blocks came later would miss the journal's commit, and need another.
 * An error that is seen here is not told again by fsync(). A system without the call does without.
 */
static void
write_out(const int *fds, size_t count, int *failed)
{
	for (size_t i = 0; i < count; i++)
		failed[i] = sync_file_range(fds[i], 0, 0, SYNC_FILE_RANGE_WRITE) < 0 ? errno : 0;
	for (size_t i = 0; i < count; i++) {
		if (sync_file_range(fds[i], 0, 0, SYNC_FILE_RANGE_WAIT_AFTER) < 0)
			failed[i] = errno;
		if (failed[i] == ENOSYS || failed[i] == EPERM)
			failed[i] = 0;
	}
}

/* Returns how many the kernel has taken: the first ones. */
static size_t
submit(const int *fds, size_t count)
{
	struct iocb requests[SYNC_MANY_MAX], *list[SYNC_MANY_MAX];
	size_t taken = 0;

	memset(requests, 0, count * sizeof(requests[0]));
	for (size_t i = 0; i < count; i++) {
		requests[i].aio_lio_opcode = IOCB_CMD_FSYNC;
		requests[i].aio_fildes = (uint32_t)fds[i];
		requests[i].aio_data = i;
		list[i] = &requests[i];
	}
	while (taken < count) {
		long n = syscall(SYS_io_submit, kernel.context, (long)(count - taken), &list[taken]);

		if (n <= 0)
			break;
		taken += (size_t)n;
	}
	return taken;
}

/* io_destroy() waits for what is under way; what it came to was never told, and is a failure. */
static void
give_up(void)
{
	syscall(SYS_io_destroy, kernel.context);
	kernel.context = 0;
}

static void
collect(size_t taken, int *failed)
{
	struct io_event events[SYNC_MANY_MAX];

	for (size_t i = 0; i < taken; i++)
		failed[i] = EIO;
	while (taken > 0) {
		long n = syscall(SYS_io_getevents, kernel.context, (long)taken, (long)taken, events, NULL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			give_up();
			return;
		}
		for (long i = 0; i < n; i++)
			failed[events[i].data] = events[i].res < 0 ? (int)-events[i].res : 0;
		taken -= (size_t)n;
	}
}

size_t
sync_many(const int *fds, size_t count, int *failed)
{
	int written[SYNC_MANY_MAX] = {0};
	size_t taken = 0;

	if (count > SYNC_MANY_MAX)
		panic("%zu files to be synced at once", count);
	if (count > 1 && is_available()) {
		write_out(fds, count, written);
		taken = submit(fds, count);
		collect(taken, failed);
	}
	for (size_t i = taken; i < count; i++)
		failed[i] = fsync(fds[i]) < 0 ? errno : 0;
	for (size_t i = 0; i < count; i++)
		failed[i] = failed[i] ? failed[i] : written[i];
	return taken;
}
