#include "services/lookup/engine/domains.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/mail/domain_form.h"
#include "common/map/lines.h"

enum { NAMES_MAX = 1000000, ITEMS_MAX = 10000, NAME_LEN_MAX = 1000, FILE_MAX = 16 << 20 };

/* A run of names, or one table. */
struct domains_item {
	bool negated;
	struct table *names;
	struct maplist *tables;
};

static struct domains_item *
item_new(struct domains *d, bool negated)
{
	d->items = mem_resize(d->items, (d->count + 1) * sizeof(d->items[0]));
	struct domains_item *item = &d->items[d->count++];
	*item = (struct domains_item){.negated = negated};
	return item;
}

static void
add_name(struct domains *d, struct span name, bool negated)
{
	static char present;
	char lower[NAME_LEN_MAX], alabels[DOMAIN_FORM_MAX];
	struct domains_item *last = d->count > 0 ? &d->items[d->count - 1] : NULL;

	if (domain_to_alabels(name, alabels))
		name = span_of(alabels);
	if (name.len > sizeof(lower))
		return;
	memcpy(lower, name.ptr, name.len);
	text_lower(lower, name.len);
	if (last == NULL || last->names == NULL || last->negated != negated) {
		last = item_new(d, negated);
		last->names = table_new(NAMES_MAX, NULL);
	}
	(void)table_put(last->names, span_make(lower, name.len), &present);
}

/* Takes the exclamation marks in front of a word, each of which turns its meaning round. */
static bool
take_negations(struct span *word, bool negated)
{
	while (word->len > 0 && word->ptr[0] == '!') {
		negated = !negated;
		*word = span_from(*word, 1);
	}
	return negated;
}

static void
add_word(struct domains *d, struct span word, bool negated, struct map_set *maps)
{
	negated = take_negations(&word, negated);
	if (word.len == 0 || d->count >= ITEMS_MAX)
		return;
	if (word.ptr[0] != '[' && span_find(word, ':') > 0)
		item_new(d, negated)->tables = map_set_list(maps, word, NULL);
	else
		add_name(d, word, negated);
}

/* The names in a file: as in the list itself, '#' begins a comment line. */
static void
add_file(struct domains *d, struct span path, bool negated, struct map_set *maps)
{
	char name[MAP_NAME_MAX];
	size_t len;
	struct lines lines;
	struct span line, word;

	if (!span_copy(path, name, sizeof(name))) {
		error_set(&d->trouble, "bad file name");
		return;
	}
	char *bytes = lines_load(name, FILE_MAX, &len, &d->trouble);
	if (bytes == NULL)
		return;
	lines_begin(&lines, span_make(bytes, len));
	while (lines_next(&lines, &line)) {
		if (lines.cut)
			error_set(&d->trouble, "%s, line %u: longer than %d octets", name, lines.first,
			    LINES_LINE_MAX);
		while (conf_list_next(&line, &word))
			add_word(d, word, negated, maps);
	}
	lines_end(&lines);
	free(bytes);
}

void
domains_init(struct domains *d, const char *parameter, const char *text, enum domains_parents parents,
    struct map_set *maps)
{
	struct span rest = span_of(text), word;

	*d = (struct domains){.parameter = parameter, .parents = parents};
	while (conf_list_next(&rest, &word)) {
		bool negated = take_negations(&word, false);

		if (word.len > 0 && word.ptr[0] == '/')
			add_file(d, word, negated, maps);
		else
			add_word(d, word, negated, maps);
	}
}

void
domains_fini(struct domains *d)
{
	for (size_t i = 0; i < d->count; i++)
		table_free(&d->items[i].names);
	free(d->items);
	*d = (struct domains){0};
}

static enum lookup_status
item_match(const struct domains_item *item, struct span name, bool partial, struct map_found *found)
{
	char other[DOMAIN_FORM_MAX];

	if (item->names == NULL) {
		enum lookup_status status = maplist_lookup(item->tables, name, partial, found);
		if (status == LOOKUP_NOT_FOUND && domain_other_form(name, other))
			status = maplist_lookup(item->tables, span_of(other), partial, found);
		return status;
	}
	return table_get(item->names, name) != NULL ? LOOKUP_FOUND : LOOKUP_NOT_FOUND;
}

static enum lookup_status
item_match_parents(const struct domains_item *item, enum domains_parents parents, struct span domain,
    struct map_found *found)
{
	enum lookup_status status = item_match(item, domain, false, found);

	if (parents == DOMAINS_EXACT || (domain.len > 0 && domain.ptr[0] == '['))
		return status;
	for (size_t i = 0; status == LOOKUP_NOT_FOUND && i + 1 < domain.len; i++) {
		if (domain.ptr[i] != '.')
			continue;
		/* "x.example.com": either "example.com" or ".example.com", a part of the same text. */
		status =
		    item_match(item, span_from(domain, parents == DOMAINS_PARENTS ? i + 1 : i), true, found);
	}
	return status;
}

enum lookup_status
domains_match(const struct domains *d, struct span domain, struct map_found *found)
{
	if (d->trouble.text[0] != '\0') {
		found->err = d->trouble;
		error_while(&found->err, "%s", d->parameter);
		return LOOKUP_TEMPORARY;
	}
	for (size_t i = 0; i < d->count; i++) {
		const struct domains_item *item = &d->items[i];
		enum lookup_status status = item_match_parents(item, d->parents, domain, found);
		if (status == LOOKUP_TEMPORARY)
			return status;
		if (status == LOOKUP_FOUND) {
			if (item->names != NULL)
				found->table = d->parameter;
			return item->negated ? LOOKUP_NOT_FOUND : LOOKUP_FOUND;
		}
	}
	return LOOKUP_NOT_FOUND;
}
