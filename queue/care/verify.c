/*
 * verify: log and index against each other.
 *
 * The log is read whole: every record's checksum and form. Beside a queue that works the other side is its own listing,
 * taken before the log is read: what is listed must be in the log or have been removed since, what the log has and was
 * there by then must be listed. Of a queue that is stopped the index itself is read: of every message that nothing was
 * said of since the index was last stored, row, keys and summaries must be what the log makes of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/mail/queue_id.h"
#include "queue/care/care.h"
#include "queue/index/check.h"
#include "queue/index/rows.h"

enum {
	YOUNG_S = 10,
	LINE_MAX_OCTETS = 1 << 20,
	SCAN_ROWS = 4000,
	ROW_OCTETS_MAX = 32 << 20,
	CACHE = 16 << 20,
	LOG = 1 << 20
};

struct verify {
	struct id_set live, listed, touched, without_file;
	struct index *index; /* of a stopped queue */
	int64_t began_us;
	bool running;
	uint64_t messages;
};

#define ID_TEXT(id) queue_id_format((id), (char[QUEUE_ID_SIZE]){0})

/* ---- a queue that runs ---- */

static void
read_listing(struct verify *v)
{
	char *line = NULL;
	size_t cap = 0;

	while (getline(&line, &cap, stdin) > 0) {
		const char *at = strstr(line, "\"queue_id\"");
		uint64_t id;

		at = at ? strchr(at + 10, '"') : NULL;
		if (at && queue_id_parse(span_sub(span_of(at + 1), 0, QUEUE_ID_LEN), &id) == 0)
			id_set_add(&v->listed, id);
	}
	free(line);
}

static void
check_listing(struct care *c, struct verify *v, struct replay *r)
{
	size_t cursor = 0;
	uint64_t id;

	while ((id = id_set_next(&v->listed, &cursor)) != 0)
		if (!id_set_has(&v->live, id) && !replay_has_removed(r, id))
			care_finding(c, "%s: listed, but the log does not have it", ID_TEXT(id));
}

/* ---- a queue that is stopped ---- */

static int
note_touched(const struct segment *s, const struct record *record, void *context, struct error *err)
{
	struct verify *v = context;

	(void)s;
	(void)err;
	if (record->id != 0)
		id_set_add(&v->touched, record->id);
	return 0;
}

static void
no_damage(const struct segment *s, uint64_t position, uint64_t len, void *context)
{
	(void)s;
	(void)position;
	(void)len;
	(void)context;
}

static void
open_index(struct care *c, struct verify *v)
{
	struct segment_scan scan;
	struct error err;

	v->index = index_open("index", CACHE, LOG, &err);
	if (!v->index) {
		care_finding(c, "%s: it will be rebuilt at the next start", err.text);
		return;
	}
	for (size_t i = 0; i < c->q.segment_count; i++) {
		const struct segment *s = &c->q.segments[i].s;

		if (s->first + s->size > index_position(v->index))
			segment_each(s, index_position(v->index), note_touched, no_damage, v, &scan, &err);
	}
}

/* A route's generation is no more than its age: who asked for it anew and got the same has not recorded that. */
static bool
pack_without_age(uint64_t id, struct span payload, struct buf *out)
{
	struct error err;
	struct message *m =
	    message_from_payload(id, mem_strndup(payload.ptr, payload.len), 0, payload.len, &err);
	bool packed;

	if (!m)
		return false;
	for (uint32_t i = 0; i < m->count; i++)
		m->recipients[i]->p.generation = 0;
	packed = message_pack(out, m) == 0;
	message_free(&m);
	return packed;
}

static bool
says_the_same(uint64_t id, struct span a, struct span b)
{
	struct buf x, y;
	bool same;

	if (span_equal(a, b))
		return true;
	buf_init(&x, ROW_OCTETS_MAX);
	buf_init(&y, ROW_OCTETS_MAX);
	same = pack_without_age(id, a, &x) && pack_without_age(id, b, &y) &&
	       span_equal(buf_span(&x), buf_span(&y));
	buf_free(&x);
	buf_free(&y);
	return same;
}

