/*
 * spawn: executes this program again as a user: to write a mailbox, or to read lists and run commands.
 */
#ifndef POSTERN_LOCAL_SPAWN_H
#define POSTERN_LOCAL_SPAWN_H

#include <sys/types.h>

#include "common/base/error.h"
#include "delivery/local/target.h"

/*
 * exe_fd: the program. privileged: become the target's user (without it no target has a root directory of its own). *fd: the connection to it. Returns the process or -1 with
 * err.
 */
pid_t spawn_as_user(int exe_fd, bool privileged, const struct target *target, int *fd, struct error *err);

/*
 * For a helper with a root directory of its own (target->path), which is executed as root with these two arguments:
 * changes the root directory, then the user, in this order and before anything else. -1: neither may be relied on.
 */
int spawned_enter_root(const char *root, const char *ids);

/* The first thing that is done in there. -1, with a line in the log, where it would go on as root. */
int spawned_begin(void);

#endif
