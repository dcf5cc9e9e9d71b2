/*
 * control_explain: why a message is not delivered now, as facts that the tool puts into words or JSON.
 *
 * A fact is a line: its name, then its values, each behind a tab; no value holds one. Facts of a recipient follow its
 * "rcpt"; those of its hop its "hop".
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "queue/attempts.h"
#include "queue/control/control.h"
#include "queue/index/keys.h"
#include "queue/scheduler/hop.h"
#include "queue/scheduler/job.h"
#include "queue/spool_clock.h"

enum { PIECE = 61440, FACTS_MAX = 4 << 20, RECIPIENTS_SHOWN = 100, WORKER_PATIENCE_US = 500000 };

struct explaining {
	struct explaining *next;
	struct queue *q;
	struct ipc_channel *channel; /* NULL: the tool is gone */
	uint32_t call;
	uint64_t id;
	struct event *patience; /* while workers are asked what they do; NULL before and behind that */
};

static struct explaining *explainings;

/* format: 't' a span, 'c' a string, 'n' a number (int64_t). */
static void
fact(struct buf *out, const char *name, const char *format, ...)
{
	va_list args;

	buf_append_text(out, name);
	va_start(args, format);
	for (; *format; format++) {
		size_t at = out->len + 1;

		buf_append_text(out, "\t");
		if (*format == 't')
			buf_append_span(out, va_arg(args, struct span));
		else if (*format == 'c')
			buf_append_text(out, va_arg(args, const char *));
		else
			buf_printf(out, "%lld", (long long)va_arg(args, int64_t));
		for (char *p = buf_ptr(out) + at; p < buf_ptr(out) + out->len; p++)
			if (*p == '\t' || *p == '\n' || *p == '\r')
				*p = ' ';
	}
	va_end(args);
	buf_append_text(out, "\n");
}

static int64_t
wall(int64_t spool_us)
{
	return spool_us > 0 && spool_us != INT64_MAX ? spool_clock_to_wall(spool_us) : 0;
}

/* ---- one recipient ---- */

static void
attempt_facts(struct buf *out, const struct recipient *r)
{
	struct span rest = r->p.history, host, text;
	struct attempt_run run;

	while (attempts_next(&rest, &run))
		fact(out, "run", "nnnnttt", (int64_t)run.first, (int64_t)run.last, run.first_us, run.last_us,
		    run.status, run.relay, run.text);
	if (r->p.attempt == 0)
		return;
	fact(out, "last", "nntttnttn", (int64_t)r->p.attempt, r->p.attempt_us, r->p.status, r->p.relay,
	    r->p.text, (int64_t)((r->p.outcome_flags & OUTCOME_UNCERTAIN) != 0), r->p.remote_mta,
	    r->p.diagnostic, (int64_t)r->p.class);
	rest = r->p.tried;
	while (attempts_next_host(&rest, &host, &text))
		fact(out, "host", "tt", host, text);
}

static unsigned
place_in_line(const struct hop *hop, const struct message *m)
{
	const struct hop_task *t;
	unsigned ahead = 0;

	TAILQ_FOREACH (t, &hop->tasks, link) {
		if (t->message == m)
			break;
		ahead++;
	}
	return ahead;
}

/* What it waits for: a word that the tool knows, and until when (0: that is not known). */
static const char *
reason_to_wait(const struct queue *q, const struct message *m, const struct recipient *r,
    const struct hop *hop, int64_t *until)
{
	*until = 0;
	if (r->p.state == RECIPIENT_REPORT)
		return "notification";
	if (r->job)
		return "delivering";
	if (m->e.held)
		return "hold";
	if (r->resolving)
		return "route";
	if (hop && !r->hop && hop->transport->deferred)
		return "flush";
	if (r->p.due_spool_us > spool_clock_now() && !r->hop) {
		*until = r->p.due_spool_us;
		return "backoff";
	}
	if (q->alone)
		return "stopped";
	if (!hop || hop->place == HOP_IN_RING)
		return q->active_jobs > 0 ? "turn" : "start";
	if (hop->down_since_us != 0) {
		*until = hop->probe_us;
		return hop->active > 0 ? "probing" : "down";
	}
	if (hop->pause_us > 0) {
		*until = hop->pause_us;
		return hop->transport->destination_delay_us > 0 ? "rate" : "worker";
	}
	if (hop->place == HOP_BEHIND_TRANSPORT) {
		if (hop->transport->active_most > 0 && hop->transport->active >= hop->transport->active_most)
			return "transport-concurrency";
		*until = hop->transport->next_us;
		return "transport-rate";
	}
	if (hop->active - hop->slow >= hop->window.size)
		return "concurrency";
	return r->hop ? "turn" : "memory";
}

