/*
 * casefold: letters of either case made one, as Postfix does for keys of tables and for addresses.
 *
 * ASCII, and what is UTF-8 by Unicode's full case folding (The Unicode Standard, 3.13), by libunistring; a build without
 * that library folds ASCII alone. Nothing is normalised.
 */
#ifndef POSTERN_MAIL_CASEFOLD_H
#define POSTERN_MAIL_CASEFOLD_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/span.h"

enum casefold_status {
	CASEFOLD_DONE,
	CASEFOLD_NOT_UTF8, /* out is a copy with ASCII in lower case */
	CASEFOLD_TOO_LONG /* folded text may be three times as long; out is of no use */
};

/* out: size octets, not ended by a NUL, which may be the text itself. *folded is the part that is used. */
enum casefold_status casefold(struct span text, char *out, size_t size, struct span *folded);

/* A copy that ends in NUL; what is not UTF-8 is folded as far as it is ASCII. Its ptr is NULL when the arena is full. */
struct span casefold_copy(struct arena *a, struct span text);

/* The same but for case. */
bool casefold_equal(struct span a, struct span b);

#endif
