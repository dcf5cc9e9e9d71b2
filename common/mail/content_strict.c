#include "common/mail/content_strict.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/mail/header.h"

/* Of a line so much is looked at for MIME, and shown. */
enum { LINE_KEPT = 2000, OUT_MAX = 64 << 20 };

struct content_strict {
	struct content_strict_rules rules;
	bool mime; /* one of the rules wants to know what a line is */
	struct mime_walk *walk;
	struct buf line; /* the present one, without its end, as far as it is kept */
	struct buf field; /* with its folded lines */
	struct buf out;
	bool in_body; /* of the present line, once its first piece was looked at */
	bool known; /* in_body is */
	bool composite, encoded,
	    announced; /* by the header under way: multipart or message; qp or base64; not 7bit */
	bool open; /* the present body may have 8-bit octets */
	bool refused, changed;
};

/* ---- sets of octets ---- */

static size_t
parse_octal(struct span text, unsigned char *octet)
{
	unsigned value = 0;
	size_t n = 0;

	for (; n < 3 && n < text.len && text.ptr[n] >= '0' && text.ptr[n] <= '7'; n++)
		value = value * 8 + (unsigned)(text.ptr[n] - '0');
	*octet = (unsigned char)value;
	return n;
}

/* Behind a backslash. Returns how many octets it took. */
static size_t
parse_escape(struct span text, unsigned char *octet)
{
	static const char letters[] = "abfnrtv", values[] = "\a\b\f\n\r\t\v";
	size_t n = parse_octal(text, octet);
	const char *at = strchr(letters, text.ptr[0]);

	if (n > 0)
		return n;
	*octet = (unsigned char)(at && *at ? values[at - letters] : text.ptr[0]);
	return 1;
}

void
octet_set_parse(struct span text, struct octet_set *set)
{
	unsigned char octet;

	memset(set, 0, sizeof(*set));
	while (text.len > 0) {
		size_t n = 1;

		octet = (unsigned char)text.ptr[0];
		if (octet == '\\' && text.len > 1)
			n += parse_escape(span_from(text, 1), &octet);
		text = span_from(text, n);
		if (octet != '\r' && octet != '\n')
			set->any = set->has[octet] = true;
	}
}

bool
content_strict_rules_of(const struct conf_values *v, struct content_strict_rules *rules)
{
	bool mime = !v->disable_mime_input_processing;

	octet_set_parse(span_of(v->message_reject_characters), &rules->refused);
	octet_set_parse(span_of(v->message_strip_characters), &rules->stripped);
	rules->header_7bit = mime && (v->strict_7bit_headers || v->strict_8bitmime);
	rules->body_7bit = mime && (v->strict_8bitmime_body || v->strict_8bitmime);
	rules->composite_domain = mime && v->strict_mime_encoding_domain;
	return rules->refused.any || rules->stripped.any || rules->header_7bit || rules->body_7bit ||
	       rules->composite_domain;
}

/* ---- lines ---- */

struct content_strict *
content_strict_new(const struct content_strict_rules *rules, const struct mime_limits *limits)
{
	struct content_strict *s = mem_alloc(sizeof(*s));

	s->rules = *rules;
	s->mime = rules->header_7bit || rules->body_7bit || rules->composite_domain;
	s->walk = mime_walk_new(limits);
	buf_init(&s->line, LINE_KEPT);
	buf_init(&s->field, LINE_KEPT);
	buf_init(&s->out, OUT_MAX);
	return s;
}

void
content_strict_free(struct content_strict **strict)
{
	struct content_strict *s = *strict;

	*strict = NULL;
	if (s == NULL)
		return;
	mime_walk_free(&s->walk);
	buf_free(&s->line);
	buf_free(&s->field);
	buf_free(&s->out);
	free(s);
}

static void
refuse(struct content_strict *s, struct content_refusal *refusal, const char *kind, const char *words,
    struct span line)
{
	if (s->refused)
		return;
	s->refused = true;
	*refusal = (struct content_refusal){kind, words, line};
}

static void
append_some(struct buf *b, struct span text)
{
	buf_append_span(b, span_sub(text, 0, LINE_KEPT - b->len));
}

/* A field has come whole: what it says of the part that it stands in front of. */
static void
end_field(struct content_strict *s, struct content_refusal *refusal)
{
	struct span field = buf_span(&s->field);
	struct span name = span_sub(field, 0, header_name_length(field)), value;
	ptrdiff_t colon = span_find(field, ':');

	if (field.len == 0)
		return;
	value = span_trim(span_from(field, colon < 0 ? field.len : (size_t)colon + 1));
	if (s->rules.header_7bit && text_is_8bit(field))
		refuse(s, refusal, "mime-error improper use of 8-bit data in message header:",
		    "5.6.0 improper use of 8-bit data in message header", field);
	if (span_is_nocase(name, "content-type"))
		s->composite =
		    span_starts_nocase(value, "multipart/") || span_starts_nocase(value, "message/");
	if (span_is_nocase(name, "content-transfer-encoding")) {
		s->encoded =
		    span_starts_nocase(value, "quoted-printable") || span_starts_nocase(value, "base64");
		s->announced =
		    s->encoded || span_starts_nocase(value, "8bit") || span_starts_nocase(value, "binary");
	}
	if (!s->refused)
		buf_clear(&s->field);
}

