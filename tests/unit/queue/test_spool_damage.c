/*
 * What the spool makes of an index that is lost or damaged, a torn log, and calls that fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/mail/queue_id.h"
#include "queue/log/disk.h"
#include "queue/log/segment.h"
#include "tests/unit/queue/spool_case.h"

static void
remove_index(const char *dir)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/index", dir);
	world_remove(path);
}

static void
test_a_lost_index_is_rebuilt_with_outcomes_known(void **state)
{
	struct world *w = world_open(NULL, "minimal_backoff_time = 100s\n");
	char dir[64];

	(void)state;
	w->outcome = OUTCOME_DEFERRED;
	w->status = "4.2.0";
	for (int i = 0; i < 10; i++)
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	w->outcome = OUTCOME_DELIVERED;
	snprintf(dir, sizeof(dir), "%s", w->dir);
	assert_true(WORLD_UNTIL(w, w->jobs == 10));
	world_close(&w);
	remove_index(dir);
	w = world_open(dir, "minimal_backoff_time = 100s\n");
	assert_int_equal(spool_in_queue(w), 10);
	for (int i = 0; i < 10; i++)
		world_turn(w, 20);
	assert_int_equal(w->jobs, 0); /* nothing is tried before its time because the index was lost */
	spool_finish(&w);
}

static void
corrupt_files(const char *dir, const char *below, size_t every)
{
	char path[400];
	DIR *d;
	struct dirent *e;

	snprintf(path, sizeof(path), "%s/%s", dir, below);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		char byte;
		struct stat st;
		int fd = openat(dirfd(d), e->d_name, O_RDWR);

		if (fd < 0)
			continue;
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
			for (off_t at = 100; at < st.st_size; at += (off_t)every)
				if (pread(fd, &byte, 1, at) == 1) {
					byte = (char)~byte;
					(void)!pwrite(fd, &byte, 1, at);
				}
		close(fd);
	}
	if (d)
		closedir(d);
}

static void
test_a_damaged_index_is_rebuilt(void **state)
{
	struct world *w = world_open(NULL, "minimal_backoff_time = 100s\n");
	char dir[64];

	(void)state;
	w->outcome = OUTCOME_DEFERRED;
	w->status = "4.2.0";
	for (int i = 0; i < 5; i++)
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->jobs == 5));
	snprintf(dir, sizeof(dir), "%s", w->dir);
	world_close(&w);
	corrupt_files(dir, "index", 300);
	w = world_open(dir, "minimal_backoff_time = 100s\n");
	assert_int_equal(spool_in_queue(w), 5);
	spool_finish(&w);
}

static unsigned
count_files(const char *dir, const char *below, const char *prefix)
{
	char path[128];
	struct dirent *e;
	unsigned count = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", dir, below);
	d = opendir(path);
	while (d && (e = readdir(d)))
		count += e->d_name[0] != '.' && strncmp(e->d_name, prefix, strlen(prefix)) == 0;
	if (d)
		closedir(d);
	return count;
}

/* ---- the tail, and damage ---- */

static off_t
last_octet(const char *path)
{
	int fd = open(path, O_RDONLY);
	char byte = 0;
	off_t at = lseek(fd, 0, SEEK_END);

	while (at > 0 && pread(fd, &byte, 1, at - 1) == 1 && byte == 0)
		at--;
	close(fd);
	return at;
}

static void
test_a_torn_tail_takes_nothing_else_along(void **state)
{
	struct world *w = world_open(NULL, "minimal_backoff_time = 100s\n");
	char dir[64], path[128];
	off_t whole, end;
	int fd;

	(void)state;
	w->no_delivery = world_without_delivery = true;
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	snprintf(dir, sizeof(dir), "%s", w->dir);
	snprintf(path, sizeof(path), "%s/segments/000000", dir);
	whole = last_octet(path);
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	end = last_octet(path);
	assert_true(end > whole + 100);
	world_close(&w);
	/* The disk as a power cut may leave it, were the second record never synced. From the back, octet by octet. */
	for (off_t at = end; at > whole; at--) {
		struct segment s;
		struct error err;

		fd = open(path, O_WRONLY);
		assert_int_equal(pwrite(fd, "", 1, at - 1), 1);
		close(fd);
		if ((end - at) % 37 != 0 && at != whole + 1)
			continue;
		fd = open(dir, O_RDONLY);
		assert_int_equal(segment_open(open("segments", O_RDONLY), 0, &s, &err), 1);
		close(s.fd);
		close(fd);
		remove_index(dir);
		w = world_open(dir, "minimal_backoff_time = 100s\n");
		assert_in_range(spool_in_queue(w), 1, 2);
		world_close(&w);
	}
	w = world_open(dir, "");
	assert_int_equal(spool_in_queue(w), 1);
	spool_finish(&w);
}

