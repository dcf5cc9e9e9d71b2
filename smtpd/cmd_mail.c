/*
 * MAIL (RFC 5321, 4.1.1.2): syntax, size, rate, restrictions, rewriting of the sender; then there is a transaction.
 */
#include "common/base/text.h"
#include "common/ipc/protocol.h"
#include "common/mail/address.h"
#include "common/mail/verp.h"
#include "smtpd/limits.h"
#include "smtpd/parameters.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

static void
refuse(struct session *s, unsigned code, const char *enhanced, const char *text)
{
	transaction_free(s);
	reply(s, code, enhanced, "%s", text);
	session_continue(s);
}

static void
accept_mail(struct session *s)
{
	reply(s, 250, "2.1.0", "Ok");
	session_continue(s);
}

static int
on_canonical(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct session *s = context;
	struct transaction *t = s->transaction;

	(void)err;
	if (frame && frame->type == IPC_RESOLVE_RCPT) {
		if (frame->resolve_rcpt.flags & ROUTE_COPY)
			transaction_keep_copy(t, &frame->resolve_rcpt);
		return 0;
	}
	session_answered(s);
	if (!frame || frame->resolve_done.status == LOOKUP_TEMPORARY) {
		refuse(s, 451, "4.3.0", "Temporary lookup failure");
		return 0;
	}
	t->rewritten_sender = arena_copy_span(t->arena, frame->resolve_done.address);
	for (struct recipient *r = t->copies; r; r = r->next)
		r->generation = frame->resolve_done.generation;
	accept_mail(s);
	return 0;
}

/* May the tables, or the form of the domain, make something else of it, or send somebody a copy? */
static bool
needs_lookup(const struct conf_values *v, struct span sender)
{
	struct span local, domain;

	if (v->always_bcc[0])
		return true;
	if (sender.len == 0)
		return false;
	address_split(sender, &local, &domain);
	return domain.len == 0 || span_is_nocase(local, "mailer-daemon") || v->sender_canonical_maps[0] ||
	       v->canonical_maps[0] || v->masquerade_domains[0] || v->sender_bcc_maps[0] ||
	       (v->append_dot_mydomain && span_find(domain, '.') < 0) || text_is_8bit(domain);
}

/* Only where it may matter is lookup asked about the sender. */
static void
rewrite_sender(struct session *s)
{
	const struct conf_values *v = s->settings->values;
	struct transaction *t = s->transaction;
	struct msg_resolve_ask ask = {
	    .address = t->sender, .flags = RESOLVE_SENDER | RESOLVE_EXPAND | RESOLVE_BCC};

	t->rewritten_sender = t->sender;
	if (s->settings->maps_no_addresses)
		ask.flags = RESOLVE_SENDER;
	if (!needs_lookup(v, t->sender)) {
		accept_mail(s);
		return;
	}
	if (session_ask(s, ROLE_LOOKUP, IPC_RESOLVE_ASK, &ask, on_canonical, s) < 0)
		refuse(s, 451, "4.3.0", "Temporary lookup failure");
}

static void
mail_checked(struct session *s, bool permitted)
{
	if (permitted) {
		rewrite_sender(s);
		return;
	}
	transaction_free(s);
	reply_text(s, span_of(s->check->text));
	session_continue(s);
}

static void
rate_known(struct session *s, bool within)
{
	const struct conf_values *v = s->settings->values;
	struct check *c;

	if (!within) {
		transaction_free(s);
		reply(s, 450, "4.7.1", "Error: too much mail from %s", s->client_address);
		session_continue(s);
		return;
	}
	if (v->smtpd_delay_reject) {
		rewrite_sender(s);
		return;
	}
	c = check_new(s, "MAIL", mail_checked);
	c->until_rcpt = &s->sender_deferral;
	check_add_stage(c, RESTRICT_SENDER);
	check_start(c);
}

/* NULL if there is room. */
static const char *
lacks_room(const struct session *s, uint64_t size)
{
	int64_t limit = s->settings->values->message_size_limit;

	if (limit > 0 && size > (uint64_t)limit)
		return "552 5.3.4 Message size exceeds fixed limit";
	return s->smtpd->queue_full ? "452 4.3.1 Insufficient system storage" : NULL;
}

