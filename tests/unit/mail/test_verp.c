/* Senders that tell of the recipient, as Postfix's verp_sender(3) makes them. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/mail/verp.h"

static void
senders_hold_the_recipient(void **state)
{
	static const struct {
		const char *delimiters, *sender, *recipient, *expected;
	} rows[] = {
	    {"+=", "owner@lists.test", "user@dom.test", "owner+user=dom.test@lists.test"},
	    {"-=", "owner-l@lists.test", "a+b=c@dom.test", "owner-l-a+b=c=dom.test@lists.test"},
	    {"+=", "owner@lists.test", "user", "owner+user@lists.test"},
	    {"+=", "owner", "user@dom.test", "owner+user=dom.test"},
	    {"+=", "owner@lists.test", "\"q u\"@dom.test", "\"owner+q u=dom.test\"@lists.test"},
	    {"+=", "\"o r\"@lists.test", "user@dom.test", "\"o r+user=dom.test\"@lists.test"},
	    {"+=", "\"a@b\"@lists.test", "\"c@d\"@dom.test", "\"a@b+c@d=dom.test\"@lists.test"},
	    {"==", "owner@lists.test", "u@[192.0.2.1]", "\"owner=u=[192.0.2.1]\"@lists.test"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(16384);
		struct span got = verp_sender(
		    a, span_of(rows[i].delimiters), span_of(rows[i].sender), span_of(rows[i].recipient));

		assert_int_equal(got.len, strlen(rows[i].expected));
		assert_memory_equal(got.ptr, rows[i].expected, got.len);
		arena_free(&a);
	}
}

static void
what_does_not_fit_is_none(void **state)
{
	static char long_text[4000];
	struct arena *a = arena_new(1024);

	(void)state;
	memset(long_text, 'x', sizeof(long_text));
	assert_null(
	    verp_sender(a, SPAN_LIT("+="), span_make(long_text, sizeof(long_text)), SPAN_LIT("a@b")).ptr);
	arena_free(&a);
}

static void
delimiters_are_two_of_the_filter(void **state)
{
	(void)state;
	assert_true(verp_delimiters_valid(SPAN_LIT("+="), "-=+"));
	assert_true(verp_delimiters_valid(SPAN_LIT("=="), "-=+"));
	assert_false(verp_delimiters_valid(SPAN_LIT("+"), "-=+"));
	assert_false(verp_delimiters_valid(SPAN_LIT("+=-"), "-=+"));
	assert_false(verp_delimiters_valid(SPAN_LIT("+x"), "-=+"));
	assert_false(verp_delimiters_valid(span_make("+\0", 2), "-=+"));
	assert_false(verp_delimiters_valid(SPAN_LIT(""), "-=+"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(senders_hold_the_recipient),
	    cmocka_unit_test(what_does_not_fit_is_none),
	    cmocka_unit_test(delimiters_are_two_of_the_filter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
