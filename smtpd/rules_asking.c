/*
 * Rules that ask resolver or lookup: each is a small state machine in check->phase.
 */
#include <stdio.h>

#include "common/dns/dns.h"
#include "common/mail/address.h"
#include "smtpd/resolution.h"
#include "smtpd/restriction.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

enum { ASK_TIMEOUT_MS = 100000 };

/* Which stage's address or name the word is about. */
static enum restriction_stage
about(const struct check *c)
{
	(void)c;
	return c->word->rule->function == rule_helo_unknown ? RESTRICT_HELO
							    : (enum restriction_stage)c->word->rule->detail;
}

static struct span
asked_domain(const struct check *c)
{
	struct span local, domain;
	char label[CLIENT_LABEL_SIZE];

	if (about(c) == RESTRICT_HELO)
		return span_of(c->session->helo);
	address_split(check_subject(c, about(c), label), &local, &domain);
	return domain;
}

/* ---- does a domain exist? MX, then A, then AAAA ---- */

static const uint32_t phases[] = {DNS_TYPE_MX, DNS_TYPE_A, DNS_TYPE_AAAA};
enum { PHASE_COUNT = sizeof(phases) / sizeof(phases[0]) };

static enum verdict ask_phase(struct check *c);

static enum verdict
domain_trouble(struct check *c)
{
	enum restriction_stage stage = about(c);
	const struct conf_values *v = c->session->settings->values;
	char label[CLIENT_LABEL_SIZE];
	struct span subject = check_subject(c, stage, label);

	return check_tempfail(c,
	    stage == RESTRICT_HELO ? v->unknown_helo_hostname_tempfail_action
				   : v->unknown_address_tempfail_action,
	    "450 %s <%.*s>: %s rejected: %s",
	    stage == RESTRICT_HELO     ? "4.7.1"
	    : stage == RESTRICT_SENDER ? "4.1.8"
				       : "4.1.2",
	    SPAN_ARG(subject), check_class(stage),
	    stage == RESTRICT_HELO ? "Host not found" : "Domain not found");
}

static enum verdict
domain_missing(struct check *c)
{
	enum restriction_stage stage = about(c);
	const struct conf_values *v = c->session->settings->values;

	if (stage == RESTRICT_HELO)
		return check_reject_subject(
		    c, stage, (int)v->unknown_hostname_reject_code, "4.7.1", "Host not found");
	return check_reject_subject(c, stage, (int)v->unknown_address_reject_code,
	    stage == RESTRICT_SENDER ? "4.1.8" : "4.1.2", "Domain not found");
}

/* RFC 7505: one MX whose host is the root. */
static bool
is_null_mx(struct span records)
{
	struct dns_record record;

	return dns_record_next(&records, &record) == 1 && record.type == DNS_TYPE_MX &&
	       record.name.len == 0 && records.len == 0;
}

static enum verdict
null_mx(struct check *c)
{
	enum restriction_stage stage = about(c);
	struct span domain = asked_domain(c);
	char text[DOMAIN_MAX + 64];

	if (stage == RESTRICT_HELO)
		return VERDICT_NEXT;
	(void)snprintf(text, sizeof(text), "Domain %.*s does not accept mail (nullMX)", SPAN_ARG(domain));
	return check_reject_subject(c, stage, stage == RESTRICT_SENDER ? 550 : 556,
	    stage == RESTRICT_SENDER ? "5.7.27" : "5.1.10", text);
}

static enum verdict
judge_dns(struct check *c, const struct msg_dns_answer *answer)
{
	switch (answer->status) {
	case DNS_OK:
		if (phases[c->phase] == DNS_TYPE_MX && is_null_mx(answer->records))
			return null_mx(c);
		return VERDICT_NEXT;
	case DNS_NO_DATA:
	case DNS_NO_NAME: /* not the last word: some balancers say so for every type but the address */
		if (++c->phase < PHASE_COUNT)
			return ask_phase(c);
		return domain_missing(c);
	case DNS_INVALID:
		return domain_missing(c);
	default:
		return domain_trouble(c);
	}
}

