/*
 * Lists whose members fill the log: what one message may have, and what is recorded of it.
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
#include "tests/unit/queue/spool_case.h"

static const char settings[] = "spool_segment_size = 16m\nqueue_sync = no\nminimal_backoff_time = 1000s\n"
			       "maximal_backoff_time = 1000s\nindex_delay = 0\n";
static const char small[] =
    "spool_segment_size = 256k\nminimal_backoff_time = 1000s\nmaximal_backoff_time = 1000s\n"
    "index_delay = 0\nqueue_sync = no\n";

/* What each of the first recipients leads to, and what the worker says of it in the end. */
static unsigned members, lists;
static int address_len;
static enum outcome_class comes_to;
static struct span transport = SPAN_LIT("retry"), nexthop = SPAN_LIT("4.3.0 later");

/* The worker finds a list there, and no address of it can be tried now. */
static void
expand(struct world *w, const struct ipc_frame *frame)
{
	struct msg_job_add_rcpt add = {
	    .transport = transport, .nexthop = nexthop, .sender = SPAN_LIT("s@here.test")};
	struct msg_job_outcome o = {
	    .class = (uint8_t)comes_to, .status = SPAN_LIT("2.0.0"), .text = SPAN_LIT("expanded")};
	struct msg_job_done done = {.destination = HOP_UP};
	char address[1000];

	if (frame->type == IPC_JOB_OPEN)
		w->jobs++;
	if (frame->type != IPC_JOB_GO)
		return;
	for (unsigned i = 0; i < members * lists; i++) {
		snprintf(address, sizeof(address), "%0*u@far.test", address_len - 9, i / lists);
		add.recipient = span_of(address);
		add.index = i % lists;
		ipc_send(w->delivery, IPC_JOB_ADD_RCPT, frame->call, &add);
	}
	for (o.index = 0; o.index < lists; o.index++)
		ipc_send(w->delivery, IPC_JOB_OUTCOME, frame->call, &o);
	ipc_send(w->delivery, IPC_JOB_DONE, frame->call, &done);
}

static struct world *
open_with_lists(const char *conf, unsigned how_many, unsigned count, int len, enum outcome_class class)
{
	struct world *w = world_open(NULL, conf);

	w->on_job = expand;
	lists = how_many;
	members = count;
	address_len = len;
	comes_to = class;
	assert_int_equal(world_submit(w, 0, "s@here.test", lists, 100), SUBMIT_OK);
	return w;
}

static struct world *
open_with_list(const char *conf, unsigned count, int len)
{
	return open_with_lists(conf, 1, count, len, OUTCOME_EXPANDED);
}

struct counted {
	bool found;
	uint32_t open, tried;
	char status[12]; /* of the last */
};

static void
count_open(struct queue *q, struct message *m, void *context)
{
	struct counted *c = context;

	(void)q;
	c->found = true;
	c->open = m ? m->open : 0;
	c->tried = 0;
	for (uint32_t i = 0; m && i < m->count; i++)
		c->tried += m->recipients[i]->p.attempt > 0 && m->recipients[i]->p.state == RECIPIENT_QUEUED;
	if (c->open > 0)
		span_copy(m->recipients[m->count - 1]->p.status, c->status, sizeof(c->status));
}

static struct counted
look(struct world *w, uint64_t id)
{
	struct counted c = {.found = false};

	young_get(&w->queue, id, count_open, &c);
	assert_true(WORLD_UNTIL(w, c.found));
	return c;
}

/* Without the index. Returns how many seconds that took. */
static int64_t
open_from_log(struct world **w, const char *conf)
{
	char dir[64], path[100];
	int64_t begun_us;

	snprintf(dir, sizeof(dir), "%s", (*w)->dir);
	world_close(w);
	snprintf(path, sizeof(path), "%s/index", dir);
	world_remove(path);
	begun_us = clock_mono_us();
	*w = world_open(dir, conf);
	return (clock_mono_us() - begun_us) / US_PER_SECOND;
}

