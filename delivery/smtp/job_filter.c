/*
 * job_filter: smtp_delivery_status_filter and its kin. Lookup has the tables; an outcome that they are asked about is told
 * when they have answered, and the job ends after that.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/mail/status_filter.h"
#include "delivery/smtp/job.h"

enum { ASK_TIMEOUT_MS = 60000, LOGGED_MAX = 200 };

struct asked_outcome {
	struct job *job;
	struct recipient *rcpt;
	struct job_end end;
	struct verdict verdict;
};

static const char *
name_of(const struct job *job)
{
	return job->lmtp ? "lmtp_delivery_status_filter" : "smtp_delivery_status_filter";
}

static const char *
tables_of(const struct job *job)
{
	const struct conf_values *v = job->conf->values;

	return job->lmtp ? v->lmtp_delivery_status_filter : v->smtp_delivery_status_filter;
}

static void
take(const struct job *job, struct verdict *v, struct span result)
{
	struct span code = span_of(v->code), text = span_of(v->text);

	if (!status_filter_take(result, &v->class, &code, &text)) {
		log_warning(&job->log, "%s: bad status code: %.*s", name_of(job),
		    SPAN_ARG(span_sub(result, 0, LOGGED_MAX)));
		return;
	}
	span_copy(code, v->code, sizeof(v->code));
	if (text.ptr != v->text)
		span_copy(text, v->text, sizeof(v->text));
}

/* What cannot be asked stays as it is: it has happened. */
static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct asked_outcome *a = context;
	struct job *job = a->job;

	(void)err;
	if (!frame || frame->map_answer.status == LOOKUP_TEMPORARY)
		log_warning(&job->log, "%s: lookup error for \"%s %s\"", name_of(job), a->verdict.code,
		    a->verdict.text);
	else if (frame->map_answer.status == LOOKUP_FOUND)
		take(job, &a->verdict, frame->map_answer.value);
	job->asking--;
	job_tell(job, a->rcpt, &a->verdict, &a->end);
	free(a);
	if (job->ended && job->asking == 0)
		job_finish(job);
	return 0;
}

bool
job_filter(struct job *job, struct recipient *rcpt, const struct verdict *v, const struct job_end *end)
{
	struct msg_map_ask ask = {.tables = span_of(tables_of(job)), .form = LOOKUP_STATUS};
	struct asked_outcome *a;
	struct buf key;
	uint32_t call = 0;

	if (ask.tables.len == 0)
		return false;
	a = mem_alloc(sizeof(*a));
	*a = (struct asked_outcome){.job = job, .rcpt = rcpt, .end = *end, .verdict = *v};
	buf_init(&key, STATUS_FILTER_KEY_MAX);
	status_filter_key(span_of(v->code), span_of(v->text), &key);
	ask.key = buf_span(&key);
	if (job->agent->lookup)
		call = ipc_ask(job->agent->lookup, IPC_MAP_ASK, &ask, ASK_TIMEOUT_MS, on_answer, a);
	if (call == 0) {
		log_warning(&job->log, "%s: lookup is not available", name_of(job));
		free(a);
	} else {
		job->asking++;
	}
	buf_free(&key);
	return call != 0;
}
