#include "delivery/smtp/reply.h"

#include <string.h>

#include "common/base/text.h"

static void
reply_keep(struct reply *r, char c)
{
	if (r->len < REPLY_TEXT_MAX)
		r->text[r->len++] = c;
}

static void
reply_begin(struct reply *r)
{
	r->code = 0;
	r->complete = r->at_line = r->last_line = false;
	r->column = 0;
	r->octets = r->len = r->line_start = 0;
}

/* The three digits and the separator. Returns -1 if they are none. */
static int
reply_head(struct reply *r)
{
	unsigned code = 0;

	for (int i = 0; i < 3; i++) {
		if (!ascii_is_digit(r->head[i]))
			return -1;
		code = code * 10 + (unsigned)(r->head[i] - '0');
	}
	if (code < 200 || code > 599)
		return -1;
	/* Lines of one reply must agree on its class; servers that change the rest mean the last one. */
	if (r->code != 0 && r->code / 100 != code / 100)
		return -1;
	r->code = code;
	return 0;
}

/* UTF-8 is let through where a whole line of it is well formed (RFC 6531, 3.7.4.2). */
static void
reply_clean_line(struct reply *r)
{
	struct span line = span_make(r->text + r->line_start, r->len - r->line_start);
	bool utf8 = utf8_valid(line);

	for (size_t i = r->line_start; i < r->len; i++)
		if (r->text[i] == '\r' || ((unsigned char)r->text[i] > 126 && !utf8))
			r->text[i] = '?';
}

/* Between the lines of one reply some servers put text without a code: it is text, and ends nothing. */
static bool
reply_line_is_loose(const struct reply *r)
{
	if (r->code == 0)
		return false;
	for (unsigned i = 0; i < 3; i++)
		if (i >= r->column || !ascii_is_digit(r->head[i]))
			return true;
	return false;
}

static int
reply_end_line(struct reply *r)
{
	if (r->column < 3 && !reply_line_is_loose(r))
		return -1;
	if (r->column == 3 && !reply_line_is_loose(r)) {
		if (reply_head(r) < 0)
			return -1;
		r->last_line = true;
	}
	while (r->len > r->line_start && (r->text[r->len - 1] == ' ' || r->text[r->len - 1] == '\r'))
		r->len--;
	reply_clean_line(r);
	r->at_line = false;
	r->column = 0;
	if (!r->last_line)
		return 0;
	r->text[r->len] = '\0';
	r->complete = true;
	return 1;
}

static int
reply_octet(struct reply *r, char c)
{
	if (c == '\n')
		return reply_end_line(r);
	if (!r->at_line) {
		r->at_line = true;
		r->last_line = false;
		if (r->len > 0)
			reply_keep(r, '\n');
		r->line_start = r->len;
	}
	if (c == '\r') {
		/* Only what is before the CR counts in the column, or "250\r\n" were no reply. */
		if (r->column >= 4 && r->column < REPLY_LINE_MAX)
			reply_keep(r, c);
		return 0;
	}
	if (r->column < 4)
		r->head[r->column] = c;
	if (r->column == 3 && !reply_line_is_loose(r)) {
		if (reply_head(r) < 0 || (c != ' ' && c != '-'))
			return -1;
		r->last_line = c == ' ';
	}
	if (r->column < REPLY_LINE_MAX)
		reply_keep(r, (unsigned char)c < ' ' || c == 127 ? '?' : c);
	r->column++;
	return 0;
}

int
reply_feed(struct reply *r, struct span bytes, size_t *used)
{
	*used = 0;
	if (r->complete)
		reply_begin(r);
	while (*used < bytes.len) {
		char c = bytes.ptr[(*used)++];
		int status;

		if (++r->octets > REPLY_OCTETS_MAX)
			return -1;
		status = reply_octet(r, c);
		if (status != 0)
			return status;
	}
	return 0;
}

void
reply_one_line(const struct reply *r, char *text, size_t size)
{
	size_t n = r->len < size ? r->len : size - 1;

	/* Never half a character. */
	while (n > 0 && n < r->len && ((unsigned char)r->text[n] & 0xc0) == 0x80)
		n--;
	for (size_t i = 0; i < n; i++)
		text[i] = r->text[i] == '\n' || r->text[i] == '\r' ? ' ' : r->text[i];
	text[n] = '\0';
}

bool
reply_next_line(struct span *rest, struct span *line)
{
	if (!span_next_line(rest, line))
		return false;
	*line = span_from(*line, line->len < 4 ? line->len : 4);
	return true;
}

struct span
reply_last_text(const struct reply *r)
{
	struct span line = span_make(r->text + r->line_start, r->len - r->line_start);

	return span_from(line, line.len < 4 ? line.len : 4);
}
