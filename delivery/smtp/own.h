/*
 * own: is that host this one? Mail for a domain whose best MX is ourselves would go round for ever.
 */
#ifndef POSTERN_DELIVERY_SMTP_OWN_H
#define POSTERN_DELIVERY_SMTP_OWN_H

#include <stdbool.h>

#include "common/conf/conf.h"
#include "delivery/smtp/hosts.h"

struct own;

/* Reads the interfaces: to be called while the process may still open a netlink socket. */
struct own *own_new(void);
void own_free(struct own **o);

/* Takes listeners, inet_interfaces and proxy_interfaces of a configuration. */
void own_configure(struct own *o, const struct conf *c);

/* By name (myhostname, proxy names, localhost). */
bool own_is_name(const struct own *o, const char *name);

/*
 * By address and port: where a listener of ours is, and on port 25 every address of this host, 127/8, ::1, and
 * unspecified addresses, IPv4-mapped ones included.
 */
bool own_is_host(const struct own *o, const struct host *host);

#endif
