#include "common/map/chunks.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "common/base/mem.h"

enum { LARGE = 2 << 20 };

struct chunk {
	struct chunk *next;
	uint8_t *bytes;
};

uint8_t *
chunks_take(struct chunks *c, size_t one, size_t all)
{
	size_t size = all < LARGE ? one : LARGE;

	if (c->left < one) {
		struct chunk *new = mem_alloc(sizeof(*new));

		new->next = c->first;
		if (posix_memalign((void **)&new->bytes, size < LARGE ? sizeof(void *) : LARGE, size) != 0)
			panic("out of memory");
		/* Where the kernel has no pages of that size it does no harm. */
		if (size == LARGE)
			(void)madvise(new->bytes, size, MADV_HUGEPAGE);
		c->first = new;
		c->left = size;
	}
	c->left -= one;
	return c->first->bytes + c->left;
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
