/*
 * queue_care: postern queue verify, rebuild and backup.
 */
#ifndef POSTERN_TOOLS_QUEUE_CARE_H
#define POSTERN_TOOLS_QUEUE_CARE_H

#include "tools/tool.h"

/* Says what stands behind verify, rebuild, backup, export or import. Returns EX_USAGE. */
int queue_care_usage(const struct tool *tool, const char *verb);

/* argv[0] is the verb. */
int queue_verify(int argc, char **argv, struct tool *tool);
int queue_rebuild(int argc, char **argv, struct tool *tool);
int queue_backup(int argc, char **argv, struct tool *tool);

#endif
