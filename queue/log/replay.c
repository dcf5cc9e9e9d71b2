/*
 * replay: from the log and the index as they lie on the disk to what queue knows.
 *
 * Runs before the threads: the loop owns everything. Records from the index's position on are applied in order; what
 * the index knows already is recognised by position and attempt (invariant 6), so that replaying again, or from
 * further back, comes to the same.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "queue/log/disk.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

enum { IN_MEMORY_MAX = 20000, FLUSH_AT_ONCE = 500, ROW_MAX = 32 << 20 };

struct replay {
	struct queue *q;
	struct buf row;
	uint64_t from;
	uint64_t records, messages, damages;
	uint64_t id_high;
	int64_t spool_us;
};

/* ---- the segments ---- */

static int
compare_segments(const void *a, const void *b)
{
	const struct segment_info *x = a, *y = b;

	return x->s.first < y->s.first ? -1 : x->s.first > y->s.first;
}

static int
find_segments(struct queue *q, struct error *err)
{
	int fd = dup(q->segments_dir);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int status = 0;

	if (!d)
		return error_errno(err, "reading the segments' directory");
	while (status == 0 && (e = readdir(d))) {
		struct segment s;
		uint64_t slot;
		int got;

		if (number_parse(span_of(e->d_name), 0, 999999, &slot) < 0)
			continue;
		if (slot >= q->next_slot)
			q->next_slot = (unsigned)slot + 1;
		got = segment_open(q->segments_dir, (unsigned)slot, &s, err);
		if (got < 0)
			status = -1;
		else if (got > 0)
			space_segment_add(q, &s, s.first + s.size, true);
		else if (s.size == q->segment_size &&
			 q->free_slot_count < sizeof(q->free_slots) / sizeof(q->free_slots[0]))
			q->free_slots[q->free_slot_count++] = s;
		else {
			disk.close(s.fd);
			disk.unlinkat(q->segments_dir, e->d_name, 0);
		}
	}
	closedir(d);
	if (q->segment_count > 1)
		qsort(q->segments, q->segment_count, sizeof(*q->segments), compare_segments);
	return status;
}

/* ---- applying records ---- */

static int
flush_to_index(struct replay *r, struct error *err)
{
	struct queue *q = r->q;
	struct index_change changes[FLUSH_AT_ONCE];
	struct buf rows[FLUSH_AT_ONCE];
	struct message *m;
	size_t n = 0;
	int status;

	while (n < FLUSH_AT_ONCE && (m = TAILQ_FIRST(&q->unreflected))) {
		struct segment_info *info = space_segment_of(q, m->position);

		buf_init(&rows[n], ROW_MAX);
		if (message_pack(&rows[n], m) < 0)
			panic("a message cannot be packed");
		changes[n] = (struct index_change){.id = m->id,
		    .position = m->position,
		    .content_position = m->content_position,
		    .segment = info ? info->s.first : 0,
		    .row = m->removed ? span_make(NULL, 0) : buf_span(&rows[n])};
		n++;
		TAILQ_REMOVE(&q->unreflected, m, unreflected_link);
		message_take_out(&q->live, m);
		message_free(&m);
	}
	/* The position stays: only a whole replay counts. */
	status = index_apply(q->index, changes, n, index_position(q->index), err);
	for (size_t i = 0; i < n; i++)
		buf_free(&rows[i]);
	server_progress(q->server, "replaying the log");
	return status;
}

static void
keep(struct replay *r, struct message *m, uint64_t position)
{
	struct queue *q = r->q;

	message_add(&q->live, m);
	m->unreflected = position;
	m->unreflected_since_us = clock_mono_us();
	TAILQ_INSERT_TAIL(&q->unreflected, m, unreflected_link);
}

static void
forget(struct replay *r, struct message *m)
{
	TAILQ_REMOVE(&r->q->unreflected, m, unreflected_link);
	message_take_out(&r->q->live, m);
	message_free(&m);
}

