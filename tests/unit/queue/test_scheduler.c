/*
 * The scheduler with a clock that the test moves: who is served, how often a dead place is asked, what is in memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"
#include "tests/unit/queue/places.h"

/* ---- who is served ---- */

static void
test_fresh_mail_passes_a_silent_place_and_a_list(void **state)
{
	struct world *w = places_begin("minimal_backoff_time = 300s\nmaximal_backoff_time = 4000s\n");
	struct place *silent = place_new("silent.test", SILENT), *list = place_new("list.test", SILENT);
	struct place *third = place_new("third.test", LIVE);
	int64_t before;

	(void)state;
	places_submit_many(w, silent, 3000);
	places_submit(w, list, 3000);
	assert_true(WORLD_UNTIL(w, places_answered == 3001 && list->active == 5));
	before = real_us(CLOCK_MONOTONIC);
	places_submit(w, third, 1);
	assert_true(WORLD_UNTIL(w, third->recipients == 1));
	assert_true(real_us(CLOCK_MONOTONIC) - before < US_PER_SECOND);
	assert_int_equal(silent->active, 5);
	places_end(&w);
}

static void
test_a_lists_recipients_take_turns_with_others(void **state)
{
	struct world *w = places_begin("");
	struct place *p = place_new("far.test", SILENT);

	(void)state;
	places_submit(w, p, 2000);
	assert_true(WORLD_UNTIL(w, p->active == 5));
	places_submit(w, p, 1);
	assert_true(WORLD_UNTIL(w, places_answered == 2));
	p->kind = LIVE;
	/* The list's next part stands in front of the newcomer, and no more of it than that. */
	for (unsigned jobs = p->jobs; p->active > 0 && p->jobs == jobs;) {
		place_answer(w, p, p->waiting[p->active - 1]);
		p->kind = SILENT;
		for (int i = 0; i < 20; i++)
			world_turn(w, 2);
	}
	assert_int_equal(p->jobs, 6 + 1); /* the window grew by one */
	assert_int_equal(hop_of(w, p)->ready, 1);
	places_end(&w);
}

static void
test_places_that_do_not_answer_leave_room(void **state)
{
	struct world *w = places_begin("");
	struct place *good = place_new("good.test", LIVE), *late;
	unsigned active = 0;

	(void)state;
	places_submit(w, good, 1);
	assert_true(WORLD_UNTIL(w, good->recipients == 1));
	for (unsigned i = 0; i < 1600; i++) {
		char name[40];

		snprintf(name, sizeof(name), "hole%u.test", i);
		places_submit(w, place_new(name, SILENT), 1);
		if (i % 200 == 199)
			assert_true(WORLD_UNTIL(w, places_answered == i + 2));
	}
	for (size_t i = 0; i < place_count; i++)
		active += places[i].active;
	assert_int_equal(active, 1500); /* three quarters of all */
	places_submit(w, good, 1);
	assert_true(WORLD_UNTIL(w, good->recipients == 2));
	/* They give up: those that were not asked have their turn, and what is known to fail has a quarter. */
	for (size_t i = 1; i < place_count; i++) {
		places[i].kind = DEAD;
		places_give_up(w, &places[i]);
	}
	late = place_new("late.test", LIVE);
	places_submit(w, late, 1);
	assert_true(WORLD_UNTIL(w, late->recipients == 1));
	places_end(&w);
}

/* Who waits for a 250, and the workers themselves, have a turn between. */
static void
test_many_that_are_ready_at_once_begin_in_shares(void **state)
{
	struct world *w = places_begin("");
	unsigned before, most = 0;

	(void)state;
	for (unsigned i = 0; i < 700; i++) {
		char name[40];

		snprintf(name, sizeof(name), "p%u.test", i);
		places_submit(w, place_new(name, SILENT), 1);
	}
	for (unsigned i = 0; i < 2000 && w->queue.active_jobs < 700; i++) {
		before = w->queue.active_jobs;
		world_turn(w, 20);
		if (w->queue.active_jobs - before > most)
			most = w->queue.active_jobs - before;
	}
	assert_int_equal(w->queue.active_jobs, 700);
	assert_in_range(most, 1, 200);
	for (size_t i = 0; i < place_count; i++)
		assert_true(WORLD_UNTIL(w, places[i].active == 1));
	places_end(&w);
}

