#include "common/conf/back_end.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

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

bool
conf_is_token_table(struct span table)
{
	if (span_starts(table, "proxy:"))
		table = span_from(table, strlen("proxy:"));
	return span_starts(table, "oauth2:");
}

bool
conf_has_tables(const struct conf_values *v, bool of_tokens)
{
	struct span rest = span_of(v->smtpd_sasl_path), word;

	while (conf_list_next(&rest, &word))
		if (conf_is_token_table(word) == of_tokens)
			return true;
	return false;
}

char *
conf_tables(const struct conf_values *v, bool of_tokens)
{
	struct span rest = span_of(v->smtpd_sasl_path), word;
	struct buf list;
	char *copy;

	buf_init(&list, rest.len + 2);
	while (conf_list_next(&rest, &word)) {
		if (conf_is_token_table(word) != of_tokens)
			continue;
		if (list.len > 0)
			(void)buf_append_text(&list, ",");
		(void)buf_append_span(&list, word);
	}
	copy = mem_strdup(buf_text(&list));
	buf_free(&list);
	return copy;
}
