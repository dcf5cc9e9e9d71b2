/*
 * buf: owned bytes that grow up to a maximum given when it is made.
 *
 * Bytes are appended at the end and consumed at the front. Reaching the maximum is an ordinary error:
 * the append returns -1, sets 'full' and changes nothing else, so a run of appends can be checked once.
 * Lack of memory ends the process (mem.h).
 */
#ifndef POSTERN_BASE_BUF_H
#define POSTERN_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"

struct buf {
	char *mem; /* NULL while nothing is allocated */
	size_t start; /* first byte not yet consumed */
	size_t len; /* bytes held, from start */
	size_t cap;
	size_t max;
	bool full; /* an append was refused; buf_clear() forgets it */
};

void buf_init(struct buf *b, size_t max);

/* Frees the bytes; the buf is as after buf_init(). */
void buf_free(struct buf *b);

/* Empties it and keeps the memory. */
void buf_clear(struct buf *b);

int buf_append(struct buf *b, const void *bytes, size_t len);
int buf_append_span(struct buf *b, struct span bytes);
int buf_append_text(struct buf *b, const char *text);
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* Room for at least len more bytes at the end, to be filled and then added with buf_added(). NULL if over max. */
char *buf_reserve(struct buf *b, size_t len);
void buf_added(struct buf *b, size_t len);

/* Drops len bytes at the front (at most all). */
void buf_consume(struct buf *b, size_t len);

static inline char *
buf_ptr(const struct buf *b)
{
	return b->mem ? b->mem + b->start : NULL;
}

static inline struct span
buf_span(const struct buf *b)
{
	return span_make(buf_ptr(b), b->len);
}

/* The bytes as a NUL-terminated string that lives until the next change of the buf. */
const char *buf_text(struct buf *b);

#endif
