#include "queue/log/recovery.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/log/damage.h"
#include "queue/log/recovery_step.h"
#include "queue/trouble.h"

enum { AGAIN_S = 5, STORES_MAX = 3 };

static void store(struct recovery *r, struct row_batch *b);
static void merge(struct recovery *r);

bool
recovery_error_passes(const struct error *err)
{
	return err->number == ENOSPC || err->number == EDQUOT || err->number == EROFS ||
	       err->number == ENOMEM || err->number == EMFILE || err->number == ENFILE ||
	       err->number == EACCES || err->number == EFBIG;
}

struct recovery_step *
recovery_step_new(struct recovery *r, bool (*run)(struct task *t), void (*done)(struct task *t))
{
	struct recovery_step *s = mem_alloc(sizeof(*s));

	s->r = r;
	s->index = r->q->index;
	s->replay = r->replay;
	s->task.run = run;
	s->task.done = done;
	buf_init(&s->lines, 1 << 20);
	buf_init(&s->hops, 256 << 20);
	return s;
}

void
recovery_step_free(struct recovery_step *s)
{
	row_batch_free(&s->batch);
	buf_free(&s->lines);
	buf_free(&s->hops);
	strays_free(&s->strays);
	free(s->places);
	free(s);
}

void
recovery_log_lines(const struct buf *lines)
{
	struct span rest = buf_span(lines);

	while (rest.len > 0) {
		ptrdiff_t end = span_find(rest, '\n');
		struct span line = end < 0 ? rest : span_sub(rest, 0, (size_t)end);

		log_error(&queue_log, "%.*s", SPAN_ARG(line));
		rest = span_from(rest, end < 0 ? rest.len : (size_t)end + 1);
	}
}

/* ---- trouble ---- */

static void
on_again(evutil_socket_t fd, short what, void *context)
{
	struct recovery *r = context;

	(void)fd;
	(void)what;
	r->retry(r);
}

void
recovery_try_again(struct recovery *r, const struct error *err, void (*retry)(struct recovery *r))
{
	struct timeval wait = {.tv_sec = AGAIN_S};

	trouble_set(r->q, TROUBLE_INDEX, err);
	r->retry = retry;
	event_add(r->again, &wait);
}

static void
free_kept(struct recovery *r)
{
	struct row_batch *b;

	while ((b = r->kept)) {
		r->kept = b->next;
		row_batch_free(&b);
	}
}

/* From the beginning, with an empty index, when all that was under way has ended. */
static void
start_over(struct recovery *r)
{
	struct timeval wait = {.tv_sec = AGAIN_S};

	if (r->reading || r->storing > 0) {
		event_add(r->again, &wait);
		return;
	}
	r->failed = false;
	replay_free(&r->replay);
	free_kept(r);
	recovery_open_index(r, true);
}

void
recovery_give_up(struct recovery *r, const struct error *err)
{
	if (!r->failed)
		log_error(&queue_log, "%s: the index is rebuilt", err->text);
	r->failed = true;
	recovery_try_again(r, err, start_over);
}

/* ---- the log is read, and goes into the index ---- */

static bool
run_read(struct task *t)
{
	struct recovery_step *s = (struct recovery_step *)t;

	s->more = replay_step(s->replay, s->batch) > 0;
	return s->more && !row_batch_is_full(s->batch);
}

static void
done_read(struct task *t)
{
	struct recovery_step *s = (struct recovery_step *)t;
	struct recovery *r = s->r;
	struct row_batch *b = s->batch;

	r->reading = false;
	replay_take_report(r->replay, &s->lines);
	recovery_log_lines(&s->lines);
	r->read_all = !s->more;
	s->batch = NULL;
	recovery_step_free(s);
	if (r->failed || b->count == 0) {
		row_batch_free(&b);
		recovery_read_on(r);
		return;
	}
	row_batch_ready(b);
	store(r, b);
	recovery_read_on(r);
}

void
recovery_read_on(struct recovery *r)
{
	struct recovery_step *s;

	if (r->reading || r->failed || r->kept)
		return;
	if (r->read_all) {
		if (r->storing == 0)
			merge(r);
		return;
	}
	if (r->storing >= STORES_MAX)
		return;
	r->reading = true;
	s = recovery_step_new(r, run_read, done_read);
	s->batch = row_batch_new();
	worker_put(&r->q->reader, &s->task);
}

static bool
run_store(struct task *t)
{
	struct recovery_step *s = (struct recovery_step *)t;
	struct error again;

	s->status =
	    index_apply(s->index, s->batch->changes, s->batch->count, index_position(s->index), &s->err);
	if (s->status < 0 && recovery_error_passes(&s->err) && index_reopen(s->index, &again) < 0 &&
	    !recovery_error_passes(&again))
		s->err = again;
	return false;
}

/* What became known: where it lies, and when it is due. */
static void
note_row(struct recovery *r, const struct index_change *c)
{
	struct record record = {.type = RECORD_SNAPSHOT, .id = c->id, .payload = c->row};
	struct segment_info *info = space_segment_of(r->q, c->position);
	struct part_envelope e;
	struct part_recipient p;
	struct record_reader reader;
	struct error err;
	bool notice;

	if (record_open(&record, &e, &reader, &err) < 0)
		return;
	r->rows++;
	if (info && r->counted_to == UINT64_MAX) {
		info->messages++;
		info->live_bytes += space_octets(c->position, c->content_position, &e);
	}
	notice = e.held && (e.flags & MAIL_TELL_HELD);
	while (record_next(&record, &reader, &p) > 0) {
		notice = notice || p.report != 0;
		if (r->whole && !e.held && p.state != RECIPIENT_DONE)
			scheduler_note_due(r->q, p.transport, p.nexthop, p.due_spool_us, c->id);
	}
	if (notice && r->notice_count < RECOVERY_NOTICES_MAX)
		r->notices[r->notice_count++] = c->id;
}

