/*
 * queue_alone: the queue of an instance that is stopped.
 *
 * Where nobody answers at public/queue, and the instance does not run, a master is started that starts queue and log and
 * nothing else ("master -q"). It holds the instance's locks, so that a start waits for its end, and ends with this
 * process, whatever ends that. For root, or the user who owns queue_directory and so started the instance.
 */
#ifndef POSTERN_TOOLS_QUEUE_ALONE_H
#define POSTERN_TOOLS_QUEUE_ALONE_H

#include "tools/frame_client.h"
#include "tools/tool.h"

/*
 * tool_talk() with queue; socket and peer are filled in. -1 with err: that is all that is to be said. running_only: not
 * with the queue of a stopped instance.
 */
int queue_talk(struct tool *tool, struct tool_talk *talk, bool running_only, struct error *err);

/* The same for a frame_client. */
int queue_connect(struct tool *tool, struct frame_client *c, unsigned timeout_ms, struct error *err);

/*
 * An instance of an ordinary user stays his, also when root looks at it: in a child of root's, before a program is executed
 * that the configuration names. -1 with errno.
 */
int queue_become_owner(const struct tool *tool);

/* The end of what was begun is waited for, so that whatever follows finds the instance at rest. */
void queue_alone_end(struct tool *tool);

#endif
