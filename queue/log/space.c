/*
 * space: the segments as a whole: which is next, which is dead, what is left of the disk.
 *
 * Segments are freed oldest first, and the oldest is emptied forward when less than half of the log is alive. So the
 * log is one run from its oldest segment to its newest, and invariant 3 holds of itself: whatever record says something
 * about a message is younger than the message's first one, and goes later.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "queue/log/disk.h"
#include "queue/scheduler/hop.h"

enum { SEGMENTS_MAX = 1 << 20, MOVE_AT_ONCE = 64, KEEP_FREE = 4 };

struct segment_info *
space_segment_of(struct queue *q, uint64_t position)
{
	size_t low = 0, high = q->segment_count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (q->segments[mid].s.first <= position)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0 || position >= q->segments[low - 1].s.first + q->segments[low - 1].s.size)
		return NULL;
	return &q->segments[low - 1];
}

int
space_segment_add(struct queue *q, const struct segment *s, uint64_t end, bool sealed)
{
	if (q->segment_count >= SEGMENTS_MAX)
		return -1;
	q->segments = mem_resize(q->segments, (q->segment_count + 1) * sizeof(*q->segments));
	q->segments[q->segment_count++] = (struct segment_info){.s = *s, .end = end, .sealed = sealed};
	return 0;
}

void
space_message_added(struct queue *q, const struct message *m)
{
	struct segment_info *info = space_segment_of(q, m->position);

	if (!info)
		return;
	info->messages++;
	info->live_bytes += m->e.in_file ? 0 : m->e.content_len;
}

void
space_message_gone(struct queue *q, const struct message *m)
{
	struct segment_info *info = space_segment_of(q, m->position);
	uint64_t bytes = m->e.in_file ? 0 : m->e.content_len;

	if (!info || info->messages == 0 || !recovery_has_counted(q, m->id, m->position))
		return;
	info->messages--;
	info->live_bytes -= bytes < info->live_bytes ? bytes : info->live_bytes;
}

/* ---- full or not ---- */

bool
space_refuses(const struct queue *q)
{
	return trouble_is(q, TROUBLE_SPACE);
}

void
space_tell_peer(struct queue *q, struct ipc_channel *peer)
{
	bool full = space_refuses(q);
	struct msg_queue_full msg = {
	    .full = full, .reason = span_of(full ? q->trouble[TROUBLE_SPACE].text : "")};

	ipc_send(peer, IPC_QUEUE_FULL, 0, &msg);
}

static void
tell_all(struct queue *q, enum role role)
{
	struct ipc_channel *peers[64];
	size_t n = server_peers(q->server, role, peers, 64);

	for (size_t i = 0; i < n; i++)
		space_tell_peer(q, peers[i]);
}

static void
set_full(struct queue *q, bool full, const char *reason)
{
	struct log_work *w;
	struct error err;

	if (space_refuses(q) == full)
		return;
	error_set(&err, "%s", reason);
	trouble_set(q, TROUBLE_SPACE, full ? &err : NULL);
	tell_all(q, ROLE_SMTPD);
	tell_all(q, ROLE_PICKUP);
	w = mem_alloc(sizeof(*w));
	w->kind = LOG_REFUSE;
	w->flag = full;
	mailbox_put(&q->writer.in, &w->work);
}

/* ---- the next segment ---- */

struct spare_task {
	struct task task;
	struct queue *q;
	int dir;
	struct segment segment;
	unsigned slot;
	uint64_t size;
	uint64_t filled;
	bool created;
	int status;
	struct error err;
};

static void
give_spare(struct queue *q, const struct segment *s)
{
	struct log_work *w = mem_alloc(sizeof(*w));

	w->kind = LOG_SPARE;
	w->segment = *s;
	q->spare_wanted = false;
	mailbox_put(&q->writer.in, &w->work);
}

static bool
run_spare(struct task *task)
{
	struct spare_task *t = (struct spare_task *)task;

	if (!t->created) {
		t->status = segment_create(t->dir, t->slot, t->size, &t->segment, &t->err);
		t->created = t->status == 0;
		return t->created;
	}
	t->status = segment_fill_step(&t->segment, &t->filled, &t->err);
	if (t->status > 0)
		return true;
	if (t->status == 0)
		t->status = segment_fill_end(&t->segment, t->dir, &t->err);
	return false;
}

static void
done_spare(struct task *task)
{
	struct spare_task *t = (struct spare_task *)task;
	struct queue *q = t->q;

	q->spare_coming = false;
	if (t->status == 0) {
		give_spare(q, &t->segment);
		set_full(q, false, "");
	} else {
		char name[16];

		/* Half a segment is of no use, and its space may be what is missing. */
		if (t->created) {
			segment_name(t->slot, name);
			disk.close(t->segment.fd);
			disk.unlinkat(q->segments_dir, name, 0);
		}
		set_full(q, true, t->err.text);
	}
	free(t);
}

