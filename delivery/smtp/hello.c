#include "delivery/smtp/hello.h"

#include <string.h>

#include "common/base/text.h"
#include "delivery/smtp/reply.h"
#include "delivery/smtp/sasl_choice.h"

static const struct {
	const char *keyword;
	unsigned offer;
} keywords[] = {
    {"PIPELINING", OFFERS_PIPELINING},
    {"SIZE", OFFERS_SIZE},
    {"8BITMIME", OFFERS_8BITMIME},
    {"SMTPUTF8", OFFERS_SMTPUTF8},
    {"DSN", OFFERS_DSN},
    {"STARTTLS", OFFERS_STARTTLS},
    {"AUTH", OFFERS_AUTH},
    {"CHUNKING", OFFERS_CHUNKING},
};

static bool
is_discarded(struct span discard, const char *keyword)
{
	struct span word;

	while (span_next_word(&discard, ", \t", &word))
		if (span_is_nocase(word, keyword))
			return true;
	return false;
}

void
capabilities_parse(struct capabilities *c, const struct reply *r, struct span discard, struct span *domain)
{
	struct span rest = span_make(r->text, r->len), line, word;

	memset(c, 0, sizeof *c);
	*domain = (struct span){NULL, 0};
	if (reply_next_line(&rest, &line))
		span_next_word(&line, " \t", domain);
	while (reply_next_line(&rest, &line)) {
		/* "AUTH=LOGIN" was once written for "AUTH LOGIN". */
		if (!span_next_word(&line, " \t=", &word))
			continue;
		for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
			if (span_is_nocase(word, keywords[i].keyword) &&
			    !is_discarded(discard, keywords[i].keyword))
				c->offers |= keywords[i].offer;
		if (span_is_nocase(word, "AUTH"))
			c->mechanisms |= sasl_choice_parse(line);
		/* SIZE 0 and a number that is none are no limit (RFC 1870, 4); "SIZE=1000" is seen, too. */
		if (span_is_nocase(word, "SIZE") && (c->offers & OFFERS_SIZE) &&
		    span_next_word(&line, " \t=", &word))
			number_parse(word, 1, INT64_MAX, &c->size_limit);
	}
}
