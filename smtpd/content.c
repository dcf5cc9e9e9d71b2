#include "smtpd/content.h"

#include <string.h>

#include "common/ipc/protocol.h"
#include "smtpd/content_header.h"

/* RFC 5321, 4.5.3.1.6: without its CRLF. */
enum { LINE_OCTETS_MAX = 998 };

void
content_init(struct content *c, const struct content_rules *rules, const struct content_sink *sink)
{
	*c = (struct content){
	    .rules = *rules, .sink = *sink, .in_header = true, .first_line = true, .after_crlf = true};
	buf_init(&c->partial, rules->field_limit + 1);
	buf_init(&c->message_id, CONTENT_MESSAGE_ID_MAX);
	id_lines_init(&c->id_lines);
}

void
content_fini(struct content *c)
{
	buf_free(&c->partial);
	buf_free(&c->message_id);
	id_lines_free(&c->id_lines);
}

static bool
has_high_bit(struct span bytes)
{
	uint64_t word, seen = 0;
	size_t i = 0;

	for (; i + sizeof(word) <= bytes.len; i += sizeof(word)) {
		memcpy(&word, bytes.ptr + i, sizeof(word));
		seen |= word;
	}
	for (; i < bytes.len; i++)
		seen |= (uint64_t)(bytes.ptr[i] & 0x80);
	return seen & UINT64_C(0x8080808080808080);
}

void
content_fail(struct content *c, enum content_fault fault)
{
	if (c->fault == CONTENT_FINE)
		c->fault = fault;
}

void
content_put(struct content *c, struct span bytes)
{
	c->octets += bytes.len;
	if (c->rules.size_limit && c->octets > c->rules.size_limit)
		content_fail(c, CONTENT_TOO_BIG);
	if (c->fault != CONTENT_FINE || bytes.len == 0)
		return;
	if (!(c->flags & MAIL_8BIT) && has_high_bit(bytes))
		c->flags |= MAIL_8BIT;
	c->sink.put(c->sink.context, bytes);
}

/* Octets of the present line, without its end. */
static void
put_piece(struct content *c, struct span piece)
{
	if (piece.len == 0)
		return;
	if (!c->line_started && piece.ptr[0] == '.')
		c->flags |= MAIL_DOTS;
	c->line_started = true;
	c->line_octets += piece.len;
	if (c->in_header)
		content_header_piece(c, piece);
	else
		content_put(c, piece);
}

static void
end_line(struct content *c, bool with_crlf)
{
	if (!with_crlf) {
		c->bare_lf = true;
		if (c->rules.reject_bare_lf)
			content_fail(c, CONTENT_BARE_LF);
	}
	if (c->line_octets > LINE_OCTETS_MAX)
		c->flags |= MAIL_LONG_LINES;
	if (c->in_header) {
		content_header_line(c, buf_span(&c->partial));
		buf_clear(&c->partial);
	} else
		content_put(c, SPAN_LIT("\r\n"));
	c->line_started = false;
	c->line_octets = 0;
	c->undotted = false;
	c->after_crlf = with_crlf;
}

/* A dot at the start of a line, and perhaps a CR behind it, are held back: what follows tells. Returns false if the octet
 * is still to be looked at. */
static bool
after_dot(struct content *c, char octet)
{
	bool had_cr = c->dot_state == 2;

	if (!had_cr && octet == '\r') {
		c->dot_state = 2;
		return true;
	}
	c->dot_state = 0;
	c->undotted = true;
	if (octet == '\n') {
		if (had_cr ? c->after_crlf : c->rules.lf_ends && !c->after_crlf)
			c->ended = true;
		else
			end_line(c, had_cr);
		return true;
	}
	if (had_cr)
		put_piece(c, SPAN_LIT(" "));
	return false;
}

static bool
after_cr(struct content *c, char octet)
{
	c->pending_cr = false;
	if (octet == '\n') {
		end_line(c, true);
		return true;
	}
	put_piece(c, SPAN_LIT(" "));
	return false;
}

/* The end of the run of clean body lines that begins at p: whole, ending in CRLF, no other CR, no dot to take off. */
static const char *
clean_lines(struct content *c, const char *p, const char *end)
{
	const char *lf;

	while (p < end) {
		if (*p == '.') {
			if (c->rules.dots)
				break;
			c->flags |= MAIL_DOTS;
		}
		lf = memchr(p, '\n', (size_t)(end - p));
		if (!lf || memchr(p, '\r', (size_t)(lf - p)) != lf - 1 || lf == p)
			break;
		if (lf - 1 - p > LINE_OCTETS_MAX)
			c->flags |= MAIL_LONG_LINES;
		p = lf + 1;
	}
	return p;
}

/* The first CR or LF, or end. No more is looked at than about twice what stands before it: there may be many of one and none of the other. */
static const char *
find_cr_or_lf(const char *p, const char *end)
{
	size_t window = 64;

	for (; p < end; p += window, window *= 2) {
		if (window > (size_t)(end - p))
			window = (size_t)(end - p);
		const char *lf = memchr(p, '\n', window);
		const char *cr = memchr(p, '\r', lf ? (size_t)(lf - p) : window);
		if (cr || lf)
			return cr ? cr : lf;
	}
	return end;
}

/* The rest of a line, as far as it is here and holds no CR. Returns where to go on. */
static const char *
one_line(struct content *c, const char *p, const char *end)
{
	const char *stop = find_cr_or_lf(p, end);

	put_piece(c, span_make(p, (size_t)(stop - p)));
	if (stop == end)
		return end;
	if (*stop == '\r')
		c->pending_cr = true;
	else
		end_line(c, false);
	return stop + 1;
}

size_t
content_feed(struct content *c, struct span in)
{
	const char *p = in.ptr, *end = in.ptr + in.len, *clean;

	while (p < end && !c->ended) {
		if (c->pending_cr) {
			p += after_cr(c, *p);
		} else if (c->dot_state) {
			p += after_dot(c, *p);
		} else if (!c->line_started && !c->undotted && c->rules.dots && *p == '.') {
			c->dot_state = 1;
			p++;
		} else if (!c->line_started && !c->undotted && !c->in_header &&
			   (clean = clean_lines(c, p, end)) > p) {
			content_put(c, span_make(p, (size_t)(clean - p)));
			c->after_crlf = true;
			p = clean;
		} else
			p = one_line(c, p, end);
	}
	return (size_t)(p - in.ptr);
}

void
content_finish(struct content *c)
{
	if (c->pending_cr) {
		c->pending_cr = false;
		put_piece(c, SPAN_LIT(" "));
	}
	if (c->line_started)
		end_line(c, true);
	if (c->in_header)
		content_header_line(c, SPAN_LIT(""));
}

void
content_add_field(struct content *c, struct span line)
{
	c->header_octets += line.len + 2;
	if (c->fault != CONTENT_FINE)
		return;
	if (has_high_bit(line))
		c->flags |= MAIL_8BIT;
	c->sink.put(c->sink.context, line);
	c->sink.put(c->sink.context, SPAN_LIT("\r\n"));
}
