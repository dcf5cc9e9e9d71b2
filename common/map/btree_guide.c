#include "common/map/btree_guide.h"

#include <endian.h>
#include <string.h>

#include "common/map/dbfile.h"

/* guide[0]: how many octets all keys share; guide[i]: the eight behind them of key i; behind the last one what is shared. */

/* Octets as a number that compares as they do, with zeros behind the last one. */
static uint64_t
eight_from(struct span key, size_t from)
{
	uint64_t n = 0;
	size_t some = key.len > from ? key.len - from : 0;

	if (some > 0)
		memcpy(&n, key.ptr + from, some < sizeof(n) ? some : sizeof(n));
	return be64toh(n);
}

static size_t
shared_length(struct span a, struct span b)
{
	size_t n = 0;

	while (n < a.len && n < b.len && a.ptr[n] == b.ptr[n])
		n++;
	return n;
}

int
btree_guide_make(const struct dbpage *p, uint64_t *guide)
{
	struct span first, key;
	size_t shared, room = p->file->page_size;

	if (p->entries < 2 || room < sizeof(*guide) * p->entries || !btree_key(p, 1, &first))
		return -1;
	shared = first.len;
	for (unsigned i = 2; i < p->entries; i++) {
		if (!btree_key(p, i, &key))
			return -1;
		size_t n = shared_length(first, key);
		shared = n < shared ? n : shared;
	}
	room -= sizeof(*guide) * p->entries;
	shared = room < shared ? room : shared;
	guide[0] = shared;
	for (unsigned i = 1; i < p->entries; i++) {
		(void)btree_key(p, i, &key);
		guide[i] = eight_from(key, shared);
	}
	if (shared > 0)
		memcpy(guide + p->entries, first.ptr, shared);
	return 0;
}

/* The first item from 'low' on whose octets are not less ('or_equal': are greater). */
static unsigned
first_not_less(const uint64_t *guide, unsigned low, unsigned high, uint64_t octets, bool or_equal)
{
	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		if (guide[middle] < octets || (or_equal && guide[middle] == octets))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void
btree_guide_narrow(const struct dbpage *p, struct span key, unsigned *low, unsigned *high)
{
	const uint64_t *guide = p->guide;
	struct span shared = span_make(guide + p->entries, (size_t)guide[0]);
	int order = span_compare(span_make(key.ptr, key.len < shared.len ? key.len : shared.len), shared);

	if (order != 0) {
		*low = order < 0 ? 0 : p->entries - 1;
		*high = order < 0 ? 1 : p->entries;
		return;
	}
	uint64_t octets = eight_from(key, shared.len);
	unsigned begin = first_not_less(guide, 1, p->entries, octets, false);
	*low = begin - 1;
	*high = first_not_less(guide, begin, p->entries, octets, true);
}
