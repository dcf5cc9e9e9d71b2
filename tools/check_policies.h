/*
 * check_policies: the entries of smtp_tls_policy_maps: mail for one with a mistake would wait.
 */
#ifndef POSTERN_TOOLS_CHECK_POLICIES_H
#define POSTERN_TOOLS_CHECK_POLICIES_H

#include "common/conf/conf.h"
#include "common/map/map.h"

/* Prints "TABLE: KEY: text" for each mistake. Returns their number. table: "type:name". */
size_t check_policies(struct map *map, const char *table, const struct conf_values *v, bool lmtp);

#endif
