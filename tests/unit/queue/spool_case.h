/*
 * spool_case: a disk that fails where the test says, and what tests of a whole spool ask of it.
 */
#ifndef POSTERN_TESTS_UNIT_QUEUE_SPOOL_CASE_H
#define POSTERN_TESTS_UNIT_QUEUE_SPOOL_CASE_H

#include <stdatomic.h>

#include "tests/unit/queue/world.h"

extern struct spool_disk {
	atomic_int writes, syncs, fail_write, fail_sync, fail_errno; /* fail_*: the n-th from now; 0: none */
	atomic_bool hold_sync;
	atomic_bool
	    watch_lost; /* what was written since the last sync is lost when that fails, as kernels do */
} spool_disk;

/* Whether this is the call that a countdown to 0 means; a countdown of 0 means none. */
bool spool_hits(atomic_int *countdown);

/* Of each test. */
int spool_set_up(void **state);
int spool_tear_down(void **state);

/* Closed, and opened again with settings; closed, and removed. */
void spool_reopen(struct world **w, const char *settings);
void spool_finish(struct world **w);

/* NULL unless there is one in memory, and no other. */
struct message *spool_only_message(struct world *w);

/* How many messages are in the queue, in memory or index. Only while the indexer rests. */
size_t spool_in_queue(struct world *w);
extern uint64_t spool_found[64]; /* the last ones of these */

#endif
