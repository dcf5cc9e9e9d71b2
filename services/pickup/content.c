#include "services/pickup/content.h"

#include <stdio.h>

#include "common/base/text.h"
#include "common/mail/header.h"
#include "common/mail/mime_word.h"

enum {
	SEEN_FROM = 1 << 0,
	SEEN_DATE = 1 << 1,
	SEEN_MESSAGE_ID = 1 << 2,
	SEEN_RECIPIENT = 1 << 3,
	SEEN_RESENT_FROM = 1 << 4,
	SEEN_RESENT_DATE = 1 << 5,
	SEEN_RESENT_MESSAGE_ID = 1 << 6,
	SEEN_RESENT = 1 << 7
};

static const struct {
	const char *name;
	unsigned seen;
} known[] = {
    {"from", SEEN_FROM},
    {"date", SEEN_DATE},
    {"message-id", SEEN_MESSAGE_ID},
    {"to", SEEN_RECIPIENT},
    {"cc", SEEN_RECIPIENT},
    {"resent-from", SEEN_RESENT | SEEN_RESENT_FROM},
    {"resent-sender", SEEN_RESENT},
    {"resent-to", SEEN_RESENT},
    {"resent-cc", SEEN_RESENT},
    {"resent-bcc", SEEN_RESENT},
    {"resent-reply-to", SEEN_RESENT},
    {"resent-date", SEEN_RESENT | SEEN_RESENT_DATE},
    {"resent-message-id", SEEN_RESENT | SEEN_RESENT_MESSAGE_ID},
};

void
content_init(struct content *c, const struct content_setup *setup)
{
	memset(c, 0, sizeof(*c));
	c->setup = *setup;
	buf_init(&c->field, setup->field_limit + 4);
	buf_init(&c->line, setup->field_limit + 4);
	id_lines_init(&c->id_lines);
}

void
content_free(struct content *c)
{
	buf_free(&c->field);
	buf_free(&c->line);
	id_lines_free(&c->id_lines);
}

size_t
content_room(const struct content *c, size_t bytes)
{
	/* The field and the line that are held back; the fields that are added are short. */
	return (c->state == CONTENT_HEADER ? 2 * c->setup.field_limit + 8192 : 8) + 2 * bytes;
}

/* ---- putting out ---- */

static void
count(struct content *c, struct span bytes)
{
	line_facts_add(&c->facts, bytes);
	c->total += bytes.len;
	if (c->state == CONTENT_HEADER)
		c->header_len += bytes.len;
}

static void
put(struct content *c, struct buf *out, struct span bytes)
{
	count(c, bytes);
	buf_append_span(out, bytes);
}

static void
put_line(struct content *c, struct buf *out, const char *name, const char *value)
{
	put(c, out, span_of(name));
	put(c, out, SPAN_LIT(": "));
	put(c, out, span_of(value));
	put(c, out, SPAN_LIT("\r\n"));
}

static void
put_from(struct content *c, struct buf *out, const char *name)
{
	struct buf text;

	buf_init(&text, 4000);
	mime_word_mailbox(&text, c->setup.full_name, c->setup.from, c->setup.obsolete_from);
	put_line(c, out, name, buf_text(&text));
	buf_free(&text);
}

/* ---- the header ---- */

static void
note_message_id(struct content *c, struct span body)
{
	struct span id = span_trim(body);

	if (!span_copy(id, c->message_id, sizeof(c->message_id)))
		c->message_id[sizeof(c->message_id) - 1] = '\0';
}

static void
note_field(struct content *c, const struct header_field *field)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (span_is_nocase(field->name, known[i].name))
			c->seen |= known[i].seen;
	if (c->message_id[0] == '\0' && span_is_nocase(field->name, "message-id"))
		note_message_id(c, field->body);
	id_lines_add(&c->id_lines, field->name, field->body);
}

void
content_note_field(struct content *c, struct span text)
{
	struct header_field field;

	if (header_next(&text, &field))
		note_field(c, &field);
}

/* The field that was read is whole. */
static void
end_field(struct content *c, struct buf *out)
{
	struct span rest = buf_span(&c->field);
	struct header_field field;

	if (header_next(&rest, &field)) {
		if (!c->setup.later)
			note_field(c, &field);
		if (span_is_nocase(field.name, "received"))
			c->received++;
		if (!header_name_listed(field.name, c->setup.drop_headers)) {
			put(c, out, field.name);
			put(c, out, SPAN_LIT(":"));
			put(c, out, field.body);
			put(c, out, SPAN_LIT("\r\n"));
		}
	}
	buf_clear(&c->field);
}

