/*
 * space: the segments as a whole: which is next, what is left of the disk, whether mail can be accepted.
 *
 * Segments are freed oldest first (reclaim.c). So the log is one run from its oldest segment to its newest, and
 * invariant 3 holds of itself: whatever record says something about a message is younger than the message's first one,
 * and goes later.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/log/disk.h"
#include "queue/queue.h"

enum { SEGMENTS_MAX = 1 << 20, LIVE_MAX = 60000, INDEX_ROOM = 8 << 20, LAST_ROOM = 512 << 10, STALL_S = 20 };

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

uint64_t
space_octets(uint64_t position, uint64_t content_position, const struct part_envelope *e)
{
	uint64_t head = content_position > position ? content_position - position : 0;

	return head + (e->in_file ? 0 : e->content_len);
}

void
space_message_added(struct queue *q, const struct message *m)
{
	struct segment_info *info = space_segment_of(q, m->position);

	if (!info)
		return;
	info->messages++;
	info->live_bytes += space_octets(m->position, m->content_position, &m->e);
}

void
space_message_gone(struct queue *q, const struct message *m)
{
	struct segment_info *info = space_segment_of(q, m->position);
	uint64_t bytes = space_octets(m->position, m->content_position, &m->e);

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

static bool
disk_is_low(const struct queue *q, uint64_t wanted)
{
	struct statvfs st;

	return disk.fstatvfs(q->segments_dir, &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize < wanted;
}

/* With less the index begins no transaction. */
static uint64_t
index_room(const struct queue *q)
{
	return q->segment_size < INDEX_ROOM ? q->segment_size : INDEX_ROOM;
}

/* NULL: mail can be accepted. */
static const char *
why_full(const struct queue *q)
{
	if (q->read_only)
		return "the file system is read-only";
	if (q->no_spare[0] != '\0')
		return q->no_spare;
	/* What is in memory for want of an index must end somewhere. */
	if (trouble_is(q, TROUBLE_INDEX) && q->live.count > LIVE_MAX)
		return q->trouble[TROUBLE_INDEX].text;
	if (q->conf->queue_minfree > 0 && disk_is_low(q, (uint64_t)q->conf->queue_minfree))
		return "insufficient disk space for the queue";
	return NULL;
}

static void
space_decide(struct queue *q)
{
	const char *why = why_full(q);

	set_full(q, why != NULL, why ? why : "");
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
	bool to_keep; /* for the reserve */
	int status;
	struct error err;
};

static void
give(struct queue *q, const struct segment *s, bool reserve)
{
	struct log_work *w = mem_alloc(sizeof(*w));

	w->kind = LOG_SPARE;
	w->segment = *s;
	w->flag = reserve;
	mailbox_put(&q->writer.in, &w->work);
}

static void
give_spare(struct queue *q, const struct segment *s)
{
	give(q, s, false);
	q->spare_wanted = false;
	q->no_spare[0] = '\0';
	space_decide(q);
}

static bool
run_spare(struct task *task)
{
	struct spare_task *t = (struct spare_task *)task;

	if (!t->created) {
		t->status = segment_create(t->dir, t->slot, t->size, &t->segment, &t->err);
		t->created = t->status == 0;
		return false;
	}
	t->status = segment_fill_step(&t->segment, &t->filled, &t->err);
	if (t->status > 0)
		return true;
	if (t->status == 0)
		t->status = segment_fill_end(&t->segment, t->dir, &t->err);
	return false;
}

static void done_spare(struct task *task);

