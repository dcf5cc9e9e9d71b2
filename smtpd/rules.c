/*
 * Rules that know their answer at once, or from lookup's answer to the recipient (resolution.h).
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/text.h"
#include "common/ipc/protocol.h"
#include "common/mail/address.h"
#include "smtpd/resolution.h"
#include "smtpd/restriction.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

static const struct conf_values *
values(const struct check *c)
{
	return c->session->settings->values;
}

enum verdict
rule_permit(struct check *c, const struct restriction_word *word)
{
	(void)c;
	(void)word;
	return VERDICT_PERMIT;
}

enum verdict
rule_reject(struct check *c, const struct restriction_word *word)
{
	(void)word;
	return check_reject_subject(c, check_about(c), (int)values(c)->reject_code, "5.7.1", "Access denied");
}

enum verdict
rule_defer(struct check *c, const struct restriction_word *word)
{
	(void)word;
	return check_reject_subject(
	    c, check_about(c), (int)values(c)->defer_code, "4.3.2", "Try again later");
}

enum verdict
rule_defer_if(struct check *c, const struct restriction_word *word)
{
	char *to = word->rule->detail ? c->defer_if_reject : c->defer_if_permit;

	if (to[0] == '\0') {
		(void)check_reject_subject(c, check_about(c), 450, "4.7.0",
		    word->rule->detail ? "defer_if_reject requested" : "defer_if_permit requested");
		memcpy(to, c->text, sizeof(c->text));
		c->text[0] = '\0';
	}
	return VERDICT_NEXT;
}

enum verdict
rule_warn_if_reject(struct check *c, const struct restriction_word *word)
{
	(void)word;
	if (c->warn_depth == 0)
		c->warn_depth = c->depth;
	return VERDICT_NEXT;
}

enum verdict
rule_configuration_error(struct check *c, const struct restriction_word *word)
{
	log_warning(NULL, "unknown smtpd restriction: \"%s\"", word->name);
	if (check_stage(c) == RESTRICT_LOCAL_CLIENT)
		return VERDICT_NEXT;
	return check_reject(c, 451, "4.3.5", "Server configuration error");
}

enum verdict
rule_sasl_authenticated(struct check *c, const struct restriction_word *word)
{
	(void)word;
	return c->session->sasl_username ? VERDICT_PERMIT : VERDICT_NEXT;
}

enum verdict
rule_permit_mynetworks(struct check *c, const struct restriction_word *word)
{
	(void)word;
	return c->session->in_mynetworks ? VERDICT_PERMIT : VERDICT_NEXT;
}

/* A client with one of this host's own addresses. */
enum verdict
rule_permit_inet_interfaces(struct check *c, const struct restriction_word *word)
{
	(void)word;
	return session_is_own_host(c->session) ? VERDICT_PERMIT : VERDICT_NEXT;
}

bool
address_may_be_routed(struct span address)
{
	struct span local, domain;

	address_split(address, &local, &domain);
	return span_find(local, '%') >= 0 || span_find(local, '!') >= 0 || span_find(local, '@') >= 0;
}

bool
check_is_routed(const struct check *c)
{
	return !values(c)->allow_untrusted_routing &&
	       (c->resolution ? c->resolution->routed : address_may_be_routed(c->recipient));
}

enum verdict
rule_auth_destination(struct check *c, const struct restriction_word *word)
{
	enum { REJECT, DEFER, PERMIT } kind = word->rule->detail;
	bool ours;

	if (c->resolution == NULL)
		return VERDICT_NEXT;
	if (c->resolution->status == LOOKUP_TEMPORARY)
		return check_reject(
		    c, 451, "4.3.0", "<%.*s>: Temporary lookup failure", SPAN_ARG(c->recipient));
	ours = c->resolution->class != CLASS_DEFAULT && !check_is_routed(c);
	if (kind == PERMIT)
		return ours ? VERDICT_PERMIT : VERDICT_NEXT;
	if (ours)
		return VERDICT_NEXT;
	return check_reject(c, kind == DEFER ? 454 : (int)values(c)->relay_domains_reject_code, "5.7.1",
	    "<%.*s>: Relay access denied", SPAN_ARG(c->recipient));
}

