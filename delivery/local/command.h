/*
 * command: one run of a command that gets a letter, by a process that is the user already.
 *
 * The command is the leader of a process group of its own, with nothing open but its input (a pipe that a child of
 * ours fills), its output and errors (one pipe, of which the beginning is kept and the rest is read and forgotten), and
 * with nothing in its environment but what it is given. When its time is over the group is killed.
 */
#ifndef POSTERN_LOCAL_COMMAND_H
#define POSTERN_LOCAL_COMMAND_H

#include <sys/types.h>

#include "delivery/local/mailbox.h"
#include "delivery/local/writers.h"

struct event_base;
struct running;

typedef void command_done(void *context, const struct mailbox_result *result);

/* letter lives until done, which is never called before this returns. NULL with result if it cannot be started. */
struct running *command_start(struct event_base *base, const struct command *command,
    const struct letter *letter, struct mailbox_result *result, command_done *done, void *context);

/* A child has ended: true if it was one of this run's (which may be over now). */
bool command_child_ended(struct running *r, pid_t pid, int status);

/* Kills it; done is not called. */
void command_abort(struct running *r);

/* What its end means, as Postfix's pipe_command() has it. output: the beginning of what it wrote. */
void command_judge(const struct command *command, int wait_status, bool timed_out, struct span output,
    struct mailbox_result *result);

#endif
