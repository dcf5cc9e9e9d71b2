#include "common/base/text.h"

#include "common/base/buf.h"

struct span
text_trim(struct span text)
{
	return span_trim_of(text, " \t\r\n\v\f");
}

int
hex_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
number_parse(struct span text, uint64_t min, uint64_t max, uint64_t *value)
{
	uint64_t n = 0;

	if (text.len == 0)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit;

		if (!ascii_is_digit(text.ptr[i]))
			return -1;
		digit = (unsigned)(text.ptr[i] - '0');
		if (n > (UINT64_MAX - digit) / 10)
			return -1;
		n = n * 10 + digit;
	}
	if (n < min || n > max)
		return -1;
	*value = n;
	return 0;
}

/* Length of the well-formed sequence at the start of text, 0 if there is none (RFC 3629, 4). */
static size_t
utf8_sequence(struct span text)
{
	const unsigned char *p = (const unsigned char *)text.ptr;
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (text.len < n)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return n;
}

bool
utf8_valid(struct span text)
{
	while (text.len > 0) {
		size_t n = utf8_sequence(text);

		if (n == 0)
			return false;
		text = span_from(text, n);
	}
	return true;
}

bool
text_is_8bit(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] >= 0x80)
			return true;
	return false;
}

void
text_lower(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		text[i] = ascii_lower(text[i]);
}

static bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* C1 controls (U+0080 to U+009F) drive terminals as ESC does. */
static bool
is_c1(struct span text, size_t n)
{
	return n == 2 && (unsigned char)text.ptr[0] == 0xc2 && (unsigned char)text.ptr[1] < 0xa0;
}

void
text_append_printable(struct buf *out, struct span text, size_t max)
{
	text = span_sub(text, 0, max);
	while (text.len > 0) {
		size_t run = 0, n;

		while (run < text.len && (unsigned char)text.ptr[run] < 0x80 && !is_control(text.ptr[run]))
			run++;
		if (run > 0) {
			buf_append(out, text.ptr, run);
			text = span_from(text, run);
			continue;
		}
		n = utf8_sequence(text);
		if (n < 2 || is_c1(text, n)) {
			buf_append(out, "?", 1);
			n = n ? n : 1;
		} else {
			buf_append(out, text.ptr, n);
		}
		text = span_from(text, n);
	}
}

void
text_append_json(struct buf *out, struct span text)
{
	while (text.len > 0) {
		size_t n = utf8_sequence(text);
		char c = text.ptr[0];

		if (n == 0)
			buf_append(out, "\xef\xbf\xbd", 3);
		else if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (is_control(c))
			buf_printf(out, "\\u%04x", (unsigned char)c);
		else
			buf_append(out, text.ptr, n);
		text = span_from(text, n ? n : 1);
	}
}
