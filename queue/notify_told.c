/*
 * notify_told: a report that was durable when queue died, perhaps before those whom it tells of were finished (notify.c, 3).
 *
 * They are, before anything is done for it: else a queue that dies once more would be followed by one that finds them open and
 * no report, and asks for another.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/queue.h"
#include "queue/spool_clock.h"

struct telling {
	struct queue *q;
	struct message *report;
	bool flush;
};

/* What was tried has been looked at, by this queue or an earlier one. */
static bool
may_be_unknown(const struct queue *q, const struct message *m)
{
	if (m->e.about == 0 || m->told || m->id > q->id_high_at_start)
		return false;
	for (uint32_t i = 0; i < m->count; i++)
		if (m->recipients[i]->p.attempt > 0)
			return false;
	return true;
}

/* The log is still being read after a start: the index has the report, and it is due again in a second. */
static void
put_off(struct queue *q, const struct message *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		scheduler_note_due(q, m->recipients[i]->p.transport, m->recipients[i]->p.nexthop,
		    spool_clock_now() + US_PER_SECOND, m->id);
}

static void
on_found(struct queue *q, struct message *about, void *context)
{
	struct telling *t = context;
	struct message *m = t->report;

	m->busy--;
	m->telling = false;
	if (about)
		notify_finish(q, about, m->id);
	m->told = about || !q->recovery;
	if (m->told)
		scheduler_add(q, m, t->flush);
	else
		put_off(q, m);
	free(t);
	young_settle(q, m);
}

bool
notify_told_first(struct queue *q, struct message *m, bool flush)
{
	struct message *about;
	struct telling *t;

	if (m->telling)
		return false;
	if (!may_be_unknown(q, m))
		return true;
	about = message_find(&q->live, m->e.about);
	if (about) {
		if (!about->removed)
			notify_finish(q, about, m->id);
		m->told = true;
		return true;
	}
	t = mem_alloc(sizeof(*t));
	t->q = q;
	t->report = m;
	t->flush = flush;
	m->telling = true;
	m->busy++;
	young_get(q, m->e.about, on_found, t);
	return false;
}
