#include "smtpd/auth_settings.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/conf/back_end.h"
#include "common/net/address.h"

static int
parse_security(struct sasl_security *security, const char *name, const char *text, struct error *err)
{
	struct span unknown;

	if (sasl_security_parse(span_of(text), security, &unknown) == 0)
		return 0;
	return error_set(err, "%s: unknown word: %.*s", name, SPAN_ARG(unknown));
}

static int
parse(struct auth_settings *a, const struct conf_values *v, struct error *err)
{
	a->type = v->smtpd_sasl_type;
	a->filter = v->smtpd_sasl_mechanism_filter;
	a->tokens = a->type == CONF_SMTPD_SASL_TYPE_TABLE && conf_has_tables(v, true);
	a->passwords = a->type != CONF_SMTPD_SASL_TYPE_TABLE || conf_has_tables(v, false);
	a->exceptions = net_list_parse(span_of(v->smtpd_sasl_exceptions_networks), err);
	if (a->exceptions == NULL)
		return error_while(err, "smtpd_sasl_exceptions_networks");
	if (parse_security(&a->plain, "smtpd_sasl_security_options", v->smtpd_sasl_security_options, err) < 0)
		return -1;
	return parse_security(
	    &a->encrypted, "smtpd_sasl_tls_security_options", v->smtpd_sasl_tls_security_options, err);
}

struct auth_settings *
auth_settings_new(const struct conf_values *values, struct error *err)
{
	struct auth_settings *a;

	if (!values->smtpd_sasl_auth_enable)
		return NULL;
	a = mem_alloc(sizeof(*a));
	if (parse(a, values, err) < 0)
		auth_settings_free(&a);
	return a;
}

void
auth_settings_free(struct auth_settings **a)
{
	if (*a)
		net_list_free(&(*a)->exceptions);
	free(*a);
	*a = NULL;
}

/* The first word that matches decides; "!" in front excludes, "static:" matches all. Other tables match nothing. */
bool
auth_settings_pass(const struct auth_settings *a, struct span mechanism)
{
	struct span rest = span_of(a->filter), word;
	bool excludes, empty = true;

	while (conf_list_next(&rest, &word)) {
		empty = false;
		excludes = word.len > 1 && word.ptr[0] == '!';
		if (excludes)
			word = span_from(word, 1);
		if (span_starts_nocase(word, "static:") || span_equal_nocase(word, mechanism))
			return !excludes;
	}
	return empty;
}
