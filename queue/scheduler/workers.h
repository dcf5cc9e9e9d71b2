/*
 * workers: which process gets the next job of a hop.
 */
#ifndef POSTERN_QUEUE_WORKERS_H
#define POSTERN_QUEUE_WORKERS_H

#include "queue/scheduler/hop.h"

/* The worker for the hop's next job, and its index; NULL: there is none now, or all that there are will end. */
struct ipc_channel *worker_choose(struct queue *q, const struct hop *hop, enum role role, uint32_t *index);

/* JOB_NO_MORE: of what came to be in its hands it tells, and then another process takes its place. */
ipc_handler worker_leaves;

/* A worker is connected: what waited for one need not wait out its pause. */
void worker_came(struct queue *q, const struct ipc_channel *peer);

#endif
