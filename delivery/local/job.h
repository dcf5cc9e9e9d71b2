/*
 * job: what a job is made of, for the two files that know: jobs_in.c, its beginning and its end, and job.c, what is told
 * of it. All others see it through local.h.
 */
#ifndef POSTERN_LOCAL_JOB_H
#define POSTERN_LOCAL_JOB_H

#include "common/base/buf.h"
#include "common/mail/delay.h"
#include "delivery/local/local.h"

struct job {
	TAILQ_ENTRY(job) link;
	struct local *local;
	struct ipc_channel *channel; /* NULL once the queue is gone */
	uint32_t call;
	struct arena *arena;
	uint64_t id;
	struct span sender, transport, nexthop;
	struct span delivered_to; /* through which aliases it came here, one a line */
	struct job_origin origin;
	const char *ident, *relay; /* in the log */
	struct conf *conf;
	uint64_t content_len, header_len;
	struct buf content;
	int fd;
	uint64_t offset;
	struct delay_marks marks;
	bool begun;
	bool waits; /* for one of a queue that died, which is at work for one of its recipients */
	size_t expected, count, finished;
	struct job_recipient *recipients;
};

/* jobs_in.c: nothing of it is left to be done; it is freed. */
void job_end(struct job *job);

#endif
