/*
 * running: the processes of this instance as the tools see them from outside.
 */
#ifndef POSTERN_TOOLS_RUNNING_H
#define POSTERN_TOOLS_RUNNING_H

#include <sys/types.h>

#include "common/base/error.h"
#include "tools/tool.h"

enum { RUNNING_MAX = 300 };

/* master's process id by the pid file; 0 if it does not run. */
pid_t running_master(const struct tool *tool);

/*
 * Keeps everybody else from starting this instance, or from working with its spool, until this process and those that it
 * starts from now on have ended. Waits for a few seconds for who does so. Returns an exit status, with one line printed.
 */
int running_keep_out(const struct tool *tool);

/*
 * Processes that run now, held by descriptors that tell of their end, so that a pid used anew is not mistaken for
 * one of them.
 */
struct running {
	size_t count;
	struct {
		pid_t pid;
		int fd;
	} list[RUNNING_MAX];
};

/* master and its children. */
void running_open(struct running *r, pid_t master);
void running_close(struct running *r);

/* True if all have ended within the time. */
bool running_wait(struct running *r, int timeout_ms);
void running_signal(struct running *r, int number);

#endif
