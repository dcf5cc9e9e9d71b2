#include "common/sasl/mechanism.h"

#include "common/base/text.h"

static const struct {
	const char *name;
	bool plain, binds;
} mechanisms[SASL_MECHANISM_COUNT] = {
    [SASL_PLAIN] = {"PLAIN", true, false},
    [SASL_LOGIN] = {"LOGIN", true, false},
    [SASL_SCRAM_SHA_1] = {"SCRAM-SHA-1", false, false},
    [SASL_SCRAM_SHA_1_PLUS] = {"SCRAM-SHA-1-PLUS", false, true},
    [SASL_SCRAM_SHA_256] = {"SCRAM-SHA-256", false, false},
    [SASL_SCRAM_SHA_256_PLUS] = {"SCRAM-SHA-256-PLUS", false, true},
    [SASL_EXTERNAL] = {"EXTERNAL", false, false},
    [SASL_OAUTHBEARER] = {"OAUTHBEARER", true, false},
    [SASL_XOAUTH2] = {"XOAUTH2", true, false},
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

bool
sasl_mechanism_is_plain(enum sasl_mechanism mechanism)
{
	return mechanisms[mechanism].plain;
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
