/*
 * control_stats: counts by age, as qshape(1) shows them.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "queue/control/control.h"
#include "queue/spool_clock.h"

/* Bounds in minutes; the last bucket is older. */
enum { BUCKETS = 10, GROUPS_MAX = 200000 };
static const int64_t minutes[BUCKETS - 1] = {5, 10, 20, 40, 80, 160, 320, 640, 1280};

struct group {
	uint64_t messages, bytes;
	uint64_t ages[BUCKETS];
	uint64_t last_id; /* so that a message counts once in a group */
};

static void
count(struct walk *w, const struct message *m, struct span key)
{
	int64_t age = (spool_clock_now() - m->e.arrival_spool_us) / (60 * US_PER_SECOND);
	struct group *g;
	size_t bucket = 0;
	char copy[1024];

	/* Names fold; what a host said is quoted as it was said. */
	key = span_sub(key, 0, sizeof(copy) - 1);
	span_copy(key, copy, sizeof(copy));
	if (!w->filter.by || strcmp(w->filter.by, "reason") != 0)
		text_lower(copy, key.len);
	key = span_make(copy, key.len);
	g = table_get(w->groups, key);
	if (!g) {
		g = mem_alloc(sizeof(*g));
		if (table_put(w->groups, key, g) < 0) {
			free(g);
			return;
		}
	}
	if (g->last_id == m->id)
		return;
	g->last_id = m->id;
	while (bucket < BUCKETS - 1 && age >= minutes[bucket])
		bucket++;
	g->messages++;
	g->bytes += m->e.content_len;
	g->ages[bucket]++;
}

static struct span
domain_of(struct span address)
{
	ptrdiff_t at = span_find_last(address, '@');

	return at < 0 ? SPAN_LIT("") : span_from(address, (size_t)at + 1);
}

bool
act_stats(struct walk *w, struct message *m)
{
	const char *by = w->filter.by ? w->filter.by : "domain";

	if (!w->groups)
		w->groups = table_new(GROUPS_MAX, free);
	if (span_is(span_of(by), "sender")) {
		count(w, m, m->e.sender.len ? m->e.sender : SPAN_LIT("MAILER-DAEMON"));
		return true;
	}
	for (uint32_t i = 0; i < m->count; i++) {
		const struct part_recipient *p = &m->recipients[i]->p;

		if (p->state == RECIPIENT_DONE)
			continue;
		if (span_is(span_of(by), "nexthop"))
			count(w, m, p->nexthop);
		else if (span_is(span_of(by), "reason"))
			count(w, m, m->e.held ? m->e.hold_reason : p->text);
		else
			count(w, m, domain_of(p->recipient));
	}
	return true;
}

void
finish_stats(struct walk *w)
{
	size_t position = 0;
	struct span key;
	struct group *g;
	struct buf row;

	buf_init(&row, 8192);
	while (w->groups && (g = table_next(w->groups, &position, &key))) {
		buf_clear(&row);
		buf_append_text(&row, "{\"key\": \"");
		text_append_json(&row, key);
		buf_printf(&row, "\", \"messages\": %llu, \"bytes\": %llu, \"ages\": [",
		    (unsigned long long)g->messages, (unsigned long long)g->bytes);
		for (size_t i = 0; i < BUCKETS; i++)
			buf_printf(&row, "%s%llu", i ? ", " : "", (unsigned long long)g->ages[i]);
		buf_append_text(&row, "]}\n");
		walk_row(w, buf_span(&row));
	}
	buf_free(&row);
	control_done(w->channel, w->call, 0, w->count, "");
}
