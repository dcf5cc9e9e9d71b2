/*
 * sweep: takes texts out of the dictionary that no summary refers to.
 *
 * Marks what the summaries use, some thousands a step, and removes what is not marked; other transactions go on between
 * the steps, and mark what they use. Only numbers that were given before the sweep began are looked at.
 */
#ifndef POSTERN_QUEUE_SWEEP_H
#define POSTERN_QUEUE_SWEEP_H

#include "queue/index/index_db.h"

/* So many texts are new since the last time that it is worth while. */
bool sweep_is_due(const struct index *x);

/* One step. 1: there is more to do, 0: the sweep is over, -1 err (and over). */
int sweep_step(struct index *x, struct error *err);

/* That number is used. */
void sweep_note(struct index *x, uint32_t number);

/* Ends a sweep that is under way. */
void sweep_stop(struct index *x);

#endif
