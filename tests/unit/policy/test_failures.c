/* Limits of failed attempts to authenticate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "services/policy/failures.h"

static const struct failure_limits limits = {
    .address = 5, .account = 12, .window_us = 600 * US_PER_SECOND, .longest_delay_ms = 8000};

/* Tries and ends with status. False if it was refused. */
static bool
attempt(struct failures *f, const char *address, const char *user, enum auth_status status, int64_t now_us)
{
	struct failure_verdict v = failures_try(f, &limits, span_of(address), span_of(user), now_us);

	if (!v.refused)
		failures_result(f, &limits, span_of(address), span_of(user), status, now_us);
	return !v.refused;
}

static void
fail_often(struct failures *f, const char *address, const char *user, unsigned times, int64_t now_us)
{
	for (unsigned i = 0; i < times; i++)
		assert_true(attempt(f, address, user, AUTH_REFUSED, now_us));
}

static void
an_address_is_refused(void **state)
{
	struct failures *f = failures_new(100);

	(void)state;
	for (unsigned i = 0; i < limits.address; i++) {
		char user[8];

		(void)snprintf(user, sizeof(user), "u%u", i);
		assert_true(attempt(f, "192.0.2.1", user, AUTH_REFUSED, 0));
	}
	assert_false(attempt(f, "192.0.2.1", "another", AUTH_REFUSED, 1));
	assert_true(attempt(f, "192.0.2.2", "another", AUTH_REFUSED, 1));
	/* What was refused here does not make it last longer. */
	assert_false(attempt(f, "192.0.2.1", "another", AUTH_REFUSED, limits.window_us - 1));
	assert_true(attempt(f, "192.0.2.1", "another", AUTH_REFUSED, limits.window_us));
	failures_free(&f);
	assert_null(f);
}

static void
neighbours_of_ipv6_are_one(void **state)
{
	struct failures *f = failures_new(100);

	(void)state;
	for (unsigned i = 0; i < limits.address; i++) {
		char address[40], user[8];

		(void)snprintf(address, sizeof(address), "2001:db8:1:2:%x::%x", i, i);
		(void)snprintf(user, sizeof(user), "u%u", i);
		assert_true(attempt(f, address, user, AUTH_REFUSED, 0));
	}
	assert_false(attempt(f, "2001:db8:1:2:ffff::1", "u", AUTH_REFUSED, 0));
	assert_true(attempt(f, "2001:db8:1:3::1", "u", AUTH_REFUSED, 0));
	failures_free(&f);
}

static void
delays_grow_to_their_longest(void **state)
{
	static const uint32_t delays[] = {0, 0, 1000, 2000, 4000, 8000, 8000};
	const struct failure_limits lax = {.window_us = 600 * US_PER_SECOND, .longest_delay_ms = 8000};
	struct failures *f = failures_new(100);

	(void)state;
	for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
		struct failure_verdict v = failures_try(f, &lax, SPAN_LIT("192.0.2.1"), SPAN_LIT("alice"), 0);

		assert_null(v.refused);
		assert_int_equal(v.delay_ms, delays[i]);
		failures_result(f, &lax, SPAN_LIT("192.0.2.1"), SPAN_LIT("alice"), AUTH_REFUSED, 0);
	}
	for (unsigned i = 0; i < 100; i++)
		assert_null(failures_try(f, &lax, SPAN_LIT("192.0.2.1"), SPAN_LIT("alice"), 0).refused);
	failures_free(&f);
}

static void
attempts_side_by_side_do_not_pass(void **state)
{
	struct failures *f = failures_new(100);
	unsigned passed = 0;

	(void)state;
	for (unsigned i = 0; i < 50; i++)
		passed +=
		    failures_try(f, &limits, SPAN_LIT("192.0.2.1"), SPAN_LIT("alice"), 0).refused == NULL;
	assert_int_equal(passed, limits.address);
	/* A back end in trouble is nobody's failure. */
	for (unsigned i = 0; i < passed; i++)
		failures_result(f, &limits, SPAN_LIT("192.0.2.1"), SPAN_LIT("alice"), AUTH_TEMPORARY, 0);
	assert_int_equal(failures_size(f), 0);
	failures_free(&f);
}

