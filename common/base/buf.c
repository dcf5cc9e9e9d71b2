#include "common/base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum { BUF_FIRST_BYTES = 128 };

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void
buf_free(struct buf *b)
{
	free(b->mem);
	buf_init(b, b->max);
}

void
buf_clear(struct buf *b)
{
	b->start = 0;
	b->len = 0;
	b->full = false;
}

char *
buf_reserve(struct buf *b, size_t len)
{
	size_t cap;

	if (len > b->max - b->len || b->len > b->max) {
		b->full = true;
		return NULL;
	}
	/* One byte more than asked, so that buf_text() always has room for its NUL. */
	if (b->cap >= b->start + b->len + len + 1)
		return b->mem + b->start + b->len;
	if (b->start > 0) {
		memmove(b->mem, b->mem + b->start, b->len);
		b->start = 0;
		if (b->cap >= b->len + len + 1)
			return b->mem + b->len;
	}
	cap = b->cap ? b->cap : BUF_FIRST_BYTES;
	while (cap < b->len + len + 1)
		cap = cap < SIZE_MAX / 2 ? cap * 2 : b->len + len + 1;
	b->mem = mem_resize(b->mem, cap);
	b->cap = cap;
	return b->mem + b->len;
}

void
buf_added(struct buf *b, size_t len)
{
	b->len += len;
}

int
buf_append(struct buf *b, const void *bytes, size_t len)
{
	char *to = buf_reserve(b, len);

	if (to == NULL)
		return -1;
	if (len > 0)
		memcpy(to, bytes, len);
	b->len += len;
	return 0;
}

int
buf_append_span(struct buf *b, struct span bytes)
{
	return buf_append(b, bytes.ptr, bytes.len);
}

int
buf_append_text(struct buf *b, const char *text)
{
	return buf_append(b, text, strlen(text));
}

int
buf_vprintf(struct buf *b, const char *format, va_list args)
{
	va_list again;
	char small[256], *to;
	int n;

	va_copy(again, args);
	n = vsnprintf(small, sizeof(small), format, args);
	if (n >= 0 && (size_t)n < sizeof(small)) {
		va_end(again);
		return buf_append(b, small, (size_t)n);
	}
	to = n < 0 ? NULL : buf_reserve(b, (size_t)n);
	if (to != NULL) {
		vsnprintf(to, (size_t)n + 1, format, again);
		b->len += (size_t)n;
	}
	va_end(again);
	return to ? 0 : -1;
}

int
buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;
	int result;

	va_start(args, format);
	result = buf_vprintf(b, format, args);
	va_end(args);
	return result;
}

void
buf_consume(struct buf *b, size_t len)
{
	if (len >= b->len) {
		b->start = 0;
		b->len = 0;
		return;
	}
	b->start += len;
	b->len -= len;
}

const char *
buf_text(struct buf *b)
{
	if (b->mem == NULL)
		return "";
	b->mem[b->start + b->len] = '\0';
	return b->mem + b->start;
}
