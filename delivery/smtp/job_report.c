/*
 * job_report: what a job tells of its recipients: queue, the log, sendmail -v, and itself should queue die.
 */
#include "delivery/smtp/job.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/mail/delay.h"
#include "common/mail/remembered.h"

struct remembered_key
job_key(const struct job *job, const struct recipient *rcpt)
{
	return (struct remembered_key){
	    .id = job->id, .attempt = rcpt->attempt, .recipient = rcpt->address, .orig_to = rcpt->source};
}

/* What JOB_OUTCOME says of several hosts. */
struct tried {
	unsigned hosts;
	size_t len;
	char text[1000];
	char line[400];
};

static void
job_log(
    const struct job *job, const struct recipient *rcpt, const struct verdict *v, const struct job_end *end)
{
	struct buf delays;
	char use[32] = "", orig[1100] = "", tls[40] = "";

	buf_init(&delays, 200);
	delay_format(&delays, &end->marks);
	if (end->conn_use > 1)
		snprintf(use, sizeof use, ", conn_use=%u", end->conn_use);
	if (rcpt->orig_to.len > 0 && !span_equal(rcpt->orig_to, rcpt->address))
		snprintf(orig, sizeof orig, ", orig_to=<%.*s>", SPAN_ARG(rcpt->orig_to));
	if (v->tls[0] != '\0' && job->conf->values->smtp_log_tls_feature_status)
		snprintf(tls, sizeof tls, ", tls=%s", v->tls);
	log_info(&job->log, "to=<%.*s>%s, relay=%s%s, %s%s, dsn=%s, status=%s (%s)", SPAN_ARG(rcpt->address),
	    orig, v->relay[0] ? v->relay : "none", use, buf_text(&delays), tls, v->code,
	    outcome_word(v->class), v->text);
	buf_free(&delays);
}

/* "relay TAB text" in a line of its own, as far as there is room. */
static void
note_host(struct job *job, struct recipient *rcpt, const struct verdict *v)
{
	struct tried *t = rcpt->tried;
	int len;

	if (!t)
		t = rcpt->tried = arena_alloc(job->arena, sizeof(*t));
	if (!t)
		return;
	t->hosts++;
	len = snprintf(t->line, sizeof(t->line), "%.100s\t%.240s", v->relay, v->text);
	for (char *p = strchr(t->line, '\t') + 1; *p; p++)
		if (*p == '\n' || *p == '\t' || *p == '\r')
			*p = ' ';
	if (len <= 0 || t->len + (size_t)len + 1 > sizeof(t->text))
		return;
	memcpy(t->text + t->len, t->line, (size_t)len);
	t->len += (size_t)len;
	t->text[t->len++] = '\n';
}

static void
job_send_outcome(const struct job *job, const struct recipient *rcpt, const struct verdict *v)
{
	char remote[300] = "", diagnostic[VERDICT_TEXT_SIZE + 16] = "";
	struct msg_job_outcome m = {.index = rcpt->index,
	    .class = v->class,
	    .flags = v->flags,
	    .status = span_of(v->code),
	    .relay = span_of(v->relay[0] ? v->relay : "none"),
	    .text = span_of(v->text)};

	if (v->remote[0] != '\0')
		snprintf(remote, sizeof remote, "dns;%s", v->remote);
	if (v->diagnostic[0] != '\0')
		snprintf(diagnostic, sizeof diagnostic, "smtp;%s", v->diagnostic);
	m.remote_mta = span_of(remote);
	m.diagnostic = span_of(diagnostic);
	/* Of a single host the outcome itself tells. */
	if (rcpt->tried && rcpt->tried->hosts > 1)
		m.tried = span_make(rcpt->tried->text, rcpt->tried->len);
	ipc_send(job->queue, IPC_JOB_OUTCOME, job->call, &m);
}

/* "250 2.0.0 Ok: queued as X" without its codes. */
static struct span
words_of_reply(struct span text)
{
	struct span rest = text, word;
	uint64_t code;

	if (!span_next_word(&rest, " ", &word) || number_parse(word, 200, 299, &code) < 0)
		return text;
	text = span_trim(rest);
	if (span_next_word(&rest, " ", &word) && enhanced_code_valid(word))
		text = span_trim(rest);
	return text;
}

/* Told or not: if queue dies before it has written it down, it hands out this attempt again. */
static void
keep_in_mind(struct job *job, struct recipient *rcpt, const struct verdict *v)
{
	struct remembered_key key = job_key(job, rcpt);

	if (v->class == OUTCOME_DEFERRED && !(v->flags & OUTCOME_UNCERTAIN))
		return;
	free(remembered_take(job->agent->remembered, &key));
	remembered_put(job->agent->remembered, &key, v, sizeof(*v));
}

