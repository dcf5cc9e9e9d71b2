/*
 * local: what the files of the root part share.
 */
#ifndef POSTERN_LOCAL_LOCAL_H
#define POSTERN_LOCAL_LOCAL_H

#include <sys/queue.h>

#include "common/conf/macro.h"
#include "common/server/server.h"
#include "delivery/local/expand.h"
#include "delivery/local/pool.h"
#include "delivery/local/target.h"
#include "delivery/local/writers.h"

struct job;
TAILQ_HEAD(job_list, job);

struct local {
	struct server *server;
	struct target_finder finder;
	struct pool *pool;
	uint64_t generation; /* of lookup's answers */
	struct job_list jobs;
	struct remembered *remembered; /* outcomes that queue may not have heard of */
	size_t job_count;
};

enum {
	LOCAL_CREDIT = 200, /* jobs of the queue at once */
	LOCAL_RECIPIENTS_MAX = 1000 /* of one job */
};

/* jobs_in.c: the conversation with the queue. */
int handle_job_open(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err);
int handle_job_rcpt(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err);
int handle_job_data(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err);
int handle_job_file(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err);
int handle_job_go(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err);
int handle_job_where(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err);

/* The queue is gone: what is under way is finished and logged, but nobody is told; the rest is not begun. */
void jobs_peer_down(struct local *l, struct ipc_channel *peer);

/* A recipient of a job under way. */
struct job_recipient {
	struct job *job;
	uint32_t index, attempt;
	bool finished;
	struct span recipient;
	struct span orig_to, source; /* JOB_RCPT */
	struct span
	    name; /* of the user or alias: unquoted, lower case, without extension once aliases were asked */
	struct span full_name; /* with its extension */
	struct span spelled; /* full_name as it was written */
	struct span extension; /* without its delimiter */
	struct span domain;
	struct target *user; /* freed with the recipient; NULL: nobody has asked, or there is none */
	unsigned step; /* user.c */
	const char
	    *doing; /* for who asks why it is not delivered yet; NULL: it is being looked up where it goes */
	int64_t doing_since_us; /* wall clock */
	struct letter letter;
	struct command command;
};

/* Where the message came from. */
struct job_origin {
	struct span envid, client_name, client_address, helo, protocol, sasl_method, sasl_username,
	    sasl_sender;
	uint32_t client_port; /* 0: unknown */
};

/* job.c for all others */
struct local *job_local(const struct job *job);
const char *job_ident(const struct job *job); /* in the log: local, virtual, pipe */
const struct conf_values *job_values(const struct job *job);
struct span job_sender(const struct job *job);
struct span job_nexthop(const struct job *job);
struct span job_transport(const struct job *job);
struct arena *job_arena(const struct job *job);
uint64_t job_id(const struct job *job);
uint64_t job_content_len(const struct job *job);
const struct job_origin *job_origin(const struct job *job);
size_t job_recipients(const struct job *job, struct job_recipient **list);
void job_fill_letter(const struct job *job, struct letter *letter);
bool job_is_orphan(const struct job *job);

/* Through which aliases and .forward files it came (common/mail/way.h). */
struct span job_way(const struct job *job);

/*
 * Tells the queue of an address that replaces this one; then finish with OUTCOME_EXPANDED. False: mail for it came
 * through there already.
 */
bool job_add_address(struct job_recipient *r, const struct expand_address *a);

/* Another transport is to deliver it: it gets no outcome here. */
void job_pass(struct job_recipient *r, struct span transport, struct span nexthop);

/* Logs, tells the queue, and ends the job with its last recipient. code: "5.1.1". */
void job_finish(
    struct job_recipient *r, enum outcome_class class, struct span code, struct span text, uint32_t flags);
void job_finishf(struct job_recipient *r, enum outcome_class class, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* How it ended. */
struct job_ending {
	enum outcome_class class;
	struct span code, text;
	uint32_t flags; /* OUTCOME_* */
	int64_t done_us; /* wall clock */
};

/* What job_finish() does, once nothing changes end any more (but soft_bounce). */
void job_tell(struct job_recipient *r, struct job_ending *end);

/*
 * job_filter.c: asks the tables of local_delivery_status_filter, or of that of pipe or virtual; job_tell() follows. False:
 * there are none, or nobody can ask them.
 */
bool job_filter(struct job_recipient *r, const struct job_ending *end);

/* A writers_done: the outcome is what the process of a user says. context: the job_recipient. */
void job_finish_as_told(void *context, enum outcome_class class, struct span status, struct span text);

/* From now on that is done for it: "running a command". A static text. */
void recipient_does(struct job_recipient *r, const char *doing);

/* What Delivered-To and X-Original-To lines the letter gets. kind: "file" or "command" of prepend_delivered_header. */
void recipient_fill_letter(struct job_recipient *r, const char *kind);

/* recipient.c: from a name to what it expands to, or to its user. */
void recipient_start(struct job_recipient *r);
void recipient_unknown(struct job_recipient *r);

/* For a .forward: what it leads to, with the check that mail does not come round. context: the job_recipient. */
extern const struct expand_listener recipient_listener;
void recipient_fill_request(const struct job_recipient *r, struct expand_request *request);

/* Cuts the extension off the name. */
void recipient_split(struct job_recipient *r);

/* user.c: .forward, then the ways of the mailbox. past_forward: the mailbox at once. */
void user_start(struct job_recipient *r, bool past_forward);
void user_mailbox(struct job_recipient *r);

/* Which files may hold the user's .forward. */
void recipient_fill_forward(const struct job_recipient *r, struct expand_request *request);

/* The text of a RAW parameter for this recipient: false if a name in it has no value. */
bool recipient_macro(const struct job_recipient *r, struct span text, const char *allowed, struct buf *out);

/* member.c: a command or file of an alias or .forward. */
void member_start(struct job_recipient *r, struct span digest, bool forward);

/* deed.c: gives the letter to a command of local delivery, run as rights. */
void deed_run(struct job_recipient *r, struct span line, const struct target *rights);

/* virtual.c, pipe.c */
void virtual_start(struct job_recipient *r);
void pipe_start(struct job *job, struct span name, struct span arguments, unsigned processes);

#endif
