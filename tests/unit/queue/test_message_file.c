/*
 * Messages with a file of their own: who touches it, and what becomes of them when it cannot be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "queue/log/disk.h"
#include "tests/unit/queue/world.h"

enum { LARGE = 200000, LIMIT = 150000 };

static const char settings[] =
    "spool_inline_limit = 100000\nbounce_size_limit = 150000\nminimal_backoff_time = 1000s\n";

static struct disk real;
static pthread_t loop;
static atomic_uint reads_in_loop, reads;
static atomic_bool reads_fail;
static atomic_bool hold_sync, sync_is_held, hold_open, open_is_held;
static atomic_int files_dir, file, create_errno, write_errno; /* of message files; 0: it works */

static ssize_t
fake_pread(int fd, void *bytes, size_t len, off_t offset)
{
	if (pthread_equal(pthread_self(), loop))
		reads_in_loop++;
	reads++;
	if (reads_fail) {
		errno = EIO;
		return -1;
	}
	return real.pread(fd, bytes, len, offset);
}

static int
fake_openat(int dir, const char *name, int flags, mode_t mode)
{
	int fd;

	if (dir != files_dir || !(flags & (O_CREAT | O_TMPFILE))) {
		for (; hold_open && dir == files_dir; usleep(1000))
			open_is_held = true;
		return real.openat(dir, name, flags, mode);
	}
	if (create_errno != 0) {
		errno = create_errno;
		return -1;
	}
	fd = real.openat(dir, name, flags, mode);
	file = fd;
	return fd;
}

static ssize_t
fake_pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	if (write_errno != 0 && fd == file) {
		errno = write_errno;
		return -1;
	}
	return real.pwrite(fd, bytes, len, offset);
}

static int
fake_fsync(int fd)
{
	for (; hold_sync && fd == file; usleep(1000))
		sync_is_held = true;
	return real.fsync(fd);
}

static int
set_up(void **state)
{
	(void)state;
	real = disk;
	disk.pread = fake_pread;
	disk.openat = fake_openat;
	disk.pwrite = fake_pwrite;
	disk.fsync = fake_fsync;
	file = -1;
	loop = pthread_self();
	reads_fail = false;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	disk = real;
	return 0;
}

static struct world *
open_failing(void)
{
	struct world *w = world_open(NULL, settings);

	w->outcome = OUTCOME_BOUNCED;
	w->status = "5.1.1";
	w->text = "550 no such user";
	return w;
}

static void
finish(struct world **w)
{
	char dir[sizeof((*w)->dir)];

	memcpy(dir, (*w)->dir, sizeof(dir));
	world_close(w);
	world_remove(dir);
}

static void
test_a_report_has_the_content_and_the_loop_reads_none_of_it(void **state)
{
	struct world *w = open_failing();

	(void)state;
	reads = reads_in_loop = 0;
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, LARGE), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->queue.live.count == 0));
	assert_int_equal(w->notifications, 1);
	assert_int_equal(w->reported_octets, LIMIT);
	assert_true(reads > 0);
	assert_int_equal(reads_in_loop, 0);
	finish(&w);
}

static void
test_a_report_is_made_without_a_content_that_cannot_be_read(void **state)
{
	struct world *w = open_failing();

	(void)state;
	reads_fail = true;
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, LARGE), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->queue.live.count == 0));
	assert_int_equal(w->notifications, 1);
	assert_int_equal(w->reported_octets, 0);
	reads_fail = false;
	finish(&w);
}

/* By "postern status". */
static bool
is_told(struct world *w)
{
	struct buf b;
	bool told;

	buf_init(&b, 1000);
	trouble_print(&w->queue, &b);
	told = b.len > 0;
	assert_true(!told || strstr(buf_text(&b), "large messages are refused: "));
	buf_free(&b);
	return told;
}

