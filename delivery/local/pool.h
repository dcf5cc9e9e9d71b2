/*
 * pool: the processes that work as users, as the root part sees them.
 *
 * One for each (user, groups, purpose): a mailbox to be written with these settings, the helper that reads that user's
 * lists, or the one that runs the commands of one lane as that user. Kept for some seconds after its last task; a bounded number in all. When none may be added, tasks
 * wait in the order in which they came, and a process that has nothing left makes room for the next.
 */
#ifndef POSTERN_LOCAL_POOL_H
#define POSTERN_LOCAL_POOL_H

#include <sys/queue.h>

#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "delivery/local/target.h"

struct event_base;
struct pool;
struct pool_process;
struct pool_task;

/* What a task is about: rows of its kind. */
struct pool_task_kind {
	/* Its turn: says what is to be said, with pool_task_ask(). */
	void (*begin)(struct pool_task *task, struct ipc_channel *channel);
	/* It will not be done, for this reason. The task has left the pool. */
	void (*lost)(struct pool_task *task, const char *why);
};

/* Lies within what the task belongs to. */
struct pool_task {
	TAILQ_ENTRY(pool_task) link; /* in waiting, or in the process's list */
	const struct pool_task_kind *kind;
	struct pool *pool;
	struct pool_process *process; /* NULL while it waits */
	struct target target;
	struct msg_mailbox_setup
	    setup; /* what a mailbox's process is told first; its spans live as long as the task */
	unsigned answer_ms; /* how long an answer may take */
	struct span
	    lane; /* of a helper: commands of different lanes do not wait for each other; lives as long as the task */
	unsigned
	    slow_max; /* where the process brings nothing to an end, it gets no more than so many; 0: any number */
};

/* Opens this program itself, to be executed again. NULL with err. */
struct pool *pool_new(struct event_base *base, bool privileged, struct error *err);
struct event_base *pool_base(const struct pool *p);

/* kind, target, setup and answer_ms are set. begin or lost is called later, never before this returns. */
void pool_add(struct pool *p, const struct conf_values *v, struct pool_task *task);

/* As ipc_ask(). on_answer with NULL calls pool_task_failed(), with the answer pool_task_end(). 0: the process is gone. */
uint32_t pool_task_ask(
    struct pool_task *task, enum ipc_type type, const void *message, ipc_answer *on_answer, void *context);

/* The task is over: it leaves the pool. */
void pool_task_end(struct pool_task *task);

/* The same where no answer came: a process that still runs took too long and is killed. */
void pool_task_failed(struct pool_task *task);

/* The task's process cannot do it, nor what others ask of it later: another takes its place. */
void pool_task_again(struct pool_task *task);

/* The connection of the task's process: for what follows an ask. */
struct ipc_channel *pool_task_channel(const struct pool_task *task);

#endif
