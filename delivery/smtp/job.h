/*
 * job: a message for some recipients of one next hop, as queue hands it over (JOB_* in messages.def), and the way
 * back of its outcomes: a line in the log and a JOB_OUTCOME for each recipient, JOB_DONE at the end.
 */
#ifndef POSTERN_DELIVERY_SMTP_JOB_H
#define POSTERN_DELIVERY_SMTP_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/span.h"
#include "common/ipc/ipc.h"
#include "common/mail/delay.h"
#include "common/mail/queue_id.h"
#include "common/mail/remembered.h"
#include "delivery/smtp/agent.h"
#include "delivery/smtp/verdict.h"

struct attempt;
struct generic;
struct out_checks;

/* More than any queue sends at once; a queue that names more breaks the protocol. */
enum { JOB_RECIPIENTS_MAX = 10000, JOB_INLINE_MAX = 16 * 1024 * 1024, JOB_DELIVERED_MAX = 20000 };

struct recipient {
	uint32_t index;
	uint32_t attempt;
	struct span address;
	struct span rcpt_to; /* the address as it leaves (generic.h) */
	struct span orig_to, source; /* JOB_RCPT */
	struct span orcpt;
	uint8_t notify;
	bool accepted; /* in the present transaction */
	bool ruled; /* the present transaction has said what becomes of it */
	bool put_off; /* it was one too many for the last transaction */
	bool done; /* its outcome went out */
	struct verdict *last; /* why it is still open; NULL: nothing was tried */
	struct tried *tried; /* the hosts that it was tried with; NULL: none so far */
};

struct job {
	struct agent *agent;
	struct job *next_by_call;
	struct ipc_channel *queue; /* NULL when queue has gone: nobody waits for the outcomes */
	uint32_t call;
	struct arena *arena;
	struct conf *conf; /* with what transport_services says of the transport */
	const char *mistake; /* in that: the mail waits; NULL: none */
	uint64_t id;
	char queue_id[QUEUE_ID_SIZE];
	uint32_t flags; /* MAIL_*, JOB_* */
	bool lmtp;
	bool started;
	bool waits; /* for a job of a queue that died, which is committing one of its recipients */
	struct log log;
	struct span transport;
	struct span nexthop;
	struct span sender; /* as it leaves */
	struct span login_sender; /* as it came: whose login it may be */
	struct span envid;
	int64_t arrival_us, active_us, agent_us, connected_us;
	uint64_t content_len;
	struct buf content; /* unless content_fd is there */
	int content_fd;
	uint64_t content_offset;
	struct span delivered_to; /* through which aliases and .forward files it came, one a line */
	struct buf head; /* stands for the first head_replaces octets of the content */
	uint64_t head_replaces;
	struct recipient *recipients;
	size_t recipient_count, recipient_capacity;
	size_t open; /* recipients without an outcome */
	size_t asking; /* recipients with one that is being asked about (job_filter.c) */
	bool ended; /* but for those */
	enum hop_state hop;
	char hop_reason[400]; /* why the next hop is down: what queue says of mail that it holds back */
	struct out_checks *checks; /* header and body checks are under way */
	struct generic *generic; /* addresses are being rewritten */
	struct attempt *attempt;
};

struct jobs;
struct jobs *jobs_new(void);
void jobs_free(struct jobs **j);
size_t jobs_count(const struct jobs *j);

/* queue has gone: unfinished jobs end, but for those whose message may be taken by the peer already. */
void jobs_queue_gone(struct agent *agent, const struct ipc_channel *queue);

/* A queue is there: it is told of what was made of attempts, or is being made, for the one before it. */
void jobs_tell_queue(struct agent *agent, struct ipc_channel *queue);

/* The handlers of JOB_OPEN and what follows it; each returns -1 with err for a frame out of place. */
int job_handle_open(
    struct agent *agent, struct ipc_channel *queue, const struct ipc_frame *frame, struct error *err);
int job_handle_rcpt(
    struct agent *agent, struct ipc_channel *queue, const struct ipc_frame *frame, struct error *err);
int job_handle_data(
    struct agent *agent, struct ipc_channel *queue, const struct ipc_frame *frame, struct error *err);
int job_handle_file(
    struct agent *agent, struct ipc_channel *queue, const struct ipc_frame *frame, struct error *err);
int job_handle_go(
    struct agent *agent, struct ipc_channel *queue, const struct ipc_frame *frame, struct error *err);

int job_handle_where(
    struct agent *agent, struct ipc_channel *queue, const struct ipc_frame *frame, struct error *err);

/* ---- job_report.c ---- */

/* This very attempt, should queue die before it has heard of its outcome. */
struct remembered_key job_key(const struct job *job, const struct recipient *rcpt);

/* How a recipient's delivery ended, for the log. conn_use: how many transactions the connection has seen, 0: none. */
struct job_end {
	struct delay_marks marks;
	unsigned conn_use;
};

/* The recipient's outcome, unless it has one; told once smtp_delivery_status_filter, if there is one, was asked about it. */
void job_report(struct job *job, struct recipient *rcpt, const struct verdict *v, unsigned conn_use);

/* The same, of an outcome that was told before: nobody is asked. */
void job_repeat(struct job *job, struct recipient *rcpt, const struct verdict *v);

/* Into the log and to queue. */
void job_tell(struct job *job, struct recipient *rcpt, const struct verdict *v, const struct job_end *end);

/* Not yet: why it is still open. */
void job_keep(struct job *job, struct recipient *rcpt, const struct verdict *v);

/* A line of the conversation for sendmail -v, if somebody waits for it. */
void job_trace(struct job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- job_filter.c ---- */

/* Asks the tables of smtp_delivery_status_filter; job_tell() follows. False: there are none, or nobody can ask them. */
bool job_filter(struct job *job, struct recipient *rcpt, const struct verdict *v, const struct job_end *end);

/* ---- job.c ---- */

/*
 * The message cannot leave without SMTPUTF8 (RFC 6531, 3.2): its sender asked for it, and an address or the header has more
 * than ASCII.
 */
bool job_needs_smtputf8(const struct job *job);

/* Octets of the message as it leaves. */
uint64_t job_size(const struct job *job);

/* The Delivered-To lines of those through whom the message came, the last of them first. */
void job_put_delivered(const struct job *job, struct buf *head);

/* JOB_DONE; the job is gone, for whoever calls this, though outcomes may still be asked about. */
void job_finish(struct job *job);

#endif
