/*
 * What is left to know when an index is up to date: what lives in each segment, and when each hop has something due.
 */
#include <string.h>

#include "queue/index/rows.h"
#include "queue/log/recovery_step.h"
#include "queue/scheduler/hop.h"

/* A record's head, about: summaries do not tell. */
enum { HEAD_OCTETS = 500, RECIPIENT_OCTETS = 200 };

static bool
count_row(const struct summary *row, void *context)
{
	struct recovery_step *s = context;

	if (row->part == 0 && s->count == RECOVERY_PAGE)
		return false;
	if (row->part == 0)
		s->rows[s->count++] = (struct counted){.id = row->id,
		    .position = row->position,
		    .octets = HEAD_OCTETS + (row->flags & SUMMARY_IN_FILE ? 0 : row->size)};
	if (s->count > 0)
		s->rows[s->count - 1].octets += (uint64_t)row->count * RECIPIENT_OCTETS;
	return true;
}

static bool
note_hop(uint32_t number, struct span hop, int64_t earliest, void *context)
{
	struct recovery_step *s = context;
	uint32_t len = (uint32_t)hop.len;

	(void)number;
	buf_append(&s->hops, (const char *)&len, sizeof(len));
	buf_append(&s->hops, (const char *)&earliest, sizeof(earliest));
	return buf_append_span(&s->hops, hop) == 0;
}

/* The first page comes with the hops; whoever waits for the indexer waits for no more than a page. */
static bool
run_count(struct task *t)
{
	struct recovery_step *s = (struct recovery_step *)t;

	s->status = s->after == 0 ? index_each_hop(s->index, 0, note_hop, s, &s->err) : 0;
	if (s->status == 0)
		s->status = rows_each(
		    s->index, &s->after, UINT64_MAX, RECOVERY_PAGE - 1, count_row, s, &s->more, &s->err);
	return false;
}

static void
note_hops(struct queue *q, struct span rest)
{
	uint32_t len;
	int64_t earliest;

	while (rest.len > sizeof(len) + sizeof(earliest)) {
		memcpy(&len, rest.ptr, sizeof(len));
		memcpy(&earliest, rest.ptr + sizeof(len), sizeof(earliest));
		rest = span_from(rest, sizeof(len) + sizeof(earliest));
		scheduler_note_hop(q, span_sub(rest, 0, len), earliest);
		rest = span_from(rest, len);
	}
}

static void
note_stray(struct recovery *r, uint64_t id)
{
	if (!r->strays)
		r->strays = strays_new();
	strays_add(r->strays, id);
}

static void
done_count(struct task *t)
{
	struct recovery_step *s = (struct recovery_step *)t;
	struct recovery *r = s->r;
	struct queue *q = r->q;

	if (s->status < 0) {
		recovery_give_up(r, &s->err);
		recovery_step_free(s);
		return;
	}
	note_hops(q, buf_span(&s->hops));
	if (s->hops.full)
		outside_note(q);
	for (size_t i = 0; i < s->count; i++) {
		const struct counted *row = &s->rows[i];
		struct message *m = message_find(&q->live, row->id);
		struct segment_info *info = space_segment_of(q, row->position);

		if (!info && (row->position < r->limit || row->position == STRAYS_NOWHERE))
			note_stray(r, row->id);
		/* What is new since the start was counted when it came. */
		if (row->position >= r->limit || (m && (m->removal_durable || m->position >= r->limit)) ||
		    !info)
			continue;
		r->rows++;
		info->messages++;
		info->live_bytes += row->octets;
	}
	r->counted_to = s->more ? s->after : UINT64_MAX;
	recovery_step_free(s);
	recovery_count_on(r);
}

void
recovery_count_on(struct recovery *r)
{
	struct recovery_step *s;

	r->phase = FINISHING;
	if (r->counted_to == UINT64_MAX) {
		recovery_finish(r);
		return;
	}
	s = recovery_step_new(r, run_count, done_count);
	s->after = r->counted_to;
	if (r->counted_to == 0)
		r->rows = 0;
	worker_put(&r->q->indexer, &s->task);
}
