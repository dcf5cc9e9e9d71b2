/*
 * hop: next hops, and what jobs teach about a destination.
 *
 * The window (window.h) says how many jobs it may have. Where failures made it go down, what comes due is deferred as
 * if it had been tried, so that it ages, can expire and is told of, and one job after each minimal_backoff_time asks
 * whether the destination is back. When it is, the window begins small again, and what was deferred comes due spread
 * by its own back-off.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/index/keys.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

enum { KEY_MAX = 600, SUSPEND_SLICE = 200, REASON_MAX = 300 };

struct hop *
hop_find(struct queue *q, struct span key)
{
	return table_get(q->scheduler->hops, key);
}

static struct hop *
hop_new(struct queue *q, struct span key, struct span transport, struct span nexthop)
{
	struct scheduler *s = q->scheduler;
	struct transport *t = table_count(s->hops) < s->hops_max ? transport_get(q, transport) : NULL;
	struct hop *hop;

	if (!t) {
		outside_note(q);
		return NULL;
	}
	hop = mem_alloc(sizeof(*hop));
	hop->key = mem_strndup(key.ptr, key.len);
	hop->nexthop = mem_strndup(nexthop.ptr, nexthop.len);
	hop->transport = t;
	t->hops++;
	TAILQ_INIT(&hop->tasks);
	window_init(&hop->window, &hop->transport->rules);
	hop->hash = (uint32_t)hash_bytes(key.ptr, key.len);
	hop->index_due_us = hop->wake_us = INT64_MAX;
	hop->used_us = clock_mono_us();
	table_put(s->hops, key, hop);
	return hop;
}

struct hop *
hop_known(struct queue *q, struct span transport, struct span nexthop)
{
	char key[KEY_MAX];
	struct buf b = {.mem = key, .cap = sizeof(key), .max = sizeof(key)};

	hop_key(&b, transport, nexthop);
	return hop_find(q, buf_span(&b));
}

struct hop *
hop_get(struct queue *q, struct span transport, struct span nexthop)
{
	char key[KEY_MAX];
	struct hop *hop;
	struct buf b = {.mem = key, .cap = sizeof(key), .max = sizeof(key)};

	/* 64 + 1 + 500 octets at most: the records' bounds. */
	hop_key(&b, transport, nexthop);
	hop = hop_find(q, buf_span(&b));
	return hop ? hop : hop_new(q, buf_span(&b), transport, nexthop);
}

void
hop_free(struct queue *q, struct hop *hop)
{
	hop_forget_wake(q, hop);
	hop_leave_place(q, hop);
	if (hop->hungry)
		TAILQ_REMOVE(&q->scheduler->hungry, hop, hungry_link);
	if (hop->suspending)
		TAILQ_REMOVE(&q->scheduler->suspending, hop, hungry_link);
	hop->transport->hops--;
	table_take(q->scheduler->hops, span_of(hop->key));
	free(hop->key);
	free(hop->nexthop);
	free(hop->reason);
	free(hop);
}

/* ---- its place ---- */

bool
hop_is_resting(const struct hop *hop)
{
	return hop->down_since_us != 0 && hop->active == 0 && spool_clock_now() < hop->probe_us;
}

static bool
can_run(const struct hop *hop)
{
	if (hop->ready == 0 || hop->pause_us != 0 || hop->suspending)
		return false;
	if (hop->down_since_us != 0)
		return hop->active == 0 && spool_clock_now() >= hop->probe_us;
	return hop->active - hop->slow < hop->window.size;
}

enum hop_class
hop_class_of(const struct hop *hop)
{
	const struct hop_task *t = TAILQ_FIRST(&hop->tasks);

	if (hop->proven)
		return HOP_PROVEN;
	return hop->window.cohorts > 0 || hop->window.down || (t && t->first->p.attempt > 0) ? HOP_DOUBTFUL
											     : HOP_NEW;
}

void
hop_leave_place(struct queue *q, struct hop *hop)
{
	if (hop->place == HOP_IN_RING)
		TAILQ_REMOVE(&q->scheduler->rings[hop->ring], hop, link);
	else if (hop->place == HOP_BEHIND_TRANSPORT)
		TAILQ_REMOVE(&hop->transport->waiting, hop, link);
	hop->place = HOP_RESTS;
}

static void
enter_place(struct queue *q, struct hop *hop)
{
	if (!transport_may_start(hop->transport)) {
		hop->place = HOP_BEHIND_TRANSPORT;
		TAILQ_INSERT_TAIL(&hop->transport->waiting, hop, link);
		return;
	}
	hop->place = HOP_IN_RING;
	hop->ring = hop_class_of(hop);
	TAILQ_INSERT_TAIL(&q->scheduler->rings[hop->ring], hop, link);
	scheduler_run_soon(q);
}

/* One that has to wait until others leave memory. */
static void
watch_room(struct queue *q, struct hop *hop)
{
	bool hungry = !hop->fetching && hop->index_due_us != INT64_MAX && hop->ready < TASKS_FETCHED_MAX &&
		      !tasks_have_room(q, hop);

	if (hop->suspending || hungry == hop->hungry)
		return;
	hop->hungry = hungry;
	if (hungry)
		TAILQ_INSERT_TAIL(&q->scheduler->hungry, hop, hungry_link);
	else
		TAILQ_REMOVE(&q->scheduler->hungry, hop, hungry_link);
}

