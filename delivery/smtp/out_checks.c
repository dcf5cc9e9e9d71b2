#include "delivery/smtp/out_checks.h"

#include <stdlib.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/mail/content_checks.h"
#include "delivery/smtp/generic.h"

/* A message that is larger goes out as it is, with a line in the log: its new form would have to be held whole. */
enum {
	CONTENT_MAX = 64 << 20,
	GROWTH_MAX = 16 << 20,
	READ_OCTETS = 32 << 10,
	FIRST_MAX = 45000,
	MORE_MAX = 60000,
	ASK_TIMEOUT_MS = 100000,
	LOGGED_MAX = 200
};

struct out_checks {
	struct job *job;
	struct content_checks *checks;
	struct buf out; /* the content as it leaves */
	uint64_t taken;
	uint32_t call;
	bool finished;
	bool changed;
};

struct tables {
	const char *of[CHECK_CLASS_COUNT];
};

static struct tables
tables_of(const struct job *job)
{
	const struct conf_values *v = job->conf->values;

	if (job->lmtp)
		return (struct tables){{v->lmtp_header_checks, v->lmtp_mime_header_checks,
		    v->lmtp_nested_header_checks, v->lmtp_body_checks}};
	return (struct tables){{v->smtp_header_checks, v->smtp_mime_header_checks,
	    v->smtp_nested_header_checks, v->smtp_body_checks}};
}

static void
checks_free(struct job *job)
{
	struct out_checks *o = job->checks;

	job->checks = NULL;
	content_checks_free(&o->checks);
	buf_free(&o->out);
	free(o);
}

/* What is to be done cannot be found out: later, then. */
static void
give_up(struct job *job, const char *why)
{
	struct verdict v;

	checks_free(job);
	verdict_set(&v, "4.3.0", "header or body checks: %s", why);
	for (size_t i = 0; i < job->recipient_count; i++)
		job_report(job, &job->recipients[i], &v, 0);
	job_finish(job);
}

/* ---- what the checks do ---- */

static void
put(void *context, struct span bytes)
{
	struct out_checks *o = context;

	(void)buf_append_span(&o->out, bytes);
}

static void
acted(void *context, const struct check_action *action, enum check_class class, struct span text)
{
	struct out_checks *o = context;
	struct buf line;

	if (action->verb == CHECK_IGNORE || action->verb == CHECK_STRIP || action->verb == CHECK_REPLACE ||
	    action->verb == CHECK_PREPEND)
		o->changed = true;
	if (action->verb == CHECK_IGNORE)
		return;
	buf_init(&line, 8000);
	(void)buf_printf(
	    &line, "%s: %s ", check_verb_word(action->verb), class == CHECK_BODY ? "body" : "header");
	text_append_printable(&line, text, LOGGED_MAX);
	if (action->text.len > 0) {
		(void)buf_append_text(&line, ": ");
		text_append_printable(&line, action->text, LOGGED_MAX);
	}
	log_info(&o->job->log, "%s", buf_text(&line));
	buf_free(&line);
}

static void
complain(void *context, struct span value, const char *why)
{
	const struct out_checks *o = context;

	value = span_sub(value, 0, LOGGED_MAX);
	log_warning(&o->job->log, "header or body checks: %.*s: %s", SPAN_ARG(value), why);
}

/* ---- the way of the content ---- */

/* Puts in what is next. Returns 1 if there is more, 0 at the end, -1 if it cannot be read. */
static int
feed(struct out_checks *o)
{
	const struct job *job = o->job;
	uint64_t left = job->content_len - o->taken;
	size_t n = left < READ_OCTETS ? (size_t)left : READ_OCTETS;
	char mem[READ_OCTETS];
	struct span bytes;

	if (n == 0)
		return 0;
	if (job->content_fd >= 0) {
		if (io_pread_all(job->content_fd, mem, n, (off_t)(job->content_offset + o->taken)) <
		    (ssize_t)n)
			return -1;
		bytes = span_make(mem, n);
	} else {
		bytes = span_sub(buf_span(&job->content), (size_t)o->taken, n);
	}
	o->taken += n;
	content_checks_put(o->checks, bytes);
	return 1;
}