/* Behind the last name that there is for a slot the first one that is free: one of more digits would be no segment to the next start. */
static unsigned
unused_slot(struct queue *q)
{
	char name[16];
	struct stat st;

	for (unsigned tries = 0; tries <= SEGMENT_SLOT_MAX; tries++) {
		unsigned slot = q->next_slot++;

		if (slot > SEGMENT_SLOT_MAX) {
			q->next_slot = 0;
			continue;
		}
		segment_name(slot, name);
		if (fstatat(q->segments_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
			return slot;
	}
	return SEGMENT_SLOT_MAX;
}

static void
make_segment(struct queue *q, uint64_t size, bool to_keep)
{
	struct spare_task *t = mem_alloc(sizeof(*t));

	q->spare_coming = q->spare_begins = true;
	t->q = q;
	t->dir = q->segments_dir;
	t->slot = unused_slot(q);
	t->size = size;
	t->to_keep = to_keep;
	t->task.run = run_spare;
	t->task.done = done_spare;
	worker_put(&q->helper, &t->task);
}

static void
give_reserve(struct queue *q, const struct segment *s)
{
	q->reserve_given = true;
	q->reserve_slot = s->slot;
	give(q, s, true);
}

/*
 * The reserve is used up: each start begins a segment, so a few of them on a full disk are enough. Without another one
 * not even a removal could be recorded, and nothing would be freed ever again. So small ones are made of what is left to
 * the index, for as long as it can work.
 */
static void
make_last_reserve(struct queue *q)
{
	uint64_t longest = atomic_load_explicit(&q->writer.stuck, memory_order_relaxed), size = LAST_ROOM;

	if (longest == 0)
		return;
	size += longest / SEGMENT_PAGE * SEGMENT_PAGE;
	if (size > q->segment_size)
		size = q->segment_size;
	if (!disk_is_low(q, size + index_room(q)))
		make_segment(q, size, true);
}

/*
 * One slot is kept back for the time when no more can be made: what becomes of accepted mail is recorded in it, or in
 * what is left of the segment in use, so that nothing is delivered twice because a disk was full.
 */
static void
no_spare(struct queue *q, const char *why)
{
	if (!q->spare_wanted)
		return;
	span_copy(span_sub(span_of(why), 0, sizeof(q->no_spare) - 1), q->no_spare, sizeof(q->no_spare));
	if (!q->reserve_given && q->free_slot_count > 0)
		give_reserve(q, &q->free_slots[--q->free_slot_count]);
	else if (!q->reserve_given)
		make_last_reserve(q);
	space_decide(q);
}

static void
done_spare(struct task *task)
{
	struct spare_task *t = (struct spare_task *)task;
	struct queue *q = t->q;
	char name[16];

	q->spare_begins = false;
	if (t->status == 0 && t->filled == 0) {
		worker_put(&q->helper, &t->task);
		return;
	}
	q->spare_coming = false;
	if (t->status == 0) {
		trouble_set(q, TROUBLE_LOG, NULL);
		if (t->to_keep)
			give_reserve(q, &t->segment);
		else if (q->spare_wanted)
			give_spare(q, &t->segment);
		else
			q->free_slots[q->free_slot_count++] = t->segment;
		space_want_spare(q);
	} else {
		/* Half a segment is of no use, and its space may be what is missing. */
		if (t->created) {
			segment_name(t->slot, name);
			disk.close(t->segment.fd);
			disk.unlinkat(q->segments_dir, name, 0);
		}
		if (!t->to_keep) /* else it would be tried again at once */
			no_spare(q, t->err.text);
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
	if (q->spare_coming || q->read_only)
		return;
	/* What a start finds ready is left to it, unless the disk has nothing else. */
	if (q->spare_wanted && !q->alone && q->free_slot_count > (q->reserve_given ? 0 : 1))
		give_spare(q, &q->free_slots[--q->free_slot_count]);
	if (!q->spare_wanted && (q->reserve_given || q->free_slot_count > 0))
		return;
	if (!space_has_room(q, q->segment_size)) {
		no_spare(q, "insufficient disk space for the queue");
		return;
	}
	make_segment(q, q->segment_size, false);
}

void
space_on_writer(struct queue *q, struct log_work *w)
{
	struct error err;

	if (w->kind == LOG_BEGUN) {
		space_segment_add(q, &w->segment, w->segment.first + w->segment.size, false);
		q->begun_us = clock_mono_us();
		q->spare_wanted = true;
		if (w->segment.slot == q->reserve_slot)
			q->reserve_given = false;
		space_want_spare(q);
	} else if (w->kind == LOG_SEALED) {
		struct segment_info *info = space_segment_of(q, w->segment.first);

		if (info) {
			info->sealed = true;
			info->end = w->position;
		}
		if (w->text) {
			q->stalled = false;
			error_set(&err, "%s", w->text);
			trouble_set(q, TROUBLE_LOG, &err);
		}
	}
	free(w->text);
	free(w);
}

/* ---- what is looked at every second ---- */

bool
space_index_has_room(const struct queue *q)
{
	return !disk_is_low(q, index_room(q));
}

size_t
space_room_octets(const struct queue *q)
{
	return q->segment_size < 2 * INDEX_ROOM ? LAST_ROOM : INDEX_ROOM;
}

bool
space_is_read_only(const struct queue *q)
{
	struct statvfs st;

	return disk.fstatvfs(q->segments_dir, &st) == 0 && (st.f_flag & ST_RDONLY) != 0;
}

/* A disk that hangs (a network that is gone, a frozen file system) gives no error: those who wait are told all the same. */
static void
look_for_stall(struct queue *q)
{
	int64_t since = atomic_load_explicit(&q->writer.busy_since_us, memory_order_relaxed);
	bool stalled = since != 0 && clock_mono_us() - since > STALL_S * US_PER_SECOND;
	struct error err;

	if (stalled == q->stalled || (stalled && trouble_is(q, TROUBLE_LOG)))
		return;
	q->stalled = stalled;
	error_set(&err, "a write to the log has not ended for %d seconds", STALL_S);
	trouble_set(q, TROUBLE_LOG, stalled ? &err : NULL);
}

void
space_check(struct queue *q)
{
	look_for_stall(q);
	q->read_only = space_is_read_only(q);
	space_want_spare(q);
	space_decide(q);
	if (!q->read_only) {
		reclaim_look(q);
		reclaim_check(q);
	}
	scheduler_run_soon(q);
}

bool
space_can_record(const struct queue *q)
{
	return !q->read_only && atomic_load_explicit(&q->writer.stuck, memory_order_relaxed) == 0;
}