/* Before DATA the group may hold more; behind DATA nothing may wait (RFC 2920, 3.1). */
enum verdict
rule_unauth_pipelining(struct check *c, const struct restriction_word *word)
{
	const struct session *s = c->session;

	(void)word;
	if (!stream_input_pending(s->stream) || (s->esmtp && !command_at(s->command)->last_in_group))
		return VERDICT_NEXT;
	return check_reject_subject(
	    c, check_about(c), 503, "5.5.0", "Improper use of SMTP command pipelining");
}

/* detail 0: no confirmed name; 1: no name at all. */
enum verdict
rule_client_name(struct check *c, const struct restriction_word *word)
{
	const struct session *s = c->session;
	bool reverse = word->rule->detail;
	int code = s->name_status == NAME_TEMPORARY ? 450 : (int)values(c)->unknown_client_reject_code;

	if (reverse ? strcmp(s->reverse_name, "unknown") != 0 : s->name_status == NAME_CONFIRMED)
		return VERDICT_NEXT;
	/* X.7.25 is of RFC 7372, 3.3; for a client without any name Postfix has kept 4.7.1. */
	return check_reject(c, code, reverse ? "4.7.1" : "4.7.25",
	    "Client host rejected: cannot find your %shostname, [%s]", reverse ? "reverse " : "",
	    s->client_address);
}

/* ---- HELO ---- */

/* As in DNS a dot may end it. */
static struct span
helo_name(const struct check *c)
{
	struct span helo = span_of(c->session->helo);

	if (helo.len > 1 && helo.ptr[helo.len - 1] == '.' && helo.ptr[helo.len - 2] != '.')
		helo.len--;
	return helo;
}

/* "192.0.2.1" without brackets, "1.2": no host's name (RFC 1123, 2.1). */
static bool
is_number(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_digit(name.ptr[i]) && name.ptr[i] != '.')
			return false;
	return true;
}

/* An address without brackets passes, as in Postfix. */
enum verdict
rule_helo_syntax(struct check *c, const struct restriction_word *word)
{
	struct span helo = helo_name(c);
	struct net_address address;
	char text[64];
	int code = (int)values(c)->invalid_hostname_reject_code;

	(void)word;
	if (helo.len == 0)
		return VERDICT_NEXT;
	if (helo.ptr[0] == '[') {
		if (address_literal_parse(helo, text))
			return VERDICT_NEXT;
		return check_reject_subject(c, RESTRICT_HELO, code, "5.5.2", "invalid ip address");
	}
	if ((domain_valid(helo, true) && !is_number(helo)) || net_address_parse(helo, &address) == 0)
		return VERDICT_NEXT;
	return check_reject_subject(c, RESTRICT_HELO, code, "5.5.2", "Invalid name");
}

static bool
is_fqdn(struct span domain)
{
	char text[64];

	if (domain.len && domain.ptr[0] == '[')
		return address_literal_parse(domain, text);
	return domain_valid(domain, true) && span_find(domain, '.') > 0 && !is_number(domain);
}

enum verdict
rule_helo_fqdn(struct check *c, const struct restriction_word *word)
{
	struct span helo = helo_name(c);

	if (helo.len && helo.ptr[0] == '[')
		return rule_helo_syntax(c, word);
	if (helo.len == 0 || is_fqdn(helo))
		return VERDICT_NEXT;
	return check_reject_subject(
	    c, RESTRICT_HELO, (int)values(c)->non_fqdn_reject_code, "5.5.2", "need fully-qualified hostname");
}

/* ---- addresses ---- */

