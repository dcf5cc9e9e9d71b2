/*
 * expansion: the addresses that a worker says an alias or .forward leads to.
 *
 * All of them become recipients of the message when the worker tells what became of the alias, or none does: an alias that is
 * returned to the sender went to nobody in that attempt. Before that they are in no record, so that a crash forgets them.
 */
#ifndef POSTERN_QUEUE_EXPANSION_H
#define POSTERN_QUEUE_EXPANSION_H

#include "queue/scheduler/job.h"

enum { EXPANSION_TEXT_SIZE = 700 };

/* An address behind r, which is in the job. Nothing happens where (orig, address) is known already. */
void expansion_add(struct job *job, struct recipient *r, const struct msg_job_add_rcpt *msg);

/*
 * The outcome of r. One that was to more than the message has room for becomes a bounce; of what is one none is kept, and any other
 * is recorded after them.
 */
void expansion_end(struct job *job, struct recipient *r, struct outcome *o);

/*
 * What is said of r when it is returned: text, and how many addresses behind it were found in attempts that were put off. They have it, or
 * will: the report names the list alone (RFC 3464, 2.3.2), and its reader might send it to all of them again. out: for the result.
 */
struct span expansion_bounce(
    const struct message *m, const struct recipient *r, struct span text, char out[EXPANSION_TEXT_SIZE]);

/* r leaves its job without an outcome. */
void expansion_forget(struct message *m, struct recipient *r);

#endif
