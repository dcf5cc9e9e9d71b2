/*
 * macro: texts with $name, ${name}, ${name?text}, ${name:text}, ${name?{text}:{text}} that are expanded for one
 * recipient: forward_path, luser_relay, command_execution_directory, the arguments of pipe.
 */
#ifndef POSTERN_CONF_MACRO_H
#define POSTERN_CONF_MACRO_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/span.h"

/* Length of the run of name characters at the start. */
size_t macro_name_length(struct span s);

/* *s begins with an opening bracket. Takes what is within the matching one, and moves *s behind that. False if there is none. */
bool macro_take_bracketed(struct span *s, struct span *inside);

struct macro_names {
	/* The value of a name; false if there is no such name. An empty value counts as not there. */
	bool (*value)(void *context, struct span name, struct span *value);
	void *context;
	const char *allowed; /* characters that a value may have, others become '_'; NULL: all */
};

/* Appends text with its names replaced. False if a name was undefined or empty outside of ? and :, or text is malformed. */
bool macro_expand(struct buf *out, struct span text, const struct macro_names *names);

/* Calls found for each name in text. False if text is malformed. */
bool macro_each_name(struct span text, void (*found)(void *context, struct span name), void *context);

#endif
