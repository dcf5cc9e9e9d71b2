/*
 * outcome: from what an attempt brought to what becomes of the recipient.
 */
#include "common/mail/outcome.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/mail/delay.h"
#include "queue/scheduler/expansion.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

enum { TEXTS_MAX = 2 << 20 /* of each kind, in a message */, UNCERTAIN_ATTEMPTS = 2 };

int64_t
outcome_lifetime_us(const struct queue *q, const struct message *m)
{
	int64_t life = q->conf->maximal_queue_lifetime;

	if (m->e.expire_spool_us != 0)
		return m->e.expire_spool_us - m->e.arrival_spool_us;
	if (m->e.sender.len == 0 && q->conf->bounce_queue_lifetime < life)
		life = q->conf->bounce_queue_lifetime;
	return life;
}

bool
outcome_has_class(const struct queue *q, const char *wanted)
{
	return conf_list_has(q->conf->notify_classes, wanted);
}

/* RFC 3461, 4.1 and 5.2; the null sender never gets a notification (RFC 5321, 4.5.5). */
static bool
report_is_due(const struct queue *q, const struct message *m, const struct recipient *r,
    enum outcome_class class, unsigned flags)
{
	bool anonymous = recipient_sender(m, r).len == 0;

	/* Postmaster is told whatever the sender wants to hear; class bounce implies 2bounce, as in Postfix. */
	if (class == OUTCOME_BOUNCED)
		return outcome_has_class(q, "bounce") || (anonymous && outcome_has_class(q, "2bounce")) ||
		       (!anonymous && recipient_wants(r, DSN_NOTIFY_FAILURE));
	if (!anonymous && q->conf->confirm_delay_cleared && r->p.warned && class != OUTCOME_EXPANDED &&
	    recipient_wants(r, DSN_NOTIFY_DELAY))
		return true;
	if (anonymous || (r->p.notify & DSN_NOTIFY_SUCCESS) == 0)
		return false;
	/* Who a plain alias expands to inherits the wish; behind a list with an owner nobody does (5.2.7). */
	if (class == OUTCOME_EXPANDED)
		return (flags & OUTCOME_EXPANDED_LIST) != 0;
	/* Whoever took over the wish tells (5.2.2). */
	return (class == OUTCOME_DELIVERED && (flags & OUTCOME_PASSED_ON) == 0) || class == OUTCOME_RELAYED;
}

void
outcome_soften(const struct queue *q, struct outcome *o, char code[12])
{
	if (o->class != OUTCOME_BOUNCED || !q->conf->soft_bounce)
		return;
	o->class = OUTCOME_DEFERRED;
	if (span_copy(o->status, code, 12) && code[0] == '5')
		code[0] = '4';
	o->status = span_of(code);
}

