/*
 * route: the next hop of a job as text ("example.org", "[mx.example.org]:587", "a.example, b.example") and what it
 * means: hosts to be tried in this order, each with or without MX lookup (transport(5), relayhost in postconf(5)).
 */
#ifndef POSTERN_DELIVERY_SMTP_ROUTE_H
#define POSTERN_DELIVERY_SMTP_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"

enum { ROUTE_MAX = 8, ROUTE_HOST_SIZE = 256 };

struct route {
	char host[ROUTE_HOST_SIZE]; /* lower case; a literal without brackets or "IPv6:" */
	uint16_t port;
	bool use_mx;
	bool own_port; /* a port was written: mail cannot loop through our own port 25 there */
	char socket[ROUTE_HOST_SIZE]; /* a UNIX socket, and nothing else counts; "": none */
	char site[ROUTE_HOST_SIZE +
		  16]; /* as it was written, without "inet:"; of a UNIX socket the path: for TLS policies */
};

/* lmtp: no MX is asked for, "inet:" in front is skipped, "unix:PATH" is a UNIX socket. */
struct route_rules {
	uint16_t port;
	bool lmtp;
	bool no_mx; /* disable_dns_lookups */
	const char *known_ports; /* known_tcp_ports */
};

/* Returns how many were put into routes (at most max), or -1 with err for a text that names no host. */
int route_parse(
    struct span nexthop, const struct route_rules *rules, struct route *routes, int max, struct error *err);

/* A number or a name of known_ports, as smtp_tcp_port has it; fallback for anything else. */
uint16_t route_default_port(const char *text, const char *known_ports, uint16_t fallback);

#endif
