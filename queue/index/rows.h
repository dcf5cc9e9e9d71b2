/*
 * rows: a bulk scan of the summaries.
 */
#ifndef POSTERN_QUEUE_ROWS_H
#define POSTERN_QUEUE_ROWS_H

#include "queue/index/index.h"
#include "queue/index/summary.h"

/* Return false to stop (after the message whose row it is). */
typedef bool row_visit(const struct summary *row, void *context);

/*
 * Every row of messages with ids above *after up to last, at least max_rows if there are so many. *after and *more say how
 * to go on; no cursor is kept.
 */
int rows_each(struct index *x, uint64_t *after, uint64_t last, size_t max_rows, row_visit *visit,
    void *context, bool *more, struct error *err);

#endif
