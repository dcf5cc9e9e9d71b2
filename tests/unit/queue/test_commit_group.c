/*
 * Group commit on a disk whose flush takes long: clients that send one message after the other, simulated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "queue/log/commit_group.h"

enum { MOST = 200, SECOND = 1000000, STEP = 50 };

struct world {
	int64_t flush_us;
	int64_t away_us,
	    spread_us; /* a client comes again so long after its answer, and up to so much later */
	unsigned clients;
	bool patient; /* commit_group_wait() is asked */

	struct commit_group group;
	int64_t back_us[MOST]; /* when each comes again; -1: it waits */
	unsigned flushes, answered;
	int64_t waited_us; /* all clients together, from coming to the answer */
};

static void
come(struct world *w, int64_t now, unsigned *waiting)
{
	for (unsigned i = 0; i < w->clients; i++)
		if (w->back_us[i] >= 0 && w->back_us[i] <= now) {
			w->waited_us -= w->back_us[i];
			w->back_us[i] = -1;
			++*waiting;
		}
}

static void
answer(struct world *w, const bool *in_flush, int64_t now)
{
	for (unsigned i = 0; i < w->clients; i++)
		if (in_flush[i]) {
			w->waited_us += now;
			w->answered++;
			w->back_us[i] = now + w->away_us + (w->spread_us ? rand() % w->spread_us : 0);
		}
}

/* Ten seconds of it. */
static void
play(struct world *w)
{
	unsigned waiting = 0;
	int64_t now = 1;

	srand(5);
	for (unsigned i = 0; i < w->clients; i++)
		w->back_us[i] = 1 + rand() % (int)(w->away_us + w->spread_us + 1);
	while (now < 10 * SECOND) {
		bool in_flush[MOST];
		int64_t begun;

		come(w, now, &waiting);
		if (waiting == 0 || (w->patient && commit_group_wait(&w->group, waiting, now) > 0)) {
			now += STEP;
			continue;
		}
		for (unsigned i = 0; i < w->clients; i++)
			in_flush[i] = w->back_us[i] < 0;
		begun = now;
		now += w->flush_us;
		w->flushes++;
		commit_group_flushed(&w->group, waiting, begun, now);
		waiting = 0;
		for (unsigned i = 0; i < w->clients; i++)
			if (w->back_us[i] >= 0 && w->back_us[i] <= now) {
				w->waited_us -= w->back_us[i];
				w->back_us[i] = -2; /* came during the flush */
			}
		answer(w, in_flush, now);
		for (unsigned i = 0; i < w->clients; i++)
			if (w->back_us[i] == -2) {
				w->back_us[i] = -1;
				waiting++;
			}
	}
}

static void
test_groups_follow_the_clients(void **state)
{
	static const struct {
		const char *why;
		struct world w;
		double faster_from, faster_to; /* answered, against a commit that never waits */
	} rows[] = {
	    {"two half groups become one",
		{.flush_us = 5000, .away_us = 1500, .spread_us = 1000, .clients = 20}, 1.3, 3},
	    {"so with few", {.flush_us = 5000, .away_us = 1500, .spread_us = 500, .clients = 5}, 1.2, 3},
	    {"and many", {.flush_us = 5000, .away_us = 2000, .spread_us = 2000, .clients = 150}, 1.1, 3},
	    {"one alone waits for nobody",
		{.flush_us = 5000, .away_us = 1500, .spread_us = 500, .clients = 1}, 0.99, 1.01},
	    {"a fast disk is not waited for",
		{.flush_us = 200, .away_us = 1000, .spread_us = 500, .clients = 20}, 0.99, 1.01},
	    {"who stays away longer than a flush is not waited for",
		{.flush_us = 5000, .away_us = 40000, .spread_us = 40000, .clients = 100}, 0.95, 1.05},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world hasty = rows[i].w, patient = rows[i].w;
		double faster;

		patient.patient = true;
		play(&hasty);
		play(&patient);
		faster = (double)patient.answered / hasty.answered;
		if (faster < rows[i].faster_from || faster > rows[i].faster_to)
			fail_msg("%s: %u answered in %u flushes, %u in %u without waiting", rows[i].why,
			    patient.answered, patient.flushes, hasty.answered, hasty.flushes);
		/* Waiting never costs anybody more than one flush in the mean. */
		assert_true(patient.waited_us / patient.answered <
			    hasty.waited_us / hasty.answered + rows[i].w.flush_us / 5);
	}
}

/* Waiting that was in vain is tried ever more rarely, and at once again where it is worth it. */
static void
test_what_is_in_vain_is_tried_rarely(void **state)
{
	struct commit_group g = {0};
	unsigned waits = 0, row = 0, longest = 0;
	int64_t now = 1000;

	(void)state;
	commit_group_flushed(&g, 20, now - 5000, now);
	for (unsigned i = 0; i < 300; i++) {
		int64_t wait = commit_group_wait(&g, 2, now + 500);

		row = wait > 0 ? 0 : row + 1;
		longest = row > longest ? row : longest;
		if (wait > 0) {
			waits++;
			assert_int_equal(wait, 4500);
			assert_int_equal(commit_group_wait(&g, 2, now + 5000), 0);
			now += 5000;
		}
		commit_group_flushed(&g, 20, now, now + 5000);
		now += 5000;
	}
	assert_in_range(waits, 5, 12);
	assert_int_equal(longest, 63);

	/* The group comes whole: no rest is left behind it. */
	while (commit_group_wait(&g, 2, now + 500) == 0) {
		commit_group_flushed(&g, 20, now, now + 5000);
		now += 5000;
	}
	assert_int_equal(commit_group_wait(&g, 20, now + 600), 0);
	commit_group_flushed(&g, 20, now + 600, now + 5600);
	now += 5600;
	assert_true(commit_group_wait(&g, 2, now + 500) > 0);
	assert_int_equal(commit_group_wait(&g, 2, now + 5000), 0);
	/* In vain, for the first time again: one rest. */
	for (unsigned i = 0; i < 2; i++) {
		commit_group_flushed(&g, 20, now + 5000, now + 10000);
		now += 10000;
		assert_int_equal(commit_group_wait(&g, 2, now + 500) > 0, i);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_groups_follow_the_clients),
	    cmocka_unit_test(test_what_is_in_vain_is_tried_rarely),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