static void
test_that_large_messages_are_refused_is_told_until_it_is_over(void **state)
{
	static const struct {
		const char *name;
		atomic_int *fails;
		int number;
		const char *told;
	} rows[] = {
	    {"no inodes", &create_errno, ENOSPC, "creating a message file: No space left on device"},
	    {"a quota", &write_errno, EDQUOT, "writing a message file: Disk quota exceeded"},
	    {"a limit of file sizes", &write_errno, EFBIG, "writing a message file: File too large"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world *w = world_open(NULL, settings);

		files_dir = w->queue.files_dir;
		*rows[i].fails = rows[i].number;
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, LARGE), SUBMIT_NO_SPACE);
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
		assert_string_equal(w->queue.trouble[TROUBLE_FILES].text, rows[i].told);
		assert_true(is_told(w));
		/* It is tried again meanwhile. */
		file_trouble_check(&w->queue);
		assert_true(w->queue.probing && WORLD_UNTIL(w, !w->queue.probing) && is_told(w));
		*rows[i].fails = 0;
		file_trouble_check(&w->queue);
		assert_true(WORLD_UNTIL(w, !w->queue.probing) && !is_told(w));
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, LARGE), SUBMIT_OK);
		files_dir = -1;
		finish(&w);
	}
}

static void
test_a_disk_that_gives_no_answer(void **state)
{
	struct world *w = world_open(NULL, settings);

	(void)state;
	files_dir = w->queue.files_dir;
	hold_sync = true;
	world_send(w, 0, "s@here.test", 1, LARGE, 0);
	assert_true(WORLD_UNTIL(w, sync_is_held));
	file_trouble_check(&w->queue);
	submission_give_up(&w->queue);
	assert_false(is_told(w));
	/* After a while it is refused, as is whoever else needs the disk; others are not. */
	w->queue.helper.moved_us -= 21 * US_PER_SECOND;
	file_trouble_check(&w->queue);
	submission_give_up(&w->queue);
	assert_true(is_told(w));
	assert_true(WORLD_UNTIL(w, w->answered));
	assert_int_equal(w->submit_status, SUBMIT_NO_SPACE);
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, LARGE), SUBMIT_NO_SPACE);
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	hold_sync = false;
	assert_true(WORLD_UNTIL(w, w->queue.helper.pending == 0 && w->queue.submissions == 0));
	file_trouble_check(&w->queue);
	assert_true(WORLD_UNTIL(w, !w->queue.probing) && !is_told(w));
	assert_true(WORLD_UNTIL(w, w->queue.live.count == 0));
	assert_int_equal(w->delivered, 1);
	assert_int_equal(rmdir("messages"), 0); /* nothing is left in it */
	files_dir = -1;
	finish(&w);
}

/* An operator was quicker than the disk. */
static void
test_what_was_deleted_or_held_while_its_file_was_opened_is_not_sent(void **state)
{
	(void)state;
	for (unsigned held = 0; held < 2; held++) {
		struct world *w = world_open(NULL, settings);
		struct queue *q = &w->queue;
		struct message *m;

		files_dir = q->files_dir;
		open_is_held = false;
		hold_open = true;
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, LARGE), SUBMIT_OK);
		assert_true(WORLD_UNTIL(w, open_is_held));
		m = message_find(&q->live, w->submit_id);
		assert_non_null(m);
		if (held) {
			message_hold(m, true, SPAN_LIT("later"), SPAN_LIT("me"), 0);
			journal_hold(q, m);
		} else {
			journal_remove(q, m, REMOVAL_DELETED);
		}
		journal_kick(q);
		hold_open = false;
		if (held)
			assert_true(WORLD_UNTIL(w, m->jobs == 0 && q->helper.pending == 0));
		else
			assert_true(WORLD_UNTIL(w, q->live.count == 0));
		assert_int_equal(w->jobs, 0);
		files_dir = -1;
		finish(&w);
	}
}

/* A fifo in the place of a file would keep whoever opens it, and all who wait for him. */
static void
test_what_lies_in_the_place_of_a_file_holds_up_nobody(void **state)
{
	struct world *w = world_open(NULL, settings);
	char name[32];

	(void)state;
	files_dir = w->queue.files_dir;
	open_is_held = false;
	hold_open = true;
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, LARGE), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, open_is_held));
	content_file_name(w->submit_id, name);
	assert_int_equal(unlinkat(files_dir, name, 0), 0);
	assert_int_equal(mkfifoat(files_dir, name, 0600), 0);
	hold_open = false;
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, LARGE), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->delivered == 1));
	assert_int_equal(w->delivered_ids[0], w->submit_id);
	files_dir = -1;
	finish(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		test_a_report_has_the_content_and_the_loop_reads_none_of_it, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_a_report_is_made_without_a_content_that_cannot_be_read, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_that_large_messages_are_refused_is_told_until_it_is_over, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_a_disk_that_gives_no_answer, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_what_was_deleted_or_held_while_its_file_was_opened_is_not_sent, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_what_lies_in_the_place_of_a_file_holds_up_nobody, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
