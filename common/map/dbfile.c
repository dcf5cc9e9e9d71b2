#include "common/map/dbfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/map/source_age.h"

/* Offsets in the first page (db_page.h: DBMETA, HMETA, BTMETA). */
enum {
	META_MAGIC = 12,
	META_VERSION = 16,
	META_PAGE_SIZE = 20,
	META_ENCRYPTION = 24,
	META_FLAGS = 26,
	META_LAST_PAGE = 32,
	META_DB_FLAGS = 48,
	META_MAX_BUCKET = 72,
	META_HIGH_MASK = 76,
	META_LOW_MASK = 80,
	META_SPARES = 96,
	META_ROOT = 88,
	META_SIZE = 512
};

/* What an event loop asks it asks for years, and for all: there it pays to keep what was read. */
enum { CACHE_BYTES = 1 << 20, CACHE_BYTES_LOOP = 128 << 20 };

static const uint32_t magics[] = {[DBFILE_BTREE] = 0x053162, [DBFILE_HASH] = 0x061561};

/* Flags of a database that we do not read: sub-databases; for btree also record numbers as keys and compression. */
static const uint32_t foreign_flags[] = {
    [DBFILE_BTREE] = 0x02 | 0x08 | 0x10 | 0x20 | 0x80, [DBFILE_HASH] = 0x02};

uint16_t
dbfile_u16(const struct dbfile *f, const uint8_t *p)
{
	uint16_t n;
	memcpy(&n, p, sizeof(n));
	return f->swapped ? __builtin_bswap16(n) : n;
}

uint32_t
dbfile_u32(const struct dbfile *f, const uint8_t *p)
{
	uint32_t n;
	memcpy(&n, p, sizeof(n));
	return f->swapped ? __builtin_bswap32(n) : n;
}

int
dbfile_damaged(const struct dbfile *f, uint32_t page, const char *what, struct error *err)
{
	return error_set(err, "%s is damaged: page %lu: %s", f->path, (unsigned long)page, what);
}

static bool
versions_fit(const struct dbfile *f, uint32_t version)
{
	return f->type == DBFILE_BTREE ? version >= 8 && version <= 10 : version >= 7 && version <= 10;
}

static int
meta_check(struct dbfile *f, const uint8_t *meta, struct error *err)
{
	uint32_t magic;

	memcpy(&magic, meta + META_MAGIC, sizeof(magic));
	f->swapped = magic == __builtin_bswap32(magics[f->type]);
	if (magic != magics[f->type] && !f->swapped)
		return error_set(err, "%s is not a Berkeley DB %s file", f->path,
		    f->type == DBFILE_HASH ? "hash" : "btree");
	if (!versions_fit(f, dbfile_u32(f, meta + META_VERSION)))
		return error_set(err, "%s: version %lu of its format is not supported", f->path,
		    (unsigned long)dbfile_u32(f, meta + META_VERSION));
	if (meta[META_ENCRYPTION] != 0 || meta[META_FLAGS] != 0)
		return error_set(
		    err, "%s: encrypted, checksummed or partitioned files are not supported", f->path);
	if (dbfile_u32(f, meta + META_DB_FLAGS) & foreign_flags[f->type])
		return error_set(err, "%s: this kind of Berkeley DB file is not supported", f->path);
	return 0;
}

/* What it reads is checked here, once. */
static int
meta_read(struct dbfile *f, struct error *err)
{
	uint8_t meta[META_SIZE];

	if (fstat(f->fd, &f->seen) < 0)
		return error_errno(err, "fstat %s", f->path);
	if (!S_ISREG(f->seen.st_mode))
		return error_set(err, "%s is not a regular file", f->path);
	ssize_t got = io_pread_all(f->fd, meta, sizeof(meta), 0);
	if (got < 0)
		return error_errno(err, "read %s", f->path);
	if (got < (ssize_t)sizeof(meta))
		return error_set(err, "%s is empty or cut short", f->path);
	if (meta_check(f, meta, err) < 0)
		return -1;
	uint32_t page_size = dbfile_u32(f, meta + META_PAGE_SIZE);
	if (page_size < 512 || page_size > DBFILE_PAGE_MAX || (page_size & (page_size - 1)) != 0)
		return dbfile_damaged(f, 0, "impossible page size", err);
	f->side = mem_resize(f->side, page_size);
	f->page_size = page_size;
	f->last_page = dbfile_u32(f, meta + META_LAST_PAGE);
	uintmax_t pages = (uintmax_t)f->seen.st_size / page_size;
	if (f->last_page >= pages)
		return dbfile_damaged(f, 0, "the file is shorter than it says", err);
	f->root = dbfile_u32(f, meta + META_ROOT);
	f->max_bucket = dbfile_u32(f, meta + META_MAX_BUCKET);
	f->high_mask = dbfile_u32(f, meta + META_HIGH_MASK);
	f->low_mask = dbfile_u32(f, meta + META_LOW_MASK);
	for (unsigned i = 0; i < DBFILE_SPARES; i++)
		f->spares[i] = dbfile_u32(f, meta + META_SPARES + (size_t)4 * i);
	return 0;
}

int
dbfile_meta(struct dbfile *f, struct error *err)
{
	dbfile_cache_drop(f);
	if (meta_read(f, err) == 0)
		return 0;
	f->seen = (struct stat){.st_size = -1};
	return -1;
}

