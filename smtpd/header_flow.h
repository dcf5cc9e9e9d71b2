/*
 * header_flow: what is done to a header that has come whole before it goes on to queue: its addresses are rewritten
 * (local_header_rewrite_clients, remote_header_rewrite_domain).
 */
#ifndef POSTERN_SMTPD_HEADER_FLOW_H
#define POSTERN_SMTPD_HEADER_FLOW_H

#include <stdbool.h>

struct session;

/* The session's client writes local mail: headers are completed and rewritten as this host's own. */
bool header_flow_is_local(const struct session *s);

/* The content of the session's messages has to be held until its header is whole. */
bool header_flow_wanted(const struct session *s);

/*
 * The content is paused. True if it may go on at once; false if the session waits for an answer now: then it goes on
 * by itself, also to flow_finished() where the transaction is 'finishing'.
 */
bool header_flow_run(struct session *s);

#endif
