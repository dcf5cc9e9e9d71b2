/*
 * netclient: a stream to a table server with a deadline for each step. Blocking: not for event loops.
 */
#ifndef POSTERN_MAP_NETCLIENT_H
#define POSTERN_MAP_NETCLIENT_H

#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/base/span.h"

struct netclient {
	int fd;
};

/* place: "unix:PATH", "inet:HOST:PORT" or "HOST:PORT" ([IPv6]:PORT). NULL with err. */
struct netclient *netclient_connect(const char *place, int64_t deadline_us, struct error *err);
void netclient_close(void *client);

/* All of it, or -1 with err. */
int netclient_write(struct netclient *c, struct span bytes, int64_t deadline_us, struct error *err);

/* Some octets; -1 with err, also at the end of the stream. */
ssize_t netclient_read(struct netclient *c, void *bytes, size_t size, int64_t deadline_us, struct error *err);

#endif
