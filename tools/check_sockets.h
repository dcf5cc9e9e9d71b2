/*
 * check_sockets: UNIX sockets that mail and logins go to (lmtp:unix:private/dovecot-lmtp, smtpd_sasl_path).
 */
#ifndef POSTERN_TOOLS_CHECK_SOCKETS_H
#define POSTERN_TOOLS_CHECK_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"
#include "common/conf/conf.h"

/* Whether mail for that route (TRANSPORT:NEXTHOP) waits, for delivery may not reach its socket; text says why. */
bool check_socket_route(const struct conf_values *v, struct span route, char *text, size_t size);

/* text: what is wrong, "warning: " in front where it may be right as soon as another program runs. section: "" or a listener's. */
typedef void check_sockets_tell(const char *section, const char *parameter, const char *text, void *context);

/* Of all parameters. */
void check_sockets(const struct conf *c, check_sockets_tell *tell, void *context);

#endif
