/*
 * What the log takes of the disk, whatever goes in whatever order: twice the live mail and four segments (issue 3, 6).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "queue/log/disk.h"
#include "tests/unit/queue/world.h"

enum { SEGMENT = 256 << 10, OCTETS = 12000, HEAD = 400, MESSAGES = 400, STEP = 40 };

static const char settings[] = "spool_segment_size = 256k\nqueue_sync = no\nminimal_backoff_time = 1000s\n"
			       "maximal_backoff_time = 1000s\nindex_delay = 0\n";

static uint64_t
disk_in_use(void)
{
	DIR *d = opendir("segments");
	const struct dirent *e;
	uint64_t octets = 0;
	struct stat st;

	while (d && (e = readdir(d)))
		if (fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
			octets += (uint64_t)st.st_blocks * 512;
	closedir(d);
	return octets;
}

/* As it is a while later. */
static bool
is_within(struct world *w, size_t live)
{
	w->queue.begun_us = 0;
	young_tick(&w->queue);
	space_check(&w->queue);
	return disk_in_use() <= 2 * (uint64_t)live * (OCTETS + HEAD) + 4 * SEGMENT;
}

static void
remove_it(struct queue *q, struct message *m, void *context)
{
	(void)context;
	assert_non_null(m);
	journal_remove(q, m, REMOVAL_DELETED);
	journal_kick(q);
}

enum order { OLDEST, NEWEST, EVERY_OTHER, DICE };

static size_t
next_of(const uint64_t *ids, size_t count, enum order order, unsigned n)
{
	(void)ids;
	switch (order) {
	case OLDEST:
		return 0;
	case NEWEST:
		return count - 1;
	case EVERY_OTHER:
		return n % count;
	default:
		return (size_t)rand() % count;
	}
}

static void
play(enum order order)
{
	struct world *w = world_open(NULL, settings);
	uint64_t ids[MESSAGES], most = 0;
	size_t count = 0;
	char dir[64];

	snprintf(dir, sizeof(dir), "%s", w->dir);
	w->outcome = OUTCOME_DEFERRED;
	w->status = "4.2.0";
	for (; count < MESSAGES; count++) {
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, OCTETS), SUBMIT_OK);
		ids[count] = w->submit_id;
	}
	assert_true(WORLD_UNTIL(w, w->jobs == MESSAGES));
	for (unsigned n = 0; count > 0; n++) {
		size_t at = next_of(ids, count, order, n);

		young_get(&w->queue, ids[at], remove_it, NULL);
		memmove(&ids[at], &ids[at + 1], (--count - at) * sizeof(ids[0]));
		if (n % STEP != STEP - 1)
			continue;
		if (!WORLD_UNTIL(w, is_within(w, count)))
			fail_msg("order %d: %zu messages left, %llu segments", order, count,
			    (unsigned long long)(disk_in_use() / SEGMENT));
		if (disk_in_use() > most)
			most = disk_in_use();
	}
	assert_true(most > 4 * SEGMENT);
	world_close(&w);
	world_remove(dir);
}

static void
test_the_log_stays_small_whatever_goes_first(void **state)
{
	(void)state;
	srand(3);
	for (int order = OLDEST; order <= DICE; order++)
		play((enum order)order);
}

/* Their records are all head: what lives is not moved for ever because its content is short. */
static void
test_lists_are_left_where_they_are(void **state)
{
	struct world *w;
	uint64_t before;
	char dir[64];

	(void)state;
	world_without_delivery = true;
	w = world_open(NULL, settings);
	snprintf(dir, sizeof(dir), "%s", w->dir);
	for (int i = 0; i < 40; i++)
		assert_int_equal(world_submit(w, 0, "s@here.test", 400, 100), SUBMIT_OK);
	assert_true(w->queue.segment_count > 4);
	before = w->queue.durable;
	for (int i = 0; i < 20; i++) {
		(void)is_within(w, 0);
		world_turn(w, 20);
	}
	assert_int_equal(w->queue.durable, before);
	world_without_delivery = false;
	world_close(&w);
	world_remove(dir);
}

/* Mail that comes and goes uses the same few slots again, without a second's wait: making one costs what its mail costs. */
static void
test_slots_are_used_again_at_once(void **state)
{
	struct world *w = world_open(NULL, settings);
	char dir[64];

	(void)state;
	snprintf(dir, sizeof(dir), "%s", w->dir);
	w->status = "2.0.0";
	for (unsigned i = 1; i <= 300; i++) {
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, OCTETS), SUBMIT_OK);
		assert_true(WORLD_UNTIL(w, w->delivered == i && !w->queue.freeing));
	}
	assert_true(w->queue.durable > 10 * SEGMENT);
	assert_in_range(w->queue.next_slot, 2, 5);
	world_close(&w);
	world_remove(dir);
}

static unsigned refused;

/* Of a header that is erased. */
static ssize_t
refuse_erasing(int fd, const void *bytes, size_t len, off_t offset)
{
	static const char zeros[SEGMENT_HEADER_SIZE];

	if (offset == 0 && len == sizeof(zeros) && memcmp(bytes, zeros, len) == 0) {
		refused++;
		errno = EIO;
		return -1;
	}
	return pwrite(fd, bytes, len, offset);
}

/* A bad sector: each message that leaves would try it again, with a checkpoint of the index and a line in the log. */
static void
test_what_cannot_be_freed_is_tried_each_second(void **state)
{
	struct world *w = world_open(NULL, settings);
	int64_t begun_us = clock_mono_us(), seconds;
	char dir[64];

	(void)state;
	snprintf(dir, sizeof(dir), "%s", w->dir);
	disk.pwrite = refuse_erasing;
	for (unsigned i = 1; i <= 200; i++) {
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, OCTETS), SUBMIT_OK);
		assert_true(WORLD_UNTIL(w, w->delivered == i && !w->queue.freeing));
	}
	seconds = (clock_mono_us() - begun_us) / US_PER_SECOND;
	assert_in_range(refused, 1, 2 + seconds);
	disk.pwrite = pwrite;
	assert_true(WORLD_UNTIL(w, w->queue.segment_count <= 2));
	world_close(&w);
	world_remove(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_log_stays_small_whatever_goes_first),
	    cmocka_unit_test(test_lists_are_left_where_they_are),
	    cmocka_unit_test(test_slots_are_used_again_at_once),
	    cmocka_unit_test(test_what_cannot_be_freed_is_tried_each_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
