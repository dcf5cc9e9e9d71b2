/*
 * hash: the hash access method of Berkeley DB (hash.src, hash_page.c): extended linear hashing.
 */
#include "common/map/dbfile.h"

/* The library's default function since 3.1 (hash_func.c: __ham_func5, Fowler/Noll/Vo). */
static uint32_t
hash_of(struct span key)
{
	uint32_t h = 0;
	for (size_t i = 0; i < key.len; i++) {
		h *= 16777619u;
		h ^= (uint8_t)key.ptr[i];
	}
	return h;
}

/* Number of bits of n: the index of the smallest power of two that is not less than n. */
static unsigned
log2_ceiling(uint32_t n)
{
	unsigned i = 0;
	for (uint32_t limit = 1; limit < n && i < 31; limit <<= 1)
		i++;
	return i;
}

static uint32_t
bucket_page(const struct dbfile *f, uint32_t bucket)
{
	return bucket + f->spares[log2_ceiling(bucket + 1)];
}

/* Items grow downwards from the end of the page: each ends where the one before it begins. */
static int
item_bytes(const struct dbfile *f, const struct dbpage *p, unsigned i, struct span *item, struct error *err)
{
	unsigned begin = dbpage_offset(p, i);
	unsigned end = i == 0 ? f->page_size : dbpage_offset(p, i - 1);

	if (end <= begin)
		return dbfile_damaged(f, p->number, "items overlap", err);
	*item = span_make(p->bytes + begin, end - begin);
	return 0;
}

int
hash_item(struct dbfile *f, const struct dbpage *p, unsigned i, struct buf *spare, struct span *item,
    struct error *err)
{
	if (item_bytes(f, p, i, item, err) < 0)
		return -1;
	const uint8_t *bytes = (const uint8_t *)item->ptr;
	if (bytes[0] == HASH_ITEM_DATA) {
		*item = span_from(*item, 1);
		return 0;
	}
	if (bytes[0] != HASH_ITEM_OFFPAGE || item->len < 12)
		return dbfile_damaged(f, p->number, "an item of a kind that does not belong here", err);
	buf_clear(spare);
	if (dbfile_overflow(f, dbfile_u32(f, bytes + 4), dbfile_u32(f, bytes + 8), spare, err) < 0)
		return -1;
	*item = buf_span(spare);
	return 0;
}

/* An overflow key of another length need not be read. */
static bool
cannot_equal(const struct dbfile *f, struct span raw, size_t key_len)
{
	const uint8_t *bytes = (const uint8_t *)raw.ptr;

	if (bytes[0] == HASH_ITEM_DATA)
		return raw.len - 1 != key_len;
	return bytes[0] == HASH_ITEM_OFFPAGE && raw.len >= 12 && dbfile_u32(f, bytes + 8) != key_len;
}

uint8_t
dbfile_print(struct span key)
{
	return (uint8_t)(hash_of(key) >> 24);
}

bool
hash_key(const struct dbpage *p, unsigned i, struct span *key)
{
	struct error ignored;

	if (item_bytes(p->file, p, i, key, &ignored) < 0 || key->ptr[0] != HASH_ITEM_DATA)
		return false;
	*key = span_from(*key, 1);
	return true;
}

static int
search_page(struct dbfile *f, const struct dbpage *p, struct span key, struct buf *out, struct error *err)
{
	uint8_t print = dbfile_print(key);
	unsigned pairs = p->entries / 2;
	struct span item;

	for (unsigned i = dbpage_next_pair(p, 0, print); i < pairs; i = dbpage_next_pair(p, i + 1, print)) {
		if (item_bytes(f, p, 2 * i, &item, err) < 0)
			return -1;
		if (cannot_equal(f, item, key.len))
			continue;
		if (hash_item(f, p, 2 * i, &f->item, &item, err) < 0)
			return -1;
		if (!span_equal(item, key))
			continue;
		if (hash_item(f, p, 2 * i + 1, &f->value, &item, err) < 0)
			return -1;
		(void)buf_append_span(out, item);
		return 1;
	}
	return 0;
}

int
hash_search(struct dbfile *f, struct span key, struct buf *out, struct error *err)
{
	struct dbpage p;

	uint32_t bucket = hash_of(key) & f->high_mask;
	if (bucket > f->max_bucket)
		bucket &= f->low_mask;
	if (bucket > f->max_bucket || bucket == UINT32_MAX)
		return dbfile_damaged(f, 0, "impossible masks", err);
	uint32_t number = bucket_page(f, bucket);
	/* A ring of pages ends with the number of pages. */
	for (uint32_t steps = 0; number != 0; steps++) {
		if (steps > f->last_page)
			return dbfile_damaged(f, number, "pages lead in a circle", err);
		if (dbfile_page(f, number, &p, err) < 0)
			return -1;
		if (p.type == PAGE_NONE)
			return 0;
		if (p.type != PAGE_HASH && p.type != PAGE_HASH_UNSORTED)
			return dbfile_damaged(f, number, "not a hash page", err);
		int got = search_page(f, &p, key, out, err);
		if (got != 0)
			return got;
		number = p.next;
	}
	return 0;
}

static void *
hash_open(const struct map_input *in, struct error *err)
{
	return dbfile_open(in, DBFILE_HASH, err);
}

const struct map_kind map_kind_hash = {
    .name = "hash",
    .suffix = ".db",
    .open = hash_open,
    .lookup = dbfile_lookup,
    .close = dbfile_close,
    .each = dbfile_each,
};
