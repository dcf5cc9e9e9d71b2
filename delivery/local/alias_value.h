/*
 * alias_value: the right side of an alias, or a line of .forward or an :include: file, taken apart (aliases(5)).
 */
#ifndef POSTERN_LOCAL_ALIAS_VALUE_H
#define POSTERN_LOCAL_ALIAS_VALUE_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/span.h"

enum alias_member {
	ALIAS_ADDRESS, /* text: the address, in the internal form, perhaps without domain */
	ALIAS_COMMAND, /* text: the line behind '|' */
	ALIAS_FILE, /* text: the path; "~/" in front is the home of the user whose list it is */
	ALIAS_INCLUDE, /* text: the path behind ":include:" */
	ALIAS_MALFORMED /* text: as it was written */
};

/* The next member of *rest. False at the end. */
bool alias_next_member(struct arena *a, struct span *rest, enum alias_member *kind, struct span *text);

#endif
