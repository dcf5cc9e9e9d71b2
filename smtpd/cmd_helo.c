/*
 * HELO and EHLO (RFC 5321, 4.1.1.1): the name, what is offered, and the end of any transaction.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "smtpd/auth_offer.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/settings.h"
#include "smtpd/tls.h"
#include "smtpd/transaction.h"

enum { HELO_MAX = 512, LINES_MAX = 4000 };

struct keyword {
	const char *word;
	bool (*offered)(const struct session *s); /* NULL: always */
	void (*append)(struct buf *lines, const struct session *s); /* NULL: the word alone */
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

/* RFC 1870, 3. */
static void
append_size(struct buf *lines, const struct session *s)
{
	int64_t limit = s->settings->values->message_size_limit;

	(void)buf_append_text(lines, "SIZE");
	if (limit)
		(void)buf_printf(lines, " %lld", (long long)limit);
}

/* RFC 4954, 3; with an '=' for clients older than RFC 2554. */
static void
append_auth(struct buf *lines, const struct session *s)
{
	struct buf list;

	buf_init(&list, REPLY_TEXT_MAX / 2);
	auth_list(s, &list);
	(void)buf_printf(lines, "AUTH%s", buf_text(&list));
	if (s->settings->values->broken_sasl_auth_clients)
		(void)buf_printf(lines, "\nAUTH=%s", buf_text(&list) + 1);
	buf_free(&list);
}

bool
verp_offered(const struct session *s)
{
	return net_list_has(s->settings->verp_clients, &s->client);
}

/* The order in which Postfix lists them; the index is the bit in settings->hidden_keywords. */
static const struct keyword keywords[] = {
    {"PIPELINING", NULL, NULL},
    {"SIZE", NULL, append_size},
    {"VRFY", vrfy_offered, NULL},
    {"ETRN", NULL, NULL},
    {"STARTTLS", tls_is_offered, NULL},
    {"AUTH", auth_is_offered, append_auth},
    {"XVERP", verp_offered, NULL},
    {"ENHANCEDSTATUSCODES", NULL, NULL},
    {"8BITMIME", NULL, NULL},
    {"DSN", NULL, NULL},
    {"SMTPUTF8", smtputf8_offered, NULL},
    {"CHUNKING", NULL, NULL},
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

bool
keyword_is_hidden(const struct session *s, const char *keyword)
{
	return (s->settings->hidden_keywords & keywords_hidden(span_of(keyword))) != 0;
}

static void
list_keywords(struct session *s)
{
	const struct settings *set = s->settings;
	struct buf lines;

	buf_init(&lines, LINES_MAX);
	(void)buf_printf(&lines, "%s Hello %.200s [%s]", set->values->myhostname, s->helo, s->client_address);
	for (size_t i = 0; i < KEYWORD_COUNT; i++) {
		const struct keyword *k = &keywords[i];

		if ((set->hidden_keywords & (1u << i)) || (k->offered && !k->offered(s)))
			continue;
		(void)buf_append_text(&lines, "\n");
		if (k->append)
			k->append(&lines, s);
		else
			(void)buf_append_text(&lines, k->word);
	}
	reply_lines(s, 250, buf_span(&lines));
	buf_free(&lines);
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

/* What ends a word or a comment in a log line or a field would let a client write the rest of it. */
static void
make_harmless(char *name)
{
	for (; *name; name++)
		if ((unsigned char)*name <= ' ' || *name == 127 || strchr("<>()\\\";@", *name))
			*name = '?';
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
	make_harmless(s->helo);
	s->esmtp = esmtp;
	if (s->settings->values->smtpd_delay_reject) {
		greet(s);
		return;
	}
	c = check_new(s, esmtp ? "EHLO" : "HELO", helo_checked);
	c->until_rcpt = &s->helo_deferral;
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
