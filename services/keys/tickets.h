/*
 * tickets: the keys that encrypt session tickets (RFC 5077, RFC 8446 4.6.1), the same for all smtpd processes.
 *
 * New ones are made in turn and whenever this process starts; those before the present ones still open what they closed.
 */
#ifndef POSTERN_KEYS_TICKETS_H
#define POSTERN_KEYS_TICKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/ipc/ipc.h"

enum { TICKET_KEYS_LEN = 80 };

struct tickets {
	unsigned char current[TICKET_KEYS_LEN], previous[TICKET_KEYS_LEN];
	bool has_current, has_previous;
};

/* -1: no random octets are to be had, and nothing has changed. */
int tickets_rotate(struct tickets *t, struct error *err);

/* Its spans point into t. */
struct msg_ticket_keys tickets_message(const struct tickets *t);

#endif
