/*
 * job: what others know of a job, and what queue and log are told of it.
 */
#include "delivery/local/job.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/casefold.h"
#include "common/mail/outcome.h"
#include "common/mail/queue_id.h"
#include "common/mail/way.h"
#include "delivery/local/recall.h"

enum { TEXT_MAX = 1000, WAY_MAX = 1000 };

struct local *
job_local(const struct job *job)
{
	return job->local;
}

const char *
job_ident(const struct job *job)
{
	return job->ident;
}

const struct conf_values *
job_values(const struct job *job)
{
	return job->conf->values;
}

struct span
job_sender(const struct job *job)
{
	return job->sender;
}

struct span
job_transport(const struct job *job)
{
	return job->transport;
}

struct span
job_nexthop(const struct job *job)
{
	return job->nexthop;
}

uint64_t
job_id(const struct job *job)
{
	return job->id;
}

uint64_t
job_content_len(const struct job *job)
{
	return job->content_len;
}

const struct job_origin *
job_origin(const struct job *job)
{
	return &job->origin;
}

size_t
job_recipients(const struct job *job, struct job_recipient **list)
{
	*list = job->recipients;
	return job->count;
}

struct arena *
job_arena(const struct job *job)
{
	return job->arena;
}

bool
job_is_orphan(const struct job *job)
{
	return job->channel == NULL;
}

void
job_fill_letter(const struct job *job, struct letter *letter)
{
	letter->sender = job->sender;
	letter->content = job->content; /* lent: never freed through the letter */
	letter->fd = job->fd;
	letter->offset = job->offset;
	letter->content_len = job->content_len;
	letter->header_len = job->header_len;
}

void
recipient_does(struct job_recipient *r, const char *doing)
{
	r->doing = doing;
	r->doing_since_us = clock_wall_us();
}

/* ---- what queue is told ---- */

struct span
job_way(const struct job *job)
{
	return job->delivered_to;
}

/*
 * The way of an address that this recipient leads to, as local(8) of Postfix has it with frozen_delivered_to: mail that
 * is passed on gets a line for the address under which it was being delivered.
 */
static void
extend_way(const struct job_recipient *r, const struct expand_address *a, struct buf *way)
{
	const struct conf_values *v = r->job->conf->values;
	struct span behind = way_behind(r->job->delivered_to), address = r->recipient;

	if (!v->frozen_delivered_to && a->through.len > 0)
		address = a->through;
	if (v->frozen_delivered_to && way_is_open(r->job->delivered_to))
		address = way_open_address(r->job->delivered_to);
	/* As Postfix writes them; programs of users compare these lines. */
	if (a->passed_on)
		address = casefold_copy(r->job->arena, address);
	if (a->passed_on && !conf_list_has(v->prepend_delivered_header, "forward")) {
		buf_append_span(way, behind);
		return;
	}
	if (behind.len > 0) {
		buf_append_span(way, behind);
		buf_append_text(way, "\n");
	}
	buf_append_span(way, address);
	if (!a->passed_on)
		buf_append_text(way, "\n");
}

bool
job_add_address(struct job_recipient *r, const struct expand_address *a)
{
	struct job *job = r->job;
	struct msg_job_add_rcpt message = {
	    .index = r->index,
	    .recipient = a->recipient,
	    .sender = a->sender,
	    .transport = a->transport,
	    .nexthop = a->nexthop,
	    .generation = a->generation,
	    .member = a->member,
	};
	struct buf way;
	bool good;

	if (span_is(a->transport, "local") && a->recipient.len > 0 &&
	    (casefold_equal(a->recipient, r->recipient) || way_has(job->delivered_to, a->recipient)))
		return false;
	buf_init(&way, WAY_MAX);
	extend_way(r, a, &way);
	message.delivered_to = buf_span(&way);
	good = !way.full;
	if (good)
		ipc_send(job->channel, IPC_JOB_ADD_RCPT, job->call, &message);
	buf_free(&way);
	return good;
}

