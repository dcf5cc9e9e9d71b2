#include "common/mail/content_checks_inside.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/octets.h"
#include "common/base/text.h"
#include "common/mail/header.h"

enum {
	ASK_OCTETS = 32 * 1024, /* so much text is a question */
	ASK_LINES = 500,
	HOLD_OCTETS = 48 * 1024, /* so much may wait behind a line that nobody was asked about yet */
	LINES_MAX = 70000, /* a source may put its window at once */
	HELD_MAX = 64 << 20
};

struct content_checks *
content_checks_new(const struct content_checks_rules *rules, const struct content_checks_sink *sink)
{
	struct content_checks *c = mem_alloc(sizeof(*c));

	c->rules = *rules;
	c->sink = *sink;
	c->walk = mime_walk_new(&rules->mime);
	if (rules->strict)
		c->strict = content_strict_new(rules->strict, &rules->mime);
	c->rules.strict = NULL;
	buf_init(&c->held, HELD_MAX);
	buf_init(&c->texts, HELD_MAX);
	buf_init(&c->values, HELD_MAX);
	c->primary = true;
	c->header_end = SIZE_MAX;
	return c;
}

void
content_checks_free(struct content_checks **checks)
{
	struct content_checks *c = *checks;

	*checks = NULL;
	if (c == NULL)
		return;
	mime_walk_free(&c->walk);
	content_strict_free(&c->strict);
	buf_free(&c->held);
	buf_free(&c->texts);
	buf_free(&c->values);
	free(c->items);
	free(c);
}

const char *check_class_word(enum check_class class)
{
	return class == CHECK_STRICT ? "" : class == CHECK_BODY ? "body " : "header ";
}

/* ---- what is asked ---- */

static void
append_text(struct content_checks *c, struct item *item, struct span text)
{
	size_t limit = item->class == CHECK_BODY ? c->rules.line_limit : c->rules.field_limit;

	text = span_sub(text, 0, limit > item->text_len ? limit - item->text_len : 0);
	char *to = buf_reserve(&c->texts, text.len);
	if (to == NULL || text.len == 0)
		return;
	for (size_t i = 0; i < text.len; i++)
		to[i] = text.ptr[i] != '\0' ? text.ptr[i] : ' ';
	buf_added(&c->texts, text.len);
	item->text_len += text.len;
}

static bool
add_item(struct content_checks *c, enum check_class class, size_t at, struct span line, size_t len)
{
	if (c->count >= LINES_MAX)
		return false;
	if (c->count == c->room) {
		c->room = c->room == 0 ? 64 : c->room * 2;
		c->items = mem_resize(c->items, c->room * sizeof(c->items[0]));
	}
	struct item *item = &c->items[c->count++];
	*item = (struct item){
	    .class = class, .at = at, .len = len, .text_at = c->texts.len, .primary = c->primary};
	append_text(c, item, line);
	return true;
}

/* A field that goes no further, if it stands in the message's own header. */
bool
content_checks_is_listed(const struct content_checks *c, struct span line)
{
	return c->rules.drop_headers != NULL &&
	       header_name_listed(span_sub(line, 0, header_name_length(line)), c->rules.drop_headers);
}

static bool
is_dropped(const struct content_checks *c, struct span line)
{
	return c->primary && content_checks_is_listed(c, line);
}

/* The table is shown it without the obsolete blanks before the colon, as everybody else takes it. */
static void
add_field(struct content_checks *c, enum check_class class, struct span line, size_t len)
{
	struct span name = span_sub(line, 0, header_name_length(line));
	ptrdiff_t colon = span_find(line, ':');

	if (!add_item(c, class, c->line_at, name, len))
		return;
	struct item *item = &c->items[c->count - 1];
	append_text(c, item, span_from(line, colon < 0 ? line.len : (size_t)colon));
	item->dropped = is_dropped(c, line);
}

static enum check_class
class_of_field(const struct content_checks *c, struct span line)
{
	if (!c->rules.mime.off && mime_is_mime_field(span_sub(line, 0, header_name_length(line))))
		return CHECK_MIME_HEADER;
	switch (mime_walk_section(c->walk)) {
	case MIME_PRIMARY:
		return CHECK_HEADER;
	case MIME_PART:
		return CHECK_MIME_HEADER;
	default:
		return CHECK_NESTED_HEADER;
	}
}

static bool
is_wanted(const struct content_checks *c, enum check_class class)
{
	return (c->rules.classes & (1U << class)) != 0;
}

