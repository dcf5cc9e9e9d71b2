#include "delivery/smtp/job.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/octets.h"
#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/conf/transports.h"
#include "common/mail/remembered.h"
#include "common/mail/way.h"
#include "delivery/smtp/attempt.h"
#include "delivery/smtp/generic.h"
#include "delivery/smtp/out_checks.h"
#include "delivery/smtp/transport_conf.h"

static void on_forsaken_end(evutil_socket_t fd, short what, void *context);

enum { KEPT_AT_ONCE = 4096 }; /* of a JOB_KEPT; all that is remembered fits into one */
enum { BUCKETS = 1024, ARENA_BASE = 64 * 1024, ARENA_PER_RECIPIENT = 10 * 1024 };

struct jobs {
	struct job *buckets[BUCKETS];
	size_t count;
	size_t forsaken; /* of them, those whose queue has gone */
};

struct jobs *
jobs_new(void)
{
	return mem_alloc(sizeof(struct jobs));
}

void
jobs_free(struct jobs **j)
{
	free(*j);
	*j = NULL;
}

size_t
jobs_count(const struct jobs *j)
{
	return j->count;
}

static struct job *
job_find(struct agent *agent, const struct ipc_channel *queue, uint32_t call)
{
	struct job *job = agent->jobs->buckets[call % BUCKETS];

	while (job && (job->call != call || job->queue != queue))
		job = job->next_by_call;
	return job;
}

static void
job_free(struct job *job)
{
	struct jobs *jobs = job->agent->jobs;
	struct job **at = &jobs->buckets[job->call % BUCKETS];
	const struct timeval at_once = {0};

	while (*at != job)
		at = &(*at)->next_by_call;
	*at = job->next_by_call;
	jobs->count--;
	if (!job->queue && jobs->forsaken-- > 0)
		event_base_once(job->agent->base, -1, EV_TIMEOUT, on_forsaken_end, job->agent, &at_once);
	buf_free(&job->content);
	buf_free(&job->head);
	io_close(&job->content_fd);
	conf_unref(&job->conf);
	arena_free(&job->arena);
	free(job);
}

void
jobs_queue_gone(struct agent *agent, const struct ipc_channel *queue)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		struct job *job = agent->jobs->buckets[i], *next;

		for (; job; job = next) {
			next = job->next_by_call;
			if (job->queue != queue)
				continue;
			job->queue = NULL;
			agent->jobs->forsaken++;
			if (job->ended)
				continue;
			if (job->checks)
				out_checks_forsake(job);
			else if (job->generic)
				generic_forsake(job);
			else if (job->started)
				attempt_forsake(job);
			else
				job_free(job);
		}
	}
}

/* ---- what queue sends ---- */

/* The job of a MORE frame, still open for it; NULL with err. */
static struct job *
job_of_frame(struct agent *agent, struct ipc_channel *queue, const struct ipc_frame *frame, struct error *err)
{
	struct job *job = job_find(agent, queue, frame->call);

	if (job && !job->started)
		return job;
	error_set(err, "%s for a job that is not being opened", ipc_type_name(frame->type));
	return NULL;
}

void
job_put_delivered(const struct job *job, struct buf *head)
{
	way_put(head, way_behind(job->delivered_to), "\r\n");
}

int
job_handle_open(
    struct agent *agent, struct ipc_channel *queue, const struct ipc_frame *frame, struct error *err)
{
	const struct msg_job_open *m = &frame->job_open;
	struct job **bucket = &agent->jobs->buckets[frame->call % BUCKETS];
	struct transport_service service;
	struct error mistake;
	struct job *job;

	if (job_find(agent, queue, frame->call))
		return error_set(err, "a job is opened twice");
	if (m->recipients == 0 || m->recipients > JOB_RECIPIENTS_MAX)
		return error_set(err, "a job with %u recipients", (unsigned)m->recipients);
	job = mem_alloc(sizeof *job);
	job->agent = agent;
	job->queue = queue;
	job->call = frame->call;
	job->arena = arena_new(ARENA_BASE + (size_t)m->recipients * ARENA_PER_RECIPIENT);
	job->id = m->id;
	queue_id_format(m->id, job->queue_id);
	job->flags = m->flags;
	job->transport = arena_copy_span(job->arena, m->transport);
	job->nexthop = arena_copy_span(job->arena, m->nexthop);
	job->sender = job->login_sender = arena_copy_span(job->arena, m->sender);
	job->envid = arena_copy_span(job->arena, m->envid);
	transport_service_find(agent->conf->values, job->transport, &service);
	job->conf = transport_conf(agent->transports, agent->conf, &service, &mistake);
	if (!job->conf) {
		job->conf = conf_ref(agent->conf);
		job->mistake = arena_strdup(job->arena, mistake.text);
	}
	job->lmtp = service.kind == TRANSPORT_LMTP;
	job->delivered_to = arena_copy_span(job->arena, m->delivered_to);
	buf_init(&job->head, JOB_DELIVERED_MAX);
	job_put_delivered(job, &job->head);
	job->log = (struct log){.ident = job->lmtp ? "lmtp" : NULL, .queue_id = job->queue_id};
	job->arrival_us = m->arrival_us;
	job->active_us = m->active_us;
	job->agent_us = clock_wall_us();
	job->content_len = m->content_len;
	job->content_fd = -1;
	buf_init(&job->content, JOB_INLINE_MAX);
	job->recipient_capacity = m->recipients;
	job->recipients = mem_alloc_array(m->recipients, sizeof job->recipients[0]);
	if (arena_on_free(job->arena, free, job->recipients) < 0)
		panic("an arena too small for its first clean-up");
	job->next_by_call = *bucket;
	*bucket = job;
	agent->jobs->count++;
	return 0;
}

