/*
 * young: the border between memory and index.
 *
 * A message enters the index when its first attempt did not finish it, when it is held, or when it has been young for
 * index_delay; mail that leaves at once never does. It leaves memory when the index has all of it and nothing is being
 * done with it.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/scheduler/hop.h"

enum { STORE_MAX = 256, YOUNG_MAX = 50000, ROW_MAX = 32 << 20, STORE_AGAIN_S = 5 };

void
young_reflect(struct queue *q, struct message *m, uint64_t position)
{
	if (m->unreflected != 0)
		return;
	m->unreflected = position;
	m->unreflected_since_us = clock_mono_us();
	TAILQ_INSERT_TAIL(&q->unreflected, m, unreflected_link);
}

uint64_t
young_replay_position(const struct queue *q)
{
	const struct message *m = TAILQ_FIRST(&q->unreflected);
	uint64_t position = m ? m->unreflected : q->durable, floor = recovery_floor(q);

	return position < floor ? position : floor;
}

static int
compare_positions(const void *a, const void *b)
{
	const struct message *const *x = a, *const *y = b;

	return (*x)->unreflected < (*y)->unreflected ? -1 : (*x)->unreflected > (*y)->unreflected;
}

void
young_reorder(struct queue *q)
{
	struct message **all = mem_alloc_array(q->live.count + 1, sizeof(*all));
	size_t count = 0;

	TAILQ_INIT(&q->unreflected);
	for (size_t i = 0; i < q->live.slot_count; i++)
		for (struct message *m = q->live.slots[i]; m; m = m->hash_next) {
			if (m->position == 0)
				continue; /* on its way into the log */
			m->unreflected = m->position;
			if (m->unreflected_since_us == 0)
				m->unreflected_since_us = clock_mono_us();
			all[count++] = m;
		}
	qsort(all, count, sizeof(*all), compare_positions);
	for (size_t i = 0; i < count; i++)
		TAILQ_INSERT_TAIL(&q->unreflected, all[i], unreflected_link);
	free(all);
}

static void
add_id(uint64_t **ids, size_t *count, size_t *cap, uint64_t id)
{
	if (*count == *cap) {
		*cap = *cap ? *cap * 2 : 64;
		*ids = mem_resize(*ids, *cap * sizeof(uint64_t));
	}
	(*ids)[(*count)++] = id;
}

void
young_want_index(struct queue *q, struct message *m)
{
	if (m->envelope_unindexed)
		return;
	m->envelope_unindexed = true;
	add_id(&q->to_index, &q->to_index_count, &q->to_index_cap, m->id);
	if (q->to_index_count >= STORE_MAX)
		young_store(q);
}

static void
drop(struct queue *q, struct message *m)
{
	if (m->unreflected != 0)
		TAILQ_REMOVE(&q->unreflected, m, unreflected_link);
	content_forget(q, m);
	message_take_out(&q->live, m);
	message_free(&m);
}

void
young_settle(struct queue *q, struct message *m)
{
	if (m->busy || m->jobs || m->tasks || m->unrecorded || m->indexing || m->notifying)
		return;
	if (m->removed) {
		if (!m->removal_durable)
			return;
		if (m->indexed)
			young_want_index(q, m);
		else
			drop(q, m);
		return;
	}
	if (m->indexed && m->unreflected == 0 && !m->envelope_unindexed)
		drop(q, m);
}

/* ---- storing ---- */

struct store_task {
	struct task task;
	struct queue *q;
	struct index *index;
	struct index_change changes[STORE_MAX];
	size_t ends[STORE_MAX];
	uint64_t unreflected[STORE_MAX]; /* as it was */
	struct buf rows;
	size_t count;
	uint64_t position;
	int status;
	struct error err;
};

static bool
run_store(struct task *t)
{
	struct store_task *s = (struct store_task *)t;
	size_t at = 0;

	for (size_t i = 0; i < s->count; i++) {
		if (s->changes[i].row.len > 0)
			s->changes[i].row.ptr = buf_ptr(&s->rows) + at;
		at = s->ends[i];
	}
	s->status = index_apply(s->index, s->changes, s->count, s->position, &s->err);
	if (s->status < 0) {
		struct error again;
		int number = s->err.number;

		/* Berkeley DB wants recovery after many errors: once more on a recovered one. */
		if (index_reopen(s->index, &again) == 0) {
			s->status = index_apply(s->index, s->changes, s->count, s->position, &s->err);
			if (s->status < 0 && number != 0)
				s->err.number = number;
		} else if (!recovery_error_passes(&again)) {
			s->err = again; /* whatever the first error was: it is damaged */
		}
	}
	return false;
}

