#include "smtpd/restriction.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

/* More words than any list in use has; each may be a question to another process. */
enum { STEPS_MAX = 5000 };

struct check *
check_new(struct session *s, const char *where, void (*done)(struct session *s, bool permitted))
{
	struct check *c = arena_alloc(session_request(s), sizeof(*c));

	if (c == NULL)
		panic("no memory for a check"); /* the request's arena is larger than any command */
	c->session = s;
	c->where = where;
	c->done = done;
	s->check = c;
	return c;
}

void
check_add_stage(struct check *c, enum restriction_stage stage)
{
	c->stages[c->stage_count++] = stage;
}

enum restriction_stage
check_about(const struct check *c)
{
	return c->depth > 0 ? c->stack[c->depth - 1].about : check_stage(c);
}

enum restriction_stage
check_stage(const struct check *c)
{
	return c->stages[c->stage < c->stage_count ? c->stage : c->stage_count - 1];
}

/* Leaves the innermost list; with it ends a warn_if_reject that stood before it. */
static void
pop_list(struct check *c)
{
	restriction_list_free(&c->stack[--c->depth].owned);
	if (c->warn_depth >= c->depth)
		c->warn_depth = 0;
}

static void
pop_all(struct check *c)
{
	while (c->depth > 0)
		pop_list(c);
}

void
check_free(struct check *c)
{
	pop_all(c);
}

static void
finish(struct check *c, bool permitted)
{
	struct session *s = c->session;

	if (c->until_rcpt) {
		free(*c->until_rcpt);
		*c->until_rcpt = c->defer_if_permit[0] ? mem_strdup(c->defer_if_permit) : NULL;
		c->defer_if_permit[0] = '\0';
	}
	if (permitted && c->defer_if_permit[0]) {
		permitted = false;
		memcpy(c->text, c->defer_if_permit, sizeof(c->text));
	} else if (!permitted && c->defer_if_reject[0] && c->text[0] == '5')
		memcpy(c->text, c->defer_if_reject, sizeof(c->text));
	if (!permitted && !c->quiet)
		log_action(s, "reject", c->where, c->recipient, span_of(c->text));
	check_free(c);
	c->done(s, permitted);
}

/* The next word of the innermost list; NULL when the stage is over. */
static const struct restriction_word *
next_word(struct check *c)
{
	while (c->depth > 0) {
		size_t top = c->depth - 1;

		if (c->stack[top].next < c->stack[top].list->count)
			return &c->stack[top].list->words[c->stack[top].next++];
		pop_list(c);
	}
	return NULL;
}

/* smtpd_reject_unlisted_sender: behind the stage's list, whatever that said. */
static const struct restriction_word *
last_word(const struct check *c)
{
	static const struct restriction rule = {"reject_unlisted_sender", false, rule_unlisted_sender, 0};
	static const struct restriction_word word = {.rule = &rule};

	if (c->stage >= c->stage_count || c->stages[c->stage] != RESTRICT_SENDER || c->sender_checked ||
	    !c->session->settings->values->smtpd_reject_unlisted_sender)
		return NULL;
	return &word;
}

static bool
enter_stage(struct check *c)
{
	const struct restriction_list *list;

	if (c->stage >= c->stage_count)
		return false;
	list = c->session->settings->restrictions[c->stages[c->stage]];
	c->stack[0].list = list;
	c->stack[0].next = 0;
	c->stack[0].owned = NULL;
	c->stack[0].about = c->stages[c->stage];
	c->depth = list ? 1 : 0;
	return true;
}

/* Returns false if the evaluation is over. */
static bool
take_verdict(struct check *c, enum verdict verdict)
{
	bool warn_only = c->warn_depth > 0;

	if (c->word->rule->function == rule_warn_if_reject)
		return true;
	/* It stays for all of a list that the word has brought. */
	if (c->warn_depth >= c->depth)
		c->warn_depth = 0;
	if (verdict == VERDICT_PERMIT) {
		c->said_permit = true;
		pop_all(c);
	} else if (verdict == VERDICT_REJECT) {
		if (!warn_only)
			return false;
		log_action(c->session, "reject_warning", c->where, c->recipient, span_of(c->text));
		c->text[0] = '\0';
	}
	return true;
}

