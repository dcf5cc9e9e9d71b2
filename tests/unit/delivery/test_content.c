#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "delivery/smtp/content.h"
#include "delivery/smtp/mime7bit.h"
#include "delivery/smtp/quoted.h"

#define A60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
	const char *why;
	struct content_rules rules;
	const char *in, *out;
} rows[] = {
    {"nothing to do", {0}, "a\r\n.b\r\n", "a\r\n.b\r\n"},
    {"nothing at all", {.dots = true}, "", ""},
    {"dots are doubled at line starts only", {.dots = true}, ".\r\n..\r\na.b\r\n.c\r\n",
	"..\r\n...\r\na.b\r\n..c\r\n"},
    {"a dot after a bare LF is doubled too", {.dots = true}, "a\n.\n", "a\n..\n"},
    {"the last line is ended", {.dots = true}, "a\r\n.b", "a\r\n..b\r\n"},
    {"a line of just the limit", {.line_limit = 64}, "x\r\n\r\n" A60 "bbbb\r\n", "x\r\n\r\n" A60 "bbbb\r\n"},
    {"one octet more", {.line_limit = 64}, "x\r\n\r\n" A60 "bbbbc\r\n", "x\r\n\r\n" A60 "bbbb\r\n c\r\n"},
    {"twice the limit", {.line_limit = 64}, "x\r\n\r\n" A60 "bbbb" A60 "bbbb\r\nend\r\n",
	"x\r\n\r\n" A60 "bbbb\r\n " A60 "bbb\r\n b\r\nend\r\n"},
    {"a dot that folding brings to the front stands behind a blank", {.line_limit = 64},
	"x\r\n\r\n" A60 "bbbb..\r\n.\r\n", "x\r\n\r\n" A60 "bbbb\r\n ..\r\n..\r\n"},
    {"no character is cut", {.line_limit = 64},
	"x\r\n\r\n" A60 "bbb\xc3\xbc"
	"c\r\n",
	"x\r\n\r\n" A60 "bbb\r\n \xc3\xbc"
	"c\r\n"},
    {"header lines are folded at blanks", {.line_limit = 64}, "To: bbbb,\tcccc " A60 "\r\n\r\nx\r\n",
	"To: bbbb,\tcccc\r\n " A60 "\r\n\r\nx\r\n"},
    {"a header without a blank", {.line_limit = 64}, "X:" A60 "bbb\r\n\r\n", "X:" A60 "bb\r\n b\r\n\r\n"},
    {"text becomes quoted-printable", {.to_7bit = true},
	"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
	"8bit\r\n\r\n"
	"gr\xc3\xbc = \r\n.\r\n",
	"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
	"Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=BC =3D=20\r\n..\r\n"},
    {"of a header without MIME nobody knows the charset", {.to_7bit = true}, "Subject: x\r\n\r\n\xfc\r\n",
	"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
	"Content-Transfer-Encoding: quoted-printable\r\n\r\n=FC\r\n"},
    {"what is encoded already stays", {.to_7bit = true},
	"MIME-Version: 1.0\r\nContent-Transfer-Encoding: BASE64\r\n\r\nAAAA=\r\n",
	"MIME-Version: 1.0\r\nContent-Transfer-Encoding: BASE64\r\n\r\nAAAA=\r\n"},
    {"parts of a multipart", {.to_7bit = true},
	"Content-Transfer-Encoding: 8bit\r\nContent-Type: multipart/mixed;\r\n boundary=\"a "
	"b\"\r\n\r\npre\xfc\r\n--a b\r\n\r\n"
	"\xc3\xbc\r\n--a b \r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n--a b--\r\n--a b\r\npost\r\n",
	"Content-Type: multipart/mixed;\r\n boundary=\"a b\"\r\nContent-Transfer-Encoding: "
	"7bit\r\n\r\npre?\r\n--a b\r\n"
	"Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC\r\n--a b \r\n"
	"Content-Transfer-Encoding: base64\r\n\r\nAA==\r\n--a b--\r\n--a b\r\npost\r\n"},
    {"a message in a message", {.to_7bit = true},
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n"
	"Content-Transfer-Encoding: 8bit\r\n\r\nMIME-Version: 1.0\r\nContent-Type: "
	"text/x\r\n\r\n\xfc\r\n--b--\r\n",
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n"
	"Content-Transfer-Encoding: 7bit\r\n\r\nMIME-Version: 1.0\r\nContent-Type: text/x\r\n"
	"Content-Transfer-Encoding: quoted-printable\r\n\r\n=FC\r\n--b--\r\n"},
    {"a signed part beside a plain one", {.to_7bit = true},
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/signed; "
	"boundary=s\r\n\r\n"
	"--s\r\nContent-Transfer-Encoding: 8bit\r\n\r\nplain =\r\n--s--\r\n--b\r\n\r\n\xfc\r\n--b--\r\n",
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/signed; "
	"boundary=s\r\n\r\n"
	"--s\r\nContent-Transfer-Encoding: 8bit\r\n\r\nplain =\r\n--s--\r\n--b\r\n"
	"Content-Transfer-Encoding: quoted-printable\r\n\r\n=FC\r\n--b--\r\n"},
    {"8-bit data in a signed part", {.to_7bit = true},
	"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n\xfc\r\n--s--\r\n", NULL},
    {"8-bit data in what claims to be base64", {.to_7bit = true},
	"Content-Transfer-Encoding: base64\r\n\r\n\xfc\r\n", NULL},
    {"8-bit data in a multipart without boundary", {.to_7bit = true},
	"Content-Type: multipart/mixed\r\n\r\n\xfc\r\n", NULL},
};

