/* xtext, dates, delays, codes and filters; letters without regard to case. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/mail/casefold.h"
#include "common/mail/date.h"
#include "common/mail/delay.h"
#include "common/mail/filter_route.h"
#include "common/mail/outcome.h"
#include "common/mail/status_filter.h"
#include "common/mail/xtext.h"

static void
xtext_is_read_and_written(void **state)
{
	static const struct {
		const char *text;
		int status;
		const char *plain, *again;
	} rows[] = {
	    {"abc", 0, "abc", "abc"},
	    {"a+2Bb+3Dc+20d", 0, "a+b=c d", "a+2Bb+3Dc+20d"},
	    {"+7F+c3+B6", 0, "\177\xc3\xb6", "+7F+C3+B6"},
	    {"", 0, "", ""},
	    {"a+", -1, "", ""},
	    {"a+2", -1, "", ""},
	    {"a+2G", -1, "", ""},
	    {"a+00b", -1, "", ""},
	    {"a=b", -1, "", ""},
	    {"a b", -1, "", ""},
	    {"a\xc3\xb6", -1, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(1000);
		struct span plain;
		struct buf out;
		buf_init(&out, 100);
		if (xtext_decode(a, span_of(rows[i].text), &plain) != rows[i].status)
			fail_msg("status of '%s'", rows[i].text);
		if (rows[i].status == 0) {
			assert_true(span_is(plain, rows[i].plain));
			assert_int_equal(xtext_encode(&out, plain), 0);
			assert_string_equal(buf_text(&out), rows[i].again);
		}
		buf_free(&out);
		arena_free(&a);
	}
}

static void
letters_of_either_case_are_one(void **state)
{
	static const struct {
		const char *text, *folded;
		enum casefold_status status;
	} rows[] = {
	    {"", "", CASEFOLD_DONE},
	    {"User+X@EXAMPLE.test", "user+x@example.test", CASEFOLD_DONE},
#ifdef HAVE_LIBUNISTRING
	    {"GR\303\234N", "gr\303\274n", CASEFOLD_DONE},
	    {"\316\243\317\202", "\317\203\317\203", CASEFOLD_DONE}, /* both small sigmas are one */
	    {"stra\303\237e", "strasse", CASEFOLD_DONE},
	    {"\304\260", "i\314\207", CASEFOLD_DONE}, /* no language's rules: not Turkish */
	    {"u\314\210", "u\314\210", CASEFOLD_DONE}, /* nothing is composed */
	    {"\316\220", "\316\271\314\210\314\201", CASEFOLD_DONE}, /* three times as long */
#endif
	    {"A\377B", "a\377b", CASEFOLD_NOT_UTF8},
	    {"A\303", "a\303", CASEFOLD_NOT_UTF8},
	    {"A\300\200", "a\300\200", CASEFOLD_NOT_UTF8},
	};
	char out[40];
	struct span folded;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(1000);
		assert_int_equal(casefold(span_of(rows[i].text), out, sizeof(out), &folded), rows[i].status);
		assert_true(span_is(folded, rows[i].folded));
		assert_string_equal(casefold_copy(a, span_of(rows[i].text)).ptr, rows[i].folded);
		assert_true(casefold_equal(span_of(rows[i].text), span_of(rows[i].folded)));
		if (folded.len > 0)
			assert_int_equal(
			    casefold(span_of(rows[i].text), out, folded.len - 1, &folded), CASEFOLD_TOO_LONG);
		arena_free(&a);
	}
	assert_false(casefold_equal(SPAN_LIT("\303\234"), SPAN_LIT("u")));
	assert_false(casefold_equal(SPAN_LIT("ab"), SPAN_LIT("abc")));
}

