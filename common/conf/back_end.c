#include "common/conf/back_end.h"

#include <string.h>

static bool
uses(const struct conf_values *v, int64_t type)
{
	return v->smtpd_sasl_auth_enable && v->smtpd_sasl_type == type;
}

bool
conf_authenticates_by(const struct conf *conf, int64_t type)
{
	bool any = uses(conf->values, type);

	for (size_t i = 0; i < conf->section_count; i++)
		any = any || uses(conf->sections[i].values, type);
	return any;
}

const char *
conf_pam_service(const struct conf_values *v)
{
	return strchr(v->smtpd_sasl_path, '/') ? v->smtpd_sasl_service : v->smtpd_sasl_path;
}
