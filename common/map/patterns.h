/*
 * patterns: what regexp and pcre tables share: "/pattern/flags" and the $1 of results.
 */
#ifndef POSTERN_MAP_PATTERNS_H
#define POSTERN_MAP_PATTERNS_H

#include "common/map/kinds.h"

enum { PATTERN_MAX = 10000, PATTERN_GROUPS_MAX = 99 };

/* Where a group matched: start is negative if it took no part. */
struct pattern_group {
	ptrdiff_t start, end;
};

/*
 * Takes "/text/" at the start of *rest: any character that is not alphanumeric may stand for the slash, and a backslash
 * keeps the next one from ending it. text has PATTERN_MAX + 1 octets. NULL, or what is wrong.
 */
const char *pattern_take(struct span *rest, char *text);

/*
 * Is a blank or the end behind a pattern and its flags? If not, a delimiter inside the pattern has ended it, and the rest
 * of it would be taken for the result.
 */
bool pattern_is_whole(struct span rest);

/* Does result fit a pattern with so many groups? NULL, or what is wrong: as in Postfix there is no $0. */
const char *replacement_check(struct span result, bool negated, unsigned groups);

/*
 * Appends result with $1, ${1} and $(1) replaced by what the groups matched, $$ by a dollar. Says in hit that the
 * value holds parts of the key.
 */
void replacement_expand(
    const char *result, const char *key, const struct pattern_group *groups, struct map_hit *hit);

#endif
