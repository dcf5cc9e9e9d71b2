/*
 * job: a message for some recipients of one hop, in the hands of a worker.
 *
 * Conversation: JOB_OPEN, a JOB_RCPT each, content as JOB_DATA or JOB_FILE, JOB_GO; the worker answers JOB_OUTCOMEs,
 * JOB_ADD_RCPTs and JOB_DONE. If the worker dies, recipients without an outcome go back to the scheduler.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/mail/outcome.h"
#include "queue/control/trace.h"
#include "queue/log/disk.h"
#include "queue/scheduler/expansion.h"
#include "queue/scheduler/hop.h"
#include "queue/scheduler/workers.h"
#include "queue/spool_clock.h"

enum { PIECE = 61440, PASSES_MAX = 5 };

/* ---- the end ---- */

static void
job_free(struct job *job)
{
	struct queue *q = job->q;
	struct message *m = job->message;
	struct hop *hop = job->hop;

	m->jobs--;
	q->active_jobs--;
	q->scheduler->jobs[job->class]--;
	TAILQ_REMOVE(&q->scheduler->under_way, job, link);
	hop->active--;
	hop->slow -= job->slow;
	hop->transport->active--;
	table_free(&job->known);
	job_state_free(job);
	free(job);
	transport_go_on(hop->transport);
	hop_touch(q, hop);
	trace_end(q, m);
	outcome_settle(q, m);
	scheduler_run_soon(q);
}

/* Recipients that got no outcome: to be tried again, without an attempt being counted. */
static void
give_back(struct job *job, int64_t wait_us)
{
	for (uint32_t i = 0; i < job->count; i++) {
		struct recipient *r = job->recipients[i];

		if (r->job != job)
			continue;
		expansion_forget(job->message, r);
		r->job = NULL;
		r->hop = NULL;
		r->p.due_spool_us = spool_clock_now() + wait_us;
		scheduler_note_due(job->q, r->p.transport, r->p.nexthop, r->p.due_spool_us, job->message->id);
		journal_outcome(job->q, job->message, r);
	}
}

/* ---- answers ---- */

static void
settle(struct job *job, struct recipient *r, const struct outcome *o)
{
	r->job = NULL;
	r->hop = NULL;
	r->passes = 0;
	outcome_set(job->q, job->message, r, o);
}

static int
on_outcome(struct job *job, const struct msg_job_outcome *msg, struct error *err)
{
	struct recipient *r;
	char code[12];
	struct outcome o = {.class = (enum outcome_class)msg->class,
	    .flags = msg->flags,
	    .status = msg->status,
	    .relay = msg->relay,
	    .text = msg->text,
	    .remote_mta = msg->remote_mta,
	    .diagnostic = msg->diagnostic,
	    .tried = msg->tried};

	if (msg->index >= job->count || msg->class > OUTCOME_BOUNCED)
		return error_set(
		    err, "outcome for recipient %u of %u, class %u", msg->index, job->count, msg->class);
	r = job->recipients[msg->index];
	if (r->job != job)
		return error_set(err, "second outcome for a recipient");
	expansion_end(job, r, &o);
	outcome_soften(job->q, &o, code);
	if (job->role == ROLE_LOCAL)
		trace_outcome(job->q, job->message, r, &o);
	settle(job, r, &o);
	return 0;
}

static int
on_add(struct job *job, const struct msg_job_add_rcpt *msg, struct error *err)
{
	if (msg->index >= job->count || job->recipients[msg->index]->job != job)
		return error_set(err, "expansion of a recipient that is not in the job");
	expansion_add(job, job->recipients[msg->index], msg);
	return 0;
}

/* It is not passed on; who had it has told of nothing. */
static void
put_off(struct job *job, struct recipient *r, struct span code, const char *text)
{
	const struct outcome o = {
	    .class = OUTCOME_DEFERRED, .status = code, .relay = SPAN_LIT("none"), .text = span_of(text)};

	trace_outcome(job->q, job->message, r, &o);
	outcome_log(job->message, r, &o);
	settle(job, r, &o);
}

