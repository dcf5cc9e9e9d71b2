/*
 * trace: what sendmail -v shows: the first attempt of a message with MAIL_TRACE is told to pickup, line by line.
 */
#ifndef POSTERN_QUEUE_TRACE_H
#define POSTERN_QUEUE_TRACE_H

#include "queue/queue.h"

/* A line of a delivery's conversation. Nothing happens for messages that nobody watches. */
void trace_line(struct queue *q, const struct message *m, struct span line);

/* "joe... Sent (text)": for agents that hold no conversation. */
void trace_outcome(
    struct queue *q, const struct message *m, const struct recipient *r, const struct outcome *o);

/* Says that the first attempt is over, if nothing is in work any more. */
void trace_end(struct queue *q, const struct message *m);

#endif
