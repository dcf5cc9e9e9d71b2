/*
 * Parameters of authentication, and of whose mail is this host's own: words that mean nothing would be noticed by the
 * first message otherwise.
 */
#include <arpa/inet.h>
#include <string.h>

#include "common/conf/report.h"
#include "common/conf/values.h"

static void
complain(struct source *s, const struct scope *scope, const char *name, const char *text, struct span word)
{
	conf_report_add(s->report, 'e', s->file, setting_line(s, scope, name), "%s: %.*s: %s", name,
	    SPAN_ARG(word), text);
}

static bool
is_one_of(struct span word, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_is_nocase(word, words[i]))
			return true;
	return false;
}

static void
check_options(struct source *s, const struct scope *scope, const struct value_set *set)
{
	static const char *const names[] = {"smtp_sasl_security_options", "smtp_sasl_tls_security_options",
	    "smtp_sasl_tls_verified_security_options", "lmtp_sasl_security_options",
	    "lmtp_sasl_tls_security_options", "lmtp_sasl_tls_verified_security_options",
	    "smtpd_sasl_security_options", "smtpd_sasl_tls_security_options"};
	static const char *const words[] = {
	    "noplaintext", "noactive", "nodictionary", "noanonymous", "forward_secrecy", "mutual_auth"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct span rest = span_of(conf_lookup(&set->values, names[i])), word;

		/* What another parameter stands for was looked at there. */
		if (setting_line(s, scope, names[i]) == 0)
			continue;
		while (conf_list_next(&rest, &word))
			if (!is_one_of(word, words, sizeof(words) / sizeof(words[0])))
				complain(s, scope, names[i], "no security option", word);
	}
}

static void
check_filters(struct source *s, const struct scope *scope, const struct value_set *set)
{
	static const char *const names[] = {
	    "smtp_sasl_mechanism_filter", "lmtp_sasl_mechanism_filter", "smtpd_sasl_mechanism_filter"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct span rest = span_of(conf_lookup(&set->values, names[i])), word;

		while (conf_list_next(&rest, &word)) {
			while (word.len && word.ptr[0] == '!')
				word = span_from(word, 1);
			if (!span_starts_nocase(word, "static:") &&
			    (span_find(word, ':') >= 0 || span_find(word, '/') >= 0))
				complain(s, scope, names[i],
				    "names of mechanisms, files, texthash: and static: are taken, no other "
				    "tables",
				    word);
		}
	}
}

/* "inet:" of smtpd_sasl_path: an address or localhost, for master looks up no names. */
static void
check_path(struct source *s, const struct scope *scope, const struct conf_values *v)
{
	static const char name[] = "smtpd_sasl_path";
	struct span path = span_of(v->smtpd_sasl_path), host;
	unsigned char address[16] = {0};
	char text[64];

	if (v->smtpd_sasl_type != CONF_SMTPD_SASL_TYPE_DOVECOT || !span_starts(path, "inet:"))
		return;
	ptrdiff_t colon = span_find_last(path, ':');
	host = colon < 5 ? span_from(path, path.len) : span_sub(path, 5, (size_t)colon - 5);
	if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		host = span_sub(host, 1, host.len - 2);
	if (span_is_nocase(host, "localhost"))
		return;
	if (!span_copy(host, text, sizeof(text)) ||
	    (inet_pton(AF_INET, text, address) != 1 && inet_pton(AF_INET6, text, address) != 1))
		complain(s, scope, name, "not inet:address:port or inet:localhost:port", path);
	else if (address[0] != 127 && strcmp(text, "::1") != 0)
		conf_report_add(s->report, 'w', s->file, setting_line(s, scope, name),
		    "%s: %.*s: passwords go there in the clear", name, SPAN_ARG(path));
}

/* What JSON has without escapes, and of a scope no longer than smtpd sends (RFC 6749, 3.3; RFC 7628, 3.2.2). */
static void
check_tokens(struct source *s, const struct scope *scope, const struct conf_values *v)
{
	enum { TOLD_MAX = 500 };
	static const char name[] = "smtpd_sasl_oauth2_configuration";
	const struct {
		const char *name;
		struct span text;
	} told[] = {{"smtpd_sasl_oauth2_scope", span_of(v->smtpd_sasl_oauth2_scope)},
	    {name, span_of(v->smtpd_sasl_oauth2_configuration)}};

	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		bool fine = told[i].text.len <= TOLD_MAX;

		for (size_t at = 0; at < told[i].text.len && fine; at++)
			fine = told[i].text.ptr[at] >= ' ' && told[i].text.ptr[at] <= '~' &&
			       !strchr("\"\\", told[i].text.ptr[at]);
		if (!fine)
			complain(s, scope, told[i].name,
			    "up to 500 printable characters of ASCII, without quotes and backslashes",
			    told[i].text);
	}
	if (told[1].text.len && !span_starts_nocase(told[1].text, "https://"))
		complain(s, scope, name, "no https: URL", told[1].text);
}

static void
check_logins(struct source *s, const struct scope *scope, const struct conf_values *v)
{
	if (v->smtp_sasl_auth_enable && v->smtp_sasl_password_maps[0] == '\0')
		conf_report_add(s->report, 'e', s->file, setting_line(s, scope, "smtp_sasl_auth_enable"),
		    "smtp_sasl_auth_enable: smtp_sasl_password_maps names no table of logins");
	if (v->lmtp_sasl_auth_enable && v->lmtp_sasl_password_maps[0] == '\0')
		conf_report_add(s->report, 'e', s->file, setting_line(s, scope, "lmtp_sasl_auth_enable"),
		    "lmtp_sasl_auth_enable: lmtp_sasl_password_maps names no table of logins");
}

static void
check_rewriters(struct source *s, const struct scope *scope, const struct conf_values *v)
{
	static const char name[] = "local_header_rewrite_clients";
	static const char *const words[] = {"permit_inet_interfaces", "permit_mynetworks",
	    "permit_sasl_authenticated", "permit_tls_clientcerts", "permit_tls_all_clientcerts"};
	struct span rest = span_of(v->local_header_rewrite_clients), word;

	while (conf_list_next(&rest, &word)) {
		if (span_is_nocase(word, "check_address_map")) {
			struct span table;

			if (!conf_list_next(&rest, &table) || span_find(table, ':') <= 0)
				complain(s, scope, name, "a table is missing behind it", word);
		} else if (span_find(word, ':') <= 0 &&
			   !is_one_of(word, words, sizeof(words) / sizeof(words[0])))
			complain(s, scope, name, "not one of its words", word);
	}
}

void
values_check_sasl(struct source *s, const struct scope *scope, const struct value_set *set)
{
	check_options(s, scope, set);
	check_filters(s, scope, set);
	check_path(s, scope, &set->values);
	check_tokens(s, scope, &set->values);
	check_logins(s, scope, &set->values);
	check_rewriters(s, scope, &set->values);
}