/* ---- more hops than there is place for ---- */

static unsigned
count_served(void)
{
	unsigned served = 0;

	for (size_t i = 0; i < place_count; i++)
		served += places[i].recipients > 0;
	return served;
}

/* They wait in the index, and are found when the others have nothing to do or are served; at last all have a place again. */
static void
test_hops_without_a_place_are_found_later(void **state)
{
	struct world *w =
	    places_begin("minimal_backoff_time = 3000s\nmaximal_backoff_time = 3000s\nindex_delay = 0\n");
	struct scheduler *s = w->queue.scheduler;
	char name[40];

	(void)state;
	s->hops_max = 8;
	for (unsigned i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "p%u.test", i);
		places_submit(w, place_new(name, SILENT), 1);
		assert_true(WORLD_UNTIL(w, places_answered == i + 1));
	}
	assert_true(WORLD_UNTIL(w, w->queue.active_jobs == 8 && w->queue.live.count == 8));
	assert_true(s->outside.any);
	for (size_t i = 0; i < 30; i++) {
		places[i].kind = i < 10 ? DEAD : LIVE;
		places_give_up(w, &places[i]);
	}
	for (unsigned i = 0; i < 400 && count_served() < 20; i++)
		places_advance(w, 31 * US_PER_SECOND);
	assert_int_equal(count_served(), 20);
	assert_in_range(table_count(s->hops), 0, 8);
	for (size_t i = 0; i < 10; i++)
		places[i].kind = LIVE;
	for (unsigned i = 0; i < 4000 && count_served() < 30; i++)
		places_advance(w, 31 * US_PER_SECOND);
	assert_int_equal(count_served(), 30);
	for (unsigned i = 0; i < 1000 && s->outside.any; i++)
		places_advance(w, 31 * US_PER_SECOND);
	assert_false(s->outside.any);
	places_end(&w);
}

/* As many transports as there may be: one that is not used any more gives its place. */
static void
test_transports_have_a_bound(void **state)
{
	struct world *w = places_begin("");
	struct scheduler *s = w->queue.scheduler;
	struct hop *hop;

	(void)state;
	s->transports_max = table_count(s->transports) + 2;
	assert_non_null(hop_get(&w->queue, SPAN_LIT("one"), SPAN_LIT("far.test")));
	hop = hop_get(&w->queue, SPAN_LIT("two"), SPAN_LIT("far.test"));
	assert_non_null(hop);
	assert_non_null(hop_get(&w->queue, SPAN_LIT("two"), SPAN_LIT("other.test")));
	assert_null(hop_get(&w->queue, SPAN_LIT("three"), SPAN_LIT("far.test")));
	assert_true(s->outside.any);
	hop_free(&w->queue, hop);
	assert_null(hop_get(&w->queue, SPAN_LIT("three"), SPAN_LIT("far.test")));
	hop_free(&w->queue, hop_get(&w->queue, SPAN_LIT("two"), SPAN_LIT("other.test")));
	assert_non_null(hop_get(&w->queue, SPAN_LIT("three"), SPAN_LIT("far.test")));
	places_end(&w);
}

/* ---- memory ---- */

static void
test_no_more_than_a_share_is_in_memory(void **state)
{
	struct world *w = places_begin("qmgr_message_active_limit = 1000\n");
	struct place *silent = place_new("silent.test", SILENT), *other = place_new("other.test", SILENT);
	struct place *third = place_new("third.test", LIVE);
	struct queue *q = &w->queue;

	(void)state;
	places_submit_many(w, silent, 1500);
	places_submit_many(w, other, 100);
	assert_true(WORLD_UNTIL(w, places_answered == 1600));
	assert_true(q->scheduler->waiting <= 1001);
	assert_true(WORLD_UNTIL(w, q->live.count <= 1000 + 2 * 5 + 1));
	places_submit(w, third, 1);
	assert_true(WORLD_UNTIL(w, third->recipients == 1));
	/* Room comes back, and all that waits in the index with it. */
	silent->kind = other->kind = LIVE;
	places_give_up(w, silent);
	places_give_up(w, other);
	for (int i = 0; i < 200 && (silent->recipients < 1500 || other->recipients < 100); i++)
		places_advance(w, US_PER_SECOND / 4);
	assert_int_equal(silent->recipients, 1500);
	assert_int_equal(other->recipients, 100);
	assert_int_equal(q->scheduler->waiting, 0);
	places_end(&w);
}

