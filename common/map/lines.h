/*
 * lines: the text of a table, logical line by logical line.
 *
 * As in Postfix: empty lines and those whose first visible character is '#' are skipped, also between the parts of
 * a continued one; a line that begins with white space continues the one before. Unlike there, a byte order mark in front of
 * all is no part of the first key.
 */
#ifndef POSTERN_MAP_LINES_H
#define POSTERN_MAP_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"

enum { LINES_LINE_MAX = 1 << 20, LINES_FILE_MAX = 64 << 20 };

struct lines {
	struct span rest;
	unsigned physical; /* lines taken from rest */
	unsigned first; /* where the logical line began */
	bool cut; /* it had more than LINES_LINE_MAX octets: these are its first */
	struct buf logical;
};

/* Reads a regular file of at most max octets. Returns allocated bytes, or NULL with err naming the file. */
char *lines_load(const char *path, size_t max, size_t *len, struct error *err);

void lines_begin(struct lines *l, struct span text);

/* The next logical line without its end and trailing blanks. False at the end. */
bool lines_next(struct lines *l, struct span *line);
void lines_end(struct lines *l);

/* Offset of the brace that closes the one at the start of text, or -1. */
ptrdiff_t lines_brace_end(struct span text);

/* What parts the words of a table in the configuration itself: commas and white space. */
bool lines_separator(char c);
void lines_skip_separators(struct span *rest);

/* Takes the next word, which ends at a separator outside braces: "a={b c}" is one. False at the end. */
bool lines_word(struct span *rest, struct span *word);

/* The text of a table in the configuration itself, "{ {line} {line} }". Returns 0, or -1 with err. */
int lines_inline(struct span name, struct buf *out, struct error *err);

#endif
