#include "services/log/order.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum { HELD_MAX = 8192 };

struct held {
	struct order_line line;
	uint64_t number;
	char bytes[];
};

struct order {
	void (*give)(const struct order_line *line, void *context);
	void *context;
	uint64_t next_number;
	int64_t now_us; /* when it was last looked at */
	size_t count;
	struct held *held[HELD_MAX];
};

struct order *
order_new(void (*give)(const struct order_line *line, void *context), void *context)
{
	struct order *o = mem_alloc(sizeof(*o));

	o->give = give;
	o->context = context;
	return o;
}

void
order_free(struct order **o)
{
	struct order *old = *o;

	*o = NULL;
	if (old == NULL)
		return;
	for (size_t i = 0; i < old->count; i++)
		free(old->held[i]);
	free(old);
}

static int
by_time(const void *a, const void *b)
{
	const struct held *x = *(struct held *const *)a, *y = *(struct held *const *)b;

	if (x->line.time_us != y->line.time_us)
		return x->line.time_us < y->line.time_us ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

/* The first count lines, which are in order. */
static void
give_first(struct order *o, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		o->give(&o->held[i]->line, o->context);
		free(o->held[i]);
	}
	o->count -= count;
	memmove(o->held, o->held + count, o->count * sizeof(struct held *));
}

static void
give_until(struct order *o, int64_t until_us)
{
	size_t due = 0;

	qsort(o->held, o->count, sizeof(struct held *), by_time);
	while (due < o->count && o->held[due]->line.time_us <= until_us)
		due++;
	give_first(o, due);
}

/* By their times, lines from before it was set back would be held until it is there again. */
static void
look_at_clock(struct order *o, int64_t now_us)
{
	if (now_us < o->now_us)
		give_until(o, INT64_MAX);
	o->now_us = now_us;
}

void
order_add(struct order *o, const struct order_line *line, int64_t now_us)
{
	struct held *h = mem_alloc(sizeof(*h) + line->ident.len + line->text.len);

	look_at_clock(o, now_us);
	if (o->count == HELD_MAX) {
		qsort(o->held, o->count, sizeof(struct held *), by_time);
		give_first(o, HELD_MAX / 2);
	}
	h->line = *line;
	if (h->line.time_us > now_us)
		h->line.time_us = now_us;
	h->number = o->next_number++;
	if (line->ident.len > 0)
		memcpy(h->bytes, line->ident.ptr, line->ident.len);
	if (line->text.len > 0)
		memcpy(h->bytes + line->ident.len, line->text.ptr, line->text.len);
	h->line.ident.ptr = h->bytes;
	h->line.text.ptr = h->bytes + line->ident.len;
	o->held[o->count++] = h;
}

void
order_release(struct order *o, int64_t now_us, int64_t hold_us)
{
	look_at_clock(o, now_us);
	give_until(o, now_us - hold_us);
}

size_t
order_count(const struct order *o)
{
	return o->count;
}
