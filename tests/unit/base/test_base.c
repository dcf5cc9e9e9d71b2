/* common/base: bytes, text, memory with limits, the hash table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/table.h"
#include "common/base/text.h"

static void
spans_are_cut_without_reading_past_the_end(void **state)
{
	struct span s = SPAN_LIT("  one, two,,three "), word, line;
	struct span lines = SPAN_LIT("a\r\nb\n\nlast");

	(void)state;
	assert_true(span_is(span_trim(s), "one, two,,three"));
	assert_true(span_next_word(&s, ", ", &word) && span_is(word, "one"));
	assert_true(span_next_word(&s, ", ", &word) && span_is(word, "two"));
	assert_true(span_next_word(&s, ", ", &word) && span_is(word, "three"));
	assert_false(span_next_word(&s, ", ", &word));
	assert_true(span_next_line(&lines, &line) && span_is(line, "a"));
	assert_true(span_next_line(&lines, &line) && span_is(line, "b"));
	assert_true(span_next_line(&lines, &line) && line.len == 0);
	assert_true(span_next_line(&lines, &line) && span_is(line, "last"));
	assert_false(span_next_line(&lines, &line));
	assert_int_equal(span_sub(SPAN_LIT("abc"), 2, 99).len, 1);
	assert_int_equal(span_sub(SPAN_LIT("abc"), 9, 9).len, 0);
	assert_int_equal(span_find_last(SPAN_LIT("a@b@c"), '@'), 3);
}

static void
a_nul_ends_no_comparison(void **state)
{
	char small[4];

	(void)state;
	assert_false(span_equal(SPAN_LIT("a\0b"), SPAN_LIT("a\0c")));
	assert_false(span_is(SPAN_LIT("a\0b"), "a"));
	assert_false(span_copy(SPAN_LIT("a\0b"), small, sizeof(small)));
	assert_false(span_copy(SPAN_LIT("abcd"), small, sizeof(small)));
	assert_true(span_copy(SPAN_LIT("abc"), small, sizeof(small)));
}

static void
a_buf_refuses_at_its_maximum_and_keeps_what_it_has(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 8);
	assert_int_equal(buf_append_text(&b, "12345"), 0);
	assert_int_equal(buf_append_text(&b, "6789"), -1);
	assert_true(b.full);
	assert_string_equal(buf_text(&b), "12345");
	buf_consume(&b, 3);
	assert_int_equal(buf_printf(&b, "%06d", 1), 0);
	assert_string_equal(buf_text(&b), "45000001");
	assert_int_equal(buf_printf(&b, "x"), -1);
	buf_free(&b);
	assert_int_equal(buf_printf(&b, "%0300d", 1), -1);
	buf_free(&b);
}

static int cleaned;

static void
clean(void *what)
{
	cleaned += *(int *)what;
}

static void
an_arena_ends_everything_at_once(void **state)
{
	struct arena *a = arena_new(1000);
	int *one = arena_alloc(a, sizeof(*one));

	(void)state;
	*one = 1;
	assert_int_equal(arena_on_free(a, clean, one), 0);
	assert_string_equal(arena_printf(a, "%d-%s", 7, "x"), "7-x");
	assert_null(arena_alloc(a, 2000));
	assert_null(arena_alloc(a, SIZE_MAX));
	assert_non_null(arena_alloc(a, 600));
	arena_free(&a);
	assert_null(a);
	assert_int_equal(cleaned, 1);
}

static void
numbers_are_refused_at_their_bounds(void **state)
{
	uint64_t n = 7;

	(void)state;
	assert_int_equal(number_parse(SPAN_LIT("18446744073709551615"), 0, UINT64_MAX, &n), 0);
	assert_true(n == UINT64_MAX);
	n = 7;
	assert_int_equal(number_parse(SPAN_LIT("18446744073709551616"), 0, UINT64_MAX, &n), -1);
	assert_int_equal(number_parse(SPAN_LIT("99999999999999999999"), 0, UINT64_MAX, &n), -1);
	assert_int_equal(number_parse(SPAN_LIT("-1"), 0, 9, &n), -1);
	assert_int_equal(number_parse(SPAN_LIT("0x1"), 0, 9, &n), -1);
	assert_int_equal(number_parse(SPAN_LIT(""), 0, 9, &n), -1);
	assert_int_equal(number_parse(SPAN_LIT("10"), 0, 9, &n), -1);
	assert_true(n == 7);
}

static void
only_well_formed_utf8_passes(void **state)
{
	static const struct {
		const char *why, *text;
		bool valid;
	} rows[] = {
	    {"two bytes", "\xc3\xa4", true},
	    {"last code point", "\xf4\x8f\xbf\xbf", true},
	    {"overlong NUL", "\xc0\x80", false},
	    {"overlong slash", "\xe0\x80\xaf", false},
	    {"surrogate", "\xed\xa0\x80", false},
	    {"beyond U+10FFFF", "\xf4\x90\x80\x80", false},
	    {"lead F5", "\xf5\x80\x80\x80", false},
	    {"cut short", "\xe2\x82", false},
	    {"lone continuation", "\x80", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (utf8_valid(span_of(rows[i].text)) != rows[i].valid)
			fail_msg("%s", rows[i].why);
}

static void
log_text_has_no_control_characters(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	text_append_printable(&out, SPAN_LIT("a\nb\x1b[0m\xff\xc2\x9b\xc3\xa4z\0"), 99);
	assert_string_equal(buf_text(&out), "a?b?[0m??\xc3\xa4z?");
	buf_clear(&out);
	text_append_json(&out, SPAN_LIT("\"\\\n\xff"));
	assert_string_equal(buf_text(&out), "\\\"\\\\\\u000a\xef\xbf\xbd");
	buf_free(&out);
}

static void
a_table_is_bounded_and_finds_what_it_holds(void **state)
{
	struct table *t = table_new(1000, NULL);
	size_t position = 0, seen = 0;
	static int values[1001];
	char key[16];

	(void)state;
	for (int i = 0; i <= 1000; i++) {
		int n = snprintf(key, sizeof(key), "k%d", i);

		assert_int_equal(table_put(t, span_make(key, (size_t)n), &values[i]), i < 1000 ? 0 : -1);
	}
	assert_ptr_equal(table_get(t, SPAN_LIT("k999")), &values[999]);
	assert_null(table_get(t, SPAN_LIT("k1000")));
	while (table_next(t, &position, NULL) != NULL)
		seen++;
	assert_int_equal(seen, 1000);
	assert_ptr_equal(table_take(t, SPAN_LIT("k5")), &values[5]);
	assert_null(table_get(t, SPAN_LIT("k5")));
	table_free(&t);
}

/* The vectors of the authors' test program: key 00..0f, message 00, 01, ...; from every alignment. */
static void
siphash_agrees_with_its_authors(void **state)
{
	static const uint64_t vectors[64] = {0x726fdb47dd0e0e31u, 0x74f839c593dc67fdu, 0x0d6c8009d9a94f5au,
	    0x85676696d7fb7e2du, 0xcf2794e0277187b7u, 0x18765564cd99a68du, 0xcbc9466e58fee3ceu,
	    0xab0200f58b01d137u, 0x93f5f5799a932462u, 0x9e0082df0ba9e4b0u, 0x7a5dbbc594ddb9f3u,
	    0xf4b32f46226bada7u, 0x751e8fbc860ee5fbu, 0x14ea5627c0843d90u, 0xf723ca908e7af2eeu,
	    0xa129ca6149be45e5u, 0x3f2acc7f57c29bdbu, 0x699ae9f52cbe4794u, 0x4bc1b3f0968dd39cu,
	    0xbb6dc91da77961bdu, 0xbed65cf21aa2ee98u, 0xd0f2cbb02e3b67c7u, 0x93536795e3a33e88u,
	    0xa80c038ccd5ccec8u, 0xb8ad50c6f649af94u, 0xbce192de8a85b8eau, 0x17d835b85bbb15f3u,
	    0x2f2e6163076bcfadu, 0xde4daaaca71dc9a5u, 0xa6a2506687956571u, 0xad87a3535c49ef28u,
	    0x32d892fad841c342u, 0x7127512f72f27cceu, 0xa7f32346f95978e3u, 0x12e0b01abb051238u,
	    0x15e034d40fa197aeu, 0x314dffbe0815a3b4u, 0x027990f029623981u, 0xcadcd4e59ef40c4du,
	    0x9abfd8766a33735cu, 0x0e3ea96b5304a7d0u, 0xad0c42d6fc585992u, 0x187306c89bc215a9u,
	    0xd4a60abcf3792b95u, 0xf935451de4f21df2u, 0xa9538f0419755787u, 0xdb9acddff56ca510u,
	    0xd06c98cd5c0975ebu, 0xe612a3cb9ecba951u, 0xc766e62cfcadaf96u, 0xee64435a9752fe72u,
	    0xa192d576b245165au, 0x0a8787bf8ecb74b2u, 0x81b3e73d20b49b6fu, 0x7fa8220ba3b2eceau,
	    0x245731c13ca42499u, 0xb78dbfaf3a8d83bdu, 0xea1ad565322a1a0bu, 0x60e61c23a3795013u,
	    0x6606d7e446282b93u, 0x6ca4ecb15c5f91e1u, 0x9f626da15c9625f3u, 0xe51b38608ef25f57u,
	    0x958a324ceb064572u};
	uint8_t key[16], text[8 + 64];

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		key[i] = (uint8_t)i;
	for (unsigned start = 0; start < 8; start++) {
		for (unsigned i = 0; i < 64; i++)
			text[start + i] = (uint8_t)i;
		for (unsigned len = 0; len < 64; len++)
			assert_true(siphash(key, text + start, len) == vectors[len]);
	}
}

static void
an_error_tells_where_it_was(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(error_set(&err, "no %s", "luck"), -1);
	error_while(&err, "opening %s", "x");
	assert_string_equal(err.text, "opening x: no luck");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(spans_are_cut_without_reading_past_the_end),
	    cmocka_unit_test(a_nul_ends_no_comparison),
	    cmocka_unit_test(a_buf_refuses_at_its_maximum_and_keeps_what_it_has),
	    cmocka_unit_test(an_arena_ends_everything_at_once),
	    cmocka_unit_test(numbers_are_refused_at_their_bounds),
	    cmocka_unit_test(only_well_formed_utf8_passes),
	    cmocka_unit_test(log_text_has_no_control_characters),
	    cmocka_unit_test(a_table_is_bounded_and_finds_what_it_holds),
	    cmocka_unit_test(siphash_agrees_with_its_authors),
	    cmocka_unit_test(an_error_tells_where_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
