/*
 * replay: the reading half of recovery. See replay.h; the other half is recovery.c, in the loop.
 */
#include "queue/log/replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/octets.h"
#include "common/mail/queue_id.h"
#include "queue/log/damage.h"
#include "queue/log/disk.h"
#include "queue/queue.h"

enum {
	STEP_OCTETS = 1 << 20,
	BATCH_BYTES = 1 << 20,
	ROW_MAX = 32 << 20,
	FIRST_READ = 65536, /* of a message's record: nearly always its whole envelope */
	LINES_MAX = 200,
	KEEP_AT_MOST = 1000,
	MERGE_AT_ONCE = 128
};

struct base {
	uint64_t id, position;
	uint32_t len;
	bool again, snapshot;
};

struct replay {
	struct segment *segments; /* oldest first; the descriptors are queue's */
	size_t segment_count;
	size_t left; /* segments to be read yet */
	uint64_t from, limit;
	bool whole;
	int damaged_dir;

	/* The segment that is being read. */
	bool scanning;
	struct scanner scanner;
	struct base *bases;
	size_t base_count, base_cap;
	struct id_set removed_here;

	struct changes changes;
	struct id_set removed; /* nothing older of these counts */
	struct id_set done; /* nor of these: they were found */
	size_t merge_cursor, remove_cursor;
	struct replay_count count;
	struct buf report;
	unsigned lines;
};

/* ---- batches ---- */

struct row_batch *
row_batch_new(void)
{
	struct row_batch *b = mem_alloc(sizeof(*b));

	buf_init(&b->rows, ROW_MAX + BATCH_BYTES);
	return b;
}

void
row_batch_free(struct row_batch **b)
{
	if (*b)
		buf_free(&(*b)->rows);
	free(*b);
	*b = NULL;
}

bool
row_batch_is_full(const struct row_batch *b)
{
	return b->count == BATCH_ROWS || b->rows.len >= BATCH_BYTES;
}

void
row_batch_ready(struct row_batch *b)
{
	size_t at = 0;

	for (size_t i = 0; i < b->count; i++) {
		b->changes[i].row =
		    b->ends[i] > at ? span_make(buf_ptr(&b->rows) + at, b->ends[i] - at) : span_make(NULL, 0);
		at = b->ends[i];
	}
}

/* m NULL: the row goes. */
static void
add_row(const struct replay *r, struct row_batch *b, uint64_t id, const struct message *m)
{
	struct index_change *c = &b->changes[b->count];

	*c = (struct index_change){.id = id};
	if (m) {
		c->position = m->position;
		c->content_position = m->content_position;
		for (size_t i = r->segment_count; i-- > 0 && c->segment == 0;)
			if (r->segments[i].first <= m->position)
				c->segment = r->segments[i].first;
		if (message_pack(&b->rows, m) < 0)
			panic("a message cannot be packed");
	}
	b->ends[b->count++] = b->rows.len;
}

/* ---- reports ---- */

static bool
may_report(struct replay *r)
{
	return r->lines++ < LINES_MAX;
}

/* " (ID)" where what is left of the record's head says whose it was; its checksum does not vouch for that. */
static void
print_owner(const struct segment *s, uint64_t position, char out[QUEUE_ID_SIZE + 4])
{
	uint8_t head[RECORD_HEADER_SIZE];
	char id[QUEUE_ID_SIZE];
	uint64_t number;

	out[0] = '\0';
	if (disk_read_all(s->fd, head, sizeof(head), (off_t)(position - s->first)) < RECORD_HEADER_SIZE)
		return;
	number = octets_load(head + 16, 8);
	if (octets_load(head + 8, 8) == position && number != 0 && scan_id_is_sane(number))
		snprintf(out, QUEUE_ID_SIZE + 4, " (%s)", queue_id_format(number, id));
}

static void
on_damage(const struct segment *s, uint64_t position, uint64_t len, void *context)
{
	char owner[QUEUE_ID_SIZE + 4];
	struct replay *r = context;

	r->count.damages++;
	if (r->count.damages > KEEP_AT_MOST || !damage_keep(r->damaged_dir, s, position, len) ||
	    !may_report(r))
		return;
	print_owner(s, position, owner);
	buf_printf(&r->report,
	    "segment %06u: %llu octets at log position %llu%s are damaged; set aside as "
	    "damaged/record-%020llu\n",
	    s->slot, (unsigned long long)len, (unsigned long long)position, owner,
	    (unsigned long long)position);
}

