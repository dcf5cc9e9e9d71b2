/*
 * sasl_choice: which of the mechanisms that a server offers is used.
 */
#ifndef POSTERN_DELIVERY_SMTP_SASL_CHOICE_H
#define POSTERN_DELIVERY_SMTP_SASL_CHOICE_H

#include <stdbool.h>

#include "common/sasl/mechanism.h"
#include "delivery/smtp/sasl_family.h"

/* What is between us and the server. */
struct sasl_channel {
	bool tls, verified;
	bool tls_given_up; /* since it broke or was refused: what a listener may want */
	const char *binding_name; /* NULL: none */
	struct span binding;
};

/* The bits (1 << enum sasl_mechanism) of "PLAIN LOGIN SCRAM-SHA-256". */
unsigned sasl_choice_parse(struct span words);

/* Some of them binds to its channel. */
bool sasl_choice_binds(unsigned offered);

/*
 * The strongest that smtp_sasl_mechanism_filter and the security options let through. Returns NULL; "" where the server
 * offers none that the filter or we know; else why none is left. bearer: the login is a token.
 */
const char *sasl_choice_make(unsigned offered, const struct sasl_family *f,
    const struct sasl_channel *channel, bool bearer, enum sasl_mechanism *chosen);

#endif
