/*
 * Ids that submitters name: whatever one says that somebody has taken, no other message is lost by it, and no later one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/mail/queue_id.h"
#include "queue/submission.h"
#include "tests/unit/queue/spool_case.h"

static const char settings[] =
    "spool_inline_limit = 100000\nminimal_backoff_time = 1000s\nindex_delay = 1s\ndefer_transports = smtp\n";

static uint64_t
now_id(int64_t ahead_us)
{
	return (uint64_t)(clock_wall_us() + ahead_us) << 12;
}

static void
a_message_of_before_the_start_keeps_its_id(void **state)
{
	static const size_t sizes[] = {100, 200000};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct world *w = world_open(NULL, settings);
		uint64_t id;

		assert_int_equal(world_submit(w, 0, "first@here.test", 1, 100), SUBMIT_OK);
		id = w->submit_id;
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
		spool_reopen(&w, settings);
		assert_int_equal(world_submit(w, id, "second@here.test", 1, sizes[i]), SUBMIT_REFUSED);
		/* One that nobody has, although later ones were used. */
		assert_int_equal(world_submit(w, id - 1, "third@here.test", 1, sizes[i]), SUBMIT_OK);
		assert_int_equal(spool_in_queue(w), 3);
		spool_reopen(&w, settings);
		assert_int_equal(spool_in_queue(w), 3);
		spool_finish(&w);
	}
}

static unsigned stored, refused;

static void
count(struct world *w)
{
	stored += w->submit_status == SUBMIT_OK;
	refused += w->submit_status == SUBMIT_REFUSED || w->submit_status == SUBMIT_TRY_LATER;
}

static void
of_two_at_once_one_is_stored(void **state)
{
	static const size_t sizes[][2] = {{100, 100}, {200000, 200000}, {200000, 100}, {100, 200000}};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct world *w = world_open(NULL, settings);
		uint64_t id = now_id(0);

		stored = refused = 0;
		w->on_answer = count;
		world_send(w, id, "s@here.test", 1, sizes[i][0], 0);
		world_send(w, id, "s@here.test", 1, sizes[i][1], 0);
		assert_true(WORLD_UNTIL(w, stored + refused == 2));
		assert_int_equal(stored, 1);
		w->on_answer = NULL;
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 100), SUBMIT_OK);
		assert_int_equal(spool_in_queue(w), 2);
		spool_reopen(&w, settings);
		assert_int_equal(spool_in_queue(w), 2);
		spool_finish(&w);
	}
}

static void
an_id_of_a_time_to_come_costs_the_connection(void **state)
{
	struct world *w = world_open(NULL, settings);
	uint64_t high;

	(void)state;
	assert_int_equal(world_submit(w, now_id(5 * US_PER_SECOND), "s@here.test", 1, 100), SUBMIT_OK);
	high = w->queue.id_high;
	assert_int_equal(
	    world_submit(w, now_id(3600 * US_PER_SECOND), "s@here.test", 1, 100), SUBMIT_ABORTED);
	assert_null(w->from_submitter);
	assert_int_equal(w->queue.id_high, high);
	spool_finish(&w);
}

static void
what_may_be_used_is_known_by_its_age(void **state)
{
	const uint64_t start = now_id(-86400 * US_PER_SECOND), high = now_id(0);
	struct queue q = {.id_high = high, .id_high_at_start = start};

	(void)state;
	assert_true(submission_id_may_be_used(&q, start));
	assert_true(submission_id_may_be_used(&q, start + 1));
	assert_true(submission_id_may_be_used(&q, now_id(-601 * US_PER_SECOND)));
	assert_false(submission_id_may_be_used(&q, now_id(-590 * US_PER_SECOND)));
	assert_false(submission_id_may_be_used(&q, high));
	assert_false(submission_id_may_be_used(&q, high + 1));
}

/* A clock that was wrong for a while stops no mail: givers count on from the highest id that is known. */
static void
ids_go_on_when_the_clock_is_set_back(void **state)
{
	struct queue known = {.id_high = now_id(86400 * US_PER_SECOND)},
		     seen = {.wall_high_us = clock_wall_us()};

	(void)state;
	assert_true(submission_id_is_possible(&known, known.id_high + (1 << 12)));
	assert_false(submission_id_is_possible(&known, known.id_high + ((uint64_t)US_PER_SECOND << 12)));
	seen.wall_high_us += 86400 * US_PER_SECOND;
	assert_true(submission_id_is_possible(&seen, now_id(86400 * US_PER_SECOND)));
	assert_false(submission_id_is_possible(&seen, now_id((86400 + 3600) * US_PER_SECOND)));
	assert_false(submission_id_is_possible(&seen, UINT64_MAX));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		a_message_of_before_the_start_keeps_its_id, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(of_two_at_once_one_is_stored, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		an_id_of_a_time_to_come_costs_the_connection, spool_set_up, spool_tear_down),
	    cmocka_unit_test(what_may_be_used_is_known_by_its_age),
	    cmocka_unit_test(ids_go_on_when_the_clock_is_set_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
