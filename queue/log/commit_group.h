/*
 * commit_group: whether a commit waits a little for company.
 *
 * Where a flush takes long, those who were just answered come back while the next flush is under way, with fewer, and all wait
 * twice: two half groups follow each other for ever. A commit that waits until as many are there as there lately were
 * makes one group of them. It waits no longer than a flush takes, not at all on a disk whose flush is
 * fast, and if the others did not come, the next commits do not wait.
 */
#ifndef POSTERN_QUEUE_COMMIT_GROUP_H
#define POSTERN_QUEUE_COMMIT_GROUP_H

#include <stdbool.h>
#include <stdint.h>

struct commit_group {
	int64_t flush_us; /* what a flush takes: a running mean */
	int64_t ended_us; /* when the last one ended, monotonic; 0: there was none */
	unsigned answered; /* messages that it made durable */
	unsigned expected; /* messages that the next commit may hold */
	bool open; /* 'expected' is known: the first of the next commit are there */
	unsigned rests; /* commits to come that do not wait */
	unsigned penalty; /* what rests was set to last */
};

/* A flush of so many messages has ended. */
void commit_group_flushed(struct commit_group *g, unsigned messages, int64_t begun_us, int64_t now_us);

/* So many messages are there to be committed. How long to wait for more, microseconds; 0: commit. */
int64_t commit_group_wait(struct commit_group *g, unsigned messages, int64_t now_us);

#endif
