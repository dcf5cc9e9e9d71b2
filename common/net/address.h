/*
 * address: addresses of hosts and lists of networks, as in mynetworks.
 *
 * An IPv4 address that arrived inside an IPv6 one (::ffff:192.0.2.1) is that IPv4 address everywhere: no list, log
 * line or counter can be passed by writing it the other way.
 */
#ifndef POSTERN_NET_ADDRESS_H
#define POSTERN_NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/error.h"
#include "common/base/span.h"

enum { NET_ADDRESS_SIZE = 64 };

/* family: AF_INET, AF_INET6, or AF_UNIX for what has no address (then the octets are 0). */
struct net_address {
	uint16_t family;
	uint16_t port;
	uint8_t octets[16];
};

/* Anything but IPv4 and IPv6 becomes AF_UNIX. */
void net_address_of_sockaddr(const struct sockaddr_storage *from, struct net_address *a);

/* Returns the length for bind() and connect(). */
socklen_t net_address_to_sockaddr(const struct net_address *a, struct sockaddr_storage *to);

/* "192.0.2.1", "2001:db8::1", either in square brackets. No port. Returns -1 if it is neither. */
int net_address_parse(struct span text, struct net_address *a);

/* As inet_ntop() writes it; "unix" where there is no address. Returns text. */
char *net_address_format(const struct net_address *a, char text[NET_ADDRESS_SIZE]);

/* Ports do not count. */
bool net_address_equal(const struct net_address *a, const struct net_address *b);

/*
 * "host:port", "[v6]:port", ":port", with a number or a service's name for the port. An absent host is the empty
 * span. Returns -1 with err.
 */
int net_split_host_port(struct span text, struct span *host, uint16_t *port, struct error *err);

struct net_list;

/*
 * Postfix's list of networks: "127.0.0.0/8, [::1]/128 !192.0.2.3 ..."; the first that matches decides. NULL with err
 * if an entry is malformed or has octets beyond its mask: a list is never shorter than written.
 */
struct net_list *net_list_parse(struct span text, struct error *err);
void net_list_free(struct net_list **list);

/* A NULL list holds nothing. */
bool net_list_has(const struct net_list *list, const struct net_address *a);

#endif
