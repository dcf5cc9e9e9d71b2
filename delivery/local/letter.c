#include "delivery/local/letter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/mail/casefold.h"
#include "common/mail/way.h"

enum { CHUNK = 65536, HEADER_SEARCHED = 262144 };

static void
append_line_safe(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		buf_append(out, c < 32 || c == 127 ? "?" : text.ptr + i, 1);
	}
}

static void
append_field(struct buf *out, struct span name, struct span value, bool brackets)
{
	buf_append_span(out, name);
	buf_append_text(out, brackets ? ": <" : ": ");
	append_line_safe(out, value);
	buf_append_text(out, brackets ? ">\n" : "\n");
}

void
letter_header(const struct letter *l, struct buf *out)
{
	struct span original = l->orig_to.len > 0 ? l->orig_to : l->recipient;
	bool always = span_is(l->header_name, "Envelope-To") || (l->flags & LETTER_ALWAYS_ORIGINAL);

	if (!(l->flags & LETTER_NO_RETURN_PATH))
		append_field(out, SPAN_LIT("Return-Path"), l->sender, true);
	if (l->header_name.len > 0 && (always || !span_equal(original, l->recipient)))
		append_field(out, l->header_name, original, false);
	if (!(l->flags & LETTER_NO_DELIVERED))
		append_field(out, SPAN_LIT("Delivered-To"), l->delivered_to, false);
	way_put(out, l->way, "\n");
}

void
letter_lines_crlf(struct buf *lines)
{
	struct buf out;
	struct span rest = buf_span(lines), line;

	buf_init(&out, lines->max * 2);
	while (span_next_line(&rest, &line)) {
		buf_append_span(&out, line);
		buf_append_text(&out, "\r\n");
	}
	buf_free(lines);
	*lines = out;
}

void
letter_separator(const struct letter *l, int64_t wall_us, struct buf *out)
{
	time_t now = (time_t)(wall_us / US_PER_SECOND);
	char date[64];
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &tm);
	buf_append_text(out, "From ");
	append_line_safe(out, l->sender.len > 0 ? l->sender : SPAN_LIT("MAILER-DAEMON"));
	buf_printf(out, "  %s\n", date);
}

/* Reads [at, at + len) of the content. Returns -1 with err if it is not all there. */
static int
read_content(const struct letter *l, uint64_t at, char *bytes, size_t len, struct error *err)
{
	ssize_t n;

	if (l->fd < 0) {
		if (len > 0)
			memcpy(bytes, buf_ptr(&l->content) + at, len);
		return 0;
	}
	n = io_pread_all(l->fd, bytes, len, (off_t)(l->offset + at));
	if (n < 0)
		return error_errno(err, "read the message");
	if ((size_t)n < len)
		return error_set(err, "the message is shorter than it should be");
	return 0;
}

/* The state of a conversion: what was seen at the end of the chunk before. */
struct converter {
	char *out;
	size_t len;
	bool cr; /* a CR is held back: it goes if LF follows */
	unsigned
	    from; /* how many characters of "From " the line began with; 5 and more: it is another line */
	bool quote, dots, crlf;
	bool line_start;
};

/* Decides on '>' as soon as a line has shown whether it begins with "From ". */
static void
put_quoted(struct converter *c, char byte)
{
	static const char from[] = "From ";

	if (c->from < 5) {
		if (byte == from[c->from]) {
			if (++c->from < 5)
				return; /* held back */
			c->out[c->len++] = '>';
			memcpy(c->out + c->len, from, 5);
			c->len += 5;
			return;
		}
		memcpy(c->out + c->len, from, c->from);
		c->len += c->from;
		c->from = 5;
	}
	c->out[c->len++] = byte;
	if (byte == '\n')
		c->from = 0;
}

static void
put_byte(struct converter *c, char byte)
{
	if (c->quote)
		put_quoted(c, byte);
	else
		c->out[c->len++] = byte;
}

