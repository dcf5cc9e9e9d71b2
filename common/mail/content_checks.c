#include "common/mail/content_checks.h"

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

/* A line, or a field with its folded lines, that a table is asked about. */
struct item {
	enum check_class class;
	size_t at, len; /* in held: with line ends */
	size_t text_at, text_len; /* in texts */
	size_t value_at, value_len; /* in values; len 0: nothing found */
	bool primary; /* it stands in the message's own header */
	bool dropped; /* one of drop_headers */
};

struct content_checks {
	struct content_checks_rules rules;
	struct content_checks_sink sink;
	struct mime_walk *walk;
	struct buf held, texts, values;
	struct item *items;
	size_t count, room;
	size_t line_at; /* where the present line begins in held */
	bool line_piece; /* a part of this line was looked at already */
	bool in_field; /* the last item may have folded lines yet */
	bool primary; /* in the message's own header */
	bool puts_primary; /* what is put out is of that */
	bool adding; /* what is put did not come along */
	bool flat; /* no more headers can come */
	bool finished, ended;
	bool passes; /* no more checks: an action said so, or it was rejected and goes on */
	uint64_t body_octets; /* of this part */
	uint64_t header_octets;
	size_t header_end; /* in held; SIZE_MAX: not there */
	size_t header_last; /* its empty line, if it has one */
	struct content_checks_header watcher;
	bool header_ended; /* the watcher was told */
};

