/*
 * kept: which worker knows what became of attempts that queue handed out before it died.
 *
 * Each tells when it is connected (JOB_KEPT). Until all have told, or for two seconds, mail from before the start is not handed out;
 * then each such attempt goes to who knows of it, and so is not made twice.
 */
#ifndef POSTERN_QUEUE_KEPT_H
#define POSTERN_QUEUE_KEPT_H

#include "queue/queue.h"

struct kept_attempt {
	uint64_t hash;
	uint32_t worker;
};

struct kept {
	struct kept_attempt *attempts;
	size_t count, cap;
	bool sorted;
	uint64_t told; /* workers, a bit each */
	int64_t since_us; /* monotonic: the start */
};

ipc_handler kept_told;

/* The message may be handed out. */
bool kept_may_start(const struct queue *q, const struct message *m);

/* Is there a worker that knows of the recipient's next attempt? */
bool kept_worker(struct queue *q, const struct message *m, const struct recipient *r, uint32_t *worker);

#endif
