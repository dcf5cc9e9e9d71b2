/*
 * check_routes: whether there are the transports that tables of routes name, and their sockets may be reached.
 */
#ifndef POSTERN_TOOLS_CHECK_ROUTES_H
#define POSTERN_TOOLS_CHECK_ROUTES_H

#include <stddef.h>

#include "common/conf/conf.h"
#include "common/map/map.h"

/* Prints the entries for whose transport mail would wait, as far as the table can be listed. Nothing for other parameters. Returns how many. */
size_t check_routes(
    struct map *map, const char *table, const char *parameter, const struct conf_values *values);

#endif
