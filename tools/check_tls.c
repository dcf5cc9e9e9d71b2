/*
 * check: parameters of TLS whose words are OpenSSL's. With one that it does not know a listener offers no TLS, and
 * delivery has none.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "common/map/lines.h"
#include "common/tls/parameters.h"
#include "tools/check.h"

enum { FILE_OCTETS_MAX = 16 << 20, PATH_SIZE = 4096, LIST_MAX = 16 * 1024 };

struct texts {
	SSL_CTX *probe;
	const char *path; /* of postern.conf, */
	struct span text; /* which this is; empty: it cannot be read now */
	const char *section; /* of it; "": in front of all of them */
	size_t bad;
};

static void
complain(struct texts *t, const char *name, const char *value, const char *why)
{
	unsigned line = check_line_in(t->text, t->section, name);

	/* What it did not say itself was told of the global one. */
	if (t->section[0] != '\0' && line == 0)
		return;
	printf("%s:", t->path);
	if (line > 0)
		printf("%u:", line);
	printf(" %s = %.60s: %s\n", name, value, why);
	t->bad++;
}

static void
check_options(struct texts *t, const struct conf_values *v)
{
	struct error err;
	uint64_t options;

	if (tls_options_parse(span_of(v->tls_ssl_options), &options, &err) < 0)
		complain(t, "tls_ssl_options", v->tls_ssl_options, err.text);
}

static void
check_ciphers(struct texts *t, const char *name, const char *list)
{
	if (SSL_CTX_set_cipher_list(t->probe, list) != 1)
		complain(t, name, list, "OpenSSL has no such cipher");
	ERR_clear_error();
}

static void
check_exclusions(struct texts *t, const char *name, const char *excluded)
{
	static const struct tls_grades grades = {"", "", ""};
	struct error err;
	struct buf list;

	buf_init(&list, LIST_MAX);
	if (tls_cipher_list(&list, SPAN_LIT("medium"), &grades, excluded, NULL, &err) < 0)
		complain(t, name, excluded, err.text);
	buf_free(&list);
}

static void
check_groups(struct texts *t, const char *name, const char *curves, const char *fields)
{
	struct error err;
	struct buf list;

	buf_init(&list, LIST_MAX);
	if (tls_groups(&list, span_of(curves), span_of(fields), &err) < 0)
		complain(t, name, curves, err.text);
	buf_free(&list);
}

static void
check_values(struct texts *t, const struct conf_values *v)
{
	check_options(t, v);
	check_ciphers(t, "tls_high_cipherlist", v->tls_high_cipherlist);
	check_ciphers(t, "tls_medium_cipherlist", v->tls_medium_cipherlist);
	check_exclusions(t, "smtpd_tls_exclude_ciphers", v->smtpd_tls_exclude_ciphers);
	check_exclusions(t, "smtpd_tls_mandatory_exclude_ciphers", v->smtpd_tls_mandatory_exclude_ciphers);
	check_exclusions(t, "smtp_tls_exclude_ciphers", v->smtp_tls_exclude_ciphers);
	check_exclusions(t, "smtp_tls_mandatory_exclude_ciphers", v->smtp_tls_mandatory_exclude_ciphers);
	check_groups(t, "tls_eecdh_auto_curves", v->tls_eecdh_auto_curves, v->tls_ffdhe_auto_groups);
}

size_t
check_tls_texts(const struct conf *c, const char *confdir)
{
	char path[PATH_SIZE];
	struct texts t = {.probe = SSL_CTX_new(TLS_method()), .path = path, .section = ""};
	struct error ignored;
	char *text;

	(void)snprintf(path, sizeof(path), "%s/postern.conf", confdir);
	text = lines_load(path, FILE_OCTETS_MAX, &t.text.len, &ignored);
	t.text.ptr = text;
	check_values(&t, c->values);
	for (size_t i = 0; i < c->section_count; i++) {
		t.section = c->sections[i].name;
		check_values(&t, c->sections[i].values);
	}
	free(text);
	SSL_CTX_free(t.probe);
	return t.bad;
}
