#include "queue/log/recovery.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/mail/queue_id.h"
#include "queue/index/query.h"
#include "queue/log/damage.h"
#include "queue/log/disk.h"
#include "queue/log/replay.h"
#include "queue/queue.h"
#include "queue/trouble.h"

enum { AGAIN_S = 5, STORES_MAX = 3, PAGE = 4000, ORPHANS_MAX = 200000 };

enum phase { OPENING, READING, MERGING, FINISHING };

struct recovery {
	struct queue *q;
	enum phase phase;
	bool whole, failed;
	bool at_start;
	bool reading, read_all;
	unsigned storing;
	uint64_t from, limit;
	uint64_t counted_to; /* ids; UINT64_MAX: all are counted as they are found */
	uint64_t rows;
	int64_t began_us;
	struct replay *replay;
	struct event *again;
	void (*retry)(struct recovery *r);
	struct row_batch *kept; /* could not be stored yet; linked by 'next' */
	uint64_t *orphans;
	size_t orphan_count;
};

struct step {
	struct task task;
	struct recovery *r;
	struct index *index;
	struct replay *replay;
	struct row_batch *batch;
	bool renew, more;
	uint64_t limit, oldest, after;
	size_t count;
	struct buf lines, hops;
	struct counted {
		uint64_t id, position, octets;
	} rows[PAGE];
	int status;
	struct error err;
};

static void open_index(struct recovery *r, bool renew);
static void read_on(struct recovery *r);
static void store(struct recovery *r, struct row_batch *b);
static void merge(struct recovery *r);
static void count_on(struct recovery *r);

bool
recovery_error_passes(const struct error *err)
{
	return err->number == ENOSPC || err->number == EDQUOT || err->number == EROFS ||
	       err->number == ENOMEM || err->number == EMFILE || err->number == ENFILE ||
	       err->number == EACCES;
}

static struct step *
step_new(struct recovery *r, bool (*run)(struct task *t), void (*done)(struct task *t))
{
	struct step *s = mem_alloc(sizeof(*s));

	s->r = r;
	s->index = r->q->index;
	s->replay = r->replay;
	s->task.run = run;
	s->task.done = done;
	buf_init(&s->lines, 1 << 20);
	buf_init(&s->hops, 256 << 20);
	return s;
}

static void
step_free(struct step *s)
{
	row_batch_free(&s->batch);
	buf_free(&s->lines);
	buf_free(&s->hops);
	free(s);
}

static void
log_lines(const struct buf *lines)
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

static void
try_again(struct recovery *r, const struct error *err, void (*retry)(struct recovery *r))
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
	open_index(r, true);
}

/* The index is damaged, or so it seems. */
static void
give_up(struct recovery *r, const struct error *err)
{
	if (!r->failed)
		log_error(&queue_log, "%s: the index is rebuilt", err->text);
	r->failed = true;
	try_again(r, err, start_over);
}

/* ---- the index is opened ---- */

static bool
run_open(struct task *t)
{
	struct step *s = (struct step *)t;
	uint64_t position;

	if (!s->renew) {
		s->status = index_reopen(s->index, &s->err);
		/* Nothing is damaged because it cannot be written to. */
		if (s->status < 0 && space_is_read_only(s->r->q))
			s->err.number = EROFS;
		if (s->status < 0 && recovery_error_passes(&s->err)) {
			index_hide(s->index, true);
			return false;
		}
		position = index_position(s->index);
		if (s->status < 0)
			buf_printf(&s->lines, "%s: the index is rebuilt\n", s->err.text);
		else if (position > s->limit)
			buf_append_text(
			    &s->lines, "the index knows of a log that is not there: it is rebuilt\n");
		else if (position < s->oldest && position > 0)
			buf_append_text(&s->lines, "the index is older than the log: it is rebuilt\n");
		else if (position > 0 || s->limit == 0) {
			index_hide(s->index, true);
			return false;
		}
		s->renew = true;
	}
	index_hide(s->index, false);
	s->status = index_renew(s->index, &s->err);
	return false;
}