/* MESSAGE or SNAPSHOT: all that was said of that id before is replaced. */
static int
replay_message(struct replay *r, const struct record *record, struct error *err)
{
	struct queue *q = r->q;
	struct message *old = message_find(&q->live, record->id), *m;
	bool indexed = old && old->indexed;
	struct index_row row;
	int got = 0;

	if (old && old->removed)
		return 0;
	if (!old && (got = index_load(q->index, record->id, &r->row, &row, err)) < 0)
		return -1;
	if (got > 0 && row.position >= record->position)
		return 0;
	m = message_from_payload(
	    record->id, mem_strndup(record->payload.ptr, record->payload.len), 0, record->payload.len, err);
	if (!m) {
		log_error(QUEUE_LOG(record->id), "%s at log position %llu is set aside", err->text,
		    (unsigned long long)record->position);
		return 0;
	}
	if (old)
		forget(r, old);
	m->position = record->position;
	m->content_position = record->position + RECORD_HEADER_SIZE + record->payload.len - m->e.content_len;
	if (m->e.in_file)
		m->content_position = 0;
	else if (!m->content.ptr && m->e.content_len > 0)
		m->content_position = record->position;
	m->indexed = indexed || got > 0;
	message_drop_content(m);
	r->messages++;
	keep(r, m, record->position);
	return 0;
}

static int
replay_change(struct replay *r, const struct record *record, struct error *err)
{
	struct queue *q = r->q;
	struct message *m = message_find(&q->live, record->id);
	bool removed;

	if (!m) {
		struct index_row row;
		int got = index_load(q->index, record->id, &r->row, &row, err);

		if (got < 0)
			return -1;
		if (got == 0)
			return 0; /* of a message that is gone */
		m = message_from_payload(
		    record->id, mem_strndup(row.payload.ptr, row.payload.len), 0, row.payload.len, err);
		if (!m)
			return -1;
		m->position = row.position;
		m->content_position = row.content_position;
		m->indexed = true;
		keep(r, m, record->position);
	}
	if (m->removed)
		return 0;
	if (message_apply(m, record, &removed, err) < 0) {
		log_error(QUEUE_LOG(record->id), "%s at log position %llu is set aside", err->text,
		    (unsigned long long)record->position);
		return 0;
	}
	m->fresh = false;
	if (removed && !m->indexed)
		forget(r, m);
	else if (removed)
		m->removed = m->removal_durable = true;
	return 0;
}

static int
on_record(const struct segment *s, const struct record *record, void *context, struct error *err)
{
	struct replay *r = context;

	(void)s;
	r->records++;
	if (record->id > r->id_high)
		r->id_high = record->id;
	if (record->type == RECORD_MESSAGE || record->type == RECORD_SNAPSHOT) {
		if (replay_message(r, record, err) < 0)
			return -1;
	} else if (replay_change(r, record, err) < 0) {
		return -1;
	}
	if (r->q->live.count > IN_MEMORY_MAX)
		return flush_to_index(r, err);
	return 0;
}

/* Damage is kept for whoever can make sense of it. */
static void
on_damage(const struct segment *s, uint64_t position, struct span bytes, void *context)
{
	struct replay *r = context;
	char name[64];
	int fd;

	r->damages++;
	snprintf(name, sizeof(name), "damaged-%020llu", (unsigned long long)position);
	fd = disk.openat(r->q->files_dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0) {
		disk_write_all(fd, bytes.ptr, bytes.len, 0);
		disk.close(fd);
	}
	log_error(&queue_log,
	    "segment %06u: %zu octets at log position %llu are damaged; set aside as messages/%s", s->slot,
	    bytes.len, (unsigned long long)position, name);
}

/* ---- afterwards ---- */

struct count_walk {
	struct queue *q;
	uint64_t known;
};

static bool
count_row(const struct index_row *row, void *context)
{
	struct count_walk *w = context;
	struct span rest = row->payload;
	struct part_envelope e;
	struct segment_info *info = space_segment_of(w->q, row->position);

	if (message_find(&w->q->live, row->id) || part_decode_envelope(&rest, &e) < 0)
		return true;
	w->known++;
	if (info) {
		info->messages++;
		info->live_bytes += e.in_file ? 0 : e.content_len;
	}
	if (row->id > w->q->id_high)
		w->q->id_high = row->id;
	return true;
}

static bool
note_hop(struct span hop, int64_t earliest, void *context)
{
	scheduler_note_hop(context, hop, earliest);
	return true;
}

