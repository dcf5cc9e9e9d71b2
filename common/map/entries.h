/*
 * entries: "key value" lines, as postmap(1) and postalias(1) read them. What texthash tables and the builder share.
 */
#ifndef POSTERN_MAP_ENTRIES_H
#define POSTERN_MAP_ENTRIES_H

#include "common/base/buf.h"
#include "common/base/span.h"
#include "common/map/map.h"

/*
 * Splits a logical line of a postmap(1) source: key, white space, value. Quotes and backslashes in the key are kept
 * (tables hold addresses in their quoted form), blanks inside quotes do not end it. NULL, or what is wrong.
 */
const char *entry_parse_map(struct span line, struct span *key, struct span *value);

/*
 * Splits a line of aliases(5): key, colon, value. The key is written to out unquoted, for local(8) asks so.
 * NULL, or what is wrong.
 */
const char *entry_parse_alias(struct span line, struct buf *key, struct span *value);

/* What both say of a value over MAP_VALUE_MAX; key is good then: whoever is in the table must not become unknown. */
extern const char entry_value_too_long[], entry_key_too_long[];

#endif