static void
end_header(struct content_strict *s, struct content_refusal *refusal)
{
	if (s->rules.composite_domain && s->composite && s->encoded)
		refuse(s, refusal, "mime-error invalid message/* or multipart/* encoding domain:",
		    "5.6.0 invalid message/* or multipart/* encoding domain",
		    SPAN_LIT("quoted-printable or base64"));
	/* In front of, between and behind parts there is only 7bit, whatever stands in them. */
	s->open = s->announced && !s->composite;
	s->composite = s->encoded = s->announced = false;
}

/* The first piece of a line: what it is. */
static void
look_at_line(struct content_strict *s, struct content_refusal *refusal)
{
	enum mime_line kind = mime_walk_line(s->walk, buf_span(&s->line));

	s->known = true;
	s->in_body = kind == MIME_LINE_TEXT || kind == MIME_LINE_BOUNDARY;
	if (kind == MIME_LINE_FOLDED) {
		append_some(&s->field, SPAN_LIT("\n"));
		append_some(&s->field, buf_span(&s->line));
		return;
	}
	end_field(s, refusal);
	if (kind == MIME_LINE_FIELD)
		append_some(&s->field, buf_span(&s->line));
	else if (kind == MIME_LINE_END)
		end_header(s, refusal);
	else if (kind == MIME_LINE_BOUNDARY)
		s->open = false;
}

/* Refused is what came; what is left out is not looked at for more. */
static void
strip_line(struct content_strict *s)
{
	char *line = buf_ptr(&s->line);
	size_t kept = 0;

	for (size_t i = 0; i < s->line.len; i++)
		if (!s->rules.stripped.has[(unsigned char)line[i]])
			line[kept++] = line[i];
	s->line.len = kept;
}

/* A line, or the next part of one that is longer than what is kept. */
static void
end_piece(struct content_strict *s, bool whole, struct content_refusal *refusal)
{
	struct span line = buf_span(&s->line);

	if (s->refused)
		return;
	for (size_t i = 0; s->rules.refused.any && i < line.len; i++)
		if (s->rules.refused.has[(unsigned char)line.ptr[i]]) {
			refuse(s, refusal, "content", "5.7.1 disallowed character", line);
			return;
		}
	if (s->mime && s->rules.stripped.any)
		strip_line(s);
	line = buf_span(&s->line);
	if (s->mime && !s->known)
		look_at_line(s, refusal);
	if (s->rules.body_7bit && s->in_body && !s->open && text_is_8bit(line))
		refuse(s, refusal, "mime-error improper use of 8-bit data in message body:",
		    "5.6.0 improper use of 8-bit data in message body", line);
	if (s->refused)
		return;
	buf_clear(&s->line);
	if (whole)
		s->known = false;
}

/* Octets without an end of a line. */
static void
take(struct content_strict *s, struct span bytes, struct content_refusal *refusal)
{
	while (bytes.len > 0 && !s->refused) {
		struct span part = span_sub(bytes, 0, LINE_KEPT - s->line.len);

		buf_append_span(&s->line, part);
		bytes = span_from(bytes, part.len);
		if (s->line.len == LINE_KEPT)
			end_piece(s, false, refusal);
	}
}

static struct span
strip(struct content_strict *s, struct span bytes)
{
	buf_clear(&s->out);
	for (size_t i = 0; i < bytes.len; i++)
		if (!s->rules.stripped.has[(unsigned char)bytes.ptr[i]])
			buf_append(&s->out, bytes.ptr + i, 1);
	s->changed = s->changed || s->out.len < bytes.len;
	return buf_span(&s->out);
}

struct span
content_strict_put(struct content_strict *s, struct span bytes, struct content_refusal *refusal)
{
	struct span rest = bytes, line;

	*refusal = (struct content_refusal){0};
	while (rest.len > 0 && !s->refused && (s->mime || s->rules.refused.any)) {
		const char *lf = memchr(rest.ptr, '\n', rest.len);

		line = span_sub(rest, 0, lf ? (size_t)(lf - rest.ptr) : rest.len);
		rest = span_from(rest, line.len + (lf ? 1 : 0));
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		take(s, line, refusal);
		if (lf)
			end_piece(s, true, refusal);
	}
	return s->rules.stripped.any ? strip(s, bytes) : bytes;
}

bool
content_strict_has_changed(const struct content_strict *s)
{
	return s->changed;
}