/*
 * What a fetch brought is asked for its route anew and finds no room then: it lies in front of where that fetch came to, and
 * the next must not begin behind it. Fresh mail is due at 0, so that the id alone says where that is.
 */
static void
test_what_goes_back_to_the_index_is_fetched_again(void **state)
{
	struct world *w = places_begin("");
	struct place *p = place_new("far.test", SILENT);
	struct hop *hop = hop_of(w, p);

	(void)state;
	hop->after = (struct row_place){0, 1000};
	/* Behind it nothing is passed over. */
	scheduler_note_due(&w->queue, SPAN_LIT("smtp"), SPAN_LIT("far.test"), 0, 1001);
	scheduler_note_due(&w->queue, SPAN_LIT("smtp"), SPAN_LIT("far.test"), 500, 999);
	assert_int_equal(hop->after.id, 1000);
	scheduler_note_due(&w->queue, SPAN_LIT("smtp"), SPAN_LIT("far.test"), 0, 999);
	assert_int_equal(hop->after.id, 0);
	hop->after = (struct row_place){500, 1000};
	scheduler_note_due(&w->queue, SPAN_LIT("smtp"), SPAN_LIT("far.test"), 501, 1);
	assert_int_equal(hop->after.due, 500);
	scheduler_note_due(&w->queue, SPAN_LIT("smtp"), SPAN_LIT("far.test"), 0, 2000);
	assert_int_equal(hop->after.due, 0);
	assert_int_equal(hop->after.id, 0);
	places_end(&w);
}

/* ---- dead places ---- */

static void
test_a_dead_place_is_asked_rarely_and_comes_back_softly(void **state)
{
	struct world *w = places_begin("minimal_backoff_time = 300s\nmaximal_backoff_time = 4000s\n"
				       "maximal_queue_lifetime = 30d\n");
	struct place *p = place_new("dead.test", DEAD);
	unsigned jobs;

	(void)state;
	places_submit_many(w, p, 400);
	assert_true(WORLD_UNTIL(w, places_answered == 400));
	for (int i = 0; i < 20; i++)
		world_turn(w, 5);
	/* Four failures of the first five jobs make it down (one cohort with negative feedback 1). */
	assert_true(p->jobs <= 6);
	assert_int_equal(hop_of(w, p)->ready, 0);
	assert_true(hop_of(w, p)->down_since_us != 0);
	jobs = p->jobs;
	for (int i = 0; i < 6 * 60; i++)
		places_advance(w, 60 * US_PER_SECOND);
	/* At most one question in minimal_backoff_time, and not one less than a time in maximal_backoff_time. */
	assert_in_range(p->jobs - jobs, 5, 6 * 3600 / 300);
	assert_int_equal(p->most_active <= 5, true);
	p->kind = LIVE;
	p->most_active = 0;
	for (int i = 0; i < 2400 && p->recipients < 400; i++)
		places_advance(w, 30 * US_PER_SECOND);
	assert_int_equal(p->recipients, 400);
	assert_true(p->most_active <= 20);
	assert_int_equal(hop_of(w, p)->down_since_us, 0);
	places_end(&w);
}

static void
test_what_failed_together_does_not_come_back_together(void **state)
{
	struct world *w = places_begin("minimal_backoff_time = 800s\nmaximal_backoff_time = 4000s\n");
	int64_t least = INT64_MAX, most = 0;
	unsigned buckets[11] = {0};

	(void)state;
	for (int i = 0; i < 2000; i++) {
		int64_t wait = scheduler_backoff_us(&w->queue, 1);

		least = wait < least ? wait : least;
		most = wait > most ? wait : most;
		buckets[(wait - 800 * US_PER_SECOND) / (10 * US_PER_SECOND)]++;
	}
	assert_true(least >= 800 * US_PER_SECOND && most <= 900 * US_PER_SECOND);
	for (int i = 0; i < 10; i++)
		assert_in_range(buckets[i], 130, 280);
	places_end(&w);
}