static void
test_a_damaged_message_is_set_aside_alone(void **state)
{
	struct world *w = world_open(NULL, "minimal_backoff_time = 100s\n");
	char dir[64], path[128], byte;
	off_t middle = 0;
	unsigned damaged = 0;
	struct dirent *e;
	DIR *d;
	int fd;

	(void)state;
	w->no_delivery = world_without_delivery = true;
	snprintf(dir, sizeof(dir), "%s", w->dir);
	snprintf(path, sizeof(path), "%s/segments/000000", dir);
	assert_int_equal(mkdir("damaged/lost+found", 0700), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 1000), SUBMIT_OK);
		if (i == 1)
			middle = last_octet(path) - 500; /* in its content */
	}
	world_close(&w);
	fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, &byte, 1, middle), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, middle), 1);
	close(fd);
	remove_index(dir);
	w = world_open(dir, "minimal_backoff_time = 100s\n");
	assert_int_equal(spool_in_queue(w), 2);
	assert_int_equal(w->queue.damages, 1);
	assert_int_equal(rmdir("damaged/lost+found"), 0);
	d = opendir("damaged");
	while ((e = readdir(d)))
		damaged += strncmp(e->d_name, "record-", 7) == 0;
	closedir(d);
	assert_int_equal(damaged, 1);
	spool_finish(&w);
}

static bool
are_moved(const struct world *w)
{
	for (size_t i = 0; i < w->queue.segment_count; i++)
		if (w->queue.segments[i].gone && w->queue.segments[i].messages > 0)
			return false;
	return w->queue.deleted > 0;
}

/* An administrator gave a segment the last name that there is. */
static void
test_behind_the_last_slot_the_first_free_one_is_used(void **state)
{
	static const char settings[] = "spool_segment_size = 256k\nminimal_backoff_time = 1000s\n";
	struct world *w = world_open(NULL, settings);

	(void)state;
	w->no_delivery = world_without_delivery = true;
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 1000), SUBMIT_OK);
	assert_int_equal(rename("segments/000000", "segments/999999"), 0);
	spool_reopen(&w, settings);
	for (int i = 0; i < 30; i++)
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 40000), SUBMIT_OK);
	spool_reopen(&w, settings);
	assert_int_equal(spool_in_queue(w), 31);
	spool_finish(&w);
}

/* While their files are open nothing is lost: what lives in them is moved, and nobody is promised that it is in them. */
static void
test_segments_that_are_deleted_under_a_queue_lose_nothing(void **state)
{
	static const char settings[] = "spool_segment_size = 256k\nminimal_backoff_time = 1000s\n"
				       "maximal_backoff_time = 1000s\nindex_delay = 0\n";
	struct world *w = world_open(NULL, settings);
	unsigned accepted = 0;
	char dir[64];
	DIR *d;
	struct dirent *e;

	(void)state;
	snprintf(dir, sizeof(dir), "%s", w->dir);
	w->outcome = OUTCOME_DEFERRED;
	w->status = "4.2.0";
	for (int i = 0; i < 20; i++)
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 40000), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->jobs == 20 && w->queue.live.count == 0));
	d = opendir("segments");
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
	closedir(d);
	usleep(60000); /* the writer looks every 50 ms */
	for (int i = 0; i < 10; i++)
		accepted += world_submit(w, 0, "s@here.test", 1, 20000) == SUBMIT_OK;
	assert_in_range(accepted, 1, 9); /* what went to the file that was deleted was refused */
	assert_true(WORLD_UNTIL(w, are_moved(w)));
	assert_non_null(strstr(w->notice, "deleted by somebody"));
	world_close(&w);
	remove_index(dir);
	w = world_open(dir, settings);
	assert_int_equal(spool_in_queue(w), 20 + accepted);
	assert_int_equal(count_files(dir, "damaged", ""), 0);
	spool_finish(&w);
}

