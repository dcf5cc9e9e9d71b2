#include "delivery/smtp/sasl_choice.h"

#include "common/conf/conf.h"

/* The best first. EXTERNAL is none of them: it needs no login. */
static const enum sasl_mechanism order[] = {SASL_SCRAM_SHA_256_PLUS, SASL_SCRAM_SHA_1_PLUS,
    SASL_SCRAM_SHA_256, SASL_SCRAM_SHA_1, SASL_OAUTHBEARER, SASL_XOAUTH2, SASL_PLAIN, SASL_LOGIN};

enum { ORDER_COUNT = sizeof(order) / sizeof(order[0]) };

unsigned
sasl_choice_parse(struct span words)
{
	unsigned offered = 0;
	struct span word;

	while (span_next_word(&words, " \t", &word)) {
		enum sasl_mechanism m = sasl_mechanism_find(word);

		if (m != SASL_MECHANISM_COUNT)
			offered |= 1U << m;
	}
	return offered;
}

bool
sasl_choice_binds(unsigned offered)
{
	return offered & (1U << SASL_SCRAM_SHA_256_PLUS | 1U << SASL_SCRAM_SHA_1_PLUS);
}

static bool
is_bearer(enum sasl_mechanism m)
{
	return m == SASL_OAUTHBEARER || m == SASL_XOAUTH2;
}

/* A list of names: the first that fits counts, with '!' for "not"; "static:..." fits all. No list: all. */
static bool
passes(const char *filter, enum sasl_mechanism m)
{
	struct span rest = span_of(filter), word;

	if (filter[0] == '\0')
		return true;
	while (conf_list_next(&rest, &word)) {
		bool wanted = true;

		for (; word.len && word.ptr[0] == '!'; word = span_from(word, 1))
			wanted = !wanted;
		if (span_is_nocase(word, sasl_mechanism_name(m)) || span_starts_nocase(word, "static:"))
			return wanted;
	}
	return false;
}

const char *
sasl_choice_make(unsigned offered, const struct sasl_family *f, const struct sasl_channel *channel,
    bool bearer, enum sasl_mechanism *chosen)
{
	const char *options = channel->verified ? f->tls_verified_options
			      : channel->tls    ? f->tls_options
						: f->options;
	struct sasl_security security;
	const char *fault = "";
	struct span unknown;

	if (sasl_security_parse(span_of(options), &security, &unknown) < 0)
		return "a word in smtp_sasl_security_options or its kin is unknown";
	if (channel->tls_given_up)
		security.without |= SASL_PLAINTEXT;
	for (size_t i = 0; i < ORDER_COUNT; i++) {
		enum sasl_mechanism m = order[i];

		if (!(offered & 1U << m) || is_bearer(m) != bearer || !passes(f->filter, m))
			continue;
		if (sasl_mechanism_binds(m) && !channel->binding_name)
			continue;
		if (sasl_security_allows(&security, sasl_mechanism_properties(m))) {
			*chosen = m;
			return NULL;
		}
		fault = "no mechanism available";
	}
	return fault;
}
