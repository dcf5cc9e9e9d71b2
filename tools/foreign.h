/*
 * foreign: directories of Postfix that a configuration names because it was a main.cf. Postern's programs are not in
 * its daemon_directory, and its queue would be of no use to it any more.
 */
#ifndef POSTERN_TOOLS_FOREIGN_H
#define POSTERN_TOOLS_FOREIGN_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/conf/conf.h"

extern const char *const foreign_parameters[]; /* ends with NULL */

/* Whether the value of that one of foreign_parameters is not Postern's; err says so, and what to do. */
bool foreign_is(const struct conf_values *v, const char *parameter, struct error *err);

/* The same of the first that is not; with the parameter's name in front of err. */
bool foreign_any(const struct conf_values *v, struct error *err);

#endif