/* What an administrator left beside it, a copy by another name: the segment itself is neither opened twice nor moved away. */
static void
test_names_that_are_like_a_segments_are_no_segments(void **state)
{
	struct world *w = world_open(NULL, "minimal_backoff_time = 100s\n");
	static const char *const names[] = {"0", "00000", "0000000", "+00000", "000000.old"};
	char dir[64], path[128], command[300];
	bool moved = false;
	struct dirent *e;
	DIR *d;

	(void)state;
	w->no_delivery = world_without_delivery = true;
	snprintf(dir, sizeof(dir), "%s", w->dir);
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 1000), SUBMIT_OK);
	world_close(&w);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(
		    command, sizeof(command), "cp %s/segments/000000 %s/segments/%s", dir, dir, names[i]);
		assert_int_equal(system(command), 0);
	}
	w = world_open(dir, "minimal_backoff_time = 100s\n");
	assert_int_equal(spool_in_queue(w), 1);
	d = opendir("damaged");
	while ((e = readdir(d)))
		moved = moved || e->d_name[0] != '.';
	closedir(d);
	assert_false(moved);
	snprintf(path, sizeof(path), "%s/segments/0", dir);
	assert_int_equal(access(path, F_OK), 0);
	spool_finish(&w);
}

/* What cannot be read cannot be moved: the log does not grow behind it, and its sender is told all the same. */
static void
test_a_damaged_message_does_not_hold_the_log(void **state)
{
	static const char settings[] = "spool_segment_size = 256k\nminimal_backoff_time = 1000s\n"
				       "maximal_backoff_time = 1000s\nindex_delay = 0\n";
	struct world *w = world_open(NULL, settings);
	char dir[64], path[128];
	int fd;

	(void)state;
	snprintf(dir, sizeof(dir), "%s", w->dir);
	snprintf(path, sizeof(path), "%s/segments/000000", dir);
	w->outcome = OUTCOME_DEFERRED;
	w->status = "4.2.0";
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 20000), SUBMIT_OK);
	off_t in_content = last_octet(path) - 10000; /* not in a page that is written again */
	assert_true(WORLD_UNTIL(w, w->jobs == 1 && w->queue.live.count == 0));
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "!!", 2, in_content), 2);
	close(fd);
	w->outcome = OUTCOME_DELIVERED;
	w->status = "2.0.0";
	for (int i = 0; i < 60; i++)
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 40000), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->delivered == 60 && w->queue.segment_count <= 6));
	assert_int_equal(w->queue.damages, 1);
	world_close(&w);
	remove_index(dir);
	w = world_open(dir, settings);
	assert_int_equal(spool_in_queue(w), 1);
	assert_int_equal(w->jobs, 0);
	spool_finish(&w);
}

/* A message file without a record is rubbish of a crash, unless the record may be one that is damaged. */
static void
test_the_file_of_a_damaged_record_is_kept(void **state)
{
	static const char settings[] = "spool_inline_limit = 100000\nminimal_backoff_time = 100s\n";

	(void)state;
	for (unsigned with_damage = 0; with_damage < 2; with_damage++) {
		struct world *w = world_open(NULL, settings);
		char dir[64], path[128], id[QUEUE_ID_SIZE];
		int fd;

		w->no_delivery = world_without_delivery = true;
		snprintf(dir, sizeof(dir), "%s", w->dir);
		snprintf(path, sizeof(path), "%s/segments/000000", dir);
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 1000), SUBMIT_OK);
		if (with_damage) {
			assert_int_equal(world_submit(w, 0, "s@here.test", 1, 200000), SUBMIT_OK);
			assert_int_equal(count_files(dir, "messages", ""), 1);
			off_t in_record = last_octet(path) - 150;
			world_close(&w);
			fd = open(path, O_RDWR);
			assert_int_equal(pwrite(fd, "\xff\xfe\xfd\xfc", 4, in_record), 4);
		} else {
			queue_id_format(w->submit_id + 1, id);
			world_close(&w);
			snprintf(path, sizeof(path), "%s/messages/%s", dir, id);
			fd = open(path, O_WRONLY | O_CREAT, 0600);
			assert_true(fd >= 0);
		}
		close(fd);
		remove_index(dir);
		w = world_open(dir, settings);
		assert_int_equal(spool_in_queue(w), 1);
		assert_true(WORLD_UNTIL(w, count_files(dir, "messages", "") == 0));
		assert_int_equal(count_files(dir, "damaged", "record-"), with_damage);
		assert_int_equal(count_files(dir, "damaged", ""), 2 * with_damage);
		spool_finish(&w);
	}
}

