/*
 * query: which messages of the index a filter means, answered from the summaries.
 *
 * A filter is first put in terms of the dictionary (a plan); then one scan, but for zones that have nothing of it, answers any
 * combination: of the cards (images.h) where there are some, else of the summaries. The scan goes in steps, so that other work of the
 * indexer comes in between, and holds no cursor across them.
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

/* A recipient that is meant, and its message's row. Return false to stop (after that message). */
typedef bool query_visit(const struct summary *s, const struct summary_recipient *r, void *context);

/*
 * All messages from 'first' to 'last' are meant. True: their number is enough. Messages of which that was said are not
 * visited.
 */
typedef bool query_whole(uint64_t first, uint64_t last, uint64_t messages, void *context);

/*
 * Messages with ids above *after, ascending, at least max_rows of their rows if there are so many; *after and *more say how to go
 * on. whole: NULL if each is to be visited.
 */
int query_each_match(struct index *x, struct query_plan *p, uint64_t *after, size_t max_rows,
    query_visit *visit, query_whole *whole, void *context, bool *more, struct error *err);

#endif
