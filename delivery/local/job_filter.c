/*
 * job_filter: local_delivery_status_filter and its kin. Lookup has the tables; what is done is told once they have answered.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/mail/queue_id.h"
#include "common/mail/status_filter.h"
#include "delivery/local/local.h"

enum { ASK_TIMEOUT_MS = 60000, LOGGED_MAX = 200 };

struct asked_ending {
	struct job_recipient *recipient;
	struct job_ending end; /* its texts are in bytes */
	char bytes[];
};

static const char *
tables_of(const struct job *job)
{
	const struct conf_values *v = job_values(job);

	if (strcmp(job_ident(job), "virtual") == 0)
		return v->virtual_delivery_status_filter;
	if (strcmp(job_ident(job), "pipe") == 0)
		return v->pipe_delivery_status_filter;
	return v->local_delivery_status_filter;
}

static void
warn(const struct job *job, const char *what, struct span code, struct span text)
{
	char id[QUEUE_ID_SIZE];
	struct log log = {.ident = job_ident(job), .queue_id = queue_id_format(job_id(job), id)};

	log_warning(&log, "%s_delivery_status_filter: %s%.*s%s%.*s", job_ident(job), what, SPAN_ARG(code),
	    code.len > 0 ? " " : "", SPAN_ARG(span_sub(text, 0, LOGGED_MAX)));
}

/* What cannot be asked stays as it is: it has happened. */
static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct asked_ending *a = context;
	const struct job *job = a->recipient->job;
	struct job_ending *end = &a->end;

	(void)err;
	if (!frame || frame->map_answer.status == LOOKUP_TEMPORARY)
		warn(job, "lookup error for ", end->code, end->text);
	else if (frame->map_answer.status == LOOKUP_FOUND &&
		 !status_filter_take(frame->map_answer.value, &end->class, &end->code, &end->text))
		warn(job, "bad status code: ", span_make("", 0), frame->map_answer.value);
	job_tell(a->recipient, end);
	free(a);
	return 0;
}

static struct span
keep(char *bytes, struct span text)
{
	if (text.len > 0)
		memcpy(bytes, text.ptr, text.len);
	return span_make(bytes, text.len);
}

bool
job_filter(struct job_recipient *r, const struct job_ending *end)
{
	struct ipc_channel *lookup = server_peer(job_local(r->job)->server, ROLE_LOOKUP, 0);
	struct msg_map_ask ask = {.tables = span_of(tables_of(r->job)), .form = LOOKUP_STATUS};
	struct asked_ending *a;
	struct buf key;
	uint32_t call;

	if (ask.tables.len == 0)
		return false;
	a = mem_alloc(sizeof(*a) + end->code.len + end->text.len + 1);
	a->recipient = r;
	a->end = *end;
	a->end.code = keep(a->bytes, end->code);
	a->end.text = keep(a->bytes + end->code.len, end->text);
	buf_init(&key, STATUS_FILTER_KEY_MAX);
	status_filter_key(end->code, end->text, &key);
	ask.key = buf_span(&key);
	call = lookup ? ipc_ask(lookup, IPC_MAP_ASK, &ask, ASK_TIMEOUT_MS, on_answer, a) : 0;
	if (call == 0) {
		warn(r->job, "lookup is not available", span_make("", 0), span_make("", 0));
		free(a);
	}
	buf_free(&key);
	return call != 0;
}
