/*
 * reclaim: the oldest segment is freed when nothing lives in it, and emptied forward when all segments together take more
 * than twice what lives, and four. Invariants 4 and 5.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/log/disk.h"
#include "queue/queue.h"

enum { MOVE_AT_ONCE = 64, BEYOND_LIVE = 4, IN_HASTE = 2, KEEP_FREE = 2 };

/*
 * Too much, with the slots that are free and the writer's spare. While segments follow each other fast there may be two
 * more: what lives in the one before is just being delivered.
 */
static bool
is_over(const struct queue *q)
{
	uint64_t slots = q->segment_count + q->free_slot_count + 1, live = 0, beyond = BEYOND_LIVE;

	if (clock_mono_us() - q->begun_us < 2 * US_PER_SECOND)
		beyond += IN_HASTE;
	for (size_t i = 0; i < q->segment_count; i++)
		live += q->segments[i].live_bytes;
	return slots > beyond && (slots - beyond) * q->segment_size > 2 * live;
}

/* ---- freeing the oldest ---- */

static void
drop_slot(struct queue *q, const struct segment *s)
{
	char name[16];

	segment_name(s->slot, name);
	disk.close(s->fd);
	disk.unlinkat(q->segments_dir, name, 0);
}

struct free_task {
	struct task task;
	struct queue *q;
	struct index *index;
	struct segment segment;
	uint64_t end;
	uint64_t position;
	int status;
	struct error err;
};

static bool
run_erase(struct task *task)
{
	struct free_task *t = (struct free_task *)task;

	disk_step("free-before-erase");
	t->status = segment_erase(&t->segment, t->q->segments_dir, &t->err);
	disk_step("free-after-erase");
	return false;
}

static void
done_erase(struct task *task)
{
	struct free_task *t = (struct free_task *)task;
	struct queue *q = t->q;

	q->freeing = false;
	q->free_failed = t->status < 0;
	if (t->status < 0) {
		log_error(&queue_log, "%s", t->err.text);
		free(t);
		return;
	}
	memmove(q->segments, q->segments + 1, --q->segment_count * sizeof(*q->segments));
	if (q->free_slot_count < KEEP_FREE && t->segment.size == q->segment_size &&
	    !segment_is_gone(&t->segment))
		q->free_slots[q->free_slot_count++] = t->segment;
	else
		drop_slot(q, &t->segment);
	free(t);
	if (q->spare_wanted)
		space_want_spare(q);
	space_check(q);
}

/* Invariant 5: a checkpoint of the index covers all that the segment held. */
static bool
run_cover(struct task *task)
{
	struct free_task *t = (struct free_task *)task;

	t->status = index_apply(t->index, NULL, 0, t->position, &t->err);
	if (t->status == 0)
		t->status = index_checkpoint(t->index, &t->err);
	return false;
}

static void
done_cover(struct task *task)
{
	struct free_task *t = (struct free_task *)task;

	if (t->status < 0) {
		t->q->freeing = false;
		t->q->free_failed = true;
		/* Nothing else may use the index for hours: it is not left until then. */
		log_error(&queue_log, "%s%s", t->err.text,
		    !recovery_error_passes(&t->err) && recovery_rebuild(t->q, false)
			? ": the index is rebuilt"
			: "");
		free(t);
		return;
	}
	t->task.run = run_erase;
	t->task.done = done_erase;
	worker_put(&t->q->helper, &t->task);
}

static void
free_oldest(struct queue *q)
{
	struct segment_info *info = &q->segments[0];
	struct free_task *t;

	uint64_t position = young_replay_position(q);

	if (q->storing || position < info->end)
		return;
	/* Nothing lies between two segments: a position there would be taken for one of an older log. */
	if (position < info[1].s.first)
		position = info[1].s.first;
	q->freeing = true;
	t = mem_alloc(sizeof(*t));
	t->q = q;
	t->index = q->index;
	t->segment = info->s;
	t->end = info->end;
	t->position = position;
	t->task.run = run_cover;
	t->task.done = done_cover;
	worker_put(&q->indexer, &t->task);
}

/* ---- emptying the oldest (invariant 4) ---- */

/*
 * The log would grow behind a message that cannot be read. What is known of it goes on, for its sender is to be told: as one whose
 * content is in a file, which is not there unless somebody puts back what it had.
 */
static void
move_without_content(struct queue *q, struct message *m)
{
	m->e.in_file = true;
	m->e.file_offset = 0;
	journal_snapshot(q, m, span_make(NULL, 0));
}

