/*
 * HELO and EHLO (RFC 5321, 4.1.1.1): the name, what is offered, and the end of any transaction.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/settings.h"
#include "smtpd/transaction.h"

enum { HELO_MAX = 512 };

struct keyword {
	const char *word;
	bool (*offered)(const struct session *s); /* NULL: always */
};

static bool
vrfy_offered(const struct session *s)
{
	return !s->settings->values->disable_vrfy_command;
}

static bool
smtputf8_offered(const struct session *s)
{
	return s->settings->values->smtputf8_enable;
}

/* The order in which Postfix lists them; the index is the bit in settings->hidden_keywords. */
static const struct keyword keywords[] = {
    {"PIPELINING", NULL},
    {"SIZE", NULL},
    {"VRFY", vrfy_offered},
    {"ETRN", NULL},
    {"ENHANCEDSTATUSCODES", NULL},
    {"8BITMIME", NULL},
    {"DSN", NULL},
    {"SMTPUTF8", smtputf8_offered},
    {"CHUNKING", NULL},
};

enum { KEYWORD_COUNT = sizeof(keywords) / sizeof(keywords[0]) };

unsigned
keywords_hidden(struct span list)
{
	struct span word;
	unsigned bits = 0;

	while (conf_list_next(&list, &word))
		for (size_t i = 0; i < KEYWORD_COUNT; i++)
			if (span_is_nocase(word, keywords[i].word))
				bits |= 1u << i;
	return bits;
}

static void
list_keywords(struct session *s)
{
	const struct settings *set = s->settings;
	const char *name = set->values->myhostname;
	struct span words[KEYWORD_COUNT];
	char size[64];
	size_t count = 0;

	for (size_t i = 0; i < KEYWORD_COUNT; i++)
		if (!(set->hidden_keywords & (1u << i)) && (!keywords[i].offered || keywords[i].offered(s)))
			words[count++] = span_of(keywords[i].word);
	if (count == 0) {
		reply(s, 250, "", "%s Hello %.200s [%s]", name, s->helo, s->client_address);
		return;
	}
	reply_more(s, 250, "", "%s Hello %.200s [%s]", name, s->helo, s->client_address);
	for (size_t i = 0; i < count; i++) {
		if (span_is(words[i], "SIZE") && set->values->message_size_limit) {
			(void)snprintf(
			    size, sizeof(size), "SIZE %lld", (long long)set->values->message_size_limit);
			words[i] = span_of(size);
		}
		if (i + 1 < count)
			reply_more(s, 250, "", "%.*s", SPAN_ARG(words[i]));
		else
			reply(s, 250, "", "%.*s", SPAN_ARG(words[i]));
	}
}

static void
greet(struct session *s)
{
	if (s->esmtp)
		list_keywords(s);
	else
		reply(s, 250, "", "%s Hello %.200s [%s]", s->settings->values->myhostname, s->helo,
		    s->client_address);
}

static void
helo_checked(struct session *s, bool permitted)
{
	if (permitted)
		greet(s);
	else {
		free(s->helo);
		s->helo = NULL;
		reply_text(s, span_of(s->check->text));
	}
	session_continue(s);
}

static void
hello(struct session *s, struct span arguments, bool esmtp)
{
	struct check *c;

	if (arguments.len == 0 || arguments.len > HELO_MAX) {
		reply(s, 501, "", "Syntax: %s hostname", esmtp ? "EHLO" : "HELO");
		return;
	}
	transaction_free(s);
	free(s->helo);
	s->helo = mem_strndup(arguments.ptr, arguments.len);
	s->esmtp = esmtp;
	if (s->settings->values->smtpd_delay_reject) {
		greet(s);
		return;
	}
	c = check_new(s, esmtp ? "EHLO" : "HELO", helo_checked);
	check_add_stage(c, RESTRICT_HELO);
	check_start(c);
}

void
cmd_helo(struct session *s, struct span arguments)
{
	hello(s, arguments, false);
}

void
cmd_ehlo(struct session *s, struct span arguments)
{
	hello(s, arguments, true);
}
