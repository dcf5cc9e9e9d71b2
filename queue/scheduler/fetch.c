/*
 * fetch: a hop's share of what is due, from the index into memory.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

/* A row of a list of ten thousand takes megabytes: what one fetch brings is bounded by octets, too. */
enum { FETCH_FEW = 10, FETCH_BYTES = 4 << 20, SUSPENDED_PAUSE_US = 250000 };

struct fetch_task {
	struct task task;
	struct queue *q;
	struct index *index;
	char *key;
	int64_t now;
	size_t max;
	/* Where the fetch before ended: what lies in front of it is in memory, or the index has not heard yet that it is done. */
	struct row_place after;
	uint64_t *ids;
	int64_t *dues;
	size_t count;
	size_t loaded; /* of the ids */
	int64_t next_due;
	struct buf rows;
	struct index_row *found;
	size_t *at;
	size_t found_count;
	int status;
	struct error err;
};

static bool
take_due(uint64_t id, int64_t due, void *context)
{
	struct fetch_task *f = context;

	if (!row_is_behind((struct row_place){due, id}, f->after))
		return true;
	if (due > f->now || f->count == f->max) {
		f->next_due = due;
		return false;
	}
	f->ids[f->count] = id;
	f->dues[f->count++] = due;
	return true;
}

static bool
run_fetch(struct task *task)
{
	struct fetch_task *f = (struct fetch_task *)task;
	struct buf row;

	f->next_due = INT64_MAX;
	f->ids = mem_alloc_array(f->max + 1, sizeof(*f->ids));
	f->dues = mem_alloc_array(f->max + 1, sizeof(*f->dues));
	f->found = mem_alloc_array(f->max + 1, sizeof(*f->found));
	f->at = mem_alloc_array(f->max + 1, sizeof(*f->at));
	f->status = index_each_due(f->index, span_of(f->key), take_due, f, &f->err);
	buf_init(&row, 32 << 20);
	for (size_t i = 0; i < f->count && f->status == 0; i++) {
		int got = index_load(f->index, f->ids[i], &row, &f->found[f->found_count], &f->err);

		f->loaded = i + 1;
		if (got < 0)
			f->status = -1;
		if (got <= 0)
			continue;
		f->at[f->found_count] = f->rows.len;
		if (buf_append_span(&f->rows, f->found[f->found_count++].payload) < 0 ||
		    f->rows.len > FETCH_BYTES) {
			f->next_due = f->now;
			break;
		}
	}
	buf_free(&row);
	return false;
}

/* The next fetch goes on from there, while there is more; what came to lie in front meanwhile is not passed over. */
static void
keep_place(struct hop *hop, const struct fetch_task *f)
{
	bool more = f->status == 0 && f->loaded > 0 && f->next_due <= f->now;

	hop->after = (struct row_place){0};
	if (more)
		hop->after = (struct row_place){f->dues[f->loaded - 1], f->ids[f->loaded - 1]};
	if (!row_is_behind(hop->came, hop->after))
		hop->after = (struct row_place){0};
}

static void
done_fetch(struct task *task)
{
	struct fetch_task *f = (struct fetch_task *)task;
	struct queue *q = f->q;
	struct hop *hop = hop_find(q, span_of(f->key));
	size_t new = 0;
	unsigned before = hop ? hop->ready : 0;

	for (size_t i = 0; i < f->found_count; i++) {
		struct message *m = message_find(&q->live, f->found[i].id);

		if (m && m->indexed && !m->removed)
			scheduler_add(q, m, false);
		if (m)
			continue;
		f->found[i].payload.ptr = buf_ptr(&f->rows) + f->at[i];
		m = young_from_row(q, &f->found[i]);
		if (!m)
			continue;
		new ++;
		scheduler_add(q, m, false);
		outcome_settle(q, m); /* a report may be what is due */
	}
	if (f->status < 0)
		log_warning(&queue_log, "%s", f->err.text);
	if (hop) {
		hop->fetching = false;
		keep_place(hop, f);
		/* Those in memory are due in the index until it hears of their next attempt: look again a little later. */
		if (f->next_due <= f->now && (new == 0 || hop->ready == before))
			f->next_due = f->now + US_PER_SECOND;
		/* What is only deferred leaves the rest of the work its time. */
		hop->fetch_us =
		    hop_is_resting(hop) || hop->transport->deferred ? f->now + SUSPENDED_PAUSE_US : 0;
		if (f->status < 0)
			f->next_due = f->now + 10 * US_PER_SECOND;
		if (f->next_due < hop->index_due_us)
			hop->index_due_us = f->next_due;
		hop_touch(q, hop);
	}
	buf_free(&f->rows);
	free(f->ids);
	free(f->dues);
	free(f->found);
	free(f->at);
	free(f->key);
	free(f);
}

void
hop_fetch(struct queue *q, struct hop *hop)
{
	struct fetch_task *f = mem_alloc(sizeof(*f));

	hop->fetching = true;
	hop->index_due_us = INT64_MAX;
	f->q = q;
	f->index = q->index;
	f->key = mem_strdup(hop->key);
	f->now = spool_clock_now();
	f->after = hop->after;
	hop->came = (struct row_place){INT64_MAX, UINT64_MAX};
	f->max = hop->ready + hop->active;
	f->max += q->scheduler->waiting < (uint64_t)q->conf->qmgr_message_active_limit ? TASKS_FETCHED_MAX
										       : FETCH_FEW;
	buf_init(&f->rows, 40 << 20);
	f->task.run = run_fetch;
	f->task.done = done_fetch;
	worker_put(&q->indexer, &f->task);
}
