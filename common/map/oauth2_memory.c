#include "config.h"

#ifdef HAVE_OAUTH2

#include "common/map/oauth2_memory.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void *
oauth2_alloc(size_t size)
{
	return malloc(size);
}

void *
oauth2_calloc(size_t count, size_t size)
{
	return calloc(count, size);
}

void
oauth2_free(void *memory)
{
	if (memory != NULL)
		explicit_bzero(memory, malloc_usable_size(memory));
	free(memory);
}

/* realloc() would leave the old place as it was. */
void *
oauth2_resize(void *memory, size_t size)
{
	size_t had = memory != NULL ? malloc_usable_size(memory) : 0;
	void *moved = malloc(size);

	if (moved == NULL || memory == NULL)
		return moved;
	memcpy(moved, memory, had < size ? had : size);
	oauth2_free(memory);
	return moved;
}

char *
oauth2_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = malloc(size);

	return copy != NULL ? memcpy(copy, text, size) : NULL;
}

#endif
