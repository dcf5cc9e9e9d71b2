/*
 * route_aliases: what a recipient of this host is an alias of, for "postern route": the members that the tables of
 * alias_maps have, and theirs. Lists in files and users' .forward files are named, not read.
 */
#ifndef POSTERN_TOOLS_ROUTE_ALIASES_H
#define POSTERN_TOOLS_ROUTE_ALIASES_H

#include "common/base/arena.h"
#include "services/lookup/engine/route.h"

struct route_aliases {
	struct route_engine *engine;
	struct maplist *tables; /* of alias_maps */
	const struct conf_values *values;
};

/* Prints nothing where it is no alias. Returns -1 after a line about a table that is in trouble. */
int route_aliases_print(const struct route_aliases *r, struct arena *a, struct span recipient);

#endif