static int
on_dns(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct check *c = context;
	enum verdict verdict;

	(void)err;
	session_answered(c->session);
	verdict = frame ? judge_dns(c, &frame->dns_answer) : domain_trouble(c);
	if (verdict != VERDICT_WAIT)
		check_resume(c, verdict);
	return 0;
}

static enum verdict
ask_phase(struct check *c)
{
	struct msg_dns_ask ask = {
	    .name = asked_domain(c), .type = phases[c->phase], .asker = c->session->number};

	if (session_ask(c->session, ROLE_RESOLVER, IPC_DNS_ASK, &ask, on_dns, c) < 0)
		return domain_trouble(c);
	return VERDICT_WAIT;
}

static enum verdict
ask_domain(struct check *c)
{
	struct span domain = asked_domain(c);

	if (domain.len == 0 || domain.ptr[0] == '[')
		return VERDICT_NEXT;
	if (!domain_valid(domain, true) || domain.len > DOMAIN_MAX)
		return domain_missing(c);
	return ask_phase(c);
}

enum verdict
rule_helo_unknown(struct check *c, const struct restriction_word *word)
{
	if (c->session->helo && c->session->helo[0] == '[')
		return rule_helo_syntax(c, word);
	return ask_domain(c);
}

static int
on_sender_class(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct check *c = context;
	const struct msg_resolve_done *done = frame ? &frame->resolve_done : NULL;
	enum verdict verdict = VERDICT_NEXT;

	(void)err;
	if (frame && frame->type == IPC_RESOLVE_RCPT)
		return 0;
	session_answered(c->session);
	if (!done || done->status == LOOKUP_TEMPORARY || done->class == CLASS_DEFAULT ||
	    done->class == CLASS_RELAY)
		verdict = ask_domain(c);
	if (verdict != VERDICT_WAIT)
		check_resume(c, verdict);
	return 0;
}

/* A sender of a domain whose mail ends here needs no DNS (postconf(5)). */
static enum verdict
ask_sender_domain(struct check *c)
{
	const struct transaction *t = c->session->transaction;
	struct msg_resolve_ask ask = {.flags = RESOLVE_VALIDATE | RESOLVE_SENDER};

	if (!t || asked_domain(c).len == 0)
		return VERDICT_NEXT;
	ask.address = t->sender;
	if (session_ask(c->session, ROLE_LOOKUP, IPC_RESOLVE_ASK, &ask, on_sender_class, c) < 0)
		return ask_domain(c);
	return VERDICT_WAIT;
}

/* detail: RESTRICT_SENDER or RESTRICT_RECIPIENT. Domains that are ours need no DNS. */
enum verdict
rule_address_domain(struct check *c, const struct restriction_word *word)
{
	const struct resolution *r = c->resolution;

	if (word->rule->detail == RESTRICT_RECIPIENT &&
	    (r == NULL || (r->status != LOOKUP_TEMPORARY && r->class != CLASS_DEFAULT)))
		return VERDICT_NEXT;
	return word->rule->detail == RESTRICT_SENDER ? ask_sender_domain(c) : ask_domain(c);
}

/* ---- is the sender listed, if it claims to be ours? Does a table say that nothing can be sent to it? ---- */

static enum verdict
judge_sender(struct check *c, const struct msg_resolve_done *done)
{
	struct span sender = c->session->transaction->sender;

	if (!done || done->status == LOOKUP_TEMPORARY)
		return check_reject(c, 451, "4.3.0", "<%.*s>: Temporary lookup failure", SPAN_ARG(sender));
	if (done->status == LOOKUP_FOUND)
		return VERDICT_NEXT;
	return unlisted_reject(c, RESTRICT_SENDER, done->class, done->reason);
}

static int
on_sender(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct check *c = context;

	(void)err;
	if (frame && frame->type == IPC_RESOLVE_RCPT)
		return 0;
	session_answered(c->session);
	check_resume(c, judge_sender(c, frame ? &frame->resolve_done : NULL));
	return 0;
}

