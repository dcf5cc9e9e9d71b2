/*
 * list_file: "/file/name" within a list stands for the words in that file, and "cidr:/file" and "texthash:/file" for the keys of
 * those tables, as in Postfix's match lists, which look at no result. Other tables would have to be asked.
 *
 * master reads such files with the configuration, so that the processes in their sandboxes need none: a changed file counts from
 * the next reload on. Private to common/conf.
 */
#ifndef POSTERN_CONF_LIST_FILE_H
#define POSTERN_CONF_LIST_FILE_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"

/* What a list becomes that cannot be read: the value that trusts nobody and offers nothing. NULL: it is no such list. */
const char *list_file_strictest(struct span parameter);

/* Does the list name any? */
bool list_file_is_named(struct span text);

/*
 * Replaces the files that text names by their words; "!/file" turns each of them around. Files may name files. Returns 0; -1
 * with err, errno and out undefined where one cannot be read or all is longer than out may be.
 */
int list_file_include(struct span text, struct buf *out, struct error *err);

#endif
