/*
 * checks: the children that ask PAM: a bounded number at a time, each with a time limit. One user is asked about by one
 * child at a time, and one address never has all of them. What waits is bounded too.
 */
#ifndef POSTERN_AUTH_CHECKS_H
#define POSTERN_AUTH_CHECKS_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/ipc/ipc.h"

struct event_base;
struct checks;

/* program: this program's own file, open. */
struct checks *checks_new(struct event_base *base, int program);

/* Answers a PASSWORD_ASK, at once or when its child has ended. */
void checks_ask(
    struct checks *c, const char *service, struct ipc_channel *channel, const struct ipc_frame *frame);

/* No answer can be sent there any more: its questions and their children end. */
void checks_peer_gone(struct checks *c, const struct ipc_channel *peer);

bool checks_idle(const struct checks *c);

#endif
