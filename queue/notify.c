/*
 * notify: the notifications that a message causes are composed by pickup.
 *
 * A recipient whose fate calls for a report is finished only when the report is durable. One report tells of all recipients
 * that share its kind; while one is under way for a message, no other is begun.
 *
 * There is one report, also when a process dies meanwhile:
 * 1. Before pickup is asked, the recipients concerned have the id that the report will be given (part_recipient.report).
 * 2. When the report is durable they are finished in the same turn (notify_reported()): in the log that lies before whatever
 *    becomes of the report.
 * 3. So after a start, a report whose recipients are not finished is either in the queue or was never durable: who finds
 *    such recipients asks for its fate first. The report waits for that (notify_told.c), so that 2 holds then, too.
 * 4. An id is given once. What comes under one that nobody waits for any more (pickup was too slow) is refused.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

enum { PIECE = 61440, TIMEOUT_MS = 120 * 1000, AGAIN_S = 10 };

struct notification {
	struct queue *q;
	struct message *message;
	enum notify_kind kind;
	const struct recipient *first; /* whose sender is told */
	bool alone; /* nobody is but postmaster */
	uint64_t report; /* its id, 0: it has none yet */
	bool recorded; /* it is durable, and the recipients are finished; pickup has not answered yet */
	struct event *again;
};

/* RFC 3464, 2.3.3: mail for a list (with an owner) was delivered to it; only an alias is expanded. */
static uint8_t
told_class(const struct part_recipient *p)
{
	return p->class == OUTCOME_EXPANDED && (p->outcome_flags & OUTCOME_HAS_OWNER) ? OUTCOME_DELIVERED
										      : p->class;
}

static void notification_begin(struct notification *n);
static void try_again(struct notification *n);

static enum notify_kind
kind_of(const struct message *m, const struct recipient *r)
{
	if (r->p.class != OUTCOME_BOUNCED)
		return NOTIFY_SUCCEEDED;
	return recipient_sender(m, r).len == 0 || !recipient_wants(r, DSN_NOTIFY_FAILURE) ? NOTIFY_POSTMASTER
											  : NOTIFY_FAILED;
}

/* Its sender, or postmaster for class delay of notify_classes. */
static bool
wants_warning(const struct queue *q, const struct message *m, const struct recipient *r)
{
	return r->p.state == RECIPIENT_QUEUED && r->p.attempt > 0 && !r->p.warned &&
	       recipient_sender(m, r).len > 0 &&
	       (recipient_wants(r, DSN_NOTIFY_DELAY) || outcome_has_class(q, "delay"));
}

/*
 * To whom: as in Postfix only failures go to the address that VERP made, each in a report of its own, and none does with
 * disable_verp_bounces.
 */
static struct span
report_to(const struct queue *q, enum notify_kind kind, const struct message *m, const struct recipient *r)
{
	return kind == NOTIFY_FAILED && !q->conf->disable_verp_bounces ? recipient_sender(m, r)
								       : recipient_origin(m, r);
}

/* One report is for one sender: those whom a list with an owner brought have another than the message. */
static bool
concerns(const struct notification *n, const struct recipient *r)
{
	const struct message *m = n->message;

	if (!span_equal(report_to(n->q, n->kind, m, r), report_to(n->q, n->kind, m, n->first)))
		return false;
	if (n->kind == NOTIFY_DELAYED)
		return wants_warning(n->q, m, r) && n->alone == !recipient_wants(r, DSN_NOTIFY_DELAY);
	return r->p.state == RECIPIENT_REPORT && kind_of(m, r) == n->kind;
}

static void
notification_free(struct notification *n)
{
	n->message->notifying = false;
	n->message->notification = NULL;
	if (n->again)
		event_free(n->again);
	free(n);
}

static void
notification_end(struct notification *n)
{
	struct queue *q = n->q;
	struct message *m = n->message;

	notification_free(n);
	outcome_settle(q, m);
}

/* The report will not be: another may be begun. */
static void
give_up(struct notification *n)
{
	for (uint32_t i = 0; i < n->message->count; i++) {
		struct recipient *r = n->message->recipients[i];

		if (r->reporting)
			r->p.report = 0;
		r->reporting = false;
	}
	n->report = 0;
}

static void
on_again(evutil_socket_t fd, short what, void *context)
{
	struct notification *n = context;

	(void)fd;
	(void)what;
	if (n->recorded)
		notification_end(n);
	else if (n->report != 0)
		try_again(n);
	else
		notification_begin(n);
}

