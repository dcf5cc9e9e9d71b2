/*
 * AUTH (RFC 4954, 4): whether it may be now, and with that mechanism.
 */
#include "smtpd/auth.h"
#include "smtpd/auth_offer.h"
#include "smtpd/limits.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"

/* RFC 4954, 4: commands may follow only where one response is the whole exchange. */
static bool
is_one_round_trip(struct span mechanism, struct span initial)
{
	switch (sasl_mechanism_find(mechanism)) {
	case SASL_PLAIN:
	case SASL_EXTERNAL:
	case SASL_OAUTHBEARER:
	case SASL_XOAUTH2:
		return initial.len > 0;
	default:
		return false;
	}
}

/* Returns true if AUTH may be used now. */
static bool
may_be_now(struct session *s)
{
	if (!auth_is_enabled(s) || keyword_is_hidden(s, "AUTH"))
		reply(s, 503, "5.5.1", "Error: authentication not enabled");
	else if (s->sasl_username)
		reply(s, 503, "5.5.1", "Error: already authenticated");
	else if (auth_needs_tls(s))
		reply(s, 538, "5.7.11", "Encryption required for requested authentication mechanism");
	else
		return true;
	return false;
}

/* Postfix's line: whoever tries one mechanism after the other is seen. What is no name may be a secret in its place. */
static void
log_unknown(struct session *s, struct span mechanism)
{
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_log(s);

	if (!sasl_mechanism_name_valid(mechanism))
		mechanism = SPAN_LIT("(invalid)");
	log_warning(&log,
	    "%s: SASL %.*s authentication failed: Invalid authentication mechanism, "
	    "sasl_username=(unavailable)",
	    session_label(s, label), SPAN_ARG(mechanism));
}

static bool
is_offered(struct session *s, struct span mechanism)
{
	enum auth_offer offer =
	    sasl_mechanism_name_valid(mechanism) ? auth_offers(s, mechanism) : AUTH_NOT_OFFERED;

	if (offer == AUTH_OFFERED_WITH_TLS)
		reply(s, 538, "5.7.11", "Encryption required for requested authentication mechanism");
	if (offer == AUTH_NOT_OFFERED) {
		log_unknown(s, mechanism);
		reply(s, 504, "5.5.4", "Error: unrecognized authentication type");
	}
	return offer == AUTH_OFFERED;
}

static void
rate_known(struct session *s, bool within)
{
	if (within) {
		auth_start(s);
		return;
	}
	auth_abandon(s);
	reply(s, 450, "4.7.1", "Error: too many AUTH commands from %s", s->client_address);
	session_continue(s);
}

void
cmd_auth(struct session *s, struct span arguments)
{
	struct span mechanism, initial = {NULL, 0}, rest = arguments;

	if (!may_be_now(s))
		return;
	if (!span_next_word(&rest, " \t", &mechanism)) {
		reply(s, 501, "5.5.4", "Syntax: AUTH mechanism");
		return;
	}
	if (span_next_word(&rest, " \t", &initial) && span_trim(rest).len) {
		reply(s, 501, "5.5.4", "Syntax: AUTH mechanism [initial-response]");
		return;
	}
	if (!is_offered(s, mechanism))
		return;
	if (s->pipelined && !is_one_round_trip(mechanism, initial) && command_sent_ahead(s, "AUTH"))
		return;
	/* None at all is not the same as an empty one. */
	auth_new(s, mechanism, initial.len ? initial : span_make(NULL, 0));
	limits_count(s, POLICY_AUTH, rate_known);
}
