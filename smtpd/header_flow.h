/*
 * header_flow: what is done to a header that has come whole before it goes on to queue: its addresses are rewritten
 * (local_header_rewrite_clients, remote_header_rewrite_domain), and it gets a Sender (sender_field.h). It stands behind
 * the checks, as in Postfix.
 */
#ifndef POSTERN_SMTPD_HEADER_FLOW_H
#define POSTERN_SMTPD_HEADER_FLOW_H

#include <stdbool.h>

#include "common/base/span.h"

struct session;

/* The transaction's header is held from now on, if something may have to be done to it. */
void header_flow_begin(struct session *s);

/* Content on its way to queue. header: it belongs to the message's header. */
void header_flow_put(struct session *s, struct span bytes, bool header);

/*
 * Asks lookup if it is time to. True: go on; false: the session waits, and goes on by itself, also to flow_finished()
 * where the transaction is 'finishing'.
 */
bool header_flow_run(struct session *s);

#endif