struct dbfile *
dbfile_open(const struct map_input *in, enum dbfile_type type, struct error *err)
{
	struct dbfile *f = mem_alloc(sizeof(*f));

	f->path = in->path;
	f->type = type;
	f->with_nul = -1;
	f->cache_bytes = in->would_block != NULL ? CACHE_BYTES_LOOP : CACHE_BYTES;
	buf_init(&f->item, MAP_VALUE_MAX + 1);
	buf_init(&f->value, MAP_VALUE_MAX + 1);
	f->fd =
	    in->fd ? fcntl(*in->fd, F_DUPFD_CLOEXEC, 0) : open(in->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f->fd < 0) {
		error_errno(err, "open database %s", in->path);
		dbfile_close(f);
		return NULL;
	}
	if (dbfile_meta(f, err) < 0) {
		dbfile_close(f);
		return NULL;
	}
	source_age_check(in, f->seen.st_mtime);
	return f;
}

void
dbfile_close(void *file)
{
	struct dbfile *f = file;

	(void)io_close(&f->fd);
	buf_free(&f->item);
	buf_free(&f->value);
	dbfile_cache_drop(f);
	free(f->side);
	free(f);
}

/* ---- searching ---- */

static int
search(struct dbfile *f, struct span key, struct buf *out, struct error *err)
{
	return f->type == DBFILE_HASH ? hash_search(f, key, out, err) : btree_search(f, key, out, err);
}

/* Values are C strings: what stands behind a NUL is not part of them. */
static void
cut_at_nul(struct buf *value)
{
	const char *nul = value->len > 0 ? memchr(buf_ptr(value), '\0', value->len) : NULL;
	if (nul != NULL)
		value->len = (size_t)(nul - buf_ptr(value));
}

/* 1 found, 0 not, -1 with err. */
static int
search_both(struct dbfile *f, struct span with_nul, struct buf *out, struct error *err)
{
	int got = 0;

	if (f->with_nul != 0) {
		got = search(f, with_nul, out, err);
		if (got == 1)
			f->with_nul = 1;
	}
	if (got == 0 && f->with_nul != 1) {
		got = search(f, span_sub(with_nul, 0, with_nul.len - 1), out, err);
		if (got == 1)
			f->with_nul = 0;
	}
	return got;
}

enum lookup_status
dbfile_lookup(void *file, struct span key, struct map_hit *hit, struct error *err)
{
	struct dbfile *f = file;
	char with_nul[MAP_KEY_MAX + 1];
	int got = 0;

	memcpy(with_nul, key.ptr, key.len);
	with_nul[key.len] = '\0';
	if (clock_mono_us() >= f->fresh_until_us)
		got = dbfile_read_begin(f, err);
	/* A file that changes goes on being locked: the second time it is the same. */
	for (unsigned attempt = 0; got == 0 && attempt < 2; attempt++) {
		f->changed = false;
		buf_clear(hit->value);
		got = search_both(f, span_make(with_nul, key.len + 1), hit->value, err);
		if (got >= 0 || !f->changed)
			break;
		/* The new first page itself may be in trouble. */
		if (f->seen.st_size < 0 || attempt > 0)
			break;
		got = 0;
	}
	f->changed = false;
	dbfile_read_end(f);
	cut_at_nul(hit->value);
	return got < 0 ? LOOKUP_TEMPORARY : got > 0 ? LOOKUP_FOUND : LOOKUP_NOT_FOUND;
}

/* ---- walking ---- */

static struct span
without_nul(struct span item)
{
	const char *nul = item.len > 0 ? memchr(item.ptr, '\0', item.len) : NULL;
	return nul != NULL ? span_sub(item, 0, (size_t)(nul - item.ptr)) : item;
}

/* 1 to go on, 0 when visit has had enough, -1 with err. */
static int
visit_pair(
    struct dbfile *f, const struct dbpage *p, unsigned i, map_visit *visit, void *context, struct error *err)
{
	struct span key, value;
	bool key_gone = false, value_gone = false;
	int got;

	if (f->type == DBFILE_HASH)
		got = hash_item(f, p, i, &f->item, &key, err) < 0 ||
		      hash_item(f, p, i + 1, &f->value, &value, err) < 0;
	else
		got = btree_item(f, p, i, &f->item, &key, &key_gone, err) < 0 ||
		      btree_item(f, p, i + 1, &f->value, &value, &value_gone, err) < 0;
	if (got != 0)
		return -1;
	if (key_gone || value_gone)
		return 1;
	return visit(without_nul(key), without_nul(value), context) ? 1 : 0;
}

int
dbfile_each(void *file, map_visit *visit, void *context, struct error *err)
{
	struct dbfile *f = file;
	struct dbpage p;
	int got = dbfile_read_begin(f, err) < 0 ? -1 : 1;

	for (uint32_t number = 1; got == 1 && number <= f->last_page; number++) {
		if (dbfile_page(f, number, &p, err) < 0) {
			got = -1;
			break;
		}
		bool ours = f->type == DBFILE_HASH ? p.type == PAGE_HASH || p.type == PAGE_HASH_UNSORTED
						   : p.type == PAGE_BTREE_LEAF;
		for (unsigned i = 0; ours && got == 1 && i + 1 < p.entries; i += 2)
			got = visit_pair(f, &p, i, visit, context, err);
	}
	f->changed = false;
	dbfile_read_end(f);
	return got < 0 ? -1 : 0;
}