void
outcome_set(struct queue *q, struct message *m, struct recipient *r, const struct outcome *o)
{
	struct part_outcome p = {.index = r->p.index,
	    .attempt = r->p.attempt + 1,
	    .class = (uint8_t)o->class,
	    .outcome_flags = o->flags,
	    .attempt_us = clock_wall_us(),
	    .status = span_sub(o->status, 0, 12),
	    .relay = span_sub(o->relay, 0, 400),
	    .text = span_sub(o->text, 0, 1500),
	    .remote_mta = span_sub(o->remote_mta, 0, 300),
	    .diagnostic = span_sub(o->diagnostic, 0, 1500),
	    .tried = span_sub(o->tried, 0, 1000),
	    .report = r->p.report,
	    .warned = r->p.warned};
	size_t room = TEXTS_MAX / (m->count + 1);
	char returned[EXPANSION_TEXT_SIZE];
	bool expired;

	if (m->removed)
		return;
	expired = p.class == OUTCOME_DEFERRED &&
		  spool_clock_now() - m->e.arrival_spool_us >= outcome_lifetime_us(q, m);
	if (expired) {
		p.class = OUTCOME_BOUNCED;
		if (!m->expired_logged)
			log_info(QUEUE_LOG(m->id), "from=<%.*s>, status=expired, returned to sender",
			    SPAN_ARG(recipient_origin(m, r)));
		m->expired_logged = true;
	}
	if (p.class == OUTCOME_BOUNCED)
		p.text = expansion_bounce(m, r, p.text, returned);
	p.state = RECIPIENT_DONE;
	/* A report that is being made now is about the delay. */
	if (p.class != OUTCOME_DEFERRED)
		p.report = 0;
	if (p.class == OUTCOME_DEFERRED) {
		p.state = RECIPIENT_QUEUED;
		/*
		 * RFC 5321, 4.1.1.4 and RFC 1047: it is tried again, though it may come twice. A host that took too long has
		 * more time to get through with it: as if two attempts had been made before.
		 */
		p.due_spool_us = spool_clock_now() +
				 scheduler_backoff_us(
				     q, p.attempt + (o->flags & OUTCOME_UNCERTAIN ? UNCERTAIN_ATTEMPTS : 0));
	} else if (report_is_due(q, m, r, (enum outcome_class)p.class, o->flags)) {
		p.state = RECIPIENT_REPORT;
		/* Where it ends is not known here. */
		if (p.class == OUTCOME_DELIVERED && (o->flags & OUTCOME_PASSED_ON))
			p.class = OUTCOME_RELAYED;
	}
	/* One row holds what is said of ten thousand recipients. */
	p.relay = span_sub(p.relay, 0, room);
	p.text = span_sub(p.text, 0, room);
	p.remote_mta = span_sub(p.remote_mta, 0, room);
	p.diagnostic = span_sub(p.diagnostic, 0, room);
	p.tried = span_sub(p.tried, 0, room);
	recipient_apply(m, r, &p);
	journal_outcome(q, m, r);
}

void
outcome_settle(struct queue *q, struct message *m)
{
	if (m->busy || m->removed) {
		young_settle(q, m);
		return;
	}
	if (m->jobs == 0 && m->tasks == 0)
		notify_settle(q, m);
	/* An unrecorded one is removed when its outcomes are recorded. */
	if (m->open == 0 && m->jobs == 0 && !m->unrecorded && !m->removed) {
		journal_remove(q, m, REMOVAL_FINISHED);
		journal_kick(q);
	}
	young_settle(q, m);
}

void
outcome_log(const struct message *m, const struct recipient *r, const struct outcome *o)
{
	struct delay_marks marks = {.arrival_us = m->e.arrival_us};
	struct log log = {.ident = o->class == OUTCOME_DEFERRED  ? "retry"
				   : o->class == OUTCOME_BOUNCED ? "error"
								 : "discard"};
	char id[QUEUE_ID_SIZE], text[200], shown[MEMBER_SHOWN_SIZE];
	struct span orig = recipient_original(&r->p), to = recipient_shown(&r->p, shown);
	struct buf delays;

	log.queue_id = queue_id_format(m->id, id);
	marks.active_us = marks.agent_us = marks.connected_us = marks.done_us = clock_wall_us();
	buf_init(&delays, sizeof(text));
	delay_format(&delays, &marks);
	if (orig.len > 0 && !span_equal(orig, to))
		log_info(&log, "to=<%.*s>, orig_to=<%.*s>, relay=none, %s, dsn=%.*s, status=%s (%.*s)",
		    SPAN_ARG(to), SPAN_ARG(orig), buf_text(&delays), SPAN_ARG(o->status),
		    outcome_word(o->class), SPAN_ARG(o->text));
	else
		log_info(&log, "to=<%.*s>, relay=none, %s, dsn=%.*s, status=%s (%.*s)", SPAN_ARG(to),
		    buf_text(&delays), SPAN_ARG(o->status), outcome_word(o->class), SPAN_ARG(o->text));
	buf_free(&delays);
}
