#include "delivery/smtp/sasl_family.h"

#include "common/conf/conf.h"

void
sasl_family_of(const struct conf_values *v, bool lmtp, struct sasl_family *f)
{
	const struct sasl_family smtp_family = {
	    .enable = v->smtp_sasl_auth_enable,
	    .password_maps = v->smtp_sasl_password_maps,
	    .filter = v->smtp_sasl_mechanism_filter,
	    .options = v->smtp_sasl_security_options,
	    .tls_options = v->smtp_sasl_tls_security_options,
	    .tls_verified_options = v->smtp_sasl_tls_verified_security_options,
	    .soft_bounce = v->smtp_sasl_auth_soft_bounce,
	    .by_sender = v->smtp_sender_dependent_authentication,
	    .dummy = v->smtp_send_dummy_mail_auth,
	};
	const struct sasl_family lmtp_family = {
	    .enable = v->lmtp_sasl_auth_enable,
	    .password_maps = v->lmtp_sasl_password_maps,
	    .filter = v->lmtp_sasl_mechanism_filter,
	    .options = v->lmtp_sasl_security_options,
	    .tls_options = v->lmtp_sasl_tls_security_options,
	    .tls_verified_options = v->lmtp_sasl_tls_verified_security_options,
	    .soft_bounce = v->lmtp_sasl_auth_soft_bounce,
	    .by_sender = v->smtp_sender_dependent_authentication, /* transport_conf.h */
	    .dummy = v->lmtp_send_dummy_mail_auth,
	};

	*f = lmtp ? lmtp_family : smtp_family;
}

bool
sasl_family_tells_senders_apart(const struct conf_values *v, bool lmtp)
{
	struct sasl_family f;

	sasl_family_of(v, lmtp, &f);
	return f.enable && f.by_sender && f.password_maps[0] != '\0';
}
