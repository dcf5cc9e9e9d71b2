/*
 * number_map: from numbers to small numbers, for plans and groups that a scan asks at every row.
 */
#ifndef POSTERN_QUEUE_NUMBER_MAP_H
#define POSTERN_QUEUE_NUMBER_MAP_H

#include <stddef.h>
#include <stdint.h>

struct number_map {
	struct number_slot {
		uint64_t key;
		uint32_t value; /* 0: free */
	} * slots;
	size_t slot_count, count;
};

void number_map_free(struct number_map *m);

/* 0 if it is not there. */
uint32_t number_map_get(const struct number_map *m, uint64_t key);

/* value is not 0. */
void number_map_put(struct number_map *m, uint64_t key, uint32_t value);

#endif
