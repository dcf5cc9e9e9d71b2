/* Fields of a header, and addresses completed in place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mail/header.h"

static void
fields_are_found_with_either_line_end(void **state)
{
	struct span rest = SPAN_LIT("To: a\n b\nSubject : x\r\nX-Y:\n\nbody: no\n");
	struct header_field f;

	(void)state;
	assert_true(header_next(&rest, &f));
	assert_true(span_is(f.name, "To"));
	assert_true(span_is(f.body, " a\n b"));
	assert_true(header_next(&rest, &f));
	assert_true(span_is(f.name, "Subject"));
	assert_true(span_is(f.body, " x"));
	assert_true(header_next(&rest, &f));
	assert_true(span_is(f.body, ""));
	assert_false(header_next(&rest, &f));
	assert_true(span_is(rest, "\nbody: no\n"));
}

static void
a_line_that_is_no_field_ends_the_header(void **state)
{
	static const char *const texts[] = {"hello world\n", ": x\n", " folded: first\n", "", "\n",
	    "a b: c\n", "caf\xc3\xa9: x\n", "name", "\x01: x\n"};
	struct header_field f;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct span rest = span_of(texts[i]);
		if (header_next(&rest, &f))
			fail_msg("'%s' was taken for a field", texts[i]);
	}
}

static void
names_are_listed_without_case(void **state)
{
	(void)state;
	assert_true(header_name_listed(SPAN_LIT("BCC"), "bcc, content-length"));
	assert_true(header_name_listed(SPAN_LIT("Content-Length"), "bcc, content-length"));
	assert_false(header_name_listed(SPAN_LIT("Cc"), "bcc, content-length"));
}

static void
addresses_without_domain_get_one(void **state)
{
	static const struct {
		const char *body, *want;
	} rows[] = {
	    {" root", " root@h.test"},
	    {" root (Charlie &)", " root@h.test (Charlie &)"},
	    {" \"A, B\" <root>, joe@x, jane", " \"A, B\" <root@h.test>, joe@x, jane@h.test"},
	    {" \"a b\"", " \"a b\"@h.test"},
	    {" team: joe, jane@x;", " team: joe@h.test, jane@x;"},
	    {" joe ,\n jane", " joe@h.test ,\n jane@h.test"},
	    {" undisclosed-recipients:;", " undisclosed-recipients:;"},
	    {" Joe Doe", " Joe Doe"},
	    {" <>", " <>"},
	    {"", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(10000);
		struct span got = header_complete_addresses(a, span_of(rows[i].body), SPAN_LIT("h.test"));
		if (!span_is(got, rows[i].want))
			fail_msg("got '%.*s', want '%s'", SPAN_ARG(got), rows[i].want);
		arena_free(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fields_are_found_with_either_line_end),
	    cmocka_unit_test(a_line_that_is_no_field_ends_the_header),
	    cmocka_unit_test(names_are_listed_without_case),
	    cmocka_unit_test(addresses_without_domain_get_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
