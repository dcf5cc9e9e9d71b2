/*
 * The actions of access(5).
 */
#include <stdio.h>

#include "common/base/text.h"
#include "common/mail/address.h"
#include "common/mail/outcome.h"
#include "smtpd/reply.h"
#include "smtpd/restriction.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

struct access {
	struct check *check;
	enum restriction_stage stage;
	struct span text; /* behind the action's name */
	const char *table;
	struct span key;
};

typedef enum verdict access_function(struct access *a);

static const char access_denied[] = "Access denied";

static void
log_trigger(struct access *a, const char *action, const char *fallback)
{
	char label[CLIENT_LABEL_SIZE], text[RESTRICTION_TEXT_MAX];
	struct span subject = check_subject(a->check, a->stage, label);

	(void)snprintf(text, sizeof(text), "<%.*s>: %s %.*s", SPAN_ARG(subject), check_class(a->stage),
	    a->text.len ? (int)a->text.len : (int)strlen(fallback), a->text.len ? a->text.ptr : fallback);
	log_action(a->check->session, action, a->check->where, a->check->recipient, span_of(text));
}

/* Of an action with a target, which a->text is. */
static void
log_target(struct access *a, const char *action, const char *word)
{
	char label[CLIENT_LABEL_SIZE], text[RESTRICTION_TEXT_MAX];
	struct span subject = check_subject(a->check, a->stage, label);

	(void)snprintf(text, sizeof(text), "<%.*s>: %s triggers %s %.*s", SPAN_ARG(subject),
	    check_class(a->stage), word, SPAN_ARG(a->text));
	log_action(a->check->session, action, a->check->where, a->check->recipient, span_of(text));
}

/* The text alone, where it is there for the log. */
static void
log_words(struct access *a, const char *action, const char *fallback)
{
	if (a->text.len == 0)
		log_trigger(a, action, fallback);
	else
		log_action(a->check->session, action, a->check->where, a->check->recipient, a->text);
}

/* "4.7.1 text" or "text": the enhanced code that is there, or the fallback's; reason: what is said without a text. */
static enum verdict
refuse(struct access *a, int code, const char *fallback, const char *reason)
{
	char enhanced[16], text[RESTRICTION_TEXT_MAX];
	struct span word, rest = a->text;

	(void)snprintf(enhanced, sizeof(enhanced), "%s", fallback);
	if (span_next_word(&rest, " \t", &word) && enhanced_code_valid(word)) {
		(void)span_copy(word, enhanced, sizeof(enhanced));
		a->text = span_trim(rest);
	}
	check_fit_code(enhanced, a->stage);
	if (a->text.len == 0)
		a->text = span_of(reason);
	(void)span_copy(span_sub(a->text, 0, sizeof(text) - 1), text, sizeof(text));
	return check_reject_subject(a->check, a->stage, code, enhanced, text);
}

static enum verdict
act_ok(struct access *a)
{
	(void)a;
	return VERDICT_PERMIT;
}

static enum verdict
act_dunno(struct access *a)
{
	(void)a;
	return VERDICT_NEXT;
}

static enum verdict
act_reject(struct access *a)
{
	return refuse(
	    a, (int)a->check->session->settings->values->access_map_reject_code, "5.7.1", access_denied);
}

static enum verdict
act_defer(struct access *a)
{
	return refuse(
	    a, (int)a->check->session->settings->values->access_map_defer_code, "4.7.1", access_denied);
}

static enum verdict
defer_if(struct access *a, char *to)
{
	if (to[0] == '\0') {
		(void)refuse(a, (int)a->check->session->settings->values->access_map_defer_code, "4.7.1",
		    "Service unavailable");
		memcpy(to, a->check->text, sizeof(a->check->text));
		a->check->text[0] = '\0';
	}
	return VERDICT_NEXT;
}

static enum verdict
act_defer_if_permit(struct access *a)
{
	return defer_if(a, a->check->defer_if_permit);
}

static enum verdict
act_defer_if_reject(struct access *a)
{
	return defer_if(a, a->check->defer_if_reject);
}

/* Actions on the message: without a transaction (at CONNECT and HELO) there is none, and they are skipped. */
static struct transaction *
message_of(struct access *a, const char *action)
{
	struct transaction *t = a->check->session->transaction;

	if (strcmp(a->check->where, "VRFY") == 0)
		return NULL;
	if (!t)
		log_warning(NULL, "access table %s entry \"%.*s\": %s needs a message", a->table,
		    SPAN_ARG(a->key), action);
	return t;
}

