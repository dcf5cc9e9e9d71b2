#include "services/keys/sources.h"

#include <stddef.h>

/* The older pairs of parameters, by which each algorithm had its own: TLS_README of Postfix. */
struct pair {
	const char *parameter;
	const char *certificate, *key;
};

struct names {
	const char *chains_parameter;
	const char *chains;
	struct pair pairs[2];
};

static struct names
server_names(const struct conf_values *v)
{
	return (struct names){"smtpd_tls_chain_files", v->smtpd_tls_chain_files,
	    {{"smtpd_tls_cert_file", v->smtpd_tls_cert_file, v->smtpd_tls_key_file},
		{"smtpd_tls_eccert_file", v->smtpd_tls_eccert_file, v->smtpd_tls_eckey_file}}};
}

static struct names
client_names(const struct conf_values *v)
{
	return (struct names){"smtp_tls_chain_files", v->smtp_tls_chain_files,
	    {{"smtp_tls_cert_file", v->smtp_tls_cert_file, v->smtp_tls_key_file},
		{"smtp_tls_eccert_file", v->smtp_tls_eccert_file, v->smtp_tls_eckey_file}}};
}

/* Of a scope: the newer parameter, if it is set, counts alone, as in Postfix. "none" is none on purpose. */
static int
visit_scope(
    struct key_source *source, struct names names, key_source_visit *visit, void *context, struct error *err)
{
	if (names.chains[0] != '\0') {
		source->parameter = names.chains_parameter;
		source->key_files = SPAN_LIT("");
		source->chain_files = span_of(names.chains);
		return visit(source, context, err);
	}
	for (size_t i = 0; i < 2; i++) {
		const struct pair *p = &names.pairs[i];

		if (p->certificate[0] == '\0' || span_is(span_of(p->certificate), "none"))
			continue;
		source->parameter = p->parameter;
		source->key_files = span_of(p->key);
		source->chain_files = span_of(p->certificate);
		if (visit(source, context, err) < 0)
			return -1;
	}
	return 0;
}

int
key_sources_each(const struct conf *conf, key_source_visit *visit, void *context, struct error *err)
{
	struct key_source source = {.section = SPAN_LIT(""), .use = IDENTITY_CLIENT};

	if (visit_scope(&source, client_names(conf->values), visit, context, err) < 0)
		return -1;
	source.use = IDENTITY_SERVER;
	for (size_t i = 0; i < conf->section_count; i++) {
		source.section = span_of(conf->sections[i].name);
		if (visit_scope(&source, server_names(conf->sections[i].values), visit, context, err) < 0)
			return -1;
	}
	return 0;
}

static int
found(const struct key_source *source, void *context, struct error *err)
{
	(void)source;
	(void)context;
	return error_set(err, "one is enough");
}

bool
key_sources_any(const struct conf *conf)
{
	struct error enough;

	for (size_t i = 0; i < conf->section_count; i++) {
		if (conf->sections[i].values->tls_server_sni_maps[0] != '\0')
			return true;
	}
	return key_sources_each(conf, found, NULL, &enough) < 0;
}