static void
try_again(struct notification *n)
{
	struct timeval wait = {.tv_sec = AGAIN_S};

	if (server_is_stopping(n->q->server)) {
		notification_free(n);
		return;
	}
	/* A report that is being written now: notify_reported() will be called, or it failed when we look again. */
	if (!message_find(&n->q->live, n->report))
		give_up(n);
	if (!n->again)
		n->again = event_new(n->q->base, -1, 0, on_again, n);
	event_add(n->again, &wait);
}

static const struct recipient *
first_to_warn(const struct queue *q, const struct message *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (wants_warning(q, m, m->recipients[i]))
			return m->recipients[i];
	return NULL;
}

/* Of one that failed while its sender was told of the delay another report is due, and it has not this id. */
void
notify_finish(struct queue *q, struct message *m, uint64_t id)
{
	struct part_edit warned = {.what = EDIT_WARNED};
	bool delayed = false;

	for (uint32_t i = 0; i < m->count; i++) {
		struct recipient *r = m->recipients[i];

		if (r->p.report != id)
			continue;
		r->p.report = 0;
		if (r->p.state == RECIPIENT_REPORT) {
			recipient_set_state(m, r, RECIPIENT_DONE);
		} else {
			r->p.warned = 1;
			delayed = true;
		}
		journal_outcome(q, m, r);
	}
	if (delayed && !first_to_warn(q, m)) {
		m->e.warned = 1;
		journal_edit(q, m, &warned);
	}
}

/* What they are told of is behind them. */
static void
record(struct notification *n)
{
	struct message *m = n->message;

	for (uint32_t i = 0; i < m->count; i++)
		m->recipients[i]->reporting = false;
	if (!m->removed && n->report != 0)
		notify_finish(n->q, m, n->report);
	n->recorded = true;
}

bool
notify_awaits(const struct queue *q, uint64_t about, uint64_t id)
{
	const struct message *m = message_find(&q->live, about);

	return m && m->notification && m->notification->report == id && !m->notification->recorded;
}

void
notify_reported(struct queue *q, uint64_t about, uint64_t id)
{
	if (notify_awaits(q, about, id))
		record(message_find(&q->live, about)->notification);
}

/* Of one that was asked for before queue was started. */
static void
on_fate(void *context, bool durable)
{
	struct notification *n = context;
	struct message *m = n->message;

	for (uint32_t i = 0; i < m->count; i++)
		m->recipients[i]->reporting = m->recipients[i]->p.report == n->report;
	if (durable) {
		record(n);
		notification_end(n);
		return;
	}
	give_up(n);
	notification_begin(n);
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct notification *n = context;

	(void)err;
	/* Without a report if none was to be sent. */
	if (frame && frame->notify_done.status == SUBMIT_OK && !n->recorded)
		record(n);
	if (n->recorded) {
		notification_end(n);
		return 0;
	}
	if (frame)
		log_warning(QUEUE_LOG(n->message->id), "notification was not accepted: %.*s",
		    SPAN_ARG(frame->notify_done.text));
	try_again(n);
	return 0;
}

static uint64_t
content_limit(const struct queue *q, const struct message *m)
{
	uint64_t limit = (uint64_t)q->conf->bounce_size_limit;

	if (limit < m->e.header_len)
		limit = m->e.header_len < 1 << 20 ? m->e.header_len : 1 << 20;
	return limit < m->e.content_len ? limit : m->e.content_len;
}

static void
send_content(struct ipc_channel *peer, uint32_t call, struct span content)
{
	while (content.len > 0) {
		struct msg_notify_data data = {.bytes = span_sub(content, 0, PIECE)};

		ipc_send(peer, IPC_NOTIFY_DATA, call, &data);
		content = span_from(content, data.bytes.len);
	}
}

static void
send_recipients(struct notification *n, struct ipc_channel *peer, uint32_t call)
{
	struct message *m = n->message;
	uint32_t told = 0;
	size_t octets = 0;

	for (uint32_t i = 0; i < m->count && told < NOTIFY_RECIPIENTS_MAX && octets < NOTIFY_OCTETS_MAX;
	     i++) {
		struct recipient *r = m->recipients[i];
		struct msg_notify_rcpt rcpt = {
		    .recipient = r->p.recipient,
		    .orig_to = recipient_original(&r->p),
		    .orcpt = r->p.orcpt,
		    .notify = r->p.notify,
		    .class = told_class(&r->p),
		    .status = r->p.status,
		    .text = r->p.text,
		    .remote_mta = r->p.remote_mta,
		    .diagnostic = r->p.diagnostic,
		    .attempt_us = r->p.attempt_us,
		};

		if (!concerns(n, r))
			continue;
		r->reporting = true;
		r->p.report = n->report;
		journal_outcome(n->q, m, r);
		told++;
		octets += rcpt.recipient.len + rcpt.orig_to.len + rcpt.orcpt.len + rcpt.text.len +
			  rcpt.diagnostic.len;
		ipc_send(peer, IPC_NOTIFY_RCPT, call, &rcpt);
	}
}