/* A body line, or a piece of one. */
static void
body_line(struct content_checks *c, size_t at, struct span line, size_t len)
{
	bool within = c->rules.body_limit == 0 || c->body_octets < c->rules.body_limit;

	c->body_octets += len;
	if (within && line.len > 0 && is_wanted(c, CHECK_BODY))
		(void)add_item(c, CHECK_BODY, at, line, len);
}

/* What is left goes out with no more checks. */
void
content_checks_pass_rest(struct content_checks *c)
{
	c->passes = true;
	c->rules.classes = 0;
}

void
content_checks_reject(struct content_checks *c)
{
	if (c->rules.rejected_goes_on)
		content_checks_pass_rest(c);
	else
		c->ended = true;
}

static void
end_primary(struct content_checks *c, size_t last, size_t end)
{
	if (c->primary) {
		c->header_last = last;
		c->header_end = end;
	}
	c->primary = false;
}

/* postconf(5), mime_nesting_limit. What lies deeper would be seen by no table. */
static void
refuse_nesting(struct content_checks *c, struct span line)
{
	static const struct check_action reject = {
	    .verb = CHECK_REJECT, .text = SPAN_LIT("5.6.0 mime nesting exceeds safety limit")};

	if (c->rules.outgoing || c->passes || c->ended)
		return;
	c->sink.acted(c->sink.context, &reject, CHECK_MIME_HEADER, line);
	content_checks_reject(c);
}

/* A whole line, or the first piece of a long one, at c->line_at: len octets with its end. */
static void
take_line(struct content_checks *c, struct span line, size_t len)
{
	enum mime_line kind = mime_walk_line(c->walk, line);
	struct item *last = c->count > 0 ? &c->items[c->count - 1] : NULL;

	if (kind == MIME_LINE_FOLDED) {
		if (c->in_field && last != NULL) {
			last->len += len;
			append_text(c, last, SPAN_LIT("\n"));
			append_text(c, last, line);
			/* All that is shown of it is there: what follows goes with whatever comes next. */
			c->in_field = last->text_len < c->rules.field_limit;
		}
		return;
	}
	c->in_field = false;
	if (kind == MIME_LINE_FIELD) {
		enum check_class class = class_of_field(c, line);
		c->in_field = !c->adding && (is_wanted(c, class) || is_dropped(c, line));
		if (c->in_field)
			add_field(c, class, line, len);
		return;
	}
	if (kind == MIME_LINE_END) {
		end_primary(c, c->line_at, c->line_at + len);
		c->body_octets = 0;
		if (mime_walk_is_too_deep(c->walk))
			refuse_nesting(c, line);
	} else {
		end_primary(c, c->line_at, c->line_at);
		body_line(c, c->line_at, line, len);
		if (kind == MIME_LINE_BOUNDARY)
			c->body_octets = 0;
	}
	c->flat = mime_walk_is_flat(c->walk);
}

/* ---- what comes in ---- */

void
content_checks_put_out(struct content_checks *c, struct span bytes, bool primary)
{
	if (bytes.len == 0)
		return;
	c->puts_primary = primary;
	if (primary)
		c->header_octets += bytes.len;
	c->sink.put(c->sink.context, bytes);
}

/* Lines that nobody is asked about can go at once. */
static bool
passes_through(const struct content_checks *c)
{
	return c->flat && c->count == 0 && c->held.len == 0 && !c->line_piece &&
	       (!is_wanted(c, CHECK_BODY) ||
		   (c->rules.body_limit != 0 && c->body_octets >= c->rules.body_limit));
}