/* Commands may want more: dots doubled, and lines that end in CRLF again. */
static void
put_for_command(struct converter *c, char byte)
{
	if (c->dots && c->line_start && byte == '.')
		c->out[c->len++] = '.';
	if (c->crlf && byte == '\n')
		put_byte(c, '\r');
	c->line_start = byte == '\n';
	put_byte(c, byte);
}

/* Copies up to the next byte that needs a look. */
static size_t
put_run(struct converter *c, struct span in)
{
	const char *cr = memchr(in.ptr, '\r', in.len);
	size_t n = cr ? (size_t)(cr - in.ptr) : in.len;

	if (c->dots || c->crlf) {
		for (size_t i = 0; i < n; i++)
			put_for_command(c, in.ptr[i]);
		return n;
	}
	if (!c->quote) {
		memcpy(c->out + c->len, in.ptr, n);
		c->len += n;
		return n;
	}
	for (size_t i = 0; i < n; i++)
		put_quoted(c, in.ptr[i]);
	return n;
}

static void
convert(struct converter *c, struct span in)
{
	while (in.len > 0) {
		if (c->cr) {
			if (in.ptr[0] != '\n')
				put_for_command(c, '\r');
			c->cr = false;
		}
		in = span_from(in, put_run(c, in));
		if (in.len > 0) {
			c->cr = true;
			in = span_from(in, 1);
		}
	}
}

/* What was held back at the end of the content. */
static void
convert_end(struct converter *c)
{
	if (c->cr)
		put_byte(c, '\r');
	if (c->quote && c->from < 5) {
		memcpy(c->out + c->len, "From ", c->from);
		c->len += c->from;
	}
}

int
letter_write(const struct letter *l, int fd, unsigned flags, uint64_t *written, struct error *err)
{
	/* ">From " for each "From\n"-like line is less than twice; so are ".." and CRLF for each ".\n". */
	static char in[CHUNK], out[3 * CHUNK + 16];
	struct converter c = {
	    .out = out,
	    .quote = (flags & LETTER_QUOTE_FROM) != 0,
	    .dots = (flags & LETTER_QUOTE_DOTS) != 0,
	    .crlf = (flags & LETTER_CRLF) != 0,
	    .line_start = true,
	};

	for (uint64_t at = 0; at < l->content_len;) {
		size_t n = l->content_len - at < CHUNK ? (size_t)(l->content_len - at) : CHUNK;

		if (read_content(l, at, in, n, err) < 0)
			return -1;
		at += n;
		convert(&c, span_make(in, n));
		if (at == l->content_len)
			convert_end(&c);
		if (io_write_all(fd, out, c.len) < 0)
			return error_errno(err, "write");
		*written += c.len;
		c.len = 0;
	}
	return 0;
}

static bool
names_recipient(struct span line, struct span recipient)
{
	static const char name[] = "Delivered-To:";

	return span_starts_nocase(line, name) &&
	       casefold_equal(span_trim(span_from(line, sizeof(name) - 1)), recipient);
}

int
letter_was_delivered(const struct letter *l, struct error *err)
{
	uint64_t len = l->header_len < l->content_len ? l->header_len : l->content_len;
	struct span rest, line;
	struct buf header;
	int found = 0;
	char *room;

	if (len > HEADER_SEARCHED)
		len = HEADER_SEARCHED;
	buf_init(&header, HEADER_SEARCHED + 1);
	room = buf_reserve(&header, (size_t)len + 1);
	if (read_content(l, 0, room, (size_t)len, err) < 0) {
		buf_free(&header);
		return -1;
	}
	buf_added(&header, (size_t)len);
	rest = buf_span(&header);
	while (found == 0 && span_next_line(&rest, &line) && line.len > 0)
		found = names_recipient(line, l->recipient) ? 1 : 0;
	buf_free(&header);
	return found;
}
