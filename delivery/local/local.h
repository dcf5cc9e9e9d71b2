/*
 * local: what the files of the root part share.
 */
#ifndef POSTERN_LOCAL_LOCAL_H
#define POSTERN_LOCAL_LOCAL_H

#include <sys/queue.h>

#include "common/server/server.h"
#include "delivery/local/expand.h"
#include "delivery/local/target.h"
#include "delivery/local/writers.h"

struct job;
TAILQ_HEAD(job_list, job);

struct local {
	struct server *server;
	struct target_finder finder;
	struct writers *writers;
	struct job_list jobs;
	size_t job_count;
};

enum {
	LOCAL_CREDIT = 200, /* jobs of the queue at once */
	LOCAL_RECIPIENTS_MAX = 1000 /* of one job */
};

/* job.c: the conversation with the queue. */
int handle_job_open(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err);
int handle_job_rcpt(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err);
int handle_job_data(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err);
int handle_job_file(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err);
int handle_job_go(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err);

/* The queue is gone: what is under way is finished and logged, but nobody is told; the rest is not begun. */
void jobs_peer_down(struct local *l, struct ipc_channel *peer);

/* A recipient of a job under way. */
struct job_recipient {
	struct job *job;
	uint32_t index;
	bool finished;
	struct span recipient;
	struct span orig_to;
	struct span
	    name; /* of the user or alias: unquoted, lower case, without extension once aliases were asked */
	struct span domain;
	struct letter letter;
};

/* job.c for recipient.c */
struct local *job_local(const struct job *job);
struct span job_sender(const struct job *job);
struct arena *job_arena(const struct job *job);
void job_fill_letter(const struct job *job, struct letter *letter);
bool job_is_orphan(const struct job *job);

/* Tells the queue of an address that replaces this one; then finish with OUTCOME_EXPANDED. */
void job_add_address(struct job_recipient *r, const struct expand_address *a);

/* Logs, tells the queue, and ends the job with its last recipient. code: "5.1.1". */
void job_finish(
    struct job_recipient *r, enum outcome_class class, struct span code, struct span text, uint32_t flags);
void job_finishf(struct job_recipient *r, enum outcome_class class, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* recipient.c: from a name to its mailbox or to what it expands to. */
void recipient_start(struct job_recipient *r);

#endif
