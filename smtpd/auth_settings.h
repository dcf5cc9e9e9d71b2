/*
 * auth_settings: what smtpd_sasl_* say of one listener, taken apart.
 */
#ifndef POSTERN_SMTPD_AUTH_SETTINGS_H
#define POSTERN_SMTPD_AUTH_SETTINGS_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/base/span.h"
#include "common/conf/conf.h"
#include "common/sasl/mechanism.h"

struct auth_settings {
	int type; /* CONF_SMTPD_SASL_TYPE_* */
	struct sasl_security plain, encrypted; /* smtpd_sasl_security_options, _tls_security_options */
	struct net_list *exceptions;
	const char *filter; /* smtpd_sasl_mechanism_filter */
	bool passwords, tokens; /* the back end has what such mechanisms need; of Dovecot this says nothing */
};

/* NULL if smtpd_sasl_auth_enable is off, and with err where something cannot be read. */
struct auth_settings *auth_settings_new(const struct conf_values *values, struct error *err);
void auth_settings_free(struct auth_settings **a);

/* smtpd_sasl_mechanism_filter lets it through. */
bool auth_settings_pass(const struct auth_settings *a, struct span mechanism);

#endif