/* The index is empty: what memory has of messages that were in it is all there is, until they are stored again. */
static void
forget_index(struct recovery *r)
{
	struct queue *q = r->q;
	struct id_set skip = {NULL, 0, 0};
	size_t count;
	uint64_t *ids = message_ids(&q->live, &count);

	for (size_t i = 0; i < q->segment_count; i++) {
		q->segments[i].messages = 0;
		q->segments[i].live_bytes = 0;
	}
	for (size_t i = 0; i < count; i++) {
		struct message *m = message_find(&q->live, ids[i]);

		id_set_add(&skip, m->id);
		r->rows += !m->removed;
		if (m->position != 0 && !m->removal_durable)
			space_message_added(q, m);
		if (!m->indexed)
			continue;
		m->indexed = false;
		young_want_index(q, m);
	}
	free(ids);
	young_reorder(q);
	r->replay = replay_new(q, r->from, r->limit, r->whole, &skip);
}

static void
retry_open(struct recovery *r)
{
	open_index(r, false);
}

static void
retry_renew(struct recovery *r)
{
	open_index(r, true);
}

static void
done_open(struct task *t)
{
	struct step *s = (struct step *)t;
	struct recovery *r = s->r;
	struct queue *q = r->q;
	struct id_set none = {NULL, 0, 0};

	log_lines(&s->lines);
	r->whole = s->renew;
	if (s->status < 0) {
		try_again(r, &s->err, s->renew ? retry_renew : retry_open);
		step_free(s);
		return;
	}
	trouble_set(q, TROUBLE_INDEX, NULL);
	r->phase = READING;
	r->read_all = false;
	r->rows = 0;
	if (r->whole) {
		r->from = 0;
		r->limit = q->durable;
		r->counted_to = UINT64_MAX;
		forget_index(r);
	} else {
		r->from = index_position(q->index);
		r->counted_to = 0;
		r->replay = replay_new(q, r->from, r->limit, false, &none);
	}
	step_free(s);
	read_on(r);
	young_tick(q);
}

static void
open_index(struct recovery *r, bool renew)
{
	struct step *s = step_new(r, run_open, done_open);

	r->phase = OPENING;
	s->renew = renew;
	s->limit = r->limit;
	s->oldest = r->q->segment_count > 0 ? r->q->segments[0].s.first : 0;
	worker_put(&r->q->indexer, &s->task);
}

/* ---- the log is read, and goes into the index ---- */

static bool
run_read(struct task *t)
{
	struct step *s = (struct step *)t;

	s->more = replay_step(s->replay, s->batch) > 0;
	return s->more && !row_batch_is_full(s->batch);
}

static void
done_read(struct task *t)
{
	struct step *s = (struct step *)t;
	struct recovery *r = s->r;
	struct row_batch *b = s->batch;

	r->reading = false;
	replay_take_report(r->replay, &s->lines);
	log_lines(&s->lines);
	r->read_all = !s->more;
	s->batch = NULL;
	step_free(s);
	if (r->failed || b->count == 0) {
		row_batch_free(&b);
		read_on(r);
		return;
	}
	row_batch_ready(b);
	store(r, b);
	read_on(r);
}

static void
read_on(struct recovery *r)
{
	struct step *s;

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
	s = step_new(r, run_read, done_read);
	s->batch = row_batch_new();
	worker_put(&r->q->reader, &s->task);
}

