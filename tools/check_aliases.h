/*
 * check_aliases: what local delivery will make of the text of an alias table: newaliases(1) and postern check say so before
 * mail meets it.
 */
#ifndef POSTERN_TOOLS_CHECK_ALIASES_H
#define POSTERN_TOOLS_CHECK_ALIASES_H

#include <stdbool.h>

#include "common/map/map.h"

/* Whether the table ("type:path") is made of a text of aliases(5), or is one. */
bool alias_text_known(const char *table);

/*
 * Tells of each member that is none, and with lines of each line that is ignored, the first 20 in all. A text that cannot be
 * read is nobody's mistake here.
 */
void alias_text_check(const char *table, bool lines, map_complain *complain, void *context);

#endif
