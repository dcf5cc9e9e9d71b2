/*
 * blocks: a file read through a cache of its blocks. What it says about a block holds until the file is opened anew: for files
 * that are replaced, and not written in place.
 */
#ifndef POSTERN_MAP_BLOCKS_H
#define POSTERN_MAP_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#include "common/map/chunks.h"

enum { BLOCK_BYTES = 4096 };

struct block;

struct blocks {
	int fd; /* kept by reference */
	uint64_t size; /* of the file */
	struct block *slots; /* blocks by their number modulo 'count' */
	uint32_t count; /* 0: nothing is kept */
	struct chunks chunks; /* memory of blocks */
};

/* At most max_bytes are kept, and no more than was asked for. */
void blocks_init(struct blocks *b, int fd, uint64_t size, uint64_t max_bytes);
void blocks_fini(struct blocks *b);

/* The octets if they lie in one block that is kept, until the next call; else NULL. Nothing is read. */
const uint8_t *blocks_kept(const struct blocks *b, size_t len, uint64_t at);

/* As pread(): octets that were read, fewer only at the end of the file; -1 with errno. */
ptrdiff_t blocks_read(struct blocks *b, void *bytes, size_t len, uint64_t at);

#endif
