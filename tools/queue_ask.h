/*
 * queue_ask: one question to queue about one message, with all of the answer at once.
 */
#ifndef POSTERN_TOOLS_QUEUE_ASK_H
#define POSTERN_TOOLS_QUEUE_ASK_H

#include <stdio.h>

#include "common/base/buf.h"
#include "tools/tool.h"

/* args: lines as messages.def's CONTROL_ASK says. Appends the answer's rows. Returns an exit status, with one line printed. */
int queue_ask(struct tool *tool, const char *verb, struct span args, struct buf *rows);

/* hold, release, delete or requeue: *count is how many it was done to. Progress is shown on the way. As queue_ask(). */
int queue_act(struct tool *tool, const char *verb, struct span args, uint64_t *count);

/* Writes the ids of the messages that args choose, a line each. As queue_ask(). */
int queue_ids(struct tool *tool, struct span args, FILE *to);

/* postern queue explain ID [--json]; postern queue edit ID ... : argv[0] is the verb. */
int queue_explain(int argc, char **argv, struct tool *tool);
int queue_edit(int argc, char **argv, struct tool *tool);

#endif
