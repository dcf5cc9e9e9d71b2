/*
 * Content: whole, an octet at a time and cut at each place, the result is the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "common/ipc/protocol.h"
#include "smtpd/content.h"

struct row {
	const char *name;
	const char *in; /* '@' stands for NUL */
	const char *out; /* NULL: does not end */
	unsigned flags;
	bool lf_ends;
	bool chunk; /* BDAT: no dots, the end is the end */
};

static const struct row rows[] = {
    {"plain", "A: b\r\n\r\nbody\r\n.\r\n", "A: b\r\n\r\nbody\r\n", 0, false, false},
    {"nothing", ".\r\n", "\r\n", 0, false, false},
    {"a header without body", "A: b\r\n.\r\n", "A: b\r\n\r\n", 0, false, false},
    {"a body without header", "\r\nbody\r\n.\r\n", "\r\nbody\r\n", 0, false, false},
    {"stuffed dots", "\r\n..x\r\n.x\r\n..\r\n.\r\n", "\r\n.x\r\nx\r\n.\r\n", MAIL_DOTS, false, false},
    {"a stuffed dot in the header", ".A: b\r\n\r\n.\r\n", "A: b\r\n\r\n", 0, false, false},
    {"LF.LF", "\r\na\n.\nb\r\n.\r\n", "\r\na\r\n\r\nb\r\n", 0, false, false},
    {"LF.CRLF", "\r\na\n.\r\nb\r\n.\r\n", "\r\na\r\n\r\nb\r\n", 0, false, false},
    {"CRLF.LF", "\r\na\r\n.\nb\r\n.\r\n", "\r\na\r\n\r\nb\r\n", 0, false, false},
    {"CRLF.CR", "\r\na\r\n.\rb\r\n.\r\n", "\r\na\r\n b\r\n", 0, false, false},
    {"CR.CR", "\r\na\r.\rb\r\n.\r\n", "\r\na . b\r\n", 0, false, false},
    {"CR.CRLF", "\r\na\r.\r\nb\r\n.\r\n", "\r\na .\r\nb\r\n", 0, false, false},
    {"CRLF.CRCRLF", "\r\na\r\n.\r\r\nb\r\n.\r\n", "\r\na\r\n \r\nb\r\n", 0, false, false},
    {"CRCRLF.CRLF", "\r\na\r\r\n.\r\n", "\r\na \r\n", 0, false, false},
    {"CRLF NUL.CRLF", "\r\na\r\n@.\r\nb\r\n.\r\n", "\r\na\r\n@.\r\nb\r\n", 0, false, false},
    {"CRLF.NUL CRLF", "\r\na\r\n.@\r\nb\r\n.\r\n", "\r\na\r\n@\r\nb\r\n", 0, false, false},
    {"a CR before the end", "\r\na\r\r\n.\r\n", "\r\na \r\n", 0, false, false},
    {"LF only, by one who may", "A: b\n\n..c\n.\n", "A: b\r\n\r\n.c\r\n", MAIL_DOTS, true, false},
    {"LF only, at once", ".\n", "\r\n", 0, true, false},
    {"one who may and still sends CRLF", "A: b\n\nc\r\n.\n", NULL, 0, true, false},
    {"does not end", "A: b\r\n\r\nc\r\n.", NULL, 0, false, false},
    {"8 bits", "A: b\r\n\r\n\xc3\xa4\r\n.\r\n", "A: b\r\n\r\n\xc3\xa4\r\n", MAIL_8BIT, false, false},
    {"8 bits in the header", "A: \xc3\xa4\r\n\r\n.\r\n", "A: \xc3\xa4\r\n\r\n", MAIL_8BIT, false, false},
    {"one word is no field either", "A: b\r\nheader\r\n.\r\n", "A: b\r\n\r\nheader\r\n", 0, false, false},
    {"no colon: the body begins", "A: b\r\nno header\r\n.\r\n", "A: b\r\n\r\nno header\r\n", 0, false, false},
    {"a folded first line is no header", " x\r\nA: b\r\n.\r\n", "\r\n x\r\nA: b\r\n", 0, false, false},
    {"a colon first is no header", ": x\r\n.\r\n", "\r\n: x\r\n", 0, false, false},
    {"folded", "A: b\r\n\tc\r\n\r\n.\r\n", "A: b\r\n\tc\r\n\r\n", 0, false, false},
    {"a mailbox separator", "From x Mon\r\nA: b\r\n\r\n.\r\n", "X-Mailbox-Line: From x Mon\r\nA: b\r\n\r\n",
	0, false, false},
    {"a field beyond its limit", "A: 678901234567890123456789012345\r\n 6789\r\nB: c\r\n\r\n.\r\n",
	"A: 678901234567890123456789012345\r\n 678\r\nB: c\r\n\r\n", 0, false, false},
    {"chunks have no dots", "\r\n.\r\n..\r\nx", "\r\n.\r\n..\r\nx\r\n", MAIL_DOTS, false, true},
    {"a chunk ends in CR", "\r\nx\r", "\r\nx \r\n", 0, false, true},
    {"an empty chunk", "", "\r\n", 0, false, true},
    {"a chunk within the header", "A: b", "A: b\r\n\r\n", 0, false, true},
};

