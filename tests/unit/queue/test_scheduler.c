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
#include "tests/unit/queue/world.h"

/* ---- the clock ---- */

static _Atomic int64_t ahead_us;

static int64_t
real_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

int64_t
clock_mono_us(void)
{
	return real_us(CLOCK_MONOTONIC) + ahead_us;
}

int64_t
clock_wall_us(void)
{
	return real_us(CLOCK_REALTIME) + ahead_us;
}

/* ---- destinations ---- */

enum kind { LIVE, DEAD, SILENT };

struct place {
	char name[40];
	enum kind kind;
	unsigned active, most_active, jobs, recipients;
	int64_t last_us, least_gap_us; /* between the ends of jobs and the next beginnings */
	uint32_t waiting[WORLD_JOBS_MAX]; /* calls without an answer */
};

enum { PLACES = 4000, CALLS = 65536 };

static struct place *places;
static size_t place_count;
static struct {
	uint32_t place, recipients;
} calls[CALLS];

static struct place *
place_of(struct span name)
{
	for (size_t i = 0; i < place_count; i++)
		if (span_is(name, places[i].name))
			return &places[i];
	fail_msg("no such place: %.*s", SPAN_ARG(name));
	return NULL;
}

static struct place *
place_new(const char *name, enum kind kind)
{
	struct place *p = &places[place_count++];

	memset(p, 0, sizeof(*p));
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->kind = kind;
	p->least_gap_us = INT64_MAX;
	return p;
}

static void
answer(struct world *w, struct place *p, uint32_t call)
{
	struct msg_job_outcome o = {.class = p->kind == LIVE ? OUTCOME_DELIVERED : OUTCOME_DEFERRED,
	    .status = SPAN_LIT("4.4.1"),
	    .relay = SPAN_LIT("none"),
	    .text = SPAN_LIT("connect: Connection refused")};
	struct msg_job_done done = {.destination = p->kind == LIVE ? HOP_UP : HOP_DOWN,
	    .text = SPAN_LIT("connect: Connection refused")};

	for (uint32_t i = 0; i < calls[call % CALLS].recipients; i++) {
		o.index = i;
		ipc_send(w->delivery, IPC_JOB_OUTCOME, call, &o);
	}
	ipc_send(w->delivery, IPC_JOB_DONE, call, &done);
	p->active--;
	p->last_us = clock_mono_us();
	if (p->kind == LIVE)
		p->recipients += calls[call % CALLS].recipients;
}

static void
on_job(struct world *w, const struct ipc_frame *frame)
{
	struct place *p;

	if (frame->type == IPC_JOB_OPEN) {
		p = place_of(frame->job_open.nexthop);
		calls[frame->call % CALLS].place = (uint32_t)(p - places);
		calls[frame->call % CALLS].recipients = frame->job_open.recipients;
		p->jobs++;
		if (++p->active > p->most_active)
			p->most_active = p->active;
		if (p->last_us != 0 && clock_mono_us() - p->last_us < p->least_gap_us)
			p->least_gap_us = clock_mono_us() - p->last_us;
	} else if (frame->type == IPC_JOB_GO) {
		p = &places[calls[frame->call % CALLS].place];
		if (p->kind == SILENT)
			p->waiting[p->active - 1] = frame->call;
		else
			answer(w, p, frame->call);
	}
}

/* The time-out of all that it was asked. */
static void
give_up(struct world *w, struct place *p)
{
	unsigned n = p->active;
	uint32_t waiting[WORLD_JOBS_MAX];

	memcpy(waiting, p->waiting, sizeof(waiting));
	for (unsigned i = 0; i < n; i++)
		answer(w, p, waiting[i]);
}

/* ---- the world ---- */

static unsigned answered;

static int
on_submitted(void *context, const struct ipc_frame *frame, struct error *err)
{
	(void)context;
	(void)err;
	if (frame && frame->type == IPC_SUBMIT_ANSWER && frame->submit_answer.status == SUBMIT_OK)
		answered++;
	return 0;
}