static void
an_account_is_refused_to_strangers(void **state)
{
	struct failures *f = failures_new(100);

	(void)state;
	assert_true(attempt(f, "198.51.100.1", "Alice", AUTH_ACCEPTED, 0));
	fail_often(f, "192.0.2.1", "alice", 5, 0);
	fail_often(f, "192.0.2.2", "ALICE", 5, 0);
	fail_often(f, "192.0.2.3", "alice", 2, 0);
	assert_false(attempt(f, "192.0.2.4", "alice", AUTH_ACCEPTED, 0));
	assert_false(attempt(f, "192.0.2.3", "aLice", AUTH_ACCEPTED, 0));
	assert_true(attempt(f, "192.0.2.4", "bob", AUTH_REFUSED, 0));
	/* Where its owner was before, the answer is late and no more. */
	struct failure_verdict v = failures_try(f, &limits, SPAN_LIT("198.51.100.1"), SPAN_LIT("alice"), 0);
	assert_null(v.refused);
	assert_int_equal(v.delay_ms, limits.longest_delay_ms);
	failures_result(f, &limits, SPAN_LIT("198.51.100.1"), SPAN_LIT("alice"), AUTH_ACCEPTED, 0);
	/* That made up for half of them. */
	assert_true(attempt(f, "192.0.2.4", "alice", AUTH_REFUSED, 0));
	failures_free(&f);
}

static void
one_address_cannot_use_up_an_account(void **state)
{
	struct failures *f = failures_new(100);

	(void)state;
	fail_often(f, "192.0.2.1", "alice", limits.address, 0);
	for (unsigned i = 0; i < 100; i++)
		assert_false(attempt(f, "192.0.2.1", "alice", AUTH_REFUSED, 0));
	assert_true(attempt(f, "192.0.2.2", "alice", AUTH_ACCEPTED, 0));
	failures_free(&f);
}

/* A spammer with one stolen password does not get a clean sheet with it. */
static void
a_success_forgives_half(void **state)
{
	struct failures *f = failures_new(100);

	(void)state;
	fail_often(f, "192.0.2.1", "alice", 4, 0);
	assert_true(attempt(f, "192.0.2.1", "mallory", AUTH_ACCEPTED, 0));
	fail_often(f, "192.0.2.1", "alice", 3, 0);
	assert_false(attempt(f, "192.0.2.1", "alice", AUTH_REFUSED, 0));
	failures_free(&f);
}

static void
spared_clients_count_for_the_account_alone(void **state)
{
	struct failures *f = failures_new(100);

	(void)state;
	fail_often(f, "", "alice", 40, 0);
	assert_false(attempt(f, "192.0.2.1", "alice", AUTH_ACCEPTED, 0));
	assert_true(attempt(f, "", "alice", AUTH_ACCEPTED, 0));
	assert_true(attempt(f, "", "bob", AUTH_REFUSED, 0));
	failures_free(&f);
}

static void
memory_has_a_bound(void **state)
{
	struct failures *f = failures_new(1000);
	char address[32], user[32];

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		(void)snprintf(address, sizeof(address), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
		(void)snprintf(user, sizeof(user), "user%u", i);
		assert_true(
		    attempt(f, address, user, i % 2 ? AUTH_REFUSED : AUTH_ACCEPTED, (int64_t)i * 1000));
	}
	assert_true(failures_size(f) <= 3000);
	/* Who keeps failing is not the one that is forgotten. */
	failures_free(&f);
	f = failures_new(10);
	for (unsigned i = 0; i < limits.address; i++) {
		assert_true(attempt(f, "192.0.2.1", "alice", AUTH_REFUSED, 0));
		for (unsigned j = 0; j < 9; j++) {
			(void)snprintf(address, sizeof(address), "10.0.%u.%u", i, j);
			assert_true(attempt(f, address, address, AUTH_REFUSED, 0));
		}
	}
	assert_false(attempt(f, "192.0.2.1", "alice", AUTH_REFUSED, 0));
	failures_free(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_address_is_refused),
	    cmocka_unit_test(neighbours_of_ipv6_are_one),
	    cmocka_unit_test(delays_grow_to_their_longest),
	    cmocka_unit_test(attempts_side_by_side_do_not_pass),
	    cmocka_unit_test(an_account_is_refused_to_strangers),
	    cmocka_unit_test(one_address_cannot_use_up_an_account),
	    cmocka_unit_test(a_success_forgives_half),
	    cmocka_unit_test(spared_clients_count_for_the_account_alone),
	    cmocka_unit_test(memory_has_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
