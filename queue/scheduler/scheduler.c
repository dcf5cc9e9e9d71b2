/*
 * scheduler: which hop is served next, and when one wakes.
 *
 * Hops with something ready and a free place in their window stand in one ring and are served in turn, one job each:
 * half a million messages for a dead host starve nobody. Within a hop messages take turns too: a list's ten
 * thousand recipients go in jobs between which others' mail passes. What is due later lies in the index; a heap
 * of hops by their earliest due time says when to fetch, and never more than a share is in memory.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/index/keys.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

enum { HOPS_MAX = 2000000, READY_MAX = 500, JOBS_MAX = 2000, IDLE_HOP_S = 60 };

/* ---- the heap ---- */

static void
heap_place(struct queue *q, size_t at, struct hop *hop)
{
	q->heap[at] = hop;
	hop->heap_at = at;
}

static void
heap_move(struct queue *q, size_t at, struct hop *hop)
{
	while (at > 1 && q->heap[at / 2]->wake_us > hop->wake_us) {
		heap_place(q, at, q->heap[at / 2]);
		at /= 2;
	}
	for (size_t child; (child = at * 2) <= q->heap_count; at = child) {
		if (child < q->heap_count && q->heap[child + 1]->wake_us < q->heap[child]->wake_us)
			child++;
		if (q->heap[child]->wake_us >= hop->wake_us)
			break;
		heap_place(q, at, q->heap[child]);
	}
	heap_place(q, at, hop);
}

static void
heap_remove(struct queue *q, struct hop *hop)
{
	struct hop *last = q->heap[q->heap_count--];
	size_t at = hop->heap_at;

	hop->heap_at = 0;
	if (last != hop)
		heap_move(q, at, last);
}

static void
arm(struct queue *q)
{
	int64_t wait;
	struct timeval tv;

	if (!q->wake_event)
		return;
	if (q->heap_count == 0) {
		event_del(q->wake_event);
		return;
	}
	wait = q->heap[1]->wake_us - spool_clock_now();
	if (wait < 0)
		wait = 0;
	tv.tv_sec = wait / US_PER_SECOND;
	tv.tv_usec = wait % US_PER_SECOND;
	event_add(q->wake_event, &tv);
}

void
hop_set_wake(struct queue *q, struct hop *hop)
{
	int64_t wake = hop->fetching ? INT64_MAX : hop->index_due_us;
	bool first;

	if (wake < hop->pause_us)
		wake = hop->pause_us;
	if (hop->pause_us > 0 && hop->ready > 0)
		wake = hop->pause_us;
	/* A full hop fetches when it has room again. */
	if (hop->pause_us == 0 && hop->ready >= READY_MAX)
		wake = INT64_MAX;
	if (wake == hop->wake_us && (hop->heap_at != 0 || wake == INT64_MAX))
		return;
	first = hop->heap_at == 1;
	hop->wake_us = wake;
	if (hop->heap_at != 0)
		heap_remove(q, hop);
	if (wake != INT64_MAX) {
		if (q->heap_count + 2 > q->heap_cap) {
			q->heap_cap = q->heap_cap ? q->heap_cap * 2 : 64;
			q->heap = mem_resize(q->heap, q->heap_cap * sizeof(struct hop *));
		}
		heap_move(q, ++q->heap_count, hop);
	}
	if (first || hop->heap_at == 1)
		arm(q);
}

/* ---- hops ---- */

