/*
 * check: whether all that the index keeps of a message beside its row is there.
 */
#ifndef POSTERN_QUEUE_INDEX_CHECK_H
#define POSTERN_QUEUE_INDEX_CHECK_H

#include "queue/index/index.h"

/* -1 with err: a key or a summary is missing. */
int index_check(struct index *x, const struct index_row *row, struct error *err);

#endif
