/*
 * unitext: addresses of type utf-8 in the form that fits into ASCII, "\x{E9}" for a character (RFC 6533, 3).
 */
#ifndef POSTERN_PICKUP_UNITEXT_H
#define POSTERN_PICKUP_UNITEXT_H

#include "common/base/buf.h"
#include "common/base/span.h"

/* Appends the text with its characters as UTF-8. What is no such form, and control characters, stay as they are. */
void unitext_decode(struct buf *out, struct span text);

#endif
