#include "common/sasl/mechanism.h"

#include "common/base/text.h"

static const struct {
	const char *name;
	unsigned properties;
	bool binds;
} mechanisms[SASL_MECHANISM_COUNT] = {
    [SASL_PLAIN] = {"PLAIN", SASL_PLAINTEXT, false},
    [SASL_LOGIN] = {"LOGIN", SASL_PLAINTEXT, false},
    [SASL_SCRAM_SHA_1] = {"SCRAM-SHA-1", SASL_MUTUAL_AUTH, false},
    [SASL_SCRAM_SHA_1_PLUS] = {"SCRAM-SHA-1-PLUS", SASL_MUTUAL_AUTH, true},
    [SASL_SCRAM_SHA_256] = {"SCRAM-SHA-256", SASL_MUTUAL_AUTH, false},
    [SASL_SCRAM_SHA_256_PLUS] = {"SCRAM-SHA-256-PLUS", SASL_MUTUAL_AUTH, true},
    [SASL_EXTERNAL] = {"EXTERNAL", 0, false},
    [SASL_OAUTHBEARER] = {"OAUTHBEARER", SASL_PLAINTEXT | SASL_ACTIVE, false},
    [SASL_XOAUTH2] = {"XOAUTH2", SASL_PLAINTEXT | SASL_ACTIVE, false},
};

enum sasl_mechanism
sasl_mechanism_find(struct span name)
{
	unsigned i = 0;

	while (i < SASL_MECHANISM_COUNT && !span_is_nocase(name, mechanisms[i].name))
		i++;
	return (enum sasl_mechanism)i;
}

const char *
sasl_mechanism_name(enum sasl_mechanism mechanism)
{
	return mechanisms[mechanism].name;
}

unsigned
sasl_mechanism_properties(enum sasl_mechanism mechanism)
{
	return mechanisms[mechanism].properties;
}

int
sasl_security_parse(struct span list, struct sasl_security *security, struct span *unknown)
{
	static const struct {
		const char *word;
		unsigned without, with;
	} words[] = {{"noplaintext", SASL_PLAINTEXT, 0}, {"noactive", SASL_ACTIVE, 0},
	    {"nodictionary", SASL_DICTIONARY, 0}, {"noanonymous", SASL_ANONYMOUS, 0},
	    {"forward_secrecy", 0, SASL_FORWARD_SECRECY}, {"mutual_auth", 0, SASL_MUTUAL_AUTH}};
	const size_t count = sizeof(words) / sizeof(words[0]);
	struct span word;
	size_t i;

	*security = (struct sasl_security){0, 0};
	while (span_next_word(&list, ", \t\r\n", &word)) {
		for (i = 0; i < count && !span_is_nocase(word, words[i].word); i++)
			;
		if (i == count) {
			*unknown = word;
			return -1;
		}
		security->without |= words[i].without;
		security->with |= words[i].with;
	}
	return 0;
}

bool
sasl_security_allows(const struct sasl_security *security, unsigned properties)
{
	return !(properties & security->without) && (properties & security->with) == security->with;
}

bool
sasl_mechanism_bears(enum sasl_mechanism mechanism)
{
	return mechanism == SASL_OAUTHBEARER || mechanism == SASL_XOAUTH2;
}

bool
sasl_mechanism_binds(enum sasl_mechanism mechanism)
{
	return mechanisms[mechanism].binds;
}

bool
sasl_mechanism_name_valid(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '_')
			return false;
	return name.len > 0 && name.len <= SASL_NAME_MAX;
}
