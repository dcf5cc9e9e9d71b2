/* What users may send in an hour and in a day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "services/policy/users.h"

#define HOUR_US (3600 * US_PER_SECOND)

static const struct user_limits two_an_hour = {{[USER_MESSAGES_HOUR] = 2}};

static enum user_standing
send(struct users *u, const char *user, uint32_t recipients, const struct user_limits *limits, int64_t now_us)
{
	return users_message(u, span_of(user), recipients, limits, now_us).standing;
}

/* What comes of message after message, each to so many recipients. */
static void
limits_hold_and_refuse(void **state)
{
	static const struct {
		const char *name;
		struct user_limits limits;
		uint32_t recipients;
		const char *standings; /* w, b, f */
		enum user_limit limit; /* of the last one */
	} rows[] = {
	    {"none", {{0}}, 1000, "wwwwwwww", 0},
	    {"messages an hour", {{2, 0, 0, 0}}, 50, "wwbbfff", USER_MESSAGES_HOUR},
	    {"messages a day", {{0, 1, 0, 0}}, 1, "wbff", USER_MESSAGES_DAY},
	    {"recipients an hour", {{0, 0, 4, 0}}, 2, "wwbbff", USER_RECIPIENTS_HOUR},
	    {"recipients a day", {{0, 0, 0, 10}}, 5, "wwbbf", USER_RECIPIENTS_DAY},
	    {"one message beyond the limit of recipients", {{0, 0, 10, 0}}, 15, "bff", USER_RECIPIENTS_HOUR},
	    {"one beyond twice the limit", {{0, 0, 10, 0}}, 21, "fff", USER_RECIPIENTS_HOUR},
	    {"exactly twice the limit", {{0, 0, 10, 0}}, 20, "bf", USER_RECIPIENTS_HOUR},
	    {"the nearest limit counts", {{100, 100, 100, 2}}, 1, "wwbbf", USER_RECIPIENTS_DAY},
	    {"as many recipients as a number has", {{0, 0, 1, 0}}, UINT32_MAX, "ff", USER_RECIPIENTS_HOUR},
	    {"a limit as large as a number", {{0, 0, UINT32_MAX, 0}}, UINT32_MAX, "www", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct users *u = users_new(10);
		struct user_verdict v = {0};

		for (const char *s = rows[i].standings; *s; s++) {
			v = users_message(u, SPAN_LIT("alice"), rows[i].recipients, &rows[i].limits, 1);
			if (v.standing != (*s == 'w'      ? USER_WITHIN
					      : *s == 'b' ? USER_BEYOND
							  : USER_FAR_BEYOND))
				fail_msg("%s: message %d: %d", rows[i].name, (int)(s - rows[i].standings + 1),
				    v.standing);
		}
		if (v.standing != USER_WITHIN)
			assert_int_equal(v.limit, rows[i].limit);
		users_free(&u);
	}
}

static void
an_hour_is_over(void **state)
{
	struct users *u = users_new(10);

	(void)state;
	for (int i = 0; i < 4; i++)
		(void)send(u, "alice", 1, &two_an_hour, 0);
	assert_int_equal(send(u, "alice", 1, &two_an_hour, HOUR_US - 1), USER_FAR_BEYOND);
	assert_int_equal(send(u, "alice", 1, &two_an_hour, HOUR_US), USER_WITHIN);
	users_free(&u);
}

static void
a_day_goes_on_over_hours(void **state)
{
	static const struct user_limits limits = {{[USER_MESSAGES_HOUR] = 100, [USER_MESSAGES_DAY] = 2}};
	struct users *u = users_new(10);

	(void)state;
	assert_int_equal(send(u, "alice", 1, &limits, 0), USER_WITHIN);
	assert_int_equal(send(u, "alice", 1, &limits, 2 * HOUR_US), USER_WITHIN);
	assert_int_equal(send(u, "alice", 1, &limits, 4 * HOUR_US), USER_BEYOND);
	assert_int_equal(send(u, "alice", 1, &limits, 24 * HOUR_US), USER_WITHIN);
	users_free(&u);
}

static void
users_are_told_apart_but_not_by_case(void **state)
{
	struct users *u = users_new(10);

	(void)state;
	assert_int_equal(send(u, "alice", 1, &two_an_hour, 0), USER_WITHIN);
	assert_int_equal(send(u, "ALICE", 1, &two_an_hour, 0), USER_WITHIN);
	assert_int_equal(send(u, "aLice", 1, &two_an_hour, 0), USER_BEYOND);
	assert_int_equal(send(u, "bob", 1, &two_an_hour, 0), USER_WITHIN);
	assert_int_equal(send(u, "", 1, &two_an_hour, 0), USER_WITHIN);
	assert_int_equal(users_size(u), 3);
	users_free(&u);
}

static bool
tells(struct users *u, const char *user, int64_t now_us)
{
	static const struct user_limits limits = {{[USER_MESSAGES_HOUR] = 5, [USER_MESSAGES_DAY] = 5}};
	struct user_verdict v = {0};

	for (int i = 0; i < 6; i++)
		v = users_message(u, span_of(user), 1, &limits, now_us);
	assert_int_equal(v.standing, USER_BEYOND);
	return v.tell;
}

/* Until somebody says that postmaster was told, it is to be done. */
static void
postmaster_is_told_once_a_day(void **state)
{
	struct users *u = users_new(10);

	(void)state;
	assert_true(tells(u, "alice", 0));
	assert_true(users_message(u, SPAN_LIT("alice"), 1, &two_an_hour, 1).standing == USER_FAR_BEYOND);
	users_told(u, SPAN_LIT("Alice"), 1);
	assert_false(users_message(u, SPAN_LIT("alice"), 1, &(struct user_limits){{4, 0, 0, 0}}, 2).tell);
	assert_true(tells(u, "bob", 2));
	assert_false(tells(u, "alice", 24 * HOUR_US));
	assert_true(tells(u, "alice", 49 * HOUR_US));
	users_free(&u);
}

static void
memory_is_bounded(void **state)
{
	struct users *u = users_new(100);
	char name[32];

	(void)state;
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		(void)send(u, name, 1, &two_an_hour, i);
		(void)send(u, "alice", 1, &two_an_hour, i);
	}
	assert_int_equal(users_size(u), 100);
	/* Who goes on sending is not forgotten. */
	assert_int_equal(send(u, "alice", 1, &two_an_hour, 5000), USER_FAR_BEYOND);
	assert_int_equal(send(u, "user4999", 1, &two_an_hour, 5000), USER_WITHIN);
	/* Who was silent for a day is. */
	for (int i = 0; i < 40; i++)
		(void)send(u, i & 1 ? "x" : "y", 1, &two_an_hour, 25 * HOUR_US);
	assert_true(users_size(u) < 100);
	users_free(&u);
	assert_null(u);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(limits_hold_and_refuse),
	    cmocka_unit_test(an_hour_is_over),
	    cmocka_unit_test(a_day_goes_on_over_hours),
	    cmocka_unit_test(users_are_told_apart_but_not_by_case),
	    cmocka_unit_test(postmaster_is_told_once_a_day),
	    cmocka_unit_test(memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
