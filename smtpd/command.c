#include "smtpd/command.h"

#include "common/base/text.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/session_errors.h"
#include "smtpd/tls.h"

/* Of what was sent ahead, in the log. */
enum { SHOWN_MAX = 100 };

/* ---- what is out of place ---- */

static void
need_hello(struct session *s, struct span arguments)
{
	(void)arguments;
	reply(s, 503, "5.5.1", "Error: send HELO/EHLO first");
}

static void
need_mail(struct session *s, struct span arguments)
{
	(void)arguments;
	reply(s, 503, "5.5.1", "Error: need MAIL command");
}

static void
need_recipient(struct session *s, struct span arguments)
{
	(void)arguments;
	reply(s, 503, "5.5.1", "Error: need RCPT command");
}

static void
no_recipients(struct session *s, struct span arguments)
{
	(void)arguments;
	reply(s, 554, "5.5.1", "no valid recipients");
}

static void
nested_mail(struct session *s, struct span arguments)
{
	(void)arguments;
	reply(s, 503, "5.5.1", "Error: nested MAIL command");
}

static void
chunks_are_open(struct session *s, struct span arguments)
{
	(void)arguments;
	reply(s, 503, "5.5.1", "Error: the message has begun with BDAT");
}

static void
not_in_transaction(struct session *s, struct span arguments)
{
	(void)arguments;
	reply(s, 503, "5.5.1", "Error: MAIL transaction in progress");
}

/* MAIL without HELO is fine unless smtpd_helo_required is set (as in Postfix; RFC 5321, 4.1.4 wants it). */
static void
mail_first(struct session *s, struct span arguments)
{
	if (s->settings->values->smtpd_helo_required)
		need_hello(s, arguments);
	else
		cmd_mail(s, arguments);
}

#define EVERYWHERE(handler)                                                                                  \
	{                                                                                                    \
		handler, handler, handler, handler, handler, handler                                         \
	}

/* What each verb does in each state: RFC 5321, 4.1.4; RFC 3030 for the last one. */
static const struct command commands[COMMAND_COUNT] = {
    /*                                  CONNECTED   GREETED     SENDER     REFUSED     RECIPIENTS   CHUNKS */
    [COMMAND_HELO] = {"HELO", true, true, true, EVERYWHERE(cmd_helo)},
    [COMMAND_EHLO] = {"EHLO", true, true, true, EVERYWHERE(cmd_ehlo)},
    [COMMAND_STARTTLS] = {"STARTTLS", true, false, true, EVERYWHERE(cmd_starttls)},
    [COMMAND_AUTH] = {"AUTH", false, false, false,
	{need_hello, cmd_auth, not_in_transaction, not_in_transaction, not_in_transaction,
	    not_in_transaction}},
    [COMMAND_MAIL] = {"MAIL", false, false, false,
	{mail_first, cmd_mail, nested_mail, nested_mail, nested_mail, nested_mail}},
    [COMMAND_RCPT] = {"RCPT", false, false, false,
	{need_mail, need_mail, cmd_rcpt, cmd_rcpt, cmd_rcpt, chunks_are_open}},
    [COMMAND_DATA] = {"DATA", true, false, false,
	{need_recipient, need_recipient, need_recipient, no_recipients, cmd_data, chunks_are_open}},
    [COMMAND_BDAT] = {"BDAT", false, false, true, /* its octets come all the same */
	{cmd_bdat_refused, cmd_bdat_refused, cmd_bdat_refused, cmd_bdat_refused, cmd_bdat, cmd_bdat}},
    [COMMAND_RSET] = {"RSET", false, true, false, EVERYWHERE(cmd_rset)},
    [COMMAND_NOOP] = {"NOOP", true, true, true, EVERYWHERE(cmd_noop)},
    [COMMAND_VRFY] = {"VRFY", true, true, false, EVERYWHERE(cmd_vrfy)},
    [COMMAND_EXPN] = {"EXPN", true, true, false, EVERYWHERE(cmd_expn)},
    [COMMAND_ETRN] = {"ETRN", false, true, false,
	{need_hello, cmd_etrn, not_in_transaction, not_in_transaction, not_in_transaction,
	    not_in_transaction}},
    [COMMAND_HELP] = {"HELP", false, true, true, EVERYWHERE(cmd_help)},
    [COMMAND_QUIT] = {"QUIT", false, false, true, EVERYWHERE(cmd_quit)},
};

