/*
 * Invariant 5: a segment goes only after a checkpoint of the index covers it. What the index wrote and did not sync is
 * known by Berkeley DB's own hooks; at the moment before a segment is erased there must be nothing of the kind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <db.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "queue/log/disk.h"
#include "queue/trouble.h"
#include "tests/unit/queue/world.h"

enum { FDS = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool unsynced[FDS];
static unsigned erased, too_early;
static bool full;
static _Atomic enum { TAKES, HOLDS, FAILS } index_mood;
static atomic_uint held;

int __real_index_apply(
    struct index *x, const struct index_change *changes, size_t count, uint64_t position, struct error *err);
int __wrap_index_apply(
    struct index *x, const struct index_change *changes, size_t count, uint64_t position, struct error *err);

/* In its place (the linker's --wrap): the disk is full, after a while. */
int
__wrap_index_apply(
    struct index *x, const struct index_change *changes, size_t count, uint64_t position, struct error *err)
{
	if (index_mood == TAKES || count == 0)
		return __real_index_apply(x, changes, count, position, err);
	held++;
	for (unsigned ms = 0; index_mood == HOLDS && ms < 15000; ms++)
		usleep(1000);
	errno = ENOSPC;
	return error_errno(err, "index");
}

static void
note(int fd, bool value)
{
	pthread_mutex_lock(&lock);
	if (fd >= 0 && fd < FDS)
		unsynced[fd] = value;
	pthread_mutex_unlock(&lock);
}

/* The disk has no room for pages; the index's own log is preallocated, as it were. */
static bool
is_refused(int fd)
{
	char link[40], path[200];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = full ? readlink(link, path, sizeof(path)) : 0;
	return n > 3 && memcmp(path + n - 3, ".db", 3) == 0;
}

static ssize_t
on_write(int fd, const void *bytes, size_t len)
{
	if (is_refused(fd)) {
		errno = ENOSPC;
		return -1;
	}
	note(fd, true);
	return write(fd, bytes, len);
}

static ssize_t
on_pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	note(fd, true);
	return pwrite(fd, bytes, len, offset);
}

static int
on_fsync(int fd)
{
	note(fd, false);
	return fsync(fd);
}

static int
on_close(int fd)
{
	note(fd, false);
	return close(fd);
}

static void
on_step(const char *name)
{
	if (strcmp(name, "free-before-erase") != 0)
		return;
	pthread_mutex_lock(&lock);
	erased++;
	for (int i = 0; i < FDS; i++)
		if (unsynced[i]) {
			too_early++;
			break;
		}
	pthread_mutex_unlock(&lock);
}

static void
test_5_a_segment_goes_after_a_checkpoint(void **state)
{
	struct world *w;
	char dir[64];

	(void)state;
	disk.step = on_step;
	w = world_open(NULL, "spool_segment_size = 256k\nminimal_backoff_time = 1000s\n"
			     "maximal_backoff_time = 1000s\nindex_delay = 0\n");
	snprintf(dir, sizeof(dir), "%s", w->dir);
	w->outcome = OUTCOME_DEFERRED;
	w->status = "4.2.0";
	for (int i = 0; i < 3; i++)
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 5000), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->jobs == 3));
	w->outcome = OUTCOME_DELIVERED;
	w->status = "2.0.0";
	for (int i = 0; i < 60; i++)
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 40000), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->delivered == 60 && w->queue.segment_count <= 6));
	assert_true(erased > 0);
	assert_int_equal(too_early, 0);
	disk.step = NULL;
	world_close(&w);
	world_remove(dir);
}

/* Of two messages the later came while the index failed to take the earlier: replay still begins at the earlier. */
static void
test_replay_begins_at_what_the_index_did_not_take(void **state)
{
	struct world *w = world_open(NULL, "minimal_backoff_time = 1000s\nmaximal_backoff_time = 1000s\n");
	uint64_t first, position, after;
	char dir[64];

	(void)state;
	snprintf(dir, sizeof(dir), "%s", w->dir);
	w->outcome = OUTCOME_DEFERRED;
	w->status = "4.2.0";
	assert_true(WORLD_UNTIL(w, !w->queue.recovery));
	held = 0;
	index_mood = HOLDS;
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	first = w->submit_id;
	position = message_find(&w->queue.live, first)->position;
	assert_true(WORLD_UNTIL(w, held > 0));
	assert_true(message_find(&w->queue.live, first)->indexing);
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	after = young_replay_position(&w->queue);
	index_mood = FAILS;
	assert_true(WORLD_UNTIL(w, trouble_is(&w->queue, TROUBLE_INDEX)));
	index_mood = TAKES;
	assert_true(after > position);
	assert_non_null(message_find(&w->queue.live, first));
	assert_true(young_replay_position(&w->queue) <= position);
	world_close(&w);
	world_remove(dir);
}

/* What memory believes to have failed would be stored again, or be forgotten, and come back from the index. */
static void
test_what_failed_is_not_in_the_index(void **state)
{
	struct part_envelope envelope = {.content_len = 1};
	struct index_change change = {.id = 1};
	char dir[] = "/tmp/queue-index-XXXXXX";
	struct error err = {.number = 0};
	struct index_row found;
	struct buf row, out;
	struct index *x;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_non_null(x = index_open(dir, 32 << 20, 1 << 20, &err));
	buf_init(&row, 1 << 20);
	buf_init(&out, 1 << 20);
	assert_int_equal(part_encode_envelope(&row, &envelope), 0);
	buf_append(&row, "\0\0\0\0", 4);
	for (int i = 0; i < 4000; i++)
		buf_append(&row, dir, sizeof(dir));
	change.row = buf_span(&row);
	full = true;
	while (index_apply(x, &change, 1, 0, &err) == 0 && change.id < 1000)
		change.id++;
	full = false;
	assert_int_equal(err.number, ENOSPC);
	assert_int_equal(index_load(x, change.id - 1, &out, &found, &err), 1);
	assert_int_equal(index_load(x, change.id, &out, &found, &err), 0);
	buf_free(&row);
	buf_free(&out);
	index_close(&x);
	world_remove(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_5_a_segment_goes_after_a_checkpoint),
	    cmocka_unit_test(test_replay_begins_at_what_the_index_did_not_take),
	    cmocka_unit_test(test_what_failed_is_not_in_the_index),
	};

	db_env_set_func_write(on_write);
	db_env_set_func_pwrite(on_pwrite);
	db_env_set_func_fsync(on_fsync);
	db_env_set_func_close(on_close);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
