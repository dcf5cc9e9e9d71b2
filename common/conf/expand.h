/*
 * expand: the text of a parameter with its $names replaced, as main.cf writes them.
 *
 *   $name ${name} $(name)       the value of name
 *   ${name?text} ${name?{text}} text if name's value is not empty
 *   ${name:text} ${name:{text}} text if it is
 *   ${name?{text}:{text}}
 *   ${{a} == {b}?{text}:{text}} also != < <= > >=, as numbers where both are
 *   $$                          $
 *
 * Depth, number of steps and size of the result are bounded; a value that leads back to itself is an error.
 * Private to common/conf.
 */
#ifndef POSTERN_CONF_EXPAND_H
#define POSTERN_CONF_EXPAND_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"
#include "common/conf/source.h"

enum { EXPAND_DEPTH_MAX = 40, EXPAND_NESTING_MAX = 100, EXPAND_STEPS_MAX = 5000 };

struct expander {
	const struct scope *global;
	const struct scope *own; /* the section, or global */
	bool stressed; /* $stress is "yes" */

	/* Results, besides the text: */
	unsigned line; /* of the setting that the value came from, 0: it is the default */
	struct span undefined; /* a name that nobody defines; empty if there is none */

	/* Own state. */
	struct span chain[EXPAND_DEPTH_MAX];
	unsigned depth;
	unsigned steps;
	unsigned nesting;
};

/* The value of a parameter, fallback and all. Returns 1; 0 if nobody defines that name; -1 with err. */
int expand_name(struct expander *x, struct span name, struct buf *out, struct error *err);

/* The text of a setting called name that is no parameter ("listen"). Returns 0; -1 with err. */
int expand_value(struct expander *x, struct span name, struct span text, struct buf *out, struct error *err);

/* The default of a parameter that depends on this host, or on older names; false if it has none of that kind. */
bool computed_value(struct expander *x, struct span name, struct buf *out);

/* It depends on this host: a process in its sandbox cannot work it out. */
bool computed_from_host(struct span name);

#endif
