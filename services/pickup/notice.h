/*
 * notice: queue asks for a notification: it is composed, submitted, and answered for once it is durable.
 */
#ifndef POSTERN_PICKUP_NOTICE_H
#define POSTERN_PICKUP_NOTICE_H

#include "common/ipc/ipc.h"

ipc_handler notice_open, notice_recipient, notice_data, notice_go;

struct server;

/* Forgets all that the queue behind this channel asked for. */
void notice_peer_down(struct server *s, struct ipc_channel *channel);

#endif
