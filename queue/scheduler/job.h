/*
 * job: what job.c (handing out, answers) and job_state.c (what is being done for it) share.
 */
#ifndef POSTERN_QUEUE_JOB_H
#define POSTERN_QUEUE_JOB_H

#include "queue/scheduler/hop.h"

/* As in JOB_STATE. Times in microseconds of the wall clock, 0: not known. */
struct job_state {
	bool told; /* since the worker was asked last */
	int64_t since_us, until_us;
	char relay[401], doing[201];
};

struct job {
	TAILQ_ENTRY(job) link;
	struct queue *q;
	struct hop *hop;
	struct message *message;
	enum role role;
	enum hop_class class; /* that the hop had */
	uint32_t worker;
	uint32_t call; /* 0: the worker has not got it yet */
	struct job_state *state; /* what it says of it; NULL: it was not asked */
	int64_t begun_us,
	    asked_us; /* monotonic: when it was handed out; the same, or when jobs_look() asked last */
	bool slow; /* hop.h */
	bool flush;
	int64_t active_us;
	uint32_t count;
	bool added; /* what an alias became: it is due now */
	struct table *known; /* the message's recipients by (orig, address), once something is added */
	uint32_t known_count; /* so many of them are in it */
	struct recipient *recipients[];
};

/* ---- job_state.c ---- */

/* Asks the worker what it does for the recipient's job, if there is one. control_explain_told() follows, or nothing. */
void job_ask_state(const struct recipient *r);
void job_take_state(struct job *job, const struct msg_job_state *said);

/*
 * A job may take any time, but not because its worker has forgotten it: who says nothing for so long has. Each second those who
 * have been silent for a quarter of that are asked, and whatever they say is a sign of life (ipc.h: a PART).
 *
 * All mailboxes of a domain are one hop. What takes longer than JOB_SLOW_S waits for something that is that mailbox's alone (a lock,
 * a home on a server that is away): it keeps no place from the others, as long as there are no more of it than JOBS_SLOW_MAX.
 */
enum { JOB_SILENT_S = 2 * 3600, JOB_SLOW_S = 2, JOBS_SLOW_MAX = 80 };
void jobs_look(struct queue *q);

/* The job ends: whoever waits for its state need not any more. */
void job_state_free(struct job *job);

/* Some worker was asked for m and has said nothing yet. */
bool jobs_owe_state(const struct message *m);

#endif
