/*
 * replay: from the log as it lies on the disk to what is in the queue.
 *
 * At the start only the segments' headers and the end of the newest are read: then mail is accepted. The rest is
 * recovery's, in the background: the records from the index's position on, segment by segment from the newest to the
 * oldest. So the first record of a message that is met is its last, all that was said of it later is known (changes.h),
 * and what comes out is final: it goes into the index once, and may be delivered at once.
 */
#ifndef POSTERN_QUEUE_REPLAY_H
#define POSTERN_QUEUE_REPLAY_H

#include "queue/index/index.h"
#include "queue/log/changes.h"
#include "queue/log/scan.h"

struct queue;

/* Finds the segments and where the log ended: number and first of the next segment, ids and time. No thread runs yet. */
int replay_open(struct queue *q, uint64_t *next_number, uint64_t *next_first, struct error *err);

/* Rows on their way into the index. */
enum { BATCH_ROWS = 256 };

struct row_batch {
	struct row_batch *next;
	struct index_change changes[BATCH_ROWS]; /* row.ptr is set by row_batch_ready() */
	size_t ends[BATCH_ROWS];
	struct buf rows;
	size_t count;
};

struct row_batch *row_batch_new(void);
void row_batch_free(struct row_batch **b);
bool row_batch_is_full(const struct row_batch *b);
void row_batch_ready(struct row_batch *b);

struct replay;

/*
 * The log from 'from' to 'limit', which may be in use meanwhile beyond that. whole: everything is read, nothing needs
 * to be known of messages without a record. skip: ids that are known better elsewhere; taken over.
 */
struct replay *replay_new(
    const struct queue *q, uint64_t from, uint64_t limit, bool whole, struct id_set *skip);
void replay_free(struct replay **r);

/* One bounded step, in any thread. 1: go on, 0: all is read. Nothing ends it early: what is bad is set aside. */
int replay_step(struct replay *r, struct row_batch *out);

/* Afterwards, unless whole: changes to messages that only the index knows. 1: go on, 0: done, -1 err (of the index). */
int replay_merge(struct replay *r, struct index *x, struct error *err);

/* The log says that this message is gone. Not for 'whole'. */
bool replay_has_removed(const struct replay *r, uint64_t id);

/* What was found so far. The text is taken: lines for the log, or empty. */
struct replay_count {
	uint64_t records, messages, damages, octets;
	uint64_t id_high;
};
const struct replay_count *replay_counts(const struct replay *r);
void replay_take_report(struct replay *r, struct buf *lines);

#endif