static void
retry_store(struct recovery *r)
{
	struct row_batch *b;

	while ((b = r->kept)) {
		r->kept = b->next;
		store(r, b);
	}
}

static void
done_store(struct task *t)
{
	struct recovery_step *s = (struct recovery_step *)t;
	struct recovery *r = s->r;

	r->storing--;
	if (s->status == 0) {
		trouble_set(r->q, TROUBLE_INDEX, NULL);
		for (size_t i = 0; i < s->batch->count && !r->failed; i++)
			note_row(r, &s->batch->changes[i]);
	} else if (!recovery_error_passes(&s->err)) {
		recovery_give_up(r, &s->err);
	} else {
		s->batch->next = r->kept;
		r->kept = s->batch;
		s->batch = NULL;
		recovery_try_again(r, &s->err, retry_store);
	}
	recovery_step_free(s);
	recovery_read_on(r);
}

static void
store(struct recovery *r, struct row_batch *b)
{
	struct recovery_step *s = recovery_step_new(r, run_store, done_store);

	r->storing++;
	s->batch = b;
	worker_put(&r->q->indexer, &s->task);
}

/* ---- what only the index knew is brought up to date ---- */

static bool
run_merge(struct task *t)
{
	struct recovery_step *s = (struct recovery_step *)t;

	s->status = replay_merge(s->replay, s->index, &s->err);
	if (s->status > 0)
		return true;
	if (s->status == 0)
		index_hide(s->index, false);
	return false;
}

static void
done_merge(struct task *t)
{
	struct recovery_step *s = (struct recovery_step *)t;
	struct recovery *r = s->r;

	replay_take_report(r->replay, &s->lines);
	recovery_log_lines(&s->lines);
	if (s->status == 0)
		recovery_count_on(r);
	else
		recovery_give_up(r, &s->err);
	recovery_step_free(s);
}

static void
merge(struct recovery *r)
{
	struct recovery_step *s;

	r->phase = MERGING;
	if (r->whole) {
		recovery_count_on(r);
		return;
	}
	s = recovery_step_new(r, run_merge, done_merge);
	worker_put(&r->q->indexer, &s->task);
}

/* ---- the whole ---- */

/* Mail without a place in the log gets one; a look at a stopped instance writes nothing, where the index keeps it. */
static void
settle_files(struct recovery *r, bool damaged)
{
	struct queue *q = r->q;
	bool keep = damaged || r->cut || r->strays;

	if (r->strays && !q->strays && (!q->alone || r->cut))
		strays_settle(q, &r->strays, &r->orphans, keep);
	else
		orphans_remove(q, &r->orphans, keep);
}

void
recovery_finish(struct recovery *r)
{
	struct queue *q = r->q;
	const struct replay_count *count = replay_counts(r->replay);

	if (r->rows > 0 || count->records > 0 || !r->at_start)
		log_info(&queue_log, "%s: %llu messages, %llu records of the log read in %.1f s",
		    r->whole ? "the index is rebuilt" : "the index is up to date",
		    (unsigned long long)r->rows, (unsigned long long)count->records,
		    (double)(clock_mono_us() - r->began_us) / US_PER_SECOND);
	settle_files(r, count->damages > 0);
	q->damages = damage_count(q->damaged_dir);
	for (size_t i = 0; i < r->notice_count; i++)
		notify_found(q, r->notices[i]);
	recovery_free(q);
	young_store(q); /* its position is the log's again */
	space_check(q);
}

void
recovery_free(struct queue *q)
{
	struct recovery *r = q->recovery;

	q->recovery = NULL;
	if (!r)
		return;
	replay_free(&r->replay);
	free_kept(r);
	event_free(r->again);
	orphans_free(&r->orphans);
	strays_free(&r->strays);
	free(r);
}

static struct recovery *
recovery_new(struct queue *q, uint64_t limit)
{
	struct recovery *r = mem_alloc(sizeof(*r));

	r->q = q;
	r->limit = limit;
	r->began_us = clock_mono_us();
	r->again = event_new(q->base, -1, 0, on_again, r);
	q->recovery = r;
	return r;
}

void
recovery_start(struct queue *q, uint64_t limit)
{
	struct recovery *r = recovery_new(q, limit);

	r->at_start = true;
	orphans_list(q, &r->orphans);
	recovery_open_index(r, false);
}

bool
recovery_rebuild(struct queue *q, bool sound)
{
	struct recovery *r;

	/* What is being erased would be read. */
	if (q->recovery || q->freeing)
		return false;
	r = recovery_new(q, q->durable);
	r->sound = sound;
	recovery_open_index(r, true);
	return true;
}

bool
recovery_holds_stores(const struct queue *q)
{
	return q->recovery && q->recovery->phase == OPENING;
}

uint64_t
recovery_floor(const struct queue *q)
{
	if (!q->recovery)
		return UINT64_MAX;
	return q->recovery->whole ? 0 : q->recovery->from;
}

bool
recovery_has_counted(const struct queue *q, uint64_t id, uint64_t position)
{
	const struct recovery *r = q->recovery;

	return !r || position >= r->limit || id <= r->counted_to;
}

const char *
recovery_note(const struct queue *q)
{
	if (!q->recovery || (q->recovery->phase == FINISHING && !q->recovery->failed))
		return "";
	return q->recovery->whole ? "incomplete: the index is being rebuilt"
				  : "incomplete: the index is being brought up to date";
}
