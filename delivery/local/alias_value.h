/*
 * alias_value: the right-hand side of aliases(5), taken apart.
 */
#ifndef POSTERN_LOCAL_ALIAS_VALUE_H
#define POSTERN_LOCAL_ALIAS_VALUE_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/span.h"

enum alias_member {
	ALIAS_ADDRESS, /* with or without a domain */
	ALIAS_COMMAND, /* |command */
	ALIAS_FILE, /* /file */
	ALIAS_INCLUDE, /* :include:/file */
	ALIAS_MALFORMED
};

/* Takes the next member of *rest; text: the address in the internal form (in the arena), or the member as written. */
bool alias_next_member(struct arena *a, struct span *rest, enum alias_member *kind, struct span *text);

#endif
