/*
 * timeouts: how long a server may take for what, smtp_..._timeout or lmtp_..._timeout.
 */
#ifndef POSTERN_DELIVERY_SMTP_TIMEOUTS_H
#define POSTERN_DELIVERY_SMTP_TIMEOUTS_H

#include <stdbool.h>
#include <stdint.h>

struct conf_values;

enum timeout_kind {
	TIMEOUT_CONNECT,
	TIMEOUT_HELLO, /* the greeting too */
	TIMEOUT_MAIL,
	TIMEOUT_RCPT,
	TIMEOUT_DATA_INIT,
	TIMEOUT_DATA_XFER,
	TIMEOUT_DATA_DONE,
	TIMEOUT_RSET,
	TIMEOUT_QUIT
};

/* Microseconds; 0: no limit of ours. */
int64_t timeout_of(const struct conf_values *v, bool lmtp, enum timeout_kind kind);

#endif
