/*
 * check_passwords: a table of passwords (smtpd_sasl_type = table): who may read it, and what it stores.
 */
#ifndef POSTERN_TOOLS_CHECK_PASSWORDS_H
#define POSTERN_TOOLS_CHECK_PASSWORDS_H

#include "common/map/map.h"

/* Prints "FILE:LINE: text" for each mistake, and warnings. Returns the number of mistakes. table: "type:name". */
size_t check_passwords(struct map *map, const char *table);

#endif
