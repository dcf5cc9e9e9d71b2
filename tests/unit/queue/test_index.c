/*
 * The index against a model: thousands of random changes, every kind of filter, texts swept and pages joined in between,
 * the process killed between and in transactions.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "queue/filter.h"
#include "queue/index/compact.h"
#include "queue/index/dictionary.h"
#include "queue/index/durable.h"
#include "queue/index/index_db.h"
#include "queue/index/query.h"
#include "queue/index/sweep.h"
#include "queue/log/disk.h"
#include "queue/message.h"
#include "queue/spool_clock.h"
#include "tests/unit/queue/index_model.h"

enum { ROWS_A_ZONE = 8 };

static char dir[64];

static bool
count_text(uint32_t number, struct span text, void *context)
{
	(void)number;
	(void)text;
	++*(unsigned *)context;
	return true;
}

static unsigned
texts(struct index *x)
{
	unsigned count = 0;
	struct error err;

	assert_int_equal(dictionary_each(x, DICTIONARY_REASON, 0, count_text, &count, &err), 0);
	return count;
}

static struct index *
open_index(void)
{
	struct error err;
	struct index *x = index_open(dir, 1 << 20, 256 << 10, &err);

	if (!x)
		fail_msg("%s", err.text);
	zones_fini(&x->zones);
	zones_init(&x->zones, ROWS_A_ZONE);
	return x;
}

static int
set_up(void **state)
{
	(void)state;
	model_seed = 1;
	spool_clock_start(0, clock_wall_us());
	model_base_us = spool_clock_now();
	snprintf(dir, sizeof(dir), "/tmp/postern-index-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int
tear_down(void **state)
{
	struct error err;

	(void)state;
	index_wipe(dir, &err);
	return rmdir(dir);
}

/* ---- tests ---- */

static void
test_filters_find_what_the_model_has(void **state)
{
	struct model *m = model_new();
	struct index *x = open_index();
	struct error err;
	uint64_t after = 0;
	bool more;

	(void)state;
	for (unsigned round = 0; round < 8; round++) {
		for (unsigned n = 0; n < 40; n++) {
			model_change(m, x, 1);
			/* A sweep and a compaction that transactions go on beside. */
			assert_true(sweep_step(x, &err) >= 0);
			assert_true(compact_step(x, &err) >= 0);
			if (model_any(3) == 0)
				assert_true(zones_step(x, &err) >= 0);
			if (model_any(8) == 0)
				model_fail_to_change(x);
		}
		/* Some zones are known when the questions come, or all, or none. */
		while (round % 4 == 1 && zones_step(x, &err) > 0)
			;
		if (round % 3 == 2) {
			index_close(&x);
			x = open_index();
		}
		model_check(m, x);
		after = 0;
		assert_int_equal(
		    rows_each(x, &after, UINT64_MAX, 1000000, model_check_row, x, &more, &err), 0);
		assert_false(more);
	}
	index_close(&x);
	model_free(m);
}

/* The file of cards cannot be written, or read: what is known without it is the same. */
static ssize_t
no_pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	(void)fd;
	(void)bytes;
	(void)len;
	(void)offset;
	errno = ENOSPC;
	return -1;
}

static ssize_t
no_pread(int fd, void *bytes, size_t len, off_t offset)
{
	(void)fd;
	(void)bytes;
	(void)len;
	(void)offset;
	errno = EIO;
	return -1;
}

static bool
has_image(const struct index *x)
{
	for (size_t i = 0; i < x->zones.count; i++)
		if (x->zones.all[i]->image.there)
			return true;
	return false;
}

static void
test_a_disk_without_room_for_cards(void **state)
{
	const struct disk whole = disk;
	struct model *m = model_new();
	struct index *x = open_index();
	struct error err;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned n = 0; n < 40; n++)
			model_change(m, x, 1);
		while (zones_step(x, &err) > 0)
			;
		assert_true(has_image(x));
		if (round == 0)
			disk.pwrite = no_pwrite;
		if (round == 1)
			disk.pread = no_pread;
		if (round != 1)
			model_change(m, x, 1);
		model_check(m, x);
		assert_int_equal(has_image(x), round == 2);
		disk = whole;
		x->zones.images.open_after_us = 0;
	}
	index_close(&x);
	model_free(m);
}

