/*
 * orphans: files of large messages that no record names, for their submission never ended. Looked for at the start.
 */
#ifndef POSTERN_QUEUE_ORPHANS_H
#define POSTERN_QUEUE_ORPHANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

/* ids: of message files; owned. */
struct orphans {
	uint64_t *ids;
	size_t count;
};

/* All files that are there now: what comes later has its record to come. */
void orphans_list(struct queue *q, struct orphans *o);

/* Those of them that neither memory nor the index knows go, in the background. keep: to the damaged ones instead. */
void orphans_remove(struct queue *q, struct orphans *o, bool keep);

void orphans_free(struct orphans *o);

#endif