static void
note_hops(struct queue *q, const struct message *m)
{
	if (m->e.held)
		return;
	for (uint32_t i = 0; i < m->count; i++) {
		const struct recipient *r = m->recipients[i];

		if (r->p.state != RECIPIENT_DONE && !r->hop && !r->job)
			scheduler_note_due(q, r->p.transport, r->p.nexthop, r->p.due_spool_us, m->id);
	}
}

/* The index did not take it: replay would still have to start from there. */
static void
restore(struct queue *q, struct message *m, uint64_t position)
{
	struct message *at;

	m->indexing = false;
	young_want_index(q, m);
	if (position == 0)
		return;
	if (m->unreflected != 0)
		TAILQ_REMOVE(&q->unreflected, m, unreflected_link);
	m->unreflected = position;
	TAILQ_FOREACH (at, &q->unreflected, unreflected_link)
		if (at->unreflected > position)
			break;
	if (at)
		TAILQ_INSERT_BEFORE(at, m, unreflected_link);
	else
		TAILQ_INSERT_TAIL(&q->unreflected, m, unreflected_link);
}

static void
done_store(struct task *t)
{
	struct store_task *s = (struct store_task *)t;
	struct queue *q = s->q;

	q->storing = false;
	/* Trouble with the disk passes: until then messages stay in memory, and their records in the log. */
	if (s->status < 0 && recovery_error_passes(&s->err)) {
		trouble_set(q, TROUBLE_INDEX, &s->err);
		q->store_after_us = clock_mono_us() + STORE_AGAIN_S * US_PER_SECOND;
	} else if (s->status < 0) {
		/* What the index could not take is in the log: it is made anew from there. */
		if (recovery_rebuild(q, false))
			log_error(&queue_log, "%s: the index is rebuilt", s->err.text);
		q->store_after_us = clock_mono_us() + US_PER_SECOND;
	} else {
		trouble_set(q, TROUBLE_INDEX, NULL);
	}
	for (size_t i = 0; i < s->count; i++) {
		struct message *m = message_find(&q->live, s->changes[i].id);

		if (m && s->status < 0)
			restore(q, m, s->unreflected[i]);
		if (!m || s->status < 0)
			continue;
		m->indexing = false;
		m->indexed = s->changes[i].row.ptr != NULL;
		if (!m->removed)
			note_hops(q, m);
		young_settle(q, m);
	}
	buf_free(&s->rows);
	free(s);
	if (q->to_index_count >= STORE_MAX)
		young_store(q);
}

/* False if it must wait: the index never knows more than the log. */
static bool
add_change(struct store_task *s, struct message *m)
{
	struct index_change *c = &s->changes[s->count];
	struct segment_info *info = space_segment_of(s->q, m->position);
	size_t at = s->rows.len;

	if (m->busy || m->unrecorded || m->indexing)
		return false;
	*c = (struct index_change){
	    .id = m->id, .position = m->position, .content_position = m->content_position};
	c->segment = info ? info->s.first : 0;
	if (!m->removed && message_pack(&s->rows, m) < 0) {
		s->rows.len = at; /* what comes behind it has room, or is short enough */
		s->rows.full = false;
		return false;
	}
	c->row.len = s->rows.len - at;
	s->unreflected[s->count] = m->unreflected;
	s->ends[s->count++] = s->rows.len;
	m->indexing = true;
	m->envelope_unindexed = false;
	if (m->unreflected != 0)
		TAILQ_REMOVE(&s->q->unreflected, m, unreflected_link);
	m->unreflected = 0;
	return true;
}

static bool
want_now(const struct queue *q, const struct message *m, int64_t now)
{
	return now - m->unreflected_since_us >= q->conf->index_delay || q->live.count > YOUNG_MAX;
}

