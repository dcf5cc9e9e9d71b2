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
	SASL_TOKEN_MAX = 6000, /* octets of a token of OAUTHBEARER and XOAUTH2 */
	SASL_NAME_MAX = 20 /* octets of a mechanism's name (RFC 4422, 3.1) */
};

/* Any case. SASL_MECHANISM_COUNT if it is none of them. */
enum sasl_mechanism sasl_mechanism_find(struct span name);
const char *sasl_mechanism_name(enum sasl_mechanism mechanism);

/* What smtpd_sasl_security_options and smtp_sasl_security_options are about; Dovecot's words for the same. */
enum {
	SASL_PLAINTEXT = 1 << 0, /* the password goes over the wire */
	SASL_ANONYMOUS = 1 << 1,
	SASL_DICTIONARY = 1 << 2, /* whoever listens can try passwords at home */
	SASL_ACTIVE = 1 << 3, /* whoever stands in the middle can use it */
	SASL_FORWARD_SECRECY = 1 << 4,
	SASL_MUTUAL_AUTH = 1 << 5
};

unsigned sasl_mechanism_properties(enum sasl_mechanism mechanism);

/* "noplaintext, noanonymous": what a mechanism must not have, and must have. A word that is unknown: -1 and the word. */
struct sasl_security {
	unsigned without, with;
};
int sasl_security_parse(struct span list, struct sasl_security *security, struct span *unknown);
bool sasl_security_allows(const struct sasl_security *security, unsigned properties);

/* It brings a token in place of a password. */
bool sasl_mechanism_bears(enum sasl_mechanism mechanism);

/* It needs the channel binding of a TLS session. */
bool sasl_mechanism_binds(enum sasl_mechanism mechanism);

/* The name is well-formed (RFC 4422, 3.1): what stands in a command, a log line or a question to Dovecot. */
bool sasl_mechanism_name_valid(struct span name);

#endif
