#include "smtpd/session_errors.h"

#include <stdio.h>
#include <string.h>

#include "common/mail/transcript.h"

enum { WORD_SHOWN = 40 };

/* RFC 3463: what the detail of X.3.D (mail system) says. The class is Postfix's for the same reply. */
static unsigned
class_of_system(const char *detail, struct span line)
{
	if (strcmp(detail, "5") == 0)
		return CLASS_SOFTWARE;
	if (strcmp(detail, "4") == 0)
		return CLASS_BOUNCE;
	if (strcmp(detail, "0") == 0 && span_find_span(line, SPAN_LIT("lookup failure")) >= 0)
		return CLASS_DATA;
	return detail[0] == '0' || detail[0] == '1' ? CLASS_RESOURCE : CLASS_POLICY;
}

static unsigned
class_of_security(const struct session *s, unsigned code, struct span line)
{
	if (code == 454)
		return CLASS_SOFTWARE;
	if (code == 421 && span_find_span(line, SPAN_LIT("too many errors")) >= 0)
		return CLASS_PROTOCOL;
	/* Who guesses passwords is policy's and fail2ban's business. */
	return s->command == COMMAND_AUTH ? 0 : CLASS_POLICY;
}

/* enhanced: "5.7.1", or "" */
static unsigned
class_of(const struct session *s, unsigned code, const char *enhanced, struct span line)
{
	const char *detail = strlen(enhanced) > 4 ? enhanced + 4 : "";

	if (code == 421 && (strcmp(enhanced, "4.3.2") == 0 || strcmp(enhanced, "4.4.2") == 0))
		return 0;
	if (code == 502 && (s->command == COMMAND_VRFY || s->command == COMMAND_EXPN))
		return CLASS_POLICY;
	if (code >= 500 && code < 510)
		return CLASS_PROTOCOL;
	switch (*detail ? enhanced[2] : '\0') {
	case '1':
		return strcmp(detail, "1") == 0 ? CLASS_BOUNCE : CLASS_POLICY;
	case '3':
		return class_of_system(detail, line);
	case '4':
		return strcmp(detail, "6") == 0 ? CLASS_BOUNCE : CLASS_POLICY;
	case '5':
		return strcmp(detail, "3") == 0 ? CLASS_POLICY : CLASS_PROTOCOL;
	case '7':
		return class_of_security(s, code, line);
	default:
		return CLASS_POLICY;
	}
}

static void
begin(struct session *s)
{
	char text[TRANSCRIPT_LINE];

	if (s->transcript.text || s->denied)
		return;
	(void)snprintf(text, sizeof(text), "220 %s", s->settings->banner);
	transcript_add(&s->transcript, TRANSCRIPT_OUT, span_of(text));
}

/*
 * What is no command may be anything: an answer to an AUTH that was refused, or what somebody says who takes us for a server of
 * another kind. A word of it is enough.
 */
static struct span
shown_of(const struct session *s, struct span line, char text[TRANSCRIPT_LINE])
{
	struct span rest = line, verb = SPAN_LIT(""), mechanism = SPAN_LIT("");

	if (s->command < COMMAND_UNKNOWN && s->command != COMMAND_AUTH)
		return line;
	if (s->command == COMMAND_AUTH) {
		(void)span_next_word(&rest, " \t", &verb);
		(void)span_next_word(&rest, " \t", &mechanism);
	} else if (s->total[COMMAND_AUTH] == 0)
		(void)span_next_word(&rest, " \t", &verb);
	if (verb.len == 0)
		return SPAN_LIT("(not shown)");
	verb = span_sub(verb, 0, WORD_SHOWN);
	mechanism = span_sub(mechanism, 0, WORD_SHOWN);
	(void)snprintf(text, TRANSCRIPT_LINE, "%.*s%s%.*s%s", SPAN_ARG(verb), mechanism.len ? " " : "",
	    SPAN_ARG(mechanism), rest.len ? " (not shown)" : "");
	return span_of(text);
}

void
session_errors_heard(struct session *s, struct span line)
{
	char text[TRANSCRIPT_LINE];

	if (s->settings->told_classes == 0)
		return;
	begin(s);
	if (s->command == COMMAND_MAIL &&
	    transcript_is_notice(line, s->settings->values->double_bounce_sender))
		s->transcript.muted = true;
	transcript_add(&s->transcript, TRANSCRIPT_IN, shown_of(s, line, text));
}

void
session_errors_said(struct session *s, unsigned code, const char *enhanced, struct span line)
{
	if (s->settings->told_classes == 0)
		return;
	if (code >= 400)
		transcript_error(
		    &s->transcript, class_of(s, code, enhanced, line) & s->settings->told_classes);
	else if (s->transcript.text == NULL) /* the greeting: see begin() */
		return;
	transcript_add(&s->transcript, TRANSCRIPT_OUT, line);
}

void
session_errors_forgive(struct session *s)
{
	transcript_forgive(&s->transcript);
}

void
session_errors_tell(struct session *s, const char *how)
{
	struct transcript *t = &s->transcript;
	char label[CLIENT_LABEL_SIZE], subject[CLIENT_LABEL_SIZE + 40];
	struct msg_session_errors m = {
	    .classes = (uint8_t)t->classes, .reason = span_of(how ? how : ""), .omitted = t->omitted};

	if (t->classes && !t->muted) {
		(void)snprintf(
		    subject, sizeof(subject), "SMTP server: errors from %s", session_label(s, label));
		m.subject = span_of(subject);
		m.lines = span_make(t->text, t->len);
		(void)ipc_send(s->smtpd->peers[ROLE_QUEUE], IPC_SESSION_ERRORS, 0, &m);
	}
	transcript_free(t);
}