static bool
run_store(struct task *t)
{
	struct step *s = (struct step *)t;
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

	if (record_open(&record, &e, &reader, &err) < 0)
		return;
	r->rows++;
	if (info && r->counted_to == UINT64_MAX) {
		info->messages++;
		info->live_bytes += e.in_file ? 0 : e.content_len;
	}
	while (r->whole && !e.held && record_next(&record, &reader, &p) > 0)
		if (p.state != RECIPIENT_DONE)
			scheduler_note_due(r->q, p.transport, p.nexthop, p.due_spool_us);
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
	struct step *s = (struct step *)t;
	struct recovery *r = s->r;

	r->storing--;
	if (s->status == 0) {
		trouble_set(r->q, TROUBLE_INDEX, NULL);
		for (size_t i = 0; i < s->batch->count && !r->failed; i++)
			note_row(r, &s->batch->changes[i]);
	} else if (!recovery_error_passes(&s->err)) {
		give_up(r, &s->err);
	} else {
		s->batch->next = r->kept;
		r->kept = s->batch;
		s->batch = NULL;
		try_again(r, &s->err, retry_store);
	}
	step_free(s);
	read_on(r);
}

static void
store(struct recovery *r, struct row_batch *b)
{
	struct step *s = step_new(r, run_store, done_store);

	r->storing++;
	s->batch = b;
	worker_put(&r->q->indexer, &s->task);
}

/* ---- what only the index knew is brought up to date ---- */

static bool
run_merge(struct task *t)
{
	struct step *s = (struct step *)t;

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
	struct step *s = (struct step *)t;
	struct recovery *r = s->r;

	replay_take_report(r->replay, &s->lines);
	log_lines(&s->lines);
	if (s->status == 0)
		count_on(r);
	else
		give_up(r, &s->err);
	step_free(s);
}

static void
merge(struct recovery *r)
{
	struct step *s;

	r->phase = MERGING;
	if (r->whole) {
		count_on(r);
		return;
	}
	s = step_new(r, run_merge, done_merge);
	worker_put(&r->q->indexer, &s->task);
}

/* ---- what is left to know ---- */

static bool
count_row(const struct summary *row, void *context)
{
	struct step *s = context;

	if (row->part != 0)
		return true;
	if (s->count == PAGE)
		return false;
	s->rows[s->count++] = (struct counted){
	    .id = row->id, .position = row->position, .octets = row->flags & SUMMARY_IN_FILE ? 0 : row->size};
	return true;
}

static bool
note_hop(struct span hop, int64_t earliest, void *context)
{
	struct step *s = context;
	uint32_t len = (uint32_t)hop.len;

	buf_append(&s->hops, (const char *)&len, sizeof(len));
	buf_append(&s->hops, (const char *)&earliest, sizeof(earliest));
	return buf_append_span(&s->hops, hop) == 0;
}

static void finish(struct recovery *r);

