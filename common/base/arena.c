#include "common/base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum { BLOCK_FIRST_BYTES = 512, BLOCK_MAX_BYTES = 16384 };

struct block {
	struct block *next;
	size_t size;
	size_t used;
	alignas(max_align_t) char bytes[];
};

struct cleanup {
	struct cleanup *next;
	void (*clean)(void *what);
	void *what;
};

struct arena {
	struct block *blocks;
	struct cleanup *cleanups;
	size_t limit;
	size_t used;
	size_t next_size;
};

struct arena *
arena_new(size_t limit_bytes)
{
	struct arena *a = mem_alloc(sizeof(*a));

	a->limit = limit_bytes;
	a->next_size = BLOCK_FIRST_BYTES;
	return a;
}

void
arena_free(struct arena **ap)
{
	struct arena *a = *ap;

	if (a == NULL)
		return;
	for (struct cleanup *c = a->cleanups; c != NULL; c = c->next)
		c->clean(c->what);
	while (a->blocks != NULL) {
		struct block *block = a->blocks;

		a->blocks = block->next;
		free(block);
	}
	free(a);
	*ap = NULL;
}

static struct block *
block_new(struct arena *a, size_t size)
{
	struct block *block;
	size_t capacity = a->next_size > size ? a->next_size : size;

	block = mem_alloc(sizeof(*block) + capacity);
	block->size = capacity;
	block->next = a->blocks;
	a->blocks = block;
	if (a->next_size < BLOCK_MAX_BYTES)
		a->next_size *= 2;
	return block;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct block *block = a->blocks;
	void *p;

	if (size > a->limit - a->used)
		return NULL;
	a->used += size;
	size = (size + align - 1) / align * align;
	if (block == NULL || block->size - block->used < size)
		block = block_new(a, size);
	p = block->bytes + block->used;
	block->used += size;
	return p;
}

char *
arena_copy(struct arena *a, struct span bytes)
{
	char *copy = arena_alloc(a, bytes.len + 1);

	if (copy != NULL && bytes.len > 0)
		memcpy(copy, bytes.ptr, bytes.len);
	return copy;
}

char *
arena_strdup(struct arena *a, const char *text)
{
	return arena_copy(a, span_of(text));
}

struct span
arena_copy_span(struct arena *a, struct span bytes)
{
	char *copy = arena_copy(a, bytes);

	return span_make(copy, copy ? bytes.len : 0);
}

char *
arena_printf(struct arena *a, const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	text = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
	if (text == NULL)
		return NULL;
	va_start(args, format);
	vsnprintf(text, (size_t)n + 1, format, args);
	va_end(args);
	return text;
}

int
arena_on_free(struct arena *a, void (*clean)(void *what), void *what)
{
	struct cleanup *c = arena_alloc(a, sizeof(*c));

	if (c == NULL)
		return -1;
	c->clean = clean;
	c->what = what;
	c->next = a->cleanups;
	a->cleanups = c;
	return 0;
}