/* It is due at once by its new route; a crash takes it back to local, which passes it on again. */
static int
on_pass(struct job *job, const struct msg_job_pass *msg, struct error *err)
{
	struct recipient *r;
	char text[300];

	if (msg->index >= job->count || job->recipients[msg->index]->job != job || msg->transport.len == 0)
		return error_set(err, "a recipient that is not in the job is passed on");
	r = job->recipients[msg->index];
	expansion_forget(job->message, r);
	/* best_mx_transport of one leads to another, and back. */
	if (++r->passes > PASSES_MAX) {
		snprintf(text, sizeof(text),
		    "mail system configuration error: transports %s and %.*s hand it to each other",
		    job->hop->transport->name, SPAN_ARG(msg->transport));
		put_off(job, r, SPAN_LIT("4.3.5"), text);
		return 0;
	}
	if (!recipient_route(job->message, r, msg->transport, msg->nexthop,
		msg->generation > 0 ? msg->generation : job->q->route_generation)) {
		put_off(
		    job, r, SPAN_LIT("4.3.0"), "the message has no room for another route of this recipient");
		return 0;
	}
	r->job = NULL;
	r->hop = NULL;
	r->p.due_spool_us = spool_clock_now();
	job->added = true;
	return 0;
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct job *job = context;
	struct queue *q = job->q;
	char text[501];

	if (!frame) {
		if (job->added)
			scheduler_add(q, job->message, false);
		give_back(job, US_PER_SECOND);
		job_free(job);
		return 0;
	}
	switch (frame->type) {
	case IPC_JOB_OUTCOME:
		return on_outcome(job, &frame->job_outcome, err);
	case IPC_JOB_ADD_RCPT:
		return on_add(job, &frame->job_add_rcpt, err);
	case IPC_JOB_PASS:
		return on_pass(job, &frame->job_pass, err);
	case IPC_JOB_TRACE:
		trace_line(q, job->message, frame->job_trace.line);
		return 0;
	case IPC_JOB_STATE:
		job_take_state(job, &frame->job_state);
		return 0;
	case IPC_JOB_DONE:
		if (job->added) /* what an alias became is due now */
			scheduler_add(q, job->message, false);
		span_copy(frame->job_done.text, text, sizeof(text));
		/* Nothing said of some: as if the worker had died, but not at once again. */
		give_back(job, 10 * US_PER_SECOND);
		hop_feedback(q, job->hop, (enum hop_state)frame->job_done.destination, text);
		job_free(job);
		return 0;
	default:
		return error_set(err, "unexpected %s in a job", ipc_type_name(frame->type));
	}
}

/* ---- the beginning ---- */

static uint32_t
send_open(struct job *job, struct ipc_channel *peer)
{
	const struct message *m = job->message;
	struct msg_job_open open = {
	    .id = m->id,
	    .flags = m->e.flags,
	    .transport = span_of(job->hop->transport->name),
	    .nexthop = span_of(job->hop->nexthop),
	    .sender = recipient_sender(m, job->recipients[0]),
	    .envid = m->e.envid,
	    .arrival_us = m->e.arrival_us,
	    .active_us = job->active_us,
	    .content_len = m->e.content_len,
	    .header_len = m->e.header_len,
	    .client_name = m->e.client_name,
	    .client_address = m->e.client_address,
	    .sasl_username = m->e.sasl_username,
	    .sasl_method = m->e.sasl_method,
	    .sasl_sender = m->e.sasl_sender,
	    .client_port = m->e.client_port,
	    .helo = m->e.helo,
	    .protocol = m->e.protocol,
	    .delivered_to = job->recipients[0]->p.delivered_to,
	    .recipients = job->count,
	};

	if (job->recipients[0]->p.own_sender == OWN_SENDER_LIST) {
		open.envid = span_make("", 0);
		open.flags &= ~(uint32_t)(MAIL_RET_FULL | MAIL_RET_HDRS);
	}
	if (job->flush)
		open.flags |= JOB_FLUSH;
	if (job->hop->down_since_us != 0)
		open.flags |= JOB_PROBE;
	if (spool_clock_now() - m->e.arrival_spool_us >= outcome_lifetime_us(job->q, m))
		open.flags |= JOB_LAST_TRY;
	return ipc_ask(peer, IPC_JOB_OPEN, &open, JOB_SILENT_S * 1000, on_answer, job);
}