/* The first page comes with the hops; whoever waits for the indexer waits for no more than a page. */
static bool
run_count(struct task *t)
{
	struct step *s = (struct step *)t;

	s->status = s->after == 0 ? index_each_hop(s->index, note_hop, s, &s->err) : 0;
	if (s->status == 0)
		s->status =
		    query_each_summary(s->index, &s->after, PAGE - 1, count_row, s, &s->more, &s->err);
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
done_count(struct task *t)
{
	struct step *s = (struct step *)t;
	struct recovery *r = s->r;
	struct queue *q = r->q;

	if (s->status < 0) {
		give_up(r, &s->err);
		step_free(s);
		return;
	}
	note_hops(q, buf_span(&s->hops));
	for (size_t i = 0; i < s->count; i++) {
		const struct counted *row = &s->rows[i];
		struct message *m = message_find(&q->live, row->id);
		struct segment_info *info = space_segment_of(q, row->position);

		/* What is new since the start was counted when it came. */
		if (row->position >= r->limit || (m && (m->removal_durable || m->position >= r->limit)) ||
		    !info)
			continue;
		r->rows++;
		info->messages++;
		info->live_bytes += row->octets;
	}
	r->counted_to = s->more ? s->after : UINT64_MAX;
	step_free(s);
	count_on(r);
}

static void
count_on(struct recovery *r)
{
	struct step *s;

	r->phase = FINISHING;
	if (r->counted_to == UINT64_MAX) {
		finish(r);
		return;
	}
	s = step_new(r, run_count, done_count);
	s->after = r->counted_to;
	if (r->counted_to == 0)
		r->rows = 0;
	worker_put(&r->q->indexer, &s->task);
}

/* ---- message files without a record ---- */

struct orphan_task {
	struct task task;
	struct queue *q;
	struct index *index;
	uint64_t *ids;
	size_t count, at;
	bool keep; /* records were damaged: one of them may have named it */
	unsigned removed;
};

/* Those that were there before the start: what comes later has its record to come. */
static void
list_files(struct recovery *r)
{
	int fd = dup(r->q->files_dir);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	size_t cap = 0;

	while (d && r->orphan_count < ORPHANS_MAX && (e = readdir(d))) {
		uint64_t id;

		if (queue_id_parse(span_of(e->d_name), &id) < 0)
			continue;
		if (r->orphan_count == cap) {
			cap = cap ? cap * 2 : 256;
			r->orphans = mem_resize(r->orphans, cap * sizeof(uint64_t));
		}
		r->orphans[r->orphan_count++] = id;
	}
	if (d)
		closedir(d);
}

static bool
run_orphans(struct task *task)
{
	struct orphan_task *t = (struct orphan_task *)task;
	struct index_row row;
	struct error err;
	struct buf bytes;
	size_t until = t->at + PAGE;

	buf_init(&bytes, 32 << 20);
	for (; t->at < t->count && t->at < until; t->at++) {
		char name[32];

		if (index_load(t->index, t->ids[t->at], &bytes, &row, &err) != 0)
			continue;
		content_file_name(t->ids[t->at], name);
		if (t->keep)
			damage_move(t->q->files_dir, name, t->q->damaged_dir, name);
		else
			disk.unlinkat(t->q->files_dir, name, 0);
		t->removed++;
	}
	buf_free(&bytes);
	return t->at < t->count;
}

static void
done_orphans(struct task *task)
{
	struct orphan_task *t = (struct orphan_task *)task;

	if (t->removed > 0)
		log_info(&queue_log, "%u message files without a record: %s", t->removed,
		    t->keep ? "moved to damaged/" : "removed");
	free(t->ids);
	free(t);
}

static void
remove_orphans(struct recovery *r)
{
	struct orphan_task *t;
	size_t kept = 0;

	for (size_t i = 0; i < r->orphan_count; i++)
		if (!message_find(&r->q->live, r->orphans[i]))
			r->orphans[kept++] = r->orphans[i];
	if (kept == 0)
		return;
	t = mem_alloc(sizeof(*t));
	t->q = r->q;
	t->index = r->q->index;
	t->ids = r->orphans;
	t->count = kept;
	t->keep = replay_counts(r->replay)->damages > 0;
	r->orphans = NULL;
	t->task.run = run_orphans;
	t->task.done = done_orphans;
	worker_put(&r->q->indexer, &t->task);
}

/* ---- the whole ---- */

static void
finish(struct recovery *r)
{
	struct queue *q = r->q;
	const struct replay_count *count = replay_counts(r->replay);

	if (r->rows > 0 || count->records > 0 || !r->at_start)
		log_info(&queue_log, "%s: %llu messages, %llu records of the log read in %.1f s",
		    r->whole ? "the index is rebuilt" : "the index is up to date",
		    (unsigned long long)r->rows, (unsigned long long)count->records,
		    (double)(clock_mono_us() - r->began_us) / US_PER_SECOND);
	remove_orphans(r);
	q->damages = damage_count(q->damaged_dir);
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
	free(r->orphans);
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
	list_files(r);
	open_index(r, false);
}

bool
recovery_rebuild(struct queue *q)
{
	if (q->recovery)
		return false;
	open_index(recovery_new(q, q->durable), true);
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
