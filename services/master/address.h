/*
 * address: "listen = ..." taken apart: "127.0.0.1:25", "[::1]:25", ":587", "localhost:smtp", "192.0.2.1", "mx1.example.com:25".
 */
#ifndef POSTERN_MASTER_ADDRESS_H
#define POSTERN_MASTER_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "common/base/error.h"
#include "common/base/span.h"
#include "common/conf/conf.h"
#include "services/master/names.h"

enum { LISTEN_ADDRESSES_MAX = NAME_ADDRESSES_MAX };

struct listen_address {
	struct sockaddr_storage address;
	socklen_t len;
	char text[80]; /* "192.0.2.1:25", "[2001:db8::1]:25" */
	bool wildcard; /* one of both families: the other alone is enough where this one is missing */
};

/*
 * Fills list with those that word means: one, both wildcards, or all that a host's name has (names_look_up()).
 * Of v, inet_protocols and known_tcp_ports count; a port may also be one of /etc/services. programs: daemon_directory;
 * NULL: names are not looked up. Returns how many, -1 with err.
 */
int listen_address_parse(struct span word, const struct conf_values *v, const char *programs,
    struct listen_address list[LISTEN_ADDRESSES_MAX], struct error *err);

#endif
