/*
 * outside: next hops for which there is no place in memory. Their mail waits in the index.
 *
 * Mail to millions of domains, or a table of routes that makes a next hop of whatever it is asked, may not make queue grow without
 * end, nor end it. While places are few, hops that have nothing to do for a while lose theirs; and the index is looked
 * through for what comes due, in steps, until all of its hops have a place again.
 */
#ifndef POSTERN_QUEUE_OUTSIDE_H
#define POSTERN_QUEUE_OUTSIDE_H

#include "queue/queue.h"

struct outside {
	bool any; /* hops of the index may have no place */
	bool more; /* one was left out since the present look began */
	bool looking;
	uint32_t from; /* the hop's number where it goes on */
	int64_t look_us; /* monotonic: not before */
};

/* A hop that has mail in the index, or will have, has no place. */
void outside_note(struct queue *q);

/* Few places are left. */
bool outside_is_crowded(const struct queue *q);

/* Hops without anything to do up to then (spool time) will be found before it. */
int64_t outside_far(int64_t now);

/* Each second. */
void outside_tick(struct queue *q);

#endif