static void
test_texts_that_nothing_uses_are_swept(void **state)
{
	struct index *x = open_index();
	struct model *m = model_new();
	struct index_change gone[MESSAGES];
	struct error err;
	unsigned before;
	int got;

	(void)state;
	for (unsigned n = 0; n < 20; n++)
		model_change(m, x, 1);
	before = texts(x);
	assert_true(before > 5);
	while ((got = sweep_step(x, &err)) > 0)
		;
	assert_int_equal(got, 0);
	assert_true(texts(x) <= before);
	model_check(m, x);
	for (unsigned i = 0; i < MESSAGES; i++) {
		gone[i] = (struct index_change){.id = model_id(i)};
		m->there[i] = false;
	}
	assert_int_equal(index_apply(x, gone, MESSAGES, 2, &err), 0);
	while ((got = sweep_step(x, &err)) > 0)
		;
	assert_int_equal(got, 0);
	assert_int_equal(texts(x), 0);
	/* A text that comes again has a number again. */
	for (unsigned n = 0; n < 5; n++)
		model_change(m, x, 3);
	model_check(m, x);
	index_close(&x);
	model_free(m);
}

static uint64_t
octets_on_disk(void)
{
	static const char *const tables[] = {"messages.db", "summaries.db", "keys.db"};
	uint64_t octets = 0;
	struct stat st;
	char path[100];

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, tables[i]);
		assert_int_equal(stat(path, &st), 0);
		octets += (uint64_t)st.st_size;
	}
	return octets;
}

/* Nine of ten messages go, whichever; then so does what the index takes on the disk. */
static void
test_space_of_removed_messages_is_given_back(void **state)
{
	enum { COUNT = 20000, AT_ONCE = 250 };
	struct index *x = open_index();
	struct index_change changes[AT_ONCE];
	struct buf rows[AT_ONCE];
	uint64_t before;
	struct error err;

	(void)state;
	for (unsigned k = 0; k < AT_ONCE; k++)
		buf_init(&rows[k], PAYLOAD_MAX);
	for (unsigned n = 0; n < COUNT; n += AT_ONCE) {
		for (unsigned k = 0; k < AT_ONCE; k++) {
			do
				model_payload(&rows[k]);
			while (rows[k].len > 1000);
			changes[k] = (struct index_change){.id = model_id(n + k),
			    .position = 4096,
			    .segment = 4096,
			    .row = buf_span(&rows[k])};
		}
		assert_int_equal(index_apply(x, changes, AT_ONCE, 1, &err), 0);
	}
	assert_int_equal(index_checkpoint(x, &err), 0);
	before = octets_on_disk();
	for (unsigned n = 0; n < COUNT; n += AT_ONCE) {
		size_t count = 0;

		for (unsigned k = 0; k < AT_ONCE; k++)
			if (model_any(10) > 0)
				changes[count++] = (struct index_change){.id = model_id(n + k)};
		assert_int_equal(index_apply(x, changes, count, 1, &err), 0);
		if (compact_is_due(x))
			assert_true(compact_step(x, &err) >= 0);
	}
	assert_true(compact_is_due(x));
	index_busy(x, true);
	assert_false(compact_is_due(x));
	index_busy(x, false);
	while (compact_is_due(x))
		assert_true(compact_step(x, &err) >= 0);
	assert_int_equal(index_checkpoint(x, &err), 0);
	assert_in_range(octets_on_disk(), before / 20, before / 4);
	for (unsigned k = 0; k < AT_ONCE; k++)
		buf_free(&rows[k]);
	index_close(&x);
}