/* ---- 7: a failed write or sync ---- */

static void
test_7_a_failed_sync_refuses_and_goes_on_elsewhere(void **state)
{
	struct world *w = world_open(NULL, "minimal_backoff_time = 100s\n");

	(void)state;
	w->no_delivery = world_without_delivery = true;
	spool_disk.fail_errno = EIO;
	spool_disk.fail_sync = 1;
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_NO_SPACE);
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	assert_int_equal(spool_in_queue(w), 1);
	/* What was refused does not come back, although its octets may be on the disk. */
	spool_reopen(&w, "minimal_backoff_time = 100s\n");
	assert_int_equal(spool_in_queue(w), 1);
	spool_finish(&w);
}

static void
test_7_outcomes_are_appended_anew(void **state)
{
	struct world *w = world_open(NULL, "spool_outcome_delay = 100ms\n");

	(void)state;
	w->keep_jobs = true;
	assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->jobs == 1 && w->queue.helper.pending == 0));
	spool_disk.fail_errno = EIO;
	spool_disk.watch_lost = true;
	spool_disk.fail_sync = 1; /* the sync of the removal */
	world_answer_job(w);
	assert_true(WORLD_UNTIL(w, w->delivered == 1));
	assert_true(WORLD_UNTIL(w, spool_disk.fail_sync == 0));
	spool_disk.watch_lost = false;
	assert_true(WORLD_UNTIL(w, w->queue.live.count == 0));
	spool_reopen(&w, "");
	assert_int_equal(spool_in_queue(w), 0);
	spool_finish(&w);
}

static void
test_7_every_failing_call_of_a_message(void **state)
{
	static const int numbers[] = {EIO, ENOSPC};

	(void)state;
	for (size_t e = 0; e < 2; e++)
		for (int n = 1; n <= 8; n++)
			for (int which = 0; which < 2; which++) {
				struct world *w = world_open(NULL, "minimal_backoff_time = 100s\n");
				unsigned accepted = 0;

				w->no_delivery = world_without_delivery = true;
				spool_disk.fail_errno = numbers[e];
				*(which ? &spool_disk.fail_sync : &spool_disk.fail_write) = n;
				for (int i = 0; i < 4 && WORLD_UNTIL(w, !space_refuses(&w->queue)); i++)
					accepted += world_submit(w, 0, "s@here.test", 1, 6000) == SUBMIT_OK;
				spool_disk.fail_write = spool_disk.fail_sync = 0;
				assert_true(accepted >= 3);
				assert_int_equal(spool_in_queue(w), accepted);
				spool_reopen(&w, "minimal_backoff_time = 100s\n");
				assert_int_equal(spool_in_queue(w), accepted);
				spool_finish(&w);
			}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		test_a_lost_index_is_rebuilt_with_outcomes_known, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(test_a_damaged_index_is_rebuilt, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		test_a_torn_tail_takes_nothing_else_along, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		test_a_damaged_message_is_set_aside_alone, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		test_a_damaged_message_does_not_hold_the_log, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		test_behind_the_last_slot_the_first_free_one_is_used, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		test_segments_that_are_deleted_under_a_queue_lose_nothing, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		test_names_that_are_like_a_segments_are_no_segments, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		test_the_file_of_a_damaged_record_is_kept, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		test_7_a_failed_sync_refuses_and_goes_on_elsewhere, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(test_7_outcomes_are_appended_anew, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		test_7_every_failing_call_of_a_message, spool_set_up, spool_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
