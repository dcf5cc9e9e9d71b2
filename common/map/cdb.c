/*
 * cdb: constant tables in D. J. Bernstein's format, files with ".cdb": cdb_table(5).
 *
 * The format is read here with pread(), each number checked against the file's size: libraries map the file and would
 * end the process when it is cut short. A search reads three small places; the blocks in which they lie are kept.
 */
#include "common/map/cdb.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/map/blocks.h"
#include "common/map/kinds.h"
#include "common/map/source_age.h"

/* What an event loop asks it asks for years: there blocks are kept. A changed file is opened anew. */
enum { SLOTS_AT_ONCE = 8, CACHE_BYTES_LOOP = 128 << 20 };

struct cdb {
	const char *path;
	int fd;
	uint64_t size;
	struct blocks blocks;
	uint8_t head[CDB_HEAD];
	int with_nul; /* keys end in NUL: 1 yes, 0 no, -1 not yet known */
};

uint32_t
cdb_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t
cdb_hash(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint32_t h = 5381;

	for (size_t i = 0; i < len; i++)
		h = ((h << 5) + h) ^ p[i];
	return h;
}

static int
damaged(const struct cdb *c, const char *what, struct error *err)
{
	return error_set(err, "%s is damaged: %s", c->path, what);
}

static int
read_at(struct cdb *c, void *bytes, size_t len, uint64_t at, struct error *err)
{
	if (at > c->size || len > c->size - at)
		return damaged(c, "it refers to what lies behind its end", err);
	ssize_t got = blocks_read(&c->blocks, bytes, len, at);
	if (got < 0)
		return error_errno(err, "read %s", c->path);
	return (size_t)got == len ? 0 : damaged(c, "it was cut short", err);
}

/* Appends len octets of the file without what stands behind a NUL. */
static int
append(struct cdb *c, uint64_t at, uint32_t len, struct buf *out, struct error *err)
{
	if (at > c->size || len > c->size - at)
		return damaged(c, "it refers to what lies behind its end", err);
	if (len > MAP_VALUE_MAX + 1) {
		out->full = true;
		return 0;
	}
	char *bytes = mem_alloc((size_t)len + 1);
	int status = read_at(c, bytes, len, at, err);
	if (status == 0)
		(void)buf_append_text(out, bytes);
	free(bytes);
	return status;
}

/* 1 the record at 'at' has this key, its value appended; 0 it has another; -1 with err. */
static int
record_try(struct cdb *c, uint64_t at, struct span key, struct buf *out, struct error *err)
{
	char bytes[MAP_KEY_MAX + 1];
	uint8_t head[8];

	if (read_at(c, head, sizeof(head), at, err) < 0)
		return -1;
	uint32_t key_len = cdb_u32(head), value_len = cdb_u32(head + 4);
	if (key_len != key.len)
		return 0;
	if (read_at(c, bytes, key_len, at + 8, err) < 0)
		return -1;
	if (memcmp(bytes, key.ptr, key_len) != 0)
		return 0;
	return append(c, at + 8 + key_len, value_len, out, err) < 0 ? -1 : 1;
}

/* 1 found, 0 not, -1 with err. */
static int
search(struct cdb *c, struct span key, struct buf *out, struct error *err)
{
	uint8_t slots[8 * SLOTS_AT_ONCE];
	uint32_t hash = cdb_hash(key.ptr, key.len);
	const uint8_t *place = c->head + (size_t)8 * (hash & 255);

	uint64_t table = cdb_u32(place), count = cdb_u32(place + 4);
	if (count == 0)
		return 0;
	uint64_t first = (hash >> 8) % count;
	/* Slots from the first on, round the end of the table, until an empty one. */
	for (uint64_t n = 0; n < count;) {
		uint64_t slot = (first + n) % count, some = count - slot;
		if (some > SLOTS_AT_ONCE)
			some = SLOTS_AT_ONCE;
		if (some > count - n)
			some = count - n;
		if (read_at(c, slots, (size_t)some * 8, table + 8 * slot, err) < 0)
			return -1;
		for (uint64_t i = 0; i < some; i++) {
			uint32_t at = cdb_u32(slots + 8 * i + 4);
			if (at == 0)
				return 0;
			int got = cdb_u32(slots + 8 * i) == hash ? record_try(c, at, key, out, err) : 0;
			if (got != 0)
				return got;
		}
		n += some;
	}
	return 0;
}

