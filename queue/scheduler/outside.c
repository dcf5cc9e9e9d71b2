#include "queue/scheduler/outside.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

/* One step keeps the indexer for some ten milliseconds. */
enum { LOOK_S = 30, STEP_SEEN = 5000, STEP_FOUND = 1000, STEP_OCTETS = 1 << 20 };

struct look_task {
	struct task task;
	struct queue *q;
	struct index *index;
	uint32_t from;
	int64_t until; /* what comes due later need not have a place yet */
	unsigned seen, found;
	struct buf hops; /* of each number, time, length, key */
	bool more;
	bool later; /* some come due later */
	int status;
	struct error err;
};

struct found_hop {
	int64_t due;
	uint32_t number, len;
};

void
outside_note(struct queue *q)
{
	q->scheduler->outside.any = q->scheduler->outside.more = true;
}

static bool
is_fuller(size_t count, size_t most, unsigned quarters)
{
	return count >= most / 4 * quarters;
}

bool
outside_is_crowded(const struct queue *q)
{
	const struct scheduler *s = q->scheduler;

	return is_fuller(table_count(s->hops), s->hops_max, 3) ||
	       is_fuller(table_count(s->transports), s->transports_max, 3);
}

int64_t
outside_far(int64_t now)
{
	return now + 4 * LOOK_S * US_PER_SECOND;
}

/* ---- one step ---- */

static bool
take_hop(uint32_t number, struct span hop, int64_t earliest, void *context)
{
	struct look_task *l = context;
	struct found_hop found = {.due = earliest, .number = number, .len = (uint32_t)hop.len};

	if (l->seen == STEP_SEEN || l->found == STEP_FOUND) {
		l->from = number;
		l->more = true;
		return false;
	}
	l->seen++;
	if (earliest > l->until) {
		l->later = true;
		return true;
	}
	l->found++;
	buf_append(&l->hops, (const char *)&found, sizeof(found));
	buf_append_span(&l->hops, hop);
	return true;
}

static bool
run_look(struct task *task)
{
	struct look_task *l = (struct look_task *)task;

	l->status = index_each_hop(l->index, l->from, take_hop, l, &l->err);
	return false;
}

static void look(struct queue *q);

/* False: there is no place for one, with which the next look begins. */
static bool
note_found(struct look_task *l)
{
	struct span rest = buf_span(&l->hops);
	struct found_hop found;

	while (rest.len > sizeof(found)) {
		memcpy(&found, rest.ptr, sizeof(found));
		rest = span_from(rest, sizeof(found));
		if (!scheduler_note_hop(l->q, span_sub(rest, 0, found.len), found.due)) {
			l->from = found.number;
			return false;
		}
		rest = span_from(rest, found.len);
	}
	return true;
}

static void
done_look(struct task *task)
{
	struct look_task *l = (struct look_task *)task;
	struct queue *q = l->q;
	struct outside *o = &q->scheduler->outside;
	bool all = note_found(l);

	o->looking = false;
	o->more = o->more || l->later;
	o->look_us = clock_mono_us() + LOOK_S * US_PER_SECOND;
	if (l->status < 0)
		log_warning(&queue_log, "%s", l->err.text);
	if (!all || l->more) {
		o->from = l->from;
		if (all)
			look(q);
	} else if (l->status == 0 && !q->recovery) {
		o->any = o->more;
		o->from = 0;
	}
	buf_free(&l->hops);
	free(l);
}

static void
look(struct queue *q)
{
	struct outside *o = &q->scheduler->outside;
	struct scheduler *s = q->scheduler;
	struct look_task *l = mem_alloc(sizeof(*l));

	if (o->from == 0)
		o->more = false;
	o->looking = true;
	l->q = q;
	l->index = q->index;
	l->from = o->from;
	l->until = is_fuller(table_count(s->hops), s->hops_max, 2) ||
			   is_fuller(table_count(s->transports), s->transports_max, 2)
		       ? spool_clock_now() + 2 * LOOK_S * US_PER_SECOND
		       : INT64_MAX;
	buf_init(&l->hops, STEP_OCTETS);
	l->task.run = run_look;
	l->task.done = done_look;
	worker_put(&q->indexer, &l->task);
}

void
outside_tick(struct queue *q)
{
	struct outside *o = &q->scheduler->outside;

	if (!o->any || o->looking || q->alone || q->recovery || !q->indexer.started ||
	    clock_mono_us() < o->look_us)
		return;
	look(q);
}
