#include "common/map/rules.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/map/lines.h"

/* Where the reader is: the open ifs, innermost last. */
struct reader {
	struct rules *rules;
	const struct rule_syntax *syntax;
	const struct map_input *in;
	unsigned line;
	size_t open[RULES_NESTING_MAX];
	size_t depth;
	/* Depth of ifs that could not be read: what is inside them is left out, since nobody knows whom it is for. */
	size_t skipping;
};

static void
complain(const struct reader *r, const char *text)
{
	r->in->complain(r->in->path != NULL ? r->in->path : r->in->name, r->line, text, r->in->context);
}

static struct rule *
add_rule(struct reader *r, enum rule_type type, bool negated, void *pattern)
{
	struct rules *rules = r->rules;

	if (rules->count == rules->room) {
		rules->room = rules->room == 0 ? 16 : rules->room * 2;
		rules->list = mem_resize(rules->list, rules->room * sizeof(rules->list[0]));
	}
	struct rule *rule = &rules->list[rules->count++];
	*rule = (struct rule){.type = type, .negated = negated, .line = r->line, .pattern = pattern};
	return rule;
}

/* Takes any number of '!' and blanks. */
static bool
take_negation(struct span *rest)
{
	bool negated = false;

	while (rest->len > 0 && (rest->ptr[0] == '!' || ascii_is_space(rest->ptr[0]))) {
		if (rest->ptr[0] == '!')
			negated = !negated;
		*rest = span_from(*rest, 1);
	}
	return negated;
}

/* "if" or "endif" as a word of its own. */
static bool
is_word(struct span line, const char *word)
{
	size_t len = strlen(word);
	return span_starts_nocase(line, word) && (line.len == len || !ascii_is_alnum(line.ptr[len]));
}

static void
read_if(struct reader *r, struct span rest)
{
	const char *wrong = NULL;

	bool negated = take_negation(&rest);
	void *pattern = r->skipping == 0 ? r->syntax->parse(&rest, negated, &wrong) : NULL;
	if (pattern != NULL && r->depth >= RULES_NESTING_MAX) {
		wrong = "if is nested too deeply: skipping this rule";
		r->syntax->free(pattern);
		pattern = NULL;
	}
	if (pattern == NULL) {
		r->skipping++;
		if (wrong != NULL)
			complain(r, wrong);
		return;
	}
	if (text_trim(rest).len > 0)
		complain(r, "ignoring extra text after IF statement");
	r->open[r->depth++] = r->rules->count;
	(void)add_rule(r, RULE_IF, negated, pattern);
}

static void
read_endif(struct reader *r, struct span rest)
{
	if (text_trim(rest).len > 0)
		complain(r, "ignoring extra text after ENDIF");
	if (r->skipping > 0)
		r->skipping--;
	else if (r->depth == 0)
		complain(r, "ignoring ENDIF without matching IF");
	else
		r->rules->list[r->open[--r->depth]].skip_to = r->rules->count;
}

static void
read_match(struct reader *r, struct span rest)
{
	const char *wrong = NULL;

	bool negated = take_negation(&rest);
	void *pattern = r->syntax->parse(&rest, negated, &wrong);
	if (pattern == NULL) {
		complain(r, wrong);
		return;
	}
	struct span result = text_trim(rest);
	if (r->syntax->check != NULL && (wrong = r->syntax->check(pattern, negated, result)) != NULL) {
		complain(r, wrong);
		r->syntax->free(pattern);
		return;
	}
	if (result.len == 0 && r->syntax->needs_result) {
		complain(r, "no lookup result: skipping this rule");
		r->syntax->free(pattern);
		return;
	}
	if (result.len == 0)
		complain(r, "no replacement text: using empty string");
	add_rule(r, RULE_MATCH, negated, pattern)->result = mem_strndup(result.ptr, result.len);
}

static void
read_line(struct reader *r, struct span line)
{
	const char *wrong = map_line_wrong(line, true);

	if (line.len == 0)
		return;
	if (wrong != NULL)
		complain(r, wrong);
	else if (memchr(line.ptr, '\0', line.len) != NULL)
		complain(r, "NUL in line: skipping this rule");
	else if (is_word(line, "if"))
		read_if(r, text_trim(span_from(line, 2)));
	else if (is_word(line, "endif"))
		read_endif(r, span_from(line, 5));
	else if (r->rules->count >= RULES_MAX)
		complain(r, "too many rules: skipping this rule");
	else if (r->skipping == 0)
		read_match(r, line);
}

void
rules_read(
    struct rules *rules, const struct rule_syntax *syntax, const struct map_input *in, struct span text)
{
	struct reader reader = {.rules = rules, .syntax = syntax, .in = in};
	struct lines lines;
	struct span line;

	lines_begin(&lines, text);
	while (lines_next(&lines, &line)) {
		reader.line = lines.first;
		read_line(&reader, line);
	}
	lines_end(&lines);
	while (reader.depth > 0) {
		struct rule *open = &rules->list[reader.open[--reader.depth]];
		open->skip_to = rules->count;
		reader.line = open->line;
		complain(&reader, "IF has no matching ENDIF");
	}
}

struct rules *
rules_open(const struct rule_syntax *syntax, const struct map_input *in, struct error *err)
{
	struct rules *r = NULL;
	struct buf text;

	buf_init(&text, LINES_LINE_MAX);
	if (in->path != NULL) {
		size_t len;
		char *bytes = lines_load(in->path, LINES_FILE_MAX, &len, err);
		if (bytes != NULL) {
			r = mem_alloc(sizeof(*r));
			rules_read(r, syntax, in, span_make(bytes, len));
		}
		free(bytes);
	} else if (lines_inline(span_of(in->name), &text, err) == 0) {
		r = mem_alloc(sizeof(*r));
		rules_read(r, syntax, in, buf_span(&text));
	}
	buf_free(&text);
	return r;
}

void
rules_free(struct rules *r, const struct rule_syntax *syntax)
{
	for (size_t i = 0; i < r->count; i++) {
		syntax->free(r->list[i].pattern);
		free(r->list[i].result);
	}
	free(r->list);
	*r = (struct rules){0};
}
