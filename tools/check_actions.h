/*
 * check_actions: what tables of header_checks and its kin ask for.
 */
#ifndef POSTERN_TOOLS_CHECK_ACTIONS_H
#define POSTERN_TOOLS_CHECK_ACTIONS_H

#include <stddef.h>

#include "common/map/map.h"

/* Prints the actions that make no sense, as far as the table can be listed. Nothing for other parameters. Returns how many. */
size_t check_actions(struct map *map, const char *table, const char *parameter);

#endif
