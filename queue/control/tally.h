/*
 * tally: counts of the messages that match, and of groups of them by age, as qshape(1) shows them.
 *
 * What is in memory when the question comes is counted at once, in the loop; then the indexer goes through the
 * summaries, some thousands at a time, and leaves those messages out. So each counts once.
 */
#ifndef POSTERN_QUEUE_TALLY_H
#define POSTERN_QUEUE_TALLY_H

#include "queue/filter.h"
#include "queue/queue.h"

/* Both take filter over. */
void tally_count(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *filter);
void tally_stats(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *filter);

void tally_taken(struct ipc_channel *channel, uint32_t call, uint32_t frames);
void tally_channel_gone(struct ipc_channel *channel);

#endif