/* smtpd_reject_unlisted_recipient: whatever the lists said (RCPT and VRFY). */
static bool
passes_unlisted(struct check *c)
{
	if (!c->resolution || c->unlisted_checked ||
	    !c->session->settings->values->smtpd_reject_unlisted_recipient ||
	    c->session->settings->takes_unlisted)
		return true;
	return unlisted_recipient(c) != VERDICT_REJECT;
}

/* DISCARD of access(5) has claimed success for all that follows of the message. */
static bool
is_discarded(const struct check *c)
{
	const struct transaction *t = c->session->transaction;

	return t && t->discarded && strcmp(c->where, "VRFY") != 0 && strcmp(c->where, "EXPN") != 0 &&
	       check_stage(c) != RESTRICT_LOCAL_CLIENT;
}

/* Lists that name each other often enough would go on for ever. */
static enum verdict
never_ending(struct check *c)
{
	log_warning(NULL, "restriction lists do not come to an end at \"%s\"", c->word->rule->name);
	c->warn_depth = 0;
	return check_reject(c, 451, "4.3.5", "Server configuration error");
}

static void
explain(const struct check *c, enum verdict verdict)
{
	if (c->session->smtpd->explain)
		c->session->smtpd->explain(c, (int)verdict);
}

static void
run(struct check *c)
{
	enum verdict verdict;

	for (;;) {
		if (is_discarded(c)) {
			c->defer_if_permit[0] = '\0';
			finish(c, true);
			return;
		}
		c->word = next_word(c);
		if (c->word == NULL)
			c->word = last_word(c);
		if (c->word == NULL) {
			c->stage++;
			if (!enter_stage(c))
				break;
			continue;
		}
		c->phase = 0;
		verdict = c->steps++ < STEPS_MAX ? c->word->rule->function(c, c->word) : never_ending(c);
		if (verdict == VERDICT_WAIT)
			return;
		explain(c, verdict);
		if (!take_verdict(c, verdict)) {
			finish(c, false);
			return;
		}
	}
	finish(c, passes_unlisted(c));
}

void
check_inherit(struct check *c)
{
	const struct session *s = c->session;
	const char *first = s->client_deferral;

	first = first ? first : s->helo_deferral;
	first = first ? first : s->sender_deferral;
	if (first)
		(void)snprintf(c->defer_if_permit, sizeof(c->defer_if_permit), "%s", first);
}

void
check_start(struct check *c)
{
	(void)enter_stage(c);
	run(c);
}

void
check_resume(struct check *c, enum verdict verdict)
{
	explain(c, verdict);
	if (take_verdict(c, verdict))
		run(c);
	else
		finish(c, false);
}

/* ---- what rules use ---- */

static void
warn_about(const char *word)
{
	log_warning(NULL, "unknown smtpd restriction: \"%s\"", word);
}

/* list is interrupted by another one; owned: the same, if it is to be freed behind it. */
static enum verdict
push(struct check *c, const struct restriction_list *list, struct restriction_list *owned,
    enum restriction_stage about)
{
	if (c->depth >= RESTRICTION_DEPTH_MAX) {
		log_warning(NULL, "restriction lists are nested too deeply at \"%s\"", c->word->name);
		restriction_list_free(&owned);
		c->warn_depth = 0;
		return check_reject(c, 451, "4.3.5", "Server configuration error");
	}
	c->stack[c->depth].list = list;
	c->stack[c->depth].next = 0;
	c->stack[c->depth].owned = owned;
	c->stack[c->depth].about = about;
	c->depth++;
	return VERDICT_NEXT;
}

enum verdict
check_push_list(struct check *c, struct span text, enum restriction_stage about)
{
	struct restriction_list *list =
	    restriction_list_parse(text, &c->session->settings->classes, warn_about);

	return push(c, list, list, about);
}

