/*
 * held_notice: what postmaster reads when mail of a user is put on hold: a plain message, for nothing has failed.
 */
#ifndef POSTERN_PICKUP_HELD_NOTICE_H
#define POSTERN_PICKUP_HELD_NOTICE_H

#include "common/base/buf.h"
#include "services/pickup/report.h"

/* why: the reason of the hold. *header_len: with the empty line. */
void held_notice_put(const struct report *r, struct span why, struct buf *out, size_t *header_len);

#endif
