/*
 * config_facts: what postconf(1) tells beside parameters.
 */
#ifndef POSTERN_TOOLS_CONFIG_FACTS_H
#define POSTERN_TOOLS_CONFIG_FACTS_H

#include <stdbool.h>

#include "tools/tool.h"

/* -T: mode is compile-version, run-version or public-key-algorithms. Returns an exit status. */
int config_tls(const struct tool *tool, const char *mode);

/*
 * -t, -b: the texts of notifications in the format of bounce(5), with expanded the $names in them replaced. path: a file
 * instead of bounce_template_file ("": the built-in texts), or NULL. Returns an exit status.
 */
int config_templates(struct tool *tool, const char *path, bool expanded);

#endif