static void
delivery_facts(struct buf *out, const struct job *job)
{
	const struct job_state *s = job ? job->state : NULL;

	if (!job)
		return;
	if (s && s->told)
		fact(out, "delivery", "nccnn", job->active_us, s->relay, s->doing, s->since_us, s->until_us);
	else
		fact(out, "delivery", "n", job->active_us);
}

static void
hop_facts(struct buf *out, const struct hop *hop, const struct message *m, const struct recipient *r)
{
	if (!hop)
		return;
	fact(out, "hop", "nnnnnntnnn", (int64_t)hop->active, (int64_t)hop->window.size,
	    (int64_t)hop->transport->rules.most, (int64_t)hop->ready,
	    (int64_t)(r->hop ? place_in_line(hop, m) : 0), wall(hop->down_since_us),
	    hop->reason ? span_of(hop->reason) : span_make("", 0),
	    hop->down_since_us ? wall(hop->probe_us) : 0, hop->transport->destination_delay_us,
	    hop->transport->delay_us);
}

static void
recipient_facts(struct queue *q, struct buf *out, const struct message *m, const struct recipient *r)
{
	static const char *const states[] = {"queued", "notification", "done"};
	const struct hop *hop = hop_known(q, r->p.transport, r->p.nexthop);
	const char *why;
	int64_t until;

	fact(out, "rcpt", "ttttcnntn", r->p.recipient, r->p.orig_to, r->p.transport, r->p.nexthop,
	    states[r->p.state], (int64_t)r->p.attempt, (int64_t)r->p.pinned, recipient_sender(m, r),
	    (int64_t)r->p.notify);
	attempt_facts(out, r);
	why = reason_to_wait(q, m, r, hop, &until);
	fact(out, "wait", "cn", why, wall(until));
	delivery_facts(out, r->job);
	hop_facts(out, hop, m, r);
}

/* ---- the message ---- */

static void
explain(struct queue *q, struct message *m, struct buf *out)
{
	static const char *const states[] = {
	    [FILTER_ACTIVE] = "active", [FILTER_DEFERRED] = "deferred", [FILTER_HOLD] = "hold"};
	char id[QUEUE_ID_SIZE];
	struct span rest = m->e.acts, act;
	int64_t warn_us = 0;
	uint32_t shown = 0, done = 0, more = 0;

	if (q->conf->delay_warning_time > 0 && !m->e.warned && m->e.sender.len > 0)
		warn_us = m->e.arrival_spool_us + q->conf->delay_warning_time;
	/* The second in which listings have it. */
	fact(out, "message", "ctnnc", queue_id_format(m->id, id), m->e.sender, (int64_t)m->e.content_len,
	    m->e.arrival_us / US_PER_SECOND * US_PER_SECOND, states[message_state(m)]);
	fact(out, "limits", "nnnn", wall(m->e.arrival_spool_us + outcome_lifetime_us(q, m)),
	    (int64_t)(m->e.expire_spool_us != 0), wall(warn_us), (int64_t)m->e.warned);
	if (m->e.held)
		fact(out, "hold", "ttn", m->e.hold_reason, m->e.hold_by, m->e.hold_us);
	while (span_next_line(&rest, &act)) {
		buf_append_text(out, "act\t");
		buf_append_span(out, act);
		buf_append_text(out, "\n");
	}
	if (q->alone)
		fact(out, "trouble", "c", "this instance is stopped: nothing is sent before its start");
	else if (!server_peer(q->server, ROLE_LOOKUP, 0))
		fact(out, "trouble", "c", "lookup is not there: routes cannot be asked for");
	for (uint32_t i = 0; i < m->count; i++) {
		const struct recipient *r = m->recipients[i];

		if (r->p.state == RECIPIENT_DONE)
			done++;
		else if (shown >= RECIPIENTS_SHOWN)
			more++;
		else {
			shown++;
			recipient_facts(q, out, m, r);
		}
	}
	fact(out, "rest", "nn", (int64_t)done, (int64_t)more);
}

