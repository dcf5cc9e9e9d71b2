/*
 * log_writer: the thread that alone appends to the spool's log.
 *
 * The loop hands it encoded records; the writer gives them their positions and checksums, writes all that wait at once
 * (gathered, but for large ones, which are written from where they lie) and makes them durable with one fdatasync (group commit), while what arrives meanwhile gathers (commit_group.h). Works
 * come back, in order, through the 'out' mailbox.
 *
 * Invariant 1: a record comes back as LOG_DURABLE only after the fdatasync that covers it succeeded.
 * Invariant 7: after a failed write or sync the segment is sealed, for the kernel may have dropped what it could not
 * write. Records marked 'must' (what is known of accepted mail) are appended anew in the next segment; others come
 * back as LOG_FAILED, messages only when a removal is durable elsewhere, so that no remnant of what was refused counts.
 */
#ifndef POSTERN_QUEUE_LOG_WRITER_H
#define POSTERN_QUEUE_LOG_WRITER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "queue/log/commit_group.h"
#include "queue/log/segment.h"
#include "queue/mailbox.h"

enum log_kind {
	LOG_RECORD,
	LOG_SPARE, /* loop to writer: the next segment to use; flag: it is the reserve */
	LOG_REFUSE, /* loop to writer: no spare is to be had (flag), refuse what is not 'must' rather than wait */
	LOG_STOP, /* loop to writer: end the thread */
	LOG_BEGUN, /* writer to loop: 'segment' is now written to; a spare is wanted */
	LOG_SEALED /* writer to loop: 'segment' failed (text) or is full; its last position is 'position' */
};

enum log_status { LOG_PENDING, LOG_DURABLE, LOG_NO_SPACE, LOG_FAILED };

struct log_work {
	struct work work;
	enum log_kind kind;
	enum log_status status;
	enum record_type type;
	bool must;
	bool
	    lazy; /* written at once, so that it outlives the process; synced with others, or after lazy_us */
	bool flag;
	uint64_t id;
	uint64_t position;
	size_t len;
	uint8_t *bytes; /* the record; owned by whoever made the work */
	void (*done)(struct log_work *w); /* called by the loop */
	void *context;
	void *context2;
	struct segment segment;
	struct log_work *refused; /* told of its failure when this, its removal, is durable */
	char *text;
};

struct log_writer {
	struct mailbox in;
	struct mailbox out;
	pthread_t thread;
	bool started;
	bool sync; /* queue_sync */
	int64_t lazy_us; /* spool_outcome_delay, less what a sync may take */
	int64_t (*spool_now)(void); /* for commit marks; thread-safe */

	/* The writer's own from here on. */
	struct segment current; /* fd -1: none */
	struct segment spare;
	struct segment reserve; /* for 'must' records when there is no spare */
	atomic_uint_fast64_t
	    stuck; /* octets of the longest 'must' record that waits; 0: none. The loop reads it */
	atomic_int_fast64_t
	    busy_since_us; /* monotonic: when the write or sync that is under way began; 0: none. The loop reads it */
	bool refuse;
	uint64_t offset; /* where the next record goes */
	uint64_t id_high;
	uint64_t next_number;
	uint64_t next_first;
	uint8_t *batch; /* page-aligned: begins with the page that is partly written */
	size_t batch_cap;
	size_t tail_len; /* octets at its start that are on disk already (or are the header) */
	struct work_list waiting; /* for room */
	struct work_list unsynced; /* lazy ones that are written: invariant 2 */
	int64_t unsynced_since_us;
	int64_t looked_us; /* monotonic: when the segment's file had a name last */
	struct commit_group group;
};

/* Before start: number and first of the first segment that it begins; id_high: ids known to be used. */
int log_writer_init(
    struct log_writer *w, uint64_t number, uint64_t first, uint64_t id_high, struct error *err);
int log_writer_start(struct log_writer *w, struct error *err);

/* Ends the thread after all that it was given. */
void log_writer_stop(struct log_writer *w);

/* Syncs what is only written. */
void log_writer_sync(struct log_writer *w);

/* One step without the thread, for tests: works through the list and puts results into 'out'. */
void log_writer_process(struct log_writer *w, struct work_list *list);

#endif
