/*
 * chunks: memory for what is kept of a file. Places of a large table lie in few large pieces, since each search asks another one:
 * the processor's table of pages then needs one entry for many of them. Places go back together.
 */
#ifndef POSTERN_MAP_CHUNKS_H
#define POSTERN_MAP_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

struct chunk;

/* All zero: nothing is taken. */
struct chunks {
	struct chunk *first;
	size_t left; /* octets of the first one that are not taken */
};

/* A place of 'one' octets, at most 2 MiB, not zeroed; 'all': what all places together may come to. */
uint8_t *chunks_take(struct chunks *c, size_t one, size_t all);

/* A place of any size, all zero, at the begin of a line of the processor's cache. */
uint8_t *chunks_zeroed(struct chunks *c, size_t size);
void chunks_free(struct chunks *c);

#endif