void
young_store(struct queue *q)
{
	struct store_task *s;
	struct message *m, *next;
	int64_t now = clock_mono_us();
	size_t kept = 0;

	if (q->storing || !q->indexer.started || recovery_holds_stores(q) ||
	    clock_mono_us() < q->store_after_us)
		return;
	if (!space_index_has_room(q)) {
		struct error err;

		error_set(&err, "insufficient disk space");
		trouble_set(q, TROUBLE_INDEX, &err);
		q->store_after_us = clock_mono_us() + US_PER_SECOND;
		return;
	}
	s = mem_alloc(sizeof(*s));
	s->q = q;
	s->index = q->index;
	buf_init(&s->rows, ROW_MAX);
	for (size_t i = 0; i < q->to_index_count; i++) {
		m = message_find(&q->live, q->to_index[i]);
		if (m && (s->count == STORE_MAX || !add_change(s, m)))
			q->to_index[kept++] = q->to_index[i];
	}
	q->to_index_count = kept;
	for (m = TAILQ_FIRST(&q->unreflected); m && s->count < STORE_MAX; m = next) {
		next = TAILQ_NEXT(m, unreflected_link);
		if (!want_now(q, m, now))
			break;
		if (!m->envelope_unindexed)
			add_change(s, m);
	}
	s->position = young_replay_position(q);
	s->task.run = run_store;
	s->task.done = done_store;
	q->storing = true;
	worker_put(&q->indexer, &s->task);
}

/* What is due is usually known by the index. While that takes nothing, memory is looked through. */
static void
wake_memory(struct queue *q)
{
	size_t count;
	uint64_t *ids = message_ids(&q->live, &count);

	for (size_t i = 0; i < count; i++) {
		struct message *m = message_find(&q->live, ids[i]);

		if (m && m->position != 0 && !m->jobs && !m->tasks)
			scheduler_add(q, m, false);
	}
	free(ids);
}

void
young_tick(struct queue *q)
{
	const struct message *m = TAILQ_FIRST(&q->unreflected);

	if (trouble_is(q, TROUBLE_INDEX))
		wake_memory(q);

	if (q->to_index_count > 0 || (m && want_now(q, m, clock_mono_us())) || trouble_is(q, TROUBLE_INDEX))
		young_store(q);
}

/* ---- loading ---- */

struct load_task {
	struct task task;
	struct queue *q;
	struct index *index;
	uint64_t id;
	message_found *found;
	void *context;
	struct buf row_bytes;
	struct index_row row;
	int status;
	struct error err;
};

static bool
run_load(struct task *t)
{
	struct load_task *l = (struct load_task *)t;

	l->status = index_load(l->index, l->id, &l->row_bytes, &l->row, &l->err);
	return false;
}

struct message *
young_from_row(struct queue *q, const struct index_row *row)
{
	struct error err;
	char *bytes = mem_strndup(row->payload.ptr, row->payload.len);
	struct message *m = message_from_payload(row->id, bytes, 0, row->payload.len, &err);

	if (!m) {
		log_warning(QUEUE_LOG(row->id), "index: %s", err.text);
		return NULL;
	}
	m->position = row->position;
	m->content_position = row->content_position;
	m->indexed = true;
	message_add(&q->live, m);
	return m;
}

static void
done_load(struct task *t)
{
	struct load_task *l = (struct load_task *)t;
	struct message *m = message_find(&l->q->live, l->id);

	if (l->status < 0)
		log_warning(&queue_log, "%s", l->err.text);
	if (!m && l->status > 0)
		m = young_from_row(l->q, &l->row);
	if (m && !message_is_queued(m))
		m = NULL;
	l->found(l->q, m, l->context);
	if (m)
		young_settle(l->q, m);
	buf_free(&l->row_bytes);
	free(l);
}

void
young_get(struct queue *q, uint64_t id, message_found *found, void *context)
{
	struct message *m = message_find(&q->live, id);
	struct load_task *l;

	if (m) {
		found(q, message_is_queued(m) ? m : NULL, context);
		return;
	}
	l = mem_alloc(sizeof(*l));
	l->q = q;
	l->index = q->index;
	l->id = id;
	l->found = found;
	l->context = context;
	buf_init(&l->row_bytes, ROW_MAX);
	l->task.run = run_load;
	l->task.done = done_load;
	worker_put(&q->indexer, &l->task);
}
