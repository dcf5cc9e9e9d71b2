/*
 * arena: memory with a named lifetime (process, session, transaction, request).
 *
 * Ending the arena frees all of it and runs the registered clean-ups, last one first. Every arena has a
 * limit; an allocation beyond it returns NULL, which callers treat as an ordinary error. Memory is zeroed.
 */
#ifndef POSTERN_BASE_ARENA_H
#define POSTERN_BASE_ARENA_H

#include <stddef.h>

#include "common/base/span.h"

struct arena;

/* limit_bytes counts what was asked for, not the arena's own overhead. */
struct arena *arena_new(size_t limit_bytes);

/* Clears the caller's pointer. */
void arena_free(struct arena **a);

void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *text);

/* A NUL-terminated copy. */
char *arena_copy(struct arena *a, struct span bytes);
struct span arena_copy_span(struct arena *a, struct span bytes);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs clean(what) when the arena ends. Returns -1 at the limit (clean is not run). */
int arena_on_free(struct arena *a, void (*clean)(void *what), void *what);

#endif
