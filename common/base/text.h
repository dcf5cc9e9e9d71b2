/*
 * text: the few things that all parsers need of single characters and numbers.
 *
 * ASCII only and independent of the locale: <ctype.h> is neither.
 */
#ifndef POSTERN_BASE_TEXT_H
#define POSTERN_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct buf;

static inline char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static inline char
ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static inline bool
ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
ascii_is_alpha(char c)
{
	c = ascii_lower(c);
	return c >= 'a' && c <= 'z';
}

static inline bool
ascii_is_alnum(char c)
{
	return ascii_is_digit(c) || ascii_is_alpha(c);
}

/* White space of files that people write: pages of some editors begin with a form feed. */
static inline bool
ascii_is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The text without white space at either end. */
struct span text_trim(struct span text);

/* 0..15, or -1. */
int hex_digit(char c);

/* Decimal digits only, the whole span, within [min, max]. Returns -1 otherwise and leaves *value alone. */
int number_parse(struct span text, uint64_t min, uint64_t max, uint64_t *value);

/* True if the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
bool utf8_valid(struct span text);

/* True if any byte has its high bit set. */
bool text_is_8bit(struct span text);

/* Lower-cases ASCII in place. */
void text_lower(char *text, size_t len);

/*
 * Appends what may go into a log line or reply: control characters and bytes that are not UTF-8 become '?',
 * at most max bytes are taken.
 */
void text_append_printable(struct buf *out, struct span text, size_t max);

/* Appends text as the inside of a JSON string (RFC 8259, 7); bytes that are not UTF-8 become U+FFFD. */
void text_append_json(struct buf *out, struct span text);

#endif
