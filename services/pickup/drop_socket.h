/*
 * drop_socket: sendmail(1) on the socket public/pickup, which every user of this host may connect to.
 *
 * One message a connection. The kernel says whose it is (SO_PEERCRED). Clients and their octets are bounded; one that
 * says nothing for a while is let go.
 */
#ifndef POSTERN_PICKUP_DROP_SOCKET_H
#define POSTERN_PICKUP_DROP_SOCKET_H

#include "services/pickup/pickup.h"

struct drop_socket *drop_socket_new(struct pickup *p);

/* Listens on what master gave, or no longer. */
void drop_socket_listen(struct drop_socket *d);
void drop_socket_stop(struct drop_socket *d);

/* What sendmail -v and -odi wait for: a line of the first attempt (NULL line: it is over). */
void drop_socket_trace(struct drop_socket *d, uint64_t id, const struct span *line);

/* Those who wait for an attempt are told that their mail is safe, and no more. */
void drop_socket_release(struct drop_socket *d);

#endif
