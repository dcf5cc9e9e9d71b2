/*
 * address: "listen = ..." taken apart: "127.0.0.1:25", "[::1]:25", ":587", "localhost:smtp", "192.0.2.1".
 */
#ifndef POSTERN_MASTER_ADDRESS_H
#define POSTERN_MASTER_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "common/base/error.h"
#include "common/base/span.h"

struct listen_address {
	struct sockaddr_storage address;
	socklen_t len;
	char text[80]; /* "192.0.2.1:25", "[2001:db8::1]:25" */
	bool wildcard; /* one of both families: the other alone is enough where this one is missing */
};

/* Fills list with the one or two that word means; protocols: inet_protocols. Returns how many, -1 with err. */
int listen_address_parse(
    struct span word, const char *protocols, struct listen_address list[2], struct error *err);

#endif
