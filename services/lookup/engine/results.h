/*
 * results: what a table of addresses (canonical, virtual, generic, bcc) says of one address.
 */
#ifndef POSTERN_ENGINE_RESULTS_H
#define POSTERN_ENGINE_RESULTS_H

#include "services/lookup/engine/engine.h"

/* The addresses of one result, in order, complete. */
struct results {
	struct question *q;
	struct span from; /* the address that was looked up */
	struct span extension; /* to be added to each; empty: none */
	struct span *list;
	size_t count, room;
};

/*
 * Looks address up as canonical(5) says. False if there is nothing, or the question failed. extension: what the key
 * lacked of the address is copied to each result. Nothing is in list where q->may_be_empty and the table says "<>".
 */
bool results_find(
    struct results *r, struct question *q, struct maplist *list, struct span address, bool extension);

#endif