enum { FIELD_LIMIT = 37 };

static void
put(void *context, struct span bytes)
{
	assert_int_equal(buf_append_span(context, bytes), 0);
}

static void
header_end(void *context)
{
	(void)context;
}

static void
check(const struct row *row, struct span in, struct span out, size_t first, size_t step)
{
	struct content c;
	struct buf got;
	struct content_rules rules = {.field_limit = FIELD_LIMIT,
	    .header_limit = 1000,
	    .hop_limit = 50,
	    .dots = !row->chunk,
	    .lf_ends = row->lf_ends};
	struct content_sink sink = {put, header_end, &got};
	size_t at = 0, n;

	buf_init(&got, 100000);
	content_init(&c, &rules, &sink);
	c.after_crlf = !row->lf_ends;
	while (at < in.len && !c.ended) {
		n = at == 0 && first ? first : step;
		at += content_feed(&c, span_sub(in, at, n));
	}
	assert_int_equal(c.ended, !row->chunk && row->out);
	if (row->out) {
		assert_int_equal(at, in.len);
		content_finish(&c);
		if (!span_equal(buf_span(&got), out))
			fail_msg(
			    "%s, cut at %zu, by %zu: got \"%s\"", row->name, first, step, buf_text(&got));
		assert_int_equal(c.flags, row->flags);
		assert_in_range(c.octets, out.len, out.len + 1); /* a cut field counts whole */
	}
	content_fini(&c);
	buf_free(&got);
}

static void
test_rows(void **state)
{
	char in[1000], out[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span source, wanted;

		(void)snprintf(in, sizeof(in), "%s", rows[i].in);
		(void)snprintf(out, sizeof(out), "%s", rows[i].out ? rows[i].out : "");
		source = span_of(in);
		wanted = span_of(out);
		for (size_t k = 0; k < source.len; k++)
			in[k] = in[k] == '@' ? '\0' : in[k];
		for (size_t k = 0; k < wanted.len; k++)
			out[k] = out[k] == '@' ? '\0' : out[k];
		check(&rows[i], source, wanted, 0, 10000);
		check(&rows[i], source, wanted, 0, 1);
		for (size_t cut = 1; cut < source.len; cut++)
			check(&rows[i], source, wanted, cut, 10000);
	}
}

/* Fields of message_drop_headers go with their continuation lines, wherever they are cut; what is alike stays. */
static void
test_dropped(void **state)
{
	static const char in[] = "Return-Path: <a@b>\r\nTo: x\r\nBCC:\r\n y,\r\n\tz\r\nReturn-Path: <c>\r\n"
				 "Bcc-Not: w\r\n v\r\nbcc : u\r\n\r\nBcc: body\r\n.\r\n";
	static const char out[] = "To: x\r\nBcc-Not: w\r\n v\r\n\r\nBcc: body\r\n";
	struct content_rules rules = {.field_limit = 100,
	    .header_limit = 1000,
	    .hop_limit = 3,
	    .dots = true,
	    .drop_headers = "bcc, content-length, return-path"};
	struct buf got;
	struct content_sink sink = {put, header_end, &got};

	(void)state;
	for (size_t cut = 0; cut < sizeof(in) - 1; cut++) {
		struct content c;
		struct span whole = span_make(in, sizeof(in) - 1);

		buf_init(&got, 1000);
		content_init(&c, &rules, &sink);
		(void)content_feed(&c, span_sub(whole, 0, cut));
		(void)content_feed(&c, span_from(whole, cut));
		content_finish(&c);
		assert_true(c.ended);
		assert_string_equal(buf_text(&got), out);
		assert_int_equal(c.octets, sizeof(in) - 1 - strlen(".\r\n"));
		content_fini(&c);
		buf_free(&got);
	}
}