int
job_handle_rcpt(
    struct agent *agent, struct ipc_channel *queue, const struct ipc_frame *frame, struct error *err)
{
	const struct msg_job_rcpt *m = &frame->job_rcpt;
	struct job *job = job_of_frame(agent, queue, frame, err);
	struct recipient *rcpt;

	if (!job)
		return -1;
	if (job->recipient_count == job->recipient_capacity)
		return error_set(err, "more recipients than a job was opened for");
	rcpt = &job->recipients[job->recipient_count++];
	rcpt->index = m->index;
	rcpt->attempt = m->attempt;
	rcpt->address = rcpt->rcpt_to = arena_copy_span(job->arena, m->recipient);
	rcpt->orig_to = arena_copy_span(job->arena, m->orig_to);
	rcpt->source = arena_copy_span(job->arena, m->source);
	rcpt->orcpt = arena_copy_span(job->arena, m->orcpt);
	rcpt->notify = m->notify;
	job->open++;
	return 0;
}

int
job_handle_data(
    struct agent *agent, struct ipc_channel *queue, const struct ipc_frame *frame, struct error *err)
{
	struct job *job = job_of_frame(agent, queue, frame, err);

	if (!job)
		return -1;
	if (job->content.len == 0 && job->content_len <= JOB_INLINE_MAX)
		buf_reserve(&job->content, (size_t)job->content_len);
	if (job->content_fd >= 0 || job->content.len + frame->job_data.bytes.len > job->content_len ||
	    buf_append_span(&job->content, frame->job_data.bytes) < 0)
		return error_set(err, "more content than a job was opened for");
	return 0;
}

int
job_handle_file(
    struct agent *agent, struct ipc_channel *queue, const struct ipc_frame *frame, struct error *err)
{
	struct job *job = job_of_frame(agent, queue, frame, err);
	int fd = frame->job_file.fd;

	if (!job) {
		io_close(&fd);
		return -1;
	}
	if (job->content_fd >= 0 || fd < 0) {
		io_close(&fd);
		return error_set(err, "no content, or two for a job");
	}
	job->content_fd = fd;
	job->content_offset = frame->job_file.offset;
	return 0;
}

/* The same recipient in the same attempt, of which nothing is known yet. */
static bool
have_common(const struct job *a, const struct job *b)
{
	for (size_t i = 0; i < a->recipient_count; i++)
		for (size_t k = 0; k < b->recipient_count && !a->recipients[i].done; k++) {
			const struct recipient *x = &a->recipients[i], *y = &b->recipients[k];

			if (x->attempt == y->attempt && span_equal(x->address, y->address) &&
			    span_equal(x->source, y->source))
				return true;
		}
	return false;
}

/* Outcomes of these very attempts that queue has not heard of. */
static void
job_recall(struct job *job)
{
	for (size_t i = 0; i < job->recipient_count; i++) {
		struct remembered_key key = job_key(job, &job->recipients[i]);
		struct verdict *v = remembered_take(job->agent->remembered, &key);

		if (v)
			job_repeat(job, &job->recipients[i], v);
		free(v);
	}
}

/* A job of a queue that died has sent this recipient's message, and waits for what its host says of it. */
static bool
is_being_committed(const struct job *job)
{
	const struct jobs *jobs = job->agent->jobs;

	for (size_t i = 0; i < BUCKETS && jobs->forsaken > 0; i++)
		for (const struct job *other = jobs->buckets[i]; other; other = other->next_by_call)
			if (!other->queue && other->id == job->id && have_common(other, job))
				return true;
	return false;
}

static void
start(struct job *job)
{
	job->started = true;
	job_recall(job);
	out_checks_start(job);
}

int
job_handle_go(
    struct agent *agent, struct ipc_channel *queue, const struct ipc_frame *frame, struct error *err)
{
	struct job *job = job_of_frame(agent, queue, frame, err);

