/*
 * back_end: which of the kinds of smtpd_sasl_type some listener uses, and how PAM is asked.
 */
#ifndef POSTERN_CONF_BACK_END_H
#define POSTERN_CONF_BACK_END_H

#include <stdbool.h>

#include "common/conf/conf.h"

/* type: CONF_SMTPD_SASL_TYPE_*. */
bool conf_authenticates_by(const struct conf *conf, int64_t type);

/* The file below /etc/pam.d: smtpd_sasl_path; a path, as its default for Dovecot, leaves that to smtpd_sasl_service. */
const char *conf_pam_service(const struct conf_values *v);

/* smtpd_sasl_path may name tables of passwords, and those that say whose a token is ("oauth2:"). */
bool conf_is_token_table(struct span table);
bool conf_has_tables(const struct conf_values *v, bool of_tokens);

/* Those of one sort, a list that the caller frees. */
char *conf_tables(const struct conf_values *v, bool of_tokens);

#endif
