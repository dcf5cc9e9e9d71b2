/*
 * ports: TCP ports by number or by name. The names that Postern itself knows are known_tcp_ports: most of its processes
 * cannot read /etc/services, and small systems have none.
 */
#ifndef POSTERN_CONF_PORTS_H
#define POSTERN_CONF_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"

/* A number from 1 to 65535, or a name of known ("smtp=25, smtps=submissions=465"). Returns 0, or -1 for anything else. */
int port_parse(struct span text, const char *known, uint16_t *port);

/* Whether each item of known is "NAME=NUMBER" or "NAME=NAME=NUMBER"; else *item is the first one that is not. */
bool port_names_ok(const char *known, struct span *item);

#endif