static void
add_missing(struct content *c, struct buf *out)
{
	bool resent = (c->seen & SEEN_RESENT) != 0;

	if (!(c->seen & (resent ? SEEN_RESENT_MESSAGE_ID : SEEN_MESSAGE_ID))) {
		put_line(c, out, resent ? "Resent-Message-Id" : "Message-Id", c->setup.message_id);
		id_lines_add(&c->id_lines, resent ? SPAN_LIT("Resent-Message-Id") : SPAN_LIT("Message-Id"),
		    span_of(c->setup.message_id));
		if (c->message_id[0] == '\0')
			note_message_id(c, span_of(c->setup.message_id));
	}
	if (!(c->seen & (resent ? SEEN_RESENT_DATE : SEEN_DATE)))
		put_line(c, out, resent ? "Resent-Date" : "Date", c->setup.date);
	if (!(c->seen & (resent ? SEEN_RESENT_FROM : SEEN_FROM)))
		put_from(c, out, resent ? "Resent-From" : "From");
	if (!resent && !(c->seen & SEEN_RECIPIENT) && c->setup.undisclosed[0]) {
		put(c, out, span_of(c->setup.undisclosed));
		put(c, out, SPAN_LIT("\r\n"));
	}
}

void
content_complete(struct content *c, struct buf *out)
{
	const struct content was = *c;

	add_missing(c, out);
	c->facts = was.facts;
	c->total = was.total;
	c->header_len = was.header_len;
}

static void
end_header(struct content *c, struct buf *out)
{
	end_field(c, out);
	c->added_from = c->header_len;
	if (!c->setup.later)
		add_missing(c, out);
	c->added_to = c->header_len;
	put(c, out, SPAN_LIT("\r\n"));
	c->state = CONTENT_BODY;
}

/* Adds to the field what still fits: a field that is too long is cut, as Postfix does. */
static void
add_to_field(struct content *c, struct span line)
{
	size_t room = c->setup.field_limit > c->field.len ? c->setup.field_limit - c->field.len : 0;

	if (room <= 2)
		return;
	buf_append_span(&c->field, span_sub(line, 0, room - 2));
	buf_append_text(&c->field, "\r\n");
}

/* A whole line of the header; whether it is one shows only now. */
static void
end_header_line(struct content *c, struct buf *out)
{
	struct span line = buf_span(&c->line);

	if (header_is_continuation(line) && c->field.len > 0)
		add_to_field(c, line);
	else if (header_name_length(line) > 0) {
		end_field(c, out);
		add_to_field(c, line);
	} else {
		end_header(c, out);
		if (line.len > 0) {
			put(c, out, line);
			put(c, out, SPAN_LIT("\r\n"));
		}
	}
	buf_clear(&c->line);
	c->line_cut = false;
}

/* The line outgrew the limit: a field is cut here, anything else is text. */
static void
overlong_header_line(struct content *c, struct buf *out)
{
	struct span line = buf_span(&c->line);

	if (header_name_length(line) > 0 || (header_is_continuation(line) && c->field.len > 0)) {
		c->line_cut = true;
		return;
	}
	end_header(c, out);
	put(c, out, line);
	buf_clear(&c->line);
}

static void
take_header_bytes(struct content *c, struct span bytes, struct buf *out)
{
	while (bytes.len > 0 && !c->line_cut) {
		size_t room = c->line.len < c->setup.field_limit ? c->setup.field_limit - c->line.len : 0;
		struct span part = span_sub(bytes, 0, room);
		if (part.len == 0) {
			overlong_header_line(c, out);
			if (c->state == CONTENT_BODY) {
				put(c, out, bytes);
				return;
			}
			continue;
		}
		buf_append_span(&c->line, part);
		bytes = span_from(bytes, part.len);
	}
}

/* ---- lines ---- */

/* A run of octets without CR and LF. */
static void
take_run(struct content *c, struct span run, struct buf *out)
{
	if (run.len == 0)
		return;
	if (c->state == CONTENT_HEADER)
		take_header_bytes(c, run, out);
	else
		put(c, out, run);
}

static void
take_line_end(struct content *c, struct buf *out)
{
	if (c->state == CONTENT_HEADER)
		end_header_line(c, out);
	else
		put(c, out, SPAN_LIT("\r\n"));
}

int
content_write(struct content *c, struct span bytes, struct buf *out)
{
	size_t start = 0;

	for (size_t i = 0; i < bytes.len; i++) {
		char b = bytes.ptr[i];
		if (c->after_cr && b != '\n')
			take_run(
			    c, SPAN_LIT(" "), out); /* nobody downstream shall wonder what a bare CR means */
		c->after_cr = b == '\r';
		if (b != '\r' && b != '\n')
			continue;
		take_run(c, span_sub(bytes, start, i - start), out);
		start = i + 1;
		if (b == '\n')
			take_line_end(c, out);
	}
	take_run(c, span_from(bytes, start), out);
	return out->full ? -1 : 0;
}

int
content_finish(struct content *c, struct buf *out)
{
	if (c->after_cr)
		take_run(c, SPAN_LIT(" "), out);
	c->after_cr = false;
	if (c->state == CONTENT_HEADER) {
		if (c->line.len > 0)
			end_header_line(c, out);
		if (c->state == CONTENT_HEADER)
			end_header(c, out);
	} else if (c->facts.column > 0)
		put(c, out, SPAN_LIT("\r\n"));
	return out->full ? -1 : 0;
}
