/*
 * parameters: the values of Postfix's TLS parameters as OpenSSL wants them.
 */
#ifndef POSTERN_TLS_PARAMETERS_H
#define POSTERN_TLS_PARAMETERS_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"

/* Versions as on the wire (RFC 8446, 4.1.2); 0: no limit. excluded: SSL_OP_NO_*. */
struct tls_protocols {
	int floor;
	int ceiling;
	uint64_t excluded;
};

/* "!SSLv2, !SSLv3", ">=TLSv1.2", "TLSv1.2 TLSv1.3", ">=0303". The empty text allows all. */
int tls_protocols_parse(struct span text, struct tls_protocols *protocols, struct error *err);

/* tls_ssl_options: names (ENABLE_KTLS, NO_TICKET, ...) or "0x" and a mask. */
int tls_options_parse(struct span text, uint64_t *options, struct error *err);

/* What the grades of smtpd_tls_ciphers and its kin stand for: tls_high_cipherlist and so on. */
struct tls_grades {
	const char *high;
	const char *medium;
	const char *null;
};

/*
 * Appends the cipher list of a grade ("high", "medium", "low", "export", "null") less what is excluded: up to
 * two lists of names, either may be NULL. An unknown grade is an error.
 */
int tls_cipher_list(struct buf *out, struct span grade, const struct tls_grades *grades, const char *excluded,
    const char *also_excluded, struct error *err);

/*
 * tls_eecdh_auto_curves and tls_ffdhe_auto_groups as a list of groups; names that this OpenSSL lacks are left out, as
 * Postfix does. An error if nothing is left.
 */
int tls_groups(struct buf *out, struct span curves, struct span ffdhe_groups, struct error *err);

#endif
