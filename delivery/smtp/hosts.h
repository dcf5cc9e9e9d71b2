/*
 * hosts: the addresses that a next hop led to, in the order in which they are tried.
 */
#ifndef POSTERN_DELIVERY_SMTP_HOSTS_H
#define POSTERN_DELIVERY_SMTP_HOSTS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"

/* Addresses kept of one next hop, whatever DNS says (test catalogue I01, I12). */
enum { HOSTS_MAX = 200, HOST_NAME_SIZE = 256 };

struct host {
	char name[HOST_NAME_SIZE];
	char text[INET6_ADDRSTRLEN];
	char socket[HOST_NAME_SIZE]; /* of a UNIX socket: its path, and there is no address; "": none */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;
	unsigned preference;
};

struct hosts {
	struct host *list; /* mem_alloc'd */
	size_t count;
	size_t capacity;
};

enum host_family { HOST_ANY, HOST_IPV4, HOST_IPV6 };

/* How the list is ordered: smtp_randomize_addresses, smtp_address_preference, smtp_balance_inet_protocols. */
struct host_order {
	bool randomize;
	enum host_family prefer;
	bool balance;
	size_t limit; /* smtp_mx_address_limit; 0 is none */
};

void hosts_free(struct hosts *h);

/* data: 4 or 16 octets. Returns -1 when HOSTS_MAX is reached or data is no address. */
int hosts_add(struct hosts *h, struct span name, struct span data, unsigned preference, uint16_t port);

/* By preference; equals shuffled, the preferred family first among them; then cut to the limit. */
void hosts_order(struct hosts *h, const struct host_order *order);

/* Drops all from the given preference up (RFC 5321, 5.1: ourselves and those behind us). */
void hosts_drop_from(struct hosts *h, unsigned preference);

bool host_same_address(const struct host *a, const struct host *b);

#endif