static enum lookup_status
cdb_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	struct cdb *c = table;
	char with_nul[MAP_KEY_MAX + 1];
	int got = 0;

	memcpy(with_nul, key.ptr, key.len);
	with_nul[key.len] = '\0';
	if (c->with_nul != 0) {
		got = search(c, span_make(with_nul, key.len + 1), hit->value, err);
		c->with_nul = got == 1 ? 1 : c->with_nul;
	}
	if (got == 0 && c->with_nul != 1) {
		got = search(c, span_make(with_nul, key.len), hit->value, err);
		c->with_nul = got == 1 ? 0 : c->with_nul;
	}
	return got == 1 ? LOOKUP_FOUND : got == 0 ? LOOKUP_NOT_FOUND : LOOKUP_TEMPORARY;
}

/* Records lie one behind the other, up to the first of the hash tables. */
static uint64_t
records_end(const struct cdb *c)
{
	uint64_t end = c->size;

	for (size_t i = 0; i < 256; i++) {
		uint64_t table = cdb_u32(c->head + 8 * i);
		if (table >= CDB_HEAD && table < end)
			end = table;
	}
	return end;
}

static int
cdb_each(void *table, map_visit *visit, void *context, struct error *err)
{
	struct cdb *c = table;
	uint8_t lengths[8];
	struct buf key, value;
	bool more = true;

	uint64_t end = records_end(c);
	int status = 0;
	buf_init(&key, MAP_KEY_MAX + 1);
	buf_init(&value, MAP_VALUE_MAX + 1);
	for (uint64_t at = CDB_HEAD; status == 0 && more && at + 8 <= end;) {
		buf_clear(&key);
		buf_clear(&value);
		status = read_at(c, lengths, sizeof(lengths), at, err);
		uint32_t key_len = status == 0 ? cdb_u32(lengths) : 0;
		uint32_t value_len = status == 0 ? cdb_u32(lengths + 4) : 0;
		if (status == 0)
			status = append(c, at + 8, key_len, &key, err);
		if (status == 0)
			status = append(c, at + 8 + key_len, value_len, &value, err);
		if (status == 0)
			more = visit(buf_span(&key), buf_span(&value), context);
		at += 8 + (uint64_t)key_len + value_len;
	}
	buf_free(&key);
	buf_free(&value);
	return status;
}

static void
cdb_close(void *table)
{
	struct cdb *c = table;

	blocks_fini(&c->blocks);
	(void)io_close(&c->fd);
	free(c);
}

/* Where a file was cut short, or is none of cdb, its head names places that are not there. */
static int
head_check(const struct cdb *c, struct error *err)
{
	bool somewhere = false;

	for (const uint8_t *place = c->head; place < c->head + CDB_HEAD; place += 8) {
		uint64_t table = cdb_u32(place), count = cdb_u32(place + 4);

		somewhere = somewhere || table != 0;
		if (table > c->size || count > (c->size - table) / 8)
			return damaged(c, "it refers to what lies behind its end", err);
	}
	/* Also an empty table has its place behind the head: this is a file of zeros. */
	return somewhere ? 0 : error_set(err, "open database %s: not a cdb file", c->path);
}

static void *
cdb_open(const struct map_input *in, struct error *err)
{
	struct cdb *c = mem_alloc(sizeof(*c));
	struct stat st;

	c->path = in->path;
	c->with_nul = -1;
	c->fd =
	    in->fd ? fcntl(*in->fd, F_DUPFD_CLOEXEC, 0) : open(in->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (c->fd < 0 || fstat(c->fd, &st) < 0) {
		error_errno(err, "open database %s", in->path);
		cdb_close(c);
		return NULL;
	}
	c->size = (uint64_t)st.st_size;
	if (!S_ISREG(st.st_mode) || c->size < CDB_HEAD) {
		error_set(err, "open database %s: not a cdb file, or cut short", in->path);
		cdb_close(c);
		return NULL;
	}
	blocks_init(&c->blocks, c->fd, c->size, in->would_block ? CACHE_BYTES_LOOP : 0);
	if (read_at(c, c->head, sizeof(c->head), 0, err) < 0 || head_check(c, err) < 0) {
		cdb_close(c);
		return NULL;
	}
	source_age_check(in, st.st_mtime);
	return c;
}

const struct map_kind map_kind_cdb = {
    .name = "cdb",
    .suffix = ".cdb",
    .open = cdb_open,
    .lookup = cdb_lookup,
    .close = cdb_close,
    .each = cdb_each,
};
