/* Addresses of header fields are rewritten in place, and nothing else is touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/mail/header_rewrite.h"

/* What a lookup would say: "@h.test" for who has no domain, and @old.test is @new.test now. */
static void
answer_for(struct span address, struct buf *out)
{
	ptrdiff_t at = span_find_last(address, '@');

	buf_append_span(out, at < 0 ? address : span_sub(address, 0, (size_t)at));
	if (at < 0)
		buf_append_text(out, "@h.test");
	else if (span_is(span_from(address, (size_t)at), "@old.test"))
		buf_append_text(out, "@new.test");
	else
		buf_append_span(out, span_from(address, (size_t)at));
	buf_append(out, "", 1);
}

static unsigned
rewrite(const char *header, const struct header_rewrite_rules *rules, struct buf *out)
{
	struct header_rewrite *h = header_rewrite_new(span_of(header), rules);
	enum rewrite_kind kind;
	struct span addresses;
	struct buf answer;
	struct error err;
	unsigned questions = 0;

	buf_clear(out);
	if (!h) {
		buf_append_text(out, header);
		return 0;
	}
	buf_init(&answer, 60000);
	while (header_rewrite_next(h, &kind, &addresses)) {
		buf_clear(&answer);
		questions++;
		while (addresses.len > 0) {
			ptrdiff_t end = span_find(addresses, '\0');
			answer_for(span_sub(addresses, 0, (size_t)end), &answer);
			addresses = span_from(addresses, (size_t)end + 1);
		}
		assert_int_equal(header_rewrite_answer(h, buf_span(&answer), &err), 0);
	}
	assert_int_equal(header_rewrite_put(h, out), 0);
	buf_free(&answer);
	header_rewrite_free(&h);
	return questions;
}

static const struct header_rewrite_rules all = {.sender = REWRITE_LOCAL_SENDER,
    .recipient = REWRITE_LOCAL_RECIPIENT,
    .all_senders = true,
    .all_recipients = true,
    .incomplete = true};

static const struct header_rewrite_rules incomplete = {
    .sender = REWRITE_LOCAL_SENDER, .recipient = REWRITE_LOCAL_RECIPIENT, .incomplete = true};

static void
only_addresses_change(void **state)
{
	static const struct {
		const char *why, *header, *want;
	} rows[] = {
	    {"no domain", "To: root\r\n", "To: root@h.test\r\n"},
	    {"a comment behind", "To: root (Charlie &)\r\n", "To: root@h.test (Charlie &)\r\n"},
	    {"quoted name with a comma", "To: \"A, B\" <root>, joe@x, jane\r\n",
		"To: \"A, B\" <root@h.test>, joe@x, jane@h.test\r\n"},
	    {"quoted local part", "Cc: \"a b\"\r\n", "Cc: \"a b\"@h.test\r\n"},
	    {"group", "Cc: team: joe, jane@x;\r\n", "Cc: team: joe@h.test, jane@x;\r\n"},
	    {"folding stays", "To: joe ,\r\n jane\r\n", "To: joe@h.test ,\r\n jane@h.test\r\n"},
	    {"empty group", "To: undisclosed-recipients:;\r\n", "To: undisclosed-recipients:;\r\n"},
	    {"no address at all", "To: Joe Doe\r\n", "To: Joe Doe\r\n"},
	    {"empty path", "From: <>\r\n", "From: <>\r\n"},
	    {"nothing", "To:\r\n", "To:\r\n"},
	    {"another address", "From: Joe <joe@old.test>\r\n", "From: Joe <joe@new.test>\r\n"},
	    {"a route goes with what it led to", "From: <@a,@b:joe@old.test>\r\n",
		"From: <joe@new.test>\r\n"},
	    {"blanks inside an address go when it changes", "To: joe @ old . test (x)\r\n",
		"To: joe@new.test (x)\r\n"},
	    {"...and stay when it does not", "To: joe @ x . test (x)\r\n", "To: joe @ x . test (x)\r\n"},
	    {"upper case is the author's", "To: Joe@X.Test\r\n", "To: Joe@X.Test\r\n"},
	    {"a domain's last dot goes", "To: Joe <Joe@x.test.>, joe@old.test. (x),\r\n \"a b\"@x.test.\r\n",
		"To: Joe <Joe@x.test>, joe@new.test (x),\r\n \"a b\"@x.test\r\n"},
	    {"encoded words are no addresses", "To: =?utf-8?q?root?= <joe@old.test>\r\n",
		"To: =?utf-8?q?root?= <joe@new.test>\r\n"},
	    {"other fields are left alone", "Subject: root\r\nX-To: joe@old.test\r\n",
		"Subject: root\r\nX-To: joe@old.test\r\n"},
	    {"what makes no sense is passed over", "To: <<a>, joe@old.test, @@, b\r\n",
		"To: <<a>, joe@new.test, @@, b@h.test\r\n"},
	    {"line ends of Unix", "To: joe@old.test\nCc: x\n", "To: joe@new.test\nCc: x@h.test\n"},
	    {"several fields", "Resent-To: a\r\nReply-To: b@old.test\r\nSender: c\r\n",
		"Resent-To: a@h.test\r\nReply-To: b@new.test\r\nSender: c@h.test\r\n"},
	};
	struct buf out;

	(void)state;
	buf_init(&out, 10000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)rewrite(rows[i].header, &all, &out);
		if (!span_is(buf_span(&out), rows[i].want))
			fail_msg("%s: got '%s', want '%s'", rows[i].why, buf_text(&out), rows[i].want);
	}
	buf_free(&out);
}

