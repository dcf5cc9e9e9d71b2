/*
 * scheduler: which hop is served next.
 *
 * Hops with something ready and a free place in their window stand in rings and are served in turn, one job each: half
 * a million messages for a dead host starve nobody. There is a ring for each class of hops (hop.h), for places are
 * few where each job waits for a time-out. What is due later lies in the index; a heap of hops by their earliest due
 * time (wake.c) says when to fetch, and never more than a share is in memory (tasks.c).
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/scheduler/hop.h"
#include "queue/scheduler/job.h"
#include "queue/spool_clock.h"

enum {
	HOPS_MAX = 500000,
	TRANSPORTS_MAX = 10000,
	JOBS_MAX = 2000,
	JOBS_A_TURN = 200,
	IDLE_HOP_S = 60,
	IDLE_HOPS_A_TICK = 2000,
	WORKER_WAIT_S = 1
};

static const unsigned jobs_max[HOP_CLASSES] = {
    [HOP_PROVEN] = JOBS_MAX,
    [HOP_NEW] = JOBS_MAX / 4 * 3,
    [HOP_DOUBTFUL] = JOBS_MAX / 4,
};

/* ---- what comes ---- */

/* Without room in memory it waits in the index; what came just now has to get there first. */
static void
leave_to_index(struct queue *q, struct message *m, const struct recipient *r)
{
	if (!m->indexed || m->unreflected != 0)
		young_want_index(q, m);
	else
		scheduler_note_due(q, r->p.transport, r->p.nexthop, r->p.due_spool_us, m->id);
}

void
scheduler_add_one(struct queue *q, struct message *m, struct recipient *r, bool flush)
{
	if (q->alone || m->removed || m->e.held || r->p.state != RECIPIENT_QUEUED || r->job || r->resolving)
		return;
	if (r->hop) {
		if (flush)
			hop_flush(q, r->hop);
		return;
	}
	if (r->p.due_spool_us > spool_clock_now())
		scheduler_note_due(q, r->p.transport, r->p.nexthop, r->p.due_spool_us, m->id);
	else if (!notify_told_first(q, m, flush))
		return;
	else if (route_is_old(q, r))
		route_refresh(q, m, r, flush);
	else if (!tasks_add(q, m, r, flush))
		leave_to_index(q, m, r);
}

void
scheduler_add(struct queue *q, struct message *m, bool flush)
{
	for (uint32_t i = 0; i < m->count && !m->removed; i++)
		scheduler_add_one(q, m, m->recipients[i], flush);
}

bool
scheduler_note_due(struct queue *q, struct span transport, struct span nexthop, int64_t due, uint64_t id)
{
	struct hop *hop = hop_get(q, transport, nexthop);
	struct row_place row = {due, id};

	if (!hop)
		return false;
	if (!row_is_behind(row, hop->after))
		hop->after = (struct row_place){0};
	if (hop->fetching && row_is_behind(hop->came, row))
		hop->came = row;
	if (due < hop->index_due_us) {
		hop->index_due_us = due;
		hop_touch(q, hop);
	}
	return true;
}

bool
scheduler_note_hop(struct queue *q, struct span key, int64_t due)
{
	ptrdiff_t colon = span_find(key, ':');

	return colon <= 0 || key.len > 600 ||
	       scheduler_note_due(
		   q, span_sub(key, 0, (size_t)colon), span_from(key, (size_t)colon + 1), due, 0);
}

/* ---- running ---- */

/*
 * The next hop: those that are known to work first, with a turn for each of the others now and then, so that nobody
 * waits for ever.
 */
static struct hop *
next_hop(struct queue *q)
{
	struct scheduler *s = q->scheduler;
	unsigned first = s->turns++ % 4 == 3 ? s->turns / 4 % HOP_CLASSES : HOP_PROVEN;

	if (q->active_jobs >= JOBS_MAX)
		return NULL;
	for (unsigned i = 0; i < HOP_CLASSES; i++) {
		unsigned class = (first + i) % HOP_CLASSES;
		struct hop *hop = TAILQ_FIRST(&s->rings[class]);

		if (hop && s->jobs[class] < jobs_max[class])
			return hop;
	}
	return NULL;
}

static void
serve(struct queue *q, struct hop *hop)
{
	bool done = true;

	hop_leave_place(q, hop);
	if (hop_is_deferred(hop)) {
		hop_defer(q, hop);
		hop_touch(q, hop);
		transport_go_on(hop->transport);
		return;
	}
	if (!transport_may_start(hop->transport)) {
		hop_touch(q, hop);
		return;
	}
	hop->used_us = clock_mono_us();
	if (hop->transport->kind == HOP_TO_DELIVERY || hop->transport->kind == HOP_TO_LOCAL)
		done = job_start(q, hop);
	else
		job_internal(q, hop);
	if (done)
		transport_started(hop->transport);
	else /* No worker: a second is long for a restart, and short for mail. */
		hop->pause_us = spool_clock_now() + WORKER_WAIT_S * US_PER_SECOND;
	hop_touch(q, hop);
	transport_go_on(hop->transport);
}

/*
 * A turn is bounded: others want the loop, too, and what is said to workers goes out at its end. What is made active within
 * a callback runs in the same turn; a timer that is over runs in the next.
 */