/* Its checksum is right and what it says cannot be. */
static void
set_aside(struct replay *r, const struct segment *s, uint64_t position, uint64_t len, const char *why)
{
	r->count.damages++;
	if (r->count.damages > KEEP_AT_MOST || !damage_keep(r->damaged_dir, s, position, len) ||
	    !may_report(r))
		return;
	buf_printf(&r->report, "%s at log position %llu; set aside as damaged/record-%020llu\n", why,
	    (unsigned long long)position, (unsigned long long)position);
}

/* ---- what a segment has ---- */

static void
add_base(struct replay *r, const struct record *record)
{
	if (r->base_count == r->base_cap) {
		r->base_cap = r->base_cap ? r->base_cap * 2 : 1024;
		r->bases = mem_resize(r->bases, r->base_cap * sizeof(*r->bases));
	}
	r->bases[r->base_count++] = (struct base){.id = record->id,
	    .position = record->position,
	    .len = (uint32_t)record->payload.len,
	    .again = (record->flags & RECORD_AGAIN) != 0,
	    .snapshot = record->type == RECORD_SNAPSHOT};
	/* What was said before of that id was of an earlier message, or is in this record. */
	id_set_take(&r->removed_here, record->id);
}

/* The one recipient that it is about, or CHANGE_OTHER. */
static uint32_t
outcome_of(const struct record *record)
{
	union {
		struct part_none none;
		struct part_removal removal;
	} head;
	struct part_outcome outcome;
	struct record_reader reader;
	struct error err;

	if (record->type != RECORD_OUTCOME || record_open(record, &head, &reader, &err) < 0 ||
	    reader.left != 1 || record_next(record, &reader, &outcome) <= 0)
		return CHANGE_OTHER;
	return outcome.index;
}

static int
on_record(const struct segment *s, const struct record *record, void *context, struct error *err)
{
	struct replay *r = context;
	uint64_t len = RECORD_HEADER_SIZE + record->payload.len;

	(void)err;
	r->count.records++;
	if (record->id == 0 && record->type == RECORD_REMOVAL)
		return 0; /* the start's test */
	if (!record_type_is_known(record->type)) {
		if ((record->flags & RECORD_SKIPPABLE) == 0)
			set_aside(r, s, record->position, len, "a record of unknown type");
		return 0;
	}
	if (record->id == 0 || !scan_id_is_sane(record->id)) {
		set_aside(r, s, record->position, len, "a record with an impossible id");
		return 0;
	}
	if (record->id > r->count.id_high)
		r->count.id_high = record->id;
	if (record->type == RECORD_MESSAGE || record->type == RECORD_SNAPSHOT)
		add_base(r, record);
	else if (record->type == RECORD_REMOVAL)
		id_set_add(&r->removed_here, record->id);
	else if (!id_set_has(&r->removed, record->id) && !id_set_has(&r->done, record->id))
		changes_add(&r->changes, record->id, record->position, outcome_of(record));
	return 0;
}

/* ---- messages ---- */

static const struct segment *
segment_at(const struct replay *r, uint64_t position)
{
	for (size_t i = r->segment_count; i-- > 0;)
		if (r->segments[i].first <= position)
			return position - r->segments[i].first < r->segments[i].size ? &r->segments[i] : NULL;
	return NULL;
}

