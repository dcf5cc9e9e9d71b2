#include "delivery/smtp/content.h"

#include <errno.h>
#include <string.h>

#include "common/base/io.h"
#include "delivery/smtp/mime7bit.h"

enum { READ_SIZE = 32 * 1024, CONVERTED_MAX = 16 * READ_SIZE, LINE_SLACK = 8, LINE_LIMIT_MIN = 64 };

void
content_open(struct content *c, const struct content_source *source, const struct content_rules *rules)
{
	memset(c, 0, sizeof *c);
	c->source = *source;
	c->rules = *rules;
	c->at_line_start = true;
	c->in_header = true;
	buf_init(&c->converted, CONVERTED_MAX);
	if (c->rules.line_limit > 0 && c->rules.line_limit < LINE_LIMIT_MIN)
		c->rules.line_limit = LINE_LIMIT_MIN;
	buf_init(&c->line, c->rules.line_limit + LINE_SLACK);
	if (rules->to_7bit)
		c->mime = mime7bit_new();
}

void
content_close(struct content *c)
{
	mime7bit_free(&c->mime);
	buf_free(&c->converted);
	buf_free(&c->line);
}

bool
content_is_plain(const struct content *c)
{
	return c->source.fd < 0 && c->source.head.len == 0 && !c->mime && !c->rules.dots &&
	       c->rules.line_limit == 0;
}

/* ---- dots ---- */

/* Appends bytes and doubles each dot that begins a line. */
static int
put_stuffed(struct content *c, struct span bytes, struct buf *out)
{
	while (bytes.len > 0) {
		const char *end = memchr(bytes.ptr, '\n', bytes.len);
		size_t n = end ? (size_t)(end - bytes.ptr) + 1 : bytes.len;

		if (c->at_line_start && bytes.ptr[0] == '.' && buf_append(out, ".", 1) < 0)
			return -1;
		if (buf_append(out, bytes.ptr, n) < 0)
			return -1;
		c->at_line_start = end != NULL;
		bytes = span_from(bytes, n);
	}
	return 0;
}

/* ---- folding ---- */

/* Where a line of limit octets and more is cut, and whether a blank is to be put in front of the rest. */
static size_t
fold_at(const struct content *c, const char *line, size_t limit, bool *blank)
{
	*blank = true;
	if (c->in_header) {
		/* At white space, which then begins the continuation (RFC 5322, 2.2.3): no word is cut. */
		for (size_t i = limit; i > 1; i--) {
			if ((line[i] == ' ' || line[i] == '\t') && line[i - 1] != ' ' &&
			    line[i - 1] != '\t') {
				*blank = false;
				return i;
			}
		}
	}
	/* Not inside a character of UTF-8. */
	for (size_t i = limit; i > limit - 4 && i > 0; i--)
		if (((unsigned char)line[i] & 0xc0) != 0x80)
			return i;
	return limit;
}

static int
end_line(struct content *c, struct buf *out)
{
	struct span line = buf_span(&c->line);

	if (line.len <= 2 && c->indent == 0)
		c->in_header = false;
	c->indent = 0;
	if (put_stuffed(c, line, out) < 0)
		return -1;
	buf_clear(&c->line);
	return 0;
}

static int
fold(struct content *c, struct buf *out)
{
	char *line = buf_ptr(&c->line);
	bool blank;
	size_t at = fold_at(c, line, c->rules.line_limit - c->indent, &blank);

	if (put_stuffed(c, span_make(line, at), out) < 0 || put_stuffed(c, SPAN_LIT("\r\n"), out) < 0)
		return -1;
	buf_consume(&c->line, at);
	c->indent = blank;
	if (blank && put_stuffed(c, SPAN_LIT(" "), out) < 0)
		return -1;
	/* The line's end may be in what is left. */
	if (c->line.len > 0 && buf_ptr(&c->line)[c->line.len - 1] == '\n')
		return end_line(c, out);
	return 0;
}

