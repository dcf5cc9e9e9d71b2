/*
 * Pages of a .db file: reading, checking, and keeping some of them.
 *
 * A search that finds all its pages in the cache asks the system for nothing. The first page that is missing takes
 * the lock and looks at the file; if that changed meanwhile, the cache goes and the search begins anew, for pages of
 * two contents must not be mixed: that could read as "not found". The cache alone answers for at most a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/map/btree_guide.h"
#include "common/map/dbfile.h"

/* An octet in so many of a page is room for a print; slots do not share lines of the processor's cache. */
enum { PRINT_OF = 32, LINE = 64 };

/* A shared lock that does not wait, for Postfix's postmap writes in place under an exclusive one. */
static int
lock_set(const struct dbfile *f, short type, struct error *err)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET};

	if (fcntl(f->fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return error_set(err, "%s is just being rewritten", f->path);
	return error_errno(err, "lock %s", f->path);
}

int
dbfile_read_begin(struct dbfile *f, struct error *err)
{
	struct stat now;

	if (lock_set(f, F_RDLCK, err) < 0)
		return -1;
	f->reading = true;
	if (fstat(f->fd, &now) < 0)
		return error_errno(err, "fstat %s", f->path);
	f->fresh_until_us = clock_mono_us() + US_PER_SECOND;
	if (now.st_size == f->seen.st_size && now.st_mtim.tv_sec == f->seen.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == f->seen.st_mtim.tv_nsec)
		return 0;
	f->changed = true;
	return dbfile_meta(f, err);
}

void
dbfile_read_end(struct dbfile *f)
{
	struct error ignored;

	if (f->reading)
		(void)lock_set(f, F_UNLCK, &ignored);
	f->reading = false;
}

void
dbfile_cache_drop(struct dbfile *f)
{
	chunks_free(&f->chunks);
	f->cache = NULL;
	f->slots = 0;
}

/*
 * A search of a page that has prints looks at few of its lines of memory. They are only made where every key lies in the page as
 * it is.
 */
static uint16_t
prints_make(const struct dbpage *p, uint8_t *prints)
{
	const struct dbfile *f = p->file;
	unsigned pairs = p->entries / 2;
	struct span key;

	if (pairs > f->page_size / PRINT_OF ||
	    (p->type != PAGE_HASH && p->type != PAGE_HASH_UNSORTED && p->type != PAGE_BTREE_LEAF))
		return 0;
	for (unsigned i = 0; i < pairs; i++) {
		if (f->type == DBFILE_HASH ? !hash_key(p, 2 * i, &key) : !btree_key(p, 2 * i, &key))
			return 0;
		prints[i] = dbfile_print(key);
	}
	return (uint16_t)pairs;
}

unsigned
dbpage_next_pair(const struct dbpage *p, unsigned i, uint8_t print)
{
	unsigned pairs = p->entries / 2;
	const uint8_t *found;

	if (!p->prints || i >= pairs)
		return i;
	found = memchr(p->prints + i, print, pairs - i);
	return found ? (unsigned)(found - p->prints) : pairs;
}

unsigned
dbpage_offset(const struct dbpage *p, unsigned i)
{
	return dbfile_u16(p->file, p->bytes + DBFILE_HEADER + 2 * i);
}

static int
page_read(struct dbfile *f, uint32_t number, uint8_t *bytes, struct error *err)
{
	if (!f->reading) {
		if (dbfile_read_begin(f, err) < 0)
			return -1;
		if (f->changed)
			return error_set(err, "%s changed", f->path);
	}
	if (number == 0 || number > f->last_page)
		return dbfile_damaged(f, number, "no such page", err);
	ssize_t got = io_pread_all(f->fd, bytes, f->page_size, (off_t)number * f->page_size);
	if (got < 0)
		return error_errno(err, "read %s", f->path);
	if ((size_t)got != f->page_size)
		return dbfile_damaged(f, number, "cut short", err);
	/* A page of hash buckets that were never filled may be all zeros. */
	bool never_written = dbfile_u32(f, bytes + 8) == 0 && bytes[25] == PAGE_NONE;
	if (dbfile_u32(f, bytes + 8) != number && !never_written)
		return dbfile_damaged(f, number, "carries another page's number", err);
	return 0;
}

/* The header's numbers, and whether the offsets of items make sense. */
static int
page_decode(const struct dbfile *f, struct dbpage *p, struct error *err)
{
	p->next = dbfile_u32(f, p->bytes + 16);
	p->entries = dbfile_u16(f, p->bytes + 20);
	p->type = p->bytes[25];
	if (p->type == PAGE_OVERFLOW)
		return 0; /* its 'entries' counts references */
	unsigned first = DBFILE_HEADER + 2 * p->entries;
	if (first > f->page_size)
		return dbfile_damaged(f, p->number, "more items than fit", err);
	for (unsigned i = 0; i < p->entries; i++) {
		unsigned offset = dbpage_offset(p, i);
		if (offset < first || offset >= f->page_size)
			return dbfile_damaged(f, p->number, "an item lies outside of it", err);
	}
	return 0;
}

static struct dbslot *
slot_of(struct dbfile *f, uint32_t number)
{
	if (f->cache == NULL) {
		f->slots = f->cache_bytes / f->page_size;
		/* One for each page is enough; number 0 is never asked for. */
		if (f->slots > f->last_page)
			f->slots = f->last_page + 1;
		size_t size = sizeof(struct dbslot) + f->page_size / PRINT_OF;
		f->slot_size = (uint32_t)((size + LINE - 1) / LINE * LINE);
		f->cache = chunks_zeroed(&f->chunks, (size_t)f->slots * f->slot_size);
	}
	return (struct dbslot *)(f->cache + (size_t)(number % f->slots) * f->slot_size);
}

static void
slot_fill(struct dbfile *f, struct dbslot *slot, const struct dbpage *p)
{
	if (slot->bytes == NULL)
		slot->bytes = chunks_take(&f->chunks, f->page_size, (size_t)f->slots * f->page_size);
	memcpy(slot->bytes, p->bytes, f->page_size);
	slot->number = p->number;
	slot->next = p->next;
	slot->entries = (uint16_t)p->entries;
	slot->type = (uint8_t)p->type;
	slot->prints_count = prints_make(p, slot->prints);
	slot->has_guide = false;
	if (p->type != PAGE_BTREE_INTERNAL)
		return;
	if (slot->guide == NULL)
		slot->guide =
		    (uint64_t *)chunks_take(&f->chunks, f->page_size, (size_t)f->slots * f->page_size);
	slot->has_guide = btree_guide_make(p, slot->guide) == 0;
}

static void
slot_show(const struct dbslot *slot, struct dbpage *p)
{
	p->bytes = slot->bytes;
	p->next = slot->next;
	p->entries = slot->entries;
	p->type = slot->type;
	p->prints = slot->prints_count > 0 ? slot->prints : NULL;
	p->guide = slot->has_guide ? slot->guide : NULL;
}

int
dbfile_page(struct dbfile *f, uint32_t number, struct dbpage *p, struct error *err)
{
	struct dbslot *slot = slot_of(f, number);

	*p = (struct dbpage){.file = f, .number = number};
	if (slot->number != number || number == 0) {
		/* Reading may find the file changed and drop the cache: so into memory of its own first. */
		if (page_read(f, number, f->side, err) < 0)
			return -1;
		p->bytes = f->side;
		if (page_decode(f, p, err) < 0)
			return -1;
		slot_fill(f, slot, p);
	}
	slot_show(slot, p);
	return 0;
}

int
dbfile_overflow(struct dbfile *f, uint32_t first, uint32_t len, struct buf *out, struct error *err)
{
	uint32_t page = first;

	if (len > MAP_VALUE_MAX + 1)
		return error_set(err, "%s: an entry is longer than %d octets", f->path, MAP_VALUE_MAX);
	/* Each page brings at least one octet, so a ring of pages ends with len. */
	for (uint32_t left = len; left > 0;) {
		if (page_read(f, page, f->side, err) < 0)
			return -1;
		unsigned here = dbfile_u16(f, f->side + 22);
		if (f->side[25] != PAGE_OVERFLOW || here == 0 || here > f->page_size - DBFILE_HEADER ||
		    here > left)
			return dbfile_damaged(f, page, "bad overflow page", err);
		if (buf_append(out, f->side + DBFILE_HEADER, here) < 0)
			return error_set(err, "%s: an entry is too long", f->path);
		left -= here;
		page = dbfile_u32(f, f->side + 16);
	}
	return 0;
}