const struct command *
command_at(enum command_index index)
{
	static const struct command none = {.verb = "UNKNOWN"};

	return index < COMMAND_UNKNOWN ? &commands[index] : &none;
}

const char *
command_name(unsigned index)
{
	return index == COMMAND_CONNECT ? "CONNECT" : command_at((enum command_index)index)->verb;
}

bool
command_take_colon(struct span *arguments, const char *word)
{
	struct span rest = span_trim(*arguments);
	size_t len = strlen(word);

	if (!span_starts_nocase(rest, word))
		return false;
	rest = span_trim(span_from(rest, len));
	if (rest.len == 0 || rest.ptr[0] != ':')
		return false;
	*arguments = span_trim(span_from(rest, 1));
	return true;
}

static enum command_index
find(struct span verb)
{
	for (unsigned i = 0; i < COMMAND_UNKNOWN; i++)
		if (span_is_nocase(verb, commands[i].verb))
			return (enum command_index)i;
	return COMMAND_UNKNOWN;
}

/* Input behind a command whose reply the client had to wait for (RFC 2920, 3.1), or any without ESMTP. */
static bool
sent_ahead(struct session *s, const struct command *command)
{
	return s->pipelined && (!s->esmtp || command->last_in_group) && command_sent_ahead(s, command->verb);
}

/* The first line of it, for the log; nothing where it may hold a password, or was meant to look protected. */
static struct span
shown_of(const struct session *s)
{
	ptrdiff_t end = span_find(s->behind, '\n');
	struct span line = end < 0 ? s->behind : span_sub(s->behind, 0, (size_t)end);

	if (s->command == COMMAND_AUTH || s->command == COMMAND_STARTTLS ||
	    span_starts_nocase(span_trim(line), commands[COMMAND_AUTH].verb))
		return SPAN_LIT("");
	return span_trim(span_sub(line, 0, SHOWN_MAX));
}

bool
command_sent_ahead(struct session *s, const char *verb)
{
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_own_log(s);
	struct span shown = shown_of(s);

	if (!s->told_pipelining)
		log_info(&log, "improper command pipelining after %s from %s%s%.*s", verb,
		    session_label(s, label), shown.len ? ": " : "", SPAN_ARG(shown));
	s->told_pipelining = true;
	if (!s->settings->values->smtpd_forbid_unauth_pipelining)
		return false;
	reply_goodbye(s, NULL, 554, "5.5.0", "Error: SMTP protocol synchronization");
	return true;
}

static void
run_found(struct session *s, enum command_index index, struct span arguments)
{
	const struct command *command = &commands[index];

	if (sent_ahead(s, command))
		return;
	if (!command->before_tls && tls_is_missing(s)) {
		reply(s, 530, "5.7.0", "Must issue a STARTTLS command first");
		return;
	}
	if (command->junk && s->junk < UINT16_MAX &&
	    s->junk++ >= s->settings->values->smtpd_junk_command_limit)
		s->errors++;
	command->handlers[session_state(s)](s, arguments);
}

void
command_denied(struct session *s)
{
	char label[CLIENT_LABEL_SIZE];

	reply(s, 503, "5.7.0", "Error: access denied for %s", session_label(s, label));
}

void
command_run(struct session *s, struct span line)
{
	struct span arguments = span_trim(line), verb;
	enum command_index index;
	bool spoiled = memchr(line.ptr ? line.ptr : "", '\0', line.len) != NULL;

	s->answered = false;
	if (s->tls_refusal && tls_refuses(s))
		return;
	if (spoiled || !span_next_word(&arguments, " \t", &verb)) {
		s->command = COMMAND_UNKNOWN;
		s->total[COMMAND_UNKNOWN]++;
		session_errors_heard(s, SPAN_LIT(""));
		reply(s, 500, "5.5.2", "Error: bad syntax");
		session_continue(s);
		return;
	}
	index = find(verb);
	s->command = (uint8_t)index;
	if (s->total[index] < UINT16_MAX)
		s->total[index]++;
	session_errors_heard(s, line);
	if (index == COMMAND_UNKNOWN)
		cmd_unknown(s, verb, line);
	else if (s->denied && index != COMMAND_QUIT)
		command_denied(s);
	else
		run_found(s, index, span_trim(arguments));
	session_continue(s);
}