static unsigned submit_flags;

static void
submit(struct world *w, const struct place *p, unsigned recipients)
{
	struct msg_submit_open open = {
	    .sender = SPAN_LIT("s@here.test"), .protocol = SPAN_LIT("ESMTP"), .flags = submit_flags};
	struct msg_submit_close end = {.prepend = SPAN_LIT("Received: by here\r\n"), .header_len = 20};
	uint32_t call = ipc_ask(w->submitter, IPC_SUBMIT_OPEN, &open, 0, on_submitted, w);
	char address[80];

	assert_int_not_equal(call, 0);
	for (unsigned i = 0; i < recipients; i++) {
		struct msg_submit_rcpt rcpt = {.transport = SPAN_LIT("smtp"),
		    .nexthop = span_of(p->name),
		    .generation = 1,
		    .recipient = span_make(address, 0)};

		rcpt.recipient.len = (size_t)snprintf(address, sizeof(address), "r%u@%s", i, p->name);
		ipc_send(w->submitter, IPC_SUBMIT_RCPT, call, &rcpt);
	}
	ipc_send(w->submitter, IPC_SUBMIT_CLOSE, call, &end);
}

static void
submit_many(struct world *w, const struct place *p, unsigned messages)
{
	unsigned wanted = answered + messages;

	for (unsigned i = 0; i < messages; i++) {
		submit(w, p, 1);
		if (i % 500 == 499 || i + 1 == messages)
			assert_true(WORLD_UNTIL(w, answered == wanted - messages + i + 1));
	}
}

/* The clock moves, and whatever has a timer looks at it. */
static void
advance(struct world *w, int64_t us)
{
	struct scheduler *s = w->queue.scheduler;
	size_t position = 0;
	struct transport *t;
	struct span key;

	ahead_us += us;
	event_active(s->wake_event, EV_TIMEOUT, 0);
	event_active(w->queue.tick_event, EV_TIMEOUT, 0);
	while ((t = table_next(s->transports, &position, &key)))
		if (t->timer && event_pending(t->timer, EV_TIMEOUT, NULL))
			event_active(t->timer, EV_TIMEOUT, 0);
	for (int i = 0; i < 3; i++)
		world_turn(w, 2);
}

static struct world *
begin(const char *settings)
{
	struct world *w;

	place_count = 0;
	answered = 0;
	w = world_open(NULL, settings);
	w->on_job = on_job;
	return w;
}

static void
end(struct world **w)
{
	char dir[64];

	snprintf(dir, sizeof(dir), "%s", (*w)->dir);
	for (size_t i = 0; i < place_count; i++) {
		enum kind kind = places[i].kind;

		places[i].kind = DEAD;
		if (kind == SILENT)
			give_up(*w, &places[i]);
	}
	world_close(w);
	world_remove(dir);
}

static struct hop *
hop_of(struct world *w, const struct place *p)
{
	return hop_get(&w->queue, SPAN_LIT("smtp"), span_of(p->name));
}

/* ---- who is served ---- */

static void
test_fresh_mail_passes_a_silent_place_and_a_list(void **state)
{
	struct world *w = begin("minimal_backoff_time = 300s\nmaximal_backoff_time = 4000s\n");
	struct place *silent = place_new("silent.test", SILENT), *list = place_new("list.test", SILENT);
	struct place *third = place_new("third.test", LIVE);
	int64_t before;

	(void)state;
	submit_many(w, silent, 3000);
	submit(w, list, 3000);
	assert_true(WORLD_UNTIL(w, answered == 3001 && list->active == 5));
	before = real_us(CLOCK_MONOTONIC);
	submit(w, third, 1);
	assert_true(WORLD_UNTIL(w, third->recipients == 1));
	assert_true(real_us(CLOCK_MONOTONIC) - before < US_PER_SECOND);
	assert_int_equal(silent->active, 5);
	end(&w);
}