static enum verdict
act_discard(struct access *a)
{
	struct transaction *t = message_of(a, "DISCARD");

	if (t) {
		t->flags |= MAIL_DISCARD;
		t->discarded = true;
		log_trigger(a, "discard", "triggers DISCARD action");
	}
	return t ? VERDICT_PERMIT : VERDICT_NEXT;
}

static enum verdict
act_hold(struct access *a)
{
	struct transaction *t = message_of(a, "HOLD");

	if (t) {
		t->flags |= MAIL_HOLD;
		t->content.flags |= MAIL_HOLD; /* goes with the end, should it be behind the content */
		t->hold_reason = arena_copy_span(t->arena, span_sub(a->text, 0, 400));
		log_trigger(a, "hold", "triggers HOLD action");
	}
	return VERDICT_NEXT;
}

static enum verdict
act_prepend(struct access *a)
{
	struct transaction *t = message_of(a, "PREPEND");

	if (t && (a->text.len == 0 || transaction_prepend(t, a->text) < 0))
		log_warning(NULL, "access table %s entry \"%.*s\": PREPEND without a header line", a->table,
		    SPAN_ARG(a->key));
	return VERDICT_NEXT;
}

static enum verdict
act_redirect(struct access *a)
{
	struct transaction *t = message_of(a, "REDIRECT");

	if (t && span_find(a->text, '@') > 0) {
		t->redirect_due = true;
		t->redirect = arena_copy_span(t->arena, a->text);
		log_target(a, "redirect", "REDIRECT");
	} else if (t)
		log_warning(NULL, "access table %s entry \"%.*s\": REDIRECT without user@domain", a->table,
		    SPAN_ARG(a->key));
	return VERDICT_NEXT;
}

static enum verdict
act_bcc(struct access *a)
{
	struct transaction *t = message_of(a, "BCC");

	if (t && span_find(a->text, '@') > 0) {
		transaction_want_copy(t, a->text);
		log_target(a, "bcc", "BCC");
	} else if (t)
		log_warning(NULL, "access table %s entry \"%.*s\": BCC without user@domain", a->table,
		    SPAN_ARG(a->key));
	return VERDICT_NEXT;
}

static enum verdict
act_filter(struct access *a)
{
	struct transaction *t = message_of(a, "FILTER");

	if (t && span_find(a->text, ':') > 0) {
		t->recipients_changed = true;
		t->filter = arena_copy_span(t->arena, a->text);
		log_target(a, "filter", "FILTER");
	} else if (t)
		log_warning(NULL, "access table %s entry \"%.*s\": FILTER without transport:destination",
		    a->table, SPAN_ARG(a->key));
	return VERDICT_NEXT;
}

static enum verdict
act_warn(struct access *a)
{
	log_words(a, "warn", "triggers WARN action");
	return VERDICT_NEXT;
}

static enum verdict
act_info(struct access *a)
{
	log_words(a, "info", "triggers INFO action");
	return VERDICT_NEXT;
}

static const struct {
	const char *name;
	access_function *function;
} actions[] = {
#define ACTION(name, function, needs) {#name, function},
#include "common/conf/access_actions.def"
#undef ACTION
};

static bool
all_digits(struct span word)
{
	for (size_t i = 0; i < word.len; i++)
		if (!ascii_is_digit(word.ptr[i]))
			return false;
	return word.len > 0;
}

enum verdict
access_action(
    struct check *c, struct span value, const char *table, struct span key, enum restriction_stage stage)
{
	struct access a = {.check = c, .stage = stage, .table = table, .key = key};
	struct span word, rest = span_trim(value);
	uint64_t code;

	value = rest;
	if (!span_next_word(&rest, " \t\r\n", &word))
		return VERDICT_NEXT;
	a.text = span_trim(rest);
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (span_is_nocase(word, actions[i].name))
			return actions[i].function(&a);
	/* "4NN text", "5NN text"; a longer number is the mark of POP-before-SMTP, if there is nothing else: OK. */
	if (word.len == 3 && number_parse(word, 400, 599, &code) == 0)
		return refuse(&a, (int)code, code < 500 ? "4.7.1" : "5.7.1", access_denied);
	if (all_digits(value))
		return VERDICT_PERMIT;
	return check_push_list(c, value, stage);
}