/*
 * mailbox_transport and its kin get mail for the mailbox of a user, past its .forward, which the recipient's name says in local's
 * own way: all others know the user's address alone.
 */
static void
send_recipient(struct job *job, struct ipc_channel *peer, uint32_t call, uint32_t index)
{
	const struct part_recipient *p = &job->recipients[index]->p;
	char shown[MEMBER_SHOWN_SIZE];
	struct msg_job_rcpt rcpt = {.index = index,
	    .recipient = job->hop->transport->knows_members ? p->recipient : recipient_shown(p, shown),
	    .orig_to = recipient_original(p),
	    .source = p->orig_to,
	    .orcpt = p->orcpt,
	    .notify = p->notify,
	    .attempt = p->attempt + 1};

	ipc_send(peer, IPC_JOB_RCPT, call, &rcpt);
}

static void
send_rest(struct job *job, struct ipc_channel *peer, uint32_t call, int fd)
{
	const struct message *m = job->message;
	struct msg_job_go go = {0};

	for (uint32_t i = 0; i < job->count; i++)
		send_recipient(job, peer, call, i);
	if (fd >= 0) {
		struct msg_job_file file = {.offset = m->e.file_offset, .fd = fd};

		ipc_send(peer, IPC_JOB_FILE, call, &file);
	}
	for (size_t at = 0; fd < 0 && at < m->content.len; at += PIECE) {
		struct msg_job_data data = {.bytes = span_sub(m->content, at, PIECE)};

		ipc_send(peer, IPC_JOB_DATA, call, &data);
	}
	ipc_send(peer, IPC_JOB_GO, call, &go);
}

/* An attempt like any other, so that whoever asks sees why, and its sender is told when it expires. */
static void
put_off_all(struct job *job, const char *why)
{
	for (uint32_t i = 0; i < job->count; i++)
		put_off(job, job->recipients[i], SPAN_LIT("4.3.0"), why);
}

static void
on_content(struct queue *q, struct message *m, int fd, void *context, const char *error)
{
	struct job *job = context;
	struct ipc_channel *peer = server_peer(q->server, job->role, job->worker);
	uint32_t call = 0;

	if (error && !m->removed && !m->e.held) {
		put_off_all(job, error);
		job_free(job);
		return;
	}
	if (!error && !m->removed && !m->e.held && peer)
		call = send_open(job, peer);
	job->call = call;
	if (call != 0)
		send_rest(job, peer, call, fd);
	if (fd >= 0)
		disk.close(fd);
	if (call == 0) {
		give_back(job, US_PER_SECOND);
		job_free(job);
	}
}

/*
 * Who knows of an attempt from before the start gets it; where several do, of different recipients, the others wait for a job of
 * their own.
 */
static struct recipient *
keep_to_one(struct queue *q, struct message *m, struct recipient *first, uint32_t *count, uint32_t *worker,
    bool flush)
{
	struct recipient **at = &first, *others = NULL, *r;
	bool chosen = false;
	uint32_t knows;

	while ((r = *at)) {
		bool known =
		    kept_worker(q, m, r, &knows) && server_peer(q->server, ROLE_DELIVERY, knows) != NULL;

		if (known && chosen && knows != *worker) {
			*at = r->next;
			r->next = others;
			others = r;
			(*count)--;
			continue;
		}
		if (known && !chosen)
			*worker = knows;
		chosen = chosen || known;
		at = &r->next;
	}
	for (; others; others = r) {
		r = others->next;
		others->hop = NULL;
		scheduler_add_one(q, m, others, flush);
	}
	return first;
}

