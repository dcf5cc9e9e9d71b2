/*
 * mentions: every table that a configuration names anywhere: lists of tables, lists of domains and networks,
 * restrictions and restriction classes, in all sections.
 */
#ifndef POSTERN_MAP_MENTIONS_H
#define POSTERN_MAP_MENTIONS_H

#include "common/conf/conf.h"
#include "common/map/map.h"

/* table: "type:name" as it stands there; the same one may come again. Tables inside tables are not told. */
typedef void map_mention(struct span table, const char *parameter, void *context);

void map_mentions(const struct conf *c, map_mention *tell, void *context);

/* Only those whose answers are actions of access(5). */
void map_mentions_access(const struct conf *c, map_mention *tell, void *context);

#endif
