#include "smtpd/content_header.h"

#include "common/base/text.h"
#include "common/mail/header.h"

static const struct {
	const char *name;
	unsigned field;
} known_fields[] = {
    {"date", FIELD_DATE},
    {"message-id", FIELD_MESSAGE_ID},
    {"from", FIELD_FROM},
    {"to", FIELD_TO},
    {"cc", FIELD_TO},
    {"resent-date", FIELD_RESENT | FIELD_RESENT_DATE},
    {"resent-message-id", FIELD_RESENT | FIELD_RESENT_MESSAGE_ID},
    {"resent-from", FIELD_RESENT | FIELD_RESENT_FROM},
    {"resent-sender", FIELD_RESENT},
    {"resent-to", FIELD_RESENT | FIELD_TO},
    {"resent-cc", FIELD_RESENT | FIELD_TO},
    {"resent-bcc", FIELD_RESENT},
    {"resent-reply-to", FIELD_RESENT},
};

void
content_header_piece(struct content *c, struct span piece)
{
	size_t room = c->partial.max - c->partial.len;

	if (piece.len > room) {
		c->octets += piece.len - room; /* dropped, and yet sent to us */
		content_put(c, SPAN_LIT(""));
		piece.len = room;
	}
	(void)buf_append_span(&c->partial, piece);
}

/* Hands a line on, cut where its field becomes longer than header_size_limit; none of a field that is left out. */
static void
put_line(struct content *c, struct span line)
{
	uint64_t room = c->rules.field_limit > c->field_octets ? c->rules.field_limit - c->field_octets : 0;

	if (c->dropping) {
		c->octets += line.len + 2; /* sent to us all the same */
		return;
	}
	c->field_octets += line.len;
	if (line.len > room) {
		c->octets += line.len - room;
		line.len = room;
		if (room == 0)
			return;
	}
	c->header_octets += line.len + 2;
	if (c->header_octets > c->rules.header_limit)
		content_fail(c, CONTENT_HEADER_TOO_BIG);
	content_put(c, line);
	content_put(c, SPAN_LIT("\r\n"));
}

static void
end_header(struct content *c)
{
	c->sink.header_end(c->sink.context);
	c->in_header = false;
	c->header_octets += 2;
	content_put(c, SPAN_LIT("\r\n"));
}

/* "Name:" at the start of a line (RFC 5322, 2.2; blanks before the colon are obsolete and taken: 4.5.8). */
static bool
field_name(struct span line, struct span *name, struct span *value)
{
	ptrdiff_t colon = span_find(line, ':');

	if (colon <= 0)
		return false;
	*name = span_trim(span_sub(line, 0, (size_t)colon));
	*value = span_from(line, (size_t)colon + 1);
	if (name->len == 0)
		return false;
	for (size_t i = 0; i < name->len; i++)
		if ((unsigned char)name->ptr[i] <= ' ' || (unsigned char)name->ptr[i] > '~')
			return false;
	return true;
}

/* The first msg-id of the field; it may stand on a continuation line. */
static void
take_message_id(struct content *c, struct span text)
{
	text = span_trim(text);
	if (text.len == 0)
		return;
	c->in_message_id = false;
	if (text.len <= CONTENT_MESSAGE_ID_MAX)
		text_append_printable(&c->message_id, text, CONTENT_MESSAGE_ID_MAX);
}

static void
note_field(struct content *c, struct span name, struct span value)
{
	for (size_t i = 0; i < sizeof(known_fields) / sizeof(known_fields[0]); i++)
		if (span_is_nocase(name, known_fields[i].name)) {
			c->in_message_id =
			    known_fields[i].field == FIELD_MESSAGE_ID && !(c->fields & FIELD_MESSAGE_ID);
			c->fields |= known_fields[i].field;
		}
	if (c->in_message_id)
		take_message_id(c, value);
	id_lines_begin(&c->id_lines, name, value);
}

static void
note_folded_line(struct content *c, struct span line)
{
	if (c->in_message_id)
		take_message_id(c, line);
	id_lines_more(&c->id_lines, line);
}

static void
begin_field(struct content *c, struct span name, struct span value)
{
	c->field_octets = 0;
	c->in_message_id = false;
	c->dropping = c->rules.drop_headers && header_name_listed(name, c->rules.drop_headers);
	if (span_is_nocase(name, "received") && ++c->hops >= c->rules.hop_limit)
		content_fail(c, CONTENT_TOO_MANY_HOPS);
	if (!c->rules.fields_later)
		note_field(c, name, value);
}

void
content_note_field(struct content *c, struct span field)
{
	struct span line, name, value;

	if (!span_next_line(&field, &line) || !field_name(line, &name, &value))
		return;
	c->in_message_id = false;
	note_field(c, name, value);
	while (span_next_line(&field, &line))
		note_folded_line(c, line);
	c->in_message_id = false;
}

/* A mailbox separator that came along with the message: kept, as Postfix does, as a field of its own. */
static bool
is_mailbox_line(struct span line)
{
	while (line.len && line.ptr[0] == '>')
		line = span_from(line, 1);
	return span_starts_nocase(line, "From ");
}

static void
put_mailbox_line(struct content *c, struct span line)
{
	static const char name[] = "X-Mailbox-Line: ";

	c->field_octets = 0;
	c->header_octets += sizeof(name) - 1;
	content_put(c, span_make(name, sizeof(name) - 1));
	put_line(c, line);
}

void
content_header_line(struct content *c, struct span line)
{
	bool first = c->first_line;
	struct span name, value;

	if (line.len == 0) {
		end_header(c);
		return;
	}
	if (first && is_mailbox_line(line)) {
		put_mailbox_line(c, line);
		return;
	}
	c->first_line = false;
	if (!first && (line.ptr[0] == ' ' || line.ptr[0] == '\t')) {
		if (!c->rules.fields_later)
			note_folded_line(c, line);
		put_line(c, line);
		return;
	}
	if (line.ptr[0] != ' ' && line.ptr[0] != '\t' && field_name(line, &name, &value)) {
		begin_field(c, name, value);
		put_line(c, line);
		return;
	}
	/* Not a header line: the body begins here, with the empty line that was forgotten. */
	end_header(c);
	content_put(c, line);
	content_put(c, SPAN_LIT("\r\n"));
}