/* NULL with err.text: its checksum was right, but what it says cannot be. NULL without: it cannot be read. */
static struct message *
read_base(const struct segment *s, const struct base *base, struct error *err)
{
	uint64_t at = base->position - s->first + RECORD_HEADER_SIZE;
	size_t len = base->len < FIRST_READ ? base->len : FIRST_READ;
	char *bytes = mem_alloc(len + 1);
	struct part_envelope e;
	struct message *m;
	struct span rest;
	ssize_t n = disk_read_all(s->fd, bytes, len, (off_t)at);

	err->text[0] = '\0';
	if (n == (ssize_t)len && len < base->len) {
		rest = span_make(bytes, len);
		/* The content, which is long, is not wanted. */
		if (part_decode_envelope(&rest, &e) < 0 || e.in_file || e.content_len > base->len ||
		    base->len - e.content_len > len) {
			free(bytes);
			bytes = mem_alloc(len = base->len);
			n = disk_read_all(s->fd, bytes, len, (off_t)at);
		}
	}
	if (n < (ssize_t)len) {
		free(bytes);
		return NULL;
	}
	m = message_from_payload(base->id, bytes, 0, len, err);
	if (!m)
		return NULL;
	if (!m->e.in_file && m->e.content_len > base->len) {
		message_free(&m);
		error_set(err, "a message with less content than it says");
		return NULL;
	}
	m->position = base->position;
	m->content_position =
	    base->position + RECORD_HEADER_SIZE + base->len - (m->e.in_file ? 0 : m->e.content_len);
	m->content = span_make(NULL, 0);
	return m;
}

/* Returns false if the message is removed. */
static bool
apply_one(struct replay *r, struct message *m, uint64_t position)
{
	const struct segment *s = segment_at(r, position);
	char head[512], *bytes = head;
	struct record record;
	struct error err;
	size_t wanted;
	bool removed = false;
	ssize_t n = s ? disk_read_all(s->fd, head, sizeof(head), (off_t)(position - s->first)) : -1;
	ptrdiff_t got =
	    n < 0 ? -1 : record_read(span_make(head, (size_t)n), position, s->salt, &record, &wanted);

	if (got == 0 && wanted > sizeof(head)) {
		bytes = mem_alloc(wanted);
		n = disk_read_all(s->fd, bytes, wanted, (off_t)(position - s->first));
		got = n < 0 ? -1
			    : record_read(span_make(bytes, (size_t)n), position, s->salt, &record, &wanted);
	}
	if (got > 0 && record.id == m->id && message_apply(m, &record, &removed, &err) < 0)
		set_aside(r, s, position, (uint64_t)got, err.text);
	if (bytes != head)
		free(bytes);
	return !removed;
}

static bool
apply_changes(struct replay *r, struct message *m)
{
	size_t count;
	uint64_t *positions = changes_take(&r->changes, m->id, &count);
	bool alive = true;

	for (size_t i = 0; i < count && alive; i++)
		if (positions[i] > m->position)
			alive = apply_one(r, m, positions[i]);
	free(positions);
	/* All is done, and the power went before the removal was durable: it would stay for ever. */
	return alive && m->open > 0;
}

static void
found(struct replay *r, const struct segment *s, const struct base *base, struct row_batch *out)
{
	struct message *m;
	struct error err;
	size_t count;

	if (id_set_has(&r->done, base->id))
		return;
	if (id_set_has(&r->removed, base->id)) {
		free(changes_take(&r->changes, base->id, &count));
		/* Nothing is older than a message's first record, unless it had to be written again. */
		if (r->whole && !base->snapshot && !base->again)
			id_set_take(&r->removed, base->id);
		return;
	}
	m = read_base(s, base, &err);
	if (!m) {
		set_aside(r, s, base->position, RECORD_HEADER_SIZE + base->len,
		    err.text[0] ? err.text : "a message that cannot be read");
		return;
	}
	if (!r->whole || base->snapshot || base->again)
		id_set_add(&r->done, base->id);
	if (apply_changes(r, m)) {
		r->count.messages++;
		add_row(r, out, m->id, m);
	} else if (!r->whole) { /* the index may have it from before */
		id_set_take(&r->done, m->id);
		id_set_add(&r->removed, m->id);
	}
	message_free(&m);
}

/* ---- steps ---- */

static void
end_scan(struct replay *r)
{
	r->count.octets += r->scanner.result.end - r->scanner.s->first;
	if (r->scanner.result.unreadable > 0 && may_report(r))
		buf_printf(&r->report, "segment %06u: %u pages cannot be read\n", r->scanner.s->slot,
		    r->scanner.result.unreadable);
	if (r->scanner.result.id_high > r->count.id_high)
		r->count.id_high = r->scanner.result.id_high;
	scan_end(&r->scanner);
	r->scanning = false;
	/* What this segment says was removed is removed from all older ones. */
	id_set_add_all(&r->removed, &r->removed_here);
}

