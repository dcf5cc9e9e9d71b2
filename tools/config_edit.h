/*
 * config_edit: changes settings in postern.conf and leaves all else in it as it is.
 */
#ifndef POSTERN_TOOLS_CONFIG_EDIT_H
#define POSTERN_TOOLS_CONFIG_EDIT_H

#include "common/base/buf.h"
#include "common/base/span.h"
#include "tools/tool.h"

enum config_change {
	CONFIG_SET,
	CONFIG_REMOVE,
	CONFIG_COMMENT /* its lines become comments */
};

/*
 * Each of words is "NAME=VALUE" to set, else "NAME". All are changed or, after a line on standard error, none. Returns
 * an exit status.
 */
int config_edit(struct tool *tool, enum config_change change, int count, char **words);

/*
 * The text with the global setting name changed. Set: its first place gets the value, others are dropped, comments stay;
 * a new one stands at the end of the global part. Otherwise value is of no use. Returns -1 if out is full.
 */
int config_edit_text(
    struct span text, enum config_change change, struct span name, struct span value, struct buf *out);

#endif
