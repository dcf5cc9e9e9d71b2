/*
 * Lists of restrictions and classes of them, as text becomes data.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "smtpd/restriction.h"

enum { CLASSES_MAX = 1000 };

enum { UNAUTH_REJECT, UNAUTH_DEFER, UNAUTH_PERMIT };

/* detail: which stage, table or variant; the functions say. */
static const struct restriction restrictions[] = {
#define RESTRICTION(name, takes_argument, function, detail) {#name, takes_argument, function, detail},
#include "common/conf/restrictions.def"
#undef RESTRICTION
};

static const struct restriction unknown_rule = {"?", false, rule_configuration_error, 0};
static const struct restriction class_rule = {"class", false, rule_class, 0};

/* "type:name" alone is the old form of the stage's own check_*_access. */
static const struct restriction bare_table = {"table", true, rule_access, -1};

/* Of local_header_rewrite_clients alone. */
static const struct restriction address_map = {"check_address_map", true, rule_address_map, 0};

static const struct restriction *
find(struct span name)
{
	if (span_is_nocase(name, address_map.name))
		return &address_map;
	for (size_t i = 0; i < sizeof(restrictions) / sizeof(restrictions[0]); i++)
		if (span_is_nocase(name, restrictions[i].name))
			return &restrictions[i];
	return NULL;
}

const struct restriction_class *
restriction_class_find(const struct restriction_classes *classes, struct span name)
{
	for (size_t i = 0; i < classes->count; i++)
		if (span_is_nocase(name, classes->items[i].name))
			return &classes->items[i];
	return NULL;
}

static void
parse_word(struct restriction_word *w, struct span word, struct span *rest,
    const struct restriction_classes *classes, restriction_warn *warn)
{
	struct span argument;

	w->name = mem_strndup(word.ptr, word.len);
	w->rule = find(word);
	if (w->rule == NULL && restriction_class_find(classes, word))
		w->rule = &class_rule;
	if (w->rule == NULL && span_find(word, ':') > 0) {
		w->rule = &bare_table;
		w->argument = mem_strndup(word.ptr, word.len);
		return;
	}
	if (w->rule == NULL) {
		warn(w->name);
		w->rule = &unknown_rule;
		return;
	}
	if (!w->rule->takes_argument)
		return;
	if (!conf_list_next(rest, &argument)) {
		warn(w->name);
		w->rule = &unknown_rule;
		return;
	}
	w->argument = mem_strndup(argument.ptr, argument.len);
}

struct restriction_list *
restriction_list_parse(struct span text, const struct restriction_classes *classes, restriction_warn *warn)
{
	struct span rest = text, word;
	struct restriction_list *list;
	size_t count = 0;

	while (conf_list_next(&rest, &word))
		count++;
	list = mem_alloc(sizeof(*list) + count * sizeof(list->words[0]));
	rest = text;
	while (conf_list_next(&rest, &word))
		parse_word(&list->words[list->count++], word, &rest, classes, warn);
	return list;
}

void
restriction_list_free(struct restriction_list **list)
{
	for (size_t i = 0; *list && i < (*list)->count; i++) {
		free((*list)->words[i].name);
		free((*list)->words[i].argument);
	}
	free(*list);
	*list = NULL;
}

/* Names first, so that classes may name each other. */
void
restriction_classes_parse(
    struct restriction_classes *classes, const struct conf_values *values, restriction_warn *warn)
{
	struct span rest = span_of(values->smtpd_restriction_classes), word;
	char name[CONF_NAME_MAX + 1];

	while (classes->count < CLASSES_MAX && conf_list_next(&rest, &word)) {
		if (!span_copy(word, name, sizeof(name)) || conf_lookup(values, name) == NULL)
			continue; /* "postern check" says so; a list that names it answers 451 */
		classes->items = mem_resize(classes->items, (classes->count + 1) * sizeof(classes->items[0]));
		classes->items[classes->count++] = (struct restriction_class){.name = mem_strdup(name)};
	}
	for (size_t i = 0; i < classes->count; i++) {
		struct restriction_class *class = &classes->items[i];

		class->list =
		    restriction_list_parse(span_of(conf_lookup(values, class->name)), classes, warn);
	}
}

void
restriction_classes_free(struct restriction_classes *classes)
{
	for (size_t i = 0; i < classes->count; i++) {
		free(classes->items[i].name);
		restriction_list_free(&classes->items[i].list);
	}
	free(classes->items);
	*classes = (struct restriction_classes){0};
}
