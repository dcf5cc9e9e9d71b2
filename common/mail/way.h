/*
 * way: the addresses through which aliases and .forward files brought a message to one of its recipients, as Delivered-To
 * lines will show them (RFC 9228).
 *
 * A text: one address a line, the latest last. If it ends in a newline it is open: its last address is the one under
 * which delivery still goes on (mail for an alias is delivered to its members as mail for the alias), and gets its line
 * when that delivery ends. The others stand in front of the content already.
 */
#ifndef POSTERN_MAIL_WAY_H
#define POSTERN_MAIL_WAY_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/span.h"

bool way_is_open(struct span way);

/* The address under which delivery goes on; empty if it is not open. */
struct span way_open_address(struct span way);

/* The way without that address. */
struct span way_behind(struct span way);

/* Does it lead through that address? Case counts for nothing. */
bool way_has(struct span way, struct span address);

/* The field for each address of a way that is not open, the latest first. line_end: "\n" or "\r\n". */
void way_put(struct buf *out, struct span way, const char *line_end);

#endif
