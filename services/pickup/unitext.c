#include "services/pickup/unitext.h"

#include "common/base/text.h"

enum { DIGITS_MIN = 2, DIGITS_MAX = 6 };

static bool
is_character(uint32_t c)
{
	if (c == ' ' || c == '+' || c == '=' || c == '\\')
		return true;
	return c >= 0xa0 && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
}

/* "\x{HEX}" at the start of text: its length, or 0. */
static size_t
take(struct span text, uint32_t *character)
{
	size_t at = 3;

	if (!span_starts(text, "\\x{"))
		return 0;
	for (*character = 0; at < text.len && hex_digit(text.ptr[at]) >= 0; at++) {
		if (at - 3 == DIGITS_MAX)
			return 0;
		*character = *character << 4 | (uint32_t)hex_digit(text.ptr[at]);
	}
	if (at - 3 < DIGITS_MIN || at == text.len || text.ptr[at] != '}' || !is_character(*character))
		return 0;
	return at + 1;
}

static void
put(struct buf *out, uint32_t c)
{
	char bytes[4];
	size_t n = 0;

	if (c < 0x80)
		bytes[n++] = (char)c;
	else if (c < 0x800)
		bytes[n++] = (char)(0xc0 | c >> 6);
	else if (c < 0x10000) {
		bytes[n++] = (char)(0xe0 | c >> 12);
		bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	} else {
		bytes[n++] = (char)(0xf0 | c >> 18);
		bytes[n++] = (char)(0x80 | (c >> 12 & 0x3f));
		bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	}
	if (c >= 0x80)
		bytes[n++] = (char)(0x80 | (c & 0x3f));
	(void)buf_append(out, bytes, n);
}

void
unitext_decode(struct buf *out, struct span text)
{
	while (text.len > 0) {
		uint32_t c;
		size_t len = take(text, &c);

		if (len > 0)
			put(out, c);
		else {
			(void)buf_append(out, text.ptr, 1);
			len = 1;
		}
		text = span_from(text, len);
	}
}
