/*
 * tasks: what waits in memory for a hop, and no more than a share of all.
 *
 * Within a hop messages take turns: a list's ten thousand recipients go in jobs between which others' mail passes. What
 * finds no room waits in the index, from which the hop fetches when it has some. qmgr_message_active_limit bounds all
 * hops together; a hop that has nothing in memory may exceed it by little, so that it never waits for the others.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "queue/scheduler/hop.h"

/* Messages with more recipients count for more. */
enum { RECIPIENTS_PER_WEIGHT = 100 };

static bool
has_room(const struct queue *q, const struct hop *hop, unsigned most)
{
	uint64_t limit = (uint64_t)q->conf->qmgr_message_active_limit;

	if (hop->ready >= most)
		return false;
	return q->scheduler->waiting < limit || (hop->ready == 0 && q->scheduler->waiting < 2 * limit);
}

bool
tasks_have_room(const struct queue *q, const struct hop *hop)
{
	return has_room(q, hop, TASKS_FETCHED_MAX);
}

static void
task_free(struct queue *q, struct hop_task *t)
{
	struct hop *hop = t->hop, *hungry;

	TAILQ_REMOVE(&hop->tasks, t, link);
	hop->ready--;
	q->scheduler->waiting -= t->weight;
	t->message->tasks--;
	free(t);
	hungry = TAILQ_FIRST(&q->scheduler->hungry);
	if (hungry && hungry != hop && tasks_have_room(q, hungry))
		hop_touch(q, hungry);
}

struct recipient *
hop_take(struct queue *q, struct hop *hop, uint32_t max, struct message **m, uint32_t *count, bool *flush)
{
	struct hop_task *t = TAILQ_FIRST(&hop->tasks);
	struct recipient *first, *last;

	*count = 0;
	if (!t)
		return NULL;
	*m = t->message;
	*flush = t->flush;
	first = last = t->first;
	for (*count = 1; *count < max && last->next; (*count)++)
		last = last->next;
	t->first = last->next;
	t->count -= *count;
	last->next = NULL;
	if (!t->first) {
		task_free(q, t);
	} else {
		TAILQ_REMOVE(&hop->tasks, t, link);
		TAILQ_INSERT_TAIL(&hop->tasks, t, link);
	}
	return first;
}

/* A job has one sender, and one way behind it. */
static bool
goes_with(const struct hop_task *t, const struct message *m, const struct recipient *r)
{
	return t && t->message == m && span_equal(recipient_sender(m, t->first), recipient_sender(m, r)) &&
	       span_equal(t->first->p.delivered_to, r->p.delivered_to);
}

static struct hop_task *
task_new(struct queue *q, struct hop *hop, struct message *m)
{
	struct hop_task *t = mem_alloc(sizeof(*t));

	t->hop = hop;
	t->message = m;
	t->weight = 1 + m->count / RECIPIENTS_PER_WEIGHT;
	TAILQ_INSERT_TAIL(&hop->tasks, t, link);
	hop->ready++;
	q->scheduler->waiting += t->weight;
	m->tasks++;
	return t;
}

bool
tasks_add(struct queue *q, struct message *m, struct recipient *r, bool flush)
{
	struct hop *hop = hop_get(q, r->p.transport, r->p.nexthop);
	struct hop_task *t = hop ? TAILQ_LAST(&hop->tasks, hop_task_list) : NULL;

	if (!hop)
		return false;
	if (!goes_with(t, m, r)) {
		if (!has_room(q, hop, m->fresh || flush ? TASKS_FRESH_MAX : 2 * TASKS_FETCHED_MAX)) {
			hop_touch(q, hop);
			return false;
		}
		t = task_new(q, hop, m);
	}
	t->flush = t->flush || flush;
	r->next = NULL;
	if (t->first)
		t->last->next = r;
	else
		t->first = r;
	t->last = r;
	t->count++;
	r->hop = hop;
	if (flush)
		hop_flush(q, hop);
	else
		hop_touch(q, hop);
	return true;
}

void
tasks_drop_all(struct queue *q, struct hop *hop)
{
	while (hop->ready > 0)
		task_free(q, TAILQ_FIRST(&hop->tasks));
}

void
scheduler_take_out(struct queue *q, struct message *m)
{
	if (m->tasks == 0)
		return;
	for (uint32_t i = 0; i < m->count; i++) {
		struct hop *hop = m->recipients[i]->job ? NULL : m->recipients[i]->hop;
		struct hop_task *t, *next;

		m->recipients[i]->hop = m->recipients[i]->job ? m->recipients[i]->hop : NULL;
		if (!hop)
			continue;
		for (t = TAILQ_FIRST(&hop->tasks); t; t = next) {
			next = TAILQ_NEXT(t, link);
			if (t->message != m)
				continue;
			for (struct recipient *r = t->first; r; r = r->next)
				r->hop = NULL;
			task_free(q, t);
		}
		hop_touch(q, hop);
	}
}