/* The log alone has it all, also where segments are small: no record is longer than they are. */
static void
test_a_long_list_is_in_the_log(void **state)
{
	struct world *w = open_with_list(small, 3000, 100);
	struct counted c;
	uint64_t id = w->submit_id;

	(void)state;
	assert_true(WORLD_UNTIL(w, (c = look(w, id)).tried == members));
	assert_int_equal(c.open, members);
	(void)open_from_log(&w, small);
	c = look(w, id);
	assert_int_equal(c.open, members);
	assert_int_equal(c.tried, members);
	spool_finish(&w);
}

/* Each member's record is read once, and not held against all others. */
static void
test_a_very_long_list_is_read_again_soon(void **state)
{
	struct world *w = open_with_list(settings, 80000, 30);
	uint64_t id = w->submit_id;

	(void)state;
	assert_true(WORLD_UNTIL(w, look(w, id).tried == members));
	assert_in_range(open_from_log(&w, settings), 0, 8);
	assert_int_equal(look(w, id).tried, members);
	spool_finish(&w);
}

/* Its members are beyond what a record may have, or more than a message may: it comes back, so nobody behind it has it. */
static void
test_a_list_beyond_all_bounds_is_for_nobody(void **state)
{
	static const struct {
		unsigned count;
		int len;
	} rows[] = {{35000, 990}, {100000, 20}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world *w = open_with_list(settings, rows[i].count, rows[i].len);
		uint64_t id = w->submit_id;

		assert_true(WORLD_UNTIL(w, w->notifications == 1 && !message_find(&w->queue.live, id)));
		assert_int_equal(look(w, id).open, 0);
		assert_int_equal(w->jobs, 1);
		spool_finish(&w);
	}
}

/* One of the two has no room beside the other, which is not concerned. */
static void
test_of_two_lists_one_is_for_nobody(void **state)
{
	struct world *w = open_with_lists(settings, 2, 12000, 990, OUTCOME_EXPANDED);
	uint64_t id = w->submit_id;

	(void)state;
	assert_true(WORLD_UNTIL(w, w->notifications == 1 && !message_find(&w->queue.live, id)));
	assert_int_equal(look(w, id).tried, members);
	assert_int_equal(look(w, id).open, members);
	assert_int_equal(w->jobs, 1);
	spool_finish(&w);
}

/* What its worker says in the end counts for all behind it: returned, none has it; put off, they need not wait for the rest. */
static void
test_what_becomes_of_a_list_is_for_all_behind_it(void **state)
{
	struct world *w = open_with_lists(small, 2, 20, 100, OUTCOME_BOUNCED);
	uint64_t id = w->submit_id;

	(void)state;
	assert_true(WORLD_UNTIL(w, w->notifications == 1 && !message_find(&w->queue.live, id)));
	assert_int_equal(look(w, id).open, 0);
	spool_finish(&w);
	w = open_with_lists(small, 2, 20, 100, OUTCOME_DEFERRED);
	id = w->submit_id;
	assert_true(WORLD_UNTIL(w, look(w, id).tried == (members + 1) * lists));
	spool_finish(&w);
}

/* Its sender, who would send it again, is told that most have it. */
static void
test_of_a_list_that_expires_the_members_are_counted(void **state)
{
	struct world *w;
	char conf[400];

	(void)state;
	snprintf(conf, sizeof(conf), "%smaximal_queue_lifetime = 0\n", small);
	w = open_with_lists(conf, 1, 20, 100, OUTCOME_DEFERRED);
	assert_true(WORLD_UNTIL(w, w->notifications > 0 && w->queue.live.count == 0));
	assert_string_equal(
	    w->reported_text, "expanded (20 addresses behind it were found before, and are not concerned)");
	spool_finish(&w);
}

