/*
 * oauth2_memory: what the libraries of oauth2 tables allocate: they hold tokens, so that all of it is overwritten when
 * it is freed.
 */
#ifndef POSTERN_MAP_OAUTH2_MEMORY_H
#define POSTERN_MAP_OAUTH2_MEMORY_H

#include <stddef.h>

/* As malloc(3) and its kin: NULL where there is none. */
void *oauth2_alloc(size_t size);
void *oauth2_calloc(size_t count, size_t size);
void *oauth2_resize(void *memory, size_t size);
char *oauth2_strdup(const char *text);
void oauth2_free(void *memory);

#endif