static bool
path_is_fine(
    struct session *s, enum address_fault fault, struct span arguments, struct span address, bool smtputf8)
{
	if (fault == ADDRESS_OK && !smtputf8 && text_is_8bit(address))
		fault = ADDRESS_NEEDS_UTF8;
	if (fault == ADDRESS_OK)
		return true;
	if (fault == ADDRESS_NEEDS_UTF8)
		reply(s, 553, "5.6.7", "Must declare SMTPUTF8 to send unicode address");
	else {
		session_log_bad_address(s, arguments);
		reply(s, 501, "5.1.7", "Bad sender address syntax");
	}
	return false;
}

/* Returns false if it is refused. */
static bool
verp_is_fine(struct session *s, struct parameters *p, struct span sender)
{
	const struct conf_values *v = s->settings->values;

	if (!p->verp_given)
		return true;
	if (!verp_offered(s)) {
		reply(s, 555, "5.5.4", "Unsupported option: XVERP");
		return false;
	}
	if (p->verp.len == 0)
		p->verp = span_of(v->default_verp_delimiters);
	if (!verp_delimiters_valid(p->verp, v->verp_delimiter_filter)) {
		reply(s, 501, "5.5.4", "Error: XVERP needs two characters from %s", v->verp_delimiter_filter);
		return false;
	}
	if (sender.len == 0)
		reply(s, 503, "5.5.4", "Error: XVERP requires non-null sender");
	return sender.len > 0;
}

static void
begin(struct session *s, struct span sender, const struct parameters *p)
{
	struct transaction *t = transaction_new(s);
	const char *refusal = lacks_room(s, p->size);

	t->sender = arena_copy_span(t->arena, sender);
	t->envid = arena_copy_span(t->arena, p->envid);
	t->declared_size = p->size;
	t->verp = arena_copy_span(t->arena, p->verp);
	t->flags = p->ret | (p->body_8bit ? MAIL_BODY_8BITMIME : 0) | (p->smtputf8 ? MAIL_SMTPUTF8 : 0);
	t->smtputf8 = p->smtputf8;
	/* RFC 4954, 5: of others it is as good as "<>". */
	if (s->sasl_username || s->in_mynetworks)
		t->sasl_sender = arena_copy_span(t->arena, p->auth);
	if (refusal) {
		log_action(s, "reject", "MAIL", SPAN_LIT(""), span_of(refusal));
		transaction_free(s);
		reply_text(s, span_of(refusal));
		return;
	}
	limits_count(s, POLICY_MESSAGE, rate_known);
}

void
cmd_mail(struct session *s, struct span arguments)
{
	const struct conf_values *v = s->settings->values;
	unsigned flags = ADDRESS_NULL_OK | ADDRESS_UTF8 | (v->strict_rfc821_envelopes ? ADDRESS_STRICT : 0) |
			 ADDRESS_NO_DOMAIN_OK | (v->allow_min_user ? 0 : ADDRESS_NO_OPTION);
	struct arena *a = session_request(s);
	struct parameter_fault bad;
	struct parameters p;
	struct span sender, rest;
	enum address_fault fault;

	if (!command_take_colon(&arguments, "FROM")) {
		reply(s, 501, "5.5.4", "Syntax: MAIL FROM:<address>");
		return;
	}
	fault = address_parse_path(a, arguments, flags, &sender, &rest);
	if (fault != ADDRESS_OK) {
		(void)path_is_fine(s, fault, arguments, sender, false);
		return;
	}
	bad = parameters_of_mail(a, rest, &p);
	if (bad.code) {
		reply(s, bad.code, bad.enhanced, "%s%.*s", bad.text, SPAN_ARG(bad.what));
		return;
	}
	if ((p.ret || p.envid.len > 0) && keyword_is_hidden(s, "DSN")) {
		reply(s, 501, "5.7.1", "DSN support is disabled");
		return;
	}
	if (p.smtputf8 && (!v->smtputf8_enable || keyword_is_hidden(s, "SMTPUTF8"))) {
		reply(s, 555, "5.5.4", "Unsupported option: SMTPUTF8");
		return;
	}
	/* "AUTH=<>" says that nobody is known: some clients always send it. */
	if (p.auth.len > 0 && !s->settings->auth) {
		reply(s, 503, "5.5.4", "Error: authentication disabled");
		return;
	}
	if (path_is_fine(s, fault, arguments, sender, p.smtputf8) && verp_is_fine(s, &p, sender))
		begin(s, sender, &p);
}