static void
begin_suspending(struct queue *q, struct hop *hop)
{
	if (hop->suspending)
		return;
	if (hop->hungry)
		TAILQ_REMOVE(&q->scheduler->hungry, hop, hungry_link);
	hop->hungry = false;
	hop->suspending = true;
	TAILQ_INSERT_TAIL(&q->scheduler->suspending, hop, hungry_link);
	scheduler_run_soon(q);
}

void
hop_touch(struct queue *q, struct hop *hop)
{
	if (hop->ready > 0 && hop_is_resting(hop))
		begin_suspending(q, hop);
	if (hop->place == HOP_BEHIND_TRANSPORT && (!can_run(hop) || transport_may_start(hop->transport)))
		hop_leave_place(q, hop);
	else if (hop->place == HOP_IN_RING && !can_run(hop)) {
		hop_leave_place(q, hop);
		transport_go_on(hop->transport);
	}
	if (hop->place == HOP_RESTS && can_run(hop))
		enter_place(q, hop);
	watch_room(q, hop);
	hop_set_wake(q, hop);
}

/* ---- what waits for one that is down ---- */

/* Postfix's words; the code is that of the failure where there is one. */
static void
suspend_some(struct queue *q, struct hop *hop)
{
	char text[REASON_MAX + 100];
	struct outcome o = {
	    .class = OUTCOME_DEFERRED, .status = SPAN_LIT("4.4.1"), .relay = SPAN_LIT("none")};

	snprintf(text, sizeof(text), "delivery temporarily suspended: %s", hop->reason ? hop->reason : "");
	o.text = span_of(text);
	for (uint32_t done = 0, count = 1; done < SUSPEND_SLICE && count > 0; done += count)
		count = hop_finish(q, hop, SUSPEND_SLICE, &o);
}

bool
hops_suspend_some(struct queue *q)
{
	struct scheduler *s = q->scheduler;
	struct hop *hop = TAILQ_FIRST(&s->suspending);

	if (!hop)
		return false;
	TAILQ_REMOVE(&s->suspending, hop, hungry_link);
	hop->suspending = false;
	if (hop_is_resting(hop))
		suspend_some(q, hop);
	hop_touch(q, hop); /* at the end of the list if there is more */
	return !TAILQ_EMPTY(&s->suspending);
}

/* ---- defer_transports ---- */

void
hop_ask_for(struct hop *hop, int64_t due_spool_us)
{
	if (due_spool_us > hop->asked_us)
		hop->asked_us = due_spool_us;
	hop->used_us = clock_mono_us(); /* what is on its way through the index finds it */
}

/* Fresh mail was asked for by nobody: it is due at 0. */
bool
hop_was_asked_for(const struct hop *hop, const struct recipient *r)
{
	return r->p.due_spool_us != 0 && r->p.due_spool_us <= hop->asked_us;
}

bool
hop_is_deferred(const struct hop *hop)
{
	const struct hop_task *t = TAILQ_FIRST(&hop->tasks);

	return hop->transport->deferred && t && !hop_was_asked_for(hop, t->first);
}

/* Postfix's words. */
void
hop_defer(struct queue *q, struct hop *hop)
{
	const struct outcome o = {.class = OUTCOME_DEFERRED,
	    .status = SPAN_LIT("4.3.2"),
	    .relay = SPAN_LIT("none"),
	    .text = SPAN_LIT("deferred transport")};

	hop_finish(q, hop, UINT32_MAX, &o);
}

/* ---- what jobs teach ---- */

static void
rest(struct queue *q, struct hop *hop)
{
	int64_t now = spool_clock_now();

	if (hop->down_since_us == 0)
		hop->down_since_us = now;
	/* With the jitter of back-off: what went down together is not asked together. */
	hop->probe_us = now + scheduler_backoff_us(q, 1);
	if (hop->ready > 0)
		begin_suspending(q, hop);
}

static void
back(struct hop *hop)
{
	hop->down_since_us = hop->probe_us = 0;
	hop->window.down = false;
}

static void
keep_reason(struct hop *hop, const char *text)
{
	free(hop->reason);
	hop->reason = mem_strndup(text, span_sub(span_of(text), 0, REASON_MAX).len);
}

void
hop_feedback(struct queue *q, struct hop *hop, enum hop_state state, const char *text)
{
	const struct window_rules *rules = &hop->transport->rules;

	if (hop->transport->destination_delay_us > 0)
		hop->pause_us = spool_clock_now() + hop->transport->destination_delay_us;
	switch (state) {
	case HOP_UP:
		hop->proven = true;
		if (window_success(&hop->window, rules, hop->active > 0 ? hop->active - 1 : 0))
			back(hop);
		break;
	case HOP_BUSY:
		/* It answers, and wants less: narrower, but never down for that. */
		if (!hop->window.down) {
			struct window_rules mild = *rules;

			mild.cohorts = 0;
			window_failure(&hop->window, &mild);
			hop->window.cohorts = 0;
		}
		break;
	case HOP_DOWN:
		hop->proven = false;
		keep_reason(hop, text);
		if (window_failure(&hop->window, rules) || hop->window.down)
			rest(q, hop);
		break;
	default:
		break;
	}
}

void
hop_flush(struct queue *q, struct hop *hop)
{
	hop->probe_us = 0;
	if (hop->transport->destination_delay_us == 0)
		hop->pause_us = 0;
	hop_touch(q, hop);
}
