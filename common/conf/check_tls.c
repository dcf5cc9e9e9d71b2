/*
 * Parameters of TLS: words that mean nothing, and values that do not go together. smtpd and delivery are strict where
 * they meet such a value; here it is said beforehand.
 */
#include <string.h>

#include "common/base/text.h"
#include "common/conf/report.h"
#include "common/conf/values.h"

struct check {
	struct source *source;
	const struct scope *scope;
};

struct setting_text {
	const char *name, *text;
};

static void
complain(const struct check *c, char severity, const char *name, const char *text, const char *why)
{
	conf_report_add(c->source->report, severity, c->source->file, setting_line(c->source, c->scope, name),
	    "%s = %.60s: %s", name, text, why);
}

/* A single word of words, whatever its case. */
static bool
is_one_of(const char *text, const char *words)
{
	struct span rest = span_of(words), word;

	while (span_next_word(&rest, " ", &word))
		if (span_equal_nocase(word, span_trim(span_of(text))))
			return true;
	return false;
}

/* Mail at a level that nobody knows would wait for ever. */
static void
check_levels(const struct check *c, const struct conf_values *v)
{
	const struct {
		struct setting_text setting;
		const char *words, *why;
	} rows[] = {
	    {{"smtpd_tls_security_level", v->smtpd_tls_security_level}, "none may encrypt",
		"none of none, may, encrypt"},
	    {{"smtp_tls_security_level", v->smtp_tls_security_level},
		"none may encrypt fingerprint verify secure",
		"none of none, may, encrypt, fingerprint, verify, secure"},
	    {{"lmtp_tls_security_level", v->lmtp_tls_security_level},
		"none may encrypt fingerprint verify secure",
		"none of none, may, encrypt, fingerprint, verify, secure"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *text = rows[i].setting.text;

		if (i > 0 && is_one_of(text, "dane dane-only half-dane"))
			complain(c, 'f', rows[i].setting.name, text,
			    "Postern does not have DANE of Postfix: may, encrypt or above would do");
		else if (span_trim(span_of(text)).len && !is_one_of(text, rows[i].words))
			complain(c, 'f', rows[i].setting.name, text, rows[i].why);
	}
}

/* "!SSLv3", "TLSv1.2", ">=TLSv1.2", "<=0304" */
static bool
is_protocol(struct span word)
{
	static const char names[] = "SSLv2 SSLv3 TLSv1 TLSv1.1 TLSv1.2 TLSv1.3";
	bool limit = span_starts(word, ">=") || span_starts(word, "<=");
	char text[16];

	word = limit ? span_from(word, 2) : word.len && word.ptr[0] == '!' ? span_from(word, 1) : word;
	if (!span_copy(word, text, sizeof(text)))
		return false;
	if (is_one_of(text, names))
		return true;
	return limit && word.len > 0 && strspn(text, "0123456789abcdefABCDEFx") == word.len;
}

static void
check_protocols(const struct check *c, const struct conf_values *v)
{
	const struct setting_text lists[] = {
	    {"smtpd_tls_protocols", v->smtpd_tls_protocols},
	    {"smtpd_tls_mandatory_protocols", v->smtpd_tls_mandatory_protocols},
	    {"smtp_tls_protocols", v->smtp_tls_protocols},
	    {"smtp_tls_mandatory_protocols", v->smtp_tls_mandatory_protocols},
	    {"lmtp_tls_protocols", v->lmtp_tls_protocols},
	    {"lmtp_tls_mandatory_protocols", v->lmtp_tls_mandatory_protocols},
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct span rest = span_of(lists[i].text), word;

		while (span_next_word(&rest, ", \t\r\n:", &word))
			if (!is_protocol(word))
				complain(c, 'e', lists[i].name, lists[i].text,
				    "a word is no version of TLS (TLSv1.2, TLSv1.3), with !, >= or <= before "
				    "it");
	}
}

static void
check_grades(const struct check *c, const struct conf_values *v)
{
	static const char grades[] = "high medium low export null";
	const struct {
		struct setting_text setting;
		const char *words, *why;
	} rows[] = {
	    {{"smtpd_tls_ciphers", v->smtpd_tls_ciphers}, grades, "the grades are high and medium"},
	    {{"smtpd_tls_mandatory_ciphers", v->smtpd_tls_mandatory_ciphers}, grades,
		"the grades are high and medium"},
	    {{"smtp_tls_ciphers", v->smtp_tls_ciphers}, grades, "the grades are high and medium"},
	    {{"smtp_tls_mandatory_ciphers", v->smtp_tls_mandatory_ciphers}, grades,
		"the grades are high and medium"},
	    {{"lmtp_tls_ciphers", v->lmtp_tls_ciphers}, grades, "the grades are high and medium"},
	    {{"lmtp_tls_mandatory_ciphers", v->lmtp_tls_mandatory_ciphers}, grades,
		"the grades are high and medium"},
	    {{"smtpd_tls_eecdh_grade", v->smtpd_tls_eecdh_grade}, "auto strong ultra none",
		"none of auto, strong, ultra, none"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!is_one_of(rows[i].setting.text, rows[i].words))
			complain(c, 'e', rows[i].setting.name, rows[i].setting.text, rows[i].why);
}

static bool
has_certificate(const struct conf_values *v)
{
	return v->smtpd_tls_chain_files[0] || v->smtpd_tls_cert_file[0] || v->smtpd_tls_eccert_file[0] ||
	       v->tls_server_sni_maps[0];
}

static void
check_listener(const struct check *c, const struct conf_values *v)
{
	bool required = v->smtpd_tls_wrappermode || is_one_of(v->smtpd_tls_security_level, "encrypt") ||
			(!v->smtpd_tls_security_level[0] && v->smtpd_enforce_tls);
	bool offered = required || is_one_of(v->smtpd_tls_security_level, "may") ||
		       (!v->smtpd_tls_security_level[0] && v->smtpd_use_tls);

	if (offered && !has_certificate(v))
		complain(c, 'e',
		    v->smtpd_tls_wrappermode ? "smtpd_tls_wrappermode" : "smtpd_tls_security_level",
		    v->smtpd_tls_wrappermode ? "yes" : v->smtpd_tls_security_level,
		    required ? "without a certificate (smtpd_tls_chain_files) nobody is served"
			     : "without a certificate (smtpd_tls_chain_files) TLS is not offered");
	if (!v->smtpd_tls_req_ccert)
		return;
	if (!required)
		complain(c, 'w', "smtpd_tls_req_ccert", "yes", "counts only where TLS is required");
	else if (!v->smtpd_tls_CAfile[0] && !v->smtpd_tls_CApath[0] && !v->tls_append_default_CA)
		complain(c, 'e', "smtpd_tls_req_ccert", "yes",
		    "without smtpd_tls_CAfile or smtpd_tls_CApath no certificate is good enough");
}

void
values_check_tls(struct source *s, const struct scope *scope, const struct conf_values *v)
{
	const struct check c = {s, scope};

	check_levels(&c, v);
	check_protocols(&c, v);
	check_grades(&c, v);
	/* Beside sections the global scope is no listener. */
	if (scope != &s->scopes[0] || s->scope_count == 1)
		check_listener(&c, v);
}
