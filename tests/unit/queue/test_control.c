/*
 * What the tools ask: pages of a walk, questions that wait for the index, long rows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/control/control.h"
#include "queue/control/later.h"
#include "queue/control/transit.h"
#include "queue/index/index.h"
#include "queue/log/recovery_step.h"
#include "world.h"

enum { YOUNG = 700, A_PAGE = 200, LIST = 100000, A_LOT = 60000 };

static struct world *w;
static char dir[64];

static int
set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/postern-control-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	w = world_open(dir, "index_delay = 1000s\n");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	world_close(&w);
	world_remove(dir);
	return 0;
}

/* ---- walks ---- */

static struct {
	uint64_t last;
	unsigned count, in_turn, most_in_turn, finished;
} seen;

static bool
see(struct walk *walk, struct message *m)
{
	if (walk->changes)
		act_hold(walk, m);
	assert_true(m->id > seen.last);
	seen.last = m->id;
	seen.count++;
	if (++seen.in_turn > seen.most_in_turn)
		seen.most_in_turn = seen.in_turn;
	return true;
}

static void
finish(struct walk *walk)
{
	assert_int_equal(walk->count, seen.count);
	seen.finished++;
}

/* Until it ends. */
static void
walk(bool changes)
{
	struct filter f;
	struct error err;

	memset(&seen, 0, sizeof(seen));
	assert_int_equal(filter_parse(&f, SPAN_LIT(""), &err), 0);
	walk_start(&w->queue, w->from_submitter, 1, &f, see, changes, finish);
	for (unsigned turns = 0; turns < 1000 && !seen.finished; turns++) {
		seen.in_turn = 0;
		world_turn(w, 100);
	}
	assert_int_equal(seen.finished, 1);
}

static void
test_a_walk_through_memory_goes_in_pages(void **state)
{
	(void)state;
	w->no_delivery = true;
	for (uint64_t i = 1; i <= YOUNG; i++)
		assert_int_equal(world_submit(w, i << 12, "s@here.test", 1, 10), SUBMIT_OK);
	walk(false);
	assert_int_equal(seen.count, YOUNG);
	assert_true(seen.most_in_turn <= A_PAGE);
}

/* On a full disk much may be deleted, as far as there is memory for it; then the operator hears of it. */
static void
test_a_walk_goes_on_while_the_index_takes_nothing_and_ends(void **state)
{
	struct error err;

	(void)state;
	w->no_delivery = true;
	for (uint64_t i = 1; i <= YOUNG; i++)
		assert_int_equal(world_submit(w, i << 12, "s@here.test", 1, 10), SUBMIT_OK);
	w->queue.store_after_us = INT64_MAX;
	error_set(&err, "insufficient disk space");
	trouble_set(&w->queue, TROUBLE_INDEX, &err);
	walk(true);
	assert_true(WORLD_UNTIL(w, w->queue.to_index_count > YOUNG * 3 / 4));
	walk(true);
	assert_int_equal(seen.count, YOUNG);
	w->queue.live.count += A_LOT;
	walk(true);
	w->queue.live.count -= A_LOT;
	assert_int_equal(seen.count, 0);
	w->queue.store_after_us = 0;
}

static void
no_message(struct queue *q, struct message *m, void *context)
{
	(void)q;
	assert_null(m);
	++*(unsigned *)context;
}

/* It may be refused yet, and whoever sent it sends it again then. */
static void
test_what_is_on_its_way_into_the_log_is_left_alone(void **state)
{
	unsigned asked = 0;

	(void)state;
	w->queue.kicked = true; /* the writer gets nothing */
	world_send(w, 1 << 12, "s@here.test", 1, 10, 0);
	assert_true(WORLD_UNTIL(w, w->queue.live.count == 1));
	walk(false);
	assert_int_equal(seen.count, 0);
	walk(true);
	assert_int_equal(seen.count, 0);
	young_get(&w->queue, 1 << 12, no_message, &asked);
	assert_int_equal(asked, 1);
	w->queue.kicked = false;
	journal_kick(&w->queue);
	assert_true(WORLD_UNTIL(w, w->delivered == 1));
}

/* ETRN wants its own answer in any case. */
static void
test_a_walk_over_an_index_that_fails_is_finished_as_any(void **state)
{
	struct index *index = w->queue.index, *closed = index_new(dir, 1 << 20, 256 << 10);

	(void)state;
	index_hide(closed, false);
	w->queue.index = closed;
	walk(false);
	w->queue.index = index;
	index_close(&closed);
	assert_int_equal(seen.count, 0);
}

