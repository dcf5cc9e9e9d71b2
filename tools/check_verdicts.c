#include "tools/check_verdicts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/table.h"
#include "common/base/text.h"
#include "common/mail/check_action.h"
#include "common/map/entries.h"
#include "common/map/lines.h"
#include "common/map/map.h"
#include "common/map/mentions.h"
#include "tools/check.h"

enum { TABLES_MAX = 10000, SHOWN_MAX = 60, TOLD_MAX = 20 };

static const struct {
	const char *name;
	enum check_need needs;
} actions[] = {
#define ACTION(name, function, needs) {#name, CHECK_NEEDS_##needs},
#include "common/conf/access_actions.def"
#undef ACTION
};

static const struct {
	const char *name;
	bool takes_argument;
} restrictions[] = {
#define RESTRICTION(name, takes_argument, function, detail) {#name, takes_argument},
#include "common/conf/restrictions.def"
#undef RESTRICTION
};

struct verdicts {
	const struct conf *conf;
	struct table *seen;
	const char *table, *parameter, *path;
	char *text; /* that the table was made of; NULL: there is none */
	size_t text_len, told, bad;
};

static bool
is_class(const struct conf *c, struct span word)
{
	char name[CONF_NAME_MAX + 1];

	if (!span_copy(word, name, sizeof(name)))
		return false;
	if (conf_list_has(c->values->smtpd_restriction_classes, name))
		return true;
	for (size_t i = 0; i < c->section_count; i++)
		if (conf_list_has(c->sections[i].values->smtpd_restriction_classes, name))
			return true;
	return false;
}

static const char *
wrong_restrictions(const struct conf *c, struct span text)
{
	struct span word, argument;

	while (conf_list_next(&text, &word)) {
		size_t i = 0, end = sizeof(restrictions) / sizeof(restrictions[0]);

		while (i < end && !span_is_nocase(word, restrictions[i].name))
			i++;
		if (i == end && !is_class(c, word) && span_find(word, ':') <= 0)
			return "neither an action nor a restriction";
		if (i < end && restrictions[i].takes_argument && !conf_list_next(&text, &argument))
			return "a restriction without its table";
	}
	return NULL;
}

static bool
is_number(struct span word)
{
	uint64_t ignored;

	return number_parse(word, 0, UINT64_MAX, &ignored) == 0;
}

/* As smtpd/access.c reads it. What a pattern will put in for $1 is not known here. */
static const char *
wrong(const struct conf *c, struct span value)
{
	struct span rest = span_trim(value), word;

	if (!span_next_word(&rest, " \t\r\n", &word) || span_find(word, '$') >= 0)
		return NULL;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (span_is_nocase(word, actions[i].name))
			return span_find(rest, '$') >= 0
				   ? NULL
				   : check_need_missing(actions[i].needs, false, span_trim(rest));
	return is_number(word) ? NULL : wrong_restrictions(c, span_trim(value));
}

static void
tell(struct verdicts *v, unsigned line, struct span key, struct span value, const char *trouble)
{
	v->bad++;
	if (v->told++ >= TOLD_MAX)
		return;
	if (line > 0)
		(void)printf("%s:%u: ", v->path, line);
	else
		(void)printf("%s: ", v->table);
	(void)printf("%s: ", v->parameter);
	if (key.len > 0)
		(void)printf("%.*s: ", SPAN_ARG(span_sub(key, 0, SHOWN_MAX)));
	(void)printf("\"%.*s\": %s\n", SPAN_ARG(span_sub(value, 0, SHOWN_MAX)), trouble);
}

static void
look_at_rule(unsigned line, struct span result, void *context)
{
	struct verdicts *v = context;
	const char *trouble = wrong(v->conf, result);

	if (trouble != NULL)
		tell(v, line, span_make("", 0), result, trouble);
}

/* 0: not in the text, or not with this value any more. */
static unsigned
line_of(const struct verdicts *v, struct span key, struct span value)
{
	struct span line, its_key, its_value;
	struct lines all;
	unsigned found = 0;

	if (v->text == NULL)
		return 0;
	lines_begin(&all, span_make(v->text, v->text_len));
	while (found == 0 && lines_next(&all, &line))
		if (entry_parse_map(line, &its_key, &its_value) == NULL && span_equal_nocase(its_key, key) &&
		    span_equal(its_value, value))
			found = all.first;
	lines_end(&all);
	return found;
}

static bool
look_at_entry(struct span key, struct span value, void *context)
{
	struct verdicts *v = context;
	const char *trouble = wrong(v->conf, value);

	if (trouble != NULL)
		tell(v, v->told < TOLD_MAX ? line_of(v, key, value) : 0, key, value, trouble);
	return true;
}

static void
look_at_table(struct verdicts *v, struct map *map)
{
	const char *source = strchr(v->table, ':');
	struct error ignored;

	v->told = 0;
	v->path = source ? source + 1 : v->table;
	v->text = v->path[0] == '/' ? lines_load(v->path, LINES_FILE_MAX, &v->text_len, &ignored) : NULL;
	map_each_rule(map, look_at_rule, v);
	(void)map_each(map, look_at_entry, v, &ignored);
	if (v->told > TOLD_MAX)
		(void)printf("%s: and more of that kind\n", v->table);
	free(v->text);
}

static void
look_at_mention(struct span name, const char *parameter, void *context)
{
	static char present;
	struct verdicts *v = context;
	char table[MAP_NAME_MAX];
	struct error ignored;

	if (!map_type_known(name) || table_get(v->seen, name) != NULL ||
	    !span_copy(name, table, sizeof(table)))
		return;
	(void)table_put(v->seen, name, &present);
	struct map *map = map_open(table, &check_silent);
	v->table = table;
	v->parameter = parameter;
	if (map_check(map, &ignored) == 0)
		look_at_table(v, map);
	map_close(&map);
}

size_t
check_verdicts(const struct conf *c)
{
	struct verdicts v = {.conf = c, .seen = table_new(TABLES_MAX, NULL)};

	map_mentions_access(c, look_at_mention, &v);
	table_free(&v.seen);
	return v.bad;
}