/* The content as checked takes the place of what came. */
static void
finish(struct out_checks *o)
{
	struct job *job = o->job;

	if (o->changed) {
		struct buf old = job->content;
		job->content = o->out;
		o->out = old;
		io_close(&job->content_fd);
		job->content_fd = -1;
		job->content_len = job->content.len;
		job->flags |= MAIL_DOTS | MAIL_LONG_LINES;
		if (text_is_8bit(buf_span(&job->content)))
			job->flags |= MAIL_8BIT;
	}
	checks_free(job);
	generic_start(job);
}

static void go_on(struct out_checks *o);

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct job *job = context;
	struct out_checks *o = job->checks;

	(void)err;
	if (frame != NULL && frame->type == IPC_CHECK_HIT) {
		content_checks_found(o->checks, frame->check_hit.line, frame->check_hit.value);
		return 0;
	}
	o->call = 0;
	if (frame == NULL || frame->check_done.status != LOOKUP_FOUND) {
		give_up(job, "temporary lookup failure");
		return 0;
	}
	content_checks_settle(o->checks);
	go_on(o);
	return 0;
}

static bool
ask(struct out_checks *o)
{
	struct ipc_channel *lookup = o->job->agent->lookup;
	const struct tables tables = tables_of(o->job);
	struct content_checks_packing packing = {0};
	struct msg_check_ask first = {.header = span_of(tables.of[CHECK_HEADER]),
	    .mime_header = span_of(tables.of[CHECK_MIME_HEADER]),
	    .nested_header = span_of(tables.of[CHECK_NESTED_HEADER]),
	    .body = span_of(tables.of[CHECK_BODY])};
	struct buf bytes;
	bool more;

	buf_init(&bytes, MORE_MAX);
	first.more = more = content_checks_pack(o->checks, &packing, FIRST_MAX, &bytes);
	first.lines = buf_span(&bytes);
	o->call = lookup ? ipc_ask(lookup, IPC_CHECK_ASK, &first, ASK_TIMEOUT_MS, on_answer, o->job) : 0;
	while (more && o->call != 0) {
		struct msg_check_lines m;
		buf_clear(&bytes);
		m.more = more = content_checks_pack(o->checks, &packing, MORE_MAX, &bytes);
		m.lines = buf_span(&bytes);
		ipc_send(lookup, IPC_CHECK_LINES, o->call, &m);
	}
	buf_free(&bytes);
	return o->call != 0;
}

static void
go_on(struct out_checks *o)
{
	int more = 1;

	while (more > 0 && !o->finished && !content_checks_asks(o->checks))
		more = feed(o);
	if (more == 0 && !o->finished) {
		o->finished = true;
		content_checks_finish(o->checks);
	}
	if (more < 0 || o->out.full)
		give_up(
		    o->job, more < 0 ? "message content cannot be read" : "message content grows too much");
	else if (!content_checks_asks(o->checks))
		finish(o);
	else if (!ask(o))
		give_up(o->job, "lookup is not available");
}

void
out_checks_start(struct job *job)
{
	const struct conf_values *v = job->conf->values;
	const struct tables tables = tables_of(job);
	struct content_checks_rules rules = {.field_limit = (size_t)v->header_size_limit,
	    .line_limit = (size_t)v->line_length_limit,
	    .body_limit = (uint64_t)v->body_checks_size_limit,
	    .mime = {.nesting = (size_t)v->mime_nesting_limit,
		.boundary = (size_t)v->mime_boundary_length_limit},
	    .outgoing = true};

	for (unsigned i = 0; i < CHECK_CLASS_COUNT; i++)
		if (tables.of[i][0] != '\0')
			rules.classes |= 1U << i;
	if (rules.classes != 0 && job->content_len > CONTENT_MAX) {
		log_warning(
		    &job->log, "message is too large for header and body checks: it goes out as it is");
		rules.classes = 0;
	}
	if (rules.classes == 0 || job->open == 0) {
		generic_start(job);
		return;
	}
	struct out_checks *o = mem_alloc(sizeof *o);
	const struct content_checks_sink sink = {put, acted, complain, o};
	o->job = job;
	o->checks = content_checks_new(&rules, &sink);
	buf_init(&o->out, (size_t)job->content_len + GROWTH_MAX);
	job->checks = o;
	go_on(o);
}

void
out_checks_forsake(struct job *job)
{
	if (job->checks->call != 0 && job->agent->lookup)
		ipc_cancel(job->agent->lookup, job->checks->call);
	checks_free(job);
	job_finish(job);
}
