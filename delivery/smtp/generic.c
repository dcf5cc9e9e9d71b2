#include "delivery/smtp/generic.h"

#include <stdlib.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/mail/header.h"
#include "common/mail/header_rewrite.h"
#include "delivery/smtp/attempt.h"

/* Of a message in a file: a header that is longer goes out as it is. */
enum { HEADER_MAX = 4 << 20, ASK_TIMEOUT_MS = 60000 };

struct generic {
	struct job *job;
	uint32_t call;
	size_t next, asked; /* places in the envelope: 0 is the sender, then the recipients */
	struct buf question;
	struct buf header; /* as it was; what it rewrites points into it */
	struct header_rewrite *rewrite; /* NULL until the envelope is done, and when nothing is left to ask */
};

static ipc_answer on_answer;

static void
generic_free(struct job *job)
{
	struct generic *g = job->generic;

	job->generic = NULL;
	header_rewrite_free(&g->rewrite);
	buf_free(&g->question);
	buf_free(&g->header);
	free(g);
}

/* Lookup cannot tell: later, then. */
static void
give_up(struct job *job, struct span why)
{
	struct verdict v;

	generic_free(job);
	verdict_set(&v, "4.3.0", "address rewriting: %.*s", SPAN_ARG(why));
	for (size_t i = 0; i < job->recipient_count; i++)
		job_report(job, &job->recipients[i], &v, 0);
	job_finish(job);
}

static bool
ask(struct generic *g, struct span addresses)
{
	struct job *job = g->job;
	struct msg_rewrite_ask message = {
	    .kind = job->lmtp ? REWRITE_GENERIC_LMTP : REWRITE_GENERIC_SMTP, .addresses = addresses};

	g->call = job->agent->lookup
		      ? ipc_ask(job->agent->lookup, IPC_REWRITE_ASK, &message, ASK_TIMEOUT_MS, on_answer, job)
		      : 0;
	return g->call != 0;
}

/* ---- the envelope ---- */

static struct span *
place_of(struct job *job, size_t place)
{
	return place == 0 ? &job->sender : &job->recipients[place - 1].rcpt_to;
}

/* False if all was asked about. */
static bool
compose_envelope(struct generic *g)
{
	size_t count = 0;

	buf_clear(&g->question);
	for (g->asked = g->next; g->asked <= g->job->recipient_count && count < HEADER_REWRITE_BATCH;
	     g->asked++) {
		struct span address = *place_of(g->job, g->asked);

		if (address.len == 0)
			continue;
		buf_append_span(&g->question, address);
		buf_append(&g->question, "", 1);
		count++;
	}
	return count > 0;
}

static int
take_envelope(struct generic *g, struct span addresses, struct error *err)
{
	for (; g->next < g->asked; g->next++) {
		struct span *address = place_of(g->job, g->next);
		ptrdiff_t end = span_find(addresses, '\0');

		if (address->len == 0)
			continue;
		if (end < 0)
			return error_set(err, "fewer addresses came back than were asked about");
		if (!span_equal(*address, span_sub(addresses, 0, (size_t)end)))
			*address = arena_copy_span(g->job->arena, span_sub(addresses, 0, (size_t)end));
		addresses = span_from(addresses, (size_t)end + 1);
	}
	return 0;
}

/* ---- the header ---- */

/* The header's fields, copied. -1 with err if they cannot be read. */
static int
read_header(struct generic *g, struct error *err)
{
	const struct job *job = g->job;
	size_t len = job->content_len < HEADER_MAX ? (size_t)job->content_len : HEADER_MAX;
	struct span text = buf_span(&job->content), rest;
	struct header_field field;
	char *mem = NULL;

	if (job->content_fd >= 0) {
		mem = mem_alloc(len + 1);
		if (io_pread_all(job->content_fd, mem, len, (off_t)job->content_offset) < (ssize_t)len) {
			free(mem);
			return error_errno(err, "reading message content");
		}
		text = span_make(mem, len);
	}
	rest = text;
	while (header_next(&rest, &field))
		;
	if (rest.len > 0)
		buf_append_span(&g->header, span_sub(text, 0, text.len - rest.len));
	free(mem);
	return 0;
}

static int
begin_header(struct generic *g, struct error *err)
{
	static const struct header_rewrite_rules rules = {.all_senders = true, .all_recipients = true};

	if (read_header(g, err) < 0)
		return -1;
	g->rewrite = header_rewrite_new(buf_span(&g->header), &rules);
	return 0;
}

static void
finish(struct generic *g)
{
	struct job *job = g->job;

	if (g->rewrite) {
		/* An address grows to HEADER_REWRITE_ANSWER_MAX at most, and takes two octets with its comma. */
		buf_free(&job->head);
		buf_init(&job->head, g->header.len * (HEADER_REWRITE_ANSWER_MAX / 2 + 1) + JOB_DELIVERED_MAX);
		job_put_delivered(job, &job->head);
		(void)header_rewrite_put(g->rewrite, &job->head);
		job->head_replaces = g->header.len;
		if (header_has_long_line(buf_span(&job->head)))
			job->flags |= MAIL_LONG_LINES;
	}
	generic_free(job);
	attempt_start(job);
}

/* ---- one question after the other ---- */

static void
go_on(struct generic *g)
{
	enum rewrite_kind kind;
	struct span addresses;
	struct error err;
	bool asked;

	if (!g->rewrite && compose_envelope(g)) {
		asked = ask(g, buf_span(&g->question));
	} else {
		if (!g->rewrite && begin_header(g, &err) < 0) {
			give_up(g->job, span_of(err.text));
			return;
		}
		if (!g->rewrite || !header_rewrite_next(g->rewrite, &kind, &addresses)) {
			finish(g);
			return;
		}
		asked = ask(g, addresses);
	}
	if (!asked)
		give_up(g->job, SPAN_LIT("lookup is not available"));
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct job *job = context;
	struct generic *g = job->generic;
	int status;

	g->call = 0;
	if (!frame || frame->rewrite_done.status != LOOKUP_FOUND) {
		give_up(job, frame ? frame->rewrite_done.reason : SPAN_LIT("no answer from lookup"));
		return 0;
	}
	status = g->rewrite ? header_rewrite_answer(g->rewrite, frame->rewrite_done.addresses, err)
			    : take_envelope(g, frame->rewrite_done.addresses, err);
	if (status < 0)
		give_up(job, SPAN_LIT("no sensible answer from lookup"));
	else
		go_on(g);
	return status;
}

void
generic_start(struct job *job)
{
	const struct conf_values *v = job->conf->values;
	struct generic *g;

	if ((job->lmtp ? v->lmtp_generic_maps : v->smtp_generic_maps)[0] == '\0' || job->open == 0) {
		attempt_start(job);
		return;
	}
	g = mem_alloc(sizeof *g);
	g->job = job;
	job->generic = g;
	buf_init(&g->question, (size_t)HEADER_REWRITE_BATCH * (HEADER_REWRITE_ANSWER_MAX + 1));
	buf_init(&g->header, HEADER_MAX);
	go_on(g);
}

void
generic_forsake(struct job *job)
{
	if (job->generic->call != 0 && job->agent->lookup)
		ipc_cancel(job->agent->lookup, job->generic->call);
	generic_free(job);
	job_finish(job);
}
