/*
 * map_message: the keys that header_checks(5) and body_checks(5) make of a message, for "postern map -q -" with -h and -b.
 */
#ifndef POSTERN_TOOLS_MAP_MESSAGE_H
#define POSTERN_TOOLS_MAP_MESSAGE_H

#include <stdbool.h>

#include "common/base/span.h"

struct map_message;

struct map_message_choice {
	bool headers; /* fields, whole with their folded lines */
	bool body; /* every line that belongs to no header */
	bool mime; /* headers of parts and of messages inside are headers, too */
};

/* The message's text is borrowed. */
struct map_message *map_message_new(struct span text, const struct map_message_choice *choice);
void map_message_free(struct map_message **m);

/* The next key, good until the next call. False at the end. */
bool map_message_next(struct map_message *m, struct span *key);

#endif