/* Lines within the limit pass whole; what is longer is gathered up to the limit and cut there. */
static int
put_folded(struct content *c, struct span bytes, struct buf *out)
{
	while (bytes.len > 0) {
		size_t room = c->rules.line_limit - c->indent + 2; /* with CRLF */
		const char *end = memchr(bytes.ptr, '\n', bytes.len);
		size_t n = end ? (size_t)(end - bytes.ptr) + 1 : bytes.len;
		bool whole = end != NULL;

		if (n > room + 1 - c->line.len) {
			n = room + 1 - c->line.len;
			whole = false;
		}
		if (buf_append(&c->line, bytes.ptr, n) < 0)
			return -1;
		bytes = span_from(bytes, n);
		if (c->line.len > room ? fold(c, out) < 0 : whole && end_line(c, out) < 0)
			return -1;
	}
	return 0;
}

/* ---- the pass ---- */

static int
put(struct content *c, struct span bytes, struct buf *out)
{
	if (c->rules.line_limit > 0)
		return put_folded(c, bytes, out);
	if (c->rules.dots || c->mime)
		return put_stuffed(c, bytes, out);
	if (bytes.len > 0)
		c->at_line_start = bytes.ptr[bytes.len - 1] == '\n';
	return buf_append_span(out, bytes);
}

static int
convert(struct content *c, struct span bytes, bool last, struct buf *out, struct error *err)
{
	if (mime7bit_feed(c->mime, bytes, &c->converted) < 0 ||
	    (last && mime7bit_finish(c->mime, &c->converted) < 0)) {
		error_set(err, "8-bit data in a part that must not be converted");
		err->number = EILSEQ;
		return -1;
	}
	if (c->converted.full || put(c, buf_span(&c->converted), out) < 0)
		return error_set(err, "message content grows too much when converted");
	buf_clear(&c->converted);
	return 0;
}

static int
take(struct content *c, char *mem, struct span *bytes, struct error *err)
{
	uint64_t left = c->source.len - c->taken;
	struct span *head = &c->source.head;
	size_t n = left < READ_SIZE ? (size_t)left : READ_SIZE;
	ssize_t got;

	if (head->len > 0) {
		*bytes = span_sub(*head, 0, READ_SIZE);
		*head = span_from(*head, bytes->len);
		return 0;
	}
	if (c->source.fd < 0) {
		*bytes = span_sub(c->source.bytes, (size_t)c->taken, n);
	} else {
		got = io_pread_all(c->source.fd, mem, n, (off_t)(c->source.offset + c->taken));
		if (got < 0)
			return error_errno(err, "reading message content");
		*bytes = span_make(mem, (size_t)got);
	}
	if (bytes->len < n)
		return error_set(err, "message content is shorter than it should be");
	c->taken += n;
	return 0;
}

static bool
all_taken(const struct content *c)
{
	return c->source.head.len == 0 && c->taken == c->source.len;
}

int
content_more(struct content *c, struct buf *out, size_t about, struct error *err)
{
	char mem[READ_SIZE];
	struct span bytes;
	size_t begun_with = out->len;

	while (!all_taken(c) && out->len - begun_with < about) {
		if (take(c, mem, &bytes, err) < 0)
			return -1;
		if (c->mime) {
			if (convert(c, bytes, all_taken(c), out, err) < 0)
				return -1;
		} else if (put(c, bytes, out) < 0) {
			return error_set(err, "message content does not fit");
		}
	}
	if (!all_taken(c))
		return 1;
	/* What was stored ends in CRLF; a rest without one must not join the final dot to a line. */
	if (c->line.len > 0 && end_line(c, out) < 0)
		return error_set(err, "message content does not fit");
	if (!c->at_line_start && c->taken > 0 && buf_append_text(out, "\r\n") < 0)
		return error_set(err, "message content does not fit");
	return 0;
}
