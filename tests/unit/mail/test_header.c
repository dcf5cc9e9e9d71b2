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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fields_are_found_with_either_line_end),
	    cmocka_unit_test(a_line_that_is_no_field_ends_the_header),
	    cmocka_unit_test(names_are_listed_without_case),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
