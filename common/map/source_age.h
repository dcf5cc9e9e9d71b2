/*
 * source_age: a table that was built of a text which has changed since: nobody ran postmap.
 */
#ifndef POSTERN_MAP_SOURCE_AGE_H
#define POSTERN_MAP_SOURCE_AGE_H

#include <time.h>

#include "common/map/kinds.h"

/* Complains if the text, in->name, is there and younger than built; not while it is probably just about to be built. */
void source_age_check(const struct map_input *in, time_t built);

#endif
