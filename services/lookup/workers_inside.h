/*
 * workers_inside: what the loop (workers.c) and the threads (worker.c) share.
 */
#ifndef POSTERN_LOOKUP_WORKERS_INSIDE_H
#define POSTERN_LOOKUP_WORKERS_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "services/lookup/workers.h"

/* The number of the conversation in frames that are kept: the loop puts each asker's own in its place. */
enum { ANY_CALL = 1 };

/* Who waits for the answer to a job. */
struct waiter {
	struct waiter *next;
	struct ipc_channel *channel;
	uint32_t call;
};

/* A question on its way. It belongs to the loop; while 'taken' a thread reads question and writes answer. */
struct job {
	struct job *next; /* in the queue, or in the list of those that are done */
	struct job *newer, *older; /* of all jobs, by age */
	enum ipc_type type;
	struct buf question; /* the role, then the frame with ANY_CALL */
	struct buf answer; /* frames with ANY_CALL */
	struct waiter *waiters;
	uint64_t generation;
	int64_t deadline_us;
	bool taken, mergeable;
};

/* What a thread has to say. */
struct note {
	struct note *next;
	enum { NOTE_COMPLAINT, NOTE_STATE, NOTE_TROUBLE } kind;
	char *name; /* file or table */
	unsigned line;
	char *text; /* NULL: a table is in order again */
};

struct workers {
	struct event_base *base;
	const struct route_interfaces *interfaces;
	struct desk_sink tell;
	struct event *wake, *tick;
	int wake_fd;
	/* The loop's alone. */
	struct table *by_question;
	struct job *oldest, *newest;
	size_t jobs;
	uint64_t generation, answered;
	atomic_bool troubled;
	/* Under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct job *queue, **queue_end, *done;
	struct note *notes, **notes_end;
	size_t note_count;
	unsigned threads, threads_max, idle;
	size_t queued;
	struct conf *conf;
	uint64_t conf_number;
};

/* A thread: answers jobs until there was none for a minute. context: the struct workers. */
void *worker_run(void *context);

#endif
