/*
 * wake: a heap of hops by the time at which something is to be done about them, and one timer.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

static void
heap_place(struct scheduler *s, size_t at, struct hop *hop)
{
	s->heap[at] = hop;
	hop->heap_at = at;
}

static void
heap_move(struct scheduler *s, size_t at, struct hop *hop)
{
	while (at > 1 && s->heap[at / 2]->wake_us > hop->wake_us) {
		heap_place(s, at, s->heap[at / 2]);
		at /= 2;
	}
	for (size_t child; (child = at * 2) <= s->heap_count; at = child) {
		if (child < s->heap_count && s->heap[child + 1]->wake_us < s->heap[child]->wake_us)
			child++;
		if (s->heap[child]->wake_us >= hop->wake_us)
			break;
		heap_place(s, at, s->heap[child]);
	}
	heap_place(s, at, hop);
}

static void
heap_remove(struct scheduler *s, struct hop *hop)
{
	struct hop *last = s->heap[s->heap_count--];
	size_t at = hop->heap_at;

	hop->heap_at = 0;
	if (last != hop)
		heap_move(s, at, last);
}

void
wake_arm(struct queue *q)
{
	struct scheduler *s = q->scheduler;
	int64_t wait;
	struct timeval tv;

	if (!s->wake_event)
		return;
	if (s->heap_count == 0) {
		event_del(s->wake_event);
		return;
	}
	wait = s->heap[1]->wake_us - spool_clock_now();
	if (wait < 0)
		wait = 0;
	tv.tv_sec = wait / US_PER_SECOND;
	tv.tv_usec = wait % US_PER_SECOND;
	event_add(s->wake_event, &tv);
}

/* The index is behind with what memory knows: to fetch more would only fill memory. */
enum { UNSTORED_MAX = 4000, UNSTORED_WAIT_US = 100000 };

static int64_t
fetch_time(const struct queue *q, const struct hop *hop)
{
	if (hop->fetching || hop->hungry || !tasks_have_room(q, hop))
		return INT64_MAX;
	return hop->index_due_us > hop->fetch_us ? hop->index_due_us : hop->fetch_us;
}

/* What comes next for it: the end of a pause, the next question whether it is back, or mail that comes due. */
static int64_t
wake_of(const struct queue *q, const struct hop *hop)
{
	/* A hop without room in memory fetches when it has room again. */
	int64_t wake = fetch_time(q, hop);

	if (hop->pause_us != 0 && (hop->ready > 0 || wake < hop->pause_us))
		wake = hop->pause_us;
	/* One that waits although the hop is down was asked for by an operator, or waits for a probe's end. */
	if (hop->down_since_us != 0 && hop->ready > 0 && hop->active == 0 && hop->probe_us < wake)
		wake = hop->probe_us > hop->pause_us ? hop->probe_us : hop->pause_us;
	return wake;
}

void
hop_set_wake(struct queue *q, struct hop *hop)
{
	struct scheduler *s = q->scheduler;
	int64_t wake = hop->place == HOP_RESTS ? wake_of(q, hop) : INT64_MAX;
	bool first;

	/* One that runs already may fetch as well. */
	if (hop->place != HOP_RESTS)
		wake = fetch_time(q, hop);
	if (wake == hop->wake_us && (hop->heap_at != 0 || wake == INT64_MAX))
		return;
	first = hop->heap_at == 1;
	hop->wake_us = wake;
	if (hop->heap_at != 0)
		heap_remove(s, hop);
	if (wake != INT64_MAX) {
		if (s->heap_count + 2 > s->heap_cap) {
			s->heap_cap = s->heap_cap ? s->heap_cap * 2 : 64;
			s->heap = mem_resize(s->heap, s->heap_cap * sizeof(struct hop *));
		}
		heap_move(s, ++s->heap_count, hop);
	}
	if (first || hop->heap_at == 1)
		wake_arm(q);
}

void
hop_forget_wake(struct queue *q, struct hop *hop)
{
	if (hop->heap_at != 0)
		heap_remove(q->scheduler, hop);
}

void
wake_due(struct queue *q)
{
	struct scheduler *s = q->scheduler;
	int64_t now = spool_clock_now();

	while (s->heap_count > 0 && s->heap[1]->wake_us <= now) {
		struct hop *hop = s->heap[1];

		if (hop->pause_us != 0 && hop->pause_us <= now)
			hop->pause_us = 0;
		if (hop->pause_us == 0 && fetch_time(q, hop) <= now) {
			if (q->to_index_count > UNSTORED_MAX)
				hop->fetch_us = now + UNSTORED_WAIT_US;
			else
				hop_fetch(q, hop);
		}
		hop->wake_us = 0; /* so that it is placed anew */
		hop_touch(q, hop);
		if (s->heap_count > 0 && s->heap[1] == hop && hop->wake_us <= now)
			break;
	}
	wake_arm(q);
}