enum verdict
rule_class(struct check *c, const struct restriction_word *word)
{
	const struct restriction_class *class =
	    restriction_class_find(&c->session->settings->classes, span_of(word->name));

	return push(c, class->list, NULL, check_about(c));
}

enum verdict
check_reject(struct check *c, int code, const char *enhanced, const char *format, ...)
{
	size_t used;
	va_list args;

	used = (size_t)snprintf(c->text, sizeof(c->text), "%d %s ", code, enhanced);
	/* The class of both codes is the same (RFC 2034, 4). */
	c->text[4] = c->text[0];
	va_start(args, format);
	(void)vsnprintf(c->text + used, sizeof(c->text) - used, format, args);
	va_end(args);
	return VERDICT_REJECT;
}

const char *
check_class(enum restriction_stage stage)
{
	static const char *const classes[RESTRICT_SUBJECTS] = {
	    [RESTRICT_CLIENT] = "Client host",
	    [RESTRICT_HELO] = "Helo command",
	    [RESTRICT_SENDER] = "Sender address",
	    [RESTRICT_RELAY] = "Recipient address",
	    [RESTRICT_RECIPIENT] = "Recipient address",
	    [RESTRICT_DATA] = "Data command",
	    [RESTRICT_END_OF_DATA] = "End-of-data",
	    [RESTRICT_ETRN] = "Etrn command",
	    [RESTRICT_LOCAL_CLIENT] = "Client host",
	    [RESTRICT_REVERSE_CLIENT] = "Unverified Client host",
	    [RESTRICT_CLIENT_CERTIFICATE] = "Client certificate",
	};

	return classes[stage];
}

struct span
check_subject(const struct check *c, enum restriction_stage stage, char text[400])
{
	const struct session *s = c->session;

	switch (stage) {
	case RESTRICT_HELO:
		return span_of(s->helo);
	case RESTRICT_SENDER:
		return s->transaction ? s->transaction->sender : SPAN_LIT("");
	case RESTRICT_RELAY:
	case RESTRICT_RECIPIENT:
		return c->recipient;
	case RESTRICT_ETRN:
		return c->etrn_domain;
	case RESTRICT_DATA:
		return SPAN_LIT("DATA");
	case RESTRICT_END_OF_DATA:
		return SPAN_LIT("END-OF-MESSAGE");
	case RESTRICT_REVERSE_CLIENT:
		return span_of(s->reverse_name);
	default:
		return span_of(session_label(s, text));
	}
}

void
check_fit_code(char code[16], enum restriction_stage stage)
{
	static const char of_sender[] = "078770778", of_recipient[] = "012345632";

	if (strlen(code) < 5 || strncmp(code + 1, ".1.", 3) != 0)
		return;
	size_t detail = code[5] == '\0' && code[4] >= '0' && code[4] <= '8' ? (size_t)(code[4] - '0') : 0;
	code[5] = '\0';
	if (stage == RESTRICT_SENDER)
		code[4] = of_sender[detail];
	else if (stage == RESTRICT_RECIPIENT || stage == RESTRICT_RELAY)
		code[4] = of_recipient[detail];
	else
		memcpy(code + 1, ".0.0", 5);
}

enum verdict
check_reject_subject(
    struct check *c, enum restriction_stage stage, int code, const char *enhanced, const char *text)
{
	char label[CLIENT_LABEL_SIZE];
	struct span subject = check_subject(c, stage, label);

	return check_reject(
	    c, code, enhanced, "<%.*s>: %s rejected: %s", SPAN_ARG(subject), check_class(stage), text);
}

enum verdict
check_tempfail(struct check *c, const char *action, const char *format, ...)
{
	char text[RESTRICTION_TEXT_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (strcmp(action, "defer_if_permit") == 0 && c->warn_depth == 0) {
		if (c->defer_if_permit[0] == '\0')
			memcpy(c->defer_if_permit, text, sizeof(text));
		return VERDICT_NEXT;
	}
	memcpy(c->text, text, sizeof(text));
	return VERDICT_REJECT;
}
