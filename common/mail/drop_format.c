#include "common/mail/drop_format.h"

#include "common/base/text.h"
#include "common/mail/verp.h"

static const char magic[] = "postern-drop 1";

void
drop_envelope_init(struct drop_envelope *e, struct arena *arena)
{
	memset(e, 0, sizeof(*e));
	e->arena = arena;
	e->last = &e->first;
}

/* What stands in a line of its own, in a log line and in a frame: no control characters. */
static bool
printable(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < 32 || text.ptr[i] == 127)
			return false;
	return true;
}

static bool
made_of(struct span text, size_t max, const char *more)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.ptr[i]) && strchr(more, text.ptr[i]) == NULL)
			return false;
	return text.len > 0 && text.len <= max;
}

bool
drop_tag_valid(struct span tag)
{
	return made_of(tag, DROP_TAG_MAX, "_.-");
}

bool
drop_protocol_valid(struct span protocol)
{
	return protocol.len > 0 && protocol.ptr[0] != ':' && made_of(protocol, DROP_PROTOCOL_MAX, "_.-:[]");
}

int
drop_envelope_add(struct drop_envelope *e, struct span recipient, struct error *err)
{
	struct drop_recipient *r;

	if (recipient.len == 0 || recipient.len > 1000 || !printable(recipient))
		return error_set(err, "unusable recipient address");
	if (e->recipients >= DROP_RECIPIENTS_MAX)
		return error_set(err, "more than %d recipients", DROP_RECIPIENTS_MAX);
	r = arena_alloc(e->arena, sizeof(*r));
	if (r == NULL)
		return error_set(err, "too many recipients");
	r->address = arena_copy_span(e->arena, recipient);
	if (r->address.ptr == NULL)
		return error_set(err, "too many recipients");
	*e->last = r;
	e->last = &r->next;
	e->newest = r;
	e->recipients++;
	return 0;
}

int
drop_envelope_dsn(struct drop_envelope *e, uint8_t notify, struct span orcpt, struct error *err)
{
	if (e->newest == NULL || notify > DROP_NOTIFY_MAX || orcpt.len > 1000 || !printable(orcpt))
		return error_set(err, "unusable NOTIFY or ORCPT");
	e->newest->notify = notify;
	e->newest->orcpt = arena_copy_span(e->arena, orcpt);
	return e->newest->orcpt.ptr || orcpt.len == 0 ? 0 : error_set(err, "too many recipients");
}

static int
put_text(struct buf *out, const char *name, struct span text, struct error *err)
{
	if (text.ptr == NULL)
		return 0;
	if (!printable(text) || text.len > 1000)
		return error_set(err, "unusable %s", name);
	return buf_printf(out, "%s %.*s\n", name, SPAN_ARG(text));
}

static int
put_dsn(struct buf *out, const struct drop_recipient *r, struct error *err)
{
	if (r->notify == 0 && r->orcpt.len == 0)
		return 0;
	if (!printable(r->orcpt) || r->orcpt.len > 1000)
		return error_set(err, "unusable ORCPT");
	return buf_printf(out, "dsn %u%s%.*s\n", r->notify, r->orcpt.len > 0 ? " " : "", SPAN_ARG(r->orcpt));
}

int
drop_envelope_format(const struct drop_envelope *e, struct buf *out, struct error *err)
{
	buf_printf(out, "%s\nsize %llu\nflags %u\nnotify %u\n", magic, (unsigned long long)e->size, e->flags,
	    e->notify);
	if (put_text(out, "sender", e->sender, err) < 0 || put_text(out, "name", e->full_name, err) < 0 ||
	    put_text(out, "envid", e->envid, err) < 0 || put_text(out, "tag", e->tag, err) < 0 ||
	    put_text(out, "protocol", e->protocol, err) < 0 || put_text(out, "verp", e->verp, err) < 0)
		return -1;
	if (e->hops > 0)
		buf_printf(out, "hops %u\n", e->hops);
	for (const struct drop_recipient *r = e->first; r; r = r->next)
		if (put_text(out, "rcpt", r->address, err) < 0 || put_dsn(out, r, err) < 0)
			return -1;
	buf_append_text(out, "\n");
	return out->full ? error_set(err, "too many recipients") : 0;
}

static int
take_number(struct span value, uint64_t max, uint64_t *number, struct error *err)
{
	if (number_parse(value, 0, max, number) < 0)
		return error_set(err, "not a number in the envelope");
	return 0;
}