/* The child is killed at model_any instant; what is there afterwards is the model after so many transactions. */
static void
test_a_killed_process_leaves_whole_transactions(void **state)
{
	struct error err;

	(void)state;
	for (unsigned round = 0; round < 12; round++) {
		struct model *m;
		struct index *x;
		uint64_t position;
		pid_t child = fork();

		if (child == 0) {
			m = model_new();
			x = open_index();
			model_seed = round;
			for (uint64_t n = 1;; n++)
				model_change(m, x, n);
		}
		usleep(20000 + round * 9000);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		m = model_new();
		x = open_index();
		model_seed = round;
		position = index_position(x);
		for (uint64_t n = 1; n <= position; n++)
			model_change(m, NULL, n);
		model_check(m, x);
		index_close(&x);
		model_free(m);
		index_wipe(dir, &err);
	}
}

/* Recovery of a damaged log may end early: what left memory since would be nowhere. */
static void
test_an_index_that_knows_less_than_it_did_is_refused(void **state)
{
	struct model *m = model_new();
	struct index *x = open_index();
	struct error err;
	char first[sizeof(dir)];

	(void)state;
	model_change(m, x, 1);
	index_close(&x);
	snprintf(first, sizeof(first), "%s", dir);
	snprintf(dir, sizeof(dir), "/tmp/postern-index-XXXXXX");
	assert_non_null(mkdtemp(dir));
	x = open_index();
	for (uint64_t n = 1; n < 6; n++)
		model_change(m, x, n);
	assert_int_equal(index_reopen(x, &err), 0);
	/* As if it had gone back to its first transaction. */
	for (int i = 0; i < 2; i++) {
		char latest[sizeof(dir)];

		snprintf(latest, sizeof(latest), "%s", dir);
		snprintf(dir, sizeof(dir), "%s", first);
		assert_int_equal(index_reopen(x, &err), -1);
		assert_int_equal(err.number, 0);
		snprintf(dir, sizeof(dir), "%s", latest);
		assert_int_equal(index_reopen(x, &err), 0);
	}
	assert_int_equal(index_renew(x, &err), 0);
	assert_int_equal(index_position(x), 0);
	model_change(m, x, 1);
	assert_int_equal(index_reopen(x, &err), 0);
	index_close(&x);
	index_wipe(first, &err);
	rmdir(first);
	model_free(m);
}

/* Nobody writes to it, so that who opens it waits for ever. */
static void
test_a_fifo_in_the_place_of_a_table_keeps_nobody(void **state)
{
	struct index *x = open_index();
	struct error err;
	char path[sizeof(dir) + 40];

	(void)state;
	index_close(&x);
	snprintf(path, sizeof(path), "%s/messages.db", dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(20);
	x = index_open(dir, 1 << 20, 1 << 20, &err);
	assert_null(x);
	assert_int_equal(index_durable_content(dir, &err), -1);
	alarm(0);
	assert_int_equal(index_wipe(dir, &err), 0);
}

/* lost+found where the index has a disk of its own, what somebody copied there; one in the place of a table is no table. */
static void
test_directories_are_in_nobodys_way(void **state)
{
	struct model *m = model_new();
	struct index *x = open_index();
	struct error err;
	char path[sizeof(dir) + 40];

	(void)state;
	model_change(m, x, 1);
	index_close(&x);
	snprintf(path, sizeof(path), "%s/messages.db", dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/lost+found", dir);
	assert_int_equal(mkdir(path, 0), 0);
	assert_int_equal(index_durable_content(dir, &err), 0);
	assert_int_equal(chmod(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/lost+found/file", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(index_wipe(dir, &err), 0);
	x = open_index();
	assert_int_equal(index_position(x), 0);
	index_close(&x);
	model_free(m);
	assert_int_equal(rmdir(path), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_filters_find_what_the_model_has, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_a_fifo_in_the_place_of_a_table_keeps_nobody, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_directories_are_in_nobodys_way, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_a_disk_without_room_for_cards, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_texts_that_nothing_uses_are_swept, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_space_of_removed_messages_is_given_back, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_a_killed_process_leaves_whole_transactions, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_an_index_that_knows_less_than_it_did_is_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