bool
job_start(struct queue *q, struct hop *hop)
{
	enum role role = hop->transport->kind == HOP_TO_LOCAL ? ROLE_LOCAL : ROLE_DELIVERY;
	uint32_t worker = 0, count, i = 0;
	struct recipient *first;
	struct message *m;
	enum hop_class class = hop_class_of(hop);
	struct job *job;
	bool flush;

	if (server_is_stopping(q->server) || !worker_choose(q, hop, role, &worker))
		return false;
	if (role == ROLE_DELIVERY && hop->ready > 0 && !kept_may_start(q, TAILQ_FIRST(&hop->tasks)->message))
		return false;
	first = hop_take(q, hop, hop->transport->recipient_limit, &m, &count, &flush);
	if (!first)
		return true;
	if (role == ROLE_DELIVERY)
		first = keep_to_one(q, m, first, &count, &worker, flush);
	job = mem_alloc(sizeof(*job) + count * sizeof(struct recipient *));
	job->q = q;
	job->hop = hop;
	job->message = m;
	job->role = role;
	job->class = class;
	job->worker = worker;
	job->flush = flush;
	job->active_us = clock_wall_us();
	job->count = count;
	for (struct recipient *r = first, *next; r; r = next) {
		next = r->next;
		r->next = NULL;
		r->job = job;
		job->recipients[i++] = r;
	}
	m->jobs++;
	q->active_jobs++;
	q->scheduler->jobs[job->class]++;
	job->begun_us = job->asked_us = clock_mono_us();
	TAILQ_INSERT_TAIL(&q->scheduler->under_way, job, link);
	hop->active++;
	hop->transport->active++;
	content_get(q, m, on_content, job);
	return true;
}

/* ---- without a worker ---- */

uint32_t
hop_finish(struct queue *q, struct hop *hop, uint32_t max, const struct outcome *end)
{
	struct outcome o = *end;
	struct recipient *r, *next;
	struct message *m;
	char code[12];
	uint32_t count;
	bool flush;

	r = hop_take(q, hop, max, &m, &count, &flush);
	if (!r)
		return 0;
	outcome_soften(q, &o, code);
	m->busy++;
	for (; r; r = next) {
		next = r->next;
		r->next = NULL;
		r->hop = NULL;
		trace_outcome(q, m, r, &o);
		outcome_set(q, m, r, &o);
		outcome_log(m, r, &o);
	}
	m->busy--;
	trace_end(q, m);
	outcome_settle(q, m);
	return count;
}

/* A code in front of the text; one of another class than the transport's says nothing. */
static void
take_code(struct span *text, char code[12])
{
	struct span rest = *text, word;

	if (!span_next_word(&rest, " \t", &word) || !enhanced_code_valid(word))
		return;
	if (word.ptr[0] == code[0])
		span_copy(word, code, 12);
	*text = span_trim(rest);
}

/* Postfix's words, and behind them which one: a table may be wrong, or a line of master.cf was left behind. */
static void
job_to_nobody(struct queue *q, struct hop *hop)
{
	struct outcome o = {
	    .class = OUTCOME_DEFERRED, .relay = SPAN_LIT("none"), .status = SPAN_LIT("4.3.0")};
	char text[CONF_NAME_MAX + 80];

	(void)snprintf(text, sizeof text, "mail transport unavailable: no %.*s in transport_services",
	    CONF_NAME_MAX, hop->transport->name);
	o.text = span_of(text);
	hop_finish(q, hop, UINT32_MAX, &o);
}

void
job_internal(struct queue *q, struct hop *hop)
{
	char code[12] = "5.0.0";
	struct span text = span_of(hop->nexthop);
	struct outcome o = {.class = OUTCOME_BOUNCED, .relay = SPAN_LIT("none")};

	if (hop->transport->kind == HOP_TO_NOBODY) {
		job_to_nobody(q, hop);
		return;
	}
	if (hop->transport->kind == HOP_TO_RETRY) {
		o.class = OUTCOME_DEFERRED;
		memcpy(code, "4.0.0", 6);
	} else if (hop->transport->kind == HOP_TO_DISCARD) {
		o.class = OUTCOME_DELIVERED;
		memcpy(code, "2.0.0", 6);
	}
	take_code(&text, code);
	o.status = span_of(code);
	o.text = text.len > 0 ? text : SPAN_LIT("mail system configuration error");
	hop_finish(q, hop, UINT32_MAX, &o);
}
