/*
 * config_edit: changes settings in postern.conf and leaves all else in it as it is.
 */
#ifndef POSTERN_TOOLS_CONFIG_EDIT_H
#define POSTERN_TOOLS_CONFIG_EDIT_H

#include "common/base/buf.h"
#include "common/base/span.h"
#include "tools/tool.h"

/* Each of words is "NAME=VALUE". All are changed or, after a line on standard error, none. Returns an exit status. */
int config_edit(struct tool *tool, int count, char **words);

/*
 * The text with the global setting name changed: its first place gets the value, others are dropped, comments stay;
 * a new one stands at the end of the global part.
 */
int config_edit_text(struct span text, struct span name, struct span value, struct buf *out);

#endif