static struct span
without_end(struct span line)
{
	if (line.len > 0 && line.ptr[line.len - 1] == '\n')
		line.len--;
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

/* len octets of held from line_at on: a whole line, or as much as is shown at once. */
static void
end_piece(struct content_checks *c, size_t len, bool whole)
{
	struct span piece = span_sub(buf_span(&c->held), c->line_at, len);

	if (c->line_piece && mime_walk_section(c->walk) == MIME_BODY)
		body_line(c, c->line_at, without_end(piece), piece.len);
	else if (c->line_piece && c->in_field && c->count > 0) {
		c->items[c->count - 1].len += piece.len;
		append_text(c, &c->items[c->count - 1], without_end(piece));
	} else if (!c->line_piece)
		take_line(c, without_end(piece), piece.len);
	c->line_piece = !whole;
	c->line_at += len;
}

static void
release_if_idle(struct content_checks *c)
{
	if (c->count == 0 && c->line_at > 0)
		content_checks_settle(c);
}

static void
refuse_octets(struct content_checks *c, const struct content_refusal *refusal)
{
	const struct check_action reject = {.verb = CHECK_REJECT, .text = span_of(refusal->words)};
	struct buf text;

	buf_init(&text, HOLD_OCTETS);
	buf_printf(&text, "%s ", refusal->kind);
	buf_append_span(&text, refusal->line);
	c->sink.acted(c->sink.context, &reject, CHECK_STRICT, buf_span(&text));
	buf_free(&text);
	content_checks_reject(c);
}

/* A line of just the limit is whole wherever its end comes in: a piece ends when that is not what comes next. */
static void
take_piece(struct content_checks *c, struct span *bytes)
{
	size_t most = c->rules.line_limit + 2, had = c->held.len - c->line_at;
	struct span part = span_sub(*bytes, 0, most - had);
	const char *lf = memchr(part.ptr, '\n', part.len);

	if (lf != NULL)
		part.len = (size_t)(lf - part.ptr) + 1;
	(void)buf_append_span(&c->held, part);
	*bytes = span_from(*bytes, part.len);
	if (lf != NULL)
		end_piece(c, had + part.len, true);
	else if (had + part.len == most)
		end_piece(c, c->rules.line_limit, false);
	else
		return;
	release_if_idle(c);
}

void
content_checks_put(struct content_checks *c, struct span bytes)
{
	struct content_refusal refusal = {0};

	if (c->strict && !c->adding && !c->passes)
		bytes = content_strict_put(c->strict, bytes, &refusal);
	if (refusal.words)
		refuse_octets(c, &refusal);
	while (bytes.len > 0 && !c->ended) {
		if (passes_through(c)) {
			c->line_at = 0;
			content_checks_put_out(c, bytes, false);
			return;
		}
		take_piece(c, &bytes);
	}
}

void
content_checks_adding(struct content_checks *c, bool adding)
{
	c->adding = adding;
}

void
content_checks_watch_header(struct content_checks *c, const struct content_checks_header *watcher)
{
	c->watcher = *watcher;
}

void
content_checks_finish(struct content_checks *c)
{
	if (c->held.len > c->line_at)
		end_piece(c, c->held.len - c->line_at, true);
	c->finished = true;
	if (c->count == 0)
		content_checks_settle(c);
}

/* ---- questions and answers ---- */

size_t
content_checks_whole(const struct content_checks *c)
{
	return c->in_field && !c->finished ? c->count - 1 : c->count;
}

bool
content_checks_asks(const struct content_checks *c)
{
	return !c->ended && content_checks_whole(c) > 0 &&
	       (c->finished || c->texts.len >= ASK_OCTETS || c->count >= ASK_LINES ||
		   c->held.len >= HOLD_OCTETS);
}

bool
content_checks_next(
    const struct content_checks *c, size_t *position, enum check_class *class, struct span *text)
{
	if (*position >= content_checks_whole(c))
		return false;
	const struct item *item = &c->items[(*position)++];
	*class = item->class;
	*text = span_sub(buf_span(&c->texts), item->text_at, item->text_len);
	return true;
}

static bool
pack_begin(const struct content_checks *c, struct content_checks_packing *p)
{
	enum check_class class;

	p->in_line = content_checks_next(c, &p->position, &class, &p->text);
	if (!p->in_line)
		return false;
	p->head[0] = (char)class;
	octets_store(p->head + 1, p->text.len, 4);
	p->head_at = 0;
	return true;
}

bool
content_checks_pack(
    const struct content_checks *c, struct content_checks_packing *p, size_t max, struct buf *out)
{
	size_t begun = out->len;

	while (p->in_line || pack_begin(c, p)) {
		size_t room = max - (out->len - begun);
		struct span head =
		    span_sub(span_from(span_make(p->head, sizeof(p->head)), p->head_at), 0, room);
		(void)buf_append_span(out, head);
		p->head_at += head.len;
		struct span part = span_sub(p->text, 0, room - head.len);
		(void)buf_append_span(out, part);
		p->text = span_from(p->text, part.len);
		if (p->head_at < sizeof(p->head) || p->text.len > 0)
			return true;
		p->in_line = false;
	}
	return false;
}

void
content_checks_found(struct content_checks *c, size_t position, struct span value)
{
	if (position >= content_checks_whole(c))
		return;
	struct item *item = &c->items[position];
	item->value_at = c->values.len;
	if (buf_append_span(&c->values, value) == 0)
		item->value_len = value.len;
}

bool
content_checks_in_header(const struct content_checks *c)
{
	return c->puts_primary;
}

uint64_t
content_checks_header_octets(const struct content_checks *c)
{
	return c->header_octets;
}
