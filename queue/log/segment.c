#include "queue/log/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "queue/log/disk.h"

enum { FILL_STEP = 1 << 20 };

static const char magic[8] = {'P', 'o', 's', 't', 'e', 'r', 'n', 'L'};

/* The header's own checksum needs no secret: it tells a torn page from a whole one. */
static const uint8_t header_key[16] = "postern-segment";

uint64_t
segment_size_for(int dir_fd)
{
	const uint64_t most = 64 << 20, least = 1 << 20;
	struct statvfs st;
	uint64_t size = most;

	if (disk.fstatvfs(dir_fd, &st) == 0 && (uint64_t)st.f_blocks * st.f_frsize / 16 < most)
		size = (uint64_t)st.f_blocks * st.f_frsize / 16;
	size -= size % SEGMENT_PAGE;
	return size < least ? least : size;
}

void
segment_name(unsigned slot, char name[16])
{
	snprintf(name, 16, "%06u", slot);
}

static void
store(uint8_t *p, uint64_t value, size_t octets)
{
	for (size_t i = 0; i < octets; i++)
		p[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t
load(const uint8_t *p, size_t octets)
{
	uint64_t v = 0;

	for (size_t i = octets; i-- > 0;)
		v = v << 8 | p[i];
	return v;
}

void
segment_header(const struct segment *s, uint8_t page[SEGMENT_HEADER_SIZE])
{
	memset(page, 0, SEGMENT_HEADER_SIZE);
	memcpy(page, magic, sizeof(magic));
	store(page + 8, SEGMENT_VERSION, 4);
	store(page + 16, s->number, 8);
	store(page + 24, s->first, 8);
	store(page + 32, s->size, 8);
	store(page + 40, s->id_high, 8);
	store(page + 48, (uint64_t)s->spool_us, 8);
	memcpy(page + 56, s->salt, RECORD_SALT_SIZE);
	store(page + SEGMENT_HEADER_SIZE - 8, siphash(header_key, page, SEGMENT_HEADER_SIZE - 8), 8);
}

static int
header_read(struct segment *s, struct error *err)
{
	uint8_t page[SEGMENT_HEADER_SIZE];
	ssize_t n = disk_read_all(s->fd, page, sizeof(page), 0);
	char name[16];

	segment_name(s->slot, name);
	if (n < 0)
		return error_errno(err, "reading segment %s", name);
	if (n < SEGMENT_HEADER_SIZE || memcmp(page, magic, sizeof(magic)) != 0 ||
	    load(page + SEGMENT_HEADER_SIZE - 8, 8) != siphash(header_key, page, SEGMENT_HEADER_SIZE - 8))
		return 0;
	if (load(page + 8, 4) > SEGMENT_VERSION)
		return error_set(err, "segment %s has format %u, which this version does not know", name,
		    (unsigned)load(page + 8, 4));
	s->number = load(page + 16, 8);
	s->first = load(page + 24, 8);
	s->id_high = load(page + 40, 8);
	s->spool_us = (int64_t)load(page + 48, 8);
	memcpy(s->salt, page + 56, RECORD_SALT_SIZE);
	if (s->first > UINT64_MAX / 2 || load(page + 32, 8) > s->size)
		return 0;
	s->size = load(page + 32, 8);
	return 1;
}

int
segment_open(int dir_fd, unsigned slot, struct segment *s, struct error *err)
{
	char name[16];
	struct stat st;
	int got;

	memset(s, 0, sizeof(*s));
	s->slot = slot;
	segment_name(slot, name);
	s->fd = disk.openat(dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
	if (s->fd < 0)
		return error_errno(err, "opening segment %s", name);
	if (fstat(s->fd, &st) < 0) {
		got = error_errno(err, "segment %s", name);
	} else {
		s->size = (uint64_t)st.st_size;
		got = header_read(s, err);
	}
	if (got < 0) {
		disk.close(s->fd);
		s->fd = -1;
	}
	return got;
}

int
segment_create(int dir_fd, unsigned slot, uint64_t size, struct segment *s, struct error *err)
{
	char name[16];

	memset(s, 0, sizeof(*s));
	s->slot = slot;
	s->size = size;
	segment_name(slot, name);
	s->fd = disk.openat(dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0)
		return error_errno(err, "creating segment %s", name);
	return 0;
}

int
segment_fill_step(struct segment *s, uint64_t *done, struct error *err)
{
	static const uint8_t zeros[FILL_STEP];
	uint64_t left = s->size - *done;
	size_t len = left < FILL_STEP ? (size_t)left : FILL_STEP;

	if (len > 0 && disk_write_all(s->fd, zeros, len, (off_t)*done) < 0)
		return error_errno(err, "filling a new segment");
	*done += len;
	return *done < s->size;
}

int
segment_fill_end(struct segment *s, int dir_fd, struct error *err)
{
	if (disk.fsync(s->fd) < 0 || disk.fsync(dir_fd) < 0)
		return error_errno(err, "syncing a new segment");
	return 0;
}

int
segment_erase(struct segment *s, struct error *err)
{
	static const uint8_t zeros[SEGMENT_HEADER_SIZE];

	if (disk_write_all(s->fd, zeros, sizeof(zeros), 0) < 0 || disk.fdatasync(s->fd) < 0)
		return error_errno(err, "erasing segment %06u", s->slot);
	return 0;
}

/* ---- reading ---- */

struct scanner {
	const struct segment *s;
	uint8_t *bytes; /* from offset 'base' of the file */
	uint64_t base;
	size_t len;
};

static struct span
scanner_at(const struct scanner *c, uint64_t offset)
{
	return span_make(c->bytes + (offset - c->base), c->len - (size_t)(offset - c->base));
}

static ptrdiff_t
scanner_read(const struct scanner *c, uint64_t offset, struct record *record)
{
	size_t wanted;

	return record_read(scanner_at(c, offset), c->s->first + offset, c->s->salt, record, &wanted);
}

/* The next valid record from offset on; commit: only a commit mark will do. Returns false if there is none. */
static bool
scanner_find(const struct scanner *c, uint64_t *offset, bool commit)
{
	struct record record;

	for (uint64_t at = *offset; at - c->base + RECORD_HEADER_SIZE <= c->len; at += RECORD_ALIGN) {
		if (load(c->bytes + (at - c->base) + 8, 8) != c->s->first + at)
			continue;
		if (scanner_read(c, at, &record) > 0 && (!commit || record.type == RECORD_COMMIT)) {
			*offset = at;
			return true;
		}
	}
	return false;
}

static void
note_commit(const struct record *record, struct segment_scan *scan)
{
	struct part_commit commit;
	struct record_reader reader;
	struct error err;

	if (record_open(record, &commit, &reader, &err) < 0)
		return;
	if (commit.id_high > scan->id_high)
		scan->id_high = commit.id_high;
	if (commit.spool_us > scan->spool_us)
		scan->spool_us = commit.spool_us;
}

static int
scan(const struct scanner *c, segment_found *found, segment_damage *damage, void *context,
    struct segment_scan *result, struct error *err)
{
	uint64_t at = c->base;
	struct record record;

	for (;;) {
		ptrdiff_t n = scanner_read(c, at, &record);
		uint64_t next = at + RECORD_ALIGN;

		if (n > 0) {
			at += (uint64_t)n;
			result->end = c->s->first + at;
			if (record.type == RECORD_COMMIT)
				note_commit(&record, result);
			else if (found(c->s, &record, context, err) < 0)
				return -1;
			continue;
		}
		if (next - c->base >= c->len || !scanner_find(c, &next, true))
			return 0;
		next = at + RECORD_ALIGN;
		scanner_find(c, &next, false);
		result->damages++;
		result->damaged += next - at;
		damage(c->s, c->s->first + at, span_sub(scanner_at(c, at), 0, (size_t)(next - at)), context);
		at = next;
	}
}

int
segment_each(const struct segment *s, uint64_t from, segment_found *found, segment_damage *damage,
    void *context, struct segment_scan *result, struct error *err)
{
	struct scanner c = {.s = s, .base = SEGMENT_HEADER_SIZE};
	ssize_t n;
	int status;

	memset(result, 0, sizeof(*result));
	result->id_high = s->id_high;
	result->spool_us = s->spool_us;
	if (from > s->first + c.base)
		c.base = (from - s->first + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
	result->end = s->first + c.base;
	if (c.base >= s->size)
		return 0;
	c.bytes = mem_alloc((size_t)(s->size - c.base));
	n = disk_read_all(s->fd, c.bytes, (size_t)(s->size - c.base), (off_t)c.base);
	if (n < 0) {
		status = error_errno(err, "reading segment %06u", s->slot);
	} else {
		c.len = (size_t)n;
		status = scan(&c, found, damage, context, result, err);
	}
	free(c.bytes);
	return status;
}
