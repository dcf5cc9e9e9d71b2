/*
 * tidy: what keeps the index small, done by the indexer in steps between its other work.
 */
#ifndef POSTERN_QUEUE_TIDY_H
#define POSTERN_QUEUE_TIDY_H

struct queue;

/* Each second. */
void tidy_tick(struct queue *q);

#endif
