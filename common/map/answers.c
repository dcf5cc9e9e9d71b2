#include "common/map/answers.h"

#include "common/base/text.h"

enum { LENGTH_DIGITS_MAX = 9, REASON_MAX = 200 };

ptrdiff_t
netstring_parse(struct span bytes, struct span *content)
{
	size_t len = 0, i;

	for (i = 0; i < bytes.len && ascii_is_digit(bytes.ptr[i]); i++) {
		/* No leading zeros: "0:," is the only number that begins so. */
		if (i >= LENGTH_DIGITS_MAX || (i > 0 && bytes.ptr[0] == '0'))
			return -1;
		len = len * 10 + (size_t)(bytes.ptr[i] - '0');
	}
	if (len > SOCKETMAP_ANSWER_MAX)
		return -1;
	if (i == bytes.len)
		return 0;
	if (i == 0 || bytes.ptr[i] != ':')
		return -1;
	i++;
	if (bytes.len - i < len + 1)
		return 0;
	if (bytes.ptr[i + len] != ',')
		return -1;
	*content = span_make(bytes.ptr + i, len);
	return (ptrdiff_t)(i + len + 1);
}

/* Trouble that the server tells of: printable and short, for it goes to the log. */
static enum lookup_status
trouble(struct error *err, const char *what, struct span reason)
{
	struct buf text;

	buf_init(&text, 4 * REASON_MAX);
	text_append_printable(&text, reason, REASON_MAX);
	error_set(err, "%s%s%s", what, text.len > 0 ? ": " : "", buf_text(&text));
	buf_free(&text);
	return LOOKUP_TEMPORARY;
}

enum lookup_status
socketmap_answer(struct span content, struct buf *value, struct error *err)
{
	ptrdiff_t space = span_find(content, ' ');
	struct span word = space < 0 ? content : span_sub(content, 0, (size_t)space);
	struct span rest = space < 0 ? (struct span){0} : span_from(content, (size_t)space + 1);

	if (span_is_nocase(word, "OK")) {
		if (rest.len > 0 && memchr(rest.ptr, '\0', rest.len) != NULL)
			return trouble(err, "the server's value holds a NUL", (struct span){0});
		(void)buf_append_span(value, rest);
		return LOOKUP_FOUND;
	}
	if (span_is_nocase(word, "NOTFOUND"))
		return LOOKUP_NOT_FOUND;
	if (span_is_nocase(word, "TEMP"))
		return trouble(err, "the server has a temporary error", rest);
	if (span_is_nocase(word, "TIMEOUT"))
		return trouble(err, "the server had a timeout", rest);
	if (span_is_nocase(word, "PERM"))
		return trouble(err, "the server has a permanent error", rest);
	return trouble(err, "the server's answer makes no sense", content);
}

/* False if a % is not followed by two hexadecimal digits, or what comes out is NUL. */
static bool
decode(struct span text, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (c == '%') {
			if (text.len - i < 3 || hex_digit(text.ptr[i + 1]) < 0 ||
			    hex_digit(text.ptr[i + 2]) < 0)
				return false;
			c = (char)(hex_digit(text.ptr[i + 1]) * 16 + hex_digit(text.ptr[i + 2]));
			i += 2;
		}
		if (c == '\0')
			return false;
		(void)buf_append(out, &c, 1);
	}
	return true;
}

enum lookup_status
tcp_answer(struct span line, struct buf *value, struct error *err)
{
	struct span rest = span_from(line, 4);
	bool formed = line.len >= 4 && line.ptr[3] == ' ';
	struct buf text;

	if (formed && span_starts(line, "200") && decode(rest, value))
		return LOOKUP_FOUND;
	buf_init(&text, TCP_ANSWER_MAX);
	enum lookup_status status = LOOKUP_TEMPORARY;
	if (formed && span_starts(line, "500") && decode(rest, &text))
		status = LOOKUP_NOT_FOUND;
	else if (formed && span_starts(line, "400") && decode(rest, &text))
		(void)trouble(err, "the server has a temporary error", buf_span(&text));
	else
		(void)trouble(err, "the server's answer makes no sense", line);
	buf_free(&text);
	return status;
}

void
tcp_encode(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		if (c <= ' ' || c >= 0x7f || c == '%')
			(void)buf_printf(out, "%%%02X", c);
		else
			(void)buf_append(out, &text.ptr[i], 1);
	}
}
