/*
 * servers: the name servers that are asked, and how they have behaved.
 *
 * A list is made once from dns_servers or resolv.conf and is immutable but for what is learnt of each server. It is
 * counted: questions under way keep the list that they began with when the configuration changes.
 */
#ifndef POSTERN_RESOLVER_SERVERS_H
#define POSTERN_RESOLVER_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/error.h"
#include "common/base/span.h"

enum { SERVERS_MAX = 8 };

struct name_server {
	struct sockaddr_storage address;
	socklen_t address_len;
	char text[80]; /* for the log */
	bool trusted; /* its AD bit is believed */
	bool no_edns; /* it answered with an error to EDNS0 */
	unsigned silent; /* questions without answer in a row */
	int64_t answered_us; /* when it last answered anything, 0 never; monotonic */
};

struct servers {
	unsigned references;
	size_t count;
	struct name_server list[SERVERS_MAX];
};

/* From the parameter: addresses with ports, separated by blanks or commas. NULL with err if one is no address. */
struct servers *servers_from_parameter(struct span text, struct error *err);

/* From resolv.conf's text: nameserver lines (the local host if there is none), "options trust-ad". The rest is ignored. */
struct servers *servers_from_resolv_conf(struct span text);

struct servers *servers_ref(struct servers *s);
void servers_unref(struct servers **s);

/* The server for the n-th try (from 0): those that answer come first, in the order in which they were given. */
struct name_server *servers_for_try(struct servers *s, unsigned n);

void server_answered(struct name_server *server);
void server_was_silent(struct name_server *server);

/* True if any of them answered within the last seconds: then silence is the fault of the zone asked for. */
bool servers_answer_lately(const struct servers *s);

#endif
