/*
 * Zones: what they say is not there is not there, in whatever order rows come; and they say it of most that is not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "queue/index/zones.h"

enum { ROWS = 8, LATE = 11 };

static struct zone_wanted any_row;

static int
set_up(void **state)
{
	struct zones *z = mem_alloc(sizeof(*z));

	any_row =
	    (struct zone_wanted){.oldest_s = INT64_MIN, .newest_s = INT64_MAX, .held = true, .open = true};
	zones_init(z, ROWS);
	/* As after a look into an empty index. */
	z->all[0]->known = true;
	z->unknown = 0;
	*state = z;
	return 0;
}

static int
tear_down(void **state)
{
	struct zones *z = *state;

	zones_fini(z);
	free(z);
	return 0;
}

static void
add(struct zones *z, uint64_t id, uint64_t sender)
{
	struct summary s = {
	    .id = id, .sender = sender, .sender_domain = 7, .arrival_s = (uint32_t)id, .size = id * 10};

	zones_add(z, &s);
}

/* How many ids a filter has to look at. */
static uint64_t
ids_to_read(const struct zones *z, const struct zone_wanted *w, uint64_t highest, uint64_t must)
{
	uint64_t after = 0, last, count = 0;
	bool met = must == 0, whole;

	while (zones_next(z, w, &after, &last, &whole)) {
		last = last > highest ? highest : last;
		count += last - after;
		met = met || (must > after && must <= last);
		if (last == highest)
			break;
		after = last;
	}
	assert_true(met);
	return count;
}

static struct zone_wanted
from(uint64_t sender)
{
	struct zone_wanted w = any_row;

	zone_set_add(&w.from, ZONE_SENDER, sender);
	return w;
}

static void
test_all_of_one_kind_is_met_and_little_else(void **state)
{
	struct zones *z = *state;
	struct zone_wanted w;

	for (uint64_t id = 1; id <= 1000; id++)
		add(z, id, id);
	assert_in_range(z->count, 1000 / ROWS / 2, 1000 / ROWS + 1);
	for (uint64_t id = 1; id <= 1000; id++) {
		w = from(id);
		assert_in_range(ids_to_read(z, &w, 1000, id), 1, 4 * ROWS);
	}
	w = from(5000);
	assert_in_range(ids_to_read(z, &w, 1000, 0), 0, 4 * ROWS);
	assert_int_equal(ids_to_read(z, &any_row, 1000, 500), 1000);
}

static void
test_ranges(void **state)
{
	static const struct {
		const char *why;
		struct zone_wanted w;
		uint64_t first, last; /* that must be read; last 0: nothing */
	} rows[] = {
	    {"newer than", {.oldest_s = 900, .newest_s = INT64_MAX, .held = true, .open = true}, 900, 1000},
	    {"older than", {.oldest_s = INT64_MIN, .newest_s = 100, .held = true, .open = true}, 1, 100},
	    {"newer than all", {.oldest_s = 1001, .newest_s = INT64_MAX, .held = true, .open = true}, 0, 0},
	    {"older than all", {.oldest_s = INT64_MIN, .newest_s = -1, .held = true, .open = true}, 0, 0},
	    {"larger",
		{.oldest_s = INT64_MIN, .newest_s = INT64_MAX, .larger = 9900, .held = true, .open = true},
		990, 1000},
	    {"on hold", {.oldest_s = INT64_MIN, .newest_s = INT64_MAX, .held = true}, 0, 0},
	    {"not on hold", {.oldest_s = INT64_MIN, .newest_s = INT64_MAX, .open = true}, 1, 1000},
	};
	struct zones *z = *state;

	for (uint64_t id = 1; id <= 1000; id++)
		add(z, id, 3);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t wanted = rows[i].last ? rows[i].last - rows[i].first + 1 : 0;

		for (uint64_t id = rows[i].first; rows[i].last && id <= rows[i].last; id++)
			ids_to_read(z, &rows[i].w, 1000, id);
		assert_in_range(
		    ids_to_read(z, &rows[i].w, 1000, 0), wanted, wanted + (wanted ? 2 * ROWS : 0));
	}
}

/* Neither order nor repetition loses anything: a zone that was put into too often may have anything. */
static void
test_any_order(void **state)
{
	struct zones *z = *state;
	struct zone_wanted w;

	for (uint64_t n = 0; n < 5000; n++)
		add(z, 1 + n * 7919 % 1000, n * 7919 % 1000);
	for (uint64_t id = 1; id <= 1000; id++) {
		w = from(id - 1);
		ids_to_read(z, &w, 1000, id);
	}
	for (size_t i = 1; i < z->count; i++)
		assert_true(z->all[i - 1]->first < z->all[i]->first);
}

static void
test_what_lost_much_is_looked_at_again(void **state)
{
	struct zones *z = *state;

	for (uint64_t id = 1; id <= 100; id++)
		add(z, id, id);
	assert_int_equal(z->unknown, 0);
	for (uint64_t id = 1; id <= ROWS / 2 + 1; id++)
		zones_remove(z, id);
	assert_int_equal(z->unknown, 1);
}

/* However many there are: no more zones than that, and none that forgets. */
static void
test_their_number_is_bounded(void **state)
{
	const uint64_t rows = 20 * ROWS * (uint64_t)ZONES_MAX;
	struct zones *z = *state;
	struct zone_wanted w;

	for (uint64_t id = 1; id <= rows; id++)
		add(z, id, id);
	assert_in_range(z->count, ZONES_MAX / 4, ZONES_MAX);
	assert_int_equal(z->unknown, 0);
	for (uint64_t id = 1; id <= rows; id += 997) {
		w = from(id);
		assert_in_range(ids_to_read(z, &w, rows, id), 1, rows / 20);
	}
	zones_forget(z);
	assert_int_equal(ids_to_read(z, &w, rows, 0), rows);
}

/* When there is no room for one more zone, what lies behind a row that came late is not forgotten. */
static void
test_late_ones_when_there_is_no_room(void **state)
{
	const uint64_t gap = 100, rows = ROWS * (uint64_t)(ZONES_MAX - 1) + 1;

	struct zones *z = *state;
	struct zone_wanted w;

	for (uint64_t n = 1; n <= rows; n++)
		add(z, n * gap, n * gap);
	assert_int_equal(z->count, ZONES_MAX);
	/* Behind the last row of a full zone, in front of the next one. */
	add(z, LATE * ROWS * gap + 1, 1);
	for (uint64_t n = 1; n <= rows; n++) {
		w = from(n * gap);
		ids_to_read(z, &w, rows * gap, n * gap);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_all_of_one_kind_is_met_and_little_else, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_ranges, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_any_order, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_what_lost_much_is_looked_at_again, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_their_number_is_bounded, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_late_ones_when_there_is_no_room, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
