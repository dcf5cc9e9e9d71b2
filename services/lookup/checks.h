/*
 * checks: answers CHECK_ASK: lines of messages for tables of header_checks(5) and body_checks(5).
 *
 * Patterns meet what strangers wrote, and some take long over some texts. So a few threads with tables of their own do
 * this work; nobody's recipient waits for it. A question that takes longer than it may is temporary trouble.
 */
#ifndef POSTERN_LOOKUP_CHECKS_H
#define POSTERN_LOOKUP_CHECKS_H

#include "common/ipc/ipc.h"

struct event_base;
struct checks;

/* Starts the threads: -1 with err. */
struct checks *checks_new(struct event_base *base, struct error *err);

/* The configuration changed: tables that it does not name any more are closed. */
void checks_configured(struct checks *c);

/* No answer can be sent there any more. */
void checks_peer_gone(struct checks *c, const struct ipc_channel *peer);

/* Handlers of CHECK_ASK and CHECK_LINES. */
int checks_ask(
    struct checks *c, struct ipc_channel *channel, const struct ipc_frame *frame, struct error *err);
int checks_lines(
    struct checks *c, struct ipc_channel *channel, const struct ipc_frame *frame, struct error *err);

#endif
