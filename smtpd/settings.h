/*
 * settings: the parameters of one listener, with its lists taken apart. Counted: a session keeps those under which it
 * began.
 */
#ifndef POSTERN_SMTPD_SETTINGS_H
#define POSTERN_SMTPD_SETTINGS_H

#include <stdbool.h>

#include "common/conf/conf.h"
#include "common/mail/content_strict.h"
#include "common/mail/header_rewrite.h"
#include "common/net/address.h"
#include "smtpd/restriction.h"

struct tls_context;

struct auth_settings;

struct settings {
	unsigned references;
	struct conf *conf;
	const struct conf_section *section;
	const struct conf_values *values;
	char *ident; /* for the log: "smtpd", or "syslog_name/smtpd" where the section has its own */
	char *banner;
	struct auth_settings *auth; /* NULL: no AUTH */
	struct tls_context *tls; /* NULL: no TLS */
	unsigned hidden_keywords; /* of EHLO: see keywords_hidden() */
	struct net_list *mynetworks;
	struct net_list *event_exceptions;
	struct net_list *verp_clients;
	struct net_list *bare_lf_exceptions;
	bool takes_unlisted, maps_no_addresses; /* receive_override_options */
	unsigned told_classes; /* notify_classes: CLASS_* of common/mail/transcript.h */
	unsigned check_classes; /* header_checks, body_checks: those that have tables */
	struct content_strict_rules strict;
	bool is_strict; /* those have something to look at */
	struct header_rewrite_rules local_headers, remote_headers;
	bool rewrites_local, rewrites_remote; /* those have something to do */
	struct restriction_list *restrictions[RESTRICT_COUNT];
	struct restriction_classes classes;
};

/* NULL with err where a list cannot be read: such a listener is not served. */
struct settings *settings_new(const struct conf *conf, const struct conf_section *section, struct error *err);
struct settings *settings_ref(struct settings *s);
void settings_unref(struct settings **s);

/* May that client ask for XVERP? (cmd_helo.c) */
bool verp_offered(const struct session *s);

/* smtpd_discard_ehlo_keywords as bits (cmd_helo.c). */
unsigned keywords_hidden(struct span list);

/* Who leaves an extension out of EHLO's reply does not want it used either: its commands and parameters are refused. */
bool keyword_is_hidden(const struct session *s, const char *keyword);

#endif
