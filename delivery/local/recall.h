/*
 * recall: what recipients got in this very attempt, for a queue that died before it had written it down.
 */
#ifndef POSTERN_LOCAL_RECALL_H
#define POSTERN_LOCAL_RECALL_H

#include <stdbool.h>

#include "delivery/local/local.h"

struct remembered;

/* Only what stands for itself is kept: an expansion is done again, and queue tells its recipients apart. */
void recall_keep(struct remembered *kept, uint64_t id, const struct job_recipient *r,
    const struct msg_job_outcome *outcome);

/* Fills in class, flags, status and text (which live until the next call) if there is one. It stays remembered. */
bool recall_outcome(
    struct remembered *kept, uint64_t id, const struct job_recipient *r, struct msg_job_outcome *outcome);

#endif
