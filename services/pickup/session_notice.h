/*
 * session_notice: tells postmaster of a conversation with errors (NOTIFY_SESSION, notify_classes).
 */
#ifndef POSTERN_PICKUP_SESSION_NOTICE_H
#define POSTERN_PICKUP_SESSION_NOTICE_H

#include "services/pickup/report.h"

/*
 * A whole message; of r what a head needs. subject and lines (common/mail/transcript.h, and texts) come from strangers' words:
 * what is not printable ASCII becomes '?'. *header_len: its octets before the body.
 */
void session_notice_put(
    const struct report *r, struct span subject, struct span lines, struct buf *out, size_t *header_len);

#endif
