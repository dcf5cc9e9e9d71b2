#include "common/map/blocks.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/io.h"
#include "common/base/mem.h"

struct block {
	uint64_t number;
	uint8_t *bytes; /* NULL: none yet */
	size_t len; /* 0: empty */
};

void
blocks_init(struct blocks *b, int fd, uint64_t size, uint64_t max_bytes)
{
	uint64_t whole = size / BLOCK_BYTES + 1, most = max_bytes / BLOCK_BYTES;

	*b = (struct blocks){.fd = fd, .size = size, .count = (uint32_t)(whole < most ? whole : most)};
	if (b->count > 0)
		b->slots = mem_alloc_array(b->count, sizeof(b->slots[0]));
}

void
blocks_fini(struct blocks *b)
{
	chunks_free(&b->chunks);
	free(b->slots);
	*b = (struct blocks){.fd = -1};
}

/* NULL with errno: it cannot be read. */
static const struct block *
block_get(struct blocks *b, uint64_t number)
{
	struct block *slot = &b->slots[number % b->count];
	ptrdiff_t got;

	if (slot->len > 0 && slot->number == number)
		return slot;
	if (!slot->bytes)
		slot->bytes = chunks_take(&b->chunks, BLOCK_BYTES, (size_t)b->count * BLOCK_BYTES);
	slot->len = 0;
	got = io_pread_all(b->fd, slot->bytes, BLOCK_BYTES, (off_t)(number * BLOCK_BYTES));
	if (got < 0)
		return NULL;
	slot->number = number;
	slot->len = (size_t)got;
	return slot;
}

const uint8_t *
blocks_kept(const struct blocks *b, size_t len, uint64_t at)
{
	uint64_t number = at / BLOCK_BYTES;
	const struct block *slot = b->count > 0 ? &b->slots[number % b->count] : NULL;
	size_t from = at % BLOCK_BYTES;

	if (!slot || slot->number != number || from > slot->len || len > slot->len - from)
		return NULL;
	return slot->bytes + from;
}

ptrdiff_t
blocks_read(struct blocks *b, void *bytes, size_t len, uint64_t at)
{
	size_t done = 0;

	if (b->count == 0)
		return io_pread_all(b->fd, bytes, len, (off_t)at);
	while (done < len) {
		const struct block *block = block_get(b, (at + done) / BLOCK_BYTES);
		size_t from = (at + done) % BLOCK_BYTES, some = len - done;

		if (!block)
			return -1;
		if (from >= block->len)
			break;
		if (some > block->len - from)
			some = block->len - from;
		memcpy((uint8_t *)bytes + done, block->bytes + from, some);
		done += some;
	}
	return (ptrdiff_t)done;
}
