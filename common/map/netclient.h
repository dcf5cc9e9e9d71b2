/*
 * netclient: a question and its answer on a stream to a table's server, before a deadline. Blocking: not for event loops.
 */
#ifndef POSTERN_MAP_NETCLIENT_H
#define POSTERN_MAP_NETCLIENT_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"

struct netclient;

/* For struct client_kind. host needs a port if it is none of "unix:". NULL with err. */
void *netclient_connect(void *table, const char *host, int64_t deadline_us, struct error *err);
void netclient_close(void *client);

/* The length of a whole answer with *content set, 0 if more octets are needed, -1 if it is none. */
typedef ptrdiff_t netclient_parse(struct span bytes, struct span *content);

/*
 * Writes request and reads one answer into the buf, in which *content lies then. -1 with err: the connection is of no use
 * any more. Octets behind the answer are a server that has lost count.
 */
int netclient_ask(struct netclient *c, struct span request, netclient_parse *parse, struct buf *answer,
    struct span *content, int64_t deadline_us, struct error *err);

#endif
