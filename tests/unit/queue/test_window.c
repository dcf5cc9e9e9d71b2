/*
 * The concurrency window: Postfix's rules, row by row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "queue/scheduler/window.h"

static struct window_rules
rules_of(unsigned initial, unsigned most, unsigned cohorts, const char *positive, const char *negative)
{
	struct window_rules r = {.initial = initial, .most = most, .cohorts = cohorts};
	struct error err;

	assert_int_equal(feedback_parse(positive, &r.positive, &err), 0);
	assert_int_equal(feedback_parse(negative, &r.negative, &err), 0);
	return r;
}

static void
test_runs(void **state)
{
	/* s: a success with the window full; i: one with nothing else under way; f: a failure. */
	static const struct row {
		const char *why;
		unsigned initial, most, cohorts;
		const char *positive, *negative, *events;
		unsigned size;
		bool down;
	} rows[] = {
	    {"it begins with the initial concurrency", 5, 20, 1, "1", "1", "", 5, false},
	    {"the initial concurrency is no more than the limit", 5, 2, 1, "1", "1", "", 2, false},
	    {"each success adds one", 5, 20, 1, "1", "1", "sss", 8, false},
	    {"up to the limit", 5, 7, 1, "1", "1", "ssssss", 7, false},
	    {"limit 0 is none", 5, 0, 1, "1", "1", "ssssssssssssssssssss", 25, false},
	    {"what is not used does not grow", 5, 20, 1, "1", "1", "iiiiiiiiii", 6, false},
	    {"a fraction needs so many", 5, 20, 1, "1/5", "1", "ssss", 5, false},
	    {"and then it steps", 5, 20, 1, "1/5", "1", "sssss", 6, false},
	    {"1/concurrency: about a window full for one step", 5, 20, 1, "1 / concurrency", "1", "sssss", 6,
		false},
	    {"the next step takes longer", 5, 20, 1, "1/concurrency", "1", "ssssssssss", 6, false},
	    {"1/sqrt_concurrency is between", 4, 20, 1, "1/sqrt_concurrency", "1", "ss", 5, false},
	    {"0 never grows", 5, 20, 1, "0", "1", "ssssssssss", 5, false},
	    {"a failure takes one at once", 5, 20, 2, "1", "1", "f", 4, false},
	    {"a small negative feedback, too, is felt at once", 5, 20, 2, "1", "1/4", "f", 4, false},
	    {"and then lasts four failures", 20, 20, 4, "1", "1/4", "ffff", 19, false},
	    {"never below one", 5, 20, 100, "1", "1", "ffffffffff", 1, false},
	    {"one pseudo-cohort: down", 5, 20, 1, "1", "0", "fffff", 1, true},
	    {"one less: not yet", 5, 20, 1, "1", "0", "ffff", 5, false},
	    {"with the default feedback failures weigh more as it shrinks", 5, 20, 1, "1", "1", "fff", 2,
		false},
	    {"so that four of five do it", 5, 20, 1, "1", "1", "ffff", 1, true},
	    {"a success between begins anew", 5, 20, 1, "1", "0", "ffffsffff", 6, false},
	    {"two cohorts", 1, 20, 2, "1", "1", "f", 1, false},
	    {"two cohorts are over", 1, 20, 2, "1", "1", "ff", 1, true},
	    {"0 cohorts: never down", 1, 20, 0, "1", "1", "ffffffffffffffffffff", 1, false},
	    {"back from the dead: the initial one", 5, 20, 1, "1", "1", "ssssfffffffffffffs", 5, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct window_rules r =
		    rules_of(row->initial, row->most, row->cohorts, row->positive, row->negative);
		struct window w;

		window_init(&w, &r);
		for (const char *e = row->events; *e; e++) {
			if (*e == 'f')
				window_failure(&w, &r);
			else
				window_success(&w, &r, *e == 'i' ? 0 : w.size - 1);
		}
		if (w.size != row->size || w.down != row->down)
			fail_msg("%s: window %u, %s", row->why, w.size, w.down ? "down" : "up");
	}
}

static void
test_values_of_feedback(void **state)
{
	static const struct {
		const char *text;
		bool good;
		enum feedback_kind kind;
		double base;
	} rows[] = {
	    {"1", true, FEEDBACK_FIXED, 1},
	    {" 0.5 ", true, FEEDBACK_FIXED, 0.5},
	    {"0", true, FEEDBACK_FIXED, 0},
	    {"1/4", true, FEEDBACK_FIXED, 0.25},
	    {"1 / concurrency", true, FEEDBACK_BY_WINDOW, 1},
	    {"0.5/SQRT_concurrency", true, FEEDBACK_BY_ROOT, 0.5},
	    {"", false, FEEDBACK_FIXED, 0},
	    {"2", false, FEEDBACK_FIXED, 0},
	    {"-1", false, FEEDBACK_FIXED, 0},
	    {"1/0", false, FEEDBACK_FIXED, 0},
	    {"1/", false, FEEDBACK_FIXED, 0},
	    {"1/window", false, FEEDBACK_FIXED, 0},
	    {"nan", false, FEEDBACK_FIXED, 0},
	    {"1e9", false, FEEDBACK_FIXED, 0},
	    {"0x1", false, FEEDBACK_FIXED, 0},
	    {"1.2.3", false, FEEDBACK_FIXED, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct feedback f;
		struct error err;
		bool good = feedback_parse(rows[i].text, &f, &err) == 0;

		if (good != rows[i].good)
			fail_msg("\"%s\" is %s", rows[i].text, good ? "taken" : err.text);
		if (good) {
			assert_int_equal(f.kind, rows[i].kind);
			assert_true(f.base > rows[i].base - 0.001 && f.base < rows[i].base + 0.001);
		}
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_runs),
	    cmocka_unit_test(test_values_of_feedback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