static void
check_row(struct care *c, struct verify *v, const struct index_change *row)
{
	struct index_row found;
	struct buf bytes;
	struct error err;
	int got;

	if (id_set_has(&v->touched, row->id))
		return;
	buf_init(&bytes, ROW_OCTETS_MAX);
	got = index_load(v->index, row->id, &bytes, &found, &err);
	if (got < 0)
		care_finding(c, "%s: %s", ID_TEXT(row->id), err.text);
	else if (got == 0)
		care_finding(c, "%s: in the log, but not in the index", ID_TEXT(row->id));
	else if (found.position != row->position || !says_the_same(row->id, found.payload, row->row))
		care_finding(c, "%s: the index says something else than the log", ID_TEXT(row->id));
	else if (index_check(v->index, &found, &err) < 0)
		care_finding(c, "%s: %s", ID_TEXT(row->id), err.text);
	buf_free(&bytes);
}

struct extra {
	struct care *c;
	struct verify *v;
};

static bool
check_extra(const struct summary *row, void *context)
{
	struct extra *e = context;

	if (row->part == 0 && !id_set_has(&e->v->live, row->id) && !id_set_has(&e->v->touched, row->id))
		care_finding(e->c, "%s: in the index, but not in the log", ID_TEXT(row->id));
	return true;
}

static void
check_index(struct care *c, struct verify *v)
{
	struct extra extra = {c, v};
	uint64_t after = 0;
	bool more = true;
	struct error err;

	while (more)
		if (rows_each(v->index, &after, UINT64_MAX, SCAN_ROWS, check_extra, &extra, &more, &err) <
		    0) {
			care_finding(c, "%s", err.text);
			return;
		}
}

/* ---- both ---- */

static void
on_row(struct care *c, const struct index_change *row, void *context)
{
	struct verify *v = context;

	v->messages++;
	id_set_add(&v->live, row->id);
	if (!care_file_is_whole(c->q.files_dir, row))
		id_set_add(&v->without_file, row->id);
	if (v->index)
		check_row(c, v, row);
	else if (v->running && !id_set_has(&v->listed, row->id) &&
		 queue_id_time_us(row->id) < v->began_us - YOUNG_S * US_PER_SECOND)
		care_finding(c, "%s: in the log, but not listed", ID_TEXT(row->id));
}

/* Of those whose file was missing: is it still, now that the log was read once more? */
static void
on_row_again(struct care *c, const struct index_change *row, void *context)
{
	struct verify *v = context;

	if (id_set_has(&v->without_file, row->id) && !care_file_is_whole(c->q.files_dir, row))
		care_finding(c, "%s: its file is missing or too short", ID_TEXT(row->id));
}

static void
check_files(struct care *c, struct verify *v, int spool)
{
	static struct care again;
	struct replay *r;
	struct error err;

	if (v->without_file.count == 0)
		return;
	sleep(1);
	again.gently = c->gently;
	if (care_open(&again, spool, &err) < 0)
		return;
	again.quiet = true;
	r = care_replay(&again, on_row_again, v);
	replay_free(&r);
	c->findings += again.findings;
	care_close(&again);
}

int
care_verify(struct care *c, int spool, bool running)
{
	struct verify v = {.running = running, .began_us = clock_wall_us()};
	struct replay *r;

	if (running)
		read_listing(&v);
	else
		open_index(c, &v);
	r = care_replay(c, on_row, &v);
	if (running)
		check_listing(c, &v, r);
	if (v.index)
		check_index(c, &v);
	check_files(c, &v, spool);
	index_close(&v.index);
	printf("%llu messages in the queue, %llu records in %zu segments: %llu findings\n",
	    (unsigned long long)v.messages, (unsigned long long)replay_counts(r)->records, c->q.segment_count,
	    (unsigned long long)c->findings);
	replay_free(&r);
	id_set_free(&v.live);
	id_set_free(&v.listed);
	id_set_free(&v.touched);
	id_set_free(&v.without_file);
	return c->findings > 0;
}
