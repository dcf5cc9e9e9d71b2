#include "tools/check_policies.h"

#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "delivery/smtp/tls_policy.h"

enum { TOLD_MAX = 20 };

struct policies {
	const char *table;
	const struct conf_values *values;
	bool lmtp;
	size_t bad;
};

/* What the policy logs is what is printed. */
static void
ignore_line(enum log_level level, const char *ident, const char *text, size_t len, void *context)
{
	(void)level;
	(void)ident;
	(void)text;
	(void)len;
	(void)context;
}

static bool
look_at(struct span key, struct span value, void *context)
{
	struct policies *p = context;
	struct tls_policy *policy =
	    tls_policy_new(p->values, p->lmtp, key, key, value.ptr ? value : SPAN_LIT(""));

	if (policy->level == TLS_LEVEL_INVALID && p->bad++ < TOLD_MAX)
		(void)printf("%s: mail would wait: %s\n", p->table, policy->why.text);
	tls_policy_free(&policy);
	return true;
}

size_t
check_policies(struct map *map, const char *table, const struct conf_values *v, bool lmtp)
{
	struct policies p = {.table = table, .values = v, .lmtp = lmtp};
	struct error ignored;

	log_set_sink(ignore_line, NULL);
	/* Databases and patterns are not listed. */
	(void)map_each(map, look_at, &p, &ignored);
	log_set_sink(NULL, NULL);
	if (p.bad > TOLD_MAX)
		(void)printf("%s: and more of that kind\n", table);
	return p.bad;
}
