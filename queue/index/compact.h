/*
 * compact: pages of the index that became half empty are joined, and what is free at the end of a file is given back.
 *
 * Rows that grow split full pages, and removals empty them. When about as much was changed as the tables hold, or half as
 * much removed, all of them are gone through, some thousand rows a step, and again while that is of use; other
 * transactions go on between the steps.
 */
#ifndef POSTERN_QUEUE_COMPACT_H
#define POSTERN_QUEUE_COMPACT_H

#include "queue/index/index_db.h"

bool compact_is_due(const struct index *x);

/* One step. 1: there is more to do, 0: it is over, -1 err (and over). */
int compact_step(struct index *x, struct error *err);

/* So many octets were stored. */
void compact_note(struct index *x, size_t octets);

/* So many were removed: that leaves holes for certain, and counts for more. */
void compact_note_gone(struct index *x, size_t octets);

#endif
