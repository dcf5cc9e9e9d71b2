/*
 * rules: what cidr and regexp tables share: patterns asked one after the other, "!pattern", if ... endif.
 *
 * A table is a flat list. An if whose condition fails jumps behind its endif, so that nesting costs nothing.
 */
#ifndef POSTERN_MAP_RULES_H
#define POSTERN_MAP_RULES_H

#include "common/base/span.h"
#include "common/map/kinds.h"

enum { RULES_MAX = 1000000, RULES_NESTING_MAX = 100 };

enum rule_type { RULE_MATCH, RULE_IF };

struct rule {
	enum rule_type type;
	bool negated;
	unsigned line;
	size_t skip_to; /* RULE_IF: the rule to go on with when the condition fails */
	void *pattern; /* the kind's */
	char *result; /* RULE_MATCH */
};

struct rules {
	struct rule *list;
	size_t count;
	size_t room;
};

/* How a kind reads and tests its patterns. */
struct rule_syntax {
	/*
	 * Parses a pattern at the start of *rest and moves *rest behind it. NULL with what is wrong in *wrong (the rule
	 * is then skipped). An if is negated by the rules' reader.
	 */
	void *(*parse)(struct span *rest, bool negated, const char **wrong);
	/* Does result fit the pattern? NULL, or what is wrong (the rule is then skipped). May be NULL. */
	const char *(*check)(const void *pattern, bool negated, struct span result);
	void (*free)(void *pattern);
	bool needs_result; /* a rule without one is skipped; else its result is the empty string */
};

/* Reads a table's text. Lines that make no sense are told of and left out. */
void rules_read(
    struct rules *r, const struct rule_syntax *syntax, const struct map_input *in, struct span text);

/* The same with the text of in's file, or with the rules that stand in its name. NULL with err. */
struct rules *rules_open(const struct rule_syntax *syntax, const struct map_input *in, struct error *err);
void rules_free(struct rules *r, const struct rule_syntax *syntax);

#endif
