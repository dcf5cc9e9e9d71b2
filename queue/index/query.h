/*
 * query: which messages of the index a filter means, answered from the summaries.
 *
 * A filter is first put in terms of the dictionary (a plan); then one bulk scan of the summaries, but for zones
 * that have nothing of it, answers any combination. The scan goes in steps, so that other work of the indexer comes in between, and holds no cursor across
 * them.
 */
#ifndef POSTERN_QUEUE_QUERY_H
#define POSTERN_QUEUE_QUERY_H

#include "queue/filter.h"
#include "queue/index/index.h"
#include "queue/index/rows.h"

struct query_plan;

/* f is kept by reference. Nothing of the index is read before the first question. */
struct query_plan *query_plan_new(const struct filter *f);
void query_plan_free(struct query_plan **p);

/*
 * As rows_each(), of the rows that match: those parts of a message of which a recipient is meant. What zones (zones.h)
 * say that it has no match is not read.
 */
int query_each_match(struct index *x, struct query_plan *p, uint64_t *after, size_t max_rows,
    row_visit *visit, void *context, bool *more, struct error *err);

/* Whether that recipient of a matching row is meant. 1, 0, or -1 with err. */
int query_match_recipient(struct index *x, struct query_plan *p, const struct summary *s,
    const struct summary_recipient *r, struct error *err);

#endif
