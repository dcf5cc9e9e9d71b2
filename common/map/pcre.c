/*
 * pcre: Perl-compatible regular expressions, asked in order: pcre_table(5).
 *
 * Patterns are the administrator's, subjects are strangers': each match has a limit of steps, depth and memory, and
 * one that reaches it is trouble (LOOKUP_TEMPORARY), neither a hit nor a miss. Compiled to machine code where memory
 * may be made executable, which is not so inside a sandbox: there the interpreter does the same.
 */
#include "config.h"

#ifdef HAVE_PCRE

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/map/client_library.h"
#include "common/map/patterns.h"
#include "common/map/rules.h"

#define SYMBOLS(S)                                                                                           \
	S(pcre2_compile_8)                                                                                   \
	S(pcre2_code_free_8)                                                                                 \
	S(pcre2_jit_compile_8)                                                                               \
	S(pcre2_pattern_info_8)                                                                              \
	S(pcre2_match_8)                                                                                     \
	S(pcre2_match_data_create_8)                                                                         \
	S(pcre2_match_data_free_8)                                                                           \
	S(pcre2_get_ovector_pointer_8)                                                                       \
	S(pcre2_match_context_create_8)                                                                      \
	S(pcre2_match_context_free_8)                                                                        \
	S(pcre2_set_match_limit_8)                                                                           \
	S(pcre2_set_depth_limit_8)                                                                           \
	S(pcre2_set_heap_limit_8)                                                                            \
	S(pcre2_get_error_message_8)
#define MEMBER(function) __typeof__(function) *function;
#define ROW(function) {#function, (void **)&lib.function},

static struct {
	SYMBOLS(MEMBER)
} lib;
static const struct client_symbol symbols[] = {SYMBOLS(ROW){NULL, NULL}};

enum { STEPS_MAX = 1000000, DEPTH_MAX = 20000, HEAP_KIB_MAX = 20000 };

struct patterns {
	struct rules *rules;
	pcre2_match_data_8 *match;
	pcre2_match_context_8 *limits;
};

struct pattern {
	pcre2_code_8 *code;
	unsigned groups;
};

static int
pcre_load(struct error *err)
{
	static int loaded;
	return client_library_load(PCRE_SONAME, symbols, &loaded, err);
}

/* pcre_table(5): each letter switches its flag to the other state. */
static const char *
flags_read(struct span *rest, uint32_t *options)
{
	static const struct {
		char letter;
		uint32_t option;
	} flags[] = {{'i', PCRE2_CASELESS}, {'m', PCRE2_MULTILINE}, {'s', PCRE2_DOTALL},
	    {'x', PCRE2_EXTENDED}, {'A', PCRE2_ANCHORED}, {'E', PCRE2_DOLLAR_ENDONLY}, {'U', PCRE2_UNGREEDY},
	    {'X', 0}};

	*options = PCRE2_CASELESS | PCRE2_DOTALL;
	for (; rest->len > 0 && ascii_is_alpha(rest->ptr[0]); *rest = span_from(*rest, 1)) {
		size_t i, count = sizeof(flags) / sizeof(flags[0]);
		for (i = 0; i < count && flags[i].letter != rest->ptr[0]; i++)
			;
		if (i == count)
			return "unknown regexp option: skipping this rule";
		*options ^= flags[i].option;
	}
	return pattern_is_whole(*rest) ? NULL : "unknown regexp option: skipping this rule";
}

static void *
pcre_parse(struct span *rest, bool negated, const char **wrong)
{
	static _Thread_local char told[300];
	char text[PATTERN_MAX + 1], reason[200];
	uint32_t options, groups = 0;
	size_t offset;
	int number;

	(void)negated;
	*wrong = pattern_take(rest, text);
	if (*wrong == NULL)
		*wrong = flags_read(rest, &options);
	if (*wrong != NULL)
		return NULL;
	if (text_is_8bit(span_of(text)))
		options |= PCRE2_UTF;
	pcre2_code_8 *code = lib.pcre2_compile_8(
	    (const unsigned char *)text, PCRE2_ZERO_TERMINATED, options, &number, &offset, NULL);
	if (code == NULL) {
		(void)lib.pcre2_get_error_message_8(number, (unsigned char *)reason, sizeof(reason));
		(void)snprintf(told, sizeof(told), "error in regexp at offset %zu: %s: skipping this rule",
		    offset, reason);
		*wrong = told;
		return NULL;
	}
	(void)lib.pcre2_jit_compile_8(code, PCRE2_JIT_COMPLETE);
	(void)lib.pcre2_pattern_info_8(code, PCRE2_INFO_CAPTURECOUNT, &groups);
	struct pattern *p = mem_alloc(sizeof(*p));
	p->code = code;
	p->groups = groups;
	return p;
}

