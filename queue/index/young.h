/*
 * young: the border between memory and index. See young.c.
 */
#ifndef POSTERN_QUEUE_YOUNG_H
#define POSTERN_QUEUE_YOUNG_H

#include "queue/queue.h"

void young_reflect(struct queue *q, struct message *m, uint64_t position);
void young_want_index(struct queue *q, struct message *m);
void young_tick(struct queue *q);
void young_store(struct queue *q);

/* The list of unreflected messages anew, after the index was emptied: what it had is owed to it again. */
void young_reorder(struct queue *q);

/* Everything durable is reflected or listed as unreflected: where replay would start. */
uint64_t young_replay_position(const struct queue *q);

/* The message may leave memory, if nothing holds it. */
void young_settle(struct queue *q, struct message *m);

/* Brings a row into memory. NULL if it is damaged. It must not be there yet. */
struct message *young_from_row(struct queue *q, const struct index_row *row);

/* Messages in the queue by id, from memory or index: found(q, m or NULL, context); m is in memory while it runs. */
typedef void message_found(struct queue *q, struct message *m, void *context);
void young_get(struct queue *q, uint64_t id, message_found *found, void *context);

#endif
