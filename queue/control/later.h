/*
 * later: questions that came while the index is not up to date with the log wait a little, so that the answer right after a
 * start is whole. When it takes longer (the index is made anew), they and those after them are answered with what is known, and told
 * so.
 */
#ifndef POSTERN_QUEUE_LATER_H
#define POSTERN_QUEUE_LATER_H

#include "queue/filter.h"
#include "queue/queue.h"

struct verb;

typedef void later_go(struct queue *q, struct ipc_channel *channel, uint32_t call, const struct verb *verb,
    struct filter *filter);

/* Takes filter over; go is called now or later, or not at all if the channel goes first. */
void later(struct queue *q, struct ipc_channel *channel, uint32_t call, const struct verb *verb,
    struct filter *filter, later_go *go);
void later_channel_gone(struct ipc_channel *channel);

#endif
