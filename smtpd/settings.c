#include "smtpd/settings.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/transcript.h"
#include "common/tls/context.h"
#include "smtpd/auth_settings.h"
#include "smtpd/check_flow.h"

static void
warn_about(const char *word)
{
	log_warning(NULL, "unknown smtpd restriction: \"%s\": mail that meets it is deferred", word);
}

static void
parse_restrictions(struct settings *s)
{
	const struct conf_values *v = s->values;
	const char *texts[RESTRICT_COUNT] = {
	    [RESTRICT_CLIENT] = v->smtpd_client_restrictions,
	    [RESTRICT_HELO] = v->smtpd_helo_restrictions,
	    [RESTRICT_SENDER] = v->smtpd_sender_restrictions,
	    [RESTRICT_RELAY] = v->smtpd_relay_restrictions,
	    [RESTRICT_RECIPIENT] = v->smtpd_recipient_restrictions,
	    [RESTRICT_DATA] = v->smtpd_data_restrictions,
	    [RESTRICT_END_OF_DATA] = v->smtpd_end_of_data_restrictions,
	    [RESTRICT_ETRN] = v->smtpd_etrn_restrictions,
	    [RESTRICT_LOCAL_CLIENT] = v->local_header_rewrite_clients,
	};

	restriction_classes_parse(&s->classes, v, warn_about);
	for (size_t i = 0; i < RESTRICT_COUNT; i++)
		s->restrictions[i] = restriction_list_parse(span_of(texts[i]), &s->classes, warn_about);
}

static int
parse_network_list(struct net_list **list, const char *name, const char *text, struct error *err)
{
	*list = net_list_parse(span_of(text), err);
	return *list ? 0 : error_while(err, "%s", name);
}

static int
parse_networks(struct settings *s, struct error *err)
{
	const struct conf_values *v = s->values;

	if (parse_network_list(&s->mynetworks, "mynetworks", v->mynetworks, err) < 0)
		return -1;
	if (parse_network_list(&s->event_exceptions, "smtpd_client_event_limit_exceptions",
		v->smtpd_client_event_limit_exceptions, err) < 0)
		return -1;
	if (parse_network_list(
		&s->verp_clients, "smtpd_authorized_verp_clients", v->smtpd_authorized_verp_clients, err) < 0)
		return -1;
	return parse_network_list(&s->bare_lf_exceptions, "smtpd_forbid_bare_newline_exclusions",
	    v->smtpd_forbid_bare_newline_exclusions, err);
}

static void
parse_rewriters(struct settings *s)
{
	s->rewrites_local = header_rewrite_rules(s->values, true, &s->local_headers);
	s->rewrites_remote = header_rewrite_rules(s->values, false, &s->remote_headers);
}

/* receive_override_options: for mail that comes back from a content filter. */
static void
parse_overrides(struct settings *s)
{
	struct span rest = span_of(s->values->receive_override_options), word;

	while (conf_list_next(&rest, &word)) {
		if (span_is_nocase(word, "no_unknown_recipient_checks"))
			s->takes_unlisted = true;
		else if (span_is_nocase(word, "no_address_mappings"))
			s->maps_no_addresses = true;
		else if (span_is_nocase(word, "no_header_body_checks")) {
			s->check_classes = 0;
			s->is_strict = false;
		} else if (!span_is_nocase(word, "no_milters"))
			log_warning(NULL, "unknown word in receive_override_options: %.*s", SPAN_ARG(word));
	}
}

static char *
ident_of(const struct settings *s)
{
	const char *own = s->values->syslog_name;
	size_t size = strlen(own) + sizeof("/smtpd");
	char *text;

	if (strcmp(own, s->conf->values->syslog_name) == 0)
		return mem_strdup("smtpd");
	text = mem_alloc(size);
	(void)snprintf(text, size, "%s/smtpd", own);
	return text;
}

struct settings *
settings_new(const struct conf *conf, const struct conf_section *section, struct error *err)
{
	struct settings *s = mem_alloc(sizeof(*s));

	s->references = 1;
	s->conf = conf_ref(conf);
	s->section = section;
	s->values = section->values;
	s->ident = ident_of(s);
	s->banner = mem_strdup(s->values->smtpd_banner);
	s->hidden_keywords = keywords_hidden(span_of(s->values->smtpd_discard_ehlo_keywords));
	parse_restrictions(s);
	parse_rewriters(s);
	s->told_classes = transcript_classes(s->values->notify_classes);
	s->check_classes = check_flow_classes(s->values);
	s->is_strict = content_strict_rules_of(s->values, &s->strict);
	parse_overrides(s);
	s->auth = auth_settings_new(s->values, err);
	if ((s->auth == NULL && s->values->smtpd_sasl_auth_enable) || parse_networks(s, err) < 0)
		settings_unref(&s);
	return s;
}

struct settings *
settings_ref(struct settings *s)
{
	s->references++;
	return s;
}

void
settings_unref(struct settings **settings)
{
	struct settings *s = *settings;

	*settings = NULL;
	if (s == NULL || --s->references > 0)
		return;
	for (size_t i = 0; i < RESTRICT_COUNT; i++)
		restriction_list_free(&s->restrictions[i]);
	restriction_classes_free(&s->classes);
	auth_settings_free(&s->auth);
	net_list_free(&s->mynetworks);
	net_list_free(&s->event_exceptions);
	net_list_free(&s->verp_clients);
	net_list_free(&s->bare_lf_exceptions);
	tls_context_free(&s->tls);
	free(s->ident);
	free(s->banner);
	conf_unref(&s->conf);
	free(s);
}