/* Runs it with that much asked for at a time. Returns false if it was refused. */
static bool
run(size_t row, size_t about, struct buf *out)
{
	struct content_source source = {
	    .bytes = span_of(rows[row].in), .fd = -1, .len = strlen(rows[row].in)};
	struct content c;
	struct error err = {0};
	int status;

	content_open(&c, &source, &rows[row].rules);
	do
		status = content_more(&c, out, about, &err);
	while (status == 1);
	content_close(&c);
	if (status < 0)
		assert_int_equal(err.number, EILSEQ);
	return status == 0;
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out;

		buf_init(&out, 10000);
		if (run(i, 1, &out) != (rows[i].out != NULL))
			fail_msg("%s: %.*s", rows[i].why, SPAN_ARG(buf_span(&out)));
		if (rows[i].out && !span_is(buf_span(&out), rows[i].out))
			fail_msg("%s:\n%.*s", rows[i].why, SPAN_ARG(buf_span(&out)));
		buf_free(&out);
	}
}

/* Lines that cross the pieces in which content is read. */
static void
test_large_content_in_pieces(void **state)
{
	struct content_rules rules = {.line_limit = 998, .dots = true};
	struct content_source source = {.fd = -1};
	struct error err;
	struct content c;
	struct buf in, out, joined;
	struct span rest, line;

	(void)state;
	buf_init(&in, 1 << 20);
	buf_init(&out, 1 << 20);
	buf_init(&joined, 1 << 20);
	buf_append_text(&in, "Subject: x\r\n\r\n");
	for (int i = 0; i < 300; i++)
		buf_printf(&in, ".%0*d\r\n", i * 7, i);
	source.bytes = buf_span(&in);
	source.len = in.len;
	content_open(&c, &source, &rules);
	while (content_more(&c, &out, 5000, &err) == 1)
		;
	content_close(&c);
	/* Undone, it is as before. */
	for (rest = buf_span(&out); span_next_line(&rest, &line);) {
		assert_true(line.len <= 999);
		if (line.len > 0 && line.ptr[0] == ' ') {
			joined.len -= 2;
			line = span_from(line, 1);
		} else if (line.len > 0 && line.ptr[0] == '.') {
			line = span_from(line, 1);
		}
		buf_append_span(&joined, line);
		buf_append_text(&joined, "\r\n");
	}
	assert_true(span_equal(buf_span(&joined), buf_span(&in)));
	buf_free(&in);
	buf_free(&out);
	buf_free(&joined);
}

static void
test_quoted_lines_are_short(void **state)
{
	struct quoted q;
	struct buf out;
	struct span rest, line;

	(void)state;
	buf_init(&out, 100000);
	quoted_begin(&q);
	for (int i = 0; i < 500; i++)
		assert_int_equal(quoted_feed(&q, i % 3 ? SPAN_LIT("abc ") : SPAN_LIT("\xc3\xbc="), &out), 0);
	assert_int_equal(quoted_feed(&q, SPAN_LIT("\r"), &out), 0);
	assert_int_equal(quoted_finish(&q, &out), 0);
	for (rest = buf_span(&out); span_next_line(&rest, &line);)
		assert_true(line.len <= 76);
	assert_true(span_ends_nocase(buf_span(&out), "=0D"));
	buf_free(&out);
}

/* Deeper than anybody nests: kept as it is, or refused; never more memory. */
static void
test_depth_is_bounded(void **state)
{
	struct mime7bit *m = mime7bit_new();
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	for (int i = 0; i < 2 * MIME7BIT_DEPTH_MAX; i++) {
		char part[100];
		int n = snprintf(
		    part, sizeof(part), "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);

		assert_int_equal(mime7bit_feed(m, span_make(part, (size_t)n), &out), 0);
	}
	assert_int_equal(mime7bit_feed(m, SPAN_LIT("\r\n\xfc\r\n"), &out), -1);
	mime7bit_free(&m);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_large_content_in_pieces),
	    cmocka_unit_test(test_quoted_lines_are_short),
	    cmocka_unit_test(test_depth_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
