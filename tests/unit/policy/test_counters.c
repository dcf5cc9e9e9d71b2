/* Connections and rates of clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "services/policy/counters.h"

static const int64_t unit_us = 60 * US_PER_SECOND;

static void
clients_are_told_apart(void **state)
{
	static const struct {
		const char *address;
		unsigned ipv6, ipv4;
		const char *key;
	} rows[] = {
	    {"192.0.2.1", 64, 32, "smtp\n192.0.2.1"},
	    {"::ffff:192.0.2.1", 64, 32, "smtp\n192.0.2.1"},
	    {"2001:db8:1:2:3:4:5:6", 64, 32, "smtp\n2001:db8:1:2::"},
	    {"2001:db8:1:2:ffff::9", 64, 32, "smtp\n2001:db8:1:2::"},
	    {"2001:db8:1:2:3:4:5:6", 60, 32, "smtp\n2001:db8:1::"},
	    {"2001:db8:1:2:3:4:5:6", 128, 32, "smtp\n2001:db8:1:2:3:4:5:6"},
	    {"2001:db8:1:2:3:4:5:6", 0, 32, "smtp\n::"},
	    {"192.0.2.77", 64, 24, "smtp\n192.0.2.0"},
	    {"::ffff:192.0.2.77", 64, 24, "smtp\n192.0.2.0"},
	    {"192.0.2.77", 64, 0, "smtp\n0.0.0.0"},
	    {"unknown", 64, 32, "smtp\nunknown"},
	};
	char key[CLIENT_KEY_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client_prefixes prefixes = {.ipv4 = rows[i].ipv4, .ipv6 = rows[i].ipv6};

		client_key(SPAN_LIT("smtp"), span_of(rows[i].address), prefixes, key);
		assert_string_equal(key, rows[i].key);
	}
}

static void
connections_are_counted_over_workers(void **state)
{
	struct counters *c = counters_new(10);
	struct counted_worker *one = counted_worker_new(c), *two = counted_worker_new(c);
	struct count n;

	(void)state;
	counters_connect(c, one, SPAN_LIT("a"), unit_us, 0);
	counters_connect(c, one, SPAN_LIT("a"), unit_us, 0);
	n = counters_connect(c, two, SPAN_LIT("a"), unit_us, 0);
	assert_int_equal(n.connections, 3);
	assert_int_equal(n.rate, 3);
	assert_int_equal(counters_connect(c, two, SPAN_LIT("b"), unit_us, 0).connections, 1);
	counters_gone(c, two, SPAN_LIT("a"), 0);
	counters_gone(c, two, SPAN_LIT("a"), 0); /* it had only one */
	counters_gone(c, two, SPAN_LIT("never seen"), 0);
	n = counters_event(c, SPAN_LIT("a"), POLICY_MESSAGE, unit_us, 0);
	assert_int_equal(n.connections, 2);
	assert_int_equal(n.rate, 1);
	counted_worker_free(&one); /* it died with two connections */
	n = counters_connect(c, two, SPAN_LIT("a"), unit_us, 1);
	assert_int_equal(n.connections, 1);
	assert_int_equal(n.rate, 4); /* its death does not undo what happened */
	counted_worker_free(&two);
	counters_free(&c);
}

static void
rates_begin_anew_with_each_interval(void **state)
{
	struct counters *c = counters_new(10);

	(void)state;
	for (uint32_t i = 1; i <= 5; i++)
		assert_int_equal(counters_event(c, SPAN_LIT("a"), POLICY_RECIPIENT, unit_us, 0).rate, i);
	assert_int_equal(counters_event(c, SPAN_LIT("a"), POLICY_MESSAGE, unit_us, 0).rate, 1);
	assert_int_equal(counters_event(c, SPAN_LIT("a"), POLICY_RECIPIENT, unit_us, unit_us - 1).rate, 6);
	assert_int_equal(counters_event(c, SPAN_LIT("a"), POLICY_RECIPIENT, unit_us, unit_us).rate, 1);
	counters_free(&c);
}

static void
the_table_is_bounded(void **state)
{
	struct counters *c = counters_new(100);
	struct counted_worker *w = counted_worker_new(c);
	char key[32];

	(void)state;
	counters_connect(c, w, SPAN_LIT("connected"), unit_us, 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "client %d", i);
		counters_event(c, span_of(key), POLICY_MESSAGE, unit_us, i);
		assert_true(counters_size(c) <= 100);
	}
	assert_int_equal(counters_event(c, SPAN_LIT("connected"), POLICY_AUTH, unit_us, 0).connections, 1);
	/* Full of connected clients: a further one is let through uncounted. */
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "client %d", i);
		counters_connect(c, w, span_of(key), unit_us, 1000);
	}
	assert_int_equal(counters_size(c), 100);
	assert_int_equal(counters_connect(c, w, SPAN_LIT("late"), unit_us, 1000).connections, 1);
	counters_gone(c, w, SPAN_LIT("late"), 1000);
	counted_worker_free(&w);
	assert_int_equal(counters_event(c, SPAN_LIT("client 3"), POLICY_AUTH, unit_us, 1000).connections, 0);
	/* What is over is forgotten, a few with each newcomer. */
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "new %d", i);
		counters_event(c, span_of(key), POLICY_MESSAGE, unit_us, 3 * unit_us);
	}
	assert_int_equal(counters_size(c), 40);
	counters_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(clients_are_told_apart),
	    cmocka_unit_test(connections_are_counted_over_workers),
	    cmocka_unit_test(rates_begin_anew_with_each_interval),
	    cmocka_unit_test(the_table_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
