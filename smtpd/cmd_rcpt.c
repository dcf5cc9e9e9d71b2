/*
 * RCPT (RFC 5321, 4.1.1.3): syntax, limits, lookup's answer, restrictions; VRFY and EXPN ask the same without a transaction.
 */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/ipc/protocol.h"
#include "common/mail/address.h"
#include "smtpd/limits.h"
#include "smtpd/parameters.h"
#include "smtpd/reply.h"
#include "smtpd/resolution.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

enum purpose { RECEIVE, VERIFY, EXPAND };

/* The RCPT, VRFY or EXPN under way; in the request's arena, found again through the check. */
struct rcpt {
	struct check check; /* first: session->check is this */
	struct span address;
	struct parameters parameters;
	enum purpose purpose;
};

static struct rcpt *
rcpt_of(const struct session *s)
{
	return (struct rcpt *)s->check;
}

/* ---- after the restrictions ---- */

static void expand(struct session *s, const struct resolution *r);

static void
accept_recipient(struct session *s, const struct rcpt *rcpt)
{
	const struct resolution *res = rcpt->check.resolution;
	/* It stands in Received: with A-labels it does not ask for SMTPUTF8 further on. */
	struct span given = text_is_8bit(rcpt->address) ? res->address : rcpt->address;
	const struct recipient like = {
	    .original = given, .orcpt = rcpt->parameters.orcpt, .notify = rcpt->parameters.notify};
	struct transaction *t = s->transaction;

	/* With DISCARD nobody gets it, so it need not be known who would. */
	if (res->rows == NULL && !t->discarded) {
		t->refused++;
		reply(s, 451, "4.3.0", "<%.*s>: Temporary lookup failure", SPAN_ARG(rcpt->address));
		return;
	}
	if (res->rows && transaction_add_resolved(t, res, &like) < 0) {
		t->refused++;
		reply(s, 452, "4.5.3", "Error: too many recipients");
		return;
	}
	if (t->id == 0)
		transaction_name(s);
	if (t->accepted++ == 0)
		t->first_recipient = arena_copy_span(t->arena, given);
	if (res->row_count > 1)
		t->flags |= MAIL_RECIPIENTS_EXPANDED;
	reply(s, 250, "2.1.5", "Ok");
}

static void
checked(struct session *s, bool permitted)
{
	const struct rcpt *rcpt = rcpt_of(s);

	if (!permitted) {
		if (rcpt->purpose == RECEIVE)
			s->transaction->refused++;
		reply_text(s, span_of(s->check->text));
	} else if (rcpt->purpose == EXPAND) {
		expand(s, s->check->resolution);
		return;
	} else if (rcpt->purpose == VERIFY)
		reply(s, 252, "2.0.0", "%.*s", SPAN_ARG(rcpt->address));
	else
		accept_recipient(s, rcpt);
	session_continue(s);
}

/* RFC 5321, 4.5.1: <postmaster> is there for everybody, whatever the restrictions say. */
static void
resolved(struct session *s, const struct resolution *r)
{
	const struct conf_values *v = s->settings->values;
	struct check *c = s->check;

	c->resolution = r;
	if (span_is_nocase(c->recipient, "postmaster")) {
		check_start(c);
		return;
	}
	if (v->smtpd_delay_reject) {
		check_add_stage(c, RESTRICT_CLIENT);
		if (s->helo)
			check_add_stage(c, RESTRICT_HELO);
		if (s->transaction)
			check_add_stage(c, RESTRICT_SENDER);
	} else
		check_inherit(c);
	if (v->smtpd_relay_before_recipient_restrictions)
		check_add_stage(c, RESTRICT_RELAY);
	check_add_stage(c, RESTRICT_RECIPIENT);
	if (!v->smtpd_relay_before_recipient_restrictions)
		check_add_stage(c, RESTRICT_RELAY);
	check_start(c);
}

static void
rate_known(struct session *s, bool within)
{
	if (within) {
		resolution_find(
		    s, rcpt_of(s)->address, s->transaction->rewritten_sender, RESOLVE_BCC, resolved);
		return;
	}
	s->transaction->refused++;
	reply(s, 450, "4.7.1", "Error: too many recipients from %s", s->client_address);
	session_continue(s);
}

/* ---- syntax ---- */

