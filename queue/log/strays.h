/*
 * strays: messages that the index has, while the segment of their record was deleted or emptied by somebody.
 *
 * What the index says of them is all that is left. The content of a large one is in its file: it gets a new record. The others are deferred
 * with that reason until their segment is put back or they expire. Where the index is about to be wiped they get a record, too, as of
 * messages whose file is missing: so their senders are told in the end. Looked for at the start, and before a rebuild.
 */
#ifndef POSTERN_QUEUE_STRAYS_H
#define POSTERN_QUEUE_STRAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "queue/log/orphans.h"

struct index;
struct queue;
struct strays;

/* A position that no log reaches: theirs, until they are in the log again. */
#define STRAYS_NOWHERE (UINT64_MAX / 2)

/* A place of the log that is there. */
struct log_place {
	uint64_t first, size;
};

struct strays *strays_new(void);
void strays_free(struct strays **s);

/* The index has it, and will have it: that its place is gone was seen. */
void strays_add(struct strays *s, uint64_t id);

/* They are from an index that is older than the log, and may have been finished since: the log tells of them, and that is all. */
void strays_are_old(struct strays *s);

/*
 * All messages of an index that is about to be wiped whose record lies in none of the places; with what the index says of them, up
 * to 64 MB and 100,000 messages. In the indexer's thread. -1 with err: the index cannot be read to its end.
 */
int strays_find(
    struct strays *s, struct index *x, const struct log_place *places, size_t count, struct error *err);

/* Those of whose end the queue knows, and the index did not yet. In the loop, before anything else happens there. */
void strays_leave_out_removed(struct strays *s, const struct queue *q);

/* Behind a recovery: makes them whole again one by one, then removes or keeps the orphans. Takes over *s and *o. */
void strays_settle(struct queue *q, struct strays **s, struct orphans *o, bool keep_orphans);

/* Forgets what is under way, for spool_stop(). */
void strays_stop(struct queue *q);

#endif