/* What is seen of the header. */
static void
test_fields(void **state)
{
	static const char text[] =
	    "Received: 1\r\nMessage-ID:\r\n <one@x>\r\nmessage-id: <two@x>\r\nDATE : now\r\nCc: a\r\n\r\n"
	    "From: body\r\n.\r\n";
	struct content c;
	struct buf got;
	struct content_rules rules = {
	    .field_limit = 1000, .header_limit = 1000, .hop_limit = 2, .dots = true};
	struct content_sink sink = {put, header_end, &got};

	(void)state;
	buf_init(&got, 100000);
	content_init(&c, &rules, &sink);
	(void)content_feed(&c, span_of(text));
	assert_true(c.ended);
	assert_string_equal(buf_text(&c.message_id), "<one@x>");
	assert_int_equal(c.fields, FIELD_MESSAGE_ID | FIELD_DATE | FIELD_TO);
	assert_int_equal(c.hops, 1);
	assert_int_equal(c.fault, CONTENT_FINE);
	assert_int_equal(c.header_octets, strlen(text) - strlen("From: body\r\n.\r\n"));
	content_fini(&c);
	buf_free(&got);
}

static enum content_fault
fault_of(const struct content_rules *rules, const char *text, size_t repeat)
{
	struct content c;
	struct buf got;
	struct content_sink sink = {put, header_end, &got};
	enum content_fault fault;

	buf_init(&got, 100000);
	content_init(&c, rules, &sink);
	for (size_t i = 0; i < repeat; i++)
		(void)content_feed(&c, span_of(text));
	fault = c.fault;
	assert_true(!rules->size_limit || got.len <= rules->size_limit);
	content_fini(&c);
	buf_free(&got);
	return fault;
}

static void
test_limits(void **state)
{
	struct content_rules rules = {
	    .field_limit = 100, .header_limit = 1000, .hop_limit = 3, .size_limit = 500, .dots = true};

	(void)state;
	assert_int_equal(fault_of(&rules, "Received: x\r\n", 2), CONTENT_FINE);
	assert_int_equal(fault_of(&rules, "Received: x\r\n", 3), CONTENT_TOO_MANY_HOPS);
	assert_int_equal(fault_of(&rules, "\r\n23456789\r\n", 50), CONTENT_TOO_BIG);
	assert_int_equal(fault_of(&rules, "\r\n23456789", 60), CONTENT_TOO_BIG); /* one endless line */
	assert_int_equal(
	    fault_of(&rules, "A: 456789", 100), CONTENT_TOO_BIG); /* in the header too, though it is cut */
	rules.size_limit = 0;
	assert_int_equal(fault_of(&rules, "A: 456789\r\n", 89), CONTENT_FINE);
	assert_int_equal(fault_of(&rules, "A: 456789\r\n", 91), CONTENT_HEADER_TOO_BIG);
	rules.reject_bare_lf = true;
	assert_int_equal(fault_of(&rules, "\r\nx\n", 1), CONTENT_BARE_LF);
	assert_int_equal(fault_of(&rules, "\r\nx\r\n", 1), CONTENT_FINE);
}

/* RFC 5321, 4.5.3.1.6. */
static void
test_long_lines(void **state)
{
	char line[2000];
	struct content_rules rules = {.field_limit = 1000, .header_limit = 1000, .hop_limit = 3};
	struct buf got;
	struct content_sink sink = {put, header_end, &got};

	(void)state;
	for (size_t len = 998; len <= 999; len++)
		for (size_t cut = 0; cut < 2; cut++) {
			struct content c;

			memset(line, 'x', sizeof(line));
			memcpy(line, "\r\n", 2);
			memcpy(line + 2 + len, "\r\n", 2);
			buf_init(&got, 10000);
			content_init(&c, &rules, &sink);
			(void)content_feed(&c, span_make(line, cut ? 500 : 4 + len));
			if (cut)
				(void)content_feed(&c, span_make(line + 500, 4 + len - 500));
			assert_int_equal(c.flags, len > 998 ? MAIL_LONG_LINES : 0);
			content_fini(&c);
			buf_free(&got);
		}
}

static void
discard(void *context, struct span bytes)
{
	*(size_t *)context += bytes.len;
}

/* Megabytes of one of them and none of the other: to look for the other one behind each would take a minute. */
static void
test_cr_without_lf(void **state)
{
	static char octets[1 << 22];
	struct content_rules rules = {.field_limit = 1000, .header_limit = 1000, .hop_limit = 3};
	size_t seen = 0;
	struct content_sink sink = {discard, header_end, &seen};
	clock_t begun = clock();

	(void)state;
	for (const char *only = "\r\n"; *only; only++) {
		struct content c;

		memset(octets, *only, sizeof(octets));
		memcpy(octets, "\r\nx", 3);
		seen = 0;
		content_init(&c, &rules, &sink);
		(void)content_feed(&c, span_make(octets, sizeof(octets)));
		content_finish(&c);
		content_fini(&c);
		assert_int_equal(seen, *only == '\r' ? sizeof(octets) + 2 : 2 + 1 + 2 * (sizeof(octets) - 3));
	}
	assert_true((clock() - begun) / CLOCKS_PER_SEC < 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_dropped),
	    cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_long_lines),
	    cmocka_unit_test(test_cr_without_lf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