static struct rcpt *
rcpt_new(struct session *s, const char *where, struct span address)
{
	struct arena *a = session_request(s);
	struct rcpt *rcpt = arena_alloc(a, sizeof(*rcpt));

	if (rcpt == NULL)
		panic("no memory for a recipient");
	rcpt->address = address;
	rcpt->check.session = s;
	rcpt->check.where = where;
	rcpt->check.recipient = address;
	rcpt->check.done = checked;
	s->check = &rcpt->check;
	return rcpt;
}

static void
refuse_address(struct session *s, enum address_fault fault, struct span arguments)
{
	if (s->transaction && s->command == COMMAND_RCPT)
		s->transaction->refused++;
	if (fault == ADDRESS_NEEDS_UTF8)
		reply(s, 553, "5.6.7", "Must declare SMTPUTF8 to send unicode address");
	else {
		session_log_bad_address(s, arguments);
		reply(s, 501, "5.1.3", "Bad recipient address syntax");
	}
}

/* RFC 5321, 4.5.3.1.10: beyond the limit it is no error of the client's, until it goes on for long. */
static void
too_many(struct session *s)
{
	struct transaction *t = s->transaction;

	reply(s, 452, "4.5.3", "Error: too many recipients");
	if (t->over++ < s->settings->values->smtpd_recipient_overshoot_limit && s->errors)
		s->errors--;
}

static unsigned
path_flags(const struct session *s, bool smtputf8)
{
	const struct conf_values *v = s->settings->values;

	return ADDRESS_NO_DOMAIN_OK | (smtputf8 ? ADDRESS_UTF8 : 0) |
	       (v->strict_rfc821_envelopes ? ADDRESS_STRICT : 0) |
	       (v->allow_min_user ? 0 : ADDRESS_NO_OPTION);
}

bool
rcpt_next(const struct session *s, struct arena *a, struct span *behind, struct span *address)
{
	ptrdiff_t lf = span_find(*behind, '\n');
	struct span line, verb, rest;

	if (lf < 1 || behind->ptr[lf - 1] != '\r')
		return false;
	line = span_sub(*behind, 0, (size_t)lf - 1);
	*behind = span_from(*behind, (size_t)lf + 1);
	if (memchr(line.ptr, '\0', line.len) || !span_next_word(&line, " \t", &verb) ||
	    !span_is_nocase(verb, "RCPT"))
		return false;
	line = span_trim(line);
	return command_take_colon(&line, "TO") &&
	       address_parse_path(a, line, path_flags(s, s->transaction->smtputf8), address, &rest) ==
		   ADDRESS_OK &&
	       address->len > 0;
}

void
cmd_rcpt(struct session *s, struct span arguments)
{
	struct arena *a = session_request(s);
	struct transaction *t = s->transaction;
	struct span address, rest;
	struct parameter_fault bad;
	struct parameters p;
	enum address_fault fault;
	struct rcpt *rcpt;

	if (!command_take_colon(&arguments, "TO")) {
		t->refused++;
		reply(s, 501, "5.5.4", "Syntax: RCPT TO:<address>");
		return;
	}
	if (t->accepted >= s->settings->values->smtpd_recipient_limit) {
		too_many(s);
		return;
	}
	fault = address_parse_path(a, arguments, path_flags(s, t->smtputf8), &address, &rest);
	if (fault != ADDRESS_OK || address.len == 0) {
		refuse_address(s, fault, arguments);
		return;
	}
	bad = parameters_of_rcpt(a, rest, &p);
	if (bad.code) {
		t->refused++;
		reply(s, bad.code, bad.enhanced, "%s%.*s", bad.text, SPAN_ARG(bad.what));
		return;
	}
	if ((p.notify || p.orcpt.len > 0) && keyword_is_hidden(s, "DSN")) {
		t->refused++;
		reply(s, 501, "5.7.1", "DSN support is disabled");
		return;
	}
	rcpt = rcpt_new(s, "RCPT", arena_copy_span(a, address));
	rcpt->parameters = p;
	limits_count(s, POLICY_RECIPIENT, rate_known);
}

/* A word or a path; "SMTPUTF8" may follow (RFC 6531, 3.7.4.2). */
static bool
verify_path(struct session *s, struct span arguments, struct span *address)
{
	struct arena *a = session_request(s);
	struct span rest, word = arguments;
	ptrdiff_t blank = span_find_last(arguments, ' ');
	bool smtputf8 = blank > 0 && s->esmtp &&
			span_is_nocase(span_trim(span_from(arguments, (size_t)blank)), "SMTPUTF8");
	enum address_fault fault;

	if (smtputf8)
		word = span_trim(span_sub(arguments, 0, (size_t)blank));
	fault =
	    address_parse_path(a, word, path_flags(s, smtputf8) & ~(unsigned)ADDRESS_STRICT, address, &rest);
	if (fault == ADDRESS_OK && address->len && span_trim(rest).len == 0)
		return true;
	refuse_address(s, fault, arguments);
	return false;
}