static void
test_an_operator_is_answered_at_once(void **state)
{
	struct world *w = places_begin("minimal_backoff_time = 3000s\nmaximal_backoff_time = 4000s\n");
	struct place *p = place_new("dead.test", DEAD);
	struct message *m;
	uint64_t *ids;
	size_t count;
	unsigned jobs;

	(void)state;
	places_submit(w, p, 1);
	for (int i = 0; i < 4; i++)
		places_submit(w, p, 1);
	assert_true(WORLD_UNTIL(w, hop_of(w, p)->down_since_us != 0 && hop_of(w, p)->ready == 0));
	jobs = p->jobs;
	p->kind = LIVE;
	for (int i = 0; i < 10; i++)
		world_turn(w, 5);
	assert_int_equal(p->jobs, jobs);
	ids = message_ids(&w->queue.live, &count);
	assert_true(count > 0);
	m = message_find(&w->queue.live, ids[0]);
	free(ids);
	m->recipients[0]->p.due_spool_us = 0;
	scheduler_add(&w->queue, m, true);
	assert_true(WORLD_UNTIL(w, p->recipients == 1));
	assert_true(WORLD_UNTIL(w, hop_of(w, p)->down_since_us == 0));
	places_end(&w);
}

/* sendmail -v waits for the word that nothing more comes. */
static void
test_who_watches_is_told_that_it_is_put_off(void **state)
{
	struct world *w = places_begin("minimal_backoff_time = 300s\nmaximal_backoff_time = 4000s\n"
				       "default_destination_concurrency_failed_cohort_limit = 1\n");
	struct place *dead = place_new("dead.test", DEAD);

	(void)state;
	places_submit_many(w, dead, 20);
	assert_true(WORLD_UNTIL(w, hop_is_resting(hop_of(w, dead))));
	places_submit_flags = MAIL_TRACE;
	places_submit_many(w, dead, 1);
	places_submit_flags = 0;
	assert_true(WORLD_UNTIL(w, w->trace_ends == 1));
	places_end(&w);
}

/* ---- rates ---- */

static void
test_a_pause_between_jobs_of_a_destination(void **state)
{
	struct world *w = places_begin("smtp_destination_rate_delay = 10s\n");
	struct place *p = place_new("far.test", LIVE), *q = place_new("other.test", LIVE);

	(void)state;
	places_submit_many(w, p, 5);
	places_submit_many(w, q, 5);
	assert_true(WORLD_UNTIL(w, p->recipients == 1 && q->recipients == 1));
	for (int i = 0; i < 60 && p->recipients + q->recipients < 10; i++)
		places_advance(w, US_PER_SECOND);
	assert_int_equal(p->recipients, 5);
	assert_int_equal(q->recipients, 5);
	assert_true(p->least_gap_us >= 10 * US_PER_SECOND);
	assert_int_equal(p->most_active, 1);
	places_end(&w);
}

static void
test_a_pause_between_jobs_of_a_transport(void **state)
{
	struct world *w = places_begin("smtp_transport_rate_delay = 10s\n");
	struct place *p[3] = {
	    place_new("a.test", LIVE), place_new("b.test", LIVE), place_new("c.test", LIVE)};
	unsigned total = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		places_submit_many(w, p[i], 2);
	assert_true(WORLD_UNTIL(w, places_answered == 6));
	for (int i = 0; i < 55; i++) {
		unsigned before = total;

		total = p[0]->jobs + p[1]->jobs + p[2]->jobs;
		assert_true(total <= before + 1 || i == 0);
		assert_true(total <= 1 + (unsigned)i / 10 + 1);
		places_advance(w, US_PER_SECOND);
	}
	assert_int_equal(p[0]->recipients + p[1]->recipients + p[2]->recipients, 6);
	assert_int_equal(p[0]->recipients, 2);
	places_end(&w);
}

