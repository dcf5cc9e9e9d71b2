/*
 * recorded: an operator is told that something was done when it is durable, as a 250 is.
 */
#ifndef POSTERN_QUEUE_RECORDED_H
#define POSTERN_QUEUE_RECORDED_H

#include "queue/queue.h"

/* why: NULL if it is durable; else why that may take long. Called once. */
typedef void recorded_done(void *context, const char *why);

/* All that was put into the journal so far: done(), never from within this call, when it is durable or there is trouble. */
void recorded_wait(struct queue *q, recorded_done *done, void *context);

/* Nobody is told any more. */
void recorded_forget(const void *context);

#endif
