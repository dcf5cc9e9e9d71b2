/*
 * maplist: the tables of one parameter, "hash:/a, cidr:/b", asked in order; and the set of all tables that a
 * process has open, each once.
 *
 * A temporary trouble of a table ends the search: the tables behind it are not asked.
 */
#ifndef POSTERN_MAP_MAPLIST_H
#define POSTERN_MAP_MAPLIST_H

#include "common/map/map.h"

enum { MAP_SET_TABLES_MAX = 2000, MAP_SET_LISTS_MAX = 4000 };

struct map_set;
struct maplist;

struct map_set *map_set_new(const struct map_options *options);
void map_set_free(struct map_set **s);

/*
 * The list that text names; kept by the set and found again by its text. A text that is no list, and one too many,
 * is a list that answers LOOKUP_TEMPORARY. default_type: for words without a type ("hash"); NULL: such a word is
 * an error.
 */
struct maplist *map_set_list(struct map_set *s, struct span text, const char *default_type);

/* Looks at the files of all tables. True if any changed since the last call. */
bool map_set_changed(struct map_set *s);

bool maplist_empty(const struct maplist *l);
enum lookup_status maplist_lookup(struct maplist *l, struct span key, bool partial, struct map_found *found);

/* map_refused() of all tables. */
void maplist_refused(struct maplist *l, uint64_t mark);

/* The tables of a list, for checks. NULL behind the last. */
struct map *maplist_table(const struct maplist *l, size_t i);

#endif
