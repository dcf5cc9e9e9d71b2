/* What a local program wrote, as it goes over the wire. Each row is fed whole, byte by byte, and in threes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/ipc/protocol.h"
#include "services/pickup/content.h"

#define ADDED "Message-Id: <1.Q@h.test>\r\nDate: D\r\nFrom: joe@h.test\r\n"
#define HAS "From: a@b\r\nDate: x\r\nMessage-ID: <m@b>\r\n"
#define HAS_LF "From: a@b\nDate: x\nMessage-ID: <m@b>\n"

static const struct {
	const char *why, *input, *output;
	size_t header_len; /* 0: not looked at */
	uint32_t flags;
} rows[] = {
    {"all is added", "Subject: x\n\nbody\n", "Subject: x\r\n" ADDED "\r\nbody\r\n",
	sizeof("Subject: x\r\n" ADDED "\r\n") - 1, 0},
    {"nothing is added", HAS_LF "\nbody\n", HAS "\r\nbody\r\n", 0, 0},
    {"no header at all", "just text\nmore\n", ADDED "\r\njust text\r\nmore\r\n", 0, 0},
    {"an empty message", "", ADDED "\r\n", 0, 0},
    {"an empty header", "\ntext\n", ADDED "\r\ntext\r\n", 0, 0},
    {"a header that ends without an empty line", HAS_LF "text: no\nbody here\n",
	HAS "text: no\r\n\r\nbody here\r\n", 0, 0},
    {"a header and nothing else", HAS_LF, HAS "\r\n", 0, 0},
    {"the last line gets its end", HAS_LF "\nbody", HAS "\r\nbody\r\n", 0, 0},
    {"the last header line gets its end", "From: a@b\nDate: x\nMessage-ID: <m@b>", HAS "\r\n", 0, 0},
    {"CRLF stays CRLF", HAS "\r\nbody\r\n", HAS "\r\nbody\r\n", 0, 0},
    {"a bare CR is a blank", HAS_LF "\na\rb\r\r\nc\r", HAS "\r\na b \r\nc \r\n", 0, 0},
    {"a bare CR ends no header line", HAS_LF "Subject: a\rX: y\n\n", HAS "Subject: a X: y\r\n\r\n", 0, 0},
    {"dropped fields go with their continuation",
	HAS_LF "Bcc: x@y,\n\tz@y\nBCC : q\nTo: t@u\nReturn-Path: <f>\n\n", HAS "To: t@u\r\n\r\n", 0, 0},
    {"Bcc in the body stays", HAS_LF "\nBcc: x\n", HAS "\r\nBcc: x\r\n", 0, 0},
    {"folding is kept", HAS_LF "Subject: a\n  b\n\tc\n\n", HAS "Subject: a\r\n  b\r\n\tc\r\n\r\n", 0, 0},
    {"a message that was resent gets its own marks", "Resent-To: a@b\nFrom: x@y\n\n",
	"Resent-To: a@b\r\nFrom: x@y\r\nResent-Message-Id: <1.Q@h.test>\r\nResent-Date: D\r\nResent-From: "
	"joe@h.test\r\n\r\n",
	0, 0},
    {"dots are noticed", HAS_LF "\n.x\n", HAS "\r\n.x\r\n", 0, MAIL_DOTS},
    {"8 bit is noticed", HAS_LF "\n\xc3\xb6\n", HAS "\r\n\xc3\xb6\r\n", 0, MAIL_8BIT},
    {"a field name alone is no header", "name\n", ADDED "\r\nname\r\n", 0, 0},
    {"a folded line first is text", " x\nTo: a@b\n", ADDED "\r\n x\r\nTo: a@b\r\n", 0, 0},
};

static struct content_setup
setup(size_t limit)
{
	return (struct content_setup){
	    .field_limit = limit,
	    .drop_headers = "bcc, content-length, resent-bcc, return-path",
	    .from = SPAN_LIT("joe@h.test"),
	    .date = "D",
	    .message_id = "<1.Q@h.test>",
	    .undisclosed = "",
	};
}

static void
convert(struct content *c, const struct content_setup *s, struct span input, size_t step, struct buf *out)
{
	content_init(c, s);
	buf_init(out, 1 << 20);
	for (size_t i = 0; i < input.len; i += step)
		assert_int_equal(content_write(c, span_sub(input, i, step), out), 0);
	assert_int_equal(content_finish(c, out), 0);
}