	if (!job)
		return -1;
	if (job->content_fd < 0 && job->content.len != job->content_len)
		return error_set(err, "a job without all of its content");
	if (job->recipient_count == 0)
		return error_set(err, "a job without recipients");
	job->waits = is_being_committed(job);
	if (!job->waits)
		start(job);
	return 0;
}

int
job_handle_where(
    struct agent *agent, struct ipc_channel *queue, const struct ipc_frame *frame, struct error *err)
{
	const struct job *job = job_find(agent, queue, frame->call);
	struct whereabouts where = {.relay = ""};
	struct msg_job_state m;

	(void)err;
	if (!job)
		return 0; /* its end and this question crossed */
	if (job->attempt)
		attempt_where(job->attempt, &where);
	else if (job->checks)
		where.doing = "checking header and body";
	else if (job->generic)
		where.doing = "rewriting addresses";
	else if (job->ended)
		where.doing = "asking what its status is to be";
	else
		where.doing = job->waits ? "waiting for the end of an earlier attempt" : "taking it over";
	m = (struct msg_job_state){.relay = span_of(where.relay),
	    .doing = span_of(where.doing),
	    .since_us = where.since_us,
	    .until_us = where.until_us};
	ipc_send(queue, IPC_JOB_STATE, job->call, &m);
	return 0;
}

/* One of them may have had what others wait for. */
static void
on_forsaken_end(evutil_socket_t fd, short what, void *context)
{
	struct agent *agent = context;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < BUCKETS; i++) {
		struct job *job = agent->jobs->buckets[i], *next;

		for (; job; job = next) {
			next = job->next_by_call;
			if (!job->waits || !job->queue || is_being_committed(job))
				continue;
			job->waits = false;
			start(job);
		}
	}
}

/* ---- what a new queue is told ---- */

static void
tell_hashes(struct ipc_channel *queue, const uint64_t *hashes, size_t count, bool last)
{
	uint8_t bytes[KEPT_AT_ONCE * 8];
	struct msg_job_kept kept = {.last = last};

	for (size_t i = 0; i < count; i++)
		octets_store(bytes + 8 * i, hashes[i], 8);
	kept.hashes = span_make((const char *)bytes, count * 8);
	ipc_send(queue, IPC_JOB_KEPT, 0, &kept);
}

void
jobs_tell_queue(struct agent *agent, struct ipc_channel *queue)
{
	uint64_t hashes[KEPT_AT_ONCE];
	size_t count = remembered_hashes(agent->remembered, hashes);

	for (size_t i = 0; i < BUCKETS && agent->jobs->forsaken > 0; i++)
		for (const struct job *job = agent->jobs->buckets[i]; job; job = job->next_by_call)
			for (size_t k = 0; !job->queue && k < job->recipient_count; k++) {
				struct remembered_key key = job_key(job, &job->recipients[k]);

				if (job->recipients[k].done)
					continue;
				if (count == KEPT_AT_ONCE) {
					tell_hashes(queue, hashes, count, false);
					count = 0;
				}
				hashes[count++] = remembered_hash(&key);
			}
	tell_hashes(queue, hashes, count, true);
}

/* ---- the message ---- */

/* 8-bit octets up to the empty line. A header that does not end within what is looked at counts as having some. */
static bool
header_is_8bit(const struct job *job)
{
	enum { LOOKED_AT = 256 * 1024 };
	size_t len = job->content_len < LOOKED_AT ? (size_t)job->content_len : LOOKED_AT;
	struct span text = span_sub(buf_span(&job->content), 0, len);
	char *mem = NULL;
	bool found = true;

	if (job->content_fd >= 0) {
		mem = mem_alloc(len + 1);
		if (io_pread_all(job->content_fd, mem, len, (off_t)job->content_offset) < (ssize_t)len)
			len = 0;
		text = span_make(mem, len);
	}
	ptrdiff_t end = span_find_span(text, SPAN_LIT("\r\n\r\n"));
	if (end >= 0)
		found = text_is_8bit(span_sub(text, 0, (size_t)end)) || text_is_8bit(buf_span(&job->head));
	free(mem);
	return found;
}

bool
job_needs_smtputf8(const struct job *job)
{
	if (!(job->flags & MAIL_SMTPUTF8))
		return false;
	if (text_is_8bit(job->sender))
		return true;
	for (size_t i = 0; i < job->recipient_count; i++)
		if (!job->recipients[i].done && text_is_8bit(job->recipients[i].rcpt_to))
			return true;
	return (job->flags & MAIL_8BIT) && header_is_8bit(job);
}

uint64_t
job_size(const struct job *job)
{
	return job->content_len - job->head_replaces + job->head.len;
}

void
job_finish(struct job *job)
{
	struct msg_job_done m = {.destination = job->hop, .text = span_of(job->hop_reason)};

	job->ended = true;
	if (job->asking > 0)
		return;
	if (job->queue)
		ipc_send(job->queue, IPC_JOB_DONE, job->call, &m);
	job_free(job);
}
