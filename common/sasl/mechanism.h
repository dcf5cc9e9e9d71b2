/*
 * mechanism: the SASL mechanisms that Postern knows, by name.
 */
#ifndef POSTERN_SASL_MECHANISM_H
#define POSTERN_SASL_MECHANISM_H

#include <stdbool.h>

#include "common/base/span.h"

/* The weaker ones first. */
enum sasl_mechanism {
	SASL_PLAIN, /* RFC 4616 */
	SASL_LOGIN, /* draft-murchison-sasl-login */
	SASL_SCRAM_SHA_1, /* RFC 5802 */
	SASL_SCRAM_SHA_1_PLUS,
	SASL_SCRAM_SHA_256, /* RFC 7677 */
	SASL_SCRAM_SHA_256_PLUS,
	SASL_EXTERNAL, /* RFC 4422, appendix A */
	SASL_OAUTHBEARER, /* RFC 7628 */
	SASL_XOAUTH2, /* Google's own form of it */
	SASL_MECHANISM_COUNT
};

enum {
	SASL_USER_MAX = 512, /* octets of a name, also after preparation */
	SASL_PASSWORD_MAX = 1024,
	SASL_NAME_MAX = 20 /* octets of a mechanism's name (RFC 4422, 3.1) */
};

/* Any case. SASL_MECHANISM_COUNT if it is none of them. */
enum sasl_mechanism sasl_mechanism_find(struct span name);
const char *sasl_mechanism_name(enum sasl_mechanism mechanism);

/* The password, or a token that is as good, goes over the wire: noplaintext excludes it. */
bool sasl_mechanism_is_plain(enum sasl_mechanism mechanism);

/* It needs the channel binding of a TLS session. */
bool sasl_mechanism_binds(enum sasl_mechanism mechanism);

/* The name is well-formed (RFC 4422, 3.1): what stands in a command, a log line or a question to Dovecot. */
bool sasl_mechanism_name_valid(struct span name);

#endif