/* A hop whose turn it was has no worker, and then no mail: those behind it go on. */
static void
test_a_turn_that_comes_to_nothing_holds_up_nobody(void **state)
{
	struct world *w = places_begin("smtp_transport_rate_delay = 10s\n");
	struct place *first = place_new("first.test", LIVE), *gone = place_new("gone.test", LIVE),
		     *last = place_new("last.test", LIVE);

	(void)state;
	places_submit_many(w, first, 1);
	assert_true(WORLD_UNTIL(w, first->recipients == 1));
	places_submit_many(w, gone, 1);
	places_submit_many(w, last, 1);
	w->no_delivery = true;
	places_advance(w, 10 * US_PER_SECOND);
	assert_true(WORLD_UNTIL(w, hop_of(w, gone)->pause_us != 0));
	scheduler_take_out(&w->queue, TAILQ_FIRST(&hop_of(w, gone)->tasks)->message);
	w->no_delivery = false;
	for (int i = 0; i < 30 && last->recipients == 0; i++)
		places_advance(w, US_PER_SECOND);
	assert_int_equal(last->recipients, 1);
	assert_int_equal(gone->recipients, 0);
	places_end(&w);
}

/* ---- defer_transports ---- */

/* What comes back from the index was asked for or not, as its due time says; fresh mail never was. */
static void
test_a_deferred_transport_waits_until_it_is_asked_for(void **state)
{
	struct world *w = places_begin("defer_transports = uucp, smtp\nminimal_backoff_time = 300s\n"
				       "maximal_backoff_time = 300s\n");
	struct place *p = place_new("far.test", LIVE);

	(void)state;
	places_submit_many(w, p, 20);
	assert_true(WORLD_UNTIL(w, places_answered == 20 && hop_of(w, p)->ready == 0));
	assert_true(WORLD_UNTIL(w, hop_of(w, p)->index_due_us != INT64_MAX));
	for (int i = 0; i < 60; i++)
		places_advance(w, 10 * US_PER_SECOND);
	assert_int_equal(p->jobs, 0);
	assert_true(WORLD_UNTIL(w, hop_of(w, p)->index_due_us != INT64_MAX));
	hop_ask_for(hop_of(w, p), spool_clock_now() + 600 * US_PER_SECOND);
	for (int i = 0; i < 200 && p->recipients < 20; i++)
		places_advance(w, 10 * US_PER_SECOND);
	assert_int_equal(p->recipients, 20);
	places_submit(w, p, 1);
	assert_true(WORLD_UNTIL(w, places_answered == 21 && hop_of(w, p)->ready == 0));
	assert_int_equal(p->recipients, 20);
	places_end(&w);
}

/* ---- limits by name ---- */

/* Minutes for each buffer of a slow line: the message is not sent beside itself. A worker that has lost it is another matter. */
static void
test_a_job_may_take_hours(void **state)
{
	struct world *w = places_begin("");
	struct place *p = place_new("slow.test", SILENT);

	(void)state;
	places_say_where = true;
	places_submit(w, p, 1);
	assert_true(WORLD_UNTIL(w, p->active == 1));
	for (int i = 0; i < 20; i++)
		places_advance(w, 1200 * US_PER_SECOND);
	assert_int_equal(p->jobs, 1);
	places_say_where = false;
	p->active = 0; /* lost */
	for (int i = 0; i < 8; i++)
		places_advance(w, 1200 * US_PER_SECOND);
	assert_true(WORLD_UNTIL(w, p->jobs == 2));
	places_end(&w);
}

static void
test_limits_of_transports(void **state)
{
	struct world *w =
	    places_begin("default_destination_concurrency_limit = 7\nsmtp_destination_concurrency_limit = 3\n"
			 "lmtp_initial_destination_concurrency = 2\nrelay_destination_recipient_limit = 9\n"
			 "relay_destination_concurrency_positive_feedback = 1/concurrency\n"
			 "smtp_destination_concurrency_failed_cohort_limit = 4\n");
	struct transport *smtp = transport_get(&w->queue, SPAN_LIT("smtp"));
	struct transport *lmtp = transport_get(&w->queue, SPAN_LIT("lmtp"));
	struct transport *relay = transport_get(&w->queue, SPAN_LIT("relay"));

	(void)state;
	assert_int_equal(smtp->rules.most, 3);
	assert_int_equal(smtp->rules.initial, 3);
	assert_int_equal(smtp->rules.cohorts, 4);
	assert_int_equal(lmtp->rules.most, 7);
	assert_int_equal(lmtp->rules.initial, 2);
	assert_int_equal(relay->recipient_limit, 9);
	assert_int_equal(relay->rules.positive.kind, FEEDBACK_BY_WINDOW);
	assert_int_equal(relay->rules.initial, 5);
	places_end(&w);
}

