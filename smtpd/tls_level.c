#include "smtpd/tls_level.h"

#include "smtpd/session.h"
#include "smtpd/tls.h"

enum tls_level
tls_level_of(const struct conf_values *v)
{
	struct span level = span_trim(span_of(v->smtpd_tls_security_level));

	if (v->smtpd_tls_wrappermode)
		return TLS_LEVEL_ENCRYPT;
	if (level.len == 0)
		return v->smtpd_enforce_tls ? TLS_LEVEL_ENCRYPT
		       : v->smtpd_use_tls   ? TLS_LEVEL_MAY
					    : TLS_LEVEL_NONE;
	if (span_is_nocase(level, "none"))
		return TLS_LEVEL_NONE;
	/* What is none of our levels (a client's, or a slip) stands for the strictest of them, as in Postfix. */
	return span_is_nocase(level, "may") ? TLS_LEVEL_MAY : TLS_LEVEL_ENCRYPT;
}

bool
tls_level_requires_certificate(const struct conf_values *v)
{
	return v->smtpd_tls_req_ccert && tls_level_of(v) == TLS_LEVEL_ENCRYPT;
}

bool
tls_level_asks(const struct conf_values *v)
{
	return tls_level_of(v) != TLS_LEVEL_NONE &&
	       (v->smtpd_tls_ask_ccert || tls_level_requires_certificate(v));
}

bool
tls_is_missing(const struct session *s)
{
	return !s->tls && tls_level_of(s->settings->values) == TLS_LEVEL_ENCRYPT;
}
