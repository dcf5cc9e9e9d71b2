#include "smtpd/restriction.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

enum { UNAUTH_REJECT, UNAUTH_DEFER, UNAUTH_PERMIT };

/* detail: which stage, table or variant; the functions say. */
static const struct restriction restrictions[] = {
#define RESTRICTION(name, takes_argument, function, detail) {#name, takes_argument, function, detail},
#include "common/conf/restrictions.def"
#undef RESTRICTION
};

static const struct restriction unknown_rule = {"?", false, rule_configuration_error, 0};

/* "type:name" alone is the old form of the stage's own check_*_access. */
static const struct restriction bare_table = {"table", true, rule_access, -1};

const struct restriction *
restriction_find(struct span name)
{
	for (size_t i = 0; i < sizeof(restrictions) / sizeof(restrictions[0]); i++)
		if (span_is_nocase(name, restrictions[i].name))
			return &restrictions[i];
	return NULL;
}

/* ---- parsing ---- */

static void
parse_word(struct restriction_word *w, struct span word, struct span *rest, void (*warn)(const char *word))
{
	struct span argument;

	w->name = mem_strndup(word.ptr, word.len);
	w->rule = restriction_find(word);
	if (w->rule == NULL && span_find(word, ':') > 0) {
		w->rule = &bare_table;
		w->argument = mem_strndup(word.ptr, word.len);
		return;
	}
	if (w->rule == NULL) {
		warn(w->name);
		w->rule = &unknown_rule;
		return;
	}
	if (!w->rule->takes_argument)
		return;
	if (!conf_list_next(rest, &argument)) {
		warn(w->name);
		w->rule = &unknown_rule;
		return;
	}
	w->argument = mem_strndup(argument.ptr, argument.len);
}

struct restriction_list *
restriction_list_parse(struct span text, void (*warn)(const char *word))
{
	struct span rest = text, word;
	struct restriction_list *list;
	size_t count = 0;

	while (conf_list_next(&rest, &word))
		count++;
	list = mem_alloc(sizeof(*list) + count * sizeof(list->words[0]));
	rest = text;
	while (conf_list_next(&rest, &word))
		parse_word(&list->words[list->count++], word, &rest, warn);
	return list;
}

void
restriction_list_free(struct restriction_list **list)
{
	for (size_t i = 0; *list && i < (*list)->count; i++) {
		free((*list)->words[i].name);
		free((*list)->words[i].argument);
	}
	free(*list);
	*list = NULL;
}

/* ---- evaluation ---- */

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
check_stage(const struct check *c)
{
	return c->stages[c->stage < c->stage_count ? c->stage : c->stage_count - 1];
}

void
check_free(struct check *c)
{
	for (size_t i = 0; i < c->owned_count; i++)
		restriction_list_free(&c->owned[i]);
	c->owned_count = 0;
}

static void
finish(struct check *c, bool permitted)
{
	struct session *s = c->session;

	if (permitted && c->defer_if_permit[0]) {
		permitted = false;
		memcpy(c->text, c->defer_if_permit, sizeof(c->text));
	} else if (!permitted && c->defer_if_reject[0])
		memcpy(c->text, c->defer_if_reject, sizeof(c->text));
	if (!permitted)
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
		c->depth--;
	}
	return NULL;
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
	c->depth = list ? 1 : 0;
	c->warn_only = false;
	return true;
}

/* Returns false if the evaluation is over. */
static bool
take_verdict(struct check *c, enum verdict verdict)
{
	bool warn_only = c->warn_only;

	if (c->word->rule->function == rule_warn_if_reject)
		return true;
	c->warn_only = false;
	if (verdict == VERDICT_PERMIT) {
		c->depth = 0;
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
	    !c->session->settings->values->smtpd_reject_unlisted_recipient)
		return true;
	return unlisted_recipient(c) != VERDICT_REJECT;
}

static void
run(struct check *c)
{
	enum verdict verdict;

	for (;;) {
		c->word = next_word(c);
		if (c->word == NULL) {
			c->stage++;
			if (!enter_stage(c))
				break;
			continue;
		}
		c->phase = 0;
		verdict = c->word->rule->function(c, c->word);
		if (verdict == VERDICT_WAIT)
			return;
		if (!take_verdict(c, verdict)) {
			finish(c, false);
			return;
		}
	}
	finish(c, passes_unlisted(c));
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

enum verdict
check_push_list(struct check *c, struct span text)
{
	struct restriction_list *list;

	if (c->depth >= RESTRICTION_DEPTH_MAX || c->owned_count >= RESTRICTION_DEPTH_MAX) {
		log_warning(NULL, "restriction lists are nested too deeply: \"%.*s\"", SPAN_ARG(text));
		return check_reject(c, 451, "4.3.5", "Server configuration error");
	}
	list = restriction_list_parse(text, warn_about);
	c->owned[c->owned_count++] = list;
	c->stack[c->depth].list = list;
	c->stack[c->depth].next = 0;
	c->depth++;
	return VERDICT_NEXT;
}

enum verdict
check_reject(struct check *c, int code, const char *enhanced, const char *format, ...)
{
	size_t used;
	va_list args;

	used = (size_t)snprintf(c->text, sizeof(c->text), "%d %s ", code, enhanced);
	/* The class of both codes is the same (RFC 2034, 4). */
	if (enhanced[0] >= '4')
		c->text[4] = c->text[0];
	va_start(args, format);
	(void)vsnprintf(c->text + used, sizeof(c->text) - used, format, args);
	va_end(args);
	return VERDICT_REJECT;
}

const char *
check_class(enum restriction_stage stage)
{
	static const char *const classes[RESTRICT_COUNT + 1] = {
	    [RESTRICT_CLIENT] = "Client host",
	    [RESTRICT_HELO] = "Helo command",
	    [RESTRICT_SENDER] = "Sender address",
	    [RESTRICT_RELAY] = "Recipient address",
	    [RESTRICT_RECIPIENT] = "Recipient address",
	    [RESTRICT_DATA] = "Data command",
	    [RESTRICT_END_OF_DATA] = "End-of-data",
	    [RESTRICT_ETRN] = "Etrn command",
	    [RESTRICT_REVERSE_CLIENT] = "Unverified Client host",
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
	case RESTRICT_ETRN:
		return c->recipient;
	case RESTRICT_DATA:
		return SPAN_LIT("DATA");
	case RESTRICT_END_OF_DATA:
		return SPAN_LIT("END-OF-MESSAGE");
	case RESTRICT_REVERSE_CLIENT:
		(void)snprintf(text, CLIENT_LABEL_SIZE, "%.300s[%s]", s->reverse_name, s->client_address);
		return span_of(text);
	default:
		return span_of(session_label(s, text));
	}
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
	if (strcmp(action, "defer_if_permit") == 0 && !c->warn_only) {
		if (c->defer_if_permit[0] == '\0')
			memcpy(c->defer_if_permit, text, sizeof(text));
		return VERDICT_NEXT;
	}
	memcpy(c->text, text, sizeof(text));
	return VERDICT_REJECT;
}