static void
test_a_lists_recipients_take_turns_with_others(void **state)
{
	struct world *w = begin("");
	struct place *p = place_new("far.test", SILENT);

	(void)state;
	submit(w, p, 2000);
	assert_true(WORLD_UNTIL(w, p->active == 5));
	submit(w, p, 1);
	assert_true(WORLD_UNTIL(w, answered == 2));
	p->kind = LIVE;
	/* The list's next part stands in front of the newcomer, and no more of it than that. */
	for (unsigned jobs = p->jobs; p->active > 0 && p->jobs == jobs;) {
		answer(w, p, p->waiting[p->active - 1]);
		p->kind = SILENT;
		for (int i = 0; i < 20; i++)
			world_turn(w, 2);
	}
	assert_int_equal(p->jobs, 6 + 1); /* the window grew by one */
	assert_int_equal(hop_of(w, p)->ready, 1);
	end(&w);
}

static void
test_places_that_do_not_answer_leave_room(void **state)
{
	struct world *w = begin("");
	struct place *good = place_new("good.test", LIVE), *late;
	unsigned active = 0;

	(void)state;
	submit(w, good, 1);
	assert_true(WORLD_UNTIL(w, good->recipients == 1));
	for (unsigned i = 0; i < 1600; i++) {
		char name[40];

		snprintf(name, sizeof(name), "hole%u.test", i);
		submit(w, place_new(name, SILENT), 1);
		if (i % 200 == 199)
			assert_true(WORLD_UNTIL(w, answered == i + 2));
	}
	for (size_t i = 0; i < place_count; i++)
		active += places[i].active;
	assert_int_equal(active, 1500); /* three quarters of all */
	submit(w, good, 1);
	assert_true(WORLD_UNTIL(w, good->recipients == 2));
	/* They give up: those that were not asked have their turn, and what is known to fail has a quarter. */
	for (size_t i = 1; i < place_count; i++) {
		places[i].kind = DEAD;
		give_up(w, &places[i]);
	}
	late = place_new("late.test", LIVE);
	submit(w, late, 1);
	assert_true(WORLD_UNTIL(w, late->recipients == 1));
	end(&w);
}

