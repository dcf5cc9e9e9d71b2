/*
 * fate: did a submission become durable whose answer queue took with it when it died?
 *
 * Who had sent SUBMIT_CLOSE and got no answer asks, once queue is back, by the message's id. Whoever is waiting for a reply is
 * then told the truth: a client that is told 451 sends again, and there would be two.
 */
#ifndef POSTERN_IPC_FATE_H
#define POSTERN_IPC_FATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ipc/ipc.h"

struct event_base;
struct fate;

/* How long queue may stay away before the answer is "not known", which is to be taken for no. */
enum { FATE_WAIT_MS = 10000 };

/* queue(context) is the channel, or NULL while queue is away. done is called once, in a later turn. */
struct fate *fate_ask(struct event_base *base, uint64_t id, struct ipc_channel *(*queue)(void *context),
    void (*done)(void *context, bool durable), void *context);

/* Nobody cares any more. Safe for NULL. */
void fate_cancel(struct fate **f);

#endif
