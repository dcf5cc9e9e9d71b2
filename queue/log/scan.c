#include "queue/log/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/octets.h"
#include "common/mail/queue_id.h"
#include "queue/log/disk.h"

enum { PIECE = 1 << 20 };

/*
 * What no clock gave, with a year for what was counted on from there; none of the sums that are made with it
 * overflows. It is not held against the clock of now: that may be the one which is wrong, as in 1970 behind a flat
 * battery.
 */
static const int64_t far_us = QUEUE_ID_CLOCK_MAX_US + (int64_t)366 * 86400 * US_PER_SECOND;

bool
scan_id_is_sane(uint64_t id)
{
	return queue_id_time_us(id) < far_us;
}

bool
scan_time_is_sane(int64_t spool_us)
{
	return spool_us >= 0 && spool_us < far_us;
}

/* A sector that is gone takes its page, not the segment. */
static size_t
read_pages(struct scanner *c, uint8_t *bytes, size_t len, uint64_t offset)
{
	size_t done = 0;

	while (done < len) {
		size_t page = SEGMENT_PAGE - (size_t)((offset + done) % SEGMENT_PAGE);
		size_t want = len - done < page ? len - done : page;
		ssize_t n = disk_read_all(c->s->fd, bytes + done, want, (off_t)(offset + done));

		if (n < 0) {
			memset(bytes + done, 0, want);
			c->result.unreadable++;
			n = (ssize_t)want;
		}
		done += (size_t)n;
		if ((size_t)n < want)
			break;
	}
	return done;
}

/* What the file has of [at, at + want). */
static struct span
window(struct scanner *c, uint64_t at, size_t want)
{
	uint64_t end = c->base + c->len;
	size_t need;
	ssize_t n;

	if (want > c->limit - at)
		want = (size_t)(c->limit - at);
	if (at >= c->base && at + want <= end)
		return span_make(c->bytes + (at - c->base), (size_t)(end - at));
	if (at < c->base || at >= end)
		c->len = 0;
	else
		memmove(c->bytes, c->bytes + (at - c->base), c->len = (size_t)(end - at));
	c->base = at;
	need = want > PIECE ? want : PIECE;
	if (need > c->limit - at)
		need = (size_t)(c->limit - at);
	if (need > c->cap) {
		c->bytes = mem_resize(c->bytes, need);
		c->cap = need;
	}
	if (need > c->len) {
		n = disk_read_all(c->s->fd, c->bytes + c->len, need - c->len, (off_t)(c->base + c->len));
		if (n < 0)
			n = (ssize_t)read_pages(c, c->bytes + c->len, need - c->len, c->base + c->len);
		c->len += (size_t)n;
	}
	return span_make(c->bytes, c->len);
}

static ptrdiff_t
read_at(struct scanner *c, uint64_t at, struct record *record)
{
	size_t wanted;
	ptrdiff_t n;

	if (at + RECORD_HEADER_SIZE > c->limit)
		return 0;
	n = record_read(window(c, at, RECORD_HEADER_SIZE), c->s->first + at, c->s->salt, record, &wanted);
	if (n == 0 && wanted > RECORD_HEADER_SIZE && wanted <= c->limit - at)
		n = record_read(window(c, at, wanted), c->s->first + at, c->s->salt, record, &wanted);
	return n;
}

/* The next valid record from *at on; commit: only a commit mark will do. Returns false if there is none. */
static bool
find(struct scanner *c, uint64_t *at, bool commit)
{
	struct record record;

	for (uint64_t i = *at; i + RECORD_HEADER_SIZE <= c->limit; i += RECORD_ALIGN) {
		struct span head = window(c, i, RECORD_HEADER_SIZE);

		if (head.len < RECORD_HEADER_SIZE)
			return false;
		if (octets_load(head.ptr + 8, 8) != c->s->first + i)
			continue;
		if (read_at(c, i, &record) > 0 && (!commit || record.type == RECORD_COMMIT)) {
			*at = i;
			return true;
		}
	}
	return false;
}

static void
note_commit(const struct record *record, struct segment_scan *result)
{
	struct part_commit commit;
	struct record_reader reader;
	struct error err;

	if (record_open(record, &commit, &reader, &err) < 0)
		return;
	if (commit.id_high > result->id_high && scan_id_is_sane(commit.id_high))
		result->id_high = commit.id_high;
	if (commit.spool_us > result->spool_us && scan_time_is_sane(commit.spool_us))
		result->spool_us = commit.spool_us;
}

void
scan_begin(struct scanner *c, const struct segment *s, uint64_t from, uint64_t limit)
{
	memset(c, 0, sizeof(*c));
	c->s = s;
	c->at = SEGMENT_HEADER_SIZE;
	c->limit = limit <= s->first ? 0 : limit - s->first;
	if (c->limit > s->size)
		c->limit = s->size;
	c->result.id_high = scan_id_is_sane(s->id_high) ? s->id_high : 0;
	c->result.spool_us = scan_time_is_sane(s->spool_us) ? s->spool_us : 0;
	if (from > s->first + c->at)
		c->at = (from - s->first + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
	c->base = c->at;
	c->result.end = s->first + c->at;
}

int
scan_step(struct scanner *c, uint64_t octets, segment_found *found, segment_damage *damage, void *context,
    struct error *err)
{
	uint64_t stop = c->at + octets, next;
	struct record record;

	while (c->at + RECORD_HEADER_SIZE <= c->limit && c->at < stop) {
		ptrdiff_t n = read_at(c, c->at, &record);

		if (n > 0) {
			c->at += (uint64_t)n;
			c->result.end = c->s->first + c->at;
			if (record.type == RECORD_COMMIT)
				note_commit(&record, &c->result);
			else if (found(c->s, &record, context, err) < 0)
				return -1;
			continue;
		}
		next = c->at + RECORD_ALIGN;
		if (!find(c, &next, true)) {
			c->at = c->limit;
			return 0;
		}
		next = c->at + RECORD_ALIGN;
		find(c, &next, false);
		c->result.damages++;
		c->result.damaged += next - c->at;
		damage(c->s, c->s->first + c->at, next - c->at, context);
		c->at = next;
	}
	return c->at + RECORD_HEADER_SIZE <= c->limit;
}

void
scan_end(struct scanner *c)
{
	free(c->bytes);
	c->bytes = NULL;
}

int
segment_each(const struct segment *s, uint64_t from, segment_found *found, segment_damage *damage,
    void *context, struct segment_scan *result, struct error *err)
{
	struct scanner c;
	int status;

	scan_begin(&c, s, from, UINT64_MAX);
	while ((status = scan_step(&c, UINT64_MAX / 4, found, damage, context, err)) > 0)
		;
	*result = c.result;
	scan_end(&c);
	return status;
}
