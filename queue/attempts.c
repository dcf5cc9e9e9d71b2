#include "queue/attempts.h"

#include "common/base/text.h"

enum { RUN_TEXT_MAX = 240, RUN_RELAY_MAX = 100, NUMBER_MAX = 20 };

/* Neither a tab nor the end of a line, whatever a host said. */
static void
put_clean(struct buf *out, struct span text, size_t max)
{
	size_t at = out->len;

	buf_append_span(out, span_sub(text, 0, max));
	for (char *p = buf_ptr(out) + at; p && p < buf_ptr(out) + out->len; p++)
		if (*p == '\t' || *p == '\n' || *p == '\r')
			*p = ' ';
}

static void
put_run(struct buf *out, const struct attempt_run *run)
{
	buf_printf(out, "%u\t%u\t%lld\t%lld\t", run->first, run->last, (long long)run->first_us,
	    (long long)run->last_us);
	put_clean(out, run->status, 12);
	buf_append_text(out, "\t");
	put_clean(out, run->relay, RUN_RELAY_MAX);
	buf_append_text(out, "\t");
	put_clean(out, run->text, RUN_TEXT_MAX);
	buf_append_text(out, "\n");
}

static bool
take_field(struct span *line, struct span *field)
{
	ptrdiff_t end = span_find(*line, '\t');

	if (end < 0)
		return false;
	*field = span_sub(*line, 0, (size_t)end);
	*line = span_from(*line, (size_t)end + 1);
	return true;
}

static bool
take_number(struct span *line, uint64_t *value)
{
	struct span field;

	return take_field(line, &field) && field.len <= NUMBER_MAX &&
	       number_parse(field, 0, INT64_MAX, value) == 0;
}

bool
attempts_next(struct span *history, struct attempt_run *run)
{
	struct span line;

	while (span_next_line(history, &line)) {
		uint64_t first, last, first_us, last_us;

		if (!take_number(&line, &first) || !take_number(&line, &last) ||
		    !take_number(&line, &first_us) || !take_number(&line, &last_us) ||
		    !take_field(&line, &run->status) || !take_field(&line, &run->relay))
			continue;
		run->first = (uint32_t)first;
		run->last = (uint32_t)last;
		run->first_us = (int64_t)first_us;
		run->last_us = (int64_t)last_us;
		run->text = line;
		return true;
	}
	return false;
}

/* Both as they are stored: cut and clean. */
static bool
is_same(const struct attempt_run *a, const struct attempt_run *b)
{
	struct buf x, y;
	bool same;
	struct attempt_run plain_a = {.status = a->status, .relay = a->relay, .text = a->text};
	struct attempt_run plain_b = {.status = b->status, .relay = b->relay, .text = b->text};

	buf_init(&x, ATTEMPTS_MAX);
	buf_init(&y, ATTEMPTS_MAX);
	put_run(&x, &plain_a);
	put_run(&y, &plain_b);
	same = span_equal(buf_span(&x), buf_span(&y));
	buf_free(&x);
	buf_free(&y);
	return same;
}

void
attempts_push(struct buf *out, const struct part_recipient *p, size_t max)
{
	struct attempt_run new = {.first = p->attempt,
	    .last = p->attempt,
	    .first_us = p->attempt_us,
	    .last_us = p->attempt_us,
	    .status = p->status,
	    .relay = p->relay,
	    .text = p->text};
	struct attempt_run old, last = {.last = 0};
	struct span rest = p->history, kept = p->history;
	size_t added;

	/* All but the last run stay as they are. */
	for (struct span at = rest; attempts_next(&rest, &old); at = rest) {
		last = old;
		kept = span_sub(p->history, 0, (size_t)(at.ptr - p->history.ptr));
	}
	if (last.last > 0 && is_same(&last, &new)) {
		new.first = last.first;
		new.first_us = last.first_us;
	} else {
		kept = p->history;
	}
	added = out->len;
	put_run(out, &new);
	added = out->len - added;
	buf_clear(out);
	while (kept.len > 0 && kept.len + added > max) {
		struct span gone;

		if (!span_next_line(&kept, &gone))
			break;
	}
	if (kept.len + added > max)
		return;
	buf_append_span(out, kept);
	put_run(out, &new);
}

void
attempts_add_host(struct buf *tried, struct span host, struct span text)
{
	put_clean(tried, host, RUN_RELAY_MAX);
	buf_append_text(tried, "\t");
	put_clean(tried, text, RUN_TEXT_MAX);
	buf_append_text(tried, "\n");
}

bool
attempts_next_host(struct span *tried, struct span *host, struct span *text)
{
	struct span line;

	while (span_next_line(tried, &line)) {
		if (!take_field(&line, host))
			continue;
		*text = line;
		return true;
	}
	return false;
}