/* ---- questions that wait ---- */

static unsigned went[4];

static void
go(struct queue *q, struct ipc_channel *channel, uint32_t call, const struct verb *verb, struct filter *f)
{
	(void)q;
	(void)channel;
	(void)verb;
	went[call]++;
	filter_free(f);
}

static void
ask(struct ipc_channel *channel, uint32_t call)
{
	struct filter f = {.part = mem_strdup("x")};

	later(&w->queue, channel, call, NULL, &f, go);
}

static void
test_questions_wait_for_the_index_once(void **state)
{
	struct recovery rebuilding = {.whole = true};
	int64_t begin = clock_mono_us();

	(void)state;
	assert_null(w->queue.recovery);
	w->queue.recovery = &rebuilding;
	ask(w->from_submitter, 0);
	ask(w->to_delivery, 1);
	later_channel_gone(w->to_delivery);
	while (!went[0] && clock_mono_us() - begin < 10 * US_PER_SECOND)
		event_base_loop(w->base, EVLOOP_ONCE);
	assert_true(clock_mono_us() - begin >= 2 * US_PER_SECOND);
	/* It takes longer: who asks now is told at once. */
	ask(w->from_submitter, 2);
	assert_int_equal(went[2], 1);
	w->queue.recovery = NULL;
	ask(w->from_submitter, 3);
	w->queue.recovery = &rebuilding;
	ask(w->from_submitter, 3);
	assert_int_equal(went[3], 1);
	w->queue.recovery = NULL;
	while (went[3] < 2 && clock_mono_us() - begin < 10 * US_PER_SECOND)
		event_base_loop(w->base, EVLOOP_ONCE);
	assert_int_equal(went[0], 1);
	assert_int_equal(went[1], 0);
	assert_int_equal(went[3], 2);
}

/* ---- rows ---- */

struct joined {
	size_t octets, addresses, longest;
	char end[4];
};

static void
join(void *context, struct span piece)
{
	struct joined *j = context;

	j->octets += piece.len;
	if (piece.len > j->longest)
		j->longest = piece.len;
	assert_true(piece.len >= 3);
	memcpy(j->end, piece.ptr + piece.len - 3, 3);
	for (ptrdiff_t at; (at = span_find_span(piece, SPAN_LIT("\"address\""))) >= 0; j->addresses++)
		piece = span_from(piece, (size_t)at + 1);
}

static void
test_the_row_of_a_long_list_is_whole(void **state)
{
	char *bytes = mem_alloc(1);
	struct message m = {.id = 1 << 12, .bytes = bytes};
	struct joined j = {0};
	struct part_recipient p = {.transport = SPAN_LIT("smtp"), .nexthop = SPAN_LIT("far.test")};
	struct message *heap = mem_alloc(sizeof(m));

	(void)state;
	*heap = m;
	for (uint32_t i = 0; i < LIST; i++) {
		char address[200];

		snprintf(address, sizeof(address), "%0100u@far.test", i);
		p.index = i;
		p.recipient = span_of(address);
		assert_non_null(message_add_recipient(heap, &p));
	}
	control_row(heap, join, &j);
	assert_int_equal(j.addresses, LIST);
	assert_true(j.octets > 16 << 20);
	assert_true(j.longest < 65536);
	assert_string_equal(j.end, "]}\n");
	message_free(&heap);
}

/* What is no exported message is refused with its first octets; nobody looks at the import behind that. */
static void
test_an_import_ends_with_a_head_that_cannot_be(void **state)
{
	char head[TRANSIT_HEAD_SIZE] = "no mail of ours";
	struct filter f = {
	    .hold_reason = mem_strdup("/tmp/there"), .older_us = -1, .newer_us = -1, .larger = -1};

	(void)state;
	control_import(&w->queue, w->from_submitter, 1, &f);
	control_import_data(w->from_submitter, 1, span_make(head, sizeof(head) - 1));
	control_import_data(w->from_submitter, 1, span_make("x", 1));
	control_import_data(w->from_submitter, 1, span_make("late", 4));
	control_import_gone(w->from_submitter);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_a_walk_through_memory_goes_in_pages, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_a_walk_goes_on_while_the_index_takes_nothing_and_ends, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_what_is_on_its_way_into_the_log_is_left_alone, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_a_walk_over_an_index_that_fails_is_finished_as_any, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_questions_wait_for_the_index_once, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_an_import_ends_with_a_head_that_cannot_be, set_up, tear_down),
	    cmocka_unit_test(test_the_row_of_a_long_list_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
