/*
 * own_networks: what mynetworks is where it is not set: the loopback, and with mynetworks_style = subnet or class the
 * networks of this host's interfaces (as far as inet_interfaces names them).
 */
#ifndef POSTERN_CONF_OWN_NETWORKS_H
#define POSTERN_CONF_OWN_NETWORKS_H

#include <sys/socket.h>

#include "common/base/buf.h"
#include "common/base/span.h"

enum networks_style { NETWORKS_HOST, NETWORKS_SUBNET, NETWORKS_CLASS };

/* Appends the networks, separated by blanks. interfaces: the value of inet_interfaces. */
void own_networks_append(enum networks_style style, struct span interfaces, struct buf *out);

/*
 * One network, as mynetworks wants it ("192.0.2.0/24", "[2001:db8::]/64"), once. mask: NULL: that of a single address.
 * class: an IPv4 address stands for its class A, B or C. False if it is no address that clients have, or stood there.
 */
bool own_networks_add(
    struct buf *out, const struct sockaddr *address, const struct sockaddr *mask, bool class);

#endif
