/*
 * number_map: from numbers to small numbers, for plans and groups that a scan asks at every row.
 */
#ifndef POSTERN_QUEUE_NUMBER_MAP_H
#define POSTERN_QUEUE_NUMBER_MAP_H

#include <stddef.h>
#include <stdint.h>

/* Small keys, as the dictionary's numbers mostly are, have a place of their own each; others are hashed. */
struct number_map {
	uint32_t *dense;
	size_t dense_count;
	struct number_slot {
		uint64_t key;
		uint32_t value; /* 0: free */
	} * slots;
	size_t slot_count, count;
};

void number_map_free(struct number_map *m);

uint32_t number_map_find(const struct number_map *m, uint64_t key);

/* 0 if it is not there. */
static inline uint32_t
number_map_get(const struct number_map *m, uint64_t key)
{
	return key < m->dense_count ? m->dense[key] : number_map_find(m, key);
}

/* value is not 0. */
void number_map_put(struct number_map *m, uint64_t key, uint32_t value);

#endif
