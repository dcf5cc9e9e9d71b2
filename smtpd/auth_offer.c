#include "smtpd/auth_offer.h"

#include "common/net/address.h"
#include "smtpd/auth_dovecot.h"
#include "smtpd/auth_scram.h"
#include "smtpd/auth_settings.h"
#include "smtpd/session.h"

/* Our own mechanisms, the best first: many clients take the first that they know. */
static const enum sasl_mechanism own[] = {SASL_EXTERNAL, SASL_SCRAM_SHA_256_PLUS, SASL_SCRAM_SHA_256,
    SASL_SCRAM_SHA_1_PLUS, SASL_SCRAM_SHA_1, SASL_PLAIN, SASL_LOGIN, SASL_OAUTHBEARER, SASL_XOAUTH2};

enum { OWN_COUNT = sizeof(own) / sizeof(own[0]) };

bool
auth_is_enabled(const struct session *s)
{
	const struct auth_settings *a = s->settings->auth;

	return a && !net_list_has(a->exceptions, &s->client);
}

bool
auth_needs_tls(const struct session *s)
{
	return !s->tls && s->settings->values->smtpd_tls_auth_only;
}

const char *
auth_certificate_user(const struct session *s)
{
	return s->tls && s->tls->trusted && s->tls->subject_common_name[0] ? s->tls->subject_common_name
									   : NULL;
}

static size_t
binding(const struct session *s, enum tls_binding which, unsigned char room[TLS_BINDING_MAX])
{
	return s->tls ? tls_channel_binding(s->stream, which, room) : 0;
}

static bool
can_bind(const struct session *s)
{
	unsigned char room[TLS_BINDING_MAX];

	return binding(s, TLS_BINDING_EXPORTER, room) || binding(s, TLS_BINDING_SERVER_END_POINT, room);
}

/* Stored keys are a table's affair: PAM takes passwords only. */
static bool
has_keys(const struct session *s, enum scram_hash hash)
{
	return s->settings->auth->type == CONF_SMTPD_SASL_TYPE_TABLE &&
	       auth_scram_has(s->smtpd, s->settings, hash);
}

static bool
own_is_possible(const struct session *s, enum sasl_mechanism mechanism)
{
	switch (mechanism) {
	case SASL_EXTERNAL:
		return auth_certificate_user(s) != NULL;
	case SASL_SCRAM_SHA_1:
		return has_keys(s, SCRAM_SHA_1);
	case SASL_SCRAM_SHA_256:
		return has_keys(s, SCRAM_SHA_256);
	case SASL_SCRAM_SHA_1_PLUS:
		return can_bind(s) && has_keys(s, SCRAM_SHA_1);
	case SASL_SCRAM_SHA_256_PLUS:
		return can_bind(s) && has_keys(s, SCRAM_SHA_256);
	case SASL_OAUTHBEARER:
	case SASL_XOAUTH2:
		return s->settings->auth->tokens;
	default:
		return s->settings->auth->passwords;
	}
}

/* Dovecot is told of a certificate, and not of the channel. */
static bool
dovecots_is_possible(const struct session *s, struct span mechanism)
{
	enum sasl_mechanism known = sasl_mechanism_find(mechanism);

	if (known == SASL_EXTERNAL)
		return auth_certificate_user(s) != NULL;
	return known == SASL_MECHANISM_COUNT || !sasl_mechanism_binds(known);
}

static enum auth_offer
judge(const struct session *s, struct span name, unsigned properties)
{
	const struct auth_settings *a = s->settings->auth;

	if (!auth_settings_pass(a, name))
		return AUTH_NOT_OFFERED;
	if (sasl_security_allows(s->tls ? &a->encrypted : &a->plain, properties))
		return AUTH_OFFERED;
	return !s->tls && sasl_security_allows(&a->encrypted, properties) ? AUTH_OFFERED_WITH_TLS
									  : AUTH_NOT_OFFERED;
}

/* Whoever has a token has all that it is good for: it is taken within TLS alone (RFC 7628, 3). */
static enum auth_offer
judge_own(const struct session *s, enum sasl_mechanism mechanism)
{
	struct span name = span_of(sasl_mechanism_name(mechanism));
	enum auth_offer offer = own_is_possible(s, mechanism)
				    ? judge(s, name, sasl_mechanism_properties(mechanism))
				    : AUTH_NOT_OFFERED;

	return offer == AUTH_OFFERED && sasl_mechanism_bears(mechanism) && !s->tls ? AUTH_OFFERED_WITH_TLS
										   : offer;
}

/* The i-th mechanism of this session's back end. Returns false behind the last. */
static bool
mechanism_at(const struct session *s, size_t i, struct span *name, enum auth_offer *offer)
{
	const struct dovecot_mechanism *theirs;

	if (s->settings->auth->type != CONF_SMTPD_SASL_TYPE_DOVECOT) {
		if (i >= OWN_COUNT)
			return false;
		*name = span_of(sasl_mechanism_name(own[i]));
		*offer = judge_own(s, own[i]);
		return true;
	}
	theirs = dovecot_mechanism_at(dovecot_of(s->smtpd, s->settings->values->smtpd_sasl_path), i);
	if (theirs == NULL)
		return false;
	*name = span_of(theirs->name);
	*offer = dovecots_is_possible(s, *name) ? judge(s, *name, theirs->properties) : AUTH_NOT_OFFERED;
	return true;
}

bool
auth_is_offered(const struct session *s)
{
	enum auth_offer offer;
	struct span name;

	if (!auth_is_enabled(s) || auth_needs_tls(s))
		return false;
	for (size_t i = 0; mechanism_at(s, i, &name, &offer); i++)
		if (offer == AUTH_OFFERED)
			return true;
	return false;
}

void
auth_list(const struct session *s, struct buf *out)
{
	enum auth_offer offer;
	struct span name;

	for (size_t i = 0; mechanism_at(s, i, &name, &offer); i++)
		if (offer == AUTH_OFFERED)
			(void)buf_printf(out, " %.*s", SPAN_ARG(name));
}

enum auth_offer
auth_offers(const struct session *s, struct span mechanism)
{
	enum auth_offer offer;
	struct span name;

	for (size_t i = 0; mechanism_at(s, i, &name, &offer); i++)
		if (span_equal_nocase(name, mechanism))
			return offer;
	return AUTH_NOT_OFFERED;
}

void
auth_facts(const struct session *s, struct auth_channel *room, struct sasl_facts *facts)
{
	*facts = (struct sasl_facts){
	    .external = span_of(auth_certificate_user(s)),
	    .token_scope = span_of(s->settings->values->smtpd_sasl_oauth2_scope),
	    .token_configuration = span_of(s->settings->values->smtpd_sasl_oauth2_configuration),
	    .plus_offered = auth_offers(s, SPAN_LIT("SCRAM-SHA-256-PLUS")) == AUTH_OFFERED ||
			    auth_offers(s, SPAN_LIT("SCRAM-SHA-1-PLUS")) == AUTH_OFFERED,
	};
	facts->tls_exporter = span_make(room->exporter, binding(s, TLS_BINDING_EXPORTER, room->exporter));
	facts->tls_unique = span_make(room->unique, binding(s, TLS_BINDING_UNIQUE, room->unique));
	facts->tls_server_end_point =
	    span_make(room->end_point, binding(s, TLS_BINDING_SERVER_END_POINT, room->end_point));
}
