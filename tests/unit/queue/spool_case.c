#include "tests/unit/queue/spool_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "queue/log/disk.h"

static struct disk real;
struct spool_disk spool_disk;

/* What was written since the last sync: lost when that fails, as kernels do. */
static struct lost {
	int fd;
	off_t offset;
	size_t len;
	char before[8192];
} unsynced[64];
static size_t unsynced_count;

bool
spool_hits(atomic_int *countdown)
{
	int n = atomic_load(countdown);

	return n > 0 && atomic_fetch_sub(countdown, 1) == 1;
}

static ssize_t
fake_pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	spool_disk.writes++;
	if (spool_hits(&spool_disk.fail_write)) {
		errno = spool_disk.fail_errno;
		return -1;
	}
	len = len > 4096 ? len / 2 : len; /* short spool_disk.writes are usual here */
	if (spool_disk.watch_lost && unsynced_count < 64 && len <= sizeof(unsynced[0].before)) {
		struct lost *l = &unsynced[unsynced_count++];

		l->fd = fd;
		l->offset = offset;
		l->len = len;
		(void)!real.pread(fd, l->before, len, offset);
	}
	return real.pwrite(fd, bytes, len, offset);
}

static int
fake_fdatasync(int fd)
{
	while (spool_disk.hold_sync)
		usleep(1000);
	if (spool_hits(&spool_disk.fail_sync)) {
		while (unsynced_count > 0) {
			const struct lost *l = &unsynced[--unsynced_count];

			(void)!real.pwrite(l->fd, l->before, l->len, l->offset);
		}
		errno = spool_disk.fail_errno;
		return -1;
	}
	unsynced_count = 0;
	spool_disk.syncs++;
	return real.fdatasync(fd);
}

int
spool_set_up(void **state)
{
	(void)state;
	real = disk;
	disk.pwrite = fake_pwrite;
	disk.fdatasync = fake_fdatasync;
	spool_disk.fail_write = spool_disk.fail_sync = 0;
	spool_disk.hold_sync = spool_disk.watch_lost = world_without_delivery = false;
	unsynced_count = 0;
	return 0;
}

int
spool_tear_down(void **state)
{
	(void)state;
	disk = real;
	return 0;
}

void
spool_reopen(struct world **w, const char *settings)
{
	char dir[64];

	snprintf(dir, sizeof(dir), "%s", (*w)->dir);
	world_close(w);
	*w = world_open(dir, settings);
}

void
spool_finish(struct world **w)
{
	char dir[64];

	snprintf(dir, sizeof(dir), "%s", (*w)->dir);
	world_close(w);
	world_remove(dir);
}

struct message *
spool_only_message(struct world *w)
{
	size_t count;
	uint64_t *ids = message_ids(&w->queue.live, &count);
	struct message *m = count == 1 ? message_find(&w->queue.live, ids[0]) : NULL;

	free(ids);
	return m;
}

static size_t found_count;
uint64_t spool_found[64];

static bool
count_row(const struct index_row *row, void *context)
{
	struct world *w = context;
	struct message *m = message_find(&w->queue.live, row->id);

	if (!m || !m->removed)
		spool_found[found_count++ % 64] = row->id;
	return true;
}

size_t
spool_in_queue(struct world *w)
{
	struct error err;
	size_t count;
	uint64_t *ids;

	WORLD_UNTIL(w, !w->queue.storing && w->queue.indexer.pending == 0);
	found_count = 0;
	assert_int_equal(index_each(w->queue.index, 0, count_row, w, &err), 0);
	ids = message_ids(&w->queue.live, &count);
	for (size_t i = 0; i < count; i++) {
		struct message *m = message_find(&w->queue.live, ids[i]);

		if (!m->indexed && !m->removed)
			spool_found[found_count++ % 64] = m->id;
	}
	free(ids);
	return found_count;
}