static unsigned
active_of(struct place *const *p, size_t count)
{
	unsigned active = 0;

	for (size_t i = 0; i < count; i++)
		active += p[i]->active;
	return active;
}

/* What waits for commands that take their time would take the places of others, however many destinations it has. */
static void
test_a_transport_has_no_more_jobs_than_it_may_have(void **state)
{
	static const char *const names[] = {"a.test", "b.test", "c.test", "d.test", "e.test"};
	struct world *w = places_begin("");
	struct place *p[5];
	struct transport *t;

	(void)state;
	t = transport_get(&w->queue, SPAN_LIT("smtp"));
	t->active_most = 3;
	for (unsigned i = 0; i < 5; i++) {
		p[i] = place_new(names[i], SILENT);
		places_submit_many(w, p[i], 4);
	}
	for (unsigned left = 20; left > 0; left--) {
		unsigned i = 0, most = left < 3 ? left : 3;

		assert_true(
		    WORLD_UNTIL(w, places_answered == 20 && t->active == most && active_of(p, 5) == most));
		while (p[i]->active == 0)
			i++;
		p[i]->kind = LIVE;
		place_answer(w, p[i], p[i]->waiting[p[i]->active - 1]);
		p[i]->kind = SILENT;
	}
	assert_true(WORLD_UNTIL(w, t->active == 0));
	for (unsigned i = 0; i < 5; i++)
		assert_true(p[i]->recipients == 4 && p[i]->most_active <= 3);
	places_end(&w);
}

static void
test_a_transport_is_what_it_is_configured_to_be(void **state)
{
	struct world *w = places_begin(
	    "filter_destination_concurrency_limit = 2\nlocal_destination_concurrency_limit = 2\n");
	struct transport *filter = transport_get(&w->queue, SPAN_LIT("filter"));
	struct conf *later;
	struct error err;

	(void)state;
	assert_int_equal(filter->kind, HOP_TO_DELIVERY);
	later = conf_from_text("transport_services = filter unix - n n - - pipe user=nobody argv=/bin/cat\n"
			       "filter_destination_concurrency_limit = 3\n",
	    &err);
	assert_non_null(later);
	w->queue.conf = later->values;
	scheduler_configured(&w->queue);
	assert_int_equal(filter->kind, HOP_TO_LOCAL);
	assert_int_equal(filter->rules.most, 3);
	assert_int_equal(filter->active_most, 20);
	/* Of all mailboxes of a domain. */
	assert_int_equal(transport_get(&w->queue, SPAN_LIT("local"))->rules.most, 20);
	w->queue.conf = w->conf->values;
	conf_unref(&later);
	places_end(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fresh_mail_passes_a_silent_place_and_a_list),
	    cmocka_unit_test(test_a_lists_recipients_take_turns_with_others),
	    cmocka_unit_test(test_places_that_do_not_answer_leave_room),
	    cmocka_unit_test(test_many_that_are_ready_at_once_begin_in_shares),
	    cmocka_unit_test(test_hops_without_a_place_are_found_later),
	    cmocka_unit_test(test_transports_have_a_bound),
	    cmocka_unit_test(test_no_more_than_a_share_is_in_memory),
	    cmocka_unit_test(test_what_goes_back_to_the_index_is_fetched_again),
	    cmocka_unit_test(test_a_dead_place_is_asked_rarely_and_comes_back_softly),
	    cmocka_unit_test(test_what_failed_together_does_not_come_back_together),
	    cmocka_unit_test(test_an_operator_is_answered_at_once),
	    cmocka_unit_test(test_a_pause_between_jobs_of_a_destination),
	    cmocka_unit_test(test_a_pause_between_jobs_of_a_transport),
	    cmocka_unit_test(test_a_transport_has_no_more_jobs_than_it_may_have),
	    cmocka_unit_test(test_who_watches_is_told_that_it_is_put_off),
	    cmocka_unit_test(test_a_turn_that_comes_to_nothing_holds_up_nobody),
	    cmocka_unit_test(test_a_deferred_transport_waits_until_it_is_asked_for),
	    cmocka_unit_test(test_a_job_may_take_hours),
	    cmocka_unit_test(test_limits_of_transports),
	    cmocka_unit_test(test_a_transport_is_what_it_is_configured_to_be),
	};

	places = calloc(PLACES, sizeof(*places));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