static void
explaining_end(struct explaining *x, uint8_t status, const char *text)
{
	struct explaining **p = &explainings;

	if (x->channel)
		control_done(x->channel, x->call, status, status == 0, text);
	while (*p != x)
		p = &(*p)->next;
	*p = x->next;
	free(x);
}

void
control_explain_gone(struct ipc_channel *channel)
{
	for (struct explaining *x = explainings; x; x = x->next)
		if (x->channel == channel)
			x->channel = NULL;
}

static void
on_message(struct queue *q, struct message *m, void *context)
{
	struct explaining *x = context;
	struct buf facts;

	if (!m || m->removed) {
		explaining_end(x, q->recovery ? EX_TEMPFAIL : EX_NOINPUT,
		    q->recovery ? "not found so far: the queue is still being read after a start; try again"
				: "no such message in the queue");
		return;
	}
	buf_init(&facts, FACTS_MAX);
	explain(q, m, &facts);
	for (size_t at = 0; at < facts.len && x->channel; at += PIECE) {
		struct msg_control_row row = {.bytes = span_sub(buf_span(&facts), at, PIECE)};

		ipc_send(x->channel, IPC_CONTROL_ROW, x->call, &row);
	}
	buf_free(&facts);
	explaining_end(x, 0, "");
}

static void
on_patience_over(evutil_socket_t fd, short what, void *context)
{
	struct explaining *x = context;

	(void)fd;
	(void)what;
	/* From here on nobody wakes it again: the message may have to be loaded, and is told of once. */
	event_free(x->patience);
	x->patience = NULL;
	young_get(x->q, x->id, on_message, x);
}

/* Whether there is a delivery under way decides: what its worker does is asked first. */
static void
on_found(struct queue *q, struct message *m, void *context)
{
	const struct timeval wait = {.tv_usec = WORKER_PATIENCE_US};
	struct explaining *x = context;

	for (uint32_t i = 0, shown = 0; m && i < m->count && shown < RECIPIENTS_SHOWN; i++) {
		if (m->recipients[i]->p.state == RECIPIENT_DONE)
			continue;
		shown++;
		job_ask_state(m->recipients[i]);
	}
	if (!m || !jobs_owe_state(m)) {
		on_message(q, m, x);
		return;
	}
	x->patience = event_new(q->base, -1, 0, on_patience_over, x);
	if (!x->patience)
		panic("out of memory");
	event_add(x->patience, &wait);
}

void
control_explain_told(struct queue *q, uint64_t id)
{
	const struct message *m = message_find(&q->live, id);
	struct explaining *next;

	if (m && jobs_owe_state(m))
		return;
	for (struct explaining *x = explainings; x; x = next) {
		next = x->next;
		if (x->patience && x->id == id)
			event_active(x->patience, EV_TIMEOUT, 0);
	}
}

void
control_explain(struct queue *q, struct ipc_channel *channel, uint32_t call, struct span args)
{
	struct explaining *x = mem_alloc(sizeof(*x));
	struct span line;

	x->q = q;
	x->channel = channel;
	x->call = call;
	x->next = explainings;
	explainings = x;
	if (!span_next_line(&args, &line) || !span_starts(line, "id=") ||
	    queue_id_parse(span_from(line, 3), &x->id) < 0 || span_trim(args).len > 0)
		explaining_end(x, EX_USAGE, "explain wants one queue id");
	else
		young_get(q, x->id, on_found, x);
}
