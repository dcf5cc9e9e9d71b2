/*
 * tls_level: whether a listener speaks TLS, and how much of it.
 */
#ifndef POSTERN_SMTPD_TLS_LEVEL_H
#define POSTERN_SMTPD_TLS_LEVEL_H

#include <stdbool.h>

struct conf_values;

enum tls_level {
	TLS_LEVEL_NONE,
	TLS_LEVEL_MAY, /* offered by STARTTLS */
	TLS_LEVEL_ENCRYPT /* nothing goes on without it; so it is with smtpd_tls_wrappermode */
};

/* smtpd_tls_security_level or, where that is empty, the older smtpd_enforce_tls and smtpd_use_tls. */
enum tls_level tls_level_of(const struct conf_values *v);

/* The listener asks clients for a certificate; it wants one that verifies. */
bool tls_level_asks(const struct conf_values *v);
bool tls_level_requires_certificate(const struct conf_values *v);

#endif
