/*
 * attempts: what came of a recipient's attempts before the last one, kept with it in few octets.
 *
 * Attempts in a row that came to the same are one run. The text has a line for each run, oldest first; the oldest give
 * way. Hosts that one attempt tried before its last one are lines, too.
 */
#ifndef POSTERN_QUEUE_ATTEMPTS_H
#define POSTERN_QUEUE_ATTEMPTS_H

#include <stdbool.h>

#include "queue/log/record.h"

enum { ATTEMPTS_MAX = 1000 /* octets */ };

struct attempt_run {
	uint32_t first, last; /* number of the attempt */
	int64_t first_us, last_us;
	struct span status, relay, text;
};

/* The history of p with p's last attempt added to it, at most max octets. */
void attempts_push(struct buf *out, const struct part_recipient *p, size_t max);

/* Takes the oldest run off the front. False at the end; what is malformed is passed over. */
bool attempts_next(struct span *history, struct attempt_run *run);

/* Hosts of one attempt ("host TAB what it said"). */
void attempts_add_host(struct buf *tried, struct span host, struct span text);
bool attempts_next_host(struct span *tried, struct span *host, struct span *text);

#endif