enum verdict
rule_unlisted_sender(struct check *c, const struct restriction_word *word)
{
	const struct transaction *t = c->session->transaction;
	struct msg_resolve_ask ask = {.flags = RESOLVE_VALIDATE | RESOLVE_SENDER};

	(void)word;
	c->sender_checked = true;
	if (!t || t->sender.len == 0)
		return VERDICT_NEXT;
	ask.address = t->sender;
	if (session_ask(c->session, ROLE_LOOKUP, IPC_RESOLVE_ASK, &ask, on_sender, c) < 0)
		return judge_sender(c, NULL);
	return VERDICT_WAIT;
}

/* ---- access tables ---- */

static enum restriction_stage
access_stage(const struct check *c)
{
	int detail = c->word->rule->detail;

	if (detail == -1)
		return check_stage(c);
	return (enum restriction_stage)detail;
}

static bool
is_about_recipient(const struct check *c)
{
	return access_stage(c) == RESTRICT_RECIPIENT || access_stage(c) == RESTRICT_RELAY;
}

/* A broken table defers, as Postfix words it; never is it taken for one without the key. */
static enum verdict
access_trouble(struct check *c)
{
	return check_reject_subject(c, access_stage(c), 451, "4.3.5", "Server configuration error");
}

/* postconf(5): whoever has the reverse zone could name itself so. */
static enum verdict
not_by_unverified_name(struct check *c)
{
	log_warning(NULL,
	    "%s: OK for %s is not allowed, since nobody has verified that name; DUNNO makes an exception",
	    c->word->argument, c->session->reverse_name);
	return check_reject(c, 451, "4.3.5", "Server configuration error");
}

static bool
is_discarded(const struct check *c)
{
	return c->session->transaction && c->session->transaction->discarded;
}

static int
on_access(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct check *c = context;
	const struct msg_map_answer *answer = frame ? &frame->map_answer : NULL;
	enum verdict verdict;

	(void)err;
	session_answered(c->session);
	if (!answer || answer->status == LOOKUP_TEMPORARY) {
		if (answer)
			log_warning(NULL, "%s: %.*s", c->word->argument, SPAN_ARG(answer->reason));
		verdict = access_trouble(c);
	} else if (answer->status == LOOKUP_NOT_FOUND)
		verdict = VERDICT_NEXT;
	else
		verdict =
		    access_action(c, answer->value, c->word->argument, answer->found_key, access_stage(c));
	if (verdict == VERDICT_PERMIT && access_stage(c) == RESTRICT_REVERSE_CLIENT && !is_discarded(c))
		verdict = not_by_unverified_name(c);
	if (verdict == VERDICT_PERMIT && is_about_recipient(c) && check_is_routed(c))
		verdict = VERDICT_NEXT;
	check_resume(c, verdict);
	return 0;
}

static enum verdict
ask_table(struct check *c, struct msg_map_ask *ask)
{
	ask->tables = span_of(c->word->argument);
	if (session_ask(c->session, ROLE_LOOKUP, IPC_MAP_ASK, ask, on_access, c) < 0)
		return access_trouble(c);
	return VERDICT_WAIT;
}

static int
on_unrouted(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct check *c = context;
	struct msg_map_ask ask = {.form = LOOKUP_MAIL_ACCESS};
	enum verdict verdict;

	(void)err;
	if (frame && frame->type == IPC_RESOLVE_RCPT)
		return 0;
	session_answered(c->session);
	if (!frame || frame->resolve_done.status == LOOKUP_TEMPORARY)
		verdict = access_trouble(c);
	else {
		ask.key = frame->resolve_done.address;
		verdict = ask_table(c, &ask);
	}
	if (verdict != VERDICT_WAIT)
		check_resume(c, verdict);
	return 0;
}

