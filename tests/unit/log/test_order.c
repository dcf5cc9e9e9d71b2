/* services/log/order: one story out of many connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "services/log/order.h"

static void
give(const struct order_line *line, void *context)
{
	buf_printf(context, "%.*s:%.*s ", SPAN_ARG(line->ident), SPAN_ARG(line->text));
}

static int64_t clock_us;

static void
add(struct order *o, int64_t time_us, const char *ident, const char *text)
{
	const struct order_line line = {6, time_us, 1, span_of(ident), span_of(text)};

	order_add(o, &line, clock_us);
}

static void
lines_come_out_by_time_and_equal_ones_as_they_came(void **state)
{
	struct buf out;
	struct order *o;

	(void)state;
	buf_init(&out, 1000);
	o = order_new(give, &out);
	clock_us = 30;
	add(o, 30, "qmgr", "removed");
	add(o, 10, "smtpd", "client");
	add(o, 20, "smtp", "sent");
	add(o, 10, "smtpd", "connect");
	order_release(o, 30, 10);
	assert_string_equal(buf_text(&out), "smtpd:client smtpd:connect smtp:sent ");
	assert_int_equal(order_count(o), 1);
	order_release(o, 40, 10);
	assert_string_equal(buf_text(&out), "smtpd:client smtpd:connect smtp:sent qmgr:removed ");
	order_free(&o);
	buf_free(&out);
}

static void
count(const struct order_line *line, void *context)
{
	int64_t *seen = context;

	assert_true(line->time_us > seen[1]);
	seen[0]++;
	seen[1] = line->time_us;
}

static void
what_is_held_has_a_bound(void **state)
{
	int64_t seen[2] = {0, -1};
	struct order *o = order_new(count, seen);

	(void)state;
	clock_us = 20000;
	for (int64_t i = 0; i < 20000; i++)
		add(o, i, "a", "b");
	assert_true(seen[0] > 0 && order_count(o) <= 8192);
	order_release(o, INT64_MAX, 0);
	assert_int_equal(seen[0], 20000);
	order_free(&o);
}

/* Nothing waits until the clock is where it was; and what comes behind the change comes out behind it. */
static void
a_clock_that_is_set_back_holds_nothing(void **state)
{
	enum { HOUR = 3600 };
	struct buf out;
	struct order *o;

	(void)state;
	buf_init(&out, 1000);
	o = order_new(give, &out);
	clock_us = 2 * HOUR;
	add(o, clock_us, "a", "2");
	add(o, clock_us - 1, "a", "1");
	order_release(o, HOUR, 10);
	assert_string_equal(buf_text(&out), "a:1 a:2 ");

	/* A line of before it that comes late. */
	clock_us = HOUR + 1;
	add(o, 2 * HOUR, "a", "3");
	order_release(o, HOUR + 11, 10);
	assert_string_equal(buf_text(&out), "a:1 a:2 a:3 ");

	/* It is set back again while lines are held, and the next line is the first to see it. */
	clock_us = HOUR + 12;
	add(o, clock_us, "a", "4");
	clock_us = 5;
	add(o, clock_us, "a", "5");
	assert_string_equal(buf_text(&out), "a:1 a:2 a:3 a:4 ");
	order_release(o, 15, 10);
	assert_string_equal(buf_text(&out), "a:1 a:2 a:3 a:4 a:5 ");
	order_free(&o);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_come_out_by_time_and_equal_ones_as_they_came),
	    cmocka_unit_test(what_is_held_has_a_bound),
	    cmocka_unit_test(a_clock_that_is_set_back_holds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
