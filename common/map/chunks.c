#include "common/map/chunks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/mem.h"

enum { LARGE = 2 << 20, LINE = 64 };

struct chunk {
	struct chunk *next;
	uint8_t *bytes;
};

static struct chunk *
chunk_make(size_t size)
{
	struct chunk *new = mem_alloc(sizeof(*new));

	if (posix_memalign((void **)&new->bytes, size < LARGE ? LINE : LARGE, size) != 0)
		panic("out of memory");
	/* Where the kernel has no pages of that size it does no harm. */
	if (size >= LARGE)
		(void)madvise(new->bytes, size, MADV_HUGEPAGE);
	return new;
}

uint8_t *
chunks_take(struct chunks *c, size_t one, size_t all)
{
	if (c->left < one) {
		size_t size = all < LARGE ? one : LARGE;
		struct chunk *new = chunk_make(size);

		new->next = c->first;
		c->first = new;
		c->left = size;
	}
	c->left -= one;
	return c->first->bytes + c->left;
}

uint8_t *
chunks_zeroed(struct chunks *c, size_t size)
{
	struct chunk *new = chunk_make(size);

	memset(new->bytes, 0, size);
	/* Behind the first one, of which places may be left. */
	struct chunk **at = c->first ? &c->first->next : &c->first;
	new->next = *at;
	*at = new;
	return new->bytes;
}

void
chunks_free(struct chunks *c)
{
	while (c->first) {
		struct chunk *gone = c->first;

		c->first = gone->next;
		free(gone->bytes);
		free(gone);
	}
	c->left = 0;
}
