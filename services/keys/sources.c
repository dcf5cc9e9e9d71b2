#include "services/keys/sources.h"

#include <fcntl.h>
#include <stddef.h>

#include "common/base/io.h"
#include "services/keys/sni.h"

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

int
key_tables_each(const struct conf *conf, key_table_visit *visit, void *context, struct error *err)
{
	for (size_t i = 0; i < conf->section_count; i++) {
		struct span rest = span_of(conf->sections[i].values->tls_server_sni_maps), word;

		while (conf_list_next(&rest, &word)) {
			if (visit(span_of(conf->sections[i].name), word, context, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* ---- the files ---- */

struct files {
	key_file_visit *visit;
	void *context;
};

static void
visit_list(struct span list, const struct files *f)
{
	char path[SNI_PATH_MAX];
	struct span word;

	while (conf_list_next(&list, &word)) {
		if (span_copy(word, path, sizeof(path)) && path[0] == '/')
			f->visit(path, f->context);
	}
}

static int
source_files(const struct key_source *source, void *context, struct error *err)
{
	(void)err;
	visit_list(source->key_files, context);
	visit_list(source->chain_files, context);
	return 0;
}

static int
entry_files(struct span name, struct span value, void *context, struct error *err)
{
	(void)name;
	(void)err;
	visit_list(value, context);
	return 0;
}

/* Of a table that was built only its own file is needed: nothing is read from it here. */
static int
table_files(struct span section, struct span word, void *context, struct error *err)
{
	const struct files *f = context;
	struct sni_table table;
	struct error ignored;
	int fd = -1;

	(void)section;
	(void)err;
	if (sni_table_parse(word, &table, &ignored) < 0)
		return 0;
	if (table.path[0] != '\0')
		f->visit(table.path, f->context);
	if (table.built)
		return 0;
	if (table.path[0] != '\0')
		fd = open(table.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 || table.path[0] == '\0')
		(void)sni_table_each(&table, fd, entry_files, context, &ignored);
	(void)io_close(&fd);
	return 0;
}

void
key_files_each(const struct conf *conf, key_file_visit *visit, void *context)
{
	struct files f = {visit, context};
	struct error ignored;

	(void)key_sources_each(conf, source_files, &f, &ignored);
	(void)key_tables_each(conf, table_files, &f, &ignored);
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
