/* Sets of ids and changes by id, against a plain array, beyond what they hold at first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "queue/log/changes.h"

enum { IDS = 6000, ROUNDS = 40000 };

/* As queue gives them: close together, and far apart. */
static uint64_t
id_of(unsigned n)
{
	return n % 2 ? 0x6500000000000u + n * 16u : (n + 1) * 0x9e3779b97f4a7c15u;
}

static uint64_t
dice(uint64_t sides)
{
	static uint64_t state = 7;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % sides;
}

static void
a_set_has_what_was_added_and_not_taken(void **state)
{
	struct id_set set = {NULL, 0, 0}, more = {NULL, 0, 0};
	static bool has[IDS];
	size_t cursor = 0, count = 0;
	uint64_t id, sum = 0;

	(void)state;
	assert_false(id_set_has(&set, id_of(0)));
	id_set_take(&set, id_of(0));
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned n = (unsigned)dice(IDS);

		has[n] = dice(5) < 3;
		if (has[n])
			id_set_add(&set, id_of(n));
		else
			id_set_take(&set, id_of(n));
		if (round % 4000 == 0)
			for (unsigned i = 0; i < IDS; i++)
				assert_int_equal(id_set_has(&set, id_of(i)), has[i]);
	}
	for (unsigned i = 0; i < IDS; i++) {
		assert_int_equal(id_set_has(&set, id_of(i)), has[i]);
		count += has[i];
		sum += has[i] ? id_of(i) : 0;
	}
	assert_true(count > 3000);
	assert_int_equal(set.count, count);
	while ((id = id_set_next(&set, &cursor)) != 0) {
		sum -= id;
		count--;
	}
	assert_true(count == 0 && sum == 0);

	id_set_add(&more, 5);
	id_set_add_all(&more, &set);
	assert_int_equal(set.count, 0);
	for (unsigned i = 0; i < IDS; i++) {
		assert_false(id_set_has(&set, id_of(i)));
		assert_int_equal(id_set_has(&more, id_of(i)), has[i]);
	}
	assert_true(id_set_has(&more, 5));
	id_set_free(&set);
	id_set_free(&more);
}

static void
changes_come_back_in_order(void **state)
{
	enum { EACH_MAX = 20 };
	static struct {
		uint64_t at[EACH_MAX];
		size_t count;
	} model[IDS];
	struct changes c = {NULL, 0, 0, NULL, 0, 0, 0};
	size_t count, cursor = 0, left = 0;
	uint64_t id, *got;

	(void)state;
	assert_null(changes_take(&c, id_of(0), &count));
	assert_int_equal(changes_any(&c, &cursor), 0);
	for (unsigned round = 1; round < ROUNDS; round++) {
		unsigned n = (unsigned)dice(IDS);

		if (dice(3) > 0 && model[n].count < EACH_MAX) {
			/* Segments come from the newest to the oldest, records of one from its begin. */
			uint64_t position = (uint64_t)(ROUNDS - round / 100) * 1000 + round % 100;

			changes_add(&c, id_of(n), position, CHANGE_OTHER);
			model[n].at[model[n].count++] = position;
			continue;
		}
		got = changes_take(&c, id_of(n), &count);
		assert_int_equal(count, model[n].count);
		for (size_t i = 0; i < count; i++) {
			bool known = false;

			assert_true(i == 0 || got[i - 1] <= got[i]);
			for (size_t k = 0; k < count; k++)
				known |= model[n].at[k] == got[i];
			assert_true(known);
		}
		model[n].count = 0;
		free(got);
	}
	for (unsigned i = 0; i < IDS; i++)
		left += model[i].count > 0;
	assert_true(left > 1500);
	assert_int_equal(c.count, left);
	for (cursor = 0; (id = changes_any(&c, &cursor)) != 0; left--) {
		free(changes_take(&c, id, &count));
		assert_true(count > 0);
	}
	assert_int_equal(left, 0);
	changes_free(&c);
}

/* Of one recipient the last outcomes, whatever order the segments come in; of others everything. */
static void
old_outcomes_are_forgotten(void **state)
{
	struct changes c = {NULL, 0, 0, NULL, 0, 0, 0};
	uint64_t *got;
	size_t count;

	(void)state;
	for (uint64_t n = 1; n <= 100; n++)
		changes_add(&c, 5, 1000 + n, 3);
	changes_add(&c, 5, 2001, CHANGE_OTHER);
	for (uint64_t n = 1; n <= 100; n++)
		changes_add(&c, 5, 100 + n, 3);
	changes_add(&c, 5, 50, 4);
	changes_add(&c, 5, 40, 3);
	for (uint64_t n = 1; n <= 20; n++)
		changes_add(&c, 5, n, CHANGE_OTHER);
	got = changes_take(&c, 5, &count);
	assert_int_equal(count, 20 + 1 + 1 + 8 + 1 + 8);
	for (uint64_t n = 1; n <= 20; n++)
		assert_int_equal(got[n - 1], n);
	assert_int_equal(got[20], 40);
	assert_int_equal(got[21], 50);
	for (uint64_t n = 0; n < 8; n++) {
		assert_int_equal(got[22 + n], 193 + n);
		assert_int_equal(got[30 + n], 1093 + n);
	}
	assert_int_equal(got[38], 2001);
	free(got);
	assert_null(changes_take(&c, 5, &count));
	assert_int_equal(count, 0);
	changes_free(&c);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_set_has_what_was_added_and_not_taken),
	    cmocka_unit_test(changes_come_back_in_order),
	    cmocka_unit_test(old_outcomes_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