struct content_checks *
content_checks_new(const struct content_checks_rules *rules, const struct content_checks_sink *sink)
{
	struct content_checks *c = mem_alloc(sizeof(*c));

	c->rules = *rules;
	c->sink = *sink;
	c->walk = mime_walk_new(&rules->mime);
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
	buf_free(&c->held);
	buf_free(&c->texts);
	buf_free(&c->values);
	free(c->items);
	free(c);
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
static bool
is_listed(const struct content_checks *c, struct span line)
{
	return c->rules.drop_headers != NULL &&
	       header_name_listed(span_sub(line, 0, header_name_length(line)), c->rules.drop_headers);
}

static bool
is_dropped(const struct content_checks *c, struct span line)
{
	return c->primary && is_listed(c, line);
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
static void
pass_rest(struct content_checks *c)
{
	c->passes = true;
	c->rules.classes = 0;
}

static void
end_by_reject(struct content_checks *c)
{
	if (c->rules.rejected_goes_on)
		pass_rest(c);
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
	end_by_reject(c);
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

static void
put_out(struct content_checks *c, struct span bytes, bool primary)
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

/* The octets of held from line_at on: a whole line, or as much as is shown at once. */
static void
end_piece(struct content_checks *c, bool whole)
{
	struct span piece = span_from(buf_span(&c->held), c->line_at);

	if (c->line_piece && mime_walk_section(c->walk) == MIME_BODY)
		body_line(c, c->line_at, without_end(piece), piece.len);
	else if (c->line_piece && c->in_field && c->count > 0) {
		c->items[c->count - 1].len += piece.len;
		append_text(c, &c->items[c->count - 1], without_end(piece));
	} else if (!c->line_piece)
		take_line(c, without_end(piece), piece.len);
	c->line_piece = !whole;
	c->line_at = c->held.len;
}

static void
release_if_idle(struct content_checks *c)
{
	if (c->count == 0 && c->line_at == c->held.len && c->held.len > 0)
		content_checks_settle(c);
}

void
content_checks_put(struct content_checks *c, struct span bytes)
{
	while (bytes.len > 0 && !c->ended) {
		if (passes_through(c)) {
			c->line_at = 0;
			put_out(c, bytes, false);
			return;
		}
		const char *lf = memchr(bytes.ptr, '\n', bytes.len);
		size_t n = lf != NULL ? (size_t)(lf - bytes.ptr) + 1 : bytes.len;
		size_t room = c->rules.line_limit - (c->held.len - c->line_at);
		bool whole = lf != NULL && n <= room + 2;
		if (!whole && n > room)
			n = room;
		(void)buf_append(&c->held, bytes.ptr, n);
		bytes = span_from(bytes, n);
		if (whole || n == room) {
			end_piece(c, whole);
			release_if_idle(c);
		}
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
		end_piece(c, true);
	c->finished = true;
	if (c->count == 0)
		content_checks_settle(c);
}

/* ---- questions and answers ---- */

/* Lines that are whole: a field may have folded lines yet that have not come. */
static size_t
whole_items(const struct content_checks *c)
{
	return c->in_field && !c->finished ? c->count - 1 : c->count;
}

bool
content_checks_asks(const struct content_checks *c)
{
	return !c->ended && whole_items(c) > 0 &&
	       (c->finished || c->texts.len >= ASK_OCTETS || c->count >= ASK_LINES ||
		   c->held.len >= HOLD_OCTETS);
}

bool
content_checks_next(
    const struct content_checks *c, size_t *position, enum check_class *class, struct span *text)
{
	if (*position >= whole_items(c))
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
	if (position >= whole_items(c))
		return;
	struct item *item = &c->items[position];
	item->value_at = c->values.len;
	if (buf_append_span(&c->values, value) == 0)
		item->value_len = value.len;
}

static void
put_text(struct content_checks *c, struct span text, bool primary)
{
	put_out(c, text, primary);
	put_out(c, SPAN_LIT("\r\n"), primary);
}

void
content_checks_add_field(struct content_checks *c, struct span line)
{
	put_text(c, line, true);
}

static void
tell_field(struct content_checks *c, const struct item *item, struct span field)
{
	if (item->primary && c->watcher.field != NULL)
		c->watcher.field(c->sink.context, field);
}

static void
put_item(struct content_checks *c, const struct item *item)
{
	struct span line = span_sub(buf_span(&c->held), item->at, item->len);

	tell_field(c, item, line);
	if (!item->dropped)
		put_out(c, line, item->primary);
}

/* The line itself, unless the action takes its place. */
static void
apply(struct content_checks *c, const struct item *item)
{
	struct span value = span_sub(buf_span(&c->values), item->value_at, item->value_len);
	struct check_action action;
	const char *trouble =
	    check_action_parse(value, item->class == CHECK_BODY, c->rules.outgoing, &action);

	if (c->passes) {
		put_item(c, item);
		return;
	}
	if (trouble != NULL)
		c->sink.complain(c->sink.context, value, trouble);
	if (action.verb == CHECK_DUNNO || trouble != NULL) {
		put_item(c, item);
		return;
	}
	c->sink.acted(c->sink.context, &action, item->class,
	    span_sub(buf_span(&c->texts), item->text_at, item->text_len));
	switch (action.verb) {
	case CHECK_REJECT:
		end_by_reject(c);
		break;
	case CHECK_DISCARD:
		c->ended = true;
		break;
	case CHECK_PASS:
	case CHECK_REDIRECT:
		pass_rest(c);
		break;
	case CHECK_IGNORE:
	case CHECK_STRIP:
		return;
	case CHECK_REPLACE:
		tell_field(c, item, action.text);
		if (!item->primary || !is_listed(c, action.text))
			put_text(c, action.text, item->primary);
		return;
	case CHECK_PREPEND:
		put_text(c, action.text, item->primary);
		break;
	default:
		break;
	}
	if (!c->ended)
		put_item(c, item);
}

static size_t
between(size_t at, size_t from, size_t to)
{
	return at < from ? from : at > to ? to : at;
}

/* What lies between two items, which may hold the end of the header. */
static void
put_between(struct content_checks *c, size_t from, size_t to)
{
	struct span held = buf_span(&c->held);
	size_t cut = c->header_end == SIZE_MAX ? (c->primary ? to : from) : between(c->header_end, from, to);

	if (c->header_end <= to && !c->header_ended) {
		size_t last = between(c->header_last, from, cut);
		put_out(c, span_sub(held, from, last - from), true);
		from = last;
		c->header_ended = true;
		if (c->watcher.end != NULL)
			c->watcher.end(c->sink.context);
	}
	put_out(c, span_sub(held, from, cut - from), true);
	put_out(c, span_sub(held, cut, to - cut), false);
}

/* What is left begins at 'at': an open field, or a line that has not come whole. */
static void
keep_rest(struct content_checks *c, size_t settled, size_t at)
{
	buf_consume(&c->held, at);
	c->line_at -= at;
	if (c->header_end != SIZE_MAX) {
		c->header_end = c->header_end > at ? c->header_end - at : 0;
		c->header_last = c->header_last > at ? c->header_last - at : 0;
	}
	buf_clear(&c->values);
	if (settled == c->count) {
		buf_clear(&c->texts);
		c->count = 0;
		return;
	}
	c->items[0] = c->items[settled];
	buf_consume(&c->texts, c->items[0].text_at);
	c->items[0].at = c->items[0].text_at = 0;
	c->count = 1;
}

void
content_checks_settle(struct content_checks *c)
{
	size_t at = 0, settled = whole_items(c);

	for (size_t i = 0; i < settled && !c->ended; i++) {
		const struct item *item = &c->items[i];
		put_between(c, at, item->at);
		if (item->value_len > 0)
			apply(c, item);
		else
			put_item(c, item);
		at = item->at + item->len;
	}
	size_t end = settled < c->count ? c->items[settled].at : c->line_at;
	if (!c->ended)
		put_between(c, at, end);
	keep_rest(c, settled, end);
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
