/*
 * span: a borrowed run of bytes. Never owns, never ends in NUL by promise.
 *
 * Whoever keeps a span keeps what it points into alive. Functions that compare without case fold ASCII
 * only: protocol words are ASCII (RFC 5321, 2.4), local parts are compared by other means.
 */
#ifndef POSTERN_BASE_SPAN_H
#define POSTERN_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
	const char *ptr;
	size_t len;
};

/* A span of a string literal, and the two arguments of printf's "%.*s". */
#define SPAN_LIT(s) ((struct span){(s), sizeof(s) - 1})
#define SPAN_ARG(s) ((int)(s).len), ((s).len ? (s).ptr : "")

static inline struct span
span_make(const void *ptr, size_t len)
{
	return (struct span){ptr, len};
}

/* NULL gives the empty span. */
static inline struct span
span_of(const char *s)
{
	return (struct span){s, s ? strlen(s) : 0};
}

bool span_equal(struct span a, struct span b);
bool span_equal_nocase(struct span a, struct span b);
bool span_is(struct span a, const char *s);
bool span_is_nocase(struct span a, const char *s);
bool span_starts(struct span a, const char *prefix);
bool span_starts_nocase(struct span a, const char *prefix);
bool span_ends_nocase(struct span a, const char *suffix);

/* memcmp order, the shorter first. */
int span_compare(struct span a, struct span b);

/* Offset of the first (last) occurrence, or -1. */
ptrdiff_t span_find(struct span a, char c);
ptrdiff_t span_find_last(struct span a, char c);
ptrdiff_t span_find_span(struct span a, struct span needle);

/* [from, from + len), cut to what is there. */
struct span span_sub(struct span a, size_t from, size_t len);
struct span span_from(struct span a, size_t from);

/* Without any of these few octets at both ends. */
struct span span_trim_of(struct span a, const char *few);

/* Without blanks (space, tab, CR, LF) at both ends. */
struct span span_trim(struct span a);

/*
 * Takes the next word of *rest that is bounded by any of the characters in separators; several in a row
 * count as one. Returns false when no word is left.
 */
bool span_next_word(struct span *rest, const char *separators, struct span *word);

/* Takes the next line of *rest, without its LF or CRLF. Returns false at the end. */
bool span_next_line(struct span *rest, struct span *line);

/* A NUL-terminated copy in dst (cut to size - 1 bytes). Returns false if it was cut or holds a NUL. */
bool span_copy(struct span a, char *dst, size_t size);

#endif