/*
 * What segments and message files leave free: the index must be able to grow, for without it no segment can be freed
 * (invariant 5). A sixth of a small file system, at most 256 MB.
 */
static uint64_t
reserve(const struct statvfs *st)
{
	uint64_t sixth = (uint64_t)st->f_blocks * st->f_frsize / 6, most = 256 << 20;

	return sixth < most ? sixth : most;
}

static bool
disk_is_low(const struct queue *q, uint64_t wanted)
{
	struct statvfs st;

	return disk.fstatvfs(q->segments_dir, &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize < wanted;
}

bool
space_has_room(const struct queue *q, uint64_t octets)
{
	struct statvfs st;
	uint64_t keep = (uint64_t)q->conf->queue_minfree;

	if (disk.fstatvfs(q->segments_dir, &st) < 0)
		return true;
	if (keep < reserve(&st))
		keep = reserve(&st);
	return (uint64_t)st.f_bavail * st.f_frsize >= keep + octets;
}

void
space_want_spare(struct queue *q)
{
	struct spare_task *t;

	if (q->spare_coming)
		return;
	q->spare_wanted = true;
	if (q->free_slot_count > 0) {
		give_spare(q, &q->free_slots[--q->free_slot_count]);
		set_full(q, false, "");
		return;
	}
	if (!space_has_room(q, q->segment_size)) {
		set_full(q, true, "insufficient disk space for the queue");
		return;
	}
	q->spare_coming = true;
	t = mem_alloc(sizeof(*t));
	t->q = q;
	t->dir = q->segments_dir;
	t->slot = q->next_slot++;
	t->size = q->segment_size;
	t->task.run = run_spare;
	t->task.done = done_spare;
	worker_put(&q->helper, &t->task);
}

void
space_on_writer(struct queue *q, struct log_work *w)
{
	if (w->kind == LOG_BEGUN) {
		space_segment_add(q, &w->segment, w->segment.first + w->segment.size, false);
		space_want_spare(q);
	} else if (w->kind == LOG_SEALED) {
		struct segment_info *info = space_segment_of(q, w->segment.first);

		if (info) {
			info->sealed = true;
			info->end = w->position;
		}
		if (w->text)
			log_error(&queue_log, "%s", w->text);
	}
	free(w->text);
	free(w);
}

/* ---- freeing the oldest ---- */

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
	char name[16];

	q->freeing = false;
	if (t->status < 0) {
		log_error(&queue_log, "%s", t->err.text);
		free(t);
		return;
	}
	memmove(q->segments, q->segments + 1, --q->segment_count * sizeof(*q->segments));
	if (q->free_slot_count < KEEP_FREE && t->segment.size == q->segment_size) {
		q->free_slots[q->free_slot_count++] = t->segment;
	} else {
		segment_name(t->segment.slot, name);
		disk.close(t->segment.fd);
		disk.unlinkat(q->segments_dir, name, 0);
	}
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
		log_error(&queue_log, "%s", t->err.text);
		t->q->freeing = false;
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

static void
on_content(struct queue *q, struct message *m, int fd, void *context, const char *error)
{
	(void)context;
	if (fd >= 0)
		disk.close(fd);
	if (m->removed || error) {
		q->moving--;
		if (error)
			log_error(QUEUE_LOG(m->id), "cannot be moved: %s", error);
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
empty_oldest(struct queue *q)
{
	struct move_task *t = mem_alloc(sizeof(*t));

	q->freeing = true;
	t->q = q;
	t->index = q->index;
	t->segment = q->segments[0].s.first;
	t->end = q->segments[0].s.first + q->segments[0].s.size;
	t->task.run = run_move;
	t->task.done = done_move;
	worker_put(&q->indexer, &t->task);
}

void
space_check(struct queue *q)
{
	uint64_t live = 0;

	if (q->spare_wanted && !q->spare_coming)
		space_want_spare(q);
	else if (!q->spare_wanted && q->conf->queue_minfree > 0)
		set_full(q, disk_is_low(q, (uint64_t)q->conf->queue_minfree),
		    "insufficient disk space for the queue");
	if (q->recovery || q->freeing || q->moving > 0 || q->segment_count < 2 || !q->segments[0].sealed ||
	    !q->indexer.started)
		return;
	if (q->segments[0].messages == 0) {
		free_oldest(q);
		return;
	}
	for (size_t i = 0; i < q->segment_count; i++)
		live += q->segments[i].live_bytes;
	if (q->segment_count > 4 && live * 2 < (q->segment_count - 4) * q->segment_size)
		empty_oldest(q);
}