/* soft_bounce: what queue itself refuses waits, too, and says so. */
static void
test_with_soft_bounce_a_refused_member_waits(void **state)
{
	char conf[400];
	struct world *w;
	uint64_t id;

	(void)state;
	snprintf(conf, sizeof(conf), "%ssoft_bounce = yes\n", small);
	transport = SPAN_LIT("error");
	nexthop = SPAN_LIT("5.1.2 closed");
	w = open_with_list(conf, 3, 20);
	id = w->submit_id;
	assert_true(WORLD_UNTIL(w, look(w, id).tried == members));
	assert_string_equal(look(w, id).status, "4.1.2");
	transport = SPAN_LIT("retry");
	nexthop = SPAN_LIT("4.3.0 later");
	spool_finish(&w);
}

static uint64_t
newest(const struct world *w)
{
	return w->queue.segments[w->queue.segment_count - 1].s.number;
}

/* What does not fit into a segment is not moved; and no segment is begun for each time that it is looked at. */
static void
test_what_cannot_be_moved_stays(void **state)
{
	struct world *w = open_with_list(small, 3000, 100);
	uint64_t id = w->submit_id, before;

	(void)state;
	assert_true(WORLD_UNTIL(w, look(w, id).tried == members));
	w->on_job = NULL;
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(world_submit(w, 0, "s@here.test", 1, 50000), SUBMIT_OK);
	assert_true(WORLD_UNTIL(w, w->delivered == 40));
	before = newest(w);
	for (unsigned i = 0; i < 20; i++) {
		w->queue.begun_us = 0;
		space_check(&w->queue);
		assert_true(WORLD_UNTIL(w, !w->queue.freeing && w->queue.moving == 0));
	}
	assert_in_range(newest(w), before, before + 2);
	assert_int_equal(look(w, id).open, members);
	spool_finish(&w);
}

/* As tables may lead elsewhere from one day to the next: each has a next hop of its own. */
static void
lengthen(struct queue *q, struct message *m, void *context)
{
	char way[500];
	struct part_edit edit = {.what = EDIT_ROUTE,
	    .value = 1,
	    .transport = SPAN_LIT("retry"),
	    .nexthop = span_make(way, sizeof(way))};
	unsigned *refused = context;

	memset(way, 'x', sizeof(way));
	assert_false(message_has_room_for_routes(m, sizeof(way)));
	assert_true(message_has_room_for_routes(m, 100));
	for (uint32_t i = 0; i < m->count; i++) {
		way[0] = i % 2 ? 'x' : 'y';
		edit.index = m->recipients[i]->p.index;
		if (recipient_route(m, m->recipients[i], edit.transport, edit.nexthop, 1))
			journal_edit(q, m, &edit);
		else
			(*refused)++;
	}
}

/* What all its routes take is bounded, too: else no row of the index could hold it, and no start would get past it. */
static void
test_a_list_takes_no_more_routes_than_it_has_room_for(void **state)
{
	struct world *w = open_with_list(settings, 60000, 100);
	uint64_t id = w->submit_id;
	unsigned refused = 0;

	(void)state;
	assert_true(WORLD_UNTIL(w, look(w, id).tried == members && !w->queue.storing));
	young_get(&w->queue, id, lengthen, &refused);
	assert_true(WORLD_UNTIL(w, refused > 0 && !message_find(&w->queue.live, id)));
	assert_in_range(refused, 30000, 59000);
	(void)open_from_log(&w, settings);
	assert_int_equal(look(w, id).open, members);
	spool_finish(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		test_a_very_long_list_is_read_again_soon, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(test_a_long_list_is_in_the_log, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		test_a_list_beyond_all_bounds_is_for_nobody, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		test_of_two_lists_one_is_for_nobody, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		test_what_becomes_of_a_list_is_for_all_behind_it, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		test_of_a_list_that_expires_the_members_are_counted, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		test_with_soft_bounce_a_refused_member_waits, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(test_what_cannot_be_moved_stays, spool_set_up, spool_tear_down),
	    cmocka_unit_test_setup_teardown(
		test_a_list_takes_no_more_routes_than_it_has_room_for, spool_set_up, spool_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