static void
messages_become_what_goes_over_the_wire(void **state)
{
	static const size_t steps[] = {100000, 1, 3};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t step = 0; step < 3; step++) {
			struct content_setup s = setup(1000);
			struct content c;
			struct buf out;
			convert(&c, &s, span_of(rows[i].input), steps[step], &out);
			if (!span_is(buf_span(&out), rows[i].output))
				fail_msg("%s (%zu): got\n%s\nwant\n%s", rows[i].why, steps[step],
				    buf_text(&out), rows[i].output);
			if (rows[i].header_len)
				assert_int_equal(c.header_len, rows[i].header_len);
			assert_int_equal(c.facts.flags, rows[i].flags);
			content_free(&c);
			buf_free(&out);
		}
}

static void
a_name_is_quoted_or_encoded(void **state)
{
	static const struct {
		const char *name, *from;
		bool obsolete;
	} names[] = {
	    {"Joe Doe", "From: Joe Doe <joe@h.test>\r\n", false},
	    {"Doe, Joe \"J\"", "From: \"Doe, Joe \\\"J\\\"\" <joe@h.test>\r\n", false},
	    {"J\xc3\xb6rg M", "From: =?utf-8?Q?J=C3=B6rg_M?= <joe@h.test>\r\n", false},
	    {"J\xf6rg", "From: =?unknown-8bit?Q?J=F6rg?= <joe@h.test>\r\n", false},
	    {"a\nBcc: evil@x", "From: \"a Bcc: evil@x\" <joe@h.test>\r\n", false},
	    {"=?utf-8?q?x?=", "From: \"=?utf-8?q?x?=\" <joe@h.test>\r\n", false},
	    {"", "From: joe@h.test\r\n", false},
	    {"Joe Doe", "From: joe@h.test (Joe Doe)\r\n", true},
	    {"Joe (the \\ third)", "From: joe@h.test (Joe \\(the \\\\ third\\))\r\n", true},
	    {"J\xc3\xb6rg M", "From: joe@h.test (=?utf-8?Q?J=C3=B6rg_M?=)\r\n", true},
	    {"a\nBcc: evil@x", "From: joe@h.test (a Bcc: evil@x)\r\n", true},
	    {"", "From: joe@h.test\r\n", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct content_setup s = setup(1000);
		struct content c;
		struct buf out;
		s.full_name = span_of(names[i].name);
		s.obsolete_from = names[i].obsolete;
		convert(&c, &s, SPAN_LIT("\n"), 1, &out);
		if (strstr(buf_text(&out), names[i].from) == NULL)
			fail_msg("got\n%s\nwant\n%s", buf_text(&out), names[i].from);
		content_free(&c);
		buf_free(&out);
	}
}

/* However large, a field takes header_size_limit octets, and what follows it is still found. */
static void
a_field_that_is_too_long_is_cut(void **state)
{
	(void)state;
	for (size_t step = 1; step < 200; step += 66) {
		struct content_setup s = setup(100);
		struct content c;
		struct buf in, out;
		buf_init(&in, 100000);
		buf_append_text(&in, "Subject: ");
		for (int i = 0; i < 5000; i++)
			buf_append_text(&in, "y");
		for (int i = 0; i < 50; i++)
			buf_append_text(&in, "\n folded");
		buf_append_text(&in, "\n ");
		for (int i = 0; i < 5000; i++)
			buf_append_text(&in, "z");
		buf_append_text(&in, "\nTo: jane\n\n");
		convert(&c, &s, buf_span(&in), step, &out);
		assert_non_null(strstr(buf_text(&out), "\r\nTo: jane\r\n"));
		assert_true(out.len < 300);
		content_free(&c);
		buf_free(&in);
		buf_free(&out);
	}
}

static void
an_endless_line_that_is_no_field_is_text(void **state)
{
	struct content_setup s = setup(100);
	struct content c;
	struct buf in, out;

	(void)state;
	buf_init(&in, 100000);
	for (int i = 0; i < 5000; i++)
		buf_append_text(&in, "y y");
	convert(&c, &s, buf_span(&in), 7, &out);
	assert_int_equal(c.total - c.header_len, in.len + 2);
	assert_true(c.facts.flags & MAIL_LONG_LINES);
	content_free(&c);
	buf_free(&in);
	buf_free(&out);
}

static void
hops_and_the_message_id_are_noticed(void **state)
{
	struct content_setup s = setup(1000);
	struct content c;
	struct buf out;

	(void)state;
	convert(
	    &c, &s, SPAN_LIT("Received: a\nReceived: b\n c\nMessage-ID:\n <x@y>\n\nReceived: no\n"), 5, &out);
	assert_int_equal(c.received, 2);
	assert_string_equal(c.message_id, "<x@y>");
	content_free(&c);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(messages_become_what_goes_over_the_wire),
	    cmocka_unit_test(a_name_is_quoted_or_encoded),
	    cmocka_unit_test(a_field_that_is_too_long_is_cut),
	    cmocka_unit_test(an_endless_line_that_is_no_field_is_text),
	    cmocka_unit_test(hops_and_the_message_id_are_noticed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
