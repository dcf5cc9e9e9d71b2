#include "common/map/maplist.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/conf/conf.h"

enum { LIST_TABLES_MAX = 200 };

struct maplist {
	struct map **tables; /* the set's */
	size_t count;
	struct error trouble; /* the list itself makes no sense */
};

struct map_set {
	struct map_options options;
	struct table *tables; /* by "type:name" */
	struct table *lists; /* by text */
	struct maplist overflow; /* what one list too many gets */
};

static void
free_map(void *value)
{
	struct map *m = value;
	map_close(&m);
}

static void
free_list(void *value)
{
	struct maplist *l = value;
	free(l->tables);
	free(l);
}

struct map_set *
map_set_new(const struct map_options *options)
{
	struct map_set *s = mem_alloc(sizeof(*s));

	if (options != NULL)
		s->options = *options;
	s->tables = table_new(MAP_SET_TABLES_MAX, free_map);
	s->lists = table_new(MAP_SET_LISTS_MAX, free_list);
	error_set(&s->overflow.trouble, "more than %d tables or %d lists of tables are in use",
	    MAP_SET_TABLES_MAX, MAP_SET_LISTS_MAX);
	return s;
}

void
map_set_free(struct map_set **s)
{
	if (*s == NULL)
		return;
	table_free(&(*s)->lists);
	table_free(&(*s)->tables);
	free(*s);
	*s = NULL;
}

static struct map *
table_of(struct map_set *s, struct span word, const char *default_type)
{
	char name[MAP_NAME_MAX];
	struct buf full;

	buf_init(&full, sizeof(name) - 1);
	if (span_find(word, ':') < 0 && default_type != NULL) {
		(void)buf_append_text(&full, default_type);
		(void)buf_append_text(&full, ":");
	}
	(void)buf_append_span(&full, word);
	bool fits = !full.full && span_copy(buf_span(&full), name, sizeof(name));
	buf_free(&full);
	if (!fits)
		return NULL;
	struct map *m = table_get(s->tables, span_of(name));
	if (m != NULL)
		return m;
	m = map_open(name, &s->options);
	if (table_put(s->tables, span_of(name), m) < 0)
		map_close(&m);
	return m;
}

static struct maplist *
list_compile(struct map_set *s, struct span text, const char *default_type)
{
	struct maplist *l = mem_alloc(sizeof(*l));
	struct map *tables[LIST_TABLES_MAX];
	struct span rest = text, word;

	while (conf_list_next(&rest, &word)) {
		struct map *m = l->count < LIST_TABLES_MAX ? table_of(s, word, default_type) : NULL;
		if (m == NULL) {
			error_set(
			    &l->trouble, "too many tables, or a name that is too long: %.*s", SPAN_ARG(word));
			break;
		}
		tables[l->count++] = m;
	}
	l->tables = mem_alloc_array(l->count > 0 ? l->count : 1, sizeof(l->tables[0]));
	memcpy(l->tables, tables, l->count * sizeof(tables[0]));
	return l;
}

struct maplist *
map_set_list(struct map_set *s, struct span text, const char *default_type)
{
	struct maplist *l = table_get(s->lists, text);

	if (l != NULL)
		return l;
	if (table_count(s->lists) >= MAP_SET_LISTS_MAX)
		return &s->overflow;
	l = list_compile(s, text, default_type);
	if (table_put(s->lists, text, l) == 0)
		return l;
	free_list(l);
	return &s->overflow;
}

bool
map_set_changed(struct map_set *s)
{
	size_t position = 0;
	struct span name;
	struct map *m;
	bool changed = false;

	while ((m = table_next(s->tables, &position, &name)) != NULL)
		if (map_changed(m))
			changed = true;
	return changed;
}

bool
maplist_empty(const struct maplist *l)
{
	return l->count == 0 && l->trouble.text[0] == '\0';
}

struct map *
maplist_table(const struct maplist *l, size_t i)
{
	return i < l->count ? l->tables[i] : NULL;
}

enum lookup_status
maplist_lookup(struct maplist *l, struct span key, bool partial, struct map_found *found)
{
	if (l->trouble.text[0] != '\0') {
		found->err = l->trouble;
		return LOOKUP_TEMPORARY;
	}
	for (size_t i = 0; i < l->count; i++) {
		enum lookup_status status = map_lookup(l->tables[i], key, partial, found);
		if (status != LOOKUP_NOT_FOUND)
			return status;
	}
	return LOOKUP_NOT_FOUND;
}

void
maplist_refused(struct maplist *l, uint64_t mark)
{
	for (size_t i = 0; i < l->count; i++)
		map_refused(l->tables[i], mark);
}