/* What a table says of user@elsewhere holds for user%elsewhere@here, too. */
static enum verdict
ask_unrouted(struct check *c, struct span address)
{
	struct msg_resolve_ask ask = {.address = address, .flags = RESOLVE_SENDER | RESOLVE_UNROUTED};

	if (session_ask(c->session, ROLE_LOOKUP, IPC_RESOLVE_ASK, &ask, on_unrouted, c) < 0)
		return access_trouble(c);
	return VERDICT_WAIT;
}

/* The key of the stage, and how it is searched. Returns false if there is none. */
static bool
access_key(const struct check *c, struct msg_map_ask *ask, char label[CLIENT_LABEL_SIZE])
{
	const struct session *s = c->session;
	enum restriction_stage stage = access_stage(c);

	switch (stage) {
	case RESTRICT_REVERSE_CLIENT:
	case RESTRICT_CLIENT:
		(void)snprintf(label, CLIENT_LABEL_SIZE, "%.300s\n%s",
		    stage == RESTRICT_CLIENT ? s->client_name : s->reverse_name, s->client_address);
		ask->form = LOOKUP_CLIENT;
		ask->key = span_of(label);
		return true;
	case RESTRICT_HELO:
	case RESTRICT_ETRN:
		ask->form = LOOKUP_HOST;
		ask->key = check_subject(c, stage, label);
		return ask->key.len > 0;
	case RESTRICT_RELAY:
	case RESTRICT_RECIPIENT:
		ask->form = LOOKUP_MAIL_ACCESS;
		ask->key = c->recipient;
		return ask->key.len > 0;
	default:
		/* The null sender is looked for as <>: the empty key says so. */
		ask->form = LOOKUP_MAIL_ACCESS;
		ask->key = check_subject(c, stage, label);
		return stage != RESTRICT_SENDER || s->transaction;
	}
}

/* A table's name alone means the check_*_access of the list that it stands in, if the list has one of its own. */
static bool
names_a_subject(enum restriction_stage stage)
{
	return stage != RESTRICT_DATA && stage != RESTRICT_END_OF_DATA;
}

enum verdict
rule_access(struct check *c, const struct restriction_word *word)
{
	char label[CLIENT_LABEL_SIZE];
	struct msg_map_ask ask = {0};

	if (check_stage(c) == RESTRICT_LOCAL_CLIENT)
		return rule_address_map(c, word);
	c->word = word;
	if (word->rule->detail == -1 && !names_a_subject(check_stage(c))) {
		log_warning(NULL, "say by check_*_access what \"%s\" is asked about", word->name);
		return check_reject(c, 451, "4.3.5", "Server configuration error");
	}
	if (!access_key(c, &ask, label))
		return VERDICT_NEXT;
	if (ask.form == LOOKUP_MAIL_ACCESS && address_may_be_routed(ask.key))
		return ask_unrouted(c, ask.key);
	return ask_table(c, &ask);
}

/* ---- check_address_map of local_header_rewrite_clients ---- */

static int
on_address(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct check *c = context;
	enum verdict verdict = VERDICT_NEXT;

	(void)err;
	session_answered(c->session);
	if (!frame || frame->map_answer.status == LOOKUP_TEMPORARY) {
		if (frame)
			log_warning(NULL, "%s: %.*s", c->word->argument, SPAN_ARG(frame->map_answer.reason));
		verdict = access_trouble(c);
	} else if (frame->map_answer.status == LOOKUP_FOUND)
		verdict = VERDICT_PERMIT;
	check_resume(c, verdict);
	return 0;
}

/* The address as it is, no shorter one; what the table says of it does not matter (postconf(5)). */
enum verdict
rule_address_map(struct check *c, const struct restriction_word *word)
{
	struct msg_map_ask ask = {.tables = span_of(word->argument),
	    .form = LOOKUP_EXACT,
	    .key = span_of(c->session->client_address)};

	if (check_stage(c) != RESTRICT_LOCAL_CLIENT)
		return rule_configuration_error(c, word);
	if (session_ask(c->session, ROLE_LOOKUP, IPC_MAP_ASK, &ask, on_address, c) < 0)
		return access_trouble(c);
	return VERDICT_WAIT;
}
