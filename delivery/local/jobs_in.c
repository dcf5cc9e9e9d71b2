/*
 * jobs_in: jobs as queue sends them, until they begin; and their end.
 */
#include <event2/event.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/conf/transports.h"
#include "delivery/local/job.h"
#include "delivery/local/recall.h"
#include "delivery/local/writer.h"

enum { ARENA_BYTES = 32 << 20 };

static void on_orphan_end(evutil_socket_t fd, short what, void *context);

static void
job_free(struct job *job)
{
	const struct timeval at_once = {0};

	if (!job->channel)
		event_base_once(
		    server_base(job->local->server), -1, EV_TIMEOUT, on_orphan_end, job->local, &at_once);
	TAILQ_REMOVE(&job->local->jobs, job, link);
	job->local->job_count--;
	buf_free(&job->content);
	io_close(&job->fd);
	conf_unref(&job->conf);
	arena_free(&job->arena);
	free(job);
}

/* ---- what queue sends ---- */

static struct job *
find(struct local *l, const struct ipc_channel *channel, uint32_t call)
{
	struct job *job;

	TAILQ_FOREACH_REVERSE(job, &l->jobs, job_list, link)
	{
		if (job->channel == channel && job->call == call)
			return job;
	}
	return NULL;
}

/* The job of a frame that belongs to its beginning; NULL: it is out of place. */
static struct job *
job_of_frame(struct local *l, const struct ipc_channel *channel, const struct ipc_frame *frame)
{
	struct job *job = find(l, channel, frame->call);

	return job && !job->begun ? job : NULL;
}

int
handle_job_open(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_job_open *m = &frame->job_open;
	struct local *l = server_data(context);
	struct job *job;

	if (m->recipients == 0 || m->recipients > LOCAL_RECIPIENTS_MAX)
		return error_set(err, "a job for %u recipients", m->recipients);
	job = mem_alloc(sizeof(*job));
	job->local = l;
	job->channel = c;
	job->call = frame->call;
	job->arena = arena_new(ARENA_BYTES);
	job->id = m->id;
	job->conf = conf_ref(server_conf(l->server));
	job->sender = arena_copy_span(job->arena, m->sender);
	job->transport = arena_copy_span(job->arena, m->transport);
	job->nexthop = arena_copy_span(job->arena, m->nexthop);
	job->delivered_to = arena_copy_span(job->arena, m->delivered_to);
	job->origin = (struct job_origin){
	    .envid = arena_copy_span(job->arena, m->envid),
	    .client_name = arena_copy_span(job->arena, m->client_name),
	    .client_address = arena_copy_span(job->arena, m->client_address),
	    .helo = arena_copy_span(job->arena, m->helo),
	    .protocol = arena_copy_span(job->arena, m->protocol),
	    .sasl_method = arena_copy_span(job->arena, m->sasl_method),
	    .sasl_username = arena_copy_span(job->arena, m->sasl_username),
	    .sasl_sender = arena_copy_span(job->arena, m->sasl_sender),
	    .client_port = m->client_port,
	};
	job->ident = job->relay = "local";
	job->content_len = m->content_len;
	job->header_len = m->header_len;
	job->marks = (struct delay_marks){
	    .arrival_us = m->arrival_us, .active_us = m->active_us, .agent_us = clock_wall_us()};
	job->fd = -1;
	job->expected = m->recipients;
	job->recipients = arena_alloc(job->arena, m->recipients * sizeof(*job->recipients));
	buf_init(&job->content, WRITER_CONTENT_MAX);
	TAILQ_INSERT_TAIL(&l->jobs, job, link);
	l->job_count++;
	return 0;
}

int
handle_job_rcpt(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_job_rcpt *m = &frame->job_rcpt;
	struct job *job = job_of_frame(server_data(context), c, frame);
	struct job_recipient *r;

	if (!job || job->count == job->expected)
		return error_set(err, "a recipient out of place");
	r = &job->recipients[job->count++];
	r->job = job;
	r->index = m->index;
	r->attempt = m->attempt;
	r->recipient = arena_copy_span(job->arena, m->recipient);
	r->orig_to = arena_copy_span(job->arena, m->orig_to);
	r->source = arena_copy_span(job->arena, m->source);
	return 0;
}

int
handle_job_data(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct job *job = job_of_frame(server_data(context), c, frame);

	if (!job || buf_append_span(&job->content, frame->job_data.bytes) < 0)
		return error_set(err, "content out of place");
	return 0;
}

