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
#include "common/map/lines.h"
#include "common/map/rules.h"

enum { GROUPS_MAX = 99, PATTERN_MAX = 10000 };

struct pattern {
	regex_t match;
	regex_t unless; /* "/a/!/b/": and not this */
	bool has_unless;
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

/* One "/.../flags" at the start of *rest: any character that is not alphanumeric may stand for the slash. */
static const char *
one_read(struct span *rest, regex_t *regex)
{
	char text[PATTERN_MAX + 1];
	size_t i, len = 0;
	int flags;

	if (rest->len == 0)
		return "no regexp: skipping this rule";
	char delimiter = rest->ptr[0];
	if (ascii_is_alnum(delimiter) || delimiter == '\\')
		return "regexp: pattern needs delimiters (/pattern/): skipping this rule";
	for (i = 1; i < rest->len && rest->ptr[i] != delimiter; i++) {
		if (len + 2 >= sizeof(text))
			return "regexp is too long: skipping this rule";
		if (rest->ptr[i] == '\\' && i + 1 < rest->len) {
			if (rest->ptr[i + 1] != delimiter)
				text[len++] = '\\';
			i++;
		}
		text[len++] = rest->ptr[i];
	}
	if (i >= rest->len)
		return "no closing regexp delimiter: skipping this rule";
	if (len == 0)
		return "empty regexp: skipping this rule";
	text[len] = '\0';
	*rest = span_from(*rest, i + 1);
	const char *wrong = flags_read(rest, &flags);
	if (wrong != NULL)
		return wrong;
	return regcomp(regex, text, flags) == 0 ? NULL : "bad regexp: skipping this rule";
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
	if (!negated && rest->len > 1 && rest->ptr[0] == '!') {
		*rest = span_from(*rest, 1);
		*wrong = one_read(rest, &p->unless);
		p->has_unless = *wrong == NULL;
		if (*wrong != NULL) {
			regfree(&p->match);
			free(p);
			return NULL;
		}
	}
	return p;
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

/* A dollar and what belongs to it at text[*at]: the group's number, -1 for "$$", -2 if it is none. Moves *at on. */
static int
group_read(struct span text, size_t *at)
{
	size_t i = *at + 1;
	char open = '\0';
	int group = 0;

	if (i < text.len && text.ptr[i] == '$') {
		*at = i + 1;
		return -1;
	}
	if (i < text.len && (text.ptr[i] == '{' || text.ptr[i] == '('))
		open = text.ptr[i++];
	size_t digits = i;
	for (; i < text.len && ascii_is_digit(text.ptr[i]) && group <= GROUPS_MAX; i++)
		group = group * 10 + (text.ptr[i] - '0');
	if (i == digits)
		return -2;
	if (open != '\0' && (i >= text.len || text.ptr[i++] != (open == '{' ? '}' : ')')))
		return -2;
	*at = i;
	return group;
}

static const char *
regexp_check(const void *pattern, bool negated, struct span result)
{
	const struct pattern *p = pattern;

	for (size_t i = 0; i < result.len;) {
		if (result.ptr[i] != '$') {
			i++;
			continue;
		}
		int group = group_read(result, &i);
		if (group == -2)
			return "bad $number in replacement text: skipping this rule";
		if (group >= 0 && negated)
			return "$number found in negative match replacement text: skipping this rule";
		if (group > GROUPS_MAX || group > (int)p->match.re_nsub)
			return "out of range replacement index: skipping this rule";
	}
	return NULL;
}

static const struct rule_syntax syntax = {.parse = regexp_parse, .check = regexp_check, .free = regexp_free};

static void *
regexp_open(const struct map_input *in, struct error *err)
{
	return rules_open(&syntax, in, err);
}

static void
substitute(struct buf *out, const char *result, const char *key, const regmatch_t *groups)
{
	struct span text = span_of(result);

	for (size_t i = 0; i < text.len;) {
		if (text.ptr[i] != '$') {
			(void)buf_append(out, &text.ptr[i++], 1);
			continue;
		}
		int group = group_read(text, &i);
		if (group == -1)
			(void)buf_append(out, "$", 1);
		else if (group >= 0 && groups[group].rm_so >= 0)
			(void)buf_append(out, key + groups[group].rm_so,
			    (size_t)(groups[group].rm_eo - groups[group].rm_so));
	}
}

/* 1 if it matches, 0 if not, -1 if the matcher failed (memory). */
static int
pattern_hits(const struct pattern *p, const char *key, regmatch_t *groups)
{
	int status = regexec(&p->match, key, GROUPS_MAX + 1, groups, 0);

	if (status == 0 && p->has_unless) {
		status = regexec(&p->unless, key, 0, NULL, 0);
		if (status == 0)
			return 0;
		return status == REG_NOMATCH ? 1 : -1;
	}
	return status == 0 ? 1 : status == REG_NOMATCH ? 0 : -1;
}

static enum lookup_status
regexp_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	const struct rules *r = table;
	char text[MAP_KEY_MAX + 1];
	regmatch_t groups[GROUPS_MAX + 1];

	if (!span_copy(key, text, sizeof(text)))
		return LOOKUP_NOT_FOUND;
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
			substitute(hit->value, rule->result, text, groups);
			hit->line = rule->line;
			return LOOKUP_FOUND;
		}
		i++;
	}
	return LOOKUP_NOT_FOUND;
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
    .pattern = true,
    .open = regexp_open,
    .lookup = regexp_lookup,
    .close = regexp_close,
};
