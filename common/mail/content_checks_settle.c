#include "common/mail/content_checks_inside.h"

static void
put_text(struct content_checks *c, struct span text, bool primary)
{
	content_checks_put_out(c, text, primary);
	content_checks_put_out(c, SPAN_LIT("\r\n"), primary);
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
		content_checks_put_out(c, line, item->primary);
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
		content_checks_reject(c);
		break;
	case CHECK_DISCARD:
		c->ended = true;
		break;
	case CHECK_PASS:
	case CHECK_REDIRECT:
		content_checks_pass_rest(c);
		break;
	case CHECK_IGNORE:
	case CHECK_STRIP:
		return;
	case CHECK_REPLACE:
		tell_field(c, item, action.text);
		if (!item->primary || !content_checks_is_listed(c, action.text))
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
		content_checks_put_out(c, span_sub(held, from, last - from), true);
		from = last;
		c->header_ended = true;
		if (c->watcher.end != NULL)
			c->watcher.end(c->sink.context);
	}
	content_checks_put_out(c, span_sub(held, from, cut - from), true);
	content_checks_put_out(c, span_sub(held, cut, to - cut), false);
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
	size_t at = 0, settled = content_checks_whole(c);

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