static void
on_content(struct queue *q, struct message *m, int fd, void *context, const char *error)
{
	(void)context;
	if (fd >= 0)
		disk.close(fd);
	if (error && m->lost && !m->removed) {
		move_without_content(q, m);
		return;
	}
	if (m->removed || error) {
		q->moving--;
		if (error && q->unmovable != m->id)
			log_error(QUEUE_LOG(m->id), "cannot be moved: %s", error);
		if (error)
			q->unmovable = m->id;
		return;
	}
	journal_snapshot(q, m, m->e.in_file ? span_make(NULL, 0) : m->content);
}

static void
on_message(struct queue *q, struct message *m, void *context)
{
	(void)context;
	/* A message file stays where it is: only the record that names it moves. */
	if (!m || m->removed) {
		q->moving--;
	} else if (m->e.in_file) {
		journal_snapshot(q, m, span_make(NULL, 0));
	} else {
		content_get(q, m, on_content, NULL);
	}
}

struct move_task {
	struct task task;
	struct queue *q;
	struct index *index;
	uint64_t segment, end;
	uint64_t ids[MOVE_AT_ONCE];
	size_t count;
	int status;
	struct error err;
};

static bool
take_id(uint64_t id, void *context)
{
	struct move_task *t = context;

	t->ids[t->count++] = id;
	return t->count < MOVE_AT_ONCE;
}

static bool
run_move(struct task *task)
{
	struct move_task *t = (struct move_task *)task;
	struct buf key;

	buf_init(&key, 8);
	for (int i = 7; i >= 0; i--)
		buf_append(&key, &(char){(char)(t->segment >> (8 * i))}, 1);
	t->status = index_each_key(t->index, INDEX_SEGMENT, buf_span(&key), 0, take_id, t, &t->err);
	buf_free(&key);
	return false;
}

static void
done_move(struct task *task)
{
	struct move_task *t = (struct move_task *)task;
	struct queue *q = t->q;

	q->freeing = false;
	for (size_t i = 0; i < q->live.slot_count && t->count < MOVE_AT_ONCE; i++)
		for (struct message *m = q->live.slots[i]; m && t->count < MOVE_AT_ONCE; m = m->hash_next)
			if (m->position >= t->segment && m->position < t->end && !m->removed)
				t->ids[t->count++] = m->id;
	for (size_t i = 0; i < t->count; i++) {
		struct message *m = message_find(&q->live, t->ids[i]);

		if (m && (m->position < t->segment || m->position >= t->end))
			continue;
		q->moving++;
		young_get(q, t->ids[i], on_message, NULL);
	}
	if (t->status < 0)
		log_error(&queue_log, "%s", t->err.text);
	free(t);
}

static void
empty(struct queue *q, const struct segment_info *info)
{
	struct move_task *t = mem_alloc(sizeof(*t));

	q->freeing = true;
	t->q = q;
	t->index = q->index;
	t->segment = info->s.first;
	t->end = info->s.first + info->s.size;
	t->task.run = run_move;
	t->task.done = done_move;
	worker_put(&q->indexer, &t->task);
}

static bool
can_reclaim(const struct queue *q)
{
	return !q->recovery && !q->freeing && q->moving == 0 && q->indexer.started;
}

static bool
is_empty(const struct queue *q)
{
	return q->segment_count >= 2 && q->segments[0].sealed && q->segments[0].messages == 0;
}

void
reclaim_empty(struct queue *q)
{
	if (!q->free_failed && is_empty(q) && can_reclaim(q))
		free_oldest(q);
}

/* Somebody deleted their files: what lives in them can be read as long as they are open. */
void
reclaim_look(struct queue *q)
{
	for (size_t i = 0; i < q->segment_count; i++) {
		struct segment_info *info = &q->segments[i];

		if (info->gone || !segment_is_gone(&info->s))
			continue;
		info->gone = true;
		q->deleted++;
		log_error(&queue_log,
		    "segment %06u was deleted by somebody: its %u messages are moved to others, and would be "
		    "lost if queue ended before that",
		    info->s.slot, info->messages);
	}
}

static const struct segment_info *
first_gone(const struct queue *q)
{
	for (size_t i = 0; i < q->segment_count; i++)
		if (q->segments[i].gone && q->segments[i].messages > 0)
			return &q->segments[i];
	return NULL;
}

void
reclaim_check(struct queue *q)
{
	const struct segment_info *gone;

	if (!can_reclaim(q))
		return;
	/* The reserve, and the next spare. */
	while (q->free_slot_count > KEEP_FREE && is_over(q))
		drop_slot(q, &q->free_slots[--q->free_slot_count]);
	gone = first_gone(q);
	if (gone)
		empty(q, gone);
	else if (is_empty(q))
		free_oldest(q);
	else if (q->segment_count >= 2 && q->segments[0].sealed && is_over(q))
		empty(q, &q->segments[0]);
}
