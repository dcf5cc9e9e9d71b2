/*
 * broker: connects to UNIX sockets for delivery and smtpd, which have an empty root directory, and for smtpd also to Dovecot
 * by TCP, and hands over the descriptor.
 *
 * Either may have been taken over, so its wish decides nothing. delivery: the socket must be one of lmtp_unix_sockets, or
 * lie in a folder named there with a slash at its end. smtpd: it must be the smtpd_sasl_path of a listener that has AUTH by
 * Dovecot. What master listens to never is. No byte is written or read here.
 */
#ifndef POSTERN_MASTER_BROKER_H
#define POSTERN_MASTER_BROKER_H

#include "common/base/error.h"
#include "common/conf/conf.h"
#include "common/ipc/protocol.h"

/*
 * path: absolute, or below queue_directory; for smtpd also "unix:path" and "inet:address:port". Returns the descriptor,
 * non-blocking: connected, with TCP maybe only soon or never. -1 with err.
 */
int broker_connect(const struct conf *conf, enum role role, struct span path, struct error *err);

/* The absolute path, if delivery may reach it. Returns false otherwise. */
bool broker_allows(const struct conf_values *v, struct span path, char absolute[108]);

/* The same for smtpd, of a path with or without "unix:". */
bool broker_allows_auth(const struct conf *conf, struct span path, char absolute[108]);

#endif