static enum hop_kind
kind_of(struct span transport)
{
	static const struct {
		const char *name;
		enum hop_kind kind;
	} kinds[] = {
	    {"local", HOP_TO_LOCAL},
	    {"virtual", HOP_TO_LOCAL},
	    {"pipe", HOP_TO_LOCAL},
	    {"error", HOP_TO_ERROR},
	    {"retry", HOP_TO_RETRY},
	    {"discard", HOP_TO_DISCARD},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (span_is(transport, kinds[i].name))
			return kinds[i].kind;
	return HOP_TO_DELIVERY;
}

struct hop *
hop_find(struct queue *q, struct span key)
{
	return table_get(q->hops, key);
}

static struct hop *
hop_new(struct queue *q, struct span key, struct span transport, struct span nexthop)
{
	struct hop *hop = mem_alloc(sizeof(*hop));

	hop->key = mem_strndup(key.ptr, key.len);
	hop->transport = mem_strndup(transport.ptr, transport.len);
	hop->nexthop = mem_strndup(nexthop.ptr, nexthop.len);
	hop->kind = kind_of(transport);
	TAILQ_INIT(&hop->tasks);
	hop_set_limits(q, hop);
	hop->window = hop->window_start;
	hop->hash = (uint32_t)hash_bytes(key.ptr, key.len);
	hop->index_due_us = hop->wake_us = INT64_MAX;
	hop->used_us = clock_mono_us();
	if (table_put(q->hops, key, hop) < 0)
		panic("more than %d next hops", HOPS_MAX);
	return hop;
}

struct hop *
hop_get(struct queue *q, struct span transport, struct span nexthop)
{
	char key[600];
	struct hop *hop;
	struct buf b = {.mem = key, .cap = sizeof(key), .max = sizeof(key)};

	/* 64 + 1 + 500 octets at most: the records' bounds. */
	hop_key(&b, transport, nexthop);
	hop = table_get(q->hops, buf_span(&b));
	return hop ? hop : hop_new(q, buf_span(&b), transport, nexthop);
}

static void
hop_free(struct queue *q, struct hop *hop)
{
	if (hop->heap_at != 0)
		heap_remove(q, hop);
	if (hop->runnable)
		TAILQ_REMOVE(&q->runnable, hop, link);
	table_take(q->hops, span_of(hop->key));
	free(hop->key);
	free(hop->transport);
	free(hop->nexthop);
	free(hop);
}

static bool
can_run(const struct hop *hop)
{
	return hop->ready > 0 && hop->pause_us == 0 && (hop->active < hop->window || hop->active == 0);
}

void
hop_touch(struct queue *q, struct hop *hop)
{
	bool run = can_run(hop);

	if (run && !hop->runnable) {
		hop->runnable = true;
		TAILQ_INSERT_TAIL(&q->runnable, hop, link);
		scheduler_run_soon(q);
	} else if (!run && hop->runnable) {
		hop->runnable = false;
		TAILQ_REMOVE(&q->runnable, hop, link);
	}
	hop_set_wake(q, hop);
}

/* ---- what waits ---- */

static void
task_free(struct hop *hop, struct hop_task *t)
{
	TAILQ_REMOVE(&hop->tasks, t, link);
	hop->ready--;
	t->message->tasks--;
	free(t);
}

struct recipient *
hop_take(struct queue *q, struct hop *hop, uint32_t max, struct message **m, uint32_t *count, bool *flush)
{
	struct hop_task *t = TAILQ_FIRST(&hop->tasks);
	struct recipient *first, *last;

	(void)q;
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
		task_free(hop, t);
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

static void
enqueue(struct queue *q, struct message *m, struct recipient *r, bool flush)
{
	struct hop *hop = hop_get(q, r->p.transport, r->p.nexthop);
	struct hop_task *t = TAILQ_LAST(&hop->tasks, hop_task_list);

	/* One that was asked for by an operator passes what waits for a later probe. */
	if (flush)
		hop->pause_us = 0;
	if (!goes_with(t, m, r)) {
		t = mem_alloc(sizeof(*t));
		t->hop = hop;
		t->message = m;
		TAILQ_INSERT_TAIL(&hop->tasks, t, link);
		hop->ready++;
		m->tasks++;
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
	hop_touch(q, hop);
}

void
scheduler_add(struct queue *q, struct message *m, bool flush)
{
	int64_t now = spool_clock_now();

	if (m->removed || m->e.held)
		return;
	for (uint32_t i = 0; i < m->count && !m->removed; i++) {
		struct recipient *r = m->recipients[i];

		if (r->p.state != RECIPIENT_QUEUED || r->hop || r->job || r->resolving)
			continue;
		if (r->p.due_spool_us > now)
			scheduler_note_due(q, r->p.transport, r->p.nexthop, r->p.due_spool_us);
		else if (r->p.generation < q->route_generation)
			route_refresh(q, m, r);
		else
			enqueue(q, m, r, flush);
	}
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
			task_free(hop, t);
		}
		hop_touch(q, hop);
	}
}

/* ---- what the index has ---- */

void
scheduler_note_due(struct queue *q, struct span transport, struct span nexthop, int64_t due)
{
	struct hop *hop = hop_get(q, transport, nexthop);

	if (due >= hop->index_due_us)
		return;
	hop->index_due_us = due;
	hop_set_wake(q, hop);
}

void
scheduler_note_hop(struct queue *q, struct span key, int64_t due)
{
	ptrdiff_t colon = span_find(key, ':');

	if (colon > 0 && key.len <= 600)
		scheduler_note_due(
		    q, span_sub(key, 0, (size_t)colon), span_from(key, (size_t)colon + 1), due);
}

static void
on_wake(evutil_socket_t fd, short what, void *context)
{
	struct queue *q = context;
	int64_t now = spool_clock_now();

	(void)fd;
	(void)what;
	while (q->heap_count > 0 && q->heap[1]->wake_us <= now) {
		struct hop *hop = q->heap[1];

		if (hop->pause_us != 0 && hop->pause_us <= now)
			hop->pause_us = 0;
		if (!hop->fetching && hop->index_due_us <= now && hop->ready < READY_MAX &&
		    hop->pause_us == 0)
			hop_fetch(q, hop);
		hop->wake_us = 0; /* so that it is placed anew */
		hop_touch(q, hop);
		if (hop->heap_at == 1 && hop->wake_us <= now)
			break;
	}
	arm(q);
}

/* ---- running ---- */

static void
on_run(evutil_socket_t fd, short what, void *context)
{
	struct queue *q = context;
	struct hop *hop;

	(void)fd;
	(void)what;
	q->run_armed = false;
	while (q->active_jobs < JOBS_MAX && (hop = TAILQ_FIRST(&q->runnable))) {
		bool done;

		TAILQ_REMOVE(&q->runnable, hop, link);
		hop->runnable = false;
		hop->used_us = clock_mono_us();
		done = true;
		if (hop->kind == HOP_TO_DELIVERY || hop->kind == HOP_TO_LOCAL)
			done = job_start(q, hop);
		else
			job_internal(q, hop);
		/* No worker: a second is long for a restart, and short for mail. */
		if (!done)
			hop->pause_us = spool_clock_now() + US_PER_SECOND;
		hop_touch(q, hop);
	}
}

void
scheduler_run_soon(struct queue *q)
{
	if (q->run_armed || !q->run_event || TAILQ_EMPTY(&q->runnable))
		return;
	q->run_armed = true;
	event_active(q->run_event, EV_TIMEOUT, 0);
}

int64_t
scheduler_backoff_us(const struct queue *q, uint32_t attempt)
{
	int64_t least = q->conf->minimal_backoff_time, most = q->conf->maximal_backoff_time, wait = least;
	uint64_t jitter;

	for (uint32_t i = 1; i < attempt && wait < most; i++)
		wait *= 2;
	if (wait > most)
		wait = most < least ? least : most;
	/* An eighth at random keeps what failed together from coming back together. */
	jitter = hash_bytes(&(int64_t){clock_mono_us()}, sizeof(int64_t));
	return wait + (int64_t)(jitter % (uint64_t)(wait / 8 + 1));
}

void
scheduler_tick(struct queue *q)
{
	int64_t before = clock_mono_us() - IDLE_HOP_S * US_PER_SECOND, now = spool_clock_now();
	struct hop *idle[64], *hop;
	size_t position = 0, count = 0;
	struct span key;

	while (count < 64 && (hop = table_next(q->hops, &position, &key)))
		if (hop->used_us < before && hop->ready == 0 && hop->active == 0 && !hop->fetching &&
		    hop->index_due_us == INT64_MAX && hop->pause_us <= now)
			idle[count++] = hop;
	while (count > 0)
		hop_free(q, idle[--count]);
}

void
scheduler_worker_up(struct queue *q)
{
	size_t position = 0;
	struct span key;
	struct hop *hop;

	while ((hop = table_next(q->hops, &position, &key)))
		if (hop->ready > 0 && hop->pause_us != 0 &&
		    hop->pause_us <= spool_clock_now() + US_PER_SECOND) {
			hop->pause_us = 0;
			hop_touch(q, hop);
		}
}

void
scheduler_configured(struct queue *q)
{
	size_t position = 0;
	struct span key;
	struct hop *hop;

	while ((hop = table_next(q->hops, &position, &key))) {
		hop_set_limits(q, hop);
		hop_touch(q, hop);
	}
}

void
scheduler_flush(struct queue *q, struct span domain)
{
	size_t position = 0;
	struct span key;
	struct hop *hop;

	(void)domain;
	while ((hop = table_next(q->hops, &position, &key))) {
		hop->pause_us = 0;
		hop_touch(q, hop);
	}
}

int
scheduler_init(struct queue *q, struct error *err)
{
	TAILQ_INIT(&q->runnable);
	q->hops = table_new(HOPS_MAX, NULL);
	q->wake_event = event_new(q->base, -1, 0, on_wake, q);
	q->run_event = event_new(q->base, -1, 0, on_run, q);
	if (!q->hops || !q->wake_event || !q->run_event)
		return error_set(err, "out of memory");
	return 0;
}

void
scheduler_fini(struct queue *q)
{
	size_t position;
	struct span key;
	struct hop *hop;

	while ((position = 0, hop = table_next(q->hops, &position, &key))) {
		while (hop->ready > 0)
			task_free(hop, TAILQ_FIRST(&hop->tasks));
		hop_free(q, hop);
	}
	table_free(&q->hops);
	free(q->heap);
	event_free(q->wake_event);
	event_free(q->run_event);
}
