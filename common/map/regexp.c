/*
 * regexp: POSIX regular expressions, asked in order: regexp_table(5).
 *
 * A rule is "/pattern/flags result", "!/pattern/flags result" or "/pattern/flags!/other/flags result". $1, ${1} and
 * $(1) in the result stand for what a group matched, $$ for a dollar.
 */
#include <regex.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/map/patterns.h"
#include "common/map/rules.h"

/*
 * The C library's matcher has no limit of its own, and some patterns take the square of a text's length: so much of a
 * text is looked at. Whoever needs more has pcre tables.
 */
enum { REGEXP_TEXT_MAX = 8192 };

struct pattern {
	regex_t match;
	regex_t unless; /* "/a/!/b/": and not this */
	bool has_unless;
	bool negated; /* "!/a/!/b/": neither */
};

static const char *
flags_read(struct span *rest, int *flags)
{
	*flags = REG_EXTENDED | REG_ICASE;
	for (; rest->len > 0 && ascii_is_alpha(rest->ptr[0]); *rest = span_from(*rest, 1)) {
		switch (rest->ptr[0]) {
		case 'i':
			*flags ^= REG_ICASE;
			break;
		case 'm':
			*flags ^= REG_NEWLINE;
			break;
		case 'x':
			*flags ^= REG_EXTENDED;
			break;
		default:
			return "unknown regexp option: skipping this rule";
		}
	}
	return NULL;
}

/* One "/.../flags" at the start of *rest. */
static const char *
one_read(struct span *rest, regex_t *regex)
{
	char text[PATTERN_MAX + 1];
	int flags;

	const char *wrong = pattern_take(rest, text);
	if (wrong == NULL)
		wrong = flags_read(rest, &flags);
	if (wrong != NULL)
		return wrong;
	return regcomp(regex, text, flags) == 0 ? NULL : "bad regexp: skipping this rule";
}

static void
regexp_free(void *pattern)
{
	struct pattern *p = pattern;

	regfree(&p->match);
	if (p->has_unless)
		regfree(&p->unless);
	free(p);
}

static void *
regexp_parse(struct span *rest, bool negated, const char **wrong)
{
	struct pattern *p = mem_alloc(sizeof(*p));

	*wrong = one_read(rest, &p->match);
	if (*wrong != NULL) {
		free(p);
		return NULL;
	}
	p->negated = negated;
	if (rest->len > 1 && rest->ptr[0] == '!') {
		*rest = span_from(*rest, 1);
		*wrong = one_read(rest, &p->unless);
		p->has_unless = *wrong == NULL;
	}
	if (*wrong == NULL && !pattern_is_whole(*rest))
		*wrong = "unknown regexp option: skipping this rule";
	if (*wrong == NULL)
		return p;
	regexp_free(p);
	return NULL;
}

static const char *
regexp_check(const void *pattern, bool negated, struct span result)
{
	const struct pattern *p = pattern;
	return replacement_check(result, negated, (unsigned)p->match.re_nsub);
}

static const struct rule_syntax syntax = {.parse = regexp_parse, .check = regexp_check, .free = regexp_free};

static void *
regexp_open(const struct map_input *in, struct error *err)
{
	return rules_open(&syntax, in, err);
}

/* 1 if it matches, 0 if not, -1 if the matcher failed (memory). A rule that is negated turns it around. */
static int
pattern_hits(const struct pattern *p, const char *key, regmatch_t *groups)
{
	int status = regexec(&p->match, key, PATTERN_GROUPS_MAX + 1, groups, 0);

	if (p->has_unless && status == (p->negated ? REG_NOMATCH : 0)) {
		status = regexec(&p->unless, key, 0, NULL, 0);
		if (status == 0)
			return p->negated ? 1 : 0;
		return status == REG_NOMATCH ? !p->negated : -1;
	}
	return status == 0 ? 1 : status == REG_NOMATCH ? 0 : -1;
}

static void
result_make(const struct rule *rule, const char *key, const regmatch_t *groups, struct map_hit *hit)
{
	struct pattern_group places[PATTERN_GROUPS_MAX + 1];

	for (size_t i = 0; i <= PATTERN_GROUPS_MAX; i++)
		places[i] = (struct pattern_group){groups[i].rm_so, groups[i].rm_eo};
	replacement_expand(rule->result, key, places, hit);
}

static enum lookup_status
regexp_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	const struct rules *r = table;
	char text[REGEXP_TEXT_MAX + 1];
	regmatch_t groups[PATTERN_GROUPS_MAX + 1];

	(void)span_copy(key, text, sizeof(text));
	for (size_t i = 0; i < r->count;) {
		const struct rule *rule = &r->list[i];
		int status = pattern_hits(rule->pattern, text, groups);
		if (status < 0) {
			error_set(err, "line %u: the matcher failed", rule->line);
			return LOOKUP_TEMPORARY;
		}
		bool hits = (status == 1) != rule->negated;
		if (rule->type == RULE_IF) {
			i = hits ? i + 1 : rule->skip_to;
			continue;
		}
		if (hits) {
			result_make(rule, text, groups, hit);
			hit->line = rule->line;
			return LOOKUP_FOUND;
		}
		i++;
	}
	return LOOKUP_NOT_FOUND;
}

static const struct rules *
regexp_rules(const void *table)
{
	return table;
}

static void
regexp_close(void *table)
{
	rules_free(table, &syntax);
	free(table);
}

const struct map_kind map_kind_regexp = {
    .name = "regexp",
    .suffix = "",
    .keys = MAP_KEYS_PATTERN,
    .texts = true,
    .text = true,
    .inline_rules = true,
    .open = regexp_open,
    .lookup = regexp_lookup,
    .close = regexp_close,
    .rules = regexp_rules,
};
