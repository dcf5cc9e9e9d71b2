/*
 * values: one scope's settings, expanded and parsed. Private to common/conf and tools/.
 *
 * A struct conf_values that anyone holds is the first member of a struct value_set.
 */
#ifndef POSTERN_CONF_VALUES_H
#define POSTERN_CONF_VALUES_H

#include <stdbool.h>

#include "common/conf/conf.h"
#include "common/conf/schema.h"
#include "common/conf/source.h"

/* A value that has no row of its own. */
struct extra_value {
	const char *name;
	const char *text;
};

struct value_set {
	struct conf_values values; /* first */
	const char **texts; /* of each row of param_table, expanded */
	bool *given; /* of each row: the scope itself sets it */
	struct extra_value *extras;
	size_t extra_count;
};

static inline const struct value_set *
value_set_of(const struct conf_values *v)
{
	return (const struct value_set *)(const void *)v;
}

/*
 * Values of a scope, in arena. Mistakes go to the source's report; a bad value gives way to the default. Returns
 * NULL only at the arena's limit.
 */
struct value_set *values_build(
    struct source *s, const struct scope *scope, bool stressed, struct arena *arena);

/* Complaints about names that mean nothing; call it when all values were built. */
void values_check_names(struct source *s, const struct conf *c);

/* Complaints about what a section sets in vain; the same. */
void values_check_sections(struct source *s);

/* Complaints about words of restriction lists; values_check_safety() calls it. */
void values_check_restrictions(struct source *s, const struct scope *scope, const struct value_set *set);

/* The same about parameters of authentication. */
void values_check_sasl(struct source *s, const struct scope *scope, const struct value_set *set);

/* The same about parameters of TLS. */
void values_check_tls(struct source *s, const struct scope *scope, const struct conf_values *v);

/* The same about texts of which only some mean anything: addresses, ports, words. */
void values_check_texts(struct source *s, const struct scope *scope, const struct conf_values *v);

/* Where the scope, or the global one, sets it; 0: nowhere. */
unsigned setting_line(const struct source *s, const struct scope *scope, const char *name);

/* Complaints about values that are right one by one but make an unsafe host. */
void values_check_safety(struct source *s, const struct scope *scope, const struct value_set *set);

#endif