static void
complete_addresses_cost_no_question(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 10000);
	assert_int_equal(rewrite("From: a@b.test\r\nTo: c@d.test, e@f\r\n", &incomplete, &out), 0);
	assert_int_equal(rewrite("From: a@b.test\r\nTo: c@d.test, e\r\n", &incomplete, &out), 1);
	assert_string_equal(buf_text(&out), "From: a@b.test\r\nTo: c@d.test, e@h.test\r\n");
	buf_free(&out);
}

static void
many_addresses_are_asked_in_pieces(void **state)
{
	struct buf header, out;

	(void)state;
	buf_init(&header, 100000);
	buf_init(&out, 200000);
	buf_append_text(&header, "To: x");
	for (int i = 0; i < 1000; i++)
		buf_printf(&header, ",\r\n user%d@old.test", i);
	buf_append_text(&header, "\r\n");
	assert_int_equal(rewrite(buf_text(&header), &all, &out), 21);
	assert_non_null(strstr(buf_text(&out), "\r\n user999@new.test\r\n"));
	assert_null(strstr(buf_text(&out), "old.test"));
	buf_free(&header);
	buf_free(&out);
}

static void
answers_are_not_trusted(void **state)
{
	static const struct {
		const char *why;
		struct span answer;
		int status;
	} rows[] = {
	    {"too few", {"", 0}, -1},
	    {"not ended", {"a@b", 3}, -1},
	    {"too many", {"a@b\0c@d\0", 8}, -1},
	    {"a line end", {"a@b\r\nBcc: c@d\0", 14}, 0},
	    {"empty", {"\0", 1}, 0},
	};
	struct error err;
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct header_rewrite *h = header_rewrite_new(SPAN_LIT("To: joe\r\n"), &all);
		enum rewrite_kind kind;
		struct span addresses;

		assert_true(header_rewrite_next(h, &kind, &addresses));
		assert_int_equal(kind, REWRITE_LOCAL_RECIPIENT);
		if (header_rewrite_answer(h, rows[i].answer, &err) != rows[i].status)
			fail_msg("%s", rows[i].why);
		buf_clear(&out);
		header_rewrite_put(h, &out);
		if (rows[i].status == 0)
			assert_string_equal(buf_text(&out), "To: joe\r\n");
		header_rewrite_free(&h);
	}
	buf_free(&out);
}

/* Tables may write much; the bound is an error, and the header is whole all the same. */
static void
growth_is_bounded(void **state)
{
	enum { ADDRESSES = 6000 };
	struct header_rewrite *h;
	struct buf in, out, answer;
	enum rewrite_kind kind;
	struct span addresses;
	struct error err;

	(void)state;
	buf_init(&in, 100000);
	buf_init(&answer, HEADER_REWRITE_BATCH * (HEADER_REWRITE_ANSWER_MAX + 1));
	buf_append_text(&in, "To: a");
	for (int i = 1; i < ADDRESSES; i++)
		buf_append_text(&in, ",a");
	buf_append_text(&in, "\r\n");
	buf_init(&out, in.len + HEADER_REWRITE_GROWTH_MAX);
	h = header_rewrite_new(buf_span(&in), &all);
	while (header_rewrite_next(h, &kind, &addresses)) {
		buf_clear(&answer);
		for (size_t i = 0; i < addresses.len; i += 2)
			buf_printf(&answer, "%0*d%c", HEADER_REWRITE_ANSWER_MAX, 1, 0);
		assert_int_equal(header_rewrite_answer(h, buf_span(&answer), &err), 0);
	}
	assert_int_equal(header_rewrite_put(h, &out), -1);
	assert_false(out.full);
	assert_true(span_starts(span_from(buf_span(&out), out.len - 5), "a,a\r\n"));
	header_rewrite_free(&h);
	buf_free(&in);
	buf_free(&out);
	buf_free(&answer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_addresses_change),
	    cmocka_unit_test(complete_addresses_cost_no_question),
	    cmocka_unit_test(many_addresses_are_asked_in_pieces),
	    cmocka_unit_test(answers_are_not_trusted),
	    cmocka_unit_test(growth_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