/* Who waits for a 250, and the workers themselves, have a turn between. */
static void
test_many_that_are_ready_at_once_begin_in_shares(void **state)
{
	struct world *w = begin("");
	unsigned before, most = 0;

	(void)state;
	for (unsigned i = 0; i < 700; i++) {
		char name[40];

		snprintf(name, sizeof(name), "p%u.test", i);
		submit(w, place_new(name, SILENT), 1);
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
	end(&w);
}

/* ---- memory ---- */

static void
test_no_more_than_a_share_is_in_memory(void **state)
{
	struct world *w = begin("qmgr_message_active_limit = 1000\n");
	struct place *silent = place_new("silent.test", SILENT), *other = place_new("other.test", SILENT);
	struct place *third = place_new("third.test", LIVE);
	struct queue *q = &w->queue;

	(void)state;
	submit_many(w, silent, 1500);
	submit_many(w, other, 100);
	assert_true(WORLD_UNTIL(w, answered == 1600));
	assert_true(q->scheduler->waiting <= 1001);
	assert_true(WORLD_UNTIL(w, q->live.count <= 1000 + 2 * 5 + 1));
	submit(w, third, 1);
	assert_true(WORLD_UNTIL(w, third->recipients == 1));
	/* Room comes back, and all that waits in the index with it. */
	silent->kind = other->kind = LIVE;
	give_up(w, silent);
	give_up(w, other);
	for (int i = 0; i < 200 && (silent->recipients < 1500 || other->recipients < 100); i++)
		advance(w, US_PER_SECOND / 4);
	assert_int_equal(silent->recipients, 1500);
	assert_int_equal(other->recipients, 100);
	assert_int_equal(q->scheduler->waiting, 0);
	end(&w);
}

/* ---- dead places ---- */

static void
test_a_dead_place_is_asked_rarely_and_comes_back_softly(void **state)
{
	struct world *w = begin("minimal_backoff_time = 300s\nmaximal_backoff_time = 4000s\n"
				"maximal_queue_lifetime = 30d\n");
	struct place *p = place_new("dead.test", DEAD);
	unsigned jobs;

	(void)state;
	submit_many(w, p, 400);
	assert_true(WORLD_UNTIL(w, answered == 400));
	for (int i = 0; i < 20; i++)
		world_turn(w, 5);
	/* Four failures of the first five jobs make it down (one cohort with negative feedback 1). */
	assert_true(p->jobs <= 6);
	assert_int_equal(hop_of(w, p)->ready, 0);
	assert_true(hop_of(w, p)->down_since_us != 0);
	jobs = p->jobs;
	for (int i = 0; i < 6 * 60; i++)
		advance(w, 60 * US_PER_SECOND);
	/* At most one question in minimal_backoff_time, and not one less than a time in maximal_backoff_time. */
	assert_in_range(p->jobs - jobs, 5, 6 * 3600 / 300);
	assert_int_equal(p->most_active <= 5, true);
	p->kind = LIVE;
	p->most_active = 0;
	for (int i = 0; i < 240 && p->recipients < 400; i++)
		advance(w, 30 * US_PER_SECOND);
	assert_int_equal(p->recipients, 400);
	assert_true(p->most_active <= 20);
	assert_int_equal(hop_of(w, p)->down_since_us, 0);
	end(&w);
}

static void
test_what_failed_together_does_not_come_back_together(void **state)
{
	struct world *w = begin("minimal_backoff_time = 800s\nmaximal_backoff_time = 4000s\n");
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
	end(&w);
}

static void
test_an_operator_is_answered_at_once(void **state)
{
	struct world *w = begin("minimal_backoff_time = 3000s\nmaximal_backoff_time = 4000s\n");
	struct place *p = place_new("dead.test", DEAD);
	struct message *m;
	uint64_t *ids;
	size_t count;
	unsigned jobs;

	(void)state;
	submit(w, p, 1);
	for (int i = 0; i < 4; i++)
		submit(w, p, 1);
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
	end(&w);
}

/* sendmail -v waits for the word that nothing more comes. */
static void
test_who_watches_is_told_that_it_is_put_off(void **state)
{
	struct world *w = begin("minimal_backoff_time = 300s\nmaximal_backoff_time = 4000s\n"
				"default_destination_concurrency_failed_cohort_limit = 1\n");
	struct place *dead = place_new("dead.test", DEAD);

	(void)state;
	submit_many(w, dead, 20);
	assert_true(WORLD_UNTIL(w, hop_is_resting(hop_of(w, dead))));
	submit_flags = MAIL_TRACE;
	submit_many(w, dead, 1);
	submit_flags = 0;
	assert_true(WORLD_UNTIL(w, w->trace_ends == 1));
	end(&w);
}

/* ---- rates ---- */

static void
test_a_pause_between_jobs_of_a_destination(void **state)
{
	struct world *w = begin("smtp_destination_rate_delay = 10s\n");
	struct place *p = place_new("far.test", LIVE), *q = place_new("other.test", LIVE);

	(void)state;
	submit_many(w, p, 5);
	submit_many(w, q, 5);
	assert_true(WORLD_UNTIL(w, p->recipients == 1 && q->recipients == 1));
	for (int i = 0; i < 60 && p->recipients + q->recipients < 10; i++)
		advance(w, US_PER_SECOND);
	assert_int_equal(p->recipients, 5);
	assert_int_equal(q->recipients, 5);
	assert_true(p->least_gap_us >= 10 * US_PER_SECOND);
	assert_int_equal(p->most_active, 1);
	end(&w);
}

static void
test_a_pause_between_jobs_of_a_transport(void **state)
{
	struct world *w = begin("smtp_transport_rate_delay = 10s\n");
	struct place *p[3] = {
	    place_new("a.test", LIVE), place_new("b.test", LIVE), place_new("c.test", LIVE)};
	unsigned total = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		submit_many(w, p[i], 2);
	assert_true(WORLD_UNTIL(w, answered == 6));
	for (int i = 0; i < 55; i++) {
		unsigned before = total;

		total = p[0]->jobs + p[1]->jobs + p[2]->jobs;
		assert_true(total <= before + 1 || i == 0);
		assert_true(total <= 1 + (unsigned)i / 10 + 1);
		advance(w, US_PER_SECOND);
	}
	assert_int_equal(p[0]->recipients + p[1]->recipients + p[2]->recipients, 6);
	assert_int_equal(p[0]->recipients, 2);
	end(&w);
}

/* A hop whose turn it was has no worker, and then no mail: those behind it go on. */
static void
test_a_turn_that_comes_to_nothing_holds_up_nobody(void **state)
{
	struct world *w = begin("smtp_transport_rate_delay = 10s\n");
	struct place *first = place_new("first.test", LIVE), *gone = place_new("gone.test", LIVE),
		     *last = place_new("last.test", LIVE);

	(void)state;
	submit_many(w, first, 1);
	assert_true(WORLD_UNTIL(w, first->recipients == 1));
	submit_many(w, gone, 1);
	submit_many(w, last, 1);
	w->no_delivery = true;
	advance(w, 10 * US_PER_SECOND);
	assert_true(WORLD_UNTIL(w, hop_of(w, gone)->pause_us != 0));
	scheduler_take_out(&w->queue, TAILQ_FIRST(&hop_of(w, gone)->tasks)->message);
	w->no_delivery = false;
	for (int i = 0; i < 30 && last->recipients == 0; i++)
		advance(w, US_PER_SECOND);
	assert_int_equal(last->recipients, 1);
	assert_int_equal(gone->recipients, 0);
	end(&w);
}

/* ---- limits by name ---- */

static void
test_limits_of_transports(void **state)
{
	struct world *w =
	    begin("default_destination_concurrency_limit = 7\nsmtp_destination_concurrency_limit = 3\n"
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
	end(&w);
}

static void
test_a_transport_is_what_it_is_configured_to_be(void **state)
{
	struct world *w =
	    begin("filter_destination_concurrency_limit = 2\nlocal_destination_concurrency_limit = 2\n");
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
	/* Of all mailboxes of a domain. */
	assert_int_equal(transport_get(&w->queue, SPAN_LIT("local"))->rules.most, 20);
	w->queue.conf = w->conf->values;
	conf_unref(&later);
	end(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fresh_mail_passes_a_silent_place_and_a_list),
	    cmocka_unit_test(test_a_lists_recipients_take_turns_with_others),
	    cmocka_unit_test(test_places_that_do_not_answer_leave_room),
	    cmocka_unit_test(test_many_that_are_ready_at_once_begin_in_shares),
	    cmocka_unit_test(test_no_more_than_a_share_is_in_memory),
	    cmocka_unit_test(test_a_dead_place_is_asked_rarely_and_comes_back_softly),
	    cmocka_unit_test(test_what_failed_together_does_not_come_back_together),
	    cmocka_unit_test(test_an_operator_is_answered_at_once),
	    cmocka_unit_test(test_a_pause_between_jobs_of_a_destination),
	    cmocka_unit_test(test_a_pause_between_jobs_of_a_transport),
	    cmocka_unit_test(test_who_watches_is_told_that_it_is_put_off),
	    cmocka_unit_test(test_a_turn_that_comes_to_nothing_holds_up_nobody),
	    cmocka_unit_test(test_limits_of_transports),
	    cmocka_unit_test(test_a_transport_is_what_it_is_configured_to_be),
	};

	places = calloc(PLACES, sizeof(*places));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
