/*
 * Rules about whose the sender's address is: smtpd_sender_login_maps says which logins own it.
 *
 * The address is looked for as it is once it is rewritten and routes through this host are undone, so that user%domain,
 * user%here@here or a missing domain leads nowhere else; keys are those of canonical(5). Two questions: check->phase.
 */
#include "common/mail/address.h"
#include "common/mail/casefold.h"
#include "smtpd/auth_settings.h"
#include "smtpd/restriction.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

static struct span
sender_of(const struct check *c)
{
	return c->session->transaction->sender;
}

static enum verdict
trouble(struct check *c)
{
	return check_reject(c, 451, "4.3.0", "<%.*s>: Temporary lookup failure", SPAN_ARG(sender_of(c)));
}

/* logins: separated by commas or blanks. */
static bool
names_user(struct span logins, const char *user)
{
	struct span word;

	while (span_next_word(&logins, ", \t\r\n", &word))
		if (casefold_equal(word, span_of(user)))
			return true;
	return false;
}

static enum verdict
judge(struct check *c, const struct msg_map_answer *answer)
{
	const char *user = c->session->sasl_username;
	bool has_owner = answer && answer->status == LOOKUP_FOUND;

	if (!answer || answer->status == LOOKUP_TEMPORARY)
		return trouble(c);
	if (!user)
		return has_owner
			   ? check_reject(c, 553, "5.7.1", "<%.*s>: Sender address rejected: not logged in",
				 SPAN_ARG(sender_of(c)))
			   : VERDICT_NEXT;
	if (has_owner ? names_user(answer->value, user) : c->word->rule->detail == LOGIN_KNOWN)
		return VERDICT_NEXT;
	return check_reject(c, 553, "5.7.1", "<%.*s>: Sender address rejected: not owned by user %s",
	    SPAN_ARG(sender_of(c)), user);
}

static int
on_owners(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct check *c = context;

	(void)err;
	session_answered(c->session);
	if (frame && frame->map_answer.status == LOOKUP_TEMPORARY)
		log_warning(NULL, "smtpd_sender_login_maps: %.*s", SPAN_ARG(frame->map_answer.reason));
	check_resume(c, judge(c, frame ? &frame->map_answer : NULL));
	return 0;
}

static int
on_rewritten(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct check *c = context;
	struct session *s = c->session;
	struct msg_map_ask ask = {
	    .tables = span_of(s->settings->values->smtpd_sender_login_maps), .form = LOOKUP_MAIL};

	(void)err;
	if (frame && frame->type == IPC_RESOLVE_RCPT)
		return 0;
	session_answered(s);
	if (!frame || frame->resolve_done.status == LOOKUP_TEMPORARY) {
		check_resume(c, trouble(c));
		return 0;
	}
	ask.key = frame->resolve_done.address;
	if (session_ask(s, ROLE_LOOKUP, IPC_MAP_ASK, &ask, on_owners, c) < 0)
		check_resume(c, trouble(c));
	return 0;
}

/*
 * detail: LOGIN_*. Without tables, and for the empty sender, there is nothing to own. Where no AUTH is offered nobody could
 * be logged in: as in Postfix the rule is passed over there, with a warning.
 */
enum verdict
rule_sender_login(struct check *c, const struct restriction_word *word)
{
	struct session *s = c->session;
	struct msg_resolve_ask ask = {.flags = RESOLVE_SENDER | RESOLVE_UNROUTED};
	bool logged_in = s->sasl_username != NULL;

	c->word = word;
	if (!s->transaction || sender_of(c).len == 0 || !s->settings->values->smtpd_sender_login_maps[0])
		return VERDICT_NEXT;
	if (!s->settings->auth) {
		log_warning(NULL, "restriction `%s' ignored: no SASL support", word->name);
		return VERDICT_NEXT;
	}
	if (word->rule->detail == (logged_in ? LOGIN_UNAUTHENTICATED : LOGIN_AUTHENTICATED))
		return VERDICT_NEXT;
	ask.address = sender_of(c);
	if (session_ask(s, ROLE_LOOKUP, IPC_RESOLVE_ASK, &ask, on_rewritten, c) < 0)
		return trouble(c);
	return VERDICT_WAIT;
}