static void
pcre_free(void *pattern)
{
	struct pattern *p = pattern;

	lib.pcre2_code_free_8(p->code);
	free(p);
}

static const char *
pcre_check(const void *pattern, bool negated, struct span result)
{
	const struct pattern *p = pattern;
	return replacement_check(result, negated, p->groups);
}

static const struct rule_syntax syntax = {.parse = pcre_parse, .check = pcre_check, .free = pcre_free};

static const struct rules *
pcre_rules(const void *table)
{
	return ((const struct patterns *)table)->rules;
}

static void
pcre_close(void *table)
{
	struct patterns *p = table;

	rules_free(p->rules, &syntax);
	free(p->rules);
	lib.pcre2_match_data_free_8(p->match);
	lib.pcre2_match_context_free_8(p->limits);
	free(p);
}

static void *
pcre_open(const struct map_input *in, struct error *err)
{
	if (pcre_load(err) < 0)
		return NULL;
	struct rules *rules = rules_open(&syntax, in, err);
	if (rules == NULL)
		return NULL;
	struct patterns *p = mem_alloc(sizeof(*p));
	p->rules = rules;
	p->match = lib.pcre2_match_data_create_8(PATTERN_GROUPS_MAX + 1, NULL);
	p->limits = lib.pcre2_match_context_create_8(NULL);
	if (p->match == NULL || p->limits == NULL)
		panic("out of memory");
	(void)lib.pcre2_set_match_limit_8(p->limits, STEPS_MAX);
	(void)lib.pcre2_set_depth_limit_8(p->limits, DEPTH_MAX);
	(void)lib.pcre2_set_heap_limit_8(p->limits, HEAP_KIB_MAX);
	return p;
}

/* 1 if it matches, 0 if not, a negative number of PCRE2 if it could not be found out. */
static int
pattern_hits(const struct patterns *p, const struct pattern *pattern, struct span key)
{
	const unsigned char *subject = (const unsigned char *)key.ptr;
	int got = lib.pcre2_match_8(pattern->code, subject, key.len, 0, 0, p->match, p->limits);

	if (got == PCRE2_ERROR_JIT_STACKLIMIT)
		got =
		    lib.pcre2_match_8(pattern->code, subject, key.len, 0, PCRE2_NO_JIT, p->match, p->limits);
	/* A subject that is no UTF-8 cannot match a pattern that has such letters. */
	if (got == PCRE2_ERROR_NOMATCH || (got <= PCRE2_ERROR_UTF8_ERR1 && got >= PCRE2_ERROR_UTF8_ERR21))
		return 0;
	return got >= 0 ? 1 : got;
}

static void
result_make(const struct patterns *p, const struct rule *rule, const char *key, struct map_hit *hit)
{
	const struct pattern *pattern = rule->pattern;
	const size_t *ends = lib.pcre2_get_ovector_pointer_8(p->match);
	struct pattern_group groups[PATTERN_GROUPS_MAX + 1];

	for (unsigned i = 0; i <= PATTERN_GROUPS_MAX; i++) {
		/* \K may put the start behind the end. */
		bool set = i <= pattern->groups && !rule->negated && ends[2 * (size_t)i] != PCRE2_UNSET &&
			   ends[2 * (size_t)i] <= ends[2 * (size_t)i + 1];
		groups[i] = set ? (struct pattern_group){(ptrdiff_t)ends[2 * (size_t)i],
				      (ptrdiff_t)ends[2 * (size_t)i + 1]}
				: (struct pattern_group){-1, -1};
	}
	replacement_expand(rule->result, key, groups, hit);
}

static enum lookup_status
pcre_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	const struct patterns *p = table;
	char reason[200];

	for (size_t i = 0; i < p->rules->count;) {
		const struct rule *rule = &p->rules->list[i];
		int status = pattern_hits(p, rule->pattern, key);
		if (status < 0) {
			(void)lib.pcre2_get_error_message_8(status, (unsigned char *)reason, sizeof(reason));
			error_set(err, "line %u: %s", rule->line, reason);
			return LOOKUP_TEMPORARY;
		}
		bool hits = (status == 1) != rule->negated;
		if (rule->type == RULE_IF) {
			i = hits ? i + 1 : rule->skip_to;
			continue;
		}
		if (hits) {
			result_make(p, rule, key.ptr, hit);
			hit->line = rule->line;
			return LOOKUP_FOUND;
		}
		i++;
	}
	return LOOKUP_NOT_FOUND;
}

const struct map_kind map_kind_pcre = {
    .name = "pcre",
    .suffix = "",
    .keys = MAP_KEYS_PATTERN,
    .texts = true,
    .text = true,
    .inline_rules = true,
    .needs = MAP_LIBRARY_PCRE,
    .open = pcre_open,
    .lookup = pcre_lookup,
    .close = pcre_close,
    .rules = pcre_rules,
    .preload = pcre_load,
};

#endif