static void
on_run(evutil_socket_t fd, short what, void *context)
{
	static const struct timeval next_turn = {0};
	struct queue *q = context;
	struct scheduler *s = q->scheduler;
	struct hop *hop;
	bool more;

	(void)fd;
	(void)what;
	s->run_armed = space_can_record(q); /* meanwhile, whatever is touched here */
	if (!s->run_armed)
		return; /* every second it is looked at again */
	for (unsigned i = 0; i < JOBS_A_TURN && (hop = next_hop(q)); i++)
		serve(q, hop);
	more = hops_suspend_some(q);
	s->run_armed = more || next_hop(q);
	if (s->run_armed)
		event_add(s->run_event, &next_turn);
}

static void
on_wake(evutil_socket_t fd, short what, void *context)
{
	struct queue *q = context;

	(void)fd;
	(void)what;
	if (!q->alone)
		wake_due(q);
}

static bool
has_work(const struct scheduler *s)
{
	for (unsigned i = 0; i < HOP_CLASSES; i++)
		if (!TAILQ_EMPTY(&s->rings[i]))
			return true;
	return !TAILQ_EMPTY(&s->suspending);
}

void
scheduler_run_soon(struct queue *q)
{
	struct scheduler *s = q->scheduler;

	if (s->run_armed || !s->run_event || !has_work(s))
		return;
	s->run_armed = true;
	event_active(s->run_event, EV_TIMEOUT, 0);
}

int64_t
scheduler_backoff_us(const struct queue *q, uint32_t attempt)
{
	int64_t least = q->conf->minimal_backoff_time, most = q->conf->maximal_backoff_time, wait = least;
	static uint64_t count;
	uint64_t seed[2] = {(uint64_t)clock_mono_us(), count++};

	for (uint32_t i = 1; i < attempt && wait < most; i++)
		wait *= 2;
	if (wait > most)
		wait = most < least ? least : most;
	/* An eighth at random keeps what failed together from coming back together. */
	return wait + (int64_t)(hash_bytes(seed, sizeof(seed)) % (uint64_t)(wait / 8 + 1));
}

/* ---- from outside ---- */

void
scheduler_flush(struct queue *q)
{
	size_t position = 0;
	struct span key;
	struct hop *hop;

	while ((hop = table_next(q->scheduler->hops, &position, &key)))
		hop_flush(q, hop);
}

void
scheduler_ask_for(struct queue *q, const struct recipient *r)
{
	struct hop *hop = hop_get(q, r->p.transport, r->p.nexthop);

	if (hop)
		hop_ask_for(hop, r->p.due_spool_us);
}

void
scheduler_tick(struct queue *q)
{
	int64_t before = clock_mono_us() - IDLE_HOP_S * US_PER_SECOND, now = spool_clock_now();
	/* What is to be done later can be found in the index: where places are few others have more use for them. */
	int64_t beyond = outside_is_crowded(q) ? outside_far(now) : INT64_MAX - 1;
	struct hop *idle[IDLE_HOPS_A_TICK], *hop;
	size_t position = 0, count = 0;
	struct span key;

	while (count < IDLE_HOPS_A_TICK && (hop = table_next(q->scheduler->hops, &position, &key)))
		if (hop->used_us < before && hop->ready == 0 && hop->active == 0 && !hop->fetching &&
		    hop->index_due_us > beyond && hop->pause_us <= now && hop->probe_us <= now)
			idle[count++] = hop;
	while (count > 0) {
		if (idle[--count]->index_due_us != INT64_MAX)
			outside_note(q);
		hop_free(q, idle[count]);
	}
	outside_tick(q);
	jobs_look(q);
}

void
scheduler_worker_up(struct queue *q)
{
	int64_t soon = spool_clock_now() + WORKER_WAIT_S * US_PER_SECOND;
	size_t position = 0;
	struct span key;
	struct hop *hop;

	while ((hop = table_next(q->scheduler->hops, &position, &key)))
		if (hop->ready > 0 && hop->pause_us != 0 && hop->pause_us <= soon &&
		    hop->transport->destination_delay_us == 0) {
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

	transports_configured(q);
	while ((hop = table_next(q->scheduler->hops, &position, &key))) {
		window_limit(&hop->window, &hop->transport->rules);
		hop_touch(q, hop);
	}
}

int
scheduler_init(struct queue *q, struct error *err)
{
	struct scheduler *s = q->scheduler = mem_alloc(sizeof(*s));

	for (unsigned i = 0; i < HOP_CLASSES; i++)
		TAILQ_INIT(&s->rings[i]);
	TAILQ_INIT(&s->hungry);
	TAILQ_INIT(&s->under_way);
	TAILQ_INIT(&s->suspending);
	s->kept.since_us = clock_mono_us();
	s->transports_max = TRANSPORTS_MAX;
	s->hops_max = HOPS_MAX;
	s->transports = table_new(TRANSPORTS_MAX, transport_free);
	s->hops = table_new(HOPS_MAX, NULL);
	s->wake_event = event_new(q->base, -1, 0, on_wake, q);
	s->run_event = event_new(q->base, -1, 0, on_run, q);
	if (!s->transports || !s->hops || !s->wake_event || !s->run_event)
		return error_set(err, "out of memory");
	return 0;
}

void
scheduler_fini(struct queue *q)
{
	struct scheduler *s = q->scheduler;
	size_t position;
	struct span key;
	struct hop *hop;

	while ((position = 0, hop = table_next(s->hops, &position, &key))) {
		tasks_drop_all(q, hop);
		hop_free(q, hop);
	}
	routes_free(q);
	table_free(&s->hops);
	table_free(&s->transports);
	free(s->heap);
	free(s->kept.attempts);
	event_free(s->wake_event);
	event_free(s->run_event);
	free(s);
	q->scheduler = NULL;
}