void
cmd_vrfy(struct session *s, struct span arguments)
{
	struct span address;

	if (s->settings->values->disable_vrfy_command) {
		reply(s, 502, "5.5.1", "VRFY command is disabled");
		return;
	}
	if (arguments.len == 0) {
		reply(s, 501, "5.5.4", "Syntax: VRFY address");
		return;
	}
	if (!verify_path(s, arguments, &address))
		return;
	rcpt_new(s, "VRFY", address)->purpose = VERIFY;
	resolution_find(s, address, SPAN_LIT(""), 0, resolved);
}

/* ---- EXPN ---- */

/* The next member of an alias: up to a comma outside quotes. */
static struct span
next_member(struct span *rest)
{
	struct span member;
	bool quoted = false;
	size_t n = 0;

	for (; n < rest->len && (quoted || rest->ptr[n] != ','); n++)
		if (rest->ptr[n] == '\\' && n + 1 < rest->len)
			n++;
		else if (rest->ptr[n] == '"')
			quoted = !quoted;
	member = span_trim(span_sub(*rest, 0, n));
	*rest = span_from(*rest, n < rest->len ? n + 1 : rest->len);
	return member;
}

/* Commands, files and lists in files are nobody's business. */
static bool
may_be_named(struct span member)
{
	return member.len && strchr("|/:\"", member.ptr[0]) == NULL;
}

static void
list_members(struct session *s, struct span value)
{
	struct span rest = value, member, last = {NULL, 0};

	while (rest.len) {
		member = next_member(&rest);
		if (!may_be_named(member))
			continue;
		if (last.len)
			reply_more(s, 250, "2.1.5", "<%.*s>", SPAN_ARG(last));
		last = member;
	}
	if (last.len)
		reply(s, 250, "2.1.5", "<%.*s>", SPAN_ARG(last));
	else
		reply(s, 252, "2.1.5", "Members are not shown");
}

static void
list_rows(struct session *s, const struct resolution *r)
{
	const struct resolution_row *row = r->rows;

	for (; row->next; row = row->next)
		reply_more(s, 250, "2.1.5", "<%.*s>", SPAN_ARG(row->recipient));
	reply(s, 250, "2.1.5", "<%.*s>", SPAN_ARG(row->recipient));
}

static int
on_alias(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct session *s = context;

	(void)err;
	session_answered(s);
	if (!frame || frame->map_answer.status == LOOKUP_TEMPORARY)
		reply(s, 451, "4.3.0", "Temporary lookup failure");
	else if (frame->map_answer.status == LOOKUP_FOUND)
		list_members(s, frame->map_answer.value);
	else
		list_rows(s, s->check->resolution);
	session_continue(s);
	return 0;
}

static void
expand(struct session *s, const struct resolution *r)
{
	struct msg_map_ask ask = {.tables = span_of(s->settings->values->alias_maps), .form = LOOKUP_LOCAL};
	struct span domain;

	if (r->status == LOOKUP_TEMPORARY)
		reply(s, 451, "4.3.0", "Temporary lookup failure");
	else if (r->class == CLASS_DEFAULT || r->status != LOOKUP_FOUND || r->rows == NULL)
		reply(s, 550, "5.1.1", "No such list here");
	else if (r->class != CLASS_LOCAL || r->row_count > 1)
		list_rows(s, r);
	else {
		address_split(r->rows->recipient, &ask.key, &domain);
		if (session_ask(s, ROLE_LOOKUP, IPC_MAP_ASK, &ask, on_alias, s) == 0)
			return;
		reply(s, 451, "4.3.0", "Temporary lookup failure");
	}
	session_continue(s);
}

void
cmd_expn(struct session *s, struct span arguments)
{
	struct span address;

	if (!s->settings->values->enable_expn)
		reply(s, 502, "5.5.1", "EXPN command is disabled");
	else if (arguments.len == 0)
		reply(s, 501, "5.5.4", "Syntax: EXPN list");
	else if (verify_path(s, arguments, &address)) {
		rcpt_new(s, "EXPN", address)->purpose = EXPAND;
		resolution_find(s, address, SPAN_LIT(""), 0, resolved);
	}
}
