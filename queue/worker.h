/*
 * worker: a thread that runs tasks one after the other and gives them back to the loop.
 *
 * queue has two beside the log's writer: the indexer, which alone touches Berkeley DB, and the helper for what may
 * wait for a disk and is not the log (new segments, message files, content that is read again).
 */
#ifndef POSTERN_QUEUE_WORKER_H
#define POSTERN_QUEUE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "queue/mailbox.h"

struct task {
	struct work work;
	/* In the worker's thread. True: run it again, behind the others. */
	bool (*run)(struct task *t);
	/* In the loop. Frees the task. */
	void (*done)(struct task *t);
};

struct worker {
	struct mailbox in;
	struct mailbox out;
	pthread_t thread;
	bool started;
	bool stop;
	unsigned pending; /* the loop's count of tasks not yet done */
	_Atomic int64_t
	    moved_us; /* monotonic: when a run() returned last, or something came and there was nothing before */
};

int worker_start(struct worker *w, struct error *err);

/* Ends the thread after all tasks that it was given. */
void worker_stop(struct worker *w);

void worker_put(struct worker *w, struct task *t);

/* Whether it has had something to do for so many seconds, and no run() has returned in all that time. */
bool worker_hangs(const struct worker *w, unsigned seconds);

/* The loop: call when out.event_fd is readable. Runs the done()s. */
void worker_finish(struct worker *w);

#endif
