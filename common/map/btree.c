/*
 * btree: the btree access method of Berkeley DB (btree.src, bt_search.c), keys in the order of their octets.
 */
#include "common/map/btree_guide.h"
#include "common/map/dbfile.h"

enum { DEPTH_MAX = 40 };

/* Before an item's key: length, type; in an internal page also the child's number and count. */
static unsigned
head_size(const struct dbpage *p)
{
	return p->type == PAGE_BTREE_INTERNAL ? 12 : 3;
}

int
btree_item(struct dbfile *f, const struct dbpage *p, unsigned i, struct buf *spare, struct span *item,
    bool *deleted, struct error *err)
{
	bool internal = p->type == PAGE_BTREE_INTERNAL;
	unsigned offset = dbpage_offset(p, i), room = f->page_size - offset;
	const uint8_t *bytes = p->bytes + offset;
	unsigned head = head_size(p);

	if (room < head)
		return dbfile_damaged(f, p->number, "an item is cut short", err);
	unsigned len = dbfile_u16(f, bytes), type = bytes[2];
	*deleted = (type & BTREE_ITEM_DELETED) != 0;
	switch (type & ~(unsigned)BTREE_ITEM_DELETED) {
	case BTREE_ITEM_DATA:
		if (len > room - head)
			return dbfile_damaged(f, p->number, "an item is longer than its page", err);
		*item = span_make(bytes + head, len);
		return 0;
	case BTREE_ITEM_OVERFLOW:
		/* The reference is the item of a leaf, and what an internal item holds in place of its key. */
		if (internal) {
			bytes += head;
			room -= head;
		}
		if (room < 12)
			return dbfile_damaged(f, p->number, "an overflow reference is cut short", err);
		buf_clear(spare);
		if (dbfile_overflow(f, dbfile_u32(f, bytes + 4), dbfile_u32(f, bytes + 8), spare, err) < 0)
			return -1;
		*item = buf_span(spare);
		return 0;
	default:
		return dbfile_damaged(f, p->number, "an item of a kind that does not belong here", err);
	}
}

bool
btree_key(const struct dbpage *p, unsigned i, struct span *key)
{
	unsigned offset = dbpage_offset(p, i), room = p->file->page_size - offset;
	unsigned head = head_size(p);
	const uint8_t *bytes = p->bytes + offset;

	if (room < head || (bytes[2] & ~(unsigned)BTREE_ITEM_DELETED) != BTREE_ITEM_DATA ||
	    dbfile_u16(p->file, bytes) > room - head)
		return false;
	*key = span_make(bytes + head, dbfile_u16(p->file, bytes));
	return true;
}

/* Last item of an internal page whose key is not greater; the first one's key counts as less than all. */
static int
child_find(struct dbfile *f, const struct dbpage *p, struct span key, uint32_t *child, struct error *err)
{
	unsigned low = 0, high = p->entries; /* keys[low] <= key < keys[high] */
	struct span item;
	bool deleted;

	if (p->entries == 0)
		return dbfile_damaged(f, p->number, "an internal page without items", err);
	if (p->guide)
		btree_guide_narrow(p, key, &low, &high);
	while (high - low > 1) {
		unsigned middle = low + (high - low) / 2;
		if (btree_item(f, p, middle, &f->item, &item, &deleted, err) < 0)
			return -1;
		if (span_compare(item, key) <= 0)
			low = middle;
		else
			high = middle;
	}
	unsigned offset = dbpage_offset(p, low);
	if (f->page_size - offset < 8)
		return dbfile_damaged(f, p->number, "an item is cut short", err);
	*child = dbfile_u32(f, p->bytes + offset + 4);
	return 0;
}

/* 1 the pair at 'i' is not deleted, its value appended; 0 it is; -1 with err. */
static int
pair_value(struct dbfile *f, const struct dbpage *p, unsigned i, struct buf *out, struct error *err)
{
	struct span item;
	bool deleted;

	if (btree_item(f, p, 2 * i + 1, &f->value, &item, &deleted, err) < 0)
		return -1;
	if (deleted)
		return 0;
	(void)buf_append_span(out, item);
	return 1;
}

static int
leaf_search_prints(
    struct dbfile *f, const struct dbpage *p, struct span key, struct buf *out, struct error *err)
{
	uint8_t print = dbfile_print(key);
	unsigned pairs = p->entries / 2;
	struct span item;

	for (unsigned i = dbpage_next_pair(p, 0, print); i < pairs; i = dbpage_next_pair(p, i + 1, print))
		if (btree_key(p, 2 * i, &item) && span_equal(item, key))
			return pair_value(f, p, i, out, err);
	return 0;
}

static int
leaf_search(struct dbfile *f, const struct dbpage *p, struct span key, struct buf *out, struct error *err)
{
	unsigned low = 0, high = p->entries / 2; /* pairs; the key is in [low, high) if anywhere */
	struct span item;
	bool deleted;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		if (btree_item(f, p, 2 * middle, &f->item, &item, &deleted, err) < 0)
			return -1;
		int order = span_compare(item, key);
		if (order < 0) {
			low = middle + 1;
			continue;
		}
		if (order > 0) {
			high = middle;
			continue;
		}
		return pair_value(f, p, middle, out, err);
	}
	return 0;
}

int
btree_search(struct dbfile *f, struct span key, struct buf *out, struct error *err)
{
	struct dbpage p;
	uint32_t number = f->root;

	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		if (dbfile_page(f, number, &p, err) < 0)
			return -1;
		if (p.type == PAGE_BTREE_LEAF)
			return p.prints ? leaf_search_prints(f, &p, key, out, err)
					: leaf_search(f, &p, key, out, err);
		if (p.type != PAGE_BTREE_INTERNAL)
			return dbfile_damaged(f, number, "not a btree page", err);
		if (child_find(f, &p, key, &number, err) < 0)
			return -1;
	}
	return dbfile_damaged(f, number, "pages lead in a circle", err);
}

static void *
btree_open(const struct map_input *in, struct error *err)
{
	return dbfile_open(in, DBFILE_BTREE, err);
}

const struct map_kind map_kind_btree = {
    .name = "btree",
    .suffix = ".db",
    .open = btree_open,
    .lookup = dbfile_lookup,
    .close = dbfile_close,
    .each = dbfile_each,
};