/* Who is told in place of the sender, by notify_classes. */
static struct span
postmaster_of(const struct notification *n)
{
	const struct conf_values *v = n->q->conf;

	if (!n->alone)
		return span_make(NULL, 0);
	if (n->kind == NOTIFY_DELAYED)
		return span_of(v->delay_notice_recipient);
	return span_of(recipient_sender(n->message, n->first).len == 0 ? v->_2bounce_notice_recipient
								       : v->bounce_notice_recipient);
}

static void
on_content(struct queue *q, struct message *m, struct span content, void *context, const char *error)
{
	struct notification *n = context;
	struct ipc_channel *peer = server_peer(q->server, ROLE_PICKUP, 0);
	struct msg_notify_go go = {0};
	struct msg_notify_open open = {
	    .id = m->id,
	    .report = queue_id_next(&q->giver),
	    .kind = (uint8_t)n->kind,
	    .to = postmaster_of(n),
	    .sender = report_to(q, n->kind, m, n->first),
	    .envid = n->first->p.own_sender == OWN_SENDER_LIST ? span_make("", 0) : m->e.envid,
	    .flags = m->e.flags,
	    .arrival_us = m->e.arrival_us,
	    .expire_us = spool_clock_to_wall(m->e.arrival_spool_us + outcome_lifetime_us(q, m)),
	    .content_len = m->e.content_len,
	    .header_len = m->e.header_len,
	};
	uint32_t call = 0;

	/* Better a report without the message than none. */
	if (error) {
		log_error(QUEUE_LOG(m->id), "content cannot be read: %s", error);
		open.content_len = 0;
	}
	if (peer && !m->removed)
		call = ipc_ask(peer, IPC_NOTIFY_OPEN, &open, TIMEOUT_MS, on_answer, n);
	if (call != 0) {
		n->report = open.report;
		send_recipients(n, peer, call);
		send_content(peer, call, content);
		ipc_send(peer, IPC_NOTIFY_GO, call, &go);
	}
	if (call == 0 && m->removed)
		notification_end(n);
	else if (call == 0)
		try_again(n);
}

static void
notification_begin(struct notification *n)
{
	content_first(n->q, n->message, content_limit(n->q, n->message), on_content, n);
}

static void
start(struct queue *q, struct message *m, enum notify_kind kind, const struct recipient *first)
{
	struct notification *n = mem_alloc(sizeof(*n));

	n->q = q;
	n->message = m;
	n->kind = kind;
	n->first = first;
	n->alone = kind == NOTIFY_POSTMASTER ||
		   (kind == NOTIFY_DELAYED && !recipient_wants(first, DSN_NOTIFY_DELAY));
	m->notifying = true;
	m->notification = n;
	n->report = first->p.report;
	if (n->report != 0)
		submission_fate_find(q, n->report, on_fate, n);
	else
		notification_begin(n);
}

static bool
warning_is_due(const struct queue *q, const struct message *m)
{
	return q->conf->delay_warning_time > 0 && !m->e.warned &&
	       spool_clock_now() - m->e.arrival_spool_us >= q->conf->delay_warning_time;
}

void
notify_settle(struct queue *q, struct message *m)
{
	bool warn;

	if (m->notifying || m->removed)
		return;
	warn = warning_is_due(q, m);
	for (uint32_t i = 0; i < m->count; i++) {
		const struct recipient *r = m->recipients[i];

		if (r->p.state == RECIPIENT_REPORT) {
			start(q, m, kind_of(m, r), r);
			return;
		}
		if (warn && wants_warning(q, m, r)) {
			start(q, m, NOTIFY_DELAYED, r);
			return;
		}
	}
}

void
notify_pickup_up(struct queue *q)
{
	const struct timeval now = {0};
	size_t count;
	uint64_t *ids = message_ids(&q->live, &count);

	for (size_t i = 0; i < count; i++) {
		struct message *m = message_find(&q->live, ids[i]);
		const struct notification *n = m ? m->notification : NULL;

		if (n && n->again && event_pending(n->again, EV_TIMEOUT, NULL))
			event_add(n->again, &now);
		else if (m && message_is_queued(m))
			notify_held(q, m);
	}
	free(ids);
}

void
notify_stop(struct queue *q)
{
	for (size_t i = 0; i < q->live.slot_count; i++)
		for (struct message *m = q->live.slots[i]; m; m = m->hash_next)
			if (m->notification)
				notification_free(m->notification);
}