static int
take_text(struct drop_envelope *e, struct span value, size_t max, struct span *text, struct error *err)
{
	if (value.len > max || !printable(value) || text->ptr != NULL)
		return error_set(err, "unusable text in the envelope");
	*text = arena_copy_span(e->arena, value);
	return text->ptr ? 0 : error_set(err, "envelope too large");
}

static int
take_tag(struct drop_envelope *e, struct span value, struct error *err)
{
	return drop_tag_valid(value) ? take_text(e, value, DROP_TAG_MAX, &e->tag, err)
				     : error_set(err, "unusable tag in the envelope");
}

static int
take_protocol(struct drop_envelope *e, struct span value, struct error *err)
{
	return drop_protocol_valid(value) ? take_text(e, value, DROP_PROTOCOL_MAX, &e->protocol, err)
					  : error_set(err, "unusable protocol in the envelope");
}

int
drop_envelope_set(struct drop_envelope *e, const struct drop_envelope *from, struct error *err)
{
	if (take_text(e, from->sender, 1000, &e->sender, err) < 0 ||
	    take_text(e, from->full_name, 300, &e->full_name, err) < 0 ||
	    take_text(e, from->envid, 200, &e->envid, err) < 0)
		return -1;
	if ((from->tag.len > 0 && take_tag(e, from->tag, err) < 0) ||
	    (from->protocol.len > 0 && take_protocol(e, from->protocol, err) < 0))
		return -1;
	if (from->verp.len > 0 && take_text(e, from->verp, VERP_DELIMITERS, &e->verp, err) < 0)
		return -1;
	if (from->hops > DROP_HOPS_MAX)
		return error_set(err, "too many hops in the envelope");
	e->hops = from->hops;
	return 0;
}

static int
take_dsn(struct drop_envelope *e, struct span value, struct error *err)
{
	ptrdiff_t blank = span_find(value, ' ');
	size_t len = blank < 0 ? value.len : (size_t)blank;
	uint64_t notify;

	if (take_number(span_sub(value, 0, len), DROP_NOTIFY_MAX, &notify, err) < 0)
		return -1;
	return drop_envelope_dsn(e, (uint8_t)notify, span_from(value, blank < 0 ? len : len + 1), err);
}

static int
take_field(struct drop_envelope *e, struct span name, struct span value, struct error *err)
{
	uint64_t number = 0;

	if (span_is(name, "size"))
		return take_number(value, UINT64_MAX / 2, &e->size, err);
	if (span_is(name, "flags")) {
		if (take_number(value, UINT32_MAX, &number, err) < 0)
			return -1;
		e->flags = (uint32_t)number;
		return 0;
	}
	if (span_is(name, "notify")) {
		if (take_number(value, DROP_NOTIFY_MAX, &number, err) < 0)
			return -1;
		e->notify = (uint8_t)number;
		return 0;
	}
	if (span_is(name, "sender"))
		return take_text(e, value, 1000, &e->sender, err);
	if (span_is(name, "name"))
		return take_text(e, value, 300, &e->full_name, err);
	if (span_is(name, "envid"))
		return take_text(e, value, 200, &e->envid, err);
	if (span_is(name, "tag"))
		return take_tag(e, value, err);
	if (span_is(name, "verp"))
		return take_text(e, value, VERP_DELIMITERS, &e->verp, err);
	if (span_is(name, "protocol"))
		return take_protocol(e, value, err);
	if (span_is(name, "hops")) {
		if (take_number(value, DROP_HOPS_MAX, &number, err) < 0)
			return -1;
		e->hops = (uint32_t)number;
		return 0;
	}
	if (span_is(name, "rcpt"))
		return drop_envelope_add(e, value, err);
	if (span_is(name, "dsn"))
		return take_dsn(e, value, err);
	return error_set(err, "unknown line in the envelope");
}

int
drop_envelope_line(struct drop_envelope *e, struct span line, struct error *err)
{
	ptrdiff_t blank;

	if (e->lines++ == 0)
		return span_is(line, magic) ? 0 : error_set(err, "not a message of this program");
	if (line.len == 0) {
		if (e->recipients == 0)
			return error_set(err, "no recipients");
		return 1;
	}
	blank = span_find(line, ' ');
	if (blank < 0 || line.len > DROP_LINE_MAX)
		return error_set(err, "malformed line in the envelope");
	return take_field(e, span_sub(line, 0, (size_t)blank), span_from(line, (size_t)blank + 1), err);
}
