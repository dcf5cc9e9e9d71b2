/*
 * queue_care: postern queue verify, rebuild and backup.
 */
#ifndef POSTERN_TOOLS_QUEUE_CARE_H
#define POSTERN_TOOLS_QUEUE_CARE_H

#include "tools/tool.h"

/* argv[0] is the verb. */
int queue_verify(int argc, char **argv, struct tool *tool);
int queue_rebuild(int argc, char **argv, struct tool *tool);
int queue_backup(int argc, char **argv, struct tool *tool);

#endif
