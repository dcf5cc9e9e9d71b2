/*
 * sasl_family: the parameters that rule authentication of one transport, smtp_sasl_... or lmtp_sasl_..., under one name
 * each.
 */
#ifndef POSTERN_DELIVERY_SMTP_SASL_FAMILY_H
#define POSTERN_DELIVERY_SMTP_SASL_FAMILY_H

#include <stdbool.h>

struct conf_values;

struct sasl_family {
	bool enable;
	const char *password_maps, *filter;
	const char *options, *tls_options, *tls_verified_options; /* smtp_sasl_security_options and its kin */
	bool soft_bounce; /* a refusal is for now */
	bool by_sender; /* smtp_sender_dependent_authentication */
	bool dummy; /* smtp_send_dummy_mail_auth */
};

/* The texts live as long as v. */
void sasl_family_of(const struct conf_values *v, bool lmtp, struct sasl_family *f);

/* Connections serve one sender alone: each may have a login of its own. */
bool sasl_family_tells_senders_apart(const struct conf_values *v, bool lmtp);

#endif