/* detail: RESTRICT_SENDER or RESTRICT_RECIPIENT. <> and <postmaster> pass. */
enum verdict
rule_address_fqdn(struct check *c, const struct restriction_word *word)
{
	enum restriction_stage stage = (enum restriction_stage)word->rule->detail;
	char label[CLIENT_LABEL_SIZE];
	struct span address = check_subject(c, stage, label), local, domain;

	if (address.len == 0)
		return VERDICT_NEXT;
	address_split(address, &local, &domain);
	if (is_fqdn(domain) || (domain.len == 0 && span_is_nocase(local, "postmaster")))
		return VERDICT_NEXT;
	return check_reject_subject(
	    c, stage, (int)values(c)->non_fqdn_reject_code, "5.5.2", "need fully-qualified address");
}

/* Of unknown_*_reject_code. */
static int
unlisted_code(const struct check *c, uint8_t class)
{
	switch (class) {
	case CLASS_LOCAL:
		return (int)values(c)->unknown_local_recipient_reject_code;
	case CLASS_VIRTUAL_ALIAS:
		return (int)values(c)->unknown_virtual_alias_reject_code;
	case CLASS_VIRTUAL_MAILBOX:
		return (int)values(c)->unknown_virtual_mailbox_reject_code;
	case CLASS_RELAY:
		return (int)values(c)->unknown_relay_recipient_reject_code;
	default:
		return 550;
	}
}

/* reason: lookup's, "5.1.1 User unknown in local recipient table" or what an error transport says. */
enum verdict
unlisted_reject(struct check *c, enum restriction_stage stage, uint8_t class, struct span reason)
{
	static const char unknown[] = "User unknown in ";
	int code = unlisted_code(c, class);
	struct span word = stage == RESTRICT_SENDER ? SPAN_LIT("5.1.0") : SPAN_LIT("5.1.1");
	char enhanced[16], text[RESTRICTION_TEXT_MAX];

	if (reason.len > 6 && (reason.ptr[0] == '4' || reason.ptr[0] == '5') && reason.ptr[1] == '.')
		(void)span_next_word(&reason, " ", &word);
	if (!span_copy(word, enhanced, sizeof(enhanced)))
		memcpy(enhanced, "5.1.1", sizeof("5.1.1"));
	check_fit_code(enhanced, stage);
	reason = span_trim(reason);
	if (reason.len == 0 || (span_starts(reason, unknown) && !values(c)->show_user_unknown_table_name))
		reason = SPAN_LIT("User unknown");
	/* RFC 5321, 4.2.3: 551 tells that the user is elsewhere. */
	if (stage != RESTRICT_SENDER && strcmp(enhanced, "5.1.6") == 0 && code >= 500)
		code = 551;
	if (enhanced[0] == '4' && code >= 500)
		code = 450;
	(void)span_copy(reason, text, sizeof(text));
	return check_reject_subject(c, stage, code, enhanced, text);
}

enum verdict
unlisted_recipient(struct check *c)
{
	const struct resolution *r = c->resolution;

	c->unlisted_checked = true;
	if (r->status == LOOKUP_FOUND)
		return VERDICT_NEXT;
	if (r->status == LOOKUP_TEMPORARY)
		return check_reject(
		    c, 451, "4.3.0", "<%.*s>: Temporary lookup failure", SPAN_ARG(c->recipient));
	return unlisted_reject(c, RESTRICT_RECIPIENT, r->class, r->reason);
}

enum verdict
rule_unlisted_recipient(struct check *c, const struct restriction_word *word)
{
	(void)word;
	return c->resolution ? unlisted_recipient(c) : VERDICT_NEXT;
}

/* RFC 5321, 6.1: a notification goes to one address. */
enum verdict
rule_multi_recipient_bounce(struct check *c, const struct restriction_word *word)
{
	const struct transaction *t = c->session->transaction;

	unsigned asked_for =
	    strcmp(c->where, "RCPT") == 0 ? 1 : 0; /* the one in question is not counted yet */

	(void)word;
	if (!t || t->sender.len > 0 || t->accepted + asked_for < 2)
		return VERDICT_NEXT;
	return check_reject_subject(c, check_stage(c), (int)values(c)->multi_recipient_bounce_reject_code,
	    "5.5.3", "Multi-recipient bounce");
}
