/*
 * queue_care: postern queue verify, rebuild and backup.
 */
#ifndef POSTERN_TOOLS_QUEUE_CARE_H
#define POSTERN_TOOLS_QUEUE_CARE_H

#include <sys/types.h>

#include "tools/tool.h"

/* Says what stands behind verify, rebuild, backup, export or import. Returns EX_USAGE. */
int queue_care_usage(const struct tool *tool, const char *verb);

/*
 * Starts care(queue/care/main.c) on that directory below queue_directory. input: its standard input, or -1; output: a pipe
 * for its standard output, then it runs as the instance's owner; or NULL. Returns -1 with errno.
 */
pid_t queue_care_start(struct tool *tool, const char *verb, const char *directory, const char *argument,
    int input, const int output[2]);

/* Returns its exit status. */
int queue_care_wait(pid_t pid);

/* argv[0] is the verb. */
int queue_verify(int argc, char **argv, struct tool *tool);
int queue_rebuild(int argc, char **argv, struct tool *tool);
int queue_backup(int argc, char **argv, struct tool *tool);

#endif
