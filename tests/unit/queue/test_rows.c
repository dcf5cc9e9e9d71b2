/*
 * What the index's rows are made of: texts without their numbers and names, and summaries as hostile bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "queue/filter.h"
#include "queue/index/mask.h"
#include "queue/index/summary.h"

static const struct {
	const char *name, *text, *shown;
} masks[] = {
    {"empty", "", ""},
    {"addresses and ports are numbers", "connect to mx1.a.test[192.0.2.7]:25: refused",
	"connect to mx#.a.test[#]:#: refused"},
    {"reply codes stay", "said: 452 4.2.2 over quota", "said: 452 4.2.2 over quota"},
    {"other numbers go", "try again in 300 seconds", "try again in # seconds"},
    {"numbers in brackets are no codes", "(in 238)", "(in #)"},
    {"mail addresses are words", "<joe@a.test>: unknown", "<*>: unknown"},
    {"ids are words", "id 5b1f17b1804b1-42c0 rejected", "id * rejected"},
    {"short words with digits are numbers", "utf8 mx2", "utf# mx#"},
    {"IPv6", "[2001:db8::1]:25", "[*]:#"},
    {"a dot at the end of a sentence", "wait 12.", "wait #."},
    {"control characters", "a\1b\2c", "a*b*c"},
};

static void
test_masks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		struct span whole = span_of(masks[i].text);
		struct buf template, variables, out;

		buf_init(&template, 4096);
		buf_init(&variables, 4096);
		buf_init(&out, 4096);
		mask_split(whole, &template, &variables);
		mask_show(buf_span(&template), &out);
		if (!span_is(buf_span(&out), masks[i].shown))
			fail_msg("%s: %s", masks[i].name, buf_text(&out));
		buf_clear(&out);
		mask_join(buf_span(&template), buf_span(&variables), &out);
		assert_true(span_equal(buf_span(&out), whole));
		/* Every part of the text is found in it. */
		for (size_t from = 0; from < whole.len; from++)
			for (size_t len = 1; from + len <= whole.len; len++) {
				char *wanted = mem_strndup(whole.ptr + from, len);
				struct span t = buf_span(&template), v = buf_span(&variables);
				bool words = span_find(t, MASK_WORD) >= 0;
				struct mask_wanted w;

				text_lower(wanted, len);
				mask_wanted_init(&w, wanted);
				assert_true(mask_match(t, v, wanted));
				assert_true(mask_may_match(words, v, &w) || filter_text_match(wanted, t));
				free(wanted);
			}
		buf_free(&template);
		buf_free(&variables);
		buf_free(&out);
	}
}

static void
test_a_summary_that_is_cut_is_none(void **state)
{
	static const char key[SUMMARY_KEY_SIZE] = {1};
	const struct summary head = {.count = 2,
	    .size = 5,
	    .arrival_s = 7,
	    .flags = SUMMARY_HELD | SUMMARY_OWN_SENDER | SUMMARY_ORIGINALS};
	const struct summary_recipient r = {.address = 3, .reason = 4, .variables = SPAN_LIT("25\0007")};
	struct buf row;

	(void)state;
	buf_init(&row, 4096);
	summary_begin(&row, &head);
	summary_add(&row, head.flags, &r);
	summary_add(&row, head.flags, &r);
	for (size_t len = 0; len <= row.len; len++) {
		char *exact = mem_strndup(buf_ptr(&row), len);
		struct summary s;
		struct summary_recipient found;
		int got = summary_decode(span_make(key, sizeof(key)), span_make(exact, len), &s);

		while (got >= 0 && (got = summary_next(&s, &found)) > 0)
			assert_int_equal(found.reason, 4);
		assert_int_equal(got, len == row.len ? 0 : -1);
		free(exact);
	}
	buf_free(&row);
}

static void
test_a_summary_comes_back_as_it_was(void **state)
{
	static const char key[SUMMARY_KEY_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
	static char variables[SUMMARY_VARIABLES_MAX + 1];

	(void)state;
	for (unsigned own = 0; own < 2; own++) {
		const struct summary head = {
		    .flags = own ? SUMMARY_OWN_SENDER | SUMMARY_ORIGINALS : SUMMARY_HELD,
		    .count = 3,
		    .sender_domain = 0x81020304,
		    .sender = 0x8102030405060708,
		    .arrival_s = 0x91020304,
		    .size = 0xa102030405060708,
		    .position = 0xb102030405060708,
		    .hold_reason = 0xc1020304,
		    .own_domain = own ? 0xd1020304 : 0,
		    .own_sender = own ? 0xe102030405060708 : 0};
		struct summary_recipient r = {.address = 0xf102030405060708,
					     .domain = 0x11020304,
					     .hop = 0x21020304,
					     .reason = 0x31020304,
					     .original_domain = own ? 0x41020304 : 0,
					     .original = own ? 0x5102030405060708 : 0},
					 found;
		struct summary s;
		struct buf row;

		buf_init(&row, 4096);
		summary_begin(&row, &head);
		for (size_t len = SUMMARY_VARIABLES_MAX - 1; len <= SUMMARY_VARIABLES_MAX + 1; len++) {
			r.variables = span_make(variables, len);
			summary_add(&row, head.flags, &r);
		}
		assert_int_equal(summary_decode(span_make(key, sizeof(key)), buf_span(&row), &s), 0);
		assert_true(s.id == 0x0102030405060708 && s.part == 0x090a0b0c);
		assert_true(s.flags == head.flags && s.count == 3 && s.sender_domain == head.sender_domain &&
			    s.sender == head.sender && s.arrival_s == head.arrival_s && s.size == head.size &&
			    s.position == head.position && s.hold_reason == head.hold_reason &&
			    s.own_domain == head.own_domain && s.own_sender == head.own_sender);
		for (size_t len = SUMMARY_VARIABLES_MAX - 1; len <= SUMMARY_VARIABLES_MAX + 1; len++) {
			assert_int_equal(summary_next(&s, &found), 1);
			assert_true(found.address == r.address && found.domain == r.domain &&
				    found.hop == r.hop && found.reason == r.reason &&
				    found.original_domain == r.original_domain &&
				    found.original == r.original);
			assert_int_equal(found.cut, len > SUMMARY_VARIABLES_MAX);
			assert_int_equal(found.variables.len, found.cut ? 0 : len);
		}
		assert_int_equal(summary_next(&s, &found), 0);
		buf_free(&row);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_masks),
	    cmocka_unit_test(test_a_summary_that_is_cut_is_none),
	    cmocka_unit_test(test_a_summary_comes_back_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