static void
dates_are_those_of_rfc_5322(void **state)
{
	char text[MAIL_DATE_SIZE];

	(void)state;
	setenv("TZ", "UTC", 1);
	mail_date_init();
	assert_string_equal(
	    mail_date_format(1795317024LL * 1000000, text), "Sun, 22 Nov 2026 03:10:24 +0000 (UTC)");
	assert_string_equal(mail_date_format(-5, text), "Thu, 1 Jan 1970 00:00:00 +0000 (UTC)");
	assert_string_equal(mail_date_format(INT64_MAX, text), "Thu, 1 Jan 1970 00:00:00 +0000 (UTC)");
	setenv("TZ", "NST3:30NDT2:30,M3.2.0,M11.1.0", 1);
	mail_date_init();
	assert_string_equal(
	    mail_date_format(1795317024LL * 1000000, text), "Sat, 21 Nov 2026 23:40:24 -0330 (NST)");
}

static void
filters_may_leave_the_next_hop_open(void **state)
{
	static const struct {
		const char *filter, *transport, *nexthop;
	} rows[] = {
	    {"smtp:[127.0.0.1]:10025", "smtp", "[127.0.0.1]:10025"},
	    {"smtp:", "smtp", "there.test"},
	    {"smtp", "smtp", "there.test"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span transport, nexthop;

		filter_route(span_of(rows[i].filter), SPAN_LIT("user@there.test"), &transport, &nexthop);
		assert_true(span_is(transport, rows[i].transport));
		assert_true(span_is(nexthop, rows[i].nexthop));
	}
}

static void
delays_have_two_digits(void **state)
{
	static const struct {
		int64_t arrival, active, agent, connected, done;
		const char *text;
	} rows[] = {
	    {0, 0, 0, 0, 0, "delay=0, delays=0/0/0/0"},
	    {0, 40000, 44000, 144000, 374000, "delay=0.37, delays=0.04/0/0.1/0.23"},
	    {0, 1240000, 1240000, 0, 1250000, "delay=1.3, delays=1.2/0/0/0.01"},
	    {0, 995000, 995000, 0, 996000, "delay=1, delays=1/0/0/0"},
	    {0, 123456789000, 123456789000, 0, 123456789000, "delay=120000, delays=120000/0/0/0"},
	    {5000000, 4000000, 4000000, 0, 4000000, "delay=0, delays=0/0/0/0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct delay_marks m = {
		    rows[i].arrival, rows[i].active, rows[i].agent, rows[i].connected, rows[i].done};
		struct buf out;
		buf_init(&out, 200);
		delay_format(&out, &m);
		assert_string_equal(buf_text(&out), rows[i].text);
		buf_free(&out);
	}
}

static void
codes_come_from_the_reply_only_where_they_fit(void **state)
{
	static const struct {
		unsigned reply;
		const char *text, *code;
	} rows[] = {
	    {550, "5.1.1 No such user", "5.1.1"},
	    {550, "5.1.1", "5.1.1"},
	    {550, "  5.1.1 blanks in front", "5.1.1"},
	    {450, "5.1.1 class of another", "4.0.0"},
	    {550, "No such user", "5.0.0"},
	    {550, "5.1.1234 digits", "5.0.0"},
	    {550, "5.7.133 three", "5.7.133"},
	    {550, "5..1 gap", "5.0.0"},
	    {550, "5.1.1x", "5.0.0"},
	    {250, "2.0.0 Ok", "2.0.0"},
	    {250, "", "2.0.0"},
	    {550, "3.1.1 what", "5.0.0"},
	    {999, "what", "5.0.0"},
	    {0, "what", "5.0.0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char code[12];
		enhanced_code_of_reply(rows[i].reply, span_of(rows[i].text), code);
		assert_string_equal(code, rows[i].code);
	}
	assert_true(enhanced_code_valid(SPAN_LIT("4.2.2")));
	assert_false(enhanced_code_valid(SPAN_LIT("4.2.2 x")));
	assert_false(enhanced_code_valid(SPAN_LIT("3.2.2")));
	assert_false(enhanced_code_valid(SPAN_LIT("")));
}

static void
exits_of_commands_mean_what_sysexits_says(void **state)
{
	char code[12];

	(void)state;
	/* What Postfix 3.7 made of each, from EX_USAGE to EX_CONFIG. */
	static const char *const of_postfix[] = {"5.3.0", "5.6.0", "5.3.0", "5.1.1", "5.1.2", "5.3.0",
	    "5.3.0", "4.3.0", "5.3.0", "5.2.0", "5.3.0", "4.3.0", "5.5.0", "5.7.0", "5.3.5"};

	for (int status = EX_USAGE; status <= EX_CONFIG; status++) {
		const char *expected = of_postfix[status - EX_USAGE];

		assert_int_equal(
		    outcome_of_exit(status, code), expected[0] == '4' ? OUTCOME_DEFERRED : OUTCOME_BOUNCED);
		assert_string_equal(code, expected);
	}
	assert_int_equal(outcome_of_exit(0, code), OUTCOME_DELIVERED);
	assert_string_equal(code, "2.0.0");
	assert_int_equal(outcome_of_exit(EX_TEMPFAIL, code), OUTCOME_DEFERRED);
	assert_int_equal(outcome_of_exit(EX_NOUSER, code), OUTCOME_BOUNCED);
	assert_string_equal(code, "5.1.1");
	assert_int_equal(outcome_of_exit(1, code), OUTCOME_BOUNCED);
	assert_string_equal(outcome_word(OUTCOME_RELAYED), "sent");
	assert_string_equal(outcome_word(OUTCOME_DEFERRED), "deferred");
}

/* As Postfix's agents take what default_delivery_status_filter says. */
static void
a_status_filter_changes_what_it_may(void **state)
{
	static const struct {
		const char *why, *before, *result;
		enum outcome_class class;
		const char *code, *text; /* NULL: it is not taken */
	} rows[] = {
	    {"another text", "2.0.0", "2.9.9 fine", OUTCOME_DELIVERED, "2.9.9", "fine"},
	    {"a deferral that never ends well", "4.2.0", "5.7.9 not there", OUTCOME_BOUNCED, "5.7.9",
		"not there"},
	    {"a failure that may pass", "5.1.1", "4.7.9 later", OUTCOME_DEFERRED, "4.7.9", "later"},
	    {"the code alone", "5.1.1", " 4.7.9 ", OUTCOME_DEFERRED, "4.7.9", "was said"},
	    {"a failure is no success", "5.1.1", "2.1.1 well", OUTCOME_BOUNCED, NULL, NULL},
	    {"nor a success a failure", "2.1.1", "4.1.1 bad", OUTCOME_DELIVERED, NULL, NULL},
	    {"no code", "5.1.1", "only text", OUTCOME_BOUNCED, NULL, NULL},
	    {"what is no code", "5.1.1", "9.1.1 text", OUTCOME_BOUNCED, NULL, NULL},
	    {"nothing", "5.1.1", "", OUTCOME_BOUNCED, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span code = span_of(rows[i].before), text = SPAN_LIT("was said");
		enum outcome_class class = rows[i].before[0] == '2'   ? OUTCOME_DELIVERED
					   : rows[i].before[0] == '4' ? OUTCOME_DEFERRED
								      : OUTCOME_BOUNCED;
		bool taken = status_filter_take(span_of(rows[i].result), &class, &code, &text);

		if (taken != (rows[i].code != NULL) || class != rows[i].class ||
		    !span_is(code, taken ? rows[i].code : rows[i].before) ||
		    !span_is(text, taken ? rows[i].text : "was said"))
			fail_msg("%s: %.*s %.*s", rows[i].why, SPAN_ARG(code), SPAN_ARG(text));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(xtext_is_read_and_written),
	    cmocka_unit_test(letters_of_either_case_are_one),
	    cmocka_unit_test(dates_are_those_of_rfc_5322),
	    cmocka_unit_test(filters_may_leave_the_next_hop_open),
	    cmocka_unit_test(delays_have_two_digits),
	    cmocka_unit_test(codes_come_from_the_reply_only_where_they_fit),
	    cmocka_unit_test(exits_of_commands_mean_what_sysexits_says),
	    cmocka_unit_test(a_status_filter_changes_what_it_may),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