int
replay_step(struct replay *r, struct row_batch *out)
{
	struct error err;

	if (r->scanning) {
		if (scan_step(&r->scanner, STEP_OCTETS, on_record, on_damage, r, &err) <= 0)
			end_scan(r);
		return 1;
	}
	while (r->base_count > 0 && !row_batch_is_full(out))
		found(r, &r->segments[r->left], &r->bases[--r->base_count], out);
	if (r->base_count > 0)
		return 1;
	while (r->left > 0) {
		const struct segment *s = &r->segments[--r->left];

		if (s->first + s->size <= r->from || s->first >= r->limit)
			continue;
		scan_begin(&r->scanner, s, r->from, r->limit);
		r->scanning = true;
		return 1;
	}
	return 0;
}

/* One message that the index has and the log's end says something of. */
static int
merge_one(struct replay *r, struct index *x, uint64_t id, struct row_batch *out, struct error *err)
{
	struct index_row row;
	struct message *m;
	struct buf bytes;
	size_t count;
	int got;

	buf_init(&bytes, ROW_MAX);
	index_hide(x, false);
	got = index_load(x, id, &bytes, &row, err);
	index_hide(x, true);
	if (got <= 0) {
		free(changes_take(&r->changes, id, &count)); /* of a message that is gone */
		buf_free(&bytes);
		return got;
	}
	m = message_from_payload(id, mem_strndup(row.payload.ptr, row.payload.len), 0, row.payload.len, err);
	buf_free(&bytes);
	if (!m)
		return -1;
	m->position = row.position;
	m->content_position = row.content_position;
	add_row(r, out, id, apply_changes(r, m) ? m : NULL);
	message_free(&m);
	return 0;
}

int
replay_merge(struct replay *r, struct index *x, struct error *err)
{
	struct row_batch *out = row_batch_new();
	int status = 0;
	uint64_t id;
	size_t n;

	while (status == 0 && out->count < MERGE_AT_ONCE && !row_batch_is_full(out) &&
	       (id = id_set_next(&r->removed, &r->remove_cursor)) != 0) {
		free(changes_take(&r->changes, id, &n));
		if (!id_set_has(&r->done, id))
			add_row(r, out, id, NULL);
	}
	for (n = 0; n < MERGE_AT_ONCE && status == 0 && !row_batch_is_full(out) &&
		    (id = changes_any(&r->changes, &r->merge_cursor)) != 0;
	     n++)
		status = merge_one(r, x, id, out, err);
	row_batch_ready(out);
	if (status == 0 && out->count > 0)
		status = index_apply(x, out->changes, out->count, index_position(x), err);
	n += out->count;
	row_batch_free(&out);
	return status < 0 ? -1 : n > 0;
}

/* ---- the whole ---- */

struct replay *
replay_new(const struct queue *q, uint64_t from, uint64_t limit, bool whole, struct id_set *skip)
{
	struct replay *r = mem_alloc(sizeof(*r));

	r->segments = mem_alloc_array(q->segment_count + 1, sizeof(*r->segments));
	for (size_t i = 0; i < q->segment_count; i++)
		r->segments[i] = q->segments[i].s;
	r->segment_count = r->left = q->segment_count;
	r->from = from;
	r->limit = limit;
	r->whole = whole;
	r->damaged_dir = q->damaged_dir;
	r->done = *skip;
	memset(skip, 0, sizeof(*skip));
	buf_init(&r->report, 1 << 20);
	return r;
}

void
replay_free(struct replay **r)
{
	struct replay *gone = *r;

	*r = NULL;
	if (!gone)
		return;
	if (gone->scanning)
		scan_end(&gone->scanner);
	changes_free(&gone->changes);
	id_set_free(&gone->removed);
	id_set_free(&gone->removed_here);
	id_set_free(&gone->done);
	buf_free(&gone->report);
	free(gone->bases);
	free(gone->segments);
	free(gone);
}

bool
replay_has_removed(const struct replay *r, uint64_t id)
{
	return id_set_has(&r->removed, id);
}

const struct replay_count *
replay_counts(const struct replay *r)
{
	return &r->count;
}

void
replay_take_report(struct replay *r, struct buf *lines)
{
	buf_append_span(lines, buf_span(&r->report));
	buf_clear(&r->report);
}