/* Files whose record was never written, and none else. */
static int
remove_orphans(struct queue *q, struct error *err)
{
	int fd = dup(q->files_dir);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct buf row;

	if (!d)
		return error_errno(err, "reading the message files' directory");
	buf_init(&row, ROW_MAX);
	while ((e = readdir(d))) {
		struct index_row found;
		uint64_t id;

		if (queue_id_parse(span_of(e->d_name), &id) < 0 || message_find(&q->live, id))
			continue;
		if (index_load(q->index, id, &row, &found, err) == 0)
			disk.unlinkat(q->files_dir, e->d_name, 0);
	}
	buf_free(&row);
	closedir(d);
	return 0;
}

static void
make_ready(struct queue *q)
{
	uint64_t *ids;
	size_t count;

	ids = message_ids(&q->live, &count);
	for (size_t i = 0; i < count; i++) {
		struct message *m = message_find(&q->live, ids[i]);

		if (!m->removed)
			space_message_added(q, m);
		young_want_index(q, m);
		if (!m->removed)
			scheduler_add(q, m, false);
	}
	free(ids);
}

static int
read_log(struct replay *r, uint64_t *number, uint64_t *first, struct error *err)
{
	struct queue *q = r->q;

	for (size_t i = 0; i < q->segment_count; i++) {
		struct segment_info *info = &q->segments[i];
		struct segment_scan scan = {.end = info->s.first + info->s.size};

		if (info->s.number >= *number)
			*number = info->s.number + 1;
		if (info->s.first + info->s.size > *first)
			*first = info->s.first + info->s.size;
		if (info->s.first + info->s.size > r->from) {
			if (segment_each(&info->s, r->from, on_record, on_damage, r, &scan, err) < 0)
				return -1;
			server_progress(q->server, "replaying the log");
		} else {
			scan.id_high = info->s.id_high;
			scan.spool_us = info->s.spool_us;
		}
		info->end = scan.end;
		if (scan.id_high > r->id_high)
			r->id_high = scan.id_high;
		if (scan.spool_us > r->spool_us)
			r->spool_us = scan.spool_us;
	}
	return 0;
}

/* An index that cannot be used, or knows of a log that is not there, is made anew. */
static int
open_index(struct queue *q, size_t cache, bool wipe, struct error *err)
{
	if (!wipe) {
		q->index = index_open("index", cache, cache / 4, err);
		if (q->index)
			return 0;
		log_warning(&queue_log, "%s: the index is rebuilt", err->text);
	}
	if (index_wipe("index", err) < 0)
		return -1;
	q->index = index_open("index", cache, cache / 4, err);
	return q->index ? 0 : -1;
}

int
replay_run(struct queue *q, uint64_t *next_number, uint64_t *next_first, struct error *err)
{
	struct replay r = {.q = q};
	struct count_walk walk = {.q = q};
	size_t cache = (size_t)(q->segment_size < 16 << 20 ? 1 << 20 : 16 << 20);
	uint64_t end = 0;
	int status = 0;

	*next_number = 1;
	*next_first = 0;
	if (find_segments(q, err) < 0 || open_index(q, cache, false, err) < 0)
		return -1;
	if (q->segment_count > 0)
		end = q->segments[q->segment_count - 1].s.first + q->segments[q->segment_count - 1].s.size;
	if (index_position(q->index) > end) {
		log_warning(&queue_log, "the index knows of a log that is not there: it is rebuilt");
		index_close(&q->index);
		if (open_index(q, cache, true, err) < 0)
			return -1;
	}
	buf_init(&r.row, ROW_MAX);
	r.from = index_position(q->index);
	if (read_log(&r, next_number, next_first, err) < 0)
		status = -1;
	q->id_high = r.id_high;
	spool_clock_start(r.spool_us, clock_wall_us());
	if (status == 0)
		status = index_each(q->index, 0, count_row, &walk, err);
	if (status == 0)
		status = index_each_hop(q->index, note_hop, q, err);
	if (status == 0)
		status = remove_orphans(q, err);
	buf_free(&r.row);
	if (status == 0) {
		make_ready(q);
		if (r.records > 0 || walk.known > 0)
			log_info(&queue_log, "%zu messages in the queue, %llu records replayed",
			    (size_t)walk.known + q->live.count, (unsigned long long)r.records);
	}
	return status;
}
