/*
 * btree_guide: for an internal page of a btree, eight octets of each key side by side. Keys of such a page begin alike; behind what they
 * share eight octets tell nearly all of them apart, and a search of a large table looks at few lines of memory.
 */
#ifndef POSTERN_MAP_BTREE_GUIDE_H
#define POSTERN_MAP_BTREE_GUIDE_H

#include <stdint.h>

struct dbpage;
struct span;

/* In a place of the page's size, aligned to 8. -1: a key of the page lies elsewhere, or none has two; there is no guide then. */
int btree_guide_make(const struct dbpage *p, uint64_t *guide);

/*
 * With a guide: the item whose child has the key is in [*low, *high), where a search that compares whole keys goes on. The first item counts as
 * less than all keys.
 */
void btree_guide_narrow(const struct dbpage *p, struct span key, unsigned *low, unsigned *high);

#endif