int
handle_job_file(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct job *job = job_of_frame(server_data(context), c, frame);
	int fd = frame->job_file.fd;

	if (!job || fd < 0 || job->fd >= 0) {
		io_close(&fd);
		return error_set(err, "a file out of place");
	}
	job->fd = fd;
	job->offset = frame->job_file.offset;
	return 0;
}

static void
job_begin(struct job *job)
{
	struct transport_service service;
	size_t count = job->count;

	transport_service_find(job->conf->values, job->transport, &service);
	if (service.kind == TRANSPORT_PIPE) {
		job->ident = "pipe";
		job->relay = arena_copy(job->arena, job->transport);
		pipe_start(job, service.name, service.arguments, service.processes);
		return;
	}
	if (service.kind == TRANSPORT_VIRTUAL)
		job->ident = job->relay = "virtual";
	/* The last recipient to finish ends the job, perhaps within this loop. */
	for (size_t i = 0; i < count; i++) {
		if (service.kind == TRANSPORT_VIRTUAL)
			virtual_start(&job->recipients[i]);
		else
			recipient_start(&job->recipients[i]);
	}
}

void
job_end(struct job *job)
{
	struct msg_job_done done = {.destination = HOP_UP, .text = {"", 0}};

	if (job->channel)
		ipc_send(job->channel, IPC_JOB_DONE, job->call, &done);
	job_free(job);
}

/* Who has an outcome already, from this very attempt (and a line in the log), is not begun again. */
static void
job_recall(struct job *job)
{
	size_t count = job->count;

	job->count = 0;
	for (size_t i = 0; i < count; i++) {
		struct job_recipient *r = &job->recipients[i];
		struct msg_job_outcome outcome = {.index = r->index, .relay = span_of(job->relay)};

		if (recall_outcome(job->local->remembered, job->id, r, &outcome))
			ipc_send(job->channel, IPC_JOB_OUTCOME, job->call, &outcome);
		else
			job->recipients[job->count++] = *r;
	}
}

/* The same recipient in the same attempt, of a queue that died, is not finished: a command may run for long. */
static bool
is_under_way(const struct job *job, const struct job_recipient *r)
{
	const struct job *other;

	TAILQ_FOREACH (other, &job->local->jobs, link)
		for (size_t i = 0; i < other->count && !other->channel && other->id == job->id; i++) {
			const struct job_recipient *o = &other->recipients[i];

			if (!o->finished && o->attempt == r->attempt &&
			    span_equal(o->recipient, r->recipient) && span_equal(o->source, r->source))
				return true;
		}
	return false;
}

static void
begin_unless_under_way(struct job *job)
{
	job->waits = false;
	for (size_t i = 0; i < job->count && !job->waits; i++)
		job->waits = is_under_way(job, &job->recipients[i]);
	if (job->waits)
		return;
	job->begun = true;
	job_recall(job);
	if (job->count == 0)
		job_end(job);
	else
		job_begin(job);
}

/* One of them may have been what others wait for. */
static void
on_orphan_end(evutil_socket_t fd, short what, void *context)
{
	struct local *l = context;
	struct job *job = TAILQ_FIRST(&l->jobs), *next;

	(void)fd;
	(void)what;
	for (; job; job = next) {
		next = TAILQ_NEXT(job, link);
		if (job->waits && job->channel)
			begin_unless_under_way(job);
	}
}

int
handle_job_go(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct job *job = job_of_frame(server_data(context), c, frame);

	if (!job || job->count != job->expected || (job->fd < 0 && job->content.len != job->content_len))
		return error_set(err, "a job that is not whole");
	begin_unless_under_way(job);
	return 0;
}

/* Of several recipients the first that is not done. */
int
handle_job_where(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct job *job = find(server_data(context), c, frame->call);
	struct msg_job_state m = {.doing = SPAN_LIT("waiting for the end of an earlier attempt")};
	const struct job_recipient *r;

	(void)err;
	if (!job)
		return 0; /* its end and this question crossed */
	for (r = job->recipients; r < job->recipients + job->count && r->finished; r++)
		;
	if (!job->waits && r < job->recipients + job->count) {
		m.doing = r->doing ? span_of(r->doing) : SPAN_LIT("looking up where it goes");
		m.since_us = r->doing_since_us;
	}
	m.relay = span_of(job->relay);
	ipc_send(c, IPC_JOB_STATE, job->call, &m);
	return 0;
}

void
jobs_peer_down(struct local *l, struct ipc_channel *peer)
{
	struct job *job = TAILQ_FIRST(&l->jobs), *next;

	for (; job; job = next) {
		next = TAILQ_NEXT(job, link);
		if (job->channel != peer)
			continue;
		job->channel = NULL;
		if (!job->begun)
			job_free(job);
	}
}
