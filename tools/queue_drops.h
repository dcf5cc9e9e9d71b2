/*
 * queue_drops: what waits in the drop directory, as a part of the queue that Postfix's names call maildrop. For root, and
 * who owns the instance; it is read by the program care, as the directory's owner.
 */
#ifndef POSTERN_TOOLS_QUEUE_DROPS_H
#define POSTERN_TOOLS_QUEUE_DROPS_H

#include <stdint.h>
#include <stdio.h>

#include "tools/tool.h"

/*
 * row(context, ...) for each, oldest first: an object as listings have it. Nothing where the caller may not look. filter: as queue's,
 * without states, and with names for ids; "": all.
 */
int queue_drops_list(
    struct tool *tool, const char *filter, void (*row)(void *context, struct span line), void *context);

/* name: that one, or "ALL". *count: how many there were. All return an exit status, with one line printed. */
int queue_drops_delete(struct tool *tool, const char *name, uint64_t *count);
int queue_drops_delete_by(struct tool *tool, const char *filter, uint64_t *count);

#endif
