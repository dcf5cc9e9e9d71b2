/*
 * recovery_step: what the parts of a recovery share. It goes on in steps: tasks of the indexer or the reader, whose ends
 * come back to the loop.
 */
#ifndef POSTERN_QUEUE_RECOVERY_STEP_H
#define POSTERN_QUEUE_RECOVERY_STEP_H

#include "common/base/buf.h"
#include "queue/log/orphans.h"
#include "queue/log/recovery.h"
#include "queue/log/replay.h"
#include "queue/log/strays.h"
#include "queue/queue.h"

enum { RECOVERY_PAGE = 4000 };

enum recovery_phase { OPENING, READING, MERGING, FINISHING };

/* More users in trouble at one moment are not told of. */
enum { RECOVERY_NOTICES_MAX = 1024 };

struct recovery {
	struct queue *q;
	enum recovery_phase phase;
	bool whole, failed;
	bool at_start;
	bool sound; /* so is the index that is to be made anew */
	bool reading, read_all;
	unsigned storing;
	uint64_t from, limit;
	uint64_t counted_to; /* ids; UINT64_MAX: all are counted as they are found */
	uint64_t rows;
	int64_t began_us;
	struct replay *replay;
	struct event *again;
	void (*retry)(struct recovery *r);
	struct row_batch *kept; /* could not be stored yet; linked by 'next' */
	struct orphans orphans;
	struct strays *strays; /* that were found; may be NULL */
	bool cut; /* the log has lost its end */
	uint64_t notices[RECOVERY_NOTICES_MAX]; /* notify_found() is to hear of these */
	size_t notice_count;
};

struct recovery_step {
	struct task task;
	struct recovery *r;
	struct index *index;
	struct replay *replay;
	struct row_batch *batch;
	bool renew, more;
	bool cut;
	bool sound; /* the same */
	struct strays *strays; /* of the index that is to be wiped */
	struct log_place *places; /* where the log is */
	size_t place_count;
	uint64_t limit, oldest, after;
	size_t count;
	struct buf lines, hops;
	struct counted {
		uint64_t id, position, octets;
	} rows[RECOVERY_PAGE];
	int status;
	struct error err;
};

struct recovery_step *recovery_step_new(
    struct recovery *r, bool (*run)(struct task *t), void (*done)(struct task *t));
void recovery_step_free(struct recovery_step *s);

/* Lines for the log that a step left, each ended by LF. */
void recovery_log_lines(const struct buf *lines);

/* In a few seconds; until then the index is in trouble. */
void recovery_try_again(struct recovery *r, const struct error *err, void (*retry)(struct recovery *r));

/* recovery_index.c: the one that is there, or a new one; then recovery_read_on(). */
void recovery_open_index(struct recovery *r, bool renew);

/* What of the log the index has not; then recovery_count_on(). */
void recovery_read_on(struct recovery *r);

/* The index is damaged, or so it seems: all begins anew with an empty one. */
void recovery_give_up(struct recovery *r, const struct error *err);

/* recovery_count.c: the segments' counts and the hops, when nothing is left to be read; then recovery_finish(). */
void recovery_count_on(struct recovery *r);
void recovery_finish(struct recovery *r);

#endif
