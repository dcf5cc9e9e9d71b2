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
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "queue/log/disk.h"
#include "tests/unit/queue/world.h"

enum { LARGE = 200000, LIMIT = 150000 };

static const char settings[] =
    "spool_inline_limit = 100000\nbounce_size_limit = 150000\nminimal_backoff_time = 1000s\n";

static struct disk real;
static pthread_t loop;
static atomic_uint reads_in_loop, reads;
static atomic_bool reads_fail;

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
set_up(void **state)
{
	(void)state;
	real = disk;
	disk.pread = fake_pread;
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		test_a_report_has_the_content_and_the_loop_reads_none_of_it, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_a_report_is_made_without_a_content_that_cannot_be_read, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