static struct job_end
end_now(const struct job *job, unsigned conn_use)
{
	return (struct job_end){.marks = {.arrival_us = job->arrival_us,
				    .active_us = job->active_us,
				    .agent_us = job->agent_us,
				    .connected_us = job->connected_us,
				    .done_us = clock_wall_us()},
	    .conn_use = conn_use};
}

/* False: it has its outcome. */
static bool
settle(struct job *job, struct recipient *rcpt, const struct verdict *v)
{
	if (rcpt->done)
		return false;
	rcpt->done = true;
	job->open--;
	if (rcpt->tried && v != rcpt->last)
		note_host(job, rcpt, v);
	if (v->class == OUTCOME_DEFERRED)
		snprintf(job->hop_reason, sizeof job->hop_reason, "%.399s", v->text);
	return true;
}

/* best_mx_transport: queue hands it on. False: there is none, or it leads back here. */
static bool
pass_on(struct job *job, struct recipient *rcpt)
{
	struct span way = span_of(job->conf->values->best_mx_transport);
	ptrdiff_t colon = span_find(way, ':');
	struct msg_job_pass pass = {.index = rcpt->index,
	    .transport = colon < 0 ? way : span_sub(way, 0, (size_t)colon),
	    .nexthop = colon < 0 ? span_make("", 0) : span_from(way, (size_t)colon + 1)};

	if (pass.transport.len == 0 || rcpt->done)
		return false;
	if (pass.nexthop.len == 0)
		pass.nexthop = job->nexthop;
	if (span_equal(pass.transport, job->transport) && span_equal(pass.nexthop, job->nexthop)) {
		log_warning(&job->log, "best_mx_transport = %.*s: that is where the mail is", SPAN_ARG(way));
		return false;
	}
	rcpt->done = true;
	job->open--;
	if (job->queue)
		ipc_send(job->queue, IPC_JOB_PASS, job->call, &pass);
	return true;
}

void
job_report(struct job *job, struct recipient *rcpt, const struct verdict *v, unsigned conn_use)
{
	struct job_end end = end_now(job, conn_use);

	if (v->loops && pass_on(job, rcpt))
		return;
	if (!settle(job, rcpt, v))
		return;
	if (job_filter(job, rcpt, v, &end))
		keep_in_mind(job, rcpt, v);
	else
		job_tell(job, rcpt, v, &end);
}

void
job_repeat(struct job *job, struct recipient *rcpt, const struct verdict *v)
{
	struct job_end end = end_now(job, 0);

	if (settle(job, rcpt, v))
		job_tell(job, rcpt, v, &end);
}

/* With soft_bounce a refusal is for now; soft: room for what it becomes. */
static const struct verdict *
soften(const struct job *job, const struct verdict *v, struct verdict *soft)
{
	if (v->class != OUTCOME_BOUNCED || !job->conf->values->soft_bounce)
		return v;
	*soft = *v;
	soft->class = OUTCOME_DEFERRED;
	soft->code[0] = '4';
	return soft;
}

void
job_tell(struct job *job, struct recipient *rcpt, const struct verdict *v, const struct job_end *end)
{
	static const char *const words[] = {"Sent", "Sent", "Sent", "Deferred", "Failed"};
	struct verdict soft;
	struct span text;

	v = soften(job, v, &soft);
	job_log(job, rcpt, v, end);
	text = v->class <= OUTCOME_RELAYED ? words_of_reply(span_of(v->text)) : span_of(v->text);
	job_trace(job, "%.*s... %s (%.*s)", SPAN_ARG(rcpt->address), words[v->class], SPAN_ARG(text));
	if (job->queue)
		job_send_outcome(job, rcpt, v);
	keep_in_mind(job, rcpt, v);
}

void
job_keep(struct job *job, struct recipient *rcpt, const struct verdict *v)
{
	if (!rcpt->last)
		rcpt->last = arena_alloc(job->arena, sizeof *rcpt->last);
	if (rcpt->last)
		*rcpt->last = *v;
	note_host(job, rcpt, v);
}

void
job_trace(struct job *job, const char *format, ...)
{
	char line[1200];
	struct msg_job_trace m;
	va_list args;

	if (!(job->flags & MAIL_TRACE) || !job->queue)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	m.line = span_of(line);
	ipc_send(job->queue, IPC_JOB_TRACE, job->call, &m);
}
