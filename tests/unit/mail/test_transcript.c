#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/mail/transcript.h"

static void
add_numbered(struct transcript *t, unsigned number)
{
	char line[80];

	(void)snprintf(line, sizeof(line), "line %05u of which there are many", number);
	transcript_add(t, number % 2 ? TRANSCRIPT_IN : TRANSCRIPT_OUT, span_of(line));
}

static bool
has(const struct transcript *t, const char *text)
{
	return span_find_span(span_make(t->text, t->len), span_of(text)) >= 0;
}

/* The latest lines, whole ones, in order, and never more than fits. */
static void
test_a_quiet_one_is_a_ring(void **state)
{
	struct transcript t = {0};

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		char last[40];

		add_numbered(&t, i);
		(void)snprintf(last, sizeof(last), "line %05u", i);
		assert_true(has(&t, last));
		assert_true(t.len <= TRANSCRIPT_QUIET && t.size == TRANSCRIPT_QUIET);
		assert_true(t.text[0] == TRANSCRIPT_IN || t.text[0] == TRANSCRIPT_OUT);
		assert_int_equal(t.text[t.len - 1], '\n');
	}
	assert_true(has(&t, "line 00990"));
	assert_int_equal(t.omitted, 0);
	transcript_free(&t);
}

static void
test_after_an_error_the_first_lines_are_kept(void **state)
{
	struct transcript t = {0};

	(void)state;
	add_numbered(&t, 1);
	transcript_error(&t, CLASS_POLICY);
	for (unsigned i = 2; i < 1000; i++)
		add_numbered(&t, i);
	assert_true(has(&t, "line 00001") && has(&t, "line 00100") && !has(&t, "line 00999"));
	assert_true(t.len <= TRANSCRIPT_MAX && t.omitted > 500);
	transcript_forgive(&t);
	add_numbered(&t, 1000);
	assert_true(has(&t, "line 01000") && t.omitted == 0 && t.classes == 0);
	transcript_free(&t);
}

static void
test_lines_of_every_length(void **state)
{
	char line[2 * TRANSCRIPT_LINE];

	(void)state;
	memset(line, '\r', sizeof(line));
	for (size_t len = 0; len <= sizeof(line); len++) {
		struct transcript t = {0};
		size_t kept = len < TRANSCRIPT_LINE ? len : TRANSCRIPT_LINE, lines = 0;

		for (unsigned i = 0; i < 9; i++) {
			transcript_add(&t, TRANSCRIPT_IN, span_make(line, len));
			for (size_t k = lines = 0; k < t.len; k++)
				lines += t.text[k] == '\n';
			assert_int_equal(t.len, lines * (kept + 2));
			assert_true(lines > 0);
		}
		transcript_free(&t);
	}
}

static void
test_notices_are_known(void **state)
{
	static const struct {
		const char *command;
		bool is;
	} rows[] = {
	    {"MAIL FROM:<double-bounce@here.test>", true},
	    {"mail from: <Double-Bounce@here.test> SIZE=4", true},
	    {"MAIL FROM:<double-bounces@here.test>", false},
	    {"MAIL FROM:<xdouble-bounce@here.test>", false},
	    {"MAIL FROM:<double-bounce>", false},
	    {"MAIL FROM:<>", false},
	    {"MAIL FROM:double-bounce@here.test", false},
	    {"RCPT TO:<double-bounce@here.test>", false},
	    {"MAIL FROM:<", false},
	    {"", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(transcript_is_notice(span_of(rows[i].command), "double-bounce"), rows[i].is);
}

static void
test_classes(void **state)
{
	(void)state;
	assert_int_equal(transcript_classes("resource, software"), CLASS_RESOURCE | CLASS_SOFTWARE);
	assert_int_equal(transcript_classes("Policy protocol,data bounce"),
	    CLASS_POLICY | CLASS_PROTOCOL | CLASS_DATA | CLASS_BOUNCE);
	assert_int_equal(transcript_classes("2bounce, delay"), 0);
	assert_int_equal(transcript_classes(""), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_quiet_one_is_a_ring),
	    cmocka_unit_test(test_after_an_error_the_first_lines_are_kept),
	    cmocka_unit_test(test_lines_of_every_length),
	    cmocka_unit_test(test_notices_are_known),
	    cmocka_unit_test(test_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
