/* What is refused or left out by its octets alone, whole and an octet at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/mail/content_strict.h"

static void
escapes_are_those_of_c(void **state)
{
	static const struct {
		const char *text;
		struct span octets;
	} rows[] = {
	    {"", {"", 0}}, {"ab", SPAN_LIT("ab")}, {"\\0\\101\\1778\\x\\\\", SPAN_LIT("\0A\1778x\\")},
	    {"\\a\\b\\f\\t\\v", SPAN_LIT("\a\b\f\t\v")},
	    {"\\r\\n\\377\\", SPAN_LIT("\377\\")}, /* line ends are none of it */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct octet_set set;
		size_t count = 0;

		octet_set_parse(span_of(rows[i].text), &set);
		for (unsigned octet = 0; octet < 256; octet++)
			count += set.has[octet];
		assert_int_equal(count, rows[i].octets.len);
		assert_int_equal(set.any, count > 0);
		for (size_t k = 0; k < count; k++)
			assert_true(set.has[(unsigned char)rows[i].octets.ptr[k]]);
	}
}

struct rules {
	const char *refused, *stripped;
	bool header_7bit, body_7bit, composite_domain;
};

/* What comes out, and what is refused. */
static void
run(const struct rules *r, struct span in, size_t piece, struct buf *out, char words[60])
{
	struct content_strict_rules rules = {.header_7bit = r->header_7bit,
	    .body_7bit = r->body_7bit,
	    .composite_domain = r->composite_domain};
	const struct mime_limits limits = {.nesting = 100, .boundary = 70};
	struct content_strict *s;
	struct content_refusal refusal;

	octet_set_parse(span_of(r->refused ? r->refused : ""), &rules.refused);
	octet_set_parse(span_of(r->stripped ? r->stripped : ""), &rules.stripped);
	s = content_strict_new(&rules, &limits);
	for (words[0] = '\0'; in.len > 0; in = span_from(in, piece)) {
		buf_append_span(out, content_strict_put(s, span_sub(in, 0, piece), &refusal));
		if (refusal.words) {
			assert_string_equal(words, "");
			span_copy(span_of(refusal.words), words, 60);
		}
	}
	content_strict_free(&s);
}

#define HEAD "Subject: x\r\nMIME-Version: 1.0\r\n"
#define MULTI "Content-Type: multipart/mixed; boundary=b\r\n"
#define HIGH "\xc3\xa4"
#define IN_HEADER "5.6.0 improper use of 8-bit data in message header"
#define IN_BODY "5.6.0 improper use of 8-bit data in message body"
#define DOMAIN "5.6.0 invalid message/* or multipart/* encoding domain"

static void
what_is_refused_or_left_out(void **state)
{
	static const struct {
		const char *why;
		struct rules rules;
		const char *in, *out; /* NULL: as it came */
		const char *words; /* "" : nothing */
	} rows[] = {
	    {"octets anywhere", {.refused = "\\007"}, "A: b\r\n\r\nx\007y\r\n", NULL,
		"5.7.1 disallowed character"},
	    {"none of them", {.refused = "\\007\\n\\r"}, "A: b\r\n\r\nxy\r\n", NULL, ""},
	    {"what is left out", {.stripped = "x\\007"}, "Ax: b\r\n x\r\n\r\nx\007y\r\nx\r\n",
		"A: b\r\n \r\n\r\ny\r\n\r\n", ""},
	    {"refused, though it would be left out", {.refused = "x", .stripped = "x"}, "A: x\r\n\r\n",
		"A: \r\n\r\n", "5.7.1 disallowed character"},
	    {"8 bits in a header", {.header_7bit = true}, "A: b\r\n " HIGH "\r\n\r\nb\r\n", NULL, IN_HEADER},
	    {"8 bits in a header's last line", {.header_7bit = true}, "A: " HIGH "\r\n\r\n", NULL, IN_HEADER},
	    {"8 bits in the body alone", {.header_7bit = true}, "A: b\r\n\r\n" HIGH "\r\n", NULL, ""},
	    {"left out before they are looked for", {.header_7bit = true, .stripped = "\\303\\244"},
		"A: " HIGH "\r\n\r\n", "A: \r\n\r\n", ""},
	    {"8 bits in the header of a message within", {.header_7bit = true},
		HEAD "Content-Type: message/rfc822\r\n\r\nSubject: " HIGH "\r\n\r\nx\r\n", NULL, IN_HEADER},
	    {"8 bits that nothing announces", {.body_7bit = true}, HEAD "\r\n" HIGH "\r\n", NULL, IN_BODY},
	    {"8 bits that are announced", {.body_7bit = true},
		HEAD "Content-Transfer-Encoding: 8BIT\r\n\r\n" HIGH "\r\n", NULL, ""},
	    {"8 bits in front of the parts", {.body_7bit = true},
		HEAD MULTI "Content-Transfer-Encoding: 8bit\r\n\r\n" HIGH "\r\n--b\r\n\r\nx\r\n--b--\r\n",
		NULL, IN_BODY},
	    {"each part says it for itself", {.body_7bit = true},
		HEAD MULTI
		"Content-Transfer-Encoding: 8bit\r\n\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" HIGH
		"\r\n--b\r\n\r\nx\r\n--b--\r\n",
		NULL, ""},
	    {"the next part does not", {.body_7bit = true},
		HEAD MULTI "\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" HIGH "\r\n--b\r\n\r\n" HIGH
			   "\r\n--b--\r\n",
		NULL, IN_BODY},
	    {"an encoded multipart", {.composite_domain = true},
		HEAD MULTI "Content-Transfer-Encoding: base64\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n", NULL,
		DOMAIN},
	    {"an encoded part of one", {.composite_domain = true},
		HEAD MULTI "\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n--b--\r\n", NULL, ""},
	};
	char words[60];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t piece = 1; piece < 10000; piece *= 7) {
			const char *wanted = rows[i].out ? rows[i].out : rows[i].in;
			struct buf out;

			buf_init(&out, 10000);
			run(&rows[i].rules, span_of(rows[i].in), piece, &out, words);
			if (!span_is(buf_span(&out), wanted) || strncmp(words, rows[i].words, 59) != 0 ||
			    (words[0] == '\0') != (rows[i].words[0] == '\0'))
				fail_msg("%s, by %zu: \"%s\", %.*s", rows[i].why, piece, words,
				    SPAN_ARG(buf_span(&out)));
			buf_free(&out);
		}
}

static void
a_long_line_is_looked_at_to_its_end(void **state)
{
	static char text[20000];
	const struct rules refused = {.refused = "\\007"}, seven = {.body_7bit = true};
	struct buf out;
	char words[60];

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "A: b\r\n\r\n", 8);
	text[15000] = '\007';
	text[16000] = (char)0xc3;
	memcpy(text + sizeof(text) - 2, "\r\n", 2);
	buf_init(&out, sizeof(text) * 2);
	run(&refused, span_make(text, sizeof(text)), 999, &out, words);
	assert_string_equal(words, "5.7.1 disallowed character");
	assert_int_equal(out.len, sizeof(text));
	run(&seven, span_make(text, sizeof(text)), 999, &out, words);
	assert_string_equal(words, IN_BODY);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(escapes_are_those_of_c),
	    cmocka_unit_test(what_is_refused_or_left_out),
	    cmocka_unit_test(a_long_line_is_looked_at_to_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