static void
log_outcome(const struct job_recipient *r, const struct job_ending *end)
{
	struct job *job = r->job;
	char id[QUEUE_ID_SIZE];
	struct log log = {.ident = job->ident, .queue_id = queue_id_format(job->id, id)};
	struct buf line;

	job->marks.done_us = end->done_us;
	buf_init(&line, 4000);
	buf_printf(&line, "to=<%.*s>, ", SPAN_ARG(r->recipient));
	if (r->orig_to.len > 0 && !span_equal(r->orig_to, r->recipient))
		buf_printf(&line, "orig_to=<%.*s>, ", SPAN_ARG(r->orig_to));
	buf_printf(&line, "relay=%s, ", job->relay);
	delay_format(&line, &job->marks);
	buf_printf(&line, ", dsn=%.*s, status=%s (%.*s)", SPAN_ARG(end->code), outcome_word(end->class),
	    SPAN_ARG(end->text));
	log_info(&log, "%s", buf_text(&line));
	buf_free(&line);
}

static void
recipient_over(struct job_recipient *r)
{
	struct job *job = r->job;

	free(r->user);
	r->user = NULL;
	if (++job->finished == job->count)
		job_end(job);
}

void
job_finish(
    struct job_recipient *r, enum outcome_class class, struct span code, struct span text, uint32_t flags)
{
	struct job_ending end = {
	    .class = class, .code = code, .text = text, .flags = flags, .done_us = clock_wall_us()};
	struct msg_job_outcome outcome = {
	    .class = (uint8_t) class, .flags = flags, .status = code, .text = text};

	if (r->finished)
		panic("a recipient finished twice");
	r->finished = true;
	if (!enhanced_code_valid(end.code))
		end.code = outcome.status = class == OUTCOME_BOUNCED ? SPAN_LIT("5.0.0") : SPAN_LIT("4.0.0");
	if (!job_filter(r, &end))
		job_tell(r, &end);
	else /* Should queue die before the tables have answered. */
		recall_keep(r->job->local->remembered, r->job->id, r, &outcome);
}

void
job_tell(struct job_recipient *r, struct job_ending *end)
{
	struct job *job = r->job;
	char soft[12];
	struct msg_job_outcome outcome = {
	    .index = r->index, .flags = end->flags, .relay = span_of(job->relay), .text = end->text};

	if (end->class == OUTCOME_BOUNCED && job->conf->values->soft_bounce) {
		span_copy(end->code, soft, sizeof(soft));
		soft[0] = '4';
		end->code = span_of(soft);
		end->class = OUTCOME_DEFERRED;
	}
	log_outcome(r, end);
	outcome.class = (uint8_t)end->class;
	outcome.status = end->code;
	if (job->channel)
		ipc_send(job->channel, IPC_JOB_OUTCOME, job->call, &outcome);
	recall_keep(job->local->remembered, job->id, r, &outcome);
	recipient_over(r);
}

void
job_finish_as_told(void *context, enum outcome_class class, struct span status, struct span text)
{
	job_finish(context, class, status, text, 0);
}

void
job_pass(struct job_recipient *r, struct span transport, struct span nexthop)
{
	struct job *job = r->job;
	struct msg_job_pass pass = {
	    .index = r->index,
	    .transport = transport,
	    .nexthop = nexthop.len > 0 ? nexthop : job->nexthop,
	    .generation = job->local->generation,
	};

	ipc_send(job->channel, IPC_JOB_PASS, job->call, &pass);
	r->finished = true;
	recipient_over(r);
}

void
job_finishf(struct job_recipient *r, enum outcome_class class, const char *code, const char *format, ...)
{
	struct buf text;
	va_list args;

	buf_init(&text, TEXT_MAX);
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	job_finish(r, class, span_of(code), buf_span(&text), 0);
	buf_free(&text);
}
